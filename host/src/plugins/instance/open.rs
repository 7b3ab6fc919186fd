//! What an instance has open, counted by guards: handlers, calls, queries of archives, waits for the
//! session.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jid::BareJid;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Span;

use super::Instance;
use super::handed::Handed;
use crate::account::Asker;
use crate::api;
use crate::error::CallError;
use crate::event::{Event, Payload};
use crate::plugins::command_names::called;
use crate::plugins::{Held, Holding};
use crate::session::{Answer, Command, PATIENCE, Snapshot};
use crate::stanza::Message;
use crate::traces;

/// How long a plugin that failed may take to have people told whose commands it was at.
const ANSWERS: Duration = Duration::from_secs(1);

impl Instance {
    /// Counts a handler of this event, with its span, until the guard is dropped.
    pub(super) fn handling(self: &Arc<Self>, event: &Event) -> Handling {
        let waited = || self.account.clock.now().duration_since(event.at).as_millis().try_into().unwrap_or(i64::MAX);
        let span = traces::handling(&self.plugin, &self.account.name, &event.name, waited);
        if !span.is_disabled() {
            self.traced().push(span.clone());
        }
        let began = Instant::now();
        self.handlers().push(began);
        let (instance, handed) = (Arc::clone(self), Handed::of(event));
        Handling { instance, began, span, handed, command: command_in(event), has_returned: false }
    }

    /// When each handler began that has not returned, the oldest first. Held for a moment only.
    pub(super) fn handlers(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether some handler has not returned, and waits for nothing that the host was asked for: it is about to go on by itself.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.handlers().is_empty() && self.open_calls.load(Relaxed) == 0
    }

