//! `settings`: a plugin's own settings, and a view of the host's (rows 116–119 of `tests/conformance.toml`).

use parlor_config::{Config, Overrides, Role, SETTINGS, SettingKind, SettingRule};
use parlor_tests::component::with_manifest;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, client, granted, id, refuses, running};

/// Rows 116-118.
#[tokio::test(flavor = "multi_thread")]
async fn set_wins_over_the_owner_the_owner_over_update_and_update_over_the_default() {
    let plan = Plan::offline().caller("plain", |entry| entry);
    let host = plan.caller("owned", |entry| entry.set("greeting", "ahoy")).start().await;
    let get = json!({ "key": "greeting" });
    let update = json!({ "values": [["greeting", "hi"], ["added", [1, 2]]] });
    for (plugin, first, updated) in [("plain", "hello", "hi"), ("owned", "ahoy", "ahoy")] {
        host.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": first }));
        host.call(plugin, "settings.update", update.clone()).await.ok();
        host.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": updated }));
        host.call(plugin, "settings.get", json!({ "key": "added" })).await.is(json!({ "value": [1, 2] }));
        host.call(plugin, "settings.set", json!({ "key": "greeting", "value": plugin })).await.ok();
        host.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": plugin }));
    }
    host.call("plain", "settings.get", get).await.is(json!({ "value": "plain" }));
    host.call("plain", "settings.get", json!({ "key": "nobody knows it" })).await.is(Value::Null);
}

/// Row 117. A schedule that works for several rooms handles an event of none of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_value_for_a_room_is_read_at_any_time() {
    let hall = "hall@rooms.localhost";
    let values = |entry: Entry| entry.set("greeting", "everywhere").set_in(hall, "greeting", "in the hall");
    let host = Plan::offline().caller(BARE, values).start().await;
    let get = |room: &str, key: &str| host.call(BARE, "settings.get-in", json!({ "room": room, "key": key }));
    get(hall, "greeting").await.is(json!({ "value": "in the hall" }));
    get("Hall@Rooms.localhost/nick", "greeting").await.is(json!({ "value": "in the hall" }));
    get("ball@rooms.localhost", "greeting").await.is(json!({ "value": "everywhere" }));
    get(hall, "nobody knows it").await.is(Value::Null);
    host.call(BARE, "settings.get", json!({ "key": "greeting" })).await.is(json!({ "value": "everywhere" }));
    // The host's settings are the same in a room.
    get(hall, "nickname").await.fails("denied");
}

/// Row 117. Otherwise a misspelt name would silently return nothing, or a default.
#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_nobody_declares_is_warned_of_once_with_the_nearest() {
    let host = Plan::offline().caller(BARE, |entry| entry).start().await;
    for key in ["greting", "greting", "greeting", "nobody knows it"] {
        host.call(BARE, "settings.get", json!({ "key": key })).await.ok();
    }
    let warning = "plugin asks for a setting that its plugin.toml does not declare";
    let line = host.logged(warning, &[("plugin", BARE), ("setting", "greting")]).await;
    assert!(line.get("nearest").contains("greeting"), "{line:?}");
    host.logged(warning, &[("setting", "nobody knows it")]).await;
    let lines = crate::trace::with("account", host.name());
    assert_eq!(lines.iter().filter(|line| line.is(warning, &[])).count(), 2);
}

/// Rows 117, 118. A number keeps its exact value, from every source.
#[tokio::test(flavor = "multi_thread")]
async fn fractions_come_as_they_were_written() {
    // An inexact JSON parser would get the last digit of each of these wrong.
    let (default, owned, set, shared) =
        (31.245_270_191_439_438, 121.487_919_511_619_45, 100.783_996_582_031_25, 5e-324);
    let reads = |entry: Entry| entry.grant_whole("settings.read");
    let plan = Plan::offline().set("shared", shared).caller("plain", reads);
    let host = plan.caller("owned", |entry| reads(entry).set("fraction", owned)).start().await;
    let get = json!({ "key": "fraction" });
    for (plugin, first) in [("plain", default), ("owned", owned)] {
        host.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": first }));
        host.call(plugin, "settings.set", json!({ "key": "fraction", "value": set })).await.ok();
        host.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": set }));
        host.call(plugin, "settings.get", json!({ "key": "shared" })).await.is(json!({ "value": shared }));
    }
}

