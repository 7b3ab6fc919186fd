//! Questions of plugins to people.

use parlor_config::{Encryption, OtrPolicy};

use super::commands::{Plugin, ROMEO_HOME, granted, plugin};
use super::*;

const JULIET_THERE: &str = "room@muc.example.org/juliet";

/// The end of a dialog, as far as it has come.
type End = Receiver<DialogEnd>;

impl TestSession {
    fn begin(&mut self, plugin: &Plugin, to: &str, nick: Option<&str>, choices: &[&str]) -> Result<End, CallError> {
        let choices = choices.iter().map(|&choice| choice.to_owned()).collect();
        let question = Question::check("Which?".to_owned(), choices, Some(Duration::from_mins(1))).unwrap();
        let (mailbox, nick) = (Arc::clone(&plugin.mailbox), nick.map(str::to_owned));
        let (draft, plugin) = (question.message(nick.as_deref()), plugin.id.clone());
        let mut begun = self.ask(BeginDialog { mailbox, plugin, to: jid(to), nick, question, draft, most: 3 });
        got(&mut begun).unwrap()
    }

    /// Returns the message that was sent last as it comes back from an address, with this error.
    fn returned(&self, condition: &'static str) -> impl Fn(&str) -> Message + use<> {
        let id = self.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Message { id, .. } => Some(id.clone()),
            _ => None,
        });
        move |from| Message {
            id: id.clone(),
            body: None,
            error: Some(stanza_error(condition)),
            ..message(from, MessageKind::Error, "")
        }
    }

    fn hooks(&mut self) -> &mut Hooked {
        self.hooked.as_mut().unwrap()
    }

    fn dialogs(&self) -> usize {
        self.session.features.dialogs.len()
    }

    fn writes(&mut self, from: &str, kind: MessageKind, body: &str) {
        self.message(message(from, kind, body));
    }
}

fn text(end: &mut End) -> Option<Result<String, CallError>> {
    got(end).map(|end| end.map(|answer| answer.text))
}

fn no(reason: &str) -> Result<String, CallError> {
    Err(CallError::Rejected(reason.to_owned()))
}

/// Row 153.
#[test]
fn the_next_message_of_the_person_is_the_answer_and_no_event_for_the_plugin_that_asked() {
    let mut test = TestSession::connected(Settings::default());
    let asks = plugin("asks");
    let mut end = test.begin(&asks, ROMEO, None, &["red", "Blue"]).unwrap();
    assert_eq!(test.answers(), [(format!("chat {ROMEO}"), "Which?\n1. red\n2. Blue".to_owned())]);
    test.forget();
    test.writes("juliet@example.org/balcony", MessageKind::Chat, "red");
    assert_eq!(text(&mut end), None, "she was not asked");
    test.forget();
    test.writes(ROMEO_HOME, MessageKind::Chat, " BLUE ");
    assert_eq!(got(&mut end), Some(Ok(DialogAnswer { text: "Blue".to_owned(), choice: Some(1) })));
    assert!(test.lines().contains(&format!("message except for {}", asks.instance)));
    let Payload::Message(message) = test.last("message") else { panic!() };
    assert_eq!(message.command.as_deref(), Some("?"));
    test.forget();
    test.writes(ROMEO_HOME, MessageKind::Chat, "blue");
    assert!(test.lines().contains(&"message".to_owned()), "one message is one answer");
    assert_eq!(test.dialogs(), 0);
}

