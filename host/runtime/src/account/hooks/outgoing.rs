//! The messages of plugins on their way out.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use jid::{BareJid, Jid};
use parlor_base::id::{InstanceId, PluginId};
use parlor_plugins::policy::hooks::{HookOrder, NoVerdict, OnFailure};
use parlor_stanza::altered::Texts;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{Draft, Message, MessageKind, Outgoing};

use super::Point;
use super::chain::{Answer, Asked, ask, behind};
use super::lines::Place;
use crate::account::Shared;
use crate::unanswered::Verdict;

/// A message that may be sent with these texts. It keeps its place in the queue of its sender and recipient until this
/// is dropped.
pub(crate) struct Passed {
    pub(crate) texts: Texts,
    _place: Place,
}

impl Passed {
    /// Returns the draft as hooks changed it.
    pub(crate) fn draft(&mut self, draft: Draft) -> Result<Draft, CallError> {
        std::mem::take(&mut self.texts).in_draft(draft).map_err(|error| of_a_hook(&error))
    }
}

/// Returns the error for a message that cannot be sent after a hook changed it.
pub(crate) fn of_a_hook(error: &CallError) -> CallError {
    CallError::Rejected(changed_so(error))
}

/// Returns why a message cannot be sent after a hook changed it.
pub(crate) fn changed_so(error: &CallError) -> String {
    format!("a hook changed the message, and it cannot be sent so: {error}")
}

/// Returns a message that is about to be sent as hooks see it; `None` while the account has no address.
pub(crate) fn drafted(account: &Shared, to: &Jid, kind: MessageKind, draft: Draft) -> Option<Message> {
    let written = Outgoing::Message { to: to.clone(), kind, id: String::new(), draft, to_occupant: false };
    let message = shown(account, &RawStanza::of(written))?;
    // The session gives it its id.
    Some(Message { id: None, origin_id: None, ..message })
}

/// Returns a stanza as hooks see it; `None` if it is not a message, or while the account has no address.
pub(crate) fn shown(account: &Shared, stanza: &RawStanza) -> Option<Message> {
    let snapshot = account.snapshot();
    let own = snapshot.jid.try_as_full().ok()?;
    let mut message = *stanza.leaving(own, account.clock.now())?;
    let in_room = |to: &Jid| to.is_full() && snapshot.rooms.contains_key(&to.to_bare());
    // A private message to an occupant belongs to a separate conversation.
    if message.kind != MessageKind::Groupchat && in_room(&message.to) {
        message.chat = message.to.clone();
    }
    Some(message)
}

/// Asks the hooks about a message of a plugin, and waits for its turn.
pub(crate) async fn pass(
    account: &Shared,
    instance: InstanceId,
    plugin: &PluginId,
    to: BareJid,
    message: Message,
) -> Result<Passed, CallError> {
    let order = account.hooks.order();
    let mut place = Place::take(&account.hooks.lines, instance, to);
    let (hooks, at) = (behind(&order.outgoing, plugin), AtomicUsize::new(0));
    let verdict = place.unless_overdue(verdict(account, &order, hooks, plugin, message, &at)).await;
    // A stopped message waits for its place, too: otherwise the messages after it would overtake those before it.
    place.comes().await;
    let texts = if let Some(verdict) = verdict {
        verdict?
    } else {
        by_rule(order.fate(NoVerdict::Other))?;
        account.records.passed_without(hooks.get(at.load(Relaxed)..).unwrap_or_default());
        Texts::default()
    };
    Ok(Passed { texts, _place: place })
}

/// Returns the texts with which a message passes these hooks, or the error that its sender gets. `at` is the place of the
/// hook that is asked.
async fn verdict(
    account: &Shared,
    order: &HookOrder,
    hooks: &[PluginId],
    plugin: &PluginId,
    message: Message,
    at: &AtomicUsize,
) -> Result<Texts, CallError> {
    let asked = Asked { point: Point::Outgoing, plugin: Some(plugin.clone()), args: Vec::new() };
    let (mut message, mut texts) = (Arc::new(message), Texts::default());
    for (place, hook) in hooks.iter().enumerate() {
        at.store(place, Relaxed);
        match ask(account, hook, order, &asked, &message).await {
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
