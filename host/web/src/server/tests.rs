//! Tests of the server, against sockets.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

/// The largest body that the servers of these tests take.
const MOST: usize = 1_000;

fn listen() -> Listen {
    Listen { at: "127.0.0.1:0".parse().unwrap(), tls: None, proxies: Vec::new() }
}

/// Starts a server that says what it has heard.
fn start() -> Server {
    start_by(listen())
}

fn start_by(listen: Listen) -> Server {
    let answer = |arrived: Arrived| async move {
        let heard = format!("{} {} {:?} {}", arrived.method, arrived.path, arrived.query, arrived.from);
        let path = arrived.path.clone();
        match arrived.body(MOST, Memory::Addressed, &path).await {
            Ok((body, _room)) => Reply { body: format!("{heard} {}", body.len()).into(), ..Reply::empty(200) },
            Err(error) => Reply { body: error.to_string().into(), ..Reply::empty(404) },
        }
    };
    Server::start(listen, answer).unwrap()
}

/// Makes a certificate for `localhost`, and adds it to the trusted ones.
fn made(roots: &mut RootCertStore) -> Certificate {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    roots.add(key.cert.der().clone()).unwrap();
    let private = key.signing_key.serialize_der().try_into().unwrap();
    Certificate::new(vec![key.cert.der().clone()], private).unwrap()
}

