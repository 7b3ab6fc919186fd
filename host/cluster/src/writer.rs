//! The writes of an account: each expects the one before, and the first of each holder is a fence.
//!
//! All writes of an account go to one subject of the store, one after the other, and each is a whole change. The store
//! accepts a write only if the last one of the subject has the expected revision. After the fence of a later holder, the
//! store therefore refuses whatever an earlier one sends, or sent long ago.

use crate::record::{Revision, Token};

/// A record of an account's subject, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    /// Its revision.
    pub revision: Revision,
    /// The token of its writer.
    pub token: Token,
    /// Its number: one more than that of the record before it.
    pub number: u64,
}

/// The store's answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It was written.
    Written(Revision),
    /// The last record has another revision.
    Refused,
    /// There was no answer. It may have been written, or may be later.
    Unknown,
}

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The fence of a new holder.
    Fence,
    /// The change that the caller began.
    Change,
}

/// The next thing that the caller has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read the last record from the leader of the store, and tell [`Writer::last`]. If the read fails, try again after a
    /// moment.
    Read,
    /// Write a record, and tell [`Writer::appended`]. The content of a number never changes.
    Append {
        /// The revision that the last record must have.
        expected: Revision,
        /// The token to write into the record.
        token: Token,
        /// The number to write into the record.
        number: u64,
        /// The kind of the record.
        content: Content,
    },
    /// Nothing: the last change is durable, and the next may [begin](Writer::begin).
    Ready,
    /// Stop the account: a later holder has it. No write that was not acknowledged may be acknowledged any more.
    Fenced,
}

/// The writes of one holder of an account.
#[derive(Debug, Clone)]
pub struct Writer {
    token: Token,
    /// The last record that is known to be written.
    last: Option<LastRecord>,
    step: Step,
    /// The record that is being written.
    open: Content,
}

impl Writer {
    /// Begins to write with this token. The first steps write the fence.
    pub fn new(token: Token) -> Self {
        Self { token, last: None, step: Step::Read, open: Content::Fence }
    }

    /// Returns what to do now.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Begins a change. Returns its number, or `None` if another is not durable yet, or the account is fenced.
    pub fn begin(&mut self) -> Option<u64> {
        if self.step != Step::Ready {
            return None;
        }
        self.open = Content::Change;
        self.append();
        Some(self.number())
    }

    /// Takes in the last record of the subject; `None` if there is none.
    pub fn last(&mut self, last: Option<LastRecord>) {
        if self.step != Step::Read {
            return;
        }
        let known = self.last.map_or(0, |known| known.revision);
        match last {
            Some(last) if last.token > self.token => self.step = Step::Fenced,
            // It was written, although its answer was lost.
            Some(last) if last.token == self.token && last.number == self.number() => self.written(last.revision),
            // An answer from before what is known: it is read again.
            _ if last.map_or(0, |last| last.revision) < known => {}
            // Nobody else may write after the fence. The store has lost records, or is not what it should be.
            Some(last) if self.open == Content::Change && last.revision > known => self.step = Step::Fenced,
            // The fence follows whatever the holder before wrote; a change is written once more.
            _ => {
                if self.open == Content::Fence {
                    self.last = last;
                }
                self.append();
            }
        }
    }

    /// Takes in what the store said of the record with this number. Several attempts may be answered, in any order.
    pub fn appended(&mut self, number: u64, outcome: Appended) {
        if !matches!(self.step, Step::Append { .. }) || number != self.number() {
            return;
        }
        match outcome {
            Appended::Written(revision) => self.written(revision),
            // An earlier attempt may have been written. Only the record itself tells.
            Appended::Refused | Appended::Unknown => self.step = Step::Read,
        }
    }

    fn number(&self) -> u64 {
        self.last.map_or(0, |last| last.number) + 1
    }

    fn append(&mut self) {
        let expected = self.last.map_or(0, |last| last.revision);
        self.step = Step::Append { expected, token: self.token, number: self.number(), content: self.open };
    }

    fn written(&mut self, revision: Revision) {
        self.last = Some(LastRecord { revision, token: self.token, number: self.number() });
        self.step = Step::Ready;
    }
}
