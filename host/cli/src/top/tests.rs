//! Tests of the screen of `parlor top`, drawn on a test backend.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor::control::views::{Account, LastError, Line, Plugin, Process, Record, Status, Usage, Webhooks};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw::draw;
use super::state::{Column, Look, Order, Request, Top, View};

fn usage(handled: u64, cpu_ms: u64) -> Usage {
    Usage {
        since: "2025-01-01T00:00:00Z".into(),
        uptime: 3_700,
        handled,
        sent: handled / 2,
        denials: 0,
        lost: 0,
        cpu_ms,
        cpu_share: 0.01,
        cpu_limit: 0.25,
        slowed: false,
        memory: 3 << 20,
        memory_limit: 64 << 20,
    }
}

fn plugin(id: &str, account: &str, usage: Option<Usage>) -> Plugin {
    Plugin {
        id: id.into(),
        account: Some(account.into()),
        state: if usage.is_some() { "running" } else { "backing-off" }.into(),
        reason: usage.is_none().then(|| "it trapped: unreachable".into()),
        version: Some("0.1.0".into()),
        digest: "sha256:00".into(),
        source: format!("{id}.wasm"),
        record: None,
        usage,
        restarts: 0,
        limits: Vec::new(),
        commands: BTreeMap::new(),
        denied: Vec::new(),
        rooms: None,
        grants: None,
        connection: None,
        node: None,
    }
}

fn running(plugins: Vec<Plugin>) -> Status {
    let account = |name: &str, connection: &str, reason: Option<&str>| Account {
        name: name.into(),
        node: None,
        group: None,
        jid: format!("{name}@example.org"),
        connection: connection.into(),
        reason: reason.map(Into::into),
        since: None,
        last_error: None,
        rooms: Vec::new(),
        departures: BTreeMap::new(),
        encryption: None,
        kept_awake: None,
    };
    let accounts =
        vec![account("main", "connected", None), account("second", "retrying", Some("no route to the host"))];
    Status {
        node: None,
        nodes: Vec::new(),
        cluster: None,
        nowhere: Vec::new(),
        running: true,
        host: Some(Process {
            version: parlor::control::VERSION.into(),
            pid: 4711,
            since: "2025-01-01T00:00:00Z".into(),
            uptime: 3_725,
            memory: 45 << 20,
            tasks: 12,
        }),
        data: "data".into(),
        policy: "plugins.toml".into(),
        policy_error: None,
        config_error: None,
        webhooks_error: None,
        components: Vec::new(),
        accounts,
        plugins,
    }
}

fn three(handled: u64, cpu_ms: u64) -> Status {
    let mut snoop = plugin("snoop", "main", Some(usage(handled, cpu_ms)));
    if let Some(usage) = &mut snoop.usage {
        (usage.slowed, usage.denials) = (true, 12);
    }
    let broken = Plugin { restarts: 4, ..plugin("broken", "main", None) };
    running(vec![broken, plugin("echo", "main", Some(usage(10, 5))), snoop])
}

/// Returns a screen after one second.
fn screen() -> (Top, Instant) {
    let (begin, second) = (Instant::now(), Duration::from_secs(1));
    let mut top = Top::new(three(100, 1_000), begin);
    top.look(Ok(Box::new(Look { status: three(600, 1_500), logs: None, webhooks: None })), begin + second);
    (top, begin + second)
}

fn drawn(top: &mut Top, width: u16, height: u16, now: Instant) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, top, now)).unwrap();
    let text = terminal.backend().to_string();
    // As a user sees it: without the quotes, and without trailing space.
    text.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
}

fn press(top: &mut Top, keys: &str) -> Vec<Request> {
    keys.chars().map(|one| top.key(KeyEvent::new(KeyCode::Char(one), KeyModifiers::NONE))).collect()
}

#[test]
fn the_host_fits_on_one_screen() {
    let (mut top, now) = screen();
    insta::assert_snapshot!("80x24", drawn(&mut top, 80, 24, now));
    insta::assert_snapshot!("132x16", drawn(&mut top, 132, 16, now));
    insta::assert_snapshot!("44x12", drawn(&mut top, 44, 12, now));
    press(&mut top, "?");
    insta::assert_snapshot!("help", drawn(&mut top, 80, 24, now));
}

