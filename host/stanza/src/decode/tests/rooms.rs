//! Tests of reading stanzas of rooms and their occupants.

use super::*;

#[test]
fn a_room_speaks_of_itself_under_its_own_address() {
    let x =
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/><status code='x'/><status code='170'/></x>";
    assert_eq!(message("from='r@muc' type='groupchat'", x).room_status, [104, 170]);
    assert!(message("from='r@muc/juliet' type='groupchat'", x).room_status.is_empty());
    assert!(message("from='r@muc'", x).room_status.is_empty());
    let seen = presence(
        "from='r@muc/n'",
        "<x xmlns='http://jabber.org/protocol/muc#user'><item role='visitor'/></x><occupant-id \
         xmlns='urn:xmpp:occupant-id:0' id='o1'/>",
    );
    assert_eq!(seen.muc.unwrap().occupant_id.as_deref(), Some("o1"));
}

/// People see a new subject or a reaction, whatever its author writes beside it.
#[test]
fn what_an_occupant_says_is_no_copy_and_no_result_of_an_archive() {
    let within = forwarded(INNER);
    let reaction = "<reactions xmlns='urn:xmpp:reactions:0' id='m'><reaction>👎</reaction></reactions>";
    for label in [
        format!("<sent xmlns='urn:xmpp:carbons:2'>{within}</sent>"),
        "<received xmlns='urn:xmpp:carbons:2'/>".to_owned(),
        format!("<result {RESULT}>{within}</result>"),
        "<result xmlns='urn:xmpp:mam:2'/>".to_owned(),
    ] {
        for content in
            [format!("<subject>spam</subject>{label}{reaction}"), format!("{label}<subject>spam</subject>{reaction}")]
        {
            let said = message("from='r@muc/n' type='groupchat'", &content);
            assert_eq!(
                (said.subject.as_deref(), said.nick.as_deref(), said.carbon),
                (Some("spam"), Some("n"), None),
                "{content}"
            );
            assert!(said.extensions.is_some_and(|extensions| extensions.reactions.is_some()), "{content}");
        }
        let by_room = read(&format!("<message xmlns='jabber:client' from='r@muc' type='groupchat'>{label}</message>"));
        assert!(matches!(by_room, Incoming::Archived(_) | Incoming::Refused(_)), "{label}");
    }
}

/// XEP-0421, section 5, and XEP-0317. A room that knows them removes those of others, so that of two one is forged.
#[test]
fn ids_of_occupants_and_hats_are_read_if_there_is_one_of_each() {
    let one = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='o1'/>";
    let two = format!("{one}<occupant-id xmlns='urn:xmpp:occupant-id:0' id='o2'/>");
    let said = |attributes: &str, ids: &str| message(attributes, &format!("<body>hi</body>{ids}")).occupant_id;
    let in_room = "from='r@muc/n' type='groupchat'";
    assert_eq!(said(in_room, one).as_deref(), Some("o1"));
    assert_eq!(said(in_room, &two), None);
    for other in
        ["from='r@muc/n' type='chat'", "from='r@muc' type='groupchat'", "from='me@house/here' type='groupchat'"]
    {
        assert_eq!(said(other, one), None, "{other}");
    }
    let hat = |uri: &str, title: &str| format!("<hat uri='{uri}' title='{title}'/>");
    let seen = |inside: &str| {
        let x = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='visitor'/></x>";
        presence("from='r@muc/n'", &format!("{x}{inside}")).muc.unwrap()
    };
    let hats = |inside: &str| seen(&format!("<hats xmlns='urn:xmpp:hats:0'>{inside}</hats>")).hats;
    assert_eq!(
        hats(&hat("urn:x", " Boss ")),
        [crate::types::Hat { uri: "urn:x".to_owned(), title: "Boss".to_owned() }]
    );
    assert_eq!(hats(&hat("urn:x", &"t".repeat(1_000)))[0].title.len(), 256);
    let many: String = (0..1_000).map(|number| hat(&format!("urn:{number}"), "t")).collect();
    assert_eq!(hats(&many).len(), crate::types::MAX_HATS);
    for odd in [hat("", "t"), hat("urn:x", ""), hat(&"u".repeat(257), "t"), "<hat title='t'/>".to_owned()] {
        assert!(hats(&odd).is_empty(), "{odd}");
    }
    let twice = format!("<hats xmlns='urn:xmpp:hats:0'>{}</hats>", hat("urn:x", "t")).repeat(2);
    assert!(seen(&twice).hats.is_empty());
    assert_eq!(seen(&two).occupant_id, None);
}

/// XEP-0317: a hat is known by its URI, and may have a title in each of several languages.
#[test]
fn a_hat_with_titles_in_several_languages_is_one_hat() {
    let hat = |uri: &str, lang: &str, title: &str| format!("<hat uri='urn:{uri}' xml:lang='{lang}' title='{title}'/>");
    let hats = [
        hat("member", "en-us", "Member"),
        hat("member", "de-de", "Mitglied"),
        hat("owner", "en-us", ""),
        hat("owner", "de-de", "Eigentümer"),
        hat("owner", "fr-fr", "Propriétaire"),
    ];
    let x = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='visitor'/></x>";
    let seen = presence("from='r@muc/n'", &format!("{x}<hats xmlns='urn:xmpp:hats:0'>{}</hats>", hats.concat()));
    let titles: Vec<_> = seen.muc.unwrap().hats.into_iter().map(|hat| hat.title).collect();
    assert_eq!(titles, ["Member", "Eigentümer"]);
}

