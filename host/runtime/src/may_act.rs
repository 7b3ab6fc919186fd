//! Whether an account may act: in a cluster, only as long as its node has it.

use std::fmt;
use std::sync::Arc;

/// The permission of an account to act. Without a cluster it always may, and asking costs nothing.
///
/// It is asked before a handler starts, and before something is sent. Once it is gone, it never comes back: the account is
/// about to end here, and may run elsewhere.
#[derive(Clone, Default)]
pub struct MayAct(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl MayAct {
    /// Creates a permission that is asked for in this way each time.
    pub fn asking(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Returns whether the account may act now.
    pub fn now(&self) -> bool {
        self.0.as_ref().is_none_or(|ask| ask())
    }
}

impl fmt::Debug for MayAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayAct").field(&self.0.is_some()).finish()
    }
}
