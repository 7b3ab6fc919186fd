//! Keys on Curve25519: agreement on secrets, signatures by the same key (`XEdDSA`), and fingerprints for people.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, VerifyingKey};
use rand::CryptoRng;
use sha2::{Digest, Sha512};
use subtle::ConditionallyNegatable;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// A secret of 32 bytes.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// A public key as bytes, on Curve25519 unless it says otherwise.
pub(super) type Public = [u8; 32];

/// A key would lead to a publicly known secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LowOrder;

/// A secret key with its public one.
#[derive(Clone)]
pub(super) struct KeyPair {
    secret: StaticSecret,
    public: Public,
}

impl KeyPair {
    pub(super) fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::of_secret(StaticSecret::random_from_rng(rng))
    }

    fn of_secret(secret: StaticSecret) -> Self {
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }

    pub(super) fn from_bytes(secret: &Key) -> Self {
        Self::of_secret(StaticSecret::from(**secret))
    }

    /// Like [`KeyPair::from_bytes`], with the public key that was stored together with the secret one.
    pub(super) fn from_both(secret: &Key, public: Public) -> Self {
        Self { secret: StaticSecret::from(**secret), public }
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        self.secret.as_bytes()
    }

    pub(super) fn public(&self) -> &Public {
        &self.public
    }

    /// Returns the secret that both sides get.
    pub(super) fn agree(&self, their: &Public) -> Result<Key, LowOrder> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(*their));
        if shared.was_contributory() { Ok(Zeroizing::new(shared.to_bytes())) } else { Err(LowOrder) }
    }
}

/// The key pair that identifies a device. Signatures by it are checked as those of Ed25519.
#[derive(Clone)]
pub(super) struct Identity {
    pair: KeyPair,
    /// The public key as one of Ed25519, with the sign that `XEdDSA` gives it: 0.
    ed25519: Public,
}

impl Identity {
    pub(super) fn new(pair: KeyPair) -> Self {
        let ed25519 = signing_scalar(&pair).1;
        Self { pair, ed25519 }
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(super) fn ed25519(&self) -> &Public {
        &self.ed25519
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.pair.public)
    }

    /// Signs as `XEdDSA` says: the nonce follows from the secret key, the message and 64 random bytes. The rest is Ed25519.
    pub(super) fn sign(&self, message: &[u8], rng: &mut (impl CryptoRng + ?Sized)) -> [u8; 64] {
        let (scalar, public) = signing_scalar(&self.pair);
        let mut random = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *random);
        // No public key begins like this, so this hash differs from all others of the scheme.
        let mut prefix = [0xFF; 32];
        prefix[0] = 0xFE;
        let secret = Zeroizing::new(scalar.to_bytes());
        let nonce = Sha512::new().chain_update(prefix).chain_update(*secret).chain_update(message);
        let nonce = Zeroizing::new(<[u8; 64]>::from(nonce.chain_update(*random).finalize()));
        // An expanded key wipes itself, so the prefix is written into it, and nowhere else.
        let mut expanded = ExpandedSecretKey { scalar: *scalar, hash_prefix: [0; 32] };
        expanded.hash_prefix.copy_from_slice(&nonce[..32]);
        let public = VerifyingKey::from_bytes(&public).expect("the product of a scalar and the base is a point");
        raw_sign::<Sha512>(&expanded, message, &public).to_bytes()
    }
}

/// The scalar whose public point has the sign 0, and that point.
fn signing_scalar(pair: &KeyPair) -> (Zeroizing<Scalar>, Public) {
    let clamped = Zeroizing::new(clamp_integer(*pair.secret()));
    let mut scalar = Zeroizing::new(Scalar::from_bytes_mod_order(*clamped));
    let mut public = EdwardsPoint::mul_base(&scalar).compress().to_bytes();
    scalar.conditional_negate((public[31] >> 7).into());
    public[31] &= 0x7F;
    (scalar, public)
}

/// Whether the owner of an identity key signed a message. The key is in the form of Ed25519.
pub(super) fn is_signed(ed25519: &Public, message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(ed25519) else {
        return false;
    };
    key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
}

/// Converts a key of Curve25519 to the form of Ed25519. The sign must be given, since the other form lacks it.
pub(super) fn to_ed25519(curve25519: &Public, sign: bool) -> Option<Public> {
    Some(MontgomeryPoint(*curve25519).to_edwards(sign.into())?.compress().to_bytes())
}

/// Converts a key of Ed25519 to the form of Curve25519.
pub(super) fn to_curve25519(ed25519: &Public) -> Option<Public> {
    Some(CompressedEdwardsY(*ed25519).decompress()?.to_montgomery().to_bytes())
}

/// Whether a key of Curve25519 is written in its only form. X25519 accepts other forms of the same key, so a repeated
/// exchange could otherwise look like a new one.
pub(super) fn is_canonical(curve25519: &Public) -> bool {
    let is_reduced =
        curve25519[31] < 0x7F || curve25519[0] < 0xED || curve25519[1..31].iter().any(|byte| *byte != 0xFF);
    curve25519[31] & 0x80 == 0 && is_reduced
}

/// Whether each secret that follows from a key is publicly known. This includes points of the curve's twist: the last
/// one, −1, is only there.
pub(super) fn is_low_order(curve25519: &Public) -> bool {
    static LOW: LazyLock<Vec<MontgomeryPoint>> = LazyLock::new(|| {
        let mut minus_one = [0xFF; 32];
        (minus_one[0], minus_one[31]) = (0xEC, 0x7F);
        EIGHT_TORSION.iter().map(EdwardsPoint::to_montgomery).chain([MontgomeryPoint(minus_one)]).collect()
    });
    LOW.contains(&MontgomeryPoint(*curve25519))
}

/// The public identity key of a device, by which people compare it. It is the same in both versions of OMEMO.
///
/// It is shown as 64 hexadecimal digits in groups of eight, as other clients do. The order is that of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Public);

impl Fingerprint {
    /// Takes a key of Curve25519.
    pub fn from_curve25519(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Takes a key of Ed25519. `None` if it is not a point of the curve.
    pub fn from_ed25519(key: &[u8; 32]) -> Option<Self> {
        to_curve25519(key).map(Self)
    }

    /// Returns the key as one of Curve25519.
    pub fn curve25519(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key as one of Ed25519, with the sign 0. `None` if it is not a point of the curve.
    pub fn ed25519(&self) -> Option<[u8; 32]> {
        to_ed25519(&self.0, false)
    }

    /// Returns whether this key has signed the label of its device. The sign of the key as one of Ed25519 is not known: clients that made
    /// theirs as such a key may have either.
    pub fn has_signed_label(&self, label: &str, signature: &[u8; 64]) -> bool {
        let mut forms = [false, true].into_iter().filter_map(|sign| to_ed25519(&self.0, sign));
        forms.any(|ed25519| is_signed(&ed25519, label.as_bytes(), signature))
    }

    /// Returns it as 64 digits without spaces.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, group) in self.0.chunks(4).enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{}", hex::encode(group))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        if text.len() > 256 {
            return Err(NoFingerprint);
        }
        let digits: String = text.chars().filter(|letter| !(letter.is_ascii_whitespace() || *letter == ':')).collect();
        let mut key = [0; 32];
        hex::decode_to_slice(digits, &mut key).map_err(|_| NoFingerprint)?;
        Ok(Self(key))
    }
}

/// A text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fingerprint: it has 64 hexadecimal digits, in groups or not")]
pub struct NoFingerprint;
