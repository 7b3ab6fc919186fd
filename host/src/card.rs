//! Visiting cards (XEP-0054) as the house speaks of them: plain data, without the rest of what may stand on one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

use crate::error::CallError;

/// How long a picture may be, in bytes of base64: 144 KiB of picture. Servers end a stream over a stanza of 256 KiB.
pub const MAX_PICTURE: usize = 192 * 1024;
/// How long any other field may be, in bytes.
pub const MAX_FIELD: usize = 4_096;

/// What stands on a card. Each may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// `FN`: the full name.
    pub full_name: Option<String>,
    /// `NICKNAME`.
    pub nickname: Option<String>,
    /// `URL`: the web page.
    pub url: Option<String>,
    /// `ROLE`.
    pub role: Option<String>,
    /// `EMAIL`: the first.
    pub email: Option<String>,
    /// `PHOTO`: the picture.
    pub picture: Option<Picture>,
    /// Its media type.
    pub picture_type: Option<String>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    base64: String,
    hash: String,
}

impl Picture {
    /// Reads one from base64; white space in it does not count (XEP-0054 wraps lines).
    pub fn read(base64: &str) -> Result<Self, BadPicture> {
        let base64: String = base64.split_ascii_whitespace().collect();
        if base64.len() > MAX_PICTURE {
            return Err(BadPicture::TooLarge);
        }
        let bytes = BASE64.decode(&base64).map_err(|_| BadPicture::NotBase64)?;
        Ok(Self { base64, hash: hex::encode(Sha1::digest(bytes)) })
    }

    /// The picture as base64.
    pub fn base64(&self) -> &str {
        &self.base64
    }

    /// By what presence names it: SHA-1 of the picture itself, in lower-case hex (XEP-0153, section 3).
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// Why something is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    /// It is too long.
    #[error("has more than {MAX_PICTURE} bytes of base64")]
    TooLarge,
    /// It is something else.
    #[error("is not base64")]
    NotBase64,
}

/// What the presence of somebody says of the picture on the card (XEP-0153, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Avatar {
    /// Nothing is known of it yet.
    Unknown,
    /// There is none.
    None,
    /// The hash of it.
    Hash(String),
}

impl Avatar {
    /// What is to be said of this card.
    pub fn of(card: &Card) -> Self {
        card.picture.as_ref().map_or(Self::None, |picture| Self::Hash(picture.hash.clone()))
    }
}

/// What is to change on the own card. None: nothing. Empty: it goes.
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

/// What is to become of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureChange {
    /// This one takes its place.
    Set(Picture),
    /// It goes, and its type with it.
    Remove,
}

impl Card {
    /// The card after a change.
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

    /// How much memory it takes, about, in bytes.
    pub fn weight(&self) -> usize {
        let Self { full_name, nickname, url, role, email, picture, picture_type } = self;
        let texts = [full_name, nickname, url, role, email, picture_type];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        texts + picture.as_ref().map_or(0, |picture| picture.base64.len()) + 256
    }
}

impl CardChange {
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let Self { full_name, nickname, url, role, email, picture, picture_type } = self;
        let texts = [full_name, nickname, url, role, email, picture_type].into_iter().flatten().map(String::len);
        let picture = match picture {
            Some(PictureChange::Set(picture)) => picture.base64.len(),
            Some(PictureChange::Remove) | None => 0,
        };
        texts.sum::<usize>() + picture
    }

    /// Whether it needs a picture that it does not bring along.
    pub fn needs_picture(&self) -> bool {
        self.picture.is_none() && self.picture_type.as_ref().is_some_and(|kind| !kind.is_empty())
    }

    /// Whether anything is to change.
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
