//! `parlor plugin`: a stranger's file is installed, changed and removed, on a running host and on a stopped one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use parlor_tests::component::with_manifest;
use parlor_tests::host::{Home, Host};
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::policy::Policy;
use serde_json::Value;

use super::{SOON, ended, home, juliet, start};

/// The flags that grant everything that echo asks for.
const GRANTS: [&str; 3] = ["--grant=messages.read", "--grant=messages.send", "--grant=rooms.send"];

/// A secret among its settings.
const KEY: &str = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n";

/// Writes a file of this version of echo, with further lines of its manifest.
fn file(home: &Home, name: &str, version: &str, more: &str) -> String {
    let edit = |manifest: &str| {
        let text = manifest.replacen("version = \"0.1.0\"", &format!("version = \"{version}\""), 1);
        text.replacen("[permissions]\n", &format!("[permissions]\n{more}\n"), 1)
    };
    let bytes = with_manifest(&built("echo").unwrap().bytes().unwrap(), edit).unwrap();
    let path = home.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Writes a file of this version of echo, with more settings.
fn with_settings(home: &Home, name: &str, version: &str, schema: &str) {
    let bytes = std::fs::read(file(home, name, version, "")).unwrap();
    let bytes = with_manifest(&bytes, |manifest| format!("{manifest}\n{schema}")).unwrap();
    std::fs::write(home.path().join(name), bytes).unwrap();
}

fn policy(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("plugins.toml")).unwrap()
}

fn entry(home: &Home, id: &str) -> toml::Table {
    let table: toml::Table = policy(home).parse().unwrap();
    table["plugin"][id].as_table().unwrap().clone()
}

async fn run(home: &Home, arguments: &[&str], code: i32) -> parlor_tests::host::Finished {
    ended(home.run(&[&["plugin"], arguments].concat()).await.unwrap(), code)
}

/// Installs echo with everything that it asks for.
async fn add(home: &Home) {
    let file = file(home, "echo.wasm", "0.1.0", "");
    run(home, &[&["add", &file, "--yes"], &GRANTS[..]].concat(), 0).await;
}

