//! Key derivation, and the encryption of a message by its own key.

use std::sync::LazyLock;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hkdf::{Hkdf, HkdfExtract};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::keys::Key;
use super::version::Version;

/// The texts that HKDF mixes in, so that no key serves two purposes.
struct Infos {
    exchange: &'static [u8],
    root: &'static [u8],
    message: &'static [u8],
}

fn infos(version: Version) -> Infos {
    match version {
        Version::Axolotl => Infos { exchange: b"WhisperText", root: b"WhisperRatchet", message: b"WhisperMessageKeys" },
        Version::Omemo2 => {
            Infos { exchange: b"OMEMO X3DH", root: b"OMEMO Root Chain", message: b"OMEMO Message Key Material" }
        }
    }
}

fn derive<const N: usize>(salt: &[u8; 32], from: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    expanded(&Hkdf::new(Some(salt), from), info)
}

/// The same with a salt of zeros, as each message needs it. The salt is hashed once in a process.
fn derive_unsalted<const N: usize>(from: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    static ZEROS: LazyLock<HkdfExtract<Sha256>> = LazyLock::new(|| HkdfExtract::new(Some(&[0; 32])));
    let mut extract = ZEROS.clone();
    extract.input_ikm(from);
    expanded(&extract.finalize().1, info)
}

fn expanded<const N: usize>(from: &Hkdf<Sha256>, info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    from.expand(info, &mut *out).expect("at most 80 bytes, and 8160 are possible");
    out
}

fn part<const N: usize>(of: &[u8], start: usize) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    out.copy_from_slice(&of[start..start + N]);
    out
}

/// HMAC with SHA-256.
pub(super) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The first root key, from the shared secret of X3DH.
pub(super) fn exchanged(version: Version, agreed: &[Key; 4]) -> Key {
    let mut from = Zeroizing::new([0xFF; 160]);
    for (place, one) in from.chunks_mut(32).skip(1).zip(agreed) {
        place.copy_from_slice(&**one);
    }
    derive_unsalted(&*from, infos(version).exchange)
}

/// The next root key, and the first key of the chain that begins with it.
pub(super) fn root(version: Version, root: &Key, agreed: &Key) -> (Key, Key) {
    let both = derive::<64>(root, &**agreed, infos(version).root);
    (part(&*both, 0), part(&*both, 32))
}

/// The key of the next message of a chain, and the next key of the chain.
pub(super) fn chain(key: &Key) -> (Key, Key) {
    // The key is hashed once for both.
    let keyed = hmac(key, &[]);
    let one = |byte: u8| Zeroizing::new(<[u8; 32]>::from(keyed.clone().chain_update([byte]).finalize().into_bytes()));
    (one(1), one(2))
}

/// A key for a cipher, one for a MAC, and where the cipher begins.
pub(super) struct Sealing {
    cipher: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
    iv: Zeroizing<[u8; 16]>,
}

impl Sealing {
    /// For one message of a session.
    pub(super) fn message(version: Version, key: &Key) -> Self {
        Self::of(key, infos(version).message)
    }

    /// For one payload of the later version.
    pub(super) fn payload(key: &Key) -> Self {
        Self::of(key, b"OMEMO Payload")
    }

    fn of(key: &Key, info: &[u8]) -> Self {
        let all = derive_unsalted::<80>(&**key, info);
        Self { cipher: part(&*all, 0), mac: part(&*all, 32), iv: part(&*all, 64) }
    }

    /// AES-256 in CBC mode, filled up as PKCS #7 says.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let cipher = cbc::Encryptor::<Aes256>::new((&*self.cipher).into(), (&*self.iv).into());
        cipher.encrypt_padded_vec::<Pkcs7>(plain)
    }

    /// The opposite. Use it only after [`Sealing::is_authentic`] returned true: correct padding proves nothing.
    pub(super) fn decrypt(&self, encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = cbc::Decryptor::<Aes256>::new((&*self.cipher).into(), (&*self.iv).into());
        let mut plain = Zeroizing::new(encrypted.to_vec());
        let length = cipher.decrypt_padded::<Pkcs7>(&mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }

    /// The MAC over parts, cut to as many bytes as asked.
    pub(super) fn mac<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let full = hmac(&self.mac, parts).finalize().into_bytes();
        let mut cut = [0; N];
        cut.copy_from_slice(&full[..N]);
        cut
    }

    /// Whether this is the MAC over parts. The caller must check its length.
    pub(super) fn is_authentic(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        hmac(&self.mac, parts).verify_truncated_left(mac).is_ok()
    }
}
