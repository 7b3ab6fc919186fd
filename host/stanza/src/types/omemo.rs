//! OMEMO as it is on the wire (XEP-0384, in its present form and that of version 0.3): messages, device lists, bundles.

use std::fmt;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use jid::{BareJid, Jid};
use jiff::Timestamp;

use super::{Draft, Extensions, MessageKind};
use crate::text::line;

/// Maximum number of devices that are read from a list, one more than anybody may have here.
pub const MAX_LISTED: usize = 256;
/// Maximum length of a device's label, in characters; the rest of a longer one is not shown.
const MAX_LABEL: usize = 53;

/// A form of OMEMO. Each has its own namespace, lists and bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OmemoForm {
    /// Version 0.3 of the XEP, which most clients have.
    Older,
    /// The present version.
    Current,
}

impl OmemoForm {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Older, Self::Current];

    /// Returns the namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Older => "eu.siacs.conversations.axolotl",
            Self::Current => "urn:xmpp:omemo:2",
        }
    }

    /// Returns the form that has this namespace.
    pub fn of_namespace(namespace: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.namespace() == namespace)
    }

    /// Returns the node with the devices of an account.
    pub fn list_node(self) -> &'static str {
        match self {
            Self::Older => "eu.siacs.conversations.axolotl.devicelist",
            Self::Current => "urn:xmpp:omemo:2:devices",
        }
    }

    /// Returns the form whose devices are listed in this node.
    pub fn of_list_node(node: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.list_node() == node)
    }

    /// Returns the feature with which an account subscribes to lists (XEP-0163, section 4.3).
    pub fn notify(self) -> &'static str {
        match self {
            Self::Older => "eu.siacs.conversations.axolotl.devicelist+notify",
            Self::Current => "urn:xmpp:omemo:2:devices+notify",
        }
    }

    /// Returns the node with the bundle of a device.
    pub fn bundle_node(self, device: u32) -> String {
        match self {
            Self::Older => format!("eu.siacs.conversations.axolotl.bundles:{device}"),
            Self::Current => "urn:xmpp:omemo:2:bundles".to_owned(),
        }
    }

    /// Returns the id of the item with the bundle of a device.
    pub fn bundle_item(self, device: u32) -> String {
        match self {
            Self::Older => "current".to_owned(),
            Self::Current => device.to_string(),
        }
    }
}

/// The element of one form of OMEMO in a received message.
#[derive(Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// The form.
    pub form: OmemoForm,
    /// The device that wrote it.
    pub sender: u32,
    /// The keys for this account, in base64: for the older form, those for everybody.
    pub keys: EncryptedKeys,
    /// The initialisation vector, in the older form.
    pub iv: Option<Vec<u8>>,
    /// The content. None: it carries keys alone.
    pub payload: Option<Vec<u8>>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encrypted({:?}, by {})", self.form, self.sender)
    }
}

/// The keys of a message for several devices. They are one text, since a room has hundreds of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EncryptedKeys {
    text: String,
    /// The device, whether it begins a session, and where its text ends.
    ends: Vec<(u32, bool, usize)>,
}

impl EncryptedKeys {
    /// Adds a key.
    pub fn push(&mut self, device: u32, is_prekey: bool, base64: &str) {
        self.text.push_str(base64);
        self.ends.push((device, is_prekey, self.text.len()));
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns whether there is a key for a device.
    pub fn has(&self, device: u32) -> bool {
        self.ends.iter().any(|(one, _, _)| *one == device)
    }

    /// Returns the keys for devices with this id, each with whether it begins a session; empty if it is not valid base64.
    /// There may be several: the older form does not say whose device a key is for.
    pub fn of(&self, device: u32) -> impl Iterator<Item = (bool, Vec<u8>)> {
        let all = self.ends.iter().enumerate().filter(move |(_, (one, _, _))| *one == device);
        all.map(move |(at, (_, is_prekey, end))| {
            let start = at.checked_sub(1).map_or(0, |before| self.ends[before].2);
            (*is_prekey, unwrapped(&self.text[start..*end]).unwrap_or_default())
        })
    }
}

/// Clients on Android and in Java read it without padding, too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64, whose lines may be wrapped, and whose padding may be missing.
pub(crate) fn unwrapped(base64: &str) -> Option<Vec<u8>> {
    if base64.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let joined: String = base64.split_ascii_whitespace().collect();
        return BASE64.decode(joined).ok();
    }
    BASE64.decode(base64).ok()
}

/// A key for one device, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFor {
    /// The person whose device it is.
    pub jid: BareJid,
    /// The device.
    pub device: u32,
    /// Whether it begins a session.
    pub is_prekey: bool,
    /// The key.
    pub bytes: Vec<u8>,
}

