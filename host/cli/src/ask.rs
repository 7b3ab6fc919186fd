//! Questions to the user on the terminal. Without a terminal, nothing is asked, and flags provide the answers.

use std::io::{self, BufRead as _, IsTerminal as _, Stdin, Stdout, Write as _};

use rustix::process::{Signal, kill_current_process_group};

use super::modes::Without;
use super::show::for_terminal;

/// A terminal with a user who can answer.
#[derive(Debug)]
pub(super) struct Terminal {
    input: Stdin,
    output: Stdout,
}

impl Terminal {
    /// Opens the terminal, if this command was started from one.
    pub(super) fn open() -> Option<Self> {
        let (input, output) = (io::stdin(), io::stdout());
        (input.is_terminal() && output.is_terminal()).then_some(Self { input, output })
    }

    /// Opens the terminal unless the output is JSON: programs read that, and a question would corrupt it.
    pub(super) fn open_unless(as_json: bool) -> Option<Self> {
        if as_json { None } else { Self::open() }
    }

    /// Asks, and returns the trimmed answer; none at the end of the input.
    pub(super) fn ask(&self, question: &str) -> io::Result<Option<String>> {
        self.prompt(question)?;
        let mut line = String::new();
        if self.input.lock().read_line(&mut line)? == 0 {
            writeln!(self.output.lock())?;
            return Ok(None);
        }
        Ok(Some(line.trim().to_owned()))
    }

    /// Asks without showing the answer.
    pub(super) fn ask_hidden(&self, question: &str) -> io::Result<Option<String>> {
        let hidden = Without::echo()?;
        let line = self.line(question);
        let is_interrupted = line.as_ref().is_ok_and(|line| hidden.is_interrupted(line));
        drop(hidden);
        writeln!(self.output.lock())?;
        if is_interrupted {
            // The terminal is restored, so now do what Ctrl-C would have done.
            kill_current_process_group(Signal::INT)?;
            return Err(io::ErrorKind::Interrupted.into());
        }
        let line = line?;
        if line.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(line).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Some(text.trim().to_owned()))
    }

    /// Asks, and returns the typed line; empty at the end of the input.
    fn line(&self, question: &str) -> io::Result<Vec<u8>> {
        self.prompt(question)?;
        let mut input = self.input.lock();
        // A terminal delivers one line per read, whatever ends it.
        let line = input.fill_buf()?.to_vec();
        input.consume(line.len());
        Ok(line)
    }

    fn prompt(&self, question: &str) -> io::Result<()> {
        let mut out = self.output.lock();
        write!(out, "{} ", for_terminal(question))?;
        out.flush()
    }

    /// Asks a yes-no question; the default is no.
    pub(super) fn agrees(&self, question: &str) -> io::Result<bool> {
        Ok(self.ask(&format!("{question} [y/N]"))?.is_some_and(|answer| is_yes(&answer)))
    }
}

/// Returns whether an answer means yes.
pub(super) fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.to_ascii_lowercase().as_str())
}
