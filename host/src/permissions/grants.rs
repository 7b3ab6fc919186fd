//! What one plugin was granted, and the two questions that the house asks of it: may it see this, may it do that.
//!
//! Both are asked for each event and each call, so they neither allocate nor log.

use std::collections::BTreeMap;
use std::fmt;

use jid::{BareJid, Jid};
use toml::{Table, Value};

use super::permission::{Permission, ScopeKind, UnknownPermission};
use super::question::Use;
use super::scope::{BadScope, Scope, entries_of};
use super::table;
use crate::error::CallError;
use crate::event::{Event, Payload};
use crate::harmless::{Reader, has_harmful, shell_word};

/// Whom or what a call is about.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Nobody in particular, or everybody: of what has a scope, only `*` covers it.
    None,
    /// A person, an occupant, or a room where messages are meant.
    Jid(&'a Jid),
    /// A room.
    Room(&'a BareJid),
    /// A raw stanza.
    Stanza {
        /// `message`, `presence` or `iq`.
        kind: &'a str,
        /// Its recipient, if it names one.
        to: Option<&'a Jid>,
    },
}

/// Whom or what an event is about, as far as a scope can tell.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    /// Nothing in particular, such as `roomsAutoJoined`: it tells nothing of what a scope leaves out.
    Nothing,
    /// This.
    Target(Target<'a>),
}

impl<'a> About<'a> {
    /// Whom or what an event with this payload is about.
    pub fn of(payload: &'a Payload) -> Self {
        Self::Target(match payload {
            Payload::None => return Self::Nothing,
            Payload::Message(message) | Payload::Command { message, .. } => Target::Jid(&message.chat),
            Payload::Room(room) => Target::Room(&room.jid),
            Payload::Occupant(occupant) => Target::Room(&occupant.room),
            Payload::Invite(invite) => Target::Room(&invite.room),
            Payload::Contact(contact) => Target::Jid(&contact.jid),
            Payload::Chat(chat) => Target::Jid(&chat.jid),
            Payload::Stanza(xml) => Target::Stanza { kind: stanza_kind(xml), to: None },
            // Nobody can tell whom these are about, so of a scope only `*` covers them.
            Payload::Text(_) | Payload::Status(_) | Payload::Feature { .. } | Payload::Json(_) => Target::None,
        })
    }
}

/// The outcome when grants are asked about one call or one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It needs no permission.
    Free,
    /// The grant of this permission covers it.
    Covered(Permission),
    /// This permission is granted, but its scope does not cover the target.
    OutOfScope(Permission),
    /// This permission is not granted.
    NotGranted(Permission),
}

impl Decision {
    /// Whether the call may be made, or the event be seen.
    pub fn allows(self) -> bool {
        matches!(self, Self::Free | Self::Covered(_))
    }

    /// The permission that stands in the way; none if it is allowed.
    pub fn lacks(self) -> Option<Permission> {
        match self {
            Self::Free | Self::Covered(_) => None,
            Self::OutOfScope(permission) | Self::NotGranted(permission) => Some(permission),
        }
    }
}

/// What one plugin was granted. Nothing, to begin with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(BTreeMap<Permission, Scope>);

/// Why a table is no list of grants. Each error names the permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// There is no such permission.
    #[error(transparent)]
    Unknown(#[from] UnknownPermission),
    /// It has a scope, and none was given.
    #[error(
        "{permission:?} needs to know for what: write a list of {entries}, such as {example}",
        permission = permission.as_str(),
        entries = entries_of(permission.scope_kind()),
        example = example(*permission)
    )]
    NeedsScope {
        /// Which permission.
        permission: Permission,
    },
    /// Its scope is none.
    #[error("{permission:?}: {reason}", permission = permission.as_str())]
    BadScope {
        /// Which permission.
        permission: Permission,
        /// What is wrong.
        reason: BadScope,
    },
    /// Recipients are listed for what is read.
    #[error(
        "\"stanza.read\" is granted by kind, not by recipient: write [\"message\"], or grant \"messages.read\" instead"
    )]
    ReadsByKind,
    /// It was written without quotation marks, so that its dot made two keys of it.
    #[error("a permission's name has a dot and is written in quotation marks: {:?} = …", .permission.as_str())]
    Unquoted {
        /// The key that it seems to be.
        key: String,
        /// Which is meant.
        permission: Permission,
    },
    /// What belongs into a list stands there without one.
    #[error("{permission:?} is a list: write [{entry:?}]", permission = permission.as_str())]
    NoList {
        /// Which permission.
        permission: Permission,
        /// What stands there.
        entry: String,
    },
    /// It is neither true, false nor a list of strings.
    #[error("{permission:?} is {found}: write {example}", permission = permission.as_str(), example = example(*permission))]
    WrongType {
        /// Which permission.
        permission: Permission,
        /// What was found.
        found: &'static str,
    },
}

