//! Another version takes over while messages arrive: none is lost, none is answered twice, and a failed one changes
//! nothing.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use parlor_tests::component::{graft_importing, with_manifest};
use parlor_tests::host::{Finished, Home};
use parlor_tests::plugins::built;
use parlor_tests::policy::{Entry, Policy};
use serde_json::Value;
use wasm_encoder::{ComponentTypeRef, ComponentValType, InstanceType, PrimitiveValType};

use super::{SOON, ended, home, juliet, start};

/// How many messages are sent while versions change, five hundred a second.
const MESSAGES: usize = 3_000;
/// The interval between two messages.
const PERIOD: std::time::Duration = std::time::Duration::from_millis(2);

fn version(home: &Home, version: &str) -> String {
    let edit = |text: &str| text.replacen("version = \"0.1.0\"", &format!("version = \"{version}\""), 1);
    let path = home.path().join(format!("{version}.wasm"));
    std::fs::write(&path, with_manifest(&built("echo").unwrap().bytes().unwrap(), edit).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_load_loses_no_message_and_answers_none_twice() {
    let (home, bot) = home().await;
    let host = start(&home, &Policy::default()).await;
    let one = version(&home, "0.1.0");
    let versions: Vec<_> = ["0.2.0", "0.3.0", "0.4.0"].map(|number| version(&home, number)).into();
    let roomy = "[grants]\n\"messages.read\" = [\"*\"]\n\"messages.send\" = [\"*\"]\n\"rooms.send\" = [\"*\"]\n[limits]\nmailbox = 4096\nmessages_per_second = 10000\nmessages_burst = 10000\n";
    home.write("roomy.toml", roomy).unwrap();
    ended(home.run(&["plugin", "add", &one, "--yes", "--policy", "roomy.toml"]).await.unwrap(), 0);
    let mut juliet = juliet().await;
    let mut sent = 0;
    let upgrading = async {
        for file in &versions {
            let finished = home.run(&["plugin", "update", "echo", file, "--yes", "--json"]).await.unwrap();
            let json = ended(finished, 0).json().unwrap();
            assert_eq!(json["plugins"][0]["state"], "running");
        }
    };
    let writing = async {
        let mut clock = tokio::time::interval(PERIOD);
        while sent < MESSAGES {
            clock.tick().await;
            juliet.chat(bot.jid.clone(), &format!("message {sent}")).await.unwrap();
            sent += 1;
        }
    };
    tokio::join!(upgrading, writing);
    juliet.chat(bot.jid.clone(), "the end").await.unwrap();
    juliet.wait_body(&bot.jid, "the end", SOON).await.unwrap();
    // Handlers run concurrently, so answers may come in another order: each one is waited for.
    for number in 0..MESSAGES {
        if let Err(error) = juliet.wait_body(&bot.jid, &format!("message {number}"), SOON).await {
            let status = home.run(&["status", "--json"]).await.unwrap().json().unwrap();
            panic!("{number} is lost; the last version: {}\n{error:#}", status["plugins"][0]["usage"]);
        }
    }
    juliet.catch_up(SOON).await.unwrap();
    let mut answers = BTreeMap::<String, usize>::new();
    for stanza in juliet.received_xml() {
        if let Some(at) = stanza.find(">message ") {
            let text: String = stanza[at + 1..].chars().take_while(|one| *one != '<').collect();
            *answers.entry(text).or_default() += 1;
        }
    }
    let twice: Vec<_> = answers.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    host.wait_count("plugin replaced", &[("plugin", "echo")], 3, SOON).await.unwrap();
    assert!(host.lines("mailbox full, events lost", &[]).is_empty());
    assert_eq!(host.lines("account connected", &[]).len(), 1);
}

fn unruly(home: &Home, behaviour: &str) -> Entry {
    home.install("echo", &built("unruly").unwrap()).unwrap().set("behaviour", behaviour).limit("initialize", "1 s")
}

#[tokio::test]
async fn a_version_that_does_not_start_changes_nothing() {
    let (home, _) = home().await;
    let quiet = unruly(&home, "");
    let host = start(&home, &Policy::default().with("echo", quiet)).await;
    let before = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    for (round, behaviour) in ["initialize-fails", "initialize-traps", "initialize-sleeps"].into_iter().enumerate() {
        home.set_policy(&Policy::default().with("echo", unruly(&home, behaviour))).unwrap();
        host.reload().unwrap();
        host.wait_count("plugin not replaced", &[("plugin", "echo")], round + 1, SOON).await.unwrap();
        let now = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
        let of = |status: &Value, key: &str| status["plugins"][0][key].clone();
        assert_eq!(
            (of(&now, "state"), &now["plugins"][0]["usage"]["since"]),
            ("running".into(), &before["plugins"][0]["usage"]["since"])
        );
        assert!(of(&now, "reason").as_str().unwrap().ends_with("so this version goes on"), "{now}");
    }
    home.set_policy(&Policy::default().with("echo", unruly(&home, "").limit("mailbox", 7))).unwrap();
    host.reload().unwrap();
    host.wait_count("plugin replaced", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let now = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(now["plugins"][0]["reason"], Value::Null);
}

/// Each old version may take ten seconds to stop.
#[tokio::test]
async fn a_version_takes_over_on_all_accounts_at_once() {
    let home = Home::new().unwrap();
    let account = |name: &str| format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\n");
    let accounts = ["one", "two", "three"].map(account).concat();
    home.write("parlor.toml", &format!("[settings]\nauto_login = false\n{accounts}")).unwrap();
    let stays = || unruly(&home, "stop-never-returns");
    home.set_policy(&Policy::default().with("echo", stays())).unwrap();
    let host = home.start().unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 3, SOON).await.unwrap();
    home.set_policy(&Policy::default().with("echo", stays().limit("mailbox", 7))).unwrap();
    host.reload().unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 6, SOON).await.unwrap();
    let began = std::time::Instant::now();
    host.wait_count("plugin replaced", &[("plugin", "echo")], 1, 2 * SOON).await.unwrap();
    assert!(began.elapsed().as_secs() < 18, "one after the other: {:?}", began.elapsed());
    assert_eq!(host.lines("plugin did not stop within 10 s and was ended", &[]).len(), 3);
}

/// A plugin that was built against an API in which a function of this name has another signature.
fn unlinked(home: &Home) -> Entry {
    let mut ty = InstanceType::new();
    let signature = ty.ty();
    let number = ComponentValType::Primitive(PrimitiveValType::U64);
    signature.function().params([("of", PrimitiveValType::U64)]).result(Some(number));
    ty.export("jid", ComponentTypeRef::Func(0));
    let inner = wat::parse_str("(component (import \"from\" (instance)))").unwrap();
    let mut bytes = built("unruly").unwrap().bytes().unwrap();
    graft_importing(&mut bytes, "parlor:plugin/user@0.1.0", &ty, &inner).unwrap();
    home.install_bytes("unlinked", &bytes).unwrap()
}

/// A plugin that depends on a plugin named `base`.
fn dependent(home: &Home) -> Entry {
    let edit = |text: &str| format!("{text}\n[dependencies]\nbase = \"*\"\n");
    let bytes = with_manifest(&built("unruly").unwrap().bytes().unwrap(), edit).unwrap();
    home.install_bytes("dependent", &bytes).unwrap()
}

#[tokio::test]
async fn a_version_that_cannot_even_be_loaded_changes_nothing() {
    let (mut home, _) = home().await;
    home.set("strict_plugin_dependencies", true).unwrap();
    let key = home.write("key", "canary-5518\n").unwrap();
    let secret = toml::Table::from_iter([("command".to_owned(), format!("cat '{}'", key.display()).into())]);
    let runs = home.install("caller", &built("caller").unwrap()).unwrap().set("token", secret.clone());
    let policy = Policy::default();
    let host = start(&home, &policy.clone().with("echo", runs.clone())).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let status = async || ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let before = status().await;
    std::fs::remove_file(&key).unwrap();
    for (entry, why) in [
        (unlinked(&home), "it does not fit this host's API"),
        (dependent(&home), "it needs base: base is not there"),
        (runs.clone().limit("mailbox", 7), "the secret token of echo is unavailable"),
    ] {
        home.set_policy(&policy.clone().with("echo", entry)).unwrap();
        ended(home.run(&["reload"]).await.unwrap(), 0);
        let now = status().await;
        let plugin = &now["plugins"][0];
        assert_eq!(plugin["state"], "running", "{why}: {now}");
        assert_eq!(plugin["usage"]["since"], before["plugins"][0]["usage"]["since"], "{why}: {now}");
        let reason = plugin["reason"].as_str().unwrap();
        assert!(reason.contains(why) && reason.ends_with("so this version goes on"), "{reason}");
    }
    // Its dependency is added with it, but its secret is unavailable.
    let base = home.install("base", &built("caller").unwrap()).unwrap().set("token", secret);
    home.set_policy(&policy.clone().with("base", base).with("echo", dependent(&home))).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let now = status().await;
    let echo = &now["plugins"][1];
    assert_eq!(echo["usage"]["since"], before["plugins"][0]["usage"]["since"], "{now}");
    let reason = echo["reason"].as_str().unwrap();
    assert!(reason.contains("it needs base") && reason.ends_with("so this version goes on"), "{reason}");
    // A temporary problem is retried with the next change, whichever that is.
    home.set_policy(&policy.clone().with("echo", runs.limit("mailbox", 7))).unwrap();
    home.write("key", "canary-5518\n").unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    assert_eq!(status().await["plugins"][0]["reason"], Value::Null);
    // A missing dependency may be added together with the plugin that needs it.
    home.set_policy(&policy.with("echo", dependent(&home)).with("base", unruly(&home, ""))).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let now = status().await;
    let both = now["plugins"].as_array().unwrap();
    assert_eq!(both.len(), 2, "{now}");
    for plugin in both {
        assert_eq!((&plugin["state"], &plugin["reason"]), (&"running".into(), &Value::Null), "{now}");
    }
}

/// An owner may make a mistake in a value. A running plugin keeps its settings, and only a start is refused.
#[tokio::test]
async fn a_slip_in_a_setting_ends_nothing_that_runs() {
    let (home, _) = home().await;
    let of = |entry: Entry| Policy::default().with("echo", entry);
    let host = start(&home, &of(unruly(&home, ""))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let status = async || ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let since = async |why: &str| {
        let now = status().await;
        assert_eq!(now["plugins"][0]["state"], "running", "{why}: {now}");
        now["plugins"][0]["usage"]["since"].as_str().unwrap().to_owned()
    };
    let before = since("before").await;
    let misfit = unruly(&home, "").set("behaviour", 7);
    for (entry, why) in [
        (unruly(&home, "").set("behavior", ""), "echo has no setting `behavior`; did you mean `behaviour`?"),
        (misfit.clone(), "the setting `behaviour` under [plugin.echo.settings] in plugins.toml does not fit"),
        // This holds also if other things change at the same time.
        (misfit.clone().limit("mailbox", 7), "the setting `behaviour`"),
    ] {
        home.set_policy(&of(entry)).unwrap();
        ended(home.run(&["reload"]).await.unwrap(), 0);
        assert_eq!(since(why).await, before, "{why}");
        let list = run(&home, &["list", "--json"], 0).await.json().unwrap();
        let reason = list[0]["reason"].as_str().unwrap();
        assert!(reason.contains(why) && reason.ends_with("so this version goes on"), "{reason}");
        host.wait_count("plugin not replaced", &[("plugin", "echo"), ("reason", reason)], 1, SOON).await.unwrap();
    }
    // Correcting the value removes the message, and restarts nothing.
    home.set_policy(&of(unruly(&home, ""))).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    assert_eq!(since("put right").await, before);
    assert_eq!(status().await["plugins"][0]["reason"], Value::Null);
    // A plugin that does not run yet is refused.
    let both = of(unruly(&home, "")).with("other", misfit);
    home.set_policy(&both).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let now = status().await;
    let other = &now["plugins"][1];
    assert_eq!((&other["id"], &other["state"]), (&"other".into(), &"refused".into()), "{now}");
    assert!(other["reason"].as_str().unwrap().contains("the setting `behaviour`"), "{now}");
}

#[tokio::test]
async fn where_nothing_runs_any_more_another_version_starts_like_any_other() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", unruly(&home, "initialize-traps"))).await;
    host.wait_count("plugin quarantined", &[("plugin", "echo")], 1, SOON).await.unwrap();
    home.set_policy(&Policy::default().with("echo", unruly(&home, "initialize-traps-once"))).unwrap();
    host.reload().unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let plugin = &status["plugins"][0];
    assert_eq!((&plugin["state"], &plugin["reason"]), (&"running".into(), &Value::Null), "{status}");
    assert!(host.lines("plugin not replaced", &[]).is_empty());
}

async fn run(home: &Home, arguments: &[&str], code: i32) -> Finished {
    ended(home.run(&[&["plugin"], arguments].concat()).await.unwrap(), code)
}

/// Writes a version of echo whose start fails or never returns.
fn failing(home: &Home, number: &str, behaviour: &str) -> String {
    let edit = |text: &str| {
        let text = text.replacen("name = \"unruly\"", "name = \"echo\"", 1);
        let text = text.replacen("version = \"0.1.0\"", &format!("version = \"{number}\""), 1);
        text.replacen("default = \"\"", &format!("default = \"{behaviour}\""), 1)
    };
    let path = home.path().join(format!("{number}.wasm"));
    std::fs::write(&path, with_manifest(&built("unruly").unwrap().bytes().unwrap(), edit).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_revoked_counts_for_the_version_that_goes_on() {
    let (home, bot) = home().await;
    let host = start(&home, &Policy::default()).await;
    let mut juliet = juliet().await;
    run(&home, &["add", &version(&home, "0.1.0"), "--yes", "--grant-all"], 0).await;
    let failing = failing(&home, "0.2.0", "initialize-fails");
    run(&home, &["update", "echo", &failing, "--yes"], 1).await;
    juliet.chat(bot.jid.clone(), "one").await.unwrap();
    juliet.wait_body(&bot.jid, "one", SOON).await.unwrap();
    for arguments in [["grant", "echo", "messages.send=nobody@nowhere.invalid"], ["revoke", "echo", "messages.send=*"]]
    {
        let told = run(&home, &arguments, 1).await;
        assert!(told.stderr.contains("0.2.0 did not start"), "{told:?}");
    }
    juliet.chat(bot.jid.clone(), "two").await.unwrap();
    let denied = [("plugin", "echo"), ("permission", "messages.send")];
    host.wait_count("call denied", &denied, 1, SOON).await.unwrap();
    run(&home, &["grant", "echo", "messages.send=*", "--yes"], 1).await;
    juliet.chat(bot.jid.clone(), "three").await.unwrap();
    juliet.wait_body(&bot.jid, "three", SOON).await.unwrap();
    assert_eq!(host.lines("plugin replaced", &[]).len(), 0);
}

/// The status shows which version runs, and why it is not the chosen one, also after a restart.
#[tokio::test]
async fn a_version_that_did_not_start_is_told_of_after_a_restart_and_in_the_list() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default()).await;
    run(&home, &["add", &version(&home, "0.1.0"), "--yes", "--grant-all"], 0).await;
    let list = async || run(&home, &["list", "--json"], 0).await.json().unwrap();
    let before = list().await;
    run(&home, &["update", "echo", &failing(&home, "0.2.0", "initialize-fails"), "--yes"], 1).await;
    for _ in 0..2 {
        let now = list().await;
        for key in ["version", "digest", "source", "states"] {
            assert_eq!(now[0][key], before[0][key], "{now}");
        }
        let reason = now[0]["reason"].as_str().unwrap();
        assert!(reason.starts_with("0.2.0 did not start") && reason.ends_with("so this version goes on"), "{reason}");
        let screen = run(&home, &["list"], 0).await.stdout;
        assert!(screen.contains("0.1.0") && screen.contains(&format!("echo on main: {reason}")), "{screen}");
        let mut stream = UnixStream::connect(home.path().join("data/control.sock")).unwrap();
        stream.write_all(b"POST /v1/plugins/echo/restart HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("0.2.0 did not start"), "{answer}");
    }
}

#[tokio::test]
async fn the_way_back_from_a_version_that_did_not_start_ends_its_failure() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default()).await;
    run(&home, &["add", &version(&home, "0.1.0"), "--yes", "--grant-all"], 0).await;
    let failing = failing(&home, "0.2.0", "initialize-fails");
    run(&home, &["update", "echo", &failing, "--yes"], 1).await;
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(status["plugins"][0]["reason"], Value::Null, "{status}");
    // The owner may try the version again.
    run(&home, &["update", "echo", &failing, "--yes"], 1).await;
    host.wait_count("plugin not replaced", &[("plugin", "echo")], 2, SOON).await.unwrap();
    run(&home, &["rollback", "echo", "--yes"], 0).await;
    run(&home, &["config", "echo", "room_prefix", "say "], 0).await;
}

