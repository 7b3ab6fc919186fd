//! The task that logs in whenever the link wants a connection. It goes from [`Step`] to [`Step`].

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use jid::FullJid;
use parlor_base::traces;
use parlor_config::{Endpoint, LinkSettings, TransportChoice, Way};
use parlor_stanza::sieve::lost::Lost;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{Span, field, trace_span};

use super::pace::{Pace, in_time};
use super::stream_management::StreamManagement;
use super::turns::LogInTurns;
use crate::bind::Previous;
use crate::bosh::Tokens;
use crate::connect::{Attempts, Opened, log_in};
use crate::dialer::Dialer;
use crate::error::ConnectError;
use crate::event::Left;
use crate::handshake;
use crate::password::Supplied;
use crate::pins::Pins;
use crate::resource::made_up;

/// The number of consecutive requests to resume a session without an answer, after which it is given up. A connection
/// that is lost at this point so often is not lost by accident.
pub(super) const MOST_ASKED: u32 = 4;

/// The parameters of a log-in.
#[derive(Debug, Default)]
pub struct LogIn {
    /// A password that replaces the configured one, also for reconnects.
    pub password: Option<Supplied>,
    /// The minimum delay before the first attempt.
    pub after: Duration,
    /// A session that a former process left. It is resumed if the server still has it.
    pub left: Option<Left>,
    /// The store for the tokens of a BOSH session, while there is one.
    pub tokens: Tokens,
    /// The carriers over which log-ins of the account were bound before.
    pub pins: Pins,
    /// The way to the server.
    pub dialer: Dialer,
    /// The order of log-ins that this one shares with those of other accounts.
    pub turns: LogInTurns,
}

/// A report of the connector to the link.
pub(super) enum Report {
    /// A log-in succeeded.
    Opened {
        /// The new connection.
        opened: Box<Opened>,
        /// Whether an earlier attempt requested a session and lost its connection before the answer, so that the server
        /// may assign the session to that attempt as well.
        is_contested: bool,
    },
    /// A log-in begins that is not the first.
    Trying,
    /// A log-in failed; the next one begins after this delay.
    Retrying { after: Duration, why: ConnectError },
    /// A log-in failed for good. No further report follows.
    Failed(ConnectError),
}

/// A request of the link for a connection, in place of the lost one, if there was one.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The session to resume.
    pub(super) previous: Option<Previous>,
    /// The reason that the last connection ended.
    pub(super) lost: Option<Lost>,
}

/// A handle on the task, which ends when this is dropped.
///
/// A channel has room for 32 values from the start, and there are thousands of accounts. So the values are boxed.
pub(super) struct Connector {
    task: AbortHandle,
    /// The full JID that is requested.
    pub(super) jid: FullJid,
    settings: watch::Sender<LinkSettings>,
    wants: mpsc::Sender<Box<Wanted>>,
    /// The reports of the task.
    pub(super) reports: mpsc::Receiver<Box<Report>>,
}

impl Connector {
    /// Begins to connect.
    pub(super) fn spawn(settings: LinkSettings, log_in: LogIn) -> Self {
        let configured = log_in.left.as_ref().map_or_else(|| settings.jid.clone(), |left| left.jid.clone().into());
        let jid = configured
            .try_into_full()
            .unwrap_or_else(|bare| bare.with_resource_str(&made_up()).expect("a short ASCII word is a resource"));
        let previous = log_in.left.as_ref().and_then(|left| StreamManagement::taken_up(left).previous());
        let (wants, wanted) = mpsc::channel(1);
        let (report, reports) = mpsc::channel(2);
        let (settings, follows) = watch::channel(settings);
        let (attempts, first_wait) = (Attempts::begun(log_in.pins.clone(), &log_in.dialer), Some(log_in.after));
        let task = Box::new(Task {
            follows,
            log_in,
            jid: jid.clone(),
            wants: wanted,
            reports: report,
            pace: Pace::default(),
            attempts,
            followed: false,
            is_first: true,
            was_in: false,
            first_wait,
        });
        let task = tokio::spawn(task.run()).abort_handle();
        let connector = Self { task, jid, settings, wants, reports };
        connector.want(Wanted { previous, lost: None });
        connector
    }

    /// Requests a connection. The last one must have ended.
    pub(super) fn want(&self, wanted: Wanted) {
        // The task takes each request before it fulfils it, so there is room. If the task has ended, `reports` shows
        // it.
        let _ = self.wants.try_send(Box::new(wanted));
    }

    /// Connects with these settings from now on. A running or pending attempt is restarted at once.
    pub(super) fn follow(&self, settings: LinkSettings) {
        self.settings.send_replace(settings);
    }

    /// Ends the task, even during a log-in.
    pub(super) fn end(&self) {
        self.task.abort();
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.end();
    }
}

