//! Commands with typed arguments: permissions, cooldowns, and the host's own answers.

use super::commands::{MOST, Plugin, ROMEO_HOME, granted, plugin};
use super::*;
use crate::command_names::CommandNames;
use crate::command_rules::{CommandPlace, CommandRules, People, RoomAffiliation, RoomRole};
use crate::commands::answers::PERSON_ANSWERS;
use crate::commands::bare::MOST_BARE;
use crate::router::{Mailbox, OwnersPart, PluginContacts, Setup};
use crate::{set_host_clients, unfinished, withhold_command};

const JULIET_HOME: &str = "juliet@example.org/home";

pub(super) fn argument(name: &str, kind: Kind) -> Argument {
    let (name, help) = (name.to_owned(), String::new());
    Argument { name, kind, optional: false, default: None, named: false, help, page: None }
}

pub(super) fn declaration(name: &str) -> Declaration {
    Declaration {
        name: name.to_owned(),
        help: "Does it".to_owned(),
        aliases: Vec::new(),
        arguments: Vec::new(),
        allow: Vec::new(),
        person_cooldown: Duration::ZERO,
        room_cooldown: Duration::ZERO,
        place: None,
    }
}

/// A command that is only for these people.
pub(super) fn only(name: &str, people: People) -> Declaration {
    Declaration { allow: vec![people], ..declaration(name) }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl TestSession {
    pub(super) fn declare(&mut self, plugin: &Plugin, declaration: Declaration) -> Result<Added, CallError> {
        let (mailbox, names) = (Arc::clone(&plugin.mailbox), Arc::clone(&plugin.names));
        let (plugin, declared) = (plugin.id.clone(), Declared::check(declaration)?);
        let mut receiver = self.ask(DeclareCommand { mailbox, names, plugin, declared, most: MOST });
        got(&mut receiver).unwrap()
    }

    fn say_from(&mut self, from: &str, body: &str) {
        self.message(message(from, MessageKind::Chat, body));
    }

    fn say_in_room(&mut self, nick: &str, body: &str) {
        self.message(message(&format!("{ROOM}/{nick}"), MessageKind::Groupchat, body));
    }

    /// Returns how many commands a private message gives, and the texts of the host's answers.
    fn gives(&mut self, from: &str, said: &str) -> (usize, Vec<String>) {
        // The host answers no more than some at once.
        self.wait(3);
        self.forget();
        self.answers();
        self.say_from(from, said);
        (self.count("command"), self.texts())
    }

    /// Returns the texts of the host's answers since the last call.
    pub(super) fn texts(&mut self) -> Vec<String> {
        self.answers().into_iter().map(|(_, text)| text).collect()
    }

    /// Lets someone enter the room with this role and affiliation, and with this address if the room shows it.
    fn enters(&mut self, nick: &str, role: &str, affiliation: &str, jid: Option<&str>) {
        let muc = MucUser {
            affiliation: affiliation.to_owned(),
            role: role.to_owned(),
            jid: jid.map(|text| text.parse().unwrap()),
            ..MucUser::default()
        };
        let from = format!("{ROOM}/{nick}");
        self.presence(Presence { muc: Some(Box::new(muc)), ..presence(&from, PresenceKind::Available) });
        self.forget();
    }
}

/// Row 150.
#[test]
fn the_plugin_gets_the_values_and_only_for_right_arguments() {
    let mut test = TestSession::connected(Settings::default());
    let dice = plugin("dice");
    let sides = Argument { default: Some("6".to_owned()), ..argument("sides", Kind::Integer(2, 20)) };
    let arguments = vec![argument("count", Kind::Integer(1, 100)), sides, argument("secret", Kind::Flag)];
    test.declare(&dice, Declaration { arguments, ..declaration("roll") }).unwrap();
    test.say("!roll 3 --secret");
    let Payload::Command { name, args, values, .. } = test.last("command") else { panic!() };
    assert_eq!((&name[..], args.as_slice()), ("roll", &["3".to_owned(), "--secret".to_owned()][..]));
    let expected = [
        ("count".to_owned(), CommandValue::Integer(3)),
        ("sides".to_owned(), CommandValue::Integer(6)),
        ("secret".to_owned(), CommandValue::Flag(true)),
    ];
    assert_eq!(*values, expected);
    test.forget();
    test.say("!roll many");
    let usage = "Usage: !roll COUNT [SIDES] [--secret]";
    let wrong = format!("COUNT: `many` is not a whole number from 1 to 100.\n{usage}");
    assert_eq!(test.answers(), [(format!("chat {ROMEO_HOME}"), wrong)]);
    test.in_room();
    test.say_in_room("juliet", "!ROLL 1 2 3");
    let many = format!("juliet: `3` is one argument too many.\n{usage}");
    assert_eq!(test.answers(), [(format!("groupchat {ROOM}"), many)]);
    assert_eq!(test.count("command"), 0, "the plugin is not told");
    // A command that was added without arguments has no values.
    test.add(&dice, "roll").unwrap();
    test.say("!roll many");
    assert!(matches!(test.last("command"), Payload::Command { values, .. } if values.is_empty()));
}

/// Row 150.
#[test]
fn in_a_room_a_nickname_stands_for_an_address_that_the_room_shows() {
    let mut test = TestSession::connected(Settings::default());
    let arguments = vec![argument("whom", Kind::Jid)];
    test.declare(&plugin("mod"), Declaration { arguments, ..declaration("greet") }).unwrap();
    test.in_room();
    test.enters("Nurse", "participant", "none", Some("nurse@example.org/ward"));
    test.say_in_room("juliet", "!greet Nurse");
    let nurse = || CommandValue::Jid(jid("nurse@example.org"));
    assert!(matches!(test.last("command"), Payload::Command { values, .. } if values[0].1 == nurse()));
    test.forget();
    test.say_in_room("juliet", "!greet juliet");
    assert!(test.texts()[0].starts_with("juliet: WHOM: this room does not show the address of `juliet`.\nUsage: "));
    test.forget();
    test.say_in_room("juliet", "!greet Paris");
    let absent =
        "juliet: WHOM: nobody here is called `Paris`, and it is not an address such as juliet@example.org.\nUsage: ";
    assert!(test.texts()[0].starts_with(absent), "{:?}", test.texts());
    // Outside of rooms there are no nicknames, and a word without a dot is not a domain.
    test.say("!greet Nurse");
    assert_eq!(test.count("command"), 0);
    test.say("!greet example.org");
    let domain = CommandValue::Jid(jid("example.org"));
    assert!(matches!(test.last("command"), Payload::Command { values, .. } if values[0].1 == domain));
}

/// Row 150.
#[test]
fn in_a_room_a_command_may_follow_our_nickname_in_place_of_the_prefix() {
    let mut test = TestSession::connected(Settings::default());
    test.declare(&plugin("dice"), declaration("roll")).unwrap();
    test.in_room();
    let ways = ["bot: roll", "BOT, roll", "Bot:roll", "bot: !roll", "bot:   dice.ROLL", "bot\u{ff1a}roll"];
    let mentions = ["@bot roll", "@Bot: roll", "@bot, !roll"];
    for (number, said) in (1..).zip(ways.into_iter().chain(mentions)) {
        test.say_in_room("juliet", said);
        assert_eq!(test.count("command"), number, "{said}");
        assert!(matches!(test.last("message"), Payload::Message(one) if one.command.as_deref() == Some("roll")));
    }
    test.forget();
    let others = ["bots: roll", "robot: roll", "juliet: roll", "@bots roll", "@@bot roll", "@ bot roll", "me@bot roll"];
    for said in ["bot roll", "bot: hello", "bot:", "bot: ", "roll", "@bot", "@botroll"].into_iter().chain(others) {
        test.say_in_room("juliet", said);
        assert!(matches!(test.last("message"), Payload::Message(one) if one.command.is_none()), "{said}");
    }
    // In a chat there is only one other person.
    test.say("bot: roll");
    assert_eq!(test.count("command"), 0);
    test.say_in_room("juliet", "bot: help roll");
    assert_eq!(test.texts(), ["Usage: !roll\nDoes it"]);
    test.set(&[("command_prefix", "".into())]).unwrap();
    test.say_in_room("juliet", "bot: help roll");
    assert_eq!(test.texts(), ["Usage: bot: roll\nDoes it"]);
    test.say_in_room("bot", "bot: roll");
    test.say("roll");
    assert_eq!(test.count("command"), 0);
}

/// Row 151.
#[test]
fn a_command_for_some_people_is_refused_to_others_by_every_name() {
    let mut test = TestSession::connected(Settings::default());
    let wipe =
        Declaration { aliases: vec!["erase".to_owned()], ..only("wipe", People::Jid(bare("juliet@example.org"))) };
    test.declare(&plugin("mod"), wipe).unwrap();
    for said in ["!wipe", "!WIPE x", "!erase", "!mod.wipe", "!mod.erase"] {
        test.say(said);
        let word = said.split(' ').next().unwrap().to_lowercase();
        assert_eq!(test.texts(), [format!("You may not give {word} here.")]);
        test.wait(2);
    }
    test.say_from("juliet@evil.example/juliet@example.org", "!wipe");
    test.say_from("example.org/juliet", "!wipe");
    assert_eq!(test.count("command"), 0);
    test.say_from(JULIET_HOME, "!erase");
    assert!(matches!(test.last("command"), Payload::Command { name, .. } if &**name == "wipe"));
}

/// A plugin on that account that may write to this one would have the commands of its owner.
#[test]
fn the_hosts_own_client_at_an_owners_address_gives_no_command_for_owners() {
    let mut test = TestSession::connected(Settings::default());
    test.session.set_owners(vec![bare("juliet@example.org")]);
    let juliets: Jid = "juliet@example.org/parlor".parse().unwrap();
    set_host_clients(&mut test.session, move |client| *client == juliets);
    let one = plugin("mod");
    test.declare(&one, only("wipe", People::Owners)).unwrap();
    test.declare(&one, only("greet", People::Jid(bare("juliet@example.org")))).unwrap();
    test.say_from("juliet@example.org/parlor", "!wipe");
    assert_eq!((test.count("command"), test.texts()), (0, vec!["You may not give !wipe here.".to_owned()]));
    test.say_from("juliet@example.org/parlor", "!greet");
    assert_eq!(test.count("command"), 1, "its bot is there for others");
    test.say_from(JULIET_HOME, "!wipe");
    assert_eq!(test.count("command"), 2, "her other clients are her own");
}

/// The room brings the message back, from an occupant with the account's role.
#[test]
fn no_plugin_gives_a_command_by_a_message_to_the_accounts_own_nickname() {
    let mut test = TestSession::connected(Settings::default());
    test.declare(&plugin("mod"), only("wipe", People::Role(RoomRole::Moderator))).unwrap();
    test.in_room();
    test.enters("bot", "moderator", "owner", None);
    test.enters("juliet", "moderator", "none", None);
    test.say_from(&format!("{ROOM}/bot"), "!wipe");
    assert_eq!((test.count("command"), test.texts()), (0, Vec::new()));
    let Payload::Message(whispered) = test.last("message") else { panic!() };
    assert_eq!((whispered.own, whispered.command.as_deref()), (true, None));
    assert_eq!(whispered.chat, jid(&format!("{ROOM}/bot")));
    test.say_from(&format!("{ROOM}/juliet"), "!wipe");
    assert_eq!(test.count("command"), 1);
    // A refusal is news for the plugin whose message it is about, wherever it comes from.
    let refusal =
        Message { error: Some(stanza_error("forbidden")), ..message(&format!("{ROOM}/bot"), MessageKind::Error, "") };
    test.message(refusal);
    let Payload::Message(refused) = test.last("messageError") else { panic!() };
    assert!(!refused.own);
}

/// A room answers in the order of the stanzas: a change of our status and a message come back before it knows that we leave.
#[test]
fn no_plugin_gives_a_command_by_a_message_to_the_own_nickname_and_by_leaving_the_room() {
    let mut test = TestSession::connected(Settings::default());
    test.declare(&plugin("mod"), only("wipe", People::Role(RoomRole::Moderator))).unwrap();
    test.in_room();
    test.enters("bot", "moderator", "owner", None);
    let _closed = test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    let muc = MucUser { role: "moderator".to_owned(), status: vec![110], ..MucUser::default() };
    test.presence(Presence { muc: Some(Box::new(muc)), ..presence(&format!("{ROOM}/bot"), PresenceKind::Available) });
    test.forget();
    test.say_from(&format!("{ROOM}/bot"), "!wipe");
    assert_eq!((test.count("command"), test.texts()), (0, Vec::new()));
    let Payload::Message(whispered) = test.last("message") else { panic!() };
    assert!(whispered.own);
}

/// Row 151.
#[test]
fn a_command_for_one_place_is_refused_in_others_with_the_place_and_begins_no_cooldown() {
    let mut test = TestSession::connected(Settings::default());
    let one = plugin("mod");
    let only_in = |name: &str, place: CommandPlace| Declaration {
        place: Some(place),
        person_cooldown: seconds(60),
        arguments: vec![argument("count", Kind::Integer(1, 6))],
        ..declaration(name)
    };
    let topic = Declaration { allow: vec![People::Role(RoomRole::Moderator)], ..only_in("topic", CommandPlace::Room) };
    test.declare(&one, topic).unwrap();
    test.declare(&one, only_in("vote", CommandPlace::Private)).unwrap();
    test.in_room();
    test.enters("juliet", "moderator", "owner", None);
    let in_private = format!("{ROOM}/juliet");
    // Wrong arguments are not mentioned. Private messages through a room are private, and their author is a moderator.
    test.say("!topic x");
    test.message(Message { kind: MessageKind::Normal, ..message(JULIET_HOME, MessageKind::Chat, "!mod.topic 1") });
    test.say_from(&in_private, "!topic 1");
    let only_room = |word: &str| format!("You can give {word} only in a room, not in a private chat.");
    assert_eq!(test.texts(), [only_room("!topic"), only_room("!mod.topic"), only_room("!topic")]);
    test.say_in_room("juliet", "!vote 1");
    test.say_in_room("juliet", "bot: vote 1");
    let only_private = "juliet: You can give !vote only in a private chat, not in a room.";
    assert_eq!(test.texts(), [only_private, only_private]);
    assert_eq!(test.count("command"), 0);
    // Elsewhere, the command is given at once.
    test.say_in_room("juliet", "!topic 1");
    test.say_from(&in_private, "!vote 1");
    test.say("!vote 1");
    assert_eq!(test.count("command"), 3);
    // The place says nothing about the people.
    test.enters("Romeo", "participant", "none", None);
    test.say_in_room("Romeo", "!topic 1");
    assert_eq!(test.texts(), ["Romeo: You may not give !topic here."]);
}

/// Row 151.
#[test]
fn help_lists_a_command_in_its_place_and_says_everywhere_where_it_works() {
    let mut test = TestSession::connected(Settings::default());
    let one = plugin("mod");
    let only_in = |name: &str, place: CommandPlace| Declaration { place: Some(place), ..declaration(name) };
    test.declare(&one, only_in("topic", CommandPlace::Room)).unwrap();
    test.declare(&one, only_in("vote", CommandPlace::Private)).unwrap();
    test.declare(&one, declaration("roll")).unwrap();
    test.in_room();
    test.say("!help");
    test.say_in_room("juliet", "!help");
    test.say_from(&format!("{ROOM}/juliet"), "!help");
    let list = |name: &str| format!("Commands:\n!roll – Does it\n!{name} – Does it");
    assert_eq!(test.texts(), [list("vote"), list("topic"), list("vote")]);
    test.wait(10);
    test.say("!help topic");
    test.say("!help roll");
    test.say_in_room("juliet", "!help vote");
    assert_eq!(
        test.texts(),
        [
            "Usage: !topic\nDoes it\nYou can give it only in a room, not in a private chat.",
            "Usage: !roll\nDoes it",
            "Usage: !vote\nDoes it\nYou can give it only in a private chat, not in a room.",
        ]
    );
}

/// Settings `command_prefix_optional_in_private`.
#[test]
fn in_private_a_command_needs_no_prefix_if_the_owner_says_so() {
    let mut test = TestSession::connected(Settings::default());
    let dice = plugin("dice");
    let arguments = vec![argument("count", Kind::Integer(1, 100))];
    test.declare(&dice, Declaration { arguments, ..declaration("roll") }).unwrap();
    test.declare(&dice, declaration("stop")).unwrap();
    test.in_room();
    let there = format!("{ROOM}/juliet");
    assert_eq!(test.gives(ROMEO_HOME, "roll 3"), (0, vec![]));
    assert_eq!(test.gives(ROMEO_HOME, "help"), (0, vec![]));
    test.set(&[("command_prefix_optional_in_private", true.into())]).unwrap();
    for from in [ROMEO_HOME, there.as_str()] {
        for said in ["roll 3", "Roll 3", "dice.roll 3", "!roll 3"] {
            assert_eq!(test.gives(from, said), (1, vec![]), "{from}: {said}");
            assert_eq!(test.count("message"), 1);
            assert!(matches!(test.last("message"), Payload::Message(one) if one.command.as_deref() == Some("roll")));
        }
        for said in ["rolling 3", "roll, please", "roll: 3", "?roll 3", "please roll 3", "tea", "!tea", "bot: roll 3"] {
            assert_eq!(test.gives(from, said), (0, vec![]), "{from}: {said}");
            assert!(matches!(test.last("message"), Payload::Message(one) if one.command.is_none()), "{said}");
        }
    }
    let usage = "COUNT: `many` is not a whole number from 1 to 100.\nUsage: roll COUNT";
    assert_eq!(test.gives(ROMEO_HOME, "roll many"), (0, vec![usage.to_owned()]));
    assert_eq!(test.gives(&there, "help").1, ["Commands:\nroll – Does it\nstop – Does it"]);
    for said in ["help stop", "help !stop", "!help stop", "!help !stop"] {
        assert_eq!(test.gives(ROMEO_HOME, said).1, ["Usage: stop\nDoes it"], "{said}");
    }
    test.forget();
    for said in ["roll 3", "stop", "help"] {
        test.say_in_room("juliet", said);
    }
    assert_eq!((test.count("command"), test.texts()), (0, vec![]), "in a room it needs the prefix");
    test.say_in_room("juliet", "!help stop");
    assert_eq!(test.texts(), ["Usage: !stop\nDoes it"]);
    test.message(Message { delayed: true, ..message(ROMEO_HOME, MessageKind::Chat, "stop") });
    assert_eq!(test.count("command"), 0, "history");
    test.set(&[("command_prefix", "".into())]).unwrap();
    assert_eq!(test.gives(ROMEO_HOME, "stop"), (1, vec![]));
    assert_eq!(test.gives(ROMEO_HOME, "help stop").1, ["Usage: stop\nDoes it"]);
}

/// Settings `command_prefix_optional_in_private`. Otherwise a plugin that answers all messages would miss it.
#[test]
fn a_message_that_only_begins_with_the_name_of_a_command_is_none_without_the_prefix() {
    let mut test = TestSession::connected(settings(&[("command_prefix_optional_in_private", true.into())]));
    let one = plugin("mod");
    test.declare(&one, declaration("stop")).unwrap();
    test.declare(&one, declaration("gone")).unwrap();
    test.declare(&one, only("kick", People::Jid(bare("juliet@example.org")))).unwrap();
    test.declare(&one, Declaration { place: Some(CommandPlace::Room), ..declaration("topic") }).unwrap();
    let mut names = CommandNames::default();
    names.rule("gone".parse().unwrap(), CommandRules { off: true, ..CommandRules::default() });
    one.names.set(names);
    let messages = ["stop that, please", "kick", "kick the ball", "topic", "gone", "help me", "help kick", "help gone"];
    for said in messages {
        assert_eq!(test.gives(ROMEO_HOME, said), (0, vec![]), "{said}");
        assert!(matches!(test.last("message"), Payload::Message(one) if one.command.is_none()), "{said}");
    }
    assert_eq!(test.gives(ROMEO_HOME, "stop "), (1, vec![]));
    assert_eq!(test.gives(JULIET_HOME, "kick"), (1, vec![]));
    // With the prefix it is meant, and answered.
    assert_eq!(test.gives(ROMEO_HOME, "!kick"), (0, vec!["You may not give kick here.".to_owned()]));
    let elsewhere = "You can give !topic only in a room, not in a private chat.";
    assert_eq!(test.gives(ROMEO_HOME, "!topic"), (0, vec![elsewhere.to_owned()]));
    assert_eq!(test.gives(ROMEO_HOME, "!stop that").1, ["`that` is one argument too many.\nUsage: stop"]);
    assert_eq!(test.gives(ROMEO_HOME, "!help me").1, ["There is no command of that name."]);
}

/// Settings `command_prefix_optional_in_private`. The answers of another bot may begin with the name of a command.
#[test]
fn two_bots_that_take_commands_without_the_prefix_do_not_answer_each_other_without_end() {
    let mut test = TestSession::connected(settings(&[("command_prefix_optional_in_private", true.into())]));
    let notes = plugin("notes");
    test.declare(&notes, declaration("note")).unwrap();
    for _ in 0..MOST_BARE {
        test.say_from(ROMEO_HOME, "note");
    }
    assert_eq!(test.count("command"), MOST_BARE as usize);
    assert_eq!(test.gives(JULIET_HOME, "note"), (1, vec![]), "others go on");
    // One was given back meanwhile.
    for _ in 0..2 {
        test.say_from(ROMEO_HOME, "note");
    }
    assert_eq!(test.count("command"), 2);
    assert!(matches!(test.last("message"), Payload::Message(one) if one.command.is_none()), "it stays a message");
    test.say_from(ROMEO_HOME, "!note");
    assert_eq!(test.count("command"), 3, "with the prefix it is meant");
}

/// Row 151.
#[test]
fn people_are_those_whom_the_server_or_the_room_vouches_for() {
    let mut test = TestSession::new(Settings::default());
    test.session.set_owners(vec![bare("juliet@example.org")]);
    test.run(Session::plugins_initialized);
    test.bind();
    let staff = RosterItem { groups: vec!["staff".to_owned()], ..item("nurse@example.org", "from") };
    test.roster(vec![item(ROMEO, "both"), item("paris@example.org", "from"), staff]);
    test.in_room();
    let one = plugin("mod");
    for (name, people) in [
        ("contacts", People::Contacts),
        ("staff", People::Group("staff".to_owned())),
        ("romeo", People::Jid(bare(ROMEO))),
        ("local", People::Jid(bare("example.org"))),
        ("owners", People::Owners),
        ("moderators", People::Role(RoomRole::Moderator)),
        ("admins", People::Affiliation(RoomAffiliation::Admin)),
        ("room", People::Jid(bare(ROOM))),
        ("service", People::Jid(bare("muc.example.org"))),
    ] {
        test.declare(&one, only(name, people)).unwrap();
    }
    test.enters("boss", "moderator", "owner", None);
    test.enters("Romeo", "participant", "none", Some("romeo@example.org/phone"));
    test.enters("fake", "participant", "none", Some(JULIET_HOME));
    let names = ["contacts", "staff", "romeo", "local", "owners", "moderators", "admins", "room", "service"];
    let may = |test: &mut TestSession, from: &str, kind: MessageKind| -> Vec<&'static str> {
        let gives = |name: &&str| {
            test.forget();
            test.message(message(from, kind, &format!("!{name}")));
            test.count("command") == 1
        };
        names.into_iter().filter(gives).collect()
    };
    let direct = MessageKind::Chat;
    assert_eq!(may(&mut test, ROMEO_HOME, direct), ["contacts", "romeo", "local"]);
    assert_eq!(may(&mut test, "paris@example.org/home", direct), ["local"], "its presence is not seen");
    assert_eq!(may(&mut test, "nurse@example.org/home", direct), ["staff", "local"]);
    assert_eq!(may(&mut test, JULIET_HOME, direct), ["local", "owners"]);
    assert_eq!(may(&mut test, "tybalt@example.com/home", direct), [""; 0]);
    for kind in [MessageKind::Groupchat, direct] {
        let occupant = |nick: &str| format!("{ROOM}/{nick}");
        assert_eq!(may(&mut test, &occupant("juliet"), kind), [""; 0], "the room hides the address");
        assert_eq!(may(&mut test, &occupant("boss"), kind), ["moderators", "admins"]);
        assert_eq!(may(&mut test, &occupant("Romeo"), kind), ["contacts", "romeo", "local"]);
        assert_eq!(may(&mut test, &occupant("fake"), kind), ["local"], "no room vouches for an owner");
    }
}

