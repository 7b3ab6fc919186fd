//! The open operations of an instance, counted by guards: handlers, calls, archive queries, requests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jid::BareJid;
use parlor_base::id::PluginId;
use parlor_base::traces;
use parlor_config::AccountName;
use parlor_session::PATIENCE;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::{About, CallName, Granted, Target};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Message;
use tokio::time::Instant;
use tracing::{Span, field, trace_span};
use wasmtime::component::GuestTaskId;

use super::Instance;
use super::dialogs::Rest;
use super::handed::Handed;

/// The operations of an instance that have not ended.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The handlers, and others that are listed. Nothing while the plugin is parked.
    lists: Mutex<Option<Box<Lists>>>,
    /// How many handlers wait for answers to questions.
    pub(super) resting: AtomicU32,
    /// The number of calls that have not returned.
    pub(super) calls: AtomicU32,
    /// The number of archive queries, and streams of them, that have not ended.
    archive_queries: AtomicU32,
    /// The number of pending IQs.
    pub(super) iqs: AtomicU32,
    /// The number of requests over the web that have not been answered, or whose answer is still read in parts.
    pub(super) requests: AtomicU32,
    /// The number of files.
    pub(super) files: AtomicU32,
}

/// A handler that has not returned.
#[derive(Debug)]
pub(super) struct OpenHandler {
    /// When it began.
    pub(super) began: Instant,
    /// The guest's task that it runs as; `None` if it could not be started.
    pub(super) task: Option<GuestTaskId>,
    /// How it waits for answers to questions, if it ever asked one.
    pub(super) rest: Option<Box<Rest>>,
    /// The room of its event, if the plugin has settings that differ by room.
    room: Option<Box<BareJid>>,
    /// The room or person whose turn it takes, if the plugin handles the events of each in order.
    conversation: Option<Box<BareJid>>,
}

impl OpenHandler {
    /// Returns whether it waits for the answer to a question.
    pub(super) fn rests(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.is_on())
    }
}

/// The handlers of an instance, and its operations that ended badly or that are traced.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The handlers that have not returned, the oldest first.
    pub(super) handlers: Vec<OpenHandler>,
    /// The spans of handlers that have not returned, while tracing is on.
    traced: Vec<Span>,
    /// The events of handlers that were dropped before they returned.
    pub(super) cut_off: Vec<Handed>,
    /// The messages with the commands that those handlers carried out, and those that waited behind them.
    unanswered: Vec<Arc<Message>>,
    /// The times when requests were given up that may still be answered.
    given_up: VecDeque<Instant>,
}

impl Open {
    /// Gives back memory that only a running guest needs.
    pub(super) fn shrink(&self) {
        let mut lists = self.lists();
        *lists = lists.take().filter(|lists| !lists.given_up.is_empty());
        if let Some(lists) = lists.as_mut() {
            lists.handlers = Vec::new();
        }
    }

    fn lists(&self) -> MutexGuard<'_, Option<Box<Lists>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the lists, if there are any. Held only briefly.
    pub(super) fn with<R: Default>(&self, with: impl FnOnce(&mut Lists) -> R) -> R {
        self.lists().as_mut().map(|lists| with(lists)).unwrap_or_default()
    }

    /// Adds to the lists.
    fn add(&self, add: impl FnOnce(&mut Lists)) {
        add(self.lists().get_or_insert_default());
    }
}

impl Instance {
    /// Counts a handler of this event, with its span and the task that it runs as, until the guard is dropped.
    pub(crate) fn handling(self: &Arc<Self>, event: &Event, task: Option<GuestTaskId>) -> Handling {
        let waited = || self.account.clock.now().duration_since(event.at).as_millis().try_into().unwrap_or(i64::MAX);
        let span = handling(&self.plugin, &self.account.name, &event.name, waited);
        if !span.is_disabled() {
            self.open.add(|lists| lists.traced.push(span.clone()));
        }
        let began = Instant::now();
        let room = if self.settings.differ_by_room() { room_of(event).map(Box::new) } else { None };
        let handler = OpenHandler { began, task, rest: None, room, conversation: None };
        self.open.add(|lists| lists.handlers.push(handler));
        let (instance, handed) = (Arc::clone(self), Handed::of(event));
        Handling { instance, began, task, span, handed, command: command_in(event), has_returned: false }
    }

    /// Returns whether a handler will continue without any input: it has not returned, does not wait for a person's
    /// answer, and no call to the host is open.
    pub fn is_at_work(&self) -> bool {
        let acts = |lists: &mut Lists| lists.handlers.iter().any(|handler| !handler.rests());
        self.open.calls.load(Relaxed) == 0 && self.open.with(acts)
    }

    /// Takes the messages with commands whose handlers were dropped, or that waited for their turn.
    pub(crate) fn take_unanswered(&self) -> Vec<Arc<Message>> {
        self.open.with(|lists| std::mem::take(&mut lists.unanswered))
    }

    /// Counts a call as open until the guard is dropped, however many are.
    pub fn count_call(self: &Arc<Self>, call: CallName) -> OpenCall {
        self.counted(call).0
    }

