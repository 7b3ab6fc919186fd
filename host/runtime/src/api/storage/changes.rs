//! Numbers that are added to, and several changes that are made together.

use std::collections::BTreeSet;

use parlor_base::clock::Clock;
use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;
use parlor_store::{Addition, Changed, Step};
use wasmtime::component::Accessor;

use super::super::caller;
use super::super::pacing::pace_storage;
use super::{CALL, check_expires, check_key, failed, over_quota, owner, quota};
use crate::bindings::parlor::plugin::storage::{AddNumber, KeyChange, SetValue};
use crate::instance::Grouping;

/// Maximum number of changes that are made together.
const MOST_CHANGES: usize = 256;
/// Maximum length of their keys and values together, in bytes.
const LONGEST_CHANGES: usize = 256 << 10;
/// Bytes that the host holds for each, in addition to its key and value.
const STEP: usize = size_of::<Step>();

/// Adds to a number, and returns the sum.
pub(super) async fn add<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    number: AddNumber,
) -> Result<i64, CallError> {
    let add = |clock| -> Result<Vec<Step>, CallError> {
        let key = check_key("number.key", number.key)?;
        let expires = number.expires.map(|after| check_expires("number.expires", after, clock)).transpose()?;
        Ok(vec![Step::Add(Addition { key, amount: number.amount, expires })])
    };
    let sum = match make(accessor, CallName::StorageAdd, add).await? {
        Changed::Made(sums) => sums.first().copied(),
        Changed::NoNumber(key) => return Err(CallError::invalid("number.key", no_number(&key))),
        Changed::NoSum(key) => return Err(CallError::invalid("number.amount", no_sum(&key))),
        // The change has no expectation, and an exceeded quota was already reported as an error.
        Changed::Otherwise | Changed::TooMuch => None,
    };
    sum.ok_or_else(|| CallError::Other("the host does not know the sum; `storage.get` reads it".to_owned()))
}

/// Makes several changes. Returns false if something is not as they expect.
pub(super) async fn change<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    changes: Vec<KeyChange>,
) -> Result<bool, CallError> {
    match make(accessor, CallName::StorageChange, |clock| checked(changes, clock)).await? {
        Changed::Made(_) => Ok(true),
        Changed::NoNumber(key) => Err(bad(no_number(&key))),
        Changed::NoSum(key) => Err(bad(no_sum(&key))),
        Changed::Otherwise | Changed::TooMuch => Ok(false),
    }
}

/// Asks the grants, reads the arguments, and has the changes made. Only an outcome within the quota is returned.
async fn make<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    steps: impl FnOnce(Clock) -> Result<Vec<Step>, CallError>,
) -> Result<Changed, CallError> {
    let (instance, call) = caller(accessor, call)?;
    let granted = call.granted(Target::None)?;
    let quota = quota(&instance)?;
    let steps = steps(instance.account.clock)?;
    let held = instance.hold(steps.iter().map(|step| step.bytes() + STEP).sum())?;
    // Each key is written separately, and so costs as much as a separate call.
    pace_storage(&instance, &granted, steps.iter().map(|step| step.bytes().max(CALL)).sum()).await?;
    let changes = instance.data(&granted).change(owner(&instance), quota, steps, Some(held));
    match instance.in_turn(changes).await.map_err(|error| failed(&error))? {
        Changed::TooMuch => Err(over_quota(quota)),
        outcome => Ok(outcome),
    }
}

/// Checks the changes of a call.
fn checked(changes: Vec<KeyChange>, clock: Clock) -> Result<Vec<Step>, CallError> {
    if !(1..=MOST_CHANGES).contains(&changes.len()) {
        return Err(bad(format!("1 to {MOST_CHANGES} of them")));
    }
    let steps = changes.into_iter().map(|change| step(change, clock)).collect::<Result<Vec<_>, _>>()?;
    if steps.iter().map(Step::bytes).sum::<usize>() > LONGEST_CHANGES {
        return Err(bad(format!("longer than {LONGEST_CHANGES} bytes of keys and values together")));
    }
    let mut seen = BTreeSet::new();
    for step in &steps {
        if !seen.insert((matches!(step, Step::Expect { .. }), step.key())) {
            return Err(bad(format!("{} is changed twice, or expected twice: each key once at most", step.key())));
        }
    }
    Ok(steps)
}

fn step(change: KeyChange, clock: Clock) -> Result<Step, CallError> {
    let key = |key| check_key("changes", key);
    let expires = |after: Option<u64>| after.map(|after| check_expires("changes", after, clock)).transpose();
    Ok(match change {
        KeyChange::Set(SetValue { key: name, value, expires: after }) => {
            Step::Set { key: key(name)?, value, expires: expires(after)? }
        }
        KeyChange::Add(AddNumber { key: name, amount, expires: after }) => {
            Step::Add(Addition { key: key(name)?, amount, expires: expires(after)? })
        }
        KeyChange::Delete(name) => Step::Delete(key(name)?),
        KeyChange::Expect((name, value)) => Step::Expect { key: key(name)?, value },
    })
}

fn bad(reason: String) -> CallError {
    CallError::invalid("changes", reason)
}

fn no_number(key: &str) -> String {
    format!("what is kept under {key} is no number in decimal digits")
}

fn no_sum(key: &str) -> String {
    format!("the sum under {key} does not fit into 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, length: usize) -> KeyChange {
        KeyChange::Set(SetValue { key: key.to_owned(), value: vec![0; length], expires: None })
    }

    fn reason(changes: Vec<KeyChange>) -> String {
        match checked(changes, Clock::Machine) {
            Ok(_) => String::new(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn changes_are_bounded_in_number_and_bytes_and_each_key_comes_once() {
        let many = |count: usize| (0..count).map(|number| set(&number.to_string(), 1)).collect::<Vec<_>>();
        assert_eq!(reason(many(256)), "");
        assert!(reason(many(257)).contains("1 to 256"));
        assert!(reason(many(0)).contains("1 to 256"));
        assert_eq!(reason(vec![set("k", LONGEST_CHANGES - 2), KeyChange::Delete("l".to_owned())]), "");
        assert!(
            reason(vec![set("k", LONGEST_CHANGES - 1), KeyChange::Delete("l".to_owned())]).contains("262144 bytes")
        );
        let expect = |key: &str| KeyChange::Expect((key.to_owned(), None));
        assert_eq!(reason(vec![expect("k"), set("k", 1)]), "");
        assert!(reason(vec![set("k", 1), KeyChange::Delete("k".to_owned())]).contains("k is changed twice"));
        assert!(reason(vec![expect("k"), expect("k")]).contains("k is changed twice"));
        assert!(reason(vec![KeyChange::Delete(String::new())]).contains("1 to 512 bytes"));
    }
}
