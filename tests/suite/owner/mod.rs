//! The owner's side: the commands that show and change a host, running or stopped, as a user calls them.

mod account;
mod accounts;
mod ask;
mod audit;
mod backup;
pub(crate) mod chat;
mod control;
mod data;
mod explain;
mod file_watcher;
mod hostile;
mod index;
mod instances;
mod keys;
mod killed;
mod order;
mod page;
mod plugin;
mod registry;
mod rooms;
mod service;
mod setup;
mod sources;
mod top;
mod upgrade;
mod window;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use parlor_tests::client::Client;
use parlor_tests::host::{Finished, Home, Host, Server};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::prosody::Account;

use crate::compiled;
use crate::test_host::prosody;

/// The general timeout. Steps usually take much less.
const SOON: Duration = Duration::from_mins(1);

/// Prepares a host's folder with one account, `main`, on the suite's server.
async fn home() -> (Home, Account) {
    let prosody = prosody().await;
    let account = prosody.fresh_account("bot").unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    (home, account)
}

/// Adds the plugin that answers, with the grants that it needs.
fn echo(home: &Home) -> Entry {
    let echo = home.install("echo", &parlor_tests::plugins::built("echo").unwrap()).unwrap();
    echo.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
}

/// Starts the host of this folder with this policy, and returns when it is connected.
async fn start(home: &Home, policy: &Policy) -> Host {
    home.set_policy(policy).unwrap();
    start_as_it_is(home).await
}

/// Starts the host with the existing policy.
async fn start_as_it_is(home: &Home) -> Host {
    compiled::give(home);
    let host = start_and_compile(home).await;
    compiled::take(home);
    host
}

/// Starts the host with the existing policy, and lets it compile all of its plugins, also those that others have
/// compiled.
async fn start_and_compile(home: &Home) -> Host {
    let host = home.start().unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    host
}

/// Stands in for the host of this folder, and answers every request with these bytes.
fn stand_in(home: &Home, answer: &'static [u8]) {
    std::fs::create_dir(home.path().join("data")).unwrap();
    let listener = UnixListener::bind(home.path().join("data/control.sock")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut asked) = (stream.unwrap(), [0; 4096]);
            // Some connections only check whether a host runs.
            if stream.read(&mut asked).is_ok_and(|length| length > 0) {
                stream.write_all(answer).unwrap();
            }
        }
    });
}

/// Checks that a command ended with this exit code.
#[track_caller]
fn ended(finished: Finished, code: i32) -> Finished {
    assert_eq!(finished.code, Some(code), "{finished:#?}");
    assert!(!finished.stderr.contains("panicked"), "{finished:#?}");
    finished
}

/// Logs in a client that writes to the bot.
async fn juliet() -> Client {
    let prosody = prosody().await;
    let account = prosody.fresh_account("juliet").unwrap();
    let mut juliet = Client::login(&prosody.connector().unwrap(), &account, "balcony").await.unwrap();
    juliet.available().await.unwrap();
    juliet
}
