//! The names of sessions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of a session, in bytes.
const LONGEST: usize = 32;

/// The name of a session, as the audit shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The error for a name that a session cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session's name is 1 to {LONGEST} letters (a to z), digits, -, _ and .")]
pub struct NameError;

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_name = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_plain);
        if is_name { Ok(Self(text.to_owned())) } else { Err(NameError) }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Name {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of a session whose link was sent to this JID: what stands before the @, as far as a name can have it.
    pub(crate) fn after(jid: &str) -> Self {
        let local = jid.split_once('@').map_or("", |(local, _)| local);
        let fitting = |one: char| u8::try_from(one).ok().filter(|byte| is_plain(*byte)).map_or('_', char::from);
        let name: String = local.chars().take(LONGEST).map(fitting).collect();
        if name.is_empty() { Self("owner".to_owned()) } else { Self(name) }
    }

    /// Returns the name with a number behind it, cut if it would be too long.
    pub(crate) fn numbered(&self, number: usize) -> Self {
        let end = format!("-{number}");
        let stem: String = self.0.chars().take(LONGEST - end.len()).collect();
        Self(stem + &end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_plain() {
        for wrong in ["", "a b", "a\n", "ä", &"x".repeat(33), "<b>"] {
            assert_eq!(wrong.parse::<Name>(), Err(NameError), "{wrong}");
        }
        assert_eq!("ann.laptop_2-x".parse::<Name>().unwrap().as_str(), "ann.laptop_2-x");
    }

    #[test]
    fn a_name_is_made_of_a_jid_and_may_have_a_number() {
        for (jid, name) in
            [("ann@example.org", "ann"), ("a+b@x", "a_b"), ("jürgen@x", "j_rgen"), ("x", "owner"), ("", "owner")]
        {
            assert_eq!(Name::after(jid).as_str(), name);
        }
        let long = Name::after(&format!("{}@x", "x".repeat(1_000)));
        assert_eq!(long.numbered(17).as_str(), format!("{}-17", "x".repeat(29)));
    }

    proptest! {
        #[test]
        fn any_jid_gives_a_valid_session_name(jid in "\\PC{0,60}@\\PC{0,9}") {
            for name in [Name::after(&jid), Name::after(&jid).numbered(66)] {
                prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
            }
        }
    }
}
