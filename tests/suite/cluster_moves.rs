//! Accounts that go into a cluster and out of it, with real hosts: values, schedules and OMEMO sessions go with them.

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::counterparts::{AXOLOTL, Counterpart};
use parlor_tests::host::{Finished, Home, Host, Server};
use parlor_tests::log::Mark;
use parlor_tests::nats::{Nats, make_node};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use parlor_tests::server::Account;
use serde_json::{Value, json};
use xmpp_parsers::message::MessageType;
use xmpp_parsers::stanza::Stanza;

use crate::test_host::{A_MOMENT, SOON, friend, prosody};

const LINE: &str = r#"{"account":"main","key":"greeting","value":"hello"}"#;

/// A host with the plugins echo and receiver, and a person who writes to it by OMEMO.
struct House {
    home: Home,
    bot: BareJid,
    juliet: Counterpart,
    /// The account's key as she knows it.
    fingerprint: Value,
    schedules: Value,
}

impl House {
    /// Runs the host alone for a while, so that it keeps something of everything.
    async fn lived_in() -> Self {
        let server = prosody().await;
        let (account, person) = (server.fresh_account("mover").unwrap(), server.fresh_account("juliet").unwrap());
        let home = home(&account).await;
        let imported = home.run_with(&["plugin", "data", "echo", "import"], LINE).await.unwrap();
        assert_eq!(imported.code, Some(0), "{imported:?}");
        let juliet = Counterpart::omemo_by(AXOLOTL, server, &person).await.unwrap();
        let (fingerprint, schedules) = (Value::Null, Value::Null);
        let mut house = Self { home, bot: account.jid, juliet, fingerprint, schedules };
        let mut host = house.start(&[]).await;
        house.finds_the_key().await;
        house.fingerprint = house.key().await;
        house.schedules = house.all_schedules().await;
        house.check("alone").await;
        assert!(host.stop(SOON).await.unwrap().success());
        house
    }

    async fn start(&self, before: &[&str]) -> Host {
        let mut host = self.home.start().unwrap();
        for line in before {
            host.wait(line, &[], SOON).await.unwrap();
        }
        host.wait("account connected", &[("account", "main")], SOON).await.unwrap();
        host.wait_count("plugin running", &[], 2, SOON).await.unwrap();
        // The account logs in before the server has its presence. Until then, messages come back.
        let mut romeo = friend("romeo").await;
        while !answers(&self.bot, &mut romeo).await {}
        host
    }

