//! `log`: a plugin's lines in the host's log.

use std::sync::atomic::Ordering::Relaxed;

use crate::bindings::parlor::plugin::log::{Host, Level};
use crate::plugins::Context;

/// What is longer is cut.
const LONGEST: usize = 4 << 10;

impl Host for Context {
    fn write(&mut self, level: Level, message: String) {
        let instance = &self.instance;
        if instance.log_lines.take().is_err() {
            instance.log_dropped.fetch_add(1, Relaxed);
            return;
        }
        let (plugin, account) = (&instance.plugin, &instance.account.name);
        let dropped = instance.log_dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(target: "plugin", %plugin, %account, dropped, "log lines dropped");
        }
        let line = harmless(&message);
        match level {
            Level::Debug => tracing::debug!(target: "plugin", %plugin, %account, "{line}"),
            Level::Info => tracing::info!(target: "plugin", %plugin, %account, "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", %plugin, %account, "{line}"),
            Level::Error => tracing::error!(target: "plugin", %plugin, %account, "{line}"),
            Level::Fatal => tracing::error!(target: "plugin", %plugin, %account, fatal = true, "{line}"),
        }
    }
}

/// A line that moves no cursor, ends no line and reads in one direction, whatever the plugin wrote.
fn harmless(message: &str) -> String {
    let mut line = String::with_capacity(message.len().min(LONGEST));
    for one in message.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        if one.is_control() || is_direction(one) || matches!(one, '\u{2028}' | '\u{2029}') {
            line.extend(one.escape_unicode());
        } else {
            line.push(one);
        }
    }
    line
}

/// Characters that change the direction of what follows.
fn is_direction(one: char) -> bool {
    matches!(one, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(harmless("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(harmless("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(harmless("größe ✓"), "größe ✓");
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(harmless(&"ä".repeat(100_000)).len() < LONGEST + 8);
    }
}
