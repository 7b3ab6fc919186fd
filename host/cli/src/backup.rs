//! `parlor backup` and `parlor restore`: the whole of a host in one file, and back.

use std::path::{Path, PathBuf};

use clap::Args;
use parlor::backup::{self, Backup, BackupError, Destination, Manifest, Parts, SHORTEST_PASSPHRASE};
use parlor_base::atomic::folder_of;
use parlor_base::escape::{EscapedPath as _, escape_untrusted, shell_word};
use parlor_config::{Config, Overrides};
use parlor_session::Secret;
use serde_json::json;

use super::ask::Terminal;
use super::fleet::first;
use super::run::leave_no_core;
use super::show::{Put as _, print, print_json, size};
use super::target::{self, Target, USUAL, is_own};
use super::{Ended, passphrase};

/// How much of a text of a manifest is shown, in bytes. A path has at most this many.
const LONGEST_SHOWN: usize = 4096;

/// The arguments of `parlor backup`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file has parlor.toml, accounts.toml, plugins.toml, the components of all plugins with their earlier versions, and the data folder: data of plugins, schedules, indexes, the audit, keys of encryption. It has no caches and no sessions of `parlor web`. The host may run meanwhile. In a cluster, the file also has the accounts' data there, as if the host were alone. A passphrase encrypts the keys. No backup has states of OMEMO sessions: after a restore, they would use keys of messages twice.\n\nExamples:\n  parlor backup monday.parlor                                  asks for a passphrase\n  parlor backup monday.parlor --passphrase-file ~/passphrase\n  parlor backup monday.parlor --with-secrets                   passwords, too, encrypted\n  parlor backup monday.parlor --without-keys                   nothing in it is encrypted\n\nExit codes: 0 written, 1 failed and nothing was written, 2 wrong usage, 3 no passphrase was given"
)]
pub struct BackupArgs {
    /// The file to write; it must not exist yet.
    file: PathBuf,
    /// Take along the files with secrets that parlor.toml, accounts.toml and plugins.toml name, as far as they are below their folder.
    #[arg(long)]
    with_secrets: bool,
    /// Leave out the keys of encryption. Accounts have new ones after a restore.
    #[arg(long)]
    without_keys: bool,
    /// The file with the passphrase, in its first line.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl BackupArgs {
    /// Writes the backup.
    pub fn run(&self) -> anyhow::Result<()> {
        leave_no_core()?;
        let config = self.target.load_to_write()?;
        if self.file.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(self.file.clone()).into());
        }
        let passphrase = if self.without_keys && !self.with_secrets { None } else { Some(self.passphrase()?) };
        let parts = Parts { keys: !self.without_keys, secrets: self.with_secrets, passphrase: passphrase.as_ref() };
        let waits = || target::say("waiting for another command that is changing the policy");
        let manifest = backup::write(&config, &self.file, parts, &target::by(), waits)?;
        let bytes = self.file.metadata().map_or(0, |found| found.len());
        if self.json {
            return print_json(&json!({
                "file": self.file.to_string_lossy(), "bytes": bytes, "made": manifest.made, "keys": manifest.keys,
                "secrets": manifest.secrets, "components": components(&manifest), "indexes": indexes(&manifest),
                "left_out": manifest.left_out,
            }));
        }
        let mut text = format!("wrote {} ({}): {}", self.file.escaped(), size(bytes), holds(&manifest));
        text.push_str(&lacks(&manifest.left_out, self.with_secrets));
        let file = shell_word(&self.file.to_string_lossy());
        text.put(format_args!("\n`parlor restore {file}` restores it, where no host runs"));
        print(&text)
    }

    fn passphrase(&self) -> anyhow::Result<Secret> {
        if let Some(file) = &self.passphrase_file {
            return passphrase::in_file(file);
        }
        let given = match Terminal::open_unless(self.json) {
            Some(terminal) => passphrase::asked_twice(&terminal, SHORTEST_PASSPHRASE)?,
            None => None,
        };
        given.ok_or_else(|| {
            let without = if self.with_secrets {
                "leave out --with-secrets and give --without-keys"
            } else {
                "give --without-keys"
            };
            Ended::Declined(format!(
                "without a passphrase keys and secrets are not written: give --passphrase-file, or {without}"
            ))
            .into()
        })
    }
}

