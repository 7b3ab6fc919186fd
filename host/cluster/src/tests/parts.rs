//! Each part by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::random::Random;
use super::store::{Answer, Request, Store};
use crate::{
    Appended, Claim, Content, Cpu, Key, LastRecord, Node, Outcome, Output, Place, RequestId, Revision, Session,
    SessionId, SessionState, Step, Timing, TimingError, Token, Value, Writer, place, shed,
};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Nodes beside a store that answers at once, unless it is said otherwise.
struct Stage {
    now: Duration,
    store: Store,
    nodes: Vec<Node>,
    /// How many writes each node has seen.
    seen: Vec<usize>,
    /// The outputs of the nodes, without writes.
    done: Vec<(usize, Output)>,
    /// The nodes to which nothing is reported, although they can write.
    deaf: Vec<usize>,
    /// When the accounts were added: the nodes may claim them then, and have just renewed their sessions.
    begin: Duration,
}

impl Stage {
    fn with(nodes: u64, accounts: usize) -> Self {
        let nodes = (0..nodes).map(|number| Node::new(&format!("node-{number}"), 1, Timing::default(), number));
        let nodes: Vec<_> = nodes.collect();
        let seen = vec![0; nodes.len()];
        let begin = ms(2_400);
        let (done, deaf) = (Vec::new(), Vec::new());
        let mut stage = Self { now: ms(0), store: Store::default(), nodes, seen, done, deaf, begin };
        stage.settle(&[]);
        stage.run(begin, &[]);
        for number in 0..accounts {
            let claim = Claim { session: None, token: Token(0), weight: 1, lacking: Vec::new() };
            stage.store.put(Key::Account(name(number)), Some(Value::Claim(claim)));
        }
        stage.settle(&[]);
        stage
    }

    fn input(&mut self, node: usize, input: impl FnOnce(&mut Node, Duration) -> Vec<Output>) {
        let outputs = input(&mut self.nodes[node], self.now);
        self.carry_out(node, outputs);
    }

    fn carry_out(&mut self, node: usize, outputs: Vec<Output>) {
        for output in outputs {
            if let Output::Put { request, key, value, expected } = output {
                let Answer::Put(outcome) = self.store.serve(Request::Put { key, value, expected }) else {
                    unreachable!()
                };
                self.input(node, |state, now| state.answered(now, request, outcome));
            } else {
                if output == Output::ReadAnew {
                    self.seen[node] = 0;
                }
                self.done.push((node, output));
            }
        }
    }

    /// Lets all nodes but those that are cut off see and do all that is due.
    fn settle(&mut self, cut_off: &[usize]) {
        loop {
            let before = self.store.history.len();
            for node in (0..self.nodes.len()).filter(|node| !cut_off.contains(node)) {
                if !self.deaf.contains(&node) {
                    let news = self.store.history[self.seen[node]..].to_vec();
                    for (key, revision, value) in news {
                        self.input(node, |state, now| state.seen(now, &key, revision, value));
                    }
                    self.seen[node] = before;
                }
                self.input(node, Node::tick);
            }
            let needs_none = |node: usize| cut_off.contains(&node) || self.deaf.contains(&node);
            if self.store.history.len() == before
                && self.seen.iter().enumerate().all(|(node, seen)| *seen == before || needs_none(node))
            {
                return;
            }
        }
    }

    /// Lets time go by in steps. Nodes that are cut off have their writes answered with a time-out.
    fn run(&mut self, time: Duration, cut_off: &[usize]) {
        let end = self.now + time;
        while self.now < end {
            self.now += ms(10);
            self.settle(cut_off);
            for node in cut_off {
                let outputs = self.nodes[*node].tick(self.now);
                for output in outputs {
                    match output {
                        Output::Put { request, .. } => {
                            let more = self.nodes[*node].answered(self.now, request, Outcome::Unknown);
                            assert!(more.is_empty(), "{more:?}");
                        }
                        output => self.done.push((*node, output)),
                    }
                }
            }
        }
    }

    fn stop_all(&mut self) -> usize {
        let stops: Vec<_> = self.done.extract_if(.., |(_, output)| matches!(output, Output::Stop { .. })).collect();
        let count = stops.len();
        for (node, output) in stops {
            let Output::Stop { account, token, .. } = output else { unreachable!() };
            self.input(node, |state, now| state.stopped(now, &account, token));
        }
        self.settle(&[]);
        count
    }

    /// Lets an hour go by in steps of a renewal, and then removes the records that nodes want to have removed. Suspended nodes do nothing,
    /// and never see the removed records.
    fn run_an_hour(&mut self, suspended: &[usize]) {
        for _ in 0..9_000 {
            self.now += ms(400);
            self.settle(suspended);
        }
        let removed: Vec<_> = self.done.extract_if(.., |(_, output)| matches!(output, Output::Remove { .. })).collect();
        for (_, output) in removed {
            let Output::Remove { session, revision } = output else { unreachable!() };
            self.store.remove(session, revision);
            let is_of_it = |(key, ..): &(Key, Revision, Option<Value>)| *key == Key::Session(session);
            for seen in &mut self.seen {
                *seen -= self.store.history[..*seen].iter().filter(|write| is_of_it(write)).count();
            }
            self.store.history.retain(|write| !is_of_it(write));
        }
    }

    fn loads(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.running().count()).collect()
    }
}

fn name(number: usize) -> Arc<str> {
    format!("account-{number:03}").into()
}

#[test]
fn times_that_do_not_fit_together_are_refused() {
    assert_eq!(Timing::new(ms(400), ms(2_000), ms(500), 10), Ok(Timing::default()));
    assert_eq!(Timing::new(ms(600), ms(2_000), ms(500), 10), Err(TimingError::RareRenewals));
    assert_eq!(Timing::new(ms(0), ms(2_000), ms(500), 10), Err(TimingError::RareRenewals));
    assert_eq!(Timing::new(ms(400), ms(2_000), ms(3_000), 10), Err(TimingError::RareRenewals));
    assert_eq!(Timing::new(ms(400), ms(2_000), ms(500), 100), Err(TimingError::Drift));
}

/// For each permitted pair of clocks, and times that are no round numbers.
#[test]
fn patience_is_longer_than_any_life() {
    for drift in [0, 1, 7, 10, 33, 99] {
        for life in [ms(1_501), ms(2_000), Duration::from_nanos(2_345_678_901)] {
            let timing = Timing::new(ms(100), life, ms(500), drift).unwrap();
            // life / (1 - drift) < patience / (1 + drift), in whole numbers.
            let longest = life.as_nanos() * u128::from(1_000 + drift);
            assert!(longest < timing.patience().as_nanos() * u128::from(1_000 - drift), "{drift} {life:?}");
        }
    }
}

