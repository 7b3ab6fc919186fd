//! Fetching vCards, and changing the own one.

use std::sync::Arc;
use std::time::Duration;

use jid::Jid;
use parlor_stanza::card::{Avatar, Card};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body};
use parlor_stanza::whole_card::WholeCard;

use super::Cards;
use super::holders::CardHolders;
use crate::answer::Answer;
use crate::iq::cards::{CardFetch, OwnCardChange};
use crate::iq::{PATIENCE, Waiting};
use crate::records::card::KnownCard;
use crate::rooms::Rooms;
use crate::status::announce;
use crate::turn::Turn;

/// Maximum length of the own vCard, in bytes: the maximum that fits into a stanza.
const MAX_WHOLE: usize = 240 * 1024;
/// If the picture of a vCard seems to change more often than this, it is fetched only on request.
const REFRESH: Duration = Duration::from_mins(1);

impl Cards {
    /// Gets a vCard, from the cache or from its owner.
    pub(crate) fn get_or_fetch(
        &mut self,
        owner: Jid,
        force: bool,
        answer: Answer<Arc<KnownCard>>,
        turn: &mut Turn<'_>,
    ) {
        match self.fresh_card(&owner, force) {
            Some(known) => turn.answer(answer, Ok(known)),
            None => Self::fetch(owner, CardFetch::Get(answer), turn),
        }
    }

    /// Fetches a vCard, so that the contact shows it.
    pub(crate) fn update(
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
            None => Self::fetch(owner, CardFetch::Update(answer), turn),
        }
    }

    /// Changes the own vCard.
    pub(crate) fn change(&mut self, change: OwnCardChange, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return turn.answer(change.answer, Err(CallError::Offline));
        }
        if let Err(error) = self.may_wait(change.by) {
            return turn.answer(change.answer, Err(error));
        }
        self.changes.push_back(change);
        self.next_change(turn);
    }

    fn fetch(owner: Jid, fetch: CardFetch, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return fetch.fail(CallError::Offline, turn.out);
        }
        if let Err(error) = turn.make_room_for_iq() {
            return fetch.fail(error, turn.out);
        }
        // The own vCard is requested without an address (XEP-0054, section 3.1).
        let to = Some(owner.clone()).filter(|owner| *owner != turn.own.to_bare());
        turn.ask(to, Ask::Card, Waiting::Card(owner, fetch), PATIENCE);
    }

    /// Handles the answer to a request for a vCard.
    pub(crate) fn came(
        &mut self,
        owner: &Jid,
        fetch: CardFetch,
        outcome: Result<Body, CallError>,
        holders: &mut CardHolders<'_>,
        turn: &mut Turn<'_>,
    ) {
        let card = match read(outcome) {
            Ok((card, _)) => card,
            Err(error) => return fetch.fail(error, turn.out),
        };
        let known = self.keep(owner, card, holders, turn);
        match fetch {
            CardFetch::Get(answer) => turn.answer(answer, Ok(known)),
            CardFetch::Update(answer) => turn.answer(answer, Ok(())),
            CardFetch::Refresh => {}
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
    pub(crate) fn forget_all(&mut self, holders: &mut CardHolders<'_>, turn: &mut Turn<'_>) {
        let owners: Vec<Jid> = self.entries.keys().cloned().collect();
        for owner in owners {
            holders.show(&owner, None, turn);
        }
        *self = Self::default();
        turn.own_avatar = Avatar::Unknown;
    }

    /// Handles the announcement of someone's picture. Only vCards that were requested are cached, and so fetched again.
    pub(crate) fn avatar_seen(&mut self, from: &Jid, avatar: &Avatar, rooms: &Rooms, turn: &mut Turn<'_>) {
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
            Self::fetch(owner, CardFetch::Refresh, turn);
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

    /// Handles the own vCard, which was fetched to change it.
    pub(crate) fn own_card_came(
        &mut self,
        change: OwnCardChange,
        outcome: Result<Body, CallError>,
        turn: &mut Turn<'_>,
    ) {
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
    pub(crate) fn card_was_set(
        &mut self,
        change: OwnCardChange,
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

    fn change_failed(&mut self, change: OwnCardChange, error: CallError, turn: &mut Turn<'_>) {
        turn.answer(change.answer, Err(error));
        self.changing = false;
        self.next_change(turn);
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
        | Body::Blocked(_)
        | Body::Activity(_)
        | Body::Time(_)
        | Body::Software(_)
        | Body::Registration(_)
        | Body::Published(_)
        | Body::NodeItems(_)
        | Body::Subscription { .. }
        | Body::Other => Err(CallError::Other("the answer was no visiting card".to_owned())),
    }
}
