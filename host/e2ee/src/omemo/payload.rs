//! Payloads: a text is encrypted once for all devices, and each of them gets the key by its session.

use std::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aes::Aes128;
use aes_gcm::aes::cipher::array::ArraySize;
use aes_gcm::aes::cipher::consts::{U12, U16};
use aes_gcm::{AesGcm, KeyInit};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::kdf::Sealing;
use super::secret::Secret;
use super::version::Version;

/// How many bytes the tag of AES-GCM has, and the one of the later version.
const TAG: usize = 16;

/// A payload, and the values that are needed to decrypt it.
pub struct Payload {
    /// The encrypted text: the element `payload`.
    pub body: Vec<u8>,
    /// The element `iv`, in [`Version::Axolotl`] alone.
    pub iv: Option<[u8; 12]>,
    /// The key material for the sessions: 32 bytes in [`Version::Axolotl`], 48 in [`Version::Omemo2`].
    pub key: Secret,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.body.len())
    }
}

/// The key material of a message without a payload, which only carries the session on.
#[derive(Debug)]
pub struct Empty {
    /// The element `iv`, in [`Version::Axolotl`] alone.
    pub iv: Option<[u8; 12]>,
    /// The key material for the sessions.
    pub key: Secret,
}

/// A payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The key material or the initialization vector has another length.
    #[error("the {0} of the payload has a length that this version does not have")]
    WrongLength(&'static str),
    /// The tag of AES-GCM is not with the key, as in the form that clients gave up in 2017 and 2018. Anybody who got the key, such as
    /// another member of a room, could write a text that counts as the sender's.
    #[error(
        "the key of the payload has no tag, so another of its readers may have changed the text; its client is from before 2018"
    )]
    NoTag,
    /// It was changed, or the key is another one's.
    #[error("the payload is not authentic: somebody changed it")]
    Forged,
}

fn random<const N: usize>(rng: &mut (impl CryptoRng + ?Sized)) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    rng.fill_bytes(&mut *bytes);
    bytes
}

/// Encrypts by a new key.
pub fn encrypt(version: Version, plain: &[u8], rng: &mut (impl CryptoRng + ?Sized)) -> Payload {
    match version {
        Version::Axolotl => {
            let (key, iv) = (random::<16>(rng), *random::<12>(rng));
            let mut body = Vec::with_capacity(plain.len() + TAG);
            body.extend_from_slice(plain);
            let cipher = AesGcm::<Aes128, U12>::new((&*key).into());
            cipher.encrypt_in_place((&iv).into(), b"", &mut body).expect("no text has 64 GiB");
            // The tag is sent with the key, so that no device can forge a payload that the others accept as this one.
            let tag = body.split_off(plain.len());
            Payload { body, iv: Some(iv), key: [&*key, tag.as_slice()].concat().into() }
        }
        Version::Omemo2 => {
            let key = random::<32>(rng);
            let sealing = Sealing::payload(&key);
            let body = sealing.encrypt(plain);
            let mac: [u8; TAG] = sealing.mac(&[&body]);
            Payload { body, iv: None, key: [key.as_slice(), &mac].concat().into() }
        }
    }
}

/// Decrypts a payload by the key material that a session brought.
pub fn decrypt(version: Version, body: &[u8], iv: Option<&[u8]>, key: &[u8]) -> Result<Secret, PayloadError> {
    match version {
        Version::Axolotl => {
            let (key, tag) = key.split_first_chunk::<16>().ok_or(PayloadError::WrongLength("key"))?;
            match tag.len() {
                TAG => {}
                0 => return Err(PayloadError::NoTag),
                _ => return Err(PayloadError::WrongLength("key")),
            }
            // Clients before 2020 have a vector of 16 bytes.
            let iv = iv.unwrap_or_default();
            let mut plain = Zeroizing::new([body, tag].concat());
            match iv.len() {
                12 => open::<U12>(key, iv, &mut plain)?,
                16 => open::<U16>(key, iv, &mut plain)?,
                _ => return Err(PayloadError::WrongLength("initialization vector")),
            }
            Ok(plain.into())
        }
        Version::Omemo2 => {
            let (key, mac) = key.split_first_chunk::<32>().ok_or(PayloadError::WrongLength("key"))?;
            if mac.len() != TAG {
                return Err(PayloadError::WrongLength("key"));
            }
            let sealing = Sealing::payload(&Zeroizing::new(*key));
            if !sealing.is_authentic(&[body], mac) {
                return Err(PayloadError::Forged);
            }
            sealing.decrypt(body).map(Secret::from).ok_or(PayloadError::Forged)
        }
    }
}

fn open<N: ArraySize>(key: &[u8; 16], iv: &[u8], text: &mut Vec<u8>) -> Result<(), PayloadError> {
    let iv = iv.try_into().map_err(|_| PayloadError::WrongLength("initialization vector"))?;
    AesGcm::<Aes128, N>::new(key.into()).decrypt_in_place(iv, b"", text).map_err(|_| PayloadError::Forged)
}

/// Makes the content of a message without a payload: a key that encrypts nothing.
pub fn empty(version: Version, rng: &mut (impl CryptoRng + ?Sized)) -> Empty {
    match version {
        Version::Axolotl => Empty { iv: Some(*random(rng)), key: random::<16>(rng).to_vec().into() },
        Version::Omemo2 => Empty { iv: None, key: vec![0; 32].into() },
    }
}
