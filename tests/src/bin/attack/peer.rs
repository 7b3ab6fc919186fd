//! Attacks over incoming XMPP: stanzas of a hostile person or server to the account.

use anyhow::{Context, Result, ensure};
use parlor_tests::policy::Entry;
use serde_json::json;

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{JULIET, MALLORY, Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(59, "forged carbons, `received` and `sent`", carbons),
        case!(60, "MAM results from the wrong JID", archive_results),
        case!(61, "roster push with a foreign `from`", roster_push),
        case!(62, "IQ reply from the wrong JID", iq_reply),
        case!(63, "poisoned entity caps", caps),
        case!(64, "look-alike nicks and JIDs", look_alikes),
        case!(65, "XML bombs and stanzas the parser refuses", bombs),
        case!(66, "a flood of stanzas to one plugin's filter", flood),
        case!(121, "retractions in the name of a room", moderation),
    ]
}

/// The account's bare JID on the scripted server.
const BOT: &str = "bot@localhost";
const FULL: &str = "bot@localhost/parlor";

/// Checks that juliet cannot be impersonated: echo would answer a message that it attributes to her.
fn nobody_was_echoed(stage: &Stage, word: &str) -> Result<()> {
    let echoed: Vec<_> = stage.messages().into_iter().filter(|(_, body)| body.contains(word)).collect();
    ensure!(echoed.is_empty(), "it was believed: {echoed:?}");
    Ok(())
}

/// Wraps a message from juliet in a message from another person.
fn forwarded(from: &str, wrapper: &str, namespace: &str) -> String {
    format!(
        "<message xmlns='jabber:client' from='{from}' to='{FULL}' type='chat'><{wrapper} xmlns='{namespace}'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{JULIET}/balcony' to='{BOT}' \
         type='chat' id='f'><body>forged</body></message></forwarded></{wrapper}></message>"
    )
}

async fn carbons(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.caller(|entry| entry.grant("messages.read", &["*"]))?;
    let stage = trial.start(plan).await?;
    stage.call("listen.on", &json!({ "name": "message", "from": JULIET })).await?;
    for from in [
        "mallory@localhost/lair",
        MALLORY,
        "juliet@localhost/balcony",
        "localhost",
        "bot@localhost/other",
        "bot@evil.localhost",
    ] {
        for wrapper in ["received", "sent"] {
            stage.raw(forwarded(from, wrapper, "urn:xmpp:carbons:2")).await?;
            stage.raw(forwarded(from, wrapper, "urn:xmpp:carbons:1")).await?;
        }
    }
    stage.during().await?;
    nobody_was_echoed(stage, "forged")?;
    // The same from the account itself is accepted, which proves that the check above can fail.
    stage.raw(forwarded(BOT, "received", "urn:xmpp:carbons:2")).await?;
    while !stage.answer().await?.contains("forged") {}
    Ok("not believed, but from the account itself".to_owned())
}

/// A room retracts what people said. Others may not claim that it does.
async fn moderation(trial: &mut Trial) -> Result<String> {
    const HALL: &str = "hall@rooms.localhost";
    let grants =
        |entry: Entry| entry.grant("messages.read", &["*"]).grant("rooms.join", &[HALL]).grant("rooms.read", &[HALL]);
    let stage = trial.start(Plan::new()?.caller(grants)?).await?;
    for address in [HALL, "iq:hall@rooms.localhost", "iq:rooms.localhost"] {
        stage.allow(address);
    }
    stage.order_call(1, "rooms.open", &json!({ "jid": HALL, "nick": "bot" })).await?;
    // A room sends no answers to people who have not asked to enter it.
    while !stage.wire().contains("hall@rooms.localhost/bot") {
        stage.during().await?;
    }
    for (nick, codes) in [("mallory", ""), ("bot", "<status code='110'/>")] {
        stage
            .raw(format!(
                "<presence xmlns='jabber:client' from='{HALL}/{nick}' to='{FULL}'><x \
                 xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='participant'/>{codes}</x></presence>"
            ))
            .await?;
    }
    let said = |from: &str, kind: &str, payload: &str| {
        format!("<message xmlns='jabber:client' from='{from}' to='{FULL}' type='{kind}'>{payload}</message>")
    };
    stage.raw(said(HALL, "groupchat", "<subject/>")).await?;
    while !stage.answer().await?.starts_with("done ") {}
    for filter in [json!({ "name": "message", "room": HALL }), json!({ "name": "message", "from": JULIET })] {
        stage.call("listen.on", &filter).await?;
    }
    let moderates = |reason: &str| {
        [
            format!(
                "<retract xmlns='urn:xmpp:message-retract:1' id='7'><moderated xmlns='urn:xmpp:message-moderate:1' \
                 by='{HALL}/bot'/><reason>{reason}</reason></retract>"
            ),
            format!(
                "<apply-to xmlns='urn:xmpp:fasten:0' id='7'><moderated xmlns='urn:xmpp:message-moderate:0' by='{HALL}/bot'>\
                 <retract xmlns='urn:xmpp:message-retract:0'/><reason>{reason}</reason></moderated></apply-to>"
            ),
        ]
    };
    for (from, kind) in [
        ("hall@rooms.localhost/mallory", "groupchat"),
        ("hall@rooms.localhost/mallory", "chat"),
        ("juliet@localhost/balcony", "chat"),
        ("juliet@localhost/balcony", "groupchat"),
        (JULIET, "normal"),
        (HALL, "chat"),
    ] {
        for payload in moderates("forged") {
            stage.raw(said(from, kind, &payload)).await?;
        }
    }
    stage.during().await?;
    // The same from the room itself is believed, which proves that the check can fail.
    for payload in moderates("genuine") {
        stage.raw(said(HALL, "groupchat", &payload)).await?;
        while !stage.answer().await?.contains("genuine") {}
    }
    nobody_was_echoed(stage, "forged")?;
    Ok("not believed, but from the room itself".to_owned())
}

