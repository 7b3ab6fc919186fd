//! The messages that an instance sends. All of them pass here, on their way to the account's task.

use std::sync::Arc;

use jid::Jid;
use parlor_session::permissions::Granted;
use parlor_session::{BeginDialog, DialogEnd, SendMessage, SendRaw};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind};
use tokio::sync::oneshot::Receiver;

use super::Instance;
use crate::account::hooks::outgoing::{Passed, drafted, of_a_hook, pass, shown};

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
    let (draft, _place) = checked(instance, &to, kind, draft).await?;
    instance.ask(granted, SendMessage { to, kind, draft }).await
}

/// Asks a person a question, as hooks let it pass. Returns where its end arrives.
pub(crate) async fn question(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: BeginDialog,
) -> Result<Receiver<DialogEnd>, CallError> {
    let BeginDialog { mailbox, plugin, to, nick, question, draft, most } = command;
    let kind = if nick.is_some() { MessageKind::Groupchat } else { MessageKind::Chat };
    let (draft, _place) = checked(instance, &to, kind, draft).await?;
    instance.ask(granted, BeginDialog { mailbox, plugin, to, nick, question, draft, most }).await
}

/// Has hooks decide about a message. Returns it as they let it pass, with its place in the line of its sender.
async fn checked(
    instance: &Arc<Instance>,
    to: &Jid,
    kind: MessageKind,
    draft: Draft,
) -> Result<(Draft, Option<Passed>), CallError> {
    if !instance.account.hooks.see_outgoing() {
        return Ok((draft, None));
    }
    let message = drafted(&instance.account, to, kind, draft.clone());
    let Some(mut passed) = hooked(instance, message).await? else { return Ok((draft, None)) };
    Ok((passed.draft(draft)?, Some(passed)))
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
