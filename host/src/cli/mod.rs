//! The command line: arguments become calls into the library, and results become text. One file for each command.

pub mod plugin;
