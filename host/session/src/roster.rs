//! The roster: its entries, and keeping it in step with the server (RFC 6121, section 2).
//!
//! If the server gives it a version, the roster is kept across log-outs and restarts, and only changes are sent again
//! (section 2.6).

pub(super) mod online;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jid::{BareJid, Jid};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body, RosterItem};

use crate::cards::Cards;
use crate::chats::Chats;
use crate::deadlines::Late;
use crate::effect::{Effect, KeepRoster};
use crate::event::Payload;
use crate::iq::{ROSTER_PATIENCE, Waiting};
use crate::presence::show_presence;
use crate::records::card::KnownCard;
use crate::records::contact::{Contact, Contacts};
use crate::turn::{FollowUp, Turn};
use online::{Doubts, tell_removed};

/// Maximum number of contacts.
pub(super) const MAX_CONTACTS: usize = 50_000;
/// Maximum number of strangers whose subscription requests are pending.
pub(super) const MAX_REQUESTS: usize = 1_000;
/// Delay before the roster is requested again after there was no answer.
const ASK_AGAIN: Duration = Duration::from_mins(1);
/// Maximum length of a version's name, in bytes; a longer one is not kept.
const MAX_VERSION: usize = 1_024;
/// The promises that a roster resolves, in the order of their events.
const FETCHED: [&str; 3] = ["roster", "rosterGroupsFetched", "rosterContactsFetched"];
/// The promises that are settled again on each stream that could not be resumed.
pub(super) const ROSTER_PROMISES: [&str; 4] =
    ["cachedRoster", "roster", "rosterGroupsFetched", "rosterContactsFetched"];

/// The contacts, and the subscription requests of others.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// None until the roster has come.
    pub(super) contacts: Option<Contacts>,
    /// People who ask without being in the roster. They have a separate limit, since made-up strangers cost nothing.
    pub(super) strangers: imbl::HashSet<BareJid>,
    /// Contacts whose presence this account has requested, until the server's push. An earlier push that is still on
    /// its way must not undo the visible effect of the request.
    asked: HashSet<BareJid>,
    /// The server's name for the state of `contacts`, if it gives one.
    version: Option<String>,
    /// The contacts at the end of an earlier session, with their version. They are not shown before the server has
    /// confirmed them.
    kept: Option<(String, Contacts)>,
    /// Clients that were online on the previous stream and were not yet reported on this one.
    pub(super) doubts: Doubts,
    /// Whether this stream's server gives its roster versions: it offers them, and has not answered the empty one without a list.
    pub(super) versions_offered: bool,
    /// Whether it was asked for, and may come yet.
    pub(super) may_come: bool,
}

impl Roster {
    /// Sets the roster that was stored when the last process ended. Before the first log-in.
    pub(super) fn keep(&mut self, version: String, items: Vec<RosterItem>) {
        let contacts = items.into_iter().map(|item| (item.jid.clone(), Arc::new(Contact::new(item)))).collect();
        self.kept = kept_version(Some(version)).map(|version| (version, contacts));
    }

    pub(super) fn get(&self, jid: &BareJid) -> Option<&Arc<Contact>> {
        self.contacts.as_ref()?.get(jid)
    }

    pub(super) fn get_mut(&mut self, jid: &BareJid) -> Option<&mut Contact> {
        self.contacts.as_mut()?.get_mut(jid).map(Arc::make_mut)
    }

    /// Returns the entry of someone who is in the roster, and not only asking.
    pub(super) fn entry(&self, jid: &BareJid) -> Option<&Arc<Contact>> {
        self.get(jid).filter(|_| !self.strangers.contains(jid))
    }

    pub(super) fn has(&self, jid: &BareJid) -> bool {
        self.entry(jid).is_some()
    }

    /// Returns whether the roster is full.
    pub(super) fn is_full(&self) -> bool {
        self.contacts.as_ref().is_some_and(|contacts| contacts.len() - self.strangers.len() >= MAX_CONTACTS)
    }

