//! Which line of an author's needs a permission, for the error where `plugin.toml` does not ask for it.
//!
//! A component names calls of the contract, and an author wrote those of an SDK. So these are looked for in the source, word by
//! word; of who gave them other names, the contract's are told, as the language spells them.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::component::Import;
use super::{Language, read_text};
use crate::permissions::{Permission, table};

/// How many files of a plugin's are looked at, and how deep their folders lie.
const MOST_FILES: usize = 1_000;
const DEEPEST: usize = 8;

/// What the SDKs make of calls, by the permission that it needs: in Rust, in Go, in C.
const OWN: &[(Permission, [&[&str]; 3])] = &[
    (Permission::ArchiveRead, [&[], &["parlor.QueryAll"], &["parlor_archive_read"]]),
    (
        Permission::MessagesSend,
        [
            &["chats::reply", "chats::acknowledge"],
            &[
                "parlor.Send",
                "parlor.SendMessage",
                "parlor.Reply",
                "parlor.ReplyMessage",
                "parlor.ReplyInChat",
                "parlor.ReplyMessageInChat",
                "parlor.Acknowledge",
            ],
            &[
                "parlor_chat_send",
                "parlor_chat_send_message",
                "parlor_chat_reply",
                "parlor_chat_reply_message",
                "parlor_reply",
                "parlor_reply_message",
                "parlor_acknowledge",
            ],
        ],
    ),
    (Permission::RoomsJoin, [&[], &[], &["parlor_room_open", "parlor_room_close"]]),
    (
        Permission::RoomsModerate,
        [&[], &[], &["parlor_room_kick", "parlor_room_ban", "parlor_room_set_role", "parlor_room_set_affiliation"]],
    ),
    (
        Permission::RoomsRead,
        [
            &["rooms::get_with", "rooms::occupant_of"],
            &["parlor.OccupantOf", "parlor.OccupantIn"],
            &["parlor_occupant_of", "parlor_room_occupant"],
        ],
    ),
    (
        Permission::RoomsSend,
        [
            &["rooms::reply"],
            &["parlor.Say", "parlor.SayMessage", "parlor.Reply", "parlor.ReplyMessage", "parlor.ReplyInRoom"],
            &[
                "parlor_room_send",
                "parlor_room_send_message",
                "parlor_room_reply",
                "parlor_reply",
                "parlor_reply_message",
            ],
        ],
    ),
    (
        Permission::StanzaSend,
        [
            &["api::ask"],
            &["parlor.SendStanza", "parlor.SendXML", "parlor.Ask"],
            &["parlor_stanza_send", "parlor_stanza_ask"],
        ],
    ),
    (
        Permission::Storage,
        [
            &["storage::set_for", "storage::get_bytes", "storage::set_bytes", "storage::keys", "storage::change"],
            &["parlor.Store", "parlor.StoreIf", "parlor.Change", "parlor.Stored", "parlor.Forget", "parlor.StoredKeys"],
            &[
                "parlor_storage_set",
                "parlor_storage_get",
                "parlor_storage_compare_and_set",
                "parlor_storage_delete",
                "parlor_storage_keys",
            ],
        ],
    ),
];

/// What needs permissions that are not asked for, one entry each: the first line of the source that does, else the calls.
pub(super) fn in_need(folder: &Path, language: Language, undeclared: &[(Import, Permission)]) -> Vec<String> {
    let files = files(folder, language);
    let mut told = Vec::new();
    for (import, permission) in undeclared {
        let call = first_line(folder, &files, &words(language, *permission))
            .unwrap_or_else(|| spelled(language, &import.grouping, &import.function));
        let one = format!("{call} needs {permission}");
        if !told.contains(&one) {
            told.push(one);
        }
    }
    told
}

/// A call of the contract as the language spells it.
fn spelled(language: Language, grouping: &str, function: &str) -> String {
    let snake = function.replace('-', "_");
    match language {
        Language::Rust => format!("{grouping}::{snake}"),
        Language::Go => format!("{grouping}.{}", capitalised(function)),
        Language::C => format!("parlor_plugin_{grouping}_{snake}"),
        // These have no call that is not asked for.
        Language::Python | Language::JavaScript | Language::TypeScript => format!("{grouping}.{function}"),
    }
}

/// `get-many` as Go has it, `GetMany`.
fn capitalised(function: &str) -> String {
    let words = function.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
    words.collect()
}

