//! The owner's id for a plugin, and the digest of a plugin's file.
//!
//! Both are parsed once, at the edge. Afterwards they are safe in a path, a log line and a terminal. The owner chooses
//! the id; the name that the author wrote into the file is only for display and decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The owner's name for a plugin: 1 to 64 of `a-z 0-9 _ -`, beginning with a letter or a digit.
///
/// Nothing else is allowed, so `../x`, `Echo` beside `echo`, or a Cyrillic look-alike of `echo` cannot be an id. Clones
/// share the text, since each account has several for each of its plugins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginId(Arc<str>);

/// The error for a text that is not a valid plugin id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginIdError {
    /// The text is empty.
    #[error("a plugin's id is empty; use 1 to {} of a-z, 0-9, _ and -", PluginId::MAX_LEN)]
    Empty,
    /// The text is longer than [`PluginId::MAX_LEN`]. Holds its length in bytes.
    #[error("a plugin's id has {0} bytes, at most {max} are allowed", max = PluginId::MAX_LEN)]
    TooLong(usize),
    /// The text has a character that is not allowed in an id.
    #[error("`{}` cannot be a plugin's id: {found:?} is not one of a-z, 0-9, _ and -{}", id.escape_debug(), lower(id))]
    Character {
        /// The text that was given.
        id: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// The text begins with `-` or `_`, so it would look like a flag or a hidden file.
    #[error("`{0}` cannot be a plugin's id: it has to begin with a letter or a digit")]
    Start(String),
    /// The host reserves this name for itself.
    #[error("`{0}` cannot be a plugin's id: the host keeps that name for itself; choose another")]
    Reserved(String),
}

/// Returns a hint if the id would be valid in lower case, else an empty text.
fn lower(id: &str) -> String {
    let lower = id.to_ascii_lowercase();
    if lower != id && lower.parse::<PluginId>().is_ok() { format!("; write `{lower}`") } else { String::new() }
}

/// Ids shorter than this often differ by one character only because they are so short, so no typo is assumed.
const SHORTEST_SLIP: usize = 3;

/// Names that mean something to the host or to its command line.
const RESERVED: [&str; 8] = ["all", "any", "host", "none", "parlor", "plugin", "self", "system"];

impl PluginId {
    /// The maximum length of an id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PluginId {
    /// Returns whether a reader could mistake one id for the other, though they differ: because of look-alike
    /// characters, or because of one typo. Trailing numbers are assumed to be read carefully: `bot1` is not mistaken
    /// for `bot2`.
    pub fn looks_like(&self, other: &Self) -> bool {
        if self == other {
            return false;
        }
        let letters = |id: &Self| id.0.trim_end_matches(|one: char| one.is_ascii_digit()).to_owned();
        let is_slip = self.0.len().min(other.0.len()) >= SHORTEST_SLIP
            && letters(self) != letters(other)
            && strsim::damerau_levenshtein(&self.0, &other.0) == 1;
        is_slip || self.outline() == other.outline()
    }

    /// Returns the id with look-alike characters replaced by one of them, for comparison.
    fn outline(&self) -> String {
        let outline: String = self
            .0
            .chars()
            .filter_map(|one| match one {
                '_' | '-' => None,
                '0' => Some('o'),
                '1' | 'i' => Some('l'),
                '5' => Some('s'),
                '2' => Some('z'),
                '8' => Some('b'),
                other => Some(other),
            })
            .collect();
        outline.replace("rn", "m").replace("vv", "w").replace("cl", "d")
    }
}

impl FromStr for PluginId {
    type Err = PluginIdError;

    fn from_str(id: &str) -> Result<Self, PluginIdError> {
        // The length is checked first, so that no error repeats a megabyte of input.
        if id.len() > Self::MAX_LEN {
            return Err(PluginIdError::TooLong(id.len()));
        }
        let Some(first) = id.chars().next() else { return Err(PluginIdError::Empty) };
        if let Some(found) = id.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) {
            return Err(PluginIdError::Character { id: id.to_owned(), found });
        }
        if !first.is_ascii_alphanumeric() {
            return Err(PluginIdError::Start(id.to_owned()));
        }
        if RESERVED.contains(&id) {
            return Err(PluginIdError::Reserved(id.to_owned()));
        }
        Ok(Self(id.into()))
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for PluginId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for PluginId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for PluginId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PluginId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The SHA-256 of a file's bytes, written as `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// The error for a text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text does not begin with `sha256:`.
    #[error("a digest begins with `sha256:`; `parlor plugin inspect FILE` prints it")]
    Algorithm,
    /// The digest does not have 64 digits. Holds the number of digits found.
    #[error("a digest has 64 digits after `sha256:`, this one has {0}; `parlor plugin inspect FILE` prints it")]
    Length(usize),
    /// The digest has a character that is not a lower-case hexadecimal digit.
    #[error("{0:?} is not a digit of a digest; only 0-9 and lower-case a-f are")]
    Character(char),
}

