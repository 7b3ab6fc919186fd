//! Connecting: log-ins, TLS, and servers that are refused.

use std::path::Path;
use std::time::Duration;

use jid::BareJid;
use parlor_base::clock::Clock;
use parlor_cluster::{Timing, Token};
use parlor_store::{Accounts, Only, Owner, Write};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::server::{Server, cluster, settings};
use super::soon;
use crate::answer::ANSWER;
use crate::{
    ConnectError, Link, Login, Requests, Settings, State, Stores, StreamError, Topic, agree_on_keys, examine, prepare,
};

fn password(password: &str) -> Login {
    Login::Password { user: "parlor".to_owned(), password: password.to_owned() }
}

#[tokio::test]
async fn a_user_with_a_password_logs_in_and_a_wrong_one_is_told_so() {
    let server = Server::with("jetstream: {}\nauthorization: { user: parlor, password: secret }\n");
    let with = |login| Settings { login, ..settings(server.port()) };
    Link::connect(&with(password("secret"))).await.unwrap();
    for wrong in [password("other"), Login::Nothing, Login::Token("secret".to_owned())] {
        let error = Link::connect(&with(wrong.clone())).await.unwrap_err();
        assert!(matches!(error, ConnectError::LogIn { .. }), "{wrong:?}: {error}");
        assert!(!error.to_string().contains("other"), "{error}");
    }
}

/// Returns the rights on the page for owners, for the cluster of these tests.
fn rights() -> String {
    let page = include_str!("../../../../docs/owner/cluster.md");
    let block = page.split("```text\n").find(|block| block.starts_with("accounts: {")).unwrap();
    block.split("```").next().unwrap().replace("bots", "c")
}

/// The page for owners has the rights that a node needs. With them, it does all that nodes do, and deletes no stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_on_the_page_for_owners_are_enough_and_not_more() {
    let server = Server::with(&format!("jetstream: {{}}\n{}", rights()));
    let link = Link::connect(&Settings { login: password("the password"), ..settings(server.port()) }).await.unwrap();
    let cluster = cluster();
    prepare(&link, &cluster).await.unwrap();
    agree_on_keys(&link, &cluster).await.unwrap();
    let state = State::open(&link, &cluster, Timing::default()).await.unwrap();
    let account: BareJid = "bot@example.org".parse().unwrap();
    state.add(account.as_str(), 1).await.unwrap();
    // A log, a snapshot, and the records that it replaces.
    let owner = || Owner { account: account.clone(), plugin: "echo".parse().unwrap() };
    for token in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::open(&link, &cluster, Accounts::start(folder.path()).unwrap()).await.unwrap();
        let held = soon(stores.take_over(&account, Token(token))).await.unwrap();
        let data = held.store().data(Clock::Machine);
        let key = |token: u64| format!("k{token}");
        let write = Write { key: key(token), value: Some(b"v".to_vec()), expires: None, only: Only::Always };
        soon(data.write(owner(), 1_000, write)).await.unwrap();
        for before in 1..token {
            assert!(soon(data.get(owner(), key(before))).await.unwrap().is_some(), "{before} of {token}");
        }
        drop(data);
        soon(held.close()).await.unwrap();
    }
    // The record of a node that was lost and is back.
    let (stream, subject) = (cluster.state_stream(), cluster.pulse_subject());
    let revision = link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    link.remove(&stream, &subject, revision).await.unwrap();
    // Requests of one node to another.
    let [one, two] = ["one", "two"].map(|node| Requests::new(&state, node, Topic::Control));
    let mut inbox = two.serve().await.unwrap();
    tokio::spawn(async move {
        let asked = inbox.next().await.unwrap();
        asked.answer(async { b"yes".to_vec() }).await;
    });
    let answer = one.ask("two", b"?", Duration::from_secs(30), std::future::pending()).await.unwrap();
    assert_eq!(&answer[..], b"yes");
    let found = examine(&link, &cluster).await.unwrap();
    assert!(found.unfit.is_empty(), "{:?}", found.unfit);
    assert!(found.overview.is_some_and(|overview| overview.accounts.len() == 1), "to look needs no other right");
    assert!(link.jetstream.delete_stream(cluster.state_stream()).await.is_err());
    let (log, subject) = cluster.log(account.as_str());
    let last = link.stored(&log, &subject).await.unwrap().unwrap().revision;
    assert!(link.remove(&log, &subject, last).await.is_err(), "only records of the state are removed one by one");
    assert!(state.standing(account.as_str()).await.is_ok(), "it is still there");
}

