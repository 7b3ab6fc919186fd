//! The host's end of the control socket: it checks who connects, and answers requests.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::PluginId;
use parlor_session::permissions::question::Question;
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::http::{self, Answer, JSON, Refusal, Request};
use super::lines::{LEVELS, Lines, Wanted, rank};
use super::listening::Listening;
use super::show;
use super::socket::{self, Address};
use super::views::Failure;
use crate::host::{Host, LOCK};

/// The most connections at once; further ones wait.
const CONNECTIONS: usize = 32;
/// The most connections that may follow the log. The rest is reserved for short requests.
const FOLLOWERS: usize = 24;
/// The timeout for a request to arrive, and for a response, or a part of it, to be read.
const REQUEST: Duration = Duration::from_secs(10);
/// The most orders that may be pending.
pub const ORDERS: usize = 16;
/// How long to wait for a change before the response shows an intermediate state.
const SETTLING: Duration = Duration::from_mins(1);
/// The default number of log lines.
const USUAL_LINES: usize = 100;
/// The most of a refusal's reason that is shown, in bytes.
const LONGEST_REASON: usize = 1 << 10;
/// The size of a write when log lines are sent, in bytes.
const PART: usize = 64 << 10;

/// A command to the host from an authorized user.
#[derive(Debug)]
pub enum Order {
    /// Reload the configuration and the policy, and retry failed accounts.
    ReloadAll(oneshot::Sender<Result<(), String>>),
    /// Reload the policy.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Restart this plugin. The answer is false if there is no such plugin.
    Restart(PluginId, oneshot::Sender<bool>),
}

/// The parts of the host that the control socket needs.
#[derive(Clone)]
pub struct HostHandle {
    /// The host, for queries.
    pub host: Arc<Host>,
    /// The last lines of the log.
    pub lines: Lines,
    /// The queue of commands, which run one after the other.
    pub orders: mpsc::Sender<Order>,
}

/// A listening control socket.
pub struct Control {
    handle: HostHandle,
    listening: Listening,
    path: PathBuf,
    /// The device and inode of our socket, to notice that somebody replaced it.
    made: Option<(u64, u64)>,
}

/// The error if the socket cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("the control socket {} cannot be made ({cause}): make its folder writable, or name another with --data", path.escaped())]
pub struct ControlError {
    /// The path of the socket.
    pub path: PathBuf,
    /// The error of the system.
    pub cause: io::Error,
}

impl Control {
    /// Listens in the host's data folder. The host holds that folder's lock, so any socket already there belongs to a
    /// dead host.
    pub fn start(handle: HostHandle) -> Result<Self, ControlError> {
        let path = socket::path(&handle.host.config().data);
        let listening = hear(&handle, &path)?;
        note(&path, &std::process::id().to_string());
        Ok(Self { handle, listening, made: identity(&path), path })
    }

    /// Listens again if somebody deleted or replaced the socket. Existing connections are closed.
    pub async fn mend(&mut self) {
        if self.made.is_some() && self.made == identity(&self.path) {
            return;
        }
        match hear(&self.handle, &self.path) {
            Ok(listening) => {
                self.made = identity(&self.path);
                std::mem::replace(&mut self.listening, listening).stop().await;
                tracing::warn!("the control socket was gone, and is made anew");
            }
            Err(error) => tracing::error!(%error, "the control socket is gone"),
        }
    }

    /// Closes every connection. When this returns, it holds nothing of the host.
    pub async fn stop(self) {
        let Self { handle, listening, path, .. } = self;
        drop(handle);
        // Clients that connect from now on find no host.
        note(&path, "");
        let _ = std::fs::remove_file(&path);
        listening.stop().await;
    }
}

/// Starts to serve connections on this path.
fn hear(handle: &HostHandle, path: &Path) -> Result<Listening, ControlError> {
    let listener = listen(path).map_err(|cause| ControlError { path: path.to_owned(), cause })?;
    let listener = Arc::new(listener);
    let next = move || {
        let listener = Arc::clone(&listener);
        async move { listener.accept().await.map(|(stream, _)| stream) }
    };
    let fault = "the control socket did not accept a connection";
    let (handle, followers) = (handle.clone(), Arc::new(Semaphore::new(FOLLOWERS)));
    let hear = move |stream| converse(stream, handle.clone(), Arc::clone(&followers));
    Ok(Listening::start(next, CONNECTIONS, fault, hear))
}

