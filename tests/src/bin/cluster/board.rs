//! Records which node runs which account, as the logs of the nodes say, and how long each account was away after a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::judge::{Hit, Kind};
use crate::plan::NODES;

/// The prefix of the names of accounts in `parlor.toml`.
pub(crate) const NAME: &str = "bot-";
/// The lines of a log that the board goes by. All of them name the account.
const CONNECTED: &str = "account connected";
const GIVEN: &str = "account given away";
const ENDED: &str = "account ended at once: another node may have it";
/// The most lines about defects that are kept.
const KEPT: usize = 20;

/// The accounts and their nodes, as far as they are known. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Board(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    begin: Instant,
    accounts: usize,
    /// The accounts that each node runs.
    runs: [BTreeSet<usize>; NODES],
    /// The accounts whose node is broken, with the fault and its time.
    away: BTreeMap<usize, (&'static str, Duration)>,
    moves: Vec<Move>,
    hits: Vec<Hit>,
    defects: Vec<String>,
}

/// An account that logged in after a fault of the node that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    /// The name of the fault.
    pub(crate) fault: &'static str,
    /// The time from the fault to the log-in.
    pub(crate) took: Duration,
}

impl Board {
    pub(crate) fn new(accounts: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            begin: Instant::now(),
            accounts,
            runs: Default::default(),
            away: BTreeMap::new(),
            moves: Vec::new(),
            hits: Vec::new(),
            defects: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since the begin.
    pub(crate) fn now(&self) -> Duration {
        self.state().begin.elapsed()
    }

    /// Takes in a line of a node's log.
    pub(crate) fn line(&self, node: usize, text: &str) {
        let now = self.now();
        self.state().line(node, text, now);
    }

    /// Notes that a node, or NATS, is broken now.
    pub(crate) fn struck(&self, node: Option<usize>, fault: &'static str, kind: Kind) {
        let at = self.now();
        let mut state = self.state();
        let hit: Vec<_> = match node {
            Some(node) => state.runs[node].iter().copied().collect(),
            None => state.runs.iter().flatten().copied().collect(),
        };
        state.away.extend(hit.iter().map(|account| (*account, (fault, at))));
        state.hits.extend(hit.into_iter().map(|account| Hit { account, at, kind }));
    }

    /// Notes that a node has ended.
    pub(crate) fn ended(&self, node: usize) {
        self.state().runs[node].clear();
    }

    /// Returns the accounts that no node runs.
    pub(crate) fn missing(&self) -> Vec<usize> {
        let state = self.state();
        (0..state.accounts).filter(|account| !state.runs.iter().any(|runs| runs.contains(account))).collect()
    }

    /// Returns how many accounts each node runs.
    pub(crate) fn loads(&self) -> [usize; NODES] {
        self.state().runs.each_ref().map(BTreeSet::len)
    }

    /// Forgets the faults that moved no account, and returns the moves since the last call.
    pub(crate) fn take_moves(&self) -> Vec<Move> {
        let mut state = self.state();
        state.away.clear();
        std::mem::take(&mut state.moves)
    }

    /// Returns which accounts were hit by faults so far.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.state().hits.clone()
    }

    /// Returns the lines about panics.
    pub(crate) fn defects(&self) -> Vec<String> {
        self.state().defects.clone()
    }
}

impl State {
    fn line(&mut self, node: usize, text: &str, now: Duration) {
        if text.contains("panicked at") || text.contains("by a defect of parlor") {
            if self.defects.len() < KEPT {
                self.defects.push(format!("node {}: {text}", node + 1));
            }
            return;
        }
        let Ok(line) = serde_json::from_str::<Value>(text) else { return };
        let fields = line.get("fields").unwrap_or(&line);
        let account = fields["account"].as_str().and_then(|name| name.strip_prefix(NAME)?.parse().ok());
        let (Some(message), Some(account)) = (fields["message"].as_str(), account) else { return };
        match message {
            CONNECTED => {
                self.runs[node].insert(account);
                if let Some((fault, at)) = self.away.remove(&account) {
                    self.moves.push(Move { fault, took: now.saturating_sub(at) });
                }
            }
            GIVEN | ENDED => {
                self.runs[node].remove(&account);
            }
            _ => {}
        }
    }
}

/// Returns the value below which this share of the times lies, of 100.
pub(crate) fn share(times: &[Duration], percent: usize) -> Option<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, account: &str) -> String {
        serde_json::json!({ "level": "INFO", "fields": { "message": message, "account": account } }).to_string()
    }

    #[test]
    fn an_account_is_away_from_the_fault_of_its_node_to_its_next_log_in() {
        let board = Board::new(3);
        for account in ["bot-0", "bot-1"] {
            board.line(0, &line(CONNECTED, account));
        }
        board.line(1, &line(CONNECTED, "bot-2"));
        assert_eq!((board.missing(), board.loads()), (vec![], [2, 1, 0]));
        board.struck(Some(0), "killed", Kind::Killed);
        board.ended(0);
        assert_eq!(board.missing(), [0, 1]);
        let hits: Vec<_> = board.hits().iter().map(|hit| (hit.account, hit.kind)).collect();
        assert_eq!(hits, [(0, Kind::Killed), (1, Kind::Killed)]);
        board.line(2, &line(CONNECTED, "bot-0"));
        board.line(2, "not JSON");
        board.line(2, &line("account connected", "main"));
        let moves = board.take_moves();
        assert_eq!((moves.len(), moves[0].fault, board.missing()), (1, "killed", vec![1]));
        // It was not away for a fault that is over.
        board.line(2, &line(CONNECTED, "bot-1"));
        assert!(board.take_moves().is_empty() && board.missing().is_empty());
    }

    /// A node that was suspended says late that it had the account, and that it lost it.
    #[test]
    fn a_late_line_of_one_node_does_not_take_an_account_from_another() {
        let board = Board::new(1);
        board.line(1, &line(CONNECTED, "bot-0"));
        board.line(0, &line(CONNECTED, "bot-0"));
        board.line(0, &line(ENDED, "bot-0"));
        assert!(board.missing().is_empty());
        board.line(1, &line(GIVEN, "bot-0"));
        assert_eq!(board.missing(), [0]);
    }

    #[test]
    fn panics_are_kept() {
        let board = Board::new(1);
        board.line(2, "thread 'main' panicked at src/lib.rs:1:");
        assert_eq!(board.defects(), ["node 3: thread 'main' panicked at src/lib.rs:1:"]);
    }

    #[test]
    fn a_share_is_a_time_that_was_measured() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(share(&times, 50), Some(Duration::from_millis(50)));
        assert_eq!(share(&times, 99), Some(Duration::from_millis(99)));
        assert_eq!(share(&times, 100), Some(Duration::from_millis(100)));
        assert_eq!((share(&times[..1], 99), share(&[], 99)), (Some(Duration::from_millis(100)), None));
    }
}
