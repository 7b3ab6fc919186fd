//! Reading a backup, and restoring it where no host runs. Everything is checked before anything is changed; then files
//! are written next to their places and renamed, the configuration last, so that no host starts with half of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use parlor_base::atomic::{folder_of, make_private_folder, open_plain};
use parlor_config::{Config, Overrides, accounts_file};
use parlor_plugins::index::Indexes;
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::file::EditError;
use parlor_session::Secret;
use parlor_store::{AuditFile, AuditKind, By, NewAuditEntry, Retention, backup};
use semver::Version;
use serde::Deserialize;

use super::archive::{self, Member};
use super::error::BackupError;
use super::places::{Moves, draft_of, new_file, taken, write_new};
use super::secrets::{Base, FOLDER, Sealed, SecretFile, is_below, once, real};
use super::stage::{RESTORE, Stage};
use super::write::{index_of, is_component, is_versions, summed};
use super::{
    ACCOUNTS, COMPONENTS, CONFIG, FORMAT, INDEXES, MANIFEST, Manifest, POLICY, SEALED, STORE, VERSIONS, sealed,
};
use crate::host::StartError;
use crate::host::lock::lock;

/// The largest manifest, configuration and policy, in bytes.
const LARGEST_TEXT: u64 = 64 << 20;
/// The largest encrypted part, in bytes.
const LARGEST_SEALED: u64 = 1 << 30;
/// Nothing of the audit goes because it is restored: the host that starts goes by its own configuration.
const WHOLE_AUDIT: Retention = Retention { days: 36_500, bytes: 16 << 30 };

/// A backup that was checked.
#[derive(Debug)]
pub struct Backup {
    file: File,
    path: PathBuf,
    members: BTreeMap<String, Member>,
    manifest: Manifest,
    /// The bytes of the manifest, which the encrypted part vouches for.
    head: Vec<u8>,
}

/// The place that a backup is restored to.
#[derive(Debug)]
pub struct Destination {
    /// The configuration file.
    pub config: PathBuf,
    /// The values that override the places in the restored configuration.
    pub overrides: Overrides,
    /// Whether files that are there are moved aside.
    pub is_forced: bool,
}

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The configuration file, the policy and the data folder.
    pub places: Config,
    /// Whether the keys of encryption were.
    pub has_keys: bool,
    /// How many files with secrets were.
    pub secrets: usize,
    /// Whether the passphrase has shown that nobody changed the backup.
    pub is_vouched_for: bool,
    /// The new places of files that were there before.
    pub aside: Vec<PathBuf>,
}

/// The beginning of every manifest, in any format.
#[derive(Deserialize)]
struct Format {
    format: u32,
    #[serde(default)]
    parlor: String,
}

