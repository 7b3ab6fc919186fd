#![doc = include_str!("../README.md")]

pub mod account;
mod api;
mod bindings;
pub mod cli;
pub mod control;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod host;
pub mod https;
mod memory;
pub mod plugins;
pub mod rehearsal;
pub mod store;
pub mod systemd;
pub mod traces;
pub mod xmpp;
