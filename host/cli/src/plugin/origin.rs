//! The requirements of an owner on the origin of a plugin's file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use parlor_base::atomic::is_open_secret;
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_base::id::Digest;
use parlor_config::Hidden;
use parlor_plugins::admin::Expected;
use parlor_plugins::source::LogIn;

/// The longest password, in bytes.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// The owner's requirements on the origin of the file.
#[derive(Debug, Default, Args)]
pub(crate) struct Origin {
    /// Refuse it unless it has this digest, `sha256:…`.
    #[arg(long)]
    digest: Option<Digest>,
    /// Ignore its signature: the plugin then counts as unsigned.
    #[arg(long)]
    unsigned: bool,
    /// Log in to the registry under this name, if it requires that; by default with the log-in of docker, podman or
    /// oras.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// The password for that, or a token in its place: the first line of this file, or of standard input if it is `-`.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
}

impl Origin {
    pub(super) fn expected(&self) -> anyhow::Result<Expected> {
        let login = match (&self.username, &self.password_file) {
            (Some(user), Some(path)) => LogIn::Given { user: user.clone(), password: Hidden(password(path)?) },
            _ => LogIn::Stored,
        };
        Ok(Expected { digest: self.digest, unsigned: self.unsigned, publisher: None, login })
    }
}

/// Reads the first line of a file, or of standard input.
fn password(path: &Path) -> anyhow::Result<String> {
    let mut line = String::new();
    // Two more bytes than allowed, for the line end: a password that is too long is then refused, not truncated.
    let most = LONGEST_PASSWORD + 2;
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_line(&mut line)
    } else {
        let file = File::open(path).with_context(|| format!("cannot read the password in {}", path.escaped()))?;
        if is_open_secret(&file.metadata()?) {
            bail!("others on this machine may read the password: chmod 600 {}", shell_word(&path.to_string_lossy()));
        }
        BufReader::new(file.take(most)).read_line(&mut line)
    };
    read.with_context(|| format!("cannot read the password in {}", path.escaped()))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("there is no password in {}", path.escaped());
    }
    if password.len() as u64 > LONGEST_PASSWORD {
        bail!("the first line of {} has more than {LONGEST_PASSWORD} bytes, which no password has", path.escaped());
    }
    Ok(password.to_owned())
}
