//! Accounts that no node may run: they are on their way into the cluster or out of it, or are not in it any more.
//!
//! The record takes the place of the account's claim, and stays. It keeps the token, which never goes back: a node that still acts by
//! an old claim is refused. It has no time: a command that was killed is run again.

use std::sync::Arc;
use std::time::Duration;

use parlor_cluster::{Claim, Cpu, Key, Revision, Session, SessionId, SessionState, Token, Value};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::answer::{ANSWER, Stored};
use crate::clock;
use crate::error::{PutError, StateError};
use crate::names;
use crate::state::{Added, Decoded, FORMAT, State, check_shown, parse};

/// How often a session is looked at that may have ended.
const PAUSE: Duration = Duration::from_millis(100);
/// How often an account is added that somebody else changes at the same time.
const ATTEMPTS: usize = 3;
/// The maximum length of the name of a move.
const LONGEST_MARK: usize = 64;

/// The reason why no node may run an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Away {
    /// A host is moving it into the cluster.
    Importing,
    /// A host is taking it out of the cluster.
    Exporting,
    /// A host took it out of the cluster, and runs it alone.
    Exported,
    /// It is being removed.
    Removing,
    /// It was removed. It may be added again, and begins with nothing.
    Removed,
}

impl Away {
    /// Returns whether nothing of the account is left in the cluster.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Exported | Self::Removed)
    }
}

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Importing => "it is being imported",
            Self::Exporting => "it is being exported",
            Self::Exported => "it was exported",
            Self::Removing => "it is being removed",
            Self::Removed => "it was removed",
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwayRecord {
    format: u32,
    account: String,
    token: u64,
    away: Away,
    /// The name of the move, which the file of the host has as well.
    mark: String,
}

#[derive(Deserialize)]
struct AnyAccount {
    away: Option<serde::de::IgnoredAny>,
}

/// The record of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Unknown,
    /// Nodes may run it.
    Claimed(Claim),
    /// No node may run it.
    Away { why: Away, token: Token, mark: String },
}

/// Whether a session lives.
enum Life {
    /// The node of this name renewed it.
    Renewed(Arc<str>),
    /// Nobody renewed it for long enough. Its record has this revision.
    Silent(Session, Revision),
    /// It has no record.
    Gone,
    Over,
}

impl Standing {
    /// Returns the token that the next holder must have at least.
    pub(crate) fn next_token(&self) -> Token {
        match self {
            Self::Unknown => Token(1),
            Self::Claimed(Claim { token, .. }) | Self::Away { token, .. } => token.next(),
        }
    }
}

/// Returns the session that takes the place of one whose record cannot be read. It has no node that is known.
fn unreadable() -> Session {
    Session { node: "".into(), capacity: 0, beat: 0, state: SessionState::Draining, cpu: Cpu::default() }
}

/// Returns whether a record of an account is one of these.
pub(crate) fn is_away(body: &[u8]) -> bool {
    serde_json::from_slice::<AnyAccount>(body).is_ok_and(|any| any.away.is_some())
}

/// Reads a record.
pub(crate) fn decode(hash: &str, body: &[u8]) -> Result<Decoded, String> {
    let (account, why, ..) = read(hash, body)?;
    Ok(Decoded::Away(account.into(), why))
}

fn read(hash: &str, body: &[u8]) -> Result<(String, Away, Token, String), String> {
    let AwayRecord { account, token, away, mark, .. } = parse(body)?;
    if names::hash(&account) != hash {
        return Err("it names another account than its subject".to_owned());
    }
    check_shown(&account)?;
    if token > crate::state::HIGHEST {
        return Err("its token is one that nobody counts to".to_owned());
    }
    if mark.len() > LONGEST_MARK {
        return Err("the name of its move is too long".to_owned());
    }
    Ok((account, away, Token(token), mark))
}

