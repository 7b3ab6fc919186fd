//! The compile cache: machine code of earlier runs in the data folder, by the digest of its component.
//!
//! Each entry is authenticated with a key that only this host's user can read. The tag covers the code, the digest and
//! the engine that the code was made for. An entry that fails is dropped, and the component is compiled again. So code
//! cannot be injected by writing a file.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parlor_base::atomic::{self, Locked, Readers};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::Digest;
use ring::hmac;
use sha2::{Digest as _, Sha256};

use super::{Artifact, MAX_ARTIFACT};

const KEY_BYTES: usize = 32;
const DIGEST_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// The length of the data behind the code: the digest of the component, the fingerprint, and the tag over everything.
const TRAILER: usize = 2 * DIGEST_BYTES + TAG_BYTES;

/// The engine that machine code was made for: wasmtime's version and all configuration that affects code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; DIGEST_BYTES]);

impl Fingerprint {
    /// Returns the fingerprint of an engine.
    pub fn of(engine: &wasmtime::Engine) -> Self {
        let mut hasher = Sha(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }
}

/// A hasher that stays the same. That of the standard library may change with each version.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

/// The result of checking an entry.
enum Found {
    /// Authentic code for this engine.
    Fit(Artifact),
    /// Authentic code of this component for another version of the engine.
    Outdated,
    /// Any other file.
    Foreign,
}

/// The cache of one data folder.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    key: hmac::Key,
    fingerprint: Fingerprint,
}

impl Cache {
    /// Opens the cache in a data folder, for machine code with this fingerprint. A new key is made if there is none, or
    /// if others could read it: entries authenticated with such a key prove nothing.
    pub fn open(data: &Path, fingerprint: Fingerprint) -> io::Result<Self> {
        let folder = data.join("compiled");
        atomic::make_private_folder(&folder)?;
        let _alone = alone_in(&folder);
        let path = data.join("compiled.key");
        let key = if let Some(key) = closed_key(&path) {
            key
        } else {
            let key: [u8; KEY_BYTES] = rand::random();
            atomic::write(&path, &key, Readers::Owner)?;
            key
        };
        Ok(Self { folder, key: hmac::Key::new(hmac::HMAC_SHA256, &key), fingerprint })
    }

    /// Returns the key under which other things than the code of a component are kept, for this engine. Engines that
    /// share the folder would drop each other's otherwise.
    pub(super) fn key_of(&self, what: &str) -> Digest {
        Digest::of(&[what.as_bytes(), &self.fingerprint.0].concat())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_hex())
    }

    /// Returns the code made of this component before, if it exists and is authentic.
    pub fn find(&self, digest: &Digest) -> Option<Artifact> {
        let path = self.path(digest);
        let found = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => Found::Foreign,
            Ok(bytes) => self.judge(digest, bytes),
        };
        match found {
            Found::Fit(artifact) => {
                // The time marks the last use, by which entries are dropped when space is short. If it cannot be set,
                // the entry may be dropped early and compiled again.
                let _ = open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                return Some(artifact);
            }
            // This is usual after an update of parlor.
            Found::Outdated => {
                tracing::debug!(path = %path.escaped(), "an entry of the compile cache is of another version; it is made anew");
            }
            Found::Foreign => {
                tracing::warn!(path = %path.escaped(), "an entry of the compile cache is not what this host wrote; it is dropped");
            }
        }
        self.forget(digest);
        None
    }

    fn judge(&self, digest: &Digest, mut bytes: Vec<u8>) -> Found {
        let Some(length) = bytes.len().checked_sub(TRAILER) else { return Found::Foreign };
        let (signed, tag) = bytes.split_at(bytes.len() - TAG_BYTES);
        if hmac::verify(&self.key, signed, tag).is_err() {
            return Found::Foreign;
        }
        let (of, made_for) = signed[length..].split_at(DIGEST_BYTES);
        // The entry is authentic but of another component, so somebody moved it here.
        if of != digest.as_bytes() {
            return Found::Foreign;
        }
        if made_for != self.fingerprint.0 {
            return Found::Outdated;
        }
        bytes.truncate(length);
        Found::Fit(Artifact(bytes))
    }

    /// Stores the code made of a component.
    pub fn keep(&self, digest: &Digest, artifact: Artifact) -> io::Result<()> {
        let Artifact(mut bytes) = artifact;
        bytes.extend(digest.as_bytes());
        bytes.extend(self.fingerprint.0);
        let tag = hmac::sign(&self.key, &bytes);
        bytes.extend(tag.as_ref());
        let _alone = alone_in(&self.folder);
        atomic::write(&self.path(digest), &bytes, Readers::Owner)
    }

    /// Removes the entry of a component.
    pub fn forget(&self, digest: &Digest) {
        remove(&self.path(digest));
    }

    /// Removes the entries of all other components.
    pub fn prune(&self, used: &BTreeSet<Digest>) {
        let _alone = alone_in(&self.folder);
        let used: BTreeSet<_> = used.iter().map(|digest| self.path(digest)).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if !used.contains(&entry.path()) {
                remove(&entry.path());
            }
        }
    }

    /// Removes the least recently used entries until the rest fits into this many bytes. The last entry always stays.
    pub fn keep_newest(&self, most: u64) {
        // The lock keeps entries safe that another process is just writing.
        let _alone = alone_in(&self.folder);
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut all: Vec<_> = entries
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        all.sort_by(|one, other| other.cmp(one));
        let mut bytes = 0;
        for (before, (_, length, path)) in all.into_iter().enumerate() {
            bytes += length;
            if before > 0 && bytes > most {
                remove(&path);
            }
        }
    }
}

