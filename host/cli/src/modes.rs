//! Terminal modes that are changed temporarily and then restored.

use std::io::{self, Stdin};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// The terminal of standard input with some modes turned off. Dropping it restores them.
pub(super) struct Without {
    input: Stdin,
    before: Termios,
}

impl Without {
    /// Turns off modes of termios(3), such as `ECHO`.
    #[cfg_attr(not(feature = "authoring"), expect(dead_code, reason = "only commands for authors need it"))]
    pub(super) fn begin(modes: LocalModes) -> io::Result<Self> {
        Self::change(|without| without.local_modes.remove(modes))
    }

    /// Turns off echo. Ctrl-C then ends the line, as its last character, and not the process, which would leave the
    /// terminal without echo.
    pub(super) fn echo() -> io::Result<Self> {
        Self::change(|without| {
            without.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
            without.special_codes[SpecialCodeIndex::VEOL] = without.special_codes[SpecialCodeIndex::VINTR];
        })
    }

    /// Returns whether Ctrl-C, or the user's own interrupt character, ended the line.
    pub(super) fn is_interrupted(&self, line: &[u8]) -> bool {
        line.last() == Some(&self.before.special_codes[SpecialCodeIndex::VINTR])
    }

    fn change(with: impl FnOnce(&mut Termios)) -> io::Result<Self> {
        let input = io::stdin();
        let before = tcgetattr(&input)?;
        let mut without = before.clone();
        with(&mut without);
        tcsetattr(&input, OptionalActions::Flush, &without)?;
        Ok(Self { input, before })
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        // A terminal that is gone needs no settings.
        let _ = tcsetattr(&self.input, OptionalActions::Flush, &self.before);
    }
}
