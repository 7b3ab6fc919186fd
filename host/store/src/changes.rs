//! Several changes of a plugin's data that are made together: all of them, or none.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::change::{Addition, Changed, Owner, Step};
use super::data::{DELETE, PUT, purge, set_size, size, weight_of};
use super::edit::Edit;

/// The maximum length of a number in decimal digits, with its sign.
const LONGEST_NUMBER: usize = 20;

/// Makes the changes, if what they expect is true and the quota allows the sum of them.
pub(super) fn make(edit: &Edit<'_>, owner: &Owner, quota: u64, steps: &[Step], now: i64) -> rusqlite::Result<Changed> {
    let plan = match plan(edit, owner, steps, now)? {
        Ok(plan) => plan,
        Err(refused) => return Ok(refused),
    };
    let (taken, needed): (i64, i64) =
        plan.iter().fold((0, 0), |(taken, needed), one| (taken + one.taken, needed + one.needed()));
    let quota = i64::try_from(quota).unwrap_or(i64::MAX);
    let mut after = size(edit, owner)? - taken + needed;
    // As for a single write: a plugin can still shrink its data when the quota was lowered.
    if needed > taken && after > quota {
        let keys: BTreeSet<&str> = plan.iter().map(|one| one.key).collect();
        purge(edit, owner, now, &keys, after - quota)?;
        after = size(edit, owner)? - taken + needed;
        if after > quota {
            return Ok(Changed::TooMuch);
        }
    }
    let (account, plugin) = (owner.account.as_str(), owner.plugin.as_str());
    let (mut put, mut delete) = (edit.writing(PUT)?, edit.writing(DELETE)?);
    let mut sums = Vec::new();
    for Planned { key, value, expires, sum, taken: _ } in plan {
        match value {
            Some(value) => put.write(params![account, plugin, key, &*value, expires])?,
            None => delete.write(params![account, plugin, key])?,
        };
        sums.extend(sum);
    }
    set_size(edit, owner, after)?;
    Ok(Changed::Made(sums))
}

/// A change of one key that is about to be made.
struct Planned<'a> {
    key: &'a str,
    /// The new value; `None` deletes the key.
    value: Option<Cow<'a, [u8]>>,
    expires: Option<i64>,
    /// The new value of a number.
    sum: Option<i64>,
    /// The present entry's size for the quota.
    taken: i64,
}

impl Planned<'_> {
    /// Returns what the new entry counts against the quota.
    fn needed(&self) -> i64 {
        self.value.as_ref().map_or(0, |value| weight_of(self.key, value.len() as u64))
    }
}

/// Reads what is there, and decides what each change does. Nothing is written here, so that a refusal has nothing to undo.
fn plan<'a>(
    file: &Connection,
    owner: &Owner,
    steps: &'a [Step],
    now: i64,
) -> rusqlite::Result<Result<Vec<Planned<'a>>, Changed>> {
    let mut look = Look::new(file, owner, now)?;
    for step in steps {
        if let Step::Expect { key, value } = step
            && !look.has(key, value.as_deref())?
        {
            return Ok(Err(Changed::Otherwise));
        }
    }
    let mut plan = Vec::with_capacity(steps.len());
    for step in steps {
        plan.push(match step {
            Step::Expect { .. } => continue,
            Step::Set { key, value, expires } => {
                let taken = look.up(key, 0)?.taken;
                let value = Some(Cow::Borrowed(value.as_slice()));
                Planned { key, value, expires: *expires, sum: None, taken }
            }
            Step::Delete(key) => {
                let taken = look.up(key, 0)?.taken;
                Planned { key, value: None, expires: None, sum: None, taken }
            }
            Step::Add(addition) => match add(&look.up(&addition.key, LONGEST_NUMBER)?, addition) {
                Ok(planned) => planned,
                Err(refused) => return Ok(Err(refused)),
            },
        });
    }
    Ok(Ok(plan))
}

/// Adds to the number that is there.
fn add<'a>(present: &Present, Addition { key, amount, expires }: &'a Addition) -> Result<Planned<'a>, Changed> {
    let number = match &present.value {
        Value::None => 0,
        Value::Is(digits) => number(digits).ok_or_else(|| Changed::NoNumber(key.clone()))?,
        Value::Longer => return Err(Changed::NoNumber(key.clone())),
    };
    let sum = number.checked_add(*amount).ok_or_else(|| Changed::NoSum(key.clone()))?;
    Ok(Planned {
        key,
        value: Some(Cow::Owned(sum.to_string().into_bytes())),
        expires: expires.or(present.expires),
        sum: Some(sum),
        taken: present.taken,
    })
}

/// Reads a number from its decimal digits, with a `-` in front of a negative one. It has no `+`, which JSON has not either.
fn number(digits: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// The present value of a key.
enum Value {
    /// There is none, or it has expired.
    None,
    Is(Vec<u8>),
    /// It is longer than the requested maximum, and was not read.
    Longer,
}

/// The entry under a key.
struct Present {
    value: Value,
    /// When the value expires; also none without a value.
    expires: Option<i64>,
    /// The entry's size for the quota. An expired one still takes up room.
    taken: i64,
}

/// Looks up one key after another.
struct Look<'a> {
    statement: CachedStatement<'a>,
    owner: &'a Owner,
    now: i64,
}

impl<'a> Look<'a> {
    fn new(file: &'a Connection, owner: &'a Owner, now: i64) -> rusqlite::Result<Self> {
        // A long value would be read from many pages of the file.
        let statement = file.prepare_cached(
            "SELECT length(value), CASE WHEN length(value) <= ?4 THEN value END, expires FROM plugin_data
             WHERE account = ?1 AND plugin = ?2 AND key = ?3",
        )?;
        Ok(Self { statement, owner, now })
    }

    /// Returns the entry under a key, with its value if that has at most `most` bytes.
    fn up(&mut self, key: &str, most: usize) -> rusqlite::Result<Present> {
        let whose = (self.owner.account.as_str(), self.owner.plugin.as_str());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found: Option<(i64, Option<Vec<u8>>, Option<i64>)> = self
            .statement
            .query_row(params![whose.0, whose.1, key, most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((length, value, expires)) = found else {
            return Ok(Present { value: Value::None, expires: None, taken: 0 });
        };
        let taken = weight_of(key, u64::try_from(length).unwrap_or(0));
        if expires.is_some_and(|expires| expires <= self.now) {
            return Ok(Present { value: Value::None, expires: None, taken });
        }
        Ok(Present { value: value.map_or(Value::Longer, Value::Is), expires, taken })
    }

    /// Returns whether the value of a key is this one.
    fn has(&mut self, key: &str, expected: Option<&[u8]>) -> rusqlite::Result<bool> {
        let present = self.up(key, expected.map_or(0, <[u8]>::len))?.value;
        Ok(match (&present, expected) {
            (Value::None, None) => true,
            (Value::Is(value), Some(expected)) => value == expected,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_in_json_and_has_64_bits() {
        for (digits, expected) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("+1", None),
            ("1.0", None),
            (" 1", None),
            ("", None),
            ("-", None),
            ("\u{0661}", None),
        ] {
            assert_eq!(number(digits.as_bytes()), expected, "{digits:?}");
        }
        assert_eq!(number(b"\xff"), None);
        assert_eq!(i64::MIN.to_string().len(), LONGEST_NUMBER);
    }
}
