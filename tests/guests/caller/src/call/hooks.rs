//! The calls of `hooks`. They bypass the SDK, which gives verdicts only on what it was asked about.

use parlor_sdk::bindings::parlor::plugin::hooks;
use parlor_sdk::prelude::*;

use super::{arg, text, unknown};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let id = text(args, "id")?;
    match function {
        "allow" => hooks::allow(id).await.map_err(Error::from).map(Value::from),
        "alter" => {
            let (body, subject) = (arg(args, "body")?, arg(args, "subject")?);
            hooks::alter(id, body, subject).await.map_err(Error::from).map(Value::from)
        }
        "stop" => hooks::stop(id, arg(args, "reason")?).await.map_err(Error::from).map(Value::from),
        "mark" => hooks::mark(id, text(args, "label")?).await.map_err(Error::from).map(Value::from),
        _ => Err(unknown(function)),
    }
}

/// Gives a verdict on what an event is about: the name of a call without its grouping, and its arguments beside the id. With `send`,
/// it sends a message to that address first.
pub(super) async fn judge(one: &Event, verdict: &Value) -> Result<()> {
    let Payload::Hook(hook) = &one.payload else { return Err(Error::other("it is no event for hooks")) };
    if let Some(to) = verdict["send"].as_str() {
        chats::send(to, "sent by a hook").await?;
    }
    let mut args = verdict.clone();
    args["id"] = json!(hook.id);
    call(verdict["call"].as_str().unwrap_or("allow"), &args).await.map(drop)
}
