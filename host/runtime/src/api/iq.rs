//! `iq`: requests (IQs) of others that the plugin answers.

use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use parlor_stanza::iq_payload::IqPayload;
use parlor_stanza::types::Reply;
use wasmtime::component::Accessor;

use super::{answer, caller, pace_bytes, text, words};
use crate::bindings::parlor::plugin::iq::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};

/// The defined conditions, each with its type (RFC 6120, section 8.3.3). `gone` and `redirect` name another address,
/// which a plugin must not send people to in the account's name.
static CONDITIONS: [(&str, &str); 20] = [
    ("bad-request", "modify"),
    ("conflict", "cancel"),
    ("feature-not-implemented", "cancel"),
    ("forbidden", "auth"),
    ("internal-server-error", "cancel"),
    ("item-not-found", "cancel"),
    ("jid-malformed", "modify"),
    ("not-acceptable", "modify"),
    ("not-allowed", "cancel"),
    ("not-authorized", "auth"),
    ("policy-violation", "modify"),
    ("recipient-unavailable", "wait"),
    ("registration-required", "auth"),
    ("remote-server-not-found", "cancel"),
    ("remote-server-timeout", "wait"),
    ("resource-constraint", "wait"),
    ("service-unavailable", "cancel"),
    ("subscription-required", "auth"),
    ("undefined-condition", "cancel"),
    ("unexpected-request", "wait"),
];
/// Maximum length of an id or a condition, in bytes.
const LONGEST: usize = 64;
/// Maximum length of the text of a refusal, in bytes.
const LONGEST_TEXT: usize = 4 << 10;

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn answer(accessor: &Accessor<T, Self>, id: String, xml: Option<String>) -> Result<(), Error> {
        answer(answer_request(accessor, &id, xml.as_deref()).await)
    }

    async fn refuse(
        accessor: &Accessor<T, Self>,
        id: String,
        condition: String,
        text: Option<String>,
    ) -> Result<(), Error> {
        answer(refuse(accessor, &id, &condition, text).await)
    }
}

async fn answer_request<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    id: &str,
    xml: Option<&str>,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::IqAnswer)?;
    call.granted(Target::None)?;
    let bytes = xml.map_or(0, str::len);
    let _held = instance.hold(bytes)?;
    let read = || xml.map(IqPayload::parse).transpose();
    // It is read again afterwards: a tree takes much more memory than its text while the call waits.
    read()?;
    waits(&instance, id)?;
    pace_bytes(&instance, bytes).await?;
    give(&instance, id, read()?.map_or(Reply::Done, Reply::Payload))
}

async fn refuse<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    id: &str,
    condition: &str,
    why: Option<String>,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::IqRefuse)?;
    call.granted(Target::None)?;
    text("condition", condition, LONGEST)?;
    let unknown = || {
        let known = CONDITIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        CallError::invalid("condition", format!("is none of {known}"))
    };
    let &(condition, kind) = CONDITIONS.iter().find(|(name, _)| *name == condition).ok_or_else(unknown)?;
    let bytes = why.as_ref().map_or(0, String::len);
    let reply = match why {
        None => Reply::Refuse { kind, condition },
        Some(why) => {
            words("text", &why, LONGEST_TEXT)?;
            Reply::RefuseWithText { kind, condition, text: why }
        }
    };
    waits(&instance, id)?;
    pace_bytes(&instance, bytes).await?;
    give(&instance, id, reply)
}

/// Checks that somebody waits for the answer, before it costs the plugin anything.
fn waits(instance: &Instance, id: &str) -> Result<(), CallError> {
    text("id", id, LONGEST)?;
    if instance.unanswered.iqs().waits(id) { Ok(()) } else { Err(not_found(id)) }
}

fn give(instance: &Instance, id: &str, reply: Reply) -> Result<(), CallError> {
    if instance.unanswered.iqs().answer(id, reply) { Ok(()) } else { Err(not_found(id)) }
}

fn not_found(id: &str) -> CallError {
    CallError::NotFound(format!("request {id}"))
}