/// Returns a plugin whose commands heed what plugins made of contacts.
fn heedful(id: &str, all: &Arc<PluginContacts>) -> Plugin {
    let mut one = plugin(id);
    let setup = Setup { own_contacts: Some(all.of(&one.id)), ..Setup::default() };
    let grants = Arc::clone(&one.mailbox.grants());
    one.mailbox = Mailbox::with(one.instance, 1, grants, setup).0;
    one
}

/// Rules plugin-contact.
/// Otherwise a plugin with `contacts.write` could let strangers give commands of other plugins.
#[test]
fn what_a_plugin_made_of_a_contact_gives_nobody_a_command() {
    let mut test = TestSession::connected(Settings::default());
    let all = Arc::new(PluginContacts::default());
    let dice = heedful("dice", &all);
    let notes = ["dice", "other"].map(|plugin| all.of(&plugin.parse().unwrap()));
    for (name, people) in [("contacts", People::Contacts), ("staff", People::Group("staff".to_owned()))] {
        test.declare(&dice, only(name, people)).unwrap();
    }
    test.push(RosterItem { groups: vec!["staff".to_owned()], ..item("juliet@example.org", "both") });
    let mut may = || {
        let given = ["!contacts", "!staff"].map(|said| test.gives(JULIET_HOME, said).0 == 1);
        let help = test.gives(JULIET_HOME, "!help").1.concat();
        let offered = test.items(JULIET_HOME).unwrap_or_default();
        let helped = ["!contacts", "!staff"].map(|name| help.contains(name));
        let listed = ["dice.contacts", "dice.staff"].map(|name| offered.iter().any(|(node, _)| node == name));
        assert_eq!((given, given), (helped, listed), "{help} {offered:?}");
        given
    };
    assert_eq!(may(), [true, true]);
    let (juliet, now) = (bare("juliet@example.org"), Timestamp::UNIX_EPOCH);
    for note in &notes {
        for (is_seen, group, gives) in
            [(false, "night", [false, false]), (true, "night", [true, false]), (false, "staff", [false, true])]
        {
            let groups = vec![group.to_owned()];
            note.note(&juliet, &Arc::new(OwnersPart { is_listed: true, is_seen, groups }), now);
            assert_eq!(may(), gives);
            assert!(note.take_back(&juliet));
        }
    }
    assert_eq!(may(), [true, true]);
}

