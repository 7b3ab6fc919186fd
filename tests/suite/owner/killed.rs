//! SIGKILL at random moments: the state is the old one or the new one, never half of one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use parlor_tests::client::body;
use parlor_tests::component::with_manifest;
use parlor_tests::host::Home;
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use rand::RngExt as _;
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio_xmpp::Stanza;

use super::{SOON, ended, home, juliet};
use crate::seed;

/// How often each command is killed.
const TIMES: u32 = 70;

/// Runs a command, and kills it after this time unless it has ended. Returns whether it ended on its own.
async fn killed(home: &Home, arguments: &[&str], after: Duration) -> bool {
    let mut command = home.command(arguments).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        std::thread::sleep(after);
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        ended
    })
    .await
    .unwrap()
}

/// Returns how long a command takes if it is not killed.
async fn time(home: &Home, arguments: &[&str]) -> Duration {
    let began = Instant::now();
    ended(home.run(arguments).await.unwrap(), 0);
    began.elapsed()
}

fn entry(home: &Home, id: &str) -> Option<toml::Value> {
    let text = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    let table: toml::Table = text.parse().expect("a policy that can be read");
    table.get("plugin")?.get(id).cloned()
}

/// Returns the path of echo's secret.
fn secret(home: &Home) -> PathBuf {
    home.path().join("data/secrets/echo/key")
}

