//! `parlor keys`: own fingerprints are shown, decisions about keys say what they need, and new keys are made if the owner agrees.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use parlor_tests::host::{Home, Server};
use parlor_tests::policy::Policy;
use parlor_tests::terminal::Terminal;
use serde_json::Value;
use tokio::time::Instant;

use super::{SOON, ended, home, start};
use crate::test_host::prosody;

/// An unknown fingerprint.
const NOBODYS: &str = "0123abcd4567ef010123abcd4567ef010123abcd4567ef010123abcd4567ef01";

/// Returns what `parlor keys` prints for programs, once the key of the account is published.
async fn published(home: &Home, account: &str) -> Value {
    let until = Instant::now() + SOON;
    loop {
        let shown = ended(home.run(&["keys", account, "--json"]).await.unwrap(), 0).json().unwrap();
        if shown[0]["omemo"]["published"] == true {
            return shown;
        }
        assert!(Instant::now() < until, "its keys are never published: {shown}");
    }
}

fn fingerprint(shown: &Value) -> String {
    shown[0]["omemo"]["fingerprint"].as_str().unwrap().to_owned()
}

/// Writes a fingerprint as clients show it.
fn grouped(fingerprint: &str) -> String {
    let digits: Vec<char> = fingerprint.chars().collect();
    digits.chunks(8).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_own_fingerprint_is_shown_for_others_to_compare() {
    let (home, bot) = home().await;
    let mut host = start(&home, &Policy::default()).await;
    let shown = published(&home, "main").await;
    let all = shown.as_array().unwrap();
    assert_eq!(all.len(), 1, "{shown}");
    let one = &all[0];
    assert_eq!((&one["account"], &one["jid"]), (&"main".into(), &bot.jid.to_string().into()));
    assert_eq!((&one["policy"], &one["keys"]), (&"blind".into(), &Value::Array(Vec::new())));
    let device = one["omemo"]["device"].as_u64().unwrap();
    assert!((1..1 << 31).contains(&device), "{device}");
    let own = fingerprint(&shown);
    assert!(own.len() == 64 && own.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{own}");

    let screen = ended(home.run(&["keys", "fingerprint"]).await.unwrap(), 0).stdout;
    let says = format!("main, {}\n  OMEMO device {device}\n    {}\n", bot.jid, grouped(&own));
    assert!(screen.starts_with(&says), "{screen}");
    for line in [&["keys"][..], &["keys", "list"], &["keys", "main", "list"], &["keys", "list", "juliet@localhost"]] {
        let known = ended(home.run(line).await.unwrap(), 0).stdout;
        assert_eq!(known, format!("main, {}: blind trust\nno keys of others\n", bot.jid), "{line:?}");
    }

    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let encryption = &status["accounts"][0]["encryption"];
    assert_eq!((&encryption["omemo"], &encryption["device"]), (&true.into(), &device.into()));
    assert_eq!((&encryption["published"], &encryption["undecryptable"]), (&true.into(), &0.into()));
    let screen = ended(home.run(&["status"]).await.unwrap(), 0).stdout;
    assert!(screen.lines().any(|line| line.split_whitespace().take(2).eq(["main", "published"])), "{screen}");
    let doctor = home.run(&["doctor", "--offline"]).await.unwrap().stdout;
    assert!(doctor.contains(&format!("main: OMEMO is on, device {device} is published")), "{doctor}");

    assert!(host.stop(SOON).await.unwrap().success(), "{}", host.log().tail());
    for line in [&["keys"][..], &["keys", "fingerprint"], &["keys", "trust", "juliet@localhost", NOBODYS]] {
        let stopped = ended(home.run(line).await.unwrap(), 4);
        assert!(stopped.stderr.contains("no host runs") && stopped.stderr.contains("`parlor run`"), "{stopped:?}");
    }
}

#[tokio::test]
async fn the_policy_for_otr_with_a_person_counts_at_once_and_is_shown() {
    let (mut home, bot) = home().await;
    let _host = start(&home, &Policy::default()).await;
    published(&home, "main").await;
    let person = toml::Table::from_iter([("otr".to_owned(), "require".into())]);
    let people = toml::Table::from_iter([("juliet@localhost".to_owned(), person.into())]);
    let table = toml::Table::from_iter([("people".to_owned(), people.into())]);
    home.amend("main", "encryption", Some(table.into())).unwrap();
    ended(home.run(&["reload"]).await.unwrap(), 0);
    let known = ended(home.run(&["keys"]).await.unwrap(), 0).stdout;
    let says = "no keys of others\njuliet@localhost: OTR required, no key yet\n";
    assert_eq!(known, format!("main, {}: blind trust\n{says}", bot.jid));
    let shown = ended(home.run(&["keys", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(
        (&shown[0]["otr_policy"], &shown[0]["otr_people"]["juliet@localhost"]),
        (&"allow".into(), &"require".into())
    );
    let others = ended(home.run(&["keys", "list", "romeo@localhost"]).await.unwrap(), 0).stdout;
    assert_eq!(others, format!("main, {}: blind trust\nno keys of others\n", bot.jid));
}

#[tokio::test]
async fn a_decision_about_a_key_that_nobody_has_seen_says_what_to_do() {
    let (mut home, _) = home().await;
    let host = start(&home, &Policy::default()).await;
    for what in ["trust", "distrust"] {
        let unknown = ended(home.run(&["keys", what, "juliet@localhost", NOBODYS]).await.unwrap(), 1);
        for words in ["main knows no such key of juliet@localhost", "`parlor keys main list`", "write to the account"] {
            assert!(unknown.stderr.contains(words), "{what}: no {words:?} in {unknown:?}");
        }
        // An incomplete fingerprint is refused, and none with the same beginning is suggested.
        let short = ended(home.run(&["keys", what, "juliet@localhost", "0123abcd", "4567ef01"]).await.unwrap(), 2);
        assert!(short.stderr.contains("64 digits (OMEMO) or 40 (OTR), and this one 16"), "{short:?}");
        ended(home.run(&["keys", what, "juliet@localhost"]).await.unwrap(), 2);
        ended(home.run(&["keys", what, "no address", NOBODYS]).await.unwrap(), 2);
    }
    ended(home.run(&["keys", "distrust", "juliet@localhost", "--all"]).await.unwrap(), 1);
    assert!(host.lines("an owner decided about a key", &[]).is_empty());

    let slip = ended(home.run(&["keys", "lsit"]).await.unwrap(), 2);
    assert!(
        slip.stderr.contains("there is no account lsit") && slip.stderr.contains("did you mean \"list\"?"),
        "{slip:?}"
    );
    let slip = ended(home.run(&["keys", "main", "fingerprnt"]).await.unwrap(), 2);
    assert!(slip.stderr.contains("'fingerprint'"), "{slip:?}");
    let slip = ended(home.run(&["keys", "mian", "list"]).await.unwrap(), 1);
    assert!(slip.stderr.contains("there is no account mian in") && slip.stderr.contains("did you mean"), "{slip:?}");

    // With several accounts, a change must name one, and a list includes all.
    let second = prosody().await.fresh_account("second").unwrap();
    let way = Server::StartTls(prosody().await.ports().starttls, prosody().await.certificate());
    home.add_account("second", &second, way).unwrap();
    host.wait_count("account connected", &[("account", "second")], 1, SOON).await.unwrap();
    let which = ended(home.run(&["keys", "trust", "juliet@localhost", NOBODYS]).await.unwrap(), 2);
    assert!(which.stderr.contains("several accounts: name one, as in `parlor keys main trust`"), "{which:?}");
    let all = ended(home.run(&["keys", "--json"]).await.unwrap(), 0).json().unwrap();
    let names: Vec<_> = all.as_array().unwrap().iter().map(|one| one["account"].as_str().unwrap()).collect();
    assert_eq!(names, ["main", "second"]);
}

#[tokio::test]
async fn new_keys_are_made_only_if_the_owner_agrees() {
    let (home, _) = home().await;
    let mut host = start(&home, &Policy::default()).await;
    let before = published(&home, "main").await;
    for line in [&["keys", "reset"][..], &["keys", "reset", "--json"]] {
        let unasked = ended(home.run(line).await.unwrap(), 3);
        assert!(unasked.stderr.contains("give --yes to make new keys for main"), "{unasked:?}");
    }
    let command = home.command(["keys", "reset"]).unwrap();
    let decline = move || {
        let mut terminal = Terminal::start(command).unwrap();
        terminal.sees("has to compare the new one", SOON).unwrap();
        terminal.sees("Really make new keys for main?", SOON).unwrap();
        terminal.types("n").unwrap();
        terminal.ended(SOON).unwrap()
    };
    let (code, screen) = tokio::task::spawn_blocking(decline).await.unwrap();
    assert_eq!(code, Some(3), "{screen}");
    assert_eq!(fingerprint(&published(&home, "main").await), fingerprint(&before));

    let reset = ended(home.run(&["keys", "main", "reset", "--yes"]).await.unwrap(), 0).stdout;
    let after = published(&home, "main").await;
    assert_ne!(fingerprint(&after), fingerprint(&before));
    assert_ne!(after[0]["omemo"]["device"], before[0]["omemo"]["device"]);
    assert!(reset.starts_with("main has new keys\n") && reset.contains(&grouped(&fingerprint(&after))), "{reset}");
    host.wait_count("an owner had new keys made", &[("account", "main")], 1, SOON).await.unwrap();
    // They outlive the process.
    assert!(host.stop(SOON).await.unwrap().success(), "{}", host.log().tail());
    let _host = start(&home, &Policy::default()).await;
    let again = published(&home, "main").await;
    assert_eq!(
        (fingerprint(&again), &again[0]["omemo"]["device"]),
        (fingerprint(&after), &after[0]["omemo"]["device"])
    );
}

#[tokio::test]
async fn an_account_whose_owner_wants_no_encryption_has_no_keys() {
    let (home, _) = home().await;
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let off = format!("{config}\n[account.main.encryption]\nomemo = false\notr = \"never\"\ntrust = \"strict\"\n");
    home.write("parlor.toml", &off).unwrap();
    let _host = start(&home, &Policy::default()).await;
    let shown = ended(home.run(&["keys", "--json"]).await.unwrap(), 0).json().unwrap();
    assert_eq!(
        (&shown[0]["omemo"], &shown[0]["otr"], &shown[0]["policy"]),
        (&Value::Null, &Value::Null, &"strict".into())
    );
    let screen = ended(home.run(&["keys", "fingerprint"]).await.unwrap(), 0).stdout;
    assert!(screen.contains("OMEMO: no key, or `omemo = false` under [account.main.encryption]"), "{screen}");
    let status = ended(home.run(&["status", "--json"]).await.unwrap(), 0).json().unwrap();
    let encryption = &status["accounts"][0]["encryption"];
    assert_eq!(
        (&encryption["omemo"], &encryption["otr"], &encryption["device"]),
        (&false.into(), &false.into(), &Value::Null)
    );
}

/// Sends a request to the control socket, and returns the status of the answer and its body.
fn ask(home: &Home, method: &str, target: &str) -> (String, String) {
    let mut stream = UnixStream::connect(home.path().join("data/control.sock")).unwrap();
    stream.write_all(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_wrong_request_about_keys_is_refused_with_a_reason_and_decides_nothing() {
    let (home, _) = home().await;
    let host = start(&home, &Policy::default()).await;
    let before = published(&home, "main").await;
    let person = format!("jid=juliet@localhost&fingerprint={NOBODYS}");
    for (method, target, status, words) in [
        ("GET", "/v1/keys?jid=juliet@", "400", "`jid` is no address"),
        ("GET", "/v1/keys?jid=juliet@localhost/balcony", "400", "`jid` is no address"),
        ("POST", "/v1/keys", "405", "this is asked for with GET"),
        ("GET", "/v1/accounts/other/keys", "404", "has no account other"),
        ("GET", "/v1/accounts/Main/keys", "400", "cannot name an account"),
        ("GET", "/v1/accounts/main/keys/reset", "405", "this is asked for with POST"),
        ("GET", "/v1/accounts/main/keys/verify", "405", "this is asked for with POST"),
        ("POST", "/v1/accounts/main/keys/verify", "400", "`jid` is the address of a person"),
        ("POST", "/v1/accounts/main/keys/verify?jid=juliet@localhost", "409", "it has 1 to 1024 bytes, and this one 0"),
        ("POST", "/v1/accounts/main/keys/answer?jid=juliet@localhost&number=x", "400", "`number` is the number"),
        ("GET", &format!("/v1/accounts/main/keys/trust?{person}"), "405", "this is asked for with POST"),
        ("POST", "/v1/accounts/main/keys/trust", "400", "`jid` is the address of a person"),
        ("POST", "/v1/accounts/main/keys/trust?jid=juliet@localhost", "400", "`fingerprint` names the key"),
        (
            "POST",
            &format!("/v1/accounts/main/keys/trust?{person}"),
            "404",
            "main knows no such key of juliet@localhost",
        ),
        ("POST", "/v1/accounts/main/keys/distrust?jid=juliet@localhost", "404", "main knows no such key"),
        ("POST", "/v1/accounts/other/keys/reset", "404", "has no account other"),
        ("POST", "/v1/accounts/main/keys/forget", "404", "there is no such thing on the control socket"),
    ] {
        let (found, body) = ask(&home, method, target);
        assert_eq!(found, status, "{method} {target}: {body}");
        assert!(body.contains(words), "{method} {target}: {body}");
    }
    assert!(host.lines("an owner decided about a key", &[]).is_empty());
    assert_eq!(fingerprint(&published(&home, "main").await), fingerprint(&before));
}
