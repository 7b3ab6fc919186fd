//! Builds the test programs with cargo, finds their paths, and reads their output.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How many lines of a failed test's last output are shown.
const WORDS: usize = 4;

/// The build messages of cargo.
#[derive(Debug)]
pub struct Programs {
    messages: Vec<Value>,
}

impl Programs {
    /// Runs a cargo build in the workspace with this root. Its progress goes where ours goes.
    pub async fn build<'a>(root: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).args(["--message-format", "json"]).current_dir(root);
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        // The new cargo must not inherit the variables that the parent cargo set for this program.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_BIN_NAME" {
                command.env_remove(name);
            }
        }
        // Programs look for each other in one target folder, that of their workspace.
        if root != crate::conformance::root() {
            command.env("CARGO_TARGET_DIR", root.join("target"));
        }
        let mut command = tokio::process::Command::from(command);
        let output = command.kill_on_drop(true).output().await.context("cannot start cargo")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let built = Self { messages: text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };
        if output.status.success() { Ok(built) } else { bail!("cargo cannot build it\n{}", built.errors()) }
    }

    /// Returns the path of the program of this target.
    pub fn of(&self, target: &str) -> Result<PathBuf> {
        let mut found = self.messages.iter().filter(|one| one["target"]["name"] == target);
        let program = found.find_map(|one| one["executable"].as_str());
        program.map(PathBuf::from).with_context(|| format!("cargo does not say where the program {target} is"))
    }

    fn errors(&self) -> String {
        let errors = self.messages.iter().filter(|one| one["message"]["level"] == "error");
        errors.filter_map(|one| one["message"]["rendered"].as_str()).collect()
    }
}

/// Returns the end of a failed test's output: the place and the message of the panic.
pub fn last_words<'a>(log: &'a [String], name: &str) -> Vec<&'a str> {
    let section = log.iter().skip_while(|line| **line != format!("---- {name} stdout ----")).skip(1);
    let lines = section.take_while(|line| !line.starts_with("---- ")).skip_while(|line| !line.contains("panicked at"));
    lines.take(WORDS).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_test_are_its_own() {
        let log = ["---- a stdout ----", "noise", "thread 'a' panicked at x:1:", "because", "---- b stdout ----"];
        let log: Vec<String> = log.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(last_words(&log, "a"), ["thread 'a' panicked at x:1:", "because"]);
        assert_eq!(last_words(&log, "b"), [""; 0]);
    }

    #[test]
    fn what_does_not_compile_is_shown() {
        let message = |level: &str, text: &str| serde_json::json!({ "message": { "level": level, "rendered": text } });
        let built = Programs { messages: vec![message("warning", "unused"), message("error", "expected `;`\n")] };
        assert_eq!(built.errors(), "expected `;`\n");
        let missing = built.of("suite").unwrap_err();
        assert_eq!(missing.to_string(), "cargo does not say where the program suite is");
    }
}
