//! Commands of plugins that people give by forms (XEP-0050).

use parlor_base::id::PluginId;
use parlor_stanza::types::{
    AdHocAnswer, AdHocField, AdHocRefusal, AdHocStage, COMMANDS, FormStep, LONGEST_VALUE, Reply,
};

use super::commands::{ROMEO_HOME, granted, plugin};
use super::declared::{argument, declaration, only};
use super::*;
use crate::command_rules::{CommandPlace, People};
use crate::router::{Router, Shadow};
use crate::set_host_clients;

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

    pub(super) fn items(&mut self, from: &str) -> Option<Vec<(String, String)>> {
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
    // One command's plugin may not answer, and one has no declared arguments.
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
    // An occupant has no address of a person, and this session is not a person.
    test.in_room();
    test.sent.clear();
    assert_eq!(test.items(&format!("{ROOM}/juliet")), None);
    assert_eq!(test.items("bot@example.org/parlor"), None);
    for (from, node) in [(ROMEO_HOME, "dice.kick"), (ROMEO_HOME, "dice.say"), (ROMEO_HOME, "silent.silent")] {
        let refused = test.step(from, node, "", &[]);
        assert_eq!(refused, Reply::Refuse { kind: "cancel", condition: "service-unavailable" }, "{node}");
    }
}

/// A plugin there that may send requests would have the commands of the owner.
#[test]
fn the_hosts_own_client_at_an_owners_address_is_offered_no_form_for_owners() {
    let mut test = TestSession::connected(Settings::default());
    test.session.set_owners(vec![bare("juliet@example.org")]);
    let juliets: Jid = "juliet@example.org/parlor".parse().unwrap();
    set_host_clients(&mut test.session, move |client| *client == juliets);
    test.declare(&plugin("dice"), only("wipe", People::Owners)).unwrap();
    test.sent.clear();
    let mut offers = |from: &str| test.items(from).into_iter().flatten().any(|(node, _)| node == "dice.wipe");
    assert!(offers(JULIET_HOME) && !offers("juliet@example.org/parlor"));
}

/// Row 151. A form is private.
#[test]
fn a_command_for_rooms_has_no_form_and_a_private_one_has() {
    let mut test = TestSession::connected(Settings::default());
    let dice = plugin("dice");
    for (name, place) in [("topic", CommandPlace::Room), ("vote", CommandPlace::Private)] {
        test.declare(&dice, Declaration { place: Some(place), ..declaration(name) }).unwrap();
    }
    test.sent.clear();
    assert_eq!(test.items(ROMEO_HOME), Some(vec![("dice.vote".to_owned(), "Does it".to_owned())]));
    let refused = test.step(ROMEO_HOME, "dice.topic", "", &[]);
    assert_eq!(refused, Reply::Refuse { kind: "cancel", condition: "service-unavailable" });
    let done = stage(test.step(ROMEO_HOME, "dice.vote", "", &[]));
    assert!(matches!(done, AdHocStage::Done { failed: false, .. }), "{done:?}");
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
    let Payload::Command { name, args, message, values, form: Some(form) } = test.last("command") else { panic!() };
    assert_eq!(**form, session);
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

#[test]
fn a_flag_in_a_form_may_be_a_word_and_clients_get_it_back_as_a_boolean() {
    let mut test = with_commands();
    for (written, again, value) in [("yes", "1", true), ("NO", "0", false), ("true", "1", true), ("0", "0", false)] {
        let (session, _) = test.form(ROMEO_HOME, "dice.roll");
        let go_on = format!("sessionid='{session}' action='complete'");
        let wrong = stage(test.step(ROMEO_HOME, "dice.roll", &go_on, &[("count", "7"), ("secret", written)]));
        let AdHocStage::Fill { fields, .. } = wrong else { panic!("{wrong:?}") };
        assert_eq!(fields[2].value.as_deref(), Some(again), "{written}");
        let done = stage(test.step(ROMEO_HOME, "dice.roll", &go_on, &[("count", "3"), ("secret", written)]));
        assert!(matches!(done, AdHocStage::Done { failed: false, .. }), "{done:?}");
        let Payload::Command { values, .. } = test.last("command") else { panic!() };
        assert_eq!(values.last(), Some(&("secret".to_owned(), CommandValue::Flag(value))), "{written}");
    }
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

/// Row 152. XEP-0004, section 3.1: otherwise a command whose arguments may all be left out would be given.
#[test]
fn a_form_that_a_client_gives_back_as_cancelled_gives_no_command() {
    let mut test = with_pages();
    let (session, _) = test.form(ROMEO_HOME, "polls.ask");
    for action in ["", "action='execute'", "action='complete'"] {
        let (session, _) = test.form(ROMEO_HOME, "polls.ask");
        test.hear_xml(&format!(
            "<iq xmlns='jabber:client' type='set' id='1' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' \
             node='polls.ask' sessionid='{session}' {action}><x xmlns='jabber:x:data' type='cancel'/></command></iq>"
        ));
        assert_eq!(stage(test.replied()), AdHocStage::Cancelled, "{action}");
        let over = test.step(ROMEO_HOME, "polls.ask", &format!("sessionid='{session}'"), &[("question", "x")]);
        assert_eq!(over, Reply::RefuseAdHoc(AdHocRefusal::BadSession));
    }
    let go_on = format!("sessionid='{session}'");
    let other = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &[("question", "x")]));
    assert!(matches!(other, AdHocStage::Fill { step: FormStep { number: 2, of: 3 }, .. }), "{other:?}");
    assert_eq!(test.count("command"), 0);
}

