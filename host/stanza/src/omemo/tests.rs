//! Tests of what OMEMO publishes and encrypts, as it is written and read.

use jid::FullJid;

use super::*;
use crate::decode::read_envelope;
use crate::testing::jid;
use crate::types::{KeyFor, MessageKind};

fn label_of(text: &str) -> DeviceLabel {
    DeviceLabel { text: text.to_owned(), signature: [7; 64] }
}

fn bundle() -> PublishedBundle {
    PublishedBundle {
        signed_prekey_id: 7,
        signed_prekey: vec![1; 32],
        signature: vec![2; 64],
        identity_key: vec![3; 32],
        prekeys: vec![(1, vec![4; 32]), (2, vec![5; 32])],
    }
}

#[test]
fn published_bundles_and_device_lists_are_read_back() {
    for form in OmemoForm::ALL {
        let written = bundle_payload(form, &bundle()).to_xml();
        assert_eq!(read_bundle(form, &written), Some(bundle()), "{written}");
        let label = Some(label_of("parlor")).filter(|_| form == OmemoForm::Current);
        let devices = vec![ListedDevice { device: 5, label }, ListedDevice { device: 6, label: None }];
        let written = list_payload(form, &devices).to_xml();
        assert_eq!(read_list(form, &written), Some(devices), "{written}");
    }
}

/// Prekeys that cannot be read do not count.
#[test]
fn a_bundle_with_many_prekeys_is_read_in_part() {
    let numbered = |count: u32| (1..=count).map(|id| (id, vec![4_u8; 32])).collect::<Vec<_>>();
    for form in OmemoForm::ALL {
        let written = bundle_payload(form, &PublishedBundle { prekeys: numbered(300), ..bundle() }).to_xml();
        let (prekey, id) = if form == OmemoForm::Older { ("preKeyPublic", "preKeyId") } else { ("pk", "id") };
        let damaged = format!("<prekeys>{}", format!("<{prekey} {id}='x'/>").repeat(250));
        let read = read_bundle(form, &written.replace("<prekeys>", &damaged)).unwrap();
        assert_eq!(read.prekeys, numbered(200), "{form:?}");
    }
}

#[test]
fn a_list_keeps_what_others_wrote_in_it() {
    let namespace = OmemoForm::Current.namespace();
    let long = "x".repeat(200);
    let others = (1..=300).map(|id| format!("<device id='{id}' label='{long}' labelsig='c2ln'/>"));
    let others = others.collect::<Vec<_>>().concat();
    let xml = format!("<devices xmlns='{namespace}' more='1'>{others}<later xmlns='urn:example:later'/></devices>");
    let mut list = DeviceList::read(OmemoForm::Current, &xml).unwrap();
    assert!(list.has(300) && !list.has(301));
    let own = ListedDevice { device: 301, label: Some(label_of("parlor")) };
    list.put_first(&own);
    list.put_first(&own);
    list.remove(300);
    assert!(list.has(301) && !list.has(300));
    let written = list.payload().unwrap().to_xml();
    assert_eq!((written.matches("<device ").count(), written.matches("labelsig=").count()), (300, 300), "{written}");
    assert_eq!(written.matches(&long).count(), 299);
    assert!(written.contains("urn:example:later") && written.contains("more="), "{written}");
    assert_eq!((list.devices().first(), list.devices().len()), (Some(&own), MAX_LISTED));
    // A signature belongs to its label.
    list.remove(301);
    list.put_first(&ListedDevice { device: 1, ..own });
    let written = list.payload().unwrap().to_xml();
    assert_eq!((written.matches("labelsig=").count(), written.matches("c2ln").count()), (299, 298), "{written}");
    let many = format!("<devices xmlns='{namespace}'>{}</devices>", "<device id='1'/>".repeat(20_000));
    assert!(DeviceList::read(OmemoForm::Current, &many).unwrap().payload().is_none(), "no stanza can hold it");
    assert!(DeviceList::read(OmemoForm::Older, &xml).is_none());
    assert!(DeviceList::empty(OmemoForm::Older).payload().is_some());
}

#[test]
fn labels_are_read_as_they_are_signed_and_shown_on_one_line() {
    let (signature, long, endless) = (BASE64.encode([7; 64]), "é".repeat(60), "x".repeat(1_025));
    let good = signature.as_str();
    for (label, signature, shown) in [
        ("Dino", good, Some("Dino")),
        (" a&#10;b ", good, Some("a b")),
        (long.as_str(), good, Some(&long[..2 * 53])),
        ("", good, None),
        ("Dino", "c2ln", None),
        ("Dino", "", None),
        (endless.as_str(), good, None),
    ] {
        let signed = format!("<device id='1' label='{label}' labelsig='{signature}'/>");
        let read = read_list(OmemoForm::Current, &format!("<devices xmlns='urn:xmpp:omemo:2'>{signed}</devices>"));
        let read = read.unwrap().remove(0).label.and_then(|label| label.shown());
        assert_eq!(read.as_deref(), shown, "{label}");
    }
    let unsigned = "<devices xmlns='urn:xmpp:omemo:2'><device id='1' label='Dino'/></devices>";
    assert_eq!(read_list(OmemoForm::Current, unsigned).unwrap()[0].label, None);
}

