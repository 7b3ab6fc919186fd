//! The messages that an instance sends. All of them pass here, on their way to the account's task.

use std::sync::Arc;

use parlor_session::permissions::Granted;
use parlor_session::{SendMessage, SendRaw};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{Message, Outgoing};

use super::Instance;
use crate::account::hooks::outgoing::{Passed, pass, shown};

/// Sends a message, as hooks let it pass. Returns its id.
pub(crate) async fn send(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: SendMessage,
) -> Result<String, CallError> {
    if instance.account.hooks.see_outgoing() {
        // Boxed: few accounts have hooks, and the futures of all others would be kilobytes larger.
        return Box::pin(send_hooked(instance, granted, command)).await;
    }
    instance.ask(granted, command).await
}

async fn send_hooked(instance: &Arc<Instance>, granted: &Granted, command: SendMessage) -> Result<String, CallError> {
    let SendMessage { to, kind, draft } = command;
    let (id, draft_again) = (String::new(), draft.clone());
    let written = Outgoing::Message { to: to.clone(), kind, id, draft: draft_again, to_occupant: false };
    let message = shown(&instance.account, &RawStanza::of(written));
    // The session gives it its id.
    let message = message.map(|message| Message { id: None, origin_id: None, ..message });
    let Some(passed) = hooked(instance, message).await? else {
        return instance.ask(granted, SendMessage { to, kind, draft }).await;
    };
    let draft = passed.texts.in_draft(draft).map_err(|error| of_a_hook(&error))?;
    instance.ask(granted, SendMessage { to, kind, draft }).await
}

/// Sends a stanza, as hooks let it pass if it is a message.
pub(crate) async fn send_raw(instance: &Arc<Instance>, granted: &Granted, command: SendRaw) -> Result<(), CallError> {
    if instance.account.hooks.see_outgoing() {
        return Box::pin(send_raw_hooked(instance, granted, command)).await;
    }
    instance.ask(granted, command).await
}

async fn send_raw_hooked(instance: &Arc<Instance>, granted: &Granted, command: SendRaw) -> Result<(), CallError> {
    let SendRaw { by, stanza } = command;
    let Some(passed) = hooked(instance, shown(&instance.account, &stanza)).await? else {
        return instance.ask(granted, SendRaw { by, stanza }).await;
    };
    let is_same = passed.texts.change_nothing();
    let stanza = if is_same { stanza } else { passed.texts.in_stanza(&stanza).map_err(|error| of_a_hook(&error))? };
    instance.ask(granted, SendRaw { by, stanza }).await
}

/// Has hooks decide about a message. None: there is none to decide about.
async fn hooked(instance: &Arc<Instance>, message: Option<Message>) -> Result<Option<Passed>, CallError> {
    let Some(message) = message else { return Ok(None) };
    // Hooks see a copy of it.
    let _copy = instance.hold(message.raw.weight())?;
    let _waits = instance.waits_for_session();
    let to = message.to.to_bare();
    pass(&instance.account, instance.id, &instance.plugin, to, message).await.map(Some)
}

/// Returns the error for a message that cannot be sent after a hook changed it.
fn of_a_hook(error: &CallError) -> CallError {
    CallError::Rejected(format!("a hook changed the message, and it cannot be sent so: {error}"))
}
