//! Attacks on encryption from end to end: keys that are forged or without end, messages that come twice, and texts that only look
//! encrypted. Those on OMEMO come in both of its versions, each with a host of its own.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_e2ee::omemo::{BundleParts, KeyMessage, Version};
use parlor_tests::counterparts::{AXOLOTL, OMEMO_2};
use parlor_tests::omemo::{self, Device};
use parlor_tests::peer::Request;
use parlor_tests::policy::Entry;
use rand::RngExt as _;
use serde_json::{Value, json};
use xmpp_parsers::minidom::Element;

use crate::case::{Case, case};
use crate::report::short;
use crate::stage::{MALLORY, Plan, SOON, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(139, "keys that are forged, weak, or not there", forged),
        case!(140, "a list of devices without end", endless),
        case!(141, "keys of messages that are none", broken),
        case!(142, "messages and keys that come twice", twice),
        case!(143, "more messages left out than keys are kept", skipped),
        case!(144, "other keys of a person who was verified", swapped),
        case!(145, "texts that only look like off-the-record messages", off_the_record),
        case!(146, "what was encrypted for somebody else's plugin", of_others),
        case!(161, "a device of a plugin's own among the account's, by raw stanzas", further_device),
    ]
}

/// The person who encrypts. The hostile plugin gets its orders from another person, unencrypted.
const TYBALT: &str = "tybalt@localhost";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// How many requests for keys one list may lead to.
const REQUESTS: usize = 300;

/// Defines a case that is tried by each version of OMEMO.
macro_rules! by_each_version {
    ($($case:ident: $by_version:ident),*) => {
        $(async fn $case(trial: &mut Trial) -> Result<String> {
            let mut ends = Vec::new();
            for version in Version::ALL {
                let end = Box::pin($by_version(trial, version)).await;
                ends.push(end.with_context(|| format!("by {version}"))?);
            }
            ends.dedup();
            Ok(ends.join("; by the newer version: "))
        })*
    };
}

by_each_version!(
    forged: forged_by,
    endless: endless_by,
    broken: broken_by,
    twice: twice_by,
    skipped: skipped_by,
    swapped: swapped_by
);

/// Tybalt's data on the server: his device list, and each device's bundle.
struct Published {
    version: Version,
    list: String,
    bundles: BTreeMap<u32, String>,
}

impl Published {
    /// The data that honest devices publish.
    fn of(version: Version, devices: &[&Device]) -> Self {
        let bundles = devices.iter().map(|device| (device.id(), omemo::bundle(version, &device.parts()))).collect();
        Self { version, list: omemo::list(version, devices.iter().map(|device| device.id())), bundles }
    }

    /// Answers a request about keys: publishing succeeds, and missing data is empty.
    fn answer(&self, request: &Request) -> Option<Vec<Element>> {
        let asked = String::from(&request.payload);
        if !request.payload.is("pubsub", PUBSUB) || !is_of_keys(&asked) {
            return None;
        }
        if asked.contains("<publish") {
            return Some(vec![request.result(None).into()]);
        }
        let is_his = request.to.as_ref().is_some_and(|to| to.to_bare().as_str() == TYBALT);
        let quoted = |rest: &str| rest.get(1..)?.split(['\'', '"']).next().map(str::to_owned);
        let node = asked.split("node=").nth(1).and_then(quoted)?;
        let is_of_bundles = node.starts_with(bundle_nodes(self.version));
        let (id, payload) = if is_of_bundles {
            let id = match self.version {
                Version::Axolotl => node.rsplit(':').next().map(str::to_owned),
                Version::Omemo2 => asked.split("<item id=").nth(1).and_then(quoted),
            };
            let device = id.as_ref().and_then(|id| id.parse::<u32>().ok());
            (id, device.and_then(|device| self.bundles.get(&device)))
        } else {
            (None, Some(&self.list).filter(|_| node == omemo::list_node(self.version)))
        };
        let id = id.filter(|_| self.version == Version::Omemo2).unwrap_or_else(|| "current".to_owned());
        let item = payload.filter(|_| is_his).map(|payload| format!("<item id='{id}'>{payload}</item>"));
        let items = item.unwrap_or_default();
        let answer = format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'>{items}</items></pubsub>");
        Some(vec![request.result(Some(answer.parse().ok()?)).into()])
    }
}

