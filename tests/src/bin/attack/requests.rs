//! Attacks by requests: those of strangers (IQs) that a plugin answers, and those of plugins to one another.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::between::order;
use crate::case::{Case, case};
use crate::cpu::remove;
use crate::stage::{MALLORY, Plan, Stage};
use crate::trial::Trial;
use crate::web::fast;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(122, "IQs of namespaces that the host keeps for itself", reserved),
        case!(123, "a flood of IQs from strangers", flood),
        case!(124, "an answer to a request to another plugin", foreign_request),
        case!(125, "a cycle of requests of plugins to one another", cycle),
        case!(165, "IQs of a namespace that two plugins want", claimed_twice),
    ]
}

const WEATHER: &str = "urn:example:weather";

/// Writes a request as if a client of this person had sent it.
fn iq(from: &str, id: &str, namespace: &str) -> String {
    format!(
        "<iq xmlns='jabber:client' type='set' id='{id}' from='{from}/lair' to='bot@localhost/parlor'>\
         <query xmlns='{namespace}'/></iq>"
    )
}

/// Returns how often the host has sent this text.
fn sent(stage: &Stage, text: &str) -> usize {
    stage.wire().matches(text).count()
}

async fn reserved(trial: &mut Trial) -> Result<String> {
    const RESERVED: [&str; 12] = [
        "jabber:iq:roster",
        "jabber:iq:version",
        "jabber:iq:register",
        "vcard-temp",
        "urn:xmpp:ping",
        "urn:xmpp:carbons:2",
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/pubsub",
        "urn:ietf:params:xml:ns:xmpp-bind",
        "http://jabber.org/protocol/http-auth",
        "urn:xmpp:delegation:2",
        "urn:xmpp:privilege:2",
    ];
    let stage = trial.start(Plan::new()?.caller(|entry| entry.grant("iq.answer", &["*"]))?).await?;
    stage.call("listen.on", &json!({ "name": "iq" })).await?;
    for (number, namespace) in RESERVED.iter().enumerate() {
        stage.raw(iq(MALLORY, &format!("reserved-{number}"), namespace)).await?;
        let grant = format!("iq.answer={namespace}");
        let granted = stage.home.run(&["plugin", "grant", "caller", &grant]).await?;
        ensure!(granted.code != Some(0), "{namespace} can be granted");
    }
    stage.during().await?;
    let answered = sent(stage, "reserved-");
    ensure!(answered == RESERVED.len(), "{answered} of {} are answered", RESERVED.len());
    // A request that the manifest lists is delivered, which proves that the others could have been.
    stage.raw(iq(MALLORY, "open", WEATHER)).await?;
    let first = stage.heard().await?;
    ensure!(first["event"]["payload"]["iq-request"]["namespace"] == WEATHER, "it heard of another one: {first}");
    stage.during().await?;
    Ok(format!("{} of them: the host answers, and no owner can grant them", RESERVED.len()))
}

async fn flood(trial: &mut Trial) -> Result<String> {
    let entry = |entry: Entry| entry.grant("iq.answer", &[WEATHER]).limit("iq_time", "1 s");
    let stage = trial.start(Plan::new()?.caller(entry)?).await?;
    stage.call("promises.add", &json!({ "name": "later" })).await?;
    stage.call("listen.on-and-wait", &json!({ "name": "iq", "promise": "later" })).await?;
    for round in 0..40 {
        let many = (0..100).map(|number| iq(&format!("{round}-{number}@localhost"), "flood", WEATHER));
        stage.raw(many.collect::<String>()).await?;
    }
    stage.during().await?;
    let busy = sent(stage, "<resource-constraint");
    ensure!(busy > 0, "nobody was refused");
    let status = stage.status("caller").await?;
    ensure!(status["state"] == "running", "{status}");
    remove(stage).await?;
    Ok(format!("64 wait at most: {busy} of 4000 were refused at once"))
}

/// A second plugin of the same kind, which answers requests and receives its orders as events.
fn victim(plan: Plan) -> Result<Plan> {
    let entry = plan.home.install("victim", &parlor_tests::plugins::built("caller")?)?;
    Ok(plan.with("victim", entry.set("name", "victim").grant("iq.answer", &[WEATHER])))
}

