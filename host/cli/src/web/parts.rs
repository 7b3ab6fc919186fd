//! Parts that several pages share: times, tables of bounded length, and fields of forms.

use maud::{Markup, PreEscaped, html};
use parlor::control::views::Status;
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::Risk;
use parlor_plugins::consent::{Place, sentences};
use parlor_session::permissions::Grants;
use parlor_window::{scroll, stranger};

use crate::fleet::first;
use crate::show::second;

/// The most rows of a table on a page.
pub(super) const MOST_ROWS: usize = 500;
/// The longest body of a table, in bytes: several of them fit on a page.
const LONGEST_BODY: usize = 80 << 10;
/// The most of a stranger's text that a cell of a table shows, in bytes.
const LONGEST_CELL: usize = 400;

/// The most rooms that are named of those that a plugin is kept to.
const MOST_NAMED: usize = 100;

/// The size of the parts of a text that is shown whole, in bytes. Each fits where a text is cut, also if all of it is escaped.
const PART: usize = 512;

/// The rows of a table that fit on a page.
pub(super) struct Rows {
    markup: Markup,
    /// How many of them there are.
    pub(super) shown: usize,
    /// How many are left out.
    pub(super) left: usize,
}

impl Rows {
    /// Says nothing of those that are left out, for a page that another one follows.
    pub(super) fn followed(self) -> Self {
        Self { left: 0, ..self }
    }
}

/// Shows a time of RFC 3339 to the second, in UTC.
pub(super) fn when(at: &str) -> Markup {
    html! { time datetime=(at) { (second(at)) } }
}

/// Shows a stranger's text in a cell of a table, cut if it is long.
pub(super) fn cell(text: &str) -> Markup {
    stranger(&escape_untrusted(text, LONGEST_CELL))
}

/// Returns the accessible name of a button in a row, with its text first. Otherwise a screen reader lists many buttons of one name.
pub(super) fn label(text: &str, what: &str, account: &str) -> String {
    let [what, account] = [what, account].map(|word| escape_untrusted(word, LONGEST_CELL));
    format!("{text}: {what} on {account}")
}

/// Shows an untrusted text in full, with any length: a text that somebody agrees to must not be cut.
pub(super) fn whole(text: &str) -> Markup {
    let (mut rest, mut parts) = (text, Vec::new());
    while !rest.is_empty() {
        let (part, more) = rest.split_at(rest.floor_char_boundary(PART));
        parts.push(part);
        rest = more;
    }
    html! { @for part in parts { (stranger(part)) } }
}

/// Shows a stranger's text if there is one.
pub(super) fn maybe(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { (cell(text)) } @else { "–" } }
}

/// Makes a row of each of these, as long as a page has room.
pub(super) fn rows<T>(
    all: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    row: impl Fn(T) -> Markup,
) -> Rows {
    let all = all.into_iter();
    let (count, mut shown, mut body) = (all.len(), 0, String::new());
    for one in all.take(MOST_ROWS) {
        let next = row(one).into_string();
        // The first row is always shown, so that paging after the last row makes progress.
        if shown > 0 && body.len() + next.len() > LONGEST_BODY {
            break;
        }
        body.push_str(&next);
        shown += 1;
    }
    Rows { markup: PreEscaped(body), shown, left: count - shown }
}

/// Shows a table, and the number of rows that did not fit.
pub(super) fn table(caption: &str, heads: &[&str], rows: &Rows) -> Markup {
    let table = html! {
        table {
            caption { (caption) }
            thead {
                tr { @for head in heads { th scope="col" { (head) } } }
            }
            tbody { (rows.markup) }
        }
    };
    html! {
        (scroll(caption, &table))
        @if rows.left > 0 { p { (rows.left) " more are not shown." } }
    }
}

/// Says that a page lacks what nodes of the cluster have that did not answer. `why`: their names and reasons, if there are any.
pub(super) fn lacking(why: Option<&str>) -> Markup {
    html! { @if let Some(why) = why { p.warning role="note" { "Not all is shown: " (whole(why)) } } }
}

