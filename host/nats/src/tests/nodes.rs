//! Nodes with their leases.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use futures_util::StreamExt as _;
use parlor_cluster::{Key, SessionId, Timing, Token};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{mpsc, oneshot};

use super::proxy::Proxy;
use super::server::{Server, cluster, settings};
use super::{heard, listen, soon};
use crate::answer::Last;
use crate::away::Standing;
use crate::drive::look_for_other_times;
use crate::losses::has_lost;
use crate::pulse::{Pulse, Question, Route, Waiter, ask};
use crate::watch::{Present, Watch};
use crate::{
    AccountLog, Added, Cluster, ConnectError, Driver, Link, LogError, Login, NodeHealth, NodeSettings, Order, Permit,
    PutError, Settings, StartError, State, StateError, prepare,
};

const ACCOUNT: &str = "bot@example.org";
/// How long a write of a test may wait for its answer.
const ANSWER: Duration = Duration::from_secs(2);

fn settings_of(name: &str) -> NodeSettings {
    NodeSettings { name: name.to_owned(), capacity: 1, timing: Timing::default() }
}

/// Returns times that other nodes of the tests do not have.
fn other_times() -> Timing {
    let [renewal, life, grace] = [100, 900, 100].map(Duration::from_millis);
    Timing::new(renewal, life, grace, 10).unwrap()
}

/// A node, and what it ordered.
struct Running {
    driver: Driver,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Running {
    /// Starts a node by the server on this port. `after` is called after each order, on the thread of the driver.
    async fn start(port: u16, name: &str, after: impl FnMut(&Order) + Send + 'static) -> Self {
        Self::over(settings(port), name, after).await
    }

    /// Starts a node that reaches NATS in this way.
    async fn over(settings: Settings, name: &str, after: impl FnMut(&Order) + Send + 'static) -> Self {
        Self::with(settings, settings_of(name), after).await
    }

    async fn with(settings: Settings, own: NodeSettings, mut after: impl FnMut(&Order) + Send + 'static) -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        let on_order = move |order: Order| {
            _ = sender.send(order.clone());
            after(&order);
        };
        let driver = Driver::start(settings, cluster(), own, on_order).await.unwrap();
        Self { driver, orders }
    }

    async fn order(&mut self) -> Order {
        soon(self.orders.recv()).await.unwrap()
    }

    async fn start_order(&mut self) -> (Arc<str>, Token, Permit) {
        loop {
            if let Order::Start { account, token, permit } = self.order().await {
                return (account, token, permit);
            }
        }
    }

    async fn kill_order(&mut self) -> (Arc<str>, Token) {
        loop {
            if let Order::Kill { account, token } = self.order().await {
                return (account, token);
            }
        }
    }

    /// Waits until it says that NATS has lost what it had confirmed.
    async fn loss(&mut self) {
        while !matches!(self.report().await, StateError::Lost(_)) {}
    }

    /// Returns what it reports next.
    async fn report(&mut self) -> StateError {
        loop {
            if let Order::Report(error) = self.order().await {
                return error;
            }
        }
    }

    async fn stop_order(&mut self) -> (Arc<str>, Token, Duration) {
        loop {
            if let Order::Stop { account, token, by } = self.order().await {
                return (account, token, by);
            }
        }
    }
}

/// Connects, and adds the account.
async fn with_account(server: &Server) -> Link {
    let (link, cluster) = server.cluster().await;
    let state = State::open(&link, &cluster, Timing::default()).await.unwrap();
    assert_eq!(state.add(ACCOUNT, 1).await, Ok(Added::New));
    assert_eq!(state.add(ACCOUNT, 1).await, Ok(Added::Present));
    link
}

