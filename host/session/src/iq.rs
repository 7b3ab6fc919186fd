//! Pending IQs: the requests of this account, and the answers that count (RFC 6120, section 8.2.3).

use crate::archive::archive_preferences_came;
use std::collections::HashMap;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_stanza::card::Card;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{self, AdHocRequest, Ask, Body, Outgoing, Query, Reply, Request};

use crate::bookmarks::BookmarkQuestion;
use crate::command::Command;
use crate::deadlines::{DeadlineKey, Deadlines, Late};
use crate::effect::{Effect, Sent};
use crate::features::Features;
use crate::owners::{OWNER_COMMANDS, command_node};
use crate::rooms::RoomQuestion;
use crate::roster::ASK_AGAIN;
use crate::status::status_sent;
use crate::turn::Turn;
use crate::{Answer, cards, contacts};

/// The largest limit `iqs` that an owner can allow a plugin.
pub const MOST_IQS: usize = 1_024;
/// Maximum number of pending requests for plugins: those of eight plugins with that limit.
pub(super) const MAX_OUTSTANDING: usize = 8 * MOST_IQS;
/// Time limit for an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Time limit for the roster, since everything after it waits.
pub(super) const ROSTER_PATIENCE: Duration = Duration::from_secs(20);

/// The node that lists the rooms in which someone is.
const OWN_ROOMS: &str = "http://jabber.org/protocol/muc#rooms";

/// The purpose of a pending request, which decides how its answer is handled.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The roster. `versioned`: an empty answer means that the known roster is current. `late`: nobody waits for it any
    /// longer, but it is accepted when it comes.
    Roster {
        versioned: bool,
        late: bool,
    },
    Contact(contacts::Pending),
    /// Someone's vCard.
    Card(Jid, cards::Fetch),
    /// The own vCard, before a change.
    OwnCard(cards::Change),
    /// The change of the own vCard to this one.
    CardSet(cards::Change, Box<Card>),
    /// `disco#info` of this entity, optionally of a node.
    Info(Jid, Option<String>),
    /// The server's services.
    Items,
    /// A page of an archive, by the query's id.
    Archive(String),
    ArchivePreferences,
    ArchivePreferencesSet,
    Carbons,
    Room(BareJid, RoomQuestion),
    Bookmarks(BookmarkQuestion),
    Plugin(Answer<RawStanza>),
}

#[derive(Debug)]
struct PendingIq {
    to: Option<Jid>,
    waiting: Waiting,
    deadline: DeadlineKey,
}

impl Waiting {
    /// Returns whether a plugin waited for it and no longer does.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Contact(pending) => pending.answer.is_abandoned(),
            Self::Card(_, fetch) => fetch.is_abandoned(),
            Self::Plugin(answer) => answer.is_abandoned(),
            Self::Room(_, iq) => iq.is_abandoned(),
            Self::Bookmarks(iq) => iq.is_abandoned(),
            // Calls for archive pages and service discovery wait elsewhere. Changes of the vCard end in their turn,
            // since the next one waits for them.
            Self::OwnCard(_)
            | Self::CardSet(..)
            | Self::Roster { .. }
            | Self::Info(..)
            | Self::Items
            | Self::Archive(_)
            | Self::ArchivePreferences
            | Self::ArchivePreferencesSet
            | Self::Carbons => false,
        }
    }
}

/// All pending requests.
#[derive(Debug, Default)]
pub(super) struct PendingIqs(HashMap<String, PendingIq>);

impl PendingIqs {
    fn add(&mut self, to: Option<Jid>, waiting: Waiting, patience: Duration, deadlines: &mut Deadlines) -> String {
        let id = random_id();
        let deadline = deadlines.set(patience, Late::Iq(id.clone()));
        self.0.insert(id.clone(), PendingIq { to, waiting, deadline });
        id
    }

    /// Removes the request that this answers, unless the answer comes from another entity.
    fn answered(&mut self, answer: &types::Answer, own: &Jid) -> Option<PendingIq> {
        let iq = self.0.get(&answer.id)?;
        counts(iq.to.as_ref(), answer.from.as_ref(), own).then(|| self.0.remove(&answer.id)).flatten()
    }

