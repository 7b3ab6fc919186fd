//! A command at a terminal of its own, with somebody who reads what it asks and types the answers.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The command. Dropping it kills it.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Screen>,
    /// Up to where the screen was read.
    read: usize,
}

#[derive(Debug, Default)]
struct Screen {
    text: Mutex<(String, bool)>,
    news: Condvar,
}

impl Terminal {
    /// Starts a command whose input and outputs are a terminal.
    pub fn start(mut command: Command) -> Result<Self> {
        let (ours, theirs) = open().context("cannot make a terminal")?;
        let their = || theirs.try_clone().map(Stdio::from);
        command.stdin(their()?).stdout(their()?).stderr(their()?).env("TERM", "xterm").env_remove("NO_COLOR");
        let child = crate::process::spawn(command).context("cannot start a command at a terminal")?;
        // Ours alone is left open here, so that its end is seen.
        drop(theirs);
        let (keyboard, mut output) = (File::from(ours.try_clone()?), File::from(ours));
        let screen = Arc::<Screen>::default();
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal that the last process has left gives an error, like its end.
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                let mut text = shown.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.0.push_str(&String::from_utf8_lossy(&bytes[..length]));
                shown.news.notify_all();
            }
            shown.text.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            shown.news.notify_all();
        });
        Ok(Self { child, keyboard, screen, read: 0 })
    }

    /// Waits until this stands on the screen, after what was waited for before.
    pub fn sees(&mut self, wanted: &str, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        let mut text = self.screen.text.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = text.0[self.read..].find(wanted) {
                self.read += at + wanted.len();
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if text.1 || left.is_zero() {
                bail!("{wanted:?} did not come to stand on the screen:\n{}", &text.0[self.read..]);
            }
            text = self.screen.news.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) -> Result<()> {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).context("cannot type")
    }

    /// Waits until it has ended; its exit code, and all that stood on the screen.
    pub fn ended(&mut self, limit: Duration) -> Result<(Option<i32>, String)> {
        let until = Instant::now() + limit;
        let mut text = self.screen.text.lock().unwrap_or_else(PoisonError::into_inner);
        while !text.1 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("it did not end:\n{}", text.0);
            }
            text = self.screen.news.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok((self.child.wait().context("cannot ask how it ended")?.code(), text.0.clone()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two ends of a new terminal.
#[expect(unsafe_code, reason = "the standard library makes no terminals")]
fn open() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (mut ours, mut theirs) = (0, 0);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: both numbers are written before it returns 0, and are nobody else's then.
    unsafe {
        if libc::openpty(&raw mut ours, &raw mut theirs, name, settings, size) == -1 {
            return Err(std::io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)))
    }
}
