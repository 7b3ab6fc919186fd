//! The questions of an instance to people, and the handlers that wait for the answers: they take no places meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use parlor_base::held::Holding;
use parlor_session::DialogEnd;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::router::{Mail, SubscriptionId};
use parlor_stanza::error::CallError;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use wasmtime::component::GuestTaskId;

use super::Instance;
use super::open::Handling;
use crate::watched::Watched;

/// How long the end of a question waits before the mailbox is checked again for room.
const RETRY: Duration = Duration::from_millis(5);

/// The questions of an instance. They take no memory before the first one, and most plugins ask none.
#[derive(Debug, Default)]
pub(crate) struct Dialogs(OnceLock<Box<Questions>>);

#[derive(Debug, Default)]
struct Questions {
    /// How many are open, or were not taken.
    open: Arc<AtomicUsize>,
    /// The questions that were begun without waiting for the answer.
    begun: Mutex<BTreeMap<u64, Begun>>,
    /// Whether the instance is to stop.
    is_over: Watched<bool>,
}

/// A question that was begun without waiting for the answer.
#[derive(Debug)]
enum Begun {
    /// It waits.
    Waits {
        /// Dropping this cancels the question.
        #[expect(dead_code, reason = "it is dropped")]
        cancels: oneshot::Sender<()>,
        /// The call that waits for the end, if one does.
        waiter: Option<oneshot::Sender<DialogEnd>>,
    },
    /// It has ended, and was not taken.
    Ended(DialogEnd, OpenDialog),
}

impl Dialogs {
    /// Returns how many are open, or were not taken.
    pub(crate) fn count(&self) -> usize {
        self.0.get().map_or(0, |questions| questions.open.load(Relaxed))
    }

    /// Ends all that wait, because the instance is to stop.
    pub(crate) fn end(&self) {
        self.questions().is_over.change(|is_over| *is_over = true);
    }

    /// Takes the end of a question that was begun.
    pub(crate) fn take(&self, id: u64) -> DialogEnd {
        let mut begun = self.begun();
        let has_ended = matches!(begun.get(&id), Some(Begun::Ended(..)));
        match has_ended.then(|| begun.remove(&id)).flatten() {
            Some(Begun::Ended(end, open)) => {
                drop(open);
                end
            }
            Some(Begun::Waits { .. }) | None => Err(CallError::NotFound(format!("the answer to question {id}"))),
        }
    }

    /// Returns what receives the end of a question that was begun, in the place of the event. It receives nothing if
    /// the question is cancelled. Only one call waits for a question.
    pub(crate) fn wait(&self, id: u64) -> oneshot::Receiver<DialogEnd> {
        let (tells, end) = oneshot::channel();
        let mut begun = self.begun();
        match begun.get_mut(&id) {
            Some(Begun::Waits { waiter, .. }) if waiter.as_ref().is_none_or(oneshot::Sender::is_closed) => {
                *waiter = Some(tells);
            }
            Some(_) | None => {
                drop(begun);
                let _ = tells.send(self.take(id));
            }
        }
        end
    }

    /// Cancels a question that was begun. Returns false if there is none.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        self.begun().remove(&id).is_some()
    }

    /// Gives the end of a question that was begun to the call that waits for it, or keeps it until it is taken. Returns
    /// whether it is kept. A question that was cancelled has no end to keep.
    fn has_ended(&self, id: u64, end: DialogEnd, open: OpenDialog) -> bool {
        let mut begun = self.begun();
        let Some(Begun::Waits { waiter, .. }) = begun.remove(&id) else { return false };
        let given = match waiter {
            Some(waiter) => waiter.send(end),
            None => Err(end),
        };
        // Nobody waits, or not any more.
        let Err(end) = given else { return false };
        begun.insert(id, Begun::Ended(end, open));
        true
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<u64, Begun>> {
        self.questions().begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn questions(&self) -> &Questions {
        self.0.get_or_init(Box::default)
    }
}

/// A question that counts until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenDialog {
    count: Arc<AtomicUsize>,
    /// The bytes that the host holds for it.
    _held: Holding,
}

impl OpenDialog {
    /// Counts a question of this many bytes.
    pub(crate) fn begin(instance: &Instance, bytes: usize) -> Result<Self, CallError> {
        let held = instance.hold(bytes)?;
        let (count, most) = (Arc::clone(&instance.seldom.dialogs.questions().open), instance.limits.dialogs);
        let open = count.fetch_add(1, Relaxed);
        let guard = Self { count, _held: held };
        if open >= most as usize { Err(CallError::OverLimit(format!("{most} dialogs"))) } else { Ok(guard) }
    }
}

