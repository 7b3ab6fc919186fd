//! Visiting cards (XEP-0054): fetching them, keeping them for a while, changing the own one, and the pictures that presence
//! names (XEP-0153).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use jiff::Timestamp;

use crate::card::{Avatar, Card, CardChange};
use crate::error::{CallError, StanzaError};
use crate::event::Payload;
use crate::plugins::InstanceId;
use crate::session::occupants::is_occupant;
use crate::session::questions::Waiting;
use crate::session::roster::Contact;
use crate::session::{Answer, Session, Turn};
use crate::stanza::{Ask, Body};
use crate::xmpp::WholeCard;

/// How many cards are kept.
pub(super) const MAX_CARDS: usize = 1_000;
/// How much all of them may weigh, in bytes.
const MAX_WEIGHT: usize = 16 << 20;
/// How many changes of the own card may wait for one another.
pub(super) const MAX_CHANGES: usize = 64;
/// How many of them may be one plugin's, whatever its limit `iqs` is: so that it takes no other one's place.
pub(super) const MAX_OWN_CHANGES: usize = 8;
/// How long the own card may become, in bytes: what a stanza can carry.
const MAX_WHOLE: usize = 240 * 1024;
/// A card whose picture seems to change more often than this is fetched only when somebody asks for it.
const REFRESH: Duration = Duration::from_mins(1);

/// A card, and when it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCard {
    /// What stands on it.
    pub card: Card,
    /// When it was fetched.
    pub updated: Timestamp,
}

/// Why a card is fetched.
#[derive(Debug)]
pub(super) enum Fetch {
    /// A plugin wants to have it.
    Get(Answer<Arc<KnownCard>>),
    /// A plugin wants contacts to show it.
    Update(Answer<()>),
    /// Presence named another picture.
    Refresh,
}

impl Fetch {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Get(answer) => answer.is_abandoned(),
            Self::Update(answer) => answer.is_abandoned(),
            Self::Refresh => false,
        }
    }

    pub(super) fn fail(self, error: CallError, turn: &mut Turn<'_>) {
        match self {
            Self::Get(answer) => turn.answer(answer, Err(error)),
            Self::Update(answer) => turn.answer(answer, Err(error)),
            Self::Refresh => {}
        }
    }
}

/// A change of the own card.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) by: InstanceId,
    pub(super) wish: Box<CardChange>,
    pub(super) answer: Answer<()>,
}

#[derive(Debug)]
struct Entry {
    known: Arc<KnownCard>,
    /// Its place in `ages`.
    number: u64,
    /// Presence named another picture since.
    stale: bool,
}

/// The cards that are known. Bounded: the one that was fetched first makes room.
#[derive(Debug, Default)]
pub(super) struct Cards {
    entries: HashMap<Jid, Entry>,
    ages: BTreeMap<u64, Jid>,
    number: u64,
    weight: usize,
    /// Changes of the own card that wait for the one that is under way: each begins with what is on the card then.
    changes: VecDeque<Change>,
    /// Whether one is under way.
    changing: bool,
}

impl Cards {
    fn get(&self, jid: &Jid) -> Option<&Arc<KnownCard>> {
        self.entries.get(jid).map(|entry| &entry.known)
    }

    pub(super) fn remove(&mut self, jid: &Jid) {
        if let Some(entry) = self.entries.remove(jid) {
            self.ages.remove(&entry.number);
            self.weight -= entry.known.card.weight();
        }
    }

    /// Forgets the cards of all occupants of a room.
    pub(super) fn forget_occupants(&mut self, room: &BareJid) {
        let theirs: Vec<Jid> = self.entries.keys().filter(|jid| is_occupant(jid, room)).cloned().collect();
        for occupant in theirs {
            self.remove(&occupant);
        }
    }

    /// Keeps a card. Whose cards had to make room.
    fn put(&mut self, jid: Jid, known: Arc<KnownCard>) -> Vec<Jid> {
        self.remove(&jid);
        self.number += 1;
        self.weight += known.card.weight();
        self.ages.insert(self.number, jid.clone());
        self.entries.insert(jid, Entry { known, number: self.number, stale: false });
        let mut gone = Vec::new();
        while (self.entries.len() > MAX_CARDS || self.weight > MAX_WEIGHT)
            && let Some((_, oldest)) = self.ages.first_key_value()
        {
            let oldest = oldest.clone();
            self.remove(&oldest);
            gone.push(oldest);
        }
        gone
    }

