//! Cron expressions: their meaning, and that no due time is lost or repeated in any zone.

use std::collections::HashSet;

use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::*;
use crate::judge::judge;
use crate::timing::Timing;

fn cron(expression: &str, zone: &str) -> Cron {
    Cron::parse(expression, Zone::named(zone).unwrap()).unwrap()
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Returns the next due times as clocks in the zone show them.
fn shown(cron: &Cron, after: &str, count: usize) -> Vec<String> {
    let dues = std::iter::successors(cron.next(moment(after)), |due| cron.next(*due)).take(count);
    dues.map(|due| cron.zone.civil(due).strftime("%Y-%m-%d %H:%M").to_string()).collect()
}

#[test]
fn an_expression_is_due_when_the_clocks_show_a_time_that_matches() {
    for (expression, dues) in [
        ("0 9 * * MON-FRI", ["2026-11-20 09:00", "2026-11-23 09:00", "2026-11-24 09:00"]),
        ("*/20 8-9 * * *", ["2026-11-20 08:00", "2026-11-20 08:20", "2026-11-20 08:40"]),
        ("30 23 L * *", ["2026-11-30 23:30", "2026-12-31 23:30", "2027-01-31 23:30"]),
        ("0 12 * * FRI#2", ["2026-12-11 12:00", "2027-01-08 12:00", "2027-02-12 12:00"]),
        ("0 0 15W * *", ["2026-12-15 00:00", "2027-01-15 00:00", "2027-02-15 00:00"]),
        ("0 0 29 feb *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("59 23 31 12 *", ["2026-12-31 23:59", "2027-12-31 23:59", "2028-12-31 23:59"]),
        ("0 9 * * 0-0", ["2026-11-22 09:00", "2026-11-29 09:00", "2026-12-06 09:00"]),
        ("0 0 1,15 * *", ["2026-12-01 00:00", "2026-12-15 00:00", "2027-01-01 00:00"]),
    ] {
        assert_eq!(shown(&cron(expression, "Europe/Berlin"), "2026-11-20T06:24:00Z", 3), dues, "{expression}");
    }
}

#[test]
fn with_both_kinds_of_days_it_is_due_on_those_that_match_either() {
    for (expression, dues) in [
        ("0 9 1 * MON", ["2026-11-23 09:00", "2026-11-30 09:00", "2026-12-01 09:00"]),
        ("0 9 1 * *", ["2026-12-01 09:00", "2027-01-01 09:00", "2027-02-01 09:00"]),
        ("0 9 * * MON", ["2026-11-23 09:00", "2026-11-30 09:00", "2026-12-07 09:00"]),
        // A step is not the same as `*`: the days of both fields count.
        ("0 9 */10 * MON", ["2026-11-21 09:00", "2026-11-23 09:00", "2026-11-30 09:00"]),
        ("0 9 1 * */6", ["2026-11-21 09:00", "2026-11-22 09:00", "2026-11-28 09:00"]),
        ("0 9 L * FRI#4", ["2026-11-27 09:00", "2026-11-30 09:00", "2026-12-25 09:00"]),
    ] {
        assert_eq!(shown(&cron(expression, "UTC"), "2026-11-20T09:24:00Z", 3), dues, "{expression}");
    }
}

#[test]
fn an_expression_that_cannot_be_read_or_is_never_due_is_refused() {
    let refused = |text: &str| Cron::parse(text, Zone::named("UTC").unwrap()).map(drop).unwrap_err();
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(refused(never), NoCron::Never, "{never}");
    }
    assert_eq!(refused("* * * *"), NoCron::Fields(4));
    assert!(refused("MON").to_string().starts_with("needs 5 fields and has 1: write minute, hour"));
    assert_eq!(refused("* * * * * *"), NoCron::Fields(6));
    assert_eq!(refused("@reboot"), NoCron::Character('@'));
    assert_eq!(refused("0 12 ? * MON"), NoCron::AnyDay);
    assert_eq!(refused("0 0 * * +MON"), NoCron::Character('+'));
    assert_eq!(refused(&"1".repeat(LONGEST_EXPRESSION + 1)), NoCron::TooLong);
    for odd in ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "5-1 * * * *", "*/0 * * * *"] {
        assert!(matches!(refused(odd), NoCron::Field { .. }), "{odd}");
    }
}

