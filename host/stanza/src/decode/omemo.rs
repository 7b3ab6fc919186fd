//! Reads encrypted contents of messages (XEP-0384). Whether they can be decrypted is decided above.

use jid::{FullJid, Jid};
use minidom::Element;
use xmpp_parsers::ns;

use super::extensions::{self, names};
use crate::encode::HINTS;
use crate::omemo::{ENVELOPE, device_id};
use crate::plain::PlainElement;
use crate::raw::check_shape;
use crate::text::is_sendable;
use crate::types::{Encrypted, EncryptedKeys, Envelope, MessageKind, OmemoForm, address, unwrapped};
use crate::xml::Xml;

/// Maximum length of an envelope, in bytes.
const MAX_ENVELOPE: usize = 252 << 10;
/// Maximum number of keys that are read from one message.
const MAX_KEYS: usize = 4_096;
/// Maximum length of a key as base64, in bytes.
const MAX_KEY: usize = 8 << 10;

/// Reads what one form says; `None` if it is another element. An id that no device has is 0.
pub(super) fn read<'a, E: Xml<'a>>(element: E, own: &FullJid) -> Option<Encrypted> {
    let form = OmemoForm::ALL.into_iter().find(|form| element.has_ns(form.namespace()))?;
    let child =
        |of: E, wanted: &str| of.children().find(|child| child.name() == wanted && child.has_ns(form.namespace()));
    let header = child(element, "header");
    let mut keys = EncryptedKeys::default();
    let mut add = |of: E, begins: &str| {
        for key in of.children().filter(|key| key.name() == "key" && key.has_ns(form.namespace())) {
            let text = key.text();
            if let Some(device) = key.attr("rid").and_then(device_id)
                && keys.len() < MAX_KEYS
                && text.len() <= MAX_KEY
            {
                keys.push(device, matches!(key.attr(begins), Some("true" | "1")), &text);
            }
        }
    };
    match (form, header) {
        (_, None) => {}
        (OmemoForm::Older, Some(header)) => add(header, "prekey"),
        (OmemoForm::Current, Some(header)) => {
            let is_ours = |keys: &E| keys.attr("jid").is_some_and(|jid| names(jid, own));
            let all = header.children().filter(|keys| keys.name() == "keys" && keys.has_ns(form.namespace()));
            for keys in all.filter(is_ours) {
                add(keys, "kex");
            }
        }
    }
    Some(Encrypted {
        form,
        sender: header.and_then(|header| header.attr("sid")).and_then(device_id).unwrap_or(0),
        keys,
        iv: header.and_then(|header| child(header, "iv")).map(|iv| unwrapped(&iv.text()).unwrap_or_default()),
        payload: child(element, "payload").map(|payload| unwrapped(&payload.text()).unwrap_or_default()),
    })
}

/// Reads an envelope that `sender` wrote; `None` if it is none.
pub fn read_envelope(bytes: &[u8], kind: MessageKind, sender: &Jid, own: &FullJid) -> Option<Envelope> {
    let xml = std::str::from_utf8(bytes).ok().filter(|xml| xml.len() <= MAX_ENVELOPE)?;
    if let Some(element) = simple(xml) {
        return envelope_in(element.root(), kind, sender, own);
    }
    envelope_in(&whole(xml)?, kind, sender, own)
}

/// Reads an envelope in one pass; `None` if it is not in simple XML, as clients write it.
fn simple(xml: &str) -> Option<PlainElement> {
    // On a stream, others refuse control characters.
    PlainElement::read(xml.as_bytes()).filter(|_| is_sendable(xml))
}

/// Reads an envelope in any XML, in two passes: within bounds, and then as a tree.
fn whole(xml: &str) -> Option<Element> {
    check_shape(xml).ok()?;
    xml.parse().ok()
}

