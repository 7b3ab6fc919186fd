//! The host's end of the control socket: who may connect, and what is answered to what.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
use crate::harmless::{EscapedPath as _, harmless};
use crate::host::{Host, LOCK};
use crate::permissions::question::Question;
use crate::plugins::PluginId;

/// How many may be connected at once; further ones wait.
const CONNECTIONS: usize = 32;
/// How many of them may follow the log. The others are left to who asks, and goes.
const FOLLOWERS: usize = 24;
/// How long a request may take to arrive, and an answer, or a part of it, to be taken.
const REQUEST: Duration = Duration::from_secs(10);
/// How many orders may wait for the house.
pub const ORDERS: usize = 16;
/// How long a change is waited for before the answer says how far it is.
const SETTLING: Duration = Duration::from_mins(1);
/// How many lines of the log are given unless asked otherwise.
const USUAL_LINES: usize = 100;
/// How much of the reason for a refusal is shown, in bytes.
const LONGEST_REASON: usize = 1 << 10;
/// How much of the log is one part of an answer, in bytes.
const PART: usize = 64 << 10;

/// What the house is told to do by whoever may.
#[derive(Debug)]
pub enum Order {
    /// Read the configuration and the policy again, and try accounts again that have failed.
    ReloadAll(oneshot::Sender<Result<(), String>>),
    /// Read the policy again.
    Reload(oneshot::Sender<Result<(), String>>),
    /// End this plugin and start it again. False: there is none.
    Restart(PluginId, oneshot::Sender<bool>),
}

/// What is shown and told.
#[derive(Clone)]
pub struct House {
    /// What is asked.
    pub host: Arc<Host>,
    /// The last lines of the log.
    pub lines: Lines,
    /// Where orders go, one after the other.
    pub orders: mpsc::Sender<Order>,
}

/// The socket, while it is listened on.
pub struct Control {
    house: House,
    listening: Listening,
    path: PathBuf,
    /// Which file lies there, if it is ours.
    made: Option<(u64, u64)>,
}

/// Why nobody can be listened to.
#[derive(Debug, thiserror::Error)]
#[error("the control socket {} cannot be made ({cause}): make its folder writable, or name another with --data", path.escaped())]
pub struct ControlError {
    /// The socket.
    pub path: PathBuf,
    /// Why.
    pub cause: io::Error,
}

impl Control {
    /// Listens in the data folder of the house, which holds that folder's lock: whatever lies there under the socket's
    /// name is of a host that is gone.
    pub fn start(house: House) -> Result<Self, ControlError> {
        let path = socket::path(&house.host.config().data);
        let listening = hear(&house, &path)?;
        note(&path, &std::process::id().to_string());
        Ok(Self { house, listening, made: identity(&path), path })
    }

    /// Listens anew where somebody took the socket away. Whoever is connected by the old one is left.
    pub async fn mend(&mut self) {
        if self.made.is_some() && self.made == identity(&self.path) {
            return;
        }
        match hear(&self.house, &self.path) {
            Ok(listening) => {
                self.made = identity(&self.path);
                std::mem::replace(&mut self.listening, listening).stop().await;
                tracing::warn!("the control socket was gone, and is made anew");
            }
            Err(error) => tracing::error!(%error, "the control socket is gone"),
        }
    }

    /// Ends every conversation. When this returns, nothing of the house is held.
    pub async fn stop(self) {
        let Self { house, listening, path, .. } = self;
        drop(house);
        // Who comes now finds no host.
        note(&path, "");
        let _ = std::fs::remove_file(&path);
        listening.stop().await;
    }
}

/// Hears whoever connects there.
fn hear(house: &House, path: &Path) -> Result<Listening, ControlError> {
    let listener = listen(path).map_err(|cause| ControlError { path: path.to_owned(), cause })?;
    let listener = Arc::new(listener);
    let next = move || {
        let listener = Arc::clone(&listener);
        async move { listener.accept().await.map(|(stream, _)| stream) }
    };
    let fault = "the control socket did not accept a connection";
    let (house, followers) = (house.clone(), Arc::new(Semaphore::new(FOLLOWERS)));
    let hear = move |stream| converse(stream, house.clone(), Arc::clone(&followers));
    Ok(Listening::start(next, CONNECTIONS, fault, hear))
}

/// Says beside the socket who listens there: without that, whoever finds nobody takes it for a host that is starting.
fn note(path: &Path, process: &str) {
    // Then it is waited for in vain.
    let _ = std::fs::write(path.with_file_name(LOCK), process);
}

