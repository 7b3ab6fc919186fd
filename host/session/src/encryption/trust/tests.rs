//! Keys of others: which count, how many are known, and what decisions do.

use super::*;

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

fn meet(book: &mut TrustBook, device: u32, fingerprint: &str, policy: TrustPolicy) -> Met {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(i64::from(device));
    book.meet(&jid("a@b"), KeyKind::Omemo { device }, fingerprint.to_owned(), policy, now)
}

#[test]
fn before_one_was_verified_each_key_is_trusted_and_none_after_that() {
    let mut book = TrustBook::default();
    let first = meet(&mut book, 1, "11", TrustPolicy::Blind);
    assert_eq!((first.trust, first.is_new, first.is_of_known_person), (DeviceTrust::Blind, true, false));
    let again = meet(&mut book, 1, "11", TrustPolicy::Blind);
    assert_eq!((again.is_new, again.changed), (false, None));
    assert_eq!(meet(&mut book, 1, "11", TrustPolicy::Strict).trust, DeviceTrust::Undecided);
    assert_eq!(book.decide(&jid("a@b"), Some("11"), DeviceTrust::Trusted).len(), 1);
    let second = meet(&mut book, 2, "22", TrustPolicy::Blind);
    assert_eq!((second.trust, second.is_of_known_person), (DeviceTrust::Undecided, true));
    assert!(book.is_refused(&jid("a@b"), 2, TrustPolicy::Blind));
    assert!(!book.is_refused(&jid("a@b"), 1, TrustPolicy::Strict));
    // Another key of the same device does not replace a verified one.
    meet(&mut book, 1, "33", TrustPolicy::Blind);
    assert_eq!(book.of_device(&jid("a@b"), 1).map(|key| key.fingerprint.as_str()), Some("11"));
}

#[test]
fn only_so_many_keys_of_a_person_are_known_and_decisions_stay() {
    let mut book = TrustBook::default();
    meet(&mut book, 1, "kept", TrustPolicy::Blind);
    book.decide(&jid("a@b"), Some("kept"), DeviceTrust::Distrusted);
    for device in 2..1_000 {
        meet(&mut book, device, &device.to_string(), TrustPolicy::Blind);
    }
    assert_eq!(book.len(), MAX_KEYS);
    assert!(book.is_refused(&jid("a@b"), 1, TrustPolicy::Blind));
}

#[test]
fn so_many_keys_of_all_people_are_known_and_the_oldest_make_room() {
    let (mut book, who) = (TrustBook::default(), |number: usize| jid(&format!("p{number}@b")));
    let policy = TrustPolicy::Blind;
    let meet = |book: &mut TrustBook, number: usize, key: usize| {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(number * 100 + key).unwrap());
        let kind = KeyKind::Omemo { device: u32::try_from(key).unwrap() + 1 };
        book.meet(&who(number), kind, format!("{number} {key}"), policy, now)
    };
    for number in 0..MAX_ALL / 100 {
        for key in 0..100 {
            assert!(meet(&mut book, number, key).forgotten.is_empty());
        }
    }
    book.decide(&who(0), None, DeviceTrust::Trusted);
    let last = meet(&mut book, MAX_ALL, 0);
    assert!(last.is_new && last.trust == DeviceTrust::Blind);
    assert_eq!((last.forgotten.len(), book.len()), (AT_ONCE, MAX_ALL - AT_ONCE + 1));
    let whose = |number: usize| book.of(&who(number)).len();
    assert_eq!((whose(0), whose(1), whose(AT_ONCE / 100), whose(AT_ONCE / 100 + 1)), (100, 0, 0, 100));
    // An undecided key is dropped before blindly trusted ones, however new it is.
    book.decide(&who(77), Some("77 7"), DeviceTrust::Undecided);
    assert_eq!(book.forget_oldest().iter().filter(|key| key.fingerprint == "77 7").count(), 1);
}

#[test]
fn where_the_owner_decided_about_all_keys_no_further_one_counts() {
    let mut book = TrustBook::default();
    let now = Timestamp::UNIX_EPOCH;
    let of = |number: usize| KnownKey {
        jid: jid(&format!("p{}@b", number / 100)),
        kind: KeyKind::Omemo { device: u32::try_from(number).unwrap() + 1 },
        fingerprint: number.to_string(),
        label: None,
        trust: DeviceTrust::Distrusted,
        first_seen: now,
        last_seen: now,
        is_listed: false,
    };
    book.load((0..MAX_ALL + 5).map(of).collect());
    assert_eq!((book.len(), book.is_full()), (MAX_ALL, true));
    let met = meet(&mut book, 1, "new", TrustPolicy::Blind);
    assert_eq!((met.trust, met.changed, book.len()), (DeviceTrust::Undecided, None, MAX_ALL));
    book.forget(&jid("p0@b"));
    assert!(!book.is_full());
    assert_eq!(meet(&mut book, 1, "new", TrustPolicy::Blind).trust, DeviceTrust::Blind);
}

