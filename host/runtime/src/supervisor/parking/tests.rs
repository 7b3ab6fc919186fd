//! Tests of parked plugins with a guest that does next to nothing, on an account that is never connected.

mod guest;

use std::collections::BTreeMap;

use jiff::Timestamp;
use parlor_base::held::Held;
use parlor_base::id::Digest;
use parlor_config::AccountConfig;
use parlor_plugins::admission::Admitted;
use parlor_plugins::component::Needs;
use parlor_plugins::limits::Limits;
use parlor_plugins::policy::RoomSettings;
use parlor_session::event::{Event, Payload};
use parlor_session::permissions::{CallName, Grants};
use parlor_session::router::Mailbox;
use parlor_store::{NewSchedule, Owner, StoredTiming};
use tokio::runtime::Handle;
use tokio::time::{Duration, Instant};

use self::guest::{Step, component};
use super::*;
use crate::account::Account;
use crate::compiler::Compiler;
use crate::counters::Counters;
use crate::engine::{Compiled, Engine};
use crate::instance::Lasting;
use crate::instance::tests::account_config;
use crate::record::Record;
use crate::settings::OwnSettings;
use crate::supervisor::Supervised;
use crate::supervisor::staying::takes_requests;
use crate::threads::Place;
use crate::watchdog;

const MANIFEST: &str = "[plugin]\nname = \"idler\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Waits\"\n\
    parks = true\n[settings.fail]\ntype = \"boolean\"\ndescription = \"Whether it fails\"\n";

/// A host with one account and one engine.
struct Stage {
    account: Account,
    engine: Arc<Engine>,
    /// The tasks of the account itself.
    tasks: usize,
}

impl Stage {
    fn new() -> Self {
        let config: AccountConfig = account_config();
        let account = Account::start(config, parlor_store::Store::in_memory(), Place::here());
        let engine = Arc::new(Engine::start(Compiler::ThisProcess { optimized: false }, None).unwrap());
        Self { account, engine, tasks: tasks() }
    }

    async fn compiled(&self, steps: &[Step]) -> Arc<Compiled> {
        let bytes = component(steps);
        self.engine.compile(Digest::of(&bytes), bytes, Needs::default()).await.unwrap().0
    }

    /// Lets a plugin start, without waiting for that.
    async fn begin(&self, steps: &[Step]) -> Supervised {
        let (admitted, engine, account) = (admitted(), Arc::clone(&self.engine), Arc::clone(self.account.shared()));
        Supervised::start(admitted, self.compiled(steps).await, engine, account, Vec::new())
    }

    async fn start(&self, steps: &[Step]) -> Supervised {
        let plugin = self.begin(steps).await;
        plugin.tried().await;
        assert_eq!(plugin.state(), State::Running);
        plugin
    }

    /// Starts a plugin, and waits until it is parked.
    async fn parked(&self, steps: &[Step]) -> Supervised {
        let plugin = self.start(steps).await;
        until(&plugin, State::Parked).await;
        plugin
    }

