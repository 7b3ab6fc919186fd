//! A request of a session, as pages see it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maud::{Markup, html};
use tokio::sync::Semaphore;

use crate::form::{AGREED, TOKEN};
use crate::page::{Page, Question, Reply};
use crate::problem::Problem;
use crate::role::Access;
use crate::secret::Secret;
use crate::store::Session;

/// The most sentences that wait for the next page of their sessions.
const MOST_NOTICES: usize = 256;

/// A request of a session. `S` is the state that the pages bring.
#[derive(Debug, Clone)]
pub struct Visit<S> {
    /// The pages' own state.
    pub state: S,
    /// The session.
    pub session: Session,
    pub(crate) seen: Arc<Seen>,
    pub(crate) parts: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
}

/// The parts of a request that the frame needs to show its page.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) secret: Secret,
    pub(crate) session: Session,
    /// The path below the base.
    pub(crate) path: String,
    pub(crate) base: String,
    /// Whether it only reads.
    pub(crate) is_read: bool,
    /// Whether a person asked for it and is shown it: not a page that is open and loads itself again, nor only its head.
    pub(crate) is_asked_for: bool,
    pub(crate) notices: Arc<Notices>,
    /// The places of the session for work.
    pub(crate) work: Arc<Semaphore>,
}

/// Sentences about changes, each for the next page of its session.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<HashMap<String, String>>);

impl Notices {
    fn all(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, secret: &Secret, sentence: String) {
        let mut all = self.all();
        if all.len() >= MOST_NOTICES {
            // They belong to sessions that requested no further page.
            all.clear();
        }
        all.insert(secret.digest(), sentence);
    }

    /// Takes the sentence for a session.
    pub(crate) fn take(&self, secret: &Secret) -> Option<String> {
        self.all().remove(&secret.digest())
    }
}

impl<S> Visit<S> {
    /// Returns a part of the path, such as that of `{id}`; empty if the path has none of this name.
    pub fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
    }

    /// Returns the first value of a parameter of the query, unless it is empty.
    pub fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// Returns all values of a parameter of the query that are not empty.
    pub fn queries(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Returns the path of the request, without the base.
    pub fn path(&self) -> &str {
        &self.seen.path
    }

    /// Returns whether the request only reads, so that it can be made again.
    pub fn is_read(&self) -> bool {
        self.seen.is_read
    }

    /// Returns the address of a path of the window, for `href` and `action`.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.seen.base)
    }

    /// Returns whether the session has this role, or more. For a session of some accounts it has to be a role
    /// [of accounts](crate::role::Role::of_accounts).
    pub fn may(&self, access: impl Into<Access>) -> bool {
        self.session.may(access.into())
    }

    /// Returns whether the session is for some accounts alone.
    pub fn is_limited(&self) -> bool {
        self.session.is_limited()
    }

    /// Returns a form that is sent to this path, with the token that lets it pass.
    pub fn form(&self, path: &str, content: &Markup) -> Markup {
        html! {
            form method="post" action=(self.link(path)) {
                (self.token(path))
                (content)
            }
        }
    }

    /// Returns a form with a file, whose field is called `file`.
    pub fn upload_form(&self, path: &str, content: &Markup) -> Markup {
        html! {
            form method="post" action=(self.link(path)) enctype="multipart/form-data" {
                (self.token(path))
                (content)
            }
        }
    }

    fn token(&self, path: &str) -> Markup {
        let bare = path.split('?').next().unwrap_or(path);
        html! { input type="hidden" name=(TOKEN) value=(self.seen.secret.form_token(bare)); }
    }

    /// Asks before a change: shows what would change, with a button that sends the form again and agrees.
    pub fn confirm(&self, question: &Question<'_>) -> Reply {
        let Question { title, sentences, button, is_danger, action, back, fields } = question;
        let sent = fields.iter().filter(|(name, _)| name != AGREED.0 && name != TOKEN);
        let form = html! {
            @for (name, value) in sent {
                input type="hidden" name=(name) value=(value);
            }
            input type="hidden" name=(AGREED.0) value=(AGREED.1);
            div.actions {
                button #confirm type="submit" class=[is_danger.then_some("danger")] { (button) }
                a #back href=(self.link(back)) { "No, go back" }
            }
        };
        let content = html! {
            div.question {
                @for sentence in sentences { p { (sentence) } }
                (self.form(action, &form))
            }
        };
        Page::new(title.as_str(), content).into()
    }

    /// Redirects to a page that first shows what was done.
    pub fn done(&self, path: &str, sentence: impl Into<String>) -> Reply {
        self.seen.notices.put(&self.seen.secret, sentence.into());
        Reply::to(path)
    }
}

#[cfg(any(test, feature = "test-support"))]
impl<S> Visit<S> {
    /// Returns a visit of a session called `test`, to a path that may have a query.
    pub fn for_test(role: crate::role::Role, target: &str, state: S) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let name = "test".parse().expect("it is a name");
        let session = Session::new(name, role, None, None, jiff::Timestamp::now());
        let secret = Secret::random().expect("the system has random bytes");
        let (path, base, notices) = (path.to_owned(), String::new(), Arc::default());
        let (is_read, is_asked_for, work) = (true, true, Arc::new(Semaphore::new(crate::shares::MOST_WORK)));
        let seen = Seen { secret, session: session.clone(), path, base, is_read, is_asked_for, notices, work };
        let seen = Arc::new(seen);
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { state, session, seen, parts: Vec::new(), query }
    }

    /// Returns the same visit with a part of its path, such as that of `{id}`.
    #[must_use]
    pub fn with_part(mut self, name: &str, value: &str) -> Self {
        self.parts.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the same visit of a session that is limited to these accounts.
    #[must_use]
    pub fn limited_to(mut self, accounts: &[&str]) -> Self {
        self.session.accounts =
            Some(accounts.iter().map(|&name| (name.to_owned(), format!("{name}@example.org"))).collect());
        self
    }

    /// Returns the sentence that the next page would show.
    pub fn notice(&self) -> Option<String> {
        self.seen.notices.take(&self.seen.secret)
    }
}

impl<S: Clone + Send + Sync + 'static> Visit<S> {
    /// Runs what waits for files or other processes, on a thread that may. It waits while the session has too much of that.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S, &Session) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (state, session) = (self.state.clone(), self.session.clone());
        // The work goes on if the browser breaks off the request, and keeps its place.
        let place = Arc::clone(&self.seen.work).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&state, &session);
            drop(place);
            done
        })
        .await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a page of the window failed");
            Err(Problem::failed("the page failed, which is a fault of parlor: its log says more"))
        })
    }
}
