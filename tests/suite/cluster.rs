//! Hosts that share an account by way of NATS: it runs on one of them, with all that it kept.

use std::time::Duration;

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::nats::Nats;
use parlor_tests::partition::{Carried, Partition};
use parlor_tests::plugins::built;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Signal;
use parlor_tests::server::{Account, XmppServer};
use serde_json::Value;

use crate::test_host::{A_MOMENT, SOON, friend, prosody};

/// The names of the nodes.
const NODES: [&str; 2] = ["one", "two"];
/// How long a lease and all that follows may take on a busy machine.
const MOVED: Duration = Duration::from_mins(1);
/// How long an answer of an account takes that is there.
const A_SECOND: Duration = Duration::from_secs(1);

/// A cluster of two nodes that do not run yet, with an account and a plugin.
struct Cluster {
    homes: [Home; 2],
    bot: BareJid,
    nats: Nats,
}

impl Cluster {
    async fn new(plugin: &str, granted: fn(Entry) -> Entry) -> Self {
        let (nats, server) = (Nats::start().await.unwrap(), prosody().await);
        let bot = server.fresh_account("clustered").unwrap();
        let homes = NODES.map(|node| home(node, &nats, server, &bot, plugin, granted));
        Self { homes, bot: bot.jid, nats }
    }

    /// Starts a node, and waits until it is one.
    async fn start(&self, node: usize) -> Host {
        let mut host = self.homes[node].start().unwrap();
        host.wait("the host is a node of a cluster", &[("node", NODES[node])], SOON).await.unwrap();
        host
    }

    /// Returns what this node says of the cluster.
    async fn status(&self, node: usize) -> Value {
        let said = self.homes[node].run(&["cluster", "status", "--json"]).await.unwrap();
        assert_eq!(said.code, Some(0), "{said:?}\n{}", self.nats.log().tail());
        said.json().unwrap()
    }

