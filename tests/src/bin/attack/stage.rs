//! The environment of one case: a scripted server, `parlor run`, a well-behaved neighbour, and the hostile plugin.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use jid::{BareJid, FullJid};
use parlor_tests::certificate::Certificate;
use parlor_tests::client::body;
use parlor_tests::compiled::Shared;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Line, Server, Surroundings};
use parlor_tests::log::Mark;
use parlor_tests::nats::{Nats, make_node};
use parlor_tests::peer::tap::Tap;
use parlor_tests::peer::{Answers, Peer, Request, Session, archive, somebody};
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

use crate::bots::Bots;

/// The general timeout. Most steps take much less, but the machine may be busy with other tests, and the compiling
/// build may be unoptimized.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// The account's password, which is recognizable wherever it appears.
pub(crate) static PASSWORD: LazyLock<String> = LazyLock::new(|| canary("password"));
/// The machine code of plugins, which the hosts of all cases share.
static COMPILED: LazyLock<Shared> = LazyLock::new(|| Shared::new().expect("a folder can be made"));
/// The number of messages in one conversation with the neighbour.
const TURNS: u64 = 40;
/// An answer that is later than this counts as a standstill. Lesser delays are measured.
const STANDSTILL: Duration = Duration::from_secs(2);
/// The memory that may remain after an attack: the engine keeps some slots warm.
const SPARE_KIB: u64 = 24 << 10;
/// How much more memory may be used at any moment of an attack: the plugins' memory, and data in transit.
const PEAK_KIB: u64 = 384 << 10;
/// Threads that the runtime keeps for a while for blocking work.
const SPARE_THREADS: usize = 8;

/// The person who gives the hostile plugin its orders.
pub(crate) const MALLORY: &str = "mallory@localhost";
/// The name of a host that is a node of a cluster.
pub(crate) const NODE: &str = "one";
/// The neighbour's friend.
pub(crate) const JULIET: &str = "juliet@localhost";

/// Returns a recognizable text to plant and to look for. It differs in each run of this program, so that a find is from
/// this run.
pub(crate) fn canary(what: &str) -> String {
    format!("canary-{what}-{:016x}", rand::random::<u64>())
}

/// The parts from which a case's environment is built.
pub(crate) struct Plan {
    pub(crate) home: Home,
    pub(crate) policy: Policy,
    archive: Option<u64>,
    resumes: bool,
    proves: bool,
    metrics: bool,
    /// The page from which the host fetches the password.
    page: Option<String>,
    /// The NATS of the cluster that the host is a node of.
    nats: Option<Nats>,
    /// The server of the host's component.
    pub(crate) bots: Option<Bots>,
    /// The callback that answers the host's requests at its server.
    answers: Answers,
    log: &'static str,
    surroundings: Surroundings,
}

