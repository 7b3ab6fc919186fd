//! Keys derived from a shared secret, and MACs.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The keys of one direction of a key exchange.
pub(super) struct ExchangeKeys {
    /// Encrypts the signature.
    pub(super) cipher: Zeroizing<[u8; 16]>,
    /// Makes the MAC that is signed.
    pub(super) signed: Zeroizing<[u8; 32]>,
    /// Makes the MAC of the encrypted signature.
    pub(super) sealing: Zeroizing<[u8; 32]>,
}

/// The values that a key exchange derives from its shared secret.
pub(super) struct ExchangeSecrets {
    /// Names the conversation in a comparison of secrets.
    pub(super) session_id: Zeroizing<[u8; 8]>,
    /// The keys of the side that sent the commitment.
    pub(super) committer: ExchangeKeys,
    /// The keys of the side that answered it.
    pub(super) responder: ExchangeKeys,
}

impl ExchangeSecrets {
    pub(super) fn derive(shared: &[u8]) -> Self {
        let hash = |byte: u8| {
            Zeroizing::new(<[u8; 32]>::from(Sha256::new().chain_update([byte]).chain_update(shared).finalize()))
        };
        let (id, ciphers) = (hash(0), hash(1));
        Self {
            session_id: first(&*id),
            committer: ExchangeKeys { cipher: first(&*ciphers), signed: hash(2), sealing: hash(3) },
            responder: ExchangeKeys { cipher: first(&ciphers[16..]), signed: hash(4), sealing: hash(5) },
        }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    out.copy_from_slice(&bytes[..N]);
    out
}

/// The keys of one direction of data messages.
pub(super) struct MessageKeys {
    pub(super) cipher: Zeroizing<[u8; 16]>,
    pub(super) mac: Zeroizing<[u8; 20]>,
}

impl MessageKeys {
    /// Derives the keys of the side whose public key is the greater number, or of the other.
    pub(super) fn derive(shared: &[u8], is_greater: bool) -> Self {
        let byte = if is_greater { 1 } else { 2 };
        let hash = Zeroizing::new(<[u8; 20]>::from(Sha1::new().chain_update([byte]).chain_update(shared).finalize()));
        let cipher = first::<16>(&*hash);
        let mac = Zeroizing::new(Sha1::digest(*cipher).into());
        Self { cipher, mac }
    }
}

/// Computes a MAC of 256 bits.
pub(super) fn mac_sha256(key: &[u8; 32], data: &[u8]) -> [u8; 32] {
    <Hmac<Sha256>>::new((&*key_block(key)).into()).chain_update(data).finalize().into_bytes().into()
}

/// Computes a MAC of 256 bits, cut to 160.
pub(super) fn mac_sha256_160(key: &[u8; 32], data: &[u8]) -> [u8; 20] {
    let mut cut = [0; 20];
    cut.copy_from_slice(&mac_sha256(key, data)[..20]);
    cut
}

/// Computes a MAC by SHA-1.
pub(super) fn mac_sha1(key: &[u8; 20], data: &[u8]) -> [u8; 20] {
    <Hmac<Sha1>>::new((&*key_block(key)).into()).chain_update(data).finalize().into_bytes().into()
}

/// A key of HMAC is filled up with zeros to the block of its hash, 64 bytes for both.
fn key_block(key: &[u8]) -> Zeroizing<[u8; 64]> {
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    block
}

/// Compares in constant time.
pub(super) fn are_equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::{mac_sha1, mac_sha256};

    /// RFC 4231, test case 1 (key of 20 bytes), and RFC 2202, test case 1.
    #[test]
    fn macs_are_as_published() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(mac_sha256(&key, b"Hi There")), expected);
        assert_eq!(hex::encode(mac_sha1(&[0x0b; 20], b"Hi There")), "b617318655057264e28bc0b6fb378c8ef146be00");
    }
}
