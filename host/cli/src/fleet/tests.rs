//! Filters, pages, groups and sentences of many accounts.

use clap::Parser;
use parlor::control::views::LastError;
use serde_json::json;

use super::*;

/// A command line with these flags alone.
#[derive(Debug, Parser)]
struct Typed {
    #[command(flatten)]
    filter: Filter,
}

fn filter(flags: &[&str]) -> Filter {
    Typed::try_parse_from(["parlor"].iter().chain(flags)).unwrap().filter
}

/// A host with so many accounts, in groups of a thousand, each with a plugin. Every hundredth one is away.
pub(in super::super) fn fleet(count: usize) -> Status {
    let is_away = |number: usize| number % 100 == 7;
    let account = |number: usize| {
        json!({
            "name": format!("a{number:04}"), "group": format!("g{}", number / 1000), "jid": "a@example.org",
            "connection": if is_away(number) { "failed" } else { "connected" },
            "reason": is_away(number).then_some("the password is wrong"),
        })
    };
    let plugin = |number: usize| {
        json!({
            "id": "echo", "account": format!("a{number:04}"), "version": "0.1.0", "digest": "sha256:00",
            "state": if number == 3 { "quarantined" } else { "running" }, "source": "echo.wasm", "restarts": 0,
            "reason": (number == 3).then_some("it failed too often"),
        })
    };
    serde_json::from_value(json!({
        "running": true, "data": "data", "policy": "plugins.toml",
        "accounts": (0..count).map(account).collect::<Vec<_>>(),
        "plugins": (0..count).map(plugin).collect::<Vec<_>>(),
    }))
    .unwrap()
}

#[test]
fn five_thousand_accounts_are_counted_and_ten_that_need_attention_are_named() {
    let status = fleet(5_000);
    let text = summary(&status.accounts, "parlor status", 80);
    let begin = "GROUP  ACCOUNTS  CONNECTED  FAILED\n\
                 g0     1000      990        10\n\
                 g1     1000      990        10\n";
    assert!(text.starts_with(begin), "{text}");
    // All of them have one reason, which is said once.
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let says = "a0907 and 40 more (`parlor status --state away`) are failed: the password is wrong";
    assert!(text.contains("\n\naccounts a0007, a0107, a0207, ") && words.ends_with(says), "{text}");
    assert_eq!(text.matches("the password is wrong").count(), 1, "{text}");
    let text = plugins(&status.plugins, 80);
    assert!(text.contains("echo 0.1.0  5000      1            4999\n"), "{text}");
    assert!(text.ends_with("\necho on a0003 is quarantined: it failed too often\n"), "{text}");
}

/// Puts accounts out of a room of their own, and the first `count` out of one room together.
pub(in super::super) fn put_out(status: &mut Status, count: usize) {
    for (number, account) in status.accounts.iter_mut().enumerate() {
        let out = |room: &str, why: &str| {
            json!({
                "account": account.name, "room": room, "state": "out", "kept": true,
                "left": { "at": "2026-10-15T12:00:00Z", "why": why },
            })
        };
        let own = out(&format!("r{number:04}@muc.example.org"), "left");
        let shared = (number < count).then(|| out("den@muc.example.org", "banned"));
        account.rooms = serde_json::from_value([Some(own), shared].into_iter().flatten().collect()).unwrap();
    }
}

#[test]
fn rooms_that_accounts_are_out_of_are_counted_above_twenty_accounts() {
    let mut status = fleet(31);
    assert_eq!(rooms(&status.accounts, 80), "");
    put_out(&mut status, 23);
    let says = "\n23 accounts are out of den@muc.example.org: banned\n";
    assert_eq!(rooms(&status.accounts, 80), says, "they left the others by themselves");
    put_out(&mut status, 1);
    assert_eq!(rooms(&status.accounts, 80), "\naccount a0000 is out of den@muc.example.org: banned\n");
    for account in &mut status.accounts {
        for room in &mut account.rooms {
            room.left.as_mut().unwrap().why = "kicked".to_owned();
        }
    }
    let text = rooms(&status.accounts, 80);
    assert_eq!(text.lines().count(), 1 + NAMED + 1, "{text}");
    assert!(text.ends_with("\n… and 22 more: `parlor rooms`\n"), "{text}");
}

#[test]
fn accounts_with_reasons_of_their_own_have_sentences_of_their_own_of_which_ten_are_shown() {
    let mut status = fleet(5_000);
    for account in &mut status.accounts {
        account.reason = account.reason.take().map(|reason| format!("{reason} for {}", account.name));
    }
    let text = summary(&status.accounts, "parlor status", 80);
    assert!(text.contains("\n\naccount a0007 is failed: the password is wrong for a0007\n"), "{text}");
    assert!(text.ends_with("\n… and 40 more: `parlor status --state away`\n"), "{text}");
    assert_eq!(text.lines().count(), 6 + 1 + NAMED + 1, "{text}");
}

