//! `parlor plugin port`: makes a plugin for parlor of one for another framework, and says what it lacks.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use parlor_authoring::port::{self, Finding, Kind, Ported};
use parlor_base::escape::{EscapedPath as _, escape_untrusted, shell_word};

use super::trust;
use crate::Ended;
use crate::show::{Put as _, print, print_json};

/// How much of a text that the plugin's source may hold is shown, in bytes.
const LONGEST: usize = 300;

/// The arguments of `parlor plugin port`.
#[derive(Debug, Args)]
#[command(
    long_about = "Make a plugin for parlor of one for errbot or maubot, in Python: a new folder with its source, a plugin.toml that asks for what it uses, and a layer with the decorators and objects that it knows. Functions that wait for the web or for time become `async`. The command reports each feature that the layer lacks, with the place, the reason and a replacement. It runs no code of the plugin, and does not change its folder.",
    after_help = "Examples:\n  parlor plugin port err-weather                       makes a folder with the name of the plugin\n  parlor plugin port maubot-tea --into tea && parlor plugin build tea\n  parlor plugin port err-weather --json                the report, for programs\n\nExit codes: 0 ported, and it lacks nothing, 5 ported, and it lacks something, 1 failed and nothing was made, 2 wrong usage"
)]
pub struct PortArgs {
    /// The plugin's folder, with a .plug file (errbot) or maubot.yaml (maubot)
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The folder to make [default: one that is called as the plugin]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The framework that it comes from [default: as its files tell]
    #[arg(long, value_enum)]
    framework: Option<Framework>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// A framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Framework {
    /// Plugins with a .plug file
    Errbot,
    /// Plugins with a maubot.yaml
    Maubot,
}

impl From<Framework> for port::Framework {
    fn from(framework: Framework) -> Self {
        match framework {
            Framework::Errbot => Self::Errbot,
            Framework::Maubot => Self::Maubot,
        }
    }
}

impl PortArgs {
    /// Ports the plugin, and prints the report.
    pub fn run(&self) -> anyhow::Result<()> {
        let (folder, into) = (self.folder.clone(), self.into.clone());
        let ported = port::port(&port::Request { folder, into, framework: self.framework.map(Into::into) })?;
        trust::made(&ported.folder);
        if self.json {
            print_json(&ported)?;
        } else {
            print(&report(&ported))?;
        }
        if ported.is_whole() { Ok(()) } else { Err(Ended::Lacking(summary(&ported)).into()) }
    }
}

/// Returns the report for people.
fn report(ported: &Ported) -> String {
    let mut text = format!("{}\n", ported.folder.escaped());
    for (kind, head) in [
        (Kind::Lacks, "It lacks:"),
        (Kind::Package, "It needs packages:"),
        (Kind::Check, "Look at:"),
        (Kind::Changed, "Changed, since it waits:"),
    ] {
        let findings: Vec<_> = ported.findings.iter().filter(|finding| finding.kind == kind).collect();
        if !findings.is_empty() {
            text.put(format_args!("\n{head}\n"));
            for finding in findings {
                text.push_str(&line(finding));
            }
        }
    }
    if ported.left_out > 0 {
        text.put(format_args!("  and {} more\n", ported.left_out));
    }
    if !ported.skipped.is_empty() {
        text.push_str("\nNot read:\n");
        for one in &ported.skipped {
            text.put(format_args!("  {}: {}\n", one.file, one.why));
        }
    }
    text.put(format_args!("\nnext: cd {} && ", shell_word(&ported.folder.to_string_lossy())));
    if !ported.packages.is_empty() {
        text.push_str("pip install --target . ");
        for package in &ported.packages {
            text.put(format_args!("{} ", shell_word(package)));
        }
        text.push_str("&& ");
    }
    text.push_str("parlor plugin build\n  the first time it installs componentize-py, for itself\n");
    if !ported.packages.is_empty() {
        text.push_str(
            "  pip may run code of these packages as you, and the plugin's author named some: look at them first\n",
        );
    }
    text
}