/// Rows 118, 119.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_set_or_none() {
    let host = Plan::offline().caller(BARE, |entry| entry).start().await;
    let set = |values: Value| host.call(BARE, "settings.set-many", json!({ "values": values }));
    set(json!([["one", 1], ["greeting", 2]])).await.invalid("values");
    host.call(BARE, "settings.get", json!({ "key": "one" })).await.is(Value::Null);
    set(json!([["one", 1], ["greeting", "two"]])).await.ok();
    host.call(BARE, "settings.get", json!({ "key": "one" })).await.is(json!({ "value": 1 }));
    host.call(BARE, "settings.set", json!({ "key": "greeting", "value": true })).await.invalid("value");
    host.call(BARE, "settings.set", json!({ "key": "", "value": 1 })).await.invalid("key");
    let long = "x".repeat(65 << 10);
    host.call(BARE, "settings.set", json!({ "key": "long", "value": long })).await.invalid("value");
    let many: Vec<_> = (0..65).map(|number| json!([format!("key{number}"), number])).collect();
    set(many.into()).await.fails("over-limit");
}

/// Rows 117.
/// Settings `password`, `sid`, `rid`.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_are_read_with_the_grant_and_its_secrets_never() {
    let host = Plan::offline().set("nickname", "Benvolio").set("priority", 5).three().start().await;
    host.call(FULL, "settings.get", json!({ "key": "nickname" })).await.is(json!({ "value": "Benvolio" }));
    host.call(FULL, "settings.get", json!({ "key": "priority" })).await.is(json!({ "value": 5 }));
    refuses(
        &host,
        &[
            ("settings.get", json!({ "key": "nickname" }), "settings.read", None),
            ("settings.get", json!({ "key": "password" }), "settings.read", None),
        ],
    )
    .await;
    for secret in ["password", "sid", "rid"] {
        host.call(FULL, "settings.get", json!({ "key": secret })).await.is(Value::Null);
    }
}

/// Settings `auto_list_rooms`, `hide_muc_server`, `hide_offline_users`, `i18n`, `play_sounds`,
/// `roster_groups`, `show_controlbox_by_default`.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_front_end_is_told_is_kept_and_read() {
    let mut plan = Plan::offline();
    let given = [
        ("auto_list_rooms", json!(false), json!(true)),
        ("hide_muc_server", json!(false), json!(true)),
        ("hide_offline_users", json!(false), json!(true)),
        ("i18n", Value::Null, json!("de")),
        ("play_sounds", json!(false), json!(true)),
        ("roster_groups", json!(false), json!(true)),
        ("show_controlbox_by_default", json!(false), json!(true)),
    ];
    let host = Plan::offline().three().start().await;
    for (key, default, other) in &given {
        let read = host.call(FULL, "settings.get", json!({ "key": key })).await.ok();
        assert_eq!(read["value"], *default, "{key}: {read}");
        plan = plan.set(key, toml::Value::try_from(other).unwrap());
    }
    let host = plan.three().start().await;
    for (key, _, other) in given {
        host.call(FULL, "settings.get", json!({ "key": key })).await.is(json!({ "value": other }));
    }
}

/// Setting `allow_otr`. Plugins read what the owner decided, and change nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn whether_anybody_is_written_to_off_the_record_is_the_owners_decision() {
    for (plan, allowed) in [(Plan::offline(), true), (Plan::offline().set("allow_otr", false), false)] {
        let host = plan.three().start().await;
        host.call(FULL, "settings.get", json!({ "key": "allow_otr" })).await.is(json!({ "value": allowed }));
        refused_for_good(
            host.call(FULL, "settings.set", json!({ "key": "allow_otr", "value": !allowed })).await,
            "allow_otr",
        );
    }
}

