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

use crate::house::{BARE, FULL, House, Plan, SOON, id, prosody, running};

/// Lets a plugin register one of everything, and another one wait for its promise. Returns the latter's order.
async fn settled(house: &House) -> u64 {
    house.ears().promise("never").await;
    for name in ["message", "greeted", "connected"] {
        house.listen(FULL, name).await;
    }
    house.call(FULL, "promises.add", json!({ "name": "mine" })).await.ok();
    for (timer, milliseconds) in [("timers.after", 3_600_000), ("timers.every", 10)] {
        house.call(FULL, timer, json!({ "milliseconds": milliseconds })).await.ok();
    }
    house.order(FULL, "deed.wait-until", json!({ "promise": "never", "times": 20 })).await;
    house.order(FULL, "timers.sleep", json!({ "milliseconds": 3_600_000 })).await;
    house.order(FULL, "api.send-iq", json!({ "iq": "<iq type='get' to='localhost'><x xmlns='slow'/></iq>" })).await;
    let order = house.order(BARE, "api.wait-until", json!({ "promise": "mine" })).await;
    // A plugin answers this only after it has begun its earlier orders.
    for plugin in [FULL, BARE] {
        house.call(plugin, "user.jid", Value::Null).await.ok();
    }
    assert!(house.instance(FULL).await.waits().borrow().for_session >= 20);
    order
}

/// Checks that nothing holds the instance any more, and that it has no subscriptions.
async fn nothing_is_left(house: &House, instance: Weak<Instance>, id: InstanceId) {
    assert_eq!(house.shared().router.count(id), 0, "subscriptions");
    let gone = async {
        while instance.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(SOON, gone).await.is_ok(), "{} hold the instance", instance.strong_count());
}

/// Rows 3.
#[tokio::test(flavor = "multi_thread")]
async fn after_remove_nothing_of_it_is_left_and_the_stream_stays_up() {
    let house = Plan::new().await.three().start().await;
    let waiting = settled(&house).await;
    let instance = house.instance(FULL).await;
    let (weak, number) = (Arc::downgrade(&instance), instance.id);
    assert!(house.shared().router.count(number) >= 4);
    drop(instance);
    let connected = house.shared().snapshot().jid.clone();
    assert!(house.host.remove_plugin(&id(FULL)).await);
    nothing_is_left(&house, weak, number).await;
    house.answer(BARE, "api.wait-until", waiting).await.fails("stopped");
    house.call(BARE, "api.wait-until", json!({ "promise": "mine" })).await.fails("not-found");
    house.call(BARE, "promises.add", json!({ "name": "mine" })).await.ok();
    assert!(!house.host.remove_plugin(&id(FULL)).await, "there is none any more");
    assert_eq!(house.shared().snapshot().jid, connected);
    house.call(BARE, "connection.connected", Value::Null).await.is(true);
}

/// Rows 4.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_trap_a_fresh_instance_begins_anew() {
    let house = Plan::offline().three().start().await;
    let waiting = settled(&house).await;
    let instance = house.instance(FULL).await;
    let (weak, number) = (Arc::downgrade(&instance), instance.id);
    drop(instance);
    house.order(FULL, "deed.panic", Value::Null).await;
    house.logged("plugin ended", &[("plugin", FULL)]).await;
    house.answer(BARE, "api.wait-until", waiting).await.fails("stopped");
    nothing_is_left(&house, weak, number).await;
    running(&house, FULL).await;
    let fresh = house.instance(FULL).await;
    assert_ne!(fresh.id, number);
    assert_eq!(house.shared().router.count(fresh.id), 1, "its orders, and nothing of before");
    house.call(FULL, "promises.add", json!({ "name": "mine" })).await.ok();
}

/// The names that a plugin's manifest declares are reserved only while that version is installed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_declared_is_anybodys_once_it_is_gone() {
    let plan = Plan::offline().caller(FULL, |entry| entry).plugin("unruly", "unruly", |entry| entry);
    let mut house = plan.start().await;
    let (event, promise) = (json!({ "name": "unruly" }), json!({ "name": "unrulyNever" }));
    assert!(house.host.restart_plugin(&id("unruly")).await);
    house.call(FULL, "api.emit", event.clone()).await.fails("denied");
    let edit = |text: &str| text.replacen("events = [\"unruly\"]", "events = [\"other\"]", 1);
    let other = with_manifest(&plugins::built("unruly").unwrap().bytes().unwrap(), edit).unwrap();
    let other = house.home.install_bytes("unruly", &other).unwrap();
    house.policy = std::mem::take(&mut house.policy).with("unruly", other);
    house.home.set_policy(&house.policy).unwrap();
    house.host.reload().await.unwrap();
    house.call(FULL, "api.emit", event).await.ok();
    house.call(FULL, "promises.add", promise.clone()).await.fails("denied");
    assert!(house.host.remove_plugin(&id("unruly")).await);
    house.call(FULL, "promises.add", promise).await.ok();
}

/// An event that ended a plugin is not delivered to the next instance, however often this happens.
#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_event_is_given_once() {
    let house = Plan::offline().three().start().await;
    for life in 1..=3 {
        house.order(FULL, "deed.panic", Value::Null).await;
        let deadline = tokio::time::Instant::now() + SOON;
        while house.restarts(FULL).await < life {
            assert!(tokio::time::Instant::now() < deadline, "it is not started again");
            tokio::task::yield_now().await;
        }
        running(&house, FULL).await;
        // The event that ended it would have come first.
        for _ in 0..3 {
            house.call(FULL, "user.jid", Value::Null).await.ok();
        }
        assert_eq!(house.restarts(FULL).await, life);
    }
}

/// After many removals and additions, tasks and registrations are back at their base.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lives_leave_no_task_and_no_registration() {
    // The second plugin keeps the compiled code, so that each round is short.
    let house = Plan::offline().three().start().await;
    let text = house.policy.to_toml().unwrap();
    let entries = policy::Policy::parse(&text, house.home.path()).unwrap().plugins;
    let entry = entries[&id(FULL)].clone();
    let names = || house.shared().router.names().values().sum::<usize>();
    house.host.remove_plugin(&id(FULL)).await;
    let base = (Handle::current().metrics().num_alive_tasks(), names());
    for _ in 0..200 {
        house.host.add_plugin(id(FULL), entry.clone()).await.unwrap();
        house.call(FULL, "promises.add", json!({ "name": "mine" })).await.ok();
        house.listen(FULL, "greeted").await;
        house.call(FULL, "timers.every", json!({ "milliseconds": 10 })).await.ok();
        house.order(FULL, "timers.sleep", json!({ "milliseconds": 60_000 })).await;
        assert!(house.host.remove_plugin(&id(FULL)).await);
    }
    let settle = async {
        while Handle::current().metrics().num_alive_tasks() > base.0 {
            tokio::task::yield_now().await;
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
    (count("fd"), count("task"), usage::resident_kib(process).unwrap())
}

/// The harness's own registrations are removed with it, so that the counts above are meaningful.
#[tokio::test(flavor = "multi_thread")]
async fn the_router_forgets_whom_it_is_told_to_forget() {
    let house = Plan::offline().caller(BARE, |entry| entry).start().await;
    let router = &house.shared().router;
    let one = InstanceId::next();
    let grants = Arc::new(parlor_session::permissions::Grants::all());
    let (mailbox, _receiver) = parlor_session::router::Mailbox::new(one, 1, grants);
    router.subscribe(&mailbox, "greeted", Filter::default(), false);
    assert_eq!(router.count(one), 1);
    house.shared().forget(one).await;
    assert_eq!(router.count(one), 0);
}
