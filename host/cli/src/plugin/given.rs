//! Secrets that an owner gives when a plugin is installed or updated, since it does not run without them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::PluginId;
use parlor_plugins::admin::{AdminError, GivenSecrets, NewSecret, lacking, secret_fits};
use parlor_plugins::admission::Refusal;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_plugins::secret::SecretSource;
use serde_json::Value;

use crate::ask::Terminal;
use crate::{Ended, target, wait_for};

/// The most of an author's description that a question repeats, in bytes.
const LONGEST_ABOUT: usize = 200;

/// The longest secret, in bytes.
const LONGEST_SECRET: u64 = 16 << 10;
/// How long to wait for a secret on standard input before a message says so.
const QUIET: Duration = Duration::from_secs(1);

/// The value of `--secret`: `NAME=FILE`, or `NAME` to read standard input.
#[derive(Debug, Clone)]
pub(super) struct SecretFlag {
    name: String,
    file: Option<PathBuf>,
}

impl FromStr for SecretFlag {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file)));
        Ok(Self { name: name.to_owned(), file: file.map(PathBuf::from) })
    }
}

/// A secret as it was given.
enum Secret {
    Text(String),
    At(SecretSource),
}

/// The secrets that an owner gave, by setting.
#[derive(Default)]
pub(super) struct Given(BTreeMap<String, Secret>);

impl Given {
    /// Returns the same as the administration takes it.
    pub(super) fn secrets(&self) -> GivenSecrets<'_> {
        let all = self.0.iter().map(|(name, secret)| match secret {
            Secret::Text(text) => (name.as_str(), NewSecret::Text(text)),
            Secret::At(source) => (name.as_str(), NewSecret::At(source)),
        });
        all.collect()
    }

    /// Returns the places of these secrets, as the policy has them.
    pub(super) fn kept<'e>(&self, entry: &'e Entry) -> impl Iterator<Item = &'e Value> {
        self.0.keys().filter_map(move |name| entry.settings.0.get(name))
    }

    /// Reads the secrets that the flags name.
    pub(super) fn by_flags(
        flags: &[SecretFlag],
        id: &PluginId,
        manifest: &Manifest,
        as_json: bool,
    ) -> anyhow::Result<Self> {
        let mut given = Self::default();
        if flags.iter().filter(|flag| flag.file.is_none()).count() > 1 {
            bail!("standard input has one secret: name files for the others, by --secret NAME=FILE");
        }
        for SecretFlag { name, file } in flags {
            let name = escape_untrusted(name, LONGEST_ABOUT);
            let Some(setting) = manifest.settings.get(&name) else { bail!("{id} has no setting {name:?}") };
            if !setting.kind.is_secret() {
                bail!("{name} is no secret: --secret is for secrets and credentials");
            }
            let secret = match file {
                Some(file) => {
                    let source = secret_file(&name, file)?;
                    refuse_unfit(&source, |text| secret_fits(id, manifest, &name, text))?;
                    Secret::At(source)
                }
                None => Secret::Text(secret(&name, None, as_json, &format!("or name a file by --secret {name}=FILE"))?),
            };
            given.0.insert(name, secret);
        }
        Ok(given)
    }

    /// Asks for the secrets that a plugin needs and that neither were given nor are set. `why`: what is said about one besides.
    pub(super) fn ask(
        &mut self,
        terminal: &Terminal,
        manifest: &Manifest,
        is_set: impl Fn(&str) -> bool,
        why: impl Fn(&str) -> String,
    ) -> anyhow::Result<()> {
        let names: Vec<_> = lacking(manifest, |name| self.0.contains_key(name) || is_set(name)).collect();
        for name in names {
            let Some(setting) = manifest.settings.get(name) else { continue };
            let about = escape_untrusted(&setting.description, LONGEST_ABOUT);
            let question = format!("The secret {name} ({about}), which it needs and which is not shown{}:", why(name));
            let typed = terminal.ask_hidden(&question)?.filter(|typed| !typed.is_empty());
            let typed = typed.context("nothing was typed, so nothing was changed")?;
            self.0.insert(name.to_owned(), Secret::Text(typed));
        }
        Ok(())
    }
}

