//! The flags of an account, questions about it, and its first log-in, for `parlor init` and `parlor account add`.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use jid::Jid;
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_config::{Endpoint, LinkSettings, PasswordSource};
use parlor_https::trust::client_config;
use parlor_xmpp::{CertificateFault, ConnectError, Pins, Probe, RegisterError, probe, random_password, register};

use super::ask::Terminal;
use super::doctor::feature_lines;
use super::show::{Put as _, print};
use super::target::say;
use super::unfinished::Unfinished;
use super::wait_for;

/// The longest password on standard input, in bytes.
const LONGEST_PASSWORD: u64 = 1024;
/// How often a question is asked before parlor gives up on a valid answer.
const ASKED: usize = 3;
/// How long a server may take to answer before the command says that it waits.
const QUIET: Duration = Duration::from_secs(5);

/// The flags of an account.
#[derive(Debug, Default, Args)]
pub(super) struct Login {
    /// The account's address.
    #[arg(long, value_parser = account_jid)]
    pub(super) jid: Option<String>,
    /// The file with the account's password, in its first line.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The command that prints the account's password. It cannot ask anything: unlock what it reads beforehand.
    #[arg(long, value_name = "COMMAND", conflicts_with = "password_file")]
    password_command: Option<String>,
    /// Read the account's password from standard input, and keep it in a file that only you can read.
    #[arg(long, requires = "jid", conflicts_with_all = ["password_file", "password_command"])]
    pub(super) password_stdin: bool,
    /// The server's address, HOST:PORT, if the DNS does not provide it.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    pub(super) server: Option<Endpoint>,
    /// When TLS begins.
    #[arg(long, value_enum)]
    pub(super) tls: Option<Tls>,
    /// Trust these certificates in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Register the account first, if the server lets anybody do that (XEP-0077).
    #[arg(long)]
    pub(super) register: bool,
    /// Write the files without logging in.
    #[arg(long, conflicts_with = "register")]
    pub(super) offline: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "lower")]
pub(super) enum Tls {
    /// After a first exchange in the clear.
    StartTls,
    /// At once.
    Direct,
}

impl Tls {
    /// Returns its name in the configuration.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Direct => "direct",
        }
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Whether the account was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    No,
    /// The server was asked to register it, and has not answered.
    Perhaps,
    Yes,
}

/// A first log-in of an account.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Whether it has registered the account, also if the log-in fails.
    pub(super) made: Made,
    /// The files that a signal removes meanwhile.
    unfinished: Unfinished,
}

impl Attempt {
    /// Begins an attempt. If a signal ends it, these drafts are removed, and the file with the password unless the account
    /// was registered with it.
    pub(super) fn begin(drafts: Vec<PathBuf>, secret: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self { made: Made::No, unfinished: Unfinished::begin(drafts, secret)? })
    }

    /// Keeps the password from now on, since the configuration that is about to be written names it.
    pub(super) fn succeeded(&self) {
        self.unfinished.needs_secret(true);
    }

    fn made(&mut self, made: Made) {
        self.made = made;
        self.unfinished.needs_secret(made != Made::No);
    }
}

