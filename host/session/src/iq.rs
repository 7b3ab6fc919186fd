//! Pending IQs: the requests of this account, and the answers that count (RFC 6120, section 8.2.3).

pub(super) mod blocking;
pub(super) mod bookmarks;
pub(super) mod cards;
pub(super) mod contacts;
pub(super) mod entities;
pub(super) mod keys;
pub(super) mod pubsub;
pub(super) mod rooms;

use std::collections::HashMap;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::card::Card;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types;

use crate::answer::Answer;
use crate::deadlines::{DeadlineKey, Deadlines, Late};
use crate::effect::Effect;
use blocking::BlockingIq;
use bookmarks::BookmarkIq;
use cards::{CardFetch, OwnCardChange};
use contacts::ContactIq;
use entities::EntityIq;
use keys::KeysIq;
use pubsub::PubsubIq;
use rooms::RoomIq;

/// The largest limit `iqs` that an owner can allow a plugin.
pub const MOST_IQS: usize = 1_024;
/// Maximum number of pending requests for plugins: those of eight plugins with that limit.
pub(super) const MAX_OUTSTANDING: usize = 8 * MOST_IQS;
/// Time limit for an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Time limit for the roster, since everything after it waits.
pub(super) const ROSTER_PATIENCE: Duration = Duration::from_secs(20);
/// How long the roster is accepted after [`ROSTER_PATIENCE`].
const ROSTER_AGAIN: Duration = Duration::from_mins(1);

/// The purpose of a pending request, which decides how its answer is handled.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The roster. `versioned`: an empty answer means that the known roster is current. `late`: its caller gave up, but
    /// the answer is still accepted.
    Roster {
        versioned: bool,
        late: bool,
    },
    Contact(ContactIq),
    /// The blocked addresses, or a change of them.
    Blocking(BlockingIq),
    /// A question to an entity about itself.
    Entity(EntityIq),
    /// Someone's vCard.
    Card(Jid, CardFetch),
    /// The own vCard, before a change.
    OwnCard(OwnCardChange),
    /// The change of the own vCard to this one.
    CardSet(OwnCardChange, Box<Card>),
    /// `disco#info` of this entity, optionally of a node.
    Info(Jid, Option<String>),
    /// The server's services.
    Items,
    /// A page of an archive, by the query's id.
    Archive(String),
    ArchivePreferences,
    ArchivePreferencesSet,
    Carbons,
    Room(BareJid, RoomIq),
    Bookmarks(BookmarkIq),
    /// About a node of publish-subscribe.
    Pubsub(PubsubIq),
    /// About keys of encryption.
    Keys(KeysIq),
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
            Self::Blocking(iq) => iq.is_abandoned(),
            Self::Entity(iq) => iq.is_abandoned(),
            Self::Card(_, fetch) => fetch.is_abandoned(),
            Self::Plugin(answer) => answer.is_abandoned(),
            Self::Room(_, iq) => iq.is_abandoned(),
            Self::Bookmarks(iq) => iq.is_abandoned(),
            Self::Pubsub(iq) => iq.is_abandoned(),
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
            | Self::Keys(_)
            | Self::Carbons => false,
        }
    }
}

/// All pending requests.
#[derive(Debug, Default)]
pub(super) struct PendingIqs(HashMap<String, PendingIq>);

impl PendingIqs {
    pub(super) fn add(
        &mut self,
        to: Option<Jid>,
        waiting: Waiting,
        patience: Duration,
        deadlines: &mut Deadlines,
    ) -> String {
        let id = random_id();
        let deadline = deadlines.set(patience, Late::Iq(id.clone()));
        self.0.insert(id.clone(), PendingIq { to, waiting, deadline });
        id
    }

    /// Removes the request that this answers, unless the answer comes from another entity.
    pub(super) fn answered(&mut self, answer: &types::Answer, own: &Jid, deadlines: &mut Deadlines) -> Option<Waiting> {
        let iq = self.0.get(&answer.id)?;
        let (to, from) = (iq.to.as_ref(), answer.from.as_ref());
        let is_meant = counts(to, from, own) || (answer.outcome.is_err() && is_bare_of(to, from));
        let iq = is_meant.then(|| self.0.remove(&answer.id)).flatten()?;
        deadlines.cancel(iq.deadline);
        Some(iq.waiting)
    }