    /// Adds someone who asks, with the nickname that they gave. None: too many do.
    pub(super) fn add_stranger(&mut self, jid: &BareJid, nick: Option<String>) -> Option<Arc<Contact>> {
        if self.strangers.len() >= MAX_REQUESTS {
            return None;
        }
        let contact = Arc::new(Contact::stranger(jid.clone()).called(nick));
        self.contacts.as_mut()?.insert(jid.clone(), Arc::clone(&contact));
        self.strangers.insert(jid.clone());
        Some(contact)
    }

    /// Removes someone who only asked.
    pub(super) fn remove_stranger(&mut self, jid: &BareJid) -> Option<Arc<Contact>> {
        self.strangers.remove(jid)?;
        self.contacts.as_mut()?.remove(jid)
    }

    /// Notes that this account asks to see someone's presence.
    pub(super) fn ask(&mut self, jid: &BareJid) {
        // A repeated request is not sent again by the server (RFC 6121, appendix A.2.1), and no push will report it.
        if let Some(contact) = self.get_mut(jid).filter(|contact| !contact.ask) {
            contact.ask = true;
            self.asked.insert(jid.clone());
        }
    }

    /// Inserts or replaces a roster entry. Known presence is kept.
    fn put(&mut self, item: RosterItem) -> Option<Arc<Contact>> {
        let contacts = self.contacts.as_mut()?;
        let mut contact = Contact::new(item);
        if contact.ask || contact.is_seen() {
            self.asked.remove(&contact.jid);
        } else if self.asked.contains(&contact.jid) {
            contact.ask = true;
        }
        if let Some(known) = contacts.get(&contact.jid) {
            contact = contact.with_presence_of(known);
        }
        let contact = Arc::new(contact);
        contacts.insert(contact.jid.clone(), Arc::clone(&contact));
        self.strangers.remove(&contact.jid);
        Some(contact)
    }

    /// Ends the session. The roster is kept for the next one, if the server has a name for its state.
    pub(super) fn end(&mut self) {
        let ended = std::mem::take(self);
        self.kept = match (ended.version, ended.contacts) {
            (Some(version), Some(mut contacts)) => {
                for stranger in &ended.strangers {
                    contacts.remove(stranger);
                }
                let more = contacts.values().filter(|one| one.requesting || one.card.is_some());
                let more: Vec<BareJid> = more.map(|one| one.jid.clone()).collect();
                for contact in more {
                    if let Some(contact) = contacts.get_mut(&contact).map(Arc::make_mut) {
                        // The server repeats pending requests.
                        contact.requesting = false;
                        contact.card = None;
                    }
                }
                Some((version, contacts))
            }
            (None, _) | (_, None) => ended.kept,
        };
    }

    /// Returns the version for the request: that of the known roster, empty if none is known. None: the server has no
    /// versions.
    fn known_version(&self) -> Option<String> {
        if !self.versions_offered {
            return None;
        }
        let known = match &self.contacts {
            Some(_) => self.version.as_ref(),
            None => self.kept.as_ref().map(|(version, _)| version),
        };
        Some(known.cloned().unwrap_or_default())
    }

    /// Replaces the whole roster. Returns the change to store, and the number of entries that were left out.
    fn replace(&mut self, version: Option<String>, items: Vec<RosterItem>) -> (KeepRoster, usize) {
        let before = self.contacts.take().unwrap_or_default();
        self.asked.clear();
        let mut left_out = 0;
        let mut contacts = OrdMap::new();
        for item in items {
            if contacts.len() >= MAX_CONTACTS && !contacts.contains_key(&item.jid) {
                left_out += 1;
                continue;
            }
            let mut contact = Contact::new(item);
            if let Some(known) = before.get(&contact.jid) {
                contact = contact.with_presence_of(known);
            }
            contacts.insert(contact.jid.clone(), Arc::new(contact));
        }
        // An incomplete roster cannot be updated by changes.
        self.version = version.filter(|_| left_out == 0);
        self.kept = None;
        let keep = match &self.version {
            Some(version) => KeepRoster::Whole { version: version.clone(), contacts: contacts.clone() },
            None => KeepRoster::Nothing,
        };
        self.strangers.retain(|jid| {
            let known = before.get(jid).filter(|_| !contacts.contains_key(jid));
            known.is_some_and(|contact| contacts.insert(jid.clone(), Arc::clone(contact)).is_none())
        });
        self.contacts = Some(contacts);
        (keep, left_out)
    }

