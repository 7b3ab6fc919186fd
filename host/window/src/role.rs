//! Roles: the rights of a session.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The role of a session. Each one may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything, and changes nothing.
    Viewer,
    /// Restarts and pauses plugins, and has accounts enter rooms again.
    Operator,
    /// Changes grants, settings and versions, installs and removes.
    Owner,
}

/// The requirement of a page or a form: a role, and whether a session that is limited to some accounts may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub(crate) role: Role,
    pub(crate) is_for_limited: bool,
}

impl From<Role> for Access {
    fn from(role: Role) -> Self {
        role.of_host()
    }
}

/// The error for a word that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of viewer, operator and owner")]
pub struct UnknownRole;

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Owner];

    /// Returns the access to something of the whole host, which is what all pages and forms are that say nothing else.
    pub const fn of_host(self) -> Access {
        Access { role: self, is_for_limited: false }
    }

    /// Returns the access to something that sessions of some accounts may have, too: it shows and changes only what is theirs.
    pub const fn of_accounts(self) -> Access {
        Access { role: self, is_for_limited: true }
    }

    /// Returns the role's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}
