//! `plugins.toml` while a command changes it: locked against other commands, checked for changes since it was read, and
//! replaced as a whole. A spare file beside it is given up for that on a full disk.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parlor_base::atomic::{self, Locked, PATIENCE, Readers};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;

use super::edit::{Change, Unchangeable, edit, edit_order};
use super::hooks::OrderName;
use super::{Policy, PolicyError};

/// The bytes by which the spare file is longer than the policy, which may grow.
const SPARE: usize = 8 << 10;

/// The error when the policy was not changed. It is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The policy cannot be read, so it is not overwritten either.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Another command is changing it and does not finish.
    #[error("another command is changing {}: answer its question or end it, and try again; `lslocks` shows its process id", .0.escaped())]
    Busy(PathBuf),
    /// It was changed concurrently.
    #[error("somebody changed {} at the same moment, so nothing was written; try again", .0.escaped())]
    Changed(PathBuf),
    /// It is written in a way that cannot be edited automatically.
    #[error("{}: {cause}", path.escaped())]
    Unchangeable {
        /// The file's path.
        path: PathBuf,
        /// The advice on what to do instead.
        cause: Unchangeable,
    },
    /// The file cannot be written, for instance because the disk is full.
    #[error("{} cannot be written ({cause}); nothing has changed{}", path.escaped(), remedy(cause))]
    Write {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
}

/// Returns the end of the sentence about a file that cannot be written.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::PermissionDenied => {
            ": run this as the user that the host runs as, which has to be able to write to that folder"
        }
        ErrorKind::ReadOnlyFilesystem => ": mount its file system for writing",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ": make room there",
        _ => "",
    }
}

/// The policy, locked. Others wait until it is dropped.
#[derive(Debug)]
pub struct PolicyFile {
    /// The resolved path. A symbolic link to the policy stays a link.
    path: PathBuf,
    /// The path as the owner gave it. Paths in the policy are relative to its folder.
    named: PathBuf,
    /// The text as it was read; `None` if there is no file.
    text: Option<String>,
    policy: Policy,
    _lock: Locked,
}

impl PolicyFile {
    /// Waits for the lock and reads the policy. If that takes longer than a second, `waits` is called once.
    pub fn open(path: &Path, waits: impl FnOnce()) -> Result<Self, EditError> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let lock = lock(&real, waits)?;
        let text = Policy::read(path)?;
        let policy = match &text {
            None => Policy::default(),
            Some(text) => Policy::understand(text, path)?,
        };
        Ok(Self { path: real, named: path.to_owned(), text, policy, _lock: lock })
    }

    /// Returns the parsed policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the text with these changes. It is parsed as a host would parse it, and refused if that fails.
    fn changed(&self, id: &PluginId, changes: &[Change]) -> Result<String, EditError> {
        self.understood(edit(self.text.as_deref().unwrap_or_default(), id.as_str(), changes))
    }

    /// Returns the text with these plugins in an order of hooks, likewise.
    fn ordered(&self, order: OrderName, ids: &[PluginId]) -> Result<String, EditError> {
        self.understood(edit_order(self.text.as_deref().unwrap_or_default(), order, ids))
    }

    /// Checks a text as a host would parse it.
    fn understood(&self, edited: Result<String, Unchangeable>) -> Result<String, EditError> {
        let text = edited.map_err(|cause| EditError::Unchangeable { path: self.path.clone(), cause })?;
        Policy::understand(&text, &self.named)?;
        Ok(text)
    }

    /// Returns the policy as it would be with these changes of one plugin's entry.
    pub fn with(&self, id: &PluginId, changes: &[Change]) -> Result<Policy, EditError> {
        Ok(Policy::understand(&self.changed(id, changes)?, &self.named)?)
    }

    /// Returns the policy as it would be with these plugins in an order of hooks.
    pub fn with_order(&self, order: OrderName, ids: &[PluginId]) -> Result<Policy, EditError> {
        Ok(Policy::understand(&self.ordered(order, ids)?, &self.named)?)
    }

    /// Changes one plugin's entry. When this returns, the change is durable.
    pub fn change(&mut self, id: &PluginId, changes: &[Change]) -> Result<(), EditError> {
        self.write(self.changed(id, changes)?)
    }

    /// Changes an order of hooks, likewise.
    pub fn change_order(&mut self, order: OrderName, ids: &[PluginId]) -> Result<(), EditError> {
        self.write(self.ordered(order, ids)?)
    }

    fn write(&mut self, text: String) -> Result<(), EditError> {
        if self.text.as_deref() == Some(text.as_str()) {
            return Ok(());
        }
        // Editors do not take the lock.
        if Policy::read(&self.path)? != self.text {
            return Err(EditError::Changed(self.path.clone()));
        }
        write(&self.path, &text).map_err(|cause| EditError::Write { path: self.path.clone(), cause })?;
        self.policy = Policy::understand(&text, &self.named)?;
        self.text = Some(text);
        Ok(())
    }
}

