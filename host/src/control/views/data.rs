//! Changes of what plugins stored.

use serde::{Deserialize, Serialize};

/// An entry of a plugin that is imported.
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
