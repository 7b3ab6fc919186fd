//! Commands that people give to plugins by name.

use parlor_base::id::PluginId;
use parlor_stanza::types::{Carbon, Extensions, Fallback, Reactions, ReplyTo};

use super::*;
use crate::command_names::{ChosenNames, CommandNames};
use crate::commands::answers::PERSON_ANSWERS;
use crate::permissions::{Grants, RoomList};
use crate::router::{Mailbox, Router, Shadow};

/// Maximum number of commands of each plugin.
pub(super) const MOST: usize = 64;
pub(super) const ROMEO_HOME: &str = "romeo@example.org/home";

/// A plugin that can have commands.
#[derive(Clone)]
pub(super) struct Plugin {
    pub(super) id: PluginId,
    pub(super) instance: InstanceId,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) names: Arc<ChosenNames>,
}

pub(super) fn plugin(id: &str) -> Plugin {
    granted(id, "\"messages.send\" = [\"*\"]\n\"rooms.send\" = [\"*\"]")
}

pub(super) fn granted(id: &str, grants: &str) -> Plugin {
    let grants = Grants::from_table(&grants.parse().unwrap()).unwrap();
    let instance = InstanceId::next();
    let (mailbox, _) = Mailbox::new(instance, 1, Arc::new(grants));
    Plugin { id: id.parse().unwrap(), instance, mailbox, names: Arc::default() }
}

impl TestSession {
    pub(super) fn add(&mut self, plugin: &Plugin, name: &str) -> Result<(), CallError> {
        self.add_with(plugin, name, "Says it", "[WHAT]")
    }

    fn add_with(&mut self, plugin: &Plugin, name: &str, help: &str, usage: &str) -> Result<(), CallError> {
        let (answer, mut receiver) = Answer::channel();
        let spoken = Spoken { name: name.to_owned(), help: help.to_owned(), usage: usage.to_owned() };
        self.command(AnyCommand::with(
            AddCommand {
                mailbox: Arc::clone(&plugin.mailbox),
                names: Arc::clone(&plugin.names),
                plugin: plugin.id.clone(),
                spoken,
                most: MOST,
            },
            answer,
        ));
        got(&mut receiver).unwrap().map(drop)
    }

    fn remove(&mut self, plugin: &Plugin, name: &str) -> Result<(), CallError> {
        let mut receiver =
            self.ask(RemoveCommand { by: plugin.instance, plugin: plugin.id.clone(), name: name.to_owned() });
        got(&mut receiver).unwrap().map(drop)
    }

    /// Reports that the plugin failed over the last event of this name.
    fn fails(&mut self, event: &str) -> Result<(), CallError> {
        let Payload::Command { message, .. } = self.last(event) else { panic!() };
        let message = Arc::clone(message);
        let mut receiver = self.ask(AnswerFailed { message });
        got(&mut receiver).unwrap()
    }

    pub(super) fn say(&mut self, body: &str) {
        self.message(message(ROMEO_HOME, MessageKind::Chat, body));
    }

    /// Returns the host's answers since the last call, with their recipients.
    pub(super) fn answers(&mut self) -> Vec<(String, String)> {
        let sent = std::mem::take(&mut self.sent);
        let answers = sent.into_iter().filter_map(|stanza| match stanza {
            Outgoing::Message { to, kind, draft, .. } => Some((format!("{kind} {to}"), draft.body.unwrap())),
            _ => None,
        });
        answers.collect()
    }
}

/// Row 127.
/// Events command.
#[test]
fn a_command_goes_to_its_plugin_alone_with_its_arguments_and_its_message() {
    let mut test = TestSession::connected(Settings::default());
    let (echo, other) = (plugin("echo"), plugin("other"));
    test.add(&echo, "Say").unwrap();
    test.add(&other, "shout").unwrap();
    test.say("hello");
    test.forget();
    for said in ["!say 'one two' three", "!SAY 'one two' three", "!echo.say 'one two' three"] {
        test.say(said);
        let told = format!("command for {}", echo.instance);
        assert_eq!(test.lines(), ["message", "messageAdded", "messageNotification", &*told]);
        let Payload::Command { name, args, message, .. } = test.last("command") else { panic!() };
        assert_eq!((&name[..], args.as_slice()), ("say", &["one two".to_owned(), "three".to_owned()][..]));
        assert_eq!(message.body.as_deref(), Some(said));
    }
    for said in ["say", "! say", "!sayx", "!unknown", "!other.say", "x !say", "", "!", "!.", "!echo.", "!.say"] {
        test.say(said);
        assert_eq!(test.count("command"), 3, "{said:?}");
    }
    test.say(&format!("!{}", "x".repeat(100_000)));
    assert!(test.answers().is_empty());
}