/// The task's own state.
struct Task {
    follows: watch::Receiver<LinkSettings>,
    log_in: LogIn,
    jid: FullJid,
    wants: mpsc::Receiver<Box<Wanted>>,
    reports: mpsc::Sender<Box<Report>>,
    pace: Pace,
    attempts: Attempts,
    /// Whether the last connection went to a server that another one redirected to.
    followed: bool,
    /// Whether no attempt was made yet.
    is_first: bool,
    /// Whether a log-in has succeeded before.
    was_in: bool,
    /// The delay before the first attempt, until it has begun.
    first_wait: Option<Duration>,
}

/// A connection that the link wants and does not have yet.
struct Quest {
    /// The session to resume.
    previous: Option<Previous>,
    /// When the link asked for it.
    cut: Instant,
    /// The server that another one redirects to, for one attempt.
    elsewhere: Option<Endpoint>,
    /// The place where the session is said to be, for one attempt.
    location: Option<String>,
    /// Whether the server may have assigned the session to an attempt whose answer was lost.
    is_contested: bool,
}

/// The next step of the task.
enum Step {
    /// The link has what it wants: it asks again when it has lost it.
    Rest,
    /// The next attempt begins after this delay, or when the settings change.
    Wait(Box<Quest>, Duration),
    /// An attempt is made.
    Try(Box<Quest>),
    /// The link is gone, or a log-in has failed for good.
    End,
}

impl Task {
    async fn run(mut self: Box<Self>) {
        let mut step = Step::Rest;
        loop {
            step = match step {
                Step::Rest => self.rest().await,
                // Boxed: this task lives as long as the account, and rests most of the time.
                Step::Wait(quest, after) => Box::pin(self.wait(quest, after)).await,
                Step::Try(quest) => Box::pin(self.attempt(quest)).await,
                Step::End => return,
            };
        }
    }

    /// Waits until the link wants a connection.
    async fn rest(&mut self) -> Step {
        let Some(wanted) = self.wants.recv().await else { return Step::End };
        let Wanted { mut previous, lost } = *wanted;
        self.follows.mark_unchanged();
        let cut = Instant::now();
        self.pace.wanted(lost.as_ref(), cut);
        let elsewhere = lost.as_ref().and_then(Lost::elsewhere).and_then(|place| follow(place, self.followed));
        let location = previous.as_mut().and_then(|previous| previous.location.take());
        let quest = Box::new(Quest { previous, cut, elsewhere, location, is_contested: false });
        let after = self.first_wait.take().unwrap_or_else(|| self.pause(&quest));
        Step::Wait(quest, after)
    }

    /// Waits for the time of the next attempt, and for its turn among those of other accounts. Corrected settings are tried
    /// without further delay, but in turn: an owner may correct those of thousands of accounts at once.
    async fn wait(&mut self, quest: Box<Quest>, after: Duration) -> Step {
        tokio::select! {
            biased;
            Ok(()) = self.follows.changed() => {}
            () = tokio::time::sleep(after) => {}
        }
        let turn = self.turn();
        tokio::time::sleep(turn).await;
        let is_first = std::mem::replace(&mut self.is_first, false);
        if !is_first && self.tell(Report::Trying).await.is_err() {
            return Step::End;
        }
        Step::Try(quest)
    }

    /// Takes the next turn, and returns how long to wait for it. A server that the owner names may have many domains.
    fn turn(&self) -> Duration {
        let named = self.follows.borrow().server.as_ref().map(ToString::to_string);
        let server = named.as_deref().unwrap_or_else(|| self.jid.domain().as_str());
        self.log_in.turns.next(server, Instant::now())
    }

    /// Logs in once.
    async fn attempt(&mut self, mut quest: Box<Quest>) -> Step {
        let settings = self.follows.borrow_and_update().clone();
        self.pace.began(Instant::now());
        self.followed = quest.elsewhere.is_some();
        // In a cluster, one node holds the session. It is tried once, and the usual servers after that.
        let node = quest.location.take().filter(|_| !self.followed).and_then(|place| node_at(&place, &settings));
        let at_node = node.is_some();
        let server = quest.elsewhere.take().or(node);
        let span = connecting(self.jid.domain().as_str());
        let (password, tokens) = (self.log_in.password.as_ref(), &self.log_in.tokens);
        let (server, previous) = (server.as_ref(), quest.previous.as_ref());
        let (jid, attempts) = (&self.jid, &self.attempts);
        // Boxed: it is kilobytes, and is moved.
        let attempt = Box::pin(async {
            if matches!(settings.way, Way::Component(_)) {
                handshake::open(&settings, jid).await
            } else {
                log_in(&settings, password, jid, server, previous, tokens, attempts).await
            }
        });
        let outcome = tokio::select! {
            biased;
            // A panic over server data must not end the account.
            outcome = AssertUnwindSafe(attempt).catch_unwind() => outcome,
            // The attempt may be directed to a server that never answers.
            Ok(()) = self.follows.changed() => {
                quest.is_contested |= self.attempts.have_asked();
                return Step::Wait(quest, Duration::ZERO);
            }
        };
        let outcome =
            outcome.unwrap_or_else(|_| Err(ConnectError::NotXmpp { cause: "the log-in broke over it".to_owned() }));
        match outcome {
            Ok(opened) => self.deliver(opened, quest.is_contested).await,
            Err(why) => {
                traces::failed(&span, &why);
                drop(span);
                quest.is_contested |= self.attempts.have_asked() && why.is_no_answer();
                self.failed(quest, why, at_node).await
            }
        }
    }

