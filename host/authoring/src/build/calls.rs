//! Finds the author's line that needs a permission, for the error if `plugin.toml` does not request it.
//!
//! A component imports calls of the contract, but the author called functions of an SDK. The SDK's own source shows
//! which of these lead to a call of the contract. Their names are searched in the author's source. If none is found,
//! the error names the contract's calls as the language spells them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use parlor_base::escape::EscapedPath as _;
use parlor_base::permission::Permission;
use parlor_plugins::component::Import;

use super::tokens::{Token, tokens};
use super::{Language, c, go, is_no_source, read_text, rust};

/// The maximum number of a plugin's files that are searched, and the maximum depth of their folders.
const MOST_FILES: usize = 1_000;
const DEEPEST: usize = 8;

/// A function of an SDK.
#[derive(Debug, PartialEq)]
struct Function {
    /// The module in Rust. The other SDKs have only one.
    module: &'static str,
    name: &'static str,
    /// The text by which an author calls it; `None` if only the SDK calls it.
    spelled: Option<String>,
    /// The text from its name to the next function's name.
    body: Vec<(usize, Token<'static>)>,
}

impl Function {
    fn new(language: Language, file: &'static str, name: &'static str, is_method: bool, body: &'static str) -> Self {
        let module = if language == Language::Rust { file.trim_end_matches(".rs") } else { "parlor" };
        let spelled = match language {
            // The parenthesis distinguishes it from a field.
            Language::Rust if is_method => Some(format!(".{name}(")),
            Language::Rust => Some(format!("{module}::{name}")),
            Language::Go => Some(format!("parlor.{name}")),
            _ => name.starts_with("parlor_").then(|| name.to_owned()),
        };
        Self { module, name, spelled, body: tokens(body) }
    }

    /// Returns whether it calls another function, by the name in its own module or the name for authors.
    fn calls(&self, other: &Self) -> bool {
        let is_call = |part: &[(usize, Token<'_>)]| {
            matches!(part, [(_, before), (_, Token::Word(name)), (_, Token::Sign('(' | '['))]
                if *before != Token::Sign('.') && *name == other.name)
        };
        (self.module == other.module && self.body.windows(3).any(is_call))
            || other.spelled.as_deref().is_some_and(|spelled| stands(&self.body, spelled).is_some())
    }
}

/// Lists the uses of permissions that are not requested, one entry each: the first line of the source with such a use,
/// else the call.
pub(super) fn in_need(folder: &Path, language: Language, undeclared: &[(Import, Permission)]) -> Vec<String> {
    let (sdk, files) = (functions(language), files(folder, language));
    let mut told = Vec::new();
    for (import, permission) in undeclared {
        let contract = spelled(language, &import.grouping, &import.function);
        let mut names = callers(&sdk, &contract);
        names.push(&contract);
        // Methods come last: another type may have a method of that name.
        let (methods, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with('.'));
        let line = first_line(folder, &files, &names).or_else(|| first_line(folder, &files, &methods));
        let one = format!("{} needs {permission}", line.unwrap_or(contract));
        if !told.contains(&one) {
            told.push(one);
        }
    }
    told
}

/// Returns a call of the contract as the language spells it.
fn spelled(language: Language, grouping: &str, function: &str) -> String {
    let snake = function.replace('-', "_");
    match language {
        Language::Rust => format!("{grouping}::{snake}"),
        Language::Go => format!("{grouping}.{}", capitalised(function)),
        Language::C => format!("parlor_plugin_{grouping}_{snake}"),
        // In these languages a call that is not requested does not exist.
        Language::Python | Language::JavaScript | Language::TypeScript => format!("{grouping}.{function}"),
    }
}

/// Converts `get-many` to Go's `GetMany`.
fn capitalised(function: &str) -> String {
    let words = function.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
    words.collect()
}

/// Returns the functions of an SDK.
fn functions(language: Language) -> Vec<Function> {
    let sources = match language {
        Language::Rust => rust::SOURCES.to_vec(),
        Language::Go => texts(go::SDK),
        Language::C => texts(c::FILES),
        Language::Python | Language::JavaScript | Language::TypeScript => Vec::new(),
    };
    let mut all = Vec::new();
    for (file, text) in sources {
        let (mut at, mut names) = (0, Vec::new());
        for line in text.split_inclusive('\n') {
            if let Some(name) = begun(language, line) {
                names.push((at + name.start..at + name.end, line.starts_with(' ')));
            }
            at += line.len();
        }
        let mut end = text.len();
        for (name, is_method) in names.into_iter().rev() {
            let begin = name.start;
            let body = &text[name.end..end];
            // Go methods have their name elsewhere in the line.
            if !name.is_empty() {
                all.push(Function::new(language, file, &text[name], is_method, body));
            }
            end = begin;
        }
    }
    all
}

/// Returns the files that are text.
fn texts(files: &'static [(&'static str, &'static [u8])]) -> Vec<(&'static str, &'static str)> {
    files.iter().filter_map(|(name, text)| Some((*name, std::str::from_utf8(text).ok()?))).collect()
}

/// Returns the range of the name in a line that begins a function.
fn begun(language: Language, line: &str) -> Option<Range<usize>> {
    let begin = match language {
        Language::Rust => {
            let at = line.find("fn ")?;
            let is_before = |word: &str| word == "async" || word.starts_with("pub");
            line[..at].split_whitespace().all(is_before).then_some(at + "fn ".len())?
        }
        Language::Go => line.starts_with("func ").then_some("func ".len())?,
        _ if line.starts_with([' ', '#', '/']) || !line.trim_end().ends_with('{') => return None,
        _ => line[..line.find('(')?].rfind([' ', '*'])? + 1,
    };
    let length = line[begin..].find(['(', '<', '['])?;
    Some(begin..begin + length)
}

/// Returns the functions through which an author's code may reach a call of the contract.
fn callers<'s>(sdk: &'s [Function], contract: &str) -> Vec<&'s str> {
    let mut found: Vec<&Function> = Vec::new();
    loop {
        let comes_to_it =
            |one: &Function| stands(&one.body, contract).is_some() || found.iter().any(|known| one.calls(known));
        let more: Vec<_> = sdk.iter().filter(|one| !found.contains(one) && comes_to_it(one)).collect();
        if more.is_empty() {
            return found.into_iter().filter_map(|one| one.spelled.as_deref()).collect();
        }
        found.extend(more);
    }
}

