//! The demo leaves nothing behind, however it ends.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use parlor_tests::log::Mark;
use parlor_tests::process::{Process, Signal, exists};
use parlor_tests::{plugins, process};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long the demo may take to get to its middle, and to end afterwards.
const SOON: Duration = Duration::from_secs(30);

/// The process to kill in the middle of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The child process with this text in its command line.
    Child(&'static str),
    /// The demo itself, which cannot clean up any more.
    Demo,
    /// No process is killed; the demo is asked to stop.
    Asked,
}

#[tokio::test]
async fn a_killed_host_leaves_nothing_behind() {
    killed_in_the_middle(Victim::Child("parlor.toml")).await;
}

#[tokio::test]
async fn a_killed_server_leaves_nothing_behind() {
    killed_in_the_middle(Victim::Child("prosody.cfg.lua")).await;
}

#[tokio::test]
async fn a_killed_demo_leaves_nothing_behind() {
    killed_in_the_middle(Victim::Demo).await;
}

#[tokio::test]
async fn an_interrupted_demo_leaves_nothing_behind() {
    killed_in_the_middle(Victim::Asked).await;
}

async fn killed_in_the_middle(victim: Victim) {
    let mut demo = Process::start("demo", Command::new(plugins::program("demo").unwrap())).unwrap();
    let mut from = Mark::default();
    let port = demo.log().wait("the server's port", &mut from, SOON, port).await.unwrap();
    let middle = |line: &str| line.contains("greets who enters").then_some(());
    demo.log().wait("the middle", &mut from, SOON, middle).await.unwrap();
    let children = process::children(demo.id());
    let folders: Vec<PathBuf> =
        children.iter().map(|child| cwd(*child)).filter(|folder| folder.starts_with(std::env::temp_dir())).collect();
    assert!(children.len() >= 4, "a host, a server, and who sweeps after each: {children:?}");
    assert!(folders.len() >= 2, "the host's folder and the server's: {folders:?}");

    match victim {
        Victim::Child(which) => {
            let child = *children.iter().find(|child| command_line(**child).contains(which)).unwrap();
            process::send(child, Signal::Kill).unwrap();
        }
        Victim::Demo => demo.signal(Signal::Kill).unwrap(),
        Victim::Asked => demo.signal(Signal::Interrupt).unwrap(),
    }
    let status = demo.wait(SOON).await.unwrap();
    assert!(!status.success(), "it said that all went well");
    if victim == Victim::Asked {
        assert_eq!(status.code(), Some(130));
    }

    let deadline = Instant::now() + SOON;
    let left = || {
        let children = children.iter().filter(|child| exists(**child)).count();
        children + folders.iter().filter(|folder| folder.exists()).count()
    };
    // If the demo itself was killed, others clean up after it, which takes a moment.
    while left() > 0 {
        assert!(Instant::now() < deadline, "{victim:?}: of {children:?} and {folders:?}, {} are left", left());
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err(), "port {port} is open");
}

fn port(line: &str) -> Option<u16> {
    line.split_once("127.0.0.1:")?.1.trim().parse().ok()
}

fn cwd(process: u32) -> PathBuf {
    std::fs::read_link(Path::new("/proc").join(process.to_string()).join("cwd")).unwrap_or_default()
}

fn command_line(process: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default()).into_owned()
}
