//! Pending requests about keys of encryption.

use jid::{BareJid, DomainRef};
use parlor_base::domains::owned_together;
use parlor_stanza::types::OmemoForm;

/// An item that must be fetched before a message can be encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Fetch {
    /// The devices of a person.
    List(BareJid, OmemoForm),
    /// The public keys of a device.
    Bundle(BareJid, u32, OmemoForm),
    /// The identity and the features of a room.
    About(BareJid),
    /// The people of a room.
    Members(BareJid),
}

impl Fetch {
    /// Returns the server that answers.
    pub(crate) fn server(&self) -> &DomainRef {
        let (Self::List(jid, _) | Self::Bundle(jid, ..) | Self::About(jid) | Self::Members(jid)) = self;
        jid.domain()
    }

    /// Returns the domain of whoever owns that server, and may have any number of others.
    pub(crate) fn owner(&self) -> &str {
        owned_together(self.server().as_str())
    }
}

/// An item that is published, or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Published {
    /// The list of the account's devices.
    List(OmemoForm),
    /// The public keys of this device.
    Bundle(OmemoForm),
    /// The public keys of a withdrawn device are taken back.
    Retraction(OmemoForm, u32),
}

/// The attempts to publish, each of which requires less of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// With all options.
    Whole,
    /// With the options that every server knows.
    Plainly,
    /// The node has other options: all of them are changed first.
    Reconfigure,
    /// The server does not change all of them: the one without which nobody finds the keys.
    Open,
    /// After that, without options.
    AsItIs,
}

/// The purpose of a pending request about keys.
#[derive(Debug)]
pub(crate) enum KeysIq {
    /// Fetch something. For the people of a room, the affiliation that was asked for.
    Fetch(Fetch),
    /// Fetch the account's own devices.
    OwnList(OmemoForm),
    /// Publish something.
    Publish(Published, Attempt),
}
