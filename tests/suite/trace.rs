//! Collects the log lines of the hosts in this process, for tests that wait for a line.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{LazyLock, Mutex, Once};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// A log line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// The log level.
    pub(crate) level: Level,
    /// The target, which is `plugin` for a plugin's own lines.
    pub(crate) target: String,
    /// The text under `message`, and the other fields.
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl Line {
    /// Returns a field's text, or an empty string if the field is missing.
    pub(crate) fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    pub(crate) fn is(&self, message: &str, fields: &[(&str, &str)]) -> bool {
        self.get("message") == message && fields.iter().all(|(name, value)| self.get(name) == *value)
    }
}

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());
static NEWS: LazyLock<Notify> = LazyLock::new(Notify::new);

/// Collects lines from now on. All hosts of the process share the collection; their accounts' names distinguish them.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let wanted = Targets::new().with_target("parlor", LevelFilter::DEBUG).with_target("plugin", LevelFilter::DEBUG);
        tracing_subscriber::registry().with(Keep.with_filter(wanted)).init();
    });
}

/// Returns all lines so far with this value of the field.
pub(crate) fn with(field: &str, value: &str) -> Vec<Line> {
    LINES.lock().unwrap().iter().filter(|line| line.get(field) == value).cloned().collect()
}

/// Returns the lines of all accounts whose message has this word.
pub(crate) fn saying(word: &str) -> String {
    shown(LINES.lock().unwrap().iter().filter(|line| line.get("message").contains(word)))
}

fn shown<'l>(lines: impl Iterator<Item = &'l Line>) -> String {
    let mut text = String::new();
    for line in lines {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n    {} {} {:?}", line.level, line.target, line.fields);
    }
    text
}

/// Waits for a line of this account for which `pick` returns a value, from the first line on.
pub(crate) async fn wait<T>(what: &str, account: &str, limit: Duration, mut pick: impl FnMut(&Line) -> Option<T>) -> T {
    let look = async {
        loop {
            let news = NEWS.notified();
            tokio::pin!(news);
            // Registered before the lines are read, so that a line that comes in between wakes this.
            news.as_mut().enable();
            if let Some(found) = with("account", account).iter().find_map(&mut pick) {
                return found;
            }
            news.await;
        }
    };
    timeout(limit, look).await.unwrap_or_else(|_| panic!("not seen within {limit:?}: {what}\n{}", tail(account)))
}

/// Returns the last lines of an account, for a failure message.
pub(crate) fn tail(account: &str) -> String {
    let lines = with("account", account);
    format!("last lines of its log:{}", shown(lines[lines.len().saturating_sub(15)..].iter()))
}

/// The word at which the log panics during a plugin's call, as an embedding program's log may.
pub(crate) const BREAKS: &str = "the log breaks here";

struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line { level: *metadata.level(), target: metadata.target().to_owned(), fields: fields.0 };
        let breaks = line.target == "plugin" && line.get("message") == BREAKS;
        LINES.lock().unwrap().push(line);
        NEWS.notify_waiters();
        assert!(!breaks, "the log breaks");
    }
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
