//! The files that the configuration and the policy name: passwords, certificates with their keys, and secrets of plugins.
//!
//! Only those below the folder of the configuration and below `secrets` in the data folder are taken along: elsewhere a restore
//! would write over files that are none of parlor's.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use parlor_base::atomic::{folder_of, open_plain};
use parlor_config::{ClusterLogin, Config, PasswordSource, RoomPasswordPlace, Way};
use parlor_plugins::policy::Policy;
use parlor_plugins::secret::SecretSource;
use serde::{Deserialize, Serialize};

/// The folder with secrets of plugins, in a data folder.
pub(super) const FOLDER: &str = "secrets";

/// The largest file that is taken along, in bytes.
const LARGEST: u64 = 1 << 20;

/// The folder that a file is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Base {
    /// The folder of the configuration.
    Config,
    /// The data folder.
    Data,
}

/// A file with a secret.
#[derive(Serialize, Deserialize)]
pub(super) struct SecretFile {
    /// The folder that it is below.
    pub(super) base: Base,
    /// Its path from there.
    pub(super) path: String,
    /// Its bytes, in hexadecimal digits.
    pub(super) hex: String,
    /// How the configuration and the policy may write its path, other than from its folder. Backups of older versions have none.
    #[serde(default)]
    pub(super) spellings: Vec<String>,
}

/// The content of the encrypted part of a backup.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// The keys of encryption, as the store writes them.
    pub(super) keys: Option<String>,
    /// The files.
    pub(super) files: Vec<SecretFile>,
}

/// Returns the files that are named, as far as they may hold secrets.
fn named(config: &Config, policy: &Policy) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    let accounts = config.accounts.values().map(|account| &account.link);
    for link in accounts.chain(config.components.values()) {
        if let PasswordSource::File(file) = &link.password {
            all.insert(file.clone());
        }
        if let Way::Certificate { chain, key } = &link.way {
            all.extend([chain.clone(), key.clone()]);
        }
        all.extend(link.ca_file.clone());
    }
    let of_rooms = config.accounts.values().flat_map(|account| account.settings.room_passwords().values());
    for place in of_rooms.chain(config.settings.room_passwords().values()) {
        if let RoomPasswordPlace::File(file) = place {
            all.insert(file.clone());
        }
    }
    if let Some((certificate, key)) = &config.web.certificate {
        all.extend([certificate.clone(), key.clone()]);
    }
    all.extend(config.web.ca_file.clone());
    if let Some(cluster) = &config.cluster {
        match &cluster.login {
            ClusterLogin::Password { password: PasswordSource::File(file), .. }
            | ClusterLogin::Token(PasswordSource::File(file)) => all.extend([file.clone()]),
            ClusterLogin::Certificate { certificate, key } => all.extend([certificate.clone(), key.clone()]),
            ClusterLogin::Nothing | ClusterLogin::Password { .. } | ClusterLogin::Token(_) => {}
        }
        if let PasswordSource::File(file) = &cluster.key {
            all.insert(file.clone());
        }
        all.extend(cluster.ca_file.clone());
    }
    for value in policy.plugins.values().flat_map(|entry| entry.settings.0.values()) {
        for source in SecretSource::all_of(value) {
            if let SecretSource::File(file) = source {
                all.insert(file);
            }
        }
    }
    all
}

/// Reads the files that are named, each once, however often it is named. Adds those to `left_out` that cannot be taken along, and
/// all if none is wanted.
pub(super) fn read_all(
    config: &Config,
    policy: &Policy,
    is_wanted: bool,
    left_out: &mut Vec<String>,
) -> Vec<SecretFile> {
    let mut by_place = BTreeMap::<PathBuf, Vec<PathBuf>>::new();
    for file in named(config, policy) {
        by_place.entry(real(&file).unwrap_or_else(|_| file.clone())).or_default().push(file);
    }
    let mut files = Vec::new();
    for (resolved, names) in by_place {
        match is_wanted.then(|| read(&resolved, config)).flatten() {
            Some(mut file) => {
                file.spellings = names.iter().flat_map(|name| spellings(name, &file.path, config)).collect();
                files.push(file);
            }
            None => left_out.extend(names.first().map(|name| name.to_string_lossy().into_owned())),
        }
    }
    files
}

/// Reads a file; none if it is elsewhere, too large or no plain file.
fn read(file: &Path, config: &Config) -> Option<SecretFile> {
    let (base, path) = place(file, config)?;
    let mut bytes = Vec::new();
    open_plain(file, 0).ok()?.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    let is_small = bytes.len() as u64 <= LARGEST;
    is_small.then(|| SecretFile { base, path, hex: hex::encode(bytes), spellings: Vec::new() })
}

/// Returns how files may write the name of a file that is stored under this path: whole, and from the folder of the configuration.
/// A name without a slash or a dot could be any other word of the configuration.
fn spellings(name: &Path, path: &str, config: &Config) -> Vec<String> {
    let beside = name.strip_prefix(folder_of(&config.path)).ok();
    let all = [Some(name), beside].into_iter().flatten().filter_map(Path::to_str);
    all.filter(|one| *one != path && one.contains(['/', '.'])).map(str::to_owned).collect()
}

