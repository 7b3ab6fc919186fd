//! The command line: arguments become calls into the library. One file for each command.

pub mod init;
pub mod plugin;
