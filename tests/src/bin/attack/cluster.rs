//! Attacks on a cluster by somebody who can log in to its NATS, as parlor does, and has no key of it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use parlor_tests::host::{Home, Host};
use parlor_tests::nats::{CLUSTER_KEY, KEY_FILE, Nats};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use crate::between::kept_in;
use crate::case::{Case, case};
use crate::secrets::has_none;
use crate::stage::{JULIET, NODE, PASSWORD, Plan, SOON, Stage, canary};
use crate::stranger::{Heard, Stranger};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(167, "forged and older records of the plugins that the nodes of a cluster share", policies),
        case!(168, "requests to a node: forged, sent again, sent to another node", requests),
        case!(169, "secrets in the files of NATS, and on the way there", secrets),
        case!(170, "forged sessions, claims and drains, and a node that lies about its load", sessions),
    ]
}

/// The stream of the cluster's state.
const STATE: &str = "PARLOR_suite_STATE";
/// The name of the second node.
const OTHER: &str = "two";
/// The room that the neighbour may write to for a while.
const ROOM: &str = "rooms.send=den@rooms.localhost";
/// How often each request is sent again.
const AGAIN: usize = 10;
/// The largest message that is sent, in bytes. The server takes a mebibyte.
const LARGE: usize = 1_000_000;
/// The time between two renewals of a session.
const RENEWAL: Duration = Duration::from_millis(400);
/// How often a made-up session is renewed at most.
const RENEWALS: u64 = 150;
/// The time between two questions about something that is about to change.
const A_MOMENT: Duration = Duration::from_millis(50);

/// Starts a cluster whose only node is the host.
async fn node(trial: &mut Trial, change: impl FnOnce(Plan) -> Result<Plan>) -> Result<(&mut Stage, Stranger)> {
    let plan = change(Plan::new()?.node(Nats::start().await?)?)?;
    let stage = trial.start(plan).await?;
    let stranger = Stranger::connect(stage.nats()?.port()).await?;
    Ok((stage, stranger))
}

/// Returns a subject of the state.
fn place(name: &str) -> String {
    format!("parlor.suite.state.{name}")
}

/// Returns the form in which subjects have a name.
fn hash(name: &str) -> String {
    hex::encode(Sha256::digest(name.as_bytes()))
}

/// Returns bytes that say that they are sealed with the key of the cluster.
fn sealed_by_nobody() -> Result<Vec<u8>> {
    let id = hex::decode(CLUSTER_KEY.split(' ').next().unwrap_or_default())?;
    Ok([&[1][..], &id[..], &rand::random::<[u8; 32]>()[..], &[7; 100][..]].concat())
}

/// Writes a record that the node has to refuse, and waits until its log says so.
async fn refused(stage: &Stage, stranger: &mut Stranger, subject: &str, body: &[u8]) -> Result<()> {
    let before = stage.errors();
    stranger.plant(subject, body).await?;
    let shown = String::from_utf8_lossy(body);
    stage.wait_errors(before + 1).await.with_context(|| format!("on {subject}: {shown:.200}"))
}

/// Checks that the server takes no record of this size.
async fn too_long(stranger: &mut Stranger, subject: &str) -> Result<()> {
    let answer = stranger.put(subject, &[b'a'; 9 << 10]).await?;
    ensure!(!answer["error"].is_null(), "NATS takes 9 KiB: {answer}");
    Ok(())
}

/// Runs a command of the owner's, which has to succeed.
async fn done(home: &Home, command: &[&str]) -> Result<String> {
    let said = home.run(command).await?;
    ensure!(said.code == Some(0), "{command:?}: {said:?}");
    Ok(said.stdout)
}

/// Waits until the node has given so many versions of the policy to the cluster.
async fn given(stage: &Stage, versions: usize) -> Result<()> {
    stage.host.wait_count("plugins.toml was given to the other nodes", &[], versions, SOON).await.map(drop)
}