    fn fire(&self, name: &str) {
        let event = Event { name: name.into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        let router = &self.account.shared().router;
        router.route(event, router.live(), &|_| false);
    }
}

fn admitted() -> Arc<Admitted> {
    Arc::new(instance::tests::admitted("idler", MANIFEST, Grants::default(), Limits::default()))
}

/// Returns the same plugin with a webhook.
fn with_webhook() -> Arc<Admitted> {
    let asks = "[permissions]\n\"webhooks.receive\" = { reason = \"to hear\" }\n";
    let webhook = "[webhook.hook]\ndescription = \"What comes\"\nverify = \"none\"\n";
    let manifest = format!("{MANIFEST}{asks}{webhook}");
    Arc::new(instance::tests::admitted("idler", &manifest, Grants::default(), Limits::default()))
}

/// Waits until the address of its webhook is read. Without a limit: while the store's thread works, a paused clock runs ahead.
async fn token(plugin: &Supervised) -> String {
    let webhooks = plugin.webhooks().unwrap();
    loop {
        if let Some(token) = webhooks.token("hook") {
            return token;
        }
        tokio::task::yield_now().await;
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn until(plugin: &Supervised, state: State) {
    let came = tokio::time::timeout(Duration::from_hours(1), plugin.until(|now| *now == state)).await;
    assert!(came.is_ok(), "{state:?} did not come, but {:?}", plugin.state());
}

fn handled(plugin: &Supervised) -> u64 {
    plugin.record().totals().handled
}

fn subscriptions(plugin: &Supervised) -> usize {
    plugin.instance().map_or(0, |instance| instance.account.router.count(instance.id))
}

#[tokio::test(start_paused = true)]
async fn a_plugin_with_nothing_to_do_is_parked_and_the_next_event_wakes_it() {
    let stage = Stage::new();
    let plugin = stage.start(&[Step::On("tick"), Step::On("tock")]).await;
    let began = Instant::now();
    until(&plugin, State::Parked).await;
    assert_eq!(began.elapsed().as_secs(), Limits::default().idle.as_secs());
    tokio::task::yield_now().await;
    assert_eq!(tasks(), stage.tasks, "it has no task");
    let id = plugin.instance().unwrap().id;
    for round in 1..=3 {
        stage.fire("tick");
        stage.fire("tock");
        until(&plugin, State::Parked).await;
        assert_eq!((handled(&plugin), subscriptions(&plugin)), (2 * round, 2));
        assert_eq!(plugin.instance().unwrap().id, id);
    }
    assert_eq!(plugin.instance().unwrap().usage(None).memory, 0);
    plugin.stop().await;
    stage.account.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_hears_something_now_and_then_is_not_parked() {
    let stage = Stage::new();
    let plugin = stage.start(&[Step::On("tick")]).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stage.fire("tick");
        assert_eq!(plugin.state(), State::Running);
    }
    let began = Instant::now();
    until(&plugin, State::Parked).await;
    assert_eq!((handled(&plugin), began.elapsed().as_secs()), (10, 30));
    plugin.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_wakes_a_parked_plugin_when_it_is_due_and_keeps_its_period() {
    let stage = Stage::new();
    let plugin = stage.start(&[Step::Every(100_000)]).await;
    let began = Instant::now();
    until(&plugin, State::Parked).await;
    for round in 1..=3 {
        until(&plugin, State::Running).await;
        assert_eq!(began.elapsed().as_secs(), 100 * round);
        until(&plugin, State::Parked).await;
        assert_eq!(handled(&plugin), round);
    }
    assert_eq!(plugin.instance().unwrap().registered.timers().len(), 1);
    plugin.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_fired_while_its_plugin_was_parked_comes_under_its_own_id() {
    let stage = Stage::new();
    let plugin = stage.parked(&[Step::After(100_000), Step::On("tick")]).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    // The timer fired once, and `initialize` has got back the one that was due.
    assert_eq!(handled(&plugin), 1);
    assert_eq!(plugin.instance().unwrap().registered.timers().len(), 0);
    plugin.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_to_one_event_hears_one_that_comes_while_its_plugin_is_parked() {
    let stage = Stage::new();
    let plugin = stage.parked(&[Step::Once("tick")]).await;
    stage.fire("tick");
    stage.fire("tick");
    until(&plugin, State::Running).await;
    until(&plugin, State::Parked).await;
    assert_eq!((handled(&plugin), subscriptions(&plugin)), (1, 0));
    plugin.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_stops_while_it_is_parked_leaves_nothing() {
    let stage = Stage::new();
    let router = &stage.account.shared().router;
    for round in 0..3 {
        let plugin = stage.parked(&[Step::On("tick"), Step::Every(3_600_000)]).await;
        let over = plugin.until(|state| *state == State::Stopped);
        match round {
            0 => plugin.stop().await,
            1 => plugin.stop_with_the_host().await,
            // As its owner is dropped.
            _ => drop(plugin),
        }
        over.await;
        tokio::task::yield_now().await;
        assert!(router.names().is_empty(), "{:?}", router.names());
        assert_eq!(tasks(), stage.tasks);
    }
}

/// Acknowledged events are handled, as by a plugin that runs.
#[tokio::test(start_paused = true)]
async fn a_plugin_that_is_just_woken_handles_its_mail_before_the_host_stops() {
    let stage = Stage::new();
    let plugin = stage.parked(&[Step::On("tick")]).await;
    stage.fire("tick");
    let record = Arc::clone(&plugin.shared.lasting.record);
    plugin.stop_with_the_host().await;
    assert_eq!(record.totals().handled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_parked_plugin_is_replaced_like_one_that_runs_and_its_mail_goes_to_the_new_one() {
    let stage = Stage::new();
    for is_woken in [false, true] {
        let old = stage.parked(&[Step::On("tick")]).await;
        let (old_id, over) = (old.instance().unwrap().id, old.until(|state| *state == State::Stopped));
        let (compiled, engine) = (stage.compiled(&[Step::On("tick")]).await, Arc::clone(&stage.engine));
        let (new, successor) = Supervised::start_beside(&old, admitted(), compiled, engine, Vec::new());
        new.tried().await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(new.state(), State::Running, "it is not parked before it has taken over");
        let before = handled(&new);
        if is_woken {
            stage.fire("tick");
        }
        successor.take_over(old).await;
        over.await;
        assert_ne!(new.instance().unwrap().id, old_id);
        stage.fire("tick");
        until(&new, State::Parked).await;
        assert_eq!(handled(&new) - before, 1 + u64::from(is_woken));
        new.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_fails_when_it_wakes_is_restarted_and_quarantined_like_any_other() {
    let stage = Stage::new();
    let plugin = stage.parked(&[Step::On("tick"), Step::TrapIf("fail")]).await;
    let id = plugin.instance().unwrap().id;
    plugin.settings_changed(BTreeMap::from([("fail".to_owned(), true.into())]), RoomSettings::default());
    assert_eq!(plugin.state(), State::Parked, "it does not listen to changes");
    stage.fire("tick");
    let failed = plugin.until(|state| matches!(state, State::BackingOff { .. })).await;
    assert!(matches!(&failed, State::BackingOff { why, .. } if why.contains("panicked")), "{failed:?}");
    assert!(plugin.instance().is_none());
    assert_eq!(stage.account.shared().router.count(id), 0);
    assert_eq!(plugin.needs_account(Duration::ZERO), Some(PluginNeeds::Run));
    plugin.until(|state| matches!(state, State::Quarantined(_))).await;
    assert_eq!(handled(&plugin), 0);
    assert_eq!(plugin.needs_account(Duration::ZERO), Some(PluginNeeds::Owner), "it is not said to have run just now");
    plugin.stop().await;
}

/// Failures are not forgotten because the plugin was parked in between.
#[tokio::test(start_paused = true)]
async fn time_in_which_a_plugin_is_parked_does_not_make_it_healthy() {
    let mut failures = Failures::default();
    failures.add();
    failures.ran(Duration::from_secs(59));
    assert_eq!(failures.count, 1);
    failures.ran(Duration::from_secs(1));
    assert_eq!(failures.count, 0);
}

#[tokio::test(start_paused = true)]
async fn a_parked_plugin_that_finds_no_room_waits_for_some_and_loses_nothing() {
    let stage = Stage::new();
    let plugin = stage.parked(&[Step::On("tick")]).await;
    let compiled = stage.compiled(&[]).await;
    let others: Vec<_> = std::iter::from_fn(|| compiled.reserve(stage.engine.mappings()).ok()).collect();
    assert!(others.len() >= 100, "{}", others.len());
    stage.fire("tick");
    plugin.until(|state| matches!(state, State::BackingOff { .. })).await;
    stage.fire("tick");
    assert_eq!((handled(&plugin), subscriptions(&plugin)), (0, 1));
    drop(others);
    until(&plugin, State::Parked).await;
    assert_eq!((handled(&plugin), subscriptions(&plugin)), (2, 1));
    plugin.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_with_an_open_call_is_not_parked_before_that_has_returned() {
    let stage = Stage::new();
    let plugin = stage.start(&[Step::On("tick")]).await;
    let instance = plugin.instance().unwrap();
    let (call, request) = (instance.count_call(CallName::TimersSleep), instance.pending_iq().unwrap());
    tokio::time::sleep(Duration::from_mins(10)).await;
    drop(call);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(plugin.state(), State::Running);
    drop(request);
    until(&plugin, State::Parked).await;
    plugin.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_starts_in_its_turn_and_gives_that_back_but_one_that_is_woken_needs_none() {
    let stage = Stage::new();
    let starts = Arc::clone(&stage.account.shared().place.starts);
    let all = starts.available_permits();
    let parked = stage.parked(&[Step::On("tick")]).await;
    assert_eq!(starts.available_permits(), all);
    let others = Arc::clone(&starts).try_acquire_many_owned(u32::try_from(all).unwrap()).unwrap();
    let (waits, stops) = (stage.begin(&[]).await, stage.begin(&[]).await);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert!(waits.instance().is_none() && waits.state() == State::Starting, "{:?}", waits.state());
    stage.fire("tick");
    until(&parked, State::Parked).await;
    assert_eq!(handled(&parked), 1);
    let stopped = stops.until(|state| *state == State::Stopped);
    stops.stop().await;
    stopped.await;
    drop(others);
    until(&waits, State::Running).await;
    assert_eq!(starts.available_permits(), all);
    waits.stop().await;
    parked.stop().await;
}

/// The machine may have been off at that time.
#[tokio::test(start_paused = true)]
async fn a_missed_due_time_is_told_and_when_it_is_over_a_plugin_without_schedules_has_no_task() {
    let stage = Stage::new();
    let shared = stage.account.shared();
    let owner = Owner { account: shared.own.clone(), plugin: "idler".parse().unwrap() };
    let stored = shared.data().schedules(owner);
    let once = NewSchedule { name: "once".to_owned(), timing: StoredTiming::At(60_000), catch_up: 1 };
    stored.set(once, 0, 9).await.unwrap();
    let plugin = stage.start(&[Step::On("schedule")]).await;
    // Without a limit: while the store's thread works, a paused clock runs ahead.
    while !stored.all().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(handled(&plugin), 1);
    until(&plugin, State::Parked).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks(), stage.tasks);
    plugin.stop().await;
    stage.account.stop().await;
}

/// A browser asks for a page and its parts together, and does not ask again.
#[tokio::test(start_paused = true)]
async fn a_plugin_that_wakes_takes_requests_as_while_it_was_parked_and_one_that_starts_does_not() {
    let stage = Stage::new();
    let takes = |plugin: &Supervised| (plugin.state(), takes_requests(&plugin.shared).is_some());
    let plugin = stage.parked(&[Step::On("tick")]).await;
    assert_eq!(takes(&plugin), (State::Parked, true));
    stage.fire("tick");
    assert_eq!(takes(&plugin), (State::Starting, true), "the one that woke it is handled, too");
    until(&plugin, State::Running).await;
    assert_eq!(takes(&plugin), (State::Running, true));
    plugin.stop().await;
    let plugin = stage.begin(&[Step::On("tick")]).await;
    assert_eq!(takes(&plugin), (State::Starting, false), "it does not listen yet");
    plugin.stop().await;
}

/// A task that delivers a request waits for that, and the sender of another one waits for its answer.
#[tokio::test(start_paused = true)]
async fn what_a_plugin_that_ends_has_not_begun_is_dropped_at_once() {
    let stage = Stage::new();
    for is_parked in [true, false] {
        let steps = [Step::On("tick")];
        let plugin = if is_parked { stage.parked(&steps).await } else { stage.start(&steps).await };
        let instance = plugin.instance().unwrap();
        let event = Event { name: "tick".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        let (mail, ending) = instance.account.router.mail_for(instance.id, event).unwrap().with_receipt();
        // Held as by such a task. The plugin is asked to end before its guest is given the mail.
        let (shared, before) = (Arc::clone(&plugin.shared), handled(&plugin));
        if !is_parked {
            plugin.part(ShutdownMode::Now);
        }
        assert!(instance.mailbox.deliver(mail));
        plugin.stop().await;
        let ended = tokio::time::timeout(Duration::from_hours(1), ending).await;
        assert!(matches!(ended, Ok(Err(_))), "{is_parked}: {ended:?}");
        assert_eq!(shared.lasting.record.totals().handled, before, "{is_parked}");
    }
}

/// The owner ends an address because others know it. The new version has read it by then.
#[tokio::test(start_paused = true)]
async fn an_address_that_the_owner_ends_while_a_new_version_starts_has_ended_for_that_one_too() {
    let stage = Stage::new();
    let (engine, account) = (&stage.engine, stage.account.shared());
    let compiled = stage.compiled(&[Step::On("tick")]).await;
    let old =
        Supervised::start(with_webhook(), Arc::clone(&compiled), Arc::clone(engine), Arc::clone(account), Vec::new());
    old.tried().await;
    let former = token(&old).await;
    let (new, successor) = Supervised::start_beside(&old, with_webhook(), compiled, Arc::clone(engine), Vec::new());
    new.tried().await;
    assert_eq!(token(&new).await, former);
    assert!(old.webhooks().unwrap().rotate("hook").await.unwrap());
    successor.take_over(old).await;
    assert_ne!(token(&new).await, former);
    new.stop().await;
}

/// A large host has 100,000 parked plugins, each with one of each of these values on the heap. An allocation of glibc has 8 bytes more,
/// and its size is a multiple of 16.
#[test]
fn the_values_that_a_parked_plugin_keeps_take_little_memory() {
    let counted = |size: usize| size + 2 * size_of::<usize>();
    let all = [
        ("Shared", counted(size_of::<Shared>()), 240),
        ("Lasting", counted(size_of::<Lasting>()), 192),
        ("Record", counted(size_of::<Record>()), 96),
        ("OwnSettings", counted(size_of::<OwnSettings>()), 64),
        ("Instance", counted(size_of::<Instance>()), 304),
        ("Mailbox", counted(size_of::<Mailbox>()), 240),
        ("Counters", counted(size_of::<Counters>()), 96),
        ("Account", counted(size_of::<watchdog::Account>()), 112),
        ("Held", counted(size_of::<Held>()), 48),
        ("Parked", size_of::<Parked>(), 64),
    ];
    let taken = |size: usize| (size + 8).next_multiple_of(16);
    let all = all.into_iter().map(|(name, size, most)| (name, taken(size), most));
    let large: Vec<_> = all.filter(|(_, size, most)| size > most).collect();
    assert!(large.is_empty(), "name, bytes, at most: {large:?}");
}
