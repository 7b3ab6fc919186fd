//! The folder that mdbook makes the site of: a copy of `docs/`, in which links to sources are plain text.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use pulldown_cmark::{Event, Tag};

use super::links::{files, joined, leads_to_the_web};
use super::markdown::events;

/// The list of a folder, and the name under which mdbook makes the first page of a folder: it would lead links to
/// `README.html`, which it does not write.
const LIST: &str = "README.md";
const INDEX: &str = "index.md";
/// The extensions of pictures.
const PICTURES: [&str; 2] = ["png", "svg"];

/// Copies the pages and `book.toml` to this folder, and removes what was there.
pub fn write(to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    let pages = files(&super::folder(), &["md"])?;
    for path in pages.iter().map(String::as_str).chain(["book.toml"]) {
        let (from, to) = (super::folder().join(path), to.join(path.replace(LIST, INDEX)));
        let text = fs::read_to_string(&from).with_context(|| format!("cannot read {}", from.display()))?;
        let text = for_the_site(path, &text);
        let folder = to.parent().context("a page lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    for path in files(&super::folder(), &PICTURES)? {
        let (from, to) = (super::folder().join(&path), to.join(&path));
        let folder = to.parent().context("a picture lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Replaces each link whose target is not a page of `docs/` by its text, and the names of lists in links by those on
/// the site.
fn for_the_site(path: &str, text: &str) -> String {
    let mut kept = String::new();
    let mut done = 0;
    for (event, range) in events(text) {
        let Event::Start(Tag::Link { dest_url, .. }) = event else { continue };
        let Some((inner, target)) = text[range.clone()].strip_prefix('[').and_then(|link| link.rsplit_once("]("))
        else {
            continue;
        };
        if leads_to_the_web(&dest_url) {
            continue;
        }
        kept.push_str(&text[done..range.start]);
        let file = dest_url.split_once('#').map_or(&*dest_url, |(file, _)| file);
        let is_page = file.is_empty() || Path::new(file).extension().is_some_and(|kind| kind == "md");
        if joined(path, &dest_url).is_none() || !is_page {
            kept.push_str(inner);
        } else {
            kept.extend(["[", inner, "](", &target.replace(LIST, INDEX)]);
        }
        done = range.end;
    }
    kept + &text[done..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_sources_become_their_text_and_lists_have_the_name_that_mdbook_expects() {
        let text = "See [`a.rs`](../../host/a.rs), [a file](../a.toml), [a page](../owner/a.md#b), [a list](../README.md#b) and [the web](https://example.org).\n";
        let expected = "See `a.rs`, a file, [a page](../owner/a.md#b), [a list](../index.md#b) and [the web](https://example.org).\n";
        assert_eq!(for_the_site("author/b.md", text), expected);
    }

    #[test]
    fn the_copy_has_every_page_and_the_settings_of_the_book() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("book");
        write(&to).unwrap();
        for file in ["book.toml", "SUMMARY.md", "reference/api/rooms.md", "reference/performance-cpu.svg"] {
            assert!(to.join(file).is_file(), "there is no {file}");
        }
    }
}
