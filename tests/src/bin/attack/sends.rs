//! Attacks over outgoing XMPP: stanzas that a plugin may try to make the host send.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{JULIET, MALLORY, Plan, SOON, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(49, "forged `from`", forged_from),
        case!(50, "XML injection by attribute, text and namespace", injection),
        case!(51, "bytes that end the stream or are no stanza", no_stanza),
        case!(52, "entity, depth and attribute bombs handed to `send`", bombs),
        case!(53, "another plugin's IQ: its id guessed, its answer given", foreign_iq),
        case!(54, "roster, vCard, blocklist, PubSub without the grant", server_state),
        case!(55, "two bots answering each other for ever", loop_of_bots),
        case!(56, "mass joins", mass_joins),
        case!(57, "filling the outgoing queue", full_queue),
        case!(58, "what another plugin left unsent at a cut", sent_again),
        case!(177, "a way to log in as the account, asked of its server", another_log_in),
        case!(178, "stanzas in the name of other people, and log-ins to websites", as_others),
    ]
}

/// Grants only messages and IQs to mallory.
fn sharp(entry: Entry) -> Entry {
    entry.grant("stanza.send", &["message:mallory@localhost", "iq:mallory@localhost"])
}

/// Grants IQs to the account's own server, too.
fn asking_the_server(entry: Entry) -> Entry {
    entry.grant("stanza.send", &["message:mallory@localhost", "iq:mallory@localhost", "iq:localhost"])
}

fn stanza(xml: impl Into<String>) -> Value {
    json!({ "stanza": xml.into() })
}

async fn forged_from(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(sharp)?).await?;
    for from in [JULIET, "localhost", "bot@localhost/another", "bot@evil.localhost", "", " bot@localhost", "@"] {
        let xml = format!("<message to='{MALLORY}' from='{from}'><body>forged</body></message>");
        stage.refused("api.send", &stanza(xml), "invalid").await?;
        let xml = format!("<iq type='get' id='f1' to='{MALLORY}' from='{from}'><ping xmlns='urn:xmpp:ping'/></iq>");
        stage.refused("api.send-iq", &json!({ "iq": xml }), "invalid").await?;
    }
    stage.during().await?;
    ensure!(!stage.wire().contains("forged"), "it went out");
    Ok("invalid, and nothing went out".to_owned())
}

async fn injection(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(sharp)?).await?;
    let hook = "'/><message to=\"juliet@localhost\"><body>injected</body></message><x a='";
    let text = "</body></message><message to='juliet@localhost'><body>injected";
    stage.call("chats.send", &json!({ "jid": MALLORY, "body": text, "subject": hook, "thread": hook })).await?;
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;");
    for xml in [
        format!("<message to='{MALLORY}' id='{}'><body>one</body></message>", escaped(hook)),
        format!("<message to='{MALLORY}'><body>{}</body></message>", escaped(text)),
        format!("<message to='{MALLORY}'><x xmlns='{}'/></message>", escaped(hook)),
        format!("<message to='{MALLORY}'><body><![CDATA[{text}]]></body></message>"),
        format!("<message xmlns:juliet='{}' to='{MALLORY}'><juliet:x/></message>", escaped(hook)),
    ] {
        stage.call("api.send", &stanza(xml)).await?;
    }
    stage.refused("api.send", &stanza(format!("<message to='{MALLORY}/{hook}'/>")), "invalid").await?;
    stage.during().await?;
    let sent = stage.messages();
    ensure!(
        sent.iter().all(|(to, body)| to.starts_with(MALLORY) || body.starts_with("message ")),
        "another stanza came of it: {sent:?}"
    );
    Ok("each is one stanza to mallory, or invalid".to_owned())
}

async fn no_stanza(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(sharp)?).await?;
    let message = format!("<message to='{MALLORY}'><body>no stanza</body></message>");
    for xml in [
        "</stream:stream>".to_owned(),
        format!("{message}</stream:stream>"),
        format!("{message}{message}"),
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>".to_owned(),
        "<stream:features/>".to_owned(),
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(),
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>".to_owned(),
        "<r xmlns='urn:xmpp:sm:3'/>".to_owned(),
        "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>".to_owned(),
        format!("<?xml version='1.0'?>{message}"),
        format!("<?target data?>{message}"),
        format!("<!-- comment -->{message}"),
        format!("<message xmlns='jabber:server' to='{MALLORY}'><body>no stanza</body></message>"),
        "\0".to_owned(),
        String::new(),
        " ".to_owned(),
        "<message".to_owned(),
    ] {
        stage.refused("api.send", &stanza(xml), "invalid").await?;
    }
    stage.during().await?;
    ensure!(!stage.wire().contains("no stanza"), "it went out");
    Ok("invalid, and the stream stays up".to_owned())
}

