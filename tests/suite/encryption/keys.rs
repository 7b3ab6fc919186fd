//! The owner's side: `parlor keys`, and the news about new devices for owners.

use jid::Jid;
use parlor_tests::client::Client;
use parlor_tests::counterparts::{Counterpart, OMEMO_2};
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use parlor_tests::server::Account;
use parlor_tests::terminal::Terminal;
use parlor_tests::window::{Window, link_in};
use serde_json::{Value, json};
use tokio_xmpp::minidom::Element;
use xmpp_parsers::iq::Iq;

use super::{BOTH, finds, person};
use crate::compiled;
use crate::test_host::{A_MOMENT, SOON, friend, prosody};

const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// A host as an owner runs it, with the plugin echo.
struct Run {
    // The process is dropped first, since its files are in the home.
    host: Host,
    home: Home,
    account: Account,
}

impl Run {
    async fn start(owner: &Client, announce: bool, alerts: &[&str]) -> Self {
        let server = prosody().await;
        let account = server.fresh_account("bot").unwrap();
        let mut home = Home::new().unwrap();
        home.add_account("main", &account, Server::StartTls(server.ports().starttls, server.certificate())).unwrap();
        home.set("allow_non_roster_messaging", true).unwrap();
        home.set("alerts", alerts.to_vec()).unwrap();
        home.amend("main", "owners", Some(vec![owner.jid().to_bare().to_string()].into())).unwrap();
        let encryption = toml::Table::from_iter([("announce".to_owned(), announce.into())]);
        home.amend("main", "encryption", Some(encryption.into())).unwrap();
        let echo = home.install("echo", &built("echo").unwrap()).unwrap();
        let echo = echo.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
        home.set_policy(&Policy::default().with("echo", echo)).unwrap();
        compiled::give(&home);
        let host = home.start().unwrap();
        host.wait_count("account connected", &[], 1, SOON).await.unwrap();
        compiled::take(&home);
        Self { host, home, account }
    }

    /// Runs `parlor keys main` with these words, which must succeed. Returns what it printed.
    async fn keys(&self, words: &[&str]) -> String {
        let ended = self.home.run(&[&["keys", "main"][..], words].concat()).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// Returns the trust in a key of a person.
    async fn trust_in(&self, jid: &str, key: &str) -> String {
        let listed: Value = serde_json::from_str(&self.keys(&["list", jid, "--json"]).await).unwrap();
        let found = listed[0]["keys"].as_array().unwrap().iter().find(|one| one["fingerprint"] == key);
        found.unwrap_or_else(|| panic!("{key} is not listed: {listed}"))["trust"].as_str().unwrap().to_owned()
    }

    /// Lets a person speak, and waits for the echo. Returns its encryption.
    async fn echoes(&self, person: &mut Counterpart, text: &str) -> String {
        person.send(&self.account.jid, text).await.unwrap();
        person.message(text).await.unwrap()["encryption"].as_str().unwrap().to_owned()
    }
}

/// Row 172: `parlor keys`.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_trusts_and_distrusts_keys_of_a_person() {
    let mut owner = friend("owner").await;
    let run = Run::start(&owner, true, &["keys"]).await;
    let server = prosody().await;
    let account = server.fresh_account("juliet").unwrap();
    let mut juliet = Counterpart::omemo(server, &account).await.unwrap();
    finds(&mut juliet, &run.account.jid, &BOTH).await;
    assert_eq!(run.echoes(&mut juliet, "hello").await, "omemo");
    let own = juliet.order("own", json!({})).await.unwrap();
    let (jid, key) = (account.jid.to_string(), own["fingerprint"].as_str().unwrap());
    let listed = run.keys(&["list", &jid, "--json"]).await;
    assert!(listed.contains(key) && listed.contains("blind") && !listed.contains("trusted"), "{listed}");
    run.keys(&["trust", &jid, key]).await;
    let listed = run.keys(&["list", &jid, "--json"]).await;
    assert!(listed.contains(key) && listed.contains("trusted"), "{listed}");
    run.host.wait_count("an owner decided about a key", &[], 1, SOON).await.unwrap();
    assert_eq!(run.echoes(&mut juliet, "still there").await, "omemo");
    // Her client reads the fingerprint that she may compare.
    let devices = juliet.order("devices", json!({ "jid": run.account.jid.as_str() })).await.unwrap();
    let shown = run.keys(&["fingerprint"]).await.replace(' ', "").to_lowercase();
    assert!(shown.contains(devices[0]["fingerprint"].as_str().unwrap()), "{shown}: {devices}");
    run.keys(&["distrust", &jid, "--all"]).await;
    juliet.send(&run.account.jid, "nobody reads that").await.unwrap();
    juliet.order("plain", json!({ "to": run.account.jid.as_str(), "body": "in the open" })).await.unwrap();
    // Once somebody is answered who wrote after that, both have been dealt with.
    let witness = owner.jid().to_bare();
    juliet.order("plain", json!({ "to": witness.as_str(), "body": "I have written" })).await.unwrap();
    owner.wait_body(&account.jid, "I have written", SOON).await.unwrap();
    owner.chat(run.account.jid.clone(), "who has?").await.unwrap();
    owner.wait_body(&run.account.jid, "who has?", SOON).await.unwrap();
    // The chat was encrypted a moment ago, so the unencrypted line gets an encrypted answer.
    run.keys(&["trust", &jid, key]).await;
    assert_eq!(run.echoes(&mut juliet, "as before").await, "omemo");
    let said = juliet.rest().into_iter().find(|line| line["event"] == "message");
    assert_eq!(said, None, "a key that is not trusted was answered");
}

