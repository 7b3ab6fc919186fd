//! `http`: requests over the web, which the host makes for plugins.

pub(super) mod credentials;
pub(crate) mod exchange;
pub(super) mod parts;
mod script;
pub(super) mod underway;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;
use parlor_base::held::Holding;
use parlor_base::permission::Permission;
use parlor_base::rate::Bucket;
use parlor_base::web_address::WebAddress;
use parlor_plugins::binding::Part;
use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use parlor_web::header::{HeaderName, HeaderValue};
use parlor_web::{Answer, Hop, Late, Method, Outgoing, WebError};
use tokio::time::timeout;
use wasmtime::component::Accessor;

use self::credentials::Credentials;
use self::script::scripted;
use self::underway::Underway;
use super::pacing::slow_down;
use super::{answer, caller, room_of_caller};
use crate::bindings::parlor::plugin::http::{Head, Header, Host, HostWithStore, Request, Response};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance, OpenCall, OpenWebRequest, WebClient};

/// Maximum number of redirects that are followed.
const MOST_REDIRECTS: u8 = 10;
/// The step in which bytes of an answer are counted as held.
const STEP: usize = 64 << 10;
/// Maximum length of all headers of a request together, in bytes.
const LONGEST_HEADERS: usize = 64 << 10;

impl Host for Context {
    fn close(&mut self, exchange: u64) -> Result<(), Error> {
        let is_there = self.instance.seldom.parts.close::<exchange::Exchange>(exchange);
        answer(is_there.then_some(()).ok_or_else(|| CallError::NotFound(format!("request {exchange}"))))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn fetch(accessor: &Accessor<T, Self>, request: Request) -> Result<Response, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::HttpFetch)?;
                let room = accessor.with(|mut access| room_of_caller(&instance, &mut access));
                let time = instance.limits.http_time;
                let time = request.timeout.map_or(time, |given| time.min(Duration::from_millis(given)));
                let fetched = timeout(time, fetch(&instance, &call, room, request)).await;
                fetched.unwrap_or(Err(CallError::TimedOut))
            }
            .await,
        )
    }

    async fn open(accessor: &Accessor<T, Self>, request: Request) -> Result<u64, Error> {
        answer(exchange::open(accessor, request).await)
    }

    async fn write(accessor: &Accessor<T, Self>, exchange: u64, part: Vec<u8>) -> Result<(), Error> {
        answer(exchange::write(accessor, exchange, part).await)
    }

    async fn answer(accessor: &Accessor<T, Self>, exchange: u64) -> Result<Head, Error> {
        answer(exchange::answer(accessor, exchange).await)
    }

    async fn read(accessor: &Accessor<T, Self>, exchange: u64) -> Result<Option<Vec<u8>>, Error> {
        answer(exchange::read(accessor, exchange).await)
    }
}

async fn fetch(
    instance: &Arc<Instance>,
    call: &OpenCall,
    room: Option<BareJid>,
    mut request: Request,
) -> Result<Response, CallError> {
    if request.follow > MOST_REDIRECTS {
        return Err(CallError::invalid("request.follow", format!("at most {MOST_REDIRECTS}")));
    }
    let bytes = size(&request);
    let Prepared { to, method, mut sent, credentials, is_in_query, filled, kept: _kept } =
        prepare(instance, call, room.as_ref(), &request, bytes).await?;
    let body = request.body.take();
    let script = instance.account.web_script.get();
    let plain = script.and_then(|_| body.clone());
    let (whole, is_in_body) = match body {
        None => (None, false),
        Some(body) => {
            let (filled, is_filled) = filled_body(&credentials, body)?;
            (Some(filled), is_filled)
        }
    };
    let hops = Hops { instance, call, credentials: &credentials, is_in_body, is_in_query, filled: &filled };
    if let Some(script) = script {
        return scripted(script, &hops, &request, (method, to), plain.unwrap_or_default(), &mut sent.headers);
    }
    pace_bytes(instance, whole.as_ref().map_or(0, Vec::len)).await?;
    let client = WebClient::of(instance).await?;
    let whole = whole.map(Bytes::from);
    sent.body = whole.clone().map_or_else(Outgoing::empty, Outgoing::whole);
    // The grant may have changed while this waited.
    call.granted(Target::Web { method: method.as_str(), address: &to })?;
    let size = whole.as_ref().map_or(0, Bytes::len);
    let mut underway = Underway::begin(instance, &method, &to);
    underway.sends(size);
    let allow = |mut hop: Hop<'_>| -> Result<(), Failed> {
        // Each redirect is a request, too.
        instance.lasting.budgets.owe_request(if hop.keeps_body { size } else { 0 });
        hops.allow(&mut hop).map_err(Failed::Call)?;
        // Owners are shown where it went, and not only where it began.
        underway.redirected(&hop);
        if hop.keeps_body {
            underway.sends(size);
        }
        Ok(())
    };
    let answered = client.follow(sent, whole, request.follow, allow).await;
    let response = match answered {
        Ok(answer) => read(instance, &credentials, answer, &mut underway).await,
        Err(error) => {
            if let Failed::Web(error) = &error {
                underway.refused_by(error);
            }
            Err(error.told(instance))
        }
    };
    match &response {
        Ok(response) => underway.answered(response.status),
        Err(error) => underway.failed(error),
    }
    response
}