impl Plan {
    /// Plans a host with the neighbour alone: echo, which may send messages only to juliet.
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
            nats: None,
            bots: None,
            answers: Answers::default(),
            log: "info",
            surroundings: Surroundings::Usual,
        })
    }

    /// Adds a plugin.
    pub(crate) fn with(mut self, id: &str, entry: Entry) -> Self {
        self.policy = self.policy.with(id, entry);
        self
    }

    /// Sets the orders of hooks, as they stand under `[hooks]`.
    pub(crate) fn hooks(mut self, hooks: &str) -> Result<Self> {
        self.policy = self.policy.hooks(hooks.parse()?);
        Ok(self)
    }

    /// Adds the plugin that misbehaves on order, and may talk to mallory alone.
    pub(crate) fn unruly(self, change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        self.named("unruly", "unruly", change)
    }

    /// Adds the plugin that makes the calls that mallory orders, and may talk to mallory alone.
    pub(crate) fn caller(self, change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        self.named("caller", "caller", |entry| change(entry.set("chat", true)))
    }

    /// Adds the plugin of this file under this id, which may talk to mallory alone.
    pub(crate) fn named(self, id: &str, file: &str, change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        let entry = self.home.install(id, &plugins::built(file)?)?;
        let entry = change(entry.grant("messages.read", &[MALLORY]).grant("messages.send", &[MALLORY]));
        Ok(self.with(id, entry))
    }

    /// Adds a plugin of these bytes, which may talk to mallory alone.
    pub(crate) fn bytes(self, id: &str, bytes: &[u8], change: impl FnOnce(Entry) -> Entry) -> Result<Self> {
        let entry = self.home.install_bytes(id, bytes)?;
        let entry = change(entry.grant("messages.read", &[MALLORY]).grant("messages.send", &[MALLORY]));
        Ok(self.with(id, entry))
    }

    /// Sets the log filter.
    pub(crate) fn log(mut self, log: &'static str) -> Self {
        self.log = log;
        self
    }

    /// Runs the host in other surroundings.
    pub(crate) fn surroundings(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// Enables the metrics page.
    pub(crate) fn metrics(mut self) -> Self {
        self.metrics = true;
        self
    }

    /// Provides the password only on a page with this path.
    pub(crate) fn page(mut self, path: String) -> Self {
        self.page = Some(path);
        self
    }

    /// Makes the host the first node of a cluster.
    pub(crate) fn node(mut self, nats: Nats) -> Result<Self> {
        make_node(&mut self.home, &nats.address(), NODE)?;
        self.nats = Some(nats);
        Ok(self)
    }

    /// Lets this function answer the host's requests at its server. If it returns `None`, the minimal answer is sent.
    pub(crate) fn answering(self, answer: impl FnMut(&Request) -> Option<Vec<Element>> + Send + 'static) -> Self {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(answer));
        self
    }

    /// Uses a server whose sessions can be resumed.
    pub(crate) fn resuming(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// Uses a server that demands a proof of the password instead of the password itself.
    pub(crate) fn proving(mut self) -> Self {
        self.proves = true;
        self
    }

    /// Provides an archive of this many messages.
    pub(crate) fn archive(mut self, messages: u64) -> Self {
        self.archive = Some(messages);
        self
    }
}

/// The resources that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Footprint {
    files: usize,
    threads: usize,
    /// The memory that it allocated. Pages of its program come and go.
    anonymous_kib: u64,
    of_files_kib: u64,
}

impl Footprint {
    fn of(process: u32) -> Result<Self> {
        let count = |what: &str| -> Result<usize> { Ok(std::fs::read_dir(format!("/proc/{process}/{what}"))?.count()) };
        let (files, threads) = (count("fd")?, count("task")?);
        let (anonymous_kib, of_files_kib) = (usage::anonymous_kib(process)?, usage::of_files_kib(process)?);
        Ok(Self { files, threads, anonymous_kib, of_files_kib })
    }

    fn is_back_at(self, base: Self) -> bool {
        self.files <= base.files
            && self.threads <= base.threads + SPARE_THREADS
            && self.anonymous_kib <= base.anonymous_kib + SPARE_KIB
    }
}

/// The number of the host's tasks without those of its plugins, which depend on each plugin's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tasks {
    /// The number if plugins that are starting or stopping have all their tasks.
    least: u64,
    /// The number if such plugins have only the task that supervises them.
    most: u64,
}

