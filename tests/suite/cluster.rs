//! Hosts that share an account by way of NATS: it runs on one of them, with all that it kept.

mod three_servers;

use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::log::Mark;
use parlor_tests::nats::{KEY_FILE, Nats, make_node};
use parlor_tests::partition::{Carried, Partition};
use parlor_tests::plugins::built;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::ports;
use parlor_tests::process::Signal;
use parlor_tests::server::{Account, XmppServer};
use parlor_tests::webhooks;
use parlor_tests::window::Window;
use serde_json::Value;

use crate::compiled;
use crate::owner::chat::{begin, done, note};
use crate::schedules::in_seconds;
use crate::test_host::{A_MOMENT, SOON, client, friend, prosody};

/// The names of the nodes.
const NODES: [&str; 2] = ["one", "two"];
/// How long a lease and all that follows may take on a busy machine.
const MOVED: Duration = Duration::from_mins(1);
/// How long an answer of an account takes that is there.
const A_SECOND: Duration = Duration::from_secs(1);

/// A cluster of two nodes that do not run yet, with an account and a plugin.
struct Cluster {
    homes: [Home; 2],
    account: Account,
    /// The address of the account.
    bot: BareJid,
    nats: Nats,
}

impl Cluster {
    async fn new(plugin: &str, granted: fn(Entry) -> Entry) -> Self {
        let (nats, server) = (Nats::start().await.unwrap(), prosody().await);
        let bot = server.fresh_account("clustered").unwrap();
        let homes = NODES.map(|node| home(node, &nats, server, &bot, plugin, granted));
        Self { homes, bot: bot.jid.clone(), account: bot, nats }
    }

    /// Starts a node, and waits until it is one.
    async fn start(&self, node: usize) -> Host {
        // The other node may have compiled the plugin by now.
        self.homes.iter().for_each(compiled::take);
        compiled::give(&self.homes[node]);
        let mut host = self.homes[node].start().unwrap();
        host.wait("the host is a node of a cluster", &[("node", NODES[node])], SOON).await.unwrap();
        host
    }

    /// Returns what this node says of the cluster.
    async fn status(&self, node: usize) -> Value {
        self.said(node, &["cluster", "status", "--json"]).await
    }

