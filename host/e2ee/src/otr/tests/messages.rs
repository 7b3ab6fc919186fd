//! Data messages.

use std::time::Duration;

use super::{Pair, Told, account, changed, only_v2, sent, told};
use crate::otr::{Conversation, Outcome, Policy, ReceiveError, SendError, State};

fn message(text: &str, from: usize) -> Outcome {
    Outcome::Message { text: text.to_owned(), fingerprint: account(from).fingerprint() }
}

#[test]
fn texts_come_as_they_were_sent() {
    for fragment in [0, 64, 100, 1000] {
        let mut pair = Pair::started(20, Policy { fragment, ..Policy::default() });
        for text in ["é…\u{1f600}", " \t  \t\t\t\t \t \t \t    \t\t  \t\t", "?OTRv23?", &"long ".repeat(2000)] {
            let parts = pair.a.send(text, pair.now).unwrap();
            assert!(fragment == 0 || parts.iter().all(|part| part.len() <= fragment));
            assert_eq!(pair.bring_to_b(parts).b, [message(text, 0)]);
        }
    }
    let mut pair = Pair::started(20, Policy { fragment: 90, v3: false, ..Policy::default() });
    pair.assert_talking();
}

#[test]
fn the_longest_text_fits() {
    let mut pair = Pair::started(21, Policy::default());
    let text = "x".repeat(64 << 10);
    assert_eq!(pair.a_says(&text).b, [message(&text, 0)]);
    assert_eq!(pair.a.send(&format!("{text}x"), pair.now), Err(SendError::TooLong));
    assert_eq!(pair.a.send("a\0b", pair.now), Err(SendError::Nul));
}

#[test]
fn a_message_is_accepted_once() {
    let mut pair = Pair::started(22, Policy::default());
    let first = pair.a.send("first", pair.now).unwrap();
    let second = pair.a.send("second", pair.now).unwrap();
    assert_eq!(pair.bring_to_b(first.clone()).b, [message("first", 0)]);
    assert_eq!(pair.bring_to_b(second.clone()).b, [message("second", 0)]);
    for text in [&first, &second] {
        assert_eq!(pair.bring_to_b(text.clone()), Told { a: vec![], b: vec![Outcome::Error(ReceiveError::Replayed)] });
    }
    pair.assert_talking();
    // Its keys are forgotten by now.
    for text in [first, second] {
        assert_eq!(told(pair.b.receive(&text[0], pair.now, &mut pair.rng)), [Outcome::Error(ReceiveError::Unreadable)]);
    }
    // For a conversation that began again since, they never existed.
    let query = pair.a.start().unwrap();
    let before = pair.a.send("before", pair.now).unwrap();
    pair.bring_to_b([query]);
    let outcomes = told(pair.b.receive(&before[0], pair.now, &mut pair.rng));
    assert!(
        matches!(outcomes[..], [Outcome::Error(ReceiveError::Unreadable | ReceiveError::NotAuthentic)]),
        "{outcomes:?}"
    );
    pair.assert_talking();
}

/// Its flag says that nobody is told if it cannot be read.
#[test]
fn a_heartbeat_that_comes_again_is_not_told() {
    let mut pair = Pair::started(29, Policy::default());
    let texts = pair.a.seal(0, &[], true, pair.now).unwrap();
    assert_eq!(pair.bring_to_b(texts.clone()), Told { a: vec![], b: vec![Outcome::Heartbeat] });
    assert_eq!(pair.bring_to_b(texts), Told::default());
    pair.assert_talking();
}

/// The extra symmetric key is not offered: a text beside a request for one is read, and a request alone is like an empty message.
#[test]
fn a_request_for_the_extra_key_is_skipped() {
    let mut pair = Pair::started(28, Policy::default());
    let active = crate::otr::conversation::active(&pair.a.peers).unwrap();
    let request = b"\0\0\x08\0\x04\0\0\0\x01";
    for (text, expected) in [("hello", message("hello", 0)), ("", Outcome::Heartbeat)] {
        let plain = [text.as_bytes(), &request[..]].concat();
        let sealed = pair.a.seal(active, &plain, true, pair.now).unwrap();
        assert_eq!(pair.bring_to_b(sealed), Told { a: vec![], b: vec![expected] });
    }
    pair.assert_talking();
}

