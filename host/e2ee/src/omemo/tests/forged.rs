//! Bundles and messages that somebody changed or made up, and states after them.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    Bundle, BundleError, BundleParts, Device, DeviceId, Exchanged, Fingerprint, Keep, KeyMessage, Prekeys,
    ReceiveError, Session, StartError, Version, keys, limits, start,
};
use super::{Side, Steady, acquainted};

/// The keys of low order in all forms, as they are known: five points and their forms that are not reduced.
fn low_order() -> Vec<[u8; 32]> {
    let of = |first: u8, middle: u8, last: u8| {
        let mut key = [middle; 32];
        (key[0], key[31]) = (first, last);
        key
    };
    let point = |digits| <[u8; 32]>::try_from(hex::decode(digits).unwrap()).unwrap();
    vec![
        of(0, 0, 0),
        of(1, 0, 0),
        of(0xEC, 0xFF, 0x7F),
        of(0xED, 0xFF, 0x7F),
        of(0xEE, 0xFF, 0x7F),
        of(0, 0, 0x80),
        of(0xEC, 0xFF, 0xFF),
        point("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        point("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ]
}

#[test]
fn keys_of_low_order_are_known_as_such() {
    let mut rng = Steady::new(20);
    let pair = keys::KeyPair::generate(&mut rng);
    for key in low_order() {
        assert!(keys::is_low_order(&key), "{}", hex::encode(key));
        assert_eq!(keys::is_canonical(&key), key[31] < 0x7F || key[31] == 0x7F && key[0] < 0xED);
        assert!(pair.agree(&key).is_err(), "{}", hex::encode(key));
    }
    for _ in 0..100 {
        let other = keys::KeyPair::generate(&mut rng);
        assert!(!keys::is_low_order(other.public()) && keys::is_canonical(other.public()));
        assert_eq!(pair.agree(other.public()), other.agree(pair.public()));
    }
}

#[test]
fn signatures_are_those_of_one_key_over_one_text() {
    let mut rng = Steady::new(21);
    for _ in 0..50 {
        let identity = keys::Identity::new(keys::KeyPair::generate(&mut rng));
        let (one, other) = (identity.sign(b"text", &mut rng), identity.sign(b"text", &mut rng));
        assert_ne!(one, other, "each has a nonce of its own");
        assert!(one[63] & 0xE0 == 0 && identity.ed25519()[31] & 0x80 == 0);
        assert_eq!(keys::to_ed25519(identity.pair().public(), false).as_ref(), Some(identity.ed25519()));
        assert_eq!(keys::to_curve25519(identity.ed25519()).as_ref(), Some(identity.pair().public()));
        assert!(
            keys::is_signed(identity.ed25519(), b"text", &one) && keys::is_signed(identity.ed25519(), b"text", &other)
        );
        assert!(!keys::is_signed(identity.ed25519(), b"texts", &one));
        for bit in [0, 100, 255, 256, 400, 511] {
            let mut changed = one;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys::is_signed(identity.ed25519(), b"text", &changed), "{bit}");
        }
    }
}

/// Changes a bundle, and returns the result of checking it.
fn refused(version: Version, change: impl Fn(&mut BundleParts)) -> BundleError {
    let device = Device::generate(&mut Steady::new(22), 0);
    let mut parts = device.bundle(version).parts();
    assert_eq!(Bundle::parse(version, &parts).unwrap(), device.bundle(version));
    change(&mut parts);
    Bundle::parse(version, &parts).unwrap_err()
}

