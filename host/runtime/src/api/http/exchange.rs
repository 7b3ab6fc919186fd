//! Requests whose bodies go in parts.

use std::sync::Arc;
use std::time::Duration;

use parlor_base::web_address::WebAddress;
use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use parlor_web::header::CONTENT_LENGTH;
use parlor_web::{Method, Outgoing, Sender, WebError};
use wasmtime::component::Accessor;

use super::credentials::Credentials;
use super::parts::{Incoming, Sending, checked_part};
use super::script::{as_written, scripted_headers};
use super::{
    Kept, Prepared, caller, failed, filled_body, pace_bytes, prepare, readable, room_of_caller, shown_headers, size,
};
use crate::account::web::{WebAnswer, WebRequest};
use crate::bindings::parlor::plugin::http::{Head, Request};
use crate::instance::{Grouping, Instance, WebClient};

/// A request whose bodies go in parts.
pub(crate) struct Exchange {
    method: Method,
    to: WebAddress,
    credentials: Credentials,
    /// How long each wait may take.
    patience: Duration,
    /// How many bytes of its `content-length` the plugin has still to write. `None`: it did not give one, the server takes
    /// no more, or the body has ended.
    missing: Option<u64>,
    /// The end of the body so far, in which the name of a credential may have begun.
    end: Vec<u8>,
    state: State,
    _kept: Kept,
}

enum State {
    /// It is sent, and was not answered.
    Sent(Sending),
    /// It is collected for a test, which answers it.
    Scripted { method: String, url: String, headers: Vec<(String, String)>, body: Vec<u8> },
    /// It was answered.
    Answered(Box<Incoming>),
    /// Its answer failed, or was read to the end.
    Over,
}

pub(super) async fn open<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    mut request: Request,
) -> Result<u64, CallError> {
    let (instance, call) = caller(accessor, CallName::HttpOpen)?;
    let room = accessor.with(|mut access| room_of_caller(&instance, &mut access));
    if request.follow != 0 {
        return Err(CallError::invalid("request.follow", "a request in parts follows no redirects: it has to be 0"));
    }
    let bytes = size(&request);
    let length = length(&mut request)?;
    let Prepared { to, method, mut sent, credentials, kept, .. } =
        prepare(&instance, &call, room.as_ref(), &request, bytes).await?;
    let body = request.body.take();
    let patience = request.timeout.map_or(sent.patience, |given| sent.patience.min(Duration::from_millis(given)));
    // A body that is read in parts takes no memory.
    (sent.patience, sent.most) = (patience, u64::MAX);
    let state = if instance.account.web_script.get().is_some() {
        let headers = as_written(&request.headers);
        State::Scripted { method: request.method, url: request.url, headers, body: body.unwrap_or_default() }
    } else {
        let body = body.map(|body| filled_body(&credentials, body)).transpose()?.map(|(body, _)| body);
        pace_bytes(&instance, body.as_ref().map_or(0, Vec::len)).await?;
        let client = WebClient::of(&instance).await?;
        // The grant may have changed while this waited.
        call.granted(Target::Web { method: method.as_str(), address: &to })?;
        let (sender, body) = match (body, length) {
            (Some(body), _) => (None, Outgoing::whole(body)),
            (None, None) if matches!(method, Method::GET | Method::HEAD) => (None, Outgoing::empty()),
            (None, None) => in_parts(Outgoing::stream()),
            (None, Some(length)) => in_parts(Outgoing::sized_stream(length)),
        };
        sent.body = body;
        State::Sent(Sending::begin(&instance, client, sent, sender))
    };
    Ok(instance.seldom.parts.add(Exchange {
        method,
        to,
        credentials,
        patience,
        missing: length,
        end: Vec::new(),
        state,
        _kept: kept,
    }))
}

fn in_parts((sender, body): (Sender, Outgoing)) -> (Option<Sender>, Outgoing) {
    (Some(sender), body)
}

/// Takes the length that the plugin says that the body will have.
fn length(request: &mut Request) -> Result<Option<u64>, CallError> {
    let Some(at) = request.headers.iter().position(|one| one.name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str())) else {
        return Ok(None);
    };
    let invalid = |reason: &str| CallError::invalid("request.headers", reason);
    if request.body.is_some() {
        return Err(invalid("the host writes content-length of a body that is there"));
    }
    let given = request.headers.swap_remove(at).value;
    let is_number = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    given.parse().ok().filter(|_| is_number).map(Some).ok_or_else(|| invalid("content-length is a number of bytes"))
}

pub(super) async fn write<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    exchange: u64,
    part: Vec<u8>,
) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, CallName::HttpWrite)?;
    checked_part(&part)?;
    let found = instance.seldom.parts.get::<Exchange>(exchange).ok_or_else(|| none(exchange))?;
    let written = found.closed.run_until_cancelled(async {
        let mut turn = found.turns.lock().await;
        may_go_on(&instance, CallName::HttpWrite, &turn)?;
        let rest = turn.missing_after(&part)?;
        if let Some(name) = turn.credentials.stands_in(&turn.end, &part) {
            return Err(CallError::invalid(
                "part",
                format!("{{{{{name}}}}} is not filled in here: give the body to open"),
            ));
        }
        let (patience, mut end) = (turn.patience, turn.end.clone());
        turn.credentials.end_of(&mut end, &part);
        let written = match &mut turn.state {
            State::Sent(sending) => {
                sending.send(&instance, part, patience, takes_no_more).await.unwrap_or_else(|| Err(none(exchange)))
            }
            State::Scripted { body, .. } => {
                body.extend_from_slice(&part);
                Ok(())
            }
            State::Answered(_) | State::Over => Err(none(exchange)),
        };
        match &written {
            Ok(()) => (turn.missing, turn.end) = (rest, end),
            // The server may have answered before it had everything.
            Err(CallError::Protocol(_)) => turn.missing = None,
            Err(_) => {}
        }
        written
    });
    written.await.unwrap_or_else(|| Err(none(exchange)))
}

