//! Names of accounts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The name that the owner gives to an account. Letters, digits, `-` and `_`, so that it can name files and variables.
/// Clones share the text, since each plugin on the account has one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// A text that cannot name an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name an account: write 1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit{hint}", hint = address(.0))]
pub struct BadAccountName(String);

/// Returns what helps somebody who writes an address in place of a name.
fn address(text: &str) -> &'static str {
    if text.contains('@') {
        "; this is an address, and `parlor account list` shows the name of its account"
    } else {
        ""
    }
}

impl AccountName {
    /// The most bytes in a name.
    pub const LONGEST: usize = 32;
    /// The separator in the name of an account that the host makes because somebody wrote to its address.
    pub const OF_NEW_ADDRESS: &str = "--";

    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it has the form of the name of an account that strangers make, by writing to an address of a component.
    pub fn is_of_new_address(&self) -> bool {
        self.0.contains(Self::OF_NEW_ADDRESS)
    }

    /// Returns the environment variable that may hold the password of an account without a configured source.
    pub fn password_variable(&self) -> String {
        format!("PARLOR_PASSWORD_{}", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

impl FromStr for AccountName {
    type Err = BadAccountName;

    fn from_str(name: &str) -> Result<Self, BadAccountName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = name.len() <= Self::LONGEST
            && name.bytes().next().is_some_and(plain)
            && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'));
        if fits { Ok(Self(name.into())) } else { Err(BadAccountName(name.chars().take(64).collect())) }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for AccountName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for AccountName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AccountName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
