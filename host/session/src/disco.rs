//! The features of entities: service discovery (XEP-0030) and entity capabilities (XEP-0115), in both directions.
//!
//! `own` is the information about this account, `known` that about others, and `caps` the hash of either. This file
//! sends the requests: to the own server, account and services on connecting, and to others when a plugin asks.

pub(super) mod caps;
pub(super) mod known;
pub(super) mod own;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body, Disco, Identity, Presence, PresenceKind};
use serde_json::json;

use crate::answer::Answer;
use crate::deadlines::{DeadlineKey, Late};
use crate::event::Payload;
use crate::iq::{MAX_OUTSTANDING, PATIENCE, Waiting};
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::turn::{FollowUp, Turn};
use known::{KnownDisco, MAX_ENTITIES, MAX_FEATURES};

/// Time limit for the features of the server and the own account, since everything after it waits.
const DISCO_PATIENCE: Duration = Duration::from_secs(10);
/// Maximum number of the server's services that are asked on connecting.
pub(super) const MAX_SERVICES: usize = 64;
/// Maximum number of calls that wait for answers. Each counts as a request of its plugin, even if others wait for the
/// same answer.
const MAX_WAITERS: usize = MAX_OUTSTANDING;

/// The features of other entities, and those that this account announces.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) known: KnownDisco,
    /// The calls that wait for the answer of an entity.
    waiting: HashMap<Jid, Vec<Answer<Arc<Disco>>>>,
    told: Reported,
    /// The server and the own account, until they have answered on this stream or failed to.
    due: Vec<Jid>,
    /// The deadline for these answers.
    due_until: Option<DeadlineKey>,
}

impl Discovery {
    pub(super) fn new() -> Self {
        Self {
            known: KnownDisco::default(),
            waiting: HashMap::new(),
            told: Reported::default(),
            due: Vec::new(),
            due_until: None,
        }
    }

