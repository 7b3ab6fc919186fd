//! Handles the attributes of a stanza, and leaves out those that are too long or too many.

use super::{Attribute, Held, Kind, Prefixes, is_stanza};
use crate::sieve::limits::{LONG_NAMESPACE, LONG_TOKEN, MANY_ATTRIBUTES, MAX_SPARE, Use};
use crate::sieve::lost::Lost;
use crate::sieve::mend::attributes;
use crate::sieve::tag::name_of;
use crate::types::LONGEST_ADDRESS;

/// The maximum number of prefixes that the elements of a stream may use from its header. Each element is searched for them.
const MAX_HEADER_PREFIXES: usize = 8;

impl Held {
    /// Adds to the start tag of the complete element the declarations of prefixes that it needs from the header of its
    /// stream, since stanzas are read and mended without that header. Returns whether there are any.
    pub fn declare_as_in(&mut self, header: &[u8]) -> bool {
        let is_foreign = |name: &[u8]| {
            name.starts_with(b"xmlns:") && !matches!(name, b"xmlns:xml" | b"xmlns:xmlns" | b"xmlns:stream")
        };
        let is_used = |name: &[u8]| {
            let prefix = &name[b"xmlns:".len()..];
            self.bytes.windows(prefix.len() + 1).any(|part| part.starts_with(prefix) && part.ends_with(b":"))
        };
        let is_declared = |name: &[u8]| attributes(self.head()).any(|(known, _)| known == name);
        let declared = attributes(header).filter(|&(name, _)| is_foreign(name)).take(MAX_HEADER_PREFIXES);
        let mut needed = Vec::new();
        for (name, value) in declared.filter(|&(name, _)| is_used(name) && !is_declared(name)) {
            needed.extend_from_slice(&[b" ", name, b"=", value].concat());
        }
        if needed.is_empty() {
            return false;
        }
        let rest = self.bytes.split_off(1 + name_of(&self.bytes).len());
        self.bytes.extend_from_slice(&needed);
        self.bytes.extend_from_slice(&rest);
        self.head += needed.len();
        true
    }

    /// Returns whether the attribute that is being read declares a namespace.
    pub fn declares(&self) -> bool {
        let Some(value) = self.attribute.value else { return false };
        matches!(Use::of(attribute_name(&self.bytes[self.tag..value])), Use::Namespace | Use::Prefix)
    }

    /// Returns whether the tag that is being read is that of a stanza, the received one or the one that it wraps. Such
    /// a tag only loses attributes that are too long.
    pub fn is_tag_of_a_stanza(&self) -> bool {
        let is_carried = self.wrappers == 2 && self.child.is_some_and(|child| child.at == self.tag);
        self.kind == Kind::Unknown || (is_carried && !self.is_skipping() && name_of(self.tag()) == b"message")
    }

    /// Handles a complete attribute of a stanza: it is kept if it is needed, or if there is room.
    pub fn attribute_ends(&mut self, is_long_name: bool) -> Result<(), Lost> {
        let start = attribute_start(self);
        let value = self.attribute.value.unwrap_or(self.bytes.len()).max(start);
        let length = self.bytes.len() - start;
        let use_of_it = Use::of(attribute_name(&self.bytes[start..value]));
        let is_address = matches!(attribute_name(&self.bytes[start..value]), b"from" | b"to");
        let has_room = self.spare.0 < MAX_SPARE.0 && self.spare.1 <= MAX_SPARE.1;
        let why = if self.attribute.is_long {
            Some(LONG_TOKEN)
        } else if is_long_name {
            Some(LONG_NAMESPACE)
        } else if is_address && self.bytes.len() - value > LONGEST_ADDRESS + 2 {
            // The library would take long to parse it.
            Some(LONG_TOKEN)
        } else {
            (matches!(use_of_it, Use::Prefix | Use::Spare) && !has_room).then_some(MANY_ATTRIBUTES)
        };
        self.attribute.is_long = false;
        if let Some(why) = why {
            if !is_stanza(name_of(self.tag())) {
                return Err(Lost::Unreadable);
            }
            self.cut.get_or_insert(why);
            let has_value = value < self.bytes.len();
            if attribute_name(&self.bytes[start..value]) == b"from" && has_value {
                // Without a sender the stanza would count as one of the own account. So the value becomes an invalid
                // address.
                let quote = self.bytes[value];
                self.bytes.truncate(value);
                self.bytes.extend_from_slice(&[quote, b'@', quote]);
            } else if use_of_it == Use::Prefix && has_room && has_value {
                // Elements may use the prefix, so it is bound to a namespace that has no other use.
                let quote = char::from(self.bytes[value]);
                self.bytes.truncate(value);
                self.bytes.extend_from_slice(format!("{quote}urn:parlor:too-long:{value}{quote}").as_bytes());
            } else {
                self.bytes.truncate(start);
            }
            if self.bytes.len() == start && use_of_it == Use::Prefix && self.kind == Kind::Unknown {
                self.prefixes = Prefixes::Lost;
            } else if self.bytes.len() == start && matches!(use_of_it, Use::Prefix | Use::Namespace) {
                if self.kind == Kind::Unknown {
                    self.whole.get_or_insert(why);
                } else {
                    self.over(why)?;
                }
            }
        }
        if use_of_it != Use::Needed {
            self.spare = (self.spare.0 + 1, self.spare.1 + length);
        }
        self.attribute = Attribute { start: self.bytes.len(), ..Attribute::default() };
        Ok(())
    }

    /// Completes a tag of a stanza whose last part was too long.
    pub fn end_long_tag(&mut self) {
        if std::mem::take(&mut self.attribute.is_long) {
            self.bytes.truncate(attribute_start(self));
            self.bytes.extend_from_slice(if self.is_empty { b"/>" } else { b">" });
            self.cut.get_or_insert(LONG_TOKEN);
        }
    }
}

/// Returns the start of the attribute that is being read, behind the name of its tag.
fn attribute_start(held: &Held) -> usize {
    held.attribute.start.max(held.tag + 1 + name_of(held.tag()).len()).min(held.bytes.len())
}

/// Returns whether a start tag may be one that servers pass on although it is not well-formed: a name has or declares a prefix,
/// or two attributes have the same name. Each element of a stream is looked at, so nothing is allocated: of more attributes than
/// elements have, the library decides.
pub(super) fn is_doubtful(tag: &[u8]) -> bool {
    let has_colon = |name: &[u8]| name.contains(&b':') && name != b"xml:lang";
    let mut before = [&[][..]; 8];
    let mut names = attributes(tag).map(|(name, _)| name).enumerate();
    has_colon(name_of(tag))
        || names.any(|(at, name)| {
            let is_again = before[..at.min(before.len())].contains(&name);
            let is_one_of_many = before.get_mut(at).map(|place| *place = name).is_none();
            has_colon(name) || is_again || is_one_of_many
        })
}

/// Returns the attribute name at the end of these bytes, with or without the equals sign.
fn attribute_name(before: &[u8]) -> &[u8] {
    let name = before.trim_ascii_end();
    let name = name.strip_suffix(b"=").unwrap_or(name).trim_ascii_end();
    let is_edge = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    name.rsplit(is_edge).next().unwrap_or_default()
}
