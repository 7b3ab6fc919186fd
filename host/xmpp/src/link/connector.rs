//! The task that logs in whenever the link wants a connection.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use jid::FullJid;
use parlor_base::traces;
use parlor_config::{Endpoint, LinkSettings, TransportChoice};
use parlor_stanza::sieve::lost::Lost;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{Span, field, trace_span};

use super::LogIn;
use super::ledger::Ledger;
use super::pace::{Pace, in_time};
use crate::bind::Previous;
use crate::connect::{Attempts, ConnectError, Opened, log_in};

/// The number of consecutive requests to resume a session without an answer, after which it is given up. A connection
/// that is lost just then so often is no accident.
pub(super) const MOST_ASKED: u32 = 4;

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
pub(super) struct Connector {
    task: AbortHandle,
    /// The full JID that is requested.
    pub(super) jid: FullJid,
    settings: watch::Sender<LinkSettings>,
    wants: mpsc::Sender<Wanted>,
    /// The reports of the task.
    pub(super) reports: mpsc::Receiver<Report>,
}

impl Connector {
    /// Begins to connect.
    pub(super) fn spawn(settings: LinkSettings, wish: LogIn) -> Self {
        let configured = wish.left.as_ref().map_or_else(|| settings.jid.clone(), |left| left.jid.clone().into());
        let jid = configured.try_into_full().unwrap_or_else(|bare| {
            bare.with_resource_str(&format!("parlor-{:08x}", rand::random::<u32>()))
                .expect("a short ASCII word is a resource")
        });
        let previous = wish.left.as_ref().and_then(|left| Ledger::taken_up(left).previous());
        let (wants, wanted) = mpsc::channel(1);
        let (report, reports) = mpsc::channel(2);
        let (settings, follows) = watch::channel(settings);
        let task = tokio::spawn(run(follows, wish, jid.clone(), wanted, report)).abort_handle();
        let connector = Self { task, jid, settings, wants, reports };
        connector.want(Wanted { previous, lost: None });
        connector
    }

    /// Requests a connection. The last one must have ended.
    pub(super) fn want(&self, wanted: Wanted) {
        // The task takes each request before it fulfils it, so there is room. If the task has ended, `reports` shows
        // it.
        let _ = self.wants.try_send(wanted);
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

async fn run(
    mut follows: watch::Receiver<LinkSettings>,
    wish: LogIn,
    jid: FullJid,
    mut wants: mpsc::Receiver<Wanted>,
    reports: mpsc::Sender<Report>,
) {
    let mut pace = Pace::default();
    let attempts = Attempts::begun(wish.pins.clone(), &wish.dialer);
    // Whether the last connection went to a server that another one redirected to.
    let mut followed = false;
    let mut is_first = true;
    // Whether a log-in has succeeded before.
    let mut was_in = false;
    let mut first_wait = Some(wish.after);
    while let Some(Wanted { mut previous, lost }) = wants.recv().await {
        follows.mark_unchanged();
        let cut = Instant::now();
        pace.wanted(lost.as_ref(), cut);
        let mut elsewhere = lost.as_ref().and_then(Lost::elsewhere).and_then(|place| follow(place, followed));
        let mut location = previous.as_mut().and_then(|previous| previous.location.take());
        let mut is_contested = false;
        let wait = |pace: &Pace, previous: Option<&Previous>| {
            let now = Instant::now();
            let kept = previous.filter(|previous| previous.settled.get().is_none()).and_then(|previous| previous.kept);
            in_time(pace.wait(now, attempts.chance()), kept, cut, now)
        };
        let mut after = first_wait.take().unwrap_or_else(|| wait(&pace, previous.as_ref()));
        loop {
            tokio::select! {
                biased;
                // Corrected settings are tried without further delay.
                Ok(()) = follows.changed() => {}
                () = tokio::time::sleep(after) => {}
            }
            let settings = follows.borrow_and_update().clone();
            if !is_first && reports.send(Report::Trying).await.is_err() {
                return;
            }
            is_first = false;
            pace.began(Instant::now());
            followed = elsewhere.is_some();
            // In a cluster, one node holds the session. It is tried once, and the usual servers after that.
            let node = location.take().filter(|_| !followed).and_then(|place| node_at(&place, &settings));
            let at_node = node.is_some();
            let server = elsewhere.take().or(node);
            // A panic over server data must not end the account.
            let (password, server) = (wish.password.as_ref(), server.as_ref());
            let span = connecting(jid.domain().as_str());
            let attempt = log_in(&settings, password, &jid, server, previous.as_ref(), &wish.tokens, &attempts);
            let outcome = tokio::select! {
                biased;
                outcome = AssertUnwindSafe(attempt).catch_unwind() => outcome,
                // The attempt may be directed to a server that never answers.
                Ok(()) = follows.changed() => {
                    (after, is_contested) = (Duration::ZERO, is_contested || attempts.have_asked());
                    continue;
                }
            };
            let outcome =
                outcome.unwrap_or_else(|_| Err(ConnectError::NotXmpp { cause: "the log-in broke over it".to_owned() }));
            if let Err(why) = &outcome {
                traces::failed(&span, why);
                is_contested |= attempts.have_asked() && why.is_no_answer();
            }
            drop(span);
            match outcome {
                Ok(opened) => {
                    pace.delivered(Instant::now());
                    was_in = true;
                    if reports.send(Report::Opened { opened: Box::new(opened), is_contested }).await.is_err() {
                        return;
                    }
                    break;
                }
                Err(why) if at_node => {
                    tracing::info!(reason = %why, "the session is not to be had where it was said to be; trying the usual way");
                    after = Duration::ZERO;
                }
                // The owner did not choose a server that another one redirected to, so its errors are not final.
                Err(why) if why.is_verdict() || (why.is_final() && !was_in && !followed) => {
                    // The receiver may be gone.
                    let _ = reports.send(Report::Failed(why)).await;
                    return;
                }
                Err(why @ ConnectError::NotResumed { .. }) => {
                    tracing::warn!(reason = %why, "the session cannot be gone on with");
                    // If the server has reported its final count, the next attempt needs it.
                    previous = previous.filter(|previous| previous.settled.get().is_some());
                    after = Duration::ZERO;
                }
                Err(why) => {
                    elsewhere = why.elsewhere().and_then(|place| follow(place, followed));
                    if elsewhere.is_some() {
                        // A redirect is no failure, and no reason to wait.
                        after = Duration::ZERO;
                        continue;
                    }
                    let asked = previous.as_ref().map_or(0, |previous| previous.unanswered.load(Ordering::Relaxed));
                    if asked >= MOST_ASKED {
                        tracing::warn!(asked, reason = %why, "the server goes when it is asked for the session of before; beginning another");
                        previous = None;
                    }
                    pace.failed(&why);
                    after = wait(&pace, previous.as_ref());
                    if reports.send(Report::Retrying { after, why }).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
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

/// Returns the node where a session is to be resumed, unless the owner configured a server or a transport other than
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
