//! The command line's side of the control socket: blocking requests to the running host from another process.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::Method;
use parlor_base::escape::EscapedPath as _;
use serde::de::DeserializeOwned;

use super::exchange::{self, connect};
use super::request::by_value;
use super::views::Line;
use super::{VERSION, socket};
use crate::host::LOCK;

pub use super::request::{MOST_ACCOUNTS, escaped};

/// How long a host may take until it listens: it compiles its plugins first.
pub const STARTING: Duration = Duration::from_mins(1);
/// How long to wait for the host without telling the user. Also the timeout for information that is only nice to have.
const QUIET: Duration = Duration::from_secs(2);
/// How often to retry meanwhile.
const AGAIN: Duration = Duration::from_millis(50);
/// The timeout of a query. The host closes a connection without a request earlier than that.
const QUESTION: Duration = Duration::from_secs(15);
/// The timeout of a change: a plugin may take long to compile.
const CHANGE: Duration = Duration::from_mins(5);
/// The timeout of a comparison of secrets, in which a person has some minutes to answer.
const COMPARISON: Duration = Duration::from_mins(10);
/// A client of the host that runs with a data folder. Each request opens its own connection.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    /// The session in the browser that asks, for the audit, as the header has it.
    by: Option<String>,
    /// Why something was missing in answers. Held for moments only.
    incomplete: Mutex<Option<String>>,
}

/// The reason why a running host did not fulfil a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host holds the data folder, and does not listen.
    #[error(
        "a host runs with the data folder {}, but nobody answers on its {}: it may still be compiling its plugins, which its log \
         tells; if it is not, stop that host and start it again",
        data.escaped(), socket.escaped()
    )]
    Silent {
        /// The host's data folder.
        data: PathBuf,
        /// The host's socket.
        socket: PathBuf,
    },
    /// The host listened, and its socket was deleted.
    #[error(
        "a host runs with the data folder {}, but its socket {} is gone: `kill -HUP {process}` has it make another one",
        data.escaped(), socket.escaped()
    )]
    Lost {
        /// The host's data folder.
        data: PathBuf,
        /// The host's socket.
        socket: PathBuf,
        /// The host's process id.
        process: u32,
    },
    /// The socket cannot be used.
    #[error("{} cannot be used ({cause}): only the user that the host runs as may use it", path.escaped())]
    Unusable {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The host speaks another version of the protocol.
    #[error(
        "the host that runs is parlor {host}, this is parlor {VERSION}, and they do not understand each other: use that \
         version's command, or stop the host and start this version"
    )]
    OtherVersion {
        /// The host's version.
        host: String,
    },
    /// The host refused the request.
    #[error("{reason}")]
    Refused {
        /// The status of the response, such as 404 for a plugin that the host does not have.
        status: u16,
        /// The host's reason.
        reason: String,
    },
    /// The response is malformed.
    #[error("the host answered nonsense ({0}): restart it")]
    Nonsense(String),
    /// The host does not answer in time.
    #[error(
        "the host was asked and does not answer: its process may be suspended (`kill -CONT` lets it go on), or the machine too \
         busy; if it is neither, end that process and start the host again"
    )]
    Hangs,
    /// The connection broke.
    #[error("the host did not answer ({0}): its log says why")]
    Broken(io::Error),
}

impl From<io::Error> for ClientError {
    fn from(cause: io::Error) -> Self {
        if is_late(&cause) { Self::Hangs } else { Self::Broken(cause) }
    }
}

/// Finds the host that runs with this data folder; none if there is none. It waits for a host that is starting or
/// stopping. If that takes long, it calls `waits`, so that the user knows.
pub fn find(data: &Path, waits: impl FnOnce()) -> Result<Option<Client>, ClientError> {
    find_after(QUIET, data, waits)
}

/// Waits this long for a host that does not listen yet, or is stopping. Returns the error if the host then still neither listens nor has ended.
pub fn unready(data: &Path, patience: Duration) -> Option<ClientError> {
    let error = find_within(patience, patience, data, || {}).err()?;
    matches!(error, ClientError::Silent { .. }).then_some(error)
}

fn find_after(quiet: Duration, data: &Path, waits: impl FnOnce()) -> Result<Option<Client>, ClientError> {
    find_within(quiet, STARTING, data, waits)
}

