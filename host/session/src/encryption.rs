//! Encryption from end to end: OMEMO (XEP-0384) and off-the-record messaging, of one account.
//!
//! The cryptography is that of `parlor-e2ee`. Here is what it is used for: whose keys are trusted, which devices get a message, and
//! what is kept on disk. Each change of a state is an effect that comes before all that depends on it; see `effect.rs`.
//!
//! **Begin with** [`EndToEnd`], then follow a message through `opening.rs`, or through `sending.rs` and `sealing.rs`. The other files hold the
//! parts of the state, and name none of these.

pub(super) mod answers;
pub(super) mod comparing;
pub(super) mod comparisons;
pub(super) mod deciding;
mod fetches;
pub(super) mod kept;
pub(super) mod lists;
mod members;
mod message_keys;
pub(super) mod off_the_record;
pub(super) mod opening;
pub(super) mod otr;
pub(super) mod outbound;
mod owed;
pub(super) mod owing;
mod partner;
mod published;
pub(super) mod publishing;
mod sealing;
pub(super) mod sending;
mod sessions;
pub(super) mod trust;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::BareJid;
use parlor_config::Encryption;
use parlor_e2ee::omemo::{Device, Session as OmemoSession};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{DeviceTrust, Draft};

use crate::effect::{Effect, KeyNews, KeyNewsKind};
use crate::turn::Turn;
use comparisons::Comparisons;
use fetches::Fetches;
use kept::{KeptKeys, KeyChange, Way};
use lists::Lists;
use members::Members;
use message_keys::MessageKeys;
use otr::OtrChats;
use owed::Owed;
use published::State;
use sessions::Sessions;
use trust::{KeyKind, Met, TrustBook};
use waiting::WaitingMessages;

/// Maximum number of chats of which it is known that they are encrypted.
const MAX_WAYS: usize = 20_000;
/// Maximum number of own messages in rooms that are remembered until the room reflects them.
const MAX_SAID: usize = 256;

/// How an account encrypts, and how much was encrypted and decrypted since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// The owner's settings.
    pub settings: Encryption,
    /// The own device of OMEMO.
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
    /// The own device; made when it is first needed.
    device: Option<Device>,
    sessions: Sessions,
    trust: TrustBook,
    lists: Lists,
    fetches: Fetches,
    members: Members,
    message_keys: MessageKeys,
    /// How the last message of each chat came that was encrypted, by person or room.
    ways: HashMap<BareJid, Way>,
    waiting: WaitingMessages,
    /// Own messages in rooms, by room and id, the oldest first.
    said: VecDeque<(BareJid, String, Box<Draft>)>,
    owed: Owed,
    published: State,
    otr: OtrChats,
    comparisons: Comparisons,
    counts: KeyCounts,
}

impl EndToEnd {
    /// Sets what the owner wants.
    pub(super) fn set_config(&mut self, config: Encryption) {
        self.config = Some(config);
    }

    /// Takes over what was kept when the last process ended. What cannot be read is left out, which is logged.
    pub(super) fn load(&mut self, kept: KeptKeys) {
        let KeptKeys { device, otr, sessions, keys, ways, message_keys } = kept;
        if let Some(state) = device {
            match Device::from_bytes(state.as_ref()) {
                Ok(device) => {
                    self.device = Some(device);
                    // It may have used prekeys that the last process kept while it read an archive.
                    self.published.catches_up = Some(Duration::ZERO);
                }
                Err(error) => tracing::error!(%error, "the own keys of OMEMO cannot be read; new ones are made"),
            }
        }
        if let Some(state) = otr {
            self.otr.load(state.as_ref());
        }
        // Without the keys that they belong to, they are of no use.
        for (jid, device, form, state) in sessions.into_iter().filter(|_| self.device.is_some()) {
            match OmemoSession::from_bytes(state.as_ref()) {
                Ok(session) => self.sessions.insert((&jid, device, form), session, state.as_ref().len()),
                Err(error) => {
                    tracing::warn!(%jid, device, %error, "a session of OMEMO cannot be read; a new one begins");
                }
            }
        }
        self.trust.load(keys);
        self.ways.extend(ways);
        self.message_keys.load(message_keys);
    }

