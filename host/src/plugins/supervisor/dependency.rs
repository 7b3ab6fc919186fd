//! What a plugin is started after, and waiting for it.

use std::sync::Arc;

use super::{Shared, State};

/// A plugin that another one is started after.
#[derive(Clone)]
pub struct Dependency {
    /// Without it the other one does not start.
    pub required: bool,
    pub(super) shared: Arc<Shared>,
}

/// Waits for what a plugin depends on. `Err`: it is not to start, and the sentence says why.
pub(super) async fn dependencies(shared: &Shared) -> Result<(), String> {
    for dependency in &shared.after {
        let on = &dependency.shared.admitted.id;
        let mut state = dependency.shared.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            let trouble = match now {
                State::Running | State::Stopping => break,
                State::BackingOff { why, .. } if !dependency.required => format!("failed: {why}"),
                // One that is tried again may run yet, and who cannot go without it waits for that.
                State::Waiting(_) | State::Starting | State::BackingOff { .. } => {
                    shared.state.send_replace(State::Waiting(on.clone()));
                    if state.changed().await.is_ok() {
                        continue;
                    }
                    "is gone".to_owned()
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
    Ok(())
}
