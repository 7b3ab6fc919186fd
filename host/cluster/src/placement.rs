//! Places accounts on nodes: each goes to the node with the least load for its capacity.
//!
//! Each node computes the same from the same records, so nobody has to lead. If records differ for a moment, two nodes
//! may want the same account; the store then lets one of them have it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::record::SessionId;

/// A node that can take accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its session.
    pub session: SessionId,
    /// The load that it can take, in relation to the others. 0 counts as 1.
    pub capacity: u32,
    /// The sum of the weights of its accounts.
    pub load: u64,
}

impl Place {
    /// Returns its load with this much more, as a fraction of its capacity that can be compared exactly.
    fn with(&self, weight: u32) -> Fraction {
        Fraction { load: u128::from(self.load) + u128::from(weight), capacity: u128::from(self.capacity.max(1)) }
    }
}

/// A load for a capacity.
#[derive(Debug, Clone, Copy)]
struct Fraction {
    load: u128,
    capacity: u128,
}

impl Fraction {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.load * other.capacity).cmp(&(other.load * self.capacity))
    }
}

/// Chooses a node for each of these accounts that nobody runs, and adds their weights to the loads. `can_run` says whether a node can run
/// an account. One that no node can run is not placed.
pub fn place(
    places: &mut [Place],
    accounts: impl IntoIterator<Item = (Arc<str>, u32)>,
    can_run: impl Fn(&str, SessionId) -> bool,
) -> Vec<(Arc<str>, SessionId)> {
    let mut chosen = Vec::new();
    for (account, weight) in accounts {
        let Some(least) = least(places, &account, weight, &can_run) else { continue };
        least.load += u64::from(weight);
        chosen.push((account, least.session));
    }
    chosen
}

/// Chooses which of its accounts the most loaded node gives to which others, at most so many. `accounts` are those of the
/// node `from`, with their weights. There is none if another node has more load, or if no move helps: a move must leave the
/// node that gets the account with less load than `from` had. The result of all moves is therefore stable. `can_run` is that of [`place`].
pub fn shed(
    places: &mut [Place],
    from: SessionId,
    accounts: &BTreeMap<Arc<str>, u32>,
    most: usize,
    can_run: impl Fn(&str, SessionId) -> bool,
) -> Vec<(Arc<str>, SessionId)> {
    let mut moves: Vec<(Arc<str>, SessionId)> = Vec::new();
    while moves.len() < most {
        let most_loaded = |a: &&Place, b: &&Place| a.with(0).cmp(&b.with(0)).then(a.session.cmp(&b.session));
        let Some(heavy) = places.iter().max_by(most_loaded).copied().filter(|heavy| heavy.session == from) else {
            break;
        };
        // The heaviest that helps: so few moves do most.
        let mut best: Option<(&Arc<str>, u32, SessionId)> = None;
        for (account, &weight) in accounts {
            let is_heaviest = weight > best.map_or(0, |(_, heaviest, _)| heaviest);
            if !is_heaviest || moves.iter().any(|(moved, _)| moved == account) {
                continue;
            }
            let Some(to) = least(places, account, weight, &can_run) else { continue };
            if to.session != from && to.with(weight).cmp(&heavy.with(0)).is_lt() {
                best = Some((account, weight, to.session));
            }
        }
        let Some((account, weight, to)) = best else { break };
        moves.push((Arc::clone(account), to));
        for place in places.iter_mut() {
            if place.session == from {
                place.load = place.load.saturating_sub(u64::from(weight));
            } else if place.session == to {
                place.load += u64::from(weight);
            }
        }
    }
    moves
}

/// Returns the node that can run this account and has the least load for its capacity with it. Of equal ones, each account has
/// another order.
fn least<'a>(
    places: &'a mut [Place],
    account: &str,
    weight: u32,
    can_run: impl Fn(&str, SessionId) -> bool,
) -> Option<&'a mut Place> {
    let order = |place: &Place| {
        let mut hasher = DefaultHasher::new();
        (account, place.session).hash(&mut hasher);
        hasher.finish()
    };
    places.iter_mut().filter(|place| can_run(account, place.session)).min_by(|a, b| {
        let by_load = a.with(weight).cmp(&b.with(weight));
        by_load.then_with(|| order(a).cmp(&order(b))).then_with(|| a.session.cmp(&b.session))
    })
}
