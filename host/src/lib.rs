#![doc = include_str!("../README.md")]

pub mod account;
mod api;
mod atomic;
mod bindings;
pub mod card;
pub mod chance;
mod child;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
mod document;
pub mod error;
pub mod event;
mod fair;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod harmless;
pub mod host;
pub mod https;
pub mod loopback;
mod memory;
mod nearest;
pub mod permissions;
pub mod plugins;
mod recent;
pub mod rehearsal;
pub mod router;
pub mod session;
mod shell;
pub mod stanza;
pub mod store;
pub mod systemd;
pub mod traces;
pub mod watch;
pub mod xmpp;
