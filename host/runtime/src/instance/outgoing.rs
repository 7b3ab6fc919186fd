//! The messages that an instance sends. All of them pass here, on their way to the account's task.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jid::Jid;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{AnswerForm, BeginDialog, DialogEnd, FindForm, SendMessage, SendRaw};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind};
use tokio::sync::oneshot::Receiver;

use super::Instance;
use super::asking::ask_to_send;
use crate::account::hooks::outgoing::{Passed, drafted, of_a_hook, pass, shown};

/// Sends a message, as hooks let it pass. Returns its id.
pub(crate) async fn send(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: SendMessage,
) -> Result<String, CallError> {
    if instance.account.hooks.see_outgoing() {
        return boxed(|| send_hooked(instance, command)).await;
    }
    ask_to_send(instance, granted, command).await
}

/// Puts a future into a box. Few accounts have hooks, and the futures of all others would be kilobytes larger.
///
/// It is made here, and not inlined: otherwise each stack of a plugin that sends would have room for it, too.
#[cold]
#[inline(never)]
fn boxed<'a, F: Future + Send + 'a>(make: impl FnOnce() -> F) -> BoxFuture<'a, F::Output> {
    Box::pin(make())
}

async fn send_hooked(instance: &Arc<Instance>, command: SendMessage) -> Result<String, CallError> {
    let SendMessage { to, kind, draft } = command;
    let (draft, _place) = checked(instance, &to, kind, draft).await?;
    let call = if kind == MessageKind::Groupchat { CallName::RoomsSend } else { CallName::ChatsSend };
    let granted = granted_now(instance, call, kind, &to)?;
    ask_to_send(instance, &granted, SendMessage { to, kind, draft }).await
}

/// Returns the proof that the plugin may still make this call. The owner may have taken the grant back while the message waited.
fn granted_now(instance: &Instance, call: CallName, kind: MessageKind, to: &Jid) -> Result<Granted, CallError> {
    if kind == MessageKind::Groupchat {
        return instance.granted(call, Target::Room(&to.to_bare()));
    }
    instance.granted(call, Target::Jid(to))
}

/// Asks a person a question by this call, as hooks let it pass and if the plugin still may. Returns where its end arrives.
pub(crate) async fn question(
    instance: &Arc<Instance>,
    call: CallName,
    command: BeginDialog,
) -> Result<Receiver<DialogEnd>, CallError> {
    let BeginDialog { mailbox, plugin, to, nick, question, draft, most } = command;
    let kind = if nick.is_some() { MessageKind::Groupchat } else { MessageKind::Chat };
    let (draft, _place) = checked(instance, &to, kind, draft).await?;
    let granted = granted_now(instance, call, kind, &to)?;
    instance.ask(&granted, BeginDialog { mailbox, plugin, to, nick, question, draft, most }).await
}

/// Answers a command in the form by which it was given, as hooks let the text pass. It may have at most so many bytes.
pub(crate) async fn in_form(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: AnswerForm,
    longest: usize,
) -> Result<(), CallError> {
    // A message without a text would be none.
    if instance.account.hooks.see_outgoing() && !command.text.is_empty() {
        return boxed(|| in_form_hooked(instance, granted, command, longest)).await;
    }
    instance.ask(granted, command).await
}

async fn in_form_hooked(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: AnswerForm,
    longest: usize,
) -> Result<(), CallError> {
    let AnswerForm { plugin, form, text, more } = command;
    // To hooks it is a message to the person.
    let to = Jid::from(instance.ask(granted, FindForm { plugin: plugin.clone(), form: form.clone() }).await?);
    let draft = Draft { body: Some(text), ..Draft::default() };
    let (draft, _place) = checked(instance, &to, MessageKind::Chat, draft).await?;
    let text = draft.body.unwrap_or_default();
    if text.len() > longest {
        let reason = format!("{} bytes are more than the {longest} of an answer in a form", text.len());
        return Err(of_a_hook(&CallError::invalid("body", reason)));
    }
    instance.ask(granted, AnswerForm { plugin, form, text, more }).await
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
        return boxed(|| send_raw_hooked(instance, granted, command)).await;
    }
    instance.ask(granted, command).await
}

