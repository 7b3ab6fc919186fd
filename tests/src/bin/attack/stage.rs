//! The house of one case: a scripted server, `parlor run`, a good neighbour in it, and the hostile plugin.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use jid::{BareJid, FullJid};
use parlor_tests::certificate::Certificate;
use parlor_tests::client::body;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Line, Server, Surroundings};
use parlor_tests::log::Mark;
use parlor_tests::peer::tap::Tap;
use parlor_tests::peer::{Peer, Session, archive, somebody};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Signal;
use parlor_tests::prosody::Account;
use parlor_tests::web::Web;
use parlor_tests::{plugins, ports, usage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;

/// How long anything may take. Much less is usual; but a machine may be busy with other tests, and the build that compiles
/// a plugin need not be an optimized one.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// The password of the account: whoever shows it gives itself away.
pub(crate) static PASSWORD: LazyLock<String> = LazyLock::new(|| canary("password"));
/// So many messages one conversation with the neighbour has.
const TURNS: u64 = 40;
/// An answer that comes later than this is not slow: something stood still. How fast the others are is measured.
const STANDSTILL: Duration = Duration::from_secs(2);
/// What may be left in memory of an attack: the engine keeps some slots warm.
const SPARE_KIB: u64 = 24 << 10;
/// How much more than before an attack may be held at any moment of it: its plugins' memory, and what is on its way.
const PEAK_KIB: u64 = 384 << 10;
/// Threads that the runtime keeps for a while for work that blocks.
const SPARE_THREADS: usize = 8;

/// Who gives the hostile plugin its orders.
pub(crate) const MALLORY: &str = "mallory@localhost";
/// The neighbour's friend.
pub(crate) const JULIET: &str = "juliet@localhost";

/// Something to plant and to look for. It is another one each time that this program runs: what has it, has it from this run.
pub(crate) fn canary(what: &str) -> String {
    format!("canary-{what}-{:016x}", rand::random::<u64>())
}

/// What a house is made of.
pub(crate) struct Plan {
    pub(crate) home: Home,
    pub(crate) policy: Policy,
    archive: Option<u64>,
    resumes: bool,
    proves: bool,
    metrics: bool,
    /// The page where the host finds the password.
    page: Option<String>,
    log: &'static str,
    surroundings: Surroundings,
}

impl Plan {
    /// With the neighbour alone: echo, which may talk to juliet and to nobody else.
    pub(crate) fn new() -> Result<Self> {
        let home = Home::new()?;
        let echo = home
            .install("echo", &plugins::built("echo")?)?
            .grant("messages.read", &[JULIET])
            .grant("messages.send", &[JULIET])
            .grant("rooms.send", &["lobby@rooms.localhost"])
            .limit("messages_per_second", 10_000);
        Ok(Self {
            home,
            policy: Policy::default().with("echo", echo),
            archive: None,
            resumes: false,
            proves: false,
            metrics: false,
            page: None,
            log: "info",
            surroundings: Surroundings::Usual,
        })
    }

    /// With one more plugin.
    pub(crate) fn with(mut self, id: &str, entry: Entry) -> Self {
        self.policy = self.policy.with(id, entry);
        self
    }

    /// With the plugin that misbehaves to order, and may talk to mallory alone.
    pub(crate) fn unruly(self, change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        self.named("unruly", "unruly", change)
    }

    /// With the plugin that calls what mallory tells it to call, and may talk to mallory alone.
    pub(crate) fn caller(self, change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        self.named("caller", "caller", |entry| change(entry.set("chat", true)))
    }

    /// With the plugin of this file under this id, which may talk to mallory alone.
    pub(crate) fn named(self, id: &str, file: &str, change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        let entry = self.home.install(id, &plugins::built(file)?)?;
        let entry = change(entry.grant("messages.read", &[MALLORY]).grant("messages.send", &[MALLORY]));
        Ok(self.with(id, entry))
    }

    /// With a plugin of these bytes, which may talk to mallory alone.
    pub(crate) fn bytes(self, id: &str, bytes: &[u8], change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        let entry = self.home.install_bytes(id, bytes)?;
        let entry = change(entry.grant("messages.read", &[MALLORY]).grant("messages.send", &[MALLORY]));
        Ok(self.with(id, entry))
    }

    /// With a log of this filter.
    pub(crate) fn log(mut self, log: &'static str) -> Self {
        self.log = log;
        self
    }

    /// In other surroundings than this process.
    pub(crate) fn surroundings(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// With metrics for whoever collects them.
    pub(crate) fn metrics(mut self) -> Self {
        self.metrics = true;
        self
    }

    /// With the password on a page of this path, and nowhere else.
    pub(crate) fn page(mut self, path: String) -> Self {
        self.page = Some(path);
        self
    }

    /// With a server whose sessions can be resumed.
    pub(crate) fn resuming(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// With a server that demands a proof of the password in the place of the password itself.
    pub(crate) fn proving(mut self) -> Self {
        self.proves = true;
        self
    }

    /// With an archive of so many messages.
    pub(crate) fn archive(mut self, messages: u64) -> Self {
        self.archive = Some(messages);
        self
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Footprint {
    files: usize,
    threads: usize,
    resident_kib: u64,
}

impl Footprint {
    fn of(process: u32) -> Result<Self> {
        let count = |what: &str| -> Result<usize> { Ok(std::fs::read_dir(format!("/proc/{process}/{what}"))?.count()) };
        Ok(Self { files: count("fd")?, threads: count("task")?, resident_kib: usage::resident_kib(process)? })
    }

    fn is_back_at(self, base: Self) -> bool {
        self.files <= base.files
            && self.threads <= base.threads + SPARE_THREADS
            && self.resident_kib <= base.resident_kib + SPARE_KIB
    }
}

/// A host's tasks, but for those that its plugins have while they are in the state that they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tasks {
    /// If those that are about to start or to end have all of theirs.
    least: u64,
    /// If they have none but what supervises them.
    most: u64,
}

impl Tasks {
    /// Those in this answer to `parlor status --json`.
    fn of(status: &Value) -> Result<Self> {
        let all = status["host"]["tasks"].as_u64().with_context(|| format!("no tasks in {status}"))?;
        let (mut least, mut most) = (all, all);
        for plugin in status["plugins"].as_array().into_iter().flatten() {
            // One supervises it; while it lives there is one more on its runtime, and one that moves it to another.
            let (few, many) = match plugin["state"].as_str() {
                Some("running") => (3, 3),
                Some("starting" | "stopping") => (1, 3),
                Some("waiting" | "backing-off") => (1, 1),
                _ => (0, 0),
            };
            (least, most) = (least.saturating_sub(many), most.saturating_sub(few));
        }
        Ok(Self { least, most })
    }

    fn are_back_at(self, base: Self) -> bool {
        self.least <= base.most
    }
}

/// The house. Dropping it ends it.
pub(crate) struct Stage {
    // The process goes first: its files are in the home.
    pub(crate) host: Host,
    pub(crate) home: Home,
    pub(crate) policy: Policy,
    line: Pump,
    peer: Peer,
    _folder: Folder,
    base: Footprint,
    base_files: String,
    base_tasks: Option<Tasks>,
    rest: Option<Footprint>,
    /// The data folder, as it is seen from here. None: the program around the host lets nobody ask.
    data: Option<PathBuf>,
    said: u64,
    /// The sorted times of the neighbour's answers: before, during, after.
    trips: [Vec<Duration>; 3],
    /// To whom else something may be sent.
    allowed: Vec<String>,
    /// Where the metrics are, if they are.
    metrics: Option<u16>,
    _web: Option<Web>,
}

impl Stage {
    pub(crate) async fn set(plan: Plan) -> Result<Self> {
        let Plan { mut home, policy, archive, resumes, proves, metrics, page, log, surroundings } = plan;
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let mut peer = Peer::listen(&certificate).await?;
        if let Some(messages) = archive {
            peer = peer.with_archive(archive::honest(messages));
        }
        if resumes {
            peer = peer.resuming();
        }
        if proves {
            peer = peer.demanding_proof(&PASSWORD)?;
        }
        let account =
            Account { jid: BareJid::new("bot@localhost").context("a bad address")?, password: PASSWORD.clone() };
        home.add_account("main", &account, Server::Plain(peer.port(), &certificate))?;
        let mut web = None;
        if let Some(page) = page {
            let server = Web::start_as(&certificate).await?;
            server.put(&page, json!({ "jid": account.jid.to_string(), "password": account.password }).to_string());
            home.amend("main", "password_file", None)?;
            home.set("credentials_url", server.url(&page))?;
            web = Some(server);
        }
        home.set_policy(&policy)?;
        let metrics = metrics.then(ports::free).transpose()?;
        let address = metrics.map(|port| format!("127.0.0.1:{port}"));
        let mut arguments = vec!["--log", log];
        arguments.extend(address.iter().flat_map(|address| ["--metrics", address]));
        let host = home.start_in(&surroundings, &arguments)?;
        let session = peer.accept(SOON).await.with_context(|| host.log().tail())?;
        host.wait_count("account connected", &[], 1, SOON).await?;
        host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await?;
        let base = Footprint::of(host.id())?;
        let data = home.path().join("data");
        let data = match surroundings {
            Surroundings::Usual => Some(data),
            Surroundings::Embedded => None,
            Surroundings::SmallDisk(_) => Some(seen_by(host.id(), &data)?),
        };
        let line = Pump::start(session);
        let mut stage = Self {
            host,
            home,
            policy,
            line,
            peer,
            _folder: folder,
            base,
            base_tasks: None,
            base_files: String::new(),
            rest: None,
            data,
            said: 0,
            trips: Default::default(),
            allowed: Vec::new(),
            metrics,
            _web: web,
        };
        // Whatever the first messages make ready is ready afterwards.
        stage.converse(TURNS).await?;
        stage.trips[0] = stage.converse(TURNS).await?;
        stage.begin_anew().await?;
        Ok(stage)
    }

    /// Says something to the hostile plugin.
    pub(crate) async fn order(&mut self, text: &str) -> Result<()> {
        self.said += 1;
        let id = self.said;
        self.line.tell(Told::Say(mallory(), id, text.to_owned())).await
    }

    /// The next that the hostile plugin says to mallory.
    pub(crate) async fn answer(&mut self) -> Result<String> {
        self.hear(MALLORY).await
    }

    /// What comes of one call that the hostile plugin makes.
    pub(crate) async fn call(&mut self, call: &str, args: &Value) -> Result<Value> {
        self.order_call(1, call, args).await?;
        loop {
            let answer = self.answer().await.with_context(|| format!("{call} {args}"))?;
            if let Some(json) = answer.strip_prefix("done ") {
                return serde_json::from_str(json).with_context(|| format!("not an answer: {answer}"));
            }
        }
    }

    /// Has it called, without waiting for what comes of it.
    pub(crate) async fn order_call(&mut self, n: u64, call: &str, args: &Value) -> Result<()> {
        self.order(&format!("call {}", json!({ "n": n, "call": call, "args": args }))).await
    }

    /// One call that has to be answered with this case of the contract's errors.
    pub(crate) async fn refused(&mut self, call: &str, args: &Value, case: &str) -> Result<()> {
        let answer = self.call(call, args).await?;
        ensure!(answer["err"]["case"] == case, "{call} {args} has to be refused as {case}, but gave {answer}");
        Ok(())
    }

    /// Writes bytes to the host as they are.
    pub(crate) async fn raw(&mut self, xml: impl Into<String>) -> Result<()> {
        self.line.tell(Told::Raw(xml.into())).await
    }

    /// Leaves questions with this text in them to the case, from now on.
    pub(crate) fn keep_questions(&self, with: &str) {
        self.line.kept.lock().unwrap_or_else(PoisonError::into_inner).push(with.to_owned());
    }

    /// The next question that was left to the case: its id, and all of it as XML.
    pub(crate) async fn question(&mut self) -> Result<(String, String)> {
        let wait = async {
            loop {
                if let Stanza::Iq(iq @ (Iq::Get { .. } | Iq::Set { .. })) = self.line.next().await? {
                    let id = iq.id().to_owned();
                    let element = Element::from(iq);
                    return Ok((id, String::from(&element)));
                }
            }
        };
        timeout(SOON, wait).await.context("the host asks nothing")?
    }

    /// All that the host has sent, as it was on the wire.
    pub(crate) fn wire(&self) -> String {
        self.line.tap.heard(0)
    }

    /// What was made of the password in log-ins so far, where a proof of it is demanded.
    pub(crate) fn made_of_password(&self) -> Vec<Vec<u8>> {
        self.peer.made_of_password()
    }

    /// Each message that the host sent: to whom, and its text.
    pub(crate) fn messages(&self) -> Vec<(String, String)> {
        let sent = self.line.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = sent.iter().filter_map(|stanza| match stanza {
            Stanza::Message(message) => {
                let to = message.to.as_ref().map(ToString::to_string).unwrap_or_default();
                Some((to, body(message).unwrap_or_default().to_owned()))
            }
            _ => None,
        });
        messages.collect()
    }

    /// Something may be sent to this address, too; behind `iq:` it is one that may be asked.
    pub(crate) fn allow(&mut self, jid: &str) {
        self.allowed.push(jid.to_owned());
    }

    /// Waits until a plugin ended for a reason with this in it; gives the reason.
    pub(crate) async fn ended(&self, plugin: &str, reason: &str) -> Result<String> {
        let line = self.host.wait_count("plugin ended", &[("plugin", plugin)], 1, SOON).await?;
        let got = line.get("reason");
        ensure!(!got.is_empty() && got.contains(reason), "{plugin} has to end with {reason:?}, but: {got:?}");
        Ok(format!("ended: {got}"))
    }

    /// Waits until the host logs this of a plugin.
    pub(crate) async fn logged(&self, message: &str, plugin: &str) -> Result<Line> {
        self.host.wait_count(message, &[("plugin", plugin)], 1, SOON).await
    }

    /// Has the host read this policy, and waits until it did.
    pub(crate) async fn reload(&mut self, policy: Policy) -> Result<()> {
        let before = self.host.lines("policy read again", &[]).len();
        self.home.set_policy(&policy)?;
        self.policy = policy;
        self.host.reload()?;
        self.host.wait_count("policy read again", &[], before + 1, SOON).await.map(drop)
    }

    /// How many errors of the host's own stand in its log.
    pub(crate) fn errors(&self) -> usize {
        self.host.log().all().iter().filter(|line| is_error(line)).count()
    }

    /// Waits until there are so many.
    pub(crate) async fn wait_errors(&self, count: usize) -> Result<()> {
        let mut seen = 0;
        let count_up = |line: &str| {
            seen += usize::from(is_error(line));
            (seen >= count).then_some(())
        };
        self.host.log().wait("one more error in the log", &mut Mark::default(), SOON, count_up).await
    }

    /// Has the hostile plugin read and write its storage, for which the host opens its files when they are first used: what
    /// the host holds then is what counts as before.
    pub(crate) async fn open_storage(&mut self) -> Result<()> {
        self.call("storage.set", &json!({ "key": "first", "value": "" })).await?;
        self.call("storage.get", &json!({ "key": "first" })).await?;
        self.begin_anew().await
    }

    /// What the host holds now is what counts as before.
    pub(crate) async fn begin_anew(&mut self) -> Result<()> {
        // First, since whoever asks for tasks is a file of the host's meanwhile.
        self.base = Footprint::of(self.host.id())?;
        self.base_files = open_files(self.host.id());
        self.base_tasks = self.tasks().await?;
        usage::forget_peak(self.host.id())
    }

    /// Ends the host by SIGKILL, and starts it again with the same files.
    pub(crate) async fn kill_and_start(&mut self) -> Result<()> {
        self.host.signal(Signal::Kill)?;
        self.host.ended(SOON).await?;
        self.line.task.abort();
        self.host = self.home.start()?;
        let session = Box::pin(self.peer.accept(SOON)).await.with_context(|| self.host.log().tail())?;
        self.line = Pump::start(session);
        for plugin in self.policy.plugin.keys() {
            self.host.wait_count("plugin running", &[("plugin", plugin)], 1, SOON).await?;
        }
        self.converse(TURNS).await?;
        self.begin_anew().await
    }

    /// The neighbour's conversation while the attack goes on, and the server's question whether the connection is there.
    pub(crate) async fn during(&mut self) -> Result<()> {
        self.keep_alive().await.context("the connection, during the attack")?;
        let trips = self.converse(TURNS).await.context("the neighbour, during the attack")?;
        let slowest = share(&trips, 99);
        ensure!(slowest <= STANDSTILL, "the neighbour's p99 is {slowest:?} during the attack");
        self.trips[1].extend(trips);
        Ok(())
    }

    /// Is answered (XEP-0199) as long as the connection's own task goes on.
    async fn keep_alive(&mut self) -> Result<()> {
        self.said += 1;
        let id = format!("alive-{}", self.said);
        let begin = Instant::now();
        self.raw(format!(
            "<iq xmlns='jabber:client' type='get' id='{id}' from='localhost' to='bot@localhost/parlor'><ping \
             xmlns='urn:xmpp:ping'/></iq>"
        ))
        .await?;
        self.next_such(|stanza| matches!(stanza, Stanza::Iq(iq) if iq.id() == id))
            .await
            .context("a ping is not answered")?;
        let took = begin.elapsed();
        ensure!(took <= STANDSTILL, "a ping was answered after {took:?}");
        Ok(())
    }

    /// Cuts the connection, and waits for the host to come again.
    pub(crate) async fn cut(&mut self) -> Result<()> {
        self.line.task.abort();
        self.line = Pump::start(Box::pin(self.peer.accept(SOON)).await.with_context(|| self.host.log().tail())?);
        Ok(())
    }

    /// Cuts the connection, and waits for the host to resume its session. What was never acknowledged is sent again; gives
    /// what the hostile plugins had said.
    pub(crate) async fn cut_and_resume(&mut self) -> Result<Vec<String>> {
        self.line.task.abort();
        let session = Box::pin(self.peer.accept_again(SOON)).await.with_context(|| self.host.log().tail())?;
        self.line = Pump::start(session);
        // It is answered when all of that is out.
        self.keep_alive().await?;
        let again = std::mem::take(&mut self.line.heard);
        let to_mallory = again.iter().filter_map(|stanza| match stanza {
            Stanza::Message(message) if is_to(stanza, MALLORY) => Some(body(message).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(to_mallory.collect())
    }

    /// The server reads nothing for so long.
    pub(crate) async fn stop_reading(&self, time: Duration) -> Result<()> {
        self.line.tell(Told::Hold(time)).await
    }

    /// The host's tasks, if it can be asked.
    async fn tasks(&self) -> Result<Option<Tasks>> {
        let Some(data) = &self.data else { return Ok(None) };
        let data = data.display().to_string();
        let status = self.home.run(&["status", "--json", "--data", &data]).await?.json()?;
        Tasks::of(&status).map(Some)
    }

    /// What `parlor status` shows of a plugin.
    pub(crate) async fn status(&self, plugin: &str) -> Result<Value> {
        let status = self.home.run(&["status", "--json"]).await?.json()?;
        let found = status["plugins"].as_array().into_iter().flatten().find(|one| one["id"] == plugin).cloned();
        found.with_context(|| format!("no {plugin} in {status}"))
    }

    /// The page for collectors of metrics.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let port = self.metrics.context("there are no metrics")?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes()).await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        ensure!(page.starts_with("HTTP/1.1 200") && page.contains("parlor_plugin_running"), "no metrics: {page}");
        Ok(page)
    }

    /// Nothing is left of the attack.
    pub(crate) async fn aftermath(&mut self) -> Result<()> {
        // Whatever still runs has a moment to come to its end; the neighbour goes on meanwhile.
        self.trips[2] = self.converse(TURNS).await.context("the neighbour")?;
        let (before, mut after) = (share(&self.trips[0], 99), share(&self.trips[2], 99));
        let bound = (before * 10).max(Duration::from_millis(50));
        let deadline = Instant::now() + SOON;
        while after > bound {
            ensure!(Instant::now() < deadline, "the neighbour's p99 is {after:?}, and was {before:?} before");
            // Once more: the machine may have been busy with something else.
            self.trips[2] = self.converse(TURNS).await?;
            after = share(&self.trips[2], 99);
        }
        self.come_to_rest().await?;
        let (peak, most) = (usage::peak_kib(self.host.id())?, self.base.resident_kib + PEAK_KIB);
        ensure!(peak <= most, "the host held {} MiB at once, and {} are the most", peak >> 10, most >> 10);
        for line in self.host.log().all() {
            let is_plugins = line.contains("\"target\":\"plugin\"");
            ensure!(
                is_plugins || !(line.contains("panicked at") || line.contains("the supervisor of a plugin failed")),
                "the host itself panicked: {line}"
            );
        }
        self.keep_alive().await.context("the connection, after the attack")?;
        self.nothing_went_out()
    }

    /// Waits until the host holds no more than before.
    async fn come_to_rest(&mut self) -> Result<()> {
        let deadline = Instant::now() + usage::GIVEN_BACK;
        let mut tasks = None;
        loop {
            let now = Footprint::of(self.host.id())?;
            self.rest = Some(now);
            if now.is_back_at(self.base) {
                // Asked for last: each question takes a process of its own.
                tasks = self.tasks().await?;
                if tasks.zip(self.base_tasks).is_none_or(|(tasks, base)| tasks.are_back_at(base)) {
                    return Ok(());
                }
            }
            ensure!(
                Instant::now() < deadline,
                "the host holds {now:?}, and held {:?} before; beside its plugins' it has {tasks:?}, and had {:?}; its \
                 files: {}; before: {}",
                self.base,
                self.base_tasks,
                open_files(self.host.id()),
                self.base_files
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing was sent that no grant allows: messages to who may be written to, and no change of what the server keeps.
    fn nothing_went_out(&self) -> Result<()> {
        let sent = self.line.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for stanza in sent.iter() {
            let mut question = "";
            let to = match stanza {
                Stanza::Message(message) => message.to.clone(),
                Stanza::Presence(presence) => presence.to.clone(),
                Stanza::Iq(Iq::Set { payload, .. }) => {
                    // A query of an archive is a set by its form, and changes nothing (XEP-0313, section 3.1).
                    let usual = payload.is("bind", xmpp_parsers::ns::BIND)
                        || payload.is("query", xmpp_parsers::ns::MAM)
                        || payload.is("enable", xmpp_parsers::ns::CARBONS)
                        || self.allowed.iter().any(|one| one == &payload.ns());
                    ensure!(usual, "the host changed something at the server: {payload:?}");
                    None
                }
                // The server and the account itself are asked by the host.
                Stanza::Iq(Iq::Get { to, .. }) => {
                    question = "iq:";
                    to.clone().filter(|to| !["localhost", "bot@localhost"].contains(&to.to_bare().as_str()))
                }
                // Whoever asks is answered.
                Stanza::Iq(Iq::Result { .. } | Iq::Error { .. }) => None,
            };
            let Some(to) = to.map(|to| format!("{question}{}", to.to_bare())) else { continue };
            let known = [MALLORY, JULIET].contains(&to.as_str()) || self.allowed.contains(&to);
            ensure!(known, "something was sent to {to}: {stanza:?}");
        }
        Ok(())
    }

    /// Neighbour's p99s and memory, as far as they were measured.
    pub(crate) fn measured(&self) -> ([Option<Duration>; 3], [Option<u64>; 2]) {
        let p99 = self.trips.each_ref().map(|trips| (!trips.is_empty()).then(|| share(trips, 99)));
        (p99, [Some(self.base.resident_kib), self.rest.map(|rest| rest.resident_kib)])
    }

    pub(crate) fn keep_log(&self) {
        parlor_tests::log::keep("attack", self.host.log());
    }

    /// Messages of juliet one after the other: each is answered, once.
    pub(crate) async fn converse(&mut self, count: u64) -> Result<Vec<Duration>> {
        let mut trips = Vec::new();
        for _ in 0..count {
            self.said += 1;
            let text = format!("message {}", self.said);
            let begin = Instant::now();
            self.line.tell(Told::Say(somebody(), self.said, text.clone())).await?;
            let heard = self.hear(JULIET).await?;
            ensure!(heard == text, "the answer to {text:?} was {heard:?}");
            trips.push(begin.elapsed());
        }
        ensure!(self.line.heard.iter().all(|stanza| !is_to(stanza, JULIET)), "one was answered twice");
        trips.sort_unstable();
        Ok(trips)
    }

    /// The next message to this address.
    pub(crate) async fn hear(&mut self, to: &str) -> Result<String> {
        match self.next_such(|stanza| is_to(stanza, to)).await {
            Ok(Stanza::Message(message)) => Ok(body(&message).unwrap_or_default().to_owned()),
            Ok(_) => bail!("what is said to {to} is no message"),
            Err(error) => Err(error.context(format!("nothing is said to {to}"))),
        }
    }

    /// The next stanza of this kind; others are kept for who asks for them.
    async fn next_such(&mut self, is_such: impl Fn(&Stanza) -> bool) -> Result<Stanza> {
        let wait = async {
            let mut passed = VecDeque::new();
            let found = loop {
                match self.line.next().await {
                    Ok(stanza) if is_such(&stanza) => break Ok(stanza),
                    Ok(stanza) => passed.push_back(stanza),
                    Err(error) => break Err(error),
                }
            };
            passed.append(&mut self.line.heard);
            self.line.heard = passed;
            found
        };
        match timeout(SOON, wait).await {
            Ok(found) => found,
            Err(_) => bail!("it does not come within {SOON:?}\n{}", self.host.log().tail()),
        }
    }
}

/// A folder as a process sees it that may have a disk of its own there.
pub(crate) fn seen_by(process: u32, folder: &Path) -> Result<PathBuf> {
    Ok(Path::new(&format!("/proc/{process}/root")).join(folder.strip_prefix("/")?))
}

/// What the files are that a process holds open.
fn open_files(process: u32) -> String {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|one| Some(std::fs::read_link(one.path()).ok()?.display().to_string())).collect();
    names.sort_unstable();
    names.join(" ")
}

fn is_error(line: &str) -> bool {
    line.contains("\"level\":\"ERROR\"")
}

fn is_to(stanza: &Stanza, jid: &str) -> bool {
    matches!(stanza, Stanza::Message(message) if message.to.as_ref().is_some_and(|to| to.to_bare().as_str() == jid))
}

pub(crate) fn mallory() -> FullJid {
    FullJid::new(&format!("{MALLORY}/lair")).expect("an address")
}

/// The time within which so many of a hundred came, of sorted times.
pub(crate) fn share(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// What the server does besides answering.
enum Told {
    Say(FullJid, u64, String),
    Raw(String),
    /// Reads nothing for so long.
    Hold(Duration),
}

/// The server's end of the stream: it answers questions at once, whatever the case is busy with.
struct Pump {
    orders: mpsc::Sender<Told>,
    stanzas: mpsc::UnboundedReceiver<Stanza>,
    /// What was read and passed over.
    heard: VecDeque<Stanza>,
    /// All that came.
    sent: Arc<Mutex<Vec<Stanza>>>,
    kept: Arc<Mutex<Vec<String>>>,
    tap: Tap,
    task: JoinHandle<Result<()>>,
}

impl Pump {
    fn start(mut session: Session) -> Self {
        let (orders, mut inbox) = mpsc::channel::<Told>(64);
        let (outbox, stanzas) = mpsc::unbounded_channel();
        let (sent, kept) = (Arc::<Mutex<Vec<Stanza>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let tap = session.tap().clone();
        let (all, questions) = (Arc::clone(&sent), Arc::clone(&kept));
        let task = tokio::spawn(async move {
            let held = tokio::time::sleep(Duration::ZERO);
            tokio::pin!(held);
            let mut holds = false;
            loop {
                tokio::select! {
                    () = &mut held, if holds => holds = false,
                    told = inbox.recv() => match told {
                        Some(Told::Hold(time)) => {
                            held.as_mut().reset(tokio::time::Instant::now() + time);
                            holds = true;
                        }
                        Some(Told::Say(from, id, text)) => session.say(&from, id, &text).await?,
                        Some(Told::Raw(xml)) => session.raw(xml.as_bytes()).await?,
                        None => return Ok(()),
                    },
                    stanza = session.read(), if !holds => {
                        let stanza = stanza?;
                        // Stanzas are not to be cloned.
                        let element = Element::from(stanza);
                        let text = String::from(&element);
                        all.lock().unwrap_or_else(PoisonError::into_inner).push(Stanza::try_from(element.clone())?);
                        let stanza = Stanza::try_from(element)?;
                        let keep = questions
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .iter()
                            .any(|with| text.contains(with));
                        let rest = if keep { Some(stanza) } else { session.answer_or_give(stanza).await? };
                        if let Some(stanza) = rest
                            && outbox.send(stanza).is_err()
                        {
                            return Ok(());
                        }
                    }
                }
            }
        });
        Self { orders, stanzas, heard: VecDeque::new(), sent, kept, tap, task }
    }

    async fn tell(&self, told: Told) -> Result<()> {
        self.orders.send(told).await.map_err(|_| anyhow!("the stream to the host was lost"))
    }

    /// The next stanza, of those that were passed over first.
    async fn next(&mut self) -> Result<Stanza> {
        if let Some(stanza) = self.heard.pop_front() {
            return Ok(stanza);
        }
        match self.stanzas.recv().await {
            Some(stanza) => Ok(stanza),
            None => match (&mut self.task).await {
                Ok(Err(error)) => Err(error.context("the stream to the host was lost")),
                _ => bail!("the stream to the host was lost"),
            },
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.task.abort();
    }
}
