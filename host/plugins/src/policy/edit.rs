//! Changes the text of `plugins.toml` and keeps what people wrote there: comments, order, spacing.
//!
//! `toml_edit` knows the spaces and comments around each key. Comments before a removed key or header stay and belong
//! to the next one. The result is parsed again and must mean exactly the wanted policy; otherwise the file is not
//! changed.

use std::collections::BTreeSet;

use toml::{Table, Value};
use toml_edit::{DocumentMut, Item};

use self::brackets::Brackets;

mod brackets;
mod order;

pub use order::edit_order;

/// The error when the text cannot be changed. Holds what to do by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is written in a way that no command can change; change it by hand: {0}")]
pub struct Unchangeable(pub String);

/// A change of a plugin's entry.
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
    edit_in("plugin", text, id, changes)
}

/// Same as [`edit`], for an entry in another group of tables, such as `[account.main]`.
pub fn edit_in(group: &str, text: &str, id: &str, changes: &[Change]) -> Result<String, Unchangeable> {
    let place = [group, id];
    let mut text = text.to_owned();
    for change in changes {
        let wanted = wanted(&text, place, change)?;
        let new = apply(&text, place, change).ok_or_else(|| by_hand(place, change))?;
        let means = new.parse().map_err(|_| by_hand(place, change))?;
        if without_empty(means, group) != wanted {
            return Err(by_hand(place, change));
        }
        text = new;
    }
    Ok(text)
}

/// Returns the text with new entries in a group of tables. It is parsed and compared once, however many they are.
pub fn add_all_in(group: &str, text: &str, entries: &[(String, Table)]) -> Result<String, Unchangeable> {
    let advice = || Unchangeable(format!("add a table below [{group}] for each of the {} new entries", entries.len()));
    let mut wanted: Table = text.parse().map_err(|_| advice())?;
    let mut document: DocumentMut = text.parse().map_err(|_| advice())?;
    let all = wanted.entry(group).or_insert_with(|| Table::new().into());
    let all = all.as_table_mut().ok_or_else(advice)?;
    for (id, entry) in entries {
        let has_one = all.insert(id.clone(), entry.clone().into()).is_some();
        if has_one || add(&mut document, [group, id], entry).is_none() {
            return Err(advice());
        }
    }
    let new = spelled_like(text, &document);
    let means: Table = new.parse().map_err(|_| advice())?;
    if without_empty(means, group) == without_empty(wanted, group) { Ok(new) } else { Err(advice()) }
}

/// Returns the text without these entries of a group of tables. It is parsed and compared once, however many they are.
pub fn remove_all_in(group: &str, text: &str, ids: &BTreeSet<&str>) -> Result<String, Unchangeable> {
    let advice = || match (ids.len(), ids.first()) {
        (1, Some(&id)) => by_hand([group, id], &Change::Remove),
        (count, _) => Unchangeable(format!("take out the {count} tables below [{group}] with all that is below them")),
    };
    let mut wanted: Table = text.parse().map_err(|_| advice())?;
    let mut document: DocumentMut = text.parse().map_err(|_| advice())?;
    if let Some(all) = wanted.get_mut(group).and_then(Value::as_table_mut) {
        for id in ids {
            all.remove(*id);
        }
    }
    remove_entries(&mut document, group, ids).ok_or_else(advice)?;
    let new = spelled_like(text, &document);
    let means: Table = new.parse().map_err(|_| advice())?;
    if without_empty(means, group) == without_empty(wanted, group) { Ok(new) } else { Err(advice()) }
}

