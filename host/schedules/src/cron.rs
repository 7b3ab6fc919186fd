//! Cron expressions in a time zone.
//!
//! `croner` reads the fields, and says whether a day matches. This module computes the due times from that, day by day.
//! On a day without a clock change, due times are sums. Only on the other days, the zone is queried for each of them.

mod fields;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};

use crate::zone::{Moments, Zone};
use fields::FIELDS;

/// The maximum length of an expression, in bytes.
pub const LONGEST_EXPRESSION: usize = 256;
/// The days that are searched. The rarest day, a fifth Monday of February, comes once in 40 years at least.
const MOST_DAYS: u32 = 50 * 366;
/// The minutes of a day.
const MINUTES: u32 = 24 * 60;

/// The names of the months, as a field of months has them.
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
/// The names of the days of the week, as a field of these has them.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The short names that some programs have for an expression, and the expressions.
const SHORT: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * SUN"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The error for a text that is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCron {
    /// It is too long.
    #[error("longer than {LONGEST_EXPRESSION} bytes")]
    TooLong,
    /// It has more or fewer fields.
    #[error(
        "needs 5 fields and has {0}: write minute, hour, day of the month, month, day of the week, as in 0 9 * * MON-FRI"
    )]
    Fields(usize),
    /// It is the short name of this expression.
    #[error("is a short name; write {0}")]
    Short(&'static str),
    /// It has the mark that Quartz has for any day.
    #[error("contains '?'; write * in its place")]
    AnyDay,
    /// It contains a character that no field has.
    #[error("contains {0:?}; a field has numbers, names, and * , - / # L W alone")]
    Character(char),
    /// A field has a name or a letter that belongs to another field, or to none.
    #[error(
        "has {0:?} in a field without such a name; months are JAN to DEC, days of the week SUN to SAT, L and W of days"
    )]
    Name(String),
    /// A field has something that it cannot have.
    #[error("has a wrong {field}: {reason}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// The fault, and the correct form if that is known.
        reason: String,
    },
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// No day has such a time.
    #[error("is never due: no day matches it")]
    Never,
}

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    zone: Zone,
    /// A bit for each minute of an hour that matches.
    minutes: u64,
    /// A bit for each hour of a day that matches.
    hours: u32,
    /// Midnight of each day that matches, for `croner`.
    days: croner::Cron,
    /// Whether it has `*` as hour, and so follows the clock: it is due each time that the clock shows a match.
    follows: bool,
}

