//! How long a server that was asked is waited for. Pure.

use std::time::Duration;

use parlor_stanza::sieve::lost::Lost;
use tokio::time::Instant;

use crate::intake::Ending;
use crate::keepalive::RESPONSE_LIMIT;

/// The time for which a server may send other data in place of that answer, before the connection counts as lost.
pub(super) const ACK_LIMIT: Duration = Duration::from_mins(2);
/// The time for one element of the stream to arrive, at [`SLOWEST`] or faster, before it is skipped: the server delays its
/// answer until then. The largest message comes within it on a line of 16 kbit/s.
const ELEMENT_LIMIT: Duration = Duration::from_mins(10);
/// The number of bytes of an element that have to arrive in a second for [`ELEMENT_LIMIT`] to apply.
const SLOWEST: u64 = 1_024;

/// A pending request for an acknowledgement or a sign of life.
pub(super) struct Asked {
    first: Instant,
    /// When it was last checked whether anything had arrived.
    checked: Instant,
    /// The number of reads up to that check.
    pieces: u64,
    /// The number of bytes written up to that check.
    written: u64,
    /// The number of bytes that had arrived by then of an element without its end.
    arriving: u64,
}

/// The observable activity of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs {
    /// The number of reads that returned data.
    pub(super) pieces: u64,
    /// The number of bytes written.
    pub(super) written: u64,
    /// Whether more data is waiting to be written.
    pub(super) writes: bool,
    /// The number of bytes of an element whose end has not arrived; `None` if there is no such element.
    pub(super) arriving: Option<u64>,
}

impl Asked {
    pub(super) fn now(ending: &Ending) -> Self {
        let now = Instant::now();
        let arriving = ending.arriving().unwrap_or(0);
        Self { first: now, checked: now, pieces: ending.pieces(), written: ending.written(), arriving }
    }

    /// Restarts the response limit: earlier data no longer counts. A server that was asked before gets the full time
    /// again.
    pub(super) fn once_more(&mut self, now: Instant, signs: Signs) {
        let Signs { pieces, written, arriving, .. } = signs;
        *self = Self { first: self.first, checked: now, pieces, written, arriving: arriving.unwrap_or(0) };
    }

    /// Returns whether an element arrives at a speed at which it is worth waiting for its end.
    fn is_worth_waiting_for(&self, now: Instant, signs: Signs) -> bool {
        let came = signs.arriving.unwrap_or(0).saturating_sub(self.arriving);
        let seconds = (now - self.checked).as_secs();
        now < self.first + ELEMENT_LIMIT && seconds > 0 && came / seconds >= SLOWEST
    }

    /// Checks the connection. Returns when to check again, or the reason to give it up: the server sent nothing for too
    /// long, or nothing but other data. An acknowledgement may be delayed by other data, such as a large stanza on a
    /// slow line, but not for ever: [`ELEMENT_LIMIT`]. While the line still accepts data, the request may not even have been sent.
    pub(super) fn look(&mut self, now: Instant, signs: Signs) -> Result<Instant, Lost> {
        let has_come = signs.pieces != self.pieces;
        let goes_out = signs.writes && signs.written != self.written;
        let last = self.first + ACK_LIMIT;
        if now >= last && !goes_out && !self.is_worth_waiting_for(now, signs) {
            return Err(if has_come { Lost::Deaf } else { Lost::TimedOut });
        }
        if now >= self.checked + RESPONSE_LIMIT {
            if !has_come && !goes_out {
                return Err(Lost::TimedOut);
            }
            self.once_more(now, signs);
        }
        let next = self.checked + RESPONSE_LIMIT;
        Ok(if now < last { last.min(next) } else { next })
    }
}

#[cfg(test)]
mod tests;
