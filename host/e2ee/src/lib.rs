//! End-to-end encryption as state machines: secrets and bytes go in, secrets and bytes come out.
//!
//! **Owns:** the secrets of an account's own device, the conversations with foreign devices, and the byte formats of
//! both.
//!
//! **Must not** do I/O, wait, read a clock or make randomness: callers pass the time and the randomness. It knows
//! nothing of XML, addresses and trust.
//!
//! **Begin with** [`omemo`], the encryption of today's clients, or [`otr`], that of older ones.
//!
//! It implements no primitives: curves, ciphers and hashes are those of dalek and `RustCrypto`. All bytes from outside
//! are bounded before they are read, and a state changes only after all of a message proved to be authentic.

pub mod omemo;
pub mod otr;
