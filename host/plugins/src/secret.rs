//! Secret settings: the place where the owner keeps one, and reading it for the plugin whose schema declares it.
//!
//! A policy holds a reference, never the value. The value is passed from its file or command only to the plugin's
//! settings on this host. No error here repeats the value, nor the command, which may contain another secret.

mod former;
mod senders;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use parlor_base::atomic::{self, Readers};
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_base::id::{Digest, PluginId};
use parlor_base::shell::{ASKS_NOBODY, Shell};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinSet;

use crate::manifest::Manifest;
use crate::policy::values::{RoomSettings, SettingValues};
use crate::setting::MAX_TEXT;

pub use former::{Former, FormerSecret};
pub use senders::{MOST_SENDERS, SecretName, SenderSecret, sender_names, without_sender};

/// The timeout of a command, and of reading a file.
const PATIENCE: Duration = Duration::from_secs(10);
/// The error's advice for an owner who wrote a secret into the policy.
const INSTEAD: &str =
    "a secret is not written here: write { file = \"…\" } with a file that only you can read, or { command = \"…\" }";

/// The error for a credential that is too short.
const TOO_SHORT: SecretError = SecretError::Unfit("shorter than 8 bytes, which is no credential");

/// The place where the owner keeps a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that only its owner can read.
    File(PathBuf),
    /// The output of a command line.
    Command(String),
}

/// The error when a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{} cannot be read ({cause})", path.escaped())]
    File {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
    /// Other users may read the file.
    #[error("others on this machine may read it: chmod 600 {}", shell_word(&.0.to_string_lossy()))]
    Open(PathBuf),
    /// The command failed or timed out.
    #[error("its command {0}")]
    Command(String),
    /// The content cannot be a secret.
    #[error("what is kept there is {0}")]
    Unfit(&'static str),
}

impl SecretSource {
    /// Parses a reference in a policy, which may have a [former](Former) one and those of [single senders](SenderSecret). The error says
    /// what to write instead.
    pub fn read(value: &Value) -> Result<Self, &'static str> {
        let table = value.as_object().ok_or(INSTEAD)?;
        let former = table.get("former").map(Former::read).transpose()?;
        let senders = table.get("senders").map(senders::check).transpose()?;
        let beside = usize::from(former.is_some()) + usize::from(senders.is_some());
        let one = Some(table).filter(|table| table.len() == 1 + beside).ok_or(INSTEAD)?;
        let text = |key: &str| one.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        match (text("file"), text("command")) {
            (Some(file), None) => Ok(Self::File(file.into())),
            (None, Some(command)) => Ok(Self::Command(command.to_owned())),
            _ => Err(INSTEAD),
        }
    }

    /// Returns the reference as a policy has it.
    pub fn written(&self) -> Value {
        match self {
            Self::File(path) => json!({ "file": path }),
            Self::Command(command) => json!({ "command": command }),
        }
    }

    /// Returns all places that a reference in a policy names.
    pub fn all_of(value: &Value) -> impl Iterator<Item = Self> {
        let places = |value: Value| {
            let former = Former::of(&value).map(|former| former.source);
            Self::read(&value).into_iter().chain(former)
        };
        let senders = senders::of(value).into_iter().map(|(_, own)| own);
        std::iter::once(value.clone()).chain(senders).flat_map(places)
    }

    /// Returns the reference with relative file paths resolved against `folder`.
    pub(super) fn below(value: Value, folder: &Path) -> Value {
        let Ok(present) = Self::read(&value) else { return value };
        let present = present.in_folder(folder);
        let reference = match Former::of(&value) {
            None => present.written(),
            Some(Former { source, until }) => Former { source: source.in_folder(folder), until }.beside(&present),
        };
        let senders = senders::of(&value).into_iter().map(|(name, own)| (name, Self::below(own, folder)));
        senders::beside(reference, senders.collect())
    }

    fn in_folder(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::Command(command) => Self::Command(command),
        }
    }

    /// Reads the value, without the trailing line break.
    pub async fn open(&self) -> Result<String, SecretError> {
        let bytes = match self {
            Self::File(path) => {
                let unreadable = |cause| SecretError::File { path: path.clone(), cause };
                let read = in_time(closed(path.clone())).await.map_err(unreadable)?;
                read.ok_or_else(|| SecretError::Open(path.clone()))?
            }
            Self::Command(command) => {
                let late =
                    || SecretError::Command(format!("did not end within {} s; {ASKS_NOBODY}", PATIENCE.as_secs()));
                tokio::time::timeout(PATIENCE, run(command)).await.map_err(|_| late())??
            }
        };
        let text = String::from_utf8(bytes).map_err(|_| SecretError::Unfit("no text"))?;
        let text = text.trim_end_matches(['\r', '\n']);
        match text.len() {
            0 => Err(SecretError::Unfit("empty")),
            1..=MAX_TEXT => Ok(text.to_owned()),
            _ => Err(SecretError::Unfit("too long for a secret")),
        }
    }
}

