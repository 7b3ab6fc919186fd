//! Handles interruptions: Ctrl-C, `kill`, a closed terminal.

use std::fmt;
use std::future::Future;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask this program to stop.
#[derive(Debug)]
pub struct Interrupt {
    ctrl_c: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupt {
    /// Handles the signals from now on, so that they no longer end the process at once.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            ctrl_c: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal.
    pub async fn came(&mut self) -> Interrupted {
        tokio::select! {
            _ = self.ctrl_c.recv() => Interrupted(2),
            _ = self.terminate.recv() => Interrupted(15),
            _ = self.hang_up.recv() => Interrupted(1),
        }
    }

    /// Runs the future, or drops it when a signal comes.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            interrupted = self.came() => Err(interrupted.into()),
            done = work => done,
        }
    }
}

/// Runs the work of a whole program, or drops it when a signal comes.
pub async fn interruptible<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    Interrupt::new()?.or(work).await
}

/// Converts a program's result to its exit code: success, something missing, or an error, which is printed.
#[expect(clippy::print_stderr, reason = "a command says why it failed")]
pub fn ended(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            error.downcast_ref::<Interrupted>().map_or(ExitCode::FAILURE, Interrupted::exit_code)
        }
    }
}

/// The number of a signal that was received.
#[derive(Debug)]
pub struct Interrupted(u8);

impl Interrupted {
    /// Returns the exit code that a shell expects of a program that a signal ended.
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(128 + self.0)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted; everything was removed")
    }
}

impl std::error::Error for Interrupted {}
