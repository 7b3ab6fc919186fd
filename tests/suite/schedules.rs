//! `schedules`: due times on disk, and local times (rows 147–149 of `tests/conformance.toml`).

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use parlor_tests::certificate::Certificate;
use parlor_tests::component::with_manifest;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::log::Mark;
use parlor_tests::plugins;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Signal;
use parlor_tests::server::{Account, DOMAIN};
use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, granted};

const HOUR: i64 = 3_600;
/// An hour, as the calls take it.
const PERIOD: u64 = 3_600_000;

/// Returns the time after this number of seconds, without a fraction.
pub(crate) fn in_seconds(seconds: i64) -> String {
    Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap().to_string()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Checks that a time is so far from now, give or take half a minute.
fn is_in(value: &Value, seconds: i64) {
    let away = time(value).duration_since(Timestamp::now()) - SignedDuration::from_secs(seconds);
    assert!(away.unsigned_abs().as_secs() < 30, "{value} is not in {seconds} s");
}

async fn names(host: &TestHost, plugin: &str) -> Vec<String> {
    let all = host.call(plugin, "schedules.list", json!({})).await.ok();
    all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// Row 147.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_sets_lists_and_ends_its_own_schedules() {
    let host = Plan::offline().three().start().await;
    let hourly = json!({ "name": "hourly", "milliseconds": PERIOD });
    let first = host.call(FULL, "schedules.every", hourly.clone()).await.ok();
    is_in(&first, HOUR);
    // If it is set again unchanged, it continues; if it is changed, it begins again.
    host.call(FULL, "schedules.every", hourly).await.is(first);
    let daily = host.call(FULL, "schedules.every", json!({ "name": "hourly", "milliseconds": 24 * PERIOD })).await.ok();
    is_in(&daily, 24 * HOUR);
    let due = in_seconds(HOUR);
    host.call(FULL, "schedules.at", json!({ "name": "once", "due": due, "catch-up": 0 })).await.is(true);
    let cron = json!({ "name": "morning", "expression": "0 9 * * *", "zone": "UTC", "catch-up": 1_000 });
    let morning = host.call(FULL, "schedules.cron", cron).await.ok();
    let shown = host.call(FULL, "schedules.format", json!({ "moment": morning, "zone": "UTC", "pattern": "%H:%M:%S" }));
    shown.await.is("09:00:00");
    let all = host.call(FULL, "schedules.list", json!({})).await.ok();
    assert_eq!(all[0]["timing"], json!({ "every": 24 * PERIOD }));
    assert_eq!(all[1]["timing"], json!({ "cron": ["0 9 * * *", "UTC"] }));
    assert_eq!((time(&all[1]["next"]), &all[1]["catch-up"]), (time(&morning), &json!(1_000)));
    assert_eq!((time(&all[2]["next"]), &all[2]["catch-up"]), (due.parse().unwrap(), &json!(0)));
    assert_eq!(names(&host, FULL).await, ["hourly", "morning", "once"]);
    assert!(all.as_array().unwrap().iter().all(|one| one["paused"] == false), "{all}");
    // A time in the past sets nothing, and another plugin's schedules count as absent.
    host.call(FULL, "schedules.at", json!({ "name": "past", "due": in_seconds(-1) })).await.is(false);
    assert_eq!(names(&host, BARE).await, [""; 0]);
    host.call(BARE, "schedules.cancel", json!({ "name": "once" })).await.is(false);
    host.call(FULL, "schedules.cancel", json!({ "name": "once" })).await.is(true);
    host.call(FULL, "schedules.cancel", json!({ "name": "once" })).await.is(false);
    assert_eq!(names(&host, FULL).await, ["hourly", "morning"]);
    host.stop().await;
}

/// Row 147.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_has_no_more_schedules_than_its_limit() {
    let limited = |entry: Entry| granted(entry).limit("schedules", 2);
    let host = Plan::offline().caller(FULL, limited).caller(BARE, |entry| entry).start().await;
    let hourly = |name: &str| json!({ "name": name, "milliseconds": PERIOD });
    for name in ["a", "b"] {
        host.call(FULL, "schedules.every", hourly(name)).await.ok();
    }
    let cron = json!({ "name": "c", "expression": "* * * * *", "zone": "UTC" });
    host.call(FULL, "schedules.every", hourly("c")).await.fails("over-limit");
    host.call(FULL, "schedules.at", json!({ "name": "c", "due": in_seconds(HOUR) })).await.fails("over-limit");
    host.call(FULL, "schedules.cron", cron.clone()).await.fails("over-limit");
    // A replacement does not increase the number, and the other plugin's schedules do not count.
    let replaced = json!({ "name": "b", "milliseconds": 2 * PERIOD });
    host.call(FULL, "schedules.every", replaced).await.ok();
    host.call(BARE, "schedules.every", hourly("c")).await.ok();
    host.call(FULL, "schedules.cancel", json!({ "name": "a" })).await.is(true);
    host.call(FULL, "schedules.cron", cron).await.ok();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_that_no_filter_matches_is_warned_about_with_the_nearest() {
    let host = Plan::offline().three().start().await;
    host.listen_with(FULL, json!({ "name": "schedule", "schedule": "standpu" })).await;
    host.call(FULL, "schedules.at", json!({ "name": "standup", "due": in_seconds(2) })).await.is(true);
    let unheard = [("plugin", FULL), ("schedule", "standup")];
    let line = host.logged("a schedule is due that the plugin does not listen to", &unheard).await;
    assert!(line.get("nearest").contains("standpu"), "{line:?}");
    // It waits until the plugin listens to it.
    let right = host.listen_with(FULL, json!({ "name": "schedule", "schedule": "standup" })).await;
    assert_eq!(host.heard(FULL, right).await["payload"]["schedule"]["name"], "standup");
    host.stop().await;
}

/// Row 148. Event schedule: only the plugin that it belongs to is told, under the schedule's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_is_told_to_the_plugin_that_set_it() {
    let host = Plan::offline().three().start().await;
    let hears = host.listen_with(FULL, json!({ "name": "schedule", "schedule": "soon" })).await;
    let other = host.listen_with(FULL, json!({ "name": "schedule", "schedule": "later" })).await;
    let foreign = host.listen(NARROW, "schedule").await;
    let due = in_seconds(2);
    host.call(FULL, "schedules.at", json!({ "name": "soon", "due": due })).await.is(true);
    let event = host.heard(FULL, hears).await;
    let told = &event["payload"]["schedule"];
    assert_eq!((event["name"].as_str(), told["name"].as_str()), (Some("schedule"), Some("soon")));
    assert_eq!((time(&told["due"]), &told["missed"], &told["attempt"]), (due.parse().unwrap(), &json!(0), &json!(1)));
    assert!(told["late"].as_u64().unwrap() < 30_000, "{told}");
    // Its handler has returned, so that it is over.
    let over = async {
        while !names(&host, FULL).await.is_empty() {
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    assert!(tokio::time::timeout(SOON, over).await.is_ok(), "it is still there");
    assert!(host.heard_so_far(FULL, other).await.is_empty(), "another schedule's");
    assert!(host.heard_so_far(NARROW, foreign).await.is_empty(), "another plugin's");
    host.stop().await;
}

/// Row 149.
#[tokio::test(flavor = "multi_thread")]
async fn times_are_shown_and_read_as_people_in_a_zone_do() {
    let host = Plan::offline().caller(BARE, |entry| entry).start().await;
    for (moment, zone, shown) in [
        ("2026-07-01T12:00:00Z", "Europe/Berlin", json!([2026, 7, 1, 14, 0, 0, 3, 7_200, "CEST"])),
        ("2026-01-15T12:00:00Z", "America/New_York", json!([2026, 1, 15, 7, 0, 0, 4, -18_000, "EST"])),
        ("2026-12-31T23:59:59Z", "UTC", json!([2026, 12, 31, 23, 59, 59, 4, 0, "UTC"])),
    ] {
        let local = host.call(BARE, "schedules.to-local", json!({ "moment": moment, "zone": zone })).await.ok();
        let fields = ["year", "month", "day", "hour", "minute", "second", "weekday", "offset", "abbreviation"];
        assert_eq!(fields.iter().map(|field| local[field].clone()).collect::<Value>(), shown, "{moment} {zone}");
    }
    let format = json!({ "moment": "2026-07-01T12:00:00Z", "zone": "Europe/Berlin", "pattern": "%A, %H:%M" });
    host.call(BARE, "schedules.format", format).await.is("Wednesday, 14:00");
    for (text, zone, meant) in [
        ("2026-11-20 09:00", "Europe/Berlin", "2026-11-20T08:00:00Z"),
        ("2026-11-20 09:00", "UTC", "2026-11-20T09:00:00Z"),
        // In a gap, and twice.
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"),
    ] {
        let moment = host.call(BARE, "schedules.parse", json!({ "text": text, "zone": zone })).await.ok();
        assert_eq!(time(&moment), meant.parse().unwrap(), "{text} {zone}");
    }
    let parse = |text: &str| json!({ "text": text, "zone": "Asia/Kathmandu" });
    is_in(&host.call(BARE, "schedules.parse", parse("In 2 Hours 30 minutes")).await.ok(), 9_000);
    for text in ["9:00", "tomorrow 9:00", "TOMORROW 9:00", "friday 9:00", "today 23:59"] {
        let moment = host.call(BARE, "schedules.parse", parse(text)).await.ok();
        let local = host.call(BARE, "schedules.to-local", json!({ "moment": moment, "zone": "Asia/Kathmandu" }));
        let local = local.await.ok();
        let clock = (local["hour"].as_u64().unwrap(), local["minute"].as_u64().unwrap());
        assert_eq!(clock, if text.contains("9:00") { (9, 0) } else { (23, 59) }, "{text}");
        assert!(!text.contains("friday") || local["weekday"] == 5, "{local}");
    }
    host.call(BARE, "schedules.parse", parse("some day")).await.invalid("text");
    host.stop().await;
}

/// A host with the plugin `receiver`, on an account that never logs in, and a clock that can be set.
struct House {
    home: Home,
    host: Host,
    secret: toml::Table,
    clock: PathBuf,
    _certificate: Folder,
}

impl House {
    async fn start() -> Self {
        let folder = Folder::new().unwrap();
        let certificate = Certificate::make(&folder).unwrap();
        let mut home = Home::new().unwrap();
        let account = Account { jid: format!("bot@{DOMAIN}").parse().unwrap(), password: "none".to_owned() };
        home.add_account("main", &account, Server::StartTls(1, &certificate)).unwrap();
        home.set("auto_login", false).unwrap();
        let clock = home.path().join("clock");
        std::fs::write(&clock, 0_i64.to_ne_bytes()).unwrap();
        let library = plugins::program("libparlor_clock.so").unwrap();
        home.set_environment("LD_PRELOAD", library.to_str().unwrap());
        home.set_environment("PARLOR_CLOCK", clock.to_str().unwrap());
        let secret = home.keep_secret("secret", "that nobody uses").unwrap();
        install(&home, &secret, "");
        let host = open(&home).await;
        Self { home, host, secret, clock, _certificate: folder }
    }

    /// Makes the plugin set these schedules, and returns the line with the outcome of the last one.
    async fn sets(&self, entries: &str) -> String {
        self.does(&["plugin", "config", "receiver", "sets", entries]).await;
        self.set(entries.rsplit(';').next().unwrap()).await
    }

    /// Waits until the plugin has logged the outcome of an entry.
    async fn set(&self, entry: &str) -> String {
        self.logged(&format!("set {entry}: "), |line| line.contains(&format!("set {entry}: Ok("))).await
    }

    /// Waits until the plugin has logged a due time.
    async fn told(&self, text: &str) -> String {
        self.logged(text, |line| line.contains(&format!("due {text}"))).await
    }

    async fn logged(&self, what: &str, mut is_it: impl FnMut(&str) -> bool) -> String {
        let pick = |line: &str| is_it(line).then(|| line.to_owned());
        self.host.log().wait(what, &mut Mark::default(), SOON, pick).await.unwrap()
    }

    /// Returns the number of due times of a schedule that the plugin got since the host started.
    fn times(&self, name: &str) -> usize {
        let due = format!("due {name} ");
        self.host.log().all().iter().filter(|line| line.contains(&due)).count()
    }

    async fn does(&self, arguments: &[&str]) -> String {
        let finished = self.home.run(arguments).await.unwrap();
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        finished.stdout
    }

    async fn stop(&mut self) {
        self.host.stop(SOON).await.unwrap();
    }

    /// Sets the clock forward by this total number of seconds while the host is down.
    async fn stop_until(&mut self, seconds: i64) {
        self.stop().await;
        std::fs::write(&self.clock, seconds.to_ne_bytes()).unwrap();
        self.host = open(&self.home).await;
    }
}

fn install(home: &Home, secret: &toml::Table, sets: &str) {
    install_bytes(home, secret, sets, &plugins::built("receiver").unwrap().bytes().unwrap());
}

fn install_bytes(home: &Home, secret: &toml::Table, sets: &str, bytes: &[u8]) {
    let installed = home.install_bytes("receiver", bytes).unwrap();
    let installed = installed.grant_whole("storage").grant_whole("webhooks.receive").set("secret", secret.clone());
    home.set_policy(&Policy::default().with("receiver", installed.set("sets", sets))).unwrap();
}

/// Starts the host, and waits until its plugin runs.
async fn open(home: &Home) -> Host {
    let host = home.start().unwrap();
    host.wait_count("plugin running", &[], 1, SOON).await.unwrap();
    host
}

/// Row 148: it is over when its handler has returned, whatever comes then.
#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_is_told_once_also_after_a_restart() {
    let mut house = House::start().await;
    let due = in_seconds(5);
    house.sets(&format!("at once {due} 1")).await;
    house.told("once 1 1 missed 0").await;
    house.stop_until(0).await;
    // The time has passed: nothing was set.
    assert!(house.set(&format!("at once {due} 1")).await.contains("false"));
    house.sets(&format!("at other {} 1", in_seconds(5))).await;
    house.told("other 1 1 missed 0").await;
    assert_eq!(house.times("once"), 0);
    house.stop().await;
}

/// Row 148: what was missed while the host did not run, as `catch-up` says.
#[tokio::test(flavor = "multi_thread")]
async fn missed_due_times_are_told_as_many_as_the_plugin_wants() {
    let mut house = House::start().await;
    let late = format!("at late {} 1", in_seconds(HOUR));
    let all = [late.as_str(), "every tick 3600000 1", "every none 3600000 0", "every three 3600000 3"].join(";");
    house.sets(&all).await;
    house.stop_until(11 * HOUR / 2).await;
    let told = house.told("late 1 1 missed 0").await;
    let (_, lateness) = told.split_once(" missed 0 late ").unwrap();
    let lateness: i64 = lateness.split(' ').next().unwrap().parse().unwrap();
    // It was due four and a half hours before, and the test has taken some time since.
    let least = 9 * HOUR / 2 * 1_000;
    assert!((least..least + 600_000).contains(&lateness), "{told}");
    house.told("tick 1 1 missed 4").await;
    house.told("three 1 1 missed 2").await;
    let mut others = 0;
    let is_last = |line: &str| {
        others += usize::from(line.contains("due three 1 1 missed 0"));
        others == 2
    };
    house.logged("the last of three", is_last).await;
    assert_eq!((house.times("late"), house.times("tick"), house.times("none")), (1, 1, 0));
    // From then on as before.
    house.stop_until(6 * HOUR - 10).await;
    house.told("none 1 1 missed").await;
    house.told("tick 1 1 missed 0").await;
    assert_eq!(house.times("late"), 0);
    house.stop().await;
}

/// Row 148: a clock that was ten days ahead, and was set right.
#[tokio::test(flavor = "multi_thread")]
async fn schedules_follow_a_clock_that_was_far_ahead_and_was_set_back() {
    let mut house = House::start().await;
    house.sets("every tick 3600000 1").await;
    house.stop_until(240 * HOUR).await;
    house.told("tick 1 1 missed 239").await;
    // The plugin runs again, long before that due time, and shortly before another one.
    house.stop_until(2 * HOUR - 20).await;
    house.told("tick 1 1 missed 0").await;
    assert_eq!(house.times("tick"), 1);
    house.stop().await;
}

/// Row 148: it is told again after a failure, and then it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_whose_handler_fails_is_told_again() {
    let house = House::start().await;
    for name in ["fail-once", "panic-once"] {
        house.sets(&format!("at {name} {} 1", in_seconds(5))).await;
        house.told(&format!("{name} 1 1 missed 0")).await;
        house.told(&format!("{name} 2 2 missed 0")).await;
    }
    house.sets(&format!("at after {} 1", in_seconds(5))).await;
    house.told("after 1 1").await;
    assert_eq!((house.times("fail-once"), house.times("panic-once")), (2, 2));
}

