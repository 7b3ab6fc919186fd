//! Questions to the user on the terminal. Without a terminal, nothing is asked, and flags provide the answers.

use std::io::{self, BufRead as _, IsTerminal as _, Stdin, Stdout, Write as _};
use std::time::Duration;

use parlor_base::escape::escape_untrusted;
use rustix::process::{Signal, kill_current_process_group};

use super::Ended;
use super::modes::Without;
use super::show::for_terminal;

/// The maximum number of times that a question is asked. An invalid answer decides nothing.
pub(super) const TRIES: usize = 3;
/// The spellings of an answer that agrees.
pub(super) const YES: &[&str] = &["y", "yes"];
/// The spellings of an answer that does not. Nothing is one of them.
pub(super) const NO: &[&str] = &["n", "no", ""];
/// How long the signal of Ctrl-C may take until it ends the command.
const DYING: Duration = Duration::from_secs(1);
/// How much of a wrong answer is repeated, in bytes.
const LONGEST_ANSWER: usize = 40;

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

    /// Opens the terminal likewise, to ask whether to do this. Fails if nobody can be asked.
    pub(super) fn for_consent(as_json: bool, what: &str) -> anyhow::Result<Self> {
        let says = || format!("nobody can be asked here, so nothing was changed; give --yes to {what}");
        Self::open_unless(as_json).ok_or_else(|| Ended::Declined(says()).into())
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
            // The kernel may give the signal to another thread, a moment after the call has returned.
            std::thread::sleep(DYING);
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
        // A terminal delivers one line per read, with any line end.
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
        Ok(self.choose(&format!("{question} [y/N]"), &[YES, NO])? == Some(0))
    }

    /// Asks whether to change something, and fails if the answer is not yes.
    pub(super) fn consent(&self, question: &str) -> anyhow::Result<()> {
        if self.agrees(question)? { Ok(()) } else { Err(declined()) }
    }

    /// Asks until the answer is one of these, each of which has several spellings, and returns its position. None at the end of
    /// the input, and after too many wrong answers.
    pub(super) fn choose(&self, question: &str, answers: &[&[&str]]) -> io::Result<Option<usize>> {
        for _ in 0..TRIES {
            let Some(answer) = self.ask(question)? else { return Ok(None) };
            if let Some(found) = found(&answer, answers) {
                return Ok(Some(found));
            }
            self.says(&misread(&answer, answers))?;
        }
        self.says(&format!("after {TRIES} such answers nothing is done"))?;
        Ok(None)
    }

    /// Shows a line.
    pub(super) fn says(&self, line: &str) -> io::Result<()> {
        writeln!(self.output.lock(), "{}", for_terminal(line))
    }
}

/// Returns the error for a user who did not agree to a change.
pub(super) fn declined() -> anyhow::Error {
    Ended::Declined("nothing was changed".to_owned()).into()
}

/// Returns the position of an answer, in capitals or not.
pub(super) fn found(answer: &str, answers: &[&[&str]]) -> Option<usize> {
    let answer = answer.to_ascii_lowercase();
    answers.iter().position(|spellings| spellings.contains(&answer.as_str()))
}

/// Says that an answer is none of these.
fn misread(answer: &str, answers: &[&[&str]]) -> String {
    let known: Vec<_> = answers.iter().filter_map(|spellings| spellings.first().copied()).collect();
    let answer = escape_untrusted(answer, LONGEST_ANSWER);
    format!("“{answer}” is none of the answers, which are {}; nothing is decided yet", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_of_those_that_were_asked_for_and_a_typo_is_none() {
        let answers = [YES, &["e", "each"], NO];
        for (answer, position) in [("y", 0), ("YES", 0), ("e", 1), ("n", 2), ("No", 2), ("", 2)] {
            assert_eq!(found(answer, &answers), Some(position), "{answer:?}");
        }
        for typo in ["yse", "ye", "yy", "nn", "j", "y n", "q"] {
            assert_eq!(found(typo, &answers), None, "{typo:?}");
        }
        assert_eq!(
            misread("y\u{1b}[2J", &answers),
            "“y\\u{1b}[2J” is none of the answers, which are y, e, n; nothing is decided yet"
        );
        assert!(misread(&"y".repeat(1000), &answers).len() < 120);
    }

    #[test]
    fn programs_are_not_asked_for_consent_and_hear_of_the_flag() {
        let error = Terminal::for_consent(true, "remove echo").unwrap_err();
        assert_eq!(error.to_string(), "nobody can be asked here, so nothing was changed; give --yes to remove echo");
        assert!(matches!(error.downcast_ref(), Some(Ended::Declined(_))));
    }
}