impl Digest {
    const PREFIX: &str = "sha256:";

    /// Returns the digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 digits without the algorithm's name, for use in a file name.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Returns the first 12 digits, which are enough for a reader to tell two digests apart.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(DigestError::Algorithm)?;
        if let Some(found) = digits.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(DigestError::Character(found));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| DigestError::Length(digits.len()))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Identifies one run of a plugin on one account. An id is never reused within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u64);

impl InstanceId {
    /// Returns a new id.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> Result<PluginId, PluginIdError> {
        text.parse()
    }

    #[test]
    fn ids_that_look_alike_are_seen() {
        let alike = |one: &str, other: &str| id(one).unwrap().looks_like(&id(other).unwrap());
        for (one, other) in [
            ("echo", "ech0"),
            ("bill", "bi11"),
            ("modern", "modem"),
            ("my-bot", "my_bot"),
            ("a-b", "ab"),
            ("echo", "ehco"),
            ("echo", "eco"),
        ] {
            assert!(alike(one, other) && alike(other, one), "{one} {other}");
        }
        assert!(!alike("echo", "echo") && !alike("echo", "greeter") && !alike("bot1", "bot2") && !alike("a", "b"));
    }

    #[test]
    fn plain_names_are_ids() {
        for name in ["echo", "e", "0", "greeter-2", "room_log", &"a".repeat(64)] {
            assert_eq!(id(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn paths_capitals_twins_and_flags_are_refused() {
        for name in
            ["../x", "a/b", "a\\b", ".", "..", "a.b", "Echo", "еcho", "ｅcho", "echo\0", "echo\n", " echo", "e\u{301}"]
        {
            assert!(matches!(id(name), Err(PluginIdError::Character { .. })), "{name:?}");
        }
        assert_eq!(id(""), Err(PluginIdError::Empty));
        assert_eq!(id("-rf"), Err(PluginIdError::Start("-rf".into())));
        assert_eq!(id("_x"), Err(PluginIdError::Start("_x".into())));
        assert_eq!(id("host"), Err(PluginIdError::Reserved("host".into())));
        assert_eq!(id("parlor"), Err(PluginIdError::Reserved("parlor".into())));
        assert_eq!(id(&"a".repeat(65)), Err(PluginIdError::TooLong(65)));
    }

    #[test]
    fn an_error_names_the_lower_case_form_and_shows_control_characters_harmlessly() {
        assert!(id("Echo").unwrap_err().to_string().ends_with("; write `echo`"));
        assert!(!id("a\x1b[31m").unwrap_err().to_string().contains('\x1b'));
    }

    #[test]
    fn a_digest_is_what_sha256sum_prints() {
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Digest::of(b"abc")));
        assert_eq!(Digest::of(b"abc").short(), "ba7816bf8f01");
        assert_eq!(serde_json::from_str::<Digest>(&format!("\"{text}\"")).unwrap(), Digest::of(b"abc"));
    }

    #[test]
    fn a_digest_is_strict() {
        let good = Digest::of(b"").to_string();
        assert_eq!(good.to_uppercase().parse::<Digest>(), Err(DigestError::Algorithm));
        assert_eq!(good[7..].parse::<Digest>(), Err(DigestError::Algorithm));
        assert_eq!(good[..70].parse::<Digest>(), Err(DigestError::Length(63)));
        assert_eq!(format!("{good}0").parse::<Digest>(), Err(DigestError::Length(65)));
        assert_eq!(format!("{} ", &good[..70]).parse::<Digest>(), Err(DigestError::Character(' ')));
        assert_eq!(format!("{}A", &good[..70]).parse::<Digest>(), Err(DigestError::Character('A')));
    }

    proptest! {
        #[test]
        fn whatever_is_an_id_is_safe_everywhere(text in "\\PC{0,70}") {
            if let Ok(id) = id(&text) {
                prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'));
                prop_assert!((1..=64).contains(&id.as_str().len()));
            }
        }

        #[test]
        fn ids_and_digests_survive_writing_and_reading(text in "[a-z0-9][a-z0-9_-]{0,63}", bytes: Vec<u8>) {
            if let Ok(id) = id(&text) {
                prop_assert_eq!(id.to_string().parse(), Ok(id));
            }
            let digest = Digest::of(&bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
