//! The number and times of earlier uses that were allowed or denied, from the audit.

use jid::Jid;
use parlor::control::audit::Name;
use parlor_base::permission::Permission;
use parlor_base::web_address::WebAddress;
use serde::Serialize;

use super::alike::put_first;
use crate::show::{Put as _, second};

/// How often a plugin was allowed or denied something.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Asked {
    pub(crate) account: String,
    /// `allowed` or `denied`.
    pub(crate) outcome: &'static str,
    /// The recipient, the server, or the denied use.
    pub(crate) what: String,
    pub(crate) count: u64,
    pub(crate) first: String,
    pub(crate) last: String,
}

/// Returns what the audit knows about a permission, and about this address if there is one.
pub(super) fn asked(names: Vec<Name>, permission: Permission, about: Option<&str>) -> Vec<Asked> {
    let address = about.map(address);
    let is_asked = |name: &Name| match name.kind.as_str() {
        "recipient" => sends(permission) && address.as_ref() == Some(&name.what),
        "server" => permission == Permission::HttpFetch && address.as_ref() == Some(&name.what),
        "denial" => {
            let target = name.what.strip_prefix(permission.as_str());
            target.is_some_and(|target| is_target(target, address.as_deref()))
        }
        _ => false,
    };
    let asked = names.into_iter().filter(is_asked).map(|name| Asked {
        account: name.account,
        outcome: if name.kind == "denial" { "denied" } else { "allowed" },
        what: name.what,
        count: name.count,
        first: name.first,
        last: name.last,
    });
    asked.collect()
}

/// Returns whether a denial with this target behind its permission is about an address.
fn is_target(target: &str, address: Option<&str>) -> bool {
    // Another permission may begin with the name of this one.
    if !target.is_empty() && !target.starts_with(' ') {
        return false;
    }
    let Some(address) = address else { return true };
    // A target is an address, with a method or a kind of stanza before it, or a resource behind it.
    let target = target.trim_start().rsplit(' ').next().unwrap_or_default();
    let target = target
        .split_once(':')
        .filter(|(kind, _)| ["message", "presence", "iq"].contains(kind))
        .map_or(target, |(_, to)| to);
    target == address || (!target.contains("://") && target.split('/').next() == Some(address))
}

fn sends(permission: Permission) -> bool {
    use Permission::{FilesSend, MessagesSend, RoomsSend, StanzaSend};
    matches!(permission, MessagesSend | RoomsSend | StanzaSend | FilesSend)
}

/// Returns an address as the audit has it: a JID without its resource, or the server of a URL.
fn address(about: &str) -> String {
    let url = about.rsplit(' ').next().unwrap_or_default();
    if let Ok(url) = WebAddress::parse(url) {
        return url.origin();
    }
    about.parse::<Jid>().map_or_else(|_| about.to_owned(), |jid| jid.to_bare().to_string())
}

/// Appends it for people.
pub(super) fn put(text: &mut String, all: &[Asked]) {
    if !all.is_empty() {
        text.push_str("\nby the audit:\n");
    }
    put_first(text, all.iter().collect(), |text, asked: &Asked| {
        let Asked { account, outcome, what, count, first, last } = asked;
        let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        let (first, last) = (second(first), second(last));
        let when = if first == last { last } else { format!("{first} to {last}") };
        text.put(format_args!("  {outcome} {times} on {account}: {what}, {when}\n"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(kind: &str, what: &str) -> Name {
        Name {
            account: "main".to_owned(),
            kind: kind.to_owned(),
            what: what.to_owned(),
            first: "2026-11-19T08:00:00Z".to_owned(),
            last: "2026-11-20T08:00:00Z".to_owned(),
            count: 2,
            sent: None,
            received: None,
        }
    }

    fn found(permission: Permission, about: Option<&str>) -> Vec<String> {
        let names = vec![
            name("recipient", "juliet@example.org"),
            name("server", "https://api.example.org"),
            name("denial", "messages.send juliet@example.org/balcony"),
            name("denial", "stanza.send message:juliet@example.org"),
            name("denial", "http.fetch GET https://api.example.org"),
            name("denial", "rooms.send"),
            name("denial", "settings.writer"),
        ];
        let asked = asked(names, permission, about);
        asked.into_iter().map(|one| format!("{} {}", one.outcome, one.what)).collect()
    }

    #[test]
    fn what_was_asked_before_is_found_by_permission_and_address() {
        let juliet = Some("juliet@example.org/garden");
        assert_eq!(
            found(Permission::MessagesSend, juliet),
            ["allowed juliet@example.org", "denied messages.send juliet@example.org/balcony"]
        );
        assert_eq!(found(Permission::MessagesSend, None), ["denied messages.send juliet@example.org/balcony"]);
        assert_eq!(found(Permission::MessagesSend, Some("romeo@example.org")), [""; 0]);
        assert_eq!(
            found(Permission::StanzaSend, juliet),
            ["allowed juliet@example.org", "denied stanza.send message:juliet@example.org"]
        );
        let url = Some("GET https://api.example.org/weather?q=1");
        assert_eq!(
            found(Permission::HttpFetch, url),
            ["allowed https://api.example.org", "denied http.fetch GET https://api.example.org"]
        );
        assert_eq!(found(Permission::RoomsSend, None), ["denied rooms.send"]);
        assert_eq!(found(Permission::SettingsWrite, None), [""; 0]);
    }

    #[test]
    fn it_is_shown_with_both_times() {
        let mut text = String::new();
        put(&mut text, &asked(vec![name("denial", "rooms.send")], Permission::RoomsSend, None));
        assert_eq!(
            text,
            "\nby the audit:\n  denied 2 times on main: rooms.send, 2026-11-19 08:00:00 to 2026-11-20 08:00:00\n"
        );
    }
}
