//! The troubles of a host, in clauses for people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Account, AccountWithoutNode, NodeStatus, Plugin, Status, account_ill, faults, not_in_force};

/// The response to a failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason, as one sentence.
    pub error: String,
}

/// An error of an account's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When that was, RFC 3339.
    pub at: String,
    /// Why the connection was lost, or could not be opened.
    pub why: String,
}

/// A connection as a component of a server, which all of its addresses share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// The name in the configuration.
    pub name: String,
    /// The domain.
    pub domain: String,
    /// `offline`, `connecting`, `connected`, `retrying` or `failed`.
    pub connection: String,
    /// Why it is retried or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of its accounts.
    #[serde(default)]
    pub accounts: u64,
    /// The number of accounts at which no address becomes one more; none if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts_limit: Option<u64>,
    /// The number of its accounts that sleep; none if none does, and none ever may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asleep: Option<u64>,
}

impl Account {
    /// The state of an address of a component that sleeps.
    pub const ASLEEP: &str = "asleep";

    /// Returns whether it sleeps: the next stanza for it connects it.
    pub fn is_asleep(&self) -> bool {
        self.connection == Self::ASLEEP
    }

    /// Returns whether it is connected, or asleep.
    pub fn is_reached(&self) -> bool {
        self.connection == "connected" || self.is_asleep()
    }
}

impl ComponentStatus {
    /// Returns a clause if it is retried or has failed. Nobody else says so while none of its addresses is an account.
    fn ill(&self) -> Option<String> {
        let reason = self.reason.as_ref()?;
        Some(format!("component {} is {}: {reason}", self.name, self.connection))
    }

    /// Returns a clause if no address becomes an account any more, since there are as many as there may be.
    pub fn full(&self) -> Option<String> {
        let limit = self.accounts_limit.filter(|limit| self.accounts >= *limit)?;
        let Self { name, accounts, .. } = self;
        Some(format!(
            "component {name} has {accounts} accounts, and new_addresses_limit is {limit}: no address becomes an account any more"
        ))
    }
}

impl Status {
    /// Returns a clause for each account and plugin with a fault, after those about the host.
    pub fn ills(&self) -> impl Iterator<Item = String> {
        let accounts = self.accounts.iter().filter_map(|account| account_ill(&account.name, &account.connection));
        self.host_ills().chain(accounts).chain(self.plugins.iter().filter_map(Plugin::ill))
    }

    /// Returns a clause for each fault that is none of a single account or plugin: about the cluster, webhooks and components.
    pub fn host_ills(&self) -> impl Iterator<Item = String> {
        let components = self.components.iter().filter_map(ComponentStatus::ill);
        self.cluster_ills().into_iter().chain(self.webhook_ills()).chain(components)
    }

    /// Returns a clause for each fault of the cluster: this node has no NATS, or accounts run on no node. What other nodes say, too,
    /// stands there once.
    pub fn cluster_ills(&self) -> Vec<String> {
        let mut all: Vec<_> = self.cluster.iter().flat_map(|cluster| cluster.ills.clone()).collect();
        for node in self.other_nodes() {
            for ill in node.cluster.iter().flat_map(|cluster| &cluster.ills) {
                let is_known = all.iter().any(|one| one.ends_with(ill.as_str()));
                if !is_known {
                    all.push(format!("node {}: {ill}", node.name));
                }
            }
        }
        let mut alike = BTreeMap::<_, Vec<_>>::new();
        for AccountWithoutNode { name, node, reason } in &self.nowhere {
            alike.entry(node).or_default().push((name, reason));
        }
        for (node, accounts) in alike {
            let (first, reason) = accounts[0];
            if all.iter().any(|ill| ill.contains(reason.as_str())) {
                continue;
            }
            let says = match accounts.len() {
                1 => format!("account {first} runs on no node"),
                count => format!("{count} accounts, such as {first}, run on no node"),
            };
            all.push(format!("{says}: node {node} was given it, and does not start it: {reason}"));
        }
        all
    }

    /// Returns a clause for the host, and one for each other node, if webhooks cannot be listened for there.
    pub fn webhook_ills(&self) -> impl Iterator<Item = String> {
        let clause = |error: &String| format!("webhooks cannot be listened for: {error}");
        let others = self.other_nodes().filter_map(|node| Some((&node.name, node.webhooks_error.as_ref()?)));
        let others = others.map(move |(name, error)| format!("node {name}: {}", clause(error)));
        self.webhooks_error.iter().map(clause).chain(others)
    }

    fn other_nodes(&self) -> impl Iterator<Item = &NodeStatus> {
        self.nodes.iter().filter(move |node| Some(&node.name) != self.node.as_ref())
    }

    /// Returns a clause for each node of the cluster that did not answer: the status lacks its accounts and plugins.
    pub fn silent(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().filter_map(|node| node.error.clone())
    }

    /// Returns [`Self::ills`], followed by [`Self::silent`]; empty if all is well. The health check uses it, too.
    pub fn all_ills(&self) -> Vec<String> {
        self.ills().chain(self.silent()).collect()
    }

    /// Returns the files whose current text is not in force, each with the reason.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &str)> {
        faults(self.config_error.as_deref(), self.policy_error.as_deref())
    }

    /// Returns one sentence for each file whose current text is not in force, also on other nodes, and for each component that gets no more
    /// accounts. The latter is no ill: strangers could otherwise have the host be restarted, which changes nothing.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let others = self.other_nodes().flat_map(|node| node.faults().map(move |(file, error)| (node, file, error)));
        let others = others.map(|(node, file, error)| format!("node {}: {}", node.name, not_in_force(file, error)));
        let full = self.components.iter().filter_map(ComponentStatus::full);
        self.faults().map(|(file, error)| not_in_force(file, error)).chain(others).chain(full)
    }
}
