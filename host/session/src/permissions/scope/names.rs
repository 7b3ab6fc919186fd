//! The namespaces or plugins that one entry of a scope covers: one, or all.

use std::fmt;

use parlor_base::id::PluginId;
use parlor_stanza::raw::is_one_line;

use super::error::BadScope;
use crate::permissions::namespaces::{LONGEST_NAMESPACE, reserved};

/// An entry of a scope of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NamePattern {
    /// Every name.
    All,
    /// This one.
    One(Box<str>),
}

impl NamePattern {
    /// Parses an XML namespace. A namespace that the host reserves is refused.
    pub(super) fn parse_namespace(entry: &str) -> Result<Self, BadScope> {
        let bad = |reason: String| BadScope::NoNamespace { entry: entry.chars().take(128).collect(), reason };
        if entry == "*" {
            return Ok(Self::All);
        }
        if entry.is_empty() || entry.len() > LONGEST_NAMESPACE {
            return Err(bad(format!("it has 1 to {LONGEST_NAMESPACE} bytes")));
        }
        if !is_one_line(entry) || entry.contains([' ', '<', '*']) {
            return Err(bad("it has no spaces, stars, < or control characters".to_owned()));
        }
        match reserved(entry) {
            Some(why) => Err(bad(format!("{why}; no plugin may have it"))),
            None => Ok(Self::One(entry.into())),
        }
    }

    /// Parses the id of a plugin.
    pub(super) fn parse_plugin(entry: &str) -> Result<Self, BadScope> {
        if entry == "*" {
            return Ok(Self::All);
        }
        let bad = |reason: String| BadScope::NoPlugin { entry: entry.chars().take(128).collect(), reason };
        let id = entry.parse::<PluginId>().map_err(|error| bad(error.to_string()))?;
        Ok(Self::One(id.as_str().into()))
    }

    /// Returns whether it covers this name.
    pub(super) fn covers(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => **one == *name,
        }
    }

    /// Returns whether it covers everything that the other one covers.
    pub(super) fn includes(&self, other: &Self) -> bool {
        *self == Self::All || self == other
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "*",
            Self::One(one) => one,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_namespace_that_the_host_does_not_keep_for_itself() {
        let weather = NamePattern::parse_namespace("urn:example:weather").unwrap();
        assert!(weather.covers("urn:example:weather") && !weather.covers("urn:example:weather2"));
        let all = NamePattern::parse_namespace("*").unwrap();
        assert!(all.includes(&weather) && !weather.includes(&all) && all.covers("urn:x"));
        let error = NamePattern::parse_namespace("urn:xmpp:ping").unwrap_err().to_string();
        assert!(error.contains("urn:xmpp:ping") && error.contains("the host answers its requests itself"), "{error}");
        for entry in ["", "a b", "urn:*", "urn:x\n", &"x".repeat(257), "jabber:iq:roster"] {
            assert!(NamePattern::parse_namespace(entry).is_err(), "{entry:?}");
        }
    }
    #[test]
    fn an_entry_is_the_id_of_a_plugin() {
        let dice = NamePattern::parse_plugin("dice").unwrap();
        assert!(dice.covers("dice") && !dice.covers("dice2"));
        assert_eq!(NamePattern::parse_plugin("*"), Ok(NamePattern::All));
        for entry in ["", "Dice", "a b", "*dice", "a.b"] {
            assert!(NamePattern::parse_plugin(entry).is_err(), "{entry:?}");
        }
    }
}