/// Row 172. A link to log in to the window with goes as the chat with the owner does.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_log_in_with_is_encrypted_if_the_chat_is() {
    let friend = friend("friend").await;
    let mut run = Run::start(&friend, false, &[]).await;
    let (server, bot) = (prosody().await, run.account.jid.clone());
    let account = server.fresh_account("owner").unwrap();
    let mut owner = Counterpart::omemo(server, &account).await.unwrap();
    run.home.amend("main", "owners", Some(vec![account.jid.to_string()].into())).unwrap();
    let reloaded = run.home.run(&["reload"]).await.unwrap();
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    finds(&mut owner, &bot, &BOTH).await;
    assert_eq!(run.echoes(&mut owner, "hello").await, "omemo");
    let window = Window::open(&run.home).await.unwrap();
    let sent = run.home.run(&["web", "link", "--to", account.jid.as_str()]).await.unwrap();
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let is_link = |line: &Value| line["body"].as_str().and_then(link_in).map(|link| (link, line["encryption"].clone()));
    let (link, encryption) = owner.wait("the link", is_link).await.unwrap();
    assert_eq!(encryption, "omemo");
    let session = window.guest().log_in(&link).await.unwrap();
    assert!(session.page("/").await.unwrap().body.contains(account.jid.as_str()));
}

/// Carries out one step of a command that an owner gives from an ordinary client (XEP-0050), perhaps with a chosen key.
/// Returns the answer.
async fn step(owner: &mut Client, bot: &Jid, attributes: &str, key: Option<&str>) -> Element {
    let filled = key.map_or_else(String::new, |key| {
        format!("<x xmlns='jabber:x:data' type='submit'><field var='key'><value>{key}</value></field></x>")
    });
    let payload = format!("<command xmlns='{COMMANDS}' {attributes}>{filled}</command>").parse().unwrap();
    let request = Iq::Set { from: None, to: Some(bot.clone()), id: String::new(), payload };
    owner.ask(request, SOON).await.unwrap().unwrap()
}

/// Returns the note of an answer.
fn note(answer: &Element) -> String {
    assert_eq!(answer.attr("status"), Some("completed"), "{answer:?}");
    answer.get_child("note", COMMANDS).unwrap().text()
}