#[test]
fn a_file_that_does_not_count_is_named_with_its_reason_where_there_is_little_room() {
    let (mut top, now) = screen();
    assert!(!drawn(&mut top, 80, 24, now).contains("not in force"));
    top.status.policy_error = Some("plugins.toml:3:1: an unclosed table\x1b[2J".into());
    top.status.config_error = Some("parlor.toml:1:1: the key nonsense is not known".into());
    for (width, height) in [(80, 24), (60, 12)] {
        let picture = drawn(&mut top, width, height, now);
        assert!(picture.contains("configuration not in force: parlor.toml:1:1: the key non"), "{picture}");
        assert!(picture.contains("policy not in force: plugins.toml:3:1: an unclosed table"), "{picture}");
        assert!(picture.contains("broken") && !picture.contains('\x1b'), "{picture}");
    }
}

#[test]
fn since_when_an_account_is_not_connected_is_said_where_there_is_room() {
    let (mut top, now) = screen();
    for account in &mut top.status.accounts {
        account.since = Some("2026-11-20T06:24:00.5Z".into());
        account.last_error = Some(LastError { at: "2026-11-20T06:20:00Z".into(), why: "it\x1bended".into() });
    }
    let wide = drawn(&mut top, 150, 16, now);
    let says = "second  retrying  second@example.org: no route to the host, since 2026-11-20 06:24:00, last error at 2026-11-20 06:20:00: it\\u{1b}ended\n";
    assert!(wide.contains(says), "{wide}");
    assert!(wide.contains("\nmain  connected  main@example.org\n"), "{wide}");
    let narrow = drawn(&mut top, 80, 24, now);
    assert!(narrow.contains("\nsecond  retrying  second@example.org: no route to the host\n"), "{narrow}");
    top.status.accounts[1].reason = None;
    let narrow = drawn(&mut top, 80, 24, now);
    assert!(narrow.contains("\nsecond  retrying  second@example.org, since 2026-11-20 06:24:00\n"), "{narrow}");
}

#[test]
fn no_size_breaks_it() {
    let (mut top, now) = screen();
    for (width, height) in [(1, 1), (2, 1), (39, 9), (40, 10), (41, 11), (80, 2), (500, 3), (1, 200), (300, 100)] {
        for keys in ["", "?", "xl", "x/echo", "d"] {
            press(&mut top, keys);
            drawn(&mut top, width, height, now);
            press(&mut top, "x");
            top.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        }
    }
}

#[test]
fn what_strangers_write_moves_no_cursor() {
    let mut evil = plugin("echo\x1b[2J", "main\r", Some(usage(1, 1)));
    evil.version = Some("\x1b]0;x\x07".into());
    evil.reason = Some("see \u{202e}txt.exe\nand more\x1b[31m".into());
    let (now, mut status) = (Instant::now(), running(vec![evil.clone()]));
    status.accounts[0].jid = "\x1b[1;1H@example.org".into();
    let mut top = Top::new(status.clone(), now);
    let line = Line {
        number: 1,
        at: "2025-01-01T00:00:00Z".into(),
        level: "warn".into(),
        target: "plugin".into(),
        message: "said \x1b[2J\u{2066}".into(),
        fields: [("plugin".to_owned(), "echo".to_owned()), ("a\x1b".to_owned(), "b\r".to_owned())].into(),
    };
    let plugins = drawn(&mut top, 200, 24, now);
    top.view =
        View::Logs(super::state::Log { plugin: "echo".parse().unwrap(), lines: Some(vec![line]), back: 0, aside: 0 });
    for picture in [plugins, drawn(&mut top, 200, 24, now)] {
        let bad = picture.chars().find(|one| (one.is_control() && *one != '\n') || "\u{202e}\u{2066}".contains(*one));
        assert_eq!(bad, None, "{picture}");
        assert!(picture.contains("\\u{1b}"), "{picture}");
    }
}