    /// Waits until this node says that the account is at that one.
    async fn until_at(&self, asked: usize, at: usize) {
        let reach = async {
            while self.status(asked).await["accounts"][0]["node"] != NODES[at] {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        tokio::time::timeout(MOVED, reach).await.expect("the account is there within a minute");
    }
}

/// Returns the folder of a node.
fn home(
    node: &str,
    nats: &Nats,
    server: &XmppServer,
    bot: &Account,
    plugin: &str,
    granted: fn(Entry) -> Entry,
) -> Home {
    let mut home = Home::new().unwrap();
    home.add_account("main", bot, Server::StartTls(server.ports().starttls, server.certificate())).unwrap();
    home.set("allow_non_roster_messaging", true).unwrap();
    for (key, value) in [("nats", nats.address().as_str()), ("name", "suite"), ("node", node)] {
        home.set_cluster(key, value).unwrap();
    }
    let entry = home.install(plugin, &built(plugin).unwrap()).unwrap();
    home.set_policy(&Policy::default().with(plugin, granted(entry))).unwrap();
    home
}

async fn connected(host: &mut Host) {
    host.wait("account connected", &[("account", "main")], MOVED).await.unwrap();
}

/// Has the plugin count a message, and returns the new count. An account that has just logged in is written to until it is
/// there, so the count may grow by more than one.
async fn count(friend: &mut Client, bot: &BareJid, before: u32) -> u32 {
    let number = |text: &str| text.strip_prefix("hello messages ")?.split(' ').next()?.parse().ok();
    for attempt in 1..=60 {
        friend.chat(bot.clone(), "hi").await.unwrap();
        if let Ok(number) = friend.wait_text("an answer", bot, A_SECOND, number).await {
            assert!(
                (before + 1..=before + attempt).contains(&number),
                "{number} after {before}, by {attempt} messages"
            );
            return number;
        }
    }
    panic!("{bot} never answers");
}

/// Counts what comes in its storage.
fn idler(entry: Entry) -> Entry {
    let entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("storage", &["1 MiB"]);
    entry.grant_whole("disco.own")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_goes_on_with_its_values_when_its_node_is_killed() {
    let cluster = Cluster::new("idler", idler).await;
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut juliet = friend("juliet").await;
    let counted = count(&mut juliet, &cluster.bot, 0).await;
    let counted = count(&mut juliet, &cluster.bot, counted).await;
    let mut two = cluster.start(1).await;
    cluster.until_at(1, 0).await;
    assert!(two.lines("account taken", &[]).is_empty(), "it runs on one node");
    one.signal(Signal::Kill).unwrap();
    one.ended(SOON).await.unwrap();
    connected(&mut two).await;
    let counted = count(&mut juliet, &cluster.bot, counted).await;
    // The first one comes back with its old file, and takes what the other one gives it.
    let mut one = cluster.start(0).await;
    assert!(two.stop(MOVED).await.unwrap().success());
    connected(&mut one).await;
    count(&mut juliet, &cluster.bot, counted).await;
    assert!(one.stop(MOVED).await.unwrap().success());
}

/// Answers each message with the same, also one that waited at the server.
fn echo(entry: Entry) -> Entry {
    let entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    entry.set("answer_late", true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_from_another_one_and_no_message_is_lost_or_answered_twice() {
    let cluster = Cluster::new("echo", echo).await;
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut two = cluster.start(1).await;
    let mut juliet = friend("juliet").await;
    let bodies: Vec<_> = (0..40).map(|number| format!("message {number}")).collect();
    let (before, after) = bodies.split_at(20);
    for body in before {
        juliet.chat(cluster.bot.clone(), body).await.unwrap();
    }
    let drained = cluster.homes[1].run(&["cluster", "drain", "one"]).await.unwrap();
    assert_eq!(drained.code, Some(0), "{drained:?}");
    for body in after {
        juliet.chat(cluster.bot.clone(), body).await.unwrap();
    }
    connected(&mut two).await;
    let mut answers = Vec::new();
    while answers.len() < bodies.len() {
        let text = juliet.wait_text("an answer", &cluster.bot, SOON, |text| Some(text.to_owned())).await.unwrap();
        answers.push(text);
    }
    answers.sort_unstable_by_key(|text| bodies.iter().position(|body| body == text));
    assert_eq!(answers, bodies);
    cluster.until_at(0, 1).await;
    let status = cluster.status(0).await;
    let of_nodes: Vec<_> = status["nodes"].as_array().unwrap().iter().map(|node| node["state"].clone()).collect();
    assert_eq!(of_nodes, ["draining", "open"], "{status}");
    // Nobody else is there: a node that may take accounts again takes this one.
    let off = cluster.homes[1].run(&["cluster", "drain", "one", "--off"]).await.unwrap();
    assert_eq!(off.code, Some(0), "{off:?}");
    assert!(two.stop(MOVED).await.unwrap().success());
    connected(&mut one).await;
    juliet.chat(cluster.bot.clone(), "at last").await.unwrap();
    juliet.wait_body(&cluster.bot, "at last", SOON).await.unwrap();
    let nobody = cluster.homes[0].run(&["cluster", "drain", "three"]).await.unwrap();
    assert!(nobody.code == Some(1) && nobody.stderr.contains("no node three"), "{nobody:?}");
}

/// It has its lease for a while longer, and cannot note what it handles: the next node would handle that again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_from_nats_answers_nothing() {
    let mut cluster = Cluster::new("echo", echo).await;
    let way = Partition::before(cluster.nats.port()).await.unwrap();
    cluster.homes[0].set_cluster("nats", format!("nats://127.0.0.1:{}", way.port())).unwrap();
    let bytes = built("echo").unwrap().bytes().unwrap();
    let catches_up = |manifest: &str| manifest.replacen("[plugin]\n", "[plugin]\ncatch_up = true\n", 1);
    let bytes = with_manifest(&bytes, catches_up).unwrap();
    for home in &cluster.homes {
        let entry = home.install_bytes("echo", &bytes).unwrap();
        home.set_policy(&Policy::default().with("echo", echo(entry))).unwrap();
    }
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut juliet = friend("juliet").await;
    juliet.chat(cluster.bot.clone(), "before").await.unwrap();
    juliet.wait_body(&cluster.bot, "before", SOON).await.unwrap();
    let mut two = cluster.start(1).await;
    cluster.until_at(1, 0).await;
    way.set(Carried { holds_requests: true, holds_answers: true, ..Carried::default() });
    let bodies: Vec<_> = (0..10).map(|number| format!("message {number}")).collect();
    for body in &bodies {
        juliet.chat(cluster.bot.clone(), body).await.unwrap();
    }
    connected(&mut two).await;
    for body in &bodies {
        juliet.wait_body(&cluster.bot, body, SOON).await.unwrap();
    }
    way.set(Carried::default());
    juliet.chat(cluster.bot.clone(), "after").await.unwrap();
    juliet.wait_body(&cluster.bot, "after", SOON).await.unwrap();
    let heard = juliet.received_xml();
    for body in &bodies {
        let times = heard.iter().filter(|stanza| stanza.contains(&format!(">{body}<"))).count();
        assert_eq!(times, 1, "{body}: {heard:#?}");
    }
    for host in [&mut one, &mut two] {
        assert!(host.stop(MOVED).await.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_alone_or_cannot_reach_nats_says_so() {
    let mut home = Home::new().unwrap();
    let server = prosody().await;
    let bot = server.fresh_account("alone").unwrap();
    home.add_account("main", &bot, Server::StartTls(server.ports().starttls, server.certificate())).unwrap();
    let mut host = home.start().unwrap();
    connected(&mut host).await;
    let said = home.run(&["cluster", "status"]).await.unwrap();
    assert!(said.code == Some(1) && said.stderr.contains("no node of a cluster"), "{said:?}");
    assert!(host.stop(SOON).await.unwrap().success());
    // A port that nobody listens on.
    home.set_cluster("nats", "nats://127.0.0.1:1").unwrap();
    home.set_cluster("name", "suite").unwrap();
    let ended = home.run(&["run", "--config", "parlor.toml"]).await.unwrap();
    assert!(ended.code == Some(1) && ended.stderr.contains("NATS cannot be reached"), "{ended:?}");
}
