//! The roster: who is in it, and keeping it as the server says (RFC 6121, section 2).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::BareJid;

use crate::error::CallError;
use crate::event::Payload;
use crate::session::deadlines::Late;
use crate::session::presence::ContactResource;
use crate::session::{Session, Turn};
use crate::stanza::{RosterItem, Show};

/// How many contacts are kept.
pub(super) const MAX_CONTACTS: usize = 50_000;
/// How many strangers may ask to be let in at once.
pub(super) const MAX_REQUESTS: usize = 1_000;
/// When the roster is asked for again after no answer came.
const ASK_AGAIN: Duration = Duration::from_mins(1);
/// The promises that a roster resolves, in the order of their events.
pub(super) const ROSTER_PROMISES: [&str; 3] = ["roster", "rosterGroupsFetched", "rosterContactsFetched"];

/// A roster entry with what presence says of it. Fields as in `contact` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Contact {
    pub jid: BareJid,
    pub fullname: String,
    pub subscription: String,
    pub ask: bool,
    pub requesting: bool,
    pub groups: Vec<String>,
    /// Connected clients, the one that is spoken to first at the front.
    pub resources: Vec<ContactResource>,
}

impl Contact {
    fn new(item: RosterItem) -> Self {
        Self {
            fullname: item.name.filter(|name| !name.is_empty()).unwrap_or_else(|| item.jid.to_string()),
            jid: item.jid,
            subscription: item.subscription,
            ask: item.ask,
            requesting: false,
            groups: item.groups,
            resources: Vec::new(),
        }
    }

    /// Somebody who is not in the roster, and would like to see our presence.
    pub(super) fn stranger(jid: BareJid) -> Self {
        Self {
            fullname: jid.to_string(),
            jid,
            subscription: "none".to_owned(),
            ask: false,
            requesting: true,
            groups: Vec::new(),
            resources: Vec::new(),
        }
    }

    /// `online`, `offline`, `busy`, `away` or `xa`, of the highest resource (API row 65).
    pub fn chat_status(&self) -> &'static str {
        match self.resources.first().map(|resource| resource.show) {
            None => "offline",
            Some(None | Some(Show::Chat)) => "online",
            Some(Some(Show::Dnd)) => "busy",
            Some(Some(Show::Away)) => "away",
            Some(Some(Show::Xa)) => "xa",
        }
    }

    /// The status text of the highest resource.
    pub fn status(&self) -> Option<&str> {
        self.resources.first()?.status.as_deref()
    }

    /// Whether it may already see our presence.
    pub(super) fn sees_us(&self) -> bool {
        matches!(self.subscription.as_str(), "from" | "both")
    }
}

/// The contacts, and the requests of those who are none.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// None until the roster has come.
    pub(super) contacts: Option<OrdMap<BareJid, Arc<Contact>>>,
    /// Who asks without being in the roster: bounded on their own, since strangers cost nothing to make up.
    strangers: HashSet<BareJid>,
}

impl Roster {
    pub(super) fn get(&self, jid: &BareJid) -> Option<&Arc<Contact>> {
        self.contacts.as_ref()?.get(jid)
    }

    pub(super) fn get_mut(&mut self, jid: &BareJid) -> Option<&mut Contact> {
        self.contacts.as_mut()?.get_mut(jid).map(Arc::make_mut)
    }

    /// Whether somebody is in the roster, and not only asking.
    pub(super) fn has(&self, jid: &BareJid) -> bool {
        self.get(jid).is_some() && !self.strangers.contains(jid)
    }

    /// Adds somebody who asks. None: too many do.
    pub(super) fn add_stranger(&mut self, jid: &BareJid) -> Option<Arc<Contact>> {
        if self.strangers.len() >= MAX_REQUESTS {
            return None;
        }
        let contact = Arc::new(Contact::stranger(jid.clone()));
        self.contacts.as_mut()?.insert(jid.clone(), Arc::clone(&contact));
        self.strangers.insert(jid.clone());
        Some(contact)
    }