async fn foreign_request(trial: &mut Trial) -> Result<String> {
    let plan = victim(Plan::new()?.caller(|entry| entry.grant("iq.answer", &["urn:example:other"]))?)?;
    let stage = trial.start(plan).await?;
    stage.logged("plugin running", "victim").await?;
    stage.call("promises.add", &json!({ "name": "later" })).await?;
    for name in ["victim.done", "victim.heard"] {
        stage.call("listen.on", &json!({ "name": name })).await?;
    }
    let listens = order(7, "listen.on-and-wait", &json!({ "name": "iq", "promise": "later" }));
    stage.call("api.emit", &listens).await?;
    while stage.heard().await?["event"]["payload"]["json"]["n"] != 7 {}
    stage.raw(iq(MALLORY, "theirs", WEATHER)).await?;
    let id = loop {
        let event = stage.heard().await?;
        let request = &event["event"]["payload"]["json"]["event"]["payload"]["iq-request"];
        if let Some(id) = request["id"].as_str() {
            break id.to_owned();
        }
    };
    let xml = |word: &str| format!("<said xmlns='{WEATHER}'>{word}</said>");
    stage.refused("iq.answer", &json!({ "id": id, "xml": xml("forged") }), "not-found").await?;
    stage.refused("iq.refuse", &json!({ "id": id, "condition": "forbidden" }), "not-found").await?;
    // Nor by the id of the stanza, or one that may come next.
    for guess in ["theirs", "1", "2", ""] {
        stage.refused("iq.answer", &json!({ "id": guess, "xml": xml("forged") }), "not-found").await?;
    }
    let answers = order(8, "iq.answer", &json!({ "id": id, "xml": xml("genuine") }));
    stage.call("api.emit", &answers).await?;
    while stage.heard().await?["event"]["payload"]["json"]["n"] != 8 {}
    stage.during().await?;
    let wire = stage.wire();
    let answer = wire.split("id='theirs'").nth(1).context("the request is not answered")?;
    ensure!(answer.contains("genuine") && !wire.contains("<said xmlns='urn:example:weather'>forged"), "{answer:.200}");
    Ok("not-found, and the plugin that was asked answers".to_owned())
}

/// Asks another plugin, which must be refused since it would wait for itself.
async fn refused_as_cycle(stage: &mut Stage, ask: &Value) -> Result<()> {
    let answer = stage.call("plugins.call", ask).await?;
    let what = answer["err"]["what"].as_str().unwrap_or_default();
    ensure!(answer["err"]["case"] == "other" && what.contains("cycle"), "{ask} gave {answer}");
    Ok(())
}

async fn cycle(trial: &mut Trial) -> Result<String> {
    let entry = |entry: Entry| entry.grant("plugins.call", &["*"]).grant("plugins.answer", &["*"]);
    let plan = Plan::new()?.caller(entry)?;
    let other = plan.home.install("victim", &parlor_tests::plugins::built("caller")?)?;
    let plan = plan.with("victim", entry(other.set("name", "victim")));
    let stage = trial.start(plan).await?;
    stage.logged("plugin running", "victim").await?;
    for name in ["victim.done", "victim.heard"] {
        stage.call("listen.on", &json!({ "name": name })).await?;
    }
    stage.call("promises.add", &json!({ "name": "later" })).await?;
    stage.call("listen.on-and-wait", &json!({ "name": "request", "promise": "later" })).await?;
    let ask = |plugin: &str| json!({ "plugin": plugin, "name": "rate", "value": 1 });
    refused_as_cycle(stage, &ask("caller")).await?;
    // The other one waits for this one, which asks back.
    stage.call("api.emit", &order(7, "plugins.call", &ask("caller"))).await?;
    while stage.heard().await?["event"]["payload"]["plugin-request"]["plugin"] != "victim" {}
    refused_as_cycle(stage, &ask("victim")).await?;
    // It does not answer, but the asking plugin continues.
    while stage.heard().await?["event"]["payload"]["json"]["n"] != 7 {}
    stage.during().await?;
    let status = stage.status("victim").await?;
    ensure!(status["state"] == "running", "{status}");
    Ok("refused at once, and the request that is not answered ends by itself".to_owned())
}

async fn claimed_twice(trial: &mut Trial) -> Result<String> {
    const COUNT: usize = 40;
    let entry = |entry: Entry| fast(entry).grant("iq.answer", &[WEATHER]).limit("iq_time", "1 s");
    let plan = Plan::new()?.caller(entry)?;
    let other = plan.home.install("victim", &parlor_tests::plugins::built("caller")?)?;
    let stage = trial.start(plan.with("victim", entry(other.set("name", "victim")))).await?;
    stage.logged("plugin running", "victim").await?;
    for name in ["victim.done", "victim.heard"] {
        stage.call("listen.on", &json!({ "name": name })).await?;
    }
    stage.call("api.emit", &order(7, "listen.on", &json!({ "name": "iq" }))).await?;
    while stage.heard().await?["event"]["payload"]["json"]["n"] != 7 {}
    stage.call("listen.on", &json!({ "name": "iq" })).await?;
    let many = (0..COUNT).map(|number| iq(&format!("person-{number}@localhost"), &format!("twice-{number}"), WEATHER));
    stage.raw(many.collect::<String>()).await?;
    let (mut own, mut others) = (0, 0);
    while own + others < COUNT {
        let event = stage.heard().await?;
        let payload = &event["event"]["payload"];
        own += usize::from(payload["iq-request"]["namespace"] == WEATHER);
        others += usize::from(payload["json"]["event"]["payload"]["iq-request"]["namespace"] == WEATHER);
    }
    ensure!(own == 0 || others == 0, "both were asked: {own} and {others} times");
    // Neither plugin answers them, so the host does.
    let id = |number: usize| format!("id='twice-{number}'");
    while (0..COUNT).any(|number| sent(stage, &id(number)) == 0) {
        stage.during().await?;
    }
    for number in 0..COUNT {
        let answers = sent(stage, &id(number));
        ensure!(answers == 1, "{answers} answers to the request {number}");
    }
    Ok(format!("one of the plugins gets all {COUNT}, and each is answered once"))
}
