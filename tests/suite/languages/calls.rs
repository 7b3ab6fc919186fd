//! Calls that few plugins make, in each language with the same outcome: requests in parts, files, webhooks, hooks, nodes,
//! retractions, schedules, requests of programs and of plugins, what is asked about people, and encrypted messages.
//!
//! The plugin in Rust is `tests/guests/calls`, the others are in `calls`; the one in JavaScript is compiled from TypeScript. All of
//! them pass the same tests.

use std::fs;
use std::path::PathBuf;

use parlor_tests::folder::Folder;
use parlor_tests::plugins;
use tokio::sync::OnceCell;

use super::{built, example, passes, typed, unit};

/// The outcome of the tests that all languages pass.
const PASSED: &str = "91 passed, 0 failed\n";

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_few_plugins_make_work_in_rust() {
    let folder = Folder::new().unwrap();
    fs::copy(plugins::built("calls").unwrap().file, folder.join("built.wasm")).unwrap();
    make_them(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_few_plugins_make_work_in_python() {
    let folder = built_in("python").await;
    make_them(&folder).await;
    do_more(&folder).await;
    assert_eq!(unit::complaints(&folder.join("plugin"), &["plugin.py"]).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_few_plugins_make_work_in_typescript() {
    let folder = in_typescript().await;
    make_them(folder).await;
    do_more(folder).await;
    assert_eq!(typed::complaints(&folder.join("plugin")).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_few_plugins_make_work_in_javascript() {
    let source = in_typescript().await;
    let folder = Folder::new().unwrap();
    let plugin = folder.join("plugin");
    typed::compiled(&source.join("plugin"), &plugin).await;
    fs::copy(source.join("plugin/plugin.toml"), plugin.join("plugin.toml")).unwrap();
    built(&plugin, &folder).await;
    make_them(&folder).await;
    do_more(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_few_plugins_make_work_in_go() {
    let folder = built_in("go").await;
    make_them(&folder).await;
    do_more(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_few_plugins_make_work_in_c() {
    let folder = built_in("c").await;
    make_them(&folder).await;
    do_more(&folder).await;
}

fn here(name: &str) -> PathBuf {
    example("../tests/suite/languages/calls").join(name)
}

/// Returns the folder of the plugin in TypeScript, which is built once.
async fn in_typescript() -> &'static Folder {
    static ONE: OnceCell<Folder> = OnceCell::const_new();
    ONE.get_or_init(|| built_in("ts")).await
}

/// Builds the plugin in a language, with the manifest of the one in Rust unless it has its own.
async fn built_in(language: &str) -> Folder {
    let folder = Folder::new().unwrap();
    let manifest = example("../tests/guests/calls/plugin.toml");
    folder.write("plugin/plugin.toml", fs::read_to_string(manifest).unwrap()).unwrap();
    for file in fs::read_dir(here(language)).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        folder.write(format!("plugin/{name}"), fs::read_to_string(file.path()).unwrap()).unwrap();
    }
    built(&folder.join("plugin"), &folder).await;
    folder
}

/// Runs the tests, some of them with other plugins beside.
async fn make_them(folder: &Folder) {
    static PARTNER: OnceCell<Folder> = OnceCell::const_new();
    for beside in ["echo", "share"] {
        let file = plugins::built(beside).unwrap().file;
        fs::copy(file, folder.join(beside).with_extension("wasm")).unwrap();
    }
    let partner = PARTNER.get_or_init(|| built_in("partner")).await;
    fs::copy(partner.join("built.wasm"), folder.join("partner.wasm")).unwrap();
    passes(&here("tests"), folder, PASSED).await;
}

/// An error is written to the log, and names the file that a call was about, and a request has one body. In Rust only the log has that
/// name, and of two bodies the later one counts.
async fn do_more(folder: &Folder) {
    passes(&here("more"), folder, "2 passed, 0 failed\n").await;
}