/// Row 152. It is not as if it had been left out.
#[test]
fn a_value_that_is_too_long_is_refused_and_clients_may_send_fields_of_their_own() {
    let mut test = with_pages();
    let (session, _) = test.form(ROMEO_HOME, "polls.ask");
    let go_on = format!("sessionid='{session}'");
    let _ = test.step(ROMEO_HOME, "polls.ask", &go_on, &[("question", "Tea?")]);
    let long = "x".repeat(LONGEST_VALUE + 1);
    let wrong = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &[("first", "mint"), ("second", &long)]));
    let AdHocStage::Fill { wrong: Some(wrong), fields, step: FormStep { number: 2, .. }, .. } = wrong else {
        panic!("{wrong:?}")
    };
    assert_eq!(wrong, "SECOND is longer than 4096 bytes.");
    assert_eq!(fields[0].value.as_deref(), Some("mint"), "the others stay");
    // Some clients send what they sent before as well.
    let all = [("question", "Tea?"), ("second", &*long)];
    let wrong = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &all));
    let AdHocStage::Fill { wrong: Some(wrong), .. } = wrong else { panic!("{wrong:?}") };
    assert_eq!(wrong, "SECOND is longer than 4096 bytes.");
    let names: Vec<_> = (0..40).map(|number| format!("own-{number}")).collect();
    let mut filled: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    filled.push(("second", &long[1..]));
    let third = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &filled));
    assert!(matches!(third, AdHocStage::Fill { step: FormStep { number: 3, .. }, .. }), "{third:?}");
    let flag = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &[("secret", "maybe")]));
    let AdHocStage::Fill { wrong: Some(wrong), .. } = flag else { panic!("{flag:?}") };
    assert_eq!(wrong, "--secret: `maybe` is not yes or no.");
    let done = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &[("secret", "No")]));
    assert!(matches!(done, AdHocStage::Done { failed: false, .. }), "{done:?}");
    let Payload::Command { values, .. } = test.last("command") else { panic!() };
    let expected = [
        ("question".to_owned(), CommandValue::Text("Tea?".to_owned())),
        ("second".to_owned(), CommandValue::Text(long[1..].to_owned())),
        ("secret".to_owned(), CommandValue::Flag(false)),
    ];
    assert_eq!(*values, expected);
}

/// Row 152. Each field is for one value (XEP-0004, section 3.3), and none of several is the one that was meant.
#[test]
fn several_values_of_a_field_are_refused_and_the_form_stays_open() {
    let mut test = TestSession::connected(Settings::default());
    let arguments = vec![argument("name", Kind::Text), argument("why", Kind::Rest)];
    test.declare(&plugin("polls"), Declaration { arguments, ..declaration("ask") }).unwrap();
    test.sent.clear();
    let (session, _) = test.form(ROMEO_HOME, "polls.ask");
    let go_on = format!("sessionid='{session}'");
    let lines = "because</value><value>of this";
    for fields in [&[("name", "tea"), ("why", lines)][..], &[("name", "tea"), ("why", "a"), ("why", "b"), ("why", "b")]]
    {
        let wrong = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, fields));
        let AdHocStage::Fill { wrong: Some(wrong), fields, .. } = wrong else { panic!("{wrong:?}") };
        assert_eq!(wrong, "WHY has more than one value.");
        assert_eq!(fields[0].value.as_deref(), Some("tea"), "the others stay");
    }
    // The same value twice is one.
    let fields = [("name", "tea"), ("name", "tea"), ("why", "because</value><value>because")];
    let done = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &fields));
    assert!(matches!(done, AdHocStage::Done { failed: false, .. }), "{done:?}");
}

