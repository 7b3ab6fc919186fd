//! vCards (XEP-0054): fetching them, caching them, changing the own one, and the pictures that presence announces
//! (XEP-0153).

mod holders;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_base::id::InstanceId;
use parlor_stanza::card::{Avatar, Card, CardChange};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body};
use parlor_stanza::whole_card::WholeCard;

use crate::Answer;
use crate::command::Command;
use crate::features::Features;
use crate::iq::{PATIENCE, Waiting};
use crate::occupants::is_occupant;
use crate::rooms::Rooms;
use crate::status::announce;
use crate::turn::{Common, Turn};
pub(super) use holders::{CardHolders, show_with_person};

/// Maximum number of cached vCards.
pub(super) const MAX_CARDS: usize = 1_000;
/// Maximum weight of all of them, in bytes.
const MAX_WEIGHT: usize = 16 << 20;
/// Maximum number of changes of the own vCard that wait for one another.
pub(super) const MAX_CHANGES: usize = 64;
/// Maximum number of one plugin's waiting changes, whatever its limit `iqs` is, so that it does not take the place of
/// others.
pub(super) const MAX_OWN_CHANGES: usize = 8;
/// Maximum length of the own vCard, in bytes: what a stanza can carry.
const MAX_WHOLE: usize = 240 * 1024;
/// If the picture of a vCard seems to change more often than this, it is fetched only on request.
const REFRESH: Duration = Duration::from_mins(1);

/// A vCard, with the time at which it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCard {
    /// The vCard itself.
    pub card: Card,
    /// When it was fetched.
    pub updated: Timestamp,
}

/// The reason for fetching a vCard.
#[derive(Debug)]
pub(super) enum Fetch {
    /// A plugin wants to have it.
    Get(Answer<Arc<KnownCard>>),
    /// A plugin wants contacts to show it.
    Update(Answer<()>),
    /// Presence announced another picture.
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

/// A change of the own vCard.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) by: InstanceId,
    pub(super) fields: CardChange,
    pub(super) answer: Answer<()>,
}

#[derive(Debug)]
struct Entry {
    known: Arc<KnownCard>,
    /// Its key in `ages`.
    number: u64,
    /// Whether presence has announced another picture since.
    stale: bool,
}

/// The cached vCards. Bounded: the one that was fetched first makes room.
#[derive(Debug, Default)]
pub(super) struct Cards {
    entries: HashMap<Jid, Entry>,
    ages: BTreeMap<u64, Jid>,
    number: u64,
    weight: usize,
    /// Changes of the own vCard that wait for the one in progress. Each starts from the vCard of that moment.
    changes: VecDeque<Change>,
    /// Whether a change is in progress.
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

    /// Removes the vCards of all occupants of a room.
    pub(super) fn forget_occupants(&mut self, room: &BareJid) {
        let theirs: Vec<Jid> = self.entries.keys().filter(|jid| is_occupant(jid, room)).cloned().collect();
        for occupant in theirs {
            self.remove(&occupant);
        }
    }

    /// Stores a vCard. Returns the owners of vCards that had to make room.
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

    /// Checks whether another change of this plugin may wait. Abandoned ones make room.
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

    /// Ends all changes, because the stream is gone.
    pub(super) fn end_changes(&mut self, turn: &mut Turn<'_>) {
        self.changing = false;
        for change in self.changes.drain(..) {
            turn.answer(change.answer, Err(CallError::Offline));
        }
    }

    /// Returns the announcement of the own picture in presence.
    pub(super) fn own_avatar(&self, common: &Common) -> Avatar {
        let own = Jid::from(common.own.to_bare());
        self.get(&own).map_or(Avatar::Unknown, |known| Avatar::of(&known.card))
    }

    pub(crate) fn fresh_card(&self, owner: &Jid, force: bool) -> Option<Arc<KnownCard>> {
        let entry = self.entries.get(owner)?;
        (!force && !entry.stale).then(|| Arc::clone(&entry.known))
    }

    /// Returns the addresses whose vCards are cached.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Jid> {
        self.entries.keys()
    }

    /// Returns the cached vCard of this address.
    pub(super) fn known_card(&self, jid: &BareJid) -> Option<Arc<KnownCard>> {
        self.get(jid).map(Arc::clone)
    }
}

/// Get a vCard. Answered with the vCard.
#[derive(Debug)]
pub struct GetCard {
    /// The owner of the vCard.
    pub jid: Jid,
    /// Whether to fetch it even if it is known.
    pub force: bool,
}

