//! The answers that a test gives instead of the network. Redirects are followed by the same rules.

use parlor_base::web_address::WebAddress;
use parlor_stanza::error::CallError;
use parlor_web::{HeaderMap, Hop, Method, WebError, becomes_get, is_redirect, redirected, strip};

use super::{Hops, failed};
use crate::account::web::{Answer, WebAnswer, WebRequest};
use crate::bindings::parlor::plugin::http::{Header, Request, Response};

/// Returns the answer of a script to a request, behind as many redirects as the request allows.
pub(super) fn scripted(
    script: &Answer,
    hops: &Hops<'_>,
    request: &Request,
    (mut method, mut to): (Method, WebAddress),
    mut body: Vec<u8>,
    sent: &mut HeaderMap,
) -> Result<Response, CallError> {
    let (mut url, most, first) = (request.url.clone(), request.follow, to.clone());
    let mut shown = as_written(&request.headers);
    for redirects in 0..=most {
        let answered = script(WebRequest { method: method.as_str(), url: &url, headers: &shown, body: &body });
        let Some(WebAnswer { status, headers, body: answer }) = answered else {
            return Err(CallError::Unreachable(format!("nobody answers {method} {url} in this test")));
        };
        let location = headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_str());
        let Some(location) = location.filter(|to| most > 0 && is_redirect(status) && !to.is_empty()) else {
            return Ok(Response { status, url, headers: scripted_headers(headers), body: answer });
        };
        if redirects == most {
            break;
        }
        let next = redirected(&to, location).map_err(|error| failed(hops.instance, &error))?;
        let loses_body = becomes_get(status, &method);
        if loses_body {
            (method, body) = (Method::GET, Vec::new());
        }
        strip(sent, loses_body, !next.same_server(&first));
        let keeps_body = !body.is_empty();
        hops.allow(&mut Hop { status, method: &method, to: &next, keeps_body, headers: &mut *sent })?;
        // Those that must not go to the next server were taken away.
        shown.retain(|(name, _)| sent.contains_key(name.as_str()));
        (url, to) = (next.as_str().to_owned(), next);
    }
    Err(failed(hops.instance, &WebError::TooManyRedirects(most)))
}

/// Returns the headers of a request as the plugin wrote them, with their names in small letters.
pub(super) fn as_written(headers: &[Header]) -> Vec<(String, String)> {
    headers.iter().map(|header| (header.name.to_ascii_lowercase(), header.value.clone())).collect()
}

pub(super) fn scripted_headers(headers: Vec<(String, String)>) -> Vec<Header> {
    headers.into_iter().map(|(name, value)| Header { name, value }).collect()
}