/// Row 127.
#[test]
fn what_is_no_news_or_no_message_of_others_is_no_command() {
    let mut test = TestSession::connected(Settings::default());
    let echo = plugin("echo");
    test.add(&echo, "say").unwrap();
    test.in_room();
    let direct = || message(ROMEO_HOME, MessageKind::Chat, "!say x");
    let correction = Extensions { replace: Some("old".to_owned()), ..Extensions::default() };
    let retraction = Extensions { retract: Some("old".to_owned()), ..Extensions::default() };
    let nothing = [
        Message { delayed: true, ..direct() },
        Message { carbon: Some(Carbon::Received), ..direct() },
        Message { carbon: Some(Carbon::Sent), own: true, ..direct() },
        Message { own: true, ..direct() },
        Message { extensions: Some(Box::new(correction)), ..direct() },
        Message { extensions: Some(Box::new(retraction)), ..direct() },
        Message { body: None, subject: Some("!say x".to_owned()), ..direct() },
        message(ROMEO_HOME, MessageKind::Headline, "!say x"),
        message(ROMEO_HOME, MessageKind::Error, "!say x"),
        // Our own echo, a message of the room itself, and its subject.
        message(&format!("{ROOM}/bot"), MessageKind::Groupchat, "!say x"),
        message(ROOM, MessageKind::Groupchat, "!say x"),
        Message {
            body: None,
            subject: Some("!say x".to_owned()),
            ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "")
        },
        message("other@muc.example.org/juliet", MessageKind::Groupchat, "!say x"),
    ];
    for (index, one) in nothing.into_iter().enumerate() {
        let help = Message { body: one.body.as_ref().map(|_| "!help".to_owned()), ..one.clone() };
        test.message(one);
        test.message(help);
        assert_eq!(test.count("command"), 0, "case {index}");
        assert!(test.answers().is_empty(), "case {index}");
    }
    test.message(message(ROMEO_HOME, MessageKind::Normal, "!say x"));
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!say x"));
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Chat, "!say x"));
    assert_eq!(test.count("command"), 3);
}

/// Row 127.
#[test]
fn a_name_is_one_plugins_and_its_full_name_always_works() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    test.add(&one, "say").unwrap();
    test.add_with(&one, "say", "Says it anew", "").unwrap();
    let taken = test.add(&two, "SAY");
    assert_eq!(taken, Err(CallError::NotOwner("the command say of the plugin one".to_owned())));
    let reserved = "the command help is the host's; choose another name, or two.help";
    assert_eq!(test.add(&two, "Help"), Err(CallError::invalid("name", reserved)));
    test.add(&two, "two.help").unwrap();
    test.remove(&two, "two.help").unwrap();
    assert!(matches!(test.add(&two, "one.say"), Err(CallError::Invalid { argument, .. }) if argument == "name"));
    test.add(&two, "two.say").unwrap();
    test.forget();
    let heard = |test: &mut TestSession, said: &str| {
        test.say(said);
        test.lines().into_iter().find(|line| line.starts_with("command")).unwrap_or_default()
    };
    assert_eq!(heard(&mut test, "!say"), goes_to(&one));
    assert_eq!(heard(&mut test, "!one.say"), goes_to(&one));
    assert_eq!(heard(&mut test, "!two.say"), goes_to(&two));
    assert!(matches!(test.remove(&two, "shout"), Err(CallError::NotFound(_))));
    assert!(matches!(test.remove(&two, "one.say"), Err(CallError::Invalid { .. })));
    test.remove(&one, "say").unwrap();
    assert_eq!(heard(&mut test, "!say"), "");
    test.add(&two, "say").unwrap();
    assert_eq!(heard(&mut test, "!say"), goes_to(&two));
    test.run(|session, _, effects| session.instance_gone(two.instance, effects));
    assert_eq!(heard(&mut test, "!two.say"), "");
    assert_eq!(test.session.features.commands.len(), 0, "gone with the instance");
}

