//! The scope of one grant: parsed once from the strings that an owner wrote, then checked for each event and call.
//!
//! It knows addresses and kinds of stanzas, not permissions, events or calls.

use std::fmt;

use jid::{BareJid, DomainPart, DomainRef, FullJid, Jid};
use parlor_base::nearest::nearest;
use parlor_base::permission::ScopeKind;

use super::grants::Target;

/// The most entries that one scope may list: each event checks every entry.
pub const MOST_ENTRIES: usize = 1_000;

/// The quota that `storage = true` grants, in bytes.
pub const DEFAULT_QUOTA: u64 = 16 * MIB;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The scope of a grant. Never empty: a scope that covers nothing is not a grant.
///
/// People (`messages.*`, `archive.read`): `*` is everybody; `contacts` everyone in the roster; `juliet@example.org`
/// that account with all its resources; `juliet@example.org/balcony` that resource alone; `@example.org` every account
/// of that domain; `example.org` the domain's own address, that is, the server.
///
/// Rooms (`rooms.*`): `*`, `lobby@conference.example.org`, `@conference.example.org`.
///
/// Stanzas: `message`, `presence`, `iq`, each for every recipient; for `stanza.send` also with recipients as above,
/// such as `message:juliet@example.org` or `iq:@example.org`. A stanza without recipient is covered by a kind alone.
///
/// A quota: `16 MiB`, `512 KiB`, `1 GiB`, or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Inner);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Inner {
    Whole,
    Jids(Box<[Pattern]>),
    Rooms(Box<[Pattern]>),
    Stanzas(Box<[StanzaPattern]>),
    Quota(u64),
}

/// The addresses that one entry covers. Parsing normalises them (RFC 7622), except international domains, which keep
/// the owner's spelling for display.
#[derive(Debug, Clone, Eq)]
enum Pattern {
    Everybody,
    Contacts,
    Account(BareJid),
    Resource(FullJid),
    Domain(DomainPart),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct StanzaPattern {
    kind: StanzaKind,
    to: Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StanzaKind {
    Message,
    Presence,
    Iq,
}

/// The reason why a list is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScope {
    /// The list covers nothing.
    #[error("an empty list covers nothing: write false, or leave the line out")]
    Empty,
    /// The list is too long.
    #[error("{0} entries are too many: write at most {MOST_ENTRIES}, or a domain such as \"@example.org\"")]
    TooMany(usize),
    /// The permission has no scope.
    #[error("there is nothing to list: write true")]
    NotScoped,
    /// An entry is not an address.
    #[error("{entry:?} is no address ({reason}): write {expected}")]
    NoAddress {
        /// The entry, as the owner wrote it.
        entry: String,
        /// Why it is not an address.
        reason: String,
        /// The entries that are valid here.
        expected: &'static str,
    },
    /// An entry is a word such as `everyone`. It would parse as a server's name, but a keyword was meant.
    #[error("{entry:?} is no address: did you mean {meant:?}? There can be {JID_ENTRIES}")]
    Word {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The keyword that was probably meant.
        meant: &'static str,
    },
    /// An entry has a star among other characters.
    #[error("{entry:?} covers nobody, since a star stands for everybody and only by itself: write {meant:?}")]
    Star {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The entry that was probably meant.
        meant: String,
    },
    /// The recipient of a stanza is wrong.
    #[error("behind \"{kind}:\", {reason}")]
    Recipient {
        /// The kind of stanza before the recipient.
        kind: String,
        /// Why the recipient is wrong.
        reason: Box<BadScope>,
    },
    /// An entry in a list of rooms is a server.
    #[error("{entry:?} is a server, not a room: write {ROOM_ENTRIES}")]
    NoRoom {
        /// The entry, as the owner wrote it.
        entry: String,
    },
    /// An entry in a list of rooms is an address with a resource.
    #[error("{entry:?} is an occupant, not a room: write {room:?}")]
    Occupant {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The room of that occupant.
        room: String,
    },
    /// A list of rooms has the entry `contacts`, which are people.
    #[error("\"contacts\" are people, not rooms: write {ROOM_ENTRIES}")]
    ContactsAreNoRooms,
    /// An entry is not a kind of stanza.
    #[error("{0:?} is no kind of stanza: write \"message\", \"presence\" or \"iq\", each that is meant")]
    NoStanzaKind(String),
    /// An entry is not a size.
    #[error("{entry:?} is no size: write a whole number and one of B, KiB, MiB, GiB, such as [{meant:?}]")]
    NoSize {
        /// The entry, as the owner wrote it.
        entry: String,
        /// The size that was probably meant, or an example.
        meant: String,
    },
    /// The list has a second size.
    #[error("{0:?} is a second size: write one, such as [\"16 MiB\"]")]
    SecondSize(String),
}

const JID_ENTRIES: &str = "\"*\", \"contacts\", \"juliet@example.org\" or \"@example.org\"";
const ROOM_ENTRIES: &str = "\"*\", \"lobby@conference.example.org\" or \"@conference.example.org\"";

/// Returns the entries that a list of this kind can hold, for messages.
pub(super) fn entries_of(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::None => "nothing",
        ScopeKind::Jids => JID_ENTRIES,
        ScopeKind::Rooms => ROOM_ENTRIES,
        ScopeKind::Stanzas => "\"message\", \"presence\" or \"iq\"",
        ScopeKind::Quota => "one size",
    }
}

