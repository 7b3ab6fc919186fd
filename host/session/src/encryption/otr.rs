//! Keeps the off-the-record conversations, and the own key for them.
//!
//! A conversation ends with the process: for forward secrecy, its keys are never stored.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_config::OtrPolicy;
use parlor_e2ee::omemo::Secret;
use parlor_e2ee::otr::{AGAIN, Account, Conversation, InstanceTag, Policy, State};
use parlor_stanza::error::CallError;

use super::outbound::Outbound;
use super::waiting::refuse;
use crate::answer::Answer;
use crate::deadlines::{DeadlineKey, Late};
use crate::effect::Effect;
use crate::records::encryption::OtrStatus;
use crate::turn::Turn;
use crate::waiters::Waiter;

/// Maximum number of conversations. Beyond it, the one that is missed least ends. Tests begin as many, so there it is small.
pub(crate) const MAX_CHATS: usize = if cfg!(test) { 8 } else { 1_024 };
/// Maximum number of texts that wait until the own key is made, and maximum length of one in bytes. A text that begins
/// a conversation is short.
const MAX_EARLY: (usize, usize) = (64, 1_024);
/// Maximum number of clients of one person whose addresses are known. No more have encrypted conversations.
const MAX_CLIENTS: usize = 8;
/// Maximum number of calls that wait for one conversation to begin.
const MAX_WAITERS: usize = 64;
/// Maximum number of messages that wait for one conversation to begin, and for all.
const MAX_MESSAGES: (usize, usize) = (64, 1_024);
/// Maximum length of an encoded message in one stanza, in bytes; a longer one goes out in parts. The longest text has 88
/// KB when it is encrypted. With its stanza a part stays below 64 KiB, a common limit of servers.
const LONGEST_PART: usize = 60_000;
/// Time limit for the other side's answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after a text its client may send it once more. libotr does so within a minute.
const AGAIN_WITHIN: Duration = Duration::from_secs(90);

/// One conversation.
pub(super) struct OtrChat {
    pub(super) conversation: Conversation,
    /// The address that the last message came from, if any has. A query goes there.
    pub(super) to: Jid,
    /// The addresses of the clients that have begun, by their instances: `None` in version 2. The one that was heard
    /// last is the last.
    clients: Vec<(Option<InstanceTag>, Jid)>,
    pub(super) status: OtrStatus,
    /// When it was made, or its other side was last heard, by the time that has elapsed for the session.
    at: Duration,
    /// Whether the other side has said nothing since it began.
    is_fresh: bool,
    /// The hash of the last text of the other side, and when it came.
    last: Option<(u64, Duration)>,
}

impl OtrChat {
    /// Notes the address of the client that the next text is encrypted for, because an authentic message of it came
    /// from there.
    pub(super) fn heard(&mut self, from: &Jid, now: Duration) {
        self.at = now;
        if self.conversation.state() != State::Encrypted {
            return;
        }
        let instance = self.conversation.peer_instance();
        self.clients.retain(|(known, _)| *known != instance);
        if self.clients.len() == MAX_CLIENTS {
            self.clients.remove(0);
        }
        self.clients.push((instance, from.clone()));
    }

    /// Returns the address of a client. Another client cannot read its messages, and one with version 2 would show
    /// them as they are (XEP-0364, section 5).
    pub(super) fn address(&self, instance: Option<InstanceTag>) -> Jid {
        let known = self.clients.iter().find(|(known, _)| *known == instance);
        known.map_or(&self.to, |(_, address)| address).clone()
    }

    /// Notes that it has begun.
    pub(super) fn begun(&mut self) {
        self.is_fresh = true;
    }

    /// Returns what the other side says. If the account could not read the last text, their client sends it once more when the
    /// conversation has begun again, behind a mark that is no part of it. `None`: that text was read; somebody in between may have caused
    /// this.
    pub(super) fn says(&mut self, text: String, now: Duration) -> Option<String> {
        let is_fresh = std::mem::take(&mut self.is_fresh);
        let again = text.strip_prefix(AGAIN).filter(|_| is_fresh).map(str::to_owned);
        let (is_again, text) = (again.is_some(), again.unwrap_or(text));
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        let is_known = |(last, at): (u64, Duration)| last == hash && now.saturating_sub(at) < AGAIN_WITHIN;
        if is_again && self.last.is_some_and(is_known) {
            return None;
        }
        self.last = Some((hash, now));
        Some(text)
    }

    /// Returns the address of the client that the next text is encrypted for.
    pub(super) fn reader(&self) -> Jid {
        self.address(self.conversation.peer_instance())
    }
}

/// Calls and messages that wait until a conversation has begun.
#[derive(Debug, Default)]
struct Waits {
    calls: Vec<Waiter<()>>,
    /// The messages, in order.
    messages: Vec<Outbound>,
    deadline: Option<DeadlineKey>,
}

