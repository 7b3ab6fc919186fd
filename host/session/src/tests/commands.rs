//! Commands that people give to plugins by name.

use parlor_base::id::PluginId;
use parlor_stanza::types::{Carbon, Extensions, Fallback};

use super::*;
use crate::command_names::{ChosenNames, CommandNames};
use crate::commands::ANSWERS;
use crate::permissions::Grants;
use crate::router::Mailbox;

/// Maximum number of commands of each plugin.
const MOST: usize = 64;
const ROMEO_HOME: &str = "romeo@example.org/home";

/// A plugin that can have commands.
#[derive(Clone)]
struct Plugin {
    id: PluginId,
    instance: InstanceId,
    mailbox: Arc<Mailbox>,
    names: Arc<ChosenNames>,
}

fn plugin(id: &str) -> Plugin {
    granted(id, "\"messages.send\" = [\"*\"]\n\"rooms.send\" = [\"*\"]")
}

fn granted(id: &str, grants: &str) -> Plugin {
    let grants = Grants::from_table(&grants.parse().unwrap()).unwrap();
    let instance = InstanceId::next();
    let (mailbox, _) = Mailbox::new(instance, 1, Arc::new(grants));
    Plugin { id: id.parse().unwrap(), instance, mailbox, names: Arc::default() }
}

impl Desk {
    fn add(&mut self, plugin: &Plugin, name: &str) -> Result<(), CallError> {
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

    fn say(&mut self, body: &str) {
        self.message(message(ROMEO_HOME, MessageKind::Chat, body));
    }

    /// Returns the host's answers since the last call, with their recipients.
    fn answers(&mut self) -> Vec<(String, String)> {
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
    let mut desk = Desk::connected(Settings::default());
    let (echo, other) = (plugin("echo"), plugin("other"));
    desk.add(&echo, "Say").unwrap();
    desk.add(&other, "shout").unwrap();
    desk.say("hello");
    desk.forget();
    for said in ["!say 'one two' three", "!SAY 'one two' three", "!echo.say 'one two' three"] {
        desk.say(said);
        let told = format!("command for {}", echo.instance);
        assert_eq!(desk.lines(), ["message", "messageAdded", "messageNotification", &*told]);
        let Payload::Command { name, args, message } = desk.last("command") else { panic!() };
        assert_eq!((&name[..], args.as_slice()), ("say", &["one two".to_owned(), "three".to_owned()][..]));
        assert_eq!(message.body.as_deref(), Some(said));
    }
    for said in ["say", "! say", "!sayx", "!unknown", "!other.say", "x !say", "", "!", "!.", "!echo.", "!.say"] {
        desk.say(said);
        assert_eq!(desk.count("command"), 3, "{said:?}");
    }
    desk.say(&format!("!{}", "x".repeat(100_000)));
    assert!(desk.answers().is_empty());
}

/// Row 127.
#[test]
fn what_is_no_news_or_no_message_of_others_is_no_command() {
    let mut desk = Desk::connected(Settings::default());
    let echo = plugin("echo");
    desk.add(&echo, "say").unwrap();
    desk.in_room();
    let direct = || message(ROMEO_HOME, MessageKind::Chat, "!say x");
    let correction = Extensions { replace: Some("old".to_owned()), ..Extensions::default() };
    let nothing = [
        Message { delayed: true, ..direct() },
        Message { carbon: Some(Carbon::Received), ..direct() },
        Message { carbon: Some(Carbon::Sent), own: true, ..direct() },
        Message { own: true, ..direct() },
        Message { extensions: Some(Box::new(correction)), ..direct() },
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
        desk.message(one);
        desk.message(help);
        assert_eq!(desk.count("command"), 0, "case {index}");
        assert!(desk.answers().is_empty(), "case {index}");
    }
    desk.message(message(ROMEO_HOME, MessageKind::Normal, "!say x"));
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!say x"));
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Chat, "!say x"));
    assert_eq!(desk.count("command"), 3);
}

