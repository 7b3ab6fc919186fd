//! The client side of SCRAM (RFC 5802, RFC 7677; SHA-512 as in the registry of mechanisms). It is pure except for the
//! nonce.
//!
//! The server's challenge is checked before anything is computed. At the end its proof is checked: it must know the
//! password, too.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parlor_base::escape::printable;
use ring::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

use super::binding::Binding;
use super::downgrade::Advertised;
use crate::error::ConnectError;

/// The permitted number of hashing rounds. Below it, somebody who poses as the server could guess the password from our
/// answer (RFC 7677, section 4). Above it, the answer takes seconds.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

/// The hash function of a mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Hash {
    pub(super) fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// The state of one log-in.
pub(super) struct Scram {
    hash: Hash,
    binding: Binding,
    password: Zeroizing<String>,
    nonce: String,
    /// The client-first message without the gs2 header.
    first: String,
    /// The domain, and the offer that arrived from its server; `None` if the offer is not compared.
    compared: Option<(String, Advertised)>,
    /// The server key and the message that the server signs; `None` before the challenge.
    signs: Option<(hmac::Key, String)>,
}

impl Scram {
    /// Creates the state for this user. Escapes `=` and `,`, which are valid in a JID but special in SCRAM (RFC 5802,
    /// section 5.1).
    pub(super) fn new(hash: Hash, user: &str, password: &str, binding: Binding) -> Self {
        Self::with_nonce(hash, user, password, binding, BASE64.encode(rand::random::<[u8; 24]>()))
    }

    fn with_nonce(hash: Hash, user: &str, password: &str, binding: Binding, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first = format!("n={user},r={nonce}");
        Self { hash, binding, password: Zeroizing::new(password.to_owned()), nonce, first, compared: None, signs: None }
    }

    /// Enables comparing the offer that the server claims with the one that arrived (XEP-0474).
    pub(super) fn comparing(self, compared: Option<(String, Advertised)>) -> Self {
        Self { compared, ..self }
    }

    /// Returns the first message.
    pub(super) fn first(&self) -> Vec<u8> {
        format!("{}{}", self.binding.header(), self.first).into_bytes()
    }

    /// Returns whether the server has sent its challenge.
    pub(super) fn was_asked(&self) -> bool {
        self.signs.is_some()
    }

    /// Returns the answer to the server's challenge. Takes as long as the hashing.
    pub(super) fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, ConnectError> {
        let Challenge { text, nonce, salt, rounds, offered } = Challenge::read(challenge, &self.nonce)?;
        if let (Some((domain, advertised)), Some(offered)) = (&self.compared, offered)
            && !advertised.has_hash(self.hash, offered)
        {
            return Err(ConnectError::Downgraded { domain: domain.clone() });
        }
        let mut salted = Zeroizing::new(vec![0; self.hash.digest().output_len()]);
        pbkdf2::derive(self.hash.pbkdf2(), rounds, &salt, self.password.as_bytes(), &mut salted);
        let key = |name: &[u8]| hmac::sign(&hmac::Key::new(self.hash.hmac(), &salted), name);
        let client = key(b"Client Key");
        let stored = digest::digest(self.hash.digest(), client.as_ref());
        let last = format!("c={},r={nonce}", BASE64.encode(self.binding.input()));
        let words = format!("{},{text},{last}", self.first);
        let signature = hmac::sign(&hmac::Key::new(self.hash.hmac(), stored.as_ref()), words.as_bytes());
        let proof: Vec<u8> = client.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        self.signs = Some((hmac::Key::new(self.hash.hmac(), key(b"Server Key").as_ref()), words));
        Ok(format!("{last},p={}", BASE64.encode(proof)).into_bytes())
    }

    /// Checks the server's proof that it knows the password.
    pub(super) fn check(&self, proof: &[u8]) -> Result<(), &'static str> {
        let Some((key, words)) = &self.signs else { return Err("it said success before anything was asked") };
        let text = std::str::from_utf8(proof).ok().and_then(|text| text.split(',').next()?.strip_prefix("v="));
        let Some(signature) = text.and_then(|text| BASE64.decode(text).ok()) else {
            return Err("it gave no signature");
        };
        hmac::verify(key, words.as_bytes(), &signature).map_err(|_| "its signature is wrong")
    }
}

