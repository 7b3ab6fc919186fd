//! A queue that many owners share, in which none can delay the others.
//!
//! Each owner has a separate lane, which is bounded and keeps its order. The receiver serves the lanes in turn (round
//! robin), so an owner with hundreds of items delays the next item of another owner by one item, not by hundreds.
//!
//! A future that waits here holds nothing that another owner needs: no permit, no slot, no lock. A plugin's calls are
//! futures inside the task of its guest, and a guest that computes polls none of them. With a semaphore or a bounded
//! channel for all plugins, the next place would go to such a future, and everyone behind it would wait until that
//! guest yields.
//!
//! Only the order among items that wait at the same time is fair. Budgets limit how much an owner may do over time.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::coop;

/// Creates a queue in which at most `bound(owner)` items of an owner wait. Further items of the same owner wait to be
/// put in.
pub fn queue<K: Owner, T>(bound: fn(&K) -> usize) -> (Sender<K, T>, Receiver<K, T>) {
    let shared = Arc::new(Shared { bound, state: Mutex::new(State::new()) });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// A key that identifies an owner.
pub trait Owner: Clone + Eq + Hash {}

impl<K: Clone + Eq + Hash> Owner for K {}

/// An item to put into a queue.
#[derive(Debug)]
pub struct Item<T> {
    /// The item itself.
    pub value: T,
    /// The number of its owner's turns that it takes: 1, and more for items that take the receiver longer.
    pub turns: u32,
    /// Whether it waits for the receiver's gate. While the gate is closed, other items of the same owner pass it.
    pub gated: bool,
}

impl<T> From<T> for Item<T> {
    fn from(value: T) -> Self {
        Self { value, turns: 1, gated: false }
    }
}

/// The error if the receiver is gone, or no [`Sender`] is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// The sending end. The queue closes when the last one is dropped.
pub struct Sender<K: Owner, T>(Arc<Shared<K, T>>);

/// A sending end that does not keep the queue open.
pub struct WeakSender<K: Owner, T>(Arc<Shared<K, T>>);

/// The receiving end.
pub struct Receiver<K: Owner, T>(Arc<Shared<K, T>>);

struct Shared<K, T> {
    bound: fn(&K) -> usize,
    /// Held for a moment only, and never while anything is dropped, woken or awaited.
    state: Mutex<State<K, T>>,
}

struct State<K, T> {
    /// The lanes of owners with items, or with futures that wait.
    lanes: HashMap<K, Lane<T>>,
    /// The owners that have items, the next one first. Each owner occurs once.
    turns: VecDeque<K>,
    /// The number of waiting items that are not gated, and of those that are.
    free: usize,
    gated: usize,
    next: u64,
    senders: usize,
    is_received: bool,
    /// Wakes the receiver, if it waits.
    receiver: Option<Waker>,
    /// Whether the receiver takes gated items, as of its last call.
    gate_is_open: bool,
}

struct Lane<T> {
    free: VecDeque<Queued<T>>,
    gated: VecDeque<Queued<T>>,
    /// Futures that wait for room in this lane, the first one first.
    waiting: VecDeque<(u64, Waker)>,
}

struct Queued<T> {
    /// The number of the item. An owner's items are numbered in the order in which they were put.
    number: u64,
    turns: u32,
    value: T,
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self { free: VecDeque::new(), gated: VecDeque::new(), waiting: VecDeque::new() }
    }

    fn len(&self) -> usize {
        self.free.len() + self.gated.len()
    }

    /// Returns the list that has the next item, and whether it is the gated one.
    fn next(&mut self, gate_is_open: bool) -> Option<(&mut VecDeque<Queued<T>>, bool)> {
        let gated = self.gated.front().filter(|_| gate_is_open).map(|item| item.number);
        let free = self.free.front().map(|item| item.number);
        match (free, gated) {
            (None, None) => None,
            (Some(free), Some(gated)) if gated < free => Some((&mut self.gated, true)),
            (Some(_), _) => Some((&mut self.free, false)),
            (None, Some(_)) => Some((&mut self.gated, true)),
        }
    }

    /// Returns the waker of the first future that waits, if there is room for it.
    fn admits(&self, bound: usize) -> Option<Waker> {
        let (_, waker) = self.waiting.front().filter(|_| self.len() < bound)?;
        Some(waker.clone())
    }
}

