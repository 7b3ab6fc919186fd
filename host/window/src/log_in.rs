//! Logging in by a one-time link, and out.
//!
//! To open a link shows a button and uses nothing up: programs that show previews of links open them, too.

use std::sync::Arc;

use axum::RequestExt as _;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use maud::html;

use crate::cookie;
use crate::form::Form;
use crate::frame::{Frame, not_from_here, stored};
use crate::problem::Problem;
use crate::role::Role;
use crate::secret::Secret;
use crate::store::Session;

/// The answer to everybody who asks for a link, so that nobody learns who is an owner.
const ON_ITS_WAY: &str = "If this is the JID of an owner, and it was not sent too many links lately, a message with a link is on its way. It can be used once, within ten minutes.";

/// A request for a link, by somebody on the log-in page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRequest {
    /// The JID to which it is to be sent, as it was typed.
    pub jid: String,
    /// The address of the window, as browsers know it.
    pub address: String,
}

impl LinkRequest {
    /// Returns the answer to everybody who asks for a link if the page offers none.
    pub fn not_offered() -> Problem {
        Problem::missing("this page has no links sent: run `parlor web login` on the machine of the host, as its user")
    }
}

type Shared<S> = State<Arc<Frame<S>>>;

/// `GET /login`: says how to get a link.
pub(crate) async fn help<S, O>(frame: &Frame<S>, offers: O) -> Response
where
    S: Clone + Send + Sync + 'static,
    O: Fn(&S) -> bool + Send + 'static,
{
    let is_offered = is_offered(frame, offers).await;
    let content = html! {
        @if is_offered {
            p { "If you are an owner of an account here, it can send you a link:" }
            form method="post" action={ (frame.site.base()) "/login" } {
                p {
                    label for="jid" { "Your JID" }
                    input #jid type="text" name="jid" required maxlength="2048" autocomplete="off" spellcheck="false"
                        aria-describedby="jid-hint";
                    span.hint #jid-hint { "As it stands under owners of an account, such as ann@example.org. Have a client online." }
                }
                button #send type="submit" { "Send me a link" }
            }
            p { "Or run this on the machine of the host, as its user, and open the link that it prints:" }
        } @else {
            p { "Run this on the machine of the host, as its user, and open the link that it prints:" }
        }
        pre { "parlor web login" }
        p { "A session ends after half an hour without use, and after eight hours in any case." }
        p { "If you are logged in and came from another page, "
            a href={ (frame.site.base()) "/" } { "go to the first page" } "." }
    };
    frame.outside(StatusCode::OK, "Log in", &content)
}

/// Asks whether the page offers to have links sent, which may take a look at files.
async fn is_offered<S, O>(frame: &Frame<S>, offers: O) -> bool
where
    S: Clone + Send + Sync + 'static,
    O: Fn(&S) -> bool + Send + 'static,
{
    let state = frame.state.clone();
    tokio::task::spawn_blocking(move || offers(&state)).await.unwrap_or(false)
}