impl Scope {
    /// Returns the scope of a permission that is granted whole: everybody, every room, every kind, or no scope at all.
    pub fn whole(kind: ScopeKind) -> Self {
        Self(match kind {
            ScopeKind::None => Inner::Whole,
            ScopeKind::Jids => Inner::Jids(Box::new([Pattern::Everybody])),
            ScopeKind::Rooms => Inner::Rooms(Box::new([Pattern::Everybody])),
            ScopeKind::Stanzas => Inner::Stanzas(
                [StanzaKind::Message, StanzaKind::Presence, StanzaKind::Iq]
                    .map(|kind| StanzaPattern { kind, to: Pattern::Everybody })
                    .into(),
            ),
            ScopeKind::Quota => Inner::Quota(DEFAULT_QUOTA),
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
            ScopeKind::Rooms => Inner::Rooms(once(entries.map(Pattern::parse_room))?),
            ScopeKind::Stanzas => Inner::Stanzas(once(entries.map(StanzaPattern::parse))?),
            ScopeKind::Quota => Inner::Quota(entries.next().map_or(Err(BadScope::Empty), parse_size)?),
        }))
    }

    /// Returns the entries as strings that parse to the same scope; none for a permission without scope.
    pub fn entries(&self) -> Vec<String> {
        match &self.0 {
            Inner::Whole => Vec::new(),
            Inner::Jids(patterns) | Inner::Rooms(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Inner::Stanzas(patterns) => patterns.iter().map(ToString::to_string).collect(),
            Inner::Quota(bytes) => vec![size(*bytes)],
        }
    }

    /// Returns the kind of its entries.
    pub fn kind(&self) -> ScopeKind {
        match self.0 {
            Inner::Whole => ScopeKind::None,
            Inner::Jids(_) => ScopeKind::Jids,
            Inner::Rooms(_) => ScopeKind::Rooms,
            Inner::Stanzas(_) => ScopeKind::Stanzas,
            Inner::Quota(_) => ScopeKind::Quota,
        }
    }

    /// Returns the intersection: the entries of each scope that lie within an entry of the other; none if they share
    /// nothing. If entries cannot express the intersection, as for `contacts` and a domain, the result is smaller.
    pub(super) fn within(&self, other: &Self) -> Option<Self> {
        Some(Self(match (&self.0, &other.0) {
            (Inner::Whole, Inner::Whole) => Inner::Whole,
            (Inner::Quota(one), Inner::Quota(other)) => Inner::Quota(*one.min(other)),
            (Inner::Jids(one), Inner::Jids(other)) => Inner::Jids(common(one, other, Pattern::includes)?),
            (Inner::Rooms(one), Inner::Rooms(other)) => Inner::Rooms(common(one, other, Pattern::includes)?),
            (Inner::Stanzas(one), Inner::Stanzas(other)) => {
                let includes =
                    |one: &StanzaPattern, other: &StanzaPattern| one.kind == other.kind && one.to.includes(&other.to);
                Inner::Stanzas(common(one, other, includes)?)
            }
            _ => return None,
        }))
    }

    /// Returns the entry that alone covers all of the other scope, whoever is in the roster.
    pub fn covering(&self, other: &Self) -> Option<String> {
        self.entries().into_iter().find(|entry| {
            let one = Self::parse(self.kind(), std::slice::from_ref(entry)).ok();
            one.and_then(|one| one.within(other)).is_some_and(|both| both == *other)
        })
    }

    /// Returns whether it covers all entries of another scope, whoever is in the roster.
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
        if self.within(other).is_some() { Some(true) } else { (!depends).then_some(false) }
    }

    /// Returns its addresses, each with its kind of stanza if it lists stanzas.
    fn patterns(&self) -> Vec<(Option<StanzaKind>, &Pattern)> {
        match &self.0 {
            Inner::Jids(all) | Inner::Rooms(all) => all.iter().map(|one| (None, one)).collect(),
            Inner::Stanzas(all) => all.iter().map(|one| (Some(one.kind), &one.to)).collect(),
            Inner::Whole | Inner::Quota(_) => Vec::new(),
        }
    }

    /// Returns its address, if it lists exactly one address.
    pub fn one_address(&self) -> Option<Jid> {
        let [(None, one)] = self.patterns()[..] else { return None };
        one.one_address()
    }

    /// Returns the kind of stanza and the recipient, if it lists exactly one recipient.
    pub fn one_recipient(&self) -> Option<(&'static str, Jid)> {
        let [(Some(kind), to)] = self.patterns()[..] else { return None };
        Some((kind.as_str(), to.one_address()?))
    }

    /// Returns whether it covers exactly this target, spelled as an entry, and nobody else: an address may be spelled
    /// like an entry that covers many.
    pub(super) fn is_exactly(&self, target: &str) -> bool {
        match (&self.0, target.split_once(':')) {
            (Inner::Jids(_) | Inner::Rooms(_), _) => self.one_address().is_some_and(|one| one.as_str() == target),
            (Inner::Stanzas(_), Some((_, to))) => self.one_recipient().is_some_and(|(_, one)| one.as_str() == to),
            (Inner::Stanzas(_), None) | (Inner::Whole | Inner::Quota(_), _) => true,
        }
    }

    /// Returns whether it lists contacts.
    pub fn names_contacts(&self) -> bool {
        self.patterns().iter().any(|(_, pattern)| **pattern == Pattern::Contacts)
    }

    /// Returns how many bytes it grants, if it is a quota.
    pub fn quota(&self) -> Option<u64> {
        match self.0 {
            Inner::Quota(bytes) => Some(bytes),
            _ => None,
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
            (Inner::Whole | Inner::Quota(_), _) => true,
            (Inner::Jids(patterns) | Inner::Rooms(patterns), Target::None) => patterns.contains(&Pattern::Everybody),
            (Inner::Jids(patterns) | Inner::Rooms(patterns), Target::Jid(jid)) => covered(patterns, jid, is_contact),
            (Inner::Jids(patterns) | Inner::Rooms(patterns), Target::Room(room)) => covered(patterns, room, is_contact),
            (Inner::Jids(_) | Inner::Rooms(_), Target::Stanza { .. })
            | (Inner::Stanzas(_), Target::None | Target::Jid(_) | Target::Room(_)) => false,
            (Inner::Stanzas(patterns), Target::Stanza { kind, to }) => {
                let Some(kind) = StanzaKind::parse(kind) else { return false };
                let mut of_kind = patterns.iter().filter(|pattern| pattern.kind == kind);
                match to {
                    None => of_kind.any(|pattern| pattern.to == Pattern::Everybody),
                    Some(jid) => of_kind.any(|pattern| pattern.to.covers(jid, is_contact)),
                }
            }
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

/// Returns whether any of the patterns covers the address. The roster is checked last, since that costs most.
fn covered(patterns: &[Pattern], jid: &Jid, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
    patterns.iter().any(|pattern| *pattern != Pattern::Contacts && pattern.covers(jid, is_contact))
        || (patterns.contains(&Pattern::Contacts) && Pattern::Contacts.covers(jid, is_contact))
}

impl Pattern {
    fn parse_person(entry: &str) -> Result<Self, BadScope> {
        let pattern = Self::parse(entry, JID_ENTRIES)?;
        // A name without a dot may be a server's, but not one that is so near to a keyword.
        let meant = match &pattern {
            Self::Account(jid) if jid.node().is_none() && !jid.domain().as_str().contains('.') => {
                meant(jid.domain().as_str())
            }
            _ => None,
        };
        match meant {
            Some(meant) => Err(BadScope::Word { entry: shown(entry), meant }),
            None => Ok(pattern),
        }
    }

    fn parse(entry: &str, expected: &'static str) -> Result<Self, BadScope> {
        let pattern = Self::parse_any(entry, expected)?;
        match pattern.starred() {
            Some(meant) => Err(BadScope::Star { entry: shown(entry), meant }),
            None => Ok(pattern),
        }
    }

    fn parse_any(entry: &str, expected: &'static str) -> Result<Self, BadScope> {
        let no_address =
            |error: jid::Error| BadScope::NoAddress { entry: shown(entry), reason: error.to_string(), expected };
        match entry {
            "*" => Ok(Self::Everybody),
            "contacts" => Ok(Self::Contacts),
            _ => match entry.strip_prefix('@') {
                Some(domain) => domain.parse().map(Self::Domain).map_err(no_address),
                None => match Jid::new(entry).map_err(no_address)?.try_into_full() {
                    Ok(full) => Ok(Self::Resource(full)),
                    Err(bare) => Ok(Self::Account(bare)),
                },
            },
        }
    }

    fn parse_room(entry: &str) -> Result<Self, BadScope> {
        match Self::parse(entry, ROOM_ENTRIES)? {
            Self::Contacts => Err(BadScope::ContactsAreNoRooms),
            Self::Account(server) if server.node().is_none() => Err(BadScope::NoRoom { entry: shown(entry) }),
            Self::Resource(full) => {
                Err(BadScope::Occupant { entry: full.to_string(), room: full.to_bare().to_string() })
            }
            pattern => Ok(pattern),
        }
    }

    /// Returns the entry that was probably meant by a star in the place of names.
    fn starred(&self) -> Option<String> {
        let (node, domain) = match self {
            Self::Account(jid) => (jid.node(), jid.domain().as_str()),
            Self::Resource(jid) => (jid.node(), jid.domain().as_str()),
            Self::Domain(domain) => (None, domain.as_str()),
            Self::Everybody | Self::Contacts => return None,
        };
        let rest = domain.trim_start_matches("*.");
        if rest == "*" {
            return Some(rest.to_owned());
        }
        let has_star = rest.len() < domain.len() || node.is_some_and(|node| node.as_str() == "*");
        has_star.then(|| format!("@{rest}"))
    }

    /// Returns its address, if it covers only one.
    fn one_address(&self) -> Option<Jid> {
        match self {
            Self::Account(bare) => Some(bare.clone().into()),
            Self::Resource(full) => Some(full.clone().into()),
            Self::Everybody | Self::Contacts | Self::Domain(_) => None,
        }
    }

    /// Returns whether it covers all that the other pattern covers, whoever is in the roster.
    fn includes(&self, other: &Self) -> bool {
        match other {
            Self::Account(jid) => self.covers(jid, &|_| false),
            Self::Resource(jid) => self.covers(jid, &|_| false),
            Self::Everybody | Self::Contacts | Self::Domain(_) => self == other || *self == Self::Everybody,
        }
    }

    fn covers(&self, jid: &Jid, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        match self {
            Self::Everybody => true,
            Self::Contacts => match jid.try_as_full() {
                Ok(full) => is_contact(&full.to_bare()),
                Err(bare) => is_contact(bare),
            },
            Self::Account(bare) => jid.node() == bare.node() && is_same_domain(jid.domain(), bare.domain()),
            Self::Resource(full) => is_same(jid, full),
            // The domain's own address is the server. That is more than another account, so it has to be listed itself.
            Self::Domain(domain) => jid.node().is_some() && is_same_domain(jid.domain(), domain),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everybody, Self::Everybody) | (Self::Contacts, Self::Contacts) => true,
            (Self::Account(one), Self::Account(other)) => is_same(one, other),
            (Self::Resource(one), Self::Resource(other)) => is_same(one, other),
            (Self::Domain(one), Self::Domain(other)) => is_same_domain(one, other),
            // No wildcard: a new kind of entry has to define here when two are equal.
            (Self::Everybody | Self::Contacts | Self::Account(_) | Self::Resource(_) | Self::Domain(_), _) => false,
        }
    }
}

fn is_same(one: &Jid, other: &Jid) -> bool {
    one.node() == other.node() && one.resource() == other.resource() && is_same_domain(one.domain(), other.domain())
}

/// Returns whether two domains are equal: `xn--mnchen-3ya.de` is the DNS form of `münchen.de` (RFC 7622, section
/// 3.2.1).
fn is_same_domain(one: &DomainRef, other: &DomainRef) -> bool {
    // Most domains are neither, and only cost a comparison.
    let is_international = |domain: &str| !domain.is_ascii() || domain.contains("xn--");
    let in_dns = |domain: &str| idna::domain_to_ascii(domain).ok();
    one == other
        || (is_international(one.as_str()) && is_international(other.as_str()) && {
            let (one, other) = (in_dns(one.as_str()), in_dns(other.as_str()));
            one.is_some() && one == other
        })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("*"),
            Self::Contacts => f.write_str("contacts"),
            Self::Account(jid) => jid.fmt(f),
            Self::Resource(jid) => jid.fmt(f),
            Self::Domain(domain) => write!(f, "@{domain}"),
        }
    }
}

