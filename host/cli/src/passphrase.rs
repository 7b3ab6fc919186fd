//! The passphrase of a backup: from a file, or asked on the terminal.

use std::io::{BufRead as _, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use parlor_base::atomic::is_open_secret;
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_session::Secret;

use super::ask::Terminal;

/// The longest passphrase, in bytes.
const LONGEST: u64 = 1024;
/// How often one is asked for.
const ASKED: usize = 3;

/// Reads the passphrase in the first line of a file.
pub(super) fn in_file(path: &Path) -> anyhow::Result<Secret> {
    let of = || format!("the passphrase in {}", path.escaped());
    let file = std::fs::File::open(path).with_context(of)?;
    let found = file.metadata().with_context(of)?;
    // A pipe of the shell has a mode that says nothing.
    if found.is_file() && is_open_secret(&found) {
        let path = shell_word(&path.to_string_lossy());
        bail!("others on this machine may read the passphrase in {path}: chmod 600 {path}");
    }
    let mut line = String::new();
    // Two bytes more than allowed, so that one that is too long is refused and not cut.
    std::io::BufReader::new(file.take(LONGEST + 2)).read_line(&mut line).with_context(of)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    if line.is_empty() || line.len() as u64 > LONGEST {
        bail!("{} has to have 1 to {LONGEST} bytes", of());
    }
    Ok(Secret::new(line.into_bytes()))
}

/// Asks for a new passphrase, twice. None if the user gives none.
pub(super) fn asked_twice(terminal: &Terminal, shortest: usize) -> anyhow::Result<Option<Secret>> {
    for _ in 0..ASKED {
        let question = format!("A passphrase for the keys, at least {shortest} characters:");
        let Some(first) = terminal.ask_hidden(&question)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        if first.chars().count() < shortest {
            super::show::print(&format!("it has fewer than {shortest} characters"))?;
            continue;
        }
        if terminal.ask_hidden("The same once more:")?.as_ref() == Some(&first) {
            return Ok(Some(Secret::new(first.into_bytes())));
        }
        super::show::print("the two are not the same")?;
    }
    Ok(None)
}

/// Asks for the passphrase of a backup that is there. None if the user gives none.
pub(super) fn asked(terminal: &Terminal) -> anyhow::Result<Option<Secret>> {
    let given = terminal.ask_hidden("The passphrase of the backup:")?.filter(|text| !text.is_empty());
    Ok(given.map(|text| Secret::new(text.into_bytes())))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_of_a_closed_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        write(&path, "correct horse\r\nsecond line\n").unwrap();
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(in_file(&path).unwrap_err().to_string().contains("chmod 600"));
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(&*in_file(&path).unwrap(), b"correct horse");
        for bad in [String::new(), "\n".to_owned(), "x".repeat(1025)] {
            write(&path, bad).unwrap();
            assert!(in_file(&path).unwrap_err().to_string().contains("1 to 1024 bytes"));
        }
        assert!(in_file(&folder.path().join("none")).is_err());
    }
}