fn is_of_keys(xml: &str) -> bool {
    xml.contains(AXOLOTL) || xml.contains(OMEMO_2)
}

/// Returns how the names of the nodes of bundles begin.
fn bundle_nodes(version: Version) -> &'static str {
    match version {
        Version::Axolotl => "eu.siacs.conversations.axolotl.bundles:",
        Version::Omemo2 => "urn:xmpp:omemo:2:bundles",
    }
}

/// Starts a host whose plugin may send messages to everybody, and returns its device and the published bundle.
async fn begin(trial: &mut Trial, published: Published) -> Result<(&mut Stage, u32, Element)> {
    let grants = |entry: Entry| {
        let entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).limit("mailbox", 4_096);
        // It tells mallory of each event.
        entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000)
    };
    let (plan, version) = (Plan::new()?.caller(grants)?, published.version);
    let stage = trial.start(plan.answering(move |request| published.answer(request))).await?;
    for address in [TYBALT, "iq:tybalt@localhost"] {
        stage.allow(address);
    }
    let deadline = Instant::now() + SOON;
    loop {
        if let Some((id, bundle)) = own(version, &stage.wire()) {
            return Ok((stage, id, bundle));
        }
        ensure!(Instant::now() < deadline, "the host publishes no keys");
        stage.during().await?;
    }
}

/// Returns the host's device and its published bundle, from the sent stanzas.
fn own(version: Version, wire: &str) -> Option<(u32, Element)> {
    let (_, rest) = wire.split_once(bundle_nodes(version))?;
    let rest = match version {
        Version::Axolotl => rest,
        Version::Omemo2 => rest.split_once("<item id=")?.1.get(1..)?,
    };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let (begin, end) = (rest.find("<bundle")?, rest.find("</bundle>")?);
    Some((digits.parse().ok()?, rest.get(begin..end + "</bundle>".len())?.parse().ok()?))
}

/// Writes a message of tybalt's.
fn said(id: &str, payload: &str) -> String {
    format!(
        "<message xmlns='jabber:client' type='chat' from='{TYBALT}/home' to='bot@localhost' id='{id}'>{payload}</message>"
    )
}

/// Lets the plugin listen to messages and to undecryptable messages.
async fn listen(stage: &mut Stage) -> Result<()> {
    for event in ["message", "undecryptable"] {
        stage.call("listen.on", &json!({ "name": event, "from": TYBALT })).await?;
    }
    Ok(())
}

/// Returns the text of the next message that the plugin got, or the reason why it cannot be decrypted.
async fn next(stage: &mut Stage) -> Result<Result<String, String>> {
    let mut payload = stage.heard().await?["event"]["payload"].take();
    if let Value::String(reason) = payload["undecryptable"]["reason"].take() {
        return Ok(Err(reason));
    }
    let message = payload["message"].take();
    Ok(Ok(message["body"].as_str().with_context(|| format!("no text: {}", short(&message)))?.to_owned()))
}

/// Has the plugin send tybalt a message that must be encrypted. Returns the ids of the devices that it was encrypted for, or
/// none if it was refused.
async fn recipients(stage: &mut Stage, text: &str) -> Result<Vec<u32>> {
    let send = json!({ "jid": TYBALT, "body": text, "encryption": "required" });
    let answer = stage.call("chats.send", &send).await?;
    ensure!(!stage.wire().contains(text), "it went out as it is");
    if answer.get("ok").is_none() {
        ensure!(answer["err"]["case"] == "unsupported", "{answer}");
        return Ok(Vec::new());
    }
    stage.during().await?;
    let wire = stage.wire();
    let header = wire.rsplit("<header").next().and_then(|rest| rest.split("</header>").next()).unwrap_or_default();
    Ok(header.split("rid=").skip(1).filter_map(|rest| rest[1..].split(['\'', '"']).next()?.parse().ok()).collect())
}

/// Makes a key a weak one.
fn weaken(key: &mut [u8]) {
    let begin = key.len().saturating_sub(32);
    key[begin..].fill(0);
}