/// Does something while no command can change the policy, nor the component store, which is changed under the same lock.
pub fn locked<T>(path: &Path, doing: impl FnOnce() -> T) -> Result<T, EditError> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let _lock = lock(&real, || {})?;
    Ok(doing())
}

/// Replaces the whole policy by a text from elsewhere, if it still is as it was read. `before` is called while the policy is
/// locked, with its resolved path, and nothing is written if it fails. When this returns, the change is durable.
pub fn replace(
    path: &Path,
    present: Option<&str>,
    text: &str,
    before: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), EditError> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let _lock = lock(&real, || {})?;
    if Policy::read(path)?.as_deref() != present {
        return Err(EditError::Changed(real));
    }
    Policy::understand(text, path)?;
    let written = before(&real).and_then(|()| write(&real, text));
    written.map_err(|cause| EditError::Write { path: real, cause })
}

/// Replaces the policy. On a full disk it gives up the spare file: an owner can stop a plugin at once, without finding space first.
fn write(policy: &Path, text: &str) -> io::Result<()> {
    with_spare(policy, || atomic::write(policy, text.as_bytes(), Readers::Same))?;
    keep_spare(policy, text.len());
    Ok(())
}

fn with_spare(policy: &Path, mut write: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let is_full = |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    match write() {
        Err(error) if is_full(&error) && fs::remove_file(spare_file(policy)).is_ok() => write(),
        written => written,
    }
}

/// Makes the spare file, unless there is one in which a policy of this length has room. If that fails, there is none.
fn keep_spare(policy: &Path, length: usize) {
    let spare = spare_file(policy);
    if !spare.symlink_metadata().is_ok_and(|found| found.len() >= length as u64) {
        let _ = atomic::write(&spare, &vec![b'\n'; length + SPARE], Readers::Owner);
    }
}

fn spare_file(policy: &Path) -> PathBuf {
    atomic::hidden_beside(policy, ".spare")
}

