//! Signs files as minisign does, with keys that are generated for a test.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use blake2::{Blake2b512, Digest as _};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// A signing key.
pub struct Key {
    pair: Ed25519KeyPair,
    id: [u8; 8],
}

impl Key {
    /// Generates a new key.
    pub fn new() -> Self {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system gives random bytes");
        let pair = Ed25519KeyPair::from_pkcs8(pair.as_ref()).expect("it was made just now");
        Self { pair, id: rand::random() }
    }

    /// Returns the second line of `minisign.pub`.
    pub fn public(&self) -> String {
        BASE64_STANDARD.encode([b"Ed", &self.id[..], self.pair.public_key().as_ref()].concat())
    }

    /// Returns the key id, as minisign prints it.
    pub fn id(&self) -> String {
        format!("{:016X}", u64::from_le_bytes(self.id))
    }

    /// Returns a detached signature of these bytes with this trusted comment.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let signature = self.pair.sign(&Blake2b512::digest(bytes));
        let whole = self.pair.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        format!(
            "untrusted comment: a test\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64_STANDARD.encode([b"ED", &self.id[..], signature.as_ref()].concat()),
            BASE64_STANDARD.encode(whole)
        )
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}
