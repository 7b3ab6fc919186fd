//! How much can be seen of where in its code a plugin ended.

/// What stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traces {
    /// The names of functions, as far as the file has them: for owners, whose plugins are by strangers.
    #[default]
    Functions,
    /// The author's files and lines as well. What the file says of them is read without any bound, so this is for authors, who
    /// run what is their own.
    Lines,
}
