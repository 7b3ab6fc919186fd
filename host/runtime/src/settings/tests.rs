//! Settings of plugins: layers, changes, and their bounds.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const MANIFEST: &str = "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
    [settings.greeting]\ntype = \"string\"\ndefault = \"hello\"\ndescription = \"X\"\n\
    [settings.token]\ntype = \"secret\"\ndescription = \"X\"\n\
    [settings.time]\ntype = \"duration\"\ndefault = \"4 min\"\ndescription = \"X\"\n";

fn values(pairs: &[(&str, Value)]) -> Values {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn own(owner: &[(&str, Value)]) -> OwnSettings {
    OwnSettings::new(Arc::new(Manifest::parse(MANIFEST).unwrap()), values(owner), RoomSettings::default())
}

/// The values under `[settings]`.
fn written(key: &str) -> Option<Value> {
    match key {
        "greeting" => Some(json!("written")),
        "added" => Some(json!(1)),
        "token" => Some(json!(7)),
        _ => None,
    }
}

fn nothing(_: &str) -> Option<Value> {
    None
}

/// Rows 1, 116-117.
#[test]
fn layers_win_in_the_order_of_the_api() {
    let one = own(&[]);
    let get = |one: &OwnSettings, key: &str| one.get(key, || written(key));
    assert_eq!(one.get("greeting", || None), Some(json!("hello")));
    one.change(Layer::Offered, values(&[("greeting", json!("offered"))]), &nothing).unwrap();
    assert_eq!(one.get("greeting", || None), Some(json!("offered")));
    assert_eq!(get(&one, "greeting"), Some(json!("written")));
    one.owner_changed(values(&[("greeting", json!("owner"))]), RoomSettings::default(), &written);
    assert_eq!(get(&one, "greeting"), Some(json!("owner")));
    one.change(Layer::Set, values(&[("greeting", json!("set"))]), &written).unwrap();
    assert_eq!(get(&one, "greeting"), Some(json!("set")));
    // The name is not claimed before a default is offered.
    assert_eq!(get(&one, "added"), None);
    one.change(Layer::Offered, values(&[("added", json!(2))]), &written).unwrap();
    assert_eq!(get(&one, "added"), Some(json!(1)));
    assert_eq!(get(&one, "token"), None, "a number is no secret");
    assert_eq!(one.secrets().collect::<Vec<_>>(), ["token"]);
}

/// Events settingsChanged.
#[test]
fn a_span_of_time_is_handed_out_in_seconds_however_it_was_written() {
    let one = own(&[]);
    let get = || one.get("time", || Some(json!("soon")));
    assert_eq!(get(), Some(json!(240)), "of the manifest");
    let changes = one.owner_changed(values(&[("time", json!("1500 ms"))]), RoomSettings::default(), &nothing);
    assert_eq!(changes, BTreeMap::from([("time".to_owned(), Some(json!(1.5)))]));
    assert_eq!(get(), Some(json!(1.5)));
    let changes = one.owner_changed(values(&[("time", json!(240))]), RoomSettings::default(), &nothing);
    assert_eq!(changes, BTreeMap::from([("time".to_owned(), Some(json!(240)))]));
    one.change(Layer::Set, values(&[("time", json!("4 min"))]), &nothing).unwrap();
    assert_eq!(get(), Some(json!(240)));
    assert_eq!(one.change(Layer::Set, values(&[("time", json!(240))]), &nothing).unwrap(), BTreeMap::new());
}

#[test]
fn what_nobody_has_is_missed_once_by_each_instance_and_so_many_names_at_most() {
    let one = own(&[]);
    assert!(!one.missed("token"), "it has no value, and is declared");
    assert!(one.missed("greting") && !one.missed("greting"));
    assert_eq!((one.nearest("greting"), one.nearest("nicknam")), (Some("greeting"), Some("nickname")));
    one.change(Layer::Offered, values(&[("added", json!(1))]), &nothing).unwrap();
    assert!(!one.missed("added"), "it added that itself");
    one.restart();
    let count = (0..2 * MAX_MISSED).filter(|number| one.missed(&format!("name{number}"))).count();
    assert_eq!(count, MAX_MISSED);
    one.restart();
    assert!(one.missed("greting") && one.missed("added"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // The JSON reader rounds the last of more than 15 digits.
        any::<i16>().prop_map(|number| Value::from(f64::from(number) / 16.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let map = prop::collection::btree_map(any::<String>(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            map.prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The value passes through the text that a plugin hands in and is handed.
    #[test]
    fn whatever_is_set_is_what_is_read(value in any_json()) {
        let one = own(&[]);
        let handed_in: Value = serde_json::from_str(&value.to_string()).unwrap();
        one.change(Layer::Set, values(&[("mine", handed_in)]), &nothing).unwrap();
        let handed_out = one.get("mine", || None).unwrap().to_string();
        prop_assert_eq!(serde_json::from_str::<Value>(&handed_out).unwrap(), value);
    }
}

/// Events settingsChanged.
#[test]
fn what_is_different_is_named_with_the_value_that_wins() {
    let one = own(&[("greeting", json!("owner"))]);
    let changes = one.change(Layer::Offered, values(&[("greeting", json!("x")), ("new", json!(1))]), &nothing);
    assert_eq!(changes.unwrap(), BTreeMap::from([("new".to_owned(), Some(json!(1)))]));
    let again = one.change(Layer::Offered, values(&[("new", json!(1))]), &nothing).unwrap();
    assert!(again.is_empty());
    let changes = one.owner_changed(Values::new(), RoomSettings::default(), &nothing);
    assert_eq!(changes, BTreeMap::from([("greeting".to_owned(), Some(json!("x")))]));
}

#[test]
fn what_was_set_outlives_an_instance_and_what_it_offered_does_not() {
    let one = own(&[]);
    one.change(Layer::Set, values(&[("a", json!(1))]), &nothing).unwrap();
    one.change(Layer::Offered, values(&[("b", json!(2))]), &nothing).unwrap();
    one.restart();
    assert_eq!((one.get("a", || None), one.get("b", || None)), (Some(json!(1)), None));
}

/// The search for credentials is built once, and no credential from before or after a change is missed.
#[test]
fn what_is_hidden_follows_the_credentials_of_the_owner() {
    let manifest = format!(
        "{MANIFEST}[settings.pass]\ntype = \"credential\"\nhosts = [\"https://api.example.org\"]\n\
         description = \"X\"\n"
    );
    let owner = |pass: &str| values(&[("pass", json!(pass)), ("token", json!("no-credential"))]);
    let one =
        OwnSettings::new(Arc::new(Manifest::parse(&manifest).unwrap()), owner("first-one"), RoomSettings::default());
    let keys = ["pass", "token", "unknown"].map(str::to_owned);
    let (given, hidden) = one.credentials(None, &keys);
    assert_eq!(given, [Some("first-one".to_owned()), None, None]);
    assert!(hidden.are_in("a first-one") && !hidden.are_in("no-credential"));
    one.change(Layer::Set, values(&[("added", json!(1))]), &nothing).unwrap();
    assert!(Arc::ptr_eq(&hidden, &one.credentials(None, &[]).1), "the plugin changed another value");
    one.owner_changed(owner("second-one"), RoomSettings::default(), &nothing);
    let (given, hidden) = one.credentials(None, &keys[..1]);
    assert_eq!(given, [Some("second-one".to_owned())]);
    assert!(hidden.are_in("a second-one") && !hidden.are_in("a first-one"));
    one.owner_changed(Values::new(), RoomSettings::default(), &nothing);
    assert!(one.credentials(None, &keys).1.is_empty());
}

/// As the host reads them: they stand beside the values.
#[test]
fn the_secrets_of_single_senders_are_hidden_and_no_values_of_the_plugin() {
    let manifest = format!(
        "{MANIFEST}[settings.pass]\ntype = \"credential\"\nhosts = [\"https://api.example.org\"]\n\
         description = \"X\"\n"
    );
    let beside = [
        ("pass", json!("the shared one")),
        ("pass sender garden", json!({ "text": "of the garden" })),
        ("pass sender garden former", json!({ "text": "its old one", "until": "2026-01-31T12:00:00Z" })),
    ];
    let manifest = Arc::new(Manifest::parse(&manifest).unwrap());
    let one = OwnSettings::new(manifest, values(&beside), RoomSettings::default());
    let names: Vec<_> = one.senders("pass").iter().map(|one| one.name().to_owned()).collect();
    assert_eq!((names, one.senders("other").len()), (vec!["garden".to_owned()], 0));
    for (key, _) in &beside[1..] {
        assert_eq!((one.get(key, || None), one.given(key)), (None, None), "{key}");
    }
    let hidden = one.credentials(None, &[]).1;
    assert!(["the shared one", "of the garden", "its old one"].iter().all(|text| hidden.are_in(text)));
    let changes = one.owner_changed(values(&beside[..1]), RoomSettings::default(), &nothing);
    assert_eq!((changes.len(), one.senders("pass").len()), (0, 0));
    assert!(!one.credentials(None, &[]).1.are_in("of the garden"));
}

/// As the host reads them: former secrets stand beside the values.
#[test]
fn a_former_secret_is_hidden_and_no_value_of_the_plugin() {
    let manifest = format!(
        "{MANIFEST}[settings.pass]\ntype = \"credential\"\nhosts = [\"https://api.example.org\"]\n\
         description = \"X\"\n"
    );
    let owner = |former: &[(&str, Value)]| {
        let mut all = values(&[("pass", json!("the new one"))]);
        all.extend(values(former));
        all
    };
    let former = [("pass former", json!({ "text": "the old one", "until": "2026-01-31T12:00:00Z" }))];
    let one = OwnSettings::new(Arc::new(Manifest::parse(&manifest).unwrap()), owner(&former), RoomSettings::default());
    assert_eq!(one.former("pass").map(|one| one.text().to_owned()).as_deref(), Some("the old one"));
    assert_eq!((one.get("pass former", || None), one.given("pass former"), one.former("other")), (None, None, None));
    let hidden = one.credentials(None, &[]).1;
    assert!(hidden.are_in("the old one") && hidden.are_in("the new one"));
    let changes = one.owner_changed(owner(&[]), RoomSettings::default(), &nothing);
    assert_eq!((changes.len(), one.former("pass")), (0, None));
    assert!(!one.credentials(None, &[]).1.are_in("the old one"));
}

#[test]
fn what_settings_take_in_memory_is_bounded_and_not_only_as_text() {
    let objects = |count: usize| format!("[{}]", vec!["{\"\":0}"; count].join(","));
    let read = |count: usize, of: usize| {
        let given: Vec<(String, String)> = (0..count).map(|at| (format!("k{at}"), objects(of))).collect();
        OwnSettings::read("values", &given)
    };
    assert!(weight(&read(1, 1_000).unwrap()["k0"]) > 600_000);
    assert!(matches!(read(1, 9_000), Err(CallError::OverLimit(_))), "63,000 bytes of text");
    assert!(matches!(read(64, 100), Err(CallError::OverLimit(_))));
    let long = [("k".to_owned(), " ".repeat(MAX_VALUE) + "1")];
    assert!(matches!(OwnSettings::read("value", &long), Err(CallError::Invalid { .. })));
    let one = own(&[]);
    one.change(Layer::Set, read(1, 1_000).unwrap(), &nothing).unwrap();
    let again = one.change(Layer::Offered, read(1, 1_000).unwrap(), &nothing);
    assert!(matches!(again, Err(CallError::OverLimit(_))), "both are held");
    one.change(Layer::Set, values(&[("k0", json!(1))]), &nothing).unwrap();
    one.change(Layer::Offered, read(1, 1_000).unwrap(), &nothing).unwrap();
}

#[test]
fn a_name_that_is_set_and_offered_counts_once() {
    let one = own(&[]);
    let many: Vec<(String, Value)> = (0..MAX_ADDED).map(|number| (format!("k{number}"), json!(1))).collect();
    one.change(Layer::Offered, many.iter().cloned().collect(), &nothing).unwrap();
    one.change(Layer::Set, many.into_iter().collect(), &nothing).unwrap();
    let more = one.change(Layer::Set, values(&[("more", json!(1))]), &nothing);
    assert!(matches!(more, Err(CallError::OverLimit(_))));
    assert!(matches!(one.check(Layer::Set, &values(&[("token", json!(1))])), Err(CallError::Invalid { .. })));
}

/// Rows 116-117.
/// Events settingsChanged.
#[test]
fn a_value_for_a_room_wins_there_alone() {
    let room = |text: &str| text.parse::<BareJid>().unwrap();
    let (lounge, hall) = (room("lounge@muc.example.org"), room("hall@muc.example.org"));
    let rooms = |greeting: &str| {
        let mut rooms = RoomSettings::default();
        rooms.put(lounge.as_str(), "greeting", json!(greeting));
        rooms.put(lounge.as_str(), "time", json!("2 min"));
        rooms
    };
    let manifest = Arc::new(Manifest::parse(MANIFEST).unwrap());
    let one = OwnSettings::new(manifest, values(&[("greeting", json!("owner"))]), rooms("lounge"));
    assert!(one.differ_by_room() && !own(&[]).differ_by_room());
    let get = |room: Option<&BareJid>, key: &str| one.get_in(room, key, || None);
    assert_eq!(get(Some(&lounge), "greeting"), Some(json!("lounge")));
    assert_eq!((get(Some(&hall), "greeting"), get(None, "greeting")), (Some(json!("owner")), Some(json!("owner"))));
    assert_eq!((get(Some(&lounge), "time"), get(None, "time")), (Some(json!(120)), Some(json!(240))));
    // The plugin is notified that a setting has changed, even if it changed only in a room.
    let owner = || values(&[("greeting", json!("owner"))]);
    assert_eq!(one.owner_changed(owner(), rooms("lounge"), &nothing), BTreeMap::new());
    let changes = one.owner_changed(owner(), rooms("welcome"), &nothing);
    assert_eq!(changes, BTreeMap::from([("greeting".to_owned(), Some(json!("owner")))]));
    assert_eq!(get(Some(&lounge), "greeting"), Some(json!("welcome")));
    one.change(Layer::Set, values(&[("greeting", json!("set"))]), &nothing).unwrap();
    assert_eq!(get(Some(&lounge), "greeting"), Some(json!("set")), "what the plugin set wins everywhere");
    let changes = one.owner_changed(owner(), RoomSettings::default(), &nothing);
    let (greeting, time) = (Some(json!("owner")), Some(json!(240)));
    let both = BTreeMap::from([("greeting".to_owned(), greeting), ("time".to_owned(), time)]);
    assert_eq!(changes, both, "the owner changed it since");
}

/// Row 117. Otherwise the owner's change would do nothing until the host is restarted, and nobody would say so.
#[test]
fn what_the_owner_changes_later_wins_over_what_the_plugin_set() {
    let one = own(&[("greeting", json!("owner"))]);
    one.change(Layer::Set, values(&[("greeting", json!("set")), ("added", json!(1))]), &nothing).unwrap();
    let same = values(&[("greeting", json!("owner")), ("time", json!("2 min"))]);
    let changes = one.owner_changed(same, RoomSettings::default(), &nothing);
    assert_eq!(changes.into_keys().collect::<Vec<_>>(), ["time"]);
    assert_eq!(one.get("greeting", || None), Some(json!("set")), "the owner did not change this one");
    let changes = one.owner_changed(values(&[("greeting", json!("later"))]), RoomSettings::default(), &nothing);
    assert_eq!(changes.get("greeting"), Some(&Some(json!("later"))));
    assert_eq!((one.get("greeting", || None), one.get("added", || None)), (Some(json!("later")), Some(json!(1))));
    one.change(Layer::Set, values(&[("greeting", json!("again"))]), &nothing).unwrap();
    assert_eq!(one.get("greeting", || None), Some(json!("again")));
    one.owner_changed(Values::new(), RoomSettings::default(), &nothing);
    assert_eq!(
        one.get("greeting", || None),
        Some(json!("hello")),
        "the manifest's, as the owner took the own value away"
    );
}