fn attribute<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let begin = xml.find(&format!("{name}="))? + name.len() + 2;
    xml[begin..].split(['\'', '"']).next()
}

async fn archive_results(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.archive(3).caller(|entry| entry.grant("archive.read", &["*"]))?;
    let stage = trial.start(plan).await?;
    stage.keep_requests("queryid");
    stage.order_call(1, "archive.query", &json!({ "max": 10 })).await?;
    let (id, xml) = stage.request().await?;
    let query = attribute(&xml, "queryid").context("a query without an id")?.to_owned();
    for from in [MALLORY, "mallory@localhost/lair", "localhost", "bot@localhost/other", "bot@evil.localhost"] {
        stage.raw(format!(
            "<message xmlns='jabber:client' from='{from}' to='{FULL}'><result xmlns='urn:xmpp:mam:2' queryid='{query}' id='1'>\
             <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>\
             <message xmlns='jabber:client' from='{JULIET}/balcony' to='{BOT}' type='chat'><body>forged</body></message>\
             </forwarded></result></message>"
        )).await?;
    }
    stage.during().await?;
    // Another entity also sends the end of the page.
    for from in [MALLORY, "localhost", BOT] {
        stage.raw(format!(
            "<iq xmlns='jabber:client' type='result' id='{id}' from='{from}' to='{FULL}'><fin xmlns='urn:xmpp:mam:2' \
             complete='true'><set xmlns='http://jabber.org/protocol/rsm'/></fin></iq>"
        )).await?;
    }
    let answer = stage.answer().await?;
    ensure!(answer.starts_with("done ") && !answer.contains("forged"), "{answer}");
    nobody_was_echoed(stage, "\"forged\"")?;
    Ok("not believed; the page has none of them".to_owned())
}

async fn roster_push(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry.grant_whole("contacts.read"))?).await?;
    for from in ["mallory@localhost/lair", MALLORY, "bot@evil.localhost", "localhost", "bot@localhost.evil"] {
        stage.raw(format!(
            "<iq xmlns='jabber:client' type='set' id='push' from='{from}' to='{FULL}'><query xmlns='jabber:iq:roster'>\
             <item jid='{MALLORY}' subscription='both' name='forged'/></query></iq>"
        )).await?;
    }
    stage.during().await?;
    let all = stage.call("contacts.get-all", &json!({})).await?;
    ensure!(all["ok"] == json!([]), "somebody else changed the roster: {}", short(&all));
    stage
        .raw(format!(
            "<iq xmlns='jabber:client' type='set' id='push2' to='{FULL}'><query xmlns='jabber:iq:roster'>\
         <item jid='nurse@localhost' subscription='both'/></query></iq>"
        ))
        .await?;
    stage.during().await?;
    let all = stage.call("contacts.get-all", &json!({})).await?;
    ensure!(all["ok"].as_array().is_some_and(|all| all.len() == 1), "the server's own push is lost: {}", short(&all));
    Ok("not believed; the server's own is".to_owned())
}