/// Row 148: a host that is killed in the middle of a handler tells it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_whose_handler_is_cut_off_by_a_kill_is_told_again() {
    let mut house = House::start().await;
    house.sets(&format!("at wait-once {} 1", in_seconds(5))).await;
    house.told("wait-once 1 1 missed 0").await;
    house.host.signal(Signal::Kill).unwrap();
    house.host.ended(SOON).await.unwrap();
    house.host = open(&house.home).await;
    house.logged("the second time", |line| line.contains("due wait-once ") && line.contains(" 2 missed 0")).await;
    house.stop().await;
}

/// Row 148: the owner sees the schedules, and pauses them.
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_the_owner_paused_is_not_told_until_it_goes_on() {
    let mut house = House::start().await;
    house.sets("every tick 3600000 1;every other 3600000 1").await;
    for shown in [
        house.does(&["plugin", "schedules", "receiver"]).await,
        house.does(&["plugin", "schedules", "receiver", "--json"]).await,
    ] {
        assert!(shown.contains("tick") && shown.contains("other"), "{shown}");
    }
    house.does(&["plugin", "schedules", "receiver", "--pause", "tick"]).await;
    // The plugin cannot undo it: the name stays paused, whatever it does.
    house.sets("cancel tick - 0").await;
    let shown = house.does(&["plugin", "schedules", "receiver"]).await;
    assert!(shown.lines().any(|line| line.starts_with("tick ") && line.contains("not set now")), "{shown}");
    house.sets("every other 3600000 1;every tick 3600000 2").await;
    house.stop_until(3 * HOUR / 2).await;
    house.told("other 1 1").await;
    assert_eq!(house.times("tick"), 0);
    house.does(&["plugin", "schedules", "receiver", "--resume", "tick"]).await;
    house.stop_until(5 * HOUR / 2).await;
    house.told("tick 1 1").await;
    for what in ["--pause", "--resume"] {
        let refused = house.home.run(&["plugin", "schedules", "receiver", what, "nosuch"]).await.unwrap();
        assert_eq!(refused.code, Some(1), "{refused:?}");
    }
    let typo = house.home.run(&["plugin", "schedules", "receiver", "--pause", "tcik"]).await.unwrap();
    assert!(typo.stderr.contains("did you mean \"tick\"?"), "{typo:?}");
    house.stop().await;
}

