//! Changing the text of `plugins.toml` while keeping what people wrote there: comments, order, spacing.
//!
//! A change is made at the position that the parser reports. The result is parsed again and has to mean exactly what
//! was wanted. A file written in a way that this code does not understand is refused and left alone.

use std::fmt::Write as _;
use std::ops::Range;

use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

/// The error when the text cannot be changed. Holds what to do by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is written in a way that no command can change; change it by hand: {0}")]
pub struct Unchangeable(pub String);

/// One change of one plugin's entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds an entry.
    Add(Table),
    /// Removes the entry.
    Remove,
    /// Sets a value below the entry, at this path of keys.
    Set(Vec<String>, Value),
    /// Removes the value at this path of keys.
    Unset(Vec<String>),
}

/// Returns the text with these changes to the entry of a plugin.
pub fn edit(text: &str, id: &str, changes: &[Change]) -> Result<String, Unchangeable> {
    let mut text = text.to_owned();
    for change in changes {
        let wanted = wanted(&text, id, change)?;
        let new = apply(&text, id, change).ok_or_else(|| by_hand(id, change))?;
        let means = new.parse().map_err(|_| by_hand(id, change))?;
        if without_empty(means) != wanted {
            return Err(by_hand(id, change));
        }
        text = new;
    }
    Ok(text)
}

/// Returns what the text has to mean after the change.
fn wanted(text: &str, id: &str, change: &Change) -> Result<Table, Unchangeable> {
    let mut root: Table = text.parse().map_err(|_| by_hand(id, change))?;
    if let Change::Remove = change {
        let plugins = root.get_mut("plugin").and_then(Value::as_table_mut);
        if let Some(plugins) = plugins {
            plugins.remove(id);
        }
        return Ok(without_empty(root));
    }
    let plugins = root.entry("plugin").or_insert_with(|| Table::new().into());
    let plugins = plugins.as_table_mut().ok_or_else(|| by_hand(id, change))?;
    match change {
        Change::Add(entry) => {
            plugins.insert(id.to_owned(), entry.clone().into());
        }
        Change::Set(keys, value) => {
            let mut table = plugins.get_mut(id).and_then(Value::as_table_mut).ok_or_else(|| by_hand(id, change))?;
            let (last, above) = keys.split_last().ok_or_else(|| by_hand(id, change))?;
            for key in above {
                let inner = table.entry(key.clone()).or_insert_with(|| Table::new().into());
                table = inner.as_table_mut().ok_or_else(|| by_hand(id, change))?;
            }
            table.insert(last.clone(), value.clone());
        }
        Change::Unset(keys) => {
            let (last, above) = keys.split_last().ok_or_else(|| by_hand(id, change))?;
            let mut table = plugins.get_mut(id).and_then(Value::as_table_mut);
            for key in above {
                table = table.and_then(|table| table.get_mut(key)?.as_table_mut());
            }
            if let Some(table) = table {
                table.remove(last);
            }
        }
        Change::Remove => {}
    }
    Ok(root)
}

/// Removes an empty `[plugin]`, which means the same as none.
fn without_empty(mut root: Table) -> Table {
    if root.get("plugin").and_then(Value::as_table).is_some_and(Table::is_empty) {
        root.remove("plugin");
    }
    root
}

/// Returns the error that says how to make the change by hand.
fn by_hand(id: &str, change: &Change) -> Unchangeable {
    Unchangeable(match change {
        Change::Add(_) => format!("add [plugin.{id}]"),
        Change::Remove => format!("take out [plugin.{id}] with all that is below it"),
        Change::Set(keys, value) => format!("under [plugin.{id}], write {} = {value}", keys.join(".")),
        Change::Unset(keys) => format!("under [plugin.{id}], take out {}", keys.join(".")),
    })
}

