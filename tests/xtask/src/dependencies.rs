//! Third-party crates: checks their licences and sources against `deny.toml`, checks for advisories about them, and
//! lists them for the package.

mod bill;
mod licence;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::run::{Output, run, run_within};
use crate::workspace;

pub(crate) use bill::write as write_bill;

/// The only registry that crates may come from, as Cargo.lock names it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// How long the download of the advisory database may take.
const FETCH: Duration = Duration::from_mins(2);

/// The fields of `cargo metadata` that are used here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// The registry, or `None` for a crate of this workspace.
    source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// The parts of `deny.toml` that are used here. cargo-deny reads all of it.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<String>,
}

/// Checks every crate that is compiled here, for this platform.
pub(crate) fn check() -> Result<()> {
    let metadata = metadata()?;
    let faults = faults(&metadata.packages, &rules()?);
    if !faults.is_empty() {
        bail!("dependencies that deny.toml does not allow:\n  {}", faults.join("\n  "));
    }
    say(&format!("{} packages: licences and sources are allowed", metadata.packages.len()));
    advisories()
}

/// Lists each package that is not allowed, with the reason.
fn faults(packages: &[Package], rules: &Rules) -> Vec<String> {
    let mut faults = Vec::new();
    for Package { name, version, license, source, .. } in packages {
        let mut fault = |what: String| faults.push(format!("{name} {version}: {what}"));
        match license.as_deref().map(|license| (license, licence::is_allowed(license, &rules.licenses.allow))) {
            None => fault("it names no licence".to_owned()),
            Some((license, Ok(false))) => fault(format!("its licence {license} is not allowed")),
            Some((license, Err(why))) => fault(format!("its licence {license} cannot be read: {why}")),
            Some((_, Ok(true))) => {}
        }
        if let Some(source) = source.as_deref().filter(|source| *source != REGISTRY) {
            fault(format!("it comes from {source}, and not from crates.io"));
        }
        if rules.bans.deny.contains(name) {
            fault("it is banned".to_owned());
        }
    }
    faults
}

/// Runs cargo-deny if it is installed and its database can be downloaded. Otherwise the check reports that it was
/// skipped.
fn advisories() -> Result<()> {
    let skipped = |why: &str| {
        say(&format!("advisories: SKIPPED, {why}"));
        Ok(())
    };
    let mut asked = workspace::cargo(["deny", "--version"]);
    if !asked.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skipped("cargo-deny is not installed: cargo install cargo-deny");
    }
    if let Err(error) = run_within("fetching advisories", &mut deny(&["fetch", "db"]), Output::Kept, FETCH) {
        return match error.downcast::<crate::run::Interrupted>() {
            Ok(interrupted) => Err(interrupted.into()),
            Err(_) => skipped("the database of advisories cannot be reached from here"),
        };
    }
    run("advisories", &mut deny(&["--offline", "check", "advisories"]), Output::Kept)?;
    say("advisories: none is out about any of them");
    Ok(())
}

fn deny(arguments: &[&str]) -> Command {
    workspace::cargo(["deny"].into_iter().chain(arguments.iter().copied()))
}

fn metadata() -> Result<Metadata> {
    // Only this platform: crates for others are not compiled here, and may not have been fetched.
    let platform = format!("--filter-platform={}", platform()?);
    let arguments = ["metadata", "--format-version=1", "--locked", platform.as_str()];
    serde_json::from_slice(&output(&mut workspace::cargo(arguments))?).context("cargo metadata said something else")
}

/// Returns the target platform.
fn platform() -> Result<String> {
    let said = String::from_utf8(output(Command::new("rustc").arg("-vV"))?)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it compiles for")?.to_owned())
}

fn rules() -> Result<Rules> {
    let path = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as it should be", path.display()))
}

/// Reads the checksums of crates from crates.io, by name and version, from Cargo.lock.
fn checksums() -> Result<BTreeMap<(String, String), String>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let text = fs::read_to_string(workspace::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let lock: Lock = toml::from_str(&text).context("Cargo.lock is not as it should be")?;
    let known = lock.package.into_iter().filter_map(|one| Some(((one.name, one.version), one.checksum?)));
    Ok(known.collect())
}

/// Runs a program and returns its output.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().display().to_string();
    let ended = command.output().with_context(|| format!("cannot start {name}"))?;
    if !ended.status.success() {
        bail!("{name} ended with {}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr).trim_end());
    }
    Ok(ended.stdout)
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn say(what: &str) {
    eprintln!("   {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(license: Option<&str>, source: Option<&str>) -> Package {
        let text = |text: &str| text.to_owned();
        Package {
            id: text("one"),
            name: text("one"),
            version: text("1.0.0"),
            license: license.map(text),
            source: source.map(text),
        }
    }

    #[test]
    fn what_deny_toml_does_not_allow_is_named() {
        let rules = rules().unwrap();
        let faults = |license, source| faults(&[package(license, source)], &rules);
        assert_eq!(faults(Some("MIT/Apache-2.0"), Some(REGISTRY)), [""; 0]);
        assert_eq!(faults(Some("GPL-3.0-only"), None), ["one 1.0.0: its licence GPL-3.0-only is not allowed"]);
        assert_eq!(faults(None, None), ["one 1.0.0: it names no licence"]);
        let unread = faults(Some("MIT OR"), None);
        assert!(unread[0].contains("cannot be read"), "{unread:?}");
        let elsewhere = faults(Some("MIT"), Some("git+https://example.org/one"));
        assert!(elsewhere[0].contains("it comes from git+https://example.org/one"), "{elsewhere:?}");
        let banned = Rules { bans: Bans { deny: vec!["one".to_owned()] }, ..rules };
        assert_eq!(self::faults(&[package(Some("MIT"), None)], &banned), ["one 1.0.0: it is banned"]);
    }
}
