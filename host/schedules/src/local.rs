//! Local times: converts moments to the clock time in a zone, formats them, and parses times that people write.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::fmt::strtime;
use jiff::{SignedDuration, Span, Timestamp};

use crate::zone::{Moments, Zone};

/// The maximum length of a text or a pattern, in bytes.
pub const LONGEST_TEXT: usize = 256;
/// The maximum length of a formatted pattern, in bytes.
const LONGEST_WRITTEN: usize = 4 << 10;
/// The largest number in a text, of any unit: a million weeks are more than the calendar has.
const LARGEST: i64 = 1_000_000_000;

/// A point in time as clocks in a zone show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTime {
    /// The date and the time of day.
    pub shown: DateTime,
    /// The seconds that the clock is ahead of UTC.
    pub offset: i32,
    /// The zone's short name at this time, or its offset where it has none.
    pub abbreviation: String,
}

/// The error for a pattern or a text that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTime {
    /// It is too long.
    #[error("longer than {LONGEST_TEXT} bytes")]
    TooLong,
    /// A pattern contains something unknown.
    #[error("cannot be written: {0}")]
    Pattern(String),
    /// The written time is too long.
    #[error("becomes longer than {LONGEST_WRITTEN} bytes")]
    TooMuch,
    /// A text cannot be read.
    #[error(
        "is no time; write 2026-11-20 09:00, 9:00, today 9:00, tomorrow 9:00, friday 9:00, or in 2 hours 30 minutes"
    )]
    Unreadable,
    /// A text has the form of a time that does not exist.
    #[error("is no time: {0}")]
    Impossible(String),
    /// The time is outside of the calendar.
    #[error("is too far away")]
    TooFar,
}

/// Returns the time that clocks in a zone show at this moment.
pub fn to_local(moment: Timestamp, zone: &Zone) -> LocalTime {
    let info = zone.zone().to_offset_info(moment);
    LocalTime {
        shown: info.offset().to_datetime(moment),
        offset: info.offset().seconds(),
        abbreviation: info.abbreviation().to_owned(),
    }
}

/// Writes a moment as clocks in a zone show it, by a pattern of strftime.
pub fn format(moment: Timestamp, zone: &Zone, pattern: &str) -> Result<String, NoTime> {
    if pattern.len() > LONGEST_TEXT {
        return Err(NoTime::TooLong);
    }
    let written = strtime::format(pattern, &moment.to_zoned(zone.zone().clone()));
    let written = written.map_err(|error| NoTime::Pattern(error.to_string()))?;
    // Widths and names can make it much longer than the pattern.
    if written.len() > LONGEST_WRITTEN { Err(NoTime::TooMuch) } else { Ok(written) }
}

/// Returns the moment that a text means, as a person in this zone writes it now.
pub fn parse(text: &str, now: Timestamp, zone: &Zone) -> Result<Timestamp, NoTime> {
    if text.len() > LONGEST_TEXT {
        return Err(NoTime::TooLong);
    }
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let today = zone.civil(now).date();
    let at = |date: Date, time: Time| zone.moment(date.to_datetime(time)).ok_or(NoTime::TooFar);
    match words.as_slice() {
        ["in", amounts @ ..] => from_now(amounts, now, zone),
        [one] => {
            if let Some((date, time)) = one.split_once('t') {
                return at(date_in(date)?, time_in(time)?);
            }
            let time = time_in(one)?;
            match next_shown(today.to_datetime(time), now, zone)? {
                Some(moment) => Ok(moment),
                None => at(tomorrow(today)?, time),
            }
        }
        [day, time] => {
            let date = match *day {
                "today" => today,
                "tomorrow" => tomorrow(today)?,
                day => match weekday(day) {
                    Some(weekday) => next_weekday(today, weekday)?,
                    None => date_in(day)?,
                },
            };
            at(date, time_in(time)?)
        }
        _ => Err(NoTime::Unreadable),
    }
}

/// Returns the next moment at which clocks show this time. If they show it twice, the second one may still follow.
fn next_shown(shown: DateTime, now: Timestamp, zone: &Zone) -> Result<Option<Timestamp>, NoTime> {
    let (first, second) = match zone.moments(shown).ok_or(NoTime::TooFar)? {
        Moments::Once(moment) | Moments::Never(moment) => (moment, moment),
        Moments::Twice(first, second) => (first, second),
    };
    Ok([first, second].into_iter().find(|moment| *moment > now))
}

