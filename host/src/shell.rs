//! Command lines that an owner wrote, such as `password_command`, while `sh` runs them.
//!
//! What they print is a secret: it goes to whoever asked for it, and nothing here looks at it.

use std::io;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::child;

/// What whoever wrote one that does not end has to know: it is no part of what stands in front of the terminal, and one that
/// asks there is stopped by the system until its time is over.
pub(crate) const ASKS_NOBODY: &str = "it can ask nobody, not on a terminal either: unlock what it reads before, such as gpg-agent for pass, or name a file";

/// A command line while it runs. Dropping it ends it, with every process that it has started.
pub(crate) struct Shell {
    /// The process of `sh`, whose output is a pipe.
    pub(crate) child: Child,
}

impl Shell {
    /// Runs a command line of the owner that has nothing to read, where parlor runs. `errors` is where it complains. It inherits no password, not even of another
    /// account.
    pub(crate) fn run(line: &str, errors: Stdio) -> io::Result<Self> {
        let child = Command::from(child::command("sh", "."))
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            // What it starts is found by that: `sh` alone may be gone while a part of a pipeline waits for ever.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // One that was waited for to its end has no number any more, and another process may have it.
        let leader = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // They may have ended just now, which is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
