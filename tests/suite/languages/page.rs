//! Follows the pages `docs/author/first-plugin.md` and `docs/author/second-plugin.md` line by line.

use std::fs;
use std::path::{Path, PathBuf};

use parlor_tests::folder::Folder;
use parlor_tests::policy::Entry;

use super::typed::complaints;
use super::{example, parlor_in, rust_place, talks};
use crate::test_host::{Plan, SOON, friend, running};

/// The first page, which creates the folder.
const FIRST: &str = "author/first-plugin.md";
/// The second page, which continues in that folder.
const SECOND: &str = "author/second-plugin.md";
/// The heading of the section that applies to all languages on the second page.
const EVERYWHERE: &str = "In every language";

/// A step of a section.
enum Step {
    /// A command that an author types.
    Type(String),
    /// A file that an author writes, with its text.
    Write(String, String),
}

/// Returns the steps of a section of a page.
fn steps(page: &str, title: &str) -> Vec<Step> {
    let text = fs::read_to_string(example("../docs").join(page)).unwrap();
    let begin = format!("\n## {title}\n");
    let section = text.split(&begin).nth(1).unwrap_or_else(|| panic!("{page} has no section {title}"));
    let section = section.split("\n## ").next().unwrap();
    let mut steps = Vec::new();
    for block in section.split("\n```").skip(1).step_by(2) {
        let (head, text) = block.split_once('\n').unwrap();
        match head.split_once(' ') {
            Some((_, file)) => steps.push(Step::Write(file.to_owned(), format!("{text}\n"))),
            None => steps.extend(text.lines().map(|line| Step::Type(line.strip_prefix("$ ").unwrap().to_owned()))),
        }
    }
    assert!(steps.len() >= 2, "{page}, {title}: too little");
    steps
}

/// Follows the steps in a folder, and updates `place` if they change the folder.
async fn follow(page: &str, title: &str, place: &mut PathBuf) {
    for step in steps(page, title) {
        match step {
            Step::Write(file, text) => fs::write(place.join(file), text).unwrap(),
            Step::Type(line) => match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["cd", folder] => place.push(folder),
                ["parlor", arguments @ ..] => {
                    // The folder lies within this workspace, where `parlor plugin new` does not mark it as trusted.
                    let builds = matches!(arguments, ["plugin", "build" | "test" | "dev", ..]);
                    let trust: &[&str] = if builds { &["--trust"] } else { &[] };
                    let finished = parlor_in(place, &[arguments, trust].concat()).await;
                    assert_eq!(finished.code, Some(0), "{line}: {finished:?}");
                }
                _ => panic!("nobody knows how to: {line}"),
            },
        }
    }
}

async fn shouts_and_then_counts(language: &str, around: &Path) {
    let mut place = around.to_owned();
    follow(FIRST, language, &mut place).await;
    let shouts = fs::read(place.join("repeat.wasm")).unwrap();
    follow(SECOND, EVERYWHERE, &mut place).await;
    follow(SECOND, language, &mut place).await;
    let counts = fs::read(place.join("repeat.wasm")).unwrap();

    let mut friend = friend("friend").await;
    let told = friend.jid().to_bare().to_string();
    let owned = |entry: Entry| {
        let entry = entry.grant("messages.send", &["*"]).grant("storage", &["1 MiB"]);
        entry.set("to", told).set("every", "1 s")
    };
    let host = Plan::new().await.bytes("repeat", &shouts, talks).bytes("second", &counts, owned).start().await;
    running(&host, "repeat").await;
    running(&host, "second").await;
    let bot = host.account().jid.clone();
    for (said, answer) in [("hello", "HELLO"), ("!drank tea", "tea: 1"), ("!drank green tea", "green tea: 1, tea: 1")] {
        friend.chat(bot.clone(), said).await.unwrap();
        friend.wait_body(&bot, answer, SOON).await.unwrap();
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_plugin_in_rust_shouts_and_then_counts() {
    let (_alone, place) = rust_place().await;
    shouts_and_then_counts("Rust", &place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_plugin_in_typescript_shouts_and_then_counts() {
    let folder = Folder::new().unwrap();
    shouts_and_then_counts("TypeScript", folder.path()).await;
    // A build strips types without checking them.
    assert_eq!(complaints(&folder.path().join("repeat")).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_plugin_in_python_shouts_and_then_counts() {
    shouts_and_then_counts("Python", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_plugin_in_go_shouts_and_then_counts() {
    shouts_and_then_counts("Go", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_plugin_in_c_shouts_and_then_counts() {
    shouts_and_then_counts("C", Folder::new().unwrap().path()).await;
}
