//! Nodes of publish-subscribe (XEP-0060) and of accounts (PEP, XEP-0163): subscriptions of plugins, and notifications.
//!
//! The account is subscribed by its bare JID, so that a subscription outlives the stream. Services may still forget
//! subscriptions, so each is made again on a new stream.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body, NodeChange, NodeEvent, NodeItem, NodePage, PubsubAsk};

use crate::answer::Answer;
use crate::deadlines::{DeadlineKey, Late};
use crate::event::Payload;
use crate::iq::pubsub::{NodeAddress, PubsubIq};
use crate::iq::{PATIENCE, Waiting};
use crate::permissions::nodes::reserved_node;
use crate::records::pubsub_item::{PubsubItem, PubsubKind};
use crate::roster::Roster;
use crate::turn::{Link, Turn};

/// Maximum number of subscriptions of one plugin.
pub(super) const MAX_OF_ONE: usize = 64;
/// Maximum number of nodes to which an account is subscribed.
pub(super) const MAX_NODES: usize = 256;
/// Delay before the account subscribes again at a service that could not be reached.
const ASK_AGAIN: Duration = Duration::from_mins(5);
/// How long after the account has subscribed again a service may send the last item of a node once more.
const ONCE_MORE: Duration = Duration::from_secs(30);
/// The errors of servers that do not reach a service. They say nothing about a subscription to it.
const NOT_REACHED: [&str; 2] = ["remote-server-not-found", "remote-server-timeout"];

/// A plugin's instance that is subscribed to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subscriber {
    instance: InstanceId,
    /// Whether the service has answered.
    is_confirmed: bool,
}

/// The nodes to which plugins have subscribed the account.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<NodeAddress, Vec<Subscriber>>,
    /// The id of the last subscription to each node, if its service gave one. It stays when no plugin has the subscription any
    /// more.
    ids: BTreeMap<NodeAddress, String>,
    /// The nodes whose owners have yet to approve the subscription.
    pending: BTreeSet<NodeAddress>,
    /// When the subscription to a node was replaced by another one.
    replaced: BTreeMap<NodeAddress, Duration>,
    /// Instances that are to replace others: the new one, and the old one.
    successors: Vec<(InstanceId, InstanceId)>,
    /// The nodes whose services could not say on this stream whether the account is still subscribed.
    unsaid: BTreeSet<NodeAddress>,
    /// The timer for asking them again.
    again: Option<DeadlineKey>,
    /// The last items of these nodes.
    last: LastItems,
}

/// The last item of each node to which the account is subscribed. Services send it to whoever subscribes, so also when the
/// account only subscribes again (XEP-0060, section 6.1.7), and ejabberd with each first presence.
#[derive(Debug, Default)]
struct LastItems {
    hasher: RandomState,
    /// A hash goes when a plugin subscribes, which wants the last item.
    hashes: BTreeMap<NodeAddress, u64>,
    /// When the account subscribed to a node again.
    renewed: BTreeMap<NodeAddress, Duration>,
}

impl LastItems {
    /// Notes an item. Returns whether it is the last one, which the service sends once more.
    fn note(&mut self, at: &NodeAddress, item: &NodeItem, now: Duration) -> bool {
        // Nothing tells it from other items.
        if item.is_cut || (item.id.is_none() && item.xml.is_none()) {
            return false;
        }
        let hash = self.hasher.hash_one((&item.id, &item.xml));
        let is_last = self.hashes.insert(at.clone(), hash) == Some(hash);
        is_last && self.renewed.get(at).is_some_and(|renewed| now.saturating_sub(*renewed) < ONCE_MORE)
    }

    fn forget(&mut self, at: &NodeAddress) {
        self.hashes.remove(at);
        self.renewed.remove(at);
    }
}

impl Subscriptions {
    /// Returns whether the account is subscribed to no node.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Subscribes the account to a node for a plugin.
    pub(super) fn subscribe(&mut self, by: InstanceId, at: NodeAddress, answer: Answer<bool>, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(&at.service, turn).and_then(|()| self.add(by, &at)) {
            return turn.answer(answer, Err(error));
        }
        // This plugin has not seen the last item, which may come only once the account is visible again.
        self.last.hashes.remove(&at);
        ask_to_subscribe(&at.clone(), PubsubIq::Subscribe { at, by, answer }, turn);
    }