    /// Forgets somebody who only asked.
    pub(super) fn remove_stranger(&mut self, jid: &BareJid) -> Option<Arc<Contact>> {
        if !self.strangers.remove(jid) {
            return None;
        }
        self.contacts.as_mut()?.remove(jid)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn replace(&mut self, items: Vec<RosterItem>) -> usize {
        let before = self.contacts.take().unwrap_or_default();
        let mut left_out = 0;
        let mut contacts = OrdMap::new();
        for item in items.into_iter().filter(|item| item.subscription != "remove") {
            if contacts.len() >= MAX_CONTACTS {
                left_out += 1;
                continue;
            }
            let mut contact = Contact::new(item);
            if let Some(known) = before.get(&contact.jid) {
                contact.resources.clone_from(&known.resources);
                contact.requesting = known.requesting && !contact.sees_us();
            }
            contacts.insert(contact.jid.clone(), Arc::new(contact));
        }
        self.strangers.retain(|jid| {
            let known = before.get(jid).filter(|_| !contacts.contains_key(jid));
            known.is_some_and(|contact| contacts.insert(jid.clone(), Arc::clone(contact)).is_none())
        });
        self.contacts = Some(contacts);
        left_out
    }

    #[cfg(test)]
    pub(super) fn strangers(&self) -> usize {
        self.strangers.len()
    }
}

impl Session {
    pub(super) fn roster_came(&mut self, items: Vec<RosterItem>, turn: &mut Turn<'_>) {
        let left_out = self.roster.replace(items);
        self.ignored += left_out as u64;
        self.changed = true;
        for name in ROSTER_PROMISES {
            self.fire(name, Payload::None, turn);
            if name == "roster" {
                let error = CallError::Unsupported("the roster is not kept across connections".to_owned());
                self.promises.reject("cachedRoster", error, turn.out);
            }
        }
        self.roster_settled(turn);
    }

    /// A bot without a roster still serves its rooms: whoever waits for contacts learns why there are none, nobody is
    /// shown an empty roster, and everything else goes on.
    pub(super) fn roster_failed(&mut self, why: &str, turn: &mut Turn<'_>) {
        let error = CallError::Rejected(format!("the roster could not be fetched: {why}"));
        for name in ROSTER_PROMISES.into_iter().chain(["cachedRoster"]) {
            self.promises.reject(name, error.clone(), turn.out);
        }
        self.roster_settled(turn);
    }

    pub(super) fn ask_roster_again(&mut self) {
        self.deadlines.set(ASK_AGAIN, Late::RosterAgain);
    }

    /// Applies what the own server says of one entry. `decode` has checked who sent it.
    pub(super) fn roster_push(&mut self, item: RosterItem, xml: String, turn: &mut Turn<'_>) {
        let Some(contacts) = &mut self.roster.contacts else {
            // The roster that is on its way has this change already.
            return;
        };
        if item.subscription == "remove" {
            let Some(contact) = contacts.remove(&item.jid) else { return };
            self.roster.strangers.remove(&item.jid);
            self.changed = true;
            self.fire("rosterPush", Payload::Stanza(xml), turn);
            self.fire("contactRemoved", Payload::Contact(contact), turn);
            return;
        }
        if contacts.len() >= MAX_CONTACTS && !contacts.contains_key(&item.jid) {
            self.ignored += 1;
            return;
        }
        let mut contact = Contact::new(item);
        if let Some(known) = contacts.get(&contact.jid) {
            contact.resources.clone_from(&known.resources);
            contact.requesting = known.requesting && !contact.sees_us();
        }
        let contact = Arc::new(contact);
        contacts.insert(contact.jid.clone(), Arc::clone(&contact));
        self.roster.strangers.remove(&contact.jid);
        self.changed = true;
        self.fire("rosterPush", Payload::Stanza(xml), turn);
    }
}