async fn bombs(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| sharp(entry).limit("memory", "256 MiB"))?).await?;
    let entities = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>\
                    <message to='mallory@localhost'><body>&b;&b;</body></message>";
    stage.refused("api.send", &stanza(entities), "invalid").await?;
    let begin = format!("<message to='{MALLORY}'>");
    // A text that is too long for a message is built by the plugin itself.
    for (open, times) in [("<x xmlns='a'>", 18_000), ("<x>", 70_000), ("<x xmlns='a'/>", 17_000), ("&#x41;", 300_000)] {
        let repeated = json!({ "$repeat": [open, times] });
        stage.order_call(1, "api.send", &json!({ "stanza": repeated })).await?;
        let answer = stage.answer().await?;
        ensure!(answer.contains("\"case\":\"invalid\""), "{open} {times} times: {answer}");
    }
    for (open, close, times) in [("<x xmlns='a'>", "</x>", 2_000), ("<x xmlns='a'/>", "", 8_000)] {
        let xml = format!("{begin}{}{}</message>", open.repeat(times), close.repeat(times));
        stage.refused("api.send", &stanza(xml), "invalid").await?;
    }
    let attributes = (0..5_000).fold(String::new(), |all, number| all + &format!(" a{number}=\'x\'"));
    stage.refused("api.send", &stanza(format!("{begin}<x xmlns='a'{attributes}/></message>")), "invalid").await?;
    stage.during().await?;
    Ok("invalid, each of them".to_owned())
}

