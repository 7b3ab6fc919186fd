//! `parlor init`: writes a first configuration. It asks, or takes flags. It tests the log-in, and never overwrites a
//! file. A password goes into a file of its own, or stays in the owner's file or command.

mod templates;

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, ErrorKind, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use jid::Jid;
use parlor_base::atomic::{folder_of, make_private_folder, put_in_place};
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_config::{Config, Endpoint, LinkSettings, Overrides};
use parlor_https::trust::client_config;
use parlor_xmpp::{ConnectError, Pins, RegisterError, probe, random_password, register};
use templates::{CONFIG, PLUGINS};
use toml::Value;

use super::ask::Terminal;
use super::doctor::feature_lines;
use super::show::print;
use super::target::is_own;
use super::wait_for;

/// The policy file, beside `parlor.toml`.
const POLICY: &str = "plugins.toml";
/// The default configuration's name, and the file beside it with the account's password.
const USUAL: (&str, &str) = ("parlor", "bot.password");
/// The longest password on standard input, in bytes.
const LONGEST_PASSWORD: u64 = 1024;
/// How often a question is asked before parlor gives up on a valid answer.
const ASKED: usize = 3;

/// The arguments of `parlor init`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "On a terminal it asks for what no flag says. With an account and a password it logs in once, shows what the server can do, and writes nothing if that fails; with neither it writes a file to fill in.\n\nExamples:\n  parlor init                                            asks\n  parlor init --jid bot@example.org --register           makes the account, too, and a password\n  pass show bot | parlor init --jid bot@example.org --password-stdin\n  parlor init --jid bot@example.org --password-command 'pass show bot' --server localhost:5222\n\nThe password goes into bot.password, or NAME.password beside a configuration NAME.toml; one that is there already is taken for nobody's: --password-file says that it is this account's.\n\nExit codes: 0 written, 1 failed and nothing was written, but for the password of an account that was made, or may have been, 2 wrong usage"
)]
pub struct InitArgs {
    /// The configuration to write; it must not exist yet.
    #[arg(long, default_value = "parlor.toml", env = "PARLOR_CONFIG")]
    config: PathBuf,
    /// The account's address.
    #[arg(long, value_parser = account_jid)]
    jid: Option<String>,
    /// The file with the account's password, in its first line.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The command that prints the account's password. It cannot ask anything: unlock what it reads beforehand.
    #[arg(long, value_name = "COMMAND", conflicts_with = "password_file")]
    password_command: Option<String>,
    /// Read the account's password from standard input, and keep it in a file that only you can read.
    #[arg(long, requires = "jid", conflicts_with_all = ["password_file", "password_command"])]
    password_stdin: bool,
    /// The server's address, HOST:PORT, if the DNS does not provide it.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    server: Option<Endpoint>,
    /// When TLS begins.
    #[arg(long, value_enum)]
    tls: Option<Tls>,
    /// Trust these certificates in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Register the account first, if the server lets anybody do that (XEP-0077).
    #[arg(long)]
    register: bool,
    /// The host's data folder; by default `data` beside the configuration.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Write the files without logging in.
    #[arg(long, conflicts_with = "register")]
    offline: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "lower")]
enum Tls {
    /// After a first exchange in the clear.
    StartTls,
    /// At once.
    Direct,
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Whether the account was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    No,
    /// The server was asked to register it, and has not answered.
    Perhaps,
    Yes,
}

