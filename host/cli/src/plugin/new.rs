//! `parlor plugin new`: creates a plugin folder that builds at once.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use parlor_authoring::build;
use parlor_base::atomic::folder_of;
use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_base::id::PluginId;

use super::trust;
use crate::show::for_terminal;

/// The arguments of `parlor plugin new`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  parlor plugin new repeat --lang rust && cd repeat && parlor plugin build\n\nExit codes: 0 made, 1 failed and nothing was made, 2 wrong usage"
)]
pub struct NewArgs {
    /// Its name, which is also the folder's
    #[arg(value_name = "NAME")]
    name: PluginId,
    /// The language
    #[arg(long, value_enum)]
    lang: Language,
    /// The folder in which to create it
    #[arg(long, value_name = "DIR", default_value = ".")]
    r#in: PathBuf,
}

/// A language with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// By cargo
    Rust,
    #[value(help = "CPython, by componentize-py")]
    Python,
    #[value(help = "JavaScript, by QuickJS")]
    Js,
    #[value(help = "TypeScript, by QuickJS")]
    Ts,
    /// By Go's own compiler
    Go,
    /// By Zig's C compiler
    C,
}

/// The files of a template: target path and text.
type Template = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($language:literal: $($to:literal = $from:literal),* $(,)?) => {
        &[$(($to, include_str!(concat!("../../../../plugins-sdk/templates/", $language, "/", $from)))),*]
    };
}

impl Language {
    fn template(self) -> Template {
        match self {
            Self::Rust => template!("rust": ".gitignore" = "gitignore", "Cargo.toml" = "manifest.toml",
                "README.md" = "README.md", "plugin.toml" = "plugin.toml", "src/lib.rs" = "lib.rs",
                "tests/first.chat" = "../first.chat"),
            Self::Js => template!("js": ".gitignore" = "gitignore", "README.md" = "README.md",
                "jsconfig.json" = "jsconfig.json", "plugin.js" = "plugin.js", "plugin.toml" = "plugin.toml",
                "tests/first.chat" = "../first.chat"),
            Self::Ts => template!("ts": ".gitignore" = "gitignore", "README.md" = "README.md",
                "tsconfig.json" = "tsconfig.json", "plugin.ts" = "plugin.ts", "plugin.toml" = "plugin.toml",
                "tests/first.chat" = "../first.chat"),
            Self::Go => template!("go": ".gitignore" = "gitignore", "README.md" = "README.md", "go.mod" = "module.txt",
                "plugin.go" = "plugin.go", "plugin.toml" = "plugin.toml", "tests/first.chat" = "../first.chat"),
            Self::C => template!("c": ".gitignore" = "gitignore", "README.md" = "README.md",
                "compile_flags.txt" = "compile_flags.txt", "plugin.c" = "plugin.c", "plugin.toml" = "plugin.toml",
                "tests/first.chat" = "../first.chat"),
            Self::Python => template!("python": ".gitignore" = "gitignore", "README.md" = "README.md",
                "plugin.py" = "plugin.py", "plugin.toml" = "plugin.toml", "pyproject.toml" = "pyproject.toml",
                "tests/first.chat" = "../first.chat"),
        }
    }
}

impl NewArgs {
    /// Creates the folder, completely or not at all.
    pub fn run(&self) -> anyhow::Result<()> {
        let folder = self.r#in.join(self.name.as_str());
        make(&folder, self.name.as_str(), self.lang.template())?;
        trust::made(&folder);
        let text = format!(
            "{}\n  next: cd {} && parlor plugin build",
            folder.escaped(),
            shell_word(&folder.to_string_lossy())
        );
        writeln!(io::stdout().lock(), "{}", for_terminal(&text)).context("standard output")
    }
}

fn make(folder: &Path, name: &str, template: Template) -> anyhow::Result<()> {
    if folder.exists() {
        bail!("{} is there already; take another name, or remove it first", folder.escaped());
    }
    let cannot = || format!("cannot make {}", folder.escaped());
    // Filled under a temporary name, then renamed.
    let fresh = tempfile::Builder::new().prefix(".new-").tempdir_in(folder_of(folder)).with_context(cannot)?;
    let place = fresh.path().join(name);
    fs::create_dir(&place).with_context(cannot)?;
    for (file, text) in template {
        let path = place.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&place)).with_context(cannot)?;
        let text = text.replace("{{name}}", name).replace("{{package}}", &package(name));
        fs::write(path, text).with_context(cannot)?;
    }
    build::equip(&place)?;
    fs::rename(&place, folder).with_context(cannot)
}

/// Returns the name of the package: cargo refuses one that begins with a digit, which a plugin's name may.
fn package(name: &str) -> String {
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("plugin-{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use parlor_plugins::manifest::Manifest;

    use super::*;

    #[test]
    fn every_template_has_a_manifest_that_a_host_reads_under_its_name() {
        for language in Language::value_variants() {
            let around = tempfile::tempdir().unwrap();
            let folder = around.path().join("repeat");
            make(&folder, "repeat", language.template()).unwrap();
            let manifest = Manifest::parse(&fs::read_to_string(folder.join("plugin.toml")).unwrap()).unwrap();
            assert_eq!(manifest.name.as_str(), "repeat");
            // The pages that its README names are in the folder.
            let readme = fs::read_to_string(folder.join("README.md")).unwrap();
            for page in ["reference/manifest.md", "reference/testing.md", "reference/events.md", "author/cannot.md"] {
                assert!(readme.contains(page) && folder.join(".parlor/docs").join(page).is_file(), "{page}");
            }
            // It fits on one screen.
            assert!(readme.lines().count() <= 40, "{language:?}: more than a screen");
            let left: Vec<_> = fs::read_dir(around.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
            assert_eq!(left, ["repeat"]);
        }
    }

    /// Cargo would refuse a package of this name.
    #[test]
    fn a_plugin_whose_name_begins_with_a_digit_is_made_of_a_package_that_does_not() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("8ball");
        make(&folder, "8ball", Language::Rust.template()).unwrap();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(Manifest::parse(&read("plugin.toml")).unwrap().name.as_str(), "8ball");
        assert!(read("Cargo.toml").starts_with("[package]\nname = \"plugin-8ball\"\n"), "{}", read("Cargo.toml"));
        assert!(read("README.md").contains("target/plugins/plugin-8ball.wasm"));
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("repeat");
        fs::create_dir(&folder).unwrap();
        let error = make(&folder, "repeat", Language::Python.template()).unwrap_err().to_string();
        assert!(error.ends_with("is there already; take another name, or remove it first"), "{error}");
        assert!(fs::read_dir(&folder).unwrap().next().is_none());
    }
}
