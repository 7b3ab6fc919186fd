//! Tests of what `parlor explain` says.

use super::*;

/// A host that cannot answer is not one that lacks the plugin.
#[test]
fn only_a_host_without_the_plugin_leaves_the_answer_to_the_file() {
    let refused = |status| named::<()>(Err(ClientError::Refused { status, reason: "no".to_owned() }));
    assert_eq!(refused(404).unwrap(), []);
    for status in [400, 409, 500] {
        assert!(matches!(refused(status), Err(ClientError::Refused { .. })), "{status}");
    }
    assert_eq!(named(Ok(vec![()])).unwrap(), [()]);
}

#[test]
fn a_file_that_is_not_the_approved_one_is_told_of_once_and_no_grant_is_judged() {
    let digest = "the file of echo has the digest sha256:00, but sha256:11 was approved";
    let id: PluginId = "echo".parse().unwrap();
    let mut grants = Grants::default();
    grants.grant(Permission::MessagesSend, &["*"]).unwrap();
    let down = Down { account: None, state: "refused".to_owned(), reason: Some(digest.to_owned()) };
    let mut explanation = Explanation {
        plugin: id.clone(),
        enabled: true,
        trouble: Some(digest.to_owned()),
        running: true,
        down: vec![down],
        otherwise: false,
        rooms: None,
        permissions: rights(&id, None, &grants),
        about: None,
        denied: Vec::new(),
        withheld: Vec::new(),
        asked: Vec::new(),
    };
    for _ in ["a host runs", "none runs"] {
        let text = show(&explanation, &grants);
        assert_eq!(text.matches(digest).count(), 1, "{text}");
        assert!(text.contains("what echo asks for is not known"), "{text}");
        assert!(text.contains("messages.send") && text.contains("      granted for *\n"), "{text}");
        assert!(!text.contains("does not ask") && !text.contains("may not"), "{text}");
        (explanation.running, explanation.down) = (false, Vec::new());
    }
}

#[test]
fn an_answer_says_what_takes_a_yes_away_and_a_hint_that_nothing_helps_stands_alone() {
    let answer = |outcome| Answer {
        account: Some("main".to_owned()),
        answer: outcome,
        permission: Some("rooms.send".to_owned()),
        reason: "it needs rooms.send".to_owned(),
        remedy: None,
    };
    let shown = |outcome| {
        let answers = vec![answer(outcome)];
        let about =
            About { what: "rooms.send".to_owned(), permission: Some(Permission::RoomsSend), allowed: true, answers };
        let mut text = String::new();
        put_answers(&mut text, &"tally".parse().unwrap(), &about);
        text
    };
    let away = "    to take it away: parlor plugin revoke tally rooms.send\n";
    assert!(shown(Outcome::Yes).ends_with(away) && shown(Outcome::Partly).ends_with(away));
    assert!(!shown(Outcome::No).contains("to take it away"));
    assert_eq!(to_allow("no grant helps: it is the host's own"), "no grant helps: it is the host's own");
    assert_eq!(to_allow("parlor plugin grant a b"), "to allow it: parlor plugin grant a b");
}

#[test]
fn events_of_other_rooms_are_said_to_be_of_other_rooms() {
    let id: PluginId = "guard-a".parse().unwrap();
    let withheld = |by: &str| Withheld { account: "main".to_owned(), permission: by.to_owned(), events: 1 };
    let why = withheld("rooms").why(&id);
    assert!(why.starts_with("from rooms that it is not kept to: `parlor plugin rooms guard-a --add ROOM`"), "{why}");
    assert_eq!(withheld("messages.read").why(&id), "which messages.read does not cover");
}

