//! A conversation with one person: outgoing messages.
//!
//! `incoming` has the other half, incoming messages.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::ake::{Commitment, Exchange};
use super::data::{Channel, Exhausted};
use super::errors::{ReceiveError, SendError, SmpError};
use super::fragments::{Fragments, cut};
use super::key::{Account, Fingerprint};
use super::message::{InstanceTag, Route, Version, encode};
use super::smp::{LONGEST_QUESTION, Record, Sides, Smp};
use super::text::Offer;
use super::tlv::{self, Kind};
use super::unheard::{AGAIN, Unheard};

/// The greatest length of a text that is encrypted, in bytes.
const LONGEST_TEXT: usize = 64 << 10;
/// The greatest number of instances of one person that something is known of.
pub(super) const MOST_INSTANCES: usize = 8;
/// The greatest number of them that are encrypted. The others are for exchanges, which anybody can begin.
pub(super) const MOST_ENCRYPTED: usize = 6;

/// The rules of a conversation: the versions that are allowed, and the steps that are taken without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags that the protocol names")]
pub struct Policy {
    /// Whether version 2 is allowed.
    pub v2: bool,
    /// Whether version 3 is allowed.
    pub v3: bool,
    /// Whether sending is refused while the conversation is not encrypted.
    pub require_encryption: bool,
    /// Whether plain messages say, by whitespace, that we can encrypt. It ends when a plain message without such a tag has come.
    pub whitespace_tag: bool,
    /// Whether to begin if the other side says so by whitespace.
    pub whitespace_start: bool,
    /// Whether to ask for a new conversation if the other side reports an error; at most twice a minute.
    pub error_start: bool,
    /// The greatest length of an encoded message, in bytes; longer ones go out in parts. 0 for no limit.
    pub fragment: usize,
}

impl Policy {
    /// Nothing is read as OTR, and nothing is encrypted.
    pub fn never() -> Self {
        Self {
            v2: false,
            v3: false,
            require_encryption: false,
            whitespace_tag: false,
            whitespace_start: false,
            error_start: false,
            fragment: 0,
        }
    }

    pub(super) fn versions(&self) -> Offer {
        Offer { v2: self.v2, v3: self.v3 }
    }
}

impl Default for Policy {
    /// Both versions are allowed, if the other side begins.
    fn default() -> Self {
        Self { v2: true, v3: true, whitespace_start: true, error_start: true, ..Self::never() }
    }
}

/// A result of a received text.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Send this now.
    Send(String),
    /// A text that was not encrypted. Anybody may have written it.
    Plain {
        /// The text, without a whitespace tag.
        text: String,
        /// Whether the conversation is encrypted or was, or the policy requires encryption.
        unexpected: bool,
    },
    /// A text that was encrypted by the owner of a key.
    Message {
        /// The text. Some clients write HTML.
        text: String,
        /// The key. Whether it is trusted is not known here.
        fingerprint: Fingerprint,
    },
    /// The conversation with one instance is encrypted now.
    Started {
        /// The other side's key. Whether it is trusted is not known here.
        fingerprint: Fingerprint,
        /// The version of the protocol.
        version: Version,
        /// The other side's instance. `None` in version 2.
        instance: Option<InstanceTag>,
        /// Whether it was encrypted before, with the same long-term key: only the keys of messages have changed.
        again: bool,
    },
    /// The other side has ended the encrypted conversation with one instance. If no other is encrypted, sending is refused from now on:
    /// see [`Conversation::state`].
    Ended,
    /// The other side asks for a secret, to compare it.
    SmpAsked {
        /// Its question about the secret.
        question: Option<String>,
        /// The key of the instance that asks.
        fingerprint: Fingerprint,
    },
    /// A comparison has a result.
    SmpDone {
        /// Whether both sides have entered the same.
        same: bool,
        /// The key of the instance that compared.
        fingerprint: Fingerprint,
    },
    /// A comparison has ended without a result.
    SmpAborted {
        /// The key of the instance.
        fingerprint: Fingerprint,
    },
    /// An encrypted message without text.
    Heartbeat,
    /// The text was refused, or the other side reports an error.
    Error(ReceiveError),
}

