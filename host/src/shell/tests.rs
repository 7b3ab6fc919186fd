//! A command line that never ends, for those who give one up.

use std::fs::File;
use std::io::Read as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// What comes of a command line that never ends and has started another process, once that process is gone as well. Needs a
/// clock that stands still.
pub(crate) async fn given_up<T>(run: impl AsyncFnOnce(String) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let line = format!("sleep 1000 > '{}' & wait", pipe.display());
    // Time does not go on by itself while somebody works on another thread: nobody gives up before the process is there.
    let opening = tokio::task::spawn_blocking(move || File::open(pipe));
    let (outcome, opened) = tokio::join!(run(line), opening);
    let mut opened = opened.unwrap().unwrap();
    // It comes to its end when nobody is left who could write into it.
    let (sender, gone) = mpsc::channel();
    std::thread::spawn(move || sender.send(opened.read_to_end(&mut Vec::new())));
    gone.recv_timeout(Duration::from_secs(30)).expect("what it started goes on").unwrap();
    outcome
}