async fn foreign_iq(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.caller(|entry| entry.grant("stanza.send", &["iq"]))?;
    // The other plugin is a bystander whose request is not answered yet.
    let plan = plan.named("victim", "caller", |entry| {
        entry.set("chat", true).set("name", "victim").grant("stanza.send", &["iq:@localhost"])
    })?;
    let stage = trial.start(plan).await?;
    stage.keep_requests("slow-query");
    stage.allow("iq:nurse@localhost");
    // Both plugins receive the order and ask; each answer must reach the plugin that asked.
    let ask = json!({ "iq": "<iq type='get' to='nurse@localhost'><x xmlns='slow-query'/></iq>" });
    stage.order_call(7, "api.send-iq", &ask).await?;
    let first = stage.request().await?.0;
    let second = stage.request().await?.0;
    ensure!(first != second, "two requests have the id {first}");
    ensure!(first.len() >= 10 && second.len() >= 10, "ids that can be guessed: {first}, {second}");
    // The plugin sends its own IQ under a pending id, and an answer in its place.
    let forged = format!("<iq type='get' id='{first}' to='nurse@localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    stage.order_call(8, "api.send", &stanza(forged)).await?;
    for _ in 0..2 {
        let answer = stage.answer().await?;
        ensure!(answer.contains("\"case\":\"invalid\""), "an id that waits was taken: {answer}");
    }
    for kind in ["result", "error"] {
        let forged = format!("<iq type='{kind}' id='{second}' to='nurse@localhost'/>");
        stage.order_call(9, "api.send", &stanza(forged)).await?;
        for _ in 0..2 {
            let answer = stage.answer().await?;
            ensure!(answer.contains("\"case\":\"invalid\""), "an answer was taken: {answer}");
        }
    }
    stage.during().await?;
    for id in [&second, &first] {
        let payload = format!("<mark xmlns='slow-query' id='{id}'/>");
        let to = "bot@localhost/parlor";
        stage
            .raw(format!(
                "<iq xmlns='jabber:client' type='result' id='{id}' from='nurse@localhost' to='{to}'>{payload}</iq>"
            ))
            .await?;
        let answer = stage.answer().await?;
        ensure!(answer.contains(id.as_str()), "the answer to {id} went elsewhere: {answer}");
    }
    Ok("invalid; ids cannot be guessed, each answer came to who asked".to_owned())
}

async fn server_state(trial: &mut Trial) -> Result<String> {
    // It has a narrow grant, but not for IQs to everybody, and no grants of the other groupings.
    for grant in [sharp, asking_the_server] {
        let stage = trial.start(Plan::new()?.caller(grant)?).await?;
        change_the_account(stage).await?;
    }
    Ok("denied, also where the server itself may be asked; it was asked to change nothing".to_owned())
}

/// Tries to change what the server keeps for the account, with the password among it.
async fn change_the_account(stage: &mut Stage) -> Result<()> {
    for payload in [
        "<query xmlns='jabber:iq:roster'><item jid='evil@localhost'/></query>",
        "<vCard xmlns='vcard-temp'><FN>evil</FN></vCard>",
        "<block xmlns='urn:xmpp:blocking'><item jid='juliet@localhost'/></block>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:avatar:data'/></pubsub>",
        "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>",
        "<query xmlns='jabber:iq:register'><password>evil</password></query>",
    ] {
        for to in ["", " to='bot@localhost'", " to='bot@localhost/parlor'", " to='BOT@LOCALHOST.'", " to='localhost'"] {
            let iq = format!("<iq type='set' id='s1'{to}>{payload}</iq>");
            for (call, name) in [("api.send", "stanza"), ("api.send-iq", "iq")] {
                let answer = stage.call(call, &json!({ name: iq })).await?;
                let case = &answer["err"]["case"];
                ensure!(case == "denied" || (to.contains('.') && case == "invalid"), "{iq}: {}", short(&answer));
            }
        }
    }
    for (call, args) in [
        ("contacts.add", json!({ "jid": "evil@localhost" })),
        ("contacts.remove", json!({ "jid": JULIET })),
        ("vcard.set", json!({ "fn": "evil" })),
        ("rooms.set-bookmark", json!({ "jid": "hall@rooms.localhost" })),
        ("user.set-status", json!({ "value": "away" })),
        ("chats.send", json!({ "jid": JULIET, "body": "as if" })),
    ] {
        stage.refused(call, &args, "denied").await?;
    }
    stage.during().await
}

/// A plugin that had a password, a certificate or a token would have the account, also once it is removed.
async fn another_log_in(trial: &mut Trial) -> Result<String> {
    let grants = |entry: Entry| {
        let entry = entry.grant("stanza.send", &["iq", "message"]);
        // It tells mallory of each refusal.
        entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000)
    };
    let stage = trial.start(Plan::new()?.caller(grants)?).await?;
    let mut tries = 0;
    for (kind, payload) in [
        ("get", "<query xmlns='jabber:iq:register'/>"),
        ("get", "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>"),
        ("set", "<append xmlns='urn:xmpp:saslcert:1'><name>evil</name><x509cert>MIIB</x509cert></append>"),
        ("get", "<query xmlns='erlang-solutions.com:xmpp:token-auth:0'/>"),
        ("set", "<issue xmlns='https://xabber.com/protocol/auth-tokens'><client>evil</client></issue>"),
        ("set", "<enable xmlns='urn:xmpp:push:0' jid='evil.localhost' node='evil'/>"),
    ] {
        for to in ["", " to='bot@localhost'", " to='localhost'"] {
            let iq = format!("<iq type='{kind}' id='w1'{to}>{payload}</iq>");
            for (call, name) in [("api.send", "stanza"), ("api.send-iq", "iq")] {
                stage.refused(call, &json!({ name: iq }), "denied").await?;
                tries += 1;
            }
        }
    }
    stage.during().await?;
    Ok(format!("denied in each of {tries} requests, with every `iq` granted"))
}

