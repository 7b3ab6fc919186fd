//! End-to-end encryption as state machines: secrets and bytes go in, secrets and bytes come out.
//!
//! **Owns:** what is secret of an account's own device, conversations with foreign ones, and how both look as bytes.
//!
//! **Must not** do I/O, wait, read a clock or make randomness: each function is told. It knows no XML, no addresses, and not
//! whom somebody trusts.
//!
//! **Begin with** [`omemo`], the encryption that today's clients have, or [`otr`], which older ones have.
//!
//! No primitive is our own: curves, ciphers and hashes are those of dalek and `RustCrypto`. All bytes from outside are bounded
//! before they are read, and a state changes only after all of a message proved to be authentic.

pub mod omemo;
pub mod otr;
