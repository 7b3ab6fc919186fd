//! The names of calls, of the SDKs' own words and of fields in each language, from `plugins-sdk/names.toml`.

#[cfg(test)]
mod coming;
#[cfg(test)]
mod public;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The tables of the file that are not about calls: the key, the heading on the page, and the sentence below it.
const TABLES: [(&str, &str, &str); 6] = [
    ("sdk", "Words", "The SDKs' own words, and what each of them is for."),
    (
        "message",
        "A message that was received",
        "Fields. In Go, `All` has what is not a field of its own, and in C `all` does.",
    ),
    (
        "outgoing",
        "A message to be sent",
        "Methods in Rust, arguments of `outgoing` in Python, fields in JavaScript, TypeScript, Go and C.",
    ),
    (
        "filter",
        "What a subscription asks for",
        "Methods in Rust, arguments of `on` in Python, fields in JavaScript, TypeScript, Go and C.",
    ),
    ("error", "Errors", "[Errors](errors.md) says what each of them means."),
    ("namespace", "Namespaces", "Constants with the namespaces of XMPP."),
];

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

/// The name of a word, or the names that belong to it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cell {
    One(String),
    Several(Vec<String>),
}

/// A word that is not a call. A language may have none for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// A description of the entry.
    about: Option<String>,
    rust: Option<Cell>,
    python: Option<Cell>,
    js: Option<Cell>,
    go: Option<Cell>,
    c: Option<Cell>,
    /// Why a language has none, or another form of it.
    why: Option<String>,
}

/// How the languages write something that each of them has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Each {
    rust: String,
    python: String,
    js: String,
    go: String,
    c: String,
}

/// The whole file.
#[derive(Debug)]
pub(super) struct Names {
    /// Calls, by grouping and function.
    calls: BTreeMap<String, BTreeMap<String, Row>>,
    /// The other tables, by key.
    words: BTreeMap<&'static str, BTreeMap<String, Word>>,
    /// The declarations of calls that take a time, by `grouping.function`.
    time: BTreeMap<String, Each>,
    /// The unit of a time in each language.
    unit: Each,
}