async fn send_raw_hooked(instance: &Arc<Instance>, granted: &Granted, command: SendRaw) -> Result<(), CallError> {
    let SendRaw { by, stanza } = command;
    let Some(passed) = hooked(instance, shown(&instance.account, &stanza)).await? else {
        return instance.ask(granted, SendRaw { by, stanza }).await;
    };
    // As above. It is a message, since hooks saw it.
    let to = stanza.to();
    let granted = instance.granted(CallName::ApiSend, Target::Stanza { kind: stanza.kind(), to: to.as_ref() })?;
    let is_same = passed.texts.change_nothing();
    let stanza = if is_same { stanza } else { passed.texts.in_stanza(&stanza).map_err(|error| of_a_hook(&error))? };
    instance.ask(&granted, SendRaw { by, stanza }).await
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use parlor_config::Settings;
    use parlor_plugins::limits::Limits;
    use parlor_plugins::policy::hooks::HookOrder;
    use parlor_session::{Question, Session};
    use parlor_stanza::raw::RawStanza;

    use super::*;
    use crate::account::hooks::order::set_order;
    use crate::instance::tests::instance as disconnected_instance;

    /// Sends something to this person in one of the ways that hooks see.
    async fn sends(instance: &Arc<Instance>, way: &str, to: Jid, draft: Draft) -> Result<(), CallError> {
        match way {
            "message" => {
                let granted = instance.granted(CallName::ChatsSend, Target::Jid(&to))?;
                send(instance, &granted, SendMessage { to, kind: MessageKind::Chat, draft }).await.map(drop)
            }
            "question" => {
                let asked = Question::check("Tea?".to_owned(), Vec::new(), None)?;
                let (mailbox, plugin, draft) =
                    (Arc::clone(&instance.mailbox), instance.plugin.clone(), asked.message(None));
                let begins = BeginDialog { mailbox, plugin, to, nick: None, question: asked, draft, most: 1 };
                question(instance, CallName::DialogsAsk, begins).await.map(drop)
            }
            _ => {
                let own = "bot@example.org/here".parse().unwrap();
                let stanza = RawStanza::parse(&format!("<message to='{to}'><body>hi</body></message>"), &own)?;
                let target = Target::Stanza { kind: "message", to: Some(&to) };
                let granted = instance.granted(CallName::ApiSend, target)?;
                send_raw(instance, &granted, SendRaw { by: instance.id, stanza }).await
            }
        }
    }

    #[tokio::test]
    async fn what_waited_for_hooks_goes_by_what_is_granted_then() {
        let grants = "\"messages.send\" = [\"*\"]\n\"stanza.send\" = [\"message\"]";
        for (way, is_taken_back) in
            ["message", "question", "raw"].into_iter().flat_map(|way| [(way, false), (way, true)])
        {
            let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
            let named = Session::new("bot@example.org/here".parse().unwrap(), Settings::default());
            instance.account.publish(named.snapshot());
            // It does not run, so everything passes, and still one after the other.
            let outgoing = vec!["absent".parse().unwrap()];
            set_order(&instance.account, HookOrder { outgoing, ..HookOrder::default() });
            let to: Jid = "romeo@example.org".parse().unwrap();
            let draft = Draft { body: Some("hi".to_owned()), ..Draft::default() };
            let (_, before) = checked(&instance, &to, MessageKind::Chat, draft.clone()).await.unwrap();
            let mut call = pin!(sends(&instance, way, to, draft));
            assert!(poll!(call.as_mut()).is_pending(), "{way}");
            if is_taken_back {
                instance.account.router.grant(&instance.mailbox, Arc::default());
            }
            drop(before);
            let result = call.await;
            assert_eq!(matches!(result, Err(CallError::Denied { .. })), is_taken_back, "{way}: {result:?}");
        }
    }
}
