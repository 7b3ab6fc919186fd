//! A request until its answer was received: its connection, its repetitions, and its time limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::body::Terms;
use super::exchange::{Answered, Connection, Failure, Line};
use crate::error::ConnectError;

/// How much longer an answer may take than the server's announced wait.
const MARGIN: Duration = Duration::from_secs(10);
/// The time for an answer that the server has no reason to hold back. It grows by its own length with each further
/// silence.
pub(super) const PROMPT: Duration = Duration::from_secs(10);
/// The longest pause before a request is repeated.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A request that was not answered yet.
pub(super) struct UnderWay {
    pub(super) body: Arc<str>,
    /// Whether the request carries no data.
    pub(super) is_empty: bool,
    pub(super) began: Instant,
    /// When this request was written, for the next one; and the same of the previous request.
    pub(super) written: Arc<watch::Sender<Option<Instant>>>,
    pub(super) before: Option<watch::Receiver<Option<Instant>>>,
    attempt: Pin<Box<dyn Future<Output = Result<Answered, Failure>> + Send>>,
    /// When the connection is given up, unless an answer or other data arrives.
    patience: Pin<Box<Sleep>>,
    /// Whether the server has no reason to hold the request back.
    pub(super) is_due: bool,
    /// When the current failures began.
    failing: Option<Instant>,
    /// The number of attempts, and how many of these got no data at all.
    pub(super) times: u32,
    pub(super) silences: u32,
    pub(super) answered: Option<Answered>,
}

/// The state of a request that has no answer yet.
pub(super) enum Late {
    /// The connection broke.
    Broken,
    /// The server wants the request again, together with those before it.
    Unheard,
    /// The connection is silent.
    Silent,
    /// The request has failed for good.
    Failed(ConnectError),
}

impl UnderWay {
    /// Makes the request on this connection, after the request `before` was written. `written` says when this one was.
    pub(super) fn make(
        (body, is_empty): (Arc<str>, bool),
        is_due: bool,
        connection: Option<Connection>,
        (written, before): (watch::Sender<Option<Instant>>, Option<watch::Receiver<Option<Instant>>>),
        line: &Arc<Line>,
        terms: &Terms,
    ) -> Self {
        let written = Arc::new(written);
        let limit = if is_due { PROMPT } else { terms.wait + MARGIN };
        let attempt = Arc::clone(line).ask(connection, Arc::clone(&body), before.clone(), Arc::clone(&written));
        Self {
            attempt: Box::pin(attempt),
            body,
            is_empty,
            began: Instant::now(),
            written,
            before,
            patience: Box::pin(sleep(limit)),
            is_due,
            failing: None,
            times: 1,
            silences: 0,
            answered: None,
        }
    }

    /// Drives the request.
    pub(super) fn poll(&mut self, line: &Arc<Line>, terms: &Terms, cx: &mut Context<'_>) -> Result<(), Late> {
        while self.answered.is_none() {
            match self.attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(answered)) => self.answered = Some(answered),
                Poll::Ready(Err(Failure { answer: Some(answer), .. })) => {
                    self.answered = Some(Answered { answer, connection: None });
                }
                Poll::Ready(Err(Failure { error, again, with_former, answer: None })) => {
                    // A request that was held back for a while did reach the server: a proxy in between closed the
                    // connection earlier.
                    if !self.is_due && !with_former && self.written.borrow().is_some_and(|at| at.elapsed() > PROMPT) {
                        self.failing = None;
                    }
                    let since = self.failing.unwrap_or_else(Instant::now);
                    if !again || since.elapsed() >= terms.inactivity {
                        return Err(Late::Failed(error));
                    }
                    tracing::debug!(%error, "a request of BOSH is made again");
                    return Err(if with_former { Late::Unheard } else { Late::Broken });
                }
                Poll::Pending => {
                    if self.patience.as_mut().poll(cx).is_pending() {
                        return Ok(());
                    }
                    // The line is slow, but data arrives, for this answer or for another.
                    let quiet = line.ending.heard() + PROMPT;
                    if quiet > Instant::now() {
                        self.patience.as_mut().reset(quiet);
                        continue;
                    }
                    if self.failing.is_some_and(|since| since.elapsed() >= terms.inactivity) {
                        return Err(Late::Failed(line.failure("it does not answer any more", true).error));
                    }
                    return Err(Late::Silent);
                }
            }
        }
        Ok(())
    }

    /// Repeats the request on another connection, after the request `before` was written.
    pub(super) fn again(&mut self, before: Option<watch::Receiver<Option<Instant>>>, line: &Arc<Line>, terms: &Terms) {
        if self.answered.is_some() {
            return;
        }
        self.failing.get_or_insert_with(Instant::now);
        // The first repetition is immediate: servers close connections that were idle for a while.
        let pause = Duration::from_millis(250 << self.times.min(6)).min(LONGEST_PAUSE);
        let pause = if self.times == 1 { Duration::ZERO } else { pause.mul_f64(rand::random()) };
        // A broken connection says nothing about how long the server takes, so only silences count.
        let prompt = PROMPT.saturating_mul(self.silences.max(1)).min(terms.wait + MARGIN);
        self.times = self.times.saturating_add(1);
        self.written.send_replace(None);
        self.before = before;
        let written = Arc::clone(&self.written);
        let asking = Arc::clone(line).ask(None, Arc::clone(&self.body), self.before.clone(), written);
        self.attempt = Box::pin(async move {
            sleep(pause).await;
            asking.await
        });
        let limit = if self.is_due { prompt } else { terms.wait + MARGIN };
        self.patience.as_mut().reset(Instant::now() + pause + limit);
    }

    /// Marks the request as one that the server must answer now.
    pub(super) fn hurry(&mut self) {
        if !std::mem::replace(&mut self.is_due, true) {
            self.patience.as_mut().reset(Instant::now() + PROMPT);
        }
    }
}