/// Row 127.
#[test]
fn a_name_is_one_plugins_and_its_full_name_always_works() {
    let mut desk = Desk::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    desk.add(&one, "say").unwrap();
    desk.add_with(&one, "say", "Says it anew", "").unwrap();
    let taken = desk.add(&two, "SAY");
    assert_eq!(taken, Err(CallError::NotOwner("the command say of the plugin one".to_owned())));
    let reserved = "the command help is the host's; choose another name, or two.help";
    assert_eq!(desk.add(&two, "Help"), Err(CallError::invalid("name", reserved)));
    desk.add(&two, "two.help").unwrap();
    desk.remove(&two, "two.help").unwrap();
    assert!(matches!(desk.add(&two, "one.say"), Err(CallError::Invalid { argument, .. }) if argument == "name"));
    desk.add(&two, "two.say").unwrap();
    desk.forget();
    let heard = |desk: &mut Desk, said: &str| {
        desk.say(said);
        desk.lines().into_iter().find(|line| line.starts_with("command")).unwrap_or_default()
    };
    assert_eq!(heard(&mut desk, "!say"), goes_to(&one));
    assert_eq!(heard(&mut desk, "!one.say"), goes_to(&one));
    assert_eq!(heard(&mut desk, "!two.say"), goes_to(&two));
    assert!(matches!(desk.remove(&two, "shout"), Err(CallError::NotFound(_))));
    assert!(matches!(desk.remove(&two, "one.say"), Err(CallError::Invalid { .. })));
    desk.remove(&one, "say").unwrap();
    assert_eq!(heard(&mut desk, "!say"), "");
    desk.add(&two, "say").unwrap();
    assert_eq!(heard(&mut desk, "!say"), goes_to(&two));
    desk.run(|session, _, effects| session.instance_gone(two.instance, effects));
    assert_eq!(heard(&mut desk, "!two.say"), "");
    assert_eq!(desk.session.features.commands.len(), 0, "gone with the instance");
}

fn goes_to(plugin: &Plugin) -> String {
    format!("command for {}", plugin.instance)
}

/// Row 127.
#[test]
fn an_owner_gives_commands_other_names_while_the_plugins_run() {
    let mut desk = Desk::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    let named = |plugin: &Plugin, pairs: &[(&str, &str)]| {
        let mut names = CommandNames::default();
        for (command, name) in pairs {
            names.choose(command.parse().unwrap(), name.parse().unwrap()).unwrap();
        }
        plugin.names.set(names);
    };
    let heard = |desk: &mut Desk, said: &str| {
        desk.forget();
        desk.say(said);
        desk.lines().into_iter().find(|line| line.starts_with("command")).unwrap_or_default()
    };
    desk.add(&one, "say").unwrap();
    assert!(desk.add(&two, "say").is_err());
    // A command that the owner has renamed needs no short name.
    named(&two, &[("say", "shout")]);
    desk.add(&two, "say").unwrap();
    assert_eq!(heard(&mut desk, "!SHOUT x"), goes_to(&two));
    let Payload::Command { name, args, .. } = desk.last("command") else { panic!() };
    assert_eq!((&name[..], args.as_slice()), ("say", &["x".to_owned()][..]), "the plugin knows it by its own name");
    assert_eq!(heard(&mut desk, "!say"), goes_to(&one));
    assert_eq!(heard(&mut desk, "!two.say"), goes_to(&two));

    named(&one, &[("say", "whisper")]);
    assert_eq!(heard(&mut desk, "!whisper"), goes_to(&one));
    assert_eq!(heard(&mut desk, "!one.say"), goes_to(&one));
    assert_eq!(heard(&mut desk, "!say"), "", "a name that is free comes to nobody by itself");
    desk.say("!help");
    assert_eq!(desk.answers()[0].1, "Commands:\n!shout – Says it\n!whisper – Says it");
    desk.say("!help whisper");
    assert_eq!(desk.answers()[0].1, "Usage: !whisper [WHAT]\nSays it");
    // An owner's name takes precedence over a plugin's.
    named(&one, &[]);
    named(&two, &[("say", "say")]);
    assert_eq!(heard(&mut desk, "!say"), goes_to(&two));
    named(&two, &[]);
    assert_eq!(heard(&mut desk, "!shout"), "");
    assert_eq!(heard(&mut desk, "!say"), goes_to(&one));
}

