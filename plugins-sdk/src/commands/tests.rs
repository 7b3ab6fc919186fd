//! Tests whom a command is handed to, how one is declared, and how its arguments are read.

use super::*;
use crate::command_handlers::newest;

#[test]
fn a_command_is_known_by_the_name_that_the_host_gives() {
    assert_eq!(key("Say"), "say");
    assert_eq!(key("echo.Say"), "say");
}

fn command(values: Vec<(String, wit::Value)>) -> Command {
    let message = crate::types::Message {
        labels: Vec::new(),
        encryption: None,
        device_trust: None,
        id: None,
        stanza_id: None,
        origin_id: None,
        chat: String::new(),
        from: String::new(),
        to: String::new(),
        nick: None,
        occupant_id: None,
        kind: "chat".to_owned(),
        body: None,
        bodies: Vec::new(),
        subject: None,
        thread: None,
        at: String::new(),
        delayed: false,
        command: None,
        cut: None,
        carbon: None,
        own: false,
        extensions: None,
        error: None,
        xml: None,
    };
    Command { name: "roll".to_owned(), args: Vec::new(), message, values, form: None }
}

#[test]
fn an_argument_is_read_by_its_name_and_its_kind() {
    let value = |name: &str, value| (name.to_owned(), value);
    let given = command(vec![
        value("count", wit::Value::Integer(-3)),
        value("colour", wit::Value::Text("red".to_owned())),
        value("wait", wit::Value::Duration(1500)),
        value("day", wit::Value::Date("2026-12-24".to_owned())),
        value("at", wit::Value::Time("18:30:00".to_owned())),
        value("secret", wit::Value::Flag(true)),
        value("loud", wit::Value::Flag(false)),
    ]);
    assert_eq!(given.integer("count"), Ok(-3));
    assert_eq!(given.text("colour"), Ok("red"));
    assert_eq!(given.duration("wait"), Ok(Duration::from_millis(1500)));
    assert_eq!(given.date("day"), Ok(jiff::civil::date(2026, 12, 24)));
    assert_eq!(given.time("at"), Ok(jiff::civil::time(18, 30, 0, 0)));
    assert_eq!(given.time("day"), Err(Error::invalid("day", "is of another kind than time")));
    assert_eq!((given.flag("secret"), given.flag("loud"), given.flag("nobody")), (true, false, false));
    assert_eq!((given.has("count"), given.has("sides")), (true, false));
    assert_eq!(given.integer("sides"), Err(Error::invalid("sides", "was left out, and has no default")));
    assert_eq!(given.jid("count"), Err(Error::invalid("count", "is of another kind than address")));
}

#[test]
fn a_declaration_has_its_arguments_in_their_order() {
    let declared = declare("roll", "Rolls dice").integer("count", 1..100).default("1").flag("secret").named();
    let declared = declared.choice("colour", ["red"]).allow(Role::Moderator).room_cooldown(Duration::from_secs(2));
    let arguments = &declared.wanted.arguments;
    assert_eq!(arguments[0].kind, Kind::Integer((1, 99)));
    assert_eq!((arguments[0].optional, arguments[0].default.as_deref()), (true, Some("1")));
    assert!(arguments[1].named && arguments[1].optional && !arguments[2].optional);
    assert_eq!(declared.wanted.allow, [Allowed::Role("moderator".to_owned())]);
    assert_eq!((declared.wanted.room_cooldown, declared.wanted.place.as_deref()), (2000, None));
    for (place, written) in [(Place::Room, "room"), (Place::Private, "private")] {
        assert_eq!(declare("roll", "").place(place).wanted.place.as_deref(), Some(written));
    }
    let paged = declare("ask", "Asks").text("question").text("answer").page("Answers").wanted.arguments;
    assert_eq!((paged[0].page.as_deref(), paged[1].page.as_deref()), (None, Some("Answers")));
    assert_eq!(declare("roll", "").default("1").text("x").misplaced, Some("default"));
}

#[test]
fn what_the_host_has_taken_is_called_whatever_became_of_others_at_the_same_time() {
    let nothing: Handler = Rc::new(|_| Box::pin(async { Ok(()) }));
    let begin = || begin("roll", Rc::clone(&nothing));
    let taken = |number: u64| keep("roll", move |other| other >= number);
    let refused = |number: u64| keep("roll", move |other| other != number);
    let called = || newest("roll").map(|(number, _)| number);
    let first = begin();
    refused(first);
    assert_eq!(called(), None);
    let first = begin();
    taken(first);

    let (second, third) = (begin(), begin());
    assert_eq!(called(), Some(third), "it may be given before the host has answered");
    refused(second);
    refused(third);
    assert_eq!(called(), Some(first));
    let (second, third) = (begin(), begin());
    refused(third);
    taken(second);
    assert_eq!(called(), Some(second));
    let (fourth, fifth) = (begin(), begin());
    taken(fifth);
    refused(fourth);
    assert_eq!(called(), Some(fifth));
}
