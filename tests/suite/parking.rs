//! Parked plugins: the causes that wake them, and the state that they keep.

use parlor_runtime::supervisor::State;
use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;

use crate::test_host::{Plan, SOON, TestHost, friend};

const IDLER: &str = "idler";
/// How long it must be idle. Its timer takes four times as long.
const IDLE: &str = "100 ms";

fn idler(entry: Entry) -> Entry {
    let scopes: [(&str, &[&str]); 3] = [("messages.read", &["*"]), ("messages.send", &["*"]), ("storage", &["1 MiB"])];
    let entry = scopes.into_iter().fold(entry, |entry, (name, scope)| entry.grant(name, scope));
    entry.grant_whole("disco.own").limit("idle", IDLE)
}

/// Asks for the first time, and returns how often the plugin had started by then: on a busy machine it may have been parked
/// before.
async fn starts_of_first(host: &TestHost, friend: &mut Client) -> u32 {
    let answer = ask(host, friend, "hi").await;
    let starts = answer.strip_prefix("hello messages 1 starts ").and_then(|starts| starts.parse().ok());
    starts.unwrap_or_else(|| panic!("{answer}"))
}

async fn until(host: &TestHost, state: impl Fn(&State) -> bool) -> State {
    let reach = async {
        loop {
            let now = host.state(IDLER).await;
            if state(&now) {
                return now;
            }
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    let late = |_| panic!("the state did not come; the log:\n{}", crate::trace::tail(host.name()));
    tokio::time::timeout(SOON, reach).await.unwrap_or_else(late)
}

async fn parked(host: &TestHost) {
    until(host, |state| *state == State::Parked).await;
}

/// Says something to the plugin, and returns its answer.
async fn ask(host: &TestHost, friend: &mut Client, words: &str) -> String {
    friend.chat(host.account().jid.clone(), words).await.unwrap();
    answer(host, friend).await
}

/// Returns the next thing that the plugin says.
async fn answer(host: &TestHost, friend: &mut Client) -> String {
    let bot = host.account().jid.clone();
    friend.wait_text("an answer", &bot, SOON, |text| Some(text.to_owned())).await.unwrap()
}

async fn subscriptions(host: &TestHost) -> usize {
    let instance = host.instance(IDLER).await;
    host.shared().router.count(instance.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_with_its_state_in_storage_goes_on_over_parking() {
    let host = Plan::new().await.plugin(IDLER, IDLER, idler).start().await;
    let mut juliet = friend("juliet").await;
    parked(&host).await;
    let (instance, before) = (host.instance(IDLER).await, subscriptions(&host).await);
    let features = || host.shared().snapshot().own.features.clone();
    for number in 1..=3 {
        // Each of them wakes it.
        for (words, kind, starts) in [("hi", "messages", 2 * number), ("!count", "commands", 2 * number + 1)] {
            let expected = format!("hello {kind} {number} starts {starts}");
            assert_eq!(ask(&host, &mut juliet, words).await, expected);
            parked(&host).await;
        }
        assert_eq!(subscriptions(&host).await, before, "none is doubled or lost");
        assert!(features().contains(&"urn:example:idler".to_owned()));
        assert!(host.shared().until("idlerReady").await.is_ok(), "it was resolved at the first start alone");
    }
    assert_eq!(host.instance(IDLER).await.id, instance.id);
    assert_eq!(host.restarts(IDLER).await, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_wakes_a_parked_plugin() {
    let mut juliet = friend("juliet").await;
    let tells = juliet.jid().to_bare().to_string();
    let host = Plan::new().await.plugin(IDLER, IDLER, |entry| idler(entry).set("tells", tells.as_str())).start().await;
    for _ in 0..3 {
        parked(&host).await;
        assert_eq!(answer(&host, &mut juliet).await, "due");
    }
    assert_eq!(host.restarts(IDLER).await, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_change_while_a_plugin_is_parked_count_from_its_next_event_on() {
    let mut host = Plan::new().await.plugin(IDLER, IDLER, idler).start().await;
    let mut juliet = friend("juliet").await;
    let starts = starts_of_first(&host, &mut juliet).await;
    parked(&host).await;
    let instance = host.instance(IDLER).await;
    decides(&mut host, |entry| entry.grant("messages.read", &["nobody@nowhere.invalid"])).await;
    juliet.chat(host.account().jid.clone(), "to nobody").await.unwrap();
    juliet.ping(host.account().jid.clone(), SOON).await.unwrap();
    assert_eq!(host.state(IDLER).await, State::Parked, "what it may not see does not wake it");
    assert_eq!(host.instance(IDLER).await.id, instance.id);
    decides(&mut host, |entry| entry.grant("messages.read", &["*"])).await;
    assert_eq!(ask(&host, &mut juliet, "hi").await, format!("hello messages 2 starts {}", starts + 1));
    host.stop().await;
}

/// Applies another entry of the plugin, as its owner does.
async fn decides(host: &mut TestHost, change: impl FnOnce(Entry) -> Entry) {
    let entry = host.policy.plugin[IDLER].clone();
    host.policy = std::mem::take(&mut host.policy).with(IDLER, change(entry));
    host.home.set_policy(&host.policy).unwrap();
    host.host.reload().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_change_while_a_plugin_is_parked_apply_when_it_wakes() {
    let mut juliet = friend("juliet").await;
    let listens = |entry: Entry| idler(entry).set("listens", true);
    let mut host = Plan::new().await.plugin(IDLER, IDLER, listens).start().await;
    parked(&host).await;
    let instance = host.instance(IDLER).await;
    let handled = || instance.usage(None).handled;
    // It listens to changes, so one wakes it.
    let before = handled();
    decides(&mut host, |entry| entry.set("greeting", "ahoy")).await;
    until(&host, |_| handled() > before).await;
    parked(&host).await;
    assert_eq!(ask(&host, &mut juliet, "hi").await, "ahoy messages 1 starts 3");
    assert_eq!(host.instance(IDLER).await.id, instance.id);
    host.stop().await;
}

/// Such a plugin is restarted whenever a setting changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_plugin_that_does_not_listen_to_its_settings_is_restarted_by_a_change() {
    let mut juliet = friend("juliet").await;
    let mut host = Plan::new().await.plugin(IDLER, IDLER, idler).start().await;
    parked(&host).await;
    let before = host.instance(IDLER).await.id;
    decides(&mut host, |entry| entry.set("greeting", "ahoy")).await;
    assert_ne!(host.instance(IDLER).await.id, before);
    parked(&host).await;
    assert_eq!(ask(&host, &mut juliet, "hi").await, "ahoy messages 1 starts 3");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_when_a_plugin_wakes_is_a_failure_like_any_other() {
    let mut juliet = friend("juliet").await;
    let listens = |entry: Entry| idler(entry).set("listens", true);
    let mut host = Plan::new().await.plugin(IDLER, IDLER, listens).start().await;
    parked(&host).await;
    let before = host.instance(IDLER).await;
    decides(&mut host, |entry| entry.set("fails", true)).await;
    host.logged("plugin ended", &[("plugin", IDLER), ("failures", "1")]).await;
    assert_eq!(host.shared().router.count(before.id), 0);
    // It is restarted after pauses, with the setting as it is then.
    decides(&mut host, |entry| entry.set("fails", false)).await;
    let answer = ask_until_heard(&host, &mut juliet).await;
    assert!(answer.starts_with("hello messages 1 "), "{answer}");
    host.stop().await;
}

/// A plugin that is down hears nothing, so this waits until it runs again.
async fn ask_until_heard(host: &TestHost, friend: &mut Client) -> String {
    until(host, |state| matches!(state, State::Running | State::Parked)).await;
    ask(host, friend, "hi").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_plugin_is_replaced_by_its_next_version() {
    let mut juliet = friend("juliet").await;
    let mut host = Plan::new().await.plugin(IDLER, IDLER, idler).start().await;
    let starts = starts_of_first(&host, &mut juliet).await;
    parked(&host).await;
    let before = host.instance(IDLER).await.id;
    let next = |manifest: &str| manifest.replace("version = \"0.1.0\"", "version = \"0.2.0\"");
    let bytes = with_manifest(&plugins::built(IDLER).unwrap().bytes().unwrap(), next).unwrap();
    let installed = host.home.install_bytes("next", &bytes).unwrap();
    decides(&mut host, |entry| Entry { source: installed.source, digest: installed.digest, ..entry }).await;
    assert_ne!(host.instance(IDLER).await.id, before);
    for number in 2..=3 {
        parked(&host).await;
        assert_eq!(ask(&host, &mut juliet, "hi").await, format!("hello messages {number} starts {}", starts + number));
    }
    assert_eq!(host.restarts(IDLER).await, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_and_starts_again_has_nothing_left_of_a_parked_plugin() {
    let mut juliet = friend("juliet").await;
    let host = Plan::new().await.plugin(IDLER, IDLER, idler).start().await;
    starts_of_first(&host, &mut juliet).await;
    parked(&host).await;
    let shared = host.shared().clone();
    let host = host.restart().await;
    assert!(!shared.router.hears("message"));
    let answer = ask(&host, &mut juliet, "hi").await;
    assert!(answer.starts_with("hello messages 2 starts "), "{answer}");
    host.stop().await;
}
