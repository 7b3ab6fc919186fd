//! Tests of addresses that sleep, with a server that follows a script.

use parlor_base::id::Digest;
use parlor_config::Overrides;
use parlor_plugins::sample;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::threads::Threads;
use tokio::net::TcpListener;

use super::*;
use crate::host::tests::component::{Stream, soon};

/// A server that takes the component, and the folder of the host.
struct Scene {
    listener: TcpListener,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("parlor.toml")
    }

    /// Returns the configuration with these accounts.
    fn config(&self, names: &[&str], more: &str) -> Config {
        std::fs::write(self.folder.path().join("secret"), "test\n").unwrap();
        let account =
            |name: &&str| format!("[account.{name}]\njid = \"{name}@bots.example.org\"\ncomponent = \"bots\"\n{more}");
        let accounts: String = names.iter().map(account).collect();
        let at = self.listener.local_addr().unwrap();
        let component = format!(
            "[component.bots]\ndomain = \"bots.example.org\"\nserver = \"{at}\"\npassword_file = \"secret\"\nsleep_after = \"1 s\"\n"
        );
        std::fs::write(self.path(), format!("{component}{accounts}")).unwrap();
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let mut config = Config::load(&self.path(), &overrides).unwrap();
        // Whatever has nothing to do falls asleep at the next look.
        config.sleep_after.values_mut().for_each(|after| *after = Duration::ZERO);
        config
    }

    /// Starts a host, and accepts the stream of its component.
    async fn start(&self, config: Config) -> (Host, Stream) {
        let start = Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller());
        let (host, stream) = tokio::join!(start, soon(Stream::accept(&self.listener)));
        (host.unwrap(), stream)
    }
}

impl Stream {
    /// Asks an address whether it is there.
    async fn ping(&mut self, name: &str, id: &str) {
        let to = format!("to='{name}@bots.example.org'");
        self.say(&format!("<iq from='a@b/c' {to} id='{id}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")).await;
    }

    /// Waits for the answer of an address, and returns what came before it, too.
    async fn pong(&mut self, id: &str) -> String {
        let answer = self.until(&format!("id='{id}'")).await;
        let rest = self.until(">").await;
        format!("{answer}{rest}")
    }
}

/// Stops a host, whose server closes the stream as well.
async fn stop(host: Host, mut stream: Stream) {
    let closed = async move {
        stream.until("</stream:stream>").await;
    };
    tokio::join!(host.stop(), closed);
}

/// Waits until all accounts that run are connected.
async fn connected(host: &Host) {
    for account in host.accounts() {
        let mut connection = account.connection();
        let is_connected = connection.wait_for(|connection| matches!(connection, Connection::Connected(_)));
        soon(is_connected).await.unwrap();
    }
}

/// Lets all accounts fall asleep, which may still have something to do at their log-in.
async fn lulled(host: &Host) {
    connected(host).await;
    let all = async {
        while !host.accounts().is_empty() {
            put_to_sleep(host).await;
            tokio::task::yield_now().await;
        }
    };
    soon(all).await;
}

/// Does the ongoing work of a host while something else happens.
async fn tended<T>(host: &Host, what: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = what => done,
        never = tend(host) => match never {},
    }
}

fn names(host: &Host) -> Vec<String> {
    host.asleep().iter().map(|one| one.name.to_string()).collect()
}

#[tokio::test]
async fn an_address_falls_asleep_and_answers_what_wakes_it_once() {
    let scene = Scene::new().await;
    let (host, mut stream) = scene.start(scene.config(&["echo"], "")).await;
    lulled(&host).await;
    assert_eq!(names(&host), ["echo"]);
    stream.ping("echo", "one").await;
    stream.ping("echo", "two").await;
    let wakes = async {
        let answers = stream.pong("one").await + &stream.pong("two").await;
        (answers.matches("'result'").count(), answers)
    };
    let (results, answers) = tended(&host, wakes).await;
    assert!(results == 2 && answers.contains("from='echo@bots.example.org'"), "{answers}");
    assert!(!answers.contains("'error'"), "{answers}");
    stop(host, stream).await;
}