/// Rules plugin-contact.
/// The person reads only that it is refused, so nobody would know why.
#[test]
fn the_log_says_why_a_contact_that_a_plugin_made_gives_no_command() {
    let mut test = TestSession::connected(Settings::default());
    let all = Arc::new(PluginContacts::default());
    let [by_contact, by_group, by_other, other] = ["dice", "poll", "quiz", "other"].map(|id| heedful(id, &all));
    let groups = [People::Contacts, People::Group("staff".to_owned()), People::Group("night".to_owned())];
    let plugins = [by_contact, by_group, by_other];
    for (plugin, people) in plugins.iter().zip(groups) {
        test.declare(plugin, only(plugin.id.as_str(), people)).unwrap();
    }
    test.push(RosterItem { groups: vec!["staff".to_owned()], ..item("juliet@example.org", "both") });
    test.push(item("paris@example.org", "none"));
    let gives = |test: &mut TestSession, from: &str| {
        let given = plugins.each_ref().map(|plugin| test.gives(from, &format!("!{}", plugin.id)).0 == 1);
        let (remarks, jid) = (&test.session.features.commands.remarks, jid(from).to_bare());
        (given, plugins.each_ref().map(|plugin| remarks.has(&plugin.id, &jid)))
    };
    assert_eq!(gives(&mut test, JULIET_HOME), ([true, true, false], [false; 3]));
    let nothing = Arc::new(OwnersPart { is_listed: true, is_seen: false, groups: Vec::new() });
    for contact in ["juliet@example.org", "paris@example.org"] {
        all.of(&other.id).note(&bare(contact), &nothing, Timestamp::UNIX_EPOCH);
    }
    assert_eq!(gives(&mut test, JULIET_HOME), ([false; 3], [true, true, false]), "she is in no group for the night");
    for stranger in ["paris@example.org/home", "tybalt@example.com/home"] {
        assert_eq!(gives(&mut test, stranger), ([false; 3], [false; 3]), "{stranger}");
    }
}

