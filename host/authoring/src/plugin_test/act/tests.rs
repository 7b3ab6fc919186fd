//! Tests of the lines of a `.chat` file, right and wrong ones.

use super::*;

#[test]
fn an_error_that_comes_back_has_a_condition() {
    let bounces = |line: &str| act(line, &[]);
    let Ok(Act::Bounces { begins, condition, .. }) = bounces("alice bounces \"to: you\"") else { panic!() };
    assert_eq!((begins.as_str(), condition.as_str()), ("to: you", "service-unavailable"));
    for wrong in ["alice bounces hello", "alice bounces \"hello\" now", "alice bounces \"hello\":"] {
        assert_eq!(bounces(wrong).unwrap_err(), "write: alice bounces \"hello\"", "{wrong}");
    }
    assert!(bounces("alice bounces \"hello\": No Such").unwrap_err().contains("is no condition"));
}

#[test]
fn a_contact_may_have_a_name_and_be_in_groups() {
    let is_of = |line: &str, expected: Option<&str>, in_groups: &[&str]| {
        let Ok(Act::Contact { jid, name, groups }) = act(line, &[]) else { panic!("{line}") };
        let groups: Vec<_> = groups.iter().map(String::as_str).collect();
        assert_eq!((jid.as_str(), name.as_deref()), ("alice@example.org", expected), "{line}");
        assert_eq!(groups, in_groups, "{line}");
    };
    is_of("contact alice", None, &[]);
    is_of("contact alice \"Alice A.\"", Some("Alice A."), &[]);
    is_of("contact alice Alice A.", Some("Alice A."), &[]);
    is_of("contact alice in friends", None, &["friends"]);
    is_of("contact alice \"Al in all\" in friends, the office", Some("Al in all"), &["friends", "the office"]);
    for wrong in ["contact alice \"Alice\" friends", "contact alice in friends,", "contact alice \"Alice\" in"] {
        assert_eq!(act(wrong, &[]).unwrap_err(), "write: contact alice \"Alice\" in friends, office", "{wrong}");
    }
}

#[test]
fn people_and_services_refuse_iqs_by_a_condition() {
    let is_of = |line: &str, who: &str, xml: &str, refused: Option<&str>| {
        let (who, xml, refused) = (BareJid::new(who).unwrap(), xml.to_owned(), refused.map(str::to_owned));
        assert_eq!(act(line, &[]), Ok(Act::Answers { who, xml, refused }), "{line}");
    };
    let version = "<query xmlns='jabber:iq:version'/>";
    is_of(&format!("alice refuses {version}: not-allowed"), "alice@example.org", version, Some("not-allowed"));
    is_of(&format!("bot answers: {version}"), "bot@example.org", version, None);
    is_of(&format!("garden/alice answers: {version}"), "alice@example.org", version, None);
    is_of(&format!("garden/alice refuses {version}: gone"), "alice@example.org", version, Some("gone"));
    assert!(act("bot answers: <x/>", &[]).unwrap().may_prepare(), "a plugin may ask at its start");
    let subscribe = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe/></pubsub>";
    is_of(
        &format!("pubsub.example.org refuses {subscribe}: forbidden"),
        "pubsub.example.org",
        subscribe,
        Some("forbidden"),
    );
    for wrong in ["alice refuses", "alice refuses version: not-allowed", &format!("alice refuses {version}")] {
        assert!(act(wrong, &[]).unwrap_err().starts_with("write: alice refuses <query"), "{wrong}");
    }
    let wrong = act(&format!("alice refuses {version}: No"), &[]).unwrap_err();
    assert!(wrong.starts_with("\"No\" is no condition"), "{wrong}");
}

#[test]
fn every_example_is_understood() {
    for row in STEPS.iter().filter(|row| row.word != "==" && row.word != "and") {
        act(row.example, &[]).unwrap_or_else(|reason| panic!("{}: {reason}", row.example));
    }
}

