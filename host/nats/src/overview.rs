//! The nodes of a cluster and its accounts, as its state in NATS has them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::try_join_all;
use parlor_cluster::{Claim, Key, Session, SessionId, SessionState, Value};
use tokio::time::timeout;

use crate::away::Away;
use crate::drains;
use crate::error::StateError;
use crate::lost_nodes::{self, LostNode};
use crate::names;
use crate::shared::{self, SharedError, Standing, Version};
use crate::shared_text::SharedText;
use crate::state::{Decoded, State};
use crate::watch::Present;

/// How long reading the state may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take to read a few records of it.
const QUICK: Duration = Duration::from_secs(1);

/// The nodes and the accounts of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// The nodes, by name.
    pub nodes: Vec<NodeRow>,
    /// The names of the nodes that are to be drained, also of those that do not run, in order.
    pub drained: BTreeSet<String>,
    /// The nodes that were lost in the last day and are not back, the last one first.
    pub lost: Vec<LostNode>,
    /// The accounts, by address.
    pub accounts: Vec<AccountRow>,
    /// The accounts that no node may run, by address.
    pub away: Vec<AwayRow>,
    /// The present versions of the texts that the nodes share.
    pub shared: BTreeMap<SharedText, Version>,
    /// Why the records of versions are refused, if they are.
    pub refused: BTreeMap<SharedText, SharedError>,
}

/// A node that has a session. One that was killed has it until another node has noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// The load that it can take, in relation to other nodes.
    pub capacity: u32,
    /// The percentage of the CPU time of its machine that it has used lately.
    pub used: u32,
    /// The percentage of its capacity that counts when accounts are placed, 1 to 100.
    pub share: u32,
    /// Whether it gives its accounts away.
    pub is_draining: bool,
    /// How many accounts it has.
    pub accounts: usize,
    /// Its version of each shared text, as it says. A text that the node does not share may be missing.
    pub standings: BTreeMap<SharedText, Standing>,
}

/// An account of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its address.
    pub account: String,
    /// The name of the node that has it, if one has.
    pub node: Option<String>,
}

/// An account that no node may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwayRow {
    /// Its address.
    pub account: String,
    /// The reason.
    pub why: Away,
}

impl State {
    /// Reads which nodes and accounts there are. It leaves out records that cannot be read; the nodes report these.
    pub async fn overview(&self) -> Result<Overview, StateError> {
        let silent = |_| StateError::Silent(self.cluster.to_string());
        timeout(PATIENCE, self.read_all()).await.map_err(silent)
    }

    /// Has all nodes of this name give their accounts away and take no others, or take accounts again. It counts until it is
    /// taken back, also for a node that starts again.
    pub async fn drain(&self, node: &str, is_draining: bool) -> Result<(), StateError> {
        drains::set(self, node, is_draining).await
    }

    /// Returns the names of the nodes that have a session, in order.
    pub async fn nodes(&self) -> Result<Vec<String>, StateError> {
        let silent = |_| StateError::Silent(self.cluster.to_string());
        timeout(QUICK, self.read_nodes()).await.map_err(silent)
    }

    /// Returns the name of the node that has this account; `None` if none has it at this moment.
    pub async fn holder(&self, account: &str) -> Result<Option<String>, StateError> {
        let claim = Key::Account(account.into());
        let Some(Value::Claim(Claim { session: Some(id), .. })) = self.record(&claim).await? else { return Ok(None) };
        let Some(Value::Session(session)) = self.record(&Key::Session(id)).await? else { return Ok(None) };
        Ok((session.state != SessionState::Over).then(|| session.node.to_string()))
    }

    /// Checks that no other host has this name of a node. One that was killed has it for a moment: until its session was not renewed for
    /// `patience`.
    pub async fn check_name(&self, node: &str, patience: Duration) -> Result<(), StateError> {
        // If it takes too long, the node finds out while it runs.
        let found = timeout(PATIENCE, self.sessions_of(node)).await.unwrap_or_default();
        let living = found.into_iter().map(|id| self.renewing_node(id, patience));
        if try_join_all(living).await?.iter().any(Option::is_some) {
            return Err(StateError::Twin(node.to_owned()));
        }
        Ok(())
    }

