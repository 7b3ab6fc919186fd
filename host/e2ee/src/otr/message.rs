//! Encoded messages: base64 between `?OTR:` and a dot, with a head and one of five bodies.

use std::fmt;

use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use rand::CryptoRng;

use super::group::Element;
use super::wire::{Reader, put_data};

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Version 2, without instance tags.
    V2,
    /// Version 3.
    V3,
}

/// Tells apart the clients of one account; in version 3 only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceTag(u32);

impl InstanceTag {
    const LEAST: u32 = 0x100;

    /// Returns a tag unless the number is reserved.
    pub fn new(tag: u32) -> Option<Self> {
        (tag >= Self::LEAST).then_some(Self(tag))
    }

    /// Draws a tag.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            if let Some(tag) = Self::new(rng.next_u32()) {
                return tag;
            }
        }
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Eight hexadecimal digits.
impl fmt::Debug for InstanceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Says between whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    V2,
    V3 {
        sender: InstanceTag,
        /// `None` if the sender does not know the tag yet.
        receiver: Option<InstanceTag>,
    },
}

impl Route {
    pub(super) fn version(self) -> Version {
        match self {
            Self::V2 => Version::V2,
            Self::V3 { .. } => Version::V3,
        }
    }
}

/// The body of an encoded message.
pub(super) enum Body<'a> {
    Commit { encrypted: &'a [u8], hash: &'a [u8; 32] },
    Key(Element),
    Reveal { revealed: &'a [u8; 16], sealed: Sealed<'a> },
    Signature(Sealed<'a>),
    Data(Data<'a>),
}

/// An encrypted signature with its MAC.
pub(super) struct Sealed<'a> {
    pub(super) encrypted: &'a [u8],
    pub(super) mac: &'a [u8; 20],
}

/// A data message.
pub(super) struct Data<'a> {
    /// If it cannot be read, it is ignored silently.
    pub(super) ignore_unreadable: bool,
    pub(super) sender_key: u32,
    pub(super) receiver_key: u32,
    pub(super) next_key: Element,
    pub(super) counter: u64,
    pub(super) encrypted: &'a [u8],
    /// Everything that the MAC is of.
    pub(super) authenticated: &'a [u8],
    pub(super) mac: &'a [u8; 20],
}

const COMMIT: u8 = 0x02;
const DATA: u8 = 0x03;
const KEY: u8 = 0x0a;
const REVEAL: u8 = 0x11;
const SIGNATURE: u8 = 0x12;

const IGNORE_UNREADABLE: u8 = 1;

/// Why an encoded message is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Of another version.
    Version,
    /// Not written as the protocol says.
    Malformed,
}

/// Some clients do not pad.
const PADDED_OR_NOT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes what is between the marks of an encoded message. Its lines may be wrapped.
pub(super) fn decode(base64: &str) -> Option<Vec<u8>> {
    let joined: String = base64.split_ascii_whitespace().collect();
    PADDED_OR_NOT.decode(joined).ok()
}

/// Writes bytes as the text of an encoded message.
pub(super) fn encode(bytes: &[u8]) -> String {
    format!("?OTR:{}.", STANDARD.encode(bytes))
}

/// Reads the head. The version comes first, so that a message of another version can be distinguished from a broken
/// one.
pub(super) fn read_head(reader: &mut Reader<'_>) -> Result<(Route, u8), Unread> {
    let version = reader.short().ok_or(Unread::Malformed)?;
    let kind = reader.byte().ok_or(Unread::Malformed)?;
    match version {
        2 => Ok((Route::V2, kind)),
        3 => {
            let route = read_route(reader, kind == COMMIT).ok_or(Unread::Malformed)?;
            Ok((route, kind))
        }
        _ => Err(Unread::Version),
    }
}

fn read_route(reader: &mut Reader<'_>, is_commit: bool) -> Option<Route> {
    let sender = InstanceTag::new(reader.int()?)?;
    let receiver = match reader.int()? {
        0 if is_commit => None,
        tag => Some(InstanceTag::new(tag)?),
    };
    Some(Route::V3 { sender, receiver })
}

