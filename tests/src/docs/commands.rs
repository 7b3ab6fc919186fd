//! Checks the commands on pages: each names a subcommand and flags that exist, and each block is run by a test or says
//! why nothing runs it.

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::markdown::{Block, Page};

/// The pages whose blocks the suite runs as an owner does, each on a separate host.
pub const OWNERS: [&str; 4] =
    ["README.md", "docs/owner/plugins.md", "docs/owner/running.md", "docs/owner/encryption.md"];

/// Pages, or folders of them, whose blocks are run, with the source of their runner.
const FOLLOWED: [(&str, &str); 10] = [
    (OWNERS[0], "tests/suite/owner/page.rs"),
    (OWNERS[1], "tests/suite/owner/page.rs"),
    (OWNERS[2], "tests/suite/owner/page.rs"),
    (OWNERS[3], "tests/suite/owner/page.rs"),
    ("docs/owner/control.md", "tests/suite/owner/page.rs"),
    ("docs/author/first-plugin.md", "tests/suite/languages/page.rs"),
    ("docs/author/second-plugin.md", "tests/suite/languages/page.rs"),
    ("docs/reference/screens.md", "tests/src/bin/operate/screens.rs"),
    // The same commands, on folders that were made of the same templates.
    ("plugins-sdk/templates/", "tests/suite/languages.rs"),
    // The gate builds those in Rust as their pages say, and the suite the others.
    ("example-plugins/", "tests/xtask/src/build.rs"),
];

/// Returns a line for each fault of the commands on these pages.
pub fn faults(pages: &[Page]) -> Vec<String> {
    let mut faults = Vec::new();
    for page in pages {
        for block in page.blocks.iter().filter(|block| has_commands(block)) {
            let lines = lines(block).into_iter().filter_map(|(line, text)| Some((line, refused(text)?)));
            faults.extend(lines.map(|(line, why)| format!("{}:{line}: {why}", page.path)));
            if block.not_run.is_none() && !is_followed(&page.path) {
                faults.push(format!(
                    "{}:{}: nothing runs these commands; have a test run them, or say why not in a comment above them: \
                     <!-- not run: REASON -->",
                    page.path, block.line
                ));
            }
        }
        let code = page.code.iter().filter_map(|(line, text)| Some((line, unknown(text)?)));
        faults.extend(code.map(|(line, why)| format!("{}:{line}: {why}", page.path)));
    }
    faults
}

/// Returns the commands of the blocks that a test must run, in the order of the page.
pub fn to_run(page: &Page) -> Vec<Vec<String>> {
    let blocks = page.blocks.iter().filter(|block| has_commands(block) && block.not_run.is_none());
    blocks.flat_map(|block| lines(block).into_iter().flat_map(|(_, line)| split(line))).collect()
}

fn is_followed(path: &str) -> bool {
    FOLLOWED.iter().any(|(followed, _)| *followed == path || followed.ends_with('/') && path.starts_with(followed))
}

fn has_commands(block: &Block) -> bool {
    ["console", "sh", "shell", "bash"].contains(&block.language.as_str())
}

/// Returns the typed lines of a block, with their numbers: all of a script, and those behind `$ ` where output is
/// shown as well.
fn lines(block: &Block) -> Vec<(usize, &str)> {
    let is_session = block.language == "console";
    let all = block.text.lines().enumerate().map(|(number, line)| (block.line + 1 + number, line));
    all.filter_map(|(number, line)| Some((number, if is_session { line.strip_prefix("$ ")? } else { line }))).collect()
}

/// Returns why a line of a block is not a command that exists.
fn refused(line: &str) -> Option<String> {
    split(line).iter().find_map(|words| parsed(words)?.err().map(|error| told(words, &error)))
}

/// Returns why code in a sentence names a subcommand or a flag that does not exist. It may be only a part of a command.
fn unknown(code: &str) -> Option<String> {
    let words = split(code).into_iter().next()?;
    let error = parsed(&words)?.err()?;
    let placeholder = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => !word.starts_with(|letter: char| letter.is_ascii_lowercase()),
        _ => false,
    };
    let is_unknown = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    (is_unknown && !placeholder).then(|| told(&words, &error))
}

