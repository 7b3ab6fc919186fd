//! `parlor run` as a user starts it: its files, its process, its log.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use jid::BareJid;
use serde_json::{Map, Value};
use toml::Table;

use crate::certificate::Certificate;
use crate::folder::Folder;
use crate::log::{Log, Mark};
use crate::plugins::{self, Built};
use crate::policy::{Entry, Policy};
use crate::process::{Process, Signal};
use crate::prosody::Account;

/// The arguments of each start.
const RUN: [&str; 5] = ["run", "--config", "parlor.toml", "--log-format", "json"];

/// The folder of one host: `parlor.toml`, `plugins.toml`, password files, plugin files, data.
#[derive(Debug)]
pub struct Home {
    folder: Folder,
    config: Table,
    environment: Vec<(String, String)>,
    /// Another build of `parlor`; `None` for the one that was built with this program.
    program: Option<PathBuf>,
}

/// The environment that a host runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surroundings {
    /// The environment of this process.
    Usual,
    /// Another program, `embedded`, whose log fails at a certain word.
    Embedded,
    /// Another program, `counted`, which counts its allocations.
    Counted,
    /// A disk of this many bytes for the data folder. The system must allow users to mount one in a namespace of their
    /// own.
    SmallDisk(u64),
    /// A file that replaces `/etc/hosts`. The system must allow users to mount one in a namespace of their own.
    Names(PathBuf),
}

