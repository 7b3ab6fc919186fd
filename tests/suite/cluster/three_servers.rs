//! Two nodes whose streams three servers of NATS keep (`replicas = 3`).

use std::time::{Duration, Instant};

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::host::{Home, Host};
use parlor_tests::nats::{Nats, make_node};
use parlor_tests::nats_servers::{NatsServers, SERVERS, make_replicated_node};
use parlor_tests::policy::Entry;
use parlor_tests::process::Signal;

use super::{MOVED, NODES, alone, are_heard_once, catch_up, connected, count, echo, idler, number};
use crate::compiled;
use crate::test_host::{A_MOMENT, SOON, friend, prosody};

/// The stream of sessions and claims.
const STATE: &str = "PARLOR_suite_STATE";
/// The first part of the names of streams of logs.
const LOG: &str = "PARLOR_suite_LOG_";
/// How long an account may act after NATS has taken the last renewal of its node, and some time for a busy machine.
const LEASE: Duration = Duration::from_secs(5);

/// After this time without another answer, all have come.
const QUIET: Duration = Duration::from_secs(2);

/// A cluster of two nodes that do not run yet, with an account and a plugin.
struct Three {
    homes: [Home; 2],
    bot: BareJid,
    nats: NatsServers,
}

impl Three {
    async fn new(plugin: &str, granted: fn(Entry) -> Entry) -> Self {
        let (nats, server) = (NatsServers::start().await.unwrap(), prosody().await);
        let bot = server.fresh_account("replicated").unwrap();
        let homes = NODES.map(|node| {
            let mut home = alone(server, &bot, plugin, granted);
            make_replicated_node(&mut home, &nats.addresses(), node).unwrap();
            home
        });
        Self { homes, bot: bot.jid, nats }
    }

    /// Starts a node, and waits until it is one.
    async fn start(&self, node: usize) -> Host {
        // The other node may have compiled the plugin by now.
        self.homes.iter().for_each(compiled::take);
        compiled::give(&self.homes[node]);
        let mut host = self.homes[node].start().unwrap();
        host.wait("the host is a node of a cluster", &[("node", NODES[node])], MOVED).await.unwrap();
        host
    }

    /// Starts both nodes. The account is on the first one.
    async fn both(&self) -> [Host; 2] {
        let mut one = self.start(0).await;
        connected(&mut one).await;
        [one, self.start(1).await]
    }