#[test]
fn a_node_that_is_cut_off_stops_its_accounts_and_then_ends_them() {
    let mut stage = Stage::with(1, 2);
    let until = stage.begin + ms(2_000);
    assert_eq!((stage.loads(), stage.nodes[0].until()), (vec![2], Some(until)));
    assert_eq!(
        stage.nodes[0].fresh_until(),
        Some(stage.begin + ms(300)),
        "from the moment before the renewal was sent"
    );
    stage.done.clear();
    stage.run(ms(1_490), &[0]);
    assert_eq!(stage.done, []);
    stage.run(ms(10), &[0]);
    let stopped = |(_, output): &(usize, Output)| matches!(output, Output::Stop { by, .. } if *by == until);
    assert!(stage.done.len() == 2 && stage.done.iter().all(stopped), "{:?}", stage.done);
    assert!(stage.nodes[0].may_act(until.checked_sub(ms(1)).unwrap(), &name(0), Token(1)));
    assert!(!stage.nodes[0].may_act(until, &name(0), Token(1)), "although nobody has told it the time");
    stage.done.clear();
    stage.run(ms(500), &[0]);
    let killed = |(_, output): &(usize, Output)| matches!(output, Output::Kill { .. });
    assert!(stage.done.len() == 2 && stage.done.iter().all(killed), "{:?}", stage.done);
    // Back again, it has another session, and takes its accounts with new tokens.
    stage.done.clear();
    stage.settle(&[]);
    stage.run(ms(600), &[]);
    let started = |(_, output): &(usize, Output)| matches!(output, Output::Start { token: Token(2), .. });
    assert!(stage.done.len() == 2 && stage.done.iter().all(started), "{:?}", stage.done);
}

/// Nobody can end a session at a store that takes no writes, so its records go on to say that nodes have all accounts.
#[test]
fn accounts_whose_sessions_are_not_renewed_are_at_no_node() {
    let mut stage = Stage::with(2, 6);
    stage.run(ms(3_000), &[]);
    let health = |stage: &Stage| stage.nodes[0].health(stage.now);
    let whole = health(&stage);
    assert!(whole.has_session && whole.named.is_empty(), "{whole:?}");
    assert_eq!((whole.nodes, whole.accounts, whole.nowhere), (2, 6, 0));
    assert_eq!(whole.own + stage.nodes[1].health(stage.now).own, 6);
    stage.run(ms(3_000), &[0, 1]);
    let none = health(&stage);
    assert!(!none.has_session && none.named.len() == 6, "{none:?}");
    assert_eq!((none.nodes, none.accounts, none.own, none.nowhere), (0, 6, 0, 6));
    // One of them comes back, and takes all.
    stage.run(ms(5_000), &[1]);
    let back = health(&stage);
    assert!(back.has_session, "{back:?}");
    assert_eq!((back.nodes, back.own, back.nowhere), (1, 6, 0));
}

/// An account that is stopping cannot be called back: it is given away, and started anew.
#[test]
fn a_renewal_in_the_last_moment_saves_the_session() {
    let mut stage = Stage::with(1, 1);
    stage.run(ms(1_700), &[0]);
    stage.run(ms(2_000), &[]);
    assert!(stage.nodes[0].may_act(stage.now, &name(0), Token(1)));
    assert_eq!(stage.stop_all(), 1);
    assert!(!stage.nodes[0].may_act(stage.now, &name(0), Token(1)));
    stage.run(ms(200), &[]);
    // First it is nobody's, and then this node's again.
    assert!(stage.nodes[0].may_act(stage.now, &name(0), Token(3)));
}

#[test]
fn a_node_that_was_suspended_ends_its_accounts_whatever_arrives_first() {
    let mut stage = Stage::with(1, 1);
    stage.now += ms(2_000);
    stage.done.clear();
    stage.input(0, |node, now| node.stopped(now, "nobody", Token(1)));
    assert!(matches!(&stage.done[0], (0, Output::Kill { .. })), "{:?}", stage.done);
}

#[test]
fn nothing_starts_when_it_would_have_to_stop_at_once() {
    let mut stage = Stage::with(1, 0);
    stage.now += ms(1_600);
    let session = SessionId { process: 0, number: 1 };
    let claim = |token| Claim { session: Some(session), token: Token(token), weight: 1, lacking: Vec::new() };
    let key = Key::Account(name(0));
    let outputs = stage.nodes[0].seen(stage.now, &key, 1_000, Some(Value::Claim(claim(1))));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Start { .. })), "{outputs:?}");
}

/// The owner may change the weight of an account, or remove it.
#[test]
fn a_record_that_the_owner_changes_does_not_disturb_an_account_until_it_is_gone() {
    let mut stage = Stage::with(1, 1);
    stage.done.clear();
    let heavier = Claim { weight: 7, ..stage.store.claim(&name(0)).unwrap().clone() };
    stage.store.put(Key::Account(name(0)), Some(Value::Claim(heavier)));
    stage.settle(&[]);
    assert_eq!(stage.done, []);
    stage.store.put(Key::Account(name(0)), None);
    stage.settle(&[]);
    assert_eq!(stage.done, [(0, Output::Kill { account: name(0), token: Token(1) })]);
}

#[test]
fn a_drain_moves_a_few_accounts_at_a_time_and_a_node_that_leaves_gives_all() {
    let mut stage = Stage::with(3, 30);
    assert_eq!(stage.loads(), [10, 10, 10]);
    stage.done.clear();
    stage.input(0, |node, now| node.drain(now, true));
    let mut moves = Vec::new();
    while stage.loads()[0] > 0 {
        stage.run(ms(400), &[]);
        moves.push(stage.stop_all());
    }
    assert!(moves.iter().all(|count| *count <= 4) && moves.iter().sum::<usize>() == 10, "{moves:?}");
    assert_eq!(stage.loads(), [0, 15, 15]);
    stage.input(1, Node::leave);
    assert_eq!(stage.stop_all(), 15);
    stage.run(ms(400), &[]);
    assert!(stage.nodes[1].is_gone());
    // The other one is still draining.
    assert_eq!(stage.loads(), [0, 0, 30]);
    assert!(!stage.done.iter().any(|(_, output)| matches!(output, Output::Kill { .. })));
}

