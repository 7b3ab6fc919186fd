//! Several plugins of one file, each with its own id and rooms, as an owner installs and changes them.

use parlor_tests::component::with_manifest;
use parlor_tests::host::{Home, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use serde_json::{Value, json};

use super::{SOON, ended, home, juliet, start, start_as_it_is};
use crate::test_host::prosody;

const LOUNGE: &str = "lounge@conference.localhost";
const STAFF: &str = "staff@conference.localhost";

async fn run(home: &Home, arguments: &[&str], code: i32) -> parlor_tests::host::Finished {
    ended(home.run(arguments).await.unwrap(), code)
}

async fn shown(home: &Home, arguments: &[&str]) -> Value {
    run(home, &[arguments, &["--json"]].concat(), 0).await.json().unwrap()
}

/// Installs echo under this id, kept to these rooms.
async fn add(home: &Home, id: &str, rooms: &str) {
    std::fs::write(home.path().join("echo.wasm"), built("echo").unwrap().bytes().unwrap()).unwrap();
    run(home, &["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--id", id, "--rooms", rooms], 0).await;
}

#[tokio::test]
async fn one_file_is_installed_twice_with_ids_rooms_and_settings_of_their_own() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default()).await;
    add(&home, "echo-a", LOUNGE).await;
    add(&home, "echo-b", &format!("{STAFF},{LOUNGE}")).await;
    host.wait_count("plugin running", &[("plugin", "echo-b")], 1, SOON).await.unwrap();
    run(&home, &["plugin", "config", "echo-b", "room_prefix", "staff "], 0).await;
    let taken = run(&home, &["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--id", "echo-a"], 1).await;
    assert!(taken.stderr.contains("echo-a"), "{taken:?}");

    let list = shown(&home, &["plugin", "list"]).await;
    let rooms: Vec<_> = list.as_array().unwrap().iter().map(|one| (&one["id"], &one["rooms"])).collect();
    assert_eq!(rooms, [(&json!("echo-a"), &json!([LOUNGE])), (&json!("echo-b"), &json!([LOUNGE, STAFF]))]);
    let screen = run(&home, &["plugin", "list"], 0).await.stdout;
    assert!(screen.contains("ROOMS") && screen.contains(&format!("{LOUNGE}, {STAFF}")), "{screen}");
    let status = shown(&home, &["status"]).await;
    assert_eq!(status["plugins"][0]["rooms"], json!([LOUNGE]), "{status}");
    let prefix = |id: &'static str| {
        let home = &home;
        async move { run(home, &["plugin", "config", id, "room_prefix"], 0).await.stdout }
    };
    assert_ne!(prefix("echo-a").await, prefix("echo-b").await);

    // In a room a setting may have another value; it is checked by the same schema.
    let there = ["plugin", "config", "echo-b", "room_prefix", "lounge ", "--room", LOUNGE];
    run(&home, &there, 0).await;
    let prefix_there = run(&home, &["plugin", "config", "echo-b", "room_prefix", "--room", LOUNGE], 0).await.stdout;
    assert!(prefix_there.contains("lounge ") && prefix("echo-b").await.contains("staff "), "{prefix_there}");
    let all = run(&home, &["plugin", "config", "echo-b"], 0).await.stdout;
    assert!(all.contains(&format!("in {LOUNGE} there are other values of room_prefix")), "{all}");
    let wrong = run(&home, &["plugin", "config", "echo-b", "answer_late", "maybe", "--room", LOUNGE], 1).await;
    assert!(wrong.stderr.contains("\"maybe\" does not fit the setting answer_late of echo-b"), "{wrong:?}");
    let unknown = run(&home, &["plugin", "config", "echo-b", "rom_prefix", "x", "--room", LOUNGE], 1).await;
    assert!(unknown.stderr.contains("room_prefix"), "{unknown:?}");
    run(&home, &["plugin", "config", "echo-b", "--unset", "room_prefix", "--room", LOUNGE], 0).await;
    let audit = shown(&home, &["audit", "--plugin", "echo-b"]).await;
    let what = format!("setting room_prefix in {LOUNGE}");
    let entries = audit["entries"].as_array().unwrap().iter().filter(|entry| entry["what"] == *what);
    let values: Vec<_> = entries.map(|entry| (entry["old"].as_str(), entry["new"].as_str())).collect();
    assert_eq!(values, [(None, Some("\"lounge \"")), (Some("\"lounge \""), None)], "{audit:#}");

    let explained = shown(&home, &["explain", "echo-a", "message", STAFF]).await;
    assert_eq!(explained["about"]["allowed"], false, "{explained}");
    let reason = explained["about"]["answers"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("it is kept to rooms ({LOUNGE})")), "{reason}");
    assert_eq!(explained["rooms"], json!([LOUNGE]));

    assert_eq!(shown(&home, &["plugin", "rooms", "echo-a"]).await["rooms"], json!([LOUNGE]));
    run(&home, &["plugin", "rooms", "echo-a", "--add", STAFF, "--remove", LOUNGE], 0).await;
    assert_eq!(shown(&home, &["status"]).await["plugins"][0]["rooms"], json!([STAFF]), "it counts at once");
    let gone = run(&home, &["plugin", "rooms", "echo-a", "--remove", LOUNGE], 1).await;
    assert!(gone.stderr.contains(&format!("{LOUNGE} is no room of echo-a; it has {STAFF}")), "{gone:?}");
    let none = run(&home, &["plugin", "rooms", "echo-a", "--remove", STAFF], 1).await;
    assert!(none.stderr.contains("would have no room left"), "{none:?}");
    run(&home, &["plugin", "rooms", "echo-a", "conference.localhost"], 2).await;
    run(&home, &["plugin", "rooms", "echo-a", "--all"], 0).await;
    assert_eq!(shown(&home, &["plugin", "rooms", "echo-a"]).await["rooms"], Value::Null);
    let text = std::fs::read_to_string(home.path().join("plugins.toml")).unwrap();
    assert_eq!(text.matches("rooms = ").count(), 1, "{text}");

    let audit = shown(&home, &["audit", "--plugin", "echo-a"]).await;
    let entries = audit["entries"].as_array().unwrap().iter().filter(|entry| entry["what"] == "rooms");
    let values: Vec<_> = entries.map(|entry| (entry["old"].as_str(), entry["new"].as_str())).collect();
    let (all, lounge, staff) = (Some("all"), Some(LOUNGE), Some(STAFF));
    assert_eq!(values, [(None, lounge), (lounge, staff), (staff, all)], "{audit:#}");
}

