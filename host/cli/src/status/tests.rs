//! Tests of the status.

use std::cell::RefCell;
use std::path::Path;

use parlor_base::id::Digest;
use parlor_config::Overrides;
use serde_json::json;

use super::*;

#[test]
fn a_usual_table_fits_into_80_columns_and_what_is_unusual_stands_below() {
    let mut plugin = json!({
        "id": "echo", "account": "main", "state": "running", "version": "0.1.0", "digest": "sha256:00",
        "source": "echo.wasm", "restarts": 0,
        "record": { "handled": 12345, "sent": 1234, "denials": 0, "lost": 0, "cpu_ms": 5, "withheld": {} },
        "usage": {
            "since": "2025-01-01T00:00:00Z", "uptime": 3599, "handled": 4, "sent": 2, "denials": 0, "cpu_ms": 5,
            "cpu_share": 0.01, "cpu_limit": 0.25, "slowed": false, "memory": 1 << 16, "memory_limit": 64 << 20,
        },
    });
    let screen = |plugin: &serde_json::Value| plugins(&[serde_json::from_value(plugin.clone()).unwrap()], 80);
    let usual = screen(&plugin);
    assert_eq!(usual.lines().count(), 2, "{usual}");
    assert!(usual.lines().all(|line| line.chars().count() <= 80), "{usual}");
    assert!(usual.contains("12345") && usual.contains("1234 "), "what instances before did counts, too: {usual}");
    plugin["record"]["denials"] = 3.into();
    plugin["record"]["withheld"] = json!({ "messages.read": 1 });
    plugin["restarts"] = 2.into();
    let says = "\necho on main: 3 calls denied, 1 event withheld by messages.read, restarted 2\n  times; `parlor explain echo` says why\n";
    assert!(screen(&plugin).ends_with(says), "{}", screen(&plugin));
    let (one, two) = (plugin["record"]["withheld"].clone(), json!({ "rooms": 2 }));
    plugin["record"]["withheld"] = two;
    assert!(screen(&plugin).contains("2 events withheld from other rooms"), "{}", screen(&plugin));
    plugin["record"]["withheld"] = one;
    let hooks = json!({ "seen": 0, "altered": 0, "marked": 0, "stopped": 0, "failed": 0, "unjudged": 7 });
    let mut hook = plugin.clone();
    hook["record"]["hooks"] = hooks;
    let shown = screen(&hook).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("0 without a verdict, 7 passed without one"), "also of one that was never asked: {shown}");
    plugin["reason"] = "it needs what was not granted, in a sentence that goes on for longer than any terminal".into();
    assert!(screen(&plugin).lines().all(|line| line.chars().count() <= 80), "{}", screen(&plugin));
}

/// For example, an account that is retried, with all that its error says.
#[test]
fn a_host_with_long_paths_and_reasons_fits_into_80_columns() {
    let mut status: Status = serde_json::from_value(json!({
        "running": true, "data": "/srv/parlor/data", "policy": "/srv/parlor/plugins.toml", "plugins": [],
        "accounts": [
            { "name": "main", "jid": "bot@example.org", "connection": "connected" },
            {
                "name": "spare", "jid": "spare@example.org", "connection": "retrying",
                "reason": "127.0.0.1:5222 refuses connections; check that the server runs, and that `server` in parlor.toml names its port",
            },
        ],
    }))
    .unwrap();
    let short = screen(&status, 80);
    assert!(short.contains("\ndata /srv/parlor/data, policy /srv/parlor/plugins.toml\n"), "{short}");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    let says = "  retrying\n\naccount spare is retrying: 127.0.0.1:5222 refuses connections; check that the\n  server runs, and that `server` in parlor.toml names its port\n\nno plugins";
    assert!(short.contains(says), "{short}");
    status.data = format!("/{}", "d".repeat(60)).into();
    let long = screen(&status, 80);
    assert!(long.lines().all(|line| line.chars().count() <= 80), "{long}");
    assert!(long.contains("d\npolicy /srv/parlor/plugins.toml\n"), "{long}");
}

