//! Warnings about `fetch` in JavaScript and TypeScript, where it is a function of the SDK and no global one.

use std::path::{Path, PathBuf};

use parlor_base::escape::EscapedPath as _;

use super::calls::files;
use super::tokens::{Token, tokens};
use super::{Language, read_text};

/// Returns a warning for each file that calls `fetch` and does not import it. A plugin without the import fails only at the call.
pub(super) fn fetches(folder: &Path, language: Language) -> Vec<String> {
    if !matches!(language, Language::JavaScript | Language::TypeScript) {
        return Vec::new();
    }
    let warning = |file: &PathBuf| {
        let text = read_text(file).ok()?;
        let line = text[..unimported(&text)?].matches('\n').count() + 1;
        let shown = file.strip_prefix(folder).unwrap_or(file).escaped();
        Some(format!("{shown}:{line}: fetch is not imported; write: import {{ fetch }} from \"parlor\""))
    };
    files(folder, language).iter().filter_map(warning).collect()
}

/// Returns the position of the first call of `fetch`, if the text neither imports nor declares it. A method of this name is not
/// recognized by what stands before a call.
fn unimported(text: &str) -> Option<usize> {
    let parts = tokens(text);
    let mut call = None;
    for (at, (place, token)) in parts.iter().enumerate() {
        if *token != Token::Word("fetch") {
            continue;
        }
        let is_called = matches!(parts.get(at + 1), Some((_, Token::Sign('('))));
        let before = at.checked_sub(1).map(|before| parts[before].1);
        if before == Some(Token::Sign('.')) {
            continue;
        }
        if !is_called || before == Some(Token::Word("function")) {
            return None;
        }
        if matches!(before, Some(Token::Word("await" | "return") | Token::Sign('=' | '(' | '[' | '>' | '?' | ':'))) {
            call = call.or(Some(*place));
        }
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_fetch_without_its_import_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plugin.js"), "import { on } from \"parlor\";\nconst a = await fetch(b);\n")
            .unwrap();
        let told = fetches(folder.path(), Language::JavaScript);
        assert_eq!(told, ["plugin.js:2: fetch is not imported; write: import { fetch } from \"parlor\""]);
        assert_eq!(fetches(folder.path(), Language::Go), [""; 0]);
    }

    #[test]
    fn what_is_imported_declared_or_of_others_is_no_slip() {
        assert_eq!(unimported("return fetch(a)"), Some(7));
        for text in [
            "import { fetch } from \"parlor\"; await fetch(a)",
            "function fetch(a) {} await fetch(a)",
            "const fetch = a; await fetch(b)",
            "if (typeof fetch === \"function\") await fetch(a)",
            "class A { async fetch(a) {} } await new A().fetch(b)",
            "await parlor.fetch(a)",
            "// await fetch(a)",
        ] {
            assert_eq!(unimported(text), None, "{text}");
        }
    }
}
