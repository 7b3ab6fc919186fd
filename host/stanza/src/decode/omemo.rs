//! Reads encrypted contents of messages (XEP-0384). Whether they can be decrypted is decided above.

use jid::{FullJid, Jid};
use minidom::Element;
use xmpp_parsers::ns;

use super::extensions::{self, names};
use crate::encode::HINTS;
use crate::omemo::{ENVELOPE, device_id};
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
    check_shape(xml).ok()?;
    let element: Element = xml.parse().ok()?;
    if !element.is("envelope", ENVELOPE) {
        return None;
    }
    // An address that cannot be read is not the same as none.
    let jid = |wanted: &str| match element.get_child(wanted, ENVELOPE) {
        Some(affix) => affix.attr("jid").and_then(|jid| address(jid).ok()).map(Some),
        None => Some(None),
    };
    let time = element.get_child("time", ENVELOPE).and_then(|time| time.attr("stamp"));
    let content = element.get_child("content", ENVELOPE)?;
    let text = |wanted: &str| content.get_child(wanted, ns::JABBER_CLIENT).map(Element::text);
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
        opts_out: content.has_child("opt-out", OmemoForm::Current.namespace()),
    })
}