impl Tasks {
    /// Computes the bounds from an answer to `parlor status --json`.
    fn of(status: &Value) -> Result<Self> {
        let all = status["host"]["tasks"].as_u64().with_context(|| format!("no tasks in {status}"))?;
        let (mut least, mut most) = (all, all);
        for plugin in status["plugins"].as_array().into_iter().flatten() {
            // A supervisor task for each plugin. A running one also has a task on its runtime, and one that moves it to
            // another.
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

/// The running environment. Dropping it ends it.
pub(crate) struct Stage {
    // The process is dropped first, since its files are in the home.
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
    /// The data folder as this process sees it. `None` if the program around the host has no control socket to ask.
    data: Option<PathBuf>,
    said: u64,
    /// The events that the hostile plugin reported during the wait for the result of a call.
    told: VecDeque<String>,
    /// The sorted times of the neighbour's answers: before, during, after.
    trips: [Vec<Duration>; 3],
    /// Further addresses that may be sent to.
    allowed: Vec<String>,
    /// The port of the metrics page, if it is enabled.
    metrics: Option<u16>,
    _web: Option<Web>,
    nats: Option<Nats>,
    /// The server of the host's component, if it has one.
    pub(crate) bots: Option<Bots>,
}

impl Stage {
    pub(crate) async fn set(plan: Plan) -> Result<Self> {
        let Plan { mut home, policy, archive, resumes, proves, metrics, page, nats, bots, answers, log, surroundings } =
            plan;
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let mut peer = Peer::listen(&certificate).await?.answering(answers);
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
        if nats.is_some() {
            // A node chooses a resource of its own, and cases write to this one.
            home.amend("main", "jid", Some("bot@localhost/parlor".into()))?;
        }
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
        // The hosts of other surroundings are other programs, or have their data elsewhere.
        let shares = surroundings == Surroundings::Usual;
        if shares {
            COMPILED.give(&home)?;
        }
        let host = home.start_in(&surroundings, &arguments)?;
        let session = peer.accept(SOON).await.with_context(|| host.log().tail())?;
        host.wait_count("account connected", &[], 1, SOON).await?;
        host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await?;
        if shares {
            COMPILED.take(&home)?;
        }
        let base = Footprint::of(host.id())?;
        let data = home.path().join("data");
        let data = match surroundings {
            Surroundings::Usual | Surroundings::Names(_) => Some(data),
            Surroundings::Embedded | Surroundings::Counted => None,
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
            told: VecDeque::new(),
            trips: Default::default(),
            allowed: Vec::new(),
            metrics,
            _web: web,
            nats,
            bots,
        };
        // Resources that the first messages create exist afterwards.
        stage.converse(TURNS).await?;
        stage.trips[0] = stage.converse(TURNS).await?;
        stage.begin_anew().await?;
        Ok(stage)
    }

    /// Sends an order to the hostile plugin.
    pub(crate) async fn order(&mut self, text: &str) -> Result<()> {
        self.said += 1;
        let id = self.said;
        self.line.tell(Order::Say(mallory(), id, text.to_owned())).await
    }

    /// Waits for the next message from the hostile plugin to mallory.
    pub(crate) async fn answer(&mut self) -> Result<String> {
        self.hear(MALLORY).await
    }

    /// Has the hostile plugin make a call, and returns the result.
    pub(crate) async fn call(&mut self, call: &str, args: &Value) -> Result<Value> {
        self.order_call(1, call, args).await?;
        self.result().await.with_context(|| format!("{call} {args}"))
    }

    /// Waits for the result of a call that was ordered.
    pub(crate) async fn result(&mut self) -> Result<Value> {
        loop {
            let answer = self.answer().await?;
            if let Some(json) = answer.strip_prefix("done ") {
                return serde_json::from_str(json).with_context(|| format!("not an answer: {answer}"));
            }
            if answer.starts_with("heard ") {
                self.told.push_back(answer);
            }
        }
    }

    /// Returns the next event that the hostile plugin reports, including one from before the result of a call.
    pub(crate) async fn heard(&mut self) -> Result<Value> {
        loop {
            let line = match self.told.pop_front() {
                Some(line) => line,
                None => self.answer().await?,
            };
            if let Some(event) = line.strip_prefix("heard ") {
                return serde_json::from_str(event).with_context(|| format!("not an event: {line}"));
            }
        }
    }

    /// Has the hostile plugin make a call, without waiting for the result.
    pub(crate) async fn order_call(&mut self, n: u64, call: &str, args: &Value) -> Result<()> {
        self.order(&format!("call {}", json!({ "n": n, "call": call, "args": args }))).await
    }

    /// Has the hostile plugin make a call that must fail with this case of the contract's errors.
    pub(crate) async fn refused(&mut self, call: &str, args: &Value, case: &str) -> Result<()> {
        let answer = self.call(call, args).await?;
        ensure!(answer["err"]["case"] == case, "{call} {args} has to be refused as {case}, but gave {answer}");
        Ok(())
    }

    /// Writes bytes to the host as they are.
    pub(crate) async fn raw(&mut self, xml: impl Into<String>) -> Result<()> {
        self.line.tell(Order::Raw(xml.into())).await
    }

    /// From now on leaves IQs that contain this text for the case to answer.
    pub(crate) fn keep_requests(&self, with: &str) {
        self.line.kept.lock().unwrap_or_else(PoisonError::into_inner).push(with.to_owned());
    }

    /// Waits for the next IQ that was left to the case. Returns its id and its XML.
    pub(crate) async fn request(&mut self) -> Result<(String, String)> {
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

    /// Returns everything that the host has sent, as it was on the wire.
    pub(crate) fn wire(&self) -> String {
        self.line.tap.heard(0)
    }

    /// Returns everything that was derived from the password in log-ins so far, on a server that demands a proof.
    pub(crate) fn made_of_password(&self) -> Vec<Vec<u8>> {
        self.peer.made_of_password()
    }

    /// Returns each message that the host sent: its recipient and its text.
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

    /// Allows sending to this address, too. An address after `iq:` may be sent IQs.
    pub(crate) fn allow(&mut self, jid: &str) {
        self.allowed.push(jid.to_owned());
    }

    /// Waits until a plugin was ended for a reason that contains this text, and returns the reason.
    pub(crate) async fn ended(&self, plugin: &str, reason: &str) -> Result<String> {
        let line = self.host.wait_count("plugin ended", &[("plugin", plugin)], 1, SOON).await?;
        let got = line.get("reason");
        ensure!(!got.is_empty() && got.contains(reason), "{plugin} has to end with {reason:?}, but: {got:?}");
        Ok(format!("ended: {got}"))
    }

    /// Waits until the host logs this message about a plugin.
    pub(crate) async fn logged(&self, message: &str, plugin: &str) -> Result<Line> {
        self.host.wait_count(message, &[("plugin", plugin)], 1, SOON).await
    }

    /// Returns the lines of the host's log with this message.
    pub(crate) fn host_lines(&self, message: &str) -> Vec<Line> {
        self.host.lines(message, &[])
    }

    /// Has the host read this policy, and waits until it has.
    pub(crate) async fn reload(&mut self, policy: Policy) -> Result<()> {
        let before = self.host.lines("policy read again", &[]).len();
        self.home.set_policy(&policy)?;
        self.policy = policy;
        self.host.reload()?;
        self.host.wait_count("policy read again", &[], before + 1, SOON).await.map(drop)
    }

    /// Returns the number of the host's own errors in its log.
    pub(crate) fn errors(&self) -> usize {
        self.host.log().all().iter().filter(|line| is_error(line)).count()
    }

    /// Waits until the log has this many errors.
    pub(crate) async fn wait_errors(&self, count: usize) -> Result<()> {
        let mut seen = 0;
        let count_up = |line: &str| {
            seen += usize::from(is_error(line));
            (seen >= count).then_some(())
        };
        self.host.log().wait("one more error in the log", &mut Mark::default(), SOON, count_up).await
    }

    /// Has the hostile plugin use its storage. The host opens the files on first use, so they are part of the footprint
    /// before the attack.
    pub(crate) async fn open_storage(&mut self) -> Result<()> {
        self.call("storage.set", &json!({ "key": "first", "value": "" })).await?;
        self.call("storage.get", &json!({ "key": "first" })).await?;
        self.begin_anew().await
    }

    /// Takes the host's current resources as the state before the attack.
    pub(crate) async fn begin_anew(&mut self) -> Result<()> {
        // Measured first, since a client that asks for tasks is an open file of the host's meanwhile.
        self.base = Footprint::of(self.host.id())?;
        self.base_files = open_files(self.host.id());
        self.base_tasks = self.tasks().await?;
        usage::forget_peak(self.host.id())
    }

    /// Ends the host with SIGKILL, and starts it again with the same files.
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

    /// Checks the neighbour's conversation during the attack, and that the connection answers a ping.
    pub(crate) async fn during(&mut self) -> Result<()> {
        self.keep_alive().await.context("the connection, during the attack")?;
        let slowest = share(&self.answers().await?, 99);
        ensure!(slowest <= STANDSTILL, "the neighbour's p99 is {slowest:?} during the attack");
        Ok(())
    }

    /// Checks that the neighbour answers each message during the attack, once. Returns how long that took, which is
    /// only reported.
    pub(crate) async fn answers(&mut self) -> Result<Vec<Duration>> {
        let trips = self.converse(TURNS).await.context("the neighbour, during the attack")?;
        self.trips[1].extend(&trips);
        Ok(trips)
    }

    /// Sends a ping (XEP-0199), which is answered as long as the connection's own task runs.
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

    /// Cuts the connection, and waits for the host to reconnect.
    pub(crate) async fn cut(&mut self) -> Result<()> {
        self.line.task.abort();
        self.line = Pump::start(Box::pin(self.peer.accept(SOON)).await.with_context(|| self.host.log().tail())?);
        Ok(())
    }

    /// Cuts the connection, and waits for the host to resume its session. Stanzas that were never acknowledged are sent
    /// again; returns those of the hostile plugins.
    pub(crate) async fn cut_and_resume(&mut self) -> Result<Vec<String>> {
        self.line.task.abort();
        let session = Box::pin(self.peer.accept_again(SOON)).await.with_context(|| self.host.log().tail())?;
        self.line = Pump::start(session);
        // The answer comes after all of these.
        self.keep_alive().await?;
        let again = std::mem::take(&mut self.line.heard);
        let to_mallory = again.iter().filter_map(|stanza| match stanza {
            Stanza::Message(message) if is_to(stanza, MALLORY) => Some(body(message).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(to_mallory.collect())
    }

    /// Waits for the host to log in again after it has let its account go, and for each plugin to run for this time.
    pub(crate) async fn come_back(&mut self, time: usize) -> Result<()> {
        self.cut().await?;
        for plugin in self.policy.plugin.keys() {
            self.host.wait_count("plugin running", &[("plugin", plugin)], time, SOON).await?;
        }
        Ok(())
    }

    /// Returns the NATS of the cluster.
    pub(crate) fn nats(&self) -> Result<&Nats> {
        self.nats.as_ref().context("there is no cluster")
    }

    /// Stops reading on the server's side for this long.
    pub(crate) async fn stop_reading(&self, time: Duration) -> Result<()> {
        self.line.tell(Order::Hold(time)).await
    }

    /// Returns the host's tasks, if it can be asked.
    async fn tasks(&self) -> Result<Option<Tasks>> {
        let Some(data) = &self.data else { return Ok(None) };
        let data = data.display().to_string();
        let status = self.home.run(&["status", "--json", "--data", &data]).await?.json()?;
        Tasks::of(&status).map(Some)
    }

    /// Returns what `parlor status` shows for a plugin.
    pub(crate) async fn status(&self, plugin: &str) -> Result<Value> {
        let status = self.home.run(&["status", "--json"]).await?.json()?;
        let found = status["plugins"].as_array().into_iter().flatten().find(|one| one["id"] == plugin).cloned();
        found.with_context(|| format!("no {plugin} in {status}"))
    }

    /// Fetches the metrics page.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let port = self.metrics.context("there are no metrics")?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes()).await?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await?;
        ensure!(page.starts_with("HTTP/1.1 200") && page.contains("parlor_plugin_running"), "no metrics: {page}");
        Ok(page)
    }

    /// Checks that the attack left nothing behind.
    pub(crate) async fn aftermath(&mut self) -> Result<()> {
        // Work that is still running gets a moment to finish, while the neighbour continues.
        self.trips[2] = self.converse(TURNS).await.context("the neighbour")?;
        let (before, mut after) = (share(&self.trips[0], 99), share(&self.trips[2], 99));
        let bound = (before * 10).max(Duration::from_millis(50));
        let deadline = Instant::now() + SOON;
        while after > bound {
            ensure!(Instant::now() < deadline, "the neighbour's p99 is {after:?}, and was {before:?} before");
            // Tries again, since the machine may have been busy otherwise.
            self.trips[2] = self.converse(TURNS).await?;
            after = share(&self.trips[2], 99);
        }
        self.come_to_rest().await?;
        let of_files_kib = self.base.of_files_kib.max(usage::of_files_kib(self.host.id())?);
        let (peak, most) = (usage::peak_kib(self.host.id())?, self.base.anonymous_kib + of_files_kib + PEAK_KIB);
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

    /// Waits until the host holds no more resources than before.
    async fn come_to_rest(&mut self) -> Result<()> {
        let deadline = Instant::now() + usage::GIVEN_BACK;
        let mut tasks = None;
        loop {
            let now = Footprint::of(self.host.id())?;
            self.rest = Some(now);
            if now.is_back_at(self.base) {
                // Asked last, since each request starts a separate process.
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

    /// Checks that nothing was sent that no grant allows: messages only to allowed recipients, and no change of the
    /// data on the server.
    fn nothing_went_out(&self) -> Result<()> {
        let sent = self.line.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for stanza in sent.iter() {
            let mut form = "";
            let to = match stanza {
                Stanza::Message(message) => message.to.clone(),
                Stanza::Presence(presence) => presence.to.clone(),
                Stanza::Iq(Iq::Set { payload, .. }) => {
                    // An archive query is a set in form only, and changes nothing (XEP-0313, section 3.1).
                    let usual = payload.is("bind", xmpp_parsers::ns::BIND)
                        || payload.is("query", xmpp_parsers::ns::MAM)
                        || payload.is("enable", xmpp_parsers::ns::CARBONS)
                        || is_of_keys(payload)
                        || self.allowed.iter().any(|one| one == &payload.ns());
                    ensure!(usual, "the host changed something at the server: {payload:?}");
                    None
                }
                // The host itself sends requests to the server and the account.
                Stanza::Iq(Iq::Get { to, payload, .. }) => {
                    form = "iq:";
                    let to = to.clone().filter(|to| !(is_of_keys(payload) && is_known(to.to_bare().as_str())));
                    to.filter(|to| !["localhost", "bot@localhost"].contains(&to.to_bare().as_str()))
                }
                // Answers may go to anybody who asks.
                Stanza::Iq(Iq::Result { .. } | Iq::Error { .. }) => None,
            };
            let Some(to) = to.map(|to| format!("{form}{}", to.to_bare())) else { continue };
            let known = is_known(&to) || self.allowed.contains(&to);
            ensure!(known, "something was sent to {to}: {stanza:?}");
        }
        Ok(())
    }

    /// Returns the neighbour's p99s and the host's memory, as far as they were measured.
    pub(crate) fn measured(&self) -> ([Option<Duration>; 3], [Option<u64>; 2]) {
        let p99 = self.trips.each_ref().map(|trips| (!trips.is_empty()).then(|| share(trips, 99)));
        (p99, [Some(self.base.anonymous_kib), self.rest.map(|rest| rest.anonymous_kib)])
    }

    pub(crate) fn keep_log(&self) {
        parlor_tests::log::keep("attack", self.host.log());
    }

    /// Sends messages from juliet one after the other, and checks that each is answered once.
    pub(crate) async fn converse(&mut self, count: u64) -> Result<Vec<Duration>> {
        let mut trips = Vec::new();
        for _ in 0..count {
            self.said += 1;
            let text = format!("message {}", self.said);
            let begin = Instant::now();
            self.line.tell(Order::Say(somebody(), self.said, text.clone())).await?;
            let heard = self.hear(JULIET).await?;
            ensure!(heard == text, "the answer to {text:?} was {heard:?}");
            trips.push(begin.elapsed());
        }
        ensure!(self.line.heard.iter().all(|stanza| !is_to(stanza, JULIET)), "one was answered twice");
        trips.sort_unstable();
        Ok(trips)
    }

    /// Waits for the next message to this address.
    pub(crate) async fn hear(&mut self, to: &str) -> Result<String> {
        match self.next_such(|stanza| is_to(stanza, to)).await {
            Ok(Stanza::Message(message)) => Ok(body(&message).unwrap_or_default().to_owned()),
            Ok(_) => bail!("what is said to {to} is no message"),
            Err(error) => Err(error.context(format!("nothing is said to {to}"))),
        }
    }

    /// Waits for the next stanza of this kind; others are kept for later calls.
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

/// Returns the path of a folder as another process sees it, which may have its own mount there.
pub(crate) fn seen_by(process: u32, folder: &Path) -> Result<PathBuf> {
    Ok(Path::new(&format!("/proc/{process}/root")).join(folder.strip_prefix("/")?))
}

/// Returns the targets of a process's open files.
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

/// Returns whether this is one of the two who speak with the host.
fn is_known(to: &str) -> bool {
    [MALLORY, JULIET].contains(&to)
}

/// Returns whether a request is about keys of OMEMO: the host publishes its own, and fetches those of people that it
/// talks with.
fn is_of_keys(payload: &Element) -> bool {
    let nodes = ["eu.siacs.conversations.axolotl.", "urn:xmpp:omemo:2:"];
    let mut children = payload.children().filter_map(|child| child.attr("node"));
    payload.name() == "pubsub" && children.any(|node| nodes.iter().any(|one| node.starts_with(one)))
}

fn is_to(stanza: &Stanza, jid: &str) -> bool {
    matches!(stanza, Stanza::Message(message) if message.to.as_ref().is_some_and(|to| to.to_bare().as_str() == jid))
}

pub(crate) fn mallory() -> FullJid {
    FullJid::new(&format!("{MALLORY}/lair")).expect("an address")
}

/// Returns the time within which this percentage arrived, from sorted times.
pub(crate) fn share(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The orders to the scripted server, beyond answering.
enum Order {
    Say(FullJid, u64, String),
    Raw(String),
    /// Stop reading for this long.
    Hold(Duration),
}

/// The server's end of the stream. It answers IQs at once, independently of the case.
struct Pump {
    orders: mpsc::Sender<Order>,
    stanzas: mpsc::UnboundedReceiver<Stanza>,
    /// Stanzas that were read and skipped.
    heard: VecDeque<Stanza>,
    /// All stanzas from the host.
    sent: Arc<Mutex<Vec<Stanza>>>,
    kept: Arc<Mutex<Vec<String>>>,
    tap: Tap,
    task: JoinHandle<Result<()>>,
}

impl Pump {
    fn start(mut session: Session) -> Self {
        let (orders, mut inbox) = mpsc::channel::<Order>(64);
        let (outbox, stanzas) = mpsc::unbounded_channel();
        let (sent, kept) = (Arc::<Mutex<Vec<Stanza>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let tap = session.tap().clone();
        let (all, withheld) = (Arc::clone(&sent), Arc::clone(&kept));
        let task = tokio::spawn(async move {
            let held = tokio::time::sleep(Duration::ZERO);
            tokio::pin!(held);
            let mut holds = false;
            loop {
                tokio::select! {
                    () = &mut held, if holds => holds = false,
                    told = inbox.recv() => match told {
                        Some(Order::Hold(time)) => {
                            held.as_mut().reset(tokio::time::Instant::now() + time);
                            holds = true;
                        }
                        Some(Order::Say(from, id, text)) => session.say(&from, id, &text).await?,
                        Some(Order::Raw(xml)) => session.raw(xml.as_bytes()).await?,
                        None => return Ok(()),
                    },
                    stanza = session.read(), if !holds => {
                        let stanza = stanza?;
                        // Stanzas cannot be cloned.
                        let element = Element::from(stanza);
                        let text = String::from(&element);
                        all.lock().unwrap_or_else(PoisonError::into_inner).push(Stanza::try_from(element.clone())?);
                        let stanza = Stanza::try_from(element)?;
                        let keep = withheld
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

    async fn tell(&self, told: Order) -> Result<()> {
        self.orders.send(told).await.map_err(|_| anyhow!("the stream to the host was lost"))
    }

    /// Returns the next stanza, first of those that were skipped.
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
