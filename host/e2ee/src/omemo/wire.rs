//! The byte formats of keys and messages: libsignal's in one version, and the XEP's own schema in the other.
//!
//! Only here do the versions differ in form. Lengths are checked before anything is parsed, and a field that is missing
//! or has another length is an error.

use prost::Message as _;

use super::error::ReceiveError;
use super::keys::{self, Identity, Public};
use super::limits;
use super::version::{DeviceId, Version};

/// The first byte of libsignal's messages: version 3 of the message, and 3 is the latest that the sender knows.
const VERSION_BYTE: u8 = 0x33;

/// In front of a key of Curve25519, in libsignal's messages.
const KEY_TYPE: u8 = 5;

#[derive(Clone, PartialEq, prost::Message)]
struct SignalMessage {
    #[prost(bytes = "vec", optional, tag = "1")]
    ratchet: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "2")]
    number: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    previous: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    encrypted: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PreKeySignalMessage {
    #[prost(uint32, optional, tag = "5")]
    registration: Option<u32>,
    #[prost(uint32, optional, tag = "1")]
    prekey: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    signed_prekey: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    base: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    identity: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    message: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OmemoMessage {
    #[prost(uint32, optional, tag = "1")]
    number: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    previous: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "3")]
    ratchet: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    encrypted: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OmemoAuthenticatedMessage {
    #[prost(bytes = "vec", optional, tag = "1")]
    mac: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    message: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OmemoKeyExchange {
    #[prost(uint32, optional, tag = "1")]
    prekey: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    signed_prekey: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "3")]
    identity: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    base: Option<Vec<u8>>,
    /// An `OMEMOAuthenticatedMessage`, which looks the same as bytes.
    #[prost(bytes = "vec", optional, tag = "5")]
    message: Option<Vec<u8>>,
}

/// The place of a message in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) ratchet: Public,
    pub(super) number: u32,
    /// How many messages the chain before this one had.
    pub(super) previous: u32,
}

/// A parsed message of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) encrypted: Vec<u8>,
    /// The received bytes that the MAC covers.
    pub(super) covered: Vec<u8>,
    pub(super) mac: Vec<u8>,
}

/// A parsed message that starts a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) prekey: u32,
    pub(super) signed_prekey: u32,
    /// In the form of the version.
    pub(super) identity: Public,
    pub(super) base: Public,
    pub(super) message: Message,
}

/// The own identity key in the form of the version.
pub(super) fn identity(version: Version, identity: &Identity) -> Public {
    match version {
        Version::Axolotl => *identity.pair().public(),
        Version::Omemo2 => *identity.ed25519(),
    }
}

/// An identity key in the form of the version, as one of Curve25519.
pub(super) fn curve25519(version: Version, identity: &Public) -> Option<Public> {
    match version {
        Version::Axolotl => Some(*identity),
        Version::Omemo2 => keys::to_curve25519(identity),
    }
}

pub(super) fn encode_key(version: Version, key: &Public) -> Vec<u8> {
    match version {
        Version::Axolotl => [&[KEY_TYPE], key.as_slice()].concat(),
        Version::Omemo2 => key.to_vec(),
    }
}

pub(super) fn decode_key(version: Version, bytes: &[u8]) -> Option<Public> {
    let key = match version {
        Version::Axolotl => bytes.strip_prefix(&[KEY_TYPE])?,
        Version::Omemo2 => bytes,
    };
    key.try_into().ok().filter(keys::is_canonical)
}

/// As [`decode_key`], for identity keys: in the later version they are of Ed25519.
pub(super) fn decode_identity(version: Version, bytes: &[u8]) -> Option<Public> {
    match version {
        Version::Axolotl => decode_key(version, bytes),
        Version::Omemo2 => bytes.try_into().ok(),
    }
}

/// How many bytes of the MAC are sent.
fn mac_length(version: Version) -> usize {
    match version {
        Version::Axolotl => 8,
        Version::Omemo2 => 16,
    }
}

/// The part of a message that the MAC is over.
pub(super) fn encode_covered(version: Version, header: &Header, encrypted: Vec<u8>) -> Vec<u8> {
    let (number, previous) = (Some(header.number), Some(header.previous));
    let (ratchet, encrypted) = (Some(encode_key(version, &header.ratchet)), Some(encrypted));
    match version {
        Version::Axolotl => {
            let message = SignalMessage { ratchet, number, previous, encrypted };
            [&[VERSION_BYTE], message.encode_to_vec().as_slice()].concat()
        }
        Version::Omemo2 => OmemoMessage { number, previous, ratchet, encrypted }.encode_to_vec(),
    }
}

/// The whole message. Of the MAC it takes as much as the version has.
pub(super) fn encode_message(version: Version, covered: Vec<u8>, mac: &[u8; 32]) -> Vec<u8> {
    let mac = &mac[..mac_length(version)];
    match version {
        Version::Axolotl => [covered.as_slice(), mac].concat(),
        Version::Omemo2 => {
            OmemoAuthenticatedMessage { mac: Some(mac.to_vec()), message: Some(covered) }.encode_to_vec()
        }
    }
}

/// The keys that an exchange names in addition to its message.
pub(super) struct Opening {
    pub(super) prekey: u32,
    pub(super) signed_prekey: u32,
    pub(super) base: Public,
}

