//! The decision about a schedule at a moment.

use jiff::Timestamp;

use crate::timing::{Missed, Timing};

/// The maximum number of due times that wait while their plugin runs, but does not get on with them.
const WAITING: usize = 1_000;

/// The decision about a schedule at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The due time to deliver now.
    pub due: Option<Timestamp>,
    /// The number of due times before it, or until now, that are left out.
    pub left_out: u64,
    /// The due times until this moment are over.
    pub over: Timestamp,
}

/// Returns the decision about a schedule now. The arguments include the moment until which its due times are completed,
/// and the one since which its plugin runs. Earlier due times were missed, and at most `catch_up` of them are
/// delivered.
///
/// A clock that was set back tells nothing twice: due times before `over` never come again.
pub fn judge(timing: &Timing, over: Timestamp, since: Timestamp, now: Timestamp, catch_up: usize) -> Judged {
    let began = since.min(now).max(over);
    let missed = timing.between(over, began, catch_up);
    let left_out = not_told(&missed);
    if let Some(due) = missed.latest.first() {
        return Judged { due: Some(*due), left_out, over };
    }
    // If nothing was missed, it stays unchanged, so that nothing must be written.
    let over = if left_out > 0 { began } else { over };
    let waiting = timing.between(began, now, WAITING);
    let due = waiting.latest.first().copied();
    Judged { due, left_out: left_out + not_told(&waiting), over }
}

/// Returns the number of due times that are not delivered.
fn not_told(missed: &Missed) -> u64 {
    missed.count.saturating_sub(missed.latest.len().try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn every_minute() -> Timing {
        Timing::Every { since: at(0), period: 60_000 }
    }

    /// Tells all that is due, and returns each with how many were left out before it.
    fn tell_all(timing: &Timing, mut over: Timestamp, since: i64, now: i64, catch_up: usize) -> Vec<(Timestamp, u64)> {
        let (mut told, mut left_out) = (Vec::new(), 0);
        loop {
            let judged = judge(timing, over, at(since), at(now), catch_up);
            left_out += judged.left_out;
            let Some(due) = judged.due else { break };
            told.push((due, std::mem::take(&mut left_out)));
            over = due;
        }
        told
    }

    #[test]
    fn of_what_was_missed_the_latest_are_told_and_the_others_counted() {
        let told = |catch_up| tell_all(&every_minute(), at(0), 10, 12, catch_up);
        assert_eq!(told(0), [(at(11), 10), (at(12), 0)]);
        assert_eq!(told(1), [(at(10), 9), (at(11), 0), (at(12), 0)]);
        assert_eq!(told(3)[..3], [(at(8), 7), (at(9), 0), (at(10), 0)]);
        assert_eq!(told(1_000).len(), 12);
    }

    #[test]
    fn while_the_plugin_runs_nothing_is_left_out_unless_it_never_gets_on() {
        assert_eq!(tell_all(&every_minute(), at(0), 0, 100, 0).len(), 100);
        let told = tell_all(&every_minute(), at(0), 0, 5_000, 0);
        assert_eq!((told.len(), told[0]), (1_000, (at(4_001), 4_000)));
    }

    #[test]
    fn a_clock_that_is_set_back_tells_nothing_twice() {
        let judged = judge(&every_minute(), at(100), at(90), at(50), 5);
        assert_eq!(judged, Judged { due: None, left_out: 0, over: at(100) });
        let judged = judge(&every_minute(), at(100), at(90), at(101), 5);
        assert_eq!(judged, Judged { due: Some(at(101)), left_out: 0, over: at(100) });
    }
}