    /// Ends all requests. The session's own ones are simply forgotten.
    pub(super) fn end(&mut self, deadlines: &mut Deadlines, out: &mut Vec<Effect>) {
        for (_, iq) in std::mem::take(&mut self.0) {
            deadlines.cancel(iq.deadline);
            match iq.waiting {
                Waiting::Room(_, asked) => asked.end(out),
                Waiting::Bookmarks(asked) => asked.end(out),
                Waiting::Pubsub(asked) => asked.end(out),
                Waiting::Blocking(asked) => asked.end(out),
                Waiting::Entity(asked) => asked.fail(CallError::Offline, out),
                Waiting::Contact(ContactIq { answer, .. })
                | Waiting::OwnCard(OwnCardChange { answer, .. })
                | Waiting::CardSet(OwnCardChange { answer, .. }, _) => {
                    out.push(Effect::answer(answer, Err(CallError::Offline)));
                }
                Waiting::Card(_, fetch) => fetch.fail(CallError::Offline, out),
                Waiting::Plugin(answer) => out.push(Effect::answer(answer, Err(CallError::Offline))),
                // `Discovery::stream_gone` and `Archives::end` answer the calls that wait for these, and messages that wait for
                // keys wait on.
                Waiting::Roster { .. }
                | Waiting::Info(..)
                | Waiting::Items
                | Waiting::Archive(_)
                | Waiting::ArchivePreferences
                | Waiting::ArchivePreferencesSet
                | Waiting::Keys(_)
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

    /// Returns the last pending change of this contact's entry.
    pub(super) fn last_contact(&self, jid: &BareJid) -> Option<&ContactIq> {
        let changes = self.0.values().filter_map(|iq| match &iq.waiting {
            Waiting::Contact(pending) => Some(pending),
            _ => None,
        });
        let open = changes.filter(|pending| pending.jid == *jid && pending.item.is_some() && !pending.overtaken);
        open.max_by_key(|pending| pending.number)
    }

    /// Removes the pending changes of this contact that are completed according to `settles`.
    pub(super) fn take_contacts(
        &mut self,
        jid: &BareJid,
        deadlines: &mut Deadlines,
        mut settles: impl FnMut(&mut ContactIq) -> bool,
    ) -> Vec<ContactIq> {
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

    /// Removes the request of this id if `is_meant` accepts it.
    pub(super) fn take(
        &mut self,
        id: &str,
        deadlines: &mut Deadlines,
        is_meant: impl Fn(&Waiting) -> bool,
    ) -> Option<Waiting> {
        self.0.get(id).filter(|iq| is_meant(&iq.waiting))?;
        let iq = self.0.remove(id)?;
        deadlines.cancel(iq.deadline);
        Some(iq.waiting)
    }

    /// Notes that the deadline of a request has passed. Returns whether it is the roster's first, so that the roster is
    /// accepted when it comes later.
    pub(super) fn roster_may_come_late(&mut self, id: &str, deadlines: &mut Deadlines) -> bool {
        let Some(PendingIq { waiting: Waiting::Roster { late, .. }, deadline, .. }) = self.0.get_mut(id) else {
            return false;
        };
        if std::mem::replace(late, true) {
            return false;
        }
        // A server that has just started, or a long roster, may take that long each time.
        *deadline = deadlines.set(ROSTER_AGAIN, Late::Iq(id.to_owned()));
        true
    }

    /// Removes the request of this id, whose deadline has passed.
    pub(super) fn timed_out(&mut self, id: &str) -> Option<Waiting> {
        self.0.remove(id).map(|iq| iq.waiting)
    }

    /// Returns whether a request of this id is pending.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Returns an id that cannot be guessed, so that no one can answer for another entity.
pub(super) fn random_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Returns whether an answer from this address counts for a request to that one.
fn counts(to: Option<&Jid>, from: Option<&Jid>, own: &Jid) -> bool {
    let is_account = |jid: &Jid| jid == own || *jid == own.to_bare();
    match (to, from) {
        (Some(to), Some(from)) => to == from || (*to == own.to_bare() && is_account(from)),
        // Only the own server can leave out the sender. RFC 6120, section 8.1.2.1, demands its domain, which old servers omit.
        (Some(to), None) => is_account(to) || to.as_str() == own.domain().as_str(),
        (None, None) => true,
        (None, Some(from)) => is_account(from) || from.as_str() == own.domain().as_str(),
    }
}

/// Returns whether an answer comes from the room of the occupant, or the account of the client, that was asked. Either may
/// refuse the request under its own address, as for an occupant who is not there any more, but not answer it for them.
fn is_bare_of(to: Option<&Jid>, from: Option<&Jid>) -> bool {
    let (Some(to), Some(from)) = (to, from) else { return false };
    to.is_full() && *from == to.to_bare()
}
