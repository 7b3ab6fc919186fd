//! The secret part of a webhook's address, and its comparison with what requests give.

use ring::digest::{SHA256, digest};

/// The number of random bytes in an address. They are written as hex digits.
pub(super) const BYTES: usize = 24;

/// The token of a webhook.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    text: String,
    /// The digest with which those of requests are compared.
    digest: [u8; 32],
}

impl Token {
    pub(super) fn new(text: String) -> Self {
        Self { digest: hash(&text), text }
    }

    /// Returns it as it is written in the address.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The token that a request gives, as its digest: it is hashed once, with however many tokens it is compared.
#[derive(Debug, Clone)]
pub struct GivenToken([u8; 32]);

impl GivenToken {
    /// Returns the token with this text; `None` if no webhook can have it. Only what can be a token is hashed, since strangers
    /// choose the length.
    pub fn of(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 2 * BYTES && text.bytes().all(is_digit)).then(|| Self(hash(text)))
    }

    /// Returns whether it is this token. The time does not tell how much of it is right, nor whether there is a token.
    pub(crate) fn is(&self, token: Option<&Token>) -> bool {
        let right = token.map_or(&[0; 32], |token| &token.digest);
        let differs = self.0.iter().zip(right).fold(0, |differs, (one, other)| differs | (one ^ other));
        differs == 0 && token.is_some()
    }
}

fn hash(text: &str) -> [u8; 32] {
    #[cfg(test)]
    tests::HASHED.set(tests::HASHED.get() + text.len());
    let mut hashed = [0; 32];
    hashed.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hashed
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// The bytes that this thread has hashed.
        pub(super) static HASHED: Cell<usize> = const { Cell::new(0) };
    }

    fn token(number: usize) -> String {
        format!("{number:048x}")
    }

    #[test]
    fn a_token_is_hashed_once_however_many_accounts_it_is_compared_for() {
        let tokens: Vec<_> = (0..1_000).map(|number| Token::new(token(number))).collect();
        HASHED.set(0);
        let given = GivenToken::of(&token(999)).unwrap();
        let found: Vec<_> = (0..1_000).filter(|at| given.is(tokens.get(*at))).collect();
        assert_eq!((found, HASHED.get()), (vec![999], 2 * BYTES));
        let stranger = GivenToken::of(&token(1_000)).unwrap();
        assert!(!tokens.iter().any(|token| stranger.is(Some(token))) && !stranger.is(None));
        assert_eq!(HASHED.get(), 4 * BYTES);
    }

    #[test]
    fn what_cannot_be_a_token_is_not_hashed() {
        let right = hex::encode([0xab; BYTES]);
        assert!(GivenToken::of(&right).is_some());
        HASHED.set(0);
        for wrong in [
            "",
            "0a1b",
            &right[1..],
            &format!("{right}0"),
            &right.to_uppercase(),
            &right.replace('a', "g"),
            &right.replace("ab", "\u{e4}"),
            &format!("%61{}", &right[3..]),
            &"a".repeat(65_000),
        ] {
            assert!(GivenToken::of(wrong).is_none(), "{wrong}");
        }
        assert_eq!(HASHED.get(), 0);
    }
}
