//! Sessions and claims in `JetStream`: how they are written, and the times that all nodes must have.
//!
//! A message is a JSON object with the format in it. It replaces the one before on its subject.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use parlor_cluster::{Claim, Cpu, Key, Revision, Session, SessionId, SessionState, Timing, Token, Value};
use serde::{Deserialize, Serialize};

use crate::answer::{ANSWER, Stored};
use crate::away::{self, Away};
use crate::connect::Link;
use crate::drains;
use crate::error::{LogError, PutError, StartError, StateError};
use crate::log::last_token;
use crate::names::{self, Cluster};
use crate::queue::asked;
use crate::streams::{MOST_IN_THE_STATE, prepare_state};

/// The format that this version writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 1;
/// The maximum length of a node's name, and of an account's: an address has three parts of at most 1023 bytes.
pub(crate) const LONGEST_NODE: usize = 256;
const LONGEST_ACCOUNT: usize = 3071;
/// The largest token or renewal that is believed: they only count up from 0.
pub(crate) const HIGHEST: u64 = 1 << 53;
/// How often a record is written anew that somebody else changed at the same time.
const ATTEMPTS: usize = 3;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionRecord {
    format: u32,
    node: String,
    capacity: u32,
    beat: u64,
    state: StateName,
    /// The percentages of the CPU time that it uses, and of its capacity that it takes. Earlier versions did not write them.
    #[serde(default)]
    used: u32,
    #[serde(default = "whole")]
    share: u32,
}

/// The share of a node that takes as many accounts as its capacity says.
fn whole() -> u32 {
    100
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StateName {
    Open,
    Draining,
    Over,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimRecord {
    format: u32,
    account: String,
    /// The session, as in its subject.
    session: Option<String>,
    token: u64,
    weight: u32,
    /// The processes that lack the account, as in the subjects of their sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lacking: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimingRecord {
    format: u32,
    renewal_ms: u64,
    life_ms: u64,
    grace_ms: u64,
    drift: u32,
}

#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// The result of adding an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// The account was added. No node runs it yet.
    New,
    /// The account was there already.
    Present,
    /// No node may run it.
    Away(Away),
}

// The error says itself what its cause is. As its source, the cause would be shown twice.
impl From<PutError> for StateError {
    fn from(cause: PutError) -> Self {
        Self::Put(cause)
    }
}

/// The sessions and claims of a cluster.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) link: Link,
    pub(crate) cluster: Cluster,
}

impl State {
    /// Creates the stream, or checks it, and writes the times of the cluster, or compares them.
    pub async fn open(link: &Link, cluster: &Cluster, timing: Timing) -> Result<Self, StartError> {
        prepare_state(link, cluster).await?;
        let state = Self { link: link.clone(), cluster: cluster.clone() };
        state.agree(timing).await?;
        Ok(state)
    }

    /// Adds an account that nobody runs, unless it is there, or a host has taken it out of the cluster.
    pub async fn add(&self, account: &str, weight: u32) -> Result<Added, StateError> {
        self.add_with(account, weight, Token(0)).await
    }

    /// Same as [`Self::add`], after NATS has lost the state or a part of it. The log of the account may still be there: it would refuse
    /// nodes with lower tokens than its last holder had, so the token of an account that is there is raised as well.
    pub async fn add_after_loss(&self, account: &str, weight: u32) -> Result<Added, StateError> {
        let token = last_token(&self.link, &self.cluster, account).await.map_err(|error| match error {
            LogError::Put(error) => error,
            _ => PutError::Unknown,
        })?;
        self.add_with(account, weight, token.unwrap_or(Token(0))).await
    }

