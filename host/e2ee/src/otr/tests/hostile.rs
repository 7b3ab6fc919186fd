//! Messages that no client should send.

use proptest::prelude::*;

use super::{Pair, Told, account, changed, only_v2, only_v3, other_client, sent, told};
use crate::otr::{Conversation, Outcome, Policy, ReceiveError, State, Version};

fn error(error: ReceiveError) -> Vec<Outcome> {
    vec![Outcome::Error(error)]
}

#[test]
fn other_versions_are_refused() {
    let mut pair = Pair::new(60, Policy::default());
    for query in ["?OTR?", "?OTRv?", "?OTRv4?", "?OTR?v1?"] {
        assert_eq!(pair.a.receive(query, pair.now, &mut pair.rng), error(ReceiveError::UnsupportedVersion), "{query}");
    }
    let commit = sent(pair.a.receive("?OTRv3?", pair.now, &mut pair.rng)).remove(0);
    for version in [0, 1, 4, 0xff] {
        let other = changed(&commit, |bytes| bytes[1] = version);
        assert_eq!(pair.b.receive(&other, pair.now, &mut pair.rng), error(ReceiveError::UnsupportedVersion));
    }
    // Versions that the policy does not allow are treated as unknown ones.
    pair.b.set_policy(only_v2());
    assert_eq!(pair.b.receive(&commit, pair.now, &mut pair.rng), error(ReceiveError::UnsupportedVersion));
    assert_eq!(pair.b.receive("?OTRv3?", pair.now, &mut pair.rng), error(ReceiveError::UnsupportedVersion));
    pair.b.set_policy(only_v3());
    let commit = sent(pair.a.receive("?OTRv2?", pair.now, &mut pair.rng)).remove(0);
    assert_eq!(pair.b.receive(&commit, pair.now, &mut pair.rng), error(ReceiveError::UnsupportedVersion));
    assert_eq!(pair.b.receive("?OTR,1,2,x,", pair.now, &mut pair.rng), error(ReceiveError::UnsupportedVersion));
}

#[test]
fn a_conversation_does_not_go_back_to_version_2_or_to_plain_text() {
    let mut pair = Pair::started(61, Policy::default());
    let refused = error(ReceiveError::Downgrade);
    assert_eq!(pair.bring_to_b(["?OTRv2?".to_owned()]), Told { a: refused.clone(), b: vec![] });
    let tagged = super::super::text::Offer { v2: true, v3: false }.tag("hi");
    let plain = Outcome::Plain { text: "hi".to_owned(), unexpected: true };
    assert_eq!(pair.bring_to_b([tagged]), Told { a: refused.clone(), b: vec![plain] });
    // A client that goes back, as libotr does: B knows its key, and does not leave it alone with version 2.
    for is_to_b in [true, false] {
        let mut older = Conversation::new(account(0), only_v2());
        let told = pair.exchange_with(&mut older, [(is_to_b, "?OTRv2?".to_owned())].into());
        assert_eq!(told, refused);
        assert_eq!(older.state(), if is_to_b { State::Finished } else { State::Plain });
    }
    for text in ["hi", "?OTR Error: x"] {
        pair.b.receive(text, pair.now, &mut pair.rng);
        assert_eq!((pair.b.state(), pair.b.version()), (State::Encrypted, Some(Version::V3)));
    }
    pair.assert_talking();
}

#[test]
fn an_exchange_of_version_2_that_was_held_back_does_not_end_version_3() {
    for is_signature in [false, true] {
        let mut pair = Pair::new(77, Policy::default());
        let commit = sent(pair.b.receive("?OTRv2?", pair.now, &mut pair.rng)).remove(0);
        let key = sent(pair.a.receive(&commit, pair.now, &mut pair.rng)).remove(0);
        let reveal = sent(pair.b.receive(&key, pair.now, &mut pair.rng)).remove(0);
        let signature = is_signature.then(|| sent(pair.a.receive(&reveal, pair.now, &mut pair.rng)).remove(0));
        pair.bring_to_b(["?OTRv3?".to_owned()]);
        assert_eq!((pair.a.version(), pair.b.version()), (Some(Version::V3), Some(Version::V3)));
        let (to, held) = match &signature {
            Some(signature) => (&mut pair.b, signature),
            None => (&mut pair.a, &reveal),
        };
        assert_eq!(told(to.receive(held, pair.now, &mut pair.rng)), error(ReceiveError::Downgrade));
        assert_eq!((pair.a.version(), pair.b.version()), (Some(Version::V3), Some(Version::V3)));
        pair.assert_talking();
    }
}

