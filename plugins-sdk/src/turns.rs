//! Turns for calls: the limit `open_calls` bounds how many of a plugin's calls may wait for an answer at once, and `join_all` over a
//! thousand keys begins a thousand.
//!
//! A call that the host refuses for that limit waits until another call of its handler has ended, and is then made
//! again. If its handler has no other call open, it sleeps in between: one handler cannot wake another.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::bindings::parlor::plugin::types::Error;
use crate::timers;

/// How the host names the limit in [`Error::OverLimit`], after a number.
const LIMIT: &str = " open calls";

/// How long a call sleeps where nothing of its handler can wake it.
const PAUSE: Duration = Duration::from_millis(10);

/// The number of sleeps after which a call gives up: other handlers hold all places for calls that do not end.
const MOST_PAUSES: usize = 1_000;

thread_local! {
    // A component has one thread, so these are the plugin's own.
    static HANDLERS: RefCell<BTreeMap<u64, Calls>> = const { RefCell::new(BTreeMap::new()) };
    static LAST: Cell<u64> = const { Cell::new(0) };
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The calls of one handler.
#[derive(Default)]
struct Calls {
    open: usize,
    /// Calls that wait, the oldest first.
    waiting: VecDeque<(u64, Waker)>,
}

/// Runs a handler, and attributes its calls to it.
pub(crate) async fn of_one_handler<T>(work: impl Future<Output = T>) -> T {
    let number = next();
    let mut work = pin!(work);
    poll_fn(|context| {
        let before = CURRENT.replace(number);
        let polled = work.as_mut().poll(context);
        CURRENT.set(before);
        polled
    })
    .await
}

/// Makes a call, and makes it again when it was refused because too many calls are open.
pub(crate) async fn in_turn<T, C>(call: impl FnMut() -> C) -> Result<T, Error>
where
    C: Future<Output = Result<T, Error>>,
{
    take_turns(call, || timers::sleep(PAUSE)).await
}

async fn take_turns<T, C, S>(mut call: impl FnMut() -> C, mut sleep: impl FnMut() -> S) -> Result<T, Error>
where
    C: Future<Output = Result<T, Error>>,
    S: Future<Output = ()>,
{
    let mut pauses = 0;
    loop {
        let open = Open::begin();
        let answer = call().await;
        if !matches!(&answer, Err(Error::OverLimit(limit)) if limit.ends_with(LIMIT)) || pauses == MOST_PAUSES {
            return answer;
        }
        // It has not freed a place for others.
        if open.others() > 0 {
            open.end_quietly();
            Ticket::take().wait().await;
        } else {
            // Open while it sleeps, so that further calls of this handler wait for its end.
            pauses += 1;
            sleep().await;
            drop(open);
        }
    }
}

/// Counts a call as open for as long as it lives, and then wakes the next call that waits.
struct Open(u64);

impl Open {
    fn begin() -> Self {
        let handler = CURRENT.get();
        HANDLERS.with_borrow_mut(|handlers| handlers.entry(handler).or_default().open += 1);
        Self(handler)
    }

    fn others(&self) -> usize {
        HANDLERS.with_borrow(|handlers| handlers.get(&self.0).map_or(0, |calls| calls.open - 1))
    }

    /// Ends it without waking anybody.
    fn end_quietly(self) {
        self.end();
        std::mem::forget(self);
    }

    fn end(&self) {
        change(self.0, |calls| calls.open -= 1);
    }
}

/// Changes what is known of a handler's calls, and forgets the handler where there are none left.
fn change<T>(handler: u64, change: impl FnOnce(&mut Calls) -> T) -> Option<T> {
    HANDLERS.with_borrow_mut(|handlers| {
        let calls = handlers.get_mut(&handler)?;
        let changed = change(calls);
        if calls.open == 0 && calls.waiting.is_empty() {
            handlers.remove(&handler);
        }
        Some(changed)
    })
}

impl Drop for Open {
    fn drop(&mut self) {
        wake_next(self.0);
        self.end();
    }
}

/// Wakes the oldest call of a handler that waits, which then has its turn.
fn wake_next(handler: u64) {
    let next = HANDLERS.with_borrow_mut(|handlers| handlers.get_mut(&handler)?.waiting.pop_front());
    if let Some((_, waker)) = next {
        waker.wake();
    }
}

/// A place among the calls of a handler that wait.
struct Ticket {
    number: u64,
    handler: u64,
    is_over: bool,
}

impl Ticket {
    fn take() -> Self {
        let place = Self { number: next(), handler: CURRENT.get(), is_over: false };
        let entry = (place.number, Waker::noop().clone());
        HANDLERS.with_borrow_mut(|handlers| handlers.entry(place.handler).or_default().waiting.push_back(entry));
        place
    }

    async fn wait(mut self) {
        poll_fn(|context| {
            let is_there = HANDLERS.with_borrow_mut(|handlers| {
                let waiting = handlers.get_mut(&self.handler).map(|calls| calls.waiting.iter_mut());
                let own = waiting.into_iter().flatten().find(|(number, _)| *number == self.number);
                own.map(|(_, waker)| waker.clone_from(context.waker())).is_some()
            });
            if is_there { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        self.is_over = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let was_there = change(self.handler, |calls| {
            let before = calls.waiting.len();
            calls.waiting.retain(|(number, _)| *number != self.number);
            calls.waiting.len() < before
        });
        // It was given up after it was woken: its turn is the next one's.
        if was_there == Some(false) {
            wake_next(self.handler);
        }
    }
}

fn next() -> u64 {
    LAST.set(LAST.get() + 1);
    LAST.get()
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::rc::Rc;
    use std::task::Context;

    use super::*;

    /// A host that answers on demand, with a limited number of places for calls.
    #[derive(Default)]
    struct Host {
        room: Cell<usize>,
        open: Cell<usize>,
        most: Cell<usize>,
        made: Cell<usize>,
        answers: Cell<usize>,
    }

    impl Host {
        fn with_room(room: usize) -> Rc<Self> {
            Rc::new(Self { room: Cell::new(room), ..Self::default() })
        }

        async fn call(self: Rc<Self>) -> Result<usize, Error> {
            self.made.set(self.made.get() + 1);
            if self.open.get() == self.room.get() {
                return Err(Error::OverLimit(format!("{} open calls", self.room.get())));
            }
            self.open.set(self.open.get() + 1);
            self.most.set(self.most.get().max(self.open.get()));
            poll_fn(|_| if self.answers.get() > 0 { Poll::Ready(()) } else { Poll::Pending }).await;
            self.answers.set(self.answers.get() - 1);
            self.open.set(self.open.get() - 1);
            Ok(self.made.get())
        }
    }

    type Work = std::pin::Pin<Box<dyn Future<Output = Result<usize, Error>>>>;

    fn queued(host: &Rc<Host>) -> Work {
        let host = Rc::clone(host);
        Box::pin(async move { take_turns(|| Rc::clone(&host).call(), || ready(())).await })
    }

    /// Polls all that has not ended, and gives how many have.
    fn poll_all(all: &mut Vec<Work>) -> usize {
        let before = all.len();
        all.retain_mut(|one| one.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        before - all.len()
    }

    #[test]
    fn a_thousand_calls_at_once_are_answered_within_the_limit() {
        let host = Host::with_room(256);
        let mut all: Vec<Work> = (0..1_000).map(|_| queued(&host)).collect();
        assert_eq!((poll_all(&mut all), host.open.get(), host.made.get()), (0, 256, 1_000));
        for _ in 0..10 {
            host.answers.set(100);
            assert_eq!(poll_all(&mut all), 100);
        }
        assert_eq!(host.most.get(), 256);
        // Each of the refused was made once more, when there was room for it.
        assert_eq!(host.made.get(), 1_000 + 744);
        assert!(HANDLERS.with_borrow(BTreeMap::is_empty), "nothing is left of them");
    }

    #[test]
    fn a_turn_that_is_given_up_goes_to_the_next() {
        let host = Host::with_room(1);
        let mut all: Vec<Work> = (0..3).map(|_| queued(&host)).collect();
        assert_eq!(poll_all(&mut all), 0);
        host.answers.set(1);
        let first = all[0].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(first.is_ready());
        // The second was woken, and goes before it has looked.
        drop(all.drain(..2));
        host.answers.set(1);
        assert_eq!(poll_all(&mut all), 1);
    }

    #[test]
    fn what_other_handlers_hold_for_ever_ends_in_the_refusal() {
        let host = Host::with_room(0);
        let answer = queued(&host).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(answer, Poll::Ready(Err(Error::OverLimit("0 open calls".into()))));
        assert_eq!(host.made.get(), MOST_PAUSES + 1);
    }

    #[test]
    fn other_limits_and_errors_are_the_callers() {
        for error in [Error::OverLimit("500 events a second".into()), Error::Offline] {
            let mut call = Box::pin(take_turns(|| ready(Err::<(), _>(error.clone())), || ready(())));
            let answer = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(answer, Poll::Ready(Err(error.clone())));
        }
    }
}
