//! `iq`: requests (IQs) of others that the plugin answers.

use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use parlor_stanza::iq_payload::IqPayload;
use parlor_stanza::types::Reply;
use wasmtime::component::Accessor;

use super::pacing::pace_bytes;
use super::{answer, caller, text, words};
use crate::bindings::parlor::plugin::iq::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance, OpenCall};

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
    let (_, call) = caller(accessor, CallName::IqAnswer)?;
    answer_by(&call, id, xml).await
}

async fn answer_by(call: &OpenCall, id: &str, xml: Option<&str>) -> Result<(), CallError> {
    let (instance, granted) = (call.instance(), call.granted(Target::None)?);
    let bytes = xml.map_or(0, str::len);
    let _held = instance.hold(bytes)?;
    let read = || xml.map(IqPayload::parse).transpose();
    // It is read again afterwards: a tree takes much more memory than its text while the call waits.
    read()?;
    waits(instance, id)?;
    pace_bytes(instance, &granted, bytes).await?;
    give(instance, id, read()?.map_or(Reply::Done, Reply::Payload))
}

async fn refuse<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    id: &str,
    condition: &str,
    why: Option<String>,
) -> Result<(), CallError> {
    let (_, call) = caller(accessor, CallName::IqRefuse)?;
    refuse_by(&call, id, condition, why).await
}

async fn refuse_by(call: &OpenCall, id: &str, condition: &str, why: Option<String>) -> Result<(), CallError> {
    let (instance, granted) = (call.instance(), call.granted(Target::None)?);
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
    waits(instance, id)?;
    pace_bytes(instance, &granted, bytes).await?;
    give(instance, id, reply)
}

/// Checks that somebody waits for the answer, before it costs the plugin anything.
fn waits(instance: &Instance, id: &str) -> Result<(), CallError> {
    text("id", id, LONGEST)?;
    if instance.lasting.unanswered.iqs().waits(id) { Ok(()) } else { Err(not_found(id)) }
}

fn give(instance: &Instance, id: &str, reply: Reply) -> Result<(), CallError> {
    if instance.lasting.unanswered.iqs().answer(id, reply) { Ok(()) } else { Err(not_found(id)) }
}

fn not_found(id: &str) -> CallError {
    CallError::NotFound(format!("request {id}"))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::poll;
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;
    use crate::unanswered::UnansweredRequest;

    #[tokio::test(start_paused = true)]
    async fn a_request_is_not_answered_if_the_grant_was_taken_back_while_the_call_waited() {
        for called in [CallName::IqAnswer, CallName::IqRefuse] {
            let (instance, _mailbox) = disconnected_instance("\"iq.answer\" = [\"urn:x\"]", Limits::default());
            let _request = UnansweredRequest::begin(instance.lasting.unanswered.iqs(), "1".to_owned(), 1).unwrap();
            let call = instance.open_call(called).unwrap();
            instance.lasting.budgets.outgoing().take(50.0).unwrap();
            let mut answers = pin!(async {
                if called == CallName::IqAnswer {
                    answer_by(&call, "1", None).await
                } else {
                    refuse_by(&call, "1", "forbidden", None).await
                }
            });
            assert!(poll!(answers.as_mut()).is_pending());
            instance.account.router.grant(&instance.mailbox, Arc::default());
            let result = answers.await;
            assert!(matches!(result, Err(CallError::Denied { .. })), "{called:?}: {result:?}");
            assert!(waits(&instance, "1").is_ok(), "nobody got an answer");
        }
    }
}
