//! Paging through an archive: which page comes next, and when the paging is over. Pure.
//!
//! Servers differ, and a hostile one may send the same pages forever: every sequence of pages ends here.

use parlor_stanza::error::CallError;
use parlor_stanza::types::{ArchiveQuery, Cursor};

use super::ArchivePage;

/// Maximum number of pages in a row without a message that is kept. They may have different positions, so they do not
/// form a cycle, but still never end.
const MOST_EMPTY: u32 = 2_000;

/// A sequence of pages of one archive, forwards, or backwards if its query has [`Cursor::Before`].
#[derive(Debug)]
pub struct Pager {
    query: ArchiveQuery,
    /// The number of messages on a page.
    size: u32,
    /// The number of messages that are still wanted. None: all.
    left: Option<u32>,
    over: bool,
    /// An earlier position, for detecting cycles. It moves to the present position after 1, 2, 4, 8 … pages.
    mark: Option<String>,
    since_mark: u32,
    next_mark: u32,
    /// The number of empty pages since the last one with messages.
    empty: u32,
}

impl Pager {
    /// Creates a pager from the position of `query`, in pages of `size`, until `most` messages were received. The `max`
    /// of `query` is ignored.
    pub fn new(query: ArchiveQuery, size: u32, most: Option<u32>) -> Self {
        let over = most == Some(0);
        Self { query, size, left: most, over, mark: None, since_mark: 0, next_mark: 1, empty: 0 }
    }

    /// Returns the query for the next page. None: the paging is over.
    pub fn next_page(&self) -> Option<ArchiveQuery> {
        let max = self.left.map_or(self.size, |left| left.min(self.size));
        (!self.over).then(|| ArchiveQuery { max, ..self.query.clone() })
    }

    /// Notes a page. Fails if the archive repeats itself, or sends empty pages forever.
    pub fn took(&mut self, page: &ArchivePage) -> Result<(), CallError> {
        let came = u32::try_from(page.messages.len()).unwrap_or(u32::MAX);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(came);
        }
        let backwards = matches!(self.query.cursor, Cursor::Before(_));
        let edge = if backwards { &page.fin.first } else { &page.fin.last };
        // Metronome marks the newest page as the last one, whatever is before it.
        let has_more_before = backwards && page.fin.index.is_some_and(|index| index > 0);
        let is_last = page.fin.complete && !has_more_before;
        // An empty page is always the last one, even if it is not marked so (XEP-0059, section 2.5).
        let Some(edge) = edge.clone().filter(|_| !is_last && self.left != Some(0)) else {
            self.over = true;
            return Ok(());
        };
        let is_where_it_was = match &self.query.cursor {
            Cursor::After(id) | Cursor::Before(id) => *id == edge,
            Cursor::Start | Cursor::Index(_) => false,
        };
        if is_where_it_was || self.mark.as_ref() == Some(&edge) {
            self.over = true;
            return Err(CallError::Other("the archive gives the same page again and again".to_owned()));
        }
        self.empty = if page.messages.is_empty() { self.empty + 1 } else { 0 };
        if self.empty > MOST_EMPTY {
            self.over = true;
            return Err(CallError::Other("the archive gives page after page with nothing on it".to_owned()));
        }
        self.since_mark += 1;
        if self.since_mark == self.next_mark {
            self.mark = Some(edge.clone());
            self.since_mark = 0;
            self.next_mark = self.next_mark.saturating_mul(2);
        }
        self.query.cursor = if backwards { Cursor::Before(edge) } else { Cursor::After(edge) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use parlor_stanza::types::ArchiveFin;

    use super::*;

    fn page(first: Option<&str>, last: Option<&str>, complete: bool) -> ArchivePage {
        let fin = ArchiveFin {
            complete,
            first: first.map(str::to_owned),
            last: last.map(str::to_owned),
            ..ArchiveFin::default()
        };
        ArchivePage { messages: VecDeque::new(), fin, of_room: false, cursor_known: true }
    }

    fn cursor(pager: &Pager) -> Option<Cursor> {
        pager.next_page().map(|query| query.cursor)
    }

    #[test]
    fn forwards_each_page_comes_after_the_one_before() {
        let mut pager = Pager::new(ArchiveQuery::default(), 50, None);
        assert_eq!(pager.next_page().map(|query| (query.max, query.cursor)), Some((50, Cursor::Start)));
        pager.took(&page(Some("a"), Some("b"), false)).unwrap();
        assert_eq!(cursor(&pager), Some(Cursor::After("b".to_owned())));
        pager.took(&page(Some("c"), Some("d"), true)).unwrap();
        assert_eq!(cursor(&pager), None);
    }

    #[test]
    fn backwards_each_page_comes_before_the_one_after() {
        let query = ArchiveQuery { cursor: Cursor::Before(String::new()), ..ArchiveQuery::default() };
        let mut pager = Pager::new(query, 50, None);
        pager.took(&page(Some("y"), Some("z"), false)).unwrap();
        assert_eq!(cursor(&pager), Some(Cursor::Before("y".to_owned())));
    }

    /// Metronome marks its newest page as the last one.
    #[test]
    fn backwards_the_last_page_begins_with_the_first_message() {
        let query = ArchiveQuery { cursor: Cursor::Before(String::new()), ..ArchiveQuery::default() };
        let mut pager = Pager::new(query, 50, None);
        let mut newest = page(Some("m"), Some("z"), true);
        newest.fin.index = Some(49);
        pager.took(&newest).unwrap();
        assert_eq!(cursor(&pager), Some(Cursor::Before("m".to_owned())));
        let mut oldest = page(Some("a"), Some("l"), true);
        oldest.fin.index = Some(0);
        pager.took(&oldest).unwrap();
        assert_eq!(cursor(&pager), None);
    }

    #[test]
    fn an_empty_page_is_the_last_one_though_it_says_that_there_is_more() {
        let mut pager = Pager::new(ArchiveQuery::default(), 50, None);
        pager.took(&page(None, None, false)).unwrap();
        assert_eq!(cursor(&pager), None);
    }

    #[test]
    fn nothing_wanted_asks_for_nothing() {
        assert_eq!(cursor(&Pager::new(ArchiveQuery::default(), 50, Some(0))), None);
    }

    #[test]
    fn an_archive_that_says_for_ever_that_there_is_more_is_asked_no_more() {
        let mut pager = Pager::new(ArchiveQuery::default(), 50, Some(100));
        let failed =
            (0..=MOST_EMPTY).position(|place| pager.took(&page(None, Some(&place.to_string()), false)).is_err());
        assert_eq!(failed, Some(MOST_EMPTY as usize));
        assert_eq!(cursor(&pager), None);
    }

    proptest::proptest! {
        /// However long the way into a cycle is, and the cycle.
        #[test]
        fn an_archive_that_goes_in_circles_is_found_out(lead in 0..200_u32, circle in 1..200_u32) {
            let mut pager = Pager::new(ArchiveQuery::default(), 50, None);
            let mut turns = 0;
            loop {
                let place = if turns < lead { turns } else { lead + (turns - lead) % circle };
                if pager.took(&page(None, Some(&place.to_string()), false)).is_err() {
                    break;
                }
                turns += 1;
                proptest::prop_assert!(turns < 4 * (lead + circle) + 8);
            }
            proptest::prop_assert_eq!(cursor(&pager), None);
            proptest::prop_assert!(turns >= circle.min(lead + circle), "nothing was given twice");
        }
    }
}