fn apply(text: &str, id: &str, change: &Change) -> Option<String> {
    match change {
        Change::Add(entry) => Some(add(text, id, entry)),
        Change::Remove => remove(text, id),
        Change::Set(keys, value) => set(text, &path(id, keys), value),
        Change::Unset(keys) => unset(text, &path(id, keys)),
    }
}

fn path<'k>(id: &'k str, keys: &'k [String]) -> Vec<&'k str> {
    ["plugin", id].into_iter().chain(keys.iter().map(String::as_str)).collect()
}

/// Adds an entry at the end of the file.
fn add(text: &str, id: &str, entry: &Table) -> String {
    let mut new = text.trim_end().to_owned();
    if !new.is_empty() {
        new.push_str("\n\n");
    }
    new.push_str(&block(&["plugin", id], entry));
    new
}

/// Formats a table with its header, followed by the tables in it with theirs.
fn block(path: &[&str], table: &Table) -> String {
    let mut text = format!("{}\n", header(path));
    for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{} = {}", written_key(key), written_value(value));
    }
    for (key, value) in table {
        if let Some(inner) = value.as_table().filter(|inner| !inner.is_empty()) {
            let path: Vec<_> = path.iter().copied().chain([key.as_str()]).collect();
            text.push('\n');
            text.push_str(&block(&path, inner));
        }
    }
    text
}

fn header(path: &[&str]) -> String {
    format!("[{}]", path.iter().map(|key| written_key(key)).collect::<Vec<_>>().join("."))
}

fn written_key(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { key.to_owned() } else { Value::from(key).to_string() }
}

/// Formats a value as people would write it: a number with hundreds of zeros gets an exponent.
fn written_value(value: &Value) -> String {
    match value {
        Value::Float(number) if is_far(number.abs()) => format!("{number:e}"),
        _ => value.to_string(),
    }
}

/// Returns whether a non-negative number has many zeros.
fn is_far(number: f64) -> bool {
    number.is_finite() && (number >= 1e16 || (number > 0.0 && number < 1e-5))
}

/// A header's line: its keys, and its position.
struct Header {
    keys: Vec<String>,
    line: Range<usize>,
}

/// Finds every line that reads as a header. A line inside of a multi-line string may be among them; a wrong edit due to
/// that is noticed when the result is compared.
fn headers(text: &str) -> Vec<Header> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        // Some editors begin a file with a byte order mark.
        if !line.trim_start_matches('\u{feff}').trim_start().starts_with('[') {
            continue;
        }
        let Ok(table) = DeTable::parse(line) else { continue };
        let mut keys = Vec::new();
        let mut inner = table.get_ref();
        while let Some((key, value)) = inner.iter().next() {
            keys.push(key.get_ref().to_string());
            match value.get_ref().as_table() {
                Some(table) => inner = table,
                None => break,
            }
        }
        found.push(Header { keys, line: range });
    }
    found
}

/// Returns where the section of a header ends: before the next header and the comments that belong to it.
fn end_of_section(text: &str, headers: &[Header], index: usize) -> usize {
    let end = headers.get(index + 1).map_or(text.len(), |next| next.line.start);
    let mut kept = headers[index].line.end;
    let mut at = kept;
    for line in text[kept..end].split_inclusive('\n') {
        at += line.len();
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            kept = at;
        }
    }
    kept
}

fn remove(text: &str, id: &str) -> Option<String> {
    let headers = headers(text);
    let is_of_plugin = |header: &Header| header.keys.len() >= 2 && header.keys[0] == "plugin" && header.keys[1] == id;
    if !headers.iter().any(is_of_plugin) {
        return unset(text, &["plugin", id]);
    }
    let mut new = String::new();
    let mut from = 0;
    for (index, header) in headers.iter().enumerate().filter(|(_, header)| is_of_plugin(header)) {
        new.push_str(&text[from..header.line.start]);
        // The empty lines before the entry are removed with it.
        new.truncate(new.trim_end().len());
        if !new.is_empty() {
            new.push('\n');
        }
        from = end_of_section(text, &headers, index);
    }
    new.push_str(&text[from..]);
    Some(new)
}