#[test]
fn an_error_names_the_field_and_says_what_to_write() {
    let refused = |text: &str| Cron::parse(text, Zone::named("UTC").unwrap()).map(drop).unwrap_err().to_string();
    for (text, error) in [
        ("0 25 * * *", "hour: 25 is not from 0 to 23"),
        ("60 9 * * *", "minute: 60 is not from 0 to 59"),
        ("0 9 * 13 *", "month: 13 is not from 1 to 12"),
        ("0 9 0 * *", "day of the month: 0 is not from 1 to 31"),
        ("0 9 32W * *", "day of the month: 32 is not from 1 to 31"),
        ("0 9 * * 99999", "day of the week: 99999 is not from 0 to 7"),
        ("0 9 * * FRI-MON", "day of the week: FRI-MON goes down; write FRI-SAT,SUN-MON"),
        ("0 9 * * sat-sun", "day of the week: sat-sun goes down; write SAT,SUN"),
        ("0 9 * * 7-2", "day of the week: 7-2 goes down; write 0-2"),
        ("0 9 * NOV-FEB *", "month: NOV-FEB goes down; write NOV-DEC,JAN-FEB"),
        ("0 22-2 * * *", "hour: 22-2 goes down; write 22-23,0-2"),
        ("0 22-2/2 * * *", "hour: 22-2 goes down"),
        ("0 9 * * 0#6", "day of the week: 6 behind # is not from 1 to 5, nor L"),
        ("0 9 * * MON,", "day of the week: a comma has nothing before or behind it"),
        ("0 9,, * * *", "hour: a comma has nothing before or behind it"),
        (", 9 * * *", "minute: a comma has nothing before or behind it"),
        ("*/70 * * * *", "minute: the step 70 is not from 1 to 60"),
        ("*/0 * * * *", "minute: the step 0 is not from 1 to 60"),
        ("5/10 * * * *", "minute: a step is one of * or of a range; write 5-59/10"),
        ("/10 * * * *", "minute: a step is one of * or of a range; write */10"),
        // With these in its place it would be refused as well.
        ("0 9 L/2 * *", "day of the month: a step is one of * or of a range"),
        ("0 9 * * FRIL/2", "day of the week: a step is one of * or of a range"),
        ("0 9 * * 7/2", "day of the week: a step is one of * or of a range"),
        ("60/5 * * * *", "minute: 60 is not from 0 to 59"),
        ("0 9 * JUL/2 *", "month: a step is one of * or of a range; write JUL-12/2"),
        ("0-10/ * * * *", "minute: 0-10/ has no step behind its /"),
        ("0 9 * * *,5", "day of the week: * stands alone, since it has all the others"),
        ("0 9 L,LW * *", "day of the month: L and LW do not go together; set a schedule for each"),
        ("0 9 lw,15,l * *", "day of the month: L and LW do not go together; set a schedule for each"),
        ("0 9 * * SUN-SUN", "day of the week: SUN-SUN is one day and no range; write SUN"),
        ("0 9 * * 0-sun", "day of the week: 0-sun is one day and no range; write SUN"),
        ("1-2-3 * * * *", "minute: 1-2-3 cannot be read"),
        ("0 9 5#2 * *", "day of the month: 5#2 cannot be read"),
    ] {
        assert_eq!(refused(text), format!("has a wrong {error}"), "{text}");
    }
    for text in ["*/60 */24 * * *", "0 0 */31 */12 */7", "0-59/7 9 * * 1-5#2"] {
        assert_eq!(Cron::parse(text, Zone::named("UTC").unwrap()).map(drop), Ok(()), "{text}");
    }
}

