//! The client: sends requests over pooled connections, and follows redirects up to the requested number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE,
    COOKIE, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, RANGE, USER_AGENT,
};
use hyper::rt::Executor;
use hyper::{HeaderMap, Method, Uri};
use hyper_util::client::legacy::{Client as Pooled, Error};
use hyper_util::rt::TokioTimer;
use parlor_base::web_address::WebAddress;
use parlor_https::interim::counted;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ClientConfig;

use crate::body::{Answer, Outgoing};
use crate::connector::{Connector, Used};
use crate::error::{Late, WebError};
use crate::headers::why_not;
use crate::interim::too_many;
use crate::proxy::Proxy;

/// The maximum number of headers in an answer.
const MOST_HEADERS: usize = 100;
/// The maximum size of the head of an answer, in bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// The same by HTTP/2.
const LONGEST_HEADER_LIST: u32 = 64 << 10;
/// The bytes of one answer that a server may send by HTTP/2 before they are read.
const WINDOW: u32 = 256 << 10;
/// How many answers of one connection may wait to be read, so that none of them holds up another one.
const UNREAD: u32 = 256;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(15);
/// The number of such connections to one server.
const MOST_IDLE: usize = 4;
/// The time limit for looking up a name, for connecting, and for TLS, each.
const CONNECTING: Duration = Duration::from_secs(10);

/// The headers that describe a body, and are not sent without one (RFC 9110, section 15.4).
const OF_BODY: [HeaderName; 8] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_TYPE,
    LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// A client with separate connections.
#[derive(Clone)]
pub struct Client {
    pooled: Arc<Pooled<Connector, Outgoing>>,
    /// Whether a request may still be made. None: always.
    may_ask: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    /// Is told of each request that is made once more, with the length of its body.
    repeated: Option<Arc<dyn Fn(usize) + Send + Sync>>,
}

/// A request.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address.
    pub to: WebAddress,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Outgoing,
    /// How long it may take until the answer begins, with all redirects, and then until more of its body comes.
    pub patience: Duration,
    /// How long it may take until an answer begins. Each redirect has this time.
    pub first_byte: Duration,
    /// The maximum size of the answer's body, unpacked, in bytes.
    pub most: u64,
}

impl Request {
    /// Returns a request of the method GET without headers and body.
    pub fn get(to: WebAddress, patience: Duration, most: u64) -> Self {
        let (headers, body) = (HeaderMap::new(), Outgoing::empty());
        Self { method: Method::GET, to, headers, body, patience, first_byte: patience, most }
    }

    /// Adds a header. Values that a server could take for more than one are refused, and so are headers that the host
    /// writes itself, and those that could lead beyond the address.
    pub fn header(&mut self, name: &str, value: &[u8]) -> Result<(), WebError> {
        let bad = |why| WebError::Header { name: name.chars().take(64).collect(), why };
        let read = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("it is no name of a header"))?;
        if let Some(why) = why_not(&read) {
            return Err(bad(why));
        }
        let value = HeaderValue::from_bytes(trimmed(value))
            .map_err(|_| bad("its value has a line break or another control character"))?;
        if self.headers.len() >= MOST_HEADERS {
            return Err(bad("a request has at most 100 headers"));
        }
        self.headers.append(read, value);
        Ok(())
    }
}

/// Removes the blanks around the value of a header, which are no part of it (RFC 9110, section 5.5). By HTTP/2, servers refuse a
/// request with them (RFC 9113, section 8.2.1).
fn trimmed(value: &[u8]) -> &[u8] {
    let counts = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let begin = value.iter().position(counts).unwrap_or(value.len());
    let end = value.iter().rposition(counts).map_or(begin, |last| last + 1);
    &value[begin..end]
}

/// The next request of a redirect, before it is sent.
pub struct Hop<'a> {
    /// The status of the answer that redirects.
    pub status: u16,
    /// The method that it has.
    pub method: &'a Method,
    /// The address that it goes to.
    pub to: &'a WebAddress,
    /// Whether it has the body of the first request.
    pub keeps_body: bool,
    /// Its headers. Headers that may contain a credential are left out of a redirect to another server.
    pub headers: &'a mut HeaderMap,
}

