//! Writes and reads what OMEMO publishes and encrypts: device lists, bundles, and the envelope of a content (XEP-0384, XEP-0420).
//!
//! Keys are bytes here, which `parlor-e2ee` checks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jid::BareJid;
use jiff::Timestamp;
use minidom::{Element, Node};
use xmpp_parsers::message::{Lang, Message, Thread};
use xmpp_parsers::ns;

use crate::encode::{FALLBACK, extension_elements, message_type, name, with_id};
use crate::files;
use crate::iq_payload::{IqPayload, MAX_BYTES};
use crate::text::clean;
use crate::types::{
    DeviceLabel, Draft, EncryptedOut, Extensions, ListedDevice, MAX_LISTED, OmemoForm, PublishedBundle, Sealed,
    SealedContent, unwrapped,
};

/// The namespace of hints at the encryption of a message (XEP-0380).
pub(crate) const HINT: &str = "urn:xmpp:eme:0";
/// The namespace of off-the-record messaging in such a hint.
pub(crate) const OTR: &str = "urn:xmpp:otr:0";
/// The namespace of envelopes (XEP-0420).
pub(crate) const ENVELOPE: &str = "urn:xmpp:sce:1";
/// Maximum number of prekeys that are read from a bundle. Clients publish 50 to 100, and a session takes one of them.
const MAX_PREKEYS: usize = 200;
/// Maximum length of a device's label that is read, in bytes. It has to be whole, since it is signed.
const MAX_SIGNED: usize = 1_024;
/// The text for clients that cannot decrypt a message.
const CANNOT_READ: &str = "This message is encrypted (OMEMO), and your client cannot read it.";

/// Returns the element of a device list.
pub fn list_payload(form: OmemoForm, devices: &[ListedDevice]) -> IqPayload {
    let element = match form {
        OmemoForm::Older => "list",
        OmemoForm::Current => "devices",
    };
    let devices = devices.iter().map(|one| entry(form, one));
    IqPayload::of(Element::builder(element, form.namespace()).append_all(devices).build())
}

fn entry(form: OmemoForm, one: &ListedDevice) -> Element {
    let label = one.label.as_ref().filter(|_| form == OmemoForm::Current);
    Element::builder("device", form.namespace())
        .attr(name("id"), one.device.to_string())
        .attr(name("label"), label.map(|label| clean(label.text.clone())))
        .attr(name("labelsig"), label.map(|label| BASE64.encode(label.signature)))
        .build()
}

/// Reads a device list; `None` if it has another form. Invalid and repeated ids are left out, and labels without a signature.
pub fn read_list(form: OmemoForm, xml: &str) -> Option<Vec<ListedDevice>> {
    let element: Element = xml.parse().ok()?;
    let wanted = match form {
        OmemoForm::Older => "list",
        OmemoForm::Current => "devices",
    };
    element.is(wanted, form.namespace()).then(|| listed(form, &element))
}

fn listed(form: OmemoForm, list: &Element) -> Vec<ListedDevice> {
    let mut devices: Vec<ListedDevice> = Vec::new();
    for child in list.children().filter(|child| child.is("device", form.namespace())) {
        let Some(device) = child.attr("id").and_then(device_id) else { continue };
        if devices.len() == MAX_LISTED {
            break;
        }
        if devices.iter().all(|known| known.device != device) {
            devices.push(ListedDevice { device, label: label(child) });
        }
    }
    devices
}

fn label(device: &Element) -> Option<DeviceLabel> {
    let text = device.attr("label").filter(|text| text.len() <= MAX_SIGNED)?.to_owned();
    let signature = unwrapped(device.attr("labelsig")?)?.try_into().ok()?;
    Some(DeviceLabel { text, signature })
}

/// A list of devices as the server has it, with everything that others wrote in it: labels, their signatures, and what later versions
/// add.
#[derive(Debug, Clone)]
pub struct DeviceList {
    form: OmemoForm,
    element: Element,
}

impl DeviceList {
    /// Returns a list without devices.
    pub fn empty(form: OmemoForm) -> Self {
        Self { form, element: list_payload(form, &[]).into_element() }
    }

    /// Reads a list; `None` if it has another form.
    pub fn read(form: OmemoForm, xml: &str) -> Option<Self> {
        read_list(form, xml)?;
        Some(Self { form, element: xml.parse().ok()? })
    }

    /// Returns the devices that may get messages, as [`read_list`] does.
    pub fn devices(&self) -> Vec<ListedDevice> {
        listed(self.form, &self.element)
    }

    /// Returns whether a device is in it.
    pub fn has(&self, device: u32) -> bool {
        self.element.children().any(|child| is_entry(self.form, child, device))
    }

