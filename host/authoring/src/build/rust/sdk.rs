//! The copy of the SDK in parlor, for plugins outside of parlor's own workspace: it is in no registry.
//!
//! It is put into `.parlor/` in the plugin's folder, where cargo and editors find it by a relative path, on every
//! machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::fresh::alone_in;
use super::super::{BuildError, contract, kept};

/// Its path in a plugin's folder, as in the plugin's `Cargo.toml`.
const PLACE: &str = ".parlor/sdk";

/// Its package name.
const NAME: &str = "parlor-sdk";

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../../plugins-sdk/src/", $name)))),*]
    };
}

/// Its source files, without its tests. A test fails if one is missing.
pub(in super::super) const SOURCES: &[(&str, &str)] = sources![
    "api.rs",
    "archive.rs",
    "as_json.rs",
    "bindings.rs",
    "changes.rs",
    "chats.rs",
    "chatviews.rs",
    "clock.rs",
    "command_handlers.rs",
    "commands.rs",
    "connection.rs",
    "contacts.rs",
    "dialogs.rs",
    "disco.rs",
    "error.rs",
    "export.rs",
    "failure.rs",
    "fields.rs",
    "files.rs",
    "hooks.rs",
    "http.rs",
    "iq.rs",
    "letters.rs",
    "lib.rs",
    "listen.rs",
    "log.rs",
    "moderation.rs",
    "places.rs",
    "plain.rs",
    "plugins.rs",
    "prelude.rs",
    "promises.rs",
    "pubsub.rs",
    "rooms.rs",
    "runtime.rs",
    "schedules.rs",
    "settings.rs",
    "stanza.rs",
    "storage.rs",
    "styling.rs",
    "timers.rs",
    "tokens.rs",
    "turns.rs",
    "types.rs",
    "user.rs",
    "vcard.rs",
    "webhooks.rs",
    "xml.rs",
];

const PACKAGE: &str = include_str!("../../../../../plugins-sdk/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../../../Cargo.toml");

/// Puts the SDK where the `Cargo.toml` of the plugin or its workspace refers to it, if that is under `.parlor/`.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    let Some(around) = wanted_in(folder) else { return Ok(()) };
    // Other plugins of the workspace put it there as well.
    let _alone = (around != folder).then(|| alone_in(&around));
    let place = around.join(PLACE);
    kept::write(&place.join("Cargo.toml"), alone(PACKAGE, WORKSPACE))?;
    for (name, text) in SOURCES {
        kept::write(&place.join("src").join(name), text)?;
    }
    // Next to it, as in parlor's own tree.
    for (name, text) in contract::FILES {
        kept::write(&place.with_file_name("wit").join(format!("{name}.wit")), text)?;
    }
    Ok(())
}

/// Returns the folder whose `.parlor` is to contain it.
fn wanted_in(folder: &Path) -> Option<PathBuf> {
    let own = manifest(folder)?;
    let own = own.get("dependencies")?.get(NAME)?;
    if own.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
        return (own.get("path")?.as_str()? == PLACE).then(|| folder.to_owned());
    }
    // The nearest workspace counts, as for cargo.
    let whole = fs::canonicalize(folder).ok()?;
    let workspace = |place: &Path| Some((place.to_owned(), manifest(place)?.get("workspace")?.clone()));
    let (root, workspace) = whole.ancestors().find_map(workspace)?;
    let path = workspace.get("dependencies")?.get(NAME)?.get("path")?.as_str()?;
    (path == PLACE).then(|| if root == whole { folder.to_owned() } else { root })
}

fn manifest(folder: &Path) -> Option<toml::Table> {
    fs::read_to_string(folder.join(super::MARK)).ok()?.parse().ok()
}

/// Returns a package's manifest with the versions and lints of its workspace filled in.
fn alone(package: &str, workspace: &str) -> String {
    let expect = "parlor's own manifests, which cargo has read";
    let mut package: toml::Table = package.parse().expect(expect);
    let workspace: toml::Table = workspace.parse().expect(expect);
    let shared = |table: &str| workspace["workspace"].get(table).and_then(toml::Value::as_table).expect(expect);
    package.remove("dev-dependencies");
    package.insert("lints".to_owned(), shared("lints").clone().into());
    for (table, from) in [("package", "package"), ("dependencies", "dependencies")] {
        let own = package.get_mut(table).and_then(toml::Value::as_table_mut).expect(expect);
        for (key, value) in own {
            if value.get("workspace").is_some() {
                *value = shared(from)[key].clone();
            }
        }
    }
    toml::to_string(&package).expect("a table of tables")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_of_the_sdk_is_there() {
        let files = fs::read_dir("../../plugins-sdk/src").unwrap().map(|file| file.unwrap().path());
        let sources = files.filter(|file| file.extension().is_some_and(|kind| kind == "rs"));
        let mut names: Vec<_> = sources.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, SOURCES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn its_manifest_needs_no_workspace() {
        let manifest = alone(PACKAGE, WORKSPACE);
        assert!(!manifest.contains("workspace = true") && !manifest.contains("dev-dependencies"), "{manifest}");
        let manifest: toml::Table = manifest.parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("parlor-sdk"));
        assert!(manifest["package"]["version"].is_str());
        assert!(manifest["dependencies"]["wit-bindgen"]["version"].is_str());
        assert!(manifest["lints"]["rust"].is_table());
    }

    #[test]
    fn it_comes_to_who_looks_for_it_and_is_left_alone_where_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(PLACE);
        fs::write(folder.path().join("Cargo.toml"), "[dependencies]\nparlor-sdk = \"0.1\"\n").unwrap();
        equip(folder.path()).unwrap();
        assert!(!place.exists());
        fs::write(folder.path().join("Cargo.toml"), "[dependencies]\nparlor-sdk = { path = \".parlor/sdk\" }\n")
            .unwrap();
        equip(folder.path()).unwrap();
        let changed = || fs::metadata(place.join("src/lib.rs")).unwrap().modified().unwrap();
        let before = changed();
        fs::write(place.join("src/api.rs"), "broken").unwrap();
        equip(folder.path()).unwrap();
        assert_eq!(changed(), before);
        assert_ne!(fs::read_to_string(place.join("src/api.rs")).unwrap(), "broken");
        assert!(folder.path().join(".parlor/wit/world.wit").is_file());
    }

    #[test]
    fn plugins_of_one_workspace_share_the_one_that_it_names() {
        let root = tempfile::tempdir().unwrap();
        let members = ["repeat", "deep/owl"].map(|name| root.path().join(name));
        let names = |path: &str| {
            let workspace = format!("[workspace.dependencies]\nparlor-sdk = {{ path = \"{path}\" }}\n");
            fs::write(root.path().join("Cargo.toml"), workspace).unwrap();
        };
        names("../elsewhere/sdk");
        for member in &members {
            fs::create_dir_all(member).unwrap();
            fs::write(member.join("Cargo.toml"), "[dependencies]\nparlor-sdk.workspace = true\n").unwrap();
            equip(member).unwrap();
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
        names(PLACE);
        for member in &members {
            equip(member).unwrap();
            assert!(!member.join(".parlor").exists());
        }
        assert!(root.path().join(PLACE).join("Cargo.toml").is_file());
    }
}
