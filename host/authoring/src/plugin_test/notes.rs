//! Records the events of a plugin test, in order: the account's stanzas, the host's log lines about the plugin, and the
//! plugin's log lines.

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

use super::server::Action;

/// The most events that are kept, so that a plugin that never stops ends the test and does not exhaust the machine.
const MOST: usize = 10_000;

/// An event of a plugin test.
#[derive(Debug, Clone)]
pub enum Happened {
    /// The account sent something.
    Did(Action),
    /// A call was denied.
    Denied {
        /// The permission that the call needs.
        permission: String,
        /// The JID, room or other target that the call was for.
        scope: Option<String>,
        /// The hint, if no grant can allow the call.
        hopeless: Option<String>,
    },
    /// The plugin wrote a line to the log.
    Logged {
        /// The log level.
        level: Level,
        /// The text of the entry.
        text: String,
    },
    /// The plugin is running: its `initialize` has returned.
    Runs,
    /// The host logged a warning about the plugin.
    Warned(String),
    /// The plugin computes without yielding, which the host tolerates only for a limited time.
    Computes(String),
    /// The plugin ended by its own fault.
    Ended(String),
    /// The backtrace of where in its code the plugin ended.
    Trace(String),
}

/// The recorded events. Clones share the same record.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Pad>);

#[derive(Debug, Default)]
struct Pad {
    all: Mutex<Vec<Happened>>,
    /// Notified when an event is added.
    more: Notify,
}

impl Notes {
    /// Adds an event.
    pub fn put(&self, happened: Happened) {
        let mut all = self.all();
        if all.len() < MOST {
            all.push(happened);
        }
        self.0.more.notify_one();
    }

    /// Waits until there is an event. Only one task may wait at a time.
    pub async fn more(&self) {
        while self.all().is_empty() {
            self.0.more.notified().await;
        }
    }

    /// Takes all recorded events.
    pub fn take(&self) -> Vec<Happened> {
        std::mem::take(&mut *self.all())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Happened>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what is logged on this thread until the guard is dropped.
    pub fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(self.subscriber())
    }

    /// Records everything that is logged in this process from now on. Can be called once in a process.
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
                self.put(Happened::Denied { permission, scope: field("scope"), hopeless: field("hopeless") });
            }
            "plugin ended" | "plugin declined to start" => {
                self.put(Happened::Ended(field("reason").unwrap_or_default()));
            }
            "plugin running" => self.put(Happened::Runs),
            "plugin moved" => {
                let (in_background, unbroken) = (field("in_background"), field("unbroken_ms").unwrap_or_default());
                if in_background.as_deref() == Some("true") && unbroken != "0" {
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

    /// The stack is as Go writes it.
    #[test]
    fn who_computes_without_a_pause_is_noted_and_not_who_is_busy_or_quiet_again() {
        let notes = Notes::default();
        let listening = notes.listen();
        for (in_background, unbroken) in [(true, 0), (false, 7), (true, 101)] {
            tracing::debug!(plugin = "echo", in_background, unbroken_ms = %unbroken, cpu_slice = "1 s", "plugin moved");
        }
        drop(listening);
        let happened = notes.take();
        let [Happened::Computes(text)] = &happened[..] else { panic!("{happened:?}") };
        let says = "it has computed for 101 ms without a pause: it is slowed down now, and ended after 1 s of that";
        assert_eq!(text, says);
    }
}