impl GrantError {
    /// The key in the table that is wrong.
    pub fn key(&self) -> &str {
        match self {
            Self::Unknown(unknown) => &unknown.name,
            Self::Unquoted { key, .. } => key,
            Self::NeedsScope { permission }
            | Self::BadScope { permission, .. }
            | Self::NoList { permission, .. }
            | Self::WrongType { permission, .. } => permission.as_str(),
            Self::ReadsByKind => Permission::StanzaRead.as_str(),
        }
    }
}

/// Something that a plugin asks for and was not granted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Which permission.
    pub permission: Permission,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.permission.fmt(f)
    }
}

/// The permission that somebody meant whose name TOML has taken apart.
pub(crate) fn unquoted(key: &str, value: &Value) -> Option<GrantError> {
    let inner = value.as_table()?.keys().next()?;
    let permission = format!("{key}.{inner}").parse().ok()?;
    Some(GrantError::Unquoted { key: key.to_owned(), permission })
}

impl Grants {
    /// Reads `[plugin.<id>.grants]`: `"contacts.read" = true`, `"messages.send" = ["*"]`, `false` = not granted.
    pub fn from_table(table: &Table) -> Result<Self, GrantError> {
        let mut grants = Self::default();
        for (name, value) in table {
            let permission: Permission = match name.parse() {
                Ok(permission) => permission,
                Err(unknown) => return Err(unquoted(name, value).unwrap_or(GrantError::Unknown(unknown))),
            };
            match value {
                Value::Boolean(false) => {}
                Value::Boolean(true) => match permission.scope_kind() {
                    kind @ (ScopeKind::None | ScopeKind::Quota) => {
                        grants.0.insert(permission, Scope::whole(kind));
                    }
                    ScopeKind::Jids | ScopeKind::Rooms | ScopeKind::Stanzas => {
                        return Err(GrantError::NeedsScope { permission });
                    }
                },
                Value::Array(entries) => {
                    let entries = entries
                        .iter()
                        .map(|entry| {
                            entry.as_str().ok_or(GrantError::WrongType {
                                permission,
                                found: "a list of other things than strings",
                            })
                        })
                        .collect::<Result<Vec<_>, _>>()?;
                    grants.grant(permission, &entries)?;
                }
                Value::String(entry) if Self::default().grant(permission, &[entry]).is_ok() => {
                    return Err(GrantError::NoList { permission, entry: entry.clone() });
                }
                other => return Err(GrantError::WrongType { permission, found: a(other) }),
            }
        }
        Ok(grants)
    }

    /// What [`Grants::from_table`] reads, again.
    pub fn to_table(&self) -> Table {
        self.iter().map(|(permission, scope)| (permission.to_string(), scope_value(scope))).collect()
    }

    /// Grants a permission, in place of what was granted of it before. No entries: whole, if it has no scope.
    pub fn grant<S: AsRef<str>>(&mut self, permission: Permission, entries: &[S]) -> Result<(), GrantError> {
        let scope = match (permission.scope_kind(), entries) {
            (kind @ ScopeKind::None, []) => Scope::whole(kind),
            (kind, entries) => {
                Scope::parse(kind, entries).map_err(|reason| GrantError::BadScope { permission, reason })?
            }
        };
        if permission == Permission::StanzaRead && scope.names_recipients() {
            return Err(GrantError::ReadsByKind);
        }
        self.0.insert(permission, scope);
        Ok(())
    }

    /// The same beside what was granted of it before; of what is none or one, such as a quota, this one counts.
    pub fn grant_more<S: AsRef<str>>(&mut self, permission: Permission, entries: &[S]) -> Result<(), GrantError> {
        let mut all = match permission.scope_kind() {
            ScopeKind::None | ScopeKind::Quota => Vec::new(),
            ScopeKind::Jids | ScopeKind::Rooms | ScopeKind::Stanzas => {
                self.get(permission).map(Scope::entries).unwrap_or_default()
            }
        };
        all.extend(entries.iter().map(|entry| entry.as_ref().to_owned()));
        self.grant(permission, &all)
    }

