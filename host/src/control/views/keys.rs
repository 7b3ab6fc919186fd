//! The JSON types about keys for encrypted messages. Nothing in them is secret.

use std::collections::BTreeMap;

use parlor_session::grouped;
use serde::{Deserialize, Serialize};

/// The encryption settings of an account, and its figures since the host started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// Whether OMEMO is on.
    pub omemo: bool,
    /// Whether OTR is allowed.
    pub otr: bool,
    /// The policy for keys without a decision of the owner: `blind` or `strict`.
    pub trust: String,
    /// The account's own OMEMO device; none if OMEMO is off, or the device is not made yet.
    pub device: Option<u32>,
    /// Whether the server has published that device and its keys.
    pub published: bool,
    /// The number of keys of others that the account knows.
    pub known: u64,
    /// Messages that were decrypted.
    pub decrypted: u64,
    /// Encrypted messages for the account that could not be decrypted.
    pub undecryptable: u64,
    /// Messages that were sent encrypted.
    pub encrypted: u64,
}

impl Encryption {
    /// Describes it in one clause.
    pub fn says(&self) -> String {
        let omemo = match (self.omemo, self.device, self.published) {
            (false, ..) => "OMEMO is off".to_owned(),
            (true, None, _) => "OMEMO is on, no device yet".to_owned(),
            (true, Some(device), true) => format!("OMEMO is on, device {device} is published"),
            (true, Some(device), false) => format!("OMEMO is on, device {device} is not published"),
        };
        let otr = if self.otr { "OTR is allowed" } else { "OTR is off" };
        if !self.omemo && !self.otr {
            return format!("{omemo}, {otr}");
        }
        let Self { trust, decrypted, undecryptable, encrypted, .. } = self;
        format!("{omemo}, {otr}, {trust} trust; {decrypted} decrypted, {undecryptable} undecryptable, {encrypted} sent")
    }

    /// Describes what accounts may have in common, in a clause: it has no counts, and no number of a device.
    pub fn kind(&self) -> String {
        let omemo = match (self.omemo, self.device.is_some(), self.published) {
            (false, ..) => "OMEMO is off",
            (true, false, _) => "OMEMO is on, no device yet",
            (true, true, true) => "OMEMO is on, its device is published",
            (true, true, false) => "OMEMO is on, its device is not published",
        };
        let otr = if self.otr { "OTR is allowed" } else { "OTR is off" };
        if self.omemo || self.otr { format!("{omemo}, {otr}, {} trust", self.trust) } else { format!("{omemo}, {otr}") }
    }
}

/// The keys of an account, and those of others that it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The account.
    pub account: String,
    /// The node of a cluster that has that account; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its JID.
    pub jid: String,
    /// The policy for keys without a decision of the owner: `blind` or `strict`.
    pub policy: String,
    /// Its own OMEMO key; none if OMEMO is off.
    pub omemo: Option<OwnOmemo>,
    /// The fingerprint of its own OTR key; none if OTR is off, or was not used yet.
    pub otr: Option<String>,
    /// When its chats use OTR: `allow`, `require` or `never`. Empty if the host is older than this program.
    #[serde(default)]
    pub otr_policy: String,
    /// The policies for OTR with people who have one of their own, by JID.
    #[serde(default)]
    pub otr_people: BTreeMap<String, String>,
    /// The keys of others, ordered by person.
    pub keys: Vec<Key>,
    /// The comparisons of secrets that have no result yet. A host that is older than this program names none.
    #[serde(default)]
    pub comparisons: Vec<Comparison>,
}

/// A comparison of secrets, off the record, that has no result yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Its number, by which an answer names it.
    pub number: u64,
    /// The person.
    pub jid: String,
    /// The fingerprint of that person's key.
    pub fingerprint: String,
    /// The question about the secret, which that person chose if `asked`.
    pub question: Option<String>,
    /// Whether that person waits for the owner's answer.
    pub asked: bool,
    /// When it was asked for, RFC 3339.
    pub since: String,
}

/// The result of a comparison of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The account.
    pub account: String,
    /// The person.
    pub jid: String,
    /// The fingerprint of that person's key.
    pub fingerprint: String,
    /// `same`, `different`, `aborted` or `timed-out`.
    pub outcome: String,
    /// The trust in the key now: `undecided`, `blind`, `trusted` or `distrusted`.
    pub trust: String,
}

/// The own OMEMO key of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnOmemo {
    /// The id of its device.
    pub device: u32,
    /// The fingerprint, 64 hex digits.
    pub fingerprint: String,
    /// Whether the server has published it.
    pub published: bool,
}

/// A key of another person or device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The person; the account's own JID for its other clients.
    pub jid: String,
    /// `omemo` or `otr`.
    pub kind: String,
    /// The id of the device; none for OTR.
    pub device: Option<u32>,
    /// The fingerprint, 64 hex digits for OMEMO and 40 for OTR.
    pub fingerprint: String,
    /// The person's name for the device.
    pub label: Option<String>,
    /// `undecided`, `blind`, `trusted` or `distrusted`.
    pub trust: String,
    /// When the account first saw it, RFC 3339.
    pub first_seen: String,
    /// When the account last saw it, RFC 3339.
    pub last_seen: String,
    /// Whether the device is in the person's list now, or the OTR conversation is open.
    pub listed: bool,
}

