//! The screens of `parlor keys`.

use parlor::control::views::{Keys, shown};
use parlor_base::escape::quoted_untrusted;

use super::compare::hint;
use crate::fleet::{MANY, NAMED};
use crate::show::{Put as _, on_node, second};

/// Shows the keys of others that accounts know, with the decision about each. Of many accounts, those that know none are only counted.
pub(super) fn known(all: &[Keys]) -> String {
    let mut text = String::new();
    let is_left_out =
        |on: &&Keys| all.len() > MANY && on.keys.is_empty() && on.otr_people.is_empty() && on.comparisons.is_empty();
    for on in all.iter().filter(|on| !is_left_out(on)) {
        if !text.is_empty() {
            text.push('\n');
        }
        let otr = on.otr_says().map(|says| format!(", {says}")).unwrap_or_default();
        text.put(format_args!("{}, {}: {} trust{otr}{}\n", on.account, on.jid, on.policy, on_node(on.node.as_deref())));
        if on.keys.is_empty() {
            text.push_str("no keys of others\n");
        }
        text.push_str(&people(on));
        for jid in on.otr_people.keys().filter(|jid| !on.keys.iter().any(|key| key.jid == **jid)) {
            text.put(format_args!("{}, no key yet\n", person(on, jid)));
        }
        for open in &on.comparisons {
            text.push_str(&hint(&on.account, open));
        }
    }
    let left_out = all.iter().filter(is_left_out).count();
    if left_out > 0 {
        let line = if text.is_empty() { "" } else { "\n" };
        text.put(format_args!("{line}accounts with no keys of others: {left_out} of {}\n", all.len()));
    }
    if text.is_empty() { "no accounts\n".to_owned() } else { text }
}

/// Shows the keys of a person after a decision about one of them.
pub(super) fn decided(all: &[Keys]) -> String {
    let mut text: String = all.iter().map(people).collect();
    let keys = || all.iter().flat_map(|on| &on.keys);
    let open = keys().filter(|key| ["undecided", "blind"].contains(&key.trust.as_str())).count();
    if keys().any(|key| key.trust == "trusted") && open > 0 {
        let are = if open == 1 { "key is" } else { "keys are" };
        text.put(format_args!("{open} more {are} not compared yet\n"));
    }
    text
}

/// Shows the own fingerprints of accounts. Many accounts are only counted: nobody reads out thousands of fingerprints.
pub(super) fn fingerprints(all: &[Keys]) -> String {
    if all.len() > MANY {
        return counted(all);
    }
    let mut text = String::new();
    for (number, on) in all.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        let account = &on.account;
        text.put(format_args!("{account}, {}{}\n", on.jid, on_node(on.node.as_deref())));
        match &on.omemo {
            Some(own) => {
                let is = if own.published { "" } else { ", not published: nobody can write to it encrypted yet" };
                text.put(format_args!("  OMEMO device {}{is}\n    {}\n", own.device, shown(&own.fingerprint)));
            }
            None => {
                text.put(format_args!("  OMEMO: no key, or `omemo = false` under [account.{account}.encryption]\n"));
            }
        }
        match &on.otr {
            Some(own) => text.put(format_args!("  OTR\n    {}\n", shown(own))),
            None => text.push_str("  OTR: no key; the first conversation makes one, unless OTR is off\n"),
        }
    }
    if text.is_empty() { "no accounts\n".to_owned() } else { text }
}

/// Counts the accounts by their keys for OMEMO, and names some of those to which nobody can write encrypted.
fn counted(all: &[Keys]) -> String {
    let published = |on: &&Keys| on.omemo.as_ref().is_some_and(|own| own.published);
    let unpublished = all.iter().filter(|on| on.omemo.as_ref().is_some_and(|own| !own.published));
    let unpublished: Vec<_> = unpublished.map(|on| on.account.as_str()).collect();
    let without = all.iter().filter(|on| on.omemo.is_none()).count();
    let mut text =
        format!("accounts with a published key of OMEMO: {} of {}\n", all.iter().filter(published).count(), all.len());
    if !unpublished.is_empty() {
        let named = unpublished.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = match unpublished.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        text.put(format_args!("not published, so nobody can write to it encrypted yet: {named}{more}\n"));
    }
    if without > 0 {
        text.put(format_args!("with no key, or `omemo = false`: {without}\n"));
    }
    text.push_str("\n`parlor keys NAME fingerprint` shows those of one account\n");
    text
}

/// Names a person, with the policy for OTR that counts for them alone.
fn person(on: &Keys, jid: &str) -> String {
    let says = on.otr_with(jid).map(|says| format!(": {says}")).unwrap_or_default();
    format!("{jid}{says}")
}

