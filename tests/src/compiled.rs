//! Machine code that several `parlor run` of one program share. Each has a data folder of its own, and most of them run
//! the same few plugins, one of which takes seconds of CPU time to compile. Tests of compiling itself share nothing.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::folder::{Folder, write_private};
use crate::host::Home;

/// The folder of the cache in a data folder; its files are named after digests.
pub const CACHE: &str = "compiled";
/// The file with the key that authenticates its entries. These hosts share one key, so that each accepts the others'
/// entries.
pub const KEY: &str = "compiled.key";

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

    /// Gives the key to a host that has not started yet, and the code of the plugins of its policy, as far as it is there.
    pub fn give(&self, home: &Home) -> Result<()> {
        let data = data(home);
        // A host that has a key of its own believes no other.
        if data.join(KEY).exists() {
            return Ok(());
        }
        let cache = data.join(CACHE);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&cache);
        made.with_context(|| format!("cannot make {}", cache.display()))?;
        copy(&self.0.join(KEY), &data.join(KEY))?;
        places(home).iter().try_for_each(|place| copy(&self.0.join(place), &data.join(place)))
    }

    /// Takes the code that such a host has compiled of these plugins.
    pub fn take(&self, home: &Home) -> Result<()> {
        let data = data(home);
        let is_ours = fs::read(data.join(KEY)).is_ok_and(|key| fs::read(self.0.join(KEY)).is_ok_and(|own| own == key));
        if !is_ours {
            return Ok(());
        }
        let places = places(home);
        let mut missing = places.iter().filter(|place| !self.0.join(place).exists());
        missing.try_for_each(|place| copy(&data.join(place), &self.0.join(place)))
    }
}

fn data(home: &Home) -> PathBuf {
    home.path().join("data")
}

/// Returns the places of the code of a policy's plugins in a data folder.
fn places(home: &Home) -> Vec<PathBuf> {
    let policy = fs::read_to_string(home.path().join("plugins.toml")).unwrap_or_default();
    let digests = policy.split("\"sha256:").skip(1).filter_map(|rest| rest.split('"').next());
    digests.map(|digest| Path::new(CACHE).join(digest)).collect()
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
    use crate::policy::{Entry, Policy};

    fn home(digest: &str) -> Home {
        let home = Home::new().unwrap();
        home.set_policy(&Policy::default().with("a", Entry::new("a.wasm", digest))).unwrap();
        home
    }

    fn code(home: &Home, name: &str) -> Option<String> {
        fs::read_to_string(data(home).join(CACHE).join(name)).ok()
    }

    #[test]
    fn a_host_gets_what_another_one_compiled_of_its_own_plugins() {
        let shared = Shared::new().unwrap();
        let (one, like_it, other) = (home("sha256:0a"), home("sha256:0a"), home("sha256:0b"));
        shared.give(&one).unwrap();
        for name in ["0a", "0b"] {
            one.write(&format!("data/{CACHE}/{name}"), name).unwrap();
        }
        shared.take(&one).unwrap();
        // A change of this file does not reach the other hosts.
        fs::write(data(&one).join(CACHE).join("0a"), "spoiled").unwrap();
        shared.take(&one).unwrap();
        for home in [&like_it, &other] {
            shared.give(home).unwrap();
            assert_eq!(fs::read(data(home).join(KEY)).unwrap(), fs::read(data(&one).join(KEY)).unwrap());
        }
        assert_eq!((code(&like_it, "0a").as_deref(), code(&other, "0b")), (Some("0a"), None));
    }

    #[test]
    fn a_host_with_a_key_of_its_own_gets_nothing_and_gives_nothing() {
        let (shared, own, later) = (Shared::new().unwrap(), home("sha256:0a"), home("sha256:0a"));
        own.write(&format!("data/{KEY}"), "own").unwrap();
        own.write(&format!("data/{CACHE}/0a"), "0a").unwrap();
        shared.give(&own).unwrap();
        shared.take(&own).unwrap();
        assert_eq!(fs::read_to_string(data(&own).join(KEY)).unwrap(), "own");
        shared.give(&later).unwrap();
        assert_eq!(code(&later, "0a"), None);
    }
}