/// Row 152.
#[test]
fn the_values_of_a_page_are_not_longer_than_a_form_that_goes_back() {
    let mut test = TestSession::connected(Settings::default());
    let names: Vec<_> = (0..16).map(|number| format!("field-{number}")).collect();
    let optional = |name: &String| Argument { optional: true, ..argument(name, Kind::Text) };
    let arguments = names.iter().map(optional).collect();
    test.declare(&plugin("polls"), Declaration { arguments, ..declaration("ask") }).unwrap();
    test.sent.clear();
    let (session, _) = test.form(ROMEO_HOME, "polls.ask");
    let (go_on, long) = (format!("sessionid='{session}'"), "x".repeat(LONGEST_VALUE));
    let filled: Vec<_> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
    let wrong = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &filled[..9]));
    let AdHocStage::Fill { wrong: Some(wrong), fields, .. } = wrong else { panic!("{wrong:?}") };
    assert_eq!(wrong, "The fields of this page are longer than 32768 bytes together.");
    assert!(fields.iter().all(|field| field.value.is_none()), "they do not go back");
    let done = stage(test.step(ROMEO_HOME, "polls.ask", &go_on, &filled[..8]));
    assert!(matches!(done, AdHocStage::Done { failed: false, .. }), "{done:?}");
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

/// Returns a session with a command of three pages.
fn with_pages() -> TestSession {
    let mut test = TestSession::connected(Settings::default());
    let paged = |name: &str, kind: Kind, page: Option<&str>| {
        let page = page.map(str::to_owned);
        Argument { page, ..argument(name, kind) }
    };
    let arguments = vec![
        paged("question", Kind::Text, Some("What is asked")),
        Argument { optional: true, ..paged("first", Kind::Text, Some("Answers")) },
        Argument { optional: true, ..paged("second", Kind::Text, None) },
        paged("secret", Kind::Flag, Some("How")),
    ];
    test.declare(&plugin("polls"), Declaration { arguments, ..declaration("ask") }).unwrap();
    test.sent.clear();
    test.forget();
    test
}

/// Returns the title, the place and the fields with their values.
fn page(stage: AdHocStage) -> (String, FormStep, Vec<(String, Option<String>)>) {
    let AdHocStage::Fill { title, fields, wrong: None, step } = stage else { panic!("{stage:?}") };
    (title, step, fields.into_iter().map(|one| (one.var, one.value)).collect())
}

/// Row 152.
#[test]
fn a_form_of_several_pages_is_gone_through_and_back() {
    let mut test = with_pages();
    let (session, fields) = test.form(ROMEO_HOME, "polls.ask");
    assert_eq!(fields.iter().map(|one| one.var.as_str()).collect::<Vec<_>>(), ["question"]);
    let go = |action: &str| format!("sessionid='{session}' action='{action}'");
    // There is nothing before the first page, and more to fill in after it.
    for action in ["prev", "complete"] {
        let refused = test.step(ROMEO_HOME, "polls.ask", &go(action), &[("question", "Tea?")]);
        assert_eq!(refused, Reply::RefuseAdHoc(AdHocRefusal::BadAction), "{action}");
    }
    let wrong = stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("question", "")]));
    assert!(matches!(wrong, AdHocStage::Fill { wrong: Some(_), step: FormStep { number: 1, of: 3 }, .. }), "{wrong:?}");
    let first = [("question", "Tea?")];
    let (title, step, fields) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &first)));
    assert_eq!((title.as_str(), step), ("Answers", FormStep { number: 2, of: 3 }));
    assert_eq!(fields, [("first".to_owned(), None), ("second".to_owned(), None)]);
    // The first page comes twice: it does not count for the second one.
    let (_, step, _) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &first)));
    assert_eq!(step.number, 2);
    let second = [("first", "yes"), ("second", "no")];
    let (_, step, _) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &second)));
    assert_eq!(step.number, 3);
    let (_, step, fields) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("prev"), &[("secret", "1")])));
    let filled = [("first".to_owned(), Some("yes".to_owned())), ("second".to_owned(), Some("no".to_owned()))];
    assert_eq!((step.number, fields.as_slice()), (2, &filled[..]), "what was filled in stays");
    let (_, step, fields) =
        page(stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("first", "yes"), ("second", "maybe")])));
    assert_eq!((step.number, fields.as_slice()), (3, &[("secret".to_owned(), Some("1".to_owned()))][..]));
    assert_eq!(test.count("command"), 0);
    let done = stage(test.step(ROMEO_HOME, "polls.ask", &go("complete"), &[("secret", "1")]));
    assert_eq!(done, AdHocStage::Done { lines: vec!["done".to_owned()], failed: false });
    let Payload::Command { args, values, .. } = test.last("command") else { panic!() };
    assert_eq!((args.join(" "), values.len()), ("Tea? yes maybe --secret".to_owned(), 4));
    // It has ended: a repeated request is not carried out twice.
    let again = test.step(ROMEO_HOME, "polls.ask", &go("complete"), &[("secret", "1")]);
    assert_eq!(again, Reply::RefuseAdHoc(AdHocRefusal::BadSession));
    assert_eq!(test.count("command"), 1);
}

