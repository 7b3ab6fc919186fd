//! The stanzas that one entry of a scope covers: a kind, with a recipient or for all of them.

use std::fmt;

use super::error::BadScope;
use super::pattern::Pattern;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StanzaPattern {
    pub(super) kind: StanzaKind,
    pub(super) to: Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StanzaKind {
    Message,
    Presence,
    Iq,
}

impl StanzaPattern {
    pub(super) fn parse(entry: &str) -> Result<Self, BadScope> {
        let (name, to) = entry.split_once(':').map_or((entry, None), |(name, to)| (name, Some(to)));
        let kind = StanzaKind::parse(name).ok_or_else(|| BadScope::NoStanzaKind(name.chars().take(64).collect()))?;
        let behind = |reason| BadScope::Recipient { kind: name.to_owned(), reason: Box::new(reason) };
        let to = to.map_or(Ok(Pattern::Everybody), Pattern::parse_person).map_err(behind)?;
        Ok(Self { kind, to })
    }
}

impl fmt::Display for StanzaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        match &self.to {
            Pattern::Everybody => f.write_str(kind),
            to => write!(f, "{kind}:{to}"),
        }
    }
}

impl StanzaKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }

    pub(super) fn parse(kind: &str) -> Option<Self> {
        match kind {
            "message" => Some(Self::Message),
            "presence" => Some(Self::Presence),
            "iq" => Some(Self::Iq),
            _ => None,
        }
    }
}
