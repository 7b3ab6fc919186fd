//! What happened on a stage, in order: what the account sent, what the host's log says of the plugin, what it logs itself.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::xmpp::Deed;

/// More than this is not kept: a plugin that goes on for ever ends the test and not the machine.
const MOST: usize = 10_000;

/// Where a line ends in what was said at once: the log has it as one.
pub(super) const LINE_END: &str = "\\u{a}";

/// What was said at once, as it was said: the log has it as one line, a stack as well, and spells out where others end and begin.
pub fn as_said(line: &str) -> String {
    line.replace(LINE_END, "\n").replace("\\u{9}", "    ")
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Happened {
    /// The account did something.
    Did(Deed),
    /// A call was denied.
    Denied {
        /// What it would have needed.
        permission: String,
        /// For whom or what.
        scope: Option<String>,
    },
    /// The plugin wrote a line to the log.
    Logged {
        /// How important it is.
        level: Level,
        /// The line.
        text: String,
    },
    /// It runs: its `initialize` has returned.
    Runs,
    /// The host has something to say about the plugin.
    Warned(String),
    /// It computes without a pause, which it may not for long.
    Computes(String),
    /// The plugin ended by a mistake of its own.
    Ended(String),
    /// Where in its code it ended.
    Trace(String),
}

/// All of it. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Pad>);

#[derive(Debug, Default)]
struct Pad {
    all: Mutex<Vec<Happened>>,
    /// Told when something is added.
    more: Notify,
}

impl Notes {
    /// Adds something.
    pub fn put(&self, happened: Happened) {
        let mut all = self.all();
        if all.len() < MOST {
            all.push(happened);
        }
        self.0.more.notify_one();
    }

    /// Waits until there is something. One alone may wait.
    pub async fn more(&self) {
        while self.all().is_empty() {
            self.0.more.notified().await;
        }
    }

    /// Takes what is there.
    pub fn take(&self) -> Vec<Happened> {
        std::mem::take(&mut *self.all())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Happened>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what is logged on this thread until the guard is dropped.
    pub fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(self.subscriber())
    }

    /// Takes down what is logged in this process from now on. Once in a process.
    pub fn listen_everywhere(&self) -> Result<(), SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(self.subscriber())
    }

    fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        let ours = Targets::new().with_target("parlor", LevelFilter::DEBUG).with_target("plugin", LevelFilter::DEBUG);
        tracing_subscriber::registry().with(self.clone().with_filter(ours))
    }
}

impl<S: Subscriber> Layer<S> for Notes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut texts = Texts::default();
        event.record(&mut texts);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let Texts { message, mut fields } = texts;
        let mut field = |name: &str| fields.remove(name);
        let of_plugin = field("plugin").is_some();
        drop(field("account"));
        if target == "plugin" {
            return self.put(match field("dropped") {
                Some(dropped) => Happened::Warned(format!("{dropped} lines of the log were dropped")),
                None => Happened::Logged { level, text: message },
            });
        }
        match message.as_str() {
            _ if !of_plugin => {}
            "call denied" => {
                let permission = field("permission").unwrap_or_default();
                self.put(Happened::Denied { permission, scope: field("scope") });
            }
            "plugin ended" | "plugin declined to start" => {
                self.put(Happened::Ended(field("reason").unwrap_or_default()));
            }
            "plugin running" => self.put(Happened::Runs),
            "plugin moved" => {
                let (in_yard, unbroken) = (field("in_yard"), field("unbroken_ms").unwrap_or_default());
                if in_yard.as_deref() == Some("true") && unbroken != "0" {
                    let most = field("cpu_slice").unwrap_or_default();
                    self.put(Happened::Computes(format!(
                        "it has computed for {unbroken} ms without a pause: it is slowed down now, and ended after {most} of that"
                    )));
                }
            }
            "how it ended" => self.put(Happened::Trace(field("detail").unwrap_or_default())),
            _ if level <= Level::WARN => {
                let mut text = message;
                for (name, value) in &fields {
                    // Writing into a String cannot fail.
                    let _ = write!(text, ", {name} {value}");
                }
                self.put(Happened::Warned(text));
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct Texts {
    message: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.fields.insert(field.name().to_owned(), value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go writes it.
    #[test]
    fn a_stack_is_read_line_by_line_with_its_tabs() {
        let stack = crate::harmless::harmless("main.answer()\n\tplugin.go:23", 99);
        assert_eq!(as_said(&stack), "main.answer()\n    plugin.go:23");
    }

    #[test]
    fn who_computes_without_a_pause_is_noted_and_not_who_is_busy_or_quiet_again() {
        let notes = Notes::default();
        let listening = notes.listen();
        for (in_yard, unbroken) in [(true, 0), (false, 7), (true, 101)] {
            tracing::debug!(plugin = "echo", in_yard, unbroken_ms = %unbroken, cpu_slice = "1 s", "plugin moved");
        }
        drop(listening);
        let happened = notes.take();
        let [Happened::Computes(text)] = &happened[..] else { panic!("{happened:?}") };
        let says = "it has computed for 101 ms without a pause: it is slowed down now, and ended after 1 s of that";
        assert_eq!(text, says);
    }
}
