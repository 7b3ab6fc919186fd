//! A contact: its roster entry, its presence, and its vCard.

use std::sync::Arc;

use imbl::OrdMap;
use jid::BareJid;
use jiff::Timestamp;
use parlor_stanza::types::{RosterItem, Show};

use super::card::KnownCard;

/// A roster entry with its presence. Fields as in `contact` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Contact {
    pub jid: BareJid,
    pub fullname: String,
    pub subscription: String,
    pub ask: bool,
    pub requesting: bool,
    pub groups: Vec<String>,
    /// Connected clients, the preferred one first.
    pub resources: Vec<ContactResource>,
    /// The contact's vCard, once it was fetched.
    pub card: Option<Arc<KnownCard>>,
    /// Set if this is an occupant of a room rather than a roster entry: the nickname, with the room's address in `jid`.
    /// An event about the occupant's vCard uses it.
    pub occupant: Option<String>,
}

impl Contact {
    /// Creates a contact from a roster entry, without presence.
    pub fn new(item: RosterItem) -> Self {
        Self {
            fullname: item.name.filter(|name| !name.is_empty()).unwrap_or_else(|| item.jid.to_string()),
            jid: item.jid,
            subscription: item.subscription,
            ask: item.ask,
            requesting: false,
            groups: item.groups,
            resources: Vec::new(),
            card: None,
            occupant: None,
        }
    }

    /// Returns the roster entry of the contact.
    pub fn to_item(&self) -> RosterItem {
        RosterItem {
            jid: self.jid.clone(),
            name: Some(self.fullname.clone()).filter(|name| name != self.jid.as_str()),
            subscription: self.subscription.clone(),
            ask: self.ask,
            groups: self.groups.clone(),
        }
    }

    /// Creates a contact for someone outside of the roster who asks to see our presence.
    pub(crate) fn stranger(jid: BareJid) -> Self {
        Self {
            fullname: jid.to_string(),
            jid,
            subscription: "none".to_owned(),
            ask: false,
            requesting: true,
            groups: Vec::new(),
            resources: Vec::new(),
            card: None,
            occupant: None,
        }
    }

    /// Renames the contact to the nickname that it gave itself.
    pub(crate) fn called(self, nick: Option<String>) -> Self {
        Self { fullname: nick.unwrap_or(self.fullname), ..self }
    }

    /// Every status that [`chat_status`](Self::chat_status) returns.
    pub const CHAT_STATUSES: [&'static str; 5] = ["online", "away", "xa", "busy", "offline"];

    /// Returns `online`, `offline`, `busy`, `away` or `xa`, from the preferred client.
    pub fn chat_status(&self) -> &'static str {
        match self.resources.first().map(|resource| resource.show) {
            None => "offline",
            Some(None | Some(Show::Chat)) => "online",
            Some(Some(Show::Dnd)) => "busy",
            Some(Some(Show::Away)) => "away",
            Some(Some(Show::Xa)) => "xa",
        }
    }

    /// Returns the status text of the preferred client.
    pub fn status(&self) -> Option<&str> {
        self.resources.first()?.status.as_deref()
    }

    /// Returns how many bytes its texts take, without those of its vCard, which all its users share.
    pub fn texts(&self) -> usize {
        let said = |client: &ContactResource| client.name.len() + client.status.as_ref().map_or(0, String::len);
        let groups: usize = self.groups.iter().map(String::len).sum();
        self.jid.as_str().len() + self.fullname.len() + groups + self.resources.iter().map(said).sum::<usize>()
    }

    /// Returns whether it may already see our presence.
    pub fn sees_us(&self) -> bool {
        matches!(self.subscription.as_str(), "from" | "both")
    }

    /// Returns whether we may see its presence.
    pub fn is_seen(&self) -> bool {
        matches!(self.subscription.as_str(), "to" | "both")
    }

    /// Takes over the presence of the contact that this replaces.
    pub(crate) fn with_presence_of(mut self, known: &Self) -> Self {
        self.resources.clone_from(&known.resources);
        self.card.clone_from(&known.card);
        self.requesting = known.requesting && !self.sees_us();
        self
    }
}

/// All contacts by address. Persistent: a snapshot of it costs a pointer.
pub type Contacts = OrdMap<BareJid, Arc<Contact>>;

/// A connected client of a contact. Fields as in `resource` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct ContactResource {
    pub name: String,
    pub priority: i8,
    pub show: Option<Show>,
    pub status: Option<String>,
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_among_all() {
        let with = |show: Option<Show>| ContactResource {
            name: "phone".to_owned(),
            priority: 0,
            show,
            status: None,
            since: Timestamp::UNIX_EPOCH,
        };
        let mut contact = Contact::stranger("juliet@example.org".parse().unwrap());
        let mut found = vec![contact.chat_status()];
        for show in [None, Some(Show::Chat), Some(Show::Dnd), Some(Show::Away), Some(Show::Xa)] {
            contact.resources = vec![with(show)];
            found.push(contact.chat_status());
        }
        found.sort_unstable();
        found.dedup();
        let mut all = Contact::CHAT_STATUSES;
        all.sort_unstable();
        assert_eq!(found, all);
    }
}
