//! The presence of contacts, and requests to see ours (RFC 6121, sections 3 and 4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_stanza::types::{Outgoing, Presence, PresenceKind, PresenceOut, PresenceOutKind, Show, kept};

use crate::deadlines::{DeadlineKey, Late};
use crate::event::Payload;
use crate::features::Features;
use crate::lifecycle::Link;
use crate::roster::{Contact, ContactViews, Roster};
use crate::turn::Turn;

/// Maximum number of clients of one contact.
pub(super) const MAX_RESOURCES: usize = 64;
/// Time limit for clients that were online before a lost connection to be reported again.
pub(super) const PRESENCE_PATIENCE: Duration = Duration::from_secs(10);
/// Maximum length of a status text that is kept, in bytes: it stays in memory while its author is online.
const MAX_STATUS: usize = 1_024;

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

/// Returns the status text to keep.
pub(super) fn kept_status(status: Option<String>) -> Option<String> {
    status.filter(|status| !status.is_empty()).map(|status| kept(status, MAX_STATUS))
}

/// Clients that were online on a lost stream, or before we hid, and have not been reported since, by contact.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    of: BTreeMap<BareJid, BTreeSet<String>>,
    /// People who asked to see our presence then, and whose request has not been repeated since.
    requests: BTreeSet<BareJid>,
    deadline: Option<DeadlineKey>,
}

impl Doubts {
    /// Notes that this client is online.
    fn confirm(&mut self, jid: &BareJid, client: &str) {
        // A stream that is some seconds old has no doubts.
        if let Some(clients) = self.of.get_mut(jid)
            && clients.remove(client)
            && clients.is_empty()
        {
            self.of.remove(jid);
        }
    }

    fn are_none(&self) -> bool {
        self.of.is_empty() && self.requests.is_empty()
    }
}

impl Contact {
    /// Updates a client. The highest priority comes first; among equal ones, the newest.
    fn client_came(&mut self, mut client: ContactResource) {
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
        // People who only ask to be added are ignored; there could be a thousand of them, with many clients each.
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

    fn subscription_asked(
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
        if !turn.settings.allow_contact_requests {
            return send_presence(&from, PresenceOutKind::Unsubscribed, turn);
        }
        // We have asked to see this contact ourselves, so the owner need not be asked.
        let is_wanted = known.as_ref().is_some_and(|contact| contact.ask || contact.is_seen());
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

impl Features {
    pub(super) fn presence(&mut self, presence: Presence, turn: &mut Turn<'_>) {
        if let (PresenceKind::Available, Some(avatar)) = (&presence.kind, &presence.avatar) {
            self.cards.avatar_seen(&presence.from, avatar, &self.rooms, turn);
        }
        let bare = presence.from.to_bare();
        if self.rooms.has(&bare) {
            if presence.kind == PresenceKind::Unavailable && !presence.from.is_bare() {
                // Another person may use this nickname next.
                self.cards.remove(&presence.from);
            }
            return self.rooms.one(&bare, turn).room_presence(presence);
        }
        self.rooms.farewells.seen_off_late(&bare, &presence);
        if bare == turn.own.to_bare() {
            // Our own clients are not contacts, and nobody subscribes to themselves.
            return;
        }
        match presence.kind {
            PresenceKind::Available => {
                let client = ContactResource {
                    name: presence.from.resource().map(ToString::to_string).unwrap_or_default(),
                    priority: presence.priority,
                    show: presence.show,
                    status: kept_status(presence.status),
                    since: presence.delay.unwrap_or(turn.now).min(turn.now),
                };
                self.roster.doubts.confirm(&bare, &client.name);
                self.roster.update_presence(&bare, turn, |contact| contact.client_came(client));
            }
            PresenceKind::Unavailable => match presence.from.resource() {
                Some(name) => self.roster.update_presence(&bare, turn, |contact| {
                    contact.resources.retain(|client| client.name != name.as_str());
                }),
                None => self.roster.update_presence(&bare, turn, |contact| contact.resources.clear()),
            },
            // Nobody vouches for their presence any more: their server is unreachable (RFC 6121, section 4.7.1).
            PresenceKind::Error(_) if presence.from.is_bare() => {
                self.roster.update_presence(&bare, turn, |contact| contact.resources.clear());
            }
            PresenceKind::Subscribe => {
                let (roster, mut views) = self.roster_and_views();
                roster.subscription_asked(bare, presence.nick, &mut views, turn);
            }
            PresenceKind::Unsubscribe => self.roster.request_is_over(&bare, turn),
            PresenceKind::Unsubscribed => {
                let (roster, mut views) = self.roster_and_views();
                roster.request_refused(&bare, &mut views, turn);
            }
            // The effect on the roster comes as a roster push, and the server answers probes.
            PresenceKind::Subscribed | PresenceKind::Probe | PresenceKind::Error(_) => {}
        }
    }
}

fn send_presence(to: &BareJid, kind: PresenceOutKind, turn: &mut Turn<'_>) {
    turn.send(Outgoing::Presence(PresenceOut { to: Some(Jid::from(to.clone())), kind, ..PresenceOut::default() }));
}

/// Reports a removed contact as offline, since its presence is no longer known.
pub(super) fn went_offline(before: &Contact, turn: &mut Turn<'_>) {
    let after = Contact { resources: Vec::new(), ..before.clone() };
    fire_presence(before, &Arc::new(after), turn);
}

fn fire_presence(before: &Contact, contact: &Arc<Contact>, turn: &mut Turn<'_>) {
    if before.chat_status() != contact.chat_status() {
        turn.fire("contactPresenceChanged", Payload::Contact(Arc::clone(contact)));
        turn.fire("contactStatusChanged", Payload::Contact(Arc::clone(contact)));
    }
    if before.status() != contact.status() {
        turn.fire("contactStatusMessageChanged", Payload::Contact(Arc::clone(contact)));
    }
}