/// Reads a plain file; none if others may read it. Nothing else is opened: a thread would wait for ever at a pipe without a
/// writer.
async fn closed(path: PathBuf) -> io::Result<Option<Vec<u8>>> {
    let opened = tokio::task::spawn_blocking(move || atomic::open_plain(&path, 0)).await;
    let file = tokio::fs::File::from_std(opened.map_err(io::Error::other)??);
    if atomic::is_open_secret(&file.metadata().await?) { Ok(None) } else { bounded(file).await.map(Some) }
}

/// Gives up a file whose file system does not answer: all changes of plugins would wait for it.
async fn in_time<T>(reads: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::other(format!("nothing came within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, reads).await.unwrap_or_else(|_| Err(late()))
}

async fn run(command: &str) -> Result<Vec<u8>, SecretError> {
    let failed = |error: io::Error| SecretError::Command(format!("cannot be run ({error})"));
    let mut shell = Shell::run(command, Stdio::null()).map_err(failed)?;
    let output = shell.child.stdout.take().expect("stdout was asked to be a pipe");
    let bytes = bounded(output).await.map_err(failed)?;
    let status = shell.child.wait().await.map_err(failed)?;
    if status.success() { Ok(bytes) } else { Err(SecretError::Command(format!("ended with {status}"))) }
}

async fn bounded(reader: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Leaves room for a line break of two bytes, and for one byte more, so that a secret that is too long is noticed.
    reader.take(MAX_TEXT as u64 + 3).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Returns the owner's values, with the references of the schema's secrets replaced by the secrets. The error names the
/// setting whose secret cannot be read.
async fn opened(values: &SettingValues, manifest: &Manifest) -> Result<SettingValues, (String, SecretError)> {
    let mut opened = values.clone();
    for (name, value) in &mut opened.0 {
        let Some(setting) = manifest.settings.get(name).filter(|setting| setting.kind.is_secret()) else { continue };
        // A value that is not a reference was refused at admission.
        let Ok(source) = SecretSource::read(value) else { continue };
        let secret = source.open().await.map_err(|error| (name.clone(), error))?;
        if !setting.kind.is_long_enough(&secret) {
            return Err((name.clone(), TOO_SHORT));
        }
        *value = secret.into();
    }
    Ok(opened)
}

/// Reads the former secrets of these values, and those of single senders. One that cannot be read verifies nothing, and keeps no plugin
/// from running.
async fn open_beside(values: &SettingValues, manifest: &Manifest, opened: &mut SettingValues) {
    for (name, value) in &values.0 {
        let Some(setting) = manifest.settings.get(name).filter(|setting| setting.kind.is_secret()) else { continue };
        open_former(name, value, opened).await;
        // Together, since each may take its whole time.
        let mut opening = JoinSet::new();
        for (sender, own) in senders::of(value) {
            let Ok(source) = SecretSource::read(&own) else { continue };
            opening.spawn(async move { (sender, own, source.open().await) });
        }
        while let Some(ended) = opening.join_next().await {
            let Ok((sender, own, text)) = ended else { continue };
            let is_long_enough = |text: &String| setting.kind.is_long_enough(text);
            match text.and_then(|text| Some(text).filter(is_long_enough).ok_or(TOO_SHORT)) {
                Ok(text) => {
                    let key = SenderSecret::key(name, &sender);
                    SenderSecret::put(key.clone(), &text, &mut opened.0);
                    open_former(&key, &own, opened).await;
                }
                Err(error) => {
                    tracing::warn!(setting = name, sender, %error, "the secret of a sender is unavailable, so its requests are refused");
                }
            }
        }
    }
}

/// Reads the former secret of a reference, and puts it beside the value under this key.
async fn open_former(key: &str, reference: &Value, opened: &mut SettingValues) {
    let counts = |former: &Former| former.until > Timestamp::now();
    let Some(Former { source, until }) = Former::of(reference).filter(counts) else { return };
    match source.open().await {
        Ok(text) => FormerSecret::new(text, until).put(key, &mut opened.0),
        Err(error) => {
            tracing::warn!(setting = key, %until, %error, "the former secret is unavailable, so no request can be verified by it");
        }
    }
}

/// Returns values that were read without the [former secrets](FormerSecret) and those of [single senders](SenderSecret) beside them, as a
/// plugin sees them.
pub fn without_former(values: &SettingValues) -> SettingValues {
    let mut values = values.clone();
    drop(FormerSecret::take_all(&mut values.0));
    values
}

/// Returns the owner's values for everywhere and for single rooms, with the references of the schema's secrets replaced by
/// the secrets. [Former secrets](FormerSecret) and those of [single senders](SenderSecret) stand beside the values for everywhere. The
/// error names the setting whose secret cannot be read.
pub async fn opened_with_rooms(
    values: &SettingValues,
    rooms: &RoomSettings,
    manifest: &Manifest,
) -> Result<(SettingValues, RoomSettings), (String, SecretError)> {
    let (mut everywhere, mut in_rooms) = (opened(values, manifest).await?, RoomSettings::default());
    open_beside(values, manifest, &mut everywhere).await;
    for (room, values) in &rooms.0 {
        in_rooms.0.insert(room.clone(), opened(values, manifest).await?);
    }
    Ok((everywhere, in_rooms))
}

/// The files in which the command line keeps owners' secrets.
#[derive(Debug)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// Returns the secrets of a data folder.
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("secrets") }
    }

    /// Stores a secret in a file that only this user can read: for a room, or for everywhere. When this returns, the file
    /// is durable.
    pub fn keep(&self, id: &PluginId, room: Option<&str>, name: &str, text: &str) -> io::Result<PathBuf> {
        atomic::make_private_folder(&self.folder.join(id.as_str()))?;
        let path = self.path(id, room, name);
        atomic::write(&path, text.as_bytes(), Readers::Owner)?;
        path.canonicalize()
    }

    /// Returns the path at which the secret of a setting would be kept.
    pub fn path(&self, id: &PluginId, room: Option<&str>, name: &str) -> PathBuf {
        // The address of a room may be longer than the name of a file.
        let file = match room {
            Some(room) => format!("{name}@{}", Digest::of(room.as_bytes()).short()),
            None => name.to_owned(),
        };
        self.folder.join(id.as_str()).join(file)
    }

    /// Returns the names under which secrets beside that of a setting are stored: former ones, and those of single senders.
    pub fn beside(&self, id: &PluginId, name: &str) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.folder.join(id.as_str())) else { return Vec::new() };
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let is_beside = |file: &String| file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        names.filter(|file| is_beside(file) && !file.contains('@')).collect()
    }

    /// Removes the stored secret of a setting.
    pub fn forget(&self, id: &PluginId, room: Option<&str>, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path(id, room, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes each file for which `is_left_over` returns true, given the plugin's id and the file's path.
    pub fn prune(&self, is_left_over: impl Fn(&str, &Path) -> bool) -> io::Result<()> {
        // If the folder does not exist, there are no unused files.
        let Ok(folders) = std::fs::read_dir(&self.folder) else { return Ok(()) };
        for folder in folders {
            let folder = folder?;
            let id = folder.file_name();
            for file in std::fs::read_dir(folder.path())? {
                let file = file?.path();
                if is_left_over(&id.to_string_lossy(), &file) {
                    std::fs::remove_file(file)?;
                }
            }
            // This fails if the folder still has files in it, as intended.
            let _ = std::fs::remove_dir(folder.path());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use parlor_base::shell::tests::given_up;

    use super::*;

    #[tokio::test]
    async fn a_secret_comes_from_a_closed_file_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cr3t\n").unwrap();
        let file = SecretSource::read(&json!({ "file": path })).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(file.open().await, Err(SecretError::Open(_))));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(file.open().await.unwrap(), "s3cr3t");
        let command = |text: &str| SecretSource::Command(text.to_owned());
        assert_eq!(command("echo s3cr3t").open().await.unwrap(), "s3cr3t");
        for bad in ["true", "printf '\\377'", "head -c 20000 /dev/zero | tr '\\0' x", "echo s3cr3t; false"] {
            let error = command(bad).open().await.unwrap_err().to_string();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        assert!(SecretSource::File(folder.path().join("none")).open().await.is_err());
    }

    #[tokio::test]
    async fn a_pipe_is_no_file_with_a_secret_and_nobody_waits_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
        let source = SecretSource::File(pipe.clone());
        // If somebody waited, the runtime would wait for its thread at the end, too.
        let opened = tokio::time::timeout(Duration::from_secs(5), source.open()).await;
        let writer = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
        let error = opened.expect("it is refused at once").unwrap_err().to_string();
        assert_eq!(error, format!("{} cannot be read (it is not a file)", pipe.display()));
        drop(writer);
    }

    /// Otherwise no plugin could be changed any more.
    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_does_not_answer_is_waited_for_for_a_while() {
        let began = tokio::time::Instant::now();
        let error = in_time(std::future::pending::<io::Result<()>>()).await.unwrap_err();
        assert_eq!(error.to_string(), "nothing came within 10 s");
        assert!(began.elapsed() < PATIENCE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_does_not_end_is_ended_with_all_that_it_has_started() {
        let error = given_up(async |line| SecretSource::Command(line).open().await).await.unwrap_err();
        assert_eq!(error.to_string(), format!("its command did not end within 10 s; {ASKS_NOBODY}"));
    }

    #[test]
    fn a_reference_is_a_file_or_a_command_and_nothing_else() {
        for bad in [
            json!("s3cr3t"),
            json!({}),
            json!({ "file": 1 }),
            json!({ "file": "a", "command": "b" }),
            json!({ "x": "y" }),
        ] {
            assert!(!SecretSource::read(&bad).unwrap_err().contains("s3cr3t"));
        }
        let below = |value: Value| SecretSource::below(value, Path::new("/etc/parlor"));
        assert_eq!(below(json!({ "file": "key" })), json!({ "file": "/etc/parlor/key" }));
        assert_eq!(below(json!("text")), json!("text"));
        let former = |file: &str| json!({ "file": file, "until": "2026-01-31T12:00:00Z" });
        assert_eq!(
            below(json!({ "command": "x", "former": former("old") })),
            json!({ "command": "x", "former": former("/etc/parlor/old") })
        );
    }

    #[test]
    fn what_is_kept_is_closed_and_goes() {
        let data = tempfile::tempdir().unwrap();
        let (secrets, id) = (Secrets::new(data.path()), "echo".parse().unwrap());
        let path = secrets.keep(&id, None, "key", "s3cr3t").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        secrets.forget(&id, None, "key").unwrap();
        secrets.forget(&id, None, "key").unwrap();
        assert!(!path.exists());
        secrets.keep(&id, None, "key", "s3cr3t").unwrap();
        secrets.prune(|id, file| id != "echo" || !file.ends_with("echo/key")).unwrap();
        assert!(path.exists());
        secrets.prune(|id, _| id == "echo").unwrap();
        assert!(!path.parent().unwrap().exists());
    }
}
