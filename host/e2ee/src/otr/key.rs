//! Long-term keys: DSA of 1024 bits with a subgroup of 160 bits, the only kind that the protocol has; and their fingerprints.
//!
//! Signatures are of a MAC of 256 bits. Other implementations take it as a number, modulo the order of the subgroup, and not its
//! first 160 bits as FIPS 186-4 would.

use std::fmt;
use std::str::FromStr;

use crypto_bigint::{BoxedUint, NonZero, U256};
use dsa::signature::hazmat::PrehashVerifier as _;
use dsa::{Components, KeySize, Signature, SigningKey, VerifyingKey};
use rand::CryptoRng;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::message::InstanceTag;
use super::wire::{Reader, put_mpi};

/// The length of the modulus, in bytes.
const P_BYTES: usize = 128;
/// The length of the order of the subgroup, in bytes.
const Q_BYTES: usize = 20;
/// The length of a signature: two numbers below the order.
const SIGNATURE_BYTES: usize = 2 * Q_BYTES;
/// The form of the stored bytes of an account.
const FORM: u8 = 1;

/// The fingerprint of a long-term key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Returns five groups of eight digits in capitals, as clients show fingerprints.
    pub fn grouped(&self) -> String {
        let groups: Vec<String> = self.0.chunks(4).map(hex::encode_upper).collect();
        groups.join(" ")
    }
}

impl From<[u8; 20]> for Fingerprint {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

/// 40 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an OTR fingerprint has 40 hexadecimal digits; copy all of them, with or without the spaces")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads capitals and small letters, with spaces anywhere.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String = text.chars().filter(|sign| !sign.is_whitespace()).take(41).collect();
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(Self(bytes))
    }
}

/// Somebody's long-term public key.
#[derive(Clone)]
pub(super) struct PublicKey {
    key: VerifyingKey,
    /// The order of the subgroup.
    order: NonZero<U256>,
    /// The key as it is sent, signed and hashed.
    encoded: Vec<u8>,
}

impl PublicKey {
    /// Reads a key, which may be hostile. Its sizes are checked, and that its numbers are in the subgroup.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const DSA: u16 = 0;
        if reader.short()? != DSA {
            return None;
        }
        let (p, q, g, y) = (reader.mpi()?, reader.mpi()?, reader.mpi()?, reader.mpi()?);
        let is_whole = |number: &[u8], length| {
            number.len() == length
                && number.first().is_some_and(|top| top >> 7 == 1)
                && number.last().is_some_and(|low| low & 1 == 1)
        };
        if !is_whole(p, P_BYTES) || !is_whole(q, Q_BYTES) {
            return None;
        }
        let wide = |number| BoxedUint::from_be_slice(number, bits(P_BYTES)).ok();
        let (modulus, generator, value) = (wide(p)?, wide(g)?, wide(y)?);
        if value >= modulus {
            return None;
        }
        let subgroup = BoxedUint::from_be_slice(q, bits(Q_BYTES)).ok()?;
        let components = Components::from_components(modulus, subgroup, generator.clone()).ok()?;
        // The generator must be at least 2 and in the subgroup, as a public value must.
        let _ = VerifyingKey::from_components(components.clone(), generator).ok()?;
        Self::of(VerifyingKey::from_components(components, value).ok()?)
    }

    fn of(key: VerifyingKey) -> Option<Self> {
        let parts = key.components();
        let mut encoded = vec![0, 0];
        for number in
            [&parts.p().to_be_bytes(), &parts.q().to_be_bytes(), &parts.g().to_be_bytes(), &key.y().to_be_bytes()]
        {
            put_mpi(&mut encoded, number);
        }
        let order = parts.q().to_be_bytes();
        let mut padded = [0; U256::BYTES];
        let start = padded.len().checked_sub(order.len())?;
        padded[start..].copy_from_slice(&order);
        let order = NonZero::new(U256::from_be_slice(&padded)).into_option()?;
        Some(Self { key, order, encoded })
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Returns the fingerprint. The type of the key, two bytes of zeros, is not hashed.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha1::digest(&self.encoded[2..]).into())
    }

    /// Reads a signature and says whether it is of this key under this MAC.
    pub(super) fn verify(&self, mac: &[u8; 32], reader: &mut Reader<'_>) -> Option<bool> {
        let number = |reader: &mut Reader<'_>| BoxedUint::from_be_slice(reader.take(Q_BYTES)?, bits(Q_BYTES)).ok();
        let (r, s) = (number(reader)?, number(reader)?);
        let Some(signature) = Signature::from_components(r, s) else {
            return Some(false);
        };
        Some(self.key.verify_prehash(&self.reduced(mac), &signature).is_ok())
    }

    /// Returns the MAC modulo the order.
    fn reduced(&self, mac: &[u8; 32]) -> [u8; Q_BYTES] {
        let number = U256::from_be_slice(mac).rem(&self.order).to_be_bytes();
        let bytes: &[u8] = number.as_ref();
        let mut reduced = [0; Q_BYTES];
        reduced.copy_from_slice(&bytes[U256::BYTES - Q_BYTES..]);
        reduced
    }
}

