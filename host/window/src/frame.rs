//! The frame: identifies and authorises the sender of a request, and turns the results of pages into responses.

use std::sync::Arc;

use axum::RequestExt as _;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, REFRESH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};
use tokio::sync::{Semaphore, watch};
use url::form_urlencoded;

use crate::attempts::{Attempts, MINUTE};
use crate::cookie;
use crate::layout::{self, Entry};
use crate::page::{Kind, Page, Reply};
use crate::problem::Problem;
use crate::role::Access;
use crate::secret::Secret;
use crate::sessions::{Sessions, Standing};
use crate::shares::Shares;
use crate::site::Site;
use crate::store::{Session, Store, StoreError};
use crate::visit::{Notices, Seen, Visit};

/// The longest page, in bytes.
const LONGEST_PAGE: usize = 2 << 20;
/// The most parameters of a query that are read.
const MOST_PARAMETERS: usize = 64;
/// Maximum number of browsers that are notified of changes at once. Once half of the places are taken, each session has one at most.
pub(crate) const MOST_LIVE: usize = 24;

/// The path of the events that tell a page of changes.
pub(crate) const LIVE: &str = "/live";
/// The header with which our script says that nobody asked for a page: it loads it again by itself.
static BY_ITSELF: HeaderName = HeaderName::from_static("parlor-by-itself");

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The state that all requests share.
pub struct Frame<S> {
    pub(crate) state: S,
    pub(crate) site: Site,
    pub(crate) sessions: Arc<Sessions>,
    entries: &'static [Entry],
    notices: Arc<Notices>,
    /// The log-ins that failed.
    pub(crate) attempts: Attempts,
    /// The requests for links.
    pub(crate) requests: Attempts,
    /// A number that changes when what pages show has changed.
    pub(crate) changes: watch::Receiver<u64>,
    pub(crate) live: Arc<Semaphore>,
    /// Whether the server is to stop: pages that follow what happens end then.
    pub(crate) stopping: watch::Sender<bool>,
    /// The recent use of the window by each session.
    pub(crate) shares: Shares,
}

impl<S: Clone + Send + Sync + 'static> Frame<S> {
    /// Returns a frame around the pages' own state. `changes` tells browsers that a page is out of date. `standing` says which accounts
    /// somebody has to whose JID a link was sent. If none, all sessions and links of the JID end, and `ended` gets the JID and their
    /// number. Both are called on threads that may wait for files.
    pub fn new(
        state: S,
        site: Site,
        store: Store,
        entries: &'static [Entry],
        changes: watch::Receiver<u64>,
        standing: impl Fn(&S, &str) -> Standing + Send + Sync + 'static,
        ended: impl Fn(&S, &str, usize) + Send + Sync + 'static,
    ) -> Self {
        let live = Arc::new(Semaphore::new(MOST_LIVE));
        let (attempts, requests) = (Attempts::default(), Attempts::default());
        let (asked, told) = (state.clone(), state.clone());
        let (standing, ended) =
            (move |jid: &str| standing(&asked, jid), move |jid: &str, many| ended(&told, jid, many));
        let sessions = Arc::new(Sessions::new(store, standing, ended));
        let (notices, stopping, shares) = (Arc::default(), watch::Sender::new(false), Shares::default());
        Self { state, site, sessions, entries, notices, attempts, requests, changes, live, stopping, shares }
    }

    /// Checks who sends a request, and that they may. Otherwise returns the answer.
    pub(crate) async fn admit(
        &self,
        mut request: Request,
        access: Access,
    ) -> Result<(Visit<S>, Request), Box<Response>> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read && !self.site.is_own_page(request.headers()) {
            return Err(Box::new(self.refuse(&not_from_here())));
        }
        // A page that is open and follows what happens is no use of the session: nobody may sit before it.
        let is_used = !is_read || request.uri().path() != LIVE && !request.headers().contains_key(&BY_ITSELF);
        let found = self.session(request.headers(), is_used).await;
        let (secret, session) = match found {
            Ok(Some(found)) => found,
            Ok(None) if is_read => return Err(Box::new(self.go_to("/login"))),
            Ok(None) => return Err(Box::new(self.refuse(&not_logged_in()))),
            Err(problem) => return Err(Box::new(self.refuse(&problem))),
        };
        if !self.shares.has_request(&secret) {
            let problem = Problem::new(429, "this session asks for too many pages: wait a minute, and do it again");
            return Err(Box::new(self.refuse(&problem)));
        }
        let work = self.shares.work(&secret);
        let seen = Arc::new(Seen {
            secret,
            session: session.clone(),
            path: request.uri().path().to_owned(),
            base: self.site.base().to_owned(),
            is_read,
            // The answer to a HEAD request has no page that could show anything to a person.
            is_asked_for: is_used && *request.method() != Method::HEAD,
            notices: Arc::clone(&self.notices),
            work,
        });
        if !session.may(access) {
            return Err(Box::new(self.show(&seen, Err(not_for(&session, access)))));
        }
        // A path without parameters has none. A path that is not UTF-8 matches nothing.
        let parts = request.extract_parts::<RawPathParams>().await.map_or_else(
            |_| Vec::new(),
            |parts| parts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        );
        let query = request.uri().query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().take(MOST_PARAMETERS).collect();
        Ok((Visit { state: self.state.clone(), session, seen, parts, query }, request))
    }

    /// Checks once more that the sender of a form may have something. A form may come slowly, and the session may have ended meanwhile,
    /// or reach less far.
    pub(crate) async fn admit_again(&self, visit: Visit<S>, access: Access) -> Result<Visit<S>, Box<Response>> {
        let secret = visit.seen.secret.clone();
        let found = stored(&self.sessions, move |sessions| sessions.look(&secret, Timestamp::now())).await;
        let session = match found {
            Ok(Some(session)) => session,
            Ok(None) => return Err(Box::new(self.refuse(&not_logged_in()))),
            Err(problem) => return Err(Box::new(self.refuse(&problem))),
        };
        if !session.may(access) {
            return Err(Box::new(self.show(&visit.seen, Err(not_for(&session, access)))));
        }
        Ok(Visit { session, ..visit })
    }

    /// Returns the session of a request, and notes that it was used unless nobody made the request.
    async fn session(&self, headers: &HeaderMap, is_used: bool) -> Result<Option<(Secret, Session)>, Problem> {
        let Some(secret) = cookie::secret(headers, &self.site) else { return Ok(None) };
        stored(&self.sessions, move |sessions| {
            let now = Timestamp::now();
            let found = if is_used { sessions.session(&secret, now)? } else { sessions.look(&secret, now)? };
            Ok(found.map(|session| (secret, session)))
        })
        .await
    }

    /// Turns the result of a page into a response.
    pub(crate) fn show(&self, seen: &Seen, result: Result<Reply, Problem>) -> Response {
        match result {
            Ok(Reply(Kind::Page(page))) => self.page(seen, &page),
            Ok(Reply(Kind::To(path))) => self.go_to(&path),
            Ok(Reply(Kind::Download { name, media, bytes })) => download(&name, media, bytes),
            Err(problem) => self.page(seen, &Page::of(&problem, &html! {})),
        }
    }

    fn page(&self, seen: &Seen, page: &Page) -> Response {
        // A page that is open elsewhere, and loads itself again, shows its person nothing of what was done. Neither does one in place of a
        // page that will be there in a moment.
        let is_in_place = page.status != 200 && page.refresh.is_some();
        let notice = if seen.is_asked_for && !is_in_place { self.notices.take(&seen.secret) } else { None };
        let whole =
            |page: &Page| layout::page(seen, self.entries, &page.title, notice.as_deref(), &page.content).into_string();
        let text = whole(page);
        if text.len() <= LONGEST_PAGE {
            return sent(page, text);
        }
        let problem = Problem::failed("this page would be too long: ask for less of it");
        let page = Page::of(&problem, &html! {});
        sent(&page, whole(&page))
    }

    /// Sends the browser to a path of the window. A path that would lead to another site is replaced by the first page.
    pub(crate) fn go_to(&self, path: &str) -> Response {
        let is_ours = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        let path = if is_ours { path } else { "/" };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let to = HeaderValue::try_from(format!("{}{path}", self.site.base()));
        response.headers_mut().insert(LOCATION, to.unwrap_or(HeaderValue::from_static("/")));
        response
    }

    /// Answers somebody who is not logged in.
    pub(crate) fn refuse(&self, problem: &Problem) -> Response {
        let content = html! {
            (problem.told())
            p { a href={ (self.site.base()) "/" } { "Go to the first page" } }
        };
        let mut response = self.outside(problem.status(), problem.title(), &content);
        if problem.status == 429 {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(MINUTE.as_secs()));
        }
        response
    }

    /// Returns a page for somebody who is not logged in.
    pub(crate) fn outside(&self, status: StatusCode, title: &str, content: &Markup) -> Response {
        document(status, layout::outside(self.site.base(), title, content).into_string())
    }
}