async fn state(home: &Home, id: &str) -> Value {
    let json = home.run(&["status", "--json"]).await.unwrap().json().unwrap();
    json["plugins"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_plugin_is_installed_on_a_stopped_host_and_runs_when_it_starts() {
    let (home, bot) = home().await;
    home.write("plugins.toml", "# mine\n").unwrap();
    let file = file(&home, "echo.wasm", "0.1.0", "");
    let finished = run(&home, &[&["add", &file, "--yes"], &GRANTS[..]].concat(), 0).await;
    let end = "echo 0.1.0 is installed; the host is stopped; it counts when it starts\n";
    assert!(finished.stdout.ends_with(end), "{}", finished.stdout);
    assert!(finished.stdout.contains("messages.send     medium  Sends private messages"), "{}", finished.stdout);
    let entry = entry(&home, "echo");
    let digest = digest_of(&std::fs::read(&file).unwrap());
    assert_eq!((entry["digest"].as_str(), entry["version"].as_str()), (Some(&*digest), Some("0.1.0")));
    assert_eq!(entry["source"].as_str(), Some("echo.wasm"));
    assert_eq!(entry["grants"]["messages.read"][0].as_str(), Some("*"));
    assert!(policy(&home).starts_with("# mine\n\n[plugin.echo]\n"), "{}", policy(&home));

    // The installed component is a copy, so its source may be removed or changed.
    std::fs::write(&file, "something else").unwrap();
    let host = home.start().unwrap();
    host.wait_count("account connected", &[], 1, SOON).await.unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let mut juliet = juliet().await;
    juliet.chat(bot.jid.clone(), "hear me").await.unwrap();
    juliet.wait_body(&bot.jid, "hear me", SOON).await.unwrap();
}

/// Row 2.
#[tokio::test]
async fn an_id_that_is_taken_is_refused_before_anybody_is_asked_and_names_both_sources() {
    let (home, _bot) = home().await;
    add(&home).await;
    let other = file(&home, "other.wasm", "0.2.0", "");
    for arguments in [&["add", &*other][..], &["add", &*other, "--yes"]] {
        let refused = run(&home, arguments, 1).await;
        let expected = "there is a plugin echo already, from";
        for part in [expected, "echo.wasm; other.wasm was not installed", "parlor plugin update echo", "--id"] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
        assert_eq!(refused.stdout, "", "nobody has to read what it asks for");
    }
}

#[tokio::test]
async fn a_plugin_is_installed_changed_and_removed_while_the_stream_stays_up() {
    let (home, bot) = home().await;
    let host = start(&home, &Policy::default()).await;
    let mut juliet = juliet().await;
    let file = file(&home, "echo.wasm", "0.1.0", "");
    let added = run(&home, &[&["add", &file, "--yes", "--json", "--account", "main"], &GRANTS[..]].concat(), 0).await;
    let json = added.json().unwrap();
    assert_eq!((&json["host"], &json["plugins"][0]["state"]), (&"applied".into(), &"running".into()));
    juliet.chat(bot.jid.clone(), "one").await.unwrap();
    juliet.wait_body(&bot.jid, "one", SOON).await.unwrap();

    run(&home, &["disable", "echo"], 0).await;
    assert_eq!(state(&home, "echo").await["state"], "disabled");
    assert!(run(&home, &["disable", "echo"], 0).await.stdout.starts_with("echo is disabled already"));
    run(&home, &["enable", "echo"], 0).await;
    assert_eq!(state(&home, "echo").await["state"], "running");
    juliet.chat(bot.jid.clone(), "two").await.unwrap();
    juliet.wait_body(&bot.jid, "two", SOON).await.unwrap();

    let list = run(&home, &["list", "--json"], 0).await.json().unwrap();
    assert_eq!(
        (&list[0]["id"], &list[0]["states"][0], &list[0]["accounts"][0]),
        (&"echo".into(), &"running".into(), &"main".into())
    );
    assert!(run(&home, &["list"], 0).await.stdout.contains("echo    0.1.0    yes      main      running"));

    run(&home, &["remove", "echo", "--yes"], 0).await;
    assert_eq!(state(&home, "echo").await, Value::Null);
    assert!(!policy(&home).contains("echo"));
    assert_eq!(std::fs::read_dir(home.path().join("data/components")).unwrap().count(), 0);
    assert_eq!(host.lines("account connected", &[]).len(), 1);
}

#[tokio::test]
async fn a_grant_and_its_end_count_at_once_on_the_running_plugin() {
    let (home, bot) = home().await;
    let host = start(&home, &Policy::default()).await;
    add(&home).await;
    let since = state(&home, "echo").await["usage"]["since"].clone();
    let mut juliet = juliet().await;
    juliet.chat(bot.jid.clone(), "one").await.unwrap();
    juliet.wait_body(&bot.jid, "one", SOON).await.unwrap();

    run(&home, &["grant", "echo", "messages.send=nobody@nowhere.invalid"], 0).await;
    run(&home, &["revoke", "echo", "messages.send=*"], 0).await;
    assert_eq!(entry(&home, "echo")["grants"]["messages.send"], toml::Value::from(vec!["nobody@nowhere.invalid"]));
    juliet.chat(bot.jid.clone(), "two").await.unwrap();
    host.wait_count("call denied", &[("plugin", "echo"), ("permission", "messages.send")], 1, SOON).await.unwrap();
    run(&home, &["grant", "echo", "messages.send=@localhost", "--yes"], 0).await;
    juliet.chat(bot.jid.clone(), "three").await.unwrap();
    juliet.wait_body(&bot.jid, "three", SOON).await.unwrap();
    // The same instance still runs.
    assert_eq!(state(&home, "echo").await["usage"]["since"], since);
    assert_eq!(host.lines("plugin running", &[]).len(), 1);

    // Without a permission that it requires, the plugin does not run.
    let revoked = run(&home, &["revoke", "echo", "messages.send"], 0).await;
    assert!(
        revoked.stdout.contains("echo cannot do without messages.send, so it does not run any more"),
        "{revoked:?}"
    );
    assert_eq!(state(&home, "echo").await["state"], "refused");
    let granted = run(&home, &["grant", "echo", "messages.send", "--yes"], 0).await;
    assert!(granted.stdout.contains("echo on main is running"), "{granted:?}");
    assert!(granted.stdout.starts_with("echo is granted messages.send for * (everybody), as it asks; "), "{granted:?}");

    let unasked = run(&home, &["grant", "echo", "stanza.send"], 1).await;
    assert!(unasked.stderr.contains("echo does not ask for stanza.send, so it would not get it"), "{unasked:?}");
    let nothing = run(&home, &["revoke", "echo", "messages.send=a@b.example"], 1).await;
    assert!(nothing.stderr.contains("was not granted messages.send for a@b.example"), "{nothing:?}");
    assert_eq!(run(&home, &["grant", "echo", "messages.sned"], 2).await.stdout, "");
}

#[tokio::test]
async fn what_is_taken_back_is_gone_however_it_was_spelled_and_what_stays_is_said() {
    let (home, _) = home().await;
    let twice =
        super::echo(&home).grant("messages.send", &["juliet@example.org", "Juliet@EXAMPLE.org", "@example.net"]);
    home.set_policy(&Policy::default().with("echo", twice)).unwrap();
    let granted = |home| entry(home, "echo")["grants"]["messages.send"].clone();
    let revoked = run(&home, &["revoke", "echo", "messages.send=JULIET@example.org"], 0).await.stdout;
    let says = "messages.send for JULIET@example.org is taken back from echo; it keeps messages.send for @example.net";
    assert!(revoked.contains(says), "{revoked}");
    assert_eq!(granted(&home), toml::Value::from(vec!["@example.net"]));
    run(&home, &["grant", "echo", "messages.send=Romeo@Example.org,romeo@example.org", "--yes"], 0).await;
    run(&home, &["grant", "echo", "messages.send=ROMEO@example.org"], 0).await;
    assert_eq!(granted(&home), toml::Value::from(vec!["@example.net", "romeo@example.org"]));
    // If a broader entry covers an address as well, only that entry can be revoked.
    let covered = run(&home, &["revoke", "echo", "messages.send=tybalt@Example.NET"], 1).await.stderr;
    let says = "echo was not granted messages.send for tybalt@example.net by itself: @example.net covers it; \
                `parlor plugin revoke echo messages.send=@example.net` takes that back";
    assert!(covered.contains(says), "{covered}");
    run(&home, &["revoke", "echo", "messages.send=nobody at all"], 2).await;
    assert_eq!(granted(&home), toml::Value::from(vec!["@example.net", "romeo@example.org"]));
}

#[tokio::test]
async fn each_grant_that_is_given_counts() {
    let (home, _) = home().await;
    let file = file(&home, "echo.wasm", "0.1.0", "");
    home.write("more.toml", "[grants]\n\"messages.send\" = [\"@example.net\"]\n\"rooms.send\" = [\"*\"]\n").unwrap();
    let one = ["--grant", "messages.send=romeo@example.org", "--grant", "messages.send=juliet@example.org"];
    let all = [&["add", &file, "--yes", "--policy", "more.toml", "--grant", "messages.read"][..], &one].concat();
    run(&home, &all, 0).await;
    let granted = vec!["@example.net", "romeo@example.org", "juliet@example.org"];
    assert_eq!(entry(&home, "echo")["grants"]["messages.send"], toml::Value::from(granted));

    // `--grant-all` does not widen a permission that was narrowed.
    run(&home, &["add", &file, "--id", "repeat", "--yes", "--policy", "more.toml", "--grant-all"], 0).await;
    let granted = &entry(&home, "repeat")["grants"];
    assert_eq!(granted["messages.send"], toml::Value::from(vec!["@example.net"]));
    assert_eq!(granted["messages.read"], toml::Value::from(vec!["*"]));
}

#[tokio::test]
async fn who_reads_no_further_keeps_nothing_from_being_done() {
    let (home, _) = home().await;
    let file = file(&home, "echo.wasm", "0.1.0", "");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.command(["plugin", "add", &file, "--yes", "--grant-all"]).unwrap();
    command.stdin(Stdio::null()).stdout(writer);
    assert_eq!(command.status().unwrap().code(), Some(0));
    assert_eq!(entry(&home, "echo")["version"], "0.1.0".into());
}

#[tokio::test]
async fn an_update_that_asks_for_more_waits_for_consent_and_can_be_taken_back() {
    let (home, bot) = home().await;
    let _host = start(&home, &Policy::default()).await;
    add(&home).await;
    let more = "\"contacts.read\" = { reason = \"to know \\u001b[31mwho\" }\n\"status.read\" = { reason = \"to see\", optional = true }";
    let new = file(&home, "new.wasm", "0.2.0", more);
    let check = run(&home, &["update", "echo", &new, "--check", "--json"], 0).await.json().unwrap();
    assert_eq!(check["permissions"]["new"], serde_json::json!(["contacts.read", "status.read"]));
    let check = run(&home, &["update", "echo", &new, "--check"], 0).await.stdout;
    assert!(check.contains("echo: 0.1.0 → 0.2.0\n") && check.contains("to know \\u{1b}[31mwho"), "{check}");

    let before = policy(&home);
    let declined = run(&home, &["update", "echo", &new], 3).await;
    assert!(declined.stderr.contains("nobody can be asked here, so echo 0.1.0 goes on"), "{declined:?}");
    let declined = run(&home, &["update", "echo", &new, "--yes"], 3).await;
    assert!(declined.stderr.contains("to grant it: --grant contacts.read"), "{declined:?}");
    assert_eq!(policy(&home), before);
    assert_eq!(state(&home, "echo").await["version"], "0.1.0");

    run(&home, &["update", "echo", &new, "--yes", "--grant", "contacts.read"], 0).await;
    assert_eq!(
        (&state(&home, "echo").await["version"], &state(&home, "echo").await["state"]),
        (&"0.2.0".into(), &"running".into())
    );
    assert_eq!(entry(&home, "echo")["source"].as_str(), Some("new.wasm"));
    assert!(run(&home, &["update", "echo"], 0).await.stdout.contains("new.wasm still gives echo 0.2.0"));

    let older = file(&home, "older.wasm", "0.1.9", "");
    let refused = run(&home, &["update", "echo", &older, "--yes"], 1).await;
    assert!(refused.stderr.contains("echo has version 0.2.0, this file has 0.1.9"), "{refused:?}");
    let other = built("greeter").unwrap().file;
    let refused = run(&home, &["update", "echo", other.to_str().unwrap(), "--yes"], 1).await;
    assert!(
        refused.stderr.contains("echo is the plugin “echo” of its author, but this file is “greeter”"),
        "{refused:?}"
    );

    std::fs::remove_file(&new).unwrap();
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    assert_eq!(state(&home, "echo").await["version"], "0.1.0");
    assert!(run(&home, &["rollback", "echo", "--yes"], 1).await.stderr.contains("no earlier version of echo is kept"));
    run(&home, &["rollback", "echo", "--yes", "--to", "0.2.0"], 0).await;
    assert_eq!(state(&home, "echo").await["version"], "0.2.0");
    let unknown = run(&home, &["rollback", "echo", "--yes", "--to", "7"], 1).await;
    assert!(
        unknown.stderr.contains("echo has no version 7 to go back to; kept beside the present one: 0.1.0"),
        "{unknown:?}"
    );
    let gone = run(&home, &["update", "echo"], 1).await;
    assert!(gone.stderr.contains("new.wasm cannot be read"), "{gone:?}");
    let mut juliet = juliet().await;
    juliet.chat(bot.jid.clone(), "still here").await.unwrap();
    juliet.wait_body(&bot.jid, "still here", SOON).await.unwrap();
}

#[tokio::test]
async fn without_a_terminal_nothing_is_installed_that_was_not_agreed_to() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let before = policy(&home);
    let file = file(&home, "echo.wasm", "0.1.0", "");
    let refused = run(&home, &["add", &file], 3).await;
    assert!(refused.stderr.contains("nobody can be asked here; give --yes"), "{refused:?}");
    let refused = run(&home, &["add", &file, "--yes", "--grant", "messages.read"], 3).await;
    let flags = "echo cannot do without what was not granted; to grant it: --grant messages.send --grant rooms.send";
    assert!(refused.stderr.contains(flags), "{refused:?}");
    for (arguments, code, words) in [
        (
            vec!["add", &file, "--yes", "--grant", "stanza.send"],
            1,
            "echo does not ask for stanza.send, so it would not get it; nothing was installed",
        ),
        (vec!["add", &file, "--yes", "--grant-all", "--account", "nobody"], 1, "there is no account nobody"),
        (vec!["add", &file, "--yes", "--grant-all", "--id", "../x"], 2, "cannot be a plugin's id"),
        (vec!["add", &file, "--yes", "--grant", "messages.send=@@"], 2, "is no address"),
        // An argument that is invalid on every host is a usage error, with each command.
        (vec!["grant", "echo", "messages.send=@@"], 2, "is no address"),
        (vec!["revoke", "nobody", "messages.send=@@"], 2, "is no address"),
        (vec!["grant", "echo", "contacts.read=@example.org"], 2, "contacts.read"),
        (vec!["inspect", "http://localhost/echo.wasm"], 2, "nothing goes over the web without TLS"),
        (vec!["add", "http://localhost/echo.wasm"], 2, "nothing goes over the web without TLS"),
        (vec!["inspect", "oci://localhost"], 2, "is not a reference of a registry"),
        (vec!["inspect", "Echo"], 2, "write `echo`"),
        (vec!["enable", "Echo"], 2, "write `echo`"),
        (vec!["inspect", "all"], 2, "the host keeps that name for itself"),
        (vec!["add", "nothing.wasm", "--yes"], 1, "nothing.wasm cannot be read"),
        (vec!["add", "parlor.toml", "--yes"], 1, "the file is not WebAssembly"),
        (vec!["update", "echo"], 1, "there is no plugin echo in plugins.toml"),
        (vec!["remove", "echo"], 1, "there is no plugin echo"),
        (vec!["enable", "echo"], 1, "there is no plugin echo"),
        (vec!["rollback", "echo"], 1, "there is no plugin echo"),
        (vec!["inspect", "echo"], 1, "there is no plugin echo"),
    ] {
        let refused = run(&home, &arguments, code).await;
        assert!(refused.stderr.contains(words), "{arguments:?}: {refused:?}");
    }
    // An error in a name is reported before the file is shown, or even fetched.
    let unknown = run(&home, &["add", &file, "--account", "nobody"], 1).await;
    assert!(unknown.stderr.contains("there is no account nobody") && unknown.stdout.is_empty(), "{unknown:?}");
    let unknown = run(&home, &["add", "nothing.wasm", "--account", "nobody"], 1).await;
    assert!(unknown.stderr.contains("there is no account nobody"), "{unknown:?}");
    assert_eq!(policy(&home), before);
    assert!(!home.path().join("data").exists(), "what was refused left something behind");
}

#[tokio::test]
async fn a_policy_file_decides_and_is_checked() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let file = file(&home, "echo.wasm", "0.1.0", "");
    let grants =
        "[grants]\n\"messages.read\" = [\"*\"]\n\"messages.send\" = [\"contacts\"]\n\"rooms.send\" = [\"*\"]\n";
    for (text, words) in [
        ("grant = 1\n", "decision.toml:1:1: unknown key `grant`; did you mean `grants`?"),
        ("[grants]\n\"messages.send\" = true\n", "needs to know for what"),
        ("[grants]\n\"messages.red\" = true\n", "decision.toml:2:1: "),
        ("[limits]\nmemory = \"1 B\"\n", "the limit `memory` has to be from 64 KiB"),
        ("[settings]\nnothing = 1\n", "has no setting `nothing`"),
        (
            "[settings]\nroom_prefix = 1\n",
            "the setting `room_prefix` under [settings] in decision.toml does not fit: it has to be a text",
        ),
        ("[grants\n", "decision.toml:"),
    ] {
        let text = if text.starts_with("[grants") || text.starts_with("grant =") {
            text.to_owned()
        } else {
            format!("{grants}{text}")
        };
        home.write("decision.toml", &text).unwrap();
        let refused = run(&home, &["add", &file, "--yes", "--policy", "decision.toml"], 1).await;
        assert!(refused.stderr.contains(words), "{text}: {refused:?}");
    }
    home.write("decision.toml", &format!("accounts = [\"main\"]\n{grants}[limits]\nmemory = \"8 MiB\"\n")).unwrap();
    run(&home, &["add", &file, "--yes", "--policy", "decision.toml", "--id", "repeat", "--disabled"], 0).await;
    let entry = entry(&home, "repeat");
    assert_eq!((entry["enabled"].as_bool(), entry["limits"]["memory"].as_str()), (Some(false), Some("8 MiB")));
    assert_eq!(entry["grants"]["messages.send"][0].as_str(), Some("contacts"));
    // An id that looks like the plugin's other one must be given explicitly.
    let twin = run(&home, &["add", &file, "--yes", "--grant-all", "--id", "parr0t"], 0).await;
    assert!(twin.stdout.contains("parr0t 0.1.0 is installed"));
    let taken = run(&home, &["add", &file, "--yes", "--grant-all", "--id", "repeat"], 1).await;
    assert!(taken.stderr.contains("there is a plugin repeat already"), "{taken:?}");
    home.set_policy(&Policy::default().with("ech0", super::echo(&home))).unwrap();
    let alike = run(&home, &["add", &file, "--yes", "--grant-all"], 1).await;
    assert!(alike.stderr.contains("echo looks like ech0, which is installed"), "{alike:?}");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_not_written_over() {
    let (home, _) = home().await;
    let host: Host = start(&home, &Policy::default().with("echo", super::echo(&home))).await;
    let good = policy(&home);
    let file = file(&home, "other.wasm", "0.1.0", "");
    for (text, place) in [
        (good[..good.len() - 20].to_owned(), "plugins.toml:"),
        (format!("{good}[plugin.echo]\n"), "`echo` is there twice"),
        (format!("{good}\n[newer]\nx = 1\n"), "unknown key `newer`"),
    ] {
        home.write("plugins.toml", &text).unwrap();
        for arguments in [
            &["add", &file, "--id", "other", "--yes", "--grant-all"][..],
            &["disable", "echo"],
            &["grant", "echo", "messages.read=a@b.example"],
            &["remove", "echo", "--yes"],
            &["list"],
        ] {
            let refused = run(&home, arguments, 1).await;
            assert!(refused.stderr.contains(place), "{arguments:?}: {refused:?}");
        }
        assert_eq!(policy(&home), text);
        // The running state is not affected.
        assert_eq!(state(&home, "echo").await["state"], "running");
    }
    assert_eq!(host.lines("plugin running", &[]).len(), 1);
}

#[tokio::test]
async fn two_commands_at_once_and_a_hand_at_the_file_lose_nothing() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let file = file(&home, "echo.wasm", "0.1.0", "");
    let ids = ["a", "b", "c", "d"];
    let adding = ids.map(|id| {
        let (home, file) = (&home, &file);
        async move { run(home, &["add", file, "--yes", "--grant-all", "--id", id], 0).await }
    });
    futures_util::future::join_all(adding).await;
    for id in ids {
        assert_eq!(entry(&home, id)["version"].as_str(), Some("0.1.0"));
    }
    let mine = policy(&home).replacen("[plugin.b]\n", "# b is mine\n[plugin.b]\n", 1);
    home.write("plugins.toml", &mine).unwrap();
    run(&home, &["disable", "a"], 0).await;
    assert!(policy(&home).contains("# b is mine\n[plugin.b]\n"));
    run(&home, &["remove", "c", "--yes"], 0).await;
    assert!(policy(&home).contains("# b is mine\n[plugin.b]\n") && !policy(&home).contains("plugin.c"));
}

