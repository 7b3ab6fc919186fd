//! Tests for each rule of admission, with a plugin that keeps all others.

use std::path::Path;

use super::*;
use crate::policy::Policy;

const MANIFEST: &str = r#"
[plugin]
name = "echo"
version = "0.1.0"
api = "0.1.0"
description = "Says what it hears"
[permissions]
"messages.read" = { scope = ["*"], reason = "to hear" }
"messages.send" = { scope = ["*"], reason = "to answer" }
"rooms.send" = { scope = ["*"], reason = "to answer in rooms", optional = true }
[settings.greeting]
type = "string"
description = "What to say first"
[settings.pause]
type = "duration"
description = "How long to wait"
"#;

const GRANTS: &str = "\"messages.read\" = [\"*\"]\n\"messages.send\" = [\"juliet@example.org\"]\n";

fn id() -> PluginId {
    "echo".parse().unwrap()
}

fn examined(calls: &[(&str, &str)]) -> Examined {
    Examined {
        digest: Digest::of(b"echo"),
        size: 4,
        manifest: Arc::new(Manifest::parse(MANIFEST).unwrap()),
        imports: calls.iter().map(|(g, f)| Import { grouping: (*g).to_owned(), function: (*f).to_owned() }).collect(),
        language: None,
        needs: Needs::default(),
    }
}

fn entry(head: &str, grants: &str, settings: &str) -> Entry {
    let digest = Digest::of(b"echo");
    let text = format!(
        "[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{digest}\"\n{head}\n[plugin.echo.grants]\n{grants}\n[plugin.echo.settings]\n{settings}\n"
    );
    Policy::parse(&text, Path::new("")).unwrap().plugins.remove("echo").unwrap()
}

fn judge(entry: &Entry) -> Result<Admitted, Refusal> {
    admit(&id(), entry, &examined(&[("chats", "send"), ("log", "write")]), &[], &[])
}

#[test]
fn a_plugin_that_keeps_all_rules_gets_what_was_granted() {
    let admitted = judge(&entry("", GRANTS, "greeting = \"Hello\"")).unwrap();
    assert_eq!(admitted.grants.iter().count(), 2);
    assert_eq!(admitted.settings.0["greeting"], "Hello");
    assert!(admitted.warnings.is_empty());
}

/// A large host has the same component for many of its customers.
#[test]
fn plugins_with_equal_limits_and_grants_share_them() {
    let digest = Digest::of(b"echo");
    let written = |id: &str, memory: &str| {
        let head = format!("[plugin.{id}]\nsource = \"echo.wasm\"\ndigest = \"{digest}\"\n");
        format!("{head}[plugin.{id}.grants]\n{GRANTS}[plugin.{id}.limits]\nmemory = \"{memory}\"\n")
    };
    let text = [written("one", "32 MiB"), written("other", "32 MiB"), written("small", "16 MiB")].concat();
    let plugins = Policy::parse(&text, Path::new("")).unwrap().plugins;
    let [one, other, small] = ["one", "other", "small"].map(|id| &plugins[id]);
    assert!(Arc::ptr_eq(&one.limits, &other.limits) && !Arc::ptr_eq(&other.limits, &small.limits));
    assert!(one.grants.is_shared_with(&other.grants) && other.grants.is_shared_with(&small.grants));
    let admitted = judge(one).unwrap();
    assert!(Arc::ptr_eq(&admitted.limits, &one.limits) && admitted.grants.is_shared_with(&one.grants));
    // Grants that the manifest does not ask for are taken from the plugin, and stay in the policy.
    let more = entry("", &format!("{GRANTS}\"contacts.read\" = true\n"), "");
    let admitted = judge(&more).unwrap();
    assert!(!admitted.grants.has(Permission::ContactsRead) && more.grants.has(Permission::ContactsRead));
}

#[test]
fn the_owners_lists_decide_and_the_blacklist_wins() {
    let entry = entry("", GRANTS, "");
    let judge = |white: &[&str], black: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        admit(&id(), &entry, &examined(&[]), &list(white), &list(black)).map(drop)
    };
    assert_eq!(judge(&["echo"], &[]), Ok(()));
    assert_eq!(judge(&["greeter"], &[]), Err(Refusal::NotWhitelisted(id())));
    assert_eq!(judge(&["echo"], &["echo"]), Err(Refusal::Blacklisted(id())));
    assert_eq!(judge(&[], &["greeter"]), Ok(()));
}

#[test]
fn a_disabled_plugin_does_not_run() {
    assert_eq!(judge(&entry("enabled = false", GRANTS, "")).unwrap_err(), Refusal::Disabled(id()));
}