/// Returns a client by TLS that trusts these certificates.
fn client(roots: RootCertStore) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Begins TLS on a connection.
async fn begin_tls(client: &TlsConnector, stream: TcpStream) -> TlsStream<TcpStream> {
    client.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// Sends bytes, and returns all that comes until the server closes the connection, or as much as `enough` says.
async fn say(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(length: &str, body: &str) -> Vec<u8> {
    format!("POST /a/b?c=d HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_request_is_answered_and_browsers_run_nothing_of_the_answer() {
    let server = start();
    let answer = say(&server, &post("content-length: 3", "abc")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nPOST /a/b Some(\"c=d\") 127.0.0.1 3"), "{answer}");
    assert!(answer.contains("content-security-policy: default-src 'none'; sandbox\r\n"), "{answer}");
    let chunked = say(&server, &post("transfer-encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")).await;
    assert!(chunked.ends_with(" 3"), "{chunked}");
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_another_program_has_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let started = Server::start(Listen { at, ..listen() }, async |_| Reply::empty(200));
    assert_eq!(started.err().unwrap().kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn bodies_over_the_limit_are_not_kept_whatever_they_say_of_their_length() {
    let server = start();
    for request in [
        post(&format!("content-length: {}", MOST + 1), &"x".repeat(MOST + 1)),
        post("transfer-encoding: chunked", &format!("{:x}\r\n{}\r\n0\r\n\r\n", MOST + 1, "x".repeat(MOST + 1))),
        // Nothing of it is sent.
        post("content-length: 99999999999999", ""),
    ] {
        let answer = say(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("the body is too long"), "{answer}");
    }
    let whole = say(&server, &post(&format!("content-length: {MOST}"), &"x".repeat(MOST))).await;
    assert!(whole.starts_with("HTTP/1.1 200 "), "{whole}");
    server.stop().await;
}

/// RFC 9112, sections 5.1, 6.3 and 11.2.
#[tokio::test]
async fn what_is_no_request_of_http_reaches_nobody() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Server::start(listen(), move |_| {
        count.fetch_add(1, Relaxed);
        async { Reply::empty(200) }
    })
    .unwrap();
    let many = (0..=MOST_HEADERS).fold(String::new(), |all, number| format!("{all}x-{number}: y\r\n"));
    // But for the first one, each names one host: nothing else may be what they are refused for.
    for head in [
        "GET / HTTP/1.1\r\nhost : x\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na".to_owned(),
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\na".to_owned(),
        format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(2 * LONGEST_HEAD)),
        "\u{16}\u{3}\u{1} no TLS here\r\n\r\n".to_owned(),
    ] {
        let answer = say(&server, head.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{head:.60}: {answer}");
    }
    assert_eq!(asked.load(Relaxed), 0);
    server.stop().await;
}

/// RFC 9112, section 3.2: a proxy could take a request for another host than this server.
#[tokio::test]
async fn a_request_without_one_host_reaches_nobody() {
    let server = start();
    let ask = async |line: &str, version: &str| {
        let head = format!("POST /a HTTP/{version}\r\nconnection: close\r\n{line}content-length: 0\r\n\r\n");
        say(&server, head.as_bytes()).await
    };
    for line in
        ["", "host: a\r\nhost: a\r\n", "host: a\r\nHost: b\r\n", "host: a b\r\n", "host: a/b\r\n", "host: a@b\r\n"]
    {
        let answer = ask(line, "1.1").await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{line:?}: {answer}");
    }
    for line in
        ["host: \r\n", "host: bot_1.example.org\r\n", "host: 192.0.2.1:8080\r\n", "host: [2001:db8::1]:8080\r\n"]
    {
        let answer = ask(line, "1.1").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{line:?}: {answer}");
    }
    // Of the older version it need not be there. nginx speaks that to servers behind it.
    let answer = ask("", "1.0").await;
    assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 OK\r\n"), "{answer}");
    server.stop().await;
}

/// RFC 9112, sections 6.1 and 11.2: a proxy could see another end of the body, and take the next request for a part of it.
#[tokio::test]
async fn a_body_has_one_end_and_comes_in_no_coding_but_chunks() {
    let server = start();
    let second = "POST /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let ask = async |framing: &str, body: &str| {
        say(&server, format!("POST /a HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n{body}{second}").as_bytes()).await
    };
    for framing in
        ["content-length: 6\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 6"]
    {
        let answer = ask(framing, "0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("POST /a None 127.0.0.1 0"), "{answer}");
    }
    for framing in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: identity\r\nTransfer-Encoding: chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    ] {
        let answer = ask(framing, "0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("POST"), "{framing}: {answer}");
    }
    for (framing, body) in [("content-length: 2", "ab"), ("Transfer-Encoding: Chunked", "2\r\nab\r\n0\r\n\r\n")] {
        let answer = ask(framing, body).await;
        let (first, last) = (answer.contains("POST /a None 127.0.0.1 2"), answer.ends_with("POST /b None 127.0.0.1 0"));
        assert!(first && last, "{framing}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_those_that_close_make_room() {
    let server = start();
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(TcpStream::connect(server.address()).await.unwrap());
    }
    // It is closed without an answer.
    assert_eq!(say(&server, &post("content-length: 0", "")).await, "");
    drop(open);
    // The server notices at some time.
    while say(&server, &post("content-length: 0", "")).await.is_empty() {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_ends_what_has_begun_and_takes_nothing_more() {
    let (begun, mut begins) = tokio::sync::mpsc::channel(1);
    let (go_on, goes_on) = watch::channel(false);
    let server = Server::start(listen(), move |_| {
        let (begun, mut goes_on) = (begun.clone(), goes_on.clone());
        async move {
            let _ = begun.send(()).await;
            let _ = goes_on.wait_for(|on| *on).await;
            Reply::empty(202)
        }
    })
    .unwrap();
    let at = server.address();
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&post("content-length: 0", "")).await.unwrap();
    begins.recv().await.unwrap();
    let stopping = tokio::spawn(server.stop());
    // From here on there is no listener.
    while TcpStream::connect(at).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.send(true).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_request_that_a_server_gives_up_when_it_stops_is_answered() {
    let (begun, mut begins) = tokio::sync::mpsc::channel(1);
    let server = Server::start(listen(), move |_| {
        let begun = begun.clone();
        async move {
            let _ = begun.send(()).await;
            std::future::pending().await
        }
    })
    .unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&post("content-length: 0", "")).await.unwrap();
    begins.recv().await.unwrap();
    let stopping = tokio::spawn(server.stop());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 30\r\n"), "{answer}");
    stopping.await.unwrap();
}

#[tokio::test]
async fn another_certificate_refuses_no_connection_and_interrupts_no_request() {
    let mut roots = RootCertStore::empty();
    let certificates = [made(&mut roots), made(&mut roots)];
    let server = start_by(Listen { tls: Some(certificates[0].clone()), ..listen() });
    let client = client(roots);
    let connect = async || TcpStream::connect(server.address()).await.unwrap();
    let request = post("content-length: 3", "abc");
    let mut under_way = begin_tls(&client, connect().await).await;
    under_way.write_all(&request[..request.len() - 1]).await.unwrap();
    for number in 1..=8 {
        let certificate = &certificates[number % 2];
        let accepted = connect().await;
        server.change(Some(certificate.clone()), Vec::new());
        let after = begin_tls(&client, connect().await).await;
        assert_eq!(after.get_ref().1.peer_certificates(), Some(&certificate.chain[..]), "{number}");
        for mut stream in [begin_tls(&client, accepted).await, after] {
            stream.write_all(&request).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(" 3"), "{number}: {answer}");
        }
    }
    under_way.write_all(b"c").await.unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(" 3"), "{answer}");
    server.stop().await;
}

/// A proxy before the server could keep its connections for days.
#[tokio::test]
async fn connections_without_tls_end_when_it_is_turned_on() {
    let certificate = made(&mut RootCertStore::empty());
    let server = start();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = b"POST /a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut begun = [0; 25];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.change(Some(certificate), Vec::new());
    stream.write_all(b"abc").await.unwrap();
    let mut answer = String::new();
    // An idle connection would end after `HEAD` in any case.
    timeout(HEAD / 2, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(" 3"), "{answer}");
    assert!(!say(&server, &post("content-length: 3", "abc")).await.starts_with("HTTP"));
    server.stop().await;
}

/// The size of bodies that take a large part of the memory: 16 of them take all of it.
const LARGE: usize = 4 << 20;

/// An event at a server whose memory a sender fills.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Begun,
    Read,
    Refused,
}

/// Starts a server that reads large bodies. It keeps the memory of bodies to `/kept` for as long as the connection lasts.
fn start_large() -> (Server, tokio::sync::mpsc::UnboundedReceiver<Step>) {
    let (steps, taken) = tokio::sync::mpsc::unbounded_channel();
    let answer = move |arrived: Arrived| {
        let steps = steps.clone();
        async move {
            let path = arrived.path.clone();
            let is_kept = path == "/kept";
            steps.send(Step::Begun).unwrap();
            match arrived.body(LARGE, Memory::Addressed, &path).await {
                Ok((body, _room)) => {
                    steps.send(Step::Read).unwrap();
                    if is_kept {
                        std::future::pending::<()>().await;
                    }
                    Reply { body: body.len().to_string().into(), ..Reply::empty(200) }
                }
                Err(error) => {
                    let _ = steps.send(Step::Refused);
                    Reply { body: error.to_string().into(), ..Reply::empty(503) }
                }
            }
        }
    };
    (Server::start(listen(), answer).unwrap(), taken)
}

fn large(path: &str) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {LARGE}\r\n\r\n");
    [head.as_bytes(), &vec![b'x'; LARGE]].concat()
}

#[tokio::test]
async fn a_sender_who_fills_the_share_of_one_addressee_keeps_nothing_from_another() {
    let (server, mut steps) = start_large();
    let (mut open, mut last) = (Vec::new(), Step::Read);
    // It ends at the first body that finds no memory.
    while last == Step::Read {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let sending = tokio::spawn(async move {
            // The server may refuse it before it has read everything.
            let _ = stream.write_all(&large("/kept")).await;
            stream
        });
        assert_eq!(steps.recv().await, Some(Step::Begun));
        last = steps.recv().await.unwrap();
        open.push(sending);
    }
    assert_eq!(last, Step::Refused);
    assert_eq!(open.len(), 5, "four bodies are a quarter of the memory");
    let other = say(&server, &large("/other")).await;
    assert!(other.starts_with("HTTP/1.1 200 ") && other.ends_with(&LARGE.to_string()), "{other}");
    for sending in open {
        drop(sending.await.unwrap());
    }
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_announced_and_not_sent_take_no_memory() {
    let (server, mut steps) = start_large();
    let request = large("/a");
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        // The head, and one byte of the body.
        stream.write_all(&request[..=request.len() - LARGE]).await.unwrap();
        assert_eq!(steps.recv().await, Some(Step::Begun));
        open.push(stream);
    }
    for path in ["/a", "/b"] {
        let whole = say(&server, &large(path)).await;
        assert!(whole.starts_with("HTTP/1.1 200 ") && whole.ends_with(&LARGE.to_string()), "{path}: {whole}");
    }
    drop(open);
    server.stop().await;
}

#[test]
fn headers_of_an_answer_may_have_any_text_that_stays_on_its_line() {
    let headers = [("x-a", "Käse"), ("x-b", "a\r\nx-c: b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let response = written(Reply { headers: headers.into(), ..Reply::empty(200) });
    assert_eq!(response.headers()["x-a"].as_bytes(), "Käse".as_bytes());
    assert!(!response.headers().contains_key("x-b") && !response.headers().contains_key("x-c"));
}