/// A host may use older grants than the file has.
#[test]
fn what_a_plugin_may_is_what_the_host_says_that_runs() {
    let manifest = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n[permissions]\n\
                    \"messages.send\" = { scope = [\"*\"], reason = \"x\" }\n\"contacts.read\" = { reason = \"x\" }\n";
    let manifest = Manifest::parse(manifest).unwrap();
    let read = |text: &str| Grants::from_table(&text.parse().unwrap()).unwrap();
    let written = read("\"messages.send\" = [\"*\"]\n\"contacts.read\" = true\n\"settings.read\" = true");
    let before = read("\"messages.send\" = [\"a@b\"]");
    let held = as_shown(Some(&manifest), &before);
    let found = in_force_on_host(&held, Some(&manifest), &written);
    assert_eq!(
        found,
        read("\"messages.send\" = [\"a@b\"]\n\"settings.read\" = true"),
        "what it does not ask for is shown, too"
    );
    assert_ne!(held, as_shown(Some(&manifest), &written));
    let all = as_shown(Some(&manifest), &written);
    assert_eq!(in_force_on_host(&all, Some(&manifest), &written), written);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["contacts.read", "messages.send"]);
}

/// The host refuses an address of the owner's own network beside a star.
#[test]
fn a_denial_by_address_is_not_granted_by_a_star() {
    let granted = |entries: &[&str]| {
        let mut grants = Grants::default();
        grants.grant(Permission::HttpFetch, entries).unwrap();
        let hint = "parlor plugin grant probe http.fetch=https://127.0.0.1:37444".to_owned();
        let scope = Some("https://127.0.0.1:37444".to_owned());
        is_granted(&Denied { at: String::new(), permission: "http.fetch".to_owned(), scope, hint }, &grants)
    };
    assert!(!granted(&["*"]) && !granted(&["*", "https://127.0.0.1:37443"]));
    assert!(!granted(&["GET https://127.0.0.1:37444"]), "that does not allow names that lead there");
    assert!(granted(&["*", "https://127.0.0.1:37444"]) && granted(&["http://127.0.0.1:37444"]));
}

#[test]
fn a_name_that_is_like_no_other_is_told_of_with_where_names_are() {
    let says = |what: &str| no_question(&"echo".parse().unwrap(), &Question::parse(what, None).unwrap_err());
    assert!(says("roster.get").ends_with("permission; `parlor explain echo` shows the permissions of echo"));
    assert!(says("chats.sned").ends_with("did you mean \"chats.send\"?"), "{}", says("chats.sned"));
}

#[test]
fn a_plugin_on_thousands_of_accounts_is_explained_on_a_screen() {
    let id: PluginId = "echo".parse().unwrap();
    let names: Vec<_> = (0..5_000).map(|number| format!("a{number}")).collect();
    let down = |(number, name): (usize, &String)| Down {
        account: Some(name.clone()),
        state: "quarantined".to_owned(),
        reason: Some(if number % 2 == 0 { "it trapped".to_owned() } else { format!("it trapped at {number}") }),
    };
    let answer = |(number, name): (usize, &String)| Answer {
        account: Some(name.clone()),
        answer: if number == 4_999 { Outcome::No } else { Outcome::Yes },
        permission: None,
        reason: "by its grants".to_owned(),
        remedy: None,
    };
    let withheld = |name: &String| Withheld { account: name.clone(), permission: "rooms".to_owned(), events: 2 };
    let answers = names.iter().enumerate().map(answer).collect();
    let explanation = Explanation {
        plugin: id.clone(),
        enabled: true,
        trouble: None,
        running: true,
        down: names.iter().enumerate().map(down).collect(),
        otherwise: false,
        rooms: None,
        permissions: Vec::new(),
        about: Some(About { what: "rooms.send".to_owned(), permission: None, allowed: false, answers }),
        denied: Vec::new(),
        withheld: names.iter().map(withheld).collect(),
        asked: Vec::new(),
    };
    let text = show(&explanation, &Grants::default());
    assert!(text.lines().count() < 40, "{text}");
    for says in [
        "echo does not run on 2500 accounts (a0, a2, a4, …), it is quarantined: it trapped\n",
        "echo does not run on a1, it is quarantined: it trapped at 1\n",
        "… and 2481 more; --json has all\n",
        " on 4999 accounts (a0, a1, a2, …): yes, by its grants\n",
        " on a4999: no, by its grants\n",
        "  10000 on 5000 accounts (a0, a1, a2, …), from rooms that it is not kept to: ",
    ] {
        assert!(text.contains(says), "no {says} in {text}");
    }
}
