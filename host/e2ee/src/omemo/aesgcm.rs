//! Links to files that are encrypted (XEP-0454): the key stands behind the `#`, which no server gets to see.

use std::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::consts::{U12, U16};
use aes_gcm::{AesGcm, KeyInit};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::limits;
use super::secret::Secret;

const SCHEME: &str = "aesgcm://";

/// A link or a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It does not begin with `aesgcm://` and a host, or `https://` and a host where that is asked for.
    #[error("the link does not lead to a file: it is aesgcm:// or https://, a host and a path")]
    NoFile,
    /// It is longer than any real one.
    #[error("the link has more than {} bytes", limits::LINK_BYTES)]
    TooLong,
    /// Behind the `#` is no key.
    #[error("the link has no key: behind # are 88 hexadecimal digits, or 96 of older clients")]
    NoKey,
    /// The file was changed, or the key is another file's.
    #[error("the file is not authentic: somebody changed it, or the link has another key")]
    Forged,
}

/// The key of a file, with its initialization vector. Each file has its own.
#[derive(Clone)]
pub struct FileKey {
    key: Zeroizing<[u8; 32]>,
    iv: Iv,
}

#[derive(Clone, Copy)]
enum Iv {
    Usual([u8; 12]),
    /// Of clients before 2020.
    Long([u8; 16]),
}

/// A link that was taken apart.
#[derive(Clone)]
pub struct Link {
    https: String,
    key: FileKey,
}

/// Takes a link apart.
pub fn parse(link: &str) -> Result<Link, LinkError> {
    if link.len() > limits::LINK_BYTES {
        return Err(LinkError::TooLong);
    }
    let scheme = link.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    let rest = scheme.map(|scheme| &link[scheme.len()..]).ok_or(LinkError::NoFile)?;
    let (place, digits) = rest.split_once('#').ok_or(LinkError::NoKey)?;
    let https = format!("https://{}", usable(place)?);
    let all = Zeroizing::new(hex::decode(digits).map_err(|_| LinkError::NoKey)?);
    let (iv, key) = all.split_last_chunk::<32>().ok_or(LinkError::NoKey)?;
    let iv = match iv.len() {
        12 => iv.try_into().map(Iv::Usual),
        16 => iv.try_into().map(Iv::Long),
        _ => return Err(LinkError::NoKey),
    };
    let key = FileKey { key: Zeroizing::new(*key), iv: iv.map_err(|_| LinkError::NoKey)? };
    Ok(Link { https, key })
}

/// A host and a path, without what could end the link early where somebody shows it.
fn usable(place: &str) -> Result<&str, LinkError> {
    let starts_with_host = place.starts_with(|first: char| !"/?#".contains(first));
    let is_whole = place.chars().all(|letter| !(letter.is_whitespace() || letter.is_control() || letter == '#'));
    if starts_with_host && is_whole { Ok(place) } else { Err(LinkError::NoFile) }
}

impl Link {
    /// Returns where the encrypted file is.
    pub fn https(&self) -> &str {
        &self.https
    }

    /// Returns what it is encrypted by.
    pub fn key(&self) -> &FileKey {
        &self.key
    }
}

impl FileKey {
    /// Makes the link for a file that was uploaded to an address with `https://`. It holds the key, so that it must not be
    /// sent in the clear.
    pub fn link(&self, https: &str) -> Result<Secret, LinkError> {
        if https.len() > limits::LINK_BYTES - 128 {
            return Err(LinkError::TooLong);
        }
        let place = usable(https.strip_prefix("https://").ok_or(LinkError::NoFile)?)?;
        let iv: &[u8] = match &self.iv {
            Iv::Usual(iv) => iv,
            Iv::Long(iv) => iv,
        };
        let mut digits = Zeroizing::new(vec![0; 2 * (iv.len() + self.key.len())]);
        let (first, second) = digits.split_at_mut(2 * iv.len());
        hex::encode_to_slice(iv, first).map_err(|_| LinkError::NoKey)?;
        hex::encode_to_slice(self.key.as_slice(), second).map_err(|_| LinkError::NoKey)?;
        Ok([SCHEME.as_bytes(), place.as_bytes(), b"#", &digits].concat().into())
    }
}

/// Encrypts a file by a new key. The result is 16 bytes longer.
pub fn encrypt(plain: &[u8], rng: &mut (impl CryptoRng + ?Sized)) -> (Vec<u8>, FileKey) {
    let (mut key, mut iv) = (Zeroizing::new([0; 32]), [0; 12]);
    rng.fill_bytes(&mut *key);
    rng.fill_bytes(&mut iv);
    let mut file = Vec::with_capacity(plain.len() + 16);
    file.extend_from_slice(plain);
    let cipher = AesGcm::<Aes256, U12>::new((&*key).into());
    cipher.encrypt_in_place((&iv).into(), b"", &mut file).expect("no file in memory has 64 GiB");
    (file, FileKey { key, iv: Iv::Usual(iv) })
}

/// Decrypts a file.
pub fn decrypt(file: &[u8], key: &FileKey) -> Result<Secret, LinkError> {
    let mut plain = Zeroizing::new(file.to_vec());
    let cipher_key = (&*key.key).into();
    let opened = match &key.iv {
        Iv::Usual(iv) => AesGcm::<Aes256, U12>::new(cipher_key).decrypt_in_place(iv.into(), b"", &mut *plain),
        Iv::Long(iv) => AesGcm::<Aes256, U16>::new(cipher_key).decrypt_in_place(iv.into(), b"", &mut *plain),
    };
    opened.map_err(|_| LinkError::Forged)?;
    Ok(plain.into())
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey")
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("https", &self.https).finish_non_exhaustive()
    }
}
