//! The level of detail in the backtrace of a plugin that trapped.

/// The contents of a plugin's backtrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traces {
    /// The names of functions, as far as the file has them. This is for owners, who run plugins of strangers.
    #[default]
    Functions,
    /// The author's files and lines as well. Reading this debug information has no bounds, so it is only for authors,
    /// who run their own code.
    Lines,
}

impl Traces {
    /// Returns whether they are for owners. Code for owners is compiled once and runs for long.
    pub(crate) fn are_for_owners(self) -> bool {
        matches!(self, Self::Functions)
    }
}
