//! A plugin's registrations are removed with it, whether it was removed or ended (row 3 of `tests/conformance.toml`).

use std::sync::{Arc, Weak};
use std::time::Duration;

use parlor_base::id::InstanceId;
use parlor_plugins::policy;
use parlor_runtime::instance::Instance;
use parlor_session::router::Filter;
use parlor_tests::component::with_manifest;
use parlor_tests::host::{Home, Server};
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use parlor_tests::{plugins, usage};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::test_host::{BARE, FULL, Plan, SOON, TestHost, id, prosody, running};

/// Lets a plugin register one of everything, and another one wait for its promise. Returns the latter's order.
async fn settled(host: &TestHost) -> u64 {
    host.ears().promise("never").await;
    for name in ["message", "greeted", "connected"] {
        host.listen(FULL, name).await;
    }
    host.call(FULL, "promises.add", json!({ "name": "mine" })).await.ok();
    for (timer, milliseconds) in [("timers.after", 3_600_000), ("timers.every", 10)] {
        host.call(FULL, timer, json!({ "milliseconds": milliseconds })).await.ok();
    }
    host.order(FULL, "action.wait-until", json!({ "promise": "never", "times": 20 })).await;
    host.order(FULL, "timers.sleep", json!({ "milliseconds": 3_600_000 })).await;
    host.order(FULL, "api.send-iq", json!({ "iq": "<iq type='get' to='localhost'><x xmlns='slow'/></iq>" })).await;
    let order = host.order(BARE, "api.wait-until", json!({ "promise": "mine" })).await;
    // A plugin answers this only after it has begun its earlier orders.
    for plugin in [FULL, BARE] {
        host.call(plugin, "user.jid", Value::Null).await.ok();
    }
    assert!(host.instance(FULL).await.until_waiting(0).await >= 20);
    order
}

/// Checks that nothing holds the instance any more, and that it has no subscriptions.
async fn nothing_is_left(host: &TestHost, instance: Weak<Instance>, id: InstanceId) {
    assert_eq!(host.shared().router.count(id), 0, "subscriptions");
    let gone = async {
        while instance.strong_count() > 0 {
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    assert!(timeout(SOON, gone).await.is_ok(), "{} hold the instance", instance.strong_count());
}

/// Rows 3.
#[tokio::test(flavor = "multi_thread")]
async fn after_remove_nothing_of_it_is_left_and_the_stream_stays_up() {
    let host = Plan::new().await.three().start().await;
    let waiting = settled(&host).await;
    let instance = host.instance(FULL).await;
    let (weak, number) = (Arc::downgrade(&instance), instance.id);
    assert!(host.shared().router.count(number) >= 4);
    drop(instance);
    let connected = host.shared().snapshot().jid.clone();
    assert!(host.host.remove_plugin(&id(FULL)).await);
    nothing_is_left(&host, weak, number).await;
    host.answer(BARE, "api.wait-until", waiting).await.fails("stopped");
    host.call(BARE, "api.wait-until", json!({ "promise": "mine" })).await.fails("not-found");
    host.call(BARE, "promises.add", json!({ "name": "mine" })).await.ok();
    assert!(!host.host.remove_plugin(&id(FULL)).await, "there is none any more");
    assert_eq!(host.shared().snapshot().jid, connected);
    host.call(BARE, "connection.connected", Value::Null).await.is(true);
}

/// Rows 4.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_trap_a_fresh_instance_begins_anew() {
    let host = Plan::offline().three().start().await;
    let waiting = settled(&host).await;
    let instance = host.instance(FULL).await;
    let (weak, number) = (Arc::downgrade(&instance), instance.id);
    drop(instance);
    host.order(FULL, "action.panic", Value::Null).await;
    host.logged("plugin ended", &[("plugin", FULL)]).await;
    host.answer(BARE, "api.wait-until", waiting).await.fails("stopped");
    nothing_is_left(&host, weak, number).await;
    running(&host, FULL).await;
    let fresh = host.instance(FULL).await;
    assert_ne!(fresh.id, number);
    assert_eq!(host.shared().router.count(fresh.id), 1, "its orders, and nothing of before");
    host.call(FULL, "promises.add", json!({ "name": "mine" })).await.ok();
}

/// The names that a plugin's manifest declares are reserved only while that version is installed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_declared_is_anybodys_once_it_is_gone() {
    let plan = Plan::offline().caller(FULL, |entry| entry).plugin("unruly", "unruly", |entry| entry);
    let mut host = plan.start().await;
    let (event, promise) = (json!({ "name": "unruly" }), json!({ "name": "unrulyNever" }));
    assert!(host.host.restart_plugin(&id("unruly")).await);
    host.call(FULL, "api.emit", event.clone()).await.fails("denied");
    let edit = |text: &str| text.replacen("events = [\"unruly\"]", "events = [\"other\"]", 1);
    let other = with_manifest(&plugins::built("unruly").unwrap().bytes().unwrap(), edit).unwrap();
    let other = host.home.install_bytes("unruly", &other).unwrap();
    host.policy = std::mem::take(&mut host.policy).with("unruly", other);
    host.home.set_policy(&host.policy).unwrap();
    host.host.reload().await.unwrap();
    host.call(FULL, "api.emit", event).await.ok();
    host.call(FULL, "promises.add", promise.clone()).await.fails("denied");
    assert!(host.host.remove_plugin(&id("unruly")).await);
    host.call(FULL, "promises.add", promise).await.ok();
}

