//! The names of calls in each language, from `plugins-sdk/names.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Deserialize;

/// How one call is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    rust: String,
    python: String,
    js: String,
    go: String,
    c: String,
    /// Why the words are not everywhere those of the contract.
    why: Option<String>,
}

/// All rows, by grouping and function.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<String, BTreeMap<String, Row>>);

impl Row {
    /// The name in each language, with the language as people call it.
    fn all(&self) -> [(&'static str, &str); 5] {
        [
            ("Rust", &self.rust),
            ("Python", &self.python),
            ("JavaScript, TypeScript", &self.js),
            ("Go", &self.go),
            ("C", &self.c),
        ]
    }
}

impl Names {
    /// Reads the file.
    pub(super) fn read() -> Result<Self> {
        let mut file: toml::Table =
            toml::from_str(&super::read("plugins-sdk/names.toml")?).context("plugins-sdk/names.toml is no TOML")?;
        file.remove("time");
        Ok(Self(file.try_into().context("plugins-sdk/names.toml is not what it should be")?))
    }

    /// A line for the page of a grouping; empty where there is no such row.
    pub(super) fn line(&self, grouping: &str, function: &str) -> String {
        let Some(row) = self.0.get(grouping).and_then(|rows| rows.get(function)) else { return String::new() };
        let mut line = String::new();
        for (language, name) in row.all() {
            let separator = if line.is_empty() { "" } else { " · " };
            // Writing to a string does not fail.
            let _ = write!(line, "{separator}{language} `{name}`");
        }
        if let Some(why) = &row.why {
            let _ = write!(line, " ({why})");
        }
        line + "\n\n"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::conformance::root;

    /// The texts of an SDK's files that end so.
    fn sources(folder: &str, end: &str) -> String {
        let mut open = vec![root().join("plugins-sdk").join(folder)];
        let mut text = String::new();
        while let Some(folder) = open.pop() {
            let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            for path in entries {
                if path.is_dir() {
                    open.push(path);
                } else if path.to_str().unwrap().ends_with(end) {
                    text += &std::fs::read_to_string(path).unwrap();
                }
            }
        }
        text
    }

    /// The calls of `wit/`, by grouping.
    fn calls() -> BTreeMap<String, BTreeSet<String>> {
        let mut calls = BTreeMap::new();
        for interface in super::super::contract::read().unwrap() {
            let functions: BTreeSet<_> = interface.functions().map(str::to_owned).collect();
            if !functions.is_empty() {
                calls.insert(interface.name.clone(), functions);
            }
        }
        calls
    }

    fn rows() -> impl Iterator<Item = (String, String, Row)> {
        let Names(names) = Names::read().unwrap();
        names
            .into_iter()
            .flat_map(|(grouping, rows)| rows.into_iter().map(move |(function, row)| (grouping.clone(), function, row)))
    }

    fn words_of(name: &str) -> String {
        let name =
            name.trim_start_matches("parlor_plugin_").trim_start_matches("parlor_").trim_start_matches("parlor.");
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
    }

    #[test]
    fn every_call_of_the_contract_has_a_row_and_every_row_is_one() {
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (grouping, function, _) in rows() {
            named.entry(grouping).or_default().insert(function);
        }
        assert_eq!(named, calls());
    }

    #[test]
    fn the_words_are_those_of_the_contract_unless_the_row_says_why() {
        for (grouping, function, row) in rows() {
            let usual = [words_of(&format!("{grouping}{function}")), words_of(&function)];
            let others: Vec<_> = row.all().into_iter().filter(|(_, name)| !usual.contains(&words_of(name))).collect();
            assert_eq!(
                row.why.is_some(),
                !others.is_empty(),
                "{grouping}.{function}: {others:?}, because {:?}",
                row.why
            );
        }
    }

    #[test]
    fn every_name_is_in_the_sdk_of_its_language() {
        let kebab_to = |function: &str, join: &str| function.replace('-', join);
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        let pascal = |function: &str| function.split('-').map(capital).collect::<String>();
        let (python, stubs) = (sources("python/parlor", ".py"), sources("python/parlor", "__init__.py"));
        let (js, types) = (sources("javascript", "parlor.js"), sources("javascript", "parlor.d.ts"));
        let (go, c) = (sources("go", ".go"), sources("c", "parlor.h"));
        for (grouping, function, row) in rows() {
            let call = format!("{grouping}.{function}");
            let has = |text: &str, any: &[String], name: &str| {
                assert!(any.iter().any(|part| text.contains(part)), "{call}: there is no {name} (none of {any:?})");
            };
            let parts: Vec<&str> = row.rust.split("::").collect();
            let (module, last) = (sources("src", &format!("/{}.rs", parts[0])), parts[parts.len() - 1]);
            let declared = |end: &str| [format!("pub fn {last}{end}"), format!("pub async fn {last}{end}")];
            has(&module, &[declared("("), declared("<")].concat(), &row.rust);

            let parts: Vec<&str> = row.python.split('.').collect();
            match parts.as_slice() {
                // Python's own, to which the SDK lends a handler.
                ["logging"] => has(&python, &["logging.Handler".to_owned()], "logging"),
                [one] => has(&python, &[format!("\ndef {one}("), format!("\nasync def {one}(")], &row.python),
                [class, one] if class.starts_with(char::is_uppercase) => {
                    let (_, body) = python.split_once(&format!("\nclass {class}:")).unwrap_or_default();
                    has(body, &[format!("    def {one}(")], &row.python);
                }
                [object, one] if stubs.contains(&format!("{object} = Grouping(\"{object}\"")) => {
                    let made = if function == "not" { "not_".to_owned() } else { kebab_to(&function, "_") };
                    assert_eq!(
                        (*object, *one),
                        (grouping.as_str(), made.as_str()),
                        "{call}: it is made from the contract"
                    );
                }
                [object, one] => {
                    let class = format!("\nclass {}:", capital(object));
                    let (_, body) = python.split_once(&class).unwrap_or_default();
                    has(body, &[format!("    async def {one}("), format!("    def {one}(")], &row.python);
                }
                _ => panic!("{call}: {}", row.python),
            }

            match row.js.split_once('.') {
                None => {
                    let one = &row.js;
                    let made = ["function ", "const ", "class "].map(|kind| format!("export {kind}{one}"));
                    has(&js, &made, one);
                    has(&types, &made, one);
                }
                Some((class, one)) if class.starts_with(char::is_uppercase) => {
                    let (_, body) = types.split_once(&format!("export interface {class} ")).unwrap_or_default();
                    has(body, &[format!("  {one}(")], &row.js);
                }
                Some((object, one)) => {
                    has(&js, &[format!("export const {object} =")], &row.js);
                    // Made from the contract, or declared by the SDK itself.
                    let (first, rest) = function.split_once('-').unwrap_or((&function, ""));
                    let camel = first.to_owned() + &if rest.is_empty() { String::new() } else { pascal(rest) };
                    if one != camel {
                        let (_, body) = types.split_once(&format!("export const {object}: ")).unwrap_or_default();
                        has(body, &[format!("  {one}("), format!("  {one}<")], &row.js);
                    }
                }
            }

            match row.go.strip_prefix("parlor.") {
                Some(name) => {
                    let (made, method) = (name.split_once('.'), |one: &str| format!(") {one}("));
                    let found = match made {
                        Some((_, one)) => vec![method(one)],
                        None => vec![format!("\nfunc {name}("), format!("\nfunc {name}[")],
                    };
                    has(&go, &found, &row.go);
                }
                None => assert_eq!(row.go, format!("{grouping}.{}", pascal(&function)), "{call}: it is generated"),
            }

            match row.c.strip_prefix("parlor_plugin_") {
                Some(name) => {
                    assert_eq!(name, format!("{grouping}_{}", kebab_to(&function, "_")), "{call}: it is generated");
                }
                None => has(&c, &[format!(" {}(", row.c), format!("*{}(", row.c)], &row.c),
            }
        }
    }

    #[test]
    fn a_duration_is_in_seconds_or_of_the_languages_own_type() {
        let file: toml::Table = toml::from_str(&super::super::read("plugins-sdk/names.toml").unwrap()).unwrap();
        let time: BTreeMap<String, BTreeMap<String, String>> = file["time"].clone().try_into().unwrap();
        assert!(time.len() >= 4);
        let texts = BTreeMap::from([
            ("rust", sources("src", ".rs")),
            ("python", sources("python/parlor", ".py")),
            ("js", sources("javascript", ".d.ts")),
            ("go", sources("go", ".go")),
            ("c", sources("c", ".h")),
        ]);
        for (call, languages) in time {
            for (language, text) in &texts {
                let wanted = &languages[*language];
                // A declaration may go on in the next line.
                let whole = text.replace(",\n    ", ", ").replace("(\n    ", "(").replace(",\n)", ")");
                assert!(whole.contains(wanted.as_str()), "{call}: {language} has no {wanted}");
            }
        }
        // None but JavaScript's own timers count in milliseconds.
        for language in ["js", "c"] {
            let lines = texts[language].lines().filter(|line| line.contains("millisecond"));
            let others: Vec<_> =
                lines.filter(|line| !line.contains("JavaScript") && !line.contains("function set")).collect();
            assert!(others.is_empty(), "{language}: {others:#?}");
        }
    }
}