/// Prints no text: people write it off the record, and a question tells of a secret.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(text) => write!(f, "Send({} bytes)", text.len()),
            Self::Plain { text, unexpected } => write!(f, "Plain({} bytes, unexpected: {unexpected})", text.len()),
            Self::Message { text, fingerprint } => write!(f, "Message({} bytes, {fingerprint})", text.len()),
            Self::Started { fingerprint, version, instance, again } => {
                write!(f, "Started({fingerprint}, {version:?}, {instance:?}, again: {again})")
            }
            Self::Ended => f.write_str("Ended"),
            Self::SmpAsked { question, fingerprint } => {
                let length = question.as_ref().map_or(0, String::len);
                write!(f, "SmpAsked({length} bytes, {fingerprint})")
            }
            Self::SmpDone { same, fingerprint } => write!(f, "SmpDone({same}, {fingerprint})"),
            Self::SmpAborted { fingerprint } => write!(f, "SmpAborted({fingerprint})"),
            Self::Heartbeat => f.write_str("Heartbeat"),
            Self::Error(error) => write!(f, "Error({error:?})"),
        }
    }
}

/// Says what happens to a text that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes out as it is, if the policy allows it.
    Plain,
    /// It is encrypted.
    Encrypted,
    /// It is refused: the other side has ended the encrypted conversation, and may not expect that its next text is not encrypted.
    Finished,
}

/// The state of one instance.
pub(super) struct Peer {
    /// `None` for version 2.
    pub(super) tag: Option<InstanceTag>,
    pub(super) exchange: Exchange,
    pub(super) encrypted: Option<Box<Encrypted>>,
}

impl Peer {
    /// Returns whether it is encrypted by a key.
    pub(super) fn is_encrypted_by(&self, fingerprint: Fingerprint) -> bool {
        self.encrypted.as_ref().is_some_and(|encrypted| encrypted.fingerprint == fingerprint)
    }
}

/// An encrypted conversation with one instance.
pub(super) struct Encrypted {
    pub(super) channel: Channel,
    pub(super) fingerprint: Fingerprint,
    pub(super) session_id: Zeroizing<[u8; 8]>,
    pub(super) smp: Smp,
    pub(super) last_sent: Duration,
}

/// A commitment that went to every instance.
pub(super) struct Pending {
    pub(super) commitment: Arc<Commitment>,
    /// The instances that have taken it up.
    pub(super) used: Vec<InstanceTag>,
    pub(super) since: Duration,
}

/// The conversation with one person (one bare JID).
///
/// # Time
/// Callers pass the time that has elapsed since any moment, which is the same one for all calls.
///
/// # Trust
/// A conversation is encrypted with the instances that have answered. Compare [`Conversation::fingerprint`] with the
/// keys that are trusted before each [`Conversation::send`]: a new instance, with another key, may have come since.
pub struct Conversation {
    pub(super) account: Arc<Account>,
    pub(super) policy: Policy,
    /// The one that was heard last is the last.
    pub(super) peers: Vec<Peer>,
    pub(super) pending: Option<Pending>,
    pub(super) fragments: Fragments,
    pub(super) unheard: Unheard,
    /// Whether the other side has ended an encrypted conversation, and neither side has begun or ended one since.
    pub(super) is_finished: bool,
    /// Whether a plain text without a tag was received: its client does not look for tags.
    pub(super) has_heard_plain: bool,
    pub(super) last_error: Option<Duration>,
    pub(super) last_query: Option<Duration>,
}

impl Conversation {
    /// Begins unencrypted.
    pub fn new(account: Arc<Account>, policy: Policy) -> Self {
        Self {
            account,
            policy,
            peers: Vec::new(),
            pending: None,
            fragments: Fragments::default(),
            unheard: Unheard::default(),
            is_finished: false,
            has_heard_plain: false,
            last_error: None,
            last_query: None,
        }
    }

    /// Changes the policy. An encrypted conversation continues, unless the policy allows no version any more. In that
    /// case, end it.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Returns the query that asks the other side to begin, or `None` if no version is allowed.
    pub fn start(&self) -> Option<String> {
        self.policy.versions().query().map(str::to_owned)
    }

    /// Returns what happens to the next text that is sent.
    pub fn state(&self) -> State {
        match active(&self.peers) {
            Some(_) => State::Encrypted,
            None if self.is_finished => State::Finished,
            None => State::Plain,
        }
    }

