//! axe-core, the checker of pages for people who use a keyboard or a screen reader. npm fetches one version of it, whose
//! digest is written here, into the folder of tools; nothing of it is part of parlor.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::run::{Output, run};
use crate::workspace;

/// The package, and its version.
const PACKAGE: &str = "axe-core@4.14.1";
/// The archive that npm writes.
const ARCHIVE: &str = "axe-core-4.14.1.tgz";
/// The archive's SHA-256 digest.
const DIGEST: &str = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745";
/// The path of the checker in the archive, and its name in the folder.
const SCRIPT: [&str; 2] = ["package/axe.min.js", "axe.min.js"];

/// Makes sure that `target/tools/axe/axe.min.js` is the checker. It is unpacked anew each time, from an archive whose digest
/// was compared.
pub(crate) fn fetch() -> Result<()> {
    let folder = workspace::tools().join("axe");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let archive = folder.join(ARCHIVE);
    if digest(&archive).ok().as_deref() != Some(DIGEST) {
        let mut npm = Command::new("npm");
        npm.args(["pack", PACKAGE, "--silent", "--ignore-scripts", "--pack-destination"]).arg(&folder);
        run(&format!("fetching {PACKAGE}"), npm.current_dir(&folder), Output::Kept)
            .context("npm has to reach its registry")?;
        let found = digest(&archive)?;
        if found != DIGEST {
            bail!("{PACKAGE} has the digest {found} and should have {DIGEST}; remove {}", archive.display());
        }
    }
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(&folder).args(["--strip-components=1", SCRIPT[0]]);
    run("unpacking axe-core", &mut tar, Output::Kept)?;
    ensure!(folder.join(SCRIPT[1]).is_file(), "{} has no {}", archive.display(), SCRIPT[0]);
    Ok(())
}

/// Returns the SHA-256 digest of a file, in hexadecimal.
fn digest(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg("--").arg(file).stderr(Stdio::null()).output();
    let output = output.context("cannot start sha256sum")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let word = text.split_whitespace().next().filter(|_| output.status.success());
    word.map(str::to_owned).with_context(|| format!("{} cannot be read", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_digest_and_one_that_is_not_there_has_none() {
        let empty = digest(Path::new("/dev/null")).unwrap();
        assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest(Path::new("/nowhere/at/all")).unwrap_err().to_string(), "/nowhere/at/all cannot be read");
    }

    #[test]
    fn the_archive_is_that_of_the_version() {
        assert_eq!(ARCHIVE, format!("{}.tgz", PACKAGE.replace('@', "-")));
    }
}
