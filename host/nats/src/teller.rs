//! Tells a node what has happened to its accounts, and which ones its configuration has.

use std::collections::BTreeSet;
use std::sync::Arc;

use parlor_cluster::Token;
use tokio::sync::mpsc;

use crate::drive::Command;

/// Tells a driver what has happened to accounts. It does not keep the node running.
#[derive(Debug, Clone)]
pub struct Teller(mpsc::WeakUnboundedSender<Command>);

impl Teller {
    pub(crate) fn new(commands: mpsc::WeakUnboundedSender<Command>) -> Self {
        Self(commands)
    }

    /// Same as [`Driver::stopped`](crate::Driver::stopped).
    pub(crate) fn stopped(&self, account: &Arc<str>, token: Token) {
        if let Some(commands) = self.0.upgrade() {
            _ = commands.send(Command::Stopped(Arc::clone(account), token));
        }
    }

    /// Tells which accounts the configuration of the node has. Before the first call, it has all. Others than these go to other nodes.
    pub fn configured(&self, accounts: BTreeSet<Arc<str>>) {
        if let Some(commands) = self.0.upgrade() {
            _ = commands.send(Command::Configured(accounts));
        }
    }
}