/// Waits for the host as long as `most`.
fn find_within(
    quiet: Duration,
    most: Duration,
    data: &Path,
    waits: impl FnOnce(),
) -> Result<Option<Client>, ClientError> {
    let path = socket::path(data);
    let began = Instant::now();
    let mut waits = Some(waits);
    loop {
        let process = listener(data);
        match connect(&path, QUESTION) {
            Ok(_) => return Ok(Some(Client::at(path))),
            // No host listens: it does not run, or is not ready yet.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            Err(error) if is_late(&error) => return Err(ClientError::Hangs),
            Err(cause) => return Err(ClientError::Unusable { path, cause }),
        }
        if !is_taken(data) {
            return Ok(None);
        }
        if began.elapsed() >= quiet {
            // It listened before this attempt, and is not stopping: no other host is about to listen there.
            if let Some(process) = process.filter(|_| listener(data) == process) {
                return Err(ClientError::Lost { data: data.to_owned(), socket: path, process });
            }
            if let Some(waits) = waits.take() {
                waits();
            }
        }
        if began.elapsed() >= most {
            return Err(ClientError::Silent { data: data.to_owned(), socket: path });
        }
        std::thread::sleep(AGAIN);
    }
}

/// Queries the host that listens now, for information that is only nice to have; none if there is no immediate
/// response.
pub fn try_get<T: DeserializeOwned>(data: &Path, target: &str) -> Option<T> {
    Client::at(socket::path(data)).ask(Method::GET, target, &[], QUIET).ok()
}

/// Returns whether a socket operation timed out; the system chooses between the two kinds.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Returns whether a host holds the data folder.
fn is_taken(data: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(data.join(LOCK)) else { return false };
    // This lock is released with the file at once; a host that is starting retries for longer than that.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Returns the process that listens there, by the host's own note; none if the host does not listen yet, or is
/// stopping.
fn listener(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join(LOCK)).ok()?.parse().ok()
}

impl Client {
    fn at(path: PathBuf) -> Self {
        Self { path, by: None, incomplete: Mutex::default() }
    }

