//! Runs the commands on the pages for owners, and checks the page `docs/owner/control.md`: each request on it is
//! answered, and the output has the fields that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use parlor_tests::component::with_manifest;
use parlor_tests::conformance::root;
use parlor_tests::docs::commands::{OWNERS, to_run};
use parlor_tests::docs::markdown::Page;
use parlor_tests::host::Home;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use serde_json::Value;

use super::{SOON, echo, ended, home, juliet, start};

pub(super) fn page() -> String {
    std::fs::read_to_string(root().join("docs/owner/control.md")).unwrap()
}

/// Runs the commands of a page on a running host, in a folder with the files that they name.
async fn follow(path: &str) {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let commands = to_run(&Page::parse(path, &text));
    assert!(!commands.is_empty(), "{path}: no commands");
    let (home, _) = home().await;
    let bytes = built("echo").unwrap().bytes().unwrap();
    let newer = with_manifest(&bytes, |manifest| manifest.replacen("\"0.1.0\"", "\"0.2.0\"", 1)).unwrap();
    std::fs::create_dir(home.path().join("new")).unwrap();
    std::fs::write(home.path().join("echo.wasm"), bytes).unwrap();
    std::fs::write(home.path().join("new/echo.wasm"), newer).unwrap();
    // A page that installs echo itself begins with another plugin.
    let installs = commands.iter().any(|words| words.starts_with(&["parlor", "plugin", "add"].map(str::to_owned)));
    let policy = if installs {
        let moderator = home.install("moderator", &built("moderator").unwrap()).unwrap();
        let asked = ["messages.read", "rooms.read", "rooms.send", "rooms.moderate"];
        Policy::default().with("moderator", asked.into_iter().fold(moderator, |entry, name| entry.grant(name, &["*"])))
    } else {
        Policy::default().with("echo", echo(&home))
    };
    let _host = start(&home, &policy).await;
    for words in commands {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let ["parlor", arguments @ ..] = words.as_slice() else { panic!("{path}: nobody knows how to run {words:?}") };
        // The owner agrees to what these ask on a terminal.
        let asks = matches!(arguments, ["plugin", "update" | "rollback", ..]) && !arguments.contains(&"--check");
        let agreed: &[&str] = if asks { &["--yes"] } else { &[] };
        let finished = home.run(&[arguments, agreed].concat()).await.unwrap();
        assert_eq!(finished.code, Some(0), "{path}: {words:?}: {finished:#?}");
    }
}

#[tokio::test]
async fn the_commands_of_the_pages_for_owners_work() {
    for path in OWNERS {
        follow(path).await;
    }
}

/// Returns methods and targets: those of the page's tables, and those of its curl commands.
fn requests(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()?.split_once(' '));
    let commands = page.lines().filter(|line| line.starts_with("$ curl ")).map(|line| {
        let method = if line.contains(" -X POST ") { "POST" } else { "GET" };
        let address = line.split_once("http://").unwrap().1;
        (method, address[address.find('/').unwrap()..].trim_end_matches('\''))
    });
    // A request that follows the log would never end.
    let plain = |target: &str| {
        let target = target.replace("jid=JID", "jid=juliet@localhost").replace("NAME", "main");
        target.replace("ID", "echo").replace("&follow=true", "")
    };
    // Echo has no webhooks to be told of again, and no schedules to be paused; the account is in no room, knows nobody's keys,
    // is asked by nobody, and has no owner. The host is no node of a cluster. The data of echo is not removed while it is installed.
    let absent = [
        "/data/",
        "/contacts/",
        "/webhooks/",
        "/schedules/",
        "/rooms/",
        "/say?",
        "/web/link?",
        "/cluster",
        "/keys/trust",
        "/keys/distrust",
        "/keys/verify",
        "/keys/answer",
    ];
    let is_there = |target: &str| !absent.iter().any(|one| target.contains(*one));
    let asked = rows.chain(commands).filter(|(_, target)| is_there(target));
    asked.map(|(method, target)| (method.to_owned(), plain(target))).collect()
}