/// Reads the body. `whole` are the bytes of the whole message, which `reader` is in.
pub(super) fn read_body<'a>(kind: u8, reader: &mut Reader<'a>, whole: &'a [u8]) -> Option<Body<'a>> {
    let body = match kind {
        COMMIT => Body::Commit { encrypted: reader.data()?, hash: reader.data()?.try_into().ok()? },
        KEY => Body::Key(Element::read(reader)?),
        REVEAL => Body::Reveal { revealed: reader.data()?.try_into().ok()?, sealed: read_sealed(reader)? },
        SIGNATURE => Body::Signature(read_sealed(reader)?),
        DATA => Body::Data(read_data(reader, whole)?),
        _ => return None,
    };
    reader.end()?;
    Some(body)
}

fn read_sealed<'a>(reader: &mut Reader<'a>) -> Option<Sealed<'a>> {
    Some(Sealed { encrypted: reader.data()?, mac: reader.array()? })
}

fn read_data<'a>(reader: &mut Reader<'a>, whole: &'a [u8]) -> Option<Data<'a>> {
    let ignore_unreadable = reader.byte()? & IGNORE_UNREADABLE != 0;
    let (sender_key, receiver_key) = (reader.int()?, reader.int()?);
    let next_key = Element::read(reader)?;
    let (counter, encrypted) = (reader.long()?, reader.data()?);
    let authenticated = &whole[..whole.len().checked_sub(reader.rest().len())?];
    let mac = reader.array()?;
    // Old MAC keys: they are only useful for forging messages.
    reader.data()?;
    Some(Data { ignore_unreadable, sender_key, receiver_key, next_key, counter, encrypted, authenticated, mac })
}

/// Returns whether a data message requests to be ignored silently if it cannot be read. This works even if the rest of
/// it cannot be parsed.
pub(super) fn is_ignorable(kind: u8, rest: &[u8]) -> bool {
    kind == DATA && rest.first().is_some_and(|flags| flags & IGNORE_UNREADABLE != 0)
}

pub(super) fn is_data(kind: u8) -> bool {
    kind == DATA
}

fn head(route: Route, kind: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    match route {
        Route::V2 => out.extend_from_slice(&[0, 2, kind]),
        Route::V3 { sender, receiver } => {
            out.extend_from_slice(&[0, 3, kind]);
            out.extend_from_slice(&sender.get().to_be_bytes());
            out.extend_from_slice(&receiver.map_or(0, InstanceTag::get).to_be_bytes());
        }
    }
    out
}

pub(super) fn commit(route: Route, encrypted: &[u8], hash: &[u8; 32]) -> Vec<u8> {
    let mut out = head(route, COMMIT);
    put_data(&mut out, encrypted);
    put_data(&mut out, hash);
    out
}

pub(super) fn key(route: Route, public: &Element) -> Vec<u8> {
    let mut out = head(route, KEY);
    public.write(&mut out);
    out
}

pub(super) fn reveal(route: Route, revealed: &[u8; 16], encrypted: &[u8], mac: &[u8; 20]) -> Vec<u8> {
    let mut out = head(route, REVEAL);
    put_data(&mut out, revealed);
    put_data(&mut out, encrypted);
    out.extend_from_slice(mac);
    out
}

pub(super) fn signature(route: Route, encrypted: &[u8], mac: &[u8; 20]) -> Vec<u8> {
    let mut out = head(route, SIGNATURE);
    put_data(&mut out, encrypted);
    out.extend_from_slice(mac);
    out
}

/// The fields in front of the MAC of a data message.
pub(super) struct DataFields<'a> {
    pub(super) ignore_unreadable: bool,
    pub(super) sender_key: u32,
    pub(super) receiver_key: u32,
    pub(super) next_key: &'a Element,
    pub(super) counter: u64,
    pub(super) encrypted: &'a [u8],
}

pub(super) fn data(route: Route, fields: &DataFields<'_>) -> Vec<u8> {
    let mut out = head(route, DATA);
    out.push(if fields.ignore_unreadable { IGNORE_UNREADABLE } else { 0 });
    out.extend_from_slice(&fields.sender_key.to_be_bytes());
    out.extend_from_slice(&fields.receiver_key.to_be_bytes());
    fields.next_key.write(&mut out);
    out.extend_from_slice(&fields.counter.to_be_bytes());
    put_data(&mut out, fields.encrypted);
    out
}