/// The parts of a request that the check of a redirect needs.
struct Hops<'a> {
    instance: &'a Arc<Instance>,
    call: &'a OpenCall,
    credentials: &'a Credentials,
    is_in_body: bool,
    is_in_query: bool,
    /// The headers that have a credential.
    filled: &'a [HeaderName],
}

impl Hops<'_> {
    /// Checks a redirect by the plugin's grants, and takes the headers away that must not go there.
    fn allow(&self, hop: &mut Hop<'_>) -> Result<(), CallError> {
        let Self { instance, call, credentials, .. } = self;
        credentials.may_be_in(instance, Permission::HttpFetch, hop.to)?;
        call.granted(Target::Web { method: hop.method.as_str(), address: hop.to })?;
        if let Err(unbound) = credentials.may_go_to(hop.method, hop.to) {
            // The server may have put it into the address.
            if self.is_in_body || self.is_in_query || credentials.are_shown_by(hop.to.as_str()) {
                return Err(unbound.denied(instance, hop.to));
            }
            for name in self.filled {
                hop.headers.remove(name);
            }
        }
        Ok(())
    }
}

/// A request that may be made, without its body.
struct Prepared {
    to: WebAddress,
    method: Method,
    sent: parlor_web::Request,
    credentials: Credentials,
    /// Whether the query has a credential.
    is_in_query: bool,
    /// The headers that have one.
    filled: Vec<HeaderName>,
    kept: Kept,
}

/// The part of the plugin's limits that a request takes while it is there.
struct Kept {
    _memory: Holding,
    _open: OpenWebRequest,
}

/// Checks a request by the plugin's grants and limits, and waits until it may make another one.
async fn prepare(
    instance: &Arc<Instance>,
    call: &OpenCall,
    room: Option<&BareJid>,
    request: &Request,
    bytes: usize,
) -> Result<Prepared, CallError> {
    let method = method(&request.method)?;
    let to = WebAddress::parse(&request.url).map_err(|error| CallError::invalid("request.url", error.to_string()))?;
    call.granted(Target::Web { method: method.as_str(), address: &to })?;
    let credentials = Credentials::of(instance, room, request.credentials.clone())?;
    credentials.may_go_to(&method, &to).map_err(|unbound| unbound.denied(instance, &to))?;
    credentials.refuse_in_path(&request.url)?;
    credentials.warn_of_others(instance, &request.url, request.headers.iter().map(|header| header.value.as_str()));
    let headers_of = request.headers.iter().map(|one| (Part::Header(&one.name), one.value.as_bytes()));
    let parts = headers_of.chain([(Part::Query, request.url.as_bytes())]);
    credentials.warn_of_left(instance, parts.chain(request.body.as_deref().map(|body| (Part::Body, body))));
    let memory = instance.hold(bytes + credentials.growth())?;
    let kept = Kept { _memory: memory, _open: OpenWebRequest::begin(instance)? };
    one_more(instance).await?;
    let with_query = credentials.fill_query(&to)?;
    let is_in_query = with_query != to;
    let mut sent = parlor_web::Request::get(with_query, instance.limits.http_time, instance.limits.http_body.0);
    sent.first_byte = instance.limits.http_first_byte;
    sent.method = method.clone();
    let filled = headers(&mut sent, &request.headers, &credentials)?;
    Ok(Prepared { to, method, sent, credentials, is_in_query, filled, kept })
}

