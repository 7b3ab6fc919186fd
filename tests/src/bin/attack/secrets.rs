//! Attacks on secrets: canaries are planted wherever secrets are kept, and looked for wherever they might leak.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_tests::component::{graft, with_manifest};
use parlor_tests::memories;
use parlor_tests::plugins::built;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::between::kept_in;
use crate::case::{Case, case};
use crate::stage::{JULIET, PASSWORD, Plan, SOON, Stage, canary};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(72, "secrets in errors", errors),
        case!(73, "settings read back", read_back),
        case!(74, "Debug output at trace", debug_output),
        case!(75, "backtraces", backtraces),
        case!(76, "events that show stanzas", events),
        case!(77, "own vCard, disco and PEP answers", own_answers),
        case!(78, "HTTP fetch of `credentials_url`", credentials_url),
        case!(175, "a secret under `[settings]` of a plugin that does not run", not_running),
    ]
}

/// The log filter that shows everything except for the compiler's lines.
pub(crate) const TRACE: &str = "trace,cranelift=info,wasmtime=info,regalloc2=info";
/// The victim's secret setting.
static TOKEN: LazyLock<String> = LazyLock::new(|| canary("token"));
/// A setting of the victim's that is not secret, but that no other plugin may read either.
static GREETING: LazyLock<String> = LazyLock::new(|| canary("greeting"));
/// The value that the victim stored.
static STORED: LazyLock<String> = LazyLock::new(|| canary("stored"));
/// The text that juliet sent.
static SAID: LazyLock<String> = LazyLock::new(|| canary("said"));
/// Stands for the keys derived from the password, and the proof.
const MADE: &str = "what was made of the password";
/// The room that the other examples are granted. It has no occupants.
const ROOM: &str = "lobby@rooms.localhost";
/// The person whose messages make the snoop example act.
const IAGO: &str = "iago@localhost";

/// Returns all planted secrets.
fn planted() -> [&'static str; 5] {
    [PASSWORD.as_str(), TOKEN.as_str(), GREETING.as_str(), STORED.as_str(), SAID.as_str()]
}

/// A host with secrets in it: a victim with settings, one of them secret, and a stored value. The hostile plugin may
/// read the host's settings and listen to its own stanzas. The other examples in Rust run as well, so that the memory
/// of many plugins is searched.
async fn stage_of(trial: &mut Trial) -> Result<&mut Stage> {
    furnish(trial, plan()?).await
}

fn plan() -> Result<Plan> {
    let grants = |entry: Entry| {
        entry
            .grant_whole("settings.read")
            .grant_whole("storage")
            .grant_whole("disco.own")
            .grant_whole("status.read")
            .grant("vcard.read", &["*"])
            .grant("stanza.read", &["message", "presence", "iq"])
    };
    let plan = Plan::new()?.log(TRACE).metrics().caller(grants)?;
    let entry = plan.home.install("victim", &built("caller")?)?;
    plan.home.write("victim.token", &format!("{}\n", TOKEN.as_str()))?;
    let victim = entry.set("name", "victim").set("token", kept_in("victim.token")).set("greeting", GREETING.as_str());
    let in_rooms = |entry: Entry| entry.grant("rooms.read", &[ROOM]).grant("rooms.send", &[ROOM]);
    let greeter = in_rooms(plan.home.install("greeter", &built("greeter")?)?);
    let moderator = in_rooms(plan.home.install("moderator", &built("moderator")?)?);
    let moderator = moderator.grant("messages.read", &[ROOM]).grant("rooms.moderate", &[ROOM]);
    // The snoop example obeys iago: orders from mallory would lie in its memory, too.
    let snoop = plan.home.install("snoop", &built("snoop")?)?;
    let snoop = snoop.grant("messages.read", &[IAGO]).grant("messages.send", &[IAGO]);
    let plan = plan.with("greeter", greeter).with("moderator", moderator).with("snoop", snoop);
    Ok(plan.with("victim", victim.grant_whole("storage")))
}

