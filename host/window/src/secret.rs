//! Secrets of links and sessions: 256 random bits, of which only the digest is kept.

use std::fmt;

use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The size of a secret, in bytes.
const LENGTH: usize = 32;

/// A secret, as 64 hexadecimal digits. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Makes a secret of bytes of the system; none if the system has none.
    pub(crate) fn random() -> Option<Self> {
        let mut bytes = [0; LENGTH];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(hex::encode(bytes)))
    }

    /// Parses a secret. There is one spelling: lower-case digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * LENGTH && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// Returns the secret itself, for the link or the cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the digest that is kept in its place.
    pub(crate) fn digest(&self) -> String {
        hex::encode(digest(&SHA256, self.0.as_bytes()))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes())
    }

    /// Returns the token of a form that is sent to this path. Forms of other paths and sessions have other ones.
    pub(crate) fn form_token(&self, path: &str) -> String {
        hex::encode(hmac::sign(&self.key(), path.as_bytes()))
    }

    /// Checks the token of a form, in a time that does not depend on it.
    pub(crate) fn is_form_token(&self, path: &str, token: &str) -> bool {
        hex::decode(token).is_ok_and(|tag| hmac::verify(&self.key(), path.as_bytes(), &tag).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_spelling_and_is_not_shown() {
        let secret = Secret::random().unwrap();
        assert_eq!(Secret::parse(secret.expose()), Some(secret.clone()));
        assert_ne!(Secret::random().unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_ne!(secret.digest(), secret.expose());
        let upper = "A".repeat(64);
        for wrong in ["", "0", upper.as_str(), &"g".repeat(64), &"0".repeat(63), &"0".repeat(65)] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_form_token_is_of_one_session_and_one_path() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        let token = one.form_token("/plugins/echo/restart");
        assert!(one.is_form_token("/plugins/echo/restart", &token));
        assert!(!one.is_form_token("/plugins/echo/remove", &token));
        assert!(!other.is_form_token("/plugins/echo/restart", &token));
        for wrong in ["", "0", &token[2..], "zz"] {
            assert!(!one.is_form_token("/plugins/echo/restart", wrong), "{wrong}");
        }
    }
}
