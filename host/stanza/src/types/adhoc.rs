//! Ad-hoc commands (XEP-0050), as an account offers them: one step, or a form of one or several pages.

use std::collections::BTreeMap;

use jid::Jid;

/// The namespace, the node of the list, and the feature.
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// The maximum length of a value that someone fills in, in bytes.
pub const LONGEST_VALUE: usize = 4_096;

/// A command that someone sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHoc {
    /// The node of the command.
    pub node: String,
    /// The session that it continues. None: a new one.
    pub session: Option<String>,
    /// The action to take.
    pub action: AdHocAction,
    /// Whether a form came with it. Without one, nothing was filled in.
    pub has_form: bool,
    /// The submitted values by field.
    pub values: BTreeMap<String, String>,
    /// The fields whose values were refused. They are not in `values`.
    pub refused: BTreeMap<String, RefusedValue>,
}

/// Why the value of a field is refused. Otherwise the field would count as left out, or only a part of it would count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedValue {
    /// It is longer than [`LONGEST_VALUE`].
    TooLong,
    /// There is more than one.
    Several,
}

/// The action of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdHocAction {
    /// Execute, or continue by the default action of the page.
    Go,
    /// Go on to the page behind this one.
    Next,
    /// Execute what is filled in so far, on the last page.
    Complete,
    /// Cancel the command.
    Cancel,
    /// Go back to the page before.
    Back,
    /// An invalid action.
    Unknown,
}

/// A command with its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHocRequest {
    /// The sender of the command.
    pub from: Jid,
    /// The id of the IQ.
    pub id: String,
    /// The command itself.
    pub command: AdHoc,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHocAnswer {
    /// The node of the command.
    pub node: String,
    /// The session that it belongs to.
    pub session: String,
    /// The stage of the command.
    pub stage: AdHocStage,
}

/// The stage of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdHocStage {
    /// A plugin or a key must be chosen first.
    Choose {
        /// The title of the form.
        title: String,
        /// The field for the choice.
        field: &'static str,
        /// The label of that field.
        label: &'static str,
        /// The choices.
        options: Vec<String>,
    },
    /// A form must be filled in first.
    Fill {
        /// The title of the form.
        title: String,
        /// The fields of the form.
        fields: Vec<AdHocField>,
        /// The problem with the submitted form, if one was submitted.
        wrong: Option<String>,
        /// The number of the form's page.
        step: FormStep,
    },
    /// It is being carried out, and the person may ask again.
    AtWork {
        /// The text for the person in the meantime.
        note: String,
    },
    /// It is completed, or failed.
    Done {
        /// The result, line by line.
        lines: Vec<String>,
        /// Whether it failed.
        failed: bool,
    },
    /// It was cancelled.
    Cancelled,
}

/// The place of a page among those of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormStep {
    /// Its number, from 1.
    pub number: usize,
    /// The number of pages.
    pub of: usize,
}

impl FormStep {
    /// Returns whether there is a page before it.
    pub fn has_previous(self) -> bool {
        self.number > 1
    }

    /// Returns whether there is a page after it.
    pub fn has_next(self) -> bool {
        self.number < self.of
    }
}

/// A field of a form (XEP-0004, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHocField {
    /// Its name.
    pub var: String,
    /// Its type, such as `text-single`.
    pub kind: &'static str,
    /// Its label.
    pub label: String,
    /// Its description.
    pub about: String,
    /// Whether it is required.
    pub required: bool,
    /// Its initial value.
    pub value: Option<String>,
    /// The choices.
    pub options: Vec<String>,
}

/// The reason for refusing a command (XEP-0050, section 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdHocRefusal {
    /// The command does not exist.
    Unknown,
    /// The command does not support this action.
    BadAction,
    /// The action is invalid.
    MalformedAction,
    /// The sender has no such session.
    BadSession,
    /// The session began too long ago.
    SessionExpired,
}
