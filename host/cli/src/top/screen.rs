//! The terminal during drawing: taken over at the start, and always restored at the end.

use std::ffi::OsStr;
use std::io;

use ratatui::{DefaultTerminal, Frame};

/// Returns whether a terminal of this kind (`TERM`) supports drawing. Terminals in editors, and unknown ones, would
/// show cursor movements as text.
pub(super) fn can_be_drawn_on(kind: Option<&OsStr>) -> bool {
    kind.is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

/// A terminal that is ours until this is dropped. A panic restores it, too, before it prints its message.
#[derive(Debug)]
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes over the terminal of standard input and output.
    pub fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // Undo a partial initialization.
                ratatui::restore();
                Err(error)
            }
        }
    }

    /// Draws a whole screen; only differences are sent.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(picture).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored.
        let _ = ratatui::try_restore();
        let _ = self.0.show_cursor();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_moves_no_cursor_is_not_drawn_on() {
        let can = |kind: &str| can_be_drawn_on(Some(OsStr::new(kind)));
        assert!(can("xterm") && can("linux"));
        assert!(!can("dumb") && !can("") && !can_be_drawn_on(None));
    }
}
