//! The pages of the window, and the requirements of each for a request.
//!
//! There are three kinds, and no other way in: a page is read, a form changes something, an upload changes it by a file.
//! Only the last two get a body, and each only with the token of its session and path.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::{get, post};

use crate::assets;
use crate::form::Form;
use crate::frame::{Frame, LIVE};
use crate::live::live;
use crate::log_in::{self, LinkRequest, ask, log_out};
use crate::page::Reply;
use crate::problem::Problem;
use crate::role::{Access, Role};
use crate::store::Session;
use crate::upload::Upload;
use crate::visit::Visit;

/// Files for a browser to keep: their addresses change with them.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The pages of a window. Paths are those of axum, such as `/plugins/{id}`.
pub struct Routes<S>(Router<Arc<Frame<S>>>);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Returns the routes that every window has. `offers` says whether the log-in page has links sent, on a thread that may wait for
    /// files. `send` is told of each request for a link, and answers the same whether there is such an owner or not. `began` is told
    /// of each session, which ends at once if that fails.
    pub fn new<O, F, R, G, T>(offers: O, send: F, began: G) -> Self
    where
        O: Fn(&S) -> bool + Clone + Send + Sync + 'static,
        F: Fn(S, LinkRequest) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
        G: Fn(S, Session) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let offered = offers.clone();
        let help = move |State(frame): State<Arc<Frame<S>>>| async move { log_in::help(&frame, offered).await };
        let send = move |State(frame): State<Arc<Frame<S>>>, request: Request| async move {
            log_in::send_link(&frame, request, offers, send).await
        };
        let log_in = move |State(frame): State<Arc<Frame<S>>>, request: Request| async move {
            log_in::log_in(&frame, request, began).await
        };
        let router = Router::new()
            .route("/login", get(help).post(send))
            .route("/login/{link}", get(ask::<S>).post(log_in))
            .route("/logout", post(log_out::<S>))
            .route(LIVE, get(live::<S>))
            .route("/assets/{digest}/{name}", get(asset::<S>))
            .fallback(nowhere::<S>);
        Self(router)
    }

    /// Adds a page, which is read by those who have this role. A role alone is one of the whole host: sessions of some accounts are
    /// refused unless it is [one of accounts](Role::of_accounts).
    #[must_use]
    pub fn page<F, R>(self, path: &str, access: impl Into<Access>, page: F) -> Self
    where
        F: Fn(Visit<S>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Reply, Problem>> + Send + 'static,
    {
        let access = access.into();
        let answer = move |State(frame): State<Arc<Frame<S>>>, request: Request| async move {
            let visit = match frame.admit(request, access).await {
                Ok((visit, _)) => visit,
                Err(answer) => return *answer,
            };
            let seen = Arc::clone(&visit.seen);
            let result = page(visit).await;
            frame.show(&seen, result)
        };
        Self(self.0.route(path, get(answer)))
    }

    /// Adds a form, which is sent by those who have this role, from a page of their own session.
    #[must_use]
    pub fn form<F, R>(self, path: &str, access: impl Into<Access>, change: F) -> Self
    where
        F: Fn(Visit<S>, Form) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Reply, Problem>> + Send + 'static,
    {
        let access = access.into();
        let answer = move |State(frame): State<Arc<Frame<S>>>, request: Request| async move {
            let (visit, request) = match frame.admit(request, access).await {
                Ok(admitted) => admitted,
                Err(answer) => return *answer,
            };
            let seen = Arc::clone(&visit.seen);
            let (head, body) = request.into_parts();
            let is_own = |token: &str| seen.secret.is_form_token(&seen.path, token);
            let form = match Form::read(&head.headers, body, is_own).await {
                Ok(form) => form,
                Err(problem) => return frame.show(&seen, Err(problem)),
            };
            match frame.admit_again(visit, access).await {
                Ok(visit) => frame.show(&seen, change(visit, form).await),
                Err(answer) => *answer,
            }
        };
        Self(self.0.route(path, post(answer)))
    }

    /// Adds a form with a file.
    #[must_use]
    pub fn upload<F, R>(self, path: &str, access: impl Into<Access>, change: F) -> Self
    where
        F: Fn(Visit<S>, Upload) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Reply, Problem>> + Send + 'static,
    {
        let access = access.into();
        let answer = move |State(frame): State<Arc<Frame<S>>>, request: Request| async move {
            let (visit, request) = match frame.admit(request, access).await {
                Ok(admitted) => admitted,
                Err(answer) => return *answer,
            };
            let seen = Arc::clone(&visit.seen);
            let (head, body) = request.into_parts();
            let is_own = |token: &str| seen.secret.is_form_token(&seen.path, token);
            let upload = match Upload::read(&head.headers, body, is_own).await {
                Ok(upload) => upload,
                Err(problem) => return frame.show(&seen, Err(problem)),
            };
            match frame.admit_again(visit, access).await {
                Ok(visit) => frame.show(&seen, change(visit, upload).await),
                Err(answer) => *answer,
            }
        };
        Self(self.0.route(path, post(answer)))
    }

    /// Returns the router with its frame.
    pub(crate) fn within(self, frame: Arc<Frame<S>>) -> Router {
        // It counts for the routes that there are, so it comes last.
        self.0.method_not_allowed_fallback(not_so::<S>).with_state(frame)
    }
}

/// Serves the style sheet and the script, to anybody.
async fn asset<S: Clone + Send + Sync + 'static>(State(frame): State<Arc<Frame<S>>>, request: Request) -> Response {
    let Some(asset) = assets::find(request.uri().path()) else {
        return frame.refuse(&Problem::missing("there is no such file: load the page again"));
    };
    let mut response = Response::new(Body::from(asset.text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(asset.media));
    response.headers_mut().insert(CACHE_CONTROL, FOREVER);
    response
}

/// Answers requests by a method that their path does not take, such as where somebody opens the address of a form.
async fn not_so<S: Clone + Send + Sync + 'static>(State(frame): State<Arc<Frame<S>>>) -> Response {
    frame.refuse(&Problem::new(405, "this address is not opened in this way, and nothing was changed"))
}

/// Answers requests to unknown paths. Only logged-in people learn that the page does not exist.
async fn nowhere<S: Clone + Send + Sync + 'static>(State(frame): State<Arc<Frame<S>>>, request: Request) -> Response {
    match frame.admit(request, Role::Viewer.of_accounts()).await {
        Ok((visit, _)) => {
            frame.show(&visit.seen, Err(Problem::missing("there is no such page: choose one of those above")))
        }
        Err(answer) => *answer,
    }
}
