//! Blocked addresses (XEP-0191), and the reports that may go with a block (XEP-0377).

use jid::Jid;

/// The feature of a server that blocks addresses, and its namespace.
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// The feature of a server that takes reports, and its namespace.
pub const REPORTING: &str = "urn:xmpp:reporting:1";
/// Maximum number of blocked addresses that are read.
pub const MAX_BLOCKED: usize = 10_000;

/// The reason for a report (XEP-0377).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// Unsolicited messages.
    Spam,
    /// Other abuse.
    Abuse,
}

impl ReportKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Spam, Self::Abuse];

    /// Returns the word for it in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spam => "spam",
            Self::Abuse => "abuse",
        }
    }

    /// Returns the reason as the server reads it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Spam => "urn:xmpp:reporting:spam",
            Self::Abuse => "urn:xmpp:reporting:abuse",
        }
    }
}

/// A report of somebody to the own server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its reason.
    pub kind: ReportKind,
    /// A remark for the operators of the server.
    pub text: Option<String>,
    /// The reported messages: the entity that assigned each id, and the id (XEP-0359).
    pub stanza_ids: Vec<(Jid, String)>,
}

impl Report {
    /// Returns about how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let one = |(by, id): &(Jid, String)| size_of::<(Jid, String)>() + by.as_str().len() + id.len();
        self.text.as_ref().map_or(0, String::len) + self.stanza_ids.iter().map(one).sum::<usize>()
    }
}
