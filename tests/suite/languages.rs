//! Plugins in each language, from an empty folder to an answer on a real server, with the commands that an author
//! types.

mod c;
mod calls;
mod dev;
mod dialogs;
mod go;
mod in_order;
mod javascript;
mod missing;
mod moderation;
mod online;
mod page;
mod port;
mod python;
mod rust;
mod steps;
mod typed;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use parlor_runtime::supervisor::State;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Finished, Home};
use parlor_tests::memories;
use parlor_tests::peer::archive::Script;
use parlor_tests::policy::Entry;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use crate::archive::archive_is_known;
use crate::test_host::{FULL, Plan, SOON, TestHost, friend, granted, id, running};

/// Runs `parlor` as an author does.
async fn parlor(arguments: &[&str]) -> Finished {
    parlor_in(Path::new("."), arguments).await
}

/// Runs `parlor` in a folder.
async fn parlor_in(place: &Path, arguments: &[&str]) -> Finished {
    let home = Home::new().unwrap();
    let mut command = home.command(arguments).unwrap();
    command.current_dir(place).env("CARGO_TARGET_DIR", fs::canonicalize(compiled()).unwrap()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Creates a plugin in this language, as an author does, and returns its folder.
async fn begun(name: &str, language: &str, around: &Path) -> PathBuf {
    let new = parlor(&["plugin", "new", name, "--lang", language, "--in", around.to_str().unwrap()]).await;
    assert_eq!(new.code, Some(0), "{new:?}");
    around.join(name)
}

/// Returns the block of a page for authors that is this file of a plugin.
fn block_of(page: &str, file: &str) -> String {
    let page = fs::read_to_string(example("../docs/author").join(page)).unwrap();
    let mut blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let found = blocks.find(|(head, _)| head.split_once(' ').is_some_and(|(_, name)| name == file));
    format!("{}\n", found.unwrap_or_else(|| panic!("no block for {file}")).1)
}

/// The name of the folder of each plugin in Rust, in that of [`rust_place`].
const RUST_FOLDER: &str = "repeat";

/// The SDK, in a plugin's folder.
const SDK: &str = ".parlor";

/// Returns the folder for a plugin in Rust. There is one at a time, and always at the same path: cargo compares paths
/// before it reuses compiled code, the standard library included.
async fn rust_place() -> (MutexGuard<'static, ()>, PathBuf) {
    static ONE: Mutex<()> = Mutex::const_new(());
    let guard = ONE.lock().await;
    let place = compiled().join("plugins");
    let last = place.join(RUST_FOLDER).join(SDK);
    if last.is_dir() {
        let _ = fs::remove_dir_all(kept_sdk());
        fs::rename(last, kept_sdk()).unwrap();
    }
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    (guard, fs::canonicalize(place).unwrap())
}

/// Returns the folder where the SDK of the last plugin in Rust is kept for the next one.
fn kept_sdk() -> PathBuf {
    compiled().join("sdk")
}

/// Creates a plugin in Rust in the folder of [`rust_place`], and returns its folder.
///
/// The plugin gets the SDK's files of the last one. Cargo would compile new files again, which takes 20 s of CPU time. A
/// build replaces those that differ from parlor's own.
async fn begun_in_rust(name: &str, place: &Path) -> PathBuf {
    let (new, plugin) = (begun(name, "rust", place).await, place.join(RUST_FOLDER));
    fs::rename(new, &plugin).unwrap();
    if kept_sdk().is_dir() {
        fs::remove_dir_all(plugin.join(SDK)).unwrap();
        fs::rename(kept_sdk(), plugin.join(SDK)).unwrap();
    }
    plugin
}

/// Returns the folder where cargo keeps code compiled for plugins in Rust, so that the standard library is compiled
/// once and not in each run.
fn compiled() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/suite-rust");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Builds a plugin's folder, and returns the component.
async fn built(folder: &Path, into: &Folder) -> Vec<u8> {
    let file = into.path().join("built.wasm");
    let (folder, output) = (folder.to_str().unwrap(), file.to_str().unwrap());
    let finished = parlor(&["plugin", "build", "--trust", folder, "-o", output]).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    fs::read(file).unwrap()
}

/// Builds a plugin from this source file, with a manifest that also asks for archives, and returns the component.
async fn built_reader(file: &str, text: &str, into: &Folder) -> Vec<u8> {
    let reads = "[permissions]\n\"archive.read\" = { scope = [\"*\"], reason = \"to look back\" }";
    into.write("plugin/plugin.toml", MANIFEST.replace("[permissions]", reads)).unwrap();
    into.write(format!("plugin/{file}"), text).unwrap();
    built(&into.path().join("plugin"), into).await
}

/// Runs such a plugin on an archive that returns one message at a time. The plugin has fewer handles than it needs
/// unless it closes what it opens.
async fn with_archive(script: Script, plugin: &[u8]) -> TestHost {
    let swift = |entry: Entry| entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000);
    let plan = Plan::scripted(script).await.set("archived_messages_page_size", 1).set("archived_messages_limit", 1);
    let plan = plan.caller(FULL, |entry| swift(granted(entry)));
    let limited = |entry: Entry| swift(asked(entry)).grant("archive.read", &["*"]).limit("handles", 128);
    let host = plan.bytes("actions", plugin, limited).start().await;
    archive_is_known(&host).await;
    running(&host, "actions").await;
    host
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-plugins").join(name)
}

/// The same source gives the same bytes, wherever and whenever it is built.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_source_gives_the_same_bytes() {
    for language in ["js", "go", "c"] {
        let folder = Folder::new().unwrap();
        let mut all = Vec::new();
        for place in ["here", "elsewhere/and/deeper"] {
            let around = folder.path().join(place);
            fs::create_dir_all(&around).unwrap();
            all.push(built(&begun("repeat", language, &around).await, &folder).await);
        }
        assert!(all[0] == all[1], "{language}: they differ");
    }
}

