//! A TLS proxy in front of a plain port, as a reverse proxy for a server's BOSH and WebSocket.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;

/// A TLS proxy. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Front {
    port: u16,
    task: JoinHandle<()>,
}

impl Front {
    /// Listens on a free port of the loopback interface, in front of a server on another port.
    pub async fn before(server: u16, certificate: &Certificate) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(serve(listener, certificate.acceptor()?, server));
        Ok(Self { port, task })
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, server: u16) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((near, _)) = accepted {
                connections.spawn(carry(near, tls.clone(), server));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(near: TcpStream, tls: TlsAcceptor, server: u16) {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await;
    if let (Ok(()), Ok(mut far)) = (near.set_nodelay(true), far)
        && far.set_nodelay(true).is_ok()
        && let Ok(mut near) = tls.accept(near).await
    {
        // Either end may close without notice.
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
