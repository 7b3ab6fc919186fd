//! A command line that never ends, for tests of callers that give up on one.

#![allow(clippy::unwrap_used, reason = "this is part of tests, in this package and in others")]

use std::fs::File;
use std::io::Read as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// Returns the outcome of `run` for a command line that never ends and has started another process, once that process
/// has ended too. Needs a paused clock.
pub async fn given_up<T>(run: impl AsyncFnOnce(String) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let line = format!("sleep 1000 > '{}' & wait", pipe.display());
    // The paused clock does not advance while a blocking task runs, so no timeout passes before the process runs.
    let opening = tokio::task::spawn_blocking(move || File::open(pipe));
    let (outcome, opened) = tokio::join!(run(line), opening);
    let mut opened = opened.unwrap().unwrap();
    // The pipe reaches its end when no process is left that could write to it.
    let (sender, gone) = mpsc::channel();
    std::thread::spawn(move || sender.send(opened.read_to_end(&mut Vec::new())));
    gone.recv_timeout(Duration::from_secs(30)).expect("what it started goes on").unwrap();
    outcome
}
