//! parlor: a bot house for XMPP.

pub mod config;
pub mod error;
pub mod event;
pub mod permissions;
pub mod plugins;
pub mod session;
pub mod stanza;
pub mod xmpp;
