//! What a terminal does by itself with what is typed, changed for a while and given back.

use std::io::{self, Stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal of standard input, which does without some of it until this is dropped.
pub(super) struct Without {
    input: Stdin,
    before: Termios,
}

impl Without {
    /// Begins with it. The modes are those of termios(3), such as `ECHO`.
    pub(super) fn begin(modes: LocalModes) -> io::Result<Self> {
        let input = io::stdin();
        let before = tcgetattr(&input)?;
        let mut without = before.clone();
        without.local_modes.remove(modes);
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