async fn open(link: &Link, token: Token) -> AccountLog {
    soon(AccountLog::open(link, &cluster(), ACCOUNT, token)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_node_may_not_act_once_another_has_its_account() {
    let server = Server::start();
    let link = with_account(&server).await;
    let (resume, suspended) = std::sync::mpsc::channel::<()>();
    let suspend = move |order: &Order| {
        if matches!(order, Order::Start { .. }) {
            // Until the other end is dropped: the driver hears, sends and decides nothing.
            _ = suspended.recv();
        }
    };
    let mut first = Running::start(server.port(), "first", suspend).await;
    let (account, token, permit) = first.start_order().await;
    assert_eq!(&*account, ACCOUNT);
    assert!(permit.may_act());
    let mut log = open(&link, token).await;
    log.append(Bytes::from_static(b"of the first")).await.unwrap();

    let mut second = Running::start(server.port(), "second", |_| ()).await;
    let (account, later, other) = second.start_order().await;
    assert!(!permit.may_act(), "the session of the first node is over, although it does not know");
    assert!(other.may_act());
    assert_eq!(&*account, ACCOUNT);
    assert!(later > token);
    let mut heir = open(&link, later).await;
    assert_eq!(log.append(Bytes::from_static(b"late")).await, Err(LogError::Fenced));
    heir.append(Bytes::from_static(b"of the second")).await.unwrap();

    drop(resume);
    assert_eq!(first.kill_order().await, (ACCOUNT.into(), token));
    assert!(!permit.may_act());
}

/// The variable by which the test below knows that it is a process of its own, with the port of its server.
const PORT: &str = "PARLOR_NODE_OF_PORT";

/// In a process of its own, it is a node: it says which token it has got, and for each line whether that may act.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_answers_for_its_account() {
    let Ok(port) = std::env::var(PORT) else { return };
    let mut node = Running::start(port.parse().unwrap(), "first", |_| ()).await;
    let (_, token, permit) = node.start_order().await;
    let mut out = std::io::stdout();
    writeln!(out, "\ntoken {}", token.0).unwrap();
    for _ in std::io::stdin().lines() {
        writeln!(out, "\nacts {}", permit.may_act()).unwrap();
    }
}

/// A node in a process of its own. Dropping it ends the process.
struct NodeProcess {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl NodeProcess {
    fn start(port: u16) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "tests::nodes::a_node_answers_for_its_account"]).env(PORT, port.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Box::new(BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok));
        Self { child, lines }
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ask(&mut self) {
        writeln!(self.child.stdin.as_ref().unwrap(), "?").unwrap();
    }

    /// Returns what it says next.
    fn answer(&mut self, name: &str) -> String {
        let answer = self.lines.find_map(|line| line.strip_prefix(name).map(str::to_owned));
        answer.expect("the process goes on")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may be ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_suspended_may_not_act_from_its_first_moment_on() {
    let server = Server::start();
    let link = with_account(&server).await;
    let mut first = NodeProcess::start(server.port());
    let token = Token(first.answer("token ").parse().unwrap());
    first.ask();
    assert_eq!(first.answer("acts "), "true");
    let mut log = open(&link, token).await;
    first.send(Signal::STOP);
    let mut second = Running::start(server.port(), "second", |_| ()).await;
    let (_, later, permit) = second.start_order().await;
    assert!(later > token && permit.may_act());
    open(&link, later).await;
    // The question is there when it wakes up.
    first.ask();
    first.send(Signal::CONT);
    assert_eq!(first.answer("acts "), "false");
    assert_eq!(log.append(Bytes::from_static(b"late")).await, Err(LogError::Fenced));
}

/// Its lease goes on for a while. Its actions meanwhile could not be noted, and would be repeated elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_is_confirmed_only_while_nats_answers() {
    let server = Server::start();
    _ = with_account(&server).await;
    let mut node = Running::start(server.port(), "first", |_| ()).await;
    let (_, _, permit) = node.start_order().await;
    let proxy = Proxy::before(server.port()).await;
    let link = Link::connect(&settings(proxy.port())).await.unwrap();
    let permit = permit.with_pulse(Pulse::start(&link, &cluster()));
    assert!(soon(permit.confirmed()).await);
    proxy.set_deaf(true);
    let mut cut_off = permit.confirmed();
    let early = tokio::time::timeout(Duration::from_millis(700), &mut cut_off).await;
    assert!(early.is_err(), "{early:?}");
    assert!(permit.may_act(), "its lease has a connection of its own here");
    proxy.set_deaf(false);
    assert!(soon(cut_off).await);
    permit.end();
    assert!(!soon(permit.confirmed()).await);
}

/// It wakes up no other thread then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_of_accounts_asks_over_a_connection_of_its_own() {
    let server = Server::start();
    _ = server.cluster().await;
    let proxy = Proxy::before(server.port()).await;
    let link = Link::connect(&settings(proxy.port())).await.unwrap();
    let pulse = Pulse::start(&link, &cluster());
    let sent = move || link.client.statistics().out_messages.load(Ordering::Relaxed);
    let before = sent();
    soon(pulse.answered()).await;
    assert!(sent() > before, "this runtime has several threads");
    let of_a_thread = async move {
        soon(async {
            loop {
                let before = sent();
                pulse.answered().await;
                if sent() == before {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        proxy.set_deaf(true);
        let mut cut_off = pulse.answered();
        let early = tokio::time::timeout(Duration::from_millis(700), &mut cut_off).await;
        assert!(early.is_err(), "{early:?}");
        proxy.set_deaf(false);
        soon(cut_off).await;
        proxy.cut();
        soon(pulse.answered()).await;
    };
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(of_a_thread);
    });
    thread.await.unwrap();
}

/// Asks over this route from now on. Each call of the result is a question, whose answer wakes up what the call returns.
fn asking(route: Route, cluster: Cluster) -> impl Fn() -> oneshot::Receiver<()> {
    let (waiting, inbox) = mpsc::unbounded_channel::<Waiter>();
    tokio::spawn(ask(route, cluster, Question::Read, inbox, Arc::default()));
    move || {
        let (waiter, answered) = oneshot::channel();
        waiting.send(waiter).unwrap();
        answered
    }
}

/// An account could not note what it does.
#[tokio::test]
async fn an_answer_without_the_connection_of_the_stores_does_not_count() {
    let server = Server::start();
    let (thread, cluster) = server.cluster().await;
    let proxy = Proxy::before(server.port()).await;
    let stores = Link::connect(&settings(proxy.port())).await.unwrap();
    let answered = asking(Route { stores: stores.clone(), thread: Some(thread) }, cluster);
    soon(answered()).await.unwrap();
    drop(proxy);
    soon(async {
        while stores.is_connected() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let early = tokio::time::timeout(Duration::from_millis(700), answered()).await;
    assert!(early.is_err(), "{early:?}");
}

/// Only the server of the stores, and of the lease, may hang or be cut off. Accounts would act until the lease ends, and the next node
/// would repeat what they could not note.
#[tokio::test]
async fn an_answer_of_another_server_than_that_of_the_stores_does_not_count() {
    let (server, other) = (Server::start(), Server::start());
    _ = server.cluster().await;
    let (thread, cluster) = other.cluster().await;
    let proxy = Proxy::before(server.port()).await;
    let stores = Link::connect(&settings(proxy.port())).await.unwrap();
    assert!(!thread.shares_server(&stores) && thread.shares_server(&thread.again().await.unwrap()));
    let answered = asking(Route { stores, thread: Some(thread) }, cluster);
    soon(answered()).await.unwrap();
    proxy.set_deaf(true);
    let mut cut_off = answered();
    let early = tokio::time::timeout(Duration::from_millis(700), &mut cut_off).await;
    assert!(early.is_err(), "{early:?}");
    proxy.set_deaf(false);
    soon(cut_off).await.unwrap();
}

/// A server that led the others, and is cut off from them, refuses writes and answers reads by what it had then.
#[tokio::test]
async fn a_server_that_takes_no_write_shows_no_loss() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let state = State::open(&link, &cluster, Timing::default()).await.unwrap();
    let key = Key::Session(SessionId { process: 7, number: 1 });
    for lost in [&key, &Key::Account(ACCOUNT.into())] {
        assert!(has_lost(&state, lost, 1).await, "there is no such record: {lost:?}");
        assert!(!has_lost(&state, lost, 0).await, "there was none before: {lost:?}");
    }
    let stream = link.jetstream.get_stream(cluster.state_stream()).await.unwrap();
    let config = stream.cached_info().config.clone();
    let elsewhere = Config { subjects: vec!["parlor.c.elsewhere".to_owned()], ..config };
    link.jetstream.update_stream(elsewhere).await.unwrap();
    assert!(!has_lost(&state, &key, 1).await);
}

/// Writes one record, and returns its revision, and what reads it as if several servers kept it.
async fn one_of_several(link: &Link, cluster: &Cluster) -> (u64, Present) {
    let revision = link.touch(&cluster.state_stream(), cluster.pulse_subject(), ANSWER).await.unwrap();
    let mut several = link.clone();
    several.replicas = 3;
    (revision, Present::of(&several, cluster, cluster.pulse_subject()))
}

/// Otherwise a record that is replaced in between follows what was the last one, and is missed.
#[tokio::test]
async fn the_end_of_what_several_servers_have_is_asked_for_once_one_delivers() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let (revision, mut present) = one_of_several(&link, &cluster).await;
    let asked = listen(&link, "$JS.API.>").await;
    assert_eq!(soon(present.next()).await.map(|message| message.revision), Some(revision));
    assert!(soon(present.next()).await.is_none());
    let subjects: Vec<_> = heard(asked).await.iter().map(|message| message.subject.to_string()).collect();
    let [begun, end] = ["CONSUMER.CREATE", "MSG.GET"].map(|what| subjects.iter().position(|one| one.contains(what)));
    assert!(begun.is_some() && begun < end, "{subjects:?}");
}

/// Otherwise a reader would wait for it until the patience is over.
#[tokio::test]
async fn the_last_record_may_be_removed_before_a_server_that_lags_behind_delivers_it() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let (revision, mut present) = one_of_several(&link, &cluster).await;
    // The leader had one more.
    (present.until, present.may_lag) = (Some(revision + 1), false);
    assert_eq!(soon(present.next()).await.map(|message| message.revision), Some(revision));
    assert!(soon(present.next()).await.is_none());
}

/// As that of a session that is over.
#[tokio::test]
async fn a_record_is_removed_unless_a_later_one_has_come() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let (stream, subject) = (cluster.state_stream(), cluster.pulse_subject());
    let first = link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    let later = link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    for (revision, stays) in [(first, true), (later, false)] {
        link.remove(&stream, &subject, revision).await.unwrap();
        let there = link.last(&stream, &subject, ANSWER).await.unwrap();
        assert_eq!(matches!(there, Last::Stored(_)), stays, "{there:?}");
    }
}

