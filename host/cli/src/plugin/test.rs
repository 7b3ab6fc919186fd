//! `parlor plugin test`: runs a plugin's own tests, without a server and with a paused clock.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use parlor_authoring::build;
use parlor_authoring::plugin_test::script::{ACTIONS, Act, Row, STEPS};
use parlor_authoring::plugin_test::{Player, Script, report, run};
use parlor_base::atomic::{self, Readers, folder_of};
use parlor_base::escape::EscapedPath as _;
use serde_json::{Value, json};

use super::build::warn;
use super::trust;
use super::workshop::Workshop;
use crate::show::{error_lines, escape_lines, plain_json};
use crate::wait_for;

/// The extension of a file with tests.
const EXTENSION: &str = "chat";

/// The arguments of `parlor plugin test`.
#[derive(Debug, Clone, Args)]
#[command(
    long_about = "Try a plugin against its author's tests: tests/*.chat in its folder. There is no server and no waiting: a test lists the actions of people, and a real session passes them on to the plugin. The plugin's clock stands still until the test lets time pass.",
    after_help = help()
)]
pub struct TestArgs {
    /// The plugin's folder, which is built first, a built file, or one file of tests in its folder
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    plugin: PathBuf,
    /// Only tests with this text in their name, or in the name of their file
    #[arg(short, long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Write what the plugin does into the tests, replacing what they expect
    #[arg(long)]
    update: bool,
    /// The folder with the tests, or one file of them [default: tests beside plugin.toml, or beside the file]
    #[arg(long, value_name = "DIR|FILE")]
    tests: Option<PathBuf>,
    /// Build a folder in Rust, C or Go, or in Python with libraries in other languages, without asking: its build is not wholly in a sandbox, and works as your user
    #[arg(long)]
    trust: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const HEAD: &str = "\
A test is a name, what happens, and indented beneath each step what the plugin does about it, and nothing else:

