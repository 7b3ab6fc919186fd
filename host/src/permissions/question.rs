//! Questions of an owner: may this plugin make that call, or hear that event, about this address?
//!
//! The answer is taken from a [`Judge`], which decides by [`Grants`] as the router and the calls do. Here is only how a question
//! is read and which decisions it needs; `answer` puts them into words.

mod answer;

use std::fmt;

use jid::{BareJid, Jid};
use serde::{Deserialize, Serialize};

use super::grants::{About, Decision, GrantError, Grants, Target, Wish};
use super::permission::Permission;
use super::scope::Scope;
use super::table::{self, Call, EventRule};
use crate::harmless::harmless;
use crate::nearest::{nearest, suggestion};

/// How much of an owner's own words an error repeats, in bytes.
const LONGEST: usize = 64;

/// What an owner asks about one plugin.
#[derive(Debug, Clone)]
pub struct Question {
    /// As it was asked.
    words: String,
    subject: Subject,
    /// The address that it is about; none: any.
    about: Option<Jid>,
}

#[derive(Debug, Clone)]
enum Subject {
    Call(&'static Call),
    Event(&'static EventRule),
    Permission(Permission),
    /// `stanza.send` for stanzas of this kind.
    Stanzas(&'static str),
    /// A permission for an entry that stands for more than one address, such as `*`, or for a quota.
    Entry(Permission, Scope),
    /// A permission for several entries, each of them a question.
    Entries(Permission, Vec<Question>),
}

/// Why something is no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// It names nothing.
    #[error("{what:?} is no call, event or permission{near}")]
    Unknown {
        /// The word.
        what: String,
        /// A suggestion, or nothing.
        near: String,
    },
    /// It names entries that the permission cannot be granted for.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// It names no address.
    #[error("{text:?} is no address ({reason}): write one such as \"juliet@example.org\"")]
    Address {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It names an address twice.
    #[error("name the address once: either behind the =, or by itself")]
    Twice,
}

/// The four answers to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Yes, whatever it is about.
    Yes,
    /// No.
    No,
    /// For some targets or arguments, and not for others.
    Partly,
    /// It depends on something that is not known here, such as the contact list.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Partly => "partly",
            Self::Unknown => "unknown",
        })
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes, no, or neither.
    pub outcome: Outcome,
    /// The permission that it needs.
    pub permission: Option<Permission>,
    /// Why: a clause that follows the outcome.
    pub reason: String,
    /// The permission that is lacking, and what it would have to cover for a yes; none: no grant would help.
    pub lacks: Option<(Permission, Wish)>,
}

impl Answer {
    /// The command or line that would allow it to the plugin of this id, where one would.
    pub fn remedy(&self, plugin: &str) -> Option<String> {
        let (permission, wish) = self.lacks.as_ref()?;
        wish.remedy(plugin, *permission).ok()
    }

    /// The same answer where a yes depends on something that is not so now: `when` says what, as a clause.
    #[must_use]
    pub fn only(self, when: &str) -> Self {
        if self.outcome == Outcome::No {
            return self;
        }
        let reason = format!("{when}: {}, {}", self.outcome, self.reason);
        Self { outcome: Outcome::Unknown, reason, ..self }
    }
}

/// One use of the grants, on which a [`Judge`] decides.
#[derive(Debug, Clone, Copy)]
pub enum Use<'a> {
    /// A call that needs this permission on this target.
    Call(Permission, Target<'a>),
    /// An event of this name that is about this.
    Event(&'a str, About<'a>),
}

/// How much of an event a plugin listens to, as far as its filters let it through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// It does not listen.
    Not,
    /// Its filters leave all out that the question is about. They are given in words.
    Elsewhere(String),
    /// Its filters let some of it through. They are given in words.
    Part(String),
    /// It listens to all of it.
    All,
}

