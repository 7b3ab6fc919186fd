//! `webhooks`: requests that others send to a plugin over the web.

use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use wasmtime::component::Accessor;

use super::{answer, caller, text};
use crate::bindings::parlor::plugin::types::{Error, Header};
use crate::bindings::parlor::plugin::webhooks::{Host, HostWithStore, Response};
use crate::instance::{Context, Grouping, OpenCall, WebhookAnswer};

/// The headers that an answer may have. Proxies and browsers act upon other headers, and serve more than webhooks at
/// that address: cookies, redirects to files of the proxy, connections.
const HEADERS: [&str; 10] = [
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "etag",
    "last-modified",
    "retry-after",
    "webhook-allowed-origin",
    "webhook-allowed-rate",
    "x-hook-secret",
];
/// Maximum number of headers.
const MOST_HEADERS: usize = 16;
/// Maximum length of all headers together, in bytes.
const LONGEST_HEADERS: usize = 16 << 10;
/// Maximum length of the body, in bytes.
const LONGEST_BODY: usize = 1 << 20;
/// Maximum length of an id or a name, in bytes.
const LONGEST: usize = 64;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn answer(accessor: &Accessor<T, Self>, id: String, given: Response) -> Result<(), Error> {
        answer(answer_request(accessor, &id, given))
    }

    async fn address(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        answer(address(accessor, &name))
    }
}

fn answer_request<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    id: &str,
    given: Response,
) -> Result<(), CallError> {
    let (_, call) = caller(accessor, CallName::WebhooksAnswer)?;
    answer_by(&call, id, given)
}

fn answer_by(call: &OpenCall, id: &str, given: Response) -> Result<(), CallError> {
    let instance = call.instance();
    call.granted(Target::None)?;
    text("id", id, LONGEST)?;
    let Response { status, headers, body } = given;
    if !(200..=599).contains(&status) {
        return Err(CallError::invalid("answer.status", "from 200 to 599"));
    }
    if body.len() > LONGEST_BODY {
        return Err(CallError::invalid("answer.body", format!("longer than {LONGEST_BODY} bytes")));
    }
    let answer = WebhookAnswer { status, headers: checked(headers)?, body };
    if !instance.account.may_act.now() {
        return Err(CallError::Stopped);
    }
    if instance.lasting.unanswered.webhooks().answer(id, answer) {
        Ok(())
    } else {
        Err(CallError::NotFound(format!("request {id}")))
    }
}

/// Checks the headers of an answer (RFC 9110, section 5.5). All characters except for control characters are sent
/// unchanged, in UTF-8.
fn checked(headers: Vec<Header>) -> Result<Vec<(String, String)>, CallError> {
    let bad = |reason: String| CallError::invalid("answer.headers", reason);
    let length: usize = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    if headers.len() > MOST_HEADERS || length > LONGEST_HEADERS {
        return Err(bad(format!("more than {MOST_HEADERS}, or longer than {LONGEST_HEADERS} bytes together")));
    }
    let one = |Header { name, value }: Header| {
        let name = name.to_ascii_lowercase();
        if !HEADERS.contains(&name.as_str()) {
            return Err(bad(format!("an answer may have {} alone", HEADERS.join(", "))));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(bad(format!("{name} contains a control character")));
        }
        Ok((name, value))
    };
    headers.into_iter().map(one).collect()
}

fn address<T: Send + 'static>(accessor: &Accessor<T, Grouping>, name: &str) -> Result<String, CallError> {
    let (instance, call) = caller(accessor, CallName::WebhooksAddress)?;
    call.granted(Target::None)?;
    text("name", name, LONGEST)?;
    let tokens = instance.lasting.webhooks.as_ref().map(|tokens| tokens.load_full()).unwrap_or_default();
    // Another version of the plugin may have had more webhooks.
    let token = tokens.get(name).filter(|_| instance.manifest.webhooks.contains_key(name));
    let token = token.ok_or_else(|| CallError::NotFound(format!("webhook {name}")))?;
    let web = instance.account.web.load();
    let base = web.public_address().ok_or_else(|| {
        CallError::Unsupported(
            "webhooks have no address: the owner has not set `listen` or `address` under [web]".to_owned(),
        )
    })?;
    Ok(crate::webhooks::address(&base, &instance.plugin, name, token.text()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlor_session::permissions::Grants;

    use super::*;
    use crate::instance::tests::that_may_act;
    use crate::unanswered::UnansweredRequest;

    /// A machine that was suspended goes on in the middle of a handler.
    #[tokio::test]
    async fn no_request_is_answered_once_the_account_may_not_act() {
        for may in [true, false] {
            let (instance, _mailbox) = that_may_act(may);
            let grants = Grants::from_table(&"\"webhooks.receive\" = true".parse().unwrap()).unwrap();
            instance.account.router.grant(&instance.mailbox, Arc::new(grants));
            let _request = UnansweredRequest::begin(instance.lasting.unanswered.webhooks(), "1".to_owned(), 1).unwrap();
            let call = instance.open_call(CallName::WebhooksAnswer).unwrap();
            let answered = answer_by(&call, "1", Response { status: 200, headers: Vec::new(), body: Vec::new() });
            assert_eq!(answered, if may { Ok(()) } else { Err(CallError::Stopped) });
        }
    }

    fn one(name: &str, value: &str) -> Vec<Header> {
        vec![Header { name: name.to_owned(), value: value.to_owned() }]
    }

    /// A proxy would set a cookie for the whole domain, or send one of its own files.
    #[test]
    fn headers_that_proxies_and_browsers_act_upon_are_refused() {
        for name in [
            "Set-Cookie",
            "Location",
            "X-Accel-Redirect",
            "X-Sendfile",
            "Connection",
            "Transfer-Encoding",
            "Content-Length",
            "",
        ] {
            assert!(checked(one(name, "x")).is_err(), "{name}");
        }
        for value in ["a\r\nSet-Cookie: b=c", "a\nb", "a\0b", "a\u{7f}b", "a\u{85}b"] {
            assert!(checked(one("etag", value)).is_err(), "{value:?}");
        }
        assert_eq!(checked(one("Content-Type", "text/plain")), Ok(vec![("content-type".into(), "text/plain".into())]));
        let spoken = one("content-disposition", "attachment; filename=\"Gr\u{fc}n\t1\"");
        assert!(checked(spoken).is_ok());
        assert!(checked(one("etag", &"x".repeat(LONGEST_HEADERS))).is_err());
        assert!(checked((0..17).flat_map(|_| one("etag", "x")).collect()).is_err());
    }
}
