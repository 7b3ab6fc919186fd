//! Attacks on the operator's side: updates, broken files, and a machine that stops in the middle.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use parlor_tests::component::with_manifest;
use parlor_tests::host::Surroundings;
use parlor_tests::plugins;
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use serde_json::json;

use crate::case::{Case, case};
use crate::report::short;
use crate::stage::{Plan, SOON, Stage, seen_by};
use crate::trial::{Absent, Trial};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(79, "a permission asked for only by an update", greedy_update),
        case!(80, "a policy broken, half-written or of a newer version", broken_policy),
        case!(81, "SIGKILL in mid-write, mid-install, mid-upgrade", killed),
        case!(82, "disk full", disk_full),
        case!(83, "clock set back", clock_set_back),
        case!(84, "a granted plugin sets the operator's own settings", own_settings),
    ]
}

/// Builds this version of the plugin, with further lines among its permissions.
fn version(number: &str, more: &str) -> Result<Vec<u8>> {
    with_manifest(&plugins::built("unruly")?.bytes()?, |manifest| {
        let text = manifest.replacen("version = \"0.1.0\"", &format!("version = \"{number}\""), 1);
        text.replacen("[permissions]\n", &format!("[permissions]\n{more}\n"), 1)
    })
}

async fn greedy_update(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let one = stage.home.path().join("one.wasm");
    let two = stage.home.path().join("two.wasm");
    std::fs::write(&one, version("0.1.0", "")?)?;
    std::fs::write(&two, version("0.2.0", "\"stanza.send\" = { scope = [\"iq\"], reason = \"to take over\" }")?)?;
    let (one, two) = (one.display().to_string(), two.display().to_string());
    let added = stage
        .home
        .run(&[
            "plugin",
            "add",
            &one,
            "--id",
            "unruly",
            "--yes",
            "--grant=messages.read=mallory@localhost",
            "--grant=messages.send=mallory@localhost",
        ])
        .await?;
    ensure!(added.code == Some(0), "{added:?}");
    for more in [&[][..], &["--yes"][..]] {
        let update = stage.home.run(&[&["plugin", "update", "unruly", &two], more].concat()).await?;
        ensure!(update.code == Some(3), "an update that asks for more was taken: {update:?}");
    }
    stage.order("do ping").await?;
    ensure!(stage.answer().await? == "pong", "the old version does not go on");
    stage.during().await?;
    let plugin = stage.status("unruly").await.context("it is gone")?;
    ensure!(plugin["version"] == "0.1.0" && plugin["state"] == "running", "{}", short(&plugin));
    let removed = stage.home.run(&["plugin", "remove", "unruly", "--yes"]).await?;
    ensure!(removed.code == Some(0), "{removed:?}");
    Ok("waits for consent; the old version goes on".to_owned())
}

async fn broken_policy(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    let good = stage.policy.to_toml()?;
    let half: String = good.chars().take(good.len() * 2 / 3).collect();
    let broken = [
        half,
        "nonsense".to_owned(),
        format!("version = 99\n{good}"),
        format!("{good}\n[plugin.later]\nshape = \"of a newer version\"\n"),
        good.replace("enabled = true", "enabled = \"perhaps\""),
        good.replace("sha256:", "sha999:"),
        "\0\0\0\0".repeat(1_000),
        format!("{good}\n[plugin.echo]\nsource = \"twice\"\n"),
        "[plugin.echo]\n".to_owned(),
    ];
    for text in &broken {
        let before = stage.errors();
        stage.home.write("plugins.toml", text)?;
        stage.host.reload()?;
        stage.wait_errors(before + 1).await.with_context(|| format!("this policy was taken: {text:.200}"))?;
    }
    stage.during().await?;
    stage.order("do ping").await?;
    ensure!(stage.answer().await? == "pong", "a policy that cannot be read stopped a plugin");
    let policy = stage.policy.clone();
    stage.reload(policy).await?;
    Ok(format!("{} refused, each with its place; all go on as before", broken.len()))
}

