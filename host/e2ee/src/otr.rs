//! Off-the-record messaging, versions 2 and 3 (<https://otr.cypherpunks.ca/Protocol-v3-4.1.1.html>).
//!
//! **Owns:** the key exchange, data messages with changing keys, the comparison of secrets (SMP), fragments.
//!
//! **Must not** decide about trust: [`Outcome::Started`] names a key, and the session decides whether to trust it.
//!
//! **Begin with** [`Conversation`].
//!
//! A conversation is with one bare JID, and has a state for each client ("instance") of that person. Nothing of it is stored: after a
//! restart, a conversation is plain again. The extra symmetric key of version 3 is not offered. Secrets are wiped when they are
//! dropped; values that arithmetic leaves on the stack are not.

mod ake;
mod conversation;
mod ctr_mode;
mod data;
mod errors;
mod fragments;
mod group;
mod incoming;
mod key;
mod message;
mod proofs;
mod secrets;
mod smp;
mod text;
mod tlv;
mod unheard;
mod wire;

#[cfg(test)]
mod tests;

pub use conversation::{Conversation, Outcome, Policy, State};
pub use errors::{ReceiveError, SendError, SmpError};
pub use key::{Account, AccountError, Fingerprint, FingerprintError};
pub use message::{InstanceTag, Version};
pub use text::{is_encoded, is_otr, untagged};
pub use unheard::AGAIN;