async fn forged_by(trial: &mut Trial, version: Version) -> Result<String> {
    let (good, other) = (Device::of(version), Device::of(version));
    let changes: [fn(&mut BundleParts, &BundleParts); 9] = [
        |bad, _| bad.signature[5] ^= 1,
        |bad, other| bad.signature.clone_from(&other.signature),
        |bad, other| bad.identity_key.clone_from(&other.identity_key),
        |bad, other| bad.signed_prekey.clone_from(&other.signed_prekey),
        |bad, _| weaken(&mut bad.signed_prekey),
        |bad, _| weaken(&mut bad.identity_key),
        |bad, _| bad.prekeys.iter_mut().for_each(|(_, key)| weaken(key)),
        |bad, _| bad.prekeys.clear(),
        |bad, _| bad.signed_prekey.truncate(8),
    ];
    let mut published = Published::of(version, &[&good]);
    let mut ids = vec![good.id()];
    for change in changes {
        let bad = Device::of(version);
        let mut parts = bad.parts();
        change(&mut parts, &other.parts());
        published.bundles.insert(bad.id(), omemo::bundle(version, &parts));
        ids.push(bad.id());
    }
    for odd in [
        String::new(),
        format!("<bundle xmlns='{version}'/>"),
        "<bundle xmlns='urn:example:other'>x</bundle>".to_owned(),
    ] {
        let id = Device::of(version).id();
        published.bundles.insert(id, odd);
        ids.push(id);
    }
    published.list = omemo::list(version, ids.iter().copied());
    let (stage, ..) = begin(trial, published).await?;
    let chosen = recipients(stage, "for whoever has keys").await?;
    ensure!(chosen == [good.id()], "it was encrypted for {chosen:?}, and {} alone is genuine", good.id());
    Ok(format!("left out, all {} of them; the genuine device gets the message", ids.len() - 1))
}

async fn endless_by(trial: &mut Trial, version: Version) -> Result<String> {
    let good = Device::of(version);
    let mut published = Published::of(version, &[&good]);
    let odd =
        ["0", "-1", "2147483648", "4294967295", "4294967296", "x", "", "1e3"].map(|id| format!("<device id='{id}'/>"));
    let same = format!("<device id='{}'/>", good.id()).repeat(100);
    let device = |id: u32| format!("<device id='{id}'/>");
    let many: String = (1..6_000).map(device).collect();
    published.list = omemo::list_of(version, &format!("{same}{}{many}", odd.concat()));
    let (stage, ..) = begin(trial, published).await?;
    let chosen = recipients(stage, "for whoever has keys").await?;
    ensure!(chosen == [good.id()], "it was encrypted for {chosen:?}");
    let wire = stage.wire();
    let asked = wire.matches(bundle_nodes(version)).count();
    ensure!(asked <= REQUESTS, "{asked} requests for keys");
    for id in ["0", "-1", "2147483648", "4294967295", "4294967296"] {
        let is_asked = ['\'', '"'].iter().any(|quote| match version {
            Version::Axolotl => wire.contains(&format!("{AXOLOTL}.bundles:{id}{quote}")),
            Version::Omemo2 => wire.contains(&format!("<item id={quote}{id}{quote}")),
        });
        ensure!(!is_asked, "the keys of device {id} were asked for");
    }
    Ok(format!("cut: {asked} requests for keys, none of an id that is none"))
}

