//! The facts that cargo knows about a plugin's folder: package, library, profile, and output folders.

use std::fs;
use std::path::{Path, PathBuf};

use parlor_base::child;
use serde::Deserialize;

use super::super::names::DebugInfo;
use super::super::{BuildError, Traces, environment, tools};
use super::toolchain::{TARGET, Toolchain};

/// The profile for plugins in parlor's own workspace, and in those copied from it.
const PROFILE: &str = "plugin";

/// The package in a plugin's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Project {
    /// The package's name.
    pub(super) package: String,
    /// The library's name, as in its file name.
    library: String,
    /// The workspace's folder.
    root: PathBuf,
    /// The workspace's `target/` folder.
    target: PathBuf,
    /// Whether compiled crates are shared with other plugins of this user: if the plugin is in no larger workspace and
    /// has cargo's default target folder.
    shares: bool,
    /// The compilation profile.
    pub(super) profile: Profile,
    /// The debug information that the author wants in the file for owners; `None`: all that the profile makes the
    /// compiler write.
    kept: Option<DebugInfo>,
    version: String,
    description: String,
    authors: String,
    license: String,
    repository: String,
}

/// The compilation profile: the workspace's own for plugins if it has one, else cargo's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// `[profile.plugin]` of the workspace.
    Plugin,
    /// Cargo's release profile.
    Release,
}

impl Profile {
    /// Returns the arguments for `cargo build`.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Plugin => &["--profile", PROFILE],
            Self::Release => &["--release"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plugin => PROFILE,
            Self::Release => "release",
        }
    }
}

/// The relevant part of the output of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    #[serde(default)]
    authors: Vec<String>,
    description: Option<String>,
    license: Option<String>,
    repository: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Project {
    /// Runs `cargo metadata`.
    pub(super) fn find(folder: &Path) -> Result<Self, BuildError> {
        let mut cargo = child::command("cargo", folder);
        environment::forget_outer_cargo(&mut cargo);
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = tools::heard(&mut cargo).map_err(|error| BuildError::NoRust { program: "cargo", error })?;
        let unreadable = |reason: String| BuildError::Project { folder: folder.to_owned(), reason };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(unreadable(if said.is_empty() { format!("it ended with {}", output.status) } else { said }));
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).map_err(|error| unreadable(error.to_string()))?;
        let manifest = fs::canonicalize(folder.join("Cargo.toml")).map_err(|error| unreadable(error.to_string()))?;
        Self::of(metadata, &manifest, folder)
    }

    fn of(metadata: Metadata, manifest: &Path, folder: &Path) -> Result<Self, BuildError> {
        let Some(package) = metadata.packages.into_iter().find(|package| package.manifest_path == manifest) else {
            let reason = "it is a workspace; name the folder of one plugin in it".to_owned();
            return Err(BuildError::Project { folder: folder.to_owned(), reason });
        };
        let library = package.targets.into_iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
        let Some(library) = library else {
            return Err(BuildError::NotCdylib { package: package.name });
        };
        let (profile, kept) = profile_of(&metadata.workspace_root);
        let stands_alone = manifest.parent() == Some(metadata.workspace_root.as_path());
        Ok(Self {
            shares: stands_alone && metadata.target_directory == metadata.workspace_root.join("target"),
            library: library.name.replace('-', "_"),
            profile,
            kept,
            root: metadata.workspace_root,
            target: metadata.target_directory,
            version: package.version,
            description: package.description.unwrap_or_default(),
            authors: package.authors.join(", "),
            license: package.license.unwrap_or_default(),
            repository: package.repository.unwrap_or_default(),
            package: package.name,
        })
    }

    /// Returns the target folder for plugins, separate from that for this machine. All plugins of a workspace share
    /// one, and all other plugins of this user share another. So the SDK's dependencies are compiled once, and not for
    /// each plugin.
    pub(super) fn target_directory(&self) -> Result<PathBuf, BuildError> {
        if self.shares { tools::crates_folder() } else { Ok(self.own_folder()) }
    }

    /// Returns whether other plugins are compiled there, of which one may have a library of the same name.
    pub(super) fn shares(&self) -> bool {
        self.shares
    }

    fn own_folder(&self) -> PathBuf {
        self.target.join("plugins-build")
    }

    /// Returns the path of the core module in this target folder.
    pub(super) fn module(&self, target: &Path) -> PathBuf {
        let folder = target.join(TARGET).join(self.profile.name());
        folder.join(&self.library).with_extension("wasm")
    }

    /// Returns the default output path.
    pub(super) fn output(&self, traces: Traces) -> PathBuf {
        let folder = match traces {
            Traces::Functions => self.target.join("plugins"),
            Traces::Lines => self.own_folder().join("lines"),
        };
        folder.join(format!("{}.wasm", self.package))
    }

    /// Returns the debug information that is kept in the component.
    pub(super) fn kept(&self, traces: Traces) -> DebugInfo {
        match traces {
            Traces::Functions => self.kept.unwrap_or(DebugInfo::Lines),
            Traces::Lines => DebugInfo::Lines,
        }
    }

    /// Returns cargo settings that make the compiler write names and lines. The file for owners later keeps what its
    /// author wants, so both files come from one compilation and have the same code.
    pub(super) fn with_names(&self) -> Vec<String> {
        let profile = self.profile.name();
        // Lines, and full names of functions, but no types and variables.
        let settings = [format!("profile.{profile}.strip=false"), format!("profile.{profile}.debug=1")];
        let wanted = self.kept.map(|_| settings);
        wanted.into_iter().flatten().flat_map(|setting| ["--config".to_owned(), setting]).collect()
    }

    /// Returns the custom sections that registries and tools read, with their contents.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("version", &self.version),
            ("authors", &self.authors),
            ("description", &self.description),
            ("licenses", &self.license),
            ("source", &self.repository),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name, text.as_str()))
    }

    /// Returns a cargo setting that keeps this machine's paths out of the component, where panics would contain them.
    /// With [`Self::anonymous_root`], the same source and compiler give the same bytes on other machines, and so the
    /// same digest.
    ///
    /// The setting is the same for all plugins, since cargo recompiles every crate for which it differs.
    pub(super) fn anonymous_paths(toolchain: &Toolchain) -> String {
        // The last matching prefix wins, so the widest comes first.
        let prefixes = [cargo_home().map(|home| (home, "/cargo")), Some((toolchain.sysroot.clone(), "/rust"))];
        let flags: Vec<toml::Value> =
            prefixes.into_iter().flatten().filter_map(|(path, name)| Some(remapped(&path, name)?.into())).collect();
        format!("target.{TARGET}.rustflags={}", toml::Value::Array(flags))
    }

    /// Returns a compiler flag that does the same for the plugin's own folder, and for the plugin alone. Other crates
    /// are outside of it, and the SDK in the folder is named by its relative path.
    pub(super) fn anonymous_root(&self) -> Option<String> {
        remapped(&self.root, "/plugin")
    }
}

