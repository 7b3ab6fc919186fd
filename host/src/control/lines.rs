//! The last lines of the log, kept in memory for queries. Bounded in lines and in bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use parlor_base::escape::escape_untrusted;
use serde::{Serialize, Serializer};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::views::Line;

/// The most bytes that are kept. Lines about no account keep a quarter of them. The accounts in the log have equal parts of the rest:
/// an account whose lines take no more than its part loses none to others.
const MOST_BYTES: usize = 4 << 20;
/// A short line counts as one of this many bytes, so at most 10,485 lines are kept.
const LEAST: usize = 400;
/// A longer text in a line is truncated to this many bytes.
const LONGEST: usize = 4 << 10;
/// Further fields of a line are omitted.
const MOST_FIELDS: usize = 16;

/// The target of lines that plugins wrote themselves. No other line has it.
pub const SAYS: &str = "plugin";

/// A line as it is stored. Thousands of lines are kept, so static strings are not copied into each. It is shown as a
/// [`Line`].
#[derive(Debug)]
pub struct Said {
    number: u64,
    at: Timestamp,
    level: &'static str,
    target: &'static str,
    message: Box<str>,
    fields: Box<[(&'static str, Box<str>)]>,
}

impl Said {
    fn line(&self) -> Line {
        let fields = self.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_string()));
        Line {
            number: self.number,
            at: self.at.to_string(),
            level: self.level.to_owned(),
            target: self.target.to_owned(),
            message: self.message.clone().into_string(),
            fields: fields.collect(),
        }
    }

    /// Returns the plugin that wrote the line or that it is about.
    fn owner(&self) -> Option<&str> {
        self.field("plugin")
    }

    /// Returns the account that the line is about.
    fn account(&self) -> Option<&str> {
        self.field("account")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// Returns how many bytes the line counts as.
    fn size(&self) -> usize {
        let fields = self.fields.iter().map(|field| size_of_val(field) + field.1.len());
        LEAST.max(size_of::<Self>() + self.message.len() + fields.sum::<usize>())
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.line().serialize(serializer)
    }
}

/// A ring buffer of lines. Clones share it.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kept: Mutex<Buffer>,
    /// The number of the newest line.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Buffer {
    /// The lines by their numbers.
    lines: BTreeMap<u64, Arc<Said>>,
    bytes: usize,
    /// The lines about each account, and those about none.
    shares: HashMap<Option<String>, Share>,
    /// The bytes of each account's lines, with its name.
    largest: BTreeSet<(usize, String)>,
    next: u64,
}

/// The lines about one account, or about none.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    /// The lines of each plugin (by it or about it), and all other ones.
    plugins: HashMap<Option<String>, Part>,
}

/// The lines about one account and one plugin.
#[derive(Debug, Default)]
struct Part {
    bytes: usize,
    /// The numbers of the lines, the oldest first.
    numbers: VecDeque<u64>,
}

impl Buffer {
    fn put(&mut self, line: Said) {
        let (account, size) = (line.account().map(str::to_owned), line.size());
        let share = self.shares.entry(account.clone()).or_default();
        let part = share.plugins.entry(line.owner().map(str::to_owned)).or_default();
        part.bytes += size;
        part.numbers.push_back(line.number);
        let before = share.bytes;
        share.bytes += size;
        let after = share.bytes;
        self.bytes += size;
        self.lines.insert(line.number, Arc::new(line));
        self.order(account, before, after);
        while self.bytes > MOST_BYTES {
            self.forget();
        }
    }

    /// Drops a line about no account if such lines take more than a quarter of the bytes, or else one about the account with the most
    /// bytes. The plugin with the most bytes there loses its oldest line. So a flood of lines displaces itself.
    fn forget(&mut self) {
        let of_none = self.shares.get(&None::<String>).map_or(0, |share| share.bytes);
        let largest = self.largest.last().filter(|_| of_none <= MOST_BYTES / 4);
        let account = largest.map(|(_, name)| name.clone());
        let Some(share) = self.shares.get_mut(&account) else { return };
        let largest = share.plugins.iter().max_by_key(|(_, part)| part.bytes);
        let Some(plugin) = largest.map(|(plugin, _)| plugin.clone()) else { return };
        let Some(part) = share.plugins.get_mut(&plugin) else { return };
        let number = part.numbers.pop_front();
        let Some(gone) = number.and_then(|number| self.lines.remove(&number)) else { return };
        let (size, before) = (gone.size(), share.bytes);
        part.bytes -= size;
        if part.numbers.is_empty() {
            share.plugins.remove(&plugin);
        }
        share.bytes -= size;
        let after = share.bytes;
        if after == 0 {
            self.shares.remove(&account);
        }
        self.bytes -= size;
        self.order(account, before, after);
    }

