//! A request of another plugin.

use parlor_base::id::PluginId;

/// A request of another plugin on the same account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct PluginRequest {
    pub id: String,
    pub plugin: PluginId,
    pub name: String,
    pub value: String,
}

impl PluginRequest {
    /// Returns about how many bytes of memory its texts take.
    pub fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }
}
