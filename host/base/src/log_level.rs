//! The minimum log level of one plugin's lines, if the owner wants more or fewer of them than of other plugins.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The least important level of a plugin's lines that is logged, such as `debug` for a plugin under development.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "their names say it")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// Returns the level's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a text that is not a log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a level is debug, info, warn or error")]
pub struct NoLevel;

impl FromStr for LogLevel {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(NoLevel)
    }
}

/// The log level chosen for one plugin, which may change while it runs; `None` = the general one of `--log`.
#[derive(Debug)]
pub struct ChosenLevel(AtomicU8);

/// The value that stands for no chosen level.
const NONE: u8 = u8::MAX;

impl ChosenLevel {
    /// Replaces the level.
    pub fn set(&self, level: Option<LogLevel>) {
        self.0.store(level.map_or(NONE, |level| level as u8), Relaxed);
    }

    /// Returns the level.
    pub fn get(&self) -> Option<LogLevel> {
        LogLevel::ALL.get(usize::from(self.0.load(Relaxed))).copied()
    }
}

impl Default for ChosenLevel {
    /// Holds no level, which is the general one.
    fn default() -> Self {
        Self(AtomicU8::new(NONE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_what_was_chosen_last() {
        let chosen = ChosenLevel::default();
        assert_eq!(chosen.get(), None);
        for level in LogLevel::ALL {
            chosen.set(level.to_string().parse().ok());
            assert_eq!(chosen.get(), Some(level));
        }
        chosen.set(None);
        assert_eq!(chosen.get(), None);
        assert_eq!("trace".parse::<LogLevel>(), Err(NoLevel));
    }
}
