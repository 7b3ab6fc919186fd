//! Signatures of plugins: detached minisign signatures (Ed25519) over the whole file, and the keys that the owner
//! trusts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use minisign_verify::{PublicKey, Signature};
use parlor_base::document::{DocumentError, Section};
use parlor_base::escape::escape_untrusted;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::keys;

/// The maximum length of a signer's comment as shown, in bytes.
const LONGEST_COMMENT: usize = 500;

/// The owner's name for a key: 1 to 64 of `a-z 0-9 _ -`, beginning with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(Box<str>);

/// A key that the owner trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    public: PublicKey,
    /// The last day on which it is trusted.
    until: Option<Date>,
}

/// The key of somebody who publishes an index or a plugin. It counts for that alone, and is not trusted otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct PublisherKey {
    public: PublicKey,
    /// The key as minisign writes it.
    text: Box<str>,
}

/// The keys that the owner trusts.
pub type Keys = BTreeMap<KeyName, TrustedKey>;

/// The signer of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The owner's name for the key.
    pub key: KeyName,
    /// The signer's trusted comment, which the signature covers too, escaped for display.
    pub comment: String,
}

/// The reason why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The text is not a minisign signature.
    #[error("the signature beside it is none that minisign makes; ask who offers the plugin for the right one")]
    Malformed,
    /// The signature is by a key that the owner does not trust.
    #[error(
        "it is signed by the key {0}, which plugins.toml does not trust; if you know whose it is, add it there as [key.NAME], or install it with --unsigned as if nobody had signed it"
    )]
    UnknownKey(String),
    /// The signature is by a key that is no longer trusted.
    #[error(
        "it is signed by the key of {name}, which counted until {until}; ask for one that is signed anew, or correct `until` under [key.{name}] in plugins.toml"
    )]
    Expired {
        /// The owner's name for the key.
        name: KeyName,
        /// The last day on which it was trusted.
        until: Date,
    },
    /// The signature belongs to another file, or was made with another key.
    #[error(
        "its signature says that it is by {0}, and is not: the file or the signature was changed on the way; do not install it"
    )]
    Wrong(KeyName),
}

/// Finds the trusted key that signed these bytes. `today` is the day on which it must be trusted, in UTC.
pub fn verify(bytes: &[u8], signature: &str, keys: &Keys, today: Date) -> Result<Signer, SignatureError> {
    let id = key_id(signature).ok_or(SignatureError::Malformed)?;
    let signature = Signature::decode(signature).map_err(|_| SignatureError::Malformed)?;
    // The creator of a key chooses its id, and the policy may list a key twice, with and without an end date. So every
    // key is tried, and any may match.
    let (mut expired, mut wrong) = (None, None);
    for (name, key) in keys {
        match (key.public.verify(bytes, &signature, true), key.ended(today)) {
            (Ok(()), None) => {
                // Without -t, minisign writes one with tabs.
                let comment = escape_untrusted(&signature.trusted_comment().replace('\t', " "), LONGEST_COMMENT);
                return Ok(Signer { key: name.clone(), comment });
            }
            (Ok(()), Some(until)) => expired = expired.or(Some(SignatureError::Expired { name: name.clone(), until })),
            (Err(minisign_verify::Error::UnexpectedKeyId), _) => {}
            (Err(_), _) => wrong = wrong.or(Some(SignatureError::Wrong(name.clone()))),
        }
    }
    Err(expired.or(wrong).unwrap_or(SignatureError::UnknownKey(id)))
}

/// Returns the trusted key that is this one, if it is trusted today.
pub fn trusted<'k>(keys: &'k Keys, key: &PublisherKey, today: Date) -> Option<&'k KeyName> {
    let is_it = |one: &TrustedKey| one.public == key.public && one.ended(today).is_none();
    keys.iter().find(|(_, one)| is_it(one)).map(|(name, _)| name)
}