    /// Returns the owner's name for someone, not the name that a stranger uses for themselves.
    pub(super) fn chat_name(&self, jid: &BareJid) -> String {
        let contact = self.entry(jid);
        contact.map_or_else(|| jid.to_string(), |contact| contact.fullname.clone())
    }

    pub(super) fn ask_roster(&mut self, turn: &mut Turn<'_>) {
        self.may_come = true;
        let version = self.known_version();
        let versioned = version.as_ref().is_some_and(|version| !version.is_empty());
        turn.ask(None, Ask::Roster { version }, Waiting::Roster { versioned, late: false }, ROSTER_PATIENCE);
    }
}

/// Returns whether a client of the account changed an entry. A contact can only change the subscription.
fn is_edit(before: &Contact, now: &Contact) -> bool {
    let groups = |contact: &Contact| contact.groups.iter().cloned().collect::<HashSet<_>>();
    before.fullname != now.fullname || (before.groups != now.groups && groups(before) != groups(now))
}

/// Returns the version to keep. An empty one is none: clients without a version send it.
fn kept_version(version: Option<String>) -> Option<String> {
    version.filter(|version| !version.is_empty() && version.len() <= MAX_VERSION)
}

/// The other features that show contacts: open chats have their names, and known vCards their pictures.
pub(super) struct ContactViews<'a> {
    pub(super) chats: &'a mut Chats,
    pub(super) cards: &'a Cards,
}

impl Roster {
    /// Handles the answer to the request for the roster. `versioned`: an empty one means that the known roster is
    /// current.
    pub(super) fn answered(
        &mut self,
        versioned: bool,
        outcome: Result<Body, CallError>,
        views: &mut ContactViews<'_>,
        turn: &mut Turn<'_>,
    ) {
        self.may_come = outcome.as_ref().is_err_and(CallError::may_pass);
        match outcome {
            Ok(Body::Roster { version, items }) => self.came(version, items, views, turn),
            Ok(Body::Empty) if versioned => self.is_current(views, turn),
            // Small servers leave out an empty list.
            Ok(Body::Empty) if !self.versions_offered => self.came(None, Vec::new(), views, turn),
            // Our version was the empty one. The server says that nothing has changed, or sends all contacts as pushes (RFC 6121,
            // section 2.6.3). A request without a version is answered by the list itself.
            Ok(Body::Empty) => {
                self.versions_offered = false;
                self.ask_roster(turn);
            }
            Ok(_) => turn.roster_failed("the server's answer was no roster"),
            // Everything went on without it after the first time limit.
            Err(CallError::TimedOut) => self.ask_roster(turn),
            Err(error) => {
                turn.roster_failed(&error.to_string());
                if error.may_pass() {
                    turn.ask_roster_again();
                }
            }
        }
    }

    /// Handles the whole roster.
    fn came(
        &mut self,
        version: Option<String>,
        items: Vec<RosterItem>,
        views: &mut ContactViews<'_>,
        turn: &mut Turn<'_>,
    ) {
        let before = self.contacts.clone();
        let (keep, left_out) = self.replace(kept_version(version), items);
        turn.out.push(Effect::Keep(keep));
        turn.ignored += left_out as u64;
        turn.changed = true;
        // Another client removed these while we were offline.
        for gone in before.iter().flat_map(OrdMap::values) {
            if self.get(&gone.jid).is_none() {
                tell_removed(Arc::clone(gone), turn);
            }
        }
        let error = if self.versions_offered {
            "what was known of the roster was out of date, or nothing was"
        } else {
            "the server gives its roster no versions (RFC 6121, section 2.6), so that none is kept"
        };
        self.fetched(Err(CallError::Unsupported(error.to_owned())), views, turn);
    }