impl Client {
    /// Creates a client that dials only addresses that `may_dial` allows (its flag: whether a name resolved to the
    /// address), through the proxy if there is one, and trusts servers according to `tls`. Its connections run on
    /// `runtime`, wherever its requests are polled.
    pub fn new(
        may_dial: impl Fn(SocketAddr, bool) -> bool + Send + Sync + 'static,
        proxy: Option<Proxy>,
        tls: ClientConfig,
        runtime: Handle,
    ) -> Self {
        let connector = Connector::new(Arc::new(may_dial), proxy, tls, CONNECTING);
        let mut builder = Pooled::builder(OnRuntime(runtime));
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_headers(MOST_HEADERS)
            .http1_max_buf_size(LONGEST_HEAD)
            // RFC 9112, section 5.2.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http2_max_header_list_size(LONGEST_HEADER_LIST)
            .http2_initial_stream_window_size(WINDOW)
            .http2_initial_connection_window_size(UNREAD * WINDOW);
        Self { pooled: Arc::new(builder.build(connector)), may_ask: None, repeated: None }
    }

    /// Returns the same client, which makes requests only as long as this holds: it is asked before each one, also before those of
    /// redirects and those that are made once more.
    #[must_use]
    pub fn only_while(self, may_ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { may_ask: Some(Arc::new(may_ask)), ..self }
    }

    /// Returns the same client, which calls this for each request that it makes once more, with the length of its body in bytes.
    #[must_use]
    pub fn counting_repeats(self, repeated: impl Fn(usize) + Send + Sync + 'static) -> Self {
        Self { repeated: Some(Arc::new(repeated)), ..self }
    }

    /// Sends a request and waits for the head of its answer. A redirect is an answer like any other.
    pub async fn send(&self, request: Request) -> Result<Answer, WebError> {
        let deadline = Instant::now() + request.patience.min(request.first_byte);
        let answered = timeout_at(deadline, self.send_once(request)).await;
        answered.map_err(|_| WebError::TimedOut(Late::Answer))?
    }

    /// Sends a request whose body is being written, without a time limit: the writer limits each wait.
    pub async fn begin(&self, request: Request) -> Result<Answer, WebError> {
        self.send_once(request).await
    }

