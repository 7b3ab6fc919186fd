//! Cuts an element that exceeds a limit, and marks the cut.

use super::{Child, Counts, Held, Kind, Mark, is_stanza};
use crate::sieve::limits::{
    ESSENTIAL, FIRST_AND_LAST, Limits, MANY_ATTRIBUTES, MANY_ELEMENTS, MAX_BYTES, MAX_HEAD, MAX_TOKEN, OWN_ANSWER,
    TEXTS, UNASKED,
};
use crate::sieve::lost::Lost;
use crate::sieve::mend;
use crate::sieve::tag::name_of;

impl Held {
    pub(super) fn most_bytes(&self) -> usize {
        match self.kind {
            // The stream's own header is one of them.
            Kind::Unknown => MAX_HEAD,
            Kind::Own | Kind::Other => MAX_BYTES,
            Kind::Iq(limits) => limits.bytes,
            Kind::Parts { .. } => UNASKED.bytes,
        }
    }

    pub(super) fn check_counts(&mut self) -> Result<(), Lost> {
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
    pub(super) fn is_hog(&self) -> bool {
        let Some(Mark { at, before }) = self.child else { return false };
        let Counts { elements, attributes } = self.counts.without(before);
        let Limits { bytes, elements: most_elements, attributes: most_attributes } = UNASKED;
        2 * (self.bytes.len() - at) > bytes || 2 * elements > most_elements || 2 * attributes > most_attributes
    }

    /// Handles an exceeded limit: leaves out the open child, or everything but the start tag if no child is open.
    pub(super) fn over(&mut self, why: &'static str) -> Result<(), Lost> {
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
    pub(super) fn make_room(&mut self) {
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
}