/// Row 151.
#[test]
fn a_cooldown_begins_with_what_the_plugin_gets_and_is_told_once() {
    let mut test = TestSession::connected(Settings::default());
    let arguments = vec![argument("count", Kind::Integer(1, 6))];
    let roll = Declaration { arguments, person_cooldown: seconds(60), ..declaration("roll") };
    test.declare(&plugin("dice"), roll).unwrap();
    // A wrong one begins none.
    test.say("!roll x");
    assert!(test.texts()[0].contains("Usage"));
    test.say("!roll 1");
    assert_eq!(test.count("command"), 1);
    test.wait(20);
    test.say("!roll 2");
    test.say("!roll 3");
    assert_eq!(test.texts(), ["You can give !roll again in 40s."]);
    test.say_from(JULIET_HOME, "!roll 4");
    assert_eq!(test.count("command"), 2, "it is Romeo's alone");
    // It would be over, if the account ended and began again.
    assert_eq!(unfinished(&test.session, test.now), Some(Unfinished::Cooldown));
    // Of the same person, whichever client it is.
    test.say_from("romeo@example.org/phone", "!roll 5");
    assert_eq!(test.count("command"), 2);
    test.wait(40);
    test.say("!roll 6");
    assert_eq!(test.count("command"), 3);
    let later = |after| test.now + seconds(after);
    assert_eq!(unfinished(&test.session, later(59)), Some(Unfinished::Cooldown));
    assert_ne!(unfinished(&test.session, later(60)), Some(Unfinished::Cooldown), "nothing has to happen for its end");
}

