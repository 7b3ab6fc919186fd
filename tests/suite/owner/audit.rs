//! The audit: changes with their authors, and the activity of plugins. It survives SIGKILL and restarts, and has no
//! secret.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use parlor_store::{AuditFile, AuditKind, By, NewAuditEntry, Retention, Share};
use parlor_tests::component::with_manifest;
use parlor_tests::host::{Home, Host};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::process::{Process, Signal};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::chat::{done, owned};
use super::{SOON, echo, ended, home, juliet, start, start_as_it_is};

/// Returns the entries and numbers that the command shows.
async fn audit(home: &Home, more: &[&str]) -> Value {
    ended(home.run(&[&["audit", "--json"], more].concat()).await.unwrap(), 0).json().unwrap()
}

/// Returns the last entry about this.
fn find<'a>(audit: &'a Value, kind: &str, what: &str) -> &'a Value {
    let entries = audit["entries"].as_array().unwrap();
    let found = entries.iter().rev().find(|entry| entry["kind"] == kind && entry["what"] == what);
    found.unwrap_or_else(|| panic!("no {kind} {what:?} in {audit:#}"))
}

/// Returns this user, as an entry names one.
fn myself() -> String {
    format!("uid:{}", std::fs::metadata("/proc/self").unwrap().uid())
}

async fn kill(host: &mut Host) {
    host.signal(Signal::Kill).unwrap();
    host.ended(SOON).await.unwrap();
}

