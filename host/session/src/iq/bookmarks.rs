//! Pending requests about bookmarks.

use jid::BareJid;
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::types::{Bookmark, BookmarkPlace};

use crate::answer::Answer;
use crate::effect::Effect;

/// The purpose of a pending request about bookmarks.
#[derive(Debug)]
pub(crate) enum BookmarkIq {
    /// Get those in this place, after the answers of newer places.
    All { place: BookmarkPlace, newer: Newer },
    /// Store one, for a plugin.
    Set { bookmark: Box<Bookmark>, step: Publishing, answer: Answer<()> },
    /// Remove one, for a plugin.
    Remove(BareJid, Answer<()>),
    /// Copy one from an older place to the newer one.
    Carry(BareJid),
}

impl BookmarkIq {
    /// Returns whether a plugin asked that has ended.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::All { .. } | Self::Carry(_) => false,
            Self::Set { answer, .. } | Self::Remove(_, answer) => answer.is_abandoned(),
        }
    }

    /// Ends the request, because the stream is gone.
    pub(super) fn end(self, out: &mut Vec<Effect>) {
        match self {
            Self::All { .. } | Self::Carry(_) => {}
            Self::Set { answer, .. } | Self::Remove(_, answer) => {
                out.push(Effect::answer(answer, Err(CallError::Offline)));
            }
        }
    }
}

/// The answers of the places that were asked so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Newer {
    /// The server has none of these places.
    Nowhere,
    /// At least one exists, and none has bookmarks.
    Empty,
    /// At least one may have bookmarks, but did not answer.
    Unsaid,
}

impl Newer {
    pub(crate) fn and(self, error: &StanzaError) -> Self {
        match error.condition.as_str() {
            "item-not-found" if self != Self::Unsaid => Self::Empty,
            "item-not-found" | "service-unavailable" | "feature-not-implemented" | "forbidden" => self,
            _ => Self::Unsaid,
        }
    }
}

/// The progress of storing a bookmark.
///
/// It is published with the options that the node needs. If the server does not know all of them, it is first asked to
/// configure the node: otherwise the node may hold a single item and forget the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publishing {
    /// Publish at once, with the options.
    AtOnce,
    /// Configure the node first.
    Preparing { counted: bool },
    /// Create the node first.
    Creating { counted: bool },
    /// Publish in a node that is ready.
    Prepared,
}

impl Publishing {
    /// Returns the next step if the server refuses this one. Openfire does not know the value for an unlimited number
    /// of items, and needs a number.
    pub(crate) fn otherwise(self, error: &StanzaError) -> Option<Self> {
        match self {
            Self::AtOnce => Some(Self::Preparing { counted: false }),
            Self::Preparing { counted } if error.condition == "item-not-found" => Some(Self::Creating { counted }),
            Self::Preparing { counted: false } => Some(Self::Preparing { counted: true }),
            Self::Creating { counted: false } => Some(Self::Creating { counted: true }),
            Self::Preparing { counted: true } | Self::Creating { counted: true } | Self::Prepared => None,
        }
    }
}