    async fn add_with(&self, account: &str, weight: u32, token: Token) -> Result<Added, StateError> {
        check_name("the account", account, LONGEST_ACCOUNT)?;
        let key = Key::Account(account.into());
        let claim = Claim { session: None, token, weight, lacking: Vec::new() };
        match self.put(&key, &Value::Claim(claim), 0, ANSWER).await {
            Ok(_) => Ok(Added::New),
            Err(PutError::Refused) => self.add_again(account, weight, token).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a record if its subject has this revision.
    pub(crate) async fn put(
        &self,
        key: &Key,
        value: &Value,
        expected: Revision,
        within: Duration,
    ) -> Result<Revision, PutError> {
        self.put_text(self.cluster.subject(key), encode(key, value), expected, within).await
    }

    pub(crate) async fn put_text(
        &self,
        subject: String,
        text: String,
        expected: Revision,
        within: Duration,
    ) -> Result<Revision, PutError> {
        let (stream, body) = (self.cluster.state_stream(), Bytes::from(text));
        self.link.put(&stream, subject, expected, HeaderMap::new(), body, within).await
    }

    /// Writes a record in the place of the one that is there, whatever that says.
    pub(crate) async fn overwrite(&self, subject: String, text: String) -> Result<(), StateError> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            let last = last_in_the_state(&self.link, &self.cluster, &subject).await?;
            let expected = last.map_or(0, |last| last.revision);
            match self.put_text(subject.clone(), text.clone(), expected, ANSWER).await {
                Ok(_) => return Ok(()),
                Err(PutError::Refused) if attempts.next().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the key and the value of a message.
    pub(crate) fn decode(&self, subject: &str, revision: Revision, body: &[u8]) -> Result<Decoded, StateError> {
        let prefix = format!("parlor.{}.state.", self.cluster);
        let place = subject.strip_prefix(&prefix).unwrap_or_default();
        let read = match place.split_once('.') {
            Some(("session", id)) => decode_session(id, body),
            Some(("account", hash)) if away::is_away(body) => {
                let unreadable = |cause| StateError::Unreadable { subject: subject.to_owned(), revision, cause };
                return away::decode(hash, body).map_err(unreadable);
            }
            Some(("account", hash)) => decode_claim(hash, body),
            Some(("drain", hash)) => {
                let unreadable = |cause| StateError::Unreadable { subject: subject.to_owned(), revision, cause };
                return drains::decode(hash, body).map_err(unreadable);
            }
            // Other things of a cluster are kept there as well.
            _ => return Ok(Decoded::Other),
        };
        let unreadable = |cause| StateError::Unreadable { subject: subject.to_owned(), revision, cause };
        read.map(|(key, value)| Decoded::Record(key, value)).map_err(unreadable)
    }

    /// Returns the time by the clock of NATS, in seconds since 1970. The clock of a node may be wrong by hours.
    pub(crate) async fn time_of_nats(&self) -> Result<u64, StateError> {
        let (name, subject) = (self.cluster.state_stream(), self.cluster.pulse_subject());
        self.link.touch(&name, subject.clone(), ANSWER).await?;
        let silent = || StateError::Silent(self.cluster.to_string());
        let stream = asked(self.link.jetstream.get_stream_no_info(name)).await.map_err(|_| silent())?;
        let last = asked(stream.get_last_raw_message_by_subject(&subject)).await.map_err(|_| silent())?;
        Ok(u64::try_from(last.time.unix_timestamp()).unwrap_or(0))
    }

    /// Returns the session whose record is on this subject, if it is one of a session.
    pub(crate) fn session_of(&self, subject: &str) -> Option<SessionId> {
        session_id(subject.strip_prefix(self.cluster.session_subjects().trim_end_matches('>'))?)
    }

    /// Writes the times of the cluster, or compares them with those that are there.
    async fn agree(&self, timing: Timing) -> Result<(), StateError> {
        let subject = self.cluster.timing_subject();
        let own = encode_timing(timing);
        let text = serde_json::to_string(&own).unwrap_or_default();
        match self.put_text(subject.clone(), text, 0, ANSWER).await {
            Ok(_) => return Ok(()),
            Err(PutError::Refused) => {}
            Err(error) => return Err(error.into()),
        }
        let last = last_in_the_state(&self.link, &self.cluster, &subject).await?;
        let stored = last.ok_or(PutError::Unknown)?;
        let unreadable = |cause| StateError::Unreadable { subject, revision: stored.revision, cause };
        let found: TimingRecord = parse(&stored.body).map_err(unreadable)?;
        if found != own {
            let cluster = self.cluster.to_string();
            return Err(StateError::Timing { cluster, found: found.words(), own: own.words() });
        }
        Ok(())
    }
}

impl TimingRecord {
    fn words(&self) -> String {
        let Self { renewal_ms, life_ms, grace_ms, drift, .. } = self;
        format!("renewal {renewal_ms} ms, life {life_ms} ms, grace {grace_ms} ms, drift {drift} in a thousand")
    }
}

/// A message of the state, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Record(Key, Value),
    /// No node may run this account.
    Away(Arc<str>, Away),
    /// The node with this hash is to be drained, or not any more.
    Drain(String, bool),
    /// Nothing for nodes.
    Other,
}

/// Checks a name before it is written into the state.
pub(crate) fn check_node(node: &str) -> Result<(), StateError> {
    check_name("the node", node, LONGEST_NODE)
}

fn check_name(what: &'static str, name: &str, most: usize) -> Result<(), StateError> {
    if name.is_empty() || name.len() > most {
        return Err(StateError::Name { what, name: name.chars().take(64).collect(), most });
    }
    Ok(())
}

/// Checks a name that owners are shown. Anybody at NATS can write one, and with line feeds it could pass for lines of parlor.
pub(crate) fn check_shown(name: &str) -> Result<(), String> {
    if name.chars().any(char::is_control) {
        return Err("the name in it has control characters".to_owned());
    }
    Ok(())
}

fn encode(key: &Key, value: &Value) -> String {
    let text = match (key, value) {
        (_, Value::Session(Session { node, capacity, beat, state, cpu: Cpu { used, share } })) => {
            let state = match state {
                SessionState::Open => StateName::Open,
                SessionState::Draining => StateName::Draining,
                SessionState::Over => StateName::Over,
            };
            let (node, capacity, beat, used, share) = (node.to_string(), *capacity, *beat, *used, *share);
            serde_json::to_string(&SessionRecord { format: FORMAT, node, capacity, beat, state, used, share })
        }
        (Key::Account(account), Value::Claim(Claim { session, token, weight, lacking })) => {
            let lacking = lacking.iter().map(|process| format!("{process:016x}")).collect();
            let session = session.map(|id| format!("{:016x}.{}", id.process, id.number));
            let (account, token, weight) = (account.to_string(), token.0, *weight);
            serde_json::to_string(&ClaimRecord { format: FORMAT, account, session, token, weight, lacking })
        }
        (Key::Session(_), Value::Claim(_)) => unreachable!("a session has no claim as its record"),
    };
    text.unwrap_or_default()
}

fn decode_session(id: &str, body: &[u8]) -> Result<(Key, Value), String> {
    let id = session_id(id).ok_or("its subject names no session")?;
    let SessionRecord { node, capacity, beat, state, used, share, format: _ } = parse(body)?;
    if node.len() > LONGEST_NODE {
        return Err("the name of its node is too long".to_owned());
    }
    check_shown(&node)?;
    if beat > HIGHEST {
        return Err("its renewal has a number that nobody counts to".to_owned());
    }
    if used > 100 || !(1..=100).contains(&share) {
        return Err("its CPU time or its share of the accounts is no percentage".to_owned());
    }
    let state = match state {
        StateName::Open => SessionState::Open,
        StateName::Draining => SessionState::Draining,
        StateName::Over => SessionState::Over,
    };
    let cpu = Cpu { used, share };
    Ok((Key::Session(id), Value::Session(Session { node: node.into(), capacity, beat, state, cpu })))
}

fn decode_claim(hash: &str, body: &[u8]) -> Result<(Key, Value), String> {
    let ClaimRecord { account, session, token, weight, lacking, .. } = parse(body)?;
    if account.len() > LONGEST_ACCOUNT || names::hash(&account) != hash {
        return Err("it names another account than its subject".to_owned());
    }
    check_shown(&account)?;
    if token > HIGHEST {
        return Err("its token is one that nobody counts to".to_owned());
    }
    let session = match session {
        Some(id) => Some(session_id(&id).ok_or("it names no session")?),
        None => None,
    };
    let process =
        |text: &String| u64::from_str_radix(text, 16).ok().filter(|process| format!("{process:016x}") == *text);
    let lacking = lacking.iter().map(process).collect::<Option<_>>().ok_or("it names no process")?;
    Ok((Key::Account(account.into()), Value::Claim(Claim { session, token: Token(token), weight, lacking })))
}

/// Returns the last record of the state on this subject.
pub(crate) async fn last_in_the_state(
    link: &Link,
    cluster: &Cluster,
    subject: &str,
) -> Result<Option<Stored>, StateError> {
    Ok(link.stored(&cluster.state_stream(), subject).await?)
}

/// Reads a record of the usual format.
pub(crate) fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, String> {
    parse_format(body, FORMAT)
}

/// Returns the format of a record; `None` if it has none.
pub(crate) fn format_of(body: &[u8]) -> Option<u32> {
    Some(serde_json::from_slice::<AnyFormat>(body).ok()?.format)
}

/// Reads a record of this format.
pub(crate) fn parse_format<T: for<'a> Deserialize<'a>>(body: &[u8], expected: u32) -> Result<T, String> {
    if body.len() > usize::try_from(MOST_IN_THE_STATE).unwrap_or(0) {
        return Err("it is too large".to_owned());
    }
    let AnyFormat { format } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if format != expected {
        return Err(format!("it has the format {format}, and this version of parlor reads format {expected}"));
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// Reads a session's id, which has one way of being written.
fn session_id(text: &str) -> Option<SessionId> {
    let (process, number) = text.split_once('.')?;
    let id = SessionId { process: u64::from_str_radix(process, 16).ok()?, number: number.parse().ok()? };
    (format!("{:016x}.{}", id.process, id.number) == text).then_some(id)
}

fn encode_timing(timing: Timing) -> TimingRecord {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    TimingRecord {
        format: FORMAT,
        renewal_ms: ms(timing.renewal()),
        life_ms: ms(timing.life()),
        grace_ms: ms(timing.grace()),
        drift: timing.drift(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::KeyRing;

    fn names() -> Cluster {
        let (_, line) = KeyRing::generate();
        Cluster::new("c", KeyRing::parse(&line).unwrap()).unwrap()
    }

    fn decode(subject: &str, body: &[u8]) -> Result<Option<(Key, Value)>, String> {
        let place = subject.strip_prefix("parlor.c.state.").unwrap();
        match place.split_once('.').unwrap() {
            ("session", id) => decode_session(id, body).map(Some),
            ("account", hash) => decode_claim(hash, body).map(Some),
            _ => Ok(None),
        }
    }

    fn session(beat: u64, state: SessionState) -> (Key, Value) {
        let id = SessionId { process: 0xab, number: 3 };
        let cpu = Cpu { used: 93, share: 64 };
        (Key::Session(id), Value::Session(Session { node: "node \"1\"".into(), capacity: 7, beat, state, cpu }))
    }

    fn claim(account: &str, session: Option<SessionId>) -> (Key, Value) {
        (Key::Account(account.into()), Value::Claim(Claim { session, token: Token(9), weight: 2, lacking: Vec::new() }))
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let id = SessionId { process: u64::MAX, number: u32::MAX };
        let lacked = Claim { session: None, token: Token(9), weight: 2, lacking: vec![7, u64::MAX] };
        let lacked = Value::Claim(lacked);
        let records = [
            session(1, SessionState::Open),
            session(2, SessionState::Draining),
            session(HIGHEST, SessionState::Over),
            claim("bot@example.org", None),
            claim("ä@example.org", Some(id)),
            (Key::Account("bot@example.org".into()), lacked),
        ];
        for (key, value) in records {
            let subject = names().subject(&key);
            assert_eq!(decode(&subject, encode(&key, &value).as_bytes()), Ok(Some((key, value))), "{subject}");
        }
    }

    #[test]
    fn what_nobody_writes_is_an_error() {
        let (key, value) = claim("bot@example.org", None);
        let (text, subject) = (encode(&key, &value), names().subject(&key));
        let other = names().subject(&Key::Account("other@example.org".into()));
        let (lines, claimed) = claim("bot@example.org\nbot@example.net", None);
        let (of_lines, lines) = (names().subject(&lines), encode(&lines, &claimed));
        let (named, session) = session(1, SessionState::Open);
        let (of_session, text_of) = (names().subject(&named), encode(&named, &session));
        let session = text_of.replace("1\\\"", "1\\n2");
        let wrong = [
            (other.as_str(), text.clone(), "another account"),
            (&subject, text.replace("\"format\":1", "\"format\":2"), "format 2"),
            (&subject, text.replace("\"token\":9", "\"token\":18446744073709551615"), "counts to"),
            (&subject, text.replace("\"session\":null", "\"session\":\"AB.1\""), "names no session"),
            (&subject, text.replace('}', ",\"lacking\":[\"7\"]}"), "names no process"),
            (&subject, text.replace('{', "{\"more\":1,"), "unknown field"),
            (&of_lines, lines, "control characters"),
            (&of_session, text_of.replace(":93", ":101"), "no percentage"),
            (&of_session, text_of.replace(":64", ":0"), "no percentage"),
            (&of_session, session, "control characters"),
            (&subject, " ".repeat(9000), "too large"),
            (&subject, String::new(), "EOF"),
            ("parlor.c.state.session.1.2", text.clone(), "no session"),
            ("parlor.c.state.session.00000000000000ab.3", text.clone(), "missing field"),
        ];
        for (subject, text, cause) in wrong {
            let error = decode(subject, text.as_bytes()).unwrap_err();
            assert!(error.contains(cause) || error.contains("unknown field"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_message_is_a_record_or_an_error(id in "[0-9a-f.]{0,40}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_session(&id, &body);
            let _ = decode_claim(&id, &body);
        }
    }
}