async fn policies(trial: &mut Trial) -> Result<String> {
    let (stage, mut stranger) = node(trial, Ok).await?;
    let subject = place("shared.version");
    given(stage, 1).await?;
    done(&stage.home, &["plugin", "grant", "echo", ROOM, "--yes"]).await?;
    given(stage, 2).await?;
    let older = stranger.last(STATE, &subject).await?;
    done(&stage.home, &["plugin", "revoke", "echo", ROOM]).await?;
    given(stage, 3).await?;
    let newest = stranger.last(STATE, &subject).await?;
    let file = stage.home.path().join("plugins.toml");
    let policy = std::fs::read_to_string(&file)?;
    // The text ends in a digit, a quotation mark and a brace.
    let mut flipped = newest.clone();
    let digit = flipped.len() - 3;
    flipped[digit] = if flipped[digit] == b'0' { b'1' } else { b'0' };
    let sealed = |digits: &str| json!({ "format": 3, "sealed": digits }).to_string().into_bytes();
    let forged = [
        b"nonsense".to_vec(),
        json!({ "format": 1, "number": 9, "digest": "0" }).to_string().into_bytes(),
        json!({ "format": 99, "sealed": "00" }).to_string().into_bytes(),
        sealed(&hex::encode(sealed_by_nobody()?)),
        sealed(&"a".repeat(7_900)),
        flipped,
        older,
    ];
    for record in &forged {
        refused(stage, &mut stranger, &subject, record).await?;
        ensure!(std::fs::read_to_string(&file)? == policy, "plugins.toml was changed");
    }
    too_long(&mut stranger, &subject).await?;
    stage.during().await?;
    done(&stage.home, &["reload"]).await?;
    given(stage, 4).await?;
    // In the place of the accounts, of which this cluster shares none.
    refused(stage, &mut stranger, &place("shared.accounts.version"), &newest).await?;
    ensure!(!stage.home.path().join("accounts.toml").exists(), "there is an accounts.toml");
    ensure!(std::fs::read_to_string(&file)? == policy, "plugins.toml was changed");
    Ok(format!("{} refused, each with the reason; what was revoked stays so, and the owner decides", forged.len() + 2))
}

/// Starts a second node of the cluster, with the same files.
async fn second(stage: &Stage) -> Result<(Home, Host)> {
    let home = Home::new()?;
    let ours = |name: &str| std::fs::read_to_string(stage.home.path().join(name));
    let (config, own) = (ours("parlor.toml")?, format!("node = \"{NODE}\""));
    ensure!(config.contains(&own), "no {own} in {config}");
    home.write("parlor.toml", &config.replacen(&own, &format!("node = \"{OTHER}\""), 1))?;
    for name in ["main.password", KEY_FILE] {
        home.write(name, &ours(name)?)?;
    }
    let mut host = home.start()?;
    host.wait("the host is a node of a cluster", &[("node", OTHER)], SOON).await?;
    Ok((home, host))
}

/// Returns the subject of requests to a node.
fn requests_to(node: &str, topic: &str) -> String {
    format!("parlor.suite.node.{}.{topic}", hash(node))
}

/// Returns requests that no node has written.
fn no_requests(genuine: &[u8]) -> Result<Vec<Vec<u8>>> {
    let head = json!({
        "format": 2, "id": "0123456789abcdef0123456789abcdef", "from": OTHER, "to": NODE, "reply": "_INBOX.stranger",
        "run": null, "at": 0, "within": 1000, "is_withdrawn": false, "is_question": true,
    });
    let mut flipped = genuine.to_vec();
    if let Some(last) = flipped.last_mut() {
        *last ^= 1;
    }
    Ok(vec![
        Vec::new(),
        format!("{head}\n{{}}").into_bytes(),
        sealed_by_nobody()?,
        flipped,
        genuine[..genuine.len() / 2].to_vec(),
        vec![1; LARGE],
    ])
}