/// Returns the reason that a server names in place of its proof if it refuses the log-in (RFC 5802, section 7).
pub(super) fn refused_as(said: &[u8]) -> Option<&str> {
    std::str::from_utf8(said).ok()?.split(',').next()?.strip_prefix("e=")
}

/// The server's first message (RFC 5802, section 7).
struct Challenge<'a> {
    text: &'a str,
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: NonZeroU32,
    /// The hash of the server's offer (XEP-0474), if it sends one.
    offered: Option<&'a str>,
}

impl<'a> Challenge<'a> {
    fn read(challenge: &'a [u8], own: &str) -> Result<Self, ConnectError> {
        let bad = |cause: &str| ConnectError::BadChallenge { cause: cause.to_owned() };
        let text = std::str::from_utf8(challenge).map_err(|_| bad("it is not text"))?;
        let mut parts = text.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let (nonce, salt, rounds) = (part("r="), part("s="), part("i="));
        let (Some(nonce), Some(salt), Some(rounds)) = (nonce, salt, rounds) else {
            return Err(bad("it is not a nonce, a salt and a number of rounds"));
        };
        let mut offered = None;
        for part in parts {
            let is_twice = match part.strip_prefix("h=") {
                Some(hash) => offered.replace(hash).is_some(),
                None => ["r=", "s=", "i=", "m="].iter().any(|name| part.starts_with(name)),
            };
            if is_twice {
                return Err(bad("it says something twice"));
            }
        }
        if nonce.len() <= own.len() || !nonce.starts_with(own) {
            return Err(bad("its nonce is not made of ours"));
        }
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty()).ok_or_else(|| bad("it has no salt"))?;
        match rounds.parse::<u32>().ok().filter(|rounds| ROUNDS.contains(rounds)).and_then(NonZeroU32::new) {
            Some(rounds) => Ok(Self { text, nonce, salt, rounds, offered }),
            None => Err(bad(&format!(
                "it wants {} rounds of hashing, and between {} and {} are acceptable",
                printable(rounds),
                ROUNDS.start(),
                ROUNDS.end()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use xmpp_parsers::stream_features::StreamFeatures;

    use super::*;

    fn scram(hash: Hash, nonce: &str) -> Scram {
        Scram::with_nonce(hash, "user", "pencil", Binding::None, nonce.to_owned())
    }

    fn answer(scram: &mut Scram, challenge: &str) -> String {
        String::from_utf8(scram.answer(challenge.as_bytes()).unwrap()).unwrap()
    }

    /// The examples of RFC 5802, section 5, and RFC 7677, section 3. The values for SHA-512 use the same messages and
    /// were computed with another library.
    #[test]
    fn the_answers_are_those_of_the_standards() {
        let mut one = scram(Hash::Sha1, "fyko+d2lbbFgONRv9qkxdawL");
        assert_eq!(one.first(), b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let expected = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
        assert!(!one.was_asked() && one.check(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").is_err());
        assert_eq!(answer(&mut one, challenge), expected);
        assert_eq!(one.check(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Ok(()));
        assert_eq!(one.check(b"v=rmF9pqV8S7suAoZWja4dJRkFsKR="), Err("it gave no signature"));
        assert_eq!(one.check(b"v=smF9pqV8S7suAoZWja4dJRkFsKQ="), Err("its signature is wrong"));
        assert_eq!(one.check(b""), Err("it gave no signature"));

        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let mut two = scram(Hash::Sha256, "rOprNGfwEbeRWgbNEkqO");
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(answer(&mut two, challenge), expected);
        assert_eq!(two.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));

        let mut five = scram(Hash::Sha512, "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            answer(&mut five, challenge),
            format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={PROOF_512}")
        );
        assert_eq!(five.check(format!("v={SIGNATURE_512}").as_bytes()), Ok(()));
    }

    const PROOF_512: &str = "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    const SIGNATURE_512: &str =
        "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";

    #[test]
    fn a_refusal_is_no_proof() {
        assert_eq!(refused_as(b"e=invalid-proof"), Some("invalid-proof"));
        assert_eq!(refused_as(b"e=other-error,x=later"), Some("other-error"));
        for other in [&b"v=QQ==,e=no"[..], b"r=e=,s=QQ==,i=4096", b"", b"e", b"\xff"] {
            assert_eq!(refused_as(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_a_name_may_have_and_means_something_here_is_escaped() {
        let scram = Scram::new(Hash::Sha256, "a=b,c", "secret", Binding::Unsupported);
        let first = String::from_utf8(scram.first()).unwrap();
        assert!(first.starts_with("y,,n=a=3Db=2Cc,r=") && first.len() > 40, "{first}");
    }

    #[test]
    fn what_the_channel_is_known_by_goes_into_the_answer() {
        let binding = Binding::EndPoint(vec![1, 2, 3]);
        let mut scram = Scram::with_nonce(Hash::Sha256, "user", "pencil", binding, "abc".to_owned());
        assert!(scram.first().starts_with(b"p=tls-server-end-point,,n=user"));
        let bound = BASE64.encode(b"p=tls-server-end-point,,\x01\x02\x03");
        assert!(answer(&mut scram, "r=abcd,s=QQ==,i=4096").starts_with(&format!("c={bound},r=abcd,p=")));
    }

    /// XEP-0474.
    #[test]
    fn what_a_server_says_that_it_offered_is_compared_where_it_says_so() {
        let mechanisms = ["SCRAM-SHA-256".to_owned()].into();
        let features = StreamFeatures { sasl_mechanisms: mechanisms, ..StreamFeatures::default() };
        let hash = BASE64.encode(digest::digest(&digest::SHA256, b"SCRAM-SHA-256"));
        let other = BASE64.encode(digest::digest(&digest::SHA256, b"SCRAM-SHA-256\x1eSCRAM-SHA-256-PLUS"));
        let answer = |compares: bool, more: &str| {
            let compared = compares.then(|| ("house".to_owned(), Advertised::of(&features)));
            let challenge = format!("r=abcd,s=QQ==,i=4096{more}");
            scram(Hash::Sha256, "abc").comparing(compared).answer(challenge.as_bytes()).map(drop)
        };
        let changed = Err(ConnectError::Downgraded { domain: "house".to_owned() });
        assert_eq!(answer(true, &format!(",h={hash}")), Ok(()));
        assert_eq!(answer(true, &format!(",x=later,h={hash}")), Ok(()));
        assert_eq!(answer(true, ""), Ok(()), "most servers do not say it");
        assert_eq!(answer(true, &format!(",h={other}")), changed);
        assert_eq!(answer(true, ",h="), changed);
        assert_eq!(answer(false, &format!(",h={other}")), Ok(()), "the owner wants it so");
    }

    #[test]
    fn a_challenge_is_checked_before_anything_is_computed() {
        let check = |challenge: &str| scram(Hash::Sha256, "abc").answer(challenge.as_bytes()).map(drop);
        assert_eq!(check("r=abcd,s=QQ==,i=4096"), Ok(()));
        assert_eq!(check("r=abcd,s=QQ==,i=4096,x=later"), Ok(()));
        for bad in [
            "",
            "r=abcd,s=QQ==",
            "r=abcd,i=4096,s=QQ==",
            "r=abcd,s=,i=4096",
            "r=abcd,s=?,i=4096",
            "r=abc,s=QQ==,i=4096",
            "r=zabc,s=QQ==,i=4096",
            "m=new,r=abcd,s=QQ==,i=4096",
            "r=abcd,s=QQ==,i=0",
            "r=abcd,s=QQ==,i=4095",
            "r=abcd,s=QQ==,i=1000001",
            "r=abcd,s=QQ==,i=99999999999",
            "r=abcd,s=QQ==,i=-1",
            "r=abcd,s=QQ==,i=4096,i=4000000000",
            "r=abcd,s=QQ==,i=4096,r=other",
            "r=abcd,s=QQ==,i=4096,h=QQ==,h=QQ==",
        ] {
            let error = check(bad).unwrap_err();
            assert!(matches!(error, ConnectError::BadChallenge { .. }) && error.is_final(), "{bad}: {error}");
        }
    }
}