/// As those of nodes that are back. A node that was cut off for a moment goes on after the last record that it had.
#[tokio::test]
async fn a_removed_record_keeps_no_other_one_from_those_who_do_not_have_it_yet() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let stream = cluster.state_stream();
    let subjects: Vec<_> = (0..6).map(|number| format!("{}.{number}", cluster.pulse_subject())).collect();
    for subject in &subjects {
        link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    }
    let config = OrderedConfig {
        deliver_subject: link.client.new_inbox(),
        filter_subject: cluster.state_subjects(),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: 1 },
        ..OrderedConfig::default()
    };
    let consumer = link.jetstream.create_consumer_on_stream(config, stream.as_str()).await.unwrap();
    link.remove(&stream, &subjects[4], 5).await.unwrap();
    link.remove(&stream, &format!("{}.none", cluster.pulse_subject()), 9).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    for subject in [0, 1, 2, 3, 5].map(|number| &subjects[number]) {
        let message = soon(messages.next()).await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), subject);
    }
}

/// A server that is cut off from the others still says what it has, and can take no write alone.
#[tokio::test]
async fn where_several_servers_keep_the_state_only_a_write_is_an_answer() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let [reads, writes] = [Question::Read, Question::Write].map(|question| Pulse::asking(&link, &cluster, question));
    soon(writes.answered()).await;
    let stream = link.jetstream.get_stream(cluster.state_stream()).await.unwrap();
    let config = stream.cached_info().config.clone();
    let elsewhere = Config { subjects: vec!["parlor.c.elsewhere".to_owned()], ..config.clone() };
    link.jetstream.update_stream(elsewhere).await.unwrap();
    let mut cut_off = writes.answered();
    let early = tokio::time::timeout(Duration::from_millis(700), &mut cut_off).await;
    assert!(early.is_err(), "{early:?}");
    soon(reads.answered()).await;
    link.jetstream.update_stream(config).await.unwrap();
    soon(cut_off).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_gives_its_account_up() {
    let server = Server::start();
    _ = with_account(&server).await;
    let proxy = Proxy::before(server.port()).await;
    let mut first = Running::start(proxy.port(), "first", |_| ()).await;
    let (_, token, permit) = first.start_order().await;
    proxy.set_deaf(true);
    let (account, stopped, _) = first.stop_order().await;
    assert!(!permit.is_fresh(), "it may act until its lease ends, and begins nothing without an answer");
    assert_eq!((&*account, stopped), (ACCOUNT, token));
    assert_eq!(first.kill_order().await, (ACCOUNT.into(), token));
    assert!(!permit.may_act());
    proxy.set_deaf(false);
    proxy.cut();
    let (_, later, again) = first.start_order().await;
    assert!(later > token && again.may_act());
    assert!(!permit.may_act(), "the permit of the earlier session stays ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_go_on_after_the_server_was_killed() {
    let mut server = Server::start();
    _ = with_account(&server).await;
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    let (_, token, permit) = node.start_order().await;
    server.kill();
    assert_eq!(node.kill_order().await.1, token);
    assert!(!permit.may_act());
    server.start_again();
    let (_, later, permit) = node.start_order().await;
    assert!(later > token);
    assert!(permit.may_act());
}

/// As if NATS was started with an empty disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_after_nats_has_lost_all_of_its_state() {
    let server = Server::start();
    let link = with_account(&server).await;
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    let (_, token, permit) = node.start_order().await;
    open(&link, Token(70)).await;
    link.jetstream.delete_stream(cluster().state_stream()).await.unwrap();
    assert_eq!(node.kill_order().await.1, token);
    assert!(!permit.may_act());
    node.loss().await;
    // As its host does then. The log of the account is still there.
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    assert_eq!(state.add_after_loss(ACCOUNT, 1).await, Ok(Added::New));
    let (account, later, permit) = node.start_order().await;
    assert_eq!(&*account, ACCOUNT);
    assert!(permit.may_act() && later > Token(70), "otherwise its log refuses the node: {later:?}");
    open(&link, later).await;
}

