//! Requests of a plugin over the web compared with those of hyper's own client, requests to its webhook, and its files.
//!
//! The server notes when requests come. So the time of one is measured in the same way for both, from one request to the
//! next, and no guest's clock is asked.

mod files;
mod hooks;
mod server;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::client::body;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server as XmppServer};
use parlor_tests::peer::{Peer, Session, somebody};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::prosody::Account;
use parlor_tests::{plugins, ports, usage, webhooks};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_xmpp::Stanza;
use xtask::Part;

use self::server::{LARGE, SMALL, Server};
use crate::bots::{Build, unlimited};
use crate::echo::mib;
use crate::instances::settled;
use crate::measure::share;
use crate::row::{Goal, Row, Unit, median};

/// The secret that signs requests to the webhook.
const SECRET: &str = "the secret of the benchmark";
/// The number of requests of one turn, one after the other.
const REQUESTS: u32 = 1_000;
/// The number of requests before measuring.
const WARM_UP: u32 = 500;
/// The number of handlers that make requests at once.
const LANES: u32 = 32;
/// The number of requests of each.
const EACH: u32 = 500;
/// The bytes of a large body, which goes in parts.
const BODY: u64 = 100 << 20;
/// The bytes of a body before measuring.
const SMALL_BODY: u64 = 1 << 20;

/// How many times as long, and as much CPU time, as by hyper's client a request may take.
const BESIDE: f64 = 1.2;
/// The least requests a second of one host.
const RATE: f64 = 5_000.0;
/// How many MiB the host may grow while a large body goes.
const GROWTH: f64 = 8.0;
/// The timeout of each order.
const SOON: Duration = Duration::from_mins(2);

/// Measures all of it, which takes some minute.
pub(crate) async fn rows(build: &Build, rounds: u32) -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let certificate = Certificate::make(&folder)?;
    let server = Server::start(&certificate).await?;
    let mut stage = Stage::set(&certificate, build, &server).await?;
    let mut native = Native::start(&certificate, &server.url(SMALL))?;
    let mut rows = one_at_a_time(&server, &mut stage, &mut native, rounds).await?;
    rows.push(many_at_once(&server, &mut stage).await?);
    rows.extend(large(&server, &mut stage).await?);
    rows.extend(hooks::rows(&mut stage).await?);
    stage.host.stop(SOON).await?;
    rows.extend(Box::pin(files::rows(build)).await.context("files")?);
    Ok(rows)
}

/// Lets the plugin and hyper's client take turns.
async fn one_at_a_time(server: &Server, stage: &mut Stage, native: &mut Native, rounds: u32) -> Result<Vec<Row>> {
    let url = server.url(SMALL);
    stage.order(&format!("get {WARM_UP} {url}")).await?;
    native.get(WARM_UP).await?;
    let (mut times, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (host, other) = (stage.host.id(), native.id()?);
        server.intervals();
        let before = usage::cpu(host)?;
        stage.order(&format!("get {REQUESTS} {url}")).await?;
        let (ours, our_times) = (usage::cpu(host)?.saturating_sub(before), server.intervals());
        let before = usage::cpu(other)?;
        native.get(REQUESTS).await?;
        let (theirs, their_times) = (usage::cpu(other)?.saturating_sub(before), server.intervals());
        times.push([our_times, their_times].map(p50));
        costs.push([ours, theirs].map(|cpu| cpu.as_secs_f64() * 1e6 / f64::from(REQUESTS)));
    }
    let row = |what: &str, pairs: &[[f64; 2]]| {
        let [ours, theirs] = [0, 1].map(|at| median(pairs.iter().map(|pair| pair[at])));
        let ratio = median(pairs.iter().map(|[ours, theirs]| ours / theirs));
        let row = Row::alone(Part::Web, what, ours, Unit::Micros).in_ratio("hyper's client", theirs, ratio);
        row.goal(Goal::AtMost(BESIDE))
    };
    Ok(vec![row("a GET on a kept connection, p50", &times), row("a GET on a kept connection, CPU time", &costs)])
}

/// Returns the median in microseconds.
fn p50(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    share(&times, 50).as_secs_f64() * 1e6
}

/// Lets many handlers of the plugin make requests.
async fn many_at_once(server: &Server, stage: &mut Stage) -> Result<Row> {
    let order = format!("get {EACH} {}", server.url(SMALL));
    let mut rates = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        for _ in 0..LANES {
            stage.say(&order).await?;
        }
        for _ in 0..LANES {
            stage.heard().await?;
        }
        rates.push(f64::from(LANES * EACH) / begin.elapsed().as_secs_f64());
    }
    let what = format!("GETs of one plugin, {LANES} at once");
    Ok(Row::alone(Part::Web, what, median(rates.into_iter()), Unit::PerSecond).goal(Goal::AtLeast(RATE)))
}

