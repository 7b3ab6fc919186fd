//! Holds the table's words and the public interfaces of the SDKs together, in both directions.

use std::collections::BTreeSet;

use super::tests::sources;
use super::*;

type Set = BTreeSet<String>;

/// The identifier at the beginning of a text.
fn word(text: &str) -> &str {
    text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').next().unwrap_or_default()
}

/// The lines from the one that begins like this up to the one that begins with `end`.
fn section<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with(begin)).collect();
    assert!(!lines.is_empty(), "there is no {begin:?}");
    lines.into_iter().skip(1).take_while(|line| !line.starts_with(end)).collect()
}

/// The last segment of the names in `{A, B}` of a `use` or an `export`.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|name| name.trim().rsplit("::").next().unwrap_or_default()).filter(|name| !name.is_empty())
}

/// The types of the contract, in Pascal case.
fn types_of_the_contract() -> Set {
    let mut types: Set = ["Role", "Affiliation", "Kind"].map(str::to_owned).into();
    for interface in super::super::contract::read().unwrap() {
        for (name, _) in interface.texts() {
            let capital =
                |word: &str| word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default();
            types.insert(name.split('-').map(capital).collect());
        }
    }
    types
}

/// The own exports of `parlor_sdk`, and those that it takes over from the contract and from private modules.
fn rust() -> (Set, Set) {
    let (mut own, mut others) = (Set::new(), Set::new());
    let root = sources("src", "src/lib.rs");
    let hidden: Vec<_> = root.split("#[doc(hidden)]\npub mod ").map(word).skip(1).collect();
    for module in root.lines().filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod "))) {
        let module = word(module);
        // These have no names of their own: generated modules, modules that are exported elsewhere, and modules that
        // only macros use.
        if ["bindings", "prelude"].contains(&module) || hidden.contains(&module) {
            continue;
        }
        // Private modules, by where their items are exported.
        let path = match module {
            "error" => String::new(),
            "xml" => "stanza::".to_owned(),
            "changes" => "storage::".to_owned(),
            "failure" | "turns" => continue,
            module => format!("{module}::"),
        };
        let text = sources("src", &format!("src/{module}.rs"));
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        own.extend(items(text, &path));
        for used in text.split("\npub use ").skip(1).filter_map(|used| used.split_once(';')).map(|(used, _)| used) {
            let names = used.split_once('{').map_or(used, |(_, names)| names);
            others.extend(listed(names.trim_end_matches('}').trim_end()).map(|name| format!("{path}{name}")));
        }
    }
    for used in root.lines().filter_map(|line| line.strip_prefix("pub use runtime::{")) {
        own.extend(listed(used.trim_end_matches("};")).map(str::to_owned));
    }
    own.insert("plugin!".to_owned());
    assert!(root.contains("macro_rules! plugin "), "there is no plugin!");
    (own, others)
}

/// The items that a module of the SDK exports under this path.
fn items(text: &str, path: &str) -> Set {
    let mut own = Set::new();
    let (mut block, mut is_exported) = (String::new(), false);
    for line in text.lines() {
        let item = line.trim_start().replace("pub async fn", "pub fn");
        if !line.is_empty() && !line.starts_with(' ') {
            let name = line.strip_prefix("impl").map(|rest| rest.split_once("> ").map_or(rest, |(_, rest)| rest));
            block = match name {
                Some(name) if !line.contains(" for ") => format!("{path}{}::", word(name.trim_start())),
                _ if line.starts_with("pub enum Error") => "Error::".to_owned(),
                _ if line.starts_with("pub mod ns") => "stanza::ns::".to_owned(),
                _ => String::new(),
            };
            if let Some(name) = line.strip_prefix("macro_rules! ").filter(|_| is_exported) {
                own.insert(format!("{}!", word(name)));
            }
        }
        is_exported = line == "#[macro_export]";
        let place = if line.starts_with(' ') { &block } else { path };
        for kind in ["fn", "struct", "enum", "trait", "type", "mod", "const"] {
            let name = item.strip_prefix(&format!("pub {kind} ")).map(word).filter(|name| !name.is_empty());
            // Items made by a macro have their names from elsewhere.
            if let Some(name) = name
                && (!line.starts_with(' ') || !block.is_empty())
            {
                own.insert(format!("{place}{name}"));
            }
        }
        if block == "Error::" && line.starts_with("    ") && line[4..].starts_with(char::is_uppercase) {
            own.insert(format!("Error::{}", word(&line[4..])));
        }
    }
    own
}

