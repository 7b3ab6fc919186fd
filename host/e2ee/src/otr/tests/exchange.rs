//! Beginning and ending.

use std::time::Duration;

use proptest::prelude::*;

use super::{Pair, Told, account, last_of, only_v2, only_v3, other_client, sent, told};
use crate::otr::{Conversation, Outcome, Policy, ReceiveError, SendError, State, Version};

#[test]
fn a_query_begins_a_conversation_in_either_version() {
    for (policy, version) in [(Policy::default(), Version::V3), (only_v3(), Version::V3), (only_v2(), Version::V2)] {
        let mut pair = Pair::started(1, policy);
        assert_eq!(pair.a.fingerprint(), Some(account(1).fingerprint()));
        assert_eq!(pair.b.fingerprint(), Some(account(0).fingerprint()));
        assert_eq!((pair.a.version(), pair.b.version()), (Some(version), Some(version)));
        let tag = (version == Version::V3).then(|| account(1).instance_tag());
        assert_eq!(pair.a.peer_instance(), tag);
        pair.assert_talking();
    }
}

#[test]
fn a_whitespace_tag_begins_a_conversation() {
    let policy = Policy { whitespace_tag: true, ..Policy::default() };
    let mut pair = Pair::new(2, policy);
    let told = pair.a_says("hello");
    assert_eq!(told.b[0], Outcome::Plain { text: "hello".to_owned(), unexpected: false });
    assert!(matches!(told.b[1], Outcome::Started { .. }));
    pair.assert_talking();
}

#[test]
fn tags_stop_once_the_other_side_writes_plainly() {
    let policy = Policy { whitespace_tag: true, whitespace_start: false, ..Policy::default() };
    let mut pair = Pair::new(3, policy);
    assert_ne!(pair.a.send("hello", pair.now).unwrap(), ["hello"]);
    let expected = Outcome::Plain { text: "hello".to_owned(), unexpected: false };
    assert_eq!(pair.a_says("hello"), Told { a: vec![], b: vec![expected] });
    pair.bring_to_a(["a plain text".to_owned()]);
    assert_eq!(pair.a.send("hello", pair.now).unwrap(), ["hello"]);
}

#[test]
fn both_sides_may_begin_at_once() {
    for policy in [Policy::default(), only_v2()] {
        for seed in 0..8 {
            let mut pair = Pair::new(seed, policy);
            let (from_a, from_b) = (pair.a.start().unwrap(), pair.b.start().unwrap());
            let told = pair.exchange([(true, from_a), (false, from_b)].into());
            let started = |told: &[Outcome]| told.iter().any(|told| matches!(told, Outcome::Started { .. }));
            assert!(started(&told.a) && started(&told.b), "{told:?}");
            pair.assert_talking();
        }
    }
}

/// Its secret is that with which the conversation began: a thief of it could read the first messages.
#[test]
fn a_commitment_to_all_instances_is_forgotten_after_a_while() {
    for is_received in [false, true] {
        let mut pair = Pair::started(9, Policy::default());
        assert!(pair.b.pending.is_some());
        pair.assert_talking();
        pair.now += Duration::from_mins(10);
        if is_received {
            pair.a_says("hello");
        } else {
            pair.b.send("hello", pair.now).unwrap();
        }
        assert!(pair.b.pending.is_none());
        pair.assert_talking();
    }
}

#[test]
fn a_conversation_can_begin_again() {
    let mut pair = Pair::started(4, Policy::default());
    pair.assert_talking();
    let query = pair.b.start().unwrap();
    let told = pair.bring_to_a([query]);
    assert!(matches!(told.a[..], [Outcome::Started { again: true, .. }]));
    assert!(matches!(told.b[..], [Outcome::Started { again: true, .. }]));
    pair.assert_talking();
}

#[test]
fn while_a_conversation_begins_again_both_sides_go_on_by_the_keys_of_before() {
    let mut pair = Pair::started(12, Policy::default());
    let mut text = pair.a.start().unwrap();
    // Query, commitment, key.
    for step in 0..3 {
        let to = if step % 2 == 0 { &mut pair.b } else { &mut pair.a };
        text = sent(to.receive(&text, pair.now, &mut pair.rng)).remove(0);
        pair.assert_talking();
    }
    assert!(matches!(pair.bring_to_a([text]).b[..], [Outcome::Started { again: true, .. }]));
    pair.assert_talking();
}