/// Lets the plugin read and write a large body, in parts.
async fn large(server: &Server, stage: &mut Stage) -> Result<Vec<Row>> {
    let (from, to) = (|bytes| server.url(&format!("{LARGE}{bytes}")), server.url("/taken"));
    let orders = [
        ("coming", format!("read {}", from(SMALL_BODY)), format!("read {}", from(BODY))),
        ("going", format!("write {SMALL_BODY} {to}"), format!("write {BODY} {to}")),
    ];
    let mut rows = Vec::new();
    for (way, small, large) in orders {
        for _ in 0..8 {
            stage.order(&small).await?;
        }
        let host = stage.host.id();
        settled(host).await?;
        let before = usage::Before::growth_of(host)?;
        let begin = Instant::now();
        let bytes = stage.order(&large).await?;
        let took = begin.elapsed();
        ensure!(bytes == BODY, "of {BODY} bytes, {bytes} were {way}");
        let row = format!("100 MiB {way}: the host grew by");
        let row = Row::alone(Part::Web, row, mib(before.grown_kib()?), Unit::Mib);
        rows.push(row.goal(Goal::AtMost(GROWTH)));
        let rate = mib(BODY >> 10) / took.as_secs_f64();
        rows.push(Row::alone(Part::Web, format!("100 MiB {way}: MiB in a second"), rate, Unit::Mib));
    }
    Ok(rows)
}

/// A host with the meter plugin, on the scripted peer.
struct Stage {
    host: Host,
    session: Session,
    home: Home,
    said: u64,
}

impl Stage {
    async fn set(certificate: &Certificate, build: &Build, server: &Server) -> Result<Self> {
        let peer = Peer::listen(certificate).await?;
        let account = Account { jid: BareJid::new("bot@localhost")?, password: "any".to_owned() };
        let mut home = Home::new()?;
        build.take(&mut home);
        home.add_account("main", &account, XmppServer::Plain(peer.port(), certificate))?;
        home.set_web("listen", format!("127.0.0.1:{}", ports::free()?))?;
        home.set_web("ca_file", certificate.certificate_file.to_string_lossy().into_owned())?;
        let secret = home.keep_secret("secret", SECRET)?;
        let meter = home.install("meter", &plugins::built("meter")?)?.set("secret", secret).set("web", true);
        home.set_policy(&Policy::default().with("meter", granted(meter, server)))?;
        let host = home.start()?;
        let session = peer.accept(SOON).await.with_context(|| host.log().tail())?;
        let mut stage = Self { host, session, home, said: 0 };
        // Its first answer says that it runs.
        stage.order("told").await?;
        Ok(stage)
    }

    /// Returns where its webhook is served, and the path of it.
    async fn webhook(&mut self) -> Result<(SocketAddr, String)> {
        let at = self.host.wait("webhooks are listened for", &[], SOON).await?.get("at").parse()?;
        let hooks = self.home.run(&["plugin", "hooks", "meter", "--json"]).await?.json()?;
        let path = webhooks::paths(&hooks[0]).remove("queue");
        Ok((at, path.with_context(|| format!("the webhook has no address: {hooks}"))?))
    }

    /// Sends the plugin an order, and returns the number in its answer.
    async fn order(&mut self, order: &str) -> Result<u64> {
        self.say(order).await?;
        self.heard().await
    }

    async fn say(&mut self, order: &str) -> Result<()> {
        self.said += 1;
        self.session.say(&somebody(), self.said, order).await
    }

    async fn heard(&mut self) -> Result<u64> {
        let said = async {
            loop {
                if let Stanza::Message(message) = self.session.next().await?
                    && let Some(said) = body(&message)
                {
                    return anyhow::Ok(said.to_owned());
                }
            }
        };
        let said = timeout(SOON, said).await.context("the plugin does not answer").flatten();
        let said = said.with_context(|| self.host.log().tail())?;
        match said.strip_prefix("done ").and_then(|number| number.parse().ok()) {
            Some(number) => Ok(number),
            None => bail!("the plugin says: {said}"),
        }
    }
}

/// Grants the plugin the web, without limits that the benchmark reaches.
fn granted(meter: Entry, server: &Server) -> Entry {
    unlimited(meter)
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .grant("http.fetch", &[&server.url("/"), &server.address()])
        .grant_whole("webhooks.receive")
        .limit("handlers", 64)
        .limit("http_requests", 256)
        .limit("http_per_second", 10_000)
        .limit("http_bytes_per_second", "1 GiB")
        .limit("webhook_queue", 100_000)
}

/// hyper's client, in a separate process.
struct Native {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Native {
    fn start(certificate: &Certificate, url: &str) -> Result<Self> {
        let mut command = Command::new(plugins::program("bare-fetch")?);
        command.args(["--url", url]).arg("--ca-file").arg(&certificate.certificate_file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start bare-fetch")?;
        let orders = process.stdin.take().context("its input is a pipe")?;
        let answers = process.stdout.take().context("its output is a pipe")?;
        Ok(Self { process, orders, answers: BufReader::new(answers).lines() })
    }

    fn id(&self) -> Result<u32> {
        self.process.id().context("hyper's client has ended")
    }

    async fn get(&mut self, times: u32) -> Result<()> {
        self.orders.write_all(format!("{times}\n").as_bytes()).await?;
        let line = timeout(SOON, self.answers.next_line()).await.context("hyper's client does not answer")??;
        ensure!(line.as_deref() == Some("done"), "hyper's client says {line:?}");
        Ok(())
    }
}