impl Cron {
    /// Reads an expression of five fields.
    pub fn parse(expression: &str, zone: Zone) -> Result<Self, NoCron> {
        if expression.len() > LONGEST_EXPRESSION {
            return Err(NoCron::TooLong);
        }
        let written = expression.trim();
        if let Some((_, expression)) = SHORT.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(written)) {
            return Err(NoCron::Short(expression));
        }
        let is_odd = |c: &char| !c.is_ascii_alphanumeric() && !c.is_ascii_whitespace() && !"*,-/#".contains(*c);
        if let Some(odd) = expression.chars().find(is_odd) {
            return Err(if odd == '?' { NoCron::AnyDay } else { NoCron::Character(odd) });
        }
        let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else { return Err(NoCron::Fields(fields.len())) };
        check_names(minute, &[], |_| false)?;
        check_names(hour, &[], |_| false)?;
        check_names(day, &[], |letters| ["L", "W", "LW"].contains(&letters))?;
        check_names(month, &MONTHS, |_| false)?;
        check_names(weekday, &WEEKDAYS, |letters| letters == "L")?;
        // Alone it would be no day at all.
        if weekday.split(',').any(|part| part.eq_ignore_ascii_case("L")) {
            return Err(NoCron::Name(weekday.to_owned()));
        }
        for (place, (field, &text)) in FIELDS.iter().zip(&fields).enumerate() {
            field.check(text)?;
            let mut alone = ["*"; 5];
            alone[place] = text;
            read(&alone.join(" ")).map_err(|_| field.unreadable(text))?;
        }
        let text = fields.join(" ");
        read(&text)?;
        let minutes = read(&format!("{minute} * * * *"))?;
        let hours = read(&format!("0 {hour} * * *"))?;
        let some_day = date(2_000, 1, 1);
        let cron = Self {
            text,
            zone,
            minutes: (0..60_i8)
                .filter(|minute| matches(&minutes, some_day, 0, *minute))
                .fold(0, |all, one| all | (1 << one)),
            hours: (0..24).filter(|hour| matches(&hours, some_day, *hour, 0)).fold(0, |all, one| all | (1 << one)),
            days: read(&format!("0 0 {day} {month} {weekday}"))?,
            follows: hour.starts_with('*'),
        };
        let is_ever_due = cron.minutes != 0 && cron.hours != 0 && cron.has_a_day();
        if is_ever_due { Ok(cron) } else { Err(NoCron::Never) }
    }

    /// Returns the expression, with one space between two fields.
    pub fn expression(&self) -> &str {
        &self.text
    }

    /// Returns its zone.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Returns its first due time after this moment. None: there is none in the next fifty years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // Clocks that are put back over midnight show the day before once more.
        let mut date = self.zone.civil(after).date().yesterday().ok()?;
        let mut found = None;
        for _ in 0..MOST_DAYS {
            let due = self.first_on(date, after);
            if let Some(found) = found {
                // For the same reason, a time of the next day may come before a time of this one.
                return Some(due.map_or(found, |due: Timestamp| due.min(found)));
            }
            found = due;
            date = date.tomorrow().ok()?;
        }
        found
    }

    /// Returns how many due times there are after this moment, until that one.
    pub fn count(&self, after: Timestamp, until: Timestamp) -> u64 {
        let Some((mut date, last)) = self.days_of(after, until) else { return 0 };
        let (mut count, mut before) = (0, None);
        for _ in 0..MOST_DAYS {
            if date > last {
                break;
            }
            count += self.count_on(date, after, until, &mut before);
            let Ok(tomorrow) = date.tomorrow() else { break };
            date = tomorrow;
        }
        count
    }

    /// Returns the latest due times after `after` until `until`, in order and at most `most`.
    pub fn latest(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let Some((first, mut date)) = self.days_of(after, until).filter(|_| most > 0) else { return Vec::new() };
        let (mut found, mut further) = (Vec::new(), 2);
        for _ in 0..MOST_DAYS {
            // If the clocks are put back over midnight, days before may have times that are later than some of these.
            if found.len() >= most {
                further -= 1;
            }
            if date < first || further == 0 {
                break;
            }
            found.extend(self.all_on(date).into_iter().filter(|due| *due > after && *due <= until));
            let Ok(yesterday) = date.yesterday() else { break };
            date = yesterday;
        }
        found.sort_unstable();
        found.dedup();
        found.split_off(found.len().saturating_sub(most))
    }

    /// Returns the days that may have due times after this moment, until that one.
    fn days_of(&self, after: Timestamp, until: Timestamp) -> Option<(Date, Date)> {
        if until <= after {
            return None;
        }
        let (first, last) = (self.zone.civil(after).date(), self.zone.civil(until).date());
        Some((first.yesterday().ok()?, last.tomorrow().ok()?))
    }

    /// Counts the due times of a day. `before` is the last one before it.
    fn count_on(&self, date: Date, after: Timestamp, until: Timestamp, before: &mut Option<Timestamp>) -> u64 {
        if !self.is_day(date) {
            return 0;
        }
        if let Some(midnight) = self.zone.plain_day(date)
            && let Some(end) = later(midnight, MINUTES)
            && midnight > after
            && end <= until
        {
            let all = u64::from(self.hours.count_ones() * self.minutes.count_ones());
            // The end of a gap on the day before may be this midnight.
            let is_told = !self.follows && *before == Some(midnight) && self.minute_from(0) == Some(0);
            *before = later(midnight, self.last_minute());
            return all - u64::from(is_told);
        }
        let mut dues = self.all_on(date);
        dues.retain(|due| *due > after && *due <= until && (self.follows || Some(*due) > *before));
        *before = dues.last().copied().or(*before);
        dues.len().try_into().unwrap_or(u64::MAX)
    }

    /// Returns the first due time of a day after this moment.
    fn first_on(&self, date: Date, after: Timestamp) -> Option<Timestamp> {
        if !self.is_day(date) {
            return None;
        }
        let Some(midnight) = self.zone.plain_day(date) else {
            return self.all_on(date).into_iter().find(|due| *due > after);
        };
        let passed = after.as_second().saturating_sub(midnight.as_second());
        let from = if after < midnight { 0 } else { u32::try_from(passed / 60).ok()?.checked_add(1)? };
        later(midnight, self.minute_from(from)?)
    }

    /// Returns the due times of a day, in order.
    fn all_on(&self, date: Date) -> Vec<Timestamp> {
        if !self.is_day(date) {
            return Vec::new();
        }
        let minutes = std::iter::successors(self.minute_from(0), |minute| self.minute_from(minute + 1));
        if let Some(midnight) = self.zone.plain_day(date) {
            return minutes.filter_map(|minute| later(midnight, minute)).collect();
        }
        let mut all = Vec::new();
        for minute in minutes {
            let (hour, minute) = (i8::try_from(minute / 60), i8::try_from(minute % 60));
            let (Ok(hour), Ok(minute)) = (hour, minute) else { continue };
            match self.zone.moments(date.at(hour, minute, 0, 0)) {
                Some(Moments::Once(moment)) => all.push(moment),
                Some(Moments::Twice(first, second)) => {
                    all.push(first);
                    all.extend(self.follows.then_some(second));
                }
                Some(Moments::Never(end)) => all.extend((!self.follows).then_some(end)),
                None => {}
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Returns the first minute of a day that matches, from this one on.
    fn minute_from(&self, from: u32) -> Option<u32> {
        let (hour, minute) = (from / 60, from % 60);
        if from >= MINUTES {
            return None;
        }
        let (this_hour, rest) = ((self.hours >> hour) & 1, self.minutes >> minute);
        if this_hour != 0 && rest != 0 {
            return Some(from + rest.trailing_zeros());
        }
        let later = self.hours >> (hour + 1);
        (later != 0).then(|| (hour + 1 + later.trailing_zeros()) * 60 + self.minutes.trailing_zeros())
    }

    /// Returns the last minute of a day that matches.
    fn last_minute(&self) -> u32 {
        let last = |zeros: u32, bits: u32| (bits - 1).saturating_sub(zeros);
        last(self.hours.leading_zeros(), u32::BITS) * 60 + last(self.minutes.leading_zeros(), u64::BITS)
    }

    fn is_day(&self, date: Date) -> bool {
        matches(&self.days, date, 0, 0)
    }

    fn has_a_day(&self) -> bool {
        let first = date(2_000, 1, 1);
        let mut days = std::iter::successors(Some(first), |date| date.tomorrow().ok()).take(MOST_DAYS as usize);
        days.any(|date| self.is_day(date))
    }
}

/// Checks the names in a field, and the letters behind a name or a number there. `croner` takes each name for a number in any
/// field, so that `0 9 MON * *` would be due on the first of each month, and skips an `L` where it means nothing.
fn check_names(field: &str, names: &[&str], is_letter: impl Fn(&str) -> bool) -> Result<(), NoCron> {
    for part in field.split(|c: char| !c.is_ascii_alphanumeric()) {
        let text = part.to_ascii_uppercase();
        let letters = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = names.iter().find_map(|name| text.strip_prefix(name)).unwrap_or(letters);
        if !rest.is_empty() && !is_letter(rest) {
            return Err(NoCron::Name(part.to_owned()));
        }
    }
    Ok(())
}

fn read(expression: &str) -> Result<croner::Cron, NoCron> {
    expression.parse::<croner::Cron>().map_err(|error| NoCron::Unreadable(error.to_string()))
}

/// Returns whether this time matches, in any zone.
fn matches(cron: &croner::Cron, date: Date, hour: i8, minute: i8) -> bool {
    cron.is_time_matching(&date.at(hour, minute, 0, 0)).unwrap_or(false)
}

fn later(begin: Timestamp, minutes: u32) -> Option<Timestamp> {
    begin.checked_add(SignedDuration::from_secs(i64::from(minutes) * 60)).ok()
}

#[cfg(test)]
mod tests;
