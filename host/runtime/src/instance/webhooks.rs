//! The requests to webhooks of an instance that wait for its answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Instance;

/// An answer of a plugin to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, with their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The senders that wait for an answer, by the id of the request.
type Waiting = HashMap<String, oneshot::Sender<WebhookAnswer>>;

/// The requests that wait. They take no memory while there are none.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(Mutex<Option<Box<Waiting>>>);

impl Unanswered {
    /// Answers a request. Returns false if nobody waits for that.
    pub(crate) fn answer(&self, id: &str, answer: WebhookAnswer) -> bool {
        let waits = self.waiting().as_mut().and_then(|waiting| waiting.remove(id));
        waits.is_some_and(|waits| waits.send(answer).is_ok())
    }

    /// Returns whether one more may wait, of so many at most.
    pub(crate) fn has_room(&self, most: u32) -> bool {
        self.waiting().as_ref().map_or(0, |waiting| waiting.len()) < most as usize
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Box<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for an answer, until this is dropped.
pub(crate) struct UnansweredRequest {
    instance: Arc<Instance>,
    id: String,
    pub(crate) answer: oneshot::Receiver<WebhookAnswer>,
}

impl UnansweredRequest {
    /// Lets a request wait for an answer; `None` if as many wait as the plugin may have.
    pub(crate) fn begin(instance: &Arc<Instance>, id: String) -> Option<Self> {
        let mut waiting = instance.unanswered.waiting();
        let all = waiting.get_or_insert_default();
        if all.len() >= instance.limits.webhook_queue as usize {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        all.insert(id.clone(), sender);
        drop(waiting);
        Some(Self { instance: Arc::clone(instance), id, answer })
    }
}

impl Drop for UnansweredRequest {
    fn drop(&mut self) {
        let mut waiting = self.instance.unanswered.waiting();
        if let Some(all) = waiting.as_mut() {
            all.remove(&self.id);
            if all.is_empty() {
                *waiting = None;
            }
        }
    }
}