#[tokio::test]
async fn settings_are_checked_by_their_schema_and_secrets_are_not_shown() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let schema = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n[settings.many]\ntype = \"number\"\ndefault = 3\ndescription = \"how many\"\n[settings.items]\ntype = \"list\"\ndescription = \"which\"\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| format!("{manifest}\n{schema}")).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    run(&home, &["add", "echo.wasm", "--yes", "--grant-all"], 0).await;
    run(&home, &["config", "echo", "room_prefix", "say "], 0).await;
    run(&home, &["config", "echo", "many", "5"], 0).await;
    let settings = entry(&home, "echo")["settings"].clone();
    assert_eq!((settings["room_prefix"].as_str(), settings["many"].as_integer()), (Some("say "), Some(5)));
    run(&home, &["config", "echo", "many", "-5"], 0).await;
    assert_eq!(entry(&home, "echo")["settings"]["many"].as_integer(), Some(-5));
    for (written, meant) in [(".5", 0.5), ("1e308", 1e308)] {
        run(&home, &["config", "echo", "many", written], 0).await;
        assert_eq!(entry(&home, "echo")["settings"]["many"].as_float(), Some(meant));
        assert!(policy(&home).lines().all(|line| line.len() < 200), "{}", policy(&home));
    }
    for (arguments, words) in [
        (&["config", "echo", "many", "x"][..], "it has to be a number"),
        (&["config", "echo", "answer_late", "True"], "it has to be true or false"),
        (&["config", "echo", "items", "a"], "write one as '[\"a\", \"b\"]'"),
        (&["config", "echo", "room_prefx"], "did you mean \"room_prefix\"?"),
        (&["config", "echo", "many", "true"], "it has to be a number"),
        (&["config", "echo", "may", "1"], "has no setting"),
        (&["config", "echo", "key", "s3cr3t"], "is a secret"),
    ] {
        let refused = run(&home, arguments, 1).await;
        assert!(refused.stderr.contains(words), "{arguments:?}: {refused:?}");
    }
    assert!(run(&home, &["inspect", "echo"], 0).await.stdout.contains("secret    key (absent)"));
    ended(home.run_with(&["plugin", "config", "echo", "key"], "s3cr3t\n").await.unwrap(), 0);
    let kept = home.path().join("data/secrets/echo/key").canonicalize().unwrap();
    assert_eq!(entry(&home, "echo")["settings"]["key"]["file"].as_str(), kept.to_str());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "s3cr3t");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // A secret that is too long is not truncated, and the stored one is kept.
    let long = home.run_with(&["plugin", "config", "echo", "key"], &"x".repeat(16 * 1024 + 1)).await.unwrap();
    assert!(ended(long, 1).stderr.contains("more than 16384 bytes"));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "s3cr3t");
    // Empty input causes an error that says what to do.
    let nothing = run(&home, &["config", "echo", "key"], 1).await.stderr;
    let advice = "such as `pass show key | parlor plugin config echo key`; or say where it is by --file or --command";
    assert!(nothing.contains(&format!("there is nothing on standard input: give it there, {advice}")), "{nothing}");
    let mut command = home.command(["plugin", "config", "echo", "key"]).unwrap();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let line = tokio::task::spawn_blocking(move || BufReader::new(stderr).lines().next().unwrap().unwrap());
    let said = tokio::time::timeout(SOON, line).await.unwrap().unwrap();
    assert_eq!(said, format!("waiting for the secret key on standard input, {advice}"));
    child.stdin.take().unwrap().write_all(b"s3cr3t\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "s3cr3t");
    let inspected = run(&home, &["inspect", "echo"], 0).await.stdout;
    assert!(inspected.contains(&format!("secret    key (present, in {})", kept.display())), "{inspected}");
    for arguments in [&["config", "echo"][..], &["config", "echo", "--json"], &["inspect", "echo"], &["list", "--json"]]
    {
        let shown = run(&home, arguments, 0).await.stdout;
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
    assert!(!policy(&home).contains("s3cr3t"));
    let unset = run(&home, &["config", "echo", "--unset", "key"], 0).await;
    assert!(unset.stdout.starts_with("key of echo is not set any more;"), "{unset:?}");
    assert!(!kept.exists());
    run(&home, &["config", "echo", "key", "--command", "echo s3cr3t"], 0).await;
    assert_eq!(entry(&home, "echo")["settings"]["key"]["command"].as_str(), Some("echo s3cr3t"));
    assert!(run(&home, &["config", "echo"], 0).await.stdout.contains("(from a command)"));
    let literal = policy(&home).replace("{ command = \"echo s3cr3t\" }", "\"s3cr3t\"");
    home.write("plugins.toml", &literal).unwrap();
    let doctor = ended(home.run(&["doctor", "--offline"]).await.unwrap(), 5).stdout;
    assert!(doctor.contains("a secret is not written here") && !doctor.contains("s3cr3t"), "{doctor}");
    run(&home, &["config", "echo", "--unset", "key"], 0).await;
    let unset = run(&home, &["config", "echo", "--unset", "many"], 0).await;
    assert!(unset.stdout.starts_with("many of echo has its default again;"), "{unset:?}");
    assert!(run(&home, &["config", "echo", "many"], 0).await.stdout.starts_with('3'));
}

/// The host does not run a plugin with such a credential.
#[tokio::test]
async fn a_credential_that_is_too_short_is_refused_at_once() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let schema =
        "[settings.pass]\ntype = \"credential\"\nhosts = [\"https://api.example.org\"]\ndescription = \"a key\"\n";
    with_settings(&home, "echo.wasm", "0.1.0", schema);
    run(&home, &["add", "echo.wasm", "--yes", "--grant-all"], 0).await;
    let file = home.write("pass", "s3cr3t\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (before, asked) = (policy(&home), ["plugin", "config", "echo", "pass"]);
    for refused in [
        home.run_with(&asked, "s3cr3t\n").await.unwrap(),
        run(&home, &["config", "echo", "pass", "--file", file.to_str().unwrap()], 1).await,
    ] {
        let says = "pass of echo was not set: a credential has at least 8 bytes";
        assert!(refused.code == Some(1) && refused.stderr.contains(says), "{refused:?}");
        assert!(!refused.stderr.contains("s3cr3t"), "{refused:?}");
    }
    let kept = home.path().join("data/secrets/echo/pass");
    assert!(policy(&home) == before && !kept.exists());
    ended(home.run_with(&asked, "s3cr3t-8\n").await.unwrap(), 0);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "s3cr3t-8");
    // A kept secret stays in its place if a later one is refused.
    ended(home.run_with(&asked, "s3cr3t\n").await.unwrap(), 1);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "s3cr3t-8");
}