/// How an account reaches its server.
#[derive(Debug, Clone, Copy)]
pub enum Server<'a> {
    /// STARTTLS on this port of 127.0.0.1.
    StartTls(u16, &'a Certificate),
    /// Direct TLS on this port of 127.0.0.1.
    Direct(u16, &'a Certificate),
    /// WebSocket within TLS, on this port of localhost.
    WebSocket(u16, &'a Certificate),
    /// BOSH within TLS, on this port of localhost.
    Bosh(u16, &'a Certificate),
    /// Direct TLS to a server that offers nothing better than PLAIN.
    Plain(u16, &'a Certificate),
}

impl Home {
    /// Creates an empty home: a host without an account.
    pub fn new() -> Result<Self> {
        let home = Self { folder: Folder::new()?, config: Table::new(), environment: Vec::new(), program: None };
        home.set_policy(&Policy::default())?;
        Ok(home)
    }

    /// Adds an account with its password in a file that only its owner can read.
    pub fn add_account(&mut self, name: &str, account: &Account, server: Server<'_>) -> Result<()> {
        self.add_accounts([(name, account)], server)
    }

    /// Adds several accounts of one server in the same way.
    pub fn add_accounts<'a>(
        &mut self,
        accounts: impl IntoIterator<Item = (&'a str, &'a Account)>,
        server: Server<'_>,
    ) -> Result<()> {
        for (name, account) in accounts {
            let password_file = format!("{name}.password");
            self.folder.write(&password_file, format!("{}\n", account.password))?;
            let table = account_table(account, password_file, server);
            self.table("account").insert(name.to_owned(), table.into());
        }
        self.write_config()
    }

    /// Adds a component that the server on this port of 127.0.0.1 has, with its secret in a file.
    pub fn add_component(&mut self, name: &str, domain: &str, secret: &str, port: u16) -> Result<()> {
        let password_file = format!("{name}.secret");
        self.folder.write(&password_file, format!("{secret}\n"))?;
        let server = format!("127.0.0.1:{port}");
        let mut table = Table::new();
        for (key, value) in [("domain", domain), ("password_file", password_file.as_str()), ("server", server.as_str())]
        {
            table.insert(key.to_owned(), value.into());
        }
        self.table("component").insert(name.to_owned(), table.into());
        self.write_config()
    }

    /// Sets a key of a component.
    pub fn amend_component(&mut self, name: &str, key: &str, value: impl Into<toml::Value>) -> Result<()> {
        let table = self.table("component").get_mut(name).and_then(toml::Value::as_table_mut);
        let table = table.with_context(|| format!("there is no component {name}"))?;
        table.insert(key.to_owned(), value.into());
        self.write_config()
    }

    /// Adds a group without settings of its own.
    pub fn add_group(&mut self, name: &str) -> Result<()> {
        self.table("group").insert(name.to_owned(), Table::new().into());
        self.write_config()
    }

    /// Adds an account that is an address of a component.
    pub fn add_address(&mut self, name: &str, jid: &BareJid, component: &str) -> Result<()> {
        let mut table = Table::new();
        table.insert("jid".to_owned(), jid.to_string().into());
        table.insert("component".to_owned(), component.into());
        self.table("account").insert(name.to_owned(), table.into());
        self.write_config()
    }

    /// Sets or removes a key of an account.
    pub fn amend(&mut self, account: &str, key: &str, value: Option<toml::Value>) -> Result<()> {
        let table = self.table("account").get_mut(account).and_then(toml::Value::as_table_mut);
        let table = table.with_context(|| format!("there is no account {account}"))?;
        match value {
            Some(value) => table.insert(key.to_owned(), value),
            None => table.remove(key),
        };
        self.write_config()
    }

    /// Removes an account.
    pub fn remove_account(&mut self, name: &str) -> Result<()> {
        self.table("account").remove(name);
        self.write_config()
    }

    /// Sets one of the host's settings.
    pub fn set(&mut self, key: &str, value: impl Into<toml::Value>) -> Result<()> {
        self.table("settings").insert(key.to_owned(), value.into());
        self.write_config()
    }

    /// Sets a key under `[web]`.
    pub fn set_web(&mut self, key: &str, value: impl Into<toml::Value>) -> Result<()> {
        self.table("web").insert(key.to_owned(), value.into());
        self.write_config()
    }

    /// Sets a key under `[cluster]`.
    pub fn set_cluster(&mut self, key: &str, value: impl Into<toml::Value>) -> Result<()> {
        self.table("cluster").insert(key.to_owned(), value.into());
        self.write_config()
    }

    /// Removes the section `[cluster]`.
    pub fn clear_cluster(&mut self) -> Result<()> {
        self.config.remove("cluster");
        self.write_config()
    }

    /// Sets a key under `[window]`.
    pub fn set_window(&mut self, key: &str, value: impl Into<toml::Value>) -> Result<()> {
        self.table("window").insert(key.to_owned(), value.into());
        self.write_config()
    }

    /// Copies a plugin file to where this host finds it, and returns an entry for it without any grant.
    pub fn install(&self, id: &str, plugin: &Built) -> Result<Entry> {
        self.install_bytes(id, &plugin.bytes()?)
    }

    /// Writes a plugin file of these bytes, and returns an entry for it without any grant.
    pub fn install_bytes(&self, id: &str, bytes: &[u8]) -> Result<Entry> {
        self.replace(id, bytes)?;
        Ok(Entry::new(format!("plugins/{id}.wasm"), plugins::digest_of(bytes)))
    }

    /// Replaces the bytes of a plugin's file, as an attacker might.
    pub fn replace(&self, id: &str, bytes: &[u8]) -> Result<()> {
        self.folder.write(format!("plugins/{id}.wasm"), bytes).map(drop)
    }

    /// Writes the policy. A running host reads it after [`Host::reload`].
    pub fn set_policy(&self, policy: &Policy) -> Result<()> {
        self.folder.write("plugins.toml", policy.to_toml()?).map(drop)
    }

    /// Writes any file, for instance a broken `parlor.toml`.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        self.folder.write(name, content)
    }

    /// Writes a secret into a file of this name. Returns the value of a setting that is kept there.
    pub fn keep_secret(&self, name: &str, secret: &str) -> Result<Table> {
        let file = self.write(name, secret)?.to_string_lossy().into_owned();
        Ok(Table::from_iter([("file".to_owned(), file.into())]))
    }

    /// Returns the password file of the account with this name.
    pub fn password_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.password"))
    }

    /// Returns the folder's path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a command that runs `parlor` with these arguments in this folder, without settings from the environment.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Command> {
        Ok(self.command_of(&self.program()?, arguments))
    }

    /// Returns the same command with another program.
    fn command_of<A: AsRef<OsStr>>(&self, program: &Path, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PARLOR_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Takes another build of `parlor` for all later commands.
    pub fn set_program(&mut self, parlor: &Path) {
        self.program = Some(parlor.to_owned());
    }

    fn program(&self) -> Result<PathBuf> {
        self.program.clone().map_or_else(|| plugins::program("parlor"), Ok)
    }

    /// Sets an environment variable for all later commands.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs `parlor` with these arguments until it ends, without a terminal.
    pub async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.run_with(arguments, "").await
    }

    /// Runs `parlor` in the same way, with this standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Result<Finished> {
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (input, what) = (input.to_owned(), arguments.join(" "));
        let ending = tokio::task::spawn_blocking(move || {
            let mut child = crate::process::spawn(command)?;
            // A command that does not read its input has already ended.
            let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
            child.wait_with_output()
        });
        let output = ending.await?.with_context(|| format!("cannot run parlor {what}"))?;
        Ok(Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts `parlor run` without waiting for it.
    pub fn start(&self) -> Result<Host> {
        self.start_with(&[])
    }

    /// Starts `parlor run` with more arguments.
    pub fn start_with(&self, more: &[&str]) -> Result<Host> {
        self.start_in(&Surroundings::Usual, more)
    }

    /// Starts `parlor run` as owners do: accounts log in while plugins are still compiled.
    pub fn start_at_once(&self) -> Result<Host> {
        self.spawn(&Surroundings::Usual, RUN.to_vec())
    }

    /// Starts `parlor run` with more arguments in other surroundings.
    pub fn start_in(&self, surroundings: &Surroundings, more: &[&str]) -> Result<Host> {
        // `--compile-first`: once an account is connected, all of its plugins run.
        self.spawn(surroundings, [&RUN[..], &["--compile-first"], more].concat())
    }

    fn spawn(&self, surroundings: &Surroundings, arguments: Vec<&str>) -> Result<Host> {
        let parlor = self.program()?;
        let command = match surroundings {
            Surroundings::Usual => self.command(arguments)?,
            Surroundings::Embedded => self.command_of(&plugins::program("embedded")?, arguments),
            Surroundings::Counted => self.command_of(&plugins::program("counted")?, arguments),
            Surroundings::SmallDisk(size) => {
                // The data folder gets a separate mount, which only the process sees and which ends with it.
                self.folder.make_folder("data")?;
                let script = format!("mount -t tmpfs -o size={size},mode=700 none data && exec \"$0\" \"$@\"");
                let parlor = parlor.display().to_string();
                let own = ["--user", "--map-root-user", "--mount", "sh", "-c", &script, &parlor];
                self.command_of(Path::new("unshare"), [&own[..], &arguments].concat())
            }
            Surroundings::Names(hosts) => {
                // As above, only the process sees this.
                let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
                let (hosts, parlor) = (hosts.display().to_string(), parlor.display().to_string());
                let own = ["--user", "--map-root-user", "--mount", "sh", "-c", script, &hosts, &parlor];
                self.command_of(Path::new("unshare"), [&own[..], &arguments].concat())
            }
        };
        Ok(Host { process: Process::start("parlor", command)?, seen: Mark::default() })
    }

    fn table(&mut self, name: &str) -> &mut Table {
        let table = self.config.entry(name).or_insert_with(|| Table::new().into());
        table.as_table_mut().expect("only tables are put at the top")
    }

    fn write_config(&self) -> Result<()> {
        let text = toml::to_string(&self.config).context("cannot write a configuration as TOML")?;
        self.folder.write("parlor.toml", text).map(drop)
    }
}

/// Returns the table of an account in `parlor.toml`.
fn account_table(account: &Account, password_file: String, server: Server<'_>) -> Table {
    let (port, tls, certificate) = match server {
        Server::StartTls(port, certificate) => (port, "starttls", certificate),
        Server::Direct(port, certificate)
        | Server::Plain(port, certificate)
        | Server::WebSocket(port, certificate)
        | Server::Bosh(port, certificate) => (port, "direct", certificate),
    };
    let mut table = Table::new();
    table.insert("jid".into(), account.jid.to_string().into());
    table.insert("password_file".into(), password_file.into());
    table.insert("server".into(), format!("127.0.0.1:{port}").into());
    table.insert("tls".into(), tls.into());
    table.insert("ca_file".into(), certificate.certificate_file.display().to_string().into());
    table.insert("allow_plain".into(), matches!(server, Server::Plain(..)).into());
    let url = match server {
        Server::WebSocket(port, _) => Some(("websocket_url", format!("wss://localhost:{port}/xmpp-websocket"))),
        Server::Bosh(port, _) => Some(("bosh_service_url", format!("https://localhost:{port}/http-bind"))),
        Server::StartTls(..) | Server::Direct(..) | Server::Plain(..) => None,
    };
    if let Some((key, url)) = url {
        table.insert("settings".into(), Table::from_iter([(key.to_owned(), url.into())]).into());
    }
    table
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The text on standard output.
    pub stdout: String,
    /// The text on standard error.
    pub stderr: String,
}

impl Finished {
    /// Parses standard output as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }
}

/// A running `parlor run`. Dropping it kills it.
#[derive(Debug)]
pub struct Host {
    process: Process,
    /// The position in its log up to which [`wait`](Self::wait) has read.
    seen: Mark,
}

impl Host {
    /// Waits for the next line of the log with this message and these fields.
    ///
    /// Waits move forward: a line before one that an earlier call returned is not found again.
    pub async fn wait(&mut self, message: &str, fields: &[(&str, &str)], limit: Duration) -> Result<Line> {
        let mut what = format!("the log line \"{message}\"");
        for (name, value) in fields {
            what = format!("{what} {name}={value}");
        }
        let pick = |text: &str| Line::parse(text).filter(|line| line.is(message, fields));
        self.process.log().wait(&what, &mut self.seen, limit, pick).await
    }

    /// Waits until the whole log has this many lines with this message and these fields, and returns the last of them.
    ///
    /// Use it for events that may come in any order: count first, then wait for one more.
    pub async fn wait_count(
        &self,
        message: &str,
        fields: &[(&str, &str)],
        count: usize,
        limit: Duration,
    ) -> Result<Line> {
        let what = format!("{count} times the log line \"{message}\" {fields:?}");
        let mut found = 0;
        let pick = |text: &str| {
            let line = Line::parse(text).filter(|line| line.is(message, fields))?;
            found += 1;
            (found == count).then_some(line)
        };
        self.process.log().wait(&what, &mut Mark::default(), limit, pick).await
    }

    /// Returns all lines of the log with this message and these fields.
    pub fn lines(&self, message: &str, fields: &[(&str, &str)]) -> Vec<Line> {
        let lines = self.process.log().all();
        lines.iter().filter_map(|text| Line::parse(text)).filter(|line| line.is(message, fields)).collect()
    }

    /// Makes the host read its policy again.
    pub fn reload(&self) -> Result<()> {
        self.process.signal(Signal::Reload)
    }

    /// Sends the host a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Stops the host as `kill` does, and returns its exit status.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::Terminate)?;
        self.process.wait(limit).await
    }

    /// Waits until the host ends on its own.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.wait(limit).await
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the log.
    pub fn log(&self) -> &Log {
        self.process.log()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::log::keep("parlor", self.process.log());
        }
    }
}