/// Row 152. XEP-0050, section 3.4: the last page does not offer it, and a step that comes twice gives no command.
#[test]
fn the_last_page_has_none_behind_it() {
    let mut test = with_pages();
    let (session, _) = test.form(ROMEO_HOME, "polls.ask");
    let go = |action: &str| format!("sessionid='{session}' action='{action}'");
    let _ = test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("question", "Tea?")]);
    let (_, step, _) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &[])));
    assert_eq!(step, FormStep { number: 3, of: 3 });
    let given: [&[(&str, &str)]; 2] = [&[], &[("secret", "1")]];
    for fields in given {
        let refused = test.step(ROMEO_HOME, "polls.ask", &go("next"), fields);
        assert_eq!(refused, Reply::RefuseAdHoc(AdHocRefusal::BadAction), "{fields:?}");
    }
    assert_eq!(test.count("command"), 0);
    let done = stage(test.step(ROMEO_HOME, "polls.ask", &go("execute"), &[]));
    assert!(matches!(done, AdHocStage::Done { failed: false, .. }), "{done:?}");
    assert_eq!(test.count("command"), 1);
}

/// Row 152. XEP-0050, section 3.5.1: it does not cancel the command.
#[test]
fn a_client_that_goes_back_may_give_back_its_form_as_cancelled() {
    let mut test = with_pages();
    let (session, _) = test.form(ROMEO_HOME, "polls.ask");
    let go = |action: &str| format!("sessionid='{session}' action='{action}'");
    let _ = test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("question", "Tea?")]);
    let _ = test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("first", "yes")]);
    test.hear_xml(&format!(
        "<iq xmlns='jabber:client' type='set' id='1' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' node='polls.ask' \
         {}><x xmlns='jabber:x:data' type='cancel'><field var='secret'><value>1</value></field></x></command></iq>",
        go("prev")
    ));
    let (_, step, fields) = page(stage(test.replied()));
    let filled = [("first".to_owned(), Some("yes".to_owned())), ("second".to_owned(), None)];
    assert_eq!((step.number, fields.as_slice()), (2, &filled[..]));
    let (_, step, fields) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("first", "yes")])));
    assert_eq!((step.number, fields.as_slice()), (3, &[("secret".to_owned(), None)][..]), "it was not filled in");
}