async fn broken_by(trial: &mut Trial, version: Version) -> Result<String> {
    let mut sender = Device::of(version);
    let (stage, id, bundle) = begin(trial, Published::of(version, &[&sender])).await?;
    sender.meet(id, &bundle)?;
    listen(stage).await?;
    let genuine: Element = sender.write("genuine")?.parse()?;
    let namespace = version.namespace();
    let header = genuine.get_child("header", namespace).context("no header")?;
    let keys = header.get_child("keys", namespace).unwrap_or(header);
    let key = keys.get_child("key", namespace).context("no key")?.text();
    let iv = (version == Version::Axolotl).then_some(&[7; 12]);
    let mut bytes = BASE64_STANDARD.decode(key.trim()).context("not base64")?;
    let mut count = 0;
    for round in 0..400_usize {
        let mut changed = bytes.clone();
        match round % 4 {
            0 => changed.truncate(round % bytes.len()),
            1 => changed[round % bytes.len()] ^= 1 << (round % 8),
            2 => changed = (0..rand::rng().random_range(0..300)).map(|_| rand::random()).collect(),
            _ => changed.extend(vec![0xff; round * 20]),
        }
        if changed == bytes {
            continue;
        }
        let message = KeyMessage { prekey: round % 3 > 0, bytes: changed };
        let element = omemo::encrypted(version, (sender.id(), id), &message, iv, Some(b"payload"));
        stage.raw(said(&format!("broken-{round}"), &element)).await?;
        count += 1;
    }
    // Any content of it may be long, but not unbounded.
    bytes.resize(200 << 10, 0);
    let message = KeyMessage { prekey: true, bytes };
    let element = omemo::encrypted(version, (sender.id(), id), &message, iv, Some(b"payload"));
    stage.raw(said("long", &element)).await?;
    stage.during().await?;
    stage.raw(said("genuine", &String::from(&genuine))).await?;
    let mut reasons = BTreeMap::<String, usize>::new();
    loop {
        match next(stage).await? {
            Err(reason) => *reasons.entry(reason).or_default() += 1,
            Ok(text) => {
                ensure!(text == "genuine", "one of them was read: {text}");
                break;
            }
        }
    }
    Ok(format!("none of {count} was read, told as {reasons:?}; the genuine one after them was"))
}

async fn twice_by(trial: &mut Trial, version: Version) -> Result<String> {
    let (mut first, mut second) = (Device::of(version), Device::of(version));
    let (stage, id, bundle) = begin(trial, Published::of(version, &[&first, &second])).await?;
    listen(stage).await?;
    // Both begin with the same one of the host's prekeys.
    let mut parts = omemo::read_bundle(&bundle)?;
    parts.prekeys.truncate(1);
    let bundle: Element = omemo::bundle(version, &parts).parse()?;
    first.meet(id, &bundle)?;
    second.meet(id, &bundle)?;
    let once = first.write("once")?;
    stage.raw(said("one", &once)).await?;
    ensure!(next(stage).await? == Ok("once".to_owned()), "the first one is not read");
    for id in ["two", "three"] {
        stage.raw(said(id, &once)).await?;
        let told = next(stage).await?;
        ensure!(told == Err("replayed".to_owned()), "the same again was told as {told:?}");
    }
    // Of many who write at once, two pick the same prekey. Both are read, and the exchange of each counts once.
    let beside = second.write("by the same prekey")?;
    stage.raw(said("four", &beside)).await?;
    ensure!(next(stage).await? == Ok("by the same prekey".to_owned()), "the second one is not read");
    for (id, again) in [("five", &once), ("six", &beside)] {
        stage.raw(said(id, again)).await?;
        let told = next(stage).await?;
        ensure!(told == Err("replayed".to_owned()), "an exchange counted twice: {told:?}");
    }
    stage.raw(said("seven", &first.write("and on")?)).await?;
    ensure!(next(stage).await? == Ok("and on".to_owned()), "the session is lost");
    Ok("each is read once, and then told as replayed, also if two begin by the same prekey".to_owned())
}

async fn skipped_by(trial: &mut Trial, version: Version) -> Result<String> {
    let mut sender = Device::of(version);
    let (stage, id, bundle) = begin(trial, Published::of(version, &[&sender])).await?;
    sender.meet(id, &bundle)?;
    listen(stage).await?;
    let mut written = Vec::new();
    for number in 0..5_000 {
        written.push(sender.write(&format!("number {number}"))?);
    }
    stage.raw(said("first", &written[0])).await?;
    ensure!(next(stage).await? == Ok("number 0".to_owned()), "the first one is not read");
    // The keys between would be more than are kept.
    stage.raw(said("last", &written[4_999])).await?;
    let told = next(stage).await?;
    let Err(reason) = told else { bail!("thousands of keys were made: {told:?}") };
    stage.during().await?;
    // Some may be missing, and they may come later.
    for number in [1_500, 700, 1_499] {
        stage.raw(said(&format!("n{number}"), &written[number])).await?;
        let told = next(stage).await?;
        ensure!(told == Ok(format!("number {number}")), "{told:?}");
    }
    Ok(format!("one behind 5,000 others is told as {reason}; those within the bound are read in any order"))
}

