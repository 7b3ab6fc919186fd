//! Reads and writes vCards (XEP-0054): reads the fields that the host knows, and changes them without losing the
//! others.

use std::fmt;
use std::sync::Arc;

use minidom::Element;
use xmpp_parsers::ns;

use crate::card::{BadPicture, Card, CardChange, MAX_FIELD, Picture, PictureChange};
use crate::text::{clean, kept, trimmed};

/// A whole vCard, opaque outside this folder. It is cheap to clone and prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct WholeCard(Arc<Element>);

impl WholeCard {
    /// Returns the length of the serialised card, in bytes.
    pub fn length(&self) -> usize {
        String::from(&*self.0).len()
    }
}

#[cfg(any(test, feature = "test-support"))]
impl crate::raw::RawStanza {
    /// Returns the card in this stanza.
    pub fn whole_card(&self) -> WholeCard {
        let stanza: Element = self.to_xml().parse().expect("it was written here");
        WholeCard(Arc::new(stanza.children().next().expect("it carries one").clone()))
    }
}

impl fmt::Debug for WholeCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WholeCard")
    }
}

/// Reads the known fields of a card, and keeps the card itself.
pub fn read(element: &Element) -> Result<(Card, WholeCard), BadPicture> {
    let said = |element: &Element| trimmed(element).map(|text| kept(text, MAX_FIELD));
    let text = |parent: &Element, name: &str| said(parent.get_child(name, ns::VCARD)?);
    let field = |name| text(element, name);
    let email = element
        .children()
        .filter(|child| child.is("EMAIL", ns::VCARD))
        .find_map(|email| text(email, "USERID").or_else(|| said(email)));
    let photo = element.get_child("PHOTO", ns::VCARD);
    let binary = photo.and_then(|photo| photo.get_child("BINVAL", ns::VCARD)).map(Element::text);
    let picture = match binary.map(|binary| Picture::read(&binary)) {
        Some(Err(BadPicture::TooLarge)) => return Err(BadPicture::TooLarge),
        // An unreadable picture counts as none; the rest of the card is still usable.
        Some(Err(BadPicture::NotBase64)) | None => None,
        Some(Ok(picture)) => Some(picture).filter(|picture| !picture.base64().is_empty()),
    };
    let card = Card {
        full_name: field("FN"),
        nickname: field("NICKNAME"),
        url: field("URL"),
        role: field("ROLE"),
        email,
        picture_type: photo.filter(|_| picture.is_some()).and_then(|photo| text(photo, "TYPE")),
        picture,
    };
    Ok((card, WholeCard(Arc::new(element.clone()))))
}

/// Returns the card after a change. Everything that the change does not name stays as it was.
pub fn changed(whole: Option<WholeCard>, change: CardChange) -> Element {
    let mut card = whole.map_or_else(|| Element::bare("vCard", ns::VCARD), |whole| Arc::unwrap_or_clone(whole.0));
    let CardChange { full_name, nickname, url, role, email, picture, picture_type } = change;
    for (name, value) in [("FN", full_name), ("NICKNAME", nickname), ("URL", url), ("ROLE", role)] {
        set(&mut card, name, value);
    }
    match email {
        Some(email) if email.is_empty() => remove(&mut card, "EMAIL"),
        Some(email) => set(child(&mut card, "EMAIL"), "USERID", Some(email)),
        None => {}
    }
    match picture {
        Some(PictureChange::Set(picture)) => {
            remove(&mut card, "PHOTO");
            let photo = child(&mut card, "PHOTO");
            set(photo, "TYPE", picture_type);
            set(photo, "BINVAL", Some(picture.base64().to_owned()));
        }
        Some(PictureChange::Remove) => remove(&mut card, "PHOTO"),
        None => {
            if let Some(photo) = card.get_child_mut("PHOTO", ns::VCARD) {
                set(photo, "TYPE", picture_type);
            }
        }
    }
    card
}

/// Sets the text of a child. An empty text removes the child, and `None` leaves it unchanged.
fn set(parent: &mut Element, name: &str, value: Option<String>) {
    match value {
        None => {}
        Some(value) if value.is_empty() => remove(parent, name),
        Some(value) => {
            let child = child(parent, name);
            child.take_nodes();
            child.append_text_node(clean(value));
        }
    }
}

fn remove(parent: &mut Element, name: &str) {
    while parent.remove_child(name, ns::VCARD).is_some() {}
}

