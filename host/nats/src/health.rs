//! The report of a node about itself and its cluster: whether it reaches NATS, and which accounts no node has.

use std::time::Duration;

use parlor_cluster::{Health, Node};
use tokio::sync::watch;

use crate::clock;
use crate::connect::Link;
use crate::cpu::CpuMeter;
use crate::error::{ConnectError, PutError};

/// How often it is looked at.
const PACE: Duration = Duration::from_secs(1);
/// For longer than this, no take-over of accounts lasts: two seconds until a lost node is noticed, and the start of its accounts.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// The state of a node, and of its cluster as it knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// Whether there is a connection to NATS.
    pub is_connected: bool,
    /// Why NATS takes no writes of this node; `None` if it does, or does not say why.
    pub trouble: Option<PutError>,
    /// Its knowledge of the cluster. Without a session, this is its last knowledge.
    pub cluster: Health,
    /// Since when it has had no session, or accounts have been at no node, by the clock of nodes; `None` if neither is so.
    since: Option<Duration>,
}

impl NodeHealth {
    /// Returns whether this node reaches NATS, and NATS takes what it writes.
    pub fn reaches_nats(&self) -> bool {
        self.is_connected && self.cluster.has_session
    }

    /// Returns a clause if the node has no session, or accounts have been at no node, for longer than a take-over lasts.
    pub fn ill(&self) -> Option<String> {
        self.ill_at(clock::now())
    }

    fn ill_at(&self, now: Duration) -> Option<String> {
        self.since.filter(|since| now >= *since + TAKE_OVER)?;
        if !self.is_connected {
            return Some(match &self.trouble {
                Some(PutError::Unfit(error @ ConnectError::LogIn { .. })) => {
                    format!("this node runs no accounts: {error}, and start its host again if they have changed here")
                }
                _ => "this node does not reach NATS, so it runs no accounts; check that NATS runs, and the network"
                    .to_owned(),
            });
        }
        let why = self.trouble.as_ref().map(|trouble| format!(": {trouble}"));
        if !self.cluster.has_session {
            let why = why.unwrap_or_else(|| ": NATS does not answer what this node writes; look at its log".to_owned());
            return Some(format!("this node has no lease in NATS, so it runs no accounts{why}"));
        }
        let mut named: Vec<_> = self.cluster.named.iter().take(3).map(|name| &**name).collect();
        if self.cluster.nowhere > named.len() {
            named.push("…");
        }
        let (count, all, named) = (self.cluster.nowhere, self.cluster.accounts, named.join(", "));
        let why = why.unwrap_or_else(|| "; the logs of the nodes say why".to_owned());
        Some(format!("{count} of {all} accounts of the cluster run on no node ({named}){why}"))
    }
}

/// Tells what a node says of itself.
#[derive(Debug)]
pub(crate) struct Telling {
    sender: watch::Sender<NodeHealth>,
    next: Duration,
    /// Whether the log says that NATS is not reached.
    says_cut: bool,
    cpu: CpuMeter,
}

impl Telling {
    pub(crate) fn new(sender: watch::Sender<NodeHealth>) -> Self {
        Self { sender, next: Duration::ZERO, says_cut: false, cpu: CpuMeter::new() }
    }

    /// Says in the log that NATS is not reached, for this cause, or that it is again. Returns whether that is news.
    fn say(&mut self, is_connected: bool, cause: Option<String>) -> bool {
        let is_news = self.says_cut == is_connected;
        if is_news && is_connected {
            tracing::info!("this node reaches NATS again");
        } else if is_news {
            let cause = cause.unwrap_or_else(|| "the connection has ended".to_owned());
            tracing::warn!(
                cause,
                "this node does not reach NATS: it handles nothing, and its accounts end within two seconds unless NATS is back; it tries \
                 again without end"
            );
        }
        self.says_cut = !is_connected;
        is_news
    }

    /// Tells the node how busy it is, if a look at it is due.
    pub(crate) fn measure(&mut self, node: &mut Node) {
        let now = clock::now();
        if now >= self.next
            && let Some(percent) = self.cpu.read(now)
        {
            node.uses(now, percent);
        }
    }

    /// Looks at the node if that is due.
    pub(crate) fn look(&mut self, node: &Node, link: &Link, trouble: Option<&PutError>) {
        let now = clock::now();
        if now < self.next {
            return;
        }
        self.next = now + PACE;
        let cluster = node.health(now);
        let is_ill = !cluster.has_session || cluster.nowhere > 0;
        let is_log_in = |trouble: &PutError| matches!(trouble, PutError::Unfit(ConnectError::LogIn { .. }));
        // A log-in that was refused does not say why the server is away now.
        let trouble = trouble.filter(|trouble| !is_log_in(trouble) || link.refused().is_some()).cloned();
        let is_connected = link.is_connected();
        self.say(is_connected, link.failure());
        self.sender.send_modify(|told| {
            let since = is_ill.then(|| told.since.unwrap_or(now));
            *told = NodeHealth { is_connected, trouble, cluster, since };
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlor_cluster::Cpu;

    use super::*;

    #[test]
    fn the_log_says_once_that_nats_is_not_reached_and_once_that_it_is_again() {
        let mut telling = Telling::new(watch::Sender::new(NodeHealth::default()));
        let connected = [true, true, false, false, true, true, false];
        let news = connected.map(|is_connected| telling.say(is_connected, None));
        assert_eq!(news, [false, false, true, false, true, false, true]);
    }

    #[test]
    fn a_node_is_ill_once_accounts_are_at_no_node_for_longer_than_a_take_over() {
        let cluster = Health {
            has_session: true,
            nodes: 2,
            accounts: 24,
            own: 8,
            nowhere: 4,
            named: ["a@b", "c@d", "e@f", "g@h"].map(Arc::from).to_vec(),
            cpu: Cpu::default(),
        };
        let begin = Duration::from_secs(100);
        let mut health = NodeHealth { is_connected: true, trouble: None, cluster, since: Some(begin) };
        assert_eq!(health.ill_at(begin + Duration::from_secs(9)), None);
        let later = begin + TAKE_OVER;
        let says = "4 of 24 accounts of the cluster run on no node (a@b, c@d, e@f, …); the logs of the nodes say why";
        assert_eq!(health.ill_at(later).as_deref(), Some(says));
        health.cluster.has_session = false;
        health.trouble = Some(PutError::Server { code: 10_023, description: "insufficient resources".to_owned() });
        let full = health.ill_at(later).unwrap();
        assert!(
            full.contains("no lease in NATS") && full.contains("max_file_store") && !health.reaches_nats(),
            "{full}"
        );
        health.is_connected = false;
        assert!(health.ill_at(later).unwrap().contains("does not reach NATS"));
        let (servers, cause) = ("nats://n:4222".to_owned(), "authorization violation".to_owned());
        health.trouble = Some(PutError::Unfit(ConnectError::LogIn { servers, cause }));
        let refused = health.ill_at(later).unwrap();
        assert!(refused.contains("refused the log-in (authorization violation); check user"), "{refused}");
        health.since = None;
        assert_eq!(health.ill_at(later), None);
    }
}
