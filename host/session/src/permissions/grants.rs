//! The grants of one plugin, and the two checks that the host makes: may the plugin see this event, may it make this
//! call.
//!
//! Both run for each event and each call, so they neither allocate nor log.

mod remedy;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::permission::{Permission, ScopeKind, UnknownPermission};
use toml::{Table, Value};

use super::room_list::RoomList;
use super::scope::{AddressKey, BadScope, ENCRYPTED, Scope, entries_of};
use super::table;
use super::target::{About, Target, Use};
use crate::event::Event;

pub use remedy::{GrantChange, denial, denial_of_encrypted, undeclared};

/// The decision of the grants on one call or one event.
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
    /// Returns whether the call is allowed, or the event visible.
    pub fn allows(self) -> bool {
        matches!(self, Self::Free | Self::Covered(_))
    }

    /// Returns the permission that is missing; none if it is allowed.
    pub fn lacks(self) -> Option<Permission> {
        match self {
            Self::Free | Self::Covered(_) => None,
            Self::OutOfScope(permission) | Self::NotGranted(permission) => Some(permission),
        }
    }
}

/// The grants of one plugin; empty by default. Clones share the scopes until one of them is changed: a host has the grants of a
/// plugin in its policy, and again among what its instances need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    scopes: Arc<BTreeMap<Permission, Scope>>,
    /// The rooms that the owner keeps the plugin to. None: all that the scopes cover.
    rooms: Option<RoomList>,
}

/// The reason why a table is not a list of grants. Each error names the permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The permission does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownPermission),
    /// The permission needs a scope, and none was given.
    #[error(
        "{permission:?} needs to know for what: write a list of {entries}, such as {example}",
        permission = permission.as_str(),
        entries = entries_of(permission.scope_kind()),
        example = example(*permission)
    )]
    NeedsScope {
        /// The permission in the table.
        permission: Permission,
    },
    /// The scope is invalid.
    #[error("{permission:?}: {reason}", permission = permission.as_str())]
    BadScope {
        /// The permission in the table.
        permission: Permission,
        /// Why the scope is invalid.
        reason: BadScope,
    },
    /// A table restricts the permission to something other than encrypted messages.
    #[error("{permission:?}: {reason}", permission = permission.as_str())]
    BadOnly {
        /// The permission in the table.
        permission: Permission,
        /// The problem, and what to write instead.
        reason: &'static str,
    },
    /// The scope of `stanza.read` lists recipients.
    #[error(
        "\"stanza.read\" is granted by kind, not by recipient: write [\"message\"], or grant \"messages.read\" instead"
    )]
    ReadsByKind,
    /// The name is not in quotation marks, so TOML made two keys of it.
    #[error("a permission's name has a dot and is written in quotation marks: {:?} = …", .permission.as_str())]
    Unquoted {
        /// The first of these keys.
        key: String,
        /// The permission that was meant.
        permission: Permission,
    },
    /// A single entry is not in a list.
    #[error("{permission:?} is a list: write [{entry:?}]", permission = permission.as_str())]
    NoList {
        /// The permission in the table.
        permission: Permission,
        /// The entry that belongs in a list.
        entry: String,
    },
    /// The value is neither true, false nor a list of strings.
    #[error("{permission:?} is {found}: write {example}", permission = permission.as_str(), example = example(*permission))]
    WrongType {
        /// The permission in the table.
        permission: Permission,
        /// The type of the value, in words.
        found: &'static str,
    },
}

impl GrantError {
    /// Returns the key in the table that is wrong.
    pub fn key(&self) -> &str {
        match self {
            Self::Unknown(unknown) => &unknown.name,
            Self::Unquoted { key, .. } => key,
            Self::NeedsScope { permission }
            | Self::BadScope { permission, .. }
            | Self::BadOnly { permission, .. }
            | Self::NoList { permission, .. }
            | Self::WrongType { permission, .. } => permission.as_str(),
            Self::ReadsByKind => Permission::StanzaRead.as_str(),
        }
    }
}

/// A permission that a plugin asks for and that is not granted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The missing permission.
    pub permission: Permission,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.permission.fmt(f)
    }
}

/// Returns the error for a permission whose unquoted name TOML split at the dot.
pub fn unquoted(key: &str, value: &Value) -> Option<GrantError> {
    let inner = value.as_table()?.keys().next()?;
    let permission = format!("{key}.{inner}").parse().ok()?;
    Some(GrantError::Unquoted { key: key.to_owned(), permission })
}

