//! Tests of the form of settings.

use serde_json::json;

use super::*;

fn setting(kind: SettingKind) -> Setting {
    Setting { kind, default: None, description: "<b>what for".to_owned(), required: false }
}

fn schema() -> Schema {
    let choice = SettingKind::Choice(vec!["red".to_owned(), "blue".to_owned()]);
    let all = [
        ("text", SettingKind::String),
        ("number", SettingKind::Number),
        ("on", SettingKind::Boolean),
        ("colour", choice),
        ("list", SettingKind::List),
        ("key", SettingKind::Secret),
    ];
    all.into_iter().map(|(name, kind)| (name.to_owned(), setting(kind))).collect()
}

/// Returns the form of a page that shows these values, with these fields.
fn sent(shown: &SettingValues, fields: &[(&str, &str)]) -> Form {
    let marks = marks(&schema(), shown);
    Form::of(&[&[(SHOWN, marks.as_str())][..], fields].concat())
}

fn changes(values: &SettingValues, form: &Form) -> Result<Vec<SettingChange>, Problem> {
    changed(&"echo".parse().unwrap(), &schema(), values, form)
}

#[test]
fn what_another_owner_changed_meanwhile_is_not_undone() {
    let values =
        |number: u8| SettingValues([("text".to_owned(), json!("a\nb")), ("number".to_owned(), json!(number))].into());
    let shown = values(5);
    let touches_text = sent(&shown, &[("set.text", "c"), ("set.number", "5"), ("set.on", "")]);
    let text = SettingChange { name: "text".to_owned(), shown: Some(json!("a\nb")), new: Some(json!("c")) };
    for now in [5, 6] {
        // Fields that were not touched change nothing, whatever counts by now.
        assert_eq!(changes(&values(now), &touches_text).unwrap(), std::slice::from_ref(&text), "{now}");
    }
    let touches_both = sent(&shown, &[("set.text", "c"), ("set.number", "7")]);
    assert_eq!(changes(&shown, &touches_both).unwrap().len(), 2);
    for now in [values(6), SettingValues([("text".to_owned(), json!("a\nb"))].into())] {
        let problem = changes(&now, &touches_both).unwrap_err();
        assert!(problem.status == 409 && problem.sentence.contains("number of echo was changed"), "{problem:?}");
    }
    let sets_what_was_set = sent(&shown, &[("set.on", "true")]);
    let mut now = values(5);
    now.0.insert("on".to_owned(), json!(false));
    assert_eq!(changes(&now, &sets_what_was_set).unwrap_err().status, 409);
    // Somebody else has done the same already.
    assert!(changes(&values(7), &sent(&shown, &[("set.number", "7")])).unwrap().is_empty());
    // Browsers send other line ends.
    assert!(changes(&shown, &sent(&shown, &[("set.text", "a\r\nb")])).unwrap().is_empty());
    // A form that does not say what it showed may be about other values.
    assert_eq!(changes(&shown, &Form::of(&[("set.text", "c")])).unwrap_err().status, 400);
}

#[test]
fn a_form_changes_what_was_changed_in_it() {
    let values = SettingValues([("text".to_owned(), json!("say ")), ("number".to_owned(), json!(5))].into());
    let form = sent(
        &values,
        &[
            ("set.text", "say "),
            ("set.number", ""),
            ("set.on", "true"),
            ("set.colour", "blue"),
            ("set.list", "a\r\n\r\n b \r\n"),
            ("set.key", "secret"),
        ],
    );
    let all = changes(&values, &form).unwrap();
    let short: Vec<_> = all.iter().map(|change| (change.name.as_str(), change.new.clone())).collect();
    assert_eq!(
        short,
        [
            ("colour", Some(json!("blue"))),
            ("list", Some(json!(["a", "b"]))),
            ("number", None),
            ("on", Some(json!(true))),
        ]
    );
    for wrong in [("set.number", "many"), ("set.on", "maybe"), ("set.colour", "green")] {
        assert_eq!(changes(&values, &sent(&values, &[wrong])).unwrap_err().status, 400, "{wrong:?}");
    }
}

