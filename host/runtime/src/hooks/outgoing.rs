//! The messages of plugins on their way out. All of them pass here, before the account's task gets them.

use std::sync::Arc;

use jid::Jid;
use parlor_plugins::policy::hooks::{HookOrder, OnFailure};
use parlor_session::permissions::Granted;
use parlor_session::{SendMessage, SendRaw};
use parlor_stanza::altered::Texts;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{Message, MessageKind, Outgoing};

use super::Point;
use super::chain::{Answer, Asked, ask, behind};
use super::lines::Place;
use crate::instance::Instance;
use crate::unanswered::Verdict;

/// Sends a message of a plugin, as hooks let it pass. Returns its id.
pub(crate) async fn send(
    instance: &Arc<Instance>,
    granted: &Granted,
    command: SendMessage,
) -> Result<String, CallError> {
    if !instance.account.hooks.see_outgoing() {
        return instance.ask(granted, command).await;
    }
    let SendMessage { to, kind, draft } = command;
    let written =
        Outgoing::Message { to: to.clone(), kind, id: String::new(), draft: draft.clone(), to_occupant: false };
    let shown =
        shown(instance, &RawStanza::of(written)).map(|message| Message { id: None, origin_id: None, ..message });
    let Some(passed) = pass(instance, &to, shown).await? else {
        return instance.ask(granted, SendMessage { to, kind, draft }).await;
    };
    let draft = passed.texts.in_draft(draft).map_err(of_a_hook)?;
    instance.ask(granted, SendMessage { to, kind, draft }).await
}

/// Sends a stanza of a plugin, as hooks let it pass if it is a message.
pub(crate) async fn send_raw(instance: &Arc<Instance>, granted: &Granted, command: SendRaw) -> Result<(), CallError> {
    if !instance.account.hooks.see_outgoing() {
        return instance.ask(granted, command).await;
    }
    let SendRaw { by, stanza } = command;
    let to = stanza.to().unwrap_or_else(|| instance.account.own.clone().into());
    let Some(passed) = pass(instance, &to, shown(instance, &stanza)).await? else {
        return instance.ask(granted, SendRaw { by, stanza }).await;
    };
    let stanza =
        if passed.texts.change_nothing() { stanza } else { passed.texts.in_stanza(&stanza).map_err(of_a_hook)? };
    instance.ask(granted, SendRaw { by, stanza }).await
}

/// Returns a stanza as hooks see it; `None` if it is no message, or while the account has no address.
fn shown(instance: &Instance, stanza: &RawStanza) -> Option<Message> {
    let snapshot = instance.account.snapshot();
    let own = snapshot.jid.try_as_full().ok()?;
    let mut message = *stanza.leaving(own, instance.account.clock.now())?;
    // A private message to an occupant is a conversation of its own.
    if message.kind != MessageKind::Groupchat
        && message.to.is_full()
        && snapshot.rooms.contains_key(&message.to.to_bare())
    {
        message.chat = message.to.clone();
    }
    Some(message)
}

/// A message that may pass with these texts. It keeps its place in the line until it is dropped.
struct Passed {
    texts: Texts,
    _place: Place,
}

/// Asks the hooks about a message, and waits for its turn. None: there is no message to ask about.
async fn pass(instance: &Arc<Instance>, to: &Jid, message: Option<Message>) -> Result<Option<Passed>, CallError> {
    let Some(message) = message else { return Ok(None) };
    // Hooks see a copy of it.
    let _copy = instance.hold(message.raw.weight())?;
    let _waits = instance.waits_for_session();
    let hooks = &instance.account.hooks;
    let order = hooks.order();
    let mut place = Place::take(&hooks.lines, instance.id, to.to_bare());
    let verdict = place.unless_overdue(verdict(instance, &order, message)).await;
    // Also one that is stopped: else those behind it would pass those before it.
    place.comes().await;
    let texts = match verdict {
        Some(verdict) => verdict?,
        None => by_rule(order.on_failure).map(|()| Texts::default())?,
    };
    Ok(Some(Passed { texts, _place: place }))
}

/// Returns the texts with which a message passes the hooks, or the error that its sender gets.
async fn verdict(instance: &Instance, order: &HookOrder, message: Message) -> Result<Texts, CallError> {
    let asked = Asked { point: Point::Outgoing, plugin: Some(instance.plugin.clone()), args: Vec::new() };
    let (mut message, mut texts) = (Arc::new(message), Texts::default());
    for hook in behind(&order.outgoing, &instance.plugin) {
        match ask(&instance.account, hook, order, &asked, &message).await {
            Answer::Skipped | Answer::Given(Verdict::Allow | Verdict::Mark(_)) => {}
            Answer::Given(Verdict::Alter(changes)) => {
                changes.show_in(Arc::make_mut(&mut message));
                texts.then(changes);
            }
            Answer::Given(Verdict::Stop(reason)) => {
                return Err(CallError::Rejected(reason.unwrap_or_else(|| "a hook stopped the message".to_owned())));
            }
            Answer::Missing(rule) => by_rule(rule)?,
        }
    }
    Ok(texts)
}

/// Decides about a message without a verdict.
fn by_rule(rule: OnFailure) -> Result<(), CallError> {
    match rule {
        OnFailure::Pass => Ok(()),
        OnFailure::Stop => Err(CallError::Rejected("a hook that decides about the message did not answer".to_owned())),
    }
}

/// Returns the error for a message that cannot be sent with what a hook made of it.
fn of_a_hook(error: CallError) -> CallError {
    CallError::Rejected(format!("a hook changed the message, and it cannot be sent so: {error}"))
}
