//! The element that is coming in, held within its limits. Pure.
//!
//! A stanza that grows past a limit loses the child that is too large and keeps the rest, so that an oversized extension hides
//! neither the text beside it nor who came or went. Nothing of what is left out is stored, however long it is: a server may write
//! a stanza of 256 KiB as one of hundreds of megabytes, since it declares a namespace again for each element that is in it.

use super::limits::{
    DEEP, ESSENTIAL, FIRST_AND_LAST, KEPT_CHILDREN, LONG, LONG_NAMESPACE, LONG_TOKEN, Limits, MANY_ATTRIBUTES,
    MANY_ELEMENTS, MAX_BYTES, MAX_DEPTH, MAX_HEAD, MAX_NAMESPACE, MAX_TOKEN, ONCE, OWN_ANSWER, UNASKED, is_wrapper,
    limits_of_iq,
};
use super::lost::Lost;
use super::mend;

mod attribute;

/// What kind of element is coming in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// Its start tag is not whole.
    #[default]
    Unknown,
    /// This end writes it, and the limits are not for it.
    Own,
    /// It is no stanza, such as the features of a stream.
    Other,
    /// An IQ, of which all or nothing is read.
    Iq(Limits),
    /// A message or a presence, of which each child stands for itself.
    Parts { is_message: bool },
}

/// How much there is of what is counted.
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

/// Where a child begins, and what was counted before it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: usize,
    before: Counts,
}

/// A child that is whole.
#[derive(Debug, Clone, Copy)]
struct Child {
    start: usize,
    end: usize,
    counts: Counts,
    /// Its place in [`ESSENTIAL`].
    essential: Option<usize>,
}

/// The attribute of a tag that is being read.
#[derive(Debug, Clone, Copy, Default)]
struct Attribute {
    /// Where it begins.
    start: usize,
    /// Where its value begins, with the quote.
    value: Option<usize>,
    /// It is too long, and no more of it is held.
    is_long: bool,
}

/// The element that is coming in.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    kind: Kind,
    /// Where its start tag ends; 0 while that is read.
    head: usize,
    /// Where the tag that is being read begins.
    tag: usize,
    /// The attribute that is being read.
    attribute: Attribute,
    /// The attributes of the start tag that were kept although nothing needs them: how many, and their bytes.
    spare: (usize, usize),
    /// The length of the name or value that is being read so far.
    token: usize,
    /// The tag that is being read ends in a slash so far.
    is_empty: bool,
    counts: Counts,
    /// The level of the children that can be left out one by one; 0 where none can.
    unit: usize,
    /// How many elements that only carry another message are open, or were.
    wrappers: usize,
    /// The child that is open.
    child: Option<Mark>,
    children: Vec<Child>,
    /// Some children were left out to make room.
    is_overfull: bool,
    /// The level of the element of which nothing is held until it ends.
    skipped: Option<usize>,
    /// How many elements are right below it.
    pub(super) direct: usize,
    /// Which of [`ONCE`] were among them.
    once: [bool; ONCE.len()],
    /// Something that the library may refuse.
    pub(super) is_odd: bool,
    /// The limit over which a part was left out.
    cut: Option<&'static str>,
    /// The limit over which all was left out but its start tag.
    whole: Option<&'static str>,
}

impl Held {
    /// One that this end writes.
    pub(super) fn own() -> Self {
        Self { kind: Kind::Own, ..Self::default() }
    }