async fn requests(trial: &mut Trial) -> Result<String> {
    let (stage, mut stranger) = node(trial, Ok).await?;
    let text = canary("said");
    stage.allow(&format!("iq:{JULIET}"));
    let (home, mut other) = second(stage).await?;
    stranger.listen("parlor.suite.node.>").await?;
    done(&home, &["say", JULIET, &text, "--new"]).await?;
    ensure!(stage.hear(JULIET).await? == text, "the account says something else");
    let own = requests_to(NODE, "control");
    let kept: Vec<_> = stranger.take_all().await?.into_iter().filter(|one| one.subject == own).collect();
    let Some(Heard { body: genuine, .. }) = kept.last() else { bail!("no request was heard") };
    let forged = no_requests(genuine)?;
    for subject in [&own, &requests_to(OTHER, "control"), &requests_to(NODE, "webhooks")] {
        for Heard { body, .. } in &kept {
            for _ in 0..AGAIN {
                stranger.send(subject, body).await?;
            }
        }
        for body in &forged {
            stranger.send(subject, body).await?;
        }
    }
    stranger.take_all().await?;
    // A genuine request comes after all of these, and is answered.
    let status: Value = serde_json::from_str(&done(&home, &["status", "--json"]).await?)?;
    ensure!(status["accounts"][0]["node"] == NODE, "the node does not answer: {status}");
    stage.during().await?;
    let times = stage.messages().iter().filter(|(_, said)| *said == text).count();
    ensure!(times == 1, "what a node asked for once was done {times} times");
    let told = "a request that came over NATS was refused; further ones like it are not logged";
    let told = stage.host_lines(told).len();
    ensure!((1..=8).contains(&told), "the log has {told} lines about requests that were refused");
    ensure!(other.stop(SOON).await?.success(), "the other node failed: {}", other.log().tail());
    Ok(format!("carried out once; {} requests by nobody have {told} lines in the log", 3 * forged.len()))
}

async fn secrets(trial: &mut Trial) -> Result<String> {
    let [token, greeting, stored] = ["token", "greeting", "stored"].map(canary);
    let (stage, mut stranger) = node(trial, |plan| {
        plan.home.write("caller.token", &format!("{token}\n"))?;
        plan.caller(|entry| {
            entry.grant_whole("storage").set("token", kept_in("caller.token")).set("greeting", greeting.as_str())
        })
    })
    .await?;
    given(stage, 1).await?;
    stage.open_storage().await?;
    stranger.listen("parlor.>").await?;
    stage.call("storage.set", &json!({ "key": "secret", "value": stored })).await?;
    let back = stage.call("storage.get", &json!({ "key": "secret" })).await?;
    ensure!(back["ok"] == stored.as_str(), "it is not stored: {back}");
    let secrets = [PASSWORD.as_str(), &token, &greeting, &stored];
    let heard = stranger.take_all().await?;
    ensure!(heard.iter().any(|one| one.subject.starts_with("parlor.suite.log.")), "no change went to NATS");
    for Heard { subject, body } in &heard {
        has_none(subject, &String::from_utf8_lossy(body), &secrets)?;
    }
    let deadline = Instant::now() + SOON;
    let files = loop {
        let files = stage.nats()?.stored()?;
        let files = String::from_utf8_lossy(&files).into_owned();
        // A mark that anybody who reads the disk may see: it shows that these are the files.
        if ["bot@localhost", "Parlor-Kind", "$O.PARLOR_suite_SHARED.C."].iter().all(|seen| files.contains(seen)) {
            break files;
        }
        ensure!(Instant::now() < deadline, "the files of NATS have no records");
        sleep(A_MOMENT).await;
    };
    has_none("a file of NATS", &files, &secrets)?;
    Ok(format!("none of {} is in {} KiB of files or in {} messages", secrets.len(), files.len() >> 10, heard.len()))
}

/// Writes records of sessions, claims and drains that no node writes.
async fn broken(stage: &Stage, stranger: &mut Stranger) -> Result<usize> {
    let session = "session.00000000000000ab.1";
    let (claim, drain) = (format!("account.{}", hash("evil@localhost")), format!("drain.{}", hash(NODE)));
    let node =
        |beat: u64, name: &str| json!({ "format": 1, "node": name, "capacity": 1, "beat": beat, "state": "open" });
    let account =
        |name: &str, token: u64| json!({ "format": 1, "account": name, "session": null, "token": token, "weight": 1 });
    let records = [
        ("session.x.y", json!({})),
        (session, json!("\u{1}")),
        (session, json!({ "format": 2 })),
        (session, node(u64::MAX, "evil")),
        (session, node(1, &"n".repeat(300))),
        (session, node(1, "evil\nplugins.toml is version 9, by node one")),
        (session, json!({ "format": 1, "node": "evil", "capacity": -1, "beat": 1, "state": "open" })),
        (&claim, account("other@localhost", 1)),
        (&claim, account("evil@localhost", u64::MAX)),
        (&claim, json!([[[[[]]]]])),
        (&drain, json!({ "format": 1, "node": "other", "is_draining": true })),
    ];
    for (name, record) in &records {
        refused(stage, stranger, &place(name), record.to_string().as_bytes()).await?;
    }
    for name in [session, &claim] {
        too_long(stranger, &place(name)).await?;
    }
    Ok(records.len())
}