#[test]
fn changed_bundles_are_refused() {
    use BundleError::{LowOrderKey, Malformed, NoPrekeys, SamePrekey, WrongSignature};
    for version in Version::ALL {
        assert_eq!(refused(version, |parts| parts.signature[5] ^= 1), WrongSignature);
        assert_eq!(refused(version, |parts| parts.signature[63] ^= 0x80), WrongSignature);
        assert_eq!(refused(version, |parts| parts.signature[40] ^= 0x80), WrongSignature);
        assert_eq!(refused(version, |parts| parts.signature.truncate(63)), Malformed("signature"));
        assert_eq!(refused(version, |parts| parts.signed_prekey[7] ^= 1), WrongSignature);
        assert_eq!(refused(version, |parts| parts.signed_prekey.truncate(31)), Malformed("signed prekey"));
        assert_eq!(refused(version, |parts| parts.identity_key.push(0)), Malformed("identity key"));
        let cut = |parts: &mut BundleParts| parts.prekeys.iter_mut().for_each(|(_, key)| key.truncate(31));
        assert_eq!(refused(version, cut), Malformed("prekey"));
        assert_eq!(refused(version, |parts| parts.prekeys.clear()), NoPrekeys);
        assert_eq!(refused(version, |parts| parts.prekeys[9].0 = 1), SamePrekey(1));
        let start = parts_of_key(version);
        for low in low_order() {
            // A form that is not the usual one is refused as such.
            let say = if keys::is_canonical(&low) { LowOrderKey } else { Malformed };
            let error = refused(version, |parts| {
                parts.prekeys.truncate(1);
                parts.prekeys[0].1[start..].copy_from_slice(&low);
            });
            assert_eq!(error, say("prekey"));
            let error = refused(version, |parts| parts.signed_prekey[start..].copy_from_slice(&low));
            assert_eq!(error, say("signed prekey"));
        }
    }
    assert_eq!(refused(Version::Axolotl, |parts| parts.signed_prekey[0] = 6), Malformed("signed prekey"));
    // Another identity key, with the rest unchanged.
    let other = Device::generate(&mut Steady::new(23), 0);
    for version in Version::ALL {
        let key = other.bundle(version).parts().identity_key;
        assert_eq!(refused(version, |parts| parts.identity_key.clone_from(&key)), WrongSignature);
    }
}

/// People can write to a client whose bundle has damaged prekeys: a session takes one of the others.
#[test]
fn a_damaged_prekey_costs_no_other() {
    for version in Version::ALL {
        let device = Device::generate(&mut Steady::new(37), 0);
        let mut parts = device.bundle(version).parts();
        parts.prekeys[3].1.clear();
        parts.prekeys[50].1.truncate(31);
        parts.prekeys[99].1.push(0);
        let bundle = Bundle::parse(version, &parts).unwrap();
        let mut expected = device.bundle(version).prekeys;
        for damaged in [99, 50, 3] {
            expected.remove(damaged);
        }
        assert_eq!(bundle.prekeys, expected);
    }
}

/// People can write to a client that publishes more prekeys than are read: a session takes one of the first.
#[test]
fn a_bundle_with_many_prekeys_is_read_in_part() {
    for version in Version::ALL {
        let device = Device::generate(&mut Steady::new(38), 0);
        let mut parts = device.bundle(version).parts();
        let own = parts.prekeys.clone();
        for (id, (_, key)) in (1..=1_000).zip(own.iter().cycle()) {
            parts.prekeys.push((1_000 + id, key.clone()));
        }
        // One behind those that are read changes nothing.
        parts.prekeys.push((1, Vec::new()));
        let bundle = Bundle::parse(version, &parts).unwrap();
        let (read, published) = (bundle.parts().prekeys, &parts.prekeys[..limits::FOREIGN_PREKEYS]);
        assert_eq!(read, published, "{version}");
    }
}

#[test]
fn identity_keys_of_low_order_sign_nothing() {
    for low in low_order() {
        let error = refused(Version::Axolotl, |parts| parts.identity_key[1..].copy_from_slice(&low));
        let say = if keys::is_canonical(&low) { BundleError::LowOrderKey } else { BundleError::Malformed };
        assert_eq!(error, say("identity key"));
    }
    // The neutral point, and the points of order 2 and 4, as keys of Ed25519.
    for (first, middle, last) in [(1, 0, 0), (0xEC, 0xFF, 0x7F), (0, 0, 0), (0, 0, 0x80)] {
        let mut key = [middle; 32];
        (key[0], key[31]) = (first, last);
        let error = refused(Version::Omemo2, |parts| parts.identity_key.copy_from_slice(&key));
        assert_eq!(error, BundleError::LowOrderKey("identity key"));
    }
    let error = refused(Version::Omemo2, |parts| parts.identity_key.copy_from_slice(&[2; 32]));
    assert!(matches!(error, BundleError::Malformed(_) | BundleError::WrongSignature), "{error}");
}