async fn swapped_by(trial: &mut Trial, version: Version) -> Result<String> {
    let mut verified = Device::of(version);
    let mut thief = Device::posing_as(version, verified.id());
    let (stage, id, bundle) = begin(trial, Published::of(version, &[&verified])).await?;
    verified.meet(id, &bundle)?;
    thief.meet(id, &bundle)?;
    listen(stage).await?;
    stage.raw(said("one", &verified.write("it is me")?)).await?;
    ensure!(next(stage).await? == Ok("it is me".to_owned()), "the first one is not read");
    let trusted = stage.home.run(&["keys", "trust", TYBALT, &verified.fingerprint()]).await?;
    ensure!(trusted.code == Some(0), "the owner cannot trust a key: {trusted:?}");
    // The server has other keys for the same device now, and says so.
    let item = format!("<item id='current'>{}</item>", omemo::list(version, [thief.id()]));
    let node = omemo::list_node(version);
    let event = format!("<event xmlns='{PUBSUB}#event'><items node='{node}'>{item}</items></event>");
    stage
        .raw(format!(
            "<message xmlns='jabber:client' type='headline' from='{TYBALT}' to='bot@localhost'>{event}</message>"
        ))
        .await?;
    stage.raw(said("two", &thief.write("it is me, too")?)).await?;
    let told = next(stage).await?;
    let Err(reason) = told else { bail!("whoever has another key was believed: {told:?}") };
    let told = "a device of a known person has another key; ask them before you trust it";
    stage.host.wait_count(told, &[("jid", TYBALT)], 1, SOON).await.context("the owner is not told")?;
    stage.raw(said("three", &verified.write("still me")?)).await?;
    ensure!(next(stage).await? == Ok("still me".to_owned()), "the verified device is not read any more");
    let listed = stage.home.run(&["keys", "list", TYBALT, "--json"]).await?.stdout;
    ensure!(listed.contains(&verified.fingerprint()), "the owner is not shown the key: {listed:.400}");
    Ok(format!("told as {reason}, and to the owner; the verified device is read as before"))
}

async fn off_the_record(trial: &mut Trial) -> Result<String> {
    let (stage, ..) = begin(trial, Published::of(Version::Axolotl, &[])).await?;
    let text = |id: String, body: &str| said(&id, &format!("<body>{body}</body>"));
    let before = answers(stage);
    let mut count = 0;
    let long = "A".repeat(20_000);
    for round in 0..300 {
        let bodies = [
            format!("?OTR,{},{},{long},", round + 1, 65_535),
            format!("?OTR|{:08x}|00000100,00001,00002,{long},", 0x100 + round),
            "?OTR?".to_owned(),
            "?OTRv?".to_owned(),
            "?OTRv19?".to_owned(),
            format!("?OTR Error: you sent {round}"),
            "?OTR:AAIDAAAAAAEAAAABAAAAwA==.".to_owned(),
            "?OTR:AAMDAAABAAAAAQAAAAAAAAA=.".to_owned(),
            "?OTR:AAEKAAAA.".to_owned(),
        ];
        for (place, body) in bodies.iter().enumerate() {
            stage.raw(text(format!("o{round}-{place}"), body)).await?;
            count += 1;
        }
    }
    stage.during().await?;
    let sent = answers(stage) - before;
    ensure!(sent <= count / 4, "{sent} answers to {count} texts: two such sides would never end");
    Ok(format!("{sent} answers to {count} texts, and nothing held"))
}

/// Returns how many messages tybalt was sent.
fn answers(stage: &Stage) -> usize {
    stage.messages().iter().filter(|(to, _)| to.starts_with(TYBALT)).count()
}