    /// Whether another change of this plugin's may wait. Those that were given up make room.
    fn may_wait(&mut self, by: InstanceId) -> Result<(), CallError> {
        self.changes.retain(|change| !change.answer.is_abandoned());
        if self.changes.iter().filter(|change| change.by == by).count() >= MAX_OWN_CHANGES {
            return Err(CallError::OverLimit(format!("{MAX_OWN_CHANGES} changes of the card by one plugin wait")));
        }
        if self.changes.len() >= MAX_CHANGES {
            return Err(CallError::OverLimit(format!("{MAX_CHANGES} changes of the card wait")));
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.entries.len(), self.changes.len())
    }
}

impl Session {
    /// API rows 69 and 70.
    pub(super) fn get_card(&mut self, jid: &Jid, force: bool, answer: Answer<Arc<KnownCard>>, turn: &mut Turn<'_>) {
        let owner = self.card_owner(jid);
        match self.fresh_card(&owner, force) {
            Some(known) => turn.answer(answer, Ok(known)),
            None => self.fetch_card(owner, Fetch::Get(answer), turn),
        }
    }

    /// API row 72.
    pub(super) fn update_card(&mut self, jid: &Jid, force: bool, answer: Answer<()>, turn: &mut Turn<'_>) {
        let owner = self.card_owner(jid);
        match self.fresh_card(&owner, force) {
            Some(known) => {
                self.tell_card(&owner, &known, turn);
                turn.answer(answer, Ok(()));
            }
            None => self.fetch_card(owner, Fetch::Update(answer), turn),
        }
    }

    /// API row 71.
    pub(super) fn set_card(&mut self, change: Change, turn: &mut Turn<'_>) {
        if !self.is_live() {
            return turn.answer(change.answer, Err(CallError::Offline));
        }
        if let Err(error) = self.cards.may_wait(change.by) {
            return turn.answer(change.answer, Err(error));
        }
        self.cards.changes.push_back(change);
        self.next_change(turn);
    }

    /// Whose card is meant: an occupant's is asked for by the occupant's address, everybody else's by the bare one.
    fn card_owner(&self, jid: &Jid) -> Jid {
        let bare = jid.to_bare();
        if !jid.is_bare() && self.rooms.has(&bare) { jid.clone() } else { Jid::from(bare) }
    }

    fn fresh_card(&self, owner: &Jid, force: bool) -> Option<Arc<KnownCard>> {
        let entry = self.cards.entries.get(owner)?;
        (!force && !entry.stale).then(|| Arc::clone(&entry.known))
    }

    fn fetch_card(&mut self, owner: Jid, fetch: Fetch, turn: &mut Turn<'_>) {
        if !self.is_live() {
            return fetch.fail(CallError::Offline, turn);
        }
        // The own card is asked for without an address (XEP-0054, section 3.1).
        let to = Some(owner.clone()).filter(|owner| *owner != self.own.to_bare());
        self.ask_for_plugin(to, Ask::Card, Waiting::Card(owner, fetch), turn);
    }

    /// Somebody's card came, or did not.
    pub(super) fn card_came(
        &mut self,
        owner: &Jid,
        fetch: Fetch,
        outcome: Result<Body, Box<StanzaError>>,
        turn: &mut Turn<'_>,
    ) {
        let card = match read(outcome) {
            Ok((card, _)) => card,
            Err(error) => return fetch.fail(error, turn),
        };
        let known = self.keep_card(owner, card, turn);
        match fetch {
            Fetch::Get(answer) => turn.answer(answer, Ok(known)),
            Fetch::Update(answer) => turn.answer(answer, Ok(())),
            Fetch::Refresh => {}
        }
    }

    /// Keeps a card that is known to be this now, and tells of it.
    fn keep_card(&mut self, owner: &Jid, card: Card, turn: &mut Turn<'_>) -> Arc<KnownCard> {
        let known = Arc::new(KnownCard { card, updated: turn.now });
        let before = self.own_avatar();
        for gone in self.cards.put(owner.clone(), Arc::clone(&known)) {
            self.show_card(&gone, None);
        }
        self.tell_card(owner, &known, turn);
        if self.own_avatar() != before && self.announced && self.is_live() && !self.status.value.is_hidden() {
            // XEP-0153, section 4.2: whoever sees us learns of the new picture at once.
            self.announce(turn);
        }
        known
    }

