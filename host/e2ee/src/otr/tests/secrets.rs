//! Comparing secrets.

use super::{Pair, Told, account, changed, only_v2, sent};
use crate::otr::{Outcome, Policy, SmpError};

fn asked(question: Option<&str>) -> Told {
    Told { a: vec![], b: vec![asked_by(0, question)] }
}

fn asked_by(index: usize, question: Option<&str>) -> Outcome {
    Outcome::SmpAsked { question: question.map(str::to_owned), fingerprint: account(index).fingerprint() }
}

/// Returns the outcomes of one side when the other, which has this account, gives up.
fn aborted_by(index: usize) -> Outcome {
    Outcome::SmpAborted { fingerprint: account(index).fingerprint() }
}

fn done(same: bool) -> Told {
    let with = |index| vec![Outcome::SmpDone { same, fingerprint: account(index).fingerprint() }];
    Told { a: with(1), b: with(0) }
}

#[test]
fn both_sides_learn_whether_they_entered_the_same() {
    for policy in [Policy::default(), only_v2(), Policy { fragment: 200, ..Policy::default() }] {
        let mut pair = Pair::started(40, policy);
        for (secret, question) in [("blue", None), ("green", None), ("blue", Some("Which colour? é")), ("", Some(""))]
        {
            let first = pair.a.smp_start(b"blue", question, pair.now, &mut pair.rng).unwrap();
            assert_eq!(pair.bring_to_b(first), asked(question));
            let second = pair.b.smp_answer(secret.as_bytes(), pair.now, &mut pair.rng).unwrap();
            assert_eq!(pair.bring_to_a(second), done(secret == "blue"));
        }
        pair.assert_talking();
    }
}

#[test]
fn the_side_that_answered_the_query_can_ask_as_well() {
    let mut pair = Pair::started(41, Policy::default());
    let first = pair.b.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    assert_eq!(pair.bring_to_a(first).a, [asked_by(1, None)]);
    let second = pair.a.smp_answer(b"x", pair.now, &mut pair.rng).unwrap();
    assert_eq!(pair.bring_to_b(second), done(true));
}

#[test]
fn a_comparison_is_bound_to_keys_and_conversation() {
    // The same secret in two conversations: A's messages to a third person are of no use with B.
    let mut pair = Pair::started(42, Policy::default());
    let mut other = Pair::started(43, Policy::default());
    let first = other.a.smp_start(b"x", None, other.now, &mut other.rng).unwrap();
    let told = pair.bring_to_b(first);
    assert!(matches!(told.b[..], [] | [Outcome::Error(_)]), "{told:?}");
    assert_eq!(pair.b.smp_answer(b"x", pair.now, &mut pair.rng), Err(SmpError::NotAsked));
}

#[test]
fn either_side_can_give_up() {
    let mut pair = Pair::started(44, Policy::default());
    assert_eq!(pair.a.smp_abort(None, pair.now).unwrap(), Vec::<String>::new());
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    pair.bring_to_b(first);
    let abort = pair.b.smp_abort(None, pair.now).unwrap();
    assert_eq!(pair.bring_to_a(abort), Told { a: vec![aborted_by(1)], b: vec![] });
    assert_eq!(pair.b.smp_answer(b"x", pair.now, &mut pair.rng), Err(SmpError::NotAsked));
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    pair.bring_to_b(first);
    let abort = pair.a.smp_abort(None, pair.now).unwrap();
    assert_eq!(pair.bring_to_b(abort), Told { a: vec![], b: vec![aborted_by(0)] });
    // And again, to the end.
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    pair.bring_to_b(first);
    let second = pair.b.smp_answer(b"x", pair.now, &mut pair.rng).unwrap();
    assert_eq!(pair.bring_to_a(second), done(true));
}

/// Each of its messages in each state, but for those that go on.
#[test]
fn a_message_that_is_not_awaited_ends_a_comparison() {
    // B has done nothing, been asked, answered, asked, or asked and got an answer.
    for (state, awaited) in [(0, vec![2, 7]), (1, vec![2, 7]), (2, vec![4]), (3, vec![3]), (4, vec![5])] {
        for kind in [2_u8, 3, 4, 5, 7].into_iter().filter(|kind| !awaited.contains(kind)) {
            let mut pair = Pair::started(51, Policy::default());
            let theirs = account(0).fingerprint();
            if matches!(state, 1 | 2) {
                let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
                pair.bring_to_b(first);
            }
            if state == 2 {
                drop(pair.b.smp_answer(b"x", pair.now, &mut pair.rng).unwrap());
            }
            if matches!(state, 3 | 4) {
                let first = pair.b.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
                pair.bring_to_a(first);
            }
            if state == 4 {
                let second = pair.a.smp_answer(b"x", pair.now, &mut pair.rng).unwrap();
                assert_eq!(sent(pair.b.receive(&second[0], pair.now, &mut pair.rng)).len(), 1);
            }
            assert_eq!(pair.b.smp_is_open(theirs), state != 0);
            let sealed = pair.a.seal(0, &[0, 0, kind, 0, 0], true, pair.now).unwrap();
            let told = pair.bring_to_b(sealed);
            assert_eq!(told.b, [aborted_by(0)], "{state} {kind}");
            assert!(!pair.b.smp_is_open(theirs) && !pair.a.smp_is_open(account(1).fingerprint()), "{state} {kind}");
            pair.assert_talking();
        }
    }
}

