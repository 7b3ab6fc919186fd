//! `parlor init`: writes a first configuration. It asks, or takes flags. It tests the log-in, and never overwrites a
//! file. A password is written to a separate file, or stays in the owner's file or command.

mod templates;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use parlor_base::atomic::{folder_of, make_private_folder, put_in_place};
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_config::{Config, Endpoint, Overrides};
use rustix::fs::{Access, access};
use templates::{CONFIG, PLUGINS};
use toml::Value;

use super::ask::Terminal;
use super::doctor::existing;
use super::login::{Attempt, Given, Login, account_jid, given_up, new_secret};
use super::show::print;
use super::target::is_own;

/// The policy file, next to `parlor.toml`.
const POLICY: &str = "plugins.toml";
/// The default configuration's name, and the file next to it with the account's password.
const USUAL: (&str, &str) = ("parlor", "bot.password");

/// The arguments of `parlor init`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "On a terminal, the command asks for values that no flag gives. With an account and a password, it logs in once, shows what the server can do, and writes nothing if that fails. Without both, it writes a file to fill in.\n\nExamples:\n  parlor init                                            asks\n  parlor init --jid bot@example.org --register           makes the account, too, and a password\n  pass show bot | parlor init --jid bot@example.org --password-stdin\n  parlor init --jid bot@example.org --password-command 'pass show bot' --server localhost:5222\n\nThe password goes into bot.password, or NAME.password beside a configuration NAME.toml. If that file exists, the command refuses, unless --password-file says that it is this account's.\n\nExit codes: 0 written, 1 failed and nothing was written, but for the password of an account that was made, or may have been, 2 wrong usage"
)]
pub struct InitArgs {
    /// The configuration to write; it must not exist yet.
    #[arg(long, default_value = "parlor.toml", env = "PARLOR_CONFIG")]
    config: PathBuf,
    #[command(flatten)]
    login: Login,
    /// The host's data folder; by default `data` beside the configuration.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

impl InitArgs {
    /// Asks, tests and writes.
    pub fn run(&self) -> anyhow::Result<()> {
        is_free(&self.config)?;
        is_own(&[folder_of(&self.config)])?;
        can_write(folder_of(&self.config))?;
        let terminal = Terminal::open().filter(|_| !self.login.password_stdin);
        let folder = self.config.parent().unwrap_or(Path::new(""));
        let secret = folder.join(self.password_name());
        let Some(jid) = self.login.account(terminal.as_ref())? else {
            if self.login.register {
                bail!("nobody can be asked here which account to register: say --jid");
            }
            say_written(&self.to_fill_in(None)?)?;
            return self.say_left(None, &secret);
        };
        let Some(password) = self.login.password(terminal.as_ref(), &secret)? else {
            say_written(&self.to_fill_in(Some(&jid))?)?;
            return self.say_left(Some(&jid), &secret);
        };
        if !folder.as_os_str().is_empty() {
            make_private_folder(folder).with_context(|| format!("cannot make the folder {}", folder.escaped()))?;
        }
        let kept = match &password {
            Given::Text(text) => Some(new_secret(&secret, text)?),
            Given::Line(..) => None,
        };
        let draft = self.config.with_file_name(".parlor.toml.draft");
        let mut attempt = Attempt::begin(vec![draft.clone()], kept.clone())?;
        let tested = self.test(&draft, &jid, &password, terminal.as_ref(), &mut attempt);
        let written = tested.and_then(|()| {
            attempt.succeeded();
            put_in_place(&draft, &self.config).with_context(|| format!("cannot write {}", self.config.escaped()))
        });
        let _ = fs::remove_file(&draft);
        if let Err(error) = written {
            return Err(given_up(error, kept, attempt.made, &jid));
        }
        let mut written = vec![self.config.clone()];
        written.extend(kept);
        written.extend(policy(folder)?);
        say_written(&written)
    }

    /// Returns the file name for the account's password.
    ///
    /// Several configurations may share a folder, and the password of one must not reach the server of another.
    fn password_name(&self) -> String {
        let is_plain = |stem: &&str| stem.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
        match self.config.file_stem().and_then(|stem| stem.to_str()).filter(is_plain) {
            Some(stem) if stem != USUAL.0 => format!("{stem}.password"),
            _ => USUAL.1.to_owned(),
        }
    }

    /// Writes the draft, and logs in with it. `attempt` reports whether the account was registered, even if the log-in
    /// fails.
    fn test(
        &self,
        draft: &Path,
        jid: &str,
        password: &Given,
        terminal: Option<&Terminal>,
        attempt: &mut Attempt,
    ) -> anyhow::Result<()> {
        let write = |server: Option<&Endpoint>| {
            let text = self.text(jid, Some(password), server)?;
            let _ = fs::remove_file(draft);
            write_new(draft, &text)
        };
        write(self.login.server.as_ref())?;
        if self.login.offline {
            return Ok(());
        }
        let config = Config::load(draft, &Overrides::default())?;
        let account = config.accounts.into_values().next().context("the configuration has no account")?;
        if let Some(server) = self.login.test(&self.command(), &account.link, jid, terminal, attempt)? {
            write(Some(&server))?;
        }
        Ok(())
    }