    /// Ends a plugin's subscription. While another plugin has one to the node, the service is not notified.
    pub(super) fn unsubscribe(&mut self, by: InstanceId, at: NodeAddress, answer: Answer<()>, turn: &mut Turn<'_>) {
        let subscribers = self.all.get(&at).map(Vec::as_slice).unwrap_or_default();
        if !has(subscribers, by) {
            let what = format!("a subscription of this plugin to {} of {}", at.node, at.service);
            return turn.answer(answer, Err(CallError::NotFound(what)));
        }
        if subscribers.len() > 1 {
            self.remove(by, &at);
            return turn.answer(answer, Ok(()));
        }
        if let Err(error) = may_ask(&at.service, turn) {
            return turn.answer(answer, Err(error));
        }
        let id = self.ids.get(&at).cloned();
        let request = PubsubAsk::Unsubscribe { node: at.node.clone(), jid: turn.own.to_bare(), id };
        ask(&at.clone(), request, PubsubIq::Unsubscribe { at, by, answer }, turn);
    }

    /// Notes that an instance subscribes. It counts at once: items may come before the answer.
    fn add(&mut self, by: InstanceId, at: &NodeAddress) -> Result<(), CallError> {
        if self.all.get(at).is_some_and(|subscribers| has(subscribers, by)) {
            return Ok(());
        }
        if self.all.values().filter(|subscribers| has(subscribers, by)).count() >= MAX_OF_ONE {
            return Err(CallError::OverLimit(format!("{MAX_OF_ONE} subscriptions to nodes of one plugin")));
        }
        if self.all.len() >= MAX_NODES && !self.all.contains_key(at) {
            return Err(CallError::OverLimit(format!("{MAX_NODES} nodes to which the account is subscribed")));
        }
        let subscriber = Subscriber { instance: by, is_confirmed: false };
        self.all.entry(at.clone()).or_default().push(subscriber);
        Ok(())
    }

    fn remove(&mut self, by: InstanceId, at: &NodeAddress) {
        if let Some(subscribers) = self.all.get_mut(at) {
            subscribers.retain(|one| one.instance != by);
        }
        self.forget_empty();
    }

    fn forget_empty(&mut self) {
        for (at, _) in self.all.extract_if(.., |_, subscribers| subscribers.is_empty()) {
            self.last.forget(&at);
            self.pending.remove(&at);
        }
    }

    /// Notes the service's answer to a subscription that was not confirmed before.
    fn settle(&mut self, by: InstanceId, at: &NodeAddress, is_subscribed: bool) {
        let Some(subscribers) = self.all.get_mut(at) else { return };
        if is_subscribed {
            subscribers.iter_mut().filter(|one| one.instance == by).for_each(|one| one.is_confirmed = true);
        } else {
            // A subscription that was confirmed earlier remains.
            subscribers.retain(|one| one.instance != by || one.is_confirmed);
            self.forget_empty();
        }
    }

    /// Handles the answer to a request.
    pub(super) fn answered(&mut self, asked: PubsubIq, outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
        match asked {
            PubsubIq::Change(answer) => turn.answer(answer, outcome.map(drop)),
            PubsubIq::Publish { id, answer } => {
                let published = outcome.map(|body| match body {
                    Body::Published(Some(made_up)) => made_up,
                    // Services need not repeat the id.
                    _ => id.unwrap_or_default(),
                });
                turn.answer(answer, published);
            }
            PubsubIq::Items(answer) => turn.answer(answer, outcome.and_then(page)),
            PubsubIq::Subscribe { at, by, answer } => {
                self.note_id(&at, &outcome, turn);
                let in_force = in_force(outcome);
                self.settle(by, &at, in_force.is_ok());
                if let Ok(is_active) = in_force {
                    self.note_state(&at, is_active, turn);
                }
                turn.answer(answer, in_force);
            }
            PubsubIq::Unsubscribe { at, by, answer } => {
                // A service that refuses has no such subscription. If it cannot be asked now, the plugin may try again.
                let is_over = match &outcome {
                    Ok(_) => true,
                    Err(error) => matches!(error, CallError::Stanza(_)) && !is_no_verdict(error),
                };
                if is_over {
                    self.remove(by, &at);
                    self.ids.remove(&at);
                }
                turn.answer(answer, outcome.map(drop));
            }
            PubsubIq::Again(at) => {
                self.note_id(&at, &outcome, turn);
                match in_force(outcome) {
                    Ok(is_active) => self.note_state(&at, is_active, turn),
                    Err(error) if is_no_verdict(&error) => {
                        self.unsaid.insert(at);
                        self.put_off(turn);
                    }
                    Err(_) => self.ended(&at, turn),
                }
            }
            // The service may have forgotten it before.
            PubsubIq::Superseded => {}
        }
    }