/// A message that starts a session.
pub(super) fn encode_exchange(
    version: Version,
    opening: &Opening,
    identity: &Public,
    device: DeviceId,
    message: Vec<u8>,
) -> Vec<u8> {
    let (prekey, signed_prekey) = (Some(opening.prekey), Some(opening.signed_prekey));
    let (base, identity) = (Some(encode_key(version, &opening.base)), Some(encode_key(version, identity)));
    let message = Some(message);
    match version {
        Version::Axolotl => {
            let registration = Some(device.get());
            let exchange = PreKeySignalMessage { registration, prekey, signed_prekey, base, identity, message };
            [&[VERSION_BYTE], exchange.encode_to_vec().as_slice()].concat()
        }
        Version::Omemo2 => OmemoKeyExchange { prekey, signed_prekey, identity, base, message }.encode_to_vec(),
    }
}

fn bounded(bytes: &[u8]) -> Result<(), ReceiveError> {
    if bytes.len() > limits::KEY_MESSAGE_BYTES { Err(ReceiveError::TooLarge) } else { Ok(()) }
}

/// Takes libsignal's first byte away.
fn unversioned(bytes: &[u8]) -> Result<&[u8], ReceiveError> {
    let (first, rest) = bytes.split_first().ok_or(ReceiveError::Malformed("it is empty"))?;
    // The upper half is the version of the message, the lower one the latest that the sender knows.
    if first >> 4 == 3 { Ok(rest) } else { Err(ReceiveError::UnknownVersion(first >> 4)) }
}

const NO_PROTOBUF: ReceiveError = ReceiveError::Malformed("it is no protobuf");

fn there<T>(field: Option<T>, what: &'static str) -> Result<T, ReceiveError> {
    field.ok_or(ReceiveError::Malformed(what))
}

fn key(version: Version, bytes: Option<Vec<u8>>) -> Result<Public, ReceiveError> {
    there(bytes.and_then(|bytes| decode_key(version, &bytes)), "a key is missing or no key")
}

/// Parses a message. No part of it is known to be authentic yet.
pub(super) fn decode_message(version: Version, bytes: &[u8]) -> Result<Message, ReceiveError> {
    bounded(bytes)?;
    let (covered, mac) = match version {
        Version::Axolotl => {
            let length = there(bytes.len().checked_sub(mac_length(version)), "it is too short")?;
            let (covered, mac) = bytes.split_at(length);
            (covered.to_vec(), mac.to_vec())
        }
        Version::Omemo2 => {
            let outer = OmemoAuthenticatedMessage::decode(bytes).map_err(|_| NO_PROTOBUF)?;
            (there(outer.message, "a part is missing")?, there(outer.mac, "its MAC is missing")?)
        }
    };
    if mac.len() != mac_length(version) {
        return Err(ReceiveError::Malformed("its MAC has another length"));
    }
    let (ratchet, number, previous, encrypted) = match version {
        Version::Axolotl => {
            let inner = SignalMessage::decode(unversioned(&covered)?).map_err(|_| NO_PROTOBUF)?;
            // A zero may be left out there.
            (inner.ratchet, inner.number.or(Some(0)), inner.previous.or(Some(0)), inner.encrypted)
        }
        Version::Omemo2 => {
            let inner = OmemoMessage::decode(covered.as_slice()).map_err(|_| NO_PROTOBUF)?;
            (inner.ratchet, inner.number, inner.previous, inner.encrypted)
        }
    };
    let (number, previous) = (there(number, "a number is missing")?, there(previous, "a number is missing")?);
    let header = Header { ratchet: key(version, ratchet)?, number, previous };
    let encrypted = there(encrypted, "a part is missing")?;
    if encrypted.is_empty() || encrypted.len() % 16 != 0 {
        return Err(ReceiveError::Malformed("what is encrypted is not whole blocks"));
    }
    Ok(Message { header, encrypted, covered, mac })
}

/// Returns whether a message starts a session by its own bytes, whatever the attribute beside it says: clients with libsignal repeat the
/// start until they get an answer, and Kaidan marks only the first one. Field 1 is a number in such a message, and bytes in others. `None`:
/// it does not begin with this field.
pub(super) fn is_exchange(version: Version, bytes: &[u8]) -> Option<bool> {
    let first = match version {
        Version::Axolotl => bytes.get(1),
        Version::Omemo2 => bytes.first(),
    };
    match *first? {
        0x08 => Some(true),
        0x0A => Some(false),
        _ => None,
    }
}

/// Parses a message that starts a session. No part of it is known to be authentic yet.
pub(super) fn decode_exchange(version: Version, bytes: &[u8]) -> Result<Exchange, ReceiveError> {
    bounded(bytes)?;
    let (prekey, signed_prekey, identity, base, message) = match version {
        Version::Axolotl => {
            let outer = PreKeySignalMessage::decode(unversioned(bytes)?).map_err(|_| NO_PROTOBUF)?;
            (outer.prekey, outer.signed_prekey, outer.identity, outer.base, outer.message)
        }
        Version::Omemo2 => {
            let outer = OmemoKeyExchange::decode(bytes).map_err(|_| NO_PROTOBUF)?;
            (outer.prekey, outer.signed_prekey, outer.identity, outer.base, outer.message)
        }
    };
    Ok(Exchange {
        prekey: prekey.ok_or(ReceiveError::NoPrekey)?,
        signed_prekey: there(signed_prekey, "a number is missing")?,
        identity: there(identity.and_then(|bytes| decode_identity(version, &bytes)), "its identity is no key")?,
        base: key(version, base)?,
        message: decode_message(version, &there(message, "a part is missing")?)?,
    })
}