/// Otherwise a plugin could wait for the restart of another one, and answer in its place from then on.
#[test]
fn a_short_name_is_not_passed_on_while_its_plugin_is_away() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    test.add(&one, "ban").unwrap();
    test.add(&one, "kick").unwrap();
    test.run(|session, _, effects| session.instance_gone(one.instance, effects));
    let taken = Err(CallError::NotOwner("the command ban of the plugin one".to_owned()));
    assert_eq!(test.add(&two, "ban"), taken);
    test.add(&two, "two.ban").unwrap();
    let again = Plugin { id: one.id.clone(), ..plugin("again") };
    test.add(&again, "ban").unwrap();
    assert_eq!(test.add(&two, "ban"), taken);
    test.remove(&again, "ban").unwrap();
    test.add(&two, "ban").unwrap();
    // The other one was not added again, and was not taken back.
    assert!(test.add(&two, "kick").is_err());
    let mut forgotten = test.ask(ForgetCommands { plugin: one.id.clone() });
    assert_eq!(got(&mut forgotten), Some(Ok(())));
    test.add(&two, "kick").unwrap();
}

/// Otherwise a plugin could wait for a start of another one that fails after its first command.
#[test]
fn a_run_that_fails_after_its_first_command_gives_no_other_one_free() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    let mut run = |names: &[&str]| {
        let next = Plugin { id: one.id.clone(), ..plugin("next") };
        for name in names {
            test.add(&next, name).unwrap();
        }
        test.run(|session, _, effects| session.instance_gone(next.instance, effects));
    };
    run(&["ban", "kick"]);
    run(&["ban"]);
    // It keeps no more than it may have.
    for number in 0..2 * MOST {
        run(&[format!("c{number}").as_str()]);
    }
    assert!(test.add(&two, "ban").is_err());
    assert!(test.add(&two, "kick").is_err());
    test.add(&two, &format!("c{}", 2 * MOST - 2)).unwrap();
}

fn goes_to(plugin: &Plugin) -> String {
    format!("command for {}", plugin.instance)
}

/// Row 127.
#[test]
fn an_owner_gives_commands_other_names_while_the_plugins_run() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    let named = |plugin: &Plugin, pairs: &[(&str, &str)]| {
        let mut names = CommandNames::default();
        for (command, name) in pairs {
            names.choose(command.parse().unwrap(), name.parse().unwrap()).unwrap();
        }
        plugin.names.set(names);
    };
    let heard = |test: &mut TestSession, said: &str| {
        test.forget();
        test.say(said);
        test.lines().into_iter().find(|line| line.starts_with("command")).unwrap_or_default()
    };
    test.add(&one, "say").unwrap();
    assert!(test.add(&two, "say").is_err());
    // A command that the owner has renamed needs no short name.
    named(&two, &[("say", "shout")]);
    test.add(&two, "say").unwrap();
    assert_eq!(heard(&mut test, "!SHOUT x"), goes_to(&two));
    let Payload::Command { name, args, .. } = test.last("command") else { panic!() };
    assert_eq!((&name[..], args.as_slice()), ("say", &["x".to_owned()][..]), "the plugin knows it by its own name");
    assert_eq!(heard(&mut test, "!say"), goes_to(&one));
    assert_eq!(heard(&mut test, "!two.say"), goes_to(&two));

    named(&one, &[("say", "whisper")]);
    assert_eq!(heard(&mut test, "!whisper"), goes_to(&one));
    assert_eq!(heard(&mut test, "!one.say"), goes_to(&one));
    assert_eq!(heard(&mut test, "!say"), "", "a name that is free comes to nobody by itself");
    test.say("!help");
    assert_eq!(test.answers()[0].1, "Commands:\n!shout – Says it\n!whisper – Says it");
    test.say("!help whisper");
    assert_eq!(test.answers()[0].1, "Usage: !whisper [WHAT]\nSays it");
    // An owner's name takes precedence over a plugin's.
    named(&one, &[]);
    named(&two, &[("say", "say")]);
    assert_eq!(heard(&mut test, "!say"), goes_to(&two));
    named(&two, &[]);
    assert_eq!(heard(&mut test, "!shout"), "");
    assert_eq!(heard(&mut test, "!say"), goes_to(&one));
}

/// Row 127.
#[test]
fn what_is_added_is_checked_and_bounded() {
    let mut test = TestSession::connected(Settings::default());
    let echo = plugin("echo");
    let long = "x".repeat(33);
    for name in ["", "a b", "a!", "a.b", "echo.", ".x", "a\n", "a'", &long, &"x".repeat(1 << 20)] {
        assert!(matches!(test.add(&echo, name), Err(CallError::Invalid { argument, .. }) if argument == "name"));
    }
    for text in ["a\nb", "a\u{1}", &"x".repeat(257)] {
        let refused = test.add_with(&echo, "say", text, "");
        assert!(matches!(refused, Err(CallError::Invalid { argument, .. }) if argument == "help"));
        let refused = test.add_with(&echo, "say", "", text);
        assert!(matches!(refused, Err(CallError::Invalid { argument, .. }) if argument == "usage"));
    }
    for number in 0..MOST {
        test.add(&echo, &format!("c{number}")).unwrap();
    }
    assert!(matches!(test.add(&echo, "more"), Err(CallError::OverLimit(_))));
    test.add(&echo, "c0").unwrap();
    test.add(&plugin("other"), "more").unwrap();
}