/// Returns the problem of a request that a page elsewhere made.
pub(crate) fn not_from_here() -> Problem {
    Problem::forbidden(
        "the browser says that this comes from a page elsewhere, or not where from, so nothing was changed: open the window itself, and do it there",
    )
}

/// Returns the problem of a change by a session that is over.
fn not_logged_in() -> Problem {
    Problem::forbidden("you are not logged in any more, and nothing was changed: log in, and do it again")
}

/// Returns the problem of a session that may not have something.
fn not_for(session: &Session, Access { role, .. }: Access) -> Problem {
    let name = &session.name;
    Problem::forbidden(if session.role < role {
        format!("this takes the role {role}, and {name} has the role {}", session.role)
    } else {
        format!("this is about the whole host, and {name} is limited to some accounts: ask the people who run the host")
    })
}

/// Reads or changes links and sessions on a thread that may wait for files. Only the log says what is wrong with these: the answer goes
/// to strangers, too. They decide how often they get one, so the log says it once a minute.
pub(crate) async fn stored<T: Send + 'static>(
    sessions: &Arc<Sessions>,
    work: impl FnOnce(&Sessions) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let own = Arc::clone(sessions);
    let done = tokio::task::spawn_blocking(move || work(&own)).await;
    let unusable = || Problem::failed("sessions cannot be used: the log of `parlor web` says why");
    done.map_err(|_| unusable())?.map_err(|error| {
        if sessions.faults.is_news() {
            tracing::error!(%error, "sessions of the window cannot be used");
        }
        unusable()
    })
}

fn sent(page: &Page, text: String) -> Response {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = document(status, text);
    if let Some(seconds) = page.refresh {
        response.headers_mut().insert(REFRESH, HeaderValue::from(seconds));
    }
    response
}

fn document(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HTML);
    response
}

fn download(name: &str, media: &'static str, bytes: Vec<u8>) -> Response {
    let plain = |one: char| if one.is_ascii_alphanumeric() || "._-".contains(one) { one } else { '_' };
    let name: String = name.chars().take(100).map(plain).collect();
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}
