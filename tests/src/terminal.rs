//! Runs a command at a separate terminal, and acts as the user who reads its questions and types the answers.

mod picture;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Signal;
use picture::Picture;

/// The initial size of the terminal.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// The line of parlor at the end of a page that is not the last one.
const NEXT_PAGE: &str = "-- Enter for the next page";

/// A command at a terminal. Dropping it kills the command.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Screen>,
    /// The position up to which the screen was read.
    read: usize,
}

#[derive(Debug, Default)]
struct Screen {
    text: Mutex<(String, bool)>,
    picture: Mutex<Option<Picture>>,
    news: Condvar,
}

impl Screen {
    fn picture<T>(&self, look: impl FnOnce(&mut Picture) -> T) -> T {
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        look(picture.get_or_insert_with(|| Picture::new(ROWS.into(), COLUMNS.into())))
    }
}

impl Terminal {
    /// Starts a command whose input and outputs are a terminal, the controlling terminal of its session.
    pub fn start(mut command: Command) -> Result<Self> {
        let (ours, theirs) = open().context("cannot make a terminal")?;
        let their = || theirs.try_clone().map(Stdio::from);
        command.stdin(their()?).stdout(their()?).stderr(their()?).env("TERM", "xterm");
        // Unless the test itself wants none, there are colours.
        if command.get_envs().all(|(name, _)| name != "NO_COLOR") {
            command.env_remove("NO_COLOR");
        }
        let child = crate::process::spawn_at_terminal(command).context("cannot start a command at a terminal")?;
        // Only our end stays open here, so that the end of the other one is noticed.
        drop(theirs);
        let (keyboard, mut output) = (File::from(ours.try_clone()?), File::from(ours));
        let screen = Arc::<Screen>::default();
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let (mut bytes, mut pending) = ([0; 4096], Vec::new());
            // Once the last process has closed the terminal, reading returns an error, which counts as the end.
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                pending.extend_from_slice(&bytes[..length]);
                // A character may arrive in two pieces.
                let whole = match std::str::from_utf8(&pending) {
                    Err(error) if error.error_len().is_none() => error.valid_up_to(),
                    _ => pending.len(),
                };
                let new = String::from_utf8_lossy(&pending[..whole]).into_owned();
                pending.drain(..whole);
                shown.picture(|picture| picture.write(&new));
                let mut text = shown.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.0.push_str(&new);
                shown.news.notify_all();
            }
            shown.text.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            shown.news.notify_all();
        });
        Ok(Self { child, keyboard, screen, read: 0 })
    }

    /// Waits until this text is on the screen, after the text that was waited for before.
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

    /// Turns pages of a long text until this text is on the screen, after the text that was waited for before.
    pub fn turns_pages_to(&mut self, wanted: &str, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.sees_or_next_page(wanted, until)? {
            self.types("")?;
        }
        Ok(())
    }

    /// Waits until this text is on the screen, or the end of a page before it. Returns whether it was the end of a page.
    fn sees_or_next_page(&mut self, wanted: &str, until: Instant) -> Result<bool> {
        let mut text = self.screen.text.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let [found, more] = [wanted, NEXT_PAGE].map(|one| text.0[self.read..].find(one).unwrap_or(usize::MAX));
            if found < more {
                self.read += found + wanted.len();
                return Ok(false);
            }
            if more < usize::MAX {
                self.read += more + NEXT_PAGE.len();
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if text.1 || left.is_zero() {
                bail!("{wanted:?} did not come to stand on any page:\n{}", &text.0[self.read..]);
            }
            text = self.screen.news.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until this text is in the picture, wherever it was drawn. Returns the picture.
    pub fn shows(&self, wanted: &str, limit: Duration) -> Result<String> {
        self.shows_what(&format!("{wanted:?}"), |picture| picture.contains(wanted), limit)
    }

    /// Waits until the picture satisfies the predicate. Returns the picture.
    pub fn shows_what(&self, what: &str, wanted: impl Fn(&str) -> bool, limit: Duration) -> Result<String> {
        let until = Instant::now() + limit;
        let mut text = self.screen.text.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let picture = self.screen.picture(|picture| picture.lines());
            if wanted(&picture) {
                return Ok(picture);
            }
            let left = until.saturating_duration_since(Instant::now());
            if text.1 || left.is_zero() {
                bail!("{what} did not come to stand in the picture:\n{picture}");
            }
            text = self.screen.news.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Presses keys, without Enter.
    pub fn presses(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes()).context("cannot type")
    }

    /// Resizes the terminal, as a user does with a window.
    #[expect(unsafe_code, reason = "the standard library knows no terminals")]
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        self.screen.picture(|picture| picture.resize(rows.into(), columns.into()));
        let size = size(rows, columns);
        // SAFETY: it reads `size`, which lives for longer than the call.
        let result = unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        if result == -1 { Err(std::io::Error::last_os_error()).context("cannot resize") } else { Ok(()) }
    }

    /// Returns whether the terminal is in cooked mode: it echoes what is typed, and passes it on line by line.
    #[expect(unsafe_code, reason = "the standard library knows no terminals")]
    pub fn is_cooked(&self) -> Result<bool> {
        // SAFETY: all zeroes are valid values of its fields, and it is written before it is read.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: it writes `settings`, which is not shared.
        if unsafe { libc::tcgetattr(self.keyboard.as_raw_fd(), &raw mut settings) } == -1 {
            return Err(std::io::Error::last_os_error()).context("cannot ask the terminal");
        }
        let cooked = libc::ECHO | libc::ICANON | libc::ISIG;
        Ok(settings.c_lflag & cooked == cooked)
    }

    /// Sends the command a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        crate::process::send(self.child.id(), signal).context("cannot signal it")
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) -> Result<()> {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).context("cannot type")
    }

    /// Waits until the command has ended. Returns its exit code and everything that was on the screen.
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
        // It may have ended on its own; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the two ends of a new terminal.
///
/// `openpty` does not make them close-on-exec. A child that another thread starts before a later `fcntl` would keep the
/// terminal open, and the end of the command would not be noticed.
#[expect(unsafe_code, reason = "the standard library makes no terminals")]
fn open() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let ours = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx")?;
    let (number, size) = (ours.as_raw_fd(), size(ROWS, COLUMNS));
    // SAFETY: they read `size`, which lives for longer than the calls, and nothing else owns the number that the last one returns.
    unsafe {
        if libc::unlockpt(number) == -1 || libc::ioctl(number, libc::TIOCSWINSZ, &raw const size) == -1 {
            return Err(std::io::Error::last_os_error());
        }
        let theirs = libc::ioctl(number, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        if theirs == -1 {
            return Err(std::io::Error::last_os_error());
        }
        Ok((ours.into(), OwnedFd::from_raw_fd(theirs)))
    }
}

fn size(rows: u16, columns: u16) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
