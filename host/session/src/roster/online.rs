//! The clients of contacts that are online, as far as that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jid::BareJid;

use crate::deadlines::DeadlineKey;
use crate::event::Payload;
use crate::records::contact::Contact;
use crate::turn::Turn;

/// Clients that were online on a lost stream, or before we hid, and have not been reported since, by contact.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    pub(crate) of: BTreeMap<BareJid, BTreeSet<String>>,
    /// People who asked to see our presence then, and whose request has not been repeated since.
    pub(crate) requests: BTreeSet<BareJid>,
    pub(crate) deadline: Option<DeadlineKey>,
}

impl Doubts {
    /// Notes that this client is online.
    pub(crate) fn confirm(&mut self, jid: &BareJid, client: &str) {
        // A stream that is some seconds old has no doubts.
        if let Some(clients) = self.of.get_mut(jid)
            && clients.remove(client)
            && clients.is_empty()
        {
            self.of.remove(jid);
        }
    }

    pub(crate) fn are_none(&self) -> bool {
        self.of.is_empty() && self.requests.is_empty()
    }
}

/// Reports that a contact was removed. Before, it went offline, since its presence is no longer known.
pub(crate) fn tell_removed(contact: Arc<Contact>, turn: &mut Turn<'_>) {
    let after = Contact { resources: Vec::new(), ..Contact::clone(&contact) };
    fire_presence(&contact, &Arc::new(after), turn);
    turn.fire("contactRemoved", Payload::Contact(contact));
}

pub(crate) fn fire_presence(before: &Contact, contact: &Arc<Contact>, turn: &mut Turn<'_>) {
    if before.chat_status() != contact.chat_status() {
        turn.fire("contactPresenceChanged", Payload::Contact(Arc::clone(contact)));
        turn.fire("contactStatusChanged", Payload::Contact(Arc::clone(contact)));
    }
    if before.status() != contact.status() {
        turn.fire("contactStatusMessageChanged", Payload::Contact(Arc::clone(contact)));
    }
}
