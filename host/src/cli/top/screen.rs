//! The terminal while something is drawn on it: taken at the start, and given back as it was, however that ends.

use std::io;

use ratatui::{DefaultTerminal, Frame};

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