#[test]
fn a_message_of_version_2_that_was_held_back_does_not_end_version_3() {
    let mut pair = Pair::started(78, only_v2());
    let held = pair.a.send("held back", pair.now).unwrap().remove(0);
    pair.a.set_policy(Policy::default());
    pair.b.set_policy(Policy::default());
    pair.bring_to_b(["?OTRv3?".to_owned()]);
    assert_eq!(told(pair.b.receive(&held, pair.now, &mut pair.rng)), error(ReceiveError::NotEncrypted));
    assert_eq!((pair.b.version(), pair.b.fingerprints().len()), (Some(Version::V3), 1));
    pair.assert_talking();
}

#[test]
fn messages_with_wrong_tags_are_refused() {
    let mut pair = Pair::started(63, Policy::default());
    let text = pair.a.send("hello", pair.now).unwrap().remove(0);
    let with =
        |place: usize, tag: u32| changed(&text, |bytes| bytes[place..place + 4].copy_from_slice(&tag.to_be_bytes()));
    let ours = account(1).instance_tag().get();
    for (forged, expected) in [
        (with(7, 0x4242_4242), ReceiveError::OtherInstance),
        // Our own, sent back.
        (with(3, ours), ReceiveError::OtherInstance),
        (with(7, 0), ReceiveError::Malformed),
        (with(7, 0xff), ReceiveError::Malformed),
        (with(3, 0xff), ReceiveError::Malformed),
        (with(3, 0), ReceiveError::Malformed),
        (with(3, 0x4242_4242), ReceiveError::NotEncrypted),
    ] {
        assert_eq!(told(pair.b.receive(&forged, pair.now, &mut pair.rng)), error(expected));
    }
    assert_eq!(
        pair.b.receive("?OTR|12345678|42424242,1,2,x,", pair.now, &mut pair.rng),
        error(ReceiveError::OtherInstance)
    );
    assert_eq!(pair.b.receive("?OTR|ff|42424242,1,2,x,", pair.now, &mut pair.rng), error(ReceiveError::Malformed));
    assert!(matches!(pair.bring_to_b([text]).b[..], [Outcome::Message { .. }]));
}

/// Changes a byte of a message, at this number of ninths before its end.
fn changed_at(text: &str, part: usize) -> String {
    changed(text, |bytes| {
        let place = bytes.len() - bytes.len() * part / 9 - 1;
        bytes[place.max(12)] ^= 0x40;
    })
}

#[test]
fn nothing_of_a_beginning_can_be_changed() {
    for policy in [Policy::default(), only_v2()] {
        // Commitment, key, reveal, signature: one byte of one of them is changed.
        for (message, seed) in (0..4).zip(64..) {
            for part in 1..=8 {
                let mut pair = Pair::new(seed, policy);
                let query = pair.a.start().unwrap();
                let mut text = sent(pair.b.receive(&query, pair.now, &mut pair.rng)).remove(0);
                let mut started = Vec::new();
                for step in 0..4 {
                    if step == message {
                        text = changed_at(&text, part);
                    }
                    let to = if step % 2 == 0 { &mut pair.a } else { &mut pair.b };
                    let outcomes = to.receive(&text, pair.now, &mut pair.rng);
                    started
                        .extend(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Started { .. })).cloned());
                    let Some(next) = sent(outcomes).pop() else { break };
                    text = next;
                }
                // A changed signature is seen by B alone: A has all that it needs.
                assert_eq!(started.len(), usize::from(message == 3), "{message} {part} {started:?}");
                assert_eq!(pair.b.state(), State::Plain);
                let query = pair.a.start().unwrap();
                pair.bring_to_b([query]);
                pair.assert_talking();
            }
        }
    }
}