/// Returns why a status lacks nodes of the cluster, as [`lacking`] shows it.
pub(super) fn silent_nodes(status: &Status) -> Option<String> {
    let (mut reasons, more) = first(status.silent());
    reasons.extend((more > 0).then(|| format!("and {more} more")));
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Shows counts as a table: its heads, and its rows.
pub(super) fn counts(caption: &str, (heads, all): &(Vec<String>, Vec<Vec<String>>)) -> Markup {
    let heads: Vec<_> = heads.iter().map(String::as_str).collect();
    let row = |cells: &Vec<String>| {
        html! {
            tr {
                @for (number, text) in cells.iter().enumerate() {
                    @if number == 0 { th scope="row" { (cell(text)) } } @else { td { (cell(text)) } }
                }
            }
        }
    };
    table(caption, &heads, &rows(all, row))
}

/// Shows a field for a line of text, with its label above and a hint below it.
pub(super) fn field(name: &str, label: &str, value: &str, hint: &str) -> Markup {
    field_as(name, name, label, value, hint)
}

/// Shows a field as [`field`] does, with an id of its own, for a page with two fields of that name.
pub(super) fn field_as(id: &str, name: &str, label: &str, value: &str, hint: &str) -> Markup {
    let about = format!("{id}-hint");
    html! {
        p {
            label for=(id) { (label) }
            @if hint.is_empty() {
                input type="text" id=(id) name=(name) value=(value) maxlength="2048" autocomplete="off";
            } @else {
                input type="text" id=(id) name=(name) value=(value) maxlength="2048" autocomplete="off"
                    aria-describedby=(about);
                span class="hint" id=(about) { (hint) }
            }
        }
    }
}

/// Shows a choice, each with its value and its words.
pub(super) fn choice(name: &str, label: &str, options: &[(String, String)], chosen: &str) -> Markup {
    choice_as(name, name, label, options, chosen)
}

/// Shows a choice as [`choice`] does, with an id of its own.
pub(super) fn choice_as(id: &str, name: &str, label: &str, options: &[(String, String)], chosen: &str) -> Markup {
    html! {
        p {
            label for=(id) { (label) }
            select id=(id) name=(name) {
                @for (value, words) in options {
                    option value=(value) selected[value == chosen] { (words) }
                }
            }
        }
    }
}

/// Shows a choice; if there are more than a page has room for, a field for its value instead.
pub(super) fn pick(name: &str, label: &str, options: &[(String, String)], chosen: &str) -> Markup {
    pick_as(name, name, label, options, chosen)
}

/// Shows a choice as [`pick`] does, with an id of its own.
pub(super) fn pick_as(id: &str, name: &str, label: &str, options: &[(String, String)], chosen: &str) -> Markup {
    if options.len() > MOST_ROWS {
        return field_as(id, name, label, chosen, "There are too many for a list: write its name.");
    }
    choice_as(id, name, label, options, chosen)
}

/// Shows a box to tick.
pub(super) fn tick(name: &str, label: &str) -> Markup {
    html! {
        p {
            input type="checkbox" id=(name) name=(name) value="true";
            " "
            label for=(name) { (label) }
        }
    }
}

/// Returns the rooms that a plugin is kept to; none if it is kept to none.
pub(super) fn rooms_of(grants: &Grants) -> Option<Vec<String>> {
    grants.rooms().map(|rooms| rooms.iter().map(ToString::to_string).collect())
}

/// Names the rooms that a plugin is kept to.
pub(super) fn kept_to(rooms: &[String]) -> Markup {
    html! {
        @if rooms.is_empty() { "no room at all" }
        @for (at, room) in rooms.iter().take(MOST_NAMED).enumerate() { @if at > 0 { ", " } (cell(room)) }
        @if rooms.len() > MOST_NAMED { " and " (rooms.len() - MOST_NAMED) " more" }
    }
}

/// Says what a plugin can reach with these grants, the riskiest last.
pub(super) fn reach(grants: &Grants, places: &[Place]) -> Vec<Markup> {
    let all = sentences(grants, &Grants::default(), places).into_iter();
    all.map(|sentence| {
        html! {
            @if sentence.risk == Risk::High { strong { "High risk: " } }
            (whole(&sentence.text))
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use parlor_session::permissions::RoomList;
    use parlor_window::Role;

    use super::*;

    fn row(text: &str) -> Markup {
        html! { tr { th scope="row" { (cell(text)) } } }
    }

    #[test]
    fn a_long_table_ends_where_the_page_has_no_more_room() {
        let short = vec!["a".to_owned(); MOST_ROWS + 7];
        let all = rows(short.iter().map(String::as_str), row);
        assert_eq!((all.shown, all.left), (MOST_ROWS, 7));
        let page = table("Letters", &["Letter"], &all).into_string();
        assert!(page.contains("7 more are not shown.") && page.contains("<caption>Letters</caption>"), "{page}");
        // Each quotation mark takes six bytes in a page.
        let wide = vec!["\"".repeat(9_000); 400];
        let all = rows(wide.iter().map(String::as_str), row);
        assert_eq!(all.shown + all.left, 400);
        assert!(all.left > 0 && all.markup.0.len() <= LONGEST_BODY, "{}", all.markup.0.len());
    }

    #[test]
    fn the_rooms_that_a_plugin_is_kept_to_are_named_within_bounds() {
        let of = |count: usize| (0..count).map(|number| format!("<b>{number}@m.example")).collect::<Vec<_>>();
        let [none, two, many] = [0, 2, MOST_NAMED + 3].map(|count| kept_to(&of(count)).into_string());
        assert_eq!(none, "no room at all");
        assert!(two.contains("0@m.example") && two.contains("1@m.example") && !two.contains("<b>"), "{two}");
        assert!(many.ends_with(" and 3 more") && !many.contains("101@m.example"), "{many}");
        let grants = Grants::default();
        assert_eq!(rooms_of(&grants), None);
        let kept = grants.in_rooms(Some(RoomList::new([RoomList::room("a@m.example").unwrap()])));
        assert_eq!(rooms_of(&kept).unwrap(), ["a@m.example"]);
    }

    #[test]
    fn one_row_is_shown_however_long_it_is_and_none_of_none() {
        let long = [()];
        let all = rows(&long, |()| html! { ("x".repeat(2 * LONGEST_BODY)) });
        assert_eq!((all.shown, all.left), (1, 0));
        let none = rows(Vec::new(), row);
        assert_eq!((none.shown, none.left), (0, 0));
    }

    /// Viewers cannot change anything, and stored data and installs are not visible to all viewers.
    #[test]
    fn no_form_is_for_viewers_and_installs_are_for_owners() {
        let pages = [
            include_str!("accounts.rs"),
            include_str!("audit.rs"),
            include_str!("contacts.rs"),
            include_str!("doctor.rs"),
            include_str!("explain.rs"),
            include_str!("install.rs"),
            include_str!("keys.rs"),
            include_str!("rooms.rs"),
            include_str!("storage.rs"),
        ];
        // A call that is written over several lines is found like one on a line.
        let pages = pages.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "("));
        let mut count = 0;
        for (text, at) in pages.iter().flat_map(|text| text.match_indices("\", Role::").map(move |(at, _)| (text, at)))
        {
            let (call, path) = text[..at].rsplit_once("(\"").unwrap();
            let role =
                text[at..].split("::").nth(1).and_then(|rest| rest.split(|one: char| !one.is_alphabetic()).next());
            let role: Role = role.unwrap().to_lowercase().parse().unwrap();
            let is_change = call.rsplit('.').next() != Some("page");
            let least = match path {
                _ if path.starts_with("/install") || path.starts_with("/keys/") && is_change => Role::Owner,
                _ if path.contains("/storage") || is_change => Role::Operator,
                _ => Role::Viewer,
            };
            assert!(role >= least, "{path} is for each {role}");
            count += 1;
        }
        assert_eq!(count, 28, "pages were added or removed");
    }

    #[test]
    fn of_very_many_one_is_written_and_not_chosen() {
        let options = |count: usize| (0..count).map(|number| (number.to_string(), String::new())).collect::<Vec<_>>();
        let [few, many] =
            [MOST_ROWS, 5_000].map(|count| pick("account", "Account", &options(count), "7").into_string());
        assert!(few.contains("<option value=\"7\" selected>"), "{few}");
        assert!(many.contains("name=\"account\" value=\"7\"") && !many.contains("<option"), "{many}");
    }

    #[test]
    fn what_somebody_agrees_to_is_shown_whole() {
        let text = format!("{}ende", "ä\u{1b}".repeat(5_000));
        let page = whole(&text).into_string();
        assert_eq!(page.matches("\\u{1b}").count(), 5_000);
        assert!(page.contains("ende") && !page.contains('…') && !page.contains('\u{1b}'));
        assert_eq!(whole("").into_string(), "");
    }

    #[test]
    fn what_strangers_wrote_is_text_and_not_markup() {
        let evil = "<script>alert(1)</script>\u{202e}\" onload=\"";
        for markup in [
            cell(evil),
            maybe(Some(evil)),
            field("a", evil, evil, evil),
            choice("a", evil, &[(evil.to_owned(), evil.to_owned())], evil),
        ] {
            let page = markup.into_string();
            assert!(!page.contains("<script") && !page.contains("\" onload"), "{page}");
        }
        assert!(!cell(evil).into_string().contains('\u{202e}'));
        assert!(cell(&"x".repeat(9_000)).into_string().len() < 600);
        assert_eq!(maybe(None).into_string(), "–");
    }
}
