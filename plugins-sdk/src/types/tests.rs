//! Tests how a plugin reads a message: its text, its name, and the text after a command's name.

use super::*;

fn message(kind: &str, body: &str) -> Message {
    Message {
        labels: Vec::new(),
        encryption: None,
        device_trust: None,
        id: Some("author's".to_owned()),
        stanza_id: Some("archive's".to_owned()),
        origin_id: None,
        chat: "juliet@example.org".to_owned(),
        from: "juliet@example.org/balcony".to_owned(),
        to: "romeo@example.org".to_owned(),
        nick: None,
        occupant_id: None,
        kind: kind.to_owned(),
        body: Some(body.to_owned()),
        bodies: Vec::new(),
        command: None,
        cut: None,
        subject: None,
        thread: None,
        at: "2026-11-20T06:24:00Z".to_owned(),
        delayed: false,
        carbon: None,
        own: false,
        extensions: None,
        error: None,
        xml: None,
    }
}

/// For which feature, and where.
type Part = (Option<&'static str>, Option<(u32, u32)>);

fn with_fallback(body: &str, parts: &[Part]) -> Message {
    let fallback = parts.iter().map(|(feature, part)| Fallback { feature: feature.map(str::to_owned), part: *part });
    let extensions = Extensions { fallback: fallback.collect(), ..Extensions::default() };
    Message { extensions: Some(extensions), ..message("chat", body) }
}

#[test]
fn what_is_there_for_others_is_left_out() {
    let reply = Some(ns::REPLY);
    assert_eq!(message("chat", "> hi\nyes").body_without_fallback(ns::REPLY), "> hi\nyes");
    assert_eq!(with_fallback("> hí\nyes", &[(reply, Some((0, 5)))]).body_without_fallback(ns::REPLY), "yes");
    assert_eq!(with_fallback("> hi\nyes", &[(None, Some((0, 5)))]).body_without_fallback(ns::REPLY), "yes");
    assert_eq!(
        with_fallback("> hi\nyes", &[(Some("urn:x"), Some((0, 5)))]).body_without_fallback(ns::REPLY),
        "> hi\nyes"
    );
    assert_eq!(with_fallback("reacted", &[(reply, None)]).body_without_fallback(ns::REPLY), "");
    assert_eq!(with_fallback("👍👍", &[(reply, Some((1, 9)))]).body_without_fallback(ns::REPLY), "👍");
    let both = [(reply, Some((6, 99))), (None, Some((1, 5))), (reply, Some((9, 2))), (reply, Some((40, 50)))];
    assert_eq!(with_fallback("+> 👍\n1\n> 👍", &both).body_without_fallback(ns::REPLY), "+1", "wherever it is");
    let nothing = [(reply, Some((2, 1))), (reply, Some((1, 1))), (reply, Some((2, u32::MAX)))];
    assert_eq!(with_fallback("+1", &nothing).body_without_fallback(ns::REPLY), "+1", "there is nothing");
    assert_eq!(Message { body: None, ..message("chat", "") }.body_without_fallback(ns::REPLY), "");
}

#[test]
fn a_quotation_is_there_for_those_who_know_no_replies() {
    let quoted = with_fallback("> earlier\nhi\nthére", &[(Some(ns::REPLY), Some((0, 10)))]);
    let reply = Outgoing::new("yes").quoting(&quoted);
    assert_eq!(reply.body.as_deref(), Some("> hi\n> thére\nyes"));
    let extensions = reply.extensions.unwrap();
    assert_eq!(extensions.fallback[0].part, Some((0, 13)));
    assert_eq!(extensions.reply.unwrap().id, "author's");

    let reaction = with_fallback("> hi\n👍", &[(Some(ns::REACTIONS), None)]);
    let reply = Outgoing::new("yes").quoting(&reaction);
    assert_eq!(reply.body.as_deref(), Some("yes"), "nothing was said");
    let extensions = reply.extensions.unwrap();
    assert!(extensions.fallback.is_empty() && extensions.reply.is_some());
}

#[test]
fn a_message_asks_for_receipts_and_for_markers() {
    let asks = |message: Outgoing| message.extensions.map(|asked| (asked.receipt_requested, asked.markable));
    assert_eq!(asks(Outgoing::new("hi")), None);
    assert_eq!(asks(Outgoing::new("hi").with_receipt()), Some((true, false)));
    assert_eq!(asks(Outgoing::new("hi").with_receipt().with_markers()), Some((true, true)));
}

#[test]
fn a_message_is_hidden_and_has_no_markup_but_a_preview() {
    let preview = || LinkPreview { url: "https://example.org/".to_owned(), ..LinkPreview::default() };
    let shown = Outgoing::new("hi").spoiler("end").unstyled().with_preview(preview()).extensions.unwrap();
    assert_eq!((shown.spoiler.as_deref(), shown.unstyled, shown.previews), (Some("end"), true, vec![preview()]));
}

#[test]
fn a_message_is_named_by_what_others_know_it_by() {
    assert_eq!(message("chat", "").reference(), Some("author's"));
    assert_eq!(message("groupchat", "").reference(), Some("archive's"));
    let relayed = |kind| Message { origin_id: Some("kept".to_owned()), ..message(kind, "") };
    assert_eq!(relayed("chat").reference(), Some("kept"));
    assert_eq!(relayed("groupchat").reference(), Some("archive's"));
    let marked = |kind| Outgoing::marking(&relayed(kind), "displayed").unwrap().extensions.unwrap().marked.unwrap();
    assert_eq!((marked("chat"), marked("groupchat")), ("author's".to_owned(), "archive's".to_owned()));
    let anonymous = Message { stanza_id: None, ..message("groupchat", "") };
    assert!(Outgoing::reacting_to(&anonymous, ["👍"]).is_err() && Outgoing::marking(&anonymous, "displayed").is_err());
    assert!(Outgoing::new("hi").replying_to(&anonymous).extensions.is_none());
    let reactions = Outgoing::reacting_to(&message("groupchat", ""), ["👍"]).unwrap().extensions.unwrap();
    assert_eq!(reactions.reactions.unwrap().id, "archive's");
    assert_eq!(reactions.hints, ["store"], "else no archive would keep them");
}

#[test]
fn what_stands_behind_a_commands_name_is_there_as_it_was_written() {
    let rest = |name: &str, body: &str| {
        let command = Command {
            name: name.to_owned(),
            args: Vec::new(),
            values: Vec::new(),
            message: message("chat", body),
            form: None,
        };
        command.rest()
    };
    assert_eq!(rest("say", "!say I don't  \"know\"\nit "), "I don't  \"know\"\nit");
    assert_eq!(rest("say", "!Echo.SAY hi"), "hi");
    assert_eq!(rest("say", "bot: say say it"), "say it");
    assert_eq!(rest("say", "!say"), "");
    assert_eq!(rest("grüße", "!GRÜßE dich"), "dich");
    let message = with_fallback("> say what?\n!say hi", &[(Some(ns::REPLY), Some((0, 12)))]);
    assert_eq!(
        Command { name: "say".to_owned(), args: Vec::new(), values: Vec::new(), message, form: None }.rest(),
        "hi",
        "what a reply quotes is not said"
    );
    let message = with_fallback("> say what?\n👍\n!say hi", &[(Some(ns::REACTIONS), Some((0, 14)))]);
    assert_eq!(
        Command { name: "say".to_owned(), args: Vec::new(), values: Vec::new(), message, form: None }.rest(),
        "hi",
        "nor is a reaction"
    );
    let parts = [(None, Some((5, 10))), (Some(ns::REPLY), Some((12, 99)))];
    let message = with_fallback("!say > é\n hi\n> what?", &parts);
    assert_eq!(
        Command { name: "say".to_owned(), args: Vec::new(), values: Vec::new(), message, form: None }.rest(),
        "hi",
        "wherever it is"
    );
}

#[test]
fn an_entity_stands_for_its_address() {
    fn taken(entity: impl Entity) -> String {
        entity.address()
    }
    let view = View {
        jid: "juliet@example.org".to_owned(),
        minimized: false,
        shown: true,
        focused: false,
        attributes: Vec::new(),
        image: None,
        image_type: None,
        url: None,
        vcard_updated: None,
    };
    assert_eq!(
        [taken(&view), taken(&view.jid), taken("a@b"), taken(String::new())],
        ["juliet@example.org", "juliet@example.org", "a@b", ""]
    );
    assert_eq!(addresses([&view]), ["juliet@example.org"]);
    for (name, spelled) in
        [("chat-status", "chat_status"), ("chat_status", "chat_status"), ("chatStatus", "chat_status"), ("JID", "JID")]
    {
        assert_eq!(snake_case(name), spelled);
    }
}

#[test]
fn a_request_to_a_webhook_is_read_as_json_or_text_and_its_headers_by_any_spelling() {
    let hook = Webhook {
        id: "1".to_owned(),
        name: "github".to_owned(),
        attempt: 1,
        method: "POST".to_owned(),
        query: None,
        path: None,
        headers: vec![Header { name: "x-github-event".to_owned(), value: "push".to_owned() }],
        body: b"{\"zen\":\"x\"}".to_vec(),
    };
    assert_eq!(hook.json::<Value>().unwrap()["zen"], "x");
    assert!(hook.json::<Vec<u8>>().is_err());
    assert_eq!(
        (&*hook.text(), hook.header("X-GitHub-Event"), hook.header("etag")),
        ("{\"zen\":\"x\"}", Some("push"), None)
    );
}

#[test]
fn a_message_has_the_files_that_it_was_given() {
    let file = |name: &str| File {
        url: format!("https://upload.example.org/1/{name}"),
        name: Some(name.to_owned()),
        media_type: Some("image/png".to_owned()),
        size: Some(3),
    };
    let names = |files: &[File]| files.iter().filter_map(|one| one.name.clone()).collect::<Vec<_>>();
    let sent = Outgoing::new("look").with_file(file("a.png")).with_file(file("b.png"));
    assert_eq!(names(&sent.extensions.clone().unwrap().files), ["a.png", "b.png"]);
    assert_eq!(Outgoing::from(file("a.png")).body, None);
    let came = Message { extensions: sent.extensions, ..message("chat", "look") };
    assert_eq!(names(came.files()), ["a.png", "b.png"]);
    assert!(message("chat", "").files().is_empty());
}

#[test]
fn a_due_time_is_a_point_in_time() {
    let due = |text: &str| DueTime { name: "standup".to_owned(), due: text.to_owned(), late: 0, missed: 0, attempt: 1 };
    assert_eq!(due("1970-01-01T00:01:00Z").time().unwrap().as_second(), 60);
    assert!(due("soon").time().is_err());
}