fn envelope_in<'a, E: Xml<'a>>(element: E, kind: MessageKind, sender: &Jid, own: &FullJid) -> Option<Envelope> {
    let child = |of: E, wanted: &str, namespace: &str| {
        of.children().find(|child| child.name() == wanted && child.has_ns(namespace))
    };
    if element.name() != "envelope" || !element.has_ns(ENVELOPE) {
        return None;
    }
    // An address that cannot be read is not the same as none.
    let jid = |wanted: &str| match child(element, wanted, ENVELOPE) {
        Some(affix) => affix.attr("jid").and_then(|jid| address(jid).ok()).map(Some),
        None => Some(None),
    };
    let time = child(element, "time", ENVELOPE).and_then(|time| time.attr("stamp"));
    let content = child(element, "content", ENVELOPE)?;
    let text = |wanted: &str| child(content, wanted, ns::JABBER_CLIENT).map(Xml::text);
    let thread = text("thread").filter(|thread| !thread.is_empty() && thread.len() <= 1_024 && is_sendable(thread));
    // Hints are for servers, which cannot see these (XEP-0420).
    let others = content.children().filter(|child| !child.has_ns(ns::JABBER_CLIENT) && !child.has_ns(HINTS));
    Some(Envelope {
        from: jid("from")?,
        to: jid("to")?,
        time: time.and_then(|stamp| stamp.parse().ok()),
        body: text("body"),
        subject: text("subject"),
        thread,
        extensions: extensions::read(others, kind, "", sender, own).extensions,
        opts_out: child(content, "opt-out", OmemoForm::Current.namespace()).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::omemo::envelope;
    use crate::testing::jid;
    use crate::types::{Draft, Extensions};

    /// Parts of contents: usual ones, those that the fast parser leaves to the library, and those that nobody reads.
    const PARTS: [&str; 20] = [
        "<body xmlns='jabber:client'>a &lt; b</body>",
        "<body xmlns=\"jabber:client\">other</body>",
        "<body xmlns='jabber:client'/>",
        "<body>of no namespace that counts</body>",
        "<body xmlns='jabber:client'>\u{85}</body>",
        "<body xmlns='jabber:client'>&#9786;</body>",
        "<body xmlns='jabber:client'>a<b/>c</body>",
        "<c:body xmlns:c='jabber:client'>prefixed</c:body>",
        "<subject xmlns='jabber:client'><![CDATA[s]]></subject>",
        "<thread xmlns='jabber:client'>t</thread>",
        "<store xmlns='urn:xmpp:hints'/>",
        "<opt-out xmlns='urn:xmpp:omemo:2'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>👍</reaction></reactions>",
        "<reply xmlns='urn:xmpp:reply:0' id='1' to='a@b'/>",
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='2' xml:lang='en'/></fallback>",
        "<r:Description xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#' r:about='https://h/'/>",
        "<Description xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>",
        "<x xmlns='jabber:x:oob'><url>https://h/f</url></x>",
        " ",
        "</content><content>",
    ];
    const AFFIXES: [&str; 9] = [
        "<from jid='you@far'/>",
        "<from jid='@'/>",
        "<from/>",
        "<to jid='room@rooms'/>",
        "<time stamp='2024-05-06T07:08:09Z'/>",
        "<time stamp='now'/>",
        "<rpad>xxx</rpad>",
        "<!-- a comment -->",
        "<from jid='a@b' jid='c@d'/>",
    ];

    proptest! {
        #[test]
        fn an_envelope_in_simple_xml_is_read_as_by_the_library(
            content in prop::collection::vec(select(PARTS.to_vec()), 0..4),
            affixes in prop::collection::vec(select(AFFIXES.to_vec()), 0..4),
            root in select(vec!["<envelope xmlns='urn:xmpp:sce:1'>", "<envelope>", "<envelope xmlns='urn:x'>"]),
        ) {
            let xml = format!("{root}<content>{}</content>{}</envelope>", content.concat(), affixes.concat());
            let (own, sender) = ("me@house/here".parse().unwrap(), jid("you@far"));
            if let Some(element) = simple(&xml) {
                let expected = whole(&xml).and_then(|tree| envelope_in(&tree, MessageKind::Chat, &sender, &own));
                prop_assert_eq!(envelope_in(element.root(), MessageKind::Chat, &sender, &own), expected, "{}", xml);
            }
        }
    }

    #[test]
    fn an_envelope_is_written_in_simple_xml() {
        let extensions = Extensions { replace: Some("1".to_owned()), markable: true, ..Extensions::default() };
        let extensions = Some(Box::new(extensions));
        let draft = Draft { body: Some("a < b \"ü\"\n]".to_owned()), extensions, ..Draft::default() };
        let (from, room) = ("you@far".parse().unwrap(), "room@rooms".parse().unwrap());
        let written = envelope(&draft, &from, Some(&room), "2024-05-06T07:08:09Z".parse().unwrap(), 17);
        assert!(simple(&written).is_some(), "{written}");
        assert!(simple(&written.replace("</rpad>", "\u{7f}</rpad>")).is_none());
    }
}
