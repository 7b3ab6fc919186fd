//! The examples on the pages of groupings: parts of real plugins, one in each language.
//!
//! They stand in `tests/pages`, in Rust in `tests/guests/pages`, between the marks `== GROUPING` and `==`. A test of the suite
//! builds those plugins, and the one in Rust is built with the other guests. Each part has every call of its grouping.

use std::fmt::Write as _;

use anyhow::{Context, Result};

/// The languages: as people call them, as a block of code has it, and the file in `tests/`.
const LANGUAGES: [(&str, &str, &str); 6] = [
    ("Rust", "rust", "guests/pages/src/lib.rs"),
    ("Python", "python", "pages/python/plugin.py"),
    ("JavaScript", "js", "pages/js/plugin.js"),
    ("TypeScript", "ts", "pages/ts/plugin.ts"),
    ("Go", "go", "pages/go/plugin.go"),
    ("C", "c", "pages/c/plugin.c"),
];

/// The examples of a grouping in each language.
pub(super) fn of(grouping: &str) -> Result<String> {
    let mut text = "## In each language\n\n".to_owned();
    for (language, block, file) in LANGUAGES {
        let source = super::read(&format!("tests/{file}"))?;
        let part = marked(&source, grouping).with_context(|| format!("tests/{file} has no part {grouping}"))?;
        let imports = if language == "Rust" { imports(&source, &part) } else { String::new() };
        let packages = if language == "Go" { packages(&source, &part) } else { String::new() };
        // Writing to a string does not fail.
        let _ = write!(text, "**{language}**\n\n{packages}```{block}\n{imports}{part}```\n\n");
    }
    Ok(text)
}

/// The part between the marks of a grouping, as far to the left as it goes.
fn marked(source: &str, grouping: &str) -> Option<String> {
    let is_mark = |line: &str, mark: &str| line.trim_start().trim_start_matches(['/', '#']).trim_start() == mark;
    let begin = format!("== {grouping}");
    let mut lines = source.lines().skip_while(|line| !is_mark(line, &begin));
    lines.next()?;
    let part: Vec<&str> = lines.take_while(|line| !is_mark(line, "==")).collect();
    let indented = part.iter().filter(|line| !line.trim().is_empty());
    let margin = indented.map(|line| line.len() - line.trim_start().len()).min()?;
    Some(part.iter().flat_map(|line| [line.get(margin..).unwrap_or_default(), "\n"]).collect())
}

