//! Runs an echo bot over connections that break at random, and checks that every message is answered once.
//!
//! Each account reaches the server through a separate proxy, and a client on a good connection sends it messages
//! without a pause. A seed decides which fault comes when, so that a run can be repeated as far as the machine's timing
//! allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use jid::BareJid;
use jiff::Timestamp;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_xmpp::Stanza;
use xmpp_parsers::message::MessageType;

use crate::archive;
use crate::client::{Client, body};
use crate::component::with_manifest;
use crate::connector::Connector;
use crate::faults::{Fault, Faults, Way};
use crate::front::Front;
use crate::host::{Home, Host};
use crate::plugins;
use crate::policy::Policy;
use crate::server::{Account, Archive, Software};
use crate::transport::Transport;
use crate::usage;

/// The timeout of the first log-in, and of the last answers.
const SOON: Duration = Duration::from_mins(1);
/// The timeout of the last answers after a silence, which the host must detect by itself.
const AFTER_SILENCE: Duration = Duration::from_secs(150);
/// The most messages without an answer at any time. During a long outage, more would be lost by limits that are not
/// tested here: Prosody keeps 500 stanzas for a session that may be resumed, and a plugin's mailbox holds 256.
const MOST_OPEN: usize = 200;
/// How long a client waits for an answer before it sends the next message.
const PAUSE: Duration = Duration::from_millis(40);
/// The same for each account if the server archives, so that all together send fifty messages a second: ejabberd's own
/// archive manages some hundreds. If another connection resumes a session of ejabberd that it has not read to its end,
/// it continues to read but no longer counts, so that these stanzas come twice.
const PAUSE_EACH: Duration = Duration::from_millis(20);
/// The text that is sent until a bot answers, and how long to wait before it is sent again.
const GREETING: &str = "hello";
const GREETED: Duration = Duration::from_secs(1);
/// How much more memory the host may use at the end.
const MOST_GROWN_KIB: u64 = 8 << 10;
/// The shortest time after which a connection is broken, since it must have been established before.
const LEAST_LIFE: Duration = Duration::from_millis(1_500);
const LONGEST_LIFE: Duration = Duration::from_millis(3_500);

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many connections break, in all.
    pub cuts: usize,
    /// The number of accounts that share these breaks.
    pub accounts: usize,
    /// The server that the accounts are on.
    pub server: Software,
    /// How connections reach the server.
    pub transport: Transport,
    /// How many messages the bots answer together before the host's memory is measured, so that one-time allocations
    /// exist.
    pub warm_up: usize,
    /// Whether one connection of each account also falls silent.
    pub silence: bool,
    /// The seed of the random faults.
    pub seed: u64,
}

impl Plan {
    /// Returns what the server archives, for a plugin that catches up from it. An archive is used where servers lose
    /// sessions themselves.
    ///
    /// - Prosody 0.12 continues to parse within a stanza or a WebSocket frame that a broken connection has truncated,
    ///   fails and ends the session. Over BOSH, it may send a session's data to a broken connection.
    /// - ejabberd 23.01 drops the data of a WebSocket session if the connection that resumes it breaks at that moment.
    ///   Over TCP alone, nothing should have to come from the archive.
    fn archive(&self) -> Archive {
        match (self.server, self.transport) {
            (Software::Prosody, _) | (Software::Ejabberd, Transport::WebSocket | Transport::Bosh) => {
                Archive::Everything
            }
            (Software::Ejabberd, Transport::StartTls | Transport::Direct) => Archive::Nothing,
        }
    }
}

/// Consecutive messages to one bot.
#[derive(Debug)]
pub struct Stretch {
    /// The bot that they were sent to.
    pub bot: BareJid,
    /// The numbers of the first and the last message.
    pub numbers: RangeInclusive<usize>,
    /// When these were sent, for finding them in the logs.
    pub said: RangeInclusive<Timestamp>,
    /// How many of them the archive of the bot's account has; `None` if it was not queried.
    pub archived: Option<usize>,
}

