//! The queues of one address, in both directions, and the state that a server would have of it.

use std::collections::{BTreeSet, VecDeque};
use std::task::{Context, Waker};
use std::time::Duration;

use jid::{FullJid, Jid};
use parlor_stanza::decode::Arrived;
use parlor_stanza::encode::Written;
use parlor_stanza::sieve::lost::Lost;
use tokio::time::Instant;
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type};
use xmpp_parsers::stanza::Stanza;

use crate::error::ConnectError;

/// The maximum number of received stanzas that wait for an address.
pub(super) const MOST_WAITING: usize = 256;
/// The number of bytes of them at which no more is taken.
const MOST_BYTES: usize = 1 << 20;
/// The number of stanzas of an address that wait for the stream at which there is no more room, and the number of their bytes.
const MOST_UNSENT: usize = 64;
const MOST_UNSENT_BYTES: usize = 64 << 10;
/// The maximum number of others, mostly rooms, that an address is available to.
pub(super) const MOST_TOLD: usize = 1_024;
/// The maximum number of requests to the bare address that are not answered yet, and that of one sender.
const MOST_ASKED: usize = 64;
const MOST_ASKED_BY_ONE: usize = 8;
/// The maximum length of their ids, in bytes. An answer to a request with a longer one comes from the full address.
const LONGEST_ID: usize = 1 << 10;

/// An event on its way to an address.
#[derive(Debug)]
pub(super) enum Coming {
    Bound,
    Suspended(Lost),
    Trying,
    Retrying { after: Duration, why: ConnectError },
    Failed(ConnectError),
    Stanza(Arrived),
}

/// A stanza of an address that waits for the stream.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) stanza: Written,
    /// Whether it still makes sense on the stream that follows.
    pub(super) outlives: bool,
}

/// Returns what of these goes out on the stream that follows, and the messages that have waited for it for too long.
pub(super) fn outliving(unsent: VecDeque<Unsent>, is_late: bool) -> (VecDeque<Unsent>, Vec<Stanza>) {
    let (mut kept, mut old) = (VecDeque::new(), Vec::new());
    for one in unsent {
        let message = one.stanza.stanza().filter(|stanza| matches!(stanza, Stanza::Message(_)));
        match message {
            Some(message) if is_late => old.push(message),
            _ if one.outlives => kept.push_back(one),
            _ => {}
        }
    }
    (kept, old)
}

/// An address whose account is logged in, or wants to be.
#[derive(Debug)]
pub(super) struct Seat {
    /// The full JID of the account.
    pub(super) own: FullJid,
    coming: VecDeque<Coming>,
    /// The stanzas in `coming` that others have sent, and their bytes.
    stanzas: usize,
    bytes: usize,
    waker: Option<Waker>,
    unsent: VecDeque<Unsent>,
    unsent_bytes: usize,
    /// Whether the address is in the order of those that send.
    pub(super) is_due: bool,
    /// The JIDs to which the address has sent presence. It tells them when it leaves, as a server would (RFC 6121, section 4.6.3).
    told: BTreeSet<Jid>,
    /// Whether the log says that there is no room for more of them.
    has_said_full: bool,
    /// The requests to the bare address, by sender and id. Their answers have to come from it, too.
    asked: VecDeque<(Jid, String)>,
    /// When a stanza came or left last.
    active: Instant,
}

impl Seat {
    pub(super) fn new(own: FullJid) -> Self {
        Self {
            own,
            coming: VecDeque::new(),
            stanzas: 0,
            bytes: 0,
            waker: None,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            is_due: false,
            told: BTreeSet::new(),
            has_said_full: false,
            asked: VecDeque::new(),
            active: Instant::now(),
        }
    }

    /// Tells the account the state of the stream. The number of such events that wait is bounded by that of the stanzas
    /// between them.
    pub(super) fn tell(&mut self, news: Coming) {
        // Attempts that nobody has heard of are over.
        self.coming.retain(|one| !matches!(one, Coming::Trying | Coming::Retrying { .. }));
        if matches!(news, Coming::Suspended(_)) {
            if matches!(self.coming.back(), Some(Coming::Bound)) {
                // Nothing came on that stream, and nobody has heard of it.
                self.coming.pop_back();
            }
            if matches!(self.coming.back(), Some(Coming::Suspended(_))) {
                return;
            }
        }
        self.coming.push_back(news);
        self.wake();
    }

    /// Takes a stanza for the account, or returns it if there is no room.
    pub(super) fn receive(&mut self, arrived: Arrived) -> Option<Arrived> {
        if self.stanzas >= MOST_WAITING || self.bytes >= MOST_BYTES {
            return Some(arrived);
        }
        self.put_in(arrived);
        None
    }

    /// Takes a stanza that came before the account was there, which has room.
    pub(super) fn catch_up(&mut self, arrived: Arrived) {
        self.put_in(arrived);
    }

    /// Takes an answer to a request of the account itself, which bounds their number.
    pub(super) fn answer(&mut self, stanza: Stanza) {
        self.put_in(Arrived::Read(Box::new(stanza)));
    }

    fn put_in(&mut self, arrived: Arrived) {
        self.note_departure(&arrived);
        self.active = Instant::now();
        self.stanzas += 1;
        self.bytes += arrived.weight();
        self.coming.push_back(Coming::Stanza(arrived));
        self.wake();
    }