#[test]
fn a_beginning_cannot_be_replayed() {
    let mut pair = Pair::new(70, Policy::default());
    let query = pair.a.start().unwrap();
    let commit = sent(pair.b.receive(&query, pair.now, &mut pair.rng));
    let key = sent(pair.a.receive(&commit[0], pair.now, &mut pair.rng));
    let reveal = sent(pair.b.receive(&key[0], pair.now, &mut pair.rng));
    let signature = sent(pair.a.receive(&reveal[0], pair.now, &mut pair.rng));
    pair.b.receive(&signature[0], pair.now, &mut pair.rng);
    pair.assert_talking();
    let mut at = |is_to_b: bool, text: &str| {
        let to = if is_to_b { &mut pair.b } else { &mut pair.a };
        told(to.receive(text, pair.now, &mut pair.rng))
    };
    assert_eq!(at(false, &reveal[0]), error(ReceiveError::Unexpected));
    assert_eq!(at(true, &key[0]), error(ReceiveError::Unexpected));
    assert_eq!(at(true, &signature[0]), error(ReceiveError::Unexpected));
    // A commitment is answered by a new key, to which the old reveal does not belong.
    assert_eq!(at(false, &commit[0]), []);
    assert_eq!(at(false, &reveal[0]), error(ReceiveError::NotAuthentic));
    pair.assert_talking();
}

#[test]
fn what_we_send_is_of_no_use_if_it_is_sent_back() {
    for policy in [Policy::default(), only_v2()] {
        let mut pair = Pair::new(71, policy);
        let query = pair.a.start().unwrap();
        let mut way = sent(pair.a.receive(&query, pair.now, &mut pair.rng));
        for _ in 0..10 {
            let Some(text) = way.pop() else { break };
            way.extend(sent(pair.a.receive(&text, pair.now, &mut pair.rng)));
        }
        assert_eq!(pair.a.state(), State::Plain);
    }
    // And with a key of ours on another client, which is indistinguishable from ours.
    let mut pair = Pair::new(72, only_v3());
    pair.b = Conversation::new(other_client(0, 0x5555_5555), only_v3());
    let query = pair.a.start().unwrap();
    let told = pair.bring_to_b([query]);
    assert_eq!(told, Told { a: error(ReceiveError::NotAuthentic), b: vec![] });
}

#[test]
fn instances_without_end_are_bounded() {
    let mut pair = Pair::started(73, only_v3());
    let commit = sent(Pair::new(74, only_v3()).a.receive("?OTRv3?", pair.now, &mut pair.rng)).remove(0);
    for tag in 0x1000_0000..0x1000_0100_u32 {
        let other = changed(&commit, |bytes| bytes[3..7].copy_from_slice(&tag.to_be_bytes()));
        pair.b.receive(&other, pair.now, &mut pair.rng);
        assert!(pair.b.peers.len() <= 8);
    }
    pair.assert_talking();
    // Instances that prove their identity replace the one that was silent for longest.
    for tag in 0x2000_0000..0x2000_0008_u32 {
        let mut client = Conversation::new(other_client(2, tag), only_v3());
        let mut way = sent(client.receive("?OTRv3?", pair.now, &mut pair.rng));
        while let Some(text) = way.pop() {
            for answer in sent(pair.b.receive(&text, pair.now, &mut pair.rng)) {
                way.extend(sent(client.receive(&answer, pair.now, &mut pair.rng)));
            }
        }
        assert_eq!(client.state(), State::Encrypted);
        assert_eq!(pair.b.state(), State::Encrypted);
        assert!(pair.b.fingerprints().len() <= 6 && pair.b.peers.len() <= 8);
    }
}

#[test]
fn errors_of_the_other_side_are_bounded() {
    let mut pair = Pair::new(75, Policy::default());
    let text = format!("?OTR Error: a\u{1b}[31m\n{}", "x".repeat(10_000));
    let outcomes = pair.a.receive(&text, pair.now, &mut pair.rng);
    let [Outcome::Send(query), Outcome::Error(ReceiveError::Peer(shown))] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((query.as_str(), shown.len()), ("?OTRv23?", 200));
    assert!(shown.starts_with("a[31mxxx"));
    // Errors that come at once lead to one query.
    assert_eq!(sent(pair.a.receive(&text, pair.now, &mut pair.rng)).len(), 0);
}

