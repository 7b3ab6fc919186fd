//! Tests of the calls and events that grants allow and deny.

use std::cell::Cell;
use std::sync::Arc;

use jid::Jid;
use jiff::Timestamp;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Invite;
use proptest::prelude::*;

use super::*;
use crate::event::Payload;
use crate::{Contact, Occupant};

fn grants(toml: &str) -> Grants {
    Grants::from_table(&toml.parse().unwrap()).unwrap()
}

fn refused(toml: &str) -> String {
    Grants::from_table(&toml.parse().unwrap()).unwrap_err().to_string()
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn bare(text: &str) -> BareJid {
    BareJid::new(text).unwrap()
}

fn nobody(_: &BareJid) -> bool {
    false
}

fn may_send(grants: &Grants, to: &str) -> bool {
    grants.may_do(Permission::MessagesSend, Target::Jid(&jid(to)), &|contact| contact.as_str() == "nurse@example.org")
}

fn happened(name: &str, payload: Payload) -> Event {
    Event { name: name.into(), at: Timestamp::UNIX_EPOCH, payload }
}

#[test]
fn nothing_is_granted_to_begin_with() {
    let none = Grants::default();
    for &permission in Permission::ALL {
        assert!(!none.may_do(permission, Target::None, &|_| true), "{permission}");
        assert!(
            Grants::all().may_do(permission, Target::None, &nobody) || permission.scope_kind() == ScopeKind::Stanzas
        );
    }
}

#[test]
fn what_two_grants_have_in_common_is_in_both() {
    let cases = [
        (r#"["*"]"#, r#"["juliet@example.org", "contacts"]"#, r#"["juliet@example.org", "contacts"]"#),
        (
            r#"["@example.org"]"#,
            r#"["juliet@example.org/balcony", "romeo@other.example"]"#,
            r#"["juliet@example.org/balcony"]"#,
        ),
        (
            r#"["juliet@example.org", "@other.example"]"#,
            r#"["@example.org", "@other.example"]"#,
            r#"["juliet@example.org", "@other.example"]"#,
        ),
    ];
    for scopes in cases {
        let [one, other, both] = <[&str; 3]>::from(scopes).map(|scope| grants(&format!("\"messages.send\" = {scope}")));
        assert_eq!(one.within(&other), both);
        assert!(other.within(&one).covers(&both).is_empty());
    }
    let nothing = grants(r#""messages.send" = ["contacts"]"#).within(&grants(r#""messages.send" = ["@example.org"]"#));
    assert!(nothing.is_empty(), "who is a contact is not known before there is a roster");
    let one =
        grants("\"contacts.read\" = true\nstorage = [\"1 MiB\"]\n\"stanza.send\" = [\"message\", \"iq:@example.org\"]");
    let other = grants("storage = [\"2 MiB\"]\n\"stanza.send\" = [\"iq\", \"message:example.org\"]");
    let both = grants("storage = [\"1 MiB\"]\n\"stanza.send\" = [\"iq:@example.org\", \"message:example.org\"]");
    assert_eq!(one.within(&other), both);
    assert_eq!(one.within(&one), one);
}

#[test]
fn the_entry_that_covers_another_one_is_found() {
    let scope = |kind, entries: &[&str]| Scope::parse(kind, entries).unwrap();
    let granted = scope(ScopeKind::Jids, &["romeo@example.net", "contacts", "@example.org"]);
    for (one, by) in [
        ("juliet@example.org/balcony", Some("@example.org")),
        ("@example.org", Some("@example.org")),
        ("romeo@example.net/garden", Some("romeo@example.net")),
        ("juliet@example.net", None),
        ("example.org", None),
        ("*", None),
    ] {
        assert_eq!(granted.covering(&scope(ScopeKind::Jids, &[one])).as_deref(), by, "{one}");
    }
    let stanzas = scope(ScopeKind::Stanzas, &["iq", "message:@example.org"]);
    let covering = |one: &str| stanzas.covering(&scope(ScopeKind::Stanzas, &[one]));
    assert_eq!(covering("message:juliet@example.org").as_deref(), Some("message:@example.org"));
    assert_eq!((covering("iq:example.org").as_deref(), covering("presence")), (Some("iq"), None));
    assert_eq!(granted.covering(&stanzas), None, "of another kind");
}

#[test]
fn a_bare_jid_covers_its_resources_and_a_full_one_only_itself() {
    let bare = grants(r#""messages.send" = ["Juliet@Example.org"]"#);
    assert!(may_send(&bare, "juliet@example.org"));
    assert!(may_send(&bare, "juliet@example.org/balcony"));
    assert!(!may_send(&bare, "juliet@example.org.evil.example"));
    assert!(!may_send(&bare, "romeo@example.org"));
    assert!(!may_send(&bare, "example.org"));
    let full = grants(r#""messages.send" = ["juliet@example.org/balcony"]"#);
    assert!(may_send(&full, "juliet@example.org/balcony"));
    assert!(!may_send(&full, "juliet@example.org/Balcony"));
    assert!(!may_send(&full, "juliet@example.org"));
}

#[test]
fn a_domain_is_the_same_in_each_form_that_it_has() {
    for written in ["münchen.de", "MÜNCHEN.de", "xn--mnchen-3ya.de", "XN--MNCHEN-3YA.DE", "münchen.de."] {
        for (scope, to, is_covered) in [
            (format!("@{written}"), "juliet@münchen.de", true),
            (format!("@{written}"), "juliet@xn--mnchen-3ya.de/x", true),
            (format!("@{written}"), "juliet@xn--mnchen-3ya.de.", true),
            (format!("@{written}"), "juliet@munchen.de", false),
            (format!("@{written}"), "juliet@xn--bcher-kva.example", false),
            (format!("juliet@{written}"), "juliet@xn--mnchen-3ya.de/x", true),
            (format!("juliet@{written}"), "romeo@xn--mnchen-3ya.de", false),
            (format!("juliet@{written}/x"), "juliet@xn--mnchen-3ya.de/x", true),
            (format!("juliet@{written}/x"), "juliet@xn--mnchen-3ya.de/y", false),
            (format!("juliet@{written}/x"), "juliet@xn--mnchen-3ya.de", false),
            (written.to_owned(), "xn--mnchen-3ya.de", true),
        ] {
            let granted = grants(&format!("\"messages.send\" = [{scope:?}]"));
            assert_eq!(may_send(&granted, to), is_covered, "{scope}: {to}");
        }
    }
    let scope = |entries: &[&str]| Scope::parse(ScopeKind::Jids, entries).unwrap();
    let twice =
        scope(&["@xn--mnchen-3ya.de", "@münchen.de", "a@münchen.de/x", "a@xn--mnchen-3ya.de/x", "a@xn--mnchen-3ya.de"]);
    assert_eq!(
        twice.entries(),
        ["@xn--mnchen-3ya.de", "a@münchen.de/x", "a@xn--mnchen-3ya.de"],
        "as it was written first"
    );
    assert_eq!(scope(&["@münchen.de"]), scope(&["@xn--mnchen-3ya.de"]));
    assert_eq!(scope(&["@example.com.", "example.com."]).entries(), ["@example.com", "example.com"]);
}

#[test]
fn a_domain_covers_its_accounts_and_not_itself() {
    let domain = grants(r#""messages.send" = ["@EXAMPLE.org"]"#);
    assert!(may_send(&domain, "juliet@example.org/balcony"));
    assert!(!may_send(&domain, "example.org"));
    assert!(!may_send(&domain, "juliet@sub.example.org"));
    assert!(!may_send(&domain, "juliet@evilexample.org"));
    let server = grants(r#""messages.send" = ["example.org"]"#);
    assert!(may_send(&server, "example.org"));
    assert!(!may_send(&server, "juliet@example.org"));
}

#[test]
fn contacts_covers_whoever_is_in_the_roster_now() {
    let contacts = grants(r#""messages.send" = ["contacts"]"#);
    assert!(may_send(&contacts, "nurse@example.org/kitchen"));
    assert!(may_send(&contacts, "nurse@example.org"));
    assert!(!may_send(&contacts, "tybalt@example.org"));
}

#[test]
fn the_roster_is_asked_only_when_nothing_else_covers() {
    let both = grants(r#""messages.send" = ["contacts", "*"]"#);
    let asked = Cell::new(false);
    let roster = |_: &BareJid| asked.replace(true);
    assert!(both.may_do(Permission::MessagesSend, Target::Jid(&jid("a@b/c")), &roster));
    assert!(!asked.get());
}

#[test]
fn no_target_is_covered_only_by_everybody() {
    let one = grants("\"messages.send\" = [\"a@example.org\"]\n\"rooms.read\" = [\"*\"]");
    assert!(!one.may_do(Permission::MessagesSend, Target::None, &|_| true));
    assert!(one.may_do(Permission::RoomsRead, Target::None, &nobody));
}

#[test]
fn rooms_are_covered_by_address_and_service() {
    let some = grants(r#""rooms.join" = ["Lobby@conference.example.org", "@open.example.org"]"#);
    let may = |room| some.may_do(Permission::RoomsJoin, Target::Room(&bare(room)), &|_| true);
    assert!(may("lobby@conference.example.org"));
    assert!(may("any@open.example.org"));
    assert!(!may("staff@conference.example.org"));
    assert!(!some.may_do(Permission::RoomsSend, Target::Room(&bare("lobby@conference.example.org")), &|_| true));
}

#[test]
fn raw_stanzas_are_covered_by_kind_and_recipient() {
    let some = grants(r#""stanza.send" = ["message:juliet@example.org", "iq", "presence:contacts"]"#);
    let may = |kind, to: Option<&str>| {
        let to = to.map(jid);
        some.may_do(Permission::StanzaSend, Target::Stanza { kind, to: to.as_ref() }, &|_| false)
    };
    assert!(may("message", Some("juliet@example.org/balcony")));
    assert!(!may("message", Some("romeo@example.org")));
    assert!(!may("message", None), "a message without recipient goes to the own account");
    assert!(may("iq", None));
    assert!(may("iq", Some("anybody@example.net")));
    assert!(!may("presence", Some("juliet@example.org")));
    assert!(!may("stream:error", None));
    assert!(!may("", None));
    assert!(!some.may_do(Permission::StanzaSend, Target::Jid(&jid("juliet@example.org")), &|_| true));
    assert!(!some.may_do(Permission::StanzaSend, Target::None, &|_| true));
}

#[test]
fn events_are_seen_by_grant_and_scope() {
    let some = grants(
        r#"
        "contacts.read" = true
        "rooms.read" = ["lobby@conference.example.org"]
        "stanza.read" = ["presence"]
        "#,
    );
    let sees = |name, payload| some.may_see(&happened(name, payload), &nobody);
    let occupant = |room| {
        Payload::Occupant(Arc::new(Occupant {
            room: bare(room),
            nick: "juliet".into(),
            role: "participant".into(),
            affiliation: "none".into(),
            jid: None,
            show: None,
            status: None,
            own: false,
            previous_nick: None,
            left: None,
            reason: None,
            occupant_id: None,
            hats: Vec::new(),
            actor: None,
            card: None,
        }))
    };
    let invite = |room| {
        let from = jid("juliet@example.org/balcony");
        Payload::Invite(Arc::new(Invite { room: bare(room), to: from.clone(), from, reason: None, password: None }))
    };
    let contact = Payload::Contact(Arc::new(Contact {
        jid: bare("nurse@example.org"),
        fullname: "Nurse".into(),
        subscription: "both".into(),
        ask: false,
        requesting: false,
        groups: Vec::new(),
        resources: Vec::new(),
        card: None,
        occupant: None,
    }));

    let stanza = |xml: &str| Payload::Stanza { xml: xml.to_owned(), to: None };

    assert!(sees("connected", Payload::None), "free");
    assert!(sees("somebody-elses", Payload::Json("1".into())), "what a plugin fires is free");
    assert!(sees("contactRequest", contact.clone()));
    assert!(sees("rosterPush", stanza("<iq/>")));
    assert!(sees("occupantJoined", occupant("lobby@conference.example.org")));
    assert!(!sees("occupantJoined", occupant("staff@conference.example.org")));
    assert!(sees("roomInviteReceived", invite("lobby@conference.example.org")));
    assert!(!sees("roomInviteReceived", invite("staff@conference.example.org")));
    assert!(sees("roomInviteDeclined", invite("lobby@conference.example.org")));
    assert!(!sees("roomInviteDeclined", invite("staff@conference.example.org")));
    assert!(sees("roomsAutoJoined", Payload::None), "it names no room");
    assert!(!sees("roomLeft", Payload::Json("{}".into())), "nobody can tell which room");
    assert!(sees("send", stanza("<presence xmlns='jabber:client'/>")));
    assert!(!sees("send", stanza("<presence-like/>")));
    assert!(!sees("send", stanza("<iq type='get'/>")));
    assert!(!sees("send", stanza(" <presence/>")));
    assert!(!sees("send", Payload::None));
    assert!(!sees("statusChanged", Payload::None), "not granted");
    assert!(!Grants::default().may_see(&happened("contactRequest", contact), &|_| true));
}

#[test]
fn true_and_false_are_for_what_has_no_scope() {
    let some = grants("\"contacts.read\" = true\n\"messages.send\" = false\nstorage = true");
    assert!(some.has(Permission::ContactsRead));
    assert!(!some.has(Permission::MessagesSend));
    assert_eq!(some.get(Permission::Storage).unwrap().quota(), Some(super::super::DEFAULT_QUOTA));
    assert_eq!(grants("storage = [\"2 MiB\"]").get(Permission::Storage).unwrap().quota(), Some(2 << 20));
}

#[test]
fn what_is_wrong_is_refused_with_what_to_write() {
    for (toml, error) in [
        (r#""mesages.send" = ["*"]"#, r#"unknown permission "mesages.send", did you mean "messages.send"?"#),
        (
            r#""messages.send" = true"#,
            r#""messages.send" needs to know for what: write a list of "*", "contacts", "juliet@example.org" or "@example.org", such as ["*"]"#,
        ),
        (
            r#""stanza.read" = true"#,
            r#""stanza.read" needs to know for what: write a list of "message", "presence" or "iq", such as ["message"]"#,
        ),
        (
            r#"messages.send = ["*"]"#,
            r#"a permission's name has a dot and is written in quotation marks: "messages.send" = …"#,
        ),
        (r#"messages.fly = ["*"]"#, r#"unknown permission "messages"; docs/reference/permissions.md has them all"#),
        (r#""messages.send" = "contacts""#, r#""messages.send" is a list: write ["contacts"]"#),
        (r#"storage = "4 MiB""#, r#""storage" is a list: write ["4 MiB"]"#),
        (r#""messages.send" = "a@b@c""#, r#""messages.send" is a string: write ["*"]"#),
        (r#""contacts.read" = "yes""#, r#""contacts.read" is a string: write true"#),
        (r#""messages.send" = [1]"#, r#""messages.send" is a list of other things than strings: write ["*"]"#),
        (
            r#""messages.send" = []"#,
            r#""messages.send": an empty list covers nothing: write false, or leave the line out"#,
        ),
        (r#""contacts.read" = ["*"]"#, r#""contacts.read": there is nothing to list: write true"#),
        (r#""contacts.read" = 1"#, r#""contacts.read" is a number: write true"#),
        (
            r#""rooms.join" = ["contacts"]"#,
            r#""rooms.join": "contacts" are people, not rooms: write "*", "lobby@conference.example.org" or "@conference.example.org""#,
        ),
        (
            r#""rooms.join" = ["lobby@conference.example.org/bot"]"#,
            r#""rooms.join": "lobby@conference.example.org/bot" is an occupant, not a room: write "lobby@conference.example.org""#,
        ),
        (
            r#""rooms.join" = ["conference.example.org"]"#,
            r#""rooms.join": "conference.example.org" is a server, not a room: write "*", "lobby@conference.example.org" or "@conference.example.org""#,
        ),
        (
            r#""rooms.join" = ["*@conference.example.org"]"#,
            r#""rooms.join": "*@conference.example.org" covers nobody, since a star stands for everybody and only by itself: write "@conference.example.org""#,
        ),
        (
            r#""messages.send" = ["contact"]"#,
            r#""messages.send": "contact" is no address: did you mean "contacts"? There can be "*", "contacts", "juliet@example.org" or "@example.org""#,
        ),
        (
            r#""stanza.send" = ["*"]"#,
            r#""stanza.send": "*" is no kind of stanza: write "message", "presence" or "iq", each that is meant"#,
        ),
        (
            r#""stanza.read" = ["message:juliet@example.org"]"#,
            r#""stanza.read" is granted by kind, not by recipient: write ["message"], or grant "messages.read" instead"#,
        ),
        (
            r#"storage = ["lots"]"#,
            r#""storage": "lots" is no size: write a whole number and one of B, KiB, MiB, GiB, such as ["16 MiB"]"#,
        ),
        (
            r#"storage = ["4mb"]"#,
            r#""storage": "4mb" is no size: write a whole number and one of B, KiB, MiB, GiB, such as ["4 MiB"]"#,
        ),
        (
            r#"storage = ["99999999999 GiB"]"#,
            r#""storage": "99999999999 GiB" is no size: write a whole number and one of B, KiB, MiB, GiB, such as ["16 MiB"]"#,
        ),
    ] {
        assert_eq!(refused(toml), error);
    }
    assert!(refused(r#""messages.send" = ["a@b@c"]"#).starts_with(r#""messages.send": "a@b@c" is no address ("#));
    let many: Vec<_> = (0..1_001).map(|n| format!("user{n}@example.org")).collect();
    assert!(Grants::default().grant(Permission::MessagesSend, &many).is_err());
}

#[test]
fn what_is_nearly_an_entry_is_told_which() {
    for (word, meant) in [("Contacts", "contacts"), ("contcats", "contacts"), ("everyone", "*"), ("all", "*")] {
        let refused = refused(&format!("\"messages.send\" = [\"{word}\"]"));
        assert!(refused.contains(&format!("{word:?} is no address: did you mean {meant:?}?")), "{refused}");
    }
    let behind = refused(r#""stanza.send" = ["message:contact"]"#);
    assert!(behind.contains("behind \"message:\", \"contact\" is no address: did you mean \"contacts\"?"), "{behind}");
    let servers = r#""messages.send" = ["localhost", "@contact", "contact.im", "contacts.net", "[::1]", "127.0.0.1"]"#;
    assert_eq!(grants(servers).get(Permission::MessagesSend).unwrap().entries().len(), 6);
    let starred = refused(r#""messages.send" = ["*.example.org"]"#);
    assert!(starred.ends_with("only by itself: write \"@example.org\""), "{starred}");
    for everybody in ["@*", "*@*", "*.*", "@*.*"] {
        let starred = refused(&format!("\"messages.send\" = [{everybody:?}]"));
        assert!(starred.ends_with("only by itself: write \"*\""), "{starred}");
    }
    let kind = refused(r#""stanza.read" = "message:juliet@example.org""#);
    assert_eq!(kind, r#""stanza.read" is a string: write ["message"]"#);
}

#[test]
fn what_an_error_says_to_write_can_be_written() {
    let people = ["contact", "ALL", "*@example.org", "*@*", "@*.*.example.org", "*@example.org/x", "a@@b", ""];
    let rooms = ["contacts", "conference.example.org", "lobby@conference.example.org/bot", "*@*", "a@@b", "all"];
    let stanzas = ["*", "messages", "message:contact", "iq:*@example.org", "presence:a@@b", "juliet@example.org"];
    let sizes = ["16mb", "lots", "1.5 GiB", "99999999999 GiB", "7 k"];
    for (permission, entries) in [
        ("messages.send", &people[..]),
        ("rooms.join", &rooms[..]),
        ("stanza.send", &stanzas[..]),
        ("storage", &sizes[..]),
    ] {
        for entry in entries {
            let told = refused(&format!("{permission:?} = [{entry:?}]"));
            let (_, advice) = told.split_once("write ").or_else(|| told.split_once("did you mean ")).unwrap();
            let kind = if told.contains("behind ") { &entry[..=entry.find(':').unwrap()] } else { "" };
            let advised: Vec<_> = advice.split('"').skip(1).step_by(2).collect();
            assert!(!advised.is_empty(), "{told}");
            for one in advised {
                let followed = format!("{permission:?} = [\"{kind}{one}\"]");
                assert!(!grants(&followed).is_empty(), "{told}: {followed}");
            }
        }
    }
}

#[test]
fn admission_names_what_is_lacking_altogether() {
    let held = grants("\"contacts.read\" = true\n\"messages.send\" = [\"a@example.org\"]");
    let wanted = grants("\"contacts.read\" = true\n\"messages.send\" = [\"*\"]\n\"vcard.write\" = true");
    let missing = held.covers(&wanted);
    assert_eq!(missing, [Missing { permission: Permission::VcardWrite }]);
    assert_eq!(missing[0].to_string(), "vcard.write");
    assert_eq!(wanted.covers(&held), []);
}

/// Returns the grants after a shell has run the hinted command.
fn granted_by(hint: &str, mut grants: Grants) -> Grants {
    let printed = std::process::Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {hint}")).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let words: Vec<_> = printed.lines().collect();
    let &["parlor", "plugin", "grant", "echo", change] = words.as_slice() else { panic!("{words:?}") };
    if let Some((permission, entries)) = change.split_once('=') {
        let entries: Vec<_> = entries.split(',').map(str::trim).collect();
        grants.grant_more(permission.parse().unwrap(), &entries).unwrap();
    } else {
        let permission: Permission = change.parse().unwrap();
        grants.scopes_mut().insert(permission, Scope::whole(permission.scope_kind()));
    }
    grants
}

#[test]
fn a_denial_says_the_command_that_would_allow_it() {
    let hint = |permission, scope: Option<&str>| match denial("echo", permission, scope.map(str::to_owned)) {
        CallError::Denied { hint, .. } => hint,
        other => panic!("{other}"),
    };
    assert_eq!(
        hint(Permission::MessagesSend, Some("juliet@example.org")),
        "parlor plugin grant echo messages.send=juliet@example.org"
    );
    assert_eq!(hint(Permission::MessagesSend, None), "parlor plugin grant echo 'messages.send=*'");
    assert_eq!(hint(Permission::ContactsRead, None), "parlor plugin grant echo contacts.read");
    assert_eq!(
        denial("echo", Permission::MessagesSend, Some("juliet@example.org".into())).to_string(),
        "not granted: messages.send for juliet@example.org"
    );
    for &permission in Permission::ALL {
        let hint = hint(permission, None);
        assert!(granted_by(&hint, Grants::default()).has(permission), "{hint} can be pasted");
    }
    let before = grants(r#""messages.send" = ["@example.net"]"#);
    for odd in ["\"bal\\cony\"", "$(touch x)", "it's; `here` & *", "größe ✓"] {
        let odd = format!("juliet@example.org/{odd}");
        let hint = hint(Permission::MessagesSend, Some(&odd));
        let after = granted_by(&hint, before.clone());
        assert!(may_send(&after, &odd), "{hint} can be pasted");
        assert!(may_send(&after, "nurse@example.net"), "{hint} takes nothing away");
    }
    assert_eq!(
        hint(Permission::MessagesSend, Some("juliet@example.org/a,\"b\"")),
        r#"in plugins.toml, under [plugin.echo.grants], in the list "messages.send": "juliet@example.org/a,\"b\"""#
    );
}

#[test]
fn a_denial_of_what_no_grant_can_name_says_why_and_gives_no_command() {
    for (permission, scope) in [
        (Permission::RoomsSend, "conference.example.org"),
        (Permission::RoomsSend, "*@conference.example.org"),
        (Permission::MessagesSend, "all"),
        (Permission::MessagesSend, "*@example.org/a,b"),
        (Permission::StanzaSend, "message:everybody"),
    ] {
        let refused = Grants::default().grant(permission, &[scope]).unwrap_err();
        let GrantError::BadScope { reason, .. } = refused else { panic!("{scope}") };
        let CallError::Denied { hint, .. } = denial("echo", permission, Some(scope.to_owned())) else {
            panic!("{scope}")
        };
        assert_eq!(hint, format!("no grant can name it: {reason}"));
    }
}

/// A plugin may call with any address, and the owner may paste the hinted command.
#[test]
fn a_denial_of_a_target_that_is_spelled_like_a_wider_entry_gives_no_command() {
    for (permission, scope) in [
        (Permission::MessagesSend, "*"),
        (Permission::MessagesSend, "contacts"),
        (Permission::RoomsSend, "*"),
        (Permission::VcardRead, "contacts"),
        (Permission::StanzaSend, "message:*"),
        (Permission::StanzaSend, "iq:contacts"),
        (Permission::HttpFetch, "GET https://*.example.org"),
        (Permission::HttpFetch, "GET http://*.example.org:8080"),
        (Permission::IqAnswer, "*"),
        (Permission::PluginsCall, "*"),
    ] {
        let CallError::Denied { hint, .. } = denial("echo", permission, Some(scope.to_owned())) else {
            panic!("{scope}")
        };
        assert_eq!(hint, format!("no grant names this address alone, since {scope:?} stands for others, too"));
    }
}

// An independent and slow implementation of the rule for one entry. Addresses here are lower-case ASCII, so comparing
// strings compares addresses.
fn slowly_covers(entry: &str, to: &str, contacts: &[String]) -> bool {
    let bare = to.split('/').next().unwrap().to_owned();
    if entry == "*" {
        return true;
    }
    if entry == "contacts" {
        return contacts.contains(&bare);
    }
    if entry.starts_with('@') {
        return bare.contains('@') && bare.ends_with(entry);
    }
    entry == to || entry == bare
}

fn address() -> impl Strategy<Value = String> {
    (prop::option::of("[ab]{1,2}"), "(a|b|ab)\\.(ex|x)", prop::option::of("[rs]")).prop_map(
        |(node, domain, resource)| {
            let node = node.map(|node| format!("{node}@")).unwrap_or_default();
            let resource = resource.map(|resource| format!("/{resource}")).unwrap_or_default();
            format!("{node}{domain}{resource}")
        },
    )
}

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just("*".to_owned()), 2 => Just("contacts".to_owned()), 4 => "@(a|b|ab)\\.(ex|x)", 8 => address()]
}

fn stanza_entry() -> impl Strategy<Value = String> {
    ("message|presence|iq", prop::option::of(entry())).prop_map(|(kind, to)| match to {
        Some(to) => format!("{kind}:{to}"),
        None => kind,
    })
}

fn some_permission(kind: ScopeKind) -> Permission {
    *Permission::ALL.iter().find(|permission| permission.scope_kind() == kind).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn exactly_what_an_entry_covers_is_allowed(
        entries in prop::collection::vec(entry(), 1..4),
        to in address(),
        contacts in prop::collection::vec(address().prop_map(|jid| jid.split('/').next().unwrap().to_owned()), 0..3),
    ) {
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesSend, &entries).unwrap();
        let is_contact = |jid: &BareJid| contacts.iter().any(|contact| contact == jid.as_str());
        let expected = entries.iter().any(|entry| slowly_covers(entry, &to, &contacts));
        prop_assert_eq!(grants.may_do(Permission::MessagesSend, Target::Jid(&jid(&to)), &is_contact), expected);
        for &other in Permission::ALL.iter().filter(|&&other| other != Permission::MessagesSend) {
            prop_assert!(!grants.may_do(other, Target::Jid(&jid(&to)), &|_| true));
        }
    }

    #[test]
    fn exactly_what_a_stanza_entry_covers_is_allowed(
        entries in prop::collection::vec(stanza_entry(), 1..4),
        kind in "message|presence|iq|other",
        to in prop::option::of(address()),
    ) {
        let mut grants = Grants::default();
        grants.grant(Permission::StanzaSend, &entries).unwrap();
        let expected = entries.iter().any(|entry| {
            let (of, pattern) = entry.split_once(':').unwrap_or((entry, "*"));
            of == kind && match &to {
                None => pattern == "*",
                Some(to) => slowly_covers(pattern, to, &[]),
            }
        });
        let to = to.as_deref().map(jid);
        prop_assert_eq!(
            grants.may_do(Permission::StanzaSend, Target::Stanza { kind: &kind, to: to.as_ref() }, &nobody),
            expected
        );
    }

    #[test]
    fn what_was_parsed_is_written_and_parsed_to_the_same(
        people in prop::collection::vec(entry(), 1..4),
        rooms in prop::collection::vec(prop_oneof!["\\*", "@(a|b)\\.ex", "[a-z]{1,3}@(a|b)\\.ex"], 1..4),
        stanzas in prop::collection::vec(stanza_entry(), 1..4),
        quota in any::<u64>(),
        servers in prop::collection::vec("(GET )?(https?://)?(\\*\\.)?[a-c]\\.ex(:80)?(/[a-b]/?)?", 1..4),
    ) {
        let mut grants = Grants::default();
        grants.grant(Permission::MessagesSend, &people).unwrap();
        grants.grant(Permission::RoomsJoin, &rooms).unwrap();
        grants.grant(Permission::StanzaSend, &stanzas).unwrap();
        grants.grant(Permission::Storage, &[quota.to_string()]).unwrap();
        grants.grant(Permission::HttpFetch, &servers).unwrap();
        grants.grant::<&str>(Permission::ContactsRead, &[]).unwrap();
        let text = grants.to_table().to_string();
        prop_assert_eq!(Grants::from_table(&text.parse().unwrap()).unwrap(), grants);
    }

    #[test]
    fn hostile_entries_are_refused_or_round_trip(text in ".{0,40}", kind in prop::sample::select(vec![
        ScopeKind::Jids, ScopeKind::Messages, ScopeKind::Rooms, ScopeKind::Stanzas, ScopeKind::Quota, ScopeKind::Servers, ScopeKind::Files,
        ScopeKind::Namespaces, ScopeKind::Plugins, ScopeKind::Nodes,
    ])) {
        if let Ok(scope) = Scope::parse(kind, &[&text]) {
            let written = scope.entries();
            let again = Scope::parse(kind, &written);
            prop_assert!(again.is_ok(), "{text:?} was written as {written:?}");
            let mut grants = Grants::default();
            let _ = grants.grant(some_permission(kind), &written);
        }
    }
}

/// Only international domains have two spellings. A service may take letters that DNS maps to ASCII, and its people are not
/// those of the domain that this would give.
#[test]
fn a_domain_that_dns_maps_to_another_is_not_that_one() {
    let mut grants = Grants::default();
    grants.grant(Permission::MessagesRead, &["@example.org", "juliet@example.org"]).unwrap();
    let covers = |jid: &str| grants.may_do(Permission::MessagesRead, Target::Jid(&jid.parse().unwrap()), &|_| false);
    assert!(covers("juliet@example.org"));
    assert!(!covers("juliet@example\u{3002}org"));
}

#[test]
fn a_grant_may_be_for_encrypted_messages_alone() {
    let (juliet, romeo) = (jid("juliet@example.org"), jid("romeo@example.net"));
    let sealed = grants(r#""messages.read" = { scope = ["contacts", "encrypted:@example.net"], only = "encrypted" }"#);
    assert_eq!(sealed, grants(r#""messages.read" = ["encrypted:contacts", "encrypted:@example.net"]"#));
    let text = sealed.to_table().to_string();
    assert_eq!(Grants::from_table(&text.parse().unwrap()).unwrap(), sealed, "{text}");
    let mixed = grants(r#""messages.read" = ["encrypted:*", "juliet@example.org"]"#);
    let reads = |grants: &Grants, chat: &Jid, is_encrypted| {
        grants.may_do(Permission::MessagesRead, Target::Message { chat, is_encrypted }, &|one| {
            *one == bare(juliet.as_str())
        })
    };
    for (chat, is_encrypted, by_sealed, by_mixed) in [
        (&juliet, true, true, true),
        (&juliet, false, false, true),
        (&romeo, true, true, true),
        (&romeo, false, false, false),
    ] {
        assert_eq!(reads(&sealed, chat, is_encrypted), by_sealed, "{chat} {is_encrypted}");
        assert_eq!(reads(&mixed, chat, is_encrypted), by_mixed, "{chat} {is_encrypted}");
    }
    assert!(!reads(&sealed, &jid("nurse@elsewhere.example"), true), "she is in none of the entries");
    let asks = |scope: &str, target: Target<'_>| {
        grants(&format!("\"archive.read\" = [{scope}]")).may_do(Permission::ArchiveRead, target, &nobody)
    };
    assert!(asks("\"encrypted:*\"", Target::None) && asks("\"encrypted:*\"", Target::Jid(&romeo)));
    assert!(
        !asks("\"encrypted:@example.org\"", Target::None) && !asks("\"encrypted:@example.org\"", Target::Jid(&romeo))
    );
    for (toml, says) in [
        (r#""messages.send" = { scope = ["*"], only = "encrypted" }"#, "is for \"messages.read\" and \"archive.read\""),
        (r#""messages.read" = { scope = ["*"], only = "plain" }"#, "`only` can be \"encrypted\""),
        (r#""messages.read" = { scope = ["*"], only = "encrypted", reason = "x" }"#, "stands `scope` alone"),
        (r#""messages.read" = { only = "encrypted" }"#, "needs to know for what"),
        (r#""messages.read" = { scope = ["*"] }"#, "is a table"),
        (r#""messages.read" = ["encrypted"]"#, "did you mean \"encrypted:*\"?"),
        (r#""messages.read" = ["encrypted:"]"#, "is no address"),
        (r#""messages.send" = ["encrypted:*"]"#, "is no address"),
    ] {
        let error = refused(toml);
        assert!(error.contains(says), "{toml}: {error}");
    }
}

#[test]
fn what_two_grants_for_messages_share_may_be_encrypted_ones_alone() {
    let of = |scope: &str| grants(&format!("\"messages.read\" = [{scope}]"));
    for (one, other, both) in [
        ("\"*\"", "\"encrypted:@example.org\"", "\"encrypted:@example.org\""),
        ("\"encrypted:*\"", "\"contacts\"", "\"encrypted:contacts\""),
        ("\"encrypted:*\", \"contacts\"", "\"*\"", "\"encrypted:*\", \"contacts\""),
        ("\"encrypted:*\", \"contacts\"", "\"encrypted:*\", \"contacts\"", "\"encrypted:*\", \"contacts\""),
        ("\"juliet@example.org\"", "\"encrypted:@example.org\"", "\"encrypted:juliet@example.org\""),
    ] {
        assert_eq!(of(one).within(&of(other)), of(both), "{one} {other}");
    }
    assert!(of("\"encrypted:a@b\"").within(&of("\"encrypted:b@a\"")).is_empty());
    let scope = |entry: &str| Scope::parse(ScopeKind::Messages, &[entry]).unwrap();
    for (wide, narrow, covers) in [
        ("*", "encrypted:*", true),
        ("encrypted:*", "*", false),
        ("encrypted:@example.org", "encrypted:juliet@example.org", true),
        ("juliet@example.org", "encrypted:juliet@example.org/balcony", true),
    ] {
        assert_eq!(scope(wide).includes(&scope(narrow)), covers, "{wide} {narrow}");
    }
    assert_eq!(scope("encrypted:juliet@example.org").one_address(), None, "not all that is hers");
}

/// The router's own check has the rooms that the account knows besides.
#[test]
fn a_plugin_that_is_kept_to_rooms_acts_in_no_other() {
    let rooms = |names: &[&str]| RoomList::new(names.iter().map(|name| bare(&format!("{name}@muc.example.org"))));
    let all = grants(
        r#""messages.read" = ["*"]
        "messages.send" = ["*"]
        "rooms.send" = ["*"]"#,
    );
    let kept = all.clone().in_rooms(Some(rooms(&["lounge"])));
    let (lounge, hall) = (bare("lounge@muc.example.org"), bare("hall@muc.example.org"));
    let may_say = |grants: &Grants, room| grants.may_do(Permission::RoomsSend, Target::Room(room), &nobody);
    assert!(may_say(&all, &hall) && may_say(&kept, &lounge) && !may_say(&kept, &hall));
    assert!(may_send(&kept, "juliet@example.org") && may_send(&kept, "lounge@muc.example.org/juliet"));
    assert!(!may_send(&kept, "hall@muc.example.org/juliet"));
    assert!(kept.may_hear(&lounge, &nobody) && !kept.may_hear(&hall, &nobody));
    assert!(kept.serves(Some(&lounge)) && !kept.serves(Some(&hall)) && !kept.serves(None) && all.serves(None));
    // A room that the owner removes is removed at once, and the additional rooms of another list do not return.
    let both = all.clone().in_rooms(Some(rooms(&["hall", "lounge"])));
    assert_eq!(both.within(&kept), kept);
    assert_eq!(all.within(&kept), kept);
    assert!(!kept.within(&all.clone().in_rooms(Some(rooms(&["hall"])))).serves(Some(&lounge)));
    assert_eq!(kept.only(|permission| permission == Permission::RoomsSend).rooms(), kept.rooms());
    assert!(both.meets(&kept) && all.meets(&kept) && !kept.meets(&all.clone().in_rooms(Some(rooms(&["hall"])))));
}

/// Its form says what a room is about (XEP-0045, section 6.4).
#[test]
fn a_plugin_that_is_kept_to_rooms_hears_nothing_of_what_others_say_of_themselves() {
    let kept = grants("\"disco.read\" = true").in_rooms(Some(RoomList::new([bare("lounge@muc.example.org")])));
    let sees = |entity: &str| {
        let feature = Payload::Feature { var: "urn:x".to_owned(), entity: jid(entity) };
        let field = Payload::Field { json: "{}".into(), entity: jid(entity) };
        let sees = |name, payload| kept.may_see(&happened(name, payload), &nobody);
        [sees("serviceDiscovered", feature), sees("discoExtensionFieldDiscovered", field)]
    };
    assert_eq!(sees("hall@muc.example.org"), [false; 2]);
    for entity in ["lounge@muc.example.org", "muc.example.org", "juliet@example.org/balcony"] {
        assert_eq!(sees(entity), [true; 2], "{entity}");
    }
}

/// For example the answers of other plugins there, with `stanza.read`.
#[test]
fn a_plugin_that_is_kept_to_rooms_sees_no_stanza_that_goes_to_another() {
    let all = grants(r#""stanza.read" = ["message", "presence"]"#);
    let kept = all.clone().in_rooms(Some(RoomList::new([bare("lounge@muc.example.org")])));
    let sees = |grants: &Grants, kind: &str, to: &str| {
        let payload = Payload::Stanza { xml: format!("<{kind} xmlns='jabber:client'/>"), to: Some(jid(to)) };
        grants.may_see(&happened("send", payload), &nobody)
    };
    for to in ["hall@muc.example.org", "hall@muc.example.org/juliet"] {
        assert!(sees(&all, "message", to) && !sees(&kept, "message", to), "{to}");
        assert!(sees(&all, "presence", to) && !sees(&kept, "presence", to), "{to}");
    }
    for to in ["lounge@muc.example.org", "lounge@muc.example.org/juliet", "juliet@example.org"] {
        assert!(sees(&kept, "message", to) && sees(&kept, "presence", to), "{to}");
    }
}
