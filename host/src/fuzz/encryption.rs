//! End-to-end encrypted input from other people.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlor_e2ee::omemo::{Device, Effort, KeyMessage, Prekeys, ReceiveError, Session, Version, receive};
use parlor_e2ee::otr::{Account, Conversation, Outcome, Policy};

use super::refused;

/// Maximum number of bytes that this side sends automatically after one text.
const ANSWERS: usize = 16 << 10;

/// The account's own device. The fuzzer does not know its keys.
static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Device::generate(&mut rand::rng(), now)
});

static ACCOUNT: LazyLock<Arc<Account>> = LazyLock::new(|| Arc::new(Account::generate(&mut rand::rng())));

/// Reads an OMEMO message for one device. The first byte selects the namespace, and whether the message begins a
/// session. No fuzzed message is authentic. The error states why it is not a valid message.
pub fn an_omemo_message(bytes: &[u8]) -> Result<(), String> {
    let Some((first, rest)) = bytes.split_first() else { return Err("it is empty".to_owned()) };
    let version = if first & 1 == 0 { Version::Axolotl } else { Version::Omemo2 };
    let message = KeyMessage { prekey: first & 2 != 0, bytes: rest.to_vec() };
    let error =
        receive(&DEVICE, None, (version, Prekeys::Fresh), &message, &mut Effort::of_one_stanza(), &mut rand::rng())
            .expect_err("nobody has the keys");
    match error {
        ReceiveError::Malformed(_) | ReceiveError::TooLarge | ReceiveError::UnknownVersion(_) => Err(refused(&error)),
        _ => Ok(()),
    }
}

/// Reads a state as it is kept on disk: of a session, or of a device. A readable state must be written and read again.
pub fn an_omemo_state(bytes: &[u8]) -> Result<(), String> {
    match (Session::from_bytes(bytes), Device::from_bytes(bytes)) {
        (Ok(session), _) => drop(Session::from_bytes(&session.to_bytes()).expect("it reads what it wrote")),
        (_, Ok(device)) => drop(Device::from_bytes(&device.to_bytes()).expect("it reads what it wrote")),
        (_, Err(error)) => return Err(refused(&error)),
    }
    Ok(())
}

/// Reads a text in a conversation that has just begun. Little is answered to it, and nothing that is made up is authentic.
pub fn an_otr_text(text: &str) -> Result<(), String> {
    let mut conversation = Conversation::new(Arc::clone(&ACCOUNT), Policy::default());
    let mut sent = 0;
    let (mut is_authentic, mut error) = (false, None);
    for outcome in conversation.receive(text, Duration::ZERO, &mut rand::rng()) {
        match outcome {
            Outcome::Send(answer) => sent += answer.len(),
            Outcome::Error(why) => error = Some(refused(&why)),
            Outcome::Message { .. } | Outcome::Started { .. } | Outcome::SmpDone { .. } => is_authentic = true,
            _ => {}
        }
    }
    assert!(!is_authentic, "made up, and taken as authentic: {text:.2000}");
    assert!(sent <= ANSWERS, "{sent} bytes are sent for {text:.2000}");
    error.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::tests::{fuzz, seeds, text};

    #[test]
    fn whatever_comes_as_a_key_of_a_message() {
        fuzz("omemo", &seeds("omemo"), 2_000, an_omemo_message);
    }

    #[test]
    fn whatever_is_said_off_the_record() {
        // Each answer to an exchange of keys takes a millisecond.
        fuzz("otr", &seeds("otr"), 500, text(an_otr_text));
    }

    #[test]
    fn whatever_is_read_as_a_state() {
        fuzz("state", &[DEVICE.to_bytes().to_vec()], 2_000, an_omemo_state);
    }
}
