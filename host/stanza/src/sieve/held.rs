//! Holds the element that is being received, within its limits. Pure.
//!
//! A stanza that exceeds a limit loses the child that is too large and keeps the rest. So an oversized extension does
//! not hide the text next to it or who joined or left. Omitted data of any length is not stored: a server may serialise
//! a stanza of 256 KiB as hundreds of megabytes, since it repeats a namespace declaration for each element.

use crate::sieve::limits::{
    DEEP, ESSENTIAL, KEPT_CHILDREN, LONG, LONG_NAMESPACE, LONG_TOKEN, Limits, MANY_ATTRIBUTES, MANY_ELEMENTS,
    MAX_BYTES, MAX_DEPTH, MAX_HEAD, MAX_NAMESPACE, MAX_TOKEN, ONCE, TEXTS, UNASKED, is_wrapper, limits_of_iq,
};
use crate::sieve::lost::Lost;
use crate::sieve::mend;
use crate::sieve::tag::name_of;

mod attribute;
mod over;

/// The kind of element that is being received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// The start tag is not complete yet.
    #[default]
    Unknown,
    /// An element that this end writes, without limits.
    Own,
    /// An element other than a stanza, such as stream features.
    Other,
    /// An IQ, which is read completely or not at all.
    Iq(Limits),
    /// A message or a presence, whose children are independent of each other.
    Parts { is_message: bool },
}

/// The counts that are limited.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    elements: usize,
    attributes: usize,
}

impl Counts {
    fn without(self, other: Self) -> Self {
        Self { elements: self.elements - other.elements, attributes: self.attributes - other.attributes }
    }
}

/// The start of a child, and the counts before it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: usize,
    before: Counts,
}

/// A complete child.
#[derive(Debug, Clone, Copy)]
struct Child {
    start: usize,
    end: usize,
    counts: Counts,
    /// Its index in [`ESSENTIAL`].
    essential: Option<usize>,
}

/// The attribute that is being read.
#[derive(Debug, Clone, Copy, Default)]
struct Attribute {
    /// The start of the attribute.
    start: usize,
    /// The start of its quoted value.
    value: Option<usize>,
    /// Whether it is too long, so that no more of it is held.
    is_long: bool,
}

/// Whether the names in a stanza are plain, and whether the declarations of prefixes in its start tag were kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefixes {
    /// No name has a prefix so far.
    #[default]
    Unused,
    /// Some have one, which may be declared nowhere, or an attribute may be there twice.
    Doubtful,
    /// Some were left out, so that nothing with a prefix can be read.
    Lost,
}

/// The element that is being received.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Vec<u8>,
    kind: Kind,
    /// The end of its start tag; 0 while that is being read.
    head: usize,
    /// The start of the tag that is being read.
    tag: usize,
    /// The attribute that is being read.
    attribute: Attribute,
    /// The number and bytes of attributes of the start tag that were kept although nothing needs them.
    spare: (usize, usize),
    /// The length so far of the name or value that is being read.
    token: usize,
    /// Whether the tag that is being read ends with a slash so far.
    is_empty: bool,
    counts: Counts,
    /// The level of the children that can be left out individually; 0 if none can.
    unit: usize,
    /// The number of wrapper elements, around another message, that were opened.
    wrappers: usize,
    /// The child that is open.
    child: Option<Mark>,
    children: Vec<Child>,
    /// Whether children were left out to make room.
    is_overfull: bool,
    /// The level of the element that is skipped until its end.
    skipped: Option<usize>,
    /// The number of direct children.
    pub direct: usize,
    /// Whether each of [`ONCE`] was among them.
    once: [bool; ONCE.len()],
    /// Whether the library may refuse something in it.
    pub is_odd: bool,
    /// Whether each of [`TEXTS`] was left out for its length.
    texts_lost: [bool; TEXTS.len()],
    /// The prefixes of its names, and their declarations in its start tag.
    pub prefixes: Prefixes,
    /// The limit over which a part was left out.
    cut: Option<&'static str>,
    /// The limit over which everything but the start tag was left out.
    whole: Option<&'static str>,
}

impl Held {
    /// Creates the state for elements that this end writes.
    pub fn own() -> Self {
        Self { kind: Kind::Own, ..Self::default() }
    }

    /// Begins the next element of the same kind, and returns what was held of this one.
    pub fn take(&mut self) -> Vec<u8> {
        let mut children = std::mem::take(&mut self.children);
        children.clear();
        children.shrink_to(KEPT_CHILDREN);
        let next = if self.kind == Kind::Own { Self::own() } else { Self::default() };
        std::mem::replace(self, Self { children, ..next }).bytes
    }

