//! Warnings about misspelled event names. The host accepts a subscription to any name, since plugins fire events of
//! their own. A name is a string that no compiler checks; in TypeScript and Python only a type checker does, if the
//! author runs one.

use std::path::Path;

use parlor_base::escape::EscapedPath as _;
use parlor_base::nearest::nearest;
use parlor_session::permissions::table;

use super::calls::files;
use super::tokens::{Token, python_tokens, tokens};
use super::{Language, read_text};

/// Returns the functions that subscribe to the event in their first argument, and those that fire one.
fn words(language: Language) -> (&'static [&'static str], &'static [&'static str]) {
    match language {
        Language::Rust | Language::Python => (&["on"], &["emit"]),
        Language::Go => (&["On", "Once"], &["Emit"]),
        Language::C => (&["parlor_on", "parlor_once"], &["parlor_emit"]),
        Language::JavaScript | Language::TypeScript => (&["on", "once"], &["emit"]),
    }
}

/// A file of the author's.
struct Source {
    /// Its path, as it is shown.
    shown: String,
    text: String,
    language: Language,
}

impl Source {
    fn read(folder: &Path, file: &Path, language: Language) -> Option<Self> {
        let text = read_text(file).ok()?;
        let shown = file.strip_prefix(folder).unwrap_or(file).escaped().to_string();
        let source = Self { shown, text, language };
        source.is_of_plugin().then_some(source)
    }

    fn tokens(&self) -> Vec<(usize, Token<'_>)> {
        if self.language == Language::Python { python_tokens(&self.text) } else { tokens(&self.text) }
    }

    /// Returns whether the file imports the SDK. In these languages others have functions of the same names.
    fn is_of_plugin(&self) -> bool {
        let parts = self.tokens();
        match self.language {
            Language::Python => parts
                .windows(2)
                .any(|part| matches!(part, [(_, Token::Word("from" | "import")), (_, Token::Word("parlor"))])),
            Language::JavaScript | Language::TypeScript => {
                parts.iter().any(|(_, token)| *token == Token::Text("parlor"))
            }
            Language::Rust | Language::Go | Language::C => true,
        }
    }

    /// Returns each string that is the first argument of one of these functions, with its place.
    fn given_first(&self, words: &[&str]) -> Vec<(String, &str)> {
        let parts = self.tokens();
        let mut found = Vec::new();
        for at in 0..parts.len() {
            if let [(_, Token::Word(word)), (_, Token::Sign('(')), (place, Token::Text(name)), ..] = parts[at..]
                && words.contains(&word)
                && !self.is_of_others(&parts[..at])
            {
                let line = self.text[..place].matches('\n').count() + 1;
                found.push((format!("{}:{line}", self.shown), name));
            }
        }
        found
    }

    /// Returns whether a name after these tokens is a method of something that is not the SDK.
    fn is_of_others(&self, before: &[(usize, Token<'_>)]) -> bool {
        match (self.language, before) {
            (Language::Rust | Language::Go | Language::C, _)
            | (_, [.., (_, Token::Word("parlor")), (_, Token::Sign('.'))]) => false,
            (_, before) => matches!(before, [.., (_, Token::Sign('.'))]),
        }
    }

    /// Returns the names that TypeScript's types declare as events of plugins:
    /// `interface OwnEvents { libraryOpen: … }`.
    fn declared(&self) -> Vec<&str> {
        let parts = self.tokens();
        let mut rest = parts.iter().map(|(_, token)| token).skip_while(|token| **token != Token::Word("OwnEvents"));
        let block = rest.by_ref().take_while(|token| **token != Token::Sign('}'));
        block.filter_map(|token| if let Token::Word(word) = token { Some(*word) } else { None }).collect()
    }
}

/// Returns a warning for each name that is similar to an event of the host, with its first line.
pub(super) fn slips(folder: &Path, language: Language) -> Vec<String> {
    let (subscribing, firing) = words(language);
    let files = files(folder, language);
    let sources: Vec<Source> = files.iter().filter_map(|file| Source::read(folder, file, language)).collect();
    let fired = sources.iter().flat_map(|source| source.given_first(firing)).map(|(_, name)| name);
    let own: Vec<&str> = fired.chain(sources.iter().flat_map(Source::declared)).collect();
    let mut slips = Vec::new();
    for (place, name) in sources.iter().flat_map(|source| source.given_first(subscribing)) {
        let is_known = table::event(name).is_some() || own.contains(&name);
        let near = if is_known { None } else { nearest(name, table::EVENTS.iter().map(|event| event.name)) };
        if let Some(near) = near {
            slips.push(format!("{place}: the host has no event {name:?}; did you mean {near:?}?"));
        }
    }
    slips
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

    #[test]
    fn a_slip_is_told_in_languages_where_only_a_type_checker_knows_the_names() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let told = |language| slips(folder.path(), language);
        write(
            "plugin.py",
            "\"\"\"@on(\"mesage\")\"\"\"\nfrom parlor import on, emit\n# on(\"mesage\")\n@on(\"mesage\", kind=\"chat\")\nasync def a(m): ...\n\
             socket.on(\"conected\")\nparlor.on('conected')\non(\"libraryOpen\")\n",
        );
        write("rooms/parts.py", "import parlor\n\n@parlor.on(\"roomLef\")\nasync def b(r): ...\n");
        write("other.py", "from sockets import on\n\non(\"conected\")\n");
        assert_eq!(
            told(Language::Python),
            [
                "plugin.py:4: the host has no event \"mesage\"; did you mean \"message\"?",
                "plugin.py:7: the host has no event \"conected\"; did you mean \"connected\"?",
                "rooms/parts.py:3: the host has no event \"roomLef\"; did you mean \"roomLeft\"?",
            ]
        );
        let script = "import { on, once, emit } from \"parlor\";\non(\"mesage\", a);\nonce('conected', a);\nsocket.on(\"mesage\");\n";
        write("plugin.js", script);
        write("node_modules/other/index.js", script);
        write("bundled.js", "on(\"mesage\")\n");
        let lines = [
            "plugin.js:2: the host has no event \"mesage\"; did you mean \"message\"?",
            "plugin.js:3: the host has no event \"conected\"; did you mean \"connected\"?",
        ];
        assert_eq!(told(Language::JavaScript), lines);
        std::fs::remove_file(folder.path().join("plugin.js")).unwrap();
        write("plugin.ts", script);
        assert_eq!(told(Language::TypeScript), lines.map(|line| line.replace(".js", ".ts")));
        write(
            "plugin.ts",
            &format!(
                "{script}declare module \"parlor\" {{ interface OwnEvents {{ mesage: string }} }}\nemit(\"conected\");\n"
            ),
        );
        assert_eq!(told(Language::TypeScript), [""; 0], "they are events of its own");
    }
}