/// Converts a missing grant into the result `Declined`, so that programs can distinguish it from a failure.
fn needs_consent(error: AdminError, id: &PluginId) -> anyhow::Error {
    match error {
        AdminError::Refused(Refusal::NotGranted { lacking, .. }) => {
            let flags: Vec<_> = lacking.iter().map(|lacking| format!("--grant {}", lacking.permission)).collect();
            let sentence = format!("{id} cannot do without what was not granted; to grant it: {}", flags.join(" "));
            Ended::Declined(sentence).into()
        }
        error => error.into(),
    }
}

/// Returns a file with a secret by its whole path: the policy may be in another folder.
pub(super) fn secret_file(name: &str, file: &Path) -> anyhow::Result<SecretSource> {
    let path = file.canonicalize();
    let path =
        path.with_context(|| format!("nothing was changed: the file {} with {name} cannot be read", file.escaped()))?;
    Ok(SecretSource::File(path))
}

/// Refuses a file whose content cannot be the secret, as the check says: it is too short for a credential, or no request to a webhook
/// could be verified by it. The host reports all other problems of a file, and all problems of a command, since only the host runs it.
pub(super) fn refuse_unfit(
    source: &SecretSource,
    check: impl FnOnce(&str) -> Result<(), AdminError>,
) -> anyhow::Result<()> {
    if let SecretSource::File(_) = source
        && let Ok(text) = wait_for(source.open())?
    {
        check(&text)?;
    }
    Ok(())
}

/// Reads a secret from the terminal or standard input, without the line end. `present` says where the current one
/// is. `advice` says how else to give it.
pub(super) fn secret(name: &str, present: Option<&str>, as_json: bool, advice: &str) -> anyhow::Result<String> {
    if let Some(terminal) = Terminal::open_unless(as_json) {
        // A user who only wants to know whether there is a secret must not lose it.
        let question = match present {
            None => format!("The secret {name}, which is not shown:"),
            Some(present) => {
                format!("The secret {name} {present}; a new one, which is not shown, or nothing to leave it:")
            }
        };
        let typed = terminal.ask_hidden(&question)?;
        return typed.filter(|typed| !typed.is_empty()).context("nothing was typed, so nothing was changed");
    }
    if io::stdin().is_terminal() {
        bail!("{name} is a secret: give it on standard input, {advice}");
    }
    let (sender, given) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // Three more bytes than allowed, for a line end and one byte: a secret that is too long is then refused, not
        // truncated.
        let read = io::stdin().lock().take(LONGEST_SECRET + 3).read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes));
    });
    let read = match given.recv_timeout(QUIET) {
        Err(RecvTimeoutError::Timeout) => {
            target::say(&format!("waiting for the secret {name} on standard input, {advice}"));
            given.recv().context("standard input")?
        }
        read => read.context("standard input")?,
    };
    let mut bytes = read.context("standard input")?;
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    bytes.truncate(end);
    match bytes.len() as u64 {
        0 => bail!("{name} is a secret, and there is nothing on standard input: give it there, {advice}"),
        1..=LONGEST_SECRET => String::from_utf8(bytes).context("standard input"),
        _ => {
            bail!("there are more than {LONGEST_SECRET} bytes on standard input, which is more than a secret may have")
        }
    }
}

/// Explains why a version is not installed, with what the owner can do. `is_new`: no version of it is installed.
pub(super) fn explained(error: AdminError, id: &PluginId, is_new: bool) -> anyhow::Error {
    let (name, about, is_secret) = match error {
        AdminError::Refused(Refusal::Unset { name, about, is_secret, .. }) => (name, about, is_secret),
        error => return needs_consent(error, id),
    };
    let flag = if is_secret {
        format!("give it by --secret {name}=FILE, or by --secret {name} on standard input; or ")
    } else {
        String::new()
    };
    let value = if is_secret { "" } else { " VALUE" };
    let later = if is_new {
        "install it with --disabled".to_owned()
    } else {
        format!("run `parlor plugin disable {id}`, update it")
    };
    anyhow!(
        "{id} needs its setting `{name}` ({about}), so nothing was changed: {flag}{later}, set it by `parlor plugin config {id} \
         {name}{value}`, and run `parlor plugin enable {id}`"
    )
}