    /// Lets its owner's contact, open chat or occupant show a card, or none any more. `true`: a chat or an occupant shows another
    /// one than before.
    fn show_card(&mut self, owner: &Jid, card: Option<&Arc<KnownCard>>) -> bool {
        let bare = owner.to_bare();
        if let Some(nick) = owner.resource() {
            let Some(room) = self.rooms.shown.get_mut(&bare) else { return false };
            if room.occupants.get(nick.as_str()).is_none_or(|occupant| occupant.card.as_ref() == card) {
                return false;
            }
            if let Some(occupant) = Arc::make_mut(room).occupants.get_mut(nick.as_str()) {
                Arc::make_mut(occupant).card = card.map(Arc::clone);
            }
            self.changed = true;
            return true;
        }
        if let Some(contact) = self.roster.get_mut(&bare) {
            contact.card = card.map(Arc::clone);
            self.changed = true;
        }
        let Some(chat) = self.chats.open.get_mut(&bare).filter(|chat| chat.card.as_ref() != card) else { return false };
        Arc::make_mut(chat).card = card.map(Arc::clone);
        self.changed = true;
        true
    }

    /// The card of this address, as far as it was fetched.
    pub(super) fn known_card(&self, jid: &BareJid) -> Option<Arc<KnownCard>> {
        self.cards.get(jid).map(Arc::clone)
    }

    /// Forgets all cards, and lets nobody show one any more: the session that they were fetched in has ended.
    pub(super) fn forget_cards(&mut self) {
        let owners: Vec<Jid> = self.cards.entries.keys().cloned().collect();
        for owner in owners {
            self.show_card(&owner, None);
        }
        self.cards = Cards::default();
    }

    /// Lets somebody who was no contact when the card was fetched show it.
    pub(super) fn show_known_card(&mut self, jid: &BareJid) {
        if let Some(known) = self.known_card(jid) {
            self.show_card(jid, Some(&known));
        }
    }

    /// The same for all of them: the roster came.
    pub(super) fn show_known_cards(&mut self) {
        let without = |jid: &BareJid| self.roster.get(jid).is_some_and(|contact| contact.card.is_none());
        let known = self.cards.entries.keys().filter(|jid| jid.is_bare()).map(Jid::to_bare);
        let known: Vec<BareJid> = known.filter(without).collect();
        for jid in &known {
            self.show_known_card(jid);
        }
    }

    fn tell_card(&mut self, owner: &Jid, known: &Arc<KnownCard>, turn: &mut Turn<'_>) {
        let bare = owner.to_bare();
        let is_another = self.show_card(owner, Some(known));
        let contact = match self.roster.get(&bare).filter(|_| owner.is_bare()) {
            Some(contact) => Arc::clone(contact),
            None => Arc::new(Contact {
                requesting: false,
                occupant: owner.resource().map(ToString::to_string),
                card: Some(Arc::clone(known)),
                ..Contact::stranger(bare)
            }),
        };
        self.fire("vcardUpdated", Payload::Contact(contact), turn);
        if !is_another {
            return;
        }
        // Front ends that see chats or rooms alone learn of it by these.
        let bare = owner.to_bare();
        if let Some(nick) = owner.resource() {
            let room = self.rooms.shown.get(&bare);
            if let Some(occupant) = room.and_then(|room| room.occupants.get(nick.as_str())).map(Arc::clone) {
                self.fire_occupant("occupantChanged", occupant, turn);
            }
        } else if let Some(chat) = self.chats.open.get(&bare).map(Arc::clone) {
            self.fire("chatBoxChanged", Payload::Chat(chat), turn);
        }
    }

    /// What presence says of the own picture.
    pub(super) fn own_avatar(&self) -> Avatar {
        let own = Jid::from(self.own.to_bare());
        self.cards.get(&own).map_or(Avatar::Unknown, |known| Avatar::of(&known.card))
    }