/// Rows 118-119.
/// Settings `alerts`, `alerts_per_hour`, `auto_login`, `authentication`, `bosh_service_url`, `credentials_url`, `debug`,
/// `expose_rid_and_sid`, `jid`, `prebind`, `prebind_url`, `rejoin`, `websocket_url`.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_settings_are_denied_whatever_the_grant() {
    let host = Plan::offline().three().start().await;
    for plugin in [BARE, FULL] {
        for rule in SETTINGS.iter().filter(|rule| matches!(rule.role, Role::Operator | Role::Secret)) {
            let set = json!({ "key": rule.key, "value": other_value(rule) });
            refused_for_good(host.call(plugin, "settings.set", set).await, rule.key);
        }
        let mixed = json!({ "values": [["own", 1], ["password", "x"]] });
        refused_for_good(host.call(plugin, "settings.set-many", mixed).await, "password");
        host.call(plugin, "settings.get", json!({ "key": "own" })).await.is(Value::Null);
    }
}

/// Returns a valid value for a setting that differs from its default.
fn other_value(rule: &SettingRule) -> Value {
    match rule.kind {
        SettingKind::Flag => (rule.default != "true").into(),
        SettingKind::Text => "x".into(),
        SettingKind::Number(_, most) => most.min(7).into(),
        SettingKind::Choice(choices) => choices.last().copied().into(),
        SettingKind::Choices(choices) => json!([choices[0]]),
        SettingKind::Jids | SettingKind::Rooms => json!(["hall@rooms.localhost"]),
        SettingKind::Names => json!(["name"]),
        SettingKind::Any => json!({ "any": [1] }),
    }
}

/// Rows 117-118.
#[tokio::test(flavor = "multi_thread")]
async fn every_other_setting_of_the_host_is_set_at_run_time_and_read_back() {
    let host = Plan::offline().three().start().await;
    for rule in SETTINGS.iter().filter(|rule| matches!(rule.role, Role::Effect | Role::Data)) {
        let (key, value) = (rule.key, other_value(rule));
        host.call(FULL, "settings.set", json!({ "key": key, "value": value })).await.ok();
        host.call(NARROW, "settings.get", json!({ "key": key })).await.is(json!({ "value": value }));
    }
}

