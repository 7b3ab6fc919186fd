//! The moment since which a plugin takes its due times. Earlier ones were missed.

use jiff::Timestamp;
use parlor_base::id::InstanceId;

/// The moment since which a plugin takes its due times, by a clock that may be set.
#[derive(Debug, Default)]
pub(super) struct Since {
    /// The instance that runs, and the moment since which it does.
    instance: Option<(InstanceId, Timestamp)>,
    /// The clock jumped over the due times until then.
    jumped_to: Option<Timestamp>,
    /// The moment since which the version before took them. It has left those to this one that it had not begun to tell.
    before: Option<Timestamp>,
}

impl Since {
    /// Begins for a plugin whose version before took its due times since that moment, and has just been replaced.
    pub(super) fn after(before: Option<Timestamp>) -> Self {
        Self { before, ..Self::default() }
    }

    /// Notes that the clock was set forward to now. The due times in between were missed, even if an instance was
    /// running.
    pub(super) fn jumped(&mut self, now: Timestamp) {
        self.jumped_to = Some(now);
    }

    /// Returns the moment since which this instance takes due times, if it was started at `started`.
    ///
    /// A clock that was set back shows earlier times once more, and the instance runs at these. Otherwise the due times
    /// of the next hours or days would count as missed, and a schedule that catches up with none would lose them.
    pub(super) fn of(&mut self, instance: InstanceId, started: Timestamp, now: Timestamp) -> Timestamp {
        let known = match self.instance.filter(|(known, _)| *known == instance) {
            Some((_, since)) => since,
            None => self.before.take().map_or(started, |before| before.min(started)),
        };
        let since = known.min(now);
        self.instance = Some((instance, since));
        self.jumped_to = self.jumped_to.map(|jumped| jumped.min(now));
        self.jumped_to.map_or(since, |jumped| jumped.max(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: InstanceId = InstanceId(1);

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3_600).unwrap()
    }

    #[test]
    fn an_instance_takes_due_times_since_its_start_and_since_a_jump_of_the_clock() {
        let mut since = Since::default();
        assert_eq!(since.of(ONE, at(5), at(7)), at(5));
        since.jumped(at(9));
        assert_eq!(since.of(ONE, at(5), at(10)), at(9));
        assert_eq!(since.of(InstanceId(2), at(11), at(12)), at(11), "another one was started later");
    }

    /// Of many that are due at once, most wait for those before them.
    #[test]
    fn a_version_takes_the_due_times_that_the_one_before_it_had_not_come_to() {
        let mut since = Since::after(Some(at(5)));
        assert_eq!((since.of(ONE, at(7), at(8)), since.of(ONE, at(7), at(9))), (at(5), at(5)));
        assert_eq!(since.of(InstanceId(2), at(10), at(11)), at(10), "it was started again");
        assert_eq!(Since::after(Some(at(9))).of(ONE, at(7), at(10)), at(7));
    }

    #[test]
    fn after_a_clock_was_set_back_an_instance_takes_what_is_due_then() {
        let mut since = Since::default();
        assert_eq!(since.of(ONE, at(48), at(50)), at(48));
        assert_eq!(since.of(ONE, at(48), at(26)), at(26));
        assert_eq!(since.of(ONE, at(48), at(30)), at(26), "it runs since then");
        // The same after a jump to a time that turned out to be wrong.
        since.jumped(at(1_000));
        assert_eq!(since.of(ONE, at(48), at(1_000)), at(1_000));
        assert_eq!(since.of(ONE, at(48), at(31)), at(31));
        assert_eq!(since.of(ONE, at(48), at(40)), at(31));
    }
}