    /// Reuses the memory of an earlier element.
    pub fn reuse(&mut self, mut room: Vec<u8>) {
        if self.bytes.is_empty() && room.capacity() > self.bytes.capacity() {
            room.clear();
            room.shrink_to(super::KEEP);
            self.bytes = room;
        }
    }

    /// Returns what is held of the element.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the tag that is being read.
    pub fn tag(&self) -> &[u8] {
        &self.bytes[self.tag.min(self.bytes.len())..]
    }

    /// Returns the start tag of the element.
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    /// Returns whether data is skipped until the end of some element.
    pub fn is_skipping(&self) -> bool {
        self.skipped.is_some()
    }

    /// Returns whether the element exceeds a limit.
    pub fn is_over(&self) -> bool {
        self.whole.is_some() || self.cut.is_some()
    }

    /// Returns whether the tag that was read is an empty element.
    pub fn is_empty_tag(&self) -> bool {
        self.is_empty
    }

    /// Takes text at this level.
    pub fn text(&mut self, text: &[u8], level: usize) -> Result<(), Lost> {
        // Text between the children of a stanza has no meaning, but makes the library drop the stanza.
        let is_between = self.is_stanza() && (level == 2 || level == self.unit);
        if is_between { Ok(()) } else { self.hold(text) }
    }

    /// Handles the beginning of a tag at this level.
    pub fn tag_begins(&mut self, level: usize) -> Result<(), Lost> {
        self.token = 0;
        self.is_empty = false;
        if self.is_skipping() {
            return Ok(());
        }
        self.tag = self.bytes.len();
        self.attribute = Attribute { start: self.tag, ..Attribute::default() };
        if self.unit == level && self.unit > 0 {
            self.child = Some(Mark { at: self.tag, before: self.counts });
        }
        self.hold(b"<")
    }

    /// Records that the tag at this level is an end tag.
    pub fn tag_closes(&mut self, level: usize) {
        if self.unit == level && !self.is_skipping() {
            self.child = None;
        }
    }

    /// Takes a part of a start tag outside quotes.
    pub fn name(&mut self, part: &[u8]) -> Result<(), Lost> {
        if let Some(last) = part.last() {
            self.is_empty = *last == b'/';
        }
        self.part(part)
    }

    /// Takes the quote at the beginning of a value.
    pub fn quote(&mut self, quote: u8) -> Result<(), Lost> {
        self.attribute.value = (!self.is_skipping() && !self.attribute.is_long).then_some(self.bytes.len());
        self.hold(&[quote])?;
        self.token = 0;
        self.is_empty = false;
        if !self.is_skipping() {
            self.counts.attributes += 1;
        }
        self.check_counts()
    }

    /// Takes a part of a name or value, and counts its length.
    pub fn part(&mut self, part: &[u8]) -> Result<(), Lost> {
        self.token += part.len();
        if self.token > MAX_TOKEN {
            self.over(LONG_TOKEN)?;
        }
        self.hold(part)
    }

    /// Takes a part of an end tag.
    pub fn closing(&mut self, part: &[u8]) -> Result<(), Lost> {
        // Only the name counts, as in the start tag: a name of the maximum length must not end the stream.
        self.token += part.len() - usize::from(part.ends_with(b">"));
        if self.token > MAX_TOKEN && self.kind != Kind::Own {
            // An end tag repeats the name of its start tag, and an element with such a name was left out.
            return if self.is_skipping() { Ok(()) } else { Err(Lost::Unreadable) };
        }
        if !self.is_skipping() {
            self.bytes.extend_from_slice(part);
        }
        Ok(())
    }

    /// Takes the quote at the end of a value.
    pub fn unquote(&mut self, quote: u8) -> Result<(), Lost> {
        let is_long_name = self.token > MAX_NAMESPACE && !self.is_skipping() && self.declares();
        self.hold(&[quote])?;
        self.token = 0;
        if self.is_tag_of_a_stanza() {
            self.attribute_ends(is_long_name)
        } else if is_long_name {
            self.over(LONG_NAMESPACE)
        } else {
            Ok(())
        }
    }

    /// Handles the complete start tag of the element itself.
    pub fn head_ends(&mut self) {
        self.end_long_tag();
        if self.prefixes == Prefixes::Lost {
            self.bytes = mend::tag_without_prefixes(&self.bytes);
            self.tag = 0;
        } else if attribute::is_doubtful(&self.bytes) {
            self.prefixes = Prefixes::Doubtful;
        }
        self.head = self.bytes.len();
        if self.kind == Kind::Own {
            return;
        }
        // The attributes of the start tag itself do not count.
        self.counts = Counts { elements: 1, attributes: 0 };
        self.kind = match name_of(&self.bytes) {
            b"message" => Kind::Parts { is_message: true },
            b"presence" => Kind::Parts { is_message: false },
            b"iq" => Kind::Iq(limits_of_iq(&self.bytes)),
            _ => Kind::Other,
        };
        if matches!(self.kind, Kind::Parts { .. }) {
            self.unit = 2;
        }
        if self.whole.is_some() {
            self.skipped = Some(1);
        }
    }