/// Returns the moment after amounts of time, such as `2 hours 30 minutes`. Days and weeks are those of the calendar: a day
/// later, the clock shows the same time.
fn from_now(amounts: &[&str], now: Timestamp, zone: &Zone) -> Result<Timestamp, NoTime> {
    let (mut days, mut seconds) = (0, 0);
    let (pairs, rest) = amounts.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(NoTime::Unreadable);
    }
    for [number, unit] in pairs {
        let number = number_in(number, 10)?;
        match unit.strip_suffix('s').filter(|unit| unit.len() > 1).unwrap_or(*unit) {
            "second" | "sec" => seconds += number,
            "minute" | "min" => seconds += number * 60,
            "hour" | "h" => seconds += number * 60 * 60,
            "day" | "d" => days += number,
            "week" => days += number * 7,
            _ => return Err(NoTime::Unreadable),
        }
    }
    let mut moment = now;
    // Only then: a clock shows some times twice, and this may be the second one.
    if days > 0 {
        let days = Span::new().try_days(days).map_err(|_| NoTime::TooFar)?;
        let civil = zone.civil(now).checked_add(days).map_err(|_| NoTime::TooFar)?;
        moment = zone.moment(civil).ok_or(NoTime::TooFar)?;
    }
    moment.checked_add(SignedDuration::from_secs(seconds)).map_err(|_| NoTime::TooFar)
}

/// Reads digits, up to a maximum number.
fn number_in(text: &str, most: usize) -> Result<i64, NoTime> {
    if text.is_empty() || text.len() > most || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoTime::Unreadable);
    }
    let number = text.parse().map_err(|_| NoTime::Unreadable)?;
    if number > LARGEST { Err(NoTime::TooFar) } else { Ok(number) }
}

fn small_in(text: &str) -> Result<i8, NoTime> {
    i8::try_from(number_in(text, 2)?).map_err(|_| NoTime::Unreadable)
}

/// Reads a time of day, such as `9:00` or `09:00:30`.
fn time_in(text: &str) -> Result<Time, NoTime> {
    let parts: Vec<&str> = text.split(':').collect();
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] => (small_in(hour)?, small_in(minute)?, 0),
        [hour, minute, second] => (small_in(hour)?, small_in(minute)?, small_in(second)?),
        _ => return Err(NoTime::Unreadable),
    };
    is_within("hours", hour, 0, 23)?;
    is_within("minutes", minute, 0, 59)?;
    is_within("seconds", second, 0, 59)?;
    Time::new(hour, minute, second, 0).map_err(|_| NoTime::Unreadable)
}

/// Reads a date, such as `2026-11-20`.
fn date_in(text: &str) -> Result<Date, NoTime> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return Err(NoTime::Unreadable) };
    let year = i16::try_from(number_in(year, 4)?).map_err(|_| NoTime::Unreadable)?;
    // A person who writes 26 does not mean the year 26.
    if year < 1_000 {
        return Err(NoTime::Impossible("a year has four digits".to_owned()));
    }
    let (month, day) = (small_in(month)?, small_in(day)?);
    is_within("months", month, 1, 12)?;
    is_within("days", day, 1, 31)?;
    let first = Date::new(year, month, 1).map_err(|_| NoTime::Unreadable)?;
    // Every month has 28 days.
    let ending = if day == 31 { "st" } else { "th" };
    Date::new(year, month, day)
        .map_err(|_| NoTime::Impossible(format!("{} has no {day}{ending} day", first.strftime("%B %Y"))))
}

/// Checks a number of a date or of a time of day.
fn is_within(what: &str, number: i8, least: i8, most: i8) -> Result<(), NoTime> {
    if (least..=most).contains(&number) {
        return Ok(());
    }
    Err(NoTime::Impossible(format!("{what} are from {least} to {most}")))
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ => return None,
    })
}

/// Returns the next date with this weekday, which is never today.
fn next_weekday(today: Date, weekday: Weekday) -> Result<Date, NoTime> {
    let mut date = tomorrow(today)?;
    while date.weekday() != weekday {
        date = tomorrow(date)?;
    }
    Ok(date)
}