#[test]
fn a_name_with_spaces_stands_in_quotes() {
    let alice = names::room("garden").unwrap().with_resource_str("Al Ice").unwrap();
    let said = |to_room, body: &str| Act::Say(Said::by(alice.clone(), to_room, body.to_owned()));
    assert_eq!(act("\"garden/Al Ice\": hello: \"you\"", &[]), Ok(said(true, "hello: \"you\"")));
    assert_eq!(act("\"garden/Al Ice\" whispers: hello", &[]), Ok(said(false, "hello")));
    assert_eq!(act("\"garden/Al Ice\" enters", &[]), Ok(Act::Enters(alice.clone())));
    assert_eq!(act("\"garden/Al Ice\" leaves", &[]), Ok(Act::Leaves(alice.clone())));
    let replies = act("\"garden/Al Ice\" replies to \"Pizza\": yes", &[]);
    assert!(matches!(replies, Ok(Act::Say(Said { from, about: Some(_), .. })) if from == alice));
    assert_eq!(act("\"garden/Al Ice\":", &[]).unwrap_err(), "garden/Al Ice says nothing");
}

#[test]
fn a_message_may_be_encrypted() {
    use parlor_stanza::types::{DeviceTrust, Encryption};

    let sealed = |line: &str| match act(line, &[]) {
        Ok(Act::Say(Said { to_room, body, sealed, .. })) => {
            Ok((to_room, body, sealed.map(|sealed| (sealed.by, sealed.trust))))
        }
        Ok(other) => panic!("{line}: {other:?}"),
        Err(error) => Err(error),
    };
    let said = |to_room, by, trust| Ok((to_room, "hello (you): yes".to_owned(), Some((by, trust))));
    let line = |who: &str| format!("{who}: hello (you): yes");
    assert_eq!(sealed(&line("alice (omemo)")), said(false, Encryption::Omemo, DeviceTrust::Blind));
    assert_eq!(sealed(&line("alice (otr, trusted)")), said(false, Encryption::Otr, DeviceTrust::Trusted));
    assert_eq!(
        sealed(&line("\"garden/Al Ice\" (omemo,undecided)")),
        said(true, Encryption::Omemo, DeviceTrust::Undecided)
    );
    assert_eq!(sealed("alice: (omemo): hello"), Ok((false, "(omemo): hello".to_owned(), None)), "she says so");
    for wrong in ["alice (pgp): hello", "alice (omemo, no): hello", "alice (): hello"] {
        assert!(sealed(wrong).unwrap_err().contains("omemo, otr"), "{wrong}");
    }
}

