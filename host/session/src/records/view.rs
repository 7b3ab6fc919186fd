//! The view of an open chat or room: how a front end should show it. It is kept here, so that any front end can follow.

use std::sync::Arc;

use imbl::OrdMap;
use jid::BareJid;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::is_one_line;
use serde_json::Value;

/// Maximum number of attributes of one chat or room.
const MAX_ATTRIBUTES: usize = 64;
/// Maximum total length of the attributes of one chat or room, names and JSON texts together, in bytes.
const MAX_ATTRIBUTES_BYTES: usize = 16 * 1_024;
/// Maximum length of the name of an attribute, in bytes.
const MAX_NAME: usize = 128;
/// The fields of an open chat that can be read like attributes. Setting them as attributes would have no effect.
pub const CHAT_FIELDS: &[&str] = &[
    "focused",
    "fullname",
    "image",
    "image-type",
    "jid",
    "last-active",
    "minimized",
    "opened",
    "otr-status",
    "shown",
    "vcard-updated",
];
/// The fields of an open room that can be read like attributes.
pub const ROOM_FIELDS: &[&str] = &[
    "actor",
    "affiliation",
    "alternative",
    "features",
    "focused",
    "jid",
    "joined",
    "left",
    "logged",
    "minimized",
    "name",
    "nick",
    "occupants",
    "reason",
    "role",
    "shown",
    "shows-jids",
    "subject",
];

/// A change of how a front end shows an open chat or room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewChange {
    /// Give it the focus: a person's typing goes there. It is shown, and not minimized.
    Focus,
    /// Show it, not minimized.
    Show,
    /// Restore it from being minimized.
    Maximize,
    /// Minimize it, and take the focus away.
    Minimize,
}

/// How a front end should show an open chat or room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Whether it is minimized.
    pub minimized: bool,
    /// Whether someone asked to see it; `false` if it opened automatically, such as by an incoming message.
    pub shown: bool,
    /// Whether a person's typing goes there. At most one chat or room of an account has the focus; see
    /// `Features::take_focus_for`.
    pub focused: bool,
    attributes: OrdMap<Arc<str>, Arc<str>>,
    /// The size of the attributes in bytes.
    bytes: usize,
}

impl View {
    /// Creates the view of something that was just opened; `shown` if someone asked to see it.
    pub fn new(shown: bool) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Applies a change. Returns whether it was minimized or restored.
    pub(crate) fn change(&mut self, change: ViewChange) -> bool {
        let minimized = change == ViewChange::Minimize;
        self.shown |= matches!(change, ViewChange::Focus | ViewChange::Show);
        std::mem::replace(&mut self.minimized, minimized) != minimized
    }

    /// Returns the JSON text of an attribute. None: it is not set.
    pub fn attribute(&self, name: &str) -> Option<&Arc<str>> {
        self.attributes.get(name)
    }

    /// Returns all attributes, ordered by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.attributes.iter()
    }

    /// Sets an attribute to a JSON text; `null` removes it. Returns whether anything changed.
    pub(crate) fn set_attribute(&mut self, attribute: &Attribute) -> Result<bool, CallError> {
        let Attribute { name, value } = attribute;
        let size = |value: &Arc<str>| name.len() + value.len();
        let before = self.attributes.get(name);
        if before == value.as_ref() {
            return Ok(false);
        }
        let bytes = self.bytes - before.map_or(0, size) + value.as_ref().map_or(0, size);
        let number = self.attributes.len() + usize::from(value.is_some()) - usize::from(before.is_some());
        // A change that does not increase the size is always allowed.
        if number > self.attributes.len() && number > MAX_ATTRIBUTES {
            return Err(CallError::OverLimit(format!("{MAX_ATTRIBUTES} attributes; set one to null to take it away")));
        }
        if bytes > self.bytes && bytes > MAX_ATTRIBUTES_BYTES {
            return Err(CallError::OverLimit(format!("{MAX_ATTRIBUTES_BYTES} bytes of attributes")));
        }
        self.bytes = bytes;
        match value {
            Some(value) => self.attributes.insert(Arc::clone(name), Arc::clone(value)),
            None => self.attributes.remove(name),
        };
        Ok(true)
    }
}

/// A checked attribute that a plugin wants to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    name: Arc<str>,
    value: Option<Arc<str>>,
}

impl Attribute {
    /// Parses a name and a JSON text; the text `null` removes the attribute.
    ///
    /// `height` must be a number that is not negative, `url` a text; any other attribute may have any value. The names
    /// in `fields` are read-only, and refused.
    pub fn parse(name: &str, value: &str, fields: &[&str]) -> Result<Self, CallError> {
        Self::check_name(name)?;
        if fields.contains(&&*field_name(name)) {
            return Err(CallError::invalid("name", format!("{name} is no attribute: it has calls of its own")));
        }
        let invalid = |reason: String| CallError::invalid("value", reason);
        if value.len() > MAX_ATTRIBUTES_BYTES {
            return Err(invalid(format!("has {} bytes; at most {MAX_ATTRIBUTES_BYTES} are allowed", value.len())));
        }
        let read: Value = serde_json::from_str(value).map_err(|error| invalid(format!("not JSON: {error}")))?;
        let fits = match name {
            "height" => read.as_f64().is_some_and(|height| height >= 0.0),
            "url" => read.is_string(),
            _ => true,
        };
        if read.is_null() {
            return Ok(Self { name: name.into(), value: None });
        }
        if !fits {
            let expected = if name == "height" { "a number that is not negative" } else { "a text" };
            return Err(invalid(format!("is not what {name} is: {expected}")));
        }
        // Kept as it was written: parsing a large number may have rounded it.
        Ok(Self { name: name.into(), value: Some(value.trim().into()) })
    }

