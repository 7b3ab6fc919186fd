//! End-to-end encryption of a message, and the trust in its device.

/// The way in which a message is encrypted from end to end. A message that is not has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// OMEMO (XEP-0384), by either of its namespaces.
    Omemo,
    /// Off-the-record messaging, version 2 or 3.
    Otr,
    /// `OpenPGP` (XEP-0373), which the host cannot decrypt.
    OpenPgp,
    /// The former use of `OpenPGP` (XEP-0027), which the host cannot decrypt.
    Pgp,
    /// Another way, which the host does not know.
    Other,
}

impl Encryption {
    /// All ways in which the host encrypts.
    pub const ALL: [Self; 2] = [Self::Omemo, Self::Otr];

    /// Returns its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Omemo => "omemo",
            Self::Otr => "otr",
            Self::OpenPgp => "openpgp",
            Self::Pgp => "pgp",
            Self::Other => "other",
        }
    }

    /// Returns the way in which the host encrypts that has this name in the contract.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// The trust in the device that encrypted a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceTrust {
    /// The owner has not decided, and the account trusts no device before that.
    Undecided,
    /// The owner has not decided, and the account trusts each device until one of its person was verified.
    Blind,
    /// The owner compared its fingerprint, or a person proved it by a shared secret. Also of the own device.
    Trusted,
    /// The owner refused it.
    Distrusted,
}

impl DeviceTrust {
    /// All decisions.
    pub const ALL: [Self; 4] = [Self::Undecided, Self::Blind, Self::Trusted, Self::Distrusted];

    /// Returns its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Blind => "blind",
            Self::Trusted => "trusted",
            Self::Distrusted => "distrusted",
        }
    }

    /// Returns the decision that has this name in the contract.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// The encryption that the author of an outgoing message wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EncryptionWish {
    /// As the chat is, or as the message that it replies to.
    #[default]
    AsTheChat,
    /// Encrypted, in any way that the recipient supports; refused if there is none.
    Required,
    /// Not encrypted.
    None,
}

impl EncryptionWish {
    /// All wishes.
    pub const ALL: [Self; 3] = [Self::AsTheChat, Self::Required, Self::None];

    /// Returns its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsTheChat => "as-the-chat",
            Self::Required => "required",
            Self::None => "none",
        }
    }

    /// Returns the wish that has this name in the contract.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_read_as_what_has_it() {
        assert!(Encryption::ALL.into_iter().all(|one| Encryption::named(one.as_str()) == Some(one)));
        assert!(DeviceTrust::ALL.into_iter().all(|one| DeviceTrust::named(one.as_str()) == Some(one)));
        assert!(EncryptionWish::ALL.into_iter().all(|one| EncryptionWish::named(one.as_str()) == Some(one)));
        assert_eq!(Encryption::named("none"), None);
        assert_eq!((DeviceTrust::named("Blind"), EncryptionWish::named("")), (None, None));
    }
}