/// Chooses the key of a person in the form of a command. Returns the note of the answer.
async fn chooses(owner: &mut Client, bot: &Jid, node: &str, (jid, key): (&str, &str)) -> String {
    let begun = step(owner, bot, &format!("node='{node}' action='execute'"), None).await;
    let form = String::from(&begun).replace(' ', "");
    assert!(form.contains(jid) && form.contains(key), "{form}");
    let session = begun.attr("sessionid").unwrap();
    let last = format!("node='{node}' sessionid='{session}' action='complete'");
    note(&step(owner, bot, &last, Some(&format!("{jid} {key}"))).await)
}

/// Row 172: the form for owners.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_decides_about_a_key_by_a_form() {
    let mut owner = friend("owner").await;
    let mut run = Run::start(&owner, false, &[]).await;
    let bot: Jid = run.host.lines("account connected", &[])[0].get("jid").parse().unwrap();
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &run.account.jid, &BOTH).await;
    assert_eq!(run.echoes(&mut juliet, "hello").await, "omemo");
    let own = juliet.order("own", json!({})).await.unwrap();
    let (jid, key) = (juliet.jid().to_string(), own["fingerprint"].as_str().unwrap());
    // Trusting is refused as long as the configuration does not let chat do that.
    let refused = note(&step(&mut owner, &bot, "node='trust' action='execute'", None).await);
    assert!(refused.contains("trust_by_chat"), "{refused}");
    assert_eq!(run.trust_in(&jid, key).await, "blind");
    let told = chooses(&mut owner, &bot, "distrust", (&jid, key)).await;
    assert!(told.contains(&format!("{jid} is distrusted")), "{told}");
    assert_eq!(run.trust_in(&jid, key).await, "distrusted");
    let encryption = toml::Table::from_iter([("trust_by_chat".to_owned(), true.into())]);
    run.home.amend("main", "encryption", Some(encryption.into())).unwrap();
    let reloaded = run.home.run(&["reload"]).await.unwrap();
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    let told = chooses(&mut owner, &bot, "trust", (&jid, key)).await;
    assert!(told.contains(&format!("{jid} is trusted")), "{told}");
    assert_eq!(run.trust_in(&jid, key).await, "trusted");
    assert_eq!(run.echoes(&mut juliet, "as before").await, "omemo");
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn owners_are_told_of_a_further_device_of_a_person() {
    for (announce, kind) in [(true, "keys"), (true, "kicked"), (false, "keys")] {
        let mut owner = friend("owner").await;
        let run = Run::start(&owner, announce, &[kind]).await;
        let (server, bot) = (prosody().await, run.account.jid.clone());
        let account = server.fresh_account("juliet").unwrap();
        let mut first = Counterpart::omemo(server, &account).await.unwrap();
        finds(&mut first, &bot, &BOTH).await;
        assert_eq!(run.echoes(&mut first, "hello").await, "omemo");
        let mut second = Counterpart::omemo_by(OMEMO_2, server, &account).await.unwrap();
        finds(&mut second, &bot, &[OMEMO_2]).await;
        assert_eq!(run.echoes(&mut second, "hello again").await, "omemo");
        let own = second.order("own", json!({})).await.unwrap();
        let begin = format!("{} has a new OMEMO device {}", account.jid, own["device"]);
        if announce && kind == "keys" {
            let key = own["fingerprint"].as_str().unwrap();
            let advice = format!("parlor keys main distrust {} {key}", account.jid);
            let is_told = |text: &str| text.starts_with(&begin).then(|| text.to_owned());
            let told = owner.wait_text("the news", &bot, SOON, is_told).await.unwrap();
            assert!(told.contains(&advice), "{told}");
        } else {
            // The host's messages to her arrived before this.
            owner.catch_up(SOON).await.unwrap();
            assert!(!owner.received_xml().iter().any(|xml| xml.contains("has a new OMEMO device")));
        }
    }
}

