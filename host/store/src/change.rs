//! Changes of the data of a plugin.

use jid::BareJid;
use parlor_base::id::PluginId;

/// The owner of data: a plugin on an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The account that the plugin runs on.
    pub account: BareJid,
    /// The plugin that stores the data.
    pub plugin: PluginId,
}

/// An entry as `parlor plugin data` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredValue {
    /// The key of the entry.
    pub key: String,
    /// The value of the entry.
    pub value: Vec<u8>,
    /// When the entry expires, in milliseconds since the Unix epoch.
    pub expires: Option<i64>,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key that changes.
    pub key: String,
    /// The new value; `None` deletes the key.
    pub value: Option<Vec<u8>>,
    /// When the entry expires, in milliseconds since the Unix epoch.
    pub expires: Option<i64>,
    /// The condition for the change.
    pub only: Only,
}

/// The condition under which a change is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Only {
    /// The change is always made.
    Always,
    /// The change is made if this is the present value; `None` means that there is no value.
    If(Option<Vec<u8>>),
}

/// The outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The change was made, and the key existed before.
    Replaced,
    /// The change was made, and the key did not exist before.
    Fresh,
    /// The change was not made, since the present value differs from the expected one.
    Otherwise,
    /// The change was not made, since it would exceed the quota.
    TooMuch,
}

/// A change that is one of several made together. Each key is changed once at most, and expected once at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A value replaces the present one.
    Set {
        /// The key that changes.
        key: String,
        /// The new value.
        value: Vec<u8>,
        /// When the entry expires, in milliseconds since the Unix epoch.
        expires: Option<i64>,
    },
    /// A number is added to the present one.
    Add(Addition),
    /// The key is deleted, if it exists.
    Delete(String),
    /// Nothing changes. All changes are made only if the key has this value; `None` means that there is no value.
    Expect {
        /// The key.
        key: String,
        /// The value that it must have.
        value: Option<Vec<u8>>,
    },
}

impl Step {
    /// Returns its key.
    pub fn key(&self) -> &str {
        match self {
            Self::Set { key, .. } | Self::Expect { key, .. } | Self::Delete(key) => key,
            Self::Add(addition) => &addition.key,
        }
    }

    /// Returns the bytes of its key and value.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Set { key, value, .. } => key.len() + value.len(),
            Self::Add(addition) => addition.key.len(),
            Self::Delete(key) => key.len(),
            Self::Expect { key, value } => key.len() + value.as_ref().map_or(0, Vec::len),
        }
    }
}

/// An addition to a number, which is stored in decimal digits. A key that does not exist counts as 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The key of the number.
    pub key: String,
    /// The number that is added.
    pub amount: i64,
    /// When the entry expires, in milliseconds since the Unix epoch; `None` keeps the present expiry.
    pub expires: Option<i64>,
}

/// The outcome of several changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// All changes were made. These are the sums of the additions, in their order.
    Made(Vec<i64>),
    /// No change was made, since a value differs from the expected one.
    Otherwise,
    /// No change was made, since together they would exceed the quota.
    TooMuch,
    /// No change was made, since the present value of this key is not a number.
    NoNumber(String),
    /// No change was made, since the sum under this key does not fit into 64 bits.
    NoSum(String),
}
