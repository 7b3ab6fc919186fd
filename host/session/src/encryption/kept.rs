//! The state of encryption that is kept on disk: the own keys, the states of sessions, and the keys of others with the
//! decisions about them.

use jid::BareJid;
use jiff::Timestamp;
use parlor_e2ee::omemo::Secret;
use parlor_stanza::types::OmemoForm;

use super::trust::KnownKey;

/// A change of the kept state. All changes of one effect are made together.
#[derive(Debug)]
pub enum KeyChange {
    /// The own device of OMEMO, with its secret keys.
    Device(Secret),
    /// The own key for off-the-record messaging. None: it is removed.
    Otr(Option<Secret>),
    /// The state of a session with a device. None: it is removed.
    Session {
        /// The person whose device it is.
        jid: BareJid,
        /// The device.
        device: u32,
        /// The form of OMEMO.
        form: OmemoForm,
        /// The state.
        state: Option<Secret>,
    },
    /// A public key of a person, with the decision about it.
    Key(KnownKey),
    /// A public key that is forgotten.
    NoKey(KnownKey),
    /// How the last message of a chat was encrypted. None: it was not.
    Way(BareJid, Option<Way>),
    /// The key of one message, for its repetition from the archive.
    MessageKey(MessageKey),
    /// The keys of these messages are forgotten.
    NoMessageKeys(Vec<String>),
}

/// How messages of a chat are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// By OMEMO, in this form where there is a choice.
    Omemo(OmemoForm),
    /// Off the record.
    Otr,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::Omemo(OmemoForm::Older), Self::Omemo(OmemoForm::Current), Self::Otr];

    /// Returns its name on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Omemo(OmemoForm::Older) => "axolotl",
            Self::Omemo(OmemoForm::Current) => "omemo",
            Self::Otr => "otr",
        }
    }

    /// Returns the way that has this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == name)
    }
}

/// The key of a message. An archive gives the message as often as it is asked, but a session gives its key only once.
#[derive(Debug)]
pub struct MessageKey {
    /// The archive and its id of the message, as one text.
    pub archived: String,
    /// The author.
    pub jid: BareJid,
    /// The author's device.
    pub device: u32,
    /// The form of OMEMO.
    pub form: OmemoForm,
    /// The key.
    pub key: Secret,
    /// When the message was decrypted.
    pub at: Timestamp,
}

/// The whole state that the last process kept.
#[derive(Debug, Default)]
pub struct KeptKeys {
    /// The own device of OMEMO.
    pub device: Option<Secret>,
    /// The own key of off-the-record messaging.
    pub otr: Option<Secret>,
    /// The sessions, the most recently used last.
    pub sessions: Vec<(BareJid, u32, OmemoForm, Secret)>,
    /// The keys of others.
    pub keys: Vec<KnownKey>,
    /// How the last message of each encrypted chat was encrypted.
    pub ways: Vec<(BareJid, Way)>,
    /// The keys of messages, the oldest first.
    pub message_keys: Vec<MessageKey>,
}