fn parts_of_key(version: Version) -> usize {
    usize::from(version == Version::Axolotl)
}

#[test]
fn a_device_has_no_session_with_itself() {
    for version in Version::ALL {
        let mut rng = Steady::new(24);
        let mut side = Side::new(version, &mut rng);
        let bundle = side.device.bundle(version);
        assert_eq!(start(&side.device, &bundle, &mut rng).unwrap_err(), StartError::OwnDevice);
        // Somebody sends our own exchange back.
        let other = Side::new(version, &mut rng);
        side.start(&other, &mut rng);
        let message = side.say(b"hello");
        assert_eq!(side.look(&message, &mut rng).unwrap_err(), ReceiveError::OwnDevice);
    }
}

#[test]
fn ids_of_devices_are_neither_zero_nor_too_large() {
    assert_eq!(DeviceId::new(0), None);
    assert_eq!(DeviceId::new(1 << 31), None);
    assert_eq!(DeviceId::new((1 << 31) - 1).map(DeviceId::get), Some(2_147_483_647));
    for text in ["0", "", "-1", "+1", " 1", "2147483648", "00000000001", "99999999999999999999", "1.0", "١"] {
        assert!(text.parse::<DeviceId>().is_err(), "{text}");
    }
    assert_eq!("31415".parse(), Ok(DeviceId::new(31_415).unwrap()));
    let mut rng = Steady::new(25);
    let ids: Vec<_> = (0..1_000).map(|_| DeviceId::random(&mut rng)).collect();
    assert!(ids.iter().any(|id| id.get() > 1 << 30) && ids.iter().any(|id| id.get() < 1 << 30));
}

/// Returns the first message of somebody new who starts a session by a bundle.
fn exchange_by(version: Version, bundle: &Bundle, rng: &mut Steady) -> KeyMessage {
    let side = Side::new(version, rng);
    start(&side.device, bundle, rng).unwrap().encrypt(b"hello").unwrap()
}

#[test]
fn a_prekey_starts_one_session() {
    for version in Version::ALL {
        let mut rng = Steady::new(26);
        let mut target = Side::new(version, &mut rng);
        let mut bundle = target.device.bundle(version);
        bundle.prekeys.truncate(1);
        let id = bundle.prekeys[0].0;
        let mut exchange = || exchange_by(version, &bundle, &mut rng);
        let [first, second, third] = [exchange(), exchange(), exchange()];
        let mut rng = Steady::new(27);

        let mut at_once = Side { version, device: target.device.clone(), session: None };
        assert!(at_once.device.use_prekey(id, Keep::No));
        assert_eq!(at_once.look_archived(&second, &mut rng).unwrap_err(), ReceiveError::UsedPrekey(id));

        // While an archive is read, a second one may have taken the same.
        let used = target.look(&first, &mut rng).unwrap().used_prekey;
        assert_eq!(used.map(|(id, _)| id), Some(id));
        assert!(target.device.use_prekey(id, Keep::UntilCaughtUp));
        assert!(
            target.device.bundle(version).prekeys.iter().all(|(one, _)| *one != id)
                && target.device.needs_new_prekeys()
        );
        assert!(target.look_archived(&second, &mut rng).is_ok());
        assert_eq!(target.look(&second, &mut rng).unwrap_err(), ReceiveError::UsedPrekey(id), "it came live");
        assert_eq!(target.device.forget_used_prekeys(), 1);
        for message in [&first, &second, &third] {
            assert_eq!(target.look_archived(message, &mut rng).unwrap_err(), ReceiveError::UsedPrekey(id));
        }
        assert!(ReceiveError::UsedPrekey(id).may_heal());
        // No id is given twice.
        assert_eq!(target.device.refill(&mut rng), 1);
        assert_eq!(target.device.bundle(version).prekeys.last().unwrap().0, 101);
        assert_eq!(target.look(&first, &mut rng).unwrap_err(), ReceiveError::UsedPrekey(id));
        assert!(!target.device.use_prekey(id, Keep::No));
    }
}

