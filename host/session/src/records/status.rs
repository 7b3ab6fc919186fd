//! The status of the own account.

use std::fmt;
use std::str::FromStr;

use parlor_config::Settings;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Show;

/// The own status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The value of the status.
    pub value: StatusValue,
    /// The text; may be empty.
    pub message: String,
}

impl Status {
    /// Returns the status of an account whose session has not begun.
    pub(crate) fn initial(settings: &Settings) -> Self {
        let value = settings.default_state.parse().unwrap_or(StatusValue::Online);
        Self { value, message: settings.default_status_message.clone().unwrap_or_default() }
    }
}

/// The value of the own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the API's own")]
pub enum StatusValue {
    Online,
    Chat,
    Away,
    Dnd,
    Xa,
    Offline,
    Unavailable,
}

impl StatusValue {
    /// Returns the value as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Chat => "chat",
            Self::Away => "away",
            Self::Dnd => "dnd",
            Self::Xa => "xa",
            Self::Offline => "offline",
            Self::Unavailable => "unavailable",
        }
    }

    /// Returns whether the account is hidden from everyone, although its stream stays.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Offline | Self::Unavailable)
    }

    pub(crate) fn show(self) -> Option<Show> {
        match self {
            Self::Chat => Some(Show::Chat),
            Self::Away => Some(Show::Away),
            Self::Dnd => Some(Show::Dnd),
            Self::Xa => Some(Show::Xa),
            Self::Online | Self::Offline | Self::Unavailable => None,
        }
    }
}

impl fmt::Display for StatusValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StatusValue {
    type Err = CallError;

    fn from_str(value: &str) -> Result<Self, CallError> {
        [Self::Online, Self::Chat, Self::Away, Self::Dnd, Self::Xa, Self::Offline, Self::Unavailable]
            .into_iter()
            .find(|status| status.as_str() == value)
            .ok_or_else(|| {
                let reason = "is none of online, chat, away, dnd, xa, offline and unavailable";
                CallError::invalid("value", format!("{value:.32} {reason}"))
            })
    }
}