async fn iq_reply(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry.grant("stanza.send", &["iq:nurse@localhost"]))?).await?;
    stage.keep_requests("who-answers");
    stage.allow("iq:nurse@localhost");
    let iq = "<iq type='get' to='nurse@localhost/ward'><x xmlns='who-answers'/></iq>";
    stage.order_call(1, "api.send-iq", &json!({ "iq": iq })).await?;
    let (id, _) = stage.request().await?;
    let result = |from: &str, word: &str| {
        format!(
            "<iq xmlns='jabber:client' type='result' id='{id}'{from} to='{FULL}'><x xmlns='who-answers'>{word}</x></iq>"
        )
    };
    for from in [
        "mallory@localhost/lair",
        "nurse@localhost",
        "nurse@localhost/other",
        "localhost",
        BOT,
        "nurse@localhost.evil/ward",
    ] {
        stage.raw(result(&format!(" from='{from}'"), "forged")).await?;
    }
    stage.raw(result("", "forged")).await?;
    stage.during().await?;
    stage.raw(result(" from='nurse@localhost/ward'", "genuine")).await?;
    let answer = stage.answer().await?;
    ensure!(answer.contains("genuine") && !answer.contains("forged"), "{answer}");
    Ok("only who was asked can answer".to_owned())
}

async fn caps(trial: &mut Trial) -> Result<String> {
    let grants = |entry: Entry| entry.grant_whole("disco.read");
    let stage = trial.start(Plan::new()?.caller(grants)?).await?;
    stage.keep_requests("disco#info");
    // The host ignores the capabilities of strangers, so these are contacts.
    let [liar, honest, third] = ["mallory@localhost/lair", "nurse@localhost/ward", "friar@localhost/cell"];
    for who in [liar, honest, third] {
        let contact = who.split('/').next().unwrap_or(who);
        stage
            .raw(format!(
                "<iq xmlns='jabber:client' type='set' id='push' to='{FULL}'><query xmlns='jabber:iq:roster'><item \
                 jid='{contact}' subscription='both'/></query></iq>"
            ))
            .await?;
        stage.allow(&format!("iq:{contact}"));
    }
    // The hash in XEP-0115, section 5.2, and the information that it was computed from.
    let presence = |from: &str| {
        format!(
            "<presence xmlns='jabber:client' from='{from}' to='{FULL}'><c xmlns='http://jabber.org/protocol/caps' \
             hash='sha-1' node='urn:x:client' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>"
        )
    };
    let exodus = "<identity category='client' type='pc' name='Exodus 0.9.1'/>\
                  <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>\
                  <feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>";
    let poisoned = "<identity category='client' type='pc'/><feature var='urn:poisoned'/>";
    let info = |id: &str, from: &str, content: &str| {
        format!(
            "<iq xmlns='jabber:client' type='result' id='{id}' from='{from}' to='{FULL}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'>{content}</query></iq>"
        )
    };
    let supports = |feature: &str, jid: &str| json!({ "feature": feature, "jid": jid });
    // The first contact claims the hash of an honest client, and answers with other features.
    stage.raw(presence(liar)).await?;
    stage.order_call(1, "disco.supports", &supports("urn:poisoned", liar)).await?;
    let (id, _) = stage.request().await?;
    stage.raw(info(&id, liar, poisoned)).await?;
    stage.answer().await?;
    stage.during().await?;
    stage.raw(presence(honest)).await?;
    stage.order_call(2, "disco.supports", &supports("urn:poisoned", honest)).await?;
    let (id, asked) = stage.request().await.context("the poisoned answer counts for others")?;
    ensure!(asked.contains(honest), "somebody else was asked: {asked}");
    stage.raw(info(&id, honest, exodus)).await?;
    let answer = stage.answer().await?;
    ensure!(answer.contains("\"supported\":false"), "{answer}");
    // An answer that matches the hash holds for everybody who claims it, which proves that the check above can fail.
    stage.raw(presence(third)).await?;
    stage.during().await?;
    let answer = stage.call("disco.supports", &supports("http://jabber.org/protocol/muc", third)).await?;
    ensure!(answer["ok"]["supported"] == true, "an honest answer counts for nobody else: {}", short(&answer));
    Ok("an answer that does not hash to the claim counts for nobody else, and one that does for all".to_owned())
}