/// A component with privileges at its server could write as each user of that server (XEP-0356), and a message can confirm a log-in to a
/// website (XEP-0070).
async fn as_others(trial: &mut Trial) -> Result<String> {
    let grants = |entry: Entry| {
        let entry = entry.grant("stanza.send", &["iq", "message", "presence"]);
        // It tells mallory of each refusal.
        entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000)
    };
    let stage = trial.start(Plan::new()?.caller(grants)?).await?;
    let said =
        format!("<message xmlns='jabber:client' from='{JULIET}' to='evil@localhost'><body>as if</body></message>");
    let forwarded = format!("<forwarded xmlns='urn:xmpp:forward:0'>{said}</forwarded>");
    let privileged = format!("<privilege xmlns='urn:xmpp:privilege:2'>{forwarded}</privilege>");
    let delegated = format!("<delegation xmlns='urn:xmpp:delegation:2'>{forwarded}</delegation>");
    let confirm =
        "<confirm xmlns='http://jabber.org/protocol/http-auth' id='a7' method='GET' url='https://evil.example/'/>";
    let moved = "<moved xmlns='urn:xmpp:moved:1'><new-jid>evil@localhost</new-jid></moved>";
    let others =
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='evil@localhost'/></addresses>";
    let mut tries = 0;
    for to in ["", " to='localhost'", " to='juliet@localhost'"] {
        for payload in [privileged.as_str(), &delegated, confirm, moved, others] {
            for stanza in [format!("<message{to}>{payload}</message>"), format!("<presence{to}>{payload}</presence>")] {
                stage.refused("api.send", &json!({ "stanza": stanza }), "denied").await?;
                tries += 1;
            }
        }
        for payload in [privileged.as_str(), &delegated] {
            let iq = format!("<iq type='set' id='o1'{to}>{payload}</iq>");
            stage.refused("api.send-iq", &json!({ "iq": iq }), "denied").await?;
            tries += 1;
        }
    }
    let roster = "<iq type='get' id='o2' to='juliet@localhost'><query xmlns='jabber:iq:roster'/></iq>";
    stage.refused("api.send-iq", &json!({ "iq": roster }), "denied").await?;
    stage.during().await?;
    Ok(format!("denied in each of {tries} stanzas, and the roster of somebody else, with all of `stanza.send` granted"))
}

async fn loop_of_bots(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.named("loop", "echo", |entry| {
        entry
            .grant("rooms.send", &["lobby@rooms.localhost"])
            .limit("messages_per_second", 10)
            .limit("messages_burst", 20)
    })?;
    let stage = trial.start(plan).await?;
    stage.order("and so on").await?;
    let begin = std::time::Instant::now();
    let mut turns = 0_u32;
    while turns < 40 {
        let again = stage.answer().await?;
        stage.order(&again).await?;
        turns += 1;
    }
    let took = begin.elapsed();
    // The burst is twenty, the rate ten a second.
    ensure!(took.as_millis() >= 1_500, "40 turns took {took:?}");
    stage.during().await?;
    Ok(format!("held to its limit: 40 turns in {:.1} s", took.as_secs_f64()))
}

async fn mass_joins(trial: &mut Trial) -> Result<String> {
    let grants = |entry: Entry, domain: &str| entry.grant("rooms.join", &[domain]).grant("rooms.read", &[domain]);
    // One is limited only by its rate, the other only by the number of rooms.
    let plan = Plan::new()?.caller(|entry| grants(entry, "@rooms.localhost").limit("rooms", 1_000))?.named(
        "joiner",
        "caller",
        |entry| {
            grants(entry, "@halls.localhost")
                .set("chat", true)
                .set("name", "joiner")
                .limit("messages_per_second", 100_000)
        },
    )?;
    let stage = trial.start(plan).await?;
    stage.logged("plugin running", "joiner").await?;
    // For this command the host opens a file of the store that stays open.
    stage.home.run(&["status", "joiner", "--json"]).await?.json()?;
    stage.begin_anew().await?;
    // Neither plugin may enter these rooms.
    let many = |domain: &str, count: u32| (0..count).map(|number| format!("room{number}@{domain}")).collect::<Vec<_>>();
    stage.order_call(1, "rooms.open-many", &json!({ "jids": many("elsewhere.localhost", 50) })).await?;
    for _ in 0..2 {
        let answer = stage.answer().await?;
        let answer: Value = serde_json::from_str(answer.strip_prefix("done ").context("no answer")?)?;
        let all = answer["ok"].as_array().cloned().unwrap_or_default();
        ensure!(all.len() == 50 && all.iter().all(|one| one["err"]["case"] == "denied"), "{}", short(&answer));
    }
    let entered = |stage: &Stage, domain: &str| {
        let wire = stage.wire();
        wire.split("<presence").filter(|one| one.contains(domain) && !one.contains("unavailable")).count()
    };
    let begin = std::time::Instant::now();
    for domain in ["rooms.localhost", "halls.localhost"] {
        for room in many(domain, 1_000) {
            stage.allow(&room);
        }
        stage.order_call(2, "rooms.open-many", &json!({ "jids": many(domain, 1_000) })).await?;
    }
    // One enters as many rooms as it may have. The other is held to a burst of fifty, and ten a second after that.
    while entered(stage, "@halls.localhost") < 100 || entered(stage, "@rooms.localhost") < 50 {
        stage.during().await?;
        ensure!(begin.elapsed() < SOON, "{} were entered", entered(stage, "@halls.localhost"));
    }
    stage.during().await?;
    let (slowly, at_once) = (entered(stage, "@rooms.localhost"), entered(stage, "@halls.localhost"));
    ensure!(at_once == 100, "{at_once} rooms were entered, and 100 are the most");
    let most = 50 + 10 * (usize::try_from(begin.elapsed().as_secs())? + 1);
    ensure!((50..=most).contains(&slowly), "{slowly} rooms were entered in {:?}", begin.elapsed());
    // The replacement has these rooms already, and does not enter as many again.
    let entry = stage.policy.plugin.get("joiner").context("there is no joiner")?.clone().limit("mailbox", 7);
    let policy = stage.policy.clone().with("joiner", entry);
    stage.reload(policy).await?;
    stage.logged("plugin replaced", "joiner").await?;
    let status = stage.home.run(&["status", "joiner", "--json"]).await?.json()?;
    let mut limits = status[0]["limits"].as_array().into_iter().flatten();
    let used = limits.find(|one| one["name"] == "rooms").map(|one| one["used"].clone()).unwrap_or_default();
    ensure!(used == 100.0, "{used} rooms are counted of the 100 that were entered");
    let policy = stage.policy.clone().without("joiner");
    stage.reload(policy).await?;
    remove(stage).await?;
    Ok(format!("{slowly} at its rate, {at_once} at most; the others wait or are over-limit"))
}

