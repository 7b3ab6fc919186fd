//! The CPU time that a node uses. A node that uses almost all of its machine takes a smaller share of the accounts while others have room.
//!
//! The share counts as a smaller capacity, so that all nodes place accounts by the same records, and moves come to an end as without it. A
//! node changes its own share only, by a step at a time. It raises the share only if it would still have room with the accounts that come
//! back, so that they do not go to and fro.

use std::time::Duration;

use super::Node;
use crate::record::Cpu;

/// Bursts that are shorter than this count little, such as log-ins and compiling after a start.
const SMOOTHED: Duration = Duration::from_secs(30);
/// A node that uses this percentage of its CPU time takes fewer accounts.
const HOT: u32 = 80;
/// A node has room while it uses at most this percentage.
const ROOM: u32 = 60;
/// How many percent less another node must use. Otherwise accounts would only bring their load along.
const GAP: u32 = 30;
/// The smallest share, in percent.
const LEAST: u32 = 20;
/// How long a node waits until it lowers its share again: the accounts that leave must have left before.
const LOWERED: Duration = Duration::from_mins(1);
/// How long after the last change a node raises its share.
const RAISED: Duration = Duration::from_mins(10);
/// How long an account that came to a node with a smaller share stays there. A busy one would go from node to node.
const STAYS: Duration = Duration::from_mins(10);

/// The CPU time of a node, and the share of the accounts that it takes.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// The figures for the other nodes.
    pub(super) cpu: Cpu,
    /// The smoothed use, in thousandths of a percent.
    smoothed: u32,
    /// When the use was told last.
    at: Option<Duration>,
    /// When the share was changed last, or the use was told first.
    changed: Duration,
    /// When the share was lowered from the whole.
    below: Duration,
}

impl Node {
    /// Takes in which percentage of the CPU time of its machine the node has used since the call before. Call it about once a second.
    pub fn uses(&mut self, now: Duration, percent: u32) {
        let own = self.tenure.as_ref().map(|tenure| tenure.id);
        let others = self.places(now).into_iter().map(|place| place.session).filter(|id| Some(*id) != own);
        let least = others.filter_map(|id| self.view.session(id)).map(|seen| seen.session.cpu.used).min();
        self.gauge.add(now, percent);
        self.gauge.decide(now, least);
    }
}

impl Gauge {
    /// Adds the use since the last call.
    fn add(&mut self, now: Duration, percent: u32) {
        let Some(before) = self.at.replace(now) else {
            self.changed = now;
            return;
        };
        let elapsed = now.saturating_sub(before).min(SMOOTHED);
        let part = u32::try_from(elapsed.as_millis() * 1_000 / SMOOTHED.as_millis()).unwrap_or(1_000);
        self.smoothed = (self.smoothed * (1_000 - part) + percent.min(100) * 1_000 * part) / 1_000;
        self.cpu.used = (self.smoothed + 500) / 1_000;
    }

    /// Returns whether the node takes a smaller share.
    pub(super) fn is_lowered(&self) -> bool {
        self.cpu.share < 100
    }

    /// Returns whether an account that came at this moment stays for now, although the node takes a smaller share.
    pub(super) fn keeps(&self, now: Duration, since: Duration) -> bool {
        self.is_lowered() && since >= self.below && now < since + STAYS
    }

    /// Changes the share if that is due. `least` is what the least busy of the other nodes uses; `None` if there is none.
    fn decide(&mut self, now: Duration, least: Option<u32>) {
        let Cpu { used, share } = self.cpu;
        let others_have_room = least.is_some_and(|least| least <= ROOM.min(used.saturating_sub(GAP)));
        let (lower, higher) = ((share * 4 / 5).max(LEAST), (share * 5 / 4).min(100));
        let quiet = now.saturating_sub(self.changed);
        let next = if used >= HOT && others_have_room && quiet >= LOWERED {
            lower
        } else if used * higher <= ROOM * share && quiet >= RAISED {
            higher
        } else {
            share
        };
        if share == 100 && next < share {
            self.below = now;
        }
        if next != share {
            (self.cpu.share, self.changed) = (next, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Lets so many seconds go by with this use, and returns how often the share changed.
    fn run(gauge: &mut Gauge, now: &mut Duration, seconds: u32, percent: u32, least: Option<u32>) -> usize {
        let mut changes = 0;
        for _ in 0..seconds {
            *now += SECOND;
            let before = gauge.cpu.share;
            gauge.add(*now, percent);
            gauge.decide(*now, least);
            changes += usize::from(gauge.cpu.share != before);
        }
        changes
    }

    #[test]
    fn a_burst_changes_nothing_and_a_busy_node_lowers_its_share_once_a_minute_at_most() {
        let (mut gauge, mut now) = (Gauge::default(), SECOND);
        assert_eq!(run(&mut gauge, &mut now, 40, 100, Some(0)), 0);
        assert_eq!(run(&mut gauge, &mut now, 600, 10, Some(0)), 0);
        let changes = run(&mut gauge, &mut now, 240, 100, Some(50));
        assert!((1..=4).contains(&changes) && gauge.cpu.share < 80, "{changes} {:?}", gauge.cpu);
        run(&mut gauge, &mut now, 3_600, 100, Some(50));
        assert_eq!(gauge.cpu, Cpu { used: 100, share: LEAST });
    }

    #[test]
    fn a_busy_node_keeps_its_share_unless_another_one_has_room() {
        for least in [None, Some(ROOM + 1), Some(100)] {
            let (mut gauge, mut now) = (Gauge::default(), SECOND);
            assert_eq!(run(&mut gauge, &mut now, 600, 100, least), 0, "{least:?}");
        }
        let (mut gauge, mut now) = (Gauge::default(), SECOND);
        assert_eq!(run(&mut gauge, &mut now, 600, 85, Some(56)), 0, "the other one uses almost as much");
    }

    #[test]
    fn a_share_is_raised_only_if_there_is_room_for_what_comes_back() {
        let (mut gauge, mut now) = (Gauge::default(), SECOND);
        run(&mut gauge, &mut now, 150, 100, Some(0));
        assert_eq!(gauge.cpu.share, 64);
        // With a quarter more accounts, these would be 69 and 50 percent.
        assert_eq!(run(&mut gauge, &mut now, 3_600, 55, Some(0)), 0);
        assert_eq!(run(&mut gauge, &mut now, 300, 40, Some(0)), 1);
        assert_eq!(run(&mut gauge, &mut now, 290, 40, Some(0)), 0, "the next step comes after ten minutes");
        run(&mut gauge, &mut now, 7_200, 40, Some(0));
        assert_eq!(gauge.cpu.share, 100);
    }

    #[test]
    fn an_account_that_comes_to_a_busy_node_stays_for_ten_minutes_and_one_that_was_there_may_go() {
        let (mut gauge, mut now) = (Gauge::default(), SECOND);
        assert!(!gauge.keeps(now, now), "the node takes its whole share");
        run(&mut gauge, &mut now, 100, 100, Some(0));
        assert!(gauge.keeps(now, now) && !gauge.keeps(now, SECOND));
        assert!(gauge.keeps((now + STAYS).saturating_sub(SECOND), now) && !gauge.keeps(now + STAYS, now));
    }
}