/// Runs the tests of an example against the plugin that was built last.
async fn passes_its_tests(name: &str, into: &Folder, passed: &str) {
    passes(&example(name).join("tests"), into, passed).await;
}

/// Builds this folder's plugin in a language, and runs its tests, which cover what authors expect.
async fn does_as_expected(language: &str, passed: &str) {
    let folder = Folder::new().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/languages").join(language);
    for file in fs::read_dir(&source).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
        let name = file.file_name().unwrap().to_str().unwrap();
        folder.write(format!("plugin/{name}"), fs::read_to_string(&file).unwrap()).unwrap();
    }
    built(&folder.path().join("plugin"), &folder).await;
    passes(&source.join("tests"), &folder, passed).await;
}

/// Runs these tests against the plugin that was built there.
async fn passes(tests: &Path, into: &Folder, passed: &str) {
    let file = into.path().join("built.wasm");
    let tested = parlor(&["plugin", "test", file.to_str().unwrap(), "--tests", tests.to_str().unwrap()]).await;
    assert_eq!((tested.code, tested.stdout.as_str()), (Some(0), passed), "{tested:?}");
}

fn talks(entry: Entry) -> Entry {
    entry.grant("messages.read", &["*"]).grant("messages.send", &["*"])
}

/// Creates a plugin in this language, builds it unchanged, and has a client talk to it on a real server.
async fn begins_and_answers(language: &str, folder: &Path, into: &Folder) {
    let plugin = begun("repeat", language, folder).await;
    // Its own test passes at once, after a build that `plugin test` starts.
    let tested = parlor(&["plugin", "test", "--trust", plugin.to_str().unwrap()]).await;
    assert_eq!((tested.code, tested.stdout.as_str()), (Some(0), "2 passed, 0 failed\n"), "{tested:?}");
    let repeat = match fs::read(plugin.join("repeat.wasm")) {
        Ok(repeat) => repeat,
        // Cargo has a separate folder for its output.
        Err(_) => built(&plugin, into).await,
    };
    says_its_language(language, &repeat, into).await;
    let host = Plan::new().await.caller(FULL, granted).bytes("repeat", &repeat, talks).start().await;
    host.logged("ready", &[("plugin", "repeat")]).await;
    let mut friend = friend("friend").await;
    let bot = host.account().jid.clone();
    let say = json!({ "name": "say", "help": "Says it", "usage": "" });
    host.call(FULL, "commands.add", say).await.ok();
    // The command is another plugin's.
    friend.chat(bot.clone(), "!say it").await.unwrap();
    friend.chat(bot.clone(), "hello").await.unwrap();
    let first = friend.wait_text("an answer", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert_eq!(first, "you said: hello");
    host.stop().await;
}

/// An owner who is offered the plugin sees its language.
async fn says_its_language(language: &str, plugin: &[u8], into: &Folder) {
    let file = into.path().join("offered.wasm");
    fs::write(&file, plugin).unwrap();
    let finished = parlor(&["plugin", "inspect", file.to_str().unwrap(), "--json"]).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let names =
        [("rust", "Rust"), ("python", "Python"), ("js", "JavaScript"), ("ts", "TypeScript"), ("go", "Go"), ("c", "C")];
    let (_, name) = names.into_iter().find(|(short, _)| *short == language).unwrap();
    assert_eq!(finished.json().unwrap()["language"], name);
}

/// Builds a plugin of these files, runs it with this setting, sends it these messages, and checks the answers.
async fn actions(files: &[(&str, &str)], greeting: &str, told: &[(&str, Option<&str>)]) -> TestHost {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    for (file, text) in files {
        folder.write(format!("plugin/{file}"), text).unwrap();
    }
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let host =
        Plan::new().await.bytes("actions", &plugin, |entry| asked(entry).set("greeting", greeting)).start().await;
    running(&host, "actions").await;
    let mut friend = friend("friend").await;
    let bot = host.account().jid.clone();
    for (said, answer) in told {
        friend.chat(bot.clone(), said).await.unwrap();
        if let Some(answer) = answer {
            friend.wait_body(&bot, answer, SOON).await.unwrap();
        }
    }
    host
}

/// Checks from outside that no plugin holds the password of its account, since not every language lets a plugin search
/// its own memory. Messages to the plugin lie there, which proves that the password would be found.
async fn holds_no_password(host: &TestHost) {
    // Freed memory may lose its first bytes.
    let (password, own) = (host.account().password.as_str(), &host.name()[8..]);
    let mut friend = friend("friend").await;
    let mut found = Vec::new();
    // A plugin may have freed and reused the memory of its last message. The next one is there for a while.
    for _ in 0..100 {
        found = memories::found(std::process::id(), &[password, own]).unwrap();
        if !found.is_empty() {
            break;
        }
        friend.chat(host.account().jid.clone(), "one more").await.unwrap();
    }
    assert_eq!(found, [own], "in the memory of plugins");
}

/// Restarts the plugin of [`actions`] while its account is connected. It is ready at once, and only once.
async fn is_ready_again(host: &TestHost) {
    assert!(host.host.restart_plugin(&id("actions")).await);
    running(host, "actions").await;
    let mut friend = friend("friend").await;
    let bot = host.account().jid.clone();
    friend.chat(bot.clone(), "ready").await.unwrap();
    friend.wait_body(&bot, "ready once", SOON).await.unwrap();
}

/// Tries to build a broken plugin. No file must be left, and the message must have each of these parts.
async fn is_refused(plugin: &Path, into: &Folder, parts: &[&str]) {
    let output = into.path().join("refused.wasm");
    let finished =
        parlor(&["plugin", "build", "--trust", plugin.to_str().unwrap(), "-o", output.to_str().unwrap()]).await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for part in parts {
        assert!(finished.stderr.contains(part), "{part} is missing: {finished:?}");
    }
    assert!(!output.exists());
}

/// Builds a plugin of this file, which must refuse to start for a reason that contains this text.
async fn does_not_start(file: &str, text: &str, says: &str) {
    let folder = Folder::new().unwrap();
    folder.write("plugin/plugin.toml", MANIFEST).unwrap();
    folder.write(format!("plugin/{file}"), text).unwrap();
    let plugin = built(&folder.path().join("plugin"), &folder).await;
    let host = Plan::new().await.bytes("actions", &plugin, asked).start().await;
    let state = host.state("actions").await;
    assert!(matches!(&state, State::Refused(reason) if reason.contains(says)), "{state:?}");
    host.stop().await;
}

/// Grants what [`MANIFEST`] asks for, but messages only to people of this server.
fn asked(entry: Entry) -> Entry {
    let entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["@localhost"]);
    entry.grant("storage", &["1 MiB"]).grant("stanza.send", &["iq"])
}

/// The manifest of a test plugin.
const MANIFEST: &str = r#"
[plugin]
name = "actions"
version = "0.1.0"
api = "0.1.0"
description = "Does what it is told"

[permissions]
"messages.read" = { scope = ["*"], reason = "to hear" }
"messages.send" = { scope = ["*"], reason = "to answer" }
"storage" = { scope = ["1 MiB"], reason = "to keep" }
"stanza.send" = { scope = ["iq"], reason = "to ask" }

[settings.greeting]
type = "string"
default = "hello"
description = "What it says"
"#;

/// Returns the manifest of one that answers where it was asked, also in rooms if it may.
fn manifest_of_answers() -> String {
    let optional = r#""rooms.send" = { scope = ["*"], reason = "to answer there", optional = true }"#;
    MANIFEST.replacen("[permissions]", &format!("[permissions]\n{optional}"), 1)
}