/// Names the files that are not in a backup, of many the first ones.
fn lacks(left_out: &[String], with_secrets: bool) -> String {
    let (shown, more) = first(left_out.iter().map(|file| on_one_line(file)));
    let mut text = String::new();
    for file in &shown {
        text.put(format_args!("\nnot in it: {file}"));
    }
    if more > 0 {
        text.put(format_args!("\nnot in it: {more} more; --json names all"));
    }
    if !with_secrets && !left_out.is_empty() {
        text.push_str("\n--with-secrets takes along those with secrets that are below the folder of parlor.toml");
    }
    text
}

/// Lists the files that a backup did not have, and that the restored host needs.
fn to_put_back(left_out: &[String]) -> String {
    match left_out {
        [] => String::new(),
        [file] => format!("\n- Put this back, it was not in the backup: {}", on_one_line(file)),
        files => {
            let (count, files) = (files.len(), files.iter().map(|file| on_one_line(file)).collect::<Vec<_>>());
            format!("\n- Put these {count} files back, they were not in the backup:\n  {}", files.join("\n  "))
        }
    }
}

/// Escapes a text of a manifest: a file name, and a backup that somebody made up, could have whole lines of parlor.
fn on_one_line(file: &str) -> String {
    escape_untrusted(file, LONGEST_SHOWN)
}

fn components(manifest: &Manifest) -> usize {
    in_folder(manifest, "components/")
}

fn indexes(manifest: &Manifest) -> usize {
    in_folder(manifest, "indexes/")
}

/// Returns how many members are in a folder.
fn in_folder(manifest: &Manifest, folder: &str) -> usize {
    manifest.files.keys().filter(|name| name.starts_with(folder)).count()
}

/// Says what a backup holds.
fn holds(manifest: &Manifest) -> String {
    let keys = if manifest.keys { "keys of encryption" } else { "no keys of encryption" };
    let (components, indexes, secrets) = (components(manifest), indexes(manifest), manifest.secrets);
    format!(
        "configuration, policy, data, {keys}; components: {components}, indexes: {indexes}, files with secrets: {secrets}"
    )
}

/// The arguments of `parlor restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "The command checks the whole backup before it writes anything: digests, its version, the passphrase. It refuses a folder with a running host or with files. OMEMO sessions begin anew automatically; fingerprints and your decisions about keys of others stay. Never run the old host and the restored one at the same time. If the backup has encrypted parts and no flag decides, the command asks: restore them by the passphrase, begin with new keys, or stop. Without its passphrase, only damage is detected, and no change by others: trust such a backup like a configuration file. It can name a program that the host runs (`password_command`), a data folder, and the grants of plugins.\n\nExamples:\n  parlor restore monday.parlor                                       into this folder\n  parlor restore monday.parlor --config /etc/parlor/parlor.toml\n  parlor restore monday.parlor --without-keys                        new keys of encryption\n  parlor restore monday.parlor --force                               moves existing files aside\n\nExit codes: 0 restored, 1 failed and everything is as it was, 2 wrong usage, 3 stopped, or no passphrase was given"
)]
pub struct RestoreArgs {
    /// The backup.
    file: PathBuf,
    /// Move aside what is there, in place of refusing.
    #[arg(long)]
    force: bool,
    /// Leave out keys and files with secrets.
    #[arg(long, conflicts_with = "passphrase_file")]
    without_keys: bool,
    /// The file with the passphrase, in its first line.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The configuration file to write. It names the places of the policy and the data folder.
    #[arg(long, default_value = USUAL, env = "PARLOR_CONFIG")]
    config: PathBuf,
    /// The data folder, instead of the configuration's `data`.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The policy file, instead of the configuration's `plugins`.
    #[arg(long)]
    plugins: Option<PathBuf>,
}

