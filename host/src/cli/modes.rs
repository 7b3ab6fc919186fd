//! What a terminal does by itself with what is typed, changed for a while and given back.

use std::io::{self, Stdin};
use std::os::fd::AsRawFd as _;

/// A terminal that does without some of it, until this is dropped.
pub(super) struct Without {
    descriptor: i32,
    before: libc::termios,
}

impl Without {
    /// Begins with it. The flags are local modes of termios(3), such as `ECHO`.
    #[expect(unsafe_code, reason = "the standard library knows no settings of terminals")]
    pub(super) fn begin(input: &Stdin, flags: libc::tcflag_t) -> io::Result<Self> {
        let descriptor = input.as_raw_fd();
        // SAFETY: plain numbers, for which zeros are values.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: it writes to what lives until it returns; standard input stays open.
        if unsafe { libc::tcgetattr(descriptor, &raw mut before) } == -1 {
            return Err(io::Error::last_os_error());
        }
        let mut without = before;
        without.c_lflag &= !flags;
        // SAFETY: as above, and it only reads.
        if unsafe { libc::tcsetattr(descriptor, libc::TCSAFLUSH, &raw const without) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { descriptor, before })
    }
}

impl Drop for Without {
    #[expect(unsafe_code, reason = "the standard library knows no settings of terminals")]
    fn drop(&mut self) {
        // SAFETY: it only reads what lives until it returns. A terminal that is gone needs no settings.
        unsafe { libc::tcsetattr(self.descriptor, libc::TCSAFLUSH, &raw const self.before) };
    }
}