/// Returns each plugin of the running host with the account that it is on.
async fn places(home: &Home) -> Vec<(String, String)> {
    let status = shown(home, &["status"]).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    status["plugins"].as_array().unwrap().iter().map(|one| (text(&one["id"]), text(&one["account"]))).collect()
}

/// Returns what a plugin keeps, as it is exported.
async fn kept(home: &Home, id: &str) -> String {
    run(home, &["plugin", "data", id, "export"], 0).await.stdout
}

#[tokio::test]
async fn instances_of_one_file_have_accounts_and_data_of_their_own() {
    let (mut home, main) = home().await;
    let prosody = prosody().await;
    let second = prosody.fresh_account("second").unwrap();
    home.add_account("second", &second, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    home.set_policy(&Policy::default()).unwrap();
    let more = "[permissions]\nstorage = { reason = \"to remember\" }\n";
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| manifest.replacen("[permissions]\n", more, 1)).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    let places_of = [("echo-a", "main"), ("echo-b", "second")];
    let line =
        |(id, account): (&str, &str)| format!("{{\"account\":\"{account}\",\"key\":\"whose\",\"value\":\"{id}\"}}\n");
    for place in places_of {
        let (id, account) = place;
        let add = ["plugin", "add", "echo.wasm", "--yes", "--grant-all", "--grant", "storage=1 KiB", "--id", id];
        run(&home, &[&add[..], &["--account", account]].concat(), 0).await;
        ended(home.run_with(&["plugin", "data", id, "import"], &line(place)).await.unwrap(), 0);
    }
    let host = start_as_it_is(&home).await;
    for (id, account) in places_of {
        host.wait_count("plugin running", &[("plugin", id), ("account", account)], 1, SOON).await.unwrap();
    }
    let all = places_of.map(|(id, account)| (id.to_owned(), account.to_owned()));
    assert_eq!(places(&home).await, all);
    let mut juliet = juliet().await;
    for bot in [&main.jid, &second.jid] {
        juliet.chat(bot.clone(), "who is there?").await.unwrap();
        juliet.wait_body(bot, "who is there?", SOON).await.unwrap();
    }
    for place in places_of {
        assert_eq!(kept(&home, place.0).await, line(place));
    }
    // What becomes of one is nothing to the other.
    run(&home, &["plugin", "remove", "echo-a", "--yes", "--with-data"], 0).await;
    assert_eq!(places(&home).await, all[1..]);
    assert_eq!(kept(&home, "echo-b").await, line(places_of[1]));
}