/// Has the node take accounts that no file has.
async fn unknown_accounts(stage: &Stage, stranger: &mut Stranger) -> Result<()> {
    let unknown = "the configuration of this node lacks an account of the cluster, which only other nodes can run: write the same accounts on all nodes, or remove it with `parlor cluster remove`";
    for name in ["evil@localhost", "@"] {
        let (subject, errors) = (place(&format!("account.{}", hash(name))), stage.errors());
        let claim = json!({ "format": 1, "account": name, "session": null, "token": 5, "weight": 1 });
        stranger.plant(&subject, claim.to_string().as_bytes()).await?;
        if name == "evil@localhost" {
            stage.host.wait_count(unknown, &[("jid", name)], 1, SOON).await?;
        } else {
            stage.wait_errors(errors + 1).await.context("an account without an address")?;
        }
        // A claim that cannot be read ends what the node had by it.
        refused(stage, stranger, &subject, b"nonsense").await?;
    }
    Ok(())
}

/// Has the node give its account to one that says that it has room for everything.
async fn lie(stage: &mut Stage, stranger: &mut Stranger) -> Result<()> {
    let liar = place("session.00000000deadbeef.1");
    let mut beat = 0;
    while stage.host_lines("account given away").is_empty() {
        beat += 1;
        ensure!(beat <= RENEWALS, "a node with room for everything gets nothing: the case is no attack any more");
        let session = json!({ "format": 1, "node": "liar", "capacity": u32::MAX, "beat": beat, "state": "open" });
        stranger.plant(&liar, session.to_string().as_bytes()).await?;
        sleep(RENEWAL).await;
    }
    stage.come_back(2).await
}

/// Has the node be drained, which the owner takes back.
async fn drain(stage: &mut Stage, stranger: &mut Stranger) -> Result<()> {
    let record = json!({ "format": 1, "node": NODE, "is_draining": true });
    stranger.plant(&place(&format!("drain.{}", hash(NODE))), record.to_string().as_bytes()).await?;
    let deadline = Instant::now() + SOON;
    loop {
        let status: Value = serde_json::from_str(&done(&stage.home, &["cluster", "status", "--json"]).await?)?;
        if status["nodes"][0]["state"] == "draining" {
            break;
        }
        ensure!(Instant::now() < deadline, "nobody sees that the node is drained: {status}");
        sleep(A_MOMENT).await;
    }
    stage.during().await?;
    done(&stage.home, &["cluster", "drain", NODE, "--off"]).await.map(drop)
}

async fn sessions(trial: &mut Trial) -> Result<String> {
    let (stage, mut stranger) = node(trial, |plan| plan.caller(|entry| entry.grant_whole("storage"))).await?;
    stage.open_storage().await?;
    stage.call("storage.set", &json!({ "key": "kept", "value": "before" })).await?;
    let count = broken(stage, &mut stranger).await?;
    stage.during().await?;
    unknown_accounts(stage, &mut stranger).await?;
    drain(stage, &mut stranger).await?;
    ensure!(stage.host_lines("account given away").is_empty(), "the account was stopped");
    lie(stage, &mut stranger).await?;
    let kept = stage.call("storage.get", &json!({ "key": "kept" })).await?;
    ensure!(kept["ok"] == "before", "what it had stored is {kept}");
    stage.during().await?;
    Ok(format!("{count} broken records are reported; an account that a made-up node gets comes back with all it kept"))
}