#[test]
fn no_byte_of_a_message_can_be_changed() {
    for policy in [Policy::default(), only_v2()] {
        let mut pair = Pair::started(23, policy);
        pair.assert_talking();
        let text = &pair.a.send("from a", pair.now).unwrap()[0];
        let mut length = 0;
        changed(text, |bytes| length = bytes.len());
        for place in (0..length).chain([usize::MAX]) {
            let forged = changed(text, |bytes| match bytes.get_mut(place) {
                Some(byte) => *byte ^= 0x10,
                None => drop(bytes.pop()),
            });
            for outcome in pair.b.receive(&forged, pair.now, &mut pair.rng) {
                // The MAC keys at the end, and their length, are not authenticated: they are never read.
                let is_behind = place > length - 60 && place != usize::MAX;
                assert!(matches!(outcome, Outcome::Send(_) | Outcome::Error(_)) || is_behind, "{place}: {outcome:?}");
            }
        }
        pair.assert_talking();
    }
}

#[test]
fn used_mac_keys_are_published_and_of_no_use_any_more() {
    let mut pair = Pair::started(24, Policy::default());
    let published = |text: &str| {
        let mut keys = Vec::new();
        changed(text, |bytes| {
            let count = (0..=12).rfind(|count| {
                let place = bytes.len().checked_sub(4 + 20 * count);
                place.is_some_and(|place| {
                    bytes[place..].starts_with(&u32::to_be_bytes(20 * u32::try_from(*count).unwrap()))
                })
            });
            keys = bytes[bytes.len() - 20 * count.unwrap()..].to_vec();
        });
        keys
    };
    let (mut old, mut keys) = (Vec::new(), Vec::new());
    for round in 0..4 {
        let from_a = pair.a.send(&round.to_string(), pair.now).unwrap();
        keys.extend(published(&from_a[0]).chunks(20).map(<[u8]>::to_vec));
        old.extend(from_a.clone());
        pair.bring_to_b(from_a);
        let from_b = pair.b.send(&round.to_string(), pair.now).unwrap();
        keys.extend(published(&from_b[0]).chunks(20).map(<[u8]>::to_vec));
        pair.bring_to_a(from_b);
    }
    assert!(keys.len() >= 3, "{}", keys.len());
    // Anyone can forge old messages with these keys. Such messages are not accepted.
    for text in &old[..2] {
        for key in &keys {
            let forged = changed(text, |bytes| {
                let keys_of_old = published(text).len();
                let end = bytes.len() - 4 - keys_of_old - 20;
                let mac = crate::otr::secrets::mac_sha1(key[..].try_into().unwrap(), &bytes[..end]);
                bytes[end..end + 20].copy_from_slice(&mac);
            });
            let outcomes = told(pair.b.receive(&forged, pair.now, &mut pair.rng));
            assert_eq!(outcomes, [Outcome::Error(ReceiveError::Unreadable)]);
        }
    }
}

#[test]
fn a_side_that_only_listens_sends_heartbeats() {
    let mut pair = Pair::started(25, Policy::default());
    let said = pair.a.send("one", pair.now).unwrap();
    assert_eq!(sent(pair.b.receive(&said[0], pair.now, &mut pair.rng)).len(), 0);
    pair.now += Duration::from_mins(1);
    let told = pair.a_says("two");
    assert_eq!(told, Told { a: vec![Outcome::Heartbeat], b: vec![message("two", 0)] });
    // Not again within the minute, and heartbeats are not answered by heartbeats.
    assert_eq!(pair.a_says("three"), Told { a: vec![], b: vec![message("three", 0)] });
}

/// Over a network that takes minutes, both sides would answer each other without end.
#[test]
fn a_heartbeat_is_not_answered_by_another() {
    let mut pair = Pair::started(33, Policy::default());
    let beat = pair.a.seal(0, &[], true, pair.now).unwrap();
    pair.now += Duration::from_mins(1);
    assert_eq!(pair.bring_to_b(beat), Told { a: vec![], b: vec![Outcome::Heartbeat] });
    // Padding is no text.
    let padded = pair.a.seal(0, b"\0\0\0\0\x02..", true, pair.now).unwrap();
    assert_eq!(pair.bring_to_b(padded), Told { a: vec![], b: vec![Outcome::Heartbeat] });
}

#[test]
fn base64_with_wrapped_lines_or_without_padding_is_read() {
    let mut pair = Pair::started(34, Policy::default());
    let mut padded = 0;
    for text in ["a", "ab", "abc"] {
        let sent = pair.a.send(text, pair.now).unwrap().remove(0);
        padded += usize::from(sent.contains('='));
        let unpadded = sent.replace('=', "");
        let (head, rest) = unpadded.split_at(70);
        assert_eq!(pair.bring_to_b([format!("{head}\r\n {rest}")]).b, [message(text, 0)]);
    }
    assert_eq!(padded, 2);
}

