//! Protection of plugins from a busy neighbour: the ticker, CPU accounts, the kill rule and the background runtime.
//!
//! Every instance runs inside a [`Metered`] future. It charges the CPU time of each poll to the instance's [`Account`],
//! and returns `Step::Move` when the instance should move to another runtime. The epoch callback ([`on_epoch`]) runs
//! inside the guest on every tick and ends a guest that never waits. The rules follow from measurements: only the
//! thread's CPU clock is fair, yielding at every tick is not, and a runtime under `SCHED_IDLE` is what protects the
//! neighbours.

mod runtimes;
mod thread_clock;
mod ticker;
mod wakes;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use parlor_base::held::Held;
use tokio::time::Sleep;
use wasmtime::UpdateDeadline;

use self::thread_clock::{Began, thread_cpu};
use self::wakes::Wakes;

pub(super) use self::runtimes::Runtimes;
pub(super) use self::ticker::Ticker;

/// How long a guest computes before it yields to others on its runtime.
const SLICE: Duration = Duration::from_millis(1);
/// The cost of a poll beyond its CPU time, so that very frequent empty waits are charged as well.
const POLL_COST: Duration = Duration::from_nanos(500);
/// How often an instance that woke itself is polled again at once, before others on its runtime have a turn.
const TURNS: u32 = 8;
/// A poll that uses this much CPU time is long, although no tick interrupted it: others on its thread would notice.
const LONG: Duration = Duration::from_micros(500);
/// How much more a poll may use for each event that it began or finished to handle, before it is long: many short handlers are
/// no computation.
const EACH: Duration = Duration::from_micros(50);
/// The number of short polls in a row after which a guest no longer counts as computing. A move costs as much as a
/// message.
const SHORT_POLLS: u32 = 16;
/// The number of short polls after which a long one says nothing about the next, such as the first poll of an instance.
/// The guest moves only if another long one follows. The number is high enough that guests gain nothing by it: in the
/// time of these polls, a guest could leave and return several times, with a long poll each time.
const ALONE: u32 = 4 * SHORT_POLLS;

/// The runtime that polls an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Runs {
    /// The thread of its account, since it never computes for long.
    WithAccount,
    /// The threads for guests that compute, so that its account and its neighbours keep theirs.
    Computing,
    /// The background runtime, since it used more than its share.
    InBackground,
}

/// The CPU account of one instance: written by [`Metered`], read by the epoch callback and by status pages.
#[derive(Debug, Default)]
pub struct Account {
    /// The total CPU time, in nanoseconds.
    used: AtomicU64,
    /// Has the CPU time that others spent on the instance's calls and that no poll has settled yet. It counts against the share
    /// from the next poll on.
    held: Arc<Held>,
    /// The thread's CPU clock when the running poll began.
    poll_began: AtomicU64,
    /// The CPU time since the last poll that ended because the guest waited, or in which a handler returned.
    unbroken: AtomicU64,
    /// Whether the running poll ends because of a tick, not because the guest waits.
    interrupted: AtomicBool,
    /// How often the running poll began or finished to handle an event.
    steps: AtomicU32,
    /// The runtime that polls it, as a number of [`Runs`].
    runs: AtomicU8,
    /// The total time in which it was ready to run but not polled, in nanoseconds.
    kept_waiting: AtomicU64,
    /// The used part of the burst when it was last settled, and the time of that.
    spent: Mutex<Option<(Duration, Instant)>>,
}

impl Account {
    /// Returns the total CPU time that the instance has used.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }

    /// Creates the account of an instance. Other tasks of the host charge the CPU time that they spend on its calls to `held`.
    pub(super) fn charged_by(held: Arc<Held>) -> Self {
        Self { held, ..Self::default() }
    }

    /// Returns the counter of the bytes that the host holds for its calls, to which others charge CPU time.
    pub(super) fn held(&self) -> &Arc<Held> {
        &self.held
    }

    /// Returns the total time in which it was ready to run while others had the CPU.
    pub(super) fn kept_waiting(&self) -> Duration {
        Duration::from_nanos(self.kept_waiting.load(Relaxed))
    }

    /// Returns which runtime polls the instance.
    pub fn runs(&self) -> Runs {
        match self.runs.load(Relaxed) {
            1 => Runs::Computing,
            2 => Runs::InBackground,
            _ => Runs::WithAccount,
        }
    }

    fn set_runs(&self, runs: Runs) {
        self.runs.store(runs as u8, Relaxed);
    }

    /// Returns whether the instance runs on the background runtime, because it used more than its share or the one
    /// before it failed.
    pub fn in_background(&self) -> bool {
        self.runs() == Runs::InBackground
    }

    /// Lets an instance begin on the background runtime, since the one before it failed: a plugin that keeps failing
    /// would otherwise compute at its neighbours' cost each time.
    pub(super) fn begin_in_background(&self) {
        self.set_runs(Runs::InBackground);
    }

    /// Notes that it began to handle an event.
    pub(super) fn has_begun(&self) {
        self.steps.fetch_add(1, Relaxed);
    }