/// Everything in a language that needs a permission.
fn words(language: Language, permission: Permission) -> Vec<String> {
    let column = match language {
        Language::Rust => 0,
        Language::Go => 1,
        Language::C => 2,
        Language::Python | Language::JavaScript | Language::TypeScript => return Vec::new(),
    };
    let own = OWN.iter().filter(|(needed, _)| *needed == permission).flat_map(|(_, names)| names[column]);
    let calls = table::CALLS.iter().filter(|call| call.permission == Some(permission));
    let calls = calls.map(|call| spelled(language, call.grouping, call.function));
    own.map(|name| (*name).to_owned()).chain(calls).collect()
}

/// The author's files, in the order of their names.
fn files(folder: &Path, language: Language) -> Vec<PathBuf> {
    let ends: &[&str] = match language {
        Language::Rust => &["rs"],
        Language::Go => &["go"],
        Language::C => &["c", "h"],
        Language::Python | Language::JavaScript | Language::TypeScript => &[],
    };
    let mut found = Vec::new();
    collect(folder, ends, DEEPEST, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, ends: &[&str], deeper: usize, found: &mut Vec<PathBuf>) {
    // What cannot be read is told of by who compiles it.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        // The SDK, and what other programs made.
        if found.len() == MOST_FILES || name.as_encoded_bytes().starts_with(b".") || name == "target" {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && deeper > 0 {
            collect(&path, ends, deeper - 1, found);
        } else if path.extension().is_some_and(|end| ends.iter().any(|known| end == *known)) {
            found.push(path);
        }
    }
}

/// The first line that has one of these words, such as `src/lib.rs:14: chats::reply`.
fn first_line(folder: &Path, files: &[PathBuf], words: &[String]) -> Option<String> {
    files.iter().find_map(|file| {
        let text = read_text(file).ok()?;
        let shown = file.strip_prefix(folder).unwrap_or(file).display();
        text.lines().enumerate().filter(|(_, line)| !is_comment(line)).find_map(|(index, line)| {
            let word = words.iter().find(|word| has_word(line, word))?;
            Some(format!("{shown}:{}: {word}", index + 1))
        })
    })
}

fn is_comment(line: &str) -> bool {
    ["//", "/*", "* "].iter().any(|begin| line.trim_start().starts_with(begin))
}

/// Whether it stands there as a name, and not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |one: char| one.is_alphanumeric() || one == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_name) && !line[at + word.len()..].starts_with(is_name))
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
        fs::create_dir_all(folder.path().join("src/more")).unwrap();
        fs::create_dir_all(folder.path().join(".parlor/sdk")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("src/lib.rs", "// chats::reply\nfn chats::replying() {}\n");
        write("src/more/b.rs", "use x;\n    chats::reply(&message, text).await?;\n    chats::send(a, b);\n");
        write(".parlor/sdk/a.go", "parlor.Send()\n");
        write("plugin.go", "func a() {\n\treturn parlor.ReplyInChat(ctx, message, \"\")\n}\n");
        write("plugin.c", "/* parlor_reply */\n");
        let told = |language| in_need(folder.path(), language, &send());
        assert_eq!(told(Language::Rust), ["src/more/b.rs:2: chats::reply needs messages.send"]);
        assert_eq!(told(Language::Go), ["plugin.go:2: parlor.ReplyInChat needs messages.send"]);
        assert_eq!(told(Language::C), ["parlor_plugin_chats_send needs messages.send"]);
        let both = [send(), send()].concat();
        assert_eq!(in_need(folder.path(), Language::Go, &both).len(), 1);
        assert_eq!(spelled(Language::Go, "rooms", "get-or-create"), "rooms.GetOrCreate");
        assert_eq!(spelled(Language::Rust, "storage", "compare-and-set"), "storage::compare_and_set");
    }

    /// So that no name stands there that an SDK does not have any more.
    #[test]
    fn what_is_looked_for_is_in_the_sdks() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins-sdk");
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let go: String = files(&sdk.join("go"), Language::Go).iter().map(|file| read(file)).collect();
        let c = read(&sdk.join("c/parlor.h"));
        for (_, [rust, in_go, in_c]) in OWN {
            for name in *rust {
                let (module, function) = name.split_once("::").unwrap();
                let text = read(&sdk.join(format!("src/{module}.rs")));
                assert!(
                    text.contains(&format!("fn {function}(")) || text.contains(&format!("fn {function}<")),
                    "{name}"
                );
            }
            for name in *in_go {
                let name = name.strip_prefix("parlor.").unwrap();
                assert!(go.contains(&format!("func {name}(")) || go.contains(&format!("func {name}[")), "{name}");
            }
            for name in *in_c {
                assert!(c.contains(&format!("parlor_error {name}(")), "{name}");
            }
        }
    }
}