fn told(words: &[String], error: &clap::Error) -> String {
    let error = error.to_string();
    let first = error.lines().next().unwrap_or_default();
    format!("`{}` is refused: {}", words.join(" "), first.strip_prefix("error: ").unwrap_or(first))
}

/// Parses a command with the arguments of the program that it names; `None` if it is not one of ours.
fn parsed(words: &[String]) -> Option<Result<(), clap::Error>> {
    let (program, words) = match words {
        [first, ..] if first == "parlor" => (parlor_cli::Arguments::command(), words),
        [first, second, ..] if first == "cargo" && second == "xtask" => (xtask::Arguments::command(), &words[1..]),
        _ => return None,
    };
    let is_help = |error: &clap::Error| {
        use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
        matches!(error.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion)
    };
    Some(match program.try_get_matches_from(words) {
        Err(error) if !is_help(&error) => Err(error),
        _ => Ok(()),
    })
}

/// Splits a line into its commands and their words as a shell does, without comments and the targets of `>`. Nothing is
/// expanded.
fn split(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut is_target = false;
    let end = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>, is_target: &mut bool| {
        if let Some(word) = word.take()
            && !std::mem::take(is_target)
        {
            commands.last_mut().expect("there is always one").push(word);
        }
    };
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (' ', None) => end(&mut word, &mut commands, &mut is_target),
            ('|' | ';' | '&', None) => {
                end(&mut word, &mut commands, &mut is_target);
                commands.push(Vec::new());
            }
            ('>', None) => {
                end(&mut word, &mut commands, &mut is_target);
                is_target = true;
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    end(&mut word, &mut commands, &mut is_target);
    commands.retain(|words| !words.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::root;
    use crate::docs::markdown;

    #[test]
    fn every_command_on_a_page_exists_and_is_run_or_says_why_not() {
        let faults = faults(&markdown::pages(&root()).unwrap());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// A page that has moved would be followed by nothing.
    #[test]
    fn every_page_that_is_followed_exists_and_so_does_what_follows_it() {
        for (page, source) in FOLLOWED {
            assert!(root().join(page).exists(), "there is no {page}");
            let text = std::fs::read_to_string(root().join(source)).unwrap();
            let name = page.trim_start_matches("docs/").trim_end_matches('/');
            let names_it =
                text.contains(name) || page.ends_with('/') || OWNERS.contains(&page) && text.contains("OWNERS");
            assert!(names_it, "{source} does not name {page}");
        }
    }

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        let words = |line| split(line).iter().map(|words| words.join("+")).collect::<Vec<_>>();
        assert_eq!(
            words("parlor plugin config echo prefix 'say '   # a comment"),
            ["parlor+plugin+config+echo+prefix+say "]
        );
        assert_eq!(words("parlor plugin data echo export > a.jsonl"), ["parlor+plugin+data+echo+export"]);
        assert_eq!(words("parlor status --json | jq -e 'a | b'"), ["parlor+status+--json", "jq+-e+a | b"]);
        assert_eq!(words("# nothing"), [""; 0]);
    }

    #[test]
    fn a_command_that_does_not_exist_is_named_with_page_and_line() {
        let text = "Run `parlor plugin frobnicate` or `parlor plugin NAME`, or `cargo xtask demo --kep`.\n\n\
            <!-- not run: it is an example -->\n\n```console\n$ parlor status --jsno\n{}\n$ parlor run\n```\n\n\
            ```sh\nparlor explain\n```\n";
        let faults = faults(&[Page::parse("a.md", text)]);
        let begins = [
            "a.md:6: `parlor status --jsno` is refused: unexpected argument '--jsno' found",
            "a.md:12: `parlor explain` is refused: the following required arguments were not provided:",
            "a.md:11: nothing runs these commands;",
            "a.md:1: `parlor plugin frobnicate` is refused: unrecognized subcommand 'frobnicate'",
            "a.md:1: `cargo xtask demo --kep` is refused: unexpected argument '--kep' found",
        ];
        assert_eq!(faults.len(), begins.len(), "{faults:#?}");
        assert!(faults.iter().zip(begins).all(|(fault, begin)| fault.starts_with(begin)), "{faults:#?}");
    }
}