async fn of_others(trial: &mut Trial) -> Result<String> {
    let mut sender = Device::new();
    let published = Published::of(Version::Axolotl, &[&sender]);
    // The plugin hears mallory alone.
    let stage = trial.start(Plan::new()?.caller(|entry| entry)?.answering(move |one| published.answer(one))).await?;
    for address in [TYBALT, "iq:tybalt@localhost"] {
        stage.allow(address);
    }
    let deadline = Instant::now() + SOON;
    let (id, bundle) = loop {
        if let Some(own) = own(Version::Axolotl, &stage.wire()) {
            break own;
        }
        ensure!(Instant::now() < deadline, "the host publishes no keys");
        stage.during().await?;
    };
    sender.meet(id, &bundle)?;
    for event in ["message", "undecryptable", "hookIncoming"] {
        stage.order_call(1, "listen.on", &json!({ "name": event, "from": TYBALT })).await?;
        stage.result().await?;
    }
    let word = crate::stage::canary("encrypted");
    stage.raw(said("one", &sender.write(&word)?)).await?;
    stage.raw(said("two", &sender.write(&word)?)).await?;
    stage.during().await?;
    let masked: Vec<u8> = word.bytes().map(|byte| byte ^ 0x5a).collect();
    let found = stage.call("action.search", &json!({ "masked": [masked] })).await?;
    ensure!(found["ok"] == json!([]), "the plugin has what was encrypted for others: {found}");
    let told = stage.messages().iter().any(|(to, body)| to.starts_with(MALLORY) && body.contains(TYBALT));
    ensure!(!told, "the plugin was told of it");
    ensure!(!stage.host.log().all().iter().any(|line| line.contains(&word)), "the log has what was said");
    Ok("neither told nor in its memory, nor in the log".to_owned())
}

async fn further_device(trial: &mut Trial) -> Result<String> {
    let none = Published::of(Version::Axolotl, &[]);
    let grants = |entry: Entry| {
        let entry = entry.grant("stanza.send", &["iq", "message"]);
        // It tells mallory of each refusal.
        entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000)
    };
    let plan = Plan::new()?.caller(grants)?;
    let stage = trial.start(plan.answering(move |request| none.answer(request))).await?;
    let device = Device::new();
    let (list, bundle) =
        (omemo::list(Version::Axolotl, [device.id()]), omemo::bundle(Version::Axolotl, &device.parts()));
    let nodes = [
        (format!("{AXOLOTL}.devicelist"), &list),
        (format!("{AXOLOTL}.bundles:{}", device.id()), &bundle),
        ("urn:xmpp:omemo:2:devices".to_owned(), &list),
        (" URN:XMPP:OMEMO:2:devices".to_owned(), &list),
        ("urn:xmpp:omemo:2:bundles".to_owned(), &bundle),
    ];
    let mut tries = 0;
    for (node, payload) in nodes {
        let item = format!("<item id='current'>{payload}</item>");
        let event = format!("<event xmlns='{PUBSUB}#event'><items node='{node}'>{item}</items></event>");
        for to in [MALLORY, "bot@localhost"] {
            let message = format!("<message type='headline' to='{to}'>{event}</message>");
            stage.refused("api.send", &json!({ "stanza": message }), "denied").await?;
        }
        for (kind, part, content) in [
            ("set", "", format!("<publish node='{node}'>{item}</publish>")),
            ("set", "", format!("<publish node='mine'/><publish node='{node}'>{item}</publish>")),
            ("set", "", format!("<retract node='{node}'><item id='current'/></retract>")),
            ("set", "", format!("<create node='{node}'/>")),
            ("get", "", format!("<items node='{node}'/>")),
            ("set", "#owner", format!("<configure node='{node}'/>")),
            ("set", "#owner", format!("<delete node='{node}'/>")),
            ("set", "#owner", format!("<purge node='{node}'/>")),
            ("get", "#owner", format!("<affiliations node='{node}'/>")),
        ] {
            for to in ["", " to='bot@localhost'", " to='localhost'"] {
                let pubsub = format!("<p:pubsub xmlns:p='{PUBSUB}{part}' xmlns='{PUBSUB}{part}'>{content}</p:pubsub>");
                let iq = format!("<iq type='{kind}' id='k1'{to}>{pubsub}</iq>");
                for (call, name) in [("api.send", "stanza"), ("api.send-iq", "iq")] {
                    stage.refused(call, &json!({ name: iq }), "denied").await?;
                    tries += 1;
                }
            }
        }
    }
    stage.during().await?;
    let wire = stage.wire();
    let is_listed = ['\'', '"'].iter().any(|quote| wire.contains(&format!("id={quote}{}{quote}", device.id())));
    ensure!(!is_listed, "the device went out in a list");
    Ok(format!("denied in each of {tries} requests and in events, with every `iq` granted"))
}
