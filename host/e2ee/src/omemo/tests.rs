//! Two sides that talk, with randomness that is the same in each run.

mod forged;
mod messages;
mod payloads;
mod states;
mod vectors;

use std::convert::Infallible;

use rand::{CryptoRng, Rng, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

use super::{Device, Effort, Keep, KeyMessage, Prekeys, ReceiveError, Received, Session, Version, receive, start};

/// Randomness that follows from a seed, now and with each later version of the libraries.
pub(super) struct Steady {
    seed: u64,
    block: u64,
    left: Vec<u8>,
}

impl Steady {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, block: 0, left: Vec::new() }
    }

    /// A number below a bound.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next_u64()).unwrap() % bound
    }

    /// Whether an event of this probability, in percent, happens.
    fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

impl TryRng for Steady {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for byte in to {
            if self.left.is_empty() {
                let block = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(self.block.to_be_bytes());
                self.left = block.finalize().iter().rev().copied().collect();
                self.block += 1;
            }
            *byte = self.left.pop().unwrap();
        }
        Ok(())
    }
}

impl TryCryptoRng for Steady {}

/// One side of a conversation.
struct Side {
    version: Version,
    device: Device,
    session: Option<Session>,
}

impl Side {
    fn new(version: Version, rng: &mut impl CryptoRng) -> Self {
        Self { version, device: Device::generate(rng, 0), session: None }
    }

    /// Starts a session with the other side, and keeps what there was.
    fn start(&mut self, with: &Self, rng: &mut impl CryptoRng) {
        let new = start(&self.device, &with.device.bundle(self.version), rng).unwrap();
        self.session = Some(match &self.session {
            Some(before) => new.keeping(before),
            None => new,
        });
    }

    fn say(&mut self, text: &[u8]) -> KeyMessage {
        self.session.as_mut().unwrap().encrypt(text).unwrap()
    }

    /// Looks at a message, and changes nothing.
    fn look(&self, message: &KeyMessage, rng: &mut impl CryptoRng) -> Result<Received, ReceiveError> {
        self.look_by(Prekeys::Fresh, message, rng)
    }

    /// Does the same with a message from an archive.
    fn look_archived(&self, message: &KeyMessage, rng: &mut impl CryptoRng) -> Result<Received, ReceiveError> {
        self.look_by(Prekeys::All, message, rng)
    }

    fn look_by(&self, of: Prekeys, message: &KeyMessage, rng: &mut impl CryptoRng) -> Result<Received, ReceiveError> {
        let (by, mut effort) = ((self.version, of), Effort::of_one_stanza());
        receive(&self.device, self.session.as_ref(), by, message, &mut effort, rng)
    }

    /// Reads a message, and keeps what it changed.
    fn read(&mut self, message: &KeyMessage, rng: &mut impl CryptoRng) -> Result<Vec<u8>, ReceiveError> {
        let received = self.look(message, rng)?;
        if let Some((id, _)) = received.used_prekey {
            assert!(self.device.use_prekey(id, Keep::No), "a prekey is used once");
            assert_eq!(self.device.refill(rng), 1);
        }
        self.session = Some(received.session);
        Ok(received.plain.to_vec())
    }

    /// As after a start of the program.
    fn restart(&mut self) {
        self.device = Device::from_bytes(&self.device.to_bytes()).unwrap();
        let bytes = self.session.as_ref().map(Session::to_bytes);
        self.session = bytes.map(|bytes| Session::from_bytes(&bytes).unwrap());
    }
}

/// Two sides that have sent messages to each other.
fn acquainted(version: Version, rng: &mut impl CryptoRng) -> (Side, Side) {
    let (mut one, mut other) = (Side::new(version, rng), Side::new(version, rng));
    one.start(&other, rng);
    let first = one.say(b"first");
    assert_eq!(other.read(&first, rng).unwrap(), b"first");
    let second = other.say(b"second");
    assert_eq!(one.read(&second, rng).unwrap(), b"second");
    (one, other)
}