/// Returns the id of the key that a signature names, in the form that minisign prints.
fn key_id(signature: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(signature.lines().nth(1)?).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

/// Returns the current day in UTC, on which keys must be trusted.
pub fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

impl TrustedKey {
    /// Returns the last day on which the key was trusted, if that day has passed.
    pub(super) fn ended(&self, today: Date) -> Option<Date> {
        self.until.filter(|until| *until < today)
    }

    /// Parses `[key.NAME]` of a policy.
    pub(super) fn read(section: &Section<'_>) -> Result<Self, DocumentError> {
        section.allow(&keys::KEY_NAMES)?;
        let public = section.require("public", "write the second line of the signer's minisign.pub")?;
        let text = public.string()?;
        let public = PublicKey::from_base64(text.trim()).map_err(|_| {
            public.error("`public` is not a key of minisign; write the second line of the signer's minisign.pub")
        })?;
        let until = section.get("until").map(|node| {
            let wrong = || node.error("`until` has to be a day, such as 2030-12-31");
            let toml::Value::Datetime(written) = node.value()? else { return Err(wrong()) };
            written.to_string().parse::<Date>().map_err(|_| wrong())
        });
        Ok(Self { public, until: until.transpose()? })
    }
}

impl PublisherKey {
    /// Returns whether any of these signatures is by this key, over these bytes.
    pub fn signed(&self, bytes: &[u8], signatures: &[String]) -> bool {
        let mut read = signatures.iter().filter_map(|signature| Signature::decode(signature).ok());
        read.any(|signature| self.public.verify(bytes, &signature, true).is_ok())
    }
}

impl FromStr for PublisherKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "it is not a public key of minisign; write the second line of minisign.pub";
        // A key has one spelling, so that two of them are compared as texts.
        let text = BASE64_STANDARD.encode(BASE64_STANDARD.decode(text.trim()).map_err(|_| wrong)?);
        let public = PublicKey::from_base64(&text).map_err(|_| wrong)?;
        Ok(Self { public, text: text.into() })
    }
}

