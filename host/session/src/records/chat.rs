//! An open chat, as readers see it.

use std::sync::Arc;

use jid::BareJid;
use jiff::Timestamp;

use super::card::KnownCard;
use super::encryption::OtrStatus;
use super::view::View;

/// An open private chat. Fields as in `chat` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Chat {
    pub jid: BareJid,
    pub fullname: String,
    pub opened: Timestamp,
    pub view: View,
    /// Exact to a minute.
    pub last_active: Option<Timestamp>,
    pub otr_status: OtrStatus,
    /// The other side's vCard, once it was fetched.
    pub card: Option<Arc<KnownCard>>,
}
