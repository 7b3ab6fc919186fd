//! Payloads, files and fingerprints.

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AesGcm, KeyInit as _};
use proptest::prelude::*;

use super::super::aesgcm::{self, Decrypting, Encrypting, FileKey, Link, LinkError};
use super::super::payload::{self, PayloadError};
use super::super::{EncryptError, Fingerprint, Version, limits};
use super::{Steady, acquainted};

/// Splits bytes into parts of these lengths, over and over.
fn parts<'a>(mut bytes: &'a mut [u8], steps: &'a [usize]) -> impl Iterator<Item = &'a mut [u8]> {
    let mut steps = steps.iter().cycle();
    std::iter::from_fn(move || {
        let step = (*steps.next()?).min(bytes.len());
        let (part, rest) = std::mem::take(&mut bytes).split_at_mut(step);
        bytes = rest;
        (!part.is_empty()).then_some(part)
    })
}

/// Encrypts a file in parts.
fn encrypted(text: &[u8], steps: &[usize], rng: &mut Steady) -> (Vec<u8>, FileKey) {
    let ((mut file, key), mut bytes) = (Encrypting::begin(rng), text.to_vec());
    for part in parts(&mut bytes, steps) {
        file.part(part).unwrap();
    }
    bytes.extend(file.finish().unwrap());
    (bytes, key)
}

/// Decrypts a file in parts.
pub(super) fn decrypted(file: &[u8], key: &FileKey, steps: &[usize]) -> Result<Vec<u8>, LinkError> {
    let (text, tag) = file.split_last_chunk().ok_or(LinkError::Forged)?;
    let (mut file, mut bytes) = (Decrypting::begin(key), text.to_vec());
    for part in parts(&mut bytes, steps) {
        file.part(part)?;
    }
    file.finish(tag).map(|()| bytes)
}

/// Returns the bytes behind the `#` of a link.
fn secret_of(link: &Link) -> Vec<u8> {
    let whole = link.key().link("https://example.org/a").unwrap();
    let whole = std::str::from_utf8(&whole).unwrap().to_owned();
    hex::decode(whole.split_once('#').unwrap().1).unwrap()
}

fn key_of(link: &Link) -> [u8; 32] {
    *secret_of(link).last_chunk().unwrap()
}

fn iv_of(link: &Link) -> Vec<u8> {
    let secret = secret_of(link);
    secret[..secret.len() - 32].to_vec()
}

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
    fn files_are_read_by_their_link_alone(
        text in prop::collection::vec(any::<u8>(), 0..200),
        seed: u64,
        steps in prop::collection::vec(1usize..40, 1..5),
        bit: prop::sample::Index,
    ) {
        let (file, key) = encrypted(&text, &steps, &mut Steady::new(seed));
        prop_assert_eq!(file.len(), text.len() + aesgcm::TAG);
        let link = key.link("https://example.org/a%20b/c.png?d=e").unwrap();
        let link = aesgcm::parse(std::str::from_utf8(&link).unwrap()).unwrap();
        prop_assert_eq!(link.https(), "https://example.org/a%20b/c.png?d=e");
        prop_assert_eq!(decrypted(&file, link.key(), &steps), Ok(text.clone()));
        prop_assert_eq!(decrypted(&file, link.key(), &[7]), Ok(text.clone()), "the parts may be others");
        let mut whole = file.clone();
        let nonce: [u8; 12] = iv_of(&link).try_into().unwrap();
        let cipher = AesGcm::<Aes256, U12>::new((&key_of(&link)).into());
        cipher.decrypt_in_place((&nonce).into(), b"", &mut whole).unwrap();
        prop_assert_eq!(whole, text, "aes-gcm reads it as well");
        let mut changed = file.clone();
        let bit = bit.index(changed.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(decrypted(&changed, link.key(), &steps), Err(LinkError::Forged));
        for part in [&file[1..], &file[..file.len() - 1], &*[&file[..], &[0][..]].concat()] {
            prop_assert_eq!(decrypted(part, link.key(), &steps), Err(LinkError::Forged));
        }
    }

    #[test]
    fn any_text_is_a_link_or_an_error(text in "\\PC{0,60}") {
        prop_assert!(aesgcm::parse(&text).is_err());
        let link = format!("aesgcm://{text}");
        prop_assert!(aesgcm::parse(&link).is_err());
    }
}

/// The tags are those of Python's package cryptography. No other encrypted bytes have them.
#[test]
fn files_of_all_lengths_are_read_as_another_implementation_made_them() {
    let key = hex::encode((0..32).collect::<Vec<u8>>());
    for (iv, size, tag) in [
        (12, 0, "7a81bf888cce475cb5edd41d45f6d287"),
        (12, 1, "7acfc36267bd8fccba7f1a17857d9148"),
        (12, 15, "7aedf94c5827ae08ab45c90073f43fc6"),
        (12, 16, "cef8693bb674af463151805ddd473314"),
        (12, 17, "5db51f9a447e1fa6dc8c67bf706aae1d"),
        (12, 100_000, "53083f402bea730f7b2a9987e4ed8c78"),
        (16, 0, "d414867cc151433311f883f21553021e"),
        (16, 1, "bb69eedd7b5d53b4ea602203f611f89f"),
        (16, 15, "7ce819662111ec0b69952ea259cd6567"),
        (16, 16, "521aa286b98c66524418a09a718831eb"),
        (16, 17, "e58b7f715512b2927bd517c64e26d0a5"),
        (16, 100_000, "2c4cfc03a15c3bbaa63270259df7f897"),
    ] {
        let digits: Vec<u8> = (0xf0..=0xff).take(iv).collect();
        let link = aesgcm::parse(&format!("aesgcm://example.org/a#{}{key}", hex::encode(digits))).unwrap();
        // Each byte follows from its place and the length of the file.
        let text: Vec<u8> = (0..size).map(|at: usize| u8::try_from((at * 7 + size) % 256).unwrap()).collect();
        let mut file = text.clone();
        // Counter mode is its own reverse.
        let mut reverse = Decrypting::begin(link.key());
        for part in parts(&mut file, &[16, 3, 33, 64_000]) {
            reverse.part(part).unwrap();
        }
        file.extend(hex::decode(tag).unwrap());
        for steps in [[1, 15].as_slice(), &[16], &[31, 1_000], &[100_000]] {
            assert_eq!(decrypted(&file, link.key(), steps).as_ref(), Ok(&text), "{iv} {size} {steps:?}");
        }
    }
}

#[test]
fn a_payload_whose_tag_is_not_with_its_key_is_refused() {
    let payload = payload::encrypt(Version::Axolotl, b"from 2017", &mut Steady::new(50));
    let (key, tag) = payload.key.split_at(16);
    let body = [&payload.body, tag].concat();
    let iv = payload.iv.as_ref().map(<[u8; 12]>::as_slice);
    // Everybody who got the key could write another text with a tag that fits.
    assert_eq!(payload::decrypt(Version::Axolotl, &body, iv, key), Err(PayloadError::NoTag));
    assert_eq!(payload::decrypt(Version::Axolotl, &payload.body, iv, key), Err(PayloadError::NoTag));
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
    // Digits may be capitals.
    for length in [24, 32] {
        let link = format!("aesgcm://example.org/a#{}{}", "aB".repeat(length / 2), "Fe".repeat(32));
        let link = aesgcm::parse(&link).unwrap();
        assert_eq!((iv_of(&link), key_of(&link)), (vec![0xAB; length / 2], [0xFE; 32]));
    }
    let (_, key) = Encrypting::begin(&mut Steady::new(52));
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
