//! The suite: the host from outside, against real servers. One binary, one module for each grouping and concern.

mod demo;
