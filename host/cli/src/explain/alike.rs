//! Answers about a plugin on many accounts: equal ones are given once, and of many different ones the first.

use std::collections::BTreeMap;

use crate::fleet::{ALIKE, MANY, many};
use crate::show::Put as _;

/// A thing, and the accounts of which it is so.
#[derive(Debug)]
pub(crate) struct Alike<'a, T> {
    /// The first one of those that are the same.
    pub(crate) first: &'a T,
    /// The accounts in their order; empty if it is about none.
    accounts: Vec<&'a str>,
}

impl<T> Alike<'_, T> {
    /// Returns whether it stands for several things.
    pub(crate) fn is_many(&self) -> bool {
        self.accounts.len() > 1
    }

    /// Names the accounts: one, or how many there are and the first of them.
    pub(crate) fn names(&self) -> Option<String> {
        match self.accounts.as_slice() {
            [] => None,
            [one] => Some((*one).to_owned()),
            several => Some(many(several)),
        }
    }

    /// Returns the words about the accounts.
    pub(super) fn on(&self) -> String {
        self.names().map(|names| format!(" on {names}")).unwrap_or_default()
    }
}

/// Puts things together that are the same of more than a few accounts, where the first of them is. `account` is that of a thing, and
/// things with equal keys are the same.
pub(crate) fn put_together<'a, T, K: Ord>(
    all: &'a [T],
    account: impl Fn(&'a T) -> Option<&'a str>,
    key: impl Fn(&'a T) -> K,
) -> Vec<Alike<'a, T>> {
    let mut counts = BTreeMap::<K, usize>::new();
    for one in all {
        *counts.entry(key(one)).or_default() += 1;
    }
    let (mut found, mut places) = (Vec::<Alike<'a, T>>::new(), BTreeMap::<K, usize>::new());
    for one in all {
        let own = key(one);
        if let Some(group) = places.get(&own).and_then(|place| found.get_mut(*place)) {
            group.accounts.extend(account(one));
            continue;
        }
        if counts.get(&own).is_some_and(|count| *count > ALIKE) {
            places.insert(own, found.len());
        }
        found.push(Alike { first: one, accounts: account(one).into_iter().collect() });
    }
    found
}

/// Has the first of many things appended to a text, and says how many more there are.
pub(super) fn put_first<T>(text: &mut String, all: Vec<T>, put: impl Fn(&mut String, T)) {
    let more = all.len().saturating_sub(MANY);
    for one in all.into_iter().take(MANY) {
        put(text, one);
    }
    if more > 0 {
        text.put(format_args!("… and {more} more; --json has all\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_of_many_accounts_is_said_once_where_the_first_is() {
        let names: Vec<_> = (0..5_000).map(|number| format!("a{number}")).collect();
        let reason = |number: usize| if number == 1 || number > 4_997 { "left" } else { "failed" };
        let all: Vec<_> = names.iter().enumerate().map(|(number, name)| (name.as_str(), reason(number))).collect();
        let found = put_together(&all, |(name, _)| Some(*name), |(_, reason)| *reason);
        let said: Vec<_> = found.iter().map(|one| format!("{}{}", one.first.1, one.on())).collect();
        assert_eq!(said, ["failed on 4997 accounts (a0, a2, a3, …)", "left on a1", "left on a4998", "left on a4999"]);
        assert!(found[0].is_many() && !found[1].is_many());
        let of_none = put_together(&[7], |_| None, |number| *number);
        assert_eq!((of_none[0].on().as_str(), of_none[0].is_many()), ("", false));
    }

    #[test]
    fn of_many_different_things_the_first_are_said_and_the_others_counted() {
        let of = |count: usize| {
            let mut text = String::new();
            let all: Vec<_> = (0..count).map(|number| format!("{number}\n")).collect();
            put_first(&mut text, all, |text, one| text.push_str(&one));
            text
        };
        assert_eq!(of(MANY).lines().count(), MANY);
        assert!(of(MANY + 2).ends_with("19\n… and 2 more; --json has all\n"), "{}", of(MANY + 2));
    }
}