    /// Handles a complete start tag below the element, at this level.
    pub fn opened(&mut self, level: usize) -> Result<(), Lost> {
        if level == 2 {
            self.direct += 1;
        }
        if self.is_skipping() {
            return Ok(());
        }
        self.end_long_tag();
        let name = name_of(self.tag());
        let wraps =
            self.kind == Kind::Parts { is_message: true } && self.wrappers + 2 == level && is_wrapper(level, name);
        let essential = ESSENTIAL.contains(&name);
        let is_lost = TEXTS.iter().zip(self.texts_lost).any(|(text, is_lost)| is_lost && *text == name);
        if level == 2
            && let Some(place) = ONCE.iter().position(|once| *once == name)
        {
            self.is_odd |= std::mem::replace(&mut self.once[place], true);
        }
        if level == self.unit {
            if is_lost {
                return self.over(LONG);
            }
            if wraps && !self.is_empty {
                self.unit += 1;
                self.wrappers += 1;
                self.child = None;
            } else if self.is_overfull && !essential {
                return self.over(MANY_ELEMENTS);
            }
        }
        match self.prefixes {
            Prefixes::Lost if mend::has_prefix(self.tag()) => return self.over(MANY_ATTRIBUTES),
            Prefixes::Unused if attribute::is_doubtful(self.tag()) => self.prefixes = Prefixes::Doubtful,
            Prefixes::Unused | Prefixes::Doubtful | Prefixes::Lost => {}
        }
        self.counts.elements += 1;
        self.check_counts()
    }

    /// Checks the depth after an element was opened.
    pub fn deeper(&mut self, level: usize) -> Result<(), Lost> {
        if level > MAX_DEPTH { self.over(DEEP) } else { Ok(()) }
    }

    /// Handles the end of the element that was opened at this level.
    pub fn ended(&mut self, level: usize) {
        if self.skipped.is_some() {
            if self.skipped == Some(level) {
                (self.skipped, self.child) = (None, None);
            }
        } else if level == self.unit {
            if let Some(Mark { at, before }) = self.child.take() {
                let name = name_of(&self.bytes[at..]);
                let essential = ESSENTIAL.iter().position(|known| *known == name);
                let counts = self.counts.without(before);
                self.children.push(Child { start: at, end: self.bytes.len(), counts, essential });
            }
        } else if level < self.unit && level > 1 {
            self.unit = level;
        }
    }

    /// Handles the end of a CDATA section at this level, whose beginning looked like a tag.
    pub fn characters_end(&mut self, level: usize) {
        if level == self.unit
            && !self.is_skipping()
            && let Some(Mark { at, .. }) = self.child.take()
        {
            self.bytes.truncate(at);
        } else if self.skipped == Some(level) {
            (self.skipped, self.child) = (None, None);
        }
    }

    /// Holds these bytes, unless data is being skipped.
    pub fn hold(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        if self.is_skipping() || self.attribute.is_long {
            return Ok(());
        }
        if self.bytes.len() + bytes.len() > self.most_bytes() {
            match self.kind {
                Kind::Own | Kind::Other => return Err(Lost::TooLarge { limit: MAX_BYTES }),
                // Only the server itself could make the attributes that are kept this long.
                Kind::Unknown => return Err(Lost::TooLarge { limit: MAX_HEAD }),
                Kind::Iq(_) => return self.over(LONG),
                Kind::Parts { .. } => {
                    if !self.is_hog() {
                        self.make_room();
                    }
                    if self.bytes.len() + bytes.len() > UNASKED.bytes {
                        return self.over(LONG);
                    }
                }
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns whether it was reduced to its start tag.
    pub fn is_replaced(&self) -> bool {
        self.whole.is_some()
    }

    /// Returns whether it is a stanza.
    pub fn is_stanza(&self) -> bool {
        matches!(self.kind, Kind::Iq(_) | Kind::Parts { .. })
    }

    /// Returns whether this end writes it.
    pub fn is_own(&self) -> bool {
        self.kind == Kind::Own
    }

    /// Removes the byte at this index.
    pub fn remove(&mut self, at: usize) {
        self.bytes.remove(at);
    }

    /// Replaces the content.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

/// Returns whether an element is a message of which nothing was left out.
pub fn is_whole_message(held: &Held) -> bool {
    held.kind == (Kind::Parts { is_message: true }) && !held.is_over()
}

fn is_stanza(name: &[u8]) -> bool {
    matches!(name, b"message" | b"presence" | b"iq")
}