impl<K: Owner, T> State<K, T> {
    fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            free: 0,
            gated: 0,
            next: 0,
            senders: 1,
            is_received: true,
            receiver: None,
            gate_is_open: true,
        }
    }

    fn is_open(&self) -> bool {
        self.is_received && self.senders > 0
    }

    /// Appends an item to its owner's lane. Returns the waker of the receiver, if it waits for such an item.
    fn push(&mut self, owner: &K, item: Item<T>) -> Option<Waker> {
        let lane = self.lanes.entry(owner.clone()).or_insert_with(Lane::new);
        if lane.len() == 0 {
            self.turns.push_back(owner.clone());
        }
        self.next += 1;
        let queued = Queued { number: self.next, turns: item.turns.max(1), value: item.value };
        if item.gated {
            lane.gated.push_back(queued);
            self.gated += 1;
        } else {
            lane.free.push_back(queued);
            self.free += 1;
        }
        if item.gated && !self.gate_is_open { None } else { self.receiver.take() }
    }

    /// Takes the next item. Returns the waker of the first future that waits for the freed place.
    fn pop(&mut self, gate_is_open: bool, bound: fn(&K) -> usize) -> Option<(K, T, Option<Waker>)> {
        self.gate_is_open = gate_is_open;
        if self.free + if gate_is_open { self.gated } else { 0 } == 0 {
            return None;
        }
        // An owner in `turns` has an item, so the search ends: each round takes one turn off each item that is the next
        // of its owner.
        loop {
            let owner = self.turns.pop_front()?;
            let Entry::Occupied(mut entry) = self.lanes.entry(owner.clone()) else { continue };
            let lane = entry.get_mut();
            let Some((items, is_gated)) = lane.next(gate_is_open) else {
                self.turns.push_back(owner);
                continue;
            };
            if let Some(first) = items.front_mut().filter(|first| first.turns > 1) {
                first.turns -= 1;
                self.turns.push_back(owner);
                continue;
            }
            let Some(item) = items.pop_front() else { continue };
            *(if is_gated { &mut self.gated } else { &mut self.free }) -= 1;
            let waker = lane.admits(bound(&owner));
            if lane.len() > 0 {
                self.turns.push_back(owner.clone());
            } else if lane.waiting.is_empty() {
                entry.remove();
            }
            return Some((owner, item.value, waker));
        }
    }

    /// Removes all items of an owner, and the futures that wait for it.
    fn remove(&mut self, owner: &K) -> Option<Lane<T>> {
        let lane = self.lanes.remove(owner)?;
        self.turns.retain(|other| other != owner);
        self.free -= lane.free.len();
        self.gated -= lane.gated.len();
        Some(lane)
    }
}

impl<K: Owner, T> Shared<K, T> {
    fn state(&self) -> MutexGuard<'_, State<K, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_put(&self, owner: &K, item: Item<T>) -> bool {
        let mut state = self.state();
        let (waits, is_first) = state.lanes.get(owner).map_or((0, true), |lane| (lane.len(), lane.waiting.is_empty()));
        if !state.is_open() || !is_first || waits >= (self.bound)(owner) {
            drop(state);
            return false;
        }
        let waker = state.push(owner, item);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    fn put(self: &Arc<Self>, owner: K, item: Item<T>) -> Put<K, T> {
        Put { queue: Arc::clone(self), owner, item: Some(item), ticket: None }
    }
}

impl<K: Owner, T> Sender<K, T> {
    /// Appends an item to its owner's lane. Waits while that owner has as many items there as it may.
    pub fn put(&self, owner: K, item: impl Into<Item<T>>) -> Put<K, T> {
        self.0.put(owner, item.into())
    }

    /// Appends an item to its owner's lane, if there is room for it.
    pub fn try_put(&self, owner: &K, item: impl Into<Item<T>>) -> bool {
        self.0.try_put(owner, item.into())
    }

    /// Returns a sender that does not keep the queue open.
    pub fn downgrade(&self) -> WeakSender<K, T> {
        WeakSender(Arc::clone(&self.0))
    }

    /// Returns how many items of an owner wait.
    #[cfg(any(test, feature = "test-support"))]
    pub fn waiting(&self, owner: &K) -> usize {
        self.0.state().lanes.get(owner).map_or(0, Lane::len)
    }
}

impl<K: Owner, T> WeakSender<K, T> {
    /// Puts an item in, as [`Sender::put`].
    pub fn put(&self, owner: K, item: impl Into<Item<T>>) -> Put<K, T> {
        self.0.put(owner, item.into())
    }

    /// Puts an item in, as [`Sender::try_put`].
    pub fn try_put(&self, owner: &K, item: impl Into<Item<T>>) -> bool {
        self.0.try_put(owner, item.into())
    }
}

impl<K: Owner, T> Receiver<K, T> {
    /// Takes the next item, in turn; waits while there is none. None: the queue is closed and empty. A gated item is
    /// taken only while the gate is open. Cancel-safe.
    pub async fn recv(&mut self, gate_is_open: bool) -> Option<(K, T)> {
        // A task that always finds an item must still yield to others on its thread.
        coop::cooperative(std::future::poll_fn(|context| self.poll_recv(gate_is_open, context))).await
    }

