//! 10,000 messages over a network that loses them, repeats them and changes their order.

use std::collections::{HashMap, HashSet, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Pair, account, only_v2};
use crate::otr::{Outcome, Policy};

/// A message under way: its number, by which one sees what is older, and its text.
#[derive(Clone)]
struct Sent {
    number: usize,
    wire: String,
}

#[derive(Default)]
struct Direction {
    way: VecDeque<Sent>,
    /// Everything that was ever sent, so that it can be repeated.
    past: Vec<Sent>,
    accepted: HashSet<usize>,
    greatest: Option<usize>,
    counts: HashMap<&'static str, usize>,
}

fn run(seed: u64, policy: Policy, messages: usize) -> HashMap<&'static str, usize> {
    let mut pair = Pair::started(seed, Policy { error_start: false, ..policy });
    let mut network = StdRng::seed_from_u64(seed);
    let mut directions = [Direction::default(), Direction::default()];
    let mut number = 0;
    while number < messages {
        let side = usize::from(network.random_bool(0.5));
        match network.random_range(0..20_u8) {
            0..8 => {
                let from = if side == 0 { &mut pair.a } else { &mut pair.b };
                let wire = from.send(&number.to_string(), pair.now).unwrap().remove(0);
                let sent = Sent { number, wire };
                directions[side].way.push_back(sent.clone());
                directions[side].past.push(sent);
                number += 1;
            }
            8 => drop(directions[side].way.pop_front()),
            9 if directions[side].way.len() > 1 => directions[side].way.swap(0, 1),
            10 => {
                let index = directions[side].past.len().checked_sub(1 + network.random_range(0..30));
                if let Some(index) = index {
                    let again = directions[side].past[index].clone();
                    directions[side].way.push_front(again);
                }
            }
            _ => {
                if let Some(sent) = directions[side].way.pop_front() {
                    deliver(&mut pair, &mut directions[side], side, &sent);
                }
            }
        }
    }
    let [a, b] = directions;
    b.counts.into_iter().fold(a.counts, |mut all, (what, count)| {
        *all.entry(what).or_default() += count;
        all
    })
}

fn deliver(pair: &mut Pair, direction: &mut Direction, side: usize, sent: &Sent) {
    let to = if side == 0 { &mut pair.b } else { &mut pair.a };
    let outcomes = to.receive(&sent.wire, pair.now, &mut pair.rng);
    let accepted = outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Message { text, fingerprint } => {
            assert_eq!(*fingerprint, account(side).fingerprint());
            Some(text.parse::<usize>().unwrap())
        }
        Outcome::Send(_) | Outcome::Error(_) => None,
        other => panic!("{other:?}"),
    });
    let is_overtaken = direction.greatest.is_some_and(|greatest| greatest >= sent.number);
    let what = if let Some(number) = accepted {
        assert_eq!(number, sent.number);
        assert!(direction.accepted.insert(number), "{number} was accepted twice");
        "accepted"
    } else {
        assert!(is_overtaken, "{} should have been read: {outcomes:?}", sent.number);
        if direction.accepted.contains(&sent.number) { "repeated" } else { "overtaken" }
    };
    direction.greatest = direction.greatest.max(Some(sent.number));
    *direction.counts.entry(what).or_default() += 1;
}

#[test]
fn ten_thousand_messages_are_accepted_once_or_never() {
    let counts = run(90, Policy::default(), 10_000);
    assert!(counts["accepted"] > 6000 && counts["repeated"] > 300 && counts["overtaken"] > 30, "{counts:?}");
}

#[test]
fn so_are_those_of_version_2() {
    for seed in 91..95 {
        run(seed, only_v2(), 250);
    }
}
