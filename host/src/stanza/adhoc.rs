//! Ad-hoc commands (XEP-0050), as far as an account offers any: one step, or one choice and one step.

use std::collections::BTreeMap;

use jid::Jid;

/// The namespace, the node with the list, and the feature.
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// What somebody gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHoc {
    /// Which command.
    pub node: String,
    /// Which one that has begun; none: a new one.
    pub session: Option<String>,
    /// What to do with it.
    pub action: AdHocAction,
    /// What was filled in, by field; the first value of each.
    pub values: BTreeMap<String, String>,
}

/// What to do with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdHocAction {
    /// Go on.
    Go,
    /// It is not to be done after all.
    Cancel,
    /// Go back, which no command here can.
    Back,
    /// What is no action.
    Unknown,
}

/// What somebody gives, and who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHocRequest {
    /// Who.
    pub from: Jid,
    /// The id of the IQ.
    pub id: String,
    /// What.
    pub command: AdHoc,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHocAnswer {
    /// To which command.
    pub node: String,
    /// Which of those that have begun.
    pub session: String,
    /// How far it is.
    pub stage: AdHocStage,
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdHocStage {
    /// A plugin has to be chosen first.
    Choose {
        /// What for.
        title: String,
        /// The field that the choice goes into.
        field: &'static str,
        /// The choices.
        options: Vec<String>,
    },
    /// It is done, or failed.
    Done {
        /// What came of it, line by line.
        lines: Vec<String>,
        /// It failed.
        failed: bool,
    },
    /// It was not done.
    Cancelled,
}

/// Why a command is refused as such (XEP-0050, section 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdHocRefusal {
    /// There is none like that.
    Unknown,
    /// It cannot do that.
    BadAction,
    /// That is no action.
    MalformedAction,
    /// None that began so is this sender's.
    BadSession,
    /// It began too long ago.
    SessionExpired,
}