    /// Returns the next event for the account. `None`: its task is woken when there is one.
    pub(super) fn take(&mut self, cx: &mut Context<'_>) -> Option<Coming> {
        let next = self.coming.pop_front();
        match &next {
            Some(Coming::Stanza(arrived)) => {
                self.stanzas -= 1;
                self.bytes -= arrived.weight();
            }
            Some(_) => {}
            None => {
                // There may be a hundred thousand addresses, most of which have nothing to do.
                self.coming = VecDeque::new();
                self.waker = Some(cx.waker().clone());
            }
        }
        next
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Returns whether no stanza came or left for so long, nothing waits, and nobody was told that the address is available.
    pub(super) fn is_quiet(&self, quiet: Duration) -> bool {
        self.coming.is_empty() && self.unsent.is_empty() && self.told.is_empty() && self.active.elapsed() >= quiet
    }

    pub(super) fn has_room(&self) -> bool {
        self.unsent.len() < MOST_UNSENT && self.unsent_bytes < MOST_UNSENT_BYTES
    }

    /// Takes a stanza of the account.
    pub(super) fn put(&mut self, stanza: &Stanza, outlives: bool) {
        match Written::of_stanza(stanza) {
            Ok(stanza) => {
                self.active = Instant::now();
                self.unsent_bytes += stanza.weight();
                self.unsent.push_back(Unsent { stanza, outlives });
            }
            Err(error) => tracing::warn!(%error, "a stanza could not be written"),
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Returns the next stanza for the stream.
    pub(super) fn next_unsent(&mut self) -> Option<Written> {
        let had_room = self.has_room();
        let Unsent { stanza, .. } = self.unsent.pop_front()?;
        self.unsent_bytes -= stanza.weight();
        if !had_room && self.has_room() {
            self.wake();
        }
        if self.unsent.is_empty() {
            self.unsent = VecDeque::new();
        }
        Some(stanza)
    }

    /// A stream begins. Returns the messages that have waited for it for too long, and are not sent.
    pub(super) fn begin(&mut self, is_late: bool) -> Vec<Stanza> {
        // Nobody knows of presence that went out on the stream before, and nobody waits for answers on this one.
        self.told.clear();
        self.asked.clear();
        let (kept, old) = outliving(std::mem::take(&mut self.unsent), is_late);
        self.unsent_bytes = kept.iter().map(|one| one.stanza.weight()).sum();
        self.unsent = kept;
        old
    }

    /// Returns what still waits for the stream. The address is gone then.
    pub(super) fn into_unsent(self) -> VecDeque<Unsent> {
        self.unsent
    }

    /// Notes that this one gets the presence of the address. Returns false if it is one too many.
    pub(super) fn appears_to(&mut self, other: &Jid) -> bool {
        let fits = self.told.len() < MOST_TOLD || self.told.contains(other);
        if fits {
            self.told.insert(other.clone());
        }
        fits
    }

    /// Returns whether to log that there was one too many: only the first time, since a plugin can send any number.
    pub(super) fn is_to_say_full(&mut self) -> bool {
        !std::mem::replace(&mut self.has_said_full, true)
    }

    /// Notes that this one was told that the address goes.
    pub(super) fn leaves(&mut self, other: &Jid) {
        self.told.remove(other);
    }

    /// The address is no longer available to one that refuses its presence, or has gone itself: a room that it could not enter, or was
    /// put out of (RFC 6121, section 4.6.3). Otherwise it would never be quiet again.
    ///
    /// A room may have given it another nickname than it asked for, and may put it out, or refuse it, under its own address. A refusal of
    /// another nickname is no end: then there are two.
    fn note_departure(&mut self, arrived: &Arrived) {
        let Arrived::Read(stanza) = arrived else { return };
        let Stanza::Presence(presence) = &**stanza else { return };
        let (Type::Error | Type::Unavailable, Some(from)) = (&presence.type_, &presence.from) else { return };
        self.leaves(from);
        let is_of_room = |to: &Jid| to.node() == from.node() && to.domain() == from.domain();
        let is_over = if presence.type_ == Type::Unavailable {
            from.is_bare() || is_end_of_recipient(presence)
        } else {
            from.is_bare() && self.told.iter().filter(|&to| is_of_room(to)).count() == 1
        };
        if is_over {
            self.told.retain(|to| !is_of_room(to));
        }
    }

    /// The address is no longer available to anybody: those who think so are told.
    pub(super) fn disappear(&mut self) {
        for to in std::mem::take(&mut self.told) {
            let mut presence = Presence::new(Type::Unavailable);
            presence.from = Some(Jid::from(self.own.clone()));
            presence.to = Some(to);
            self.put(&Stanza::Presence(presence), false);
        }
    }

    /// Notes a request to the bare address. The oldest one makes room: that of the same sender, if it asked too often.
    pub(super) fn asked(&mut self, from: Jid, id: String) {
        if id.len() > LONGEST_ID {
            return;
        }
        let is_of_sender = |(one, _): &(Jid, String)| one.node() == from.node() && one.domain() == from.domain();
        if self.asked.iter().filter(|&one| is_of_sender(one)).count() >= MOST_ASKED_BY_ONE {
            if let Some(oldest) = self.asked.iter().position(is_of_sender) {
                self.asked.remove(oldest);
            }
        } else if self.asked.len() >= MOST_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back((from, id));
    }

    /// Returns whether this is the answer to a request to the bare address, once.
    pub(super) fn was_asked(&mut self, to: Option<&Jid>, id: &str) -> bool {
        let place = self.asked.iter().position(|(from, known)| Some(from) == to && known == id);
        place.is_some_and(|place| self.asked.remove(place).is_some())
    }
}

/// Returns whether a room says with this presence that its recipient is out of it (XEP-0045, section 7.14), and has not only another
/// nickname now (section 7.6).
fn is_end_of_recipient(presence: &Presence) -> bool {
    let has = |code: &str| {
        let mut told = presence.payloads.iter().filter(|payload| payload.is("x", ns::MUC_USER));
        told.any(|told| told.children().any(|one| one.is("status", ns::MUC_USER) && one.attr("code") == Some(code)))
    };
    has("110") && !has("303")
}
