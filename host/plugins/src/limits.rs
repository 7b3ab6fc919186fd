//! The resources that one plugin may use on one account: one table, with defaults and bounds.
//!
//! This module only holds the numbers. `instance`, `watchdog` and the API enforce them.

use std::time::Duration;

use parlor_base::nearest::nearest;
use parlor_base::quantity::{self, Bytes};

/// The stack of a plugin's code. It is an engine setting and the same for all plugins.
pub const WASM_STACK: Bytes = Bytes::kib(512);

/// The maximum number of elements of a table.
pub const MAX_TABLE_ELEMENTS: u32 = 1_000_000;

/// A type of value that a limit can have.
trait Amount: Sized + PartialOrd {
    /// Describes the values that the owner may write.
    const WANTS: &str;
    fn read(value: &toml::Value) -> Option<Self>;
    fn show(&self) -> String;
    /// Returns the amount as a number, sizes in bytes and times in seconds, or `None` if it is unlimited.
    fn number(&self) -> Option<f64>;
}

impl Amount for Bytes {
    const WANTS: &str = "a size such as \"32 MiB\"";
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn number(&self) -> Option<f64> {
        Some(self.as_f64())
    }
}

impl Amount for u32 {
    const WANTS: &str = "a whole number";
    fn read(value: &toml::Value) -> Option<Self> {
        // A negative or huge number is out of range, not of the wrong type, so it becomes the nearest `u32`.
        value.as_integer().map(|number| Self::try_from(number.clamp(0, i64::from(Self::MAX))).unwrap_or(Self::MAX))
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn number(&self) -> Option<f64> {
        Some((*self).into())
    }
}

impl Amount for Duration {
    const WANTS: &str = "a time such as \"500 ms\" or \"10 s\"";
    fn read(value: &toml::Value) -> Option<Self> {
        quantity::duration(value.as_str()?).ok()
    }
    fn show(&self) -> String {
        quantity::show_duration(*self)
    }
    fn number(&self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

impl Amount for Option<Duration> {
    const WANTS: &str = "a time such as \"10 s\", or \"none\"";
    fn read(value: &toml::Value) -> Option<Self> {
        if value.as_str()? == "none" { Some(None) } else { Duration::read(value).map(Some) }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |duration| duration.show())
    }
    fn number(&self) -> Option<f64> {
        self.and_then(|duration| duration.number())
    }
}

impl Amount for f64 {
    const WANTS: &str = "a part of one core such as 0.25";
    #[expect(clippy::cast_precision_loss, reason = "a whole number is only right if it is as small as 1")]
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_float().or_else(|| value.as_integer().map(|number| number as Self)).filter(|share| !share.is_nan())
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn number(&self) -> Option<f64> {
        Some(*self)
    }
}

/// A limit, for documentation and for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key in `[plugin.X.limits]`.
    pub name: &'static str,
    /// A description of the limited quantity.
    pub about: String,
    /// The form of its value.
    pub shape: &'static str,
    /// The value that applies if the owner sets none.
    pub default: String,
    /// The smallest value that is allowed.
    pub least: String,
    /// The largest value that is allowed.
    pub most: String,
}

/// The error for a limit that the owner wrote and that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No limit has this name.
    #[error("unknown limit `{}`; {}", name.escape_debug(), nearest.map_or_else(|| format!("known are {}", Limits::NAMES.join(", ")), |near| format!("did you mean `{near}`?")))]
    Unknown {
        /// The name that was written.
        name: String,
        /// The most similar name of a limit, if any is similar.
        nearest: Option<&'static str>,
    },
    /// The value is of the wrong type.
    #[error("the limit `{name}` has to be {wants}")]
    Shape {
        /// The limit's name.
        name: &'static str,
        /// A description of the accepted values.
        wants: &'static str,
    },
    /// The value is below or above the allowed range.
    #[error("the limit `{name}` has to be from {least} to {most}, not {got}")]
    Range {
        /// The limit's name.
        name: &'static str,
        /// The smallest value that is allowed.
        least: String,
        /// The largest value that is allowed.
        most: String,
        /// The value that was written.
        got: String,
    },
}

fn read<T: Amount>(name: &'static str, value: &toml::Value, least: &T, most: &T, free: &T) -> Result<T, LimitError> {
    let amount = T::read(value).ok_or(LimitError::Shape { name, wants: T::WANTS })?;
    if amount == *free || (*least <= amount && amount <= *most) {
        Ok(amount)
    } else {
        Err(LimitError::Range { name, least: least.show(), most: most.show(), got: amount.show() })
    }
}

fn show<T: Amount>(amount: &T) -> String {
    amount.show()
}