#[test]
fn ids_that_no_device_has_are_left_out() {
    let of = |ids: &[&str]| {
        let devices = ids.iter().fold(String::new(), |all, id| all + &format!("<device id='{id}'/>"));
        let list = format!("<list xmlns='eu.siacs.conversations.axolotl'>{devices}</list>");
        let read = read_list(OmemoForm::Older, &list).unwrap();
        read.into_iter().map(|one| one.device).collect::<Vec<_>>()
    };
    assert_eq!(of(&["0", "-1", "2147483648", "x", "", "3", "3"]), [3]);
    let many: Vec<String> = (1..=1_000).map(|id: u32| id.to_string()).collect();
    assert_eq!(of(&many.iter().map(String::as_str).collect::<Vec<_>>()).len(), MAX_LISTED);
    assert_eq!(read_list(OmemoForm::Older, "<devices xmlns='urn:xmpp:omemo:2'/>"), None);
    assert_eq!(read_bundle(OmemoForm::Older, "<bundle xmlns='eu.siacs.conversations.axolotl'/>"), None);
}

#[test]
fn an_envelope_holds_all_that_a_message_says() {
    let own: FullJid = "me@house/here".parse().unwrap();
    let (from, room): (BareJid, BareJid) = ("you@far".parse().unwrap(), "room@rooms".parse().unwrap());
    let extensions = Extensions { replace: Some("1".to_owned()), markable: true, ..Extensions::default() };
    let draft = Draft {
        body: Some("a < b".to_owned()),
        thread: Some("t".to_owned()),
        extensions: Some(Box::new(extensions)),
        ..Draft::default()
    };
    let now = "2024-05-06T07:08:09Z".parse().unwrap();
    let written = envelope(&draft, &from, Some(&room), now, 17);
    let sender = jid("you@far");
    let read = read_envelope(written.as_bytes(), MessageKind::Chat, &sender, &own).unwrap();
    assert_eq!((read.from, read.to, read.time), (Some(sender.clone()), Some(jid("room@rooms")), Some(now)));
    assert_eq!((read.body, read.thread), (draft.body, draft.thread));
    assert_eq!(read.extensions, draft.extensions);
    let padded = envelope(&Draft::default(), &from, None, now, 200).len();
    assert_eq!(padded - envelope(&Draft::default(), &from, None, now, 100).len(), 100);
    for odd in [&b"\xff"[..], b"", b"<envelope/>", b"<envelope xmlns='urn:xmpp:sce:1'/>", b"<!DOCTYPE a><a/>"] {
        assert_eq!(read_envelope(odd, MessageKind::Chat, &sender, &own), None);
    }
}

fn message_with(content: SealedContent) -> Message {
    let (to, kind, id) = (jid("you@far/phone"), MessageKind::Chat, "1".to_owned());
    let (thread, beside, to_occupant, says) = (None, Extensions::default(), false, None);
    sealed(Sealed { to, kind, id, content, thread, beside, to_occupant, says })
}

fn omemo(form: OmemoForm, payload: Option<Vec<u8>>) -> EncryptedOut {
    EncryptedOut { form, sender: 9, keys: Vec::new(), iv: None, payload }
}

/// XEP-0364, section 4.3: nobody but the client that it is for can read it. OMEMO is for all clients.
#[test]
fn only_off_the_record_texts_are_private() {
    let keys_alone = SealedContent::Omemo(vec![omemo(OmemoForm::Older, None)]);
    for (content, is_private) in [(SealedContent::Otr("?OTRv23?".to_owned()), true), (keys_alone, false)] {
        let message = message_with(content);
        assert_eq!(message.payloads.iter().any(|payload| payload.is("private", ns::CARBONS)), is_private);
    }
}

/// XEP-0380: a client that cannot read a text can say how it is encrypted. Keys alone are no text.
#[test]
fn a_hint_says_how_a_text_is_encrypted() {
    let by = |forms: &[OmemoForm]| SealedContent::Omemo(forms.iter().map(|form| omemo(*form, Some(vec![4]))).collect());
    let [older, current] = ["eu.siacs.conversations.axolotl OMEMO", "urn:xmpp:omemo:2 OMEMO"];
    for (content, expected) in [
        (SealedContent::Otr("?OTR:AAMD.".to_owned()), vec!["urn:xmpp:otr:0 OTR"]),
        (by(&[OmemoForm::Older]), vec![older]),
        (by(&[OmemoForm::Older, OmemoForm::Current]), vec![older, current]),
        (SealedContent::Omemo(vec![omemo(OmemoForm::Older, None)]), vec![]),
    ] {
        let message = message_with(content);
        let hints = message.payloads.iter().filter(|payload| payload.is("encryption", HINT));
        let hints =
            hints.map(|hint| [hint.attr("namespace"), hint.attr("name")].map(Option::unwrap_or_default).join(" "));
        assert_eq!(hints.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn keys_of_one_person_are_together_in_the_present_form() {
    let key =
        |jid: &str, device| KeyFor { jid: jid.parse().unwrap(), device, is_prekey: device == 1, bytes: vec![1, 2, 3] };
    let keys = vec![key("a@b", 1), key("a@b", 2), key("c@d", 3)];
    let out = |form| EncryptedOut { form, sender: 9, keys: keys.clone(), iv: None, payload: Some(vec![4]) };
    let written = String::from(&encrypted(out(OmemoForm::Current)));
    assert_eq!(written.matches("<keys").count(), 2, "{written}");
    assert_eq!(written.matches("kex=").count(), 1, "{written}");
    let written = String::from(&encrypted(out(OmemoForm::Older)));
    assert_eq!((written.matches("<keys").count(), written.matches("rid=").count()), (0, 3), "{written}");
}
