//! Passes messages on to the plugins, as hooks decided.

use std::sync::Arc;

use parlor_base::id::InstanceId;
use parlor_session::event::{Event, Payload};
use parlor_session::{OpenQuestions, PossibleAnswer, command_owner, refuse_command, take_answer, withhold_command};
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
        worker.screening.count_overdue(&judged, &worker.shared);
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
    if let Some(screened) = worker.screening.take() {
        tell(worker, screened, judged);
    }
}

/// Passes on a message that no hook sees, and that may answer a question.
pub(super) fn tell_answer(worker: &mut Worker, answer: PossibleAnswer) {
    let screened = Screened::answer(answer, &worker.shared);
    tell(worker, screened, Judged::default());
}

fn tell(worker: &mut Worker, screened: Screened, judged: Judged) {
    let Screened { message, events, questions, .. } = screened;
    let Judged { labels, hidden_but_for, command } = judged;
    let shared = Arc::clone(&worker.shared);
    let shown = hidden_but_for.map(|plugins| {
        let running = plugins.iter().filter_map(|plugin| shared.hooks.find(plugin));
        running.map(|hook| hook.instance).collect::<Vec<_>>()
    });
    let sees = |instance: &InstanceId| shown.as_ref().is_none_or(|shown| shown.contains(instance));
    let asker = answered(worker, &message, &questions, &|instance| sees(&instance));
    // Only the session knows whether it is an answer, and only now.
    let is_unmarked = asker.is_none() && !questions.is_empty();
    let changed = (is_unmarked || !labels.is_empty()).then(|| {
        let command = message.command.clone().filter(|_| !is_unmarked);
        Arc::new(Message { labels, command, ..Message::clone(&message) })
    });
    for (to, mut event) in events {
        if let Some(changed) = &changed {
            change(&mut event, changed);
        }
        if let (Payload::Command { name, .. }, Some(instance)) = (&event.payload, to.one())
            && (command != Permit::Allowed || !sees(&instance))
        {
            withhold_command(&mut worker.session, &message, instance, name);
        }
        if matches!(event.payload, Payload::Command { .. })
            && let Permit::Refused(words) = &command
        {
            refuse(worker, &to, &message, words.as_deref());
            continue;
        }
        match (to, &shown) {
            // The plugin that asked gets it as the answer alone.
            (Audience::All, None) => shared.route(event, asker),
            (Audience::All, Some(shown)) => {
                let others: Vec<_> = shown.iter().copied().filter(|instance| Some(*instance) != asker).collect();
                shared.route_to(&others, event);
            }
            (Audience::One(instance), _) if sees(&instance) => tell_one(worker, instance, event),
            (Audience::Form(instance, form), _) if sees(&instance) => forms::tell(worker, instance, event, form),
            (Audience::Form(_, form), _) => forms::refused(worker, &form, None),
            (Audience::One(_), _) => {}
        }
    }
}

/// Passes an event on to one instance. A command that it does not get, such as one that its mailbox loses, begins no cooldown.
pub(super) fn tell_one(worker: &mut Worker, instance: InstanceId, event: Event) {
    let command = match &event.payload {
        Payload::Command { name, message, .. } => Some((Arc::clone(name), Arc::clone(message))),
        _ => None,
    };
    let is_told = worker.shared.route_to(&[instance], event);
    if let Some((name, message)) = command.filter(|_| !is_told) {
        withhold_command(&mut worker.session, &message, instance, &name);
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

/// Returns the instance that gets a message as the answer to its question.
fn answered(
    worker: &mut Worker,
    message: &Message,
    questions: &OpenQuestions,
    sees: &dyn Fn(InstanceId) -> bool,
) -> Option<InstanceId> {
    if questions.is_empty() {
        return None;
    }
    let now = worker.now();
    take_answer(&mut worker.session, message, questions, sees, now, &mut worker.effects)
}

/// Puts the message, as hooks and questions changed it, into an event.
fn change(event: &mut Event, changed: &Arc<Message>) {
    if let Payload::Message(message) | Payload::Command { message, .. } = &mut event.payload {
        *message = Arc::clone(changed);
    }
}