/// An owner has changed them while nodes ran, and none of them would start again.
#[tokio::test]
async fn streams_that_no_node_would_start_with_are_told() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    agree_on_keys(&link, &cluster).await.unwrap();
    State::open(&link, &cluster, Timing::default()).await.unwrap();
    let found = examine(&link, &cluster).await.unwrap().unfit;
    assert!(found.is_empty(), "{found:?}");
    for stream in [cluster.state_stream(), cluster.log("bot@example.org").0] {
        let mut config = link.jetstream.get_stream(&stream).await.unwrap().cached_info().config.clone();
        config.max_age = Duration::from_hours(1);
        link.jetstream.update_stream(&config).await.unwrap();
    }
    let found = examine(&link, &cluster).await.unwrap().unfit;
    let is_age = |error: &StreamError| matches!(error, StreamError::Differs { setting: "max_age", .. });
    assert!(found.len() == 2 && found.iter().all(is_age), "{found:?}");
    assert!(prepare(&link, &cluster).await.is_err());
}

/// With the rights for a cluster of another name, NATS leaves each write without an answer.
#[tokio::test]
async fn a_right_that_the_log_in_lacks_is_named_once() {
    let users = |publish: &str, subscribe: &str| {
        format!(
            "jetstream: {{}}\naccounts: {{ P: {{ jetstream: enabled, users: [ {{ user: parlor, password: secret, permissions: {{ \
             publish: {{ allow: [ {publish} ] }}, subscribe: {{ allow: [ {subscribe} ] }} }} }} ] }} }}\n"
        )
    };
    let own = "\"parlor.c.>\", \"$O.PARLOR_c_SNAPSHOTS.>\", \"$O.PARLOR_c_SHARED.>\", \"$JS.>\", \"_INBOX.>\"";
    let hears = "\"parlor.c.node.>\", \"_INBOX.>\"";
    let without_files = own.replace("_c_SHARED", "_other_SHARED");
    let without_removals = own.replace("$JS.>", "$JS.API.STREAM.INFO.*\", \"$JS.API.STREAM.MSG.GET.*");
    for (publish, subscribe, says) in [
        (
            "\"parlor.other.>\", \"$JS.>\", \"_INBOX.>\"",
            hears,
            "let the log-in of parlor publish to \"parlor.c.state.pulse\"; ",
        ),
        (own, "\"parlor.other.node.>\", \"_INBOX.>\"", "let the log-in of parlor subscribe to \"parlor.c.node."),
        (without_files.as_str(), hears, "publish to \"$O.PARLOR_c_SHARED.M.probe\""),
        (without_removals.as_str(), hears, "publish to \"$JS.API.STREAM.MSG.DELETE.PARLOR_c_STATE\""),
    ] {
        let server = Server::with(&users(publish, subscribe));
        let link = Link::connect(&Settings { login: password("secret"), ..settings(server.port()) }).await.unwrap();
        let error = examine(&link, &cluster()).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(std::error::Error::source(&error).is_none(), "it would be shown twice: {error}");
    }
    // A node that starts says the same.
    let server = Server::with(&users("\"parlor.other.>\", \"$JS.>\", \"_INBOX.>\"", hears));
    let link = Link::connect(&Settings { login: password("secret"), ..settings(server.port()) }).await.unwrap();
    prepare(&link, &cluster()).await.unwrap();
    let error = State::open(&link, &cluster(), Timing::default()).await.unwrap_err();
    assert!(error.to_string().contains("publish to \"parlor.c.state.timing\""), "{error}");
}

