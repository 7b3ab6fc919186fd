//! Attacks on a component whose addresses become accounts when somebody writes to them.

use anyhow::{Context as _, Result, ensure};
use jid::BareJid;
use parlor_tests::policy::Entry;
use parlor_tests::server::{BOTS, BOTS_SECRET};
use serde_json::{Value, json};

use crate::bots::{Bots, Sent};
use crate::case::{Case, case};
use crate::stage::{MALLORY, Plan, SOON, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(171, "strangers flood new addresses of a component", flood),
        case!(172, "new addresses with the names of accounts that have grants", names_with_grants),
        case!(173, "everything but a text, to an address that was removed", removed),
        case!(174, "a plugin on an address that writes to new addresses", multiplying),
    ]
}

/// The group of the new accounts.
const GROUP: &str = "bots";
/// The number of accounts of the component at most, in the flood.
const LIMIT: usize = 24;
/// How many new addresses one person may write to in an hour.
const OF_A_PERSON: usize = 16;
/// How many addresses may wait for their accounts at a time.
const PLACES: usize = 256;
/// The number of further addresses in the flood, each by a person of its own.
const FLOOD: usize = 2_000;
/// A person whom nothing is granted.
const STRANGER: &str = "mallory@evil.example/lair";
/// The person who gives orders to plugins.
const MASTER: &str = "mallory@localhost/lair";
/// Nobody may write to this person.
const VICTIM: &str = "victim@elsewhere.example";

/// Plans a host whose component has new addresses by this pattern. Echo stays on the account with a server.
async fn plan(pattern: &str, limit: usize) -> Result<Plan> {
    let bots = Bots::listen().await?;
    let mut plan = Plan::new()?;
    plan.home.set("allow_non_roster_messaging", true)?;
    plan.home.add_group(GROUP)?;
    plan.home.add_component("bots", BOTS, BOTS_SECRET, bots.port())?;
    plan.home.amend_component("bots", "new_addresses", vec![format!("{pattern}@{BOTS}")])?;
    plan.home.amend_component("bots", "new_addresses_group", GROUP)?;
    plan.home.amend_component("bots", "new_addresses_limit", i64::try_from(limit)?)?;
    let echo = plan.policy.plugin.get_mut("echo").context("the neighbour is there")?;
    echo.accounts = Some(vec!["main".to_owned()]);
    plan.bots = Some(bots);
    Ok(plan)
}

/// Adds a plugin that answers each message to one of the new accounts with the same.
fn answering(plan: Plan) -> Result<Plan> {
    plan.named("answers", "echo", |entry| {
        let entry = on(entry, &[&format!("group:{GROUP}")]);
        entry
            .grant("messages.read", &["*"])
            .grant("messages.send", &["*"])
            .grant("rooms.send", &["*"])
            .limit("messages_per_second", 10_000)
    })
}

/// Keeps a plugin to these accounts.
fn on(mut entry: Entry, accounts: &[&str]) -> Entry {
    entry.accounts = Some(accounts.iter().map(|one| (*one).to_owned()).collect());
    entry
}

/// Starts the host, and waits for its component.
async fn start(trial: &mut Trial, plan: Plan) -> Result<&mut Stage> {
    let stage = trial.start(plan).await?;
    stage.host.wait_count("component connected", &[("component", BOTS)], 1, SOON).await?;
    Ok(stage)
}

fn bots(stage: &mut Stage) -> Result<&mut Bots> {
    stage.bots.as_mut().context("the host has no component")
}

fn address(name: &str) -> String {
    format!("{name}@{BOTS}")
}

/// Says something to an address, and waits until it is answered with the same.
async fn is_answered(stage: &mut Stage, from: &str, to: &str, body: &str) -> Result<()> {
    let bots = bots(stage)?;
    bots.say(from, to, body)?;
    bots.wait(&format!("the answer of {to}"), SOON, |sent| sent.bare("from") == to && sent.says(body)).await.map(drop)
}

