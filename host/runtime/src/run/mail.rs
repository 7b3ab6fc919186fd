//! Turns mail into handlers: the order of events, the start of a handler, and its timeout.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_base::traces;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::Granted;
use parlor_session::router::{Handled, Mail, MailReceiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};
use wasmtime::component::{Accessor, TypedFunc, TypedFuncCallConcurrent};

use super::ended::{SlowHandler, reason};
use super::turns::Turns;
use crate::api;
use crate::bindings::parlor::plugin::listen as wit;
use crate::instance::{Context, Handling, Instance};
use crate::progress;

/// The guest's `handle-event`. The event is in a box: it has more than a kilobyte, and would be moved at each step on its
/// way into the guest.
pub(super) type HandleEvent = TypedFunc<(Box<wit::Event>,), (Result<(), ()>,)>;

/// Events that one instance leaves to another, in order.
pub(crate) type Backlog = Vec<Box<Mail>>;

/// The part of a replaced instance that the instance in its place begins with.
pub(crate) struct Inherited {
    /// The events that it has not handled.
    pub(crate) backlog: Backlog,
    /// Resolves when it has ended. Handlers of it may run until then.
    pub(crate) old_ends: oneshot::Receiver<()>,
}

/// The mail of an instance, in the order in which it is handled.
pub(super) struct Incoming {
    /// Events that are handled before the mailbox: those left by a replaced instance, and one that is held back while
    /// the plugin is notified of lost events before it.
    ahead: VecDeque<Box<Mail>>,
    /// Receives the part that the replaced instance leaves.
    inherited: Option<oneshot::Receiver<Inherited>>,
    mailbox: MailReceiver,
    /// Events that wait for the handler of their conversation, if the plugin handles them in order.
    turns: Option<Box<Turns>>,
}

impl Incoming {
    pub(super) fn new(
        mailbox: MailReceiver,
        inherited: Option<oneshot::Receiver<Inherited>>,
        turns: Option<Box<Turns>>,
    ) -> Self {
        Self { ahead: VecDeque::new(), inherited, mailbox, turns }
    }

    /// Waits for the next event. Returns `None` if there will be none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Box<Mail>> {
        if let Some(inherited) = &mut self.inherited {
            // The replaced instance may be gone, and then it leaves nothing.
            if let Ok(Inherited { backlog, old_ends }) = inherited.await {
                self.ahead.extend(backlog);
                if let Some(turns) = &mut self.turns {
                    turns.follow(old_ends);
                }
            }
            self.inherited = None;
        }
        loop {
            // Not `waiting`: the mailbox is asked below, and each question locks it.
            if let Some(mail) = self.outside_of_mailbox() {
                return Some(mail);
            }
            let turns = &mut self.turns;
            let old_ends = async {
                match turns {
                    Some(turns) => turns.old_ends().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                mail = self.mailbox.recv() => {
                    // If its turn has not come, the others in the mailbox are taken before all turns are looked through again.
                    if let Some(mail) = self.admit(mail?).or_else(|| self.in_mailbox()) {
                        return Some(mail);
                    }
                }
                () = old_ends => {}
            }
        }
    }

    /// Returns the next event that is already waiting, and whose turn has come.
    pub(super) fn waiting(&mut self) -> Option<Box<Mail>> {
        self.outside_of_mailbox().or_else(|| self.in_mailbox())
    }

    /// Returns the next event in the mailbox whose turn has come. Those before it wait.
    fn in_mailbox(&mut self) -> Option<Box<Mail>> {
        loop {
            let mail = self.mailbox.try_recv().ok()?;
            if let Some(mail) = self.admit(mail) {
                return Some(mail);
            }
        }
    }

    /// Returns the next event that comes before those in the mailbox, and whose turn has come.
    fn outside_of_mailbox(&mut self) -> Option<Box<Mail>> {
        if let Some(mail) = self.turns.as_mut().and_then(|turns| turns.next(&self.mailbox)) {
            return Some(mail);
        }
        loop {
            let mail = self.ahead.pop_front()?;
            if let Some(mail) = self.admit(mail) {
                return Some(mail);
            }
        }
    }

    /// Returns an event if its turn has come. Otherwise it waits.
    fn admit(&mut self, mail: Box<Mail>) -> Option<Box<Mail>> {
        match &mut self.turns {
            Some(turns) => turns.admit(mail, &self.mailbox),
            None => Some(mail),
        }
    }

    /// Returns the room or person whose turn an event takes. None: it takes no turn.
    fn conversation(&self, mail: &Mail) -> Option<BareJid> {
        self.turns.as_ref()?.conversation(mail)
    }

    /// Puts back an event that is to be the next one again.
    pub(super) fn put_back(&mut self, mail: Box<Mail>) {
        let other = match &mut self.turns {
            Some(turns) => turns.put_back(mail, &self.mailbox),
            None => Some(mail),
        };
        if let Some(mail) = other {
            self.ahead.push_front(mail);
        }
    }