/// The numbers of writes do not show the loss to a node that was cut off until NATS had confirmed more writes than before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_notices_a_loss_although_nats_counts_higher_than_before() {
    let server = Server::start();
    let link = with_account(&server).await;
    let proxy = Proxy::before(server.port()).await;
    let mut node = Running::start(proxy.port(), "node", |_| ()).await;
    _ = node.start_order().await;
    proxy.set_deaf(true);
    _ = node.kill_order().await;
    let cluster = cluster();
    link.jetstream.delete_stream(cluster.state_stream()).await.unwrap();
    let state = State::open(&link, &cluster, Timing::default()).await.unwrap();
    for _ in 0..500 {
        link.touch(&cluster.state_stream(), cluster.pulse_subject(), ANSWER).await.unwrap();
    }
    assert_eq!(state.add(ACCOUNT, 1).await, Ok(Added::New));
    proxy.set_deaf(false);
    proxy.cut();
    node.loss().await;
    assert_eq!(&*node.start_order().await.0, ACCOUNT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_after_nats_was_started_with_an_older_copy_of_its_disk() {
    let mut server = Server::start();
    _ = with_account(&server).await;
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    _ = node.start_order().await;
    server.kill();
    _ = node.kill_order().await;
    let copy = server.copy();
    server.start_again();
    // Meanwhile, NATS confirms a session, a claim and renewals.
    _ = node.start_order().await;
    server.kill();
    server.put_back(&copy);
    server.start_again();
    node.loss().await;
    let (account, _, permit) = node.start_order().await;
    assert_eq!(&*account, ACCOUNT);
    assert!(permit.may_act());
}

/// Its consumer begins after the last message that NATS has then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_with_earlier_revisions_after_a_loss_are_marked() {
    let mut server = Server::start();
    let (link, cluster) = server.cluster().await;
    let (stream, subject) = (cluster.state_stream(), cluster.pulse_subject());
    link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    server.kill();
    let copy = server.copy();
    server.start_again();
    let link = server.link().await;
    let mut last = 0;
    for _ in 0..100 {
        last = link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    }
    let (sender, mut messages) = mpsc::unbounded_channel();
    let mut watch = Watch::new(&link, &cluster);
    // In a task of its own, it sees that the connection ends.
    tokio::spawn(async move {
        loop {
            let message = watch.next().await;
            if sender.send((message.revision, message.goes_back)).is_err() {
                return;
            }
        }
    });
    assert_eq!(soon(messages.recv()).await, Some((last, false)));
    link.touch(&stream, subject.clone(), ANSWER).await.unwrap();
    assert_eq!(soon(messages.recv()).await, Some((last + 1, false)));
    server.kill();
    server.put_back(&copy);
    server.start_again();
    let delivered = soon(async {
        loop {
            // Not before the connection is there again.
            _ = link.touch(&stream, subject.clone(), ANSWER).await;
            if let Ok(message) = tokio::time::timeout(Duration::from_millis(200), messages.recv()).await {
                return message.unwrap();
            }
        }
    });
    let (revision, goes_back) = delivered.await;
    assert!(goes_back && revision <= last, "{revision}");
}

