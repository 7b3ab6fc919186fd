//! Several changes of a plugin's data that are made together: all of them, or none.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::change::{Addition, Changed, Owner, Step};
use super::data::{DELETE, PUT, purge};
use super::edit::Edit;
use super::look::{Look, Present, Value};
use super::size::{Size, weight_of};

/// The maximum length of a number in decimal digits, with its sign.
const LONGEST_NUMBER: usize = 20;

/// Makes the changes, if what they expect is true and the quota allows the sum of them. The caller writes the size.
pub(super) fn make(
    edit: &Edit<'_>,
    owner: &Owner,
    size: &mut Size,
    quota: u64,
    steps: &[Step],
    now: i64,
) -> rusqlite::Result<Changed> {
    let plan = match plan(edit, owner, steps, now)? {
        Ok(plan) => plan,
        Err(refused) => return Ok(refused),
    };
    let (taken, needed): (i64, i64) =
        plan.iter().fold((0, 0), |(taken, needed), one| (taken + one.taken, needed + one.needed()));
    let quota = i64::try_from(quota).unwrap_or(i64::MAX);
    let mut after = size.bytes - taken + needed;
    // As for a single write: a plugin can still shrink its data when the quota was lowered.
    if needed > taken && after > quota {
        let keys: BTreeSet<&str> = plan.iter().map(|one| one.key).collect();
        size.bytes -= purge(edit, owner, now, &keys, after - quota)?;
        after = size.bytes - taken + needed;
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
    size.bytes = after;
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
