//! The suite: the host from outside, against real servers. One binary, one module for each grouping and concern.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so in one word")]

mod bad_input;
mod demo;
mod plugins;
mod secrets;
