//! The roles and affiliations of rooms, and the places of commands, as values: a slip does not compile. And the values that stand for records of rooms.

use std::fmt;
use std::str::FromStr;

use crate::bindings::parlor::plugin::rooms::{Attributes, ConfigValue};
use crate::error::{Error, Result};

macro_rules! places {
    ($(#[$docs:meta])* $name:ident, $argument:literal { $($(#[$case_docs:meta])* $case:ident = $text:literal,)+ }) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$case_docs])* $case,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$case),+];

            /// The text that the contract has for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let found = Self::ALL.iter().find(|one| one.as_str() == text);
                found.copied().ok_or_else(|| Error::invalid($argument, format!("{text:?} is none")))
            }
        }

        /// Records have it as a text: `occupant.role == Role::Moderator`.
        impl PartialEq<$name> for String {
            fn eq(&self, other: &$name) -> bool {
                self == other.as_str()
            }
        }
    };
}

places! {
    /// The role of an occupant, for as long as a visit lasts (XEP-0045, section 5.1).
    Role, "role" {
        /// It is not in the room; given to somebody, it kicks.
        None = "none",
        /// It may listen.
        Visitor = "visitor",
        /// It may speak.
        Participant = "participant",
        /// It may mute and kick others.
        Moderator = "moderator",
    }
}

places! {
    /// How a person belongs to a room, whether there or not (XEP-0045, section 5.2).
    Affiliation, "affiliation" {
        /// It has no affiliation.
        None = "none",
        /// It is banned.
        Outcast = "outcast",
        /// It may enter a room for members.
        Member = "member",
        /// It may ban others.
        Admin = "admin",
        /// It may do everything.
        Owner = "owner",
    }
}

places! {
    /// The only place in which people may give a command.
    Place, "place" {
        /// A room, where everybody there reads it.
        Room = "room",
        /// A chat, a form, or private messages through a room.
        Private = "private",
    }
}

/// A text alone is a nickname: `rooms::open("hall@rooms.example.org", "Romeo")`.
impl From<&str> for Attributes {
    fn from(nick: &str) -> Self {
        Self { nick: Some(nick.to_owned()), ..Self::default() }
    }
}

impl From<String> for Attributes {
    fn from(nick: String) -> Self {
        Self { nick: Some(nick), ..Self::default() }
    }
}

impl From<bool> for ConfigValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for ConfigValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ConfigValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for ConfigValue {
    fn from(number: u32) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<Vec<String>> for ConfigValue {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl<const N: usize> From<[&str; N]> for ConfigValue {
    fn from(texts: [&str; N]) -> Self {
        Self::Texts(texts.map(str::to_owned).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_from_its_text_and_compared_with_what_records_have() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(*role));
        }
        assert_eq!("outcast".parse(), Ok(Affiliation::Outcast));
        assert_eq!("Owner".parse::<Affiliation>(), Err(Error::invalid("affiliation", "\"Owner\" is none")));
        assert!("moderator".to_owned() == Role::Moderator && "visitor".to_owned() != Role::Moderator);
    }
}
