//! Whether others can change or read the files of the host, and whether the host can write its data.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use parlor::host::LOCK;
use parlor_base::atomic::{self, Readers, folder_of};
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_config::{Config, accounts_file};
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::disk;
use super::findings::Findings;

const CHECK: &str = "files";

/// Checks the files that control the host, and its data folder.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let count = findings.findings.len();
    let accounts = accounts_file(&config.path);
    let files = || [&config.path, &config.plugins].into_iter().chain(&accounts);
    if let Some(path) = &accounts
        && path.is_symlink()
        && let Err(error) = path.metadata()
    {
        // The host runs on without its accounts, and says nothing.
        let says = format!("the link {} leads nowhere, so its accounts are missing: {error}", path.escaped());
        findings.broken(CHECK, says, "bring back the file that it names, or remove the link");
    }
    for Open { says, remedy } in open_to_others(config) {
        findings.broken(CHECK, says, &remedy);
    }
    let written = write(&config.data);
    let mut is_denied_as_another = false;
    if let Ok(found) = config.data.metadata() {
        let is_anothers =
            |path: &Path| path.metadata().is_ok_and(|one| one.uid() != found.uid() && one.mode() & 0o004 == 0);
        for path in files().filter(|path| is_anothers(path)) {
            let says = format!("{} belongs to another user than the data folder", path.escaped());
            findings.broken(CHECK, says, "chown it to the user that the host runs as");
        }
        // If a host ran there as another user, it left more files than this one.
        let lock = config.data.join(LOCK);
        if lock.metadata().is_ok_and(|one| one.uid() != found.uid()) {
            let says = format!("{} belongs to another user than the data folder", lock.escaped());
            findings.broken(
                CHECK,
                says,
                &format!("chown --recursive --reference={0} {0}", shell_word(&config.data.to_string_lossy())),
            );
        }
        if atomic::is_open(&found.permissions()) {
            let says = format!("others on this machine may look into the data folder {}", config.data.escaped());
            findings.broken(CHECK, says, &format!("chmod 700 {}", shell_word(&config.data.to_string_lossy())));
        }
        if let Ok(own) = Path::new("/proc/self").metadata()
            && own.uid() != 0
            && own.uid() != found.uid()
        {
            let says = format!("the data folder {} belongs to another user", config.data.escaped());
            findings.broken(CHECK, says, "run this as the user that the host runs as");
            is_denied_as_another = written.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        }
    }
    if let Err(error) = written
        && !is_denied_as_another
    {
        not_written(config, &error, findings);
    }
    if findings.findings.len() == count {
        findings.fine(CHECK, "nobody else can write the configuration and the policy, or look into the data folder");
    }
}

/// A file of the configuration that others on this machine can write or replace.
pub(crate) struct Open {
    /// The file or its folder, and what they can decide by it.
    pub(crate) says: String,
    /// The command that corrects it.
    pub(crate) remedy: String,
}

/// Returns the files of the configuration that others on this machine can write, and the folders in which they can replace them.
pub(crate) fn open_to_others(config: &Config) -> Vec<Open> {
    let accounts = accounts_file(&config.path);
    let may = [
        (Some(&config.path), "decide where accounts log in and who their owners are"),
        (Some(&config.plugins), "decide what plugins may do"),
        (accounts.as_ref(), "decide which accounts there are"),
    ];
    let open = may.into_iter().filter_map(|(path, may)| {
        let path = path?;
        let is_open = path.metadata().is_ok_and(|found| found.permissions().mode() & 0o022 != 0);
        is_open.then(|| Open {
            says: format!("others on this machine may write {}, and {may}", path.escaped()),
            remedy: format!("chmod go-w {}", shell_word(&path.to_string_lossy())),
        })
    });
    let folders: BTreeSet<_> =
        [&config.path, &config.plugins, &config.data].into_iter().map(|path| folder_of(path)).collect();
    let replaceable = folders.into_iter().filter(|folder| others_may_replace_in(folder)).map(|folder| Open {
        says: format!(
            "others on this machine may put other files in the place of those in the folder {}, and decide what the host does",
            folder.escaped()
        ),
        remedy: format!("chmod o-w {}", shell_word(&folder.to_string_lossy())),
    });
    open.chain(replaceable).collect()
}

/// Returns whether others on this machine can replace files of a folder. In a sticky folder, such as /tmp, only the owner of a
/// file can. The folder's group does not count: many systems give each user a group of their own, which may write by default.
fn others_may_replace_in(folder: &Path) -> bool {
    let is_open = folder.metadata().is_ok_and(|found| found.mode() & 0o1002 == 0o002);
    // Kubernetes mounts files of a configuration in a folder with mode 0777, which nobody can write.
    is_open && !statvfs(folder).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Writes a file into a folder, and removes it. If the folder does not exist, it checks whether it could be created.
fn write(folder: &Path) -> io::Result<()> {
    if matches!(folder.try_exists(), Ok(false)) {
        return Ok(access(disk::existing(folder), Access::WRITE_OK | Access::EXEC_OK)?);
    }
    // The permissions alone do not tell: the file system may be mounted read-only, or full.
    let file = folder.join(format!(".doctor-{}", std::process::id()));
    atomic::write(&file, b"`parlor doctor` wrote this, and it can be removed\n", Readers::Owner)?;
    fs::remove_file(file)
}

/// Reports that nothing can be written into the data folder.
pub(super) fn not_written(config: &Config, error: &io::Error, findings: &mut Findings) {
    let (data, file) = (&config.data, config.path.escaped());
    let path = shell_word(&data.to_string_lossy());
    let remedy = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            format!("mount its file system for writing, or name another folder in `data` of {file}")
        }
        ErrorKind::PermissionDenied => {
            format!("chown it to the user that the host runs as, chmod u+rwx {path}, and run this as that user")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there".to_owned(),
        _ => format!("name a folder that the host can write in `data` of {file}"),
    };
    findings.broken(CHECK, format!("the data folder {} cannot be written: {error}", data.escaped()), &remedy);
}