#[test]
fn whoever_gives_up_with_one_key_goes_on_with_others() {
    let mut pair = Pair::started(50, Policy::default());
    let (own, theirs) = (account(0).fingerprint(), account(1).fingerprint());
    assert!(!pair.a.smp_is_open(theirs));
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    assert!(pair.a.smp_is_open(theirs) && !pair.a.smp_is_open(own));
    pair.bring_to_b(first);
    assert!(pair.b.smp_is_open(own));
    assert_eq!(pair.a.smp_abort(Some(own), pair.now).unwrap(), Vec::<String>::new());
    let abort = pair.a.smp_abort(Some(theirs), pair.now).unwrap();
    assert_eq!(pair.bring_to_b(abort).b, [aborted_by(0)]);
    assert!(!pair.a.smp_is_open(theirs) && !pair.b.smp_is_open(own));
}

#[test]
fn whoever_asks_during_a_comparison_ends_it() {
    let mut pair = Pair::started(45, Policy::default());
    let from_a = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    assert_eq!(pair.a.smp_start(b"x", None, pair.now, &mut pair.rng), Err(SmpError::UnderWay));
    let from_b = pair.b.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    // Both asked at once: both give up.
    let told = pair.exchange([(true, from_a[0].clone()), (false, from_b[0].clone())].into());
    assert_eq!(told, Told { a: vec![aborted_by(1)], b: vec![aborted_by(0)] });
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    assert_eq!(pair.bring_to_b(first), asked(None));
    assert_eq!(pair.b.smp_start(b"x", None, pair.now, &mut pair.rng), Err(SmpError::UnderWay));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let mut pair = Pair::new(46, Policy::default());
    assert_eq!(pair.a.smp_start(b"x", None, pair.now, &mut pair.rng), Err(SmpError::NotEncrypted));
    assert_eq!(pair.a.smp_answer(b"x", pair.now, &mut pair.rng), Err(SmpError::NotEncrypted));
    assert_eq!(pair.a.smp_abort(None, pair.now), Err(SmpError::NotEncrypted));
    let mut pair = Pair::started(46, Policy::default());
    for question in ["a\0b", &"x".repeat(1001)] {
        assert_eq!(pair.a.smp_start(b"x", Some(question), pair.now, &mut pair.rng), Err(SmpError::Question));
    }
    let longest = "x".repeat(1000);
    let first = pair.a.smp_start(b"x", Some(&longest), pair.now, &mut pair.rng).unwrap();
    assert_eq!(pair.bring_to_b(first), asked(Some(&longest)));
}

#[test]
fn a_new_conversation_forgets_a_comparison() {
    let mut pair = Pair::started(47, Policy::default());
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    pair.bring_to_b(first);
    let query = pair.a.start().unwrap();
    pair.bring_to_b([query]);
    assert_eq!(pair.b.smp_answer(b"x", pair.now, &mut pair.rng), Err(SmpError::NotAsked));
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    assert_eq!(pair.bring_to_b(first), asked(None));
}

#[test]
fn a_comparison_that_somebody_disturbs_has_no_result() {
    let mut pair = Pair::started(48, Policy::default());
    let first = pair.a.smp_start(b"x", None, pair.now, &mut pair.rng).unwrap();
    let forged = changed(&first[0], |bytes| bytes[400] ^= 1);
    pair.b.receive(&forged, pair.now, &mut pair.rng);
    pair.bring_to_b(first);
    let second = pair.b.smp_answer(b"x", pair.now, &mut pair.rng).unwrap();
    let third = sent(pair.a.receive(&second[0], pair.now, &mut pair.rng));
    // The third message is lost, and A begins again after giving up.
    assert_eq!(third.len(), 1);
    let abort = pair.a.smp_abort(None, pair.now).unwrap();
    assert_eq!(pair.bring_to_b(abort).b, [aborted_by(0)]);
    let outcomes = pair.b.receive(&third[0], pair.now, &mut pair.rng);
    assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::SmpDone { .. })));
    pair.assert_talking();
}

#[test]
fn records_without_end_are_bounded() {
    let mut pair = Pair::started(49, Policy::default());
    let active = crate::otr::conversation::active(&pair.a.peers).unwrap();
    // A second message of a comparison, a hundred times: none was begun.
    let plain = [&[0][..], &b"\0\x03\0\0".repeat(100)].concat();
    let sealed = pair.a.seal(active, &plain, true, pair.now).unwrap();
    assert_eq!(pair.bring_to_b(sealed), Told { a: vec![], b: vec![aborted_by(0); 2] });
    // Records behind them still count.
    let plain = [&plain[..], b"\0\x01\0\0"].concat();
    let sealed = pair.a.seal(active, &plain, true, pair.now).unwrap();
    assert_eq!(pair.bring_to_b(sealed).b.last(), Some(&Outcome::Ended));
}

#[test]
fn nobody_prints_what_is_said_off_the_record() {
    let (text, fingerprint) = ("canary".to_owned(), account(0).fingerprint());
    let outcomes = [
        Outcome::Send(text.clone()),
        Outcome::Plain { text: text.clone(), unexpected: true },
        Outcome::Message { text: text.clone(), fingerprint },
        Outcome::SmpAsked { question: Some(text), fingerprint },
    ];
    let printed = format!("{outcomes:?}");
    assert!(!printed.contains("canary"), "{printed}");
    assert!(printed.contains("unexpected: true") && printed.contains(&fingerprint.to_string()), "{printed}");
}
