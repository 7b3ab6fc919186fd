//! Links to encrypted files (XEP-0454): the key is in the fragment after the `#`, which is not sent to servers.
//!
//! A file is processed in parts, and its tag is at its end. So no part of a decrypted file is authentic before
//! [`Decrypting::finish`] has succeeded.

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::gcm::{BLOCK, Gcm};
use super::limits;
use super::secret::Secret;

const SCHEME: &str = "aesgcm://";

/// The number of bytes by which a file is longer when it is encrypted: the tag at its end.
pub const TAG: usize = BLOCK;

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
    /// There is no key after the `#`.
    #[error("the link has no key: behind # are 88 hexadecimal digits, or 96 of older clients")]
    NoKey,
    /// The file was changed, or the key is another file's.
    #[error("the file is not authentic: somebody changed it, or the link has another key")]
    Forged,
    /// It has more bytes than one key may encrypt.
    #[error("the file has more than 64 GiB, which is the most that one key encrypts")]
    TooLarge,
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
    /// The form of clients before 2020.
    Long([u8; 16]),
}

impl Iv {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Usual(iv) => iv,
            Self::Long(iv) => iv,
        }
    }
}

/// A parsed link.
#[derive(Clone)]
pub struct Link {
    https: String,
    key: FileKey,
}

/// Parses a link.
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

    /// Returns its key.
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
        let iv = self.iv.bytes();
        let mut digits = Zeroizing::new(vec![0; 2 * (iv.len() + self.key.len())]);
        let (first, second) = digits.split_at_mut(2 * iv.len());
        hex::encode_to_slice(iv, first).map_err(|_| LinkError::NoKey)?;
        hex::encode_to_slice(self.key.as_slice(), second).map_err(|_| LinkError::NoKey)?;
        Ok([SCHEME.as_bytes(), place.as_bytes(), b"#", &digits].concat().into())
    }
}

/// The encryption of a file. If a clone of it gets other bytes, do not send both: they use the same key stream.
#[derive(Clone)]
pub struct Encrypting(Gcm);

impl Encrypting {
    /// Begins to encrypt a file by a new key.
    pub fn begin(rng: &mut (impl CryptoRng + ?Sized)) -> (Self, FileKey) {
        let (mut key, mut iv) = (Zeroizing::new([0; 32]), [0; 12]);
        rng.fill_bytes(&mut *key);
        rng.fill_bytes(&mut iv);
        (Self(Gcm::new(&key, &iv)), FileKey { key, iv: Iv::Usual(iv) })
    }

    /// Encrypts the next part in place.
    pub fn part(&mut self, part: &mut [u8]) -> Result<(), LinkError> {
        self.0.encrypt(part)
    }

    /// Returns the tag, which follows the last part of the file.
    pub fn finish(self) -> Result<[u8; TAG], LinkError> {
        self.0.tag()
    }
}

/// The decryption of a file.
pub struct Decrypting(Gcm);

impl Decrypting {
    /// Begins to decrypt a file by its key.
    pub fn begin(key: &FileKey) -> Self {
        Self(Gcm::new(&key.key, key.iv.bytes()))
    }

    /// Decrypts the next part in place. It must not be handed out before [`Decrypting::finish`] found the whole file to
    /// be authentic.
    pub fn part(&mut self, part: &mut [u8]) -> Result<(), LinkError> {
        self.0.decrypt(part)
    }

    /// Checks all of the file by its last 16 bytes.
    pub fn finish(self, tag: &[u8; TAG]) -> Result<(), LinkError> {
        if self.0.matches(tag) { Ok(()) } else { Err(LinkError::Forged) }
    }
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

impl fmt::Debug for Encrypting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypting")
    }
}

impl fmt::Debug for Decrypting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decrypting")
    }
}