    /// Puts a device in front, so that it stays if others truncate the list.
    pub fn put_first(&mut self, own: &ListedDevice) {
        let others = self.element.take_nodes();
        self.element.append_child(entry(self.form, own));
        self.append_without(others, own.device);
    }

    /// Removes a device.
    pub fn remove(&mut self, device: u32) {
        let all = self.element.take_nodes();
        self.append_without(all, device);
    }

    fn append_without(&mut self, nodes: Vec<Node>, device: u32) {
        for node in nodes {
            if !matches!(&node, Node::Element(child) if is_entry(self.form, child, device)) {
                self.element.append_node(node);
            }
        }
    }

    /// Returns the list to publish; `None` if it is too long for a stanza.
    pub fn payload(&self) -> Option<IqPayload> {
        let payload = IqPayload::of(self.element.clone());
        Some(payload).filter(|payload| payload.to_xml().len() <= MAX_BYTES)
    }
}

/// Returns whether an element of a list is the entry of a device.
fn is_entry(form: OmemoForm, element: &Element, device: u32) -> bool {
    element.is("device", form.namespace()) && element.attr("id").and_then(device_id) == Some(device)
}

/// Reads the id of a device, which is from 1 to 2^31 - 1.
pub fn device_id(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|id| (1..=0x7fff_ffff).contains(id))
}

/// Returns the element of a bundle.
pub fn bundle_payload(form: OmemoForm, bundle: &PublishedBundle) -> IqPayload {
    let namespace = form.namespace();
    let leaf = |element: &'static str, bytes: &[u8]| Element::builder(element, namespace).append(BASE64.encode(bytes));
    let numbered = |element, key, id: u32, bytes: &[u8]| leaf(element, bytes).attr(name(key), id.to_string()).build();
    let PublishedBundle { signed_prekey_id, signed_prekey, signature, identity_key, prekeys } = bundle;
    let (parts, key) = match form {
        OmemoForm::Older => {
            let signed = numbered("signedPreKeyPublic", "signedPreKeyId", *signed_prekey_id, signed_prekey);
            let rest = [leaf("signedPreKeySignature", signature).build(), leaf("identityKey", identity_key).build()];
            ([vec![signed], rest.into()].concat(), ("preKeyPublic", "preKeyId"))
        }
        OmemoForm::Current => {
            let signed = numbered("spk", "id", *signed_prekey_id, signed_prekey);
            let rest = [leaf("spks", signature).build(), leaf("ik", identity_key).build()];
            ([vec![signed], rest.into()].concat(), ("pk", "id"))
        }
    };
    let prekeys = prekeys.iter().map(|(id, bytes)| numbered(key.0, key.1, *id, bytes));
    let prekeys = Element::builder("prekeys", namespace).append_all(prekeys);
    IqPayload::of(Element::builder("bundle", namespace).append_all(parts).append(prekeys).build())
}

/// Reads a bundle; `None` if a part of it is missing.
pub fn read_bundle(form: OmemoForm, xml: &str) -> Option<PublishedBundle> {
    let element: Element = xml.parse().ok()?;
    let namespace = form.namespace();
    if !element.is("bundle", namespace) {
        return None;
    }
    let (signed, signed_id, signature, identity, prekey, prekey_id) = match form {
        OmemoForm::Older => {
            ("signedPreKeyPublic", "signedPreKeyId", "signedPreKeySignature", "identityKey", "preKeyPublic", "preKeyId")
        }
        OmemoForm::Current => ("spk", "id", "spks", "ik", "pk", "id"),
    };
    let bytes = |element: &Element| unwrapped(&element.text());
    let child = |wanted: &str| element.get_child(wanted, namespace);
    let prekeys = child("prekeys")?.children().filter(|child| child.is(prekey, namespace));
    let number = |element: &Element, key: &str| element.attr(key)?.trim().parse().ok();
    Some(PublishedBundle {
        signed_prekey_id: number(child(signed)?, signed_id)?,
        signed_prekey: bytes(child(signed)?)?,
        signature: bytes(child(signature)?)?,
        identity_key: bytes(child(identity)?)?,
        prekeys: prekeys.filter_map(|one| Some((number(one, prekey_id)?, bytes(one)?))).take(MAX_PREKEYS).collect(),
    })
}