  == it answers, and reminds later
  alice: remind me in 10 min of tea
    to alice: I will.
  after 10 min
    to alice: tea!

What may happen:
";

const FOOT: &str = "\
A line that begins with # is a comment.

Examples:
  parlor plugin test                         build the plugin of this folder, and try its tests
  parlor plugin test echo.wasm               tests/*.chat beside the file
  parlor plugin test tests/remind.chat       one file of tests
  parlor plugin test -f remind --json        some of the tests, for programs
  parlor plugin test --update                write down what was seen, and look at the difference

Exit codes: 0 all passed, 1 some did not, or could not be tried, 3 not agreed to run what the folder brings along.";

/// Returns the reference of the test language.
fn help() -> String {
    /// The description of a longer example is on the next line.
    const COLUMN: usize = 36;
    let row = |row: &Row| {
        let gap = if row.example.len() < COLUMN { String::new() } else { format!("\n  {:COLUMN$}", "") };
        format!("  {:COLUMN$}{gap}{}\n", row.example, row.about)
    };
    let table = |rows: &[Row]| rows.iter().map(row).collect::<String>();
    format!("{HEAD}{}\nWhat the plugin may do:\n{}\n{FOOT}", table(&STEPS), table(&ACTIONS))
}

impl TestArgs {
    /// Runs the tests, and reports the results.
    pub fn run(&self) -> anyhow::Result<()> {
        if !self.plugin.exists() {
            bail!("there is no {}: name a plugin's folder, its file, or a file of tests", self.plugin.escaped());
        }
        match self.of_script()? {
            Some(one) => one.play(),
            None => self.play(),
        }
    }

    /// If a file of tests is named instead of a plugin, returns the arguments for this file alone and the plugin around
    /// it.
    fn of_script(&self) -> anyhow::Result<Option<Self>> {
        let script = &self.plugin;
        if !is_script(script) {
            return Ok(None);
        }
        if let Some(tests) = &self.tests {
            bail!("{} holds tests, and so does {}; name the plugin instead of one", script.escaped(), tests.escaped());
        }
        let beside = folder_of(script);
        // Above `..` or `.` is not what is written before it.
        let above = if beside.file_name().is_some() { folder_of(beside).to_owned() } else { beside.join("..") };
        let Some(plugin) = [beside.to_owned(), above].into_iter().find(|folder| folder.join("plugin.toml").is_file())
        else {
            bail!(
                "neither the folder of {0} nor the one above it has a plugin.toml; name the plugin, and the tests by --tests {0}",
                script.escaped()
            );
        };
        Ok(Some(Self { plugin, tests: Some(script.clone()), ..self.clone() }))
    }

    fn play(&self) -> anyhow::Result<()> {
        let file = self.file_of(&self.plugin)?;
        let folder = self.tests.clone().unwrap_or_else(|| self.around().join("tests"));
        if self.update && self.tests.is_none() && folder.is_symlink() {
            bail!("{} is a link; name the folder whose files are to be changed by --tests", folder.escaped());
        }
        let scripts = scripts(&folder)?;
        let workshop = Workshop::open()?;
        let player = wait_for(workshop.load(&file))??;
        let player = player.with_beside(self.beside(&scripts, &workshop)?);
        if self.plugin.is_dir() {
            // Even if nothing had to be built: the warnings still apply.
            warn(&build::warnings(player.examined()))?;
        }
        let mut out = io::stdout().lock();
        let (mut passed, mut failed, mut written) = (0_usize, 0_usize, 0_usize);
        let (mut all, mut told) = (Vec::new(), report::Reported::default());
        for (path, script) in &scripts {
            let (file, name) = (path.to_string_lossy(), path.escaped().to_string());
            let wanted = script.tests.iter().filter(|test| self.wants(&file, &test.name));
            let outcomes = wanted.map(|test| run::run(&player, script, test)).collect::<anyhow::Result<Vec<_>>>()?;
            all.extend(outcomes.iter().map(|outcome| report::json(&file, outcome)));
            let updatable = outcomes.iter().flat_map(|outcome| &outcome.seen).any(|seen| !seen.fits());
            if self.update && updatable {
                let text = report::updated(script, &outcomes);
                atomic::write(path, text.as_bytes(), Readers::Usual)
                    .with_context(|| format!("{name} cannot be written"))?;
                written += 1;
            }
            for outcome in &outcomes {
                if outcome.passed() {
                    passed += 1;
                } else if self.update && outcome.trouble.is_empty() {
                    passed += 1;
                    if !self.json {
                        let said = format!("updated {name}:{}: {}", outcome.line, outcome.name);
                        writeln!(out, "{}", error_lines(&said)).context("standard output")?;
                    }
                } else {
                    failed += 1;
                    if !self.json {
                        let shown = escape_lines(&report::show(&name, script, outcome, &mut told));
                        writeln!(out, "{shown}").context("standard output")?;
                    }
                }
            }
        }
        if passed + failed == 0 {
            bail!("no test has {} in its name", self.filter.join(" or "));
        }
        if self.json {
            let summary = summary(passed, failed, written, &all).to_string();
            writeln!(out, "{}", plain_json(&summary)).context("standard output")?;
        } else {
            writeln!(out, "{passed} passed, {failed} failed").context("standard output")?;
        }
        drop(out);
        if failed > 0 {
            bail!("{failed} of {} tests failed", passed + failed);
        }
        Ok(())
    }

    /// Returns the plugin's folder.
    fn around(&self) -> &Path {
        let around = if self.plugin.is_dir() { Some(&*self.plugin) } else { self.plugin.parent() };
        around.unwrap_or(Path::new(""))
    }

    /// Returns the file of a plugin. A folder is built first.
    fn file_of(&self, plugin: &Path) -> anyhow::Result<PathBuf> {
        if !plugin.is_dir() {
            return Ok(plugin.to_owned());
        }
        let consent = trust::check(plugin, self.trust, self.json)?;
        Ok(build::fresh(plugin, consent)?)
    }

    /// Loads the other plugins that tests name. Their paths begin at its folder. One that is not there fails only the
    /// tests that name it.
    fn beside(
        &self,
        scripts: &[(PathBuf, Script)],
        workshop: &Workshop,
    ) -> anyhow::Result<BTreeMap<String, Result<Player, String>>> {
        let mut all = BTreeMap::new();
        for (path, script) in scripts {
            let file = path.to_string_lossy();
            let wanted = script.tests.iter().filter(|test| self.wants(&file, &test.name));
            for step in wanted.flat_map(|test| &test.steps) {
                let Act::Beside(named) = &step.act else { continue };
                if all.contains_key(named) {
                    continue;
                }
                let plugin = self.around().join(named);
                let player = if plugin.exists() {
                    let loaded = wait_for(workshop.load(&self.file_of(&plugin)?))?;
                    loaded.map_err(|error| format!("{error:#}"))
                } else {
                    let how_to = "name the folder or the file of a plugin, from the folder of this one on";
                    Err(format!("there is no {}: {how_to}", plugin.escaped()))
                };
                all.insert(named.clone(), player);
            }
        }
        Ok(all)
    }

    fn wants(&self, file: &str, test: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| test.contains(part) || file.contains(part))
    }
}

fn summary(passed: usize, failed: usize, updated_files: usize, tests: &[Value]) -> Value {
    json!({ "passed": passed, "failed": failed, "updated_files": updated_files, "tests": tests })
}

/// Returns whether a path is a file of tests.
fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION) && path.is_file()
}

/// Lists the test files of a folder, ordered by name. One that does not exist has none.
fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Loads the test files of a folder, or this one file.
fn scripts(place: &Path) -> anyhow::Result<Vec<(PathBuf, Script)>> {
    let is_alone = is_script(place);
    let none = || {
        let first = if is_alone { place.to_owned() } else { place.join("first").with_extension(EXTENSION) };
        format!(
            "{} has no tests: write {}, with `== it answers`, `alice: hello` and below it, indented, `to alice: hello`; \
             `parlor plugin test --help` says more",
            place.escaped(),
            first.escaped()
        )
    };
    let paths = if is_alone {
        vec![place.to_owned()]
    } else {
        files_in(place).with_context(|| format!("{} cannot be read", place.escaped()))?
    };
    let mut scripts = Vec::new();
    for path in paths {
        let script = Script::load(&path);
        scripts.push((path, script));
    }
    if scripts.iter().all(|(_, script)| script.tests.is_empty()) {
        bail!("{}", none());
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(plugin: PathBuf) -> TestArgs {
        TestArgs { plugin, filter: Vec::new(), update: false, tests: None, trust: false, json: false }
    }

    #[test]
    fn a_file_of_tests_is_run_alone_with_the_plugin_around_it() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path();
        fs::create_dir(folder.join("tests")).unwrap();
        let (inside, beside) = (folder.join("tests/first.chat"), folder.join("own.chat"));
        for file in [&inside, &beside, &folder.join("tests/second.chat")] {
            fs::write(file, "== it answers\nalice: hi\n").unwrap();
        }
        let error = naming(inside.clone()).of_script().unwrap_err().to_string();
        assert!(error.contains("has a plugin.toml; name the plugin, and the tests by --tests "), "{error}");
        fs::write(folder.join("plugin.toml"), "").unwrap();
        for file in [&inside, &beside] {
            let one = naming(file.clone()).of_script().unwrap().unwrap();
            assert_eq!((one.plugin.as_path(), one.tests.as_ref()), (folder, Some(file)));
            let found: Vec<_> = scripts(file).unwrap().into_iter().map(|(path, _)| path).collect();
            assert_eq!(found, [file.as_path()]);
        }
        assert_eq!(scripts(&folder.join("tests")).unwrap().len(), 2);
        // The folder that this path goes through has another plugin.
        fs::create_dir(folder.join("tests/other")).unwrap();
        fs::write(folder.join("tests/other/plugin.toml"), "").unwrap();
        let back = naming(folder.join("tests/other/../first.chat")).of_script().unwrap().unwrap();
        assert_eq!(back.plugin, folder.join("tests/other/../.."));
        let twice = TestArgs { tests: Some(beside.clone()), ..naming(inside) };
        assert!(twice.of_script().unwrap_err().to_string().contains("name the plugin instead of one"));
        assert!(naming(folder.to_owned()).of_script().unwrap().is_none());
        fs::write(&beside, "").unwrap();
        let error = scripts(&beside).unwrap_err().to_string();
        let said = format!("{} has no tests: write {}, with ", beside.escaped(), beside.escaped());
        assert!(error.starts_with(&said), "{error}");
    }

    #[test]
    fn a_filter_is_a_part_of_the_tests_name_or_of_the_files() {
        let arguments = |filter: &[&str]| TestArgs {
            filter: filter.iter().map(|part| (*part).to_owned()).collect(),
            ..naming(PathBuf::new())
        };
        assert!(arguments(&[]).wants("tests/a.chat", "it answers"));
        assert!(arguments(&["other", "answ"]).wants("tests/a.chat", "it answers"));
        assert!(arguments(&["a.chat"]).wants("tests/a.chat", "it answers"));
        assert!(!arguments(&["b.chat"]).wants("tests/a.chat", "it answers"));
    }
}