    /// Begins the next one of the same sort, and gives what was held of this one.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut children = std::mem::take(&mut self.children);
        children.clear();
        children.shrink_to(KEPT_CHILDREN);
        let next = if self.kind == Kind::Own { Self::own() } else { Self::default() };
        std::mem::replace(self, Self { children, ..next }).bytes
    }

    /// Reuses the room of something that was held before.
    pub(super) fn reuse(&mut self, mut room: Vec<u8>) {
        if self.bytes.is_empty() && room.capacity() > self.bytes.capacity() {
            room.clear();
            room.shrink_to(super::KEEP);
            self.bytes = room;
        }
    }

    /// What is held of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The tag that is being read.
    pub(super) fn tag(&self) -> &[u8] {
        &self.bytes[self.tag.min(self.bytes.len())..]
    }

    /// Where its start tag ends.
    pub(super) fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    /// Whether nothing is held until the element of some level ends.
    pub(super) fn is_skipping(&self) -> bool {
        self.skipped.is_some()
    }

    /// Whether it is over a limit.
    pub(super) fn is_over(&self) -> bool {
        self.whole.is_some() || self.cut.is_some()
    }

    /// Whether the tag that was read opens nothing.
    pub(super) fn is_empty_tag(&self) -> bool {
        self.is_empty
    }

    /// Takes text at this level.
    pub(super) fn text(&mut self, text: &[u8], level: usize) -> Result<(), Lost> {
        // Between the children of a stanza it means nothing, and makes the library drop the stanza.
        let is_between = self.is_stanza() && (level == 2 || level == self.unit);
        if is_between { Ok(()) } else { self.hold(text) }
    }

    /// A tag begins at this level.
    pub(super) fn tag_begins(&mut self, level: usize) -> Result<(), Lost> {
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

    /// The tag that has begun at this level ends an element.
    pub(super) fn tag_closes(&mut self, level: usize) {
        if self.unit == level && !self.is_skipping() {
            self.child = None;
        }
    }

    /// Takes a part of a start tag outside of quotes.
    pub(super) fn name(&mut self, part: &[u8]) -> Result<(), Lost> {
        if let Some(last) = part.last() {
            self.is_empty = *last == b'/';
        }
        self.part(part)
    }

    /// Takes the quote with which a value begins.
    pub(super) fn quote(&mut self, quote: u8) -> Result<(), Lost> {
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
    pub(super) fn part(&mut self, part: &[u8]) -> Result<(), Lost> {
        self.token += part.len();
        if self.token > MAX_TOKEN {
            self.over(LONG_TOKEN)?;
        }
        self.hold(part)
    }

    /// Takes a part of an end tag.
    pub(super) fn closing(&mut self, part: &[u8]) -> Result<(), Lost> {
        // Only the name counts, as in the start tag: one that is as long as a name may be is no reason to end the stream.
        self.token += part.len() - usize::from(part.ends_with(b">"));
        if self.token > MAX_TOKEN && self.kind != Kind::Own {
            // A server writes the name that it has opened, and such a name was left out.
            return if self.is_skipping() { Ok(()) } else { Err(Lost::Unreadable) };
        }
        if !self.is_skipping() {
            self.bytes.extend_from_slice(part);
        }
        Ok(())
    }

    /// Takes the quote with which a value ends.
    pub(super) fn unquote(&mut self, quote: u8) -> Result<(), Lost> {
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

    /// The start tag of the element itself is whole.
    pub(super) fn head_ends(&mut self) {
        self.end_long_tag();
        self.head = self.bytes.len();
        if self.kind == Kind::Own {
            return;
        }
        // What it says of itself is in its start tag.
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

    /// A start tag below it is whole, at this level.
    pub(super) fn opened(&mut self, level: usize) -> Result<(), Lost> {
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
        if level == 2
            && let Some(place) = ONCE.iter().position(|once| *once == name)
        {
            self.is_odd |= std::mem::replace(&mut self.once[place], true);
        }
        if level == self.unit {
            if wraps && !self.is_empty {
                self.unit += 1;
                self.wrappers += 1;
                self.child = None;
            } else if self.is_overfull && !essential {
                return self.over(MANY_ELEMENTS);
            }
        }
        self.counts.elements += 1;
        self.check_counts()
    }

    /// Something is open at this level now.
    pub(super) fn deeper(&mut self, level: usize) -> Result<(), Lost> {
        if level > MAX_DEPTH { self.over(DEEP) } else { Ok(()) }
    }

    /// The element that was opened at this level has ended.
    pub(super) fn ended(&mut self, level: usize) {
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

    /// What looked like a tag was a section of characters at this level.
    pub(super) fn characters_end(&mut self, level: usize) {
        if level == self.unit
            && !self.is_skipping()
            && let Some(Mark { at, .. }) = self.child.take()
        {
            self.bytes.truncate(at);
        } else if self.skipped == Some(level) {
            (self.skipped, self.child) = (None, None);
        }
    }

    /// Holds this, unless nothing is held at present.
    pub(super) fn hold(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        if self.is_skipping() || self.attribute.is_long {
            return Ok(());
        }
        if self.bytes.len() + bytes.len() > self.most_bytes() {
            match self.kind {
                Kind::Own | Kind::Other => return Err(Lost::TooLarge { limit: MAX_BYTES }),
                // Nobody but the server itself could make one as long as that of what is kept.
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

    /// Whether the child that is open takes most of what there is, so that it is the one to be left out.
    fn is_hog(&self) -> bool {
        let Some(Mark { at, before }) = self.child else { return false };
        let Counts { elements, attributes } = self.counts.without(before);
        let Limits { bytes, elements: most_elements, attributes: most_attributes } = UNASKED;
        2 * (self.bytes.len() - at) > bytes || 2 * elements > most_elements || 2 * attributes > most_attributes
    }

    /// A limit is passed: the child that is open is left out, or everything but the start tag where there is none.
    fn over(&mut self, why: &'static str) -> Result<(), Lost> {
        if self.is_skipping() || self.attribute.is_long {
            return Ok(());
        }
        match self.kind {
            Kind::Own => return Ok(()),
            Kind::Unknown if is_stanza(name_of(self.tag())) => self.attribute.is_long = true,
            Kind::Unknown | Kind::Other => return Err(Lost::Unreadable),
            Kind::Iq(_) => self.leave_out_all(why),
            // Only what is being read is too long; a limit of all of it is another matter.
            Kind::Parts { .. } if self.token > MAX_TOKEN && self.is_tag_of_a_stanza() => self.attribute.is_long = true,
            Kind::Parts { .. } => match self.child {
                Some(Mark { at, before }) => {
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

    /// Leaves out the children that nobody needs, where all together are too much.
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

    /// The element is whole: as much of it as was held, and what the stream is owed in the place of what was not. Where it is no
    /// stanza all of it is needed.
    pub(super) fn finish(&mut self) {
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

    /// Whether all of it that is left is the start tag.
    pub(super) fn is_replaced(&self) -> bool {
        self.whole.is_some()
    }

    /// Whether it is a stanza.
    pub(super) fn is_stanza(&self) -> bool {
        matches!(self.kind, Kind::Iq(_) | Kind::Parts { .. })
    }

    /// Whether this end writes it.
    pub(super) fn is_own(&self) -> bool {
        self.kind == Kind::Own
    }

    /// Removes so much at this place.
    pub(super) fn remove(&mut self, at: usize) {
        self.bytes.remove(at);
    }

    /// Puts this in its place.
    pub(super) fn replace(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

fn is_stanza(name: &[u8]) -> bool {
    matches!(name, b"message" | b"presence" | b"iq")
}

fn find(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.iter().position(|byte| wanted(*byte))
}

/// The name in a start tag.
pub(super) fn name_of(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"<").unwrap_or(tag);
    &tag[..find(tag, |byte| matches!(byte, b'>' | b'/') || byte.is_ascii_whitespace()).unwrap_or(tag.len())]
}
