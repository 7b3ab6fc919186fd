//! `parlor compile-component`: the process in which a running host compiles a plugin. Users never run it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use parlor_base::quantity::Bytes;
use parlor_runtime::compiler::{look_around, work};
use parlor_runtime::traces::Traces;

/// The limits of the compiler process.
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
    /// Compile nothing, and say what this process cannot do.
    #[arg(long, conflicts_with_all = ["lines", "again"])]
    look: bool,
}

impl Compile {
    /// Compiles the component on standard input. The host reads the exit code and standard error.
    #[expect(clippy::print_stderr, reason = "the host reads it")]
    pub fn execute(&self) -> ExitCode {
        let traces = if self.lines { Traces::Lines } else { Traces::Functions };
        let (memory, cpu) = (Bytes(self.memory), Duration::from_secs(self.cpu));
        let done = if self.look { look_around(memory, cpu) } else { work(memory, cpu, traces, self.again) };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(error.code())
            }
        }
    }
}
