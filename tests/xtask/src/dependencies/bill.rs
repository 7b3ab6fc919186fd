//! The host's software bill of materials, in `CycloneDX` 1.5.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Metadata, Package, checksums, metadata, output};
use crate::workspace;

/// The package that the program is built from.
const PROGRAM: &str = "parlor-cli";

/// Writes the bill. It is the same for the same sources, since it contains no time and no serial number.
pub(crate) fn write(to: &Path) -> Result<()> {
    let bill =
        bill(&metadata()?, &shipped()?, &checksums()?).context("cargo does not know the package of the program")?;
    let text = serde_json::to_string_pretty(&bill).context("a bill of materials is JSON")?;
    fs::write(to, text + "\n").with_context(|| format!("cannot write {}", to.display()))
}

/// Returns the names and versions of the crates that are compiled into the program or used while compiling it. `cargo
/// metadata` covers the whole workspace instead, with features that only tests enable.
fn shipped() -> Result<BTreeSet<(String, String)>> {
    let platform = format!("--target={}", super::platform()?);
    let asked = ["tree", "--package", PROGRAM, "--edges=normal,build", "--prefix=none", "--locked", platform.as_str()];
    let said = String::from_utf8(output(&mut workspace::cargo(asked))?).context("cargo tree says text")?;
    let one = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    Ok(said.lines().filter_map(one).collect())
}

fn bill(
    metadata: &Metadata,
    shipped: &BTreeSet<(String, String)>,
    checksums: &BTreeMap<(String, String), String>,
) -> Option<Value> {
    let key = |package: &Package| (package.name.clone(), package.version.clone());
    let mut packages: Vec<_> = metadata.packages.iter().filter(|package| shipped.contains(&key(package))).collect();
    packages.sort_by_key(|package| key(package));
    let names: BTreeMap<_, _> = packages.iter().map(|package| (package.id.as_str(), reference(package))).collect();
    let component = |package: &Package, kind| {
        let mut component = json!({
            "type": kind,
            "bom-ref": reference(package),
            "name": package.name,
            "version": package.version,
        });
        if let Some(license) = &package.license {
            component["licenses"] = json!([{ "expression": license.replace(" / ", " OR ").replace('/', " OR ") }]);
        }
        if package.source.is_some() {
            component["purl"] = json!(reference(package));
        }
        if let Some(sum) = checksums.get(&key(package)).filter(|_| package.source.is_some()) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        component
    };
    let is_host = |package: &&&Package| package.name == PROGRAM && package.source.is_none();
    let host = packages.iter().find(is_host)?;
    let others: Vec<_> = packages.iter().filter(|one| !is_host(one)).map(|one| component(one, "library")).collect();
    let nodes = metadata.resolve.nodes.iter().filter_map(|node| {
        let on: BTreeSet<_> = node.dependencies.iter().filter_map(|id| names.get(id.as_str())).collect();
        Some(json!({ "ref": names.get(node.id.as_str())?, "dependsOn": on }))
    });
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(host, "application") },
        "components": others,
        "dependencies": nodes.collect::<Vec<_>>(),
    }))
}

/// Returns the name of a package within the bill: its package URL (purl) if it comes from a registry.
fn reference(package: &Package) -> String {
    let Package { name, version, source, .. } = package;
    if source.is_some() { format!("pkg:cargo/{name}@{version}") } else { format!("{name}@{version}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_names_what_is_shipped_and_nothing_else() {
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": [
                { "id": "1", "name": "parlor-cli", "version": "0.1.0", "license": "MIT", "source": null },
                { "id": "2", "name": "one", "version": "1.0.0", "license": "MIT/ISC", "source": "registry" },
                { "id": "3", "name": "for-tests", "version": "1.0.0", "license": "MIT", "source": "registry" },
            ],
            "resolve": { "nodes": [
                { "id": "1", "dependencies": ["2", "3"] },
                { "id": "2", "dependencies": [] },
                { "id": "3", "dependencies": ["2"] },
            ] },
        }))
        .unwrap();
        let own = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let shipped = [own("parlor-cli", "0.1.0"), own("one", "1.0.0")].into();
        let sums = [(own("one", "1.0.0"), "ab12".to_owned())].into();
        let made = bill(&metadata, &shipped, &sums).unwrap();
        let one = json!([{
            "type": "library",
            "bom-ref": "pkg:cargo/one@1.0.0",
            "name": "one",
            "version": "1.0.0",
            "purl": "pkg:cargo/one@1.0.0",
            "licenses": [{ "expression": "MIT OR ISC" }],
            "hashes": [{ "alg": "SHA-256", "content": "ab12" }],
        }]);
        assert_eq!(made["components"], one);
        assert_eq!(made["metadata"]["component"]["bom-ref"], "parlor-cli@0.1.0");
        let edges = json!([
            { "ref": "parlor-cli@0.1.0", "dependsOn": ["pkg:cargo/one@1.0.0"] },
            { "ref": "pkg:cargo/one@1.0.0", "dependsOn": [] },
        ]);
        assert_eq!(made["dependencies"], edges);
    }

    #[test]
    fn the_host_is_made_of_what_its_manifest_names() {
        let shipped = shipped().unwrap();
        let has = |name: &str| shipped.iter().any(|(one, _)| one == name);
        assert!(has("parlor-cli") && has("parlor") && has("wasmtime") && has("tokio"), "{} packages", shipped.len());
        assert!(!has("opentelemetry") && !has("proptest"), "what only tests ask for is not shipped");
    }
}
