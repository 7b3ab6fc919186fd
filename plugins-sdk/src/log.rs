//! Writing to the host's log, with this plugin's id and account on each line. Needs no permission.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # let (count, room) = (3, "hall@example.org");
//! info!("greeted {count} people in {room}");
//! ```

use std::fmt;

use crate::bindings::parlor::plugin::log;

pub use crate::bindings::parlor::plugin::log::Level;

/// Writes one line. The macros [`debug!`](crate::debug) to [`fatal!`](crate::fatal) read better.
pub fn write(level: Level, message: &str) {
    log::write(level, message);
}

/// Writes one line from its format arguments.
#[doc(hidden)]
pub fn write_format(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(message) => log::write(level, message),
        None => log::write(level, &message.to_string()),
    }
}

/// Writes a line that helps to find a bug.
#[macro_export]
macro_rules! debug { ($($message:tt)+) => { $crate::log::write_format($crate::log::Level::Debug, ::std::format_args!($($message)+)) } }

/// Writes an informational line.
#[macro_export]
macro_rules! info { ($($message:tt)+) => { $crate::log::write_format($crate::log::Level::Info, ::std::format_args!($($message)+)) } }

/// Writes a line about something odd.
#[macro_export]
macro_rules! warn { ($($message:tt)+) => { $crate::log::write_format($crate::log::Level::Warn, ::std::format_args!($($message)+)) } }

/// Writes a line about something that did not work.
#[macro_export]
macro_rules! error { ($($message:tt)+) => { $crate::log::write_format($crate::log::Level::Error, ::std::format_args!($($message)+)) } }

/// Writes a line about an error after which the plugin cannot continue.
#[macro_export]
macro_rules! fatal { ($($message:tt)+) => { $crate::log::write_format($crate::log::Level::Fatal, ::std::format_args!($($message)+)) } }