impl State {
    /// Returns the record of an account, with its revision.
    pub(crate) async fn standing(&self, account: &str) -> Result<(Standing, Revision), StateError> {
        let subject = self.cluster.subject(&Key::Account(account.into()));
        let Some(stored) = self.stored(&subject).await? else { return Ok((Standing::Unknown, 0)) };
        let unreadable = |cause| StateError::Unreadable { subject: subject.clone(), revision: stored.revision, cause };
        if is_away(&stored.body) {
            let (_, why, token, mark) = read(&names::hash(account), &stored.body).map_err(unreadable)?;
            return Ok((Standing::Away { why, token, mark }, stored.revision));
        }
        match self.decode(&subject, stored.revision, &stored.body)? {
            Decoded::Record(_, Value::Claim(claim)) => Ok((Standing::Claimed(claim), stored.revision)),
            _ => Err(unreadable("it is no record of an account".to_owned())),
        }
    }

    /// Returns why no node may run this account, if so.
    pub async fn away(&self, account: &str) -> Result<Option<Away>, StateError> {
        let (standing, _) = self.standing(account).await?;
        Ok(if let Standing::Away { why, .. } = standing { Some(why) } else { None })
    }

    /// Keeps all nodes from running an account, if its record has this revision.
    pub(crate) async fn put_away(
        &self,
        account: &str,
        (why, token, mark): (Away, Token, &str),
        expected: Revision,
    ) -> Result<Revision, PutError> {
        let (account, mark, subject) =
            (account.to_owned(), mark.to_owned(), self.cluster.subject(&Key::Account(account.into())));
        let record = AwayRecord { format: FORMAT, account, token: token.0, away: why, mark };
        self.put_text(subject, serde_json::to_string(&record).unwrap_or_default(), expected, ANSWER).await
    }

    /// Lets nodes run an account, if its record has this revision.
    pub(crate) async fn put_free(
        &self,
        account: &str,
        token: Token,
        weight: u32,
        expected: Revision,
    ) -> Result<Revision, PutError> {
        let claim = Claim { session: None, token, weight, lacking: Vec::new() };
        self.put(&Key::Account(account.into()), &Value::Claim(claim), expected, ANSWER).await
    }

