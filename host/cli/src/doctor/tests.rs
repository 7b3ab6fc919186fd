//! Tests of the report, and of the checks that need no server.

use super::disk::{LITTLE_ROOM, NO_ROOM};
use super::*;

#[test]
fn an_error_of_several_lines_stands_below_itself() {
    let mut findings = Findings::default();
    findings.broken("account", "it cannot log in\nnothing was \u{1b}[2Jwritten", "do as it says");
    let text = screen(&findings);
    let says = "broken   account  it cannot log in\n                  nothing was \\u{1b}[2Jwritten\n                  → do as it says\n";
    assert_eq!(text, says);
}

/// A man in the middle could obtain an unbound log-in of a pinned account.
#[test]
fn an_account_is_not_logged_in_to_where_its_pins_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("parlor.db"), "x".repeat(4096)).unwrap();
    std::fs::write(folder.path().join("password"), "secret").unwrap();
    let path = folder.path().join("parlor.toml");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port();
    let text = format!(
        "[account.main]\njid = \"bot@localhost\"\npassword_file = \"password\"\nserver = \"127.0.0.1:{port}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path, &parlor_config::Overrides::default()).unwrap();
    let mut findings = Findings::default();
    connection(config.accounts.values().next().unwrap(), folder.path(), &mut findings).unwrap();
    let [found] = &findings.findings[..] else { panic!("{} findings", findings.findings.len()) };
    assert_eq!(found.state, State::Broken);
    assert!(found.says.contains("parlor.db cannot be used"), "{}", found.says);
    assert!(server.accept().is_err(), "nobody connects");
}

#[test]
fn a_disk_is_told_of_before_it_is_full() {
    let mut findings = Findings::default();
    for room in [0, NO_ROOM - 1, NO_ROOM, LITTLE_ROOM - 1, LITTLE_ROOM] {
        disk::free(room, Path::new("/srv"), &mut findings);
    }
    let states: Vec<_> = findings.findings.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Broken, State::Broken, State::Warning, State::Warning, State::Fine]);
    let first = &findings.findings[0];
    assert_eq!(first.remedy.as_deref(), Some("make room: nothing can be stored or installed"));
    assert!(first.says.ends_with(" free at /srv"), "{}", first.says);
}

#[test]
fn keys_that_nobody_can_fetch_and_messages_that_nobody_could_read_are_told_of() {
    let account = |published: bool, undecryptable: u64| -> Account {
        serde_json::from_value(serde_json::json!({
            "name": "main", "jid": "bot@example.org/parlor", "connection": "connected",
            "encryption": {
                "omemo": true, "otr": true, "trust": "blind", "device": 27_183, "published": published, "known": 0,
                "decrypted": 0, "undecryptable": undecryptable, "encrypted": 0,
            },
        }))
        .unwrap()
    };
    let states = |account: &Account| {
        let mut findings = Findings::default();
        encryption(account, &mut findings);
        findings.findings.iter().map(|one| one.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&account(true, 0)), [State::Fine]);
    assert_eq!(states(&account(false, 0)), [State::Fine, State::Warning]);
    assert_eq!(states(&account(false, 3)), [State::Fine, State::Warning, State::Warning]);
    let mut offline = account(false, 0);
    offline.connection = "retrying".to_owned();
    assert_eq!(states(&offline), [State::Fine], "the connection is the problem, and is told of elsewhere");
    offline.encryption = None;
    assert!(states(&offline).is_empty());
}