/// Row 153.
#[test]
fn a_wrong_answer_is_answered_with_the_choices_twice() {
    let mut test = TestSession::connected(Settings::default());
    let asks = plugin("asks");
    let mut end = test.begin(&asks, ROMEO, None, &["red"]).unwrap();
    for left in [2, 1] {
        test.sent.clear();
        test.writes(ROMEO_HOME, MessageKind::Chat, "green");
        assert_eq!((test.answers().len(), text(&mut end)), (1, None), "{left} left");
    }
    test.writes(ROMEO_HOME, MessageKind::Chat, "green");
    assert_eq!((test.answers().len(), text(&mut end)), (0, Some(no("wrong"))));
    let mut end = test.begin(&asks, ROMEO, None, &["red"]).unwrap();
    test.writes(ROMEO_HOME, MessageKind::Chat, "Cancel");
    assert_eq!(text(&mut end), Some(no("cancelled")));
    let mut end = test.begin(&asks, ROMEO, None, &["red"]).unwrap();
    test.wait(59);
    assert_eq!(text(&mut end), None);
    test.wait(2);
    assert_eq!(text(&mut end), Some(Err(CallError::TimedOut)));
    assert_eq!(test.dialogs(), 0);
}

/// Row 153.
#[test]
fn commands_history_and_copies_are_no_answers() {
    let mut test = TestSession::connected(Settings::default());
    let asks = plugin("asks");
    test.add(&asks, "roll").unwrap();
    let mut end = test.begin(&asks, ROMEO, None, &[]).unwrap();
    test.writes(ROMEO_HOME, MessageKind::Chat, "!roll");
    assert_eq!((test.count("command"), text(&mut end)), (1, None));
    test.message(Message { delayed: true, ..message(ROMEO_HOME, MessageKind::Chat, "old") });
    test.message(Message { body: None, ..message(ROMEO_HOME, MessageKind::Chat, "") });
    test.writes(ROMEO_HOME, MessageKind::Chat, " ");
    assert_eq!(text(&mut end), None);
    test.writes(ROMEO_HOME, MessageKind::Chat, "!unknown");
    assert_eq!(text(&mut end), Some(Ok("!unknown".to_owned())), "nobody has that command");
}

/// Settings `command_prefix_optional_in_private`.
#[test]
fn a_message_answers_a_question_before_it_is_a_command_without_the_prefix() {
    let mut test = TestSession::connected(settings(&[("command_prefix_optional_in_private", true.into())]));
    let asks = plugin("asks");
    test.add(&asks, "roll").unwrap();
    let mut end = test.begin(&asks, ROMEO, None, &[]).unwrap();
    test.writes(ROMEO_HOME, MessageKind::Chat, "!roll");
    assert_eq!((test.count("command"), text(&mut end)), (1, None));
    test.writes("juliet@example.org/balcony", MessageKind::Chat, "roll");
    assert_eq!((test.count("command"), text(&mut end)), (2, None), "she was not asked");
    test.writes(ROMEO_HOME, MessageKind::Chat, "roll");
    assert_eq!((test.count("command"), text(&mut end)), (2, Some(Ok("roll".to_owned()))));
    let Payload::Message(message) = test.last("message") else { panic!() };
    assert_eq!(message.command.as_deref(), Some("?"));
    test.writes(ROMEO_HOME, MessageKind::Chat, "roll");
    assert_eq!(test.count("command"), 3);
    drop(test.begin(&asks, ROMEO, None, &[]).unwrap());
    test.writes(ROMEO_HOME, MessageKind::Chat, "roll");
    assert_eq!(test.count("command"), 4, "the plugin has given its question up");
}

