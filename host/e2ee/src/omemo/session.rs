//! A session with one foreign device: the ratchet in use, and those before it.
//!
//! Both sides may start at once, and each then has two ratchets. The ratchet of the last received message is used to
//! send, so that both sides end up with the same one. The others are kept for messages in transit.

use std::collections::VecDeque;
use std::fmt;

use rand::CryptoRng;

use super::bundle::Bundle;
use super::device::{Device, Exchanged, Prekeys};
use super::error::{EncryptError, ReceiveError, StartError, StateError};
use super::exchange;
use super::fields::{Reader, Writer};
use super::keys::{self, Fingerprint, KeyPair, LowOrder, Public};
use super::limits;
use super::ratchet::{Effort, Ratchet, Read, SessionStep, Sides};
use super::secret::Secret;
use super::version::{DeviceId, Version};
use super::wire::{self, Exchange, Message, Opening};

const STATE: u8 = 1;

/// A message for one device: the text of its `key` element after base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMessage {
    /// It starts a session: the attribute `prekey`, or `kex`. The bytes of a received message count more.
    pub prekey: bool,
    /// The message.
    pub bytes: Vec<u8>,
}

/// The shared state with one foreign device in one version.
#[derive(Clone)]
pub struct Session {
    sides: Sides,
    fingerprint: Fingerprint,
    /// The own id when it began: libsignal sends it in each exchange.
    device: DeviceId,
    current: Ratchet,
    /// The latest is the first.
    former: VecDeque<Ratchet>,
    /// Exchanges of the other side that were accepted. The oldest is the first.
    exchanges: VecDeque<Public>,
}

/// A message was read.
#[derive(Debug)]
pub struct Received {
    /// The session as it is now. It must replace the stored one.
    pub session: Session,
    /// The key material, for [`payload::decrypt`](super::payload::decrypt).
    pub plain: Secret,
    /// The other side's identity, if it changed, or if there was none before. The caller decides whether to trust it
    /// before it keeps the session.
    pub new_identity: Option<Fingerprint>,
    /// The prekey that was used, and the exchange that used it: see [`Device::use_prekey`]. Some only if a session began.
    pub used_prekey: Option<(u32, Exchanged)>,
}