impl Drop for OpenDialog {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

/// A question that was asked.
pub(crate) struct Asked {
    pub(crate) instance: Arc<Instance>,
    pub(crate) open: OpenDialog,
    pub(crate) ends: oneshot::Receiver<DialogEnd>,
}

impl Asked {
    /// Waits for the end, or until the instance is to stop.
    pub(crate) async fn wait(&mut self) -> DialogEnd {
        tokio::select! {
            biased;
            end = &mut self.ends => end.unwrap_or(Err(CallError::Stopped)),
            () = self.instance.seldom.dialogs.questions().is_over.until(|is_over| *is_over) => Err(CallError::Stopped),
        }
    }

    /// Waits for the end and tells the plugin of it by an event, unless the question is cancelled before or a call
    /// waits for it.
    pub(crate) fn begin(mut self) -> (u64, impl Future<Output = ()> + Send + 'static) {
        let instance = Arc::clone(&self.instance);
        let (id, (cancels, is_cancelled)) = (SubscriptionId::next(), oneshot::channel());
        instance.seldom.dialogs.begun().insert(id.0, Begun::Waits { cancels, waiter: None });
        let tells = async move {
            let end = tokio::select! {
                biased;
                _ = is_cancelled => return,
                end = self.wait() => end,
            };
            if !instance.seldom.dialogs.has_ended(id.0, end, self.open) {
                return;
            }
            while !instance.mailbox.has_room() {
                tokio::time::sleep(RETRY).await;
            }
            let (name, at) = (EventName::from("dialog"), instance.account.clock.now());
            instance.mailbox.deliver(Mail::new(Arc::new(Event { name, at, payload: Payload::None }), vec![id], false));
        };
        (id.0, tells)
    }
}

/// A handler that waits for the answer to a question, and takes no place until this is dropped.
pub(crate) struct Resting {
    instance: Arc<Instance>,
    task: Option<GuestTaskId>,
}

/// How a handler waits for answers to questions.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// The number of questions whose answers it waits for.
    dialogs: u32,
    /// When it began to wait for the first of them.
    began: Option<Instant>,
    /// How long it waited before that.
    lasted: Duration,
    /// Wakes the clock of this handler alone.
    is_over: Arc<Notify>,
}

impl Rest {
    /// Returns whether the handler waits now.
    pub(super) fn is_on(&self) -> bool {
        self.began.is_some()
    }
}

impl Resting {
    /// Lets the handler rest that runs as this task, if any does.
    pub(crate) fn begin(instance: &Arc<Instance>, task: Option<GuestTaskId>) -> Self {
        let has_begun = with_rest(instance, task, |rest| {
            rest.dialogs = rest.dialogs.saturating_add(1);
            let is_first = !rest.is_on();
            rest.began.get_or_insert_with(Instant::now);
            is_first
        });
        if has_begun {
            instance.open.resting.fetch_add(1, Relaxed);
            instance.registered.has_changed();
        }
        Self { instance: Arc::clone(instance), task }
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        let is_over = with_rest(&self.instance, self.task, |rest| {
            rest.dialogs = rest.dialogs.saturating_sub(1);
            let Some(began) = rest.began.take_if(|_| rest.dialogs == 0) else { return false };
            rest.lasted += began.elapsed();
            rest.is_over.notify_one();
            true
        });
        if is_over {
            has_risen(&self.instance);
        }
    }
}

/// Changes how the handler waits that runs as this task. Returns false if none does.
fn with_rest(instance: &Instance, task: Option<GuestTaskId>, change: impl FnOnce(&mut Rest) -> bool) -> bool {
    let Some(task) = task else { return false };
    instance.open.with(|lists| {
        let handler = lists.handlers.iter_mut().find(|one| one.task == Some(task));
        handler.is_some_and(|handler| change(handler.rest.get_or_insert_default()))
    })
}

/// Returns how many handlers wait for answers to questions, and so take no place.
pub(crate) fn resting(instance: &Instance) -> usize {
    instance.open.resting.load(Relaxed) as usize
}

/// Counts a handler that takes its place again, or has returned.
pub(super) fn has_risen(instance: &Instance) {
    instance.open.resting.fetch_sub(1, Relaxed);
    instance.registered.has_changed();
}

