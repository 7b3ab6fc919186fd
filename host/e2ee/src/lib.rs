//! End-to-end encryption as state machines: secrets and bytes go in, secrets and bytes come out.
//!
//! **Owns:** the secrets of an account's own device, the conversations with foreign devices, and the byte formats of
//! both.
//!
//! **Must not** do I/O, wait, read a clock or make randomness: callers pass the time and the randomness. It knows
//! nothing of XML, addresses and trust.
//!
//! **Begin with** [`omemo`], the encryption of today's clients, or [`otr`], that of older ones.
//!
//! It implements no primitives: curves, ciphers and hashes are those of dalek and `RustCrypto`. All bytes from outside
//! are bounded before they are read, and a state changes only after all of a message proved to be authentic.

pub mod omemo;
pub mod otr;

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    /// Compiles only for a type whose values are wiped when they are dropped.
    fn is_wiped<T: ZeroizeOnDrop>() {}

    /// Without a feature of its crate, such a type leaves keys, or numbers that tell of keys, in freed memory, and this does
    /// not compile.
    #[test]
    fn what_computes_with_secrets_is_wiped() {
        is_wiped::<sha1::Sha1>();
        is_wiped::<sha2::Sha256>();
        is_wiped::<sha2::Sha512>();
        is_wiped::<aes::Aes128>();
        is_wiped::<aes::Aes256>();
        is_wiped::<ctr::Ctr128BE<aes::Aes128>>();
        is_wiped::<ctr::Ctr32BE<aes::Aes256>>();
        is_wiped::<cbc::Encryptor<aes::Aes256>>();
        is_wiped::<cbc::Decryptor<aes::Aes256>>();
        is_wiped::<aes_gcm::Aes128Gcm>();
        is_wiped::<dsa::SigningKey>();
        is_wiped::<x25519_dalek::StaticSecret>();
        is_wiped::<ed25519_dalek::hazmat::ExpandedSecretKey>();
    }
}
