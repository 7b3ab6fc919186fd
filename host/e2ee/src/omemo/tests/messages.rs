//! Messages that are lost, repeated, late, or cross each other: all readable ones are read, and none is read twice.

use std::collections::BTreeSet;

use rand::Rng;

use super::super::{Bundle, Effort, KeyMessage, Prekeys, ReceiveError, Session, Version, limits, receive, start, wire};
use super::{Side, Steady, acquainted};

/// A message in transit.
#[derive(Clone)]
struct Post {
    message: KeyMessage,
    text: [u8; 8],
}

/// The messages in transit between two sides, in one direction.
#[derive(Default)]
struct Way {
    post: Vec<Post>,
    /// The delivered messages, for replays.
    came: Vec<Post>,
}

/// A conversation of two sides, and the observations about it.
struct Talk {
    sides: [Side; 2],
    /// From the side of that place.
    ways: [Way; 2],
    read: BTreeSet<[u8; 8]>,
    sent: u64,
    lost: usize,
    refused: usize,
}

impl Talk {
    fn between(one: Side, other: Side) -> Self {
        let ways = [Way::default(), Way::default()];
        Self { sides: [one, other], ways, read: BTreeSet::new(), sent: 0, lost: 0, refused: 0 }
    }

    fn say(&mut self, from: usize) {
        let text = self.sent.to_be_bytes();
        self.sent += 1;
        let message = self.sides[from].say(&text);
        self.ways[from].post.push(Post { message, text });
    }

    fn deliver(&mut self, from: usize, place: usize, rng: &mut Steady) {
        let post = self.ways[from].post.remove(place);
        assert_eq!(self.sides[1 - from].read(&post.message, rng).as_deref(), Ok(post.text.as_slice()));
        assert!(self.read.insert(post.text), "nothing is read twice");
        self.ways[from].came.push(post);
    }

    /// Someone replays a delivered message.
    fn repeat(&mut self, from: usize, rng: &mut Steady) {
        let count = self.ways[from].came.len();
        if count == 0 {
            return;
        }
        let post = &self.ways[from].came[rng.below(count)];
        let before = self.sides[1 - from].session.as_ref().map(Session::to_bytes);
        let error = self.sides[1 - from].look(&post.message, rng).unwrap_err();
        let usual = [ReceiveError::Replayed, ReceiveError::Forged];
        let is_used = matches!(error, ReceiveError::UsedPrekey(_));
        assert!(usual.contains(&error) || is_used, "{error}");
        assert_eq!(self.sides[1 - from].session.as_ref().map(Session::to_bytes), before);
        self.refused += 1;
    }

    fn step(&mut self, rng: &mut Steady) {
        let from = rng.below(2);
        match rng.below(100) {
            0..45 => self.say(from),
            // Most come in order, some do not.
            45..90 => {
                let waiting = self.ways[from].post.len();
                if waiting > 0 {
                    let place = if rng.happens(70) { 0 } else { rng.below(waiting) };
                    self.deliver(from, place, rng);
                }
            }
            90..96 => self.repeat(from, rng),
            96..98 => self.sides[from].restart(),
            _ => {
                let waiting = self.ways[from].post.len();
                if waiting > 0 {
                    let place = rng.below(waiting);
                    self.ways[from].post.remove(place);
                    self.lost += 1;
                }
            }
        }
    }

    fn finish(&mut self, rng: &mut Steady) {
        for from in [0, 1] {
            while !self.ways[from].post.is_empty() {
                self.deliver(from, 0, rng);
            }
        }
    }
}

#[test]
fn ten_thousand_messages_lost_repeated_and_out_of_order() {
    for (version, seed) in [(Version::Axolotl, 1), (Version::Omemo2, 2)] {
        let mut rng = Steady::new(seed);
        let (one, other) = acquainted(version, &mut rng);
        let mut talk = Talk::between(one, other);
        while talk.sent < 10_000 {
            talk.step(&mut rng);
        }
        talk.finish(&mut rng);
        assert_eq!(talk.read.len() + talk.lost, 10_000, "all that was not lost was read");
        assert!(talk.lost > 300 && talk.refused > 1_000, "{} {}", talk.lost, talk.refused);
    }
}