/// The names that `from parlor import …` gives, with the methods of objects that are not groupings of the contract.
fn python() -> (Set, Set) {
    let texts = |file: &str| sources("python/parlor", &format!("/{file}.py"));
    let all = texts("__init__");
    let (_, all) = all.split_once("__all__ = [").unwrap();
    let (all, _) = all.split_once(']').unwrap();
    let mut own: Set = listed(all).map(|name| name.trim_matches('"').to_owned()).collect();
    for (file, class, name) in [
        ("values", "Storage", "storage"),
        ("values", "Settings", "settings"),
        ("values", "Promises", "promises"),
        ("stanza", "Element", "Element"),
        ("listen", "Subscription", "Subscription"),
        ("timers", "Timer", "Timer"),
    ] {
        let text = texts(file);
        let class = format!("class {class}:");
        let inside = text.lines().skip_while(|line| *line != class).skip(1);
        for line in inside.take_while(|line| line.is_empty() || line.starts_with(' ')) {
            let line = line.strip_prefix("    async def ").or_else(|| line.strip_prefix("    def "));
            own.extend(line.map(word).filter(|name| !name.starts_with('_')).map(|method| format!("{name}.{method}")));
        }
    }
    let errors = texts("errors");
    own.extend(
        errors.lines().filter_map(|line| line.strip_prefix("class ")).map(|name| format!("errors.{}", word(name))),
    );
    let stanza = texts("stanza");
    let names = section(&stanza, "class ns:", "_").into_iter().filter(|line| line.contains(" = "));
    own.extend(names.map(|line| format!("ns.{}", word(line.trim_start()))));
    (own, types_of_the_contract().into_iter().map(|name| format!("types.{name}")).collect())
}

/// The names that `import { … } from "parlor"` gives, with methods.
fn js() -> (Set, Set) {
    let text = sources("javascript", "parlor.d.ts");
    let mut own = Set::new();
    let (_, groupings) = text.split_once("\nexport {\n").unwrap();
    own.extend(listed(groupings.split_once('}').unwrap().0).map(str::to_owned));
    let mut block = "";
    own.extend(in_namespaces(&text));
    for line in text.lines() {
        for kind in ["function", "const", "class", "interface", "type", "namespace"] {
            if let Some(name) = line.strip_prefix(&format!("export {kind} ")).map(word).filter(|name| !name.is_empty())
            {
                own.insert(name.to_owned());
                block = name;
            }
        }
        let Some(member) = line.strip_prefix("  ").filter(|_| !block.is_empty()) else {
            if line.starts_with('}') {
                block = "";
            }
            continue;
        };
        let name = word(member.trim_start_matches("readonly "));
        let is_method = member.strip_prefix(name).is_some_and(|rest| rest.starts_with('(') || rest.starts_with('<'));
        if (is_method && name != "constructor") || (block == "ns" && member.starts_with("readonly ")) {
            own.insert(format!("{block}.{name}"));
        }
    }
    (own, types_of_the_contract())
}

/// The names in the namespaces that `parlor` exports, with methods.
fn in_namespaces(text: &str) -> Set {
    let mut own = Set::new();
    for part in text.split("\nexport namespace ").skip(1) {
        let (namespace, mut block) = (word(part), "");
        for line in part.lines().skip(1).take_while(|line| !line.starts_with('}')) {
            let Some(declared) = line.strip_prefix("  ") else { continue };
            let kinds = ["function ", "const ", "class ", "interface ", "type "];
            if let Some(name) = kinds.iter().find_map(|kind| declared.strip_prefix(*kind)).map(word) {
                own.insert(format!("{namespace}.{name}"));
                block = name;
            }
            let member = declared.strip_prefix("  ").unwrap_or_default();
            if !word(member).is_empty() && member.strip_prefix(word(member)).is_some_and(|rest| rest.starts_with('(')) {
                own.insert(format!("{namespace}.{block}.{}", word(member)));
            }
        }
    }
    own
}