    /// Counts a call as open until the guard is dropped.
    pub fn open_call(self: &Arc<Self>, call: CallName) -> Result<OpenCall, CallError> {
        let (guard, open) = self.counted(call);
        if open >= self.limits.open_calls as usize {
            return Err(CallError::OverLimit(format!("{} open calls", self.limits.open_calls)));
        }
        Ok(guard)
    }

    /// Also returns how many calls were open before.
    fn counted(self: &Arc<Self>, call: CallName) -> (OpenCall, usize) {
        let open = self.open.calls.fetch_add(1, Relaxed) as usize;
        (OpenCall { instance: Arc::clone(self), call, _span: call_span(self, call) }, open)
    }

    /// Counts an archive query, or a stream of one, until the guard is dropped.
    pub fn archive_query(self: &Arc<Self>) -> Result<OpenArchiveQuery, CallError> {
        let open = self.open.archive_queries.fetch_add(1, Relaxed) as usize;
        let guard = OpenArchiveQuery(Arc::clone(self));
        if open >= self.limits.archive_queries as usize {
            return Err(CallError::OverLimit(format!(
                "{} queries of archives at once (archive_queries)",
                self.limits.archive_queries
            )));
        }
        Ok(guard)
    }

    /// Counts an IQ request as pending until it is answered. An abandoned request counts for as long as its answer may
    /// still arrive.
    pub fn pending_iq(self: &Arc<Self>) -> Result<PendingIq, CallError> {
        let given_up = self.iqs_given_up();
        let open = self.open.iqs.fetch_add(1, Relaxed) as usize;
        let guard = PendingIq { instance: Arc::clone(self), is_out: false };
        if open + given_up >= self.limits.iqs as usize {
            return Err(CallError::OverLimit(format!("{} IQ requests at once (iqs)", self.limits.iqs)));
        }
        Ok(guard)
    }

    /// Returns how many requests were given up and may still be answered.
    pub(super) fn iqs_given_up(&self) -> usize {
        self.open.with(|Lists { given_up, .. }| {
            while given_up.front().is_some_and(|at| at.elapsed() >= PATIENCE) {
                given_up.pop_front();
            }
            given_up.len()
        })
    }

    /// Returns how many archive queries and streams of them have not ended.
    pub fn open_archive_queries(&self) -> usize {
        self.open.archive_queries.load(Relaxed) as usize
    }
}

/// Returns for how long a handler has taken the turn of this room or person, if one does. One that waits for the answer to a
/// question does not: the next event may be what the person writes instead.
pub(crate) fn turn_lasts(instance: &Instance, conversation: &BareJid) -> Option<Duration> {
    let takes = |handler: &OpenHandler| handler.conversation.as_deref() == Some(conversation);
    instance.open.with(|Lists { handlers, .. }| {
        let handler = handlers.iter().find(|&handler| takes(handler) && !handler.rests())?;
        Some(handler.began.elapsed())
    })
}

/// Keeps the command in an event that nobody will handle, so that its sender gets an answer.
pub(crate) fn left_unanswered(instance: &Instance, event: &Event) {
    if let Some(command) = command_in(event) {
        instance.open.add(|lists| lists.unanswered.push(command));
    }
}

/// Returns the room of the event that the handler handles that runs as this task, for a plugin whose settings differ by
/// room.
pub(crate) fn room_of_handler(instance: &Instance, task: Option<GuestTaskId>) -> Option<BareJid> {
    let task = Some(task?);
    instance.open.with(|lists| {
        let handler = lists.handlers.iter().find(|one| one.task == task)?;
        handler.room.as_deref().cloned()
    })
}

/// Returns the bare address of the conversation that an event is about. If it is not a room, settings have no separate
/// values for it.
fn room_of(event: &Event) -> Option<BareJid> {
    match About::of(&event.payload) {
        About::Target(Target::Room(room)) => Some(room.clone()),
        About::Target(Target::Jid(jid) | Target::Message { chat: jid, .. }) => Some(jid.to_bare()),
        About::Target(_) | About::Nothing => None,
    }
}

fn command_in(event: &Event) -> Option<Arc<Message>> {
    match &event.payload {
        // The person gets the answer in the form instead.
        Payload::Command { message, form: None, .. } => Some(Arc::clone(message)),
        _ => None,
    }
}

/// A handler that has not returned.
pub(crate) struct Handling {
    pub(crate) instance: Arc<Instance>,
    began: Instant,
    /// The guest's task that it runs as.
    pub(super) task: Option<GuestTaskId>,
    pub(crate) span: Span,
    pub(crate) handed: Handed,
    /// The message with the command that it carries out, whose sender expects an answer.
    command: Option<Arc<Message>>,
    /// Whether it has returned.
    has_returned: bool,
}

impl Handling {
    /// Records whose turn the handler takes until it has returned.
    pub(crate) fn takes_turn(&self, conversation: Option<BareJid>) {
        let Some(conversation) = conversation else { return };
        self.instance.open.with(|Lists { handlers, .. }| {
            let mut latest = handlers.iter_mut().rev();
            if let Some(handler) = latest.find(|one| one.began == self.began && one.task == self.task) {
                handler.conversation = Some(Box::new(conversation));
            }
        });
    }