    /// Returns whether OMEMO is used.
    pub(super) fn has_omemo(&self) -> bool {
        self.config.is_some_and(|config| config.omemo)
    }

    /// Returns whether off-the-record messaging is used.
    pub(super) fn has_otr(&self, turn: &Turn<'_>) -> bool {
        self.config.is_some_and(|config| config.otr) && turn.settings.allow_otr
    }

    /// Returns whether a message that is not encrypted may still have to do with encryption.
    pub(super) fn is_used(&self) -> bool {
        !self.ways.is_empty() || !self.otr.is_empty()
    }

    /// Returns what is to be told of it.
    pub(super) fn counts(&self) -> KeyCounts {
        KeyCounts {
            settings: self.config.unwrap_or(Encryption::OFF),
            device: self.device.as_ref().filter(|_| self.has_omemo()).map(|device| device.id().get()),
            is_published: self.published.is_complete(),
            known: self.trust.len() as u64,
            ..self.counts
        }
    }

    /// Notes how a message of a chat came.
    fn came_by(&mut self, partner: &BareJid, way: Way, changes: &mut Vec<KeyChange>) {
        if self.ways.get(partner) == Some(&way) {
            return;
        }
        if self.ways.len() >= MAX_WAYS && !self.ways.contains_key(partner) {
            let other = self.ways.keys().find(|jid| !self.trust.is_verified(jid)).cloned();
            if let Some(other) = other {
                self.ways.remove(&other);
                changes.push(KeyChange::Way(other, None));
            }
        }
        self.ways.insert(partner.clone(), way);
        changes.push(KeyChange::Way(partner.clone(), Some(way)));
    }

    /// Notes that a message of a chat came that was not encrypted. With a person of whom a key was verified, that changes nothing:
    /// whoever is in between could otherwise have everything said plainly.
    fn came_plainly(&mut self, partner: &BareJid, turn: &mut Turn<'_>) {
        if self.trust.is_verified(partner) {
            return;
        }
        if self.ways.remove(partner).is_some() {
            turn.keep_keys(vec![KeyChange::Way(partner.clone(), None)]);
        }
    }

    /// Notes that a key is used, tells of what is new about it, and returns what counts for it.
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
        let met = self.trust.meet(jid, kind, fingerprint.clone(), policy, turn.now);
        changes.extend(met.changed.clone().map(KeyChange::Key));
        changes.extend(met.forgotten.clone().map(KeyChange::NoKey));
        if met.is_new && met.is_of_known_person {
            let what = if is_other { KeyNewsKind::ChangedIdentity } else { KeyNewsKind::NewDevice };
            let (jid, fingerprint) = (jid.clone(), Some(fingerprint));
            turn.out.push(Effect::KeyNews(KeyNews { jid, what, kind, fingerprint, trust: met.trust, question: None }));
        }
        met
    }

    /// Returns whether a device has another key than the one that was verified, and tells of it.
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

    /// Remembers what the account says in a room, which the room reflects as it was sent.
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

    /// Forgets the people of a room, who may be others now.
    pub(super) fn room_changed(&mut self, room: &BareJid) {
        self.members.forget(room);
    }

    /// Forgets the calls of instances that are gone.
    pub(super) fn forget_abandoned(&mut self) {
        self.otr.forget_abandoned();
    }

    /// Forgets what belongs to a stream.
    pub(super) fn stream_gone(&mut self) {
        self.fetches.stream_gone();
        self.members.stream_gone();
        self.published.stream_gone();
    }

    /// Ends everything that waits for a session with the server.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        self.stream_gone();
        self.published.end();
        self.waiting.end(turn);
        self.owed.end();
        self.otr.end_waits(&CallError::Offline, turn);
        let now = self.otr.now(turn);
        for jid in self.comparisons.end(turn) {
            // Nobody can be told any more.
            let _ = self.otr.get_mut(&jid).map(|chat| chat.conversation.smp_abort(None, now));
        }
    }
}

impl Turn<'_> {
    /// Has changes kept, before everything that follows in this turn.
    pub(super) fn keep_keys(&mut self, changes: Vec<KeyChange>) {
        if !changes.is_empty() {
            self.out.push(Effect::KeepKeys(changes));
        }
    }
}
