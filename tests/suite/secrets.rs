//! Secrets stay where they are, whatever the owner asks to see.

use std::time::Duration;

use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Server};
use parlor_tests::log::Mark;
use parlor_tests::peer::{Peer, somebody};
use parlor_tests::process::{Process, Signal};
use parlor_tests::prosody::Account;

const SOON: Duration = Duration::from_secs(30);
const PASSWORD: &str = "canary-7c1e0b52f3";
const BODY: &str = "canary-in-a-message-94ab";

#[tokio::test]
async fn no_filter_makes_the_log_show_the_stream() {
    for log in ["trace", "trace,tokio_xmpp=trace,tokio_xmpp::xmlstream::capture=trace,sasl=trace,rustls=trace"] {
        let lines = Box::pin(everything_that_is_logged(log)).await;
        assert!(lines.iter().any(|line| line.contains("TRACE")), "the filter {log} was not taken: {lines:#?}");
        let text = lines.join("\n");
        let encoded = format!("\0bot\0{PASSWORD}");
        for secret in [PASSWORD, BODY, &base64(encoded.as_bytes())] {
            assert!(!text.contains(secret), "{secret} is in the log under {log}");
        }
    }
}

/// What a host says that logs in by PLAIN, where the password is on the stream itself, and hears a message.
async fn everything_that_is_logged(log: &str) -> Vec<String> {
    let folder = Folder::new().unwrap();
    let certificate = Certificate::make(&folder).unwrap();
    let peer = Peer::listen(&certificate).await.unwrap();
    let mut home = Home::new().unwrap();
    let account = Account { jid: "bot@localhost".parse().unwrap(), password: PASSWORD.to_owned() };
    home.add_account("main", &account, Server::Plain(peer.port(), &certificate)).unwrap();
    let command = home.command(["run", "--config", "parlor.toml", "--log", log]).unwrap();
    let mut host = Process::start("parlor", command).unwrap();
    let mut session = peer.accept(SOON).await.unwrap();
    session.say(&somebody(), 1, BODY).await.unwrap();
    let connected = |line: &str| line.contains("account connected").then_some(());
    host.log().wait("the account", &mut Mark::default(), SOON, connected).await.unwrap();
    host.signal(Signal::Terminate).unwrap();
    // Its goodbye is heard, so that it need not wait for ours.
    while session.next().await.is_ok() {}
    drop(session);
    host.wait(SOON).await.unwrap();
    tokio::time::timeout(SOON, host.log().ended()).await.unwrap();
    host.log().all()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[bits >> (18 - 6 * digit) & 63]));
        }
    }
    text
}
