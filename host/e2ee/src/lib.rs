//! End-to-end encryption as state machines.
//!
//! **Owns:** the protocols: what is secret, which messages are authentic, and which bytes or texts go out.
//!
//! **Must not** know stanzas, files, sockets, clocks or plugins. Time and randomness come in as arguments.
//!
//! **Begin with** [`otr::Conversation`].

pub mod otr;
