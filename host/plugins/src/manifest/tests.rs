//! Tests with manifests as authors write them, and with typical mistakes.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::setting::SettingKind;

const WHOLE: &str = r#"
[plugin]
name = "echo"
version = "0.1.0"
api = "0.1.0"
description = "Says what it hears"
authors = ["Juliet"]
license = "MIT"
[permissions]
"messages.read" = { scope = ["*"], reason = "to hear what people say" }
"rooms.send" = { scope = ["*"], reason = "to answer in rooms", optional = true }
[dependencies]
greeter = { version = "^0.1", optional = true }
logger = "^0.2"
[settings.greeting]
type = "choice"
default = "Welcome"
description = "How to greet"
choices = ["Welcome", "Hello"]
[settings.key]
type = "secret"
description = "For the service"
[provides]
events = ["greeted"]
promises = ["ready"]
"#;

fn refusal(text: &str) -> String {
    Manifest::parse(text).unwrap_err().to_string()
}

/// The manifest above with one text replaced by another.
fn but(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from));
    WHOLE.replace(from, to)
}

#[test]
fn a_whole_manifest_is_read() {
    let manifest = Manifest::parse(WHOLE).unwrap();
    assert_eq!(manifest.name.as_str(), "echo");
    assert_eq!(manifest.version, Version::new(0, 1, 0));
    assert!(!manifest.catch_up);
    assert!(Manifest::parse(&but("license = \"MIT\"", "catch_up = true")).unwrap().catch_up);
    assert!(!manifest.parks);
    assert!(Manifest::parse(&but("license = \"MIT\"", "parks = true")).unwrap().parks);
    assert!(refusal(&but("license = \"MIT\"", "parks = \"soon\"")).contains("true or false"));
    assert!(!manifest.in_order);
    assert!(Manifest::parse(&but("license = \"MIT\"", "in_order = true")).unwrap().in_order);
    assert!(refusal(&but("license = \"MIT\"", "in_order = \"rooms\"")).contains("true or false"));
    assert_eq!(manifest.license.as_deref(), Some("MIT"));
    let read = &manifest.permissions[&Permission::MessagesRead];
    assert_eq!((read.reason.as_str(), read.optional), ("to hear what people say", false));
    assert_eq!(read.line(Permission::MessagesRead), r#""messages.read" = ["*"]"#);
    assert!(manifest.permissions[&Permission::RoomsSend].optional);
    assert!(manifest.dependencies["greeter"].optional);
    assert!(manifest.dependencies["logger"].version.matches(&Version::new(0, 2, 7)));
    assert_eq!(manifest.settings["greeting"].default, Some(json!("Welcome")));
    assert_eq!(manifest.settings["key"].kind, SettingKind::Secret);
    assert_eq!(
        (manifest.events.as_slice(), manifest.promises.as_slice()),
        (&["greeted".to_owned()][..], &["ready".to_owned()][..])
    );
}

#[test]
fn only_the_plugin_itself_is_required() {
    let manifest =
        Manifest::parse("[plugin]\nname = \"a\"\nversion = \"1.0.0\"\napi = \"0.1.0\"\ndescription = \"x\"\n").unwrap();
    assert!(manifest.permissions.is_empty() && manifest.settings.is_empty() && manifest.license.is_none());
    assert_eq!(refusal(""), "in the manifest, 1:1: no `plugin`; a manifest begins with [plugin]");
    assert_eq!(
        refusal("[plugin]\nname = \"a\"\n"),
        "in the manifest, 1:2: [plugin] has no `version`; write a semantic version such as \"0.1.0\""
    );
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert!(refusal(&but("authors", "autors")).ends_with("unknown key `plugin.autors`; did you mean `authors`?"));
    assert!(refusal(&but("[provides]", "[provide]")).ends_with("did you mean `provides`?"));
    assert!(refusal(&but("optional = true }\n[dep", "optinal = true }\n[dep")).contains("did you mean `optional`?"));
    assert!(refusal(&but("\"secret\"", "\"sercet\"")).contains("did you mean `secret`?"));
}

#[test]
fn every_permission_needs_a_reason() {
    assert!(refusal(&but(", reason = \"to hear what people say\"", "")).contains("no `reason`; say to the owner why"));
    assert!(refusal(&but("to hear what people say", "  ")).contains("not empty"));
    assert!(refusal(&but("to hear what people say", &"x".repeat(501))).contains("at most 500 bytes"));
    assert!(
        refusal(&but("{ scope = [\"*\"], reason = \"to hear what people say\" }", "true")).contains("with a reason")
    );
    let deaf = but("license = \"MIT\"", "catch_up = true").replace("messages.read", "messages.send");
    assert!(refusal(&deaf).contains("`catch_up` tells messages that were missed: ask for \"messages.read\""));
    assert!(refusal(&but("messages.read", "messages.reed")).starts_with("in the manifest, 10:1: "));
}

#[test]
fn a_plugin_may_ask_for_encrypted_messages_alone() {
    let asks = |more: &str| {
        but("scope = [\"*\"], reason = \"to hear", &format!("scope = [\"*\"], {more}, reason = \"to hear"))
    };
    let manifest = Manifest::parse(&asks("only = \"encrypted\"")).unwrap();
    let read = &manifest.permissions[&Permission::MessagesRead];
    assert_eq!(read.entries(Permission::MessagesRead), ["encrypted:*"]);
    assert_eq!(read.line(Permission::MessagesRead), r#""messages.read" = ["encrypted:*"]"#);
    let plugin = "echo".parse().unwrap();
    for (scope, grants) in [(None, "encrypted:*"), (Some("juliet@example.org"), "encrypted:juliet@example.org")] {
        let denied = manifest.denial(&plugin, Permission::MessagesRead, scope.map(str::to_owned));
        let CallError::Denied { hint, .. } = denied else { panic!("it is denied") };
        assert!(hint.contains(&format!("messages.read={grants}")), "{hint}");
    }
    let wrong = refusal(&asks("only = \"plain\""));
    assert!(wrong.starts_with("in the manifest, 10:") && wrong.contains("`only` can be \"encrypted\""), "{wrong}");
    let storage =
        refusal(&but("\"messages.read\" = { scope = [\"*\"]", "storage = { scope = [\"1 MiB\"], only = \"encrypted\""));
    assert!(storage.contains("is for \"messages.read\" and \"archive.read\""), "{storage}");
}

#[test]
fn what_is_nearly_right_is_told_what_to_write() {
    let quotes = "\"messages.read\" = { scope = [\"*\"]";
    let in_line_10 = |text: &str| format!("in the manifest, 10:{text}");
    for (to, error) in [
        (
            "messages.read = { scope = [\"*\"]",
            "1: a permission's name has a dot and is written in quotation marks: \"messages.read\" = …",
        ),
        (
            "\"messages.read\" = { scope = [\"contact\"]",
            "21: in `scope`, \"messages.read\": \"contact\" is no address: did you mean \"contacts\"? There can be \"*\", \
             \"contacts\", \"juliet@example.org\" or \"@example.org\"",
        ),
        ("storage = { scope = \"16 MiB\"", "13: in `scope`, \"storage\" is a list: write [\"16 MiB\"]"),
        (
            "storage = { scope = [\"16mb\"]",
            "13: in `scope`, \"storage\": \"16mb\" is no size: \
             write a whole number and one of B, KiB, MiB, GiB, such as [\"16 MiB\"]",
        ),
        ("catch_up = { scope = true", "1: `catch_up` stands under [plugin]"),
    ] {
        assert_eq!(refusal(&but(quotes, to)), in_line_10(error));
    }
    let none = refusal(&but("scope = [\"*\"], reason = \"to hear", "reason = \"to hear"));
    assert!(
        none.starts_with("in the manifest, 10:1: no `scope`, and \"messages.read\" needs to know for what"),
        "{none}"
    );
    for nothing in ["[]", "false"] {
        let nothing =
            refusal(&but("scope = [\"*\"], reason = \"to hear", &format!("scope = {nothing}, reason = \"to hear")));
        assert!(nothing.ends_with("10:1: a permission that is not asked for is left out"), "{nothing}");
    }
    let one = refusal(&but("{ scope = [\"*\"], reason = \"to hear what people say\" }", "[\"contacts\"]"));
    assert!(
        one.ends_with("`messages.read` has to be a table with a reason: { scope = [\"*\"], reason = \"…\" }"),
        "{one}"
    );
    assert!(refusal(&format!("name = \"echo\"\n{WHOLE}")).ends_with("1:1: `name` stands under [plugin]"));
}

#[test]
fn versions_are_told_to_have_three_numbers() {
    for (written, meant) in [
        ("\"1\"", "1.0.0"),
        ("\"1.0\"", "1.0.0"),
        ("\"v0.2.1\"", "0.2.1"),
        ("\" 2.1 \"", "2.1.0"),
        ("1", "1.0.0"),
        ("1.2", "1.2.0"),
        ("\"new\"", "0.1.0"),
        ("true", "0.1.0"),
    ] {
        let has_to_be = format!("has to be a version, three numbers in quotes such as \"{meant}\"");
        for key in ["version", "api"] {
            let refused = refusal(&WHOLE.replacen(&format!("{key} = \"0.1.0\""), &format!("{key} = {written}"), 1));
            assert!(refused.ends_with(&format!("`plugin.{key}` {has_to_be}")), "{refused}");
        }
    }
    let changes = |key: &str| refusal(&but("license = \"MIT\"", &format!("changes = {{ {key} = \"More\" }}")));
    let expected = "is no version: write three numbers in quotes, such as \"0.1.0\" = \"…\"";
    assert!(changes("0.1.0").ends_with(&format!("`0` {expected}")), "{}", changes("0.1.0"));
    assert!(changes("\"0.2\"").ends_with(&format!("`0.2` {expected}")));
    let range = "`dependencies.logger` has to be a range of versions such as \"^0.1\", or \"*\"";
    assert!(refusal(&but("logger = \"^0.2\"", "logger = \"new\"")).contains(&format!("{range}: ")));
    assert!(refusal(&but("logger = \"^0.2\"", "logger = 1")).ends_with(range));
}

#[test]
fn values_of_another_type_are_told_which() {
    let setting = refusal(&but("[settings.key]", "[settings]\nplain = \"Hi\"\n[settings.key]"));
    let table = "`settings.plain` has to be a table: { type = \"…\", default = …, description = \"…\" }";
    assert!(setting.ends_with(table), "{setting}");
    assert!(refusal(&but("[\"Juliet\"]", "\"Juliet\"")).ends_with("has to be a list of texts: [\"…\", \"…\"]"));
    for (kind, default, what) in [
        ("number", "\"5\"", "a number, without quotation marks"),
        ("boolean", "\"true\"", "true or false, without quotation marks"),
        ("string", "5", "a text"),
        ("number", "true", "a number"),
        ("boolean", "\"yes\"", "true or false"),
        ("boolean", "\"1\"", "true or false"),
        ("number", "\"five\"", "a number"),
    ] {
        let of = format!("type = \"{kind}\"\ndefault = {default}\n");
        let refused = refusal(&but("type = \"secret\"\n", &of));
        assert!(
            refused.ends_with(&format!("the default does not fit the type {kind}: it has to be {what}")),
            "{refused}"
        );
    }
}

#[test]
fn an_unknown_type_of_a_setting_is_named_where_it_is_with_the_known_ones() {
    let known = "known are string, number, boolean, choice, list, jid, duration, secret, credential";
    for (written, near) in [("strng", "; did you mean `string`?"), ("colour", "")] {
        assert_eq!(
            refusal(&but("type = \"secret\"", &format!("type = \"{written}\""))),
            format!("in the manifest, 21:8: unknown type of setting `{written}`; {known}{near}")
        );
    }
}

#[test]
fn names_and_versions_are_strict() {
    assert!(refusal(&but("name = \"echo\"", "name = \"../echo\"")).contains("plugin.name"));
    assert!(refusal(&but("version = \"0.1.0\"", "version = \"0.1\"")).contains("plugin.version"));
    assert!(refusal(&but("\"^0.2\"", "\"^^\"")).contains("dependencies.logger"));
    assert!(refusal(&but("logger =", "Logger =")).contains("write `logger`"));
    assert!(refusal(&but("settings.greeting", "settings.Greeting")).contains("setting's name"));
    assert!(refusal(&but("[\"ready\"]", "[\"ready\", \"ready\"]")).contains("twice"));
    assert!(refusal(&but("[\"ready\"]", "[\"connected\"]")).contains("`connected` is the host's own name"));
    assert!(refusal(&but("[\"ready\"]", "[\"\"]")).contains("1 to 128 bytes"));
}

#[test]
fn a_default_fits_its_schema() {
    assert!(refusal(&but("default = \"Welcome\"", "default = \"Go away\"")).contains("one of Welcome, Hello"));
    assert!(refusal(&but("default = \"Welcome\"", "default = 1979-05-27")).contains("settings.greeting.default"));
    assert!(refusal(&but("type = \"choice\"", "type = \"string\"")).contains("only a setting of the type choice"));
    assert!(refusal(&but("type = \"secret\"", "type = \"secret\"\ndefault = \"x\"")).contains("no default"));
}

#[test]
fn counts_and_sizes_are_bounded() {
    let many = (0..65).map(|n| format!("p{n} = \"*\"\n")).collect::<Vec<_>>().concat();
    assert!(refusal(&but("logger = \"^0.2\"\n", &many)).contains("more than 64 entries"));
    let setting = |n| format!("[settings.s{n}]\ntype = \"string\"\ndescription = \"x\"\n");
    let many = (0..65).map(setting).collect::<Vec<_>>().concat();
    assert!(refusal(&but("[provides]", &format!("{many}[provides]"))).contains("more than 64 entries"));
    assert_eq!(Manifest::parse(&" ".repeat(MAX_BYTES + 1)), Err(ManifestError::TooLong(MAX_BYTES + 1)));
    assert!(refusal(&"[".repeat(MAX_BYTES)).starts_with("in the manifest, 1:"));
    assert!(Manifest::parse(&"a.".repeat(MAX_BYTES / 2)).is_err());
}

#[test]
fn the_example_for_authors_is_a_manifest_with_every_key_and_every_type() {
    let manifest = Manifest::parse(keys::EXAMPLE).unwrap();
    assert!(manifest.catch_up && manifest.parks && manifest.in_order && manifest.dependencies["kettle"].optional);
    let kinds: Vec<String> = manifest.settings.values().map(|setting| setting.kind.to_string()).collect();
    for (kind, _, example) in crate::setting::kinds() {
        assert!(kinds.iter().any(|there| there == kind), "{kind} is missing");
        assert!(keys::EXAMPLE.contains(example), "{example} is not in it");
    }
    for key in keys::all() {
        assert!(keys::EXAMPLE.contains(key.example), "{} is not in it", key.example);
        assert!(
            key.example.contains(key.name) || key.example == "greeter = \"^0.1\"",
            "{} shows another key",
            key.example
        );
    }
    for key in keys::all().iter().filter(|key| key.default.is_none()) {
        assert!(
            ["plugin", "permissions", "dependencies", "settings", "webhook", "requests"].contains(&key.table),
            "{key:?}"
        );
    }
}

#[test]
fn only_keys_of_the_table_are_read() {
    for table in ["plugin", "permissions", "dependencies", "settings", "provides"] {
        let known = keys::of(table);
        assert!(!known.is_empty(), "{table}");
        let strange = match table {
            "plugin" => but("license =", "strange ="),
            "permissions" => but("optional = true }\n[dep", "strange = true }\n[dep"),
            "dependencies" => but("optional = true }\nlogger", "strange = true }\nlogger"),
            "settings" => but("choices =", "strange ="),
            _ => but("events =", "strange ="),
        };
        assert!(refusal(&strange).ends_with(&format!("known are {}", known.join(", "))), "{}", refusal(&strange));
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fall_over(text in "\\PC{0,200}", cut in 0..WHOLE.len(), insert in "[\\[\\]{}=\",.a\n]{0,5}") {
        let _ = Manifest::parse(&text);
        let (before, after) = WHOLE.split_at(cut);
        let _ = Manifest::parse(&format!("{before}{insert}{after}"));
    }
}

/// They are announced, and the host answers its own.
#[test]
fn the_namespaces_that_a_plugin_answers_are_listed_and_none_is_the_hosts() {
    let with = |scope: &str| {
        but("[dependencies]", &format!("\"iq.answer\" = {{ scope = {scope}, reason = \"r\" }}\n[dependencies]"))
    };
    let manifest = Manifest::parse(&with("[\"urn:example:weather\", \"urn:example:tides\"]")).unwrap();
    let listed = manifest.permissions[&Permission::IqAnswer].entries(Permission::IqAnswer);
    assert_eq!(listed, ["urn:example:weather", "urn:example:tides"]);
    let many: Vec<_> = (0..=MAX_ENTRIES).map(|number| format!("\"urn:example:{number}\"")).collect();
    let many = format!("[{}]", many.join(", "));
    for (scope, said) in [
        ("[\"urn:xmpp:ping\"]", "the host answers its requests itself; no plugin may have it"),
        ("[\"urn:example:weather\", \"jabber:iq:roster\"]", "jabber:iq:roster"),
        ("[\"*\"]", "list each namespace by its name"),
        ("true", "write a list of XML namespaces"),
        (many.as_str(), "more than 64 namespaces"),
    ] {
        let error = refusal(&with(scope));
        assert!(error.contains(said), "{scope:.60}: {error}");
    }
}

/// The suggested line is valid in a manifest, for every permission.
#[test]
fn a_denial_of_what_is_not_asked_for_says_how_to_ask() {
    for &permission in Permission::ALL {
        let CallError::Denied { hint, .. } = undeclared(permission, None) else { panic!("it is denied") };
        let (_, line) = hint.split_once("[permissions]: ").unwrap();
        let (line, after) = line.split_once(", and to build it again").unwrap();
        assert_eq!(after, "; no grant helps before");
        let manifest = format!(
            "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n[permissions]\n{line}\n"
        );
        let manifest = Manifest::parse(&manifest).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(manifest.permissions.contains_key(&permission), "{line}");
    }
}

#[test]
fn requests_of_other_plugins_have_names_and_need_a_permission() {
    let with = |permission: &str, names: &str| {
        but("[dependencies]", &format!("{permission}\n[requests]\n{names}\n[dependencies]"))
    };
    let may = "\"plugins.answer\" = { scope = [\"*\"], reason = \"r\" }";
    let manifest = Manifest::parse(&with(may, "names = [\"rate\", \"message\"]")).unwrap();
    assert_eq!(manifest.requests, ["rate", "message"], "an event of the host's may have the same name");
    assert!(Manifest::parse(WHOLE).unwrap().requests.is_empty());
    for (permission, names, said) in [
        ("", "names = [\"rate\"]", "ask for \"plugins.answer\" as well"),
        (may, "names = [\"rate\", \"rate\"]", "is in the list twice"),
        (may, "names = [\"\"]", "1 to 128 bytes"),
        (may, "", "list the names of the requests"),
        (may, "names = []\nother = 1", "known are names"),
    ] {
        let error = refusal(&with(permission, names));
        assert!(error.contains(said), "{names}: {error}");
    }
}