/// Rows 151, 162.
#[test]
fn a_command_that_hooks_keep_from_its_plugin_begins_no_cooldown() {
    let mut test = TestSession::connected(Settings::default());
    let (dice, cooldowns) = (plugin("dice"), (seconds(60), seconds(90)));
    let roll = Declaration { person_cooldown: cooldowns.0, room_cooldown: cooldowns.1, ..declaration("roll") };
    test.declare(&dice, roll).unwrap();
    test.in_room();
    test.enters("Romeo", "participant", "none", None);
    for (place, other) in [(ROMEO_HOME, ROMEO_HOME), (&*format!("{ROOM}/Romeo"), &*format!("{ROOM}/juliet"))] {
        let kind = if place == ROMEO_HOME { MessageKind::Chat } else { MessageKind::Groupchat };
        test.forget();
        test.message(message(place, kind, "!roll"));
        let Payload::Command { message: given, .. } = test.last("command") else { panic!("no command") };
        let given = Arc::clone(given);
        test.message(message(other, kind, "!roll"));
        assert_eq!(test.count("command"), 1, "{place}");
        test.run(|session, _, _| withhold_command(session, &given, dice.mailbox.instance(), "roll"));
        test.message(message(other, kind, "!roll"));
        assert_eq!(test.count("command"), 2, "{place}");
    }
}

