//! How a request to a webhook ends.

use parlor_store::Accepted;

use super::storing::Unmade;
use crate::instance::WebhookAnswer;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is stored, and will be delivered to the plugin.
    Stored,
    /// It was stored before, and is not stored again: its sender did not hear that it was.
    Repeated,
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

/// Returns the reply to a request for the queue. One that came before is delivered once, and its sender hears what the first one
/// should have heard: most services count an error as a failed delivery, and some give the address up after several.
pub(super) fn queued(accepted: &Result<Accepted, Unmade>) -> Reply {
    match accepted {
        Ok(Accepted::As(_)) => Reply::Stored,
        Ok(Accepted::Again) => Reply::Repeated,
        other => refused(other),
    }
}

/// Returns the reply to a request that was not stored.
pub(super) fn refused(accepted: &Result<Accepted, Unmade>) -> Reply {
    match accepted {
        Ok(Accepted::Again) => Reply::Again,
        Ok(Accepted::Full | Accepted::As(_)) => Reply::Busy,
        Err(_) => Reply::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_the_queue_that_came_before_is_told_so_and_not_refused() {
        assert_eq!(queued(&Ok(Accepted::As(1))), Reply::Stored);
        assert_eq!(queued(&Ok(Accepted::Again)), Reply::Repeated);
        assert_eq!(queued(&Ok(Accepted::Full)), Reply::Busy);
        assert_eq!(queued(&Err(Unmade::Late)), Reply::Failed);
        // The answer of a plugin is not stored: nobody could be given it again.
        assert_eq!(refused(&Ok(Accepted::Again)), Reply::Again);
    }
}
