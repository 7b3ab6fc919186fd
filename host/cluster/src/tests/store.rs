//! A store that makes one write after the other, as the leader of a replicated one does: keys with revisions, and a log
//! for each account.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Appended, Claim, Content, Key, LastRecord, Outcome, Revision, Session, SessionId, Token, Value};

/// A request to the store.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Put { key: Key, value: Value, expected: Revision },
    Read { account: Arc<str> },
    Append { account: Arc<str>, expected: Revision, token: Token, number: u64, content: Content },
}

/// The answer of the store.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Put(Outcome),
    Last(Option<LastRecord>),
    Appended(Appended),
}

#[derive(Debug, Default)]
pub(super) struct Store {
    keys: BTreeMap<Key, (Revision, Value)>,
    /// All writes of keys, in their order; `None` is a deletion.
    pub(super) history: Vec<(Key, Revision, Option<Value>)>,
    pub(super) logs: BTreeMap<Arc<str>, Vec<LastRecord>>,
    /// The revision of the last write of a key, and of the last one of a log.
    revision: Revision,
    appended: Revision,
    /// Whether a refusal says that the store has less of a key than it had.
    pub(super) tells_losses: bool,
}

impl Store {
    /// Carries out a request. No request may lead to a write with an old token.
    pub(super) fn serve(&mut self, request: Request) -> Answer {
        match request {
            Request::Put { key, value, expected } => {
                let present = self.keys.get(&key).map_or(0, |(revision, _)| *revision);
                if present != expected {
                    let is_less = present < expected && self.tells_losses;
                    return Answer::Put(if is_less { Outcome::Lost } else { Outcome::Refused });
                }
                Answer::Put(Outcome::Written(self.put(key, Some(value))))
            }
            Request::Read { account } => Answer::Last(self.last(&account)),
            Request::Append { account, expected, token, number, content } => {
                let last = self.last(&account);
                if last.map_or(0, |last| last.revision) != expected {
                    return Answer::Appended(Appended::Refused);
                }
                if let Some(last) = last {
                    assert!(last.token <= token, "{account}: {token:?} was written after {:?}", last.token);
                    assert_eq!(
                        last.token < token,
                        content == Content::Fence,
                        "{account}: each token begins with a fence"
                    );
                }
                assert_eq!(number, last.map_or(0, |last| last.number) + 1, "{account}: no number is left out");
                self.appended += 1;
                let record = LastRecord { revision: self.appended, token, number };
                self.logs.entry(account).or_default().push(record);
                Answer::Appended(Appended::Written(self.appended))
            }
        }
    }

    fn last(&self, account: &str) -> Option<LastRecord> {
        self.logs.get(account).and_then(|log| log.last()).copied()
    }

    /// Removes the record of a session if it has this revision still. Nobody is told: nodes that have not seen it never will.
    pub(super) fn remove(&mut self, id: SessionId, revision: Revision) {
        let key = Key::Session(id);
        if self.keys.get(&key).is_some_and(|(present, _)| *present == revision) {
            self.keys.remove(&key);
        }
    }

    /// Loses a key. Nobody is told.
    pub(super) fn lose(&mut self, key: &Key) {
        self.keys.remove(key);
    }

    /// Loses all keys, as if it was started with an empty disk. The logs are elsewhere.
    pub(super) fn lose_keys(&mut self) {
        self.keys.clear();
        self.history.clear();
        self.revision = 0;
    }

    /// Writes or deletes a key, whatever is there.
    pub(super) fn put(&mut self, key: Key, value: Option<Value>) -> Revision {
        self.revision += 1;
        self.history.push((key.clone(), self.revision, value.clone()));
        match value {
            Some(value) => _ = self.keys.insert(key, (self.revision, value)),
            None => _ = self.keys.remove(&key),
        }
        self.revision
    }

    pub(super) fn claim(&self, account: &Arc<str>) -> Option<&Claim> {
        match self.keys.get(&Key::Account(Arc::clone(account))) {
            Some((_, Value::Claim(claim))) => Some(claim),
            _ => None,
        }
    }

    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        match self.keys.get(&Key::Session(id)) {
            Some((_, Value::Session(session))) => Some(session),
            _ => None,
        }
    }
}
