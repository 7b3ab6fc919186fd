//! How a request to a webhook ends.

use parlor_store::Accepted;

use super::storing::Unmade;
use crate::instance::WebhookAnswer;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is stored, and will be delivered to the plugin.
    Stored,
    /// It may be received only once, and was received before.
    Again,
    /// There is no space for it, or the plugin does not run.
    Busy,
    /// The plugin's answer.
    Answer(WebhookAnswer),
    /// The plugin did not answer: the status says why.
    NoAnswer(u16),
    /// The host cannot store it, or not in time.
    Failed,
}

/// Returns the reply to a request that was not stored.
pub(super) fn refused(accepted: &Result<Accepted, Unmade>) -> Reply {
    match accepted {
        Ok(Accepted::Again) => Reply::Again,
        Ok(Accepted::Full | Accepted::As(_)) => Reply::Busy,
        Err(_) => Reply::Failed,
    }
}
