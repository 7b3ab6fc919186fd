//! Writes the pages of `docs/`, and the source files that are made from the contract, and checks links and commands;
//! `cargo xtask docs` builds and runs this.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use parlor_tests::conformance::root;
use parlor_tests::docs;

/// Writes the pages and checks them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Also copy the pages to this folder, for mdbook.
    #[arg(long, value_name = "FOLDER")]
    site: Option<PathBuf>,
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    eprintln!("  ✓ {} files changed", write()?);
    let pages = docs::markdown::pages(&root())?;
    let mut faults = docs::links::faults(&root(), &pages);
    faults.extend(docs::links::names_of_pages(&root())?);
    faults.extend(docs::commands::faults(&pages));
    if !faults.is_empty() {
        bail!("faults of pages:\n  {}", faults.join("\n  "));
    }
    eprintln!("  ✓ {} pages: links and commands", pages.len());
    arguments.site.map_or(Ok(()), |folder| docs::site::write(&folder))
}

/// Writes the files that differ, and returns how many these were.
fn write() -> Result<usize> {
    let mut written = 0;
    let pages = docs::pages()?.into_iter().map(|(name, text)| (docs::folder().join(name), text));
    let sources = docs::sources()?.into_iter().map(|(path, text)| (root().join(path), text));
    for (path, text) in pages.chain(sources) {
        let folder = path.parent().context("a page lies in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written += 1;
    }
    Ok(written)
}