/// All conversations.
#[derive(Default)]
pub(super) struct OtrChats {
    account: Option<Arc<Account>>,
    is_being_made: bool,
    /// Texts of the protocol that arrived before the own key existed, with their authors.
    early: Vec<(Jid, String)>,
    chats: HashMap<BareJid, OtrChat>,
    waits: HashMap<BareJid, Waits>,
}

impl fmt::Debug for OtrChats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtrChats({})", self.chats.len())
    }
}

impl OtrChats {
    /// Returns whether any of them is off the record, or about to be.
    pub(super) fn are_on(&self) -> bool {
        !self.waits.is_empty() || self.chats.values().any(|chat| chat.status != OtrStatus::Unencrypted)
    }
}

/// Makes an own key. It takes seconds, so never in the account's task.
pub fn make_otr_key() -> Secret {
    Account::generate(&mut rand::rng()).to_bytes().into()
}

/// Returns the rules of a conversation with a person for whom this policy counts. A tag of whitespace begins one only if
/// nothing else will do.
pub(super) fn rules(policy: OtrPolicy) -> Policy {
    let is_required = policy == OtrPolicy::Require;
    match policy {
        OtrPolicy::Never => Policy::never(),
        OtrPolicy::Allow | OtrPolicy::Require => Policy {
            require_encryption: is_required,
            whitespace_start: is_required,
            fragment: LONGEST_PART,
            ..Policy::default()
        },
    }
}

impl OtrChats {
    /// Stores the own key.
    pub(super) fn load(&mut self, state: &[u8], account: Option<&str>) {
        self.is_being_made = false;
        match Account::from_bytes(state) {
            Ok(account) => self.account = Some(Arc::new(account)),
            Err(error) => {
                tracing::error!(account, %error, "the own key of OTR cannot be read; a new one is made when it is needed");
            }
        }
    }

    /// Keeps a text until the own key is made. Texts beyond the limit are dropped, and their authors ask again.
    pub(super) fn put_off(&mut self, from: Jid, text: String) {
        let (most, longest) = MAX_EARLY;
        if self.is_being_made && text.len() <= longest && self.early.len() < most {
            self.early.push((from, text));
        }
    }

    /// Takes the texts that waited for the own key.
    pub(super) fn take_early(&mut self) -> Vec<(Jid, String)> {
        std::mem::take(&mut self.early)
    }

    /// Forgets the own key, with all conversations.
    pub(super) fn forget_key(&mut self) {
        self.account = None;
        self.chats.clear();
    }

    /// Returns the fingerprint of the own key.
    pub(super) fn fingerprint(&self) -> Option<String> {
        self.account.as_ref().map(|account| super::trust::of_otr(account.fingerprint()))
    }

    /// Returns whether there are no conversations.
    pub(super) fn is_empty(&self) -> bool {
        self.chats.is_empty()
    }

    /// Returns the conversation with a person.
    pub(super) fn get(&self, jid: &BareJid) -> Option<&OtrChat> {
        self.chats.get(jid)
    }

    /// Returns the mutable conversation with a person.
    pub(super) fn get_mut(&mut self, jid: &BareJid) -> Option<&mut OtrChat> {
        self.chats.get_mut(jid)
    }

    /// Returns whether a conversation is encrypted.
    pub(super) fn is_encrypted(&self, jid: &BareJid) -> bool {
        self.chats.get(jid).is_some_and(|chat| chat.conversation.state() == State::Encrypted)
    }

    /// Returns the people with conversations.
    pub(super) fn people(&self) -> Vec<BareJid> {
        self.chats.keys().cloned().collect()
    }

    /// Returns the conversation that has to end before one with this person can begin: the one that was silent for the longest, at
    /// first among those that are not encrypted. One with a verified key never ends for that.
    pub(super) fn in_the_way_of(&self, jid: &BareJid) -> Option<BareJid> {
        if self.chats.len() < MAX_CHATS || self.chats.contains_key(jid) {
            return None;
        }
        let rank = |jid: &BareJid, chat: &OtrChat| match chat.conversation.state() {
            State::Plain if !self.waits.contains_key(jid) => 0,
            State::Finished => 1,
            State::Plain | State::Encrypted => 2,
        };
        let others = self.chats.iter().filter(|(_, chat)| chat.status != OtrStatus::Verified);
        others.min_by_key(|(jid, chat)| (rank(jid, chat), chat.at)).map(|(jid, _)| jid.clone())
    }