impl Command for GetCard {
    type Answer = Arc<KnownCard>;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let owner = features.rooms.card_owner(&self.jid);
        features.cards.get_or_fetch(owner, self.force, answer, turn);
    }
}

/// Change the own vCard. Answered when the server has accepted the change.
#[derive(Debug)]
pub struct SetCard {
    /// The calling instance.
    pub by: InstanceId,
    /// The change to make.
    pub change: CardChange,
}

impl Command for SetCard {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.change.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        features.cards.change(Change { by: self.by, fields: self.change, answer }, turn);
    }
}

/// Fetch a vCard, so that the contact shows it. Answered when the contact shows it.
#[derive(Debug)]
pub struct UpdateCard {
    /// The owner of the vCard.
    pub jid: Jid,
    /// Whether to fetch it even if it is known.
    pub force: bool,
}

impl Command for UpdateCard {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let (cards, mut holders) = features.cards_and_holders();
        cards.update(&self.jid, self.force, answer, &mut holders, turn);
    }
}

impl Cards {
    /// Gets a vCard, from the cache or from its owner.
    fn get_or_fetch(&mut self, owner: Jid, force: bool, answer: Answer<Arc<KnownCard>>, turn: &mut Turn<'_>) {
        match self.fresh_card(&owner, force) {
            Some(known) => turn.answer(answer, Ok(known)),
            None => Self::fetch(owner, Fetch::Get(answer), turn),
        }
    }

    /// Fetches a vCard, so that the contact shows it.
    fn update(
        &mut self,
        jid: &Jid,
        force: bool,
        answer: Answer<()>,
        holders: &mut CardHolders<'_>,
        turn: &mut Turn<'_>,
    ) {
        let owner = holders.rooms.card_owner(jid);
        match self.fresh_card(&owner, force) {
            Some(known) => {
                holders.tell(&owner, &known, turn);
                turn.answer(answer, Ok(()));
            }
            None => Self::fetch(owner, Fetch::Update(answer), turn),
        }
    }

