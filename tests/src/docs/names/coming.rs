//! Checks that the tables for authors who come from elsewhere name nothing that the SDKs do not have.

use std::collections::BTreeSet;

use super::tests::sources;
use super::*;

/// The page with the tables for frameworks.
const PAGE: &str = "docs/author/coming-from.md";

/// The page with the table for libraries.
const LIBRARIES: &str = "docs/author/libraries.md";

/// The columns of a table with a name in each language, behind the first column.
const COLUMNS: &str = " | Rust | Python | JavaScript, TypeScript | Go | C |";

/// Words that belong to the languages themselves.
const OF_LANGUAGES: [&str; 6] = ["regex", "re", "/…/", "regexp", "strstr", "setInterval"];

/// The names that each language has, in the order of the columns.
fn known() -> [BTreeSet<String>; 5] {
    let names = Names::read().unwrap();
    let mut known: [BTreeSet<String>; 5] = std::array::from_fn(|_| BTreeSet::new());
    for row in names.calls.values().flat_map(BTreeMap::values) {
        for (set, (_, name)) in known.iter_mut().zip(row.all()) {
            set.insert(name.to_owned());
        }
    }
    for word in names.words.values().flat_map(BTreeMap::values) {
        for (set, (_, several)) in known.iter_mut().zip(word.all()) {
            set.extend(several.iter().cloned());
        }
    }
    known
}

/// The names in a cell, without what stands around them: `@on("message")` is `on`, and `message.reply` in Rust is `reply`.
fn names_of(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2).map(|name| {
        let name = name.trim_start_matches(['@', '.']);
        let name = name.split(['(', ' ']).next().unwrap_or_default();
        name.strip_prefix("message.").unwrap_or(name)
    })
}

/// Returns the whole name that a name in a cell stands for. One behind another may leave out the beginning that both have.
fn whole(name: &str, before: &str, known: &BTreeSet<String>) -> Option<String> {
    let shortened = ["::", ".", "_"]
        .into_iter()
        .filter_map(|sign| before.rsplit_once(sign).map(|(path, _)| format!("{path}{sign}{name}")));
    let found = std::iter::once(name.to_owned()).chain(shortened).find(|one| known.contains(one));
    let ends = [format!("::{name}"), format!(".{name}")];
    found.or_else(|| known.iter().find(|one| ends.iter().any(|end| one.ends_with(end))).cloned())
}

/// Whether a module of the SDK for Python has a function, such as `http.get`.
fn is_in_python(name: &str) -> bool {
    let Some((module, function)) = name.split_once('.') else { return false };
    let text = sources("python/parlor", &format!("/{module}.py"));
    ["def", "async def"].iter().any(|kind| text.contains(&format!("\n{kind} {function}(")))
}

/// The names in the tables of a page that no SDK has, with their lines.
fn unknown(page: &str) -> Vec<String> {
    let known = known();
    let mut unknown = Vec::new();
    let mut is_table = false;
    for line in page.lines() {
        is_table = line.ends_with(COLUMNS) || is_table && line.starts_with('|');
        if !is_table || line.ends_with(COLUMNS) || line.starts_with("|---") {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 6, "{line}");
        for (place, cell) in cells[1..].iter().enumerate() {
            let mut before = String::new();
            for name in names_of(cell).filter(|name| !OF_LANGUAGES.contains(name)) {
                match whole(name, &before, &known[place]) {
                    Some(found) => before = found,
                    None if place == 1 && is_in_python(name) => name.clone_into(&mut before),
                    None => unknown.push(format!("{name}: {line}")),
                }
            }
        }
    }
    unknown
}

#[test]
fn the_tables_for_those_who_come_from_elsewhere_name_what_the_sdks_have() {
    let page = super::super::read(PAGE).unwrap();
    assert_eq!(unknown(&page), [""; 0]);
    for framework in ["errbot", "maubot", "slixmpp", "Hubot", "Sopel", "Limnoria"] {
        let (_, table) = page.split_once(&format!("\n### {framework}, in each language\n\n| there")).unwrap();
        assert!(table.starts_with(COLUMNS), "{framework}");
    }
}

#[test]
fn the_table_for_libraries_names_what_the_sdks_have() {
    let page = super::super::read(LIBRARIES).unwrap();
    assert_eq!(unknown(&page), [""; 0]);
    let (_, table) = page.split_once("\n## Names in each language\n").unwrap();
    assert!(table.contains(&format!("\n| for{COLUMNS}\n")));
}

#[test]
fn a_name_that_no_sdk_has_is_found() {
    let row = "| x | `storage::get`, `set` | `@on(\"message\")` | `on` | `parlor.StorageGet`, `StorageSet` | `parlor_storage_get`, `set` |";
    let page = format!("| there{COLUMNS}\n|---|---|---|---|---|---|\n{row}\n\n| `parlor.Nothing` |\n");
    assert_eq!(unknown(&page), [""; 0]);
    for (name, wrong) in [("storage::get", "storage::gett"), ("StorageSet", "StorageSett"), ("@on", "@onn")] {
        assert_eq!(unknown(&page.replace(name, wrong)).len(), 1, "{wrong}");
    }
}