#[test]
fn after_an_end_texts_are_refused_until_somebody_decides() {
    let mut pair = Pair::started(5, Policy::default());
    let bye = last_of(&mut pair.a);
    assert_eq!(pair.a.state(), State::Plain);
    assert_eq!(pair.bring_to_b(bye.clone()), Told { a: vec![], b: vec![Outcome::Ended] });
    assert_eq!(pair.b.state(), State::Finished);
    assert_eq!(pair.b.send("secret", pair.now), Err(SendError::Finished));
    let plain = |unexpected| vec![Outcome::Plain { text: "hi".to_owned(), unexpected }];
    assert_eq!(pair.a_says("hi").b, plain(true));
    // The end again, by another client: its conversation is no longer known.
    assert_eq!(pair.bring_to_b(bye).b, []);
    assert_eq!(last_of(&mut pair.b), Vec::<String>::new());
    assert_eq!(pair.b.send("hi", pair.now).unwrap(), ["hi"]);
    assert_eq!(pair.a_says("hi").b, plain(false));
    let query = pair.b.start().unwrap();
    pair.bring_to_a([query]);
    pair.assert_talking();
}

#[test]
fn a_conversation_that_was_ended_can_begin_again() {
    let mut pair = Pair::started(6, Policy::default());
    let bye = last_of(&mut pair.a);
    pair.bring_to_b(bye);
    let query = pair.a.start().unwrap();
    pair.bring_to_b([query]);
    assert_eq!(pair.b.state(), State::Encrypted);
    pair.assert_talking();
}

#[test]
fn nothing_is_sent_plainly_where_encryption_is_required() {
    let mut pair = Pair::new(7, Policy { require_encryption: true, ..Policy::default() });
    assert_eq!(pair.a.send("secret", pair.now), Err(SendError::NotEncrypted));
    let told = pair.bring_to_a(["hi".to_owned()]);
    assert_eq!(told.a, [Outcome::Plain { text: "hi".to_owned(), unexpected: true }]);
    let query = pair.a.start().unwrap();
    pair.bring_to_b([query]);
    pair.assert_talking();
}

#[test]
fn a_policy_that_allows_nothing_reads_nothing() {
    let mut pair = Pair::new(8, Policy::never());
    assert_eq!(pair.a.start(), None);
    for text in ["?OTRv23?", "?OTR:AAMD.", "?OTR Error: x", "?OTR,1,2,x,", "hello"] {
        let expected = Outcome::Plain { text: text.to_owned(), unexpected: false };
        assert_eq!(pair.bring_to_a([text.to_owned()]).a, [expected]);
    }
    assert_eq!(pair.a.send("hello", pair.now).unwrap(), ["hello"]);
}

#[test]
fn every_client_of_a_person_has_its_own_keys() {
    let mut pair = Pair::new(9, Policy::default());
    let mut second = Conversation::new(other_client(1, 0x1234_5678), Policy::default());
    let query = pair.a.start().unwrap();
    let from_first = sent(pair.b.receive(&query, pair.now, &mut pair.rng));
    let from_second = sent(second.receive(&query, pair.now, &mut pair.rng));
    pair.bring_to_a(from_first);
    // The server brings what A sends to both clients of B.
    let mut to_a = from_second;
    while !to_a.is_empty() {
        let to_b: Vec<String> =
            to_a.drain(..).flat_map(|text| sent(pair.a.receive(&text, pair.now, &mut pair.rng))).collect();
        for text in to_b {
            assert_eq!(
                told(pair.b.receive(&text, pair.now, &mut pair.rng)),
                [Outcome::Error(ReceiveError::OtherInstance)]
            );
            to_a.extend(sent(second.receive(&text, pair.now, &mut pair.rng)));
        }
    }
    assert_eq!((second.state(), pair.a.fingerprints().len()), (State::Encrypted, 2));
    assert_eq!(pair.a.peer_instance().map(crate::otr::InstanceTag::get), Some(0x1234_5678));
    // Answers go to the client that was heard last.
    pair.b_says("from the first");
    assert_eq!(pair.a.peer_instance(), Some(account(1).instance_tag()));
    pair.assert_talking();
    // One client ends: the other continues.
    let bye = last_of(&mut pair.b);
    assert_eq!(pair.bring_to_a(bye).a, [Outcome::Ended]);
    assert_eq!(pair.a.state(), State::Encrypted);
}