/// Starts a session with the device of a bundle. If there was one before, [`Session::keeping`] has it.
pub fn start(device: &Device, bundle: &Bundle, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Session, StartError> {
    if bundle.fingerprint == device.fingerprint() {
        return Err(StartError::OwnDevice);
    }
    let (version, base) = (bundle.version, KeyPair::generate(rng));
    let (prekey, key) = bundle.pick(rng);
    let opening = Opening { prekey, signed_prekey: bundle.signed_prekey_id, base: *base.public() };
    let current = exchange::begin(&device.identity, &base, bundle, &key)
        .and_then(|root| Ratchet::begin(version, &root, &bundle.signed_prekey, &opening, rng))
        .map_err(|LowOrder| StartError::LowOrderKey)?;
    Ok(Session {
        sides: Sides { version, own: wire::identity(version, &device.identity), their: bundle.identity },
        fingerprint: bundle.fingerprint,
        device: device.id(),
        current,
        former: VecDeque::new(),
        exchanges: VecDeque::new(),
    })
}

/// Reads a message from a foreign device, which may begin a session by one of these prekeys. Neither device nor session is changed:
/// on success the answer has the new session, and the prekey that is used up. All messages of one stanza share one `effort`.
pub fn receive(
    device: &Device,
    session: Option<&Session>,
    (version, prekeys): (Version, Prekeys),
    message: &KeyMessage,
    effort: &mut Effort,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Received, ReceiveError> {
    if session.is_some_and(|session| session.sides.version != version) {
        return Err(ReceiveError::WrongVersion);
    }
    let own = wire::identity(version, &device.identity);
    // A session with the own keys before they were replaced is useless.
    let session = session.filter(|session| session.sides.own == own);
    if wire::is_exchange(version, &message.bytes).unwrap_or(message.prekey) {
        let exchange = wire::decode_exchange(version, &message.bytes)?;
        return receive_exchange(device, session, (version, prekeys), &exchange, effort, rng);
    }
    let message = wire::decode_message(version, &message.bytes)?;
    let session = session.ok_or(ReceiveError::NoSession)?;
    let (session, plain) = session.read(&message, effort, rng)?;
    Ok(Received { session, plain, new_identity: None, used_prekey: None })
}

fn receive_exchange(
    device: &Device,
    session: Option<&Session>,
    (version, prekeys): (Version, Prekeys),
    exchange: &Exchange,
    effort: &mut Effort,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Received, ReceiveError> {
    let identity =
        wire::curve25519(version, &exchange.identity).ok_or(ReceiveError::Malformed("its identity is no key"))?;
    if keys::is_low_order(&identity) || keys::is_low_order(&exchange.base) {
        return Err(ReceiveError::LowOrderKey);
    }
    let fingerprint = Fingerprint::from_curve25519(identity);
    if fingerprint == device.fingerprint() {
        return Err(ReceiveError::OwnDevice);
    }
    let same = session.filter(|session| session.sides.their == exchange.identity);
    if let Some(session) = same {
        if let Some(place) = session.ratchets().position(|one| one.is_of(&exchange.base)) {
            let (session, plain) = session.read_by(place, &exchange.message, effort, rng)?;
            return Ok(Received { session, plain, new_identity: None, used_prekey: None });
        }
        if session.exchanges.contains(&exchange.base) {
            return Err(ReceiveError::Replayed);
        }
    }
    let (root, signed_prekey) = exchange::answer(device, (version, prekeys), exchange, &identity)?;
    let sides = Sides { version, own: wire::identity(version, &device.identity), their: exchange.identity };
    let ratchet = Ratchet::answer(root, signed_prekey.clone(), exchange.base);
    let Read { ratchet: current, plain, .. } = ratchet.read(&sides, &exchange.message, effort, rng)?;
    let new = Session {
        sides,
        fingerprint,
        device: device.id(),
        current,
        former: VecDeque::new(),
        exchanges: VecDeque::from([exchange.base]),
    };
    let known = session.is_some_and(|session| session.fingerprint == fingerprint);
    Ok(Received {
        session: match same {
            Some(before) => new.keeping(before),
            None => new,
        },
        plain,
        new_identity: (!known).then_some(fingerprint),
        used_prekey: Some((exchange.prekey, Exchanged(exchange.base))),
    })
}

impl Session {
    /// Returns the version that it is of.
    pub fn version(&self) -> Version {
        self.sides.version
    }

    /// Returns the identity of the other side.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether no message was received by it yet, so that each sent message starts it again.
    pub fn is_unanswered(&self) -> bool {
        self.current.unanswered().is_some()
    }

    /// Whether the other side needs an answer, even an empty one. There are two cases. Without any answer, it repeats the start of the
    /// session in each message; an earlier answer may have been refused, or lost. And after so many messages without an answer, only an
    /// answer brings new keys. `before` is the session before the last message. A side that does not read its answers is owed one for
    /// each so many messages, and not for each further one.
    pub fn wants_answer(&self, before: Option<&Self>) -> bool {
        if self.current.awaits_first() {
            return true;
        }
        let known =
            before.into_iter().flat_map(Self::ratchets).map(|one| one.received_with_keys_of(&self.current)).max();
        let so_many = |messages: u32| messages / limits::UNANSWERED_MESSAGES;
        so_many(self.current.received_in_a_row()) > so_many(known.unwrap_or_default())
    }

    /// Keeps the ratchets of a session before this one, for messages that are on their way. Only ratchets of a session
    /// with the same identity and in the same version are kept.
    #[must_use]
    pub fn keeping(mut self, before: &Self) -> Self {
        if before.sides.version == self.sides.version && before.sides.their == self.sides.their {
            self.former.extend(before.ratchets().cloned());
            self.former.truncate(limits::FORMER_RATCHETS);
            let latest = std::mem::take(&mut self.exchanges);
            self.exchanges.extend(before.exchanges.iter().chain(&latest));
            let old = self.exchanges.len().saturating_sub(limits::PAST_EXCHANGES);
            self.exchanges.drain(..old);
            self.bound_skipped();
        }
        self
    }

    /// Encrypts the key material of a payload. The changed session must be on disk before the message is sent.
    pub fn encrypt(&mut self, key: &[u8]) -> Result<KeyMessage, EncryptError> {
        let (message, step) = self.seal(key)?;
        self.take(step);
        Ok(message)
    }

    /// Encrypts the key material of a payload for a message that may turn out not to be sent. The session stays as it was. Before the
    /// message is sent, the session must [take](Session::take) the step, so that no key is used twice.
    pub fn seal(&self, key: &[u8]) -> Result<(KeyMessage, SessionStep), EncryptError> {
        let (message, step) = self.current.seal(&self.sides, key)?;
        let Some(opening) = self.current.unanswered() else {
            return Ok((KeyMessage { prekey: false, bytes: message }, step));
        };
        let bytes = wire::encode_exchange(self.sides.version, &opening, &self.sides.own, self.device, message);
        Ok((KeyMessage { prekey: true, bytes }, step))
    }

    /// Goes on after a message that it encrypted since the last change. The session must be on disk before the message is sent.
    pub fn take(&mut self, step: SessionStep) {
        self.current.take(step);
    }

    /// The current ratchet, and then the former ones.
    fn ratchets(&self) -> impl Iterator<Item = &Ratchet> {
        std::iter::once(&self.current).chain(&self.former)
    }

    /// Reads a message by the first ratchet that can.
    fn read(
        &self,
        message: &Message,
        effort: &mut Effort,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Self, Secret), ReceiveError> {
        let mut worst = ReceiveError::Forged;
        for place in 0..=self.former.len() {
            match self.read_by(place, message, effort, rng) {
                // A message does not say which ratchet it belongs to, so that the most exact error is the best one.
                Err(error @ (ReceiveError::Replayed | ReceiveError::TooFar { .. })) => worst = error,
                Err(ReceiveError::Forged) => {}
                other => return other,
            }
        }
        Err(worst)
    }

    /// Reads a message by one ratchet, and makes it the current one if the message is new.
    fn read_by(
        &self,
        place: usize,
        message: &Message,
        effort: &mut Effort,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Self, Secret), ReceiveError> {
        let ratchet = self.ratchets().nth(place).ok_or(ReceiveError::NoSession)?;
        let Read { ratchet, plain, was_late } = ratchet.read(&self.sides, message, effort, rng)?;
        let mut former = self.former.clone();
        // The ratchet that the new one replaces is not copied: it may have thousands of keys.
        let current = match place.checked_sub(1) {
            None => ratchet,
            // A late message does not tell which ratchet the other side uses now.
            Some(at) if was_late => {
                former[at] = ratchet;
                self.current.clone()
            }
            Some(at) => {
                former.remove(at);
                former.push_front(self.current.clone());
                ratchet
            }
        };
        let (sides, fingerprint, device) = (self.sides, self.fingerprint, self.device);
        let mut new = Self { sides, fingerprint, device, current, former, exchanges: self.exchanges.clone() };
        new.bound_skipped();
        Ok((new, plain))
    }

    /// Gives up keys of missing messages, those of the oldest ratchets first.
    fn bound_skipped(&mut self) {
        let all: usize = self.ratchets().map(Ratchet::skipped).sum();
        let mut over = all.saturating_sub(limits::SKIPPED_KEYS);
        for ratchet in self.former.iter_mut().rev().chain([&mut self.current]) {
            let given_up = over.min(ratchet.skipped());
            ratchet.forget_skipped(given_up);
            over -= given_up;
        }
    }

    /// Returns the whole state as bytes, which are secret.
    pub fn to_bytes(&self) -> Secret {
        let of_ratchets: usize = self.ratchets().map(Ratchet::state_bytes).sum();
        let mut writer = Writer::new(STATE, 78 + 32 * self.exchanges.len() + of_ratchets);
        writer.u8(self.sides.version.number());
        writer.bytes(&self.sides.own);
        writer.bytes(&self.sides.their);
        writer.u32(self.device.get());
        writer.count(self.exchanges.len());
        self.exchanges.iter().for_each(|key| writer.bytes(key));
        writer.count(self.former.len());
        self.ratchets().for_each(|one| one.write(&mut writer));
        writer.finish()
    }

    /// Reads what [`Session::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes, STATE, limits::SESSION_BYTES)?;
        let version = Version::of_number(reader.u8()?).ok_or(StateError::Damaged("it is of no known version"))?;
        let sides = Sides { version, own: reader.array()?, their: reader.array()? };
        let identity = wire::curve25519(version, &sides.their).ok_or(StateError::Damaged("the identity is no key"))?;
        let device = DeviceId::new(reader.u32()?).ok_or(StateError::Damaged("the device has no id"))?;
        let exchanges = (0..reader.count(limits::PAST_EXCHANGES)?).map(|_| reader.array()).collect::<Result<_, _>>()?;
        let count = reader.count(limits::FORMER_RATCHETS)?;
        let current = Ratchet::read_state(&mut reader)?;
        let former = (0..count).map(|_| Ratchet::read_state(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        let fingerprint = Fingerprint::from_curve25519(identity);
        let session = Self { sides, fingerprint, device, current, former, exchanges };
        if session.kept() > limits::SKIPPED_KEYS {
            return Err(StateError::Damaged("there is too much of something"));
        }
        Ok(session)
    }

    /// Says of the chain before that it had one message less, as libsignal does.
    #[cfg(test)]
    pub(super) fn say_less(&mut self) {
        self.current.say_less();
    }

    /// The number of kept keys of missing messages.
    pub fn kept(&self) -> usize {
        self.ratchets().map(Ratchet::skipped).sum()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, {}, {} keys kept)", self.sides.version, self.fingerprint, self.kept())
    }
}
