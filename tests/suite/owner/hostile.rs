//! Problems of an owner's machine: broken or newer files, a full disk, other users, other versions.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use parlor_tests::component::{with_manifest, with_text};
use parlor_tests::host::Home;
use parlor_tests::plugins::{built, program};
use parlor_tests::policy::Policy;
use parlor_tests::process::Process;

use super::{SOON, echo, ended, home, juliet, stand_in, start, start_as_it_is};

fn policy(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("plugins.toml")).unwrap()
}

async fn state(home: &Home) -> String {
    let json = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    json["plugins"][0]["state"].as_str().unwrap_or_default().to_owned()
}

/// A stranger may choose any name for the file that the owner gets.
#[tokio::test]
async fn the_name_of_a_file_moves_no_cursor_and_hides_nothing() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let bytes = built("echo").unwrap().bytes().unwrap();
    let wild = ['\u{1b}', '\r', '\u{3164}', '\u{202e}'];
    let tame = |finished: &parlor_tests::host::Finished| {
        assert!(!finished.stdout.contains(wild) && !finished.stderr.contains(wild), "{finished:?}");
    };
    for name in ["a\nPLUGIN.wasm", "a\u{1b}[2Jb.wasm", "ec\u{3164}ho.wasm", "a\u{202e}b.wasm", "a\u{a0}b.wasm"] {
        std::fs::write(home.path().join(name), &bytes).unwrap();
        let refused = ended(home.run(&["plugin", "add", name, "--yes", "--grant-all"]).await.unwrap(), 1);
        let says = "cannot be written into plugins.toml: it has a control character, an odd space, or a character that nobody sees";
        assert!(refused.stderr.contains(says), "{refused:?}");
        tame(&refused);
        assert!(!policy(&home).contains("[plugin."), "{}", policy(&home));
    }
    // This entry was written by hand.
    let digest = parlor_base::id::Digest::of(&bytes);
    let source = "a\\nPLUGIN  VERSION\\u001b[2J\\r\\u3164\\u202e.wasm";
    home.write("plugins.toml", &format!("[plugin.echo]\nsource = \"{source}\"\ndigest = \"{digest}\"\n")).unwrap();
    std::fs::write(home.path().join("a\nPLUGIN  VERSION\u{1b}[2J\r\u{3164}\u{202e}.wasm"), &bytes).unwrap();
    for (command, code) in [
        (&["plugin", "list"][..], 0),
        (&["plugin", "list", "--json"][..], 0),
        // The message says that such a path cannot be written, and gives the remedy.
        (&["plugin", "update", "echo", "--check"][..], 1),
        (&["plugin", "inspect", "echo"][..], 0),
        (&["status", "--json"][..], 4),
    ] {
        let shown = ended(home.run(command).await.unwrap(), code);
        tame(&shown);
        assert!(!shown.stdout.lines().any(|line| line.starts_with("PLUGIN  VERSION\\u")), "{shown:?}");
    }
    // The owner can remove such a plugin.
    ended(home.run(&["plugin", "disable", "echo"]).await.unwrap(), 0);
    ended(home.run(&["plugin", "remove", "echo", "--yes"]).await.unwrap(), 0);
}