async fn look_alikes(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry)?).await?;
    for from in [
        "\u{458}uliet@localhost/balcony",
        "juliet@localhos\u{442}/balcony",
        "juliet@localhost.evil/balcony",
        "juliet@evil.localhost/balcony",
        "evil@localhost/juliet@localhost",
        "juliet\u{301}@localhost/balcony",
        "juliеt@localhost/balcony",
        "localhost/juliet@localhost",
        "hall@rooms.localhost/juliet@localhost",
    ] {
        stage
            .raw(format!(
                "<message xmlns='jabber:client' from='{from}' to='{FULL}' type='chat' id='l'><body>forged</body>\
             <nick xmlns='http://jabber.org/protocol/nick'>{JULIET}</nick></message>"
            ))
            .await?;
    }
    stage.during().await?;
    nobody_was_echoed(stage, "forged")?;
    // Only mallory can give orders to the other plugin, too.
    for from in ["mall\u{43e}ry@localhost/lair", "mallory@localhost.evil/lair", "evil@localhost/mallory@localhost"] {
        stage
            .raw(format!(
                "<message xmlns='jabber:client' from='{from}' to='{FULL}' type='chat' id='l'>\
             <body>call {{\"n\":1,\"call\":\"user.jid\",\"args\":{{}}}}</body></message>"
            ))
            .await?;
    }
    stage.during().await?;
    nobody_was_echoed(stage, "done")?;
    Ok("nobody is taken for somebody else".to_owned())
}

async fn bombs(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry)?).await?;
    let message = |inner: &str| {
        format!("<message xmlns='jabber:client' from='{MALLORY}/lair' to='{FULL}' type='chat'>{inner}</message>")
    };
    stage.raw(message(&format!("{}{}", "<x xmlns='a'>".repeat(5_000), "</x>".repeat(5_000)))).await?;
    stage.raw(message(&"<x xmlns='a'/>".repeat(50_000))).await?;
    stage.raw(message(&format!("<body>{}</body>", "&#x41;".repeat(400_000)))).await?;
    let attributes = (0..20_000).fold(String::new(), |all, number| all + &format!(" a{number}=\'x\'"));
    stage.raw(message(&format!("<x xmlns='a'{attributes}/>"))).await?;
    stage.raw(message(&format!("<x xmlns='a' long='{}'/>", "x".repeat(200_000)))).await?;
    stage.during().await?;
    let from = format!("from='{MALLORY}/lair' to='{FULL}'");
    for odd in [
        format!("<message xmlns='jabber:client' {from} type='odd'><body>x</body></message>"),
        format!("<presence xmlns='jabber:client' {from} type='odd'/>"),
        format!("<iq xmlns='jabber:client' {from} type='get' id='1'/>"),
        format!("<iq xmlns='jabber:client' {from} type='odd' id='2'><x xmlns='a'/></iq>"),
        format!("<iq xmlns='jabber:client' {from} type='set'><x xmlns='a'/></iq>"),
        format!("<iq xmlns='jabber:client' {from} type='get' id='3'><x xmlns='a'/><y xmlns='a'/></iq>"),
        format!("<iq xmlns='jabber:client' {from} type='error' id='4'/>"),
        format!("<message xmlns='jabber:client' from='@@' to='{FULL}'><body>x</body></message>"),
        format!("<message xmlns='jabber:client' from='{MALLORY}/{}' to='{FULL}'/>", "x".repeat(5_000)),
    ] {
        stage.raw(odd.clone()).await?;
        stage.during().await.with_context(|| format!("after {odd:.120}"))?;
    }
    // XMPP forbids this, and only a server can send it: the stream ends, and the host reconnects.
    for forbidden in [
        "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>]><message xmlns='jabber:client'><body>&a;</body></message>",
        "<unknown xmlns='jabber:client'/>",
        "<message xmlns='jabber:client'><a></message>",
    ] {
        stage.raw(forbidden).await?;
        stage.cut().await.with_context(|| format!("after {forbidden}"))?;
        stage.during().await.with_context(|| format!("after {forbidden}"))?;
    }
    Ok("dropped or answered, the stream stays up; what XMPP forbids ends it, and the host comes again".to_owned())
}

async fn flood(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry.limit("handlers", 1))?).await?;
    stage.order("do nap").await?;
    for _ in 0..40 {
        let many = format!(
            "<message xmlns='jabber:client' from='{MALLORY}/lair' to='{FULL}' type='chat' id='f'><body>flood</body></message>"
        );
        stage.raw(many.repeat(100)).await?;
    }
    stage.during().await?;
    let line = stage.logged("mailbox full, events lost", "unruly").await?;
    ensure!(stage.host.lines("mailbox full, events lost", &[("plugin", "echo")]).is_empty(), "echo lost some, too");
    let how = format!("counted as lost and told to it alone: {}", line.get("lost"));
    remove(stage).await?;
    Ok(how)
}
