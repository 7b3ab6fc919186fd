//! Encryption from end to end: OMEMO (XEP-0384) and off-the-record messaging, of one account.
//!
//! The cryptography is that of `parlor-e2ee`. This module decides whose keys are trusted, which devices get a message,
//! and what is kept on disk. Each change of a state is an effect that comes before all effects that depend on it; see
//! `effect.rs`.
//!
//! **Begin with** [`EndToEnd`], then follow a message through `opening.rs`, or through `sending.rs` and `sealing.rs`. The other files hold the
//! parts of the state, and name none of these.

pub(super) mod answers;
mod beside;
pub(super) mod comparing;
pub(super) mod comparisons;
pub(super) mod deciding;
mod fetches;
mod html;
pub(super) mod kept;
mod keys_for_us;
pub(super) mod lists;
mod members;
mod message_keys;
pub(super) mod off_the_record;
pub(super) mod opening;
pub(super) mod otr;
pub(super) mod outbound;
mod owed;
pub(super) mod owing;
mod own_list;
mod partner;
pub(super) mod plainly;
mod published;
pub(super) mod publishing;
pub(super) mod remarks;
mod sealing;
pub(super) mod sending;
mod sessions;
pub(super) mod trust;
pub(super) mod vouched;
mod waiting;
mod ways;
pub(super) mod withdrawing;
mod withdrawn;

use std::collections::VecDeque;
use std::time::Duration;

use jid::BareJid;
use parlor_config::{Encryption, OtrPeople, OtrPolicy};
use parlor_e2ee::omemo::{Device, Session as OmemoSession};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, DeviceTrust, Draft, Outgoing, PubsubAsk};

use crate::effect::{Effect, KeyNews, KeyNewsKind};
use crate::iq::keys::Fetch;
use crate::iq::{PATIENCE, Waiting};
use crate::permissions::spellings;
use crate::turn::{FollowUp, Turn};
use comparisons::Comparisons;
use fetches::Fetches;
use kept::{KeptKeys, KeyChange, Way};
use lists::Lists;
use members::Members;
use message_keys::MessageKeys;
use otr::OtrChats;
use owed::Owed;
use published::State;
use remarks::Remarks;
use sessions::Sessions;
use trust::{KeyKind, Met, TrustBook};
use vouched::{HeldMessage, Unvouched};
use waiting::WaitingMessages;
use ways::Ways;

/// Maximum number of own messages in rooms that are remembered until the room reflects them.
const MAX_SAID: usize = 256;

/// How an account encrypts, and how much was encrypted and decrypted since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// The owner's settings.
    pub settings: Encryption,
    /// The account's own OMEMO device.
    pub device: Option<u32>,
    /// Whether others can find its keys.
    pub is_published: bool,
    /// The number of known keys of others.
    pub known: u64,
    /// The number of messages that were encrypted.
    pub encrypted: u64,
    /// The number of messages that were decrypted.
    pub decrypted: u64,
    /// The number of messages that could not be decrypted.
    pub undecryptable: u64,
}

/// The state of encryption of an account.
#[derive(Debug, Default)]
pub(super) struct EndToEnd {
    /// The owner's settings. None: not set yet, so nothing is encrypted.
    config: Option<Encryption>,
    /// The people with whom it is off the record by a policy of their own.
    otr_people: OtrPeople,
    /// Whether the keys on disk cannot be read, so that nothing is encrypted until the next start.
    is_unreadable: bool,
    /// Whether the chats that were encrypted cannot be read either.
    is_unknown: bool,
    /// The account's own device. It is made when it is first needed.
    device: Option<Device>,
    sessions: Sessions,
    trust: TrustBook,
    lists: Lists,
    fetches: Fetches,
    members: Members,
    message_keys: MessageKeys,
    ways: Ways,
    waiting: WaitingMessages,
    /// Own messages in rooms, by room and id, the oldest first.
    said: VecDeque<(BareJid, String, Box<Draft>)>,
    /// Messages of rooms that wait for keys of their authors.
    unvouched: Unvouched,
    owed: Owed,
    pub(super) remarks: Remarks,
    published: State,
    otr: OtrChats,
    comparisons: Comparisons,
    counts: KeyCounts,
    /// The figures that were reported last.
    told: Option<KeyCounts>,
}