/// Returns the flag; `None` for a path that cannot be an argument.
fn remapped(path: &Path, name: &str) -> Option<String> {
    Some(format!("--remap-path-prefix={}={name}", path.to_str()?))
}

/// Returns the profile, and the debug information that its author wants to keep; `None` if the author sets `debug`,
/// which then decides.
fn profile_of(root: &Path) -> (Profile, Option<DebugInfo>) {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let manifest = manifest.parse::<toml::Table>().unwrap_or_default();
    let written = |name| manifest.get("profile")?.get(name)?.as_table();
    let (profile, own) = match written(PROFILE) {
        Some(own) => (Profile::Plugin, Some(own)),
        None => (Profile::Release, written("release")),
    };
    let said = |key| {
        let inherited = || written("release").filter(|_| profile == Profile::Plugin)?.get(key);
        own.and_then(|own| own.get(key)).or_else(inherited)
    };
    let kept = match said("strip") {
        Some(toml::Value::Boolean(true)) => DebugInfo::Nothing,
        Some(toml::Value::String(what)) if what == "symbols" => DebugInfo::Nothing,
        Some(_) => DebugInfo::Functions,
        // This is cargo's default.
        None if said("debug").is_none() => DebugInfo::Functions,
        None => return (profile, None),
    };
    (profile, Some(kept))
}

