//! The settings of a plugin, and changes of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A setting of a plugin, with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginSetting {
    /// The name of the setting.
    pub name: String,
    /// The type of its value, such as `string` or `choice`.
    pub kind: String,
    /// The texts that a `choice` can be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The author's description of its purpose.
    pub description: String,
    /// Whether the plugin only runs once a value is given.
    pub required: bool,
    /// The value that applies if none is given.
    pub default: Option<Value>,
    /// The value that was given; never that of a secret, nor one that does not fit.
    pub value: Option<Value>,
    /// Whether a value was given.
    pub is_set: bool,
}

/// A setting to change, with the value that was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSetting {
    /// The name of the setting.
    pub name: String,
    /// The value that was shown; none if no value was given.
    pub shown: Option<Value>,
    /// The new value; none removes the one that was given.
    pub new: Option<Value>,
}