/// Row 127.
#[test]
fn help_is_answered_where_it_was_asked() {
    let mut test = TestSession::connected(Settings::default());
    test.say("!help");
    assert!(test.answers().is_empty(), "without commands there is nothing to help with");
    test.add_with(&plugin("echo"), "say", "Says it", "WHAT").unwrap();
    test.add_with(&plugin("two"), "two.say", "", "").unwrap();
    test.in_room();
    let list = "Commands:\n!say – Says it\n!two.say".to_owned();
    test.say("!help");
    assert_eq!(test.answers(), [(format!("chat {ROMEO_HOME}"), list.clone())]);
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!HELP "));
    assert_eq!(test.answers(), [(format!("groupchat {ROOM}"), list)]);
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Chat, "!help !say"));
    assert_eq!(test.answers(), [(format!("chat {ROOM}/juliet"), "Usage: !say WHAT\nSays it".to_owned())]);
    test.say("!help two.say");
    assert_eq!(test.answers()[0].1, "Usage: !two.say");
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!help nobody"));
    assert!(test.answers().is_empty(), "in a room it may be meant for another bot");
    test.say("!help nobody");
    assert_eq!(test.answers()[0].1, "There is no command of that name.");
}

#[test]
fn help_for_several_words_is_that_of_the_name_that_they_make() {
    let mut test = TestSession::connected(Settings::default());
    test.add_with(&plugin("echo"), "count_up", "Counts up", "").unwrap();
    for asked in ["!help count_up", "!help Count  up", "!help !count up"] {
        test.say(asked);
        assert_eq!(test.answers()[0].1, "Usage: !count_up\nCounts up", "{asked}");
    }
    test.say("!help count down");
    assert_eq!(test.answers()[0].1, "There is no command of that name.");
}

/// Row 127.
/// Like the plugins' own answers.
#[test]
fn help_stays_in_the_thread_that_it_was_asked_in() {
    let mut test = TestSession::connected(Settings::default());
    test.add(&plugin("echo"), "say").unwrap();
    test.message(Message { thread: Some("t1".to_owned()), ..message(ROMEO_HOME, MessageKind::Chat, "!help") });
    let Some(Outgoing::Message { draft, .. }) = test.sent.last() else { panic!() };
    assert_eq!(draft.thread.as_deref(), Some("t1"));
}

/// Row 127.
/// In the format that most clients use for a reply (XEP-0461, section 3.2).
#[test]
fn what_a_reply_quotes_is_neither_a_command_nor_a_mention() {
    let reply = |body: &str, quoted: u32| quoting(body, &[(0, quoted)]);
    assert_eq!(reply("> é\n!roll 2", 4).said(), "!roll 2");
    assert_eq!(reply("> é\n!roll 2", 3).said(), "!roll 2", "the end of the line may be outside");
    assert_eq!(reply("> é", 99).said(), "");
    assert_eq!(message(ROMEO, MessageKind::Chat, "> quoted by hand").said(), "> quoted by hand");
    let standing_in = |feature: Option<&str>, part: Option<(u32, u32)>| {
        let fallback = vec![Fallback { feature: feature.map(str::to_owned), part }];
        let reply = Some(ReplyTo { id: "1".to_owned(), to: None });
        let reactions = Some(Reactions { id: "1".to_owned(), emojis: vec!["👍".to_owned()] });
        let retract = Some("1".to_owned());
        let extensions = Some(Box::new(Extensions { reply, fallback, retract, reactions, ..Extensions::default() }));
        Message { extensions, ..message(ROMEO, MessageKind::Chat, "> bot: what time is it?\n👍") }
    };
    let thumb = standing_in(Some("urn:xmpp:reactions:0"), None);
    assert_eq!((&*thumb.said(), thumb.says_something()), ("", false), "all of it stands in for the reaction");
    let gone = standing_in(Some("urn:xmpp:message-retract:1"), None);
    assert_eq!((&*gone.said(), gone.says_something()), ("", false), "all of it stands in for taking something back");
    assert!(standing_in(Some("urn:xmpp:reply:0"), Some((0, 23))).says_something());
    assert!(standing_in(Some("urn:example:new"), None).says_something(), "nobody here knows what that would be");
    assert!(message(ROMEO, MessageKind::Chat, "").says_something());
    assert_eq!(Message { body: None, ..reply("", 1) }.said(), "");

    assert_eq!(quoting("!roll 👍2\n> é", &[(6, 7), (8, 99)]).said(), "!roll 2", "wherever it is quoted");
    assert_eq!(quoting("> é\n!roll\n> é\n 2", &[(10, 14), (0, 4)]).said(), "!roll\n 2");
    assert_eq!(quoting("!roll 2", &[(5, 1), (3, 3), (40, 50)]).said(), "!roll 2", "there is nothing");
    let mut test = TestSession::connected(Settings::default());
    test.add(&plugin("echo"), "say").unwrap();
    test.message(quoting("!say a> b\n c", &[(6, 10)]));
    let Payload::Command { args, .. } = test.last("command") else { panic!() };
    assert_eq!(args, &["a", "c"]);
}

