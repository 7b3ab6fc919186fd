//! The limits for received data, and the parts that are kept of a stanza that exceeds one.

use crate::sieve::mend;

/// The maximum size of an answer of the account's own server, in bytes; a roster of 50,000 contacts fits.
pub const MAX_BYTES: usize = 10 * 1024 * 1024;
/// The maximum nesting of a stanza. Trees are built and dropped recursively, and a stack overflow ends the process.
pub const MAX_DEPTH: usize = 64;
/// The maximum length of a name or attribute; the library's parser gives up the stream at 8192.
pub const MAX_TOKEN: usize = 8000;
/// The maximum length of a namespace. The library copies it for each element in it.
pub const MAX_NAMESPACE: usize = 256;
/// The maximum length of a stanza's start tag.
pub const MAX_HEAD: usize = 64 * 1024;
/// The maximum number of attributes that are kept in a start tag although no specification names them, and their bytes.
pub const MAX_SPARE: (usize, usize) = (512, 32 * 1024);
/// How many children of each essential name are kept in an overfull stanza, from its beginning and from its end.
pub const FIRST_AND_LAST: usize = 8;

/// Why something was left out.
pub const LONG: &str = "too long";
/// Why everything but the start tag was left out of a stanza over which the library would give up the stream.
pub const ILL_FORMED: &str = "not well-formed";
pub(crate) const LONG_TOKEN: &str = "a name or an attribute that is too long";
pub(crate) const LONG_NAMESPACE: &str = "a namespace that is too long";
pub(crate) const MANY_ELEMENTS: &str = "too many elements";
pub(crate) const MANY_ATTRIBUTES: &str = "too many attributes";
/// Why something was left out.
pub const DEEP: &str = "nested too deep";

/// The capacity for children that is kept from one stanza to the next.
pub const KEPT_CHILDREN: usize = 64;

/// The children that are kept in an overfull stanza. Clients show the first body, while servers append the sender's
/// identity, the time and the archive id at the end.
pub const ESSENTIAL: [&[u8]; 15] = [
    b"body",
    b"subject",
    b"thread",
    b"show",
    b"status",
    b"priority",
    b"x",
    b"delay",
    b"stanza-id",
    b"origin-id",
    b"occupant-id",
    b"error",
    b"replace",
    b"retract",
    b"event",
];
/// The children whose text people see. If one of them is left out for its length, so are later ones of that name: a
/// second text must not replace the first.
pub const TEXTS: [&[u8]; 3] = [b"body", b"subject", b"status"];
/// The children that the library permits at most once in a message, or of which it keeps the last. Presences are
/// checked in any case.
pub const ONCE: [&[u8]; 3] = [b"thread", b"body", b"subject"];

/// The maximum cost of one stanza: bytes, elements and attributes. Each element and attribute takes hundreds of bytes
/// when parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub bytes: usize,
    /// Elements.
    pub elements: usize,
    /// Attributes.
    pub attributes: usize,
}

/// The limits for an answer of the own account or server to a request of the host, such as a roster.
pub const OWN_ANSWER: Limits = Limits { bytes: MAX_BYTES, elements: 100_000, attributes: 200_000 };
/// The limits for an answer of any other entity, such as a room's list of members.
pub const ANSWER: Limits = Limits { bytes: 2 * 1024 * 1024, elements: 10_000, attributes: 30_000 };
/// The limits for a message, a presence or a request, which anybody may send unasked. It delays the connection by some
/// milliseconds at most.
pub const UNASKED: Limits = Limits { bytes: 1024 * 1024, elements: 2_048, attributes: 8_192 };

/// The purpose of an attribute of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It contains the type of the stanza and its sender.
    Needed,
    /// It declares the namespace of the stanza itself.
    Namespace,
    /// It declares a prefix.
    Prefix,
    /// Nothing here reads it.
    Spare,
}

impl Use {
    /// Returns the purpose of the attribute of this name.
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"from" | b"to" | b"id" | b"type" | b"xml:lang" => Self::Needed,
            b"xmlns" => Self::Namespace,
            _ if name.starts_with(b"xmlns:") => Self::Prefix,
            _ => Self::Spare,
        }
    }
}

/// Returns whether an element only wraps another message, so that oversized parts are left out inside it: a carbon copy
/// (XEP-0280) or a result from an archive (XEP-0313).
pub fn is_wrapper(level: usize, name: &[u8]) -> bool {
    match level {
        2 => matches!(name, b"result" | b"sent" | b"received"),
        3 => name == b"forwarded",
        4 => name == b"message",
        _ => false,
    }
}

/// Returns the limits for an IQ with this start tag.
pub fn limits_of_iq(head: &[u8]) -> Limits {
    let said = |wanted: &[u8]| {
        mend::attributes(head).find(|(name, _)| *name == wanted).map(|(_, value)| mend::unquoted(value))
    };
    if !matches!(said(b"type"), Some(b"result" | b"error")) {
        return UNASKED;
    }
    let (from, to) = (said(b"from"), said(b"to").unwrap_or_default());
    let bare = to.split(|byte| *byte == b'/').next().unwrap_or_default();
    let domain = bare.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    match from {
        None => OWN_ANSWER,
        Some(from) if !from.is_empty() && (from == bare || from == domain) => OWN_ANSWER,
        Some(_) => ANSWER,
    }
}
