//! A machine without what plugins are built with.

use parlor_tests::folder::Folder;
use parlor_tests::host::Home;

use super::parlor;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_with_what_to_do_and_leaves_nothing_behind() {
    let folder = Folder::new().unwrap();
    let around = folder.path().to_str().unwrap();
    for (language, missing, remedy) in [
        ("rust", "cannot run cargo", "https://rustup.rs"),
        ("python", "cannot run python3", "apt-get install python3-venv"),
        ("c", "cannot run python3", "apt-get install python3-venv"),
        ("go", "cannot run python3", "apt-get install python3-venv"),
        ("js", "cannot run npm", "apt-get install npm"),
        ("ts", "cannot run npm", "apt-get install npm"),
    ] {
        let finished = parlor(&["plugin", "new", language, "--lang", language, "--in", around]).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let mut home = Home::new().unwrap();
        home.set_environment("PATH", "/nowhere");
        home.set_environment("XDG_DATA_HOME", folder.path().join("data").to_str().unwrap());
        let plugin = folder.path().join(language);
        let finished = home.run(&["plugin", "build", plugin.to_str().unwrap()]).await.unwrap();
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
    // Neither half of a tool nor a whole one.
    let tools = folder.path().join("data/parlor/tools");
    assert_eq!(std::fs::read_dir(tools).unwrap().count(), 0);
}
