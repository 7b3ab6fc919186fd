//! Addresses of rooms and people as owners type them: they are read, and the known address is found that may be meant.

use jid::{BareJid, Error, Jid, NodeRef};
use parlor_base::escape::escape_untrusted;
use parlor_base::nearest::slips;

/// The most of a text that a refusal repeats, in bytes.
const LONGEST: usize = 1 << 10;

/// Reads the address of a room.
///
/// # Errors
///
/// If it is none: a sentence for the person who typed it.
pub fn room(text: &str) -> Result<BareJid, String> {
    let jid = BareJid::new(text).map_err(|error| refusal(text, reason(&error)))?;
    if jid.node().is_none() {
        return Err(refusal(text, "a room has a name before an @, such as room@service"));
    }
    Ok(jid)
}

/// Reads the address of a person.
///
/// # Errors
///
/// If it is none: a sentence for the person who typed it.
pub fn person(text: &str) -> Result<BareJid, String> {
    BareJid::new(text).map_err(|error| refusal(text, reason(&error)))
}

/// Reads the address of anything that messages can be sent to.
///
/// # Errors
///
/// If it is none: a sentence for the person who typed it.
pub fn recipient(text: &str) -> Result<Jid, String> {
    Jid::new(text).map_err(|error| refusal(text, reason(&error)))
}

fn refusal(text: &str, reason: &str) -> String {
    format!("{:?} is no address: {reason}", escape_untrusted(text, LONGEST))
}

/// Says what is wrong with an address. The library's words are those of the specification.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::NodeEmpty => "the name before the @ is missing",
        Error::NodeTooLong => "the name before the @ is longer than 1023 bytes",
        Error::NodePrep => "the name before the @ has characters that it may not have",
        Error::TooManyAts => "it has more than one @",
        Error::NamePrep | Error::Idna => "the part behind the @ is no domain",
        Error::ResourceInBareJid => "leave out the / and the part behind it",
        Error::ResourceEmpty | Error::ResourceMissingInFullJid => "there is nothing behind the /",
        Error::ResourceTooLong => "the part behind the / is longer than 1023 bytes",
        Error::ResourcePrep => "the part behind the / has characters that it may not have",
    }
}

/// Returns the known address that somebody probably meant: a similar name at the same service, or the same name at a similar one.
/// Services are long, so an allowance for the whole address would take most names of a service for slips.
pub fn nearest<'a>(typed: &BareJid, known: impl IntoIterator<Item = &'a BareJid>) -> Option<&'a BareJid> {
    let slips_in = |known: &BareJid| {
        if typed.domain().as_str() == known.domain().as_str() {
            slips(typed.node()?.as_str(), known.node()?.as_str())
        } else if typed.node().map(NodeRef::as_str) == known.node().map(NodeRef::as_str) {
            slips(typed.domain().as_str(), known.domain().as_str())
        } else {
            None
        }
    };
    let others = known.into_iter().filter(|known| *known != typed);
    others.filter_map(|known| Some((slips_in(known)?, known))).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_refused_in_words_for_people() {
        let words = |refused: Result<BareJid, String>| refused.unwrap_err();
        assert_eq!(words(room("x@@y")), "\"x@@y\" is no address: it has more than one @");
        assert_eq!(words(person("x@@y")), "\"x@@y\" is no address: it has more than one @");
        assert_eq!(recipient("x@@y").unwrap_err(), "\"x@@y\" is no address: it has more than one @");
        assert!(words(room("hall@muc.example.org/nick")).ends_with("leave out the / and the part behind it"));
        assert!(words(room("muc.example.org")).ends_with("a room has a name before an @, such as room@service"));
        assert!(words(person("@example.org")).ends_with("the name before the @ is missing"));
        assert!(words(person("juliet@")).ends_with("the part behind the @ is no domain"));
        assert!(recipient("hall@muc.example.org/").unwrap_err().ends_with("there is nothing behind the /"));
        assert!(recipient("hall@muc.example.org/nick").is_ok() && person("example.org").is_ok());
    }

    #[test]
    fn an_address_is_compared_part_by_part() {
        let known = ["hall@muc.try.test", "annex@muc.try.test", "juliet@try.test", "try.test"]
            .map(|known| known.parse::<BareJid>().unwrap());
        for (typed, meant) in [
            ("hal@muc.try.test", Some("hall@muc.try.test")),
            ("hall@muc.tyr.test", Some("hall@muc.try.test")),
            ("julet@try.test", Some("juliet@try.test")),
            ("den@muc.try.test", None),
            ("staff@muc.try.test", None),
            ("x@muc.try.test", None),
            ("tea@muc.try.test", None),
            ("hal@muc.tyr.test", None),
            ("hall@chat.example.org", None),
            ("hall@muc.try.test", None),
        ] {
            let typed: BareJid = typed.parse().unwrap();
            assert_eq!(nearest(&typed, &known).map(|meant| meant.as_str()), meant, "{typed}");
        }
    }
}
