//! The status and the commands of an owner beyond this host: in a cluster, on all of its nodes.

use std::time::Duration;

use jid::BareJid;
use parlor_base::id::PluginId;
use tokio::time::{Instant, sleep};

use crate::control::show;
use crate::control::views::Plugin;
#[cfg(not(feature = "cluster"))]
use crate::control::views::Status;
use crate::host::Host;

#[cfg(feature = "cluster")]
use crate::control::nodes::in_chat::plugin;
#[cfg(feature = "cluster")]
pub(super) use crate::control::nodes::in_chat::{restart, status};

/// How long other nodes may take until they go by another `plugins.toml`. One that shares no plugins never does.
const APPLIED: Duration = Duration::from_secs(5);
/// The time between two looks at them.
const LOOK: Duration = Duration::from_millis(300);

/// Returns a plugin in each of its places.
pub(super) async fn places(host: &Host, id: &PluginId, owner: &BareJid) -> Vec<Plugin> {
    plugin(host, show::plugin(host, id).await, id, owner).await
}

/// Returns a plugin in each of its places once all nodes let it run, or keep it from running. After a moment, it returns what is so then.
pub(super) async fn switched(host: &Host, id: &PluginId, owner: &BareJid, is_enabled: bool) -> Vec<Plugin> {
    let until = Instant::now() + APPLIED;
    loop {
        let places = places(host, id, owner).await;
        if places.iter().all(|place| is_switched(place, is_enabled)) || Instant::now() >= until {
            return places;
        }
        sleep(LOOK).await;
    }
}

/// Returns whether a node goes by what was decided. This host did so before, and without a cluster there is no other.
fn is_switched(place: &Plugin, is_enabled: bool) -> bool {
    place.node.is_none() || (place.state == "disabled") != is_enabled
}

#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
pub(super) async fn status(_: &Host, own: Status, _: &BareJid) -> Status {
    own
}

#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
pub(super) async fn restart(_: &Host, _: &PluginId, _: &BareJid) -> Vec<String> {
    Vec::new()
}

#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn plugin(_: &Host, own: Vec<Plugin>, _: &PluginId, _: &BareJid) -> Vec<Plugin> {
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_who_switches_a_plugin_waits_for_the_other_nodes_alone() {
        let place = |node: Option<&str>, state: &str| -> Plugin {
            let text = serde_json::json!({
                "id": "echo", "account": "main", "node": node, "state": state, "version": null, "digest": "sha256:00", "source": "a.wasm",
                "restarts": 0,
            });
            serde_json::from_value(text).unwrap()
        };
        for (node, state, when_enabled, when_disabled) in [
            (None, "disabled", true, true),
            (Some("two"), "disabled", false, true),
            (Some("two"), "running", true, false),
            (Some("two"), "starting", true, false),
        ] {
            let place = place(node, state);
            assert_eq!(
                (is_switched(&place, true), is_switched(&place, false)),
                (when_enabled, when_disabled),
                "{state}"
            );
        }
    }
}
