//! The kinds of arguments of commands: parsing a value, and describing the accepted ones.

use std::fmt::Write as _;

use jid::Jid;
use jiff::civil::{Date, Time};
use parlor_base::escape::escape_untrusted;
use parlor_stanza::types::address;

use crate::command_names::folded;
use crate::records::command_value::CommandValue;

/// The longest span of time, in milliseconds: ten years.
const LONGEST: u64 = 3_650 * 24 * 3_600_000;
/// The units of time in descending order, with their milliseconds.
const UNITS: [(char, u64); 5] = [('w', 604_800_000), ('d', 86_400_000), ('h', 3_600_000), ('m', 60_000), ('s', 1_000)];
/// The longest list of words in a text for people, in bytes.
const LONGEST_LIST: usize = 300;
/// Maximum number of bytes of a person's text that an answer repeats.
const LONGEST_ECHO: usize = 40;
/// The largest whole number that every language counts to. A bound beyond it is not shown.
const COUNTED: i64 = (1 << 53) - 1;

/// The kind of an argument. Cases as in `kind` of `wit/commands.wit`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub enum Kind {
    Text,
    Integer(i64, i64),
    Number(f64, f64),
    Duration,
    Date,
    Time,
    Jid,
    Choice(Vec<String>),
    Flag,
    Rest,
}

/// The result of looking up a word as the nickname of an occupant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// There are no nicknames, since this is no room.
    Nobody,
    /// No occupant has this nickname.
    Absent,
    /// The room does not show the address of the occupant.
    Hidden,
    /// The occupant has this address.
    At(Jid),
}

/// The error for a word that is not a valid value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The argument does not accept it.
    Other,
    /// It is neither an address nor the nickname of an occupant.
    Absent,
    /// The room does not show the address of the occupant.
    Hidden,
}

/// Reads a flag in a form, as clients write it (XEP-0004, section 3.3) or as people do.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Some(true),
        "0" | "false" | "no" => Some(false),
        _ => None,
    }
}

impl Kind {
    /// Reads a value. `occupant` resolves a nickname.
    pub(super) fn read(&self, text: &str, occupant: &dyn Fn(&str) -> Named) -> Result<CommandValue, Unfit> {
        let value = match self {
            Self::Text | Self::Rest => Some(CommandValue::Text(text.to_owned())),
            Self::Integer(least, most) => {
                let number = integer(text).filter(|number| (*least..=*most).contains(number));
                number.map(CommandValue::Integer)
            }
            Self::Number(least, most) => {
                let number = number(text).filter(|number| (*least..=*most).contains(number));
                number.map(CommandValue::Number)
            }
            Self::Duration => duration(text).map(CommandValue::Duration),
            Self::Date => date(text).map(CommandValue::Date),
            Self::Time => time(text).map(CommandValue::Time),
            Self::Jid => return jid(text, occupant).map(CommandValue::Jid),
            Self::Choice(words) => {
                let small = folded(text);
                let word = words.iter().find(|word| folded(word) == small);
                word.map(|word| CommandValue::Text(word.clone()))
            }
            Self::Flag => None,
        };
        value.ok_or(Unfit::Other)
    }

    /// Returns what a value may be, for people: `a whole number from 1 to 6`.
    pub(super) fn may_be(&self) -> String {
        match self {
            Self::Text => "a word, or several in quotes".to_owned(),
            Self::Integer(least, most) => {
                let least = Some(*least).filter(|least| *least > -COUNTED).map(|least| least.to_string());
                let most = Some(*most).filter(|most| *most < COUNTED).map(|most| most.to_string());
                format!("a whole number{}", bounds(least, most))
            }
            Self::Number(least, most) => {
                let least = Some(*least).filter(|least| *least > f64::MIN).map(show_number);
                let most = Some(*most).filter(|most| *most < f64::MAX).map(show_number);
                format!("a number{}", bounds(least, most))
            }
            Self::Duration => "a time such as 90s, 2h30m, 1d or 1w, and at most 10 years".to_owned(),
            Self::Date => "a date such as 2026-12-24".to_owned(),
            Self::Time => "a time of day such as 18:30".to_owned(),
            Self::Jid => "an address such as juliet@example.org".to_owned(),
            Self::Choice(words) if words.len() == 1 => words.concat(),
            Self::Choice(words) => format!("one of {}", list(words)),
            Self::Flag => "given or not".to_owned(),
            Self::Rest => "a text".to_owned(),
        }
    }
}