    /// Checks that this may be an attribute's name.
    pub fn check_name(name: &str) -> Result<(), CallError> {
        if name.is_empty() || name.len() > MAX_NAME || !is_one_line(name) {
            let reason = format!("a name has 1 to {MAX_NAME} bytes and no control characters");
            return Err(CallError::invalid("name", reason));
        }
        Ok(())
    }
}

/// Returns the name of a field as the contract spells it, such as `image-type`. Plugins may use the spelling of their
/// language: `image_type` or `imageType`.
pub fn field_name(name: &str) -> String {
    let (mut spelled, mut is_behind_small) = (String::with_capacity(name.len()), false);
    for sign in name.chars() {
        if sign.is_ascii_uppercase() && is_behind_small {
            spelled.push('-');
            spelled.push(sign.to_ascii_lowercase());
        } else {
            spelled.push(if sign == '_' { '-' } else { sign });
        }
        is_behind_small = sign.is_ascii_lowercase();
    }
    spelled
}

/// The open chat or room that has the focus. A room may have the address of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Focus {
    Chat(BareJid),
    Room(BareJid),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(view: &mut View, name: &str, value: &str) -> Result<bool, CallError> {
        view.set_attribute(&Attribute::parse(name, value, CHAT_FIELDS)?)
    }

    fn invalid(result: Result<impl std::fmt::Debug, CallError>) -> String {
        match result {
            Err(CallError::Invalid { argument, .. }) => argument,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn attributes_are_kept_as_they_were_set() {
        let mut view = View::default();
        assert_eq!(set(&mut view, "height", "250"), Ok(true));
        assert_eq!(set(&mut view, "url", "\"https://example.org\""), Ok(true));
        assert_eq!(set(&mut view, "mine", " {\"a\":[1,null]} "), Ok(true));
        assert_eq!(set(&mut view, "mine", "{\"a\":[1,null]}"), Ok(false), "it is the same");
        assert_eq!(view.attribute("mine").map(|json| &**json), Some("{\"a\":[1,null]}"));
        assert_eq!(view.attributes().map(|(name, _)| &**name).collect::<Vec<_>>(), ["height", "mine", "url"]);
        assert_eq!(set(&mut view, "mine", "null"), Ok(true));
        assert_eq!(set(&mut view, "mine", "null"), Ok(false));
        assert_eq!((view.attribute("mine"), view.attribute("other")), (None, None));
    }

    #[test]
    fn what_is_no_attribute_is_refused() {
        let mut view = View::default();
        for name in ["", "a\nb", &"x".repeat(129), "minimized", "jid", "image_type", "image-type", "imageType"] {
            assert_eq!(invalid(set(&mut view, name, "1")), "name", "{name}");
        }
        for (name, value) in [
            ("height", "-1"),
            ("height", "\"250\""),
            ("url", "1"),
            ("mine", "nonsense"),
            ("mine", ""),
            ("mine", &"x".repeat(1 << 20)),
        ] {
            assert_eq!(invalid(set(&mut view, name, value)), "value", "{name} {value:.10}");
        }
        assert_eq!(view, View::default());
    }

    #[test]
    fn attributes_are_so_many_and_take_so_much() {
        let mut view = View::default();
        for number in 0..MAX_ATTRIBUTES {
            assert_eq!(set(&mut view, &format!("a{number}"), "1"), Ok(true));
        }
        assert!(matches!(set(&mut view, "more", "1"), Err(CallError::OverLimit(_))));
        assert_eq!(set(&mut view, "a0", "2"), Ok(true), "one that is there may change");
        assert_eq!(set(&mut view, "a0", "null"), Ok(true));
        let long = format!("\"{}\"", "x".repeat(MAX_ATTRIBUTES_BYTES - 100));
        assert!(matches!(set(&mut view, "long", &long), Err(CallError::OverLimit(_))));
        let mut view = View::default();
        assert_eq!(set(&mut view, "long", &long), Ok(true));
        assert!(matches!(set(&mut view, "more", &long), Err(CallError::OverLimit(_))));
        assert_eq!(set(&mut view, "long", "null"), Ok(true));
        assert_eq!(view, View::default());
    }

    #[test]
    fn views_change() {
        let mut view = View::new(false);
        assert!(!view.change(ViewChange::Maximize) && !view.shown);
        assert!(view.change(ViewChange::Minimize) && view.minimized);
        assert!(!view.change(ViewChange::Minimize));
        assert!(view.change(ViewChange::Focus) && !view.minimized && view.shown);
        assert!(!view.change(ViewChange::Show));
        assert!(view.change(ViewChange::Minimize) && view.shown);
    }
}