/// Row 152. A client may go back without sending the form, and a person may send a step twice.
#[test]
fn a_step_without_the_form_of_its_page_changes_nothing_that_was_filled_in() {
    let mut test = with_pages();
    let (session, _) = test.form(ROMEO_HOME, "polls.ask");
    let go = |action: &str| format!("sessionid='{session}' action='{action}'");
    let _ = test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("question", "Tea?")]);
    let _ = test.step(ROMEO_HOME, "polls.ask", &go("next"), &[("first", "yes"), ("second", "no")]);
    let asked = [("question".to_owned(), Some("Tea?".to_owned()))];
    let filled = [("first".to_owned(), Some("yes".to_owned())), ("second".to_owned(), Some("no".to_owned()))];
    for (action, number, expected) in [
        ("prev", 2, &filled[..]),
        ("prev", 1, &asked),
        ("next", 2, &filled),
        ("next", 3, &[("secret".to_owned(), None)]),
    ] {
        test.hear_xml(&format!(
            "<iq xmlns='jabber:client' type='set' id='1' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' \
             node='polls.ask' {}/></iq>",
            go(action)
        ));
        let (_, step, fields) = page(stage(test.replied()));
        assert_eq!((step.number, fields.as_slice()), (number, expected), "{action}");
    }
    // The step back from the third page comes twice: it is one step, and the second page is not emptied by it.
    for _ in 0..2 {
        let (_, step, fields) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("prev"), &[("secret", "1")])));
        assert_eq!((step.number, fields.as_slice()), (2, &filled[..]));
    }
    // A form that has come empty was emptied.
    let (_, step, _) = page(stage(test.step(ROMEO_HOME, "polls.ask", &go("next"), &[])));
    assert_eq!(step.number, 3);
    let _ = test.step(ROMEO_HOME, "polls.ask", &go("complete"), &[]);
    let Payload::Command { args, .. } = test.last("command") else { panic!() };
    assert_eq!(args.join(" "), "Tea?");
}

/// Row 160: hooks are told to whom an answer goes.
#[test]
fn the_client_of_a_form_is_found_for_the_plugin_that_is_to_answer() {
    let mut test = with_commands();
    test.is_at_work = true;
    let (session, _) = test.form(ROMEO_HOME, "dice.roll");
    let find = |test: &mut TestSession, plugin: &str| {
        let mut receiver = test.ask(FindForm { plugin: plugin.parse().unwrap(), form: session.clone() });
        got(&mut receiver).unwrap()
    };
    assert!(matches!(find(&mut test, "dice"), Err(CallError::NotFound(_))), "it is not filled in");
    let fields = "<field var='count'><value>3</value></field>";
    test.hear_xml(&format!(
        "<iq xmlns='jabber:client' type='set' id='2' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' \
         node='dice.roll' sessionid='{session}'><x xmlns='jabber:x:data' type='submit'>{fields}</x></command></iq>"
    ));
    assert_eq!(find(&mut test, "dice").unwrap().to_string(), ROMEO_HOME);
    assert!(matches!(find(&mut test, "other"), Err(CallError::NotFound(_))));
}

/// Row 152.
#[test]
fn a_plugin_answers_in_the_form_and_tells_of_its_progress() {
    let mut test = with_commands();
    test.is_at_work = true;
    let dice: PluginId = "dice".parse().unwrap();
    let answer = |test: &mut TestSession, plugin: &PluginId, form: &str, words: &str, more: bool| {
        let (plugin, form) = (plugin.clone(), form.to_owned());
        let mut receiver = test.ask(AnswerForm { plugin, form, text: words.to_owned(), more });
        got(&mut receiver).unwrap()
    };
    let begin = |test: &mut TestSession| {
        let (session, _) = test.form(ROMEO_HOME, "dice.roll");
        let fields = "<field var='count'><value>3</value></field>";
        test.hear_xml(&format!(
            "<iq xmlns='jabber:client' type='set' id='2' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' \
             node='dice.roll' sessionid='{session}'><x xmlns='jabber:x:data' type='submit'>{fields}</x></command></iq>"
        ));
        session
    };
    let session = begin(&mut test);
    assert!(test.sent.is_empty(), "the plugin has not answered");
    let go_on = format!("sessionid='{session}'");
    let twice = stage(test.step(ROMEO_HOME, "dice.roll", &go_on, &[("count", "3")]));
    assert!(matches!(twice, AdHocStage::AtWork { .. }), "{twice:?}");
    assert_eq!(test.count("command"), 1, "sent twice, and given once");
    answer(&mut test, &dice, &session, "Rolling", true).unwrap();
    let other: PluginId = "other".parse().unwrap();
    assert!(matches!(answer(&mut test, &other, &session, "x", false), Err(CallError::NotFound(_))));
    answer(&mut test, &dice, &session, "4\n5", false).unwrap();
    let done = AdHocStage::Done { lines: vec!["4".to_owned(), "5".to_owned()], failed: false };
    assert_eq!(stage(test.replied()), done);
    assert!(matches!(answer(&mut test, &dice, &session, "6", false), Err(CallError::NotFound(_))));
    test.returns(&session, true);
    assert!(test.sent.is_empty());

    // A slow command: the person is notified of it, and asks again.
    let session = begin(&mut test);
    answer(&mut test, &dice, &session, "Rolling", true).unwrap();
    test.wait(5);
    let at_work = AdHocStage::AtWork { note: "Rolling".to_owned() };
    assert_eq!(stage(test.replied()), at_work);
    test.returns(&session, false);
    assert!(test.sent.is_empty());
    let go_on = format!("sessionid='{session}'");
    let failed = stage(test.step(ROMEO_HOME, "dice.roll", &go_on, &[]));
    assert!(matches!(failed, AdHocStage::Done { failed: true, .. }), "{failed:?}");

    // A cancelled command: the waiting request is answered, too.
    let session = begin(&mut test);
    test.hear_xml(&format!(
        "<iq xmlns='jabber:client' type='set' id='3' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' \
         node='dice.roll' action='cancel' sessionid='{session}'/></iq>"
    ));
    let stages = std::mem::take(&mut test.sent).into_iter().map(|stanza| match stanza {
        Outgoing::Reply { reply, .. } => stage(reply),
        other => panic!("{other:?}"),
    });
    let stages: Vec<_> = stages.collect();
    assert_eq!(stages, [AdHocStage::Cancelled, AdHocStage::Cancelled]);
    assert!(matches!(answer(&mut test, &dice, &session, "6", false), Err(CallError::NotFound(_))));
}