/// Row 147: schedules stay when a plugin is removed, and go with its data.
#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_removed_with_the_plugins_data() {
    const TICK: &str = "every tick 3600000 1";
    let mut house = House::start().await;
    let first = due_in(&house.sets(TICK).await);
    for (removal, is_kept) in [(&["--yes"][..], true), (&["--yes", "--with-data"][..], false)] {
        house.stop().await;
        house.does(&[&["plugin", "remove", "receiver"], removal].concat()).await;
        install(&house.home, &house.secret, TICK);
        house.host = open(&house.home).await;
        let next = due_in(&house.set(TICK).await);
        assert_eq!(next == first, is_kept, "{first} and then {next}");
    }
    house.stop().await;
}

/// Row 147: schedules go on when their plugin is updated, and the new version, which sets none itself, is told of them.
#[tokio::test(flavor = "multi_thread")]
async fn schedules_survive_an_update_of_their_plugin() {
    let mut house = House::start().await;
    house.sets("every paused 3600000 1;every tick 3600000 1").await;
    house.does(&["plugin", "schedules", "receiver", "--pause", "paused"]).await;
    let shown = house.does(&["plugin", "schedules", "receiver", "--json"]).await;
    let before: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(before[0]["schedules"].as_array().map(Vec::len), Some(2), "{before}");

    let version = |text: &str| text.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1);
    let bytes = plugins::built("receiver").unwrap().bytes().unwrap();
    install_bytes(&house.home, &house.secret, "", &with_manifest(&bytes, version).unwrap());
    house.does(&["reload"]).await;
    let status = house.does(&["status", "--json"]).await;
    assert!(status.contains("0.2.0"), "{status}");
    let shown = house.does(&["plugin", "schedules", "receiver", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), before, "each with its time, and whether it is paused");
    house.stop_until(3 * HOUR / 2).await;
    house.told("tick 1 1").await;
    assert_eq!(house.times("paused"), 0);
    house.stop().await;
}

/// Returns the time in a line about a schedule that was set.
fn due_in(line: &str) -> Timestamp {
    let (_, time) = line.split_once("Ok(\\\"").unwrap_or_else(|| panic!("{line}"));
    time.split_once('\\').unwrap().0.parse().unwrap()
}
