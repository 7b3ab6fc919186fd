//! Keys of addresses, by which scopes that cannot cover an address are told without comparing each entry.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use jid::{DomainRef, Jid, NodeRef};

/// A hash of the addresses that one entry of a scope covers. If an entry covers an address, the address has the key of the
/// entry; the reverse need not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressKey(u32);

impl AddressKey {
    /// The key of all contacts.
    pub const CONTACTS: Self = Self(1);
    /// A key that no address has.
    pub const NONE: Self = Self(0);

    /// Returns the key of an address without its resource.
    pub fn of_account(jid: &Jid) -> Self {
        Self::hash(&(jid.node().map(NodeRef::as_str), in_dns(jid.domain())))
    }

    /// Returns the key of all addresses of a domain.
    pub fn of_domain(domain: &DomainRef) -> Self {
        Self::hash(&in_dns(domain))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a part of a hash is a hash")]
    fn hash(parts: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self((hasher.finish() as u32).max(2))
    }
}

/// Returns the form of a domain in which equal ones are spelled the same: `xn--mnchen-3ya.de` is the DNS form of
/// `münchen.de` (RFC 7622, section 3.2.1).
pub(super) fn in_dns(domain: &DomainRef) -> Cow<'_, str> {
    let domain = domain.as_str();
    // Most domains are neither.
    if domain.is_ascii() && !domain.contains("xn--") {
        return Cow::Borrowed(domain);
    }
    idna::domain_to_ascii(domain).map_or(Cow::Borrowed(domain), Cow::Owned)
}