impl RestoreArgs {
    /// Restores the backup.
    pub fn run(&self) -> anyhow::Result<()> {
        leave_no_core()?;
        is_own(&[folder_of(&self.config)])?;
        let mut backup = Backup::open(&self.file)?;
        let passphrase = match &self.passphrase_file {
            // Also if nothing is encrypted: whoever gives it expects that it shows every change.
            Some(file) => Some(passphrase::in_file(file)?),
            None if backup.is_sealed() => self.passphrase(backup.manifest())?,
            None => None,
        };
        let to = Destination {
            config: self.config.clone(),
            overrides: Overrides { data: self.data.clone(), plugins: self.plugins.clone(), ..Overrides::default() },
            is_forced: self.force,
        };
        let restored = backup.restore(&to, passphrase.as_ref(), &target::by())?;
        let manifest = backup.manifest();
        let lacks_secrets = manifest.secrets - restored.secrets.min(manifest.secrets);
        if self.json {
            let aside: Vec<_> = restored.aside.iter().map(|path| path.to_string_lossy()).collect();
            return print_json(&json!({
                "config": restored.places.path.to_string_lossy(), "policy": restored.places.plugins.to_string_lossy(),
                "data": restored.places.data.to_string_lossy(),
                "made": manifest.made, "keys": restored.has_keys, "secrets": restored.secrets,
                "left_out": manifest.left_out, "aside": aside, "vouched_for": restored.is_vouched_for,
            }));
        }
        let places = &restored.places;
        let mut text = format!(
            "restored the backup of {}, written by parlor {}\n  {}\n  {}\n  {}",
            manifest.made,
            manifest.parlor,
            places.path.escaped(),
            places.plugins.escaped(),
            places.data.escaped()
        );
        if !restored.is_vouched_for {
            text.push_str("\nno passphrase has shown that nobody changed the backup");
        }
        for path in &restored.aside {
            text.put(format_args!("\nwhat was there before is in {}", path.escaped()));
        }
        text.push_str("\n\nNext:\n- Stop the old host for good, if it still runs: two hosts with the same keys use keys of messages twice.");
        text.push_str(&to_put_back(&manifest.left_out));
        if lacks_secrets > 0 {
            text.put(format_args!(
                "\n- Put back the files with secrets that {} and {} name: --without-keys left them out ({lacks_secrets}).",
                places.path.escaped(),
                places.plugins.escaped()
            ));
        }
        text.push_str(if restored.has_keys {
            "\n- OMEMO sessions begin anew. A message that comes for an old one cannot be read; the next one can."
        } else {
            "\n- Accounts get new keys of encryption: people who compared the old fingerprints have to compare the new ones."
        });
        let elsewhere = flags_for(places);
        if !elsewhere.is_empty() {
            text.put(format_args!(
                "\n- {} names another place: correct it there, or give each command, and `parlor run`, the flags{elsewhere}.",
                places.path.escaped()
            ));
        }
        let config = shell_word(&places.path.to_string_lossy());
        text.put(format_args!("\n- Check it with `parlor doctor --config {config}{elsewhere}`, then start the host."));
        print(&text)
    }

    /// Asks for the passphrase; none if the encrypted parts are left out. Without flags, the user says what to do.
    fn passphrase(&self, manifest: &Manifest) -> anyhow::Result<Option<Secret>> {
        if self.without_keys {
            return Ok(None);
        }
        let declined = |what: &str| {
            let flags = "give --passphrase-file, or --without-keys to leave them out";
            Ended::Declined(format!("{what}, and nothing was changed: {flags}"))
        };
        let Some(terminal) = Terminal::open_unless(self.json) else {
            return Err(declined("the backup has encrypted parts").into());
        };
        for line in choices(manifest) {
            terminal.says(&line)?;
        }
        match terminal.choose("Restore them, begin with new keys, or stop? [r/n/S]", &[RESTORE, BEGIN_ANEW, STOP])? {
            Some(0) => {
                let given = passphrase::asked(&terminal)?;
                given.map(Some).ok_or_else(|| declined("no passphrase was given").into())
            }
            Some(1) => Ok(None),
            _ => Err(declined("stopped").into()),
        }
    }
}

