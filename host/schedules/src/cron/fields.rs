//! The fields of a cron expression, each checked by itself: so an error names the field, and says what to write.

use super::{MONTHS, NoCron, WEEKDAYS};

/// The rules of a field: its name and its values.
pub(super) struct Field {
    name: &'static str,
    least: u16,
    most: u16,
    /// The number of different values. Sunday is both 0 and 7.
    values: u16,
    /// The names of the values from the least one on.
    names: &'static [&'static str],
}

/// The fields in their order.
pub(super) const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, values: 60, names: &[] },
    Field { name: "hour", least: 0, most: 23, values: 24, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, values: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, values: 12, names: &MONTHS },
    Field { name: "day of the week", least: 0, most: 7, values: 7, names: &WEEKDAYS },
];

impl Field {
    /// Checks this field of an expression. `croner` itself skips empty parts, and takes steps that are longer than the field.
    pub(super) fn check(&self, text: &str) -> Result<(), NoCron> {
        let parts: Vec<String> = text.split(',').map(str::to_ascii_uppercase).collect();
        let has = |part: &str| parts.iter().any(|one| one == part);
        if parts.len() > 1 && has("*") {
            return Err(self.error("* stands alone, since it has all the others".to_owned()));
        }
        // `croner` would drop the last day.
        if has("L") && has("LW") {
            return Err(self.error("L and LW do not go together; set a schedule for each".to_owned()));
        }
        text.split(',').try_for_each(|part| self.check_part(part)).map_err(|reason| self.error(reason))
    }

    /// Returns the error for a text that `croner` refuses in this field.
    pub(super) fn unreadable(&self, text: &str) -> NoCron {
        self.error(format!("{text} cannot be read"))
    }

    fn error(&self, reason: String) -> NoCron {
        NoCron::Field { field: self.name, reason }
    }

    fn check_part(&self, part: &str) -> Result<(), String> {
        if part.is_empty() {
            return Err("a comma has nothing before or behind it".to_owned());
        }
        let (rest, which) = part.split_once('#').map_or((part, None), |(rest, which)| (rest, Some(which)));
        if let Some(which) = which
            && !["1", "2", "3", "4", "5", "L", "l"].contains(&which)
        {
            return Err(format!("{which} behind # is not from 1 to 5, nor L"));
        }
        let (span, step) = rest.split_once('/').map_or((rest, None), |(span, step)| (span, Some(step)));
        if let Some(step) = step {
            if step.is_empty() {
                return Err(format!("{part} has no step behind its /"));
            }
            if !step.parse::<u16>().is_ok_and(|step| (1..=self.values).contains(&step)) {
                return Err(format!("the step {step} is not from 1 to {}", self.values));
            }
            if span != "*" && !span.contains('-') {
                let range = match self.number(span)? {
                    None if span.is_empty() => format!("; write */{step}"),
                    Some(from) if self.is_plain(span) && from <= self.last() => {
                        format!("; write {span}-{}/{step}", self.last())
                    }
                    Some(_) | None => String::new(),
                };
                return Err(format!("a step is one of * or of a range{range}"));
            }
        }
        let Some((begin, end)) = span.split_once('-') else { return self.number(span).map(drop) };
        match (self.number(begin)?, self.number(end)?) {
            (Some(from), Some(to)) if from > to => {
                // With a step or a number behind it, two ranges would not mean the same.
                let is_plain = step.is_none() && which.is_none();
                let ranges = is_plain.then(|| format!("; write {}", self.upwards((begin, from), end)));
                Err(format!("{span} goes down{}", ranges.unwrap_or_default()))
            }
            // `croner` would read the Sunday at the end as 7, and so take the whole week.
            (Some(0), Some(0)) if end.eq_ignore_ascii_case("SUN") => {
                Err(format!("{span} is one day and no range; write SUN"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the largest value that is not the same as another.
    fn last(&self) -> u16 {
        self.least + self.values - 1
    }

    /// Returns the number that a text stands for. None: it is no number of this field, or nothing but letters such as `L`, about
    /// which `croner` decides.
    fn number(&self, text: &str) -> Result<Option<u16>, String> {
        let upper = text.to_ascii_uppercase();
        if let Some(index) = self.names.iter().position(|name| upper.starts_with(name)) {
            return Ok(u16::try_from(index).ok().map(|index| self.least + index));
        }
        let digits = upper.trim_end_matches(['L', 'W']);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        // One that is too long is too large as well.
        let number = digits.parse::<u16>().ok().filter(|number| (self.least..=self.most).contains(number));
        number.map(Some).ok_or_else(|| format!("{digits} is not from {} to {}", self.least, self.most))
    }

    /// Returns whether a text is a number or a name without a letter such as `L` behind it.
    fn is_plain(&self, text: &str) -> bool {
        text.bytes().all(|byte| byte.is_ascii_digit()) || self.names.iter().any(|name| name.eq_ignore_ascii_case(text))
    }

    /// Returns what someone meant by a range that goes down, as two ranges that go up.
    fn upwards(&self, (begin, from): (&str, u16), end: &str) -> String {
        // In names, if the other end is a name.
        let shown = |like: &str, number: u16| {
            let name = self.names.get(usize::from(number - self.least));
            let name = name.filter(|_| like.starts_with(|c: char| c.is_ascii_alphabetic()));
            name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
        };
        let range = |begin: &str, end: &str| if begin == end { begin.to_owned() } else { format!("{begin}-{end}") };
        let (begin, end) = (begin.to_ascii_uppercase(), end.to_ascii_uppercase());
        let below = range(&shown(&end, self.least), &end);
        // A Sunday that is written as 7 is the first day below.
        if from > self.last() {
            return below;
        }
        format!("{},{below}", range(&begin, &shown(&begin, self.last())))
    }
}
