//! OMEMO (XEP-0384) in both versions that are in use: keys, bundles, sessions, payloads, and links to encrypted files.
//!
//! **Begin with** [`Device`], which holds the own secrets. [`start`] makes a [`Session`] from a foreign [`Bundle`], and
//! [`receive`] makes one from the first message of another device. A session carries only the key of a payload;
//! [`payload`] encrypts the content.
//!
//! This order prevents that a key is used twice: encrypt, write the changed session to disk, then send. In the other
//! direction: receive, write the contents of [`Received`] to disk, then report the message.
//!
//! Below are the documents of Signal: X3DH in `exchange`, the Double Ratchet in `ratchet`, `XEdDSA` in `keys`. The
//! versions differ in names, in the byte formats of keys and messages, and in the signed bytes: see `version` and
//! `wire`.

pub mod aesgcm;
mod bundle;
mod device;
mod error;
mod exchange;
mod fields;
mod gcm;
mod kdf;
mod keys;
pub mod limits;
pub mod payload;
mod ratchet;
mod secret;
mod session;
mod version;
mod wire;

pub use bundle::{Bundle, BundleParts};
pub use device::{Device, Exchanged, Keep, Prekeys};
pub use error::{BundleError, EncryptError, ReceiveError, StartError, StateError};
pub use keys::{Fingerprint, NoFingerprint};
pub use ratchet::{Effort, SessionStep};
pub use secret::Secret;
pub use session::{KeyMessage, Received, Session, receive, start};
pub use version::{DeviceId, NoDeviceId, Version};

#[cfg(test)]
mod tests;