/// Returns the names of the accounts that are in the group.
async fn names(stage: &Stage) -> Result<Vec<String>> {
    let listed = stage.home.run(&["account", "list", "--names", "--group", GROUP]).await?;
    ensure!(listed.code == Some(0), "the accounts cannot be listed: {listed:?}");
    Ok(listed.stdout.lines().map(str::to_owned).collect())
}

/// Removes an account, as its owner does.
async fn remove(stage: &Stage, name: &str) -> Result<()> {
    let removed = stage.home.run(&["account", "remove", name, "--yes"]).await?;
    ensure!(removed.code == Some(0), "{name} cannot be removed: {removed:?}");
    Ok(())
}

/// Waits for what comes of so many messages that say this. Returns how many were answered, and how many came back.
async fn outcome(stage: &mut Stage, body: &str, count: usize) -> Result<(usize, usize)> {
    let (mut answered, mut returned) = (0, 0);
    let bots = bots(stage)?;
    for _ in 0..count {
        let is_one = |sent: &Sent| sent.says(body) || (sent.is("message") && sent.is_error());
        let one = bots.wait("what comes of a message", SOON, is_one).await?;
        if one.is_error() {
            returned += 1;
        } else {
            answered += 1;
        }
    }
    Ok((answered, returned))
}

/// Writes messages of so many people, each from a domain of its own and to a new address.
fn crowd(name: &str, count: usize, body: &str) -> String {
    let one = |number: usize| {
        let from = format!("{name}@{name}{number}.example/lair");
        let to = address(&format!("shop-{name}{number}"));
        format!("<message type='chat' from='{from}' to='{to}' id='{name}{number}'><body>{body}</body></message>")
    };
    (0..count).map(one).collect()
}

async fn flood(trial: &mut Trial) -> Result<String> {
    let stage = start(trial, answering(plan("shop-*", LIMIT).await?)?).await?;
    // It is the same person, with whatever client.
    for number in 0..OF_A_PERSON + 4 {
        let to = address(&format!("shop-{number}"));
        bots(stage)?.say(&format!("mallory@evil.example/{number}"), &to, "one person")?;
    }
    let ended = outcome(stage, "one person", OF_A_PERSON + 4).await?;
    ensure!(ended == (OF_A_PERSON, 4), "of one person, {} were answered, and {} came back", ended.0, ended.1);
    bots(stage)?.raw(crowd("many", 64, "many people"))?;
    let ended = outcome(stage, "many people", 64).await?;
    let rest = LIMIT - OF_A_PERSON;
    ensure!(ended == (rest, 64 - rest), "of many people, {} were answered, and {} came back", ended.0, ended.1);
    let before = names(stage).await?;
    ensure!(before.len() == LIMIT, "there are {} accounts, and {LIMIT} are the most", before.len());

    stage.begin_anew().await?;
    bots(stage)?.raw(crowd("flood", FLOOD, "flood"))?;
    is_answered(stage, "customer@shop.example/phone", &address("shop-0"), "still there?").await?;
    stage.during().await?;
    let is_refused = |sent: &Sent| sent.is_error() && sent.contains("service-unavailable");
    for _ in 0..PLACES {
        bots(stage)?.wait("what has waited comes back", SOON, is_refused).await?;
    }
    let is_put_off = |sent: &Sent| sent.is_error() && sent.contains("resource-constraint");
    ensure!(bots(stage)?.passed().any(is_put_off), "all {FLOOD} addresses could wait, and {PLACES} are the most");
    is_answered(stage, "customer@shop.example/phone", &address("shop-1"), "and you?").await?;
    stage.during().await?;
    ensure!(names(stage).await? == before, "the accounts are others now");
    Ok(format!(
        "{OF_A_PERSON} addresses by one person, {LIMIT} in all; others come back, and those with accounts answer"
    ))
}

