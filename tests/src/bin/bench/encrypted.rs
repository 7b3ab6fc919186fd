//! The cost of end-to-end encryption on Prosody: an echo with OMEMO compared with an unencrypted one of the same host,
//! and a room of many people with several devices each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jid::BareJid;
use parlor_tests::client::{Client, body};
use parlor_tests::counterparts::AXOLOTL;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::omemo::{self, Device};
use parlor_tests::policy::Policy;
use parlor_tests::prosody::{Archive, Prosody};
use parlor_tests::server::{Account, XmppServer};
use parlor_tests::usage;
use tokio::task::JoinSet;
use tokio_xmpp::Stanza;
use xmpp_parsers::minidom::Element;
use xtask::Part;

use crate::bots::{Build, granted};
use crate::measure::share;
use crate::row::{Goal, Row, Unit, median};

/// How often plain and encrypted messages take turns, and how many there are in a turn.
const ROUNDS: usize = 7;
const MESSAGES: usize = 200;
/// The people of the room, and the devices of each.
const PEOPLE: usize = 50;
const DEVICES: usize = 3;
/// The messages in the room.
const SAID: usize = 50;
/// How many times as long an encrypted echo may take.
const SLOWER: f64 = 1.5;
/// How much more processor an encrypted echo may take, in microseconds.
const DEARER: f64 = 60.0;
/// How much processor a message to the room may take, in milliseconds.
const ROOM: f64 = 5.0;
/// The timeout of everything that is not measured.
const SOON: Duration = Duration::from_mins(1);

/// Measures it, which takes about a minute.
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let prosody = Prosody::start_with(Archive::Nothing).await?;
    let mut rows = echo(&prosody, build).await.context("an encrypted echo")?;
    rows.push(room(&prosody, build).await.context("an encrypted room")?);
    Ok(rows)
}

/// The host with the plugin echo.
struct Stage {
    // The process is dropped first, since its files are in the home.
    host: Host,
    bot: BareJid,
    _home: Home,
}

impl Stage {
    /// Starts it, and lets it enter these rooms.
    async fn set(prosody: &XmppServer, build: &Build, account: &Account, rooms: &[&BareJid]) -> Result<Self> {
        let mut home = Home::new()?;
        build.take(&mut home);
        home.add_account("main", account, Server::Direct(prosody.ports().direct, prosody.certificate()))?;
        home.set("auto_join_rooms", rooms.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let echo = granted(home.install("echo", &build.echo)?);
        home.set_policy(&Policy::default().with("echo", echo))?;
        let host = home.start()?;
        host.wait_count("account connected", &[], 1, SOON).await?;
        Ok(Self { host, bot: account.jid.clone(), _home: home })
    }
}

/// A person with one device.
struct Person {
    client: Client,
    device: Device,
    sent: usize,
}

impl Person {
    async fn new(prosody: &XmppServer, account: &Account) -> Result<Self> {
        let mut client = Client::login(&prosody.connector()?, account, "bench").await?;
        client.available().await?;
        let device = Device::new();
        omemo::publish(&mut client, std::slice::from_ref(&device)).await?;
        Ok(Self { client, device, sent: 0 })
    }

    /// Begins a session with the host's device.
    async fn meets(&mut self, bot: &BareJid) -> Result<()> {
        let begin = Instant::now();
        let found = loop {
            match omemo::fetch(&mut self.client, bot).await {
                Ok(found) if !found.is_empty() => break found,
                // The host publishes its keys after it has logged in.
                _ => ensure!(begin.elapsed() < SOON, "{bot} publishes no keys"),
            }
        };
        let (id, bundle) = found.first().context("a device")?;
        self.device.meet(*id, bundle)
    }

