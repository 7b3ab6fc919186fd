//! Lists of which a page shows a part: what choices and words pick, page by page. The queries of all lists are alike.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use maud::{Markup, html};
use parlor::control::views::Account;
use parlor_window::segment;

use super::parts::{choice_as, field_as, pick_as, rows, table};
use crate::fleet::{MANY, page_of};

/// The sizes of a page that the form offers. The first one is that of `parlor status`, so that its pages are the same.
const SIZES: [usize; 3] = [MANY, 50, LARGEST];
/// The largest page. Its rows fit on it, unless strangers' words are very long.
const LARGEST: usize = 100;
/// The last page that is shown, as with `parlor status`.
const LAST_PAGE: usize = 100_000;
/// The longest value of a query, in bytes: that of an address (RFC 7622, section 3.1). Each link to another page repeats it.
const LONGEST: usize = 3_071;

/// The query of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The path of the page.
    path: &'static str,
    /// The choices by name, each with its value; empty: all.
    chosen: Vec<(&'static str, String)>,
    words: String,
    limit: usize,
    page: usize,
}

/// How a list is shown.
pub(super) struct Look<'a> {
    /// The name of the list.
    pub(super) name: &'a str,
    /// The sentence if nothing is picked.
    pub(super) none: &'a str,
    pub(super) caption: &'a str,
    pub(super) heads: &'a [&'a str],
}