#[test]
fn whoever_sends_encrypted_texts_to_a_plain_conversation_is_told() {
    let mut pair = Pair::started(26, Policy { error_start: false, ..Policy::default() });
    pair.b.end();
    let told = pair.a_says("lost");
    assert_eq!(told.b, [Outcome::Error(ReceiveError::NotEncrypted)]);
    assert!(matches!(&told.a[..], [Outcome::Error(ReceiveError::Peer(text))] if text.contains("encrypted")));
    // At most once in ten seconds.
    assert_eq!(pair.a_says("lost"), Told { a: vec![], b: vec![Outcome::Error(ReceiveError::NotEncrypted)] });
    pair.now += Duration::from_secs(10);
    assert_eq!(pair.a_says("lost").a.len(), 1);
}

#[test]
fn a_client_that_was_started_anew_is_found_again() {
    let mut pair = Pair::started(27, Policy::default());
    pair.b = Conversation::new(account(1), Policy::default());
    let told = pair.a_says("lost");
    assert!(
        matches!(told.a[..], [Outcome::Error(ReceiveError::Peer(_)), Outcome::Started { again: true, .. }]),
        "{told:?}"
    );
    assert!(matches!(told.b[..], [Outcome::Error(ReceiveError::NotEncrypted), Outcome::Started { again: false, .. }]));
    pair.assert_talking();
}

/// libotr does so with the last text, and marks it. It reports an error for each text that it cannot read.
#[test]
fn what_a_client_that_was_started_anew_could_not_read_is_sent_again_once() {
    let error = || "?OTR Error: unreadable".to_owned();
    for (policy, errors) in [(Policy::default(), 1), (Policy::default(), 2), (only_v2(), 2)] {
        let mut pair = Pair::started(30, policy);
        pair.a_says("read");
        pair.b = Conversation::new(account(1), policy);
        for lost in ["one", "two"] {
            pair.a.send(lost, pair.now).unwrap();
        }
        pair.bring_to_a(vec![error(); errors]);
        let again = pair.a.send_again(pair.now);
        let all = [message("[resent] one", 0), message("[resent] two", 0)];
        assert_eq!(pair.bring_to_b(again).b, all[2 - errors..].to_vec());
        // Once, however often errors come: anybody can write these.
        let told = pair.bring_to_a([error()]);
        assert!(matches!(told.a[..], [Outcome::Error(_)]), "no second query within half a minute: {told:?}");
        let query = pair.b.start().unwrap();
        pair.bring_to_a([query]);
        assert!(pair.a.send_again(pair.now).is_empty());
        pair.assert_talking();
    }
}

/// The fate of a text, whether it is then sent again, and how that happens.
type Case<'a> = (&'a str, bool, &'a dyn Fn(&mut Pair));

#[test]
fn a_text_is_not_sent_again_without_a_reason_nor_late_nor_to_another_key() {
    let refused = |pair: &mut Pair| {
        pair.a_says("secret");
        pair.a.receive("?OTR Error: unreadable", pair.now, &mut pair.rng);
    };
    // Each of these is what happens before the conversation begins again.
    let read = |pair: &mut Pair| drop(pair.a_says("secret"));
    let answered = |pair: &mut Pair| {
        refused(pair);
        pair.b_says("read");
    };
    let late = |pair: &mut Pair| {
        refused(pair);
        pair.now += Duration::from_mins(1);
    };
    let ended = |pair: &mut Pair| {
        refused(pair);
        pair.a.end();
    };
    let another = |pair: &mut Pair| {
        refused(pair);
        pair.b = Conversation::new(account(2), Policy::default());
    };
    let cases: [Case; 6] = [
        ("refused", true, &refused),
        ("read", false, &read),
        ("answered", false, &answered),
        ("late", false, &late),
        ("ended", false, &ended),
        ("another", false, &another),
    ];
    for (what, is_again, happens) in cases {
        let mut pair = Pair::started(31, Policy::default());
        happens(&mut pair);
        let query = pair.b.start().unwrap();
        pair.bring_to_a([query]);
        assert_eq!(pair.a.send_again(pair.now).len(), usize::from(is_again), "{what}");
        assert_eq!(pair.a.state(), State::Encrypted, "{what}");
    }
}

#[test]
fn texts_that_may_be_sent_again_are_bounded() {
    let again = |texts: &[String]| {
        let mut pair = Pair::started(32, Policy::default());
        for text in texts {
            pair.a.send(text, pair.now).unwrap();
        }
        pair.bring_to_a(vec!["?OTR Error: unreadable".to_owned(); texts.len()]);
        pair.a.send_again(pair.now).len()
    };
    let many: Vec<String> = (0..20).map(|number: u32| number.to_string()).collect();
    assert_eq!(again(&many), 8);
    let long = "x".repeat(40 << 10);
    assert_eq!(again(&[long.clone(), long]), 1);
}