    /// Sends this text, and returns how long the answer took. The time of this side's computing is not part of it.
    async fn asks(&mut self, to: &BareJid, kind: &str, text: &str, is_encrypted: bool) -> Result<(Duration, String)> {
        self.sent += 1;
        let payload = if is_encrypted {
            format!("{}<store xmlns='urn:xmpp:hints'/>", self.device.write(text)?)
        } else {
            format!("<body>{text}</body>")
        };
        let number = self.sent;
        let message =
            format!("<message xmlns='jabber:client' type='{kind}' to='{to}' id='b{number}'>{payload}</message>");
        let message = Stanza::try_from(message.parse::<Element>()?)?;
        let begin = Instant::now();
        self.client.send(message).await?;
        let own = self.client.jid().to_bare();
        let answer = self.client.wait_for("the answer", SOON, |stanza| answer(stanza, to, &own, is_encrypted)).await?;
        let took = begin.elapsed();
        match answer {
            Answer::Plain(text) => Ok((took, text)),
            Answer::Encrypted(element) => match self.device.read(&element)? {
                Some(text) => Ok((took, text)),
                None => bail!("an answer without text"),
            },
        }
    }
}

enum Answer {
    Plain(String),
    Encrypted(Element),
}

/// Returns the answer in a stanza, if it is one: of the same kind as the question, and not the question as a room repeats it.
fn answer(stanza: &Stanza, of: &BareJid, own: &BareJid, is_encrypted: bool) -> Option<Answer> {
    let Stanza::Message(message) = stanza else { return None };
    let from = message.from.as_ref()?;
    let (nick, name) = (from.resource(), own.node());
    let is_own = nick.is_some_and(|nick| name.is_some_and(|name| name.as_str() == nick.as_str()));
    if from.to_bare() != *of || is_own {
        return None;
    }
    if !is_encrypted {
        return body(message).map(|text| Answer::Plain(text.to_owned()));
    }
    let element = message.payloads.iter().find(|one| one.is("encrypted", AXOLOTL))?;
    element.get_child("payload", AXOLOTL)?;
    Some(Answer::Encrypted(element.clone()))
}

/// One turn: the median of the answer times, and the processor's time for each message, in microseconds.
struct Turn {
    p50: f64,
    cpu: f64,
}

async fn turn(stage: &Stage, person: &mut Person, is_encrypted: bool, count: usize) -> Result<Turn> {
    let before = usage::cpu(stage.host.id())?;
    let mut trips = Vec::new();
    for number in 0..count {
        let text = format!("message {number}");
        let (took, heard) = person.asks(&stage.bot, "chat", &text, is_encrypted).await?;
        ensure!(heard == text, "the answer to {text} was {heard}");
        trips.push(took);
    }
    let cpu = usage::cpu(stage.host.id())?.saturating_sub(before) / u32::try_from(count)?;
    person.client.forget();
    trips.sort_unstable();
    Ok(Turn { p50: share(&trips, 50).as_secs_f64() * 1e6, cpu: cpu.as_secs_f64() * 1e6 })
}

async fn echo(prosody: &XmppServer, build: &Build) -> Result<Vec<Row>> {
    let stage = Stage::set(prosody, build, &prosody.fresh_account("bot")?, &[]).await?;
    // One plain message does not turn an encrypted chat plain, so these are two people.
    let mut juliet = Person::new(prosody, &prosody.fresh_account("juliet")?).await?;
    let mut romeo = Person::new(prosody, &prosody.fresh_account("romeo")?).await?;
    juliet.meets(&stage.bot).await?;
    turn(&stage, &mut juliet, true, MESSAGES).await?;
    turn(&stage, &mut romeo, false, MESSAGES).await?;
    let (mut plain, mut encrypted) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(turn(&stage, &mut romeo, false, MESSAGES).await?);
        encrypted.push(turn(&stage, &mut juliet, true, MESSAGES).await?);
    }
    let pairs = || encrypted.iter().zip(&plain);
    let p50 = Row::alone(Part::Encrypted, "round trip p50", median(encrypted.iter().map(|one| one.p50)), Unit::Micros);
    let ratio = median(pairs().map(|(own, other)| own.p50 / other.p50));
    let p50 = p50.in_ratio("plain", median(plain.iter().map(|one| one.p50)), ratio).goal(Goal::AtMost(SLOWER));
    let more = median(pairs().map(|(own, other)| own.cpu - other.cpu));
    let more = Row::alone(Part::Encrypted, "CPU a message, more than of a plain one", more, Unit::Micros);
    Ok(vec![p50, more.goal(Goal::AtMost(DEARER))])
}

async fn room(prosody: &XmppServer, build: &Build) -> Result<Row> {
    let room = prosody.fresh_room();
    let (bot, account) = (prosody.fresh_account("bot")?, prosody.fresh_account("juliet")?);
    let mut person = Person::new(prosody, &account).await?;
    let nick = account.jid.node().context("a name")?.as_str().to_owned();
    person.client.join(&room, &nick, SOON).await?;
    let others: Vec<_> = (1..PEOPLE).map(|_| prosody.fresh_account("guest")).collect::<Result<_>>()?;
    let members: Vec<_> = others.iter().map(|one| one.jid.clone()).chain([bot.jid.clone()]).collect();
    person.client.for_members(&room, &members, SOON).await?;
    let mut guests = JoinSet::new();
    for account in &others {
        let mut client = Client::login(&prosody.connector()?, account, "bench").await?;
        let devices: Vec<_> = (0..DEVICES).map(|_| Device::new()).collect();
        omemo::publish(&mut client, &devices).await?;
        client.join(&room, account.jid.node().context("a name")?.as_str(), SOON).await?;
        guests.spawn(async move {
            loop {
                // A client that does not read would block the others.
                if client.next(SOON).await.is_err() {
                    return;
                }
                client.forget();
            }
        });
    }
    let stage = Stage::set(prosody, build, &bot, &[&room]).await?;
    person.meets(&stage.bot).await?;
    entered(&mut person.client, &room, &bot).await?;
    // The first answer comes after the host has fetched the keys of all.
    let mut cpu = Duration::ZERO;
    for round in 0..2 {
        let before = usage::cpu(stage.host.id())?;
        for number in 0..SAID {
            let text = format!("echo {number}");
            let (_, heard) = person.asks(&room, "groupchat", &text, true).await?;
            ensure!(heard.ends_with(&number.to_string()), "the answer to {text} was {heard}");
        }
        cpu = usage::cpu(stage.host.id())?.saturating_sub(before);
        person.client.forget();
        ensure!(round == 0 || !guests.is_empty(), "nobody is there any more");
    }
    let each = cpu.as_secs_f64() * 1e3 / f64::from(u32::try_from(SAID)?);
    let what = format!("CPU a message in a room of {PEOPLE} people with {DEVICES} devices each");
    Ok(Row::alone(Part::Encrypted, what, each, Unit::Millis).goal(Goal::AtMost(ROOM)))
}

/// Waits until the host is in the room.
async fn entered(client: &mut Client, room: &BareJid, bot: &Account) -> Result<()> {
    let own = bot.jid.node().context("a name")?.as_str();
    let is_there = |stanza: &Stanza| match stanza {
        Stanza::Presence(presence) => {
            let from = presence.from.as_ref().filter(|from| from.to_bare() == *room)?;
            from.resource().filter(|nick| nick.as_str() == own).map(drop)
        }
        _ => None,
    };
    client.wait_for("the host in the room", SOON, is_there).await
}