/// The source of the password.
pub(super) enum Given {
    /// A file or a command of the owner: a line of the configuration.
    Line(&'static str, String),
    /// The password itself, which is written to a separate file.
    Text(String),
}

impl Login {
    /// Returns the account's address; none if neither a flag nor a user provides it.
    pub(super) fn account(&self, terminal: Option<&Terminal>) -> anyhow::Result<Option<String>> {
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

    /// Returns the source of the password. `usual` is the file that a new one goes into.
    pub(super) fn password(&self, terminal: Option<&Terminal>, usual: &Path) -> anyhow::Result<Option<Given>> {
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
    pub(super) fn password_line(&self) -> anyhow::Result<Option<Given>> {
        if let Some(file) = &self.password_file {
            let file = file.canonicalize().with_context(|| format!("the password file {}", file.escaped()))?;
            return Ok(Some(Given::Line("password_file", file.to_string_lossy().into_owned())));
        }
        Ok(self.password_command.as_ref().map(|command| Given::Line("password_command", command.clone())))
    }

    /// Returns the file with certificates to trust, after reading it.
    pub(super) fn certificates(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some(file) = &self.ca_file else { return Ok(None) };
        let file = file.canonicalize().with_context(|| format!("the certificates in {}", file.escaped()))?;
        client_config(Some(file.clone())).context("--ca-file")?;
        Ok(Some(file))
    }

    /// Logs in once, and shows what the server can do. Returns the server's address if DNS does not know it and a user
    /// gave it. `command` is the one that advice shows. `attempt` reports whether the account was registered, even if the
    /// log-in fails.
    pub(super) fn test(
        &self,
        command: &str,
        link: &LinkSettings,
        jid: &str,
        terminal: Option<&Terminal>,
        attempt: &mut Attempt,
    ) -> anyhow::Result<Option<Endpoint>> {
        let mut looked = self.log_in(link, jid, terminal, attempt)?;
        let unknown = match &looked {
            Err(ConnectError::UnknownHost { host, .. }) if is_found_by_dns(link) && attempt.made == Made::No => {
                Some(host.clone())
            }
            _ => None,
        };
        let mut server = None;
        if let (Some(host), Some(terminal)) = (unknown, terminal) {
            server = ask_server(terminal, &host)?;
        }
        if let Some(server) = &server {
            let link = LinkSettings { server: Some(server.clone()), ..link.clone() };
            looked = self.log_in(&link, jid, terminal, attempt)?;
        }
        // First the reason, then the remedy.
        let looked = looked.map_err(|error| match attempt.made {
            Made::No => {
                let remedy = self.remedy(command, jid, server.as_ref(), &error);
                anyhow!("{jid} cannot log in: {error}\nnothing was written: {remedy}")
            }
            Made::Perhaps | Made::Yes => anyhow!("{jid} cannot log in: {error}\nno configuration was written"),
        })?;
        print(&format!("{jid} logs in. Its server has:\n{}", feature_lines(&looked.features)))?;
        Ok(server)
    }

    /// Logs in once, and registers the account before that if a flag or a user wants it.
    fn log_in(
        &self,
        link: &LinkSettings,
        jid: &str,
        terminal: Option<&Terminal>,
        attempt: &mut Attempt,
    ) -> anyhow::Result<Result<Probe, ConnectError>> {
        if self.register
            && let Err(error) = enroll(link, attempt)?
        {
            return Ok(Err(error));
        }
        match wait_for_server(link, probe(link, Pins::default()))? {
            Err(ConnectError::NotAuthorized { .. })
                if !self.register
                    && terminal.is_some_and(|terminal| {
                        terminal.agrees(&format!("{jid} is refused. Register it there now?")).unwrap_or(false)
                    }) =>
            {
                match enroll(link, attempt)? {
                    Ok(()) => wait_for_server(link, probe(link, Pins::default())),
                    Err(error) => Ok(Err(error)),
                }
            }
            looked => Ok(looked),
        }
    }

    /// Returns what to do after a log-in that failed. `asked` is the server's address if a user gave it.
    fn remedy(&self, command: &str, jid: &str, asked: Option<&Endpoint>, error: &ConnectError) -> String {
        let mut again = format!("{command} --jid {}", shell_word(jid));
        if let Some(tls) = self.tls {
            again.put(format_args!(" --tls {}", tls.as_str()));
        }
        if self.register {
            again.push_str(" --register");
        }
        if let Some(file) = &self.password_file {
            again.put(format_args!(" --password-file {}", shell_word(&file.to_string_lossy())));
        }
        if let Some(by) = &self.password_command {
            again.put(format_args!(" --password-command {}", shell_word(by)));
        }
        match (error, &self.ca_file) {
            (ConnectError::Certificate { fault: CertificateFault::Untrusted, .. }, Some(file)) => format!(
                "{} has neither the server's certificate nor that of its authority: name the file that has it with --ca-file",
                file.escaped()
            ),
            (ConnectError::Certificate { fault: CertificateFault::Untrusted, .. }, None) => {
                if let Some(server) = asked.or(self.server.as_ref()) {
                    again.put(format_args!(" --server {server}"));
                }
                format!(
                    "if the certificate is your own, copy it, or that of its authority, from the server into a file (PEM), \
                     and name that with --ca-file:\n{again} --ca-file FILE"
                )
            }
            (ConnectError::UnknownHost { .. }, file) => {
                if let Some(file) = file {
                    again.put(format_args!(" --ca-file {}", shell_word(&file.to_string_lossy())));
                }
                format!("say where the server is, such as on this machine with localhost:5222:\n{again} --server HOST:PORT")
            }
            _ => "correct it (--server and --ca-file say here what `server` and `ca_file` say in the configuration), or write it \
                  untested with --offline"
                .to_owned(),
        }
    }
}

/// Returns whether only DNS names the server, so that its address may be what is missing.
fn is_found_by_dns(link: &LinkSettings) -> bool {
    link.server.is_none() && link.websocket.is_none() && link.bosh.is_none()
}

/// Asks for the address of a server that DNS does not know; none if the user has none either.
fn ask_server(terminal: &Terminal, host: &str) -> anyhow::Result<Option<Endpoint>> {
    let question = format!("DNS does not know {host}. The server's address, HOST or HOST:PORT (press Enter to stop):");
    for _ in 0..ASKED {
        let Some(answer) = terminal.ask(&question)?.filter(|answer| !answer.is_empty()) else { break };
        match answer.parse::<Endpoint>() {
            Ok(server) => return Ok(Some(server)),
            Err(error) => print(&format!("{error}; write it as in localhost:5222"))?,
        }
    }
    Ok(None)
}

/// Waits for the account's server, and says so if that takes long.
fn wait_for_server<T>(link: &LinkSettings, answer: impl Future<Output = T>) -> anyhow::Result<T> {
    wait_for(async {
        let mut answer = pin!(answer);
        if let Ok(answer) = tokio::time::timeout(QUIET, answer.as_mut()).await {
            return answer;
        }
        say(&format!("still waiting for {}", awaited(link)));
        answer.await
    })
}

/// Says what a log-in may be waiting for. The program that prints the password runs first.
fn awaited(link: &LinkSettings) -> String {
    let place = link.server.as_ref().map_or_else(|| link.jid.domain().as_str().to_owned(), ToString::to_string);
    let program = if let PasswordSource::Command(_) = link.password { "password_command, or for " } else { "" };
    format!("{program}an answer from {place}")
}

/// Registers the account. `attempt` reports whether it exists by then, as far as known. Returns the error of the connection if
/// the server was not asked.
fn enroll(link: &LinkSettings, attempt: &mut Attempt) -> anyhow::Result<Result<(), ConnectError>> {
    attempt.made(Made::Perhaps);
    let registered = wait_for_server(link, register(link))?;
    attempt.made(match &registered {
        Ok(()) => Made::Yes,
        Err(RegisterError::Unanswered { .. }) => Made::Perhaps,
        Err(_) => Made::No,
    });
    match registered {
        Ok(()) => {
            print(&format!("{} is registered", link.jid.to_bare()))?;
            Ok(Ok(()))
        }
        Err(RegisterError::Connect(error)) => Ok(Err(error)),
        Err(error) => Err(anyhow!("{error}\nno configuration was written")),
    }
}

/// Parses the address of an account.
pub(super) fn account_jid(jid: &str) -> anyhow::Result<String> {
    match Jid::new(jid) {
        Ok(parsed) if parsed.node().is_some() => Ok(parsed.to_string()),
        Ok(_) => bail!("{jid:?} is not the JID of an account: write one, such as bot@example.org"),
        Err(error) => bail!("{jid:?} is no JID ({error}): write one, such as bot@example.org"),
    }
}

/// Writes a new file that only this user can read. If that fails, there is none.
pub(super) fn new_secret(path: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| {
        let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
        // Half a password would be taken for somebody's.
        written.inspect_err(|_| drop(fs::remove_file(path)))
    });
    written.with_context(|| format!("cannot write {}", path.escaped()))?;
    Ok(path.to_owned())
}

/// Returns the error after which no configuration was written. A registered account needs its password, so that file stays; one that
/// was only tried does not.
pub(super) fn given_up(error: anyhow::Error, kept: Option<PathBuf>, made: Made, jid: &str) -> anyhow::Error {
    let Some(kept) = kept else { return error };
    let how = match made {
        Made::No => {
            let _ = fs::remove_file(kept);
            return error;
        }
        Made::Perhaps => "may be registered by now",
        Made::Yes => "is registered",
    };
    let path = shell_word(&kept.to_string_lossy());
    anyhow!("{error:#}\n{jid} {how}, and its password is in {path}: go on with --password-file {path}")
}

#[cfg(test)]
mod tests {
    use parlor_config::{Config, Overrides};