    fn waiters(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Drops calls whose callers gave up.
    pub(super) fn forget_abandoned(&mut self) {
        for waiters in self.waiting.values_mut() {
            waiters.retain(|answer| !answer.is_abandoned());
        }
    }

    /// Ends the pending requests of a lost stream. Answers from it may be wrong on the next one.
    pub(super) fn stream_gone(&mut self, turn: &mut Turn<'_>) {
        for answer in self.waiting.drain().flat_map(|(_, waiters)| waiters) {
            turn.answer(answer, Err(CallError::Offline));
        }
        self.known.forget_entities();
        self.due.clear();
    }

    /// Forgets everything, including the features that were reported.
    pub(super) fn forget(&mut self) {
        self.known = KnownDisco::default();
        self.told = Reported::default();
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 5] {
        let [entities, claims, verified] = self.known.sizes();
        [entities, claims, verified, self.waiters(), self.told.by_entity.len()]
    }

    /// Reports each feature of an entity once, and each field of a form (XEP-0128).
    pub(super) fn tell_disco(&mut self, entity: &Jid, disco: &Disco, turn: &mut Turn<'_>) {
        for var in &disco.features {
            if self.told.note(entity, ("", var)) {
                let payload = Payload::Feature { var: var.clone(), entity: entity.clone() };
                turn.fire("serviceDiscovered", payload);
            }
        }
        for form in &disco.forms {
            let form_type = form.form_type.as_deref().unwrap_or_default();
            for field in &form.fields {
                // A field may have the name of a feature; the character keeps the two apart.
                if self.told.note(entity, (&format!("<{form_type}"), &field.var)) {
                    let field = json!({
                        "entity": entity.as_str(), "form_type": form.form_type, "var": field.var, "type": field.kind,
                        "value": field.values.first(), "values": field.values,
                    });
                    let payload = Payload::Field { json: field.to_string().into(), entity: entity.clone() };
                    turn.fire("discoExtensionFieldDiscovered", payload);
                }
            }
        }
    }

    /// Asks the server, which then lists its services, and the own account, on a new stream.
    ///
    /// The connect order continues once both have answered or failed to: after `discoInitialized`, the features of the
    /// server are known.
    pub(super) fn discover_server(&mut self, turn: &mut Turn<'_>) {
        let entities = [turn.server(), Jid::from(turn.own.to_bare())];
        self.due = entities.to_vec();
        turn.deadlines.replace(&mut self.due_until, Some((DISCO_PATIENCE, Late::Discovery)));
        for entity in entities {
            self.known.last(&entity);
            self.learn(entity, PATIENCE, turn);
        }
    }

    /// Returns an entity's information to a plugin, from memory or by asking it.
    pub(super) fn discover(&mut self, entity: Jid, answer: Answer<Arc<Disco>>, turn: &mut Turn<'_>) {
        if entity == turn.own {
            return turn.answer(answer, Ok(Arc::clone(turn.own_disco.disco())));
        }
        if let Some(known) = self.known.of(&entity, turn.now) {
            let known = Arc::clone(known);
            return turn.answer(answer, Ok(known));
        }
        if !turn.is_live() {
            return turn.answer(answer, Err(CallError::Offline));
        }
        if self.waiters() >= MAX_WAITERS {
            self.forget_abandoned();
        }
        if self.waiters() >= MAX_WAITERS {
            return turn.answer(answer, Err(CallError::OverLimit(format!("{MAX_WAITERS} calls wait for answers"))));
        }
        if let Some(waiters) = self.waiting.get_mut(&entity) {
            return waiters.push(answer);
        }
        if let Err(error) = turn.make_room_for_iq() {
            return turn.answer(answer, Err(error));
        }
        self.learn(entity.clone(), PATIENCE, turn);
        self.waiting.entry(entity).or_default().push(answer);
    }

    /// Answers the calls that wait for this entity.
    pub(super) fn answer_waiting(
        &mut self,
        entity: &Jid,
        result: Result<&Arc<Disco>, &CallError>,
        turn: &mut Turn<'_>,
    ) {
        for answer in self.waiting.remove(entity).into_iter().flatten() {
            turn.answer(answer, result.map(Arc::clone).map_err(CallError::clone));
        }
    }

    /// Asks an entity for its identities and features, unless a request is pending.
    pub(super) fn learn(&mut self, entity: Jid, patience: Duration, turn: &mut Turn<'_>) {
        if !self.waiting.contains_key(&entity) {
            self.waiting.insert(entity.clone(), Vec::new());
            let node = self.known.claim(&entity).map(caps::node);
            turn.ask_info(entity, node, patience);
        }
    }

    /// Asks each of the server's services for its identities and features.
    pub(super) fn items_came(&mut self, outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
        // A server that does not answer has no services for us.
        let Ok(Body::Items(items)) = outcome else { return };
        let known = [turn.server(), Jid::from(turn.own.to_bare()), turn.own.clone()];
        let mut asked = HashSet::new();
        for item in items {
            if asked.len() >= MAX_SERVICES {
                turn.ignored += 1;
                return;
            }
            if known.contains(&item) || !asked.insert(item.clone()) {
                continue;
            }
            self.known.last(&item);
            self.learn(item, PATIENCE, turn);
        }
    }

    /// Returns whether an entity has a feature, as far as that is known now, without a request.
    pub(super) fn can(&self, entity: &Jid, feature: &str, turn: &Turn<'_>) -> Option<bool> {
        let disco = self.known.of(entity, turn.now)?;
        Some(disco.features.iter().any(|known| known == feature))
    }

    /// Returns whether the own server is `MongooseIM`, as it says.
    pub(super) fn is_mongooseim(&self, turn: &Turn<'_>) -> bool {
        let is_name = |one: &Identity| one.category == "server" && one.name.as_deref() == Some("MongooseIM");
        self.known.of(&turn.server(), turn.now).is_some_and(|server| server.identities.iter().any(is_name))
    }

    /// Returns whether a service that is known to have only rooms reports that this is not one of them.
    pub(super) fn is_no_room(&self, other: &BareJid, error: &CallError, turn: &Turn<'_>) -> bool {
        let says_so = matches!(error, CallError::Stanza(error) if error.condition == "item-not-found");
        says_so && self.known.is_at_rooms(other, turn.now)
    }

    /// Asks the room for its information. A change of its configuration comes as a status code, after which it is asked
    /// again.
    pub(super) fn ask_about(&mut self, jid: &BareJid, turn: &mut Turn<'_>) {
        self.learn(Jid::from(jid.clone()), PATIENCE, turn);
    }

    /// Handles the capabilities that presence claims. A claim is worthless until its hash was compared.
    pub(super) fn caps_came(&mut self, presence: &mut Presence, roster: &Roster, rooms: &Rooms, turn: &mut Turn<'_>) {
        let caps = presence.caps.take();
        if presence.from.is_bare() || presence.from == turn.own {
            return;
        }
        // Strangers cost nothing to make up, and would leave no room for others.
        let bare = presence.from.to_bare();
        if !(roster.has(&bare) || rooms.has(&bare) || bare == turn.own.to_bare()) {
            return;
        }
        let changed = match (&presence.kind, caps) {
            // Presence without capabilities does not withdraw them (XEP-0115, section 8.4).
            (PresenceKind::Available, Some(caps)) => self.known.claimed(&presence.from, *caps),
            (PresenceKind::Unavailable, _) => self.known.gone(&presence.from),
            _ => false,
        };
        turn.changed |= changed;
    }

    /// Returns whether an entity that was asked for this node has claimed other features since, and this answer is not about
    /// them.
    pub(super) fn is_of_before(&self, entity: &Jid, asked: Option<&str>, answer: &Disco) -> bool {
        let since = self.known.claim(entity).filter(|claim| asked.is_some_and(|asked| caps::node(claim) != asked));
        since.is_some_and(|claim| !caps::vouches(claim, answer))
    }

    /// Notes that one of them has answered, or will not.
    pub(super) fn no_longer_due(&mut self, entity: &Jid, turn: &mut Turn<'_>) {
        if self.due.is_empty() {
            return;
        }
        self.due.retain(|due| due != entity);
        if self.due.is_empty() {
            self.discovered(turn);
        }
    }

    /// Continues without those that did not answer in time.
    pub(super) fn discovery_late(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.due).is_empty() {
            self.discovered(turn);
        }
    }

