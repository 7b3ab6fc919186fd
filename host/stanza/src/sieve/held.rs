//! Holds the element that is being received, within its limits. Pure.
//!
//! A stanza that exceeds a limit loses the child that is too large and keeps the rest. So an oversized extension hides
//! neither the text beside it nor who joined or left. Nothing of what is left out is stored, however long it is: a
//! server may serialise a stanza of 256 KiB as hundreds of megabytes, since it repeats a namespace declaration for each
//! element.

use crate::sieve::limits::{
    DEEP, ESSENTIAL, FIRST_AND_LAST, KEPT_CHILDREN, LONG, LONG_NAMESPACE, LONG_TOKEN, Limits, MANY_ATTRIBUTES,
    MANY_ELEMENTS, MAX_BYTES, MAX_DEPTH, MAX_HEAD, MAX_NAMESPACE, MAX_TOKEN, ONCE, OWN_ANSWER, TEXTS, UNASKED,
    is_wrapper, limits_of_iq,
};
use crate::sieve::lost::Lost;
use crate::sieve::mend;

mod attribute;

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

/// Whether the declarations of prefixes in a start tag were kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Prefixes {
    #[default]
    Kept,
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
    /// The declarations of prefixes in its start tag.
    prefixes: Prefixes,
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
        // Only the name counts, as in the start tag: one that is as long as a name may be is no reason to end the stream.
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
        if self.prefixes == Prefixes::Lost && mend::has_prefix(self.tag()) {
            return self.over(MANY_ATTRIBUTES);
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

    fn most_bytes(&self) -> usize {
        match self.kind {
            // The stream's own header is one of them.
            Kind::Unknown => MAX_HEAD,
            Kind::Own | Kind::Other => MAX_BYTES,
            Kind::Iq(limits) => limits.bytes,
            Kind::Parts { .. } => UNASKED.bytes,
        }
    }

    fn check_counts(&mut self) -> Result<(), Lost> {
        let limits = match self.kind {
            Kind::Unknown | Kind::Own => return Ok(()),
            Kind::Other => OWN_ANSWER,
            Kind::Iq(limits) => limits,
            Kind::Parts { .. } => UNASKED,
        };
        let is_over = |counts: Counts| counts.elements > limits.elements || counts.attributes > limits.attributes;
        if !is_over(self.counts) || self.is_skipping() {
            return Ok(());
        }
        if !self.is_hog() {
            self.make_room();
        }
        let what = if self.counts.elements > limits.elements { MANY_ELEMENTS } else { MANY_ATTRIBUTES };
        if is_over(self.counts) { self.over(what) } else { Ok(()) }
    }

    /// Returns whether the open child takes most of a limit, so that it is the one to be left out.
    fn is_hog(&self) -> bool {
        let Some(Mark { at, before }) = self.child else { return false };
        let Counts { elements, attributes } = self.counts.without(before);
        let Limits { bytes, elements: most_elements, attributes: most_attributes } = UNASKED;
        2 * (self.bytes.len() - at) > bytes || 2 * elements > most_elements || 2 * attributes > most_attributes
    }

    /// Handles an exceeded limit: leaves out the open child, or everything but the start tag if no child is open.
    fn over(&mut self, why: &'static str) -> Result<(), Lost> {
        if self.is_skipping() || self.attribute.is_long {
            return Ok(());
        }
        match self.kind {
            Kind::Own => return Ok(()),
            Kind::Unknown if is_stanza(name_of(self.tag())) => self.attribute.is_long = true,
            Kind::Unknown | Kind::Other => return Err(Lost::Unreadable),
            Kind::Iq(_) => self.leave_out_all(why),
            // Only the current name or value is too long; the limits of the whole stanza are handled below.
            Kind::Parts { .. } if self.token > MAX_TOKEN && self.is_tag_of_a_stanza() => self.attribute.is_long = true,
            Kind::Parts { .. } => match self.child {
                Some(Mark { at, before }) => {
                    let name = name_of(&self.bytes[at..]);
                    if let Some(place) = TEXTS.iter().position(|text| *text == name) {
                        self.texts_lost[place] = true;
                    }
                    self.bytes.truncate(at);
                    self.counts = before;
                    self.skipped = Some(self.unit);
                    self.cut.get_or_insert(why);
                }
                None => self.leave_out_all(why),
            },
        }
        Ok(())
    }

    fn leave_out_all(&mut self, why: &'static str) {
        self.bytes.truncate(self.head);
        self.skipped = Some(1);
        self.whole.get_or_insert(why);
    }

    /// Leaves out children that are not essential, if all of them together exceed a limit.
    fn make_room(&mut self) {
        let mut in_all = [0_usize; ESSENTIAL.len()];
        for place in self.children.iter().filter_map(|child| child.essential) {
            in_all[place] += 1;
        }
        let mut met = [0_usize; ESSENTIAL.len()];
        let mut is_kept = |child: &Child| {
            child.essential.is_some_and(|place| {
                met[place] += 1;
                met[place] <= FIRST_AND_LAST || met[place] + FIRST_AND_LAST > in_all[place]
            })
        };
        let (kept, left_out): (Vec<Child>, Vec<Child>) = self.children.iter().partition(|child| is_kept(child));
        if left_out.is_empty() {
            return;
        }
        self.is_overfull = true;
        self.cut.get_or_insert(MANY_ELEMENTS);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let (mut done, mut shift) = (0, 0);
        for Child { start, end, counts, .. } in &left_out {
            bytes.extend_from_slice(&self.bytes[done..*start]);
            (done, shift) = (*end, shift + end - start);
            self.counts = self.counts.without(*counts);
            if let Some(open) = &mut self.child {
                open.before = open.before.without(*counts);
            }
        }
        bytes.extend_from_slice(&self.bytes[done..]);
        self.bytes = bytes;
        self.tag -= shift;
        self.attribute.start = self.attribute.start.saturating_sub(shift);
        self.attribute.value = self.attribute.value.map(|value| value.saturating_sub(shift));
        if let Some(open) = &mut self.child {
            open.at -= shift;
        }
        self.children = kept;
        let mut gone = left_out.iter().peekable();
        let mut before = 0;
        for child in &mut self.children {
            while let Some(out) = gone.next_if(|out| out.start < child.start) {
                before += out.end - out.start;
            }
            (child.start, child.end) = (child.start - before, child.end - before);
        }
    }

    /// Completes the element: keeps what was held, and replaces or marks what was left out. An element other than a
    /// stanza is never shortened.
    pub fn finish(&mut self) {
        if let Some(why) = self.whole {
            tracing::debug!(reason = why, "a stanza over the limits was not read");
            self.bytes = mend::replacement(&self.bytes[..self.head], why);
        } else if let Some(why) = self.cut {
            tracing::debug!(reason = why, "a part of a stanza was over the limits and left out");
            if self.kind == (Kind::Parts { is_message: true }) {
                mend::mark_as_cut(&mut self.bytes, why);
            }
        }
    }

    /// Returns whether only the start tag is left of it.
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

fn is_stanza(name: &[u8]) -> bool {
    matches!(name, b"message" | b"presence" | b"iq")
}

fn find(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.iter().position(|byte| wanted(*byte))
}

/// Returns the name in a start tag.
pub fn name_of(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"<").unwrap_or(tag);
    &tag[..find(tag, |byte| matches!(byte, b'>' | b'/') || byte.is_ascii_whitespace()).unwrap_or(tag.len())]
}