    /// Returns this command as it is typed, without the flags of the account.
    fn command(&self) -> String {
        if self.config == Path::new("parlor.toml") {
            return "parlor init".to_owned();
        }
        format!("parlor init --config {}", shell_word(&self.config.to_string_lossy()))
    }

    /// Returns the part of the file that is the same for every account.
    fn frame(&self, jid: &str) -> anyhow::Result<String> {
        let text = CONFIG.replace("JID", &quoted(jid)).replace(USUAL.1, &self.password_name());
        let Some(data) = &self.data else { return Ok(text) };
        let data = std::path::absolute(data).with_context(|| format!("the folder {}", data.escaped()))?;
        let written = "# data = \"data\"  ";
        debug_assert!(text.contains(written), "{written}");
        Ok(text.replacen(written, &format!("data = {}  ", quoted(&data.to_string_lossy())), 1))
    }

    /// Writes a commented `parlor.toml` to fill in, and next to it an empty `plugins.toml` unless one exists.
    ///
    /// Returns the written files. Their comments list the missing values: the JID, if none is given, and the password.
    fn to_fill_in(&self, jid: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
        let path = &self.config;
        let jid = jid.map_or_else(|| Ok("bot@example.org".to_owned()), account_jid)?;
        is_free(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.escaped()))?;
        }
        let text = self.text(&jid, self.login.password_line()?.as_ref(), self.login.server.as_ref())?;
        if !write_new(path, &text)? {
            is_free(path)?;
        }
        let mut written = vec![path.to_owned()];
        written.extend(policy(folder)?);
        Ok(written)
    }

    /// Prints the values to fill in, since the written files are not tested.
    fn say_left(&self, jid: Option<&str>, secret: &Path) -> anyhow::Result<()> {
        let mut left = Vec::new();
        if jid.is_none() {
            left.push(format!("`jid` into {}", self.config.escaped()));
        }
        if self.login.password_line()?.is_none() {
            left.push(format!("password into {}", secret.escaped()));
        }
        let left = left.join(" and its ");
        print(&format!("nothing was tested: write the account's {left}; `parlor doctor` tests it then"))
    }

    /// Returns the text of the configuration, with all flags, the known source of the password, and the server's address.
    fn text(&self, jid: &str, password: Option<&Given>, server: Option<&Endpoint>) -> anyhow::Result<String> {
        let mut text = self.frame(jid)?;
        let mut put = |from: &str, to: String| {
            debug_assert!(text.contains(from), "{from}");
            text = text.replacen(from, &to, 1);
        };
        match password {
            Some(Given::Line(key, value)) if *key == "password_command" => {
                put(&format!("password_file = {}\n", quoted(&self.password_name())), String::new());
                put("# password_command = \"pass show bot\"", format!("{key} = {}", quoted(value)));
            }
            Some(Given::Line(_, value)) => put(&quoted(&self.password_name()), quoted(value)),
            Some(Given::Text(_)) | None => {}
        }
        if let Some(server) = server {
            put("# server = \"xmpp.example.org:5222\"", format!("server = {}", quoted(&server.to_string())));
        }
        if let Some(tls) = self.login.tls {
            put("# tls = \"starttls\"  ", format!("tls = {}  ", quoted(tls.as_str())));
        }
        if let Some(file) = self.login.certificates()? {
            put("# ca_file = \"ca.pem\"  ", format!("ca_file = {}  ", quoted(&file.to_string_lossy())));
        }
        Ok(text)
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn say_written(files: &[PathBuf]) -> anyhow::Result<()> {
    let lines: Vec<_> = files.iter().map(|file| format!("wrote {}", file.escaped())).collect();
    print(&lines.join("\n"))
}

fn is_free(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} is there already: move it away, or name another file", path.escaped());
    }
    Ok(())
}

/// Refuses a folder in which nothing can be written, before anything is asked. It may not exist yet.
fn can_write(folder: &Path) -> anyhow::Result<()> {
    let whole = std::path::absolute(folder).with_context(|| format!("the folder {}", folder.escaped()))?;
    let existing = existing(&whole);
    let cause = if existing.is_dir() {
        match access(existing, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => return Ok(()),
            Err(errno) => io::Error::from(errno),
        }
    } else {
        ErrorKind::NotADirectory.into()
    };
    Err(anyhow!(
        "nothing can be written in the folder {} ({cause}): run this in a folder of your own, or name a file in one: \
         --config FOLDER/parlor.toml",
        existing.escaped()
    ))
}

/// Writes an empty policy unless one exists.
fn policy(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let policy = folder.join(POLICY);
    Ok(write_new(&policy, PLUGINS)?.then_some(policy))
}

/// Writes a new file; false if it exists. The file decides what plugins may do, so other users must not be able to
/// write it, with any umask.
fn write_new(path: &Path, text: &str) -> anyhow::Result<bool> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o644).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.escaped())),
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.escaped()))?;
    Ok(true)
}

#[cfg(test)]
mod tests;
