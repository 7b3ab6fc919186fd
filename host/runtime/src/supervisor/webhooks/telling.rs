//! Tells a plugin of the requests to a webhook, one after the other.

use std::sync::Arc;

use parlor_session::Webhook;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::router::Mail;
use parlor_store::{RequestState, StoreError, StoredRequest, WebhookRequest};
use tokio::sync::Mutex;

use super::super::Shared;
use super::super::staying::{
    Attempt, LOOK, STORE_PAUSE, attempt, is_alone, running, stays_for, stays_until, until_done,
};
use crate::instance::Instance;
use crate::webhooks::queue::Queue;
use crate::webhooks::{FailedAttempt, Webhooks};

/// Tells the plugin of requests to this webhook as they come, until it is to end.
pub(crate) async fn tell_in_order(shared: Arc<Shared>, name: String) {
    let Some(webhooks) = &shared.webhooks else { return };
    // Until then, the version that it replaces gets the requests.
    if !stays_until(&shared, is_alone(&shared)).await {
        return;
    }
    let queue = &webhooks.queue;
    let turn = queue.turn(&name);
    loop {
        let mut arrived = std::pin::pin!(queue.arrived.notified());
        // Each request from here on ends the wait below.
        arrived.as_mut().enable();
        let stays = match tell_next(&shared, webhooks, queue, &name, &turn).await {
            Ok(Some(stays)) => stays,
            Ok(None) => stays_until(&shared, arrived).await,
            Err(StoreError::Ended | StoreError::Log(_)) => false,
            Err(error) => {
                tracing::error!(plugin = %shared.admitted.id, account = %shared.account.name, %error, "requests to a webhook cannot be read");
                stays_until(&shared, tokio::time::sleep(STORE_PAUSE)).await
            }
        };
        if !stays {
            return;
        }
    }
}

/// The outcome of telling the plugin of one request.
enum Told {
    /// The request is over. Holds the next one, if that was read when the outcome was written.
    Over(Option<StoredRequest>),
    /// The plugin is to end before.
    Ends,
}

/// Tells the plugin of the oldest request until it is over, and then of those behind it; `None` if none waits. Returns false if
/// the plugin is to end before.
async fn tell_next(
    shared: &Shared,
    webhooks: &Webhooks,
    queue: &Queue,
    name: &str,
    turn: &Mutex<()>,
) -> Result<Option<bool>, StoreError> {
    // A request may still be in delivery to the instance before: without this lock, it would be delivered twice.
    let Some(_turn) = stays_for(shared, turn.lock()).await else { return Ok(Some(false)) };
    let Some(mut request) = webhooks.stored.next(name.to_owned()).await? else { return Ok(None) };
    loop {
        let id = request.id;
        // The owner may drop it at any time, also while its handler does not end.
        let told = tokio::select! {
            biased;
            () = queue.is_dropped(id) => Told::Over(None),
            told = tell(shared, webhooks, queue, request) => told,
        };
        queue.is_over(id);
        match told {
            Told::Over(Some(following)) => request = following,
            // Others may have come since: the caller looks again.
            Told::Over(None) => return Ok(Some(true)),
            Told::Ends => return Ok(Some(false)),
        }
    }
}

/// Tells the plugin of one request until it is over.
async fn tell(shared: &Shared, webhooks: &Webhooks, queue: &Queue, stored: StoredRequest) -> Told {
    let StoredRequest { id, mut attempts, request } = stored;
    loop {
        let Some(instance) = running(shared).await else { return Told::Ends };
        // It is safe on disk, so it takes no room that events need which are not.
        let has_room = instance.mailbox.has_room_for_a_request();
        let mail = if has_room { mail(&instance, id, attempts + 1, &request) } else { None };
        let Some(mail) = mail else {
            if !stays_until(shared, tokio::time::sleep(LOOK)).await {
                return Told::Ends;
            }
            continue;
        };
        let (state, pause) = match attempt(shared, &instance, mail, attempts).await {
            Attempt::Well => (Some(RequestState::Told), None),
            Attempt::Again(pause, why) => {
                queue.failed(id, FailedAttempt { next: shared.account.clock.now() + pause, why });
                (Some(RequestState::Waits), Some(pause))
            }
            Attempt::GivenUp => {
                let (plugin, account, webhook) = (&shared.admitted.id, &shared.account.name, &request.webhook);
                tracing::warn!(%plugin, %account, webhook, id, "plugin failed too often on a request to its webhook, which is given up");
                (Some(RequestState::GivenUp), None)
            }
            Attempt::Untold => (None, Some(LOOK)),
        };
        if let Some(state) = state {
            attempts += 1;
            // It is retried until it succeeds: a request that is stored as waiting would be delivered again at once.
            let note = || webhooks.stored.note_and_next(id, attempts, state, request.webhook.clone());
            let noted = until_done(shared, "the outcome of a request cannot be written", note).await;
            let Some(following) = noted else { return Told::Ends };
            if state != RequestState::Waits {
                return Told::Over(following);
            }
        }
        if !stays_until(shared, tokio::time::sleep(pause.unwrap_or_default())).await {
            return Told::Ends;
        }
    }
}

/// Returns the mail for a request; `None` if the plugin does not listen for it, or may not hear it.
pub(super) fn mail(instance: &Instance, id: i64, attempt: u32, request: &WebhookRequest) -> Option<Mail> {
    let WebhookRequest { webhook, sender: _, method, query, path, headers, body } = request;
    let webhook = Webhook {
        id: id.to_string(),
        name: webhook.clone(),
        attempt,
        method: method.clone(),
        query: query.clone(),
        path: path.clone(),
        headers: headers.clone(),
        body: body.clone(),
    };
    let payload = Payload::Webhook(Arc::new(webhook));
    let event = Event { name: EventName::from("webhook"), at: instance.account.clock.now(), payload };
    instance.account.router.mail_for(instance.id, event)
}
