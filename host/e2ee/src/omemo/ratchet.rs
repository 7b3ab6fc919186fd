//! The Double Ratchet: each message has a separate key, and each answer brings new ones.
//!
//! Reading a message makes a new ratchet: the previous value stays unchanged, for any message.

use std::collections::VecDeque;

use rand::CryptoRng;

use super::error::{EncryptError, ReceiveError, StateError};
use super::fields::{Reader, Writer};
use super::kdf::{self, Sealing};
use super::keys::{Key, KeyPair, LowOrder, Public};
use super::limits;
use super::secret::Secret;
use super::version::Version;
use super::wire::{self, Header, Message, Opening};

/// A chain: the key that the next message's follows from, and that message's number.
#[derive(Clone)]
struct Chain {
    key: Key,
    number: u32,
}

impl Chain {
    fn next(&mut self) -> Result<(u32, Key), Exhausted> {
        let number = self.number;
        self.number = number.checked_add(1).ok_or(Exhausted)?;
        let (message, next) = kdf::chain(&self.key);
        self.key = next;
        Ok((number, message))
    }
}

/// The step of a session by one message that it encrypted: the sending chain after it.
pub struct SessionStep(Chain);

/// A chain used up all message numbers.
struct Exhausted;

/// The key of a missing message.
#[derive(Clone)]
struct Skipped {
    ratchet: Public,
    number: u32,
    key: Key,
    /// The message may not exist.
    is_guess: bool,
}

/// The identity keys of both sides, in the form of the version. Each MAC covers them, too.
#[derive(Clone, Copy)]
pub(super) struct Sides {
    pub(super) version: Version,
    pub(super) own: Public,
    pub(super) their: Public,
}

#[derive(Clone)]
pub(super) struct Ratchet {
    root: Key,
    own: KeyPair,
    /// The latest ratchet key of the other side; its signed prekey before it said anything.
    their: Option<Public>,
    sending: Option<Chain>,
    /// How many messages the sending chain before had.
    previous: u32,
    receiving: Option<Chain>,
    /// The oldest is the first.
    skipped: VecDeque<Skipped>,
    /// Ratchet keys of the other side whose chains are over. The oldest is the first.
    past: VecDeque<Public>,
    /// The key that identifies the exchange that it began with.
    base: Public,
    /// Whether this side began.
    is_own: bool,
    /// The ids of prekey and signed prekey, which each message repeats until the other side answers.
    unanswered: Option<(u32, u32)>,
}

/// A message was read.
pub(super) struct Read {
    pub(super) ratchet: Ratchet,
    pub(super) plain: Secret,
    /// It arrived after later messages, and its key had been kept.
    pub(super) was_late: bool,
}

/// The work that one stanza may still cause before it has proved to be genuine.
#[derive(Debug)]
pub struct Effort {
    keys: u32,
}

impl Effort {
    /// All of it: at most 4,000 keys of missing messages are derived for a stanza.
    pub fn of_one_stanza() -> Self {
        Self { keys: limits::KEYS_OF_ONE_STANZA }
    }

    /// Takes so many keys from it. Returns whether it had them.
    fn takes(&mut self, keys: u32) -> bool {
        let left = self.keys.checked_sub(keys);
        self.keys = left.unwrap_or_default();
        left.is_some()
    }
}