/// A credential that echo needs, for these servers.
fn needed(hosts: &str) -> String {
    format!("[settings.pass]\ntype = \"credential\"\nhosts = [{hosts}]\nrequired = true\ndescription = \"a key\"\n")
}

/// Neither does a script need a file with the decision, nor does an argument have the secret.
#[tokio::test]
async fn a_plugin_that_needs_a_secret_is_installed_with_it_or_before_it() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default()).await;
    with_settings(&home, "echo.wasm", "0.1.0", &needed("\"https://api.example.org\""));
    let add = ["add", "echo.wasm", "--yes", "--grant-all"];
    let before = policy(&home);
    let refused = run(&home, &add, 1).await.stderr;
    assert!(refused.contains("--secret pass=FILE") && refused.contains("parlor plugin config echo pass`"), "{refused}");
    assert!(!refused.contains("VALUE") && policy(&home) == before, "{refused}");
    let kept = home.path().join("data/secrets/echo/pass");
    // A secret that is too short is none, and nothing is installed.
    let by_input = ["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--secret", "pass"];
    let refused = ended(home.run_with(&by_input, "s3cr3t\n").await.unwrap(), 1).stderr;
    assert!(refused.contains("at least 8 bytes") && policy(&home) == before && !kept.exists(), "{refused}");
    ended(home.run_with(&by_input, "s3cr3t-8\n").await.unwrap(), 0);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "s3cr3t-8");
    assert_eq!(state(&home, "echo").await["state"], "running");
    run(&home, &["remove", "echo", "--yes"], 0).await;
    let file = home.write("key", "s3cr3t-9\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let by_file = format!("pass={}", file.display());
    run(&home, &[&add[..], &["--secret", &by_file]].concat(), 0).await;
    assert!(entry(&home, "echo")["settings"]["pass"]["file"].as_str().unwrap().ends_with("/key"));
    run(&home, &["remove", "echo", "--yes"], 0).await;
    // A plugin that does not run yet needs none yet.
    run(&home, &[&add[..], &["--disabled"]].concat(), 0).await;
    ended(home.run_with(&["plugin", "config", "echo", "pass"], "s3cr3t-8\n").await.unwrap(), 0);
    run(&home, &["enable", "echo"], 0).await;
    assert_eq!(state(&home, "echo").await["state"], "running");
    assert!(!policy(&home).contains("s3cr3t"));
}

