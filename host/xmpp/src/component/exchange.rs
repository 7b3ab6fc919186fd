//! Passes stanzas between the stream of a component and its addresses: finds the address that a received stanza is for, and
//! writes the sender into those of the addresses.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use parlor_config::{NewAddresses, OwnAddresses};
use parlor_stanza::decode::{Arrived, arrived};
use parlor_stanza::encode::{Written, encode};
use parlor_stanza::raw::returned;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::types::{Offers, Outgoing};
use tokio::sync::Notify;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use super::ComponentState;
use super::answers::{Answers, answer, unsubscribed};
use super::guests::{Guests, nobody};
use super::rules::{catch_up, offer, take};
use super::seat::{Coming, Seat};
use super::sleepers::{Sleepers, is_too_late};
use super::state::{Line, State};
use crate::error::ConnectError;
use crate::event::LinkEvent;
use crate::keepalive::PROBE_PREFIX;

/// Stanzas on their way between the stream of a component and its addresses.
pub(super) struct Exchange {
    /// The domain of the component.
    domain: BareJid,
    state: Mutex<State>,
    /// Notified when a stanza waits for the stream.
    more: Notify,
    /// Notified when an address wants a stream.
    wanted: Notify,
    /// The number of received stanzas that named no sender, or no recipient in the domain.
    refused: AtomicU64,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn new(domain: BareJid) -> Self {
        Self { domain, state: Mutex::default(), more: Notify::new(), wanted: Notify::new(), refused: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an address wants a stream.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until there may be more to send.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns the state of the stream, with what keeps the host from having one.
    pub(super) fn stream_state(&self) -> ComponentState {
        let state = self.state();
        match (state.line, state.trouble.clone()) {
            (Line::Live, _) => ComponentState::Connected,
            (Line::Tried, None) => ComponentState::Connecting,
            (Line::Tried, Some(why)) => ComponentState::Retrying(why),
            (Line::Idle, None) => ComponentState::Idle,
            (Line::Idle, Some(why)) => ComponentState::Failed(why),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.state().line == Line::Live
    }

    /// Returns whether an address wants a stream, or may become an account that does.
    pub(super) fn is_wanted(&self) -> bool {
        let state = self.state();
        !state.seats.is_empty() || state.guests.are_admitted() || !state.sleepers.are_none()
    }

    /// Sets which addresses may become accounts, for which the component needs a stream.
    pub(super) fn admit(&self, rule: Option<NewAddresses>, own: &Arc<OwnAddresses>, arrivals: &Arc<Notify>) {
        let mut state = self.state();
        state.guests.admit(rule, own, arrivals);
        if state.line == Line::Idle && state.guests.are_admitted() {
            self.wanted.notify_one();
        }
    }

    /// Works with the addresses that may become accounts.
    pub(super) fn with_guests<T>(&self, work: impl FnOnce(&mut Guests) -> T) -> T {
        work(&mut self.state().guests)
    }

    /// Works with the addresses that sleep.
    pub(super) fn with_sleepers<T>(&self, work: impl FnOnce(&mut Sleepers) -> T) -> T {
        work(&mut self.state().sleepers)
    }

    /// Lets addresses sleep whose accounts do not run. The component needs a stream to hear what comes for them.
    pub(super) fn add_sleepers(&self, addresses: impl Iterator<Item = BareJid>) {
        let mut state = self.state();
        addresses.for_each(|address| state.sleepers.add(address));
        if state.line == Line::Idle && !state.sleepers.are_none() {
            self.wanted.notify_one();
        }
    }

    /// Returns whether an address is connected, no stanza came for it or left for so long, and it is available to nobody.
    pub(super) fn is_quiet(&self, jid: &BareJid, quiet: Duration) -> bool {
        self.state().is_quiet(jid, quiet)
    }

    /// Lets an address fall asleep, if no stanza came for it or left for so long. From then on, stanzas for it wait until it wakes,
    /// and its account, which still runs, gets none. Returns whether it is so.
    pub(super) fn fall_asleep(&self, jid: &BareJid, quiet: Duration) -> bool {
        let mut state = self.state();
        let is_quiet = state.is_quiet(jid, quiet);
        if is_quiet {
            state.sleepers.add(jid.clone());
        }
        is_quiet
    }

    /// Lets an address be awake after all. Its account, which still runs, gets the stanzas that came since.
    pub(super) fn stay_awake(&self, jid: &BareJid) {
        let mut state = self.state();
        state.sleepers.remove(jid);
        state.catch_up(jid);
        self.more.notify_one();
    }

    /// Gives stanzas that wait for addresses to wake back to their senders, with these errors.
    pub(super) fn give_up(
        &self,
        which: impl FnOnce(&mut Sleepers) -> Vec<Arrived>,
        error: fn(&Arrived) -> Option<Stanza>,
    ) {
        let mut state = self.state();
        let stanzas = which(&mut state.sleepers);
        // This runs at each wake of an address, and seldom is there a stanza to give back.
        if !stanzas.is_empty() {
            state.guests.give_back(&stanzas, error);
            self.more.notify_one();
        }
    }

    /// Gives messages to an address without an account back to their senders, with these errors.
    pub(super) fn turn_away(&self, address: &BareJid, error: fn(&Arrived) -> Option<Stanza>) {
        self.state().guests.turn_away(address, error);
        self.more.notify_one();
    }

    pub(super) fn has_more(&self) -> bool {
        let state = self.state();
        !state.last.is_empty() || !state.own.is_empty() || state.guests.have_more() || !state.due.is_empty()
    }

    /// Returns the next stanza for the stream: those of addresses that are gone first, then one of the component and one of an
    /// address by turns. Strangers choose how much the component has to answer, and must not hold up the addresses.
    pub(super) fn next(&self) -> Option<Written> {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(next) = state.last.take() {
            return Some(next);
        }
        state.was_own = !state.was_own;
        if state.was_own {
            state.next_own().or_else(|| state.next_of_addresses())
        } else {
            state.next_of_addresses().or_else(|| state.next_own())
        }
    }

    /// Notes that it is tried to have a stream.
    pub(super) fn begun(&self) {
        let mut state = self.state();
        state.line = Line::Tried;
        state.trouble = None;
    }

    /// A stream has begun. Messages that have waited for it for too long come back to their addresses.
    pub(super) fn bound(&self, is_late: bool) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.line = Line::Live;
        state.trouble = None;
        state.own.clear();
        state.due.clear();
        let old = state.last.begin(is_late);
        if old > 0 {
            tracing::warn!(
                component = %self.domain, messages = old,
                "messages of addresses that have logged out are not sent: the connection was down for longer than keep_unsent of the component"
            );
        }
        let mut all_back = Vec::new();
        for (jid, seat) in &mut state.seats {
            let old = seat.begin(is_late);
            if !old.is_empty() {
                tracing::warn!(
                    account = %jid, messages = old.len(),
                    "messages are not sent: the connection was down for longer than keep_unsent of the component"
                );
            }
            seat.tell(Coming::Bound);
            // Stanzas for an account that is about to end are for the next one.
            if !state.sleepers.have(jid) {
                let waited = state.guests.leave(jid).into_iter().chain(state.sleepers.leave(jid));
                all_back.extend(catch_up(seat, waited));
            }
            for back in old.iter().filter_map(returned) {
                seat.answer(back);
            }
            seat.is_due = seat.has_unsent();
            if seat.is_due {
                state.due.push_back(jid.clone());
            }
        }
        for back in &all_back {
            state.put_own(back);
        }
    }

    pub(super) fn suspended(&self, why: &Lost) {
        self.tell(Line::Tried, || Coming::Suspended(why.clone()));
    }

    pub(super) fn trying(&self) {
        self.tell(Line::Tried, || Coming::Trying);
    }

    pub(super) fn retrying(&self, after: Duration, why: &ConnectError) {
        self.state().trouble = Some(why.clone());
        self.tell(Line::Tried, || Coming::Retrying { after, why: why.clone() });
    }

    /// There is no stream any more, and none is tried.
    pub(super) fn closed(&self, why: &Lost) {
        if self.is_live() {
            self.suspended(why);
        }
        self.state().line = Line::Idle;
    }

    pub(super) fn failed(&self, why: &ConnectError) {
        self.state().trouble = Some(why.clone());
        self.tell(Line::Idle, || Coming::Failed(why.clone()));
    }

    /// Returns how many accounts are logged in, or wait for the component.
    pub(super) fn accounts(&self) -> usize {
        self.state().seats.len()
    }

    fn tell(&self, line: Line, news: impl Fn() -> Coming) {
        let mut state = self.state();
        state.line = line;
        for seat in state.seats.values_mut() {
            seat.tell(news());
        }
    }

    /// Gives a message back to the address that sent it, since it has waited for too long. Returns false if it is none.
    pub(super) fn give_back(&self, stanza: &Stanza) -> bool {
        let Stanza::Message(message) = stanza else { return false };
        let Some(sender) = message.from.as_ref().map(Jid::to_bare) else { return true };
        if let Some(seat) = self.state().seats.get_mut(&sender)
            && let Some(back) = returned(stanza)
        {
            seat.answer(back);
        }
        true
    }

    /// Passes a stanza to the address that it is for.
    pub(super) fn deliver(&self, arrived: Arrived) {
        // Others choose what is in it. A panic over it costs this stanza, and not the stream.
        if catch_unwind(AssertUnwindSafe(|| self.pass(arrived))).is_err() {
            tracing::error!(
                component = %self.domain,
                "a stanza is not delivered: a bug in the host; please report it, with the panic in the log"
            );
        }
    }

    fn pass(&self, arrived: Arrived) {
        let recipient = arrived.recipient().filter(|to| to.domain() == self.domain.domain()).cloned();
        let (Some(to), true) = (recipient, arrived.sender().is_some()) else { return self.refuse() };
        if to.node().is_none() {
            return self.answer_for_domain(&arrived);
        }
        let mut guard = self.state();
        let state = &mut *guard;
        let address = to.to_bare();
        let back = if state.sleepers.have(&address) {
            // As long as its account runs, it may stay awake, and wait for the answer. One that is to wake hears who comes and goes.
            let is_left_alone = !state.seats.contains_key(&address) && !state.sleepers.have_for(&address);
            if is_left_alone && is_too_late(&arrived) {
                return;
            }
            state.sleepers.take_in(&address, arrived)
        } else {
            match state.seats.get_mut(&address) {
                None => state.guests.take_in(&address, arrived),
                Some(seat) => offer(seat, arrived, &to),
            }
        };
        if let Some(back) = back {
            state.put_own(&back);
            self.more.notify_one();
        }
    }

    /// Counts a stanza that no server should have sent here.
    fn refuse(&self) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused.is_power_of_two() {
            tracing::warn!(
                component = %self.domain, refused,
                "the server sends stanzas for addresses outside of the component's domain, or without addresses; they are refused"
            );
        }
    }

    /// Answers a stanza to the domain itself, where nobody is.
    fn answer_for_domain(&self, arrived: &Arrived) {
        let stanza = match arrived {
            Arrived::Read(stanza) => Some(&**stanza),
            Arrived::Plain(_) => None,
        };
        let is_probe =
            |iq: &Iq| iq.from().is_some_and(|from| *from == self.domain) && iq.id().starts_with(PROBE_PREFIX);
        let back = match stanza {
            // It has come back, and has shown that the server is there.
            Some(Stanza::Iq(iq)) if is_probe(iq) => None,
            Some(Stanza::Iq(iq)) => answer(iq, Answers::Domain),
            Some(Stanza::Presence(presence)) => (presence.type_ == Type::Subscribe).then(|| unsubscribed(presence)),
            Some(Stanza::Message(_)) | None => nobody(arrived),
        };
        if let Some(back) = back {
            self.state().put_own(&back);
            self.more.notify_one();
        }
    }

    /// Logs an address in.
    pub(super) fn open(&self, jid: &BareJid, own: FullJid) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.sleepers.remove(jid);
        let mut seat = Seat::new(own);
        let is_live = state.line == Line::Live;
        if is_live {
            seat.tell(Coming::Bound);
        }
        state.seats.insert(jid.clone(), seat);
        if is_live {
            state.catch_up(jid);
            self.more.notify_one();
        }
        if state.line == Line::Idle {
            self.wanted.notify_one();
        }
    }

