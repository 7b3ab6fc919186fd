//! Keys of addresses. With them, scopes that cannot cover an address are excluded without comparing each entry.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use jid::{BareJid, DomainPart, DomainRef, Jid, NodeRef};

/// A hash of the addresses that one entry of a scope covers. If an entry covers an address, the address has the key of the
/// entry; the reverse need not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey(u32);

impl AddressKey {
    /// The key of all contacts.
    pub const CONTACTS: Self = Self(1);
    /// A key that no address has.
    pub const NONE: Self = Self(0);

    /// Returns the key of an address without its resource.
    pub fn of_account(jid: &Jid) -> Self {
        Self::hash(&(jid.node().map(NodeRef::as_str), spelling(jid.domain())))
    }

    /// Returns the key of all addresses of a domain.
    pub fn of_domain(domain: &DomainRef) -> Self {
        Self::hash(&spelling(domain))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a part of a hash is a hash")]
    fn hash(parts: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self((hasher.finish() as u32).max(2))
    }
}

/// Returns the DNS form of an international domain, which may be spelled in it already: `xn--mnchen-3ya.de` is that of
/// `münchen.de` (RFC 7622, section 3.2.1). `None` for all other domains: they have one spelling.
pub(super) fn in_dns(domain: &DomainRef) -> Option<String> {
    let domain = domain.as_str();
    let is_international = !domain.is_ascii() || domain.contains("xn--");
    is_international.then(|| idna::domain_to_ascii(domain).ok()).flatten()
}

/// Returns an address in both spellings of its international domain; none for another domain, which has one spelling.
pub(crate) fn spellings(jid: &BareJid) -> impl Iterator<Item = BareJid> {
    let both = in_dns(jid.domain()).map(|ascii| [idna::domain_to_unicode(&ascii).0, ascii]);
    let domains = both.into_iter().flatten().filter_map(|domain| domain.parse::<DomainPart>().ok());
    domains.map(move |domain| BareJid::from_parts(jid.node(), &domain))
}

/// Returns what the spellings of one domain have in common: the DNS form of an international domain, and any other domain as it is.
pub fn spelling(domain: &DomainRef) -> Cow<'_, str> {
    in_dns(domain).map_or(Cow::Borrowed(domain.as_str()), Cow::Owned)
}