    /// Returns the JSON that a command says at this node.
    async fn said(&self, node: usize, command: &[&str]) -> Value {
        let said = self.homes[node].run(command).await.unwrap();
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

impl Cluster {
    /// Suspends the host of the first node, and returns whether the second one names it as silent. It counts as a node for about
    /// two seconds, so on a busy machine the question may come too late.
    async fn is_named_silent(&self, one: &Host) -> bool {
        for _ in 0..5 {
            one.signal(Signal::Suspend).unwrap();
            let said = self.homes[1].run(&["status"]).await.unwrap();
            one.signal(Signal::Continue).unwrap();
            if said.code == Some(5) && said.stdout.contains("node one does not answer") {
                assert!(said.stderr.contains("node one does not answer"), "{said:?}");
                return true;
            }
            let is_back = async {
                while !values(&self.status(1).await["nodes"], "name").contains(&"one") {
                    tokio::time::sleep(A_MOMENT).await;
                }
            };
            tokio::time::timeout(MOVED, is_back).await.expect("the node is back within a minute");
        }
        false
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
    let mut home = alone(server, bot, plugin, granted);
    make_node(&mut home, &nats.address(), node).unwrap();
    home
}

/// Returns the folder of a host that is no node yet.
fn alone(server: &XmppServer, bot: &Account, plugin: &str, granted: fn(Entry) -> Entry) -> Home {
    let mut home = Home::new().unwrap();
    home.add_account("main", bot, Server::StartTls(server.ports().starttls, server.certificate())).unwrap();
    home.set("allow_non_roster_messaging", true).unwrap();
    let entry = home.install(plugin, &built(plugin).unwrap()).unwrap();
    home.set_policy(&Policy::default().with(plugin, granted(entry))).unwrap();
    home
}

async fn connected(host: &mut Host) {
    host.wait("account connected", &[("account", "main")], MOVED).await.unwrap();
}

/// Returns the count in an answer.
fn number(text: &str) -> Option<u32> {
    text.strip_prefix("hello messages ")?.split(' ').next()?.parse().ok()
}

/// Has the plugin count a message, and returns the new count. An account that has just logged in is written to until it is
/// there, so the count may grow by more than one.
async fn count(friend: &mut Client, bot: &BareJid, before: u32) -> u32 {
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
    // The window of a node shows what a plugin keeps on another one.
    let window = Window::open(&cluster.homes[1]).await.unwrap();
    let session = window.log_in(&cluster.homes[1], "operator").await.unwrap();
    let page = session.page("/plugins/idler/storage?account=main").await.unwrap().body;
    assert!(page.contains("messages") && !page.contains("It keeps nothing"), "{page}");
    let value = session.page("/plugins/idler/storage/value?account=main&key=messages").await.unwrap().body;
    assert!(value.contains("All keys"), "{value}");
    drop((session, window));
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

/// Answers each message with the same. It gets no history: what is said while its account moves is news.
fn echo(entry: Entry) -> Entry {
    entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
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
    // The server hands the session over.
    two.wait("account connected", &[("account", "main"), ("session", "continued")], MOVED).await.unwrap();
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
    // Also with a typo in the command that takes it back.
    for more in [&[][..], &["--off"]] {
        let nobody = cluster.homes[0].run(&[&["cluster", "drain", "three"], more].concat()).await.unwrap();
        assert!(nobody.code == Some(1) && nobody.stderr.contains("no node three"), "{nobody:?}");
    }
}

/// Has the plugin of a node get what it missed from the archive, and answer it.
fn catch_up(home: &Home) {
    let catches_up = |manifest: &str| manifest.replacen("[plugin]\n", "[plugin]\ncatch_up = true\n", 1);
    let bytes = with_manifest(&built("echo").unwrap().bytes().unwrap(), catches_up).unwrap();
    let entry = echo(home.install_bytes("echo", &bytes).unwrap());
    home.set_policy(&Policy::default().with("echo", entry.set("answer_late", true))).unwrap();
}

/// Checks that somebody has heard each of these exactly once.
fn are_heard_once(friend: &Client, bodies: &[String]) {
    let heard = friend.received_xml();
    for body in bodies {
        let times = heard.iter().filter(|stanza| stanza.contains(&format!(">{body}<"))).count();
        assert_eq!(times, 1, "{body}: {heard:#?}");
    }
}

/// Where the server keeps no session for the next node, the archive has what was said meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_drained_account_whose_session_is_not_kept_catches_up_and_answers_each_message_once() {
    let mut cluster = Cluster::new("echo", echo).await;
    for home in &mut cluster.homes {
        home.set("keepalive", false).unwrap();
        catch_up(home);
    }
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut juliet = friend("juliet").await;
    is_answered(&mut juliet, &cluster.bot, "before").await;
    let mut two = cluster.start(1).await;
    cluster.until_at(1, 0).await;
    let bodies: Vec<_> = (0..40).map(|number| format!("message {number}")).collect();
    let (early, late) = bodies.split_at(20);
    for body in early {
        juliet.chat(cluster.bot.clone(), body).await.unwrap();
    }
    let drained = cluster.homes[1].run(&["cluster", "drain", "one"]).await.unwrap();
    assert_eq!(drained.code, Some(0), "{drained:?}");
    for body in late {
        juliet.chat(cluster.bot.clone(), body).await.unwrap();
    }
    two.wait("account connected", &[("account", "main"), ("session", "new")], MOVED).await.unwrap();
    for body in &bodies {
        juliet.wait_body(&cluster.bot, body, SOON).await.unwrap();
    }
    let off = cluster.homes[1].run(&["cluster", "drain", "one", "--off"]).await.unwrap();
    assert_eq!(off.code, Some(0), "{off:?}");
    assert!(one.stop(MOVED).await.unwrap().success() && two.stop(MOVED).await.unwrap().success());
    // Somebody else gets these, so the server puts none of them aside, and only the archive has them for the account.
    let other = client(&cluster.account).await;
    let meanwhile = ["one", "two", "three"].map(|number| format!("meanwhile {number}"));
    for body in &meanwhile {
        juliet.chat(cluster.bot.clone(), body).await.unwrap();
    }
    juliet.catch_up(SOON).await.unwrap();
    other.close().await.unwrap();
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    for body in &meanwhile {
        juliet.wait_body(&cluster.bot, body, SOON).await.unwrap();
    }
    is_answered(&mut juliet, &cluster.bot, "after").await;
    are_heard_once(&juliet, &bodies);
    are_heard_once(&juliet, &meanwhile);
    assert!(one.stop(MOVED).await.unwrap().success());
}

/// Checks that the window shows the entries of the first node before a number, and none of the second node before its first one.
async fn older_entries_are_paged(cluster: &Cluster, entries: &[Value], at: &Value) {
    let number = at["id"].as_i64().unwrap();
    let is_before = |one: &&Value| one["node"] == at["node"] && one["id"].as_i64() < Some(number);
    let before = entries.iter().filter(is_before).count();
    let window = Window::open(&cluster.homes[1]).await.unwrap();
    let session = window.log_in(&cluster.homes[1], "viewer").await.unwrap();
    for (number, is_shown) in [(number, false), (number + 1, true)] {
        let path = format!("/audit?before=%7B%22one%22:{number},%22two%22:1%7D");
        let page = session.page(&path).await.unwrap().body;
        assert_eq!(page.matches("<th scope=\"row\">").count(), before + usize::from(is_shown), "{page}");
        assert_eq!(page.contains("it was made to write to"), is_shown, "{page}");
    }
}

/// Restarts a plugin in the window of the second node. It runs on the first one.
async fn is_restarted_from_afar(cluster: &Cluster, one: &Host) {
    let window = Window::open(&cluster.homes[1]).await.unwrap();
    let session = window.log_in(&cluster.homes[1], "operator").await.unwrap();
    let before = one.lines("plugin running", &[]).len();
    let done = session.change("/plugins/idler", "/plugins/idler/restart", &[]).await.unwrap();
    assert_eq!(done.status, 303, "{done:?}");
    one.wait_count("plugin running", &[], before + 1, SOON).await.unwrap();
}

/// Returns the values of a field in a list.
fn values<'v>(list: &'v Value, field: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_one_node_are_about_the_accounts_of_another_and_a_silent_node_is_named() {
    let cluster = Cluster::new("idler", idler).await;
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut two = cluster.start(1).await;
    cluster.until_at(1, 0).await;
    let status = cluster.said(1, &["status", "--json"]).await;
    assert_eq!((values(&status["accounts"], "node"), &status["node"]), (vec!["one"], &Value::from("two")), "{status}");
    assert_eq!(values(&status["accounts"], "connection"), ["connected"]);
    assert_eq!(values(&status["nodes"], "name"), ["two", "one"]);
    assert_eq!(values(&status["plugins"], "node"), ["one"], "{status}");
    let keys = cluster.said(1, &["keys", "--json"]).await;
    assert_eq!((values(&keys, "account"), values(&keys, "node")), (vec!["main"], vec!["one"]));
    assert_eq!(values(&cluster.said(1, &["keys", "main", "--json"]).await, "account"), ["main"]);
    assert_eq!(values(&cluster.said(1, &["contacts", "--json"]).await, "node"), ["one"]);
    let mut juliet = friend("juliet").await;
    let to = juliet.jid().to_bare().to_string();
    cluster.said(1, &["say", &to, "from afar", "--new", "--json"]).await;
    juliet.wait_body(&cluster.bot, "from afar", SOON).await.unwrap();
    let restarted = cluster.homes[1].run(&["plugin", "restart", "idler"]).await.unwrap();
    assert!(restarted.code == Some(0) && restarted.stdout.contains("on main is running"), "{restarted:?}");
    is_restarted_from_afar(&cluster, &one).await;
    let audit = cluster.said(0, &["audit", "--json"]).await;
    let entries = audit["entries"].as_array().unwrap();
    let of = |what: &str, node: &str| entries.iter().find(|one| one["node"] == node && one["what"] == what);
    let written = of(&format!("it was made to write to {to}"), "one").unwrap_or_else(|| panic!("{audit}"));
    assert_eq!(written["way"], "control socket at node two", "it is recorded where it was done");
    assert!(of("restarted", "one").is_some() && of("restarted", "two").is_some(), "{audit}");
    older_entries_are_paged(&cluster, entries, written).await;
    let reloaded = cluster.said(1, &["reload", "--node", "one", "--json"]).await;
    assert_eq!(reloaded["host"]["pid"], one.id(), "{reloaded}");
    let both = cluster.said(1, &["reload", "--all", "--json"]).await;
    assert_eq!(values(&both["nodes"], "name"), ["two", "one"]);
    let nobody = cluster.homes[1].run(&["reload", "--node", "three"]).await.unwrap();
    assert!(nobody.code == Some(1) && nobody.stderr.contains("node three is not there"), "{nobody:?}");
    assert!(cluster.is_named_silent(&one).await, "{}", two.log().tail());
    for host in [&mut one, &mut two] {
        assert!(host.stop(MOVED).await.unwrap().success());
    }
}

impl Cluster {
    /// Waits until each node has one of the two accounts and both are connected. Returns the client of `main`, and the nodes of `main` and
    /// of `second`.
    async fn until_each_has_one(&self) -> (Jid, [String; 2]) {
        let reach = async {
            loop {
                let status = self.said(0, &["status", "--json"]).await;
                let accounts = &status["accounts"];
                let (connections, nodes) = (values(accounts, "connection"), values(accounts, "node"));
                if connections == ["connected"; 2] && nodes[0] != nodes[1] {
                    let client: Jid = accounts[0]["jid"].as_str().unwrap().parse().unwrap();
                    return (client, [nodes[0].to_owned(), nodes[1].to_owned()]);
                }
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        tokio::time::timeout(MOVED, reach).await.expect("each node has an account within a minute")
    }
}

/// The node with the account that the owner writes to asks the other one.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_in_a_chat_sees_and_controls_the_accounts_of_all_nodes() {
    let (mut cluster, server) = (Cluster::new("echo", echo).await, prosody().await);
    let mut juliet = friend("juliet").await;
    let second = server.fresh_account("second").unwrap();
    let owner = juliet.jid().to_bare().to_string();
    for home in &mut cluster.homes {
        let way = Server::StartTls(server.ports().starttls, server.certificate());
        home.add_account("second", &second, way).unwrap();
        for account in ["main", "second"] {
            home.amend(account, "owners", Some(vec![owner.clone()].into())).unwrap();
        }
    }
    let mut hosts = [cluster.start(0).await, cluster.start(1).await];
    let (main, [of_main, of_second]) = cluster.until_each_has_one().await;
    let on = |state: &str| {
        [("main", &of_main), ("second", &of_second)]
            .map(|(account, node)| format!("echo 0.1.0 on {account} at node {node} is {state}"))
    };
    let status = note(&begin(&mut juliet, &main, "status").await.unwrap());
    for (account, node) in [("main", &of_main), ("second", &of_second)] {
        assert!(status.contains(&format!("account {account} at node {node}: connected")), "{status}");
    }
    let list = note(&begin(&mut juliet, &main, "list").await.unwrap());
    assert!(on("running").iter().all(|line| status.contains(line) && list.contains(line)), "{status}\n{list}");
    let before: Vec<_> = hosts.iter().map(|host| host.lines("plugin running", &[]).len()).collect();
    let restarted = done(&mut juliet, &main, "restart", "echo").await;
    assert!(on("running").iter().all(|line| restarted.contains(line)), "{restarted}");
    for (host, before) in hosts.iter().zip(before) {
        host.wait_count("plugin running", &[], before + 1, SOON).await.unwrap();
    }
    let audit = cluster.said(0, &["audit", "--json"]).await;
    let by = |node: &str, way: &str| {
        let is_it = |one: &Value| {
            one["node"] == node && one["what"] == "restarted" && one["way"] == way && one["account"].is_string()
        };
        audit["entries"].as_array().unwrap().iter().any(is_it)
    };
    assert!(by(&of_main, "chat") && by(&of_second, &format!("chat at node {of_main}")), "{audit}");
    let disabled = done(&mut juliet, &main, "disable", "echo").await;
    assert!(on("disabled").iter().all(|line| disabled.contains(line)), "{disabled}");
    let enabled = done(&mut juliet, &main, "enable", "echo").await;
    assert!(!enabled.contains("disabled") && enabled.contains("on second at node"), "{enabled}");
    for host in &mut hosts {
        assert!(host.stop(MOVED).await.unwrap().success());
    }
}

const SECRET: &str = "shared by the sender and the plugin";

fn receiver(entry: Entry) -> Entry {
    entry.grant_whole("storage").grant_whole("webhooks.receive")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_reached_through_any_node_and_retried_while_its_account_moves() {
    let mut cluster = Cluster::new("receiver", receiver).await;
    for home in &mut cluster.homes {
        home.set_web("listen", format!("127.0.0.1:{}", ports::free().unwrap())).unwrap();
        let secret = home.keep_secret("secret", SECRET).unwrap();
        let entry = home.install("receiver", &built("receiver").unwrap()).unwrap();
        let entry = receiver(entry).set("secret", secret).limit("webhook_body", "1 KiB");
        home.set_policy(&Policy::default().with("receiver", entry)).unwrap();
    }
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    one.wait_count("plugin running", &[], 1, SOON).await.unwrap();
    let mut two = cluster.start(1).await;
    let listens = two.wait("webhooks are listened for", &[], SOON).await.unwrap();
    let at = listens.get("at").parse().unwrap();
    cluster.until_at(1, 0).await;
    let shown = cluster.said(1, &["plugin", "hooks", "receiver", "--json"]).await;
    let path = webhooks::paths(&shown[0]).remove("queue").unwrap();
    assert_eq!(webhooks::post(at, &path, SECRET, "from afar").await.unwrap(), 202);
    let mut from = Mark::default();
    let told = |line: &str| line.contains("from afar").then_some(());
    one.log().wait("from afar", &mut from, SOON, told).await.unwrap();
    assert_eq!(webhooks::post(at, &path, "another secret", "x").await.unwrap(), 401);
    // The node that has the webhook records what is too long to be passed on.
    let long = "x".repeat(1_025);
    assert_eq!(webhooks::post(at, &path, SECRET, &long).await.unwrap(), 401);
    let audit = cluster.said(1, &["audit", "--plugin", "receiver", "--json"]).await;
    let oversized = audit["names"].as_array().unwrap().iter().find(|name| name["what"] == "queue oversized");
    assert_eq!(oversized.map(|name| &name["count"]), Some(&1.into()), "{audit}");
    // The first one can be an address of another node, and the second one of none.
    for token in ["0".repeat(48), "00".to_owned()] {
        let path = format!("/hooks/receiver/queue/{token}");
        assert_eq!(webhooks::post(at, &path, SECRET, "x").await.unwrap(), 401);
    }
    one.signal(Signal::Kill).unwrap();
    one.ended(SOON).await.unwrap();
    let again = async {
        loop {
            match webhooks::post(at, &path, SECRET, "after the move").await.unwrap() {
                202 => break,
                status => assert_eq!(status, 503, "the sender is told to try again"),
            }
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    tokio::time::timeout(MOVED, again).await.expect("the webhook is there again within a minute");
    assert!(two.stop(MOVED).await.unwrap().success());
}

/// Row 147: the due time is within the change of nodes or after it, and the plugin sets no schedule on the second node.
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_due_on_the_next_node_after_its_node_was_killed() {
    let cluster = Cluster::new("receiver", receiver).await;
    for home in &cluster.homes {
        let secret = home.keep_secret("secret", SECRET).unwrap();
        let entry = receiver(home.install("receiver", &built("receiver").unwrap()).unwrap()).set("secret", secret);
        home.set_policy(&Policy::default().with("receiver", entry)).unwrap();
    }
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut two = cluster.start(1).await;
    cluster.until_at(1, 0).await;
    let logged = async |host: &Host, text: &str| {
        let pick = |line: &str| line.contains(text).then_some(());
        host.log().wait(text, &mut Mark::default(), SOON, pick).await.unwrap();
    };
    let single = format!("at once {} 1", in_seconds(15));
    // The second setting leaves both schedules as they are.
    for sets in [format!("every tick 3600000 1;{single}"), "cancel nothing - 0".to_owned()] {
        let done = cluster.homes[0].run(&["plugin", "config", "receiver", "sets", &sets]).await.unwrap();
        assert_eq!(done.code, Some(0), "{done:?}");
        logged(&one, &format!("set {}: Ok(", sets.rsplit(';').next().unwrap())).await;
    }
    let tick = async |node: usize| {
        let shown = cluster.said(node, &["plugin", "schedules", "receiver", "--json"]).await;
        let all = shown[0]["schedules"].as_array().cloned().unwrap_or_default();
        let next = all.iter().find(|one| one["name"] == "tick").map(|tick| tick["next"].clone());
        next.unwrap_or_else(|| panic!("{shown}"))
    };
    let before = tick(0).await;
    one.signal(Signal::Kill).unwrap();
    one.ended(SOON).await.unwrap();
    assert!(!one.log().all().iter().any(|line| line.contains("due once ")), "killed too late: {}", one.log().tail());
    connected(&mut two).await;
    logged(&two, "due once 1 1 missed 0").await;
    assert_eq!(tick(1).await, before);
    assert!(!two.log().all().iter().any(|line| line.contains("set at once")), "{}", two.log().tail());
    assert!(two.stop(MOVED).await.unwrap().success());
}

/// Answers in chats, and in one room.
fn in_the_lounge(entry: Entry) -> Entry {
    let entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).set("answer_late", true);
    entry.grant("rooms.send", &["lounge@rooms.example.org"])
}

/// Writes to an account until it says the same.
async fn is_answered(friend: &mut Client, bot: &BareJid, text: &str) {
    let answered = async {
        loop {
            friend.chat(bot.clone(), text).await.unwrap();
            if friend.wait_body(bot, text, A_SECOND).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(MOVED, answered).await.expect("the account answers within a minute");
}

/// Before, a node that lacked the account took it and kept it, and nobody answered.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_one_node_lacks_runs_on_the_other_and_a_second_host_of_a_name_is_refused() {
    let (mut cluster, server) = (Cluster::new("echo", in_the_lounge).await, prosody().await);
    // Before "clustered", so that a node with too many accounts gives this one away first.
    let alpha = server.fresh_account("alpha").unwrap();
    let way = Server::StartTls(server.ports().starttls, server.certificate());
    cluster.homes[1].add_account("alpha", &alpha, way).unwrap();
    let mut two = cluster.start(1).await;
    two.wait("account connected", &[("account", "alpha")], MOVED).await.unwrap();
    let mut one = cluster.start(0).await;
    let lacks = "the configuration of this node lacks an account of the cluster, which only other nodes can run: write the same accounts on all nodes, or remove it with `parlor cluster remove`";
    one.wait(lacks, &[("jid", alpha.jid.as_str())], SOON).await.unwrap();
    // The other account moves, and this one stays, although its node is drained.
    let drained = cluster.homes[0].run(&["cluster", "drain", "two"]).await.unwrap();
    assert_eq!(drained.code, Some(0), "{drained:?}");
    connected(&mut one).await;
    let mut juliet = friend("juliet").await;
    is_answered(&mut juliet, &alpha.jid, "who has you?").await;
    let accounts = cluster.status(0).await["accounts"].clone();
    let at = |jid: &BareJid| {
        accounts.as_array().unwrap().iter().find(|one| one["jid"] == jid.as_str()).unwrap()["node"].clone()
    };
    assert_eq!((at(&alpha.jid), at(&cluster.bot)), ("two".into(), "one".into()), "{accounts}");
    // Another folder, and the same name.
    let twin = home("one", &cluster.nats, server, &alpha, "echo", in_the_lounge);
    let mut twin = twin.start().unwrap();
    assert!(!twin.ended(SOON).await.unwrap().success());
    let said = twin.log().tail();
    assert!(said.contains("another host is node") && said.contains("PARLOR_NODE"), "{said}");
    for host in [&mut one, &mut two] {
        assert!(host.stop(MOVED).await.unwrap().success());
    }
}

/// Both nodes find its password in the same file.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_added_at_one_node_answers_and_is_gone_when_the_other_one_removes_it() {
    let (cluster, server) = (Cluster::new("echo", in_the_lounge).await, prosody().await);
    let [one_home, two_home] = &cluster.homes;
    let shared =
        || [one_home, two_home].map(|home| std::fs::read_to_string(home.path().join("accounts.toml")).unwrap());
    std::fs::write(one_home.path().join("accounts.toml"), "# Of all nodes.\n").unwrap();
    let mut one = cluster.start(0).await;
    let mut two = cluster.start(1).await;
    assert_eq!(shared(), ["# Of all nodes.\n", "# Of all nodes.\n"], "it has it before it takes accounts");
    let second = server.fresh_account("second").unwrap();
    let password = one_home.path().join("shared.password");
    std::fs::write(&password, format!("{}\n", second.password)).unwrap();
    let (jid, port) = (second.jid.to_string(), format!("127.0.0.1:{}", server.ports().starttls));
    let (password, certificate) = (password.display().to_string(), &server.certificate().certificate_file);
    let certificate = certificate.display().to_string();
    let added = ["account", "add", "second", "--jid", &jid, "--password-file", &password, "--server", &port];
    let added = [&added[..], &["--tls", "starttls", "--ca-file", &certificate]].concat();
    let added = one_home.run(&added).await.unwrap();
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(added.stdout.contains("accounts.toml"), "{added:?}");
    two.wait_count("accounts.toml came from another node", &[], 2, SOON).await.unwrap();
    let [of_one, of_two] = shared();
    assert!(of_one == of_two && of_one.starts_with("# Of all nodes.\n\n[account.second]\n"), "{of_one}\n{of_two}");
    // One of the two has it, and if that one is lost, the other one.
    let mut juliet = friend("juliet").await;
    is_answered(&mut juliet, &second.jid, "are you there?").await;
    assert!(one.stop(MOVED).await.unwrap().success());
    is_answered(&mut juliet, &second.jid, "and now?").await;
    let mut one = cluster.start(0).await;
    // The file of the host has no data of it, so none is said to be removed.
    let with_data = two_home.run(&["account", "remove", "second", "--yes", "--with-data"]).await.unwrap();
    assert!(with_data.code == Some(1) && with_data.stderr.contains("parlor cluster remove"), "{with_data:?}");
    assert!(shared()[1].contains("[account.second]"), "nothing was changed");
    let removed = two_home.run(&["account", "remove", "second", "--yes"]).await.unwrap();
    assert!(removed.code == Some(0) && removed.stdout.contains("what the cluster keeps for it stays"), "{removed:?}");
    one.wait("accounts.toml came from another node", &[], SOON).await.unwrap();
    let [of_one, of_two] = shared();
    assert!(of_one == of_two && of_one.starts_with("# Of all nodes.\n") && !of_one.contains("second"), "{of_one}");
    let gone = async {
        while values(&cluster.said(0, &["status", "--json"]).await["accounts"], "name").contains(&"second") {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    tokio::time::timeout(MOVED, gone).await.expect("no node has it any more");
    let status = cluster.status(0).await;
    assert_eq!(status["shared_accounts"], serde_json::json!({ "version": 3, "node": "two" }));
    // The account of parlor.toml went on.
    is_answered(&mut juliet, &cluster.bot, "still there?").await;
    assert!(one.stop(MOVED).await.unwrap().success());
    assert!(two.stop(MOVED).await.unwrap().success());
}

/// The second node has nothing but the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_decides_at_one_node_counts_at_the_other() {
    let cluster = Cluster::new("echo", in_the_lounge).await;
    let [one_home, two_home] = &cluster.homes;
    two_home.set_policy(&Policy::default()).unwrap();
    std::fs::remove_file(two_home.path().join("plugins/echo.wasm")).unwrap();
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut two = cluster.start(1).await;
    let policies =
        || [one_home, two_home].map(|home| std::fs::read_to_string(home.path().join("plugins.toml")).unwrap());
    let [policy, taken] = policies();
    assert_eq!(policy, taken);
    let ended = async |home: &Home, arguments: &[&str]| {
        let said = home.run(arguments).await.unwrap();
        assert_eq!(said.code, Some(0), "{said:?}\n{}", cluster.nats.log().tail());
    };
    // Grants and the plugin itself, from either node.
    let echo = [("plugin", "echo")];
    ended(one_home, &["plugin", "grant", "echo", "rooms.send=den@rooms.example.org", "--yes"]).await;
    two.wait("grants changed", &echo, SOON).await.unwrap();
    ended(two_home, &["plugin", "grant", "echo", "rooms.send=attic@rooms.example.org", "--yes"]).await;
    one.wait_count("grants changed", &echo, 2, SOON).await.unwrap();
    ended(one_home, &["plugin", "disable", "echo"]).await;
    two.wait("plugin disabled", &echo, SOON).await.unwrap();
    ended(two_home, &["plugin", "enable", "echo"]).await;
    let in_sync = async {
        loop {
            let status = cluster.status(0).await;
            let of = |node: &Value| (node["plugins"] == "in sync", node["version"].clone());
            let nodes: Vec<_> = status["nodes"].as_array().unwrap().iter().map(of).collect();
            if nodes.len() == 2 && nodes.iter().all(|(is_in_sync, version)| *is_in_sync && *version == 5) {
                assert_eq!(status["plugins"], serde_json::json!({ "version": 5, "node": "two" }));
                return;
            }
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    tokio::time::timeout(MOVED, in_sync).await.expect("both have the version within a minute");
    // The component is there, so the account goes on with its plugin.
    assert!(one.stop(MOVED).await.unwrap().success());
    connected(&mut two).await;
    let mut juliet = friend("juliet").await;
    juliet.chat(cluster.bot.clone(), "still there?").await.unwrap();
    juliet.wait_body(&cluster.bot, "still there?", SOON).await.unwrap();
    let removed = two_home.run(&["plugin", "remove", "echo", "--yes"]).await.unwrap();
    assert_eq!(removed.code, Some(0), "{removed:?}");
    // It was down meanwhile.
    let mut one = cluster.start(0).await;
    let [policy, taken] = policies();
    assert!(policy == taken && !policy.contains("echo.wasm"), "{policy}");
    assert!(one.stop(MOVED).await.unwrap().success());
    assert!(two.stop(MOVED).await.unwrap().success());
}

/// It has its lease for a while longer, and cannot note what it handles: the next node would handle that again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_from_nats_answers_nothing() {
    let mut cluster = Cluster::new("echo", echo).await;
    let way = Partition::before(cluster.nats.port()).await.unwrap();
    cluster.homes[0].set_cluster("nats", format!("nats://127.0.0.1:{}", way.port())).unwrap();
    // The messages that a lost node got come as history.
    cluster.homes.iter().for_each(catch_up);
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
    are_heard_once(&juliet, &bodies);
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
    make_node(&mut home, "nats://127.0.0.1:1", "alone").unwrap();
    let ended = home.run(&["run", "--config", "parlor.toml"]).await.unwrap();
    assert!(ended.code == Some(1) && ended.stderr.contains("NATS cannot be reached"), "{ended:?}");
}

/// The node that has the account makes the change, whichever node is asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_stored_is_imported_and_removed_from_a_node_without_the_account() {
    let cluster = Cluster::new("echo", in_the_lounge).await;
    let [_, home] = &cluster.homes;
    let line = r#"{"account":"main","key":"greeting","value":"hello"}"#;
    let import = ["plugin", "data", "echo", "import"];
    let alone = home.run_with(&import, line).await.unwrap();
    assert_eq!(alone.code, Some(4), "only a node can ask the others: {alone:?}");
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let mut two = cluster.start(1).await;
    let imported = home.run_with(&import, line).await.unwrap();
    assert!(imported.code == Some(0) && imported.stdout.contains("1 entry imported"), "{imported:?}");
    let exported = home.run(&["plugin", "data", "echo", "export"]).await.unwrap();
    assert_eq!(exported.stdout, format!("{line}\n"), "{exported:?}");
    let remove = ["plugin", "remove", "echo", "--yes", "--with-data"];
    let removed = home.run(&remove).await.unwrap();
    assert!(removed.code == Some(0) && removed.stdout.contains("with what it kept"), "{removed:?}");
    let left = home.run(&["plugin", "data", "echo", "list"]).await.unwrap();
    assert!(left.code == Some(1) && left.stderr.contains("no data of one"), "{left:?}");
    let again = home.run(&remove).await.unwrap();
    assert!(again.code == Some(1) && again.stderr.contains("no data of one"), "{again:?}");
    let audit = cluster.said(1, &["audit", "--json"]).await.to_string();
    assert!(audit.contains("entries were imported for it") && audit.contains("what it stored is removed"), "{audit}");
    assert!(one.stop(MOVED).await.unwrap().success());
    assert!(two.stop(MOVED).await.unwrap().success());
}

/// Otherwise it would take accounts over, and no other node could go on with them.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_key_of_its_cluster_does_not_start_and_says_what_to_copy() {
    let cluster = Cluster::new("idler", idler).await;
    let mut one = cluster.start(0).await;
    connected(&mut one).await;
    let other = &cluster.homes[1];
    let key = other.path().join(KEY_FILE);
    let there = other.run(&["cluster", "key"]).await.unwrap();
    assert!(there.code == Some(1) && there.stderr.contains("is there already"), "{there:?}");
    std::fs::remove_file(&key).unwrap();
    let refused = other.run(&["run", "--config", "parlor.toml"]).await.unwrap();
    assert!(refused.code == Some(1) && refused.stderr.contains("parlor cluster key"), "{refused:?}");
    let made = other.run(&["cluster", "key", "--json"]).await.unwrap();
    assert_eq!(made.code, Some(0), "{made:?}");
    let id = made.json().unwrap()["key"].as_str().unwrap().to_owned();
    let secret = std::fs::read_to_string(&key).unwrap();
    assert!(secret.contains(&id) && !made.stdout.contains(secret.trim_end().rsplit(' ').next().unwrap()), "{made:?}");
    let refused = other.run(&["run", "--config", "parlor.toml"]).await.unwrap();
    let said = "the cluster suite encrypts with the key e6389e9e3f211b20, which this node does not have";
    assert!(refused.code == Some(1) && refused.stderr.contains(said), "{refused:?}");
    assert_eq!(cluster.status(0).await["nodes"].as_array().unwrap().len(), 1);
    assert!(one.stop(MOVED).await.unwrap().success());
}
