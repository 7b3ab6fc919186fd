//! The plugins that need a listener for their webhooks, and the addresses to listen at.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::token::Token;

/// The secret part of each webhook's address, by the name of the webhook.
pub(crate) type Tokens = Arc<ArcSwap<BTreeMap<String, Token>>>;

/// The numbers of plugins with webhooks.
#[derive(Debug, Clone)]
pub struct Listening {
    /// Of those that may get requests. While it is not zero, a listener is needed.
    needed: watch::Sender<usize>,
    /// Of those whose addresses are not read yet.
    unread: watch::Sender<usize>,
}

impl Default for Listening {
    fn default() -> Self {
        Self { needed: watch::Sender::new(0), unread: watch::Sender::new(0) }
    }
}

impl Listening {
    /// Returns a receiver for the number of plugins that need a listener.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.needed.subscribe()
    }

    /// Returns a receiver for the number of plugins whose addresses are not read yet.
    pub fn watch_unread(&self) -> watch::Receiver<usize> {
        self.unread.subscribe()
    }

    pub(super) fn one_more(&self) -> Counted {
        Counted::among(&self.needed)
    }

    pub(super) fn one_unread(&self) -> Counted {
        Counted::among(&self.unread)
    }
}

/// A plugin on an account that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted(watch::Sender<usize>);

impl Counted {
    fn among(all: &watch::Sender<usize>) -> Self {
        all.send_modify(|count| *count += 1);
        Self(all.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_counts_until_its_addresses_are_read_and_needs_a_listener_for_longer() {
        let listening = Listening::default();
        let (needed, unread) = (listening.watch(), listening.watch_unread());
        let numbers = || (*needed.borrow(), *unread.borrow());
        assert_eq!(numbers(), (0, 0));
        let one = (listening.one_more(), listening.one_unread());
        let other = (listening.one_more(), listening.one_unread());
        assert_eq!(numbers(), (2, 2));
        drop(one.1);
        assert_eq!(numbers(), (2, 1));
        drop(other);
        assert_eq!(numbers(), (1, 0));
        drop(one.0);
        assert_eq!(numbers(), (0, 0));
    }
}
