//! The queue of a mailbox: bounded, without a wait for anyone who writes, and empty of memory while it is empty of mail.
//!
//! Its reader is a waker: that of a task which waits for mail, or one that starts a parked plugin again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::mailbox::{Mail, Mailbox};

/// The number of slots that an empty queue may keep for the mail that follows.
const SPARE: usize = 32;

/// A bounded queue of mail with one reader.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: u32,
    /// The number of events in it, for readers that need no lock.
    waiting: AtomicU32,
    /// The number of events that its reader has taken and not begun to handle. They take room in it, too.
    held: AtomicU32,
    inner: Mutex<Inner>,
}

type Waiting = VecDeque<Box<Mail>>;

#[derive(Debug, Default)]
struct Inner {
    /// The mail that waits. A parked plugin has none, and no list.
    mail: Option<Box<Waiting>>,
    /// Woken with the next event.
    reader: Option<Waker>,
    is_closed: bool,
}

impl Queue {
    /// Creates a queue for this many events.
    pub(super) fn new(capacity: usize) -> Self {
        let (waiting, held) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { capacity: number(capacity).max(1), waiting, held, inner: Mutex::default() }
    }

    /// Puts mail in, unless the queue is full or closed. Returns whether it was put in.
    pub(super) fn put(&self, mail: Box<Mail>) -> bool {
        let mut inner = self.inner();
        if inner.is_closed || !self.has_place(inner.len(), &mail) {
            return false;
        }
        inner.mail.get_or_insert_default().push_back(mail);
        self.waiting.store(number(inner.len()), Relaxed);
        let reader = inner.reader.take();
        drop(inner);
        // After the lock is released: the waker may run arbitrary code.
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Returns whether there is a place for mail while this many events are in the queue. The events that its reader holds take
    /// places, too. Mail that waits for no turn counts them as half of the capacity at most: otherwise two busy rooms would
    /// keep hooks out.
    fn has_place(&self, events: usize, mail: &Mail) -> bool {
        let (held, capacity) = (self.held.load(Relaxed) as usize, self.capacity());
        events + held < capacity || (events + held.min(capacity / 2) < capacity && !mail.waits_for_a_turn())
    }

    /// Returns whether its reader holds events that this mail does not have to wait for.
    pub(super) fn holds_for(&self, mail: &Mail) -> bool {
        self.held.load(Relaxed) > 0 && !mail.waits_for_a_turn()
    }

    /// Returns how many events wait, in it or with its reader.
    pub(super) fn waiting(&self) -> usize {
        self.queued() + self.held.load(Relaxed) as usize
    }

    /// Returns how many events its reader has not taken.
    pub(super) fn queued(&self) -> usize {
        self.waiting.load(Relaxed) as usize
    }

    /// Returns for how many events there is room altogether.
    pub(super) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    fn take(&self, inner: &mut Inner) -> Option<Box<Mail>> {
        let waiting = inner.mail.as_mut()?;
        let mail = waiting.pop_front()?;
        self.waiting.store(number(waiting.len()), Relaxed);
        // A burst must not leave its memory behind.
        if waiting.is_empty() && waiting.capacity() > SPARE {
            inner.mail = None;
        }
        Some(mail)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn len(&self) -> usize {
        self.mail.as_ref().map_or(0, |mail| mail.len())
    }
}

/// Returns a number of events. More than this fit into no mailbox.
fn number(events: usize) -> u32 {
    u32::try_from(events).unwrap_or(u32::MAX)
}

/// The end of a mailbox that its plugin reads. Dropping it closes the mailbox.
#[derive(Debug)]
pub struct MailReceiver(Arc<Mailbox>);

/// The error when no mail waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty;

impl MailReceiver {
    pub(super) fn of(mailbox: &Arc<Mailbox>) -> Self {
        Self(Arc::clone(mailbox))
    }

    /// Waits for the next mail. `None`: the mailbox is closed, and there will be none. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Box<Mail>> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// Takes the next mail, or arranges to be woken when it has come.
    pub fn poll_recv(&mut self, context: &Context<'_>) -> Poll<Option<Box<Mail>>> {
        let queue = &self.0.queue;
        let mut inner = queue.inner();
        if let Some(mail) = queue.take(&mut inner) {
            return Poll::Ready(Some(mail));
        }
        if inner.is_closed {
            return Poll::Ready(None);
        }
        if inner.reader.as_ref().is_none_or(|reader| !reader.will_wake(context.waker())) {
            inner.reader = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Takes the next mail that waits.
    pub fn try_recv(&mut self) -> Result<Box<Mail>, Empty> {
        self.0.queue.take(&mut self.0.queue.inner()).ok_or(Empty)
    }

    /// Returns whether no mail waits.
    pub fn is_empty(&self) -> bool {
        self.0.queue.inner().len() == 0
    }

    /// Arranges for the waker to be woken with the next mail, and gives back the memory of an empty queue. Returns
    /// `false` if mail waits already.
    pub fn wake_with_mail(&self, waker: Waker) -> bool {
        let mut inner = self.0.queue.inner();
        if inner.len() > 0 {
            return false;
        }
        inner.mail = None;
        inner.reader = Some(waker);
        true
    }

    /// Sets how many events were taken and wait for their turns. They count as waiting, and take room in the mailbox.
    pub fn hold(&self, count: usize) {
        self.0.queue.held.store(number(count), Relaxed);
    }

    /// Lets no more mail in. The mail that waits can still be taken.
    pub fn close(&mut self) {
        self.0.queue.inner().is_closed = true;
    }
}

impl Drop for MailReceiver {
    fn drop(&mut self) {
        let (left, held, reader) = {
            let mut inner = self.0.queue.inner();
            inner.is_closed = true;
            self.0.queue.waiting.store(0, Relaxed);
            (inner.mail.take(), self.0.queue.held.swap(0, Relaxed) as usize, inner.reader.take())
        };
        // An instance that is asked to stop has taken out what waits. This one ended otherwise.
        let told = left.iter().flat_map(|left| left.iter()).filter(|mail| !mail.subscriptions.is_empty()).count();
        self.0.lose_unhandled(told + held);
        // Outside of the lock: the mail may be much, and the waker may be the last to hold anything.
        drop((left, reader));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use jiff::Timestamp;
    use parlor_base::id::InstanceId;

    use super::super::{ArchivePlace, CaughtUpRooms, Setup};
    use super::*;
    use crate::event::{Event, Payload};
    use crate::position::Archive;

    struct Counted(AtomicU32);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn mail() -> Mail {
        let event = Event { name: "tick".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        Mail::new(Arc::new(event), vec![super::super::SubscriptionId(1)], false)
    }

    #[test]
    fn a_waker_is_woken_by_the_first_mail_and_not_if_some_waits_already() {
        let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 8, Arc::default());
        let woken = Arc::new(Counted(AtomicU32::new(0)));
        assert!(receiver.wake_with_mail(Arc::clone(&woken).into()));
        assert!(mailbox.deliver(mail()) && mailbox.deliver(mail()));
        assert_eq!(woken.0.load(Relaxed), 1);
        assert!(!receiver.wake_with_mail(Arc::clone(&woken).into()));
        assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).count(), 2);
        assert!(receiver.wake_with_mail(Arc::clone(&woken).into()));
        assert_eq!(Arc::strong_count(&woken), 2);
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 1_000, Arc::default());
        while mailbox.deliver(mail()) {}
        assert_eq!((mailbox.waiting(), mailbox.lost()), (1_000, 1));
        while receiver.try_recv().is_ok() {}
        assert!(mailbox.waiting() == 0 && mailbox.queue.inner().mail.is_none());
    }

    #[tokio::test]
    async fn a_closed_mailbox_gives_what_waits_and_then_ends() {
        let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 8, Arc::default());
        assert!(mailbox.deliver(mail()));
        receiver.close();
        assert!(!mailbox.deliver(mail()));
        assert!(receiver.recv().await.is_some());
        assert!(receiver.recv().await.is_none());
    }

    #[test]
    fn events_that_wait_for_their_turns_keep_no_request_out_and_fill_the_mailbox_for_others() {
        let (mailbox, mut receiver) = Mailbox::new(InstanceId::next(), 8, Arc::default());
        let rooms = |held| {
            receiver.hold(held);
            (mailbox.has_room_for_the_past(), mailbox.has_room_for_a_request())
        };
        assert_eq!(
            [rooms(0), rooms(4), rooms(7), rooms(8)],
            [(true, true), (false, true), (false, true), (false, true)]
        );
        assert!(!mailbox.pass(ArchivePlace::CaughtUp(Archive::Own, 1)), "it is about a conversation");
        for _ in 0..4 {
            assert!(mailbox.has_room_for_a_request() && mailbox.deliver(mail()));
        }
        assert!(!mailbox.has_room_for_a_request() && !mailbox.deliver(mail()), "there is an end");
        while receiver.try_recv().is_ok() {}
        receiver.hold(0);
        for _ in 0..4 {
            assert!(mailbox.has_room_for_a_request() && mailbox.deliver(mail()));
        }
        assert!(!mailbox.has_room_for_a_request(), "half of it is for events that are not told again");
    }

    #[test]
    fn events_that_wait_when_a_plugin_fails_are_lost_and_those_of_an_archive_come_again() {
        let (mailbox, receiver) = Mailbox::new(InstanceId::next(), 8, Arc::default());
        assert!(mailbox.deliver(mail()) && mailbox.deliver(mail()));
        receiver.hold(3);
        drop(receiver);
        assert_eq!((mailbox.waiting(), mailbox.lost()), (0, 5));
        let setup = Setup { catches_up: Some(CaughtUpRooms::default()), ..Setup::default() };
        let (mailbox, receiver) = Mailbox::with(InstanceId::next(), 8, Arc::default(), setup);
        assert!(mailbox.deliver(mail()));
        drop(receiver);
        assert_eq!(mailbox.lost(), 0);
    }

    #[test]
    fn a_mailbox_that_nobody_reads_any_more_takes_nothing_in() {
        let (mailbox, receiver) = Mailbox::new(InstanceId::next(), 8, Arc::default());
        drop(receiver);
        assert!(!mailbox.deliver(mail()));
        assert_eq!(mailbox.lost(), 1);
    }
}