#[tokio::test]
async fn addresses_sleep_on_when_the_host_is_started_again() {
    let scene = Scene::new().await;
    let config = scene.config(&["clock", "echo"], "");
    let (host, stream) = scene.start(config.clone()).await;
    lulled(&host).await;
    stop(host, stream).await;
    // The one that wakes stays awake.
    let mut config = config;
    config.sleep_after.values_mut().for_each(|after| *after = Duration::from_hours(1));
    let (host, mut stream) = scene.start(config).await;
    assert!(host.accounts().is_empty() && !names(&host).is_empty());
    // One of them wakes, and is awake after that, also if the host is killed then.
    stream.ping("echo", "one").await;
    let answer = tended(&host, stream.pong("one")).await;
    assert!(answer.contains("'result'"), "{answer}");
    let stored: Vec<_> = host.store.sleepers().await.unwrap().into_iter().map(|one| one.jid.to_string()).collect();
    assert!(stored.iter().all(|jid| jid == "clock@bots.example.org"), "{stored:?}");
    stop(host, stream).await;
}

#[tokio::test]
async fn addresses_wake_once_if_their_configuration_has_changed() {
    let scene = Scene::new().await;
    let (host, stream) = scene.start(scene.config(&["clock", "echo"], "")).await;
    lulled(&host).await;
    find_outdated(&host).await;
    assert!(host.sleepers.next_outdated(9).is_empty(), "nothing has changed");
    stop(host, stream).await;
    let changed = scene.config(&["clock", "echo"], "settings = { nickname = \"other\" }\n");
    let (host, stream) = scene.start(changed).await;
    assert_eq!(names(&host), ["clock", "echo"]);
    let (woken, are_more) = wake_some(&host, 1).await;
    assert_eq!((woken.len(), are_more), (1, true), "no more than there is room for");
    let (rest, are_more) = wake_some(&host, 9).await;
    assert_eq!((rest.len(), are_more, names(&host)), (1, false, Vec::new()));
    for account in woken.into_iter().chain(rest) {
        open(&host, account).await;
    }
    lulled(&host).await;
    find_outdated(&host).await;
    assert!(host.sleepers.next_outdated(9).is_empty());
    stop(host, stream).await;
}

#[tokio::test]
async fn a_command_of_an_owner_wakes_an_address_and_keeps_it_awake() {
    let scene = Scene::new().await;
    let mut config = scene.config(&["echo"], "");
    let (host, stream) = scene.start(config.clone()).await;
    lulled(&host).await;
    tended(&host, async {
        // It has to be there, and connected, when this returns.
        config.sleep_after.values_mut().for_each(|after| *after = Duration::from_hours(1));
        host.config.store(Arc::new(config));
        wake_named(&host, "echo").await;
        wake_named(&host, "nobody").await;
    })
    .await;
    connected(&host).await;
    assert_eq!((host.accounts().len(), names(&host)), (1, Vec::new()));
    let account = host.accounts().remove(0);
    assert!(host.sleepers.was_touched(&account.own, Duration::from_hours(1)));
    let component = host.domains.component(&"bots".parse().unwrap()).unwrap();
    let candidate = SleepCandidate { account, component, after: Duration::from_hours(1) };
    assert_eq!(keeps_awake(&host, &candidate).await, Some(KeepsAwake::Owner));
    stop(host, stream).await;
}

/// Nobody could have a link to log in to the window sent.
#[tokio::test]
async fn an_owner_who_needs_any_account_wakes_one_if_all_sleep() {
    let scene = Scene::new().await;
    let mut config = scene.config(&["clock", "echo"], "");
    let (host, stream) = scene.start(config.clone()).await;
    lulled(&host).await;
    let all = ["clock", "echo"].map(|name| name.parse::<AccountName>().unwrap());
    tended(&host, async {
        config.sleep_after.values_mut().for_each(|after| *after = Duration::from_hours(1));
        host.config.store(Arc::new(config));
        for _ in 0..2 {
            wake_one(&host, &all.each_ref()).await;
        }
    })
    .await;
    assert_eq!(names(&host), ["echo"]);
    connected(&host).await;
    stop(host, stream).await;
}

#[tokio::test]
async fn an_address_that_is_removed_while_it_sleeps_is_nobody() {
    let scene = Scene::new().await;
    let (host, mut stream) = scene.start(scene.config(&["clock", "echo"], "")).await;
    lulled(&host).await;
    host.reconfigure(scene.config(&["clock"], "")).await;
    assert_eq!(names(&host), ["clock"]);
    assert_eq!(host.store.sleepers().await.unwrap().len(), 1);
    stream.ping("echo", "one").await;
    let answer = stream.pong("one").await;
    assert!(answer.contains("'error'"), "{answer}");
    stop(host, stream).await;
}

