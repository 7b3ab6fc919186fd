//! The webhooks of plugins, for the listener and for owners.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_config::Web;
use parlor_runtime::supervisor::{Door, Supervised};
use tokio::sync::watch;

use super::Host;
use super::plugin::{Plugin, Standing};
use crate::web::Counts;

/// The listening for webhooks: whether and where it is wanted, and how it goes.
#[derive(Debug)]
pub(crate) struct WebhookListening {
    wanted: watch::Receiver<usize>,
    section: watch::Sender<Web>,
    counts: Counts,
    fault: ArcSwapOption<String>,
}

impl WebhookListening {
    pub(super) fn new(section: Web, wanted: watch::Receiver<usize>) -> Self {
        let section = watch::Sender::new(section);
        Self { wanted, section, counts: Counts::default(), fault: ArcSwapOption::empty() }
    }

    /// Returns the number of plugins with webhooks, and signals each change. While it is not zero, a listener is needed.
    pub(crate) fn wanted(&self) -> watch::Receiver<usize> {
        self.wanted.clone()
    }

    /// Returns the section `[web]` of the configuration, and signals each change.
    pub(crate) fn section(&self) -> watch::Receiver<Web> {
        self.section.subscribe()
    }

    /// Applies another section. One that is the same is signalled, too: certificates may have been renewed.
    pub(super) fn follow(&self, section: Web) {
        self.section.send_replace(section);
    }

    /// Returns how many requests ended in which way.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns why webhooks cannot be listened for; `None` if they are, or if there is no address to listen at.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.load_full().map(Arc::unwrap_or_clone)
    }

    /// Records whether webhooks can be listened for, and why they cannot.
    pub(crate) fn note_fault(&self, fault: Option<String>) {
        self.fault.store(fault.map(Arc::new));
    }
}

/// Returns the webhook with this name and secret of a plugin, if it may hear requests.
pub(crate) async fn find(host: &Host, id: &PluginId, name: &str, token: &str) -> Option<Door> {
    let plugins = host.plugins.lock().await;
    plugins.get(id)?.supervised().find_map(|supervised| supervised.webhook(name, token))
}

/// Returns whether the addresses of all webhooks are known. While plugins are added, compiled or restarted, and until
/// the addresses of their webhooks are read, an unknown address may belong to a webhook that will exist soon.
pub(crate) async fn are_all_known(host: &Host) -> bool {
    // A plugin that is to come back is in no list meanwhile, but `changing` is held for it.
    if host.changing.try_lock().is_err() {
        return false;
    }
    host.plugins.lock().await.values().all(has_all_webhooks)
}

/// Returns whether each webhook that the plugin may have is there with its address.
fn has_all_webhooks(plugin: &Plugin) -> bool {
    match &plugin.standing {
        Standing::Refused(_) => true,
        Standing::Compiling { admitted, .. } => {
            admitted.manifest.webhooks.is_empty() || !admitted.grants.has(Permission::WebhooksReceive)
        }
        Standing::Admitted { admitted, on, .. } => {
            let mut names = admitted.manifest.webhooks.keys();
            names.all(|name| {
                let mut webhooks = on.values().filter_map(Supervised::webhooks);
                webhooks.all(|webhooks| webhooks.token(name).is_some())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_hears_of_each_reading_of_the_configuration_and_of_plugins_with_webhooks() {
        let (plugins, wanted) = watch::channel(0);
        let listening = WebhookListening::new(Web::default(), wanted);
        let (mut wanted, mut section) = (listening.wanted(), listening.section());
        assert_eq!(*wanted.borrow_and_update(), 0);
        section.mark_unchanged();
        listening.follow(Web::default());
        assert!(section.has_changed().unwrap(), "its certificates may have been renewed");
        plugins.send_replace(2);
        assert!(wanted.has_changed().unwrap() && *wanted.borrow_and_update() == 2);
        listening.note_fault(Some("taken".to_owned()));
        assert_eq!(listening.fault().as_deref(), Some("taken"));
        listening.note_fault(None);
        assert_eq!(listening.fault(), None);
    }
}
