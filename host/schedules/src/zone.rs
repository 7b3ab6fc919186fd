//! Time zones by name, and the moments at which their clocks show a time.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

/// The maximum length of a name, in bytes. The longest one of the database has half of that.
const LONGEST_NAME: usize = 64;
/// The seconds of a day on which the clocks are not changed.
const DAY: i64 = 24 * 60 * 60;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The error for a name that no zone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no name of the IANA time zone database, such as Europe/Berlin or UTC")]
pub struct NoZone;

/// A time zone of the IANA database.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

/// The moments at which the clocks of a zone show a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moments {
    /// They show it once.
    Once(Timestamp),
    /// They show it twice, since they are put back over it.
    Twice(Timestamp, Timestamp),
    /// They never show it, since they are put forward over it at this moment.
    Never(Timestamp),
}

impl Zone {
    /// Returns the zone of this name. Capitals do not count.
    pub fn named(name: &str) -> Result<Self, NoZone> {
        if name.len() > LONGEST_NAME {
            return Err(NoZone);
        }
        let zone = DATABASE.get(name).map_err(|_| NoZone)?;
        // A name for "unknown" is not a zone.
        if zone.iana_name().is_some() { Ok(Self(zone)) } else { Err(NoZone) }
    }

    /// Returns its name as the database writes it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the time that its clocks show at this moment.
    pub fn civil(&self, moment: Timestamp) -> DateTime {
        self.0.to_datetime(moment)
    }

    /// Returns the first moment at which its clocks show this time. For a time in a gap that is the end of the gap.
    /// Returns `None` if it is too far from now to be represented.
    pub fn moment(&self, civil: DateTime) -> Option<Timestamp> {
        self.moments(civil).map(|moments| match moments {
            Moments::Once(moment) | Moments::Twice(moment, _) | Moments::Never(moment) => moment,
        })
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.0
    }

    /// Returns the moments at which its clocks show this time. Returns `None` if it is too far from now to be
    /// represented.
    pub(crate) fn moments(&self, civil: DateTime) -> Option<Moments> {
        let at = |offset: Offset| offset.to_timestamp(civil).ok();
        Some(match self.0.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => Moments::Once(at(offset)?),
            AmbiguousOffset::Fold { before, after } => Moments::Twice(at(before)?, at(after)?),
            AmbiguousOffset::Gap { before, after } => {
                // By the later offset, the time in the gap is before its end.
                let end = self.0.following(at(after)?).take(2).find(|change| change.offset() == after);
                Moments::Never(match end {
                    Some(change) => change.timestamp(),
                    None => at(before)?,
                })
            }
        })
    }

    /// Returns the moment at which a day begins, if its clocks are not changed on that day.
    pub(crate) fn plain_day(&self, date: Date) -> Option<Timestamp> {
        let midnight = |date: Date| match self.moments(date.at(0, 0, 0, 0))? {
            Moments::Once(moment) => Some(moment),
            Moments::Twice(..) | Moments::Never(_) => None,
        };
        let (begin, end) = (midnight(date)?, midnight(date.tomorrow().ok()?)?);
        (end.as_second() - begin.as_second() == DAY).then_some(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn zones_have_the_names_of_the_database_and_no_others() {
        assert_eq!(Zone::named("europe/berlin").unwrap().name(), "Europe/Berlin");
        assert_eq!(Zone::named("UTC").unwrap().name(), "UTC");
        for name in ["", "Berlin", "Etc/Unknown", "Europe/Berlin\0", "../etc/passwd", "+02:00", &"x".repeat(65)] {
            assert!(Zone::named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_time_in_a_gap_is_its_end_and_one_that_comes_twice_the_first() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let at = |text: &str| berlin.moments(text.parse().unwrap()).unwrap();
        assert_eq!(at("2026-03-29T02:30:00"), Moments::Never(moment("2026-03-29T01:00:00Z")));
        assert_eq!(at("2026-03-29T03:00:00"), Moments::Once(moment("2026-03-29T01:00:00Z")));
        let (first, second) = (moment("2026-10-25T00:30:00Z"), moment("2026-10-25T01:30:00Z"));
        assert_eq!(at("2026-10-25T02:30:00"), Moments::Twice(first, second));
        // A day that the islands never had.
        let apia = Zone::named("Pacific/Apia").unwrap();
        assert_eq!(apia.moment("2011-12-30T09:00:00".parse().unwrap()), Some(moment("2011-12-30T10:00:00Z")));
    }
}
