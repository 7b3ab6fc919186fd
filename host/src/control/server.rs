//! The host's end of the control socket: it listens, checks who connects, and serves connections.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parlor_base::escape::EscapedPath as _;
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::bounds::FOLLOWERS;
use super::http::{self, Answer, SharedReader};
use super::listening::Listening;
#[cfg(feature = "cluster")]
use super::nodes;
use super::reach::requests::{self, Limits};
use super::refusal::Refusal;
use super::request::Request;
use super::routes::{self, Routes};
use super::socket::{self, Address};
use super::timed_writer::TimedWriter;
#[cfg(feature = "cluster")]
use crate::cluster::Serving;
use crate::host::LOCK;

pub use super::handle::{HostHandle, ORDERS, Order};

/// The most connections at once; further ones wait.
const CONNECTIONS: usize = 32;

/// A listening control socket.
pub struct Control {
    handle: HostHandle,
    listening: Listening,
    /// Hears other nodes of the cluster.
    #[cfg(feature = "cluster")]
    serving: Option<Serving>,
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
        #[cfg(feature = "cluster")]
        let serving = nodes::serve(routes(&handle));
        Ok(Self {
            handle,
            listening,
            #[cfg(feature = "cluster")]
            serving,
            made: identity(&path),
            path,
        })
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
        #[cfg(feature = "cluster")]
        if let Some(serving) = self.serving {
            serving.stop().await;
        }
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
    let routes = routes(handle);
    Ok(Listening::start(next, CONNECTIONS, fault, move |stream| converse(stream, routes.clone())))
}

fn routes(handle: &HostHandle) -> Routes {
    Routes { handle: handle.clone(), followers: Arc::new(Semaphore::new(FOLLOWERS)) }
}

/// Writes the id of the listening process next to the socket. Without it, a client that cannot connect assumes that the
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

/// Serves one connection.
async fn converse(stream: UnixStream, routes: Routes) {
    let peer = may_ask(&stream);
    let (read, write) = stream.into_split();
    let (read, mut write) = (SharedReader::new(read), TimedWriter::new(write));
    let peer = match peer {
        Ok(peer) => peer,
        Err(refusal) => {
            http::refuse(&mut write, &refusal, routes::refused).await;
            return http::leave(read).await;
        }
    };
    let answer = |request| answer(&routes, request, read.clone(), peer);
    // A client that disconnected needs no response.
    let _ = http::serve(read.clone(), write, routes::refused, answer).await;
}

/// Answers a request, to a session of the window that reaches some accounts alone as far as these go. Nothing else comes between a
/// request of a session and the host, so this is where its reach is decided, for a cluster as well.
async fn answer(
    routes: &Routes,
    mut request: Request,
    client: SharedReader<OwnedReadHalf>,
    peer: u32,
) -> Result<Answer, Refusal> {
    let _place = requests::place(&routes.handle.host, &request).await?;
    let limits = Limits::of(&routes.handle.host, &mut request).await?;
    let answer = Box::pin(carried_out(routes, request, client, peer)).await;
    match limits {
        Some(limits) => limits.narrowed(answer).await,
        None => answer,
    }
}

/// Answers a request: here, or by the nodes of the cluster that it is about.
async fn carried_out(
    routes: &Routes,
    request: Request,
    client: SharedReader<OwnedReadHalf>,
    peer: u32,
) -> Result<Answer, Refusal> {
    #[cfg(feature = "cluster")]
    if let Some(member) = routes.handle.host.cluster.get() {
        return nodes::answer(routes, member, request, client, peer).await;
    }
    routes.answer(request, client, peer).await
}

/// Checks the peer: only the user that the host runs as, and root, are served. Returns that user.
fn may_ask(stream: &UnixStream) -> Result<u32, Refusal> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().map_err(Refusal::UnknownUser)?;
    if peer.uid() == own || peer.uid() == 0 {
        return Ok(peer.uid());
    }
    tracing::warn!(user = peer.uid(), process = peer.pid(), "another user was turned away from the control socket");
    Err(Refusal::OtherUser)
}
