//! The due times of a schedule.

use jiff::{SignedDuration, Timestamp};

use crate::cron::Cron;

/// The rule for the due times of a schedule.
#[derive(Debug, Clone)]
pub enum Timing {
    /// Once in each period.
    Every {
        /// When it was set: the periods count from then.
        since: Timestamp,
        /// The length of a period in milliseconds, 1 at least.
        period: u64,
    },
    /// Once.
    At(Timestamp),
    /// As a cron expression says.
    Cron(Box<Cron>),
}

/// The due times between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many there are.
    pub count: u64,
    /// The latest of them, in order.
    pub latest: Vec<Timestamp>,
}

impl Timing {
    /// Returns the first due time after this moment, if there is another one.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every { since, period } => due_of(*since, *period, periods(*since, *period, after).checked_add(1)?),
            Self::At(due) => (*due > after).then_some(*due),
            Self::Cron(cron) => cron.next(after),
        }
    }

    /// Lets the periods of a schedule that was set after this moment begin before it, in the same rhythm: the clock was
    /// ahead when it was set.
    pub fn reach_back_to(&mut self, moment: Timestamp) {
        if let Self::Every { since, period } = self
            && *since > moment
        {
            let period = (*period).max(1);
            let ahead = u64::try_from(since.duration_since(moment).as_millis()).unwrap_or(u64::MAX);
            let back = (ahead / period).saturating_add(1).saturating_mul(period);
            let back = SignedDuration::from_millis(i64::try_from(back).unwrap_or(i64::MAX));
            *since = since.checked_sub(back).unwrap_or(*since);
        }
    }

    /// Returns the number of due times after one moment until another, and the latest ones, up to a maximum.
    pub fn between(&self, after: Timestamp, until: Timestamp, most: usize) -> Missed {
        if until <= after {
            return Missed::default();
        }
        match self {
            Self::Every { since, period } => {
                let (first, last) = (periods(*since, *period, after), periods(*since, *period, until));
                let count = last.saturating_sub(first);
                let told = count.min(most.try_into().unwrap_or(u64::MAX));
                let latest = (last - told + 1..=last).filter_map(|number| due_of(*since, *period, number)).collect();
                Missed { count, latest }
            }
            Self::At(due) => {
                let is_due = *due > after && *due <= until;
                Missed { count: is_due.into(), latest: is_due.then_some(*due).into_iter().take(most).collect() }
            }
            Self::Cron(cron) => Missed { count: cron.count(after, until), latest: cron.latest(after, until, most) },
        }
    }
}

/// Returns how many periods were over at this moment.
fn periods(since: Timestamp, period: u64, at: Timestamp) -> u64 {
    let passed = u64::try_from(at.duration_since(since).as_millis()).unwrap_or(0);
    passed / period.max(1)
}

/// Returns the end of the period of this number, the first of which has number 1.
fn due_of(since: Timestamp, period: u64, number: u64) -> Option<Timestamp> {
    let after = i64::try_from(period.max(1).checked_mul(number)?).ok()?;
    since.checked_add(SignedDuration::from_millis(after)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn periods_count_from_when_it_was_set() {
        let timing = Timing::Every { since: at(100), period: 60_000 };
        assert_eq!(timing.next(at(0)), Some(at(160)));
        assert_eq!(timing.next(at(100)), Some(at(160)));
        assert_eq!(timing.next(at(159)), Some(at(160)));
        assert_eq!(timing.next(at(160)), Some(at(220)));
        let missed = timing.between(at(160), at(400), 2);
        assert_eq!(missed, Missed { count: 4, latest: vec![at(340), at(400)] });
        assert_eq!(timing.between(at(160), at(400), 0), Missed { count: 4, latest: vec![] });
        assert_eq!(timing.between(at(400), at(160), 2), Missed::default());
        assert_eq!(timing.between(at(0), at(100), 2), Missed::default());
    }

    #[test]
    fn periods_that_count_from_a_time_to_come_reach_back_in_the_same_rhythm() {
        let mut timing = Timing::Every { since: at(1_000_030), period: 60_000 };
        timing.reach_back_to(at(500));
        assert_eq!(timing.next(at(500)), Some(at(550)));
        assert_eq!(timing.next(at(1_000_030)), Some(at(1_000_090)));
        // One that was set before stays as it is, and so does one without periods.
        let mut timing = Timing::Every { since: at(100), period: 60_000 };
        timing.reach_back_to(at(100));
        assert_eq!(timing.next(at(0)), Some(at(160)));
        let mut timing = Timing::At(at(50));
        timing.reach_back_to(at(0));
        assert_eq!(timing.next(at(0)), Some(at(50)));
        let mut timing = Timing::Every { since: Timestamp::MAX, period: u64::MAX };
        timing.reach_back_to(Timestamp::MIN);
        assert_eq!(timing.next(Timestamp::MIN), None);
    }

    #[test]
    fn a_time_far_beyond_the_calendar_is_none() {
        let timing = Timing::Every { since: Timestamp::MAX, period: u64::MAX };
        assert_eq!(timing.next(Timestamp::MAX), None);
        let timing = Timing::Every { since: Timestamp::MIN, period: 1 };
        assert_eq!(timing.between(Timestamp::MIN, Timestamp::MAX, 3).latest.len(), 3);
    }

    #[test]
    fn one_that_is_due_once_is_due_once() {
        let timing = Timing::At(at(50));
        assert_eq!((timing.next(at(49)), timing.next(at(50))), (Some(at(50)), None));
        assert_eq!(timing.between(at(49), at(50), 1), Missed { count: 1, latest: vec![at(50)] });
        assert_eq!(timing.between(at(49), at(50), 0), Missed { count: 1, latest: vec![] });
        assert_eq!(timing.between(at(50), at(60), 1), Missed::default());
    }
}