    /// Notes that it finished to handle an event. That breaks what it computes: a guest with many events waiting may go
    /// from one to the next for long. To begin one does not, since the host begins events also while a guest computes.
    pub(super) fn has_returned(&self) {
        self.steps.fetch_add(1, Relaxed);
        self.unbroken.store(0, Relaxed);
    }

    /// Returns the CPU time that the instance has used without ever waiting.
    pub(super) fn unbroken(&self) -> Duration {
        Duration::from_nanos(self.unbroken.load(Relaxed))
    }

    /// Returns the used part of its burst. If that is more than the burst, its account is overdrawn.
    pub(super) fn spent(&self, share: f64) -> Duration {
        self.spent_since_parked(share).unwrap_or_default()
    }

    /// Returns the same for an instance that ran before its plugin was parked; `None` if it has not run yet.
    fn spent_since_parked(&self, share: f64) -> Option<Duration> {
        let spent = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.map(|(spent, at)| spent.saturating_sub(at.elapsed().mul_f64(share)))
    }
}

/// The CPU time that an instance may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Its share of one core in the long run, from 0 to 1.
    pub share: f64,
    /// The CPU time that it may use at once beyond that.
    pub burst: Duration,
    /// How long it may compute without waiting for anything before it is ended.
    pub slice: Duration,
    /// Whether it leaves the thread of its account while it computes. False if that thread is the caller's: a test's
    /// paused clock would advance while the test waits for another thread.
    pub leaves: bool,
}

/// Decides at a tick whether a guest continues, yields or is ended. Called by wasmtime inside of the guest.
pub(super) fn on_epoch(account: &Account, allowance: Allowance) -> Result<UpdateDeadline, Overrun> {
    let here = thread_cpu().saturating_sub(account.poll_began.load(Relaxed));
    if account.unbroken.load(Relaxed) + here > nanos(allowance.slice) {
        return Err(Overrun(allowance.slice));
    }
    if here < nanos(SLICE) {
        return Ok(UpdateDeadline::Continue(1));
    }
    account.interrupted.store(true, Relaxed);
    Ok(UpdateDeadline::Yield(1))
}

/// The error when a guest computed for too long without waiting for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it computed for {} ms without a pause (limit `cpu_slice`)", .0.as_millis())]
pub(super) struct Overrun(Duration);

/// The reason why a [`Metered`] future ends on a runtime.
#[derive(Debug)]
pub(super) enum Step<R> {
    /// The instance has ended.
    Done(R),
    /// It should continue on another runtime, which its account names.
    Move,
}

/// The whole run of an instance, with every poll charged to its account.
///
/// Dropping it ends the instance.
pub(super) struct Metered<R> {
    inner: Pin<Box<dyn Future<Output = R> + Send>>,
    account: Arc<Account>,
    allowance: Allowance,
    ticker: Ticker,
    /// The remaining CPU time in nanoseconds. Below zero the account is overdrawn.
    balance: i64,
    settled_at: Instant,
    /// The timer that holds polls back while the account is overdrawn.
    gate: Option<Pin<Box<Sleep>>>,
    /// The number of polls since one showed that the guest computes.
    short_polls: u32,
    /// The number of polls since one was long.
    since_long: u32,
    wakes: Arc<Wakes>,
    /// `wakes` as a [`Waker`].
    waker: Waker,
}

impl<R> Metered<R> {
    /// Charges `inner` to the account.
    pub(super) fn new(
        inner: impl Future<Output = R> + Send + 'static,
        account: Arc<Account>,
        allowance: Allowance,
        ticker: Ticker,
    ) -> Self {
        let wakes = Arc::new(Wakes::new());
        let balance = match account.spent_since_parked(allowance.share) {
            // CPU time that it used before it was parked stays used.
            Some(spent) => signed(allowance.burst) - signed(spent),
            // An instance that begins on the background runtime leaves it once it has waited for as long as its start
            // cost.
            None => signed(allowance.burst) / if account.in_background() { 2 } else { 1 },
        };
        if balance < 0 {
            account.set_runs(Runs::InBackground);
        }
        let mut metered = Self {
            inner: Box::pin(inner),
            waker: Waker::from(Arc::clone(&wakes)),
            wakes,
            account,
            allowance,
            ticker,
            balance,
            settled_at: Instant::now(),
            gate: None,
            short_polls: SHORT_POLLS,
            since_long: ALONE,
        };
        if metered.balance < 0 {
            metered.gate = Some(Box::pin(tokio::time::sleep(metered.debt())));
        }
        metered
    }

    /// Polls the instance until it waits for others, or others should have a turn. Also returns the number of polls.
    fn turns(&mut self) -> (Poll<R>, u32) {
        let mut context = Context::from_waker(&self.waker);
        let _awake = self.ticker.awake();
        self.wakes.begin();
        let mut turn = 1;
        loop {
            let polled = self.inner.as_mut().poll(&mut context);
            let is_over = polled.is_ready() || turn == TURNS || self.account.interrupted.load(Relaxed);
            if is_over || !self.wakes.again() {
                return (polled, turn);
            }
            // It did wait, if only for itself.
            self.account.unbroken.store(0, Relaxed);
            turn += 1;
        }
    }

