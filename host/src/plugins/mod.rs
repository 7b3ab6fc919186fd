//! What plugins are, which may run, and running them.

pub mod admission;
pub mod build;
pub mod component;
mod document;
pub mod id;
pub mod limits;
pub mod manifest;
pub mod order;
pub mod policy;
pub mod quantity;
pub mod setting;

use std::fmt;

/// One plugin on one account, for as long as it runs. Never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub(crate) u64);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