/// Adds echo, with a setting that is a secret, by the command.
async fn add(home: &Home) {
    home.set_policy(&Policy::default()).unwrap();
    let key = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n";
    let bytes = with_manifest(&built("echo").unwrap().bytes().unwrap(), |text| format!("{text}\n{key}")).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    ended(home.run(&["plugin", "add", "echo.wasm", "--yes", "--grant-all"]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_commands_change_has_who_and_both_values_and_survives_a_kill() {
    let (home, _) = home().await;
    add(&home).await;
    let stopped = audit(&home, &[]).await;
    let installed = find(&stopped, "version", "installed");
    assert_eq!((&installed["who"], &installed["plugin"]), (&myself().into(), &"echo".into()));
    assert_eq!((&installed["way"], &installed["old"]), (&"parlor plugin add".into(), &Value::Null));
    assert!(installed["new"].as_str().unwrap().starts_with("0.1.0 sha256:"), "{installed}");

    let mut host = start_as_it_is(&home).await;
    for arguments in [
        &["plugin", "revoke", "echo", "rooms.send"][..],
        &["plugin", "grant", "echo", "rooms.send=lobby@conference.example.org", "--yes"],
        &["plugin", "config", "echo", "room_prefix", "say "],
        &["plugin", "disable", "echo"],
        &["plugin", "enable", "echo"],
        &["plugin", "restart", "echo"],
    ] {
        ended(home.run(arguments).await.unwrap(), 0);
    }
    kill(&mut host).await;
    let _host = start_as_it_is(&home).await;
    let all = audit(&home, &["--plugin", "echo"]).await;
    let entries = all["entries"].as_array().unwrap();
    let grants: Vec<_> = entries.iter().filter(|entry| entry["what"] == "rooms.send").collect();
    let values: Vec<_> = grants.iter().map(|entry| (entry["old"].as_str(), entry["new"].as_str())).collect();
    let lobby = Some("lobby@conference.example.org");
    assert_eq!(values, [(None, Some("*")), (Some("*"), None), (None, lobby)]);
    assert!(grants.iter().all(|entry| entry["who"] == myself().as_str()), "{all:#}");
    let prefix = find(&all, "setting", "setting room_prefix");
    assert_eq!((&prefix["old"], &prefix["new"]), (&Value::Null, &"\"say \"".into()));
    let enabled = find(&all, "run", "enabled");
    assert_eq!((&enabled["old"], &enabled["new"]), (&"false".into(), &"true".into()));
    let restarted = find(&all, "run", "restarted");
    assert_eq!((&restarted["who"], &restarted["way"]), (&myself().into(), &"control socket".into()));
    // It was recorded before the plugin was ended for it.
    let asked = entries.iter().position(|entry| entry["what"] == "restarted").unwrap();
    let ended_for_it = entries.iter().rposition(|entry| entry["what"] == "has ended").unwrap();
    assert!(asked < ended_for_it, "{all:#}");
    // A command and the host that reads its change record it once.
    let by_hand = entries.iter().filter(|entry| entry["who"] == "file:plugins.toml").count();
    assert_eq!(by_hand, 0, "{all:#}");

    let text = ended(home.run(&["audit", "--kind", "grant", "--since", "1h"]).await.unwrap(), 0).stdout;
    assert!(text.contains("echo rooms.send: * → none  by uid:"), "{text}");
    assert!(!text.contains("restarted"), "{text}");
    // A grant has what an owner is told who is asked for it, and a revocation has not.
    let said: Vec<_> = grants.iter().map(|entry| entry["said"][0].as_str().unwrap_or_default()).collect();
    assert!(said[0].starts_with("Speaks in all rooms") && said[1].is_empty(), "{said:?}");
    assert!(said[2].starts_with("Speaks in lobby@conference.example.org in the name of"), "{said:?}");
    assert!(!text.contains("Speaks in"), "{text}");
    let full = ended(home.run(&["audit", "--kind", "grant", "--full"]).await.unwrap(), 0).stdout;
    assert!(full.contains("\n      Speaks in lobby@conference.example.org"), "{full}");
    // It was disabled and restarted. Starts with the host are counted alone.
    let runs = |what: &str| entries.iter().filter(|entry| entry["kind"] == "run" && entry["what"] == what).count();
    assert!(runs("runs") >= 1 && runs("has ended") >= 2, "{all:#}");
    assert_eq!(find(&all, "run", "runs")["new"], "0.1.0");
    let wrong = ended(home.run(&["audit", "--kind", "nonsense"]).await.unwrap(), 2).stderr;
    assert!(wrong.contains("a kind is one of grant, setting"), "{wrong}");
}

#[tokio::test]
async fn entries_of_before_a_time_are_left_out_whether_a_host_runs_or_not() {
    let (home, _) = home().await;
    add(&home).await;
    ended(home.run(&["plugin", "config", "echo", "room_prefix", "say "]).await.unwrap(), 0);
    let all = audit(&home, &[]).await;
    find(&all, "version", "installed");
    let from = find(&all, "setting", "setting room_prefix")["at"].as_str().unwrap();
    let later = ["--plugin", "echo", "--since", from];
    let stopped = audit(&home, &later).await;
    let _host = start_as_it_is(&home).await;
    for shown in [stopped, audit(&home, &later).await] {
        find(&shown, "setting", "setting room_prefix");
        let entries = shown["entries"].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry["what"] != "installed"), "since {from}: {shown:#}");
    }
}

#[tokio::test]
async fn a_secret_is_in_no_entry_and_that_it_changed_is() {
    let (home, _) = home().await;
    add(&home).await;
    for secret in ["s3cr3t-one\n", "s3cr3t-two\n"] {
        ended(home.run_with(&["plugin", "config", "echo", "key"], secret).await.unwrap(), 0);
    }
    ended(home.run(&["plugin", "config", "echo", "key", "--command", "echo s3cr3t-three"]).await.unwrap(), 0);
    let _host = start_as_it_is(&home).await;
    let all = audit(&home, &[]).await;
    let stored = all["entries"].as_array().unwrap().iter().filter(|one| one["what"] == "the secret key was stored");
    assert_eq!(stored.count(), 2, "{all:#}");
    let changed = find(&all, "setting", "setting key");
    assert_eq!((&changed["old"], &changed["new"]), (&"(not shown)".into(), &"(not shown)".into()));
    assert!(!all.to_string().contains("s3cr3t"), "{all:#}");
    for file in ["parlor.db", "parlor.db-wal"] {
        let bytes = std::fs::read(home.path().join("data").join(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|part| part == b"s3cr3t"), "{file}");
    }
}

#[tokio::test]
async fn what_was_edited_by_hand_is_found_also_if_no_host_ran() {
    let (mut home, _) = home().await;
    let mut host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let found = audit(&home, &[]).await;
    let installed = find(&found, "version", "installed");
    assert_eq!((&installed["who"], &installed["way"]), (&"file:plugins.toml".into(), &"found at the start".into()));
    let path_of = |name: &str| Value::from(home.path().join(name).to_str().unwrap());
    assert_eq!(installed["file"], path_of("plugins.toml"), "{installed}");
    let text = ended(home.run(&["audit", "--kind", "version"]).await.unwrap(), 0).stdout;
    assert!(
        text.contains(&format!("by file:plugins.toml ({}), ", path_of("plugins.toml").as_str().unwrap())),
        "{text}"
    );
    home.set_policy(&Policy::default().with("echo", echo(&home).grant_whole("contacts.read"))).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let read = audit(&home, &[]).await;
    assert_eq!(find(&read, "grant", "contacts.read")["way"], "read again");
    let reloaded = find(&read, "host", "the files were read again");
    assert_eq!(reloaded["who"], myself().as_str());

    host.stop(SOON).await.unwrap();
    home.set_policy(&Policy::default()).unwrap();
    home.amend("main", "owners", Some(vec!["juliet@example.org"].into())).unwrap();
    let _host = start_as_it_is(&home).await;
    let gone = audit(&home, &[]).await;
    let removed = find(&gone, "version", "removed");
    assert_eq!((&removed["who"], &removed["new"]), (&"file:plugins.toml".into(), &Value::Null));
    assert_eq!(find(&gone, "login", "logged in")["account"], "main");
    home.amend("main", "owners", None).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let changed = audit(&home, &["--account", "main", "--kind", "account"]).await;
    let changed = find(&changed, "account", "its connection or its owners");
    assert!(changed["old"].as_str().unwrap().ends_with("owners: juliet@example.org"), "{changed}");
    let parlor = home.path().join("parlor.toml");
    assert_eq!((&changed["who"], &changed["file"]), (&"file:parlor.toml".into(), &parlor.to_str().unwrap().into()));
    let by_us = find(&gone, "login", "logged in");
    assert_eq!(by_us["file"], Value::Null, "nobody edited a file for that: {by_us}");
}

#[tokio::test]
async fn what_was_edited_in_the_configuration_is_found_also_if_no_host_ran() {
    let (mut home, bot) = home().await;
    let mut host = start(&home, &Policy::default()).await;
    let first = audit(&home, &["--kind", "account", "--kind", "setting"]).await;
    assert_eq!(first["entries"], Value::Array(Vec::new()), "a new host has nothing to compare with");
    host.stop(SOON).await.unwrap();

    home.amend("main", "owners", Some(vec!["mallory@example.org"].into())).unwrap();
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let with_days = |days: u32| home.write("parlor.toml", &format!("{config}\n[audit]\ndays = {days}\n")).unwrap();
    with_days(9);
    let _host = start_as_it_is(&home).await;
    let found = audit(&home, &[]).await;
    let owners = find(&found, "account", "its connection or its owners");
    assert_eq!((&owners["who"], &owners["way"]), (&"file:parlor.toml".into(), &"found at the start".into()));
    let [old, new] = ["", "mallory@example.org"].map(|owners| Value::from(format!("{}, owners: {owners}", bot.jid)));
    assert_eq!((&owners["account"], &owners["old"], &owners["new"]), (&"main".into(), &old, &new));
    let days = find(&found, "setting", "setting audit.days");
    assert_eq!((&days["who"], &days["way"]), (&"file:parlor.toml".into(), &"found at the start".into()));
    assert_eq!((&days["old"], &days["new"]), (&"400".into(), &"9".into()));

    with_days(8);
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let again = audit(&home, &["--kind", "account", "--kind", "setting"]).await;
    let days = find(&again, "setting", "setting audit.days");
    assert_eq!((&days["way"], &days["old"], &days["new"]), (&"read again".into(), &"9".into(), &"8".into()));
    assert_eq!(again["entries"].as_array().unwrap().len(), 3, "each change once: {again:#}");
}

#[tokio::test]
async fn what_an_owner_does_from_a_client_has_the_owners_address() {
    let mut owner = juliet().await;
    let (home, _host, bot) = owned(&owner.jid().to_bare()).await;
    done(&mut owner, &bot, "disable", "echo").await;
    let all = audit(&home, &[]).await;
    let disabled = find(&all, "run", "enabled");
    let who = format!("jid:{}", owner.jid());
    assert_eq!((&disabled["who"], &disabled["way"], &disabled["new"]), (&who.into(), &"chat".into(), &"false".into()));
}

#[tokio::test]
async fn what_a_plugin_did_is_counted_over_a_kill() {
    let (home, bot) = home().await;
    let mut host =
        start(&home, &Policy::default().with("echo", echo(&home).grant("messages.send", &["@localhost"]))).await;
    let mut juliet = juliet().await;
    juliet.chat(bot.jid.clone(), "hear me").await.unwrap();
    juliet.wait_body(&bot.jid, "hear me", SOON).await.unwrap();
    let of = ["--plugin", "echo"];
    let count = |audit: &Value, name: &str| {
        let counts = audit["counts"].as_array().unwrap();
        counts.iter().find(|count| count["name"] == name).map_or(0, |count| count["count"].as_u64().unwrap())
    };
    let before = audit(&home, &of).await;
    assert!(count(&before, "sent") >= 1 && count(&before, "events") >= 1, "{before:#}");
    let person = juliet.jid().to_bare().to_string();
    let wrote = |audit: &Value| {
        let names = audit["names"].as_array().unwrap().clone();
        names.into_iter().find(|name| name["kind"] == "recipient" && name["what"] == person.as_str())
    };
    let first = wrote(&before).unwrap_or_else(|| panic!("{before:#}"));
    assert_eq!((&first["account"], &first["count"]), (&"main".into(), &1.into()));
    kill(&mut host).await;
    let stopped = audit(&home, &of).await;
    assert_eq!(wrote(&stopped), Some(first.clone()));
    let _host = start_as_it_is(&home).await;
    let after = audit(&home, &of).await;
    assert!(count(&after, "sent") >= count(&before, "sent"), "{after:#}");
    let text = ended(home.run(&["audit", "--plugin", "echo"]).await.unwrap(), 0).stdout;
    assert!(text.contains("\nit wrote to\n") && text.contains(&person), "{text}");
    let explained = ended(home.run(&["explain", "echo", "chats.send", &person]).await.unwrap(), 0).stdout;
    assert!(explained.contains(&format!("allowed once on main: {person}, ")), "{explained}");
}

#[tokio::test]
async fn the_audit_is_bounded_the_oldest_go_first_and_the_cut_is_recorded() {
    let (home, _) = home().await;
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &format!("{config}\n[audit]\nsize = \"1 MiB\"\n")).unwrap();
    let data = home.path().join("data");
    add(&home).await;
    let retention = Retention { bytes: 1 << 20, ..Retention::default() };
    let many = move || {
        let mut file = AuditFile::create(&data, retention).unwrap();
        let of_plugin = |number: usize| NewAuditEntry {
            plugin: Some("loud".to_owned()),
            share: Share::Plugin,
            ..NewAuditEntry::new(AuditKind::Setting, &By::plugin("loud"), &format!("{number} {}", "x".repeat(2_000)))
        };
        file.add(&(0..2_000).map(of_plugin).collect::<Vec<_>>()).unwrap();
    };
    spawn_blocking(many).await.unwrap();
    let _host = start_as_it_is(&home).await;
    let all = audit(&home, &["--lines", "10000"]).await;
    let entries = all["entries"].as_array().unwrap();
    let size: usize = entries.iter().map(|entry| entry["what"].as_str().unwrap().len()).sum();
    assert!(size < 1 << 20, "{size}");
    assert!(entries.iter().filter(|entry| entry["plugin"] == "loud").count() <= 1_001);
    find(&all, "version", "installed");
    let cuts = audit(&home, &["--kind", "cut", "--lines", "10000"]).await;
    let first = &cuts["entries"][0];
    assert!(first["what"].as_str().unwrap().ends_with("entries were removed"), "{first}");
    assert_eq!(first["who"], "host");
}