/// Sends a request, and returns the head and the body of the answer.
pub(super) fn ask(mut stream: impl Read + Write, method: &str, target: &str) -> (String, String) {
    // The one request with a body, which changes nothing here.
    let body = if method == "POST" && target.ends_with("/settings") { "Content-Length: 2\r\n\r\n[]" } else { "\r\n" };
    let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn control(home: &Home) -> UnixStream {
    UnixStream::connect(home.path().join("data/control.sock")).unwrap()
}

#[tokio::test]
async fn what_the_page_says_can_be_asked_is_answered() {
    let (mut home, _) = home().await;
    let port = ports::free().unwrap();
    home.set_environment("PARLOR_METRICS", &format!("127.0.0.1:{port}"));
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("metrics are served", &[], 1, SOON).await.unwrap();
    let requests = requests(&page());
    assert!(requests.len() >= 12, "{requests:?}");
    for (method, target) in &requests {
        let (head, body) = if target.starts_with("/v1/") {
            ask(control(&home), method, target)
        } else {
            ask(TcpStream::connect(("127.0.0.1", port)).unwrap(), method, target)
        };
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{method} {target}: {head}\n{body}");
        assert!(head.contains("\r\nparlor-control: 1"), "{head}");
    }
}

/// Returns the fields below a heading, each with whether it is always present.
fn fields(page: &str, heading: &str) -> BTreeMap<String, bool> {
    let section = page.split(&format!("\n### {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n##").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, about)| (name.to_owned(), !about.contains("left out"))).collect()
}

/// Checks that the output has exactly the fields that the page names in a sentence about the command.
pub(super) fn compare_with_sentence(page: &str, command: &str, shown: &Value) {
    let begin = format!("`{command} --json` has ");
    let sentence = page.split(&begin).nth(1).unwrap_or_else(|| panic!("no {command}"));
    let sentence = sentence.split(['.', ';']).next().unwrap();
    let named: BTreeSet<_> = sentence.split('`').skip(1).step_by(2).collect();
    let fields: BTreeSet<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, named, "{command}: {shown}");
}

/// Returns the output of `parlor plugin update --json` if there is an update, after it, without one, and if the source
/// cannot be read.
async fn updates(home: &Home) -> Value {
    let newer = |manifest: &str| manifest.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1);
    let file = home.path().join("newer.wasm");
    std::fs::write(&file, with_manifest(&built("echo").unwrap().bytes().unwrap(), newer).unwrap()).unwrap();
    let mut all = Vec::new();
    for arguments in [&["newer.wasm", "--check"][..], &["newer.wasm", "--yes"], &[]] {
        let arguments = [&["plugin", "update", "echo", "--json"], arguments].concat();
        all.push(ended(home.run(&arguments).await.unwrap(), 0).json().unwrap());
    }
    std::fs::remove_file(file).unwrap();
    let gone = ended(home.run(&["plugin", "update", "--all", "--json"]).await.unwrap(), 1).json().unwrap();
    all.push(gone[0].clone());
    all.into()
}