#[cfg(test)]
mod tests {
    use parlor_config::Config;

    use super::*;
    use crate::plugin::secret_files::to_copy;

    fn manifest() -> Manifest {
        let text = "[plugin]\nname = \"quotes\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
                    [settings.api_key]\ntype = \"credential\"\nhosts = [\"api.example.org\"]\nrequired = true\ndescription = \"A key\"\n\
                    [settings.other]\ntype = \"secret\"\ndescription = \"X\"\n[settings.many]\ntype = \"number\"\ndescription = \"X\"\n";
        Manifest::parse(text).unwrap()
    }

    #[test]
    fn a_secret_is_given_by_a_file_and_only_one_that_is_needed_is_asked_for() {
        let (id, manifest) = ("quotes".parse().unwrap(), manifest());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "s3cr3t-8\n").unwrap();
        let flags = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SecretFlag>>();
        let read = |texts: &[&str]| Given::by_flags(&flags(texts), &id, &manifest, true);
        let given = read(&[&format!("api_key={}", file.display())]).unwrap();
        assert_eq!(given.secrets().into_keys().collect::<Vec<_>>(), ["api_key"]);
        assert_eq!(lacking(&manifest, |_| false).collect::<Vec<_>>(), ["api_key"]);
        assert_eq!(lacking(&manifest, |name| given.0.contains_key(name)).count(), 0);
        for (texts, says) in [
            (&["many=x"][..], "many is no secret"),
            (&["key=x"], "no setting \"key\""),
            (&["api_key", "other"], "standard input has one secret"),
            (&["api_key=/nowhere/key"], "nothing was changed: the file /nowhere/key with api_key cannot be read: "),
        ] {
            let error = format!("{:#}", read(texts).err().unwrap());
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn in_a_cluster_the_files_of_given_secrets_are_named() {
        let cluster = "[cluster]\nnats = \"nats://127.0.0.1:4222\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
        let text = format!("[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n{cluster}");
        let overrides = parlor_config::Overrides { environment: |_| None, ..parlor_config::Overrides::default() };
        let config = Config::parse(Path::new("parlor.toml"), &text, &overrides).unwrap();
        let policy = format!(
            "[plugin.quotes]\nsource = \"quotes.wasm\"\ndigest = \"sha256:{}\"\n\
             [plugin.quotes.settings]\napi_key = {{ file = \"/srv/key\" }}\nother = {{ file = \"/srv/other\" }}\n",
            "0".repeat(64)
        );
        let policy = parlor_plugins::policy::Policy::parse(&policy, Path::new("/x")).unwrap();
        let entry = policy.plugins.values().next().unwrap();
        let given = Given(BTreeMap::from([("api_key".to_owned(), Secret::Text("s3cr3t-8".to_owned()))]));
        let says = to_copy(&config, given.kept(entry)).unwrap();
        assert!(says.contains("copy /srv/key, and run"), "{says}");
        assert_eq!(to_copy(&config, Given::default().kept(entry)), None);
    }

    #[test]
    fn a_plugin_that_lacks_a_secret_is_explained_by_commands_that_work() {
        let id = "quotes".parse().unwrap();
        let unset = |name: &str, is_secret| {
            let (id, about) = ("quotes".parse().unwrap(), "A key".to_owned());
            AdminError::Refused(Refusal::Unset { id, name: name.to_owned(), about, is_secret })
        };
        let new = explained(unset("api_key", true), &id, true).to_string();
        assert!(
            new.contains("--secret api_key=FILE")
                && new.contains("--disabled, set it by `parlor plugin config quotes api_key`")
        );
        assert!(!new.contains("VALUE"), "{new}");
        let update = explained(unset("tone", false), &id, false).to_string();
        assert!(
            update.contains("parlor plugin disable quotes") && update.contains("config quotes tone VALUE`"),
            "{update}"
        );
    }
}
