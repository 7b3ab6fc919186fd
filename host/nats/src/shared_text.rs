//! The texts that the nodes of a cluster share. Each has versions of its own.

/// A text that the nodes of a cluster share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SharedText {
    /// The policy: which plugins there are, and what each may do.
    Plugins,
    /// The accounts and their groups.
    Accounts,
}

impl SharedText {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Plugins, Self::Accounts];

    /// Returns the name of its file on each node.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plugins => "plugins.toml",
            Self::Accounts => "accounts.toml",
        }
    }
}