    /// Returns whether events that wait for their turns fill the mailbox. No timer gets in then, and a handler may be waiting for it.
    pub(super) fn is_held_up(&self) -> bool {
        self.turns.as_ref().is_some_and(|turns| turns.fill_mailbox())
    }

    /// Returns whether no event waits, and none is to come from a replaced instance.
    pub(super) fn is_empty(&self) -> bool {
        let none_waits = self.turns.as_ref().is_none_or(|turns| turns.is_empty());
        none_waits && self.ahead.is_empty() && self.inherited.is_none() && self.mailbox.is_empty()
    }

    /// Returns the mailbox, for the next run of a plugin that is parked.
    pub(super) fn into_mailbox(self) -> MailReceiver {
        self.mailbox
    }

    /// Lets no more events in, and returns those that wait.
    pub(super) fn close(&mut self) -> Backlog {
        self.mailbox.close();
        let in_turn = self.turns.as_mut().map(|turns| turns.take_all(&self.mailbox));
        let mut left: Backlog = in_turn.into_iter().flatten().collect();
        left.extend(self.ahead.drain(..));
        left.extend(std::iter::from_fn(|| self.mailbox.try_recv().ok()));
        left
    }
}

/// Runs a handler with its timeout. A handler that computes all that time is ended by the watchdog instead. The time in
/// which it waits for the answer to a question does not count.
pub(super) async fn within<T>(
    limit: Option<Duration>,
    handling: &Handling,
    mut handler: Pin<&mut impl Future<Output = wasmtime::Result<T>>>,
) -> wasmtime::Result<T> {
    let Some(limit) = limit else { return handler.await };
    let began = Instant::now();
    tokio::select! {
        biased;
        result = &mut handler => result,
        // Boxed: most handlers return long before, and need no room for it.
        () = tokio::time::sleep(limit) => Box::pin(late(limit, began, handling, handler)).await,
    }
}

/// Goes on with a handler that has not returned within its limit, as long as it waited for answers to questions.
async fn late<T>(
    limit: Duration,
    began: Instant,
    handling: &Handling,
    mut handler: Pin<&mut impl Future<Output = wasmtime::Result<T>>>,
) -> wasmtime::Result<T> {
    loop {
        // Asked only now: most handlers never ask anybody.
        let rested = tokio::select! {
            biased;
            result = &mut handler => return result,
            rested = handling.rested() => rested,
        };
        let left = limit.saturating_sub(began.elapsed().saturating_sub(rested));
        if left.is_zero() {
            return Err(SlowHandler(handling.handed.clone(), limit).into());
        }
        tokio::select! {
            biased;
            result = &mut handler => return result,
            () = tokio::time::sleep(left) => {}
        }
    }
}

/// Starts a handler for mail. Returns `None` if there is nothing to handle in it.
pub(super) async fn handle<'a>(
    instance: &Arc<Instance>,
    callee: HandleEvent,
    accessor: &'a Accessor<Context>,
    mut mail: Box<Mail>,
    place: Option<SparePlace>,
    incoming: &mut Incoming,
) -> Option<impl Future<Output = wasmtime::Result<Option<progress::Handling>>> + use<'a>> {
    if let Some(caught_up) = &instance.caught_up {
        caught_up.took.notify_one();
    }
    if has_no_handler(instance, &mail) {
        instance.progress.passed(mail.place.take()).await;
        return None;
    }
    let mut mail = match loss(instance) {
        Some(lagged) => {
            incoming.put_back(mail);
            Box::new(lagged)
        }
        None => mail,
    };
    // The event is passed on at once: the future below would keep it until the guest returns.
    let event = Box::new(api::listen::event(instance, &mail));
    let call = accessor.with(|store| callee.start_call_concurrent(store, (event,)));
    let task = call.as_ref().ok().map(TypedFuncCallConcurrent::task);
    let limit = instance.limits.handler;
    let mut handling = instance.handling(&mail.event, task);
    handling.takes_turn(incoming.conversation(&mail));
    let begun = instance.progress.began(mail.place.take()).await;
    let receipt = mail.receipt.take().map(|receipt| Receipt(Some(receipt)));
    Some(async move {
        // Made here and pinned: it would otherwise have a place in each future that it is moved into.
        let handler = pin!(async move { callee.finish_call_concurrent(accessor, call?).await });
        let result = within(limit, &handling, handler).await;
        match &result {
            Ok((outcome,)) => {
                if let Some(receipt) = receipt {
                    receipt.give(if outcome.is_ok() { Handled::Well } else { Handled::Failed });
                }
                let command = handling.has_returned();
                if let (Err(()), Some(command)) = (outcome, command) {
                    Box::pin(api::commands::failed(&handling.instance, &Granted::HOST, command)).await;
                }
            }
            Err(error) => traces::failed(&handling.span, &reason(error)),
        }
        drop(place);
        result.map(|_| begun)
    })
}