#[test]
fn a_prekey_that_was_used_a_moment_ago_starts_sessions_with_others() {
    for version in Version::ALL {
        let mut rng = Steady::new(35);
        let mut target = Side::new(version, &mut rng);
        let mut bundle = target.device.bundle(version);
        bundle.prekeys.truncate(1);
        let mut exchange = || exchange_by(version, &bundle, &mut rng);
        let messages: Vec<_> = (0..=limits::EXCHANGES_OF_A_PREKEY).map(|_| exchange()).collect();
        let mut rng = Steady::new(36);
        let until = Duration::from_secs(9);
        let (last, others) = messages.split_last().unwrap();
        for message in others {
            let (id, by) = target.look(message, &mut rng).unwrap().used_prekey.unwrap();
            target.device.use_prekey(id, Keep::Until(until, by));
            assert_eq!(target.look(message, &mut rng).unwrap_err(), ReceiveError::UsedPrekey(id), "the same again");
        }
        let id = bundle.prekeys[0].0;
        assert_eq!(target.look(last, &mut rng).unwrap_err(), ReceiveError::UsedPrekey(id), "one more than may");

        let mut target = Side::new(version, &mut rng);
        let bundle = target.device.bundle(version);
        let [(id, _), (other, _)] = [bundle.prekeys[0], bundle.prekeys[1]];
        let by = Exchanged([7; 32]);
        target.device.use_prekey(id, Keep::Until(until, by));
        target.device.use_prekey(other, Keep::Until(until + Duration::from_secs(1), by));
        target.device.forget_recent_prekeys(until);
        let another = Exchanged([8; 32]);
        let may_start = |target: &Side, id| target.device.prekey(id, Prekeys::Fresh, another).is_ok();
        assert!(!may_start(&target, id) && may_start(&target, other) && target.device.has_recent_prekeys());
        target.restart();
        assert!(!may_start(&target, other), "no process keeps them for the next one");
    }
}

#[test]
fn signed_prekeys_change_and_the_one_before_is_kept() {
    for version in Version::ALL {
        let mut rng = Steady::new(28);
        let mut target = Side::new(version, &mut rng);
        let side = Side::new(version, &mut rng);
        let week = limits::SIGNED_PREKEY_SECONDS;
        assert!(!target.device.signed_prekey_is_due(week - 1) && target.device.signed_prekey_is_due(week));
        let message = start(&side.device, &target.device.bundle(version), &mut rng).unwrap().encrypt(b"old").unwrap();
        target.device.rotate_signed_prekey(&mut rng, week);
        assert!(!target.device.signed_prekey_is_due(week) && target.device.signed_prekey_is_due(0));
        target.restart();
        assert!(Bundle::parse(version, &target.device.bundle(version).parts()).is_ok());
        assert!(target.look(&message, &mut rng).is_ok());
        target.device.rotate_signed_prekey(&mut rng, 2 * week);
        assert_eq!(target.look(&message, &mut rng).unwrap_err(), ReceiveError::UnknownSignedPrekey(1));
    }
}

#[test]
fn each_changed_bit_of_a_message_is_noticed_and_changes_nothing() {
    for version in Version::ALL {
        let mut rng = Steady::new(29);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let before = other.session.as_ref().unwrap().to_bytes();
        let next = one.say(b"next");
        let answer = other.say(b"answer");
        one.read(&answer, &mut rng).unwrap();
        let mut fresh = Side::new(version, &mut rng);
        fresh.start(&other, &mut rng);
        let exchange = fresh.say(b"hello");
        other.session = Some(Session::from_bytes(&before).unwrap());
        // In libsignal's exchange, the id of the sender's device is not authenticated: six bytes, which are never read.
        let free = if version == Version::Axolotl { 48 } else { 0 };
        let mut unnoticed = 0;
        for message in [next, exchange, one.say(b"turned")] {
            for bit in 0..message.bytes.len() * 8 {
                let mut changed = message.clone();
                changed.bytes[bit / 8] ^= 1 << (bit % 8);
                if let Ok(received) = other.look(&changed, &mut rng) {
                    assert_eq!(received.plain.to_vec(), b"hello", "{version} {bit}");
                    unnoticed += 1;
                }
                assert_eq!(other.session.as_ref().unwrap().to_bytes(), before);
            }
        }
        assert!(unnoticed <= free, "{unnoticed}");
    }
}

