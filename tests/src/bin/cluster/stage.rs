//! NATS, a server, and three nodes that are broken and mended.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use parlor_tests::client::Client;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::log::{self, Log, Mark};
use parlor_tests::partition::{Carried, Partition};
use parlor_tests::plugins::{self, built};
use parlor_tests::policy::Policy;
use parlor_tests::process::{self, Signal};
use parlor_tests::prosody::Prosody;
use parlor_tests::server::{Account, XmppServer};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::board::{Board, NAME};
use crate::plan::{Fault, NODES, Step, Way};
use crate::store::{Store, make_node_of};

/// The names of the nodes, and by how many seconds the wall clock of each is wrong.
const WRONG: [(&str, i64); NODES] = [("one", 0), ("two", 3_600), ("three", -3_600)];
/// The plugin, which notes each message and answers it.
const PLUGIN: &str = "tally";
/// How long a start or an orderly end may take.
const SOON: Duration = Duration::from_mins(1);
/// How long it may take until all accounts run after all is mended.
const SETTLED: Duration = Duration::from_mins(1);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);
/// How long a watch of a log waits for a line.
const LONG: Duration = Duration::from_hours(24);

/// All that runs. Dropping it ends all processes, and removes their folders.
pub(crate) struct Stage {
    nodes: Vec<Mutex<Node>>,
    store: Mutex<Store>,
    server: XmppServer,
    pub(crate) bots: Vec<Account>,
    pub(crate) board: Board,
    /// The logs of hosts that have ended.
    ended: Mutex<Vec<(String, Log)>>,
}

struct Node {
    number: usize,
    // Dropped before the folder that it writes to.
    host: Host,
    home: Home,
    /// The way to each server of NATS.
    ways: Vec<Partition>,
    watching: JoinHandle<()>,
}

impl Stage {
    /// Starts all with so many accounts and servers of NATS, and returns once all accounts run.
    pub(crate) async fn set(accounts: usize, servers: usize) -> Result<Self> {
        let (store, server) = (Store::start(servers).await?, Prosody::start().await?);
        let ports = store.ports();
        let bots: Vec<_> = (0..accounts).map(|_| server.fresh_account("bot")).collect::<Result<_>>()?;
        let board = Board::new(accounts);
        let starting = (0..NODES).map(|number| Node::start(number, &ports, &server, &bots, &board));
        let nodes = try_join_all(starting).await?.into_iter().map(Mutex::new).collect();
        let stage = Self { nodes, store: Mutex::new(store), server, bots, board, ended: Mutex::default() };
        stage.settled().await?;
        Ok(stage)
    }

    /// Logs in somebody who writes to the accounts.
    pub(crate) async fn somebody(&self) -> Result<Client> {
        let account = self.server.fresh_account("juliet")?;
        let mut client = Client::login(&self.server.connector()?, &account, "balcony").await?;
        client.available().await?;
        Ok(client)
    }

    /// Waits until some node runs each account, and returns how long that took.
    pub(crate) async fn settled(&self) -> Result<Duration> {
        let begin = Instant::now();
        loop {
            let missing = self.board.missing();
            if missing.is_empty() {
                return Ok(begin.elapsed());
            }
            for node in &self.nodes {
                let node = node.lock().await;
                let name = WRONG[node.number].0;
                ensure!(
                    process::exists(node.host.id()),
                    "the host of node {name} has ended\n{}",
                    node.host.log().tail()
                );
            }
            ensure!(
                begin.elapsed() < SETTLED,
                "no node runs {} accounts after {SETTLED:?}: {missing:?}",
                missing.len()
            );
            sleep(LOOK).await;
        }
    }

    /// Breaks what the step says, and mends it.
    pub(crate) async fn strike(&self, step: &Step) -> Result<()> {
        let second = async {
            match step.second {
                Some((after, fault)) => {
                    sleep(after).await;
                    self.apply(fault, false).await
                }
                None => Ok(()),
            }
        };
        tokio::try_join!(self.apply(step.fault, step.second.is_none()), second).map(drop)
    }

    async fn apply(&self, fault: Fault, is_alone: bool) -> Result<()> {
        let (name, kind) = (fault.name(), fault.kind(is_alone));
        let Some(number) = fault.node() else {
            let mut store = self.store.lock().await;
            self.board.struck(None, name, kind);
            return match fault {
                Fault::Nats { down } => store.restart(None, down).await,
                Fault::Server { server, down } => store.restart(Some(server), down).await,
                _ => Ok(()),
            };
        };
        let mut node = self.nodes[number].lock().await;
        self.board.struck(Some(number), name, kind);
        match fault {
            Fault::Kill { down, .. } => self.restart(&mut node, Signal::Kill, down).await,
            Fault::Stop { down, .. } => self.restart(&mut node, Signal::Terminate, down).await,
            Fault::Suspend { time, .. } => {
                node.host.signal(Signal::Suspend)?;
                sleep(time).await;
                node.host.signal(Signal::Continue)
            }
            Fault::Partition { way, time, .. } => {
                node.part(way);
                node.mended_after(time).await;
                Ok(())
            }
            Fault::Slow { delay, time, .. } => {
                node.carry(Carried { delay, ..Carried::default() });
                node.mended_after(time).await;
                Ok(())
            }
            Fault::Drain { time, .. } => {
                node.drain(&[]).await?;
                sleep(time).await;
                node.drain(&["--off"]).await
            }
            Fault::Nats { .. } | Fault::Server { .. } => Ok(()),
        }
    }

