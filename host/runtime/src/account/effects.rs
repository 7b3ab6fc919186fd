//! Carrying out one effect of the session.

use std::sync::Arc;

use parlor_session::{Effect, make_otr_key};

use super::order::Order;
use super::screening::{Audience, is_of_message};
use super::worker::Worker;
use super::{encryption, forms, questions, room_news, screened};

/// Carries out an effect. Messages that hooks see wait for their verdict.
pub(super) fn carry_out(worker: &mut Worker, effect: Effect) {
    match effect {
        Effect::Fire(event) if is_of_message(&event) && is_screened(worker) => {
            worker.screening.put(Audience::All, event, &worker.shared);
        }
        Effect::FireFor(to, event) if is_of_message(&event) && is_screened(worker) => {
            worker.screening.put(Audience::One(to), event, &worker.shared);
        }
        Effect::FireForForm(to, event, form) if is_of_message(&event) && is_screened(worker) => {
            worker.screening.put(Audience::Form(to, form), event, &worker.shared);
        }
        Effect::FireAnswer(answer) if is_screened(worker) => worker.screening.put_answer(*answer, &worker.shared),
        Effect::FireAnswer(answer) => screened::tell_answer(worker, *answer),
        Effect::AskAgain(again) => questions::repeat(worker, *again),
        Effect::Fire(event) => worker.shared.route(event, None),
        Effect::FireFor(instance, event) => screened::tell_one(worker, instance, event),
        Effect::FireForForm(instance, event, form) => forms::tell(worker, instance, event, form),
        Effect::Answer(due) | Effect::Confirm(due) => due.give(),
        Effect::RoomNews(news) => room_news::tell(&worker.shared, &mut worker.alerts, &news),
        Effect::Keep(change) => worker.keep_roster(change),
        Effect::EntryCame { contact, is_edited } => {
            worker.shared.records.contact_came(&contact, is_edited, worker.now());
        }
        Effect::Command(request) => worker.hand_on(request),
        Effect::Ask(request) => worker.ask_plugin(request),
        Effect::Send(outgoing) | Effect::SendKept(outgoing) => worker.put_out(outgoing, None),
        Effect::SendFor(outgoing, sent) => worker.put_out(outgoing, Some(sent)),
        Effect::KeepKeys(changes) => worker.keepers.encryption.keep(changes),
        Effect::KeyNews(news) => encryption::tell(&worker.shared, news),
        Effect::MakeOtrKey => {
            let shared = Arc::clone(&worker.shared);
            let runtime = shared.place.runtime.clone();
            runtime.spawn(async move {
                if let Ok(key) = tokio::task::spawn_blocking(make_otr_key).await {
                    // The account may have ended meanwhile.
                    let _ = shared.order(Order::OtrKey(key)).await;
                }
            });
        }
    }
}

fn is_screened(worker: &Worker) -> bool {
    worker.shared.hooks.see_incoming() || !worker.screening.is_empty()
}
