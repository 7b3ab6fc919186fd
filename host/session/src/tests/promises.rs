//! Promises and the events of plugins.

use super::*;
use crate::promises;
use crate::waiters::RESERVED;

const ONE: InstanceId = InstanceId(1);
const TWO: InstanceId = InstanceId(2);
/// Maximum number of promises that each plugin may own.
const MOST: usize = 64;

fn add(test: &mut TestSession, by: InstanceId, names: &[&str]) -> Result<(), CallError> {
    let (answer, mut receiver) = Answer::channel();
    let names = names.iter().map(|name| EventName::from(*name)).collect();
    test.command(AnyCommand::with(RegisterPromises { by, names, most: MOST }, answer));
    got(&mut receiver).unwrap().map(drop)
}

fn emit(test: &mut TestSession, by: InstanceId, name: &str) -> Result<(), CallError> {
    let (answer, mut receiver) = Answer::channel();
    let payload = Payload::Json("1".into());
    test.command(AnyCommand::with(Emit { by, name: name.into(), payload }, answer));
    got(&mut receiver).unwrap()
}

fn reject(test: &mut TestSession, by: InstanceId, name: &str) -> Result<(), CallError> {
    let mut receiver = test.ask(RejectPromise { by, name: name.into(), reason: "no luck".to_owned() });
    got(&mut receiver).unwrap()
}

fn is_json(result: Option<Result<Payload, CallError>>) -> bool {
    matches!(result, Some(Ok(Payload::Json(json))) if &*json == "1")
}

#[test]
fn who_waits_gets_the_payload_early_or_late() {
    let mut test = TestSession::new(Settings::default());
    assert!(matches!(got(&mut test.wait_until("ready")), Some(Err(CallError::NotFound(_)))));
    add(&mut test, ONE, &["ready"]).unwrap();
    let mut early = test.wait_until("ready");
    assert!(got(&mut early).is_none());
    emit(&mut test, ONE, "ready").unwrap();
    assert!(is_json(got(&mut early)) && is_json(got(&mut test.wait_until("ready"))));
    assert_eq!(test.lines(), ["ready"]);
    add(&mut test, ONE, &["ready"]).unwrap();
    assert!(got(&mut test.wait_until("ready")).is_none(), "it is fresh");
}