#[test]
fn rows_are_sorted_by_any_column_that_is_seen_and_stay_selected() {
    let (mut top, now) = screen();
    drawn(&mut top, 80, 24, now);
    let ids = |top: &Top| top.rows().iter().map(|plugin| plugin.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&top), ["broken", "echo", "snoop"]);
    press(&mut top, "j");
    assert_eq!(top.selected().unwrap().id, "echo");
    let mut seen = Vec::new();
    for _ in 0..top.shown.len() {
        press(&mut top, "s");
        seen.push(top.sort);
        assert_eq!(top.selected().unwrap().id, "echo");
    }
    assert_eq!(top.sort, Column::Plugin);
    assert!(seen.contains(&Column::Cpu) && !seen.contains(&Column::Version), "{seen:?}");
    top.sort = Column::Cpu;
    assert_eq!(ids(&top), ["broken", "echo", "snoop"]);
    press(&mut top, "i");
    assert_eq!(ids(&top), ["snoop", "echo", "broken"]);
}

#[test]
fn rates_are_of_the_last_look_and_of_one_instance() {
    let (mut top, now) = screen();
    let id = ("snoop".to_owned(), Some("main".to_owned()));
    assert!((top.rates[&id].events - 500.0).abs() < 0.1 && (top.rates[&id].cpu - 0.5).abs() < 0.01);
    // After a restart the earlier counters belong to another instance.
    let mut status = three(5, 1);
    for usage in status.plugins.iter_mut().filter_map(|plugin| plugin.usage.as_mut()) {
        usage.since = "2025-01-02T00:00:00Z".into();
    }
    top.look(Ok(Box::new(Look { status, logs: None, webhooks: None })), now + Duration::from_secs(1));
    assert!(top.rates.is_empty(), "{:?}", top.rates);
}

#[test]
fn what_takes_something_away_is_asked_about() {
    let (mut top, now) = screen();
    drawn(&mut top, 80, 24, now);
    let broken = || "broken".parse().unwrap();
    assert_eq!(press(&mut top, "d"), [Request::Nothing]);
    assert!(drawn(&mut top, 80, 24, now).contains("Disable broken on all accounts, until it is enabled again? y/n"));
    assert_eq!(press(&mut top, "n"), [Request::Nothing]);
    assert_eq!(press(&mut top, "dy"), [Request::Nothing, Request::Do(Order::Enable(broken(), false))]);
    assert!(drawn(&mut top, 80, 24, now).contains("broken is being disabled…"));
    // Only one command at a time.
    assert_eq!(press(&mut top, "ry"), [Request::Nothing, Request::Nothing]);
    top.done(Err("no\x1b[2J".into()));
    assert!(drawn(&mut top, 80, 24, now).contains("no\\u{1b}[2J"));
    assert_eq!(press(&mut top, "ry"), [Request::Nothing, Request::Do(Order::Restart(broken()))]);
    top.done(Ok("broken was restarted".into()));
    assert_eq!(press(&mut top, "e"), [Request::Do(Order::Enable(broken(), true))]);
}

#[test]
fn a_filter_shows_what_it_matches_alone() {
    let (mut top, now) = screen();
    press(&mut top, "/SNOO");
    assert_eq!(top.rows().len(), 1);
    assert_eq!(top.selected().unwrap().id, "snoop");
    // While a filter is typed, keys are letters.
    assert_eq!(press(&mut top, "q"), [Request::Nothing]);
    assert!(drawn(&mut top, 80, 24, now).contains("no plugin is like that; Esc shows all"));
    assert_eq!(press(&mut top, "x".repeat(1_000).as_str()).len(), 1_000);
    assert!(top.filter.len() <= 64);
    top.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
    assert_eq!(top.rows().len(), 3);
    assert_eq!(press(&mut top, "q"), [Request::Quit]);
    assert_eq!(top.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Request::Quit);
}