    /// Notes the id that a service gave a subscription, and ends the subscription before it. A service that keeps several of
    /// one address adds one whenever the account subscribes again, and sends each item once for each of them.
    fn note_id(&mut self, at: &NodeAddress, outcome: &Result<Body, CallError>, turn: &mut Turn<'_>) {
        let Ok(Body::Subscription { id: Some(id), .. }) = outcome else { return };
        if !self.makes_place_for_id(at) {
            return;
        }
        let before = self.ids.insert(at.clone(), id.clone());
        if let Some(before) = before.filter(|before| before != id) {
            let now = turn.deadlines.elapsed();
            self.replaced.retain(|_, since| now.saturating_sub(*since) < ONCE_MORE);
            self.replaced.insert(at.clone(), now);
            let (node, jid) = (at.node.clone(), turn.own.to_bare());
            ask(at, PubsubAsk::Unsubscribe { node, jid, id: Some(before) }, PubsubIq::Superseded, turn);
        }
    }

    /// Makes a place for the id of a subscription: if there are too many, one of a node to which no plugin is subscribed any
    /// more is forgotten. Returns whether there is a place.
    fn makes_place_for_id(&mut self, at: &NodeAddress) -> bool {
        if self.ids.len() < MAX_NODES || self.ids.contains_key(at) {
            return true;
        }
        let unused = self.ids.keys().find(|known| !self.all.contains_key(*known)).cloned();
        unused.is_some_and(|unused| self.ids.remove(&unused).is_some())
    }

    /// Notes whether a subscription is active. Plugins that had to wait for its approval are notified.
    fn note_state(&mut self, at: &NodeAddress, is_active: bool, turn: &mut Turn<'_>) {
        if is_active {
            if self.pending.remove(at) {
                tell(at, NodeChange::Subscribed { id: None }, turn);
            }
        } else if self.all.contains_key(at) {
            self.pending.insert(at.clone());
        }
    }

    /// Handles the service's notification that a subscription is active, which may be the first to name its id.
    fn approved(&mut self, at: &NodeAddress, id: Option<String>, turn: &mut Turn<'_>) {
        if let Some(id) = id.filter(|_| self.pending.contains(at))
            && self.makes_place_for_id(at)
        {
            self.ids.entry(at.clone()).or_insert(id);
        }
        self.note_state(at, true, turn);
    }

    /// Returns whether the subscription that ended is the one that ours has just replaced. The service has not named it.
    fn is_of_replaced(&mut self, at: &NodeAddress, turn: &Turn<'_>) -> bool {
        let since = self.replaced.remove(at);
        since.is_some_and(|since| turn.deadlines.elapsed().saturating_sub(since) < ONCE_MORE)
    }

    /// Forgets a subscription that the service ended, and reports that.
    fn ended(&mut self, at: &NodeAddress, turn: &mut Turn<'_>) {
        if self.forget(at) {
            tell(at, NodeChange::Unsubscribed { id: None }, turn);
        }
    }

    /// Forgets the subscription to a node. Returns whether there was one.
    fn forget(&mut self, at: &NodeAddress) -> bool {
        self.pending.remove(at);
        self.ids.remove(at);
        self.last.forget(at);
        self.all.remove(at).is_some()
    }