impl EndToEnd {
    /// Returns whether the account is off the record with anybody.
    pub(super) fn is_off_the_record(&self) -> bool {
        self.otr.are_on()
    }

    /// Applies the owner's settings.
    pub(super) fn set_config(&mut self, config: Encryption) {
        self.config = Some(config);
    }

    /// Sets the people with a policy of their own for off-the-record messaging.
    pub(super) fn set_otr_people(&mut self, people: OtrPeople) {
        self.otr_people = people;
    }

    /// Loads the state that the last process kept. Entries that cannot be read are skipped and logged.
    pub(super) fn load(&mut self, kept: KeptKeys, account: Option<&str>) {
        let KeptKeys { device, otr, sessions, keys, ways, message_keys } = kept;
        if let Some(state) = device {
            match Device::from_bytes(state.as_ref()) {
                Ok(device) => {
                    self.device = Some(device);
                    // The last process may have kept used prekeys while it read an archive.
                    self.published.catches_up = Some(Duration::ZERO);
                }
                Err(error) => {
                    tracing::error!(account, %error, "the own keys of OMEMO cannot be read; new ones are made");
                }
            }
        }
        if let Some(state) = otr {
            self.otr.load(state.as_ref(), account);
        }
        // Message keys are useless without the keys that they belong to.
        for (jid, device, form, state) in sessions.into_iter().filter(|_| self.device.is_some()) {
            match OmemoSession::from_bytes(state.as_ref()) {
                Ok(session) => self.sessions.insert((&jid, device, form), session, state.as_ref().len()),
                Err(error) => {
                    tracing::warn!(account, %jid, device, %error, "a session of OMEMO cannot be read; a new one begins");
                }
            }
        }
        self.trust.load(keys);
        self.ways.load(ways);
        self.message_keys.load(message_keys);
    }

    /// Notes that keys on disk cannot be read. `ways`: the chats that were encrypted, if that can be read. Returns how the account encrypts
    /// now: not at all.
    pub(super) fn cannot_load(&mut self, ways: Option<Vec<(BareJid, Way)>>) -> Encryption {
        (self.is_unreadable, self.is_unknown) = (true, ways.is_none());
        self.ways.load(ways.unwrap_or_default());
        self.config.unwrap_or(Encryption::OFF).without_keys()
    }

    /// Returns whether there may be encrypted chats, whose answers must not go out in plain text.
    pub(super) fn is_guarded(&self) -> bool {
        self.is_unknown || !self.ways.is_empty()
    }

    /// Returns whether OMEMO is used.
    pub(super) fn has_omemo(&self) -> bool {
        self.config.is_some_and(|config| config.omemo)
    }

    /// Returns the policy for off-the-record messaging that counts for a person, whose domain may be spelled in either way.
    fn otr_policy(&self, jid: &BareJid) -> OtrPolicy {
        let of_account = self.config.map_or(OtrPolicy::Never, |config| config.otr);
        let of_other_spelling = || spellings(jid).find_map(|other| self.otr_people.of(&other));
        self.otr_people.of(jid).or_else(of_other_spelling).unwrap_or(of_account)
    }

    /// Returns whether off-the-record messaging is possible with a person.
    pub(super) fn has_otr(&self, jid: &BareJid, turn: &Turn<'_>) -> bool {
        !self.is_unreadable && turn.settings.allow_otr && self.otr_policy(jid) != OtrPolicy::Never
    }

    /// Returns whether a policy, the account's or a person's, allows or requires off-the-record messaging.
    pub(super) fn names_otr(&self) -> bool {
        self.config.is_some_and(|config| config.otr != OtrPolicy::Never)
            || self.otr_people.have(OtrPolicy::Allow)
            || self.requires_otr_of_anyone()
    }