#[test]
fn what_is_said_may_be_about_what_was_said() {
    let said = |line: &str, more: &[&str]| {
        let more: Vec<_> = more.iter().map(|line| (*line).to_owned()).collect();
        match act(line, &more).unwrap() {
            Act::Say(said) => (said.to_room, said.body, said.about),
            other => panic!("{line}: {other:?}"),
        }
    };
    let one_of = |which, how, begins: &str| Some(About { how, begins: begins.to_owned(), which });
    let about = |how: How, begins: &str| one_of(None, how, begins);
    let emojis = |emojis: &[&str]| How::Reaction(emojis.iter().map(|emoji| (*emoji).to_owned()).collect());
    for (line, more, to_room, body, expected) in [
        ("alice reacts 👍 🍕 to \"to \"", &[][..], false, "", about(emojis(&["👍", "🍕"]), "to ")),
        ("garden/alice reacts to \"Pizza: yes?\"", &[], true, "", about(emojis(&[]), "Pizza: yes?")),
        (
            "alice replies to \"Pizza: or\": yes: I do",
            &["and", ""],
            false,
            "yes: I do\nand\n",
            about(How::Reply, "Pizza: or"),
        ),
        ("garden/alice corrects \"helo\": hello", &[], true, "hello", about(How::Correction, "helo")),
        ("alice reacts 👍 to 12th \"A \"b\" to 3\"", &[], false, "", one_of(Some(12), emojis(&["👍"]), "A \"b\" to 3")),
        ("alice replies to 1st \"a\": yes", &[], false, "yes", one_of(Some(1), How::Reply, "a")),
        ("alice corrects 2nd \"a\": \"b\":", &[], false, "\"b\":", one_of(Some(2), How::Correction, "a")),
        ("alice reacts to \"Lunch?\\u{a}\\u{x}\\u{1f355}\"", &[], false, "", about(emojis(&[]), "Lunch?\n\\u{x}🍕")),
    ] {
        assert_eq!(said(line, more), (to_room, body.to_owned(), expected), "{line}");
    }
    for (line, expected) in [
        ("alice reacts 👍", "write: alice reacts 👍 to \"Pizza\""),
        ("alice replies \"Pizza\": yes", "write: alice replies to \"Pizza\": yes"),
        ("alice corrects Pizza: yes", "write: alice corrects \"Pizza\": yes"),
        ("alice replies to \"Pizza\":", "alice says nothing"),
        ("alice reacts 👍 to last \"Pizza\"", "write: alice reacts 👍 to \"Pizza\""),
        ("alice corrects 0th \"Pizza\": yes", "write: alice corrects \"Pizza\": yes"),
    ] {
        assert_eq!(act(line, &[]).unwrap_err(), expected, "{line}");
    }
}

#[test]
fn somebody_takes_another_nickname_in_a_room() {
    let who = names::room("garden").unwrap().with_resource_str("alice").unwrap();
    let renames = |nick: &str| Ok(Act::Renames { who: who.clone(), nick: nick.to_owned() });
    assert_eq!(act("garden/alice is now called al", &[]), renames("al"));
    assert_eq!(act("garden/alice is now called \"Al: Ice\"", &[]), renames("Al: Ice"));
    assert_eq!(act("garden/alice is now called", &[]).unwrap_err(), "say what: garden/alice is now called al");
    let error = act("alice is now called al", &[]).unwrap_err();
    assert_eq!(error, "say in which room: garden/alice is now called al");
    assert_eq!(act("alice is called al", &[]).unwrap_err(), "alice can be online, offline, away, xa, dnd, chat");
}

#[test]
fn people_in_a_room_are_what_is_said_of_them() {
    let garden = names::room("garden").unwrap();
    let at = |nick: &str| garden.with_resource_str(nick).unwrap();
    let room = |kind, occupants: &[(&str, Option<Rank>)]| {
        let occupants = occupants.iter().map(|(nick, rank)| (at(nick), *rank)).collect();
        Ok(Act::Room { room: garden.clone(), kind, occupants })
    };
    let (admin, visitor) = (Rank::Affiliation("admin"), Rank::Role("visitor"));
    let people = [("alice", Some(admin)), ("Bob (work)", None), ("Al Ice", Some(visitor))];
    assert_eq!(act("room garden: alice (admin), Bob (work), Al Ice (visitor)", &[]), room(RoomKind::Usual, &people));
    assert_eq!(act("room garden, anonymous: alice", &[]), room(RoomKind::Anonymous, &[("alice", None)]));
    assert_eq!(act("room garden, anonymous", &[]), room(RoomKind::Anonymous, &[]));
    assert_eq!(act("room garden, retracting", &[]), room(RoomKind::Retracting, &[]));
    assert_eq!(act("room garden, moderated", &[]), room(RoomKind::Moderated, &[]));
    let voice = |gives| Ok(Act::Voice { who: at("alice"), gives });
    assert_eq!(act("garden/alice asks for voice", &[]), voice(false));
    assert_eq!(act("garden/alice gives voice to bot", &[]), voice(true));
    assert_eq!(act("alice asks for voice", &[]).unwrap_err(), "say in which room: garden/alice asks for voice");
    assert_eq!(act("garden/alice is visitor", &[]), Ok(Act::Ranks { who: at("alice"), rank: visitor }));
    for (line, expected) in [
        ("room garden: alice (amin)", "nobody is amin in a room; did you mean alice (admin)?"),
        (
            "room garden, open: alice",
            "a room is like any other, anonymous, moderated or retracting: room garden, anonymous: alice",
        ),
        (
            "garden/alice is away",
            "garden/alice can be owner, admin, member, none, outcast, moderator, participant, visitor",
        ),
    ] {
        assert_eq!(act(line, &[]).unwrap_err(), expected, "{line}");
    }
}

