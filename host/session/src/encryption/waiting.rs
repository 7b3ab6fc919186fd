//! Messages that wait for the keys of their recipients, in order for each person and room.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jid::BareJid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Outgoing;

use super::outbound::Outbound;
use crate::deadlines::{DeadlineKey, Late};
use crate::effect::{Effect, Sent};
use crate::iq::keys::Fetch;
use crate::turn::{FollowUp, Turn};

/// Maximum number of messages that wait for one person or room.
pub(super) const MAX_OF_ONE: usize = 256;
/// Maximum number of all waiting messages.
pub(super) const MAX_WAITING: usize = 4_096;
/// Time limit for the fetches of the first waiting message.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Time limit for the whole wait of a message. Fetches may lead to further ones, for this message and for those before it: people can
/// list new devices as often as they like.
const LONGEST: Duration = Duration::from_secs(90);

/// A message, and since when it waits.
pub(super) type Waiter = (Outbound, Duration);

/// The messages for one person or room.
#[derive(Debug)]
struct Queue {
    messages: VecDeque<Waiter>,
    /// The fetches that the first message waits for.
    needs: HashSet<Fetch>,
    deadline: DeadlineKey,
}

/// All messages that wait.
#[derive(Debug, Default)]
pub(super) struct WaitingMessages {
    all: HashMap<BareJid, Queue>,
    count: usize,
}

impl WaitingMessages {
    /// Returns whether no message waits.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns whether messages for this person or room wait, so that the next one must wait as well.
    pub(super) fn has(&self, partner: &BareJid) -> bool {
        !self.all.is_empty() && self.all.contains_key(partner)
    }

    /// Returns whether there is space for one more message.
    fn is_full(&self, partner: &BareJid) -> bool {
        let of_one = self.all.get(partner).map_or(0, |queue| queue.messages.len());
        of_one >= MAX_OF_ONE || self.count >= MAX_WAITING
    }

    /// Appends a message to the waiting ones.
    pub(super) fn push(&mut self, partner: &BareJid, message: Outbound, turn: &mut Turn<'_>) {
        if self.is_full(partner) {
            let error = CallError::OverLimit(format!("{MAX_OF_ONE} messages wait for the keys of {partner}"));
            return refuse(message, error, turn);
        }
        if let Some(queue) = self.all.get_mut(partner) {
            queue.messages.push_back((message, turn.deadlines.elapsed()));
            self.count += 1;
        }
    }

    /// Lets a message wait for these fetches, before all others.
    pub(super) fn wait(&mut self, partner: &BareJid, waiter: Waiter, needs: HashSet<Fetch>, turn: &mut Turn<'_>) {
        if !self.all.contains_key(partner) && self.count >= MAX_WAITING {
            let error = CallError::OverLimit(format!("{MAX_WAITING} messages wait for keys of their recipients"));
            return refuse(waiter.0, error, turn);
        }
        self.count += 1;
        if let Some(queue) = self.all.get_mut(partner) {
            queue.messages.push_front(waiter);
            queue.needs = needs;
            return;
        }
        let deadline = turn.deadlines.set(PATIENCE, Late::KeysWaited(partner.clone()));
        self.all.insert(partner.clone(), Queue { messages: VecDeque::from([waiter]), needs, deadline });
    }

    /// Notes that this fetch has ended. Returns the people and rooms whose messages wait for nothing else.
    pub(super) fn came(&mut self, fetch: &Fetch) -> Vec<BareJid> {
        let waited = self.all.iter_mut().filter_map(|(partner, queue)| {
            (queue.needs.remove(fetch) && queue.needs.is_empty()).then(|| partner.clone())
        });
        waited.collect()
    }

    /// Ends the wait of a person's or room's messages. Returns the fetches that they still waited for.
    pub(super) fn give_up(&mut self, partner: &BareJid) -> HashSet<Fetch> {
        self.all.get_mut(partner).map(|queue| std::mem::take(&mut queue.needs)).unwrap_or_default()
    }

    /// Lets all messages for a person or room wait anew, since nothing was fetched while the stream was lost.
    pub(super) fn restart(&mut self, partner: &BareJid, now: Duration) {
        if let Some(queue) = self.all.get_mut(partner) {
            queue.needs.clear();
            for (_, since) in &mut queue.messages {
                *since = now;
            }
        }
    }

    /// Takes the first message for a person or room. The last one ends the wait.
    pub(super) fn pop(&mut self, partner: &BareJid, turn: &mut Turn<'_>) -> Option<Waiter> {
        let queue = self.all.get_mut(partner)?;
        let waiter = queue.messages.pop_front();
        if waiter.is_some() {
            self.count -= 1;
        } else if let Some(queue) = self.all.remove(partner) {
            turn.deadlines.cancel(queue.deadline);
        }
        waiter
    }

    /// Starts the time limit of the fetches that the first message waits for now.
    pub(super) fn begin_time(&mut self, partner: &BareJid, turn: &mut Turn<'_>) {
        if let Some(queue) = self.all.get_mut(partner) {
            let now = turn.deadlines.elapsed();
            let left = queue.messages.front().map_or(PATIENCE, |(_, since)| (*since + LONGEST).saturating_sub(now));
            turn.deadlines.cancel(queue.deadline);
            queue.deadline = turn.deadlines.set(PATIENCE.min(left), Late::KeysWaited(partner.clone()));
        }
    }

    /// Returns the people and rooms that messages wait for.
    pub(super) fn partners(&self) -> Vec<BareJid> {
        self.all.keys().cloned().collect()
    }

    /// Ends all waits, because the session with the server ended.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        self.count = 0;
        for (_, queue) in std::mem::take(&mut self.all) {
            turn.deadlines.cancel(queue.deadline);
            for (message, _) in queue.messages {
                refuse(message, CallError::Offline, turn);
            }
        }
    }
}

/// Returns whether a message has waited for so long that nothing more is fetched for it.
pub(super) fn is_over(since: Duration, now: Duration) -> bool {
    now >= since + LONGEST
}

/// Answers that a message was not sent, to the call or to the dialog that asks by it. A message of the host itself is
/// counted and logged.
pub(super) fn refuse(message: Outbound, error: CallError, turn: &mut Turn<'_>) {
    if let Some(answer) = message.answer {
        turn.answer(answer, Err(error));
    } else if let Some(number) = message.question {
        turn.follow(FollowUp::NotAsked(number, error));
    } else {
        tracing::info!(account = turn.account(), to = %message.to, %error, "a message of the host itself was not sent");
        turn.ignored += 1;
    }
}

/// Sends a stanza, and answers the call of the message.
pub(super) fn put(stanza: Outgoing, message: Outbound, turn: &mut Turn<'_>) {
    turn.out.push(match message.answer {
        Some(mut answer) => {
            if let Outgoing::Sealed(sealed) = &stanza {
                let text = sealed.says.as_ref().and_then(|says| says.body.as_ref()).map_or(0, String::len);
                answer.charge(sealed.content.weight().saturating_sub(text));
            }
            Effect::SendFor(stanza, Sent::Message(message.id, answer))
        }
        None => Effect::Send(stanza),
    });
}