/// Returns these texts, each with its language as people call it.
fn in_each(texts: [&str; 5]) -> [(&'static str, &str); 5] {
    const LANGUAGES: [&str; 5] = ["Rust", "Python", "JavaScript, TypeScript", "Go", "C"];
    std::array::from_fn(|place| (LANGUAGES[place], texts[place]))
}

impl Cell {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

impl Word {
    fn all(&self) -> [(&'static str, &[String]); 5] {
        [
            ("rust", self.rust.as_ref().map_or(&[][..], Cell::names)),
            ("python", self.python.as_ref().map_or(&[][..], Cell::names)),
            ("js", self.js.as_ref().map_or(&[][..], Cell::names)),
            ("go", self.go.as_ref().map_or(&[][..], Cell::names)),
            ("c", self.c.as_ref().map_or(&[][..], Cell::names)),
        ]
    }
}

impl Each {
    fn all(&self) -> [(&'static str, &str); 5] {
        in_each([&self.rust, &self.python, &self.js, &self.go, &self.c])
    }
}

impl Row {
    /// The name in each language, with the language as people call it.
    fn all(&self) -> [(&'static str, &str); 5] {
        in_each([&self.rust, &self.python, &self.js, &self.go, &self.c])
    }
}

impl Names {
    /// Reads the file.
    pub(super) fn read() -> Result<Self> {
        const WRONG: &str = "plugins-sdk/names.toml is not what it should be";
        let mut file: toml::Table =
            toml::from_str(&super::read("plugins-sdk/names.toml")?).context("plugins-sdk/names.toml is no TOML")?;
        let mut take = |table: &str| file.remove(table).with_context(|| format!("{WRONG}: it has no [{table}]"));
        let time = take("time")?.try_into().context(WRONG)?;
        let mut unit: BTreeMap<String, Each> = take("unit")?.try_into().context(WRONG)?;
        let unit = unit.remove("time").with_context(|| format!("{WRONG}: [unit] has no time"))?;
        let mut words = BTreeMap::new();
        for (table, ..) in TABLES {
            words.insert(table, take(table)?.try_into().context(WRONG)?);
        }
        Ok(Self { calls: file.try_into().context(WRONG)?, words, time, unit })
    }

    /// A line for the page of a grouping; empty where there is no such row.
    pub(super) fn line(&self, grouping: &str, function: &str) -> String {
        let Some(row) = self.calls.get(grouping).and_then(|rows| rows.get(function)) else { return String::new() };
        let mut line = row.all().map(|(language, name)| format!("{language} `{name}`")).join(" · ");
        if let Some(why) = &row.why {
            // Writing to a string does not fail, here and below.
            let _ = write!(line, " ({why})");
        }
        line += "\n\n";
        if let Some(declared) = self.time.get(&format!("{grouping}.{function}")) {
            line += "The time is given in milliseconds by the contract, and in each language like this:\n\n";
            line += "| language | unit | declared as |\n|---|---|---|\n";
            for ((language, unit), (_, text)) in self.unit.all().into_iter().zip(declared.all()) {
                let _ = writeln!(line, "| {language} | {unit} | `{}` |", text.trim_end_matches(','));
            }
            line.push('\n');
        }
        line
    }

    /// The name of a call in one language.
    #[cfg(test)]
    pub(super) fn call(&self, grouping: &str, function: &str, language: &str) -> &str {
        let names = self.calls[grouping][function].all();
        names.into_iter().find(|(languages, _)| languages.split(", ").any(|one| one == language)).unwrap().1
    }

    /// The page with all words that are not calls.
    pub(super) fn page(&self) -> String {
        let mut page = "# Names\n\nThe SDKs have the same words in each language's own casing. The names of the calls are on the \
            [pages of the groupings](README.md). A `–` means that a language has no such word; the last column says why.\n"
            .to_owned();
        for (table, title, about) in TABLES {
            let rows = &self.words[table];
            let (tells, explains) =
                (rows.values().any(|word| word.about.is_some()), rows.values().any(|word| word.why.is_some()));
            let _ = writeln!(page, "\n## {title}\n\n{about}\n");
            let (first, last) = (if tells { " what it is |" } else { "" }, if explains { " remarks |" } else { "" });
            let _ = writeln!(page, "| |{first} Rust | Python | JavaScript, TypeScript | Go | C |{last}");
            let _ = writeln!(page, "|{}", "---|".repeat(6 + usize::from(tells) + usize::from(explains)));
            for (key, word) in rows {
                let _ = write!(page, "| {key} |");
                if tells {
                    let _ = write!(page, " {} |", word.about.as_deref().unwrap_or_default());
                }
                for (_, names) in word.all() {
                    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                    let _ = write!(page, " {} |", if names.is_empty() { "–".to_owned() } else { names.join(", ") });
                }
                if explains {
                    let _ = write!(page, " {} |", word.why.as_deref().unwrap_or_default());
                }
                page.push('\n');
            }
        }
        page += "\n## Time\n\nEvery call takes a time in the same unit: ";
        page += &self.unit.all().map(|(language, unit)| format!("{unit} in {language}")).join("; ");
        let calls: Vec<_> = self.time.keys().map(|call| format!("`{call}`")).collect();
        let _ = writeln!(page, ". These calls take one: {}.", calls.join(", "));
        page
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::conformance::root;

    /// The texts of an SDK's files that end so.
    pub(super) fn sources(folder: &str, end: &str) -> String {
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
        let names = Names::read().unwrap();
        names
            .calls
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

    fn capital(word: &str) -> String {
        word[..1].to_uppercase() + &word[1..]
    }

    /// Returns the name of a function as Go and the classes of other languages have it.
    fn pascal(function: &str) -> String {
        function.split('-').map(capital).collect()
    }

    #[test]
    fn every_name_is_in_the_sdk_of_its_language() {
        let kebab_to = |function: &str, join: &str| function.replace('-', join);
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
                    let begins = [format!("\nclass {class}:"), format!("\nclass {class}(")];
                    let (_, body) = begins.iter().find_map(|begin| python.split_once(begin)).unwrap_or_default();
                    has(body, &[format!("    def {one}("), format!("    async def {one}(")], &row.python);
                }
                [object, one] if stubs.contains(&format!("{object} = Grouping(\"{object}\"")) => {
                    let made = if function == "not" { "not_".to_owned() } else { kebab_to(&function, "_") };
                    assert_eq!(
                        (*object, *one),
                        (grouping.as_str(), made.as_str()),
                        "{call}: it is made from the contract"
                    );
                }
                [module @ ("dialogs" | "files" | "hooks" | "http" | "plugins" | "schedules" | "webhooks"), one] => {
                    let text = sources("python/parlor", &format!("/{module}.py"));
                    has(&text, &[format!("\nasync def {one}("), format!("\ndef {one}(")], &row.python);
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
        let names = Names::read().unwrap();
        // Each call whose parameters or docs are about milliseconds has a row.
        let mut timed = BTreeSet::new();
        for interface in super::super::contract::read().unwrap() {
            for (name, source) in interface.texts() {
                let is_time = ["millisecond", "expires:"].iter().any(|word| source.contains(word));
                timed.extend(is_time.then(|| format!("{}.{name}", interface.name)));
            }
        }
        // A timing is part of the result of `schedules.list`, and each SDK shows its period in the language's unit.
        timed.remove("schedules.timing");
        let rows: BTreeSet<_> = names.time.keys().cloned().collect();
        assert_eq!(rows, timed, "the calls of wit/ that take a time, and the rows of [time]");
        let texts = BTreeMap::from([
            ("rust", sources("src", ".rs")),
            ("python", sources("python/parlor", ".py")),
            ("js", sources("javascript", ".d.ts")),
            ("go", sources("go", ".go")),
            ("c", sources("c", ".h")),
        ]);
        for (call, declared) in &names.time {
            for (key, wanted, measure) in [
                ("rust", &declared.rust, "Duration"),
                // The values of a command are of the language's own type, which `command` hands to the handler.
                ("python", &declared.python, if call == "types.value" { "timedelta" } else { "Seconds" }),
                // The SDK's own comment says which unit `expires` has.
                (
                    "js",
                    &declared.js,
                    match call.split_once('.') {
                        Some(("schedules" | "timers", _)) => "seconds: number",
                        Some(("dialogs" | "http", _)) => "timeout?: number",
                        Some(("commands", _)) => "Cooldown?: number",
                        Some(("types", _)) => "number",
                        _ => "expires?: number",
                    },
                ),
                ("go", &declared.go, "time.Duration"),
                ("c", &declared.c, "double "),
            ] {
                assert!(wanted.contains(measure), "{call}: {wanted} has no {measure}");
                let text = &texts[key];
                // A declaration may continue on the next line.
                let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let whole = whole.replace("( ", "(").replace(", )", ")");
                assert!(whole.contains(wanted.as_str()), "{call}: {key} has no {wanted}");
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
