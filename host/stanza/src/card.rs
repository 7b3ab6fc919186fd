//! The host's form of vCards (XEP-0054): plain data, with only the fields that the host uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

use crate::error::CallError;

/// Maximum length of a picture in bytes of base64: 144 KiB of picture. Servers end a stream over a stanza of 256 KiB.
pub const MAX_PICTURE: usize = 192 * 1024;
/// Maximum length of any other field, in bytes.
pub const MAX_FIELD: usize = 4_096;

/// The contents of a vCard. Each field may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// `FN`: the full name.
    pub full_name: Option<String>,
    /// `NICKNAME`: the nickname.
    pub nickname: Option<String>,
    /// `URL`: the web page.
    pub url: Option<String>,
    /// `ROLE`: the role.
    pub role: Option<String>,
    /// `EMAIL`: the first address.
    pub email: Option<String>,
    /// `PHOTO`: the picture.
    pub picture: Option<Picture>,
    /// The media type of the picture.
    pub picture_type: Option<String>,
}

/// A picture, kept as base64 together with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    base64: String,
    hash: String,
}

impl Picture {
    /// Reads a picture from base64. White space in it is ignored, since XEP-0054 wraps lines.
    pub fn read(base64: &str) -> Result<Self, BadPicture> {
        let base64: String = base64.split_ascii_whitespace().collect();
        if base64.len() > MAX_PICTURE {
            return Err(BadPicture::TooLarge);
        }
        let bytes = BASE64.decode(&base64).map_err(|_| BadPicture::NotBase64)?;
        Ok(Self { base64, hash: hex::encode(Sha1::digest(bytes)) })
    }

    /// Returns the picture as base64.
    pub fn base64(&self) -> &str {
        &self.base64
    }

    /// Returns the hash that presence refers to: SHA-1 of the picture itself, in lower-case hex (XEP-0153, section 3).
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// The reason why a text is not a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    /// It is longer than [`MAX_PICTURE`].
    #[error("has more than {MAX_PICTURE} bytes of base64")]
    TooLarge,
    /// It is not base64.
    #[error("is not base64")]
    NotBase64,
}

/// The picture that someone's presence announces for their vCard (XEP-0153, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Avatar {
    /// Nothing is known about it yet.
    Unknown,
    /// There is no picture.
    None,
    /// There is a picture, with this hash.
    Hash(String),
}

impl Avatar {
    /// Returns what presence should announce for this card.
    pub fn of(card: &Card) -> Self {
        card.picture.as_ref().map_or(Self::None, |picture| Self::Hash(picture.hash.clone()))
    }
}

/// A change of the own vCard. `None` leaves a field as it is; an empty value removes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `Card`")]
pub struct CardChange {
    pub full_name: Option<String>,
    pub nickname: Option<String>,
    pub url: Option<String>,
    pub role: Option<String>,
    pub email: Option<String>,
    pub picture: Option<PictureChange>,
    pub picture_type: Option<String>,
}

/// A change of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureChange {
    /// Replaces the picture by this one.
    Set(Picture),
    /// Removes the picture, and its type with it.
    Remove,
}

impl Card {
    /// Returns the card after a change.
    #[must_use]
    pub fn changed(&self, change: &CardChange) -> Self {
        let field = |old: &Option<String>, new: &Option<String>| match new {
            None => old.clone(),
            Some(new) => Some(new.clone()).filter(|new| !new.is_empty()),
        };
        let picture = match &change.picture {
            None => self.picture.clone(),
            Some(PictureChange::Set(picture)) => Some(picture.clone()),
            Some(PictureChange::Remove) => None,
        };
        Self {
            full_name: field(&self.full_name, &change.full_name),
            nickname: field(&self.nickname, &change.nickname),
            url: field(&self.url, &change.url),
            role: field(&self.role, &change.role),
            email: field(&self.email, &change.email),
            picture_type: field(&self.picture_type, &change.picture_type).filter(|_| picture.is_some()),
            picture,
        }
    }

    /// Returns about how many bytes of memory the card takes.
    pub fn weight(&self) -> usize {
        let Self { full_name, nickname, url, role, email, picture, picture_type } = self;
        let texts = [full_name, nickname, url, role, email, picture_type];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        texts + picture.as_ref().map_or(0, |picture| picture.base64.len()) + 256
    }
}

impl CardChange {
    /// Returns about how many bytes of memory the change takes.
    pub fn weight(&self) -> usize {
        let Self { full_name, nickname, url, role, email, picture, picture_type } = self;
        let texts = [full_name, nickname, url, role, email, picture_type].into_iter().flatten().map(String::len);
        let picture = match picture {
            Some(PictureChange::Set(picture)) => picture.base64.len(),
            Some(PictureChange::Remove) | None => 0,
        };
        texts.sum::<usize>() + picture
    }

    /// Returns whether the change needs a picture that it does not contain.
    pub fn needs_picture(&self) -> bool {
        self.picture.is_none() && self.picture_type.as_ref().is_some_and(|kind| !kind.is_empty())
    }

    /// Returns whether the change is empty.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<BadPicture> for CallError {
    fn from(why: BadPicture) -> Self {
        Self::invalid("data.image", why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_named_by_the_hash_of_its_bytes() {
        // RFC 3174: "abc".
        let picture = Picture::read(" YW\n Jj\t").unwrap();
        assert_eq!((picture.base64(), picture.hash()), ("YWJj", "a9993e364706816aba3e25717850c26c9cd0d89d"));
        assert_eq!(Picture::read("no picture!"), Err(BadPicture::NotBase64));
        assert_eq!(Picture::read(&"A".repeat(MAX_PICTURE + 4)), Err(BadPicture::TooLarge));
        assert!(Picture::read(&"A".repeat(MAX_PICTURE)).is_ok());
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let text = |text: &str| Some(text.to_owned());
        let picture = Picture::read("YWJj").unwrap();
        let card = Card {
            full_name: text("Juliet"),
            nickname: text("J"),
            picture: Some(picture),
            picture_type: text("image/png"),
            ..Card::default()
        };
        let change = CardChange { nickname: text(""), url: text("https://example.org"), ..CardChange::default() };
        let changed = card.changed(&change);
        assert_eq!((&changed.full_name, &changed.nickname, &changed.url), (&card.full_name, &None, &change.url));
        assert_eq!(changed.picture, card.picture);
        let bare = card.changed(&CardChange { picture: Some(PictureChange::Remove), ..CardChange::default() });
        assert_eq!((bare.picture, bare.picture_type), (None, None));
    }
}
