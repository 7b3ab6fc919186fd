//! The plugins that answer requests of other plugins on the account, and the requests that wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_base::id::{InstanceId, PluginId};
use parlor_session::router::{Handled, Mailbox};
use parlor_stanza::error::CallError;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::unanswered::{CallAnswer, Waiting};

/// Maximum number of requests of one plugin that may wait for another one.
const MOST_OF_ONE: usize = 16;
/// Maximum number of requests each of which waits for the next one.
const MOST_DEEP: usize = 4;

/// An instance that answers requests of other plugins.
#[derive(Debug)]
pub(crate) struct Callee {
    /// Its plugin.
    pub(crate) plugin: PluginId,
    /// The instance.
    pub(crate) instance: InstanceId,
    /// Its mailbox.
    pub(crate) mailbox: Arc<Mailbox>,
    /// The names of the requests that its manifest declares.
    pub(crate) names: Vec<String>,
    /// The requests that wait for its answers.
    pub(crate) waiting: Arc<Waiting<CallAnswer>>,
    /// How long a request waits.
    pub(crate) time: Duration,
    /// Maximum length of the value of a request, in bytes: a larger event would end the plugin.
    pub(crate) longest: usize,
}

/// The plugins that answer requests of others.
#[derive(Debug, Default)]
pub(crate) struct Callees(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// While one instance is replaced by another, both are there.
    all: Vec<Arc<Callee>>,
    /// The pending requests, as pairs of the asking and the asked plugin.
    pending: Vec<(PluginId, PluginId)>,
    /// Those for whose answers nobody waits any more, with what tells that the asked plugin has handled them.
    left: Vec<((PluginId, PluginId), oneshot::Receiver<Handled>)>,
}

impl Known {
    /// Returns whether one plugin waits for another, by way of further ones or without.
    fn waits(&self, one: &PluginId, other: &PluginId) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![one]);
        while let Some(plugin) = open.pop() {
            if plugin == other {
                return true;
            }
            if seen.insert(plugin) {
                open.extend(self.pending.iter().filter(|(asks, _)| asks == plugin).map(|(_, asked)| asked));
            }
        }
        false
    }

    /// Returns the length of the longest chain of pending requests from this plugin, at most `MOST_DEEP`. The callback
    /// returns the ends of a request in the direction of the search. There is no cycle among them.
    fn depth<'k>(
        &'k self,
        plugin: &'k PluginId,
        ends_of: impl Fn(&'k (PluginId, PluginId)) -> (&'k PluginId, &'k PluginId),
    ) -> usize {
        let (mut depth, mut ends) = (0, BTreeSet::from([plugin]));
        loop {
            let next = self.pending.iter().map(&ends_of).filter(|(from, _)| ends.contains(from));
            ends = next.map(|(_, to)| to).collect();
            if ends.is_empty() || depth == MOST_DEEP {
                return depth;
            }
            depth += 1;
        }
    }

    /// Returns how many requests would wait for one another with a further one between these plugins. A chain grows at
    /// both of its ends, and a request may join two of them.
    fn depth_with(&self, asks: &PluginId, asked: &PluginId) -> usize {
        let before = self.depth(asks, |(asks, asked)| (asked, asks));
        let behind = self.depth(asked, |(asks, asked)| (asks, asked));
        before + 1 + behind
    }
}

impl Callees {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an instance answers requests.
    pub(crate) fn add(&self, callee: Callee) {
        self.known().all.push(Arc::new(callee));
    }

    /// Forgets an instance that is gone.
    pub(super) fn forget(&self, instance: InstanceId) {
        self.known().all.retain(|callee| callee.instance != instance);
    }

    /// Returns the instance of a plugin that answers requests of this name.
    pub(crate) fn find(&self, plugin: &PluginId, name: &str) -> Option<Arc<Callee>> {
        let known = self.known();
        let is_meant = |callee: &&Arc<Callee>| callee.plugin == *plugin && !callee.mailbox.is_shadowed();
        let callee = known.all.iter().rfind(is_meant)?;
        callee.names.iter().any(|one| one == name).then(|| Arc::clone(callee))
    }

    /// Notes a request for whose answer nobody waits any more. It takes a place in the mailbox of the asked plugin until that has
    /// handled it, so it counts: otherwise a plugin that gives its requests up could send any number.
    pub(crate) fn leave(&self, pair: (PluginId, PluginId), handled: oneshot::Receiver<Handled>) {
        self.known().left.push((pair, handled));
    }