/// The owner reads it before anything runs, also that messages may go to that server.
#[tokio::test]
async fn inspect_and_add_show_which_servers_a_plugin_asks_how_and_where_its_credential_goes() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let asks = "\"http.fetch\" = { scope = [\"GET https://api.example.org/weather\"], reason = \"to look it up\" }";
    let path = file(&home, "echo.wasm", "0.1.0", asks);
    let settings = needed("\"https://api.example.org\"");
    let bytes = with_manifest(&std::fs::read(&path).unwrap(), |manifest| format!("{manifest}\n{settings}")).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let inspected = run(&home, &["inspect", &path], 0).await.stdout;
    let key = "setting   pass (credential, which only goes to https://api.example.org, in headers and the query, required): a key\n";
    assert!(inspected.contains(key), "{inspected}");
    let added = run(&home, &["add", &path, "--yes", "--grant-all", "--disabled"], 0).await.stdout;
    for said in [inspected, added] {
        assert!(said.contains("GET https://api.example.org/weather") && said.contains("to look it up"), "{said}");
        let together = said.lines().find(|line| line.contains("Together: reads everything"));
        assert!(together.is_some_and(|line| line.contains("https://api.example.org")), "{said}");
    }
}

/// A running host is asked, which gets the method and the URL in one word.
#[tokio::test]
async fn explain_says_by_a_url_whether_a_plugin_may_ask_that_server() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default()).await;
    let asks = "\"http.fetch\" = { scope = [\"GET https://api.example.org/weather\"], reason = \"to look it up\" }";
    let path = file(&home, "echo.wasm", "0.1.0", asks);
    run(&home, &["add", &path, "--yes", "--grant-all"], 0).await;
    for (url, is_allowed) in [
        ("https://api.example.org/weather?city=Verona", true),
        ("GET https://api.example.org/weather", true),
        ("POST https://api.example.org/weather", false),
        ("https://api.example.org/", false),
        ("http://api.example.org/weather", false),
        ("https://other.example.org/weather", false),
    ] {
        let explained = home.run(&["explain", "echo", "http.fetch", url, "--json"]).await.unwrap();
        let explained = ended(explained, 0).json().unwrap();
        assert_eq!(explained["about"]["allowed"], is_allowed, "{url}: {explained}");
    }
}

#[tokio::test]
async fn a_needed_credential_that_would_go_further_is_given_again_with_the_update() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default()).await;
    with_settings(&home, "one.wasm", "0.1.0", &needed("\"https://api.example.org\""));
    with_settings(&home, "two.wasm", "0.2.0", &needed("\"https://api.example.org\", \"https://other.example.org\""));
    let add = ["plugin", "add", "one.wasm", "--id", "echo", "--yes", "--grant-all", "--secret", "pass"];
    ended(home.run_with(&add, "s3cr3t-8\n").await.unwrap(), 0);
    let check = run(&home, &["update", "echo", "two.wasm", "--check"], 0).await.stdout;
    let says = "the setting pass would be put aside: it would also go to https://other.example.org; set it again if you agree \
                (--secret pass=FILE";
    assert!(check.contains(says) && !check.contains("it has no place"), "{check}");
    let refused = run(&home, &["update", "echo", "two.wasm", "--yes"], 1).await.stderr;
    assert!(refused.contains("--secret pass=FILE"), "{refused}");
    let update = ["plugin", "update", "echo", "two.wasm", "--yes", "--secret", "pass"];
    ended(home.run_with(&update, "s3cr3t-9\n").await.unwrap(), 0);
    let now = state(&home, "echo").await;
    assert_eq!((&now["version"], &now["state"]), (&"0.2.0".into(), &"running".into()));
    assert_eq!(std::fs::read_to_string(home.path().join("data/secrets/echo/pass")).unwrap(), "s3cr3t-9");
}

/// An owner who takes a leaked key back relies on its end.
#[tokio::test]
async fn a_setting_that_a_plugin_needs_ends_at_once_when_it_is_taken_back() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default()).await;
    with_settings(&home, "echo.wasm", "0.1.0", &needed("\"https://api.example.org\""));
    let add = ["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--secret", "pass"];
    ended(home.run_with(&add, "s3cr3t-8\n").await.unwrap(), 0);
    assert_eq!(state(&home, "echo").await["state"], "running");
    let said = run(&home, &["config", "echo", "--unset", "pass"], 0).await.stdout;
    assert!(said.contains("echo cannot do without it, so it does not run any more"), "{said}");
    let now = state(&home, "echo").await;
    assert!(now["state"] == "refused" && now["reason"].as_str().unwrap().contains("needs its setting `pass`"), "{now}");
    ended(home.run(&["reload"]).await.unwrap(), 0);
    assert!(host.lines("plugin not replaced", &[]).is_empty());
    ended(home.run_with(&["plugin", "config", "echo", "pass"], "s3cr3t-9\n").await.unwrap(), 0);
    assert_eq!(state(&home, "echo").await["state"], "running");
}

#[tokio::test]
async fn a_server_that_an_update_asks_for_newly_is_marked_with_the_command_that_allows_it() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let asks = |scope: &str| format!("\"http.fetch\" = {{ scope = [{scope}], reason = \"to ask\" }}");
    let one = file(&home, "one.wasm", "0.1.0", &asks("\"https://api.test\""));
    run(&home, &["add", &one, "--id", "echo", "--yes", "--grant-all"], 0).await;
    run(&home, &["grant", "echo", "http.fetch=https://mine.test", "--yes"], 0).await;
    let two = file(&home, "two.wasm", "0.2.0", &asks("\"https://api.test\", \"https://other.test\""));
    for flag in ["--check", "--yes"] {
        let said = run(&home, &["update", "echo", &two, flag], 0).await.stdout;
        let new = "New: it asks for http.fetch for https://other.test, which is not granted; what was granted stays as it is.\n    to allow it after \
                   the update: parlor plugin grant echo http.fetch=https://other.test\n";
        assert!(said.contains(new) && !said.contains("It asks for nothing that"), "{said}");
        // Nothing is said of it together with what is granted, and no line for plugins.toml leaves the owner's entry out.
        let asks = said.split_once("echo: 0.1.0 → 0.2.0").unwrap().1;
        assert!(!asks.contains("Together") && !asks.contains("in plugins.toml"), "{said}");
    }
    let granted = entry(&home, "echo")["grants"]["http.fetch"].clone();
    assert_eq!(granted, toml::Value::from(vec!["https://api.test", "https://mine.test"]));
}