    /// Sends a request and follows at most `most` redirects, each after `allow` has agreed; with 0, a redirect is the
    /// answer. A POST becomes a GET by 301 and 302, and by 303 all methods but HEAD (RFC 9110, section 15.4). Any other
    /// redirect keeps the method and the body, and is the answer if the body is not whole.
    pub async fn follow<E: From<WebError>>(
        &self,
        request: Request,
        mut whole: Option<Bytes>,
        most: u8,
        mut allow: impl FnMut(Hop<'_>) -> Result<(), E>,
    ) -> Result<Answer, E> {
        let Request { mut method, to: first, mut headers, body, patience, first_byte, most: largest } = request;
        let deadline = Instant::now() + patience;
        let mut is_streamed = whole.is_none() && !body.is_end_stream();
        let (mut to, mut body, mut redirects) = (first.clone(), body, 0);
        loop {
            // Behind the last redirect that may be followed they are not sent again.
            let sent = if redirects == most { std::mem::take(&mut headers) } else { headers.clone() };
            let (method_now, to_now) = (method.clone(), to.clone());
            let request =
                Request { method: method_now, to: to_now, headers: sent, body, patience, first_byte, most: largest };
            let begins = deadline.min(Instant::now() + first_byte);
            let answered = timeout_at(begins, self.send_once(request)).await;
            let answer = answered.map_err(|_| WebError::TimedOut(Late::Answer))??;
            let Some(reference) = redirect(&answer).filter(|_| most > 0) else { return Ok(answer) };
            if redirects == most {
                return Err(WebError::TooManyRedirects(most).into());
            }
            redirects += 1;
            let next = redirected(&to, reference)?;
            let loses_body = becomes_get(answer.status, &method);
            if loses_body {
                (method, whole, is_streamed) = (Method::GET, None, false);
            }
            // It is gone.
            if is_streamed {
                return Ok(answer);
            }
            let keeps_body = whole.is_some();
            body = whole.clone().map_or_else(Outgoing::empty, Outgoing::whole);
            strip(&mut headers, loses_body, !next.same_server(&first));
            allow(Hop { status: answer.status, method: &method, to: &next, keeps_body, headers: &mut headers })?;
            to = next;
        }
    }

    async fn send_once(&self, request: Request) -> Result<Answer, WebError> {
        let Request { method, to, mut headers, body, patience, first_byte: _, most } = request;
        // A server that has both chooses gzip, whose window is the smaller one. A part of a compressed body could not be unpacked.
        let codings = if headers.contains_key(RANGE) { "identity" } else { "gzip, br;q=0.5" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(codings));
        if !headers.contains_key(USER_AGENT) {
            headers.insert(USER_AGENT, HeaderValue::from_static(concat!("parlor/", env!("CARGO_PKG_VERSION"))));
        }
        // Some servers answer 411 to a POST that does not say that its body is empty (RFC 9110, section 8.6).
        if body.is_end_stream() && matches!(method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let uri: Uri = to.as_str().parse().map_err(|_| WebError::Protocol("its address cannot be sent".to_owned()))?;
        let mut sent = hyper::Request::new(body);
        (*sent.method_mut(), *sent.uri_mut(), *sent.headers_mut()) = (method, uri, headers);
        let mut again = copied(&sent);
        loop {
            if self.may_ask.as_ref().is_some_and(|may_ask| !may_ask()) {
                return Err(WebError::Ended);
            }
            // This counts the interim answers over HTTP/1. Those over HTTP/2 are counted by the connection.
            let flooded = counted(&mut sent);
            let answered = tokio::select! {
                biased;
                () = flooded.notified() => return Err(too_many()),
                answered = self.pooled.request(sent) => answered,
            };
            match answered {
                Ok(answer) => {
                    Used::note(answer.extensions());
                    return Answer::new(answer, to, patience, most);
                }
                Err(error) => match again.take().filter(|again| may_be_repeated(again, &error)) {
                    Some(same) => {
                        if let Some(repeated) = &self.repeated {
                            repeated(same.body().length_of_whole());
                        }
                        sent = same;
                    }
                    None => return Err(WebError::of(&error)),
                },
            }
        }
    }
}

/// Returns the same request once more, unless its body is sent while it is written.
fn copied(sent: &hyper::Request<Outgoing>) -> Option<hyper::Request<Outgoing>> {
    let mut again = hyper::Request::new(sent.body().copied()?);
    again.method_mut().clone_from(sent.method());
    again.uri_mut().clone_from(sent.uri());
    again.headers_mut().clone_from(sent.headers());
    Some(again)
}

/// Returns whether a request that failed may be made once more: the server has not begun with it, or it changes nothing (RFC
/// 9110, section 9.2.1) and the server may have closed the idle connection while it was on its way.
fn may_be_repeated(again: &hyper::Request<Outgoing>, error: &Error) -> bool {
    let changes_nothing = again.method().is_safe() && again.body().is_end_stream();
    is_refused(error) || (changes_nothing && Used::before(error))
}

/// Returns whether a server says by HTTP/2 that it has not begun with a request (RFC 9113, section 8.7). The library gives the
/// error of a GOAWAY only to requests behind the last one that the server has begun with.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let by_server = causes.find_map(|cause| cause.downcast_ref::<h2::Error>()).filter(|cause| cause.is_remote());
    by_server.is_some_and(|cause| cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Runs connections on one runtime.
#[derive(Clone)]
struct OnRuntime(Handle);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for OnRuntime {
    fn execute(&self, connection: F) {
        self.0.spawn(connection);
    }
}

/// Returns whether a redirect with this status turns a request of this method into a GET without a body, as browsers do
/// it.
pub fn becomes_get(status: u16, method: &Method) -> bool {
    match status {
        301 | 302 => *method == Method::POST,
        303 => !matches!(*method, Method::GET | Method::HEAD),
        _ => false,
    }
}

/// Removes the headers that a redirected request must not have: those of the body if it loses it, and the credentials if it
/// goes to another server.
pub fn strip(headers: &mut HeaderMap, loses_body: bool, is_elsewhere: bool) {
    let of_body = OF_BODY.into_iter().filter(|_| loses_body);
    for name in of_body.chain([AUTHORIZATION, COOKIE].into_iter().filter(|_| is_elsewhere)) {
        headers.remove(name);
    }
}

/// Returns whether an answer with this status leads elsewhere.
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Returns where a redirect from an address leads. It never leads from `https` to `http`.
pub fn redirected(from: &WebAddress, location: &str) -> Result<WebAddress, WebError> {
    // Some servers leave the spaces in names of files. All other clients encode them.
    let next = from.to(&location.replace(' ', "%20")).map_err(WebError::BadRedirect)?;
    if from.is_secure() && !next.is_secure() { Err(WebError::WithoutTls) } else { Ok(next) }
}

/// Returns the target of a redirect; `None` if the answer is not a redirect that can be followed. Some servers write it in
/// UTF-8, and others leave it empty: that would lead to the same address again.
fn redirect(answer: &Answer) -> Option<&str> {
    let location = answer.headers.get(LOCATION).filter(|to| is_redirect(answer.status) && !to.is_empty())?;
    std::str::from_utf8(location.as_bytes()).ok()
}