/// Row 153.
#[test]
fn a_question_in_a_room_is_one_to_an_occupant_whatever_the_nickname() {
    let mut test = TestSession::connected(Settings::default());
    let asks = plugin("asks");
    test.in_room();
    for (nick, is_there) in [("nobody", false), ("bot", false), ("juliet", true)] {
        assert_eq!(test.begin(&asks, ROOM, Some(nick), &[]).is_ok(), is_there, "{nick}");
    }
    let mut end = test.begin(&asks, ROOM, Some("juliet"), &[]).unwrap();
    assert_eq!(test.answers().pop().unwrap(), (format!("groupchat {ROOM}"), "juliet: Which?".to_owned()));
    test.presence(occupant("romeo", PresenceKind::Available, &[]));
    test.writes("room@muc.example.org/romeo", MessageKind::Groupchat, "mine");
    test.writes(JULIET_THERE, MessageKind::Chat, "elsewhere");
    assert_eq!(text(&mut end), None);
    let mut renamed = occupant("juliet", PresenceKind::Unavailable, &[303]);
    renamed.muc.as_mut().unwrap().nick = Some("Capulet".to_owned());
    test.presence(renamed);
    test.presence(occupant("Capulet", PresenceKind::Available, &[]));
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    test.writes(JULIET_THERE, MessageKind::Groupchat, "not mine");
    assert_eq!(text(&mut end), None, "another person has the nickname now");
    test.writes("room@muc.example.org/Capulet", MessageKind::Groupchat, "bot: yes");
    assert_eq!(text(&mut end), Some(Ok("yes".to_owned())));

    let mut ends = [
        test.begin(&asks, ROOM, Some("Capulet"), &[]).unwrap(),
        test.begin(&asks, "room@muc.example.org/Capulet", None, &[]).unwrap(),
    ];
    test.presence(occupant("Capulet", PresenceKind::Unavailable, &[]));
    for end in &mut ends {
        assert!(matches!(text(end), Some(Err(CallError::NotFound(_)))));
    }
    let mut end = test.begin(&asks, ROOM, Some("juliet"), &[]).unwrap();
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307]));
    assert!(matches!(text(&mut end), Some(Err(CallError::NotFound(_)))));
    assert_eq!(test.dialogs(), 0);
}

/// Row 153.
#[test]
fn a_person_has_one_question_of_a_plugin_and_the_latest_of_several_plugins_is_answered() {
    let mut test = TestSession::connected(Settings::default());
    let (one, other) = (plugin("one"), plugin("other"));
    let mut first = test.begin(&one, ROMEO, None, &[]).unwrap();
    let mut second = test.begin(&one, ROMEO_HOME, None, &[]).unwrap();
    assert_eq!(text(&mut first), Some(Err(CallError::Stopped)));
    let mut third = test.begin(&other, ROMEO, None, &[]).unwrap();
    test.writes(ROMEO_HOME, MessageKind::Chat, "a");
    assert_eq!((text(&mut second), text(&mut third)), (None, Some(Ok("a".to_owned()))));
    test.writes("romeo@example.org/phone", MessageKind::Chat, "b");
    assert_eq!(text(&mut second), Some(Ok("b".to_owned())), "from any client");
}

/// Row 153.
#[test]
fn questions_are_limited_and_end_with_their_plugin_and_its_grants() {
    let mut test = TestSession::connected(Settings::default());
    let asks = plugin("asks");
    let begin = |test: &mut TestSession, number: u32| test.begin(&asks, &format!("{number}@example.org"), None, &[]);
    let ends: Vec<_> = (0..3).map(|number| begin(&mut test, number).unwrap()).collect();
    assert!(matches!(begin(&mut test, 3), Err(CallError::OverLimit(what)) if what == "3 dialogs"));
    drop(ends);
    let _end = begin(&mut test, 4).unwrap();
    assert_eq!(test.dialogs(), 1, "those that nobody waits for were forgotten");
    test.run(|session, _, effects| session.instance_gone(asks.instance, effects));
    assert_eq!(test.dialogs(), 0);

    let revoked = granted("revoked", "\"messages.send\" = [\"juliet@example.org\"]");
    let mut end = test.begin(&revoked, ROMEO, None, &[]).unwrap();
    test.forget();
    test.writes(ROMEO_HOME, MessageKind::Chat, "yes");
    assert_eq!(text(&mut end), Some(Err(CallError::Stopped)));
    assert!(test.lines().contains(&"message".to_owned()), "it is a message like any other");
}

