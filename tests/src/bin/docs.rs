//! Writes the pages of `docs/`, and the source files that are made from the contract; `cargo xtask docs` builds and runs this.

use anyhow::{Context, Result};
use parlor_tests::conformance::root;
use parlor_tests::docs;

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn main() -> Result<()> {
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
    eprintln!("  ✓ {written} files changed");
    Ok(())
}