    fn discovered(&mut self, turn: &mut Turn<'_>) {
        turn.deadlines.replace(&mut self.due_until, None);
        turn.follow(FollowUp::DiscoSettled);
    }
}

/// The features and fields that were reported for each entity, so that nothing is reported twice. They are stored as
/// hashes that no outsider can predict.
#[derive(Debug, Default)]
struct Reported {
    hasher: RandomState,
    by_entity: HashMap<Jid, HashSet<u64>>,
    order: VecDeque<Jid>,
}

impl Reported {
    /// Notes something to report. Returns `false` if it was reported before.
    fn note(&mut self, entity: &Jid, what: (&str, &str)) -> bool {
        let hash = self.hasher.hash_one(what);
        if let Some(told) = self.by_entity.get_mut(entity) {
            // If an entity announces more than this, the rest is not reported.
            return told.len() < 4 * MAX_FEATURES && told.insert(hash);
        }
        if self.order.len() >= MAX_ENTITIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_entity.remove(&oldest);
        }
        self.order.push_back(entity.clone());
        self.by_entity.insert(entity.clone(), HashSet::from([hash]));
        true
    }
}

impl Turn<'_> {
    pub(super) fn ask_info(&mut self, entity: Jid, node: Option<String>, patience: Duration) {
        let waiting = Waiting::Info(entity.clone(), node.clone());
        self.ask(Some(entity), Ask::DiscoInfo { node }, waiting, patience);
    }

    pub(super) fn ask_items(&mut self, entity: Jid) {
        self.ask(Some(entity), Ask::DiscoItems, Waiting::Items, PATIENCE);
    }
}
