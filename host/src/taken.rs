//! How many places are taken, and by whom. Those who share some places have few each, so that one does not keep all others waiting.

use std::collections::BTreeMap;

/// The places that are taken, by the names of those who have them.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The most in all.
    most: usize,
    /// The most for one while less than half of the places are taken. After that, each has one.
    most_each: usize,
    now: BTreeMap<String, usize>,
}

impl Taken {
    /// Begins without any.
    pub(crate) const fn new(most: usize, most_each: usize) -> Self {
        Self { most, most_each, now: BTreeMap::new() }
    }

    /// Returns whether there is one more place for this one.
    pub(crate) fn has_room(&self, whose: &str) -> bool {
        let (all, own) = (self.now.values().sum::<usize>(), self.now.get(whose).copied().unwrap_or_default());
        let most_each = if all < self.most / 2 { self.most_each } else { 1 };
        all < self.most && own < most_each
    }

    /// Takes a place. Returns false if there is none for this one.
    pub(crate) fn add(&mut self, whose: &str) -> bool {
        let has_room = self.has_room(whose);
        if has_room {
            *self.now.entry(whose.to_owned()).or_default() += 1;
        }
        has_room
    }

    /// Gives a place back.
    pub(crate) fn remove(&mut self, whose: &str) {
        if let Some(count) = self.now.get_mut(whose) {
            *count -= 1;
            if *count == 0 {
                self.now.remove(whose);
            }
        }
    }

    /// Returns whether nothing is remembered of places that were taken.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.now.is_empty()
    }
}
