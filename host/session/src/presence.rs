//! The presence of contacts, and requests to see ours (RFC 6121, sections 3 and 4).

use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::types::{Outgoing, PresenceOut, PresenceOutKind, kept};

use crate::deadlines::Late;
use crate::event::Payload;
use crate::records::contact::{Contact, ContactResource};
use crate::roster::online::{Doubts, fire_presence};
use crate::roster::{ContactViews, Roster};
use crate::turn::{Link, Turn};

/// Maximum number of clients of one contact.
pub(super) const MAX_RESOURCES: usize = 64;
/// Time limit for clients that were online before a lost connection to be reported again.
pub(super) const PRESENCE_PATIENCE: Duration = Duration::from_secs(10);
/// Maximum length of a status text that is kept, in bytes: it stays in memory while its author is online.
const MAX_STATUS: usize = 1_024;

/// Returns the status text to keep.
pub(super) fn kept_status(status: Option<String>) -> Option<String> {
    status.filter(|status| !status.is_empty()).map(|status| kept(status, MAX_STATUS))
}

impl Contact {
    /// Updates a client. The highest priority comes first; among equal ones, the newest.
    pub(super) fn client_came(&mut self, mut client: ContactResource) {
        if let Some(at) = self.resources.iter().position(|known| known.name == client.name) {
            let known = self.resources.remove(at);
            let same = known.show == client.show && known.status == client.status && known.priority == client.priority;
            if same {
                client.since = known.since;
            }
        }
        let at =
            self.resources.partition_point(|known| (known.priority, known.since) > (client.priority, client.since));
        self.resources.insert(at, client);
        self.resources.truncate(MAX_RESOURCES);
    }
}

impl Roster {
    /// Treats clients that were not reported in time as offline, and requests that were not repeated as answered by
    /// another client.
    pub(super) fn doubts_end(&mut self, turn: &mut Turn<'_>) {
        // Presence may wait at the other end of a lost stream.
        if turn.link == Link::Suspended {
            return;
        }
        for (jid, clients) in std::mem::take(&mut self.doubts.of) {
            if self.get(&jid).is_some() {
                let is_there = |client: &ContactResource| !clients.contains(&client.name);
                self.update_presence(&jid, turn, |contact| contact.resources.retain(is_there));
            }
        }
        let requests = std::mem::take(&mut self.doubts.requests);
        // Requests are not repeated to a hidden account, nor by ejabberd to one with a negative priority.
        if !turn.status.value.is_hidden() && turn.settings.priority >= 0 {
            for jid in requests {
                self.request_is_over(&jid, turn);
            }
        }
    }

    /// Marks everyone as offline: the stream that reported presence is gone.
    pub(super) fn forget_presence(&mut self, turn: &mut Turn<'_>) {
        self.doubts = Doubts::default();
        let online: Vec<BareJid> = self
            .contacts
            .iter()
            .flat_map(|contacts| contacts.values())
            .filter(|contact| !contact.resources.is_empty())
            .map(|contact| contact.jid.clone())
            .collect();
        for jid in online {
            self.update_presence(&jid, turn, |contact| contact.resources.clear());
        }
    }

    pub(super) fn update_presence(&mut self, jid: &BareJid, turn: &mut Turn<'_>, update: impl FnOnce(&mut Contact)) {
        // People who only ask to be added are ignored: there could be a thousand of them, with many clients each.
        let Some(before) = self.entry(jid).map(Arc::clone) else {
            turn.ignored += 1;
            return;
        };
        let mut contact = Contact::clone(&before);
        update(&mut contact);
        if contact == *before {
            return;
        }
        let contact = Arc::new(contact);
        if let Some(contacts) = &mut self.contacts {
            contacts.insert(jid.clone(), Arc::clone(&contact));
        }
        turn.changed = true;
        fire_presence(&before, &contact, turn);
    }

