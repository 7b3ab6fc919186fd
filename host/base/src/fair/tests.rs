//! Order, turns, bounds and closing of the fair queue, and a model-based test of random sequences of steps.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;

const BOUND: usize = 4;

fn small() -> (Sender<u8, u32>, Receiver<u8, u32>) {
    queue(|_| BOUND)
}

fn gated(value: u32) -> Item<u32> {
    Item { value, turns: 1, gated: true }
}

fn all(receiver: &mut Receiver<u8, u32>, gate_is_open: bool) -> Vec<(u8, u32)> {
    std::iter::from_fn(|| receiver.try_take(gate_is_open)).collect()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Rung(AtomicUsize);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn rung() -> (Arc<Rung>, Waker) {
    let rung = Arc::new(Rung::default());
    (Arc::clone(&rung), Waker::from(rung))
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn owners_are_served_in_turn_and_each_in_its_own_order() {
    let (sender, mut receiver) = small();
    for value in 1..=3 {
        assert!(sender.try_put(&1, value));
    }
    for owner in [2, 3] {
        assert!(sender.try_put(&owner, 1) && sender.try_put(&owner, 2));
    }
    let expected = [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (1, 3)];
    assert_eq!(all(&mut receiver, true), expected);
    assert!(receiver.0.state().lanes.is_empty(), "owners without items cost nothing");
}

#[test]
fn an_owner_at_its_bound_waits_for_its_own_items_alone() {
    let (sender, mut receiver) = small();
    for value in 0..4 {
        assert!(sender.try_put(&1, value));
    }
    assert!(!sender.try_put(&1, 4));
    let (first_rung, first_waker) = rung();
    let (second_rung, second_waker) = rung();
    let (mut first, mut second) = (sender.put(1, 4), sender.put(1, 5));
    assert!(poll(&mut first, &first_waker).is_pending() && poll(&mut second, &second_waker).is_pending());
    assert!(sender.try_put(&2, 0), "another owner has room");
    assert_eq!(receiver.try_take(true), Some((1, 0)));
    assert_eq!((first_rung.0.load(Relaxed), second_rung.0.load(Relaxed)), (1, 0));
    assert!(poll(&mut second, &second_waker).is_pending(), "it does not overtake the one before it");
    assert!(!sender.try_put(&1, 9), "nor does a newcomer");
    assert_eq!(poll(&mut first, &first_waker), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_take(true), Some((2, 0)));
    assert_eq!(receiver.try_take(true), Some((1, 1)));
    assert_eq!(second_rung.0.load(Relaxed), 1);
    assert_eq!(poll(&mut second, &second_waker), Poll::Ready(Ok(())));
    assert_eq!(all(&mut receiver, true), [(1, 2), (1, 3), (1, 4), (1, 5)]);
}

/// The convoy: each free place used to be given to a future that is not polled.
#[test]
fn futures_that_nobody_polls_hold_up_no_other_owner() {
    let (sender, mut receiver) = small();
    let waker = Waker::noop();
    let mut asleep = Vec::new();
    for owner in 1..=8 {
        for value in 0..20 {
            let mut put = sender.put(owner, value);
            let _ = poll(&mut put, waker);
            asleep.push(put);
        }
    }
    for value in 0..3 {
        // The second one finds the first one waiting.
        for put in [value, 10 + value] {
            assert_eq!(poll(&mut sender.put(0, put), waker), Poll::Ready(Ok(())));
        }
        let served: Vec<_> = std::iter::from_fn(|| receiver.try_take(true)).take(18).collect();
        assert!(served.contains(&(0, value)) && served.contains(&(0, 10 + value)), "{served:?}");
    }
    drop(asleep);
    assert!(receiver.0.state().lanes.values().all(|lane| lane.waiting.is_empty()));
}

#[test]
fn a_future_that_is_dropped_frees_its_place_among_those_that_wait() {
    let (sender, mut receiver) = small();
    for value in 0..4 {
        assert!(sender.try_put(&1, value));
    }
    let (rung, waker) = rung();
    let (mut first, mut second) = (sender.put(1, 8), sender.put(1, 9));
    assert!(poll(&mut first, Waker::noop()).is_pending() && poll(&mut second, &waker).is_pending());
    assert_eq!(receiver.try_take(true), Some((1, 0)));
    assert_eq!(rung.0.load(Relaxed), 0);
    drop(first);
    assert_eq!(rung.0.load(Relaxed), 1);
    assert_eq!(poll(&mut second, &waker), Poll::Ready(Ok(())));
    assert_eq!(all(&mut receiver, true), [(1, 1), (1, 2), (1, 3), (1, 9)]);
    assert!(receiver.0.state().lanes.is_empty());
}

#[test]
fn what_takes_long_takes_several_turns_of_its_owner() {
    let (sender, mut receiver) = small();
    assert!(sender.try_put(&1, Item { value: 1, turns: 3, gated: false }) && sender.try_put(&1, 2));
    for value in 1..=4 {
        assert!(sender.try_put(&2, value));
    }
    assert_eq!(all(&mut receiver, true), [(2, 1), (2, 2), (1, 1), (2, 3), (1, 2), (2, 4)]);
    assert!(sender.try_put(&1, Item { value: 1, turns: 1_000, gated: false }));
    assert_eq!(receiver.try_take(true), Some((1, 1)), "nobody waits for the sake of a turn");
}

#[test]
fn what_the_gate_holds_back_is_passed_and_keeps_its_place() {
    let (sender, mut receiver) = small();
    assert!(
        sender.try_put(&1, gated(1))
            && sender.try_put(&1, 2)
            && sender.try_put(&1, gated(3))
            && sender.try_put(&2, gated(4))
    );
    assert_eq!(receiver.try_take(false), Some((1, 2)));
    assert!(receiver.try_take(false).is_none());
    let (rung, waker) = rung();
    let mut waits = pin!(receiver.recv(false));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(sender.try_put(&3, gated(5)));
    assert_eq!(rung.0.load(Relaxed), 0, "what it would not take does not wake the receiver");
    assert!(sender.try_put(&3, 6));
    assert_eq!(rung.0.load(Relaxed), 1);
}

#[test]
fn with_the_gate_open_all_items_of_an_owner_keep_their_order() {
    let (sender, mut receiver) = small();
    assert!(
        sender.try_put(&1, gated(1)) && sender.try_put(&1, 2) && sender.try_put(&1, gated(3)) && sender.try_put(&1, 4)
    );
    assert_eq!(all(&mut receiver, true), [(1, 1), (1, 2), (1, 3), (1, 4)]);
}

#[test]
fn an_owner_that_is_gone_leaves_nothing() {
    let (sender, mut receiver) = small();
    for value in 0..4 {
        assert!(sender.try_put(&1, value) && sender.try_put(&2, gated(value)));
    }
    receiver.forget(&1);
    assert_eq!(sender.waiting(&1), 0);
    receiver.forget(&2);
    assert!(receiver.try_take(true).is_none());
    let state = receiver.0.state();
    assert!(state.lanes.is_empty() && state.turns.is_empty() && state.free + state.gated == 0);
}

#[test]
fn the_queue_closes_with_its_last_sender_and_is_emptied_first() {
    let (sender, mut receiver) = small();
    let (other, weak) = (sender.clone(), sender.downgrade());
    assert!(weak.try_put(&1, 1));
    drop(sender);
    assert!(weak.try_put(&1, 2));
    drop(other);
    assert!(!weak.try_put(&1, 3));
    assert_eq!(weak.put(1, 3).now_or_never(), Some(Err(Closed)));
    assert_eq!((receiver.recv_blocking(), receiver.recv_blocking()), (Some((1, 1)), Some((1, 2))));
    assert_eq!(receiver.recv_blocking(), None);
}

#[test]
fn without_a_receiver_nobody_waits_and_nothing_is_kept() {
    let (sender, receiver) = queue::<u8, Arc<()>>(|_| 1);
    let item = Arc::new(());
    assert!(sender.try_put(&1, Arc::clone(&item)));
    let (rung, waker) = rung();
    let mut waits = sender.put(1, Arc::clone(&item));
    assert!(poll(&mut waits, &waker).is_pending());
    drop(receiver);
    assert_eq!(rung.0.load(Relaxed), 1);
    assert_eq!(poll(&mut waits, &waker), Poll::Ready(Err(Closed)));
    drop(waits);
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn a_thread_that_waits_is_woken() {
    let (sender, mut receiver) = small();
    let thread = std::thread::spawn(move || std::iter::from_fn(|| receiver.recv_blocking()).count());
    for value in 0..1_000 {
        while !sender.try_put(&1, value) {
            std::thread::yield_now();
        }
    }
    drop(sender);
    assert_eq!(thread.join().unwrap(), 1_000);
}

/// The next step of the model-based tests.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, u32, bool),
    Take(bool),
    Forget(u8),
    /// Drops the oldest waiting future.
    GiveUp,
    /// Polls the newest waiting future, as a guest may poll its calls in any order.
    PollNewest,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 1..4_u32, any::<bool>()).prop_map(|(owner, turns, gated)| Step::Put(owner, turns, gated)),
        6 => any::<bool>().prop_map(Step::Take),
        1 => (0..4_u8).prop_map(Step::Forget),
        1 => Just(Step::GiveUp),
        2 => Just(Step::PollNewest),
    ]
}