    /// Returns for how long it could have run by now but was not polled: the background runtime only gets idle CPU
    /// time, and the threads for guests that compute are few.
    fn starved(&self, opened: Option<Instant>, now: Instant) -> Duration {
        let ready = self.wakes.woken().max(self.settled_at);
        now.saturating_duration_since(opened.map_or(ready, |opened| opened.max(ready)))
    }

    /// Charges the CPU time of some polls and credits the share of the elapsed time, except time in which it was
    /// starved. Otherwise an instance that always wants the CPU would earn its way back by not getting it, and burden
    /// its neighbours again.
    fn settle(&mut self, used: u64, polls: u32, starved: Duration, now: Instant) {
        let earned = now.duration_since(self.settled_at).saturating_sub(starved).mul_f64(self.allowance.share);
        self.settled_at = now;
        let used = i64::try_from(used).unwrap_or(i64::MAX).saturating_add(signed(POLL_COST * polls));
        self.balance =
            self.balance.saturating_add(signed(earned)).min(signed(self.allowance.burst)).saturating_sub(used);
        let spent = signed(self.allowance.burst).saturating_sub(self.balance);
        let spent = Duration::from_nanos(u64::try_from(spent).unwrap_or(0));
        *self.account.spent.lock().unwrap_or_else(PoisonError::into_inner) = Some((spent, now));
    }

    /// Counts a poll that used this much CPU time, in nanoseconds, for this many steps. If a tick interrupted it, the guest
    /// computes, unless the thread itself had to wait for a core meanwhile. If it was only long, it does if another one was before.
    fn count(&mut self, is_interrupted: bool, used: u64, steps: u32) {
        let is_long = used > nanos(LONG + EACH * steps);
        let computes = is_long && (is_interrupted || self.since_long < ALONE);
        self.short_polls = if computes { 0 } else { self.short_polls.saturating_add(1) };
        self.since_long = if is_long { 0 } else { self.since_long.saturating_add(1) };
    }

    /// Returns which runtime should poll it next. A guest in the background stays there until it has waited for half of
    /// its burst.
    fn next(&self, runs: Runs, is_interrupted: bool) -> Runs {
        let has_earned = !is_interrupted && self.balance >= signed(self.allowance.burst) / 2;
        match runs {
            _ if self.balance < 0 => Runs::InBackground,
            Runs::InBackground if !has_earned => Runs::InBackground,
            Runs::WithAccount | Runs::Computing if self.is_computing() => Runs::Computing,
            Runs::WithAccount | Runs::Computing | Runs::InBackground => Runs::WithAccount,
        }
    }

    /// Returns whether it computes so much that it leaves the thread of its account.
    fn is_computing(&self) -> bool {
        self.allowance.leaves && self.short_polls < SHORT_POLLS
    }

    /// Returns how long it takes until the overdraft is paid off.
    fn debt(&self) -> Duration {
        Duration::from_nanos(self.balance.unsigned_abs()).div_f64(self.allowance.share.max(0.001))
    }
}

impl<R> Future for Metered<R> {
    type Output = Step<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Step<R>> {
        let this = self.get_mut();
        let mut opened = None;
        if let Some(gate) = this.gate.as_mut() {
            ready!(gate.as_mut().poll(context));
            opened = Some(gate.deadline().into_std());
            this.gate = None;
        }
        let runs = this.account.runs();
        let in_background = runs == Runs::InBackground;
        let began = Began::now();
        let kept_waiting = this.starved(opened, began.at());
        this.account.kept_waiting.fetch_add(nanos(kept_waiting), Relaxed);
        let starved = if in_background { kept_waiting } else { Duration::ZERO };
        this.wakes.task.register(context.waker());
        this.account.poll_began.store(began.cpu(), Relaxed);
        this.account.interrupted.store(false, Relaxed);
        this.account.steps.store(0, Relaxed);
        let (polled, polls) = this.turns();
        let now = Instant::now();
        let own = began.used_until(now);
        let account = &this.account;
        let computes = account.interrupted.load(Relaxed);
        if computes {
            account.unbroken.fetch_add(own, Relaxed);
        } else {
            account.unbroken.store(0, Relaxed);
        }
        let used = own + nanos(account.held.charges().take());
        account.used.fetch_add(used, Relaxed);
        // Also after the last poll: the plugin may only be parked.
        this.settle(used, polls, starved, now);
        if let Poll::Ready(result) = polled {
            return Poll::Ready(Step::Done(result));
        }
        let steps = this.account.steps.load(Relaxed);
        this.count(computes, own, steps);
        let next = this.next(runs, computes);
        if next != runs {
            this.account.set_runs(next);
            return Poll::Ready(Step::Move);
        }
        if this.balance < 0 {
            let mut gate = Box::pin(tokio::time::sleep(this.debt()));
            // Polled once to arm its timer. The inner future's own wakers stay as they are.
            if gate.as_mut().poll(context).is_pending() {
                this.gate = Some(gate);
            } else {
                context.waker().wake_by_ref();
            }
        }
        if this.wakes.pause() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