#[test]
fn a_form_that_was_refused_keeps_what_was_typed_and_no_secret() {
    let before = SettingValues([("number".to_owned(), json!(5)), ("on".to_owned(), json!(false))].into());
    let typed = [
        ("set.text", "<b>mine\""),
        ("set.number", "many"),
        ("set.on", "false"),
        ("set.list", "a\r\nb"),
        ("set.key", "hunter2"),
    ];
    let form = sent(&before, &typed);
    // Meanwhile another owner has changed a setting that this form leaves as it was.
    let mut now = before;
    now.0.insert("on".to_owned(), json!(true));
    let problem = changes(&now, &form).unwrap_err();
    let visit = Visit::for_test(Role::Owner, "/", Arc::new(Host::new(super::super::tests::target())));
    let known = (schema(), now.clone());
    let reply = refused(&visit, &"echo".parse().unwrap(), &known, &form, &problem);
    assert_eq!(reply.page_status(), Some(400));
    let page = reply.into_text();
    for words in [
        "id=\"problem\"",
        "the setting number does not fit",
        "action=\"/plugins/echo/settings\"",
        "value=\"&lt;b&gt;mine&quot;\"",
        "value=\"many\"",
        "a\r\nb</textarea>",
        "<option value=\"true\" selected>",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    assert!(!page.contains("hunter2") && !page.contains("<b>"), "{page}");
    // Sent once more with a number, it changes what was typed, and undoes nothing.
    let again = sent(&now, &[typed[0], ("set.number", "7"), ("set.on", "true"), typed[3]]);
    let names: Vec<_> = changes(&now, &again).unwrap().into_iter().map(|change| change.name).collect();
    assert_eq!(names, ["list", "number", "text"]);
}

#[test]
fn values_in_single_rooms_are_shown_without_secrets() {
    let mut all = RoomSettings::default();
    all.put("a@m.example", "text", json!("<b>hello"));
    all.put("a@m.example", "key", json!({ "file": "/secret/place" }));
    all.put("b@m.example", "gone", json!("secret of before"));
    let text = values_in_rooms(&"echo".parse().unwrap(), &schema(), &all).into_string();
    assert!(text.contains("a@m.example") && text.contains("b@m.example") && text.contains("hello"), "{text}");
    for hidden in ["/secret/place", "secret of before", "<b>"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert_eq!(text.matches("set, and not shown").count(), 2, "{text}");
    assert_eq!(values_in_rooms(&"echo".parse().unwrap(), &schema(), &RoomSettings::default()).into_string(), "");
}

#[test]
fn a_secret_is_never_shown() {
    let values = SettingValues([("key".to_owned(), json!({ "file": "/secret/place" }))].into());
    let host = || Arc::new(Host::new(super::super::tests::target()));
    for role in Role::ALL {
        let visit = Visit::for_test(role, "/plugins/echo", host());
        let text = shown(&visit, &"echo".parse().unwrap(), &schema(), &values, &RoomSettings::default()).into_string();
        assert!(!text.contains("/secret/place") && text.contains("set, and not shown"), "{text}");
        assert!(!text.contains("<b>"), "{text}");
        assert_eq!(text.contains("type=\"password\""), role == Role::Owner);
    }
}

#[test]
fn an_owner_of_some_accounts_changes_settings_and_sees_no_secret() {
    let told = |name: &str, kind: &str, value: Option<Value>| PluginSetting {
        name: name.to_owned(),
        kind: kind.to_owned(),
        choices: Vec::new(),
        description: "<b>what for".to_owned(),
        required: false,
        default: None,
        is_set: true,
        value,
    };
    let all = || {
        vec![told("text", "string", Some(json!("mine"))), told("key", "secret", None), told("id", "credential", None)]
    };
    let host = || Arc::new(Host::new(super::super::tests::target()));
    for role in Role::ALL {
        let visit = Visit::for_test(role, "/plugins/echo", host()).limited_to(&["main"]);
        let text = own(&visit, &"echo".parse().unwrap(), all()).into_string();
        assert!(text.contains("mine") && !text.contains("type=\"password\"") && !text.contains("<b>"), "{text}");
        assert_eq!(text.matches("set, and not shown").count(), 2, "{text}");
        assert_eq!(text.contains("action=\"/plugins/echo/settings\""), role == Role::Owner, "{text}");
        assert!(!text.contains("null"), "{text}");
    }
}
