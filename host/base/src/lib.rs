//! The base that every package of parlor may use.
//!
//! **Owns:** the ids of plugins, their instances and files; addresses of the web; the rule for addresses of the public network;
//! the domains of one owner; the names of permissions; texts that are safe to show; quantities with units; documents in
//! TOML; files that are written whole; clocks and random numbers; child processes; queues that many owners share;
//! what the calls of a plugin cost the host.
//!
//! **Must not** know XMPP, the contract or how plugins run. Everything here would make sense in another program.
//!
//! **Begin with** [`id`], which most others name, and [`escape`], through which foreign text passes before anybody sees it.

pub mod atomic;
pub mod child;
pub mod clock;
pub mod document;
pub mod domains;
pub mod escape;
pub mod fair;
pub mod held;
pub mod id;
pub mod log_level;
pub mod loopback;
pub mod nearest;
pub mod permission;
pub mod public_network;
pub mod quantity;
pub mod rate;
pub mod recent;
pub mod rng;
pub mod shell;
pub mod traces;
pub mod web_address;