/// Row 153.
#[test]
fn a_question_that_encryption_refuses_ends_at_once() {
    let mut test = TestSession::connected(Settings::default());
    let config = Encryption { omemo: false, otr: OtrPolicy::Require, ..Encryption::default() };
    let asks = plugin("asks");
    test.run(|session, now, effects| set_encryption(session, config, now, effects));
    let mut late = test.begin(&asks, ROMEO, None, &[]).unwrap();
    assert_eq!(text(&mut late), None, "it waits until the other side has begun OTR");
    test.wait(31);
    assert!(matches!(text(&mut late), Some(Err(CallError::Unsupported(_)))));
    let allowed = Encryption { otr: OtrPolicy::Allow, ..config };
    test.run(|session, now, effects| set_encryption(session, allowed, now, effects));
    let mut again = test.begin(&asks, ROMEO, None, &["red"]).unwrap();
    test.in_room();
    let mut private = test.begin(&asks, JULIET_THERE, None, &[]).unwrap();
    assert_eq!((text(&mut again), text(&mut private)), (None, None));
    test.run(|session, now, effects| set_encryption(session, config, now, effects));
    let mut private = test.begin(&asks, JULIET_THERE, None, &[]).unwrap();
    assert!(matches!(text(&mut private), Some(Err(CallError::Unsupported(_)))), "her address is not known");
    test.writes(ROMEO_HOME, MessageKind::Chat, "green");
    test.wait(31);
    assert!(matches!(text(&mut again), Some(Err(CallError::Unsupported(_)))), "the choices could not be sent again");
    assert_eq!(test.dialogs(), 0);
}

/// Row 153.
#[test]
fn a_question_that_comes_back_ends_and_so_do_all_with_the_session() {
    let mut test = TestSession::connected(Settings::default());
    let asks = plugin("asks");
    let mut end = test.begin(&asks, ROMEO, None, &[]).unwrap();
    let bounce = test.returned("service-unavailable");
    test.message(bounce("tybalt@example.org"));
    assert_eq!(text(&mut end), None, "from somebody else");
    test.message(bounce(ROMEO));
    assert!(matches!(text(&mut end), Some(Err(CallError::Stanza(_)))));
    let mut end = test.begin(&asks, ROMEO, None, &[]).unwrap();
    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(text(&mut end), Some(Err(CallError::Offline)));
    assert!(matches!(test.begin(&asks, ROMEO, None, &[]), Err(CallError::Offline)));
}

/// Row 153.
#[test]
fn no_occupant_returns_a_question_to_another() {
    let mut test = TestSession::connected(Settings::default());
    let asks = plugin("asks");
    test.in_room();
    test.presence(occupant("romeo", PresenceKind::Available, &[]));
    let [romeo, bot] = ["romeo", "bot"].map(|nick| format!("{ROOM}/{nick}"));
    for (to, nick, returned_by) in [
        (ROOM, Some("juliet"), ROOM),
        (ROOM, Some("juliet"), bot.as_str()),
        (JULIET_THERE, None, ROOM),
        (JULIET_THERE, None, JULIET_THERE),
    ] {
        test.forget();
        let mut end = test.begin(&asks, to, nick, &[]).unwrap();
        let returns = test.returned("bad-request");
        test.message(returns(&romeo));
        assert_eq!(text(&mut end), None, "everybody in the room knows the id");
        test.message(returns(returned_by));
        assert!(matches!(text(&mut end), Some(Err(CallError::Stanza(_)))), "{to} {returned_by}");
    }
}

/// Rows 153 and 161.
#[test]
fn an_answer_that_hooks_hide_does_not_count_and_the_question_goes_on_waiting() {
    let mut test = TestSession::connected(Settings::default());
    test.hooked = Some(Hooked::default());
    let (asks, older) = (plugin("asks"), plugin("older"));
    let mut waits = test.begin(&older, ROMEO, None, &[]).unwrap();
    let mut end = test.begin(&asks, ROMEO, None, &["red", "blue"]).unwrap();
    test.forget();
    for body in ["red", "cancel", "blue", "next"] {
        test.writes(ROMEO_HOME, MessageKind::Chat, body);
    }
    assert_eq!((test.count("message"), text(&mut end)), (0, None), "it waits for the hooks");
    let [red, cancel, blue, next] = <[_; 4]>::try_from(std::mem::take(&mut test.hooks().answers)).unwrap();
    assert_eq!(blue.message.command.as_deref(), Some("?"));
    for hidden in [red, cancel] {
        test.comes(hidden, false);
        assert_eq!((text(&mut end), text(&mut waits)), (None, None), "nor does the older question get it");
    }
    test.comes(blue, true);
    assert_eq!(text(&mut end), Some(Ok("blue".to_owned())));
    assert!(test.lines().contains(&format!("message except for {}", asks.instance)));
    test.comes(next, true);
    assert_eq!(text(&mut waits), Some(Ok("next".to_owned())));
    assert_eq!(test.dialogs(), 0);
}

