//! Writes a backup while a host may be running.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parlor_base::atomic::{folder_of, make_private_folder, put_in_place};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_config::{Config, accounts_text};
use parlor_plugins::approved::approved;
use parlor_plugins::components::Components;
use parlor_plugins::index::Indexes;
use parlor_plugins::listing::IndexName;
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::file::{EditError, PolicyFile};
use parlor_runtime::audited::retention;
use parlor_store::{AuditFile, AuditKind, By, NewAuditEntry, backup};
use sha2::{Digest as _, Sha256};

use super::error::BackupError;
use super::secrets::{self, Sealed, SecretFile};
use super::stage::{BACKUP, Stage};
use super::{
    ACCOUNTS, COMPONENTS, CONFIG, FORMAT, INDEXES, MANIFEST, Manifest, POLICY, Parts, Piece, SEALED,
    SHORTEST_PASSPHRASE, STORE, VERSIONS, archive, clustered, sealed,
};

/// The source of the bytes of a member.
enum Bytes {
    Text(Vec<u8>),
    File(PathBuf),
}

/// Writes a backup of the host with this configuration into a new file, which only this user can read. `waits` is called if another
/// command changes the policy at the moment.
pub fn write(
    config: &Config,
    to: &Path,
    parts: Parts<'_>,
    by: &By,
    waits: impl FnOnce(),
) -> Result<Manifest, BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let passphrase = parts.passphrase.filter(|_| parts.keys || parts.secrets);
    if (parts.keys || parts.secrets) && passphrase.is_none() {
        return Err(BackupError::NoPassphrase);
    }
    if passphrase.is_some_and(|text| String::from_utf8_lossy(text).chars().count() < SHORTEST_PASSPHRASE) {
        return Err(BackupError::ShortPassphrase(SHORTEST_PASSPHRASE));
    }
    make_private_folder(&config.data).map_err(BackupError::file(&config.data))?;
    // Commands that install and remove plugins wait for it.
    let _policy = PolicyFile::open(&config.plugins, waits)?;
    let stage = Stage::begin(&config.data, BACKUP)?;
    record(config, parts, by)?;
    let store = stage.folder.join(STORE);
    let keys = clustered::add(config, &store, backup::copy(&config.data, &store)?)?;
    let mut left_out = Vec::new();
    let mut members = BTreeMap::from([(STORE.to_owned(), Bytes::File(store))]);
    let text = fs::read(&config.path).map_err(BackupError::file(&config.path))?;
    members.insert(CONFIG.to_owned(), Bytes::Text(text));
    if let Some(text) = accounts_text(&config.path)? {
        members.insert(ACCOUNTS.to_owned(), Bytes::Text(text.into_bytes()));
    }
    let policy = match Policy::read(&config.plugins).map_err(EditError::from)? {
        Some(text) => {
            members.insert(POLICY.to_owned(), Bytes::Text(text.clone().into_bytes()));
            Policy::understand(&text, &config.plugins).map_err(EditError::from)?
        }
        None => Policy::default(),
    };
    let components = members_of(config, &policy, &mut members, &mut left_out)?;
    add_indexes(config, &mut members, &mut left_out)?;
    let mut files = components.clone();
    for (name, bytes) in members.iter().filter(|(name, _)| !components.contains_key(*name)) {
        files.insert(name.clone(), piece(bytes)?);
    }
    let secret_files = secrets::read_all(config, &policy, parts.secrets, &mut left_out);
    let manifest = Manifest {
        format: FORMAT,
        parlor: env!("CARGO_PKG_VERSION").to_owned(),
        made: Timestamp::now().to_string(),
        data: folder_name(&config.data),
        config: folder_name(folder_of(&config.path)),
        keys: parts.keys,
        secrets: secret_files.len(),
        left_out,
        files,
    };
    let head = serde_json::to_vec_pretty(&manifest).map_err(|error| failed(to, error.into()))?;
    let sealed = match passphrase {
        Some(passphrase) => {
            let keys = parts.keys.then(|| String::from_utf8_lossy(&keys).into_owned());
            Some(sealed_part(keys, secret_files, passphrase, &head).map_err(BackupError::file(to))?)
        }
        None => None,
    };
    put(&stage, to, &head, &members, &manifest, sealed.as_deref())?;
    Ok(manifest)
}

fn folder_name(folder: &Path) -> String {
    secrets::real(folder).unwrap_or_default().to_string_lossy().into_owned()
}

fn failed(path: &Path, cause: io::Error) -> BackupError {
    BackupError::File { path: path.to_owned(), cause }
}

/// Records in the audit who makes a backup, and its parts.
fn record(config: &Config, parts: Parts<'_>, by: &By) -> Result<(), BackupError> {
    let with = match (parts.keys, parts.secrets) {
        (true, true) => "with keys and secrets",
        (true, false) => "with keys",
        (false, true) => "with secrets",
        (false, false) => "without keys and secrets",
    };
    let entry = NewAuditEntry::new(AuditKind::Host, by, "a backup was taken");
    let entry = NewAuditEntry { new: Some(with.to_owned()), ..entry };
    Ok(AuditFile::create(&config.data, retention(config))?.add(&[entry])?)
}

fn sealed_part(
    keys: Option<String>,
    files: Vec<SecretFile>,
    passphrase: &parlor_session::Secret,
    about: &[u8],
) -> io::Result<Vec<u8>> {
    sealed::seal(passphrase, serde_json::to_vec(&Sealed { keys, files })?, about)
}

/// Says of the name of a file in a folder whether it belongs into a backup.
type IsMember = fn(&str) -> bool;