#[test]
fn both_may_start_at_once() {
    for (version, seed) in (0..40).flat_map(|seed| Version::ALL.map(|version| (version, seed))) {
        let mut rng = Steady::new(1_000 + seed);
        let (mut one, mut other) = (Side::new(version, &mut rng), Side::new(version, &mut rng));
        one.start(&other, &mut rng);
        other.start(&one, &mut rng);
        let mut talk = Talk::between(one, other);
        for _ in 0..rng.below(4) {
            talk.say(0);
        }
        talk.say(0);
        talk.say(1);
        for _ in 0..60 {
            talk.step(&mut rng);
        }
        talk.finish(&mut rng);
        // Each side has received a message of the other, and one answer in each direction settles it.
        for from in [0, 1, 0, 1] {
            talk.say(from);
            talk.finish(&mut rng);
        }
        talk.say(0);
        assert!(!talk.ways[0].post[0].message.prekey);
        talk.finish(&mut rng);
        assert_eq!(talk.read.len() + talk.lost, usize::try_from(talk.sent).unwrap());
    }
}

#[test]
fn sessions_may_be_started_again_and_again() {
    for version in Version::ALL {
        let mut rng = Steady::new(3);
        let (one, other) = acquainted(version, &mut rng);
        let mut talk = Talk::between(one, other);
        for round in 0..60 {
            let [one, other] = &mut talk.sides;
            let (starts, with) = if rng.happens(50) { (one, other) } else { (other, one) };
            // A side that lost its state begins without its former sessions.
            if round % 7 == 6 {
                starts.session = None;
                talk.ways.iter_mut().for_each(|way| way.post.clear());
                talk.read.clear();
            }
            starts.start(with, &mut rng);
            let from = usize::from(!talk.sides[0].session.as_ref().unwrap().is_unanswered());
            talk.say(from);
            talk.finish(&mut rng);
            talk.say(1 - from);
            for _ in 0..6 {
                talk.step(&mut rng);
            }
            talk.finish(&mut rng);
        }
        assert!(talk.sides.iter().all(|side| side.session.as_ref().unwrap().to_bytes().len() < limits::SESSION_BYTES));
    }
}

#[test]
fn two_thousand_may_be_missing_and_their_keys_are_kept_in_all() {
    for version in Version::ALL {
        let mut rng = Steady::new(4);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let all: Vec<_> = (0..=limits::SKIPPED_KEYS).map(|_| one.say(b"in a row")).collect();
        assert!(other.read(&all[limits::SKIPPED_KEYS], &mut rng).is_ok());
        assert_eq!(other.session.as_ref().unwrap().kept(), limits::SKIPPED_KEYS);
        assert!(other.read(&all[0], &mut rng).is_ok() && other.read(&all[1_999], &mut rng).is_ok());
        other.restart();

        // The next chain takes the places of the oldest. Two were read, so four exceed the limit: the length may be that of libsignal.
        let answer = other.say(b"answer");
        one.read(&answer, &mut rng).unwrap();
        let next: Vec<_> = (0..6).map(|_| one.say(b"after that")).collect();
        other.read(&next[5], &mut rng).unwrap();
        assert_eq!(other.session.as_ref().unwrap().kept(), limits::SKIPPED_KEYS);
        assert_eq!(other.look(&all[1], &mut rng).unwrap_err(), ReceiveError::Replayed, "its key was given up");
        assert!(other.read(&all[5], &mut rng).is_ok());
        assert!(next[..5].iter().all(|message| other.read(message, &mut rng).is_ok()));
    }
}

#[test]
fn more_missing_than_two_thousand_are_refused_until_there_is_a_new_session() {
    for version in Version::ALL {
        let mut rng = Steady::new(5);
        let (mut one, mut other) = acquainted(version, &mut rng);
        (0..2_001).for_each(|_| drop(one.say(b"lost")));
        let last = one.say(b"last");
        let error = other.look(&last, &mut rng).unwrap_err();
        assert_eq!(error, ReceiveError::TooFar { missing: 2_001 });
        assert!(error.may_heal());
        other.start(&one, &mut rng);
        let anew = other.say(b"anew");
        assert_eq!(one.read(&anew, &mut rng).unwrap(), b"anew");
        let answer = one.say(b"answer");
        assert_eq!(other.read(&answer, &mut rng).unwrap(), b"answer");
        assert!(!other.session.unwrap().is_unanswered());
    }
}

