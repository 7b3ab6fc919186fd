//! The pages in `docs/`, made from the contract, from the host's tables, and from the sentences of `docs/reference/words.toml`.

mod call_names;
mod cli;
pub mod commands;
mod config;
mod contract;
mod examples;
pub mod links;
mod manifest;
pub mod markdown;
mod names;
mod policy;
pub mod site;
mod summary;
mod tables;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::conformance::root;

/// The first line of each page.
const MADE: &str = "<!-- Made by `cargo xtask docs` from wit/ and the host's tables; a change here is lost. -->\n\n";

/// Sentences, by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    event: BTreeMap<String, String>,
    setting: BTreeMap<String, String>,
}

/// All pages, by their path in `docs/`.
pub fn pages() -> Result<BTreeMap<String, String>> {
    let words: Words = toml::from_str(&read("docs/reference/words.toml")?)
        .context("docs/reference/words.toml is not what it should be")?;
    let interfaces = contract::read()?;
    let names = names::Names::read()?;
    let mut pages = BTreeMap::from([
        ("README.md".to_owned(), index(&interfaces)),
        ("events.md".to_owned(), tables::events(&words.event)?),
        ("settings.md".to_owned(), tables::settings(&words.setting)?),
        ("permissions.md".to_owned(), tables::permissions()),
        ("limits.md".to_owned(), tables::limits()),
        ("testing.md".to_owned(), tables::testing()),
        ("manifest.md".to_owned(), manifest::page()),
        ("plugins-toml.md".to_owned(), policy::page()),
        ("cli.md".to_owned(), cli::page()),
        ("config.md".to_owned(), config::page()),
        ("errors.md".to_owned(), contract::errors(&interfaces)?),
        ("names.md".to_owned(), names.page()),
    ]);
    for interface in &interfaces {
        pages.insert(format!("api/{}.md", interface.name), contract::page(interface, &names)?);
    }
    let mut pages: BTreeMap<_, _> =
        pages.into_iter().map(|(name, text)| (format!("reference/{name}"), made(MADE, &text))).collect();
    pages.insert("decisions/README.md".to_owned(), made(summary::MADE, &summary::decisions()?));
    let summary = summary::page(&pages)?;
    pages.insert(summary::FILE.to_owned(), summary);
    Ok(pages)
}

fn made(first: &str, text: &str) -> String {
    format!("{first}{}\n", text.trim_end())
}

/// The source files that are made from the contract, by their path from the root.
pub fn sources() -> Result<BTreeMap<String, String>> {
    let interfaces = contract::read()?;
    Ok(BTreeMap::from([("host/session/src/permissions/call_name.rs".to_owned(), call_names::source(&interfaces))]))
}

/// Every call of the contract, as `grouping.function`: read from `wit/`, so that new ones are included automatically.
pub fn calls() -> Result<Vec<String>> {
    let interfaces = contract::read()?;
    let calls = interfaces.iter().flat_map(|one| one.functions().map(move |name| format!("{}.{name}", one.name)));
    Ok(calls.collect())
}

/// The folder of the pages.
pub fn folder() -> PathBuf {
    root().join("docs")
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

/// Returns the text for a key's default, as code if it is a value; none = it is required.
fn default(value: Option<&str>) -> String {
    match value {
        None => "has to be there".to_owned(),
        Some(value) if format!("default = {value}").parse::<toml::Table>().is_ok() => format!("`{value}`"),
        Some(sentence) => sentence.to_owned(),
    }
}

fn index(interfaces: &[contract::Interface]) -> String {
    let mut text = "# Reference\n\nFor owners:\n\n\
        - [The configuration, `parlor.toml`](config.md)\n\
        - [The policy, `plugins.toml`](plugins-toml.md)\n\
        - [Commands](cli.md): flags, examples and exit codes\n\
        - [Settings](settings.md)\n\
        - [Permissions](permissions.md)\n\
        - [Limits](limits.md)\n\
        - [Metrics](metrics.md) for Prometheus\n\
        - [Screens](screens.md): the output of each command\n\
        - [What parlor costs](performance.md), beside other bots and by plugins and accounts\n\n\
        For authors:\n\n\
        - [The manifest, `plugin.toml`](manifest.md)\n\
        - [Tests of plugins](testing.md)\n\
        - [Events and promises](events.md)\n\
        - [Errors](errors.md)\n\
        - [Names in each language](names.md)\n\
        - [What each language costs](languages.md)\n\n\
        The private API: the calls that a plugin can make, and the values that they take and return. Each grouping has a page.\n\n"
        .to_owned();
    for interface in interfaces {
        let first = interface.docs.lines().next().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "- [{name}](api/{name}.md): {first}", name = interface.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_those_that_would_be_made_now() {
        for (name, text) in pages().unwrap() {
            let there = std::fs::read_to_string(folder().join(&name)).unwrap_or_default();
            assert!(there == text, "docs/{name} is not what `cargo xtask docs` makes of the sources now");
        }
        for (path, text) in sources().unwrap() {
            assert!(read(&path).unwrap() == text, "{path} is not what `cargo xtask docs` makes of the contract now");
        }
    }

    #[test]
    fn a_default_that_is_a_sentence_is_not_shown_as_code() {
        assert_eq!(default(None), "has to be there");
        for (written, shown) in [("\"queue\"", "`\"queue\"`"), ("2.5", "`2.5`"), ("[\"POST\"]", "`[\"POST\"]`")] {
            assert_eq!(default(Some(written)), shown);
        }
        for sentence in ["none", "that of `listen`", "the machine's name"] {
            assert_eq!(default(Some(sentence)), sentence);
        }
    }

    #[test]
    fn every_call_of_the_contract_has_its_place_on_a_page() {
        let pages = pages().unwrap();
        for interface in contract::read().unwrap() {
            let page = &pages[&format!("reference/api/{}.md", interface.name)];
            for call in parlor_session::permissions::CALLS.iter().filter(|call| call.grouping == interface.name) {
                // Calls of groupings that are still to come are in the table already.
                let there = read(&format!("wit/{}.wit", interface.name))
                    .unwrap()
                    .replace('%', "")
                    .contains(&format!(" {}:", call.function));
                assert_eq!(
                    page.contains(&format!("## {}\n", call.function)),
                    there,
                    "{}.{}",
                    call.grouping,
                    call.function
                );
            }
        }
    }
}
