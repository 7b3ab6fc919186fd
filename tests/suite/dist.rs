//! The package and the image that `dist/` builds. This tests without either tool that everything they name exists.

use std::path::{Path, PathBuf};
use std::process::Command;

use parlor_tests::folder::Folder;
use parlor_tests::packages::ALL;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn all_that_the_debian_package_is_made_of_is_there_or_is_made_for_it() {
    let manifest: toml::Table = text("host/cli/Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let makes = text("tests/xtask/src/package.rs");
    let assets = deb["assets"].as_array().unwrap();
    assert!(assets.len() > 5, "{assets:?}");
    for asset in assets {
        let from = asset[0].as_str().unwrap();
        let name = from.rsplit('/').next().unwrap();
        if from.contains("target/") {
            let made = if name == "*.1" { "\"man1\"" } else { name };
            assert!(makes.contains(made), "nobody makes {from}");
        } else {
            assert!(root().join("host/cli").join(from).is_file(), "there is no {from}");
        }
    }
    for key in ["changelog", "maintainer-scripts"] {
        assert!(root().join("host/cli").join(deb[key].as_str().unwrap()).exists(), "{key}");
    }
    for script in ["postinst", "postrm"] {
        let checked = Command::new("sh").arg("-n").arg(root().join("dist/debian").join(script)).output().unwrap();
        assert!(checked.status.success(), "{script}: {checked:?}");
        assert!(text(&format!("dist/debian/{script}")).starts_with("#!/bin/sh\n"), "{script}");
    }
}

/// The build context of the image.
struct Context {
    /// The entries at the root that are let through.
    roots: Vec<String>,
    /// The names that are left out anywhere below: a name, or `*` and an ending.
    left_out: Vec<String>,
}

impl Context {
    fn read() -> Self {
        let rules = text("dist/Dockerfile.dockerignore");
        let rules: Vec<_> = rules.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(rules[0], "*", "everything is left out but what is named");
        let starting =
            |with: &str| rules.iter().filter_map(|rule| rule.strip_prefix(with)).map(str::to_owned).collect();
        let (roots, left_out): (Vec<_>, Vec<_>) = (starting("!"), starting("**/"));
        assert_eq!(1 + roots.len() + left_out.len(), rules.len(), "a rule that this test cannot read");
        Self { roots, left_out }
    }

    fn leaves_out(&self, name: &str) -> bool {
        self.left_out.iter().any(|rule| match rule.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name == rule,
        })
    }

    fn copy(&self, from: &Path, to: &Path) {
        if !from.is_dir() {
            std::fs::copy(from, to).unwrap();
            return;
        }
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !self.leaves_out(&name) {
                self.copy(&from.join(&name), &to.join(&name));
            }
        }
    }
}

/// Returns the files below a folder with this ending.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path, end) } else { vec![path] })
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(end)))
        .collect()
}

#[test]
fn the_image_is_built_from_all_that_the_program_needs() {
    let (context, folder) = (Context::read(), Folder::new().unwrap());
    for name in &context.roots {
        context.copy(&root().join(name), &folder.path().join(name));
    }
    assert!(!folder.path().join("dist").exists() && !folder.path().join(".git").exists());
    // Every package of the workspace is included, with its targets.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--no-deps", "--locked", "--offline", "--format-version", "1", "--manifest-path"]);
    let read = metadata.arg(folder.path().join("Cargo.toml")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    // Files that the program embeds are included as well.
    let mut count = 0;
    for file in files(&folder.path().join("host"), ".rs") {
        let source = std::fs::read_to_string(&file).unwrap();
        // A macro names only the folder.
        let ways = ["include_str!(\"", "include_bytes!(\"", "include_str!(concat!(\"", "include_bytes!(concat!(\""];
        for (_, rest) in ways.iter().flat_map(|with| {
            source.match_indices(with).map(|(at, with)| source.split_at(at + with.len())).collect::<Vec<_>>()
        }) {
            let name = rest.split('"').next().unwrap();
            assert!(file.parent().unwrap().join(name).exists(), "{} has {name} within it", file.display());
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
    // The program accepts the commands that the image starts and polls.
    let dockerfile = text("dist/Dockerfile");
    assert!(dockerfile.contains("CMD [\"parlor\", \"status\", \"--json\"]"), "{dockerfile}");
    for copied in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY --from=build /src/target/release/")) {
        assert_eq!(copied, "parlor /usr/bin/parlor");
    }
}

/// Returns the names of the packages that a manifest may link into a program, each with whether only a feature does so.
fn linked(manifest: &toml::Table) -> Vec<(&str, bool)> {
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    let is_optional = |value: &toml::Value| value.get("optional").and_then(toml::Value::as_bool).unwrap_or(false);
    table.into_iter().flatten().map(|(name, value)| (name.as_str(), is_optional(value))).collect()
}

/// A host that is alone can be built without the library of NATS. What is packaged and installed has it.
#[test]
fn nats_comes_with_a_feature_that_is_on_in_releases() {
    let manifest = |path: &str| text(&format!("{path}Cargo.toml")).parse::<toml::Table>().unwrap();
    let mut named = Vec::new();
    for package in ALL {
        let folder = format!("{}/", package.folder);
        let read = manifest(&folder);
        for (name, is_optional) in linked(&read) {
            if ["async-nats", "parlor-nats"].contains(&name) {
                named.push((package.folder, name.to_owned(), is_optional));
            }
        }
    }
    let expected = [("host", "parlor-nats", true), ("host/nats", "async-nats", false)];
    assert_eq!(named, expected.map(|(folder, name, is_optional)| (folder, name.to_owned(), is_optional)));
    let features = |path: &str, name: &str| {
        let all = manifest(path)["features"][name].as_array().unwrap().clone();
        all.into_iter().map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(features("host/", "cluster"), ["dep:parlor-cluster", "dep:parlor-nats"]);
    assert_eq!(features("host/cli/", "cluster"), ["parlor/cluster"]);
    // Otherwise the host would have its own default features, whatever the command is built with.
    let workspace = manifest("");
    assert_eq!(workspace["workspace"]["dependencies"]["parlor"]["default-features"].as_bool(), Some(false));
    assert!(features("host/cli/", "default").contains(&"cluster".to_owned()));
    for path in ["dist/Dockerfile", "tests/xtask/src/package.rs", "tests/xtask/src/profile.rs"] {
        assert!(!text(path).contains("no-default-features"), "{path} leaves it out");
    }
}