    /// The messages with commands whose handlers were cut off. Held for a moment only.
    pub(super) fn unanswered(&self) -> MutexGuard<'_, Vec<Arc<Message>>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traced(&self) -> MutexGuard<'_, Vec<Span>> {
        self.traced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of this name as open until the guard is dropped.
    pub fn open_call(self: &Arc<Self>, call: &'static str) -> Result<OpenCall, CallError> {
        let open = self.open_calls.fetch_add(1, Relaxed);
        let guard = OpenCall { instance: Arc::clone(self), _span: self.calling(call) };
        if open >= self.limits.open_calls as usize {
            return Err(CallError::OverLimit(format!("{} open calls", self.limits.open_calls)));
        }
        Ok(guard)
    }

    fn calling(&self, call: &'static str) -> Span {
        if !traces::are_wanted() {
            return Span::none();
        }
        let traced = self.traced();
        let handler = if let [only] = traced.as_slice() { Some(only) } else { None };
        traces::calling(&self.plugin, &self.account.name, call, handler)
    }

    /// Counts a query of an archive, or a stream of one, until the guard is dropped.
    pub fn archive_query(self: &Arc<Self>) -> Result<OpenArchiveQuery, CallError> {
        let open = self.archive_queries.fetch_add(1, Relaxed);
        let guard = OpenArchiveQuery(Arc::clone(self));
        if open >= self.limits.archive_queries as usize {
            return Err(CallError::OverLimit(format!("{} queries of archives at once", self.limits.archive_queries)));
        }
        Ok(guard)
    }

    /// Counts a question to somebody as open until it is answered. One that is given up counts for as long as its answer may
    /// take: it is out all the same.
    pub fn open_question(self: &Arc<Self>) -> Result<OpenQuestion, CallError> {
        let given_up = self.questions_given_up();
        let open = self.questions.fetch_add(1, Relaxed);
        let guard = OpenQuestion { instance: Arc::clone(self), is_out: false };
        if open + given_up >= self.limits.iqs as usize {
            return Err(CallError::OverLimit(format!("{} questions at once", self.limits.iqs)));
        }
        Ok(guard)
    }

    /// How many questions may still be answered that nobody waits for.
    pub(super) fn questions_given_up(&self) -> usize {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        while given_up.front().is_some_and(|at| at.elapsed() >= PATIENCE) {
            given_up.pop_front();
        }
        given_up.len()
    }

    /// Counts a room as one that this plugin has opened, unless it is open already. It stops to be when the guard is told that the
    /// room was not opened, or when it is closed and no bookmark would have it entered again.
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

    /// It owns so many promises now.
    pub fn has_promises(&self, now: usize) {
        self.promises.store(now, Relaxed);
    }

    /// Commands that people may say to it, and whether each goes by its name alone. Held for a moment only.
    pub(crate) fn commands(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, with the word that people say for each beside those of the other instances on its account.
    pub(crate) fn called(&self, all: &[Arc<Self>]) -> BTreeMap<String, String> {
        let on_account = || all.iter().filter(|one| one.account.name == self.account.name);
        let is_chosen = |word: &str| on_account().any(|one| one.chooses(word));
        let commands = self.commands().clone();
        let called = commands.into_iter().map(|(name, is_short)| {
            let word = called(&self.plugin, &name, is_short, &self.command_names, is_chosen);
            (name, word)
        });
        called.collect()
    }

    /// Whether the owner has one of its commands go by this word.
    fn chooses(&self, word: &str) -> bool {
        self.commands().keys().any(|name| self.command_names.is(name, word))
    }

    /// Has people told whose commands it was at when it failed. The next instance starts whether they can be told or not.
    pub(super) async fn answer_cut_off(&self) {
        let unanswered = std::mem::take(&mut *self.unanswered());
        let answers = unanswered.into_iter().map(|command| api::commands::failed(self, command));
        let _ = tokio::time::timeout(ANSWERS, join_all(answers)).await;
    }

    /// Whether its `initialize` has not returned.
    pub(crate) fn is_starting(&self) -> bool {
        !self.only_handles.load(Relaxed)
    }

    /// How many queries of archives and streams of them have not ended.
    pub fn open_archive_queries(&self) -> usize {
        self.archive_queries.load(Relaxed)
    }

    /// Counts a call as waiting for the session until the guard is dropped.
    pub fn waits_for_session(self: &Arc<Self>) -> SessionWait {
        self.waits.send_modify(|waits| waits.for_session += 1);
        SessionWait(Arc::clone(self))
    }

    /// How many calls wait, and for what.
    pub fn waits(&self) -> watch::Receiver<Waits> {
        self.waits.subscribe()
    }

    /// As whom it asks the account's task.
    pub fn asker(&self) -> Asker {
        Asker::Plugin(self.id)
    }

    /// Counts bytes that the host holds for it until the guard is dropped.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Holding, CallError> {
        self.held.hold(bytes).ok_or_else(|| self.holds_too_much())
    }

    /// The same for what finds out by itself how much it is.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    /// That it would be too much.
    pub(crate) fn holds_too_much(&self) -> CallError {
        CallError::OverLimit(format!("{} of memory for calls that wait", self.limits.host_memory))
    }

    /// Asks the session for something, in this plugin's turn, and waits for the answer.
    pub async fn ask<R>(&self, command: impl FnOnce(Answer<R>) -> Command) -> Result<R, CallError> {
        let hold = |command: &Command| self.hold(command.weight()).map(Some);
        self.in_turn(self.account.ask_holding(self.asker(), command, hold)).await
    }

    /// Waits for something that all plugins share. While it starts, that time is not held against it: others may be served first.
    pub async fn in_turn<R>(&self, shared: impl Future<Output = R>) -> R {
        // Only `initialize` has a time of its own, and every call would pay for the count.
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
    /// The message with the command that it carries out, if it does: somebody waits for an answer.
    command: Option<Arc<Message>>,
    /// It did return, and is let go of.
    has_returned: bool,
}

impl Handling {
    /// It was not cut off, nor ended by a lack of memory that it was told of. Gives the message with the command that it carried out.
    pub(super) fn has_returned(&mut self) -> Option<Arc<Message>> {
        self.has_returned = true;
        self.instance.taken.is_full.store(false, Relaxed);
        self.command.take()
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let mut handlers = self.instance.handlers();
        // Which of several that began at once does not matter.
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
    /// It ends with the call.
    _span: Span,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.instance.open_calls.fetch_sub(1, Relaxed);
    }
}

/// A question that was not answered.
pub struct OpenQuestion {
    instance: Arc<Instance>,
    is_out: bool,
}

impl OpenQuestion {
    /// It may be on its way from now on.
    #[must_use]
    pub fn sent(mut self) -> Self {
        self.is_out = true;
        self
    }

    /// Nothing comes for it any more.
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
pub(crate) struct Rooms(Mutex<BTreeMap<BareJid, Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    /// Nobody waits for it any more, and it may be entered all the same.
    GivenUp(Instant),
}

/// How long a room counts whose opening was given up, until it shows among those that are open.
const GIVEN_UP: Duration = Duration::from_mins(1);

impl Rooms {
    fn held(&self) -> MutexGuard<'_, BTreeMap<BareJid, Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of them are open still, or would be again.
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
    /// It is open, or was not opened.
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

/// A query of an archive, or a stream of one, that has not ended.
pub struct OpenArchiveQuery(Arc<Instance>);

impl Drop for OpenArchiveQuery {
    fn drop(&mut self) {
        self.0.archive_queries.fetch_sub(1, Relaxed);
    }
}

/// How many calls wait, and for what. Their time is not held against the plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// For the session: for the connection, for answers, for other plugins.
    pub for_session: usize,
    /// For their turn at what all plugins share.
    pub for_turn: usize,
}

impl Waits {
    /// Whether any call waits.
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
