//! AES of 128 bits in counter mode: encryption and decryption are the same.

use aes::Aes128;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use ctr::Ctr128BE;

/// Encrypts or decrypts in place. `top` is the upper half of the first counter; the lower half begins at 0.
pub(super) fn apply(key: &[u8; 16], top: u64, data: &mut [u8]) {
    let mut counter = [0; 16];
    counter[..8].copy_from_slice(&top.to_be_bytes());
    Ctr128BE::<Aes128>::new(key.into(), &counter.into()).apply_keystream(data);
}