/// Other clients show such a text, so a plugin that watches over a room must not miss it.
#[test]
fn a_text_that_stands_in_for_something_that_is_not_there_is_said() {
    let (reply, reactions) = ("urn:xmpp:reply:0", "urn:xmpp:reactions:0");
    let retract = "urn:xmpp:message-retract:1";
    let standing_in = |feature: Option<&str>, beside: Extensions| {
        let fallback = vec![Fallback { feature: feature.map(str::to_owned), part: None }];
        let extensions = Some(Box::new(Extensions { fallback, ..beside }));
        Message { extensions, ..message(ROMEO, MessageKind::Chat, "Buy it!") }
    };
    let replies = || Extensions { reply: Some(ReplyTo { id: "1".to_owned(), to: None }), ..Extensions::default() };
    let reacts = || {
        let reactions = Some(Reactions { id: "1".to_owned(), emojis: Vec::new() });
        Extensions { reactions, ..Extensions::default() }
    };
    let retracts = || Extensions { retract: Some("1".to_owned()), ..Extensions::default() };
    for feature in [Some(reply), Some(reactions), Some(retract), None] {
        let alone = standing_in(feature, Extensions::default());
        assert_eq!((&*alone.said(), alone.says_something()), ("Buy it!", true), "{feature:?} alone");
        for (name, beside) in [(reply, replies()), (reactions, reacts()), (retract, retracts())] {
            let is_said = feature.is_some_and(|feature| feature != name);
            assert_eq!(standing_in(feature, beside).says_something(), is_said, "{feature:?} beside {name}");
        }
    }
}

/// Returns a reply whose quotations are in these ranges.
fn quoting(body: &str, parts: &[(u32, u32)]) -> Message {
    let part = |part: &(u32, u32)| Fallback { feature: Some("urn:xmpp:reply:0".to_owned()), part: Some(*part) };
    let fallback = parts.iter().map(part).collect();
    let reply = Some(ReplyTo { id: "1".to_owned(), to: None });
    let extensions = Some(Box::new(Extensions { reply, fallback, ..Extensions::default() }));
    Message { extensions, ..message(ROMEO_HOME, MessageKind::Chat, body) }
}

proptest::proptest! {
    /// For any ranges that someone claims to quote, in any order.
    #[test]
    fn what_is_quoted_is_cut_and_nothing_else(
        body in proptest::collection::vec(proptest::sample::select(vec!['a', 'é', '👍', ' ', '\n']), 0..12),
        parts in proptest::collection::vec((0..15_u32, 0..15_u32), 1..5),
    ) {
        let is_quoted = |at: u32| parts.iter().any(|(start, end)| (*start..*end).contains(&at));
        let said = (0..).zip(&body).filter(|(at, _)| !is_quoted(*at)).map(|(_, character)| character);
        let said: String = said.collect();
        let message = quoting(&body.iter().collect::<String>(), &parts);
        let cut = message.said();
        proptest::prop_assert_eq!(&*cut, said.trim_start());
    }
}

/// Otherwise it could use the host to send strangers what it has heard.
#[test]
fn help_says_what_a_plugin_wrote_only_where_that_may_speak() {
    let mut test = TestSession::connected(Settings::default());
    let heard = "messages.read\" = [\"*\"]\n\"messages.send\" = [\"nurse@example.org\"]\n\"rooms.send";
    test.add(&granted("spy", &format!("\"{heard}\" = [\"other@muc.example.org\"]")), "canary").unwrap();
    test.add(&plugin("echo"), "say").unwrap();
    test.in_room();
    let help = "Commands:\n!say – Says it";
    test.say("!help");
    test.say("!help canary");
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!help"));
    let answers: Vec<String> = test.answers().into_iter().map(|(_, text)| text).collect();
    assert_eq!(answers, [help, "There is no command of that name.", help]);
    test.message(message("nurse@example.org/home", MessageKind::Chat, "!help canary"));
    assert!(test.answers()[0].1.contains("!canary"));
}

