//! The command `parlor`.

use std::process::ExitCode;

fn main() -> ExitCode {
    parlor::cli::Arguments::typed().execute()
}
