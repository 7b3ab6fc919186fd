//! The value of an argument of a chat command.

use jid::Jid;
use jiff::civil::{Date, Time};

/// The value of an argument of a chat command. Cases as in `value` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub enum CommandValue {
    Text(String),
    Integer(i64),
    /// It is finite.
    Number(f64),
    /// In milliseconds.
    Duration(u64),
    Date(Date),
    /// In whole seconds.
    Time(Time),
    Jid(Jid),
    Flag(bool),
}

impl CommandValue {
    /// Returns about how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let text = match self {
            Self::Text(text) => text.len(),
            Self::Jid(jid) => jid.as_str().len(),
            Self::Integer(_) | Self::Number(_) | Self::Duration(_) | Self::Date(_) | Self::Time(_) | Self::Flag(_) => 0,
        };
        size_of::<Self>() + text
    }
}