#[test]
fn an_account_that_is_not_connected_says_since_when_and_what_its_last_error_was() {
    let mut status: Status = serde_json::from_value(json!({
        "running": true, "data": "data", "policy": "plugins.toml", "plugins": [],
        "accounts": [
            {
                "name": "main", "jid": "bot@example.org", "connection": "connected", "since": "2026-11-20T06:00:00Z",
                "last_error": { "at": "2026-11-20T05:59:00Z", "why": "the stream ended" },
            },
            {
                "name": "spare", "jid": "spare@example.org", "connection": "retrying",
                "since": "2026-11-20T06:24:00.5Z", "reason": "no route to the host",
                "last_error": { "at": "2026-11-20T07:30:00Z", "why": "no route to the host" },
            },
            {
                "name": "third", "jid": "third@example.org", "connection": "connecting", "since": "2026-11-20T06:24:00Z",
                "last_error": { "at": "2026-11-20T06:23:00Z", "why": "the server has closed the stream, since it restarts" },
            },
            {
                "name": "wrong", "jid": "wrong@example.org", "connection": "failed", "since": "2026-11-20T06:24:00Z",
                "reason": "the password is wrong",
                "last_error": { "at": "2026-11-20T06:24:00.01Z", "why": "the password is wrong" },
            },
        ],
    }))
    .unwrap();
    let says = "  failed\n\n\
        account spare is retrying since 2026-11-20 06:24:00: no route to the host; last\n  tried at 2026-11-20 07:30:00\n\
        account third is connecting since 2026-11-20 06:24:00; its last error, at\n  \
        2026-11-20 06:23:00: the server has closed the stream, since it restarts\n\
        account wrong is failed since 2026-11-20 06:24:00: the password is wrong\n\nno plugins";
    let text = screen(&status, 80);
    assert!(text.contains(says), "{text}");
    assert!(!text.contains("the stream ended") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // Of many accounts, those that need attention say the same.
    let spare = status.accounts.remove(1);
    status.accounts = (0..30).map(|_| spare.clone()).collect();
    let text = screen(&status, 80);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let says =
        "spare and 20 more (`parlor status --state away`) are retrying, the first since 2026-11-20 06:24:00: no route";
    assert!(words.contains(says) && words.matches("no route to the host").count() == 1, "{text}");
    // Also of few.
    status.accounts.truncate(3);
    let words = screen(&status, 80).split_whitespace().collect::<Vec<_>>().join(" ");
    let says = " accounts spare, spare, spare are retrying, the first since 2026-11-20 06:24:00: no route to the host";
    assert!(words.contains(says), "{words}");
}

#[test]
fn five_thousand_accounts_are_a_screen() {
    let status = fleet::tests::fleet(5_000);
    let text = screen(&status, 80);
    assert!(text.lines().count() <= 40, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("\nPLUGIN ") && text.matches("a0107").count() == 1, "{text}");
}

#[test]
fn rooms_that_many_accounts_are_out_of_are_on_the_screen() {
    let mut status = fleet::tests::fleet(31);
    fleet::tests::put_out(&mut status, 23);
    let text = screen(&status, 80);
    assert!(text.contains("\n23 accounts are out of den@muc.example.org: banned\n"), "{text}");
    assert_eq!(status.all_ills(), ["account a0007 is failed", "plugin echo is quarantined"], "as with fewer accounts");
}

#[test]
fn how_an_account_encrypts_stands_below_the_accounts_and_fits_into_80_columns() {
    let status: Status = serde_json::from_value(json!({
        "running": true, "data": "data", "policy": "plugins.toml", "plugins": [],
        "accounts": [{
            "name": "main", "jid": "bot@example.org", "connection": "connected",
            "encryption": {
                "omemo": true, "otr": true, "trust": "strict", "device": 2_147_483_647, "published": false, "known": 3,
                "decrypted": 12, "undecryptable": 1, "encrypted": 7,
            },
        }],
    }))
    .unwrap();
    let says = "\n\n\
        ACCOUNT  OMEMO        OTR      TRUST   DEVICE      DECRYPTED  FAILED  SENT\n\
        main     unpublished  allowed  strict  2147483647  12         1       7\n\n\
        no plugins";
    let screen = screen(&status, 80);
    assert!(screen.contains(says), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
}

#[test]
fn a_plugin_whose_account_is_retried_says_so() {
    let plugin = |connection: &str| -> Plugin {
        serde_json::from_value(json!({
            "id": "echo", "account": "main", "connection": connection, "state": "running", "version": "0.1.0",
            "digest": "sha256:00", "source": "echo.wasm", "restarts": 0,
        }))
        .unwrap()
    };
    let screen = closely(&[plugin("retrying")], 80);
    assert!(screen.ends_with("\naccount main is retrying; `parlor status` says why\n"), "{screen}");
    assert!(!closely(&[plugin("connected")], 80).contains("account main"));
}

#[test]
fn what_a_full_mailbox_lost_is_said_below_the_limits() {
    let mut plugin = json!({
        "id": "echo", "account": "main", "state": "running", "version": "0.1.0", "digest": "sha256:00",
        "source": "echo.wasm", "restarts": 0,
        "usage": {
            "since": "2025-01-01T00:00:00Z", "uptime": 60, "handled": 4, "sent": 2, "denials": 0, "cpu_ms": 5,
            "cpu_share": 0.01, "cpu_limit": 0.25, "slowed": false, "memory": 1 << 16, "memory_limit": 64 << 20,
        },
        "limits": [{ "name": "mailbox", "used": 0.0, "of": "256", "most": 256.0 }],
    });
    let screen = |plugin: &serde_json::Value| closely(&[serde_json::from_value(plugin.clone()).unwrap()], 80);
    // An older host does not send this field.
    assert!(!screen(&plugin).contains("lost"));
    plugin["usage"]["lost"] = 0.into();
    assert!(!screen(&plugin).contains("lost"));
    plugin["usage"]["lost"] = 13.into();
    let says =
        "\nevents lost because its mailbox was full: 13; a larger `mailbox` under\n  [plugin.echo.limits] holds more\n";
    assert!(screen(&plugin).ends_with(says), "{}", screen(&plugin));
}

#[test]
fn webhooks_that_nobody_listens_for_stand_above_the_accounts_and_are_an_ill() {
    let taken = "another program listens at 127.0.0.1:8080: name another address in `listen` under [web]";
    let mut status: Status = serde_json::from_value(json!({
        "node": "one", "running": true, "data": "data", "policy": "plugins.toml", "accounts": [], "plugins": [],
        "webhooks_error": taken,
        "nodes": [{ "name": "one", "webhooks_error": taken }, { "name": "two", "webhooks_error": "no certificate" }],
    }))
    .unwrap();
    let ills = [
        format!("webhooks cannot be listened for: {taken}"),
        "node two: webhooks cannot be listened for: no certificate".to_owned(),
    ];
    assert_eq!(status.all_ills(), ills);
    let text = screen(&status, 80);
    let says = "\nwebhooks cannot be listened for: another program listens at 127.0.0.1:8080: name\n  another address in `listen` under [web]\nnode two: webhooks";
    assert!(text.contains(says), "{text}");
    (status.webhooks_error, status.nodes) = (None, Vec::new());
    assert!(status.all_ills().is_empty() && !screen(&status, 80).contains("webhooks"));
}

#[test]
fn in_a_cluster_each_account_has_its_node_and_a_silent_node_is_named() {
    let host = json!({ "version": "0.1.0", "pid": 1, "since": "", "uptime": 3_725, "memory": 45 << 20 });
    let silent = "node two does not answer: it may be suspended, cut off, or too busy";
    let status: Status = serde_json::from_value(json!({
        "node": "one", "running": true, "host": host, "data": "data", "policy": "plugins.toml", "plugins": [],
        "nodes": [
            { "name": "one", "host": host },
            { "name": "two", "error": silent },
            { "name": "three", "host": host, "policy_error": "it is gone" },
        ],
        "accounts": [
            { "name": "main", "jid": "bot@example.org", "connection": "connected", "node": "one" },
            { "name": "spare", "jid": "spare@example.org", "connection": "connected", "node": "three" },
        ],
    }))
    .unwrap();
    let text = screen(&status, 80);
    let says = "\nnode three: the policy does not count as it is written now, the one before does:\n  it is gone\n\n\
        NODE   STATE    VERSION  UP         MEMORY\n\
        one    answers  0.1.0    1 h 2 min  45 MiB\n\
        two    silent   -        -          -\n\
        three  answers  0.1.0    1 h 2 min  45 MiB\n\
        node two does not answer: it may be suspended, cut off, or too busy\n\n\
        ACCOUNT  JID                CONNECTION  NODE\n\
        main     bot@example.org    connected   one\n\
        spare    spare@example.org  connected   three\n";
    assert!(text.contains(says), "{text}");
    assert_eq!((status.ills().count(), status.silent().collect::<Vec<_>>()), (0, vec![silent.to_owned()]));
    assert_eq!(status.all_ills(), [silent]);
}

#[test]
fn without_a_host_the_file_of_a_plugin_is_read_once_for_all_accounts() {
    let account =
        |number: u32| format!("[account.a{number}]\njid = \"a{number}@example.org\"\npassword_env = \"NONE\"\n");
    let text = (0..300).map(account).collect::<Vec<_>>().concat();
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let config = Config::parse(Path::new("parlor.toml"), &text, &overrides).unwrap();
    let plugin = |id: &str| format!("[plugin.{id}]\nsource = \"{id}.wasm\"\ndigest = \"{}\"\n", Digest::of(b""));
    let policy = Policy::parse(&(plugin("echo") + &plugin("dice")), Path::new("/x")).unwrap();
    let read = RefCell::new(Vec::new());
    let plugins = unknown_plugins(&config, &policy, |id, _| {
        read.borrow_mut().push(id.to_string());
        Some("0.1.0".to_owned())
    });
    assert_eq!(plugins.len(), 600);
    assert!(plugins.iter().all(|plugin| plugin.version.as_deref() == Some("0.1.0")));
    assert_eq!(read.into_inner(), ["dice", "echo"]);
}

#[test]
fn a_plugin_that_a_node_of_the_cluster_refuses_names_that_node() {
    let plugin = |account: Option<&str>, state: &str| {
        json!({
            "id": "echo", "account": account, "node": "two", "state": state, "version": "0.1.0", "digest": "sha256:00",
            "source": "echo.wasm", "restarts": 0, "reason": "the file with its secret is missing",
        })
    };
    let all: Vec<Plugin> =
        serde_json::from_value(json!([plugin(None, "refused"), plugin(Some("main"), "quarantined")])).unwrap();
    let says = ["\necho on node two: the file with", "\necho on main: the file with"];
    let text = plugins(&all, 80);
    assert!(says.iter().all(|says| text.contains(says)), "{text}");
    let text = fleet::plugins(&all, 80);
    assert!(text.contains("\necho on node two is refused: the file"), "{text}");
    assert_eq!(fleet::plugin_ills(&all), ["plugin echo is quarantined", "plugin echo is refused on node two"]);
}
