//! Questions of an owner: may this plugin make that call, or hear that event, about this address?
//!
//! The answer is taken from a [`Judge`], which decides by [`Grants`](super::Grants) as the router and the calls do. Here is only
//! how a question is read, which decisions it needs, and how the answer is put into words.

use std::fmt;

use jid::{BareJid, Jid};
use serde::{Deserialize, Serialize};

use super::grants::{About, Decision, Target, denial};
use super::permission::{Permission, ScopeKind};
use super::scope::{BadScope, Scope};
use super::table::{self, BESIDES, Call, EventRule};
use crate::error::CallError;
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
    /// A permission for entries that stand for more than one address, such as `*`.
    Entries(Permission, Scope),
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
    /// It names a scope that the permission cannot have.
    #[error("{permission:?}: {reason}", permission = permission.as_str())]
    Scope {
        /// The permission.
        permission: Permission,
        /// What is wrong with the scope.
        reason: BadScope,
    },
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
    /// It depends on something that only a connected host knows.
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
    /// The permission that is lacking, and the entry of its scope that would cover what was asked about.
    pub lacks: Option<(Permission, Option<String>)>,
}

impl Answer {
    /// The command or line that would allow it to the plugin of this id, where one would.
    pub fn remedy(&self, plugin: &str) -> Option<String> {
        let (permission, scope) = self.lacks.clone()?;
        match denial(plugin, permission, scope) {
            CallError::Denied { hint, .. } => Some(hint),
            _ => None,
        }
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
    /// Whether this is a room that is open.
    fn is_room(&self, jid: &BareJid) -> bool;
    /// Whether the plugin added this contact itself, so that it does not count as one.
    fn added(&self, _jid: &BareJid) -> bool {
        false
    }
    /// Whether an IQ to this address, which may change something (`is_set`), counts as one to the account itself.
    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool;
    /// Whether the plugin listens to this event, where that is known.
    fn listens(&self, event: &str) -> Option<bool>;
}

impl Question {
    /// Reads a call, an event or a permission, such as `chats.send`, `message`, `messages.send` or `messages.send=*`, and the
    /// address that it is about.
    pub fn parse(what: &str, about: Option<&str>) -> Result<Self, BadQuestion> {
        let address = |text: &str| {
            Jid::new(text)
                .map_err(|error| BadQuestion::Address { text: harmless(text, LONGEST), reason: error.to_string() })
        };
        let mut about = about.map(address).transpose()?;
        let subject = match what.split_once('=') {
            None => subject(what)?,
            Some((name, entries)) => {
                let Subject::Permission(permission) = subject(name)? else { return Err(unknown(what)) };
                let kind = permission.scope_kind();
                let entries: Vec<_> = entries.split(',').map(str::trim).collect();
                let scope = Scope::parse(kind, &entries).map_err(|reason| BadQuestion::Scope { permission, reason })?;
                // One address is asked about as the host would ask.
                match (kind, scope.one_address()) {
                    (ScopeKind::Jids | ScopeKind::Rooms, Some(jid)) => {
                        if about.replace(jid).is_some() {
                            return Err(BadQuestion::Twice);
                        }
                        Subject::Permission(permission)
                    }
                    _ if about.is_some() => return Err(BadQuestion::Twice),
                    _ => Subject::Entries(permission, scope),
                }
            }
        };
        Ok(Self { words: what.to_owned(), subject, about })
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
            Subject::Permission(permission) | Subject::Entries(permission, _) => Some(*permission),
        }
    }

    /// Answers it.
    pub fn answer(&self, judge: &dyn Judge) -> Answer {
        let answer = match &self.subject {
            Subject::Call(call) => self.with_besides(call, judge),
            Subject::Event(rule) => self.event(rule, judge),
            Subject::Permission(permission) => self.permission_alone(*permission, judge),
            Subject::Entries(permission, scope) => entries(*permission, scope, judge),
        };
        match answer.permission {
            Some(permission) if !judge.asks_for(permission) => undeclared(permission, judge),
            _ => answer,
        }
    }