    /// Waits until she has found the account's key.
    async fn finds_the_key(&mut self) {
        let wait = async {
            while self.key().await == Value::Null {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        tokio::time::timeout(SOON, wait).await.expect("the account has published its key");
    }

    async fn key(&mut self) -> Value {
        let devices = self.juliet.order("devices", json!({ "jid": self.bot.as_str() })).await.unwrap();
        let devices = devices.as_array().cloned().unwrap_or_default();
        let active = devices.into_iter().find(|device| device["active"][AXOLOTL] == true);
        active.map_or(Value::Null, |device| device["fingerprint"].clone())
    }

    async fn all_schedules(&self) -> Value {
        let shown = self.does(&["plugin", "schedules", "receiver", "--json"]).await;
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
        let all = shown[0]["schedules"].clone();
        assert_eq!(all.as_array().map(Vec::len), Some(1), "{shown}");
        all
    }

    /// Checks that a running host has all that it had before. Her client goes on with its session.
    async fn check(&mut self, text: &str) {
        for number in 0..3 {
            let text = format!("{text} {number}");
            self.juliet.send(&self.bot, &text).await.unwrap();
            assert_eq!(self.juliet.message(&text).await.unwrap()["encryption"], "omemo");
        }
        assert_eq!(self.key().await, self.fingerprint, "no new key");
        assert_eq!(self.all_schedules().await, self.schedules);
        let exported = self.does(&["plugin", "data", "echo", "export"]).await;
        let line = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(line(exported.stdout.trim()), line(LINE));
    }

    async fn does(&self, arguments: &[&str]) -> Finished {
        let finished = self.home.run(arguments).await.unwrap();
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        finished
    }

    /// Runs a command that must fail, and returns what it said.
    async fn fails(&self, arguments: &[&str]) -> String {
        let finished = self.home.run(arguments).await.unwrap();
        assert_eq!(finished.code, Some(1), "{arguments:?}: {finished:?}");
        finished.stderr
    }

    /// Checks that the backup before the import has what plugins keep.
    async fn before_is_whole(&self) {
        let other = Home::new().unwrap();
        let file = self.home.path().join("before.parlor");
        let restored = other.run(&["restore", file.to_str().unwrap(), "--without-keys", "--force"]).await.unwrap();
        assert_eq!(restored.code, Some(0), "{restored:?}");
        std::fs::copy(self.home.password_file("main"), other.path().join("main.password")).unwrap();
        let text = std::fs::read_to_string(other.path().join("parlor.toml")).unwrap();
        let mut config: toml::Table = text.parse().unwrap();
        config.remove("cluster").unwrap();
        other.write("parlor.toml", &toml::to_string(&config).unwrap()).unwrap();
        let kept = other.run(&["plugin", "data", "echo", "export"]).await.unwrap();
        let line = |text: &str| serde_json::from_str::<Value>(text.trim()).unwrap();
        assert_eq!((kept.code, line(&kept.stdout)), (Some(0), line(LINE)));
    }

    fn join(&mut self, nats: &Nats) {
        make_node(&mut self.home, &nats.address(), "one").unwrap();
    }
}

/// Writes to the account. Returns whether it answers, and not the server in its place.
async fn answers(bot: &BareJid, romeo: &mut Client) -> bool {
    romeo.chat(bot.clone(), "are you there?").await.unwrap();
    let answer = |stanza: &Stanza| match stanza {
        Stanza::Message(message) if message.from.as_ref().is_some_and(|from| from.to_bare() == *bot) => {
            Some(message.type_ != MessageType::Error)
        }
        _ => None,
    };
    romeo.wait_for("an answer", SOON, answer).await.unwrap()
}

async fn home(account: &Account) -> Home {
    let server = prosody().await;
    let mut home = Home::new().unwrap();
    home.add_account("main", account, Server::StartTls(server.ports().starttls, server.certificate())).unwrap();
    home.set("allow_non_roster_messaging", true).unwrap();
    let secret = home.keep_secret("secret", "that nobody uses").unwrap();
    let echo = home.install("echo", &built("echo").unwrap()).unwrap();
    let echo = echo.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    let receiver = home.install("receiver", &built("receiver").unwrap()).unwrap();
    let receiver = receiver.grant_whole("storage").grant_whole("webhooks.receive").set("secret", secret);
    let receiver = receiver.set("sets", "every tick 3600000 1");
    home.set_policy(&Policy::default().with("echo", echo).with("receiver", receiver)).unwrap();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_moves_into_a_cluster_and_back_with_all_that_it_keeps() {
    let nats = Nats::start().await.unwrap();
    let mut house = House::lived_in().await;
    house.join(&nats);
    // Nothing of the cluster is in NATS yet: the backup has what is here.
    house.does(&["backup", "before.parlor", "--without-keys"]).await;
    let listed = house.does(&["plugin", "data", "echo", "list"]).await;
    assert!(listed.stdout.contains("echo keeps nothing in the cluster suite"), "{listed:?}");
    assert!(listed.stderr.contains("what echo keeps on main is still in the data folder data"), "{listed:?}");
    house.before_is_whole().await;
    let would: Value = house.does(&["cluster", "import", "--dry-run", "--json"]).await.json().unwrap();
    assert_eq!(would["accounts"][0]["outcome"], "would-move", "{would}");
    // It is killed somewhere in the middle, and run again.
    let mut killed = house.home.command(["cluster", "import"]).unwrap();
    let mut killed = killed.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let moved: Value = house.does(&["cluster", "import", "--json"]).await.json().unwrap();
    let outcome = moved["accounts"][0]["outcome"].as_str().unwrap();
    assert!(outcome == "moved" || outcome == "already", "{moved}");
    let again: Value = house.does(&["cluster", "import", "--json"]).await.json().unwrap();
    assert_eq!(again["accounts"][0]["outcome"], "already", "{again}");

    let mut host = house.start(&["the host is a node of a cluster"]).await;
    house.check("in the cluster").await;
    let busy = house.fails(&["cluster", "export"]).await;
    assert!(busy.contains("stop it first"), "{busy}");
    // A backup has what is in NATS.
    let backup = house.home.path().join("moved.parlor");
    house.does(&["backup", backup.to_str().unwrap(), "--without-keys"]).await;
    host.signal(Signal::Kill).unwrap();
    host.ended(SOON).await.unwrap();

    // Without the cluster, it would use keys of messages twice.
    house.home.clear_cluster().unwrap();
    let refused = house.fails(&["run", "--config", "parlor.toml"]).await;
    assert!(refused.contains("has moved into the cluster suite"), "{refused}");
    house.join(&nats);
    let would: Value = house.does(&["cluster", "export", "--dry-run", "--json"]).await.json().unwrap();
    assert_eq!((&would["accounts"][0]["outcome"], &would["dry_run"]), (&json!("would-move"), &json!(true)), "{would}");
    let moved: Value = house.does(&["cluster", "export", "--json"]).await.json().unwrap();
    assert_eq!(moved["accounts"][0]["outcome"], "moved", "{moved}");
    // Its file of the cluster is not enough any more.
    let mut idle = house.home.start().unwrap();
    let said = |line: &str| line.contains("the account does not run in the cluster").then_some(());
    idle.log().wait("why it does not run", &mut Mark::default(), SOON, said).await.unwrap();
    assert!(idle.stop(SOON).await.unwrap().success());
    house.home.clear_cluster().unwrap();
    let mut host = house.start(&[]).await;
    house.check("alone again").await;
    assert!(host.stop(SOON).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_in_no_file_any_more_is_removed() {
    let nats = Nats::start().await.unwrap();
    let mut house = House::lived_in().await;
    house.join(&nats);
    house.does(&["cluster", "import"]).await;
    let jid = house.bot.to_string();
    let own = house.fails(&["cluster", "remove", &jid, "--yes"]).await;
    assert!(own.contains("is the account main"), "{own}");
    let server = prosody().await;
    let other = server.fresh_account("other").unwrap();
    let to = Server::StartTls(server.ports().starttls, server.certificate());
    house.home.add_account("other", &other, to).unwrap();
    house.home.remove_account("main").unwrap();
    let asked = house.home.run(&["cluster", "remove", &jid]).await.unwrap();
    assert!(asked.code == Some(3) && asked.stdout.contains("would be removed"), "{asked:?}");
    house.does(&["cluster", "remove", &jid, "--yes"]).await;
    let gone = house.fails(&["cluster", "remove", &jid, "--yes"]).await;
    assert!(gone.contains("has no account"), "{gone}");
}
