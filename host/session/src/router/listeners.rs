//! The listeners to one event, found by the addresses that their scopes cover.
//!
//! Most plugins of a busy account may hear a few people. An event is compared with the grants of those that may hear its
//! address, and costs nothing for the others, however many there are.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use imbl::Vector;
use jid::BareJid;
use parlor_base::id::InstanceId;

use super::SubscriptionId;
use super::filter::{Classes, Filter, Heard};
use super::mailbox::Mailbox;
use super::screen::{Screen, Seen};
use super::subscription::{Subscription, Subscriptions};
use super::withheld::{Tally, Told};
use crate::permissions::AddressKey;

/// The number of the last listeners whose filters and screens a new listener may share.
const NEIGHBOURS: usize = 4;

/// The subscriptions of an instance to an event.
#[derive(Debug)]
pub(super) struct Listener {
    /// Its place in the order of first subscriptions.
    turn: u64,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) subscriptions: Subscriptions,
    /// The screen before it, and the count of what it withholds of the classes that its filters let through. `None`:
    /// each event must be compared with its grants and filters.
    screen: Option<(Arc<Screen>, Arc<Tally>)>,
}

/// All listeners to one event. A copy shares what does not change.
#[derive(Debug, Clone, Default)]
pub(super) struct Listeners {
    /// All, in order.
    all: Vector<Arc<Listener>>,
    /// All, by their instances. A tree takes half the memory of a hash map here.
    of: imbl::OrdMap<InstanceId, Arc<Listener>>,
    /// The listeners that are checked for each event, in order.
    asked: Vector<Arc<Listener>>,
    /// The others, in order, for each key of an address that one of them may hear.
    keyed: imbl::HashMap<AddressKey, Vector<Arc<Listener>>>,
    /// The keyed listeners that are checked for each event of a class, in order: their filters name addresses or texts,
    /// so only the full check tells whether an event is withheld from them.
    doubtful: imbl::HashMap<Classes, Vector<Arc<Listener>>>,
    /// The turn of the next listener.
    next: u64,
    /// Counts the events for which listeners are found by keys.
    told: Arc<Told>,
}

impl Listener {
    /// Returns whether its screen excludes an event, which then counts as withheld if one of its filters wants it.
    pub(super) fn screens(&self, seen: &Seen<'_>, heard: &Heard<'_>) -> bool {
        let Some((screen, tally)) = &self.screen else { return false };
        if !screen.excludes(seen) {
            tally.passed(seen.class());
            return false;
        }
        // Otherwise it would not have been found.
        debug_assert!(screen.doubtful().any(|class| class == seen.class()), "{self:?}");
        if self.subscriptions.iter().any(|one| one.filter.matches(heard)) {
            self.mailbox.withheld.count(screen.permission().into());
        }
        true
    }

    /// Returns its subscriptions that match an event and may see it, and whether one of them asks for the XML.
    /// Subscriptions that end with the event are added to `over`.
    pub(super) fn matching<'l>(
        &'l self,
        heard: &Heard<'_>,
        is_contact: &dyn Fn(&BareJid) -> bool,
        over: &mut Vec<(&'l Self, &'l Subscription)>,
    ) -> (Vec<SubscriptionId>, bool) {
        let (mut subscriptions, mut xml) = (Vec::new(), false);
        for subscription in &*self.subscriptions {
            if !subscription.filter.matches(heard) {
                continue;
            }
            // All subscriptions share the instance's grants, so they are checked once, for the first one that matches.
            if subscriptions.is_empty() && !self.mailbox.shows(heard.event, is_contact) {
                break;
            }
            if let Some(done) = &subscription.once {
                if done.swap(true, Relaxed) {
                    continue;
                }
                over.push((self, subscription));
            }
            xml |= subscription.filter.xml;
            subscriptions.push(subscription.id);
        }
        (subscriptions, xml)
    }
}

impl Listeners {
    /// Returns the listener of an instance.
    pub(super) fn get(&self, instance: InstanceId) -> Option<&Arc<Listener>> {
        self.of.get(&instance)
    }

    /// Returns all, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.all.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns whether each event must be compared with the grants and filters of each listener.
    pub(super) fn asks_all(&self) -> bool {
        self.asked.len() == self.all.len()
    }

    /// Returns a filter for a new subscription: that of one of the last listeners, if it has an equal one. The instances of
    /// one component subscribe alike, and often one after the other.
    pub(super) fn shared(&self, filter: Filter) -> Arc<Filter> {
        let last = self.all.iter().rev().take(NEIGHBOURS);
        let equal = last.flat_map(|one| &*one.subscriptions).find(|one| *one.filter == filter);
        equal.map_or_else(|| Arc::new(filter), |one| Arc::clone(&one.filter))
    }

    /// Returns a screen: that of one of the last listeners, if it has an equal one. Many plugins have the same grants.
    fn shared_screen(&self, screen: Screen) -> Arc<Screen> {
        let mut last = self.all.iter().rev().take(NEIGHBOURS).filter_map(|one| one.screen.as_ref());
        let equal = last.find(|(other, _)| **other == screen);
        equal.map_or_else(|| Arc::new(screen), |(other, _)| Arc::clone(other))
    }

