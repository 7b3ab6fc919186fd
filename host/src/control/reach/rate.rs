//! How often sessions of some accounts change a plugin. With each change, the host reads its whole policy again and the plugin starts
//! anew: a customer could keep the host busy, and those who run it waiting.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use parlor_base::rate::Bucket;

/// The changes of a plugin each second, over time.
const RATE: f64 = 0.2;
/// The most changes of a plugin at once.
const BURST: f64 = 20.0;
/// From this many plugins on, those that were not changed lately are forgotten.
const MOST: usize = 128;

/// The recent changes of each plugin.
#[derive(Debug)]
pub(super) struct Changes(Mutex<BTreeMap<String, Bucket>>);

impl Changes {
    /// Begins without any.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Counts a change of a plugin. Returns false if there were too many.
    pub(super) fn are_left(&self, plugin: &str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(plugin) {
            all.retain(|_, changes| changes.used() >= 1.0);
        }
        all.entry(plugin.to_owned()).or_insert_with(|| Bucket::new(RATE, BURST)).take(1.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_plugin_is_changed_so_often_and_keeps_no_other_one_from_that() {
        let changes = Changes::new();
        assert_eq!((0..1_000).filter(|_| changes.are_left("own")).count(), 20);
        assert!(changes.are_left("other"));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(changes.are_left("own") && !changes.are_left("own"));
    }

    #[tokio::test(start_paused = true)]
    async fn plugins_that_were_not_changed_lately_are_forgotten() {
        let changes = Changes::new();
        for number in 0..2 * MOST {
            assert!(changes.are_left(&number.to_string()));
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert!(changes.0.lock().unwrap().len() <= MOST);
    }
}
