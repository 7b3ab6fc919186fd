//! The terminal while something is drawn on it: taken at the start, and given back as it was, however that ends.

use std::ffi::OsStr;
use std::io;

use ratatui::{DefaultTerminal, Frame};

/// Whether a terminal of this kind, as `TERM` has it, can be drawn on. Those within editors, and what nobody knows, would show as
/// letters what is to move the cursor.
pub(super) fn can_be_drawn_on(kind: Option<&OsStr>) -> bool {
    kind.is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

/// A terminal that is ours until this is dropped. A panic gives it back, too, before it says anything.
#[derive(Debug)]
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal of standard input and output.
    pub fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // It may have come half way.
                ratatui::restore();
                Err(error)
            }
        }
    }

    /// Draws a whole picture; what is the same as before is not sent again.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(picture).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing back.
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
