//! The messages and commands that wait for the verdict of a hook.

use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_stanza::types::Message;

/// A message or a command that waits for the verdict of a hook.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Hook {
    pub id: String,
    pub plugin: Option<PluginId>,
    pub args: Vec<String>,
    pub message: Arc<Message>,
}

impl Hook {
    /// Returns about how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.message.raw.weight() + self.args.iter().map(String::len).sum::<usize>()
    }
}