async fn full_queue(trial: &mut Trial) -> Result<String> {
    // One keeps to the default limits. The other has no effective limits, and fills the queues behind them.
    let plan = Plan::new()?.unruly(|entry| entry)?.caller(|entry| {
        entry
            .limit("messages_per_second", 1_000_000)
            .limit("messages_burst", 1_000_000)
            .limit("open_calls", 65_536)
            .limit("memory", "256 MiB")
            // An unoptimized host takes longer to check this much text than plugins may compute.
            .limit("cpu_slice", "10 s")
    })?;
    let stage = trial.start(plan).await?;
    stage.order("do flood-messages").await?;
    stage.during().await?;
    // The burst is fifty, the rate ten a second.
    for _ in 0..60 {
        ensure!(stage.answer().await?.starts_with("flood"), "something else was said");
    }
    let sent = stage.messages().iter().filter(|(_, body)| body.starts_with("flood")).count();
    ensure!(sent < 200, "{sent} were sent at once");
    let policy = stage.policy.clone().without("unruly");
    stage.reload(policy).await?;
    // The server stops reading. The buffers on both sides are finite, and the rest waits.
    stage.stop_reading(Duration::from_secs(4)).await?;
    stage.order_call(1, "action.send", &json!({ "jid": MALLORY, "times": 3_000, "length": 16_384 })).await?;
    let held = stage.status("caller").await?["usage"]["sent"].as_u64().context("nothing is counted")?;
    ensure!(held < 3_000, "all of it went out though nobody reads");
    // The answer comes once everything has been sent after all.
    while !stage.answer().await?.starts_with("done ") {}
    stage.during().await?;
    let policy = stage.policy.clone().without("caller");
    stage.reload(policy).await?;
    stage.during().await?;
    Ok(format!("slowed down to its rate; {held} of 3,000 out while the server took nothing"))
}

async fn sent_again(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.resuming().caller(|entry| entry)?.unruly(|entry| entry)?).await?;
    let words = json!({ "jid": MALLORY, "body": "last words" });
    stage.order_call(1, "chats.send", &words).await?;
    while stage.answer().await? != "last words" {}
    let policy = stage.policy.clone().without("caller");
    stage.reload(policy).await?;
    let again = stage.cut_and_resume().await?;
    // Only the unacknowledged message is sent again, once, to its recipient. The account owes this to the removed
    // plugin.
    let count = again.iter().filter(|body| *body == "last words").count();
    ensure!(count == 1, "it was sent {count} times after the cut: {again:?}");
    // Nothing of it is sent in another plugin's name or counted as its own.
    let sent = stage.status("unruly").await?["usage"]["sent"].clone();
    ensure!(sent == 0, "{sent} messages are counted as another plugin's");
    stage.during().await?;
    Ok("sent once after the cut, and as nobody else's".to_owned())
}
