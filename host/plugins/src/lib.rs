//! The declarations of plugins, and the decisions of their owners.
//!
//! **Owns:** the manifest; the sections of a component; the policy (`plugins.toml`), its grants, settings and limits;
//! the source and the signer of a file; indexes of plugins; the component store; secrets of plugins; the decision
//! whether a plugin may run.
//!
//! **Must not** run code of a plugin, and has no engine for it.
//!
//! **Begin with** [`admission`], which decides. [`admin`] carries out what an owner asks for, and [`approved`] reads the file that
//! the owner approved: no other bytes are parsed. [`consent`] says what a plugin can reach, for those who decide.

pub mod admin;
pub mod admission;
pub mod approved;
pub mod binding;
pub mod component;
pub mod components;
pub mod consent;
mod header;
pub mod index;
pub mod limits;
pub mod listing;
pub mod manifest;
pub mod policy;
#[cfg(any(test, feature = "test-support"))]
pub mod sample;
pub mod secret;
pub mod setting;
pub mod sharing;
pub mod signature;
pub mod source;
pub mod webhook;