/// Their keys distinguish them.
#[test]
fn a_person_may_have_a_client_of_each_version() {
    for is_to_b in [true, false] {
        let mut pair = Pair::started(11, Policy::default());
        let mut older = Conversation::new(account(2), only_v2());
        let told = pair.exchange_with(&mut older, [(is_to_b, "?OTRv2?".to_owned())].into());
        assert!(matches!(told[..], [Outcome::Started { version: Version::V2, again: false, .. }]), "{told:?}");
        assert_eq!((pair.b.version(), pair.b.fingerprints().len()), (Some(Version::V2), 2));
        let text = pair.b.send("for the older", pair.now).unwrap().remove(0);
        let heard = older.receive(&text, pair.now, &mut pair.rng);
        assert!(matches!(&heard[..], [Outcome::Message { text, .. }] if text == "for the older"), "{heard:?}");
        // Answers go to the client that was heard last.
        pair.assert_talking();
        assert_eq!(pair.b.version(), Some(Version::V3));
        let text = older.send("from the older", pair.now).unwrap().remove(0);
        pair.b.receive(&text, pair.now, &mut pair.rng);
        assert_eq!((pair.b.version(), pair.b.peer_instance()), (Some(Version::V2), None));
    }
}

#[test]
fn several_clients_may_take_up_one_commitment() {
    let mut pair = Pair::new(10, Policy::default());
    let mut second = Conversation::new(other_client(1, 0x1234_5678), Policy::default());
    let commit = sent(pair.a.receive("?OTRv3?", pair.now, &mut pair.rng));
    let from_second = sent(second.receive(&commit[0], pair.now, &mut pair.rng));
    pair.bring_to_b(commit);
    assert_eq!(pair.a.fingerprints().len(), 1);
    let reveal = sent(pair.a.receive(&from_second[0], pair.now, &mut pair.rng));
    let signature = sent(second.receive(&reveal[0], pair.now, &mut pair.rng));
    assert!(matches!(pair.a.receive(&signature[0], pair.now, &mut pair.rng)[..], [Outcome::Started { .. }]));
    assert_eq!((second.state(), pair.a.fingerprints().len()), (State::Encrypted, 2));
    // Its key once more, after all that: the commitment is not taken up twice.
    let again = pair.a.receive(&from_second[0], pair.now, &mut pair.rng);
    assert_eq!(again, [Outcome::Error(ReceiveError::Unexpected)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After any disturbance by the network, no one can impersonate another, and a later exchange succeeds.
    #[test]
    fn a_disturbed_beginning_can_be_repeated(seed: u64, is_v2: bool, steps in prop::collection::vec((0..5_u8, any::<prop::sample::Index>()), 0..40)) {
        let mut pair = Pair::new(seed, if is_v2 { only_v2() } else { Policy::default() });
        let (from_a, from_b) = (pair.a.start().unwrap(), pair.b.start().unwrap());
        let mut way = vec![(true, from_a), (false, from_b)];
        for (step, index) in steps {
            if way.is_empty() {
                break;
            }
            let index = index.index(way.len());
            let (is_to_b, text) = match step {
                0 => way.remove(index),
                1 => way[index].clone(),
                2 => {
                    way.remove(index);
                    continue;
                }
                _ => way.remove(0),
            };
            let (to, other) = if is_to_b { (&mut pair.b, 0) } else { (&mut pair.a, 1) };
            for outcome in to.receive(&text, pair.now, &mut pair.rng) {
                match outcome {
                    Outcome::Send(text) => way.push((!is_to_b, text)),
                    Outcome::Started { fingerprint, .. } => prop_assert_eq!(fingerprint, account(other).fingerprint()),
                    Outcome::Error(_) => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
        let query = pair.a.start().unwrap();
        pair.bring_to_b([query]);
        pair.assert_talking();
    }
}
