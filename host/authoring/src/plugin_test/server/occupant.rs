//! An occupant of a room, with its rank, as the account sees it.

use jid::FullJid;
use minidom::{Element, ElementBuilder};
use parlor_stanza::encode::name;
use xmpp_parsers::ns;

use super::words::{occupant_id, presence};

/// The affiliation of a banned user.
pub(super) const OUTCAST: &str = "outcast";

/// The role of an occupant without voice.
pub(super) const VISITOR: &str = "visitor";

/// The role of an occupant with voice.
pub(super) const PARTICIPANT: &str = "participant";

/// A role or an affiliation in a room (XEP-0045, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The affiliation, which also lasts while the user is not in the room.
    Affiliation(&'static str),
    /// The role, which lasts while the occupant is in the room.
    Role(&'static str),
}

impl Rank {
    /// All affiliations and roles.
    pub const WORDS: [&str; 8] = ["owner", "admin", "member", "none", OUTCAST, "moderator", PARTICIPANT, VISITOR];

    /// The number of affiliations at the beginning of these.
    const AFFILIATIONS: usize = 5;

    /// Parses a role or an affiliation.
    pub fn of(word: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|known| *known == word)?;
        let word = Self::WORDS[at];
        Some(if at < Self::AFFILIATIONS { Self::Affiliation(word) } else { Self::Role(word) })
    }
}

/// Somebody in a room.
#[derive(Debug, Clone)]
pub(super) struct Occupant {
    pub(super) user: FullJid,
    /// The address that the account sees.
    pub(super) address: Option<FullJid>,
    /// The occupant id (XEP-0421).
    pub(super) id: String,
    pub(super) affiliation: String,
    pub(super) role: String,
}

impl Occupant {
    /// Returns an occupant's presence (XEP-0045, section 7.2.2).
    pub(super) fn shown(&self, at: &FullJid, kind: Option<&str>, codes: &[&str]) -> Element {
        let item = self.item(if kind.is_some() { "none" } else { self.role.as_str() });
        self.in_room(at, kind, item, codes)
    }

    /// Returns the presence of an occupant who changes the nickname (XEP-0045, section 7.6).
    pub(super) fn renamed(&self, at: &FullJid, nick: &str, codes: &[&str]) -> Element {
        let item = self.item(&self.role).attr(name("nick"), nick);
        self.in_room(at, Some("unavailable"), item, codes)
    }

    fn item(&self, role: &str) -> ElementBuilder {
        Element::builder("item", ns::MUC_USER)
            .attr(name("affiliation"), self.affiliation.as_str())
            .attr(name("role"), role)
            .attr(name("jid"), self.address.as_ref().map(FullJid::to_string))
    }

    fn in_room(&self, at: &FullJid, kind: Option<&str>, item: ElementBuilder, codes: &[&str]) -> Element {
        let codes = codes.iter().map(|code| Element::builder("status", ns::MUC_USER).attr(name("code"), *code).build());
        let x = Element::builder("x", ns::MUC_USER).append(item).append_all(codes).build();
        presence(Some(&at.clone().into()), kind, vec![x, occupant_id(&self.id)])
    }
}

/// Returns the role with which a user of this affiliation enters.
pub(super) fn first_role(affiliation: &str) -> &'static str {
    if matches!(affiliation, "owner" | "admin") { "moderator" } else { PARTICIPANT }
}