/// Sets the headers of a request. Returns those that have a credential.
fn headers(
    sent: &mut parlor_web::Request,
    headers: &[Header],
    credentials: &Credentials,
) -> Result<Vec<HeaderName>, CallError> {
    let (mut filled, mut length) = (Vec::new(), 0);
    for Header { name, value } in headers {
        // A range of an answer could contain a part of a credential, which would not be found.
        if credentials.are_there() && asks_for_a_part(name) {
            return Err(CallError::invalid("request.headers", "a plugin with credentials asks for whole answers"));
        }
        let value = credentials.fill(Part::Header(name), value.as_bytes())?;
        length += name.len() + value.len();
        if length > LONGEST_HEADERS {
            return Err(CallError::invalid("request.headers", format!("longer than {LONGEST_HEADERS} bytes together")));
        }
        sent.header(name, &value).map_err(|error| CallError::invalid("request.headers", error.to_string()))?;
        if matches!(value, Cow::Owned(_)) {
            filled.extend(HeaderName::from_bytes(name.as_bytes()).ok());
        }
    }
    Ok(filled)
}

/// Returns whether a header asks for a part of an answer. Apache also takes the name that browsers had for it before RFC 2068.
fn asks_for_a_part(header: &str) -> bool {
    let name = header.replace('_', "-");
    ["range", "request-range"].iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Returns a body with its credentials, and whether it has any. A body without credentials is not copied.
fn filled_body(credentials: &Credentials, body: Vec<u8>) -> Result<(Vec<u8>, bool), CallError> {
    let filled = match credentials.fill(Part::Body, &body)? {
        Cow::Owned(filled) => Some(filled),
        Cow::Borrowed(_) => None,
    };
    Ok(filled.map_or((body, false), |filled| (filled, true)))
}

/// Waits until the plugin may send this number of bytes over the web.
async fn pace_bytes(instance: &Instance, bytes: usize) -> Result<(), CallError> {
    let limit = || format!("{} over the web a second (http_bytes_per_second)", instance.limits.http_bytes_per_second);
    slow_down(instance.lasting.budgets.web_sent(), amount(bytes), limit).await
}

/// Reads the whole answer, at the pace that the limits allow.
async fn read(
    instance: &Instance,
    credentials: &Credentials,
    mut answer: Answer,
    underway: &mut Underway,
) -> Result<Response, CallError> {
    readable(credentials, &answer)?;
    // Held in steps: a server may send one byte at a time.
    let (mut body, mut held, mut room) = (Vec::new(), Vec::<Holding>::new(), 0);
    while let Some(part) = answer.next().await.map_err(|error| failed(instance, &error))? {
        underway.receives(part.len());
        if body.len() + part.len() > room {
            held.push(instance.hold(part.len().max(STEP))?);
            room += part.len().max(STEP);
        }
        body.extend_from_slice(&part);
        wait_for(instance.lasting.budgets.web_received(), part.len()).await;
    }
    credentials.hide(&mut body);
    let (url, headers) = (shown(credentials, answer.from.as_str().as_bytes()), shown_headers(credentials, &answer));
    Ok(Response { status: answer.status, url, headers, body })
}

/// Refuses a body in a coding that the host does not unpack, if it could have a credential. Some servers repeat a request in
/// such a form if its address says so.
pub(super) fn readable(credentials: &Credentials, answer: &Answer) -> Result<(), CallError> {
    if answer.is_packed && credentials.are_there() {
        let cause = "the answer is in a coding other than gzip or br: a plugin with credentials gets none of it";
        return Err(CallError::Protocol(cause.to_owned()));
    }
    Ok(())
}

/// Returns what a server sent as text, without credentials.
pub(super) fn shown(credentials: &Credentials, bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    credentials.hide(&mut bytes);
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Returns the headers without credentials. A header whose name contains a credential is left out.
fn shown_headers(credentials: &Credentials, answer: &Answer) -> Vec<Header> {
    let header = |(name, value): (&HeaderName, &HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: shown(credentials, value.as_bytes()),
    };
    answer.headers.iter().filter(|(name, _)| !credentials.are_named_by(name.as_str())).map(header).collect()
}

/// Waits until the plugin may make another request.
pub(super) async fn one_more(instance: &Instance) -> Result<(), CallError> {
    let limit = || format!("{} requests over the web a second (http_per_second)", instance.limits.http_per_second);
    slow_down(instance.lasting.budgets.requests(), 1.0, limit).await
}

/// Waits for these bytes, however long: the time of the whole request is limited.
async fn wait_for(bucket: &Bucket, bytes: usize) {
    while let Err(wait) = bucket.take(amount(bytes)) {
        tokio::time::sleep(wait).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "no body has so many bytes")]
fn amount(bytes: usize) -> f64 {
    bytes as f64
}

fn method(written: &str) -> Result<Method, CallError> {
    let bad = |reason: &str| CallError::invalid("request.method", reason);
    if !(1..=20).contains(&written.len()) || !written.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(bad("1 to 20 capital letters, such as GET"));
    }
    match written {
        "CONNECT" | "TRACE" => Err(bad("it is for proxies and for tests of servers")),
        _ => written.parse().map_err(|_| bad("it is no method")),
    }
}

/// Returns how many bytes the host holds for a request.
fn size(request: &Request) -> usize {
    let headers: usize = request.headers.iter().map(|one| one.name.len() + one.value.len()).sum();
    // Credentials are filled into a copy.
    request.url.len() + 2 * headers + 2 * request.body.as_ref().map_or(0, Vec::len)
}

/// Why a request failed: by an error of the client, or by a check of ours.
pub(super) enum Failed {
    Web(WebError),
    Call(CallError),
}

impl From<WebError> for Failed {
    fn from(error: WebError) -> Self {
        Self::Web(error)
    }
}

impl Failed {
    fn told(self, instance: &Instance) -> CallError {
        match self {
            Self::Web(error) => failed(instance, &error),
            Self::Call(error) => error,
        }
    }
}

pub(super) fn failed(instance: &Instance, error: &WebError) -> CallError {
    let text = error.to_string();
    match error {
        // An entry with the address itself allows it.
        WebError::Refused { address, scheme, .. } => {
            let denial = instance.deny(Permission::HttpFetch, Some(format!("{scheme}://{address}")));
            without_address(instance, error, denial)
        }
        WebError::Unreachable { .. } => CallError::Unreachable(text),
        WebError::Tls { .. } => CallError::Tls(text),
        WebError::TimedOut(Late::Answer | Late::Body) => CallError::TimedOut,
        WebError::Ended => CallError::Stopped,
        WebError::TooLarge(most) => CallError::OverLimit(format!("{most} bytes of an answer over the web (http_body)")),
        WebError::Header { .. } => CallError::invalid("request.headers", text),
        WebError::Protocol(_) | WebError::TooManyRedirects(_) | WebError::BadRedirect(_) | WebError::WithoutTls => {
            CallError::Protocol(text)
        }
    }
}

/// Returns the denial of a server outside of the public network as the plugin gets it: with the name that the plugin asked for, and not
/// with the address. Otherwise, a plugin could search the owner's network by names. The owner's record has the address.
pub(super) fn without_address(instance: &Instance, error: &WebError, denial: CallError) -> CallError {
    match (error, denial) {
        (WebError::Refused { server, address, scheme }, CallError::Denied { permission, .. })
            if server.parse::<IpAddr>().is_err() =>
        {
            let hint = format!("parlor explain {} (the name leads to a network that is not public)", instance.plugin);
            CallError::Denied { permission, scope: Some(format!("{scheme}://{server}:{}", address.port())), hint }
        }
        (_, denial) => denial,
    }
}

#[cfg(test)]
mod tests;
