//! `log`: a plugin's lines in the host's log.

use serde_json::{Value, json};
use tracing::Level;

use crate::test_host::{BARE, Plan, running};
use crate::trace::{self, Line};

fn lines(account: &str) -> Vec<Line> {
    trace::with("account", account).into_iter().filter(|line| line.target == "plugin").collect()
}

/// Rows 12.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_comes_with_its_level_plugin_and_account() {
    let host = Plan::offline().caller(BARE, |entry| entry).start().await;
    for level in ["debug", "info", "warn", "error", "fatal"] {
        host.call(BARE, "log.write", json!({ "level": level, "message": level })).await.ok();
    }
    let lines = lines(host.name());
    let written: Vec<_> = lines.iter().map(|line| (line.level, line.get("message"), line.get("plugin"))).collect();
    let expected = [
        (Level::DEBUG, "debug", BARE),
        (Level::INFO, "info", BARE),
        (Level::WARN, "warn", BARE),
        (Level::ERROR, "error", BARE),
        (Level::ERROR, "fatal", BARE),
    ];
    assert_eq!(written, expected);
    assert_eq!(lines[4].get("fatal"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_moves_no_cursor_ends_no_line_and_is_not_too_long() {
    let host = Plan::offline().plugin("unruly", "unruly", |entry| entry.set("behaviour", "odd-log")).start().await;
    host.logged("OddLog: wrote odd lines", &[]).await;
    let lines = lines(host.name());
    let odd = lines.iter().find(|line| line.get("message").starts_with("red ")).unwrap();
    assert!(!odd.get("message").chars().any(|one| one.is_control() || one == '\u{202e}'), "{odd:?}");
    assert!(odd.get("message").contains("\\u{1b}[31m"), "{odd:?}");
    assert_eq!(odd.get("forged"), "", "{odd:?}");
    let long = lines.iter().find(|line| line.get("message").starts_with("long ")).unwrap();
    assert!(long.get("message").len() <= (4 << 10) + 8, "{}", long.get("message").len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_and_an_error_are_explained() {
    let host = Plan::offline().caller(BARE, |entry| entry).start().await;
    host.order(BARE, "action.panic", Value::Null).await;
    host.logged("plugin ended", &[("reason", "it panicked or aborted while it handled bare.order")]).await;
    let lines = lines(host.name());
    assert!(lines.iter().any(|line| line.get("message").contains("told to")), "{lines:?}");
    running(&host, BARE).await;
}