/// It would run nowhere until the session of that node is over.
#[test]
fn an_account_that_stops_for_a_node_that_is_lost_meanwhile_goes_to_another_one() {
    let mut stage = Stage::with(2, 2);
    stage.input(0, |node, now| node.drain(now, true));
    stage.run(ms(500), &[]);
    stage.nodes.push(Node::new("new", 1, Timing::default(), 77));
    stage.seen.push(0);
    stage.run(ms(2_500), &[]);
    assert_eq!(stage.loads(), [1, 1, 0], "the first one stops its account for the second one");
    stage.run(ms(1_200), &[1]);
    let is_stop = |(node, output): &mut (usize, Output)| *node == 0 && matches!(output, Output::Stop { .. });
    let stops: Vec<_> = stage.done.extract_if(.., is_stop).collect();
    assert_eq!(stops.len(), 1);
    for (node, output) in stops {
        let Output::Stop { account, token, .. } = output else { unreachable!() };
        stage.input(node, |state, now| state.stopped(now, &account, token));
    }
    stage.settle(&[1]);
    assert_eq!(stage.loads(), [0, 1, 1]);
}

#[test]
fn a_node_that_leaves_waits_no_longer_than_a_lease_for_a_store_that_does_not_answer() {
    let timing = Timing::default();
    let mut node = Node::new("node", 1, timing, 1);
    node.tick(ms(0));
    node.leave(ms(100));
    assert!(!node.is_gone(), "its session may be confirmed yet");
    // As its driver does: it looks again when it is due, and no answer comes.
    let mut looks = 0;
    while !node.is_gone() {
        looks += 1;
        assert!(looks < 10 && node.wake() <= ms(100) + timing.life(), "{:?}", node.wake());
        node.tick(node.wake());
    }
}

/// As after a start of the store with an empty disk. Before that, the node went on to expect revisions that no key had.
#[test]
fn a_store_that_counts_back_has_lost_writes_so_a_node_reads_all_anew_and_goes_on() {
    let mut stage = Stage::with(1, 2);
    stage.run(ms(2_000), &[]);
    stage.done.clear();
    stage.store = Store::default();
    // All of them, once the node wants to hear of them.
    stage.seen[0] = 0;
    stage.run(ms(2_400), &[]);
    let read_anew = |(_, output): &&(usize, Output)| *output == Output::ReadAnew;
    assert_eq!(stage.done.iter().filter(read_anew).count(), 1, "{:?}", stage.done);
    assert_eq!(stage.loads(), [0], "its session has ended");
    for number in 0..2 {
        let claim = Claim { session: None, token: Token(0), weight: 1, lacking: Vec::new() };
        stage.store.put(Key::Account(name(number)), Some(Value::Claim(claim)));
    }
    stage.run(ms(1_000), &[]);
    assert_eq!(stage.loads(), [0], "another node may have them for the rest of its lease");
    stage.run(ms(1_500), &[]);
    assert_eq!(stage.loads(), [2]);
    assert!(stage.nodes[0].may_act(stage.now, &name(0), Token(1)));
    assert_eq!(stage.done.iter().filter(read_anew).count(), 1, "that was once");
}