/// Checks that the component that the policy names is complete in the store.
fn is_whole(home: &Home, id: &str) {
    let Some(entry) = entry(home, id) else { return };
    let digest = entry["digest"].as_str().unwrap();
    let file = home.path().join("data/components").join(&digest["sha256:".len()..]).with_extension("wasm");
    let bytes = std::fs::read(&file).expect("what the policy names is in the store");
    assert_eq!(digest_of(&bytes), digest);
    assert!(entry["grants"].as_table().unwrap().contains_key("messages.send"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_leaves_the_old_state_or_the_new_one() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let echo = built("echo").unwrap().bytes().unwrap();
    let version = |version: &str| {
        let key = "[settings.key]\ntype = \"secret\"\ndescription = \"the key\"\n";
        let edit = |text: &str| {
            let text = text.replacen("version = \"0.1.0\"", &format!("version = \"{version}\""), 1);
            format!("{text}\n{key}")
        };
        let path = home.path().join(format!("{version}.wasm"));
        std::fs::write(&path, with_manifest(&echo, edit).unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, two) = (version("0.1.0"), version("0.2.0"));
    let add = ["plugin", "add", &one, "--yes", "--grant-all"];
    let update = ["plugin", "update", "echo", &two, "--yes"];
    let back = ["plugin", "update", "echo", &one, "--yes", "--downgrade"];
    let remove = ["plugin", "remove", "echo", "--yes"];
    let takes = time(&home, &add).await.max(time(&home, &update).await);
    let mut random = seed::random();
    let (mut done, mut undone) = (0, 0);
    for _ in 0..TIMES {
        if entry(&home, "echo").is_some() {
            ended(home.run(&remove).await.unwrap(), 0);
        }
        let mut moment = || takes.mul_f64(random.random_range(0.0..1.1));
        killed(&home, &add, moment()).await;
        is_whole(&home, "echo");
        if entry(&home, "echo").is_none() {
            undone += 1;
            ended(home.run(&add).await.unwrap(), 0);
        }
        assert!(!secret(&home).exists(), "it finds what the one before it kept secret");
        killed(&home, &update, moment()).await;
        is_whole(&home, "echo");
        match entry(&home, "echo").unwrap()["version"].as_str().unwrap() {
            "0.2.0" => done += 1,
            "0.1.0" => undone += 1,
            other => panic!("{other} was never installed"),
        }
        // The next command works, with any remains.
        let finished = home.run(&back).await.unwrap();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        ended(home.run_with(&["plugin", "config", "echo", "key"], "s3cr3t\n").await.unwrap(), 0);
        killed(&home, &remove, moment()).await;
        is_whole(&home, "echo");
        if entry(&home, "echo").is_none() {
            done += 1;
        } else {
            assert!(secret(&home).exists(), "it has lost its secret");
        }
    }
    assert!(done > 0 && undone > 0, "no moment was in the middle: {done} done, {undone} undone");
    let beside: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    if entry(&home, "echo").is_none() {
        ended(home.run(&add).await.unwrap(), 0);
    }
    ended(home.run(&remove).await.unwrap(), 0);
    assert_eq!(std::fs::read_dir(home.path().join("data/components")).unwrap().count(), 0, "{beside:?}");
    assert!(!secret(&home).exists());
}

/// How often an import is killed.
const IMPORTS: u32 = 40;
/// How many entries an import has.
const ENTRIES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_is_killed_has_all_of_a_change_or_nothing_of_it() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let storage = "[permissions]\nstorage = { reason = \"to remember\" }\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| manifest.replacen("[permissions]\n", storage, 1)).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    ended(home.run(&["plugin", "add", "echo.wasm", "--yes", "--grant-all"]).await.unwrap(), 0);
    let write = |round: u32| {
        let line = |key: usize| format!("{{\"account\":\"main\",\"key\":\"k{key}\",\"value\":\"{round}\"}}\n");
        let lines: Vec<_> = (0..ENTRIES).map(line).collect();
        home.write("round.jsonl", &lines.concat()).unwrap();
    };
    let import = ["plugin", "data", "echo", "import", "round.jsonl"];
    write(0);
    // The moment is adapted, so that some imports are done and some are not, however fast the machine is.
    let mut latest = time(&home, &import).await;
    let mut random = seed::random();
    let (mut now, mut undone) = (0, 0);
    for round in 1..=IMPORTS {
        write(round);
        let ended_by_itself = killed(&home, &import, latest.mul_f64(random.random_range(0.0..1.1))).await;
        let export = ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout;
        let values: BTreeSet<_> = export
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["value"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!((export.lines().count(), values.len()), (ENTRIES, 1), "round {round}: {values:?}");
        let found: u32 = values.first().unwrap().parse().unwrap();
        assert!(found == round || (found == now && !ended_by_itself), "round {round}: {found} after {now}");
        undone += u32::from(found == now);
        latest = if found == now { latest.mul_f64(1.25) } else { latest.mul_f64(0.8) };
        now = found;
    }
    assert!(undone > 0 && undone < IMPORTS, "no moment was in the middle: {undone} undone");
}

/// How often a host is killed while a plugin writes.
const KILLS: u32 = 40;
/// How many keys the plugin writes to.
const KEYS: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_was_told_is_kept_is_there_after_its_host_was_killed() {
    let (mut sure, mut lost) = (0, 0);
    let order = |n: u64| {
        let args = json!({ "key": format!("k{}", n % KEYS), "value": n.to_string() });
        json!({ "n": n, "call": "storage.set", "args": args })
    };
    let all = killed_while_writing(KILLS, order, |acknowledged, sent, kept| {
        let value = |key: u64| kept.get(&format!("k{key}")).map_or(0, |value| value.parse::<u64>().unwrap());
        for n in acknowledged {
            let (key, value) = (n % KEYS, value(n % KEYS));
            assert!(value >= *n && value <= sent && value % KEYS == key, "{n} was kept, {value} is there");
        }
        sure += acknowledged.len();
        lost += sent - (0..KEYS).map(value).max().unwrap();
    });
    let all = all.await;
    assert!(lost > 0, "nothing was on its way at any end: {all} sent, {sure} acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_changes_are_all_there_or_none_after_a_kill() {
    let mut sure = 0;
    let change = |n: u64| {
        let changes = json!([["set", "a", n.to_string()], ["add", "count", 1], ["set", "b", n.to_string()]]);
        json!({ "n": n, "call": "storage.change", "args": { "changes": changes } })
    };
    let all = killed_while_writing(KILLS / 2, change, |acknowledged, sent, kept| {
        sure += u64::try_from(acknowledged.len()).unwrap();
        let count: u64 = kept["count"].parse().unwrap();
        assert!(count >= sure && count <= sent, "{count} changes are there, {sure} were acknowledged, {sent} sent");
        assert_eq!(kept["a"], kept["b"], "one of several changes is there alone");
    });
    all.await;
}

/// Kills a host again and again while a plugin carries out orders, which `order` makes of their numbers. Each time,
/// `check` gets the acknowledged numbers, the highest sent number, and the stored data. Returns that number.
async fn killed_while_writing(
    kills: u32,
    order: impl Fn(u64) -> serde_json::Value,
    mut check: impl FnMut(&BTreeSet<u64>, u64, &BTreeMap<String, String>),
) -> u64 {
    let (home, _) = home().await;
    let caller = home.install("caller", &built("caller").unwrap()).unwrap();
    let caller = caller.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant_whole("storage");
    let caller = caller.limit("messages_per_second", 10_000).limit("messages_burst", 10_000).limit("mailbox", 4096);
    home.set_policy(&Policy::default().with("caller", caller.set("chat", true))).unwrap();
    let mut juliet = juliet().await;
    let mut random = seed::random();
    let mut sent = 0_u64;
    for _ in 0..kills {
        let mut host = home.start().unwrap();
        let line = host.wait_count("account connected", &[], 1, SOON).await.unwrap();
        host.wait_count("plugin running", &[("plugin", "caller")], 1, SOON).await.unwrap();
        let bot: jid::Jid = line.get("jid").parse().unwrap();
        // Some orders are always pending, so that the end comes in the middle of a write.
        let first = sent + 1;
        let until = random.random_range(1..60);
        let mut acknowledged = BTreeSet::new();
        while acknowledged.len() < until {
            while sent < first + u64::try_from(acknowledged.len()).unwrap() + 20 {
                sent += 1;
                juliet.chat(bot.clone(), &format!("call {}", order(sent))).await.unwrap();
            }
            acknowledged.insert(juliet.wait_text("an answer", &bot.to_bare(), SOON, done).await.unwrap());
        }
        std::thread::sleep(Duration::from_micros(random.random_range(0..2_000)));
        host.signal(Signal::Kill).unwrap();
        host.ended(SOON).await.unwrap();
        // Answers that were sent before the end but not read yet count as well.
        juliet.catch_up(SOON).await.unwrap();
        while let Some(n) = juliet.next(Duration::ZERO).await.unwrap().map(|stanza| match stanza {
            Stanza::Message(message) => body(message).and_then(done),
            _ => None,
        }) {
            acknowledged.extend(n);
        }
        let export = ended(home.run(&["plugin", "data", "caller", "export"]).await.unwrap(), 0).stdout;
        let kept = export
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|entry| (entry["key"].as_str().unwrap().to_owned(), entry["value"].as_str().unwrap().to_owned()))
            .collect();
        check(&acknowledged, sent, &kept);
    }
    sent
}

/// Returns the number of a completed order, from its answer.
fn done(text: &str) -> Option<u64> {
    let answer: serde_json::Value = serde_json::from_str(text.strip_prefix("done ")?).ok()?;
    assert!(answer.get("err").is_none(), "{answer}");
    answer["n"].as_u64()
}