fn place(file: &Path, config: &Config) -> Option<(Base, String)> {
    // A link may lead out of the folder.
    let (file, data) = (file.canonicalize().ok()?, real(&config.data).ok()?);
    let (base, path) = match file.strip_prefix(&data) {
        Ok(path) => (Base::Data, path.to_owned()),
        Err(_) => (Base::Config, file.strip_prefix(real(folder_of(&config.path)).ok()?).ok()?.to_owned()),
    };
    let path = path.to_str()?.to_owned();
    is_below(base, &path).then_some((base, path))
}

/// Returns the path of a folder without links.
pub(super) fn real(folder: &Path) -> io::Result<PathBuf> {
    folder.canonicalize().or_else(|_| std::path::absolute(folder))
}

/// Returns whether a path stays below its folder, and in a data folder below `secrets`.
pub(super) fn is_below(base: Base, path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let is_plain = !path.is_empty() && parts.clone().all(|part| matches!(part, Component::Normal(_)));
    let first = parts.next();
    is_plain && (base == Base::Config || first == Some(Component::Normal(FOLDER.as_ref())) && parts.next().is_some())
}

/// Takes files out that are there twice, as backups of older versions have them if the configuration writes a path in two ways. Fails with
/// the path of a file that has two contents.
pub(super) fn once(files: Vec<SecretFile>) -> Result<Vec<SecretFile>, String> {
    let mut known = BTreeMap::<(Base, String), SecretFile>::new();
    for file in files {
        match known.entry((file.base, file.path.clone())) {
            Entry::Occupied(twin) if twin.get().hex != file.hex => return Err(file.path),
            Entry::Occupied(mut twin) => twin.get_mut().spellings.extend(file.spellings),
            Entry::Vacant(place) => {
                place.insert(file);
            }
        }
    }
    Ok(known.into_values().collect())
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;

    use super::*;

    #[test]
    fn a_path_stays_below_its_folder() {
        for good in ["bot.password", "keys/bot.key"] {
            assert!(is_below(Base::Config, good), "{good}");
        }
        assert!(is_below(Base::Data, "secrets/echo/token"));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "./x"] {
            assert!(!is_below(Base::Config, bad), "{bad}");
        }
        for bad in ["parlor.db", "secrets", "secrets/../parlor.db", "/secrets/x", "components/x"] {
            assert!(!is_below(Base::Data, bad), "{bad}");
        }
    }

    #[test]
    fn a_file_is_stored_once_however_its_path_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("sub")).unwrap();
        for file in ["ca.pem", "den.password", "main.password"] {
            std::fs::write(folder.join(file), "secret").unwrap();
        }
        std::os::unix::fs::symlink("ca.pem", folder.join("link.pem")).unwrap();
        let account = |name: &str, ca: &str| {
            format!(
                "[account.{name}]\njid = \"{name}@b.example\"\npassword_file = \"main.password\"\nca_file = \"{ca}\"\n"
            )
        };
        let whole = folder.join("ca.pem").to_str().unwrap().to_owned();
        let texts = [("a", "ca.pem"), ("b", whole.as_str()), ("c", "sub/../ca.pem"), ("d", "link.pem")];
        let mut text: String = texts.iter().map(|(name, ca)| account(name, ca)).collect();
        text.push_str(
            "[settings]\nauto_join_rooms = [{ jid = \"den@muc.example\", password_file = \"den.password\" }]\n",
        );
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        let config = Config::parse(&folder.join("parlor.toml"), &text, &overrides).unwrap();
        let mut left_out = Vec::new();
        let files = read_all(&config, &Policy::default(), true, &mut left_out);
        let paths: Vec<_> = files.iter().map(|file| (file.base, file.path.as_str())).collect();
        assert_eq!(paths, ["ca.pem", "den.password", "main.password"].map(|path| (Base::Config, path)));
        for spelling in [whole.as_str(), "sub/../ca.pem", "link.pem"] {
            assert!(files[0].spellings.iter().any(|one| one == spelling), "{spelling}: {:?}", files[0].spellings);
        }
        assert!(left_out.is_empty());
        assert!(read_all(&config, &Policy::default(), false, &mut left_out).is_empty());
        assert_eq!(left_out.len(), 3, "{left_out:?}");
    }

    #[test]
    fn a_file_that_an_older_version_stored_twice_counts_once_unless_its_contents_differ() {
        // An older version wrote no spellings.
        let file = |path: &str, hex: &str| {
            let text = format!(r#"{{"base":"config","path":"{path}","hex":"{hex}"}}"#);
            serde_json::from_str::<SecretFile>(&text).unwrap()
        };
        let files = vec![file("ca.pem", "00"), file("a.key", "01"), file("ca.pem", "00")];
        let paths = once(files).map(|files| files.into_iter().map(|file| file.path).collect::<Vec<_>>());
        assert_eq!(paths, Ok(vec!["a.key".to_owned(), "ca.pem".to_owned()]));
        assert_eq!(once(vec![file("ca.pem", "00"), file("ca.pem", "01")]).err().as_deref(), Some("ca.pem"));
    }
}