/// The element of one form of OMEMO in an outgoing message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedOut {
    /// The form.
    pub form: OmemoForm,
    /// The own device.
    pub sender: u32,
    /// The keys, those of one person behind each other.
    pub keys: Vec<KeyFor>,
    /// The initialisation vector, in the older form.
    pub iv: Option<[u8; 12]>,
    /// The content. None: it carries keys alone.
    pub payload: Option<Vec<u8>>,
}

impl EncryptedOut {
    /// Returns about how many bytes its keys and its content take on the wire.
    fn weight(&self) -> usize {
        /// The length of an element around a key.
        const ELEMENT: usize = 48;
        let keys = self.keys.iter().map(|key| ELEMENT + key.bytes.len().div_ceil(3) * 4);
        keys.sum::<usize>() + self.payload.as_ref().map_or(0, |payload| payload.len().div_ceil(3) * 4)
    }
}

/// How the content of an encrypted message goes over the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedContent {
    /// OMEMO, in one form or both.
    Omemo(Vec<EncryptedOut>),
    /// Off-the-record messaging, as the text of the body.
    Otr(String),
}

impl SealedContent {
    /// Returns about how many bytes it takes on the wire.
    pub fn weight(&self) -> usize {
        match self {
            Self::Omemo(forms) => forms.iter().map(EncryptedOut::weight).sum(),
            Self::Otr(text) => text.len(),
        }
    }
}

/// An encrypted outgoing message.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The recipient.
    pub to: Jid,
    /// The type of the message.
    pub kind: MessageKind,
    /// The id, also used as origin-id.
    pub id: String,
    /// The content.
    pub content: SealedContent,
    /// The thread, if it is not within the content.
    pub thread: Option<String>,
    /// The unencrypted extensions.
    pub beside: Extensions,
    /// Same as in [`Outgoing::Message`](super::Outgoing::Message).
    pub to_occupant: bool,
    /// Its content, for plugins that get the account's own messages. None: it has no content for people.
    pub says: Option<Box<Draft>>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} {} to {})", self.kind, self.id, self.to)
    }
}

/// A device in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDevice {
    /// Its id.
    pub device: u32,
    /// Its label, in the present form.
    pub label: Option<DeviceLabel>,
}

/// The name that a device gives itself. It counts only if the device has signed it (XEP-0384, section 5.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLabel {
    /// The text, as it is signed.
    pub text: String,
    /// The signature by the identity key of the device.
    pub signature: [u8; 64],
}

impl DeviceLabel {
    /// Returns its beginning, on one line; `None` if nothing is left.
    pub fn shown(&self) -> Option<String> {
        let shown = line(&self.text, 4 * MAX_LABEL)?;
        Some(shown.chars().take(MAX_LABEL).collect())
    }
}

/// The public keys of a device, as they are published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the XEP's own")]
pub struct PublishedBundle {
    pub signed_prekey_id: u32,
    pub signed_prekey: Vec<u8>,
    pub signature: Vec<u8>,
    pub identity_key: Vec<u8>,
    pub prekeys: Vec<(u32, Vec<u8>)>,
}

/// The contents of the envelope of a message (XEP-0420).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The author.
    pub from: Option<Jid>,
    /// The recipient: in a room, the room.
    pub to: Option<Jid>,
    /// When it was written.
    pub time: Option<Timestamp>,
    /// The text.
    pub body: Option<String>,
    /// The subject.
    pub subject: Option<String>,
    /// The thread.
    pub thread: Option<String>,
    /// The other contents.
    pub extensions: Option<Box<Extensions>>,
    /// Whether the author asks for messages without encryption (XEP-0384, section 5.7).
    pub opts_out: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_lines_and_without_padding() {
        for text in ["YWJj", "YWJjZA==", "YWJjZA=", "YWJjZA", "YWJjZGU=", "YWJjZGU", " YW\r\nJj\tZA ", ""] {
            let joined: String = text.split_ascii_whitespace().collect();
            let length = joined.trim_end_matches('=').len() * 3 / 4;
            assert_eq!(unwrapped(text).as_deref(), Some(&b"abcde"[..length]), "{text}");
        }
        for broken in ["YWJ-", "Y", "YWJj=", "YW=Jj", "YWJjZB=="] {
            assert_eq!(unwrapped(broken), None, "{broken}");
        }
        let mut keys = EncryptedKeys::default();
        keys.push(1, false, "YWJjZA");
        keys.push(1, true, "YQ==");
        assert_eq!(keys.of(1).collect::<Vec<_>>(), [(false, b"abcd".to_vec()), (true, b"a".to_vec())]);
    }
}
