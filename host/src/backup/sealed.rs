//! The part of a backup that a passphrase encrypts: Argon2id (RFC 9106) makes the key, and ChaCha20-Poly1305 (RFC 8439) encrypts
//! with it. Both are those of libraries.

use std::io;

use argon2::{Algorithm, Argon2, Params, Version};
use parlor_session::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// The fewest characters of a passphrase for a backup.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// The first bytes of the part.
const MAGIC: &[u8; 16] = b"parlor sealed 1\n";
const SALT: usize = 16;
const KEY: usize = 32;
/// The second recommended choice of RFC 9106, section 4: memory in KiB, passes, and lanes.
const MEMORY: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// Encrypts a text. `about` is not encrypted, and must be the same when the text is opened.
pub(super) fn seal(passphrase: &Secret, mut text: Vec<u8>, about: &[u8]) -> io::Result<Vec<u8>> {
    let (salt, nonce) = (rand::random::<[u8; SALT]>(), rand::random::<[u8; NONCE_LEN]>());
    let key = key(passphrase, &salt)?;
    let head = [&MAGIC[..], &salt, &nonce].concat();
    // The salt is new, so the key is, and no nonce comes twice with it.
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from([&head[..], about].concat()), &mut text)
        .map_err(|_| io::Error::other("there is too much to encrypt"))?;
    Ok([head, text].concat())
}

/// Decrypts what [`seal`] made; none if the passphrase is another one, or a byte of it or of `about` was changed.
pub(super) fn open(passphrase: &Secret, sealed: &[u8], about: &[u8]) -> io::Result<Option<Secret>> {
    let (head, text) = sealed.split_at_checked(MAGIC.len() + SALT + NONCE_LEN).unwrap_or_default();
    let Some(rest) = head.strip_prefix(MAGIC) else { return Ok(None) };
    let (salt, nonce) = rest.split_at(SALT);
    let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) else { return Ok(None) };
    let key = key(passphrase, salt)?;
    let mut text = text.to_vec();
    let Ok(opened) = key.open_in_place(nonce, Aad::from([head, about].concat()), &mut text) else { return Ok(None) };
    let length = opened.len();
    text.truncate(length);
    Ok(Some(Secret::new(text)))
}

fn key(passphrase: &Secret, salt: &[u8]) -> io::Result<LessSafeKey> {
    let failed = |error: argon2::Error| io::Error::other(format!("no key can be made of the passphrase: {error}"));
    let params = Params::new(MEMORY, PASSES, LANES, Some(KEY)).map_err(failed)?;
    let mut bytes = [0; KEY];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut bytes)
        .map_err(failed)?;
    let key =
        UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| io::Error::other("the key has another length"))?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn only_the_passphrase_opens_it_and_only_as_it_was() {
        let (right, text) = (secret("correct horse"), b"the keys".to_vec());
        let sealed = seal(&right, text.clone(), b"about").unwrap();
        assert!(!sealed.windows(text.len()).any(|part| part == text));
        assert_eq!(open(&right, &sealed, b"about").unwrap().as_deref(), Some(&text[..]));
        assert!(open(&secret("correct hors"), &sealed, b"about").unwrap().is_none());
        assert!(open(&right, &sealed, b"abouT").unwrap().is_none());
        // One byte of each part: the beginning, the salt, the nonce, the text, the tag.
        for at in [0, 20, 34, 46, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&right, &changed, b"about").unwrap().is_none(), "{at}");
        }
        for length in [0, 16, 43] {
            assert!(open(&right, &sealed[..length], b"about").unwrap().is_none(), "{length}");
        }
        assert_ne!(seal(&right, text, b"about").unwrap(), sealed, "each has a key of its own");
    }
}