/// XEP-0045, section 8.6.
#[test]
fn a_request_for_voice_is_the_rooms() {
    let form = |kind: &str, form_type: &str, jid: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='{kind}'><field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>\
             <field var='muc#jid'><value>{jid}</value></field><field var='muc#roomnick'><value>n</value></field></x>"
        )
    };
    let asked = |from: &str, form: &str| message(from, form).voice;
    let voice = crate::types::VOICE;
    let request = asked("from='r@muc'", &form("form", voice, "a@b/c")).unwrap();
    assert_eq!((request.nick.as_str(), request.jid), ("n", jid("a@b/c")));
    for (from, form) in [
        ("from='r@muc/n'", form("form", voice, "a@b/c")),
        ("from='r@muc' type='groupchat'", form("form", voice, "a@b/c")),
        ("from='r@muc'", form("submit", voice, "a@b/c")),
        ("from='r@muc'", form("form", "urn:x", "a@b/c")),
        ("from='r@muc'", form("form", voice, "@@")),
        ("from='r@muc'", "<x xmlns='jabber:x:data' type='form'/>".to_owned()),
    ] {
        assert!(asked(from, &form).is_none(), "{from}: {form}");
    }
}

/// XEP-0045, section 7.10.
#[test]
fn a_room_says_how_to_register() {
    let read = |inside: &str| match iq("type='result'", &format!("<query xmlns='jabber:iq:register'>{inside}</query>"))
    {
        Incoming::Answer(Answer { outcome: Ok(Body::Registration(registration)), .. }) => registration,
        other => panic!("{other:?}"),
    };
    let form = "<x xmlns='jabber:x:data' type='form'><field var='muc#register_roomnick' type='text-single'/></x>";
    let found = read(form);
    assert_eq!((found.is_registered, found.form.unwrap()[0].var.as_str()), (false, "muc#register_roomnick"));
    let found = read("<registered/><username>n</username>");
    assert!(found.is_registered && found.form.is_none());
}

/// Of a field with more, one more than the host gives back shows that there are more.
#[test]
fn the_values_of_a_field_are_read_up_to_one_more_than_may_be() {
    let read = |count: usize| {
        let values = "<value>a@b</value>".repeat(count);
        let form = format!("<x xmlns='jabber:x:data' type='form'><field var='f' type='jid-multi'>{values}</field></x>");
        match body_of(&format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>")) {
            Body::RoomForm(fields) => fields[0].values.len(),
            other => panic!("{other:?}"),
        }
    };
    let most = crate::types::MAX_FORM_VALUES;
    assert_eq!([most, most + 1, 2 * most].map(read), [most, most + 1, most + 1]);
}

/// Prosody and ejabberd write a text for clients that know no invitations, the latter with the room's password.
#[test]
fn an_archived_invitation_of_a_room_is_no_message() {
    let shown = |from: &str, content: &str| {
        let inner = format!("<message xmlns='jabber:client' from='{from}' to='me@house'>{content}</message>");
        let Incoming::Archived(result) = archived("", RESULT, &forwarded(&inner)) else { panic!("{content}") };
        result.message.map(|message| message.body.unwrap())
    };
    let x = |inner: &str| format!("<x xmlns='http://jabber.org/protocol/muc#user'>{inner}</x>");
    let text = "<body>friend@far invites you to the room, the password is 'sesame'</body>";
    let direct = "<x xmlns='jabber:x:conference' jid='room@muc'/>";
    let invites = x("<invite from='friend@far/x'/><password>sesame</password>");
    for content in [format!("{text}{invites}"), format!("{text}{invites}{direct}"), text.to_owned() + direct] {
        assert_eq!(shown("room@muc", &content), None, "{content}");
    }
    assert_eq!(shown("room@muc", &(text.to_owned() + &x("<decline from='hecate@far'/>"))), None);
    let own_words = shown("friend@far/x", &format!("<body>come</body>{direct}"));
    assert_eq!(own_words.as_deref(), Some("come"), "a person's own words");
}

/// XEP-0122, section 3.2.1.
#[test]
fn a_field_with_suggestions_takes_other_values() {
    for (rule, options) in [("<open/>", 0), ("<basic/>", 1)] {
        let form = format!(
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='form'><field var='a' \
             type='list-single'><validate xmlns='http://jabber.org/protocol/xdata-validate'>{rule}</validate><option>\
             <value>1</value></option></field></x></query>"
        );
        let Body::RoomForm(read) = body_of(&form) else { panic!("a form") };
        assert_eq!(read[0].options.len(), options, "{rule}");
    }
}