/// Returns the first child of this name, created if it is missing.
fn child<'a>(parent: &'a mut Element, name: &str) -> &'a mut Element {
    if !parent.has_child(name, ns::VCARD) {
        parent.append_child(Element::builder(name, ns::VCARD).build());
    }
    parent.get_child_mut(name, ns::VCARD).expect("it was made where there was none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(content: &str) -> Element {
        format!("<vCard xmlns='vcard-temp'>{content}</vCard>").parse().unwrap()
    }

    fn change(whole: Option<&str>, change: CardChange) -> Element {
        changed(whole.map(|content| read(&element(content)).unwrap().1), change)
    }

    #[expect(clippy::unnecessary_wraps, reason = "fields are optional")]
    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Rows 69, 71.
    #[test]
    fn a_card_is_read_field_by_field() {
        let (card, whole) = read(&element(
            "<FN> Juliet Capulet </FN><N><FAMILY>Capulet</FAMILY></N><NICKNAME>jul</NICKNAME><URL>https://e.org</URL>\
             <ROLE/><EMAIL><INTERNET/></EMAIL><EMAIL><INTERNET/><USERID>j@e.org</USERID></EMAIL>\
             <PHOTO><TYPE>image/png</TYPE><BINVAL>YW\n Jj</BINVAL></PHOTO><ODD xmlns='urn:odd'/>",
        ))
        .unwrap();
        assert_eq!((card.full_name, card.nickname, card.role), (text("Juliet Capulet"), text("jul"), None));
        assert_eq!(
            (card.url, card.email, card.picture_type),
            (text("https://e.org"), text("j@e.org"), text("image/png"))
        );
        assert_eq!(card.picture.unwrap().hash(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(whole.length() > 200);
        for none in
            ["", "<PHOTO/>", "<PHOTO><BINVAL/></PHOTO>", "<PHOTO><TYPE>x</TYPE><BINVAL>?</BINVAL></PHOTO>", "<EMAIL/>"]
        {
            assert_eq!(read(&element(none)).unwrap().0, Card::default(), "{none}");
        }
        assert_eq!(read(&element("<EMAIL>plain@e.org</EMAIL>")).unwrap().0.email, text("plain@e.org"));
        let long = format!("<FN>{}</FN>", "é".repeat(MAX_FIELD));
        let name = read(&element(&long)).unwrap().0.full_name.unwrap();
        assert_eq!(name.len(), MAX_FIELD);
        assert!(name.capacity() < 2 * MAX_FIELD, "what is cut off takes no room");
        let huge = format!("<PHOTO><BINVAL>{}</BINVAL></PHOTO>", "A".repeat(300_000));
        assert_eq!(read(&element(&huge)), Err(BadPicture::TooLarge));
    }

    /// Rows 71.
    #[test]
    fn what_a_change_does_not_name_stays_as_it_was() {
        let before = "<N><FAMILY>C</FAMILY></N><FN>Old</FN><EMAIL><WORK/><USERID>a@b</USERID></EMAIL><EMAIL><USERID>c@d\
                      </USERID></EMAIL><PHOTO><TYPE>image/gif</TYPE><BINVAL>YWJj</BINVAL></PHOTO><ODD xmlns='urn:odd'>x</ODD>";
        let asked = CardChange { full_name: text("New <&>"), email: text("e@f"), ..CardChange::default() };
        assert_eq!(
            change(Some(before), asked),
            element(&before.replace(">Old<", ">New &lt;&amp;&gt;<").replace("a@b", "e@f"))
        );
        let gone = CardChange {
            full_name: text(""),
            email: text(""),
            picture: Some(PictureChange::Remove),
            ..CardChange::default()
        };
        assert_eq!(change(Some(before), gone), element("<N><FAMILY>C</FAMILY></N><ODD xmlns='urn:odd'>x</ODD>"));
        let typed = CardChange { picture_type: text("image/png"), ..CardChange::default() };
        assert_eq!(change(Some(before), typed), element(&before.replace("image/gif", "image/png")));
        let fresh = CardChange {
            nickname: text("j\u{1}"),
            picture: Some(PictureChange::Set(Picture::read("YWJj").unwrap())),
            picture_type: text("image/png"),
            ..CardChange::default()
        };
        let expected = "<NICKNAME>j\u{fffd}</NICKNAME><PHOTO><TYPE>image/png</TYPE><BINVAL>YWJj</BINVAL></PHOTO>";
        assert_eq!(change(None, fresh), element(expected));
    }
}