#[test]
fn other_plugins_and_the_order_of_hooks_are_named() {
    assert_eq!(act("beside ../stamp", &[]), Ok(Act::Beside("../stamp".to_owned())));
    assert_eq!(act("beside \"../my stamp\"", &[]), Ok(Act::Beside("../my stamp".to_owned())));
    assert!(act("beside", &[]).unwrap_err().contains("beside ../stamp"));
    let plugins = ["stamp", "filter"].map(|id| id.parse().unwrap()).to_vec();
    let order = OrderName::Outgoing;
    assert_eq!(act("order outgoing stamp filter", &[]), Ok(Act::Order { order, plugins }));
    let none = Act::Order { order: OrderName::Commands, plugins: Vec::new() };
    assert_eq!(act("order commands", &[]), Ok(none));
    for (wrong, says) in
        [("order", "write outgoing"), ("order outgoing a a", "twice"), ("order outgoing A/b", "is no plugin")]
    {
        assert!(act(wrong, &[]).unwrap_err().contains(says), "{wrong}");
    }
}

#[test]
fn headers_stand_before_the_body() {
    let answer = |what: &str| match act(&format!("GET https://h/x answers {what}"), &[]) {
        Ok(Act::Web { answer: Some(answer), .. }) => {
            Some((answer.status, answer.headers, String::from_utf8(answer.body).unwrap()))
        }
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    };
    let named = |names: &[(&str, &str)]| names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(answer("304 with ETag: v1"), Some((304, named(&[("etag", "v1")]), String::new())));
    let both = "200 with etag: v1, last-modified: \"Tue, 03 Mar 2026 09:00:00 GMT\" <rss/>";
    let headers = named(&[("etag", "v1"), ("last-modified", "Tue, 03 Mar 2026 09:00:00 GMT")]);
    assert_eq!(answer(both), Some((200, headers, "<rss/>".to_owned())));
    assert_eq!(answer("200 without much"), Some((200, Vec::new(), "without much".to_owned())));
    assert_eq!(answer("200 with nothing"), None);
    assert_eq!(answer("200 with etag: v1 note: tea"), Some((200, named(&[("etag", "v1")]), "note: tea".to_owned())));
}

/// The body would have the second header, and the error would be in the plugin.
#[test]
fn a_header_without_a_comma_before_it_is_no_body() {
    for (line, says) in [
        ("GET https://h/x answers 200 with a: b x-total: 3 {}", "write a comma before `x-total`"),
        ("POST github with x-github-event: push etag: v1", "write a comma before `etag`"),
        ("GET https://h/x answers 200 with content-type: text/plain; charset=utf-8 tea", "put it in quotes"),
    ] {
        let error = act(line, &[]).unwrap_err();
        assert!(error.contains(says), "{line}: {error}");
    }
}

