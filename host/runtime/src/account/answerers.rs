//! The plugins that answer requests (IQs), by XML namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use parlor_base::id::PluginId;
use parlor_stanza::types::{ForeignRequest, Reply};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The way of requests to one plugin.
pub(crate) type Requests = mpsc::Sender<ForeignRequest>;

/// The plugins that answer requests.
///
/// If several plugins have the same namespace, the first one answers it. It keeps it while it is away: another plugin
/// could otherwise wait for its restart to answer in its place.
#[derive(Debug, Default)]
pub(crate) struct Answerers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The plugins that answer a namespace, in the order of their registration.
    claims: BTreeMap<String, Vec<PluginId>>,
    /// The plugins that run. While one is replaced by another version, both may be there, and the later one is asked.
    running: Vec<(PluginId, Requests)>,
}

impl Known {
    /// Returns the plugin that has this namespace, whether it runs or not.
    fn holder(&self, namespace: &str) -> Option<&PluginId> {
        self.claims.get(namespace)?.first()
    }

    fn running(&self, plugin: &PluginId) -> Option<&Requests> {
        self.running.iter().rfind(|(id, _)| id == plugin).map(|(_, requests)| requests)
    }

    /// Keeps those claims alone, and no namespace without one.
    fn retain(&mut self, is_kept: impl Fn(&str, &PluginId) -> bool) {
        self.claims.retain(|namespace, plugins| {
            plugins.retain(|plugin| is_kept(namespace, plugin));
            !plugins.is_empty()
        });
    }
}

/// A request that is passed to no plugin, with the reply for its sender.
#[derive(Debug)]
pub(super) struct NotPassed {
    pub(super) request: ForeignRequest,
    pub(super) reply: Reply,
}

impl Answerers {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the namespaces that a plugin answers, in place of those that it answered before. Returns those new ones that
    /// another plugin has, with that plugin.
    pub(crate) fn claim(&self, plugin: &PluginId, namespaces: &BTreeSet<String>) -> Vec<(String, PluginId)> {
        let mut known = self.known();
        known.retain(|namespace, one| one != plugin || namespaces.contains(namespace));
        let mut taken = Vec::new();
        for namespace in namespaces {
            let plugins = known.claims.entry(namespace.clone()).or_default();
            if !plugins.contains(plugin) {
                taken.extend(plugins.first().map(|other| (namespace.clone(), other.clone())));
                plugins.push(plugin.clone());
            }
        }
        taken
    }

    /// Forgets the claims of plugins that are gone. Returns whether there were any.
    pub(super) fn forget(&self, is_there: impl Fn(&PluginId) -> bool) -> bool {
        let mut known = self.known();
        let is_any_gone = known.claims.values().flatten().any(|plugin| !is_there(plugin));
        known.retain(|_, plugin| is_there(plugin));
        is_any_gone
    }

    /// Notes that a plugin runs.
    pub(crate) fn open(&self, plugin: &PluginId, requests: &Requests) {
        self.known().running.push((plugin.clone(), requests.clone()));
    }

    /// Notes that it runs no more.
    pub(crate) fn close(&self, requests: &Requests) {
        self.known().running.retain(|(_, one)| !one.same_channel(requests));
    }

    /// Returns the namespaces whose plugin runs.
    pub(super) fn answered(&self) -> Vec<String> {
        let known = self.known();
        let runs = |plugins: &[PluginId]| plugins.first().is_some_and(|plugin| known.running(plugin).is_some());
        known
            .claims
            .iter()
            .filter(|(_, plugins)| runs(plugins.as_slice()))
            .map(|(namespace, _)| namespace.clone())
            .collect()
    }

    /// Passes a request to the plugin that has its namespace.
    pub(super) fn pass(&self, request: ForeignRequest) -> Result<(), Box<NotPassed>> {
        let namespace = request.payload.namespace();
        let requests = {
            let known = self.known();
            known.holder(&namespace).and_then(|plugin| known.running(plugin)).cloned()
        };
        let unavailable = Reply::Refuse { kind: "cancel", condition: "service-unavailable" };
        let Some(requests) = requests else { return Err(Box::new(NotPassed { request, reply: unavailable })) };
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Closed(request) => Box::new(NotPassed { request, reply: unavailable }),
            TrySendError::Full(request) => {
                let reply = Reply::Refuse { kind: "wait", condition: "resource-constraint" };
                Box::new(NotPassed { request, reply })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use parlor_stanza::iq_payload::IqPayload;

    use super::*;

    fn request(namespace: &str) -> ForeignRequest {
        let payload = IqPayload::parse(&format!("<x xmlns='{namespace}'/>")).unwrap();
        ForeignRequest { from: None, id: "1".to_owned(), is_set: false, payload }
    }

    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn a_namespace_is_the_first_plugins_also_while_that_one_is_away() {
        let answerers = Answerers::default();
        let [one, two]: [PluginId; 2] = ["one", "two"].map(|id| id.parse().unwrap());
        assert!(answerers.claim(&one, &names(&["urn:a", "urn:b"])).is_empty());
        assert_eq!(answerers.claim(&two, &names(&["urn:b", "urn:c"])), [("urn:b".to_owned(), one.clone())]);
        assert!(answerers.claim(&two, &names(&["urn:b", "urn:c"])).is_empty(), "that was said");
        let ((to_one, mut at_one), (to_two, mut at_two)) = (mpsc::channel(1), mpsc::channel(1));
        answerers.open(&two, &to_two);
        assert_eq!(answerers.answered(), ["urn:c"]);
        let refused = answerers.pass(request("urn:b")).unwrap_err().reply;
        assert_eq!(refused, Reply::Refuse { kind: "cancel", condition: "service-unavailable" });
        answerers.open(&one, &to_one);
        assert_eq!(answerers.answered(), ["urn:a", "urn:b", "urn:c"]);
        answerers.pass(request("urn:b")).unwrap();
        assert_eq!(at_one.try_recv().unwrap().payload.namespace(), "urn:b");
        answerers.pass(request("urn:c")).unwrap();
        let full = answerers.pass(request("urn:c")).unwrap_err().reply;
        assert_eq!(full, Reply::Refuse { kind: "wait", condition: "resource-constraint" });
        assert_eq!(at_two.try_recv().unwrap().payload.namespace(), "urn:c");
        assert!(answerers.pass(request("urn:d")).is_err());
        answerers.close(&to_one);
        assert!(answerers.pass(request("urn:b")).is_err(), "it keeps it");
        assert!(answerers.forget(|plugin| *plugin == two) && !answerers.forget(|plugin| *plugin == two));
        answerers.pass(request("urn:b")).unwrap();
        assert!(at_two.try_recv().is_ok());
    }

    #[test]
    fn the_version_that_replaces_another_one_is_asked() {
        let answerers = Answerers::default();
        let plugin: PluginId = "one".parse().unwrap();
        let ((old, mut at_old), (new, mut at_new)) = (mpsc::channel(1), mpsc::channel(1));
        answerers.claim(&plugin, &names(&["urn:a"]));
        answerers.open(&plugin, &old);
        answerers.open(&plugin, &new);
        answerers.pass(request("urn:a")).unwrap();
        answerers.close(&old);
        assert!(at_old.try_recv().is_err() && at_new.try_recv().is_ok());
        assert_eq!(answerers.answered(), ["urn:a"]);
    }
}