    /// Notes how many bytes the lines about an account take.
    fn order(&mut self, account: Option<String>, before: usize, after: usize) {
        let Some(name) = account else { return };
        let mut entry = (before, name);
        self.largest.remove(&entry);
        if after > 0 {
            entry.0 = after;
            self.largest.insert(entry);
        }
    }
}

/// A filter for lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only lines about this plugin.
    pub plugin: Option<String>,
    /// Only lines that are at least this important, as [`rank`] orders them.
    pub level: Option<u8>,
    /// Only lines about the account of this name that were written since then.
    pub account: Option<(String, Timestamp)>,
}

/// The levels by importance: 0 is `error`, 4 is `trace`.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Returns the rank of a level, 0 for the most important; none for a word that is not a level.
pub fn rank(level: &str) -> Option<u8> {
    LEVELS.iter().position(|known| *known == level).and_then(|rank| u8::try_from(rank).ok())
}

impl Wanted {
    fn takes(&self, line: &Said) -> bool {
        self.plugin.as_deref().is_none_or(|plugin| line.owner() == Some(plugin))
            && self.level.is_none_or(|level| rank(line.level).is_some_and(|rank| rank <= level))
            && self
                .account
                .as_ref()
                .is_none_or(|(name, since)| line.account() == Some(name.as_str()) && line.at >= *since)
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self(Arc::new(Shared { kept: Mutex::default(), newest: watch::Sender::new(0) }))
    }
}

impl Lines {
    fn kept(&self) -> MutexGuard<'_, Buffer> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut line: Said) {
        let mut kept = self.kept();
        kept.next += 1;
        line.number = kept.next;
        kept.put(line);
        let newest = kept.next;
        drop(kept);
        self.0.newest.send_replace(newest);
    }

    /// Returns the lines after this number that match the filter, and the number of the newest line of all.
    pub fn after(&self, number: u64, wanted: &Wanted) -> (Vec<Arc<Said>>, u64) {
        let kept = self.kept();
        let later = kept.lines.range(number.saturating_add(1)..).map(|(_, line)| line);
        let lines = later.filter(|line| wanted.takes(line)).cloned().collect();
        (lines, kept.next)
    }

    /// Returns a receiver that is notified of each new line.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut texts = Texts::default();
        event.record(&mut texts);
        let metadata = event.metadata();
        let level = LEVELS.into_iter().find(|known| known.eq_ignore_ascii_case(metadata.level().as_str()));
        self.put(Said {
            number: 0,
            at: Timestamp::now(),
            level: level.unwrap_or_default(),
            target: metadata.target(),
            message: texts.message.into_boxed_str(),
            fields: texts.fields.into_boxed_slice(),
        });
    }
}