    /// Takes a permission back. Whether it was granted.
    pub fn revoke(&mut self, permission: Permission) -> bool {
        self.0.remove(&permission).is_some()
    }

    /// Every permission there is, each whole: for what the owner trusts as himself.
    pub fn all() -> Self {
        Self(Permission::ALL.iter().map(|&permission| (permission, Scope::whole(permission.scope_kind()))).collect())
    }

    /// Whether the permission is granted at all, for whatever it covers.
    pub fn has(&self, permission: Permission) -> bool {
        self.0.contains_key(&permission)
    }

    /// What the grant of this permission covers.
    pub fn get(&self, permission: Permission) -> Option<&Scope> {
        self.0.get(&permission)
    }

    /// What both grant, as far as it can be written down; never more.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let both =
            self.iter().filter_map(|(permission, scope)| Some((permission, scope.within(other.get(permission)?)?)));
        Self(both.collect())
    }

    /// All that is granted, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (Permission, &Scope)> {
        self.0.iter().map(|(&permission, scope)| (permission, scope))
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decides whether the plugin may use this permission on this target. Calls, the router and `parlor explain` all ask here.
    pub fn decide(
        &self,
        permission: Permission,
        target: Target<'_>,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Decision {
        match self.get(permission) {
            None => Decision::NotGranted(permission),
            Some(scope) if scope.covers(target, is_contact) => Decision::Covered(permission),
            Some(_) => Decision::OutOfScope(permission),
        }
    }

    /// Decides whether the plugin may see an event of this name that is about this. An event for which the host has no rule is a
    /// plugin's own, and free.
    pub fn decide_event(&self, name: &str, about: About<'_>, is_contact: &dyn Fn(&BareJid) -> bool) -> Decision {
        let Some(permission) = table::event(name).and_then(|rule| rule.permission) else { return Decision::Free };
        match about {
            About::Target(target) => self.decide(permission, target, is_contact),
            About::Nothing => match self.get(permission) {
                None => Decision::NotGranted(permission),
                Some(scope) if scope.kind() != ScopeKind::Stanzas => Decision::Covered(permission),
                Some(_) => Decision::OutOfScope(permission),
            },
        }
    }

    /// Decides about either. None: without a contact list the answer would depend on it.
    pub fn decide_use(&self, one: Use<'_>, is_contact: Option<&dyn Fn(&BareJid) -> bool>) -> Option<Decision> {
        let with = |is_contact: &dyn Fn(&BareJid) -> bool| match one {
            Use::Call(permission, target) => self.decide(permission, target, is_contact),
            Use::Event(name, about) => self.decide_event(name, about, is_contact),
        };
        match is_contact {
            Some(is_contact) => Some(with(is_contact)),
            None => Some(with(&|_| false)).filter(|without| *without == with(&|_| true)),
        }
    }

    /// Whether the plugin may use this permission on this target.
    pub fn may_do(&self, permission: Permission, target: Target<'_>, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        self.decide(permission, target, is_contact).allows()
    }

    /// Whether the plugin may see this event.
    pub fn may_see(&self, event: &Event, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        self.decide_event(&event.name, About::of(&event.payload), is_contact).allows()
    }

    /// Whether what is said in a room may be seen.
    pub fn may_hear(&self, room: &BareJid, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        let scope = self.get(Permission::MessagesRead);
        scope.is_some_and(|scope| scope.covers(Target::Jid(room), is_contact))
    }

    /// What `wanted` names and these grants lack altogether. Scopes are the owner's to choose, and not compared.
    pub fn covers(&self, wanted: &Self) -> Vec<Missing> {
        wanted.0.keys().filter(|&&permission| !self.has(permission)).map(|&permission| Missing { permission }).collect()
    }
}

/// A part of what was granted, taken from [`Grants::iter`]. A scope of another permission's kind grants nothing.
impl FromIterator<(Permission, Scope)> for Grants {
    fn from_iter<I: IntoIterator<Item = (Permission, Scope)>>(pairs: I) -> Self {
        Self(pairs.into_iter().filter(|(permission, scope)| scope.kind() == permission.scope_kind()).collect())
    }
}

/// What an owner would have to grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The permission for everybody and everything.
    Whole,
    /// Exactly these targets, spelled as entries. A plugin may have chosen them, so an entry that stands for others, too, is refused.
    Targets(Vec<String>),
    /// These entries, which the owner named.
    Entries(Vec<String>),
}