    /// Returns which node has the account.
    async fn holder(&self) -> usize {
        let find = async {
            loop {
                let status = self.homes[0].run(&["cluster", "status", "--json"]).await.unwrap().json();
                let at = status
                    .ok()
                    .and_then(|status| NODES.iter().position(|node| status["accounts"][0]["node"] == **node));
                if let Some(at) = at {
                    return at;
                }
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        tokio::time::timeout(MOVED, find).await.expect("a node has the account within a minute")
    }

    /// Returns the stream that has the log of the account.
    async fn log(&self) -> String {
        let filled = self.nats.filled().await.unwrap();
        let mut logs: Vec<_> = filled.into_iter().filter(|stream| stream.starts_with(LOG)).collect();
        assert_eq!(logs.len(), 1, "there is one account: {logs:?}");
        logs.remove(0)
    }

    /// Has a server that was killed come back with all that it missed.
    async fn mend(&mut self, server: usize) {
        self.nats.start_again(server).await.unwrap();
        self.nats.are_whole().await.unwrap();
    }

    /// Writes to the account, whatever is broken, and waits until each of these is answered.
    async fn all_are_answered(&self, friend: &mut Client, bodies: &[String]) {
        for body in bodies {
            friend.chat(self.bot.clone(), body).await.unwrap();
        }
        for body in bodies {
            friend.wait_body(&self.bot, body, MOVED).await.unwrap();
        }
    }
}

async fn stopped(hosts: [Host; 2]) {
    for mut host in hosts {
        assert!(host.stop(MOVED).await.unwrap().success(), "{}", host.log().tail());
    }
}

/// Either the server that takes the account's changes, or the one that takes the leases. With the second one, the leases of all nodes end
/// before another server leads, and the archive has what is said meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_that_leads_a_stream_is_killed_and_each_message_is_answered_once() {
    let mut cluster = Three::new("echo", echo).await;
    cluster.homes.iter().for_each(catch_up);
    let hosts = cluster.both().await;
    let mut juliet = friend("juliet").await;
    cluster.all_are_answered(&mut juliet, &["before".to_owned()]).await;
    for stream in [cluster.log().await, STATE.to_owned()] {
        let leader = cluster.nats.leader(&stream).await.unwrap();
        cluster.nats.kill(leader).await.unwrap();
        let bodies: Vec<_> = (0..10).map(|number| format!("{stream} {number}")).collect();
        cluster.all_are_answered(&mut juliet, &bodies).await;
        cluster.mend(leader).await;
        let after = [format!("{stream} after")];
        cluster.all_are_answered(&mut juliet, &after).await;
        are_heard_once(&juliet, &bodies);
        are_heard_once(&juliet, &after);
    }
    stopped(hosts).await;
}

/// Has the plugin count messages until it answers, whatever is broken. Returns the count once it has answered all of them.
async fn count_all(friend: &mut Client, bot: &BareJid, before: u32) -> u32 {
    let mut last = count(friend, bot, before).await;
    while let Ok(later) = friend.wait_text("a late answer", bot, QUIET, number).await {
        last = last.max(later);
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_stored_is_there_after_the_loss_of_a_server_and_of_a_node() {
    let mut cluster = Three::new("idler", idler).await;
    let mut hosts = cluster.both().await;
    let mut juliet = friend("juliet").await;
    let mut counted = count_all(&mut juliet, &cluster.bot, 0).await;
    // Each server in turn: one of them leads the log of the account.
    for server in 0..SERVERS {
        cluster.nats.kill(server).await.unwrap();
        counted = count_all(&mut juliet, &cluster.bot, counted).await;
        cluster.mend(server).await;
    }
    // The node goes while a server is away. What the node wrote is on the other two.
    let (holder, leader) = (cluster.holder().await, cluster.nats.leader(&cluster.log().await).await.unwrap());
    cluster.nats.kill(leader).await.unwrap();
    hosts[holder].signal(Signal::Kill).unwrap();
    hosts[holder].ended(SOON).await.unwrap();
    counted = count_all(&mut juliet, &cluster.bot, counted).await;
    cluster.mend(leader).await;
    count_all(&mut juliet, &cluster.bot, counted).await;
    assert!(hosts[1 - holder].stop(MOVED).await.unwrap().success());
}

/// One server alone takes no write, and the others may be alive behind a broken network.
#[tokio::test(flavor = "multi_thread")]
async fn without_most_of_the_servers_accounts_stop_in_time_and_come_back_with_them() {
    let mut cluster = Three::new("idler", idler).await;
    let hosts = cluster.both().await;
    let mut juliet = friend("juliet").await;
    let counted = count(&mut juliet, &cluster.bot, 0).await;
    let leader = cluster.nats.leader(STATE).await.unwrap();
    // The node that took the account first may have given it to the other one since.
    let holder = cluster.holder().await;
    let killed: Vec<_> = (0..SERVERS).filter(|server| *server != leader).collect();
    // The one that is left has all, and takes itself for the leader for a while.
    let began = Instant::now();
    for server in &killed {
        cluster.nats.kill(*server).await.unwrap();
    }
    // In order if there is time for that, and else at once.
    let ends = ["account given away", "account ended at once: another node may have it"];
    let ended = async {
        while ends.iter().all(|line| hosts[holder].lines(line, &[("account", "main")]).is_empty()) {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("the account ends");
    assert!(began.elapsed() < LEASE, "its lease had ended: {:?}", began.elapsed());
    let why = async {
        loop {
            let said = cluster.homes[0].run(&["status"]).await.unwrap();
            if said.code == Some(5) && (said.stdout.clone() + &said.stderr).contains("so it runs no accounts") {
                return;
            }
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    tokio::time::timeout(MOVED, why).await.expect("the status says why within a minute");
    for server in &killed {
        cluster.nats.start_again(*server).await.unwrap();
    }
    cluster.nats.are_whole().await.unwrap();
    count(&mut juliet, &cluster.bot, counted).await;
    let well = async {
        while cluster.homes[0].run(&["cluster", "status"]).await.unwrap().code != Some(0) {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    tokio::time::timeout(MOVED, well).await.expect("the status is well within a minute");
    stopped(hosts).await;
}

/// It may accept two writes where one must be refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_an_earlier_version_is_refused_with_replicas() {
    let (old, server) = (Nats::start().await.unwrap(), prosody().await);
    let bot = server.fresh_account("replicated").unwrap();
    let mut home = alone(server, &bot, "idler", idler);
    make_node(&mut home, &old.address(), "one").unwrap();
    home.set_cluster("replicas", 3).unwrap();
    let refused = home.run(&["run", "--config", "parlor.toml"]).await.unwrap();
    let said = "and 3 replicas of each stream need 2.11.0 or newer";
    assert!(refused.code == Some(1) && refused.stderr.contains(said), "{refused:?}");
}
