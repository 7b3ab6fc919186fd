//! Values that other implementations computed: libotr 4.1.1 (key, signature, first message of a comparison), python-potr 1.0.2 (keys of an
//! exchange and of messages) and OpenSSL (the counter mode).

use std::convert::Infallible;

use rand::rand_core::{TryCryptoRng, TryRng};

use crate::otr::ctr_mode;
use crate::otr::group::{Element, KeyPair};
use crate::otr::key::PublicKey;
use crate::otr::secrets::{ExchangeSecrets, MessageKeys};
use crate::otr::smp::{Smp, Step};
use crate::otr::tlv::Kind;
use crate::otr::wire::Reader;

/// A public key as libotr sends it, without its type.
const PUBLIC: &str = "0000008097de2a343593bbab902e3fba9cbeb87718460f465d4c25effced935fa349fd4ed188d10854b636ed2770585255aee5f10984bd39\
    bdec861df42788522eaff5ee43b4389dfe4afa3d79e3753ef05ba0bacc4408ba83a1e447616ab6a90768ce2e41d113a2dd000be63613c95a\
    87cec77908375bfa6a3fc3bb3d11bf5591ba031f0000001497154f95c6070dd69df6902135f685f5d706c1c10000008017ef00995fb5f7af\
    aae3c54f2f2a6fb9d19de4c525d894a10d7c0323a0f1c9669019cd4f49616f68f3be7c05a72beb0810ace6996df185192a13c41f251897d3\
    461c612a2d506de355280b8653a2e8423847c8f043b509cdec3148935dcac95070d3e5357eb1a90b477006096f055049065f1ffa401683a4\
    edf3fe5fe8d7e34d000000808d017a6de83569fe024389d04a621d82094c7d10fd21a611bfa7af01ea9d3b068b9dfdda8f58cf99bdd00a72\
    1b52f835dbda13516794ae60b045e620d16d689a1931c33727a37a6a9487a0d163d92576f0f3e3120739f171edee5ef9c2012ec0ee5d2ee8\
    ab5fa6929f91b41559ba27865371a504e7baf2da49e5874c4e3b387f";

/// Its fingerprint as libotr shows it.
const FINGERPRINT: &str = "2F002CA5 CB285148 65C5F523 E8FFCB35 D11DE162";

/// Its signature under the bytes 255, 254 and so on to 224: more than the order of the subgroup.
const SIGNATURE: &str = "68c718b5ceef4b2d3eea87d14de7a46f7cf536a15697cbf3dcf9654ec0b50d55eae871b68874325b";

/// The first message of a comparison.
const SMP1: &str = "00000006000000c01ae466a1d8f9ccfaec36dff9f8d14e739e8c8a781ead1e991ac41957af773c3021922122a4e0f746645eb957d1440e6d\
    d1f1d06a24fd2f3dc3275d6ffdde21df1cf4b91053cd5604521914172d5f06355602af1774a2f88fd3961c2c76a7c4cc9a7f7f7b2f3011a3\
    0c7bec36e51ca4f1fae01004b503de50009da84f2f96bbc41acf46746e9608141de4502c0b3855b92cc21427b23e9c8ec7bdaf58d7931e56\
    9d63b82f7d253e8a49788f73a8af577d0d5bca30afc8d71101c118e80aa1cde60000002057c61d98e96b0bde9f8bbf0c4aacae74be8ef0b5\
    2fbfe17234e53ef4e7cbf0b7000000c063825057e083dc8726767df1687e75ff12f5891ee4bb1af0a0802d04ebbe518554cfe3106436cf00\
    2a0ca751701eda16036316438a9a530f6d7ccbfb4f6a3ec7fdaa89b2001b5ebda00876a144ce2fb293b03f4a8be0cad93a7ead8256e9da40\
    10b8a3a29d4826074a900dde0d385b807c9d42b9535d57a82c8d642ca3f197ec0f62248a80f9be1307d04f39db88da7dfa5f6235805442a8\
    86924a1c0cf678c43b3140de3d61a1fecad6a23c8b6e6e7ffa8e340941b72acb401fd43f02a21f77000000c0ad74b1618ca6ab0c92e2f6e9\
    1b4ccae5511f4fb03a48b865c1de737596cbabc3e178a01e4e6cef8b6069b8e86ca4af5749b64828e9f9b211335d1d8b65ae725f3ef8a43f\
    9130bb082fc072dfb0f3738fa5ff265a16c1502392441d243b01ef1900b900e96eb5de076b8ad78761463898c2b99f220c9b3e664adf9196\
    aa4b2e1eda8e0d598c4c61083f133a064bbf70e0e60b54819f679ff6a08e56de286a6e20b9fbf23f86a7bec4732ee0442eaf890ea4f339fb\
    7dc16f6fe85a0d13c3267dd20000002034d4304c1f38c3dcb91de2e312b0e2f70eeeb448be7537c25481567d801d204f000000c031373a83\
    b3c9dafd29c15fa0244dc9a4fd5d654791e058beb7af013326ace46e2a7d293d0642f8d239eba66e784ff813ab2dcb1b4eb6a1d417e54a0b\
    bd53e5a8f715b30bb468cb8019356c5e33f8e6b2d882b17f91c9fc1a921f2d4f040fb9ee0199235bedc4b31b13b91389dcf467d021b409d3\
    21be73b94e0b6a43c3bc3f4a80524b95141339ade4f53b5317f67b8a9735fefc6b884948e441c760a9124b903722d7273d4b70f0b6db23c5\
    8abcd16cb53e60041a030c77f58a70655d5a5794";

