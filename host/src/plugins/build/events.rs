//! Warnings about misspelled event names. The host accepts a subscription to any name, since plugins fire events of
//! their own. In Rust, Go and C a name is a string that no compiler checks. In the other languages type checkers do.

use std::path::{Path, PathBuf};

use super::calls::files;
use super::tokens::{Token, tokens};
use super::{Language, read_text};
use crate::harmless::EscapedPath as _;
use crate::nearest::nearest;
use crate::permissions::table;

/// Returns the functions that subscribe to the event in their first argument, and those that fire one.
fn words(language: Language) -> (&'static [&'static str], &'static [&'static str]) {
    match language {
        Language::Rust => (&["on"], &["emit"]),
        Language::Go => (&["On", "Once"], &["Emit"]),
        Language::C => (&["parlor_on", "parlor_once"], &["parlor_emit"]),
        Language::Python | Language::JavaScript | Language::TypeScript => (&[], &[]),
    }
}

/// Returns a warning for each name that is similar to an event of the host, with its first line.
pub(super) fn slips(folder: &Path, language: Language) -> Vec<String> {
    let (subscribing, firing) = words(language);
    let texts: Vec<(PathBuf, String)> =
        files(folder, language).into_iter().filter_map(|file| Some((file.clone(), read_text(&file).ok()?))).collect();
    let named = |words: &[&str]| -> Vec<(String, String)> {
        let of_file = |(file, text): &(PathBuf, String)| {
            let shown = file.strip_prefix(folder).unwrap_or(file).escaped().to_string();
            let line = |at: usize| text[..at].matches('\n').count() + 1;
            let named = given_first(text, words).into_iter();
            named.map(|(at, name)| (format!("{shown}:{}", line(at)), name.to_owned())).collect::<Vec<_>>()
        };
        texts.iter().flat_map(of_file).collect()
    };
    let own: Vec<String> = named(firing).into_iter().map(|(_, name)| name).collect();
    let mut slips = Vec::new();
    for (place, name) in named(subscribing) {
        let is_known = table::event(&name).is_some() || own.contains(&name);
        let near = if is_known { None } else { nearest(&name, table::EVENTS.iter().map(|event| event.name)) };
        if let Some(near) = near {
            slips.push(format!("{place}: the host has no event {name:?}; did you mean {near:?}?"));
        }
    }
    slips
}

/// Returns each string that is the first argument of one of these functions, with its position.
fn given_first<'t>(text: &'t str, words: &[&str]) -> Vec<(usize, &'t str)> {
    let parts = tokens(text);
    let calls = parts.windows(3).filter_map(|part| match part {
        [(_, Token::Word(word)), (_, Token::Sign('(')), (at, Token::Text(name))] if words.contains(word) => {
            Some((*at, *name))
        }
        _ => None,
    });
    calls.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_with_its_line_and_what_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "src/lib.rs",
            "fn start() {\n    on(\"mesage\").run(a)?;\n    on(\"message\").run(a)?; // on(\"mesage\")\n}\n",
        );
        write("plugin.go", "parlor.On(\"occupantJoind\", parlor.Filter{}, a)\nparlor.On(\"libraryOpen\", b, a)\n");
        write("plugin.c", "parlor_once(\n  \"conected\", NULL, a, NULL);\n");
        let told = |language| slips(folder.path(), language);
        assert_eq!(told(Language::Rust), ["src/lib.rs:2: the host has no event \"mesage\"; did you mean \"message\"?"]);
        assert_eq!(
            told(Language::Go),
            ["plugin.go:1: the host has no event \"occupantJoind\"; did you mean \"occupantJoined\"?"]
        );
        assert_eq!(told(Language::C), ["plugin.c:2: the host has no event \"conected\"; did you mean \"connected\"?"]);
        // A plugin may fire an event of such a name itself.
        write("plugin.c", "parlor_on(\"massage\", NULL, a, NULL);\nparlor_emit(\"massage\", NULL);\n");
        assert_eq!(told(Language::C), [""; 0]);
    }
}
