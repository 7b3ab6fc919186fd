//! User errors: each ends with its exit code and one sentence with the remedy, leaves nothing half-done, and has no
//! other effects.

mod config;
mod login;
mod plugins;

use std::time::Duration;

use parlor_tests::host::{Home, Host, Server};
use parlor_tests::log::Mark;
use parlor_tests::policy::Entry;
use parlor_tests::process::Process;
use parlor_tests::server::{Account, XmppServer};

use crate::test_host::software;

/// The general timeout. Steps usually take much less.
const SOON: Duration = Duration::from_secs(30);

/// The result of a `parlor` that ran to its end.
#[derive(Debug)]
struct End {
    code: Option<i32>,
    /// All lines that it wrote.
    lines: Vec<String>,
}

impl End {
    /// Runs `parlor` with these arguments until it ends.
    async fn of(home: &Home, arguments: &[&str]) -> Self {
        let mut process = Process::start("parlor", home.command(arguments).unwrap()).unwrap();
        let status = process.wait(SOON).await.unwrap();
        tokio::time::timeout(SOON, process.log().ended()).await.unwrap();
        Self { code: status.code(), lines: process.log().all() }
    }

    /// Returns the last line of a `parlor` that failed, which tells the user what is wrong.
    fn sentence(&self) -> String {
        self.sentence_with(1)
    }

    /// Returns the same line of a command that ended with this exit code.
    fn sentence_with(&self, code: i32) -> String {
        let lines = &self.lines;
        assert_eq!(self.code, Some(code), "{lines:#?}");
        let said: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("parlor: ")).collect();
        let [sentence] = said[..] else { panic!("not one sentence: {lines:#?}") };
        assert!(lines.last().unwrap().ends_with(sentence), "not the last word: {lines:#?}");
        assert!(lines.iter().all(|line| !line.contains("panicked")), "{lines:#?}");
        sentence.to_owned()
    }
}

/// Returns the message of a `parlor run` that fails before it does anything.
async fn refused_early(home: &Home) -> String {
    let end = End::of(home, &["run"]).await;
    let sentence = end.sentence();
    assert_eq!(end.lines.len(), 1, "it did something before it failed: {:#?}", end.lines);
    assert!(!home.path().join("data").exists(), "it left a data folder: {sentence}");
    sentence
}

/// Returns the message of a running host whose accounts have failed for good, which has a special exit code.
async fn failed(host: &mut Host) -> String {
    let code = host.ended(SOON).await.unwrap().code();
    tokio::time::timeout(SOON, host.log().ended()).await.unwrap();
    End { code, lines: host.log().all() }.sentence_with(6)
}

/// Starts a server, and prepares a host's folder with an account on it.
async fn host() -> (XmppServer, Home, Account) {
    let prosody = software().start().await.unwrap();
    let account = prosody.fresh_account("bot").unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    (prosody, home, account)
}

/// Adds the well-behaved plugin, which must keep running while others fail.
fn echo(home: &Home) -> Entry {
    let echo = home.install("echo", &parlor_tests::plugins::built("echo").unwrap()).unwrap();
    echo.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
}

/// Waits for a log line about this plugin, and returns its reason.
async fn reason(host: &Host, message: &str, plugin: &str) -> String {
    host.wait_count(message, &[("plugin", plugin)], 1, SOON).await.unwrap().get("reason")
}

/// Waits until a text is in the log.
async fn says(host: &Host, text: &str) {
    host.log().wait(text, &mut Mark::default(), SOON, |line| line.contains(text).then_some(())).await.unwrap();
}