    /// Handles a notification of a node. It is believed of a service to which the account is subscribed, of a contact's account, and of
    /// this account; anybody could send it. A service also speaks of the nodes in a collection to which the account is subscribed.
    pub(super) fn said(&mut self, from: &Jid, event: NodeEvent, roster: &Roster, turn: &mut Turn<'_>) {
        let NodeEvent { node, collections, changes } = event;
        let Err(service) = from.try_as_full() else {
            turn.ignored += 1;
            return;
        };
        let at = NodeAddress { service: service.clone(), node };
        let is_account = *service == turn.own.to_bare() || (service.node().is_some() && roster.has(service));
        let collection = |node| NodeAddress { service: service.clone(), node };
        let is_in_collection = || collections.into_iter().any(|node| self.all.contains_key(&collection(node)));
        let is_trusted = is_account || self.all.contains_key(&at) || is_in_collection();
        if !is_trusted || reserved_node(&at.node).is_some() {
            turn.ignored += 1;
            return;
        }
        for change in changes {
            match change {
                // Another subscription took its place.
                NodeChange::Unsubscribed { id: Some(id) } if self.ids.get(&at).is_some_and(|own| *own != id) => {}
                NodeChange::Unsubscribed { id: None } if self.is_of_replaced(&at, turn) => {}
                NodeChange::Unsubscribed { .. } => self.ended(&at, turn),
                NodeChange::Subscribed { id } => self.approved(&at, id, turn),
                // Its subscriptions are gone as well.
                NodeChange::Deleted => {
                    self.forget(&at);
                    tell(&at, change, turn);
                }
                NodeChange::Item(item) if self.is_once_more(&at, &item, turn) => turn.ignored += 1,
                NodeChange::Item(_) => tell(&at, change, turn),
                NodeChange::Retracted(_) | NodeChange::Purged => {
                    // The same item would be a new one.
                    self.last.hashes.remove(&at);
                    tell(&at, change, turn);
                }
            }
        }
    }

    /// Returns whether a service sends an item only once more, since the account has just subscribed again.
    fn is_once_more(&mut self, at: &NodeAddress, item: &NodeItem, turn: &Turn<'_>) -> bool {
        self.all.contains_key(at) && self.last.note(at, item, turn.deadlines.elapsed())
    }

    /// Subscribes the account again, on a new stream, or after it was hidden: servers drop what services send to a hidden
    /// account. Then services send their last items, some of them with the presence.
    pub(super) fn again(&mut self, turn: &mut Turn<'_>) {
        let now = turn.deadlines.elapsed();
        // A service that is being asked sends its last item anyway.
        let confirmed = self.all.iter().filter(|(_, subscribers)| subscribers.iter().any(|one| one.is_confirmed));
        for (at, _) in confirmed {
            self.last.renewed.insert(at.clone(), now);
            ask_to_subscribe(at, PubsubIq::Again(at.clone()), turn);
        }
    }

    fn put_off(&mut self, turn: &mut Turn<'_>) {
        turn.deadlines.replace(&mut self.again, Some((ASK_AGAIN, Late::PubsubAgain)));
    }

    /// Subscribes the account again at the services that could not say whether it is subscribed.
    pub(super) fn ask_again(&mut self, turn: &mut Turn<'_>) {
        // Requests during a lost connection would all be sent when it is over.
        if turn.link == Link::Suspended {
            return self.put_off(turn);
        }
        let unsaid = std::mem::take(&mut self.unsaid);
        let now = turn.deadlines.elapsed();
        for at in unsaid.iter().filter(|at| self.all.contains_key(*at)) {
            self.last.renewed.insert(at.clone(), now);
            ask_to_subscribe(at, PubsubIq::Again(at.clone()), turn);
        }
    }

    /// Forgets the subscriptions that the lost stream's service has not confirmed. Their plugins are notified that they
    /// failed.
    pub(super) fn stream_gone(&mut self) {
        // The next stream asks all services.
        self.unsaid.clear();
        for subscribers in self.all.values_mut() {
            subscribers.retain(|one| one.is_confirmed);
        }
        self.forget_empty();
    }

    /// Forgets the subscriptions of an instance that is gone. Later items of the service are ignored.
    pub(super) fn instance_gone(&mut self, gone: InstanceId) {
        for subscribers in self.all.values_mut() {
            subscribers.retain(|one| one.instance != gone);
        }
        self.forget_empty();
        self.successors.retain(|(new, _)| *new != gone);
    }

