//! Telling the running host that the policy changed, or to start a plugin again, and what came of it.

use serde::Serialize;

use super::show::Put as _;
use super::{Ended, place};
use crate::config::Config;
use crate::control::views::{Plugin, Status};
use crate::harmless::EscapedPath as _;
use crate::plugins::PluginId;

/// What became of a change.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    /// `applied`, `stopped` or `elsewhere`.
    pub(super) host: &'static str,
    /// Where the plugins stand now that were changed.
    pub(super) plugins: Vec<Plugin>,
    #[serde(skip)]
    sentence: String,
}

/// Tells the host, if one runs, and gives where these plugins stand then.
pub(super) fn tell(config: &Config, ids: &[&PluginId]) -> anyhow::Result<Told> {
    let Some(host) = place::host(config)? else {
        let sentence = "the host is stopped; it counts when it starts".to_owned();
        return Ok(Told { host: "stopped", plugins: Vec::new(), sentence });
    };
    let before: Status = host.get("/v1/status")?;
    if !place::is_its_policy(&before, config) {
        let sentence = format!("the host that runs reads {} instead; nothing changes for it", before.policy.escaped());
        return Ok(Told { host: "elsewhere", plugins: Vec::new(), sentence });
    }
    Ok(applied(host.post("/v1/reload")?, ids))
}

/// Has the host end a plugin and start it again, by what it has of it, and gives where it stands then.
pub(super) fn restart(config: &Config, id: &PluginId) -> anyhow::Result<Told> {
    let host = place::host(config)?.ok_or_else(|| Ended::NotRunning(config.data.clone()))?;
    Ok(applied(host.post(&format!("/v1/plugins/{id}/restart"))?, &[id]))
}

fn applied(status: Status, ids: &[&PluginId]) -> Told {
    let is_meant = |plugin: &Plugin| ids.iter().any(|id| id.as_str() == plugin.id);
    let plugins: Vec<_> = status.plugins.into_iter().filter(is_meant).collect();
    Told { host: "applied", plugins, sentence: "the running host has applied it".to_owned() }
}

impl Told {
    /// It in words.
    pub(super) fn show(&self) -> String {
        let mut text = self.sentence.clone();
        for plugin in &self.plugins {
            let on = plugin.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
            let reason = plugin.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            text.put(format_args!("\n{}{on} is {}{reason}", plugin.id, plugin.state));
        }
        text
    }

    /// The same on one line.
    pub(super) fn line(&self) -> String {
        self.show().replace('\n', "; ")
    }

    /// Why a plugin that should run does not, if one does not.
    pub(super) fn trouble(&self) -> Option<String> {
        let reason = |plugin: &Plugin| plugin.reason.clone().unwrap_or_else(|| plugin.state.clone());
        if let Some(plugin) = self.plugins.iter().find(|plugin| plugin.is_behind()) {
            return Some(format!("{}: {}", plugin.id, reason(plugin)));
        }
        let plugin = self.plugins.iter().find(|plugin| plugin.is_down())?;
        Some(format!("{} does not run: {}", plugin.id, reason(plugin)))
    }
}
