//! Two conversations against each other, and against the network between them.

mod exchange;
mod hostile;
mod lossy;
mod messages;
mod secrets;
mod vectors;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Account, Conversation, Outcome, Policy, State};

/// Returns one of three accounts. Making them takes a while, so they are made once.
pub(super) fn account(index: usize) -> Arc<Account> {
    static ACCOUNTS: OnceLock<[Arc<Account>; 3]> = OnceLock::new();
    let accounts = ACCOUNTS.get_or_init(|| {
        let mut rng = StdRng::seed_from_u64(20_261_126);
        [(); 3].map(|()| Arc::new(Account::generate(&mut rng)))
    });
    Arc::clone(&accounts[index])
}

/// Returns the same account on another client.
fn other_client(index: usize, tag: u32) -> Arc<Account> {
    let mut bytes = account(index).to_bytes();
    bytes[1..5].copy_from_slice(&tag.to_be_bytes());
    Arc::new(Account::from_bytes(&bytes).unwrap())
}

/// Two people, with their randomness and time.
struct Pair {
    a: Conversation,
    b: Conversation,
    rng: StdRng,
    now: Duration,
}

/// The outcomes on both sides, without the messages that they sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    a: Vec<Outcome>,
    b: Vec<Outcome>,
}

impl Pair {
    fn new(seed: u64, policy: Policy) -> Self {
        Self {
            a: Conversation::new(account(0), policy),
            b: Conversation::new(account(1), policy),
            rng: StdRng::seed_from_u64(seed),
            now: Duration::ZERO,
        }
    }

    /// Returns two people whose conversation is encrypted.
    fn started(seed: u64, policy: Policy) -> Self {
        let mut pair = Self::new(seed, policy);
        let query = pair.a.start().unwrap();
        let told = pair.bring_to_b([query]);
        assert!(matches!(told.a[..], [Outcome::Started { again: false, .. }]), "{told:?}");
        assert!(matches!(told.b[..], [Outcome::Started { again: false, .. }]), "{told:?}");
        assert_eq!((pair.a.state(), pair.b.state()), (State::Encrypted, State::Encrypted));
        pair
    }

    /// Brings texts to B, and then everything that both answer.
    fn bring_to_b(&mut self, texts: impl IntoIterator<Item = String>) -> Told {
        self.exchange(texts.into_iter().map(|text| (true, text)).collect())
    }

    fn bring_to_a(&mut self, texts: impl IntoIterator<Item = String>) -> Told {
        self.exchange(texts.into_iter().map(|text| (false, text)).collect())
    }

    fn exchange(&mut self, mut way: VecDeque<(bool, String)>) -> Told {
        let mut told = Told::default();
        let mut steps = 0;
        while let Some((is_to_b, text)) = way.pop_front() {
            steps += 1;
            assert!(steps < 1000, "the two never stop");
            let (to, told) = if is_to_b { (&mut self.b, &mut told.b) } else { (&mut self.a, &mut told.a) };
            for outcome in to.receive(&text, self.now, &mut self.rng) {
                match outcome {
                    Outcome::Send(text) => way.push_back((!is_to_b, text)),
                    outcome => told.push(outcome),
                }
            }
        }
        told
    }

    /// Brings texts to B or to another client, and then everything that these two answer. Returns what B is told.
    fn exchange_with(&mut self, other: &mut Conversation, mut way: VecDeque<(bool, String)>) -> Vec<Outcome> {
        let mut told = Vec::new();
        while let Some((is_to_b, text)) = way.pop_front() {
            let to = if is_to_b { &mut self.b } else { &mut *other };
            for outcome in to.receive(&text, self.now, &mut self.rng) {
                match outcome {
                    Outcome::Send(text) => way.push_back((!is_to_b, text)),
                    outcome if is_to_b => told.push(outcome),
                    _ => {}
                }
            }
        }
        told
    }

    fn a_says(&mut self, text: &str) -> Told {
        let sent = self.a.send(text, self.now).unwrap();
        self.bring_to_b(sent)
    }

    fn b_says(&mut self, text: &str) -> Told {
        let sent = self.b.send(text, self.now).unwrap();
        self.bring_to_a(sent)
    }

    /// Asserts that messages get through, both ways.
    fn assert_talking(&mut self) {
        for text in ["one", "two", "three"] {
            let expected = vec![Outcome::Message { text: text.to_owned(), fingerprint: account(0).fingerprint() }];
            assert_eq!(self.a_says(text), Told { a: vec![], b: expected });
            let expected = vec![Outcome::Message { text: text.to_owned(), fingerprint: account(1).fingerprint() }];
            assert_eq!(self.b_says(text), Told { a: expected, b: vec![] });
        }
    }
}

/// Ends a conversation, and returns the texts that are sent for it.
fn last_of(conversation: &mut Conversation) -> Vec<String> {
    conversation.end().into_iter().map(|(_, text)| text).collect()
}

/// Returns what is sent among outcomes.
fn sent(outcomes: Vec<Outcome>) -> Vec<String> {
    outcomes
        .into_iter()
        .filter_map(|outcome| match outcome {
            Outcome::Send(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// Returns the reports among outcomes.
fn told(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.into_iter().filter(|outcome| !matches!(outcome, Outcome::Send(_))).collect()
}

/// Changes the bytes of an encoded message.
fn changed(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let base64 = text.strip_prefix("?OTR:").and_then(|text| text.strip_suffix('.')).unwrap();
    let mut bytes = super::message::decode(base64).unwrap();
    change(&mut bytes);
    super::message::encode(&bytes)
}

fn only_v2() -> Policy {
    Policy { v3: false, ..Policy::default() }
}

fn only_v3() -> Policy {
    Policy { v2: false, ..Policy::default() }
}