    /// Notes that an instance is to replace another one.
    pub(super) fn successor(&mut self, new: InstanceId, of: InstanceId) {
        self.successors.push((new, of));
    }

    /// Gives an instance the subscriptions of the one that it replaces.
    pub(super) fn inherit(&mut self, new: InstanceId) {
        let Some(at) = self.successors.iter().position(|(one, _)| *one == new) else { return };
        let (_, of) = self.successors.swap_remove(at);
        for subscribers in self.all.values_mut() {
            let is_new = subscribers.iter().all(|one| one.instance != new);
            if let Some(old) = subscribers.iter().find(|one| one.instance == of).copied().filter(|_| is_new) {
                subscribers.push(Subscriber { instance: new, ..old });
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

fn has(subscribers: &[Subscriber], by: InstanceId) -> bool {
    subscribers.iter().any(|one| one.instance == by)
}

/// Returns whether a subscription is active, from the service's answer. While somebody has yet to approve it, services refuse to
/// make it again (XEP-0060, section 6.1.3).
fn in_force(outcome: Result<Body, CallError>) -> Result<bool, CallError> {
    match outcome {
        Ok(body) => Ok(!matches!(body, Body::Subscription { is_pending: true, .. })),
        Err(CallError::Stanza(error)) if error.xml.contains("pending-subscription") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether this error says nothing about a subscription. After a restart, a server may be back before the service
/// is, or before it reaches other servers.
fn is_no_verdict(error: &CallError) -> bool {
    error.may_pass() || matches!(error, CallError::Stanza(error) if NOT_REACHED.contains(&error.condition.as_str()))
}

/// Checks whether a service may be asked now.
pub(super) fn may_ask(service: &BareJid, turn: &mut Turn<'_>) -> Result<(), CallError> {
    if !turn.is_live() {
        return Err(CallError::Offline);
    }
    if *service == turn.own.to_bare() {
        turn.needs_server("nodes of its own")?;
    }
    turn.make_room_for_iq()
}

/// Sends a request about a node.
pub(super) fn ask(at: &NodeAddress, request: PubsubAsk, asked: PubsubIq, turn: &mut Turn<'_>) {
    // The own account is asked without an address (RFC 6120, section 8.1.1.1).
    let to = Some(at.service.clone()).filter(|service| *service != turn.own.to_bare()).map(Jid::from);
    turn.ask(to, Ask::Pubsub(Box::new(request)), Waiting::Pubsub(asked), PATIENCE);
}

fn ask_to_subscribe(at: &NodeAddress, asked: PubsubIq, turn: &mut Turn<'_>) {
    let request = PubsubAsk::Subscribe { node: at.node.clone(), jid: turn.own.to_bare() };
    ask(at, request, asked, turn);
}

/// Reads items from an answer.
fn page(body: Body) -> Result<NodePage, CallError> {
    match body {
        Body::NodeItems(page) => Ok(*page),
        // The limits for received data leave out an answer as a whole.
        _ => Err(CallError::Other("the answer had no items, or more than the host takes in; ask for fewer".to_owned())),
    }
}

/// Reports the event of a node.
fn tell(at: &NodeAddress, change: NodeChange, turn: &mut Turn<'_>) {
    let (kind, item) = match change {
        NodeChange::Item(item) => (PubsubKind::Item, item),
        NodeChange::Retracted(id) => (PubsubKind::Retracted, NodeItem { id: Some(id), ..NodeItem::default() }),
        NodeChange::Purged => (PubsubKind::Purged, NodeItem::default()),
        NodeChange::Deleted => (PubsubKind::Deleted, NodeItem::default()),
        NodeChange::Subscribed { .. } => (PubsubKind::Subscribed, NodeItem::default()),
        NodeChange::Unsubscribed { .. } => (PubsubKind::Unsubscribed, NodeItem::default()),
    };
    let NodeItem { id, publisher, xml, is_cut } = item;
    let is_own = at.service == turn.own.to_bare();
    let NodeAddress { service, node } = at.clone();
    let told = PubsubItem { kind, service, node, id, publisher, xml, is_cut, is_own };
    turn.fire("pubsub-item", Payload::PubsubItem(Arc::new(told)));
}