#[test]
fn help_says_where_no_plugin_that_has_a_command_may_speak() {
    let mut test = TestSession::connected(Settings::default());
    test.add(&granted("karma", "\"rooms.send\" = [\"*\"]"), "karma").unwrap();
    test.in_room();
    test.say("!help");
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!help"));
    let answers: Vec<String> = test.answers().into_iter().map(|(_, text)| text).collect();
    assert_eq!(answers[0], "There are no commands here.");
    assert!(answers[1].starts_with("Commands:\n!karma"), "{answers:?}");
}

#[test]
fn help_is_not_given_without_end() {
    let mut test = TestSession::connected(Settings::default());
    for number in 0..MOST {
        test.add_with(&plugin(&format!("p{number}")), &format!("c{number}"), &"x".repeat(256), "").unwrap();
    }
    for _ in 0..50 {
        test.say("!help");
    }
    let answers = test.answers();
    assert_eq!(answers.len(), PERSON_ANSWERS as usize);
    assert!(answers[0].1.len() < 9_000 && answers[0].1.contains("more"), "{}", answers[0].1.len());
    test.wait(2);
    test.say("!help");
    test.say("!help");
    assert_eq!(test.answers().len(), 1);
    test.wait(3_600);
    for _ in 0..50 {
        test.say("!help");
    }
    assert_eq!(test.answers().len(), PERSON_ANSWERS as usize);
}

/// Settings `failed_command_answer`.
#[test]
fn a_command_that_failed_is_answered_where_it_was_given_in_the_owners_words() {
    let mut test = TestSession::connected(Settings::default());
    // The plugin may not speak itself: the words are the owner's.
    let echo = granted("echo", "");
    test.add(&echo, "say").unwrap();
    test.in_room();
    test.say("!say x");
    test.fails("command").unwrap();
    assert_eq!(test.answers(), [(format!("chat {ROMEO_HOME}"), "Sorry, that failed.".to_owned())]);
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!say x"));
    test.fails("command").unwrap();
    assert_eq!(test.answers(), [(format!("groupchat {ROOM}"), "Sorry, that failed.".to_owned())]);

    test.set(&[("failed_command_answer", "".into())]).unwrap();
    test.say("!say x");
    test.fails("command").unwrap();
    assert!(test.answers().is_empty());
    test.set(&[("failed_command_answer", "Hoppla.".into())]).unwrap();
    test.say("!say x");
    // The same number of answers as for help, and no more. The first of them was given above.
    for _ in 0..PERSON_ANSWERS {
        test.fails("command").unwrap();
    }
    assert_eq!(test.answers().len(), PERSON_ANSWERS as usize - 1);
}

/// Settings `command_prefix`.
#[test]
fn the_prefix_is_the_owners() {
    let mut test = TestSession::connected(settings(&[("command_prefix", "bot: ".into())]));
    test.add(&plugin("echo"), "say").unwrap();
    test.say("!say");
    assert_eq!(test.count("command"), 0);
    test.say("bot: say x");
    assert_eq!(test.count("command"), 1);
    test.set(&[("command_prefix", "".into())]).unwrap();
    test.say("say");
    test.say("help");
    assert_eq!(test.count("command"), 1, "without a prefix there are no commands");
    assert!(test.answers().is_empty());
}

/// A word that the owner chose for one command reaches that one, so help does not show another command by it.
#[test]
fn help_names_each_command_by_a_word_that_reaches_it() {
    let mut test = TestSession::connected(Settings::default());
    let (games, dice) = (plugin("games"), plugin("dice"));
    test.add_with(&games, "roll", "Rolls a wheel", "").unwrap();
    test.add_with(&dice, "throw", "Throws dice", "").unwrap();
    let mut names = CommandNames::default();
    names.choose("throw".parse().unwrap(), "roll".parse().unwrap()).unwrap();
    dice.names.set(names);
    test.say("!help");
    let [(_, help)] = &test.answers()[..] else { panic!() };
    assert_eq!(help, "Commands:\n!games.roll – Rolls a wheel\n!roll – Throws dice");
}

