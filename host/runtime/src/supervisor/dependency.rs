//! The plugins that a plugin is started after, and waiting for them.

use std::sync::Arc;

use super::{Shared, State, Supervised};

/// A plugin that another one is started after.
#[derive(Clone)]
pub struct Dependency {
    /// Whether the other one does not start without it.
    pub required: bool,
    pub(super) shared: Arc<Shared>,
}

impl Dependency {
    /// Returns whether it will not run although the other one requires it.
    pub fn is_lacking(&self) -> bool {
        self.required && self.shared.standing.state().is_over()
    }
}

impl Supervised {
    /// Returns whether it has not started, and will not, because a required dependency does not run.
    pub fn is_kept_back(&self) -> bool {
        !self.shared.standing.with(|standing| standing.has_begun)
            && self.shared.after.iter().any(Dependency::is_lacking)
    }
}

/// Waits for a plugin's dependencies, and then marks it as begun. `Err` says why it is not to start.
pub(super) async fn dependencies(shared: &Shared) -> Result<(), String> {
    for dependency in &shared.after {
        let on = &dependency.shared.admitted.id;
        loop {
            let now = dependency.shared.standing.state();
            let trouble = match now.clone() {
                State::Running | State::Parked | State::Stopping => break,
                State::BackingOff { why, .. } if !dependency.required => format!("failed: {why}"),
                // A dependency that is retried may still run, so a plugin that requires it waits.
                State::Compiling | State::Waiting(_) | State::Starting | State::BackingOff { .. } => {
                    shared.standing.set_state(State::Waiting(on.clone()));
                    dependency.shared.standing.until(|standing| standing.state != now).await;
                    continue;
                }
                State::Stopped => "has stopped".to_owned(),
                State::Refused(why) | State::Quarantined(why) => format!("failed: {why}"),
            };
            if dependency.required {
                return Err(format!("it depends on {on}, which {trouble}"));
            }
            tracing::warn!(
                plugin = %shared.admitted.id, account = %shared.account.name, dependency = %on, trouble,
                "plugin starts without a dependency"
            );
            break;
        }
    }
    shared.standing.change(|standing| standing.has_begun = true);
    Ok(())
}
