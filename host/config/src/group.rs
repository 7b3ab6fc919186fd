//! How owners name several accounts by one word: groups, and patterns of names.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::name::{AccountName, BadAccountName};

/// The word before the name of a group, where an account could stand as well.
const GROUP: &str = "group:";

/// The name of a group of accounts. It is written like the name of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(AccountName);

/// A text that cannot name a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a group: write 1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit")]
pub struct BadGroupName(String);

impl GroupName {
    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for GroupName {
    type Err = BadGroupName;

    fn from_str(name: &str) -> Result<Self, BadGroupName> {
        name.parse().map(Self).map_err(|_: BadAccountName| BadGroupName(name.chars().take(64).collect()))
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A pattern of names of accounts, in which `*` stands for any text: `support-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern of names: write 1 to 64 of a-z, 0-9, -, _ and *, such as \"support-*\"")]
pub struct BadPattern(String);

impl Pattern {
    /// The most bytes in a pattern.
    pub const LONGEST: usize = 64;

    /// Returns whether it describes this name.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    /// Returns whether it describes the name of this account. Strangers choose a part of some names: these are meant only by a
    /// pattern that has their form.
    fn selects(&self, account: &AccountName) -> bool {
        (!account.is_of_new_address() || self.means_new_addresses()) && self.matches(account.as_str())
    }

    /// Returns whether it may mean accounts that strangers make by writing to addresses of a component: it says so with the `--` of
    /// their names, or describes every name.
    pub fn means_new_addresses(&self) -> bool {
        self.0.contains(AccountName::OF_NEW_ADDRESS) || self.0.bytes().all(|byte| byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'*');
        let is_pattern = !text.is_empty() && text.len() <= Self::LONGEST && text.bytes().all(fits);
        if is_pattern { Ok(Self(text.to_owned())) } else { Err(BadPattern(text.chars().take(64).collect())) }
    }
}

/// A text by which an owner names accounts: one, a group, or a pattern of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The account of this name.
    Account(AccountName),
    /// The accounts of this group, also those that are added to it later.
    Group(GroupName),
    /// The accounts whose names it describes, also those that are added later.
    Pattern(Pattern),
}

/// A text that names no accounts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSelector {
    /// It would be the name of an account.
    #[error(transparent)]
    Account(#[from] BadAccountName),
    /// It begins like a group.
    #[error(transparent)]
    Group(#[from] BadGroupName),
    /// It has a `*`.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

impl Selector {
    /// Returns whether it names this account, which is in this group.
    pub fn covers(&self, account: &AccountName, group: Option<&GroupName>) -> bool {
        match self {
            Self::Account(name) => name == account,
            Self::Group(name) => group == Some(name),
            Self::Pattern(pattern) => pattern.selects(account),
        }
    }

    /// Returns what it names, for a sentence: `account main`, `group support`.
    pub fn described(&self) -> String {
        match self {
            Self::Account(name) => format!("account {name}"),
            Self::Group(name) => format!("group {name}"),
            Self::Pattern(Pattern(pattern)) => format!("account like {pattern}"),
        }
    }

    /// Returns whether it also names accounts that are added later.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Account(_))
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    fn from_str(text: &str) -> Result<Self, BadSelector> {
        Ok(match text.strip_prefix(GROUP) {
            Some(group) => Self::Group(group.parse()?),
            None if text.contains('*') => Self::Pattern(text.parse()?),
            None => Self::Account(text.parse()?),
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => name.fmt(f),
            Self::Group(name) => write!(f, "{GROUP}{name}"),
            Self::Pattern(Pattern(pattern)) => f.write_str(pattern),
        }
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<AccountName> for Selector {
    fn from(name: AccountName) -> Self {
        Self::Account(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_describes_names_as_in_shells() {
        for (text, name, is_meant) in [
            ("support-*", "support-1", true),
            ("support-*", "support-", true),
            ("support-*", "support", false),
            ("*-de", "shop-de", true),
            ("*-de", "shop-de-2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "main", true),
            ("**", "main", true),
            ("main", "main", true),
            ("main", "main2", false),
        ] {
            assert_eq!(pattern(text).matches(name), is_meant, "{text} {name}");
        }
        for wrong in ["", "Main*", "a b*", "ä*", "group:*", &"*".repeat(65)] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_selector_is_an_account_a_group_or_a_pattern() {
        let (name, group) = ("support-1".parse().unwrap(), "support".parse().unwrap());
        for (text, is_meant, is_open) in [
            ("support-1", true, false),
            ("support-2", false, false),
            ("group:support", true, true),
            ("group:shop", false, true),
            ("support-*", true, true),
            ("shop-*", false, true),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.to_string(), text);
            assert_eq!((selector.covers(&name, Some(&group)), selector.is_open()), (is_meant, is_open), "{text}");
        }
        assert!(!"group:support".parse::<Selector>().unwrap().covers(&name, None));
        for wrong in ["", "group:", "group:*", "group:a b", "Main", "a:b", "Support-*"] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_pattern_selects_an_account_that_a_stranger_made_unless_it_says_so() {
        for (text, name, is_meant) in [
            ("team-admin-*", "team--admin-x", false),
            ("team-*", "team--admin-x", false),
            ("team*", "team--admin-x", false),
            ("*admin*", "team--admin-x", false),
            ("shop-a-*", "shop--a-x", false),
            ("shop-a*", "shop--a7c1", false),
            ("shop-*-x", "shop--x", false),
            ("team--*", "team--admin-x", true),
            ("shop--*", "team--admin-x", false),
            ("*", "team--admin-x", true),
            // Names that an owner gave.
            ("team-admin-*", "team-admin-x", true),
            ("team*", "team-admin-x", true),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.covers(&name.parse().unwrap(), None), is_meant, "{text} {name}");
        }
    }

    proptest! {
        /// Compares with a matcher that tries everything.
        #[test]
        fn a_pattern_means_what_trying_everything_means(text in "[ab*]{1,8}", name in "[ab]{0,8}") {
            fn tries(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern, name) {
                    ([], []) => true,
                    ([b'*', more @ ..], _) => (0..=name.len()).any(|at| tries(more, &name[at..])),
                    ([one, more @ ..], [first, rest @ ..]) => one == first && tries(more, rest),
                    _ => false,
                }
            }
            prop_assert_eq!(pattern(&text).matches(&name), tries(text.as_bytes(), name.as_bytes()));
        }
    }
}
