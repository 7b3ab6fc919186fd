//! Explains why a plugin may do something, or get an event, on each of its accounts.

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_runtime::explain::{Explained, explain};
use parlor_runtime::supervisor::State;
use parlor_session::permissions::question::Question;

use super::Host;
use super::plugin::Standing;
use super::standing::why_nowhere;

impl Host {
    /// Answers a question about a plugin, for each of its accounts. Empty: there is no plugin with this id.
    pub async fn explain(&self, id: &PluginId, question: &Question) -> Vec<Explained> {
        let plugins = self.plugins.lock().await;
        let Some(plugin) = plugins.get(id) else { return Vec::new() };
        let no = |account: Option<&AccountName>, reason: String| Explained::no(account, question, reason);
        match &plugin.standing {
            Standing::Refused(_) if !plugin.entry.enabled => vec![Explained::disabled(id, question)],
            Standing::Refused(reason) => vec![no(None, format!("the plugin may not run: {reason}"))],
            Standing::Compiling { .. } => vec![no(None, "the plugin is still being compiled".to_owned())],
            Standing::Admitted { on, .. } if on.is_empty() => {
                vec![no(None, why_nowhere(&self.config(), &plugin.entry).to_owned())]
            }
            Standing::Admitted { admitted, on, .. } => on
                .iter()
                .map(|(account, supervised)| {
                    let state = supervised.state();
                    let instance = supervised
                        .instance()
                        .filter(|_| matches!(state, State::Starting | State::Running | State::Parked));
                    let Some(instance) = instance else {
                        return no(Some(account), "the plugin does not run".to_owned());
                    };
                    explain(account, &instance, &admitted.manifest, question)
                })
                .collect(),
        }
    }
}
