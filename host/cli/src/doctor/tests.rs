//! Tests of the report, and of the checks that need no server.

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
        free(room, Path::new("/srv"), &mut findings);
    }
    let states: Vec<_> = findings.findings.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Broken, State::Broken, State::Warning, State::Warning, State::Fine]);
    let first = &findings.findings[0];
    assert_eq!(first.remedy.as_deref(), Some("make room: nothing can be stored or installed"));
    assert!(first.says.ends_with(" free at /srv"), "{}", first.says);
}