pub(super) async fn answer<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    exchange: u64,
) -> Result<Head, CallError> {
    let (instance, _open) = caller(accessor, CallName::HttpAnswer)?;
    let found = instance.seldom.parts.get::<Exchange>(exchange).ok_or_else(|| none(exchange))?;
    let answered = found.closed.run_until_cancelled(async {
        let mut turn = found.turns.lock().await;
        may_go_on(&instance, CallName::HttpAnswer, &turn)?;
        turn.is_whole()?;
        turn.missing = None;
        answered(&instance, &mut turn).await.unwrap_or_else(|| Err(none(exchange)))
    });
    answered.await.unwrap_or_else(|| Err(none(exchange)))
}

impl Exchange {
    /// Returns how many bytes will be missing after this part.
    fn missing_after(&self, part: &[u8]) -> Result<Option<u64>, CallError> {
        let Some(missing) = self.missing else { return Ok(None) };
        let rest = missing.checked_sub(part.len() as u64);
        let too_long = || CallError::invalid("part", format!("only {missing} bytes are left of content-length"));
        rest.map(Some).ok_or_else(too_long)
    }

    /// Checks that the body is as long as the plugin said, unless the server has answered without the rest of it.
    fn is_whole(&self) -> Result<(), CallError> {
        let has_ended = matches!(&self.state, State::Sent(sending) if sending.has_ended());
        match self.missing {
            Some(missing @ 1..) if !has_ended => {
                Err(CallError::invalid("exchange", format!("{missing} bytes of content-length are missing")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Waits for the answer; `None` if it is there, or there is none.
async fn answered(instance: &Arc<Instance>, exchange: &mut Exchange) -> Option<Result<Head, CallError>> {
    let mask = exchange.credentials.mask();
    match std::mem::replace(&mut exchange.state, State::Over) {
        State::Sent(sending) => {
            let patience = exchange.patience.min(instance.limits.http_first_byte);
            let answered = sending.answer(patience, |error| failed(instance, error)).await;
            Some(answered.and_then(|(answer, underway)| {
                readable(&exchange.credentials, &answer)?;
                let headers = shown_headers(&exchange.credentials, &answer);
                let head = Head { status: answer.status, headers };
                exchange.state = State::Answered(Box::new(Incoming::of(answer, mask, underway)));
                Ok(head)
            }))
        }
        State::Scripted { method, url, headers, body } => {
            let asked = WebRequest { method: &method, url: &url, headers: &headers, body: &body };
            let answered = instance.account.web_script.get().and_then(|answer| answer(asked));
            let Some(WebAnswer { status, headers, body }) = answered else {
                return Some(Err(CallError::Unreachable(format!("nobody answers {method} {url} in this test"))));
            };
            exchange.state = State::Answered(Box::new(Incoming::whole(body, mask)));
            Some(Ok(Head { status, headers: scripted_headers(headers) }))
        }
        before @ (State::Answered(_) | State::Over) => {
            exchange.state = before;
            None
        }
    }
}

pub(super) async fn read<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    exchange: u64,
) -> Result<Option<Vec<u8>>, CallError> {
    let (instance, _open) = caller(accessor, CallName::HttpRead)?;
    let found = instance.seldom.parts.get::<Exchange>(exchange).ok_or_else(|| none(exchange))?;
    let read = found.closed.run_until_cancelled(async {
        let mut turn = found.turns.lock().await;
        may_go_on(&instance, CallName::HttpRead, &turn)?;
        let patience = turn.patience;
        let State::Answered(incoming) = &mut turn.state else { return Err(none(exchange)) };
        let part = incoming.next(&instance, patience, |error| failed(&instance, error)).await?;
        if part.is_none() {
            turn.state = State::Over;
            instance.seldom.parts.remove(exchange);
        }
        Ok(part)
    });
    read.await.unwrap_or_else(|| Err(none(exchange)))
}

/// Describes why a request failed while its body was written. `answer` gives the error itself.
fn takes_no_more(cause: &WebError) -> CallError {
    CallError::Protocol(format!("the server takes no more of the body: {cause}"))
}

/// Checks that the plugin may still ask this server: the grant may have been taken back meanwhile.
fn may_go_on(instance: &Arc<Instance>, call: CallName, exchange: &Exchange) -> Result<(), CallError> {
    let target = Target::Web { method: exchange.method.as_str(), address: &exchange.to };
    instance.granted(call, target).map(drop)
}

fn none(exchange: u64) -> CallError {
    CallError::NotFound(format!("request {exchange}"))
}
