//! X3DH: two devices agree on a first secret while one of them may be offline.
//!
//! The order of the four products is the document's, so that each side gets the same.

use super::bundle::Bundle;
use super::device::{Device, Exchanged, Prekeys};
use super::error::ReceiveError;
use super::kdf;
use super::keys::{Identity, Key, KeyPair, LowOrder, Public};
use super::version::Version;
use super::wire::Exchange;

/// The side that starts, with the prekey that it picked.
pub(super) fn begin(own: &Identity, base: &KeyPair, bundle: &Bundle, prekey: &Public) -> Result<Key, LowOrder> {
    let agreed = [
        own.pair().agree(&bundle.signed_prekey)?,
        base.agree(bundle.fingerprint.curve25519())?,
        base.agree(&bundle.signed_prekey)?,
        base.agree(prekey)?,
    ];
    Ok(kdf::exchanged(bundle.version, &agreed))
}

/// The other side. `identity` is the one of the message as a key of Curve25519. Returns the signed prekey as well, which is
/// the first key of the ratchet.
pub(super) fn answer<'a>(
    own: &'a Device,
    (version, prekeys): (Version, Prekeys),
    exchange: &Exchange,
    identity: &Public,
) -> Result<(Key, &'a KeyPair), ReceiveError> {
    let signed_prekey = own.signed_prekey(exchange.signed_prekey)?;
    let prekey = own.prekey(exchange.prekey, prekeys, Exchanged(exchange.base))?;
    let agreed = || {
        Ok([
            signed_prekey.agree(identity)?,
            own.identity.pair().agree(&exchange.base)?,
            signed_prekey.agree(&exchange.base)?,
            prekey.agree(&exchange.base)?,
        ])
    };
    let agreed = agreed().map_err(|LowOrder| ReceiveError::LowOrderKey)?;
    Ok((kdf::exchanged(version, &agreed), signed_prekey))
}
