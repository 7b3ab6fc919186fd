//! `log`: a plugin's lines in the host's log.

use crate::bindings::parlor::plugin::log::{Host, Level};
use crate::harmless::harmless;
use crate::plugins::Context;

/// What is longer is cut.
const LONGEST: usize = 4 << 10;

impl Host for Context {
    fn write(&mut self, level: Level, message: String) {
        let instance = &self.instance;
        if !instance.may_log() {
            return;
        }
        let (plugin, account) = (&instance.plugin, &instance.account.name);
        let line = harmless(&message, LONGEST);
        match level {
            Level::Debug => tracing::debug!(target: "plugin", %plugin, %account, "{line}"),
            Level::Info => tracing::info!(target: "plugin", %plugin, %account, "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", %plugin, %account, "{line}"),
            Level::Error => tracing::error!(target: "plugin", %plugin, %account, "{line}"),
            Level::Fatal => tracing::error!(target: "plugin", %plugin, %account, fatal = true, "{line}"),
        }
    }
}