/// Debian's cron and others know them, and this one has no second spelling of an expression.
#[test]
fn a_short_name_is_refused_with_the_expression_that_it_stands_for() {
    for (name, expression) in SHORT {
        let shouted = format!(" {} ", name.to_ascii_uppercase());
        for text in [name, &shouted] {
            let error = Cron::parse(text, Zone::named("UTC").unwrap()).map(drop).unwrap_err();
            assert_eq!(error.to_string(), format!("is a short name; write {expression}"), "{text}");
        }
        assert!(Cron::parse(expression, Zone::named("UTC").unwrap()).is_ok(), "{expression}");
    }
}

/// Otherwise a schedule whose author took one field for another would be due on other days than they mean.
#[test]
fn names_and_letters_are_refused_in_fields_of_other_things() {
    let parse = |text: &str| Cron::parse(text, Zone::named("UTC").unwrap()).map(drop);
    for (text, name) in [
        ("x * * * *", "x"),
        ("0 9 MON * *", "MON"),
        ("0 9 * MON *", "MON"),
        ("0 9 * * MAR", "MAR"),
        ("0 jan * * *", "jan"),
        ("0 9 * 1JAN *", "1JAN"),
        ("0 9 * * 1MON", "1MON"),
        ("0 9 * * SUNDAY", "SUNDAY"),
        ("0 L * * *", "L"),
        ("0,L 9 * * *", "L"),
        ("0 9 1 L,3 *", "L"),
        ("0 9 1 * L", "L"),
        ("0 9 1 * MON,L", "MON,L"),
        ("0 9 * * 5W", "5W"),
        ("H 9 * * *", "H"),
    ] {
        assert_eq!(parse(text), Err(NoCron::Name(name.to_owned())), "{text}");
    }
    for text in
        ["0 9 L,15W,1 jan-Mar,OCT sun,Mon-FRI/2", "0 9 LW * *", "0 9 l * *", "0 9 * * FRI#2,5L,MONL,sun#L", "0 9 * * 7"]
    {
        assert_eq!(parse(text), Ok(()), "{text}");
    }
}

#[test]
fn where_clocks_are_put_forward_it_is_due_at_the_end_of_the_gap_and_put_back_the_first_time() {
    let daily = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(shown(&daily, "2026-03-28T12:00:00Z", 2), ["2026-03-29 03:00", "2026-03-30 02:30"]);
    let dues = daily.latest(moment("2026-10-24T12:00:00Z"), moment("2026-10-26T00:00:00Z"), 9);
    assert_eq!(dues, [moment("2026-10-25T00:30:00Z")]);
    // Several times in one gap have one end.
    let often = cron("*/10 2 * * *", "Europe/Berlin");
    assert_eq!(shown(&often, "2026-03-28T12:00:00Z", 2), ["2026-03-29 03:00", "2026-03-30 02:00"]);
    assert_eq!(often.count(moment("2026-03-28T12:00:00Z"), moment("2026-03-29T23:00:00Z")), 1);
}

#[test]
fn one_with_a_star_as_hour_follows_the_clock() {
    let often = cron("30 * * * *", "Europe/Berlin");
    assert_eq!(shown(&often, "2026-03-29T00:00:00Z", 2), ["2026-03-29 01:30", "2026-03-29 03:30"]);
    let dues = often.latest(moment("2026-10-25T00:00:00Z"), moment("2026-10-25T02:00:00Z"), 9);
    assert_eq!(dues, [moment("2026-10-25T00:30:00Z"), moment("2026-10-25T01:30:00Z")]);
}

