//! Typed settings, as far as a connection needs them. Secrets appear here only as references.

use std::path::PathBuf;

/// Where a password comes from; never the password itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// The first line of this file.
    File(PathBuf),
    /// What this shell command prints.
    Command(String),
    /// The environment variable of this name.
    Environment(String),
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// On the plain port, before anything else is said (RFC 6120, section 5).
    StartTls,
    /// At once (XEP-0368).
    Direct,
}

/// A server that is named instead of looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name or address.
    pub host: String,
    /// Its port; none = the usual one.
    pub port: Option<u16>,
}
