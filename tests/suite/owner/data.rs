//! `parlor plugin data`: a plugin's stored data is listed, exported and imported, with and without a running host.

use std::io::Write as _;

use parlor_tests::component::with_manifest;
use parlor_tests::host::Home;
use parlor_tests::nats::make_node;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;

use super::{SOON, ended, home};

/// Prepares an echo that may use storage.
async fn prepared() -> Home {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let more = "[permissions]\nstorage = { reason = \"to remember\" }\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| manifest.replacen("[permissions]\n", more, 1)).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    let add = ["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--grant", "storage=1 KiB"];
    ended(home.run(&add).await.unwrap(), 0);
    home
}

/// The text has characters that a terminal would interpret. An export escapes them, and loses nothing.
const LINES: &str = "{\"account\":\"main\",\"key\":\"a\",\"value\":\"text \\u001b[31m\\u007f\\u009b2J\\u202e ü\"}\n{\"account\":\"main\",\"key\":\"b\",\"hex\":\"ff00\"}\n{\"account\":\"main\",\"key\":\"c\",\"value\":\"x\",\"expires\":99999999999999}\n";

#[tokio::test]
async fn what_is_imported_is_listed_and_exported_again() {
    let home = prepared().await;
    assert!(
        ended(home.run(&["plugin", "data", "echo", "list"]).await.unwrap(), 0).stdout.contains("echo keeps nothing")
    );
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, "");
    let imported = home.run_with(&["plugin", "data", "echo", "import"], LINES).await.unwrap();
    assert!(ended(imported, 0).stdout.contains("3 entries imported"));
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, LINES);
    let list = ended(home.run(&["plugin", "data", "echo", "list"]).await.unwrap(), 0).stdout;
    assert!(list.contains("text \\u{1b}[31m") && list.contains("3 entries"), "{list}");
    let _host = super::start_as_it_is(&home).await;
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, LINES);
    home.write("more.jsonl", "{\"account\":\"main\",\"key\":\"d\",\"value\":\"\"}\n").unwrap();
    ended(home.run(&["plugin", "data", "echo", "import", "more.jsonl"]).await.unwrap(), 0);
    // The data of a removed plugin is kept, unless the owner says otherwise.
    let unasked = ended(home.run(&["plugin", "remove", "echo"]).await.unwrap(), 3);
    assert!(unasked.stderr.contains("give --yes to remove echo, with its grants"), "{unasked:?}");
    let removed = ended(home.run(&["plugin", "remove", "echo", "--yes"]).await.unwrap(), 0);
    let says = "echo is removed; what it kept stays, and `parlor plugin remove echo --with-data` removes that, too; ";
    assert!(removed.stdout.starts_with(says), "{removed:?}");
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout.lines().count(), 4);
    let added = ended(home.run(&["plugin", "add", "echo.wasm", "--yes", "--grant-all"]).await.unwrap(), 0);
    assert!(added.stdout.contains("the stored data of an earlier plugin called echo (4 entries)"), "{added:?}");
    ended(home.run(&["plugin", "remove", "echo", "--yes", "--with-data"]).await.unwrap(), 0);
    for what in [&["export"][..], &["list"], &["list", "--json"]] {
        let nobody = ended(home.run(&[&["plugin", "data", "echo"], what].concat()).await.unwrap(), 1);
        assert_eq!(nobody.stdout, "");
        assert!(nobody.stderr.contains("there is no plugin echo in plugins.toml, and no data of one"), "{nobody:?}");
    }
}

/// The data of accounts is in NATS, and the nodes that have the accounts change it. Data that this machine kept before stays.
#[tokio::test]
async fn in_a_cluster_data_is_neither_removed_nor_imported_without_a_node() {
    let mut home = prepared().await;
    ended(home.run_with(&["plugin", "data", "echo", "import"], LINES).await.unwrap(), 0);
    make_node(&mut home, "nats://127.0.0.1:4", "one").unwrap();
    let removing = ["plugin", "remove", "echo", "--yes", "--with-data"];
    let refused = ended(home.run(&removing).await.unwrap(), 4);
    assert!(refused.stderr.contains("no host runs with the data folder data"), "{refused:?}");
    let refused = ended(home.run_with(&["plugin", "data", "echo", "import"], LINES).await.unwrap(), 4);
    assert!(refused.stderr.contains("no host runs with the data folder data"), "{refused:?}");
    home.clear_cluster().unwrap();
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, LINES);
    ended(home.run(&removing).await.unwrap(), 0);
}

/// This happens if another user than the host's runs the command.
#[tokio::test]
async fn what_cannot_be_read_is_not_called_nothing() {
    let home = prepared().await;
    std::fs::rename(home.path().join("data"), home.path().join("elsewhere")).unwrap();
    // No user can open a link to itself, not even root.
    std::os::unix::fs::symlink("data", home.path().join("data")).unwrap();
    for what in [&["export"][..], &["list"], &["list", "--json"]] {
        let refused = ended(home.run(&[&["plugin", "data", "echo"], what].concat()).await.unwrap(), 1);
        assert_eq!(refused.stdout, "");
        assert!(refused.stderr.contains("data/parlor.db cannot be used"), "{refused:?}");
    }
}