impl Backup {
    /// Reads a backup and checks all of it except for the encrypted member. Nothing is changed.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let mut file = open_plain(path, 0).map_err(BackupError::file(path))?;
        let damaged = |what: &str| BackupError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let broken = |error: io::Error| match error.kind() {
            ErrorKind::InvalidData => damaged(&error.to_string()),
            ErrorKind::UnexpectedEof => damaged("its end is missing"),
            _ => BackupError::File { path: path.to_owned(), cause: error },
        };
        let mut begin = Vec::new();
        (&mut file).take(MANIFEST.len() as u64).read_to_end(&mut begin).map_err(broken)?;
        if begin != MANIFEST.as_bytes() {
            return Err(BackupError::NoBackup(path.to_owned()));
        }
        let members = archive::index(&mut file).map_err(broken)?;
        let member = *members.get(MANIFEST).ok_or_else(|| damaged("its manifest is missing"))?;
        let head = bounded(&mut file, member, LARGEST_TEXT).map_err(broken)?;
        let unreadable = |_| damaged("its manifest cannot be read");
        let Format { format, parlor } = serde_json::from_slice(&head).map_err(unreadable)?;
        if format != FORMAT {
            return Err(BackupError::Newer { path: path.to_owned(), format, parlor });
        }
        let manifest: Manifest = serde_json::from_slice(&head).map_err(unreadable)?;
        if !is_plain(&manifest) {
            return Err(damaged("its manifest cannot be read"));
        }
        let is_listed = |name: &str| name == MANIFEST || name == SEALED || manifest.files.contains_key(name);
        if let Some(name) = members.keys().find(|name| !is_listed(name) || !is_known(name)) {
            return Err(damaged(&format!("it has a part {name:?} that does not belong there")));
        }
        for name in [CONFIG, STORE] {
            if !manifest.files.contains_key(name) {
                return Err(damaged(&format!("{name} is missing")));
            }
        }
        if (manifest.keys || manifest.secrets > 0) && !members.contains_key(SEALED) {
            return Err(damaged("its encrypted part is missing"));
        }
        for (name, piece) in &manifest.files {
            let member = *members.get(name).ok_or_else(|| damaged(&format!("{name} is missing")))?;
            let found = archive::read(&mut file, member).and_then(summed).map_err(broken)?;
            if found != *piece {
                return Err(damaged(&format!("{name} is not as it was written")));
            }
        }
        Ok(Self { file, path: path.to_owned(), members, manifest, head })
    }

    /// Returns what the backup says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns whether a part of it is encrypted.
    pub fn is_sealed(&self) -> bool {
        self.members.contains_key(SEALED)
    }

    /// Restores the backup. Without a passphrase, the encrypted member is left out. With one there must be such a member: it vouches
    /// for all others.
    pub fn restore(&mut self, to: &Destination, passphrase: Option<&Secret>, by: &By) -> Result<Restored, BackupError> {
        let config = self.text(CONFIG)?.unwrap_or_default();
        let places = Config::places_in(&to.config, &String::from_utf8_lossy(&config), &to.overrides)?;
        is_near(&places, to)?;
        let opened = match passphrase {
            Some(passphrase) => self.opened(passphrase)?,
            None => Sealed::default(),
        };
        let mut in_the_way = taken(&places);
        let beside = opened.files.iter().filter(|file| file.base == Base::Config);
        let beside = beside.map(|file| folder_of(&places.path).join(&file.path));
        in_the_way.extend(beside.filter(|path| path.symlink_metadata().is_ok()));
        if !in_the_way.is_empty() && !to.is_forced {
            return Err(BackupError::Taken(in_the_way));
        }
        let _lock = lock(&places.data).map_err(|error| match error {
            StartError::Busy(data) => BackupError::Running(data),
            other => BackupError::File { path: places.data.clone(), cause: io::Error::other(other.to_string()) },
        })?;
        let stage = Stage::begin(&places.data, RESTORE)?;
        let moved = self.moved(&opened.files, &places);
        let (config, policy) = (renamed(config, &moved), self.text(POLICY)?.map(|text| renamed(text, &moved)));
        if let Some(text) = &policy {
            Policy::understand(&String::from_utf8_lossy(text), &places.plugins).map_err(EditError::from)?;
        }
        let accounts =
            self.text(ACCOUNTS)?.map(|text| accounts_beside(&places.path, renamed(text, &moved))).transpose()?;
        self.fill(&stage.folder, opened.keys.as_deref(), by)?;
        let (of_data, of_config): (Vec<_>, Vec<_>) = opened.files.iter().partition(|file| file.base == Base::Data);
        for file in of_data {
            write_secret(file, &stage.folder.join(&file.path))?;
        }
        let mut placing = Moves::default();
        let aside = placing.clear(&places).map_err(BackupError::file(&places.data))?;
        for name in [STORE, COMPONENTS, VERSIONS, INDEXES, FOLDER] {
            let from = stage.folder.join(name);
            if from.exists() {
                placing.put(&from, &places.data.join(name)).map_err(BackupError::file(&places.data))?;
            }
        }
        let mut files = Vec::new();
        for file in of_config {
            files.push((folder_of(&places.path).join(&file.path), decoded(file)?));
        }
        files.extend(policy.map(|text| (places.plugins.clone(), text)));
        files.extend(accounts);
        // Without it no host starts, so it is the last.
        files.push((places.path.clone(), config));
        stage.note_drafts(&files.iter().map(|(path, _)| draft_of(path)).collect::<Vec<_>>())?;
        let also_aside = placing.put_files(&files)?;
        placing.keep();
        let aside = aside.into_iter().chain(also_aside).collect();
        let (has_keys, secrets, is_vouched_for) = (opened.keys.is_some(), opened.files.len(), passphrase.is_some());
        Ok(Restored { places, has_keys, secrets, is_vouched_for, aside })
    }

    /// Returns where each file with a secret was, and where it is from now on.
    fn moved(&self, files: &[SecretFile], places: &Config) -> Vec<(String, String)> {
        let now = |folder: &Path| real(folder).ok().and_then(|folder| folder.to_str().map(str::to_owned));
        let (Some(data), Some(config)) = (now(&places.data), now(folder_of(&places.path))) else { return Vec::new() };
        let paths = files.iter().flat_map(|SecretFile { base, path, spellings, .. }| {
            let (old, new) = match base {
                Base::Data => (&self.manifest.data, &data),
                Base::Config => (&self.manifest.config, &config),
            };
            let new = format!("{new}/{path}");
            // A path from the folder of the configuration stays as it is written if it still leads there.
            let leads_elsewhere = |one: &&String| Path::new(&config).join(one) != Path::new(&new);
            let others: Vec<_> =
                spellings.iter().filter(leads_elsewhere).map(|one| (one.clone(), new.clone())).collect();
            std::iter::once((format!("{old}/{path}"), new)).chain(others)
        });
        paths.collect()
    }

    /// Puts the parts of the data folder together in the stage, with the keys.
    fn fill(&mut self, stage: &Path, keys: Option<&str>, by: &By) -> Result<(), BackupError> {
        let names: Vec<_> = self
            .manifest
            .files
            .keys()
            .filter(|name| ![CONFIG, ACCOUNTS, POLICY].contains(&name.as_str()))
            .cloned()
            .collect();
        for name in names {
            let to = stage.join(&name);
            make_private_folder(folder_of(&to)).map_err(BackupError::file(&to))?;
            self.extract(&name, &to)?;
            self.check_index(&name, &to)?;
        }
        let store = stage.join(STORE);
        backup::examine(&store)?;
        if let Some(keys) = keys {
            backup::put_keys(&store, keys.as_bytes())?;
        }
        let Manifest { made, parlor, .. } = &self.manifest;
        let with = if keys.is_some() { "with keys" } else { "without keys" };
        let entry = NewAuditEntry::new(AuditKind::Host, by, "a backup was restored");
        let new = Some(format!("of {made}, written by parlor {parlor}, {with}"));
        AuditFile::create(stage, WHOLE_AUDIT)?.add(&[NewAuditEntry { new, ..entry }])?;
        // Only the file is moved to its place.
        Ok(backup::settle(&store)?)
    }

    /// Checks that a member is an index that can be read, if it has the name of one.
    fn check_index(&self, name: &str, extracted: &Path) -> Result<(), BackupError> {
        let Some(index) = name.strip_prefix(INDEXES).and_then(|file| index_of(file.trim_start_matches('/'))) else {
            return Ok(());
        };
        let size = self.members.get(name).map_or(0, |member| member.size);
        let bytes = if size > LARGEST_TEXT { Ok(Vec::new()) } else { fs::read(extracted) };
        if Indexes::is_intact(&index, &bytes.map_err(BackupError::file(extracted))?) {
            return Ok(());
        }
        Err(BackupError::Damaged { path: self.path.clone(), what: format!("{name} is no index of plugins") })
    }

    /// Copies a member into a new file, and checks it once more: somebody may have changed the backup meanwhile.
    fn extract(&mut self, name: &str, to: &Path) -> Result<(), BackupError> {
        let Some(member) = self.members.get(name).copied() else { return Ok(()) };
        let copied = (|| {
            let mut file = new_file(to)?;
            io::copy(&mut archive::read(&mut self.file, member)?, &mut file)?;
            file.sync_all()
        })();
        copied.map_err(BackupError::file(to))?;
        let found = File::open(to).and_then(summed).map_err(BackupError::file(to))?;
        if self.manifest.files.get(name) == Some(&found) {
            return Ok(());
        }
        Err(BackupError::Damaged { path: self.path.clone(), what: format!("{name} changes while it is read") })
    }

    /// Returns a member as text that is not too long; none if there is none.
    fn text(&mut self, name: &str) -> Result<Option<Vec<u8>>, BackupError> {
        let Some(member) = self.members.get(name).copied() else { return Ok(None) };
        let bytes = bounded(&mut self.file, member, LARGEST_TEXT).map_err(BackupError::file(&self.path))?;
        let found = summed(&bytes[..]).map_err(BackupError::file(&self.path))?;
        if self.manifest.files.get(name) == Some(&found) {
            return Ok(Some(bytes));
        }
        Err(BackupError::Damaged { path: self.path.clone(), what: format!("{name} changes while it is read") })
    }

    fn opened(&mut self, passphrase: &Secret) -> Result<Sealed, BackupError> {
        let sealed = self.members.get(SEALED).copied();
        let member = sealed.ok_or_else(|| BackupError::NotSealed(self.path.clone()))?;
        let bytes = bounded(&mut self.file, member, LARGEST_SEALED).map_err(BackupError::file(&self.path))?;
        let text = sealed::open(passphrase, &bytes, &self.head).map_err(BackupError::file(&self.path))?;
        let text = text.ok_or(BackupError::WrongPassphrase)?;
        let damaged = |what: String| BackupError::Damaged { path: self.path.clone(), what };
        let unreadable = || damaged("its encrypted part".to_owned());
        let Sealed { keys, files } = serde_json::from_slice(&text).map_err(|_| unreadable())?;
        if !files.iter().all(|file| is_below(file.base, &file.path)) {
            return Err(unreadable());
        }
        let files = once(files).map_err(|path| damaged(format!("{path:?} is in it twice, with different contents")))?;
        Ok(Sealed { keys, files })
    }
}