/// An event that ended a plugin is not delivered to the next instance, however often this happens.
#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_event_is_given_once() {
    let host = Plan::offline().three().start().await;
    for life in 1..=3 {
        host.order(FULL, "action.panic", Value::Null).await;
        let deadline = tokio::time::Instant::now() + SOON;
        while host.restarts(FULL).await < life {
            assert!(tokio::time::Instant::now() < deadline, "it is not started again");
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
        running(&host, FULL).await;
        // The event that ended it would have come first.
        for _ in 0..3 {
            host.call(FULL, "user.jid", Value::Null).await.ok();
        }
        assert_eq!(host.restarts(FULL).await, life);
    }
}

/// After many removals and additions, tasks and registrations are back at their base.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lives_leave_no_task_and_no_registration() {
    // The second plugin keeps the compiled code, so that each round is short.
    let host = Plan::offline().three().start().await;
    let text = host.policy.to_toml().unwrap();
    let entries = policy::Policy::parse(&text, host.home.path()).unwrap().plugins;
    let entry = entries[&id(FULL)].clone();
    let names = || host.shared().router.names().values().sum::<usize>();
    host.host.remove_plugin(&id(FULL)).await;
    let base = (Handle::current().metrics().num_alive_tasks(), names());
    for _ in 0..200 {
        host.host.add_plugin(id(FULL), entry.clone()).await.unwrap();
        host.call(FULL, "promises.add", json!({ "name": "mine" })).await.ok();
        host.listen(FULL, "greeted").await;
        host.call(FULL, "timers.every", json!({ "milliseconds": 10 })).await.ok();
        host.order(FULL, "timers.sleep", json!({ "milliseconds": 60_000 })).await;
        assert!(host.host.remove_plugin(&id(FULL)).await);
    }
    let settle = async {
        while Handle::current().metrics().num_alive_tasks() > base.0 {
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    let settled = timeout(SOON, settle).await;
    assert!(settled.is_ok(), "{} tasks, {} before", Handle::current().metrics().num_alive_tasks(), base.0);
    assert_eq!(names(), base.1);
}

/// The same for the process, by its files, threads and memory.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lives_leave_the_process_as_it_was() {
    let prosody = prosody().await;
    let mut home = Home::new().unwrap();
    let account = prosody.fresh_account("bot").unwrap();
    home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    let built = plugins::built("unruly").unwrap();
    let keeps = Policy::default().with("keeper", home.install("keeper", &built).unwrap());
    // Each round leaves timers behind that would fire much later.
    let guest = home.install("guest", &built).unwrap().set("behaviour", "many-timers");
    let both = keeps.clone().with("guest", guest);
    home.set_policy(&keeps).unwrap();
    // Only the explicit reload reads the policy, since file watching is off.
    let config = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    home.write("parlor.toml", &format!("watch = false\n{config}")).unwrap();
    let mut host = home.start().unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    let mut base = None;
    for life in 0..200 {
        if life == 20 {
            base = Some(footprint(host.id()));
        }
        for policy in [&both, &keeps] {
            home.set_policy(policy).unwrap();
            host.reload().unwrap();
            host.wait("policy read again", &[], SOON).await.unwrap();
        }
    }
    let (base, end) = (base.unwrap(), footprint(host.id()));
    assert_eq!(end.0, base.0, "open files");
    // Files are read on threads that the runtime keeps for a while.
    assert!(end.1 <= base.1 + 4, "{} threads, {} before", end.1, base.1);
    assert!(end.2 <= base.2 + (8 << 10), "{} KiB, {} KiB before", end.2, base.2);
    assert_eq!(host.lines("plugin removed", &[]).len(), 200);
    host.signal(Signal::Terminate).unwrap();
    assert!(host.ended(Duration::from_secs(20)).await.unwrap().success());
}

/// Returns the number of open files, of threads, and the memory in KiB.
fn footprint(process: u32) -> (usize, usize, u64) {
    let count = |what: &str| std::fs::read_dir(format!("/proc/{process}/{what}")).unwrap().count();
    (count("fd"), count("task"), usage::anonymous_kib(process).unwrap())
}

/// The harness's own registrations are removed with it, so that the counts above are meaningful.
#[tokio::test(flavor = "multi_thread")]
async fn the_router_forgets_whom_it_is_told_to_forget() {
    let host = Plan::offline().caller(BARE, |entry| entry).start().await;
    let router = &host.shared().router;
    let one = InstanceId::next();
    let grants = Arc::new(parlor_session::permissions::Grants::all());
    let (mailbox, _receiver) = parlor_session::router::Mailbox::new(one, 1, grants);
    router.subscribe(&mailbox, "greeted", Filter::default(), false);
    assert_eq!(router.count(one), 1);
    host.shared().forget(one).await;
    assert_eq!(router.count(one), 0);
}

/// The start runs code of 30 MiB that is not needed again.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_program_that_only_the_start_used_leave_the_process() {
    let prosody = prosody().await;
    let mut home = Home::new().unwrap();
    let account = prosody.fresh_account("bot").unwrap();
    home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate())).unwrap();
    let mut host = home.start().unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    let before = usage::of_files_kib(host.id()).unwrap();
    let fallen = async {
        while usage::of_files_kib(host.id()).unwrap() > before * 3 / 4 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let fallen = timeout(SOON, fallen).await;
    assert!(fallen.is_ok(), "{before} KiB before, {} KiB now", usage::of_files_kib(host.id()).unwrap());
}
