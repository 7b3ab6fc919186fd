//! Ten thousand messages, of which some are lost, some come twice, and none in its order.

use std::collections::BTreeSet;

use jid::BareJid;
use parlor_e2ee::omemo::BundleParts;
use parlor_tests::client::Client;
use parlor_tests::counterparts::AXOLOTL;
use parlor_tests::omemo::{self, Device};
use parlor_tests::policy::Entry;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use tokio::time::timeout;
use tokio_xmpp::Stanza;
use xmpp_parsers::minidom::Element;

use super::{cannot_read, hears, plan, says};
use crate::seed;
use crate::test_host::{FULL, SOON, TestHost, friend, granted};

/// The messages that come in one disorder, and how often that is. Between two of them the host answers, which changes the keys.
const TOGETHER: usize = 500;
const TIMES: usize = 20;

fn swift(entry: Entry) -> Entry {
    let entry = granted(entry).limit("mailbox", 4_096).limit("calls_per_second", 10_000);
    entry.limit("events_per_second", 10_000)
}

/// A person with a device of the host's own library: another client would take minutes for this number of messages.
struct Person {
    client: Client,
    device: Device,
    bot: BareJid,
    /// The keys of the host's account as they were found first.
    found: BundleParts,
}

impl Person {
    /// Begins a session with the device of the host's account.
    async fn new(host: &TestHost) -> Self {
        let (mut client, bot) = (friend("juliet").await, host.account().jid.clone());
        let mut device = Device::new();
        omemo::publish(&mut client, std::slice::from_ref(&device)).await.unwrap();
        let fetch = async {
            loop {
                // It publishes its keys after it has logged in.
                if let Ok([(id, bundle), ..]) = omemo::fetch(&mut client, &bot).await.as_deref() {
                    return (*id, bundle.clone());
                }
            }
        };
        let (id, bundle) = timeout(SOON, fetch).await.expect("the host publishes its keys");
        device.meet(id, &bundle).unwrap();
        Self { client, device, bot, found: omemo::read_bundle(&bundle).unwrap() }
    }

    /// Waits until the account has published another prekey in place of the one that was used, beside the same other keys.
    async fn finds_another_prekey(&mut self) {
        let Self { client, bot, found, .. } = self;
        let renewed = async {
            loop {
                let now = omemo::fetch(client, bot).await.unwrap();
                let now = omemo::read_bundle(&now[0].1).unwrap();
                let used = found.prekeys.iter().filter(|key| !now.prekeys.contains(key)).count();
                if used > 0 {
                    assert_eq!((now.prekeys.len(), used), (found.prekeys.len(), 1));
                    assert_eq!((&now.identity_key, &now.signed_prekey), (&found.identity_key, &found.signed_prekey));
                    return;
                }
            }
        };
        timeout(SOON, renewed).await.expect("a prekey that was used is replaced on the server");
    }

    async fn sends(&mut self, id: &str, encrypted: &str) {
        let bot = &self.bot;
        let message = format!("<message xmlns='jabber:client' type='chat' to='{bot}' id='{id}'>{encrypted}</message>");
        let message: Element = message.parse().unwrap();
        self.client.send(Stanza::try_from(message).unwrap()).await.unwrap();
    }

    /// Waits for the next message with a text, and returns that.
    async fn reads(&mut self) -> String {
        let encrypted = |stanza: &Stanza| match stanza {
            Stanza::Message(message) => {
                let element = message.payloads.iter().find(|one| one.is("encrypted", AXOLOTL))?;
                element.get_child("payload", AXOLOTL)?;
                Some(element.clone())
            }
            _ => None,
        };
        let element = self.client.wait_for("an encrypted message", SOON, encrypted).await.unwrap();
        self.device.read(&element).unwrap().unwrap()
    }
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_ten_thousand_messages_that_comes_is_read_once() {
    let host = plan().await.caller(FULL, swift).start().await;
    let (heard, refused) = (host.listen(FULL, "message").await, host.listen(FULL, "undecryptable").await);
    let mut juliet = Person::new(&host).await;
    let person = juliet.client.jid().to_bare();
    let mut random = seed::random();
    for time in 0..TIMES {
        let (mut sent, mut expected, mut again) = (Vec::new(), BTreeSet::new(), 0);
        for number in 0..TOGETHER {
            let text = format!("{time}.{number}");
            let encrypted = juliet.device.write(&text).unwrap();
            // The server may lose one in ten, and repeat as many.
            let copies = match random.random_range(0..10) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            for copy in 0..copies {
                sent.push((format!("{time}-{number}-{copy}"), encrypted.clone()));
            }
            if copies > 0 {
                expected.insert(text);
                again += copies - 1;
            }
        }
        sent.shuffle(&mut random);
        for (id, encrypted) in &sent {
            juliet.sends(id, encrypted).await;
        }
        for _ in 0..expected.len() {
            let message = hears(&host, heard).await;
            let text = message["body"].as_str().unwrap();
            assert!(expected.remove(text), "{text} was read twice, or was never sent: {message}");
        }
        for _ in 0..again {
            assert_eq!(cannot_read(&host, refused).await["reason"], "replayed");
        }
        says(&host, &person, &format!("answer {time}")).await;
        assert_eq!(juliet.reads().await, format!("answer {time}"));
        juliet.client.forget();
    }
    juliet.finds_another_prekey().await;
    assert!(host.heard_so_far(FULL, heard).await.is_empty(), "one was read twice");
    assert!(host.heard_so_far(FULL, refused).await.is_empty(), "one that is genuine was not read");
}