#[test]
fn a_body_of_the_web_has_several_lines() {
    let lines = |more: &[&str]| more.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let body = |line: &str, more: &[&str]| match act(line, &lines(more)) {
        Ok(Act::Web { answer: Some(answer), .. }) => Ok(String::from_utf8(answer.body).unwrap()),
        Ok(Act::Webhook(hooked)) => Ok(hooked.body),
        Ok(other) => panic!("{other:?}"),
        Err(why) => Err(why),
    };
    let robots = "GET https://h/robots.txt answers 200 with content-type: text/plain";
    assert_eq!(body(robots, &["User-agent: *", "Disallow: /"]), Ok("User-agent: *\nDisallow: /".to_owned()));
    assert_eq!(body("GET https://h/x answers 404", &["gone"]), Ok("gone".to_owned()));
    assert_eq!(body("GET https://h/x answers 200 {", &["}"]), Ok("{\n}".to_owned()));
    assert_eq!(body("POST github with x-github-event: push {", &["}"]), Ok("{\n}".to_owned()));
    let unreachable = body("GET https://h/x is unreachable", &["gone"]).unwrap_err();
    assert!(unreachable.starts_with("write: GET https://"), "{unreachable}");
    let other = body("after 10 s", &["x"]).unwrap_err();
    assert_eq!(other, "only a message, and a body of the web, continue on the next line");
}

#[test]
fn a_body_is_written_in_its_charset() {
    let body = |charset: &str, text: &str| {
        let line = format!("GET https://h/x answers 200 with content-type: \"text/html; charset={charset}\" {text}");
        match act(&line, &[]) {
            Ok(Act::Web { answer: Some(answer), .. }) => Ok(answer.body),
            Ok(other) => panic!("{other:?}"),
            Err(why) => Err(why),
        }
    };
    assert_eq!(body("utf-8", "Café"), Ok("Café".as_bytes().to_vec()));
    assert_eq!(body("ISO-8859-1", "Café"), Ok(b"Caf\xe9".to_vec()));
    assert_eq!(body("iso-8859-1", "5 €"), Err("ISO-8859-1 has no `€`".to_owned()));
    assert_eq!(body("binary", "Café"), Ok("Café".as_bytes().to_vec()));
    assert_eq!(body("iso-8859-1; version=1", "Café"), Ok(b"Caf\xe9".to_vec()));
    assert_eq!(
        (body("us-ascii", "Cafe"), body("us-ascii", "é")),
        (Ok(b"Cafe".to_vec()), Err("US-ASCII has no `é`".to_owned()))
    );
    for other in ["iso-8859-15", "windows-1252", "koi8-r"] {
        let why = format!("a test has no body in the charset `{other}`: write utf-8 or iso-8859-1");
        assert_eq!(body(other, "Café"), Err(why));
    }
}

#[test]
fn an_address_with_spaces_is_told() {
    for (line, says) in [
        ("GET https://h/a b answers 200 {}", "an address has no spaces: write %20"),
        ("GET https://h/a?b=c d is unreachable", "an address has no spaces: write %20"),
        ("GET https://h/x answer 200 {}", "write: GET https://api.example.org/x answers 200 {\"a\":1}"),
    ] {
        assert_eq!(act(line, &[]).unwrap_err(), says, "{line}");
    }
}

#[test]
fn a_test_names_the_headers_that_it_wants_to_see() {
    let names = ["if-none-match", "accept"].map(str::to_owned).to_vec();
    assert_eq!(act("show If-None-Match, accept", &[]), Ok(Act::Shows(names)));
    for wrong in ["show", "show ,", "show a: b"] {
        assert!(act(wrong, &[]).unwrap_err().contains("show if-none-match"), "{wrong}");
    }
}