#[test]
fn messages_of_another_form_are_refused_by_name() {
    let mut rng = Steady::new(30);
    let (mut one, mut other) = acquainted(Version::Axolotl, &mut rng);
    let good = one.say(b"text");
    let with = |bytes: Vec<u8>, prekey| KeyMessage { prekey, bytes };
    let error = |side: &Side, message| side.look(&message, &mut Steady::new(1)).unwrap_err();
    assert!(matches!(error(&other, with(vec![], false)), ReceiveError::Malformed(_)));
    assert!(matches!(error(&other, with(vec![0x33; 8], false)), ReceiveError::Malformed(_)));
    assert_eq!(error(&other, with(vec![0x33; limits::KEY_MESSAGE_BYTES + 1], false)), ReceiveError::TooLarge);
    assert_eq!(error(&other, with(vec![0x33; limits::KEY_MESSAGE_BYTES + 1], true)), ReceiveError::TooLarge);
    let mut old = good.clone();
    old.bytes[0] = 0x22;
    assert_eq!(error(&other, old), ReceiveError::UnknownVersion(2));
    // A session of the other version, and none.
    other.version = Version::Omemo2;
    assert_eq!(error(&other, good.clone()), ReceiveError::WrongVersion);
    other.version = Version::Axolotl;
    let session = other.session.take();
    assert_eq!(error(&other, good.clone()), ReceiveError::NoSession);
    // After the own keys were replaced, sessions with the old ones count as none.
    other.session = session;
    other.device = Device::generate(&mut rng, 0);
    assert_eq!(error(&other, good), ReceiveError::NoSession);
}

#[test]
fn another_identity_is_told_and_nothing_of_the_old_session_is_kept() {
    for version in Version::ALL {
        let mut rng = Steady::new(31);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let late = one.say(b"late");
        let mut intruder = Side::new(version, &mut rng);
        intruder.start(&other, &mut rng);
        let message = intruder.say(b"it is me");
        let received = other.look(&message, &mut rng).unwrap();
        assert_eq!(received.new_identity, Some(intruder.device.fingerprint()));
        assert_eq!(received.session.fingerprint(), intruder.device.fingerprint());
        // A caller that does not trust it keeps the previous session, which still works.
        assert_eq!(other.session.as_ref().unwrap().fingerprint(), one.device.fingerprint());
        assert_eq!(other.read(&late, &mut rng).unwrap(), b"late");
        other.read(&message, &mut rng).unwrap();
        let further = one.say(b"further");
        assert_eq!(other.look(&further, &mut rng).unwrap_err(), ReceiveError::Forged);
    }
}

#[test]
fn an_exchange_whose_ratchet_was_given_up_is_not_read_again() {
    for version in Version::ALL {
        let mut rng = Steady::new(32);
        let (mut one, mut other) = (Side::new(version, &mut rng), Side::new(version, &mut rng));
        let mut messages = Vec::new();
        for _ in 0..=limits::FORMER_RATCHETS + 1 {
            one.start(&other, &mut rng);
            let message = one.say(b"hello");
            // As while an archive is read: the prekeys are kept.
            let received = other.look(&message, &mut rng).unwrap();
            other.device.use_prekey(received.used_prekey.unwrap().0, Keep::UntilCaughtUp);
            other.session = Some(received.session);
            messages.push(message);
        }
        for message in &messages {
            assert_eq!(other.look(message, &mut rng).unwrap_err(), ReceiveError::Replayed);
        }
    }
}

/// A side with an established session, made once: making it takes longer than reading a message.
fn someone(version: Version) -> &'static Side {
    static ALL: LazyLock<[Side; 2]> =
        LazyLock::new(|| Version::ALL.map(|version| acquainted(version, &mut Steady::new(33)).1));
    &ALL[usize::from(version == Version::Omemo2)]
}