/// Thousands of calls may wait for one promise.
#[test]
fn what_a_promise_carries_is_held_once() {
    let mut test = TestSession::new(Settings::default());
    add(&mut test, ONE, &["ready"]).unwrap();
    let waiting = [test.wait_until("ready"), test.wait_until("ready")];
    drop(test.wait_until("ready"));
    emit(&mut test, ONE, "ready").unwrap();
    let [one, other] = waiting.map(|mut one| match got(&mut one) {
        Some(Ok(Payload::Json(json))) => json,
        other => panic!("{other:?}"),
    });
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn what_a_promise_refuses() {
    let mut test = TestSession::new(Settings::default());
    let long = "x".repeat(129);
    add(&mut test, ONE, &["mine"]).unwrap();
    assert!(matches!(add(&mut test, TWO, &["theirs", "mine"]), Err(CallError::NotOwner(_))));
    assert!(matches!(got(&mut test.wait_until("theirs")), Some(Err(CallError::NotFound(_)))), "all or none");
    assert!(matches!(emit(&mut test, TWO, "mine"), Err(CallError::NotOwner(_))));
    assert!(matches!(reject(&mut test, TWO, "mine"), Err(CallError::NotOwner(_))));
    assert!(matches!(reject(&mut test, ONE, "nothing"), Err(CallError::NotFound(_))));
    for name in ["roster", "message", "lagged", "", &long, "a\nb"] {
        for result in [add(&mut test, ONE, &[name]), emit(&mut test, ONE, name)] {
            assert!(matches!(result, Err(CallError::Invalid { argument, .. }) if argument == "name"), "{name}");
        }
    }
    assert!(matches!(reject(&mut test, ONE, "roster"), Err(CallError::Invalid { .. })));
    assert!(matches!(add(&mut test, ONE, &[]), Err(CallError::Invalid { .. })));
    assert!(test.lines().is_empty(), "nothing was fired");
    emit(&mut test, TWO, "anything-else").unwrap();
    assert_eq!(test.lines(), ["anything-else"]);
}

#[test]
fn a_rejection_reaches_everybody() {
    let mut test = TestSession::new(Settings::default());
    add(&mut test, ONE, &["ready"]).unwrap();
    let mut early = test.wait_until("ready");
    reject(&mut test, ONE, "ready").unwrap();
    for result in [got(&mut early), got(&mut test.wait_until("ready"))] {
        assert_eq!(result.unwrap().unwrap_err(), CallError::Rejected("no luck".to_owned()));
    }
    assert!(matches!(reject(&mut test, ONE, "ready"), Err(CallError::Invalid { .. })), "it is settled");
    // Another event of that name does not resolve it; only a fresh promise can be resolved.
    emit(&mut test, ONE, "ready").unwrap();
    assert!(got(&mut test.wait_until("ready")).unwrap().is_err());
    add(&mut test, ONE, &["ready"]).unwrap();
    emit(&mut test, ONE, "ready").unwrap();
    assert!(got(&mut test.wait_until("ready")).unwrap().is_ok());
}

#[test]
fn an_instance_that_ends_takes_its_promises_along() {
    let mut test = TestSession::connected(Settings::default());
    add(&mut test, ONE, &["ready", "resolved"]).unwrap();
    add(&mut test, TWO, &["other"]).unwrap();
    emit(&mut test, ONE, "resolved").unwrap();
    let (mut waiting, mut other) = (test.wait_until("ready"), test.wait_until("other"));
    test.run(|session, _, effects| session.instance_gone(ONE, effects));
    assert_eq!(got(&mut waiting).unwrap().unwrap_err(), CallError::Stopped);
    assert!(got(&mut other).is_none());
    assert!(matches!(got(&mut test.wait_until("resolved")), Some(Err(CallError::NotFound(_)))));
    add(&mut test, TWO, &["ready"]).unwrap();
    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert!(got(&mut other).is_none(), "a plugin's own promise outlives the session");
}

#[test]
fn a_parked_plugin_keeps_its_promises_until_its_next_run_has_begun() {
    let mut test = TestSession::new(Settings::default());
    add(&mut test, ONE, &["resolved", "rejected", "pending", "dropped"]).unwrap();
    emit(&mut test, ONE, "resolved").unwrap();
    reject(&mut test, ONE, "rejected").unwrap();
    let (mut pending, mut dropped) = (test.wait_until("pending"), test.wait_until("dropped"));
    test.run(|session, _, _| session.instance_parked(ONE));
    assert!(matches!(add(&mut test, TWO, &["dropped"]), Err(CallError::NotOwner(_))));
    assert!(got(&mut test.wait_until("resolved")).unwrap().is_ok());
    add(&mut test, ONE, &["resolved", "rejected", "pending"]).unwrap();
    assert!(got(&mut test.wait_until("resolved")).unwrap().is_ok(), "others know that it was kept");
    assert!(got(&mut test.wait_until("rejected")).is_none(), "it may be kept this time");
    let mut woken = Woken::default();
    test.run(|session, _, effects| woken = session.instance_woken(ONE, effects));
    assert_eq!(woken.promises, 3);
    assert_eq!(got(&mut dropped).unwrap().unwrap_err(), CallError::Stopped);
    assert!(got(&mut pending).is_none());
    emit(&mut test, ONE, "pending").unwrap();
    assert!(got(&mut pending).unwrap().is_ok());
    test.run(|session, _, effects| woken = session.instance_woken(ONE, effects));
    assert_eq!(woken.promises, 3, "only a parked plugin loses any");
}

/// It may have other names this time, and those that it had are on their way out.
#[test]
fn kept_promises_do_not_count_against_those_of_the_next_run() {
    let mut test = TestSession::new(Settings::default());
    let names: Vec<String> = (0..65).map(|number| format!("promise{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    add(&mut test, ONE, &names[..64]).unwrap();
    test.run(|session, _, _| session.instance_parked(ONE));
    add(&mut test, ONE, &names[1..]).unwrap();
    assert!(matches!(add(&mut test, ONE, &names[..1]), Err(CallError::OverLimit(_))));
}

#[test]
fn a_plugin_owns_so_many_and_no_more() {
    let mut test = TestSession::new(Settings::default());
    let names: Vec<String> = (0..65).map(|number| format!("promise{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(matches!(add(&mut test, ONE, &names), Err(CallError::OverLimit(_))));
    add(&mut test, ONE, &names[..64]).unwrap();
    add(&mut test, ONE, &names[..64]).unwrap();
    assert!(matches!(add(&mut test, ONE, &names[64..]), Err(CallError::OverLimit(_))));
}

#[test]
fn so_many_calls_of_a_plugin_may_wait_and_take_no_place_of_another_one() {
    let mut test = TestSession::new(Settings::default());
    add(&mut test, TWO, &["ready", "other"]).unwrap();
    // The limit applies to all promises together.
    let names = ["ready", "other"].into_iter().cycle().take(promises::MAX_OWN_WAITERS);
    let waiting: Vec<_> = names.map(|name| test.wait_until_as(ONE, name)).collect();
    assert!(matches!(got(&mut test.wait_until_as(ONE, "ready")), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut test.wait_until_as(TWO, "ready")).is_none(), "a neighbour waits all the same");
    drop(waiting);
    assert!(got(&mut test.wait_until_as(ONE, "ready")).is_none(), "those who left make room");
}

#[test]
fn so_many_calls_may_wait_in_all() {
    let mut test = TestSession::new(Settings::default());
    add(&mut test, ONE, &["ready"]).unwrap();
    // As many plugins as necessary, each with its maximum.
    let plugins = (10..).flat_map(|number| std::iter::repeat_n(InstanceId(number), promises::MAX_OWN_WAITERS));
    let waiting: Vec<_> = plugins.take(promises::MAX_WAITERS).map(|by| test.wait_until_as(by, "ready")).collect();
    // None of them takes the places of another one.
    let mut own: Vec<_> = (0..RESERVED).map(|_| test.wait_until_as(TWO, "ready")).collect();
    assert!(own.iter_mut().all(|receiver| got(receiver).is_none()));
    assert!(matches!(got(&mut test.wait_until_as(TWO, "ready")), Some(Err(CallError::OverLimit(_)))));
    drop(waiting);
    assert!(got(&mut test.wait_until_as(TWO, "ready")).is_none(), "those who left make room");
}

#[test]
fn a_plugin_owns_as_many_as_it_is_allowed_and_no_more() {
    let mut test = TestSession::new(Settings::default());
    for (allowed, wanted, result) in [(0, 1, false), (1, 1, true), (100, 100, true), (100, 101, false)] {
        let (answer, mut receiver) = Answer::channel();
        let by = InstanceId(100 + allowed as u64 + wanted);
        let names = (0..wanted).map(|number| EventName::from(format!("{allowed} {wanted} {number}"))).collect();
        test.command(AnyCommand::with(RegisterPromises { by, names, most: allowed }, answer));
        let owned = got(&mut receiver).unwrap().ok();
        assert_eq!(owned, result.then_some(allowed), "{wanted} of {allowed}");
    }
}
