//! `GET /live`: notifies a browser of changes to the page that it shows, for as long as its session lives (server-sent
//! events).
//!
//! It says no more than that: the browser's script loads the page again, by the way on which everything is checked. A session of
//! some accounts is notified by the clock, since a change may be one of others.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;

use crate::frame::{Frame, MOST_LIVE, stored};
use crate::problem::Problem;
use crate::role::Role;
use crate::secret::Secret;
use crate::sessions::Sessions;

/// How often the session is looked at, and a browser that is gone is noticed.
const ALIVE: Duration = Duration::from_secs(20);
/// How long to wait for further changes, which are reported together.
const TOGETHER: Duration = Duration::from_secs(1);

struct Live {
    changes: watch::Receiver<u64>,
    /// Whether the server is to stop.
    stops: watch::Receiver<bool>,
    sessions: Arc<Sessions>,
    secret: Secret,
    /// Whether the session is for some accounts alone.
    is_limited: bool,
    /// Whether the last event was sent.
    is_over: bool,
    /// The place of this session's, and that of the window's.
    _places: [OwnedSemaphorePermit; 2],
}

/// Answers `GET /live`.
pub(crate) async fn live<S: Clone + Send + Sync + 'static>(
    State(frame): State<Arc<Frame<S>>>,
    request: Request,
) -> Response {
    let visit = match frame.admit(request, Role::Viewer.of_accounts()).await {
        Ok((visit, _)) => visit,
        Err(answer) => return *answer,
    };
    // A few sessions must not take the places of all others.
    let is_busy = frame.live.available_permits() <= MOST_LIVE / 2;
    let own = frame.shares.live(&visit.seen.secret, visit.session.jid.as_deref(), is_busy);
    let Some(places) = own.zip(Arc::clone(&frame.live).try_acquire_owned().ok()) else {
        return frame.show(&visit.seen, Err(Problem::new(503, "too many pages are told of changes already")));
    };
    let mut changes = frame.changes.clone();
    changes.mark_unchanged();
    let (stops, sessions) = (frame.stopping.subscribe(), Arc::clone(&frame.sessions));
    let (secret, is_limited) = (visit.seen.secret.clone(), visit.session.is_limited());
    let live = Live { changes, stops, sessions, secret, is_limited, is_over: false, _places: places.into() };
    let events = stream::unfold(live, |mut live| async move {
        let event = live.next().await?;
        Some((Ok::<_, Infallible>(event), live))
    });
    let mut response = Response::new(Body::from_stream(events));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

impl Live {
    /// Waits for the next event. None: no other one comes.
    async fn next(&mut self) -> Option<&'static str> {
        if self.is_over {
            return None;
        }
        let Self { changes, stops, is_limited, .. } = self;
        let is_limited = *is_limited;
        // The end of the server would wait for this one otherwise, which has none.
        let is_to_stop = async { drop(stops.wait_for(|stops| *stops).await) };
        let changed = tokio::select! {
            () = is_to_stop => return None,
            // Most changes are those of accounts of others: when one happens says that they are at work.
            changed = changes.changed(), if !is_limited => {
                changed.ok()?;
                sleep(TOGETHER).await;
                changes.mark_unchanged();
                true
            }
            () = sleep(ALIVE) => is_limited,
        };
        let secret = self.secret.clone();
        let session = stored(&self.sessions, move |sessions| sessions.look(&secret, Timestamp::now()));
        let Some(session) = session.await.ok().flatten() else {
            self.is_over = true;
            return Some("event: ended\ndata: 0\n\n");
        };
        if session.is_limited() != is_limited {
            // The browser asks again.
            return None;
        }
        Some(if changed { "event: changed\ndata: 0\n\n" } else { ": still here\n\n" })
    }
}
