//! Tests of the package: each part by itself, and all of it in a simulated cluster.

mod parts;
mod random;
mod simulation;
mod store;
