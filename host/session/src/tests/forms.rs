//! Commands of plugins that people give by forms (XEP-0050).

use parlor_stanza::types::{AdHocAnswer, AdHocField, AdHocRefusal, AdHocStage, COMMANDS, Reply};

use super::commands::{ROMEO_HOME, granted, plugin};
use super::declared::{argument, declaration, only};
use super::*;
use crate::command_rules::People;

const JULIET_HOME: &str = "juliet@example.org/home";

impl TestSession {
    /// Returns the only reply since the last call.
    fn replied(&mut self) -> Reply {
        let mut replies: Vec<_> = std::mem::take(&mut self.sent)
            .into_iter()
            .filter_map(|stanza| match stanza {
                Outgoing::Reply { reply, .. } => Some(reply),
                _ => None,
            })
            .collect();
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies.remove(0)
    }

    /// Takes a step of a command.
    fn step(&mut self, from: &str, node: &str, attributes: &str, fields: &[(&str, &str)]) -> Reply {
        let field = |(name, value): &(&str, &str)| format!("<field var='{name}'><value>{value}</value></field>");
        let fields: String = fields.iter().map(field).collect();
        self.hear_xml(&format!(
            "<iq xmlns='jabber:client' type='set' id='1' from='{from}'><command xmlns='{COMMANDS}' node='{node}' \
             {attributes}><x xmlns='jabber:x:data' type='submit'>{fields}</x></command></iq>"
        ));
        self.replied()
    }

