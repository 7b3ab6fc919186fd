//! `parlor status`, `logs` and `explain`, and the socket that they use.

use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use parlor::control::lines::Lines;
use parlor::control::server::{Control, HostHandle, ORDERS};
use parlor::host::Host;
use parlor_config::{Config, Overrides};
use parlor_runtime::compiler::Compiler;
use parlor_runtime::mappings;
use parlor_runtime::threads::Threads;
use parlor_tests::client::Client;
use parlor_tests::component::graft;
use parlor_tests::host::{Home, Server};
use parlor_tests::log::Mark;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::process::{Process, Signal};
use parlor_tests::prosody::Account;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use super::{SOON, echo, ended, home, juliet, service, stand_in, start};
use crate::test_host::prosody;

#[tokio::test]
async fn status_shows_accounts_and_plugins_with_what_they_use() {
    let (home, bot) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let mut juliet = juliet().await;
    juliet.chat(bot.jid.clone(), "hear me").await.unwrap();
    juliet.wait_body(&bot.jid, "hear me", SOON).await.unwrap();

    let json = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(json["running"], true);
    assert_eq!(json["host"]["pid"], host.id());
    // At least the account's task, three of the plugin, the socket's and one for the request.
    let tasks = json["host"]["tasks"].as_u64().unwrap();
    assert!((6..50).contains(&tasks), "{tasks} tasks");
    assert_eq!(json["accounts"][0]["connection"], "connected");
    assert!(json["accounts"][0]["jid"].as_str().unwrap().starts_with(&format!("{}/", bot.jid)), "{json}");
    let plugin = &json["plugins"][0];
    assert_eq!(
        (&plugin["id"], &plugin["account"], &plugin["state"]),
        (&"echo".into(), &"main".into(), &"running".into())
    );
    assert_eq!((&plugin["version"], &plugin["restarts"]), (&"0.1.0".into(), &0.into()));
    assert_eq!(plugin["usage"]["sent"], 1);
    assert!(plugin["usage"]["memory"].as_u64().unwrap() >= 64 << 10, "{plugin}");
    assert!(plugin["usage"]["memory_limit"].as_u64().unwrap() > plugin["usage"]["memory"].as_u64().unwrap());

    let screen = ended(home.run(&["status"]).await.unwrap(), 0).stdout;
    let (own, process) = (bot.jid.to_string(), host.id().to_string());
    for word in ["PLUGIN", "echo", "running", "main", "connected", " tasks\n", &own, &process] {
        assert!(screen.contains(word), "no {word} in\n{screen}");
    }
    assert!(!screen.contains('\x1b'), "colours where no terminal is: {screen:?}");

    let json = ended(home.run(&["status", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    let limit =
        |name: &str| json[0]["limits"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert!(limit("memory")["used"].as_f64().unwrap() >= 65536.0, "{json}");
    assert_eq!((&limit("subscriptions")["used"], &limit("subscriptions")["of"]), (&2.0.into(), &"256".into()));
    assert_eq!((&limit("stop")["used"], &limit("stop")["of"]), (&serde_json::Value::Null, &"2 s".into()));
    assert_eq!((&limit("stop")["most"], &limit("memory")["most"]), (&2.0.into(), &(64.0 * 1_048_576.0).into()));
    assert_eq!((&limit("memories")["used"], &limit("memories")["of"]), (&1.0.into(), &"4".into()));
    assert!(limit("tables")["used"].as_f64().unwrap() >= 1.0, "{json}");
    assert!(limit("messages_per_second")["used"].as_f64().unwrap() > 0.0, "{json}");
    let closely = ended(home.run(&["status", "echo"]).await.unwrap(), 0).stdout;
    assert!(closely.contains("subscriptions          2        256"), "{closely}");
    let error = ended(home.run(&["status", "ehco"]).await.unwrap(), 1).stderr;
    assert!(error.contains("there is no plugin ehco in") && error.contains("did you mean"), "{error}");
}

/// An account as it is expected: its name, its JID, its connection, and the reason for that.
type Standing<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

/// Checks that the status as JSON and on the screen, and the metrics, show an account as it is.
fn account_is_shown(shown: &serde_json::Value, expected: &Standing<'_>, screen: &str, metrics: &str) {
    let &(name, account, connection, why) = expected;
    let jid = shown["jid"].as_str().unwrap();
    // Only a connected account has a resource.
    let own = jid.split_once('/').map_or(jid, |(bare, _)| bare);
    assert_eq!(
        (&shown["name"], own, jid == own, &shown["connection"], shown["reason"].as_str()),
        (&name.into(), account, connection != "connected", &connection.into(), why),
        "{shown}"
    );
    let mut lines = screen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = format!("{name} {jid} {connection}");
    assert!(lines.any(|words| words == line.split(' ').collect::<Vec<_>>()), "no {line:?} in\n{screen}");
    if let Some(why) = why {
        // It is wrapped below the table.
        let (since, says) = (format!("account {name} is {connection} since "), format!(": {why}"));
        let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        let says_why = |(_, rest): (&str, &str)| {
            rest.get("2026-11-29 11:32:07".len()..).is_some_and(|rest| rest.starts_with(&says))
        };
        assert!(words.split_once(&since).is_some_and(says_why), "no {since:?}{says:?} in\n{screen}");
    }
    let gauge = format!("parlor_account_connected{{account=\"{name}\"}} {}\n", u8::from(connection == "connected"));
    assert!(metrics.contains(&gauge), "no {gauge:?} in {metrics}");
}

#[tokio::test]
async fn status_and_health_say_of_each_account_how_it_stands_and_why() {
    let (mut home, main) = home().await;
    let prosody = prosody().await;
    let starttls = prosody.ports().starttls;
    // The port is taken by a socket that does not listen.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let nobody = taken.local_addr().unwrap();
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mute_port = mute.local_addr().unwrap().port();
    let [idle, refused, silent, wrong] =
        ["idle", "refused", "silent", "wrong"].map(|name| prosody.fresh_account(name).unwrap());
    for (name, account, port) in
        [("idle", &idle, starttls), ("refused", &refused, nobody.port()), ("wrong", &wrong, starttls)]
    {
        home.add_account(name, account, Server::StartTls(port, prosody.certificate())).unwrap();
    }
    let idles = toml::Table::from_iter([("auto_login".to_owned(), false.into())]);
    home.amend("idle", "settings", Some(idles.into())).unwrap();
    std::fs::write(home.password_file("wrong"), "wrong\n").unwrap();
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let port = ports::free().unwrap();
    let host = home.start_with(&["--metrics", &format!("127.0.0.1:{port}")]).unwrap();
    for (message, account) in
        [("account connected", "main"), ("cannot connect, trying again", "refused"), ("account failed", "wrong")]
    {
        host.wait_count(message, &[("account", account)], 1, SOON).await.unwrap();
    }
    // It is added last, since the host waits for it only for a limited time.
    home.add_account("silent", &silent, Server::StartTls(mute_port, prosody.certificate())).unwrap();
    let _held = tokio::time::timeout(SOON, mute.accept()).await.unwrap().unwrap();

    let refusal = format!(
        "{nobody} refuses connections; check that the server runs, and that `server` in the configuration names its port"
    );
    let denial =
        format!("the server refused the password of {}; check the jid and where its password comes from", wrong.jid);
    let expected: [Standing<'_>; 5] = [
        ("idle", idle.jid.as_str(), "offline", None),
        ("main", main.jid.as_str(), "connected", None),
        ("refused", refused.jid.as_str(), "retrying", Some(refusal.as_str())),
        ("silent", silent.jid.as_str(), "connecting", None),
        ("wrong", wrong.jid.as_str(), "failed", Some(denial.as_str())),
    ];
    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let shown = ended(home.run(&["status"]).await.unwrap(), 5);
    assert!(shown.stderr.ends_with("not well: account wrong is failed; account refused is retrying\n"), "{shown:?}");
    let screen = shown.stdout;
    let health = service::ask(port, &format!("GET /health HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
    let metrics = service::ask(port, &format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));

    let shown = status["accounts"].as_array().unwrap();
    assert_eq!(shown.len(), expected.len(), "{status}");
    // A path stays whole, however long.
    let too_long =
        |line: &&str| line.chars().count() > 80 && !line.starts_with("data ") && !line.starts_with("policy ");
    assert_eq!(screen.lines().find(too_long), None, "{screen}");
    for (one, expected) in shown.iter().zip(&expected) {
        account_is_shown(one, expected, &screen, &metrics);
    }
    // A plugin is no better off than its accounts.
    let closely = ended(home.run(&["status", "echo"]).await.unwrap(), 5);
    assert!(closely.stdout.contains("\naccount refused is retrying; `parlor status` says why\n"), "{closely:?}");
    assert!(
        closely.stderr.ends_with("not well: account wrong is failed; account refused is retrying\n"),
        "{closely:?}"
    );
    let json = ended(home.run(&["status", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    let connections: Vec<_> =
        json.as_array().unwrap().iter().map(|one| (&one["account"], &one["connection"])).collect();
    assert!(connections.contains(&(&"main".into(), &"connected".into())), "{json}");
    assert!(connections.contains(&(&"refused".into(), &"retrying".into())), "{json}");
    // An account that should be offline, or is still connecting, does not count as unhealthy.
    assert!(health.starts_with("HTTP/1.1 503 "), "{health}");
    assert!(health.ends_with("\r\n\r\naccount refused is retrying\naccount wrong is failed\n"), "{health}");
}

/// Otherwise a client that looks at this moment would take the plugin for removed, and the cursor of `top` would move.
#[tokio::test]
async fn a_plugin_is_listed_while_it_is_started_again_and_while_it_leaves() {
    let (home, _) = home().await;
    let slow = home.install("slow", &built("unruly").unwrap()).unwrap().set("behaviour", "stop-never-returns");
    let _host = start(&home, &Policy::default().with("echo", echo(&home)).with("slow", slow)).await;
    let path = home.path().join("data/control.sock");
    let ask = move |request: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let json: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        json
    };
    let look = ask.clone();
    let restart = std::thread::spawn(move || ask("POST /v1/plugins/slow/restart"));
    let mut seen = std::collections::BTreeSet::new();
    while !restart.is_finished() {
        let status = look("GET /v1/status");
        let ids: Vec<_> = status["plugins"].as_array().unwrap().iter().map(|plugin| plugin["id"].clone()).collect();
        assert_eq!(ids, ["echo", "slow"], "{status}");
        seen.insert(status["plugins"][1]["state"].as_str().unwrap().to_owned());
    }
    assert!(seen.contains("stopping"), "{seen:?}");
    let status = restart.join().unwrap();
    assert_eq!(status["plugins"][1]["state"], "running", "{status}");
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let reload = std::thread::spawn({
        let look = look.clone();
        move || look("POST /v1/reload")
    });
    let mut was_seen = false;
    while !reload.is_finished() {
        was_seen |= look("GET /v1/status")["plugins"][1]["state"] == "stopping";
    }
    assert!(was_seen, "nobody saw it leave");
    let status = reload.join().unwrap();
    assert_eq!(status["plugins"].as_array().unwrap().len(), 1, "{status}");
}

/// A broken `parlor.toml` does not affect the running host.
#[tokio::test]
async fn a_host_is_looked_at_and_held_back_though_its_configuration_is_wrong_by_now() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    for wrong in [format!("{config}\n[half"), format!("nonsense = 1\n{config}")] {
        home.write("parlor.toml", &wrong).unwrap();
        let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0);
        assert!(status.stderr.contains("parlor.toml:"), "{status:?}");
        assert!(status.stderr.ends_with("; the host that runs goes on as it was\n"), "{status:?}");
        assert_eq!(status.json().unwrap()["plugins"][0]["state"], "running");
        assert!(ended(home.run(&["logs", "echo"]).await.unwrap(), 0).stdout.contains("plugin running"));
        let question = ["explain", "echo", "chats.send", "romeo@localhost", "--json"];
        let explained = ended(home.run(&question).await.unwrap(), 0).json().unwrap();
        assert_eq!(explained["about"]["allowed"], true, "{explained}");
        ended(home.run(&["plugin", "schedules", "echo"]).await.unwrap(), 0);
        ended(home.run(&["plugin", "hooks", "echo"]).await.unwrap(), 0);
    }
    ended(home.run(&["plugin", "disable", "echo"]).await.unwrap(), 0);
    host.wait_count("plugin disabled", &[("plugin", "echo")], 1, SOON).await.unwrap();
    // A command that grants something needs the whole configuration. Without a running host, the message mentions none.
    let refused = ended(home.run(&["plugin", "enable", "echo"]).await.unwrap(), 1);
    assert!(refused.stderr.contains("parlor.toml:"), "{refused:?}");
    let refused = ended(home.run(&["status", "--data", "elsewhere"]).await.unwrap(), 1);
    assert!(!refused.stderr.contains("the host that runs"), "{refused:?}");
}

#[tokio::test]
async fn a_socket_that_was_taken_away_is_said_to_be_gone_and_made_anew_by_a_hang_up() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default()).await;
    ended(home.run(&["status"]).await.unwrap(), 0);
    let socket = home.path().join("data/control.sock");
    std::fs::remove_file(&socket).unwrap();
    let error = ended(home.run(&["status"]).await.unwrap(), 1).stderr;
    let says = format!("is gone: `kill -HUP {}` has it make another one", host.id());
    assert!(error.contains(&says), "{error}");
    host.reload().unwrap();
    host.wait_count("the control socket was gone, and is made anew", &[], 1, SOON).await.unwrap();
    ended(home.run(&["status"]).await.unwrap(), 0);
    assert_eq!(socket.symlink_metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // An existing socket stays.
    host.reload().unwrap();
    host.wait_count("policy read again", &[], 2, SOON).await.unwrap();
    assert_eq!(host.lines("the control socket was gone, and is made anew", &[]).len(), 1);
}

#[tokio::test]
async fn what_another_policy_names_is_not_said_to_be_what_runs() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    std::fs::copy(home.path().join("plugins.toml"), home.path().join("other.toml")).unwrap();
    let other = ["plugin", "list", "--plugins", "other.toml"];
    let json = ended(home.run(&[&other[..], &["--json"]].concat()).await.unwrap(), 0).json().unwrap();
    assert_eq!((&json[0]["id"], &json[0]["states"]), (&"echo".into(), &serde_json::json!([])), "{json}");
    let names = ended(home.run(&[&other[..], &["--names"]].concat()).await.unwrap(), 0).stdout;
    assert_eq!(names, "echo\n");
    let screen = ended(home.run(&other).await.unwrap(), 0).stdout;
    let own = home.path().join("plugins.toml");
    let says = format!("\nthe host that runs reads {} instead\n", own.display());
    assert!(screen.contains(&says) && !screen.contains("running"), "{screen}");
    // Through a link it is the same policy.
    std::os::unix::fs::symlink("plugins.toml", home.path().join("link.toml")).unwrap();
    let same = ["plugin", "list", "--plugins", "link.toml", "--json"];
    let json = ended(home.run(&same).await.unwrap(), 0).json().unwrap();
    assert_eq!(json[0]["states"][0], "running", "{json}");
}

#[tokio::test]
async fn a_plugin_that_does_not_run_is_shown_with_its_reason() {
    let (home, _) = home().await;
    let broken = home.install("broken", &built("unruly").unwrap()).unwrap().set("behaviour", "initialize-fails");
    let mut off = echo(&home);
    off.enabled = false;
    let greedy = home.install("greedy", &built("echo").unwrap()).unwrap();
    let policy = Policy::default().with("broken", broken).with("off", off).with("greedy", greedy);
    let _host = start(&home, &policy).await;
    let json = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let of = |id: &str| json["plugins"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone();
    assert_eq!((&of("broken")["state"], &of("broken")["reason"]), (&"refused".into(), &"failed to order".into()));
    assert_eq!(of("off")["state"], "disabled");
    assert_eq!(of("greedy")["state"], "refused");
    let screen = ended(home.run(&["status"]).await.unwrap(), 5).stdout.replace("\n  ", " ");
    assert!(screen.contains("broken on main: failed to order"), "{screen}");
    assert!(screen.contains("greedy: greedy needs what was not granted"), "{screen}");
    for (id, says) in [
        ("broken", "broken does not run on main, it is refused: failed to order\n"),
        ("greedy", "greedy does not run, it is refused: greedy needs what was not granted"),
    ] {
        let explained = ended(home.run(&["explain", id]).await.unwrap(), 0).stdout;
        assert!(explained.starts_with(says), "{explained}");
    }
    let json = ended(home.run(&["explain", "broken", "--json"]).await.unwrap(), 0).json().unwrap();
    let down = &json["down"][0];
    assert_eq!((&down["account"], &down["state"]), (&"main".into(), &"refused".into()), "{json}");
}

#[tokio::test]
async fn a_plugin_is_started_again_by_a_command_that_says_how_it_stands_then() {
    let (home, _) = home().await;
    let broken = home.install("broken", &built("unruly").unwrap()).unwrap().set("behaviour", "initialize-fails");
    let mut off = echo(&home);
    off.enabled = false;
    let policy = Policy::default().with("broken", broken).with("echo", echo(&home)).with("off", off);
    home.set_policy(&policy).unwrap();
    ended(home.run(&["plugin", "restart", "echo"]).await.unwrap(), 4);
    let host = start(&home, &policy).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();

    let again = ended(home.run(&["plugin", "restart", "echo"]).await.unwrap(), 0);
    assert_eq!(again.stdout, "echo is restarted; the running host has applied it\necho on main is running\n");
    host.wait_count("plugin running", &[("plugin", "echo")], 2, SOON).await.unwrap();
    let json = ended(home.run(&["plugin", "restart", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!((&json["done"], &json["plugins"][0]["state"]), (&"echo is restarted".into(), &"running".into()));
    for (id, words) in [
        ("broken", "broken is restarted, but broken does not run: failed to order"),
        ("off", "off is disabled; `parlor plugin enable off` lets it run"),
        ("nobody", "there is no plugin nobody in plugins.toml"),
    ] {
        let refused = ended(home.run(&["plugin", "restart", id]).await.unwrap(), 1);
        assert_eq!(refused.stderr, format!("parlor: {words}\n"));
    }
    host.wait_count("plugin is disabled, and is not started", &[("plugin", "off")], 1, SOON).await.unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    host.wait_count("policy read again", &[], 1, SOON).await.unwrap();
    // A plugin that is still installed was not removed, whether it runs or not.
    assert!(host.lines("plugin removed", &[]).is_empty(), "{}", host.log().tail());
    assert_eq!(host.lines("account connected", &[]).len(), 1);
}

/// A plugin that was started last is not at fault if it does not fit into the limits.
#[tokio::test]
async fn a_plugin_for_which_there_is_no_room_says_so_and_runs_when_another_one_has_left() {
    const MEMORIES: u32 = 100;
    let (mut home, _) = home().await;
    let mut bytes = built("unruly").unwrap().bytes().unwrap();
    let memory = wat::parse_str("(module (memory 0))").unwrap();
    // It already has one memory itself.
    for _ in 1..MEMORIES {
        graft(&mut bytes, &memory).unwrap();
    }
    let greedy = home.install_bytes("greedy", &bytes).unwrap().set("behaviour", "");
    let greedy = greedy.limit("memories", MEMORIES).limit("instances", 200);
    // In addition to the mappings of a plugin without more memories, and the code of both.
    let each = mappings::OF_A_PLUGIN + 2 * (MEMORIES - 1);
    let left = mappings::MOST - 2 * 3;
    let (count, small) = (left / each, left % each / mappings::OF_A_PLUGIN);
    let named = |number| format!("greedy-{number}");
    let full = (0..count).fold(Policy::default(), |policy, number| policy.with(&named(number), greedy.clone()));
    let full = (0..small).fold(full, |policy, number| policy.with(&format!("small-{number}"), echo(&home)));
    let host = start(&home, &full).await;
    host.wait_count("plugin running", &[], (count + small) as usize, SOON).await.unwrap();

    let full = full.with("echo", echo(&home));
    home.set_policy(&full).unwrap();
    let json = ended(home.run(&["reload", "--json"]).await.unwrap(), 0).json().unwrap();
    let echo = json["plugins"].as_array().unwrap().iter().find(|one| one["id"] == "echo").unwrap();
    assert_eq!(echo["state"], "backing-off");
    let room = "the host has no room for it: it needs 6 memory mappings, and the other plugins left ";
    assert!(echo["reason"].as_str().unwrap().starts_with(room), "{echo}");

    home.set_policy(&full.clone().without(&named(0))).unwrap();
    host.reload().unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    assert!(host.lines("plugin quarantined", &[]).is_empty());

    // The same holds for a replacement: it is retried, whichever plugin leaves and why.
    let other = full.without(&named(0)).with(&named(1), greedy.clone().limit("mailbox", 7));
    home.set_policy(&other).unwrap();
    let json = ended(home.run(&["reload", "--json"]).await.unwrap(), 0).json().unwrap();
    let waits = json["plugins"].as_array().unwrap().iter().find(|one| one["id"] == named(1)).unwrap();
    assert!(waits["reason"].as_str().unwrap().ends_with("so this version goes on"), "{waits}");
    home.set("blacklisted_plugins", vec![named(2)]).unwrap();
    host.wait_count("plugin replaced", &[("plugin", named(1).as_str())], 1, SOON).await.unwrap();
    home.set("blacklisted_plugins", Vec::<String>::new()).unwrap();
    host.wait_count("plugin running", &[("plugin", named(2).as_str())], 2, SOON).await.unwrap();

    // A policy change that frees room also starts it.
    let other = other.with(&named(1), greedy.limit("mailbox", 8));
    for (policy, replaced) in [(&other, false), (&other.clone().without(&named(3)), true)] {
        home.set_policy(policy).unwrap();
        let json = ended(home.run(&["reload", "--json"]).await.unwrap(), 0).json().unwrap();
        let plugins = json["plugins"].as_array().unwrap();
        let other = plugins.iter().find(|one| one["id"] == named(1)).unwrap();
        assert_eq!((&other["state"], other["reason"].is_null()), (&"running".into(), replaced), "{other}");
    }
}

#[tokio::test]
async fn a_stopped_host_is_said_to_be_stopped_and_its_left_over_socket_is_replaced() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let says_so = "no host runs with the data folder data; `parlor run` starts one";
    for arguments in [&["status"][..], &["logs"], &["logs", "-f", "echo"]] {
        let finished = ended(home.run(arguments).await.unwrap(), 4);
        assert_eq!(finished.stderr, format!("parlor: {says_so}\n"));
    }
    let json = ended(home.run(&["status", "--json"]).await.unwrap(), 4).json().unwrap();
    assert_eq!((&json["running"], &json["plugins"][0]["state"]), (&false.into(), &"unknown".into()));
    // The paths are absolute, as from a running host, since the reader may have called from another folder.
    assert_eq!(json["data"].as_str(), home.path().join("data").to_str());
    assert_eq!(json["policy"].as_str(), home.path().join("plugins.toml").to_str());

    let mut host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    ended(home.run(&["status"]).await.unwrap(), 0);
    let socket = home.path().join("data/control.sock");
    assert_eq!(socket.symlink_metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.path().join("data").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    host.signal(Signal::Kill).unwrap();
    host.ended(SOON).await.unwrap();
    assert!(socket.exists(), "it was killed, so it left its socket behind");
    ended(home.run(&["status"]).await.unwrap(), 4);

    let mut host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    ended(home.run(&["status"]).await.unwrap(), 0);
    assert!(host.stop(SOON).await.unwrap().success());
    assert!(!socket.exists(), "it was stopped, so it took its socket along");
    ended(home.run(&["status"]).await.unwrap(), 4);
}

#[tokio::test]
async fn a_data_folder_with_a_long_name_has_a_socket_too() {
    let (home, _) = home().await;
    let data = home.path().join("d".repeat(120));
    let data = data.to_str().unwrap();
    home.set_policy(&Policy::default()).unwrap();
    let command = home.command(["run", "--log-format", "json", "--data", data]).unwrap();
    let process = Process::start("parlor", command).unwrap();
    process
        .log()
        .wait("ready", &mut Mark::default(), SOON, |line| line.contains("account connected").then_some(()))
        .await
        .unwrap();
    ended(home.run(&["status", "--data", data]).await.unwrap(), 0);
}

#[tokio::test]
async fn logs_are_shown_by_plugin_and_level_and_followed() {
    let (home, bot) = home().await;
    let quiet = home.install("quiet", &built("unruly").unwrap()).unwrap().set("behaviour", "");
    let mut host = start(&home, &Policy::default().with("echo", echo(&home)).with("quiet", quiet)).await;
    let all = ended(home.run(&["logs"]).await.unwrap(), 0).stdout;
    assert!(all.contains("echo@main plugin running") && all.contains("quiet@main plugin running"), "{all}");
    let echo_alone = ended(home.run(&["logs", "echo"]).await.unwrap(), 0).stdout;
    assert!(echo_alone.contains("echo@main plugin running") && !echo_alone.contains("quiet@main"), "{echo_alone}");
    assert_eq!(ended(home.run(&["logs", "--level", "error"]).await.unwrap(), 0).stdout, "");
    assert_eq!(ended(home.run(&["logs", "-n", "1"]).await.unwrap(), 0).stdout.lines().count(), 1);
    let unknown = ended(home.run(&["logs", "-f", "ehco"]).await.unwrap(), 1);
    assert!(unknown.stderr.starts_with("parlor: there is no plugin ehco"), "{unknown:?}");
    assert!(unknown.stderr.contains("did you mean \"echo\"?"), "{unknown:?}");
    let unknown = ended(home.run(&["plugin", "restart", "ehco"]).await.unwrap(), 1);
    assert!(unknown.stderr.contains("did you mean \"echo\"?"), "{unknown:?}");

    let follow = home.command(["logs", "-f", "--json", "quiet"]).unwrap();
    let mut follow = Process::start("follow", follow).unwrap();
    let mut mark = Mark::default();
    let first = |line: &str| line.contains("plugin running").then_some(());
    follow.log().wait("what was there before", &mut mark, SOON, first).await.unwrap();
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    host.reload().unwrap();
    let line =
        follow.log().wait("its end", &mut mark, SOON, |line| line.contains("plugin stopped").then(|| line.to_owned()));
    let line: serde_json::Value = serde_json::from_str(&line.await.unwrap()).unwrap();
    assert_eq!((&line["fields"]["plugin"], &line["level"]), (&"quiet".into(), &"info".into()));
    assert!(!follow.log().all().iter().any(|line| line.contains(&bot.password)));
    // The lines of a removed plugin are kept.
    let left = ended(home.run(&["logs", "quiet"]).await.unwrap(), 0).stdout;
    assert!(left.contains("quiet@main plugin stopped"), "{left}");
    // The end of the host is reported, since silence could mean that nothing happened.
    assert!(host.stop(SOON).await.unwrap().success());
    assert_eq!(follow.wait(SOON).await.unwrap().code(), Some(4));
    let says = "parlor: the host with the data folder data has stopped; `parlor run` starts it again";
    assert!(follow.log().all().iter().any(|line| line == says), "{}", follow.log().tail());
}

#[tokio::test]
async fn who_follows_the_log_and_is_left_by_a_host_that_goes_on_is_told_so() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    stand_in(&home, b"HTTP/1.1 200 OK\r\nparlor-control: 1\r\n\r\n{\"number\":");
    let left = ended(home.run(&["logs", "-f"]).await.unwrap(), 1);
    assert!(left.stderr.starts_with("parlor: the host no longer sends: "), "{left:?}");
}

/// Neither followers that read nor those that have stopped reading block other requests.
#[tokio::test]
async fn who_follows_the_log_keeps_nobody_from_asking() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default()).await;
    let mut followers: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = UnixStream::connect(home.path().join("data/control.sock")).unwrap();
            stream.write_all(b"GET /v1/logs?follow=true HTTP/1.1\r\n\r\n").unwrap();
            stream
        })
        .collect();
    ended(home.run(&["status"]).await.unwrap(), 0);
    let refused = ended(home.run(&["logs", "-f"]).await.unwrap(), 1).stderr;
    assert_eq!(refused, "parlor: 24 follow the log already: end one of them, or look at it without -f\n");
    ended(home.run(&["logs"]).await.unwrap(), 0);
    let mut follow = 0;
    for stream in &mut followers {
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        match &status {
            b"HTTP/1.1 200" => follow += 1,
            other => assert_eq!(other, b"HTTP/1.1 503"),
        }
    }
    assert_eq!(follow, 24);
}

#[tokio::test]
async fn explain_says_what_was_denied_and_what_would_allow_it() {
    let (home, _) = home().await;
    let entry = echo(&home).grant("messages.send", &["nobody@nowhere.invalid"]);
    let host = start(&home, &Policy::default().with("echo", entry)).await;
    let prosody = prosody().await;
    let account = prosody.fresh_account("romeo").unwrap();
    let connector = prosody.connector().unwrap();
    let mut romeo = Client::login(&connector, &account, "garden").await.unwrap();
    romeo.available().await.unwrap();
    let bot = home.run(&["status", "--json"]).await.unwrap().json().unwrap();
    let bot: jid::Jid = bot["accounts"][0]["jid"].as_str().unwrap().parse().unwrap();
    romeo.chat(bot.to_bare(), "hear me").await.unwrap();
    host.wait_count("call denied", &[("plugin", "echo")], 1, SOON).await.unwrap();

    let json = ended(home.run(&["explain", "echo", "chats.send", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!((&json["about"]["permission"], &json["about"]["allowed"]), (&"messages.send".into(), &false.into()));
    assert_eq!(json["about"]["answers"][0]["answer"], "partly", "one address is not everybody: {json}");
    let denied = &json["denied"][0];
    assert_eq!(denied["permission"], "messages.send");
    assert!(denied["scope"].as_str().unwrap().starts_with(&account.jid.to_string()), "{json}");
    let hint = denied["hint"].as_str().unwrap().to_owned();

    let text = ended(home.run(&["explain", "echo"]).await.unwrap(), 0).stdout;
    for words in ["echo may:", "messages.send", "granted for nobody@nowhere.invalid", "denied lately:"] {
        assert!(text.contains(words), "no {words} in\n{text}");
    }
    assert!(text.contains(&format!("      to allow it: {hint}\n")), "{text}");
    // The command in the hint grants the call, in addition to the earlier grants.
    let command: Vec<_> = hint.strip_prefix("parlor ").unwrap().split(' ').chain(["--yes"]).collect();
    ended(home.run(&command).await.unwrap(), 0);
    romeo.chat(bot.to_bare(), "and now?").await.unwrap();
    romeo.wait_body(&bot.to_bare(), "and now?", SOON).await.unwrap();
    let text = ended(home.run(&["explain", "echo", "chats.send"]).await.unwrap(), 0).stdout;
    assert!(
        text.starts_with(
            "chats.send: partly, it needs messages.send, which is granted only for nobody@nowhere.invalid, "
        ),
        "{text}"
    );
    assert!(text.contains("denied lately:") && text.contains("      it is granted now\n"), "{text}");
    assert!(!text.contains("to allow it"), "{text}");
    for (jid, answer) in [(denied["scope"].as_str().unwrap(), "yes"), ("mercutio@localhost", "no")] {
        let text = ended(home.run(&["explain", "echo", "chats.send", jid]).await.unwrap(), 0).stdout;
        assert!(text.starts_with(&format!("chats.send {jid}: {answer}, ")), "{text}");
    }

    let text = ended(home.run(&["explain", "echo", "contacts.get-all"]).await.unwrap(), 0).stdout;
    assert!(
        text.starts_with("contacts.get-all: no, it needs contacts.read, which the plugin does not ask for"),
        "{text}"
    );
    let text = ended(home.run(&["explain", "echo", "timers.sleep"]).await.unwrap(), 0).stdout;
    assert!(text.starts_with("timers.sleep: yes, it needs no permission"), "{text}");
    let error = ended(home.run(&["explain", "echo", "chats.sned"]).await.unwrap(), 2).stderr;
    assert!(error.contains("did you mean \"chats.send\"?"), "{error}");
    let error = ended(home.run(&["explain", "ehco"]).await.unwrap(), 1).stderr;
    assert!(error.contains("did you mean \"echo\"?"), "{error}");
}

/// The record of one message that the plugin was not shown.
const WITHHELD: &str = "\nevents that it listens to and was not shown, since the host started:\n  1 on main, which messages.read does not cover\n";

/// A bot that hears only its contacts, and one message to it that was withheld.
struct Deaf {
    home: Home,
    host: parlor_tests::host::Host,
    bot: Account,
    juliet: Client,
    /// Juliet's address.
    jid: String,
}

impl Deaf {
    async fn start() -> Self {
        let (home, bot) = home().await;
        let contacts = home.install("echo", &built("echo").unwrap()).unwrap().grant("messages.read", &["contacts"]);
        let contacts = contacts.grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
        let host = start(&home, &Policy::default().with("echo", contacts)).await;
        host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
        let mut juliet = juliet().await;
        let jid = juliet.jid().to_bare().to_string();
        juliet.chat(bot.jid.clone(), "hear me").await.unwrap();
        // Once a later ping is answered, the message has been routed.
        let status = home.run(&["status", "--json"]).await.unwrap().json().unwrap();
        let full: jid::Jid = status["accounts"][0]["jid"].as_str().unwrap().parse().unwrap();
        juliet.ping(full, SOON).await.unwrap();
        Self { home, host, bot, juliet, jid }
    }

    /// Says something to the bot, and waits until it is repeated.
    async fn is_answered(&mut self, text: &str) {
        self.juliet.chat(self.bot.jid.clone(), text).await.unwrap();
        self.juliet.wait_body(&self.bot.jid, text, SOON).await.unwrap();
    }
}

/// A bot answers only its contacts, and its owner asks why it is silent.
#[tokio::test]
async fn explain_says_no_for_whom_a_scope_leaves_out_and_counts_what_was_withheld() {
    let mut deaf = Deaf::start().await;
    let jid = deaf.jid.clone();
    let jid = jid.as_str();
    let no = format!("messages.read covers contacts, and {jid} is none\n    to allow it: ");
    let remedy = format!("parlor plugin grant echo messages.read={jid}");
    for (question, words) in [
        (vec!["message", jid], format!("message {jid}: no, ")),
        (vec![&*format!("messages.read={jid}")], format!("messages.read={jid}: no, ")),
    ] {
        let text = ended(deaf.home.run(&[&["explain", "echo"], &question[..]].concat()).await.unwrap(), 0).stdout;
        assert_eq!(text, format!("{words}{no}{remedy}\n{WITHHELD}"));
    }
    let text = ended(deaf.home.run(&["explain", "echo", "message"]).await.unwrap(), 0).stdout;
    let filtered = "it listens with a filter (kind chat";
    assert!(text.starts_with(&format!("message: partly, {filtered}; or kind groupchat, prefix ")), "{text}");
    assert!(text.contains("): it needs messages.read, which is granted only for contacts"), "{text}");
    let json = ended(deaf.home.run(&["explain", "echo", "message", jid, "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!((&json["about"]["allowed"], &json["withheld"][0]["events"]), (&false.into(), &1.into()), "{json}");
    assert_eq!(json["about"]["answers"][0]["remedy"], remedy);
    let status = ended(deaf.home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(status["plugins"][0]["record"]["withheld"], serde_json::json!({ "messages.read": 1 }), "{status}");
    let screen = ended(deaf.home.run(&["status"]).await.unwrap(), 0).stdout;
    assert!(
        screen.contains("\necho on main: 1 event withheld by messages.read; `parlor explain echo` says why\n"),
        "{screen}"
    );

    // The suggested command helps, and no later message is withheld.
    let command: Vec<_> = remedy.strip_prefix("parlor ").unwrap().split(' ').chain(["--yes"]).collect();
    ended(deaf.home.run(&command).await.unwrap(), 0);
    let text = ended(deaf.home.run(&["explain", "echo", "message", jid]).await.unwrap(), 0).stdout;
    assert!(text.starts_with(&format!("message {jid}: partly, {filtered}): it needs messages.read, ")), "{text}");
    deaf.is_answered("and now?").await;
    // The account's own state counts, too, and no command of `plugin grant` is offered for it.
    for (question, answer) in [
        (
            ["rooms.send", "nowhere@rooms.localhost"],
            "no, the account is not in nowhere@rooms.localhost; once it is: yes, ",
        ),
        (["chats.send", jid], "yes, it needs messages.send, which is granted for *"),
    ] {
        let text = ended(deaf.home.run(&["explain", "echo", question[0], question[1]]).await.unwrap(), 0).stdout;
        assert!(text.starts_with(&format!("{} {}: {answer}", question[0], question[1])), "{text}");
        assert!(!text.contains("to allow it"), "{text}");
    }
    let json = ended(deaf.home.run(&["explain", "echo", "rooms.send", "--json"]).await.unwrap(), 0).json().unwrap();
    let about = &json["about"];
    assert_eq!((&about["allowed"], &about["answers"][0]["answer"]), (&false.into(), &"partly".into()), "{json}");
    // The plugin does not listen to this event, independently of its grants.
    let text = ended(deaf.home.run(&["explain", "echo", "messageError", jid]).await.unwrap(), 0).stdout;
    assert!(text.starts_with(&format!("messageError {jid}: no, it does not listen to it, although it may")), "{text}");
}

/// Returns how many messages were withheld from the plugin, by the audit.
async fn withheld_by_the_audit(home: &Home) -> u64 {
    let audit = ended(home.run(&["audit", "--plugin", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    let counts = audit["counts"].as_array().unwrap().iter().filter(|count| count["name"] == "withheld messages.read");
    counts.map(|count| count["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn what_was_withheld_stays_counted_when_a_plugin_is_started_again_refused_or_disabled() {
    let mut deaf = Deaf::start().await;
    let grant = format!("messages.read={}", deaf.jid);
    ended(deaf.home.run(&["plugin", "grant", "echo", &grant, "--yes"]).await.unwrap(), 0);
    deaf.is_answered("and now?").await;
    let Deaf { mut home, host, jid, .. } = deaf;
    let jid = jid.as_str();
    // Neither a restart nor changed settings reset the record. A disabled plugin does nothing.
    for command in [&["plugin", "restart", "echo"][..], &["plugin", "config", "echo", "room_prefix", "say "]] {
        ended(home.run(command).await.unwrap(), 0);
        let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
        let record = &status["plugins"][0]["record"];
        assert_eq!((&record["sent"], &record["withheld"]["messages.read"]), (&1.into(), &1.into()), "{status}");
    }
    // Nor is the record of a plugin lost that may not run any more.
    home.set("blacklisted_plugins", vec!["echo".to_owned()]).unwrap();
    host.wait_count("plugin refused", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let status = home.run(&["status", "echo", "--json"]).await.unwrap().json().unwrap();
    assert_eq!((&status[0]["state"], &status[0]["account"]), (&"refused".into(), &"main".into()), "{status}");
    assert_eq!(status[0]["record"]["withheld"]["messages.read"], 1, "{status}");
    home.set("blacklisted_plugins", Vec::<String>::new()).unwrap();
    host.wait_count("plugin running", &[("plugin", "echo")], 4, SOON).await.unwrap();
    ended(home.run(&["plugin", "disable", "echo"]).await.unwrap(), 0);
    let text = ended(home.run(&["explain", "echo", "message", jid]).await.unwrap(), 0).stdout;
    let enable = "the plugin is disabled\n    to allow it: parlor plugin enable echo\n";
    assert!(text.contains(&format!("message {jid}: no, {enable}")), "{text}");
    // The record outlives the plugin's run.
    assert!(text.ends_with(WITHHELD), "{text}");
    let status = ended(home.run(&["status", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!((&status[0]["state"], &status[0]["account"]), (&"disabled".into(), &"main".into()), "{status}");
    assert_eq!(status[0]["record"]["withheld"]["messages.read"], 1, "{status}");
    // The audit has it, too, and that outlives the host.
    assert_eq!(withheld_by_the_audit(&home).await, 1);
    drop(host);
    assert_eq!(withheld_by_the_audit(&home).await, 1);
    let text = ended(home.run(&["explain", "echo", "messages.send=*"]).await.unwrap(), 0).stdout;
    assert!(text.contains(&format!("messages.send=*: no, {enable}")), "{text}");
    // A running host might decide otherwise than the file.
    ended(home.run(&["plugin", "enable", "echo"]).await.unwrap(), 0);
    let text = ended(home.run(&["explain", "echo", "messages.send=*"]).await.unwrap(), 0).stdout;
    let says = "messages.send=*: unknown, no host runs; by plugins.toml alone: yes, messages.send is granted for *\n";
    assert!(text.starts_with(says), "{text}");
}

#[tokio::test]
async fn the_socket_speaks_http_and_refuses_what_it_does_not_know() {
    let (home, _) = home().await;
    let _host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    ended(home.run(&["status"]).await.unwrap(), 0);
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(home.path().join("data/control.sock")).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let status = ask("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(status.starts_with("HTTP/1.1 200 OK\r\n") && status.contains("\r\nparlor-control: 1\r\n"), "{status}");
    for (request, code) in [
        ("GET /v1/nothing HTTP/1.1\r\n\r\n", "404"),
        ("DELETE /v1/status HTTP/1.1\r\n\r\n", "405"),
        ("GET /v1/reload HTTP/1.1\r\n\r\n", "405"),
        ("GET /v1/plugins/../x HTTP/1.1\r\n\r\n", "404"),
        ("GET /v1/plugins/ECHO HTTP/1.1\r\n\r\n", "400"),
        ("GET /v1/plugins/nobody HTTP/1.1\r\n\r\n", "404"),
        ("POST /v1/plugins/nobody/restart HTTP/1.1\r\n\r\n", "404"),
        ("GET /v1/logs?level=loud HTTP/1.1\r\n\r\n", "400"),
    ] {
        let answer = ask(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{request:?}: {answer}");
        assert!(answer.contains("{\"error\":\""), "{answer}");
    }
    // hyper answers such a head with its own words.
    let nonsense = ask("nonsense\r\n\r\n");
    assert!(nonsense.starts_with("HTTP/1.1 400 "), "{nonsense}");
    let restarted = ask("POST /v1/plugins/echo/restart HTTP/1.1\r\n\r\n");
    assert!(restarted.contains("\"state\":\"running\""), "{restarted}");
}

/// Open connections to the socket do not keep a host from stopping.
#[tokio::test]
async fn a_host_that_stops_is_held_by_nobody_who_asks() {
    let (mut home, _) = home().await;
    home.set("auto_login", false).unwrap();
    home.set_policy(&Policy::default()).unwrap();
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let config = Config::load(&home.path().join("parlor.toml"), &overrides).unwrap();
    let host = Arc::new(
        Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap(),
    );
    let (orders, _ordered) = mpsc::channel(ORDERS);
    let control = Control::start(HostHandle { host: Arc::clone(&host), lines: Lines::default(), orders }).unwrap();
    let path = home.path().join("data/control.sock");
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(tokio::net::UnixStream::connect(&path).await.unwrap());
    }
    // Connections are accepted in order, so an answer to the last one means that all were.
    let mut last = tokio::net::UnixStream::connect(&path).await.unwrap();
    last.write_all(b"GET /v1/status HTTP/1.1\r\n\r\n").await.unwrap();
    last.read_to_string(&mut String::new()).await.unwrap();
    control.stop().await;
    assert_eq!(Arc::strong_count(&host), 1);
    Arc::into_inner(host).unwrap().stop().await;
}
