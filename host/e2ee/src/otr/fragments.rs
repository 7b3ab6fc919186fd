//! Encoded messages in parts: cutting them, and putting them together again within limits.

use std::time::Duration;

use super::message::{InstanceTag, Route};
use super::text::Fragment;

/// The greatest length of an encoded message, in bytes, whether it comes in parts or not.
pub(super) const LONGEST: usize = 128 << 10;
/// The greatest number of messages of one person that are put together at a time.
const MOST: usize = 4;
/// The time that the next part may take to come.
const PATIENCE: Duration = Duration::from_mins(5);
/// The least length of a part. Its head has 36 bytes.
const SHORTEST: usize = 64;
const HEAD: usize = 36;

/// A message of which some parts have come.
struct Gathered {
    sender: Option<InstanceTag>,
    index: u16,
    count: u16,
    text: String,
    last: Duration,
}

/// The messages of one person of which some parts have come. At most one for each instance.
#[derive(Default)]
pub(super) struct Fragments(Vec<Gathered>);

/// The result of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More parts must arrive, or this one belongs to no message.
    Incomplete,
    Complete(String),
    /// The message would be too long. The parts that had come are dropped.
    TooLong,
}

impl Fragments {
    /// Adds a part. Parts must arrive in order. A part that is not the next one is dropped together with the parts
    /// before it.
    pub(super) fn add(&mut self, part: &Fragment<'_>, now: Duration) -> Progress {
        self.0.retain(|gathered| now.saturating_sub(gathered.last) < PATIENCE);
        let sender = part.tags.map(|tags| tags.sender);
        let place = self.0.iter().position(|gathered| gathered.sender == sender);
        let former = place.map(|place| self.0.remove(place));
        let mut gathered = if part.index == 1 {
            Gathered { sender, index: 0, count: part.count, text: String::new(), last: now }
        } else {
            match former {
                Some(former) if former.count == part.count && former.index + 1 == part.index => former,
                _ => return Progress::Incomplete,
            }
        };
        if gathered.text.len() + part.piece.len() > LONGEST {
            return Progress::TooLong;
        }
        gathered.text.push_str(part.piece);
        (gathered.index, gathered.last) = (part.index, now);
        if gathered.index == gathered.count {
            return Progress::Complete(gathered.text);
        }
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(gathered);
        Progress::Incomplete
    }

    /// Forgets the parts from one instance, because it has sent another message.
    pub(super) fn forget(&mut self, sender: Option<InstanceTag>) {
        self.0.retain(|gathered| gathered.sender != sender);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Cuts an encoded message into parts of at most `length` bytes, if it is longer than that. 0 stands for no limit; a limit below 64 is
/// taken as 64.
pub(super) fn cut(encoded: String, route: Route, length: usize) -> Vec<String> {
    let (is_unlimited, length) = (length == 0, length.max(SHORTEST));
    if is_unlimited || encoded.len() <= length {
        return vec![encoded];
    }
    let pieces: Vec<&str> = pieces(&encoded, length - HEAD);
    let Ok(count) = u16::try_from(pieces.len()) else { return vec![encoded] };
    let head = match route {
        Route::V2 => "?OTR,".to_owned(),
        Route::V3 { sender, receiver } => {
            format!("?OTR|{:08x}|{:08x},", sender.get(), receiver.map_or(0, InstanceTag::get))
        }
    };
    (1..=count).zip(pieces).map(|(index, piece)| format!("{head}{index:05},{count:05},{piece},")).collect()
}

/// Cuts ASCII.
fn pieces(mut text: &str, length: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while let Some((piece, rest)) = text.split_at_checked(length).filter(|(_, rest)| !rest.is_empty()) {
        pieces.push(piece);
        text = rest;
    }
    pieces.push(text);
    pieces
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Fragments, LONGEST, MOST, PATIENCE, Progress, cut};
    use crate::otr::message::{InstanceTag, Route};
    use crate::otr::text::{Fragment, FragmentTags, Text, read};

    fn part(sender: u32, index: u16, count: u16, piece: &str) -> Fragment<'_> {
        let tags = InstanceTag::new(sender).map(|sender| FragmentTags { sender, receiver: None });
        Fragment { tags, index, count, piece }
    }

