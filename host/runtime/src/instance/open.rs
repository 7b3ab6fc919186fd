//! The open operations of an instance, counted by guards: handlers, calls, archive queries, waits for the session.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jid::BareJid;
use parlor_base::held::{Held, Holding};
use parlor_base::id::PluginId;
use parlor_base::traces;
use parlor_config::AccountName;
use parlor_session::command_names::called;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{Answer, AnyCommand, Command, PATIENCE, Snapshot};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Message;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{Span, field, trace_span};

use super::Instance;
use super::handed::Handed;
use crate::account::Asker;
use crate::api;

/// How long a failed plugin may take to send error replies to the users whose commands it was handling.
const ANSWERS: Duration = Duration::from_secs(1);

impl Instance {
    /// Counts a handler of this event, with its span, until the guard is dropped.
    pub(super) fn handling(self: &Arc<Self>, event: &Event) -> Handling {
        let waited = || self.account.clock.now().duration_since(event.at).as_millis().try_into().unwrap_or(i64::MAX);
        let span = handling(&self.plugin, &self.account.name, &event.name, waited);
        if !span.is_disabled() {
            self.traced().push(span.clone());
        }
        let began = Instant::now();
        self.handlers().push(began);
        let (instance, handed) = (Arc::clone(self), Handed::of(event));
        Handling { instance, began, span, handed, command: command_in(event), has_returned: false }
    }

