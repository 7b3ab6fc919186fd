//! What plugins store, and changes of it.

use serde::{Deserialize, Serialize};

/// A page of the entries that a plugin stores on an account, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPage {
    /// The account.
    pub account: String,
    /// The entries. The page may be empty although others follow.
    pub entries: Vec<DataHead>,
    /// The key after which the next page begins; none if nothing follows.
    pub next: Option<String>,
}

/// An entry without most of its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHead {
    /// The key of the entry, as the plugin wrote it.
    pub key: String,
    /// The length of its value, in bytes.
    pub size: u64,
    /// The first bytes of its value, in hexadecimal digits.
    pub begins: String,
    /// When the entry expires, in milliseconds of the Unix clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

/// An entry of a plugin that is shown or imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataEntry {
    /// The key of the entry.
    pub key: String,
    /// The bytes of its value, in hexadecimal digits.
    pub hex: String,
    /// When the entry expires, in milliseconds of the Unix clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

/// The result of such a change on an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataChange {
    /// The account.
    pub account: String,
    /// The node of a cluster that has that account; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The number of entries that were imported; of a removal, 1 if there was anything to remove, and 0 otherwise.
    pub entries: usize,
}