    /// Begins a command that has a form, and returns its session and its fields.
    fn form(&mut self, from: &str, node: &str) -> (String, Vec<AdHocField>) {
        match self.step(from, node, "action='execute'", &[]) {
            Reply::AdHoc(answer) => match *answer {
                AdHocAnswer { session, stage: AdHocStage::Fill { fields, wrong: None, .. }, .. } => (session, fields),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn items(&mut self, from: &str) -> Option<Vec<(String, String)>> {
        self.hear_xml(&format!(
            "<iq xmlns='jabber:client' type='get' id='1' from='{from}'>\
             <query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/></iq>"
        ));
        match self.replied() {
            Reply::Commands { items, .. } => Some(items),
            _ => None,
        }
    }
}

fn stage(reply: Reply) -> AdHocStage {
    match reply {
        Reply::AdHoc(answer) => answer.stage,
        other => panic!("{other:?}"),
    }
}

/// Returns a session with a command for everybody and one for Juliet.
fn with_commands() -> TestSession {
    let mut test = TestSession::connected(Settings::default());
    let (dice, kick) = (plugin("dice"), only("kick", People::Jid(bare("juliet@example.org"))));
    let colour = Argument {
        default: Some("RED".to_owned()),
        help: "Which dice".to_owned(),
        ..argument("colour", Kind::Choice(vec!["red".to_owned(), "green".to_owned()]))
    };
    let arguments = vec![argument("count", Kind::Integer(1, 6)), colour, argument("secret", Kind::Flag)];
    test.declare(&dice, Declaration { arguments, ..declaration("roll") }).unwrap();
    test.declare(&dice, kick).unwrap();
    // One whose plugin may not answer, and one without declared arguments.
    test.declare(&granted("silent", ""), declaration("silent")).unwrap();
    test.add(&dice, "say").unwrap();
    test.sent.clear();
    test.forget();
    test
}

/// Row 151.
#[test]
fn people_are_offered_what_they_may_give() {
    let mut test = with_commands();
    let named = |node: &str| (node.to_owned(), "Does it".to_owned());
    assert_eq!(test.items(ROMEO_HOME), Some(vec![named("dice.roll")]));
    assert_eq!(test.items(JULIET_HOME), Some(vec![named("dice.kick"), named("dice.roll")]));
    // An occupant is nobody with an address, and this very client is no person.
    test.in_room();
    test.sent.clear();
    assert_eq!(test.items(&format!("{ROOM}/juliet")), None);
    assert_eq!(test.items("bot@example.org/parlor"), None);
    for (from, node) in [(ROMEO_HOME, "dice.kick"), (ROMEO_HOME, "dice.say"), (ROMEO_HOME, "silent.silent")] {
        let refused = test.step(from, node, "", &[]);
        assert_eq!(refused, Reply::Refuse { kind: "cancel", condition: "service-unavailable" }, "{node}");
    }
}

/// Row 150.
#[test]
fn a_form_is_made_of_the_arguments_and_its_values_are_read_as_those_in_a_chat() {
    let mut test = with_commands();
    let (session, fields) = test.form(ROMEO_HOME, "dice.roll");
    let kinds: Vec<_> = fields.iter().map(|one| (one.var.as_str(), one.kind, one.required)).collect();
    let expected = [("count", "text-single", true), ("colour", "list-single", false), ("secret", "boolean", false)];
    assert_eq!(kinds, expected);
    assert_eq!((fields[1].value.as_deref(), fields[1].label.as_str()), (Some("red"), "Which dice"));
    let go_on = format!("sessionid='{session}' action='complete'");
    let wrong = stage(test.step(ROMEO_HOME, "dice.roll", &go_on, &[("count", "7")]));
    let AdHocStage::Fill { wrong: Some(wrong), fields, .. } = wrong else { panic!("{wrong:?}") };
    assert_eq!(wrong, "COUNT: `7` is not a whole number from 1 to 6.");
    assert_eq!(fields[0].value.as_deref(), Some("7"), "what was filled in stays");
    assert_eq!(test.count("command"), 0);
    let filled = [("count", "3"), ("colour", "green"), ("secret", "1"), ("other", "x")];
    let done = stage(test.step(ROMEO_HOME, "dice.roll", &go_on, &filled));
    assert_eq!(done, AdHocStage::Done { lines: vec!["done".to_owned()], failed: false });
    let Payload::Command { name, args, message, values } = test.last("command") else { panic!() };
    assert_eq!((&**name, args.join(" ")), ("roll", "3 green --secret".to_owned()));
    assert_eq!(
        (message.from.to_string(), message.body.as_deref()),
        (ROMEO_HOME.to_owned(), Some("!roll 3 green --secret"))
    );
    assert_eq!((message.chat.to_string(), message.kind), (ROMEO.to_owned(), MessageKind::Chat));
    let expected = [
        ("count".to_owned(), CommandValue::Integer(3)),
        ("colour".to_owned(), CommandValue::Text("green".to_owned())),
        ("secret".to_owned(), CommandValue::Flag(true)),
    ];
    assert_eq!(*values, expected);
    // It is over.
    let again = test.step(ROMEO_HOME, "dice.roll", &go_on, &filled);
    assert_eq!(again, Reply::RefuseAdHoc(AdHocRefusal::BadSession));
}

/// Row 151.
#[test]
fn a_form_of_another_client_is_refused_and_one_may_be_cancelled() {
    let mut test = with_commands();
    let (session, _) = test.form(ROMEO_HOME, "dice.roll");
    let go_on = format!("sessionid='{session}'");
    for from in [JULIET_HOME, "romeo@example.org/phone"] {
        let refused = test.step(from, "dice.roll", &go_on, &[("count", "3")]);
        assert_eq!(refused, Reply::RefuseAdHoc(AdHocRefusal::BadSession), "{from}");
    }
    let cancelled = stage(test.step(ROMEO_HOME, "dice.roll", &format!("{go_on} action='cancel'"), &[]));
    assert_eq!(cancelled, AdHocStage::Cancelled);
    let (session, _) = test.form(ROMEO_HOME, "dice.roll");
    test.wait(600);
    test.sent.clear();
    let late = test.step(ROMEO_HOME, "dice.roll", &format!("sessionid='{session}'"), &[("count", "3")]);
    assert_eq!(late, Reply::RefuseAdHoc(AdHocRefusal::SessionExpired));
    assert_eq!(test.count("command"), 0);
}

/// Row 151. The cooldown is the same as in a chat.
#[test]
fn one_without_arguments_needs_no_form_and_its_cooldown_counts() {
    let mut test = TestSession::connected(Settings::default());
    let stop = Declaration { person_cooldown: Duration::from_mins(1), ..declaration("stop") };
    test.declare(&plugin("dice"), stop).unwrap();
    test.sent.clear();
    let done = stage(test.step(ROMEO_HOME, "dice.stop", "", &[]));
    assert!(matches!(done, AdHocStage::Done { failed: false, .. }));
    let again = stage(test.step("romeo@example.org/phone", "dice.stop", "", &[]));
    let AdHocStage::Done { lines, failed: true } = again else { panic!("{again:?}") };
    assert_eq!(lines, ["You can give !stop again in 1m."]);
    test.say("!stop");
    assert_eq!(test.count("command"), 1);
}