/// Keeps other commands from changing the policy.
fn lock(policy: &Path, waits: impl FnOnce()) -> Result<Locked, EditError> {
    atomic::lock_beside(policy, PATIENCE, waits).map_err(|cause| match cause.kind() {
        ErrorKind::WouldBlock => EditError::Busy(policy.to_owned()),
        _ => EditError::Write { path: atomic::lock_file(policy), cause },
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use parlor_base::id::Digest;

    use super::*;

    fn entry(source: &str) -> Change {
        let digest = Digest::of(b"");
        Change::Add(format!("source = \"{source}\"\ndigest = \"{digest}\"\n").parse().unwrap())
    }

    fn open(path: &Path) -> Result<PolicyFile, EditError> {
        PolicyFile::open(path, || {})
    }

    fn id(id: &str) -> PluginId {
        id.parse().unwrap()
    }

    #[test]
    fn a_change_is_written_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        let mut file = open(&path).unwrap();
        file.change(&id("echo"), &[entry("echo.wasm")]).unwrap();
        assert_eq!(file.policy(), &Policy::load(&path).unwrap());
        file.change(&id("echo"), &[Change::Set(vec!["enabled".into()], false.into())]).unwrap();
        assert!(!Policy::load(&path).unwrap().plugins["echo"].enabled);
        // A change that no host could parse is not written.
        let error = file.change(&id("echo"), &[Change::Set(vec!["enabled".into()], "no".into())]).unwrap_err();
        assert!(error.to_string().contains("has to be true or false"), "{error}");
        assert!(!Policy::load(&path).unwrap().plugins["echo"].enabled);
    }

    /// No command could read it, and a host that starts would run no plugin.
    #[test]
    fn a_policy_that_is_too_long_to_be_read_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        let long = "\n".repeat(usize::try_from(super::super::MAX_BYTES).unwrap() + 1);
        let error = replace(&path, None, &long, |_| Ok(())).unwrap_err();
        assert!(matches!(error, EditError::Policy(PolicyError::TooLong { .. })) && !path.exists(), "{error}");
    }

    #[test]
    fn a_policy_that_cannot_be_written_is_told_of_with_a_remedy() {
        let says = |kind: ErrorKind| EditError::Write { path: "plugins.toml".into(), cause: kind.into() }.to_string();
        let denied = says(ErrorKind::PermissionDenied);
        assert!(denied.contains("nothing has changed: run this as the user that the host runs as"), "{denied}");
        let full = says(ErrorKind::StorageFull);
        assert!(full.ends_with("nothing has changed: make room there"), "{full}");
        assert!(says(ErrorKind::NotADirectory).ends_with("nothing has changed"));
    }

    #[test]
    fn what_somebody_wrote_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        let mut file = open(&path).unwrap();
        file.change(&id("echo"), &[entry("echo.wasm")]).unwrap();
        let mine = format!("{}# mine\n", fs::read_to_string(&path).unwrap());
        fs::write(&path, &mine).unwrap();
        assert!(matches!(file.change(&id("x"), &[entry("x.wasm")]), Err(EditError::Changed(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), mine);
    }

    #[test]
    fn a_policy_from_elsewhere_takes_the_place_of_the_one_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        let read = || fs::read_to_string(&path).unwrap();
        replace(&path, None, "# one\n", |_| Ok(())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = replace(&path, Some("# other\n"), "# two\n", |_| Ok(())).unwrap_err();
        assert!(matches!(error, EditError::Changed(_)) && read() == "# one\n", "{error}");
        let error = replace(&path, Some("# one\n"), "[plugin.echo]\n", |_| Ok(())).unwrap_err();
        assert!(matches!(error, EditError::Policy(_)) && read() == "# one\n", "{error}");
        let error = replace(&path, Some("# one\n"), "# two\n", |_| Err(io::Error::other("full"))).unwrap_err();
        assert!(matches!(error, EditError::Write { .. }) && read() == "# one\n", "{error}");
        replace(&path, Some("# one\n"), "# two\n", |_| Ok(())).unwrap();
        assert_eq!((read().as_str(), path.metadata().unwrap().permissions().mode() & 0o777), ("# two\n", 0o640));
    }

    #[test]
    fn on_a_full_disk_a_change_takes_the_place_of_the_spare_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        let spare = spare_file(&path);
        let mut file = open(&path).unwrap();
        file.change(&id("echo"), &[entry("echo.wasm")]).unwrap();
        let found = spare.metadata().unwrap();
        assert!(found.len() >= path.metadata().unwrap().len() && found.permissions().mode() & 0o777 == 0o600);
        let full = || if spare.exists() { Err(io::Error::from(ErrorKind::StorageFull)) } else { Ok(()) };
        with_spare(&path, full).unwrap();
        assert!(!spare.exists());
        let denied = || Err(io::Error::from(ErrorKind::StorageFull));
        assert_eq!(with_spare(&path, denied).unwrap_err().kind(), ErrorKind::StorageFull, "there is no other one");
        // The next change makes it again, for a policy of any length.
        for number in 0..60 {
            file.change(&id(&format!("p{number}")), &[entry(&"x".repeat(100))]).unwrap();
        }
        assert!(path.metadata().unwrap().len() > SPARE as u64);
        assert!(spare.metadata().unwrap().len() > path.metadata().unwrap().len());
        let other = || Err(io::Error::from(ErrorKind::PermissionDenied));
        assert!(with_spare(&path, other).is_err() && spare.exists(), "it is for a full disk alone");
    }

    #[test]
    fn a_link_stays_a_link_and_a_broken_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("plugins.toml"));
        fs::write(&real, "# mine\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        open(&link).unwrap().change(&id("echo"), &[entry("echo.wasm")]).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().starts_with("# mine\n\n[plugin.echo]\n"));
        fs::write(&real, "[plugin.echo\n").unwrap();
        let error = open(&link).unwrap_err().to_string();
        assert!(error.contains("plugins.toml:1:"), "{error}");
    }

    #[test]
    fn two_at_once_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    let mut file = open(path).unwrap();
                    file.change(&id(&format!("p{number}")), &[entry("x.wasm")]).unwrap();
                });
            }
        });
        assert_eq!(Policy::load(&path).unwrap().plugins.len(), 8);
    }

    #[test]
    fn who_waits_long_for_another_hears_of_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.toml");
        let (mut held, mut said) = (Some(open(&path).unwrap()), 0);
        PolicyFile::open(&path, || {
            said += 1;
            drop(held.take());
        })
        .unwrap();
        assert_eq!(said, 1);
        PolicyFile::open(&path, || said += 1).unwrap();
        assert_eq!(said, 1, "nobody waits for nobody");
    }
}