/// A value and the position of its key.
struct Place<'d> {
    key: Range<usize>,
    value: &'d Spanned<DeValue<'d>>,
}

fn find<'d>(root: &'d DeTable<'d>, path: &[&str]) -> Option<Place<'d>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = root.iter().find(|(key, _)| key.get_ref() == first)?;
    if rest.is_empty() { Some(Place { key: key.span(), value }) } else { find(value.get_ref().as_table()?, rest) }
}

fn is_inline(text: &str, place: &Place<'_>) -> bool {
    place.value.get_ref().is_table() && text.get(place.value.span()).is_some_and(|value| value.starts_with('{'))
}

fn set(text: &str, path: &[&str], value: &Value) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let root = document.get_ref();
    if let Some(place) = find(root, path) {
        let span = place.value.span();
        let new = noted_list(text, &place, value).unwrap_or_else(|| written_value(value));
        return Some(format!("{}{new}{}", &text[..span.start], &text[span.end..]));
    }
    let (key, above) = path.split_last()?;
    let line = format!("{} = {}", written_key(key), written_value(value));
    let Some(table) = find(root, above) else {
        // The table does not exist either: it goes into an inline table, or gets a header after the plugin's last
        // section.
        let plugin = find(root, path.get(..2)?)?;
        if is_inline(text, &plugin) {
            let inner = Table::from_iter([((*key).to_owned(), value.clone())]);
            return set(text, above, &Value::Table(inner));
        }
        let headers = headers(text);
        let last =
            headers.iter().rposition(|header| header.keys.get(..2).is_some_and(|keys| keys == path[..2].to_vec()))?;
        let end = end_of_section(text, &headers, last);
        let gap = if text[..end].ends_with('\n') { "\n" } else { "\n\n" };
        return Some(format!("{}{gap}{}\n{line}\n{}", &text[..end], header(above), &text[end..]));
    };
    if is_inline(text, &table) {
        let span = table.value.span();
        let inside = text[span.clone()].strip_suffix('}')?.trim_end();
        let comma = if inside.len() == 1 || inside.ends_with(',') { "" } else { "," };
        return Some(format!("{}{inside}{comma} {line} }}{}", &text[..span.start], &text[span.end..]));
    }
    let headers = headers(text);
    let index = headers.iter().position(|header| header.keys == above)?;
    let end = end_of_section(text, &headers, index);
    let gap = if text[..end].ends_with('\n') { "" } else { "\n" };
    Some(format!("{}{gap}{line}\n{}", &text[..end], &text[end..]))
}

/// Edits a list of texts that has comments in it. Comments stay, except those behind a removed text. Returns `None` if
/// it is no such list, or if the order of the texts changes.
fn noted_list(text: &str, place: &Place<'_>, value: &Value) -> Option<String> {
    let (old, new) = (place.value.get_ref().as_array()?, value.as_array()?);
    let begins = place.value.span().start;
    let mut list = text.get(place.value.span()).filter(|list| list.contains('#'))?.to_owned();
    let is_same = |item: &Spanned<DeValue<'_>>, value: &Value| item.get_ref().as_str() == value.as_str();
    // Items are removed from the end, so that the positions of earlier ones stay valid.
    for item in old.iter().rev().filter(|item| !new.iter().any(|value| is_same(item, value))) {
        let span = item.span();
        list = without_item(&list, span.start - begins, span.end - begins);
    }
    let more = new.iter().filter(|value| !old.iter().any(|item| is_same(item, value)));
    for value in more {
        list = with_item(&list, value)?;
    }
    let means: Table = format!("{LIST}{list}").parse().ok()?;
    (means.values().next() == Some(value)).then_some(list)
}

/// The text before a list that lets it be parsed by itself.
const LIST: &str = "list = ";

