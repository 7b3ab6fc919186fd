//! The section `[account.NAME.encryption]`: how the account encrypts from end to end, and which keys of others it trusts.

use super::error::ConfigError;
use super::keys::ENCRYPTION_NAMES;
use super::sections::{Section, Written};

/// The trust in keys of others without a decision of the owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrustPolicy {
    /// Each key of a person, until one of theirs was verified.
    #[default]
    Blind,
    /// None.
    Strict,
}

impl TrustPolicy {
    /// Returns its name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Strict => "strict",
        }
    }
}

/// How an account encrypts from end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own, with the name that owners know")]
pub struct Encryption {
    /// Whether it has keys of OMEMO, and publishes them.
    pub omemo: bool,
    /// Whether it uses off-the-record messaging.
    pub otr: bool,
    /// The trust in keys of others.
    pub trust: TrustPolicy,
    /// Whether its owners get a message about new keys of people whom it knows.
    pub announce: bool,
    /// Whether its owners may trust keys by a command from their own client.
    pub trust_by_chat: bool,
    /// Whether answers in encrypted chats may be unencrypted if encryption is off now, or if the keys cannot be read.
    pub plain_instead: bool,
}

impl Default for Encryption {
    fn default() -> Self {
        Self { omemo: true, otr: true, announce: true, ..Self::OFF }
    }
}

impl Encryption {
    /// No encryption at all.
    pub const OFF: Self = Self {
        omemo: false,
        otr: false,
        trust: TrustPolicy::Blind,
        announce: false,
        trust_by_chat: false,
        plain_instead: false,
    };

    /// Reads `[account.<name>.encryption]`.
    pub(crate) fn read(section: Option<&Section<'_>>) -> Result<Self, ConfigError> {
        let Some(section) = section else { return Ok(Self::default()) };
        section.allow_only(&ENCRYPTION_NAMES)?;
        let before = Self::default();
        let trust = match section.text("trust")? {
            None | Some(Written { value: "blind", .. }) => TrustPolicy::Blind,
            Some(Written { value: "strict", .. }) => TrustPolicy::Strict,
            Some(other) => return Err(wrong(other, "encryption.trust", "\"blind\" or \"strict\"")),
        };
        let otr = match section.text("otr")? {
            None | Some(Written { value: "allow", .. }) => true,
            Some(Written { value: "never", .. }) => false,
            Some(other) => return Err(wrong(other, "encryption.otr", "\"allow\" or \"never\"")),
        };
        Ok(Self {
            omemo: section.flag("omemo")?.unwrap_or(before.omemo),
            otr,
            trust,
            announce: section.flag("announce")?.unwrap_or(before.announce),
            trust_by_chat: section.flag("trust_by_chat")?.unwrap_or(before.trust_by_chat),
            plain_instead: section.flag("plain_instead")?.unwrap_or(before.plain_instead),
        })
    }
}

fn wrong(written: Written<&str>, key: &str, expected: &'static str) -> ConfigError {
    ConfigError::WrongType { at: written.at, key: key.to_owned(), expected, found: "another text" }
}