fn number<T: Amount>(amount: &T) -> Option<f64> {
    amount.number()
}

/// Defines the table of limits: each line is a field, its default and its bounds.
macro_rules! limits {
    ($($(#[doc = $about:literal])+ $name:ident: $amount:ty = $default:expr, $least:expr => $most:expr;)+) => {
        /// The resources that one plugin may use on one account.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Limits {
            $($(#[doc = $about])+ pub $name: $amount,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// The names of all limits.
            pub const NAMES: &[&str] = &[$(stringify!($name),)+];

            /// Sets one limit to the value in the owner's file.
            pub fn set(&mut self, name: &str, value: &toml::Value) -> Result<(), LimitError> {
                match name {
                    $(stringify!($name) => {
                        self.$name = read::<$amount>(stringify!($name), value, &$least, &$most, &$default)?;
                    })+
                    _ => {
                        let nearest = nearest(name, Self::NAMES.iter().copied());
                        return Err(LimitError::Unknown { name: name.to_owned(), nearest });
                    }
                }
                Ok(())
            }

            /// Returns the limits in force, in the order of the struct, as an owner would write them and as numbers:
            /// sizes in bytes, times in seconds, and `None` for unlimited ones.
            pub fn shown(&self) -> Vec<(&'static str, String, Option<f64>)> {
                vec![$((stringify!($name), show::<$amount>(&self.$name), number::<$amount>(&self.$name)),)+]
            }

            /// Returns the whole table, in the order of the struct.
            pub fn table() -> Vec<Row> {
                vec![$(Row {
                    name: stringify!($name),
                    about: [$($about,)+].concat().trim().to_owned(),
                    shape: <$amount as Amount>::WANTS,
                    default: show::<$amount>(&$default),
                    least: show::<$amount>(&$least),
                    most: show::<$amount>(&$most),
                },)+]
            }
        }
    };
}

limits! {
    /// Linear memory, all memories together.
    memory: Bytes = Bytes::mib(64), Bytes::kib(64) => Bytes::mib(4095);
    /// Linear memories.
    memories: u32 = 4, 1 => 100;
    /// Tables.
    tables: u32 = 20, 1 => 1_000;
    /// Elements of each table.
    table_elements: u32 = 100_000, 0 => MAX_TABLE_ELEMENTS;
    /// Core instances inside the component; `CPython` alone needs more than thirty.
    instances: u32 = 100, 1 => 1_000;
    /// Handles to resources, subtasks, futures and streams at once.
    handles: u32 = 4_096, 16 => 1_000_000;
    /// Bytes that one call may carry across the boundary. A call with more ends the plugin. So this has to leave room
    /// for arguments that are merely too long, such as a text of 1 MiB, which are answered with an error.
    hostcall_bytes: Bytes = Bytes::mib(4), Bytes::kib(16) => Bytes::mib(64);
    /// Handlers that have begun and not returned, except those that wait for the answer to a question. While all these places are taken, one timer handler at a time may
    /// still run, since the others may be waiting for it.
    handlers: u32 = 32, 1 => 1_024;
    /// Events that wait for a handler, 32 MiB of them at most. Events beyond that are counted as lost.
    mailbox: u32 = 256, 1 => 65_536;
    /// Share of one core, averaged over time.
    cpu_share: f64 = 0.25, 0.001 => 1.0;
    /// CPU time that may be used at once before the share is enforced.
    cpu_burst: Duration = Duration::from_millis(100), Duration::from_millis(1) => Duration::from_mins(1);
    /// CPU time that the plugin may use without ever waiting. After that it is ended.
    cpu_slice: Duration = Duration::from_secs(1), Duration::from_millis(10) => Duration::from_mins(1);
    /// Subscriptions to events.
    subscriptions: u32 = 256, 1 => 65_536;
    /// Promises that the plugin has added.
    promises: u32 = 64, 0 => 4_096;
    /// Timers.
    timers: u32 = 64, 0 => 4_096;
    /// Schedules.
    schedules: u32 = 64, 1 => 1_024;
    /// Calls that wait for an answer. At most 1,024 of them may wait for promises, 256 for any one room, and 256 for
    /// chats that are not ready yet.
    open_calls: u32 = 256, 1 => 65_536;
    /// Memory that the host holds for the plugin's calls, outside of the plugin's own: what they carry while they wait,
    /// and what was read for them. All plugins of a host together may use 1 GiB. Each may use 1 MiB in any case.
    host_memory: Bytes = Bytes::mib(16), Bytes::mib(1) => Bytes::mib(1024);
    /// Archive queries, and streams of them, at once. At most 64 of their pages may be under way.
    archive_queries: u32 = 8, 0 => 1_024;
    /// IQ requests that wait for an answer, except those of archive queries. A request that was given up still counts
    /// for half a minute. At most 8 changes of the account's own vCard may wait for one another.
    iqs: u32 = 64, 0 => 1_024;
    /// Rooms that this plugin was the first to open and that are still open, or that a bookmark would open again.
    /// Adding a bookmark with `autojoin` also opens its room.
    rooms: u32 = 100, 0 => 1_000;
    /// Chat commands that the plugin registers.
    commands: u32 = 64, 0 => 1_024;
    /// Questions to people that are open, or whose answers the plugin has not taken.
    dialogs: u32 = 1_000, 0 => 10_000;
    /// Missed messages that the plugin is sent each time it catches up, from the account's archive and from that of
    /// each room. At most ten times as many are read from the archive for it.
    catch_up_messages: u32 = 5_000, 1 => 1_000_000;
    /// Maximum age of missed messages.
    catch_up_age: Duration = Duration::from_hours(7 * 24), Duration::from_mins(1) => Duration::from_hours(366 * 24);
    /// Log lines per second.
    log_lines_per_second: u32 = 50, 0 => 10_000;
    /// Stanzas that the plugin sends, per second, averaged over time. Further ones wait for their turn.
    messages_per_second: u32 = 10, 0 => 1_000_000;
    /// Stanzas that the plugin may send at once. A status change goes to each open room, so it counts as one stanza for
    /// each room and one more, but never as more than this limit, and it is always sent at once.
    messages_burst: u32 = 50, 1 => 1_000_000;
    /// Bytes of messages and stanzas that the plugin sends, per second; as much at once. Further ones wait for their turn.
    bytes_per_second: Bytes = Bytes::kib(512), Bytes::kib(256) => Bytes::mib(1024);
    /// Events of its own that the plugin fires, per second; as many at once.
    events_per_second: u32 = 500, 1 => 1_000_000;
    /// Other calls that the account's task carries out, such as `chats.show` or `promises.add`, per second; as many at
    /// once.
    calls_per_second: u32 = 500, 1 => 1_000_000;
    /// Bytes that the plugin writes to its storage or reads from it, per second; as much at once. Each call, and each of
    /// several changes, counts as at least 512 bytes, and a page of keys as 16 KiB.
    storage_per_second: Bytes = Bytes::mib(8), Bytes::kib(512) => Bytes::mib(1024);
    /// Requests over the web that have not been answered. A request by `http.open` counts until its answer was read to
    /// the end, or it was closed.
    http_requests: u32 = 8, 0 => 256;
    /// Requests over the web, per second; as many at once. A redirect that is followed counts as one, and so does a request
    /// that is made again because the server had not begun with it.
    http_per_second: u32 = 10, 1 => 10_000;
    /// Bytes of the body of an answer, unpacked.
    http_body: Bytes = Bytes::mib(4), Bytes::kib(1) => Bytes::mib(64);
    /// Bytes of bodies over the web, in each direction, per second; twice as much at once, or the largest body if that is more.
    http_bytes_per_second: Bytes = Bytes::mib(4), Bytes::kib(64) => Bytes::mib(1024);
    /// Files that are open: uploads and those that are read.
    files: u32 = 8, 0 => 256;
    /// Time until the answer to a request over the web begins, for each redirect. Of a body in parts it begins with its end.
    http_first_byte: Duration = Duration::from_secs(30), Duration::from_millis(100) => Duration::from_mins(10);
    /// Time that a request may take, with all redirects and the whole body; of bodies in parts and files, each wait.
    http_time: Duration = Duration::from_secs(30), Duration::from_millis(100) => Duration::from_mins(10);
    /// Bytes of the body of a request to a webhook, beside `hostcall_bytes`.
    webhook_body: Bytes = Bytes::mib(1), Bytes::kib(1) => Bytes::mib(16);
    /// Requests to the plugin's webhooks that it was not told of yet, or that wait for its answer. Further ones are
    /// answered with 503.
    webhook_queue: u32 = 1_000, 1 => 1_000_000;
    /// Bytes of such requests that are kept on disk, with those of the last hundred that it was told of.
    webhook_bytes: Bytes = Bytes::mib(64), Bytes::kib(64) => Bytes::mib(4095);
    /// Time in which the plugin has to answer a request to a webhook of the mode `answer`.
    webhook_time: Duration = Duration::from_secs(10), Duration::from_millis(100) => Duration::from_mins(5);
    /// Time in which the plugin has to answer a request (IQ) of somebody. At most 64 may wait for its answers, and 16 of one
    /// sender; further ones are refused.
    iq_time: Duration = Duration::from_secs(10), Duration::from_secs(1) => Duration::from_mins(1);
    /// Time in which the plugin has to answer a request of another plugin. At most 64 may wait for its answers.
    request_time: Duration = Duration::from_secs(5), Duration::from_millis(100) => Duration::from_mins(1);
    /// Time that `initialize` may take, not counting time that it waits for others.
    initialize: Duration = Duration::from_secs(10), Duration::from_millis(100) => Duration::from_mins(10);
    /// Time that a handler may take, including waiting; `none` = unlimited.
    handler: Option<Duration> = None, Some(Duration::from_millis(100)) => Some(Duration::from_hours(24));
    /// Time without anything to do after which a plugin is parked whose manifest says `parks`.
    idle: Duration = Duration::from_secs(30), Duration::from_millis(10) => Duration::from_hours(24);
    /// Time that `stop` may take. When the host shuts down, the plugin first gets as much time to handle the events in
    /// its mailbox.
    stop: Duration = Duration::from_secs(2), Duration::ZERO => Duration::from_mins(1);
}

impl Limits {
    /// Returns the default limits with the changes in `[plugin.X.limits]`.
    pub fn from_table(table: &toml::Table) -> Result<Self, LimitError> {
        let mut limits = Self::default();
        table.iter().try_for_each(|(name, value)| limits.set(name, value))?;
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Limits, String> {
        Limits::from_table(&text.parse().unwrap()).map_err(|error| error.to_string())
    }

    /// The session has places for eight plugins that use it up.
    #[test]
    fn the_largest_number_of_requests_is_the_one_that_the_session_reckons_with() {
        let iqs = Limits::table().into_iter().find(|limit| limit.name == "iqs").unwrap();
        assert_eq!(iqs.most, parlor_session::MOST_IQS.to_string());
    }

    #[test]
    fn an_owner_changes_what_he_names_and_nothing_else() {
        let limits = read("memory = \"32 MiB\"\ncpu_share = 0.1\nhandler = \"5 s\"\nmailbox = 8\n").unwrap();
        let expected = Limits {
            memory: Bytes::mib(32),
            cpu_share: 0.1,
            handler: Some(Duration::from_secs(5)),
            mailbox: 8,
            ..Limits::default()
        };
        assert_eq!(limits, expected);
        assert_eq!(read("cpu_share = 1\nhandler = \"none\"\n").unwrap().cpu_share.to_bits(), 1f64.to_bits());
    }

    #[test]
    fn a_refusal_names_the_limit_and_its_range() {
        assert_eq!(
            read("memory = \"8 GiB\"").unwrap_err(),
            "the limit `memory` has to be from 64 KiB to 4095 MiB, not 8 GiB"
        );
        assert_eq!(read("cpu_share = 1.5").unwrap_err(), "the limit `cpu_share` has to be from 0.001 to 1, not 1.5");
        assert_eq!(read("cpu_share = 0").unwrap_err(), "the limit `cpu_share` has to be from 0.001 to 1, not 0");
        assert_eq!(read("mailbox = -1").unwrap_err(), "the limit `mailbox` has to be from 1 to 65536, not 0");
        assert_eq!(
            read("handler = \"1 ms\"").unwrap_err(),
            "the limit `handler` has to be from 100 ms to 1 d, not 1 ms"
        );
        assert_eq!(read("stop = \"2 h\"").unwrap_err(), "the limit `stop` has to be from 0 ms to 1 min, not 2 h");
        assert_eq!(read("memory = 64").unwrap_err(), "the limit `memory` has to be a size such as \"32 MiB\"");
        assert_eq!(
            read("cpu_share = nan").unwrap_err(),
            "the limit `cpu_share` has to be a part of one core such as 0.25"
        );
        assert_eq!(read("cpu_share = inf").unwrap_err(), "the limit `cpu_share` has to be from 0.001 to 1, not inf");
        assert_eq!(
            read("stop = \"none\"").unwrap_err(),
            "the limit `stop` has to be a time such as \"500 ms\" or \"10 s\""
        );
        assert_eq!(read("memroy = 64").unwrap_err(), "unknown limit `memroy`; did you mean `memory`?");
    }

    #[test]
    fn every_default_and_every_bound_can_be_written() {
        for row in Limits::table() {
            assert!(!row.about.is_empty());
            for text in [row.default, row.least, row.most] {
                let plain = format!("{} = {text}", row.name).parse::<toml::Table>();
                let table = plain.unwrap_or_else(|_| format!("{} = {text:?}", row.name).parse().unwrap());
                Limits::from_table(&table).unwrap();
            }
        }
        assert_eq!(Limits::table().len(), Limits::NAMES.len());
    }
}