/// Which file this is, by whatever name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|found| (found.dev(), found.ino()))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Made beside, closed to others, and moved: at no moment can somebody else connect, nor does a name lie there that
    // nobody listens on.
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

async fn converse(mut stream: UnixStream, house: House, followers: Arc<Semaphore>) {
    let mut head_alone = false;
    let result = match may_ask(&stream) {
        Err(refusal) => Err(refusal),
        Ok(()) => match tokio::time::timeout(REQUEST, http::read(&mut stream)).await {
            Ok(Ok(Some(request))) => {
                head_alone = request.head_alone;
                serve(&mut stream, &request, &house, &followers).await
            }
            Ok(Ok(None)) => return,
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::new(408, format!("no request came within {} s", REQUEST.as_secs()))),
        },
    };
    // Who has left need not be answered.
    if let Err(refusal) = result {
        let Refusal { status, error, allow } = refusal;
        let body = serde_json::to_vec(&Failure { error }).unwrap_or_default();
        let _ = http::answer(&mut stream, Answer { status, kind: JSON, body: &body, allow, head_alone }).await;
        http::leave(stream).await;
    }
}

/// Only the user that the host runs as, and root, may ask.
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
    house: &House,
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
        ["v1", "logs"] => return logs(stream, request, house, followers).await,
        ["v1", "plugins", id] => {
            let id = plugin(id)?;
            let found = show::plugin(&house.host, &id).await;
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
            let question = question.map_err(|error| Refusal::new(400, harmless(&error.to_string(), LONGEST_REASON)))?;
            let answers = show::explained(&house.host, &id, &question).await;
            if answers.is_empty() && !house.host.has_plugin(&id).await {
                return Err(no_plugin(&id));
            }
            return json(stream, &answers, request.head_alone).await;
        }
        ["v1", what @ ("reload" | "configure")] => {
            // What is done now may take long. What was taken away does not wait for that.
            house.host.hold_to_policy().await;
            let (done, was_done) = oneshot::channel();
            order(house, if what == "reload" { Order::Reload(done) } else { Order::ReloadAll(done) }).await?;
            let ended = was_done.await.map_err(|_| Refusal::new(409, "the host is being stopped"))?;
            ended.map_err(|reason| Refusal::new(409, reason))?;
            settle(&house.host).await;
        }
        ["v1", "plugins", id, _] => {
            let (id, (done, was_done)) = (plugin(id)?, oneshot::channel());
            order(house, Order::Restart(id.clone(), done)).await?;
            if !was_done.await.map_err(|_| Refusal::new(409, "the host is being stopped"))? {
                return Err(no_plugin(&id));
            }
            settle(&house.host).await;
        }
        _ => {}
    }
    json(stream, &show::status(&house.host).await, request.head_alone).await
}

fn plugin(id: &str) -> Result<PluginId, Refusal> {
    id.parse().map_err(|error| Refusal::new(400, format!("{error}")))
}

fn no_plugin(id: &PluginId) -> Refusal {
    Refusal::new(404, format!("there is no plugin {id}; `parlor plugin list` shows those that there are"))
}

async fn order(house: &House, order: Order) -> Result<(), Refusal> {
    house.orders.send(order).await.map_err(|_| Refusal::new(409, "the host is being stopped"))
}

/// Waits until what was started runs, or does not.
pub(super) async fn settle(host: &Host) {
    // What takes longer is shown as it is.
    let _ = tokio::time::timeout(SETTLING, host.settled()).await;
}

async fn json<T: Serialize>(stream: &mut UnixStream, value: &T, head_alone: bool) -> Result<(), Refusal> {
    let body = serde_json::to_vec(value).map_err(|error| Refusal::new(500, error.to_string()))?;
    // Who has left need not be answered.
    let answer = Answer { status: 200, kind: JSON, body: &body, allow: None, head_alone };
    let _ = in_time(http::answer(stream, answer)).await;
    Ok(())
}

async fn logs(stream: &mut UnixStream, request: &Request, house: &House, followers: &Semaphore) -> Result<(), Refusal> {
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
    // Held as long as it follows.
    let _place = if follow { Some(followers.try_acquire().map_err(too_many)?) } else { None };
    // What comes between looking and waiting is not missed: the news are asked for first.
    let mut news = house.lines.news();
    news.mark_unchanged();
    let (lines, mut newest) = house.lines.after(0, &wanted);
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
            // A client sends nothing further: it only leaves.
            _ = stream.read(&mut left) => return Ok(()),
        }
        let (lines, now) = house.lines.after(newest, &wanted);
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

/// Writes to somebody who takes it. Who does not, such as a command that was stopped, loses its place.
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

    /// More than any socket keeps for who does not read.
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