async fn names_with_grants(trial: &mut Trial) -> Result<String> {
    let mut plan = answering(plan("*", 1_000).await?)?;
    plan.home.add_address("bots-desk", &address("desk0").parse::<BareJid>()?, "bots")?;
    let granted = ["main", "bots-desk", "ops-*", "admin*", "bots-*"];
    let plan = plan.named("ops", "caller", |entry| {
        on(entry, &granted).set("chat", true).grant("messages.read", &["*"]).grant("messages.send", &["*"])
    })?;
    let stage = start(trial, plan).await?;
    let order = json!({ "n": 1, "call": "chats.send", "args": { "jid": VICTIM, "body": "I am the owner" } });
    // Other letters that stand for the same ones: capitals, wide ones, an invisible hyphen, and a long s.
    let written = [
        ("ops-1", "ops-1"),
        ("OPS-2", "ops-2"),
        ("\u{ff4f}\u{ff50}\u{ff53}-3", "ops-3"),
        ("o\u{ad}ps-4", "ops-4"),
        ("op\u{17f}-5", "ops-5"),
        ("admin", "admin"),
        ("main", "main"),
        ("desk", "desk"),
        ("bots-desk", "bots-desk"),
    ];
    for (written, name) in written {
        let (to, bots) = (address(name), bots(stage)?);
        bots.say(MASTER, &address(written), &format!("call {order}"))?;
        let is_of = |sent: &Sent| sent.is("message") && sent.bare("from") == to && sent.bare("to") == MALLORY;
        let answer = bots.wait(&format!("an answer of {to}"), SOON, is_of).await?;
        ensure!(!answer.is_error() && !answer.contains(">done "), "{name}: {answer:?}");
    }
    let accounts = names(stage).await?;
    let are_of_component = accounts.iter().all(|name| name.starts_with("bots--"));
    ensure!(accounts.len() == written.len() && are_of_component, "strangers have chosen names: {accounts:?}");
    let status = stage.home.run(&["status", "--json"]).await?.json()?;
    let all = status["plugins"].as_array().into_iter().flatten().filter(|one| one["id"] == "ops");
    let mut places: Vec<_> = all.filter_map(|one| one["account"].as_str()).collect();
    places.sort_unstable();
    ensure!(places == ["bots-desk", "main"], "a plugin runs on {places:?} because of a stranger");
    bots(stage)?.catch_up(STRANGER, SOON).await?;
    let is_gained = bots(stage)?.passed().any(|sent| sent.bare("to") == VICTIM || sent.contains(">done "));
    ensure!(!is_gained, "an order of a stranger was carried out");
    stage.during().await?;
    // These accounts stay.
    stage.begin_anew().await?;
    Ok(format!("{} addresses become accounts with other names, and none has the plugin", written.len()))
}