/// This holds for answers and errors, whichever of them names the file.
#[tokio::test]
async fn the_name_of_a_file_begins_no_line_of_its_own() {
    let (home, _) = home().await;
    let forged = |text: &str| text.lines().any(|line| line.starts_with("parlor: z is safe"));
    let digest = parlor_base::id::Digest::of(b"z");
    let source = "plugins/a\\nparlor: z is safe.wasm";
    home.write("plugins.toml", &format!("[plugin.z]\nsource = \"{source}\"\ndigest = \"{digest}\"\n")).unwrap();
    for (command, is_named) in [
        (&["plugin", "update", "z", "--check"][..], true),
        (&["plugin", "update", "--all"][..], true),
        (&["plugin", "inspect", "z"][..], true),
        (&["plugin", "list"][..], true),
        (&["doctor", "--offline"][..], false),
        (&["plugin", "inspect", "./a\nparlor: z is safe.wasm"][..], true),
        (&["plugin", "build", "./a\nparlor: z is safe"][..], true),
        (&["plugin", "test", "./a\nparlor: z is safe"][..], true),
    ] {
        let said = home.run(command).await.unwrap();
        assert!(!forged(&said.stdout) && !forged(&said.stderr), "{said:?}");
        let names = |text: &str| text.contains("a\\u{a}parlor: z is safe");
        assert!(!is_named || names(&said.stdout) || names(&said.stderr), "{said:?}");
    }
    home.write("t/a\nparlor: z is safe.chat", "== it says\nalice: hello\n  to alice: nothing of the kind\n").unwrap();
    std::fs::write(home.path().join("echo.wasm"), built("echo").unwrap().bytes().unwrap()).unwrap();
    let said = ended(home.run(&["plugin", "test", "echo.wasm", "--tests", "t"]).await.unwrap(), 1);
    assert!(said.stdout.starts_with("FAILED t/a\\u{a}parlor: z is safe.chat:1: it says\n"), "{said:?}");
    assert!(!forged(&said.stdout), "{said:?}");
}