    /// Counts a request as waiting until the guard is dropped. A request that would make a plugin wait for itself is
    /// refused.
    pub(crate) fn begin(self: &Arc<Self>, asks: &PluginId, asked: &PluginId) -> Result<Pending, CallError> {
        let mut known = self.known();
        if known.waits(asked, asks) {
            let cycle = format!("a cycle of requests: {asked} waits for {asks}; answer that request first");
            return Err(CallError::Other(cycle));
        }
        if known.depth_with(asks, asked) > MOST_DEEP {
            return Err(CallError::OverLimit(format!("{MOST_DEEP} requests wait for one another")));
        }
        let pair = (asks.clone(), asked.clone());
        known.left.retain_mut(|(_, handled)| handled.try_recv() == Err(TryRecvError::Empty));
        let left = known.left.iter().filter(|(one, _)| *one == pair).count();
        if known.pending.iter().filter(|one| **one == pair).count() + left >= MOST_OF_ONE {
            return Err(CallError::OverLimit(format!("{MOST_OF_ONE} requests of this plugin wait for {asked}")));
        }
        known.pending.push(pair.clone());
        drop(known);
        Ok(Pending { among: Arc::clone(self), pair })
    }
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    among: Arc<Callees>,
    pair: (PluginId, PluginId),
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut known = self.among.known();
        if let Some(at) = known.pending.iter().position(|one| *one == self.pair) {
            known.pending.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(id: &str) -> PluginId {
        id.parse().unwrap()
    }

    #[test]
    fn a_request_that_would_wait_for_itself_is_refused() {
        let callees = Arc::<Callees>::default();
        let begin = |asks: &str, asked: &str| callees.begin(&plugin(asks), &plugin(asked));
        assert!(matches!(begin("a", "a"), Err(CallError::Other(words)) if words.contains("cycle")));
        let ab = begin("a", "b").unwrap();
        assert!(begin("b", "a").is_err());
        let bc = begin("b", "c").unwrap();
        assert!(matches!(begin("c", "a"), Err(CallError::Other(words)) if words.contains("cycle")));
        assert!(begin("a", "c").is_ok(), "two may wait for one");
        drop(ab);
        assert!(begin("c", "a").is_ok() && begin("c", "b").is_err());
        drop(bc);
        assert!(begin("c", "b").is_ok());
        assert!(callees.known().pending.is_empty());
    }

    #[test]
    fn requests_are_bounded_in_depth_and_number() {
        let callees = Arc::<Callees>::default();
        let begin = |asks: &str, asked: &str| callees.begin(&plugin(asks), &plugin(asked));
        let _chain = ["ab", "bc", "cd", "de"].map(|pair| begin(&pair[..1], &pair[1..]).unwrap());
        assert!(matches!(begin("e", "f"), Err(CallError::OverLimit(_))));
        let _many: Vec<_> = (0..MOST_OF_ONE).map(|_| begin("x", "y").unwrap()).collect();
        assert!(matches!(begin("x", "y"), Err(CallError::OverLimit(_))));
        assert!(begin("x", "z").is_ok() && begin("z", "y").is_ok());
    }

    #[test]
    fn a_request_that_was_given_up_counts_until_it_was_handled() {
        let callees = Arc::<Callees>::default();
        let begin = |asks: &str, asked: &str| callees.begin(&plugin(asks), &plugin(asked));
        let mut handlers = Vec::new();
        for _ in 0..MOST_OF_ONE {
            let _pending = begin("x", "y").unwrap();
            let (handler, done) = oneshot::channel();
            callees.leave((plugin("x"), plugin("y")), done);
            handlers.push(handler);
        }
        assert!(matches!(begin("x", "y"), Err(CallError::OverLimit(_))));
        assert!(begin("z", "y").is_ok() && begin("y", "x").is_ok(), "nobody waits for it");
        handlers.pop().unwrap().send(Handled::Well).unwrap();
        let last = begin("x", "y").unwrap();
        assert!(begin("x", "y").is_err());
        // The instance ends.
        drop((handlers, last));
        assert!(begin("x", "y").is_ok() && callees.known().left.is_empty());
    }

    #[test]
    fn a_chain_of_requests_is_bounded_wherever_it_grows() {
        let grows = |pairs: [&str; 4], last: &str| {
            let callees = Arc::<Callees>::default();
            let begin = |pair: &str| callees.begin(&plugin(&pair[..1]), &plugin(&pair[1..]));
            let chain = pairs.map(|pair| begin(pair).unwrap());
            assert!(matches!(begin(last), Err(CallError::OverLimit(_))), "{pairs:?}, {last}");
            // One of them is answered: there is room for another one, and not for two.
            let [one, ..] = chain;
            drop(one);
            let _last = begin(last).unwrap();
            assert!(matches!(begin(pairs[0]), Err(CallError::OverLimit(_))), "{pairs:?}, {last}");
        };
        grows(["ab", "bc", "cd", "de"], "ef");
        grows(["ef", "de", "cd", "bc"], "ab");
        grows(["ab", "bc", "de", "ef"], "cd");
        grows(["ef", "ab", "de", "bc"], "cd");
        grows(["ab", "cd", "de", "ef"], "bc");
    }

    #[test]
    fn the_longest_of_several_chains_counts() {
        let callees = Arc::<Callees>::default();
        let begin = |pair: &str| callees.begin(&plugin(&pair[..1]), &plugin(&pair[1..]));
        // From b to d there is a short way, and a long one.
        let _chain = ["bd", "bc", "cd", "de"].map(|pair| begin(pair).unwrap());
        let _before = begin("ab").unwrap();
        assert!(matches!(begin("xa"), Err(CallError::OverLimit(_))));
        assert!(matches!(begin("ef"), Err(CallError::OverLimit(_))));
        assert!(begin("xb").is_ok() && begin("ae").is_ok(), "beside the chain there is room");
    }
}