/// Adds the components and the records of versions. Returns the pieces of components. A component whose bytes do not
/// match its name could not run, and is left out.
fn members_of(
    config: &Config,
    policy: &Policy,
    members: &mut BTreeMap<String, Bytes>,
    left_out: &mut Vec<String>,
) -> Result<BTreeMap<String, Piece>, BackupError> {
    let folders: [(&str, IsMember); 2] = [(COMPONENTS, is_component), (VERSIONS, is_versions)];
    for (folder, is_member) in folders {
        let folder_path = config.data.join(folder);
        let entries = match fs::read_dir(&folder_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(BackupError::file(&folder_path))?,
        };
        for entry in entries {
            let entry = entry.map_err(BackupError::file(&folder_path))?;
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str().filter(|name| is_member(name)) else { continue };
            members.insert(format!("{folder}/{name}"), Bytes::File(path));
        }
    }
    let mut pieces = BTreeMap::new();
    let mut damaged = Vec::new();
    for (name, bytes) in &*members {
        let Some(digits) = name.strip_prefix(COMPONENTS) else { continue };
        let piece = piece(bytes)?;
        if digits.trim_start_matches('/').trim_end_matches(".wasm") == piece.digest {
            pieces.insert(name.clone(), piece);
        } else {
            damaged.push(name.clone());
        }
    }
    for name in damaged {
        members.remove(&name);
        left_out.push(format!("{}: it is damaged", config.data.join(&name).escaped()));
    }
    let store = Components::new(&config.data);
    for (id, entry) in &policy.plugins {
        let name = format!("{COMPONENTS}/{}.wasm", entry.digest.to_hex());
        if members.contains_key(&name) {
            continue;
        }
        // A policy that was written by hand may name a file elsewhere that the host reads each time.
        match approved(id, entry, &store) {
            Ok(bytes) => {
                let bytes = Bytes::Text(bytes);
                pieces.insert(name.clone(), piece(&bytes)?);
                members.insert(name, bytes);
            }
            Err(error) => left_out.push(format!("the file of plugin {id}: {error}")),
        }
    }
    Ok(pieces)
}

/// Adds the indexes of plugins, with their keys, their serial numbers and the publishers' keys that were seen first. Each is read once:
/// another command may replace it meanwhile.
fn add_indexes(
    config: &Config,
    members: &mut BTreeMap<String, Bytes>,
    left_out: &mut Vec<String>,
) -> Result<(), BackupError> {
    let folder = config.data.join(INDEXES);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(BackupError::file(&folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::file(&folder))?;
        let (file, path) = (entry.file_name(), entry.path());
        let Some((file, name)) = file.to_str().and_then(|file| Some((file, index_of(file)?))) else { continue };
        let bytes = match fs::read(&path) {
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            bytes => bytes.map_err(BackupError::file(&path))?,
        };
        if Indexes::is_intact(&name, &bytes) {
            members.insert(format!("{INDEXES}/{file}"), Bytes::Text(bytes));
        } else {
            left_out.push(format!("{}: it is damaged", path.escaped()));
        }
    }
    Ok(())
}

/// Returns the name of the index that a file of this name has.
pub(super) fn index_of(file: &str) -> Option<IndexName> {
    file.strip_suffix(".json")?.parse().ok()
}

/// Returns whether a file of this name is a component.
pub(super) fn is_component(name: &str) -> bool {
    let digits = name.strip_suffix(".wasm").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether a file of this name has the versions of a plugin.
pub(super) fn is_versions(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|id| id.parse::<PluginId>().is_ok())
}

fn piece(bytes: &Bytes) -> Result<Piece, BackupError> {
    match bytes {
        Bytes::Text(text) => summed(&text[..]).map_err(BackupError::file(Path::new(CONFIG))),
        Bytes::File(path) => File::open(path).and_then(summed).map_err(BackupError::file(path)),
    }
}

/// Returns the size and the digest of a reader's contents.
pub(super) fn summed(mut from: impl Read) -> io::Result<Piece> {
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(Piece { size, digest: hex::encode(hash.finalize()) }),
            Ok(length) => {
                hash.update(&buffer[..length]);
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes the archive next to its place, and moves it there when it is complete.
fn put(
    stage: &Stage,
    to: &Path,
    head: &[u8],
    members: &BTreeMap<String, Bytes>,
    manifest: &Manifest,
    sealed: Option<&[u8]>,
) -> Result<(), BackupError> {
    let name = to.file_name().ok_or_else(|| failed(to, io::ErrorKind::InvalidInput.into()))?;
    let draft = to.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    stage.note_drafts(std::slice::from_ref(&draft))?;
    let written = (|| {
        let file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        let mut archive = BufWriter::new(file);
        archive::append(&mut archive, MANIFEST, head.len() as u64, &mut &*head)?;
        for (name, bytes) in members {
            let size = manifest.files.get(name).map_or(0, |piece| piece.size);
            match bytes {
                Bytes::Text(text) => archive::append(&mut archive, name, size, &mut &text[..])?,
                Bytes::File(path) => archive::append(&mut archive, name, size, &mut File::open(path)?)?,
            }
        }
        if let Some(sealed) = sealed {
            archive::append(&mut archive, SEALED, sealed.len() as u64, &mut &*sealed)?;
        }
        archive::finish(&mut archive)?;
        archive.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        put_in_place(&draft, to)
    })();
    // It is still there if it was linked, or if something failed.
    let _ = fs::remove_file(&draft);
    written.map_err(BackupError::file(to))?;
    // If the folder cannot be synced, a power failure may lose the file, but not half of it.
    let _ = File::open(folder_of(to)).and_then(|folder| folder.sync_all());
    Ok(())
}