impl Stretch {
    /// Describes what the bot did with them, when they were sent, and how many the archive has.
    fn told(&self, did: &str, how_often: &str) -> String {
        let Self { bot, numbers, said, .. } = self;
        let (first, last) = (numbers.start(), numbers.end());
        let archive = match self.shares() {
            Some((has, lacks)) => format!("; of these the server's own archive has {has} and lacks {lacks}"),
            None => String::new(),
        };
        format!("{bot} {did} {first} to {last}{how_often}, said from {} to {}{archive}", said.start(), said.end())
    }

    /// Returns how many of them the archive has, and how many it lacks.
    fn shares(&self) -> Option<(usize, usize)> {
        let has = self.archived?;
        Some((has, self.numbers.clone().count().saturating_sub(has)))
    }

    /// Counts how many of them are among the ids in the archive.
    fn look_up(&mut self, said: &[Said], ids: &BTreeSet<String>) {
        let those = &said[self.numbers.clone()];
        self.archived = Some(those.iter().filter(|one| ids.contains(&one.id)).count());
    }
}

/// The results of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// How often each fault occurred.
    pub faults: BTreeMap<Fault, usize>,
    /// The number of messages that were sent.
    pub sent: usize,
    /// The number of messages without an answer.
    pub lost: usize,
    /// The number of messages that the server bounced.
    pub refused: usize,
    /// The messages without an answer, by recipient.
    pub unanswered: Vec<Stretch>,
    /// The accounts whose archive could not be queried, each with the reason.
    pub not_asked: Vec<String>,
    /// The number of answers beyond the first.
    pub doubled: usize,
    /// How many of these repeat the first answer's stanza. The bot heard such a message once.
    pub sent_again: usize,
    /// The messages with more than one answer, by recipient.
    pub answered_more: Vec<Stretch>,
    /// How often a session was resumed.
    pub resumed: usize,
    /// How often a session was established, without the first ones.
    pub anew: usize,
    /// The longest time from a fault to the next answer.
    pub longest: Duration,
    /// The host's memory after a warm-up and before the first fault, and after the last answer, in KiB.
    pub memory_kib: (u64, u64),
}

impl Report {
    /// The header line of the table.
    pub const HEAD: &str = "server    transport  closed   reset  silent  resumed    anew  longest s  MiB before    after  \
                            lost  doubled       of";

    /// Formats the results on this transport as a line of the table.
    pub fn line(&self, plan: &Plan) -> String {
        let times = |fault| self.faults.get(&fault).copied().unwrap_or_default();
        let mib = |kib: u64| kib.div_ceil(1024);
        format!(
            "{:<9} {:<9} {:>7} {:>7} {:>7}  {:>7} {:>7}  {:>9.1}  {:>10} {:>8}  {:>4}  {:>7}  {:>7}",
            plan.server.as_str(),
            plan.transport.as_str(),
            times(Fault::Close),
            times(Fault::Reset),
            times(Fault::Silence),
            self.resumed,
            self.anew,
            self.longest.as_secs_f64(),
            mib(self.memory_kib.0),
            mib(self.memory_kib.1),
            self.without_answer(),
            self.doubled,
            self.sent,
        )
    }

    /// Returns how many messages were not answered, including those that were bounced.
    pub fn without_answer(&self) -> usize {
        self.lost + self.refused
    }

    /// Adds the results of another run.
    pub fn add(&mut self, other: Self) {
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.sent += other.sent;
        self.lost += other.lost;
        self.refused += other.refused;
        self.unanswered.extend(other.unanswered);
        self.not_asked.extend(other.not_asked);
        self.doubled += other.doubled;
        self.sent_again += other.sent_again;
        self.answered_more.extend(other.answered_more);
        self.resumed += other.resumed;
        self.anew += other.anew;
        self.longest = self.longest.max(other.longest);
    }

    /// Returns whether every message was answered exactly once.
    pub fn is_good(&self) -> bool {
        self.without_answer() == 0 && self.doubled == 0 && self.sent > 0
    }

