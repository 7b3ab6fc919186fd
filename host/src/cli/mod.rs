//! The command line: one file per command. It calls the library, and decides nothing itself.

pub mod init;