fn cargo_home() -> Option<PathBuf> {
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(crate_type: &str, root: &Path) -> Metadata {
        serde_json::from_value(serde_json::json!({
            "packages": [{
                "name": "my-echo",
                "version": "1.2.3",
                "manifest_path": "/ws/my-echo/Cargo.toml",
                "targets": [{ "name": "my-echo", "crate_types": [crate_type] }],
                "authors": ["A", "B"],
                "description": null,
                "license": "MIT",
                "repository": null,
            }],
            "workspace_root": root,
            "target_directory": "/ws/target",
        }))
        .expect("metadata")
    }

    fn project(root: &Path) -> Result<Project, BuildError> {
        Project::of(metadata("cdylib", root), Path::new("/ws/my-echo/Cargo.toml"), Path::new("my-echo"))
    }

    #[test]
    fn the_module_is_looked_for_where_cargo_puts_it() {
        let project = project(Path::new("/nowhere")).expect("a plugin");
        let module = project.module(&project.target_directory().expect("it says where"));
        assert_eq!(module, Path::new("/ws/target/plugins-build/wasm32-unknown-unknown/release/my_echo.wasm"));
        assert_eq!(project.output(Traces::Functions), Path::new("/ws/target/plugins/my-echo.wasm"));
        assert_eq!(project.output(Traces::Lines), Path::new("/ws/target/plugins-build/lines/my-echo.wasm"));
    }

    #[test]
    fn the_workspace_s_own_profile_is_used_where_there_is_one() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(project(root.path()).expect("a plugin").profile, Profile::Release);
        fs::write(root.path().join("Cargo.toml"), "[profile.plugin]\ninherits = \"release\"\n").expect("written");
        assert_eq!(project(root.path()).expect("a plugin").profile, Profile::Plugin);
    }

    #[test]
    fn the_file_for_owners_has_the_names_that_its_author_wants() {
        let root = tempfile::tempdir().expect("a folder");
        let kept = |manifest: &str| {
            fs::write(root.path().join("Cargo.toml"), manifest).expect("written");
            let project = project(root.path()).expect("a plugin");
            assert_eq!(project.kept(Traces::Lines), DebugInfo::Lines);
            assert_eq!(project.with_names().is_empty(), project.kept.is_none());
            project.kept(Traces::Functions)
        };
        assert_eq!(kept(""), DebugInfo::Functions);
        assert_eq!(kept("[profile.release]\nstrip = true\n"), DebugInfo::Nothing);
        assert_eq!(kept("[profile.release]\nstrip = \"debuginfo\"\n"), DebugInfo::Functions);
        assert_eq!(
            kept("[profile.plugin]\ninherits = \"release\"\n[profile.release]\nstrip = \"symbols\"\n"),
            DebugInfo::Nothing
        );
        // An author who sets `debug` keeps everything.
        assert_eq!(kept("[profile.release]\ndebug = true\n"), DebugInfo::Lines);
    }

    #[test]
    fn only_metadata_that_says_something_is_embedded() {
        let project = project(Path::new("/nowhere")).expect("a plugin");
        let sections: Vec<_> = project.metadata().collect();
        assert_eq!(sections, [("version", "1.2.3"), ("authors", "A, B"), ("licenses", "MIT")]);
    }

    #[test]
    fn a_library_that_is_no_cdylib_is_named() {
        let found =
            Project::of(metadata("lib", Path::new("/ws")), Path::new("/ws/my-echo/Cargo.toml"), Path::new("my-echo"));
        assert!(matches!(found, Err(BuildError::NotCdylib { package }) if package == "my-echo"));
    }

    #[test]
    fn only_a_plugin_that_stands_alone_and_is_compiled_where_cargo_would_shares_its_crates() {
        let shares = |package: &str, root: &str, target: &str| {
            let metadata = Metadata { target_directory: target.into(), ..metadata("cdylib", Path::new(root)) };
            let metadata = Metadata {
                packages: metadata
                    .packages
                    .into_iter()
                    .map(|one| Package { manifest_path: Path::new(package).join("Cargo.toml"), ..one })
                    .collect(),
                ..metadata
            };
            let manifest = Path::new(package).join("Cargo.toml");
            Project::of(metadata, &manifest, Path::new("my-echo")).expect("a plugin").shares()
        };
        assert!(shares("/echo", "/echo", "/echo/target"));
        assert!(!shares("/ws/echo", "/ws", "/ws/target"), "its workspace is shared already");
        assert!(!shares("/echo", "/echo", "/elsewhere"), "somebody has said where");
    }

    #[test]
    fn what_cargo_is_told_of_paths_is_the_same_for_all_plugins() {
        let project = project(Path::new("/home/juliet/echo")).expect("a plugin");
        assert_eq!(project.anonymous_root().as_deref(), Some("--remap-path-prefix=/home/juliet/echo=/plugin"));
        let toolchain = Toolchain::for_tests("/rust-of-this-machine");
        let flags = Project::anonymous_paths(&toolchain);
        assert!(flags.contains("--remap-path-prefix=/rust-of-this-machine=/rust"), "{flags}");
        assert!(!flags.contains("/plugin"), "{flags}");
    }

    #[test]
    fn a_workspace_is_not_a_plugin() {
        let found = Project::of(metadata("cdylib", Path::new("/ws")), Path::new("/ws/Cargo.toml"), Path::new("."));
        assert!(matches!(found, Err(BuildError::Project { .. })));
    }
}