/// Checks that a policy goes to where the user expects it. A backup that somebody made up could name any file.
fn is_near(places: &Config, to: &Destination) -> Result<(), BackupError> {
    let chosen = Config::places_in(&to.config, "", &to.overrides)?;
    let is_straight = |path: &Path| !path.components().any(|one| one == Component::ParentDir);
    let is_below = |folder: &Path| places.plugins.strip_prefix(folder).is_ok_and(is_straight);
    // Programs act upon files of other kinds there: a shell runs `.profile`. The backup also names the data folder.
    let is_toml = places.plugins.extension().is_some_and(|ending| ending == "toml");
    if places.plugins == chosen.plugins || is_toml && (is_below(folder_of(&to.config)) || is_below(&places.data)) {
        return Ok(());
    }
    Err(BackupError::Elsewhere { policy: places.plugins.clone(), config: to.config.clone() })
}

/// Returns whether the time, the version and the names of a manifest have their forms. Users read them in parlor's own lines, to which a
/// backup that somebody made up could add others.
fn is_plain(manifest: &Manifest) -> bool {
    manifest.made.parse::<Timestamp>().is_ok()
        && manifest.parlor.parse::<Version>().is_ok()
        && manifest.files.keys().all(|name| is_known(name))
}

/// Returns whether a member may have this name.
fn is_known(name: &str) -> bool {
    match name.split_once('/') {
        None => [MANIFEST, CONFIG, ACCOUNTS, POLICY, STORE, SEALED].contains(&name),
        Some((COMPONENTS, file)) => is_component(file),
        Some((VERSIONS, file)) => is_versions(file),
        Some((INDEXES, file)) => index_of(file).is_some(),
        Some(_) => false,
    }
}