#[test]
fn a_parked_plugin_keeps_its_commands_until_its_next_run_has_begun() {
    let mut test = TestSession::connected(Settings::default());
    let dice = plugin("dice");
    for name in ["roll", "throw"] {
        test.add(&dice, name).unwrap();
    }
    test.run(|session, _, _| session.instance_parked(dice.instance));
    assert!(matches!(test.add(&plugin("games"), "throw"), Err(CallError::NotOwner(_))));
    test.say("!throw 2");
    assert!(matches!(test.last("command"), Payload::Command { name, .. } if &**name == "throw"));
    test.add(&dice, "roll").unwrap();
    let mut woken = Woken::default();
    test.run(|session, _, effects| woken = session.instance_woken(dice.instance, effects));
    assert_eq!(woken.removed_commands, ["throw"]);
    test.add(&plugin("games"), "throw").unwrap();
    assert!(matches!(test.add(&plugin("games"), "roll"), Err(CallError::NotOwner(_))));
}

/// Otherwise a plugin that first adds others would have more with each time that it is woken.
#[test]
fn commands_that_were_kept_count_when_they_are_added_again() {
    let mut test = TestSession::connected(Settings::default());
    let dice = plugin("dice");
    test.add(&dice, "kept").unwrap();
    test.run(|session, _, _| session.instance_parked(dice.instance));
    for number in 0..MOST {
        test.add(&dice, &format!("new-{number}")).unwrap();
    }
    assert!(matches!(test.add(&dice, "kept"), Err(CallError::OverLimit(_))));
    test.add(&dice, "new-0").unwrap();
    let mut woken = Woken::default();
    test.run(|session, _, effects| woken = session.instance_woken(dice.instance, effects));
    assert_eq!(woken.removed_commands, ["kept"]);
}

/// Row 127.
#[test]
fn plugins_that_are_kept_to_different_rooms_have_commands_of_the_same_name() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let here = format!("{ROOM}/juliet");
    let kept = |id: &str, rooms: &[&str]| {
        let all =
            Grants::from_table(&"\"messages.send\" = [\"*\"]\n\"rooms.send\" = [\"*\"]".parse().unwrap()).unwrap();
        let rooms = RoomList::new(rooms.iter().map(|room| RoomList::room(room).unwrap()));
        let (instance, grants) = (InstanceId::next(), Arc::new(all.in_rooms(Some(rooms))));
        let (mailbox, _) = Mailbox::new(instance, 1, grants);
        Plugin { id: id.parse().unwrap(), instance, mailbox, names: Arc::default() }
    };
    let (one, two) = (kept("one", &["hall@muc.example.org"]), kept("two", &[ROOM, "den@muc.example.org"]));
    test.add(&one, "ban").unwrap();
    test.add(&two, "ban").unwrap();
    // Each goes by one word in one room.
    let taken = Err(CallError::NotOwner("the command ban of the plugin one".to_owned()));
    assert_eq!(test.add(&plugin("three"), "ban"), taken);
    assert_eq!(test.add(&kept("four", &["hall@muc.example.org"]), "ban"), taken);
    let heard = |test: &mut TestSession, from: &str, kind: MessageKind, said: &str| {
        test.forget();
        test.message(message(from, kind, said));
        test.lines().into_iter().find(|line| line.starts_with("command")).unwrap_or_default()
    };
    for said in ["!ban x", "!two.ban x"] {
        assert_eq!(heard(&mut test, &here, MessageKind::Groupchat, said), goes_to(&two));
        assert_eq!(heard(&mut test, &here, MessageKind::Chat, said), goes_to(&two), "in private over the room");
        assert_eq!(heard(&mut test, ROMEO_HOME, MessageKind::Chat, said), "", "outside of rooms");
    }
    assert_eq!(heard(&mut test, &here, MessageKind::Groupchat, "!one.ban x"), "", "it acts in another room");
    test.answers();
    test.message(message(&here, MessageKind::Groupchat, "!help"));
    assert_eq!(test.answers()[0].1, "Commands:\n!ban – Says it");
    test.say("!help");
    assert_eq!(test.answers()[0].1, "There are no commands here.");
    // From another room on, it answers there alone, and the first one here.
    let router = Router::default();
    let moved = |plugin: &Plugin, grants: Grants| router.grant(&plugin.mailbox, Arc::new(grants));
    let grants = |plugin: &Plugin| Grants::clone(&plugin.mailbox.grants());
    let (ones, twos) = (grants(&one), grants(&two));
    moved(&one, twos);
    moved(&two, ones);
    assert_eq!(heard(&mut test, &here, MessageKind::Groupchat, "!ban x"), goes_to(&one));
}

