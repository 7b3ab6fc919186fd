//! The facade for programs that embed a host.
#![doc = include_str!("../README.md")]

pub mod alerts;
pub mod backup;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod control;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod host;
pub mod memory;
pub mod systemd;
mod taken;
pub mod web;