/// Row 118: what is set takes effect at once.
/// Settings `allow_muc`, `allow_non_roster_messaging`, `auto_join_private_chats`, `auto_join_rooms`, `message_archiving`,
/// `message_carbons`, `muc_nickname_from_jid`, `nickname`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_takes_effect_at_once() {
    let host = Plan::new().await.three().start().await;
    let set = async |key: &str, value: Value| {
        host.call(FULL, "settings.set", json!({ "key": key, "value": value })).await.ok();
        // The effects have then reached the server.
        ask(&host, "<ping xmlns='urn:xmpp:ping'/>").await;
    };
    let mut friend = crate::test_host::friend("friend").await;
    let jid = friend.jid().to_bare().to_string();

    host.call(FULL, "chats.open", json!({ "jid": jid })).await.fails("not-found");
    set("allow_non_roster_messaging", true.into()).await;
    host.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    set("auto_join_private_chats", json!(["nurse@localhost"])).await;
    assert_eq!(host.call(FULL, "chats.get", json!({ "jid": "nurse@localhost" })).await.ok()["jid"], "nurse@localhost");

    let (heard, mut phone) =
        (host.listen_with(FULL, json!({ "name": "message", "own": true })).await, client(host.account()).await);
    let from = friend.jid().to_bare();
    let mut copied = async |body: &str| {
        friend.chat(phone.jid().clone(), body).await.unwrap();
        // Carbon copies are sent before the message itself is delivered.
        phone.wait_body(&from, body, SOON).await.unwrap();
        ask(&host, "<ping xmlns='urn:xmpp:ping'/>").await;
        host.heard_so_far(FULL, heard).await.iter().any(|event| event["payload"]["message"]["body"] == body)
    };
    assert!(copied("one").await);
    set("message_carbons", false.into()).await;
    assert!(!copied("two").await, "nobody wants copies any more");
    set("message_carbons", true.into()).await;
    assert!(copied("three").await);

    for kept in ["never", "roster", "always"] {
        set("message_archiving", kept.into()).await;
        // The host first asks the server for its preferences.
        let mut asked = String::new();
        for _ in 0..50 {
            asked = ask(&host, "<prefs xmlns='urn:xmpp:mam:2'/>").await.replace('\'', "\"");
            if asked.contains(&format!("default=\"{kept}\"")) {
                break;
            }
        }
        assert!(asked.contains(&format!("default=\"{kept}\"")), "{kept}: {asked}");
    }

    let opened = host.listen(FULL, "chatRoomOpened").await;
    let server = crate::test_host::prosody().await;
    let [first, second, third] = [(); 3].map(|()| server.fresh_room().to_string());
    set("nickname", "Mercutio".into()).await;
    set("auto_join_rooms", json!([first])).await;
    let room = host.heard(FULL, opened).await["payload"]["room"].clone();
    assert_eq!((&room["jid"], &room["nick"]), (&json!(first), &json!("Mercutio")), "{room}");
    set("muc_nickname_from_jid", true.into()).await;
    let room = host.call(FULL, "rooms.open", json!({ "jid": second })).await.ok();
    assert_eq!(room["nick"], host.account().jid.node().unwrap().as_str(), "{room}");
    set("allow_muc", false.into()).await;
    host.call(FULL, "rooms.open", json!({ "jid": third })).await.fails("unsupported");
}
/// Sends a plugin's IQ, and returns the server's answer, which comes after everything that was sent before.
async fn ask(host: &TestHost, payload: &str) -> String {
    let to = if payload.starts_with("<ping") { "to='localhost'" } else { "" };
    let iq = json!({ "iq": format!("<iq type='get' id='1' {to}>{payload}</iq>") });
    host.call(FULL, "api.send-iq", iq).await.ok().as_str().unwrap().to_owned()
}

/// Settings `default_state`.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_before_a_log_in_is_the_default() {
    let host = Plan::offline().three().start().await;
    // Before the first log-in, the status is the present default.
    host.call(FULL, "settings.set", json!({ "key": "default_state", "value": "xa" })).await.ok();
    assert_eq!(host.call(FULL, "user.get-status", Value::Null).await.ok()["value"], "xa");
}

#[track_caller]
fn refused_for_good(answer: crate::answer::Answer, key: &str) {
    let error = answer.fails("denied");
    assert_eq!((&error["permission"], &error["scope"]), (&json!("settings.write"), &json!(key)));
    assert!(error["hint"].as_str().unwrap().starts_with("no grant helps"), "{error}");
}

/// Builds a reference to a command's output.
fn command(command: &str) -> toml::Table {
    toml::Table::from_iter([("command".to_owned(), command.into())])
}

/// Row 117.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_its_own_comes_to_its_holder_alone() {
    let host =
        Plan::offline().caller("holder", |new| new.set("token", command("echo canary-7319"))).three().start().await;
    host.call("holder", "settings.get", json!({ "key": "token" })).await.is(json!({ "value": "canary-7319" }));
    host.call(FULL, "settings.get", json!({ "key": "token" })).await.is(Value::Null);
    let lines = crate::trace::with("account", host.name());
    assert!(!format!("{lines:?}").contains("canary-7319"));
}