/// A log-in that the owner has given its rights long ago lacks the one that came last.
#[tokio::test]
async fn a_record_that_the_log_in_may_not_remove_names_the_right() {
    let rights = rights().replace(", \"$JS.API.STREAM.MSG.DELETE.PARLOR_c_STATE\"", "");
    assert!(!rights.contains("MSG.DELETE"));
    let server = Server::with(&format!("jetstream: {{}}\n{rights}"));
    let link = Link::connect(&Settings { login: password("the password"), ..settings(server.port()) }).await.unwrap();
    prepare(&link, &cluster()).await.unwrap();
    let (stream, subject) = (cluster().state_stream(), cluster().pulse_subject());
    let revision = link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    let error = link.remove(&stream, &subject, revision).await.unwrap_err();
    assert!(error.to_string().contains("publish to \"$JS.API.STREAM.MSG.DELETE.PARLOR_c_STATE\""), "{error}");
}

#[tokio::test]
async fn a_token_logs_in() {
    let server = Server::with("jetstream: {}\nauthorization: { token: secret }\n");
    let with = |token: &str| Settings { login: Login::Token(token.to_owned()), ..settings(server.port()) };
    Link::connect(&with("secret")).await.unwrap();
    assert!(matches!(Link::connect(&with("other")).await, Err(ConnectError::LogIn { .. })));
}

/// Writes an authority, and a certificate of a server and one of a client that it issued.
fn write_certificates(folder: &Path) {
    let mut authority = rcgen::CertificateParams::default();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    for (file, name) in [("server", "localhost"), ("client", "parlor")] {
        let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(folder.join(format!("{file}.pem")), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn a_client_certificate_logs_in_within_tls() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let at = |file: &str| folder.path().join(file);
    let (ca, certificate, key) = (at("ca.pem"), at("client.pem"), at("client.key"));
    let lines = format!(
        "jetstream: {{}}\ntls: {{ cert_file: {:?}, key_file: {:?}, ca_file: {ca:?}, verify: true }}\n",
        at("server.pem"),
        at("server.key"),
    );
    let server = Server::within(folder, &lines);
    let servers = vec![format!("tls://localhost:{}", server.port())];
    let login = Login::Certificate { certificate: certificate.clone(), key };
    let with = Settings { servers, login, ca_file: Some(ca), allow_unencrypted: false, replicas: 1 };
    let link = Link::connect(&with).await.unwrap();
    prepare(&link, &cluster()).await.unwrap();

    let without = Settings { login: Login::Nothing, ..with.clone() };
    assert!(Link::connect(&without).await.is_err(), "the server asks for a certificate");
    let stranger = Settings { ca_file: Some(certificate.clone()), ..with.clone() };
    assert!(matches!(Link::connect(&stranger).await, Err(ConnectError::Unreachable { .. })), "nobody vouches for it");
    let wrong = Login::Certificate { certificate: certificate.clone(), key: certificate.clone() };
    let error = Link::connect(&Settings { login: wrong, ..with.clone() }).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Certificate { path, .. } if *path == certificate), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_keep_records_is_refused() {
    let server = Server::with("max_payload: 65536\njetstream: {}\n");
    let error = Link::connect(&settings(server.port())).await.unwrap_err();
    assert_eq!(error, ConnectError::SmallPayload { found: 65_536, needed: 1024 * 1024 });
    let server = Server::with("");
    assert_eq!(Link::connect(&settings(server.port())).await.unwrap_err(), ConnectError::NoJetStream);
    let server = Server::start();
    let replicated = Settings { replicas: 3, ..settings(server.port()) };
    let error = Link::connect(&replicated).await.unwrap_err();
    assert!(matches!(error, ConnectError::OldServer { needed: "2.11.0", replicas: 3, .. }), "{error}");
}

#[tokio::test]
async fn a_server_of_an_old_version_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let old = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let info = r#"INFO {"server_id":"A","version":"2.9.9","max_payload":1048576,"headers":true,"jetstream":true}"#;
        write.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "PING" {
                write.write_all(b"PONG\r\n").await.unwrap();
            }
        }
    });
    let error = soon(Link::connect(&settings(port))).await.unwrap_err();
    assert!(matches!(&error, ConnectError::OldServer { found, .. } if found == "2.9.9"), "{error}");
    old.abort();
}

#[tokio::test]
async fn a_port_without_a_server_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = Link::connect(&settings(port)).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Unreachable { servers, .. } if servers.contains(&port.to_string())),
        "{error}"
    );
}
