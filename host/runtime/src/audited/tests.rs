//! Entries about changes of the policy.

use std::path::Path;

use parlor_config::Overrides;

use super::*;

const TABLE: &str = "[plugin.echo]\nsource = \"echo.wasm\"\n";

fn policy(more: &str) -> Policy {
    let digest = Digest::of(b"");
    Policy::parse(&format!("{TABLE}digest = \"{digest}\"\n{more}"), Path::new("/x")).unwrap()
}

/// Returns what the audit knows after these changes.
fn after(changes: &[PolicyChange]) -> Vec<PolicyRow> {
    changes.iter().filter(|change| !change.is_gone).map(|change| change.row.clone()).collect()
}

fn entries(changes: &[PolicyChange]) -> Vec<(AuditKind, String, Option<String>, Option<String>)> {
    let entries = changes.iter().filter_map(|change| change.entry.clone());
    entries.map(|entry| (entry.kind, entry.what, entry.old, entry.new)).collect()
}

fn between(old: &Policy, new: &Policy) -> Vec<PolicyChange> {
    let by = By::host("test");
    let known = after(&changes(Vec::new(), old, None, &by, &|_, _, name| name != "token"));
    changes(known, new, None, &by, &|_, _, name| name != "token")
}

#[expect(clippy::unnecessary_wraps, reason = "a value may be missing in what it is compared with")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn an_entry_about_a_grant_has_what_an_owner_is_told_of_it() {
    let toml = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";
    let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
    let config = Config::parse(Path::new("parlor.toml"), toml, &overrides).unwrap();
    let [old, new, less] = [
        "[plugin.echo.grants]\n\"messages.read\" = [\"*\"]\n\"rooms.read\" = [\"*\"]\n",
        "[plugin.echo.grants]\n\"messages.read\" = [\"*\"]\n\"rooms.read\" = [\"a@m.example\"]\n\"messages.send\" = [\"b@c.example\"]\n",
        "[plugin.echo.grants]\n\"messages.read\" = [\"*\"]\n\"rooms.read\" = [\"a@m.example\"]\n",
    ]
    .map(policy);
    let id: PluginId = "echo".parse().unwrap();
    let said = |old: Option<&Policy>, new: &Policy| {
        let of = |policy: &Policy| policy.plugins[&id].clone();
        let said = consent(&config, old.map(of).as_ref(), Some(&of(new)));
        let mut all = between(old.unwrap_or(&Policy::default()), new);
        say(&mut all, &said);
        let entries = all.into_iter().filter_map(|change| change.entry);
        entries.map(|entry| (entry.what, entry.said)).collect::<BTreeMap<_, _>>()
    };
    let granted = said(Some(&old), &new);
    let sending = granted["messages.send"].join(" ");
    assert!(sending.contains("b@c.example") && sending.contains("in the name of this account"), "{granted:?}");
    // A narrower grant needs no question.
    assert_eq!(said(Some(&old), &less)["rooms.read"], Vec::<String>::new());
    // A star covers no server in the owner's own network.
    let [star, own] = ["", ", \"https://127.0.0.1:37444\""]
        .map(|more| policy(&format!("[plugin.echo.grants]\n\"http.fetch\" = [\"*\"{more}]\n")));
    let reached = said(Some(&star), &own)["http.fetch"].join(" ");
    assert!(reached.contains("Reaches https://127.0.0.1:37444, in your own network"), "{reached}");
    let installed = said(None, &old);
    assert!(!installed["messages.read"].is_empty() && installed["installed"].is_empty(), "{installed:?}");
    assert_eq!(consent(&config, Some(&old.plugins[&id]), None), []);
}

#[test]
fn each_change_of_a_policy_has_an_entry_with_both_values() {
    let old = policy("[plugin.echo.grants]\n\"messages.read\" = [\"a@b.example\"]\n");
    assert!(between(&old, &old).is_empty());
    let new = policy(
        "enabled = false\n[plugin.echo.grants]\n\"messages.read\" = [\"*\"]\n\"rooms.read\" = [\"*\"]\n[plugin.echo.limits]\nmemories = 2\n",
    );
    assert_eq!(
        entries(&between(&old, &new)),
        [
            (AuditKind::Run, "enabled".to_owned(), text("true"), text("false")),
            (AuditKind::Grant, "messages.read".to_owned(), text("a@b.example"), text("*")),
            (AuditKind::Grant, "rooms.read".to_owned(), None, text("*")),
            (AuditKind::Limit, "limit memories".to_owned(), text("4"), text("2")),
        ]
    );
    let back = entries(&between(&new, &old));
    assert!(back.contains(&(AuditKind::Grant, "rooms.read".to_owned(), text("*"), None)), "{back:?}");
    assert!(back.contains(&(AuditKind::Limit, "limit memories".to_owned(), text("2"), text("4"))), "{back:?}");
}

