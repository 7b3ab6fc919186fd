//! What a terminal does by itself with what is typed, changed for a while and given back.

use std::io::{self, Stdin};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// The terminal of standard input, which does without some of it until this is dropped.
pub(super) struct Without {
    input: Stdin,
    before: Termios,
}

impl Without {
    /// Begins with it. The modes are those of termios(3), such as `ECHO`.
    pub(super) fn begin(modes: LocalModes) -> io::Result<Self> {
        Self::change(|without| without.local_modes.remove(modes))
    }

    /// Begins to show nothing of what is typed. Ctrl-C ends the line, as its last character, and not the process, which would leave
    /// the terminal like this.
    pub(super) fn echo() -> io::Result<Self> {
        Self::change(|without| {
            without.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
            without.special_codes[SpecialCodeIndex::VEOL] = without.special_codes[SpecialCodeIndex::VINTR];
        })
    }

    /// Whether a line that was read meanwhile was ended by Ctrl-C, or what its owner has in the place of that.
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
