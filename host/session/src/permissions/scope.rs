//! The scope of one grant: parsed once from the strings that an owner wrote, then checked for each event and call.
//!
//! It knows addresses and kinds of stanzas, not permissions, events or calls.

mod error;
mod file;
mod key;
mod message;
mod names;
mod node;
mod pattern;
mod size;
mod stanza;
mod web;

use std::net::SocketAddr;

use jid::{BareJid, Jid};
use parlor_base::permission::ScopeKind;

use super::target::Target;
use file::FilePattern;
use message::MessagePattern;
use names::NamePattern;
use node::NodePattern;
use pattern::{Pattern, covered};
use size::{MIB, parse_size, size};
use stanza::{StanzaKind, StanzaPattern};
use web::WebPattern;

pub use error::BadScope;
pub(super) use error::entries_of;
pub(crate) use key::spellings;
pub use key::{AddressKey, spelling};
pub(super) use message::ENCRYPTED;
pub use web::ServerPlace;

/// The most entries that one scope may list: each event checks every entry.
pub const MOST_ENTRIES: usize = 1_000;

/// The quota that `storage = true` grants, in bytes.
pub const DEFAULT_QUOTA: u64 = 16 * MIB;

/// The scope of a grant. Never empty: a scope that covers nothing is not a grant.
///
/// People (`messages.send`): `*` is everybody; `contacts` everyone in the roster; `juliet@example.org`
/// that account with all its resources; `juliet@example.org/balcony` that resource alone; `@example.org` every account
/// of that domain; `example.org` the domain's own address, that is, the server.
///
/// Messages (`messages.read`, `archive.read`): people and rooms as above, and each of these with `encrypted:` before it, such as
/// `encrypted:*`, for those of the messages that were encrypted from end to end.
///
/// Rooms (`rooms.*`): `*`, `lobby@conference.example.org`, `@conference.example.org`.
///
/// Stanzas: `message`, `presence`, `iq`, each for every recipient; for `stanza.send` also with recipients as above,
/// such as `message:juliet@example.org` or `iq:@example.org`. A stanza without recipient is covered by a kind alone.
///
/// A quota: `16 MiB`, `512 KiB`, `1 GiB`, or bytes.
///
/// Servers of the web (`http.fetch`): `*` is each of the public network, over TLS; `api.example.org` that one over TLS,
/// with another port as `api.example.org:8443`; `*.example.org` those below that domain; `http://…` one without TLS;
/// each with a method before it and a path behind it, such as `GET https://api.example.org/repos/`. Servers that are not
/// of the public network need an entry with their address and port, too, such as `http://127.0.0.1:8080`.
///
/// Files (`files.send`): `*` is every file; `image/*` and `image/png` those of that kind; `10 MiB` those up to that size;
/// `image/png 5 MiB` both.
///
/// XML namespaces (`iq.answer`): `urn:example:weather`; `*` is each that the manifest lists.
///
/// Plugins (`plugins.call`, `plugins.answer`): `dice`, by the owner's id; `*` is every plugin.
///
/// Nodes (`pubsub.*`): `pubsub.example.org/news` is that node of that service, and `pubsub.example.org/*` each node of it. In place
/// of the service, `own` is this account, and people are written as above: `contacts/urn:example:mood`. `*` is each node of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Inner);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Inner {
    Whole,
    Jids(Box<[Pattern]>),
    Messages(Box<[MessagePattern]>),
    Rooms(Box<[Pattern]>),
    Stanzas(Box<[StanzaPattern]>),
    Quota(u64),
    Servers(Box<[WebPattern]>),
    Files(Box<[FilePattern]>),
    Namespaces(Box<[NamePattern]>),
    Plugins(Box<[NamePattern]>),
    Nodes(Box<[NodePattern]>),
}

impl Scope {
    /// Returns the scope of a permission that is granted whole: everybody, every room, every kind, or no scope at all.
    pub fn whole(kind: ScopeKind) -> Self {
        Self(match kind {
            ScopeKind::None => Inner::Whole,
            ScopeKind::Jids => Inner::Jids(Box::new([Pattern::Everybody])),
            ScopeKind::Messages => Inner::Messages([MessagePattern::all()].into()),
            ScopeKind::Rooms => Inner::Rooms(Box::new([Pattern::Everybody])),
            ScopeKind::Stanzas => Inner::Stanzas(
                [StanzaKind::Message, StanzaKind::Presence, StanzaKind::Iq]
                    .map(|kind| StanzaPattern { kind, to: Pattern::Everybody })
                    .into(),
            ),
            ScopeKind::Quota => Inner::Quota(DEFAULT_QUOTA),
            ScopeKind::Servers => Inner::Servers([WebPattern::all()].into()),
            ScopeKind::Files => Inner::Files([FilePattern::all()].into()),
            ScopeKind::Namespaces => Inner::Namespaces([NamePattern::All].into()),
            ScopeKind::Plugins => Inner::Plugins([NamePattern::All].into()),
            ScopeKind::Nodes => Inner::Nodes([NodePattern::all()].into()),
        })
    }

