//! Pending requests to a room.

use parlor_stanza::error::CallError;
use parlor_stanza::types::Affiliated;

use crate::answer::Answer;
use crate::effect::Effect;

/// The value of a field of a room's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigValue {
    /// A boolean.
    Flag(bool),
    /// A single value.
    Text(String),
    /// Several values.
    Texts(Vec<String>),
}

/// Fields with the names that a plugin used.
pub(crate) type Wanted = Vec<(String, ConfigValue)>;

/// Returns how many bytes of memory the fields take.
pub(crate) fn weight_of_fields(fields: &[(String, ConfigValue)]) -> usize {
    let one = |value: &ConfigValue| match value {
        ConfigValue::Flag(_) => 0,
        ConfigValue::Text(text) => text.len(),
        ConfigValue::Texts(texts) => texts.iter().map(|text| size_of::<String>() + text.len()).sum(),
    };
    fields.iter().map(|(name, value)| size_of_val(value) + name.len() + one(value)).sum()
}

/// A retraction that a plugin wants of a room.
#[derive(Debug)]
pub(crate) struct WantedRetraction {
    /// The number that the room gave the message.
    pub(crate) id: String,
    /// The reason to state.
    pub(crate) reason: Option<String>,
}

/// A registration with a room that a plugin wants.
#[derive(Debug)]
pub(crate) struct WantedRegistration {
    /// The nickname to reserve.
    pub(crate) nick: String,
    /// Further fields of the form.
    pub(crate) fields: Wanted,
}

/// The purpose of a pending request to a room.
#[derive(Debug)]
pub(crate) enum RoomIq {
    /// Ask whether we are in it.
    WhetherInside,
    /// Get the configuration form of a room that we created, with the wanted values.
    NewForm(Wanted),
    /// Submit the configuration of a room that we created.
    ConfiguredNew,
    /// Cancel a room that we created.
    GivenUp,
    /// Get the configuration form, with the values that a plugin wants.
    Form(Wanted, Answer<()>),
    /// Do something for a plugin.
    Done(Answer<()>),
    /// Get the features, to retract a message in the form that the room knows.
    BeforeRetraction(WantedRetraction, Answer<()>),
    /// Get the form by which an account registers, with the values that a plugin wants.
    Registration(WantedRegistration, Answer<()>),
    /// Get the reserved nickname.
    ReservedNick(Answer<Option<String>>),
    /// List the people with an affiliation.
    Affiliations(Answer<Vec<Affiliated>>),
    /// Set its subject. This is not an IQ, and an unchanged subject may get no answer. A refusal is an error message.
    Subject(Answer<()>),
    /// Any request after setting the subject under this id. The room answers in the order of the requests.
    AfterSubject(String),
}

impl RoomIq {
    /// Returns whether a plugin asked that has ended.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Form(_, answer)
            | Self::Done(answer)
            | Self::BeforeRetraction(_, answer)
            | Self::Registration(_, answer)
            | Self::Subject(answer) => answer.is_abandoned(),
            Self::ReservedNick(answer) => answer.is_abandoned(),
            Self::Affiliations(answer) => answer.is_abandoned(),
            Self::WhetherInside | Self::NewForm(_) | Self::ConfiguredNew | Self::GivenUp | Self::AfterSubject(_) => {
                false
            }
        }
    }

    /// Ends the request, because the stream is gone. The session's own requests are simply forgotten.
    pub(super) fn end(self, out: &mut Vec<Effect>) {
        match self {
            Self::Form(_, answer)
            | Self::Done(answer)
            | Self::BeforeRetraction(_, answer)
            | Self::Registration(_, answer)
            | Self::Subject(answer) => out.push(Effect::answer(answer, Err(CallError::Offline))),
            Self::ReservedNick(answer) => out.push(Effect::answer(answer, Err(CallError::Offline))),
            Self::Affiliations(answer) => out.push(Effect::answer(answer, Err(CallError::Offline))),
            Self::WhetherInside | Self::NewForm(_) | Self::ConfiguredNew | Self::GivenUp | Self::AfterSubject(_) => {}
        }
    }
}