/// Reports to a waiting task how a handler ended, even if it is dropped before it returned.
struct Receipt(Option<oneshot::Sender<Handled>>);

impl Receipt {
    fn give(mut self, handled: Handled) {
        // The task that waited may have given up.
        self.0.take().map(|receipt| receipt.send(handled));
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.0.take().map(|receipt| receipt.send(Handled::CutOff));
    }
}

/// The additional place for a timer's handler. The handlers in all other places may be waiting for just that timer.
#[derive(Debug, Default)]
pub(super) struct Spare(Arc<()>);

/// The additional place, held by a handler.
#[derive(Debug)]
pub(super) struct SparePlace(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Spare {
    pub(super) fn take(&self) -> SparePlace {
        SparePlace(Arc::clone(&self.0))
    }

    /// Returns whether all `most` places are taken, not counting the additional one.
    pub(super) fn is_needed(&self, handlers: usize, most: usize) -> bool {
        // The one that holds the additional place may wait for the answer to a question, and then is not counted.
        handlers.saturating_sub(usize::from(self.is_taken())) >= most
    }

    /// Returns whether there is a place for a timer, the additional one or another.
    pub(super) fn is_there(&self, handlers: usize, most: usize) -> bool {
        !self.is_taken() || !self.is_needed(handlers, most)
    }

    fn is_taken(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// How long a due timer waits before the mailbox is checked again for room.
const RETRY: Duration = Duration::from_millis(5);

/// Puts due timers at the end of the mailbox, or returns the first of them for handling at once.
pub(super) fn fire_timers(instance: &Instance, at_once: bool) -> Option<Box<Mail>> {
    let now = Instant::now();
    // If the mailbox is full, timers stay due: one that fires once is not lost, and one that repeats skips ticks.
    while at_once || instance.mailbox.has_room() {
        let id = instance.registered.timers().take_due(now)?;
        let event = Event { name: EventName::from("timer"), at: instance.account.clock.now(), payload: Payload::None };
        let mail = Mail::new(Arc::new(event), vec![id], false);
        if at_once {
            return Some(Box::new(mail));
        }
        instance.mailbox.deliver(mail);
    }
    None
}

/// Returns when the next timer is due, and sets `timer` to that time.
pub(super) fn next_due(instance: &Instance, timer: Pin<&mut Sleep>) -> Option<Instant> {
    let due = instance.registered.timers().next_due();
    if let Some(at) = due {
        // An overdue timer waits for room in the mailbox; checking at once would be a busy loop.
        let wait = if instance.mailbox.has_room() { Duration::ZERO } else { RETRY };
        timer.reset(at.max(Instant::now() + wait));
    }
    due
}

/// Returns whether it is noted that this mail was handled: in the progress of a plugin that catches up, or by whoever waits for the end of
/// the handler, as for a request to a webhook or a due time. If it is not noted, it comes again.
pub(super) fn is_noted(instance: &Instance, mail: &Mail) -> bool {
    instance.progress.is_kept() || mail.receipt.is_some()
}

/// Returns whether no handler gets this mail. A request whose time is over while it waits here has ended in another way. If it were handled
/// all the same, a plugin that was slow once would be late for each further one.
pub(super) fn has_no_handler(instance: &Instance, mail: &Mail) -> bool {
    mail.subscriptions.is_empty() || mail.is_given_up() || is_withheld(instance, mail)
}

/// Returns whether the owner has revoked the grant that this event needs, after it was queued.
fn is_withheld(instance: &Instance, mail: &Mail) -> bool {
    instance.mailbox.withholds(mail, &|jid| instance.account.snapshot().is_contact(jid))
}

/// Returns an event that tells the plugin how many events its full mailbox lost, if it subscribed to `lagged`. It
/// bypasses the mailbox, which may be full again: then the count would be lost as well.
pub(super) fn loss(instance: &Instance) -> Option<Mail> {
    let lost = instance.mailbox.take_lost();
    if lost == 0 {
        return None;
    }
    if instance.may_log() {
        // The limits that decided tell what to raise.
        let (mailbox, of_one_conversation) = (instance.limits.mailbox, instance.mailbox.most_of_one());
        tracing::warn!(
            plugin = %instance.plugin, account = %instance.account.name, lost, mailbox, of_one_conversation,
            "mailbox full, events lost"
        );
    }
    let payload = Payload::Json(format!("{{\"lost\":{lost}}}").into());
    let event = Event { name: EventName::from("lagged"), at: instance.account.clock.now(), payload };
    instance.account.router.mail_for(instance.id, event)
}
