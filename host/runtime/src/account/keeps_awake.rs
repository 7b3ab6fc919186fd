//! The reasons that keep an account from falling asleep, all in one list.

use parlor_base::id::PluginId;
use parlor_session::Unfinished;

/// A reason that keeps an account from falling asleep, in a clause for its owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepsAwake {
    /// It is not connected, somebody knows that it is available, or a stanza came or left not long enough ago.
    #[error("it is not connected, it is in a room or was shown to somebody, or a stanza came or left not long ago")]
    Stanza,
    /// An owner has named it in a command not long enough ago.
    #[error("a command of an owner was about it not long ago")]
    Owner,
    /// The session has something to do.
    #[error("{0}")]
    Session(Unfinished),
    /// Stanzas or keys wait to be sent or written.
    #[error("something waits to be sent or written")]
    Unsent,
    /// A plugin needs it.
    #[error("the plugin {0} {1}")]
    Plugin(PluginId, PluginNeeds),
}

/// Why a plugin needs its account to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PluginNeeds {
    /// It has ended for good, and waits for its owner: if the account fell asleep, nobody would see that, and the plugin would fail
    /// again at each wake.
    #[error("runs no more, since it has failed or refused: see `parlor status`")]
    Owner,
    /// It is not parked, or was parked not long enough ago.
    #[error("is not parked, or ran not long ago")]
    Run,
    /// It has set a timer.
    #[error("has a timer")]
    Timer,
    /// It has a schedule.
    #[error("has a schedule")]
    Schedule,
    /// It has a webhook.
    #[error("has a webhook")]
    Webhook,
    /// It has added a promise, which others may have seen resolved.
    #[error("has a promise")]
    Promise,
}