    proptest! {
        #[test]
        fn parts_of_a_cut_message_are_joined_again(length in 1..3000_usize, limit in 0..400_usize, is_v3: bool) {
            let text = "x".repeat(length);
            let tag = InstanceTag::new(0x1234_5678);
            let route = if is_v3 { Route::V3 { sender: tag.unwrap(), receiver: tag } } else { Route::V2 };
            let parts = cut(text.clone(), route, limit);
            if let [whole] = &parts[..] {
                prop_assert!(limit == 0 || length <= limit.max(64));
                prop_assert_eq!(whole, &text);
                return Ok(());
            }
            let mut fragments = Fragments::default();
            let (last, first) = parts.split_last().unwrap();
            let mut add = |part: &str| {
                let Text::Fragment(Some(part)) = read(part) else { panic!("{part}") };
                fragments.add(&part, Duration::ZERO)
            };
            for part in first {
                prop_assert!(part.len() <= limit.max(64));
                prop_assert_eq!(add(part), Progress::Incomplete);
            }
            prop_assert_eq!(add(last), Progress::Complete(text));
        }
    }

    #[test]
    fn parts_that_are_not_the_next_are_dropped() {
        let now = Duration::ZERO;
        let mut fragments = Fragments::default();
        for wrong in [part(0, 2, 3, "b"), part(0, 3, 3, "c")] {
            assert_eq!(fragments.add(&wrong, now), Progress::Incomplete);
        }
        for parts in [[1, 1, 2, 3].as_slice(), &[1, 3, 1, 2, 3], &[1, 2, 2, 1, 2, 3]] {
            let (last, first) = parts.split_last().unwrap();
            for index in first {
                assert_eq!(fragments.add(&part(0, *index, 3, "a"), now), Progress::Incomplete);
            }
            assert_eq!(fragments.add(&part(0, *last, 3, "a"), now), Progress::Complete("aaa".to_owned()));
        }
        fragments.add(&part(0, 1, 3, "a"), now);
        assert_eq!(fragments.add(&part(0, 2, 2, "b"), now), Progress::Incomplete);
        fragments.add(&part(0, 1, 2, "a"), now);
        fragments.forget(None);
        assert_eq!(fragments.add(&part(0, 2, 2, "b"), now), Progress::Incomplete);
    }

    #[test]
    fn parts_of_several_clients_may_come_by_turns() {
        let now = Duration::ZERO;
        let mut fragments = Fragments::default();
        let senders = [0, 0x100, 0x101];
        for (index, expected) in [(1, None), (2, None), (3, Some("aaa"))] {
            for sender in senders {
                let whole = expected.map_or(Progress::Incomplete, |text: &str| Progress::Complete(text.to_owned()));
                assert_eq!(fragments.add(&part(sender, index, 3, "a"), now), whole, "{sender}");
            }
        }
        // One of them begins anew, and another sends a whole message.
        for sender in senders {
            fragments.add(&part(sender, 1, 2, "a"), now);
        }
        fragments.add(&part(0x100, 1, 2, "b"), now);
        fragments.forget(InstanceTag::new(0x101));
        let last = senders.map(|sender| fragments.add(&part(sender, 2, 2, "c"), now));
        assert_eq!(
            last,
            [Progress::Complete("ac".to_owned()), Progress::Complete("bc".to_owned()), Progress::Incomplete]
        );
    }

    #[test]
    fn fragments_without_end_are_bounded() {
        let now = Duration::ZERO;
        let mut fragments = Fragments::default();
        let piece = "x".repeat(1 << 10);
        let mut index = 1;
        while fragments.add(&part(0, index, u16::MAX, &piece), now) == Progress::Incomplete {
            index += 1;
        }
        assert_eq!(usize::from(index), LONGEST / piece.len() + 1);
        assert!(fragments.0.is_empty());
        for sender in 0..100 {
            fragments.add(&part(0x100 + sender, 1, 2, &piece), now);
        }
        assert_eq!(fragments.0.len(), MOST);
    }

    #[test]
    fn parts_that_come_too_late_are_forgotten() {
        let now = Duration::ZERO;
        let mut fragments = Fragments::default();
        fragments.add(&part(0, 1, 2, "a"), now);
        assert_eq!(fragments.add(&part(0, 2, 2, "b"), now + PATIENCE), Progress::Incomplete);
        fragments.add(&part(0, 1, 2, "a"), now);
        let late = now + PATIENCE.saturating_sub(Duration::from_secs(1));
        assert_eq!(fragments.add(&part(0, 2, 2, "b"), late), Progress::Complete("ab".to_owned()));
    }
}
