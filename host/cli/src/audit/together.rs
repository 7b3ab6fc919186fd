//! Entries of one change on many accounts, such as of a key of a group: one line on the screen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use parlor::control::audit::Entry;

use crate::fleet::{ALIKE, many};

/// The longest time between the first entry of a change and the last.
const CHANGE: SignedDuration = SignedDuration::from_secs(10);

/// Puts entries together that say the same of more than a few accounts, where the first of them is. In place of an account, the entry
/// then names all of them, in words: no account has a space in its name. `group_of` returns the group of an account.
pub(super) fn together(entries: Vec<Entry>, group_of: &dyn Fn(&str) -> Option<String>) -> Vec<Entry> {
    let accounts = alike(&entries);
    let mut all = Vec::new();
    for (number, entry) in entries.into_iter().enumerate() {
        match accounts.get(&number) {
            None => all.push(entry),
            Some(names) if names.is_empty() => {}
            Some(names) => all.push(Entry { account: Some(described(names, group_of)), ..entry }),
        }
    }
    all
}

/// Returns whether the change of an entry at this time may have entries that are older than the oldest one that was read.
pub(super) fn may_be_cut(oldest: Option<&str>, at: &str) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    oldest.and_then(time).zip(time(at)).is_some_and(|(oldest, at)| at.duration_since(oldest) <= CHANGE)
}

/// Returns the numbers of the entries that are put together: the first of a change has the accounts of all, the others have none.
/// A change has one entry of an account at most: the next one is of another change, such as a second update within ten seconds.
fn alike(entries: &[Entry]) -> BTreeMap<usize, Vec<String>> {
    let (mut changes, mut known, mut told) = (Vec::<Vec<usize>>::new(), BTreeMap::new(), BTreeSet::new());
    for (number, entry) in entries.iter().enumerate() {
        let Entry { node, at, kind, plugin, who, file, way, what, old, new, account, .. } = entry;
        let (Some(account), Ok(at)) = (account, at.parse::<Timestamp>()) else { continue };
        let key = (node, kind, plugin, who, file, way, what, old, new);
        let open = known.entry(key).or_insert((usize::MAX, at));
        let is_same = at.duration_since(open.1) <= CHANGE && told.insert((open.0, account));
        if let Some(change) = changes.get_mut(open.0).filter(|_| is_same) {
            change.push(number);
        } else {
            *open = (changes.len(), at);
            told.insert((changes.len(), account));
            changes.push(vec![number]);
        }
    }
    let mut found = BTreeMap::new();
    for change in changes {
        let names = change.iter().filter_map(|number| entries.get(*number)?.account.clone());
        let names: BTreeSet<_> = names.collect();
        if names.len() > ALIKE {
            let mut names = Some(names.into_iter().collect::<Vec<_>>());
            found.extend(change.into_iter().map(|number| (number, names.take().unwrap_or_default())));
        }
    }
    found
}

/// Names accounts: by their group, if all are in one.
fn described(names: &[String], group_of: &dyn Fn(&str) -> Option<String>) -> String {
    let groups: BTreeSet<_> = names.iter().map(|name| group_of(name)).collect();
    match groups.first() {
        Some(Some(group)) if groups.len() == 1 => format!("{} accounts of group {group}", names.len()),
        _ => many(&names.iter().map(String::as_str).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    #[test]
    fn one_change_of_a_group_is_one_entry_beside_all_others() {
        let of = |number: usize, what: &str, at: &str| Entry {
            account: Some(format!("support-{number}")),
            plugin: None,
            at: at.to_owned(),
            ..entry(what, Some("Support"), Some("Puck"))
        };
        let mut entries = vec![entry("messages.read", None, Some("*"))];
        for number in 1..=250 {
            let at = if number < 200 { "2026-11-20T08:00:00.9Z" } else { "2026-11-20T08:00:01Z" };
            entries.extend([of(number, "nickname", at), of(number, "rejoin", at)]);
        }
        entries.extend((1..=3).map(|number| of(number, "debug", "2026-11-20T08:00:02Z")));
        // The same again, later.
        entries.extend((1..=4).map(|number| of(number, "nickname", "2026-11-20T09:00:00Z")));
        let says = |group_of: &dyn Fn(&str) -> Option<String>| -> Vec<String> {
            let all = together(entries.clone(), group_of).into_iter();
            all.map(|entry| format!("{} {}", entry.account.unwrap_or_default(), entry.what)).collect()
        };
        let of_group = says(&|_| Some("support".to_owned()));
        let all = "250 accounts of group support";
        assert_eq!(
            of_group,
            [
                " messages.read",
                format!("{all} nickname").as_str(),
                format!("{all} rejoin").as_str(),
                "support-1 debug",
                "support-2 debug",
                "support-3 debug",
                "4 accounts of group support nickname",
            ]
        );
        let unknown = says(&|name| (name == "support-7").then(|| "support".to_owned()));
        assert_eq!(unknown[1], "250 accounts (support-1, support-10, support-100, …) nickname");
    }

    #[test]
    fn what_accounts_say_again_at_once_is_another_entry() {
        let of = |number: usize, at: &str| Entry {
            account: Some(format!("support-{number}")),
            at: at.to_owned(),
            ..entry("has ended", None, Some("another instance took over"))
        };
        // An update, and its rollback six seconds later.
        let times = ["2026-11-20T08:00:00Z", "2026-11-20T08:00:06Z"];
        let mut entries = Vec::new();
        for at in times {
            entries.extend((1..=50).map(|number| of(number, at)));
        }
        let all = together(entries, &|_| Some("support".to_owned()));
        let found: Vec<_> = all.iter().map(|entry| (entry.at.as_str(), entry.account.as_deref())).collect();
        assert_eq!(found, times.map(|at| (at, Some("50 accounts of group support"))));
    }
}
