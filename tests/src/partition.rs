//! A proxy on loopback that parts a client from its server. It holds what they say, in one direction or in both, and passes
//! it on when the partition ends.
//!
//! Nothing is lost within a connection, since TCP sends again. So a request that was under way when the partition began
//! reaches the server late, perhaps after others have given up the client.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// The largest piece that is carried at once.
const PIECE: usize = 16 * 1024;

/// The way in which the proxy carries data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Whether what the client says is held.
    pub holds_requests: bool,
    /// Whether what the server says is held.
    pub holds_answers: bool,
    /// The delay of each piece, in each direction.
    pub delay: Duration,
}

/// A proxy. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Partition {
    port: u16,
    carried: watch::Sender<Carried>,
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Requests,
    Answers,
}

impl Carried {
    fn holds(self, direction: Direction) -> bool {
        match direction {
            Direction::Requests => self.holds_requests,
            Direction::Answers => self.holds_answers,
        }
    }
}

impl Partition {
    /// Listens on a free port of the loopback interface, in front of a server on another port.
    pub async fn before(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let (carried, cuts) = (watch::Sender::new(Carried::default()), watch::Sender::new(0));
        let task = tokio::spawn(serve(listener, server, carried.clone(), cuts.clone()));
        Ok(Self { port, carried, cuts, task })
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what is carried, on present connections and on new ones.
    pub fn set(&self, carried: Carried) {
        self.carried.send_replace(carried);
    }

    /// Closes the present connections, with what is held of them.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: u16, carried: watch::Sender<Carried>, cuts: watch::Sender<u64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => {
                    connections.spawn(carry(near, server, carried.subscribe(), cuts.subscribe()));
                }
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(near: TcpStream, server: u16, carried: watch::Receiver<Carried>, mut cuts: watch::Receiver<u64>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pump(near_read, far_write, carried.clone(), Direction::Requests) => {}
        () = pump(far_read, near_write, carried, Direction::Answers) => {}
        _ = cuts.changed() => {}
    }
}

/// Carries one direction to its end. The end is held like everything before it.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut carried: watch::Receiver<Carried>,
    direction: Direction,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let amount = from.read(&mut piece).await.unwrap_or(0);
        let Ok(now) = carried.wait_for(|carried| !carried.holds(direction)).await.map(|carried| *carried) else {
            return;
        };
        if !now.delay.is_zero() {
            sleep(now.delay).await;
        }
        if amount == 0 || to.write_all(&piece[..amount]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition before a server that takes one connection, with both ends of it.
    async fn connected() -> (Partition, TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let partition = Partition::before(listener.local_addr().unwrap().port()).await.unwrap();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, partition.port())).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (partition, client, server)
    }

    async fn says(from: &mut TcpStream, to: &mut TcpStream, text: &[u8; 2]) {
        from.write_all(text).await.unwrap();
        hears(to, text).await;
    }

    async fn hears(to: &mut TcpStream, text: &[u8; 2]) {
        let mut heard = [0; 2];
        to.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, text);
    }

    async fn hears_nothing(to: &mut TcpStream) {
        let heard = tokio::time::timeout(Duration::from_millis(100), to.read(&mut [0; 2])).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    #[tokio::test]
    async fn one_direction_is_held_and_arrives_late() {
        let (partition, mut client, mut server) = connected().await;
        says(&mut client, &mut server, b"ab").await;
        partition.set(Carried { holds_answers: true, ..Carried::default() });
        server.write_all(b"cd").await.unwrap();
        says(&mut client, &mut server, b"ef").await;
        hears_nothing(&mut client).await;
        partition.set(Carried { holds_requests: true, ..Carried::default() });
        hears(&mut client, b"cd").await;
        client.write_all(b"gh").await.unwrap();
        hears_nothing(&mut server).await;
        partition.set(Carried::default());
        hears(&mut server, b"gh").await;
    }

    #[tokio::test]
    async fn a_cut_drops_what_is_held() {
        let (partition, mut client, mut server) = connected().await;
        partition.set(Carried { holds_requests: true, holds_answers: true, ..Carried::default() });
        client.write_all(b"ab").await.unwrap();
        hears_nothing(&mut server).await;
        partition.cut();
        assert!(matches!(server.read(&mut [0; 2]).await, Ok(0) | Err(_)));
        assert!(matches!(client.read(&mut [0; 2]).await, Ok(0) | Err(_)));
    }
}
