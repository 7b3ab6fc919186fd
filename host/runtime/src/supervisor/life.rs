//! The task of an instance. It runs on its account's thread or on another runtime, depending on its CPU use.

use std::ops::ControlFlow;
use std::sync::Arc;

use parlor_base::quantity::show_duration;
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::Engine;
use crate::instance::Instance;
use crate::run::Ended;
use crate::watchdog::{Metered, Step};

/// The task of an instance. Dropping it ends the instance.
pub(super) struct InstanceTask(AbortOnDropHandle<Ended>);

impl InstanceTask {
    /// Starts the instance. Must be called on the runtime of its account.
    pub(super) fn begin(metered: Metered<Ended>, engine: Arc<Engine>, instance: Arc<Instance>) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(on_its_runtime(metered, Handle::current(), engine, instance))))
    }

    /// Waits for its end and returns the outcome. Cancel-safe.
    pub(super) async fn outcome(&mut self) -> Ended {
        (&mut self.0).await.unwrap_or_else(|error| broke(&error))
    }
}

/// Polls an instance on the runtime to which its CPU account assigns it.
async fn on_its_runtime(
    mut metered: Metered<Ended>,
    account: Handle,
    engine: Arc<Engine>,
    instance: Arc<Instance>,
) -> Ended {
    loop {
        let (runtime, was_in_background) =
            (engine.runtimes().of(instance.cpu.runs(), &account), instance.cpu.in_background());
        // Dropping what the instance leaves takes longer the more memory it has. It is done on the runtime where the
        // instance ran.
        let stay = AbortOnDropHandle::new(runtime.spawn(async move {
            match (&mut metered).await {
                Step::Done(ended) => ControlFlow::Break(ended),
                Step::Move => ControlFlow::Continue(metered),
            }
        }));
        match stay.await {
            Ok(ControlFlow::Break(ended)) => return ended,
            Ok(ControlFlow::Continue(moving)) => {
                metered = moving;
                // A plugin that computes for each event moves often otherwise.
                if was_in_background == instance.cpu.in_background() {
                    continue;
                }
                tracing::debug!(
                    plugin = %instance.plugin, account = %instance.account.name, in_background = instance.cpu.in_background(),
                    unbroken_ms = %instance.cpu.unbroken().as_millis(),
                    cpu_slice = %show_duration(instance.limits.cpu_slice), "plugin moved"
                );
            }
            Err(error) => return broke(&error),
        }
    }
}

/// Returns the outcome if the host's own code panicked.
fn broke(error: &JoinError) -> Ended {
    Ended::Failed {
        why: "the host failed while it served a call; please report this".into(),
        detail: error.to_string(),
    }
}
