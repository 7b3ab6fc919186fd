//! How an instance asks the account's task: in its turn, with the bytes that the host holds for it counted, and with the
//! time that it waits for others.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use parlor_base::held::{Held, Holding};
use parlor_session::permissions::Granted;
use parlor_session::{Answer, AnyCommand, Command};
use parlor_stanza::error::CallError;
use tokio::sync::oneshot;

use super::Instance;
use crate::account::Asker;
use crate::watched::Watched;

impl Instance {
    /// Counts bytes that the host holds for it until the guard is dropped.
    pub fn hold(&self, bytes: usize) -> Result<Holding, CallError> {
        self.cpu.held().hold(bytes).ok_or_else(|| self.holds_too_much())
    }

    /// Returns the counter, for callers that determine the amount themselves.
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(self.cpu.held())
    }

    /// Returns the error for exceeding that limit.
    pub(crate) fn holds_too_much(&self) -> CallError {
        CallError::OverLimit(format!("{} of memory for calls that wait (host_memory)", self.limits.host_memory))
    }

    /// Sends a command to the session in this plugin's turn, and waits for the answer.
    pub fn ask<C: Command>(&self, granted: &Granted, command: C) -> impl Future<Output = Result<C::Answer, CallError>> {
        // It is in its box before the future begins, which would otherwise have room for it several times over.
        let (answer, arrives) = Answer::channel();
        ask_with(self, granted, AnyCommand::with(command, answer), arrives)
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
        self.ask_for_much_with(granted, |answer| AnyCommand::with(command, answer), weigh).await
    }

    pub(crate) async fn ask_for_much_with<R: 'static>(
        &self,
        granted: &Granted,
        command: impl FnOnce(Answer<R>) -> AnyCommand,
        weigh: fn(&R) -> usize,
    ) -> Result<R, CallError> {
        let (_kept, fits) = self.room_for_answer(weigh);
        let (answer, arrives) = Answer::channel();
        ask_with(self, granted, command(answer.if_it_fits(fits)), arrives).await
    }

    /// Returns a cell, and a check whether such an answer fits. The check puts a holding into the cell, which counts
    /// the answer's bytes until it is dropped.
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
    pub fn in_turn<R>(&self, shared: impl Future<Output = R>) -> impl Future<Output = R> {
        // Only `initialize` has such a time limit, so other calls are spared the cost of counting.
        let waits = self.is_starting().then(|| TurnWait::begin(&self.waits));
        // Not an async function: it would have room for the future twice.
        shared.inspect(move |_| drop(waits))
    }

    /// Counts a call as waiting for the session until the guard is dropped.
    pub fn waits_for_session(self: &Arc<Self>) -> SessionWait {
        self.waits.change(|waits| waits.for_session += 1);
        SessionWait(Arc::clone(self))
    }

    /// Returns the number of waiting calls, by the kind of their wait.
    pub(crate) fn waits(&self) -> &Watched<Waits> {
        &self.waits
    }

    /// Waits until at least this many of its calls wait for the session, and returns how many do.
    pub async fn until_waiting(&self, least: usize) -> usize {
        self.waits.pick(|waits| Some(waits.for_session as usize).filter(|waiting| *waiting >= least)).await
    }

    /// Returns the identity under which it sends commands to the account's task.
    pub fn asker(&self) -> Asker {
        Asker::Plugin(self.id)
    }
}

/// Sends a message in a plugin's turn. What encryption adds, such as a key for each device of a room, is known only when it is sent.
/// The messages after it wait for that.
#[expect(clippy::cast_precision_loss, reason = "no stanza has so many bytes")]
pub(super) fn ask_to_send<C: Command>(
    instance: &Instance,
    granted: &Granted,
    command: C,
) -> impl Future<Output = Result<C::Answer, CallError>> {
    let lasting = Arc::clone(&instance.lasting);
    let (answer, arrives) = Answer::channel();
    let answer = answer.charging(move |bytes| lasting.budgets.outgoing_bytes().owe(bytes as f64));
    ask_with(instance, granted, AnyCommand::with(command, answer), arrives)
}

/// The number of waiting calls, by the kind of their wait. Their time does not count against the plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// Calls that wait for the session: for the connection, for answers, for other plugins.
    pub(crate) for_session: u32,
    /// Calls that wait for their turn at a shared resource.
    pub(crate) for_turn: u32,
}

impl Waits {
    /// Returns whether any call waits.
    pub(crate) fn any(self) -> bool {
        self.for_session + self.for_turn > 0
    }
}

/// A call that waits for the session.
pub struct SessionWait(Arc<Instance>);

impl Drop for SessionWait {
    fn drop(&mut self) {
        self.0.waits.change(|waits| waits.for_session -= 1);
    }
}

/// A call that waits for its turn.
struct TurnWait<'a>(&'a Watched<Waits>);

impl<'a> TurnWait<'a> {
    fn begin(waits: &'a Watched<Waits>) -> Self {
        waits.change(|waits| waits.for_turn += 1);
        Self(waits)
    }
}

impl Drop for TurnWait<'_> {
    fn drop(&mut self) {
        self.0.change(|waits| waits.for_turn -= 1);
    }
}

async fn ask_with<R>(
    instance: &Instance,
    granted: &Granted,
    command: AnyCommand,
    arrives: oneshot::Receiver<Result<R, CallError>>,
) -> Result<R, CallError> {
    let holding = instance.hold(command.weight())?;
    instance.ask_holding(granted, command, arrives, holding).await
}