/// Returns the imports of a part in Rust beside the prelude, as lines before it: an author pastes it into a plugin that has
/// the prelude alone.
fn imports(source: &str, part: &str) -> String {
    let lines = source.lines().take_while(|line| !line.starts_with("fn ") && !line.starts_with("async fn "));
    let imported = lines.filter_map(|line| line.strip_prefix("use ")?.strip_suffix(';')?.rsplit_once("::"));
    let mut text = String::new();
    for (path, names) in imported {
        let module = path.rsplit("::").next().unwrap_or(path);
        let is_used = |name: &&str| match *name {
            "self" => part.contains(&format!("{module}::")),
            name => part.split(|sign: char| !sign.is_alphanumeric() && sign != '_').any(|word| word == name),
        };
        let used: Vec<&str> = names.trim_matches(['{', '}']).split(", ").filter(is_used).collect();
        let _ = match used.as_slice() {
            [] => Ok(()),
            ["self"] => writeln!(text, "use {path};"),
            [one] => writeln!(text, "use {path}::{one};"),
            several => writeln!(text, "use {path}::{{{}}};", several.join(", ")),
        };
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Names the packages that a part in Go imports from the SDK beside `parlor`, as a paragraph before it. Editors add those of the
/// standard library.
fn packages(source: &str, part: &str) -> String {
    let imported = source.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"'));
    let is_used = |path: &&str| {
        let Some((_, package)) = path.strip_prefix("parlor/").map(|rest| rest.rsplit_once('/').unwrap_or(("", rest)))
        else {
            return false;
        };
        let call = format!("{package}.");
        // An address in a text, such as `hall@rooms.example.org`, is no use of a package.
        let goes_on = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '.' | '@');
        let begins = |at: usize| !part[..at].ends_with(goes_on);
        part.match_indices(&call).any(|(at, _)| begins(at))
    };
    let used: Vec<_> = imported.filter(is_used).map(|path| format!("`{path}`")).collect();
    if used.is_empty() { String::new() } else { format!("It imports {}.\n\n", used.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_in_go_names_the_packages_of_the_sdk_that_it_imports() {
        let source = "import (\n\t\"fmt\"\n\t\"parlor\"\n\t\"parlor/contract/rooms\"\n\t\"parlor/contract/wit\"\n\t\"parlor/moderation\"\n)\n";
        for (part, wanted) in [
            ("parlor.RoomsSend(fmt.Sprint(chatrooms.X, a.rooms.Y))", ""),
            ("parlor.SettingsGetIn(\"hall@rooms.example.org\", \"greeting\", \"\")", ""),
            ("rooms.Kick(room, wit.Some(1))", "It imports `parlor/contract/rooms`, `parlor/contract/wit`.\n\n"),
            ("!moderation.IsSpared(author)", "It imports `parlor/moderation`.\n\n"),
        ] {
            assert_eq!(packages(source, part), wanted, "{part}");
        }
    }

    #[test]
    fn a_part_is_what_stands_between_its_marks() {
        let source = "a\n  // == rooms\n  b(\n    c\n\n  )\n  // ==\n  // == user\n  d\n  // ==\n";
        assert_eq!(marked(source, "rooms").unwrap(), "b(\n  c\n\n)\n");
        assert_eq!(marked(source, "user").unwrap(), "d\n");
        assert_eq!(marked(source, "room"), None);
    }

    #[test]
    fn a_part_shows_what_it_imports_beside_the_prelude() {
        let source = "use std::rc::Rc;\nuse a::b::{self, C, D_e};\nuse a::prelude::*;\n\nfn f() {}\nuse g::H;\n";
        for (part, wanted) in [
            ("x(Rcs, C2, H)", ""),
            ("Rc::new(C)", "use std::rc::Rc;\nuse a::b::C;\n\n"),
            ("b::c()", "use a::b;\n\n"),
            ("b::c(D_e, &C)", "use a::b::{self, C, D_e};\n\n"),
        ] {
            assert_eq!(imports(source, part), wanted, "{part}");
        }
    }

    /// The page is written by hand.
    #[test]
    fn the_examples_of_the_moderation_kit_are_those_that_are_built() {
        let page = super::super::read("docs/author/moderation.md").unwrap();
        let part = |file: &str| marked(&super::super::read(&format!("tests/{file}")).unwrap(), "moderation");
        for (language, block, file) in LANGUAGES {
            let shown = part(file).map(|part| page.contains(&format!("\n```{block}\n{part}```\n")));
            // The one in TypeScript is that in JavaScript.
            assert_eq!(shown, Some(language != "TypeScript"), "{language}");
        }
        assert_eq!(part("pages/js/plugin.js"), part("pages/ts/plugin.ts"));
    }

    /// Whether a part has a call, whose name is written as in `plugins-sdk/names.toml`.
    fn has(part: &str, name: &str) -> bool {
        // A value that another call gave, such as a subscription or a timer, is ended by a method.
        let method = name.rsplit_once(['.', ':']).filter(|(owner, _)| {
            owner.trim_end_matches(':').rsplit(['.', ':']).next().is_some_and(|one| one.starts_with(char::is_uppercase))
        });
        if let Some((_, method)) = method {
            return part.contains(&format!(".{method}("));
        }
        let is_word = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
        part.match_indices(name).any(|(at, _)| {
            let (before, behind) = (&part[..at], &part[at + name.len()..]);
            !is_word(before.chars().next_back()) && !is_word(behind.chars().next())
        })
    }

    /// The name that an example may use for a call instead, which is the same function or the language's own.
    fn other_name(language: &str, call: &str) -> Option<&'static str> {
        Some(match (language, call) {
            // The way in which the SDKs name the author of a message.
            ("Rust", call) if call.starts_with("dialogs.") => "ask",
            ("Python", call) if call.starts_with("dialogs.") => "ask_author",
            ("JavaScript" | "TypeScript", call) if call.starts_with("dialogs.") => "askAuthor",
            ("Go", call) if call.starts_with("dialogs.") => "AskAuthor",
            ("C", call) if call.starts_with("dialogs.") => "parlor_dialogs_ask",
            ("Rust", "api.emit") => "emit",
            ("Rust", "api.wait-until") => "wait_until",
            ("Rust", "listen.on") => "on",
            ("Python", "files.close" | "http.close") => "async with",
            ("Python", "files.read" | "http.read") => "async for",
            ("Python", "listen.once") => "once=True",
            ("Python", "settings.get") => "setting",
            ("Python", "settings.set") => "set_setting",
            ("Go", "files.read" | "http.read") => "io.Copy",
            ("Go", "log.write") => "slog.Info",
            _ => return None,
        })
    }

    #[test]
    fn every_call_is_in_the_example_of_every_language() {
        let names = super::super::names::Names::read().unwrap();
        let mut missing = Vec::new();
        for interface in super::super::contract::read().unwrap() {
            for (language, _, file) in LANGUAGES {
                let source = super::super::read(&format!("tests/{file}")).unwrap();
                for function in interface.functions() {
                    let (part, call) =
                        (marked(&source, &interface.name).unwrap(), format!("{}.{function}", interface.name));
                    let written = names.call(&interface.name, function, language);
                    if !has(&part, written) && !other_name(language, &call).is_some_and(|name| has(&part, name)) {
                        missing.push(format!("tests/{file}: {call} ({written})"));
                    }
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
