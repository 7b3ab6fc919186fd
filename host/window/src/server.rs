//! The server: takes connections within bounds, and gives every answer the headers that hold browsers to the rules.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use axum::{BoxError, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parlor_web::server::{Patient, Place, Places, is_plainly_framed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_service::Service as _;

use crate::frame::Frame;
use crate::routes::Routes;
use crate::site::Site;

/// The most connections. Further ones wait.
const MOST: usize = 64;
/// The most connections of one address, unless it is that of the proxy. Further ones are closed.
const MOST_EACH: usize = 8;
/// The most headers of a request.
const MOST_HEADERS: usize = 64;
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 32 << 10;
/// The time for the head of a request; also how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(10);
/// How long a browser may take nothing of an answer.
const TAKING: Duration = Duration::from_secs(30);
/// The time that requests have to end when the server stops.
const STOPPING: Duration = Duration::from_secs(5);
/// The pause after a connection that was not accepted: the usual cause is too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The rules for a browser: a page loads our own files, and sends forms to us. Pages have no inline scripts.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// The headers of every answer. A referrer stays on the site: with none at all, browsers hide the origin of forms as well.
const RULES: [(HeaderName, HeaderValue); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// A window that listens, but does not serve requests yet.
#[derive(Debug)]
pub struct Window {
    listener: TcpListener,
    at: SocketAddr,
}

impl Window {
    /// Listens at an address.
    pub async fn listen(at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let at = listener.local_addr()?;
        Ok(Self { listener, at })
    }

    /// Returns the address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// Serves the pages until `stop` is done. `is_behind_proxy`: many people may come from one address.
    pub async fn serve<S: Clone + Send + Sync + 'static>(
        self,
        frame: Frame<S>,
        routes: Routes<S>,
        is_behind_proxy: bool,
        stop: impl Future<Output = ()>,
    ) {
        let (site, frame) = (Arc::new(frame.site.clone()), Arc::new(frame));
        let pages = routes.within(Arc::clone(&frame));
        let (places, stops) = (Places::new(MOST, MOST_EACH), frame.stopping.subscribe());
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept(), if places.are_free() => match accepted {
                    Ok((stream, peer)) => {
                        let from: IpAddr = peer.ip().to_canonical();
                        // A connection over the limit is closed without an answer: an answer would cost as much as a
                        // request.
                        if let Some(place) = places.take((!is_behind_proxy).then_some(from)) {
                            let _ = stream.set_nodelay(true);
                            let (site, pages, stops) = (Arc::clone(&site), pages.clone(), stops.clone());
                            connections.spawn(converse(stream, site, pages, stops, place));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the window was not accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        frame.stopping.send_replace(true);
        let ending = async { while connections.join_next().await.is_some() {} };
        // Later the rest is dropped.
        let _ = timeout(STOPPING, ending).await;
        connections.shutdown().await;
    }
}

/// Serves one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    site: Arc<Site>,
    router: Router,
    mut stops: watch::Receiver<bool>,
    _place: Place,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (site, router) = (Arc::clone(&site), router.clone());
        async move { Ok::<_, Infallible>(answer(&site, router, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(Patient::new(stream, TAKING)), service);
    let mut connection = std::pin::pin!(connection);
    let is_to_stop = async { drop(stops.wait_for(|stops| *stops).await) };
    tokio::select! {
        // A browser that breaks off is gone.
        _ = connection.as_mut() => return,
        () = is_to_stop => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Answers a request: checks where its body ends and that it means this site, and asks the pages below its path.
pub(crate) async fn answer<B>(site: &Site, mut router: Router, request: axum::http::Request<B>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = if !is_plainly_framed(request.headers()) {
        // For the proxy, the next bytes on this connection may be a part of the body.
        let mut response = plain(StatusCode::BAD_REQUEST, "A body comes as it is, or in chunks.\n");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    } else if site.is_host(request.headers(), request.uri()) {
        match below(site, request) {
            Ok(request) => router.call(request).await.unwrap_or_else(|never| match never {}),
            Err(response) => *response,
        }
    } else {
        plain(StatusCode::MISDIRECTED_REQUEST, "This window has another address.\n")
    };
    for (name, value) in RULES {
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Takes the base from the path of a request, or answers one that is not below it.
fn below<B>(site: &Site, request: axum::http::Request<B>) -> Result<axum::http::Request<B>, Box<Response>> {
    let nowhere = || Box::new(plain(StatusCode::NOT_FOUND, "There is nothing here.\n"));
    let path = request.uri().path();
    if path == site.base() && !path.is_empty() {
        let mut response = plain(StatusCode::SEE_OTHER, "");
        if let Ok(to) = HeaderValue::try_from(format!("{path}/")) {
            response.headers_mut().insert(LOCATION, to);
        }
        return Err(Box::new(response));
    }
    let rest = site.below(path).ok_or_else(nowhere)?;
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = PathAndQuery::try_from(format!("{rest}{query}")).map_err(|_| nowhere())?;
    let (mut head, body) = request.into_parts();
    head.uri = Uri::from(target);
    Ok(axum::http::Request::from_parts(head, body))
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