/// Returns the first position of a name.
fn stands(text: &[(usize, Token<'_>)], name: &str) -> Option<usize> {
    let name: Vec<_> = tokens(name).into_iter().map(|(_, token)| token).collect();
    text.windows(name.len())
        .find(|part| part.iter().map(|(_, token)| *token).eq(name.iter().copied()))
        .map(|part| part[0].0)
}

/// Returns the author's files, sorted by name.
pub(super) fn files(folder: &Path, language: Language) -> Vec<PathBuf> {
    // In the way that the compilers find them.
    let (ends, deepest): (&[&str], _) = match language {
        Language::Rust => (&["rs"], DEEPEST),
        Language::Go => (&["go"], DEEPEST),
        Language::C => (&["c", "h"], 0),
        Language::Python => (&["py"], DEEPEST),
        Language::JavaScript | Language::TypeScript => (&["js", "mjs", "ts", "mts"], DEEPEST),
    };
    // Next to `src` there are examples and benchmarks, which are not part of the component.
    let src = Some(folder.join("src")).filter(|src| language == Language::Rust && src.is_dir());
    let mut found = Vec::new();
    collect(src.as_deref().unwrap_or(folder), language, ends, deepest, &mut found);
    found.sort();
    found
}

/// Returns whether the language's compiler ignores the file, or whether it is of others.
fn is_left_out(language: Language, name: &str) -> bool {
    match language {
        Language::Go => name.starts_with('_') || name.ends_with("_test.go") || ["testdata", "vendor"].contains(&name),
        Language::JavaScript | Language::TypeScript => name == "node_modules" || name.ends_with(".d.ts"),
        Language::Rust | Language::Python | Language::C => false,
    }
}

fn collect(folder: &Path, language: Language, ends: &[&str], deeper: usize, found: &mut Vec<PathBuf>) {
    // Unreadable files are reported by the compiler.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if found.len() == MOST_FILES || is_no_source(&name) || is_left_out(language, &name) {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && deeper > 0 {
            collect(&path, language, ends, deeper - 1, found);
        } else if path.extension().is_some_and(|end| ends.iter().any(|known| end == *known)) {
            found.push(path);
        }
    }
}

