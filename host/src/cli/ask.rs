//! Asking whoever sits at the terminal. Where none does, nobody is asked, and flags have to say it.

use std::io::{self, BufRead as _, IsTerminal as _, Stdin, Stdout, Write as _};
use std::os::fd::AsRawFd as _;

/// A terminal with somebody who can answer.
#[derive(Debug)]
pub(super) struct Terminal {
    input: Stdin,
    output: Stdout,
}

impl Terminal {
    /// The terminal, if this command was started from one.
    pub(super) fn open() -> Option<Self> {
        let (input, output) = (io::stdin(), io::stdout());
        (input.is_terminal() && output.is_terminal()).then_some(Self { input, output })
    }

    /// Asks, and gives the answer without spaces around it; none at the end of the input.
    pub(super) fn ask(&self, question: &str) -> io::Result<Option<String>> {
        let mut out = self.output.lock();
        write!(out, "{question} ")?;
        out.flush()?;
        let mut line = String::new();
        if self.input.lock().read_line(&mut line)? == 0 {
            writeln!(out)?;
            return Ok(None);
        }
        Ok(Some(line.trim().to_owned()))
    }

    /// Asks for what nobody who looks on may read; the answer as it was typed.
    pub(super) fn ask_hidden(&self, question: &str) -> io::Result<Option<String>> {
        let hidden = Hidden::begin(&self.input)?;
        let answer = self.ask(question);
        drop(hidden);
        writeln!(self.output.lock())?;
        answer
    }

    /// Asks a question whose answer is no unless it is yes.
    pub(super) fn agrees(&self, question: &str) -> io::Result<bool> {
        Ok(self.ask(&format!("{question} [y/N]"))?.is_some_and(|answer| is_yes(&answer)))
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden {
    descriptor: i32,
    before: libc::termios,
}

impl Hidden {
    #[expect(unsafe_code, reason = "the standard library knows no settings of terminals")]
    fn begin(input: &Stdin) -> io::Result<Self> {
        let descriptor = input.as_raw_fd();
        // SAFETY: plain numbers, for which zeros are values.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: it writes to what lives until it returns; standard input stays open.
        if unsafe { libc::tcgetattr(descriptor, &raw mut before) } == -1 {
            return Err(io::Error::last_os_error());
        }
        let mut hidden = before;
        hidden.c_lflag &= !libc::ECHO;
        // SAFETY: as above, and it only reads.
        if unsafe { libc::tcsetattr(descriptor, libc::TCSAFLUSH, &raw const hidden) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { descriptor, before })
    }
}

impl Drop for Hidden {
    #[expect(unsafe_code, reason = "the standard library knows no settings of terminals")]
    fn drop(&mut self) {
        // SAFETY: it only reads what lives until it returns. A terminal that is gone needs no settings.
        unsafe { libc::tcsetattr(self.descriptor, libc::TCSAFLUSH, &raw const self.before) };
    }
}

/// Whether an answer means yes.
pub(super) fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str())
}