async fn killed(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    // The owner's commands run on a second home, and are killed at moments ever closer to their end.
    let home = parlor_tests::host::Home::new()?;
    home.write("parlor.toml", &std::fs::read_to_string(stage.home.path().join("parlor.toml"))?)?;
    home.write("main.password", "any\n")?;
    home.set_policy(&Policy::default())?;
    let write = |number: &str| -> Result<String> {
        let path = home.path().join(format!("{number}.wasm"));
        std::fs::write(&path, version(number, "")?)?;
        Ok(path.display().to_string())
    };
    let (one, two) = (write("0.1.0")?, write("0.2.0")?);
    let add = ["plugin", "add", &one, "--id", "unruly", "--yes", "--grant-all"];
    let update = ["plugin", "update", "unruly", &two, "--yes"];
    let begin = std::time::Instant::now();
    ensure!(home.run(&add).await?.code == Some(0), "it cannot be installed");
    let takes = begin.elapsed();
    let (mut old, mut new) = (0, 0);
    for round in 0..30_u32 {
        let moment = takes * (round % 15) / 12;
        for (arguments, is_new) in [(&add[..], "unruly"), (&update[..], "0.2.0")] {
            if arguments[1] == "add" {
                home.run(&["plugin", "remove", "unruly", "--yes"]).await?;
            }
            let mut command = home.command(arguments)?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = parlor_tests::process::Process::start("parlor", command)?;
            tokio::time::sleep(moment).await;
            if process.ended()?.is_none() {
                process.signal(Signal::Kill)?;
            }
            process.wait(SOON).await?;
            let text = std::fs::read_to_string(home.path().join("plugins.toml"))?;
            let table: toml::Table = text.parse().context("a policy that is half written")?;
            let entry = table.get("plugin").and_then(|all| all.get("unruly"));
            if let Some(entry) = entry {
                let digest = entry["digest"].as_str().context("no digest")?;
                let file = home.path().join("data/components").join(&digest["sha256:".len()..]).with_extension("wasm");
                let bytes = std::fs::read(&file).context("what the policy names is not in the store")?;
                ensure!(plugins::digest_of(&bytes) == digest, "half a component is in the store");
            } else {
                ensure!(home.run(&add).await?.code == Some(0), "after a kill it cannot be installed any more");
            }
            if text.contains(is_new) { new += 1 } else { old += 1 }
        }
    }
    ensure!(old > 0 && new > 0, "no moment was in the middle: {old} old, {new} new");
    stage.during().await?;
    // The host itself is killed while a plugin writes. It starts again, and every acknowledged value is kept.
    let dying = Plan::new()?.caller(|entry| entry.grant_whole("storage"))?;
    let stage = trial.start(dying).await?;
    let mut acknowledged = 0;
    for number in 0..50 {
        let set = json!({ "key": format!("k{number:03}"), "value": "x".repeat(1_000) });
        stage.call("storage.set", &set).await?;
        acknowledged += 1;
    }
    stage.order_call(9, "storage.set", &json!({ "key": "half", "value": "x".repeat(9_000) })).await?;
    stage.kill_and_start().await?;
    stage.open_storage().await?;
    let keys = stage.call("storage.keys", &json!({ "prefix": "k" })).await?;
    let kept = keys["ok"].as_array().map_or(0, Vec::len);
    ensure!(kept == acknowledged, "{kept} of {acknowledged} values are there: {}", short(&keys));
    stage.during().await?;
    Ok(format!("old state {old} times, new state {new} times, never half; {kept} of {acknowledged} values kept"))
}

/// The size of the disk that holds the data folder, in bytes.
const DISK: u64 = 12 << 20;

