//! Received messages and commands, on their way to the plugins.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::join_all;
use parlor_base::id::PluginId;
use parlor_plugins::policy::hooks::{HookOrder, NoVerdict, OnFailure};
use parlor_session::{Archived, Undecryptable};
use parlor_stanza::types::{Draft, Label, Message};

use super::Point;
use super::chain::{Answer, Asked, ask, before};
use super::outgoing::drafted;
use crate::account::Shared;
use crate::unanswered::Verdict;

/// Maximum number of missed messages about which hooks are asked at a time.
const AT_ONCE: usize = 16;

/// A command that somebody gave by a message.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// The plugin whose command it is. None: it is gone.
    pub(crate) plugin: Option<PluginId>,
    /// The arguments.
    pub(crate) args: Vec<String>,
}

/// The fate of a message and of the command in it.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// The labels that it got.
    pub(crate) labels: Vec<Label>,
    /// If it is hidden: the plugins that still get it.
    pub(crate) hidden_but_for: Option<Vec<PluginId>>,
    /// Whether its command is carried out.
    pub(crate) command: Permit,
}

/// Whether a command is carried out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Permit {
    /// It is.
    #[default]
    Allowed,
    /// It is not, and these are the words for the person.
    Refused(Option<String>),
}

impl Judged {
    /// Returns the decision for a message if no hook decided in time.
    pub(crate) fn by_rule(order: &HookOrder, is_asked: bool, is_command: bool) -> Self {
        let stops = order.fate(NoVerdict::Other) == OnFailure::Stop;
        Self {
            labels: Vec::new(),
            hidden_but_for: (stops && is_asked && !order.incoming.is_empty()).then(Vec::new),
            command: if stops && is_command && !order.commands.is_empty() {
                Permit::Refused(None)
            } else {
                Permit::Allowed
            },
        }
    }
}

/// Returns a message that cannot be decrypted as hooks see it: without a text, and without the trust in a device. `None` while
/// the account has no address.
pub(crate) fn without_text(account: &Shared, told: &Undecryptable) -> Option<Message> {
    let told = told.clone();
    let Undecryptable { id, stanza_id, chat, from, nick, kind, at, delayed, own, encryption, reason: _ } = told;
    let empty = drafted(account, &from, kind, Draft::default())?;
    let (to, encryption) = (account.snapshot().jid.clone(), Some(encryption));
    Some(Message { id, stanza_id, chat, from, to, nick, kind, at, delayed, own, encryption, ..empty })
}

/// Asks the hooks about a message, if they see it, and about the command in it, if there is one.
pub(crate) async fn judge(
    account: &Shared,
    order: &HookOrder,
    mut message: Arc<Message>,
    is_asked: bool,
    command: Option<Given>,
) -> Judged {
    let mut judged = Judged::default();
    if is_asked {
        let (labels, hidden) = look(account, order, &order.incoming, &message).await;
        judged.hidden_but_for = hidden.map(|by| order.incoming.get(..=by).unwrap_or_default().to_vec());
        if !labels.is_empty() {
            Arc::make_mut(&mut message).labels.clone_from(&labels);
        }
        judged.labels = labels;
    }
    if let Some(command) = command
        && judged.hidden_but_for.is_none()
    {
        judged.command = permit(account, order, &message, command).await;
    }
    judged
}

/// Returns the labels that hooks give a message, and the place of the one that hides it.
async fn look(
    account: &Shared,
    order: &HookOrder,
    hooks: &[PluginId],
    message: &Arc<Message>,
) -> (Vec<Label>, Option<usize>) {
    let asked = Asked { point: Point::Incoming, plugin: None, args: Vec::new() };
    let mut message = Arc::clone(message);
    for (place, hook) in hooks.iter().enumerate() {
        match ask(account, hook, order, &asked, &message).await {
            Answer::Skipped | Answer::Given(Verdict::Allow | Verdict::Alter(_)) | Answer::Missing(OnFailure::Pass) => {}
            Answer::Given(Verdict::Mark(text)) => {
                Arc::make_mut(&mut message).labels.push(Label { plugin: hook.to_string(), text });
            }
            Answer::Given(Verdict::Stop(_)) | Answer::Missing(OnFailure::Stop) => {
                return (message.labels.clone(), Some(place));
            }
        }
    }
    (message.labels.clone(), None)
}

/// Returns whether hooks let a command be carried out.
async fn permit(account: &Shared, order: &HookOrder, message: &Arc<Message>, command: Given) -> Permit {
    let Given { plugin, args } = command;
    let asked = Asked { point: Point::Commands, plugin, args };
    for hook in order.commands.iter().filter(|hook| asked.plugin.as_ref() != Some(*hook)) {
        match ask(account, hook, order, &asked, message).await {
            Answer::Given(Verdict::Stop(words)) => return Permit::Refused(words),
            Answer::Missing(OnFailure::Stop) => return Permit::Refused(None),
            Answer::Skipped | Answer::Given(_) | Answer::Missing(OnFailure::Pass) => {}
        }
    }
    Permit::Allowed
}

/// Leaves out the missed messages that hooks hide from a plugin, and labels the others.
pub(crate) async fn shown_of_missed(
    account: &Shared,
    plugin: &PluginId,
    missed: VecDeque<Archived>,
) -> VecDeque<Archived> {
    if !account.hooks.see_incoming() {
        return missed;
    }
    let order = account.hooks.order();
    let hooks = before(&order.incoming, plugin);
    if hooks.is_empty() {
        return missed;
    }
    let (mut missed, mut shown) = (missed.into_iter(), VecDeque::new());
    loop {
        let some: Vec<_> = missed.by_ref().take(AT_ONCE).map(|one| look_at(account, &order, hooks, one)).collect();
        if some.is_empty() {
            return shown;
        }
        shown.extend(join_all(some).await.into_iter().flatten());
    }
}

/// Labels a missed message, unless a hook hides it.
async fn look_at(account: &Shared, order: &HookOrder, hooks: &[PluginId], mut missed: Archived) -> Option<Archived> {
    let message = Arc::new((*missed.message).clone());
    let (labels, hidden) = look(account, order, hooks, &message).await;
    missed.message.labels = labels;
    hidden.is_none().then_some(missed)
}