fn bounds(least: Option<String>, most: Option<String>) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    }
}

/// Returns the number in few digits.
fn show_number(number: f64) -> String {
    if number.abs() < 1e15 { number.to_string() } else { format!("{number:e}") }
}

/// Lists words, as far as there is room.
fn list(words: &[String]) -> String {
    let mut text = String::new();
    for word in words {
        if text.len() + word.len() > LONGEST_LIST {
            return text + ", …";
        }
        if !text.is_empty() {
            text += ", ";
        }
        text += word;
    }
    text
}

/// Returns a part of a person's text, without invisible characters.
pub(super) fn echo(text: &str) -> String {
    escape_untrusted(text, LONGEST_ECHO)
}

/// Returns the text with a minus sign that programs know. Phones and word processors write others.
fn with_minus(text: &str) -> String {
    match text.strip_prefix(['\u{2212}', '\u{2013}']) {
        Some(rest) => format!("-{rest}"),
        None => text.to_owned(),
    }
}

fn integer(text: &str) -> Option<i64> {
    with_minus(text).parse().ok()
}

/// Reads a finite number. Words that mean a number, such as `inf`, are none.
fn number(text: &str) -> Option<f64> {
    let text = with_minus(text);
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E'));
    text.parse().ok().filter(|number: &f64| is_plain && number.is_finite())
}

/// Reads a span of time, in milliseconds. Each unit may occur once, a larger one before a smaller one.
fn duration(text: &str) -> Option<u64> {
    let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.iter());
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit = after.chars().next()?;
        let (_, factor) = units.find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
        total = number.parse::<u64>().ok()?.checked_mul(*factor)?.checked_add(total)?;
        rest = &after[unit.len_utf8()..];
    }
    (!text.is_empty() && total <= LONGEST).then_some(total)
}