/// Row 151.
#[test]
fn the_cooldown_of_a_room_is_everybodys_there_and_nobodys_elsewhere() {
    let mut test = TestSession::connected(Settings::default());
    let roll = Declaration { room_cooldown: seconds(60), ..declaration("roll") };
    test.declare(&plugin("dice"), roll).unwrap();
    test.in_room();
    test.enters("Romeo", "participant", "none", None);
    test.say_in_room("juliet", "!roll");
    for _ in 0..2 {
        test.say_in_room("Romeo", "!roll");
    }
    assert_eq!(test.texts(), ["Romeo: In this room, you can give !roll again in 1m."]);
    test.say_from(&format!("{ROOM}/Romeo"), "!roll");
    test.say("!roll");
    assert_eq!(test.count("command"), 3);
}

/// Row 151.
#[test]
fn the_owner_has_the_last_word_while_the_plugin_runs() {
    let mut test = TestSession::connected(Settings::default());
    let one = plugin("mod");
    let kick = Declaration { person_cooldown: seconds(60), ..only("kick", People::Jid(bare("juliet@example.org"))) };
    test.declare(&one, kick).unwrap();
    test.add(&one, "ban").unwrap();
    let rule = |command: &str, rules: CommandRules| {
        let mut names = CommandNames::default();
        names.rule(command.parse().unwrap(), rules);
        one.names.set(names);
    };
    let gets = |test: &mut TestSession, from: &str, said: &str| {
        test.forget();
        test.say_from(from, said);
        test.count("command") == 1
    };
    let romeo_alone = || CommandRules { allow: Some(vec![People::Jid(bare(ROMEO))]), ..CommandRules::default() };
    rule("kick", CommandRules { person_cooldown: Some(Duration::ZERO), ..romeo_alone() });
    assert!(!gets(&mut test, JULIET_HOME, "!kick"));
    assert!(gets(&mut test, ROMEO_HOME, "!kick") && gets(&mut test, ROMEO_HOME, "!kick"), "without a cooldown");
    rule("kick", CommandRules { allow: Some(Vec::new()), ..CommandRules::default() });
    assert!(gets(&mut test, JULIET_HOME, "!kick") && !gets(&mut test, JULIET_HOME, "!kick"), "with the plugin's");
    // Also of one that was added without arguments.
    rule("ban", romeo_alone());
    assert!(!gets(&mut test, JULIET_HOME, "!ban") && gets(&mut test, ROMEO_HOME, "!ban"));
    rule("ban", CommandRules { off: true, ..romeo_alone() });
    test.answers();
    assert!(!gets(&mut test, ROMEO_HOME, "!ban") && !gets(&mut test, ROMEO_HOME, "!mod.ban"));
    assert!(matches!(test.last("message"), Payload::Message(one) if one.command.is_none()));
    assert!(test.answers().is_empty(), "it is an ordinary message");
    test.wait(10);
    test.say_from(JULIET_HOME, "!help");
    assert_eq!(test.texts(), ["Commands:\n!kick – Does it"]);
}

