//! The owner's commands about keys for encrypted messages: to show them, and to trust or distrust one.
//!
//! Distrusting is always possible. Trusting needs the setting `trust_by_chat`: the account's server delivers these
//! commands, and one that lies could give a command in the owner's name and have its own key trusted.

use jid::BareJid;
use parlor_runtime::account::{Shared, encryption};
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;
use parlor_store::By;

use super::LONGEST;
use crate::control::show;
use crate::control::views::{Key, Keys, shown};
use crate::host::keys::Undecided;
use crate::host::{Host, keys};

/// The form field with the key.
pub(super) const KEY: &str = "key";

/// The first step of a command.
pub(super) enum First {
    /// It is done, and this is the answer.
    Done(Vec<String>),
    /// One of these keys must be chosen.
    Choose(Vec<String>),
}

/// Returns whether a command is about keys.
pub(super) fn is_about_keys(node: &str) -> bool {
    node == "keys" || decision(node).is_some()
}

/// Returns what a command decides about a key.
fn decision(node: &str) -> Option<DeviceTrust> {
    match node {
        "trust" => Some(DeviceTrust::Trusted),
        "distrust" => Some(DeviceTrust::Distrusted),
        _ => None,
    }
}

/// Carries out the first step of a command. The error is the reason for the owner.
pub(super) async fn first(account: &Shared, node: &str) -> Result<First, String> {
    may_decide(account, node)?;
    let all = look(account).await?;
    let Some(decided) = decision(node) else { return Ok(First::Done(lines(&all))) };
    let choices = choices(&all, decided.as_str());
    if choices.is_empty() { Err(format!("no key to {node}")) } else { Ok(First::Choose(choices)) }
}

/// Decides about the key that was chosen, and returns what is known of that person then.
pub(super) async fn decide(
    host: &Host,
    account: &Shared,
    node: &str,
    chosen: &str,
    by: &By,
) -> Result<Vec<String>, String> {
    let decided = decision(node).ok_or_else(|| format!("{node} decides about no key"))?;
    // The setting may have been taken back since the first step.
    may_decide(account, node)?;
    let (jid, fingerprint) = parsed(chosen).ok_or("this names no key: it is an address and a fingerprint")?;
    keys::decide(host, account, &jid, Some(fingerprint), decided, by).await.map_err(|error| match error {
        Undecided::Call(CallError::NotFound(_)) => format!("{} knows no such key of {jid}", account.name),
        error => error.to_string(),
    })?;
    let mut all = look(account).await?;
    all.keys.retain(|key| key.jid == jid.as_str());
    Ok(all.keys.iter().map(line).collect())
}

fn may_decide(account: &Shared, node: &str) -> Result<(), String> {
    if node != "trust" || encryption::status(account).settings.trust_by_chat {
        return Ok(());
    }
    let name = &account.name;
    Err(format!(
        "no key is trusted from here, since the server that brings this command could have made it up. Run `parlor keys \
         {name} trust` on the machine of the host; or set trust_by_chat = true under [account.{name}.encryption], if you \
         trust the server"
    ))
}

async fn look(account: &Shared) -> Result<Keys, String> {
    let list = keys::list(account, None).await.map_err(|error| error.to_string())?;
    Ok(show::keys(account, &list))
}

fn lines(all: &Keys) -> Vec<String> {
    let Keys { account, policy, omemo, otr, keys, .. } = all;
    let says = all.otr_says().map(|says| format!(", {says}")).unwrap_or_default();
    let mut lines = vec![format!("account {account}, {policy} trust{says}")];
    lines.extend(omemo.as_ref().map(|own| format!("own OMEMO device {}: {}", own.device, shown(&own.fingerprint))));
    lines.extend(otr.as_ref().map(|own| format!("own OTR: {}", shown(own))));
    lines.extend(keys.iter().map(line));
    lines
}

fn line(key: &Key) -> String {
    format!("{} is {}, {}: {}", key.jid, key.trust, key.name(), shown(&key.fingerprint))
}

/// Returns the keys that are not decided like that yet, as the owner chooses among them.
fn choices(all: &Keys, decided: &str) -> Vec<String> {
    let mut bytes = 0;
    let keys = all.keys.iter().filter(|key| key.trust != decided);
    let choices = keys.map(|key| format!("{} {} ({})", key.jid, shown(&key.fingerprint), key.trust));
    // Each is written twice: as a label, and as a value. Clients let the owner write down another one.
    let fits = |choice: &String| {
        bytes += 2 * choice.len();
        bytes <= LONGEST
    };
    choices.take_while(fits).collect()
}

/// Parses a choice; its fingerprint is checked where keys are looked up.
fn parsed(choice: &str) -> Option<(BareJid, String)> {
    let mut words = choice.split_whitespace();
    let jid = BareJid::new(words.next()?).ok()?;
    let fingerprint: String = words.take_while(|word| !word.starts_with('(')).collect();
    (!fingerprint.is_empty()).then_some((jid, fingerprint))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::control::views::OwnOmemo;

    fn key(jid: &str, trust: &str) -> Key {
        Key {
            jid: jid.to_owned(),
            kind: "omemo".to_owned(),
            device: Some(31_415),
            fingerprint: "0123abcd".repeat(8),
            label: None,
            trust: trust.to_owned(),
            first_seen: "2026-11-20T08:00:00Z".to_owned(),
            last_seen: "2026-11-20T08:00:00Z".to_owned(),
            listed: true,
        }
    }

    fn all(keys: Vec<Key>) -> Keys {
        Keys {
            account: "main".to_owned(),
            node: None,
            jid: "bot@example.org".to_owned(),
            policy: "blind".to_owned(),
            omemo: Some(OwnOmemo { device: 27_183, fingerprint: "f".repeat(64), published: true }),
            otr: Some("a".repeat(40)),
            otr_policy: "allow".to_owned(),
            otr_people: BTreeMap::new(),
            keys,
            comparisons: Vec::new(),
        }
    }

    #[test]
    fn a_choice_names_the_key_that_it_was_made_of() {
        let all = all(vec![key("a,b@example.org", "blind"), key("juliet@example.org", "trusted")]);
        let choices = choices(&all, "trusted");
        let groups = ["0123abcd"; 8].join(" ");
        assert_eq!(choices, [format!("a,b@example.org {groups} (blind)")]);
        let (jid, fingerprint) = parsed(&choices[0]).unwrap();
        assert_eq!((jid.as_str(), fingerprint), ("a,b@example.org", "0123abcd".repeat(8)));
        for wrong in ["", "juliet@example.org", "juliet@example.org (blind)", "juliet@example.org/balcony 0123"] {
            assert!(parsed(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_form_with_many_keys_is_no_longer_than_servers_let_through() {
        let many = all(vec![key("juliet@example.org", "blind"); 1_000]);
        let choices = choices(&many, "trusted");
        assert!((50..1_000).contains(&choices.len()), "{}", choices.len());
        assert!(choices.iter().map(String::len).sum::<usize>() * 2 <= LONGEST);
    }

    #[test]
    fn the_own_keys_are_shown_before_those_of_others() {
        let lines = lines(&all(vec![key("juliet@example.org", "distrusted")]));
        assert_eq!(lines[0], "account main, blind trust");
        assert!(lines[1].starts_with("own OMEMO device 27183: ffffffff ffffffff "), "{}", lines[1]);
        assert!(lines[2].starts_with("own OTR: AAAAAAAA "), "{}", lines[2]);
        assert!(
            lines[3].starts_with("juliet@example.org is distrusted, OMEMO device 31415: 0123abcd "),
            "{}",
            lines[3]
        );
    }
}
