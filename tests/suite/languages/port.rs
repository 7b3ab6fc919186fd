//! Plugins of errbot and maubot: ported, built and tried. The samples in `tests/ports` are parlor's own, in the style of
//! published ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use parlor_tests::folder::Folder;

use super::unit::complaints;
use super::{built, parlor, passes};

/// The samples, and how many tests each has.
const SAMPLES: [(&str, usize); 10] = [
    ("forecast", 2),
    ("greeter", 4),
    ("listener", 3),
    ("lookup", 1),
    ("notes", 1),
    ("points", 2),
    ("riddle", 5),
    ("shelf", 1),
    ("tally", 4),
    ("watcher", 3),
];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ports")
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_errbot_and_maubot_are_ported_whole_and_pass_their_tests() {
    for (name, tests) in SAMPLES {
        let folder = Folder::new().unwrap();
        let (sample, into) = (samples().join(name), folder.path().join("new"));
        let ported =
            parlor(&["plugin", "port", sample.to_str().unwrap(), "--into", into.to_str().unwrap(), "--json"]).await;
        assert_eq!(ported.code, Some(0), "{name}: {ported:?}");
        assert_eq!(ported.json().unwrap()["name"], name);
        built(&into, &folder).await;
        passes(&sample.join("tests"), &folder, &format!("{tests} passed, 0 failed\n")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ported_plugin_lacks_is_told_and_has_an_exit_code_of_its_own() {
    let folder = Folder::new().unwrap();
    folder.write("old/tea.plug", "[Core]\nName = Tea\nModule = tea\n").unwrap();
    let source = "import threading\nfrom errbot import BotPlugin\n\n\nclass Tea(BotPlugin):\n    pass\n";
    folder.write("old/tea.py", source).unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let port = ["plugin", "port", old.to_str().unwrap(), "--into", new.to_str().unwrap()];
    let ported = parlor(&port).await;
    assert_eq!(ported.code, Some(5), "{ported:?}");
    for part in ["tea.py:1: threading\n", "there are no threads", "instead: "] {
        assert!(ported.stdout.contains(part), "{part} is missing: {ported:?}");
    }
    assert!(ported.stderr.contains("lacks 1 thing\n"), "{ported:?}");
    assert_eq!(fs::read_to_string(new.join("tea.py")).unwrap(), source);
    // An existing folder is not changed.
    let again = parlor(&port).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("is there already"), "{again:?}");
    // Nothing of a folder without a plugin is made.
    folder.write("none/a.py", "x = 1\n").unwrap();
    let (none, made) = (folder.path().join("none"), folder.path().join("made"));
    let refused = parlor(&["plugin", "port", none.to_str().unwrap(), "--into", made.to_str().unwrap()]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("neither a .plug file (errbot) nor maubot.yaml (maubot)"), "{refused:?}");
    assert!(!made.exists());
}

/// The whole layer is checked, together with a ported plugin. Its folder has the SDK's types, which a build does not change.
#[tokio::test(flavor = "multi_thread")]
async fn the_layer_has_types() {
    let folder = Folder::new().unwrap();
    let into = folder.path().join("new");
    let (sample, new) = (samples().join("tally"), into.to_str().unwrap());
    let ported = parlor(&["plugin", "port", sample.to_str().unwrap(), "--into", new]).await;
    assert_eq!(ported.code, Some(0), "{ported:?}");
    let layer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins-sdk/python/ports");
    let copied = Command::new("cp").arg("-r").arg(layer.join(".")).arg(&into).status().unwrap();
    assert!(copied.success());
    let parts = [
        "aiohttp",
        "asyncpg",
        "bottle",
        "errbot",
        "flask",
        "magic",
        "maubot",
        "mautrix",
        "parlor_port",
        "requests",
        "sqlalchemy",
        "yarl",
    ];
    assert_eq!(complaints(&into, &parts).await, [""; 0]);
}

/// The layer and the reading of sources have tests in Python, which run without a host.
#[test]
fn the_tests_of_the_layer_in_python_pass() {
    let mut python = Command::new("python3");
    let output = python.args(["-B", "-m", "unittest", "discover", "."]).current_dir(samples()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    let ran = said.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse::<u32>().ok());
    assert!(output.status.success() && ran.is_some_and(|ran| ran >= 100), "{said}");
}