/// Returns a span of time as [`duration`] reads it, in whole seconds, which are rounded up.
pub(super) fn show_duration(milliseconds: u64) -> String {
    let mut left = milliseconds.div_ceil(1_000).saturating_mul(1_000);
    let mut text = String::new();
    for (name, factor) in UNITS {
        if left >= factor {
            // Writing into a String cannot fail.
            let _ = write!(text, "{}{name}", left / factor);
            left %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Returns a time of day as [`time`] reads it, without seconds where there are none.
pub(super) fn show_time(time: Time) -> String {
    if time.second() == 0 { format!("{:02}:{:02}", time.hour(), time.minute()) } else { time.to_string() }
}

/// Returns the beginning of a text with a zero for each digit: as much as tells a date or a time of day from longer ones.
fn shape(text: &str) -> String {
    text.chars().take(11).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// Reads a date of the calendar in the one form that nobody reads in another way (ISO 8601, `YYYY-MM-DD`).
fn date(text: &str) -> Option<Date> {
    let is_plain = shape(text) == "0000-00-00";
    text.parse().ok().filter(|date: &Date| is_plain && date.year() > 0)
}

/// Reads a time of day on a clock of 24 hours, with seconds or without. A leap second is none.
fn time(text: &str) -> Option<Time> {
    if !["0:00", "00:00", "0:00:00", "00:00:00"].contains(&shape(text).as_str()) {
        return None;
    }
    let mut numbers = text.split(':').map(|number| number.parse::<i8>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    Time::new(next(), next(), next(), 0).ok()
}

/// Reads an address, or a nickname. A word with `@` is never a nickname, since anybody could choose one that looks like
/// another person's address. A word with neither `@` nor `.` is never a domain: it is a misspelled nickname.
fn jid(text: &str, occupant: &dyn Fn(&str) -> Named) -> Result<Jid, Unfit> {
    let named = if text.contains('@') { Named::Nobody } else { occupant(text) };
    match named {
        Named::At(jid) => Ok(jid),
        Named::Hidden => Err(Unfit::Hidden),
        Named::Absent if !text.contains(['@', '.']) => Err(Unfit::Absent),
        Named::Nobody if !text.contains(['@', '.']) => Err(Unfit::Other),
        Named::Absent | Named::Nobody => address(text).map_err(|_| Unfit::Other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nobody(_: &str) -> Named {
        Named::Nobody
    }

    fn read(kind: &Kind, text: &str) -> Option<CommandValue> {
        kind.read(text, &nobody).ok()
    }

    #[test]
    fn whole_numbers_are_within_their_bounds_and_of_plain_digits() {
        let kind = Kind::Integer(-5, 100);
        for (text, number) in [("7", 7), ("+7", 7), ("-5", -5), ("\u{2212}5", -5), ("\u{2013}5", -5), ("100", 100)] {
            assert_eq!(read(&kind, text), Some(CommandValue::Integer(number)), "{text}");
        }
        for text in ["", "-6", "101", "x", "1.5", "1e1", "0x1", "1_0", "1,0", "\u{661}", "1\u{301}", "--1", "+ 1"] {
            assert_eq!(read(&kind, text), None, "{text:?}");
        }
        assert_eq!(read(&Kind::Integer(i64::MIN, i64::MAX), "9223372036854775808"), None);
    }

    #[test]
    fn numbers_are_finite() {
        let kind = Kind::Number(f64::MIN, f64::MAX);
        assert_eq!(read(&kind, "2.5"), Some(CommandValue::Number(2.5)));
        assert_eq!(read(&kind, "-1e3"), Some(CommandValue::Number(-1_000.0)));
        for text in ["", "inf", "-inf", "NaN", "infinity", "1e999", "1,5", "e", "."] {
            assert_eq!(read(&kind, text), None, "{text:?}");
        }
        assert_eq!(read(&Kind::Number(0.0, 1.0), "1.5"), None);
    }

    #[test]
    fn spans_of_time_have_units_and_an_end() {
        for (text, milliseconds) in
            [("90s", 90_000), ("2h30m", 9_000_000), ("1d", 86_400_000), ("1W", 604_800_000), ("0s", 0)]
        {
            assert_eq!(read(&Kind::Duration, text), Some(CommandValue::Duration(milliseconds)), "{text}");
        }
        assert_eq!(read(&Kind::Duration, "3650d"), Some(CommandValue::Duration(LONGEST)));
        for text in ["", "90", "s", "1x", "30m2h", "1s1s", "3651d", "-1s", "1 s", "1é", "99999999999999999999s"] {
            assert_eq!(read(&Kind::Duration, text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar_in_one_form() {
        for (text, date) in [
            ("2026-12-24", Date::constant(2026, 12, 24)),
            ("2028-02-29", Date::constant(2028, 2, 29)),
            ("0001-01-01", Date::constant(1, 1, 1)),
            ("9999-12-31", Date::constant(9999, 12, 31)),
        ] {
            assert_eq!(read(&Kind::Date, text), Some(CommandValue::Date(date)), "{text}");
        }
        for text in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-2",
            "0000-01-01",
            "24.12.2026",
            "12/24/2026",
            "20261224",
            "2026-12-24T09:00",
            "2026-12-24Z",
            " 2026-12-24",
            "-2026-12-24",
            "tomorrow",
            "\u{662}026-12-24",
            "2026\u{2013}12\u{2013}24",
        ] {
            assert_eq!(read(&Kind::Date, text), None, "{text:?}");
        }
    }

    #[test]
    fn times_of_day_are_those_of_a_clock_of_24_hours() {
        for (text, time) in [
            ("18:30", Time::constant(18, 30, 0, 0)),
            ("9:00", Time::constant(9, 0, 0, 0)),
            ("00:00", Time::constant(0, 0, 0, 0)),
            ("23:59:59", Time::constant(23, 59, 59, 0)),
            ("7:05:09", Time::constant(7, 5, 9, 0)),
        ] {
            assert_eq!(read(&Kind::Time, text), Some(CommandValue::Time(time)), "{text}");
        }
        for text in [
            "",
            "9",
            "930",
            "9:0",
            "24:00",
            "9:60",
            "9:00:60",
            "9:00:0",
            "9:00pm",
            "9:00 ",
            "-9:00",
            "+9:00",
            "9.00",
            "18h30",
            "18:30Z",
            "18:30:00.5",
            "noon",
            "9:00:00:00",
            "\u{669}:00",
        ] {
            assert_eq!(read(&Kind::Time, text), None, "{text:?}");
        }
    }

    #[test]
    fn a_word_of_a_choice_is_the_declared_one() {
        let kind = Kind::Choice(vec!["Red".to_owned(), "grün".to_owned()]);
        assert_eq!(read(&kind, "RED"), Some(CommandValue::Text("Red".to_owned())));
        assert_eq!(read(&kind, "GRÜN"), Some(CommandValue::Text("grün".to_owned())));
        for text in ["", "re", "redd", "r\u{435}d", "red\u{fe0f}"] {
            assert_eq!(read(&kind, text), None, "{text:?}");
        }
    }

    #[test]
    fn a_nickname_stands_for_an_address_and_never_hides_one() {
        let juliet = Jid::new("juliet@example.org").unwrap();
        let occupant = |nick: &str| match nick {
            "Juliet" | "romeo@example.org" => Named::At(juliet.clone()),
            "Ghost" => Named::Hidden,
            _ => Named::Nobody,
        };
        let read = |text: &str| Kind::Jid.read(text, &occupant);
        assert_eq!(read("Juliet"), Ok(CommandValue::Jid(juliet.clone())));
        assert_eq!(read("romeo@example.org"), Ok(CommandValue::Jid(Jid::new("romeo@example.org").unwrap())));
        assert_eq!(read("a@b/c"), Ok(CommandValue::Jid(Jid::new("a@b/c").unwrap())));
        assert_eq!(read("Ghost"), Err(Unfit::Hidden));
        assert_eq!(read("example.org"), Ok(CommandValue::Jid(Jid::new("example.org").unwrap())));
        for text in ["@@", "", "a@", "Juliette", &"x".repeat(10_000)] {
            assert_eq!(read(text), Err(Unfit::Other), "{text:.20}");
        }
    }

    #[test]
    fn what_a_value_may_be_is_said_in_few_words() {
        let of = |kind: Kind| kind.may_be();
        assert_eq!(of(Kind::Integer(1, 6)), "a whole number from 1 to 6");
        assert_eq!(of(Kind::Integer(1, i64::MAX)), "a whole number of at least 1");
        assert_eq!(of(Kind::Integer(-COUNTED, COUNTED)), "a whole number");
        assert_eq!(of(Kind::Number(f64::MIN, 2.5)), "a number of at most 2.5");
        assert_eq!(of(Kind::Number(-1e300, f64::MAX)), "a number of at least -1e300");
        let words = |count: usize| Kind::Choice((0..count).map(|n| format!("{n:0>10}")).collect());
        assert_eq!(of(words(2)), "one of 0000000000, 0000000001");
        assert!(of(words(64)).len() < LONGEST_LIST + 30 && of(words(64)).ends_with('…'));
    }

    proptest! {
        #[test]
        fn a_span_of_time_that_is_shown_can_be_read(seconds in 1..LONGEST / 1_000) {
            let text = show_duration(seconds * 1_000);
            prop_assert_eq!(duration(&text), Some(seconds * 1_000), "{}", text);
        }

        #[test]
        fn any_text_gives_a_value_within_its_bounds_or_none(text in r"[-+\u{2013}0-9.eEwdhms@/]{0,12}|.{0,20}") {
            if let Some(CommandValue::Integer(number)) = read(&Kind::Integer(-9, 9), &text) {
                prop_assert!((-9..=9).contains(&number));
            }
            if let Some(CommandValue::Number(number)) = read(&Kind::Number(-9.0, 9.0), &text) {
                prop_assert!(number.is_finite() && number.abs() <= 9.0);
            }
            if let Some(CommandValue::Duration(milliseconds)) = read(&Kind::Duration, &text) {
                prop_assert!(milliseconds <= LONGEST);
            }
            let _ = (read(&Kind::Jid, &text), read(&Kind::Date, &text), read(&Kind::Time, &text));
        }
    }
}