    fn event(&self, rule: &EventRule, judge: &dyn Judge) -> Answer {
        let answer = match rule.permission {
            None => free("it needs no permission: every plugin may hear it"),
            Some(permission) => {
                // A private message is about the other side's bare JID, but in a room about the occupant.
                let chat = self.about.as_ref().map(|jid| {
                    let bare = jid.to_bare();
                    if judge.is_room(&bare) { jid.clone() } else { bare.into() }
                });
                let room = self.about.as_ref().map(Jid::to_bare);
                let targets: Vec<Option<About<'_>>> = match (rule.payload, &chat, &room) {
                    ("none", ..) => vec![Some(About::Nothing)],
                    ("message" | "command" | "contact" | "chat", Some(chat), _) => {
                        vec![Some(About::Target(Target::Jid(chat)))]
                    }
                    ("room" | "occupant" | "invite", _, Some(room)) => vec![Some(About::Target(Target::Room(room)))],
                    ("stanza", ..) => KINDS.map(|kind| Some(About::Target(Target::Stanza { kind, to: None }))).to_vec(),
                    _ => vec![Some(About::Target(Target::None))],
                };
                let targets: Vec<_> = targets.into_iter().flatten().collect();
                let decided: Vec<_> = targets.iter().map(|about| judge.decide(Use::Event(rule.name, *about))).collect();
                self.put(permission, &decided, judge)
            }
        };
        if answer.outcome != Outcome::No && judge.listens(rule.name) == Some(false) {
            let reason = format!("it does not listen to it, although it may: {}", answer.reason);
            return Answer { outcome: Outcome::No, reason, lacks: None, ..answer };
        }
        answer
    }

    fn with_besides(&self, call: &Call, judge: &dyn Judge) -> Answer {
        let answer = match call.permission {
            None => free("it needs no permission: every plugin may"),
            Some(permission) => self.permission_alone(permission, judge),
        };
        let besides = BESIDES.iter().filter(|one| one.grouping == call.grouping && one.function == call.function);
        let lacking = besides.filter_map(|one| {
            let permission = one.permission?;
            let other = self.permission_alone(permission, judge);
            (!judge.asks_for(permission) || other.outcome != Outcome::Yes).then_some(permission.to_string())
        });
        let lacking: Vec<_> = lacking.collect();
        if lacking.is_empty() || answer.outcome != Outcome::Yes {
            return answer;
        }
        let reason = format!("{}; for some of its uses it needs {}, too", answer.reason, lacking.join(" or "));
        Answer { outcome: Outcome::Partly, reason: format!("{reason}, which it does not have in full"), ..answer }
    }

    fn permission_alone(&self, permission: Permission, judge: &dyn Judge) -> Answer {
        let about = self.about.as_ref();
        let room = about.map(Jid::to_bare);
        let targets: Vec<Target<'_>> = match (permission.scope_kind(), about, &room) {
            (ScopeKind::Jids, Some(jid), _) => vec![Target::Jid(jid)],
            (ScopeKind::Rooms, _, Some(room)) => vec![Target::Room(room)],
            (ScopeKind::Stanzas, to, _) => {
                let to = to.filter(|_| permission == Permission::StanzaSend);
                let target = |&(kind, is_set): &(&'static str, bool)| Target::Stanza {
                    kind,
                    to: to.filter(|to| kind != "iq" || !judge.acts_for(to, is_set)),
                };
                self.kinds().iter().map(target).collect()
            }
            _ => vec![Target::None],
        };
        let decided: Vec<_> = targets.iter().map(|target| judge.decide(Use::Call(permission, *target))).collect();
        self.put(permission, &decided, judge)
    }

    /// The kinds of stanzas that it is about, and whether each changes something.
    fn kinds(&self) -> &'static [(&'static str, bool)] {
        match &self.subject {
            Subject::Call(call) if call.function == "send-iq" => &[("iq", true), ("iq", false)],
            _ => &[("message", false), ("presence", false), ("iq", true), ("iq", false)],
        }
    }

    /// Puts what was decided into words.
    fn put(&self, permission: Permission, decided: &[Option<Decision>], judge: &dyn Judge) -> Answer {
        let scope = judge.scope(permission);
        let list = scope.as_ref().map(|scope| shown(&scope.entries())).unwrap_or_default();
        let about =
            self.about.as_ref().filter(|_| matches!(permission.scope_kind(), ScopeKind::Jids | ScopeKind::Rooms));
        let shown_about = about.map(|jid| harmless(jid.as_str(), usize::MAX)).unwrap_or_default();
        let entry = || match permission.scope_kind() {
            ScopeKind::Rooms => about.map(|jid| jid.to_bare().to_string()),
            _ => about.map(ToString::to_string),
        };
        let with = |outcome, reason, lacks| Answer { outcome, permission: Some(permission), reason, lacks };
        let all = |is: fn(Decision) -> bool| decided.iter().all(|one| one.is_some_and(is));
        let names_contacts = scope.as_ref().is_some_and(Scope::names_contacts);
        if scope.is_none() || all(|one| matches!(one, Decision::NotGranted(_))) {
            let reason = format!("it needs {permission}, which is not granted");
            return with(Outcome::No, reason, Some((permission, entry())));
        }
        if all(Decision::allows) {
            let granted = if list.is_empty() { String::new() } else { format!(" for {list}") };
            let contact = match about {
                Some(jid) if names_contacts && judge.is_contact(&jid.to_bare()) == Some(true) => {
                    format!(", and {shown_about} is a contact")
                }
                _ => String::new(),
            };
            return with(Outcome::Yes, format!("it needs {permission}, which is granted{granted}{contact}"), None);
        }
        if decided.iter().any(Option::is_none) {
            let reason = format!(
                "{permission} covers {list}, and only a connected host knows whether {shown_about} is a contact"
            );
            return with(Outcome::Unknown, reason, Some((permission, entry())));
        }
        if about.is_some() {
            let reason = if about.is_some_and(|jid| judge.added(&jid.to_bare())) && names_contacts {
                format!(
                    "{permission} covers {list}, and {shown_about} is one that the plugin added itself, which does not count"
                )
            } else if names_contacts && permission.scope_kind() == ScopeKind::Jids {
                format!("{permission} covers {list}, and {shown_about} is none")
            } else {
                format!("{permission} covers {list}, not {shown_about}")
            };
            return with(Outcome::No, reason, Some((permission, entry())));
        }
        if self.about.is_some() && !decided.iter().flatten().any(|one| one.allows()) {
            return with(Outcome::No, format!("{permission} covers {list}, and nothing of that kind to it"), None);
        }
        let more = match permission.scope_kind() {
            ScopeKind::Jids | ScopeKind::Rooms => "; name an address to ask about it",
            ScopeKind::None | ScopeKind::Stanzas | ScopeKind::Quota => "",
        };
        with(Outcome::Partly, format!("it needs {permission}, which is granted for {list} alone{more}"), None)
    }
}