/// Input is parsed by the setting's type, and written to the policy as the owner would write it.
#[tokio::test]
async fn a_choice_an_address_and_a_span_of_time_are_set_and_checked() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let schema = "[settings.tone]\ntype = \"choice\"\nchoices = [\"kind\", \"curt\"]\ndescription = \"how\"\n\
                  [settings.boss]\ntype = \"jid\"\ndescription = \"whom\"\n\
                  [settings.pause]\ntype = \"duration\"\ndescription = \"how long\"\n";
    with_settings(&home, "echo.wasm", "0.1.0", schema);
    run(&home, &["add", "echo.wasm", "--yes", "--grant-all"], 0).await;
    for (name, value) in [("tone", "curt"), ("boss", "juliet@example.org"), ("pause", "10 min")] {
        run(&home, &["config", "echo", name, value], 0).await;
        assert_eq!(entry(&home, "echo")["settings"][name].as_str(), Some(value));
    }
    for (name, value, words) in [
        ("tone", "loud", "it has to be one of kind, curt"),
        ("boss", "a@@b c", "it has to be an address such as \"user@example.org\""),
        ("pause", "soon", "write a whole number and a unit, one of ms, s, min, h, d, such as `10 s`"),
    ] {
        let before = policy(&home);
        let refused = run(&home, &["config", "echo", name, value], 1).await;
        assert!(refused.stderr.contains(words), "{refused:?}");
        assert_eq!(policy(&home), before);
    }
    run(&home, &["config", "echo", "pause", "90"], 0).await;
    assert_eq!(entry(&home, "echo")["settings"]["pause"].as_integer(), Some(90));
}

/// Other problems that keep the plugin from running do not matter, so that they can be solved one by one.
#[tokio::test]
async fn a_setting_is_judged_by_itself() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let many = "[settings.many]\ntype = \"number\"\ndefault = 3\ndescription = \"how many\"\n";
    with_settings(&home, "echo.wasm", "0.1.0", &format!("{KEY}{many}"));
    run(&home, &["add", "echo.wasm", "--yes", "--grant-all"], 0).await;
    run(&home, &["config", "echo", "many", "5"], 0).await;
    run(&home, &["config", "echo", "room_prefix", "say "], 0).await;
    ended(home.run_with(&["plugin", "config", "echo", "key"], "old\n").await.unwrap(), 0);
    // Two settings do not fit, as after another version was put in place by hand.
    let spoiled = policy(&home).replace("many = 5", "many = true").replace("room_prefix =", "prefix =");
    home.write("plugins.toml", &spoiled).unwrap();
    run(&home, &["revoke", "echo", "messages.send"], 0).await;
    ended(home.run_with(&["plugin", "config", "echo", "key"], "new\n").await.unwrap(), 0);
    assert_eq!(std::fs::read_to_string(home.path().join("data/secrets/echo/key")).unwrap(), "new");
    let refused = run(&home, &["config", "echo", "many", "false"], 1).await;
    assert!(refused.stderr.contains("false does not fit the setting many of echo"), "{refused:?}");
    run(&home, &["config", "echo", "--unset", "prefix"], 0).await;
    run(&home, &["config", "echo", "many", "6"], 0).await;
    let settings = entry(&home, "echo")["settings"].clone();
    assert_eq!((settings.get("prefix"), settings["many"].as_integer()), (None, Some(6)));
}

/// An owner may try other plugins with `--plugins` for a while.
#[tokio::test]
async fn what_another_policy_of_the_data_folder_names_stays() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let [one, two, three] =
        ["0.1.0", "0.2.0", "0.3.0"].map(|version| file(&home, &format!("{version}.wasm"), version, ""));
    run(&home, &["add", &one, "--yes", "--grant-all"], 0).await;
    run(&home, &["update", "echo", &two, "--yes"], 0).await;
    home.write("other.toml", &policy(&home)).unwrap();
    run(&home, &["remove", "echo", "--yes", "--plugins", "other.toml"], 0).await;
    run(&home, &["add", &three, "--id", "other", "--yes", "--grant-all", "--plugins", "other.toml"], 0).await;
    let kept = || std::fs::read_dir(home.path().join("data/components")).unwrap().count();
    assert_eq!(kept(), 3);
    // The reverse holds as well.
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    assert_eq!(entry(&home, "echo")["version"].as_str(), Some("0.1.0"));
    assert_eq!(kept(), 3);
    // A policy that cannot be read may name any component; a policy that is gone names none.
    let other = std::fs::read_to_string(home.path().join("other.toml")).unwrap();
    home.write("other.toml", "nonsense").unwrap();
    run(&home, &["remove", "echo", "--yes"], 0).await;
    assert_eq!(kept(), 3);
    home.write("other.toml", &other).unwrap();
    run(&home, &["add", &one, "--yes", "--grant-all"], 0).await;
    run(&home, &["remove", "echo", "--yes"], 0).await;
    assert_eq!(kept(), 1);
    std::fs::remove_file(home.path().join("other.toml")).unwrap();
    run(&home, &["add", &one, "--yes", "--grant-all"], 0).await;
    assert_eq!(kept(), 1);
}

#[tokio::test]
async fn a_secret_goes_when_nothing_refers_to_it_any_more() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    with_settings(&home, "one.wasm", "0.1.0", KEY);
    with_settings(&home, "two.wasm", "0.2.0", &KEY.replace("secret", "string"));
    run(&home, &["add", "one.wasm", "--id", "echo", "--yes", "--grant-all"], 0).await;
    let keep = async || ended(home.run_with(&["plugin", "config", "echo", "key"], "s3cr3t\n").await.unwrap(), 0);
    let kept = home.path().join("data/secrets/echo/key");
    keep().await;
    run(&home, &["config", "echo", "key", "--command", "pass show key"], 0).await;
    assert!(!kept.exists());

    // The secret that is kept for a rollback belongs to the other version, independently of this version's setting with
    // the same name.
    keep().await;
    run(&home, &["update", "echo", "two.wasm", "--yes"], 0).await;
    run(&home, &["config", "echo", "key", "plain"], 0).await;
    run(&home, &["config", "echo", "--unset", "key"], 0).await;
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "s3cr3t");

    // An entry under another id was written by hand, and still refers to the secret.
    home.write("plugins.toml", &policy(&home).replace("plugin.echo", "plugin.repeat")).unwrap();
    run(&home, &["add", "one.wasm", "--id", "other", "--yes", "--grant-all"], 0).await;
    assert!(kept.exists() && !home.path().join("data/versions/echo.json").exists());
    // Now no entry refers to it.
    let mut table: toml::Table = policy(&home).parse().unwrap();
    table["plugin"].as_table_mut().unwrap().remove("repeat");
    home.write("plugins.toml", &toml::to_string(&table).unwrap()).unwrap();
    run(&home, &["remove", "other", "--yes"], 0).await;
    for folder in ["versions", "components"] {
        assert_eq!(std::fs::read_dir(home.path().join("data").join(folder)).unwrap().count(), 0, "{folder}");
    }
    // A secret cannot be recovered, and a policy that does not name it may be the wrong one, so it is kept.
    assert!(kept.exists());
    run(&home, &["add", "one.wasm", "--id", "echo", "--yes", "--grant-all"], 0).await;
    assert!(!kept.exists());
}

#[tokio::test]
async fn what_a_version_did_not_ask_for_any_more_is_asked_for_again() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let sharp = "\"stanza.send\" = { scope = [\"message\"], reason = \"for the sport\" }";
    let [one, two, three] = [("0.1.0", sharp), ("0.2.0", ""), ("0.3.0", sharp)]
        .map(|(version, more)| file(&home, &format!("{version}.wasm"), version, more));
    run(&home, &["add", &one, "--yes", "--grant-all"], 0).await;
    run(&home, &["update", "echo", &two, "--yes"], 0).await;
    // A rollback restores the earlier grants.
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    run(&home, &["update", "echo", &two, "--yes"], 0).await;
    let declined = run(&home, &["update", "echo", &three, "--yes"], 3).await;
    assert!(declined.stderr.contains("to grant it: --grant stanza.send"), "{declined:?}");
    run(&home, &["update", "echo", &three, "--yes", "--grant", "stanza.send=message:a@b.example"], 0).await;
    assert_eq!(entry(&home, "echo")["grants"]["stanza.send"], toml::Value::from(vec!["message:a@b.example"]));
}

