//! Changes the text of `plugins.toml` and keeps what people wrote there: comments, order, spacing.
//!
//! `toml_edit` knows the spaces and comments around each key. Comments before a removed key or header stay and belong to
//! what follows it. The result is parsed again and has to mean exactly what was wanted; otherwise the file is left alone.

use toml::{Table, Value};
use toml_edit::{DocumentMut, Item};

use self::brackets::Brackets;

mod brackets;

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

/// Some editors begin a file with this byte order mark.
const MARK: char = '\u{feff}';

fn apply(text: &str, id: &str, change: &Change) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let path = |keys: &[String]| -> Vec<String> {
        ["plugin", id].into_iter().map(str::to_owned).chain(keys.iter().cloned()).collect()
    };
    match change {
        Change::Add(entry) => add(&mut document, id, entry)?,
        Change::Remove => remove(&mut document, &path(&[]))?,
        Change::Set(keys, value) => set(&mut document, &path(keys), value)?,
        Change::Unset(keys) => remove(&mut document, &path(keys))?,
    }
    let mut new = document.to_string();
    // The library writes neither the mark nor the line ends of other systems.
    if text.lines().next().is_some_and(|line| text[line.len()..].starts_with("\r\n")) {
        new = new.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if text.starts_with(MARK) && !new.starts_with(MARK) {
        new.insert(0, MARK);
    }
    Some(new)
}

/// Adds an entry at the end of the file.
fn add(document: &mut DocumentMut, id: &str, entry: &Table) -> Option<()> {
    let end = document.trailing().as_str()?.trim_end().to_owned();
    let gap = match end.as_str() {
        "" if document.is_empty() => "",
        "" => "\n",
        _ => "\n\n",
    };
    document.set_trailing("");
    let mut entry = block(entry)?;
    entry.set_position(Some(isize::MAX));
    entry.decor_mut().set_prefix(end + gap);
    let mut plugins = toml_edit::Table::new();
    plugins.set_implicit(true);
    let plugins = document.entry("plugin").or_insert(Item::Table(plugins));
    plugins.as_table_mut()?.insert(id, Item::Table(entry));
    Some(())
}

/// Returns a table in which each table has a header of its own.
fn block(table: &Table) -> Option<toml_edit::Table> {
    let mut block = toml_edit::Table::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if inner.is_empty() => {}
            Value::Table(inner) => drop(block.insert(key, Item::Table(self::block(inner)?))),
            value => drop(block.insert(key, Item::Value(written(value)?))),
        }
    }
    Some(block)
}

/// Formats a value as people would write it: a number with hundreds of zeros gets an exponent.
fn written(value: &Value) -> Option<toml_edit::Value> {
    let text = match value {
        Value::Float(number) if is_far(number.abs()) => format!("{number:e}"),
        _ => value.to_string(),
    };
    text.parse().ok()
}

/// Returns whether a non-negative number has many zeros.
fn is_far(number: f64) -> bool {
    number.is_finite() && (number >= 1e16 || (number > 0.0 && number < 1e-5))
}

/// Sets the value at this path, and adds the tables that are missing on the way to it.
fn set(document: &mut DocumentMut, path: &[String], value: &Value) -> Option<()> {
    let (key, above) = path.split_last()?;
    let mut item = document.as_item_mut();
    for key in above {
        if !item.as_table_like()?.contains_key(key) {
            let empty = match item {
                Item::Table(table) => {
                    let mut empty = toml_edit::Table::new();
                    empty.set_dotted(table.is_dotted());
                    Item::Table(empty)
                }
                _ => Item::Value(toml_edit::InlineTable::new().into()),
            };
            insert(item, key, empty)?;
        }
        item = item.as_table_like_mut()?.get_mut(key)?;
    }
    match item.as_table_like_mut()?.get_mut(key) {
        Some(Item::Value(old)) => replace(old, value),
        Some(_) => None,
        None => insert(item, key, Item::Value(written(value)?)),
    }
}

/// Adds a key at the end of a table.
fn insert(table: &mut Item, key: &str, new: Item) -> Option<()> {
    match table {
        Item::Table(table) => drop(table.insert(key, new)),
        Item::Value(toml_edit::Value::InlineTable(table)) => {
            let mut brackets = Brackets::of_table(table)?;
            table.insert(key, new.into_value().ok()?);
            brackets.push();
            brackets.lay_out_table(table);
        }
        _ => return None,
    }
    Some(())
}

/// Replaces a value, and keeps what stands around it. Of a list, the texts that stay keep their comments.
fn replace(old: &mut toml_edit::Value, new: &Value) -> Option<()> {
    if let (Some(list), Some(items)) = (old.as_array_mut(), new.as_array())
        && let Some(()) = change_list(list, items)
    {
        return Some(());
    }
    let around = old.decor().clone();
    *old = written(new)?;
    *old.decor_mut() = around;
    Some(())
}

/// Removes texts from a list and adds others. Returns `None` if it is no list of texts, if none of them stays, or if the
/// order changes.
fn change_list(list: &mut toml_edit::Array, new: &[Value]) -> Option<()> {
    let new: Vec<&str> = new.iter().map(Value::as_str).collect::<Option<_>>()?;
    let old: Vec<&str> = list.iter().map(toml_edit::Value::as_str).collect::<Option<_>>()?;
    let gone: Vec<usize> = (0..old.len()).filter(|index| !new.contains(&old[*index])).collect();
    let stays = old.iter().filter(|text| new.contains(text));
    let more: Vec<&str> = new.iter().filter(|text| !old.contains(text)).copied().collect();
    if gone.len() == old.len() || !stays.chain(&more).eq(&new) {
        return None;
    }
    let mut brackets = Brackets::of_list(list)?;
    for index in gone.into_iter().rev() {
        list.remove(index);
        brackets.remove(index);
    }
    for text in more {
        list.push(text);
        brackets.push();
    }
    brackets.lay_out_list(list);
    Some(())
}