    use super::*;

    fn untrusted() -> ConnectError {
        ConnectError::Certificate { domain: "house".to_owned(), fault: CertificateFault::Untrusted }
    }

    #[test]
    fn a_certificate_of_ones_own_is_said_to_need_a_flag_with_the_command() {
        let login = Login { server: "127.0.0.1:5223".parse().ok(), tls: Some(Tls::Direct), ..Login::default() };
        let remedy = login.remedy("parlor init", "bot@house", None, &untrusted());
        let again = "\nparlor init --jid bot@house --tls direct --server 127.0.0.1:5223 --ca-file FILE";
        assert!(remedy.starts_with("if the certificate is your own, ") && remedy.ends_with(again), "{remedy}");
        // The address that somebody has just typed is not asked for again.
        let asked = "house.example:5222".parse().unwrap();
        let remedy = Login::default().remedy("parlor account add two", "bot@house", Some(&asked), &untrusted());
        let again = "\nparlor account add two --jid bot@house --server house.example:5222 --ca-file FILE";
        assert!(remedy.ends_with(again), "{remedy}");
        let other = Login { ca_file: Some("old.pem".into()), ..Login::default() };
        let remedy = other.remedy("parlor init", "bot@house", None, &untrusted());
        assert!(remedy.starts_with("old.pem has neither the server's certificate nor "), "{remedy}");
    }