/// Cargo runs build scripts, macros and wrappers outside of any sandbox; compilers of C and Go read any file; componentize-py lets code
/// in Python write.
#[tokio::test]
async fn a_folder_whose_compiler_is_in_no_sandbox_is_not_built_unasked() {
    let home = Home::new().unwrap();
    let runs = "runs code of its author and of the crates that it names, as you, outside of any sandbox";
    let reads = "reads whatever files of yours its sources name, and may put them into the plugin";
    let writes = "lets its author write in that folder and in the active virtual environment";
    home.write("python/fast-wasm32-wasi.so", "").unwrap();
    for (folder, file, does) in [
        ("rust", "Cargo.toml", runs),
        ("c", "plugin.c", reads),
        ("go", "go.mod", reads),
        ("python", "plugin.py", writes),
    ] {
        home.write(&format!("{folder}/{file}"), "").unwrap();
        for command in ["build", "test"] {
            let refused = ended(home.run(&["plugin", command, folder]).await.unwrap(), 3);
            assert!(refused.stderr.contains(&format!("to build {folder} {does}")), "{refused:?}");
            assert!(refused.stderr.ends_with("if you trust its author, give --trust to go on\n"), "{refused:?}");
            // The build then starts, and fails for another reason.
            let tried = ended(home.run(&["plugin", command, folder, "--trust"]).await.unwrap(), 1);
            assert!(tried.stderr.contains("has no plugin.toml"), "{tried:?}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_is_broken_or_newer_changes_nothing_and_names_its_place() {
    let (home, bot) = home().await;
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[("plugin", "echo")], 1, SOON).await.unwrap();
    let good = policy(&home);
    let half = &good[..good.len() / 2];
    let lines = |text: &str| text.lines().count();
    for (text, place) in [
        (format!("{good}\n[plugin.new\n"), format!("plugins.toml:{}:", lines(&good) + 2)),
        (half.to_owned(), "plugins.toml:".to_owned()),
        (format!("version = 2\n{good}"), "plugins.toml:1:1: unknown key `version`".to_owned()),
        (
            good.replace("enabled = true", "enabled = true\nsandbox = \"v2\""),
            "unknown key `plugin.echo.sandbox`".to_owned(),
        ),
        (format!("{good}\u{0}"), "plugins.toml:".to_owned()),
    ] {
        home.write("plugins.toml", &text).unwrap();
        for arguments in
            [&["plugin", "disable", "echo"][..], &["plugin", "grant", "echo", "messages.read"], &["plugin", "list"]]
        {
            let refused = ended(home.run(arguments).await.unwrap(), 1);
            assert!(refused.stderr.contains(&place), "no {place:?} in {refused:?}");
        }
        assert_eq!(policy(&home), text, "a command wrote over it");
        let before = host.lines("the policy was not read; nothing has changed", &[]).len();
        host.reload().unwrap();
        let told = "the policy was not read; nothing has changed";
        let line = host.wait_count(told, &[], before + 1, SOON).await.unwrap();
        assert!(line.get("reason").contains(&place), "{line}");
        assert_eq!(state(&home).await, "running");
    }
    home.write("plugins.toml", &good).unwrap();
    ended(home.run(&["plugin", "disable", "echo"]).await.unwrap(), 0);
    ended(home.run(&["plugin", "enable", "echo"]).await.unwrap(), 0);
    let mut juliet = juliet().await;
    juliet.chat(bot.jid.clone(), "still there").await.unwrap();
    juliet.wait_body(&bot.jid, "still there", SOON).await.unwrap();
    assert_eq!(host.lines("account connected", &[]).len(), 1);
}

/// Limits the size of the files that a command may write. Exceeding it causes the same error as a full disk.
#[expect(unsafe_code, reason = "only the child itself can be bounded, between fork and exec")]
fn bounded(mut command: Command, bytes: u64) -> Command {
    // SAFETY: the closure makes two system calls and touches no memory or lock.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) == -1 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    command
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The command that installs echo, and an entry of its storage.
const ADD: [&str; 5] = ["plugin", "add", "echo.wasm", "--yes", "--grant-all"];
const ENTRY: &str = "{\"account\":\"main\",\"key\":\"a\",\"value\":\"1\"}\n";

/// Writes an echo that may use storage.
fn write_keeper(home: &Home) {
    let storage = "[permissions]\nstorage = { reason = \"to remember\" }\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| manifest.replacen("[permissions]\n", storage, 1)).unwrap();
    std::fs::write(home.path().join("echo.wasm"), &bytes).unwrap();
}

#[tokio::test]
async fn a_start_on_a_full_disk_hides_nothing_of_what_plugins_keep() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    write_keeper(&home);
    ended(home.run(&ADD).await.unwrap(), 0);
    // The files of a first start exist.
    start_as_it_is(&home).await.stop(SOON).await.unwrap();
    ended(home.run_with(&["plugin", "data", "echo", "import"], ENTRY).await.unwrap(), 0);
    let mut process = Process::start("parlor", bounded(home.command(["run"]).unwrap(), 10)).unwrap();
    assert_eq!(process.wait(SOON).await.unwrap().code(), Some(1), "{}", process.log().tail());
    assert!(
        process.log().tail().contains("parlor.db cannot be used, and is left as it is"),
        "{}",
        process.log().tail()
    );
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, ENTRY);
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_the_old_state() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let before = policy(&home);
    write_keeper(&home);
    let add = ADD;
    // There is room neither for the component nor for the policy that names it.
    for room in [100_000, 10] {
        let output = bounded(home.command(add).unwrap(), room).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be written"), "{output:?}");
        assert_eq!(policy(&home), before);
        assert_eq!(files(&home.path().join("data/components")), [""; 0]);
    }
    ended(home.run(&add).await.unwrap(), 0);
    let installed = policy(&home);
    let output = bounded(home.command(["plugin", "disable", "echo"]).unwrap(), 10).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("plugins.toml cannot be written"), "{output:?}");
    assert_eq!(policy(&home), installed);

    ended(home.run_with(&["plugin", "data", "echo", "import"], ENTRY).await.unwrap(), 0);
    let value = "x".repeat(4_000);
    let line = |number| format!("{{\"account\":\"main\",\"key\":\"k{number}\",\"value\":\"{value}\"}}");
    let big: Vec<_> = (0..200).map(line).collect();
    home.write("big.jsonl", &big.join("\n")).unwrap();
    let import = home.command(["plugin", "data", "echo", "import", "big.jsonl"]).unwrap();
    let output = bounded(import, 300_000).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout, ENTRY);
    // With free space again, everything works as before.
    ended(home.run(&["plugin", "data", "echo", "import", "big.jsonl"]).await.unwrap(), 0);
    assert_eq!(ended(home.run(&["plugin", "data", "echo", "export"]).await.unwrap(), 0).stdout.lines().count(), 201);
}