impl Handling {
    /// Waits until the handler no longer waits for a person's answer. Returns how long it waited for answers so far.
    /// Cancel-safe.
    pub(crate) async fn rested(&self) -> Duration {
        loop {
            let waits = self.instance.open.with(|lists| {
                let handler = lists.handlers.iter().find(|one| self.task.is_some() && one.task == self.task)?;
                let rest = handler.rest.as_ref()?;
                Some((rest.lasted, rest.is_on().then(|| Arc::clone(&rest.is_over))))
            });
            match waits {
                Some((_, Some(is_over))) => is_over.notified().await,
                Some((lasted, None)) => return lasted,
                None => return Duration::ZERO,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use parlor_plugins::limits::Limits;
    use parlor_session::DialogAnswer;

    use super::*;
    use crate::instance::tests::instance;

    fn answer(text: &str) -> DialogAnswer {
        DialogAnswer { text: text.to_owned(), choice: None }
    }

    fn asked(instance: &Arc<Instance>) -> (oneshot::Sender<DialogEnd>, Asked) {
        let (ends, arrives) = oneshot::channel();
        let open = OpenDialog::begin(instance, 1).unwrap();
        (ends, Asked { instance: Arc::clone(instance), open, ends: arrives })
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_counts_until_its_answer_is_taken() {
        let (instance, _mailbox) = instance("", Limits { dialogs: 2, ..Limits::default() });
        let ((ends, one), (_waits, other)) = (asked(&instance), asked(&instance));
        assert!(matches!(OpenDialog::begin(&instance, 1), Err(CallError::OverLimit(what)) if what == "2 dialogs"));
        let ((id, tells), (cancelled, waits)) = (one.begin(), other.begin());
        assert!(instance.seldom.dialogs.take(id).is_err(), "it has not ended");
        ends.send(Ok(answer("yes"))).unwrap();
        tells.await;
        assert_eq!((instance.mailbox.waiting(), instance.seldom.dialogs.count()), (1, 2));
        assert_eq!(instance.seldom.dialogs.take(id), Ok(answer("yes")));
        assert!(instance.seldom.dialogs.take(id).is_err() && !instance.seldom.dialogs.cancel(id), "it was taken");
        assert!(instance.seldom.dialogs.cancel(cancelled));
        waits.await;
        assert_eq!((instance.mailbox.waiting(), instance.seldom.dialogs.count()), (1, 0), "without an event");
        assert!(instance.seldom.dialogs.begun().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_gets_the_end_in_the_place_of_the_event() {
        let (instance, _mailbox) = instance("", Limits::default());
        let dialogs = &instance.seldom.dialogs;
        let begin = || {
            let (ends, one) = asked(&instance);
            let (id, tells) = one.begin();
            (id, ends, tells)
        };
        let (id, ends, tells) = begin();
        let waits = dialogs.wait(id);
        assert!(matches!(dialogs.wait(id).await, Ok(Err(CallError::NotFound(_)))), "another call waits");
        ends.send(Ok(answer("yes"))).unwrap();
        tells.await;
        assert_eq!(waits.await, Ok(Ok(answer("yes"))));
        assert_eq!((instance.mailbox.waiting(), dialogs.count()), (0, 0), "without an event");
        assert!(dialogs.take(id).is_err(), "it was taken");

        let (id, ends, tells) = begin();
        ends.send(Ok(answer("early"))).unwrap();
        tells.await;
        assert_eq!(dialogs.wait(id).await, Ok(Ok(answer("early"))));
        assert!(dialogs.begun().is_empty());

        // The call is given up: the end is kept.
        let (id, ends, tells) = begin();
        drop(dialogs.wait(id));
        ends.send(Ok(answer("late"))).unwrap();
        tells.await;
        assert_eq!((instance.mailbox.waiting(), dialogs.take(id)), (2, Ok(answer("late"))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_ends_when_its_question_is_given_up() {
        let (instance, _mailbox) = instance("", Limits::default());
        let (ends, one) = asked(&instance);
        let (id, tells) = one.begin();
        let waits = instance.seldom.dialogs.wait(id);
        assert!(instance.seldom.dialogs.cancel(id));
        assert!(waits.await.is_err(), "it is told that the question was stopped");
        tells.await;
        assert!(ends.is_closed(), "the session does not take the next message as the answer");
        assert_eq!((instance.mailbox.waiting(), instance.seldom.dialogs.count()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_end_with_the_instance() {
        let (instance, _mailbox) = instance("", Limits::default());
        let (_ends, mut waits) = asked(&instance);
        assert_eq!(waits.wait().now_or_never(), None);
        instance.seldom.dialogs.end();
        assert_eq!(waits.wait().now_or_never(), Some(Err(CallError::Stopped)));
    }
}
