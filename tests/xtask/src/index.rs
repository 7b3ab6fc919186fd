//! `cargo xtask index`: builds the example plugins and writes an index of them, in one folder that a web server can serve.
//! `parlor plugin inspect` says what each of them is, and minisign signs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xtask::{Index, listing};

use crate::setup::{self, Needs};
use crate::{build, workspace};

/// The plugin that exists to be refused, which nobody is offered.
const REFUSED: &str = "snoop";

/// Writes the index.
pub(crate) fn write(flags: &Index) -> Result<()> {
    // Look at the keys before anything is built.
    let public = public_key(&flags.public)?;
    if let Some(key) = flags.key.as_ref().filter(|key| !key.is_file()) {
        bail!("there is no key {}; `minisign -G` makes one", key.display());
    }
    setup::prepare(Needs::Suite)?;
    build::programs()?;
    let folder = workspace::index();
    // The files of an earlier run may be of other versions.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let homepage = flags.homepage.as_deref();
    let mut text = listing::head(flags.serial.unwrap_or(now), &public, homepage);
    let mut files = Vec::new();
    for plugin in workspace::examples()? {
        if plugin.file_name().is_none_or(|name| name != REFUSED) {
            files.push(add(&plugin, &folder, homepage, &mut text)?);
        }
    }
    let index = folder.join("index.toml");
    fs::write(&index, text).with_context(|| format!("cannot write {}", index.display()))?;
    files.push(index);
    match &flags.key {
        Some(key) => sign(key, &files)?,
        None => say("nothing is signed, and parlor takes no index without a signature: minisign -Sm each file"),
    }
    say(&format!("{}: an index of {} plugins", folder.display(), files.len() - 1));
    Ok(())
}

/// Builds a plugin and adds it to the index. Returns the component's path.
fn add(plugin: &Path, folder: &Path, homepage: Option<&str>, index: &mut String) -> Result<PathBuf> {
    let parlor = workspace::program("parlor");
    build::plugin(&parlor, plugin, folder)?;
    let name = plugin.file_name().context("a folder that was listed has a name")?;
    let built = folder.join(name).with_extension("wasm");
    let output = Command::new(&parlor).args(["plugin", "inspect", "--json"]).arg(&built).output();
    let output = output.context("cannot start parlor")?;
    if !output.status.success() {
        bail!("{} cannot be inspected: {}", built.display(), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let told: Value = serde_json::from_slice(&output.stdout).context("parlor printed no JSON")?;
    let entry = listing::entry(&told, homepage);
    let (entry, file) = entry.with_context(|| format!("the JSON about {} lacks something", built.display()))?;
    index.push_str(&entry);
    let file = folder.join(file);
    fs::rename(&built, &file).with_context(|| format!("cannot rename {}", built.display()))?;
    Ok(file)
}

/// Reads the second line of a `minisign.pub`.
fn public_key(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the public key {}", path.display()))?;
    let key = text.lines().nth(1).map(str::trim).filter(|key| !key.is_empty());
    key.map(str::to_owned).with_context(|| format!("{} has no second line, as each minisign.pub has", path.display()))
}

/// Signs each of these files. minisign asks for the password of the key, if it has one.
fn sign(key: &Path, files: &[PathBuf]) -> Result<()> {
    let status = Command::new("minisign").arg("-S").arg("-s").arg(key).arg("-m").args(files).status();
    let status = status.context("cannot start minisign; install it, or leave out --key and sign elsewhere")?;
    if !status.success() {
        bail!("minisign ended with {status}, so not everything is signed");
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn say(line: &str) {
    eprintln!("  ✓ {line}");
}
