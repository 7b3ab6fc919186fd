//! The last lines of the log, kept in memory for whoever asks. Bounded in lines and in bytes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::views::Line;
use crate::harmless::harmless;

/// So many lines are kept; the oldest go first, of the plugin with the most.
const MOST_LINES: usize = 10_000;
/// So many bytes of texts are kept.
const MOST_BYTES: usize = 4 << 20;
/// A longer text of a line is cut.
const LONGEST: usize = 4 << 10;
/// More fields of a line are left out.
const MOST_FIELDS: usize = 16;

/// The target of lines that plugins wrote themselves. No other line has it.
pub const SAYS: &str = "plugin";

/// The ring of lines. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    /// The number of the newest line.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    /// The bytes of each plugin's lines, those that it wrote and those about it, and of all others'.
    shares: HashMap<Option<String>, usize>,
    next: u64,
}

impl Kept {
    fn put(&mut self, line: Line) {
        self.bytes += size(&line);
        *self.shares.entry(owner(&line).cloned()).or_default() += size(&line);
        self.lines.push_back(Arc::new(line));
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            self.forget();
        }
    }

    /// The oldest line goes, of those about whom there are most: a plugin that floods the log takes its own lines away.
    fn forget(&mut self) {
        let largest = self.shares.iter().max_by_key(|(_, bytes)| **bytes).map(|(owner, _)| owner.as_ref());
        let oldest = self.lines.iter().position(|line| largest.is_none_or(|largest| owner(line) == largest));
        let Some(gone) = self.lines.remove(oldest.unwrap_or(0)) else { return };
        self.bytes -= size(&gone);
        let owner = owner(&gone).cloned();
        if let Some(share) = self.shares.get_mut(&owner) {
            *share -= size(&gone);
            if *share == 0 {
                self.shares.remove(&owner);
            }
        }
    }
}

fn owner(line: &Line) -> Option<&String> {
    line.fields.get("plugin")
}

/// Which lines somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those about this plugin alone.
    pub plugin: Option<String>,
    /// Those at least this important, as [`rank`] orders them.
    pub level: Option<u8>,
}

/// Levels by their importance: 0 is `error`, 4 is `trace`.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// How important a level is, 0 the most; none for a word that is no level.
pub fn rank(level: &str) -> Option<u8> {
    LEVELS.iter().position(|known| *known == level).and_then(|rank| u8::try_from(rank).ok())
}

impl Wanted {
    fn takes(&self, line: &Line) -> bool {
        self.plugin.as_ref().is_none_or(|plugin| line.fields.get("plugin") == Some(plugin))
            && self.level.is_none_or(|level| rank(&line.level).is_some_and(|rank| rank <= level))
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self(Arc::new(Shared { kept: Mutex::default(), newest: watch::Sender::new(0) }))
    }
}

impl Lines {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut line: Line) {
        let mut kept = self.kept();
        kept.next += 1;
        line.number = kept.next;
        kept.put(line);
        let newest = kept.next;
        drop(kept);
        self.0.newest.send_replace(newest);
    }

    /// The lines that are wanted after the one of this number, and the number of the newest line of all.
    pub fn after(&self, number: u64, wanted: &Wanted) -> (Vec<Arc<Line>>, u64) {
        let kept = self.kept();
        let skip = kept.lines.partition_point(|line| line.number <= number);
        let lines = kept.lines.iter().skip(skip).filter(|line| wanted.takes(line)).cloned().collect();
        (lines, kept.next)
    }

    /// Told of each new line.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }
}

fn size(line: &Line) -> usize {
    line.message.len() + line.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + 64
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut texts = Texts::default();
        event.record(&mut texts);
        let metadata = event.metadata();
        self.put(Line {
            number: 0,
            at: Timestamp::now().to_string(),
            level: metadata.level().as_str().to_ascii_lowercase(),
            target: metadata.target().to_owned(),
            message: texts.message,
            fields: texts.fields,
        });
    }
}

#[derive(Default)]
struct Texts {
    message: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = harmless(value, LONGEST);
        if field.name() == "message" {
            self.message = text;
        } else if self.fields.len() < MOST_FIELDS {
            self.fields.insert(field.name().to_owned(), text);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing into a String cannot fail; a value that says that it cannot be written is shown as far as it was.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn with_lines(write: impl FnOnce()) -> Lines {
        let lines = Lines::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.clone()), write);
        lines
    }

    #[test]
    fn a_line_is_kept_with_its_fields_and_does_no_harm() {
        let lines = with_lines(|| tracing::warn!(plugin = "echo", n = 3, evil = %"a\x1b[2Jb\nc", "said \x07{}", 1));
        let (kept, newest) = lines.after(0, &Wanted::default());
        assert_eq!(newest, 1);
        assert_eq!((kept[0].number, kept[0].level.as_str(), kept[0].message.as_str()), (1, "warn", "said \\u{7}1"));
        assert_eq!(kept[0].fields["evil"], "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!((kept[0].fields["plugin"].as_str(), kept[0].fields["n"].as_str()), ("echo", "3"));
    }

    #[test]
    fn only_what_is_wanted_is_given() {
        let lines = with_lines(|| {
            tracing::info!(plugin = "echo", "one");
            tracing::error!(plugin = "snoop", "two");
            tracing::debug!(plugin = "echo", "three");
        });
        let of = |plugin: Option<&str>, level: Option<&str>, after| {
            let wanted = Wanted { plugin: plugin.map(str::to_owned), level: level.and_then(rank) };
            lines.after(after, &wanted).0.iter().map(|line| line.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(Some("echo"), None, 0), ["one", "three"]);
        assert_eq!(of(Some("echo"), Some("info"), 0), ["one"]);
        assert_eq!(of(None, Some("error"), 0), ["two"]);
        assert_eq!(of(None, None, 2), ["three"]);
        assert_eq!(of(None, None, 99), [""; 0]);
    }

    #[test]
    fn the_ring_is_bounded_in_lines_and_in_bytes() {
        let long = "x".repeat(100_000);
        let lines = with_lines(|| (0..3_000).for_each(|_| tracing::info!("{long}")));
        let (kept, newest) = lines.after(0, &Wanted::default());
        assert_eq!(newest, 3_000);
        assert!(kept.iter().map(|line| line.message.len()).sum::<usize>() <= MOST_BYTES);
        assert_eq!(kept.last().unwrap().number, 3_000);
        let lines = with_lines(|| (0..MOST_LINES + 5).for_each(|_| tracing::info!("x")));
        assert_eq!(lines.after(0, &Wanted::default()).0.len(), MOST_LINES);
        assert_eq!(lines.after(0, &Wanted::default()).0[0].number, 6);
    }
}