async fn furnish(trial: &mut Trial, plan: Plan) -> Result<&mut Stage> {
    let stage = trial.start(plan).await?;
    for plugin in stage.policy.plugin.keys() {
        stage.logged("plugin running", plugin).await?;
    }
    let set = json!({ "n": 1, "call": "storage.set", "args": { "key": "secret", "value": STORED.as_str() } });
    stage.call("api.emit", &json!({ "name": "victim.order", "payload": set })).await?;
    stage.open_storage().await?;
    Ok(stage)
}

/// Returns the base64 of the secret's middle, for each of the three offsets at which it may begin in the encoded data.
fn base64_middles(secret: &[u8]) -> Vec<String> {
    let middle = |skip: usize| {
        let rest = &secret[skip..];
        BASE64_STANDARD.encode(&rest[..rest.len() - rest.len() % 3])
    };
    (0..3).map(middle).collect()
}

/// Returns the secret as it is, in base64, in hex, as numbers, and URL-encoded.
pub(crate) fn disguises(secret: &[u8]) -> Vec<String> {
    let hex = hex::encode(secret);
    let url_coded = |is_kept: fn(u8) -> bool| {
        let coded = |byte: &u8| if is_kept(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
        secret.iter().map(coded).collect::<String>()
    };
    let numbers = format!("{secret:?}").trim_matches(['[', ']']).to_owned();
    let mut all = vec![String::from_utf8_lossy(secret).into_owned(), hex.to_uppercase(), hex, numbers];
    all.extend([url_coded(|_| false), url_coded(|byte| byte.is_ascii_alphanumeric())]);
    all.extend(base64_middles(secret));
    all
}

/// Returns the same for bytes that are not text. Keys are written in base64, which may be encoded again.
fn disguises_of_key(key: &[u8]) -> Vec<String> {
    [disguises(key), disguises(BASE64_STANDARD.encode(key).as_bytes())].concat()
}

/// Checks that the text contains none of the secrets in any disguise.
pub(crate) fn has_none(what: &str, text: &str, secrets: &[&str]) -> Result<()> {
    for secret in secrets {
        for disguise in disguises(secret.as_bytes()) {
            ensure!(!text.contains(&disguise), "{what} holds {secret} as {disguise}");
        }
    }
    Ok(())
}

/// Checks that the text contains nothing that was derived from the password in a log-in.
fn has_no_key(what: &str, text: &str, keys: &[Vec<u8>]) -> Result<()> {
    for disguise in keys.iter().flat_map(|key| disguises_of_key(key)) {
        ensure!(!text.contains(&disguise), "{what} holds {MADE} as {disguise}");
    }
    Ok(())
}

/// Looks for the secrets in everything that the host has written and everything that it shows.
async fn search(stage: &mut Stage, extra: &[Value]) -> Result<()> {
    stage.during().await?;
    let keys = stage.made_of_password();
    search_memory(stage, &keys).await?;
    let log = stage.host.log().all().join("\n");
    has_none("the log", &log, &planted())?;
    let mut shown = serde_json::to_string(extra)?;
    shown.push_str(&stage.metrics().await?);
    for arguments in [
        &["status", "--json"][..],
        &["status"],
        &["explain", "victim"],
        &["explain", "caller", "--json"],
        &["logs", "--json", "-n", "1000"],
        &["plugin", "list", "--json"],
        &["plugin", "inspect", "victim"],
        &["plugin", "config", "victim"],
        &["plugin", "config", "victim", "token"],
        &["plugin", "config", "caller", "--json"],
    ] {
        let finished = stage.home.run(arguments).await?;
        shown.push_str(&finished.stdout);
        shown.push_str(&finished.stderr);
    }
    has_none("what the command line shows", &shown, &[&PASSWORD, &TOKEN, &STORED, &SAID])?;
    let mallory: String =
        stage.messages().into_iter().filter(|(to, _)| !to.starts_with(JULIET)).map(|(_, body)| body + "\n").collect();
    has_none("what the hostile plugin says", &mallory, &planted())?;
    // Stored values belong in the data folder. The password and the token do not.
    let data = files(&stage.home.path().join("data"))?;
    has_none("the data folder", &data, &[&PASSWORD, &TOKEN, &SAID])?;
    has_no_key("the log", &log, &keys)?;
    has_no_key("what the command line shows", &shown, &keys)?;
    has_no_key("what the hostile plugin says", &mallory, &keys)?;
    has_no_key("the data folder", &data, &keys)
}

/// Looks for the secrets in all memory of the hostile plugin, also where it never asked for any. Also looks in the
/// memory of each plugin for secrets that are not its own.
async fn search_memory(stage: &mut Stage, keys: &[Vec<u8>]) -> Result<()> {
    // The orders lie in this memory as well, so they contain the words only in masked form.
    let masked = |word: &str| word.bytes().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>();
    let here = "canary-that-it-was-told";
    let mut words: Vec<_> = planted().into_iter().flat_map(|secret| disguises(secret.as_bytes())).collect();
    words.push(here.to_owned());
    let order = json!({ "masked": words.iter().map(|word| masked(word)).collect::<Vec<_>>(), "told": here });
    let found = stage.call("action.search", &order).await?["ok"].clone();
    // The word that the plugin got is found, which proves that the others would be found.
    ensure!(found == json!([words.len() - 1]), "its memory holds {found} of {words:?}");
    only_what_is_its_own(stage.host.id(), keys)
}

/// Searches the plugins' memory from outside. No plugin holds the password or anything derived from it. Only the victim
/// plugin may hold its secrets. Only the neighbour holds juliet's text.
fn only_what_is_its_own(host: u32, keys: &[Vec<u8>]) -> Result<()> {
    /// The name of a setting of the neighbour's.
    const NEIGHBOURS: &str = "room_prefix";
    let mut words: Vec<(&str, Vec<u8>)> = Vec::new();
    for secret in planted() {
        words.extend(disguises(secret.as_bytes()).into_iter().map(|one| (secret, one.into_bytes())));
    }
    for key in keys {
        // Most of a memory is zero, so a word that begins with zeros would be compared at nearly every position.
        let itself: Vec<u8> = key.iter().copied().skip_while(|byte| *byte == 0).collect();
        words.extend(
            [itself, BASE64_STANDARD.encode(key).into_bytes(), hex::encode(key).into_bytes()].map(|one| (MADE, one)),
        );
    }
    let looked_for: Vec<_> = words.iter().map(|(_, word)| word.as_slice()).chain([NEIGHBOURS.as_bytes()]).collect();
    let (mut victims, mut neighbours) = (0, 0);
    for memory in memories::found_in_each(host, &looked_for)? {
        let held: BTreeSet<_> =
            words.iter().zip(&memory).filter(|(_, found)| **found).map(|((secret, _), _)| *secret).collect();
        let is_neighbours = memory.last() == Some(&true);
        neighbours += usize::from(is_neighbours);
        match (is_neighbours, held.is_empty()) {
            (_, true) => {}
            (true, false) => ensure!(held == BTreeSet::from([SAID.as_str()]), "the neighbour's memory holds {held:?}"),
            (false, false) => {
                victims += 1;
                ensure!(
                    held.is_subset(&[TOKEN.as_str(), GREETING.as_str(), STORED.as_str()].into()),
                    "a plugin's memory holds {held:?}"
                );
            }
        }
    }
    ensure!(victims <= 1, "{victims} plugins hold what is the victim's");
    // The neighbour's memory was found, which proves that the others were searched as well.
    ensure!(neighbours >= 1, "the neighbour's memory was not found");
    Ok(())
}

/// Returns all files of a folder as text.
pub(crate) fn files(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            text.push_str(&files(&path)?);
        } else if path.is_file() {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path)?));
        }
    }
    Ok(text)
}