/// Rows 118-119.
/// Settings `nickname`, `play_sounds`, `priority`.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_are_set_with_the_grant_and_hold_at_once() {
    let host = Plan::new().await.three().start().await;
    let mut watcher = client(host.account()).await;
    let set = |key: &str, value: Value| host.call(FULL, "settings.set", json!({ "key": key, "value": value }));
    for (key, value) in [("nickname", json!("Mercutio")), ("play_sounds", json!(true)), ("priority", json!(7))] {
        set(key, value.clone()).await.ok();
        host.call(NARROW, "settings.get", json!({ "key": key })).await.is(json!({ "value": value }));
    }
    let bot = host.shared().snapshot().jid.clone();
    let priority = |stanza: &tokio_xmpp::Stanza| match stanza {
        tokio_xmpp::Stanza::Presence(one) => (one.from.as_ref() == Some(&bot) && one.priority.0 == 7).then_some(()),
        _ => None,
    };
    watcher.wait_for("presence with the new priority", SOON, priority).await.unwrap();
    for (key, value) in [
        ("nickname", json!(7)),
        ("priority", json!(128)),
        ("allow_muc", json!("yes")),
        ("auto_join_rooms", json!(["@@"])),
        ("default_state", json!("busy")),
    ] {
        set(key, value).await.invalid("value");
    }
    let many = json!({ "values": [["nickname", "Tybalt"], ["hide_offline_users", true], ["own", 1]] });
    host.call(FULL, "settings.set-many", many).await.ok();
    for (key, value) in [("nickname", json!("Tybalt")), ("hide_offline_users", json!(true)), ("own", json!(1))] {
        host.call(FULL, "settings.get", json!({ "key": key })).await.is(json!({ "value": value }));
    }
    // If one value is invalid, none is set, whichever it is.
    for broken in [json!(["priority", "x"]), json!(["greeting", 1]), json!(["debug", true]), json!(["", 1])] {
        let many = json!({ "values": [["nickname", "Paris"], ["own", 2], broken] });
        host.call(FULL, "settings.set-many", many).await.fails(if broken[0] == "debug" { "denied" } else { "invalid" });
        host.call(FULL, "settings.get", json!({ "key": "nickname" })).await.is(json!({ "value": "Tybalt" }));
        host.call(FULL, "settings.get", json!({ "key": "own" })).await.is(json!({ "value": 1 }));
    }
    let write = "settings.write";
    let refused = [("settings.set", json!({ "key": "nickname", "value": "x" }), write, None)];
    refuses(&host, &refused).await;
    let refused = [("settings.update", json!({ "values": [["nickname", "x"]] }), write, None)];
    refuses(&host, &refused).await;
    let account = host.account().jid.to_string();
    host.call(FULL, "settings.get", json!({ "key": "jid" })).await.is(json!({ "value": account }));
}

/// Rows 116-117.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_default_gives_way_to_what_the_operator_wrote() {
    let host = Plan::offline().set("enable_foo", false).set("nickname", "Given").three().start().await;
    let update = json!({ "values": [["enable_foo", true], ["enable_bar", true]] });
    host.call(BARE, "settings.update", update).await.ok();
    host.call(BARE, "settings.get", json!({ "key": "enable_foo" })).await.is(json!({ "value": false }));
    host.call(BARE, "settings.get", json!({ "key": "enable_bar" })).await.is(json!({ "value": true }));
    // The plugin does not see the value until it claims the name.
    host.call(NARROW, "settings.get", json!({ "key": "enable_foo" })).await.is(json!({ "value": false }));
    let update = json!({ "values": [["nickname", "Offered"], ["csi_waiting_time", 60]] });
    host.call(FULL, "settings.update", update).await.ok();
    host.call(FULL, "settings.get", json!({ "key": "nickname" })).await.is(json!({ "value": "Given" }));
    host.call(FULL, "settings.get", json!({ "key": "csi_waiting_time" })).await.is(json!({ "value": 60 }));
    host.call(FULL, "settings.update", json!({ "values": [["priority", "x"]] })).await.invalid("values");
    refused_for_good(host.call(FULL, "settings.update", json!({ "values": [["debug", true]] })).await, "debug");
    refused_for_good(host.call(FULL, "settings.update", json!({ "values": [["feed_url", "x"]] })).await, "feed_url");
}