impl fmt::Display for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublisherKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PublisherKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for KeyName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let plain = |one: u8| matches!(one, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let starts = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if name.len() > 64 || !starts || !name.bytes().all(plain) {
            return Err("a key's name is 1 to 64 of a-z, 0-9, _ and -, the first one a letter or a digit");
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of minisign's own documentation: the text `test`, signed.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\nRUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\ntrusted comment: timestamp:1633700835\tfile:test\tprehashed\nwLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";

    fn keys(text: &str) -> Result<Keys, DocumentError> {
        Ok(crate::policy::Policy::parse(text, std::path::Path::new(""))?.keys)
    }

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_signature_counts_for_its_bytes_and_its_key_up_to_its_day() {
        let known = keys(&format!("[key.jedi]\npublic = \"{KEY}\"\nuntil = 2030-12-31\n")).unwrap();
        let of = |bytes: &[u8], today: &str| verify(bytes, SIGNATURE, &known, day(today));
        let signer = of(b"test", "2030-12-31").unwrap();
        assert_eq!(signer.key.to_string(), "jedi");
        assert_eq!(signer.comment, "timestamp:1633700835 file:test prehashed");
        assert!(matches!(of(b"Test", "2026-01-01"), Err(SignatureError::Wrong(_))));
        assert!(matches!(of(b"test", "2031-01-01"), Err(SignatureError::Expired { .. })));
        let unknown = verify(b"test", SIGNATURE, &Keys::new(), day("2026-01-01"));
        assert_eq!(unknown, Err(SignatureError::UnknownKey("E7620F1842B4E81F".to_owned())));
        // The signature covers the comment too.
        let forged = SIGNATURE.replace("file:test", "file:best");
        assert!(matches!(verify(b"test", &forged, &known, day("2026-01-01")), Err(SignatureError::Wrong(_))));
        for broken in ["", "x", "a\nb\nc\nd", &SIGNATURE[..150]] {
            assert_eq!(verify(b"test", broken, &known, day("2026-01-01")), Err(SignatureError::Malformed));
        }
    }

    #[test]
    fn of_several_keys_with_one_id_any_may_count() {
        let mut bytes = BASE64_STANDARD.decode(KEY).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let other = format!("[key.a]\npublic = \"{}\"\n", BASE64_STANDARD.encode(bytes));
        let old = format!("[key.b]\npublic = \"{KEY}\"\nuntil = 2020-12-31\n");
        let new = format!("[key.c]\npublic = \"{KEY}\"\n");
        let of = |text: String| verify(b"test", SIGNATURE, &keys(&text).unwrap(), day("2026-01-01"));
        assert_eq!(of(format!("{other}{old}{new}")).unwrap().key.to_string(), "c");
        assert!(matches!(of(format!("{other}{old}")), Err(SignatureError::Expired { .. })));
        assert!(matches!(of(other), Err(SignatureError::Wrong(_))));
    }

    #[test]
    fn a_publishers_key_counts_for_its_own_signatures_alone() {
        let key: PublisherKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        assert_eq!(format!(" {KEY}\n").parse::<PublisherKey>(), Ok(key.clone()));
        let of = |bytes: &[u8], signatures: &[&str]| {
            key.signed(bytes, &signatures.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        assert!(of(b"test", &[SIGNATURE]) && of(b"test", &["nonsense", SIGNATURE]));
        assert!(!of(b"Test", &[SIGNATURE]) && !of(b"test", &[]) && !of(b"test", &["nonsense"]));
        // Another key with the same id, which its creator chose.
        let mut bytes = BASE64_STANDARD.decode(KEY).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let other: PublisherKey = BASE64_STANDARD.encode(bytes).parse().unwrap();
        assert!(other != key && !other.signed(b"test", &[SIGNATURE.to_owned()]));
        assert!("x".parse::<PublisherKey>().is_err() && "".parse::<PublisherKey>().is_err());
        let known = keys(&format!("[key.jedi]\npublic = \"{KEY}\"\nuntil = 2030-12-31\n")).unwrap();
        assert!(
            trusted(&known, &key, day("2030-12-31")).is_some() && trusted(&known, &key, day("2031-01-01")).is_none()
        );
        assert!(trusted(&known, &other, day("2030-12-31")).is_none());
    }

    /// Mail programs and other systems leave signatures in such forms.
    #[test]
    fn the_ends_of_lines_and_what_follows_do_not_matter() {
        let known = keys(&format!("[key.jedi]\npublic = \"{KEY}\"\n")).unwrap();
        let of = |signature: &str| verify(b"test", signature, &known, day("2026-01-01")).map(|signer| signer.key);
        let other_ends = SIGNATURE.replace('\n', "\r\n");
        for signature in [&other_ends, &format!("{other_ends}\r\n"), &format!("\u{feff}{SIGNATURE}\n\nbest wishes\n")] {
            assert_eq!(of(signature).unwrap().to_string(), "jedi", "{signature:?}");
        }
        // The signature claims the other algorithm, which hashes the file differently.
        assert!(matches!(of(&SIGNATURE.replace("\nRUQ", "\nRWQ")), Err(SignatureError::Wrong(_))));
        // Without the untrusted comment's line, or without a space in the trusted comment.
        let (_, rest) = SIGNATURE.split_once('\n').unwrap();
        for signature in [rest, &SIGNATURE.replace("trusted comment: timestamp", "trusted comment:timestamp")] {
            assert!(of(signature).is_err(), "{signature:?}");
        }
    }

    #[test]
    fn a_key_that_is_none_names_its_line() {
        let error = |text: &str| keys(text).unwrap_err().to_string();
        assert!(error("[key.a]\npublic = \"x\"\n").starts_with("2:1: `public` is not a key of minisign"));
        assert!(error("[key.a]\n").contains("[key.a] has no `public`"));
        assert!(error("[key.A]\npublic = \"x\"\n").starts_with("1:6: a key's name is"));
        let text = format!("[key.a]\npublic = \"{KEY}\"\nuntil = \"soon\"\n");
        assert!(error(&text).starts_with("3:1: `until` has to be a day"));
    }
}
