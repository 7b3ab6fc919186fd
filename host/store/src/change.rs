//! A change of the data of a plugin.

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
