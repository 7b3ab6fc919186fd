//! Notifies the running host of a changed policy or a restart, and reports the result.

use std::collections::BTreeMap;

use parlor::control::views::{Plugin, Status};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_config::Config;
use serde::Serialize;

use super::fleet::{ALIKE, many};
use super::show::Put as _;
use super::target;

/// The sentence about a change that the host has applied.
const APPLIED: &str = "the running host has applied it";

/// The result of a change.
#[derive(Debug, Serialize)]
pub(super) struct ChangeResult {
    /// Whether the host applied it: `applied`, `stopped` (no host runs) or `elsewhere` (the host uses another policy).
    pub(super) host: &'static str,
    /// The changed plugins, in their new state.
    pub(super) plugins: Vec<Plugin>,
    #[serde(skip)]
    sentence: String,
}

/// Lets the host reload its policy, if one runs, and returns the new state of these plugins.
pub(super) fn tell(config: &Config, ids: &[&PluginId]) -> anyhow::Result<ChangeResult> {
    let Some(host) = target::host(config)? else {
        let sentence = "the host is stopped; it counts when it starts".to_owned();
        return Ok(ChangeResult { host: "stopped", plugins: Vec::new(), sentence });
    };
    let before: Status = host.get(target::OWN_STATUS)?;
    if !target::is_its_policy(&before, config) {
        let sentence = format!("the host that runs reads {} instead; nothing changes for it", before.policy.escaped());
        return Ok(ChangeResult { host: "elsewhere", plugins: Vec::new(), sentence });
    }
    Ok(applied(host.post("/v1/reload")?, ids, of_this_host(config)))
}

/// Lets the host restart a plugin from the file that it already has, and returns the plugin's new state.
pub(super) fn restart(config: &Config, id: &PluginId) -> anyhow::Result<ChangeResult> {
    let host = target::running(config)?;
    // It is carried out on all nodes of a cluster.
    Ok(applied(host.post(&format!("/v1/plugins/{id}/restart"))?, &[id], APPLIED))
}

/// Says who has applied a change. In a cluster that is one node, with the accounts that it has at the moment.
fn of_this_host(config: &Config) -> &'static str {
    match &config.cluster {
        None => APPLIED,
        Some(cluster) if cluster.share_plugins => {
            "this node has applied it on its accounts, the other nodes read it now, and `parlor status` shows all"
        }
        Some(_) => "this node has applied it on its accounts, and each other node has its own plugins.toml",
    }
}

fn applied(status: Status, ids: &[&PluginId], sentence: &str) -> ChangeResult {
    let is_meant = |plugin: &Plugin| ids.iter().any(|id| id.as_str() == plugin.id);
    let plugins: Vec<_> = status.plugins.into_iter().filter(is_meant).collect();
    ChangeResult { host: "applied", plugins, sentence: sentence.to_owned() }
}

/// Puts plugins together that are in the same state for the same reason, in their order.
fn alike(plugins: &[Plugin]) -> Vec<Vec<&Plugin>> {
    let (mut all, mut known) = (Vec::<Vec<&Plugin>>::new(), BTreeMap::new());
    for plugin in plugins {
        let at = *known.entry((&plugin.id, &plugin.state, &plugin.reason)).or_insert(all.len());
        match all.get_mut(at) {
            Some(alike) => alike.push(plugin),
            None => all.push(vec![plugin]),
        }
    }
    all
}

impl ChangeResult {
    /// Describes the result.
    pub(super) fn show(&self) -> String {
        let mut text = self.sentence.clone();
        for alike in alike(&self.plugins) {
            let Some(plugin) = alike.first() else { continue };
            let Plugin { id, state, reason, .. } = plugin;
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let names: Vec<_> = alike.iter().filter_map(|one| one.account.as_deref()).collect();
            if names.len() > ALIKE {
                text.put(format_args!("\n{id} is {state} on {}{reason}", many(&names)));
                continue;
            }
            for plugin in alike {
                let on = plugin.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
                text.put(format_args!("\n{id}{on} is {state}{reason}"));
            }
        }
        text
    }

    /// Describes the result on one line.
    pub(super) fn line(&self) -> String {
        self.show().replace('\n', "; ")
    }

    /// Returns why a plugin that should run does not, if there is one.
    pub(super) fn trouble(&self) -> Option<String> {
        let reason = |plugin: &Plugin| plugin.reason.clone().unwrap_or_else(|| plugin.state.clone());
        if let Some(plugin) = self.plugins.iter().find(|plugin| plugin.is_behind()) {
            return Some(format!("{}: {}", plugin.id, reason(plugin)));
        }
        let plugin = self.plugins.iter().find(|plugin| plugin.is_down())?;
        Some(format!("{} does not run: {}", plugin.id, reason(plugin)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn on(account: &str, state: &str, reason: Option<&str>) -> Plugin {
        let digest = "sha256:0";
        serde_json::from_value(json!({
            "id": "echo", "account": account, "state": state, "reason": reason, "version": null, "digest": digest,
            "source": "echo.wasm", "record": null, "usage": null, "restarts": 0, "limits": [], "commands": {}, "denied": [],
        }))
        .unwrap()
    }

    fn shown(plugins: Vec<Plugin>) -> String {
        ChangeResult { host: "applied", plugins, sentence: "done".to_owned() }.show()
    }

    #[test]
    fn in_a_cluster_the_accounts_are_those_of_this_node() {
        let says = |more: &str| {
            let text = format!("[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n{more}");
            let overrides = parlor_config::Overrides { environment: |_| None, ..parlor_config::Overrides::default() };
            of_this_host(&Config::parse(std::path::Path::new("parlor.toml"), &text, &overrides).unwrap())
        };
        let cluster = "[cluster]\nnats = \"nats://127.0.0.1:4222\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
        assert_eq!(says(""), "the running host has applied it");
        assert!(says(cluster).starts_with("this node has applied it on its accounts, the other nodes read it now"));
        assert!(says(&format!("{cluster}share_plugins = false\n")).ends_with("has its own plugins.toml"));
    }

    #[test]
    fn a_plugin_on_many_accounts_has_one_line_for_each_state() {
        let mut plugins: Vec<_> = (1..=250).map(|number| on(&format!("support-{number}"), "running", None)).collect();
        plugins.push(on("support-251", "quarantined", Some("it trapped")));
        let many = "done\necho is running on 250 accounts (support-1, support-2, support-3, …)\n\
                    echo on support-251 is quarantined: it trapped";
        assert_eq!(shown(plugins), many);
        let few = shown(vec![on("a", "running", None), on("b", "running", None), on("c", "running", None)]);
        assert_eq!(few, "done\necho on a is running\necho on b is running\necho on c is running");
    }
}
