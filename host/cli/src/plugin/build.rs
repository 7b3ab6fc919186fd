//! `parlor plugin build`: builds a source folder into an installable file.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use parlor_authoring::build::{self, Built};
use parlor_base::escape::EscapedPath as _;
use parlor_runtime::traces::Traces;

use super::trust;
use crate::show::{error_lines, for_terminal, plain_json};

/// The arguments of `parlor plugin build`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin build                          the folder that you are in\n  parlor plugin build repeat -o repeat.wasm\n\nExit codes: 0 built, 3 not agreed to run what it brings along, 1 failed, 2 wrong usage"
)]
pub struct BuildArgs {
    /// The plugin's folder, with plugin.toml, and Cargo.toml (Rust), plugin.py (Python), plugin.js or plugin.ts, go.mod (Go), or plugin.c
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The file to write [default: target/plugins/<package>.wasm for Rust, else <name>.wasm in the folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Build a folder in Rust, C or Go, or in Python with libraries in other languages, without asking: its build is not wholly in a sandbox, and works as your user
    #[arg(long)]
    trust: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl BuildArgs {
    /// Builds the plugin, and prints the result.
    pub fn run(&self) -> anyhow::Result<()> {
        let consent = trust::check(&self.folder, self.trust, self.json)?;
        let (folder, output) = (self.folder.clone(), self.output.clone());
        let built = build::build(&build::Request { folder, output, traces: Traces::Functions, consent })?;
        warn(&built.warnings)?;
        let text = if self.json { plain_json(&serde_json::to_string(&built)?) } else { for_terminal(&report(&built)) };
        writeln!(io::stdout().lock(), "{text}").context("standard output")
    }
}

/// Prints warnings for the author on standard error.
pub(super) fn warn(warnings: &[String]) -> anyhow::Result<()> {
    warnings
        .iter()
        .try_for_each(|warning| writeln!(io::stderr().lock(), "{}", error_lines(&format!("warning: {warning}"))))
        .context("standard error")
}

fn report(built: &Built) -> String {
    format!("{}\n  size    {} bytes\n  digest  {}", built.file.escaped(), built.size, built.digest)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use parlor_base::id::Digest;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: BuildArgs,
    }

    #[test]
    fn the_folder_is_the_present_one_unless_named() {
        let Cli { arguments } = Cli::parse_from(["build"]);
        assert_eq!(arguments.folder, PathBuf::from("."));
        let Cli { arguments } = Cli::parse_from(["build", "echo", "-o", "echo.wasm", "--json"]);
        assert_eq!(arguments.folder, PathBuf::from("echo"));
        assert_eq!(arguments.output, Some(PathBuf::from("echo.wasm")));
        assert!(arguments.json);
    }

    /// For readers of the page.
    #[test]
    fn the_page_for_programs_names_each_field() {
        let built = Built { file: PathBuf::new(), size: 0, digest: Digest::of(b""), warnings: Vec::new() };
        let page = include_str!("../../../../docs/owner/control.md");
        let section = page.split("\n### `parlor plugin build --json`\n").nth(1).unwrap().split("\n##").next().unwrap();
        let named: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let shown = serde_json::to_value(&built).unwrap();
        assert_eq!(named.len(), shown.as_object().unwrap().len());
        assert!(named.iter().all(|name| shown.get(name).is_some()), "{named:?}: {shown}");
    }

    #[test]
    fn the_report_shows_file_size_and_digest() {
        let built = Built { file: PathBuf::from("echo.wasm"), size: 12, digest: Digest::of(b""), warnings: Vec::new() };
        let digest = format!("sha256:e3b0c442{}", &built.digest.to_hex()[8..]);
        assert_eq!(report(&built), format!("echo.wasm\n  size    12 bytes\n  digest  {digest}"));
    }
}
