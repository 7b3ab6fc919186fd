//! Errors between the account and its server.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Server};
use parlor_tests::ports;
use parlor_tests::prosody::{Account, Prosody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::{SOON, failed, host};

/// A proxy to another port that counts connections.
struct Pipe {
    port: u16,
    count: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Pipe {
    /// Listens on this port, or on any for 0.
    async fn new(from: u16, to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, from)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let count: Arc<AtomicUsize> = Arc::default();
        let counted = Arc::clone(&count);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                counted.fetch_add(1, Relaxed);
                let mut there = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await.unwrap();
                // Errors concern only the two ends.
                open.spawn(async move { copy_bidirectional(&mut here, &mut there).await });
            }
        });
        Self { port, count, task }
    }

    fn count(&self) -> usize {
        self.count.load(Relaxed)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let (prosody, mut home, account) = host().await;
    let pipe = Pipe::new(0, prosody.ports().starttls).await;
    home.add_account("main", &account, Server::StartTls(pipe.port, prosody.certificate())).unwrap();
    home.write("main.password", "wrong\n").unwrap();
    let mut host = home.start().unwrap();
    assert_eq!(
        failed(&mut host).await,
        format!(
            "account main: the server refused the password of {}; check the jid and where its password comes from",
            account.jid
        )
    );
    assert_eq!(pipe.count(), 1);
    assert!(host.lines("cannot connect, trying again", &[]).is_empty());
    assert!(host.log().all().iter().all(|line| !line.contains("wrong")), "the password is in the log");
}

/// A server that accepts any number of clients, offers these mechanisms, and refuses every log-in.
struct Refusing {
    port: u16,
    tried: Arc<std::sync::Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Refusing {
    async fn start(certificate: &Certificate, mechanisms: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = certificate.acceptor().unwrap();
        let tried: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&tried);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Clients are served one at a time, since only one comes. One that leaves early is ignored.
                let _ = refuse(&tls, stream, mechanisms, &log).await;
            }
        });
        Self { port, tried, task }
    }

    fn tried(&self) -> Vec<String> {
        self.tried.lock().unwrap().clone()
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn refuse(
    tls: &TlsAcceptor,
    stream: TcpStream,
    mechanisms: &[&str],
    tried: &std::sync::Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut heard = String::new();
    let mut buffer = [0; 4096];
    let mut opened = false;
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
        if !opened && heard.contains("<stream:stream") && heard.trim_end().ends_with('>') {
            opened = true;
            let offered = mechanisms.join("</mechanism><mechanism>");
            let features = format!(
                "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                 from='localhost' id='x' version='1.0'><stream:features>\
                 <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>{offered}</mechanism></mechanisms></stream:features>"
            );
            stream.write_all(features.as_bytes()).await?;
            heard.clear();
        } else if let Some((_, auth)) = heard.split_once("<auth ")
            && auth.contains('>')
        {
            let mechanism = auth.split_once("mechanism=").map_or("none", |(_, name)| &name[1..]);
            let mechanism = mechanism.split(['\'', '"']).next().unwrap_or_default();
            tried.lock().unwrap().push(mechanism.to_owned());
            let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
            stream.write_all(failure.as_bytes()).await?;
            heard.clear();
        }
        stream.flush().await?;
    }
}

#[tokio::test]
async fn a_refused_log_in_does_not_fall_to_plain_even_where_plain_is_allowed() {
    let folder = Folder::new().unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let account = Account { jid: "bot@localhost".parse().unwrap(), password: "canary".into() };
    for allowed in [false, true] {
        let server = Refusing::start(&certificate, &["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"]).await;
        let mut home = Home::new().unwrap();
        let how = if allowed { Server::Plain } else { Server::Direct };
        home.add_account("main", &account, how(server.port, &certificate)).unwrap();
        let mut host = home.start().unwrap();
        assert_eq!(
            failed(&mut host).await,
            "account main: the server refused the password of bot@localhost; check the jid and where its password comes \
             from"
        );
        assert_eq!(server.tried(), ["SCRAM-SHA-256"], "allow_plain = {allowed}");
    }
}

#[tokio::test]
async fn a_server_that_can_only_plain_is_not_given_the_password_unasked() {
    let folder = Folder::new().unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let account = Account { jid: "bot@localhost".parse().unwrap(), password: "canary".into() };
    let server = Refusing::start(&certificate, &["PLAIN"]).await;
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::Direct(server.port, &certificate)).unwrap();
    assert_eq!(
        failed(&mut home.start().unwrap()).await,
        "account main: the server offers no acceptable way to log in (it offers: PLAIN); allow_plain = true would let \
         it see the password itself"
    );
    assert_eq!(server.tried(), [""; 0]);
}

fn account_on(server: &str, jid: &str, certificate: Option<&Certificate>) -> String {
    let trusted = certificate.map(|certificate| format!("ca_file = \"{}\"\n", certificate.certificate_file.display()));
    format!(
        "[account.main]\njid = \"{jid}\"\npassword_file = \"password\"\nserver = \"{server}\"\n{}",
        trusted.unwrap_or_default()
    )
}

