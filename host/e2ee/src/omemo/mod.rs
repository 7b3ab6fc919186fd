//! OMEMO (XEP-0384) in both versions that are in use: keys, bundles, sessions, payloads, and links to encrypted files.
//!
//! **Begin with** [`Device`], which holds the own secrets. [`start`] makes a [`Session`] from a foreign [`Bundle`], and
//! [`receive`] one from a message of somebody who started first. A session carries nothing but the key of a payload;
//! [`payload`] encrypts what is said.
//!
//! The order that keeps a key from being used twice: encrypt, write the changed session to disk, then send. And on the
//! other way: receive, write what [`Received`] holds to disk, then tell that the message has come.
//!
//! Below are the documents of Signal: X3DH in `exchange`, the Double Ratchet in `ratchet`, `XEdDSA` in `keys`. The versions
//! differ in names, in how keys and messages look as bytes, and in what a signature is over: see `version` and `wire`.

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
pub use device::{Device, Keep, Prekeys};
pub use error::{BundleError, EncryptError, ReceiveError, StartError, StateError};
pub use keys::{Fingerprint, NoFingerprint};
pub use secret::Secret;
pub use session::{KeyMessage, Received, Session, receive, start};
pub use version::{DeviceId, NoDeviceId, Version};

#[cfg(test)]
mod tests;
