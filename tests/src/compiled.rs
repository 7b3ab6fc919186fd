//! Machine code that several `parlor run` of one program share. Each has a data folder of its own, and most of them run
//! the same few plugins, one of which takes seconds of CPU time to compile. Tests of compiling itself share nothing.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::folder::{Folder, write_private};
use crate::policy::Policy;

/// The folder of the cache in a data folder; its files are named after digests.
const CACHE: &str = "compiled";
/// The file with the key that authenticates its entries. These hosts share one key, so that each accepts the others'
/// entries.
const KEY: &str = "compiled.key";

/// The shared code. It is removed with this value or this process, so that nothing is reused from another build.
#[derive(Debug)]
pub struct Shared(Folder);

impl Shared {
    /// Creates an empty folder for the code, and a key.
    pub fn new() -> Result<Self> {
        let folder = Folder::new()?;
        folder.write(KEY, rand::random::<[u8; 32]>())?;
        Ok(Self(folder))
    }

    /// Gives the key, and the code of these plugins as far as it is there, to a host that has not started yet.
    pub fn give(&self, data: &Path, policy: &Policy) -> Result<()> {
        let cache = data.join(CACHE);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&cache);
        made.with_context(|| format!("cannot make {}", cache.display()))?;
        copy(&self.0.join(KEY), &data.join(KEY))?;
        places(policy).try_for_each(|place| copy(&self.0.join(&place), &data.join(&place)))
    }

    /// Takes the code that such a host has compiled of these plugins.
    pub fn take(&self, data: &Path, policy: &Policy) -> Result<()> {
        let mut missing = places(policy).filter(|place| !self.0.join(place).exists());
        missing.try_for_each(|place| copy(&data.join(&place), &self.0.join(&place)))
    }
}

/// Returns the places of these plugins' code in a data folder.
fn places(policy: &Policy) -> impl Iterator<Item = PathBuf> {
    let digests = policy.plugin.values().filter_map(|entry| entry.digest.strip_prefix("sha256:"));
    digests.map(|digest| Path::new(CACHE).join(digest))
}

/// Copies a file, if it is there. With a link, all would have what a test does to the file of one.
fn copy(from: &Path, to: &Path) -> Result<()> {
    match fs::read(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        read => {
            read.and_then(|bytes| write_private(to, &bytes)).with_context(|| format!("cannot copy {}", from.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Entry;

    #[test]
    fn a_host_gets_what_another_one_compiled_of_its_own_plugins() {
        let (shared, homes) = (Shared::new().unwrap(), Folder::new().unwrap());
        let policy = |digest: &str| Policy::default().with("a", Entry::new("a.wasm", digest));
        let (one, other) = (homes.join("one"), homes.join("other"));
        shared.give(&one, &policy("sha256:0a")).unwrap();
        assert_eq!(fs::read_dir(one.join(CACHE)).unwrap().count(), 0);
        for digest in ["0a", "0b"] {
            fs::write(one.join(CACHE).join(digest), digest).unwrap();
        }
        shared.take(&one, &policy("sha256:0a")).unwrap();
        // What happens to this file is no matter of the others.
        fs::write(one.join(CACHE).join("0a"), "spoiled").unwrap();
        shared.take(&one, &policy("sha256:0a")).unwrap();
        shared.give(&other, &policy("sha256:0a")).unwrap();
        assert_eq!(fs::read(other.join(KEY)).unwrap(), fs::read(one.join(KEY)).unwrap());
        assert_eq!(fs::read_to_string(other.join(CACHE).join("0a")).unwrap(), "0a");
        shared.give(&other, &policy("sha256:0b")).unwrap();
        assert!(!other.join(CACHE).join("0b").exists(), "nobody asked for it to be kept");
    }
}
