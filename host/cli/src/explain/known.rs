//! The facts about a plugin that is asked about: from the policy, or from the running host if the policy cannot be read.

use std::sync::Arc;

use parlor::control::views::Plugin;
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_plugins::admin::AdminError;
use parlor_plugins::approved;
use parlor_plugins::components::Components;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_session::permissions::{Grants, RoomList};

use super::in_force_on_host;

/// The facts about a plugin.
pub(super) struct Known {
    pub(super) enabled: bool,
    /// Its grants: those of the policy, or else those of the host.
    pub(super) grants: Grants,
    /// Its manifest, if its file could be read.
    pub(super) manifest: Option<Arc<Manifest>>,
    /// Why its file or the policy could not be read.
    pub(super) trouble: Option<String>,
}

impl Known {
    /// Takes it from the plugin's entry in the policy.
    pub(super) fn by_policy(id: &PluginId, entry: &Entry, config: &Config) -> Self {
        let (manifest, trouble) = match approved::look(id, entry, &Components::new(&config.data)) {
            Ok(examined) => (Some(examined.manifest), None),
            Err(unfit) => (None, Some(escape_untrusted(&unfit.to_string(), 4 << 10))),
        };
        Self { enabled: entry.enabled, grants: entry.grants.clone(), manifest, trouble }
    }

    /// Takes it from the running host, which goes on with the policy that it read before. `None`: it has no such plugin.
    pub(super) fn by_host(unread: &AdminError, plugins: &[Plugin]) -> Option<Self> {
        let first = plugins.first()?;
        let held = plugins.iter().find_map(|plugin| plugin.grants.as_ref());
        let grants = held.map(|held| in_force_on_host(held, None, &Grants::default())).unwrap_or_default();
        // A name that is escaped for display may be invalid here.
        let listed = |rooms: &Vec<String>| RoomList::new(rooms.iter().filter_map(|room| RoomList::room(room).ok()));
        let rooms = plugins.iter().find_map(|plugin| plugin.rooms.as_ref()).map(listed);
        let unread = escape_untrusted(&unread.to_string(), 4 << 10);
        Some(Self {
            enabled: first.state != "disabled",
            grants: grants.in_rooms(rooms),
            manifest: None,
            trouble: Some(format!(
                "{unread}; the host that runs goes on with what it read before, and answers by that"
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use parlor_base::permission::Permission;
    use parlor_plugins::policy::Policy;
    use serde_json::json;

    use super::*;

    /// Otherwise a typo would hide from the owner what the plugins may do that run on.
    #[test]
    fn a_policy_that_cannot_be_read_leaves_the_answer_to_the_host_that_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        std::fs::write(&path, "[plugin.tally\n").unwrap();
        let unread = AdminError::from(Policy::load(&path).unwrap_err());
        let plugin: Plugin = serde_json::from_value(json!({
            "id": "tally", "account": "main", "state": "running", "version": "0.1.0", "digest": "sha256:00",
            "source": "tally.wasm", "restarts": 0, "grants": { "rooms.send": ["*"] },
            "rooms": ["hall@muc.example.org"],
        }))
        .unwrap();
        let known = Known::by_host(&unread, &[plugin]).unwrap();
        assert!(known.enabled && known.manifest.is_none() && known.grants.has(Permission::RoomsSend));
        assert_eq!(known.grants.rooms().unwrap().to_string(), "hall@muc.example.org");
        let trouble = known.trouble.unwrap();
        assert!(trouble.contains("plugins.toml") && trouble.contains("the host that runs goes on"), "{trouble}");
        assert!(Known::by_host(&unread, &[]).is_none(), "nobody knows it");
    }
}