    /// Returns the conversation with a person, and creates it by this policy if needed. Returns `None` without an own
    /// key, or at the limit.
    pub(super) fn open(
        &mut self,
        jid: &BareJid,
        to: &Jid,
        policy: OtrPolicy,
        turn: &mut Turn<'_>,
    ) -> Option<&mut OtrChat> {
        let Some(account) = &self.account else {
            if !std::mem::replace(&mut self.is_being_made, true) {
                turn.out.push(Effect::MakeOtrKey);
            }
            return None;
        };
        if !self.chats.contains_key(jid) {
            if self.chats.len() >= MAX_CHATS {
                return None;
            }
            let conversation = Conversation::new(Arc::clone(account), rules(policy));
            let (to, status) = (to.clone(), OtrStatus::Unencrypted);
            let (clients, at) = (Vec::new(), turn.deadlines.elapsed());
            let chat = OtrChat { conversation, to, clients, status, at, is_fresh: false, last: None };
            self.chats.insert(jid.clone(), chat);
        }
        let chat = self.chats.get_mut(jid)?;
        chat.to = to.clone();
        Some(chat)
    }

    /// Forgets a conversation.
    pub(super) fn remove(&mut self, jid: &BareJid) {
        self.chats.remove(jid);
    }

    /// Lets a call wait until a conversation has begun.
    pub(super) fn wait(&mut self, jid: &BareJid, by: InstanceId, answer: Answer<()>, turn: &mut Turn<'_>) {
        if self.waits.len() >= MAX_CHATS && !self.waits.contains_key(jid) {
            let error = CallError::OverLimit(format!("{MAX_CHATS} chats that are to be off the record"));
            return turn.answer(answer, Err(error));
        }
        let waits = self.waits.entry(jid.clone()).or_default();
        waits.calls.retain(|call| !call.answer.is_abandoned());
        if waits.calls.len() >= MAX_WAITERS {
            let error = CallError::OverLimit(format!("{MAX_WAITERS} calls wait for the chat with {jid}"));
            return turn.answer(answer, Err(error));
        }
        waits.calls.push(Waiter { by, answer });
        if waits.deadline.is_none() {
            waits.deadline = Some(turn.deadlines.set(PATIENCE, Late::Otr(jid.clone())));
        }
    }

    /// Lets a message wait until a conversation has begun. Returns whether nothing else waits for that.
    pub(super) fn wait_to_send(&mut self, jid: &BareJid, message: Outbound, turn: &mut Turn<'_>) -> bool {
        let (most_of_one, most) = MAX_MESSAGES;
        let of_one = self.waits.get(jid).map(|waits| waits.messages.len());
        let all: usize = self.waits.values().map(|waits| waits.messages.len()).sum();
        let is_full = of_one.unwrap_or_default() >= most_of_one
            || all >= most
            || (of_one.is_none() && self.waits.len() >= MAX_CHATS);
        if is_full {
            let error =
                CallError::OverLimit(format!("{all} messages wait for chats that are to be off the record first"));
            refuse(message, error, turn);
            return false;
        }
        let waits = self.waits.entry(jid.clone()).or_default();
        waits.messages.push(message);
        if waits.deadline.is_none() {
            waits.deadline = Some(turn.deadlines.set(PATIENCE, Late::Otr(jid.clone())));
        }
        of_one.is_none()
    }

    /// Takes the messages that wait for a conversation.
    pub(super) fn take_messages(&mut self, jid: &BareJid) -> Vec<Outbound> {
        self.waits.get_mut(jid).map(|waits| std::mem::take(&mut waits.messages)).unwrap_or_default()
    }

    /// Returns the people for whose conversations calls or messages wait.
    pub(super) fn wanted(&self) -> Vec<BareJid> {
        self.waits.keys().cloned().collect()
    }

    /// Answers the calls that wait for a conversation. Returns the messages that wait for it, if it has begun; they are
    /// refused otherwise.
    pub(super) fn answer(
        &mut self,
        jid: &BareJid,
        result: &Result<(), CallError>,
        turn: &mut Turn<'_>,
    ) -> Vec<Outbound> {
        let Some(waits) = self.waits.remove(jid) else { return Vec::new() };
        if let Some(deadline) = waits.deadline {
            turn.deadlines.cancel(deadline);
        }
        for call in waits.calls {
            turn.answer(call.answer, result.clone());
        }
        let Err(error) = result else { return waits.messages };
        for message in waits.messages {
            refuse(message, error.clone(), turn);
        }
        Vec::new()
    }

    /// Answers all waiting calls, because no conversation will begin.
    pub(super) fn end_waits(&mut self, error: &CallError, turn: &mut Turn<'_>) {
        for jid in self.wanted() {
            self.answer(&jid, &Err(error.clone()), turn);
        }
    }

    /// Forgets the calls of ended instances.
    pub(super) fn forget_abandoned(&mut self) {
        for waits in self.waits.values_mut() {
            waits.calls.retain(|call| !call.answer.is_abandoned());
            waits.messages.retain(|message| !message.is_abandoned());
        }
    }
}
