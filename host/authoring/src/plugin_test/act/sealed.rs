//! Parses how somebody's message was encrypted: `alice (omemo): hello`, or `alice (omemo, distrusted): hello`.

use parlor_stanza::types::{DeviceTrust, Encryption};

use super::super::server::Sealed;
use super::Act;

/// Parses what follows a speaker, if it says how the message was encrypted. Returns that, and the text.
pub(super) fn sealed(rest: &str) -> Option<(Result<Sealed, String>, &str)> {
    let (written, said) = rest.strip_prefix('(')?.split_once("):")?;
    let (way, trust) = written.split_once(',').unwrap_or((written, DeviceTrust::Blind.as_str()));
    let (ways, trusts) = (Encryption::ALL.map(Encryption::as_str), DeviceTrust::ALL.map(DeviceTrust::as_str));
    let sealed = match (Encryption::named(way.trim()), DeviceTrust::named(trust.trim())) {
        (Some(by), Some(trust)) => Ok(Sealed { by, trust }),
        _ => Err(format!(
            "in the brackets stands one of {}, and behind a comma one of {}",
            ways.join(", "),
            trusts.join(", ")
        )),
    };
    Some((sealed, said.trim()))
}

/// Marks a message as encrypted.
pub(super) fn marked(act: Act, sealed: Sealed) -> Act {
    match act {
        Act::Say(mut said) => {
            said.sealed = Some(sealed);
            Act::Say(said)
        }
        other => other,
    }
}