/// Asks the host behind this socket.
fn asked(socket: &Path, target: &str) -> Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn the_audit_is_read_backwards_page_by_page() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    for _ in 0..2 {
        ended(home.run(&["plugin", "restart", "echo"]).await.unwrap(), 0);
    }
    let all = audit(&home, &["--kind", "run"]).await;
    let ids: Vec<_> = all["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()).collect();
    let [.., first, last] = ids[..] else { panic!("{all}") };
    let path = home.path().join("data/control.sock");
    let page =
        spawn_blocking(move || asked(&path, &format!("/v1/audit?kinds=run&before={last}&lines=1"))).await.unwrap();
    assert_eq!(page["entries"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["entries"][0]["id"], first, "{page}");
}

#[tokio::test]
async fn whoever_follows_the_audit_sees_each_entry_as_it_comes() {
    let (home, _) = home().await;
    let mut host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let last = audit(&home, &["--lines", "1"]).await["entries"][0]["id"].as_i64().unwrap();
    let path = home.path().join("data/control.sock");
    let wait = spawn_blocking(move || {
        let deadline = Instant::now() + SOON;
        loop {
            let audit = asked(&path, &format!("/v1/audit?kinds=run&after={last}&wait=true"));
            let entries = audit["entries"].as_array().unwrap();
            if entries.iter().any(|entry| entry["what"] == "restarted") || Instant::now() > deadline {
                return audit;
            }
        }
    });
    ended(home.run(&["plugin", "restart", "echo"]).await.unwrap(), 0);
    find(&wait.await.unwrap(), "run", "restarted");
    // The command ends with the host.
    let (followed, stopped) = tokio::join!(home.run(&["audit", "--follow", "--json"]), async {
        ended(home.run(&["plugin", "disable", "echo"]).await.unwrap(), 0);
        host.stop(SOON).await
    });
    stopped.unwrap();
    let followed = ended(followed.unwrap(), 4);
    for line in followed.stdout.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["id"].is_i64(), "{line}");
    }
}

#[tokio::test]
async fn whoever_follows_from_the_end_of_the_audit_sees_new_entries_alone() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let last = audit(&home, &["--lines", "1"]).await["entries"][0]["id"].as_i64().unwrap();
    let command = home.command(["audit", "-n", "0", "--follow", "--json"]).unwrap();
    let follower = Process::start("parlor audit", command).unwrap();
    let deadline = Instant::now() + SOON;
    // Restarts that are made before it follows are not shown.
    while follower.log().all().is_empty() {
        assert!(Instant::now() < deadline, "nothing is shown");
        ended(home.run(&["plugin", "restart", "echo"]).await.unwrap(), 0);
    }
    let first: Value = serde_json::from_str(&follower.log().all()[0]).unwrap();
    assert!(first["id"].as_i64().unwrap() > last, "{first}");
}