/// Returns the first line with one of these names, such as `src/lib.rs:14: chats::reply`.
fn first_line(folder: &Path, files: &[PathBuf], names: &[&str]) -> Option<String> {
    files.iter().find_map(|file| {
        let text = read_text(file).ok()?;
        let parts = tokens(&text);
        let (at, name) = names.iter().filter_map(|name| Some((stands(&parts, name)?, *name))).min()?;
        let shown = file.strip_prefix(folder).unwrap_or(file).escaped();
        let line = text[..at].matches('\n').count() + 1;
        Some(format!("{shown}:{line}: {}", name.trim_matches(['.', '('])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send() -> Vec<(Import, Permission)> {
        vec![(Import { grouping: "chats".to_owned(), function: "send".to_owned() }, Permission::MessagesSend)]
    }

    #[test]
    fn the_line_is_told_that_needs_what_is_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["src/more", "tests", "old", ".parlor/sdk"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "src/lib.rs",
            "/*\nchats::reply(a);\n*/\nfn replying() { say(\"chats::reply(\"); a.reply = b; } // chats::reply()\n",
        );
        write("src/more/b.rs", "use x;\n    chats::reply(&message, text).await?;\n    chats::send(a, b);\n");
        write("tests/a.rs", "chats::send(a, b);\n");
        write(".parlor/sdk/a.go", "parlor.ChatsSend()\n");
        write("a_test.go", "parlor.ChatsSend()\n");
        write("plugin.go", "func a() {\n\treturn parlor.ReplyInChat(ctx, message, \"\")\n}\n");
        write("plugin.c", "/* parlor_reply(message); */\nint chat, parlor_replying;\n");
        write("old/plugin.c", "parlor_reply(message);\n");
        let told = |language| in_need(folder.path(), language, &send());
        assert_eq!(told(Language::Rust), ["src/more/b.rs:2: chats::reply needs messages.send"]);
        assert_eq!(told(Language::Go), ["plugin.go:2: parlor.ReplyInChat needs messages.send"]);
        assert_eq!(told(Language::C), ["parlor_plugin_chats_send needs messages.send"]);
        write("plugin.c", "parlor_error error =\n  parlor_reply(message, \"\");\n");
        assert_eq!(told(Language::C), ["plugin.c:2: parlor_reply needs messages.send"]);
        write("src/more/b.rs", "let a = message\n    .reply(text);\n");
        assert_eq!(told(Language::Rust), ["src/more/b.rs:2: reply needs messages.send"]);
        let both = [send(), send()].concat();
        assert_eq!(in_need(folder.path(), Language::Go, &both).len(), 1);
        assert_eq!(spelled(Language::Go, "rooms", "get-or-create"), "rooms.GetOrCreate");
        assert_eq!(spelled(Language::Rust, "storage", "compare-and-set"), "storage::compare_and_set");
    }

    #[test]
    fn what_is_not_in_the_component_is_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for name in ["build.rs", "examples/demo.rs", "benches/speed.rs"] {
            write(name, "chats::send(a, b);\n");
        }
        for name in ["_old.go", "_old/a.go", "testdata/a.go", "vendor/example.org/a.go"] {
            write(name, "parlor.ChatsSend()\n");
        }
        write("src/lib.rs", "use x;\nchats::send(a, b);\n");
        write("z.go", "package main\n// none\nparlor.ChatsSend()\n");
        let told = |language| in_need(folder.path(), language, &send());
        assert_eq!(told(Language::Rust), ["src/lib.rs:2: chats::send needs messages.send"]);
        assert_eq!(told(Language::Go), ["z.go:3: parlor.ChatsSend needs messages.send"]);
        // For packages whose Cargo.toml names another place.
        fs::rename(folder.path().join("src"), folder.path().join("a")).unwrap();
        assert_eq!(told(Language::Rust), ["a/lib.rs:2: chats::send needs messages.send"]);
    }

    #[test]
    fn what_comes_to_a_call_is_read_in_the_sdks() {
        let names = |language, grouping: &str, function: &str| {
            let sdk = functions(language);
            let mut names = callers(&sdk, &spelled(language, grouping, function));
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(
            names(Language::Rust, "chats", "send"),
            ".answer( .progress( .reply( chats::acknowledge chats::reply chats::send commands::in_form"
        );
        assert_eq!(names(Language::Rust, "disco", "own-features-get"), "disco::own_features_get");
        assert_eq!(
            names(Language::Go, "chats", "send"),
            "parlor.Acknowledge parlor.Answer parlor.ChatsSend parlor.ChatsSendMessage parlor.Reply parlor.ReplyInChat \
             parlor.ReplyMessage parlor.ReplyMessageInChat"
        );
        assert_eq!(
            names(Language::Go, "storage", "compare-and-set"),
            "parlor.StorageChange parlor.StorageCompareAndSet"
        );
        assert_eq!(
            names(Language::C, "rooms", "send"),
            "parlor_answer parlor_reply parlor_reply_message parlor_rooms_reply parlor_rooms_send parlor_rooms_send_message"
        );
        assert_eq!(names(Language::C, "archive", "query"), "parlor_archive_query_all");
    }
}