#[tokio::test]
async fn what_is_revoked_does_not_wait_for_a_version_that_does_not_come() {
    let (home, _) = home().await;
    let echo = super::echo(&home);
    let unruly = |behaviour: &str| {
        let unruly = home.install("unruly", &built("unruly").unwrap()).unwrap();
        unruly.set("behaviour", behaviour).limit("initialize", "20 s")
    };
    let policy = Policy::default().with("echo", echo.clone());
    let host = start(&home, &policy.clone().with("unruly", unruly(""))).await;
    let more = echo.grant("messages.send", &["*", "nobody@nowhere.invalid"]);
    home.set_policy(&policy.with("echo", more).with("unruly", unruly("initialize-sleeps"))).unwrap();
    host.wait_count("grants changed", &[("plugin", "echo")], 1, SOON).await.unwrap();
    // The host waits for the other plugin now.
    let revoke = ["plugin", "revoke", "echo", "messages.send=*"];
    let limit = std::time::Duration::from_secs(10);
    let held = host.wait_count("grants held to what the policy says", &[("plugin", "echo")], 1, limit);
    let (revoked, held) = tokio::join!(home.run(&revoke), held);
    held.unwrap();
    ended(revoked.unwrap(), 0);
}

/// The awaited event comes: the account is connected. The time until then does not count against the plugin.
#[tokio::test]
async fn a_version_whose_initialize_waits_for_the_session_takes_over() {
    let (home, _) = home().await;
    let waits = home.install("waits", &built("unruly").unwrap()).unwrap().grant_whole("contacts.read");
    let _host = start(&home, &Policy::default().with("waits", waits.clone())).await;
    for round in 0..5 {
        let other = waits.clone().set("behaviour", "initialize-waits-for-roster").limit("handlers", 10 + round);
        home.set_policy(&Policy::default().with("waits", other)).unwrap();
        ended(home.run(&["reload"]).await.unwrap(), 0);
        let json = ended(home.run(&["status", "waits", "--json"]).await.unwrap(), 0).json().unwrap();
        assert_eq!((&json[0]["state"], &json[0]["reason"]), (&"running".into(), &Value::Null), "{json}");
    }
}