/// A line of the host's log.
#[derive(Debug, Clone)]
pub struct Line(Map<String, Value>);

impl Line {
    fn parse(text: &str) -> Option<Self> {
        match serde_json::from_str(text).ok()? {
            Value::Object(mut line) => match line.remove("fields") {
                Some(Value::Object(fields)) => Some(Self(fields)),
                _ => Some(Self(line)),
            },
            _ => None,
        }
    }

    fn is(&self, message: &str, fields: &[(&str, &str)]) -> bool {
        self.get("message") == message && fields.iter().all(|(name, value)| self.get(name) == *value)
    }

    /// Returns a field's text, or an empty string if the field is missing.
    pub fn get(&self, field: &str) -> String {
        match self.0.get(field) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Object(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jid::BareJid;

    use super::*;

    #[test]
    fn a_line_is_known_by_its_message_and_fields() {
        let text = r#"{"level":"INFO","fields":{"message":"plugin running","plugin":"echo","n":3},"target":"parlor"}"#;
        let line = Line::parse(text).unwrap();
        assert!(line.is("plugin running", &[("plugin", "echo"), ("n", "3")]));
        assert!(!line.is("plugin running", &[("plugin", "greeter")]));
        assert!(!line.is("plugin ended", &[]));
        assert!(Line::parse("not json").is_none());
    }

    #[test]
    fn a_home_has_what_a_user_would_write() {
        let mut home = Home::new().unwrap();
        let certificate = Certificate::make(&home.folder).unwrap();
        let account = Account { jid: BareJid::new("bot@localhost").unwrap(), password: "secret".into() };
        home.add_account("main", &account, Server::StartTls(5222, &certificate)).unwrap();
        home.set("auto_join_rooms", vec!["room@conference.localhost"]).unwrap();
        let text = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
        let config: Table = text.parse().unwrap();
        assert_eq!(config["account"]["main"]["jid"].as_str(), Some("bot@localhost"));
        assert_eq!(config["settings"]["auto_join_rooms"][0].as_str(), Some("room@conference.localhost"));
        let password = home.path().join("main.password");
        assert_eq!(std::fs::read_to_string(&password).unwrap(), "secret\n");
        assert_eq!(password.metadata().unwrap().permissions().mode() & 0o077, 0);
        assert!(!text.contains("secret"));
    }
}