async fn errors(trial: &mut Trial) -> Result<String> {
    let stage = stage_of(trial).await?;
    let mut seen = Vec::new();
    for (call, args) in [
        ("api.send", json!({ "stanza": "<message to='juliet@localhost'/>" })),
        ("api.send-iq", json!({ "iq": "<iq type='get'><query xmlns='jabber:iq:auth'/></iq>" })),
        ("storage.get", json!({ "key": "" })),
        ("storage.compare-and-set", json!({ "key": "secret", "expected": "x", "value": "y" })),
        ("promises.add", json!({ "name": "connected" })),
        ("settings.set", json!({ "key": "password", "value": "x" })),
        ("settings.set", json!({ "key": "victim.token", "value": [1] })),
        ("settings.update", json!({ "values": [["token", 7]] })),
        ("tokens.get", json!({ "name": "sid" })),
        ("contacts.get-all", json!({})),
        ("commands.add", json!({ "name": "help", "help": "x", "usage": "" })),
    ] {
        seen.push(stage.call(call, &args).await?);
    }
    // The owner's own mistakes: a policy with an error right next to the secret.
    let (text, token) = (stage.policy.to_toml()?, TOKEN.as_str());
    for wrong in [
        format!("{text}\ntoken = \"{token}\"\n"),
        text.replace("\"victim.token\"", &format!("\"{token}\\q\"")),
        text.replace("\"victim.token\"", &format!("[\"{token}\"]")),
    ] {
        stage.home.write("plugins.toml", &wrong)?;
        let before = stage.errors();
        stage.host.reload()?;
        tokio::select! {
            errors = stage.wait_errors(before + 1) => errors?,
            read = stage.host.wait_count("policy read again", &[], 1, SOON) => drop(read?),
        }
        let checked = stage.home.run(&["plugin", "list"]).await?;
        has_none("an error of the command line", &(checked.stdout + &checked.stderr), &[token])?;
    }
    let policy = stage.policy.clone();
    stage.reload(policy).await?;
    search(stage, &seen).await?;
    Ok(format!("{} errors provoked, no secret in any", seen.len() + 3))
}