impl Wish {
    /// Checks that a grant can name it. The error is a clause.
    pub fn check(&self, permission: Permission) -> Result<(), String> {
        let kind = permission.scope_kind();
        let targets = match self {
            Self::Targets(targets) if !matches!(kind, ScopeKind::None | ScopeKind::Quota) => targets,
            _ => return Ok(()),
        };
        for target in targets {
            match Scope::parse(kind, &[target]) {
                // As a server is where a room is meant.
                Err(reason) => return Err(format!("no grant can name it: {reason}")),
                Ok(scope) if !scope.is_exactly(target) => {
                    return Err(format!("no grant names this address alone, since {target:?} stands for others, too"));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// The command that grants it beside what was granted before, or the line to add where a command cannot; else why no grant can.
    pub fn remedy(&self, plugin: &str, permission: Permission) -> Result<String, String> {
        self.check(permission)?;
        let kind = permission.scope_kind();
        let entries = match (kind, self) {
            // As the plugin asks for it.
            (ScopeKind::None, _) | (ScopeKind::Quota, Self::Whole | Self::Targets(_)) => Vec::new(),
            (_, Self::Targets(entries) | Self::Entries(entries)) => entries.iter().map(String::as_str).collect(),
            (ScopeKind::Jids | ScopeKind::Rooms, Self::Whole) => vec!["*"],
            (ScopeKind::Stanzas, Self::Whole) => vec!["message"],
        };
        // The command takes a comma for the end of an entry, and no spaces around one; a resource may have both. It may also have
        // characters that nobody sees, which are escaped wherever they are shown.
        let is_odd = |entry: &&str| entry.contains(',') || entry.trim() != *entry || has_harmful(entry);
        if entries.iter().any(is_odd) {
            let all: Vec<_> = entries.into_iter().map(toml_string).collect();
            let place = format!("in plugins.toml, under [plugin.{plugin}.grants], in the list \"{permission}\"");
            return Ok(format!("{place}: {}", all.join(", ")));
        }
        let wish = match &entries[..] {
            [] => permission.to_string(),
            entries => format!("{permission}={}", entries.join(",")),
        };
        Ok(format!("parlor plugin grant {plugin} {}", shell_word(&wish)))
    }
}

/// A text as TOML writes it on one line, with each character escaped that would not be seen.
fn toml_string(text: &str) -> String {
    let mut reader = Reader::default();
    let mut written = String::new();
    // JSON's escapes are among those of TOML.
    for one in serde_json::Value::from(text).to_string().chars() {
        if reader.is_harmful(one) {
            written.extend(format!("\\U{:08X}", u32::from(one)).chars());
        } else {
            written.push(one);
        }
    }
    written
}

/// The answer to a call that needs a grant which is not there, with the command that would allow it beside what was granted
/// before. Where no grant would, it says why.
pub fn denial(plugin: &str, permission: Permission, scope: Option<String>) -> CallError {
    let wish = scope.clone().map_or(Wish::Whole, |scope| Wish::Targets(vec![scope]));
    let hint = wish.remedy(plugin, permission).unwrap_or_else(|why| why);
    CallError::Denied { permission, scope, hint }
}

/// The same where the plugin does not even ask for it: what is not asked for cannot be granted.
pub fn undeclared(permission: Permission, scope: Option<String>) -> CallError {
    let wish = example(permission);
    let hint = format!(
        "its author has to ask for it, in plugin.toml under [permissions]: \"{permission}\" = {{ scope = {wish}, reason = \"…\" }}, \
         and to build it again; no grant helps before"
    );
    CallError::Denied { permission, scope, hint }
}

/// What could be written for a permission.
pub(crate) fn example(permission: Permission) -> &'static str {
    match permission.scope_kind() {
        ScopeKind::None => "true",
        ScopeKind::Jids | ScopeKind::Rooms => "[\"*\"]",
        ScopeKind::Stanzas => "[\"message\"]",
        ScopeKind::Quota => "[\"16 MiB\"]",
    }
}

fn scope_value(scope: &Scope) -> Value {
    match scope.kind() {
        ScopeKind::None => Value::Boolean(true),
        ScopeKind::Jids | ScopeKind::Rooms | ScopeKind::Stanzas | ScopeKind::Quota => {
            Value::Array(scope.entries().into_iter().map(Value::String).collect())
        }
    }
}

/// The name of the stanza's element, which the host wrote itself without prefix or declaration.
fn stanza_kind(xml: &str) -> &str {
    let name = xml.strip_prefix('<').unwrap_or_default();
    let end = name.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(name.len());
    &name[..end]
}

fn a(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests;