    /// Records that the handler returned: it was not dropped, and it survived any lack of memory. Returns the message
    /// with the command that it carried out.
    pub(crate) fn has_returned(&mut self) -> Option<Arc<Message>> {
        self.has_returned = true;
        self.instance.taken.is_not_full();
        self.command.take()
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let rested = self.instance.open.with(|Lists { handlers, .. }| {
            // If several without a task began at the same time, it does not matter which one is removed.
            let place = handlers.iter().position(|one| one.began == self.began && one.task == self.task);
            place.is_some_and(|place| handlers.remove(place).rests())
        });
        if rested {
            super::dialogs::has_risen(&self.instance);
        }
        if !self.has_returned {
            self.instance.open.add(|lists| {
                lists.cut_off.push(self.handed.clone());
                lists.unanswered.extend(self.command.take());
            });
        }
        if !self.span.is_disabled() {
            self.instance.open.with(|lists| lists.traced.retain(|other| *other != self.span));
        }
    }
}

/// A call that has not returned.
pub struct OpenCall {
    instance: Arc<Instance>,
    call: CallName,
    /// The span ends with the call.
    _span: Span,
}

impl OpenCall {
    /// Returns the instance that makes it.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Returns which call it is.
    pub fn name(&self) -> CallName {
        self.call
    }

    /// Returns the proof that the plugin may make this call for this target. Otherwise returns the denial, counted and logged.
    pub fn granted(&self, target: Target<'_>) -> Result<Granted, CallError> {
        self.instance.granted(self.call, target)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.instance.open.calls.fetch_sub(1, Relaxed);
    }
}

/// An IQ request that was not answered.
pub struct PendingIq {
    instance: Arc<Instance>,
    is_out: bool,
}

impl PendingIq {
    /// Records that the request may be sent from now on.
    #[must_use]
    pub fn sent(mut self) -> Self {
        self.is_out = true;
        self
    }

    /// Records that the request is complete.
    pub fn answered(mut self) {
        self.is_out = false;
    }
}

impl Drop for PendingIq {
    fn drop(&mut self) {
        if self.is_out {
            self.instance.open.add(|lists| lists.given_up.push_back(Instant::now()));
        }
        self.instance.open.iqs.fetch_sub(1, Relaxed);
    }
}

/// An archive query, or a stream of one, that has not ended.
pub struct OpenArchiveQuery(Arc<Instance>);

impl Drop for OpenArchiveQuery {
    fn drop(&mut self) {
        self.0.open.archive_queries.fetch_sub(1, Relaxed);
    }
}

/// A request over the web that has not been answered.
pub(crate) struct OpenWebRequest(Arc<Instance>);

impl OpenWebRequest {
    /// Counts a request until this is dropped.
    pub(crate) fn begin(instance: &Arc<Instance>) -> Result<Self, CallError> {
        let (open, most) = (instance.open.requests.fetch_add(1, Relaxed), instance.limits.http_requests);
        let guard = Self(Arc::clone(instance));
        if open >= most {
            Err(CallError::OverLimit(format!("{most} requests over the web at once (http_requests)")))
        } else {
            Ok(guard)
        }
    }
}

impl Drop for OpenWebRequest {
    fn drop(&mut self) {
        self.0.open.requests.fetch_sub(1, Relaxed);
    }
}

/// A file that is open.
pub(crate) struct OpenFile(Arc<Instance>);

impl OpenFile {
    /// Counts a file until this is dropped.
    pub(crate) fn begin(instance: &Arc<Instance>) -> Result<Self, CallError> {
        let (open, most) = (instance.open.files.fetch_add(1, Relaxed), instance.limits.files);
        let guard = Self(Arc::clone(instance));
        if open >= most { Err(CallError::OverLimit(format!("{most} open files (files)"))) } else { Ok(guard) }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.0.open.files.fetch_sub(1, Relaxed);
    }
}

/// Returns the span of a plugin's handler of an event, which waited for this many milliseconds.
fn handling(plugin: &PluginId, account: &AccountName, event: &EventName, waited: impl FnOnce() -> i64) -> Span {
    trace_span!(
        target: traces::TARGET, parent: None, "handle",
        otel.name = %format_args!("handle {event}"),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        parlor.plugin = %plugin,
        parlor.account = %account,
        parlor.event = %event,
        parlor.waited_ms = waited(),
    )
}

fn call_span(instance: &Instance, call: CallName) -> Span {
    if !traces::are_wanted() {
        return Span::none();
    }
    let handler = instance.open.with(|lists| match lists.traced.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    });
    calling(&instance.plugin, &instance.account.name, call, handler.as_ref())
}

/// Returns the span of a call, under the handler that made it if that is known.
fn calling(plugin: &PluginId, account: &AccountName, call: CallName, handler: Option<&Span>) -> Span {
    let call = call.name();
    trace_span!(
        target: traces::TARGET, parent: handler.and_then(Span::id), "call",
        otel.name = %format_args!("call {call}"),
        parlor.plugin = %plugin,
        parlor.account = %account,
        parlor.call = call,
    )
}
