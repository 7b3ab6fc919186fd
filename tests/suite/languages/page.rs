//! The page `docs/first-plugin.md`, line by line.

use std::fs;
use std::path::Path;

use parlor_tests::folder::Folder;

use super::{example, parlor_in, rust_place, talks};
use crate::house::{Plan, SOON, friend, running};

/// A part of a section, in order.
enum Step {
    /// What an author types.
    Type(String),
    /// A file that an author writes, with its text.
    Write(String, String),
}

/// What the section of a language says to do.
fn steps(language: &str) -> Vec<Step> {
    let page = fs::read_to_string(example("../docs/first-plugin.md")).unwrap();
    let begin = format!("\n## {language}\n");
    let section = page.split(&begin).nth(1).unwrap_or_else(|| panic!("{language} has no section"));
    let section = section.split("\n## ").next().unwrap();
    let mut steps = Vec::new();
    for block in section.split("\n```").skip(1).step_by(2) {
        let (head, text) = block.split_once('\n').unwrap();
        match head.split_once(' ') {
            Some((_, file)) => steps.push(Step::Write(file.to_owned(), format!("{text}\n"))),
            None => steps.extend(text.lines().map(|line| Step::Type(line.strip_prefix("$ ").unwrap().to_owned()))),
        }
    }
    assert!(steps.len() >= 6, "{language}: too little");
    steps
}

/// Does it, in a folder, and gives the plugin that comes out.
async fn follow(language: &str, around: &Path) -> Vec<u8> {
    let mut place = around.to_owned();
    for step in steps(language) {
        match step {
            Step::Write(file, text) => fs::write(place.join(file), text).unwrap(),
            Step::Type(line) => match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["cd", folder] => place.push(folder),
                ["parlor", arguments @ ..] => {
                    let finished = parlor_in(&place, arguments).await;
                    assert_eq!(finished.code, Some(0), "{line}: {finished:?}");
                }
                _ => panic!("nobody knows how to: {line}"),
            },
        }
    }
    fs::read(place.join("parrot.wasm")).unwrap()
}

async fn shouts(language: &str, around: &Path) {
    let parrot = follow(language, around).await;
    let house = Plan::new().await.bytes("parrot", &parrot, talks).start().await;
    running(&house, "parrot").await;
    let mut friend = friend("friend").await;
    let bot = house.account().jid.clone();
    friend.chat(bot.clone(), "hello").await.unwrap();
    friend.wait_body(&bot, "HELLO", SOON).await.unwrap();
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_first_plugin_in_rust_shouts() {
    let (_alone, place) = rust_place().await;
    shouts("Rust", &place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_first_plugin_in_typescript_shouts() {
    shouts("TypeScript", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_first_plugin_in_python_shouts() {
    shouts("Python", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_first_plugin_in_go_shouts() {
    shouts("Go", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_first_plugin_in_c_shouts() {
    shouts("C", Folder::new().unwrap().path()).await;
}