/// Locks the folder. Other processes of an author who builds several plugins at once wait briefly.
fn alone_in(folder: &Path) -> Option<Locked> {
    atomic::alone_in(folder, || {})
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = removed {
        // A remaining entry does no harm, since entries are not trusted.
        tracing::debug!(path = %path.escaped(), %error, "an entry of the compile cache stays");
    }
}

/// Reads the key from this file, if no other user could read it.
fn closed_key(path: &Path) -> Option<[u8; KEY_BYTES]> {
    let mut file = open(path).ok()?;
    let is_open = atomic::is_open(&file.metadata().ok()?.permissions());
    let mut bytes = Vec::new();
    io::Read::by_ref(&mut file).take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    let key = bytes.try_into().ok().filter(|_| !is_open);
    if key.is_none() {
        tracing::warn!(path = %path.escaped(), "the key of the compile cache was spoiled or open to others; there is a new one");
    }
    key
}

/// Opens a file that is not a symbolic link.
fn open(path: &Path) -> io::Result<File> {
    atomic::open_plain(path, libc::O_NOFOLLOW)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let most = MAX_ARTIFACT + TRAILER;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if size > most {
        return Err(io::Error::other("it is too long"));
    }
    let mut bytes = Vec::with_capacity(size);
    // If the file grows meanwhile, it fails authentication.
    file.take(size as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const FIRST: Fingerprint = Fingerprint([1; DIGEST_BYTES]);

    fn cache(data: &Path) -> Cache {
        Cache::open(data, FIRST).unwrap()
    }

    fn found(cache: &Cache, component: &[u8]) -> Option<Vec<u8>> {
        cache.find(&Digest::of(component)).map(|Artifact(code)| code)
    }

    fn keep(cache: &Cache, component: &[u8], code: &[u8]) -> PathBuf {
        let digest = Digest::of(component);
        cache.keep(&digest, Artifact(code.to_vec())).unwrap();
        cache.path(&digest)
    }

    #[test]
    fn what_was_kept_is_found_by_the_next_run_and_closed_to_others() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(found(&cache(data.path()), b"a"), None);
        let path = keep(&cache(data.path()), b"a", b"code");
        assert_eq!(found(&cache(data.path()), b"a").unwrap(), b"code");
        assert_eq!(found(&cache(data.path()), b"b"), None);
        for file in [path, data.path().join("compiled.key")] {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        }
    }

    #[test]
    fn several_at_once_have_one_key_and_write_whole_entries() {
        let data = tempfile::tempdir().unwrap();
        let is_whole = |code: &[u8]| code.len() == 1 << 16 && code.iter().all(|byte| *byte == code[0]);
        std::thread::scope(|threads| {
            for who in 0..8_u8 {
                let data = data.path();
                threads.spawn(move || {
                    let cache = cache(data);
                    for _ in 0..4 {
                        keep(&cache, b"a", &[who].repeat(1 << 16));
                        assert!(is_whole(&found(&cache, b"a").unwrap()));
                        cache.keep_newest(0);
                    }
                });
            }
        });
        assert!(is_whole(&found(&cache(data.path()), b"a").unwrap()));
        assert_eq!(fs::read_dir(data.path().join("compiled")).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn whatever_byte_of_an_entry_is_changed_it_is_dropped() {
        let data = tempfile::tempdir().unwrap();
        let cache = cache(data.path());
        let whole = fs::read(keep(&cache, b"a", b"code")).unwrap();
        let path = cache.path(&Digest::of(b"a"));
        for at in 0..whole.len() {
            let mut spoiled = whole.clone();
            spoiled[at] ^= 1;
            fs::write(&path, spoiled).unwrap();
            assert_eq!(found(&cache, b"a"), None, "byte {at}");
            assert!(!path.exists(), "byte {at}");
        }
        for spoiled in [&whole[..whole.len() - 1], &whole[1..], &[], &[whole.as_slice(), b"x"].concat()] {
            fs::write(&path, spoiled).unwrap();
            assert_eq!(found(&cache, b"a"), None);
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(found(&cache, b"a").unwrap(), b"code");
    }

    #[test]
    fn an_authentic_entry_in_another_place_or_for_another_engine_is_dropped() {
        let data = tempfile::tempdir().unwrap();
        let cache = cache(data.path());
        let path = keep(&cache, b"a", b"code");
        fs::copy(&path, cache.path(&Digest::of(b"b"))).unwrap();
        assert_eq!(found(&cache, b"b"), None);
        assert_eq!(found(&cache, b"a").unwrap(), b"code");
        let other = Cache::open(data.path(), Fingerprint([2; DIGEST_BYTES])).unwrap();
        // This does not need a warning: it is usual after each update.
        let (bytes, [own, another]) = (fs::read(&path).unwrap(), [b"a", b"b"].map(|one| Digest::of(one)));
        assert!(matches!(other.judge(&own, bytes.clone()), Found::Outdated));
        assert!(matches!(other.judge(&another, bytes), Found::Foreign));
        assert_eq!(found(&other, b"a"), None);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_component_has_a_place_for_each_engine() {
        let data = tempfile::tempdir().unwrap();
        let (one, other) = (cache(data.path()), Cache::open(data.path(), Fingerprint([2; DIGEST_BYTES])).unwrap());
        assert_ne!(one.key_of("a"), other.key_of("a"));
        assert_ne!(one.key_of("a"), one.key_of("b"));
    }

    #[test]
    fn a_key_that_others_could_read_or_that_is_spoiled_counts_no_more() {
        let data = tempfile::tempdir().unwrap();
        let key = data.path().join("compiled.key");
        for spoil in [
            |key: &Path| fs::set_permissions(key, fs::Permissions::from_mode(0o640)).unwrap(),
            |key: &Path| fs::write(key, "short").unwrap(),
            |key: &Path| fs::remove_file(key).unwrap(),
        ] {
            keep(&cache(data.path()), b"a", b"code");
            spoil(&key);
            assert_eq!(found(&cache(data.path()), b"a"), None);
            assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn links_and_folders_are_no_entries() {
        let data = tempfile::tempdir().unwrap();
        let cache = cache(data.path());
        let path = keep(&cache, b"a", b"code");
        let elsewhere = data.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(found(&cache, b"a"), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(found(&cache, b"a"), None);
        assert!(!path.exists());
        assert!(elsewhere.exists());
    }

    #[test]
    fn what_was_kept_or_used_last_stays_as_far_as_there_is_room() {
        let data = tempfile::tempdir().unwrap();
        let cache = cache(data.path());
        let entries: Vec<_> = [b"a", b"b", b"c"].map(|component| keep(&cache, component, b"code")).into();
        for (path, seconds) in entries.iter().zip([1, 3, 2]) {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
        let length = entries[0].metadata().unwrap().len();
        let left = || entries.iter().map(|path| path.exists()).collect::<Vec<_>>();
        cache.keep_newest(2 * length);
        assert_eq!(left(), [false, true, true]);
        assert!(found(&cache, b"c").is_some());
        cache.keep_newest(0);
        assert_eq!(left(), [false, false, true]);
    }

    #[test]
    fn what_nobody_uses_any_more_goes() {
        let data = tempfile::tempdir().unwrap();
        let cache = cache(data.path());
        keep(&cache, b"a", b"code");
        keep(&cache, b"b", b"code");
        cache.prune(&BTreeSet::from([Digest::of(b"b")]));
        assert_eq!(found(&cache, b"a"), None);
        assert!(found(&cache, b"b").is_some());
    }
}