impl Grants {
    /// Parses `[plugin.<id>.grants]`: `"contacts.read" = true`, `"messages.send" = ["*"]`, `false` = not granted. The table
    /// `{ scope = ["*"], only = "encrypted" }` is the list with `encrypted:` before each entry.
    pub fn from_table(table: &Table) -> Result<Self, GrantError> {
        let mut grants = Self::default();
        for (name, value) in table {
            let permission = match table::permission(name) {
                Ok(permission) => permission,
                Err(unknown) => return Err(unquoted(name, value).unwrap_or(GrantError::Unknown(unknown))),
            };
            match value {
                Value::Boolean(false) => {}
                Value::Boolean(true) if permission.scope_kind().is_list() => {
                    return Err(GrantError::NeedsScope { permission });
                }
                Value::Boolean(true) => {
                    grants.scopes_mut().insert(permission, Scope::whole(permission.scope_kind()));
                }
                Value::Array(entries) => grants.grant(permission, &texts(permission, entries)?)?,
                Value::Table(parts) if parts.contains_key("only") => {
                    grants.grant(permission, &only_encrypted(permission, parts)?)?;
                }
                Value::String(entry) if Self::default().grant(permission, &[entry]).is_ok() => {
                    return Err(GrantError::NoList { permission, entry: entry.clone() });
                }
                other => return Err(GrantError::WrongType { permission, found: a(other) }),
            }
        }
        Ok(grants)
    }

    /// Returns the table that [`Grants::from_table`] parses to these grants.
    pub fn to_table(&self) -> Table {
        self.iter().map(|(permission, scope)| (permission.to_string(), scope_value(scope))).collect()
    }

    /// Grants a permission, replacing its earlier grant. `entries` is empty for a permission without scope.
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
        self.scopes_mut().insert(permission, scope);
        Ok(())
    }

    /// Adds entries to the grant of a permission. A permission without scope, or with one entry such as a quota, is
    /// replaced.
    pub fn grant_more<S: AsRef<str>>(&mut self, permission: Permission, entries: &[S]) -> Result<(), GrantError> {
        let before = self.get(permission).filter(|_| permission.scope_kind().is_list());
        let mut all = before.map(Scope::entries).unwrap_or_default();
        all.extend(entries.iter().map(|entry| entry.as_ref().to_owned()));
        self.grant(permission, &all)
    }

    /// Revokes a permission. Returns whether it was granted.
    pub fn revoke(&mut self, permission: Permission) -> bool {
        // Grants without it stay shared.
        self.has(permission) && self.scopes_mut().remove(&permission).is_some()
    }

    /// Returns the scopes to be changed, which are not shared any more then.
    fn scopes_mut(&mut self) -> &mut BTreeMap<Permission, Scope> {
        Arc::make_mut(&mut self.scopes)
    }

    /// Returns whether both share their scopes, so that these take memory once.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.scopes, &other.scopes)
    }

    /// Grants every permission with its whole scope, for a plugin that the owner trusts fully.
    pub fn all() -> Self {
        Permission::ALL.iter().map(|&permission| (permission, Scope::whole(permission.scope_kind()))).collect()
    }

    /// Returns whether the permission is granted at all, with any scope.
    pub fn has(&self, permission: Permission) -> bool {
        self.scopes.contains_key(&permission)
    }

    /// Returns the scope of this permission's grant.
    pub fn get(&self, permission: Permission) -> Option<&Scope> {
        self.scopes.get(&permission)
    }

    /// Returns the intersection of both grants, as far as entries can express it; never more.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let both =
            self.iter().filter_map(|(permission, scope)| Some((permission, scope.within(other.get(permission)?)?)));
        let rooms = match (&self.rooms, &other.rooms) {
            (Some(one), Some(other)) => Some(one.common(other)),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        Self { scopes: Arc::new(both.collect()), rooms }
    }

    /// Returns the grants of some permissions, in the same rooms.
    #[must_use]
    pub fn only(&self, keep: impl Fn(Permission) -> bool) -> Self {
        let kept = self.iter().filter(|(permission, _)| keep(*permission));
        let scopes = kept.map(|(permission, scope)| (permission, scope.clone())).collect();
        Self { scopes: Arc::new(scopes), rooms: self.rooms.clone() }
    }

    /// Returns the same grants in these rooms alone; `None` = in all that they cover.
    #[must_use]
    pub fn in_rooms(self, rooms: Option<RoomList>) -> Self {
        Self { rooms, ..self }
    }

    /// Returns the rooms that the owner keeps the plugin to. None: all that the scopes cover.
    pub fn rooms(&self) -> Option<&RoomList> {
        self.rooms.as_ref()
    }

    /// Returns whether the owner keeps the plugin from this target: another room than its own, or somebody in it.
    /// `is_room` tells the rooms that the account knows.
    pub fn keeps_from(&self, target: Target<'_>, is_room: &dyn Fn(&BareJid) -> bool) -> bool {
        self.rooms.as_ref().is_some_and(|rooms| rooms.keeps_from(target, is_room))
    }

    /// Returns whether the plugin acts in a room, as far as the owner keeps it to some. `None` = outside of rooms: a
    /// plugin that is restricted to rooms has no commands there.
    pub fn serves(&self, room: Option<&BareJid>) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| room.is_some_and(|room| rooms.has(room)))
    }

    /// Returns whether both plugins act in a common place, as far as the owner keeps them to rooms.
    pub fn meets(&self, other: &Self) -> bool {
        self.rooms.as_ref().zip(other.rooms.as_ref()).is_none_or(|(one, other)| one.shares(other))
    }

    /// Returns all grants, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (Permission, &Scope)> {
        self.scopes.iter().map(|(&permission, scope)| (permission, scope))
    }

    /// Returns whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Decides whether the plugin may use this permission on this target. Calls, the router and `parlor explain` all
    /// use this.
    pub fn decide(
        &self,
        permission: Permission,
        target: Target<'_>,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Decision {
        match self.get(permission) {
            None => Decision::NotGranted(permission),
            Some(_) if self.keeps_from(target, &|_| false) => Decision::OutOfScope(permission),
            Some(scope) if scope.covers(target, is_contact) => Decision::Covered(permission),
            Some(_) => Decision::OutOfScope(permission),
        }
    }

    /// Decides whether the plugin may see an event of this name and target. An event without a rule of the host is a
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

    /// Decides about a call or an event. None: the decision depends on the contact list, which is not known.
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

    /// Returns the permission that an event of this name needs, with the keys of the addresses that its scope lists;
    /// `None` if the event may be visible for any address, or is not about an address.
    pub fn keys(&self, event: &str) -> Option<(Permission, Vec<AddressKey>)> {
        let permission = table::event(event)?.permission?;
        Some((permission, self.get(permission)?.keys()?))
    }

    /// Returns whether the plugin may use this permission on this target.
    pub fn may_do(&self, permission: Permission, target: Target<'_>, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        self.decide(permission, target, is_contact).allows()
    }

    /// Returns whether the plugin may see this event.
    pub fn may_see(&self, event: &Event, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        self.decide_event(&event.name, About::of(&event.payload), is_contact).allows()
    }

    /// Returns whether the plugin may read the messages of a room.
    pub fn may_hear(&self, room: &BareJid, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        let scope = self.get(Permission::MessagesRead);
        !self.keeps_from(Target::Room(room), &|_| false)
            && scope.is_some_and(|scope| scope.covers(Target::Jid(room), is_contact))
    }

    /// Returns the permissions of `wanted` that are not granted at all. Scopes are the owner's choice, and not
    /// compared.
    pub fn covers(&self, wanted: &Self) -> Vec<Missing> {
        wanted
            .scopes
            .keys()
            .filter(|&&permission| !self.has(permission))
            .map(|&permission| Missing { permission })
            .collect()
    }
}

