//! AES-256-GCM over a file in parts (NIST SP 800-38D). The crate `aes-gcm` only takes whole files, so this combines the
//! same two pieces, counter mode and GHASH.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit, KeyIvInit, StreamCipher as _, StreamCipherSeek as _};
use ctr::Ctr32BE;
use ghash::GHash;
use ghash::universal_hash::UniversalHash as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::aesgcm::LinkError;

/// The length of a block, and of the tag at the end of a file, in bytes.
pub(super) const BLOCK: usize = 16;

/// The progress of encrypting or decrypting a file.
#[derive(Clone)]
pub(super) struct Gcm {
    key: Zeroizing<[u8; 32]>,
    /// The first counter. Its block hides the tag, and the file begins with the next one.
    first: [u8; BLOCK],
    ghash: GHash,
    /// The encrypted bytes of an incomplete block.
    begun: [u8; BLOCK],
    /// The number of these bytes.
    filled: usize,
    /// The number of bytes so far.
    length: u64,
}

impl Gcm {
    /// Begins with an initialization vector of 12 bytes, or of another length.
    pub(super) fn new(key: &[u8; 32], iv: &[u8]) -> Self {
        let mut hash_key = Zeroizing::new([0_u8; BLOCK]);
        <Aes256 as KeyInit>::new(key.into()).encrypt_block((&mut *hash_key).into());
        let ghash = GHash::new((&*hash_key).into());
        let mut first = [0; BLOCK];
        if iv.len() == 12 {
            first[..12].copy_from_slice(iv);
            first[15] = 1;
        } else {
            let mut hash = ghash.clone();
            hash.update_padded(iv);
            hash.update_padded(&lengths(iv.len() as u64));
            first.copy_from_slice(&hash.finalize());
        }
        Self { key: Zeroizing::new(*key), first, ghash, begun: [0; BLOCK], filled: 0, length: 0 }
    }

    /// Encrypts the next part in place.
    pub(super) fn encrypt(&mut self, part: &mut [u8]) -> Result<(), LinkError> {
        self.apply(BLOCK as u64 + self.length, part)?;
        self.hash(part);
        Ok(())
    }

    /// Decrypts the next part in place. It is authentic only if [`Gcm::is_tag`] returns true at the end.
    pub(super) fn decrypt(&mut self, part: &mut [u8]) -> Result<(), LinkError> {
        let at = BLOCK as u64 + self.length;
        self.hash(part);
        self.apply(at, part)
    }

    /// Returns the tag of all that was encrypted.
    pub(super) fn tag(mut self) -> Result<[u8; BLOCK], LinkError> {
        self.ghash.update_padded(&self.begun[..self.filled]);
        self.ghash.update_padded(&lengths(self.length));
        let mut tag = [0; BLOCK];
        tag.copy_from_slice(&self.ghash.clone().finalize());
        self.apply(0, &mut tag)?;
        Ok(tag)
    }

    /// Returns whether this is the tag of all that was decrypted. It takes the same time wherever the first difference is.
    pub(super) fn matches(self, tag: &[u8; BLOCK]) -> bool {
        self.tag().is_ok_and(|own| own.ct_eq(tag).into())
    }

    /// Encrypts or decrypts bytes by the part of the key stream that begins there.
    fn apply(&self, at: u64, bytes: &mut [u8]) -> Result<(), LinkError> {
        let mut cipher = <Ctr32BE<Aes256> as KeyIvInit>::new((&*self.key).into(), &self.first.into());
        cipher.try_seek(at).and_then(|()| cipher.try_apply_keystream(bytes)).map_err(|_| LinkError::TooLarge)
    }

    fn hash(&mut self, mut encrypted: &[u8]) {
        self.length += encrypted.len() as u64;
        if self.filled > 0 {
            let (now, later) = encrypted.split_at(encrypted.len().min(BLOCK - self.filled));
            self.begun[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            encrypted = later;
            if self.filled < BLOCK {
                return;
            }
            self.ghash.update_padded(&self.begun);
            self.filled = 0;
        }
        let (whole, rest) = encrypted.split_at(encrypted.len() - encrypted.len() % BLOCK);
        self.ghash.update_padded(whole);
        self.begun[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }
}

/// Returns the last block that is hashed, with the length of the file in bits. There is no additional authenticated
/// data.
fn lengths(bytes: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[8..].copy_from_slice(&(bytes * 8).to_be_bytes());
    block
}