#[test]
fn a_stanza_causes_no_more_work_than_its_share_before_it_is_genuine() {
    for version in Version::ALL {
        let mut rng = Steady::new(33);
        let (mut one, mut other) = acquainted(version, &mut rng);
        (0..limits::SKIPPED_KEYS).for_each(|_| drop(one.say(b"lost")));
        let genuine = one.say(b"last");
        let mut forged = genuine.clone();
        *forged.bytes.last_mut().unwrap() ^= 1;
        let mut effort = Effort::of_one_stanza();
        let by = (version, Prekeys::Fresh);
        let mut look =
            || receive(&other.device, other.session.as_ref(), by, &forged, &mut effort, &mut rng).unwrap_err();
        let missing = u32::try_from(limits::SKIPPED_KEYS).unwrap();
        let too_far = ReceiveError::TooFar { missing };
        assert_eq!([look(), look(), look()], [ReceiveError::Forged, ReceiveError::Forged, too_far]);
        assert_eq!(other.read(&genuine, &mut rng).unwrap(), b"last", "another stanza has a share of its own");
    }
}

#[test]
fn many_messages_without_an_answer_ask_for_one() {
    for version in Version::ALL {
        let mut rng = Steady::new(6);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let mut wants = |one: &mut Side, other: &mut Side, lost: u32| {
            (0..lost).for_each(|_| drop(one.say(b"lost")));
            let (message, before) = (one.say(b"again"), other.session.clone());
            other.read(&message, &mut rng).unwrap();
            other.session.as_ref().unwrap().wants_answer(before.as_ref())
        };
        let many = limits::UNANSWERED_MESSAGES;
        // One for each so many, also if the answers are not read.
        for count in 1..=2 * many + 2 {
            assert_eq!(wants(&mut one, &mut other, 0), count % many == 0, "{count}");
        }
        let answer = other.say(b"");
        one.read(&answer, &mut Steady::new(8)).unwrap();
        // With new keys, the messages are counted anew.
        assert!(!wants(&mut one, &mut other, 0));
        assert!(wants(&mut one, &mut other, many) && !wants(&mut one, &mut other, 0));
        // The first messages with new keys are missing: their keys had come before, or had not.
        let answer = other.say(b"");
        one.read(&answer, &mut Steady::new(9)).unwrap();
        assert!(wants(&mut one, &mut other, many));
    }
}

/// Clients with libsignal repeat an exchange until it is answered, and Kaidan marks only the first one.
#[test]
fn an_exchange_that_is_not_marked_as_one_is_read() {
    for version in Version::ALL {
        let mut rng = Steady::new(37);
        let (mut one, mut other) = (Side::new(version, &mut rng), Side::new(version, &mut rng));
        one.start(&other, &mut rng);
        for text in [b"first", b"again"] {
            let message = one.say(text);
            assert!(message.prekey);
            let unmarked = KeyMessage { prekey: false, ..message };
            assert_eq!(other.read(&unmarked, &mut rng).unwrap(), text);
        }
        let answer = other.say(b"answer");
        assert_eq!(one.read(&answer, &mut rng).unwrap(), b"answer");
        let next = one.say(b"next");
        assert!(!next.prekey);
        assert_eq!(other.read(&next, &mut rng).unwrap(), b"next");
    }
}

/// Converse publishes a prekey with this id, and cannot read a message by it.
#[test]
fn a_prekey_without_a_number_is_the_last_choice() {
    for version in Version::ALL {
        let mut rng = Steady::new(40);
        let (one, other) = (Side::new(version, &mut rng), Side::new(version, &mut rng));
        let mut parts = other.device.bundle(version).parts();
        (parts.prekeys[0].0, parts.prekeys[1].0) = (0, 7);
        for (count, id) in [(2, 7), (1, 0)] {
            parts.prekeys.truncate(count);
            let bundle = Bundle::parse(version, &parts).unwrap();
            for _ in 0..16 {
                let mut session = start(&one.device, &bundle, &mut rng).unwrap();
                let message = session.encrypt(b"text").unwrap();
                assert_eq!(wire::decode_exchange(version, &message.bytes).unwrap().prekey, id);
            }
        }
    }
}

/// A message may turn out to be too long, or need further keys. Its key is then free for the next one.
#[test]
fn a_session_goes_on_only_with_the_step_of_a_message() {
    for version in Version::ALL {
        let mut rng = Steady::new(47);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let session = one.session.as_mut().unwrap();
        let before = session.to_bytes();
        let (given_up, _) = session.seal(b"text").unwrap();
        assert!(session.to_bytes() == before);
        let (message, step) = session.seal(b"text").unwrap();
        assert_eq!(message, given_up);
        session.take(step);
        assert!(session.to_bytes() != before);
        let next = session.encrypt(b"text").unwrap();
        assert_ne!(next, message, "no key is used twice");
        for message in [message, next] {
            assert_eq!(other.read(&message, &mut rng).unwrap(), b"text");
        }
    }
}

