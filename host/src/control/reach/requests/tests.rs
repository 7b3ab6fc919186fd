//! Tests of what sessions of some accounts may ask for, and of what they are answered.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use jid::BareJid;
use serde_json::json as value;

use super::super::reached;
use super::super::tests::{plugin, reach};
use super::*;
use crate::control::request::Session;
use crate::control::rooms;
use crate::host::tests::offline_host;

fn request(line: &str) -> Request {
    let (method, target) = line.split_once(' ').unwrap();
    let head = hyper::Request::builder().method(method).uri(target);
    Request::of(&head.body(()).unwrap().into_parts().0).unwrap()
}

fn about(request: &Request) -> About {
    About::of(&request.method, &request.path.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Checks a request of somebody who has the accounts `red` and `rose`, and not `blue`.
fn asked(line: &str) -> Result<(), String> {
    let request = request(line);
    check(&reach(), &about(&request), &request).map_err(|refusal| refusal.to_string())
}

/// Returns an answer as the session gets it.
async fn narrowed(line: &str, body: &Value) -> Result<Value, String> {
    let limits = Limits { about: about(&request(line)), reach: reach(), shown: 0, since: None };
    let narrowed = limits.narrowed(json(body)).await.map_err(|refusal| refusal.to_string())?;
    Ok(serde_json::from_slice(&bytes(narrowed).await).unwrap())
}

async fn bytes(answer: Answer) -> Bytes {
    let Ok(body) = answer.into_body().collect().await;
    body.to_bytes()
}

/// The requests that a session of some accounts may make. All others are about the whole host.
fn expected(line: &str) -> About {
    let (id, name) = ("ID".to_owned(), "NAME".to_owned());
    match line {
        "GET /v1/status" => About::Status,
        "GET /v1/audit" => About::Audit,
        "GET /v1/rooms" | "GET /v1/contacts" | "GET /v1/keys" | "GET /v1/schedules" => About::Accounts,
        "GET /v1/rooms/show"
        | "POST /v1/rooms/join"
        | "POST /v1/rooms/leave"
        | "POST /v1/contacts/accept"
        | "POST /v1/contacts/deny" => About::Account(None),
        "GET /v1/accounts/NAME/keys"
        | "POST /v1/accounts/NAME/keys/trust"
        | "POST /v1/accounts/NAME/keys/distrust"
        | "POST /v1/accounts/NAME/keys/verify"
        | "POST /v1/accounts/NAME/keys/answer"
        | "POST /v1/accounts/NAME/keys/reset" => About::Account(Some(name)),
        "GET /v1/plugins/ID" => About::Plugin(id),
        "GET /v1/plugins/ID/webhooks" | "GET /v1/plugins/ID/schedules" => About::OfPlugin(id),
        "POST /v1/plugins/ID/webhooks/drop"
        | "POST /v1/plugins/ID/webhooks/replay"
        | "POST /v1/plugins/ID/webhooks/rotate"
        | "POST /v1/plugins/ID/schedules/pause"
        | "POST /v1/plugins/ID/schedules/resume" => About::OfPluginOn(id),
        "GET /v1/plugins/ID/settings" => About::Settings(id),
        "POST /v1/plugins/ID/restart"
        | "POST /v1/plugins/ID/enable"
        | "POST /v1/plugins/ID/disable"
        | "POST /v1/plugins/ID/settings" => About::WholePlugin(id),
        "GET /v1/logs" => About::Log,
        "GET /v1/plugins/ID/data" | "GET /v1/plugins/ID/data/show" => About::Data(id),
        "GET /v1/plugins/ID/explain"
        | "GET /v1/cluster"
        | "POST /v1/say"
        | "POST /v1/cluster/drain"
        | "POST /v1/web/link"
        | "POST /v1/reload"
        | "POST /v1/configure"
        | "POST /v1/plugins/ID/data/import"
        | "POST /v1/plugins/ID/data/forget" => About::Host,
        new => panic!("{new} is for no session of some accounts until this test says what it is about"),
    }
}

#[test]
fn each_request_of_the_control_socket_has_a_subject() {
    let table = include_str!("../../mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    let lines: Vec<_> = table.filter_map(|line| line.split(['`', '?']).next()).collect();
    assert!(lines.len() > 30, "{lines:?}");
    for line in lines {
        assert_eq!(about(&request(line)), expected(line), "{line}");
    }
    for line in ["PUT /v1/status", "POST /v1/status", "GET /v1/rooms/join", "GET /v2/status", "GET /v1/plugins"] {
        assert_eq!(about(&request(line)), About::Host, "{line}");
    }
}

#[test]
fn a_session_of_some_accounts_asks_about_these_alone() {
    for line in [
        "GET /v1/status",
        "GET /v1/rooms",
        "GET /v1/rooms?account=red",
        "GET /v1/audit?account=rose&lines=51",
        "POST /v1/rooms/join?room=hall@rooms.example.org&account=red",
        "GET /v1/accounts/red/keys",
        "POST /v1/accounts/rose/keys/reset",
        "GET /v1/plugins/both",
        "GET /v1/plugins/own/schedules",
        "POST /v1/plugins/every/schedules/pause?schedule=daily&account=red",
        "POST /v1/plugins/own/restart",
        "GET /v1/logs?plugin=both&account=red&lines=60",
        "GET /v1/plugins/both/data?account=red",
        "GET /v1/plugins/every/data/show?account=rose&key=a",
    ] {
        assert_eq!(asked(line), Ok(()), "{line}");
    }
    let whole = whole_host().to_string();
    for line in
        ["GET /v1/logs", "GET /v1/logs?account=red", "GET /v1/cluster", "POST /v1/reload", "GET /v1/status?at=two"]
    {
        assert_eq!(asked(line), Err(whole.clone()), "{line}");
    }
    // Accounts and plugins of others are told apart from those that there are not by nothing.
    for name in ["blue", "green"] {
        for line in [
            format!("GET /v1/rooms?account={name}"),
            format!("GET /v1/audit?account={name}"),
            format!("POST /v1/rooms/join?room=hall@rooms.example.org&account={name}"),
            format!("GET /v1/accounts/{name}/keys"),
            format!("POST /v1/accounts/red/keys/reset?account={name}"),
            format!("POST /v1/plugins/both/webhooks/rotate?webhook=one&account={name}"),
            format!("GET /v1/logs?plugin=both&account={name}"),
            format!("GET /v1/plugins/both/data?account={name}"),
            format!("GET /v1/plugins/both/data/show?account={name}&key=a"),
        ] {
            assert_eq!(asked(&line), Err(no_account(name).to_string()), "{line}");
        }
    }
    for id in ["bobs", "nothing", "nowhere"] {
        for line in [
            format!("GET /v1/plugins/{id}"),
            format!("GET /v1/plugins/{id}/webhooks"),
            format!("POST /v1/plugins/{id}/schedules/pause?schedule=daily&account=red"),
            format!("POST /v1/plugins/{id}/restart"),
            format!("POST /v1/plugins/{id}/enable"),
            format!("GET /v1/plugins/{id}/settings"),
            format!("POST /v1/plugins/{id}/settings"),
            format!("POST /v1/plugins/{id}/disable"),
            format!("GET /v1/logs?plugin={id}&account=red"),
            format!("GET /v1/plugins/{id}/data?account=red"),
            format!("GET /v1/plugins/{id}/data/show?account=red&key=a"),
        ] {
            assert_eq!(asked(&line), Err(no_plugin(id).to_string()), "{line}");
        }
    }
    for line in [
        "GET /v1/audit",
        "GET /v1/rooms/show?room=hall@rooms.example.org",
        "POST /v1/contacts/accept?jid=juliet@example.org&account=",
        "POST /v1/plugins/both/webhooks/rotate?webhook=one",
        "GET /v1/logs?plugin=both",
        "GET /v1/plugins/both/data",
        "GET /v1/plugins/both/data/show?key=a",
    ] {
        assert_eq!(asked(line), Err("name the account with --account: red, rose".to_owned()), "{line}");
    }
    for follow in ["true", "", "false"] {
        let refused = asked(&format!("GET /v1/logs?plugin=both&account=red&follow={follow}")).unwrap_err();
        assert!(refused.contains("followed"), "{refused}");
    }
    assert!(asked("GET /v1/audit?account=red&after=0&wait=true").unwrap_err().contains("`since`"));
}

#[tokio::test]
async fn answers_have_only_entries_of_the_accounts() {
    let of = |account: &str| value!({ "account": account, "node": "two", "room": "hall@rooms.example.org" });
    let rooms = narrowed("GET /v1/rooms", &value!([of("blue"), of("red"), { "room": "x" }])).await.unwrap();
    assert_eq!(rooms, value!([{ "account": "red", "room": "hall@rooms.example.org" }]));
    let schedules = value!([{ "plugin": "both", "account": "blue" }, { "plugin": "both", "account": "rose" }]);
    let schedules = narrowed("GET /v1/plugins/both/schedules", &schedules).await.unwrap();
    assert_eq!(schedules, value!([{ "plugin": "both", "account": "rose" }]));
    let entry = |id: i64, account: Option<&str>| {
        value!({
            "id": id, "node": "two", "at": "", "kind": "run", "plugin": null, "account": account, "who": "uid:1", "file": "/home/bob/parlor.toml",
            "way": "parlor web at node two", "what": "", "old": null, "new": null
        })
    };
    let count = |account: &str| value!({ "plugin": "both", "account": account, "name": "sent", "count": 1 });
    let audit = value!({
        "entries": [entry(1, Some("blue")), entry(2, None), entry(3, Some("red"))], "counts": [count("blue"), count("red")], "names": []
    });
    let audit = narrowed("GET /v1/audit?account=red", &audit).await.unwrap();
    assert_eq!(audit["entries"].as_array().unwrap().len(), 1);
    assert_eq!((&audit["entries"][0]["id"], &audit["entries"][0]["file"]), (&value!(1), &Value::Null));
    assert_eq!((&audit["entries"][0]["node"], &audit["entries"][0]["way"]), (&Value::Null, &value!("parlor web")));
    assert_eq!(audit["counts"], value!([count("red")]));
}

#[tokio::test]
async fn older_entries_of_the_audit_have_places_among_those_of_the_account() {
    let entry = |id: i64, account: &str| {
        value!({
            "id": id, "at": "", "kind": "run", "plugin": null, "account": account, "who": "uid:1", "way": "", "what": id.to_string(),
            "old": null, "new": null
        })
    };
    let entries: Vec<_> = (100..110).flat_map(|id| [entry(2 * id, "blue"), entry(2 * id + 1, "red")]).collect();
    let audit = value!({ "entries": entries, "counts": [], "names": [] });
    let mut older = request("GET /v1/audit?account=red&lines=5&before=7");
    let shown = pass_over(&mut older).unwrap();
    assert_eq!((shown, older.value("lines"), older.value("before")), (7, Some("12"), None));
    let limits = Limits { about: About::Audit, reach: reach(), shown, since: None };
    let narrowed = limits.narrowed(json(&audit)).await.unwrap();
    let narrowed: Value = serde_json::from_slice(&bytes(narrowed).await).unwrap();
    let of = |name: &str| {
        narrowed["entries"].as_array().unwrap().iter().map(|entry| entry[name].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("what"), of("id")),
        (vec![value!("201"), value!("203"), value!("205")], vec![value!(10), value!(9), value!(8)])
    );
    for wrong in ["x", "-1", "2001", "%7B%22one%22:7%7D"] {
        let mut request = request(&format!("GET /v1/audit?account=red&before={wrong}"));
        assert!(matches!(pass_over(&mut request), Err(Refusal::Value(_))), "{wrong}");
    }
    assert_eq!(pass_over(&mut request("GET /v1/audit?account=red")).unwrap(), 0);
}

#[tokio::test]
async fn sessions_of_some_accounts_have_few_places_and_those_of_the_whole_host_need_none() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let of = |accounts: Option<BTreeMap<AccountName, BareJid>>| {
        let by = Session { name: "quiet-otter".to_owned(), jid: None, accounts };
        Request { by: Some(by), ..request("GET /v1/status") }
    };
    assert!(place(&host, &of(None)).await.unwrap().is_none());
    assert!(place(&host, &request("GET /v1/status")).await.unwrap().is_none());
    let mut places = Vec::new();
    let refused = loop {
        match place(&host, &of(Some(BTreeMap::new()))).await {
            Ok(place) => places.push(place.unwrap()),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((places.len(), refused.status()), (4, StatusCode::SERVICE_UNAVAILABLE));
    assert!(refused.to_string().contains("try again in a moment"), "{refused}");
    host.stop().await;
}

/// A customer may use the windows of several nodes.
#[cfg(feature = "cluster")]
#[tokio::test]
async fn sessions_of_some_accounts_have_few_places_among_requests_that_other_nodes_pass_on() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let by = Session { name: "quiet-otter".to_owned(), jid: None, accounts: Some(BTreeMap::new()) };
    let of_customer = Request { by: Some(by), ..request("GET /v1/status") };
    let mut places = Vec::new();
    let refused = loop {
        match place_of_passed(&host, &of_customer).await {
            Ok(place) => places.push(place),
            Err(refusal) => break refusal,
        }
        assert!(places.len() < 32, "these are all places of a node");
    };
    assert_eq!((places.len(), refused.status()), (4, StatusCode::SERVICE_UNAVAILABLE));
    assert!(place_of_passed(&host, &request("GET /v1/status")).await.unwrap().is_none());
    host.stop().await;
}

/// So other accounts cannot keep the answer waiting, and their faults are not told.
#[tokio::test]
async fn a_session_of_some_accounts_has_no_other_ones_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let main = host.account(&"main".parse().unwrap()).unwrap();
    let of = |accounts: Option<BTreeMap<AccountName, BareJid>>| {
        let by = Session { name: "quiet-otter".to_owned(), jid: None, accounts };
        Request { by: Some(by), ..request("GET /v1/status") }
    };
    let own = BTreeMap::from([(main.name.clone(), main.own.clone())]);
    let another = BTreeMap::from([(main.name.clone(), "former@example.org".parse().unwrap())]);
    for (session, count) in [(None, 1), (Some(own), 1), (Some(another), 0), (Some(BTreeMap::new()), 0)] {
        let request = of(session);
        assert_eq!(reached(&host, &request).len(), count, "{request:?}");
        let status = show::status(&host, only(&host, &request).as_ref()).await;
        assert_eq!(status.accounts.len(), count, "{request:?}");
    }
    host.stop().await;
}

/// In a cluster, the refusal of another node comes as its answer.
#[tokio::test]
async fn no_refusal_of_a_node_names_a_similar_account_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let host = offline_host(folder.path()).await;
    let of = |accounts: Option<BTreeMap<AccountName, BareJid>>| {
        let by = Session { name: "quiet-otter".to_owned(), jid: None, accounts };
        let request = Request { by: Some(by), ..request("GET /v1/rooms?account=mian") };
        rooms::accounts(&host, &request).unwrap_err().to_string()
    };
    assert!(of(None).contains("\"main\""), "{}", of(None));
    let told = of(Some(BTreeMap::new()));
    assert!(told.contains("mian") && !told.contains("main"), "{told}");
    host.stop().await;
}

/// Another customer had it.
#[tokio::test]
async fn the_audit_has_nothing_of_a_former_account_with_the_name_of_one() {
    let begins = |line: &str| {
        let mut request = request(line);
        put_later(&mut request, 1_000);
        request.value("since").unwrap().to_owned()
    };
    let asked =
        ["", "&since=999", "&since=1001", "&since=x"].map(|since| begins(&format!("GET /v1/audit?account=red{since}")));
    assert_eq!(asked, ["1000", "1000", "1001", "x"]);
    let name = |what: &str, first: &str| {
        value!({
            "account": "red", "kind": "recipient", "what": what, "first": first, "last": "1970-01-01T00:00:02Z", "count": 2,
            "sent": null, "received": null
        })
    };
    // Both may be of one day.
    let names =
        [name("former@example.org", "1970-01-01T00:00:00.999Z"), name("own@example.org", "1970-01-01T00:00:01Z")];
    let audit = value!({ "entries": [], "counts": [], "names": names });
    let limits = Limits { about: About::Audit, reach: reach(), shown: 0, since: Some(1_000) };
    let narrowed = bytes(limits.narrowed(json(&audit)).await.unwrap()).await;
    let narrowed: Value = serde_json::from_slice(&narrowed).unwrap();
    assert_eq!(narrowed["names"], value!([names[1]]));
}

#[tokio::test]
async fn the_log_has_only_lines_of_the_accounts() {
    let line = |account: &str| {
        let fields = value!({ "plugin": "both", "account": account });
        let line = value!({ "number": 7, "at": "", "level": "info", "target": "plugin", "message": account, "fields": fields });
        format!("{line}\n")
    };
    let limits = Limits { about: About::Log, reach: reach(), shown: 0, since: None };
    let all = http::answer(StatusCode::OK, LINES, [line("blue"), line("red"), line("blue")].concat());
    let text = bytes(limits.narrowed(Ok(all)).await.unwrap()).await;
    let lines: Vec<Value> =
        text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!((lines.len(), &lines[0]["message"], &lines[0]["number"]), (1, &value!("red"), &value!(0)));
}

#[test]
fn the_log_says_once_a_minute_what_a_session_was_refused() {
    let (said, begin) = (Mutex::new(None), Instant::now());
    for minute in 0..3 {
        let now = begin + SAYS * minute;
        assert_eq!((0..1_000).filter(|_| is_news(&said, now)).count(), 1, "{minute}");
    }
    assert!(!is_news(&said, begin), "the clock was not read in order");
}

#[tokio::test]
async fn faults_of_the_host_are_not_told_and_refusals_are() {
    let limits = Limits { about: About::Accounts, reach: reach(), shown: 0, since: None };
    let fault = || Refusal::Passing("node two does not answer".to_owned());
    let of_node =
        http::answer(StatusCode::INTERNAL_SERVER_ERROR, JSON, br#"{"error":"/srv/audit.db is full"}"#.to_vec());
    for answer in [Err(fault()), Ok(of_node)] {
        let told = limits.narrowed(answer).await.err().unwrap();
        assert_eq!((told.status(), told.to_string()), (StatusCode::SERVICE_UNAVAILABLE, no_answer().to_string()));
    }
    let of_nodes = Refusal::Cluster("the request is too large for node two".to_owned());
    let of_file = Refusal::NotApplied("/srv/plugins.toml: the plugin bobs is bad".to_owned());
    for refusal in [of_nodes, of_file] {
        let told = limits.narrowed(Err(refusal)).await.err().unwrap();
        assert_eq!((told.status(), told.to_string()), (StatusCode::CONFLICT, not_now().to_string()));
    }
    let similar = Refusal::NoAccount("red, did you mean \"reds-of-bob\"?".to_owned());
    let told = limits.narrowed(Err(similar)).await.err().unwrap();
    assert_eq!((told.status(), told.to_string()), (StatusCode::SERVICE_UNAVAILABLE, no_answer().to_string()));
    let refused = limits.narrowed(Err(Refusal::NoRoom("r@rooms".to_owned()))).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    let of_node = http::answer(StatusCode::CONFLICT, JSON, b"{}".to_vec());
    assert_eq!(limits.narrowed(Ok(of_node)).await.unwrap().status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_plugin_is_shown_where_it_runs_on_the_accounts() {
    let places = |accounts: &[&str]| {
        let all: Vec<_> = accounts.iter().map(|account| plugin("both", Some(*account))).collect();
        serde_json::to_value(all).unwrap()
    };
    let shown = narrowed("GET /v1/plugins/both", &places(&["blue", "red"])).await.unwrap();
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["account"]), (1, &value!("red")));
    let refused = narrowed("GET /v1/plugins/both", &places(&["blue"])).await.unwrap_err();
    assert_eq!(refused, "there is no plugin both on your accounts");
    let mut incomplete = json(&places(&["red"])).unwrap();
    incomplete.headers_mut().insert(INCOMPLETE_HEADER, HeaderValue::from_static("node%20two"));
    let limits = Limits { about: About::Plugin("both".to_owned()), reach: reach(), shown: 0, since: None };
    let answer = limits.narrowed(Ok(incomplete)).await.unwrap();
    assert_eq!(answer.headers()[INCOMPLETE_HEADER], INCOMPLETE);
}