async fn disk_full(trial: &mut Trial) -> Result<String> {
    let mut mount = Command::new("unshare");
    mount.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
    if !mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Err(Absent("this system lets no user mount a disk that could be full").into());
    }
    let plan =
        Plan::new()?.surroundings(Surroundings::SmallDisk(DISK)).caller(|entry| entry.grant("storage", &["64 MiB"]))?;
    let late = plan.home.install("late", &plugins::built("unruly")?)?;
    let stage = trial.start(plan).await?;
    stage.open_storage().await?;
    let mut kept = 0;
    for number in 0..10 {
        keep(stage, number, 20_000).await?.context("a value was refused while there was room")?;
        kept += 1;
    }
    // The host's own view of the disk, from outside.
    let data = seen_by(stage.host.id(), &stage.home.path().join("data"))?;
    fill(&data.join("filler"))?;
    // The database still accepts values while its files have free pages.
    let refused = loop {
        match keep(stage, kept, 200_000).await? {
            Ok(()) => kept += 1,
            Err(refused) => break refused,
        }
        ensure!(kept < 100, "nothing is refused on a full disk");
    };
    ensure!(refused.to_string().contains("the host's disk failed"), "it was refused for something else: {refused}");
    stage.during().await?;
    ensure!(
        stage.call("storage.get", &json!({ "key": "k0" })).await?.get("ok").is_some(),
        "what was kept cannot be read"
    );
    // A plugin that is added now runs, although its compiled code cannot be cached.
    let with = stage.policy.clone().with("late", late);
    stage.reload(with).await?;
    stage.logged("plugin running", "late").await?;
    stage.during().await?;
    let without = stage.policy.clone().without("late");
    stage.reload(without).await?;
    std::fs::remove_file(data.join("filler"))?;
    keep(stage, kept, 200_000).await?.context("a value was refused though there is room again")?;
    kept += 1;
    let keys = stage.call("storage.keys", &json!({ "prefix": "k" })).await?;
    let there = keys["ok"].as_array().map_or(0, Vec::len);
    ensure!(there == kept, "{there} of {kept} values are there: {}", short(&keys));
    ensure!(stage.host.lines("plugin ended", &[]).is_empty(), "a full disk ended a plugin");
    Ok(format!("{refused}; all {kept} values that were acknowledged are there, and it goes on when there is room"))
}

/// Stores a value of this length. The inner error is the plugin's.
async fn keep(stage: &mut Stage, number: usize, length: usize) -> Result<Result<()>> {
    let set = json!({ "key": format!("k{number}"), "length": length });
    let answer = stage.call("storage.set-long", &set).await?;
    Ok(if answer.get("ok").is_some() { Ok(()) } else { Err(anyhow!("{}", short(&answer["err"]))) })
}

/// Fills the disk.
fn fill(file: &Path) -> Result<()> {
    let mut file = std::fs::File::create(file).context("the disk of the host cannot be written to")?;
    for bytes in [64 << 10, 4 << 10, 1] {
        let block = vec![7_u8; bytes];
        while file.write_all(&block).is_ok() {
            ensure!(file.metadata()?.len() <= DISK, "the disk has no end");
        }
    }
    Ok(())
}

async fn clock_set_back(trial: &mut Trial) -> Result<String> {
    const DAY: i64 = 86_400;
    let mut plan = Plan::new()?.caller(|entry| entry.grant_whole("storage"))?;
    let clock = plan.home.path().join("clock");
    std::fs::write(&clock, 0_i64.to_ne_bytes())?;
    plan.home.set_environment("LD_PRELOAD", &plugins::program("libparlor_clock.so")?.display().to_string());
    plan.home.set_environment("PARLOR_CLOCK", &clock.display().to_string());
    let stage = trial.start(plan.named("intruder", "intruder", |entry| entry)?).await?;
    stage.open_storage().await?;
    let hour = json!({ "key": "hour", "value": "x", "expires": 3_600_000 });
    stage.call("storage.set", &hour).await?;
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    let mut lives = 1;
    for (wrong, what) in [
        (-DAY, "a day back"),
        (-now + 10, "in 1970"),
        (-now / 2, "half of it back"),
        (DAY / 48, "half an hour on"),
        (30 * 365 * DAY, "thirty years on"),
        (0, "right again"),
    ] {
        std::fs::write(&clock, wrong.to_ne_bytes())?;
        // It fails rarely enough not to be quarantined.
        lives += usize::from(wrong < 0);
        goes_on(stage, what, wrong, lives).await.with_context(|| format!("with the clock {what}"))?;
    }
    let connected = stage.host.lines("account connected", &[]).len();
    ensure!(connected == 1, "it was connected {connected} times");
    Ok("set back, to 1970, and on by thirty years: what waits goes by another clock, and nothing is lost".to_owned())
}

