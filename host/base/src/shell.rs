//! Command lines that an owner wrote, such as `password_command`, and the `sh` processes that run them.
//!
//! Their output is a secret. This module passes it to the caller and does not look at it.

use std::io;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::child;

/// The hint for the owner of a command line that does not end. It does not run in the terminal's foreground process
/// group: the system stops a command that reads from the terminal, until its timeout.
pub const ASKS_NOBODY: &str = "it can ask nobody, not on a terminal either: unlock what it reads before, such as gpg-agent for pass, or name a file";

/// A running command line. Dropping it kills `sh` and every process that `sh` has started.
pub struct Shell {
    /// The `sh` process, with its output as a pipe.
    pub child: Child,
}

impl Shell {
    /// Runs a command line of the owner in parlor's current folder, without input. `errors` is its standard error. It
    /// inherits no passwords, not even those of other accounts.
    pub fn run(line: &str, errors: Stdio) -> io::Result<Self> {
        let child = Command::from(child::command("sh", "."))
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            // The process group finds what `sh` starts: `sh` alone may have exited while a part of a pipeline waits
            // forever.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // A process that was waited for has no id any more: another process may have its number.
        let leader = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // They may have ended just now, which is fine.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(any(test, feature = "test-support"))]
pub mod tests;
