//! How soon the guard retracts junk in a busy room, as another occupant sees it: on Prosody, 200 messages a second for five
//! seconds, of which each tenth is junk.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jid::BareJid;
use parlor_tests::client::{Client, body};
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::plugins;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::prosody::{Account, Archive, Prosody};
use parlor_tests::server::XmppServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;
use xtask::Part;

use crate::bots::{Build, unlimited};
use crate::measure::share;
use crate::row::{Goal, Row, Unit};

/// The number of people who speak in the room.
const SPEAKERS: u32 = 8;
/// The messages of all of them in a second, and for how many seconds they speak.
const RATE: u32 = 200;
const SECONDS: u32 = 5;
/// Each message with this number is junk.
const JUNK: u32 = 10;
/// The most milliseconds from junk to its retraction.
const MOST: f64 = 200.0;
/// The timeout of everything that is not measured, and of the last retraction.
const SOON: Duration = Duration::from_secs(30);
/// How junk begins: newcomers may not send links.
const LINK: &str = "https://junk.example/";

/// Measures it, which takes some ten seconds.
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let prosody = Prosody::start_with(Archive::Everything).await?;
    let mut stage = Stage::set(&prosody, build).await?;
    // Then the plugin runs, and knows what the room can do.
    stage.observer.say(&stage.room, "good morning").await?;
    let mut speakers = stage.speakers(&prosody).await?;
    let first = speakers.first_mut().context("somebody speaks")?;
    first.say(&stage.room, &format!("{LINK}first")).await?;
    stage.observe(1).await?;

    let begin = Instant::now() + Duration::from_millis(100);
    let mut talk = JoinSet::new();
    for (place, speaker) in (0..SPEAKERS).zip(speakers) {
        talk.spawn(speak(speaker, stage.room.clone(), place, begin));
    }
    let junk = RATE * SECONDS / JUNK;
    let mut times = stage.observe(usize::try_from(junk)?).await?;
    while let Some(spoken) = talk.join_next().await {
        spoken.context("a speaker panicked")??;
    }
    stage.host.stop(SOON).await?;
    times.sort_unstable();
    let max = times.last().copied().context("there is junk")?;
    let row = |what: &str, time: Duration| Row::alone(Part::Guard, what, time.as_secs_f64() * 1e3, Unit::Millis);
    Ok(vec![
        row("junk is retracted after, p50", share(&times, 50)),
        row("junk is retracted after, p99", share(&times, 99)),
        row("junk is retracted after, at the latest", max).goal(Goal::AtMost(MOST)),
    ])
}

/// Lets one person speak at even intervals, and read what others say.
async fn speak(mut speaker: Client, room: BareJid, place: u32, begin: Instant) -> Result<()> {
    let step = Duration::from_secs(1) / RATE;
    for number in (place..RATE * SECONDS).step_by(usize::try_from(SPEAKERS)?) {
        let due = begin + step * number;
        while Instant::now() < due {
            let left = due.saturating_duration_since(Instant::now());
            if speaker.next(left).await?.is_none() {
                sleep_until(due).await;
            }
        }
        speaker.forget();
        let text = if number % JUNK == 0 { format!("{LINK}{number}") } else { format!("good morning, {number}") };
        speaker.say(&room, &text).await?;
    }
    Ok(())
}

/// A host with the guard, which is an admin of a room on Prosody, and somebody who observes the room.
struct Stage {
    host: Host,
    observer: Client,
    room: BareJid,
    _home: Home,
}

impl Stage {
    async fn set(prosody: &XmppServer, build: &Build) -> Result<Self> {
        let (account, room) = (prosody.fresh_account("guard")?, prosody.fresh_room());
        let mut observer = Client::login(&prosody.connector()?, &prosody.fresh_account("observer")?, "balcony").await?;
        observer.join(&room, "observer", SOON).await?;
        observer.unlock(&room, SOON).await?;
        promote(&mut observer, &room, &account).await?;
        let mut home = Home::new()?;
        build.take(&mut home);
        home.add_account("main", &account, Server::Direct(prosody.ports().direct, prosody.certificate()))?;
        home.set("auto_join_rooms", vec![room.to_string()])?;
        let guard = granted(home.install("guard", &plugins::built("guard")?)?);
        home.set_policy(&Policy::default().with("guard", guard))?;
        let host = home.start()?;
        let is_there = |stanza: &Stanza| match stanza {
            Stanza::Presence(presence) => {
                let nick = presence.from.as_ref()?.resource()?;
                account.jid.node().is_some_and(|node| node.as_str() == nick.as_str()).then_some(())
            }
            _ => None,
        };
        let enters = observer.wait_for("the guard in the room", SOON, is_there).await;
        enters.with_context(|| host.log().tail())?;
        Ok(Self { host, observer, room, _home: home })
    }

    /// Lets the people enter who will speak.
    async fn speakers(&self, prosody: &XmppServer) -> Result<Vec<Client>> {
        let mut speakers = Vec::new();
        for place in 0..SPEAKERS {
            let account = prosody.fresh_account("speaker")?;
            let mut speaker = Client::login(&prosody.connector()?, &account, "balcony").await?;
            speaker.join(&self.room, &format!("speaker{place}"), SOON).await?;
            speakers.push(speaker);
        }
        Ok(speakers)
    }

    /// Waits until so much junk came and was retracted. Returns how long that took for each.
    async fn observe(&mut self, junk: usize) -> Result<Vec<Duration>> {
        let (mut came, mut times) = (HashMap::new(), Vec::new());
        let observed = async {
            while times.len() < junk {
                let Some(Stanza::Message(message)) = self.observer.next(SOON).await? else { continue };
                let now = Instant::now();
                let id = |name: &str| message.payloads.iter().find(|one| one.name() == name)?.attr("id");
                if body(message).is_some_and(|body| body.starts_with(LINK)) {
                    let id = id("stanza-id").context("the room numbers no messages")?;
                    ensure!(came.insert(id.to_owned(), now).is_none(), "the room used an id twice");
                } else if let Some(begin) = id("apply-to").or_else(|| id("retract")).and_then(|id| came.remove(id)) {
                    times.push(now.saturating_duration_since(begin));
                }
                self.observer.forget();
            }
            anyhow::Ok(())
        };
        match timeout(SOON, observed).await {
            Ok(done) => done.map(|()| times),
            Err(_) => bail!("only {} of {junk} were retracted\n{}", times.len(), self.host.log().tail()),
        }
    }
}

/// Makes the bot an admin of the room.
async fn promote(owner: &mut Client, room: &BareJid, account: &Account) -> Result<()> {
    let xml = format!(
        "<query xmlns='http://jabber.org/protocol/muc#admin'><item jid='{}' affiliation='admin'/></query>",
        account.jid
    );
    let payload = xml.parse::<Element>().context("the request is no XML")?;
    owner.ask(Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload }, SOON).await?;
    Ok(())
}

/// Grants the guard what it asks for. Nobody is kicked, so that the speakers go on.
fn granted(guard: Entry) -> Entry {
    unlimited(guard)
        .grant("messages.read", &["*"])
        .grant("rooms.read", &["*"])
        .grant("rooms.send", &["*"])
        .grant("rooms.moderate", &["*"])
        .grant("archive.read", &["*"])
        .grant("storage", &["4 MiB"])
        .set("joins", 0)
        .set("repeats", 0)
        .set("crowd_repeats", 0)
        .set("strikes", 1_000_000)
}