    /// Ends all requests. The session's own ones are simply forgotten.
    pub(super) fn end(turn: &mut Turn<'_>) {
        for (_, iq) in std::mem::take(&mut turn.iqs).0 {
            turn.deadlines.cancel(iq.deadline);
            match iq.waiting {
                Waiting::Room(_, asked) => asked.end(turn),
                Waiting::Bookmarks(asked) => asked.end(turn),
                Waiting::Contact(pending) => turn.answer(pending.answer, Err(CallError::Offline)),
                Waiting::Card(_, fetch) => fetch.fail(CallError::Offline, turn),
                Waiting::OwnCard(change) | Waiting::CardSet(change, _) => {
                    turn.answer(change.answer, Err(CallError::Offline));
                }
                Waiting::Plugin(answer) => turn.answer(answer, Err(CallError::Offline)),
                // `Discovery::stream_gone` and `Archives::end` answer the calls that wait for these.
                Waiting::Roster { .. }
                | Waiting::Info(..)
                | Waiting::Items
                | Waiting::Archive(_)
                | Waiting::ArchivePreferences
                | Waiting::ArchivePreferencesSet
                | Waiting::Carbons => {}
            }
        }
    }

    pub(super) fn forget_abandoned(&mut self, deadlines: &mut Deadlines) {
        self.0.retain(|_, iq| {
            let keep = !iq.waiting.is_abandoned();
            if !keep {
                deadlines.cancel(iq.deadline);
            }
            keep
        });
    }

    /// Removes the pending changes of this contact that are completed according to `settles`.
    pub(super) fn take_contacts(
        &mut self,
        jid: &BareJid,
        deadlines: &mut Deadlines,
        mut settles: impl FnMut(&mut contacts::Pending) -> bool,
    ) -> Vec<contacts::Pending> {
        let settled = self.0.extract_if(|_, iq| match &mut iq.waiting {
            Waiting::Contact(pending) => pending.jid == *jid && settles(pending),
            _ => false,
        });
        let settled = settled.filter_map(|(_, iq)| {
            deadlines.cancel(iq.deadline);
            match iq.waiting {
                Waiting::Contact(pending) => Some(pending),
                _ => None,
            }
        });
        settled.collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Returns an id that cannot be guessed, so that nobody can answer in another entity's place.
pub(super) fn random_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Returns whether an answer from this address counts for a request to that one.
fn counts(to: Option<&Jid>, from: Option<&Jid>, own: &Jid) -> bool {
    let is_account = |jid: &Jid| jid == own || *jid == own.to_bare();
    match (to, from) {
        (Some(to), Some(from)) => to == from || (*to == own.to_bare() && is_account(from)),
        (Some(to), None) => is_account(to),
        (None, None) => true,
        (None, Some(from)) => is_account(from) || from.as_str() == own.domain().as_str(),
    }
}

impl Turn<'_> {
    pub(super) fn ask(&mut self, to: Option<Jid>, ask: Ask, waiting: Waiting, patience: Duration) {
        let id = self.expect(to.clone(), waiting, patience);
        self.send(Outgoing::Ask { to, id, ask });
    }

    /// Registers a request that is about to be sent. Returns its id.
    pub(super) fn expect(&mut self, to: Option<Jid>, waiting: Waiting, patience: Duration) -> String {
        self.common.iqs.add(to, waiting, patience, &mut self.common.deadlines)
    }

    /// Removes a request that was answered by something other than an IQ.
    pub(super) fn take_iq(&mut self, id: &str, is_meant: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        self.common.iqs.0.get(id).filter(|iq| is_meant(&iq.waiting))?;
        let iq = self.common.iqs.0.remove(id)?;
        self.deadlines.cancel(iq.deadline);
        Some(iq.waiting)
    }

    /// Checks that there is room for another pending request of a plugin.
    pub(super) fn make_room_for_iq(&mut self) -> Result<(), CallError> {
        if self.common.iqs.len() >= MAX_OUTSTANDING {
            self.common.iqs.forget_abandoned(&mut self.common.deadlines);
        }
        if self.common.iqs.len() >= MAX_OUTSTANDING {
            return Err(CallError::OverLimit(format!("{MAX_OUTSTANDING} IQs wait for answers")));
        }
        Ok(())
    }

    pub(super) fn ask_info(&mut self, entity: Jid, node: Option<String>, patience: Duration) {
        let waiting = Waiting::Info(entity.clone(), node.clone());
        self.ask(Some(entity), Ask::DiscoInfo { node }, waiting, patience);
    }

    pub(super) fn ask_items(&mut self, entity: Jid) {
        self.ask(Some(entity), Ask::DiscoItems, Waiting::Items, PATIENCE);
    }
}

/// Send a stanza as it is. Answered when the stanza is queued.
#[derive(Debug)]
pub struct SendRaw {
    /// The calling instance.
    pub by: InstanceId,
    /// The stanza to send.
    pub stanza: RawStanza,
}

impl Command for SendRaw {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.stanza.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return turn.answer(answer, Err(CallError::Offline));
        }
        let Self { by, stanza } = self;
        let presence = stanza.broadcast_presence();
        let outgoing = if stanza.is_request() {
            // The answer would be taken for that of the other request.
            if stanza.id().is_some_and(|id| turn.iqs.0.contains_key(id)) {
                let reason = "the id is that of another iq that waits for its answer; choose another";
                return turn.answer(answer, Err(CallError::invalid("stanza", reason)));
            }
            Outgoing::Private(stanza, by)
        } else {
            Outgoing::Raw(stanza)
        };
        turn.out.push(Effect::SendFor(outgoing, Sent::Raw(answer)));
        if let Some(presence) = presence {
            status_sent(presence, &mut features.roster, &mut features.rooms, turn);
        }
    }
}