impl Asked {
    /// Reads the parameters of a query. `choices` names those that this list has besides `words`, `limit` and `page`.
    pub(super) fn of<'q>(
        path: &'static str,
        choices: &[&'static str],
        query: impl Fn(&str) -> Option<&'q str>,
    ) -> Result<Self, String> {
        let text = |name: &str| -> Result<String, String> {
            let text = query(name).unwrap_or_default().trim();
            if text.len() > LONGEST {
                return Err(format!("`{name}` has at most {LONGEST} bytes"));
            }
            Ok(text.to_owned())
        };
        let number = |name: &str, usual: usize, most: usize| -> Result<usize, String> {
            let text = text(name)?;
            if text.is_empty() {
                return Ok(usual);
            }
            let number = text.parse::<usize>().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| format!("`{name}` is a number from 1 to {most}"))
        };
        let mut chosen = Vec::with_capacity(choices.len());
        for name in choices {
            chosen.push((*name, text(name)?));
        }
        let (words, limit, page) = (text("words")?, number("limit", MANY, LARGEST)?, number("page", 1, LAST_PAGE)?);
        Ok(Self { path, chosen, words, limit, page })
    }

    /// Refuses a value of the choice `state` that is none of these, in place of a list without anything.
    pub(super) fn in_a_state(self, states: &[&str]) -> Result<Self, String> {
        let state = self.chosen("state");
        if state.is_empty() || states.contains(&state) {
            return Ok(self);
        }
        Err(format!("`state` is one of {}", states.join(", ")))
    }

    /// Returns the value of a choice; empty: all.
    pub(super) fn chosen(&self, name: &str) -> &str {
        self.chosen.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Returns whether a choice picks a thing with this value.
    pub(super) fn picks(&self, name: &str, value: Option<&str>) -> bool {
        let chosen = self.chosen(name);
        chosen.is_empty() || value == Some(chosen)
    }

    /// Returns whether each of the words occurs in a text.
    pub(super) fn has_words(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// Returns the address of another page of what is picked.
    fn address(&self, limit: usize, page: usize) -> String {
        let mut fields = self.chosen.clone();
        fields.push(("words", self.words.clone()));
        fields.push(("limit", if limit == MANY { String::new() } else { limit.to_string() }));
        fields.push(("page", if page == 1 { String::new() } else { page.to_string() }));
        let fields = fields.iter().filter(|(_, value)| !value.is_empty());
        let all: Vec<_> = fields.map(|(name, value)| format!("{name}={}", segment(value))).collect();
        if all.is_empty() { self.path.to_owned() } else { format!("{}?{}", self.path, all.join("&")) }
    }

    /// Returns the address of a page with the thing of this number, counted from 0, and so few others that it fits.
    fn rest(&self, number: usize, fit: usize) -> String {
        let limit = fit.max(1);
        self.address(limit, number / limit + 1)
    }

    /// Shows the form: the field for words with its label and hint, these choices, and the size of a page.
    pub(super) fn form(
        &self,
        link: &dyn Fn(&str) -> String,
        (label, hint): (&str, &str),
        choices: &[Markup],
    ) -> Markup {
        let mut sizes: BTreeSet<_> = SIZES.into();
        sizes.insert(self.limit);
        let sizes: Vec<_> = sizes.iter().map(|size| (size.to_string(), size.to_string())).collect();
        html! {
            form method="get" action=(link(self.path)) {
                (field_as("list-words", "words", label, &self.words, hint))
                @for choice in choices { (choice) }
                (choice_as("list-limit", "limit", "On a page", &sizes, &self.limit.to_string()))
                button type="submit" { "Show" }
            }
        }
    }

    /// Shows a choice of one of these values, each with its words, or of all. A value that is chosen stays, also if it is gone.
    pub(super) fn choice(&self, name: &str, label: &str, values: Vec<(String, String)>) -> Markup {
        let chosen = self.chosen(name);
        let mut options = vec![(String::new(), "all".to_owned())];
        options.extend(values);
        if options.iter().all(|(value, _)| value != chosen) {
            options.push((chosen.to_owned(), chosen.to_owned()));
        }
        // Other forms of the page may have a field of that name.
        pick_as(&format!("list-{name}"), name, label, &options, chosen)
    }

    /// Shows one page of what is picked, and leads to the others.
    pub(super) fn shown<T: Copy>(
        &self,
        link: &dyn Fn(&str) -> String,
        look: &Look<'_>,
        picked: &[T],
        row: impl Fn(T) -> Markup,
    ) -> Markup {
        let Range { start, end } = page_of(picked.len(), self.limit, self.page);
        let shown = rows(picked[start..end].iter().copied(), row);
        let (fit, left) = (shown.shown, shown.left);
        let last = start + fit;
        // The rest of a page has a page of its own.
        let shown = shown.followed();
        html! {
            @if picked.is_empty() {
                p { (look.none) }
            } @else if start == end {
                p { "There are " (picked.len()) ", so page " (self.page) " is empty." }
            } @else {
                p { (start + 1) " to " (last) " of " (picked.len()) "." }
                (table(look.caption, look.heads, &shown))
                @if left > 0 { p { a href=(link(&self.rest(last, fit))) { (left) " more of this page had no room" } } }
            }
            (self.turn(link, look.name, picked.len(), end < picked.len()))
        }
    }

    /// Leads to other pages of what is picked, of which there are so many.
    fn turn(&self, link: &dyn Fn(&str) -> String, name: &str, count: usize, has_more: bool) -> Markup {
        let (limit, page) = (self.limit, self.page);
        // A page behind the last one leads to that one, and not to another empty page.
        let previous = (page - 1).min(count.div_ceil(limit).max(1));
        html! {
            @if page > 1 || has_more {
                nav aria-label=(format!("Pages of the {name}")) {
                    @if page > 1 {
                        a href=(link(&self.address(limit, 1))) { "The first" }
                        " "
                        a rel="prev" href=(link(&self.address(limit, previous))) { "Previous ones" }
                        " "
                    }
                    @if has_more { a rel="next" href=(link(&self.address(limit, page + 1))) { "Next ones" } }
                }
            }
        }
    }
}

/// Returns the values of a choice among names, each once and in order.
pub(super) fn values<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<(String, String)> {
    let names: BTreeSet<_> = names.into_iter().collect();
    names.into_iter().map(|name| (name.to_owned(), name.to_owned())).collect()
}

/// Returns the group of each account that is in one.
pub(super) fn groups(accounts: &[Account]) -> BTreeMap<&str, &str> {
    accounts.iter().filter_map(|account| Some((account.name.as_str(), account.group.as_deref()?))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::parts::cell;
    use super::*;

    const EVIL: &str = "<script>alert(1)</script>\" onload=\"\u{202e}";

    /// Returns what a query asks of a list with these choices. No value is escaped in it.
    pub(in super::super) fn asked(path: &'static str, choices: &[&'static str], query: &str) -> Result<Asked, String> {
        let all: Vec<(String, String)> =
            query.split('&').filter_map(|one| one.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect();
        Asked::of(path, choices, |name| all.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()))
    }

    fn link(path: &str) -> String {
        format!("/base{path}")
    }

    const LOOK: Look<'static> = Look { name: "letters", none: "No letters.", caption: "Letters", heads: &["Letter"] };

    fn page(asked: &Asked, letters: &[&str]) -> String {
        let row = |letter: &str| html! { tr { th scope="row" { (letter) } } };
        asked.shown(&link, &LOOK, letters, row).into_string()
    }

    /// Returns what is in the rows of a page.
    fn letters(page: &str) -> Vec<String> {
        let rows = page.split("<th scope=\"row\">").skip(1);
        rows.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    /// Returns the target of the link with these words.
    fn target(page: &str, words: &str) -> Option<String> {
        let before = page.split(&format!("{words}</a>")).next().filter(|before| before.len() < page.len())?;
        Some(before.rsplit_once("href=\"/base")?.1.split('"').next()?.replace("&amp;", "&"))
    }

    #[test]
    fn a_query_is_checked() {
        let of = |query: &str| asked("/letters", &["group", "state"], query);
        let all = of("group=support&state=away&words=+Shop&limit=50&page=3&other=x").unwrap();
        assert_eq!((all.limit, all.page, all.chosen("state"), all.chosen("other")), (50, 3, "away", ""));
        assert_eq!(all.address(50, 4), "/letters?group=support&state=away&words=%2BShop&limit=50&page=4");
        assert_eq!(of("").unwrap().address(MANY, 1), "/letters");
        for wrong in ["page=0", "page=100001", "page=x", "limit=0", "limit=101", "limit=-1"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        for name in ["group", "words", "page"] {
            let refused = of(&format!("{name}={}", "x".repeat(LONGEST + 1))).unwrap_err();
            assert!(refused.contains("at most 3071 bytes"), "{name}: {refused}");
        }
        let in_a_state = |query: &str| of(query).unwrap().in_a_state(&["away", "here"]);
        assert!(in_a_state("").is_ok() && in_a_state("state=away").is_ok());
        assert_eq!(in_a_state("state=Away").unwrap_err(), "`state` is one of away, here");
        assert!(all.picks("state", Some("away")) && !all.picks("state", None) && !all.picks("group", Some("x")));
        assert!(of("words=ab CD").unwrap().has_words("cdAB") && !of("words=ab e").unwrap().has_words("cdAB"));
    }

    #[test]
    fn each_of_many_is_on_one_page() {
        let names: Vec<_> = (0..2_345).map(|number| number.to_string()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let (mut seen, mut next) = (Vec::new(), "/letters?words=x&limit=100".to_owned());
        for number in 1.. {
            let text = page(&asked("/letters", &[], next.split_once('?').unwrap().1).unwrap(), &names);
            seen.extend(letters(&text));
            assert_eq!(target(&text, "Previous ones").is_some(), number > 1, "{text}");
            let Some(more) = target(&text, "Next ones") else { break };
            next = more;
        }
        assert_eq!(seen, names);
        let behind = page(&asked("/letters", &[], "page=100000").unwrap(), &names);
        assert!(behind.contains("There are 2345, so page 100000 is empty.") && behind.contains("rel=\"prev\""));
        assert_eq!(target(&behind, "Previous ones").as_deref(), Some("/letters?page=118"), "the last page");
        let none = page(&asked("/letters", &[], "").unwrap(), &[]);
        assert_eq!(none, "<p>No letters.</p>");
    }

    #[test]
    fn what_had_no_room_on_its_page_is_on_another_one() {
        // Of the long ones, four fit on a page, and of the last ones not even two.
        let long = |number: usize| format!("{number}-{}", "x".repeat(if number < 30 { 19 << 10 } else { 50 << 10 }));
        let names: Vec<_> = (0..40).map(long).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        for number in 1..=2 {
            let mut next = Some(format!("/letters?page={number}"));
            while let Some(here) = next {
                let text = page(&asked("/letters", &[], here.split_once('?').unwrap().1).unwrap(), &names);
                assert!(text.len() < 128 << 10, "{} bytes", text.len());
                let before = seen.len();
                seen.extend(letters(&text));
                assert!(seen.len() > before, "{here} shows nothing new");
                // Those behind the rest of this page are on the next one.
                next = (seen.len() < 20 * number).then(|| {
                    target(&text, " more of this page had no room").or_else(|| target(&text, "Next ones")).unwrap()
                });
            }
        }
        assert_eq!(seen.len(), names.len());
    }

    #[test]
    fn the_form_keeps_what_was_asked_and_its_ids_are_its_own() {
        let asked = asked("/letters", &["account"], "account=gone&words=a b&limit=7").unwrap();
        let choice = asked.choice("account", "Account", values(["b", "a", "b"]));
        let text = asked.form(&link, ("Letter", "Parts of it."), &[choice]).into_string();
        for words in [
            "action=\"/base/letters\"",
            "name=\"words\" value=\"a b\"",
            "<select id=\"list-account\" name=\"account\">",
            "<option value=\"a\">a</option><option value=\"b\">b</option><option value=\"gone\" selected>",
            "<option value=\"7\" selected>",
        ] {
            assert!(text.contains(words), "no {words} in {text}");
        }
        assert!(!text.contains("id=\"account\"") && !text.contains("id=\"words\""), "{text}");
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        let asked = asked("/letters", &["group"], &format!("group={EVIL}&words={EVIL}&page=2")).unwrap();
        let choice = asked.choice("group", "Group", values([EVIL]));
        let row = |letter: &str| html! { tr { th scope="row" { (cell(letter)) } } };
        let page = asked.shown(&link, &LOOK, &[EVIL; 50], row).into_string();
        for text in [asked.form(&link, ("Letter", ""), &[choice]).into_string(), page] {
            assert!(!text.contains("<script") && !text.contains("\" onload"), "{text}");
        }
    }
}
