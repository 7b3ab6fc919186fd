//! Bundles: the public keys of a device, by which others start sessions with it.

use std::collections::BTreeSet;
use std::fmt;

use rand::CryptoRng;

use super::error::BundleError;
use super::keys::{self, Fingerprint, Public};
use super::limits;
use super::version::Version;
use super::wire;

/// A bundle as in XML, after base64: keys have 33 bytes in [`Version::Axolotl`] (the first is a 5), and 32 in
/// [`Version::Omemo2`], where the identity key is one of Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleParts {
    /// `signedPreKeyId`, or `spk` with its `id`.
    pub signed_prekey_id: u32,
    /// `signedPreKeyPublic`, or `spk`.
    pub signed_prekey: Vec<u8>,
    /// `signedPreKeySignature`, or `spks`.
    pub signature: Vec<u8>,
    /// `identityKey`, or `ik`.
    pub identity_key: Vec<u8>,
    /// `preKeyPublic`, or `pk`, each with its id.
    pub prekeys: Vec<(u32, Vec<u8>)>,
}

/// A bundle whose lengths, counts, keys and signature were checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    pub(super) version: Version,
    /// In the form of the version.
    pub(super) identity: Public,
    pub(super) fingerprint: Fingerprint,
    pub(super) signed_prekey_id: u32,
    pub(super) signed_prekey: Public,
    pub(super) signature: [u8; 64],
    pub(super) prekeys: Vec<(u32, Public)>,
}

impl Bundle {
    /// Checks a foreign bundle. Only its first [`limits::FOREIGN_PREKEYS`] prekeys are read.
    pub fn parse(version: Version, parts: &BundleParts) -> Result<Self, BundleError> {
        let key = |what, bytes: &[u8]| wire::decode_key(version, bytes).ok_or(BundleError::Malformed(what));
        let usable = |what, key: Public| {
            if keys::is_low_order(&key) { Err(BundleError::LowOrderKey(what)) } else { Ok(key) }
        };
        if parts.prekeys.is_empty() {
            return Err(BundleError::NoPrekeys);
        }
        let identity = wire::decode_identity(version, &parts.identity_key);
        let identity = identity.ok_or(BundleError::Malformed("identity key"))?;
        let on_curve = wire::curve25519(version, &identity).ok_or(BundleError::Malformed("identity key"))?;
        let fingerprint = Fingerprint::from_curve25519(usable("identity key", on_curve)?);
        let signed_prekey = usable("signed prekey", key("signed prekey", &parts.signed_prekey)?)?;
        let signature = parts.signature.as_slice().try_into().map_err(|_| BundleError::Malformed("signature"))?;
        check_signature(version, &identity, &parts.signed_prekey, signature)?;
        let mut ids = BTreeSet::new();
        let mut prekeys = Vec::with_capacity(parts.prekeys.len().min(limits::FOREIGN_PREKEYS));
        for (id, bytes) in parts.prekeys.iter().take(limits::FOREIGN_PREKEYS) {
            if !ids.insert(*id) {
                return Err(BundleError::SamePrekey(*id));
            }
            // The prekeys are not signed, and a session needs only one of them, so a damaged one is skipped.
            let Some(public) = wire::decode_key(version, bytes) else { continue };
            prekeys.push((*id, usable("prekey", public)?));
        }
        if prekeys.is_empty() {
            return Err(BundleError::Malformed("prekey"));
        }
        let signed_prekey_id = parts.signed_prekey_id;
        Ok(Self { version, identity, fingerprint, signed_prekey_id, signed_prekey, signature, prekeys })
    }

    /// Returns the bundle to publish.
    pub fn parts(&self) -> BundleParts {
        BundleParts {
            signed_prekey_id: self.signed_prekey_id,
            signed_prekey: wire::encode_key(self.version, &self.signed_prekey),
            signature: self.signature.to_vec(),
            identity_key: wire::encode_key(self.version, &self.identity),
            prekeys: self.prekeys.iter().map(|(id, key)| (*id, wire::encode_key(self.version, key))).collect(),
        }
    }

    /// Returns the version that it is for.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns its identity.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Pick a random prekey, so that two devices that start at the same time seldom take the same one. One with the id 0 is the last
    /// choice: Converse publishes it, and takes a message that names it for one without a prekey, which it cannot read.
    pub(super) fn pick(&self, rng: &mut (impl CryptoRng + ?Sized)) -> (u32, Public) {
        let mut meant: Vec<_> = self.prekeys.iter().filter(|(id, _)| *id != 0).collect();
        if meant.is_empty() {
            meant.extend(&self.prekeys);
        }
        // The bias of the remainder is one in a hundred million, which does no harm.
        let count = u32::try_from(meant.len()).expect("at most `FOREIGN_PREKEYS`");
        *meant[(rng.next_u32() % count) as usize]
    }
}

/// The signature is over the signed prekey in the form of the version.
fn check_signature(
    version: Version,
    identity: &Public,
    signed: &[u8],
    mut signature: [u8; 64],
) -> Result<(), BundleError> {
    let ed25519 = match version {
        Version::Omemo2 => Some(*identity),
        Version::Axolotl => {
            // libsignal keeps the sign of the identity key in the highest bit of the signature, which is free.
            let sign = signature[63] & 0x80 != 0;
            signature[63] &= 0x7F;
            keys::to_ed25519(identity, sign)
        }
    };
    let ed25519 = ed25519.ok_or(BundleError::Malformed("identity key"))?;
    if keys::is_signed(&ed25519, signed, &signature) { Ok(()) } else { Err(BundleError::WrongSignature) }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({}, {}, {} prekeys)", self.version, self.fingerprint, self.prekeys.len())
    }
}