    /// Returns whether texts to a person must not go out plainly. Without readable keys, nothing could be sent at all;
    /// `plain_instead` allows it then, as everywhere.
    fn requires_otr(&self, jid: &BareJid) -> bool {
        let is_plain_instead = self.is_unreadable && self.config.is_some_and(|config| config.plain_instead);
        !is_plain_instead && self.otr_policy(jid) == OtrPolicy::Require
    }

    fn requires_otr_of_anyone(&self) -> bool {
        self.config.is_some_and(|config| config.otr == OtrPolicy::Require) || self.otr_people.have(OtrPolicy::Require)
    }

    /// Returns whether an unencrypted message may still concern encryption.
    pub(super) fn is_used(&self) -> bool {
        !self.ways.is_empty() || !self.otr.is_empty() || self.requires_otr_of_anyone()
    }

    /// Counts a message that is encrypted in a way that is not decrypted here.
    pub(super) fn counts_as_unreadable(&mut self) {
        self.counts.undecryptable += 1;
    }

    /// Returns the figures to report.
    fn counts(&self) -> KeyCounts {
        KeyCounts {
            settings: self.config.unwrap_or(Encryption::OFF),
            device: self.device.as_ref().filter(|_| self.has_omemo()).map(|device| device.id().get()),
            is_published: self.published.is_complete(),
            known: self.trust.len() as u64,
            ..self.counts
        }
    }

    /// Returns the figures to report, if they changed since the last call.
    pub(super) fn changed_counts(&mut self) -> Option<KeyCounts> {
        let counts = Some(self.counts());
        if self.told == counts {
            return None;
        }
        self.told = counts;
        counts
    }

    /// Notes how a message of a chat was encrypted.
    fn came_by(&mut self, partner: &BareJid, way: Way, changes: &mut Vec<KeyChange>, turn: &Turn<'_>) {
        let stays = |jid: &BareJid| self.trust.is_verified(jid) || self.otr.is_encrypted(jid);
        self.ways.came_by(partner, way, turn.deadlines.elapsed(), stays, changes);
    }

    /// Notes that an unencrypted message of a chat arrived. The chat stays encrypted if a key of the person was
    /// verified, since otherwise someone on the path could make the account answer in plain text. It also stays
    /// encrypted while it is off the record, and while messages wait for keys: these were to be encrypted.
    fn came_plainly(&mut self, partner: &BareJid, turn: &mut Turn<'_>) {
        if self.trust.is_verified(partner) || self.otr.is_encrypted(partner) || self.waiting.has(partner) {
            return;
        }
        if self.ways.came_plainly(partner, turn.deadlines.elapsed()) {
            turn.keep_keys(vec![KeyChange::Way(partner.clone(), None)]);
        }
    }

    /// Notes that a key is used, reports any news about it, and returns its trust.
    fn meet(
        &mut self,
        jid: &BareJid,
        kind: KeyKind,
        fingerprint: String,
        changes: &mut Vec<KeyChange>,
        turn: &mut Turn<'_>,
    ) -> Met {
        let policy = self.config.unwrap_or_default().trust;
        let before =
            kind.device().and_then(|device| self.trust.of_device(jid, device)).map(|key| key.fingerprint.clone());
        let is_other = before.is_some_and(|before| before != fingerprint);
        let mut met = self.trust.meet(jid, kind, fingerprint.clone(), policy, turn.now);
        changes.extend(met.changed.clone().map(KeyChange::Key));
        changes.extend(std::mem::take(&mut met.forgotten).into_iter().map(KeyChange::NoKey));
        // A further device of the account itself gets a copy of each message, so that even the first one is news.
        if met.is_new && (met.is_of_known_person || *jid == turn.own.to_bare()) {
            let what = if is_other { KeyNewsKind::ChangedIdentity } else { KeyNewsKind::NewDevice };
            let (jid, fingerprint) = (jid.clone(), Some(fingerprint));
            turn.out.push(Effect::KeyNews(KeyNews { jid, what, kind, fingerprint, trust: met.trust, question: None }));
        }
        met
    }

