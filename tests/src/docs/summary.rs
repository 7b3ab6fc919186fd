//! The summary of the site, and the list of decisions: made from the pages that exist, so that none is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail};

use super::links::{files, joined};
use super::markdown::Page;

/// The summary's path in `docs/`. mdbook expects this name.
pub(super) const FILE: &str = "SUMMARY.md";
/// The first line of the list of decisions.
pub(super) const MADE: &str =
    "<!-- Made by `cargo xtask docs` from the titles of the pages; a change here is lost. -->\n\n";
/// The folders, in the order of the site.
const FOLDERS: [&str; 6] = ["owner", "author", "reference", "interop", "contributing", "decisions"];

/// Lists the decisions by their titles.
pub(super) fn decisions() -> Result<String> {
    let mut text = "# Decisions\n\nEach page gives a decision, its reason and its consequence.\n\n".to_owned();
    for path in files(&super::folder().join("decisions"), &["md"])?.iter().filter(|path| *path != "README.md") {
        let page = Page::parse(path, &super::read(&format!("docs/decisions/{path}"))?);
        // Writing to a string does not fail, here and below.
        let _ = writeln!(text, "- [{}]({path})", page.title);
    }
    Ok(text)
}

/// Makes the summary. Each folder's `README.md` says in which order its pages come, by its links to them. These pages
/// were generated and may not be in the folder yet.
pub(super) fn page(generated: &BTreeMap<String, String>) -> Result<String> {
    let mut pages: BTreeMap<String, Page> = BTreeMap::new();
    for path in files(&super::folder(), &["md"])? {
        let file = super::folder().join(&path);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        pages.insert(path.clone(), Page::parse(&path, &text));
    }
    pages.extend(generated.iter().map(|(path, text)| (path.clone(), Page::parse(path, text))));
    pages.remove(FILE);
    summary(&pages)
}

fn summary(pages: &BTreeMap<String, Page>) -> Result<String> {
    let mut text = "# Summary\n\n[parlor](README.md)\n\n".to_owned();
    let mut listed = vec!["README.md".to_owned()];
    for folder in FOLDERS {
        let index = format!("{folder}/README.md");
        let page = pages.get(&index).with_context(|| format!("there is no docs/{index}"))?;
        let _ = writeln!(text, "- [{}]({index})", page.title);
        listed.push(index.clone());
        for link in &page.links {
            let Some(to) = joined(&index, &link.target).filter(|to| to.starts_with(folder)) else { continue };
            if let Some(page) = pages.get(&to).filter(|_| !listed.contains(&to)) {
                let _ = writeln!(text, "  - [{}]({to})", page.title);
                listed.push(to);
            }
        }
    }
    let missing: Vec<_> = pages.keys().filter(|path| !listed.contains(path)).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("no README.md of a folder of docs/ leads to these pages: {}", missing.join(", "));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each folder with its list, one more page of a folder, and one at the top.
    fn pages(list: &str) -> BTreeMap<String, Page> {
        let lists = FOLDERS.map(|folder| (format!("{folder}/README.md"), format!("# {folder}\n\n{list}\n")));
        let others = [("README.md", "# parlor"), ("owner/a.md", "# About `a`")];
        let others = others.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let all = lists.into_iter().chain(others);
        all.map(|(path, text)| (path.clone(), Page::parse(&path, &text))).collect()
    }

    #[test]
    fn pages_come_in_the_order_of_the_list_of_their_folder() {
        let summary = summary(&pages("[more](a.md)")).unwrap();
        assert!(summary.contains("- [owner](owner/README.md)\n  - [About `a`](owner/a.md)\n- [author]"), "{summary}");
    }

    #[test]
    fn a_page_that_no_list_leads_to_is_named() {
        let error = summary(&pages("no link")).unwrap_err().to_string();
        assert!(error.ends_with("these pages: owner/a.md"), "{error}");
    }

    /// Newcomers find each package on the map, and its place among the others.
    #[test]
    fn the_map_has_each_package_below_those_that_it_uses() {
        let read = |path: &str| super::super::read(path).unwrap();
        let table = |path: &str| read(path).parse::<toml::Table>().unwrap();
        let (map, decision) = (read("host/README.md"), read("docs/decisions/packages.md"));
        let row = |folder: &str| map.lines().position(|line| line.starts_with(&format!("| `{folder}/`")));
        let workspace = table("Cargo.toml");
        let members = workspace["workspace"]["members"].as_array().unwrap().iter().filter_map(toml::Value::as_str);
        let packages: Vec<_> = members.filter(|member| *member == "host" || member.starts_with("host/")).collect();
        assert!(packages.len() > 15, "{packages:?}");
        for package in packages {
            let (folder, name) = package.strip_prefix("host/").map_or(("src", "parlor"), |name| (name, name));
            let place = row(folder).unwrap_or_else(|| panic!("host/README.md has no row for `{folder}/`"));
            assert!(decision.contains(&format!("`{name}`")), "docs/decisions/packages.md does not name `{name}`");
            let manifest = table(&format!("{package}/Cargo.toml"));
            let used =
                manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
            for used in used.filter_map(|used| used.strip_prefix("parlor-")) {
                assert!(row(used) < Some(place), "host/README.md: `{folder}/` uses `{used}/`, which is below it");
            }
        }
    }

    /// Shorter pages are read. `host/README.md` is the map, and a decision says what follows from it.
    #[test]
    fn pages_are_as_short_as_they_should_be() {
        let lines = |path: &str| super::super::read(path).unwrap().lines().count();
        assert!(lines("README.md") <= 170, "README.md: {} lines; the rest belongs below docs/", lines("README.md"));
        assert!(lines("host/README.md") <= 200, "host/README.md: {} lines; it is a map", lines("host/README.md"));
        for path in files(&super::super::folder().join("decisions"), &["md"]).unwrap() {
            let count = lines(&format!("docs/decisions/{path}"));
            assert!(path == "README.md" || count <= 25, "docs/decisions/{path}: {count} lines; a decision has 25");
        }
    }
}
