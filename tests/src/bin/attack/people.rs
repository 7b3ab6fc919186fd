//! Attacks by claims of entities and rooms about themselves and about people.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::report::short;
use crate::stage::{Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(131, "idle times, clocks and versions of others", claims),
        case!(132, "hats without end, and occupant ids of others", titles),
    ]
}

/// The account's full JID on the scripted server.
pub(crate) const FULL: &str = "bot@localhost/parlor";
/// An entity that is asked, and a room.
const NURSE: &str = "nurse@localhost/ward";
pub(crate) const HALL: &str = "hall@rooms.localhost";

/// Writes an answer as if this entity had sent it.
fn result(id: &str, from: &str, payload: &str) -> String {
    format!("<iq xmlns='jabber:client' type='result' id='{id}' from='{from}' to='{FULL}'>{payload}</iq>")
}

/// Returns claims of an entity: the call, the namespace of the request, answers that make no sense, and one that does.
fn claimed() -> [(&'static str, &'static str, Vec<String>, String); 3] {
    let last = |attributes: &str| format!("<query xmlns='jabber:iq:last' {attributes}/>");
    let time = |utc: &str, tzo: &str| format!("<time xmlns='urn:xmpp:time'><tzo>{tzo}</tzo><utc>{utc}</utc></time>");
    let absurd_times = [
        time("2026-01-01T00:00:00Z", "+99:00"),
        time("2026-01-01T00:00:00Z", &"+01:00".repeat(10_000)),
        time("-9999-01-01T00:00:00Z", "Z"),
        time("the end of days", "Z"),
        time("", ""),
    ];
    let absurd_idle = ["", "seconds='-1'", "seconds='99999999999999999999'", "seconds='18446744073709551615'"];
    let version = |name: &str| format!("<query xmlns='jabber:iq:version'><name>{name}</name></query>");
    let other = || vec!["<query xmlns='urn:x'/>".to_owned(), String::new()];
    [
        ("disco.last-activity", "jabber:iq:last", absurd_idle.map(last).into(), last("seconds='7'")),
        ("disco.time", "urn:xmpp:time", absurd_times.into(), time("2026-01-01T00:00:00Z", "Z")),
        ("disco.version", "jabber:iq:version", other(), version(&"x\n".repeat(100_000))),
    ]
}

async fn claims(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry.grant_whole("disco.read"))?).await?;
    stage.allow("iq:nurse@localhost");
    let asked = json!({ "jid": NURSE });
    let mut count = 0;
    for (call, namespace, absurd, genuine) in claimed() {
        stage.keep_requests(namespace);
        for (number, answer) in absurd.into_iter().chain([genuine.clone()]).enumerate() {
            stage.order_call(1, call, &asked).await?;
            let (id, _) = stage.request().await?;
            if number == 0 {
                for from in ["mallory@localhost/lair", "nurse@localhost", "localhost", "nurse@localhost.evil/ward"] {
                    stage.raw(result(&id, from, &genuine)).await?;
                }
                stage.during().await?;
            }
            stage.raw(result(&id, NURSE, &answer)).await?;
            let said = stage.answer().await?;
            ensure!(said.len() < 4 << 10, "{call} gave {} bytes", said.len());
            let said: Value = serde_json::from_str(said.strip_prefix("done ").context("it has not ended")?)?;
            let is_genuine = answer == genuine;
            let is_right = if is_genuine { said.get("ok").is_some() } else { said["err"]["case"] == "other" };
            ensure!(is_right, "{call} took {answer:.80} for {}", short(&said));
            count += usize::from(!is_genuine);
        }
    }
    stage.during().await?;
    Ok(format!("only who was asked is heard, {count} absurd answers are errors, and long ones are cut"))
}

/// Answers the host's next query for the hall's features.
async fn announce(stage: &mut Stage, features: &[&str]) -> Result<()> {
    let features: String = features.iter().flat_map(|feature| ["<feature var='", feature, "'/>"]).collect();
    loop {
        let (id, xml) = stage.request().await?;
        let is_hall = xml.contains(HALL);
        let from = if is_hall { HALL } else { "rooms.localhost" };
        let identity = "<identity category='conference' type='text'/>";
        let info = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{identity}{features}</query>");
        stage.raw(result(&id, from, &info)).await?;
        if is_hall {
            return Ok(());
        }
    }
}

