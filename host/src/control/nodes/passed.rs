//! How a request and its answer go from one node to another.

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use parlor_base::escape::escape_untrusted;
use parlor_session::Secret;
use serde::{Deserialize, Serialize};

use super::LONGEST;
use crate::cluster::framed;
use crate::control::bounds::LONGEST_BODY;
use crate::control::http::{self, Answer};
use crate::control::refusal::Refusal;
use crate::control::request::{BY_HEADER, Request, Session};
use crate::control::routes;

/// A request of a user of the other node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passed {
    method: String,
    target: String,
    /// The session in the browser that it is made for, or the owner in a chat.
    by: Option<String>,
    /// The user there.
    uid: u32,
}

/// The head of an answer, before its body.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    status: u16,
}

/// An answer of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Given {
    /// Takes an answer of this host. Its body must have an end.
    pub(super) async fn of(answer: Result<Answer, Refusal>) -> Self {
        let answer = answer.unwrap_or_else(|refusal| routes::refused(&refusal));
        let status = answer.status();
        let Ok(body) = answer.into_body().collect().await;
        Self { status, body: body.to_bytes() }
    }

    /// Returns it as the answer to a client.
    pub(super) fn answer(self, kind: &'static str) -> Answer {
        http::answer(self.status, kind, self.body)
    }

    /// Returns what another node is sent.
    pub(super) fn write(&self) -> Vec<u8> {
        framed::join(&Head { status: self.status.as_u16() }, &self.body)
    }
}

/// Returns what another node is sent for a request.
pub(super) fn write(request: &Request, uid: u32) -> Vec<u8> {
    let (method, by) = (request.method.to_string(), request.by_header());
    framed::join(&Passed { method, target: request.target(), by, uid }, &request.body)
}

/// Reads a request that a node passed on, and the user there.
pub(super) fn read(bytes: &[u8], node: &str) -> Result<(Request, u32), Refusal> {
    let strange = || Refusal::Value("what a node passed on is no request; run the same parlor on all nodes".to_owned());
    let (Passed { method, target, by, uid }, body) = framed::split(bytes).ok_or_else(strange)?;
    if u64::try_from(body.len()).unwrap_or(u64::MAX) > LONGEST_BODY {
        return Err(Refusal::LongBody);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| strange())?;
    let mut head = hyper::Request::builder().method(method).uri(target);
    let in_chat = by.as_deref().and_then(Session::read_chat);
    if let Some(by) = by.filter(|_| in_chat.is_none()) {
        head = head.header(BY_HEADER, by);
    }
    let (head, ()) = head.body(()).map_err(|_| strange())?.into_parts();
    let read = Request::of(&head)?;
    let (by, passed_by) = (in_chat.or(read.by), Some(escape_untrusted(node, LONGEST)));
    Ok((Request { body: Secret::new(body.to_vec()), by, passed_by, ..read }, uid))
}

/// Reads the answer of another node.
pub(super) fn read_answer(bytes: &Bytes) -> Option<Given> {
    let (Head { status }, body) = framed::split(bytes)?;
    Some(Given { status: StatusCode::from_u16(status).ok()?, body: bytes.slice_ref(body) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_the_same_at_the_other_node_and_names_the_first() {
        let head = hyper::Request::builder().method("POST").uri("/v1/say?account=main&text=a%0Ab&to=a@b");
        let head = head.header(BY_HEADER, "ann juli%C3%A9t@example.org").body(()).unwrap().into_parts().0;
        let sent = Request { body: Secret::new(b"secret\n".to_vec()), ..Request::of(&head).unwrap() };
        let (read, uid) = read(&write(&sent, 1_000), "one\n").unwrap();
        assert_eq!(uid, 1_000);
        assert_eq!(read.passed_by.as_deref(), Some("one\\u{a}"));
        assert_eq!(Request { passed_by: None, ..read }, sent);
    }

    #[test]
    fn an_answer_is_read_as_it_was_given() {
        let given = Given { status: StatusCode::NOT_FOUND, body: Bytes::from_static(b"{\n}") };
        assert_eq!(read_answer(&given.write().into()), Some(given));
    }

    #[test]
    fn a_passed_request_that_no_node_writes_is_refused() {
        for wrong in ["", "{}\n", "{\"method\":\"G T\",\"target\":\"/\",\"by\":null,\"uid\":0}\n"] {
            assert!(matches!(read(wrong.as_bytes(), "one"), Err(Refusal::Value(_))), "{wrong}");
        }
        let target = "{\"method\":\"GET\",\"target\":\"http://x/v1/status\",\"by\":null,\"uid\":0}\n";
        assert!(matches!(read(target.as_bytes(), "one"), Err(Refusal::Target)));
        let long = [target.as_bytes(), &vec![0; 800_000]].concat();
        assert!(matches!(read(&long, "one"), Err(Refusal::LongBody)));
        assert_eq!(read_answer(&Bytes::from_static(b"{\"status\":9}\n")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes, "one");
            let _ = read_answer(&bytes.into());
        }
    }
}
