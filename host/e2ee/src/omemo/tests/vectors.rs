//! Vectors that python-omemo's packages made, and vectors of ours that they could read: `vectors.txt` holds the bytes
//! of conversations with them in both versions, started from either side, out of order and with gaps.
//!
//! | line | what it means |
//! |---|---|
//! | `own VERSION SEED DEVICE` | our device, made by this seed |
//! | `start ID KEY SIGNATURE IDENTITY ID:KEY,…` | we start by this bundle of theirs |
//! | `encrypt TEXT PREKEY BYTES` | we make these bytes, and they could read them |
//! | `receive PREKEY BYTES TEXT` | we can read these bytes of theirs |
//! | `payload BODY IV KEY TEXT`, `file BYTES LINK TEXT` | we can read what they encrypted |

use super::super::{Bundle, BundleParts, KeyMessage, aesgcm, payload, start};
use super::payloads::decrypted;
use super::{Device, Keep, Side, Steady, Version};

fn bytes(text: &str) -> Vec<u8> {
    if text == "-" { Vec::new() } else { hex::decode(text).unwrap() }
}

fn bundle(version: Version, words: &[&str]) -> Bundle {
    let prekey = |one: &str| one.split_once(':').map(|(id, key)| (id.parse().unwrap(), bytes(key))).unwrap();
    let parts = BundleParts {
        signed_prekey_id: words[0].parse().unwrap(),
        signed_prekey: bytes(words[1]),
        signature: bytes(words[2]),
        identity_key: bytes(words[3]),
        prekeys: words[4].split(',').map(prekey).collect(),
    };
    let bundle = Bundle::parse(version, &parts).unwrap();
    assert_eq!(bundle.parts(), parts);
    bundle
}

/// Our device as it was made for the vectors: with three prekeys, so that they are short.
fn own(words: &[&str]) -> (Side, Steady) {
    let version = if words[0] == "1" { Version::Axolotl } else { Version::Omemo2 };
    let mut rng = Steady::new(words[1].parse().unwrap());
    let mut device = Device::generate(&mut rng, 1_000);
    (4..=100).for_each(|id| assert!(device.use_prekey(id, Keep::No)));
    assert_eq!(hex::encode(device.to_bytes()), words[2], "states of before can be read");
    (Side { version, device, session: None }, rng)
}

#[test]
fn conversations_with_another_implementation_give_the_same_bytes() {
    let mut lines = include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#'));
    let first: Vec<_> = lines.next().unwrap().split(' ').collect();
    let (mut side, mut rng) = own(&first[1..]);
    let mut counts = [0; 6];
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        let kind = match words[0] {
            "own" => {
                (side, rng) = own(&words[1..]);
                0
            }
            "start" => {
                let bundle = bundle(side.version, &words[1..]);
                side.session = Some(start(&side.device, &bundle, &mut rng).unwrap());
                1
            }
            "encrypt" => {
                let made = side.say(&bytes(words[1]));
                assert_eq!((made.prekey, made.bytes), (words[2] == "1", bytes(words[3])), "{line}");
                2
            }
            "receive" => {
                let message = KeyMessage { prekey: words[1] == "1", bytes: bytes(words[2]) };
                let received = side.look(&message, &mut rng).unwrap();
                assert_eq!(received.plain.to_vec(), bytes(words[3]), "{line}");
                side.session = Some(received.session);
                3
            }
            "payload" => {
                let iv = Some(bytes(words[2])).filter(|iv| !iv.is_empty());
                let plain = payload::decrypt(side.version, &bytes(words[1]), iv.as_deref(), &bytes(words[3])).unwrap();
                assert_eq!(plain.to_vec(), bytes(words[4]), "{line}");
                4
            }
            "file" => {
                let link = aesgcm::parse(words[2]).unwrap();
                assert_eq!(decrypted(&bytes(words[1]), link.key(), &[5, 16, 1]), Ok(bytes(words[3])));
                5
            }
            other => panic!("{other}"),
        };
        counts[kind] += 1;
    }
    assert!(counts.iter().zip([7, 4, 30, 30, 40, 8]).all(|(is, least)| *is >= least), "{counts:?}");
}