/// Send an IQ get or set, and wait for its result. The session sets the id. Answered with the whole result.
#[derive(Debug)]
pub struct SendIq {
    /// The calling instance.
    pub by: InstanceId,
    /// The IQ to send.
    pub iq: RawStanza,
}

impl Command for SendIq {
    type Answer = RawStanza;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.iq.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return turn.answer(answer, Err(CallError::Offline));
        }
        if !self.iq.is_request() {
            return turn.answer(answer, Err(CallError::invalid("iq", "is not an IQ of the type get or set")));
        }
        if let Err(error) = turn.make_room_for_iq() {
            return turn.answer(answer, Err(error));
        }
        let id = turn.expect(self.iq.to(), Waiting::Plugin(answer), PATIENCE);
        turn.send(Outgoing::Private(self.iq.with_id(&id), self.by));
    }
}

impl Features {
    /// Handles an answer from the stream.
    pub(super) fn answered(&mut self, answer: types::Answer, turn: &mut Turn<'_>) {
        let Some(iq) = turn.common.iqs.answered(&answer, &turn.common.own) else {
            turn.ignored += 1;
            return;
        };
        turn.deadlines.cancel(iq.deadline);
        let outcome = answer.outcome.map_err(CallError::Stanza);
        match iq.waiting {
            // A plugin gets the whole answer.
            Waiting::Plugin(asker) => turn.answer(asker, outcome.map(|_| answer.raw)),
            waiting => self.settle(waiting, outcome, turn),
        }
    }

