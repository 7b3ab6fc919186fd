//! The plugin of the page `docs/author/in-order.md` in each language, with the manifest and the test of that page; and one that asks
//! people.

use std::fs;
use std::path::{Path, PathBuf};

use parlor_tests::folder::Folder;

use super::{begun, begun_in_rust, block_of, parlor, rust_place};

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_rust_takes_one_bid_at_a_time() {
    let (_alone, place) = rust_place().await;
    sells("rust", "src/lib.rs", "src/lib.rs", &place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_python_takes_one_bid_at_a_time() {
    sells("python", "plugin.py", "plugin.py", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_javascript_takes_one_bid_at_a_time() {
    sells("js", "plugin.js", "plugin.js", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_typescript_takes_one_bid_at_a_time() {
    sells("ts", "plugin.js", "plugin.ts", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_go_takes_one_bid_at_a_time() {
    sells("go", "plugin.go", "plugin.go", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_c_takes_one_bid_at_a_time() {
    sells("c", "plugin.c", "plugin.c", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_rust_gives_up_the_turn() {
    let (_alone, place) = rust_place().await;
    asks("rust", "lib.rs", "src/lib.rs", &place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_python_gives_up_the_turn() {
    asks("python", "plugin.py", "plugin.py", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_javascript_gives_up_the_turn() {
    asks("js", "plugin.js", "plugin.js", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_typescript_gives_up_the_turn() {
    asks("ts", "plugin.js", "plugin.ts", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_go_gives_up_the_turn() {
    asks("go", "plugin.go", "plugin.go", Folder::new().unwrap().path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_c_gives_up_the_turn() {
    asks("c", "plugin.c", "plugin.c", Folder::new().unwrap().path()).await;
}

/// Puts the page's plugin into a new folder, with this block as this file, and runs the page's test.
async fn sells(language: &str, block: &str, file: &str, around: &Path) {
    let plugin = begun_in("auction", language, around).await;
    fs::remove_file(plugin.join("tests/first.chat")).unwrap();
    let manifest = shown("plugin.toml");
    fs::write(plugin.join("plugin.toml"), &manifest).unwrap();
    fs::write(plugin.join("tests/bids.chat"), shown("tests/bids.chat")).unwrap();
    fs::write(plugin.join(file), shown(block)).unwrap();
    assert_eq!(tried(&plugin).await, "1 passed, 0 failed\n", "{language}");

    // In C, handlers do not overlap in any case.
    let overlaps = language != "c";
    fs::write(plugin.join("plugin.toml"), manifest.replace("in_order = true\n", "")).unwrap();
    assert_eq!(tried(&plugin).await.ends_with("0 passed, 1 failed\n"), overlaps, "{language}: the bids do not meet");
}

/// Tries a plugin that asks each person two questions. The second one, too, has to be known as its own handler's.
async fn asks(language: &str, source: &str, file: &str, around: &Path) {
    let plugin = begun_in("pizza", language, around).await;
    fs::remove_file(plugin.join("tests/first.chat")).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/languages/in_order");
    for (from, to) in [("plugin.toml", "plugin.toml"), ("orders.chat", "tests/orders.chat"), (source, file)] {
        fs::copy(sources.join(from), plugin.join(to)).unwrap();
    }
    assert_eq!(tried(&plugin).await, "2 passed, 0 failed\n", "{language}");
}

/// Creates a plugin, and returns its folder.
async fn begun_in(name: &str, language: &str, around: &Path) -> PathBuf {
    if language == "rust" { begun_in_rust(name, around).await } else { begun(name, language, around).await }
}

/// Runs the tests of a folder, and returns the output.
async fn tried(plugin: &Path) -> String {
    parlor(&["plugin", "test", "--trust", plugin.to_str().unwrap()]).await.stdout
}

/// Returns the page's block for this file.
fn shown(file: &str) -> String {
    block_of("in-order.md", file)
}