#[derive(Default)]
struct Texts {
    message: String,
    fields: Vec<(&'static str, Box<str>)>,
}

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = escape_untrusted(value, LONGEST);
        if field.name() == "message" {
            self.message = text;
        } else if self.fields.len() < MOST_FIELDS {
            self.fields.push((field.name(), text.into_boxed_str()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing into a String cannot fail; if a value's `Debug` fails, the text so far is shown.
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
        let line = kept[0].line();
        assert_eq!((line.number, line.level.as_str(), line.message.as_str()), (1, "warn", "said \\u{7}1"));
        assert_eq!(line.fields["evil"], "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!((line.fields["plugin"].as_str(), line.fields["n"].as_str()), ("echo", "3"));
    }

    #[test]
    fn only_what_is_wanted_is_given() {
        let lines = with_lines(|| {
            tracing::info!(plugin = "echo", "one");
            tracing::error!(plugin = "snoop", "two");
            tracing::debug!(plugin = "echo", "three");
        });
        let of = |plugin: Option<&str>, level: Option<&str>, after| {
            let wanted = Wanted { plugin: plugin.map(str::to_owned), level: level.and_then(rank), account: None };
            lines.after(after, &wanted).0.iter().map(|line| line.message.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(Some("echo"), None, 0), ["one", "three"]);
        assert_eq!(of(Some("echo"), Some("info"), 0), ["one"]);
        assert_eq!(of(None, Some("error"), 0), ["two"]);
        assert_eq!(of(None, None, 2), ["three"]);
        assert_eq!(of(None, None, 99), [""; 0]);
    }

    #[test]
    fn lines_of_one_account_begin_with_its_start() {
        let lines = with_lines(|| {
            tracing::info!(plugin = "echo", account = "red", "of a former account with this name");
            std::thread::sleep(std::time::Duration::from_millis(2));
        });
        let since = Timestamp::now();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.clone()), || {
            tracing::info!(plugin = "echo", account = "red", "one");
            tracing::info!(plugin = "echo", account = "blue", "two");
            tracing::info!(plugin = "echo", "three");
        });
        let wanted = Wanted { account: Some(("red".to_owned(), since)), ..Wanted::default() };
        let (found, newest) = lines.after(0, &wanted);
        assert_eq!(found.iter().map(|line| &*line.message).collect::<Vec<_>>(), ["one"]);
        assert_eq!(newest, 4);
    }

    #[test]
    fn the_ring_is_bounded_in_lines_and_in_bytes() {
        let long = "x".repeat(100_000);
        let lines = with_lines(|| (0..3_000).for_each(|_| tracing::info!("{long}")));
        let (kept, newest) = lines.after(0, &Wanted::default());
        assert_eq!(newest, 3_000);
        assert!(kept.iter().map(|line| line.message.len()).sum::<usize>() <= MOST_BYTES);
        assert_eq!(kept.last().unwrap().number, 3_000);
        let most_lines = MOST_BYTES / LEAST;
        let lines = with_lines(|| (0..most_lines + 5).for_each(|_| tracing::info!("x")));
        assert_eq!(lines.after(0, &Wanted::default()).0.len(), most_lines);
        assert_eq!(lines.after(0, &Wanted::default()).0[0].number, 6);
        // A field takes more memory than its text.
        let many =
            || tracing::info!(a = 1, b = 1, c = 1, d = 1, e = 1, f = 1, g = 1, h = 1, i = 1, j = 1, k = 1, l = 1, "x");
        let lines = with_lines(|| (0..most_lines).for_each(|_| many()));
        assert!(lines.after(0, &Wanted::default()).0.len() < most_lines);
    }

    /// Returns how many lines with this message there are.
    fn count(lines: &Lines, message: &str) -> usize {
        lines.after(0, &Wanted::default()).0.iter().filter(|line| &*line.message == message).count()
    }

    #[test]
    fn lines_about_an_account_displace_no_lines_of_others() {
        let lines = with_lines(|| {
            for _ in 0..1_000 {
                tracing::info!("of the host");
                tracing::info!(plugin = "shared", account = "blue", "of blue");
            }
            for _ in 0..20_000 {
                tracing::info!(plugin = "shared", account = "red", "of red");
                tracing::info!(account = "red", room = "hall@rooms.example.org", "red enters a room");
            }
        });
        assert_eq!([count(&lines, "of the host"), count(&lines, "of blue")], [1_000; 2]);
        // The rest is for it: both kinds of its lines have an equal share.
        let own = ["of red", "red enters a room"].map(|message| count(&lines, message));
        assert!(own.iter().sum::<usize>() > 8_000 && own[0].abs_diff(own[1]) < 2, "{own:?}");
    }

    #[test]
    fn many_accounts_leave_a_quarter_to_the_lines_of_the_host() {
        let lines = with_lines(|| {
            (0..2_000).for_each(|_| tracing::info!("of the host"));
            for number in 0..20_000 {
                tracing::info!(account = format!("a{}", number % 5_000), "of an account");
            }
        });
        let most_lines = MOST_BYTES / LEAST;
        assert_eq!(count(&lines, "of the host"), 2_000);
        assert_eq!(count(&lines, "of an account"), most_lines - 2_000);
        let kept = lines.kept();
        assert_eq!(kept.bytes, kept.lines.values().map(|line| line.size()).sum::<usize>());
        assert_eq!((kept.shares.len(), kept.largest.len()), (5_001, 5_000));
    }

    #[test]
    fn a_plugin_that_floods_the_log_displaces_its_own_lines() {
        let lines = with_lines(|| {
            tracing::info!(plugin = "quiet", account = "main", "of the quiet one");
            (0..20_000).for_each(|_| tracing::info!(plugin = "loud", account = "main", "of the loud one"));
        });
        assert_eq!(count(&lines, "of the quiet one"), 1);
        let lines = with_lines(|| (0..20_000).for_each(|_| tracing::info!(account = "main", "x")));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.clone()), || {
            (0..20_000).for_each(|_| tracing::info!("of the host"));
        });
        // Lines about no account take what the accounts leave, and at least a quarter.
        assert_eq!(count(&lines, "of the host"), MOST_BYTES / 4 / LEAST);
    }
}