/// Otherwise a host that was off for long would be busy for long, with all plugins waiting.
#[test]
fn a_year_of_minutes_is_counted_by_its_days() {
    let often = cron("* * * * *", "America/New_York");
    let (after, until) = (moment("2025-01-01T00:00:00Z"), moment("2026-01-01T00:00:00Z"));
    assert_eq!(often.count(after, until), 365 * 24 * 60);
    let latest = often.latest(after, until, 3);
    assert_eq!(latest, ["2025-12-31T23:58:00Z", "2025-12-31T23:59:00Z", "2026-01-01T00:00:00Z"].map(moment));
}

const BEGIN: &str = "2008-01-01T00:00:00Z";
const END: &str = "2018-01-01T00:00:00Z";

/// A piece of the decade in which a zone is ahead of UTC by the same number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Piece {
    from: i64,
    to: i64,
    ahead: i64,
}

/// Returns the pieces of a decade, with a day before and after it.
fn pieces(zone: &Zone) -> Vec<Piece> {
    let day = 24 * 60 * 60;
    let (begin, end) = (moment(BEGIN).as_second() - 2 * day, moment(END).as_second() + 2 * day);
    let at = Timestamp::from_second(begin).unwrap();
    let mut pieces = vec![Piece { from: begin, to: end, ahead: zone.zone().to_offset(at).seconds().into() }];
    for change in zone.zone().following(at) {
        let (from, ahead) = (change.timestamp().as_second(), i64::from(change.offset().seconds()));
        if from >= end {
            break;
        }
        let last = pieces.last_mut().unwrap();
        if last.ahead != ahead {
            last.to = from;
            pieces.push(Piece { from, to: end, ahead });
        }
    }
    pieces
}

/// Returns the moments of a piece at which its clocks show such a second of each of these periods.
fn shown_in(piece: &Piece, second: i64, period: i64) -> impl Iterator<Item = i64> {
    let first = piece.from + (second - piece.from - piece.ahead).rem_euclid(period);
    (first..piece.to).step_by(period.try_into().unwrap())
}

/// Computes the due times of `*/15 * * * *` without days and searches.
fn quarters(pieces: &[Piece]) -> Vec<i64> {
    pieces.iter().flat_map(|piece| shown_in(piece, 0, 15 * 60)).collect()
}

/// Computes the due times of `30 2 * * *` without days and searches.
fn half_past_two(pieces: &[Piece]) -> Vec<i64> {
    let (second, day) = ((2 * 60 + 30) * 60, 24 * 60 * 60);
    let (mut dues, mut told) = (Vec::new(), HashSet::new());
    let mut before: Option<Piece> = None;
    for piece in pieces {
        let gap = before.map_or(piece.from + piece.ahead, |before| piece.from + before.ahead)..piece.from + piece.ahead;
        let first = gap.start + (second - gap.start).rem_euclid(day);
        for shown in (first..gap.end).step_by(day.try_into().unwrap()) {
            if told.insert(shown.div_euclid(day)) {
                dues.push(piece.from);
            }
        }
        for due in shown_in(piece, second, day) {
            if told.insert((due + piece.ahead).div_euclid(day)) {
                dues.push(due);
            }
        }
        before = Some(*piece);
    }
    dues.sort_unstable();
    dues.dedup();
    dues
}

/// A generator of numbers that are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 1).unwrap() % most
    }
}

/// Walks through the decade in steps of random lengths. After each step, only the last due time that is over is known, as
/// to a host that was killed.
fn walk(timing: &Timing, numbers: &mut Numbers) -> Vec<i64> {
    let (mut over, end) = (moment(BEGIN), moment(END));
    let (mut now, mut told) = (over, Vec::new());
    while now < end {
        now = (now + SignedDuration::from_secs(1 + numbers.below(2 * 24 * 60 * 60))).min(end);
        let missed = timing.between(over, now, 1_000);
        assert_eq!(missed.count, u64::try_from(missed.latest.len()).unwrap());
        let Some(last) = missed.latest.last() else { continue };
        // Killed after some of them.
        let survived = 1 + usize::try_from(numbers.below(missed.latest.len().try_into().unwrap())).unwrap();
        let is_killed = missed.latest.len() < 400 && now < end && numbers.below(3) == 0;
        over = if is_killed { missed.latest[survived - 1] } else { *last };
        told.extend(missed.latest.iter().take_while(|due| **due <= over).map(|due| due.as_second()));
    }
    told
}

