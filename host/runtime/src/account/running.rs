//! The loop of the account's task: it hands the session one input at a time, and applies the effects.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parlor_session::tell_owners;
use parlor_xmpp::{ClientState, Dialer, Link, LinkEvent};
use tokio::time::{Interval, MissedTickBehavior};

use super::alarm::Alarm;
use super::arrived;
use super::encryption;
use super::held_back::Batch;
use super::on_disk;
use super::order::{Asked, Order};
use super::resting;
use super::room_passwords;
use super::screened;
use super::sending::has_answered;
use super::worker::Worker;
use crate::may_act::next_confirmed;

/// Number of commands that are done before the link gets its next turn.
const BATCH: usize = 32;

/// Number of effects for which room is kept. A log-in brings more at once than most inputs after it.
const EFFECTS: usize = 4;

/// Interval for checking whether the machine slept.
const LOOK: Duration = Duration::from_secs(15);

/// Returns the interval of these checks.
fn looks() -> Interval {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

impl Worker {
    /// Handles events until the account must stop.
    pub(super) async fn run(&mut self) {
        let mut alarm = Alarm::new();
        let mut look = looks();
        // The number of link events since commands last had a turn.
        let mut heard = 0;
        loop {
            if heard == BATCH {
                heard = 0;
                self.take_waiting(BATCH).await;
            }
            let deadline = self.session.next_deadline();
            if !alarm.is_set_to(deadline) {
                alarm.set(deadline, self.now());
            }
            let has_room = self.has_room();
            // If the account may not act, nothing that waits is ever sent, and what waits for the cluster is sent later. Then room would
            // wake this task for nothing, without end.
            let waits_for_room = !has_room && self.confirming.is_none() && self.shared.may_act.now();
            tokio::select! {
                // The order of events must follow from the input, not from chance. Rare branches come first. The link
                // would starve the commands, were it not for their turn above.
                biased;
                // `Shared`, which this task holds as well, keeps both queues open.
                Some(order) = self.orders.recv() => match *order {
                    // Boxed: an order is rare, and this task lives as long as the account.
                    Order::Stop { done } => return Box::pin(self.end(done)).await,
                    Order::Rest { done } => drop(done.send(resting::of(self))),
                    Order::RoomPasswords { done } => Box::pin(room_passwords::read(self, Some(done))).await,
                    order => ordered(self, order).await,
                },
                () = alarm.ring() => {
                    let now = self.mind_clock();
                    self.session.tick(now, &mut self.effects);
                }
                // An in-process server does not disconnect when the machine sleeps.
                _ = look.tick(), if !matches!(self.dialer, Dialer::Local(_)) => {
                    self.mind_clock();
                }
                () = self.quiet.ring() => {
                    if let Some(link) = &mut self.link {
                        link.set_state(ClientState::Inactive);
                    }
                }
                passwords = self.room_passwords.next() => room_passwords::give(self, passwords),
                found = arrived::told(&mut self.in_question) => self.has_arrived(found),
                judged = self.screening.verdict(), if !self.screening.is_empty() => screened::release(self, judged),
                written = self.keepers.encryption.written(), if !on_disk::is_idle(self) => on_disk::release(self, written),
                may_act = next_confirmed(&mut self.confirming), if self.confirming.is_some() => has_answered(self, may_act),
                next = next_on_link(&mut self.link, waits_for_room) => {
                    heard += 1;
                    if let Some(event) = next {
                        self.on_link(event);
                    }
                }
                Some((_, asked)) = self.asked.recv(has_room) => {
                    heard = 0;
                    // Answers to requests that arrived together are written together.
                    self.take(asked).await;
                    self.take_waiting(BATCH - 1).await;
                    // The effects of each were applied.
                    continue;
                }
            }
            self.apply();
        }
    }

    /// Handles up to `most` requests, as long as some are waiting.
    async fn take_waiting(&mut self, most: usize) {
        for _ in 0..most {
            let has_room = self.has_room();
            let Some((_, asked)) = self.asked.try_take(has_room) else { return };
            self.take(asked).await;
        }
    }

    /// Carries out a plugin's request, and charges the plugin for the time that this takes.
    async fn take(&mut self, asked: Asked) {
        match asked {
            Asked::Order(order) => {
                ordered(self, *order).await;
                self.apply();
            }
            // Its call was given up while it waited for its turn.
            Asked::Command(command, _) if command.is_abandoned() => {}
            Asked::Command(command, held) => {
                // Real time: reading the thread's CPU clock is a system call, and nothing here waits.
                let charged = held.map(|held| (held, Instant::now()));
                self.execute(command);
                self.apply();
                if let Some((held, began)) = charged {
                    held.charge(began.elapsed());
                }
            }
        }
    }

    /// Applies the effects of the input that was handled, in order. The snapshot is published before anyone is
    /// notified.
    pub(super) fn apply(&mut self) {
        if self.session.changed() {
            self.publish();
        }
        let mut effects = std::mem::take(&mut self.effects);
        let mut batch = Batch::default();
        for effect in effects.drain(..) {
            on_disk::pass(self, effect, &mut batch);
        }
        effects.shrink_to(EFFECTS);
        // These effects may have caused further ones.
        effects.append(&mut self.effects);
        self.effects = effects;
        if !self.screening.is_empty() {
            screened::begin(self);
        }
        for words in self.alerts.due(self.session.is_announced()) {
            tell_owners(&mut self.session, &words, self.shared.clock.now(), &mut self.effects);
        }
        // Notifications to owners, answers to refused commands and repeated questions are sent at once.
        if !self.effects.is_empty() {
            return self.apply();
        }
        encryption::note(&self.shared, &mut self.session);
        self.flush();
        self.say_connected();
    }
}

/// Returns the future that carries out an order. Made apart: it is kilobytes, for which every request would make room on the stack.
#[inline(never)]
fn ordered(worker: &mut Worker, order: Order) -> BoxFuture<'_, ()> {
    Box::pin(worker.on_order(order))
}

/// Waits for the next event of the link, or forever if there is no link. None: the link has room, and stanzas wait for that.
async fn next_on_link(link: &mut Option<Link>, waits_for_room: bool) -> Option<LinkEvent> {
    match link {
        Some(link) if !waits_for_room => Some(link.next().await),
        Some(link) => link.next_or_room().await,
        None => std::future::pending().await,
    }
}