/// Writes the id of the listening process beside the socket. Without it, a client that cannot connect assumes that the
/// host is starting.
fn note(path: &Path, process: &str) {
    // On failure such a client waits in vain.
    let _ = std::fs::write(path.with_file_name(LOCK), process);
}

/// Returns the device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|found| (found.dev(), found.ino()))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Created under another name, restricted, then renamed: at no moment can another user connect, and the final name
    // never leads to a socket without a listener.
    let new = path.with_extension("sock.new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(Address::of(&new)?.path())?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

async fn converse(mut stream: UnixStream, handle: HostHandle, followers: Arc<Semaphore>) {
    let mut head_alone = false;
    let result = match may_ask(&stream) {
        Err(refusal) => Err(refusal),
        Ok(()) => match tokio::time::timeout(REQUEST, http::read(&mut stream)).await {
            Ok(Ok(Some(request))) => {
                head_alone = request.head_alone;
                serve(&mut stream, &request, &handle, &followers).await
            }
            Ok(Ok(None)) => return,
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::new(408, format!("no request came within {} s", REQUEST.as_secs()))),
        },
    };
    // A client that disconnected needs no response.
    if let Err(refusal) = result {
        let Refusal { status, error, allow } = refusal;
        let body = serde_json::to_vec(&Failure { error }).unwrap_or_default();
        let _ = http::answer(&mut stream, Answer { status, kind: JSON, body: &body, allow, head_alone }).await;
        http::leave(stream).await;
    }
}

/// Checks the peer: only the user that the host runs as, and root, are served.
fn may_ask(stream: &UnixStream) -> Result<(), Refusal> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().map_err(|error| Refusal::new(403, format!("nobody knows who asks ({error})")))?;
    if peer.uid() == own || peer.uid() == 0 {
        return Ok(());
    }
    tracing::warn!(user = peer.uid(), process = peer.pid(), "another user was turned away from the control socket");
    Err(Refusal::new(403, "only the user that the host runs as may ask it"))
}

async fn serve(
    stream: &mut UnixStream,
    request: &Request,
    handle: &HostHandle,
    followers: &Semaphore,
) -> Result<(), Refusal> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let (allowed, known) = match path[..] {
        ["v1", "status" | "logs"] | ["v1", "plugins", _] | ["v1", "plugins", _, "explain"] => ("GET", true),
        ["v1", "reload" | "configure"] | ["v1", "plugins", _, "restart"] => ("POST", true),
        _ => ("", false),
    };
    if !known {
        return Err(Refusal::new(404, "there is no such thing on the control socket"));
    }
    if request.method != allowed {
        return Err(Refusal::method(allowed));
    }
    match path[..] {
        ["v1", "logs"] => return logs(stream, request, handle, followers).await,
        ["v1", "plugins", id] => {
            let id = plugin(id)?;
            let found = show::plugin(&handle.host, &id).await;
            if found.is_empty() {
                return Err(no_plugin(&id));
            }
            return json(stream, &found, request.head_alone).await;
        }
        ["v1", "plugins", id, "explain"] => {
            let id = plugin(id)?;
            let query = |name: &str| request.query.get(name).map(String::as_str).filter(|value| !value.is_empty());
            let what =
                query("what").ok_or_else(|| Refusal::new(400, "`what` names a call, an event or a permission"))?;
            let question = Question::parse(what, query("about"));
            let question =
                question.map_err(|error| Refusal::new(400, escape_untrusted(&error.to_string(), LONGEST_REASON)))?;
            let answers = show::explained(&handle.host, &id, &question).await;
            if answers.is_empty() && !handle.host.has_plugin(&id).await {
                return Err(no_plugin(&id));
            }
            return json(stream, &answers, request.head_alone).await;
        }
        ["v1", what @ ("reload" | "configure")] => {
            // A reload may take long. Withdrawn permissions take effect before it.
            handle.host.hold_to_policy().await;
            let (done, was_done) = oneshot::channel();
            order(handle, if what == "reload" { Order::Reload(done) } else { Order::ReloadAll(done) }).await?;
            let ended = was_done.await.map_err(|_| Refusal::new(409, "the host is being stopped"))?;
            ended.map_err(|reason| Refusal::new(409, reason))?;
            settle(&handle.host).await;
        }
        ["v1", "plugins", id, _] => {
            let (id, (done, was_done)) = (plugin(id)?, oneshot::channel());
            order(handle, Order::Restart(id.clone(), done)).await?;
            if !was_done.await.map_err(|_| Refusal::new(409, "the host is being stopped"))? {
                return Err(no_plugin(&id));
            }
            settle(&handle.host).await;
        }
        _ => {}
    }
    json(stream, &show::status(&handle.host).await, request.head_alone).await
}

