//! The task that logs in whenever the stream wants a connection.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use jid::FullJid;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::LogIn;
use super::pace::Pace;
use super::slot::Slot;
use crate::config::LinkSettings;
use crate::xmpp::connect::{ConnectError, log_in};
use crate::xmpp::cut::Cutter;
use crate::xmpp::intake::{Ending, Lost};

/// What the connector has to say.
#[derive(Debug)]
pub(super) enum Report {
    /// A log-in failed; the next one comes after this long.
    Retrying { after: Duration, why: ConnectError },
    /// A log-in failed for good.
    Failed(ConnectError),
}

/// The task, ended when this is dropped.
pub(super) struct Connector {
    task: AbortHandle,
    wanted: FullJid,
    /// Of the connection that was delivered last.
    ending: watch::Receiver<Ending>,
}

impl Connector {
    pub(super) fn spawn(
        settings: LinkSettings,
        wish: LogIn,
        cutter: Cutter,
        slots: mpsc::Receiver<Slot>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let wanted = settings.jid.clone().try_into_full().unwrap_or_else(|bare| {
            bare.with_resource_str(&format!("parlor-{:08x}", rand::random::<u32>()))
                .expect("a short ASCII word is a resource")
        });
        let (current, ending) = watch::channel(Ending::default());
        let task = tokio::spawn(run(settings, wish, wanted.clone(), cutter, slots, reports, current)).abort_handle();
        Self { task, wanted, ending }
    }

    /// Why the last connection is over.
    pub(super) fn lost(&self) -> Lost {
        self.ending.borrow().reason().unwrap_or(Lost::Unknown)
    }

    /// The full JID that is asked for.
    pub(super) fn wanted(&self) -> &FullJid {
        &self.wanted
    }

    /// Ends it, also in the middle of a log-in.
    pub(super) fn abort(&self) {
        self.task.abort();
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.abort();
    }
}

async fn run(
    settings: LinkSettings,
    wish: LogIn,
    wanted: FullJid,
    cutter: Cutter,
    mut slots: mpsc::Receiver<Slot>,
    reports: mpsc::Sender<Report>,
    current: watch::Sender<Ending>,
) {
    let jid = wanted.into();
    let mut pace = Pace::default();
    let mut first = Some(wish.after);
    while let Some(slot) = slots.recv().await {
        pace.wanted(Instant::now());
        let mut after = first.take().unwrap_or_else(|| pace.wait(Instant::now(), rand::random()));
        loop {
            tokio::time::sleep(after).await;
            if slot.is_abandoned() {
                break;
            }
            pace.began(Instant::now());
            // A panic here, over something a server said, must not end the account: without this task the stream would
            // be handed one dead connection after the other.
            let outcome =
                AssertUnwindSafe(log_in(&settings, wish.password.as_ref(), &jid, &cutter)).catch_unwind().await;
            let outcome =
                outcome.unwrap_or_else(|_| Err(ConnectError::NotXmpp { cause: "the log-in broke over it".to_owned() }));
            match outcome {
                Ok((mut connection, ending)) => {
                    pace.delivered(Instant::now());
                    // A resumed session would bring again what the last connection broke over, for ever.
                    if current.send_replace(ending).reason().is_some_and(|why| why.would_recur()) {
                        connection.features.stream_management = None;
                    }
                    slot.deliver(connection);
                    break;
                }
                Err(why) if why.is_final() => {
                    // The slot is kept until the link has dropped its stream and ends this task; given back earlier, the
                    // stream would only ask for another connection.
                    if reports.send(Report::Failed(why)).await.is_ok() {
                        std::future::pending::<()>().await;
                    }
                    return;
                }
                Err(why) => {
                    pace.failed();
                    after = pace.wait(Instant::now(), rand::random());
                    if reports.send(Report::Retrying { after, why }).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
