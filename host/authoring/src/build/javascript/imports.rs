//! Finds the position where a plugin imports a name that a module does not export. The runtime's error names both, but
//! not the position.
//!
//! This parses only as much of JavaScript as that takes, and runs nothing.

use std::collections::BTreeSet;

use parlor_base::nearest::{nearest, suggestion};

use super::super::tokens::{Token, tokens};
use super::modules::Modules;

/// The beginning of the runtime's message.
const MISSING: &str = "Could not find export '";

/// Adds the author's line and a suggestion to the runtime's message about a missing export. Other messages are
/// unchanged.
pub(super) fn placed(message: &str, modules: &Modules) -> String {
    let Some((name, module)) = missing(message) else { return message.to_owned() };
    // An error that the plugin throws may read the same, and may name any file.
    let Ok(module) = modules.resolve("/", module) else { return message.to_owned() };
    let before = message.find(MISSING).unwrap_or_default();
    let (said, rest) = message.split_at(message[before..].find('\n').map_or(message.len(), |end| before + end));
    let text = modules.load(&module).unwrap_or_default();
    let near = if name == "default" {
        "; what it exports has names: import { NAME }, or all of it: import * as NAME".to_owned()
    } else {
        suggestion(nearest(name, exports(&text)))
    };
    let place = place(name, &module, modules).map(|place| format!("\n    at {place}")).unwrap_or_default();
    format!("{said}{near}{place}{rest}")
}

/// Returns the missing name, and the module that does not export it.
fn missing(message: &str) -> Option<(&str, &str)> {
    let (name, rest) = message.split_once(MISSING)?.1.split_once("' in module '")?;
    Some((name, rest.split_once('\'')?.0))
}

/// Returns the file, line and column that import a name from a module.
fn place(name: &str, module: &str, modules: &Modules) -> Option<String> {
    let (mut open, mut seen) = (vec![modules.entry()], BTreeSet::new());
    while let Some(own) = open.pop() {
        // Only the author's own files are named by a path.
        if !own.starts_with('/') || !seen.insert(own.clone()) {
            continue;
        }
        let Ok(text) = modules.load(&own) else { continue };
        for import in imports(&text) {
            let Ok(meant) = modules.resolve(&own, import.module) else { continue };
            if meant == module
                && let Some((at, _)) = import.names.iter().find(|(_, wanted)| *wanted == name)
            {
                let before = &text[..*at];
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|sign| *sign != '\n').count() + 1;
                return Some(format!("{own}:{line}:{column}"));
            }
            open.push(meant);
        }
    }
    None
}

/// A statement that imports names from a module, with their positions.
#[derive(Debug, PartialEq, Eq)]
struct Import<'t> {
    module: &'t str,
    names: Vec<(usize, &'t str)>,
}

/// Returns what a module imports, including re-exports.
fn imports(text: &str) -> Vec<Import<'_>> {
    let tokens = tokens(text);
    let begins = |(at, (_, token)): (usize, &(usize, Token<'_>))| {
        matches!(token, Token::Word("import" | "export")).then_some(at + 1)
    };
    tokens.iter().enumerate().filter_map(begins).filter_map(|begin| import(&tokens[begin..])).collect()
}

/// Parses the import after its first word; `None` if it has another form.
fn import<'t>(rest: &[(usize, Token<'t>)]) -> Option<Import<'t>> {
    let mut names = Vec::new();
    let (mut is_next, mut in_braces) = (true, false);
    let mut before = None;
    for (at, token) in rest {
        match *token {
            Token::Text(module) if !in_braces && matches!(before, None | Some(Token::Word("from"))) => {
                return Some(Import { module, names });
            }
            Token::Word(name) | Token::Text(name) if in_braces && is_next => {
                names.push((*at, name));
                is_next = false;
            }
            Token::Word(_) if is_next => {
                names.push((*at, "default"));
                is_next = false;
            }
            Token::Word(_) => {}
            Token::Text(_) if in_braces => {}
            Token::Sign('{') => (is_next, in_braces) = (true, true),
            Token::Sign('}') => (is_next, in_braces) = (false, false),
            Token::Sign(',') => is_next = true,
            Token::Sign('*') => is_next = false,
            Token::Text(_) | Token::Sign(_) => return None,
        }
        before = Some(*token);
    }
    None
}