/// Checks that everything that depends on time works while the wall clock is wrong by this many seconds.
async fn goes_on(stage: &mut Stage, what: &str, wrong: i64, lives: usize) -> Result<()> {
    stage.during().await?;
    // A sleep takes as long as requested, with any wall clock.
    stage.call("timers.sleep", &json!({ "milliseconds": 20 })).await?;
    let hour = stage.call("storage.get", &json!({ "key": "hour" })).await?;
    // A value that has expired does not come back either.
    let may_be_gone = wrong > 3_600 || wrong == 0;
    ensure!(hour["ok"] == "x" || may_be_gone, "a value that lasts for an hour: {}", short(&hour));
    ensure!(hour["ok"].is_null() || wrong <= 3_600, "a value that lasted for an hour: {}", short(&hour));
    stage.call("storage.set", &json!({ "key": what, "value": what })).await?;
    let back = stage.call("storage.get", &json!({ "key": what })).await?;
    ensure!(back["ok"] == what, "{}", short(&back));
    // A plugin that fails is restarted after its pause.
    if wrong < 0 {
        stage.order_call(1, "action.panic", &json!(null)).await?;
    }
    stage.host.wait_count("plugin running", &[("plugin", "caller")], lives, SOON).await?;
    let status = stage.home.run(&["status", "--json"]).await?.json()?;
    ensure!(status["host"]["uptime"].is_u64(), "{}", short(&status));
    let usage: Vec<_> = status["plugins"].as_array().into_iter().flatten().map(|one| &one["usage"]["uptime"]).collect();
    ensure!(usage.len() == 3 && usage.iter().all(|up| up.is_u64()), "{}", short(&status));
    let shown = stage.home.run(&["status"]).await?;
    ensure!(shown.code == Some(0), "{shown:?}");
    Ok(())
}

async fn own_settings(trial: &mut Trial) -> Result<String> {
    let grants = |entry: parlor_tests::policy::Entry| entry.grant_whole("settings.write").grant_whole("settings.read");
    let stage = trial.start(Plan::new()?.caller(grants)?).await?;
    let keys = [
        "bosh_service_url",
        "websocket_url",
        "credentials_url",
        "prebind_url",
        "whitelisted_plugins",
        "blacklisted_plugins",
        "expose_rid_and_sid",
        "auto_login",
        "jid",
        "password",
        "authentication",
        "keepalive",
        "any_Url",
        "BOSH_SERVICE_URL",
    ];
    let mut denied = 0;
    for key in keys {
        for (call, args) in [
            ("settings.set", json!({ "key": key, "value": "https://evil.example" })),
            ("settings.set-many", json!({ "values": [["greeting", "x"], [key, true]] })),
            ("settings.update", json!({ "values": [[key, "https://evil.example"]] })),
        ] {
            let answer = stage.call(call, &args).await?;
            ensure!(answer["err"]["case"] == "denied", "{call} {key}: {}", short(&answer));
            denied += 1;
        }
    }
    stage.during().await?;
    // The update is applied as a whole or not at all: the valid setting next to the invalid one was not changed.
    let greeting = stage.call("settings.get", &json!({ "key": "greeting" })).await?;
    ensure!(greeting["ok"]["value"] == "hello", "{}", short(&greeting));
    Ok(format!("denied, {denied} times"))
}
