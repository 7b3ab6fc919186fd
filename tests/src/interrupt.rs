//! Stopping in the middle: Ctrl-C, `kill`, a closed terminal.

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
    /// From now on they are heeded here, and no longer end the process on the spot.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            ctrl_c: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one.
    pub async fn came(&mut self) -> Interrupted {
        tokio::select! {
            _ = self.ctrl_c.recv() => Interrupted(2),
            _ = self.terminate.recv() => Interrupted(15),
            _ = self.hang_up.recv() => Interrupted(1),
        }
    }

    /// Does the work, or drops it when a signal comes.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            interrupted = self.came() => Err(interrupted.into()),
            done = work => done,
        }
    }
}

/// Does the work of a whole program, or drops it when a signal comes.
pub async fn interruptible<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    Interrupt::new()?.or(work).await
}

/// How such a program ends: well, with something missing, or with an error, which is said.
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

/// A signal came, of this number.
#[derive(Debug)]
pub struct Interrupted(u8);

impl Interrupted {
    /// As a shell expects it of a program that a signal ended.
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
