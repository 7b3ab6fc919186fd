//! Passes messages on to the plugins, as hooks decided.

use std::sync::Arc;

use parlor_base::id::InstanceId;
use parlor_session::event::{Event, Payload};
use parlor_session::{command_owner, refuse_command};
use parlor_stanza::types::Message;

use super::hooks::incoming::{Judged, Permit};
use super::screening::Screened;
use super::worker::Worker;

/// Begins to ask hooks about messages that were added, and passes those on that wait for nobody, or for too long.
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
            if let Some(words) = words {
                let now = worker.now();
                refuse_command(&mut worker.session, &message, words, now, &mut worker.effects);
            }
            continue;
        }
        match (to, &shown) {
            (None, None) => shared.route(event),
            (None, Some(shown)) => shared.route_to(shown, event),
            (Some(instance), shown) => {
                if shown.as_ref().is_none_or(|shown: &Vec<InstanceId>| shown.contains(&instance)) {
                    shared.route_to(&[instance], event);
                }
            }
        }
    }
}

/// Puts the labelled message into an event.
fn label(event: &mut Event, labelled: &Arc<Message>) {
    if let Payload::Message(message) | Payload::Command { message, .. } = &mut event.payload {
        *message = Arc::clone(labelled);
    }
}