impl Keys {
    /// Describes the policy for OTR that counts for all people who have none of their own. `None` if it is the default.
    pub fn otr_says(&self) -> Option<&'static str> {
        Some(&*self.otr_policy).filter(|policy| *policy != "allow").and_then(otr_says)
    }

    /// Describes the policy for OTR with a person, if they have one of their own.
    pub fn otr_with(&self, jid: &str) -> Option<&'static str> {
        otr_says(self.otr_people.get(jid)?)
    }
}

/// Describes a policy for OTR.
fn otr_says(policy: &str) -> Option<&'static str> {
    match policy {
        "allow" => Some("OTR allowed"),
        "require" => Some("OTR required"),
        "never" => Some("OTR off"),
        _ => None,
    }
}

impl Key {
    /// Names it for people.
    pub fn name(&self) -> String {
        match self.device {
            Some(device) => format!("OMEMO device {device}"),
            None => "OTR".to_owned(),
        }
    }
}

/// Writes a fingerprint as clients show it: in groups of eight digits, and that of OTR in capitals.
pub fn shown(fingerprint: &str) -> String {
    /// The number of digits of OMEMO's fingerprints; those of OTR have fewer.
    const OMEMO: usize = 64;
    let text = grouped(fingerprint);
    if fingerprint.len() < OMEMO { text.to_uppercase() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_shown_as_clients_show_it() {
        let omemo = "0123456789abcdef".repeat(4);
        assert_eq!(shown(&omemo), ["01234567 89abcdef"; 4].join(" "));
        assert_eq!(shown(&"ab".repeat(20)), ["ABABABAB"; 5].join(" "));
        assert_eq!(shown(""), "");
    }

    /// The suite's host knows no keys of people, so it cannot compare these fields with the page for owners.
    #[test]
    fn the_page_names_the_fields_of_a_key() {
        let key = Key {
            jid: "juliet@example.org".to_owned(),
            kind: "omemo".to_owned(),
            device: Some(31_415),
            fingerprint: "0123abcd".repeat(8),
            label: None,
            trust: "blind".to_owned(),
            first_seen: "2026-11-20T08:00:00Z".to_owned(),
            last_seen: "2026-11-20T08:00:00Z".to_owned(),
            listed: true,
        };
        assert_eq!(fields(&key), named("A key of somebody"));
    }

    #[test]
    fn the_page_names_the_fields_of_a_comparison() {
        let (jid, fingerprint) = ("juliet@example.org".to_owned(), "0123abcd".repeat(5));
        let open = Comparison {
            number: 1,
            jid: jid.clone(),
            fingerprint: fingerprint.clone(),
            question: None,
            asked: true,
            since: "2026-11-20T08:00:00Z".to_owned(),
        };
        assert_eq!(fields(&open), named("A comparison that has no result yet"));
        let [account, outcome, trust] = ["main", "same", "trusted"].map(str::to_owned);
        let compared = Compared { account, jid, fingerprint, outcome, trust };
        assert_eq!(fields(&compared), named("A comparison of secrets"));
    }

    /// Returns the fields that a section of the page for owners names.
    fn named(heading: &str) -> Vec<String> {
        let page = include_str!("../../../../docs/owner/control.md");
        let section = page.split(&format!("\n### {heading}\n")).nth(1).unwrap();
        let section = section.split("\n###").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut named: Vec<_> = rows.map(str::to_owned).collect();
        named.sort_unstable();
        named
    }

    fn fields(value: &impl Serialize) -> Vec<String> {
        let value = serde_json::to_value(value).unwrap();
        let mut fields: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        fields.sort_unstable();
        fields
    }

    #[test]
    fn how_an_account_encrypts_is_one_clause() {
        let mut encryption = Encryption {
            omemo: true,
            otr: false,
            trust: "blind".to_owned(),
            device: Some(27_183),
            published: true,
            known: 3,
            decrypted: 12,
            undecryptable: 1,
            encrypted: 7,
        };
        let says =
            "OMEMO is on, device 27183 is published, OTR is off, blind trust; 12 decrypted, 1 undecryptable, 7 sent";
        assert_eq!(encryption.says(), says);
        assert_eq!(encryption.kind(), "OMEMO is on, its device is published, OTR is off, blind trust");
        encryption.published = false;
        assert!(encryption.says().contains("device 27183 is not published"), "{}", encryption.says());
        encryption.device = None;
        assert!(encryption.says().contains("no device yet"), "{}", encryption.says());
        encryption.omemo = false;
        assert_eq!([encryption.says(), encryption.kind()], ["OMEMO is off, OTR is off"; 2]);
    }
}