    /// Returns whether the host uses no more memory than before, within a tolerance that excludes leaks.
    pub fn memory_is_back(&self) -> bool {
        self.memory_kib.1 <= self.memory_kib.0 + MOST_GROWN_KIB
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stretch in &self.unanswered {
            writeln!(f, "{}", stretch.told("did not answer", ""))?;
        }
        let shares = self.unanswered.iter().filter_map(Stretch::shares);
        if let Some((has, lacks)) = shares.reduce(|one, other| (one.0 + other.0, one.1 + other.1)) {
            writeln!(
                f,
                "of these the server's own archive has {has} and lacks {lacks}; what it lacks nobody could get again"
            )?;
        }
        for why in &self.not_asked {
            writeln!(f, "what the server's own archive has of these is not known: {why}")?;
        }
        if self.refused > 0 {
            writeln!(f, "the server itself sent back {}", self.refused)?;
        }
        for stretch in &self.answered_more {
            writeln!(f, "{}", stretch.told("answered", " more than once"))?;
        }
        if self.sent_again > 0 {
            writeln!(f, "of the answers that came twice {} are one that was sent again", self.sent_again)?;
        }
        write!(f, "lost {} · doubled {} · of {}", self.without_answer(), self.doubled, self.sent)
    }
}

/// Runs the plan, on a separate server.
pub async fn run(plan: Plan, mut progress: impl FnMut(usize)) -> Result<Report> {
    let server = plan.server.start_with(plan.archive()).await?;
    let front = Front::before(server.ports().http, server.certificate()).await?;
    let mut home = Home::new()?;
    let mut lines = Vec::new();
    for number in 0..plan.accounts {
        let account = server.fresh_account("bot")?;
        let faults = Faults::before(plan.transport.port(&server, &front)).await?;
        let way = plan.transport.by(faults.port(), server.certificate());
        home.add_account(&format!("bot{number}"), &account, way)?;
        let mut client = Client::login(&server.connector()?, &server.fresh_account("juliet")?, "balcony").await?;
        client.available().await?;
        lines.push((account, faults, client));
    }
    let mut echo = plugins::built("echo")?.bytes()?;
    if plan.archive() == Archive::Everything {
        echo = with_manifest(&echo, |manifest| manifest.replacen("[plugin]", "[plugin]\ncatch_up = true", 1))?;
    }
    // Messages from a session that could not be resumed arrive as history.
    let echo = home
        .install_bytes("echo", &echo)?
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .grant("rooms.send", &["*"])
        .limit("messages_per_second", 10_000)
        .limit("catch_up_messages", i64::try_from(MOST_OPEN * 2)?)
        .set("answer_late", true);
    home.set_policy(&Policy::default().with("echo", echo))?;
    // An idle connection detects a silence only by a ping.
    home.set("ping_interval", 10)?;
    let mut host = home.start()?;
    host.wait_count("account connected", &[], plan.accounts, SOON).await?;
    let (struck, mut strikes) = tokio::sync::mpsc::unbounded_channel();
    let mut warming = JoinSet::new();
    for (number, (bot, faults, client)) in lines.into_iter().enumerate() {
        let random = SmallRng::seed_from_u64(plan.seed.wrapping_add(number as u64));
        let (pause, archive) = match plan.archive() {
            Archive::Nothing => (PAUSE, None),
            Archive::Everything => (PAUSE.max(PAUSE_EACH * u32::try_from(plan.accounts)?), Some(server.connector()?)),
        };
        let line = Line { bot, archive, faults, client, random, pause, struck: struck.clone(), silence: plan.silence };
        let cuts = plan.cuts / plan.accounts + usize::from(number < plan.cuts % plan.accounts);
        let messages = plan.warm_up.div_ceil(plan.accounts);
        warming.spawn(async move { line.warm_up(messages).await.map(|line| (line, cuts)) });
    }
    drop(struck);
    let warm: Result<Vec<_>> = warming.join_all().await.into_iter().collect();
    let warm = warm?;
    let before = usage::anonymous_kib(host.id())?;
    let mut running = JoinSet::new();
    for (line, cuts) in warm {
        running.spawn(line.run(cuts));
    }
    let mut count = 0;
    while let Some(()) = strikes.recv().await {
        count += 1;
        progress(count);
    }
    let mut report = Report::default();
    while let Some(line) = running.join_next().await {
        report.add(line.context("a line broke")??);
    }
    report.resumed = host.lines("connection resumed", &[]).len();
    report.anew = host.lines("account connected", &[]).len().saturating_sub(plan.accounts);
    // Temporary memory is given back within a minute.
    let end = Instant::now() + usage::GIVEN_BACK;
    loop {
        report.memory_kib = (before, usage::anonymous_kib(host.id())?);
        if report.memory_is_back() || Instant::now() >= end {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    if !report.is_good() {
        crate::log::keep("parlor", host.log());
        crate::log::keep(plan.server.as_str(), server.log());
    }
    stop(&mut host).await?;
    Ok(report)
}

async fn stop(host: &mut Host) -> Result<()> {
    let status = host.stop(SOON).await?;
    anyhow::ensure!(status.success(), "the host ended with {status}\n{}", host.log().tail());
    Ok(())
}

/// A bot, its proxy to the server, and the client that talks to it.
struct Line {
    bot: Account,
    /// The connector for querying the archive of the bot's account, if there is one.
    archive: Option<Connector>,
    faults: Faults,
    client: Client,
    random: SmallRng,
    pause: Duration,
    struck: tokio::sync::mpsc::UnboundedSender<()>,
    silence: bool,
}

impl Line {
    async fn run(mut self, cuts: usize) -> Result<Report> {
        let mut report = Report::default();
        let mut said: Vec<Said> = Vec::new();
        let mut last_answer = Instant::now();
        for cut in 0..cuts {
            let way = self.way();
            self.faults.set(way);
            let life = self.random.random_range(LEAST_LIFE..LONGEST_LIFE);
            self.talk(life, &mut said, &mut last_answer, &mut report).await?;
            let fault = match self.random.random_range(0..2) {
                _ if self.silence && cut + 1 == cuts => Fault::Silence,
                0 => Fault::Close,
                _ => Fault::Reset,
            };
            // The fault hits while a message is in transit, not between two messages.
            self.say(&mut said).await?;
            self.faults.strike(fault);
            *report.faults.entry(fault).or_default() += 1;
            let _ = self.struck.send(());
        }
        self.faults.set(Way::default());
        let patience = if self.silence { AFTER_SILENCE } else { SOON };
        let end = Instant::now() + patience;
        while said.iter().any(Said::is_open) && Instant::now() < end {
            self.hear(&mut said, &mut last_answer, &mut report).await?;
        }
        // Duplicates arrive soon afterwards.
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            self.hear(&mut said, &mut last_answer, &mut report).await?;
        }
        report.sent = said.len();
        report.lost = said.iter().filter(|one| one.is_open()).count();
        report.refused = said.iter().filter(|one| one.answers.is_empty() && one.refused).count();
        report.doubled = said.iter().map(|one| one.answers.len().saturating_sub(1)).sum();
        report.sent_again = said.iter().map(Said::sent_again).sum();
        report.unanswered = self.those(&said, |one| one.answers.is_empty());
        if !report.unanswered.is_empty() {
            match archived(self.archive.as_ref(), &self.bot, &said).await {
                Ok(ids) => {
                    for stretch in &mut report.unanswered {
                        stretch.look_up(&said, &ids);
                    }
                }
                Err(error) => report.not_asked.push(format!("{}: {error:#}", self.bot.jid)),
            }
        }
        report.answered_more = self.those(&said, |one| one.answers.len() > 1);
        Ok(report)
    }

    /// Lets the bot answer this many messages.
    async fn warm_up(mut self, messages: usize) -> Result<Self> {
        self.greet().await?;
        for _ in 0..messages {
            self.client.chat(self.bot.jid.clone(), GREETING).await?;
            self.client.wait_body(&self.bot.jid, GREETING, SOON).await?;
            self.client.forget();
        }
        Ok(self)
    }

    /// Greets the bot until it answers. ejabberd stores a message that arrives a moment before the account's first
    /// presence, and delivers it to the next session.
    async fn greet(&mut self) -> Result<()> {
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            self.client.chat(self.bot.jid.clone(), GREETING).await?;
            if self.client.wait_body(&self.bot.jid, GREETING, GREETED).await.is_ok() {
                return Ok(());
            }
        }
        anyhow::bail!("{} is connected, and does not answer", self.bot.jid)
    }

    /// Chooses how the next connection is carried. Most are unchanged; some are delayed, split into small pieces or
    /// throttled; and some end at a random byte, perhaps in the middle of the log-in.
    fn way(&mut self) -> Way {
        match self.random.random_range(0..7) {
            0 => Way { delay: Duration::from_millis(self.random.random_range(1..20)), ..Way::default() },
            1 => Way { piece: Some(self.random.random_range(1..64)), ..Way::default() },
            2 => Way { rate: Some(self.random.random_range(8_000..64_000)), ..Way::default() },
            3 => Way { limit: Some((self.random.random_range(1..20_000), Fault::Reset)), ..Way::default() },
            _ => Way::default(),
        }
    }

    async fn talk(
        &mut self,
        time: Duration,
        said: &mut Vec<Said>,
        last: &mut Instant,
        report: &mut Report,
    ) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if said.iter().filter(|one| one.is_open()).count() < MOST_OPEN {
                self.say(said).await?;
            }
            self.hear(said, last, report).await?;
        }
        Ok(())
    }

    async fn say(&mut self, said: &mut Vec<Said>) -> Result<()> {
        let id = self.client.chat(self.bot.jid.clone(), &format!("message {}", said.len())).await?;
        said.push(Said { id, at: Timestamp::now(), answers: Vec::new(), refused: false });
        Ok(())
    }

    /// Receives stanzas until a pause passes without any.
    async fn hear(&mut self, said: &mut [Said], last: &mut Instant, report: &mut Report) -> Result<()> {
        while let Some(heard) = self.client.next(self.pause).await? {
            match heard {
                Stanza::Message(message) if message.type_ == MessageType::Error => {
                    let id = message.id.as_ref().map(|id| &id.0);
                    if let Some(one) = said.iter_mut().find(|one| Some(&one.id) == id) {
                        one.refused = true;
                    }
                }
                // This frees a place among the messages without an answer.
                Stanza::Message(message) if body(message) == Some(GREETING) => {}
                Stanza::Message(message) => {
                    let number = body(message).and_then(|body| body.strip_prefix("message "));
                    let number: usize =
                        number.and_then(|number| number.parse().ok()).context("an answer to nothing")?;
                    let id = message.id.as_ref().map(|id| id.0.clone()).unwrap_or_default();
                    said.get_mut(number).context("an answer to nothing")?.answers.push(id);
                    report.longest = report.longest.max(last.elapsed());
                    *last = Instant::now();
                }
                Stanza::Presence(_) | Stanza::Iq(_) => {}
            }
        }
        self.client.forget();
        Ok(())
    }

    /// Returns the messages that satisfy the predicate.
    fn those(&self, said: &[Said], are: impl Fn(&Said) -> bool) -> Vec<Stretch> {
        let numbers = said.iter().enumerate().filter(|(_, one)| are(one)).map(|(number, _)| number);
        let stretch = |numbers: RangeInclusive<usize>| {
            let said = said[*numbers.start()].at..=said[*numbers.end()].at;
            Stretch { bot: self.bot.jid.clone(), numbers, said, archived: None }
        };
        ranges(numbers).into_iter().map(stretch).collect()
    }
}