#[test]
fn changed_bytes_do_not_run() {
    let mut changed = examined(&[]);
    changed.digest = Digest::of(b"other");
    let refusal = admit(&id(), &entry("", GRANTS, ""), &changed, &[], &[]).unwrap_err().to_string();
    assert!(refusal.contains("092c79e8f80e") && refusal.contains(&Digest::of(b"other").short()), "{refusal}");
    assert!(
        refusal.contains("or the digest in plugins.toml was changed")
            && refusal.contains(&Digest::of(b"other").to_string())
    );
}

#[test]
fn calls_that_the_manifest_does_not_ask_for_are_named() {
    let examined =
        examined(&[("chats", "open"), ("chats", "send"), ("contacts", "get"), ("log", "write"), ("rooms", "send")]);
    let refusal = admit(&id(), &entry("", GRANTS, ""), &examined, &[], &[]).unwrap_err().to_string();
    assert!(refusal.contains("chats.open (needs chats.write), contacts.get (needs contacts.read);"), "{refusal}");
    assert!(!refusal.contains("rooms.send") && !refusal.contains("log.write"), "{refusal}");
}

#[test]
fn what_is_asked_for_and_no_call_may_need_is_found_unless_it_lets_events_through() {
    let found = |calls: &[(&str, &str)]| unused(&examined(calls));
    assert_eq!(found(&[("log", "write")]), [Permission::MessagesSend, Permission::RoomsSend]);
    assert_eq!(found(&[("chats", "send")]), [Permission::RoomsSend]);
    assert!(found(&[("chats", "send"), ("rooms", "send")]).is_empty());
    // The host announces a plugin's commands where the plugin may send messages.
    assert!(found(&[("commands", "add")]).is_empty());
}

#[test]
fn what_is_needed_and_not_granted_is_named_with_the_line_to_add() {
    let refusal = judge(&entry("", "\"messages.send\" = false", "")).unwrap_err().to_string();
    assert!(
        refusal.ends_with(
            r#"under [plugin.echo.grants] in plugins.toml: "messages.read" = ["*"], "messages.send" = ["*"]"#
        ),
        "{refusal}"
    );
}

#[test]
fn a_grant_that_was_never_asked_for_is_not_given() {
    let admitted =
        judge(&entry("", &format!("{GRANTS}\"contacts.read\" = true\n\"rooms.send\" = [\"*\"]"), "")).unwrap();
    assert!(admitted.grants.get(Permission::ContactsRead).is_none());
    assert!(admitted.grants.get(Permission::RoomsSend).is_some());
    assert_eq!(
        admitted.warnings,
        ["echo does not ask for contacts.read, so it does not get it although plugins.toml grants it"]
    );
}

#[test]
fn settings_keep_to_the_schema() {
    let refusal = judge(&entry("", GRANTS, "greting = \"Hello\"")).unwrap_err().to_string();
    assert_eq!(refusal, "echo has no setting `greting`; did you mean `greeting`?");
    let refusal = judge(&entry("", GRANTS, "pause = \"s3cr3t-canary\"")).unwrap_err().to_string();
    assert!(refusal.contains("the setting `pause`") && !refusal.contains("canary"), "{refusal}");
}

#[test]
fn what_has_to_be_given_is_asked_for_with_how_to_give_it() {
    let manifest =
        MANIFEST.replace("description = \"What to say first\"", "description = \"What to say first\"\nrequired = true");
    let examined = Examined { manifest: Arc::new(Manifest::parse(&manifest).unwrap()), ..examined(&[]) };
    let judged = |settings: &str| admit(&id(), &entry("", GRANTS, settings), &examined, &[], &[]);
    let refusal = judged("").unwrap_err().to_string();
    let says =
        "echo needs its setting `greeting` (What to say first): `parlor plugin config echo greeting VALUE` gives it";
    assert_eq!(refusal, says);
    judged("greeting = \"Hello\"").unwrap();
    // No list of processes shows a secret.
    let secret =
        Refusal::Unset { id: id(), name: "key".to_owned(), about: "A key".to_owned(), is_secret: true }.to_string();
    assert!(secret.ends_with("`parlor plugin config echo key` asks for it, or reads standard input"), "{secret}");
    let both = manifest.replace("required = true", "required = true\ndefault = \"Hi\"");
    let error = Manifest::parse(&both).unwrap_err().to_string();
    assert!(error.contains("has no default"), "{error}");
}

#[test]
fn another_version_is_a_warning() {
    let admitted = judge(&entry("version = \"0.2.0\"", GRANTS, "")).unwrap();
    assert_eq!(admitted.warnings, ["plugins.toml says that echo has version 0.2.0, but the file says 0.1.0"]);
}