#[test]
fn a_distrusted_key_is_refused_under_other_ids_as_well() {
    let (mut book, romeo) = (TrustBook::default(), jid("a@b"));
    meet(&mut book, 1, "11", TrustPolicy::Blind);
    meet(&mut book, 1_001, "22", TrustPolicy::Blind);
    book.decide(&romeo, Some("11"), DeviceTrust::Distrusted);
    for device in 2..1_000 {
        assert_eq!(meet(&mut book, device, "11", TrustPolicy::Blind).trust, DeviceTrust::Undecided);
        assert!(book.is_refused(&romeo, device, TrustPolicy::Blind));
    }
    assert_eq!(book.of(&romeo).len(), MAX_KEYS);
    assert_eq!(meet(&mut book, 1_000, "33", TrustPolicy::Blind).trust, DeviceTrust::Blind);
}

#[test]
fn new_keys_of_somebody_whose_keys_are_all_distrusted_wait_for_the_owner() {
    let (mut book, romeo) = (TrustBook::default(), jid("a@b"));
    for device in [1, 2] {
        meet(&mut book, device, &device.to_string(), TrustPolicy::Blind);
    }
    book.decide(&romeo, Some("1"), DeviceTrust::Distrusted);
    assert_eq!(meet(&mut book, 3, "3", TrustPolicy::Blind).trust, DeviceTrust::Blind, "a key was lost, no more");
    book.decide(&romeo, None, DeviceTrust::Distrusted);
    // Also after a restart, and for further ones.
    let mut after = TrustBook::default();
    after.load(book.all().cloned().collect());
    for device in 4..200 {
        assert_eq!(meet(&mut after, device, &device.to_string(), TrustPolicy::Blind).trust, DeviceTrust::Undecided);
    }
    let otr = after.meet(&romeo, KeyKind::Otr, "5".to_owned(), TrustPolicy::Blind, Timestamp::UNIX_EPOCH);
    assert_eq!(otr.trust, DeviceTrust::Undecided);
    let key = after.of(&romeo).iter().find(|key| key.trust == DeviceTrust::Undecided).unwrap().fingerprint.clone();
    after.decide(&romeo, Some(&key), DeviceTrust::Blind);
    assert_eq!(meet(&mut after, 200, "200", TrustPolicy::Blind).trust, DeviceTrust::Blind, "the owner says so");
    after.forget(&romeo);
    assert_eq!(meet(&mut after, 201, "201", TrustPolicy::Blind).trust, DeviceTrust::Blind);
}

#[test]
fn what_counts_for_a_session_is_its_own_key() {
    let (mut book, romeo) = (TrustBook::default(), jid("a@b"));
    meet(&mut book, 1, "real", TrustPolicy::Blind);
    meet(&mut book, 1, "swapped", TrustPolicy::Blind);
    let gets = |book: &TrustBook, key: &str| book.may_get(&romeo, 1, key, TrustPolicy::Blind);
    assert!(gets(&book, "real") && gets(&book, "swapped") && !gets(&book, "forgotten"));
    assert!(
        !book.may_get(&romeo, 1, "real", TrustPolicy::Strict) && !book.may_get(&romeo, 2, "real", TrustPolicy::Blind)
    );
    book.decide(&romeo, Some("real"), DeviceTrust::Trusted);
    assert!(gets(&book, "real") && !gets(&book, "swapped"));
    book.decide(&romeo, None, DeviceTrust::Distrusted);
    assert!(!gets(&book, "real") && !gets(&book, "swapped"));
}

#[test]
fn a_fingerprint_is_read_as_people_write_it() {
    assert_eq!(grouped("0123456789abcdef"), "01234567 89abcdef");
    assert_eq!(typed(" 01234567 89ABCDEF"), "0123456789abcdef");
    assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
}

/// A person's server could list one device with ever new keys, and push the list without end.
#[test]
fn the_label_of_a_device_is_compared_with_few_of_its_keys() {
    let (mut book, romeo) = (TrustBook::default(), jid("a@b"));
    let devices: Vec<_> = (0..=MOST_LABELLED).map(|_| omemo::Device::generate(&mut rand::rng(), 0)).collect();
    for (hour, device) in devices.iter().enumerate() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(i64::try_from(hour).unwrap());
        let fingerprint = of_omemo(device.fingerprint());
        book.meet(&romeo, KeyKind::Omemo { device: 7 }, fingerprint, TrustPolicy::Blind, now);
    }
    let labelled = |book: &mut TrustBook, device: &omemo::Device| {
        let signature = device.sign_label("phone", &mut rand::rng());
        book.label(&romeo, 7, Some(&DeviceLabel { text: "phone".to_owned(), signature })).len()
    };
    let (oldest, newest) = (&devices[0], &devices[MOST_LABELLED]);
    assert_eq!((labelled(&mut book, oldest), labelled(&mut book, newest)), (0, 1));
    book.label(&romeo, 7, None);
    book.decide(&romeo, Some(&of_omemo(oldest.fingerprint())), DeviceTrust::Trusted);
    assert_eq!(labelled(&mut book, oldest), 1, "a verified key is always compared");
}