async fn read_back(trial: &mut Trial) -> Result<String> {
    let stage = stage_of(trial).await?;
    let mut seen = Vec::new();
    let keys = [
        "password",
        "credentials_url",
        "token",
        "victim.token",
        "victim.greeting",
        "plugin.victim.token",
        "account",
        "account.main.password",
        "jid",
        "password_file",
        "Token",
        "TOKEN",
    ];
    for key in keys {
        seen.push(stage.call("settings.get", &json!({ "key": key })).await?);
    }
    // A plugin that claims a name does not get the value that another plugin keeps under it.
    for values in [json!([["token2", "x"]]), json!([["victim.token", "x"]])] {
        seen.push(stage.call("settings.update", &json!({ "values": values })).await?);
    }
    seen.push(stage.call("settings.get", &json!({ "key": "victim.token" })).await?);
    // The snoop example tries everything that it was not granted.
    stage.allow(IAGO);
    let body = "<body>snoop</body>";
    let from = format!("from='{IAGO}/lair' to='bot@localhost/parlor'");
    stage.raw(format!("<message xmlns='jabber:client' type='chat' {from} id='snoop'>{body}</message>")).await?;
    while !stage.hear(IAGO).await?.starts_with("snooped ") {}
    search(stage, &seen).await?;
    Ok(format!("{} keys, no secret under any", keys.len()))
}

/// A plugin declares the name that another one keeps secret, while that one is disabled.
async fn not_running(trial: &mut Trial) -> Result<String> {
    const SECRET: &str = "[settings.token]\ntype = \"secret\"";
    let declares = |manifest: &str| manifest.replacen(SECRET, "[settings.token]\ntype = \"string\"", 1);
    let bytes = with_manifest(&built("caller")?.bytes()?, declares)?;
    let mut plan = Plan::new()?.named("victim", "caller", |entry| Entry { enabled: false, ..entry })?;
    plan.home.set("token", TOKEN.as_str())?;
    let plan = plan.bytes("caller", &bytes, |entry| entry.set("chat", true).grant_whole("settings.read"))?;
    let stage = trial.start(plan).await?;
    stage.logged("plugin running", "caller").await?;
    let told = stage.call("settings.get", &json!({ "key": "token" })).await?;
    has_none("the answer", &told.to_string(), &[TOKEN.as_str()])?;
    stage.during().await?;
    Ok("the plugin that declares the same name has no value".to_owned())
}

