//! What a plugin is started after, and waiting for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Shared, State, Supervised};

/// A plugin that another one is started after.
#[derive(Clone)]
pub struct Dependency {
    /// Without it the other one does not start.
    pub required: bool,
    pub(super) shared: Arc<Shared>,
}

impl Dependency {
    /// Whether it will not run, and the other one does not start without it.
    pub fn is_lacking(&self) -> bool {
        self.required && self.shared.state.borrow().is_over()
    }
}

impl Supervised {
    /// Whether it has not started, and will not, because of one that it cannot go without.
    pub fn is_kept_back(&self) -> bool {
        !self.shared.has_begun.load(Relaxed) && self.shared.after.iter().any(Dependency::is_lacking)
    }
}

/// Waits for what a plugin depends on, and notes that it begins. `Err`: it is not to start, and the sentence says why.
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
                State::Compiling | State::Waiting(_) | State::Starting | State::BackingOff { .. } => {
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
    shared.has_begun.store(true, Relaxed);
    Ok(())
}