    /// Locks the list of times when each unreturned handler began, the oldest first. Held only briefly.
    pub(super) fn handlers(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a handler has not returned and no call to the host is open: the handler will continue without
    /// any input.
    pub fn is_at_work(&self) -> bool {
        !self.handlers().is_empty() && self.open_calls.load(Relaxed) == 0
    }

    /// Locks the messages with commands whose handlers were dropped. Held only briefly.
    pub(super) fn unanswered(&self) -> MutexGuard<'_, Vec<Arc<Message>>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traced(&self) -> MutexGuard<'_, Vec<Span>> {
        self.traced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call as open until the guard is dropped.
    pub fn open_call(self: &Arc<Self>, call: CallName) -> Result<OpenCall, CallError> {
        let open = self.open_calls.fetch_add(1, Relaxed);
        let guard = OpenCall { instance: Arc::clone(self), call, _span: self.calling(call) };
        if open >= self.limits.open_calls as usize {
            return Err(CallError::OverLimit(format!("{} open calls", self.limits.open_calls)));
        }
        Ok(guard)
    }

    fn calling(&self, call: CallName) -> Span {
        if !traces::are_wanted() {
            return Span::none();
        }
        let traced = self.traced();
        let handler = if let [only] = traced.as_slice() { Some(only) } else { None };
        calling(&self.plugin, &self.account.name, call, handler)
    }

    /// Counts an archive query, or a stream of one, until the guard is dropped.
    pub fn archive_query(self: &Arc<Self>) -> Result<OpenArchiveQuery, CallError> {
        let open = self.archive_queries.fetch_add(1, Relaxed);
        let guard = OpenArchiveQuery(Arc::clone(self));
        if open >= self.limits.archive_queries as usize {
            return Err(CallError::OverLimit(format!("{} queries of archives at once", self.limits.archive_queries)));
        }
        Ok(guard)
    }

    /// Counts an IQ request as open until it is answered. One that is given up counts for as long as its answer may
    /// still arrive.
    pub fn open_question(self: &Arc<Self>) -> Result<OpenQuestion, CallError> {
        let given_up = self.questions_given_up();
        let open = self.questions.fetch_add(1, Relaxed);
        let guard = OpenQuestion { instance: Arc::clone(self), is_out: false };
        if open + given_up >= self.limits.iqs as usize {
            return Err(CallError::OverLimit(format!("{} questions at once", self.limits.iqs)));
        }
        Ok(guard)
    }

    /// Returns how many requests were given up and may still be answered.
    pub(super) fn questions_given_up(&self) -> usize {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        while given_up.front().is_some_and(|at| at.elapsed() >= PATIENCE) {
            given_up.pop_front();
        }
        given_up.len()
    }

    /// Counts a room as opened by this plugin, unless it is open already. It counts until the guard reports a failure,
    /// or until the room is closed and no bookmark would open it again.
    pub fn open_room(self: &Arc<Self>, room: &BareJid) -> Result<OpeningRoom, CallError> {
        let snapshot = self.account.snapshot();
        let mut rooms = self.rooms.held();
        rooms.retain(|room, stage| match stage {
            Stage::Opening => true,
            Stage::Open => snapshot.is_kept_open(room),
            Stage::GivenUp(at) => snapshot.is_kept_open(room) || at.elapsed() < GIVEN_UP,
        });
        let is_new = !rooms.contains_key(room) && !snapshot.rooms.contains_key(room);
        if is_new {
            if rooms.len() >= self.limits.rooms as usize {
                return Err(CallError::OverLimit(format!("{} rooms", self.limits.rooms)));
            }
            rooms.insert(room.clone(), Stage::Opening);
        }
        drop(rooms);
        Ok(OpeningRoom { rooms: Arc::clone(&self.rooms), room: room.clone(), is_new })
    }

    /// Sets how many promises it owns now.
    pub fn has_promises(&self, now: usize) {
        self.promises.store(now, Relaxed);
    }

    /// Locks its commands, with whether each can be called without the plugin's id. Held only briefly.
    pub fn commands(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns its commands, each with the word by which users call it, considering the other instances on the account.
    pub fn called(&self, all: &[Arc<Self>]) -> BTreeMap<String, String> {
        let on_account = || all.iter().filter(|one| one.account.name == self.account.name);
        let is_chosen = |word: &str| on_account().any(|one| one.chooses(word));
        let commands = self.commands().clone();
        let called = commands.into_iter().map(|(name, is_short)| {
            let word = called(&self.plugin, &name, is_short, &self.command_names, is_chosen);
            (name, word)
        });
        called.collect()
    }

    /// Returns whether the owner gave one of its commands this name.
    fn chooses(&self, word: &str) -> bool {
        self.commands().keys().any(|name| self.command_names.is(name, word))
    }

    /// Sends error replies to the users whose commands it was handling when it failed. The next instance starts even if
    /// that fails.
    pub(super) async fn answer_cut_off(&self) {
        let unanswered = std::mem::take(&mut *self.unanswered());
        let answers = unanswered.into_iter().map(|command| api::commands::failed(self, &Granted::HOST, command));
        let _ = tokio::time::timeout(ANSWERS, join_all(answers)).await;
    }

    /// Returns whether its `initialize` has not returned.
    pub(crate) fn is_starting(&self) -> bool {
        !self.only_handles.load(Relaxed)
    }

    /// Returns how many archive queries and streams of them have not ended.
    pub fn open_archive_queries(&self) -> usize {
        self.archive_queries.load(Relaxed)
    }

    /// Counts a call as waiting for the session until the guard is dropped.
    pub fn waits_for_session(self: &Arc<Self>) -> SessionWait {
        self.waits.send_modify(|waits| waits.for_session += 1);
        SessionWait(Arc::clone(self))
    }

    /// Returns a receiver for the number of waiting calls, by what they wait for.
    pub fn waits(&self) -> watch::Receiver<Waits> {
        self.waits.subscribe()
    }

    /// Returns the identity under which it sends commands to the account's task.
    pub fn asker(&self) -> Asker {
        Asker::Plugin(self.id)
    }

    /// Counts bytes that the host holds for it until the guard is dropped.
    pub fn hold(&self, bytes: usize) -> Result<Holding, CallError> {
        self.held.hold(bytes).ok_or_else(|| self.holds_too_much())
    }

    /// Returns the counter, for callers that determine the amount themselves.
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    /// Returns the error for exceeding that limit.
    pub(crate) fn holds_too_much(&self) -> CallError {
        CallError::OverLimit(format!("{} of memory for calls that wait", self.limits.host_memory))
    }

    /// Sends a command to the session in this plugin's turn, and waits for the answer.
    pub async fn ask<C: Command>(&self, granted: &Granted, command: C) -> Result<C::Answer, CallError> {
        self.ask_with(granted, |answer| AnyCommand::new(command, answer)).await
    }

    async fn ask_with<R>(
        &self,
        granted: &Granted,
        command: impl FnOnce(Answer<R>) -> AnyCommand,
    ) -> Result<R, CallError> {
        let (answer, arrives) = Answer::channel();
        let command = command(answer);
        let holding = self.hold(command.weight())?;
        self.ask_holding(granted, command, arrives, holding).await
    }

    /// Does the same with a command whose answer arrives there and whose bytes are held already.
    pub(crate) async fn ask_holding<R>(
        &self,
        granted: &Granted,
        command: AnyCommand,
        arrives: oneshot::Receiver<Result<R, CallError>>,
        holding: Holding,
    ) -> Result<R, CallError> {
        self.in_turn(self.account.ask_holding(self.asker(), granted, command, arrives, Some(holding))).await
    }

    /// Does the same as [`ask`](Self::ask) for an answer that others make long. Its bytes are held until it is returned:
    /// a plugin that does not get to run would collect one of each of its calls.
    pub(crate) async fn ask_for_much<C: Command>(
        &self,
        granted: &Granted,
        command: C,
        weigh: fn(&C::Answer) -> usize,
    ) -> Result<C::Answer, CallError> {
        self.ask_for_much_with(granted, |answer| AnyCommand::new(command, answer), weigh).await
    }

    pub(crate) async fn ask_for_much_with<R: 'static>(
        &self,
        granted: &Granted,
        command: impl FnOnce(Answer<R>) -> AnyCommand,
        weigh: fn(&R) -> usize,
    ) -> Result<R, CallError> {
        let (_kept, fits) = self.room_for_answer(weigh);
        self.ask_with(granted, |answer| command(answer.if_it_fits(fits))).await
    }

    /// Returns a check whether such an answer fits, and what holds its bytes from then on until it is dropped.
    pub(crate) fn room_for_answer<R: 'static>(
        &self,
        weigh: fn(&R) -> usize,
    ) -> (Arc<OnceLock<Holding>>, impl FnOnce(&R) -> Result<(), CallError> + Send + use<R>) {
        let (held, kept) = (self.held(), Arc::new(OnceLock::new()));
        let (keep, too_much) = (Arc::clone(&kept), self.holds_too_much());
        let fits = move |value: &R| match held.hold(weigh(value)) {
            Some(holding) => keep.set(holding).map_err(|_| CallError::Stopped),
            None => Err(too_much),
        };
        (kept, fits)
    }

    /// Waits for a resource that all plugins share. During `initialize` that time does not count against the plugin,
    /// since others may be served first.
    pub async fn in_turn<R>(&self, shared: impl Future<Output = R>) -> R {
        // Only `initialize` has such a time limit, so other calls are spared the cost of counting.
        let _waits = (!self.only_handles.load(Relaxed)).then(|| TurnWait::begin(&self.waits));
        shared.await
    }
}

fn command_in(event: &Event) -> Option<Arc<Message>> {
    match &event.payload {
        Payload::Command { message, .. } => Some(Arc::clone(message)),
        _ => None,
    }
}

/// A handler that has not returned.
pub(super) struct Handling {
    pub(super) instance: Arc<Instance>,
    began: Instant,
    pub(super) span: Span,
    pub(super) handed: Handed,
    /// The message with the command that it carries out, whose sender expects an answer.
    command: Option<Arc<Message>>,
    /// Whether it has returned.
    has_returned: bool,
}

impl Handling {
    /// Records that the handler returned: it was not dropped, and it survived any lack of memory. Returns the message
    /// with the command that it carried out.
    pub(super) fn has_returned(&mut self) -> Option<Arc<Message>> {
        self.has_returned = true;
        self.instance.taken.is_full.store(false, Relaxed);
        self.command.take()
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let mut handlers = self.instance.handlers();
        // If several began at the same time, it does not matter which one is removed.
        if let Some(place) = handlers.iter().position(|began| *began == self.began) {
            handlers.remove(place);
        }
        drop(handlers);
        if !self.has_returned {
            self.instance.cut_off().push(self.handed.clone());
            self.instance.unanswered().extend(self.command.take());
        }
        if !self.span.is_disabled() {
            self.instance.traced().retain(|other| *other != self.span);
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
    /// Returns the proof that the plugin may make this call for this target. Otherwise returns the denial, counted and logged.
    pub fn granted(&self, target: Target<'_>) -> Result<Granted, CallError> {
        self.instance.granted(self.call, target)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.instance.open_calls.fetch_sub(1, Relaxed);
    }
}

/// An IQ request that was not answered.
pub struct OpenQuestion {
    instance: Arc<Instance>,
    is_out: bool,
}

impl OpenQuestion {
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

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        if self.is_out {
            self.instance.given_up.lock().unwrap_or_else(PoisonError::into_inner).push_back(Instant::now());
        }
        self.instance.questions.fetch_sub(1, Relaxed);
    }
}

/// The rooms that a plugin has opened on one account. They outlive its instances, as the rooms do.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<BTreeMap<BareJid, Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    /// No call waits for it any more, but it may still be entered.
    GivenUp(Instant),
}

/// How long a room counts after its opening was given up, unless it becomes open.
const GIVEN_UP: Duration = Duration::from_mins(1);

impl Rooms {
    fn held(&self) -> MutexGuard<'_, BTreeMap<BareJid, Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many of them are still open, or would be opened again.
    pub(super) fn count(&self, snapshot: &Snapshot) -> usize {
        self.held().keys().filter(|room| snapshot.is_kept_open(room)).count()
    }
}

/// A room that is being opened.
pub struct OpeningRoom {
    rooms: Arc<Rooms>,
    room: BareJid,
    is_new: bool,
}

impl OpeningRoom {
    /// Records whether the room was opened.
    pub fn ended(mut self, is_open: bool) {
        if !std::mem::take(&mut self.is_new) {
            return;
        }
        let mut rooms = self.rooms.held();
        if is_open {
            rooms.insert(self.room.clone(), Stage::Open);
        } else {
            rooms.remove(&self.room);
        }
    }
}

impl Drop for OpeningRoom {
    fn drop(&mut self) {
        if self.is_new {
            self.rooms.held().insert(self.room.clone(), Stage::GivenUp(Instant::now()));
        }
    }
}

/// An archive query, or a stream of one, that has not ended.
pub struct OpenArchiveQuery(Arc<Instance>);

impl Drop for OpenArchiveQuery {
    fn drop(&mut self) {
        self.0.archive_queries.fetch_sub(1, Relaxed);
    }
}

/// The number of calls that wait, by what they wait for. Their time does not count against the plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// Calls that wait for the session: for the connection, for answers, for other plugins.
    pub for_session: usize,
    /// Calls that wait for their turn at a shared resource.
    pub for_turn: usize,
}

impl Waits {
    /// Returns whether any call waits.
    pub fn any(self) -> bool {
        self.for_session + self.for_turn > 0
    }
}

/// A call that waits for the session.
pub struct SessionWait(Arc<Instance>);

impl Drop for SessionWait {
    fn drop(&mut self) {
        self.0.waits.send_modify(|waits| waits.for_session -= 1);
    }
}

/// A call that waits for its turn.
struct TurnWait<'a>(&'a watch::Sender<Waits>);

impl<'a> TurnWait<'a> {
    fn begin(waits: &'a watch::Sender<Waits>) -> Self {
        waits.send_modify(|waits| waits.for_turn += 1);
        Self(waits)
    }
}

impl Drop for TurnWait<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waits| waits.for_turn -= 1);
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