fn bounded(file: &mut File, member: Member, most: u64) -> io::Result<Vec<u8>> {
    if member.size > most {
        return Err(io::Error::new(ErrorKind::InvalidData, "a part of it is too large"));
    }
    let mut bytes = Vec::new();
    archive::read(file, member)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Has a file name other files where they are now. parlor itself writes whole paths of secrets, and `init` those of certificates.
fn renamed(text: Vec<u8>, moved: &[(String, String)]) -> Vec<u8> {
    let Ok(mut text) = String::from_utf8(text.clone()) else { return text };
    let is_plain = |path: &str| !path.contains(['"', '\'', '\\']) && !path.contains(char::is_control);
    for (old, new) in moved.iter().filter(|(old, new)| old != new && is_plain(old) && is_plain(new)) {
        for quote in ['"', '\''] {
            text = text.replace(&format!("{quote}{old}{quote}"), &format!("{quote}{new}{quote}"));
        }
    }
    text.into_bytes()
}

/// Returns the place of accounts beside a configuration file, with their text.
fn accounts_beside(config: &Path, text: Vec<u8>) -> Result<(PathBuf, Vec<u8>), BackupError> {
    let no_place = "a configuration file of this name has no accounts.toml beside it: give it another one";
    let file = accounts_file(config).ok_or_else(|| BackupError::file(config)(io::Error::other(no_place)))?;
    Ok((file, text))
}

fn decoded(file: &SecretFile) -> Result<Vec<u8>, BackupError> {
    hex::decode(&file.hex)
        .map_err(|_| BackupError::File { path: PathBuf::from(&file.path), cause: ErrorKind::InvalidData.into() })
}

fn write_secret(file: &SecretFile, to: &Path) -> Result<(), BackupError> {
    write_new(to, &decoded(file)?)
}

#[cfg(test)]
mod tests {
    use super::super::Piece;
    use super::*;

    #[test]
    fn only_known_names_are_parts_of_a_backup() {
        let digits = "0123456789abcdef".repeat(4);
        for name in [MANIFEST, CONFIG, ACCOUNTS, POLICY, STORE, SEALED, "versions/echo.json", "indexes/examples.json"] {
            assert!(is_known(name), "{name}");
        }
        assert!(is_known(&format!("components/{digits}.wasm")));
        for name in [
            "",
            "/etc/passwd",
            "../parlor.toml",
            "components/../../x.wasm",
            "components/x.wasm",
            "versions/../x.json",
            "indexes/../x.json",
            "indexes/x.toml",
            "indexes/.lock",
            "window/sessions.json",
            "secrets/echo/token",
            "parlor.lock",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }

    #[test]
    fn a_manifest_has_no_texts_that_could_be_lines_of_parlor() {
        let is_taken = |made: &str, parlor: &str, file: &str| {
            let piece = Piece { size: 0, digest: String::new() };
            is_plain(&Manifest {
                format: FORMAT,
                parlor: parlor.to_owned(),
                made: made.to_owned(),
                data: String::new(),
                config: String::new(),
                keys: false,
                secrets: 0,
                left_out: Vec::new(),
                files: BTreeMap::from([(file.to_owned(), piece)]),
            })
        };
        let (made, parlor) = (Timestamp::UNIX_EPOCH.to_string(), env!("CARGO_PKG_VERSION"));
        assert!(is_taken(&made, parlor, CONFIG));
        let line = "\nthe passphrase has shown that nobody changed the backup";
        assert!(!is_taken(&(made.clone() + line), parlor, CONFIG) && !is_taken("", parlor, CONFIG));
        assert!(!is_taken(&made, &(parlor.to_owned() + line), CONFIG) && !is_taken(&made, "", CONFIG));
        assert!(!is_taken(&made, parlor, &(CONFIG.to_owned() + line)));
    }

    #[test]
    fn a_policy_goes_to_no_other_place_than_the_user_expects() {
        let overrides = |plugins: Option<&str>| Overrides {
            plugins: plugins.map(PathBuf::from),
            environment: |_| None,
            ..Overrides::default()
        };
        let is_taken = |written: &str, plugins: Option<&str>| {
            let overrides = overrides(plugins);
            let to = Destination { config: "/etc/parlor/parlor.toml".into(), overrides, is_forced: false };
            let text = format!("data = \"/var/lib/parlor\"\nplugins = \"{written}\"\n");
            is_near(&Config::places_in(&to.config, &text, &to.overrides).unwrap(), &to).is_ok()
        };
        for near in ["plugins.toml", "sub/plugins.toml", "/etc/parlor/p.toml", "/var/lib/parlor/plugins.toml"] {
            assert!(is_taken(near, None), "{near}");
        }
        for elsewhere in [
            "/home/ann/x.toml",
            "../cron.d/x.toml",
            "sub/../../cron.d/x.toml",
            "/var/lib/parlor/../x.toml",
            "/etc/parlorx.toml",
            "/etc/parlor/.profile",
            ".bash_login",
            "/var/lib/parlor/x",
        ] {
            assert!(!is_taken(elsewhere, None), "{elsewhere}");
            assert!(is_taken(elsewhere, Some("/srv/plugins.toml")) && is_taken("x", Some(elsewhere)), "{elsewhere}");
        }
    }

    #[test]
    fn a_file_names_secrets_where_they_are_now() {
        let old = "key = { file = \"/old/secrets/echo/key\" }\nca_file = '/old/ca.pem'\nother = \"/old/ca.pem.txt\"\n";
        let moved = [("/old/secrets/echo/key", "/new/secrets/echo/key"), ("/old/ca.pem", "/etc/new/ca.pem")];
        let moved = moved.map(|(old, new)| (old.to_owned(), new.to_owned()));
        let new =
            "key = { file = \"/new/secrets/echo/key\" }\nca_file = '/etc/new/ca.pem'\nother = \"/old/ca.pem.txt\"\n";
        assert_eq!(renamed(old.as_bytes().to_vec(), &moved), new.as_bytes());
        let odd = [("/old/ca.pem".to_owned(), "/x'\\".to_owned())];
        assert_eq!(renamed(old.as_bytes().to_vec(), &odd), old.as_bytes());
        assert_eq!(renamed(vec![0xff], &moved), [0xff]);
    }
}