fn people(on: &Keys) -> String {
    let (mut text, mut last) = (String::new(), None);
    for key in &on.keys {
        if last != Some(&key.jid) {
            text.put(format_args!("{}\n", person(on, &key.jid)));
            last = Some(&key.jid);
        }
        let label =
            key.label.as_ref().map(|label| format!(" {}", quoted_untrusted(label, usize::MAX))).unwrap_or_default();
        let gone = if key.listed || key.kind != "omemo" { "" } else { ", not in use" };
        text.put(format_args!("  {}  {}{label}, seen {}{gone}\n", key.trust, key.name(), second(&key.last_seen)));
        text.put(format_args!("    {}\n", shown(&key.fingerprint)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use parlor::control::views::{Key, OwnOmemo};

    use super::*;

    fn key(jid: &str, device: Option<u32>, trust: &str) -> Key {
        let (kind, length) = if device.is_some() { ("omemo", 8) } else { ("otr", 5) };
        Key {
            jid: jid.to_owned(),
            kind: kind.to_owned(),
            device,
            fingerprint: "0123abcd".repeat(length),
            label: None,
            trust: trust.to_owned(),
            first_seen: "2026-11-20T08:00:00Z".to_owned(),
            last_seen: "2026-11-26T08:00:00Z".to_owned(),
            listed: true,
        }
    }

    fn all(keys: Vec<Key>) -> [Keys; 1] {
        [Keys {
            account: "main".to_owned(),
            node: None,
            jid: "bot@example.org".to_owned(),
            policy: "blind".to_owned(),
            omemo: Some(OwnOmemo { device: 27_183, fingerprint: "f".repeat(64), published: false }),
            otr: None,
            otr_policy: "allow".to_owned(),
            otr_people: BTreeMap::new(),
            keys,
            comparisons: Vec::new(),
        }]
    }

    #[test]
    fn keys_stand_below_their_person_and_fit_into_80_columns() {
        let mut old = key("juliet@example.org", Some(7), "blind");
        (old.label, old.listed) = (Some("a telephone".to_owned()), false);
        let text = known(&all(vec![
            key("juliet@example.org", Some(31_415), "trusted"),
            old,
            key("romeo@example.org", None, "undecided"),
        ]));
        let omemo = ["0123abcd"; 8].join(" ");
        let otr = ["0123ABCD"; 5].join(" ");
        assert_eq!(
            text,
            format!(
                "main, bot@example.org: blind trust\n\
                 juliet@example.org\n\
                 \x20 trusted  OMEMO device 31415, seen 2026-11-26 08:00:00\n\
                 \x20   {omemo}\n\
                 \x20 blind  OMEMO device 7 “a telephone”, seen 2026-11-26 08:00:00, not in use\n\
                 \x20   {omemo}\n\
                 romeo@example.org\n\
                 \x20 undecided  OTR, seen 2026-11-26 08:00:00\n\
                 \x20   {otr}\n"
            )
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(known(&all(Vec::new())), "main, bot@example.org: blind trust\nno keys of others\n");
        assert_eq!(known(&[]), "no accounts\n");
    }

    #[test]
    fn the_name_that_a_person_gave_a_key_does_not_go_on_as_words_of_the_host() {
        let named = Key {
            label: Some("phone”, trusted by you “".to_owned()),
            ..key("juliet@example.org", Some(7), "blind")
        };
        let text = known(&all(vec![named]));
        assert!(text.contains("OMEMO device 7 “phone', trusted by you '”, seen 2026"), "{text}");
    }

    #[test]
    fn the_policy_for_otr_is_shown_where_it_is_not_the_default() {
        let mut on = all(vec![key("juliet@example.org", None, "blind"), key("romeo@example.org", None, "blind")]);
        on[0].otr_policy = "require".to_owned();
        let policy = |jid: &str, policy: &str| (jid.to_owned(), policy.to_owned());
        on[0].otr_people = [policy("nurse@example.org", "never"), policy("romeo@example.org", "allow")].into();
        let text = known(&on);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(
            lines,
            [
                "main, bot@example.org: blind trust, OTR required",
                "juliet@example.org",
                "romeo@example.org: OTR allowed",
                "nurse@example.org: OTR off, no key yet",
            ]
        );
    }

    #[test]
    fn many_accounts_are_counted_and_those_with_something_are_shown() {
        let [one] = all(Vec::new());
        let named = |number: usize| Keys { account: format!("a{number}"), ..one.clone() };
        let mut many: Vec<_> = (0..30).map(named).collect();
        assert_eq!(known(&many), "accounts with no keys of others: 30 of 30\n");
        many[7].keys = vec![key("juliet@example.org", None, "blind")];
        many[8].otr_people = BTreeMap::from([("nurse@example.org".to_owned(), "never".to_owned())]);
        let text = known(&many);
        assert!(text.starts_with("a7, bot@example.org: blind trust\njuliet@example.org\n"), "{text}");
        assert!(text.contains("\n\na8, bot@example.org: blind trust\nno keys of others\nnurse@example.org"), "{text}");
        assert!(text.ends_with("\n\naccounts with no keys of others: 28 of 30\n"), "{text}");
        assert_eq!(known(&many[..20]).matches("blind trust").count(), 20);

        many[0].omemo = None;
        for on in &mut many[1..19] {
            on.omemo.as_mut().unwrap().published = true;
        }
        assert_eq!(
            fingerprints(&many),
            "accounts with a published key of OMEMO: 18 of 30\n\
             not published, so nobody can write to it encrypted yet: a19, a20, a21, a22, a23, a24, a25, a26, a27, a28 and 1 more\n\
             with no key, or `omemo = false`: 1\n\n`parlor keys NAME fingerprint` shows those of one account\n"
        );
        assert_eq!(fingerprints(&many[..20]).matches("bot@example.org").count(), 20);
    }

    #[test]
    fn the_own_fingerprints_say_whether_others_can_see_them() {
        let text = fingerprints(&all(Vec::new()));
        assert!(text.starts_with("main, bot@example.org\n  OMEMO device 27183, not published"), "{text}");
        assert!(text.contains("\n    ffffffff ffffffff "), "{text}");
        assert!(text.contains("\n  OTR: no key"), "{text}");
    }

    #[test]
    fn after_a_decision_the_keys_that_nobody_compared_are_counted() {
        let (juliet, others) = ("juliet@example.org", [Some(1), Some(2)]);
        let mut keys = vec![key(juliet, Some(3), "trusted")];
        assert!(!decided(&all(keys.clone())).contains("compared"));
        keys.extend(others.map(|device| key(juliet, device, "undecided")));
        assert!(decided(&all(keys)).ends_with("2 more keys are not compared yet\n"));
    }
}