    /// Takes the next item, blocking the thread. For a dedicated thread.
    pub fn recv_blocking(&mut self) -> Option<(K, T)> {
        let waker = Waker::from(Arc::new(Parked(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match self.poll_recv(true, &mut context) {
                Poll::Ready(taken) => return taken,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// Takes the next item, if one waits.
    pub fn try_take(&mut self, gate_is_open: bool) -> Option<(K, T)> {
        let taken = self.0.state().pop(gate_is_open, self.0.bound);
        let (owner, value, waker) = taken?;
        waker.into_iter().for_each(Waker::wake);
        Some((owner, value))
    }

    /// Drops all items of an owner.
    pub fn forget(&mut self, owner: &K) {
        let removed = self.0.state().remove(owner);
        if let Some(lane) = removed {
            lane.waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    fn poll_recv(&mut self, gate_is_open: bool, context: &mut Context<'_>) -> Poll<Option<(K, T)>> {
        let mut state = self.0.state();
        if let Some((owner, value, waker)) = state.pop(gate_is_open, self.0.bound) {
            drop(state);
            waker.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some((owner, value)));
        }
        if state.senders == 0 && state.free + state.gated == 0 {
            return Poll::Ready(None);
        }
        if !state.receiver.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.receiver = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl<K: Owner, T> Clone for Sender<K, T> {
    fn clone(&self) -> Self {
        self.0.state().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<K: Owner, T> Clone for WeakSender<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Owner, T> Drop for Sender<K, T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.senders -= 1;
        let mut wakers: Vec<_> = Vec::new();
        if state.senders == 0 {
            wakers.extend(state.receiver.take());
            wakers.extend(state.lanes.values_mut().flat_map(|lane| lane.waiting.drain(..)).map(|(_, waker)| waker));
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<K: Owner, T> Drop for Receiver<K, T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_received = false;
        (state.free, state.gated) = (0, 0);
        state.turns.clear();
        let lanes = std::mem::take(&mut state.lanes);
        drop(state);
        // The items are dropped as well, so callers that wait for their answers learn of the end.
        for lane in lanes.into_values() {
            lane.waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }
}

impl<K: Owner, T> fmt::Debug for Sender<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl<K: Owner, T> fmt::Debug for WeakSender<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakSender")
    }
}

/// A future that puts an item in once its owner has room for it. If it is dropped before, it has put nothing.
pub struct Put<K: Owner, T> {
    queue: Arc<Shared<K, T>>,
    owner: K,
    item: Option<Item<T>>,
    /// Its number among the futures that wait.
    ticket: Option<u64>,
}

// Nothing in it is pinned.
impl<K: Owner, T> Unpin for Put<K, T> {}

impl<K: Owner, T> Future for Put<K, T> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let this = self.get_mut();
        let mut state = this.queue.state();
        if !state.is_open() {
            return Poll::Ready(Err(Closed));
        }
        let bound = (this.queue.bound)(&this.owner);
        let ticket = this.ticket;
        let mut next = None;
        let State { lanes, next: numbers, .. } = &mut *state;
        if let Some(lane) = lanes.get_mut(&this.owner) {
            let first = lane.waiting.front().map(|(first, _)| *first);
            if lane.len() >= bound || first.is_some_and(|first| Some(first) != ticket) {
                let waker = context.waker().clone();
                if let Some((_, known)) = lane.waiting.iter_mut().find(|(other, _)| Some(*other) == ticket) {
                    *known = waker;
                } else {
                    *numbers += 1;
                    this.ticket = Some(*numbers);
                    lane.waiting.push_back((*numbers, waker));
                }
                return Poll::Pending;
            }
            if first.is_some() {
                lane.waiting.pop_front();
            }
            // Is there room for another one, with this item in?
            next = lane.admits(bound.saturating_sub(1));
        }
        this.ticket = None;
        let Some(item) = this.item.take() else { return Poll::Ready(Ok(())) };
        let receiver = state.push(&this.owner, item);
        drop(state);
        receiver.into_iter().chain(next).for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl<K: Owner, T> Drop for Put<K, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.queue.state();
        let Entry::Occupied(mut entry) = state.lanes.entry(self.owner.clone()) else { return };
        let lane = entry.get_mut();
        lane.waiting.retain(|(other, _)| *other != ticket);
        let next = lane.admits((self.queue.bound)(&self.owner));
        if lane.len() == 0 && lane.waiting.is_empty() {
            entry.remove();
        }
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

/// A thread that waits.
struct Parked(std::thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests;