    /// Returns whether a device has another key than the verified one, and reports it if so.
    fn is_swapped(&mut self, jid: &BareJid, device: u32, fingerprint: &str, turn: &mut Turn<'_>) -> bool {
        let Some(before) = self.trust.of_device(jid, device) else { return false };
        if before.trust != DeviceTrust::Trusted || before.fingerprint == fingerprint {
            return false;
        }
        let news = KeyNews {
            jid: jid.clone(),
            what: KeyNewsKind::ChangedIdentity,
            kind: before.kind,
            fingerprint: Some(fingerprint.to_owned()),
            trust: DeviceTrust::Distrusted,
            question: None,
        };
        turn.out.push(Effect::KeyNews(news));
        true
    }

    /// Remembers what the account says in a room: the room reflects it encrypted, as it was sent.
    fn remember(&mut self, room: BareJid, id: String, draft: &Draft) {
        if self.said.len() >= MAX_SAID {
            self.said.pop_front();
        }
        self.said.push_back((room, id, Box::new(draft.clone())));
    }

    /// Returns what the account said in a room under this id.
    fn recall(&mut self, room: &BareJid, id: &str) -> Option<Box<Draft>> {
        let at = self.said.iter().position(|(of, known, _)| of == room && known == id)?;
        self.said.remove(at).map(|(_, _, draft)| draft)
    }

    /// Forgets the people of a room, since they may have changed.
    pub(super) fn room_changed(&mut self, room: &BareJid) {
        self.members.forget(room);
    }

    /// Notes the affiliation of a person with a room. It decides whether they may read its messages.
    pub(super) fn affiliation_changed(&mut self, room: &BareJid, person: BareJid, affiliation: &str) {
        self.members.changed(room, person, affiliation);
    }

    /// Forgets the calls of ended instances.
    pub(super) fn forget_abandoned(&mut self) {
        self.otr.forget_abandoned();
    }

    /// Holds a message of a room until the fetch ends. Returns the message if there is no space; it cannot be read
    /// then.
    pub(super) fn hold(&mut self, fetch: Fetch, held: HeldMessage) -> Result<(), HeldMessage> {
        let held = self.unvouched.hold(fetch, held);
        self.counts.undecryptable += u64::from(held.is_err());
        held
    }

    /// Forgets the state that belongs to a stream.
    pub(super) fn stream_gone(&mut self, turn: &mut Turn<'_>) {
        for unanswered in self.fetches.stream_gone() {
            if let Fetch::Bundle(jid, device, form) = unanswered {
                self.owed.is_not_healed(&jid, device, form);
            }
        }
        self.members.stream_gone();
        self.published.stream_gone();
        let held = self.unvouched.take_all();
        if !held.is_empty() {
            turn.follow(FollowUp::Vouched(held));
        }
    }

    /// Ends everything that waits for a session with the server.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        self.stream_gone(turn);
        self.published.end();
        self.waiting.end(turn);
        self.owed.end();
        self.otr.end_waits(&CallError::Offline, turn);
        let now = turn.deadlines.elapsed();
        for jid in self.comparisons.end(turn) {
            // The other side cannot be notified any more.
            let _ = self.otr.get_mut(&jid).map(|chat| chat.conversation.smp_abort(None, now));
        }
    }
}

impl Turn<'_> {
    /// Stores changes before all effects that follow in this turn.
    pub(super) fn keep_keys(&mut self, changes: Vec<KeyChange>) {
        if !changes.is_empty() {
            self.out.push(Effect::KeepKeys(changes));
        }
    }
}

/// Publishes own keys once these changes, and all before them, are on disk. If they cannot be written, the request is not sent, and
/// gets no answer.
pub(super) fn publish_kept(turn: &mut Turn<'_>, ask: PubsubAsk, waiting: Waiting, changes: Vec<KeyChange>) {
    turn.out.push(Effect::KeepKeys(changes));
    let id = turn.expect(None, waiting, PATIENCE);
    turn.out.push(Effect::SendKept(Outgoing::Ask { to: None, id, ask: Ask::Pubsub(Box::new(ask)) }));
}