/// Rows 1, 117.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_plugin_keeps_secret_nobody_has_by_claiming_it() {
    let host = Plan::offline().set("token", "canary-2210").three().start().await;
    // In their manifest it is a secret of their own. A secret in the shared section is given to no plugin.
    for plugin in [BARE, FULL] {
        host.call(plugin, "settings.get", json!({ "key": "token" })).await.is(Value::Null);
    }
    host.call(BARE, "settings.set", json!({ "key": "token", "value": "mine" })).await.ok();
    host.call(BARE, "settings.get", json!({ "key": "token" })).await.is(json!({ "value": "mine" }));
    host.call(FULL, "settings.get", json!({ "key": "token" })).await.is(Value::Null);
    host.logged("a secret under [settings], where plugins see what they claim, is not given to anybody: set it with `parlor plugin config`", &[("setting", "token")]).await;
    assert!(!format!("{:?}", crate::trace::with("account", host.name())).contains("canary-2210"));
}

/// Row 117.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_keeps_secret_any_more_is_a_setting_like_any_other() {
    let open = |manifest: &str| manifest.split_once("[settings.token]").unwrap().0.to_owned();
    let open = with_manifest(&plugins::built("caller").unwrap().bytes().unwrap(), open).unwrap();
    let plan = Plan::offline().set("token", "no canary").caller(BARE, |entry| entry);
    let mut host = plan.bytes(FULL, &open, |entry| granted(entry).set("name", FULL)).start().await;
    let get = json!({ "key": "token" });
    host.call(FULL, "settings.get", get.clone()).await.is(Value::Null);
    // The disabled plugin may run again, so its secret stays protected.
    host.policy.plugin.get_mut(BARE).unwrap().enabled = false;
    host.home.set_policy(&host.policy).unwrap();
    host.host.reload().await.unwrap();
    host.call(FULL, "settings.get", get.clone()).await.is(Value::Null);
    host.policy = std::mem::take(&mut host.policy).without(BARE);
    host.home.set_policy(&host.policy).unwrap();
    host.host.reload().await.unwrap();
    host.call(FULL, "settings.get", get).await.is(json!({ "value": "no canary" }));
}

async fn changed(host: &TestHost, plugin: &str, n: u64) -> Value {
    host.heard(plugin, n).await["payload"]["json"].clone()
}

async fn value(host: &TestHost, plugin: &str, key: &str) -> Value {
    host.call(plugin, "settings.get", json!({ "key": key })).await.ok()["value"].clone()
}

/// Rows 117.
/// Events settingsChanged.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_writes_under_settings_while_it_runs_is_heard_by_whom_it_concerns() {
    let mut host = Plan::offline().caller(BARE, |entry| entry).caller(FULL, granted).start().await;
    let n = host.listen(FULL, "settingsChanged").await;
    let (before, other) = (host.instance(FULL).await.id, host.instance(BARE).await.id);
    host.call(FULL, "settings.set", json!({ "key": "priority", "value": 7 })).await.ok();
    host.home.set("greeting", "ahoy").unwrap();
    host.home.set("nickname", "Mercutio").unwrap();
    let config = |host: &TestHost| {
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        Config::load(&host.home.path().join("parlor.toml"), &overrides).unwrap()
    };
    host.host.reconfigure(config(&host)).await;
    assert_eq!(changed(&host, FULL, n).await, json!({ "greeting": "ahoy" }));
    assert_eq!(host.instance(FULL).await.id, before);
    assert_eq!(value(&host, FULL, "nickname").await, "Mercutio");
    assert_eq!(value(&host, FULL, "priority").await, 7, "what a plugin has set since, and the owner did not write");
    // A plugin that does not listen is restarted, and has the new value as well.
    running(&host, BARE).await;
    assert_ne!(host.instance(BARE).await.id, other);
    assert_eq!(value(&host, BARE, "greeting").await, "ahoy");
    // The change does not concern the plugins' own settings, so none is notified or restarted.
    let other = host.instance(BARE).await.id;
    host.home.set("nickname", "Tybalt").unwrap();
    host.host.reconfigure(config(&host)).await;
    assert_eq!(value(&host, FULL, "nickname").await, "Tybalt");
    assert_eq!((host.instance(FULL).await.id, host.instance(BARE).await.id), (before, other));
    assert!(host.heard_so_far(FULL, n).await.is_empty());
}