/// Writes the presence of an occupant, with the data from the occupant or the room.
pub(crate) fn presence(nick: &str, codes: &str, said: &str) -> String {
    format!(
        "<presence xmlns='jabber:client' from='{HALL}/{nick}' to='{FULL}'>{said}<x \
         xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/>{codes}</x></presence>"
    )
}

/// Returns an occupant as the plugin sees it.
async fn occupant(stage: &mut Stage, nick: &str) -> Result<Value> {
    let all = stage.call("rooms.occupants", &json!({ "jid": HALL })).await?;
    let found = all["ok"].as_array().and_then(|all| all.iter().find(|one| one["nick"] == nick)).cloned();
    found.with_context(|| format!("{nick} is not in the room: {}", short(&all)))
}

/// Has the plugin enter the hall, which announces only that it is a room.
pub(crate) async fn enter(stage: &mut Stage) -> Result<()> {
    for address in [HALL, "iq:hall@rooms.localhost", "iq:rooms.localhost"] {
        stage.allow(address);
    }
    stage.keep_requests("disco#info");
    stage.order_call(1, "rooms.open", &json!({ "jid": HALL, "nick": "bot" })).await?;
    while !stage.wire().contains("hall@rooms.localhost/bot") {
        stage.during().await?;
    }
    stage.raw(presence("bot", "<status code='110'/>", "")).await?;
    stage
        .raw(format!("<message xmlns='jabber:client' from='{HALL}' to='{FULL}' type='groupchat'><subject/></message>"))
        .await?;
    announce(stage, &["http://jabber.org/protocol/muc"]).await?;
    while !stage.answer().await?.starts_with("done ") {}
    Ok(())
}

async fn titles(trial: &mut Trial) -> Result<String> {
    let grants = |entry: Entry| entry.grant("rooms.join", &[HALL]).grant("rooms.read", &[HALL]);
    let stage = trial.start(Plan::new()?.caller(grants)?).await?;
    enter(stage).await?;
    let hats = |count: usize, length: usize| {
        // Several of one URI would be one hat, with titles in several languages.
        let hat = |number: usize| format!("<hat uri='urn:x:{number}' title='{}'/>", "t".repeat(length));
        format!("<hats xmlns='urn:xmpp:hats:0'>{}</hats>", (0..count).map(hat).collect::<String>())
    };
    let id = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>";
    for (count, length) in [(1, 1), (10_000, 1), (1_000, 500), (1, 7_000)] {
        stage.raw(presence("mallory", "", &format!("{}{}", hats(count, length), id.repeat(1_000)))).await?;
    }
    stage.raw(presence("mallory", "", &format!("{}{id}", hats(3, 3)))).await?;
    let told = occupant(stage, "mallory").await?;
    ensure!(told["hats"] == json!([]) && told["occupant-id"] == Value::Null, "it was believed: {}", short(&told));
    stage.during().await?;

    // A room that announces them is believed, within the limits.
    stage
        .raw(format!(
            "<message xmlns='jabber:client' from='{HALL}' to='{FULL}' type='groupchat'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>"
        ))
        .await?;
    announce(stage, &["http://jabber.org/protocol/muc", "urn:xmpp:hats:0", "urn:xmpp:occupant-id:0"]).await?;
    // All of them go into one answer of the plugin.
    for number in 0..8 {
        stage.raw(presence(&format!("n{number}"), "", &hats(1_000, 500))).await?;
    }
    stage.raw(presence("mallory", "", &format!("{}{id}", hats(1_000, 500)))).await?;
    let told = occupant(stage, "mallory").await?;
    let kept = told["hats"].as_array().context("no hats")?;
    let longest = kept.iter().filter_map(|hat| hat[1].as_str()).map(str::len).max();
    ensure!(kept.len() == 16 && longest == Some(256), "{} hats, up to {longest:?}", kept.len());
    ensure!(told["occupant-id"] == "forged", "the room is not believed: {}", short(&told));
    stage.during().await?;
    Ok("not believed of a room that does not announce them, and else 16 hats of 256 bytes".to_owned())
}
