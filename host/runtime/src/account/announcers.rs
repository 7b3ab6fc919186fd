//! The plugins whose grants say what the account announces: the nodes of accounts (PEP, XEP-0163) that they subscribe to, for
//! contacts' servers, and whether their own features count.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_base::id::InstanceId;
use parlor_base::permission::Permission;
use parlor_session::permissions::Scope;
use parlor_session::router::Mailbox;

/// Maximum number of nodes that are announced.
const MOST: usize = 64;
/// Maximum length of the name of one, in bytes: everybody who sees the account gets all of them.
const LONGEST: usize = 500;

/// The instances that may read nodes, or announce features.
#[derive(Debug, Default)]
pub(crate) struct Announcers(Mutex<Vec<Arc<Mailbox>>>);

impl Announcers {
    fn readers(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an instance that may do either, by the grants that its mailbox has.
    pub(crate) fn add(&self, mailbox: &Arc<Mailbox>) {
        let mut readers = self.readers();
        if readers.iter().all(|one| one.instance() != mailbox.instance()) {
            readers.push(Arc::clone(mailbox));
        }
    }

    /// Forgets an instance that is gone.
    pub(super) fn forget(&self, instance: InstanceId) {
        self.readers().retain(|one| one.instance() != instance);
    }

    /// Returns the instances that may not announce features of their own now.
    pub(super) fn withheld(&self) -> BTreeSet<InstanceId> {
        let readers = self.readers();
        let without = readers.iter().filter(|one| !one.grants().has(Permission::DiscoOwn));
        without.map(|one| one.instance()).collect()
    }

    /// Returns the features that say which nodes are wanted (XEP-0163, section 4.3), and how many nodes have none.
    pub(super) fn features(&self) -> (Vec<String>, usize) {
        let mut nodes = BTreeSet::new();
        let readers = self.readers();
        for reader in &*readers {
            let grants = reader.grants();
            let named = grants.get(Permission::PubsubRead).into_iter().flat_map(Scope::nodes_of_accounts);
            nodes.extend(named.map(str::to_owned));
        }
        let count = nodes.len();
        // The hash of all features could not tell one with this character from two.
        let announced = nodes.into_iter().filter(|node| node.len() <= LONGEST && !node.contains('<'));
        let features: Vec<_> = announced.take(MOST).map(|node| format!("{node}+notify")).collect();
        let left_out = count - features.len();
        (features, left_out)
    }
}

#[cfg(test)]
mod tests {
    use parlor_session::permissions::Grants;

    use super::*;

    fn mailbox(entries: &[&str]) -> Arc<Mailbox> {
        let mut grants = Grants::default();
        grants.grant(Permission::PubsubRead, entries).unwrap();
        Mailbox::new(InstanceId::next(), 1, Arc::new(grants)).0
    }

    #[test]
    fn the_named_nodes_of_accounts_are_announced_while_a_plugin_may_read_them() {
        let announcers = Announcers::default();
        let one = mailbox(&["contacts/urn:a", "pubsub.example.org/news", "own/urn:b", "example.org/*"]);
        let other = mailbox(&["*/urn:a", "*", "own/a<b"]);
        announcers.add(&one);
        announcers.add(&one);
        announcers.add(&other);
        assert_eq!(announcers.features(), (vec!["urn:a+notify".to_owned(), "urn:b+notify".to_owned()], 1));
        announcers.forget(one.instance());
        assert_eq!(announcers.features(), (vec!["urn:a+notify".to_owned()], 1));
    }

    #[test]
    fn features_of_a_plugin_are_withheld_without_the_grant_to_announce_them() {
        let announcers = Announcers::default();
        let (reads, mut grants) = (mailbox(&["own/urn:a"]), Grants::default());
        grants.grant::<&str>(Permission::DiscoOwn, &[]).unwrap();
        let announcer = Mailbox::new(InstanceId::next(), 1, Arc::new(grants)).0;
        announcers.add(&reads);
        announcers.add(&announcer);
        assert_eq!(announcers.withheld(), BTreeSet::from([reads.instance()]));
        announcers.forget(reads.instance());
        assert_eq!(announcers.withheld(), BTreeSet::new());
    }

    #[test]
    fn only_so_many_are_announced() {
        let announcers = Announcers::default();
        let nodes: Vec<_> = (0..=MOST).map(|number| format!("own/{number}")).collect();
        announcers.add(&mailbox(&nodes.iter().map(String::as_str).collect::<Vec<_>>()));
        let (features, left_out) = announcers.features();
        assert_eq!((features.len(), left_out), (MOST, 1));
    }
}