#[tokio::test]
async fn a_policy_file_grants_what_another_version_asks_for() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    add(&home).await;
    let more =
        "\"contacts.read\" = { reason = \"to know who\" }\n\"status.read\" = { reason = \"to see\", optional = true }";
    let new = file(&home, "new.wasm", "0.2.0", more);
    let update = ["update", "echo", &new, "--yes", "--policy", "more.toml"];
    let refused = run(&home, &update, 1).await;
    assert!(refused.stderr.contains("there is no more.toml"), "{refused:?}");
    for (text, words) in [
        ("accounts = [\"main\"]\n", "\"accounts\" is decided for echo already"),
        ("[grants]\n\"stanza.send\" = [\"iq\"]\n", "echo does not ask for stanza.send"),
    ] {
        home.write("more.toml", text).unwrap();
        let refused = run(&home, &update, 1).await;
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    home.write("more.toml", "[grants]\n\"contacts.read\" = true\n\"messages.send\" = [\"contacts\"]\n").unwrap();
    run(&home, &update, 0).await;
    let grants = entry(&home, "echo")["grants"].clone();
    assert_eq!((grants["contacts.read"].as_bool(), grants.get("status.read")), (Some(true), None));
    assert_eq!(grants["messages.send"], toml::Value::from(vec!["*", "contacts"]));
    home.write("more.toml", "[grants]\n\"rooms.send\" = [\"@rooms.example\"]\n").unwrap();
    run(&home, &["rollback", "echo", "--yes", "--policy", "more.toml"], 0).await;
    assert_eq!(entry(&home, "echo")["grants"]["rooms.send"], toml::Value::from(vec!["*", "@rooms.example"]));
}

#[tokio::test]
async fn what_is_new_is_shown_before_it_is_installed() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    add(&home).await;
    let news = "[plugin.changes]\n\"0.1.0\" = \"first\"\n\"0.2.0\" = \"louder \\u001b[2J\"\n\"0.3.0\" = \"softer\"\n\"0.9.0\" = \"never\"\n";
    let new = file(&home, "new.wasm", "0.3.0", "");
    let bytes = with_manifest(&std::fs::read(&new).unwrap(), |manifest| format!("{manifest}\n{news}")).unwrap();
    std::fs::write(&new, bytes).unwrap();
    let said = "Its author says of what is new:\n  0.2.0  “louder \\u{1b}[2J”\n  0.3.0  “softer”\n";
    let check = run(&home, &["update", "echo", &new, "--check"], 0).await.stdout;
    assert!(check.contains(said), "{check}");
    let check = run(&home, &["update", "echo", &new, "--check", "--json"], 0).await.json().unwrap();
    assert_eq!(check["changes"], serde_json::json!({ "0.2.0": "louder \\u{1b}[2J", "0.3.0": "softer" }));
    assert!(run(&home, &["inspect", &new], 0).await.stdout.contains("  new       “softer”\n"));
    assert_eq!(run(&home, &["inspect", &new, "--json"], 0).await.json().unwrap()["changes"]["0.1.0"], "first");
    let updated = run(&home, &["update", "echo", &new, "--yes"], 0).await.stdout;
    assert!(updated.contains(said), "{updated}");
    assert!(!run(&home, &["rollback", "echo", "--yes"], 0).await.stdout.contains("what is new"));
}

#[tokio::test]
async fn json_is_one_document_whatever_came_of_it() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let file = file(&home, "echo.wasm", "0.1.0", "");
    for id in ["one", "two", "zzz"] {
        run(&home, &["add", &file, "--id", id, "--yes", "--grant-all"], 0).await;
    }
    let policy = policy(&home).replacen("source = \"echo.wasm\"", "source = \"gone.wasm\"", 1);
    home.write("plugins.toml", &policy).unwrap();
    super::plugin::file(&home, "echo.wasm", "0.2.0", "");
    let all = run(&home, &["update", "--all", "--check", "--json"], 1).await.json().unwrap();
    assert!(all[0]["error"].as_str().unwrap().contains("gone.wasm cannot be read"), "{all}");
    assert_eq!(
        (&all[1]["plugin"], &all[1]["version"], &all[1]["new"]),
        (&"two".into(), &"0.1.0".into(), &"0.2.0".into())
    );
    let all = run(&home, &["update", "--all", "--yes", "--json"], 1).await.json().unwrap();
    assert_eq!(
        (&all[0]["changed"], &all[2]["changed"], &all[2]["new"]),
        (&false.into(), &true.into(), &"0.2.0".into())
    );
    let one = run(&home, &["update", "two", "--json"], 0).await.json().unwrap();
    assert_eq!((&one["changed"], &one["version"], &one["new"]), (&false.into(), &"0.2.0".into(), &Value::Null));

    // Neither the presence nor the absence of an update is an error: `new` tells them apart.
    let check = run(&home, &["update", "two", "--check", "--json"], 0).await.json().unwrap();
    assert_eq!((&check["version"], &check["new"]), (&"0.2.0".into(), &Value::Null));

    let long = format!("\u{202e}{}", "x".repeat(500));
    run(&home, &["config", "two", "room_prefix", &long], 0).await;
    let shown = run(&home, &["config", "two", "room_prefix", "--json"], 0).await.json().unwrap();
    assert_eq!((shown["value"].as_str(), shown["set"].as_bool()), (Some(long.as_str()), Some(true)));
    assert_eq!(run(&home, &["data", "two", "list", "--json"], 0).await.json().unwrap(), serde_json::json!([]));
}

/// The files have changed by then. A program that reads that nothing changed would keep using the old version.
#[tokio::test]
async fn what_was_changed_is_told_although_the_host_does_not_hear_of_it() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    add(&home).await;
    file(&home, "echo.wasm", "0.2.0", "");
    let listener = UnixListener::bind(home.path().join("data/control.sock")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut asked) = (stream.unwrap(), [0; 4096]);
            // The first connection only checks whether a host runs.
            if stream.read(&mut asked).is_ok_and(|length| length > 0) {
                let answer = b"HTTP/1.1 409 Conflict\r\nparlor-control: 1\r\n\r\n{\"error\":\"the host stops\"}";
                stream.write_all(answer).unwrap();
            }
        }
    });
    let all = run(&home, &["update", "--all", "--yes", "--json"], 1).await.json().unwrap();
    assert_eq!(
        (&all[0]["changed"], &all[0]["version"], &all[0]["new"], &all[0]["host"]),
        (&true.into(), &"0.1.0".into(), &"0.2.0".into(), &"untold".into())
    );
    assert!(all[0]["error"].as_str().unwrap().contains("but the host was not told: the host stops"), "{all}");
    assert_eq!(entry(&home, "echo")["version"].as_str(), Some("0.2.0"));
    let one = run(&home, &["rollback", "echo", "--yes", "--json"], 1).await;
    assert!(one.stderr.contains("echo 0.2.0 is replaced by 0.1.0, but the host was not told"), "{one:?}");
    assert_eq!(one.json().unwrap()["changed"], true);
    let disabled = run(&home, &["disable", "echo", "--json"], 1).await;
    assert!(disabled.stderr.contains("echo is disabled, but the host was not told"), "{disabled:?}");
    let disabled = disabled.json().unwrap();
    assert_eq!((&disabled["done"], &disabled["host"]), (&"echo is disabled".into(), &"untold".into()));
    assert_eq!(entry(&home, "echo")["enabled"].as_bool(), Some(false));
}

/// The host was started in its folder and found `parlor.toml` there, as usual.
#[tokio::test]
async fn a_command_from_another_folder_finds_the_host_that_runs() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", super::echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let config = home.path().join("parlor.toml");
    let mut command = home.command(["plugin", "disable", "echo", "--config", config.to_str().unwrap()]).unwrap();
    let output = tokio::task::spawn_blocking(move || command.current_dir("/").output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("echo is disabled; the running host has applied it"), "{said}");
}