/// Returns what the text has to mean after the change.
fn wanted(text: &str, [group, id]: [&str; 2], change: &Change) -> Result<Table, Unchangeable> {
    let mut root: Table = text.parse().map_err(|_| by_hand([group, id], change))?;
    if let Change::Remove = change {
        let plugins = root.get_mut(group).and_then(Value::as_table_mut);
        if let Some(plugins) = plugins {
            plugins.remove(id);
        }
        return Ok(without_empty(root, group));
    }
    let plugins = root.entry(group).or_insert_with(|| Table::new().into());
    let plugins = plugins.as_table_mut().ok_or_else(|| by_hand([group, id], change))?;
    match change {
        Change::Add(entry) => {
            plugins.insert(id.to_owned(), entry.clone().into());
        }
        Change::Set(keys, value) => {
            let mut table =
                plugins.get_mut(id).and_then(Value::as_table_mut).ok_or_else(|| by_hand([group, id], change))?;
            let (last, above) = keys.split_last().ok_or_else(|| by_hand([group, id], change))?;
            for key in above {
                let inner = table.entry(key.clone()).or_insert_with(|| Table::new().into());
                table = inner.as_table_mut().ok_or_else(|| by_hand([group, id], change))?;
            }
            table.insert(last.clone(), value.clone());
        }
        Change::Unset(keys) => {
            let (last, above) = keys.split_last().ok_or_else(|| by_hand([group, id], change))?;
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

/// Removes an empty group, which means the same as none.
fn without_empty(mut root: Table, group: &str) -> Table {
    if root.get(group).and_then(Value::as_table).is_some_and(Table::is_empty) {
        root.remove(group);
    }
    root
}

/// Returns the error that says how to make the change by hand.
fn by_hand([group, id]: [&str; 2], change: &Change) -> Unchangeable {
    Unchangeable(match change {
        Change::Add(_) => format!("add [{group}.{id}]"),
        Change::Remove => format!("take out [{group}.{id}] with all that is below it"),
        Change::Set(keys, value) => format!("under [{group}.{id}], write {} = {value}", keys.join(".")),
        Change::Unset(keys) => format!("under [{group}.{id}], take out {}", keys.join(".")),
    })
}

/// Some editors begin a file with this byte order mark.
const MARK: char = '\u{feff}';

fn apply(text: &str, place: [&str; 2], change: &Change) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let path =
        |keys: &[String]| -> Vec<String> { place.into_iter().map(str::to_owned).chain(keys.iter().cloned()).collect() };
    match change {
        Change::Add(entry) => add(&mut document, place, entry)?,
        Change::Remove => remove(&mut document, &path(&[]))?,
        Change::Set(keys, value) => set(&mut document, &path(keys), value)?,
        Change::Unset(keys) => remove(&mut document, &path(keys))?,
    }
    Some(spelled_like(text, &document))
}

/// Returns the text of a document with the mark and the line ends of the text that it was. The library writes neither.
fn spelled_like(text: &str, document: &DocumentMut) -> String {
    let mut new = document.to_string();
    if text.lines().next().is_some_and(|line| text[line.len()..].starts_with("\r\n")) {
        new = new.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if text.starts_with(MARK) && !new.starts_with(MARK) {
        new.insert(0, MARK);
    }
    new
}

/// Adds an entry at the end of the file.
fn add(document: &mut DocumentMut, [group, id]: [&str; 2], entry: &Table) -> Option<()> {
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
    let mut all = toml_edit::Table::new();
    all.set_implicit(true);
    let all = document.entry(group).or_insert(Item::Table(all));
    all.as_table_mut()?.insert(id, Item::Table(entry));
    Some(())
}

/// Returns a table in which each table has a separate header.
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
        Some(Item::Table(old)) => {
            let new = value.as_table()?;
            let gone = old.iter().map(|(key, _)| key).filter(|key| !new.contains_key(*key)).map(str::to_owned);
            for key in gone.collect::<Vec<_>>() {
                remove(document, &below(path, &key))?;
            }
            new.iter().try_for_each(|(key, value)| set(document, &below(path, key), value))
        }
        Some(_) => None,
        None => insert(item, key, Item::Value(written(value)?)),
    }
}

/// Returns the path of a key in the table at this path.
fn below(path: &[String], key: &str) -> Vec<String> {
    [path, &[key.to_owned()]].concat()
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

/// Removes texts from a list and adds others. Returns `None` if it is not a list of texts, if none of them stays, or if
/// the order changes.
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

    /// Returns the part of the text before it that stays when this path is removed: the comments before a header,
    /// everything before a key, and nothing that belongs to a removed header.
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
            collect(inner, &below(path, key), found);
        }
    }
}

fn item_at<'d>(document: &'d mut DocumentMut, path: &[String]) -> Option<&'d mut Item> {
    path.iter().try_fold(document.as_item_mut(), |item, key| item.as_table_like_mut()?.get_mut(key))
}

/// Removes the item at this path, if it exists.
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
    keep_left_behind(document, |place| place.get(..path.len()).filter(|begin| *begin == path))?;
    item_at(document, above)?.as_table_mut()?.remove(key);
    Some(())
}

/// Moves the text that stays when paths are removed to what follows them. `removed` returns the removed path that a path begins with.
fn keep_left_behind(document: &mut DocumentMut, removed: impl Fn(&[String]) -> Option<&[String]>) -> Option<()> {
    let mut left = String::new();
    for place in places(document) {
        match removed(&place.path) {
            Some(path) => left.push_str(&place.left_behind(path)),
            None if left.is_empty() => {}
            None => {
                let before = std::mem::take(&mut left) + &place.before;
                place.set_before(document, before)?;
            }
        }
    }
    let end = left + document.trailing().as_str()?;
    document.set_trailing(end);
    Some(())
}

/// Removes entries of a group, as [`remove`] does with one.
fn remove_entries(document: &mut DocumentMut, group: &str, ids: &BTreeSet<&str>) -> Option<()> {
    let is_removed = |path: &[String]| path[0] == group && ids.contains(path[1].as_str());
    keep_left_behind(document, |place| place.get(..2).filter(|path| is_removed(path)))?;
    let Some(all) = document.get_mut(group) else { return Some(()) };
    let all = all.as_table_mut()?;
    for id in ids {
        all.remove(id);
    }
    Some(())
}

#[cfg(test)]
mod tests;