/// Rows 116-118.
/// Events settingsChanged.
#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_which_of_its_own_settings_are_different() {
    let host = Plan::offline().caller(BARE, |entry| entry).caller(FULL, |entry| entry).start().await;
    let n = host.listen(BARE, "settingsChanged").await;
    let other = host.listen(FULL, "settingsChanged").await;
    host.call(BARE, "settings.set", json!({ "key": "greeting", "value": "hi" })).await.ok();
    assert_eq!(changed(&host, BARE, n).await, json!({ "greeting": "hi" }));
    host.call(BARE, "settings.set", json!({ "key": "greeting", "value": "hi" })).await.ok();
    host.call(BARE, "settings.update", json!({ "values": [["greeting", "x"], ["new", [1]]] })).await.ok();
    assert_eq!(changed(&host, BARE, n).await, json!({ "new": [1] }), "what is set goes on to win");
    // The owner changes only a setting: a plugin that listens keeps running.
    let before = host.instance(FULL).await.id;
    host.decide(FULL, |entry| entry.set("greeting", "ahoy")).await;
    assert_eq!(changed(&host, FULL, other).await, json!({ "greeting": "ahoy" }));
    assert_eq!(host.instance(FULL).await.id, before);
    host.call(FULL, "settings.get", json!({ "key": "greeting" })).await.is(json!({ "value": "ahoy" }));
    assert!(host.heard_so_far(BARE, n).await.is_empty(), "another's are another's");
    // A value that the plugin set before does not hide one that the owner changes later.
    host.call(FULL, "settings.set", json!({ "key": "greeting", "value": "mine" })).await.ok();
    assert_eq!(changed(&host, FULL, other).await, json!({ "greeting": "mine" }));
    host.decide(FULL, |entry| entry.set("greeting", "hey")).await;
    assert_eq!(changed(&host, FULL, other).await, json!({ "greeting": "hey" }));
    // A plugin that does not listen is restarted, and has the new value as well.
    host.call(FULL, "listen.not", json!({ "order": other })).await.ok();
    host.decide(FULL, |entry| entry.set("greeting", "welcome")).await;
    running(&host, FULL).await;
    assert_ne!(host.instance(FULL).await.id, before);
    host.call(FULL, "settings.get", json!({ "key": "greeting" })).await.is(json!({ "value": "welcome" }));
}

/// Row 118.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_outlives_a_failure_of_the_plugin() {
    let host = Plan::offline().caller(BARE, |entry| entry).start().await;
    host.call(BARE, "settings.set", json!({ "key": "greeting", "value": "hi" })).await.ok();
    let before = host.instance(BARE).await.id;
    host.order(BARE, "action.panic", Value::Null).await;
    host.logged("plugin ended", &[("plugin", BARE)]).await;
    running(&host, BARE).await;
    assert_ne!(host.instance(BARE).await.id, before);
    host.call(BARE, "settings.get", json!({ "key": "greeting" })).await.is(json!({ "value": "hi" }));
    assert!(host.host.remove_plugin(&id(BARE)).await);
}

/// Row 117.
#[tokio::test(flavor = "multi_thread")]
async fn every_setting_of_the_host_reads_as_its_default_and_no_secret_at_all() {
    let host = Plan::offline().caller(FULL, granted).start().await;
    for rule in SETTINGS {
        let answer = host.call(FULL, "settings.get", json!({ "key": rule.key })).await;
        match (rule.role, rule.key) {
            (Role::Secret, _) => answer.is(Value::Null),
            (_, "jid") => drop(answer.ok()),
            // The harness set this one.
            (_, "auto_login") => answer.is(json!({ "value": false })),
            _ => answer.is(rule.default_value().map_or(Value::Null, |value| json!({ "value": value }))),
        }
    }
}