/// A secret that is temporarily unavailable does not end a running plugin, which already has it.
#[tokio::test]
async fn a_secret_that_is_not_to_be_had_now_stops_nothing_that_runs() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    with_settings(&home, "echo.wasm", "0.1.0", KEY);
    run(&home, &["add", "echo.wasm", "--yes", "--grant-all"], 0).await;
    ended(home.run_with(&["plugin", "config", "echo", "key"], "s3cr3t\n").await.unwrap(), 0);
    let host = super::start_as_it_is(&home).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    std::fs::remove_file(home.path().join("data/secrets/echo/key")).unwrap();
    run(&home, &["grant", "echo", "messages.send=nobody@nowhere.invalid"], 0).await;
    run(&home, &["revoke", "echo", "messages.send=nobody@nowhere.invalid"], 0).await;
    let accounts = policy(&home).replace("[plugin.echo]\n", "[plugin.echo]\naccounts = [\"main\"]\n");
    home.write("plugins.toml", &accounts).unwrap();
    host.wait_count("accounts of a plugin changed", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert_eq!(state(&home, "echo").await["state"], "running");
    assert_eq!(host.lines("plugin running", &[]).len(), 1);
}

#[tokio::test]
async fn a_setting_that_the_next_version_does_not_know_is_put_aside_and_comes_back() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let many = |kind: &str, default: &str| {
        format!("[settings.many]\ntype = \"{kind}\"\ndefault = {default}\ndescription = \"how many\"\n")
    };
    with_settings(&home, "one.wasm", "0.1.0", &format!("{KEY}{}", many("number", "3")));
    with_settings(&home, "two.wasm", "0.2.0", &many("string", "\"three\""));
    run(&home, &["add", "one.wasm", "--id", "echo", "--yes", "--grant-all"], 0).await;
    run(&home, &["config", "echo", "many", "5"], 0).await;
    run(&home, &["config", "echo", "room_prefix", "say "], 0).await;
    ended(home.run_with(&["plugin", "config", "echo", "key"], "s3cr3t\n").await.unwrap(), 0);

    let check = run(&home, &["update", "echo", "two.wasm", "--check", "--json"], 0).await.json().unwrap();
    assert_eq!(check["settings"], serde_json::json!({ "aside": ["key", "many"], "back": [] }));
    let said = run(&home, &["update", "echo", "two.wasm", "--yes"], 0).await.stdout;
    for name in ["key", "many"] {
        let words =
            format!("the setting {name} is put aside: it has no place in that version; it comes back with 0.1.0");
        assert!(said.contains(&words), "{said}");
    }
    let settings = entry(&home, "echo")["settings"].clone();
    assert_eq!(settings.as_table().unwrap().keys().collect::<Vec<_>>(), ["room_prefix"]);
    let listed = run(&home, &["list", "--json"], 0).await.stdout + &run(&home, &["inspect", "echo"], 0).await.stdout;
    assert!(!listed.contains("s3cr3t") && !policy(&home).contains("s3cr3t"), "{listed}");

    // Settings that were made meanwhile are kept; a value that fits only one version stays with it.
    run(&home, &["config", "echo", "room_prefix", "hear "], 0).await;
    run(&home, &["config", "echo", "many", "seven"], 0).await;
    let said = run(&home, &["rollback", "echo", "--yes"], 0).await.stdout;
    assert!(said.contains("the setting many is put aside") && said.contains("the setting key is set again"), "{said}");
    let settings = entry(&home, "echo")["settings"].clone();
    assert_eq!((settings["many"].as_integer(), settings["room_prefix"].as_str()), (Some(5), Some("hear ")));
    let kept = settings["key"]["file"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "s3cr3t");
    run(&home, &["update", "echo", "two.wasm", "--yes"], 0).await;
    assert_eq!(entry(&home, "echo")["settings"]["many"].as_str(), Some("seven"));
}

#[tokio::test]
async fn what_a_file_is_can_be_seen_before_it_is_installed() {
    let (home, _) = home().await;
    let file = file(
        &home,
        "echo.wasm",
        "0.1.0",
        "\"stanza.send\" = { scope = [\"message\"], reason = \"for the sport\", optional = true }",
    );
    let sheet = run(&home, &["inspect", &file], 0).await.stdout;
    let high = sheet.find("stanza.send       high").unwrap();
    assert!(high < sheet.find("messages.send     medium").unwrap(), "the most harmful comes first: {sheet}");
    assert!(sheet.contains("can use this for message: “for the sport”"), "{sheet}");
    let json = run(&home, &["inspect", &file, "--json"], 0).await.json().unwrap();
    assert_eq!((&json["installed"], &json["version"]), (&false.into(), &"0.1.0".into()));
    assert_eq!(json["digest"], digest_of(&std::fs::read(&file).unwrap()));
    run(&home, &["add", &file, "--yes", "--grant-all"], 0).await;
    let json = run(&home, &["inspect", "echo", "--json"], 0).await.json().unwrap();
    assert_eq!((&json["installed"], &json["permissions"][0]["granted"][0]), (&true.into(), &"message".into()));
    // The sheet shows granted permissions, and how to grant the others.
    assert!(!sheet.contains("      granted") && sheet.contains("      to allow it: "), "{sheet}");
    let sheet = run(&home, &["inspect", "echo"], 0).await.stdout;
    assert!(sheet.contains("      granted for message\n") && !sheet.contains("to allow it"), "{sheet}");
    run(&home, &["revoke", "echo", "stanza.send"], 0).await;
    let sheet = run(&home, &["inspect", "echo"], 0).await.stdout;
    assert!(!sheet.contains("granted for message\n") && sheet.matches("to allow it").count() == 1, "{sheet}");
}

#[tokio::test]
async fn limits_are_shown_and_changed_on_the_running_plugin() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default()).await;
    add(&home).await;
    let shown = run(&home, &["limits", "echo"], 0).await.stdout;
    assert!(shown.starts_with("LIMIT") && shown.contains("memory") && !shown.contains(" * "), "{shown}");
    let set = run(&home, &["limits", "echo", "memory=48 MiB", "mailbox=300"], 0).await.stdout;
    let says = "memory of echo is 48 MiB, mailbox of echo is 300; the running host has applied it";
    assert!(set.starts_with(says), "{set}");
    let limits = entry(&home, "echo")["limits"].clone();
    assert_eq!((limits["memory"].as_str(), limits["mailbox"].as_integer()), (Some("48 MiB"), Some(300)));
    let again = run(&home, &["limits", "echo", "mailbox=300"], 0).await.stdout;
    assert!(again.starts_with("mailbox of echo is 300 already; "), "{again}");
    let typo = run(&home, &["limits", "echo", "--unset", "memroy"], 1).await.stderr;
    assert!(typo.contains("there is no limit \"memroy\", did you mean \"memory\"?"), "{typo}");
    let json = run(&home, &["limits", "echo", "--json"], 0).await.json().unwrap();
    let memory = json.as_array().unwrap().iter().find(|one| one["name"] == "memory").unwrap();
    assert_eq!(memory["value"], "48 MiB", "{memory}");
    for (typed, words) in [
        ("memory=lots", "nothing has changed"),
        ("memroy=48 MiB", "did you mean `memory`?"),
        ("mailbox=0", "nothing has changed"),
    ] {
        let refused = run(&home, &["limits", "echo", "mailbox=200", typed], 1).await;
        assert!(refused.stderr.contains(words), "{typed}: {refused:?}");
        assert_eq!(entry(&home, "echo")["limits"]["mailbox"].as_integer(), Some(300), "{typed}");
    }
    run(&home, &["limits", "echo", "memory"], 2).await;
    let unset = run(&home, &["limits", "echo", "--unset", "memory", "--unset", "mailbox"], 0).await.stdout;
    assert!(unset.starts_with("memory of echo is 64 MiB, mailbox of echo is 256; "), "{unset}");
    let left = entry(&home, "echo").get("limits").and_then(toml::Value::as_table).map_or(0, toml::Table::len);
    assert_eq!(left, 0);
    assert_eq!(state(&home, "echo").await["state"], "running");
    let audit = ended(home.run(&["audit", "--kind", "limit", "--json"]).await.unwrap(), 0).stdout;
    assert!(audit.contains("parlor plugin limits") && audit.contains("48 MiB"), "{audit}");
    drop(host);
}