/// Row 127.
#[test]
fn what_is_added_is_checked_and_bounded() {
    let mut desk = Desk::connected(Settings::default());
    let echo = plugin("echo");
    let long = "x".repeat(33);
    for name in ["", "a b", "a!", "a.b", "echo.", ".x", "a\n", "a'", &long, &"x".repeat(1 << 20)] {
        assert!(matches!(desk.add(&echo, name), Err(CallError::Invalid { argument, .. }) if argument == "name"));
    }
    for text in ["a\nb", "a\u{1}", &"x".repeat(257)] {
        let refused = desk.add_with(&echo, "say", text, "");
        assert!(matches!(refused, Err(CallError::Invalid { argument, .. }) if argument == "help"));
        let refused = desk.add_with(&echo, "say", "", text);
        assert!(matches!(refused, Err(CallError::Invalid { argument, .. }) if argument == "usage"));
    }
    for number in 0..MOST {
        desk.add(&echo, &format!("c{number}")).unwrap();
    }
    assert!(matches!(desk.add(&echo, "more"), Err(CallError::OverLimit(_))));
    desk.add(&echo, "c0").unwrap();
    desk.add(&plugin("other"), "more").unwrap();
}

/// Row 127.
#[test]
fn help_is_answered_where_it_was_asked() {
    let mut desk = Desk::connected(Settings::default());
    desk.say("!help");
    assert!(desk.answers().is_empty(), "without commands there is nothing to help with");
    desk.add_with(&plugin("echo"), "say", "Says it", "WHAT").unwrap();
    desk.add_with(&plugin("two"), "two.say", "", "").unwrap();
    desk.in_room();
    let list = "Commands:\n!say – Says it\n!two.say".to_owned();
    desk.say("!help");
    assert_eq!(desk.answers(), [(format!("chat {ROMEO_HOME}"), list.clone())]);
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!HELP "));
    assert_eq!(desk.answers(), [(format!("groupchat {ROOM}"), list)]);
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Chat, "!help !say"));
    assert_eq!(desk.answers(), [(format!("chat {ROOM}/juliet"), "Usage: !say WHAT\nSays it".to_owned())]);
    desk.say("!help two.say");
    assert_eq!(desk.answers()[0].1, "Usage: !two.say");
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!help nobody"));
    assert!(desk.answers().is_empty(), "in a room it may be meant for another bot");
    desk.say("!help nobody");
    assert_eq!(desk.answers()[0].1, "There is no command of that name.");
}

/// Row 127.
/// Like the plugins' own answers.
#[test]
fn help_stays_in_the_thread_that_it_was_asked_in() {
    let mut desk = Desk::connected(Settings::default());
    desk.add(&plugin("echo"), "say").unwrap();
    desk.message(Message { thread: Some("t1".to_owned()), ..message(ROMEO_HOME, MessageKind::Chat, "!help") });
    let Some(Outgoing::Message { draft, .. }) = desk.sent.last() else { panic!() };
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
        let extensions = Some(Box::new(Extensions { fallback, ..Extensions::default() }));
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
    let mut desk = Desk::connected(Settings::default());
    desk.add(&plugin("echo"), "say").unwrap();
    desk.message(quoting("!say a> b\n c", &[(6, 10)]));
    let Payload::Command { args, .. } = desk.last("command") else { panic!() };
    assert_eq!(args, &["a", "c"]);
}

/// Returns a reply whose quotations are in these ranges.
fn quoting(body: &str, parts: &[(u32, u32)]) -> Message {
    let part = |part: &(u32, u32)| Fallback { feature: Some("urn:xmpp:reply:0".to_owned()), part: Some(*part) };
    let fallback = parts.iter().map(part).collect();
    let extensions = Some(Box::new(Extensions { fallback, ..Extensions::default() }));
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
    let mut desk = Desk::connected(Settings::default());
    let heard = "messages.read\" = [\"*\"]\n\"messages.send\" = [\"nurse@example.org\"]\n\"rooms.send";
    desk.add(&granted("spy", &format!("\"{heard}\" = [\"other@muc.example.org\"]")), "canary").unwrap();
    desk.add(&plugin("echo"), "say").unwrap();
    desk.in_room();
    let help = "Commands:\n!say – Says it";
    desk.say("!help");
    desk.say("!help canary");
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!help"));
    let answers: Vec<String> = desk.answers().into_iter().map(|(_, text)| text).collect();
    assert_eq!(answers, [help, "There is no command of that name.", help]);
    desk.message(message("nurse@example.org/home", MessageKind::Chat, "!help canary"));
    assert!(desk.answers()[0].1.contains("!canary"));
}

