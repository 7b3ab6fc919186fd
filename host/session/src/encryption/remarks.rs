//! Remarks in the log about people in encrypted chats. Each is made once for each person, since they decide how often there is a reason.

use std::collections::HashSet;

use jid::BareJid;
use jiff::{SignedDuration, Timestamp};

/// How much the time in an envelope may differ from that of its stanza. Clocks of clients are wrong by hours and time zones, and some write
/// messages while they are offline.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);
/// Maximum number of remarks that are remembered. Beyond it, all are forgotten, so that each may be made again.
const MAX_MADE: usize = 1_024;

/// Something unusual about a person, which the log names. The first two are about envelopes of messages (XEP-0420).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Remark {
    /// A message was written long before or after it was sent.
    OtherTime,
    /// The person asks for messages without encryption.
    OptsOut,
    /// A message came plainly in a chat that is or has to be off the record.
    CamePlainly,
    /// The person lists more devices than get messages.
    ManyDevices,
    /// A device of the person has published keys that fail a check.
    InvalidKeys,
}

/// The remarks that were made.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    made: HashSet<(BareJid, Remark)>,
}

impl Remarks {
    /// Compares the time that an envelope names with that of its stanza (XEP-0420, section 4). A difference is a wrong clock, or somebody in
    /// between held the message back. The message is read in any case, since it would be lost otherwise; a session reads it only once.
    pub(super) fn compare(&mut self, account: Option<&str>, jid: &BareJid, written: Timestamp, sent: Timestamp) {
        if sent.duration_since(written).abs() > MARGIN && self.is_new(jid, Remark::OtherTime) {
            tracing::warn!(
                account, %jid, %written, %sent,
                "a person's message was written more than a day before or after it was sent, according to their client: its clock is \
                 wrong, or a server held the message back"
            );
        }
    }

    /// Notes that a person asks for messages without encryption (XEP-0384, section 5.7). That does not end the encryption of the chat, since
    /// only the owner may decide that.
    pub(super) fn opts_out(&mut self, account: Option<&str>, jid: &BareJid) {
        if self.is_new(jid, Remark::OptsOut) {
            tracing::warn!(account, %jid, "a person asks for messages without encryption; the chat stays encrypted");
        }
    }

    /// Returns whether a remark about a person was made.
    #[cfg(test)]
    pub(crate) fn has(&self, jid: &BareJid, remark: Remark) -> bool {
        self.made.contains(&(jid.clone(), remark))
    }

    /// Returns whether a remark was not made yet, and notes that it is.
    pub(super) fn is_new(&mut self, jid: &BareJid, remark: Remark) -> bool {
        if self.made.len() >= MAX_MADE {
            self.made.clear();
        }
        self.made.insert((jid.clone(), remark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_made_once_for_each_person_and_few_are_remembered() {
        let (mut remarks, juliet) = (Remarks::default(), "juliet@example.org".parse().unwrap());
        assert!(remarks.is_new(&juliet, Remark::OtherTime) && remarks.is_new(&juliet, Remark::OptsOut));
        assert!(!remarks.is_new(&juliet, Remark::OtherTime) && !remarks.is_new(&juliet, Remark::OptsOut));
        for number in 0..MAX_MADE {
            remarks.is_new(&format!("p{number}@example.org").parse().unwrap(), Remark::OtherTime);
            assert!(remarks.made.len() <= MAX_MADE);
        }
        assert!(remarks.is_new(&juliet, Remark::OtherTime));
    }
}