    /// Handles the confirmation that the known roster is current. Later changes come as pushes (RFC 6121, section
    /// 2.6.3).
    fn is_current(&mut self, views: &mut ContactViews<'_>, turn: &mut Turn<'_>) {
        if self.contacts.is_none()
            && let Some((version, contacts)) = self.kept.take()
        {
            self.version = Some(version);
            self.contacts = Some(contacts);
        }
        turn.changed = true;
        self.fetched(Ok(()), views, turn);
    }

    fn fetched(&mut self, cached: Result<(), CallError>, views: &mut ContactViews<'_>, turn: &mut Turn<'_>) {
        views.chats.name_all(|jid| self.chat_name(jid), turn);
        self.show_known_cards(views, turn);
        if cached.is_ok() {
            turn.fire("cachedRoster", Payload::None);
        }
        for name in FETCHED {
            turn.fire(name, Payload::None);
        }
        if let Err(error) = cached {
            turn.common.promises.reject("cachedRoster", error, turn.out);
        }
        turn.follow(FollowUp::RosterSettled);
    }

    /// Applies the own server's push of one entry. `decode` has checked its sender.
    pub(super) fn pushed(
        &mut self,
        version: Option<String>,
        item: RosterItem,
        xml: String,
        views: &mut ContactViews<'_>,
        turn: &mut Turn<'_>,
    ) {
        if self.contacts.is_none() {
            // The roster that is on its way includes this change.
            return;
        }
        let jid = item.jid.clone();
        let version = kept_version(version);
        if self.version.is_some() && version.is_some() {
            self.version.clone_from(&version);
        }
        if item.subscription == "remove" {
            let removed = self.remove(&jid, version, views, turn);
            self.contact_pushed(&jid, turn);
            turn.fire("rosterPush", Payload::Stanza { xml, to: None });
            if let Some(contact) = removed {
                tell_removed(contact, turn);
            }
            return;
        }
        if self.is_full() && !self.has(&jid) {
            // From here on, the version would claim more than is known.
            if self.version.take().is_some() {
                turn.out.push(Effect::Keep(KeepRoster::Nothing));
            }
            turn.ignored += 1;
            return;
        }
        let before = self.get(&jid).map(Arc::clone);
        let entry = self.entry(&jid).map(Arc::clone);
        self.put_contact(item, version, views, turn);
        if let Some(contact) = self.get(&jid).map(Arc::clone) {
            let is_edited = entry.is_none_or(|before| is_edit(&before, &contact));
            turn.out.push(Effect::EntryCame { contact, is_edited });
        }
        turn.fire("rosterPush", Payload::Stanza { xml, to: None });
        let is_seen = self.get(&jid).is_some_and(|now| now.is_seen());
        match before {
            Some(before) if before.is_seen() && !is_seen => {
                // This contact's presence is no longer reported (RFC 6121, section 3.3).
                self.update_presence(&jid, turn, |contact| contact.resources.clear());
            }
            Some(before) if before.sees_us() && !before.is_seen() && is_seen => show_presence(jid.clone(), turn),
            Some(_) | None => {}
        }
        self.contact_pushed(&jid, turn);
    }

    /// Inserts or replaces an entry, for readers and for later sessions.
    pub(super) fn put_contact(
        &mut self,
        item: RosterItem,
        version: Option<String>,
        views: &mut ContactViews<'_>,
        turn: &mut Turn<'_>,
    ) {
        let Some(contact) = self.put(item) else { return };
        turn.changed = true;
        views.chats.name(&contact.jid, self.chat_name(&contact.jid), turn);
        if contact.card.is_none() {
            self.show_known_card(&contact.jid, views, turn);
        }
        if self.version.is_some() {
            turn.out.push(Effect::Keep(KeepRoster::Changed { version, contact }));
        }
    }