#[test]
fn the_rooms_that_a_plugin_is_kept_to_have_entries() {
    let rooms = |rooms: &str| policy(&format!("rooms = [{rooms}]\n"));
    let (all, one) = (policy(""), rooms("\"a@m.example\""));
    let two = rooms("\"b@m.example\", \"a@m.example\"");
    let entry = |old: &str, new: &str| vec![(AuditKind::Grant, "rooms".to_owned(), text(old), text(new))];
    assert_eq!(entries(&between(&all, &one)), entry("all", "a@m.example"));
    assert_eq!(entries(&between(&one, &two)), entry("a@m.example", "a@m.example, b@m.example"));
    assert_eq!(entries(&between(&two, &all)), entry("a@m.example, b@m.example", "all"));
}

#[test]
fn a_setting_in_a_room_has_entries_and_no_secret_in_them() {
    let with = |lines: &str| policy(&format!("[plugin.echo.settings_in.\"a@m.example\"]\n{lines}\n"));
    let changes = between(&with("room = \"a\"\ntoken = \"s3cr3t\""), &with("room = \"b\"\ntoken = \"s3cr3t2\""));
    assert!(!format!("{changes:?}").contains("s3cr3t"), "{changes:?}");
    assert_eq!(
        entries(&changes),
        [
            (AuditKind::Setting, "setting room in a@m.example".to_owned(), text("\"a\""), text("\"b\"")),
            (AuditKind::Setting, "setting token in a@m.example".to_owned(), text(HIDDEN), text(HIDDEN)),
        ]
    );
}

#[test]
fn a_plugin_that_is_removed_has_one_entry() {
    let old = policy("[plugin.echo.grants]\n\"messages.read\" = [\"*\"]\n");
    let gone = between(&old, &Policy::default());
    assert_eq!((gone.len(), entries(&gone).len()), (2, 1));
    assert_eq!(entries(&gone)[0].1, "removed");
    assert_eq!(entries(&between(&Policy::default(), &old))[0].1, "installed");
}

#[test]
fn a_plugin_that_is_installed_had_no_value_before() {
    let new = policy("accounts = [\"main\"]\nmissing_accounts = \"skip\"\n[plugin.echo.limits]\nmemories = 2\n");
    let installed = entries(&between(&Policy::default(), &new));
    assert!(installed.iter().all(|(_, _, old, _)| old.is_none()), "{installed:?}");
    assert!(installed.contains(&(AuditKind::Account, "accounts".to_owned(), None, text("main"))), "{installed:?}");
    // Later there is one.
    let moved = entries(&between(&policy(""), &new));
    assert!(moved.contains(&(AuditKind::Account, "accounts".to_owned(), text("all"), text("main"))), "{moved:?}");
}

#[test]
fn an_order_of_hooks_is_told_in_words_and_alone() {
    let old = policy("");
    let new = policy("enabled = false\n[hooks]\noutgoing = [\"echo\"]\n");
    let by = By::host("test");
    let known = after(&changes_for_all(Vec::new(), &old, &by));
    let expected = (
        AuditKind::Run,
        "order of hooks".to_owned(),
        text("50 ms, then pass, but stop a message that is too large"),
        text("outgoing: echo; 50 ms, then pass, but stop a message that is too large"),
    );
    assert_eq!(entries(&changes_for_all(known, &new, &by)), [expected]);
}

#[test]
fn a_secret_is_never_shown_and_that_it_changed_is() {
    let with = |lines: &str| policy(&format!("[plugin.echo.settings]\n{lines}\n"));
    let old = with("room = \"a\"\ntoken = \"s3cr3t\"\nkey = { command = \"echo s3cr3t\" }");
    let new = with("room = \"b\"\ntoken = \"s3cr3t2\"\nkey = { command = \"echo s3cr3t2\" }");
    let changes = between(&old, &new);
    assert!(!format!("{changes:?}").contains("s3cr3t"), "{changes:?}");
    assert_eq!(
        entries(&changes),
        [
            (AuditKind::Setting, "setting key".to_owned(), text(HIDDEN), text(HIDDEN)),
            (AuditKind::Setting, "setting room".to_owned(), text("\"a\""), text("\"b\"")),
            (AuditKind::Setting, "setting token".to_owned(), text(HIDDEN), text(HIDDEN)),
        ]
    );
}

#[test]
fn one_plugin_alone_may_be_compared() {
    let all = changes(Vec::new(), &policy(""), Some(&"other".parse().unwrap()), &By::host("test"), &|_, _, _| true);
    assert!(all.is_empty(), "{all:?}");
}
