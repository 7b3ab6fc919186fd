//! Reads what a presence announces: a picture, and capabilities.

use minidom::Element;

use crate::card::Avatar;
use crate::encode::AVATAR;
use crate::types::Caps;

/// Reads the avatar in a presence (XEP-0153, section 3); `None` if its hash is invalid.
pub(super) fn avatar(update: &Element) -> Option<Avatar> {
    let Some(photo) = update.get_child("photo", AVATAR) else { return Some(Avatar::Unknown) };
    let hash = photo.text().trim().to_ascii_lowercase();
    match hash.as_str() {
        "" => Some(Avatar::None),
        hash if hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Some(Avatar::Hash(hash.to_owned()))
        }
        _ => None,
    }
}

/// Reads the capabilities that a presence claims (XEP-0115, section 4). The older form without `hash` cannot be
/// verified.
pub(super) fn caps(c: &Element) -> Option<Caps> {
    let attribute = |name: &str| c.attr(name).filter(|value| !value.is_empty()).map(str::to_owned);
    Some(Caps { hash: attribute("hash")?, node: attribute("node")?, ver: attribute("ver")? })
}