/// Returns a person whose conversation with the account is off the record, and the fingerprint that her client shows for it.
async fn off_the_record(run: &Run) -> (Counterpart, String) {
    let server = prosody().await;
    let mut juliet = Counterpart::otr(server, &server.fresh_account("juliet").unwrap()).await.unwrap();
    juliet.order("start", json!({ "to": run.account.jid.as_str() })).await.unwrap();
    let begun = super::otr::is(&mut juliet, "encrypted").await;
    // Her last message of the exchange is still on its way to the host.
    let known = async {
        let jid = juliet.jid().to_string();
        let list = ["keys", "main", "list", &jid, "--json"];
        while !run.home.run(&list).await.unwrap().stdout.contains("\"otr\",") {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    tokio::time::timeout(SOON, known).await.unwrap();
    (juliet, begun["fingerprint"].as_str().unwrap_or_default().to_lowercase())
}

/// Row 87: fingerprints of OTR are compared in both directions, and the owner decides by them.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_compares_fingerprints_of_otr() {
    let owner = friend("owner").await;
    let run = Run::start(&owner, false, &[]).await;
    let (mut juliet, shown) = off_the_record(&run).await;
    let jid = juliet.jid().to_string();
    let own = run.keys(&["fingerprint"]).await.replace(' ', "").to_lowercase();
    assert!(shown.len() == 40 && own.contains(&shown), "{shown}: {own}");
    let key = juliet.order("own", json!({})).await.unwrap()["fingerprint"].as_str().unwrap().to_lowercase();
    assert_eq!(run.trust_in(&jid, &key).await, "blind");
    // As her client shows it.
    let capitals = key.to_uppercase();
    let (first, rest) = capitals.split_at(8);
    run.keys(&["trust", &jid, first, rest]).await;
    assert_eq!(run.trust_in(&jid, &key).await, "trusted");
    assert_eq!(run.echoes(&mut juliet, "still there").await, "otr");
    run.keys(&["distrust", &jid, &key]).await;
    assert_eq!(run.trust_in(&jid, &key).await, "distrusted");
    run.host.wait_count("an owner decided about a key", &[], 2, SOON).await.unwrap();
}

/// Row 87: `parlor keys main answer`.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_asks_for_a_secret_and_the_owner_answers() {
    let mut owner = friend("owner").await;
    let run = Run::start(&owner, true, &["keys"]).await;
    let bot = run.account.jid.clone();
    let (mut juliet, _) = off_the_record(&run).await;
    let jid = juliet.jid().to_string();
    let nobody = run.home.run_with(&["keys", "main", "answer", &jid], "nightingale\n").await.unwrap();
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("for no secret now"), "{nobody:?}");
    let question = json!("what sang?\nowners: run this");
    // The same secret proves nothing to whom answers a question.
    for (question, entered, code, outcome, is_trusted) in [
        (Some(&question), "lark", 5, "different", false),
        (Some(&question), "nightingale", 0, "same", false),
        (None, "nightingale", 0, "same", true),
    ] {
        let order = json!({ "to": bot.as_str(), "secret": "nightingale", "question": question });
        juliet.order("compare", order).await.unwrap();
        let is_asked = |text: &str| text.contains("asks to compare a secret").then(|| text.to_owned());
        let told = owner.wait_text("the request", &bot, SOON, is_asked).await.unwrap();
        assert!(told.contains("what sang?") == question.is_some() && !told.contains("\nowners"), "{told}");
        assert!(told.ends_with(&format!("\nparlor keys main answer {jid}")), "{told}");
        let listed = run.keys(&[]).await;
        let shown = if question.is_some() { ": “what sang?" } else { "\n" };
        assert!(listed.contains(&format!("{jid} asks to compare a secret{shown}")), "{listed}");
        let answer = ["keys", "main", "answer", &jid, "--json", "--secret-file", "-"];
        let ended = run.home.run_with(&answer, &format!("{entered}\n")).await.unwrap();
        assert_eq!((ended.code, &ended.json().unwrap()["outcome"]), (Some(code), &json!(outcome)), "{ended:?}");
        assert!(!ended.stderr.contains(entered), "{ended:?}");
        let compared = juliet.event("compared").await.unwrap();
        assert_eq!(compared["same"], json!(code == 0), "{compared}");
        let key = run.keys(&["list", &jid, "--json"]).await;
        assert_eq!(key.contains("\"trusted\""), is_trusted, "{key}");
        if code == 5 {
            let is_told = |text: &str| text.contains("was not the same").then_some(());
            owner.wait_text("that it was not the same", &bot, SOON, is_told).await.unwrap();
        }
    }
    // The audit has the author of the decision and the key, and nothing contains the entered secret.
    let audit = run.home.run(&["audit", "--kind", "pin", "--json"]).await.unwrap().json().unwrap();
    let entries = audit["entries"].as_array().unwrap();
    let same = entries.iter().find(|entry| entry["new"] == "trusted").unwrap();
    assert_eq!(
        (&same["old"], &same["account"], &same["way"]),
        (&json!("blind"), &json!("main"), &json!("control socket"))
    );
    let what = same["what"].as_str().unwrap();
    assert!(what.contains(&jid) && what.ends_with("by a secret that was the same"), "{what}");
    assert!(entries.iter().any(|entry| entry["what"].as_str().unwrap().ends_with("was not the same")), "{audit}");
    let has_secret = |text: &String| text.contains("nightingale");
    assert!(!run.host.log().all().iter().any(has_secret) && !has_secret(&audit.to_string()));
    run.keys(&["distrust", &jid, "--all"]).await;
    let audit = run.home.run(&["audit", "--kind", "pin", "--json"]).await.unwrap().json().unwrap();
    let last = audit["entries"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["old"], &last["new"]), (&json!("trusted"), &json!("distrusted")), "{last}");
}

