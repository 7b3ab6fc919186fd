//! The origin of a value: a file, a flag or an environment variable.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parlor_base::escape::EscapedPath as _;

use super::ConfigError;

/// A place in a file that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePosition {
    /// The file. Its places share the path, since 100,000 accounts have several each.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.escaped(), self.line, self.column)
    }
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in the file.
    File(FilePosition),
    /// A flag, as it is typed, such as `--log`.
    Flag(&'static str),
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place) => place.fmt(f),
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(variable) => f.write_str(variable),
        }
    }
}

impl ConfigError {
    /// Returns whether the command line is wrong, not a file.
    pub fn is_usage(&self) -> bool {
        let (Self::BadLog { origin, .. }
        | Self::Setting { origin, .. }
        | Self::Misplaced { origin, .. }
        | Self::NotJson { origin, .. }) = self
        else {
            return false;
        };
        matches!(origin, Origin::Flag(_))
    }
}
