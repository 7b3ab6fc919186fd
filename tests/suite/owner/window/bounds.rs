//! The bounds of the server in size and in time, for any data of a visitor.

use std::fs::File;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use parlor::host::LOCK;
use parlor_tests::window::{Session, Window, read};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::super::{SOON, home};
use super::House;
use crate::test_host::A_MOMENT;

/// The most connections of one address.
const MOST_EACH: u8 = 8;
/// The most connections in all.
const MOST: u8 = 64;
/// How long half a head is waited for, with room for a machine that is busy.
const HEAD: Duration = Duration::from_secs(30);
/// How long the pages for a host that starts may take together, with room for a machine that is busy.
const STARTING: Duration = Duration::from_secs(40);

/// Connects from this address of the loopback interface, and sends the beginning of a request.
async fn begin(house: &House, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 1, from), 0).into()).unwrap();
    let mut stream = socket.connect(house.window.at()).await.unwrap();
    // The server may have closed it already.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await;
    stream
}

async fn is_served(session: &Session) -> bool {
    session.get("/").await.is_ok_and(|answer| answer.status == 200)
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_there() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let token = owner.csrf("/plugins/echo", "/plugins/echo/restart").await.unwrap();
    let long = "x".repeat(65 << 10);
    let fields = [("csrf", token.as_str()), ("agreed", "yes"), ("more", long.as_str())];
    let answer = owner.post("/plugins/echo/restart", &fields).await.unwrap();
    // The connection may be closed before the answer was read, since much of the body was not.
    assert!([0, 413].contains(&answer.status), "{answer:?}");
    let own = format!("origin: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n", owner.origin);
    let head = owner.head("POST", "/plugins/echo/restart") + &own;
    for claimed in ["1000000", "99999999999999999999", "-1", "0x10"] {
        let request =
            format!("{head}connection: close\r\ncontent-length: {claimed}\r\n\r\n{}", "csrf=x&".repeat(10_000));
        let answer = owner.send(request.as_bytes()).await.unwrap();
        assert!([0, 400, 403, 413].contains(&answer.status), "{claimed}: {answer:?}");
    }
    let many = format!("{}csrf={token}&agreed=yes", "f=1&".repeat(600));
    assert_eq!(owner.ask(&head, many.as_bytes()).await.unwrap().status, 413);
    let lines = "x-line: 1\r\n".repeat(200);
    for more in [lines, format!("x-long: {}\r\n", "x".repeat(64 << 10))] {
        let answer = owner.ask(&(owner.head("GET", "/") + &more), b"").await.unwrap();
        assert!([0, 400, 431].contains(&answer.status), "{answer:?}");
    }
    let path = format!("/plugins/{}", "x".repeat(64 << 10));
    let answer = owner.get(&path).await.unwrap();
    assert!([0, 400, 414, 431].contains(&answer.status), "{answer:?}");
    assert!(is_served(&owner).await);
    assert_eq!(house.restarts().await, 0);
}

#[tokio::test]
async fn half_a_request_is_given_up() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let began = Instant::now();
    let mut half = begin(&house, 1).await;
    let mut silent = owner.connect().await.unwrap();
    assert!(is_served(&owner).await);
    for stream in [&mut half, &mut silent] {
        let answer = read(stream).await.unwrap();
        assert!([0, 408].contains(&answer.status), "{answer:?}");
    }
    assert!(began.elapsed() < HEAD, "it waited for {:?}", began.elapsed());
}

#[tokio::test]
async fn one_address_and_all_together_have_only_so_many_connections() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let mut open = Vec::new();
    for _ in 0..MOST_EACH {
        open.push(begin(&house, 2).await);
    }
    let mut further = begin(&house, 2).await;
    assert_eq!(read(&mut further).await.unwrap().status, 0, "one more was taken");
    // Others are served meanwhile.
    assert!(is_served(&owner).await);
    for from in 3..2 + MOST / MOST_EACH {
        for _ in 0..MOST_EACH {
            open.push(begin(&house, from).await);
        }
    }
    // All places are taken, and a waiting visitor gets one as soon as others have gone.
    assert_eq!(open.len(), usize::from(MOST));
    let waiting = tokio::spawn(async move { is_served(&owner).await });
    drop(open);
    assert!(tokio::time::timeout(SOON, waiting).await.unwrap().unwrap());
}

/// Opens the events of a live page, and returns whether they began.
async fn looks_live(owner: &Session) -> bool {
    let mut live = owner.connect().await.unwrap();
    let mut begun = [0; 12];
    let sent = live.write_all((owner.head("GET", "/live") + "\r\n").as_bytes()).await;
    sent.is_ok() && live.read_exact(&mut begun).await.is_ok() && &begun == b"HTTP/1.1 200"
}

/// Somebody who looks at live pages and goes does not use up places for good.
#[tokio::test]
async fn live_pages_give_their_places_back() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let deadline = Instant::now() + SOON;
    for _ in 0..5 * MOST_EACH {
        // The server may not have noticed yet that the one before is gone.
        while !looks_live(&owner).await {
            assert!(Instant::now() < deadline, "the places of those who are gone are taken for good");
            tokio::time::sleep(A_MOMENT).await;
        }
    }
    assert!(is_served(&owner).await);
}

#[tokio::test]
async fn while_a_host_starts_pages_say_so_and_look_again_by_themselves() {
    let (home, _) = home().await;
    let window = Window::open(&home).await.unwrap();
    let owner = window.log_in(&home, "owner").await.unwrap();
    // A host that starts has its data folder, and does not listen yet.
    let lock = File::create(home.path().join("data").join(LOCK)).unwrap();
    lock.try_lock().unwrap();
    let began = Instant::now();
    for path in ["/", "/accounts", "/plugins", "/rooms", "/contacts"] {
        let page = owner.get(path).await.unwrap();
        assert_eq!((page.status, page.header("refresh")), (503, "2"), "{path}: {page:?}");
        assert!(page.body.contains("the host is starting or stopping"), "{path}: {page:?}");
    }
    assert!(began.elapsed() < STARTING, "it waited for {:?}", began.elapsed());
    drop(lock);
    let page = owner.page("/").await.unwrap();
    assert!(page.body.contains("No host runs here") && page.header("refresh").is_empty(), "{page:?}");
}