async fn debug_output(trial: &mut Trial) -> Result<String> {
    logs_in_twice(stage_of(trial).await?).await?;
    // In this log-in the stream carries a proof that is derived from the password, and helps whoever has it to guess
    // it.
    let stage = furnish(trial, plan()?.proving()).await?;
    logs_in_twice(stage).await?;
    let made = stage.made_of_password().len();
    ensure!(made == 8, "two log-ins by proof make 8 things of the password, and not {made}");
    Ok("four log-ins at trace, two of them by proof, no secret in the log".to_owned())
}

/// Logs in twice, and looks for secrets in everything that is logged about it.
async fn logs_in_twice(stage: &mut Stage) -> Result<()> {
    // Juliet's text must not appear in the log either.
    let said = SAID.as_str();
    let message = format!(
        "<message xmlns='jabber:client' from='{JULIET}/balcony' to='bot@localhost/parlor' id='s'><subject>{said}</subject></message>"
    );
    stage.raw(message).await?;
    // The host logs in again.
    stage.cut().await?;
    stage.during().await?;
    search(stage, &[]).await
}

async fn backtraces(trial: &mut Trial) -> Result<String> {
    let stage = stage_of(trial).await?;
    stage.order_call(1, "action.panic", &Value::Null).await?;
    let how = stage.ended("caller", "").await?;
    let trap = json!({ "n": 1, "call": "action.panic", "args": null });
    stage.host.wait_count("plugin running", &[("plugin", "caller")], 2, SOON).await?;
    stage.call("api.emit", &json!({ "name": "victim.order", "payload": trap })).await?;
    stage.logged("plugin ended", "victim").await?;
    let detail = stage.logged("how it ended", "caller").await?.get("detail");
    ensure!(detail.contains("wasm backtrace"), "the log is not at trace, so that nothing is shown by it: {detail}");
    stage.host.wait_count("plugin running", &[("plugin", "victim")], 2, SOON).await?;
    search(stage, &[]).await?;
    spells_out_no_name(trial).await?;
    Ok(format!("{how}; no secret in what is said of it"))
}

/// The names in a backtrace are the plugin's own. As a mangled C++ name, this one would expand to more text than
/// memory.
async fn spells_out_no_name(trial: &mut Trial) -> Result<()> {
    let ten_times = |name: String, place: char| name + "S_I" + &format!("S{place}_").repeat(10) + "E";
    let name = "0123456789".chars().fold("_Z1f1AIiiE".to_owned(), ten_times);
    let traps = format!("(module (func $start (@name \"{name}\") unreachable) (start $start))");
    let mut bytes = built("unruly")?.bytes()?;
    graft(&mut bytes, &wat::parse_str(traps)?)?;
    let plan = Plan::new()?.log("info,parlor_runtime=debug").bytes("grafted", &bytes, |entry| entry)?;
    let stage = trial.start(plan).await?;
    stage.during().await?;
    stage.ended("grafted", "it panicked or aborted").await?;
    let detail = stage.logged("how it ended", "grafted").await?.get("detail");
    ensure!(detail.contains(&name), "the name is not shown as it stands there: {detail}");
    Ok(())
}

/// The events of a plugin that tries to observe a log-in.
const HEARD: [&str; 7] = ["send", "stanza", "sendMessage", "connected", "beforeLogin", "reconnected", "messageSend"];

async fn events(trial: &mut Trial) -> Result<String> {
    let stage = stage_of(trial).await?;
    for (n, name) in HEARD.into_iter().enumerate() {
        let listen = json!({ "name": name, "xml": true, "own": true, "delayed": true });
        stage.order_call(u64::try_from(n)? + 10, "listen.on", &listen).await?;
        stage.answer().await?;
    }
    stage.cut().await?;
    // A message that the plugin may not see is not shown to it as a stanza either, but the victim's own text may be. So
    // only the secrets of the log-in are looked for here.
    stage.during().await?;
    let heard: String =
        stage.messages().into_iter().filter(|(to, _)| !to.starts_with(JULIET)).map(|(_, body)| body).collect();
    has_none("what it heard", &heard, &[&PASSWORD, &TOKEN, &STORED])?;
    let log = stage.host.log().all().join("\n");
    has_none("the log", &log, &[&PASSWORD, &TOKEN, &STORED])?;
    // A second plugin does not report what it hears, and so does not hear itself: it keeps everything in its memory.
    // The secret that it had to store with the victim was lost with its earlier run.
    let plan = plan()?;
    let caller = plan.policy.plugin["caller"].clone().set("listens", HEARD.join(","));
    let stage = furnish(trial, plan.with("caller", caller).proving()).await?;
    stage.order_call(1, "action.panic", &Value::Null).await?;
    stage.host.wait_count("plugin running", &[("plugin", "caller")], 2, SOON).await?;
    stage.cut().await?;
    search(stage, &[]).await?;
    let heard = stage.status("caller").await?["usage"]["handled"].as_u64().context("nothing is counted")?;
    ensure!(heard >= 40, "it heard no more than {heard} of what was sent");
    Ok("a log-in heard from the first stanza on, and none of its secrets in the memory of who heard it".to_owned())
}

