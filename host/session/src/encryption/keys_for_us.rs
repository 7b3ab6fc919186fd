//! Reads the keys of a received message that are for the account's device.

use parlor_e2ee::omemo::{
    Device, Effort, KeyMessage, Prekeys, ReceiveError, Received, Session as OmemoSession, Version, receive,
};
use parlor_stanza::types::EncryptedKeys;

/// Maximum number of keys of one message that are tried, if several devices have the id of this one.
const MAX_SAME_IDS: usize = 8;

/// Reads a message by the first key for this device that belongs to its session. In the older form a device of another
/// person may have the same id: anybody can list any id, so that a member of a room could otherwise hide messages from the
/// account. `None`: there is no key.
///
/// Later keys may repeat the first one: in rooms, profanity writes one for each form in which it knows an address. They are used up as
/// well, since the session would keep a key for each of them, as for a missing message.
pub(super) fn receive_one_of(
    keys: &EncryptedKeys,
    device: &Device,
    session: Option<&OmemoSession>,
    by: (Version, Prekeys),
) -> Option<Result<Received, ReceiveError>> {
    let (mut refused, mut effort) = (None, Effort::of_one_stanza());
    let mut read: Option<Received> = None;
    for (prekey, bytes) in keys.of(device.id().get()).take(MAX_SAME_IDS) {
        let session = read.as_ref().map_or(session, |read| Some(&read.session));
        let received = receive(device, session, by, &KeyMessage { prekey, bytes }, &mut effort, &mut rand::rng());
        if let Some(read) = &mut read {
            if let Ok(again) = received
                && again.used_prekey.is_none()
                && again.plain == read.plain
            {
                read.session = again.session;
            }
            continue;
        }
        match received {
            Ok(first) => read = Some(first),
            Err(error) if refused.is_none() || error == ReceiveError::Replayed => refused = Some(error),
            Err(_) => {}
        }
    }
    read.map(Ok).or(refused.map(Err))
}
