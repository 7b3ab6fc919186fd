//! The plugins that need a listener for their webhooks, and the addresses to listen at.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

/// The secret part of each webhook's address, by the name of the webhook.
pub(crate) type Tokens = Arc<ArcSwap<BTreeMap<String, String>>>;

/// The number of plugins with webhooks. While it is not zero, a listener is needed.
#[derive(Debug, Clone)]
pub struct Listening(watch::Sender<usize>);

impl Default for Listening {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Listening {
    /// Returns a receiver for the number.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    pub(super) fn one_more(&self) -> ListenedFor {
        self.0.send_modify(|count| *count += 1);
        ListenedFor(self.clone())
    }
}

#[derive(Debug)]
pub(super) struct ListenedFor(Listening);

impl Drop for ListenedFor {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