#[tokio::test]
async fn what_a_newer_parlor_has_kept_is_left_alone_and_found() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    write_keeper(&home);
    ended(home.run(&ADD).await.unwrap(), 0);
    ended(home.run_with(&["plugin", "data", "echo", "import"], ENTRY).await.unwrap(), 0);
    ended(home.run(&["doctor", "--offline"]).await.unwrap(), 0);
    let data = home.path().join("data");
    let mut bytes = std::fs::read(data.join("parlor.db")).unwrap();
    // SQLite keeps its user's version here.
    bytes[60..64].copy_from_slice(&99_i32.to_be_bytes());
    std::fs::write(data.join("parlor.db"), &bytes).unwrap();
    let says = "data/parlor.db cannot be used, and is left as it is (it was written by a newer parlor (version 99 of its \
                tables, this one knows 1)): run that parlor, or move the file away";
    let before = files(&data);
    let found = ended(home.run(&["doctor", "--offline"]).await.unwrap(), 5);
    assert!(found.stdout.contains(says), "{found:?}");
    assert_eq!((files(&data), std::fs::read(data.join("parlor.db")).unwrap()), (before, bytes));
    let refused = ended(home.run(&["run"]).await.unwrap(), 1);
    assert!(refused.stderr.contains(says), "{refused:?}");
}

/// Before the owner has agreed to anything, an error about a file must not contain control characters from it.
#[tokio::test]
async fn a_file_that_is_refused_moves_no_cursor() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default()).unwrap();
    let bytes = built("echo").unwrap().bytes().unwrap();
    let choice =
        "\n[settings.x]\ntype = \"choice\"\nchoices = [\"\\u001b]0;x\\u0007\"]\ndefault = \"b\"\ndescription = \"x\"\n";
    let files = [
        with_manifest(&bytes, |manifest| format!("{manifest}{choice}")).unwrap(),
        with_text(&bytes, "parlor:plugin/", "\u{1b}[2Jor:plugin/"),
    ];
    for bytes in files {
        std::fs::write(home.path().join("x.wasm"), bytes).unwrap();
        for arguments in [&["plugin", "inspect", "x.wasm"][..], &["plugin", "add", "x.wasm", "--yes"]] {
            let refused = ended(home.run(arguments).await.unwrap(), 1);
            assert!(refused.stderr.contains("\\u{1b}") && !refused.stderr.contains('\u{1b}'), "{refused:?}");
        }
    }
}