proptest! {
    /// After any sequence of steps: an owner's items are received in order, none is received twice, no lane exceeds its
    /// bound, the counts are right, and no item is left that may be taken.
    #[test]
    fn order_bounds_and_counts_hold(steps in prop::collection::vec(step(), 1..200)) {
        let (sender, mut receiver) = queue::<u8, (u32, bool)>(|_| BOUND);
        let waker = Waker::noop();
        let mut number = 0;
        let mut waiting: Vec<Put<u8, (u32, bool)>> = Vec::new();
        let (mut last, mut last_gated) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Put(owner, turns, gated) => {
                    number += 1;
                    let mut put = sender.put(owner, Item { value: (number, gated), turns, gated });
                    if poll(&mut put, waker).is_pending() {
                        waiting.push(put);
                    }
                }
                Step::Take(gate_is_open) => {
                    let free = { let state = receiver.0.state(); state.free + if gate_is_open { state.gated } else { 0 } };
                    let taken = receiver.try_take(gate_is_open);
                    prop_assert_eq!(taken.is_some(), free > 0);
                    if let Some((owner, (number, gated))) = taken {
                        prop_assert!(gate_is_open || !gated);
                        let before = if gated { &mut last_gated } else { &mut last };
                        prop_assert!(before.insert(owner, number).is_none_or(|before| before < number));
                    }
                }
                Step::Forget(owner) => {
                    // Its guest has ended, and all its waiting futures with it.
                    waiting.retain(|put| put.owner != owner);
                    receiver.forget(&owner);
                }
                Step::GiveUp => drop((!waiting.is_empty()).then(|| waiting.remove(0))),
                Step::PollNewest => {
                    if let Some(mut put) = waiting.pop()
                        && poll(&mut put, waker).is_pending()
                    {
                        waiting.push(put);
                    }
                }
            }
            let state = receiver.0.state();
            let lanes = || state.lanes.values();
            prop_assert!(lanes().all(|lane| lane.len() <= BOUND));
            prop_assert_eq!(lanes().map(|lane| lane.free.len()).sum::<usize>(), state.free);
            prop_assert_eq!(lanes().map(|lane| lane.gated.len()).sum::<usize>(), state.gated);
            prop_assert_eq!(lanes().filter(|lane| lane.len() > 0).count(), state.turns.len());
            prop_assert!(lanes().all(|lane| lane.len() > 0 || !lane.waiting.is_empty()));
        }
    }

    /// However much the others have put in: among owners that have items, none is served twice before all were served
    /// once.
    #[test]
    fn nobody_is_served_twice_while_another_owner_waits(puts in prop::collection::vec(0..5_u8, 1..60)) {
        let (sender, mut receiver) = queue::<u8, ()>(|_| 100);
        for owner in &puts {
            prop_assert!(sender.try_put(owner, ()));
        }
        let mut left: BTreeMap<u8, usize> = BTreeMap::new();
        for owner in &puts {
            *left.entry(*owner).or_default() += 1;
        }
        while !left.is_empty() {
            let mut round: Vec<_> = left.keys().map(|_| receiver.try_take(true).unwrap().0).collect();
            round.sort_unstable();
            prop_assert_eq!(&round, &left.keys().copied().collect::<Vec<_>>());
            left.retain(|_, count| { *count -= 1; *count > 0 });
        }
    }
}
