//! Plugins are added and removed through the library (rows 2–7 of `tests/conformance.toml`).

use std::path::Path;
use std::time::Duration;

use jid::Jid;
use parlor::host::{AddError, Host};
use parlor_base::id::PluginId;
use parlor_config::{Config, Overrides};
use parlor_plugins::policy::Entry as Decided;
use parlor_runtime::account::Connection;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::supervisor::State;
use parlor_runtime::threads::Threads;
use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::host::{Home, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::server::{Account, XmppServer};
use tokio::time::{Instant, timeout};

use crate::test_host::software;
use crate::trace;

const SOON: Duration = Duration::from_secs(30);

/// A server, and a host's folder with its account.
struct Setup {
    prosody: XmppServer,
    home: Home,
    bot: Account,
}

impl Setup {
    async fn new() -> Self {
        let prosody = software().start().await.unwrap();
        let bot = prosody.fresh_account("bot").unwrap();
        let mut home = Home::new().unwrap();
        home.add_account("main", &bot, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
        Self { prosody, home, bot }
    }

    /// Starts the host in this process, as another program would embed it.
    async fn start(&self, policy: &Policy) -> Host {
        self.home.set_policy(policy).unwrap();
        timeout(SOON, Host::start(self.config(), Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()))
            .await
            .unwrap()
            .unwrap()
    }

    fn config(&self) -> Config {
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        Config::load(&self.home.path().join("parlor.toml"), &overrides).unwrap()
    }

    fn echo(&self, id: &str) -> Entry {
        let entry = self.home.install(id, &built("echo").unwrap()).unwrap();
        entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
    }

    fn unruly(&self, id: &str, behaviour: &str) -> Entry {
        self.home.install(id, &built("unruly").unwrap()).unwrap().set("behaviour", behaviour)
    }

    /// Builds a plugin with these lines of `[dependencies]`.
    fn needing(&self, id: &str, behaviour: &str, dependencies: &str) -> Entry {
        let unruly = built("unruly").unwrap().bytes().unwrap();
        let bytes = with_manifest(&unruly, |manifest| format!("{manifest}\n[dependencies]\n{dependencies}\n"));
        self.home.install_bytes(id, &bytes.unwrap()).unwrap().set("behaviour", behaviour)
    }

    /// Converts an entry to the library's type.
    fn decided(&self, id: &str, entry: Entry) -> (PluginId, Decided) {
        decided(self.home.path(), id, entry)
    }
}

fn decided(folder: &Path, id: &str, entry: Entry) -> (PluginId, Decided) {
    let text = Policy::default().with(id, entry).to_toml().unwrap();
    let mut policy = parlor_plugins::policy::Policy::parse(&text, folder).unwrap();
    policy.plugins.pop_first().unwrap()
}

/// Returns a plugin's state on the only account.
async fn state(host: &Host, id: &str) -> Option<State> {
    host.status().await.into_iter().find(|one| one.id.as_str() == id).map(|one| one.state)
}

async fn until_running(host: &Host, id: &str) {
    let deadline = Instant::now() + SOON;
    while state(host, id).await != Some(State::Running) {
        assert!(Instant::now() < deadline, "{id} does not run: {:?}", state(host, id).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a plugin is refused for a reason with this beginning.
async fn until_refused(host: &Host, id: &str, words: &str) {
    let deadline = Instant::now() + SOON;
    while !matches!(state(host, id).await, Some(State::Refused(why)) if why.starts_with(words)) {
        assert!(Instant::now() < deadline, "{id} is not refused: {:?}", state(host, id).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the account is connected, and returns its bound address.
async fn until_connected(host: &Host) -> Jid {
    let mut connection = host.account(&"main".parse().unwrap()).unwrap().connection();
    let is_connected = |connection: &Connection| matches!(connection, Connection::Connected(_));
    match &*timeout(SOON, connection.wait_for(is_connected)).await.unwrap().unwrap() {
        Connection::Connected(jid) => jid.clone(),
        other => panic!("not connected: {other:?}"),
    }
}

fn refusal(result: Result<(), AddError>) -> String {
    match result {
        Err(AddError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// Rows 2-4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_are_added_and_removed_while_the_stream_stays_up() {
    let setup = Setup::new().await;
    let host = setup.start(&Policy::default()).await;
    let jid = until_connected(&host).await;
    let mut changes = host.account(&"main".parse().unwrap()).unwrap().connection();
    changes.mark_unchanged();
    let account = setup.prosody.fresh_account("juliet").unwrap();
    let mut juliet = Client::login(&setup.prosody.connector().unwrap(), &account, "balcony").await.unwrap();
    juliet.available().await.unwrap();

    for round in 0..3 {
        let (id, entry) = setup.decided("echo", setup.echo("echo"));
        timeout(SOON, host.add_plugin(id.clone(), entry)).await.unwrap().unwrap();
        assert_eq!(state(&host, "echo").await, Some(State::Running));
        let heard = format!("heard {round}");
        juliet.chat(setup.bot.jid.clone(), &heard).await.unwrap();
        juliet.wait_body(&setup.bot.jid, &heard, SOON).await.unwrap();
        assert!(timeout(SOON, host.remove_plugin(&id)).await.unwrap());
        assert!(!host.remove_plugin(&id).await, "it was there twice");
        assert_eq!(state(&host, "echo").await, None);
        let unheard = format!("unheard {round}");
        juliet.chat(setup.bot.jid.clone(), &unheard).await.unwrap();
        // The message must not arrive so late that the next plugin hears it.
        juliet.ping(jid.clone(), SOON).await.unwrap();
    }
    juliet.catch_up(SOON).await.unwrap();
    let answers = juliet.received_xml().iter().filter(|stanza| stanza.contains("unheard")).count();
    assert_eq!(answers, 0);
    assert!(!changes.has_changed().unwrap());
    assert_eq!(until_connected(&host).await, jid);
    host.stop().await;
}

/// Rows 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_twice_is_refused_with_both_sources_even_when_both_come_at_once() {
    let setup = Setup::new().await;
    let host = setup.start(&Policy::default()).await;
    let (id, first) = setup.decided("twin", setup.unruly("first", ""));
    let (_, second) = setup.decided("twin", setup.unruly("second", ""));
    let sources = [first.source.clone(), second.source.clone()];
    let (one, other) = tokio::join!(
        timeout(SOON, host.add_plugin(id.clone(), first)),
        timeout(SOON, host.add_plugin(id.clone(), second.clone()))
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    let refused = match (one, other) {
        (Ok(()), Err(refused)) | (Err(refused), Ok(())) => refused,
        both => panic!("not exactly one was added: {both:?}"),
    };
    let sentence = refused.to_string();
    assert!(matches!(refused, AddError::Taken { .. }), "{sentence}");
    for source in &sources {
        assert!(sentence.contains(&source.to_string()), "{sentence}");
    }
    assert_eq!(host.status().await.len(), 1);
    assert_eq!(state(&host, "twin").await, Some(State::Running));

    let again = host.add_plugin(id.clone(), second.clone()).await.unwrap_err();
    assert!(matches!(again, AddError::Taken { .. }), "{again}");
    // Once the plugin is removed, its id is free.
    assert!(host.remove_plugin(&id).await);
    host.add_plugin(id, second).await.unwrap();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_takes_long_to_start_can_be_removed_meanwhile() {
    let setup = Setup::new().await;
    let host = setup.start(&Policy::default()).await;
    let slow = setup.unruly("slow", "initialize-sleeps").limit("initialize", "5 min");
    let (id, entry) = setup.decided("slow", slow);
    let removing = async {
        let deadline = Instant::now() + SOON;
        while state(&host, "slow").await != Some(State::Starting) {
            assert!(Instant::now() < deadline, "it does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(host.remove_plugin(&id).await);
    };
    let (added, ()) =
        timeout(SOON, async { tokio::join!(host.add_plugin(id.clone(), entry), removing) }).await.unwrap();
    added.unwrap();
    assert_eq!(host.status().await, []);
    host.stop().await;
}

/// Rows 5.
/// Settings `whitelisted_plugins`, `blacklisted_plugins`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_decide_who_may_run_and_the_black_one_wins() {
    let mut setup = Setup::new().await;
    setup.home.set("whitelisted_plugins", vec!["white", "both"]).unwrap();
    setup.home.set("blacklisted_plugins", vec!["black", "both"]).unwrap();
    let host = setup.start(&Policy::default()).await;
    for (id, sentence) in [
        ("black", "black is among the `blacklisted_plugins`; remove it there to let it run"),
        ("both", "both is among the `blacklisted_plugins`; remove it there to let it run"),
        ("other", "other is not among the `whitelisted_plugins`; add it there to let it run"),
    ] {
        let (plugin, entry) = setup.decided(id, setup.unruly(id, ""));
        assert_eq!(refusal(host.add_plugin(plugin, entry).await), sentence);
        assert_eq!(state(&host, id).await, Some(State::Refused(sentence.to_owned())));
    }
    let mut off = setup.unruly("white", "");
    off.enabled = false;
    let (id, entry) = setup.decided("white", off);
    assert_eq!(
        refusal(host.add_plugin(id.clone(), entry).await),
        "white is disabled; `enabled = true` under [plugin.white] in plugins.toml lets it run"
    );
    assert!(host.remove_plugin(&id).await);
    let (id, entry) = setup.decided("white", setup.unruly("white", ""));
    host.add_plugin(id, entry).await.unwrap();
    assert_eq!(state(&host, "white").await, Some(State::Running));
    host.stop().await;
}

/// Row 127.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_whose_command_has_a_name_that_is_taken_starts_and_is_given_it_by_its_full_name() {
    trace::start();
    let setup = Setup::new().await;
    let wants = "initialize-adds-command";
    let host = setup.start(&Policy::default().with("one", setup.unruly("one", wants))).await;
    until_running(&host, "one").await;
    let (id, entry) = setup.decided("two", setup.unruly("two", wants));
    host.add_plugin(id.clone(), entry).await.unwrap();
    until_running(&host, "two").await;
    let warned = || {
        let lines = trace::with("plugin", "two");
        lines
            .iter()
            .filter(|line| {
                line.get("message").contains("so people give it as two.say alone; `parlor plugin command two`")
            })
            .count()
    };
    assert_eq!(warned(), 1);
    assert!(host.remove_plugin(&"one".parse().unwrap()).await);
    assert!(host.restart_plugin(&id).await);
    until_running(&host, "two").await;
    assert_eq!(warned(), 1, "the name is free now");
    host.stop().await;
}

/// Rows 6.
/// Settings `strict_plugin_dependencies`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_dependencies_a_plugin_starts_unless_the_owner_is_strict() {
    for strict in [false, true] {
        let mut setup = Setup::new().await;
        setup.home.set("strict_plugin_dependencies", strict).unwrap();
        let policy = Policy::default()
            .with("base", setup.unruly("base", ""))
            .with("broken", setup.unruly("broken", "initialize-fails"))
            .with("off", setup.unruly("off", ""))
            .with("content", setup.needing("content", "", "base = \"^0.1\""))
            .with("easy", setup.needing("easy", "", "nobody = { version = \"*\", optional = true }"))
            .with("alone", setup.needing("alone", "", "nobody = \"*\""))
            .with("above", setup.needing("above", "", "alone = \"*\""))
            .with("ahead", setup.needing("ahead", "", "base = \"^0.2\""))
            .with("unlucky", setup.needing("unlucky", "", "broken = \"*\""))
            .with("barred", setup.needing("barred", "", "off = \"*\""));
        let mut policy = policy;
        policy.plugin.get_mut("off").unwrap().enabled = false;
        let host = setup.start(&policy).await;
        for id in ["base", "content", "easy"] {
            assert_eq!(state(&host, id).await, Some(State::Running), "{id}, strict = {strict}");
        }
        for (id, sentence) in [
            ("alone", "it needs nobody: nobody is not there; add it, or set `strict_plugin_dependencies = false`"),
            (
                "above",
                "it needs alone → nobody: nobody is not there; add it, or set `strict_plugin_dependencies = false`",
            ),
            ("ahead", "it needs base: base is there in version 0.1.0, but ^0.2 is needed"),
            ("unlucky", "it depends on broken, which failed: failed to order"),
            (
                "barred",
                "it needs off: off does not run: off is disabled; `enabled = true` under [plugin.off] in plugins.toml \
                 lets it run",
            ),
        ] {
            let expected = if strict { State::Refused(sentence.to_owned()) } else { State::Running };
            assert_eq!(state(&host, id).await, Some(expected), "{id}, strict = {strict}");
        }
        host.stop().await;
    }
}

/// Rows 6.
/// Settings `strict_plugin_dependencies`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stumbles_is_waited_for_by_who_cannot_go_without_it() {
    let mut setup = Setup::new().await;
    setup.home.set("strict_plugin_dependencies", true).unwrap();
    let policy = Policy::default()
        .with("base", setup.unruly("base", "initialize-traps-once"))
        .with("content", setup.needing("content", "", "base = \"^0.1\""));
    let host = setup.start(&policy).await;
    for id in ["base", "content"] {
        until_running(&host, id).await;
    }
    host.stop().await;
}

/// Rows 6.
/// Settings `strict_plugin_dependencies`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_refused_for_a_dependency_starts_when_that_one_is_started_anew() {
    let mut setup = Setup::new().await;
    setup.home.set("strict_plugin_dependencies", true).unwrap();
    // The default for plugins without this setting in the policy.
    setup.home.set("behaviour", "initialize-fails").unwrap();
    let key = setup.home.path().join("key");
    let secret = toml::Table::from_iter([("command".to_owned(), format!("cat '{}'", key.display()).into())]);
    let keyed = setup.home.install("keyed", &built("caller").unwrap()).unwrap().set("token", secret);
    let policy = Policy::default()
        .with("base", setup.home.install("base", &built("unruly").unwrap()).unwrap())
        .with("content", setup.needing("content", "", "base = \"*\""))
        .with("above", setup.needing("above", "", "content = \"*\""))
        .with("keyed", keyed)
        .with("opened", setup.needing("opened", "", "keyed = \"*\""));
    let host = setup.start(&policy).await;
    until_refused(&host, "content", "it depends on base, which failed").await;
    until_refused(&host, "above", "it depends on content, which failed").await;
    until_refused(&host, "opened", "it needs keyed: keyed does not run").await;
    // Nothing changes before the owner restarts the plugin.
    setup.home.set("behaviour", "").unwrap();
    setup.home.write("key", "secret\n").unwrap();
    host.reconfigure(setup.config()).await;
    until_refused(&host, "content", "it depends on base, which failed").await;
    for (again, waited) in [("base", ["content", "above"].as_slice()), ("keyed", ["opened"].as_slice())] {
        assert!(host.restart_plugin(&again.parse().unwrap()).await);
        for id in waited {
            until_running(&host, id).await;
        }
        if again == "base" {
            until_refused(&host, "opened", "it needs keyed: keyed does not run").await;
        }
    }
    host.stop().await;
}

/// Rows 6.
/// Settings `strict_plugin_dependencies`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_refused_for_a_dependency_starts_when_the_policy_lets_that_one_run() {
    let mut setup = Setup::new().await;
    setup.home.set("strict_plugin_dependencies", true).unwrap();
    let policy = |behaviour: &str| {
        Policy::default()
            .with("base", setup.unruly("base", behaviour))
            .with("content", setup.needing("content", "", "base = \"*\""))
    };
    let host = setup.start(&policy("initialize-fails")).await;
    until_refused(&host, "content", "it depends on base, which failed").await;
    setup.home.set_policy(&policy("")).unwrap();
    host.reload().await.unwrap();
    until_running(&host, "content").await;
    host.stop().await;
}

/// Rows 6.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_ended_for_want_of_a_grant_starts_when_it_is_granted() {
    let setup = Setup::new().await;
    let waits = || setup.unruly("waits", "initialize-waits-for-roster");
    let host = setup.start(&Policy::default().with("waits", waits())).await;
    until_refused(&host, "waits", "").await;
    let granted = Policy::default().with("waits", waits().grant_whole("contacts.read"));
    setup.home.set_policy(&granted).unwrap();
    host.reload().await.unwrap();
    until_running(&host, "waits").await;
    host.stop().await;
}

/// Rows 7.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_in_comes_after_every_initialize() {
    let setup = Setup::new().await;
    // A process is used here, since its log shows the order.
    setup
        .home
        .set_policy(
            &Policy::default()
                .with("slow", setup.unruly("slow", "initialize-naps"))
                .with("after", setup.needing("after", "", "slow = \"*\""))
                .with("broken", setup.unruly("broken", "initialize-fails"))
                .with("watcher", setup.unruly("watcher", "watches")),
        )
        .unwrap();
    let mut host = setup.home.start().unwrap();
    // Waits move forward, so each line comes after the one before it.
    host.wait("plugin running", &[("plugin", "slow")], SOON).await.unwrap();
    host.wait("plugin running", &[("plugin", "after")], SOON).await.unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    host.wait_count("saw initialized", &[("plugin", "watcher")], 1, SOON).await.unwrap();
    let seen: Vec<_> = host
        .log()
        .all()
        .iter()
        .filter_map(|line| {
            let (_, name) = line.split_once("\"saw ")?;
            Some(name.split('"').next()?.to_owned())
        })
        .collect();
    assert_eq!(seen, ["pluginsInitialized", "connectionInitialized", "connected", "initialized"]);
    assert!(host.stop(SOON).await.unwrap().success());
}

/// The line of a host that logs in although some plugin neither runs nor waits for the log-in. The time until an account is
/// connected says less, since it contains the time of the compiler.
const UNSTARTED: &str = "some plugins took longer than 10 s to initialize; logging in without them";

#[tokio::test]
async fn a_plugin_that_waits_for_the_roster_in_its_initialize_holds_up_nobody() {
    let setup = Setup::new().await;
    let waiting = setup.unruly("waiting", "initialize-waits-for-roster").grant_whole("contacts.read");
    let policy = Policy::default()
        .with("waiting", waiting)
        // One plugin waits for the waiting one, and another does not depend on them.
        .with("after", setup.needing("after", "", "waiting = \"*\""))
        .with("other", setup.unruly("other", ""));
    setup.home.set_policy(&policy).unwrap();
    let mut host = setup.home.start().unwrap();
    host.wait("plugin running", &[("plugin", "other")], SOON).await.unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    assert!(host.lines(UNSTARTED, &[]).is_empty(), "{}", host.log().tail());
    for id in ["waiting", "after"] {
        host.wait_count("plugin running", &[("plugin", id)], 1, SOON).await.unwrap();
    }
    assert!(host.stop(SOON).await.unwrap().success());
}

/// Rows 7.
#[tokio::test]
async fn no_plugin_delays_the_log_in_beyond_ten_seconds() {
    let setup = Setup::new().await;
    let slow = setup.unruly("slow", "initialize-sleeps").limit("initialize", "5 min");
    setup.home.set_policy(&Policy::default().with("slow", slow)).unwrap();
    let mut host = setup.home.start().unwrap();
    host.wait(UNSTARTED, &[], SOON).await.unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    assert!(host.lines("plugin running", &[]).is_empty(), "{}", host.log().tail());
    assert!(host.stop(SOON).await.unwrap().success());
}
