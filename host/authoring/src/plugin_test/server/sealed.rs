//! Messages that a test marks as encrypted. Tests have no keys: the account gets such a message in the form that its
//! session gives a decrypted one.

use jid::FullJid;
use jiff::Timestamp;
use minidom::Element;
use parlor_stanza::decode::decode;
use parlor_stanza::encode::name;
use parlor_stanza::files::add_encrypted;
use parlor_stanza::types::{DeviceTrust, Encryption, Incoming};
use xmpp_parsers::stanza::Stanza;

/// How somebody's message is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The way.
    pub by: Encryption,
    /// The owner's decision about the person's device.
    pub trust: DeviceTrust,
}

/// The name and the namespace of the mark, which stays within the test.
const MARK: (&str, &str) = ("sealed", "urn:x-parlor:test");

impl Sealed {
    /// Returns the mark of a message that is encrypted so.
    pub(super) fn element(self) -> Element {
        Element::builder(MARK.0, MARK.1)
            .attr(name("by"), self.by.as_str())
            .attr(name("trust"), self.trust.as_str())
            .build()
    }
}

/// Reads a stanza as the account gets it.
pub(super) fn decoded(
    mut element: Element,
    own: &FullJid,
    now: Timestamp,
) -> Result<Incoming, <Stanza as TryFrom<Element>>::Error> {
    let mark = element.remove_child(MARK.0, MARK.1);
    let mut incoming = decode(Stanza::try_from(element)?, own, now);
    if let (Incoming::Message(message), Some(mark)) = (&mut incoming, mark) {
        message.encryption = mark.attr("by").and_then(Encryption::named);
        message.device_trust = mark.attr("trust").and_then(DeviceTrust::named);
        add_encrypted(message);
    }
    Ok(incoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_read_as_decrypted_and_has_no_mark() {
        let own = FullJid::new("bot@example.org/here").unwrap();
        let message = "<message xmlns='jabber:client' from='a@b/c' type='chat'><body>hi</body></message>";
        let mut element: Element = message.parse().unwrap();
        element.append_child(Sealed { by: Encryption::Otr, trust: DeviceTrust::Trusted }.element());
        let Ok(Incoming::Message(read)) = decoded(element, &own, Timestamp::UNIX_EPOCH) else { panic!("a message") };
        assert_eq!((read.encryption, read.device_trust), (Some(Encryption::Otr), Some(DeviceTrust::Trusted)));
        assert!(read.body.as_deref() == Some("hi") && !read.raw.to_xml().contains("sealed"));
        let Ok(Incoming::Message(plain)) = decoded(message.parse().unwrap(), &own, Timestamp::UNIX_EPOCH) else {
            panic!("a message")
        };
        assert_eq!((plain.encryption, plain.device_trust), (None, None));
    }
}