/// Two writes may be under way, and be answered after both were reported.
#[test]
fn an_answer_that_comes_after_the_reports_of_later_writes_is_no_loss() {
    let mut node = Node::new("node", 1, Timing::default(), 1);
    let outputs = node.tick(ms(0));
    let [Output::Put { request, key, value, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    let other = Key::Account(name(0));
    let claim = Claim { session: None, token: Token(0), weight: 1, lacking: Vec::new() };
    node.seen(ms(10), key, 1, Some(value.clone()));
    node.seen(ms(20), &other, 2, Some(Value::Claim(claim)));
    let outputs = node.answered(ms(30), *request, Outcome::Written(1));
    assert!(!outputs.contains(&Output::ReadAnew), "{outputs:?}");
    assert_eq!(node.until(), Some(ms(2_000)));
}

/// Returns the write of a session that is among these outputs, with its request.
fn renewal(outputs: &[Output]) -> (RequestId, Key, Value) {
    let written = outputs.iter().find_map(|output| match output {
        Output::Put { request, key: key @ Key::Session(_), value, .. } => Some((*request, key.clone(), value.clone())),
        _ => None,
    });
    written.unwrap_or_else(|| panic!("{outputs:?}"))
}

/// Nodes also write other things than sessions and claims.
#[test]
fn a_revision_of_any_report_is_given_once() {
    let mut node = Node::new("node", 1, Timing::default(), 1);
    let (request, ..) = renewal(&node.passed(ms(0), 50));
    let outputs = node.answered(ms(10), request, Outcome::Written(50));
    assert!(outputs.contains(&Output::ReadAnew), "{outputs:?}");
    let (request, ..) = renewal(&outputs);
    let outputs = node.answered(ms(20), request, Outcome::Written(51));
    assert!(!outputs.contains(&Output::ReadAnew), "what was known before does not count any more: {outputs:?}");
}

/// The reports may be late.
#[test]
fn a_revision_that_was_confirmed_to_this_node_is_given_once() {
    let mut node = Node::new("node", 1, Timing::default(), 1);
    let (request, ..) = renewal(&node.tick(ms(0)));
    assert_eq!(node.answered(ms(10), request, Outcome::Written(10)), []);
    let (request, ..) = renewal(&node.tick(ms(400)));
    let outputs = node.answered(ms(410), request, Outcome::Written(9));
    assert!(outputs.contains(&Output::ReadAnew), "{outputs:?}");
}

#[test]
fn a_record_that_should_have_been_reported_before_shows_a_loss_and_a_repeated_one_does_not() {
    let mut node = Node::new("node", 1, Timing::default(), 1);
    let [one, other] = [0, 1].map(|number| Key::Account(name(number)));
    let claim =
        |token| Some(Value::Claim(Claim { session: None, token: Token(token), weight: 1, lacking: Vec::new() }));
    let reports =
        [(&one, 20, claim(1)), (&other, 30, claim(1)), (&other, 40, None), (&one, 20, claim(1)), (&other, 40, None)];
    for (key, revision, value) in reports {
        let outputs = node.seen(ms(10), key, revision, value);
        assert!(!outputs.contains(&Output::ReadAnew), "{key:?} {revision}: {outputs:?}");
    }
    let outputs = node.seen(ms(20), &one, 35, claim(2));
    assert!(outputs.contains(&Output::ReadAnew), "the reports up to 40 had nothing of it: {outputs:?}");
}

/// An account was removed, and its record says so.
#[test]
fn a_deletion_that_should_have_been_reported_before_shows_a_loss() {
    let mut node = Node::new("node", 1, Timing::default(), 1);
    let (key, claim) =
        (Key::Account(name(0)), Claim { session: None, token: Token(1), weight: 1, lacking: Vec::new() });
    node.seen(ms(10), &key, 20, Some(Value::Claim(claim)));
    node.passed(ms(10), 40);
    let outputs = node.seen(ms(20), &key, 30, None);
    assert!(outputs.contains(&Output::ReadAnew), "the reports up to 40 had nothing of it: {outputs:?}");
}

/// A server that lags behind may report the writes before the deletion once more.
#[test]
fn an_earlier_record_of_an_account_that_is_gone_is_no_loss_and_does_not_count() {
    let mut stage = Stage::with(1, 1);
    let (key, claim) = (Key::Account(name(0)), stage.store.claim(&name(0)).unwrap().clone());
    let deletion = stage.store.put(key.clone(), None);
    stage.settle(&[]);
    assert_eq!(stage.loads(), [0]);
    stage.done.clear();
    stage.input(0, |node, now| node.seen(now, &key, deletion - 1, Some(Value::Claim(claim))));
    stage.input(0, |node, now| node.seen(now, &key, deletion, None));
    assert_eq!(stage.done, []);
    assert_eq!(stage.loads(), [0]);
}

/// If several servers keep the state, nodes ask NATS by writes, which come often.
#[test]
fn a_node_whose_reports_never_pause_renews_its_session_and_ends_its_accounts_in_time() {
    let mut stage = Stage::with(1, 1);
    stage.done.clear();
    let begin = stage.begin;
    let outputs = stage.nodes[0].passed(begin + ms(400), 1_000);
    let (request, key, value) = renewal(&outputs);
    let Value::Session(Session { beat, .. }) = &value else { panic!("{value:?}") };
    assert!(*beat > 1 && matches!(key, Key::Session(_)), "{value:?}");
    assert_eq!(stage.nodes[0].answered(begin + ms(410), request, Outcome::Written(1_001)), []);
    let outputs = stage.nodes[0].passed(begin + ms(2_400), 1_002);
    assert_eq!(outputs[0], Output::Kill { account: name(0), token: Token(1) });
}

/// Another node may still run them for the rest of its lease.
#[test]
fn a_node_that_is_told_of_a_loss_ends_its_accounts_and_reads_all_anew() {
    let mut stage = Stage::with(1, 1);
    stage.done.clear();
    stage.input(0, Node::lost);
    assert_eq!(stage.done, [(0, Output::Kill { account: name(0), token: Token(1) }), (0, Output::ReadAnew)]);
    assert!(!stage.nodes[0].may_act(stage.now, &name(0), Token(1)));
    stage.seen[0] = 0;
    stage.run(ms(2_000), &[]);
    assert_eq!(stage.loads(), [0], "another node may have it for the rest of its lease");
    stage.run(ms(500), &[]);
    assert_eq!(stage.loads(), [1]);
}

/// The store counts higher than before, so that no number shows it. The node was connected, or was cut off until then.
#[test]
fn a_session_of_which_the_store_has_less_than_before_shows_a_loss() {
    for cut_off in [&[][..], &[0][..]] {
        let mut stage = Stage::with(1, 1);
        stage.run(ms(3_000), cut_off);
        stage.store = Store::default();
        stage.store.tells_losses = true;
        for number in (0..1_000).rev() {
            let claim = Claim { session: None, token: Token(0), weight: 1, lacking: Vec::new() };
            stage.store.put(Key::Account(name(number % 3)), Some(Value::Claim(claim)));
        }
        // The reports go on after the last one that it had.
        stage.seen[0] = stage.store.history.len();
        stage.done.clear();
        stage.run(ms(3_000), &[]);
        let read_anew = |(_, output): &&(usize, Output)| *output == Output::ReadAnew;
        assert_eq!(stage.done.iter().filter(read_anew).count(), 1, "{cut_off:?}: {:?}", stage.done);
        assert_eq!(stage.loads(), [3], "{cut_off:?}");
    }
}

/// Another node may still run them.
#[test]
fn a_node_that_starts_takes_no_account_before_all_others_would_have_ended() {
    let mut stage = Stage::with(0, 1);
    stage.nodes.push(Node::new("node", 1, Timing::default(), 1));
    stage.seen.push(0);
    stage.run(ms(2_000), &[]);
    assert_eq!(stage.loads(), [0]);
    stage.run(ms(500), &[]);
    assert_eq!(stage.loads(), [1]);
}

/// The new node claims nothing for a while, so its share would wait for that.
#[test]
fn accounts_of_a_lost_node_do_not_wait_for_a_node_that_has_just_started() {
    let mut stage = Stage::with(2, 4);
    assert_eq!(stage.loads(), [2, 2]);
    stage.run(ms(1_500), &[1]);
    stage.nodes.push(Node::new("new", 1, Timing::default(), 77));
    stage.seen.push(0);
    stage.run(ms(700), &[1]);
    assert_eq!(stage.loads(), [4, 0, 0]);
}

/// It could claim its share up to a second later, and be lost right after that: the accounts would run three seconds later than usual.
#[test]
fn accounts_of_a_lost_node_do_not_wait_for_a_node_whose_two_seconds_are_almost_over() {
    let mut stage = Stage::with(2, 4);
    stage.run(ms(700), &[1]);
    stage.nodes.push(Node::new("new", 1, Timing::default(), 77));
    stage.seen.push(0);
    stage.run(ms(1_500), &[1]);
    assert_eq!(stage.loads(), [4, 0, 0]);
}

/// Otherwise the first one would take all of them, and give them away a few at a time.
#[test]
fn nodes_that_start_almost_together_share_the_accounts() {
    let mut stage = Stage::with(0, 12);
    for number in 0..3 {
        stage.nodes.push(Node::new(&format!("new-{number}"), 1, Timing::default(), number));
        stage.seen.push(0);
        stage.run(ms(400), &[]);
    }
    stage.run(ms(2_200), &[]);
    assert_eq!(stage.loads(), [4, 4, 4]);
    assert_eq!(stage.stop_all(), 0);
}

/// Each start of a node would leave a record for good, and each node reads all of them when it starts.
#[test]
fn the_record_of_a_session_goes_once_it_has_been_over_for_an_hour() {
    let mut stage = Stage::with(2, 4);
    stage.run(ms(3_000), &[1]);
    stage.run(ms(1_000), &[]);
    let [over, present] = [1, 2].map(|number| SessionId { process: 1, number });
    assert!(stage.store.session(over).is_some_and(|session| session.state == SessionState::Over));
    stage.store.tells_losses = true;
    stage.run_an_hour(&[]);
    assert_eq!(stage.store.session(over), None);
    assert!(stage.store.session(present).is_some_and(|session| session.state == SessionState::Open));
    stage.done.clear();
    // A server that lags behind may report it again.
    let session = Session { node: "node".into(), capacity: 1, beat: 9, state: SessionState::Over, cpu: Cpu::default() };
    let key = Key::Session(over);
    stage.input(0, |node, now| node.seen(now, &key, 9, Some(Value::Session(session))));
    stage.run(ms(1_000), &[]);
    assert_eq!((stage.done, stage.store.session(over)), (vec![], None));
}

/// Its own session, and one that another node has ended, are gone without a loss.
#[test]
fn a_node_that_was_suspended_for_hours_takes_no_removed_record_for_a_loss() {
    let mut stage = Stage::with(3, 6);
    stage.store.tells_losses = true;
    // The first node does not see that the third one is lost.
    for _ in 0..20 {
        stage.now += ms(400);
        stage.settle(&[0, 2]);
    }
    stage.run_an_hour(&[0, 2]);
    let removed = [0, 2].map(|process| SessionId { process, number: 1 });
    assert_eq!(removed.map(|id| stage.store.session(id).cloned()), [None, None]);
    stage.done.clear();
    stage.run(ms(3_000), &[2]);
    let read_anew = |(_, output): &(usize, Output)| *output == Output::ReadAnew;
    assert!(!stage.done.iter().any(read_anew), "{:?}", stage.done);
    assert_eq!(stage.nodes[1].running().count(), 6);
    assert!(stage.nodes[0].until().is_some_and(|until| until > stage.now), "it has another session");
}

/// The record of the drain may be lost as well. If it is not, it is reported anew.
#[test]
fn a_drained_node_takes_accounts_after_a_loss_unless_the_drain_is_reported_again() {
    for is_reported in [false, true] {
        let mut stage = Stage::with(1, 1);
        stage.input(0, |node, now| node.drain(now, true));
        stage.settle(&[]);
        stage.input(0, Node::lost);
        stage.seen[0] = 0;
        if is_reported {
            stage.input(0, |node, now| node.drain(now, true));
        }
        stage.run(ms(3_000), &[]);
        assert_eq!(stage.loads(), [usize::from(!is_reported)]);
    }
}

/// After the store has lost claims, it gives their tokens a second time.
#[test]
fn an_account_ends_if_another_session_has_it_with_the_same_or_an_earlier_token() {
    for token in [1, 0].map(Token) {
        let mut stage = Stage::with(1, 1);
        stage.done.clear();
        let claim = stage.store.claim(&name(0)).unwrap().clone();
        assert_eq!(claim.token, Token(1));
        let elsewhere = Claim { session: Some(SessionId { process: 77, number: 1 }), token, ..claim };
        stage.store.put(Key::Account(name(0)), Some(Value::Claim(elsewhere)));
        stage.settle(&[]);
        assert_eq!(stage.done, [(0, Output::Kill { account: name(0), token: Token(1) })], "{token:?}");
        assert!(!stage.nodes[0].may_act(stage.now, &name(0), Token(1)));
    }
}

/// The store has lost the record of a session, and a claim for it came late. Nobody can renew or close that session any more.
#[test]
fn an_account_of_a_session_without_a_record_runs_again_after_the_patience_of_nodes() {
    let mut stage = Stage::with(2, 1);
    let (lost, patience) = (SessionId { process: 77, number: 1 }, Timing::default().patience());
    let claim = Claim { session: Some(lost), token: Token(7), weight: 1, lacking: Vec::new() };
    stage.store.put(Key::Account(name(0)), Some(Value::Claim(claim)));
    stage.run(patience.checked_sub(ms(50)).unwrap(), &[]);
    assert_eq!((stage.loads(), stage.store.session(lost)), (vec![0, 0], None), "it may be written yet");
    stage.run(ms(150), &[]);
    assert_eq!(stage.loads().into_iter().sum::<usize>(), 1);
    assert_eq!(stage.store.claim(&name(0)).unwrap().token, Token(8));
    assert!(stage.store.session(lost).is_some_and(|session| session.state == SessionState::Over));
}

/// Reports begin with the present record of each key, in the order of their revisions. A session is renewed after its claims.
#[test]
fn a_session_whose_record_comes_after_its_claims_goes_on() {
    let mut node = Node::new("node", 1, Timing::default(), 1);
    let (id, account) = (SessionId { process: 77, number: 1 }, Key::Account(name(0)));
    let claim = Claim { session: Some(id), token: Token(7), weight: 1, lacking: Vec::new() };
    node.seen(ms(0), &account, 5, Some(Value::Claim(claim)));
    let session =
        Session { node: "other".into(), capacity: 1, beat: 9, state: SessionState::Open, cpu: Cpu::default() };
    node.seen(ms(1_000), &Key::Session(id), 9, Some(Value::Session(session)));
    let is_of_it = |output: &Output| matches!(output, Output::Put { key: Key::Session(of), .. } if *of == id);
    assert!(!node.tick(ms(3_000)).iter().any(is_of_it), "its patience begins with the record");
    let patience = Timing::default().patience();
    assert!(node.tick(ms(1_000) + patience).iter().any(is_of_it));
}

/// The store has lost claims, so that the log of an account has a higher token than its claim.
#[test]
fn an_account_whose_token_is_raised_is_ended_and_then_started_with_it() {
    let mut stage = Stage::with(1, 1);
    stage.done.clear();
    let claim = Claim { token: Token(71), ..stage.store.claim(&name(0)).unwrap().clone() };
    stage.store.put(Key::Account(name(0)), Some(Value::Claim(claim)));
    stage.settle(&[]);
    let account = name(0);
    let ended = Output::Kill { account: Arc::clone(&account), token: Token(1) };
    assert_eq!(stage.done, [(0, ended), (0, Output::Start { account, token: Token(71) })]);
}

/// A node may lack a key, or have a full disk.
#[test]
fn an_account_that_a_node_cannot_run_comes_to_each_node_in_turn() {
    let mut stage = Stage::with(3, 1);
    let mut had = Vec::new();
    for token in 1..=6 {
        let node = stage.loads().iter().position(|load| *load == 1).unwrap();
        had.push(node);
        stage.input(node, |state, now| state.stopped(now, &name(0), Token(token)));
        stage.settle(&[]);
    }
    let (first, second) = had.split_at(3);
    assert_eq!(first, second);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "{had:?}");
    let mut alone = Stage::with(1, 1);
    alone.input(0, |state, now| state.stopped(now, &name(0), Token(1)));
    alone.settle(&[]);
    assert_eq!(alone.loads(), [1], "there is no other node");
}

/// Otherwise it would stop for seconds each time that the loads are balanced, again and again.
#[test]
fn an_account_that_came_back_from_a_node_is_not_given_to_it_again() {
    let mut stage = Stage::with(1, 2);
    stage.nodes.push(Node::new("its disk is full", 1, Timing::default(), 77));
    stage.seen.push(0);
    let mut given = 0;
    for _ in 0..60 {
        stage.run(ms(400), &[]);
        given += stage.stop_all();
        let failing: Vec<_> = stage.nodes[1].running().map(|(account, token)| (Arc::clone(account), token)).collect();
        for (account, token) in failing {
            stage.input(1, |node, now| node.stopped(now, &account, token));
        }
        stage.settle(&[]);
    }
    assert_eq!((stage.loads(), given), (vec![2, 0], 2), "each of them once");
}

/// None of the accounts that others give it would run: it does not see them.
#[test]
fn a_node_to_which_nothing_is_reported_takes_no_accounts_and_keeps_its_own() {
    let mut stage = Stage::with(1, 4);
    let (deaf, id) = (1, SessionId { process: 77, number: 1 });
    stage.nodes.push(Node::new("deaf", 1, Timing::default(), id.process));
    stage.seen.push(0);
    stage.deaf.push(deaf);
    let mode = |stage: &Stage| stage.store.session(id).unwrap().state;
    for _ in 0..20 {
        stage.run(ms(400), &[]);
        assert_eq!(stage.stop_all(), 0);
    }
    assert_eq!((stage.loads(), mode(&stage)), (vec![4, 0], SessionState::Draining));
    stage.deaf.clear();
    for _ in 0..20 {
        stage.run(ms(400), &[]);
        stage.stop_all();
    }
    assert_eq!((stage.loads(), mode(&stage)), (vec![2, 2], SessionState::Open));
    stage.deaf.push(deaf);
    stage.done.clear();
    stage.run(ms(3_000), &[]);
    assert_eq!((stage.loads(), mode(&stage)), (vec![2, 2], SessionState::Draining));
    assert_eq!(stage.done, []);
}

/// Another program wrote it, a newer version did, or it was damaged.
#[test]
fn a_session_whose_record_cannot_be_read_is_renewed_by_its_node_or_ended_by_others() {
    let id = SessionId { process: 1, number: 1 };
    for (cut_off, loads, state) in
        [(&[][..], vec![1, 1], SessionState::Open), (&[1][..], vec![2, 0], SessionState::Over)]
    {
        let mut stage = Stage::with(2, 2);
        stage.done.clear();
        let session = stage.store.session(id).unwrap().clone();
        let revision = stage.store.put(Key::Session(id), Some(Value::Session(session)));
        // Nobody can read this one.
        stage.store.history.pop();
        for node in (0..2).filter(|node| !cut_off.contains(node)) {
            stage.input(node, |state, now| state.seen_unreadable(now, id, revision));
        }
        stage.run(ms(3_000), cut_off);
        assert_eq!((stage.loads(), stage.store.session(id).unwrap().state), (loads, state));
        assert_eq!(stage.done.is_empty(), cut_off.is_empty(), "{:?}", stage.done);
    }
}

/// Otherwise the account never runs again, and its node cannot stop.
#[test]
fn a_claim_of_which_the_store_has_less_than_before_shows_a_loss_to_a_node_that_gives_the_account_away() {
    let mut stage = Stage::with(1, 1);
    stage.store.tells_losses = true;
    stage.store.lose(&Key::Account(name(0)));
    stage.done.clear();
    stage.input(0, Node::leave);
    assert_eq!(stage.stop_all(), 1);
    assert!(stage.done.contains(&(0, Output::ReadAnew)), "{:?}", stage.done);
    assert!(stage.nodes[0].is_gone());
}

#[test]
fn a_new_node_gets_its_share_a_few_accounts_at_a_time() {
    let mut stage = Stage::with(2, 12);
    stage.nodes.push(Node::new("new", 2, Timing::default(), 77));
    stage.seen.push(0);
    stage.settle(&[]);
    for _ in 0..40 {
        stage.run(ms(400), &[]);
        assert!(stage.stop_all() <= 8);
    }
    assert_eq!(stage.loads(), [3, 3, 6], "by capacity");
}

/// Lets minutes go by in which an account costs each node so many percent of its CPU time. Returns how many accounts moved.
fn run_with_costs(stage: &mut Stage, minutes: usize, costs: [usize; 3]) -> usize {
    let mut moves = 0;
    for _ in 0..minutes * 150 {
        stage.now += ms(400);
        stage.settle(&[]);
        moves += stage.stop_all();
        for (node, (load, cost)) in stage.loads().into_iter().zip(costs).enumerate() {
            stage.nodes[node].uses(stage.now, u32::try_from(load * cost).unwrap());
        }
    }
    moves
}

/// Its machine may be slower, or others may use it, too. The accounts that it gives away do not come back.
#[test]
fn a_busy_node_gives_a_few_accounts_to_nodes_with_room_and_then_none_moves() {
    let mut stage = Stage::with(3, 30);
    stage.run(ms(4_000), &[]);
    assert_eq!(stage.loads(), [10, 10, 10]);
    let costs = [10, 5, 5];
    let moves = run_with_costs(&mut stage, 10, costs);
    let loads = stage.loads();
    assert!((6..=8).contains(&loads[0]) && loads.iter().sum::<usize>() == 30, "{loads:?}");
    assert!((2..=6).contains(&moves), "{moves}");
    assert_eq!((run_with_costs(&mut stage, 20, costs), stage.loads()), (0, loads));
}

#[test]
fn nodes_that_are_all_busy_keep_their_accounts() {
    let mut stage = Stage::with(3, 30);
    stage.run(ms(4_000), &[]);
    assert_eq!(run_with_costs(&mut stage, 10, [10, 10, 10]), 0);
    assert_eq!(stage.loads(), [10, 10, 10]);
}

/// It would make each node busy that gets it.
#[test]
fn the_only_account_of_a_busy_node_stays() {
    let mut stage = Stage::with(2, 1);
    stage.run(ms(4_000), &[]);
    assert_eq!(run_with_costs(&mut stage, 60, [100, 100, 0]), 0);
    assert_eq!(stage.loads().iter().sum::<usize>(), 1);
}

#[test]
fn an_account_that_makes_each_node_busy_moves_once_and_then_others_make_room_for_it() {
    let mut stage = Stage::with(3, 30);
    stage.run(ms(4_000), &[]);
    // The first of its node to go.
    let (busy, mut at) = (name(0), Vec::new());
    for _ in 0..60 * 150 {
        stage.now += ms(400);
        stage.settle(&[]);
        stage.stop_all();
        for node in 0..3 {
            let is_there = stage.nodes[node].running().any(|(account, _)| *account == busy);
            let used = stage.loads()[node] * 2 + if is_there { 80 } else { 0 };
            stage.nodes[node].uses(stage.now, u32::try_from(used).unwrap());
            at.extend(is_there.then_some(node));
        }
    }
    at.dedup();
    assert!(at.len() <= 2, "{at:?}");
    assert_eq!(stage.loads().iter().sum::<usize>(), 30);
}

/// Anybody at the store may have written what others use.
#[test]
fn no_use_and_no_share_of_another_node_is_too_large() {
    let mut stage = Stage::with(2, 4);
    let cpu = Cpu { used: u32::MAX, share: u32::MAX };
    let session = Session { node: "other".into(), capacity: u32::MAX, beat: 9, state: SessionState::Open, cpu };
    stage.store.put(Key::Session(SessionId { process: 7, number: 1 }), Some(Value::Session(session)));
    stage.settle(&[]);
    let now = stage.now;
    stage.nodes[0].uses(now, u32::MAX);
    stage.settle(&[]);
    assert_eq!(stage.loads().iter().sum::<usize>(), 4);
}

#[test]
fn a_write_that_times_out_is_not_made_twice_at_a_time() {
    let mut node = Node::new("node", 1, Timing::default(), 1);
    let outputs = node.tick(ms(0));
    let [Output::Put { request, key, value, expected: 0 }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(node.tick(ms(500)), []);
    assert_eq!(node.answered(ms(500), *request, Outcome::Unknown), []);
    assert_eq!(node.wake(), ms(600), "it waits a moment");
    assert!(matches!(&node.tick(ms(600))[..], [Output::Put { expected: 0, .. }]));
    // The first one was written after all; the session counts from the time before it was sent.
    assert_eq!(node.seen(ms(700), key, 1, Some(value.clone())), []);
    assert_eq!(node.until(), Some(ms(2_000)));
    assert!(matches!(value, Value::Session(Session { beat: 1, .. })));
}

fn places(random: &mut Random) -> Vec<Place> {
    let count = random.range(1, 8);
    let places = (0..count).map(|process| {
        let capacity = random.range(0, 5).try_into().unwrap();
        Place { session: SessionId { process, number: 1 }, capacity, load: 0 }
    });
    places.collect()
}

/// With any weights and capacities, moves come to an end, and then no further one helps.
#[test]
fn accounts_are_spread_by_capacity_and_moves_come_to_an_end() {
    for seed in 0..500 {
        let random = &mut Random(seed);
        let mut all = places(random);
        let weights: BTreeMap<_, _> =
            (0..40).map(|number| (name(number), u32::try_from(random.range(0, 6)).unwrap())).collect();
        let chosen = place(&mut all, weights.clone(), |_, _| true);
        assert_eq!(chosen.len(), weights.len());
        // Some nodes are gone, others new; where accounts are has nothing to do with their loads any more.
        let mut at: BTreeMap<_, _> = chosen.into_iter().collect();
        for session in at.values_mut() {
            *session = random.one_of(&all).session;
        }
        let mut count = 0;
        loop {
            let its = |from: &Place| -> BTreeMap<_, _> {
                let its = at.iter().filter(|(_, session)| **session == from.session);
                its.map(|(account, _)| (Arc::clone(account), weights[account])).collect()
            };
            for one in &mut all {
                one.load = its(one).values().map(|weight| u64::from(*weight)).sum();
            }
            let moves: Vec<_> =
                all.iter().flat_map(|from| shed(&mut all.clone(), from.session, &its(from), 3, |_, _| true)).collect();
            count += moves.len();
            assert!(moves.len() <= 3 && count < 1_000, "seed {seed}: {moves:?}");
            if moves.is_empty() {
                break;
            }
            at.extend(moves);
        }
        // Nothing that the most loaded one could give away would leave the other with less than it has now.
        let of = |one: &Place| u64::from(one.capacity.max(1));
        let heaviest = all.iter().max_by(|a, b| (a.load * of(b), a.session).cmp(&(b.load * of(a), b.session))).unwrap();
        for (account, _) in
            at.iter().filter(|(account, session)| **session == heaviest.session && weights[*account] > 0)
        {
            let with = |to: &Place| (to.load + u64::from(weights[account])) * of(heaviest);
            let helps = |to: &&Place| to.session != heaviest.session && with(to) < heaviest.load * of(to);
            assert_eq!(all.iter().find(helps), None, "seed {seed}: {all:?}");
        }
    }
}

#[test]
fn nodes_that_see_the_same_place_the_same() {
    let mut random = Random(3);
    let all = places(&mut random);
    let accounts: Vec<_> = (0..100).map(|number| (name(number), 1)).collect();
    let mut turned: Vec<_> = all.iter().rev().copied().collect();
    let chosen = place(&mut all.clone(), accounts.clone(), |_, _| true);
    assert_eq!(chosen, place(&mut turned, accounts.clone(), |_, _| true));
    assert_eq!(place(&mut [], accounts, |_, _| true), []);
}

impl Stage {
    /// Lets time go by. Accounts that are to stop do so at once.
    fn run_and_stop(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.run(ms(100), &[]);
            self.stop_all();
        }
    }

    /// Writes an account that nobody runs.
    fn add(&mut self, number: usize) {
        let claim = Claim { session: None, token: Token(0), weight: 1, lacking: Vec::new() };
        self.store.put(Key::Account(name(number)), Some(Value::Claim(claim)));
    }

    fn configure(&mut self, node: usize, accounts: impl IntoIterator<Item = usize>) {
        let accounts: BTreeSet<_> = accounts.into_iter().map(name).collect();
        self.input(node, |state, now| state.configured(now, accounts));
    }

    fn runs(&self, node: usize) -> BTreeSet<Arc<str>> {
        self.nodes[node].running().map(|(account, _)| Arc::clone(account)).collect()
    }

    fn token(&self, number: usize) -> Token {
        self.store.claim(&name(number)).unwrap().token
    }
}

/// Such an account stayed there for good, although another node could run it.
#[test]
fn an_account_that_the_configuration_of_its_node_lacks_goes_to_a_node_that_has_it_and_stays_there() {
    let mut stage = Stage::with(2, 0);
    stage.configure(0, [1, 2]);
    stage.configure(1, 0..3);
    (0..3).for_each(|number| stage.add(number));
    // A file with the account may be on its way.
    stage.run_and_stop(ms(1_500));
    let lacks = |stage: &Stage| stage.done.iter().filter(|(_, output)| matches!(output, Output::Lacks { .. })).count();
    assert_eq!(lacks(&stage), 0, "{:?}", stage.done);
    stage.run_and_stop(ms(1_500));
    assert!(stage.runs(1).contains(&name(0)), "{:?} {:?}", stage.runs(0), stage.runs(1));
    assert_eq!((lacks(&stage), stage.store.claim(&name(0)).unwrap().lacking.clone()), (1, vec![0]));
    // Nor does it come back to balance the load, or from a node that is drained.
    let before = stage.token(0);
    stage.run_and_stop(ms(20_000));
    assert_eq!((stage.token(0), stage.loads().iter().sum::<usize>()), (before, 3));
    stage.input(1, |node, now| node.drain(now, true));
    stage.run_and_stop(ms(3_000));
    assert_eq!((stage.runs(0), stage.runs(1)), ([1, 2].map(name).into(), [name(0)].into()));
    // Once its configuration has the account, it is a node like any other.
    stage.configure(0, 0..3);
    stage.run_and_stop(ms(3_000));
    assert_eq!((stage.runs(0).len(), stage.runs(1).len()), (3, 0));
    assert_eq!(stage.store.claim(&name(0)).unwrap().lacking, []);
    assert_eq!(lacks(&stage), 1, "{:?}", stage.done);
}

#[test]
fn an_account_that_no_configuration_has_runs_nowhere_and_is_left_alone() {
    let mut stage = Stage::with(2, 4);
    stage.configure(0, 1..4);
    stage.configure(1, 1..4);
    stage.run_and_stop(ms(4_000));
    let is_of_an_account = |(key, ..): &&(Key, Revision, Option<Value>)| matches!(key, Key::Account(_));
    let writes = |stage: &Stage| stage.store.history.iter().filter(is_of_an_account).count();
    let (before, count) = (stage.token(0), writes(&stage));
    assert_eq!(stage.store.claim(&name(0)).unwrap().lacking, [0, 1]);
    assert_eq!(stage.store.claim(&name(0)).unwrap().session, None);
    let health = stage.nodes[0].health(stage.now);
    assert_eq!((health.accounts, health.nowhere), (4, 0), "it is no fault");
    stage.run_and_stop(ms(20_000));
    assert_eq!((stage.token(0), writes(&stage)), (before, count), "nobody writes it any more");
    // Others are still claimed and moved as before.
    stage.add(5);
    stage.configure(1, 1..6);
    stage.run_and_stop(ms(3_000));
    assert!(stage.runs(1).contains(&name(5)), "{:?} {:?}", stage.runs(0), stage.runs(1));
    // A new process of a node is asked once more, and the record does not grow.
    for _ in 0..400 {
        stage.now += ms(10);
        stage.settle(&[0]);
    }
    stage.nodes[0] = Node::new("node-0", 1, Timing::default(), 7);
    stage.seen[0] = 0;
    stage.configure(0, 1..4);
    stage.run_and_stop(ms(10_000));
    assert_eq!(stage.store.claim(&name(0)).unwrap().lacking, [1, 7]);
}

/// The node wrote such a record without end, since that stayed as it was.
#[test]
fn an_account_of_an_earlier_session_that_the_node_lacks_is_written_once() {
    let mut stage = Stage::with(1, 1);
    // It takes nothing back.
    stage.input(0, |node, now| node.drain(now, true));
    stage.configure(0, []);
    // The process was suspended for longer than its lease.
    stage.now += ms(10_000);
    let mut due = stage.nodes[0].tick(stage.now);
    let mut writes = 0;
    for _ in 0..100 {
        let Some(output) = due.pop() else { break };
        let Output::Put { request, key, value, expected } = output else { continue };
        writes += usize::from(matches!(key, Key::Account(_)));
        let Answer::Put(outcome) = stage.store.serve(Request::Put { key, value, expected }) else { unreachable!() };
        due.extend(stage.nodes[0].answered(stage.now, request, outcome));
    }
    assert_eq!((writes, stage.store.claim(&name(0)).unwrap().lacking.clone()), (1, vec![0]));
}

#[test]
fn the_owner_is_told_of_another_host_with_the_name_of_this_node_and_not_of_an_earlier_session() {
    let mut stage = Stage::with(1, 1);
    stage.nodes.push(Node::new("node-0", 1, Timing::default(), 77));
    stage.seen.push(0);
    stage.run(ms(2_000), &[]);
    let twins = |stage: &Stage| -> Vec<usize> {
        let twins = stage.done.iter().filter(|(_, output)| *output == Output::Twin { node: "node-0".into() });
        twins.map(|(node, _)| *node).collect()
    };
    assert_eq!(twins(&stage).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([0, 1]));
    assert_eq!(twins(&stage).len(), 2, "each once");
    // The next process of a node that was killed: nobody renews the session before.
    let mut stage = Stage::with(1, 1);
    stage.nodes[0] = Node::new("node-0", 1, Timing::default(), 77);
    stage.seen[0] = 0;
    let last: BTreeMap<_, _> = stage.store.history.drain(..).map(|write| (write.0.clone(), write)).collect();
    stage.store.history = last.into_values().collect();
    stage.store.history.sort_by_key(|(_, revision, _)| *revision);
    stage.run(ms(6_000), &[]);
    assert_eq!((twins(&stage), stage.loads()), (Vec::new(), vec![1]));
}

#[test]
fn a_change_whose_answer_was_lost_is_recognised() {
    let mut store = Store::default();
    let mut writer = Writer::new(Token(4));
    let account = name(0);
    assert_eq!((writer.step(), writer.begin()), (Step::Read, None));
    writer.last(None);
    let fence = Step::Append { expected: 0, token: Token(4), number: 1, content: Content::Fence };
    assert_eq!(writer.step(), fence);
    let mut append = |step| {
        let Step::Append { expected, token, number, content } = step else { panic!("{step:?}") };
        match store.serve(Request::Append { account: Arc::clone(&account), expected, token, number, content }) {
            Answer::Appended(Appended::Written(revision)) => LastRecord { revision, token, number },
            answer => panic!("{answer:?}"),
        }
    };
    let record = append(fence);
    writer.appended(1, Appended::Unknown);
    writer.last(Some(record));
    assert_eq!((writer.step(), writer.begin()), (Step::Ready, Some(2)));
    // The second attempt is refused, since the first was written.
    let record = append(writer.step());
    writer.appended(2, Appended::Unknown);
    writer.last(Some(LastRecord { revision: record.revision - 1, token: Token(4), number: 1 }));
    writer.appended(1, Appended::Written(77));
    assert!(matches!(writer.step(), Step::Append { number: 2, .. }), "an answer of another number says nothing");
    writer.appended(2, Appended::Refused);
    writer.last(Some(record));
    assert_eq!((writer.step(), writer.begin()), (Step::Ready, Some(3)));
    // Another writer with the token, as after a panic, fences once more behind what is there.
    let mut again = Writer::new(Token(4));
    again.last(Some(record));
    assert!(matches!(again.step(), Step::Append { number: 3, content: Content::Fence, .. }));
    // A later holder, and a store that lost records, end it.
    for last in [(record.revision + 1, Token(5), 3), (record.revision + 1, Token(3), 3)] {
        let (mut writer, (revision, token, number)) = (writer.clone(), last);
        writer.appended(3, Appended::Refused);
        writer.last(Some(LastRecord { revision, token, number }));
        assert_eq!((writer.step(), writer.begin()), (Step::Fenced, None), "{last:?}");
    }
}