    /// Reads which sessions of nodes of this name are not over.
    async fn sessions_of(&self, node: &str) -> Vec<SessionId> {
        // The times of the cluster are always there, so there is a record.
        let mut present = Present::all(&self.link, &self.cluster);
        let mut found = Vec::new();
        while let Some(message) = present.next().await {
            if let Ok(Decoded::Record(Key::Session(id), Value::Session(session))) =
                self.decode(&message.subject, message.revision, &message.body)
                && session.state != SessionState::Over
                && *session.node == *node
            {
                found.push(id);
            }
        }
        found
    }

    /// Reads a record.
    async fn record(&self, key: &Key) -> Result<Option<Value>, StateError> {
        let subject = self.cluster.subject(key);
        let Some(stored) = self.stored(&subject).await? else { return Ok(None) };
        match self.decode(&subject, stored.revision, &stored.body)? {
            Decoded::Record(_, value) => Ok(Some(value)),
            Decoded::Drain(..) | Decoded::Away(..) | Decoded::Other => Ok(None),
        }
    }

    async fn read_nodes(&self) -> Vec<String> {
        // This node has a session, so there is a record.
        let mut present = Present::of(&self.link, &self.cluster, self.cluster.session_subjects());
        let mut names = BTreeSet::new();
        while let Some(message) = present.next().await {
            let decoded = self.decode(&message.subject, message.revision, &message.body);
            if let Ok(Decoded::Record(_, Value::Session(session))) = decoded
                && session.state != SessionState::Over
            {
                names.insert(session.node.to_string());
            }
        }
        names.into_iter().collect()
    }

    async fn read_all(&self) -> Overview {
        // The times of the cluster are always there, so there is a record.
        let mut present = Present::all(&self.link, &self.cluster);
        let mut sessions = BTreeMap::<SessionId, Session>::new();
        let mut claims = BTreeMap::<String, Option<SessionId>>::new();
        let mut away = BTreeMap::<String, Away>::new();
        let mut drained = BTreeMap::<String, String>::new();
        let (mut lost, prefix) = (Vec::new(), self.cluster.lost_subject_prefix());
        let (mut versions, mut standings) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
        while let Some(message) = present.next().await {
            match self.decode(&message.subject, message.revision, &message.body) {
                Ok(Decoded::Record(Key::Session(id), Value::Session(session))) => {
                    sessions.insert(id, session);
                }
                Ok(Decoded::Record(Key::Account(account), Value::Claim(claim))) => {
                    away.remove(&*account);
                    claims.insert(account.to_string(), claim.session);
                }
                Ok(Decoded::Away(account, why)) => {
                    claims.remove(&*account);
                    away.insert(account.to_string(), why);
                }
                Ok(Decoded::Drain(hash, _)) => match drains::drained(&message.body) {
                    Some(node) => drop(drained.insert(hash, node)),
                    None => drop(drained.remove(&hash)),
                },
                Ok(Decoded::Other) => {
                    lost.extend(lost_nodes::decode(&message.subject, &prefix, &message.body));
                    match shared::decode(&self.cluster, &message.subject, message.revision, &message.body) {
                        Some(shared::Decoded::Version(of, found)) => drop(versions.insert(of, found)),
                        Some(shared::Decoded::Node(of, hash, standing)) => {
                            standings.entry(hash).or_default().insert(of, standing);
                        }
                        None => {}
                    }
                }
                Ok(Decoded::Record(..)) | Err(_) => {}
            }
        }
        sessions.retain(|_, session| session.state != SessionState::Over);
        let nodes = sessions.iter().map(|(id, session)| NodeRow {
            name: session.node.to_string(),
            capacity: session.capacity,
            used: session.cpu.used,
            share: session.cpu.share,
            is_draining: session.state == SessionState::Draining || drained.contains_key(&names::hash(&session.node)),
            accounts: claims.values().filter(|holder| **holder == Some(*id)).count(),
            standings: standings.get(&names::hash(&session.node)).cloned().unwrap_or_default(),
        });
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        let node_of = |holder: Option<SessionId>| Some(sessions.get(&holder?)?.node.to_string());
        let accounts =
            claims.into_iter().map(|(account, holder)| AccountRow { account, node: node_of(holder) }).collect();
        let away = away.into_iter().map(|(account, why)| AwayRow { account, why }).collect();
        let (mut shared, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for (of, found) in versions {
            match found {
                Ok(version) => drop(shared.insert(of, version)),
                Err(error) => drop(refused.insert(of, error)),
            }
        }
        let lost = lost_nodes::shown(lost, |name| nodes.iter().any(|node| node.name == name));
        Overview { nodes, drained: drained.into_values().collect(), lost, accounts, away, shared, refused }
    }
}