/// Returns the ids in the archive of the bot's account, which must reach back to the first message.
async fn archived(connector: Option<&Connector>, bot: &Account, said: &[Said]) -> Result<BTreeSet<String>> {
    let connector = connector.context("the server archives nothing over this transport here")?;
    let ids = archive::ids(connector, bot).await?;
    anyhow::ensure!(reaches_back(&ids, said), "the archive does not reach back to the first message that was answered");
    Ok(ids)
}

/// Returns whether the archive still has its first messages: Prosody in memory keeps a thousand for each account. A
/// message that was answered must have been archived.
fn reaches_back(ids: &BTreeSet<String>, said: &[Said]) -> bool {
    said.iter().find(|one| !one.answers.is_empty()).is_none_or(|first| ids.contains(&first.id))
}

/// Combines ascending numbers into as few ranges as possible.
fn ranges(numbers: impl Iterator<Item = usize>) -> Vec<RangeInclusive<usize>> {
    let mut found: Vec<RangeInclusive<usize>> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some(last) if last.end() + 1 == number => *last = *last.start()..=number,
            Some(_) | None => found.push(number..=number),
        }
    }
    found
}

/// A message that was sent to the bot.
struct Said {
    id: String,
    at: Timestamp,
    /// The ids of its answers.
    answers: Vec<String>,
    /// Whether the server bounced it, so that its sender knows that the bot has not received it.
    refused: bool,
}