#[test]
fn requests_to_webhooks_that_wait_are_counted_for_the_selected_plugin() {
    let (mut top, now) = screen();
    let of = |id: &str, account: &str, waiting: u64| {
        let on = Webhooks { account: account.into(), node: None, webhooks: Vec::new(), waiting, requests: Vec::new() };
        Look { status: three(1, 1), logs: None, webhooks: Some((id.parse().unwrap(), vec![on])) }
    };
    assert_eq!(top.selected_id().unwrap().as_str(), "broken");
    for (id, account, waiting, said) in [
        ("broken", "main", 3, Some("restarts 4, 3 requests wait")),
        ("broken", "main", 1, Some("restarts 4, 1 request waits")),
        ("broken", "main", 0, None),
        ("broken", "second", 3, None),
        ("echo", "main", 3, None),
    ] {
        top.look(Ok(Box::new(of(id, account, waiting))), now);
        let picture = drawn(&mut top, 80, 24, now);
        assert_eq!(picture.contains(" wait"), said.is_some(), "{picture}");
        assert!(said.is_none_or(|said| picture.contains(said)), "{picture}");
    }
}

#[test]
fn requests_over_the_web_are_counted_for_the_selected_plugin() {
    let (mut top, now) = screen();
    assert_eq!(top.selected_id().unwrap().as_str(), "broken");
    for (requests, said) in [(0, None), (7, Some("restarts 4, 7 requests over the web (3.0 MiB out, 1.0 KiB in)"))] {
        let mut status = three(1, 1);
        let record = Record { requests, web_sent: 3 << 20, web_received: 1 << 10, ..Record::default() };
        status.plugins[0].record = Some(record);
        top.look(Ok(Box::new(Look { status, logs: None, webhooks: None })), now);
        let picture = drawn(&mut top, 132, 24, now);
        assert_eq!(picture.contains("over the web"), said.is_some(), "{picture}");
        assert!(said.is_none_or(|said| picture.contains(said)), "{picture}");
    }
}

#[test]
fn the_log_follows_unless_it_is_held() {
    let (mut top, now) = screen();
    let line = |number: u64| Line {
        number,
        at: format!("2025-01-01T00:00:{:02}.5Z", number % 60),
        level: "info".into(),
        target: "plugin".into(),
        message: format!("line {number}"),
        fields: [("plugin".to_owned(), "broken".to_owned()), ("account".to_owned(), "main".to_owned())].into(),
    };
    let id = || "broken".parse().unwrap();
    let look = |lines: u64| {
        Ok(Box::new(Look { status: three(1, 1), logs: Some((id(), (1..=lines).map(line).collect())), webhooks: None }))
    };
    assert_eq!(press(&mut top, "l"), [Request::Logs(Some(id()))]);
    top.look(look(40), now);
    insta::assert_snapshot!("log", drawn(&mut top, 80, 12, now));
    press(&mut top, "k");
    top.look(look(50), now);
    let held = drawn(&mut top, 80, 24, now);
    assert!(held.contains("held") && held.contains("line 39") && !held.contains("line 40"), "{held}");
    press(&mut top, "G");
    top.look(look(50), now);
    assert!(drawn(&mut top, 80, 24, now).contains("line 50"));
    assert_eq!(press(&mut top, "q"), [Request::Logs(None)]);
}

#[test]
fn a_host_that_has_gone_is_said_to_have() {
    let (mut top, now) = screen();
    assert!(!drawn(&mut top, 80, 24, now + Duration::from_secs(4)).contains("not answered"));
    assert!(drawn(&mut top, 80, 24, now + Duration::from_secs(7)).contains("the host has not answered for 7 s"));
    top.look(Err("no host runs".into()), now);
    let gone = drawn(&mut top, 80, 24, now);
    assert!(gone.contains("no host runs") && gone.contains("as of 0 s ago") && gone.contains("echo"), "{gone}");
    top.look(Ok(Box::new(Look { status: three(1, 1), logs: None, webhooks: None })), now);
    let back = drawn(&mut top, 80, 24, now);
    assert!(!back.contains("no host runs") && !back.contains("as of"), "{back}");
}