#[tokio::test]
async fn what_a_removed_plugin_has_kept_can_be_removed_afterwards() {
    let home = prepared().await;
    ended(home.run_with(&["plugin", "data", "echo", "import"], LINES).await.unwrap(), 0);
    ended(home.run(&["plugin", "remove", "echo", "--yes"]).await.unwrap(), 0);
    let remove = ["plugin", "remove", "echo", "--with-data"];
    let unasked = ended(home.run(&remove).await.unwrap(), 3);
    assert!(unasked.stderr.contains("give --yes to remove all that echo has kept"), "{unasked:?}");
    let removed = ended(home.run(&[&remove[..], &["--yes"]].concat()).await.unwrap(), 0);
    assert!(
        removed.stdout.starts_with("echo was removed; now what it kept is, too; the host is stopped"),
        "{removed:?}"
    );
    ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 1);
    let nothing = ended(home.run(&[&remove[..], &["--yes"]].concat()).await.unwrap(), 1);
    assert!(nothing.stderr.contains("there is no plugin echo"), "{nothing:?}");
}

#[tokio::test]
async fn what_cannot_be_imported_is_not_imported_by_half() {
    let home = prepared().await;
    let first = "{\"account\":\"main\",\"key\":\"first\",\"value\":\"x\"}\n";
    for (line, words) in [
        ("nonsense", "line 2; nothing was imported"),
        ("\n[]", "line 3; nothing was imported: invalid length 0, expected an object as `export` prints it"),
        ("{\"account\":\"nobody\",\"key\":\"k\",\"value\":\"x\"}", "there is no account nobody"),
        ("{\"account\":\"main\",\"key\":\"\",\"value\":\"x\"}", "line 2; nothing was imported"),
        ("{\"account\":\"main\",\"key\":\"k\"}", "just one of `value` and `hex`"),
        ("{\"account\":\"main\",\"key\":\"k\",\"hex\":\"f\"}", "not hexadecimal"),
        (
            &format!("{{\"account\":\"main\",\"key\":\"k\",\"value\":\"{}\"}}", "x".repeat(2_000)),
            "more than the 1024 bytes",
        ),
        (&"x".repeat(1_600_000), "line 2; nothing was imported: it has more than 1589248 bytes"),
    ] {
        let refused = home.run_with(&["plugin", "data", "echo", "import"], &format!("{first}{line}\n")).await.unwrap();
        let refused = ended(refused, 1);
        assert!(refused.stderr.contains(words), "{line}: {refused:?}");
        assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, "");
    }
}

#[tokio::test]
async fn what_had_expired_is_not_imported_and_empty_lines_are_no_entries() {
    let home = prepared().await;
    let line =
        |value: &str, more: &str| format!("{{\"account\":\"main\",\"key\":\"a\",\"value\":\"{value}\"{more}}}\n");
    let import = async |text: &str| {
        let imported = home.run_with(&["plugin", "data", "echo", "import", "-"], text).await.unwrap();
        ended(imported, 0).stdout
    };
    let said = import(&format!("\n{}  \n", line("new", ""))).await;
    assert!(said.contains("1 entry imported\n"), "{said}");
    // An expired entry does not remove the existing one either.
    let said = import(&line("old", ",\"expires\":1")).await;
    assert!(said.contains("0 entries imported; 1 entry had expired"), "{said}");
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, line("new", ""));
}

/// The input may be larger than memory, or endless.
#[tokio::test]
async fn what_is_too_much_is_not_read_to_its_end() {
    let home = prepared().await;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = home.command(["plugin", "data", "echo", "import"]).unwrap();
    command.stdin(reader).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    // If a key occurs several times, the last entry counts.
    let line = |key: &str, length| {
        format!("{{\"account\":\"main\",\"key\":\"{key}\",\"value\":\"{}\"}}\n", "x".repeat(length))
    };
    let text = [line("a", 600), line("a", 500), line("b", 600)].concat();
    writer.write_all(text.as_bytes()).unwrap();
    let ending = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let status = tokio::time::timeout(SOON, ending).await.expect("it goes on reading").unwrap();
    assert_eq!(status.code(), Some(1));
    drop(writer);
    let text = [line("a", 600), line("a", 200), line("b", 600)].concat();
    let imported = home.run_with(&["plugin", "data", "echo", "import"], &text).await.unwrap();
    assert!(ended(imported, 0).stdout.contains("3 entries imported"));
    let kept = ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout;
    assert_eq!(kept, [line("a", 200), line("b", 600)].concat());
}