/// A plugin's grants, and what else decides about them.
pub trait Judge {
    /// The decision about one use, as the plugin would meet it. None: it depends on the contact list, which is not known.
    fn decide(&self, one: Use<'_>) -> Option<Decision>;
    /// The scope of this permission, if it is granted.
    fn scope(&self, permission: Permission) -> Option<Scope>;
    /// Whether the plugin asks for this permission in its manifest.
    fn asks_for(&self, permission: Permission) -> bool;
    /// Whether this address counts as a contact, where that is known.
    fn is_contact(&self, jid: &BareJid) -> Option<bool>;
    /// Whether this is a room that is open, where that is known.
    fn is_room(&self, jid: &BareJid) -> Option<bool>;
    /// Whether the account is in this room, where that is known.
    fn is_inside(&self, room: &BareJid) -> Option<bool>;
    /// Whether this is known to be a room that is not open, by a bookmark or its service.
    fn is_closed_room(&self, _jid: &BareJid) -> bool {
        false
    }
    /// Whether the plugin added this contact itself, so that it does not count as one.
    fn added(&self, _jid: &BareJid) -> bool {
        false
    }
    /// The bare addresses of the account itself.
    fn own(&self) -> Vec<BareJid>;
    /// Whether an IQ to this address, which may change something (`is_set`), counts as one to the account itself.
    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool;
    /// How much of this event the plugin listens to, about this address or any, where that is known.
    fn listens(&self, event: &EventRule, about: Option<&Jid>) -> Option<Listening>;
}

impl Question {
    /// Reads a call, an event or a permission, such as `chats.send`, `message`, `messages.send` or `messages.send=*`, and the
    /// address that it is about.
    pub fn parse(what: &str, about: Option<&str>) -> Result<Self, BadQuestion> {
        let address = |text: &str| {
            Jid::new(text)
                .map_err(|error| BadQuestion::Address { text: harmless(text, LONGEST), reason: error.to_string() })
        };
        let about = about.map(address).transpose()?;
        let Some((name, entries)) = what.split_once('=') else {
            return Ok(Self { words: what.to_owned(), subject: subject(what)?, about });
        };
        let Ok(permission) = name.parse::<Permission>() else {
            subject(name)?;
            return Err(unknown(what));
        };
        let entries: Vec<_> = entries.split(',').map(str::trim).collect();
        // It can be asked about what can be granted.
        let mut grants = Grants::default();
        grants.grant(permission, &entries)?;
        if about.is_some() {
            return Err(BadQuestion::Twice);
        }
        let entries = grants.get(permission).map(Scope::entries).unwrap_or_default();
        let mut each = Vec::new();
        for entry in entries {
            let scope = Scope::parse(permission.scope_kind(), &[&entry])
                .map_err(|reason| GrantError::BadScope { permission, reason })?;
            each.push(Self::of_entry(format!("{permission}={entry}"), permission, scope));
        }
        match (each.pop(), each.is_empty()) {
            (Some(one), true) => Ok(Self { words: what.to_owned(), ..one }),
            (last, _) => {
                each.extend(last);
                Ok(Self { words: what.to_owned(), subject: Subject::Entries(permission, each), about: None })
            }
        }
    }

    /// Asks about one entry. One that is an address is asked about as the host would ask.
    fn of_entry(words: String, permission: Permission, scope: Scope) -> Self {
        if let Some(jid) = scope.one_address() {
            return Self { words, subject: Subject::Permission(permission), about: Some(jid) };
        }
        if let Some((kind, jid)) = scope.one_recipient() {
            return Self { words, subject: Subject::Stanzas(kind), about: Some(jid) };
        }
        Self { words, subject: Subject::Entry(permission, scope), about: None }
    }

    /// The question in its own words.
    pub fn words(&self) -> String {
        match (&self.about, self.words.contains('=')) {
            (Some(about), false) => harmless(&format!("{} {about}", self.words), usize::MAX),
            _ => harmless(&self.words, usize::MAX),
        }
    }

    /// The permission that it is about.
    pub fn permission(&self) -> Option<Permission> {
        match &self.subject {
            Subject::Call(call) => call.permission,
            Subject::Event(event) => event.permission,
            Subject::Permission(permission) | Subject::Entry(permission, _) | Subject::Entries(permission, _) => {
                Some(*permission)
            }
            Subject::Stanzas(_) => Some(Permission::StanzaSend),
        }
    }

    /// Whether it asks about something that happens only while the account is connected.
    pub fn needs_connection(&self) -> bool {
        match &self.subject {
            Subject::Call(call) => call.needs_connection(),
            Subject::Event(event) => event.needs_connection(),
            _ => self.permission().is_some_and(|permission| {
                let mut calls = table::CALLS.iter().filter(|call| call.permission == Some(permission));
                let mut events = table::EVENTS.iter().filter(|event| event.permission == Some(permission));
                calls.any(Call::needs_connection) || events.any(EventRule::needs_connection)
            }),
        }
    }
}

/// Reads a name. That of a permission may also be a call's, which needs it and depends on more.
fn subject(what: &str) -> Result<Subject, BadQuestion> {
    let call = what.split_once('.').and_then(|(grouping, call)| table::call(grouping, &call.replace('_', "-")));
    if let Some(call) = call {
        return Ok(Subject::Call(call));
    }
    if let Ok(permission) = what.parse::<Permission>() {
        return Ok(Subject::Permission(permission));
    }
    table::event(what).map(Subject::Event).ok_or_else(|| unknown(what))
}

fn unknown(what: &str) -> BadQuestion {
    let calls = table::CALLS.iter().map(|call| format!("{}.{}", call.grouping, call.function));
    let events = table::EVENTS.iter().map(|event| event.name.to_owned());
    let known: Vec<_> = calls.chain(events).chain(Permission::ALL.iter().map(ToString::to_string)).collect();
    let near = suggestion(nearest(what, known.iter().map(String::as_str)));
    BadQuestion::Unknown { what: what.chars().take(LONGEST).collect(), near }
}

#[cfg(test)]
mod tests;
