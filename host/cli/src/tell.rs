//! Notifies the running host of a changed policy or a restart, and reports the result.

use parlor::control::views::{Plugin, Status};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_config::Config;
use serde::Serialize;

use super::show::Put as _;
use super::target;

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
    Ok(applied(host.post("/v1/reload")?, ids))
}

/// Lets the host restart a plugin from the file that it already has, and returns the plugin's new state.
pub(super) fn restart(config: &Config, id: &PluginId) -> anyhow::Result<ChangeResult> {
    let host = target::running(config)?;
    Ok(applied(host.post(&format!("/v1/plugins/{id}/restart"))?, &[id]))
}

fn applied(status: Status, ids: &[&PluginId]) -> ChangeResult {
    let is_meant = |plugin: &Plugin| ids.iter().any(|id| id.as_str() == plugin.id);
    let plugins: Vec<_> = status.plugins.into_iter().filter(is_meant).collect();
    ChangeResult { host: "applied", plugins, sentence: "the running host has applied it".to_owned() }
}

impl ChangeResult {
    /// Describes the result.
    pub(super) fn show(&self) -> String {
        let mut text = self.sentence.clone();
        for plugin in &self.plugins {
            let on = plugin.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
            let reason = plugin.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            text.put(format_args!("\n{}{on} is {}{reason}", plugin.id, plugin.state));
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