/// Removes the item at this position from a list, and its line if nothing else is on it.
fn without_item(list: &str, start: usize, item_end: usize) -> String {
    let rest = list[item_end..].trim_start_matches([' ', '\t']);
    let end = rest.strip_prefix(',').map_or(item_end, |rest| list.len() - rest.len());
    let line = line_of(list, start);
    let next = list[end..].find('\n').map_or(list.len(), |newline| end + newline + 1);
    let behind = list[end..next].trim();
    if line > 0 && list[line..start].trim().is_empty() && (behind.is_empty() || behind.starts_with('#')) {
        return format!("{}{}", &list[..line], &list[next..]);
    }
    format!("{}{}", &list[..start], list[end..].trim_start_matches(' '))
}

/// Adds an item to a list, on a line of its own if the last item ends its line. Returns `None` if the list is empty.
fn with_item(list: &str, value: &Value) -> Option<String> {
    let read = format!("{LIST}{list}");
    let document = DeTable::parse(&read).ok()?;
    let (_, items) = document.get_ref().iter().next()?;
    let place = items.get_ref().as_array()?.last()?.span();
    let (start, end) = (place.start - LIST.len(), place.end - LIST.len());
    let rest = list[end..].trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix(',').unwrap_or(&list[end..]);
    let before = format!("{},", &list[..end]);
    let Some(newline) = rest.find('\n') else { return Some(format!("{before} {value}{rest}")) };
    let line = line_of(list, start);
    let indent = if line > 0 && list[line..start].trim().is_empty() { &list[line..start] } else { "  " };
    Some(format!("{before}{}\n{indent}{value},{}", &rest[..newline], &rest[newline..]))
}

