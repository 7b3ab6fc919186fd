//! Stanzas as parlor's own types, and their way from bytes and back.
//!
//! **Owns:** the types that session, permissions and plugins speak ([`types`], [`card`], [`error`]); the [`sieve`] through which
//! all received bytes pass; [`decode`], which decides what of a stanza may be believed; [`encode`]; and [`raw`], whole stanzas that
//! plugins may see or write.
//!
//! **Must not** do I/O, wait, or read a clock. Nothing above this package names a type of an XMPP library.
//!
//! **Begin with** [`types`], then follow one stanza through [`decode`].

pub mod addressed;
pub mod altered;
pub mod card;
pub mod decode;
pub mod draft;
pub mod encode;
pub mod error;
pub mod files;
#[cfg(any(test, feature = "test-support"))]
pub mod fuzz;
pub mod iq_payload;
pub mod named_nodes;
pub mod omemo;
pub mod plain;
pub mod previews;
pub mod raw;
mod said;
pub mod sieve;
pub mod stream;
pub mod stream_error;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
mod text;
pub mod types;
pub mod whole_card;
mod xml;