    /// Logs an address out. Stanzas that it has sent still go out, on the next stream if there is none.
    pub(super) fn close(&self, jid: &BareJid) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(mut seat) = state.seats.remove(jid) else { return };
        let is_live = state.line == Line::Live;
        if is_live {
            seat.disappear();
        }
        let lost = state.last.put(seat.into_unsent().into_iter().filter(|one| is_live || one.outlives));
        if lost > 0 {
            tracing::warn!(
                account = %jid, stanzas = lost,
                "the last stanzas of an address are not sent: too many stanzas of logged-out addresses wait for the server"
            );
        }
        self.more.notify_one();
    }

    /// Returns the next event for an address.
    pub(super) fn poll(&self, jid: &BareJid, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        loop {
            let (coming, own) = {
                let mut state = self.state();
                let Some(seat) = state.seats.get_mut(jid) else { return Poll::Ready(LinkEvent::Closed) };
                let Some(coming) = seat.take(cx) else { return Poll::Pending };
                (coming, seat.own.clone())
            };
            return Poll::Ready(match coming {
                Coming::Bound => {
                    let offers = Offers::default();
                    LinkEvent::Bound { jid: own, offers, taken_up: false, again: Vec::new(), doubtful: 0 }
                }
                Coming::Suspended(why) => LinkEvent::Suspended { why },
                Coming::Trying => LinkEvent::Trying,
                Coming::Retrying { after, why } => LinkEvent::Retrying { after, why },
                Coming::Failed(why) => LinkEvent::Failed(why),
                Coming::Stanza(stanza) => {
                    // A panic over it costs this stanza, and not the account.
                    let read = catch_unwind(AssertUnwindSafe(|| arrived(stanza, &own, Timestamp::now())));
                    let Ok(incoming) = read else {
                        tracing::error!(
                            account = %jid,
                            "a stanza is not delivered: a bug in the host stopped it from being read; please report it, with the panic in the log"
                        );
                        continue;
                    };
                    LinkEvent::Stanza(incoming)
                }
            });
        }
    }

    /// Returns whether there is room for another stanza of an address.
    pub(super) fn has_room(&self, jid: &BareJid) -> bool {
        self.state().seats.get(jid).is_none_or(Seat::has_room)
    }

    /// Takes a stanza of an address.
    pub(super) fn hear(&self, jid: &BareJid, outgoing: Outgoing) {
        let outlives = outgoing.outlives_its_stream();
        let stanza = encode(outgoing);
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(seat) = state.seats.get_mut(jid) else { return };
        take(seat, stanza, outlives, &self.domain);
        // Without a stream, the next one begins with all that wait. Addresses that come and go meanwhile would fill the order.
        if state.line == Line::Live && seat.has_unsent() && !seat.is_due {
            seat.is_due = true;
            state.due.push_back(jid.clone());
        }
        self.more.notify_one();
    }
}