/// Returns where the line that contains this position begins.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn unset(text: &str, path: &[&str]) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let Some(place) = find(document.get_ref(), path) else { return Some(text.to_owned()) };
    let value = place.value.span();
    let above = find(document.get_ref(), &path[..path.len() - 1]);
    if above.is_some_and(|above| is_inline(text, &above)) {
        // Removes the comma after the entry too, or else the one before it.
        let (mut start, mut end) = (place.key.start, value.end);
        let rest = &text[end..];
        if let Some(after) = rest.trim_start().strip_prefix(',') {
            end = text.len() - after.trim_start_matches(' ').len();
        } else if let Some(before) = text[..start].trim_end().strip_suffix(',') {
            start = before.len();
        }
        return Some(format!("{}{}", &text[..start], &text[end..]));
    }
    let start = line_of(text, place.key.start);
    let end = text[value.end..].find('\n').map_or(text.len(), |newline| value.end + newline + 1);
    Some(format!("{}{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"# who may run

[plugin.echo] # the good one
source = "echo.wasm" # as built
digest = "sha256:00"

# what it may
[plugin.echo.grants]
"messages.read" = ["*"]   # all
"contacts.read" = true

# a stranger
[plugin.snoop]
source = "snoop.wasm"
enabled = true
"#;

    fn set_to(keys: &[&str], value: impl Into<Value>) -> Change {
        Change::Set(keys.iter().map(ToString::to_string).collect(), value.into())
    }

    fn unset_of(keys: &[&str]) -> Change {
        Change::Unset(keys.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn edited(change: Change, id: &str, from: &str, to: &str) {
        assert_eq!(edit(TEXT, id, &[change]).unwrap(), TEXT.replacen(from, to, 1));
    }

    #[test]
    fn a_value_is_replaced_where_it_stands() {
        edited(set_to(&["digest"], "sha256:11"), "echo", "sha256:00", "sha256:11");
        edited(set_to(&["grants", "messages.read"], vec!["a@b"]), "echo", r#"["*"]   # all"#, r#"["a@b"]   # all"#);
        edited(set_to(&["enabled"], false), "snoop", "enabled = true", "enabled = false");
    }

    #[test]
    fn a_number_with_many_zeros_has_its_exponent() {
        for (number, written) in [(1e308, "1e308"), (-1.5e-9, "-1.5e-9"), (0.5, "0.5"), (0.0, "0.0"), (2e3, "2000.0")] {
            edited(
                set_to(&["version"], number),
                "snoop",
                "enabled = true\n",
                &format!("enabled = true\nversion = {written}\n"),
            );
        }
    }

    #[test]
    fn what_is_noted_in_a_list_stays() {
        let file = |list: &str| format!("[plugin.echo.grants]\n\"messages.send\" = {list} # kept\n");
        let to = |list: &str, items: &[&str]| {
            let change = set_to(&["grants", "messages.send"], items.to_vec());
            edit(&file(list), "echo", &[change]).unwrap()
        };
        let several = "[ # whom it may write to\n  \"a@b\", # my friend\n  # the others\n  \"c@d\" # hers\n]";
        assert_eq!(
            to(several, &["c@d", "@e", "@f"]),
            file("[ # whom it may write to\n  # the others\n  \"c@d\", # hers\n  \"@e\",\n  \"@f\",\n]")
        );
        assert_eq!(to(several, &["a@b"]), file("[ # whom it may write to\n  \"a@b\", # my friend\n  # the others\n]"));
        let one_line = "[ # all\n  \"a@b\", \"c@d\", \"@e\" ]";
        assert_eq!(to(one_line, &["a@b", "@e", "@f"]), file("[ # all\n  \"a@b\", \"@e\", \"@f\" ]"));
        // If the order changes, or nothing of the old list is left, the list is replaced.
        assert_eq!(to(several, &["c@d", "a@b"]), file("[\"c@d\", \"a@b\"]"));
        assert_eq!(to(several, &["@e"]), file("[\"@e\"]"));
        assert_eq!(to("[\"a#b@c\"]", &["a#b@c", "@e"]), file("[\"a#b@c\", \"@e\"]"));
    }

    /// Editors on other systems write such files.
    #[test]
    fn a_mark_at_the_beginning_and_other_ends_of_lines_are_understood() {
        let text = "\u{feff}[plugin.echo]\r\nsource = \"x\"\r\n\r\n[plugin.snoop]\r\nsource = \"y\"\r\n";
        let with = |changes: &[Change]| edit(text, "echo", changes).unwrap();
        assert_eq!(with(&[set_to(&["enabled"], false)]), text.replacen("\"x\"\r\n", "\"x\"\r\nenabled = false\n", 1));
        assert_eq!(with(&[unset_of(&["source"])]), text.replacen("source = \"x\"\r\n", "", 1));
        assert_eq!(with(&[Change::Remove]), "\r\n[plugin.snoop]\r\nsource = \"y\"\r\n");
    }

    #[test]
    fn a_new_value_comes_at_the_end_of_its_table() {
        edited(set_to(&["enabled"], false), "echo", "sha256:00\"\n", "sha256:00\"\nenabled = false\n");
        let read = "\"contacts.read\" = true\n";
        edited(set_to(&["grants", "storage"], true), "echo", read, &format!("{read}storage = true\n"));
        let end = "source = \"snoop.wasm\"\nenabled = true\n";
        let table = "\n[plugin.snoop.grants]\n\"rooms.send\" = [\"*\"]\n";
        edited(set_to(&["grants", "rooms.send"], vec!["*"]), "snoop", end, &format!("{end}{table}"));
    }

    #[test]
    fn what_goes_takes_its_line_along_and_no_other() {
        edited(unset_of(&["grants", "messages.read"]), "echo", "\"messages.read\" = [\"*\"]   # all\n", "");
        edited(unset_of(&["nothing"]), "echo", "", "");
        let new = edit(TEXT, "echo", &[Change::Remove]).unwrap();
        assert_eq!(
            new,
            "# who may run\n\n# what it may\n\n# a stranger\n[plugin.snoop]\nsource = \"snoop.wasm\"\nenabled = true\n"
        );
        let new = edit(&new, "snoop", &[Change::Remove]).unwrap();
        assert_eq!(new, "# who may run\n\n# what it may\n\n# a stranger\n");
    }

    #[test]
    fn an_entry_is_added_at_the_end() {
        let entry: Table = "source = \"x\"\n[grants]\n\"a.b\" = true\n[limits]\n".parse().unwrap();
        let mut expected = entry.clone();
        expected.remove("limits");
        let new = edit(TEXT, "x-1", &[Change::Add(expected)]).unwrap();
        assert_eq!(new, format!("{TEXT}\n[plugin.x-1]\nsource = \"x\"\n\n[plugin.x-1.grants]\n\"a.b\" = true\n"));
        assert_eq!(edit("", "y", &[Change::Add("a = 1".parse().unwrap())]).unwrap(), "[plugin.y]\na = 1\n");
    }

    #[test]
    fn inline_tables_are_understood() {
        let text = "[plugin]\necho = { source = \"x\", grants = { a = true } } # short\n";
        let with = |changes: &[Change]| edit(text, "echo", changes).unwrap();
        assert_eq!(
            with(&[set_to(&["enabled"], false)]),
            "[plugin]\necho = { source = \"x\", grants = { a = true }, enabled = false } # short\n"
        );
        assert_eq!(
            with(&[set_to(&["grants", "b"], true), unset_of(&["grants", "a"])]),
            "[plugin]\necho = { source = \"x\", grants = { b = true } } # short\n"
        );
        assert_eq!(with(&[unset_of(&["source"])]), "[plugin]\necho = { grants = { a = true } } # short\n");
        assert_eq!(
            with(&[set_to(&["limits", "m"], 1)]),
            "[plugin]\necho = { source = \"x\", grants = { a = true }, limits = { m = 1 } } # short\n"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_and_says_what_to_do() {
        // A multi-line string that contains a line like a header.
        let text = "[plugin.echo]\nsource = \"\"\"\n[plugin.echo.grants]\n\"\"\"\n[plugin.echo.grants]\n";
        match edit(text, "echo", &[set_to(&["grants", "a"], true)]) {
            Ok(new) => {
                let table: Table = new.parse().unwrap();
                assert_eq!(table["plugin"]["echo"]["grants"]["a"], Value::Boolean(true));
                assert_eq!(table["plugin"]["echo"]["source"].as_str(), Some("[plugin.echo.grants]\n"));
            }
            Err(error) => assert!(error.to_string().ends_with("under [plugin.echo], write grants.a = true"), "{error}"),
        }
        assert!(edit("[plugin.echo", "echo", &[Change::Remove]).is_err());
    }

    proptest! {
        /// For any file, the result means what was wanted, or there is no result.
        #[test]
        fn no_file_is_spoiled(
            header in prop::sample::select(vec!["[plugin.e]\n", "[plugin]\n[plugin.e] # x\n", "plugin.e.d = 1\n[plugin.f]\n", "[plugin]\ne = { d = 1 }\n"]),
            body in prop::collection::vec(prop::sample::select(vec![
                "a = 1\n", "b = [\n 1,\n 2 ]\n", "# note\n", "\n", "[plugin.e.grants]\n", "c = 'x' # [plugin.e]\n", "[plugin.g]\n", "t = \"\"\"\n[plugin.e]\n\"\"\"\n",
            ]), 0..8),
            key in prop::sample::select(vec!["a", "enabled", "b"]),
        ) {
            let text = format!("{header}{}", body.concat());
            prop_assume!(text.parse::<Table>().is_ok());
            for change in [set_to(&[key], 7), set_to(&["grants", key], 7), unset_of(&[key]), unset_of(&["grants", key]), Change::Remove] {
                if let Ok(new) = edit(&text, "e", std::slice::from_ref(&change)) {
                    let notes = |text: &str| text.matches("# note").count();
                    if change != Change::Remove {
                        prop_assert_eq!(notes(&new), notes(&text));
                    }
                    prop_assert!(new.parse::<Table>().is_ok());
                }
            }
        }
    }
}
