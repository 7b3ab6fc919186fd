//! The spaces and comments between the brackets of a list or an inline table.

use toml_edit::{Array, Decor, InlineTable, RawString};

/// The text around the items, without the commas.
pub(super) struct Brackets {
    items: Vec<Around>,
    /// The text before the closing bracket.
    end: String,
    has_last_comma: bool,
}

/// The text before an item, and behind it on the same line: a comment there is about this item, although it follows
/// the comma.
struct Around {
    before: String,
    behind: String,
}

impl Brackets {
    pub(super) fn of_list(list: &Array) -> Option<Self> {
        let around = list.iter().map(|item| (item.decor(), item.decor()));
        Self::of(around, list.trailing(), list.trailing_comma())
    }

    pub(super) fn of_table(table: &InlineTable) -> Option<Self> {
        let around = table.iter().filter_map(|(key, value)| Some((table.key(key)?.leaf_decor(), value.decor())));
        let mut brackets = Self::of(around, table.trailing(), table.trailing_comma())?;
        if brackets.items.is_empty() && brackets.end.is_empty() {
            " ".clone_into(&mut brackets.end);
        }
        Some(brackets)
    }

    /// `None` if the library does not report the text there.
    fn of<'d>(
        around: impl Iterator<Item = (&'d Decor, &'d Decor)>,
        trailing: &RawString,
        has_last_comma: bool,
    ) -> Option<Self> {
        let text = |raw: Option<&RawString>| raw.map_or(Some(String::new()), |raw| raw.as_str().map(str::to_owned));
        let mut items: Vec<Around> = Vec::new();
        let mut gap = String::new();
        for (prefix, suffix) in around {
            gap.push_str(&text(prefix.prefix())?);
            let before = rest_behind(&mut items, gap);
            items.push(Around { before, behind: String::new() });
            gap = text(suffix.suffix())?;
        }
        gap.push_str(trailing.as_str()?);
        let end = rest_behind(&mut items, gap);
        Some(Self { items, end, has_last_comma })
    }

    /// Adds an item at the end, on a separate line if the closing bracket is on one.
    pub(super) fn push(&mut self) {
        let before = if self.end.contains('\n') {
            let indent =
                self.items.last().and_then(|last| last.before.rsplit_once('\n')).map_or("  ", |(_, indent)| indent);
            format!("\n{indent}")
        } else {
            " ".to_owned()
        };
        self.items.push(Around { before, behind: String::new() });
    }

    /// Removes an item. The lines of comments above it stay.
    pub(super) fn remove(&mut self, index: usize) {
        let gone = self.items.remove(index);
        match (gone.before.rsplit_once('\n'), self.items.get_mut(index)) {
            (Some((above, _)), Some(next)) => next.before.insert_str(0, above),
            (Some((above, _)), None) => self.end.insert_str(0, above),
            (None, Some(next)) if !next.before.contains('\n') => next.before = gone.before,
            (None, _) => {}
        }
    }

    pub(super) fn lay_out_list(self, list: &mut Array) {
        list.set_trailing_comma(self.has_last_comma || self.end.contains('\n'));
        let mut behind = String::new();
        for (item, around) in list.iter_mut().zip(self.items) {
            item.decor_mut().set_prefix(behind + &around.before);
            item.decor_mut().set_suffix("");
            behind = around.behind;
        }
        list.set_trailing(behind + &self.end);
    }

    pub(super) fn lay_out_table(self, table: &mut InlineTable) {
        table.set_trailing_comma(self.has_last_comma || self.end.contains('\n'));
        let mut behind = String::new();
        for ((mut key, value), around) in table.iter_mut().zip(self.items) {
            key.leaf_decor_mut().set_prefix(behind + &around.before);
            value.decor_mut().set_suffix("");
            behind = around.behind;
        }
        table.set_trailing(behind + &self.end);
    }
}

/// Adds to the last item the text after it on its line, and returns the rest of the gap that follows it.
fn rest_behind(items: &mut [Around], mut gap: String) -> String {
    let Some(last) = items.last_mut() else { return gap };
    let Some(newline) = gap.find('\n') else { return gap };
    let rest = gap.split_off(newline);
    // The library writes no carriage returns either.
    gap.trim_end_matches('\r').clone_into(&mut last.behind);
    rest
}