/// Zones whose clocks show the same all that time are tested once.
#[test]
fn in_ten_years_no_due_time_is_lost_or_comes_twice_in_any_zone() {
    let (begin, end) = (moment(BEGIN), moment(END));
    let (mut seen, mut numbers) = (HashSet::new(), Numbers(0x9e37_79b9_7f4a_7c15));
    for name in TimeZoneDatabase::bundled().available() {
        let Ok(zone) = Zone::named(name.as_str()) else { continue };
        let pieces = pieces(&zone);
        if !seen.insert(pieces.clone()) {
            continue;
        }
        for (expression, mut expected) in [("30 2 * * *", half_past_two(&pieces)), ("*/15 * * * *", quarters(&pieces))]
        {
            expected.retain(|due| *due > begin.as_second() && *due <= end.as_second());
            assert!(expected.is_sorted_by(|a, b| a < b), "{name} {expression}");
            let cron = Cron::parse(expression, zone.clone()).unwrap();
            let timing = Timing::Cron(Box::new(cron));
            let told = walk(&timing, &mut numbers);
            if let Some(at) = (0..told.len().max(expected.len())).find(|at| told.get(*at) != expected.get(*at)) {
                panic!("{name} {expression}: told {:?} instead of {:?}", told.get(at), expected.get(at));
            }
            let count = timing.between(begin, end, 0).count;
            assert_eq!(count, u64::try_from(expected.len()).unwrap(), "{name} {expression}");
            for _ in 0..200 {
                let after = begin + SignedDuration::from_secs(numbers.below(end.as_second() - begin.as_second()));
                let next = timing.next(after).filter(|next| *next <= end).map(Timestamp::as_second);
                let due = expected.get(expected.partition_point(|due| *due <= after.as_second())).copied();
                assert_eq!(next, due, "{name} {expression} after {after}");
            }
        }
    }
    assert!(seen.len() > 50, "{}", seen.len());
}

proptest! {
    #[test]
    fn no_expression_panics(text in "[0-9A-Za-z*,/# -]{0,40}") {
        if let Ok(cron) = Cron::parse(&text, Zone::named("Europe/Berlin").unwrap()) {
            let now = moment("2026-11-20T06:24:00Z");
            let next = cron.next(now).unwrap();
            prop_assert!(next > now);
            prop_assert_eq!(cron.count(now, next), 1);
        }
    }

    /// Even if the host is killed at any time, due times are delivered in order until they are completed, and the
    /// others are counted.
    #[test]
    fn each_due_time_is_told_or_counted(
        expression in prop::sample::select(vec!["30 2 * * *", "*/15 * * * *", "0 9 * * MON-FRI", "15 1,2,3 * * *"]),
        zone in prop::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"]),
        catch_up in 0_usize..20,
        steps in prop::collection::vec((1_i64..400_000, any::<bool>()), 1..60),
    ) {
        let timing = Timing::Cron(Box::new(cron(expression, zone)));
        let begin = moment("2018-01-01T00:00:00Z");
        let (mut over, mut since, mut now, mut accounted) = (begin, begin, begin, 0);
        for (seconds, restarts) in steps {
            now += SignedDuration::from_secs(seconds);
            if restarts {
                since = now;
            }
            loop {
                let judged = judge(&timing, over, since, now, catch_up);
                prop_assert!(judged.over >= over);
                over = judged.over;
                accounted += judged.left_out;
                let Some(due) = judged.due else { break };
                prop_assert!(due > over && due <= now);
                over = due;
                accounted += 1;
            }
            prop_assert_eq!(timing.between(over, now, 0).count, 0);
        }
        prop_assert_eq!(accounted, timing.between(begin, now, 0).count);
    }
}
