//! The command `parlor`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    parlor::cli::Arguments::parse().execute()
}