/// A message without the numbers and keys of an exchange cannot be one.
#[test]
fn a_message_that_is_marked_as_an_exchange_by_mistake_is_read() {
    for version in Version::ALL {
        let mut rng = Steady::new(41);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let message = one.say(b"text");
        assert!(!message.prekey);
        let marked = KeyMessage { prekey: true, ..message };
        assert_eq!(other.read(&marked, &mut rng).unwrap(), b"text");
    }
}

#[test]
fn an_exchange_is_sent_until_it_is_answered() {
    for version in Version::ALL {
        let mut rng = Steady::new(7);
        let (mut one, mut other) = (Side::new(version, &mut rng), Side::new(version, &mut rng));
        one.start(&other, &mut rng);
        let messages: Vec<_> = (0..4).map(|_| one.say(b"hello")).collect();
        assert!(messages.iter().all(|message| message.prekey));
        // The first is lost, the others come the wrong way round.
        let received = other.look(&messages[3], &mut rng).unwrap();
        assert!(received.used_prekey.is_some());
        assert_eq!(received.new_identity, Some(one.device.fingerprint()));
        other.read(&messages[3], &mut rng).unwrap();
        let received = other.look(&messages[1], &mut rng).unwrap();
        assert!(received.used_prekey.is_none() && received.new_identity.is_none());
        other.read(&messages[1], &mut rng).unwrap();
        let answer = other.say(b"answer");
        assert!(!answer.prekey);
        one.read(&answer, &mut rng).unwrap();
        assert!(!one.say(b"well").prekey);
        assert_ne!(rng.next_u64(), rng.next_u64());
    }
}

/// The first answer may have been refused or lost.
#[test]
fn a_session_wants_an_answer_until_something_was_sent_by_it() {
    for version in Version::ALL {
        let mut rng = Steady::new(38);
        let (mut one, mut other) = (Side::new(version, &mut rng), Side::new(version, &mut rng));
        one.start(&other, &mut rng);
        let mut wants = |one: &mut Side, other: &mut Side| {
            let (message, before) = (one.say(b"hello"), other.session.clone());
            other.read(&message, &mut rng).unwrap();
            other.session.as_ref().unwrap().wants_answer(before.as_ref())
        };
        assert!(wants(&mut one, &mut other) && wants(&mut one, &mut other), "{version}");
        other.restart();
        assert!(wants(&mut one, &mut other), "{version}");
        assert!(!wants(&mut other, &mut one), "an answer needs none");
        assert!(!wants(&mut one, &mut other), "{version}");
        other.restart();
        assert!(!wants(&mut one, &mut other), "{version}");
    }
}

/// A sender like libsignal says one less than the chain before had messages, and the last of them may come late. So does libomemo-c, which
/// Kaidan has, in both versions.
#[test]
fn the_last_message_of_a_chain_may_be_late_whatever_length_is_said() {
    for (version, came, says_less) in
        Version::ALL.into_iter().flat_map(|version| [(version, 1, false), (version, 1, true), (version, 2, true)])
    {
        let mut rng = Steady::new(8);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let all: Vec<_> = (0..3).map(|_| one.say(b"in a row")).collect();
        let (in_time, late) = all.split_at(came);
        // The chain is known before it ends: otherwise a key for each of its messages would be in the next one.
        assert!(in_time.iter().all(|message| other.read(message, &mut rng).is_ok()), "{version}");
        let answer = other.say(b"answer");
        one.read(&answer, &mut rng).unwrap();
        if says_less {
            one.session.as_mut().unwrap().say_less();
        }
        let next = one.say(b"next");
        other.read(&next, &mut rng).unwrap();
        assert!(late.iter().all(|message| other.read(message, &mut rng).is_ok()), "{version} {came} {says_less}");
        assert!(all.iter().all(|message| other.look(message, &mut rng).is_err()), "{version}");
    }
}

/// Guesses about sent messages take no places from real ones.
#[test]
fn talking_for_long_keeps_few_guessed_keys() {
    for version in Version::ALL {
        let mut rng = Steady::new(9);
        let (mut one, mut other) = acquainted(version, &mut rng);
        for _ in 0..50 {
            let message = one.say(b"ping");
            other.read(&message, &mut rng).unwrap();
            let message = other.say(b"pong");
            one.read(&message, &mut rng).unwrap();
        }
        assert_eq!(one.session.unwrap().kept(), limits::GUESSED_KEYS, "{version}");
    }
}