/// Stanzas for it waited for a minute, as if it still slept.
#[tokio::test]
async fn an_address_that_is_removed_while_it_wakes_is_nobody() {
    let scene = Scene::new().await;
    let (host, mut stream) = scene.start(scene.config(&["clock", "echo"], "")).await;
    lulled(&host).await;
    assert_eq!(wake(&host, vec!["echo@bots.example.org".parse().unwrap()]).await.len(), 1);
    host.reconfigure(scene.config(&["clock"], "")).await;
    stream.ping("echo", "one").await;
    let answer = stream.pong("one").await;
    assert!(answer.contains("'error'"), "{answer}");
    stop(host, stream).await;
}

/// Stanzas for it would be lost if its account ended, or would be answered by nobody.
#[tokio::test]
async fn an_address_that_was_written_to_a_moment_ago_does_not_fall_asleep() {
    let scene = Scene::new().await;
    let mut config = scene.config(&["echo"], "");
    config.sleep_after.values_mut().for_each(|after| *after = Duration::from_hours(1));
    let (host, stream) = scene.start(config).await;
    connected(&host).await;
    assert!(put_to_sleep(&host).await);
    assert_eq!((host.accounts().len(), names(&host)), (1, Vec::new()));
    assert_eq!(why_awake(&host, &"echo".parse().unwrap()), Some(KeepsAwake::Stanza));
    stop(host, stream).await;
}

/// Sessions of the first ones may have something to do for good. Those after them never fell asleep.
#[tokio::test]
async fn a_look_goes_on_where_the_last_one_ended() {
    let scene = Scene::new().await;
    let (host, stream) = scene.start(scene.config(&["clock", "echo"], "")).await;
    connected(&host).await;
    soon(async {
        while find_candidates(&host, 9).await.len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for expected in [&["clock"][..], &["echo"], &[], &["clock"]] {
        let found = find_candidates(&host, 1).await;
        let found: Vec<_> = found.iter().map(|one| one.account.name.to_string()).collect();
        assert_eq!(found, expected);
    }
    stop(host, stream).await;
}

/// The owner of the account that comes saw the address of the former one in the window.
#[tokio::test]
async fn an_address_that_sleeps_is_not_the_account_that_gets_its_name() {
    let scene = Scene::new().await;
    let before = scene.config(&["echo"], "");
    let (host, stream) = scene.start(before.clone()).await;
    lulled(&host).await;
    let mut after = before.clone();
    after.accounts.values_mut().for_each(|account| account.link.jid = "other@bots.example.org".parse().unwrap());
    let asleep = host.asleep();
    assert_eq!(asleep.iter().map(|one| (one.is_in(&before), one.is_in(&after))).collect::<Vec<_>>(), [(true, false)]);
    stop(host, stream).await;
}

/// A message that woke an address soon after a new version of parlor started reached an account without plugins, and nobody answered.
#[tokio::test]
async fn an_address_whose_plugin_waits_for_the_compiler_sleeps_until_that_is_done() {
    let scene = Scene::new().await;
    let config = scene.config(&["clock", "echo"], "");
    let (host, stream) = scene.start(config.clone()).await;
    lulled(&host).await;
    stop(host, stream).await;
    let manifest = "[plugin]\nname = \"guest\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Waits\"\n";
    let bytes = wat::parse_str(sample::plugin_with(manifest)).unwrap();
    std::fs::write(scene.folder.path().join("guest.wasm"), &bytes).unwrap();
    let policy = format!(
        "[plugin.guest]\nsource = \"guest.wasm\"\ndigest = \"{}\"\naccounts = [\"echo\"]\n",
        Digest::of(&bytes)
    );
    std::fs::write(scene.folder.path().join("plugins.toml"), policy).unwrap();
    // Nobody compiles the plugin while the host is not tended.
    let start = Host::start_at_once(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller());
    let (host, mut stream) = tokio::join!(start, soon(Stream::accept(&scene.listener)));
    let host = host.unwrap();
    stream.ping("echo", "one").await;
    stream.ping("clock", "two").await;
    let woken = async {
        loop {
            let (woken, _) = wake_some(&host, 9).await;
            if let [one] = &woken[..] {
                return one.name.to_string();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(soon(woken).await, "clock", "no plugin of it waits");
    assert_eq!(names(&host), ["echo"]);
    let answer = tokio::select! {
        biased;
        answer = stream.pong("one") => answer,
        never = host.tend() => match never {},
    };
    assert!(answer.contains("'result'"), "{answer}");
    let plugins = host.plugins.lock().await;
    assert!(plugins.values().all(|plugin| plugin.on(&"echo".parse().unwrap()).is_some()), "the plugin runs on it");
    drop(plugins);
    stop(host, stream).await;
}