#[test]
fn help_says_where_no_plugin_that_has_a_command_may_speak() {
    let mut desk = Desk::connected(Settings::default());
    desk.add(&granted("karma", "\"rooms.send\" = [\"*\"]"), "karma").unwrap();
    desk.in_room();
    desk.say("!help");
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!help"));
    let answers: Vec<String> = desk.answers().into_iter().map(|(_, text)| text).collect();
    assert_eq!(answers[0], "There are no commands here.");
    assert!(answers[1].starts_with("Commands:\n!karma"), "{answers:?}");
}

#[test]
fn help_is_not_given_without_end() {
    let mut desk = Desk::connected(Settings::default());
    for number in 0..MOST {
        desk.add_with(&plugin(&format!("p{number}")), &format!("c{number}"), &"x".repeat(256), "").unwrap();
    }
    for _ in 0..50 {
        desk.say("!help");
    }
    let answers = desk.answers();
    assert_eq!(answers.len(), ANSWERS as usize);
    assert!(answers[0].1.len() < 9_000 && answers[0].1.contains("more"), "{}", answers[0].1.len());
    desk.wait(2);
    desk.say("!help");
    desk.say("!help");
    assert_eq!(desk.answers().len(), 1);
    desk.wait(3_600);
    for _ in 0..50 {
        desk.say("!help");
    }
    assert_eq!(desk.answers().len(), ANSWERS as usize);
}

/// Settings `failed_command_answer`.
#[test]
fn a_command_that_failed_is_answered_where_it_was_given_in_the_owners_words() {
    let mut desk = Desk::connected(Settings::default());
    // The plugin may not speak itself: the words are the owner's.
    let echo = granted("echo", "");
    desk.add(&echo, "say").unwrap();
    desk.in_room();
    desk.say("!say x");
    desk.fails("command").unwrap();
    assert_eq!(desk.answers(), [(format!("chat {ROMEO_HOME}"), "Sorry, that failed.".to_owned())]);
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "!say x"));
    desk.fails("command").unwrap();
    assert_eq!(desk.answers(), [(format!("groupchat {ROOM}"), "Sorry, that failed.".to_owned())]);

    desk.set(&[("failed_command_answer", "".into())]).unwrap();
    desk.say("!say x");
    desk.fails("command").unwrap();
    assert!(desk.answers().is_empty());
    desk.set(&[("failed_command_answer", "Hoppla.".into())]).unwrap();
    desk.say("!say x");
    // The same number of answers as for help, and no more.
    for _ in 0..ANSWERS {
        desk.fails("command").unwrap();
    }
    assert_eq!(desk.answers().len(), ANSWERS as usize - 2);
}

/// Settings `command_prefix`.
#[test]
fn the_prefix_is_the_owners() {
    let mut desk = Desk::connected(settings(&[("command_prefix", "bot: ".into())]));
    desk.add(&plugin("echo"), "say").unwrap();
    desk.say("!say");
    assert_eq!(desk.count("command"), 0);
    desk.say("bot: say x");
    assert_eq!(desk.count("command"), 1);
    desk.set(&[("command_prefix", "".into())]).unwrap();
    desk.say("say");
    desk.say("help");
    assert_eq!(desk.count("command"), 1, "without a prefix there are no commands");
    assert!(desk.answers().is_empty());
}

/// A word that the owner chose for one command reaches that one, so help does not show another command by it.
#[test]
fn help_names_each_command_by_a_word_that_reaches_it() {
    let mut desk = Desk::connected(Settings::default());
    let (games, dice) = (plugin("games"), plugin("dice"));
    desk.add_with(&games, "roll", "Rolls a wheel", "").unwrap();
    desk.add_with(&dice, "throw", "Throws dice", "").unwrap();
    let mut names = CommandNames::default();
    names.choose("throw".parse().unwrap(), "roll".parse().unwrap()).unwrap();
    dice.names.set(names);
    desk.say("!help");
    let [(_, help)] = &desk.answers()[..] else { panic!() };
    assert_eq!(help, "Commands:\n!games.roll – Rolls a wheel\n!roll – Throws dice");
}