    /// Presence says which picture somebody has now. Only cards that somebody wanted are known, and so fetched again.
    pub(super) fn avatar_seen(&mut self, from: &Jid, avatar: &Avatar, turn: &mut Turn<'_>) {
        if self.cards.entries.is_empty() || *avatar == Avatar::Unknown {
            return;
        }
        let owner = self.card_owner(from);
        let Some(entry) = self.cards.entries.get_mut(&owner) else { return };
        if Avatar::of(&entry.known.card) == *avatar {
            return;
        }
        let first = !std::mem::replace(&mut entry.stale, true);
        let is_old = turn.now.duration_since(entry.known.updated).unsigned_abs() >= REFRESH;
        if first && is_old {
            self.fetch_card(owner, Fetch::Refresh, turn);
        }
    }

    /// Begins the next change of the own card, if none is under way.
    fn next_change(&mut self, turn: &mut Turn<'_>) {
        if self.cards.changing {
            return;
        }
        self.cards.changes.retain(|change| !change.answer.is_abandoned());
        if let Some(change) = self.cards.changes.pop_front() {
            self.cards.changing = true;
            self.ask_for_plugin(None, Ask::Card, Waiting::OwnCard(change), turn);
        }
    }

    /// The own card came, to be changed.
    pub(super) fn own_card_came(
        &mut self,
        change: Change,
        outcome: Result<Body, Box<StanzaError>>,
        turn: &mut Turn<'_>,
    ) {
        let outcome = match outcome {
            // XEP-0054, section 3.1: there is none yet, in the words of one server or another.
            Err(error)
                if error.kind != "wait"
                    && matches!(error.condition.as_str(), "item-not-found" | "service-unavailable") =>
            {
                Ok((Card::default(), None))
            }
            // A picture that is too large may be what is to go.
            outcome => read(outcome),
        };
        let (card, whole) = match outcome {
            Ok(found) => found,
            Err(error) => return self.change_failed(change, error, turn),
        };
        if change.wish.needs_picture() && card.picture.is_none() {
            let error = CallError::invalid("data.image-type", "there is no image that it could be the type of");
            return self.change_failed(change, error, turn);
        }
        let card = card.changed(&change.wish);
        let rest = whole.as_ref().map_or(0, WholeCard::length);
        if rest + card.weight() > MAX_WHOLE {
            let error = CallError::OverLimit(format!("the whole card may have {MAX_WHOLE} bytes"));
            return self.change_failed(change, error, turn);
        }
        let ask = Ask::SetCard { whole, change: change.wish.clone() };
        self.ask_for_plugin(None, ask, Waiting::CardSet(change, Box::new(card)), turn);
    }

    /// The own card was changed, or not.
    pub(super) fn card_was_set(
        &mut self,
        change: Change,
        card: Card,
        outcome: Result<Body, Box<StanzaError>>,
        turn: &mut Turn<'_>,
    ) {
        if let Err(error) = outcome {
            return self.change_failed(change, CallError::Stanza(error), turn);
        }
        self.keep_card(&Jid::from(self.own.to_bare()), card, turn);
        turn.answer(change.answer, Ok(()));
        self.cards.changing = false;
        self.next_change(turn);
    }

    pub(super) fn change_failed(&mut self, change: Change, error: CallError, turn: &mut Turn<'_>) {
        turn.answer(change.answer, Err(error));
        self.cards.changing = false;
        self.next_change(turn);
    }

    /// The stream is gone, and the changes with it.
    pub(super) fn end_changes(&mut self, turn: &mut Turn<'_>) {
        self.cards.changing = false;
        for change in self.cards.changes.drain(..) {
            turn.answer(change.answer, Err(CallError::Offline));
        }
    }
}

/// A card from what was answered. An empty answer is an empty card (XEP-0054, section 3.1).
fn read(outcome: Result<Body, Box<StanzaError>>) -> Result<(Card, Option<WholeCard>), CallError> {
    match outcome.map_err(CallError::Stanza)? {
        Body::Card { card, whole } => Ok((*card, Some(whole))),
        Body::Empty => Ok((Card::default(), None)),
        Body::OversizedCard => {
            Err(CallError::OverLimit(format!("a card's picture may have {} bytes of base64", crate::card::MAX_PICTURE)))
        }
        Body::Roster { .. }
        | Body::Disco(_)
        | Body::Items(_)
        | Body::ArchiveFin(_)
        | Body::ArchivePreferences(_)
        | Body::RoomForm(_)
        | Body::Affiliations(_)
        | Body::Bookmarks(_)
        | Body::Other => Err(CallError::Other("the answer was no visiting card".to_owned())),
    }
}