/// A version that starts gets no events, and may fail: then nobody would have the command.
#[test]
fn while_another_version_starts_commands_go_to_the_one_that_runs() {
    let mut test = TestSession::connected(Settings::default());
    let (old, new, router) = (plugin("echo"), plugin("echo"), Router::default());
    let heard = |test: &mut TestSession, said: &str| {
        test.forget();
        test.say(said);
        test.lines().into_iter().find(|line| line.starts_with("command")).unwrap_or_default()
    };
    let (to_old, to_new) = (format!("command for {}", old.instance), format!("command for {}", new.instance));
    for name in ["say", "former"] {
        test.add(&old, name).unwrap();
    }
    router.shadow(&new.mailbox, Shadow::On);
    test.session.instance_successor(new.instance, old.instance);
    for name in ["say", "further"] {
        test.add(&new, name).unwrap();
    }
    assert_eq!(["!say x", "!former x", "!further x"].map(|said| heard(&mut test, said)), [&*to_old, &*to_old, ""]);
    assert_eq!(command_owner(&test.session, old.instance), Some(old.id.clone()));
    test.answers();
    test.say("!help");
    assert_eq!(test.answers()[0].1, "Commands:\n!former – Says it\n!say – Says it", "further is not there yet");
    let taken = Err(CallError::NotOwner("the command further of the plugin echo".to_owned()));
    assert_eq!(test.add(&plugin("other"), "further"), taken, "its names are its own from the start");
    router.shadow(&old.mailbox, Shadow::On);
    router.shadow(&new.mailbox, Shadow::Off);
    test.session.instance_inherits(new.instance);
    assert_eq!(["!say x", "!former x", "!further x"].map(|said| heard(&mut test, said)), [&*to_new, "", &*to_new]);
}

/// The one that runs may add a command again, or fail and start again, while the other one starts. It may also remove its commands when
/// it ends. The version that replaced it had none of that name then.
#[test]
fn what_the_version_that_runs_adds_or_removes_takes_no_command_from_the_one_that_starts() {
    let mut test = TestSession::connected(Settings::default());
    let ([old, again, new], router) = ([(); 3].map(|()| plugin("echo")), Router::default());
    let heard = |test: &mut TestSession| {
        ["!say x", "!gone x"].map(|said| {
            test.forget();
            test.say(said);
            test.lines().into_iter().find(|line| line.starts_with("command")).unwrap_or_default()
        })
    };
    let [to_old, to_again, to_new] = [&old, &again, &new].map(|one| format!("command for {}", one.instance));
    router.shadow(&new.mailbox, Shadow::On);
    test.session.instance_successor(new.instance, old.instance);
    for plugin in [&old, &new, &old] {
        test.add(plugin, "say").unwrap();
        test.add(plugin, "gone").unwrap();
    }
    assert_eq!(heard(&mut test), [&*to_old, &*to_old]);
    test.run(|session, _, effects| session.instance_gone(old.instance, effects));
    assert_eq!(heard(&mut test), ["", ""]);
    test.add(&again, "say").unwrap();
    test.add(&again, "gone").unwrap();
    assert_eq!(heard(&mut test), [&*to_again, &*to_again]);
    test.remove(&again, "gone").unwrap();
    assert!(matches!(test.remove(&again, "gone"), Err(CallError::NotFound(_))));
    assert_eq!(heard(&mut test), [&*to_again, ""]);
    router.shadow(&again.mailbox, Shadow::On);
    router.shadow(&new.mailbox, Shadow::Off);
    test.session.instance_inherits(new.instance);
    // Its handlers may still run.
    test.add(&again, "gone").unwrap();
    assert_eq!(heard(&mut test), [&*to_new, &*to_new]);
    test.remove(&again, "gone").unwrap();
    test.remove(&again, "say").unwrap();
    test.run(|session, _, effects| session.instance_gone(again.instance, effects));
    assert_eq!(heard(&mut test), [&*to_new, &*to_new]);
    test.remove(&new, "say").unwrap();
    assert_eq!(heard(&mut test), ["", &*to_new]);
}

/// Whoever may widen where a plugin acts does so for the version that starts.
#[test]
fn while_another_version_starts_nobody_gives_the_one_that_runs_a_command_elsewhere() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let (old, new, router) = (plugin("echo"), plugin("echo"), Router::default());
    let rooms = RoomList::new([RoomList::room("hall@muc.example.org").unwrap()]);
    let kept = Grants::clone(&old.mailbox.grants()).in_rooms(Some(rooms));
    router.grant(&old.mailbox, Arc::new(kept));
    test.add(&old, "say").unwrap();
    router.shadow(&new.mailbox, Shadow::On);
    test.session.instance_successor(new.instance, old.instance);
    test.add(&new, "say").unwrap();
    test.forget();
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!say x"));
    assert!(!test.lines().iter().any(|line| line.starts_with("command")));
}