    /// Changes the own vCard.
    fn change(&mut self, change: Change, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return turn.answer(change.answer, Err(CallError::Offline));
        }
        if let Err(error) = self.may_wait(change.by) {
            return turn.answer(change.answer, Err(error));
        }
        self.changes.push_back(change);
        self.next_change(turn);
    }

    fn fetch(owner: Jid, fetch: Fetch, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return fetch.fail(CallError::Offline, turn);
        }
        if let Err(error) = turn.make_room_for_iq() {
            return fetch.fail(error, turn);
        }
        // The own vCard is requested without an address (XEP-0054, section 3.1).
        let to = Some(owner.clone()).filter(|owner| *owner != turn.own.to_bare());
        turn.ask(to, Ask::Card, Waiting::Card(owner, fetch), PATIENCE);
    }

    /// Handles the answer to a request for a vCard.
    pub(super) fn came(
        &mut self,
        owner: &Jid,
        fetch: Fetch,
        outcome: Result<Body, CallError>,
        holders: &mut CardHolders<'_>,
        turn: &mut Turn<'_>,
    ) {
        let card = match read(outcome) {
            Ok((card, _)) => card,
            Err(error) => return fetch.fail(error, turn),
        };
        let known = self.keep(owner, card, holders, turn);
        match fetch {
            Fetch::Get(answer) => turn.answer(answer, Ok(known)),
            Fetch::Update(answer) => turn.answer(answer, Ok(())),
            Fetch::Refresh => {}
        }
    }

    /// Stores a vCard that is current, and reports it.
    fn keep(&mut self, owner: &Jid, card: Card, holders: &mut CardHolders<'_>, turn: &mut Turn<'_>) -> Arc<KnownCard> {
        let known = Arc::new(KnownCard { card, updated: turn.now });
        for gone in self.put(owner.clone(), Arc::clone(&known)) {
            holders.show(&gone, None, turn);
        }
        holders.tell(owner, &known, turn);
        let avatar = self.own_avatar(turn);
        let is_another = std::mem::replace(&mut turn.own_avatar, avatar.clone()) != avatar;
        if is_another && turn.announced && turn.is_live() && !turn.status.value.is_hidden() {
            // XEP-0153, section 4.2: everyone who sees us learns of the new picture at once.
            announce(holders.rooms, turn);
        }
        known
    }

    /// Removes all vCards, also from contacts, chats and occupants: the session in which they were fetched has ended.
    pub(super) fn forget_all(&mut self, holders: &mut CardHolders<'_>, turn: &mut Turn<'_>) {
        let owners: Vec<Jid> = self.entries.keys().cloned().collect();
        for owner in owners {
            holders.show(&owner, None, turn);
        }
        *self = Self::default();
        turn.own_avatar = Avatar::Unknown;
    }

    /// Handles the announcement of someone's picture. Only vCards that were requested are cached, and so fetched again.
    pub(super) fn avatar_seen(&mut self, from: &Jid, avatar: &Avatar, rooms: &Rooms, turn: &mut Turn<'_>) {
        if self.entries.is_empty() || *avatar == Avatar::Unknown {
            return;
        }
        let owner = rooms.card_owner(from);
        let Some(entry) = self.entries.get_mut(&owner) else { return };
        if Avatar::of(&entry.known.card) == *avatar {
            return;
        }
        let first = !std::mem::replace(&mut entry.stale, true);
        let is_old = turn.now.duration_since(entry.known.updated).unsigned_abs() >= REFRESH;
        if first && is_old {
            Self::fetch(owner, Fetch::Refresh, turn);
        }
    }

    /// Begins the next change of the own vCard, if none is in progress.
    fn next_change(&mut self, turn: &mut Turn<'_>) {
        self.changes.retain(|change| !change.answer.is_abandoned());
        while !self.changing
            && let Some(change) = self.changes.pop_front()
        {
            match turn.make_room_for_iq() {
                Ok(()) => {
                    self.changing = true;
                    turn.ask(None, Ask::Card, Waiting::OwnCard(change), PATIENCE);
                }
                Err(error) => turn.answer(change.answer, Err(error)),
            }
        }
    }

    /// Handles the own vCard, which is to be changed.
    pub(super) fn own_card_came(&mut self, change: Change, outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
        let outcome = match outcome {
            // XEP-0054, section 3.1: there is none yet; the condition depends on the server.
            Err(CallError::Stanza(error))
                if error.kind != "wait"
                    && matches!(error.condition.as_str(), "item-not-found" | "service-unavailable") =>
            {
                Ok((Card::default(), None))
            }
            // The change may remove a picture that is too large.
            outcome => read(outcome),
        };
        let (card, whole) = match outcome {
            Ok(found) => found,
            Err(error) => return self.change_failed(change, error, turn),
        };
        if change.fields.needs_picture() && card.picture.is_none() {
            let error = CallError::invalid("data.image-type", "there is no image that it could be the type of");
            return self.change_failed(change, error, turn);
        }
        let card = card.changed(&change.fields);
        let rest = whole.as_ref().map_or(0, WholeCard::length);
        if rest + card.weight() > MAX_WHOLE {
            let error = CallError::OverLimit(format!("the whole card may have {MAX_WHOLE} bytes"));
            return self.change_failed(change, error, turn);
        }
        let ask = Ask::SetCard { whole, change: Box::new(change.fields.clone()) };
        match turn.make_room_for_iq() {
            Ok(()) => turn.ask(None, ask, Waiting::CardSet(change, Box::new(card)), PATIENCE),
            Err(error) => self.change_failed(change, error, turn),
        }
    }

    /// Handles the answer to a change of the own vCard.
    pub(super) fn card_was_set(
        &mut self,
        change: Change,
        card: Card,
        outcome: Result<(), CallError>,
        holders: &mut CardHolders<'_>,
        turn: &mut Turn<'_>,
    ) {
        if let Err(error) = outcome {
            return self.change_failed(change, error, turn);
        }
        self.keep(&Jid::from(turn.own.to_bare()), card, holders, turn);
        turn.answer(change.answer, Ok(()));
        self.changing = false;
        self.next_change(turn);
    }

    fn change_failed(&mut self, change: Change, error: CallError, turn: &mut Turn<'_>) {
        turn.answer(change.answer, Err(error));
        self.changing = false;
        self.next_change(turn);
    }
}

impl Features {
    /// Returns the vCards, and the features that show them.
    pub(super) fn cards_and_holders(&mut self) -> (&mut Cards, CardHolders<'_>) {
        let Self { cards, roster, chats, rooms, .. } = self;
        (cards, CardHolders { roster, chats, rooms })
    }
}

/// Reads a vCard from an answer. An empty answer is an empty vCard (XEP-0054, section 3.1).
fn read(outcome: Result<Body, CallError>) -> Result<(Card, Option<WholeCard>), CallError> {
    match outcome? {
        Body::Card { card, whole } => Ok((*card, Some(whole))),
        Body::Empty => Ok((Card::default(), None)),
        Body::OversizedCard => Err(CallError::OverLimit(format!(
            "a card's picture may have {} bytes of base64",
            parlor_stanza::card::MAX_PICTURE
        ))),
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
