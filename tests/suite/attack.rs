//! `cargo xtask attack`: some of its cases run each time, and it leaves nothing behind, however it ends.

use std::process::Command;
use std::time::Duration;

use parlor_tests::log::Mark;
use parlor_tests::plugins;
use parlor_tests::process::{self, Process, Signal, exists};
use tokio::time::Instant;

/// The timeout of a few cases, each of which may wait for a minute. They usually take much less.
const SOON: Duration = Duration::from_mins(10);

fn attack(arguments: &[&str]) -> Process {
    let mut command = Command::new(plugins::program("attack").unwrap());
    command.args(arguments);
    Process::start("attack", command).unwrap()
}

#[tokio::test]
async fn some_of_each_heading_are_contained() {
    let mut attack = attack(&["--quick"]);
    let status = attack.wait(SOON).await.unwrap();
    tokio::time::timeout(SOON, attack.log().ended()).await.unwrap();
    let lines = attack.log().all();
    assert!(status.success(), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("contained "), "{lines:#?}");
}

#[tokio::test]
async fn an_interrupted_attack_leaves_nothing_behind() {
    let mut attack = attack(&["--case", "1", "--case", "2"]);
    let first = |line: &str| line.contains("endless loop in a handler").then_some(());
    attack.log().wait("the first case", &mut Mark::default(), SOON, first).await.unwrap();
    let deadline = Instant::now() + SOON;
    let children = loop {
        let children = process::children(attack.id());
        // The host, and those that remove its two folders and the code that the cases share.
        if children.len() >= 4 {
            break children;
        }
        assert!(Instant::now() < deadline, "the second case does not begin: {children:?}");
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    };
    attack.signal(Signal::Interrupt).unwrap();
    assert_eq!(attack.wait(SOON).await.unwrap().code(), Some(130));
    while children.iter().any(|child| exists(*child)) {
        assert!(Instant::now() < deadline, "left: {children:?}");
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
}