fn plugin(id: &str) -> Result<PluginId, Refusal> {
    id.parse().map_err(|error| Refusal::new(400, format!("{error}")))
}

fn no_plugin(id: &PluginId) -> Refusal {
    Refusal::new(404, format!("there is no plugin {id}; `parlor plugin list` shows those that there are"))
}

async fn order(handle: &HostHandle, order: Order) -> Result<(), Refusal> {
    handle.orders.send(order).await.map_err(|_| Refusal::new(409, "the host is being stopped"))
}

/// Waits until every started plugin runs or has failed.
pub(super) async fn settle(host: &Host) {
    // After the timeout the response shows the current state.
    let _ = tokio::time::timeout(SETTLING, host.settled()).await;
}

async fn json<T: Serialize>(stream: &mut UnixStream, value: &T, head_alone: bool) -> Result<(), Refusal> {
    let body = serde_json::to_vec(value).map_err(|error| Refusal::new(500, error.to_string()))?;
    // A client that disconnected needs no response.
    let answer = Answer { status: 200, kind: JSON, body: &body, allow: None, head_alone };
    let _ = in_time(http::answer(stream, answer)).await;
    Ok(())
}

async fn logs(
    stream: &mut UnixStream,
    request: &Request,
    handle: &HostHandle,
    followers: &Semaphore,
) -> Result<(), Refusal> {
    let query = |name: &str| request.query.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let level = query("level")
        .map(|level| rank(level).ok_or_else(|| Refusal::new(400, format!("a level is one of {}", LEVELS.join(", ")))))
        .transpose()?;
    let wanted = Wanted { plugin: query("plugin").map(plugin).transpose()?.map(|id| id.to_string()), level };
    let most = query("lines").map_or(Ok(USUAL_LINES), str::parse);
    let most = most.map_err(|_| Refusal::new(400, "`lines` is a whole number"))?;
    let follow = query("follow") == Some("true");
    let too_many =
        |_| Refusal::new(503, format!("{FOLLOWERS} follow the log already: end one of them, or look at it without -f"));
    // Held for as long as the client follows.
    let _place = if follow { Some(followers.try_acquire().map_err(too_many)?) } else { None };
    // Subscribe before reading, so that no line between the two is missed.
    let mut news = handle.lines.news();
    news.mark_unchanged();
    let (lines, mut newest) = handle.lines.after(0, &wanted);
    let last = &lines[lines.len().saturating_sub(most)..];
    if http::begin_lines(stream).await.is_err() || request.head_alone {
        return Ok(());
    }
    if write_lines(stream, last).await.is_err() || !follow {
        return Ok(());
    }
    let mut left = [0; 1];
    loop {
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return Ok(()) },
            // A client sends nothing further: a read only ends when it disconnects.
            _ = stream.read(&mut left) => return Ok(()),
        }
        let (lines, now) = handle.lines.after(newest, &wanted);
        newest = now;
        if write_lines(stream, &lines).await.is_err() {
            return Ok(());
        }
    }
}

async fn write_lines(stream: &mut UnixStream, lines: &[Arc<impl Serialize>]) -> io::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, &**line)?;
        text.push(b'\n');
    }
    for part in text.chunks(PART) {
        in_time(stream.write_all(part)).await?;
    }
    Ok(())
}

/// Writes to a client within the timeout. A client that does not read, such as a stopped command, is disconnected.
async fn in_time(writing: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(REQUEST, writing).await.unwrap_or_else(|_| {
        tracing::info!("somebody who asked on the control socket did not read the answer, and was left");
        Err(io::ErrorKind::TimedOut.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::views::Line;

    /// More than any socket buffers for a peer that does not read.
    const LONG: usize = 16 << 20;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_loses_its_place() {
        let (mut stream, _unread) = UnixStream::pair().unwrap();
        let line = Line {
            number: 1,
            at: String::new(),
            level: "info".to_owned(),
            target: String::new(),
            message: "x".repeat(LONG),
            fields: std::collections::BTreeMap::new(),
        };
        let error = write_lines(&mut stream, &[Arc::new(line)]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (mut stream, _unread) = UnixStream::pair().unwrap();
        json(&mut stream, &"x".repeat(LONG), false).await.unwrap();
    }
}
