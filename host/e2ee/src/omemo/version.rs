//! The two versions of OMEMO, and ids of devices.

use std::fmt;
use std::str::FromStr;

use rand::CryptoRng;

/// A version of OMEMO, known by its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `eu.siacs.conversations.axolotl`: XEP-0384 up to 0.3, with the messages of libsignal. Nearly all clients have it.
    Axolotl,
    /// `urn:xmpp:omemo:2`: XEP-0384 since 0.8.
    Omemo2,
}

impl Version {
    /// All versions, the more usual first.
    pub const ALL: [Self; 2] = [Self::Axolotl, Self::Omemo2];

    /// Returns the namespace of its elements.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Axolotl => "eu.siacs.conversations.axolotl",
            Self::Omemo2 => "urn:xmpp:omemo:2",
        }
    }

    /// Returns the version whose elements have this namespace.
    pub fn of_namespace(namespace: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.namespace() == namespace)
    }

    /// How it is written in states.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Axolotl => 1,
            Self::Omemo2 => 2,
        }
    }

    /// The opposite of [`Version::number`].
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.namespace())
    }
}

/// The id of a device, from 1 to 2³¹ − 1. It is unique only together with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(u32);

impl DeviceId {
    const GREATEST: u32 = (1 << 31) - 1;

    /// Returns the id, unless the number is 0 or too large.
    pub fn new(number: u32) -> Option<Self> {
        (1..=Self::GREATEST).contains(&number).then_some(Self(number))
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Picks one at random.
    pub fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        loop {
            if let Some(id) = Self::new(rng.next_u32() >> 1) {
                return id;
            }
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeviceId {
    type Err = NoDeviceId;

    fn from_str(text: &str) -> Result<Self, NoDeviceId> {
        let digits = (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok().and_then(Self::new)).flatten().ok_or(NoDeviceId)
    }
}

/// A text is not the id of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no id of a device: it is a whole number from 1 to 2147483647")]
pub struct NoDeviceId;