/// Returns stanzas that are no text to one person: what they are, their types, and what is in them.
fn no_texts() -> Vec<(&'static str, &'static str, &'static str)> {
    let error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let mut all = vec![
        ("message", "chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
        ("message", "", "<active xmlns='http://jabber.org/protocol/chatstates'/>"),
        ("message", "chat", "<received xmlns='urn:xmpp:receipts' id='1'/>"),
        ("message", "chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"),
        ("message", "normal", "<x xmlns='jabber:x:conference' jid='den@rooms.localhost'/>"),
        ("message", "normal", "<subject>hello</subject>"),
        ("message", "groupchat", "<body>hello</body>"),
        ("message", "headline", "<body>hello</body>"),
        ("message", "error", "<body>hello</body>"),
        ("message", "error", error),
        ("iq", "get", "<ping xmlns='urn:xmpp:ping'/>"),
        ("iq", "set", "<query xmlns='jabber:iq:register'/>"),
        ("iq", "result", ""),
        ("iq", "error", error),
        ("presence", "error", error),
    ];
    all.extend(
        ["", "unavailable", "subscribe", "subscribed", "unsubscribe", "probe"].map(|kind| ("presence", kind, "")),
    );
    all
}

async fn removed(trial: &mut Trial) -> Result<String> {
    let stage = start(trial, answering(plan("shop-*", 1_000).await?)?).await?;
    let [one, two, three] = ["shop-1", "shop-2", "shop-3"].map(address);
    is_answered(stage, STRANGER, &one, "hello").await?;
    is_answered(stage, STRANGER, &two, "hello").await?;
    stage.begin_anew().await?;
    remove(stage, "bots--shop-1").await?;
    let stanzas = no_texts();
    for (name, kind, payload) in &stanzas {
        for to in [&one, &format!("{one}/parlor")] {
            bots(stage)?.stanza(name, kind, STRANGER, to, payload)?;
        }
    }
    bots(stage)?.catch_up(STRANGER, SOON).await?;
    stage.during().await?;
    // All addresses that wait become accounts at the same time.
    is_answered(stage, STRANGER, &three, "hello").await?;
    let left = names(stage).await?;
    ensure!(left == ["bots--shop-2", "bots--shop-3"], "the account is there again: {left:?}");
    remove(stage, "bots--shop-3").await?;
    is_answered(stage, STRANGER, &one, "are you back?").await?;
    ensure!(names(stage).await? == ["bots--shop-1", "bots--shop-2"], "only a text brings it back");
    Ok(format!("{} kinds of stanzas leave it away, and only a text brings it back", stanzas.len()))
}

async fn multiplying(trial: &mut Trial) -> Result<String> {
    let plan = plan("shop-*", 1_000).await?.caller(|entry| {
        let entry = on(entry, &[&format!("group:{GROUP}")]).limit("messages_per_second", 10_000);
        entry.grant("messages.send", &["*"]).grant("stanza.send", &["message"])
    })?;
    let stage = start(trial, plan).await?;
    let [own, other, last, later] = ["shop-0", "shop-1", "shop-100", "shop-200"].map(address);
    // A person may make both accounts.
    let hello = json!({ "jid": MALLORY, "body": "hello" });
    for to in [&own, &other] {
        ordered(stage, to, "chats.send", &hello).await?;
    }
    stage.begin_anew().await?;
    for number in 2..2 + 2 * OF_A_PERSON {
        let to = address(&format!("shop-{number}"));
        ordered(stage, &own, "chats.send", &json!({ "jid": to, "body": "multiply" })).await?;
        let comes_back = |sent: &Sent| sent.is_error() && sent.bare("from") == to && sent.bare("to") == own;
        bots(stage)?.wait(&format!("the message to {to} comes back"), SOON, comes_back).await?;
    }
    // It says that a person has written this.
    let forged = format!("<message type='chat' from='{STRANGER}' to='{last}'><body>multiply</body></message>");
    ordered(stage, &own, "api.send", &json!({ "stanza": forged })).await?;
    bots(stage)?.catch_up(STRANGER, SOON).await?;
    let is_forged = bots(stage)?.passed().any(|sent| sent.bare("to") == last && sent.bare("from") != own);
    ensure!(!is_forged, "a plugin has written in the name of somebody else");
    stage.during().await?;
    // All addresses that wait become accounts at the same time.
    ordered(stage, &later, "chats.send", &hello).await?;
    let accounts = names(stage).await?;
    ensure!(accounts == ["bots--shop-0", "bots--shop-1", "bots--shop-200"], "a plugin has made accounts: {accounts:?}");
    remove(stage, "bots--shop-200").await?;
    Ok(format!("{} messages to new addresses come back", 2 * OF_A_PERSON))
}

/// Has the plugin on an address make a call, and waits for the result.
async fn ordered(stage: &mut Stage, to: &str, call: &str, args: &Value) -> Result<()> {
    let bots = bots(stage)?;
    bots.say(MASTER, to, &format!("call {}", json!({ "n": 1, "call": call, "args": args })))?;
    let is_done = |sent: &Sent| sent.bare("from") == to && sent.bare("to") == MALLORY && sent.contains(">done ");
    bots.wait(&format!("the plugin on {to} makes the call"), SOON, is_done).await.map(drop)
}