    /// Replaces the subscriptions of an instance. Without any subscription, it is no longer a listener.
    pub(super) fn put(&mut self, name: &str, mailbox: &Arc<Mailbox>, subscriptions: Vec<Subscription>) {
        let before = self.of.remove(&mailbox.instance());
        let turn = before.as_ref().map_or(self.next, |before| before.turn);
        if let Some(before) = before {
            self.unlink(&before);
        } else {
            self.next += 1;
        }
        if !subscriptions.is_empty() {
            let screen = Screen::of(name, mailbox, subscriptions.iter());
            let screen = screen.map(|screen| {
                let tally = Tally::of(screen.wanted(), screen.permission(), &self.told);
                (self.shared_screen(screen), Arc::new(tally))
            });
            let subscriptions = Subscriptions::from(subscriptions);
            self.link(&Arc::new(Listener { turn, mailbox: Arc::clone(mailbox), subscriptions, screen }));
        }
    }

    fn link(&mut self, listener: &Arc<Listener>) {
        self.of.insert(listener.mailbox.instance(), Arc::clone(listener));
        put_in(&mut self.all, listener);
        let Some((screen, tally)) = &listener.screen else { return put_in(&mut self.asked, listener) };
        listener.mailbox.withheld.open(tally);
        for key in keys(screen) {
            put_in(self.keyed.entry(key).or_default(), listener);
        }
        for class in screen.doubtful() {
            put_in(self.doubtful.entry(class).or_default(), listener);
        }
    }

    fn unlink(&mut self, listener: &Listener) {
        take_out(&mut self.all, listener);
        let Some((screen, tally)) = &listener.screen else { return take_out(&mut self.asked, listener) };
        for key in keys(screen) {
            take_out_of(&mut self.keyed, &key, listener);
        }
        for class in screen.doubtful() {
            take_out_of(&mut self.doubtful, &class, listener);
        }
        listener.mailbox.withheld.close(tally);
    }

    /// Returns those that may hear an event, in order: all, if it is about no address. The others are counted as listeners
    /// from which it was withheld.
    pub(super) fn concerned(&self, seen: Option<&Seen<'_>>) -> Concerned<'_> {
        let Some(seen) = seen else { return Concerned::OneList(self.all.iter()) };
        self.told.count(seen.class());
        let contacts = self.keyed.get(&AddressKey::CONTACTS).filter(|_| seen.is_contact());
        let keyed = seen.keys().into_iter().filter_map(|key| self.keyed.get(&key));
        let others = contacts.into_iter().chain(self.doubtful.get(&seen.class())).chain([&self.asked]);
        let mut lists = keyed.chain(others).filter(|list| !list.is_empty());
        let Some(first) = lists.next() else { return Concerned::SeveralLists(Vec::new().into_iter()) };
        let mut others = lists.flatten().peekable();
        if others.peek().is_none() {
            return Concerned::OneList(first.iter());
        }
        let mut found: Vec<_> = first.iter().chain(others).collect();
        found.sort_unstable_by_key(|listener| listener.turn);
        found.dedup_by_key(|listener| listener.turn);
        Concerned::SeveralLists(found.into_iter())
    }
}

/// The listeners that may hear an event.
pub(super) enum Concerned<'l> {
    One(std::option::IntoIter<&'l Arc<Listener>>),
    OneList(imbl::vector::Iter<'l, Arc<Listener>, imbl::shared_ptr::DefaultSharedPtr>),
    SeveralLists(std::vec::IntoIter<&'l Arc<Listener>>),
}

impl<'l> Concerned<'l> {
    /// Returns the listener that is meant alone, if there is one.
    pub(super) fn one(listener: Option<&'l Arc<Listener>>) -> Self {
        Self::One(listener.into_iter())
    }
}

impl<'l> Iterator for Concerned<'l> {
    type Item = &'l Arc<Listener>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::One(listener) => listener.next(),
            Self::OneList(listeners) => listeners.next(),
            Self::SeveralLists(listeners) => listeners.next(),
        }
    }
}

/// Returns the keys of a screen, each once.
fn keys(screen: &Screen) -> Vec<AddressKey> {
    let mut keys: Vec<_> = screen.keys().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn put_in(list: &mut Vector<Arc<Listener>>, listener: &Arc<Listener>) {
    let at = list.binary_search_by_key(&listener.turn, |one| one.turn);
    list.insert(at.unwrap_or_else(|at| at), Arc::clone(listener));
}

/// Takes a listener out of one of these lists, and an empty list away.
fn take_out_of<K: Clone + Eq + Hash>(
    lists: &mut imbl::HashMap<K, Vector<Arc<Listener>>>,
    key: &K,
    listener: &Listener,
) {
    let Some(mut list) = lists.remove(key) else { return };
    take_out(&mut list, listener);
    if !list.is_empty() {
        lists.insert(key.clone(), list);
    }
}

fn take_out(list: &mut Vector<Arc<Listener>>, listener: &Listener) {
    if let Ok(at) = list.binary_search_by_key(&listener.turn, |one| one.turn) {
        list.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each parked plugin of a large host has one, with 16 bytes for the counts of its references and 8 of the allocator.
    #[test]
    fn a_listener_takes_80_bytes_of_the_heap_and_its_tally_48() {
        assert!(size_of::<Listener>() <= 56, "{}", size_of::<Listener>());
        assert!(size_of::<Tally>() <= 24, "{}", size_of::<Tally>());
    }
}
