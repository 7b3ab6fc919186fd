//! States as bytes: only written states can be read, and secrets are never printed.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::{Device, Keep, Secret, Session, StateError, Version, aesgcm, limits, payload, start};
use super::{Steady, acquainted};

#[test]
fn a_written_session_state_reads_back_the_same() {
    for version in Version::ALL {
        let mut rng = Steady::new(40);
        let (mut one, mut other) = acquainted(version, &mut rng);
        (0..5).for_each(|_| drop(one.say(b"lost")));
        let message = one.say(b"came");
        other.read(&message, &mut rng).unwrap();
        other.start(&one, &mut rng);
        other.device.rotate_signed_prekey(&mut rng, 77);
        other.device.use_prekey(20, Keep::UntilCaughtUp);
        let (device, session) = (other.device.to_bytes(), other.session.as_ref().unwrap().to_bytes());
        other.restart();
        assert_eq!(other.device.to_bytes(), device);
        assert_eq!(other.session.as_ref().unwrap().to_bytes(), session);
        assert_eq!(other.session.as_ref().unwrap().kept(), 6, "{version}");

        for length in 0..session.len() {
            assert!(Session::from_bytes(&session[..length]).is_err());
        }
        for length in 0..device.len() {
            assert!(Device::from_bytes(&device[..length]).is_err());
        }
        let longer = [&session, [0].as_slice()].concat();
        assert_eq!(Session::from_bytes(&longer).unwrap_err(), StateError::Damaged("something stands behind its end"));
        let longer = [&device, [0].as_slice()].concat();
        assert!(matches!(Device::from_bytes(&longer), Err(StateError::Damaged(_))));
        let later = [[2].as_slice(), &session[1..]].concat();
        assert_eq!(Session::from_bytes(&later).unwrap_err(), StateError::UnknownVersion(2));
    }
}

#[test]
fn states_have_bounds() {
    let too_long = vec![1; limits::SESSION_BYTES + 1];
    assert_eq!(Session::from_bytes(&too_long).unwrap_err(), StateError::Damaged("it is too long"));
    assert!(matches!(Device::from_bytes(&too_long), Err(StateError::Damaged("it is too long"))));
    // As full as it gets.
    let mut rng = Steady::new(41);
    let mut device = Device::generate(&mut rng, 0);
    for _ in 0..=limits::USED_PREKEYS {
        let id = device.bundle(Version::Axolotl).prekeys[0].0;
        device.use_prekey(id, Keep::UntilCaughtUp);
        device.refill(&mut rng);
    }
    device.rotate_signed_prekey(&mut rng, 1);
    let bytes = device.to_bytes();
    assert!(bytes.len() <= limits::DEVICE_BYTES, "{}", bytes.len());
    assert_eq!(Device::from_bytes(&bytes).unwrap().forget_used_prekeys(), limits::USED_PREKEYS);
}

#[test]
fn a_device_remembers_the_devices_that_it_replaced_until_the_server_has_nothing_of_them() {
    let mut rng = Steady::new(46);
    let mut device = Device::generate(&mut rng, 0);
    let mut replaced = Vec::new();
    for _ in 0..=limits::FORMER_DEVICES {
        replaced.push(device.id().get());
        let mut next = Device::generate(&mut rng, 0);
        next.replaces(&device);
        device = Device::from_bytes(&next.to_bytes()).unwrap();
    }
    assert_eq!(device.former(), &replaced[1..], "the oldest is forgotten");
    let bytes = device.to_bytes();
    // The count and the ids stand at the end. A state without them is that of a device without former ones.
    let end = bytes.len() - 4 * (limits::FORMER_DEVICES + 1);
    assert!((end + 1..bytes.len()).all(|length| Device::from_bytes(&bytes[..length]).is_err()));
    assert!(Device::from_bytes(&bytes[..end]).unwrap().former().is_empty());
    let too_many = [&bytes[..end], [0, 0, 0, 9].as_slice(), [0; 36].as_slice()].concat();
    assert!(matches!(Device::from_bytes(&too_many), Err(StateError::Damaged("there is too much of something"))));
    for id in replaced {
        device.forget_former(id);
    }
    assert!(!device.forget_former(1), "it was none");
    assert_eq!(&*device.to_bytes(), &bytes[..end]);
}

#[test]
fn nobody_prints_what_is_secret() {
    let mut rng = Steady::new(42);
    let (mut one, mut other) = acquainted(Version::Axolotl, &mut rng);
    let message = one.say(b"abc");
    let received = other.look(&message, &mut rng).unwrap();
    let bundle = other.device.bundle(Version::Omemo2);
    let fingerprint = one.device.fingerprint();
    assert_eq!(format!("{:?}", one.device), format!("Device({}, {fingerprint}, 100 prekeys)", one.device.id()));
    let session = format!("Session(eu.siacs.conversations.axolotl, {fingerprint}, 0 keys kept)");
    assert_eq!(format!("{:?}", other.session.as_ref().unwrap()), session);
    assert!(format!("{received:?}").contains("plain: Secret(3 bytes)"));
    assert_eq!(format!("{bundle:?}"), format!("Bundle(urn:xmpp:omemo:2, {}, 100 prekeys)", other.device.fingerprint()));
    assert_eq!(format!("{:?}", Secret::new(vec![1, 2])), "Secret(2 bytes)");
    let payload = payload::encrypt(Version::Omemo2, b"abc", &mut rng);
    assert_eq!(format!("{payload:?}"), "Payload(16 bytes)");
    let (file, key) = aesgcm::Encrypting::begin(&mut rng);
    assert_eq!(format!("{key:?} {file:?} {:?}", aesgcm::Decrypting::begin(&key)), "FileKey Encrypting Decrypting");
    let link = key.link("https://example.org/a").unwrap();
    let link = aesgcm::parse(std::str::from_utf8(&link).unwrap()).unwrap();
    assert_eq!(format!("{link:?}"), "Link { https: \"https://example.org/a\", .. }");
    other.restart();
}

/// Made once: it takes longer than reading a state.
static DEVICES: LazyLock<[Device; 2]> =
    LazyLock::new(|| [44, 45].map(|seed| Device::generate(&mut Steady::new(seed), 0)));

proptest! {
    #[test]
    fn any_bytes_are_a_state_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..2_000), version in 0u8..3) {
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        if let Ok(session) = Session::from_bytes(&bytes) {
            prop_assert_eq!(session.to_bytes().to_vec(), bytes.clone());
        }
        prop_assert!(Device::from_bytes(&bytes).is_err());
    }

    #[test]
    fn changed_states_are_read_without_panic(at: prop::sample::Index, to: u8, text in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut rng = Steady::new(43);
        let bundle = DEVICES[1].bundle(Version::Omemo2);
        let mut bytes = start(&DEVICES[0], &bundle, &mut rng).unwrap().to_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(mut session) = Session::from_bytes(&bytes) {
            let _ = session.encrypt(&text);
        }
    }
}
