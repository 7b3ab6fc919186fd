//! `parlor backup` and `parlor restore`: a running host is backed up during writes, and continues in another place.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use parlor_session::{KeyChange, KeyKind, KnownKey};
use parlor_stanza::types::DeviceTrust;
use parlor_store::{EncryptionKeeper, Store};
use parlor_tests::component::with_manifest;
use parlor_tests::host::Home;
use parlor_tests::minisign::Key;
use parlor_tests::plugins::{built, digest_of};
use parlor_tests::policy::Policy;
use parlor_tests::prosody::Account;
use parlor_tests::terminal::Terminal;
use serde_json::Value;
use tokio::time::Instant;

use super::{SOON, ended, home, start_as_it_is};

const PASSPHRASE: &str = "correct horse battery";
/// How often the plugin's data changes while the backup is taken.
const WRITES: usize = 12;

/// Writes a file that only this user can read.
fn closed(home: &Home, name: &str, text: &str) {
    let path = home.write(name, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Prepares a host with a plugin that keeps something, and with a key that the owner trusts.
async fn prepared() -> Home {
    let (home, account) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let more = "[permissions]\nstorage = { reason = \"to remember\" }\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| manifest.replacen("[permissions]\n", more, 1)).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    let add = ["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--grant", "storage=1 KiB"];
    ended(home.run(&add).await.unwrap(), 0);
    ended(home.run_with(&["plugin", "data", "echo", "import"], &lines(0)).await.unwrap(), 0);
    trust(&home, &account).await;
    closed(&home, "passphrase", &format!("{PASSPHRASE}\n"));
    home
}

/// Two entries that always change together.
fn lines(number: usize) -> String {
    let line = |key: &str| format!("{{\"account\":\"main\",\"key\":\"{key}\",\"value\":\"{number}\"}}\n");
    line("a") + &line("b")
}

fn fingerprint() -> String {
    "0123abcd".repeat(8)
}

async fn trust(home: &Home, account: &Account) {
    let store = Store::open(&home.path().join("data")).unwrap();
    let mut keeper = EncryptionKeeper::new(store.clone(), &account.jid);
    let key = KnownKey {
        jid: "juliet@localhost".parse().unwrap(),
        kind: KeyKind::Omemo { device: 7 },
        fingerprint: fingerprint(),
        label: None,
        trust: DeviceTrust::Trusted,
        first_seen: "2026-01-02T03:04:05Z".parse().unwrap(),
        last_seen: "2026-01-02T03:04:05Z".parse().unwrap(),
        is_listed: false,
    };
    keeper.keep(vec![KeyChange::Key(key)]);
    assert!(keeper.written().await.is_kept);
    drop(keeper);
    store.close().await;
}

/// Returns the keys of the account, once they are published.
async fn published(home: &Home) -> Value {
    let until = Instant::now() + SOON;
    loop {
        let shown = ended(home.run(&["keys", "main", "--json"]).await.unwrap(), 0).json().unwrap();
        if shown[0]["omemo"]["published"] == true {
            return shown;
        }
        assert!(Instant::now() < until, "its keys are never published: {shown}");
    }
}

/// Returns an empty folder.
fn empty() -> Home {
    let home = Home::new().unwrap();
    std::fs::remove_file(home.path().join("plugins.toml")).unwrap();
    closed(&home, "passphrase", PASSPHRASE);
    home
}

fn names(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(home.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn path(home: &Home, name: &str) -> String {
    home.path().join(name).to_str().unwrap().to_owned()
}

async fn exported(home: &Home) -> String {
    ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout
}

#[tokio::test]
async fn a_host_that_runs_is_backed_up_and_goes_on_elsewhere() {
    let home = prepared().await;
    let mut host = start_as_it_is(&home).await;
    let before = published(&home).await;
    let writes = async {
        for number in 1..=WRITES {
            ended(home.run_with(&["plugin", "data", "echo", "import"], &lines(number)).await.unwrap(), 0);
        }
    };
    let backup = ["backup", "all.parlor", "--with-secrets", "--passphrase-file", "passphrase", "--json"];
    let ((), taken) = tokio::join!(writes, home.run(&backup));
    let taken = ended(taken.unwrap(), 0).json().unwrap();
    assert_eq!((&taken["keys"], &taken["secrets"], &taken["components"]), (&true.into(), &1.into(), &1.into()));
    // The certificate of the suite's server is elsewhere.
    assert_eq!(taken["left_out"].as_array().unwrap().len(), 1, "{taken}");
    let file = path(&home, "all.parlor");
    assert_eq!(home.path().join("all.parlor").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&file).unwrap();
    let password = std::fs::read_to_string(home.password_file("main")).unwrap();
    let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    assert!(has("SQLite format 3") && !has(&fingerprint()) && !has(password.trim()), "keys and secrets are encrypted");
    let again = ended(home.run(&backup).await.unwrap(), 1);
    assert!(again.stderr.contains("all.parlor is there already"), "{again:?}");

    let other = empty();
    let restore = ["restore", &file, "--passphrase-file", "passphrase"];
    let restored = ended(other.run(&restore).await.unwrap(), 0).stdout;
    for words in
        ["restored the backup of 2", "Stop the old host for good", "OMEMO sessions begin anew", "parlor doctor"]
    {
        assert!(restored.contains(words), "no {words:?} in {restored}");
    }
    assert_eq!(names(&other), ["data", "main.password", "parlor.toml", "passphrase", "plugins.toml"]);
    let kept = exported(&other).await;
    let values: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(values.len() == 2 && values[0]["value"] == values[1]["value"], "it is of one moment: {kept}");
    for (name, entry) in [(&home, "a backup was taken"), (&other, "a backup was restored")] {
        let audit = ended(name.run(&["audit", "--json"]).await.unwrap(), 0).stdout;
        assert!(audit.contains(entry), "no {entry:?} in {audit}");
    }

    assert!(host.stop(SOON).await.unwrap().success(), "{}", host.log().tail());
    let _host = start_as_it_is(&other).await;
    let after = published(&other).await;
    for key in ["fingerprint", "device"] {
        assert_eq!(after[0]["omemo"][key], before[0]["omemo"][key], "{key}");
    }
    let known = ended(other.run(&["keys", "list", "juliet@localhost", "--json"]).await.unwrap(), 0).stdout;
    assert!(known.contains(&fingerprint()) && known.contains("\"trusted\""), "{known}");
    let status = ended(other.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(status["plugins"][0]["state"], "running", "{status}");
}

/// Each refusal leaves the folder as it was.
#[tokio::test]
async fn what_is_damaged_newer_or_not_opened_is_refused_before_anything_is_written() {
    let home = prepared().await;
    ended(home.run(&["backup", "plain.parlor", "--without-keys"]).await.unwrap(), 0);
    let sealed = ["backup", "sealed.parlor", "--passphrase-file", "passphrase"];
    ended(home.run(&sealed).await.unwrap(), 0);
    let plain = std::fs::read(home.path().join("plain.parlor")).unwrap();
    let sealed = std::fs::read(home.path().join("sealed.parlor")).unwrap();
    let find = |bytes: &[u8], word: &str| bytes.windows(word.len()).position(|part| part == word.as_bytes()).unwrap();
    let with =
        |bytes: &[u8], at: usize, word: &str| [&bytes[..at], word.as_bytes(), &bytes[at + word.len()..]].concat();
    let data = find(&plain, "SQLite format 3");
    let format = find(&plain, "\"format\": 1");
    let made = find(&sealed, "\"made\": \"2") + "\"made\": \"2".len();
    let other = empty();
    closed(&other, "wrong", "correct horse batterie\n");
    let there = ["backup.parlor", "passphrase", "wrong"];
    for (what, bytes, flags, words) in [
        (
            "a byte of the data",
            with(&plain, data + 200, "?!"),
            &[][..],
            "is damaged (parlor.db is not as it was written)",
        ),
        ("the end", plain[..plain.len() - 2_000].to_vec(), &[][..], "is damaged ("),
        (
            "a later format",
            with(&plain, format, "\"format\": 9"),
            &[][..],
            "has format 9, and this parlor knows 1 at most",
        ),
        ("no backup", b"[account.main]\n".to_vec(), &[][..], "is no backup of parlor"),
        (
            "another passphrase",
            sealed.clone(),
            &["--passphrase-file", "wrong"][..],
            "the passphrase is wrong, or somebody",
        ),
        (
            "an encrypted part that was taken out",
            plain.clone(),
            &["--passphrase-file", "passphrase"][..],
            "has no encrypted part, so a passphrase cannot show that nobody changed it",
        ),
        (
            "another time",
            with(&sealed, made, "9"),
            &["--passphrase-file", "passphrase"][..],
            "the passphrase is wrong, or",
        ),
    ] {
        std::fs::write(other.path().join("backup.parlor"), bytes).unwrap();
        let refused = other.run(&[&["restore", "backup.parlor"], flags].concat()).await.unwrap();
        let refused = ended(refused, 1);
        assert!(refused.stderr.contains(words), "{what}: {refused:?}");
        assert_eq!(names(&other), there, "{what}");
    }
    // No question can be asked, and nothing is left out without asking.
    std::fs::write(other.path().join("backup.parlor"), &sealed).unwrap();
    let unasked = ended(other.run(&["restore", "backup.parlor"]).await.unwrap(), 3);
    assert!(unasked.stderr.contains("give --passphrase-file, or --without-keys"), "{unasked:?}");
    let unasked = ended(home.run(&["backup", "x.parlor"]).await.unwrap(), 3);
    assert!(unasked.stderr.contains("give --passphrase-file, or give --without-keys"), "{unasked:?}");
    closed(&home, "short", "hunter2\n");
    let short = ended(home.run(&["backup", "x.parlor", "--passphrase-file", "short"]).await.unwrap(), 1);
    assert!(short.stderr.contains("at least 12 characters"), "{short:?}");
    assert!(!home.path().join("x.parlor").exists());
    assert_eq!(names(&other), there);
}

#[tokio::test]
async fn nothing_is_overwritten_and_no_host_that_runs_is_restored_over() {
    let home = prepared().await;
    ended(home.run(&["backup", "all.parlor", "--passphrase-file", "passphrase"]).await.unwrap(), 0);
    let restore = ["restore", "all.parlor", "--passphrase-file", "passphrase"];
    let taken = ended(home.run(&restore).await.unwrap(), 1);
    for words in ["there is something already: parlor.toml, plugins.toml, data/parlor.db", "give --force"] {
        assert!(taken.stderr.contains(words), "no {words:?} in {taken:?}");
    }
    let forced = [&restore[..], &["--force"]].concat();
    let mut host = start_as_it_is(&home).await;
    let running = ended(home.run(&forced).await.unwrap(), 1);
    assert!(running.stderr.contains("a host runs with the data folder data"), "{running:?}");
    assert!(host.stop(SOON).await.unwrap().success(), "{}", host.log().tail());

    ended(home.run_with(&["plugin", "data", "echo", "import"], &lines(5)).await.unwrap(), 0);
    let says = ended(home.run(&forced).await.unwrap(), 0).stdout;
    assert!(says.contains("what was there before is in data/before-restore-1"), "{says}");
    assert_eq!(exported(&home).await, lines(0), "it is as in the backup");
    for aside in ["data/before-restore-1/parlor.db", "parlor.toml.before-restore-1", "plugins.toml.before-restore-1"] {
        assert!(home.path().join(aside).is_file(), "{aside}");
    }
    // Left out, the keys are new ones.
    let other = empty();
    std::fs::copy(home.password_file("main"), other.path().join("main.password")).unwrap();
    let says = ended(other.run(&["restore", &path(&home, "all.parlor"), "--without-keys"]).await.unwrap(), 0).stdout;
    for words in ["Accounts get new keys of encryption", "no passphrase has shown that nobody changed the backup"] {
        assert!(says.contains(words), "no {words:?} in {says}");
    }
    let _host = start_as_it_is(&other).await;
    assert!(!published(&other).await.to_string().contains(&fingerprint()));
}

#[tokio::test]
async fn a_file_that_is_named_in_two_ways_is_restored() {
    let home = Home::new().unwrap();
    let account = |name: &str, ca: &str| {
        format!(
            "[account.{name}]\njid = \"{name}@example.org\"\npassword_file = \"main.password\"\nca_file = \"{ca}\"\n"
        )
    };
    for (name, text) in [("main.password", "secret\n"), ("ca.pem", "a certificate\n"), ("passphrase", PASSPHRASE)] {
        closed(&home, name, text);
    }
    let folder = home.path().file_name().unwrap().to_str().unwrap().to_owned();
    let others = account("b", &path(&home, "ca.pem")) + &account("c", &format!("../{folder}/ca.pem"));
    home.write("parlor.toml", &(account("a", "ca.pem") + &others)).unwrap();
    let backup = ["backup", "all.parlor", "--with-secrets", "--passphrase-file", "passphrase", "--json"];
    let taken = ended(home.run(&backup).await.unwrap(), 0).json().unwrap();
    assert_eq!((&taken["secrets"], &taken["left_out"]), (&2.into(), &Value::Array(Vec::new())), "{taken}");
    let other = empty();
    let restore = ["restore", &path(&home, "all.parlor"), "--passphrase-file", "passphrase"];
    ended(other.run(&restore).await.unwrap(), 0);
    assert_eq!(names(&other), ["ca.pem", "data", "main.password", "parlor.toml", "passphrase", "plugins.toml"]);
    let restored = std::fs::read_to_string(other.path().join("parlor.toml")).unwrap();
    let whole = format!("ca_file = \"{}\"", path(&other, "ca.pem"));
    assert_eq!(restored.matches(&whole).count(), 2, "{restored}");
    assert!(restored.contains("ca_file = \"ca.pem\"") && !restored.contains(&folder), "{restored}");
}

/// They would stay there in plain form.
#[tokio::test]
async fn keys_that_a_killed_restore_left_are_removed_when_the_host_starts() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let (draft, other) = (path(&home, ".main.password.restore"), path(&home, ".mine.restore"));
    for file in [".main.password.restore", ".mine.restore", "data/.restore/parlor.db"] {
        home.write(file, "secret").unwrap();
    }
    home.write("data/.restore/drafts", &format!("{draft}\0")).unwrap();
    let _host = start_as_it_is(&home).await;
    let is_there = |file: &str| home.path().join(file).exists();
    assert!(!is_there("data/.restore") && !is_there(&draft) && is_there(&other));
}

/// They have the keys of messages that the accounts themselves erase after a while.
#[tokio::test]
async fn copies_of_accounts_that_a_killed_command_left_are_removed_when_the_host_starts() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    for file in ["data/.reading-1/accounts/main.db", "data/reading-1/mine"] {
        home.write(file, "keys").unwrap();
    }
    let _host = start_as_it_is(&home).await;
    let is_there = |file: &str| home.path().join(file).exists();
    assert!(!is_there("data/.reading-1") && is_there("data/reading-1/mine"));
}

#[tokio::test]
async fn accounts_in_a_file_of_their_own_are_restored() {
    let (home, _) = home().await;
    let accounts = "# Of all nodes.\n[account.second]\njid = \"second@example.org\"\npassword_env = \"NONE\"\n";
    home.write("accounts.toml", accounts).unwrap();
    ended(home.run(&["backup", "all.parlor", "--without-keys"]).await.unwrap(), 0);
    let (other, file) = (empty(), path(&home, "all.parlor"));
    let restore = ["restore", &file, "--without-keys"];
    other.write("accounts.toml", "# Of another host.\n").unwrap();
    let taken = ended(other.run(&restore).await.unwrap(), 1);
    assert!(taken.stderr.contains("there is something already: accounts.toml"), "{taken:?}");
    let forced = [&restore[..], &["--force"]].concat();
    ended(other.run(&forced).await.unwrap(), 0);
    let read = |name: &str| std::fs::read_to_string(other.path().join(name)).unwrap();
    assert_eq!(read("accounts.toml"), accounts);
    assert_eq!(read("accounts.toml.before-restore-1"), "# Of another host.\n");
    std::fs::copy(home.password_file("main"), other.path().join("main.password")).unwrap();
    let names = ended(other.run(&["account", "list", "--names"]).await.unwrap(), 0).stdout;
    assert_eq!(names.trim_end(), "main\nsecond");
}

/// A restored host refuses an older index, and a publisher's key other than the first one.
#[tokio::test]
async fn indexes_are_restored_with_the_keys_and_numbers_that_are_known() {
    let (home, key, mallory) = (prepared().await, Key::new(), Key::new());
    let folder = home.path().join("all");
    std::fs::create_dir(&folder).unwrap();
    let issue = |serial: u32, publisher: &Key| {
        let text = format!(
            "format = 1\nname = \"examples\"\nserial = {serial}\ndescription = \"Some\"\nkey = \"{}\"\n\
             [plugin.starling]\ndescription = \"Sings\"\nlanguage = \"Rust\"\nkey = \"{}\"\n\
             [plugin.starling.version.\"0.1.0\"]\nsource = \"starling.wasm\"\ndigest = \"{}\"\npermissions = []\n",
            key.public(),
            publisher.public(),
            digest_of(b"starling")
        );
        std::fs::write(folder.join("index.toml"), &text).unwrap();
        std::fs::write(folder.join("index.toml.minisig"), key.sign(text.as_bytes(), "index")).unwrap();
    };
    issue(2, &key);
    ended(home.run(&["index", "add", "all/index.toml", "--key", &key.public()]).await.unwrap(), 0);
    let taken = ["backup", "all.parlor", "--without-keys", "--json"];
    let taken = ended(home.run(&taken).await.unwrap(), 0).json().unwrap();
    assert_eq!(taken["indexes"], 1, "{taken}");
    let listed = ended(home.run(&["index", "list", "--json"]).await.unwrap(), 0).stdout;

    let other = empty();
    ended(other.run(&["restore", &path(&home, "all.parlor")]).await.unwrap(), 0);
    std::fs::copy(home.password_file("main"), other.path().join("main.password")).unwrap();
    assert_eq!(ended(other.run(&["index", "list", "--json"]).await.unwrap(), 0).stdout, listed);
    issue(1, &key);
    let older = ended(other.run(&["index", "refresh"]).await.unwrap(), 1);
    assert!(older.stderr.contains("has the serial number 1, but 2 is known"), "{older:?}");
    issue(3, &mallory);
    let refreshed = ended(other.run(&["index", "refresh"]).await.unwrap(), 0).stdout;
    assert!(refreshed.contains("starling is by another key than before"), "{refreshed}");

    // An index that cannot be read is not part of a backup, and the command says so.
    std::fs::write(home.path().join("data/indexes/broken.json"), "{}").unwrap();
    let taken = ["backup", "second.parlor", "--without-keys"];
    let taken = ended(home.run(&taken).await.unwrap(), 0).stdout;
    assert!(taken.contains("broken.json: it is damaged"), "{taken}");
}

/// Without flags, a restore on a terminal asks what to do with the keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_on_a_terminal_asks_what_to_do_with_the_keys() {
    let home = prepared().await;
    ended(home.run(&["backup", "all.parlor", "--passphrase-file", "passphrase"]).await.unwrap(), 0);
    let file = path(&home, "all.parlor");
    for (answers, code, words) in [
        (&["s"][..], 3, "stopped, and nothing was changed: give --passphrase-file, or --without-keys"),
        (&[""], 3, "stopped, and nothing was changed"),
        (&["x", "s"], 3, "is none of the answers, which are r, n, s"),
        (&["r", ""], 3, "no passphrase was given, and nothing was changed"),
        (&["r", "correct horse batterie"], 1, "the passphrase is wrong, or somebody"),
        (&["n"], 0, "Accounts get new keys of encryption"),
        (&["r", PASSPHRASE], 0, "OMEMO sessions begin anew"),
    ] {
        let other = empty();
        let mut terminal = Terminal::start(other.command(["restore", &file]).unwrap()).unwrap();
        terminal.sees("the backup has encrypted parts: keys of encryption", SOON).unwrap();
        for (number, answer) in answers.iter().enumerate() {
            let is_passphrase = number > 0 && answers[0] == "r";
            let question = if is_passphrase { "The passphrase of the backup:" } else { "or stop? [r/n/S]" };
            terminal.sees(question, SOON).unwrap();
            terminal.types(answer).unwrap();
        }
        let (ended, screen) = terminal.ended(SOON).unwrap();
        assert_eq!(ended, Some(code), "{answers:?}: {screen}");
        assert!(screen.contains(words), "{answers:?}: no {words:?} in {screen}");
        assert_eq!(other.path().join("parlor.toml").exists(), code == 0, "{answers:?}");
    }
}