    /// Hands the outcome of a request to the feature that made it: the answer, the error of the other side, or why there
    /// is none.
    fn settle(&mut self, waiting: Waiting, outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
        match waiting {
            Waiting::Roster { versioned, .. } => {
                let (roster, mut views) = self.roster_and_views();
                roster.answered(versioned, outcome, &mut views, turn);
            }
            Waiting::Contact(pending) => {
                let (roster, mut views) = self.roster_and_views();
                roster.contact_answered(pending, outcome.map(drop), &mut views, turn);
            }
            Waiting::Card(owner, fetch) => {
                let (cards, mut holders) = self.cards_and_holders();
                cards.came(&owner, fetch, outcome, &mut holders, turn);
            }
            Waiting::OwnCard(change) => self.cards.own_card_came(change, outcome, turn),
            Waiting::CardSet(change, card) => {
                let (cards, mut holders) = self.cards_and_holders();
                cards.card_was_set(change, *card, outcome.map(drop), &mut holders, turn);
            }
            Waiting::Info(entity, node) => self.disco_came(&entity, node.as_deref(), outcome, turn),
            Waiting::Items => self.disco.items_came(outcome, turn),
            Waiting::Archive(queryid) => self.archives.archive_answered(&queryid, outcome, turn),
            Waiting::ArchivePreferences => archive_preferences_came(outcome, turn),
            // If the server refuses, it keeps its own preferences.
            Waiting::ArchivePreferencesSet => {}
            Waiting::Carbons => self.carbons.answered(outcome.map(drop), turn),
            Waiting::Room(room, asked) => {
                let mut room = self.rooms.one(&room, turn);
                if outcome != Err(CallError::TimedOut) {
                    room.heard();
                }
                room.room_answered(asked, outcome);
            }
            Waiting::Bookmarks(asked) => self.bookmarks.answered(asked, outcome, &mut self.rooms, turn),
            Waiting::Plugin(asker) => turn.answer(asker, outcome.and(Err(CallError::TimedOut))),
        }
    }

    pub(super) fn iq_timed_out(&mut self, id: &str, turn: &mut Turn<'_>) {
        // A server that has just started, or a long roster, may take that long each time.
        if let Some(PendingIq { waiting: Waiting::Roster { late, .. }, deadline, .. }) = turn.common.iqs.0.get_mut(id)
            && !std::mem::replace(late, true)
        {
            *deadline = turn.common.deadlines.set(ASK_AGAIN, Late::Iq(id.to_owned()));
            return turn.roster_failed("the server gave no answer in time");
        }
        let Some(iq) = turn.iqs.0.remove(id) else { return };
        self.settle(iq.waiting, Err(CallError::TimedOut), turn);
    }

    /// Answers a request to this account. Every request must be answered (RFC 6120, section 8.2.3).
    pub(super) fn requested(&mut self, request: Request, turn: &mut Turn<'_>) {
        let reply = match request.query {
            Query::Ping => Reply::Done,
            Query::DiscoInfo { node: Some(node) }
                if self.owners.find(request.from.as_ref(), turn).is_some()
                    && let Some(disco) = command_node(&node) =>
            {
                Reply::Disco { node: Some(node), disco }
            }
            Query::DiscoInfo { node } => turn.own_disco.answer(node),
            Query::DiscoItems { node: Some(node) }
                if node == types::COMMANDS && self.owners.find(request.from.as_ref(), turn).is_some() =>
            {
                Reply::Commands { of: turn.own.clone(), items: &OWNER_COMMANDS }
            }
            Query::AdHoc(command) => match self.owners.find(request.from.as_ref(), turn) {
                Some(owner) => {
                    let asked = AdHocRequest { from: owner.into(), id: request.id, command: *command };
                    return turn.out.push(Effect::Command(asked));
                }
                // The same answer as from an entity without commands: whether an account has an owner is private.
                None => Reply::Refuse { kind: "cancel", condition: "service-unavailable" },
            },
            // A command has no items, but its node exists.
            Query::DiscoItems { node: Some(node) } if self.owners.may_give(request.from.as_ref(), &node, turn) => {
                Reply::NoItems { node: Some(node) }
            }
            // The rooms that we are in are private, and an empty list reveals nothing (XEP-0045, section 6.7).
            Query::DiscoItems { node: Some(node) }
                if !node.is_empty() && node != OWN_ROOMS && !turn.own_disco.has_node(&node) =>
            {
                Reply::Refuse { kind: "cancel", condition: "item-not-found" }
            }
            Query::DiscoItems { node } => Reply::NoItems { node },
            Query::Version => Reply::Version,
            Query::Time => Reply::Time(turn.now),
            Query::RosterPush { version, item, xml } => {
                let (roster, mut views) = self.roster_and_views();
                roster.pushed(version, item, xml, &mut views, turn);
                Reply::Done
            }
            Query::Malformed => Reply::Refuse { kind: "modify", condition: "bad-request" },
            Query::Other => Reply::Refuse { kind: "cancel", condition: "service-unavailable" },
        };
        turn.send(Outgoing::Reply { to: request.from, id: request.id, reply });
    }
}