/// Row 150.
#[test]
fn an_accent_may_be_a_sign_of_its_own() {
    let mut test = TestSession::connected(Settings::default());
    test.declare(&plugin("dice"), declaration("w\u{fc}rfel")).unwrap();
    for (number, said) in (1..).zip(["!w\u{fc}rfel", "!wu\u{308}rfel", "!WU\u{308}RFEL", "!dice.wu\u{308}rfel"]) {
        test.say(said);
        assert_eq!(test.count("command"), number, "{said:?}");
    }
    test.say("!help wu\u{308}rfel");
    assert_eq!(test.texts(), ["Usage: !w\u{fc}rfel\nDoes it"]);
}

/// Row 151.
#[test]
fn help_shows_a_command_to_those_who_may_give_it() {
    let mut test = TestSession::connected(Settings::default());
    let whom = Argument { help: "Who goes".to_owned(), ..argument("whom", Kind::Jid) };
    let colour = Argument {
        default: Some("red".to_owned()),
        named: true,
        ..argument("colour", Kind::Choice(vec!["red".to_owned(), "green".to_owned()]))
    };
    let kick = Declaration {
        aliases: vec!["out".to_owned(), "k".to_owned()],
        arguments: vec![whom, colour],
        ..only("kick", People::Jid(bare("juliet@example.org")))
    };
    test.declare(&plugin("mod"), kick).unwrap();
    test.say("!help");
    test.say("!help kick");
    assert_eq!(test.texts(), ["There are no commands here.", "There is no command of that name."]);
    test.say_from(JULIET_HOME, "!help");
    test.say_from(JULIET_HOME, "!help kick");
    let explained = "Usage: !kick WHOM [--colour red|green]\nDoes it\n\
                     WHOM – Who goes (an address such as juliet@example.org)\n\
                     --colour – one of red, green; red if left out\nAlso: !out, !k";
    assert_eq!(test.texts(), ["Commands:\n!kick – Does it", explained]);
    test.wait(10);
    test.say_from(JULIET_HOME, "!help out");
    test.say_from(JULIET_HOME, "!help !mod.out");
    let explained_as = |word: &str, others: &str| {
        let (_, rest) = explained.split_once(" WHOM [").unwrap();
        let (rest, _) = rest.split_once("Also: ").unwrap();
        format!("Usage: {word} WHOM [{rest}Also: {others}")
    };
    assert_eq!(test.texts(), [explained_as("!out", "!kick, !k"), explained_as("!mod.out", "!kick, !out, !k")]);
}

/// Row 150. Otherwise a plugin could use the host to send strangers what it has heard, or anybody flood a room.
#[test]
fn the_host_answers_only_where_the_plugin_may_and_not_without_end() {
    let mut test = TestSession::connected(Settings::default());
    let arguments = || vec![argument("canary", Kind::Integer(1, 2))];
    let spy = granted("spy", "\"messages.send\" = [\"nurse@example.org\"]");
    test.declare(&spy, Declaration { arguments: arguments(), ..declaration("spy") }).unwrap();
    test.declare(&spy, only("closed", People::Owners)).unwrap();
    test.declare(&plugin("dice"), Declaration { arguments: arguments(), ..declaration("roll") }).unwrap();
    for said in ["!spy x", "!spy", "!closed"] {
        test.say(said);
    }
    assert!(test.answers().is_empty());
    for _ in 0..20 {
        test.say("!roll x");
        test.say("!help");
    }
    assert_eq!(test.answers().len(), PERSON_ANSWERS as usize);
    test.say("!roll 1");
    assert_eq!(test.count("command"), 1, "a right one needs no answer of the host");
}