    /// Returns the key of the instance that the next text goes to.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        Some(self.peers[active(&self.peers)?].encrypted.as_deref()?.fingerprint)
    }

    /// Returns the keys of all instances that are encrypted.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.peers.iter().filter_map(|peer| peer.encrypted.as_ref()).map(|encrypted| encrypted.fingerprint).collect()
    }

    /// Returns the version with the instance that the next text goes to.
    pub fn version(&self) -> Option<Version> {
        let tag = self.peers[active(&self.peers)?].tag;
        Some(self.route(tag).version())
    }

    /// Returns the instance that the next text goes to. `None` in version 2, too.
    pub fn peer_instance(&self) -> Option<InstanceTag> {
        self.peers[active(&self.peers)?].tag
    }

    /// Returns what to send for a text: encrypted if the conversation is, else unchanged.
    pub fn send(&mut self, text: &str, now: Duration) -> Result<Vec<String>, SendError> {
        self.forget_commitment(now);
        if let Some(active) = active(&self.peers) {
            if text.len() > LONGEST_TEXT {
                return Err(SendError::TooLong);
            }
            if text.contains('\0') {
                return Err(SendError::Nul);
            }
            let sealed = self.seal(active, text.as_bytes(), false, now)?;
            if let Some(to) = self.fingerprint() {
                self.unheard.sent(to, text, now);
            }
            return Ok(sealed);
        }
        if self.is_finished {
            return Err(SendError::Finished);
        }
        if self.policy.require_encryption {
            return Err(SendError::NotEncrypted);
        }
        let is_tagged = self.policy.whitespace_tag && !self.has_heard_plain;
        Ok(vec![if is_tagged { self.policy.versions().tag(text) } else { text.to_owned() }])
    }

    /// Encrypts once more the texts that the other side could not read, and returns what to send: it has reported an error, and begun again
    /// by the same key. Each has a mark in front, and goes out so once.
    pub fn send_again(&mut self, now: Duration) -> Vec<String> {
        let (Some(active), Some(to)) = (active(&self.peers), self.fingerprint()) else { return Vec::new() };
        let mut sent = Vec::new();
        for text in self.unheard.take(to, now) {
            let text = Zeroizing::new(format!("{AGAIN}{}", *text));
            sent.extend(self.seal(active, text.as_bytes(), false, now).unwrap_or_default());
        }
        sent
    }

    /// Ends: returns what tells every encrypted instance, with the instance that each text is for (`None` in version 2), and forgets all
    /// keys. The conversation is plain then.
    pub fn end(&mut self) -> Vec<(Option<InstanceTag>, String)> {
        let mut sent = Vec::new();
        for peer in std::mem::take(&mut self.peers) {
            let last =
                peer.encrypted.map(|encrypted| encrypted.channel.seal_last(&tlv::write(Kind::Disconnected, &[])));
            if let Some(Ok(bytes)) = last {
                let texts = cut(encode(&bytes), self.route(peer.tag), self.policy.fragment);
                sent.extend(texts.into_iter().map(|text| (peer.tag, text)));
            }
        }
        self.pending = None;
        self.fragments.clear();
        self.unheard = Unheard::default();
        (self.is_finished, self.has_heard_plain) = (false, false);
        sent
    }

    /// Begins to compare secrets, and returns what to send. A question tells the other person what to enter; it is encrypted.
    pub fn smp_start<R: CryptoRng + ?Sized>(
        &mut self,
        secret: &[u8],
        question: Option<&str>,
        now: Duration,
        rng: &mut R,
    ) -> Result<Vec<String>, SmpError> {
        if question.is_some_and(|question| question.len() > LONGEST_QUESTION || question.contains('\0')) {
            return Err(SmpError::Question);
        }
        let (active, ours) = (active(&self.peers).ok_or(SmpError::NotEncrypted)?, self.account.fingerprint());
        let encrypted = self.encrypted_mut(active).ok_or(SmpError::NotEncrypted)?;
        if encrypted.smp.is_under_way() || encrypted.smp.is_asked() {
            return Err(SmpError::UnderWay);
        }
        let sides = Sides { initiator: ours, responder: encrypted.fingerprint, session_id: &encrypted.session_id };
        let record = encrypted.smp.begin(&sides, secret, question, rng);
        Ok(self.seal_record(active, &record, now)?)
    }

    /// Answers [`Outcome::SmpAsked`], and returns what to send.
    pub fn smp_answer<R: CryptoRng + ?Sized>(
        &mut self,
        secret: &[u8],
        now: Duration,
        rng: &mut R,
    ) -> Result<Vec<String>, SmpError> {
        active(&self.peers).ok_or(SmpError::NotEncrypted)?;
        let asked = |peer: &Peer| peer.encrypted.as_ref().is_some_and(|encrypted| encrypted.smp.is_asked());
        let asked = self.peers.iter().rposition(asked).ok_or(SmpError::NotAsked)?;
        let ours = self.account.fingerprint();
        let encrypted = self.encrypted_mut(asked).ok_or(SmpError::NotAsked)?;
        let sides = Sides { initiator: encrypted.fingerprint, responder: ours, session_id: &encrypted.session_id };
        let record = encrypted.smp.answer(&sides, secret, rng).ok_or(SmpError::NotAsked)?;
        Ok(self.seal_record(asked, &record, now)?)
    }

    /// Says whether a comparison with an instance that has this key is under way, or is asked for.
    pub fn smp_is_open(&self, fingerprint: Fingerprint) -> bool {
        let is_open = |encrypted: &Encrypted| encrypted.smp.is_under_way() || encrypted.smp.is_asked();
        let all = self.peers.iter().filter_map(|peer| peer.encrypted.as_deref());
        all.filter(|encrypted| encrypted.fingerprint == fingerprint).any(is_open)
    }

    /// Gives up comparing secrets with every instance, or with those that have one key, and returns what tells them. Nothing if
    /// nothing was under way.
    pub fn smp_abort(&mut self, only: Option<Fingerprint>, now: Duration) -> Result<Vec<String>, SmpError> {
        active(&self.peers).ok_or(SmpError::NotEncrypted)?;
        let mut sent = Vec::new();
        for index in 0..self.peers.len() {
            let is_meant = |encrypted: &&mut Encrypted| only.is_none_or(|only| encrypted.fingerprint == only);
            if self.encrypted_mut(index).filter(is_meant).is_some_and(|encrypted| encrypted.smp.give_up()) {
                sent.extend(self.seal_record(index, &Record::abort(), now)?);
            }
        }
        Ok(sent)
    }

    pub(super) fn encrypted_mut(&mut self, index: usize) -> Option<&mut Encrypted> {
        self.peers.get_mut(index)?.encrypted.as_deref_mut()
    }

    /// Returns the way of messages to an instance: in version 2 without a tag.
    pub(super) fn route(&self, tag: Option<InstanceTag>) -> Route {
        match tag {
            None => Route::V2,
            Some(tag) => Route::V3 { sender: self.account.instance_tag(), receiver: Some(tag) },
        }
    }

    /// Encrypts for an instance. A message without text that cannot be read is not reported.
    pub(super) fn seal(
        &mut self,
        index: usize,
        plain: &[u8],
        ignore_unreadable: bool,
        now: Duration,
    ) -> Result<Vec<String>, Exhausted> {
        let encrypted = self.encrypted_mut(index).ok_or(Exhausted)?;
        let bytes = encrypted.channel.seal(plain, ignore_unreadable)?;
        encrypted.last_sent = now;
        let tag = self.peers[index].tag;
        Ok(cut(encode(&bytes), self.route(tag), self.policy.fragment))
    }

    pub(super) fn seal_record(
        &mut self,
        index: usize,
        record: &Record,
        now: Duration,
    ) -> Result<Vec<String>, Exhausted> {
        self.seal(index, &tlv::write(record.kind, &record.value), true, now)
    }
}

/// Returns the place of the instance that was heard last among those that are encrypted.
pub(super) fn active(peers: &[Peer]) -> Option<usize> {
    peers.iter().rposition(|peer| peer.encrypted.is_some())
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conversation({:?})", self.state())
    }
}

/// Says whether something that happens at most once in a while may happen now, and remembers that it did.
pub(super) fn is_due(last: &mut Option<Duration>, every: Duration, now: Duration) -> bool {
    let is_due = last.is_none_or(|last| now.saturating_sub(last) >= every);
    if is_due {
        *last = Some(now);
    }
    is_due
}
