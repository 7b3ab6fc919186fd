//! SIGKILL at random moments: no key is used twice, and each session continues.

use std::time::Duration;

use parlor_tests::counterparts::Counterpart;
use parlor_tests::host::{Home, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use rand::RngExt as _;
use serde_json::Value;

use super::{BOTH, finds};
use crate::seed;
use crate::test_host::{SOON, prosody};

/// How often the host is killed.
const TIMES: u32 = 12;
/// How many messages it gets each time.
const MESSAGES: u32 = 6;

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_goes_on_with_each_session() {
    let server = prosody().await;
    let account = server.fresh_account("bot").unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("main", &account, Server::StartTls(server.ports().starttls, server.certificate())).unwrap();
    home.set("allow_non_roster_messaging", true).unwrap();
    let echo = home.install("echo", &built("echo").unwrap()).unwrap();
    let echo = echo
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .grant("rooms.send", &["*"])
        .limit("messages_per_second", 1_000);
    home.set_policy(&Policy::default().with("echo", echo)).unwrap();
    let mut people = Vec::new();
    for namespace in BOTH {
        let person = server.fresh_account("juliet").unwrap();
        people.push((namespace, Counterpart::omemo_by(namespace, server, &person).await.unwrap()));
    }
    let mut random = seed::random();
    for round in 0..=TIMES {
        let mut host = home.start().unwrap();
        host.wait_count("account connected", &[], 1, SOON).await.unwrap();
        for (namespace, person) in &mut people {
            finds(person, &account.jid, &[*namespace]).await;
            for number in 0..MESSAGES {
                person.send(&account.jid, &format!("{round}.{number}")).await.unwrap();
            }
        }
        if round == TIMES {
            // It is no longer killed: the last message is answered.
            for (_, person) in &mut people {
                let last = format!("{round}.{}", MESSAGES - 1);
                assert_eq!(person.message(&last).await.unwrap()["encryption"], "omemo");
            }
            break;
        }
        // A moment while messages come and answers go. The test is about any state on disk at that time.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..120))).await;
        host.signal(Signal::Kill).unwrap();
        host.ended(SOON).await.unwrap();
    }
    for (namespace, person) in &mut people {
        let lines = person.rest();
        // A repeated key, or a key from an earlier state, cannot be used there.
        let strange: Vec<_> = lines.iter().filter(|line| line["event"] == "undecryptable").collect();
        assert!(strange.is_empty(), "{namespace}: {strange:#?}");
        let plain = |line: &&Value| line["event"] == "message" && line["encryption"] == "none";
        assert_eq!(lines.iter().find(plain), None, "{namespace}");
    }
}