/// NATS may have lost the last claims of an account, and not what their holders wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_a_claim_is_raised_after_a_loss_if_the_log_has_a_higher_one() {
    let server = Server::start();
    let link = with_account(&server).await;
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    let (_, token, _) = node.start_order().await;
    open(&link, token).await;
    assert_eq!(state.add_after_loss(ACCOUNT, 1).await, Ok(Added::Present), "it has the token of its claim");
    open(&link, Token(70)).await;
    assert_eq!(state.add_after_loss(ACCOUNT, 1).await, Ok(Added::Present));
    assert_eq!(node.kill_order().await, (ACCOUNT.into(), token));
    let (_, raised, permit) = node.start_order().await;
    assert_eq!(raised, Token(71));
    assert!(permit.may_act());
    open(&link, raised).await;
}

/// A node with other times has created the stream anew. Others end sessions by its times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_if_the_cluster_has_other_times_after_a_loss() {
    let server = Server::start();
    let link = with_account(&server).await;
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    let (_, _, permit) = node.start_order().await;
    link.jetstream.delete_stream(cluster().state_stream()).await.unwrap();
    State::open(&link, &cluster(), other_times()).await.unwrap();
    while !matches!(node.report().await, StateError::Timing { .. }) {}
    soon(node.driver.ended()).await;
    assert!(!permit.may_act());
}