/// The kinds of stanzas, each of which is decided on by itself.
const KINDS: [&str; 3] = ["message", "presence", "iq"];

fn free(reason: &str) -> Answer {
    Answer { outcome: Outcome::Yes, permission: None, reason: reason.to_owned(), lacks: None }
}

fn undeclared(permission: Permission, judge: &dyn Judge) -> Answer {
    let reason = if judge.scope(permission).is_some() {
        format!(
            "it needs {permission}, which is granted, but the plugin does not ask for it in its manifest, so it does not get it"
        )
    } else {
        format!("it needs {permission}, which the plugin does not ask for in its manifest, so that no grant would help")
    };
    Answer { outcome: Outcome::No, permission: Some(permission), reason, lacks: None }
}

/// Whether entries that stand for more than one address are granted as they are.
fn entries(permission: Permission, wanted: &Scope, judge: &dyn Judge) -> Answer {
    let list = shown(&wanted.entries());
    let with = |outcome, reason, lacks| Answer { outcome, permission: Some(permission), reason, lacks };
    // One command grants one entry as it is written.
    let lacks = || match &wanted.entries()[..] {
        [entry] => Some((permission, Some(entry.clone()))),
        _ => None,
    };
    let Some(granted) = judge.scope(permission) else {
        return with(Outcome::No, format!("{permission} is not granted"), lacks());
    };
    if granted.includes(wanted) {
        return with(Outcome::Yes, format!("{permission} is granted for {}", shown(&granted.entries())), None);
    }
    let reason =
        format!("{permission} is granted for {}, which does not cover all of {list}", shown(&granted.entries()));
    let outcome = if granted.shares(wanted) { Outcome::Partly } else { Outcome::No };
    with(outcome, reason, lacks())
}

/// Entries as a list for people.
fn shown(entries: &[String]) -> String {
    entries.iter().map(|entry| harmless(entry, usize::MAX)).collect::<Vec<_>>().join(", ")
}

fn subject(what: &str) -> Result<Subject, BadQuestion> {
    if let Ok(permission) = what.parse::<Permission>() {
        return Ok(Subject::Permission(permission));
    }
    let call = what.split_once('.').and_then(|(grouping, call)| table::call(grouping, &call.replace('_', "-")));
    if let Some(call) = call {
        return Ok(Subject::Call(call));
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
