//! Decides which node of a cluster runs which account.
//!
//! **Owns:** the lease of a node, the claims on accounts, placement by load, and the token that fences an account's writes.
//!
//! **Must not** do I/O, wait, draw random numbers or read a clock: it is told what time it is and what arrived, and answers
//! with what to do. It knows no database: a key-value store whose writes compare the revision of a key is enough.
//!
//! **Begin with** [`Node`], the state of one node, and with [`Writer`], the writes of one account.
//!
//! # How an account runs on one node only
//!
//! A node has one *session*, and renews it. Accounts are *claimed* for a session: a thousand accounts cost no more renewals
//! than one. Safety rests on four rules:
//!
//! 1. A node counts the life of its session from the moment **before** it sent the last renewal that was written, by its own
//!    clock. It stops its accounts before that ends, whether it hears from anybody or not.
//! 2. Another node ends a session only after its [patience](Timing::patience), counted from the moment **after** it saw the
//!    last renewal. Patience is longer than life by what the two clocks may differ in rate. The clocks are never compared.
//! 3. A session is ended by a write that expects that renewal. If there was a later one, the write is refused. A node that
//!    hears nothing because it is itself cut off can therefore end nobody.
//! 4. Each claim has a *token*, one higher than the claim before. The first write of an account's new holder is a fence
//!    with that token. Each write expects the revision of the one before, so that the store refuses all later writes of
//!    earlier holders, such as those of a process that was suspended without knowing it.
//!
//! A clock has to count the time during which the machine sleeps (`CLOCK_BOOTTIME` on Linux).
//!
//! # Where accounts go
//!
//! Each node computes the same places from the same records. The record of an account names the processes whose configuration lacks it: it is
//! not placed there. The record of a session says how busy its node is: one that uses almost all of its CPU time while others have room takes a
//! smaller share.
//!
//! # What a loss looks like
//!
//! A store that has lost confirmed writes gives their revisions a second time. A node notices that by the revision of its next write, by a
//! report of a record that it should have seen before, or by a refusal: the store has an earlier record of the session or the account
//! that it writes, or none. (Records of sessions that have been over for an hour are removed. A node that has heard nothing for half of that takes a
//! missing one for removed.) It then forgets all that it knew, and claims nothing until each session from before has ended. A node that starts
//! cannot know whether there was a loss just before, and waits as long.

mod node;
mod output;
mod placement;
mod record;
mod timing;
mod view;
mod writer;

pub use node::{Health, Node};
pub use output::{Outcome, Output, RequestId};
pub use placement::{Place, place, shed};
pub use record::{Claim, Cpu, Key, Revision, Session, SessionId, SessionState, Token, Value};
pub use timing::{FRESH, Timing, TimingError};
pub use writer::{Appended, Content, LastRecord, Step, Writer};

#[cfg(test)]
mod tests;