/// Rows 153 and 161: while hooks decide about a message, a question is asked, and another person takes over a nickname.
#[test]
fn a_message_answers_only_questions_that_were_open_to_its_sender_when_it_came() {
    let mut test = TestSession::connected(Settings::default());
    test.hooked = Some(Hooked::default());
    let (asks, other) = (plugin("asks"), plugin("other"));
    test.writes(ROMEO_HOME, MessageKind::Chat, "hello");
    assert!(test.hooks().answers.is_empty(), "nothing was asked");
    let mut first = test.begin(&asks, ROMEO, None, &[]).unwrap();
    test.writes(ROMEO_HOME, MessageKind::Chat, "to the first");
    let mut second = test.begin(&other, ROMEO, None, &[]).unwrap();
    let answer = test.hooks().answers.pop().unwrap();
    test.comes(answer, true);
    assert_eq!((text(&mut first), text(&mut second)), (Some(Ok("to the first".to_owned())), None));

    test.in_room();
    test.presence(occupant("romeo", PresenceKind::Available, &[]));
    let mut end = test.begin(&asks, ROOM, Some("juliet"), &[]).unwrap();
    let mut of_romeo = test.begin(&other, ROOM, Some("romeo"), &[]).unwrap();
    test.writes("room@muc.example.org/romeo", MessageKind::Groupchat, "of romeo");
    for (old, new) in [("romeo", "montague"), ("juliet", "romeo")] {
        let mut renamed = occupant(old, PresenceKind::Unavailable, &[303]);
        renamed.muc.as_mut().unwrap().nick = Some(new.to_owned());
        test.presence(renamed);
        test.presence(occupant(new, PresenceKind::Available, &[]));
    }
    let answer = test.hooks().answers.pop().unwrap();
    test.comes(answer, true);
    assert_eq!((text(&mut end), text(&mut of_romeo)), (None, Some(Ok("of romeo".to_owned()))));
}

/// Rows 153 and 160.
#[test]
fn the_choices_are_sent_again_as_hooks_let_them_pass() {
    let mut test = TestSession::connected(Settings::default());
    test.hooked = Some(Hooked::default());
    let asks = plugin("asks");
    let mut end = test.begin(&asks, ROMEO, None, &["red"]).unwrap();
    let wrong = |test: &mut TestSession| {
        test.sent.clear();
        test.writes(ROMEO_HOME, MessageKind::Chat, "green");
        let answer = test.hooks().answers.pop().unwrap();
        test.comes(answer, true);
        assert!(test.answers().is_empty(), "hooks have not seen it");
        test.hooks().again.pop().unwrap()
    };
    let again = wrong(&mut test);
    assert_eq!((&again.plugin, again.by, &again.to), (&asks.id, asks.instance, &jid(ROMEO)));
    assert!(again.draft.body.as_ref().unwrap().ends_with("1. red"), "{again:?}");
    let altered = types::Draft { body: Some("altered".to_owned()), ..again.draft };
    test.asks_again(again.question, Ok(altered));
    assert_eq!(test.answers(), [(format!("chat {ROMEO}"), "altered".to_owned())]);
    let again = wrong(&mut test);
    test.asks_again(again.question, Err(CallError::Rejected("not that".to_owned())));
    assert_eq!((test.answers().len(), text(&mut end)), (0, Some(no("not that"))));
    test.asks_again(again.question, Ok(again.draft));
    assert_eq!((test.answers().len(), test.dialogs()), (0, 0), "it has ended");
}
