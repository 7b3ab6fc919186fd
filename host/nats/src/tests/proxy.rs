//! A proxy in front of a server that loses what the server says, or closes connections.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A proxy. Dropping it closes its connections.
pub(super) struct Proxy {
    port: u16,
    is_deaf: Arc<AtomicBool>,
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens in front of the server on this port.
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_deaf, cuts) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let task = tokio::spawn(serve(listener, server, Arc::clone(&is_deaf), cuts.clone()));
        Self { port, is_deaf, cuts, task }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Begins or stops to drop the server's data. The clients' data still arrives.
    pub(super) fn set_deaf(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::SeqCst);
    }

    /// Closes all connections. New ones are accepted.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: u16, is_deaf: Arc<AtomicBool>, cuts: watch::Sender<u64>) {
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let (is_deaf, mut cuts) = (Arc::clone(&is_deaf), cuts.subscribe());
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            let keeps_all = AtomicBool::new(false);
            tokio::select! {
                () = carry(near_read, far_write, &keeps_all) => {}
                () = carry(far_read, near_write, &is_deaf) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_lost: &AtomicBool) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        if !is_lost.load(Ordering::SeqCst) && to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}
