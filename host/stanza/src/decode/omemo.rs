//! Reads encrypted contents of messages (XEP-0384). Whether they can be decrypted is decided above.

use jid::{FullJid, Jid};
use minidom::Element;

use super::extensions::{self, names};
use crate::omemo::device_id;
use crate::types::{Encrypted, EncryptedKeys, Extensions, MessageKind, OmemoForm, unwrapped};
use crate::xml::Xml;

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

/// Reads the contents of an envelope other than its texts.
pub(crate) fn read_content<'a>(
    content: impl Iterator<Item = &'a Element>,
    kind: MessageKind,
    from: &Jid,
    own: &FullJid,
) -> Option<Box<Extensions>> {
    extensions::read(content, kind, "", from, own).extensions
}
