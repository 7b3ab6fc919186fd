//! A request (IQ) of somebody that a plugin answers.

use jid::Jid;

/// A request in a namespace that a plugin answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct IqRequest {
    pub id: String,
    pub from: Jid,
    pub is_set: bool,
    pub namespace: String,
    pub name: String,
    pub xml: String,
}

impl IqRequest {
    /// Returns about how many bytes of memory its texts take.
    pub fn bytes(&self) -> usize {
        self.from.as_str().len() + self.namespace.len() + self.name.len() + self.xml.len()
    }
}
