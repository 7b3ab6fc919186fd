//! `parlor cluster key`: makes the key that the nodes of a cluster share, or a further one to replace it by.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use parlor::cluster::KeyRing;
use parlor_base::atomic::{self, PATIENCE, Readers, folder_of, lock_beside, open_plain};
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_session::Secret;
use serde::Serialize;

use crate::show::{print, print_json};
use crate::target::{self, Target};

/// The name of the file unless one is named.
const USUAL: &str = "cluster.key";
/// The largest file of keys, in bytes, which is as much as a secret may have.
const LARGEST: u64 = 16 * 1024;

/// The arguments of `parlor cluster key`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file has mode 0600, and the command does not overwrite an existing file. Copy it to all nodes over a channel that nobody else can read, and keep a copy elsewhere: without the key, nobody can read the accounts' data in NATS. Several machines (docs/owner/cluster.md) says how to replace a key.\n\nExamples:\n  parlor cluster key                   writes cluster.key beside parlor.toml\n  parlor cluster key /etc/bots.key     writes another file\n  parlor cluster key --add             adds a key behind those of the file, to replace the first\n\nExit codes: 0 written, 1 failed, such as when the file is there already, 2 wrong usage"
)]
pub struct KeyArgs {
    /// The file. By default cluster.key beside the configuration.
    file: Option<PathBuf>,
    /// Add a key behind those of the file. It decrypts; it encrypts once its line is the first one.
    #[arg(long)]
    add: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The report on the written file, which contains no key.
#[derive(Debug, Serialize)]
struct Written {
    file: PathBuf,
    /// The id of the new key.
    key: String,
    /// The ids of all keys of the file; the first one encrypts.
    keys: Vec<String>,
}

impl KeyArgs {
    /// Runs the command.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.target.config().with_file_name(USUAL),
        };
        let written = if self.add { add(&file, PATIENCE)? } else { make(&file)? };
        if self.json { print_json(&written) } else { print(&self.says(&written)) }
    }

    fn says(&self, Written { file, key, .. }: &Written) -> String {
        let shown = file.escaped();
        if self.add {
            format!(
                "added the key {key} to {shown}, behind the one that encrypts\nCopy the file to all nodes and start each again. Then move the line of {key} to the top, and do so once more.\n"
            )
        } else {
            // A path in the configuration is relative to its folder.
            let written = if self.file.is_some() { std::path::absolute(file) } else { Ok(USUAL.into()) };
            let written = written.unwrap_or_else(|_| file.clone());
            let written = written.to_string_lossy();
            format!(
                "wrote {shown} with the key {key}\nCopy it to all nodes, keep a copy elsewhere, and write key_file = {written:?} under [cluster] on each node.\n"
            )
        }
    }
}

/// Writes a file with one key, if there is none.
fn make(file: &Path) -> anyhow::Result<Written> {
    let (id, line) = KeyRing::generate();
    let written = (|| {
        let mut to = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        to.write_all(KeyRing::file(&line).as_bytes())?;
        to.sync_all()?;
        std::fs::File::open(folder_of(file))?.sync_all()
    })();
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "{} is there already, and without its key nobody could read what accounts keep: name another file, or add a key to it with --add",
            file.escaped()
        ),
        written => written.with_context(|| file.escaped().to_string())?,
    }
    Ok(Written { file: file.to_owned(), key: id.to_string(), keys: vec![id.to_string()] })
}

/// Adds a key behind those of a file. Others that do so are waited for at most this long.
fn add(file: &Path, most: Duration) -> anyhow::Result<Written> {
    let shown = || file.escaped().to_string();
    let _alone = match lock_beside(file, most, || target::say_that_another_works_on(file)) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => bail!(
            "another command is changing {}: wait until it has ended, or end it, and try again; `lslocks` shows its process id",
            shown()
        ),
        locked => locked.with_context(shown)?,
    };
    let opened = open_plain(file, 0).with_context(shown)?;
    if atomic::is_open_secret(&opened.metadata().with_context(shown)?) {
        bail!("others on this machine may read it: chmod 600 {}", shell_word(&file.to_string_lossy()));
    }
    let mut bytes = Vec::new();
    opened.take(LARGEST + 1).read_to_end(&mut bytes).with_context(shown)?;
    let before = Secret::new(bytes);
    let text = std::str::from_utf8(&before).with_context(shown)?;
    KeyRing::parse(text).with_context(shown)?;
    let (id, line) = KeyRing::generate();
    let gap = if text.ends_with('\n') { "" } else { "\n" };
    let after = Secret::new([text, gap, line.as_str()].concat().into_bytes());
    // Otherwise no node could read it any more.
    let keys = KeyRing::parse(std::str::from_utf8(&after)?).with_context(shown)?;
    if after.len() as u64 > LARGEST {
        bail!(
            "{} would become too large for a secret: remove comments, or keys that nothing is encrypted with",
            shown()
        );
    }
    atomic::write(file, &after, Readers::Same).with_context(shown)?;
    let keys = keys.ids().map(|id| id.to_string()).collect();
    Ok(Written { file: file.to_owned(), key: id.to_string(), keys })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn keys(file: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap();
        KeyRing::parse(&text).unwrap().ids().map(|id| id.to_string()).collect()
    }

    #[test]
    fn a_key_is_made_for_its_owner_alone_and_none_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.key");
        let made = make(&file).unwrap();
        assert_eq!(keys(&file), std::slice::from_ref(&made.key));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = make(&file).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
        assert_eq!(keys(&file), [made.key]);
    }

    #[test]
    fn a_key_is_added_behind_the_one_that_encrypts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.key");
        let add = || add(&file, Duration::ZERO);
        assert!(add().is_err(), "there is none");
        let first = make(&file).unwrap().key;
        let added = add().unwrap();
        assert_eq!(added.keys, [first, added.key.clone()]);
        assert_eq!(keys(&file), added.keys);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(add().unwrap_err().to_string().contains("chmod 600"));
        assert_eq!(keys(&file), added.keys);
    }

    #[test]
    fn only_another_command_is_waited_for_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.key");
        make(&file).unwrap();
        // Others can open the folder, and lock it.
        let _held = atomic::try_alone_in(folder.path());
        add(&file, Duration::ZERO).unwrap();
        let _other = lock_beside(&file, Duration::ZERO, || ()).unwrap();
        let error = add(&file, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("another command is changing") && keys(&file).len() == 2, "{error}");
    }
}