    /// Parses the entries that an owner wrote. An entry that is listed twice, in any spelling, counts once.
    pub fn parse<S: AsRef<str>>(kind: ScopeKind, entries: &[S]) -> Result<Self, BadScope> {
        match (kind, entries) {
            (ScopeKind::None, _) => return Err(BadScope::NotScoped),
            (_, []) => return Err(BadScope::Empty),
            (_, entries) if entries.len() > MOST_ENTRIES => return Err(BadScope::TooMany(entries.len())),
            _ => {}
        }
        if let (ScopeKind::Quota, [_, second, ..]) = (kind, entries) {
            return Err(BadScope::SecondSize(second.as_ref().chars().take(64).collect()));
        }
        let mut entries = entries.iter().map(AsRef::as_ref);
        Ok(Self(match kind {
            ScopeKind::None => Inner::Whole,
            ScopeKind::Jids => Inner::Jids(once(entries.map(Pattern::parse_person))?),
            ScopeKind::Messages => Inner::Messages(once(entries.map(MessagePattern::parse))?),
            ScopeKind::Rooms => Inner::Rooms(once(entries.map(Pattern::parse_room))?),
            ScopeKind::Stanzas => Inner::Stanzas(once(entries.map(StanzaPattern::parse))?),
            ScopeKind::Quota => Inner::Quota(entries.next().map_or(Err(BadScope::Empty), parse_size)?),
            ScopeKind::Servers => Inner::Servers(once(entries.map(WebPattern::parse))?),
            ScopeKind::Files => Inner::Files(once(entries.map(FilePattern::parse))?),
            ScopeKind::Namespaces => Inner::Namespaces(once(entries.map(NamePattern::parse_namespace))?),
            ScopeKind::Plugins => Inner::Plugins(once(entries.map(NamePattern::parse_plugin))?),
            ScopeKind::Nodes => Inner::Nodes(once(entries.map(NodePattern::parse))?),
        }))
    }

