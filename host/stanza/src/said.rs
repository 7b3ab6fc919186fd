//! Whether a whole stanza of a plugin says something that people read, or has the key of a file.

use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::stanza::Stanza;

use crate::altered::XHTML;
use crate::files::{OOB, SHARING, has_encrypted_address};
use crate::raw::RawStanza;

/// The namespace of files in references (XEP-0385).
const MEDIA: &str = "urn:xmpp:sims:1";
/// The namespaces of texts and files that clients show even if a message has no body.
const SHOWN: [&str; 4] = [XHTML, OOB, SHARING, MEDIA];

impl RawStanza {
    /// Returns whether it is a message with a text or a file, also within another element.
    pub fn says_something(&self) -> bool {
        let Stanza::Message(message) = self.stanza() else { return false };
        !message.bodies.is_empty() || !message.subjects.is_empty() || message.payloads.iter().any(is_read)
    }

    /// Returns whether the key of an encrypted file is anywhere in it (XEP-0454).
    pub fn has_key_of_a_file(&self) -> bool {
        let has = |text: &String| has_encrypted_address(text);
        match self.stanza() {
            Stanza::Message(message) => {
                message.bodies.values().chain(message.subjects.values()).any(has)
                    || message.payloads.iter().any(has_key)
            }
            Stanza::Presence(presence) => presence.statuses.values().any(has) || presence.payloads.iter().any(has_key),
            Stanza::Iq(Iq::Get { payload, .. } | Iq::Set { payload, .. }) => has_key(payload),
            Stanza::Iq(Iq::Result { payload, .. } | Iq::Error { payload, .. }) => payload.iter().any(has_key),
        }
    }
}

/// Returns whether the key of a file is in an element, or within it. The depth is bounded on input.
fn has_key(element: &Element) -> bool {
    has_encrypted_address(&element.text())
        || element.attrs().iter().any(|(_, value)| has_encrypted_address(value))
        || element.children().any(has_key)
}

/// Returns whether people read this, or something within it. The depth is bounded on input.
fn is_read(element: &Element) -> bool {
    // Clients show many texts beside a body: as they are typed (XEP-0301), of a form, or why somebody is invited (XEP-0249).
    // Elements that nobody reads, such as a chat state or the range of a fallback (XEP-0428), have none.
    let has_text = element.texts().any(|text| !text.trim().is_empty());
    let has_reason = element.attr("reason").is_some_and(|reason| !reason.is_empty());
    has_text
        || has_reason
        || SHOWN.iter().any(|namespace| element.has_ns(*namespace))
        || element.children().any(is_read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::jid;

    #[test]
    fn the_key_of_a_file_is_found_wherever_it_is() {
        let url = format!("aesgcm://h/a.png?b&amp;c#{}", "0f".repeat(48));
        let has = |xml: &str| RawStanza::parse(xml, &jid("bot@house/here")).unwrap().has_key_of_a_file();
        for xml in [
            format!("<message to='a@b'><body>look: {url}</body></message>"),
            format!("<message to='a@b'><subject>{url}</subject></message>"),
            format!("<message to='a@b' type='groupchat'><x xmlns='jabber:x:oob'><url>{url}</url></x></message>"),
            format!("<message to='a@b'><sources xmlns='urn:xmpp:sfs:0'><url-data target='{url}'/></sources></message>"),
            format!("<presence><status>{url}</status></presence>"),
            format!("<iq type='set' id='1'><publish xmlns='urn:x'><item>{url}</item></publish></iq>"),
        ] {
            assert!(has(&xml), "{xml}");
            assert!(!has(&xml.replace("aesgcm", "https")) && !has(&xml.replace('#', "?")), "{xml}");
        }
    }

    #[test]
    fn a_message_says_something_by_any_text_or_a_file_and_nothing_else_does() {
        let says = |xml: &str| RawStanza::parse(xml, &jid("bot@house/here")).unwrap().says_something();
        for content in [
            "<body>hi</body>",
            "<subject>hi</subject>",
            "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>👍</reaction></reactions>",
            "<x xmlns='jabber:x:oob'><url>https://h/f</url></x>",
            "<file-sharing xmlns='urn:xmpp:sfs:0'/>",
            "<html xmlns='http://jabber.org/protocol/xhtml-im'/>",
            "<reference xmlns='urn:xmpp:reference:0'><media-sharing xmlns='urn:xmpp:sims:1'/></reference>",
            "<rtt xmlns='urn:xmpp:rtt:0' event='new' seq='0'><t>hi</t></rtt>",
            "<x xmlns='jabber:x:data' type='form'><title>hi</title></x>",
            "<x xmlns='jabber:x:conference' jid='hall@rooms.example.org' reason='hi'/>",
            "<nick xmlns='http://jabber.org/protocol/nick'>hi</nick>",
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>hi</body></message></forwarded>",
        ] {
            assert!(says(&format!("<message to='a@b'>{content}</message>")), "{content}");
        }
        for xml in [
            "<message to='a@b'><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
            "<message to='a@b'><reactions xmlns='urn:xmpp:reactions:0' id='1'/></message>",
            "<message to='a@b'><received xmlns='urn:xmpp:receipts' id='1'/><store xmlns='urn:xmpp:hints'/></message>",
            "<message to='a@b'><x xmlns='jabber:x:conference' jid='hall@rooms.example.org' reason=''> </x></message>",
            "<message to='a@b'><thread>1</thread><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
            "<message to='a@b'><fallback xmlns='urn:xmpp:fallback:0' for='urn:x'><body/></fallback></message>",
            "<presence><status>hi</status></presence>",
            "<iq type='set' id='1'><body xmlns='urn:x'>hi</body></iq>",
        ] {
            assert!(!says(xml), "{xml}");
        }
    }
}