    /// Ends a host, and starts it again after a while.
    async fn restart(&self, node: &mut Node, signal: Signal, down: Duration) -> Result<()> {
        let (number, name) = (node.number, WRONG[node.number].0);
        node.host.signal(signal)?;
        let status = node.host.ended(SOON).await?;
        // All that it said is known then.
        (&mut node.watching).await?;
        self.board.ended(number);
        self.ended.lock().await.push((name.to_owned(), node.host.log().clone()));
        let is_killed = signal == Signal::Kill;
        ensure!(
            is_killed || status.success(),
            "node {name} was told to stop, and ended with {status}\n{}",
            node.host.log().tail()
        );
        sleep(down).await;
        (node.host, node.watching) = open(&node.home, number, &self.board).await?;
        Ok(())
    }

    /// Writes all logs to files, and prints where.
    pub(crate) async fn keep_logs(&self) {
        for (name, log) in self.ended.lock().await.iter() {
            log::keep(name, log);
        }
        for node in &self.nodes {
            let node = node.lock().await;
            log::keep(WRONG[node.number].0, node.host.log());
        }
        self.store.lock().await.keep_logs();
        log::keep("prosody", self.server.log());
    }
}

impl Node {
    async fn start(number: usize, nats: &[u16], server: &XmppServer, bots: &[Account], board: &Board) -> Result<Self> {
        let (name, wrong) = WRONG[number];
        let ways = try_join_all(nats.iter().map(|port| Partition::before(*port))).await?;
        let mut home = Home::new()?;
        let names: Vec<_> = (0..bots.len()).map(|bot| format!("{NAME}{bot}")).collect();
        let server = Server::StartTls(server.ports().starttls, server.certificate());
        home.add_accounts(names.iter().map(String::as_str).zip(bots), server)?;
        home.set("allow_non_roster_messaging", true)?;
        make_node_of(&mut home, &ways.iter().map(Partition::port).collect::<Vec<_>>(), name)?;
        let tally = home.install(PLUGIN, &built(PLUGIN)?)?;
        let tally = tally.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("storage", &["16 MiB"]);
        // One message after the other, so that counts in answers differ. Nothing is to be held up by a limit.
        let tally = tally.limit("handlers", 1).limit("messages_per_second", 1_000).limit("messages_burst", 1_000);
        home.set_policy(&Policy::default().with(PLUGIN, tally))?;
        if wrong != 0 {
            let file = home.path().join("clock");
            std::fs::write(&file, wrong.to_ne_bytes()).context("cannot write the file of a clock")?;
            home.set_environment("PARLOR_CLOCK", &file.display().to_string());
            home.set_environment("LD_PRELOAD", &plugins::program("libparlor_clock.so")?.display().to_string());
        }
        let (host, watching) = open(&home, number, board).await?;
        Ok(Self { number, host, home, ways, watching })
    }

    fn part(&self, way: Way) {
        let holds_all = Carried { holds_requests: true, holds_answers: true, ..Carried::default() };
        self.carry(match way {
            Way::Whole | Way::Cut => holds_all,
            Way::Deaf => Carried { holds_requests: false, ..holds_all },
            Way::Mute => Carried { holds_answers: false, ..holds_all },
        });
        if way == Way::Cut {
            self.ways.iter().for_each(Partition::cut);
        }
    }

    fn carry(&self, carried: Carried) {
        self.ways.iter().for_each(|way| way.set(carried));
    }

    async fn mended_after(&self, time: Duration) {
        sleep(time).await;
        self.carry(Carried::default());
    }

    async fn drain(&self, more: &[&str]) -> Result<()> {
        let name = WRONG[self.number].0;
        let begin = Instant::now();
        let said = loop {
            let said = self.home.run(&[&["cluster", "drain", name], more].concat()).await?;
            // After a fault before, all accounts may run elsewhere while the node is not back yet.
            let is_away = said.stderr.contains("the cluster has no node");
            if !is_away || begin.elapsed() >= SOON {
                break said;
            }
            sleep(LOOK).await;
        };
        ensure!(said.code == Some(0), "node {name} cannot be drained: {said:?}");
        Ok(())
    }
}

/// Starts the host of a node, and returns once it is one.
async fn open(home: &Home, number: usize, board: &Board) -> Result<(Host, JoinHandle<()>)> {
    let mut host = home.start()?;
    let (board, log) = (board.clone(), host.log().clone());
    let watching = tokio::spawn(async move {
        let line = |text: &str| {
            board.line(number, text);
            None::<()>
        };
        // It fails when the process has ended.
        let _ = log.wait("the end of the host", &mut Mark::default(), LONG, line).await;
    });
    host.wait("the host is a node of a cluster", &[("node", WRONG[number].0)], SOON).await?;
    Ok((host, watching))
}