    /// Returns the entries as strings that parse to the same scope; none for a permission without scope.
    pub fn entries(&self) -> Vec<String> {
        match &self.0 {
            Inner::Whole => Vec::new(),
            Inner::Jids(patterns) | Inner::Rooms(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Inner::Messages(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Inner::Stanzas(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Inner::Quota(bytes) => vec![size(*bytes)],
            Inner::Servers(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Inner::Files(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Inner::Namespaces(patterns) | Inner::Plugins(patterns) => {
                patterns.iter().map(ToString::to_string).collect()
            }
            Inner::Nodes(patterns) => patterns.iter().map(ToString::to_string).collect(),
        }
    }

    /// Returns the kind of its entries.
    pub fn kind(&self) -> ScopeKind {
        match self.0 {
            Inner::Whole => ScopeKind::None,
            Inner::Jids(_) => ScopeKind::Jids,
            Inner::Messages(_) => ScopeKind::Messages,
            Inner::Rooms(_) => ScopeKind::Rooms,
            Inner::Stanzas(_) => ScopeKind::Stanzas,
            Inner::Quota(_) => ScopeKind::Quota,
            Inner::Servers(_) => ScopeKind::Servers,
            Inner::Files(_) => ScopeKind::Files,
            Inner::Namespaces(_) => ScopeKind::Namespaces,
            Inner::Plugins(_) => ScopeKind::Plugins,
            Inner::Nodes(_) => ScopeKind::Nodes,
        }
    }

    /// Returns the intersection: the entries of each scope that lie within an entry of the other; none if they share
    /// nothing. If entries cannot express the intersection, as for `contacts` and a domain, the result is smaller.
    pub(super) fn within(&self, other: &Self) -> Option<Self> {
        Some(Self(match (&self.0, &other.0) {
            (Inner::Whole, Inner::Whole) => Inner::Whole,
            (Inner::Quota(one), Inner::Quota(other)) => Inner::Quota(*one.min(other)),
            (Inner::Jids(one), Inner::Jids(other)) => Inner::Jids(common(one, other, Pattern::includes)?),
            (Inner::Messages(one), Inner::Messages(other)) => Inner::Messages(common_messages(one, other)?),
            (Inner::Rooms(one), Inner::Rooms(other)) => Inner::Rooms(common(one, other, Pattern::includes)?),
            (Inner::Stanzas(one), Inner::Stanzas(other)) => {
                let includes =
                    |one: &StanzaPattern, other: &StanzaPattern| one.kind == other.kind && one.to.includes(&other.to);
                Inner::Stanzas(common(one, other, includes)?)
            }
            (Inner::Servers(one), Inner::Servers(other)) => Inner::Servers(common(one, other, WebPattern::includes)?),
            (Inner::Files(one), Inner::Files(other)) => Inner::Files(common(one, other, FilePattern::includes)?),
            (Inner::Namespaces(one), Inner::Namespaces(other)) => {
                Inner::Namespaces(common(one, other, NamePattern::includes)?)
            }
            (Inner::Plugins(one), Inner::Plugins(other)) => Inner::Plugins(common(one, other, NamePattern::includes)?),
            (Inner::Nodes(one), Inner::Nodes(other)) => Inner::Nodes(common(one, other, NodePattern::includes)?),
            _ => return None,
        }))
    }

    /// Returns the entry that alone covers all of the other scope, for any roster.
    pub fn covering(&self, other: &Self) -> Option<String> {
        self.entries().into_iter().find(|entry| {
            let one = Self::parse(self.kind(), std::slice::from_ref(entry)).ok();
            one.and_then(|one| one.within(other)).is_some_and(|both| both == *other)
        })
    }

    /// Returns whether it covers all entries of another scope, for any roster.
    pub fn includes(&self, other: &Self) -> bool {
        let one = |entry: String| Self::parse(other.kind(), &[entry]).ok();
        let mut entries = other.entries().into_iter().filter_map(one);
        self.kind() == other.kind() && entries.all(|entry| self.covering(&entry).is_some())
    }

    /// Returns whether it and another scope cover an address in common. None: it depends on the roster.
    pub fn shares(&self, other: &Self) -> Option<bool> {
        let (ours, theirs) = (self.patterns(), other.patterns());
        let depends = ours.iter().any(|(kind, one)| {
            let mut alike = theirs.iter().filter(|(other, _)| kind == other);
            alike.any(|(_, other)| [*one, *other].contains(&&Pattern::Contacts))
        });
        let depends = depends || self.nodes().iter().chain(other.nodes()).any(NodePattern::names_contacts);
        if self.within(other).is_some() { Some(true) } else { (!depends).then_some(false) }
    }

    /// Returns its nodes.
    fn nodes(&self) -> &[NodePattern] {
        match &self.0 {
            Inner::Nodes(patterns) => patterns,
            _ => &[],
        }
    }

    /// Returns the names of nodes that it lists and that accounts may have (PEP).
    pub fn nodes_of_accounts(&self) -> impl Iterator<Item = &str> {
        self.nodes().iter().filter_map(NodePattern::of_accounts)
    }

    /// Returns its addresses, each with its kind of stanza if it lists stanzas.
    fn patterns(&self) -> Vec<(Option<StanzaKind>, &Pattern)> {
        match &self.0 {
            Inner::Jids(all) | Inner::Rooms(all) => all.iter().map(|one| (None, one)).collect(),
            Inner::Messages(all) => all.iter().map(|one| (None, &one.of)).collect(),
            Inner::Stanzas(all) => all.iter().map(|one| (Some(one.kind), &one.to)).collect(),
            Inner::Whole
            | Inner::Quota(_)
            | Inner::Servers(_)
            | Inner::Files(_)
            | Inner::Namespaces(_)
            | Inner::Plugins(_)
            | Inner::Nodes(_) => Vec::new(),
        }
    }

    /// Returns the keys of its addresses, one for each entry; `None` if it covers everybody, or is not about addresses.
    pub(super) fn keys(&self) -> Option<Vec<AddressKey>> {
        match &self.0 {
            Inner::Jids(all) | Inner::Rooms(all) => all.iter().map(Pattern::key).collect(),
            Inner::Messages(all) => all.iter().map(|one| one.of.key()).collect(),
            Inner::Whole
            | Inner::Stanzas(_)
            | Inner::Quota(_)
            | Inner::Servers(_)
            | Inner::Files(_)
            | Inner::Namespaces(_)
            | Inner::Plugins(_)
            | Inner::Nodes(_) => None,
        }
    }

    /// Returns its address, if it lists exactly one address, and covers all of it.
    pub fn one_address(&self) -> Option<Jid> {
        if let Inner::Messages(all) = &self.0 {
            let [one] = &all[..] else { return None };
            return one.one_address();
        }
        let [(None, one)] = self.patterns()[..] else { return None };
        one.one_address()
    }

    /// Returns the kind of stanza and the recipient, if it lists exactly one recipient.
    pub fn one_recipient(&self) -> Option<(&'static str, Jid)> {
        let [(Some(kind), to)] = self.patterns()[..] else { return None };
        Some((kind.as_str(), to.one_address()?))
    }

    /// Returns whether it covers exactly this target, spelled as an entry, and no other: an address may be spelled like
    /// an entry that covers many.
    pub(super) fn is_exactly(&self, target: &str) -> bool {
        match (&self.0, target.split_once(':')) {
            (Inner::Jids(_) | Inner::Messages(_) | Inner::Rooms(_), _) => {
                self.one_address().is_some_and(|one| one.as_str() == target)
            }
            (Inner::Stanzas(_), Some((_, to))) => self.one_recipient().is_some_and(|(_, one)| one.as_str() == to),
            (Inner::Nodes(patterns), _) => patterns.iter().all(NodePattern::is_one),
            // The parser of URLs takes a star in the name of a server.
            (Inner::Servers(patterns), _) => patterns.iter().all(WebPattern::is_one),
            (Inner::Namespaces(patterns) | Inner::Plugins(patterns), _) => !patterns.contains(&NamePattern::All),
            (Inner::Stanzas(_), None) | (Inner::Whole | Inner::Quota(_) | Inner::Files(_), _) => true,
        }
    }

    /// Returns whether it lists contacts.
    pub fn names_contacts(&self) -> bool {
        self.patterns().iter().any(|(_, pattern)| **pattern == Pattern::Contacts)
            || self.nodes().iter().any(NodePattern::names_contacts)
    }

    /// Returns whether some of its entries cover encrypted messages alone.
    pub fn leaves_plain_out(&self) -> bool {
        matches!(&self.0, Inner::Messages(patterns) if patterns.iter().any(|one| one.is_encrypted))
    }

    /// Returns whether all of its entries cover encrypted messages alone.
    pub fn is_encrypted_alone(&self) -> bool {
        matches!(&self.0, Inner::Messages(patterns) if patterns.iter().all(|one| one.is_encrypted))
    }

    /// Returns how many bytes it grants, if it is a quota.
    pub fn quota(&self) -> Option<u64> {
        match self.0 {
            Inner::Quota(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns whether it lists exactly this address of the network, so that a plugin may connect to it: by the address
    /// itself, or by a name that resolves to it.
    pub fn lists(&self, address: SocketAddr, by_name: bool) -> bool {
        self.web().iter().any(|pattern| pattern.lists(address, by_name))
    }

    /// Returns its entries that are servers of the web, each with its place. Empty if it lists no servers.
    pub fn servers(&self) -> Vec<(String, ServerPlace)> {
        self.web().iter().map(|pattern| (pattern.to_string(), pattern.place())).collect()
    }

    /// Returns whether it lists servers by name, so that the address to which a name leads decides, too.
    pub fn is_by_name(&self) -> bool {
        self.web().iter().any(WebPattern::is_by_name)
    }

    /// Returns the one address of the owner's own network that it lists, if it lists nothing else.
    pub fn own_address(&self) -> Option<SocketAddr> {
        let [one] = self.web() else { return None };
        one.own_address()
    }

    /// Returns the scheme and the addresses of this machine, if it lists nothing but this machine, by a name.
    pub fn loopbacks(&self) -> Option<(&'static str, [SocketAddr; 2])> {
        let [one] = self.web() else { return None };
        one.loopbacks()
    }

    /// Returns whether it covers every request to the servers of another scope. The address of a server may still be refused.
    pub fn spans(&self, other: &Self) -> bool {
        let ours = self.web();
        !ours.is_empty() && other.web().iter().all(|other| ours.iter().any(|one| one.spans(other)))
    }

    fn web(&self) -> &[WebPattern] {
        match &self.0 {
            Inner::Servers(patterns) => patterns,
            _ => &[],
        }
    }

    /// Returns whether it lists recipients, as only the scope of `stanza.send` can.
    pub(super) fn names_recipients(&self) -> bool {
        matches!(&self.0, Inner::Stanzas(patterns) if patterns.iter().any(|pattern| pattern.to != Pattern::Everybody))
    }

    /// Returns whether it covers this target. It does not cover a target of the wrong kind. Only `*` covers a call
    /// without target.
    ///
    /// It does not allocate, except to look up the contact of a full JID, after no other entry covered it.
    pub fn covers(&self, target: Target<'_>, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        match (&self.0, target) {
            // A file whose upload began is completed, and a received request is answered.
            (Inner::Whole | Inner::Quota(_), _)
            | (Inner::Files(_) | Inner::Namespaces(_) | Inner::Plugins(_), Target::None) => true,
            (Inner::Jids(patterns) | Inner::Rooms(patterns), Target::None) => patterns.contains(&Pattern::Everybody),
            (Inner::Jids(patterns) | Inner::Rooms(patterns), Target::Jid(jid)) => covered(patterns, jid, is_contact),
            (Inner::Jids(patterns) | Inner::Rooms(patterns), Target::Room(room)) => covered(patterns, room, is_contact),
            // A plugin that may read some messages of a chat may query it. Each message is checked separately.
            (Inner::Messages(patterns), Target::None) => patterns.iter().any(|one| one.of == Pattern::Everybody),
            (Inner::Messages(patterns), Target::Jid(jid)) => message::covered(patterns, jid, true, is_contact),
            (Inner::Messages(patterns), Target::Room(room)) => message::covered(patterns, room, true, is_contact),
            (Inner::Messages(patterns), Target::Message { chat, is_encrypted }) => {
                message::covered(patterns, chat, is_encrypted, is_contact)
            }
            (Inner::Nodes(patterns), Target::None) => patterns.contains(&NodePattern::all()),
            (Inner::Nodes(patterns), Target::Node { service, node, is_own }) => {
                patterns.iter().any(|pattern| pattern.covers(service, node, is_own, is_contact))
            }
            (Inner::Servers(patterns), Target::None) => patterns.contains(&WebPattern::all()),
            (Inner::Servers(patterns), Target::Web { method, address }) => {
                patterns.iter().any(|pattern| pattern.covers(method, address))
            }
            (Inner::Files(patterns), Target::File { media_type, bytes }) => {
                patterns.iter().any(|pattern| pattern.covers(media_type, bytes))
            }
            (Inner::Namespaces(patterns), Target::Namespace(namespace)) => {
                patterns.iter().any(|pattern| pattern.covers(namespace))
            }
            (Inner::Plugins(patterns), Target::Plugin(plugin)) => {
                patterns.iter().any(|pattern| pattern.covers(plugin.as_str()))
            }
            (Inner::Stanzas(patterns), Target::Stanza { kind, to }) => {
                let Some(kind) = StanzaKind::parse(kind) else { return false };
                let mut of_kind = patterns.iter().filter(|pattern| pattern.kind == kind);
                match to {
                    None => of_kind.any(|pattern| pattern.to == Pattern::Everybody),
                    Some(jid) => of_kind.any(|pattern| pattern.to.covers(jid, is_contact)),
                }
            }
            // A target of another kind.
            (
                Inner::Jids(_)
                | Inner::Messages(_)
                | Inner::Rooms(_)
                | Inner::Stanzas(_)
                | Inner::Servers(_)
                | Inner::Files(_)
                | Inner::Namespaces(_)
                | Inner::Plugins(_)
                | Inner::Nodes(_),
                _,
            ) => false,
        }
    }
}

/// Keeps each pattern once, so that removing one leaves no copy in another spelling.
fn once<P: PartialEq>(patterns: impl Iterator<Item = Result<P, BadScope>>) -> Result<Box<[P]>, BadScope> {
    let mut all = Vec::new();
    for pattern in patterns {
        let pattern = pattern?;
        if !all.contains(&pattern) {
            all.push(pattern);
        }
    }
    Ok(all.into())
}

/// Returns what both lists cover: entries of each that lie within one of the other, and for encrypted messages alone what one list has of
/// all messages and the other of these.
fn common_messages(one: &[MessagePattern], other: &[MessagePattern]) -> Option<Box<[MessagePattern]>> {
    let mut both = common(one, other, MessagePattern::includes).map(Vec::from).unwrap_or_default();
    for pattern in one.iter().flat_map(|left| other.iter().filter_map(|right| left.common(right))) {
        if !both.iter().any(|wide| wide.includes(&pattern)) {
            both.push(pattern);
        }
    }
    (!both.is_empty()).then(|| both.into())
}

/// Returns the entries of each list that lie within an entry of the other.
fn common<P: Clone + PartialEq>(one: &[P], other: &[P], includes: impl Fn(&P, &P) -> bool) -> Option<Box<[P]>> {
    let within = |pattern: &&P, list: &[P]| list.iter().any(|wide| includes(wide, pattern));
    let mut both: Vec<P> = one.iter().filter(|pattern| within(pattern, other)).cloned().collect();
    for pattern in other.iter().filter(|pattern| within(pattern, one)) {
        if !both.contains(pattern) {
            both.push(pattern.clone());
        }
    }
    (!both.is_empty()).then(|| both.into())
}
