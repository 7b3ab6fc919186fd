//! Finds what was built before, the host's binary and the plugins, relative to this program's own path.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

/// A plugin file as `cargo xtask` built it.
#[derive(Debug, Clone)]
pub struct Built {
    /// The path of the component.
    pub file: PathBuf,
    /// `sha256:` and the digest of its bytes, as a policy names it.
    pub digest: String,
}

impl Built {
    /// Reads the file.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))
    }
}

/// Returns the built plugin of this name, from `example-plugins/` or `tests/guests/`.
pub fn built(name: &str) -> Result<Built> {
    let file = target().join("plugins").join(name).with_extension("wasm");
    let digest = digest(&file).with_context(|| {
        format!("the plugin {name} is not built; `cargo xtask test` and `cargo xtask demo` build it")
    })?;
    Ok(Built { file, digest })
}

/// Returns the digest of a file as a policy names it.
pub fn digest(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(digest_of(&bytes))
}

/// Returns the digest of these bytes as a policy names it.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Returns the path of a program of this workspace, such as `parlor`, which was built with this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let file = profile().join(name);
    anyhow::ensure!(file.is_file(), "{} is not built; run `cargo build --workspace --bins`", file.display());
    Ok(file)
}

/// Returns cargo's target folder.
pub fn target() -> PathBuf {
    profile().parent().expect("a profile's folder lies in the target folder").to_owned()
}

/// Returns the folder of the profile that this program was built with. Tests are in its `deps`.
fn profile() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it lies");
    let folder = program.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") { folder.parent().expect("deps lies in a profile's folder") } else { folder }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_spelled_as_the_policy_spells_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(file.path()).unwrap(), empty);
    }

    #[test]
    fn a_plugin_that_nobody_built_is_named_with_what_builds_it() {
        let error = format!("{:#}", built("nobody-built-this").unwrap_err());
        assert!(error.starts_with("the plugin nobody-built-this is not built; `cargo xtask test`"), "{error}");
    }
}
