//! The task of an instance, on the runtime where its account of CPU time says that it belongs.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use crate::plugins::engine::Engine;
use crate::plugins::instance::{Ended, Instance};
use crate::plugins::quantity::show_duration;
use crate::plugins::watchdog::{Metered, Step};

/// The task of an instance; ends with it.
pub(super) struct Life(AbortOnDrop<Ended>);

impl Life {
    /// Lets the instance live, on this runtime and in the yard.
    pub(super) fn begin(metered: Metered<Ended>, engine: Arc<Engine>, instance: Arc<Instance>) -> Self {
        Self(AbortOnDrop(tokio::spawn(on_both(metered, Handle::current(), engine, instance))))
    }

    /// How it ends. Cancel-safe.
    pub(super) async fn outcome(&mut self) -> Ended {
        (&mut self.0.0).await.unwrap_or_else(|error| broke(&error))
    }
}

/// Polls an instance on the runtime where its account says that it belongs.
async fn on_both(mut metered: Metered<Ended>, beside: Handle, engine: Arc<Engine>, instance: Arc<Instance>) -> Ended {
    loop {
        let runtime = if instance.cpu.in_yard() { engine.yard().handle() } else { &beside };
        // To take apart what it leaves takes as long as it has much memory, and is done where it computed.
        let mut stay = AbortOnDrop(runtime.spawn(async move {
            match (&mut metered).await {
                Step::Done(ended) => ControlFlow::Break(ended),
                Step::Move => ControlFlow::Continue(metered),
            }
        }));
        match (&mut stay.0).await {
            Ok(ControlFlow::Break(ended)) => return ended,
            Ok(ControlFlow::Continue(moving)) => {
                metered = moving;
                tracing::debug!(
                    plugin = %instance.plugin, account = %instance.account.name, in_yard = instance.cpu.in_yard(),
                    unbroken_ms = %instance.cpu.unbroken().as_millis(),
                    cpu_slice = %show_duration(instance.limits.cpu_slice), "plugin moved"
                );
            }
            Err(error) => return broke(&error),
        }
    }
}

/// The host's own code panicked under it.
fn broke(error: &JoinError) -> Ended {
    Ended::Failed {
        why: "the host failed while it served a call; please report this".into(),
        detail: error.to_string(),
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