/// The secret numbers of two sides.
const SECRET_A: &str = "a4abd4448c49562d828115d13a1fccea927f52b4d5459297f8b43e42da89238bc13626e43dcb38dd";

/// The other one.
const SECRET_B: &str = "121b4774a759924a2929c4a412fb6e31b9aaa746466840efcc4a76d69a94149e2364e3983d646fea";

/// Gives bytes that are known.
struct Known(Vec<u8>);

impl TryRng for Known {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Known {}

fn bytes(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

#[test]
fn keys_fingerprints_and_signatures_are_those_of_libotr() {
    let mut encoded = vec![0, 0];
    encoded.extend(bytes(PUBLIC));
    let key = PublicKey::read(&mut Reader::new(&encoded)).unwrap();
    assert_eq!(key.encoded(), encoded);
    assert_eq!(key.fingerprint().grouped(), FINGERPRINT);
    let signed: Vec<u8> = (224..=255).rev().collect();
    let mut mac: [u8; 32] = signed.try_into().unwrap();
    assert_eq!(key.verify(&mac, &mut Reader::new(&bytes(SIGNATURE))), Some(true));
    // The last byte counts, too: the number is not cut to 160 bits.
    mac[31] ^= 1;
    assert_eq!(key.verify(&mac, &mut Reader::new(&bytes(SIGNATURE))), Some(false));
}

#[test]
fn derived_keys_are_those_of_potr() {
    let a = KeyPair::random(&mut Known(bytes(SECRET_A)));
    let b = KeyPair::random(&mut Known(bytes(SECRET_B)));
    let shared = a.shared(b.public());
    let secrets = ExchangeSecrets::derive(&shared);
    assert_eq!(hex::encode(*secrets.session_id), "61709d3960209f49");
    let expected = [
        (
            "b9770e3abed5bc63d595eb953620ca78",
            "2af22e0eaf18bcea1819abaa9ccea301191838ebe749f413c2fba6280c42e4fd",
            "0b09efd6b842d21e63dd1ed7b01f2eef51972654509d45071d22ace4e1568b13",
        ),
        (
            "9e4ee555c1bfe87d3e13080baa72b0b4",
            "e21e4f21a727813c2e1b461a8b19bea3e9fbbf79c467f09ce403f348daf26f4c",
            "5ab91c65bed157fad8d92eab61aa8975f60b2fddf47e82251a4222218f76d4db",
        ),
    ];
    for (keys, (cipher, signed, sealing)) in [secrets.committer, secrets.responder].iter().zip(expected) {
        assert_eq!(hex::encode(*keys.cipher), cipher);
        assert_eq!(hex::encode(*keys.signed), signed);
        assert_eq!(hex::encode(*keys.sealing), sealing);
    }
    let is_greater = a.public().is_greater(b.public());
    let sending = MessageKeys::derive(&shared, is_greater);
    assert_eq!(hex::encode(*sending.cipher), "74338444da9e92cfcefa138d561fa30f");
    assert_eq!(hex::encode(*sending.mac), "21be52ebb6c3e1d6fa304629effbd2f882a20356");
    let receiving = MessageKeys::derive(&b.shared(a.public()), !is_greater);
    assert_eq!(hex::encode(*receiving.cipher), "f51266307f5b84f34873ce66e8d01752");
    assert_eq!(hex::encode(*receiving.mac), "2eca921576ae13799b0141d204528192fb125e6e");
    let mut text = b"forty-one bytes make three blocks of AES..".to_vec();
    ctr_mode::apply(&sending.cipher, 5, &mut text);
    assert_eq!(
        hex::encode(text),
        "fb7e8a89ad0bea749bd92cb38620827229488e99db3525b0b15b241325b127987699e91dcaa914737c99"
    );
}

#[test]
fn a_comparison_begins_as_libotr_begins_it() {
    let mut smp = Smp::default();
    let mut rng = Known(Vec::new());
    assert!(matches!(smp.receive(Kind::Smp1, &bytes(SMP1), &mut rng), Step::Asked(None)));
    let mut forged = bytes(SMP1);
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(smp.receive(Kind::Smp1, &forged, &mut rng), Step::Broken));
    // Proofs of one place do not serve at another: both halves changed places.
    let mut reader = Reader::new(&forged[4..]);
    let first = [0; 3].map(|_: u8| reader.mpi().unwrap().len() + 4).iter().sum::<usize>();
    let original = bytes(SMP1);
    let swapped = [&original[..4], &original[4 + first..], &original[4..4 + first]].concat();
    assert!(matches!(smp.receive(Kind::Smp1, &swapped, &mut rng), Step::Broken));
    assert!(Element::read(&mut Reader::new(&original[4..])).is_some());
}