/// The user id of nobody, which is the same on every system.
pub(super) const NOBODY: u32 = 65_534;

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Gives a folder and everything in it to a user.
pub(super) fn give(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

#[tokio::test]
async fn root_leaves_nothing_in_a_host_that_its_user_could_not_read() {
    if !is_root() {
        return;
    }
    let (home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    give(home.path(), NOBODY);
    // This holds before the first start as well.
    let refused = ended(home.run(&["run"]).await.unwrap(), 1);
    assert!(refused.stderr.contains("run `sudo -u '"), "{refused:?}");
    std::fs::create_dir(home.path().join("data")).unwrap();
    give(home.path(), NOBODY);
    let before = (policy(&home), files(home.path()));
    for arguments in [
        &["plugin", "disable", "echo"][..],
        &["plugin", "revoke", "echo", "messages.send"],
        &["plugin", "add", "plugins/echo.wasm", "--id", "other", "--yes", "--grant-all"],
        &["plugin", "config", "echo", "room_prefix", "x"],
        &["plugin", "config", "echo", "--unset", "room_prefix"],
        &["plugin", "update", "echo", "--yes"],
        &["plugin", "data", "echo", "import"],
        &["run"],
        &["init", "--config", "new.toml", "--jid", "a@b.example", "--offline"],
    ] {
        let refused = ended(home.run(arguments).await.unwrap(), 1);
        assert!(refused.stderr.contains("run `sudo -u '"), "{arguments:?}: {refused:?}");
    }
    // Commands that only read are allowed.
    ended(home.run(&["status"]).await.unwrap(), 4);
    for arguments in [
        &["plugin", "list"][..],
        &["plugin", "config", "echo"],
        &["plugin", "config", "echo", "room_prefix"],
        &["plugin", "update", "echo", "--check"],
    ] {
        ended(home.run(arguments).await.unwrap(), 0);
    }
    assert_eq!((policy(&home), files(home.path())), before);
    give(&home.path().join("plugins.toml"), 0);
    open_to_all(&home.path().join("plugins.toml"), 0o600);
    let found = ended(home.run(&["doctor"]).await.unwrap(), 5);
    assert!(found.stdout.contains("plugins.toml belongs to another user than the data folder"), "{found:?}");
    home.write("data/parlor.lock", "").unwrap();
    let found = ended(home.run(&["doctor", "--offline"]).await.unwrap(), 5);
    let says = "data/parlor.lock belongs to another user than the data folder";
    assert!(found.stdout.contains(says) && found.stdout.contains("chown --recursive"), "{found:?}");
}

#[tokio::test]
async fn another_user_is_turned_away_from_the_socket_even_if_it_is_open() {
    // Only root can run commands as another user.
    if !is_root() {
        return;
    }
    let (home, _) = home().await;
    // The certificate must be where others can read it.
    let certificate = crate::test_host::prosody().await.certificate().certificate_file.clone();
    std::fs::copy(&certificate, home.path().join("ca.pem")).unwrap();
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &config.replace(certificate.to_str().unwrap(), "ca.pem")).unwrap();
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    let as_nobody = |arguments: &[&str]| {
        let mut command = home.command(arguments).unwrap();
        command.uid(NOBODY).gid(NOBODY);
        command.output()
    };
    // The program must be where anybody can run it.
    let Ok(_) = Command::new(program("parlor").unwrap()).arg("--version").uid(NOBODY).gid(NOBODY).output() else {
        return;
    };
    open_to_all(home.path(), 0o755);
    for file in ["parlor.toml", "plugins.toml", "ca.pem"] {
        open_to_all(&home.path().join(file), 0o644);
    }
    let data = home.path().join("data");
    open_to_all(&data, 0o755);
    let closed = as_nobody(&["status"]).unwrap();
    let words = String::from_utf8_lossy(&closed.stderr).into_owned();
    assert!(words.contains("only the user that the host runs as may use it"), "{words}");
    for arguments in [&["plugin", "data", "echo", "list"][..], &["plugin", "data", "echo", "export"]] {
        let refused = as_nobody(arguments).unwrap();
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(words.contains("data/parlor.db cannot be used ("), "{words}");
        assert!(words.contains("only the user that the host runs as may use it"), "{words}");
    }
    open_to_all(&data.join("control.sock"), 0o666);
    for arguments in [&["status"][..], &["logs"]] {
        let refused = as_nobody(arguments).unwrap();
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(words.contains("only the user that the host runs as may ask it"), "{words}");
    }
    host.wait_count("another user was turned away from the control socket", &[("user", "65534")], 2, SOON)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_host_of_another_version_is_named_and_nothing_is_asked_of_it() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    stand_in(&home, b"HTTP/1.1 200 OK\r\nparlor-version: 9.9.9\r\nparlor-control: 2\r\n\r\n{}");
    let says = "the host that runs is parlor 9.9.9, this is parlor";
    for arguments in [&["status"][..], &["logs"], &["explain", "echo"], &["plugin", "list"]] {
        let refused = ended(home.run(arguments).await.unwrap(), 1);
        assert!(refused.stderr.contains(says), "{arguments:?}: {refused:?}");
    }
    // The owner may still change the files. That the host was not told is an error, and is reported.
    let disabled = ended(home.run(&["plugin", "disable", "echo"]).await.unwrap(), 1);
    assert!(
        disabled.stderr.contains("echo is disabled, but the host was not told") && disabled.stderr.contains(says),
        "{disabled:?}"
    );
    assert!(policy(&home).contains("enabled = false"));
}