    /// Handles the end of our subscription to someone's presence, or of our request for one. Some servers send no push for a
    /// refused request, and ejabberd sends none for the end of a subscription if the contact removed us from its roster.
    pub(super) fn not_shown_any_more(&mut self, jid: &BareJid, views: &mut ContactViews<'_>, turn: &mut Turn<'_>) {
        let Some(contact) = self.get(jid).filter(|contact| contact.ask || contact.is_seen()) else { return };
        let was_seen = contact.is_seen();
        let subscription = if contact.sees_us() { "from" } else { "none" };
        let item = RosterItem { ask: false, subscription: subscription.to_owned(), ..contact.to_item() };
        self.asked.remove(jid);
        self.put_contact(item, None, views, turn);
        if was_seen {
            self.update_presence(jid, turn, |contact| contact.resources.clear());
        }
    }

    /// Removes an entry. None: there was none.
    pub(super) fn remove(
        &mut self,
        jid: &BareJid,
        version: Option<String>,
        views: &mut ContactViews<'_>,
        turn: &mut Turn<'_>,
    ) -> Option<Arc<Contact>> {
        let contact = self.contacts.as_mut()?.remove(jid);
        self.strangers.remove(jid);
        self.asked.remove(jid);
        // Even if the roster itself is not stored: other stored data depends on the contact.
        if self.version.is_some() || contact.is_some() {
            turn.out.push(Effect::Keep(KeepRoster::Removed { version, jid: jid.clone() }));
        }
        turn.changed |= contact.is_some();
        views.chats.name(jid, self.chat_name(jid), turn);
        contact
    }

    /// Lets someone show a vCard that was fetched before they became a contact.
    pub(super) fn show_known_card(&mut self, jid: &BareJid, views: &mut ContactViews<'_>, turn: &mut Turn<'_>) {
        if let Some(known) = views.cards.known_card(jid) {
            self.show_card(jid, Some(&known), views.chats, turn);
        }
    }

    /// Lets a contact and the chat with it show a vCard, or none any more. Returns whether the chat shows another one
    /// than before.
    pub(super) fn show_card(
        &mut self,
        jid: &BareJid,
        card: Option<&Arc<KnownCard>>,
        chats: &mut Chats,
        turn: &mut Turn<'_>,
    ) -> bool {
        if let Some(contact) = self.get_mut(jid) {
            contact.card = card.map(Arc::clone);
            turn.changed = true;
        }
        let Some(chat) = chats.open.get_mut(jid).filter(|chat| chat.card.as_ref() != card) else { return false };
        Arc::make_mut(chat).card = card.map(Arc::clone);
        turn.changed = true;
        true
    }

    /// Lets all contacts show their cached vCards after the roster was received.
    fn show_known_cards(&mut self, views: &mut ContactViews<'_>, turn: &mut Turn<'_>) {
        let without = |jid: &BareJid| self.get(jid).is_some_and(|contact| contact.card.is_none());
        let known = views.cards.owners().filter(|jid| jid.is_bare()).map(Jid::to_bare);
        let known: Vec<BareJid> = known.filter(without).collect();
        for jid in &known {
            self.show_known_card(jid, views, turn);
        }
    }
}

impl Turn<'_> {
    /// Handles the failure to get the roster. A bot without a roster still serves its rooms. Calls that wait for
    /// contacts get the reason, no empty roster is shown, and all other features continue.
    pub(super) fn roster_failed(&mut self, why: &str) {
        let failed = || CallError::Rejected(format!("the roster could not be fetched: {why}"));
        let error = self.needs_server("contacts").err().unwrap_or_else(failed);
        for name in ROSTER_PROMISES {
            self.common.promises.reject(name, error.clone(), self.out);
        }
        self.follow(FollowUp::RosterSettled);
    }

    fn ask_roster_again(&mut self) {
        self.deadlines.set(ASK_AGAIN, Late::RosterAgain);
    }
}