/// The exports of the packages `parlor` and `parlor/moderation`.
fn go() -> (Set, Set) {
    let text = sources("go", ".go");
    let (mut own, mut is_in_block) = (Set::new(), false);
    let mut package = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("package ") {
            package = name;
        }
        if !["parlor", "moderation"].contains(&package) {
            continue;
        }
        is_in_block = matches!(line, "type (" | "var (" | "const (") || (is_in_block && line != ")");
        let declared = line.strip_prefix("func ").or_else(|| line.strip_prefix("type "));
        let declared = declared.or_else(|| line.strip_prefix('\t').filter(|_| is_in_block));
        let Some(declared) = declared else { continue };
        let name = match declared.strip_prefix('(') {
            None => word(declared).to_owned(),
            // A method; those by which a value is an error belong to the language.
            Some(method) => {
                let Some((receiver, rest)) = method.split_once(") ") else { continue };
                let receiver = receiver.rsplit([' ', '*']).next().unwrap_or_default();
                let (receiver, method) = (word(receiver), word(rest));
                let is_public = receiver.starts_with(char::is_uppercase) && method.starts_with(char::is_uppercase);
                if !is_public || method == "Error" {
                    continue;
                }
                format!("{receiver}.{method}")
            }
        };
        if name.starts_with(char::is_uppercase) {
            own.insert(format!("{package}.{name}"));
        }
    }
    (own, Set::new())
}

/// The declarations of `parlor.h`.
fn c() -> (Set, Set) {
    let mut text = String::new();
    let header = sources("c", "parlor.h");
    for part in header.split("/*") {
        text += part.split_once("*/").map_or(part, |(_, behind)| behind);
    }
    // The rest belongs to macros that note where a call was made.
    let (text, _) = text.split_once("extern struct parlor_call ").unwrap();
    let mut own = Set::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("#define ").map(word) {
            if !["PARLOR_H", "PARLOR_FORMAT"].contains(&name) {
                own.insert(name.to_owned());
            }
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let is_indented = line.starts_with(' ');
        let words = line.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
        own.extend(words.filter(|name| name.starts_with("PARLOR_") && *name != "PARLOR_FORMAT").map(str::to_owned));
        if let Some((before, _)) = line.split_once('(').filter(|_| !is_indented) {
            own.extend(before.rsplit([' ', '*']).next().filter(|name| name.starts_with("parlor_")).map(str::to_owned));
        }
        if let Some((_, name)) = line.split_once("} ").filter(|_| !is_indented) {
            own.insert(word(name).to_owned());
        }
    }
    (own, Set::new())
}

fn words() -> impl Iterator<Item = (&'static str, String, Word)> {
    let words = Names::read().unwrap().words;
    words.into_iter().flat_map(|(table, rows)| rows.into_iter().map(move |(key, word)| (table, key, word)))
}

/// The names of a table in one language.
fn names_in(table: &str, language: &str) -> Set {
    let rows = words().filter(|(one, ..)| *one == table);
    let names = |word: &Word| word.all().into_iter().find(|(one, _)| *one == language).unwrap().1.to_vec();
    rows.flat_map(|(.., word)| names(&word)).collect()
}

#[test]
fn a_row_in_which_a_language_is_missing_says_why() {
    for (table, key, word) in words() {
        let missing: Vec<_> =
            word.all().into_iter().filter(|(_, names)| names.is_empty()).map(|(one, _)| one).collect();
        assert!(missing.is_empty() || word.why.is_some(), "[{table}] {key}: nothing for {missing:?}, and no `why`");
        assert!(table != "sdk" || word.about.is_some(), "[{table}] {key}: no `about`");
    }
}

#[test]
fn every_word_is_in_its_sdk_and_nothing_that_an_sdk_exports_is_missing() {
    let calls: Vec<_> = Names::read().unwrap().calls.into_values().flat_map(BTreeMap::into_values).collect();
    for (language, (own, others)) in [("rust", rust()), ("python", python()), ("js", js()), ("go", go()), ("c", c())] {
        let mut tables = vec!["sdk", "error", "namespace"];
        if language == "rust" {
            // Methods there, and fields or arguments elsewhere.
            tables.extend(["outgoing", "filter"]);
        }
        let named: Set = tables.into_iter().flat_map(|table| names_in(table, language)).collect();
        let none: Vec<_> = named.iter().filter(|name| !own.contains(*name) && !others.contains(*name)).collect();
        assert!(none.is_empty(), "{language} has none of {none:?}");

        let called: Set = calls
            .iter()
            .map(|row| match language {
                "rust" => row.rust.clone(),
                "python" => row.python.clone(),
                "js" => row.js.clone(),
                "go" => row.go.clone(),
                _ => row.c.clone(),
            })
            .collect();
        let missing: Vec<_> = own.iter().filter(|name| !named.contains(*name) && !called.contains(*name)).collect();
        assert!(missing.is_empty(), "plugins-sdk/names.toml has no row with {missing:?} of {language}");
        assert!(own.len() > 80, "{language} has more than {own:?}");
    }
}

