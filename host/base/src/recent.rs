//! A bounded set of the most recent items, so that nothing is delivered twice. It stores hashes that no outsider can
//! predict.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};

/// The hashes of the items that were noted last.
#[derive(Debug)]
pub struct Recent {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
    most: usize,
}

impl Recent {
    /// Creates a set that remembers the last `most` items.
    pub fn new(most: usize) -> Self {
        Self { hasher: RandomState::new(), known: HashSet::new(), order: VecDeque::new(), most }
    }

    /// Returns the hash of an item in this set.
    pub fn hash(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Returns whether this was noted and is still remembered.
    pub fn knows(&self, hash: u64) -> bool {
        self.known.contains(&hash)
    }

    /// Notes this. Returns `false` if it was remembered already.
    pub fn note(&mut self, hash: u64) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(hash);
        true
    }

    /// Returns whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns how many items are remembered.
    #[cfg(any(test, feature = "test-support"))]
    pub fn count(&self) -> usize {
        self.known.len().max(self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_known_and_no_more() {
        let mut recent = Recent::new(2);
        let [one, two, three] = ["one", "two", "three"].map(|word| recent.hash(word));
        assert!(recent.note(one) && !recent.note(one) && recent.note(two) && recent.note(three));
        assert_eq!([one, two, three].map(|hash| recent.knows(hash)), [false, true, true]);
        assert_eq!(recent.count(), 2);
    }
}