    /// Adds an account whose record is there already, if it was removed. Its token is then at least `lowest`, which is that of the last
    /// record of its log. If the account is in the cluster with a lower token, the token is raised, since the log refuses the lower one.
    pub(crate) async fn add_again(&self, account: &str, weight: u32, lowest: Token) -> Result<Added, StateError> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            let (standing, revision) = self.standing(account).await?;
            let (added, claim) = match standing {
                Standing::Away { why: Away::Removed, token, .. } => {
                    (Added::New, Claim { session: None, token: token.max(lowest), weight, lacking: Vec::new() })
                }
                Standing::Away { why, .. } => return Ok(Added::Away(why)),
                // Only the node of its session may start it with the raised token. For any other, an earlier holder might still act.
                Standing::Claimed(claim) if claim.token < lowest => {
                    (Added::Present, Claim { token: lowest.next(), ..claim })
                }
                Standing::Claimed(_) => return Ok(Added::Present),
                Standing::Unknown => (Added::New, Claim { session: None, token: lowest, weight, lacking: Vec::new() }),
            };
            match self.put(&Key::Account(account.into()), &Value::Claim(claim), revision, ANSWER).await {
                Ok(_) => return Ok(added),
                Err(PutError::Refused) if attempts.next().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the name of the node that has this session, if it lives. Otherwise it is over on return.
    pub(crate) async fn living_node(&self, id: SessionId, patience: Duration) -> Result<Option<Arc<str>>, StateError> {
        loop {
            let (session, seen) = match self.life(id, patience).await? {
                Life::Renewed(node) => return Ok(Some(node)),
                Life::Over => return Ok(None),
                Life::Gone => {
                    if self.has_no_session(id).await? {
                        return Ok(None);
                    }
                    continue;
                }
                Life::Silent(session, seen) => (session, seen),
            };
            let over = Value::Session(Session { state: SessionState::Over, ..session });
            match self.put(&Key::Session(id), &over, seen, ANSWER).await {
                // Refused: a renewal came first.
                Ok(_) | Err(PutError::Refused) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns whether NATS has no record of a session.
    ///
    /// If several servers keep the state, one that is cut off from the others may take itself for their leader for a while. It then answers
    /// without knowing the latest records. So the record is looked for once more, after a write that most servers took.
    async fn has_no_session(&self, id: SessionId) -> Result<bool, StateError> {
        if self.link.replicas == 1 {
            return Ok(true);
        }
        self.link.touch(&self.cluster.state_stream(), self.cluster.pulse_subject(), ANSWER).await?;
        Ok(self.stored(&self.cluster.subject(&Key::Session(id))).await?.is_none())
    }

    /// Returns the name of the node that has this session, if it lives. It writes nothing.
    pub(crate) async fn renewing_node(
        &self,
        id: SessionId,
        patience: Duration,
    ) -> Result<Option<Arc<str>>, StateError> {
        let life = self.life(id, patience).await?;
        Ok(if let Life::Renewed(node) = life { Some(node) } else { None })
    }

    /// Waits until a session is renewed or its time is over.
    ///
    /// As nodes do it: the patience counts from after a renewal was seen, and the end expects that renewal.
    async fn life(&self, id: SessionId, patience: Duration) -> Result<Life, StateError> {
        let subject = self.cluster.subject(&Key::Session(id));
        let mut first = None;
        loop {
            let Some(stored) = self.stored(&subject).await? else { return Ok(Life::Gone) };
            let session = match self.decode(&subject, stored.revision, &stored.body) {
                Ok(Decoded::Record(_, Value::Session(session))) => Ok(session),
                Ok(_) => {
                    let cause = "it is no record of a session".to_owned();
                    Err(StateError::Unreadable { subject: subject.clone(), revision: stored.revision, cause })
                }
                Err(error) => Err(error),
            };
            if session.as_ref().is_ok_and(|session| session.state == SessionState::Over) {
                return Ok(Life::Over);
            }
            let (seen, since) = *first.get_or_insert((stored.revision, clock::now()));
            if seen != stored.revision {
                // One that cannot be read counts as well: a newer version may renew the session in another format.
                return Ok(Life::Renewed(session?.node));
            }
            if clock::now() > since + patience {
                // Nodes also end a session whose record cannot be read once nobody renews it.
                return Ok(Life::Silent(session.unwrap_or_else(|_| unreadable()), seen));
            }
            sleep(PAUSE).await;
        }
    }

    pub(crate) async fn stored(&self, subject: &str) -> Result<Option<Stored>, StateError> {
        match self.link.stored(&self.cluster.state_stream(), subject).await {
            Err(PutError::Unknown) => Err(StateError::Silent(self.cluster.to_string())),
            stored => Ok(stored?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::hash;

    #[test]
    fn what_nobody_writes_is_an_error() {
        let record = AwayRecord {
            format: FORMAT,
            account: "bot@example.org".to_owned(),
            token: 7,
            away: Away::Exported,
            mark: "a1".to_owned(),
        };
        let (text, own) = (serde_json::to_string(&record).unwrap(), hash("bot@example.org"));
        assert!(is_away(text.as_bytes()));
        assert_eq!(
            read(&own, text.as_bytes()),
            Ok(("bot@example.org".to_owned(), Away::Exported, Token(7), "a1".to_owned()))
        );
        let wrong = [
            (hash("other@example.org"), text.clone(), "another account"),
            (own.clone(), text.replace("\"token\":7", "\"token\":18446744073709551615"), "counts to"),
            (own.clone(), text.replace("exported", "sold"), "unknown variant"),
            (own.clone(), text.replace("a1", &"a".repeat(65)), "too long"),
            (own.clone(), text.replace("\"format\":1", "\"format\":2"), "format 2"),
            (own, text.replace('{', "{\"more\":1,"), "unknown field"),
        ];
        for (hash, text, cause) in wrong {
            let error = read(&hash, text.as_bytes()).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
        for other in ["", "[]", "{\"away\":null}", "{\"format\":1,\"account\":\"a\",\"session\":null}"] {
            assert!(!is_away(other.as_bytes()), "{other}");
        }
    }
}