fn bits(bytes: usize) -> u32 {
    u32::try_from(bytes * 8).unwrap_or(u32::MAX)
}

/// Stored bytes are not an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored OTR key is damaged, or of a newer version of parlor; restore it, or make a new one")]
pub struct AccountError;

/// The long-term secrets of one account of ours.
pub struct Account {
    secret: SigningKey,
    public: PublicKey,
    instance: InstanceTag,
}

impl Account {
    /// Makes a key. This takes a second or several, so do it on a blocking thread.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            #[expect(deprecated, reason = "the protocol has no larger keys")]
            let Ok(components) = Components::try_generate_from_rng_with_key_size(rng, KeySize::DSA_1024_160);
            let Ok(secret) = SigningKey::try_generate_from_rng_with_components(rng, components);
            let instance = InstanceTag::random(rng);
            // Others may refuse a modulus whose highest bit is 0, so such a key is not kept.
            if let Some(account) = Self::of(secret, instance) {
                return account;
            }
        }
    }

    fn of(secret: SigningKey, instance: InstanceTag) -> Option<Self> {
        let public = PublicKey::of(secret.verifying_key().clone())?;
        let public = PublicKey::read(&mut Reader::new(public.encoded()))?;
        let account = Self { secret, public, instance };
        // The secret belongs to the public key.
        let signature = account.sign(&[0x5a; 32])?;
        account.public.verify(&[0x5a; 32], &mut Reader::new(&signature))?.then_some(account)
    }

    /// Returns the secrets as bytes, for the store.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let secret = Zeroizing::new(self.secret.x().to_be_bytes());
        let mut out = Zeroizing::new(Vec::with_capacity(self.public.encoded().len() + 32));
        out.push(FORM);
        out.extend_from_slice(&self.instance.get().to_be_bytes());
        out.extend_from_slice(self.public.encoded());
        put_mpi(&mut out, &secret);
        out
    }

    /// Reads what [`Account::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AccountError> {
        let mut reader = Reader::new(bytes);
        Self::read(&mut reader).ok_or(AccountError)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.byte()? != FORM {
            return None;
        }
        let instance = InstanceTag::new(reader.int()?)?;
        let public = PublicKey::read(reader)?;
        let secret = BoxedUint::from_be_slice(reader.mpi()?, bits(Q_BYTES)).ok()?;
        reader.end()?;
        Self::of(SigningKey::from_components(public.key, secret).ok()?, instance)
    }

    /// Returns the fingerprint of the public key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.public.fingerprint()
    }

    /// Returns the tag that tells this client from others of the same account.
    pub fn instance_tag(&self) -> InstanceTag {
        self.instance
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a MAC. The number that must never repeat is derived from key and MAC (RFC 6979). `None` comes once in 2^160.
    pub(super) fn sign(&self, mac: &[u8; 32]) -> Option<[u8; SIGNATURE_BYTES]> {
        let signature = self.secret.sign_prehashed_rfc6979::<Sha256>(&self.public.reduced(mac)).ok()?;
        let mut out = [0; SIGNATURE_BYTES];
        let (r, s) = out.split_at_mut(Q_BYTES);
        for (number, place) in [(signature.r(), r), (signature.s(), s)] {
            let bytes = number.to_be_bytes();
            let start = bytes.len().checked_sub(Q_BYTES)?;
            place.copy_from_slice(&bytes[start..]);
        }
        Some(out)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Fingerprint, PublicKey};
    use crate::otr::tests::account;
    use crate::otr::wire::{Reader, put_mpi};

    #[test]
    fn an_account_is_the_same_when_it_is_read_again() {
        let account = account(0);
        let bytes = account.to_bytes();
        let again = Account::from_bytes(&bytes).unwrap();
        assert_eq!(again.fingerprint(), account.fingerprint());
        assert_eq!(again.instance_tag(), account.instance_tag());
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(format!("{again:?}"), format!("Account({})", account.fingerprint()));
    }

    #[test]
    fn damaged_accounts_are_refused() {
        let bytes = account(0).to_bytes();
        for length in 0..bytes.len() {
            assert!(Account::from_bytes(&bytes[..length]).is_err());
        }
        // One bit of the secret, of the public value and of the version.
        for place in [bytes.len() - 1, bytes.len() - 40, 0] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(Account::from_bytes(&changed).is_err(), "{place}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Account::from_bytes(&longer).is_err());
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_mac() {
        let (a, b) = (account(0), account(1));
        let signature = a.sign(&[0xff; 32]).unwrap();
        let check =
            |key: &Account, mac: &[u8; 32], signature: &[u8]| key.public().verify(mac, &mut Reader::new(signature));
        assert_eq!(check(&a, &[0xff; 32], &signature), Some(true));
        assert_eq!(check(&b, &[0xff; 32], &signature), Some(false));
        assert_eq!(check(&a, &[0xfe; 32], &signature), Some(false));
        assert_eq!(check(&a, &[0xff; 32], &[0; 40]), Some(false));
        assert_eq!(check(&a, &[0xff; 32], &[0xff; 40]), Some(false));
        assert_eq!(check(&a, &[0xff; 32], &signature[..39]), None);
        for place in 0..signature.len() {
            let mut forged = signature;
            forged[place] ^= 1;
            assert_eq!(check(&a, &[0xff; 32], &forged), Some(false), "{place}");
        }
    }

    #[test]
    fn hostile_public_keys_are_refused() {
        let key = account(0);
        let parts = key.secret.verifying_key().components();
        let (p, q, g) =
            (parts.p().to_be_bytes().to_vec(), parts.q().to_be_bytes().to_vec(), parts.g().to_be_bytes().to_vec());
        let y = key.secret.verifying_key().y().to_be_bytes().to_vec();
        let read = |numbers: [&Vec<u8>; 4]| {
            let mut bytes = vec![0, 0];
            for number in numbers {
                put_mpi(&mut bytes, number);
            }
            PublicKey::read(&mut Reader::new(&bytes))
        };
        assert!(read([&p, &q, &g, &y]).is_some());
        let mut even = p.clone();
        even[127] &= 0xfe;
        let mut beyond = p.clone();
        beyond[127] |= 1;
        let mut even_order = q.clone();
        *even_order.last_mut().unwrap() &= 0xfe;
        for numbers in [
            [&even, &q, &g, &y],
            [&p, &even_order, &g, &y],
            [&p, &q, &vec![1], &y],
            [&p, &q, &g, &vec![1]],
            [&p, &q, &g, &vec![]],
            [&p, &q, &g, &beyond],
            [&p, &q, &beyond, &y],
            [&p, &q, &vec![2], &y],
            [&p, &q, &g, &vec![2]],
            [&p, &vec![3], &g, &y],
            [&vec![7], &q, &g, &y],
        ] {
            assert!(read(numbers).is_none());
        }
    }

    #[test]
    fn fingerprints_are_read_as_clients_show_them() {
        let fingerprint = account(0).fingerprint();
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(fingerprint.grouped().parse(), Ok(fingerprint));
        assert_eq!(fingerprint.grouped().len(), 44);
        for wrong in ["", "12", &format!("{fingerprint}0"), &"g".repeat(40)] {
            assert!(wrong.parse::<Fingerprint>().is_err());
        }
    }
}
