//! A pending change of a contact.

use jid::BareJid;
use parlor_stanza::types::RosterItem;

use crate::answer::Answer;

/// A change that the server has yet to answer.
#[derive(Debug)]
pub(crate) struct ContactIq {
    pub(crate) jid: BareJid,
    /// The requested entry. None: the answer is a push, since nothing answers presence.
    pub(crate) item: Option<RosterItem>,
    /// Whether to ask for its presence once it is in the roster, if it is not seen.
    pub(crate) subscribe: bool,
    /// Whether a push already reported this contact, so that the answer is not applied.
    pub(crate) pushed: bool,
    /// Its place among the changes of this contact.
    pub(crate) number: u64,
    /// Whether a later change was answered.
    pub(crate) overtaken: bool,
    pub(crate) answer: Answer<()>,
}

impl ContactIq {
    /// Returns whether it removes the contact.
    pub(crate) fn removes(&self) -> bool {
        self.item.as_ref().is_some_and(|item| item.subscription == "remove")
    }
}