/// Returns the text of the envelope around what a message says. `padding` is the number of characters that hide its length.
pub fn envelope(draft: &Draft, from: &BareJid, to: Option<&BareJid>, now: Timestamp, padding: usize) -> String {
    let leaf = |element: &'static str, text: &Option<String>| {
        let text = text.clone().map(clean);
        text.map(|text| Element::builder(element, ns::JABBER_CLIENT).append(text).build())
    };
    let mut content: Vec<Element> = Vec::new();
    content.extend(leaf("body", &draft.body));
    content.extend(leaf("subject", &draft.subject));
    content.extend(leaf("thread", &draft.thread));
    if let Some(extensions) = draft.extensions.as_deref() {
        let mut extensions = Extensions { hints: Vec::new(), ..extensions.clone() };
        let shared = std::mem::take(&mut extensions.files);
        let is_own = shared.first().is_some_and(|file| draft.body.as_ref() == Some(&file.url));
        content.extend(files::elements(shared, is_own));
        extension_elements(extensions, &mut content);
    }
    let jid = |element: &'static str, jid: &BareJid| {
        Element::builder(element, ENVELOPE).attr(name("jid"), jid.to_string()).build()
    };
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let envelope = Element::builder("envelope", ENVELOPE)
        .append(Element::builder("content", ENVELOPE).append_all(content))
        .append(Element::builder("rpad", ENVELOPE).append("x".repeat(padding)))
        .append(Element::builder("time", ENVELOPE).attr(name("stamp"), time))
        .append(jid("from", from))
        .append_all(to.map(|to| jid("to", to)));
    String::from(&envelope.build())
}

/// Returns the stanza of an encrypted message.
pub(crate) fn sealed(sealed: Sealed) -> Message {
    let Sealed { to, kind, id, content, thread, beside, to_occupant, says: _ } = sealed;
    let mut message = Message::new_with_type(message_type(kind), to);
    let id = clean(id);
    message.payloads.push(with_id("origin-id", ns::SID, id.clone()).build());
    message.id = Some(xmpp_parsers::message::Id(id));
    message.thread = thread.map(|id| Thread { parent: None, id: clean(id) });
    match content {
        SealedContent::Otr(text) => {
            message.payloads.push(hint(OTR, "OTR"));
            // No other client of either side can read it (XEP-0364, section 4.3).
            message.payloads.push(Element::bare("private", ns::CARBONS));
            message.bodies.insert(Lang::new(), clean(text));
        }
        SealedContent::Omemo(forms) => {
            if forms.iter().any(|one| one.payload.is_some()) {
                message.bodies.insert(Lang::new(), CANNOT_READ.to_owned());
                for one in &forms {
                    message.payloads.push(hint(one.form.namespace(), "OMEMO"));
                }
                let body = Element::builder("body", FALLBACK).build();
                let of = forms.first().map(|one| one.form.namespace());
                message
                    .payloads
                    .push(Element::builder("fallback", FALLBACK).attr(name("for"), of).append(body).build());
            }
            message.payloads.extend(forms.into_iter().map(encrypted));
        }
    }
    extension_elements(beside, &mut message.payloads);
    message.payloads.extend(to_occupant.then(|| Element::bare("x", ns::MUC_USER)));
    message
}

fn hint(namespace: &str, called: &str) -> Element {
    Element::builder("encryption", HINT).attr(name("namespace"), namespace).attr(name("name"), called).build()
}

fn encrypted(one: EncryptedOut) -> Element {
    let EncryptedOut { form, sender, keys, iv, payload } = one;
    let namespace = form.namespace();
    let begins = match form {
        OmemoForm::Older => name("prekey"),
        OmemoForm::Current => name("kex"),
    };
    let mut header = Element::builder("header", namespace).attr(name("sid"), sender.to_string()).build();
    let mut of_person: Option<(BareJid, Element)> = None;
    for key in keys {
        let element = Element::builder("key", namespace)
            .attr(name("rid"), key.device.to_string())
            .attr(begins.clone(), key.is_prekey.then_some("true"))
            .append(BASE64.encode(&key.bytes))
            .build();
        match (form, &mut of_person) {
            (OmemoForm::Older, _) => {
                header.append_child(element);
            }
            (OmemoForm::Current, Some((jid, keys))) if *jid == key.jid => {
                keys.append_child(element);
            }
            (OmemoForm::Current, _) => {
                let keys = Element::builder("keys", namespace).attr(name("jid"), key.jid.to_string());
                if let Some((_, before)) = of_person.replace((key.jid, keys.append(element).build())) {
                    header.append_child(before);
                }
            }
        }
    }
    if let Some((_, last)) = of_person {
        header.append_child(last);
    }
    if let Some(iv) = iv {
        header.append_child(Element::builder("iv", namespace).append(BASE64.encode(iv)).build());
    }
    let payload = payload.map(|payload| Element::builder("payload", namespace).append(BASE64.encode(payload)));
    Element::builder("encrypted", namespace)
        .append(header)
        .append_all(payload.map(minidom::ElementBuilder::build))
        .build()
}

#[cfg(test)]
mod tests;
