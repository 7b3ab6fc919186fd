//! Questions of an owner: may this plugin make that call, or see that event, with this address?
//!
//! A [`Judge`] answers. It decides by [`Grants`], as the router and the calls do. This module parses a question and
//! picks the decisions that it needs; `answer` phrases the result.

mod answer;
mod condition;
mod servers;

use std::fmt;

use jid::{BareJid, Jid};
use parlor_base::escape::escape_untrusted;
use parlor_base::nearest::{nearest, suggestion};
use parlor_base::permission::Permission;
use serde::{Deserialize, Serialize};

use super::grants::{Decision, GrantChange, GrantError, Grants};
use super::room_list::RoomList;
use super::scope::Scope;
use super::table::{self, Call, EventRule};
use super::target::{Target, Use};

pub use condition::{AccountState, ArchiveState, BookmarkState, ContactState, RoomState};

/// The most of an owner's own words that an error repeats, in bytes.
const LONGEST: usize = 64;

/// A question of an owner about one plugin.
#[derive(Debug, Clone)]
pub struct Question {
    /// The owner's own words.
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
    /// A permission for an entry that covers more than one address, such as `*`, or for a quota.
    Entry(Permission, Scope),
    /// A permission for several entries, each of them a question.
    Entries(Permission, Vec<Question>),
}

/// The reason why a text is not a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// It names nothing that exists.
    #[error("{what:?} is no call, event or permission{near}")]
    Unknown {
        /// The unknown name.
        what: String,
        /// A suggestion, or nothing.
        near: String,
    },
    /// It names entries that the permission cannot be granted for.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The address is invalid.
    #[error("{text:?} is no address ({reason}): write one such as \"juliet@example.org\"")]
    Address {
        /// The text that is not an address.
        text: String,
        /// Why it is not an address.
        reason: String,
    },
    /// It names an address twice.
    #[error("name the address once: either behind the =, or by itself")]
    Twice,
}

/// The four outcomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Allowed for every target.
    Yes,
    /// Not allowed.
    No,
    /// Allowed for some targets or arguments, and not for others.
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
    /// The outcome.
    pub outcome: Outcome,
    /// The permission that it needs; none if it is free.
    pub permission: Option<Permission>,
    /// The reason: a clause that follows the outcome.
    pub reason: String,
    /// The missing permission, with the scope or the room that a yes needs; none: neither would help.
    pub lacks: Option<(Permission, GrantChange)>,
}

impl Answer {
    /// Returns the command or line that would allow it to the plugin of this id, if one would.
    pub fn remedy(&self, plugin: &str) -> Option<String> {
        let (permission, change) = self.lacks.as_ref()?;
        change.remedy(plugin, *permission).ok()
    }

    /// Returns the answer for a case that does not hold now: a yes becomes unknown. `when` names the condition, as a
    /// clause.
    #[must_use]
    pub fn only(self, when: &str) -> Self {
        if self.outcome == Outcome::No {
            return self;
        }
        let reason = format!("{when}: {}, {}", self.outcome, self.reason);
        Self { outcome: Outcome::Unknown, reason, ..self }
    }
}

/// How much of an event a plugin listens to, by its subscriptions and their filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// It does not listen to the event.
    Not,
    /// Its filters exclude everything that the question is about. The text describes them.
    Elsewhere(String),
    /// Its filters let a part of it through. The text describes them.
    Part(String),
    /// It listens to all of it.
    All,
}