#[test]
fn accounts_of_one_sentence_have_their_last_error_in_it_unless_it_is_the_reason() {
    let mut accounts = fleet(308).accounts;
    accounts.retain(|account| account.reason.is_some());
    for (why, end) in [("the stream ended", "; their last error: the stream ended"), ("the password is wrong", "")] {
        for account in &mut accounts {
            account.last_error = Some(LastError { at: "2026-11-20T05:59:00Z".to_owned(), why: why.to_owned() });
        }
        let says = conditions(&accounts, "`parlor status`");
        assert_eq!(says, [format!("accounts a0007, a0107, a0207, a0307 are failed: the password is wrong{end}")]);
    }
}

#[test]
fn a_thousand_groups_do_not_fill_the_screen() {
    let mut status = fleet(3_000);
    for (number, account) in status.accounts.iter_mut().enumerate() {
        account.group = (number > 0).then(|| format!("g{number}"));
    }
    let text = summary(&status.accounts, "parlor status", 80);
    assert!(text.contains("\n-      1 ") && text.contains("\n… and 2980 more groups\n"), "{text}");
    assert!(text.lines().count() < 40, "{text}");
}

#[test]
fn flags_pick_accounts_and_the_plugins_on_them() {
    for (flags, count) in [
        ("--group g1", 1_000),
        ("--group g9", 0),
        ("--state away", 50),
        ("--state connected", 4_950),
        ("--state offline", 0),
        ("--match a00*", 100),
        ("--match *7", 500),
        ("--group g0 --state away --match a0*07", 10),
        ("", 5_000),
    ] {
        let flags: Vec<_> = flags.split_whitespace().collect();
        let mut status = fleet(5_000);
        filter(&flags).narrow(&mut status);
        assert_eq!((status.accounts.len(), status.plugins.len()), (count, count), "{flags:?}");
    }
}

#[test]
fn each_account_is_on_one_page() {
    let mut seen = Vec::new();
    for page in 1..=72 {
        let mut status = fleet(5_000);
        let others = filter(&["--limit", "70", "--page", &page.to_string()]).cut(&mut status).unwrap();
        assert_eq!(status.accounts.len(), status.plugins.len());
        seen.extend(status.accounts.into_iter().map(|account| account.name));
        match page {
            1 => assert_eq!(others, "1 to 70 of 5000; `--page 2` shows the next"),
            72 => assert_eq!(others, "4971 to 5000 of 5000"),
            _ => {}
        }
    }
    assert_eq!(seen, fleet(5_000).accounts.into_iter().map(|account| account.name).collect::<Vec<_>>());
    let mut status = fleet(30);
    assert_eq!(filter(&["--page", "3"]).cut(&mut status).unwrap(), "on page 3: none of 30");
    assert!(status.accounts.is_empty());
    let mut status = fleet(30);
    assert_eq!(filter(&[]).cut(&mut status).unwrap(), "1 to 20 of 30; `--page 2` shows the next");
    assert_eq!(filter(&["--limit", "20"]).cut(&mut status), None);
    for wrong in [["parlor", "--page", "0"], ["parlor", "--limit", "0"], ["parlor", "--match", "a?"]] {
        assert!(Typed::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn of_many_sentences_the_first_are_shown() {
    let (shown, more) = first((0..5_000).map(|number| number.to_string()));
    assert_eq!((shown.len(), shown[9].as_str(), more), (NAMED, "9", 4_990));
}

#[test]
fn what_is_wrong_with_many_accounts_is_one_clause() {
    let mut status = fleet(300);
    let says = |status: &Status| {
        let accounts = status.accounts.iter().map(|one| (one.name.as_str(), one.connection.as_str()));
        account_ills(accounts).into_iter().chain(plugin_ills(&status.plugins)).collect::<Vec<_>>()
    };
    let few =
        ["account a0007 is failed", "account a0107 is failed", "account a0207 is failed", "plugin echo is quarantined"];
    assert_eq!(says(&status), few);
    for account in &mut status.accounts[1..] {
        account.connection = "failed".to_owned();
    }
    for plugin in &mut status.plugins {
        plugin.state = "quarantined".to_owned();
    }
    let many = ["299 accounts (a0001, a0002, a0003, …) are failed", "plugin echo is quarantined on 300 accounts"];
    assert_eq!(says(&status), many);
}

#[test]
fn a_plugin_that_is_refused_or_stopped_as_a_whole_is_counted_as_no_account() {
    let mut status = fleet(30);
    status.plugins.truncate(9);
    for plugin in &mut status.plugins {
        plugin.state = "running".to_owned();
    }
    (status.plugins[8].account, status.plugins[8].state) = (None, "refused".to_owned());
    let text = plugins(&status.plugins, 80);
    assert!(text.starts_with("PLUGIN      ACCOUNTS  REFUSED  RUNNING\necho 0.1.0  8         yes      8\n"), "{text}");
    // All of its accounts sleep.
    status.plugins.drain(..8);
    status.plugins[0].state = "stopped".to_owned();
    let text = plugins(&status.plugins, 80);
    assert!(text.starts_with("PLUGIN      ACCOUNTS  STOPPED\necho 0.1.0  0         yes\n"), "{text}");
}