/// The fields of a struct in Go; several may stand in one line.
fn go_fields(name: &str) -> Set {
    let text = sources("go", ".go");
    let lines = section(&text, &format!("type {name} struct {{"), "}").into_iter().map(str::trim);
    let lines = lines.filter(|line| line.starts_with(char::is_uppercase));
    lines.flat_map(|line| line.split(", ").map(|field| word(field).to_owned()).collect::<Vec<_>>()).collect()
}

/// The fields of a struct in C.
fn c_fields(name: &str) -> Set {
    let text = sources("c", "parlor.h");
    let mut fields = Set::new();
    let mut is_comment = false;
    for line in section(&text, &format!("typedef struct {name} {{"), "}") {
        let (code, comment) = line.split_once("/*").unwrap_or((line, "*/"));
        if !is_comment {
            for declared in code.split(';') {
                fields.extend(declared.split(',').map(|one| one.trim().rsplit([' ', '*']).next().unwrap().to_owned()));
            }
        }
        is_comment = if is_comment { !line.contains("*/") } else { !comment.contains("*/") };
    }
    fields.remove("");
    fields
}

/// The fields of an interface in TypeScript.
fn js_fields(name: &str) -> Set {
    let text = sources("javascript", "parlor.d.ts");
    let lines = section(&text, &format!("export interface {name} {{"), "}").into_iter();
    lines.filter(|line| line.contains("?: ")).map(|line| word(line.trim()).to_owned()).collect()
}

/// The arguments of a function in Python's stubs, but for those that are named by their place.
fn python_arguments(file: &str, begin: &str) -> Set {
    let text = sources("python/editors", &format!("/{file}.pyi"));
    let lines = section(&text, begin, ")").into_iter();
    lines.filter(|line| line.contains(": ")).map(|line| word(line.trim()).to_owned()).collect()
}

#[test]
fn the_fields_of_messages_and_filters_are_those_of_the_sdks() {
    let mut filter = python_arguments("listen", "def on(");
    // The event's name, and whether only the next one counts, are not part of a filter.
    filter.remove("name");
    filter.remove("once");
    assert_eq!(names_in("filter", "python"), filter);
    assert_eq!(names_in("filter", "js"), js_fields("Filter"));
    assert_eq!(names_in("filter", "go"), go_fields("Filter"));
    assert_eq!(names_in("filter", "c"), c_fields("parlor_filter"));

    assert_eq!(names_in("outgoing", "python"), python_arguments("messages", "def outgoing("));
    assert_eq!(names_in("outgoing", "js"), js_fields("Wish"));
    assert_eq!(names_in("outgoing", "go"), go_fields("Outgoing"));
    assert_eq!(names_in("outgoing", "c"), c_fields("parlor_outgoing"));

    let flat = |names: Set, all: &str| names.into_iter().filter(|name| !name.starts_with(all)).collect::<Set>();
    let (mut go, mut c) = (go_fields("Message"), c_fields("parlor_message"));
    assert!(go.remove("All") && c.remove("all"));
    assert_eq!(flat(names_in("message", "go"), "All."), go);
    assert_eq!(flat(names_in("message", "c"), "all->"), c);

    // The other languages have the record of the contract, in their own casing.
    let text = super::super::read("wit/types.wit").unwrap();
    let fields = section(&text, "  record message {", "  }").into_iter().map(str::trim);
    let fields = fields.filter(|line| !line.starts_with("///")).filter_map(|line| line.split_once(": "));
    let fields: Set = fields.map(|(name, _)| name.trim_start_matches('%').to_owned()).collect();
    let rows: BTreeMap<_, _> =
        words().filter(|(table, ..)| *table == "message").map(|(_, key, word)| (key, word)).collect();
    for field in &fields {
        let word = rows.get(field).unwrap_or_else(|| panic!("[message] has no {field}"));
        for (language, names) in word.all() {
            let squeezed = |name: &str| name.replace(['_', '-'], "").to_lowercase();
            let name = names[0].trim_start_matches("All.").trim_start_matches("all->");
            assert_eq!(squeezed(name), squeezed(field), "{language}");
        }
    }
}
