//! parlor: a bot house for XMPP.

pub mod cli;
pub mod config;
pub mod error;
pub mod event;
mod nearest;
pub mod permissions;
pub mod plugins;
pub mod session;
pub mod stanza;
pub mod xmpp;