/// A header, or a key with its value, in the order of the text.
struct Line {
    path: Vec<String>,
    /// How many of the keys the header above it has; all of them if it is a header itself.
    header: usize,
    /// The spaces and comments before it.
    before: String,
}

impl Line {
    fn is_header(&self) -> bool {
        self.header == self.path.len()
    }

    /// Returns what stays of the text before it when this path is removed: the comments before a header, all before a
    /// key, and nothing of what belongs to a removed header.
    fn left_behind(&self, removed: &[String]) -> String {
        if self.is_header() {
            let comments = self.before.trim_end();
            return if comments.is_empty() { String::new() } else { format!("{comments}\n") };
        }
        if self.path[..self.header].starts_with(removed) { String::new() } else { self.before.clone() }
    }

    fn set_before(&self, document: &mut DocumentMut, before: String) -> Option<()> {
        let (key, above) = self.path.split_last()?;
        let table = item_at(document, above)?.as_table_mut()?;
        if self.is_header() {
            table.get_mut(key)?.as_table_mut()?.decor_mut().set_prefix(before);
        } else {
            table.key_mut(key)?.leaf_decor_mut().set_prefix(before);
        }
        Some(())
    }
}

/// Returns every header and key of a document.
fn places(document: &DocumentMut) -> Vec<Line> {
    let mut tables = Vec::new();
    collect(document.as_table(), &[], &mut tables);
    tables.sort_by_key(|(table, path)| (!path.is_empty(), table.position()));
    let text = |decor: &toml_edit::Decor| decor.prefix().and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let mut places = Vec::new();
    for (table, path) in tables {
        if !path.is_empty() && !table.is_implicit() {
            places.push(Line { header: path.len(), before: text(table.decor()), path: path.clone() });
        }
        for (keys, _) in table.get_values() {
            let before = keys.last().map(|key| text(key.leaf_decor())).unwrap_or_default();
            let keys = keys.into_iter().map(|key| key.get().to_owned());
            places.push(Line { header: path.len(), before, path: path.iter().cloned().chain(keys).collect() });
        }
    }
    places
}

/// Collects the tables that have a header, with their paths.
fn collect<'t>(table: &'t toml_edit::Table, path: &[String], found: &mut Vec<(&'t toml_edit::Table, Vec<String>)>) {
    if !table.is_dotted() {
        found.push((table, path.to_vec()));
    }
    for (key, item) in table {
        if let Item::Table(inner) = item {
            collect(inner, &[path, &[key.to_owned()]].concat(), found);
        }
    }
}

fn item_at<'d>(document: &'d mut DocumentMut, path: &[String]) -> Option<&'d mut Item> {
    path.iter().try_fold(document.as_item_mut(), |item, key| item.as_table_like_mut()?.get_mut(key))
}

/// Removes what this path leads to, if there is anything.
fn remove(document: &mut DocumentMut, path: &[String]) -> Option<()> {
    let (key, above) = path.split_last()?;
    if item_at(document, path).is_none() {
        return Some(());
    }
    if let Item::Value(toml_edit::Value::InlineTable(table)) = item_at(document, above)? {
        let mut brackets = Brackets::of_table(table)?;
        brackets.remove(table.iter().position(|(known, _)| known == key)?);
        table.remove(key);
        brackets.lay_out_table(table);
        return Some(());
    }
    let mut left = String::new();
    for place in places(document) {
        if place.path.starts_with(path) {
            left.push_str(&place.left_behind(path));
        } else if !left.is_empty() {
            let before = std::mem::take(&mut left) + &place.before;
            place.set_before(document, before)?;
        }
    }
    let end = left + document.trailing().as_str()?;
    document.set_trailing(end);
    item_at(document, above)?.as_table_mut()?.remove(key);
    Some(())
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
        assert_eq!(with(&[set_to(&["enabled"], false)]), text.replacen("\"x\"\r\n", "\"x\"\r\nenabled = false\r\n", 1));
        assert_eq!(with(&[unset_of(&["source"])]), text.replacen("source = \"x\"\r\n", "", 1));
        assert_eq!(with(&[Change::Remove]), "\u{feff}\r\n[plugin.snoop]\r\nsource = \"y\"\r\n");
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
    fn a_list_keeps_its_lines_and_a_table_the_comments_before_what_goes() {
        let text =
            "plugin.echo.source = \"x\"\n\n# why\nplugin.echo.grants.a = [\n    \"@e\",\n    \"a@b\",\n]\n# end\n";
        let with = |changes: &[Change]| edit(text, "echo", changes).unwrap();
        assert_eq!(
            with(&[set_to(&["grants", "a"], vec!["@e", "c@d"])]),
            text.replacen("\"a@b\"", "\"c@d\"", 1),
            "the list has no comments, and keeps its lines all the same"
        );
        assert_eq!(
            with(&[set_to(&["grants", "b"], true)]),
            text.replacen("# end", "plugin.echo.grants.b = true\n# end", 1)
        );
        assert_eq!(
            with(&[set_to(&["grants", "b"], true), unset_of(&["grants", "a"])]),
            "plugin.echo.source = \"x\"\n\n# why\nplugin.echo.grants.b = true\n# end\n"
        );
        assert_eq!(with(&[unset_of(&["source"])]), text.replacen("plugin.echo.source = \"x\"\n", "", 1));
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