#[test]
fn nested_and_endless_fragments_are_refused() {
    let mut pair = Pair::new(76, Policy::default());
    for (inner, expected) in [("?OTR,1,1,x", "x"), ("hello", "x"), ("?OTRv3?", "x"), ("?OTR:", ".")] {
        assert_eq!(
            pair.a.receive(&format!("?OTR,1,2,{inner},"), pair.now, &mut pair.rng).len(),
            usize::from(inner.contains(','))
        );
        let outcomes = pair.a.receive(&format!("?OTR,2,2,{expected},"), pair.now, &mut pair.rng);
        assert!(
            outcomes.is_empty() && inner.contains(',') || outcomes == error(ReceiveError::Malformed),
            "{outcomes:?}"
        );
    }
    let piece = "A".repeat(60_000);
    let mut refused = 0;
    for index in 1..=5 {
        let text = format!("?OTR,{index},5,{piece},");
        refused += usize::from(pair.a.receive(&text, pair.now, &mut pair.rng) == error(ReceiveError::TooLong));
    }
    assert_eq!(refused, 1);
    let long = format!("?OTR:{}.", "A".repeat((128 << 10) + 1));
    assert_eq!(pair.a.receive(&long, pair.now, &mut pair.rng), error(ReceiveError::TooLong));
}

/// Texts that look like OTR.
fn texts() -> impl Strategy<Value = String> {
    let bytes = prop::collection::vec(any::<u8>(), 0..400);
    let typed = (
        prop_oneof![Just(2_u8), Just(3)],
        prop_oneof![Just(2_u8), Just(3), Just(0x0a), Just(0x11), Just(0x12)],
        bytes.clone(),
    )
        .prop_map(|(version, kind, rest)| {
            let mut bytes = vec![0, version, kind];
            if version == 3 {
                bytes.extend_from_slice(&account(0).instance_tag().get().to_be_bytes());
                bytes.extend_from_slice(&account(1).instance_tag().get().to_be_bytes());
            }
            bytes.extend(rest);
            crate::otr::message::encode(&bytes)
        });
    prop_oneof![
        any::<String>(),
        bytes.prop_map(|bytes| crate::otr::message::encode(&bytes)),
        typed,
        "(<[a-z]{0,3}>)?\\?OTR[|,:? v23]{0,3}[0-9a-f|,]{0,40}[?.,]?",
        "\\?OTR( Error:|v[0-9]{0,3}\\?).{0,20}",
        " \t  \t\t\t\t \t \t \t  [ \t]{0,24}.{0,9}",
        "\\?OTR,[0-9]{1,5},[0-9]{1,5},[A-Za-z?:.]{0,9},",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_texts_do_no_harm(texts in prop::collection::vec(texts(), 1..12), is_v2: bool) {
        let mut pair = Pair::started(80, if is_v2 { only_v2() } else { Policy::default() });
        for text in texts {
            for outcome in pair.b.receive(&text, pair.now, &mut pair.rng) {
                prop_assert!(matches!(outcome, Outcome::Send(_) | Outcome::Plain { unexpected: true, .. } | Outcome::Error(_)), "{:?}", outcome);
            }
            prop_assert_eq!(pair.b.state(), State::Encrypted);
        }
        pair.assert_talking();
    }

    #[test]
    fn changed_messages_do_no_harm(seed: u64, step in 0..5_usize, place: prop::sample::Index, bit in 0..8_u32, cut: Option<prop::sample::Index>) {
        let mut pair = Pair::new(seed, Policy::default());
        let mut text = pair.a.start().unwrap();
        for number in 0..5 {
            let to = if number % 2 == 0 { &mut pair.b } else { &mut pair.a };
            if number == step && text.starts_with("?OTR:") {
                let forged = changed(&text, |bytes| {
                    let place = place.index(bytes.len());
                    bytes[place] ^= 1 << bit;
                    if let Some(cut) = cut {
                        bytes.truncate(cut.index(bytes.len()));
                    }
                });
                for outcome in told(to.receive(&forged, pair.now, &mut pair.rng)) {
                    prop_assert!(matches!(outcome, Outcome::Error(_)), "{:?}", outcome);
                }
            }
            let outcomes = to.receive(&text, pair.now, &mut pair.rng);
            let Some(next) = sent(outcomes).pop() else { break };
            text = next;
        }
        let query = pair.a.start().unwrap();
        pair.bring_to_b([query]);
        pair.assert_talking();
    }
}