/// The DNS may fail temporarily, so the name is looked up again, and the reason is logged each time.
#[tokio::test]
async fn a_host_that_the_dns_does_not_know_is_named_and_asked_for_again() {
    let home = Home::new().unwrap();
    home.write("password", "secret\n").unwrap();
    home.write("parlor.toml", &account_on("nowhere.invalid:5222", "bot@localhost", None)).unwrap();
    let mut host = home.start().unwrap();
    for _ in 0..2 {
        let line = host.wait("cannot connect, trying again", &[("account", "main")], SOON * 2).await.unwrap();
        let reason = line.get("reason");
        assert!(reason.starts_with("nowhere.invalid is not known to DNS ("), "{reason}");
        assert!(
            reason.ends_with(
                "); check the account's domain, or say where its server is with `server` in the configuration"
            ),
            "{reason}"
        );
        assert!(line.get("after_ms").parse::<u64>().unwrap() >= 1_000, "{line}");
    }
    assert!(host.stop(SOON).await.unwrap().success());
}

#[tokio::test]
async fn a_server_that_does_not_serve_the_domain_is_asked_once() {
    let prosody = Prosody::start().await.unwrap();
    let home = Home::new().unwrap();
    home.write("password", "secret\n").unwrap();
    let pipe = Pipe::new(0, prosody.ports().starttls).await;
    let server = format!("127.0.0.1:{}", pipe.port);
    home.write("parlor.toml", &account_on(&server, "bot@elsewhere.example", Some(prosody.certificate()))).unwrap();
    let mut host = home.start().unwrap();
    assert_eq!(
        failed(&mut host).await,
        "account main: the server does not serve elsewhere.example; check the account's domain and the server that is \
         named for it"
    );
    assert_eq!(pipe.count(), 1);
}

/// A server may start after its bots, for instance when a machine boots. The host retries and logs each attempt, and
/// ends when it is asked to.
#[tokio::test]
async fn a_refused_port_is_tried_again_until_the_server_is_there() {
    let prosody = Prosody::start().await.unwrap();
    let account = prosody.fresh_account("bot").unwrap();
    let port = ports::free().unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(port, prosody.certificate())).unwrap();
    let mut host = home.start().unwrap();
    let begin = Instant::now();
    for _ in 0..3 {
        let line = host.wait("cannot connect, trying again", &[("account", "main")], SOON).await.unwrap();
        assert_eq!(
            line.get("reason"),
            format!(
                "127.0.0.1:{port} refuses connections; check that the server runs, and that `server` in the configuration \
                 names its port"
            )
        );
    }
    // There are three attempts, with two pauses of at least two seconds.
    assert!(begin.elapsed() >= Duration::from_millis(3_500), "it hurries: {:?}", begin.elapsed());

    let pipe = Pipe::new(port, prosody.ports().starttls).await;
    host.wait("account connected", &[("account", "main")], SOON).await.unwrap();
    assert!(host.stop(SOON).await.unwrap().success());
    assert_eq!(pipe.count(), 1);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_ends_it_before_anything_is_said() {
    let (prosody, mut home, account) = host().await;
    // The certificate may be another server's, or the same server's of last year: it is not the trusted one.
    let folder = Folder::new().unwrap();
    let other = Certificate::make(&folder).unwrap();
    let (starttls, direct) = (Pipe::new(0, prosody.ports().starttls).await, Pipe::new(0, prosody.ports().direct).await);
    for (pipe, server) in
        [(&starttls, Server::StartTls(starttls.port, &other)), (&direct, Server::Direct(direct.port, &other))]
    {
        home.add_account("main", &account, server).unwrap();
        let mut host = home.start().unwrap();
        assert_eq!(
            failed(&mut host).await,
            "account main: the certificate of localhost is not signed by anybody who is trusted; if it is your own, \
             name it or its authority as `ca_file` in the configuration"
        );
        assert!(host.lines("cannot connect, trying again", &[]).is_empty());
        assert_eq!(pipe.count(), 1);
    }
    assert!(prosody.log().all().iter().all(|line| !line.contains("Authenticated as")));
}

#[tokio::test]
async fn a_ca_file_that_holds_no_certificate_is_named() {
    let home = Home::new().unwrap();
    home.write("password", "secret\n").unwrap();
    home.write("ca.pem", "not a certificate\n").unwrap();
    let prosody = Prosody::start().await.unwrap();
    let server = format!("127.0.0.1:{}", prosody.ports().starttls);
    let toml = account_on(&server, "bot@localhost", None) + "ca_file = \"ca.pem\"\n";
    home.write("parlor.toml", &toml).unwrap();
    let sentence = failed(&mut home.start().unwrap()).await;
    assert!(sentence.starts_with("account main: ca_file ca.pem cannot be used: "), "{sentence}");

    home.write("parlor.toml", &toml.replace("ca.pem", "absent.pem")).unwrap();
    std::fs::remove_dir_all(home.path().join("data")).unwrap();
    let sentence = super::refused_early(&home).await;
    assert!(sentence.contains("ca_file names absent.pem, which is no file that can be read"), "{sentence}");
}