/// Row 152. Every request is answered, however long its id is.
#[test]
fn a_request_whose_id_is_too_long_to_be_kept_is_answered_at_once() {
    let mut test = with_commands();
    test.is_at_work = true;
    let (session, _) = test.form(ROMEO_HOME, "dice.roll");
    let id = "x".repeat(2_000);
    test.hear_xml(&format!(
        "<iq xmlns='jabber:client' type='set' id='{id}' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' node='dice.roll' \
         sessionid='{session}'><x xmlns='jabber:x:data' type='submit'><field var='count'><value>3</value></field></x>\
         </command></iq>"
    ));
    assert!(matches!(stage(test.replied()), AdHocStage::AtWork { .. }));
    assert_eq!(test.count("command"), 1);
}

/// Row 152.
#[test]
fn what_a_plugin_said_last_is_the_answer_where_it_says_nothing_more() {
    let mut test = with_commands();
    test.is_at_work = true;
    let (session, _) = test.form(ROMEO_HOME, "dice.roll");
    test.hear_xml(&format!(
        "<iq xmlns='jabber:client' type='set' id='2' from='{ROMEO_HOME}'><command xmlns='{COMMANDS}' node='dice.roll' \
         sessionid='{session}'><x xmlns='jabber:x:data' type='submit'><field var='count'><value>3</value></field></x>\
         </command></iq>"
    ));
    let answer =
        AnswerForm { plugin: "dice".parse().unwrap(), form: session.clone(), text: "Rolled".to_owned(), more: true };
    let mut receiver = test.ask(answer);
    got(&mut receiver).unwrap().unwrap();
    test.returns(&session, true);
    let done = AdHocStage::Done { lines: vec!["Rolled".to_owned()], failed: false };
    assert_eq!(stage(test.replied()), done);
}

/// A version that starts gets no events, and may fail.
#[test]
fn while_another_version_starts_forms_are_those_of_the_one_that_runs() {
    let mut test = TestSession::connected(Settings::default());
    let (old, new, router) = (plugin("dice"), plugin("dice"), Router::default());
    let named = |node: &str| (node.to_owned(), "Does it".to_owned());
    test.declare(&old, declaration("roll")).unwrap();
    router.shadow(&new.mailbox, Shadow::On);
    test.session.instance_successor(new.instance, old.instance);
    for name in ["roll", "throw"] {
        test.declare(&new, declaration(name)).unwrap();
    }
    let gives = |test: &mut TestSession| {
        test.sent.clear();
        let offered = test.items(ROMEO_HOME);
        test.forget();
        test.step(ROMEO_HOME, "dice.roll", "", &[]);
        (offered, test.lines().into_iter().find(|line| line.starts_with("command for")))
    };
    let to_old = Some(format!("command for {}", old.instance));
    assert_eq!(gives(&mut test), (Some(vec![named("dice.roll")]), to_old));
    router.shadow(&old.mailbox, Shadow::On);
    router.shadow(&new.mailbox, Shadow::Off);
    test.session.instance_inherits(new.instance);
    let to_new = Some(format!("command for {}", new.instance));
    assert_eq!(gives(&mut test), (Some(vec![named("dice.roll"), named("dice.throw")]), to_new));
}