impl Said {
    /// Returns whether the message was neither answered nor bounced.
    fn is_open(&self) -> bool {
        self.answers.is_empty() && !self.refused
    }

    /// Returns how many of its answers repeat an earlier one.
    fn sent_again(&self) -> usize {
        self.answers.len() - self.answers.iter().collect::<BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: usize, answered: bool) -> Said {
        let answers = if answered { vec![format!("answer {number}")] } else { Vec::new() };
        Said { id: format!("balcony-{number}"), at: Timestamp::UNIX_EPOCH, answers, refused: false }
    }

    fn unanswered(numbers: RangeInclusive<usize>) -> Stretch {
        let bot = BareJid::new("bot@localhost").unwrap();
        Stretch { bot, numbers, said: Timestamp::UNIX_EPOCH..=Timestamp::UNIX_EPOCH, archived: None }
    }

    fn ids(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
        numbers.into_iter().map(|number| format!("balcony-{number}")).collect()
    }

    #[test]
    fn what_the_archive_lacks_is_told_from_what_it_has_and_all_of_it_is_lost() {
        let said: Vec<_> = (0..10).map(|number| said(number, number < 2)).collect();
        let mut report =
            Report { sent: 10, lost: 8, unanswered: vec![unanswered(2..=6), unanswered(8..=9)], ..Report::default() };
        report.unanswered[0].look_up(&said, &ids([0, 1, 4, 8]));
        report.not_asked.push("bot@localhost: it is away".to_owned());
        let shown = report.to_string();
        let expected = [
            "bot@localhost did not answer 2 to 6, said from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z; of these the server's \
             own archive has 1 and lacks 4",
            "bot@localhost did not answer 8 to 9, said from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z",
            "of these the server's own archive has 1 and lacks 4; what it lacks nobody could get again",
            "what the server's own archive has of these is not known: bot@localhost: it is away",
            "lost 8 · doubled 0 · of 10",
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
        let mut total = Report::default();
        total.add(report);
        assert_eq!(total.to_string(), shown);
    }

    /// That the archive has dropped a message does not prove that it never had it.
    #[test]
    fn an_archive_that_has_dropped_what_was_answered_says_nothing_of_what_was_not() {
        let some = [said(0, false), said(1, true), said(2, false), said(3, true)];
        assert!(reaches_back(&ids([1, 3]), &some));
        assert!(!reaches_back(&ids([3]), &some));
        assert!(reaches_back(&BTreeSet::new(), &[said(0, false)]), "nothing is known to have come");
    }
}
