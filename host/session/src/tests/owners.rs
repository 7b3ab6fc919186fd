//! The people who may give commands to the host itself.

use parlor_stanza::types::COMMANDS;

use super::*;

const COMMAND: &str = "<command xmlns='http://jabber.org/protocol/commands' node='disable' action='execute'/>";

/// Returns the session of an account whose owner is Juliet.
fn owned() -> TestSession {
    let mut test = TestSession::new(Settings::default());
    test.session.set_owners(vec![bare("juliet@example.org")]);
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test
}

#[test]
fn only_an_owner_at_a_client_gives_commands() {
    let mut test = owned();
    let mut given = |from: &str| {
        test.hear_xml(&format!("<iq xmlns='jabber:client' type='set' id='1' {from}>{COMMAND}</iq>"));
        test.lines()
    };
    assert_eq!(given("from='juliet@example.org/balcony'"), ["command disable"]);
    for other in [
        "from='juliet@example.org'",
        "from='juliet@example.org.evil.example/balcony'",
        "from='juliet@evil.example/juliet@example.org'",
        "from='balcony@example.org/juliet'",
        "from='room@conference.example.org/juliet@example.org'",
        "from='example.org'",
        "",
    ] {
        let lines = given(other);
        assert!(!lines.is_empty() && lines.iter().all(|line| !line.starts_with("command")), "{other}: {lines:?}");
    }
}

/// A plugin that may send IQs may also send them to this very client, and must not give commands that way.
#[test]
fn what_this_very_client_sends_is_no_command_of_an_owners() {
    let mut test = owned();
    test.session.set_owners(vec![bare("bot@example.org")]);
    test.forget();
    let mut given = |client: &str| {
        test.hear_xml(&format!("<iq xmlns='jabber:client' type='set' id='1' from='{client}'>{COMMAND}</iq>"));
        test.lines()
    };
    assert_eq!(given("bot@example.org/telephone"), ["command disable"]);
    let lines = given("bot@example.org/parlor");
    assert!(!lines.is_empty() && lines.iter().all(|line| !line.starts_with("command")), "{lines:?}");
}

#[test]
fn an_owners_client_learns_what_the_nodes_are_and_nobody_elses() {
    let mut test = owned();
    let mut of = |what: &str, from: &str, node: &str| {
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#{what}' node='{node}'/>");
        test.hear_xml(&format!("<iq xmlns='jabber:client' type='get' id='1' from='{from}'>{query}</iq>"));
        test.lines().concat()
    };
    // A client that looks for items below it, such as a service browser, finds an empty list.
    let below = of("items", "juliet@example.org/balcony", "restart");
    assert!(!below.is_empty() && !below.contains("item-not-found"), "{below}");
    assert!(of("items", "romeo@example.org/garden", "restart").contains("item-not-found"));
    let mut asked = |from: &str, node: &str| of("info", from, node);
    let list = asked("juliet@example.org/balcony", COMMANDS);
    assert!(list.contains("\"command-list\""), "{list}");
    let one = asked("juliet@example.org/balcony", "restart");
    assert!(one.contains("\"command-node\"") && one.contains("jabber:x:data"), "{one}");
    for node in [COMMANDS, "restart"] {
        let refused = asked("romeo@example.org/garden", node);
        assert!(refused.contains("item-not-found"), "{refused}");
    }
    assert!(asked("juliet@example.org/balcony", "no such command").contains("item-not-found"));
}

#[test]
fn owners_are_told_once_the_account_is_there_and_it_never_writes_to_itself() {
    let mut test = TestSession::new(Settings::default());
    test.session.set_owners(vec![bare("juliet@example.org"), bare("bot@example.org")]);
    test.run(Session::plugins_initialized);
    test.run(|session, now, effects| tell_owners(session, "too early", now, effects));
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.run(|session, now, effects| tell_owners(session, "hear", now, effects));
    assert_eq!(test.lines(), ["> chat to juliet@example.org"]);
    let Some(Outgoing::Message { draft, .. }) = test.sent.last() else { panic!("{:?}", test.sent) };
    assert_eq!(draft.body.as_deref(), Some("hear"));
}
