//! Checks that links between pages lead somewhere, and that sources name only pages that exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::markdown::Page;

/// The extensions of files in which the paths of pages are checked.
const SOURCES: [&str; 13] = ["c", "chat", "go", "h", "js", "md", "py", "rs", "service", "sh", "toml", "ts", "wit"];
/// Folders of build products and of tools.
const PRODUCTS: [&str; 3] = ["node_modules", "target", "__pycache__"];

/// Returns a line for each broken link: page, line and target.
pub fn faults(root: &Path, pages: &[Page]) -> Vec<String> {
    let known: BTreeMap<&str, &Page> = pages.iter().map(|page| (page.path.as_str(), page)).collect();
    let all = pages.iter().flat_map(|page| page.links.iter().map(move |link| (page, link)));
    all.filter_map(|(page, link)| {
        let fault = fault(root, &known, page, &link.target)?;
        Some(format!("{}:{}: the link {} {fault}", page.path, link.line, link.target))
    })
    .collect()
}

fn fault(root: &Path, known: &BTreeMap<&str, &Page>, page: &Page, target: &str) -> Option<String> {
    if leads_to_the_web(target) {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let to = if path.is_empty() {
        page.path.clone()
    } else {
        let Some(to) = joined(&page.path, path) else { return Some("leads out of the repository".to_owned()) };
        to
    };
    if !root.join(&to).exists() {
        return Some(format!("leads to {to}, which does not exist"));
    }
    let anchor = anchor?;
    let has_it = known.get(to.as_str()).is_some_and(|page| page.anchors.contains(anchor));
    (!has_it).then(|| format!("leads to a heading that {to} does not have"))
}

/// Returns whether a link has a scheme, such as `https:`.
pub(super) fn leads_to_the_web(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| scheme.chars().all(|letter| letter.is_ascii_alphabetic()))
}

/// Returns the target of a link in this page as a path from the root, or `None` if it is outside of the repository.
pub(super) fn joined(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns a line for each place where a file names a page by a path that does not exist, such as
/// `docs/reference/limits.md`. Folders in capitals stand for any folder.
pub fn names_of_pages(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in files(root, &SOURCES)? {
        let text = fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        for (number, line) in text.lines().enumerate() {
            let named = named(line).filter(|page| !root.join(page).is_file());
            faults.extend(named.map(|page| format!("{path}:{}: there is no page {page}", number + 1)));
        }
    }
    Ok(faults)
}

/// Returns the paths of pages in a line of text.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '/');
    line.match_indices("docs/").filter_map(move |(at, _)| {
        let rest = &line[at..];
        let length = rest.find(|letter| !is_part(letter))?;
        let begins = !line[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric());
        let ends = rest[length..].strip_prefix(".md").is_some_and(|rest| !rest.starts_with(is_part));
        let is_placeholder =
            rest["docs/".len()..length].split_once('/').is_some_and(|(one, _)| one == one.to_uppercase());
        (begins && ends && !is_placeholder).then(|| &rest[..length + ".md".len()])
    })
}

/// Returns the paths of all files with these extensions, from the root, in order.
pub(super) fn files(root: &Path, extensions: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(root.join(&folder)).with_context(|| format!("cannot read the folder {folder:?}"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read the folder {folder:?}"))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type().with_context(|| format!("cannot read {path}"))?;
            if name.starts_with('.') || PRODUCTS.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() && name.rsplit_once('.').is_some_and(|(_, kind)| extensions.contains(&kind)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::root;
    use crate::docs::markdown;

    #[test]
    fn every_link_between_pages_leads_somewhere() {
        let pages = markdown::pages(&root()).unwrap();
        assert!(pages.len() > 100 && pages.iter().any(|page| page.links.len() > 10), "the pages were read");
        let faults = faults(&root(), &pages);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn every_page_that_a_source_names_exists() {
        let faults = names_of_pages(&root()).unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_page_line_and_target() {
        let text = "# Title\n\n[a](README.md) [b](https://example.org/x.md) [c](#title) [d](docs/)\n\n[e](gone.md)\n\
            [f](#gone) [g](README.md#gone) [h](../../x.md)\n";
        let faults = faults(&root(), &[Page::parse("SECURITY.md", text), Page::parse("README.md", "# parlor\n")]);
        assert_eq!(
            faults,
            [
                "SECURITY.md:5: the link gone.md leads to gone.md, which does not exist",
                "SECURITY.md:6: the link #gone leads to a heading that SECURITY.md does not have",
                "SECURITY.md:6: the link README.md#gone leads to a heading that README.md does not have",
                "SECURITY.md:6: the link ../../x.md leads out of the repository",
            ]
        );
    }

    #[test]
    fn paths_of_pages_are_found_in_text() {
        let found = |line| named(line).collect::<Vec<_>>();
        assert_eq!(
            found("see `.parlor/docs/author/cannot.md`, or docs/README.md."),
            ["docs/author/cannot.md", "docs/README.md"]
        );
        assert_eq!(
            found("https://docs.rs/docs/x.html docs/{name}.md olddocs/x.md docs/x.mdx docs/FOLDER/NAME.md"),
            [""; 0]
        );
    }
}