#[test]
fn people_give_commands_by_forms() {
    let form = |line: &str| match act(line, &[]) {
        Ok(Act::Form { who, does }) => Ok((who.to_string(), does)),
        Ok(other) => panic!("{line}: {other:?}"),
        Err(why) => Err(why),
    };
    let alice = |does: FormAct| Ok(("alice@example.org/home".to_owned(), does));
    let fills = |field: &str, value: &str| FormAct::FillsIn { field: field.to_owned(), value: value.to_owned() };
    assert_eq!(form("alice opens the form Roll"), alice(FormAct::Opens("roll".to_owned())));
    assert_eq!(form("alice fills in sides with 6"), alice(fills("sides", "6")));
    assert_eq!(form("alice fills in why with peace with honour"), alice(fills("why", "peace with honour")));
    assert_eq!(form("alice fills in why with"), alice(fills("why", "")));
    assert_eq!(form("alice sends the form"), alice(FormAct::Sends));
    assert_eq!(form("alice sends the form again"), alice(FormAct::SendsAgain));
    assert_eq!(form("alice goes back in the form"), alice(FormAct::GoesBack));
    assert_eq!(form("alice cancels the form"), alice(FormAct::Cancels));
    let bob = names::person("bob").unwrap();
    assert_eq!(form("alice sends the form of bob"), alice(FormAct::SendsOf(bob)));
    for (line, expected) in [
        ("alice opens the form", "write the command's name: alice opens the form roll"),
        ("alice opens the form of dice", "write the command's name: alice opens the form roll"),
        ("alice fills in sides", "write: alice fills in sides with 6"),
        ("alice fills in the sides with 6", "write: alice fills in sides with 6"),
        (
            "alice sends the form twice",
            "write: alice sends the form; or: sends the form again, or: sends the form of bob",
        ),
    ] {
        assert_eq!(form(line), Err(expected.to_owned()), "{line}");
    }
}

#[test]
fn a_person_retracts_a_message_in_a_test() {
    let about = |line: &str| match act(line, &[]) {
        Ok(Act::Say(Said { to_room, body, about, .. })) => (to_room, body, about),
        other => panic!("{line}: {other:?}"),
    };
    let retraction = |which, begins: &str| Some(About { how: How::Retraction, begins: begins.to_owned(), which });
    assert_eq!(about("alice retracts \"helo\""), (false, String::new(), retraction(None, "helo")));
    assert_eq!(about("garden/alice retracts 2nd \"a \"b\"\""), (true, String::new(), retraction(Some(2), "a \"b\"")));
    assert_eq!(act("alice retracts hello", &[]).unwrap_err(), "write: alice retracts \"hello\"");
}

#[test]
fn a_spoiler_has_a_hint_in_quotes_or_none() {
    let hint = |line: &str| match act(line, &["more".to_owned()]) {
        Ok(Act::Say(Said { to_room, body, spoiler, .. })) => (to_room, body, spoiler),
        other => panic!("{line}: {other:?}"),
    };
    let dies = || "he dies\nmore".to_owned();
    assert_eq!(hint("alice (spoiler \"the end\"): he dies"), (false, dies(), Some("the end".to_owned())));
    assert_eq!(hint("garden/alice (spoiler): he dies"), (true, dies(), Some(String::new())));
    assert_eq!(hint("alice: (spoiler): he dies"), (false, "(spoiler): he dies\nmore".to_owned(), None));
    assert!(act("alice (spoiler the end): he dies", &[]).unwrap_err().contains("a hint in quotes"));
}

#[test]
fn a_person_sends_a_file_by_its_address() {
    let file = |line: &str| match act(line, &[]) {
        Ok(Act::Say(Said { to_room, body, file, .. })) => Ok((to_room, body, file.and_then(|file| file.media_type))),
        Ok(other) => panic!("{line}: {other:?}"),
        Err(why) => Err(why),
    };
    let url = || "https://h/cat.png".to_owned();
    assert_eq!(file("alice (file): https://h/cat.png"), Ok((false, url(), None)));
    assert_eq!(file("garden/al (file image/png): https://h/cat.png"), Ok((true, url(), Some("image/png".to_owned()))));
    let Ok(Act::Say(Said { file: Some(sent), .. })) = act("alice (file): https://h/cat.png", &[]) else { panic!() };
    assert_eq!(sent.url, url());
    for wrong in ["alice (file): cat.png", "alice (file image): https://h/a", "alice (file): https://h/a b"] {
        assert!(file(wrong).unwrap_err().starts_with("write: alice (file image/png)"), "{wrong}");
    }
    assert!(file("alice (filed): https://h/a").unwrap_err().contains("omemo, otr"));
}