/// The source of the password.
enum Given {
    /// A file or a command of the owner: a line of the configuration.
    Line(&'static str, String),
    /// The password itself, to be written into a file of its own.
    Text(String),
}

impl InitArgs {
    /// Asks, tests and writes.
    pub fn run(&self) -> anyhow::Result<()> {
        is_free(&self.config)?;
        is_own(&[folder_of(&self.config)])?;
        let terminal = Terminal::open().filter(|_| !self.password_stdin);
        let folder = self.config.parent().unwrap_or(Path::new(""));
        let secret = folder.join(self.password_name());
        let Some(jid) = self.account(terminal.as_ref())? else {
            if self.register {
                bail!("nobody can be asked here which account to register: say --jid");
            }
            say_written(&self.to_fill_in(None)?)?;
            return self.say_left(None, &secret);
        };
        let Some(password) = self.password(terminal.as_ref(), &secret)? else {
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
        let mut made = Made::No;
        let tested = self.test(&draft, &jid, &password, terminal.as_ref(), &mut made);
        let written = tested.and_then(|()| {
            put_in_place(&draft, &self.config).with_context(|| format!("cannot write {}", self.config.escaped()))
        });
        let _ = fs::remove_file(&draft);
        if let Err(error) = written {
            let Some(kept) = kept else { return Err(error) };
            // A registered account needs its password; one that was only tried does not.
            let how = match made {
                Made::No => {
                    let _ = fs::remove_file(kept);
                    return Err(error);
                }
                Made::Perhaps => "may be registered by now",
                Made::Yes => "is registered",
            };
            let path = shell_word(&kept.to_string_lossy());
            bail!("{error:#}\n{jid} {how}, and its password is in {path}: go on with --password-file {path}");
        }
        let mut written = vec![self.config.clone()];
        written.extend(kept);
        written.extend(policy(folder)?);
        say_written(&written)
    }

    /// Returns the account's address; none if neither a flag nor a user provides it.
    fn account(&self, terminal: Option<&Terminal>) -> anyhow::Result<Option<String>> {
        if let Some(jid) = &self.jid {
            return Ok(Some(jid.clone()));
        }
        let Some(terminal) = terminal else { return Ok(None) };
        for _ in 0..ASKED {
            let Some(answer) = terminal.ask("The account's address, such as bot@example.org:")? else { break };
            match account_jid(&answer) {
                Ok(jid) => return Ok(Some(jid)),
                Err(error) => print(&format!("{error}"))?,
            }
        }
        bail!("without an account there is nothing to write")
    }

    fn password(&self, terminal: Option<&Terminal>, usual: &Path) -> anyhow::Result<Option<Given>> {
        if let Some(line) = self.password_line()? {
            return Ok(Some(line));
        }
        if usual.exists() {
            let path = shell_word(&usual.to_string_lossy());
            bail!(
                "{path} is there already, and may be another account's: if it is this one's, say --password-file {path}; else move it away"
            );
        }
        let given = if self.password_stdin {
            let mut text = String::new();
            // Two more bytes than allowed, for the line end: a password that is too long is then refused, not
            // truncated.
            io::stdin().lock().take(LONGEST_PASSWORD + 2).read_line(&mut text).context("standard input")?;
            let line = text.trim_end_matches(['\r', '\n']);
            if line.len() as u64 > LONGEST_PASSWORD {
                bail!("the password has more than {LONGEST_PASSWORD} bytes, which is more than a server takes");
            }
            Some(line.to_owned())
        } else if let Some(terminal) = terminal {
            Some(self.asked_password(terminal)?)
        } else {
            None
        };
        match given {
            Some(text) if !text.is_empty() => Ok(Some(Given::Text(text))),
            _ if self.register => Ok(Some(Given::Text(random_password()))),
            Some(_) => bail!("the password is empty"),
            None => Ok(None),
        }
    }

    /// Asks for the password, and again after an empty line, since enter may have been pressed too early.
    fn asked_password(&self, terminal: &Terminal) -> anyhow::Result<String> {
        let also = if self.register { " (nothing: one is made up)" } else { "" };
        for _ in 0..ASKED {
            let Some(password) = terminal.ask_hidden(&format!("Its password{also}:"))? else { break };
            if self.register || !password.is_empty() {
                return Ok(password);
            }
            print("the password is empty; type it, or end this with Ctrl-C")?;
        }
        Ok(String::new())
    }

    /// Returns the password file or command that a flag names.
    fn password_line(&self) -> anyhow::Result<Option<Given>> {
        if let Some(file) = &self.password_file {
            let file = file.canonicalize().with_context(|| format!("the password file {}", file.escaped()))?;
            return Ok(Some(Given::Line("password_file", file.to_string_lossy().into_owned())));
        }
        Ok(self.password_command.as_ref().map(|command| Given::Line("password_command", command.clone())))
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

    /// Writes the draft, and logs in with it. `made` reports whether the account was registered, even if the log-in
    /// fails.
    fn test(
        &self,
        draft: &Path,
        jid: &str,
        password: &Given,
        terminal: Option<&Terminal>,
        made: &mut Made,
    ) -> anyhow::Result<()> {
        let text = self.text(jid, Some(password))?;
        let _ = fs::remove_file(draft);
        write_new(draft, &text)?;
        if self.offline {
            return Ok(());
        }
        let config = Config::load(draft, &Overrides::default())?;
        let account = config.accounts.into_values().next().context("the configuration has no account")?;
        let link = account.link;
        if self.register {
            enroll(&link, made)?;
        }
        let looked = match wait_for(probe(&link, Pins::default()))? {
            Err(ConnectError::NotAuthorized { .. })
                if !self.register
                    && terminal.is_some_and(|terminal| {
                        terminal.agrees(&format!("{jid} is refused. Register it there now?")).unwrap_or(false)
                    }) =>
            {
                enroll(&link, made)?;
                wait_for(probe(&link, Pins::default()))?
            }
            looked => looked,
        };
        // First the reason, then the remedy.
        let looked = looked.map_err(|error| match made {
            Made::No => anyhow!(
                "{jid} cannot log in: {error}\nnothing was written: put it right (--server and --ca-file say here what `server` and \
                 `ca_file` say in parlor.toml), or write it untested with --offline"
            ),
            Made::Perhaps | Made::Yes => anyhow!("{jid} cannot log in: {error}\nno configuration was written"),
        })?;
        print(&format!("{jid} logs in. Its server has:\n{}", feature_lines(&looked.features)))
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

    /// Writes a commented `parlor.toml` to fill in, and beside it an empty `plugins.toml` unless one exists.
    ///
    /// Returns the written files. Their comments tell what is left to do: the JID, if none is given, and the password.
    fn to_fill_in(&self, jid: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
        let path = &self.config;
        let jid = jid.map_or_else(|| Ok("bot@example.org".to_owned()), account_jid)?;
        is_free(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.escaped()))?;
        }
        if !write_new(path, &self.text(&jid, self.password_line()?.as_ref())?)? {
            is_free(path)?;
        }
        let mut written = vec![path.to_owned()];
        written.extend(policy(folder)?);
        Ok(written)
    }

    /// Prints what is left to fill in, since the written files are not tested.
    fn say_left(&self, jid: Option<&str>, secret: &Path) -> anyhow::Result<()> {
        let mut left = Vec::new();
        if jid.is_none() {
            left.push(format!("`jid` into {}", self.config.escaped()));
        }
        if self.password_line()?.is_none() {
            left.push(format!("password into {}", secret.escaped()));
        }
        let left = left.join(" and its ");
        print(&format!("nothing was tested: write the account's {left}; `parlor doctor` tests it then"))
    }

    /// Returns the text of the configuration, with all flags and what is known of the password.
    fn text(&self, jid: &str, password: Option<&Given>) -> anyhow::Result<String> {
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
        if let Some(server) = &self.server {
            put("# server = \"xmpp.example.org:5222\"", format!("server = {}", quoted(&server.to_string())));
        }
        if let Some(tls) = self.tls {
            let mode = match tls {
                Tls::StartTls => "starttls",
                Tls::Direct => "direct",
            };
            put("# tls = \"starttls\"  ", format!("tls = {}  ", quoted(mode)));
        }
        if let Some(file) = &self.ca_file {
            let file = file.canonicalize().with_context(|| format!("the certificates in {}", file.escaped()))?;
            client_config(Some(file.clone())).context("--ca-file")?;
            put("# ca_file = \"ca.pem\"  ", format!("ca_file = {}  ", quoted(&file.to_string_lossy())));
        }
        Ok(text)
    }
}

/// Registers the account. `made` reports whether it exists by then, as far as known.
fn enroll(link: &LinkSettings, made: &mut Made) -> anyhow::Result<()> {
    let registered = wait_for(register(link))?;
    *made = match &registered {
        Ok(()) => Made::Yes,
        Err(RegisterError::Unanswered { .. }) => Made::Perhaps,
        Err(_) => Made::No,
    };
    registered.map_err(|error| anyhow!("{error}\nno configuration was written"))?;
    print(&format!("{} is registered", link.jid.to_bare()))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn say_written(files: &[PathBuf]) -> anyhow::Result<()> {
    let lines: Vec<_> = files.iter().map(|file| format!("wrote {}", file.escaped())).collect();
    print(&lines.join("\n"))
}

fn account_jid(jid: &str) -> anyhow::Result<String> {
    match Jid::new(jid) {
        Ok(parsed) if parsed.node().is_some() => Ok(parsed.to_string()),
        Ok(_) => bail!("{jid:?} is not the JID of an account: write one, such as bot@example.org"),
        Err(error) => bail!("{jid:?} is no JID ({error}): write one, such as bot@example.org"),
    }
}

fn is_free(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} is there already: move it away, or name another file", path.escaped());
    }
    Ok(())
}

/// Writes an empty policy unless one exists.
fn policy(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let policy = folder.join(POLICY);
    Ok(write_new(&policy, PLUGINS)?.then_some(policy))
}

/// Writes a new file that only this user can read.
fn new_secret(path: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| writeln!(file, "{text}").and_then(|()| file.sync_all()));
    written.with_context(|| format!("cannot write {}", path.escaped()))?;
    Ok(path.to_owned())
}

/// Writes a new file; false if it exists. The file decides what plugins may do, so nobody else may write it, whatever
/// the umask allows.
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
