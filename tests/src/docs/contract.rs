//! Pages about the contract: read from `wit/` line by line, as it is laid out there.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use parlor_session::permissions;

use super::examples;
use super::names::Names;
use crate::conformance::root;

/// An interface of the contract.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) docs: String,
    items: Vec<Item>,
}

impl Interface {
    /// The names of its functions, as they stand in the contract.
    pub(super) fn functions(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter(|item| item.is_function).map(|item| item.name.as_str())
    }

    /// Its functions and types with their docs and sources, in one text each.
    #[cfg(test)]
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        self.items.iter().map(|item| (item.name.as_str(), format!("{}\n{}", item.docs, item.source)))
    }
}

/// A function or a type.
#[derive(Debug)]
struct Item {
    name: String,
    docs: String,
    /// As it stands in the contract, less its indentation.
    source: String,
    is_function: bool,
}

/// All interfaces that a plugin imports, by name; `types` last.
pub(super) fn read() -> Result<Vec<Interface>> {
    let folder = root().join("wit");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".wit")?.to_owned()))
        .filter(|name| name != "world" && name != "guest")
        .collect();
    names.sort_by_key(|name| (name == "types", name.clone()));
    names.iter().map(|name| interface(name, &super::read(&format!("wit/{name}.wit"))?)).collect()
}

fn interface(name: &str, text: &str) -> Result<Interface> {
    let start = format!("interface {name} {{");
    let (head, body) = text.split_once(&start).with_context(|| format!("wit/{name}.wit has no `{start}`"))?;
    let docs = comment(head.lines());
    let mut items = Vec::new();
    let mut pending = Vec::new();
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        let line = line.strip_prefix("  ").unwrap_or(line);
        if line.starts_with("///") {
            pending.push(line);
            continue;
        }
        let word = line.split([' ', ':']).next().unwrap_or_default();
        let is_function = line.contains(": func(") || line.contains(": async func(");
        let named = match word {
            "record" | "variant" | "enum" | "flags" | "resource" | "type" => line.split([' ', '{', ';']).nth(1),
            _ if is_function => Some(word),
            _ => None,
        };
        let Some(named) = named.map(|name| name.trim_start_matches('%').to_owned()) else {
            pending.clear();
            continue;
        };
        let mut source = line.to_owned();
        // Up to the end of the item: a brace on its own line, or a semicolon.
        while !(source.ends_with(';') || source.ends_with('}')) || (source.contains('{') && !source.ends_with('}')) {
            let Some(more) = lines.next() else { break };
            source = format!("{source}\n{}", more.strip_prefix("  ").unwrap_or(more));
        }
        items.push(Item { name: named, docs: comment(pending.drain(..)), source, is_function });
    }
    Ok(Interface { name: name.to_owned(), docs, items })
}

/// The text of `///` lines.
fn comment<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines = lines.filter_map(|line| line.strip_prefix("///"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The page of one grouping.
pub(super) fn page(interface: &Interface, names: &Names) -> Result<String> {
    let name = &interface.name;
    let mut text = format!("# {name}\n\n{}\n\n", interface.docs);
    let (calls, types): (Vec<&Item>, Vec<&Item>) = interface.items.iter().partition(|item| item.is_function);
    if !calls.is_empty() {
        text += &examples::of(name)?;
    }
    for item in calls {
        let line = names.line(name, &item.name);
        let _ = write!(text, "## {}\n\n```wit\n{}\n```\n\n{line}{}\n\n", item.name, item.source, item.docs);
        if let Some(call) = permissions::call(name, &item.name) {
            match call.permission {
                // Writing to a string does not fail, here and below.
                Some(permission) => drop(write!(text, "Grant: [`{permission}`](../permissions.md).\n\n")),
                None => text.push_str("Grant: none of its own.\n\n"),
            }
        }
    }
    for item in types {
        let _ = write!(text, "## {}\n\n{}\n\n```wit\n{}\n```\n\n", item.name, item.docs, item.source);
    }
    Ok(text)
}

/// How each language tells the cases of an error apart.
const TOLD_APART: &str = r#"The names of the cases in each language are in [Names](names.md#errors). A plugin tells them apart like this:

| language | |
|---|---|
| Rust | `Err(Error::TimedOut) => …`, `Err(Error::Denied { hint, .. }) => …` |
| Python | `except errors.TimedOut:`, `except errors.Denied as denied:`; each is an `errors.Error` |
| JavaScript, TypeScript | `import { Denied, ParlorError } from "parlor"`, and `if (error instanceof Denied)` in a `catch`; each is a `ParlorError` |
| Go | `errors.Is(err, parlor.ErrTimedOut)`; with fields, `var denied *parlor.Denied` and `errors.As(err, &denied)` |
| C | `if (error == PARLOR_TIMED_OUT)`; `parlor_failed()` has the fields |

"#;

/// The page about errors: the one variant, and the records that its cases carry.
pub(super) fn errors(interfaces: &[Interface]) -> Result<String> {
    let types = interfaces.iter().find(|one| one.name == "types").context("there is no wit/types.wit")?;
    let mut text = "# Errors\n\nA call that fails ends in one of the cases of one variant, never in a trap and \
                    never in nothing. The error is known before anything is sent, unless the case says otherwise.\n\n"
        .to_owned();
    text += TOLD_APART;
    for name in ["error", "denial", "bad-argument", "stanza-error"] {
        let item = types.items.iter().find(|item| item.name == name).with_context(|| format!("there is no {name}"))?;
        let _ = write!(text, "## {name}\n\n{}\n\n", item.docs);
        text += "| case or field | what it says |\n|---|---|\n";
        let mut docs = Vec::new();
        for line in item.source.lines().map(str::trim) {
            match line.strip_prefix("///") {
                Some(words) => docs.push(words.trim()),
                None if docs.is_empty() => {}
                None => {
                    let _ = writeln!(text, "| `{}` | {} |", line.trim_end_matches(','), docs.join(" "));
                    docs.clear();
                }
            }
        }
        text += "\n";
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_with_their_comments() {
        let text = "package x;\n\n/// Rooms.\ninterface rooms {\n  use types.{jid};\n\n  /// How.\n  record attributes {\n    \
                    /// Nick.\n    nick: option<string>,\n  }\n\n  /// Enters.\n  ///\n  /// Waits.\n  open: async func(jid: \
                    jid)\n    -> result<_, error>;\n}\n";
        let rooms = interface("rooms", text).unwrap();
        let items: Vec<_> = rooms.items.iter().map(|item| (item.name.as_str(), item.docs.as_str())).collect();
        assert_eq!(items, [("attributes", "How."), ("open", "Enters.\n\nWaits.")]);
        assert_eq!(rooms.items[0].source, "record attributes {\n  /// Nick.\n  nick: option<string>,\n}");
        assert_eq!(rooms.items[1].source, "open: async func(jid: jid)\n  -> result<_, error>;");
        assert_eq!(rooms.docs, "Rooms.");
    }
}