/// Row 150. Otherwise one stranger could silence the host for all others.
#[test]
fn a_person_who_got_many_answers_leaves_those_of_others() {
    let mut test = TestSession::connected(Settings::default());
    let arguments = vec![argument("count", Kind::Integer(1, 2))];
    test.declare(&plugin("dice"), Declaration { arguments, ..declaration("roll") }).unwrap();
    test.in_room();
    for _ in 0..20 {
        test.say_in_room("juliet", "!roll x");
    }
    assert_eq!(test.texts().len(), PERSON_ANSWERS as usize);
    test.enters("Romeo", "participant", "none", None);
    test.say_in_room("Romeo", "!help");
    test.say("!help");
    assert_eq!(test.texts().len(), 2, "others are answered");
    test.say_in_room("juliet", "!help");
    assert!(test.texts().is_empty());
}

/// Row 150.
#[test]
fn other_names_that_are_taken_are_left_out() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    test.add(&one, "say").unwrap();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let shout = Declaration { aliases: names(&["SAY", "help", "cry", "Cry"]), ..declaration("shout") };
    let added = test.declare(&two, shout).unwrap();
    assert_eq!((added.is_short, added.left_out), (true, vec!["say".to_owned(), "help".to_owned()]));
    // It is a name like others.
    assert!(matches!(test.add(&one, "cry"), Err(CallError::NotOwner(_))));
    test.say("!cry");
    assert!(matches!(test.last("command"), Payload::Command { name, .. } if &**name == "shout"));
    test.say("!two.cry");
    assert_eq!(test.count("command"), 2);
    // The owner's name takes the place of all that its author chose.
    let mut chosen = CommandNames::default();
    chosen.choose("shout".parse().unwrap(), "yell".parse().unwrap()).unwrap();
    two.names.set(chosen);
    test.forget();
    test.say("!cry");
    test.say("!two.cry");
    assert_eq!(test.count("command"), 0);
    test.add(&one, "cry").unwrap();
}

/// Otherwise a plugin could take it as an alias, and keep the other one from adding its command again.
#[test]
fn an_alias_is_left_out_also_while_the_plugin_that_has_the_name_is_away() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (plugin("one"), plugin("two"));
    test.add(&one, "ban").unwrap();
    test.run(|session, _, effects| session.instance_gone(one.instance, effects));
    let mute = Declaration { aliases: vec!["ban".to_owned()], ..declaration("mute") };
    assert_eq!(test.declare(&two, mute).unwrap().left_out, ["ban"]);
    let again = Plugin { id: one.id.clone(), ..plugin("again") };
    test.add(&again, "ban").unwrap();
}

/// Row 150. Otherwise the one that comes first by its name would win, and nobody would say so.
#[test]
fn two_commands_of_a_plugin_have_no_name_in_common() {
    let mut test = TestSession::connected(Settings::default());
    let one = plugin("one");
    let with = |name: &str, alias: &str| Declaration { aliases: vec![alias.to_owned()], ..declaration(name) };
    let refused = |added: Result<(), CallError>| match added {
        Err(CallError::Invalid { argument, reason }) => (argument, reason),
        other => panic!("{other:?}"),
    };
    test.declare(&one, with("roll", "r")).unwrap();
    let (argument, reason) = refused(test.declare(&one, with("rot", "R")).map(drop));
    assert_eq!(argument, "command.aliases");
    assert_eq!(reason, "has r, which this plugin's command roll has, too; leave it out of one of them");
    assert_eq!(refused(test.declare(&one, with("dice", "roll")).map(drop)).0, "command.aliases");
    assert_eq!(refused(test.declare(&one, declaration("r")).map(drop)).0, "command.name");
    assert_eq!(refused(test.add(&one, "one.r")).0, "name");
    // The same command may change, a name that is free again may be taken, and so may those of an earlier instance.
    test.declare(&one, with("roll", "r")).unwrap();
    test.declare(&one, with("roll", "die")).unwrap();
    test.declare(&one, with("rot", "r")).unwrap();
    let next = Plugin { id: one.id.clone(), ..plugin("next") };
    test.declare(&next, with("dice", "r")).unwrap();
}

/// Row 151. Otherwise a plugin could end a command and add it anew under another name, without the owner's rules.
#[test]
fn no_other_name_leads_around_the_owners_rules_for_a_command() {
    let mut test = TestSession::connected(Settings::default());
    let one = plugin("mod");
    let boot = Declaration { aliases: vec!["kick".to_owned(), "k".to_owned()], ..declaration("boot") };
    test.declare(&one, boot).unwrap();
    test.say("!kick");
    assert_eq!(test.count("command"), 1);
    let mut names = CommandNames::default();
    names.rule("kick".parse().unwrap(), CommandRules { off: true, ..CommandRules::default() });
    one.names.set(names);
    test.forget();
    test.say("!kick");
    test.say("!mod.kick");
    assert_eq!(test.count("command"), 0);
    test.say("!k");
    assert_eq!(test.count("command"), 1);
    test.say("!help boot");
    assert_eq!(test.texts(), ["Usage: !boot\nDoes it\nAlso: !k"]);
}

#[test]
fn the_errors_of_a_declaration_name_its_fields() {
    let mut test = TestSession::connected(Settings::default());
    let one = plugin("one");
    let mut field = |declaration: Declaration| match test.declare(&one, declaration) {
        Err(CallError::Invalid { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(declaration("a b")), "command.name");
    assert_eq!(field(declaration("help")), "command.name");
    assert_eq!(field(Declaration { help: "x".repeat(257), ..declaration("a") }), "command.help");
}