/// Row 87: `parlor keys main verify`.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_asks_for_a_secret_and_may_give_up() {
    let owner = friend("owner").await;
    let run = Run::start(&owner, true, &["keys"]).await;
    let bot = run.account.jid.clone();
    let nobody = run.home.run_with(&["keys", "verify", "nobody@localhost"], "x\n").await.unwrap();
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("no OTR conversation with nobody@localhost"), "{nobody:?}");
    let (mut juliet, _) = off_the_record(&run).await;
    let jid = juliet.jid().to_string();
    // Ctrl-C gives up, and her client is notified.
    let mut terminal = Terminal::start(run.home.command(["keys", "verify", &jid]).unwrap()).unwrap();
    terminal.sees("which is not shown:", SOON).unwrap();
    terminal.types("nightingale").unwrap();
    assert!(juliet.event("asked").await.unwrap()["question"].is_null());
    terminal.signal(Signal::Interrupt).unwrap();
    juliet.event("aborted").await.unwrap();
    let (_, screen) = terminal.ended(SOON).unwrap();
    assert!(!screen.contains("nightingale"), "{screen}");
    // python-potr gives up instead of saying that the secrets differ.
    for (entered, code) in [("lark", 1), ("nightingale", 0)] {
        let verify = ["keys", "main", "verify", &jid, "--question", "what sang?"];
        let verifying = run.home.run_with(&verify, "nightingale\n");
        let answering = async {
            assert_eq!(juliet.event("asked").await.unwrap()["question"], "what sang?");
            juliet.order("answer", json!({ "to": bot.as_str(), "secret": entered })).await.unwrap();
            juliet.event("compared").await.unwrap()
        };
        let (ended, compared) = tokio::join!(verifying, answering);
        let ended = ended.unwrap();
        assert_eq!((ended.code, &compared["same"]), (Some(code), &json!(code == 0)), "{ended:?}");
        if code == 0 {
            assert!(ended.stdout.starts_with(&format!("{jid} entered the same, so the key is trusted")), "{ended:?}");
        }
    }
}
