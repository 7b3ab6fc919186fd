//! `parlor init`: a first configuration to fill in. It writes two files, and never over one that is there.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jid::Jid;

/// The file beside `parlor.toml` that says which plugins there are.
const POLICY: &str = "plugins.toml";

/// Writes a commented `parlor.toml` at this path, and beside it an empty `plugins.toml` unless one is there.
///
/// Gives the files that it wrote. What is left to do is in their comments: the JID, if none is given, and the password.
pub fn init(path: &Path, jid: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    let jid = match jid {
        Some(jid) => match Jid::new(jid) {
            Ok(parsed) if parsed.node().is_some() => parsed.to_string(),
            Ok(_) => bail!("{jid:?} is not the JID of an account: write one, such as bot@example.org"),
            Err(error) => bail!("{jid:?} is no JID ({error}): write one, such as bot@example.org"),
        },
        None => "bot@example.org".to_owned(),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    // A JSON string is also a TOML string.
    let config = CONFIG.replace("JID", &serde_json::Value::from(jid).to_string());
    if !write_new(path, &config)? {
        bail!("{} is there already: move it away, or name another file", path.display());
    }
    let mut written = vec![path.to_owned()];
    let policy = folder.join(POLICY);
    if write_new(&policy, PLUGINS)? {
        written.push(policy);
    }
    Ok(written)
}

/// Writes a file that is not there yet; false if it is.
fn write_new(path: &Path, text: &str) -> anyhow::Result<bool> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

const CONFIG: &str = r#"# What this bot house is. Paths are relative to this file.

# data = "data"              # folder for plugins, their storage and caches
# plugins = "plugins.toml"   # which plugins there are, and what each may do
# log = "info"               # error, warn, info, debug or trace; also "info,parlor=debug"

# One table for each account; "main" is a name of your choice.
[account.main]
jid = JID

# Where the password is found; never the password itself. Keep exactly one of these.
# The file holds it in its first line: umask 077; echo 'the password' > bot.password
password_file = "bot.password"
# password_command = "pass show bot"
# password_env = "BOT_PASSWORD"

# server = "xmpp.example.org:5222"   # if the DNS does not say where the server is
# tls = "starttls"                   # or "direct"
# ca_file = "ca.pem"                 # trust these certificates in place of the system's
# allow_plain = false                # send the password as it is, inside of TLS, to a server that can do no better

# Settings for this account alone go over those below.
# [account.main.settings]
# nickname = "bot"

[settings]
# auto_join_rooms = ["lobby@conference.example.org", { jid = "den@conference.example.org", nick = "bot" }]
# default_state = "online"   # online, chat, away, dnd, xa, offline or unavailable
# auto_subscribe = false     # answer a request to see this account's presence with one of our own
# whitelisted_plugins = []   # if any are named, no others run
"#;

const PLUGINS: &str = r#"# Which plugins there are, and what each may do. What is not granted here is not allowed.
#
# [plugin.echo]
# source = "plugins/echo.wasm"
# digest = "sha256:…"
# enabled = true
#
# [plugin.echo.grants]
# "messages.read" = ["contacts"]
# "messages.send" = ["juliet@example.org", "@example.net"]
# "contacts.read" = true
#
# [plugin.echo.settings]
# greeting = "Hello"
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn overrides() -> Overrides {
        Overrides { environment: |_| None, ..Overrides::default() }
    }

    #[test]
    fn what_it_writes_is_accepted_once_the_password_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/parlor.toml");
        let written = init(&path, Some("Bot@Example.org/house")).unwrap();
        assert_eq!(written, [path.clone(), folder.path().join("new/plugins.toml")]);
        let password = folder.path().join("new/bot.password");
        fs::write(&password, "secret\n").unwrap();
        fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let config = Config::load(&path, &overrides()).unwrap();
        assert_eq!(config.warnings, [""; 0]);
        assert_eq!(config.accounts.values().next().unwrap().link.jid.as_str(), "bot@example.org/house");
        assert_eq!(config.plugins, written[1]);
    }

    /// The commented lines are lines that work, so that taking the `#` away is enough.
    #[test]
    fn its_commented_lines_are_accepted_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        init(&path, None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") || rest.starts_with('[') => rest,
            _ => line,
        });
        let without = |line: &&str| !line.starts_with("password_command") && !line.starts_with("password_env");
        let text: Vec<_> = lines.filter(without).collect();
        fs::write(&path, text.join("\n")).unwrap();
        fs::write(folder.path().join("ca.pem"), "").unwrap();
        fs::write(folder.path().join("bot.password"), "").unwrap();
        let config = Config::load(&path, &overrides()).unwrap();
        assert_eq!(config.settings.auto_join_rooms.len(), 2);
        let main = config.accounts.values().next().unwrap();
        assert_eq!(main.settings.nickname.as_deref(), Some("bot"));
        assert!(main.link.server.is_some() && main.link.ca_file.is_some());
        let lines: Vec<_> = PLUGINS.lines().skip(2).map(|line| line.trim_start_matches(['#', ' '])).collect();
        let policy: toml::Table = lines
            .join(
                "
",
            )
            .parse()
            .unwrap();
        let grants = policy["plugin"]["echo"]["grants"].as_table().unwrap();
        assert!(crate::permissions::Grants::from_table(grants).is_ok());
    }

    #[test]
    fn it_writes_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, "mine").unwrap();
        let error = init(&path, None).unwrap_err().to_string();
        assert!(error.ends_with("parlor.toml is there already: move it away, or name another file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert!(!folder.path().join(POLICY).exists());

        fs::write(folder.path().join(POLICY), "mine").unwrap();
        let other = folder.path().join("other.toml");
        assert_eq!(init(&other, None).unwrap(), [other]);
        assert_eq!(fs::read_to_string(folder.path().join(POLICY)).unwrap(), "mine");
    }

    #[test]
    fn what_is_no_account_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        for jid in ["example.org", "a@b@c", ""] {
            assert!(init(&path, Some(jid)).is_err(), "{jid}");
            assert!(!path.exists());
        }
    }
}