async fn own_answers(trial: &mut Trial) -> Result<String> {
    let stage = stage_of(trial).await?;
    let mut seen = vec![stage.call("disco.own-features-get", &json!({})).await?];
    seen.push(stage.call("disco.own-identities-get", &json!({})).await?);
    seen.push(stage.call("vcard.get", &json!({ "jid": "bot@localhost" })).await?);
    // The answers that strangers get.
    for (id, payload) in [
        ("q1", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
        ("q2", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
        ("q3", "<vCard xmlns='vcard-temp'/>"),
        ("q4", "<query xmlns='jabber:iq:version'/>"),
        ("q5", "<query xmlns='jabber:iq:last'/>"),
        ("q6", "<time xmlns='urn:xmpp:time'/>"),
        ("q7", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub>"),
        ("q8", "<query xmlns='http://jabber.org/protocol/disco#info' node='http://jabber.org/protocol/commands'/>"),
    ] {
        stage
            .raw(format!(
                "<iq xmlns='jabber:client' type='get' id='{id}' from='mallory@localhost/lair' to='bot@localhost/parlor'>{payload}</iq>"
            ))
            .await?;
    }
    search(stage, &seen).await?;
    let wire = stage.wire();
    let after =
        wire.rfind("<auth").map_or(&wire[..], |at| wire[at..].split_once("</auth>").map_or("", |(_, rest)| rest));
    has_none("what strangers are answered", after, &[&PASSWORD, &TOKEN, &STORED])?;
    Ok("nothing of it is in any answer".to_owned())
}

async fn credentials_url(trial: &mut Trial) -> Result<String> {
    let key = canary("key");
    let server = TcpListener::bind("127.0.0.1:0")?;
    server.set_nonblocking(true)?;
    let mut with_password = plan()?;
    let url = format!("https://bot:{key}@{}/credentials?key={key}", server.local_addr()?);
    with_password.home.set("credentials_url", url)?;
    let stage = furnish(trial, with_password).await?;
    asks_for_the_address(stage, &key).await?;
    ensure!(server.accept().is_err(), "the host fetches from there though it has a password");
    // Here the host has the password only from this address.
    let stage = furnish(trial, plan()?.page(format!("/{key}"))).await?;
    asks_for_the_address(stage, &key).await?;
    Ok("the address and what it gives are shown to nobody; nothing is fetched where a password is configured"
        .to_owned())
}

async fn asks_for_the_address(stage: &mut Stage, key: &str) -> Result<()> {
    let mut seen = Vec::new();
    for name in ["credentials_url", "Credentials_URL", "credentials-url"] {
        seen.push(stage.call("settings.get", &json!({ "key": name })).await?);
        let set = json!({ "key": name, "value": "https://evil.example/" });
        seen.push(stage.call("settings.set", &set).await?);
    }
    // The host logs in again. The owner's address may be used, but must not be shown to anybody.
    stage.cut().await?;
    search(stage, &seen).await?;
    has_none("an answer", &serde_json::to_string(&seen)?, &[key])?;
    has_none("the log", &stage.host.log().all().join("\n"), &[key])?;
    let heard: String = stage.messages().into_iter().map(|(_, body)| body).collect();
    has_none("what plugins say", &heard, &[key])
}