    /// Marks all online clients as uncertain. Presence is not reported any longer, because the stream is gone or this
    /// account hides. It will be reported again on the next stream, or when we become visible. Until then, no event
    /// reports everyone as offline, only to report them online again.
    pub(super) fn doubt_presence(&mut self, turn: &mut Turn<'_>) {
        let contacts = self.contacts.iter().flat_map(|contacts| contacts.values());
        let online = contacts.filter(|contact| !contact.resources.is_empty());
        let clients = |contact: &Contact| contact.resources.iter().map(|client| client.name.clone()).collect();
        self.doubts.of = online.map(|contact| (contact.jid.clone(), clients(contact))).collect();
        let contacts = self.contacts.iter().flat_map(|contacts| contacts.values());
        let asking = contacts.filter(|contact| contact.requesting);
        self.doubts.requests = asking.map(|contact| contact.jid.clone()).collect();
        self.await_presence(None, turn);
    }

    /// Starts the time limit after our presence was sent. The server answers with the presence of the contacts (RFC
    /// 6121, section 4.2.2), and with unanswered requests (section 3.1.3).
    pub(super) fn await_presence(&mut self, patience: Option<Duration>, turn: &mut Turn<'_>) {
        let patience = patience.filter(|_| !self.doubts.are_none());
        let doubts = patience.map(|patience| (patience, Late::Doubts));
        turn.deadlines.replace(&mut self.doubts.deadline, doubts);
    }

    pub(super) fn subscription_asked(
        &mut self,
        from: BareJid,
        nick: Option<String>,
        views: &mut ContactViews<'_>,
        turn: &mut Turn<'_>,
    ) {
        let known = self.get(&from).map(Arc::clone);
        if known.as_ref().is_some_and(|contact| contact.sees_us()) {
            return send_presence(&from, PresenceOutKind::Subscribed, turn);
        }
        // We have asked to see this contact ourselves, so the owner need not be asked.
        let is_wanted = known.as_ref().is_some_and(|contact| contact.ask || contact.is_seen());
        if !(is_wanted || turn.settings.allow_contact_requests) {
            return send_presence(&from, PresenceOutKind::Unsubscribed, turn);
        }
        if turn.settings.auto_subscribe || is_wanted {
            send_presence(&from, PresenceOutKind::Subscribed, turn);
            if !is_wanted {
                send_presence(&from, PresenceOutKind::Subscribe, turn);
            }
            return;
        }
        self.doubts.requests.remove(&from);
        let contact = match known {
            // The server may repeat a pending request at any time.
            Some(contact) if contact.requesting => None,
            Some(_) => self.get_mut(&from).map(|contact| {
                contact.requesting = true;
                Arc::new(contact.clone())
            }),
            // Without a roster the request cannot be kept, but a plugin may still answer it.
            None if self.contacts.is_none() => Some(Arc::new(Contact::stranger(from).called(nick))),
            None => self.add_stranger(&from, nick).and_then(|_| {
                self.show_known_card(&from, views, turn);
                self.get(&from).map(Arc::clone)
            }),
        };
        match contact {
            Some(contact) => {
                turn.changed = true;
                turn.fire("contactRequest", Payload::Contact(contact));
            }
            None => turn.ignored += 1,
        }
    }
}

/// Sends the own presence once more to a contact who had it before they let this account see theirs. ejabberd keeps a
/// contact's capabilities only from presence that comes afterwards, and notifies of personal nodes by them (XEP-0163,
/// section 4.3).
pub(super) fn show_presence(to: BareJid, turn: &mut Turn<'_>) {
    if turn.announced && !turn.status.value.is_hidden() {
        let to = Some(Jid::from(to));
        turn.send(Outgoing::Presence(PresenceOut { to, ..turn.presence_to(None) }));
    }
}

fn send_presence(to: &BareJid, kind: PresenceOutKind, turn: &mut Turn<'_>) {
    turn.send(Outgoing::Presence(PresenceOut { to: Some(Jid::from(to.clone())), kind, ..PresenceOut::default() }));
}