/// `POST /login`: has a link sent. The answer is the same for everybody, and does not wait until it was.
pub(crate) async fn send_link<S, O, F, R>(frame: &Frame<S>, request: Request, offers: O, send: F) -> Response
where
    S: Clone + Send + Sync + 'static,
    O: Fn(&S) -> bool + Send + 'static,
    F: Fn(S, LinkRequest) -> R,
    R: Future<Output = Result<(), Problem>>,
{
    if !frame.site.is_own_page(request.headers()) {
        return frame.refuse(&not_from_here());
    }
    if !is_offered(frame, offers).await {
        return frame.refuse(&LinkRequest::not_offered());
    }
    if !frame.requests.are_left() {
        if frame.requests.news.is_news() {
            tracing::warn!("somebody asks for links to the window too often; nobody can for a minute");
        }
        return frame.refuse(&Problem::new(429, "too many asked for a link during this minute: try again in a minute"));
    }
    let (head, body) = request.into_parts();
    let form = match Form::read_of_anybody(&head.headers, body).await {
        Ok(form) => form,
        Err(problem) => return frame.refuse(&problem),
    };
    let jid = form.get("jid").unwrap_or_default().to_owned();
    match send(frame.state.clone(), LinkRequest { jid, address: frame.site.address() }).await {
        Ok(()) => frame.outside(StatusCode::OK, "Look into your client", &html! { p #sent { (ON_ITS_WAY) } }),
        Err(problem) => frame.refuse(&problem),
    }
}

/// `GET /login/{link}`: shows the button. Whether there is such a link is not told.
pub(crate) async fn ask<S: Clone + Send + Sync + 'static>(State(frame): Shared<S>, mut request: Request) -> Response {
    let Some(link) = link(&mut request).await else { return frame.refuse(&no_link()) };
    let content = html! {
        p { "This link can be used once." }
        form method="post" action={ (frame.site.base()) "/login/" (link.expose()) } {
            button #confirm type="submit" { "Log in" }
        }
    };
    frame.outside(StatusCode::OK, "Log in to parlor", &content)
}

/// `POST /login/{link}`: uses the link up, and begins a session with a new secret. Nobody is let in whom `tell` cannot tell of.
pub(crate) async fn log_in<S, F, R>(frame: &Frame<S>, mut request: Request, tell: F) -> Response
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, Session) -> R,
    R: Future<Output = Result<(), Problem>>,
{
    if !frame.site.is_own_page(request.headers()) {
        return frame.refuse(&not_from_here());
    }
    let Some(link) = link(&mut request).await else { return failed(frame) };
    let before = cookie::secret(request.headers(), &frame.site);
    let begun = stored(&frame.sessions, move |sessions| {
        let begun = sessions.redeem(&link, Timestamp::now())?;
        // The browser has one session: otherwise the former one would live on, and no one could end it.
        if let (Some(_), Some(before)) = (&begun, before) {
            sessions.log_out(&before, Timestamp::now())?;
        }
        Ok(begun)
    });
    match begun.await {
        Ok(Some((secret, session))) => {
            if let Err(problem) = tell(frame.state.clone(), session.clone()).await {
                // If it cannot be ended either, nobody knows its secret.
                let _ = stored(&frame.sessions, move |sessions| sessions.log_out(&secret, Timestamp::now())).await;
                return frame.refuse(&problem);
            }
            tracing::info!(session = %session.name, role = %session.role, "somebody logged in to the window");
            let mut response = frame.go_to("/");
            set_cookie(frame, &mut response, Some(&secret));
            response
        }
        Ok(None) => failed(frame),
        Err(problem) => frame.refuse(&problem),
    }
}

/// Counts a log-in that failed, and answers it. A log-in by a link that there is does not count, and is not refused for those: otherwise
/// anybody who reaches the port could keep the owners out.
fn failed<S: Clone + Send + Sync + 'static>(frame: &Frame<S>) -> Response {
    if frame.attempts.are_left() {
        return frame.refuse(&no_link());
    }
    if frame.attempts.news.is_news() {
        tracing::warn!(
            "somebody tries to log in to the window too often; all but those with a link are refused for a minute"
        );
    }
    let says = "too many failed to log in during this minute: try again in a minute, or with a link that was not used";
    frame.refuse(&Problem::new(429, says))
}

/// `POST /logout`: ends the session.
pub(crate) async fn log_out<S: Clone + Send + Sync + 'static>(State(frame): Shared<S>, request: Request) -> Response {
    let (visit, request) = match frame.admit(request, Role::Viewer.of_accounts()).await {
        Ok(admitted) => admitted,
        Err(answer) => return *answer,
    };
    let (head, body) = request.into_parts();
    let seen = Arc::clone(&visit.seen);
    let form = Form::read(&head.headers, body, |token| seen.secret.is_form_token(&seen.path, token)).await;
    if let Err(problem) = form {
        return frame.show(&visit.seen, Err(problem));
    }
    let secret = visit.seen.secret.clone();
    let ended = stored(&frame.sessions, move |sessions| sessions.log_out(&secret, Timestamp::now()));
    if let Err(problem) = ended.await {
        return frame.show(&visit.seen, Err(problem));
    }
    let mut response = frame.go_to("/login");
    set_cookie(&frame, &mut response, None);
    response
}

/// Reads the link in the path of a request.
async fn link(request: &mut Request) -> Option<Secret> {
    let parts = request.extract_parts::<RawPathParams>().await.ok()?;
    let (_, link) = parts.iter().next()?;
    Secret::parse(link)
}

fn no_link() -> Problem {
    Problem::forbidden(
        "this link was used, has expired, or never was one: ask for another one, or let `parlor web login` print one",
    )
}

fn set_cookie<S>(frame: &Frame<S>, response: &mut Response, secret: Option<&Secret>) {
    if let Ok(mut value) = HeaderValue::try_from(cookie::header(&frame.site, secret)) {
        value.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, value);
    }
}