impl StanzaPattern {
    fn parse(entry: &str) -> Result<Self, BadScope> {
        let (name, to) = entry.split_once(':').map_or((entry, None), |(name, to)| (name, Some(to)));
        let kind = StanzaKind::parse(name).ok_or_else(|| BadScope::NoStanzaKind(name.chars().take(64).collect()))?;
        let behind = |reason| BadScope::Recipient { kind: name.to_owned(), reason: Box::new(reason) };
        let to = to.map_or(Ok(Pattern::Everybody), Pattern::parse_person).map_err(behind)?;
        Ok(Self { kind, to })
    }
}

impl fmt::Display for StanzaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        match &self.to {
            Pattern::Everybody => f.write_str(kind),
            to => write!(f, "{kind}:{to}"),
        }
    }
}

impl StanzaKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }

    fn parse(kind: &str) -> Option<Self> {
        match kind {
            "message" => Some(Self::Message),
            "presence" => Some(Self::Presence),
            "iq" => Some(Self::Iq),
            _ => None,
        }
    }
}

/// Returns as much of an entry as an error shows.
fn shown(entry: &str) -> String {
    entry.chars().take(128).collect()
}

/// Returns the keyword that this word seems to mean.
fn meant(word: &str) -> Option<&'static str> {
    const EVERYBODY: [&str; 6] = ["all", "any", "anybody", "anyone", "everybody", "everyone"];
    if EVERYBODY.contains(&word) { Some("*") } else { nearest(word, ["contacts"]) }
}

fn parse_size(entry: &str) -> Result<u64, BadScope> {
    let digits = entry.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = entry.split_at(digits);
    let factor = match unit.trim_start_matches(' ') {
        "" | "B" => Some(1),
        "KiB" => Some(KIB),
        "MiB" => Some(MIB),
        "GiB" => Some(GIB),
        _ => None,
    };
    let bytes = factor.zip(number.parse().ok()).and_then(|(factor, number): (u64, u64)| number.checked_mul(factor));
    bytes.ok_or_else(|| BadScope::NoSize {
        entry: entry.chars().take(64).collect(),
        meant: meant_size(number, unit).unwrap_or_else(|| size(DEFAULT_QUOTA)),
    })
}

/// Returns the size of a number with a misspelled unit, such as `16` and `mb`.
fn meant_size(number: &str, unit: &str) -> Option<String> {
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 1,
        "k" | "kb" | "kib" => KIB,
        "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => GIB,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(size)
}

fn size(bytes: u64) -> String {
    match [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")].iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => bytes.to_string(),
    }
}
