//! `parlor compile-component`: the process in which a running host compiles a plugin. Nobody types it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::plugins::Traces;
use crate::plugins::compiler::work;
use crate::plugins::quantity::Bytes;

/// What the process may use up.
#[derive(Debug, Args)]
pub struct Compile {
    /// Address space, in bytes.
    #[arg(long)]
    memory: u64,
    /// CPU time, in seconds.
    #[arg(long)]
    cpu: u64,
    /// Keep what is needed to show files and lines.
    #[arg(long)]
    lines: bool,
    /// Read functions that were compiled before, and write those that may be used the next time.
    #[arg(long)]
    again: bool,
}

impl Compile {
    /// Compiles what comes on standard input. The host reads the exit code, and what is said.
    #[expect(clippy::print_stderr, reason = "the host reads it")]
    pub fn execute(&self) -> ExitCode {
        let traces = if self.lines { Traces::Lines } else { Traces::Functions };
        match work(Bytes(self.memory), Duration::from_secs(self.cpu), traces, self.again) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(error.code())
            }
        }
    }
}
