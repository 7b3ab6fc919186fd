//! The addresses that one entry of a scope covers.

use std::fmt;

use jid::{BareJid, DomainPart, DomainRef, FullJid, Jid};
use parlor_base::nearest::nearest;

use super::error::{BadScope, JID_ENTRIES, NODE_ENTRIES, ROOM_ENTRIES};
use super::key::{AddressKey, in_dns};

/// The addresses that one entry covers. Parsing normalises them (RFC 7622), except international domains, which keep
/// the owner's spelling for display.
#[derive(Debug, Clone, Eq)]
pub(super) enum Pattern {
    Everybody,
    Contacts,
    Account(BareJid),
    Resource(FullJid),
    Domain(DomainPart),
}

impl Pattern {
    pub(super) fn parse_person(entry: &str) -> Result<Self, BadScope> {
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

    /// Parses the address of a service, or a word for several.
    pub(super) fn parse_service(entry: &str) -> Result<Self, BadScope> {
        Self::parse(entry, NODE_ENTRIES)
    }

    pub(super) fn parse_room(entry: &str) -> Result<Self, BadScope> {
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
    pub(super) fn one_address(&self) -> Option<Jid> {
        match self {
            Self::Account(bare) => Some(bare.clone().into()),
            Self::Resource(full) => Some(full.clone().into()),
            Self::Everybody | Self::Contacts | Self::Domain(_) => None,
        }
    }

    /// Returns the key of the addresses that it covers; `None` if it covers everybody.
    pub(super) fn key(&self) -> Option<AddressKey> {
        match self {
            Self::Everybody => None,
            Self::Contacts => Some(AddressKey::CONTACTS),
            Self::Account(bare) => Some(AddressKey::of_account(bare)),
            Self::Resource(full) => Some(AddressKey::of_account(full)),
            Self::Domain(domain) => Some(AddressKey::of_domain(domain)),
        }
    }

    /// Returns whether it covers all that the other pattern covers, for any roster.
    pub(super) fn includes(&self, other: &Self) -> bool {
        match other {
            Self::Account(jid) => self.covers(jid, &|_| false),
            Self::Resource(jid) => self.covers(jid, &|_| false),
            Self::Everybody | Self::Contacts | Self::Domain(_) => self == other || *self == Self::Everybody,
        }
    }

    pub(super) fn covers(&self, jid: &Jid, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        match self {
            Self::Everybody => true,
            Self::Contacts => match jid.try_as_full() {
                Ok(full) => is_contact(&full.to_bare()),
                Err(bare) => is_contact(bare),
            },
            Self::Account(bare) => jid.node() == bare.node() && is_same_domain(jid.domain(), bare.domain()),
            Self::Resource(full) => is_same(jid, full),
            // The domain's own address is the server. It is more powerful than an account, so it must be listed itself.
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
            // No wildcard pattern: each new kind of entry must define here when two are equal.
            (Self::Everybody | Self::Contacts | Self::Account(_) | Self::Resource(_) | Self::Domain(_), _) => false,
        }
    }
}

fn is_same(one: &Jid, other: &Jid) -> bool {
    one.node() == other.node() && one.resource() == other.resource() && is_same_domain(one.domain(), other.domain())
}

/// Returns whether two domains are equal. An international domain may be spelled in either form.
fn is_same_domain(one: &DomainRef, other: &DomainRef) -> bool {
    one == other || in_dns(one).is_some_and(|one| in_dns(other) == Some(one))
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

/// Returns whether any of the patterns covers the address. The roster is checked last, since that costs most.
pub(super) fn covered(patterns: &[Pattern], jid: &Jid, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
    patterns.iter().any(|pattern| *pattern != Pattern::Contacts && pattern.covers(jid, is_contact))
        || (patterns.contains(&Pattern::Contacts) && Pattern::Contacts.covers(jid, is_contact))
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
