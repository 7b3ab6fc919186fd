//! The section `[account.NAME.encryption]`: how the account encrypts from end to end, and which keys of others it trusts.

use std::collections::BTreeMap;

use jid::BareJid;

use super::error::ConfigError;
use super::keys::{ENCRYPTION_NAMES, PERSON_NAMES};
use super::sections::{Section, Written};

/// Maximum number of people with a policy of their own, in one table. An error names it, too.
const MAX_PEOPLE: usize = 1_000;

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

/// When chats with a person are off the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtrPolicy {
    /// When the other side or a plugin begins it.
    #[default]
    Allow,
    /// Always: no message with a text goes out plainly.
    Require,
    /// Never. Queries are ordinary texts.
    Never,
}

impl OtrPolicy {
    /// Returns its name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Require => "require",
            Self::Never => "never",
        }
    }

    fn read(section: &Section<'_>, key: &str) -> Result<Option<Self>, ConfigError> {
        match section.text("otr")? {
            None => Ok(None),
            Some(Written { value: "allow", .. }) => Ok(Some(Self::Allow)),
            Some(Written { value: "require", .. }) => Ok(Some(Self::Require)),
            Some(Written { value: "never", .. }) => Ok(Some(Self::Never)),
            Some(other) => Err(wrong(other, key, "\"allow\", \"require\" or \"never\"")),
        }
    }
}

/// The people with a policy of their own, which goes over that of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtrPeople(BTreeMap<BareJid, OtrPolicy>);

impl OtrPeople {
    /// Returns the policy for a person, if they have one of their own.
    pub fn of(&self, jid: &BareJid) -> Option<OtrPolicy> {
        self.0.get(jid).copied()
    }

    /// Returns whether anybody has this policy.
    pub fn have(&self, policy: OtrPolicy) -> bool {
        self.0.values().any(|one| *one == policy)
    }

    /// Returns all of them, ordered by address.
    pub fn all(&self) -> impl Iterator<Item = (&BareJid, OtrPolicy)> {
        self.0.iter().map(|(jid, policy)| (jid, *policy))
    }

    /// Returns the same with this person alone.
    #[must_use]
    pub fn only(&self, jid: &BareJid) -> Self {
        self.of(jid).map(|policy| (jid.clone(), policy)).into_iter().collect()
    }

    /// Reads `[account.<name>.encryption]`, and what is below it. A person of both tables has the policy of the upper one.
    pub(crate) fn read(section: Option<&Section<'_>>) -> Result<Self, ConfigError> {
        let mut people = Self::default();
        let Some(section) = section.map_or(Ok(None), |section| section.section("people"))? else { return Ok(people) };
        for table in section.layers() {
            let mut own = BTreeMap::new();
            for (name, person) in table.sections()? {
                person.allow_only(&PERSON_NAMES)?;
                let bad = |found| ConfigError::WrongType {
                    at: name.at.clone(),
                    key: format!("encryption.people.{:?}", name.value.chars().take(128).collect::<String>()),
                    expected: "the bare JID of one of at most 1,000 people, such as \"juliet@example.org\"",
                    found,
                };
                let jid = BareJid::new(name.value).map_err(|_| bad("another text"))?;
                if jid.node().is_none() {
                    return Err(bad("one without a part before an @"));
                }
                let policy = OtrPolicy::read(&person, "encryption.people.otr")?.unwrap_or_default();
                if own.insert(jid, policy).is_some() {
                    return Err(bad("the same once more"));
                }
                if own.len() > MAX_PEOPLE {
                    return Err(bad("one more"));
                }
            }
            people.0.append(&mut own);
        }
        Ok(people)
    }
}

impl FromIterator<(BareJid, OtrPolicy)> for OtrPeople {
    fn from_iter<I: IntoIterator<Item = (BareJid, OtrPolicy)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// How an account encrypts from end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own, with the name that owners know")]
pub struct Encryption {
    /// Whether it has keys of OMEMO, and publishes them.
    pub omemo: bool,
    /// When its chats are off the record, with people who have no policy of their own.
    pub otr: OtrPolicy,
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
        Self { omemo: true, otr: OtrPolicy::Allow, announce: true, ..Self::OFF }
    }
}

impl Encryption {
    /// No encryption at all.
    pub const OFF: Self = Self {
        omemo: false,
        otr: OtrPolicy::Never,
        trust: TrustPolicy::Blind,
        announce: false,
        trust_by_chat: false,
        plain_instead: false,
    };

    /// Returns the same for an account whose keys cannot be read: nothing is encrypted, and what must be is not sent.
    #[must_use]
    pub fn without_keys(self) -> Self {
        let otr = if self.otr == OtrPolicy::Require { OtrPolicy::Require } else { OtrPolicy::Never };
        Self { otr, plain_instead: self.plain_instead, ..Self::OFF }
    }

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
        Ok(Self {
            omemo: section.flag("omemo")?.unwrap_or(before.omemo),
            otr: OtrPolicy::read(section, "encryption.otr")?.unwrap_or(before.otr),
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