    /// Hands the connection to the link.
    async fn deliver(&mut self, opened: Opened, is_contested: bool) -> Step {
        self.pace.delivered(Instant::now());
        self.was_in = true;
        let report = Report::Opened { opened: Box::new(opened), is_contested };
        if self.tell(report).await.is_err() { Step::End } else { Step::Rest }
    }

    /// Hands a report to the link. It fails if that is gone.
    fn tell(&self, report: Report) -> impl Future<Output = Result<(), mpsc::error::SendError<Box<Report>>>> {
        self.reports.send(Box::new(report))
    }

    /// Decides what follows after a failure.
    async fn failed(&mut self, mut quest: Box<Quest>, why: ConnectError, at_node: bool) -> Step {
        if at_node {
            tracing::info!(reason = %why, "the session cannot be resumed at the address that the server gave; trying the usual way");
            return Step::Wait(quest, Duration::ZERO);
        }
        // The owner did not choose a server that another one redirected to, so its errors are not final.
        if why.is_verdict() || (why.is_final() && !self.was_in && !self.followed) {
            // The receiver may be gone.
            let _ = self.tell(Report::Failed(why)).await;
            return Step::End;
        }
        if let ConnectError::NotResumed { .. } = why {
            tracing::warn!(reason = %why, "the session cannot be gone on with");
            // If the server has reported its final count, the next attempt needs it.
            quest.previous = quest.previous.filter(|previous| previous.settled.get().is_some());
            return Step::Wait(quest, Duration::ZERO);
        }
        quest.elsewhere = why.elsewhere().and_then(|place| follow(place, self.followed));
        if quest.elsewhere.is_some() {
            // A redirect is not a failure, and needs no delay.
            return Step::Wait(quest, Duration::ZERO);
        }
        let asked = quest.previous.as_ref().map_or(0, |previous| previous.unanswered.load(Ordering::Relaxed));
        if asked >= MOST_ASKED {
            tracing::warn!(asked, reason = %why, "the server goes when it is asked for the session of before; beginning another");
            quest.previous = None;
        }
        self.pace.failed(&why);
        let after = self.pause(&quest);
        if self.tell(Report::Retrying { after, why }).await.is_err() {
            return Step::End;
        }
        Step::Wait(quest, after)
    }

    /// Returns the delay before the next attempt.
    fn pause(&self, quest: &Quest) -> Duration {
        let now = Instant::now();
        let unsettled = quest.previous.as_ref().filter(|previous| previous.settled.get().is_none());
        let kept = unsettled.and_then(|previous| previous.kept);
        in_time(self.pace.wait(now, self.attempts.jitter()), kept, quest.cut, now)
    }
}

/// Polls the connector's reports; ready with `None` if there is no connector.
pub(super) fn poll_report(connector: &mut Option<Connector>, cx: &mut Context<'_>) -> Poll<Option<Report>> {
    let Some(connector) = connector else { return Poll::Ready(None) };
    connector.reports.poll_recv(cx).map(|report| report.map(|report| *report))
}

/// Returns the span of one attempt to log in to a server.
fn connecting(domain: &str) -> Span {
    trace_span!(
        target: traces::TARGET, parent: None, "connect",
        otel.kind = "client",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        parlor.domain = domain,
    )
}

/// Returns the node where a session should be resumed, unless the owner configured a server or a transport other than
/// TCP.
fn node_at(place: &str, settings: &LinkSettings) -> Option<Endpoint> {
    let over_the_web = matches!(settings.transport, TransportChoice::WebSocket | TransportChoice::Bosh);
    let is_free = settings.server.is_none() && settings.websocket.is_none() && settings.bosh.is_none();
    if over_the_web || !is_free {
        return None;
    }
    place.trim().parse().inspect_err(|error| tracing::debug!(%error, "the session is said to be at no place")).ok()
}

/// Returns the server that another one redirects to (RFC 6120, section 4.9.3.19). A redirect is followed once, with the
/// same certificate checks. A redirect from that server is not followed, so that two servers cannot keep us moving.
fn follow(place: &str, followed: bool) -> Option<Endpoint> {
    if followed {
        tracing::warn!("a server that we were sent to sends us on; going back to the first one");
        return None;
    }
    match place.trim().parse() {
        Ok(place) => {
            tracing::info!(server = %place, "the server sends us to another one");
            Some(place)
        }
        Err(error) => {
            tracing::warn!(%error, "the server sends us to a place that cannot be");
            None
        }
    }
}