    #[test]
    fn a_long_wait_names_the_program_that_prints_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        let waits_for = |line: &str| {
            fs::write(&path, format!("[account.main]\njid = \"a@b.example\"\n{line}\n")).unwrap();
            awaited(&Config::load(&path, &Overrides::default()).unwrap().accounts[&"main".parse().unwrap()].link)
        };
        let program = "password_command = \"sleep 30\"";
        assert_eq!(waits_for(program), "password_command, or for an answer from b.example");
        assert_eq!(waits_for("password_env = \"X\"\nserver = \"localhost:5222\""), "an answer from localhost:5222");
    }

    #[test]
    fn a_domain_that_dns_does_not_know_is_said_to_need_an_address() {
        let unknown = ConnectError::UnknownHost { host: "house".to_owned(), cause: "no record".to_owned() };
        let login = Login { server: "hous:5222".parse().ok(), ..Login::default() };
        let remedy = login.remedy("parlor init", "bot@house", None, &unknown);
        assert!(remedy.ends_with("\nparlor init --jid bot@house --server HOST:PORT"), "{remedy}");
        let remedy = login.remedy("parlor init", "bot@house", None, &ConnectError::HungUp);
        assert!(remedy.starts_with("correct it (--server and --ca-file "), "{remedy}");
    }
}