/// A plugin's grants, and all other state that decisions about them depend on.
pub trait Judge {
    /// Decides about one use, as the host would for the plugin. None: it depends on the contact list, which is not
    /// known.
    fn decide(&self, one: Use<'_>) -> Option<Decision>;
    /// Returns the scope of this permission, if it is granted.
    fn scope(&self, permission: Permission) -> Option<Scope>;
    /// Returns whether the plugin's manifest requests this permission.
    fn asks_for(&self, permission: Permission) -> bool;
    /// Returns whether this address counts as a contact, if that is known.
    fn is_contact(&self, jid: &BareJid) -> Option<bool>;
    /// Returns the state of the account, if it is known.
    fn state(&self) -> Option<&dyn AccountState>;
    /// Returns whether the plugin added this contact itself, in which case it does not count as one.
    fn added(&self, _jid: &BareJid) -> bool {
        false
    }
    /// Returns the rooms that the owner keeps the plugin to, if they keep it from this target.
    fn elsewhere(&self, target: Target<'_>) -> Option<RoomList>;
    /// Returns the bare addresses of the account itself.
    fn own(&self) -> Vec<BareJid>;
    /// Returns whether an IQ to this address counts as one to the account itself. `is_set`: the IQ may change
    /// something.
    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool;
    /// Returns how much of this event the plugin listens to, about this address or any, if that is known.
    fn listens(&self, event: &EventRule, about: Option<&Jid>) -> Option<Listening>;
}

impl Question {
    /// Parses a call, an event or a permission, such as `chats.send`, `message`, `messages.send` or `messages.send=*`,
    /// and the address that it is about.
    pub fn parse(what: &str, about: Option<&str>) -> Result<Self, BadQuestion> {
        let address = |text: &str| {
            parlor_stanza::types::address(text).map_err(|error| BadQuestion::Address {
                text: escape_untrusted(text, LONGEST),
                reason: error.to_string(),
            })
        };
        let is_url = |about: &&str| {
            let url = about.rsplit(' ').next().unwrap_or_default();
            url.starts_with("https://") || url.starts_with("http://")
        };
        if let Some(url) = about.filter(is_url) {
            return Self::of_request(what, url);
        }
        let about = about.map(address).transpose()?;
        let Some((name, entries)) = what.split_once('=') else {
            return Ok(Self { words: what.to_owned(), subject: subject(what)?, about });
        };
        let Ok(permission) = name.parse::<Permission>() else {
            subject(name)?;
            return Err(unknown(what));
        };
        let entries: Vec<_> = entries.split(',').map(str::trim).collect();
        // Only entries that can be granted are valid in a question.
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

    /// Returns the question whether a plugin may make a request over the web: with `GET`, or with the method before a
    /// space.
    fn of_request(what: &str, url: &str) -> Result<Self, BadQuestion> {
        let (method, url) = url.split_once(' ').unwrap_or(("GET", url));
        // Grants do not depend on the query.
        let server = url.split(['?', '#']).next().unwrap_or_default();
        let bad = |reason: &dyn fmt::Display| BadQuestion::Address {
            text: escape_untrusted(url, LONGEST),
            reason: reason.to_string(),
        };
        if what.contains('=') {
            return Err(BadQuestion::Twice);
        }
        let one = Self { words: String::new(), subject: subject(what)?, about: None };
        if one.permission() != Some(Permission::HttpFetch) {
            return Err(bad(&format!("{what} is not about the web")));
        }
        let entry = format!("{method} {server}");
        let scope = Scope::parse(Permission::HttpFetch.scope_kind(), &[&entry]).map_err(|reason| bad(&reason))?;
        Ok(Self::of_entry(format!("{what} {entry}"), Permission::HttpFetch, scope))
    }

    /// Returns the question about one entry. For an address it is the same check that the host makes.
    fn of_entry(words: String, permission: Permission, scope: Scope) -> Self {
        if let Some(jid) = scope.one_address() {
            return Self { words, subject: Subject::Permission(permission), about: Some(jid) };
        }
        if let Some((kind, jid)) = scope.one_recipient() {
            return Self { words, subject: Subject::Stanzas(kind), about: Some(jid) };
        }
        Self { words, subject: Subject::Entry(permission, scope), about: None }
    }

    /// Returns the question as it was written.
    pub fn words(&self) -> String {
        match (&self.about, self.words.contains('=')) {
            (Some(about), false) => escape_untrusted(&format!("{} {about}", self.words), usize::MAX),
            _ => escape_untrusted(&self.words, usize::MAX),
        }
    }

    /// Returns the permission that it is about.
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

    /// Returns whether it is about something that happens only while the account is connected.
    pub fn needs_connection(&self) -> bool {
        match &self.subject {
            Subject::Call(call) => call.needs_connection,
            Subject::Event(event) => event.needs_connection(),
            _ => self.permission().is_some_and(|permission| {
                let mut calls = table::CALLS.iter().filter(|call| call.permission == Some(permission));
                let mut events = table::EVENTS.iter().filter(|event| event.permission == Some(permission));
                calls.any(|call| call.needs_connection) || events.any(EventRule::needs_connection)
            }),
        }
    }
}

/// Resolves a name. If a call has the same name as a permission, the call wins: it needs that permission and depends on
/// more.
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