/// Returns the lines of one finding. The place has the form that editors find.
fn line(finding: &Finding) -> String {
    let shown = |text: &str| escape_untrusted(text, LONGEST);
    let Finding { file, line, what, why, instead, .. } = finding;
    let mut text = format!("  {}:{line}: {}\n", shown(file), shown(what));
    if finding.kind != Kind::Changed {
        text.put(format_args!("    {}\n", shown(why)));
        if !instead.is_empty() {
            text.put(format_args!("    instead: {}\n", shown(instead)));
        }
    }
    text
}

/// Returns what the plugin lacks in one sentence.
fn summary(ported: &Ported) -> String {
    let counted = |kind, one: &str, several: &str| match ported.count(kind) {
        0 => None,
        1 => Some(format!("1 {one}")),
        more => Some(format!("{more} {several}")),
    };
    let parts = [counted(Kind::Lacks, "thing", "things"), counted(Kind::Package, "package", "packages")];
    let lacks = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    // The findings that are not listed may be of any kind.
    let lacks = if lacks.is_empty() { "more than is listed" } else { lacks.as_str() };
    format!("{} is made, and lacks {lacks}", ported.folder.escaped())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ported(findings: Vec<Finding>) -> Ported {
        Ported {
            folder: PathBuf::from("weather"),
            name: "weather".to_owned(),
            framework: port::Framework::Errbot,
            findings,
            left_out: 0,
            packages: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn finding(kind: Kind, what: &str) -> Finding {
        let text = |text: &str| text.to_owned();
        Finding {
            kind,
            file: text("a.py"),
            line: 3,
            what: text(what),
            why: text("there are none"),
            instead: text("nothing"),
        }
    }

    #[test]
    fn the_report_says_where_why_and_what_to_use() {
        let all = ported(vec![finding(Kind::Lacks, "threads\u{1b}[2J"), finding(Kind::Changed, "(await sleep(1))")]);
        assert_eq!(
            report(&all),
            "weather\n\nIt lacks:\n  a.py:3: threads\\u{1b}[2J\n    there are none\n    instead: nothing\n\n\
             Changed, since it waits:\n  a.py:3: (await sleep(1))\n\nnext: cd weather && parlor plugin build\n  the \
             first time it installs componentize-py, for itself\n"
        );
        assert_eq!(summary(&all), "weather is made, and lacks 1 thing");
        let lacks = |kinds: &[Kind]| summary(&ported(kinds.iter().map(|kind| finding(*kind, "x")).collect()));
        let (thing, package) = (Kind::Lacks, Kind::Package);
        assert_eq!(lacks(&[thing, package, thing]), "weather is made, and lacks 2 things and 1 package");
        assert_eq!(lacks(&[package, package]), "weather is made, and lacks 2 packages");
        let cut = Ported { left_out: 3, ..ported(Vec::new()) };
        assert_eq!(summary(&cut), "weather is made, and lacks more than is listed");
        assert!(!all.is_whole() && ported(vec![finding(Kind::Check, "x")]).is_whole());
    }

    #[test]
    fn the_next_step_installs_the_packages_that_it_needs() {
        let packages = vec!["beautifulsoup4".to_owned(), "é x".to_owned()];
        let said = report(&Ported { packages, ..ported(vec![finding(Kind::Package, "bs4")]) });
        let next = "\nnext: cd weather && pip install --target . beautifulsoup4 'é x' && parlor plugin build\n";
        assert!(said.contains(next), "{said}");
        let warning = "pip may run code of these packages as you";
        assert!(said.contains(warning) && !report(&ported(Vec::new())).contains(warning), "{said}");
    }

    /// For readers of the page.
    #[test]
    fn the_page_for_programs_names_each_field() {
        let page = include_str!("../../../../docs/owner/control.md");
        for (head, shown) in [
            ("### `parlor plugin port --json`", serde_json::to_value(ported(Vec::new())).unwrap()),
            ("### What was found by `parlor plugin port`", serde_json::to_value(finding(Kind::Lacks, "x")).unwrap()),
        ] {
            let section = page.split(&format!("\n{head}\n")).nth(1).unwrap().split("\n##").next().unwrap();
            let named: Vec<_> =
                section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
            assert_eq!(named.len(), shown.as_object().unwrap().len(), "{head}");
            assert!(named.iter().all(|name| shown.get(name).is_some()), "{named:?}: {shown}");
        }
    }
}
