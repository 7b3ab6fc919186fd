//! Handing the answers of IQs to the features that asked, and answering the requests of others (RFC 6120, section 8.2.3).

use jid::Jid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{self, Body, ForeignRequest, Outgoing, Query, Reply, Request};

use super::{Features, ad_hoc};
use crate::archive::archive_preferences_came;
use crate::effect::Effect;
use crate::encryption::answers::answered;
use crate::iq::Waiting;
use crate::messages::is_own_nick;
use crate::owners::command_node;
use crate::permissions::namespaces::reserved;
use crate::rooms::Rooms;
use crate::turn::Turn;
use crate::{blocking, entities};

/// The node that lists the rooms in which someone is.
const OWN_ROOMS: &str = "http://jabber.org/protocol/muc#rooms";

impl Features {
    /// Handles an answer from the stream.
    pub(super) fn answered(&mut self, answer: types::Answer, turn: &mut Turn<'_>) {
        let Some(waiting) = turn.common.iqs.answered(&answer, &turn.common.own, &mut turn.common.deadlines) else {
            turn.ignored += 1;
            return;
        };
        let outcome = answer.outcome.map_err(CallError::Stanza);
        match waiting {
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
            Waiting::Blocking(asked) => blocking::answered(asked, outcome, turn),
            Waiting::Entity(asked) => entities::answered(asked, outcome, turn),
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
            Waiting::Archive(queryid) => {
                if turn.encrypts {
                    // The keys of messages that were decrypted for this page are stored before a plugin gets the page.
                    turn.out.push(Effect::KeepKeys(Vec::new()));
                }
                self.archives.archive_answered(&queryid, outcome, turn);
            }
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
            Waiting::Pubsub(asked) => self.pubsub.answered(asked, outcome, turn),
            Waiting::Keys(asked) => answered(&mut self.encryption, asked, outcome, &mut self.rooms, turn),
            Waiting::Plugin(asker) => turn.answer(asker, outcome.and(Err(CallError::TimedOut))),
        }
    }

    /// Handles a request whose deadline has passed.
    pub(super) fn iq_timed_out(&mut self, id: &str, turn: &mut Turn<'_>) {
        if turn.common.iqs.roster_may_come_late(id, &mut turn.common.deadlines) {
            return turn.roster_failed("the server gave no answer in time");
        }
        if let Some(waiting) = turn.iqs.timed_out(id) {
            self.settle(waiting, Err(CallError::TimedOut), turn);
        }
    }

    /// Answers a request to this account. Every request must be answered (RFC 6120, section 8.2.3).
    pub(super) fn requested(&mut self, request: Request, turn: &mut Turn<'_>) {
        let reply = match request.query {
            // The list of blocked addresses is asked for each time, so that nothing here is out of date.
            Query::Ping | Query::BlockingPush => Reply::Done,
            Query::DiscoInfo { node: Some(node) }
                if self.owners.find(request.from.as_ref(), turn).is_some()
                    && let Some(disco) = command_node(&node) =>
            {
                Reply::Disco { node: Some(node), disco }
            }
            Query::DiscoInfo { node: Some(node) }
                if let Some(disco) = ad_hoc::node(self, request.from.as_ref(), &node, turn) =>
            {
                Reply::Disco { node: Some(node), disco }
            }
            Query::DiscoInfo { node } => turn.own_disco.answer(node),
            Query::DiscoItems { node: Some(node) }
                if node == types::COMMANDS
                    && let Some(items) = ad_hoc::offered(self, request.from.as_ref(), turn) =>
            {
                Reply::Commands { of: turn.own.clone(), items }
            }
            Query::AdHoc(command) => return ad_hoc::carry_out(self, request.from, request.id, *command, turn),
            // A command has no items, but its node exists.
            Query::DiscoItems { node: Some(node) }
                if self.owners.may_give(request.from.as_ref(), &node, turn)
                    || ad_hoc::node(self, request.from.as_ref(), &node, turn).is_some() =>
            {
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
            // The entry of one client says nothing of the contact, which has another. A gateway may have no other one.
            Query::RosterPush { of_client: true, item, .. }
                if item.jid.node().is_some() && self.roster.has(&item.jid) =>
            {
                Reply::Done
            }
            Query::RosterPush { version, item, xml, .. } => {
                let (roster, mut views) = self.roster_and_views();
                roster.pushed(version, item, xml, &mut views, turn);
                Reply::Done
            }
            Query::Foreign { is_set, payload }
                if reserved(&payload.namespace()).is_none()
                    && !is_of_this_client(request.from.as_ref(), &self.rooms, turn) =>
            {
                let asked = ForeignRequest { from: request.from, id: request.id, is_set, payload };
                return turn.out.push(Effect::Ask(asked));
            }
            Query::Malformed => Reply::Refuse { kind: "modify", condition: "bad-request" },
            Query::Foreign { .. } | Query::Other => Reply::Refuse { kind: "cancel", condition: "service-unavailable" },
        };
        turn.send(Outgoing::Reply { to: request.from, id: request.id, reply });
    }
}

/// Returns whether a request comes from this very client, directly or through a room. Plugins send such requests, and the one that
/// answers would take them for those of somebody else: of an occupant with the account's role, or of a client of its owner.
fn is_of_this_client(from: Option<&Jid>, rooms: &Rooms, turn: &Turn<'_>) -> bool {
    from.is_some_and(|from| *from == turn.own || is_own_nick(from, rooms))
}