/// Returns the names that a module exports explicitly.
fn exports(text: &str) -> Vec<&str> {
    // This includes `* as`, which a name follows. A `*` without it is followed by `from`.
    const KINDS: [&str; 7] = ["as", "async", "class", "const", "function", "let", "var"];
    let is_kind = |token: &Token<'_>| match token {
        Token::Word(word) => KINDS.contains(word),
        Token::Sign(sign) => *sign == '*',
        Token::Text(_) => false,
    };
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, (_, token)) in tokens.iter().enumerate() {
        if *token != Token::Word("export") {
            continue;
        }
        let mut rest = tokens[at + 1..].iter().map(|(_, token)| *token).skip_while(is_kind);
        match rest.next() {
            Some(Token::Word(name)) if name != "from" => found.push(name),
            Some(Token::Sign('{')) => found.extend(listed(rest)),
            _ => {}
        }
    }
    found
}

/// Returns the names in a list up to its closing brace: of each item its last word, which stands behind `as`.
fn listed<'t>(tokens: impl Iterator<Item = Token<'t>>) -> Vec<&'t str> {
    let mut found = Vec::new();
    let mut last: Option<&str> = None;
    for token in tokens.take_while(|token| *token != Token::Sign('}')) {
        match token {
            Token::Sign(',') => found.extend(last.take()),
            Token::Word(name) => last = Some(name),
            Token::Text(_) | Token::Sign(_) => {}
        }
    }
    found.extend(last);
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::SDK;
    use super::super::tools::Tools;
    use super::*;

    #[test]
    fn each_name_that_is_wanted_of_a_module_is_found_where_it_stands() {
        let text = "// import { no } from \"a\";\n/* import { no } from \"a\" */\nconst a = 'import { no } from \"a\"';\n\
                    import one, { two as 三, \"th-ree\" as b } from './a.js';\nimport * as c from \"b\";\nimport \"c\";\n\
                    export {\n  four as d,\n} from `d`;\nexport * from \"e\";\nexport default function from() {}\n\
                    const d = await import(\"f\");\nexport const e = \"g\";\nexport let from = 'h';\n";
        let found: Vec<_> = imports(text)
            .iter()
            .map(|import| {
                let names = import.names.iter().map(|(at, name)| (&text[*at..][..3], *name));
                (import.module, names.collect::<Vec<_>>())
            })
            .collect();
        let first = vec![("one", "default"), ("two", "two"), ("\"th", "th-ree")];
        let expected = [("./a.js", first), ("b", vec![]), ("c", vec![]), ("d", vec![("fou", "four")]), ("e", vec![])];
        assert_eq!(found, expected);
    }

    #[test]
    fn texts_that_end_nowhere_are_read_to_their_end() {
        for text in ["import {", "import { a } from", "`", "'\\", "/*", "/*/", "//", "export {", "\"\u{1f355}"] {
            assert_eq!((imports(text), exports(text)), (vec![], vec![]), "{text}");
        }
    }

    #[test]
    fn what_a_module_exports_is_known_by_name() {
        let text = "export const a = 1;\nexport async function b() {}\nexport function* c() {}\nexport { d, e as f };\n\
                    export default class {}\nexport * from \"a\";\nexport * as g from \"b\";\n";
        assert_eq!(exports(text), ["a", "b", "c", "d", "f", "default", "g"]);
        let ours = exports(SDK);
        assert_eq!(nearest("repyl", ours.iter().copied()), Some("reply"));
        assert!(ours.contains(&"onStart") && ours.contains(&"Denied"), "{ours:?}");
    }

    #[test]
    fn what_a_plugin_throws_has_no_file_read_that_is_none_of_its_modules() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("plugin");
        fs::create_dir(&own).unwrap();
        fs::write(folder.path().join("secret.js"), "export const roll = 1;\n").unwrap();
        fs::write(own.join("dice.js"), "export const roll = 1;\n").unwrap();
        fs::write(own.join("plugin.js"), "import { rol } from \"./dice.js\";\n").unwrap();
        let modules = Modules::new(&own, Tools::nowhere(), SDK.to_owned()).unwrap();
        let said = |module: &str| placed(&format!("Could not find export 'rol' in module '{module}'"), &modules);
        let found = said("/dice.js");
        assert!(found.contains("roll") && found.ends_with("\n    at /plugin.js:1:10"), "{found}");
        for module in
            ["/../secret.js", "/../../../../../../../../dev/zero", "/..", "../secret.js", "secret.js", "", "/"]
        {
            assert_eq!(said(module), format!("Could not find export 'rol' in module '{module}'"));
        }
    }

    #[test]
    fn the_runtime_says_which_name_is_missing_in_which_module() {
        let said = "SyntaxError: Could not find export 'repyl' in module 'parlor'\nmore";
        assert_eq!(missing(said), Some(("repyl", "parlor")));
        assert_eq!(missing("SyntaxError: Could not"), None);
    }
}
