//! The stanzas that a component holds between its stream and its addresses.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::BareJid;
use parlor_stanza::encode::Written;
use xmpp_parsers::stanza::Stanza;

use super::guests::Guests;
use super::last::Last;
use super::rules::catch_up;
use super::seat::Seat;
use super::sleepers::Sleepers;
use crate::error::ConnectError;

/// The maximum number of answers of the component itself that wait for the stream. Further ones are not given.
pub(super) const MOST_OWN: usize = 256;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) line: Line,
    /// Why the host could not open a stream the last time; `None` once it could, and where it begins anew.
    pub(super) trouble: Option<ConnectError>,
    pub(super) seats: HashMap<BareJid, Seat>,
    /// The addresses that have something to send, in turn.
    pub(super) due: VecDeque<BareJid>,
    /// The last stanzas of addresses that are gone.
    pub(super) last: Last,
    /// The addresses that may become accounts.
    pub(super) guests: Guests,
    /// The addresses that sleep.
    pub(super) sleepers: Sleepers,
    /// Stanzas of the component itself.
    pub(super) own: VecDeque<Written>,
    /// Whether the stream had one of these last, so that it is the turn of an address.
    pub(super) was_own: bool,
    /// Whether the last of these was a message that goes back.
    pub(super) was_back: bool,
}

/// The state of the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Line {
    /// There is no stream, and no attempt to open one.
    #[default]
    Idle,
    /// The host tries to open one.
    Tried,
    Live,
}

impl State {
    /// Returns whether an address is connected, and has been quiet for so long.
    pub(super) fn is_quiet(&self, jid: &BareJid, quiet: Duration) -> bool {
        self.line == Line::Live && self.seats.get(jid).is_some_and(|seat| seat.is_quiet(quiet))
    }

    /// Gives an address the stanzas that waited for it.
    pub(super) fn catch_up(&mut self, jid: &BareJid) {
        let Some(seat) = self.seats.get_mut(jid) else { return };
        let waited = self.guests.leave(jid).into_iter().chain(self.sleepers.leave(jid));
        for back in catch_up(seat, waited) {
            self.put_own(&back);
        }
    }

    /// Returns the next stanza of the addresses, one of each in turn.
    pub(super) fn next_of_addresses(&mut self) -> Option<Written> {
        while let Some(jid) = self.due.pop_front() {
            let Some(seat) = self.seats.get_mut(&jid) else { continue };
            let next = seat.next_unsent();
            seat.is_due = seat.has_unsent();
            if seat.is_due {
                self.due.push_back(jid);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Returns the next stanza of the component itself: an answer and a message that goes back, by turns. With answers first,
    /// strangers who ask without end would keep all messages from going back, and new ones out.
    pub(super) fn next_own(&mut self) -> Option<Written> {
        self.was_back = !self.was_back;
        if self.was_back {
            self.guests.next_back().or_else(|| self.own.pop_front())
        } else {
            self.own.pop_front().or_else(|| self.guests.next_back())
        }
    }

    /// Lets a stanza of the component itself wait for the stream.
    pub(super) fn put_own(&mut self, stanza: &Stanza) {
        if self.own.len() >= MOST_OWN {
            tracing::debug!("an answer of a component is not given: too many wait");
            return;
        }
        match Written::of_stanza(stanza) {
            Ok(stanza) => self.own.push_back(stanza),
            Err(error) => tracing::warn!(%error, "a stanza could not be written"),
        }
    }
}
