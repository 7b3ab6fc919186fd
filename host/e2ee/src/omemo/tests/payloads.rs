//! Payloads, files and fingerprints.

use proptest::prelude::*;

use super::super::aesgcm::{self, LinkError};
use super::super::payload::{self, PayloadError};
use super::super::{EncryptError, Fingerprint, Version, limits};
use super::{Steady, acquainted};

proptest! {
    #[test]
    fn payloads_are_read_by_their_key_alone(text in prop::collection::vec(any::<u8>(), 0..200), seed: u64, bit: prop::sample::Index) {
        for version in Version::ALL {
            let mut rng = Steady::new(seed);
            let payload::Payload { body, iv, key } = payload::encrypt(version, &text, &mut rng);
            let iv = iv.as_ref().map(<[u8; 12]>::as_slice);
            prop_assert_eq!(payload::decrypt(version, &body, iv, &key).unwrap().to_vec(), text.clone());
            let mut all = [&body, &*key].concat();
            let bit = bit.index(all.len() * 8);
            all[bit / 8] ^= 1 << (bit % 8);
            let (body, key) = all.split_at(body.len());
            prop_assert_eq!(payload::decrypt(version, body, iv, key), Err(PayloadError::Forged));
        }
    }

    #[test]
    fn any_payload_is_text_or_an_error(
        body in prop::collection::vec(any::<u8>(), 0..100),
        iv in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        key in prop::collection::vec(any::<u8>(), 0..70),
    ) {
        for version in Version::ALL {
            prop_assert!(payload::decrypt(version, &body, iv.as_deref(), &key).is_err());
        }
    }

    #[test]
    fn files_are_read_by_their_link_alone(text in prop::collection::vec(any::<u8>(), 0..200), seed: u64) {
        let (file, key) = aesgcm::encrypt(&text, &mut Steady::new(seed));
        prop_assert_eq!(file.len(), text.len() + 16);
        let link = key.link("https://example.org/a%20b/c.png?d=e").unwrap();
        let link = aesgcm::parse(std::str::from_utf8(&link).unwrap()).unwrap();
        prop_assert_eq!(link.https(), "https://example.org/a%20b/c.png?d=e");
        prop_assert_eq!(aesgcm::decrypt(&file, link.key()).unwrap().to_vec(), text);
        let mut changed = file.clone();
        changed[0] ^= 1;
        prop_assert_eq!(aesgcm::decrypt(&changed, link.key()), Err(LinkError::Forged));
        prop_assert_eq!(aesgcm::decrypt(&file[1..], link.key()), Err(LinkError::Forged));
        prop_assert_eq!(aesgcm::decrypt(&[], link.key()), Err(LinkError::Forged));
    }

    #[test]
    fn any_text_is_a_link_or_an_error(text in "\\PC{0,60}") {
        prop_assert!(aesgcm::parse(&text).is_err());
        let link = format!("aesgcm://{text}");
        prop_assert!(aesgcm::parse(&link).is_err());
    }
}

#[test]
fn the_tag_of_an_old_client_may_stand_at_the_end_of_the_payload() {
    let payload = payload::encrypt(Version::Axolotl, b"from 2017", &mut Steady::new(50));
    let (key, tag) = payload.key.split_at(16);
    let body = [&payload.body, tag].concat();
    let iv = payload.iv.as_ref().map(<[u8; 12]>::as_slice);
    assert_eq!(payload::decrypt(Version::Axolotl, &body, iv, key).unwrap().to_vec(), b"from 2017");
    let wrong = payload::decrypt(Version::Axolotl, &body, iv, &payload.key[..20]);
    assert_eq!(wrong, Err(PayloadError::WrongLength("key")));
    let wrong = payload::decrypt(Version::Axolotl, &payload.body, None, &payload.key);
    assert_eq!(wrong, Err(PayloadError::WrongLength("initialization vector")));
}

#[test]
fn messages_without_a_payload_carry_a_key_all_the_same() {
    for version in Version::ALL {
        let mut rng = Steady::new(51);
        let (mut one, mut other) = acquainted(version, &mut rng);
        let empty = payload::empty(version, &mut rng);
        let message = one.say(&empty.key);
        assert_eq!(other.read(&message, &mut rng).unwrap(), empty.key.to_vec());
        assert_eq!(empty.iv.is_some(), version == Version::Axolotl);
        let long = vec![0; limits::KEY_BYTES + 1];
        assert_eq!(one.session.as_mut().unwrap().encrypt(&long), Err(EncryptError::TooLong));
    }
}

#[test]
fn links_that_lead_nowhere_are_refused() {
    let key = "0".repeat(88);
    for (link, error) in [
        (format!("https://example.org/a#{key}"), LinkError::NoFile),
        (format!("aesgcm:///a#{key}"), LinkError::NoFile),
        (format!("aesgcm://?a#{key}"), LinkError::NoFile),
        (format!("aesgcm://example.org/a b#{key}"), LinkError::NoFile),
        (format!("aesgcm://example.org/a\n#{key}"), LinkError::NoFile),
        (String::from("aesgcm://example.org/a"), LinkError::NoKey),
        (format!("aesgcm://example.org/a#{}", &key[2..]), LinkError::NoKey),
        (format!("aesgcm://example.org/a#{key}00"), LinkError::NoKey),
        (format!("aesgcm://example.org/a#{key}#"), LinkError::NoKey),
        (format!("aesgcm://example.org/{}#{key}", "a".repeat(limits::LINK_BYTES)), LinkError::TooLong),
    ] {
        assert_eq!(aesgcm::parse(&link).unwrap_err(), error, "{link}");
    }
    assert_eq!(
        aesgcm::parse(&format!("AESGCM://example.org/a#{key}00000000")).unwrap().https(),
        "https://example.org/a"
    );
    let (_, key) = aesgcm::encrypt(b"", &mut Steady::new(52));
    for place in ["http://example.org/a", "https://", "https://example.org/a#b", "aesgcm://example.org/a"] {
        assert_eq!(key.link(place).unwrap_err(), LinkError::NoFile, "{place}");
    }
    assert_eq!(key.link(&format!("https://{}", "a".repeat(9_000))).unwrap_err(), LinkError::TooLong);
}

#[test]
fn fingerprints_are_shown_in_groups_and_read_in_any_form() {
    let mut rng = Steady::new(53);
    let (one, _) = acquainted(Version::Omemo2, &mut rng);
    let fingerprint = one.device.fingerprint();
    let shown = fingerprint.to_string();
    assert_eq!(shown.len(), 71);
    assert!(shown.split(' ').all(|group| group.len() == 8) && shown.replace(' ', "") == fingerprint.to_hex());
    for form in [shown.clone(), shown.to_uppercase(), fingerprint.to_hex(), shown.replace(' ', ":\n")] {
        assert_eq!(form.parse(), Ok(fingerprint));
    }
    for text in
        ["", "0", &shown[1..], &format!("{shown}00"), &shown.replace('a', "g").replace('0', "o"), &" ".repeat(300)]
    {
        assert!(text.parse::<Fingerprint>().is_err(), "{text}");
    }
    assert_eq!(Fingerprint::from_ed25519(&fingerprint.ed25519().unwrap()), Some(fingerprint));
    assert_eq!(Fingerprint::from_curve25519(*fingerprint.curve25519()), fingerprint);
    for version in Version::ALL {
        assert_eq!(one.device.bundle(version).fingerprint(), fingerprint, "it is the same in both versions");
        assert_eq!(Version::of_namespace(version.namespace()), Some(version));
    }
    assert_eq!(Version::of_namespace("urn:xmpp:omemo:1"), None);
}
