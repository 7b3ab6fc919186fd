//! Passes messages on to the plugins, as hooks decided.

use std::sync::Arc;

use parlor_base::id::InstanceId;
use parlor_session::event::{Event, Payload};
use parlor_session::{command_owner, refuse_command};
use parlor_stanza::types::Message;

use super::forms;
use super::hooks::incoming::{Judged, Permit};
use super::screening::{Audience, Screened};
use super::worker::Worker;

/// Begins to ask hooks about added messages, and passes on messages that need no verdict or waited for too long.
pub(super) fn begin(worker: &mut Worker) {
    let Worker { screening, shared, session, .. } = worker;
    screening.begin(shared, |instance| command_owner(session, instance));
    while worker.screening.is_full() {
        let judged = worker.screening.overdue();
        release(worker, judged);
    }
    while worker.screening.is_first_free() {
        release(worker, Judged::default());
    }
}

/// Passes everything on, once hooks have decided. That takes no longer than they may.
pub(super) async fn settle(worker: &mut Worker) {
    while !worker.screening.is_empty() {
        let judged = worker.screening.verdict().await;
        release(worker, judged);
    }
}

/// Passes the oldest message on, as it was decided.
pub(super) fn release(worker: &mut Worker, judged: Judged) {
    let Some(Screened { message, events, .. }) = worker.screening.take() else { return };
    let Judged { labels, hidden_but_for, command } = judged;
    let shared = Arc::clone(&worker.shared);
    let labelled = (!labels.is_empty()).then(|| Arc::new(Message { labels, ..Message::clone(&message) }));
    let shown = hidden_but_for.map(|plugins| {
        let running = plugins.iter().filter_map(|plugin| shared.hooks.find(plugin));
        running.map(|hooker| hooker.instance).collect::<Vec<_>>()
    });
    for (to, mut event) in events {
        if let Some(labelled) = &labelled {
            label(&mut event, labelled);
        }
        if matches!(event.payload, Payload::Command { .. })
            && let Permit::Refused(words) = &command
        {
            refuse(worker, &to, &message, words.as_deref());
            continue;
        }
        let sees = |instance: &InstanceId| shown.as_ref().is_none_or(|shown| shown.contains(instance));
        match (to, &shown) {
            (Audience::All, None) => shared.route(event, None),
            (Audience::All, Some(shown)) => shared.route_to(shown, event),
            (Audience::Except(except), None) => shared.route(event, Some(except)),
            (Audience::Except(except), Some(shown)) => {
                let others: Vec<_> = shown.iter().copied().filter(|instance| *instance != except).collect();
                shared.route_to(&others, event);
            }
            (Audience::One(instance), _) if sees(&instance) => shared.route_to(&[instance], event),
            (Audience::Form(instance, form), _) if sees(&instance) => forms::tell(worker, instance, event, form),
            (Audience::Form(_, form), _) => forms::refused(worker, &form, None),
            (Audience::One(_), _) => {}
        }
    }
}

/// Notifies the sender of a command that it was refused, in the place where it was given.
fn refuse(worker: &mut Worker, to: &Audience, message: &Message, words: Option<&str>) {
    match (to, words) {
        (Audience::Form(_, form), words) => forms::refused(worker, form, words),
        (_, Some(words)) => {
            let now = worker.now();
            refuse_command(&mut worker.session, message, words, now, &mut worker.effects);
        }
        (_, None) => {}
    }
}

/// Puts the labelled message into an event.
fn label(event: &mut Event, labelled: &Arc<Message>) {
    if let Payload::Message(message) | Payload::Command { message, .. } = &mut event.payload {
        *message = Arc::clone(labelled);
    }
}