static INTRODUCED: LazyLock<Device> = LazyLock::new(|| Device::generate(&mut Steady::new(34), 0));

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), prekey: bool, first in 0u8..4) {
        for version in Version::ALL {
            let mut rng = Steady::new(33);
            let mut bytes = bytes.clone();
            if let (1.., Some(byte)) = (first, bytes.first_mut()) {
                *byte = [0x33, 0x0A, 0x08][usize::from(first) - 1];
            }
            let message = KeyMessage { prekey, bytes };
            prop_assert!(someone(version).look(&message, &mut rng).is_err());
        }
    }

    #[test]
    fn parts_of_real_messages_are_refused(cut in 0usize..400, at in 0usize..400, put in prop::collection::vec(any::<u8>(), 1..20)) {
        for version in Version::ALL {
            let mut rng = Steady::new(34);
            let (other, bundle) = (someone(version), someone(version).device.bundle(version));
            let message = start(&INTRODUCED, &bundle, &mut rng).unwrap().encrypt(b"hello").unwrap();
            let mut short = message.clone();
            short.bytes.truncate(cut.min(message.bytes.len() - 1));
            prop_assert!(other.look(&short, &mut rng).is_err());
            let mut longer = message.clone();
            let at = at.min(message.bytes.len());
            longer.bytes.splice(at..at, put.clone());
            // Unknown fields may occur between the others.
            let read = other.look(&longer, &mut rng);
            prop_assert!(read.is_err() || read.unwrap().plain.to_vec() == b"hello");
        }
    }
}

/// XEP-0384, section 5.3.1: whoever keeps the list could write any.
#[test]
fn a_label_is_of_the_key_that_signed_it() {
    let mut rng = Steady::new(38);
    let [one, other] = [(); 2].map(|()| Device::generate(&mut rng, 0));
    let signature = one.sign_label("parlor", &mut rng);
    assert!(one.fingerprint().has_signed_label("parlor", &signature));
    // Others check it by the key in the bundle.
    let identity: [u8; 32] = one.bundle(Version::Omemo2).parts().identity_key.try_into().unwrap();
    assert!(keys::is_signed(&identity, b"parlor", &signature));
    assert!(!one.fingerprint().has_signed_label("Parlor", &signature));
    assert!(!other.fingerprint().has_signed_label("parlor", &signature));
    // Keys that another implementation made as ones of Ed25519, with either sign, and its signatures.
    for (sign, (key, signature)) in [
        (
            "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
            "4796348e8e787e12ce657725383698b0d3ea38a74d6f90a0b53b4ec66d7ec261\
             d6d05cc810b9ba407c67551f6e952fcadbd9732c7120e034ba7c9fc0f0229501",
        ),
        (
            "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394",
            "5d3b524c797547de181ace42f3b0b7354449ff63d169ef839fe09adcadd68ecf\
             787306f1032936f289a1cc8f20c41470f66d6eb56ecadbb2cdee8606f736c403",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut public, mut signed) = ([0; 32], [0; 64]);
        hex::decode_to_slice(key, &mut public).unwrap();
        hex::decode_to_slice(signature, &mut signed).unwrap();
        assert_eq!(usize::from(public[31] >> 7), sign);
        let fingerprint = Fingerprint::from_ed25519(&public).unwrap();
        assert!(fingerprint.has_signed_label("Dino on a téléphone", &signed), "{sign}");
        assert!(!fingerprint.has_signed_label("Dino on a telephone", &signed), "{sign}");
    }
}

/// X25519 does not look at the highest bit of a key, so that the same exchange could look like another one.
#[test]
fn an_exchange_has_one_form() {
    for version in Version::ALL {
        let mut rng = Steady::new(35);
        let (mut one, other) = (Side::new(version, &mut rng), Side::new(version, &mut rng));
        one.start(&other, &mut rng);
        let message = one.say(b"hello");
        let base = super::super::wire::decode_exchange(version, &message.bytes).unwrap().base;
        let place = message.bytes.windows(32).position(|window| window == base).unwrap();
        let mut changed = message.clone();
        changed.bytes[place + 31] ^= 0x80;
        assert!(other.look(&message, &mut rng).is_ok());
        assert!(matches!(other.look(&changed, &mut rng), Err(ReceiveError::Malformed(_))));
    }
}