/// Checks that the output has exactly these fields. Optional fields that a healthy host does not show are not checked.
pub(super) fn compare(page: &str, heading: &str, shown: &Value) {
    let fields = fields(page, heading);
    let all: Vec<_> = match shown {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    for one in &all {
        for name in one.as_object().unwrap().keys() {
            assert!(fields.contains_key(name), "{heading}: the page has no {name}");
        }
    }
    for (name, is_always) in &fields {
        let mut there = all.iter().map(|one| one.get(name).is_some());
        let is_shown = if *is_always { !all.is_empty() && there.all(|it| it) } else { there.any(|it| it) };
        let of_others = [
            "cluster",
            "components",
            "config_error",
            "departures",
            "group",
            "kept_awake",
            "last_error",
            "node",
            "nodes",
            "nowhere",
            "policy_error",
            "reason",
            "remedy",
            "rooms",
            "said",
            "trouble",
            "webhooks_error",
        ];
        assert!(is_shown || of_others.contains(&name.as_str()), "{heading}: there is no {name}: {shown}");
    }
}

#[tokio::test]
async fn what_is_shown_has_the_fields_that_the_page_names() {
    let (home, bot) = home().await;
    let entry = echo(&home).grant("messages.send", &["nobody@nowhere.invalid"]);
    let host = start(&home, &Policy::default().with("echo", entry)).await;
    let mut juliet = juliet().await;
    juliet.chat(bot.jid.clone(), "hear me").await.unwrap();
    host.wait_count("call denied", &[("plugin", "echo")], 1, SOON).await.unwrap();

    let get = |target: &str| ask(control(&home), "GET", target).1;
    let status: Value = serde_json::from_str(&get("/v1/status")).unwrap();
    let plugin: Value = serde_json::from_str(&get("/v1/plugins/echo")).unwrap();
    let lines: Vec<Value> = get("/v1/logs").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let list = ended(home.run(&["plugin", "list", "--json"]).await.unwrap(), 0).json().unwrap();
    let inspected = ended(home.run(&["plugin", "inspect", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    // Its findings and its exit code depend on the machine.
    let findings = home.run(&["doctor", "--offline", "--json"]).await.unwrap().json().unwrap();
    let explained = ended(home.run(&["explain", "echo", "chats.send", "romeo@localhost", "--json"]).await.unwrap(), 0)
        .json()
        .unwrap();
    let audit = ended(home.run(&["audit", "--plugin", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    let keys = ended(home.run(&["keys", "--json"]).await.unwrap(), 0).json().unwrap();
    let settings = ended(home.run(&["plugin", "config", "echo", "--json"]).await.unwrap(), 0).json().unwrap();
    let line = "{\"account\":\"main\",\"key\":\"k\",\"value\":\"x\"}\n";
    ended(home.run_with(&["plugin", "data", "echo", "import"], line).await.unwrap(), 0);
    let data = ended(home.run(&["plugin", "data", "echo", "list", "--json"]).await.unwrap(), 0).json().unwrap();
    let updates = updates(&home).await;
    home.write("tried/own.chat", "== good\nalice: a\n  to alice: a\n== bad\nalice: b\n  to alice: c\n").unwrap();
    let arguments = ["plugin", "test", "plugins/echo.wasm", "--tests", "tried", "--json"];
    let tried = ended(home.run(&arguments).await.unwrap(), 1).json().unwrap();
    let page = page();
    for (heading, shown) in [
        ("The host", &status),
        ("The process", &status["host"]),
        ("An account", &status["accounts"]),
        ("The encryption of an account", &status["accounts"][0]["encryption"]),
        ("An entry of `parlor keys --json`", &keys),
        ("A plugin", &plugin),
        ("The record of a plugin", &plugin[0]["record"]),
        ("What it has used", &plugin[0]["usage"]),
        ("A limit", &plugin[0]["limits"]),
        ("A denied call", &plugin[0]["denied"]),
        ("A line of the log", &Value::Array(lines)),
        ("An entry of `parlor plugin list --json`", &list),
        ("`parlor plugin inspect --json`", &inspected),
        ("A permission", &inspected["permissions"]),
        ("`parlor explain --json`", &explained),
        ("An answer of `parlor explain --json`", &explained["about"]["answers"]),
        ("`parlor audit --json`", &audit),
        ("An entry of `parlor audit --json`", &audit["entries"]),
        ("A count of `parlor audit --json`", &audit["counts"]),
        ("A name of `parlor audit --json`", &audit["names"]),
        ("An entry of `parlor plugin config --json`", &settings),
        ("An entry of `parlor plugin data ID list --json`", &data),
        ("`parlor plugin update --json`", &updates),
        ("A finding of `parlor doctor --json`", &findings["findings"]),
        ("`parlor plugin test --json`", &tried),
        ("A test that was tried", &tried["tests"]),
    ] {
        compare(&page, heading, shown);
    }
}

/// The answers of these commands come from files.
#[tokio::test]
async fn commands_that_ask_no_host_show_the_fields_that_the_page_names() {
    let (home, _) = home().await;
    home.set_policy(&Policy::default().with("echo", echo(&home))).unwrap();
    let shown = async |arguments: &[&str], input: &str, code: i32| {
        let arguments = [arguments, &["--json"]].concat();
        ended(home.run_with(&arguments, input).await.unwrap(), code).json().unwrap()
    };
    ended(home.run(&["plugin", "accounts", "echo", "--add", "shop-*", "--yes"]).await.unwrap(), 0);
    let import = ["account", "import", "-"];
    let imported = shown(&import, "jid,password\nspare@localhost,secret\n", 0).await;
    let refused = shown(&import, "jid,password\nnowhere,secret\n", 1).await;
    home.write("third.secret", "secret\n").unwrap();
    let add = ["account", "add", "third", "--jid", "third@localhost", "--password-file", "third.secret", "--offline"];
    let added = shown(&add, "", 0).await;
    let restore = ["restore", "all.parlor", "--config", "back/parlor.toml", "--data", "back/data"];
    let page = page();
    for (heading, shown) in [
        ("An entry of `parlor account list --json`", shown(&["account", "list"], "", 0).await),
        ("`parlor account import --json`", Value::from(vec![imported, refused])),
        ("`parlor account remove --json`", shown(&["account", "remove", "spare", "--yes"], "", 0).await),
        ("`parlor plugin accounts --json`", shown(&["plugin", "accounts", "echo"], "", 0).await),
        ("`parlor plugin rooms --json`", shown(&["plugin", "rooms", "echo"], "", 0).await),
        ("An entry of `parlor plugin limits --json`", shown(&["plugin", "limits", "echo"], "", 0).await),
        ("`parlor backup --json`", shown(&["backup", "all.parlor", "--without-keys"], "", 0).await),
        ("`parlor restore --json`", shown(&restore, "", 0).await),
    ] {
        compare(&page, heading, &shown);
    }
    compare_with_sentence(&page, "parlor account add", &added);
}
