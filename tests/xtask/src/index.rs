//! `cargo xtask index`: builds the example plugins and writes an index of them, in one folder that a web server can serve.
//! `parlor plugin inspect` says what each of them is, and minisign signs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xtask::Index;

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
    let mut text = format!(
        "format = 1\nname = \"examples\"\nserial = {}\ndescription = \"The example plugins of parlor\"\nkey = {}\n",
        flags.serial.unwrap_or(now),
        quoted(&public)
    );
    let mut files = Vec::new();
    for plugin in workspace::examples()? {
        if plugin.file_name().is_none_or(|name| name != REFUSED) {
            files.push(add(&plugin, &folder, &mut text)?);
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
fn add(plugin: &Path, folder: &Path, index: &mut String) -> Result<PathBuf> {
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
    let (entry, file) = entry(&told).with_context(|| format!("the JSON about {} lacks something", built.display()))?;
    index.push_str(&entry);
    let file = folder.join(file);
    fs::rename(&built, &file).with_context(|| format!("cannot rename {}", built.display()))?;
    Ok(file)
}

/// Returns a plugin's part of the index, and the name of its file beside it.
fn entry(told: &Value) -> Option<(String, String)> {
    let of = |key: &str| told[key].as_str();
    let (name, version) = (of("name")?, of("version")?);
    let file = format!("{name}-{version}.wasm");
    let permissions = told["permissions"].as_array()?.iter().map(|one| one["permission"].as_str().map(quoted));
    let permissions = permissions.collect::<Option<Vec<_>>>()?.join(", ");
    let mut text = format!("\n[plugin.{name}]\ndescription = {}\n", quoted(of("description")?));
    if let Some(language) = of("language") {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "language = {}", quoted(language));
    }
    let (source, digest) = (quoted(&file), quoted(of("digest")?));
    let _ = write!(
        text,
        "\n[plugin.{name}.version.{}]\nsource = {source}\ndigest = {digest}\npermissions = [{permissions}]\n",
        quoted(version)
    );
    Some((text, file))
}

/// Returns a text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_plugin_is_becomes_its_part_of_the_index() {
        let told = json!({
            "name": "echo", "version": "0.1.0", "description": "Says \"it\" again", "language": "Rust",
            "digest": "sha256:00", "permissions": [{ "permission": "messages.read" }, { "permission": "rooms.send" }],
        });
        let (text, file) = entry(&told).unwrap();
        assert_eq!(file, "echo-0.1.0.wasm");
        let table: toml::Table = text.parse().unwrap();
        let echo = &table["plugin"]["echo"];
        assert_eq!(echo["description"].as_str(), Some("Says \"it\" again"));
        let version = &echo["version"]["0.1.0"];
        let is = |key: &str| version[key].as_str();
        assert_eq!((is("source"), is("digest")), (Some("echo-0.1.0.wasm"), Some("sha256:00")));
        assert_eq!(version["permissions"][1].as_str(), Some("rooms.send"));
        assert_eq!(entry(&json!({ "name": "echo" })), None);
    }
}
