//! The screens of `parlor keys`.

use parlor::control::views::{Keys, shown};

use super::compare::hint;
use crate::show::{Put as _, on_node, second};

/// Shows the keys of others that accounts know, with the decision about each.
pub(super) fn known(all: &[Keys]) -> String {
    let mut text = String::new();
    for (number, on) in all.iter().enumerate() {
        if number > 0 {
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

/// Shows the own fingerprints of accounts.
pub(super) fn fingerprints(all: &[Keys]) -> String {
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
        let label = key.label.as_ref().map(|label| format!(" “{label}”")).unwrap_or_default();
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
