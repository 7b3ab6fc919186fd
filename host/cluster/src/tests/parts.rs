//! Each part by itself.