fn tomorrow(date: Date) -> Result<Date, NoTime> {
    date.tomorrow().map_err(|_| NoTime::TooFar)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").unwrap()
    }

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A Wednesday, at 10:30 in Berlin.
    fn now() -> Timestamp {
        moment("2026-11-18T09:30:00Z")
    }

    #[test]
    fn a_text_means_what_a_person_in_the_zone_means() {
        for (text, expected) in [
            ("2026-11-20 09:00", "2026-11-20T08:00:00Z"),
            ("2026-11-20T09:00", "2026-11-20T08:00:00Z"),
            ("11:00", "2026-11-18T10:00:00Z"),
            ("9:00", "2026-11-19T08:00:00Z"),
            ("10:30", "2026-11-19T09:30:00Z"),
            ("10:30:01", "2026-11-18T09:30:01Z"),
            ("today 9:00", "2026-11-18T08:00:00Z"),
            ("Tomorrow  9:00", "2026-11-19T08:00:00Z"),
            ("friday 9:00", "2026-11-20T08:00:00Z"),
            ("WED 11:00", "2026-11-25T10:00:00Z"),
            ("in 2 hours 30 minutes", "2026-11-18T12:00:00Z"),
            ("in 1 day", "2026-11-19T09:30:00Z"),
            ("in 1 week 1 second", "2026-11-25T09:30:01Z"),
            // A gap, and a time that comes twice.
            ("2027-03-28 02:30", "2027-03-28T01:00:00Z"),
            ("2027-10-31 02:30", "2027-10-31T00:30:00Z"),
            // The clocks change in between.
            ("in 150 days", "2027-04-17T08:30:00Z"),
        ] {
            assert_eq!(parse(text, now(), &berlin()), Ok(moment(expected)), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_time_are_refused() {
        for text in [
            "",
            "in",
            "in 2",
            "in two hours",
            "in 2 hours 3",
            "in -1 hours",
            "in 2 months",
            "24:00",
            "9",
            "9:60",
            "2026-02-30 9:00",
            "2026-11-20",
            "friday",
            "9:00 friday",
            "+9:00",
            "t",
            "２:00",
            "someday 9:00",
        ] {
            let odd = parse(text, now(), &berlin());
            assert!(odd.is_err(), "{text}: {odd:?}");
        }
        assert_eq!(parse("in 9999999999 weeks", now(), &berlin()), Err(NoTime::TooFar));
        assert_eq!(parse("in 1000000000 weeks", now(), &berlin()), Err(NoTime::TooFar));
        assert_eq!(parse(&"9".repeat(LONGEST_TEXT + 1), now(), &berlin()), Err(NoTime::TooLong));
    }

    #[test]
    fn a_time_that_does_not_exist_is_refused_with_the_reason() {
        for (text, reason) in [
            ("2026-02-30 09:00", "February 2026 has no 30th day"),
            ("2026-02-29 09:00", "February 2026 has no 29th day"),
            ("2026-04-31T09:00", "April 2026 has no 31st day"),
            ("2026-13-01 09:00", "months are from 1 to 12"),
            ("2026-11-32 09:00", "days are from 1 to 31"),
            ("2026-11-00 09:00", "days are from 1 to 31"),
            ("26-11-20 09:00", "a year has four digits"),
            ("0026-11-20T09:00", "a year has four digits"),
            ("0000-01-01 09:00", "a year has four digits"),
            ("25:00", "hours are from 0 to 23"),
            ("tomorrow 9:60", "minutes are from 0 to 59"),
            ("9:00:60", "seconds are from 0 to 59"),
        ] {
            let error = parse(text, now(), &berlin()).unwrap_err().to_string();
            assert_eq!(error, format!("is no time: {reason}"), "{text}");
        }
        assert!(parse("2028-02-29 09:00", now(), &berlin()).is_ok());
    }

    #[test]
    fn the_second_of_two_equal_times_goes_on_from_there() {
        let second = moment("2026-10-25T01:10:00Z");
        assert_eq!(parse("in 5 minutes", second, &berlin()), Ok(moment("2026-10-25T01:15:00Z")));
        // 2:10 for the second time: 2:30 follows once more, and 2:05 tomorrow.
        assert_eq!(parse("2:30", second, &berlin()), Ok(moment("2026-10-25T01:30:00Z")));
        assert_eq!(parse("2:05", second, &berlin()), Ok(moment("2026-10-26T01:05:00Z")));
        let first = moment("2026-10-25T00:10:00Z");
        assert_eq!(parse("2:30", first, &berlin()), Ok(moment("2026-10-25T00:30:00Z")));
        assert_eq!(parse("2:05", first, &berlin()), Ok(moment("2026-10-25T01:05:00Z")));
    }

    #[test]
    fn a_moment_is_shown_and_written_as_clocks_show_it() {
        let local = to_local(moment("2026-07-01T22:30:15Z"), &berlin());
        assert_eq!((local.shown.to_string().as_str(), local.offset), ("2026-07-02T00:30:15", 7_200));
        assert_eq!(local.abbreviation, "CEST");
        let kathmandu = to_local(now(), &Zone::named("Asia/Kathmandu").unwrap());
        assert_eq!((kathmandu.offset, kathmandu.abbreviation.as_str()), (20_700, "+0545"));
        assert_eq!(format(now(), &berlin(), "%A, %H:%M").as_deref(), Ok("Wednesday, 10:30"));
        assert!(matches!(format(now(), &berlin(), "%!"), Err(NoTime::Pattern(_))));
        let wide = format(now(), &berlin(), &"%200Y".repeat(51));
        assert!(wide.as_ref().is_ok_and(|written| written.len() <= LONGEST_WRITTEN), "{wide:?}");
        assert_eq!(format(now(), &berlin(), &"x".repeat(LONGEST_TEXT + 1)), Err(NoTime::TooLong));
    }

    proptest! {
        #[test]
        fn no_text_and_no_pattern_panics(text in ".{0,80}", number in "in [0-9]{1,12} (days|weeks|hours|seconds)") {
            let zone = berlin();
            let _ = (parse(&text, now(), &zone), parse(&number, now(), &zone), format(now(), &zone, &text));
        }
    }
}