    /// Returns why something was missing in the last answer that was incomplete, since a node of the cluster did not answer.
    /// Each is told once.
    pub fn incomplete(&self) -> Option<String> {
        self.incomplete.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns a client that asks for a session of `parlor web`. The audit has its name then. `jid`: the one to which its link was
    /// sent. `accounts`: those that it is limited to, each with its address. It gets no more than these may see.
    #[must_use]
    pub fn by(self, session: &str, jid: Option<&str>, accounts: Option<&BTreeMap<String, String>>) -> Self {
        let accounts = accounts.map(|all| all.iter().map(|(name, jid)| (name.as_str(), jid.as_str())));
        Self { by: Some(by_value(session, jid, accounts)), ..self }
    }

    /// Sends a query.
    pub fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, target, &[], QUESTION)
    }

    /// Sends a command.
    pub fn post<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        self.ask(Method::POST, target, &[], CHANGE)
    }

    /// Sends a command with a secret, which nobody sees in its target.
    pub fn post_secret<T: DeserializeOwned>(&self, target: &str, secret: &[u8]) -> Result<T, ClientError> {
        self.ask(Method::POST, target, secret, CHANGE)
    }

    /// Sends a command to compare a secret with a person, and waits for the result. The host gives the comparison up if this
    /// process ends before.
    pub fn compare<T: DeserializeOwned>(&self, target: &str, secret: &[u8]) -> Result<T, ClientError> {
        self.ask(Method::POST, target, secret, COMPARISON)
    }

    /// Streams lines of the log until the host stops. An incomplete last line yields an error that the connection
    /// broke.
    pub fn lines(&self, target: &str) -> Result<impl Iterator<Item = Result<Line, ClientError>> + use<>, ClientError> {
        exchange::lines(&self.path, target, self.by.as_deref(), QUESTION)
    }

    /// Returns whether the host still listens.
    pub fn is_heard(&self) -> bool {
        connect(&self.path, QUESTION).is_ok()
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: &[u8],
        patience: Duration,
    ) -> Result<T, ClientError> {
        let whole = exchange::ask(&self.path, method, target, (body, self.by.as_deref()), patience)?;
        if whole.incomplete.is_some() {
            *self.incomplete.lock().unwrap_or_else(PoisonError::into_inner) = whole.incomplete;
        }
        serde_json::from_slice(&whole.body).map_err(|error| ClientError::Nonsense(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use rustix::net;

    use super::*;

    /// Returns the client's result for these bytes of a response.
    fn asked(answer: &'static [u8]) -> Result<serde_json::Value, ClientError> {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket::path(folder.path())).unwrap();
        std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                // The first connection only checks that the host listens.
                if stream.read(&mut asked).is_ok_and(|length| length > 0) {
                    stream.write_all(answer).unwrap();
                }
            }
        });
        find(folder.path(), || {}).unwrap().unwrap().get("/v1/status")
    }

    #[test]
    fn a_host_of_another_version_is_told_apart() {
        let other = asked(b"HTTP/1.1 200 OK\r\nparlor-version: 9.9.9\r\nparlor-control: 2\r\n\r\n{}").unwrap_err();
        assert!(other.to_string().starts_with("the host that runs is parlor 9.9.9, this is parlor "), "{other}");
        let stranger = asked(b"HTTP/1.1 200 OK\r\n\r\n{}").unwrap_err();
        assert!(matches!(stranger, ClientError::OtherVersion { .. }));
    }

    #[test]
    fn an_answer_without_that_of_a_node_says_so_once() {
        let answer =
            b"HTTP/1.1 200 OK\r\nparlor-control: 1\r\nparlor-incomplete: node%20two%1B\r\ncontent-length: 2\r\n\r\n17";
        let (_folder, client, host) = told(answer);
        assert_eq!(client.get::<u8>("/v1/status").unwrap(), 17);
        assert_eq!(client.incomplete().as_deref(), Some("node two\\u{1b}"));
        assert_eq!(client.incomplete(), None);
        host.join().unwrap();
    }

    #[test]
    fn nonsense_is_named_as_such() {
        assert!(matches!(asked(b"hello\r\n\r\n"), Err(ClientError::Nonsense(_))));
        assert!(matches!(asked(b"HTTP/1.1 200 OK\r\n"), Err(ClientError::Nonsense(_))));
        let cut = asked(b"HTTP/1.1 200 OK\r\nparlor-control: 1\r\n\r\n{\"a\":").unwrap_err();
        assert!(matches!(cut, ClientError::Nonsense(_)), "{cut}");
        // The error is shown once, however it is printed.
        let broken = anyhow::Error::from(ClientError::from(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert!(format!("{broken:#}").ends_with("): its log says why"), "{broken:#}");
        let refused = asked(b"HTTP/1.1 404 No\r\nparlor-control: 1\r\n\r\n{\"error\":\"there is none\"}").unwrap_err();
        assert_eq!(refused.to_string(), "there is none");
        assert!(matches!(refused, ClientError::Refused { status: 404, .. }), "{refused:?}");
    }

    /// Returns the client of a host that writes these bytes to a connection, before it reads anything, and then waits
    /// for its end.
    fn told(answer: &'static [u8]) -> (tempfile::TempDir, Client, std::thread::JoinHandle<()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = socket::path(folder.path());
        let listener = UnixListener::bind(&path).unwrap();
        let host = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        (folder, Client::at(path), host)
    }

    #[test]
    fn who_is_refused_before_it_has_asked_is_told_so() {
        for _ in 0..50 {
            let answer = b"HTTP/1.1 403 No\r\nparlor-control: 1\r\ncontent-length: 19\r\n\r\n{\"error\":\"not you\"}";
            let (_folder, client, host) = told(answer);
            let refused = client.get::<serde_json::Value>("/v1/status").unwrap_err();
            assert!(matches!(refused, ClientError::Refused { status: 403, .. }), "{refused:?}");
            host.join().unwrap();
        }
    }

    #[test]
    fn lines_are_read_as_they_come_and_who_drops_them_leaves() {
        let line = |number: u32| {
            format!("{{\"number\":{number},\"at\":\"\",\"level\":\"\",\"target\":\"\",\"message\":\"\"}}\n")
        };
        let text = line(1) + &line(2);
        let (start, end) = text.split_at(70);
        let parts = [start, end].map(|part| format!("{:x}\r\n{part}\r\n", part.len())).concat();
        let head = "HTTP/1.1 200 OK\r\nparlor-control: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        let (_folder, client, host) = told(format!("{head}{parts}").leak().as_bytes());
        let mut lines = client.lines("/v1/logs?follow=true").unwrap();
        assert_eq!([1, 2].map(|_| lines.next().unwrap().unwrap().number), [1, 2]);
        drop(lines);
        host.join().unwrap();
    }

    #[tokio::test]
    async fn a_host_is_asked_from_within_a_runtime_too() {
        let answer = b"HTTP/1.1 200 OK\r\nparlor-control: 1\r\ncontent-length: 2\r\n\r\n17";
        let (folder, _, host) = told(answer);
        assert_eq!(try_get::<u8>(folder.path(), "/v1/status"), Some(17));
        host.join().unwrap();
    }

    /// Like a suspended process: the system accepts the connection in its place.
    #[test]
    fn a_host_that_never_answers_is_waited_for_no_longer_than_meant() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(socket::path(folder.path())).unwrap();
        let client = find(folder.path(), || {}).unwrap().unwrap();
        let error =
            client.ask::<serde_json::Value>(Method::GET, "/v1/status", &[], Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, ClientError::Hangs), "{error}");
        assert!(error.to_string().contains("`kill -CONT` lets it go on"), "{error}");
    }

    #[test]
    fn where_the_system_takes_no_more_for_a_host_it_is_waited_for_no_longer_than_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket::path(folder.path());
        let listener = UnixListener::bind(&path).unwrap();
        net::listen(&listener, 0).unwrap();
        let mut taken = Vec::new();
        let error = loop {
            match connect(&path, Duration::from_millis(1)) {
                Ok(stream) => taken.push(stream),
                Err(error) => break error,
            }
        };
        assert!(taken.len() < 8 && matches!(ClientError::from(error), ClientError::Hangs), "{}", taken.len());
    }

    #[test]
    fn a_host_that_does_not_answer_yet_is_not_said_to_be_dead() {
        let silent = ClientError::Silent { data: "data".into(), socket: "data/control.sock".into() };
        let says = "a host runs with the data folder data, but nobody answers on its data/control.sock: it may still be \
                    compiling its plugins, which its log tells; if it is not, stop that host and start it again";
        assert_eq!(silent.to_string(), says);
    }

    /// Returns a data folder that is locked by a host which wrote this into its lock file.
    fn held(wrote: &str) -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LOCK), wrote).unwrap();
        let lock = File::open(folder.path().join(LOCK)).unwrap();
        lock.try_lock().unwrap();
        (folder, lock)
    }

    #[test]
    fn a_host_that_does_not_listen_yet_is_waited_for_and_that_is_said() {
        let (folder, lock) = held("");
        // The host exits as soon as the client waits for it.
        let found = find_after(Duration::ZERO, folder.path(), move || drop(lock)).unwrap();
        assert!(found.is_none());
    }

    #[test]
    fn a_host_that_starts_is_told_from_one_that_listens_and_from_none() {
        let (folder, lock) = held("");
        let silent = unready(folder.path(), Duration::ZERO);
        assert!(matches!(silent, Some(ClientError::Silent { .. })), "{silent:?}");
        let listener = UnixListener::bind(socket::path(folder.path())).unwrap();
        assert!(unready(folder.path(), Duration::ZERO).is_none());
        drop((listener, lock));
        assert!(unready(folder.path(), Duration::ZERO).is_none());
        // It listened before, so nobody waits for it.
        let (folder, _lock) = held("4711");
        assert!(unready(folder.path(), Duration::ZERO).is_none());
    }

    #[test]
    fn a_host_that_has_lost_its_socket_is_not_waited_for() {
        let (folder, _lock) = held("4711");
        let error = find_after(Duration::ZERO, folder.path(), || panic!("it was waited for")).unwrap_err();
        assert!(matches!(error, ClientError::Lost { process: 4711, .. }), "{error}");
        assert!(
            error.to_string().contains("control.sock is gone: `kill -HUP 4711` has it make another one"),
            "{error}"
        );
    }

    #[test]
    fn who_does_not_answer_at_once_is_not_waited_for_by_who_would_only_like_to_know() {
        let (folder, _lock) = held("");
        let began = Instant::now();
        assert_eq!(try_get::<serde_json::Value>(folder.path(), "/v1/status"), None);
        let _listener = UnixListener::bind(socket::path(folder.path())).unwrap();
        assert_eq!(try_get::<serde_json::Value>(folder.path(), "/v1/status"), None);
        assert!(began.elapsed() < QUESTION);
    }

    #[test]
    fn where_nobody_has_the_folder_nobody_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path(), || {}).unwrap().is_none());
        // A dead host leaves a socket without a listener and an unlocked lock file.
        drop(UnixListener::bind(socket::path(folder.path())).unwrap());
        std::fs::write(folder.path().join(LOCK), "").unwrap();
        assert!(find(folder.path(), || {}).unwrap().is_none());
    }
}