impl Ratchet {
    /// The side that started.
    pub(super) fn begin(
        version: Version,
        root: &Key,
        signed_prekey: &Public,
        opening: &Opening,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, LowOrder> {
        let own = KeyPair::generate(rng);
        let (root, key) = kdf::root(version, root, &own.agree(signed_prekey)?);
        Ok(Self {
            root,
            own,
            their: Some(*signed_prekey),
            sending: Some(Chain { key, number: 0 }),
            previous: 0,
            receiving: None,
            skipped: VecDeque::new(),
            past: VecDeque::new(),
            base: opening.base,
            is_own: true,
            unanswered: Some((opening.prekey, opening.signed_prekey)),
        })
    }

    /// The other side, before it read the first message; it can send after that.
    pub(super) fn answer(root: Key, signed_prekey: KeyPair, base: Public) -> Self {
        Self {
            root,
            own: signed_prekey,
            their: None,
            sending: None,
            previous: 0,
            receiving: None,
            skipped: VecDeque::new(),
            past: VecDeque::new(),
            base,
            is_own: false,
            unanswered: None,
        }
    }

    /// Whether a foreign exchange with this key made it.
    pub(super) fn is_of(&self, base: &Public) -> bool {
        !self.is_own && self.base == *base
    }

    pub(super) fn unanswered(&self) -> Option<Opening> {
        let (prekey, signed_prekey) = self.unanswered?;
        Some(Opening { prekey, signed_prekey, base: self.base })
    }

    /// Whether the other side began it, and this side has sent nothing with it yet.
    pub(super) fn awaits_first(&self) -> bool {
        let has_sent = self.previous > 0 || self.sending.as_ref().is_some_and(|chain| chain.number > 0);
        !self.is_own && !has_sent
    }

    /// The number of messages that the other side has sent in a row, as far as they were received.
    pub(super) fn received_in_a_row(&self) -> u32 {
        self.receiving.as_ref().map_or(0, |chain| chain.number)
    }

    /// The same, if the other side had the keys that it has in a later ratchet; otherwise 0.
    pub(super) fn received_with_keys_of(&self, later: &Self) -> u32 {
        if self.their == later.their { self.received_in_a_row() } else { 0 }
    }

    #[cfg(test)]
    pub(super) fn say_less(&mut self) {
        self.previous -= 1;
    }

    pub(super) fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// Gives up the oldest keys of missing messages.
    pub(super) fn forget_skipped(&mut self, count: usize) {
        self.skipped.drain(..count.min(self.skipped.len()));
    }

    fn bound_guesses(&mut self) {
        let guesses = self.skipped.iter().filter(|one| one.is_guess).count();
        let oldest = self.skipped.iter().position(|one| one.is_guess);
        if let (true, Some(oldest)) = (guesses > limits::GUESSED_KEYS, oldest) {
            self.skipped.remove(oldest);
        }
    }

    /// The first part that each MAC covers. In libsignal the sender's key comes first, in the XEP that of the side that started.
    fn parties(&self, sides: &Sides, is_sent: bool) -> Vec<u8> {
        let own_first = match sides.version {
            Version::Axolotl => is_sent,
            Version::Omemo2 => self.is_own,
        };
        let (first, second) = if own_first { (sides.own, sides.their) } else { (sides.their, sides.own) };
        [first, second].map(|key| wire::encode_key(sides.version, &key)).concat()
    }

    /// Encrypts one message. The ratchet stays as it was until it takes the step.
    pub(super) fn seal(&self, sides: &Sides, plain: &[u8]) -> Result<(Vec<u8>, SessionStep), EncryptError> {
        if plain.len() > limits::KEY_BYTES {
            return Err(EncryptError::TooLong);
        }
        let mut chain = self.sending.clone().ok_or(EncryptError::Exhausted)?;
        let (number, key) = chain.next().map_err(|Exhausted| EncryptError::Exhausted)?;
        let sealing = Sealing::message(sides.version, &key);
        let header = Header { ratchet: *self.own.public(), number, previous: self.previous };
        let covered = wire::encode_covered(sides.version, &header, sealing.encrypt(plain));
        let mac = sealing.mac(&[&self.parties(sides, true), &covered]);
        Ok((wire::encode_message(sides.version, covered, &mac), SessionStep(chain)))
    }

    /// Goes on after a message that it encrypted.
    pub(super) fn take(&mut self, SessionStep(chain): SessionStep) {
        self.sending = Some(chain);
    }

    fn open(&self, sides: &Sides, key: &Key, message: &Message) -> Result<Secret, ReceiveError> {
        let sealing = Sealing::message(sides.version, key);
        if !sealing.is_authentic(&[&self.parties(sides, false), &message.covered], &message.mac) {
            return Err(ReceiveError::Forged);
        }
        let plain = sealing.decrypt(&message.encrypted).ok_or(ReceiveError::Malformed("its padding is wrong"))?;
        Ok(plain.into())
    }

    /// Reads one message.
    pub(super) fn read(
        &self,
        sides: &Sides,
        message: &Message,
        effort: &mut Effort,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Read, ReceiveError> {
        let Header { ratchet, number, .. } = message.header;
        let kept = self.skipped.iter().position(|one| one.ratchet == ratchet && one.number == number);
        let mut read = if let Some(place) = kept {
            let plain = self.open(sides, &self.skipped[place].key, message)?;
            let mut ratchet = self.clone();
            ratchet.skipped.remove(place);
            Read { ratchet, plain, was_late: true }
        } else if self.past.contains(&ratchet) {
            return Err(ReceiveError::Replayed);
        } else if self.their == Some(ratchet) {
            let chain = self.receiving.clone().ok_or(ReceiveError::Forged)?;
            self.read_in(chain, sides, message, effort)?
        } else {
            self.read_turned(sides, message, effort, rng)?
        };
        read.ratchet.unanswered = None;
        Ok(read)
    }

    /// A message of a chain: the next one, or one after some that are missing.
    fn read_in(
        &self,
        mut chain: Chain,
        sides: &Sides,
        message: &Message,
        effort: &mut Effort,
    ) -> Result<Read, ReceiveError> {
        let Header { ratchet, number, .. } = message.header;
        let missing = number.checked_sub(chain.number).ok_or(ReceiveError::Replayed)?;
        if missing > most_missing() || !effort.takes(missing) {
            return Err(ReceiveError::TooFar { missing });
        }
        let skipped = skip(&mut chain, ratchet, missing);
        let (_, key) = chain.next().map_err(|Exhausted| ReceiveError::Malformed("its number is the last there is"))?;
        let plain = self.open(sides, &key, message)?;
        let mut new = self.clone();
        new.skipped.extend(skipped);
        new.receiving = Some(chain);
        Ok(Read { ratchet: new, plain, was_late: false })
    }

    /// The first received message of a new chain, with new keys for both directions.
    fn read_turned(
        &self,
        sides: &Sides,
        message: &Message,
        effort: &mut Effort,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Read, ReceiveError> {
        let their = message.header.ratchet;
        let agree = |own: &KeyPair| own.agree(&their).map_err(|LowOrder| ReceiveError::LowOrderKey);
        let (root, key) = kdf::root(sides.version, &self.root, &agree(&self.own)?);
        // Only an authentic message may cost more than that.
        let read = self.read_in(Chain { key, number: 0 }, sides, message, effort)?;
        let (mut new, arrived) = (read.ratchet, read.plain);
        if let (Some(former), Some(ratchet)) = (&self.receiving, self.their) {
            let place = self.skipped.len();
            let mut missing = skip_rest(former.clone(), ratchet, &message.header);
            // They are older than those that are missing in the new chain.
            let newer = new.skipped.split_off(place);
            new.skipped.append(&mut missing);
            new.skipped.extend(newer);
            new.bound_guesses();
            new.past.push_back(ratchet);
            if new.past.len() > limits::PAST_KEYS {
                new.past.pop_front();
            }
        }
        new.own = KeyPair::generate(rng);
        let (root, key) = kdf::root(sides.version, &root, &agree(&new.own)?);
        new.root = root;
        new.their = Some(their);
        new.previous = self.sending.as_ref().map_or(0, |chain| chain.number);
        new.sending = Some(Chain { key, number: 0 });
        Ok(Read { ratchet: new, plain: arrived, was_late: false })
    }

    /// Returns the greatest length of what [`Ratchet::write`] writes. It is shorter by 36 bytes for each missing chain.
    pub(super) fn state_bytes(&self) -> usize {
        257 + 32 * self.past.len() + 69 * self.skipped.len()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(&*self.root);
        writer.bytes(self.own.secret());
        writer.bytes(self.own.public());
        writer.flag(self.their.is_some());
        writer.bytes(&self.their.unwrap_or_default());
        for chain in [&self.sending, &self.receiving] {
            writer.flag(chain.is_some());
            if let Some(chain) = chain {
                writer.bytes(&*chain.key);
                writer.u32(chain.number);
            }
        }
        writer.u32(self.previous);
        writer.bytes(&self.base);
        writer.flag(self.is_own);
        let (prekey, signed_prekey) = self.unanswered.unwrap_or_default();
        writer.flag(self.unanswered.is_some());
        writer.u32(prekey);
        writer.u32(signed_prekey);
        writer.count(self.past.len());
        self.past.iter().for_each(|key| writer.bytes(key));
        writer.count(self.skipped.len());
        for one in &self.skipped {
            writer.bytes(&one.ratchet);
            writer.u32(one.number);
            writer.bytes(&*one.key);
            writer.flag(one.is_guess);
        }
    }

    pub(super) fn read_state(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let root = reader.key()?;
        let secret = reader.key()?;
        let own = KeyPair::from_both(&secret, reader.array()?);
        let has_their = reader.flag()?;
        let their = Some(reader.array()?).filter(|_| has_their);
        let (sending, receiving) = (read_chain(reader)?, read_chain(reader)?);
        let previous = reader.u32()?;
        let base = reader.array()?;
        let is_own = reader.flag()?;
        let is_unanswered = reader.flag()?;
        let unanswered = Some((reader.u32()?, reader.u32()?)).filter(|_| is_unanswered);
        let past = (0..reader.count(limits::PAST_KEYS)?).map(|_| reader.array()).collect::<Result<_, _>>()?;
        let count = reader.count(limits::SKIPPED_KEYS)?;
        let mut skipped = VecDeque::with_capacity(count);
        for _ in 0..count {
            let (ratchet, number) = (reader.array()?, reader.u32()?);
            skipped.push_back(Skipped { ratchet, number, key: reader.key()?, is_guess: reader.flag()? });
        }
        Ok(Self { root, own, their, sending, previous, receiving, skipped, past, base, is_own, unanswered })
    }
}

fn read_chain(reader: &mut Reader<'_>) -> Result<Option<Chain>, StateError> {
    if !reader.flag()? {
        return Ok(None);
    }
    Ok(Some(Chain { key: reader.key()?, number: reader.u32()? }))
}

fn most_missing() -> u32 {
    u32::try_from(limits::SKIPPED_KEYS).expect("it is 2,000")
}

/// Keeps the keys of the next messages of a chain, which are missing. There are at most as many as a session may keep.
fn skip(chain: &mut Chain, ratchet: Public, count: u32) -> VecDeque<Skipped> {
    let next = |_| chain.next().ok().map(|(number, key)| Skipped { ratchet, number, key, is_guess: false });
    (0..count.min(most_missing())).map_while(next).collect()
}

/// Keeps the keys of the previous chain's missing messages.
fn skip_rest(mut chain: Chain, ratchet: Public, header: &Header) -> VecDeque<Skipped> {
    let missing = header.previous.saturating_sub(chain.number);
    let mut skipped = skip(&mut chain, ratchet, missing);
    // libsignal sends the number of the last message instead of the length, and so does libomemo-c in both versions. Others do not.
    if header.previous == chain.number {
        skipped.extend(skip(&mut chain, ratchet, 1).into_iter().map(|one| Skipped { is_guess: true, ..one }));
    }
    skipped
}

impl std::fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ratchet({} keys kept)", self.skipped.len())
    }
}