/// Collects a part of other grants, taken from [`Grants::iter`]. A scope of another permission's kind grants nothing.
impl FromIterator<(Permission, Scope)> for Grants {
    fn from_iter<I: IntoIterator<Item = (Permission, Scope)>>(pairs: I) -> Self {
        let fits = |(permission, scope): &(Permission, Scope)| scope.kind() == permission.scope_kind();
        Self { scopes: Arc::new(pairs.into_iter().filter(fits).collect()), rooms: None }
    }
}

/// Returns an example of the value to write for a permission.
pub fn example(permission: Permission) -> &'static str {
    match permission.scope_kind() {
        ScopeKind::None => "true",
        ScopeKind::Jids | ScopeKind::Messages | ScopeKind::Rooms => "[\"*\"]",
        ScopeKind::Stanzas => "[\"message\"]",
        ScopeKind::Quota => "[\"16 MiB\"]",
        ScopeKind::Servers => "[\"api.example.org\"]",
        ScopeKind::Files => "[\"10 MiB\"]",
        ScopeKind::Namespaces => "[\"urn:example:weather\"]",
        ScopeKind::Plugins => "[\"dice\"]",
        ScopeKind::Nodes => "[\"pubsub.example.org/news\"]",
    }
}

/// Returns the entries of a list.
fn texts(permission: Permission, entries: &[Value]) -> Result<Vec<&str>, GrantError> {
    let wrong = || GrantError::WrongType { permission, found: "a list of other things than strings" };
    entries.iter().map(|entry| entry.as_str().ok_or_else(wrong)).collect()
}

/// Returns the entries for a table with `only`, which cover encrypted messages alone.
fn only_encrypted(permission: Permission, parts: &Table) -> Result<Vec<String>, GrantError> {
    let bad = |reason| GrantError::BadOnly { permission, reason };
    if permission.scope_kind() != ScopeKind::Messages {
        return Err(bad("`only` is for \"messages.read\" and \"archive.read\": write the list by itself"));
    }
    if parts.get("only").and_then(Value::as_str) != Some("encrypted") {
        return Err(bad("`only` can be \"encrypted\": write { scope = [\"*\"], only = \"encrypted\" }"));
    }
    if parts.keys().any(|key| !["scope", "only"].contains(&key.as_str())) {
        return Err(bad("beside `only` stands `scope` alone: write { scope = [\"*\"], only = \"encrypted\" }"));
    }
    let Some(Value::Array(entries)) = parts.get("scope") else { return Err(GrantError::NeedsScope { permission }) };
    let restricted =
        |entry: &str| if entry.starts_with(ENCRYPTED) { entry.to_owned() } else { format!("{ENCRYPTED}{entry}") };
    Ok(texts(permission, entries)?.into_iter().map(restricted).collect())
}

fn scope_value(scope: &Scope) -> Value {
    if scope.kind() == ScopeKind::None {
        return Value::Boolean(true);
    }
    Value::Array(scope.entries().into_iter().map(Value::String).collect())
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