/// The first questions after a loss may have no answer, or one that says nothing.
#[tokio::test]
async fn the_times_of_the_cluster_are_compared_until_nats_has_said_what_they_are() {
    let server = Server::start();
    let link = with_account(&server).await;
    let config = link.jetstream.get_stream(cluster().state_stream()).await.unwrap().cached_info().config.clone();
    link.jetstream.update_stream(Config { max_message_size: -1, ..config.clone() }).await.unwrap();
    let state = State { link: link.clone(), cluster: cluster() };
    let mut looking = Box::pin(look_for_other_times(state.clone(), other_times()));
    let early = tokio::time::timeout(Duration::from_millis(700), &mut looking).await;
    assert!(early.is_err(), "{early:?}");
    link.jetstream.update_stream(config).await.unwrap();
    let found = soon(looking).await;
    assert!(matches!(found, Some(StateError::Timing { .. })), "{found:?}");
    assert_eq!(soon(look_for_other_times(state, Timing::default())).await, None);
}

/// Somebody changed its password there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_in_is_not_accepted_any_more_says_so_and_comes_back_once_it_is() {
    let lines = |password: &str| format!("jetstream: {{}}\nauthorization: {{ user: parlor, password: {password} }}\n");
    let mut server = Server::with(&lines("secret"));
    let login = Login::Password { user: "parlor".to_owned(), password: "secret".to_owned() };
    let mut node = Running::over(Settings { login, ..settings(server.port()) }, "first", |_| ()).await;
    let mut health = node.driver.health();
    soon(health.wait_for(NodeHealth::reaches_nats)).await.unwrap();
    server.kill();
    server.configure(&lines("other"));
    server.start_again();
    while !matches!(node.report().await, StateError::Put(PutError::Unfit(ConnectError::LogIn { .. }))) {}
    soon(health.wait_for(|health| health.trouble.is_some())).await.unwrap();
    server.kill();
    soon(health.wait_for(|health| health.trouble.is_none())).await.expect("nobody refuses it now");
    server.configure(&lines("secret"));
    server.start_again();
    soon(health.wait_for(|health| health.reaches_nats() && health.trouble.is_none())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_leaves_while_its_server_is_down() {
    let mut server = Server::start();
    _ = with_account(&server).await;
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    _ = node.start_order().await;
    server.kill();
    _ = node.kill_order().await;
    // It has begun another session by now, which nobody confirms.
    node.driver.leave();
    soon(node.driver.ended()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_moves_to_another_node_when_its_own_drains_or_leaves() {
    let server = Server::start();
    let link = with_account(&server).await;
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    let mut first = Running::start(server.port(), "first", |_| ()).await;
    let (account, token, permit) = first.start_order().await;
    let mut second = Running::start(server.port(), "second", |_| ()).await;
    state.drain("first", true).await.unwrap();
    let (_, stopping, by) = first.stop_order().await;
    assert_eq!(stopping, token);
    assert!(by > crate::now());
    first.driver.stopped(&account, token);
    let (_, later, other) = second.start_order().await;
    assert!(later > token && other.may_act());
    assert!(!permit.may_act());

    state.drain("first", false).await.unwrap();
    second.driver.leave();
    let (_, stopping, _) = second.stop_order().await;
    second.driver.stopped(&account, stopping);
    let (_, last, again) = first.start_order().await;
    assert!(last > later && again.may_act());
    soon(second.driver.ended()).await;
    soon(second.driver.ended()).await;
}

/// The one that came first gives up as many as that takes, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_twice_the_capacity_gets_twice_as_many_accounts() {
    let server = Server::start();
    let (link, cluster) = server.cluster().await;
    let state = State::open(&link, &cluster, Timing::default()).await.unwrap();
    for number in 0..6 {
        assert_eq!(state.add(&format!("bot-{number}@example.org"), 1).await, Ok(Added::New));
    }
    let mut small = Running::start(server.port(), "small", |_| ()).await;
    for _ in 0..6 {
        small.start_order().await;
    }
    let own = NodeSettings { capacity: 2, ..settings_of("large") };
    let mut large = Running::with(settings(server.port()), own, |_| ()).await;
    for _ in 0..4 {
        let (account, token, _) = small.stop_order().await;
        small.driver.stopped(&account, token);
    }
    for _ in 0..4 {
        assert!(large.start_order().await.2.may_act());
    }
    // Longer than accounts are left alone after a move.
    let more = tokio::time::timeout(Duration::from_secs(5), small.stop_order()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_cannot_be_read_ends_the_account_and_is_reported() {
    let server = Server::start();
    let link = with_account(&server).await;
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    let (account, token, permit) = node.start_order().await;
    let subject = cluster().subject(&Key::Account(account));
    link.jetstream.publish(subject.clone(), Bytes::from_static(b"{\"format\":2}")).await.unwrap().await.unwrap();
    let reported = node.report().await;
    assert!(matches!(&reported, StateError::Unreadable { subject: at, .. } if *at == subject), "{reported}");
    assert_eq!(node.kill_order().await, (ACCOUNT.into(), token));
    assert!(!permit.may_act());
    // Messages that no node wrote do no harm.
    for (place, body) in [("session.x.y", "{}"), ("config.name", "text"), ("session.00000000000000ab.1", "\u{1}")] {
        let subject = format!("parlor.c.state.{place}");
        link.jetstream.publish(subject, body.into()).await.unwrap().await.unwrap();
    }
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    state.add("other@example.org", 1).await.unwrap();
    assert_eq!(&*node.start_order().await.0, "other@example.org");
}

/// Another program wrote it, or it was damaged. Before, no node could renew or end the session, and its account never ran again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_record_cannot_be_read_is_renewed_or_ended() {
    let server = Server::start();
    let link = with_account(&server).await;
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    let (_, token, permit) = node.start_order().await;
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    let Standing::Claimed(claim) = state.standing(ACCOUNT).await.unwrap().0 else { panic!("it has the account") };
    let subject = cluster().subject(&Key::Session(claim.session.unwrap()));
    let damage = async || {
        link.jetstream.publish(subject.clone(), "damaged".into()).await.unwrap().await.unwrap();
    };
    damage().await;
    assert!(matches!(node.report().await, StateError::Unreadable { .. }));
    let renewed =
        async { while !matches!(state.overview().await.unwrap().nodes.as_slice(), [row] if row.accounts == 1) {} };
    soon(renewed).await;
    assert!(permit.may_act());
    // Its node is gone.
    drop(node);
    damage().await;
    let mut other = Running::start(server.port(), "other", |_| ()).await;
    assert!(other.start_order().await.1 > token);
}

/// As if the limit of consumers was reached. It would not see the accounts that others give it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_to_which_nats_delivers_nothing_says_so_and_gets_no_account() {
    let server = Server::with(
        "jetstream: {}\nauthorization: { users: [ { user: hears, password: p }, \
         { user: deaf, password: p, permissions: { publish: { deny: [ \"$JS.API.CONSUMER.>\" ] } } } ] }\n",
    );
    let login = |user: &str| Login::Password { user: user.to_owned(), password: "p".to_owned() };
    let with = |user: &str| Settings { login: login(user), ..settings(server.port()) };
    let link = Link::connect(&with("hears")).await.unwrap();
    prepare(&link, &cluster()).await.unwrap();
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    for account in [ACCOUNT, "other@example.org"] {
        assert_eq!(state.add(account, 1).await, Ok(Added::New));
    }
    let mut first = Running::over(with("hears"), "first", |_| ()).await;
    for _ in 0..2 {
        _ = first.start_order().await;
    }
    let mut second = Running::over(with("deaf"), "second", |_| ()).await;
    assert!(matches!(second.report().await, StateError::Silent(_)));
    let overview = state.overview().await.unwrap();
    let rows: Vec<_> = overview.nodes.iter().map(|row| (&*row.name, row.is_draining, row.accounts)).collect();
    assert_eq!(rows, [("first", false, 2), ("second", true, 0)]);
    assert!(first.orders.try_recv().is_err(), "none was stopped");
}

/// Two hosts of one name would both be drained by one command, and only one of them would hear the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_of_a_node_that_runs_is_taken_and_that_of_one_that_was_killed_is_free_after_a_lease() {
    let server = Server::start();
    let link = with_account(&server).await;
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    let check = async |name: &str| soon(state.check_name(name, Timing::default().patience())).await;
    assert_eq!(check("node").await, Ok(()), "nobody has it");
    let mut node = Running::start(server.port(), "node", |_| ()).await;
    _ = node.start_order().await;
    assert_eq!(check("node").await, Err(StateError::Twin("node".to_owned())));
    assert_eq!(check("other").await, Ok(()));
    // Two that start at the same moment find nobody there.
    let mut twin = Running::start(server.port(), "node", |_| ()).await;
    for one in [&mut node, &mut twin] {
        assert_eq!(one.report().await, StateError::Twin("node".to_owned()));
    }
    drop(twin);
    // As if it was killed: its session is open still.
    drop(node);
    assert_eq!(check("node").await, Ok(()));
}

/// It stayed where it could not run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_the_configuration_of_a_node_lacks_goes_to_another_node() {
    let server = Server::start();
    _ = with_account(&server).await;
    let mut first = Running::start(server.port(), "first", |_| ()).await;
    let (account, token, _) = first.start_order().await;
    let mut second = Running::start(server.port(), "second", |_| ()).await;
    first.driver.teller().configured(BTreeSet::new());
    assert_eq!(first.stop_order().await.1, token);
    first.driver.stopped(&account, token);
    let lacked = async {
        loop {
            if let Order::Lacks(account) = first.order().await {
                return account;
            }
        }
    };
    assert_eq!(&*soon(lacked).await, ACCOUNT);
    let (account, later, permit) = second.start_order().await;
    assert!(&*account == ACCOUNT && later > token && permit.may_act());
}

#[tokio::test]
async fn a_node_with_other_times_or_without_a_name_is_refused() {
    let server = Server::start();
    let link = with_account(&server).await;
    let other = NodeSettings { timing: other_times(), ..settings_of("node") };
    let error = Driver::start(settings(server.port()), cluster(), other, |_| ()).await.unwrap_err();
    assert!(matches!(error, StartError::State(StateError::Timing { .. })), "{error}");
    for name in [String::new(), "a".repeat(257)] {
        let error = Driver::start(settings(server.port()), cluster(), settings_of(&name), |_| ()).await.unwrap_err();
        assert!(matches!(error, StartError::State(StateError::Name { .. })), "{error}");
    }
    let state = State::open(&link, &cluster(), Timing::default()).await.unwrap();
    assert!(matches!(state.add("", 1).await, Err(StateError::Name { .. })));
}