/// Returns the flags that lead to the restored files if the restored configuration does not, each with a space before it.
fn flags_for(places: &Config) -> String {
    let written = Config::places_alone(&places.path, &Overrides::default());
    let flag = |name: &str, path: &Path, written: Option<&PathBuf>| {
        let is_named = written.is_some_and(|written| written == path);
        if is_named { String::new() } else { format!(" --{name} {}", shell_word(&path.to_string_lossy())) }
    };
    let (data, plugins) = written.as_ref().map(|written| (&written.data, &written.plugins)).ok().unzip();
    flag("data", &places.data, data) + &flag("plugins", &places.plugins, plugins)
}

/// The answers to the question what to do with the encrypted parts of a backup.
const RESTORE: &[&str] = &["r", "restore"];
const BEGIN_ANEW: &[&str] = &["n", "new"];
/// Nothing is one of them.
const STOP: &[&str] = &["s", "stop", ""];

/// Explains what can be done with the encrypted parts of a backup.
fn choices(manifest: &Manifest) -> Vec<String> {
    let secrets = match manifest.secrets {
        0 => String::new(),
        1 => "1 file with secrets".to_owned(),
        many => format!("{many} files with secrets"),
    };
    let parts = [if manifest.keys { "keys of encryption" } else { "" }, &secrets];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let restore = if manifest.keys {
        "r  restore them: the fingerprints stay, and so do your decisions; the old host must never run again"
    } else {
        "r  restore them"
    };
    let anew = "n  begin with new keys, and leave these parts out: people who compared fingerprints compare again";
    vec![
        format!("the backup has encrypted parts: {}", parts.join(", ")),
        restore.to_owned(),
        anew.to_owned(),
        "s  stop, and change nothing".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_in_a_backup_are_a_short_list_with_the_flag_that_takes_them_along() {
        let files: Vec<_> = (0..33).map(|number| format!("/srv/a{number}.password")).collect();
        let said = lacks(&files, false);
        assert!(said.starts_with("\nnot in it: /srv/a0.password\n") && said.lines().count() == 13, "{said}");
        assert!(said.contains("\nnot in it: 23 more; --json names all\n--with-secrets takes along "), "{said}");
        assert_eq!(lacks(&files[..1], true), "\nnot in it: /srv/a0.password");
        assert_eq!(lacks(&[], false), "");
        let back = to_put_back(&files);
        assert!(back.starts_with("\n- Put these 33 files back") && back.matches("Put ").count() == 1, "{back}");
        assert!(back.ends_with("\n  /srv/a32.password"), "{back}");
    }

    #[test]
    fn what_a_backup_lacks_has_no_lines_that_could_be_of_parlor() {
        let one = "a\n- Start the host with --data /tmp/x".to_owned();
        for said in [lacks(std::slice::from_ref(&one), true), to_put_back(std::slice::from_ref(&one))] {
            assert_eq!(said.lines().count(), 2, "{said}");
        }
        let said = to_put_back(&[one.clone(), one]);
        assert_eq!(said.lines().count(), 4, "{said}");
    }

    #[test]
    fn a_host_that_is_restored_to_other_places_is_found_by_flags() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        std::fs::write(&path, "data = \"/srv/old\"\n").unwrap();
        let flags = |data: Option<&str>, plugins: Option<&str>| {
            let overrides = Overrides {
                data: data.map(PathBuf::from),
                plugins: plugins.map(PathBuf::from),
                environment: |_| None,
                ..Overrides::default()
            };
            flags_for(&Config::places_alone(&path, &overrides).unwrap())
        };
        assert_eq!(flags(None, None), "");
        assert_eq!(flags(Some("/srv/old"), None), "");
        assert_eq!(flags(Some("/srv/new house"), None), " --data '/srv/new house'");
        assert_eq!(flags(Some("new"), Some("x.toml")), " --data new --plugins x.toml");
    }
}
