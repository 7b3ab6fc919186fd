//! Tests of the audit: retention, removal, and refusals.

use std::time::{Duration, Instant};

use parlor_base::id::Digest;
use rusqlite::Connection;

use super::*;

const NOON: i64 = 20_000 * tallies::DAY + tallies::DAY / 2;

fn file() -> Connection {
    super::super::file::in_memory()
}

fn entry(what: &str) -> NewAuditEntry {
    NewAuditEntry::new(AuditKind::Grant, &By::user(7, "parlor plugin grant"), what)
}

fn of_plugin(plugin: &str, what: &str) -> NewAuditEntry {
    NewAuditEntry { plugin: Some(plugin.to_owned()), share: Share::Plugin, ..entry(what) }
}

fn all(file: &Connection) -> Vec<AuditEntry> {
    entries::read(file, &AuditQuery { most: 1_000_000, ..AuditQuery::default() }).unwrap()
}

fn whats(file: &Connection) -> Vec<String> {
    all(file).into_iter().map(|entry| entry.what).collect()
}

#[test]
fn entries_are_found_by_what_they_are_about() {
    let file = file();
    let first = NewAuditEntry { plugin: Some("echo".to_owned()), old: Some("a".to_owned()), ..entry("one") };
    let second = NewAuditEntry { kind: AuditKind::Login, account: Some("main".to_owned()), ..entry("two") };
    add_all(&Edit::on(&file), NOON, &[first], Retention::default()).unwrap();
    add_all(&Edit::on(&file), NOON + 9, &[second, entry("three\n")], Retention::default()).unwrap();
    let found = |query: AuditQuery| {
        let found = entries::read(&file, &AuditQuery { most: 9, ..query }).unwrap();
        found.into_iter().map(|entry| entry.what).collect::<Vec<_>>()
    };
    let any = AuditQuery::default;
    assert_eq!(found(any()), ["one", "two", "three\\u{a}"]);
    assert_eq!(found(AuditQuery { plugin: Some("echo".to_owned()), ..any() }), ["one"]);
    assert_eq!(found(AuditQuery { account: Some("main".to_owned()), ..any() }), ["two"]);
    assert_eq!(found(AuditQuery { since: Some(NOON + 1), ..any() }), ["two", "three\\u{a}"]);
    assert_eq!(found(AuditQuery { kinds: vec![AuditKind::Login, AuditKind::Cut], ..any() }), ["two"]);
    assert_eq!(found(AuditQuery { after: Some(1), ..any() }), ["two", "three\\u{a}"]);
    let last = entries::read(&file, &AuditQuery { most: 1, ..any() }).unwrap();
    assert_eq!(last[0].what, "three\\u{a}");
    let next = entries::read(&file, &AuditQuery { most: 1, after: Some(1), ..any() }).unwrap();
    assert_eq!(next[0].what, "two");
    let page = entries::read(&file, &AuditQuery { most: 1, before: Some(3), ..any() }).unwrap();
    assert_eq!(page[0].what, "two", "the last one before that");
    assert_eq!(found(AuditQuery { after: Some(1), before: Some(3), ..any() }), ["two"]);
}

#[test]
fn an_edit_has_the_path_of_its_file_beside_the_author_and_another_entry_has_none() {
    let file = file();
    let edited =
        |path: &str| NewAuditEntry { by: By::file("plugins.toml", Path::new(path), "read again"), ..entry("x") };
    let entries = [edited("/srv/one/plugins.toml"), edited("/srv/a\nb/plugins.toml"), entry("y")];
    add_all(&Edit::on(&file), NOON, &entries, Retention::default()).unwrap();
    let found = all(&file);
    let found: Vec<_> = found.iter().map(|entry| (entry.who.as_str(), entry.file.as_deref())).collect();
    let expected = [
        ("file:plugins.toml", Some("/srv/one/plugins.toml")),
        ("file:plugins.toml", Some("/srv/a\\u{a}b/plugins.toml")),
        ("uid:7", None),
    ];
    assert_eq!(found, expected);
    assert!(By::file("plugins.toml", Path::new("plugins.toml"), "x").file.unwrap().is_absolute());
}

#[test]
fn values_that_differ_after_they_are_cut_are_told_apart_by_their_digests() {
    let file = file();
    let scope = |last: &str| "juliet@example.org, ".repeat(300) + last;
    let (old, new) = (scope("a@example.org"), scope("*"));
    let grant = NewAuditEntry { old: Some(old.clone()), new: Some(new.clone()), ..entry("messages.send") };
    add_all(&Edit::on(&file), NOON, &[grant], Retention::default()).unwrap();
    let kept = all(&file);
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    for (value, kept) in [(old, &kept.old), (new, &kept.new)] {
        let (kept, digest) = (kept.as_deref().unwrap(), Digest::of(value.as_bytes()));
        assert!(kept.len() < 4_200 && kept.ends_with(&format!("… {digest}")), "{kept}");
    }
}

#[test]
fn sentences_are_kept_with_their_entry_and_go_with_it() {
    let file = file();
    let said = vec!["Reads everything.".to_owned(), "High\nrisk".to_owned()];
    add_all(&Edit::on(&file), NOON, &[NewAuditEntry { said, ..entry("one") }, entry("two")], Retention::default())
        .unwrap();
    let said = |file: &Connection| all(file).into_iter().map(|entry| entry.said).collect::<Vec<_>>();
    assert_eq!(said(&file), [vec!["Reads everything.".to_owned(), "High\\u{a}risk".to_owned()], Vec::new()]);
    let error = file.execute("UPDATE audit_said SET text = 'nothing'", []).unwrap_err().to_string();
    assert!(error.contains("entries of the audit do not change"), "{error}");
    // They are bounded, and count.
    let long = NewAuditEntry { said: vec!["x".repeat(9_000); 100], ..entry("long") };
    add_all(&Edit::on(&file), NOON, &[long], Retention::default()).unwrap();
    let size = || file.query_row("SELECT bytes FROM audit_size", [], |row| row.get::<_, i64>(0)).unwrap();
    let bytes: usize = said(&file).iter().flatten().map(String::len).sum();
    assert!(bytes < 40 << 10 && size() > i64::try_from(bytes).unwrap(), "{bytes} of {}", size());
    let small = Retention { bytes: 500, ..Retention::default() };
    add_all(&Edit::on(&file), NOON, &[entry("three")], small).unwrap();
    let kept: i64 = file.query_row("SELECT count(*) FROM audit_said", [], |row| row.get(0)).unwrap();
    assert_eq!((whats(&file).contains(&"long".to_owned()), kept), (false, 0));
}

#[test]
fn starts_and_ends_of_a_plugin_displace_nothing_else() {
    let file = file();
    let run = |number: usize| NewAuditEntry { share: Share::Runs, ..of_plugin("echo", &format!("run {number}")) };
    add_all(&Edit::on(&file), NOON, &[of_plugin("echo", "failed")], Retention::default()).unwrap();
    let many: Vec<_> = (0..2_500).map(run).collect();
    add_all(&Edit::on(&file), NOON, &many, Retention::default()).unwrap();
    let kept = whats(&file);
    assert!(kept.contains(&"failed".to_owned()) && kept.contains(&"run 2499".to_owned()));
    assert!(kept.len() <= 1_002, "{}", kept.len());
}

#[test]
fn no_entry_is_changed() {
    let file = file();
    add_all(&Edit::on(&file), NOON, &[entry("one")], Retention::default()).unwrap();
    let error = file.execute("UPDATE audit_entry SET what = 'another'", []).unwrap_err().to_string();
    assert!(error.contains("entries of the audit do not change"), "{error}");
    assert_eq!(whats(&file), ["one"]);
}

/// The cut says how many went. It happens once a day at most, since it adds an entry itself.
#[test]
fn entries_that_are_too_old_go() {
    let file = file();
    let retention = Retention { days: 10, ..Retention::default() };
    for day in 0..5 {
        add_all(&Edit::on(&file), NOON + day * tallies::DAY, &[entry(&day.to_string())], retention).unwrap();
    }
    add_all(&Edit::on(&file), NOON + 11 * tallies::DAY, &[entry("11")], retention).unwrap();
    assert_eq!(whats(&file), ["0", "1", "2", "3", "4", "11"]);
    add_all(&Edit::on(&file), NOON + 12 * tallies::DAY, &[entry("12")], retention).unwrap();
    assert_eq!(whats(&file), ["2", "3", "4", "11", "12", "2 entries were removed"]);
    let cut = all(&file).pop().unwrap();
    assert_eq!((cut.kind.as_str(), cut.who.as_str(), cut.way.as_str()), ("cut", "host", "older than 10 d"));
}

/// The number of days from `NOON` to a clock that is ahead.
const AHEAD: i64 = 5_000;
const HOUR: Duration = Duration::from_hours(1);

/// Adds an entry as a host does: this many days after `NOON` by its clock, at this moment.
fn add_as_host(file: &Connection, shared: &SharedAudit, (days, moment): (i64, Instant), what: &str) {
    let at = NOON + days * tallies::DAY;
    let retention = shared.retention_at(at, moment);
    add_all(&Edit::on(file), at, &[entry(what)], retention).unwrap();
}

/// A clock that is ahead when the host starts, or is set ahead meanwhile, does not erase the audit, nor does the entry that
/// it left keep the next ones for ever.
#[test]
fn a_clock_that_is_ahead_erases_nothing_and_its_entries_keep_no_others() {
    let (file, start) = (file(), Instant::now());
    let host = |days: i64| {
        let host = SharedAudit::new(NOON + days * tallies::DAY, start);
        host.keep(Retention { days: 10, ..Retention::default() });
        host
    };
    let first = host(0);
    add_as_host(&file, &first, (0, start), "0");
    add_as_host(&file, &first, (AHEAD, start + 5 * HOUR), "set ahead");
    add_as_host(&file, &first, (AHEAD, start + 5 * HOUR), "still ahead");
    add_as_host(&file, &host(AHEAD), (AHEAD, start), "started ahead");
    add_as_host(&file, &host(AHEAD), (AHEAD, start + HOUR / 2), "for half an hour");
    let kept = ["0", "set ahead", "still ahead", "started ahead", "for half an hour"];
    assert_eq!(whats(&file), kept);
    // The clock is right again.
    let days = |days: u32| start + 24 * days * HOUR;
    let right = host(0);
    add_as_host(&file, &right, (2, days(2)), "2");
    assert_eq!(whats(&file).len(), 6);
    add_as_host(&file, &right, (12, days(12)), "12");
    assert_eq!(whats(&file), [&kept[1..], &["2", "12", "1 entry was removed"]].concat());
    add_as_host(&file, &right, (14, days(14)), "14");
    let later = ["12", "1 entry was removed", "14", "5 entries were removed"];
    assert_eq!(whats(&file), later, "entries from the future go with the next one");
    // Once a day is enough, and each write costs little then.
    assert_eq!(right.retention_at(NOON + 14 * tallies::DAY, days(14)).days, shared::ANY_AGE);
    assert_eq!(right.retention_at(NOON + 15 * tallies::DAY, days(15)).days, 10);
}

/// An entry that is too young by its number is not removed because the clock was behind when it was made.
#[test]
fn an_entry_from_the_past_stays_with_its_neighbours() {
    let (file, retention) = (file(), Retention { days: 10, ..Retention::default() });
    for (day, what) in [(0, "0"), (11, "11"), (-20_000, "behind"), (12, "12")] {
        add_all(&Edit::on(&file), NOON + day * tallies::DAY, &[entry(what)], retention).unwrap();
    }
    assert_eq!(whats(&file), ["11", "behind", "12", "1 entry was removed"]);
}

#[test]
fn a_clock_that_is_ahead_adds_no_counts_up() {
    let start = Instant::now();
    let shared = SharedAudit::new(NOON, start);
    let ahead = NOON + AHEAD * tallies::DAY;
    assert_eq!(shared.first_day_at(ahead, start + 5 * HOUR), None, "it was set ahead");
    assert_eq!(shared.first_day_at(NOON, start + 5 * HOUR), None, "it was set back");
    assert_eq!(shared.first_day_at(NOON, start + 6 * HOUR), Some(20_000 - i64::from(DAYS)));
    assert_eq!(shared.first_day_at(NOON, start + 7 * HOUR), None, "once a day");
    let shared = SharedAudit::new(ahead, start);
    assert_eq!(shared.first_day_at(ahead, start), None, "it was ahead at the start");
}

#[test]
fn all_entries_together_have_a_bound_and_those_that_nobody_decided_go_first() {
    let file = file();
    let retention = Retention { bytes: 100 << 10, ..Retention::default() };
    let size = |file: &Connection| file.query_row("SELECT bytes FROM audit_size", [], |row| row.get::<_, i64>(0));
    add_all(&Edit::on(&file), NOON, &[entry("mine")], retention).unwrap();
    let long = "x".repeat(1_000);
    for _ in 0..200 {
        add_all(&Edit::on(&file), NOON, &[of_plugin("echo", &long)], retention).unwrap();
        assert!(size(&file).unwrap() <= (100 << 10) + 1_024);
    }
    assert_eq!(whats(&file)[0], "mine");
    assert!(all(&file).iter().any(|entry| entry.way == "more than 100 KiB"), "{:?}", whats(&file));
    for _ in 0..200 {
        add_all(&Edit::on(&file), NOON, &[entry(&long)], retention).unwrap();
    }
    assert!(!whats(&file).contains(&"mine".to_owned()), "decisions go as well, if there is nothing else");
    let sum: i64 = file.query_row("SELECT sum(bytes) FROM audit_entry", [], |row| row.get(0)).unwrap();
    assert_eq!(size(&file).unwrap(), sum);
}

/// A thousand entries of a plugin can be larger than all entries together may be.
#[test]
fn a_plugin_with_large_entries_displaces_its_own_alone() {
    let file = file();
    let retention = Retention { bytes: 1 << 20, ..Retention::default() };
    let log_in = NewAuditEntry { account: Some("main".to_owned()), share: Share::Connection, ..entry("log-in") };
    let mut others = vec![entry("mine"), log_in, of_plugin("other", "failed")];
    add_all(&Edit::on(&file), NOON, &others, retention).unwrap();
    let long = Some("x".repeat(4 << 10));
    let setting = NewAuditEntry { old: long.clone(), new: long, ..of_plugin("echo", "setting") };
    for _ in 0..500 {
        add_all(&Edit::on(&file), NOON, std::slice::from_ref(&setting), retention).unwrap();
    }
    let kept = whats(&file);
    assert_eq!(kept[..3], ["mine", "log-in", "failed"]);
    assert!(kept.iter().filter(|what| *what == "setting").count() > 50, "{kept:?}");
    assert!(kept.iter().any(|what| what.ends_with("entries were removed")), "{kept:?}");
    let decisions: i64 =
        file.query_row("SELECT count(*) FROM audit_entry WHERE share = ''", [], |row| row.get(0)).unwrap();
    assert_eq!(decisions, 1, "entries about cuts take up no room of decisions");
    // The largest share is cut no further than the next one, which keeps everything.
    others = vec![NewAuditEntry { plugin: Some("other".to_owned()), ..setting.clone() }; 50];
    add_all(&Edit::on(&file), NOON, &others, retention).unwrap();
    for _ in 0..200 {
        add_all(&Edit::on(&file), NOON, std::slice::from_ref(&setting), retention).unwrap();
    }
    let of = |plugin: &str| all(&file).iter().filter(|entry| entry.plugin.as_deref() == Some(plugin)).count();
    assert!(of("other") == 51 && of("echo") >= 50, "{} and {}", of("other"), of("echo"));
}

#[test]
fn a_plugin_displaces_its_own_entries_alone() {
    let file = file();
    let neighbour = [entry("mine"), of_plugin("other", "its")];
    add_all(&Edit::on(&file), NOON, &neighbour, Retention::default()).unwrap();
    for number in 0..2_500 {
        add_all(&Edit::on(&file), NOON, &[of_plugin("echo", &number.to_string())], Retention::default()).unwrap();
    }
    let kept = all(&file);
    let of_echo = kept.iter().filter(|entry| entry.plugin.as_deref() == Some("echo")).count();
    assert!(of_echo <= usize::try_from(entries::MOST_OF_SHARE).unwrap() + 1, "{of_echo}");
    assert_eq!([kept[0].what.as_str(), kept[1].what.as_str()], ["mine", "its"]);
    let cut = kept.iter().find(|entry| entry.kind == "cut").unwrap();
    assert_eq!((cut.plugin.as_deref(), cut.way.as_str()), (Some("echo"), "at most 1000 of plugin echo"));
}

/// Otherwise a customer could have the audit forget what happened, by changes without end.
#[test]
fn somebody_who_has_some_accounts_displaces_the_own_entries_alone() {
    let file = file();
    let of = |is_of_some: bool, what: &str| {
        let by = By::session(7, "quiet-otter", None).of_some(is_of_some);
        NewAuditEntry { account: Some("red".to_owned()), ..NewAuditEntry::new(AuditKind::Account, &by, what) }
    };
    let of_plugin = NewAuditEntry { account: None, plugin: Some("echo".to_owned()), ..of(true, "of the plugin") };
    let others = [
        of(false, "of the host"),
        NewAuditEntry { account: Some("blue".to_owned()), ..of(true, "of blue") },
        of_plugin,
    ];
    add_all(&Edit::on(&file), NOON, &others, Retention::default()).unwrap();
    for number in 0..2_500 {
        add_all(&Edit::on(&file), NOON, &[of(true, &number.to_string())], Retention::default()).unwrap();
    }
    let kept = whats(&file);
    assert!(kept.len() <= usize::try_from(entries::MOST_OF_SHARE).unwrap() + 4, "{}", kept.len());
    assert_eq!(kept[..3], ["of the host", "of blue", "of the plugin"]);
    assert!(all(&file).iter().any(|entry| entry.way == "at most 1000 of changes of red"));
}

#[test]
fn a_change_of_the_policy_is_recorded_by_whoever_comes_first() {
    let file = file();
    let change = |was: Option<&str>, is: &str, who: u32| PolicyChange {
        row: PolicyRow {
            plugin: "echo".to_owned(),
            field: "accounts".to_owned(),
            mark: is.to_owned(),
            shown: Some(is.to_owned()),
        },
        is_gone: false,
        was: was.map(str::to_owned),
        entry: Some(NewAuditEntry { by: By::user(who, "x"), ..entry("accounts") }),
    };
    let record =
        |change: PolicyChange| policy::record(&Edit::on(&file), NOON, &[change], Retention::default()).unwrap();
    assert_eq!(record(change(None, "main", 1)), 1);
    assert_eq!(record(change(None, "main", 2)), 0);
    assert_eq!(record(change(Some("main"), "all", 3)), 2);
    assert_eq!(record(PolicyChange { is_gone: true, ..change(Some("all"), "all", 4) }), 3);
    assert!(policy::read(&file, None).unwrap().is_empty());
    assert_eq!(all(&file).iter().map(|entry| entry.who.as_str()).collect::<Vec<_>>(), ["uid:1", "uid:3", "uid:4"]);
}

#[test]
fn fields_of_the_configuration_are_kept_beside_those_of_the_policy() {
    let file = file();
    let change = |plugin: &str| PolicyChange {
        row: PolicyRow {
            plugin: plugin.to_owned(),
            field: "days".to_owned(),
            mark: "1".to_owned(),
            shown: Some("1".to_owned()),
        },
        is_gone: false,
        was: None,
        entry: None,
    };
    let changes = ["", "echo", CONFIGURATION].map(change);
    assert_eq!(policy::record(&Edit::on(&file), NOON, &changes, Retention::default()).unwrap(), 0);
    let plugins = |plugin| {
        let rows = policy::read(&file, plugin).unwrap();
        rows.into_iter().map(|row| row.plugin).collect::<Vec<_>>()
    };
    assert_eq!(plugins(None), ["", "echo"]);
    assert_eq!(plugins(Some("echo")), ["echo"]);
    assert_eq!(plugins(Some(CONFIGURATION)), [CONFIGURATION]);
}

fn activity(name: &str, count: u64, whom: &[(&str, i64)]) -> Activity {
    let tally = |(what, at): &(&str, i64)| Tally {
        kind: TallyKind::Recipient,
        what: (*what).to_owned(),
        first: *at,
        last: *at,
        count: 2,
        traffic: None,
    };
    Activity {
        plugin: "echo".to_owned(),
        account: "main".to_owned(),
        counts: vec![(name.to_owned(), count)],
        tallies: whom.iter().map(tally).collect(),
    }
}

#[test]
fn counts_are_kept_by_day_and_added_up_afterwards() {
    let file = file();
    for day in 1..=5 {
        tallies::count(&Edit::on(&file), day, &activity("sent", 10, &[("juliet@example.org", day * tallies::DAY)]))
            .unwrap();
    }
    let sum = |since| tallies::read(&file, Some("echo"), None, since).unwrap();
    assert_eq!(sum(None).0[0].count, 50);
    assert_eq!(sum(Some(4 * tallies::DAY)).0[0].count, 20);
    let (counts, whom) = sum(Some(5 * tallies::DAY + 1));
    assert_eq!((counts[0].count, whom.len()), (10, 1), "names are to the day, too");
    let (_, whom) = sum(None);
    assert_eq!((whom.len(), whom[0].count, whom[0].first, whom[0].last), (1, 10, tallies::DAY, 5 * tallies::DAY));
    tallies::add_up(&Edit::on(&file), 4).unwrap();
    assert_eq!(sum(None).0[0].count, 50);
    assert_eq!(sum(Some(1)).0[0].count, 50, "what is no longer kept by day");
    let rows: i64 = file.query_row("SELECT count(*) FROM audit_count", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 3);
    tallies::add_up(&Edit::on(&file), 6).unwrap();
    assert!(sum(None).1.is_empty(), "a name that was not seen for so long is no longer kept");
}

#[test]
fn a_plugin_has_a_bounded_number_of_names_and_another_keeps_its_own() {
    let file = file();
    let other = Activity { plugin: "other".to_owned(), ..activity("sent", 1, &[("romeo@example.org", 1)]) };
    tallies::count(&Edit::on(&file), 1, &other).unwrap();
    for number in 0..3 {
        let names: Vec<_> = (0..600).map(|one| format!("p{number}-{one}@example.org")).collect();
        let whom: Vec<_> = names.iter().map(|name| (name.as_str(), i64::from(number))).collect();
        tallies::count(&Edit::on(&file), 1, &activity("sent", 600, &whom)).unwrap();
    }
    let (counts, names) = tallies::read(&file, Some("echo"), None, None).unwrap();
    assert_eq!(names.len(), usize::try_from(MOST_TALLIES).unwrap());
    let forgotten = counts.iter().find(|count| count.name == "other recipients").unwrap();
    assert_eq!(forgotten.count, 2 * 800);
    assert_eq!(tallies::read(&file, Some("other"), None, None).unwrap().1.len(), 1);
}

#[test]
fn bytes_of_requests_add_up_also_in_a_file_of_before() {
    let file = file();
    file.execute_batch("ALTER TABLE audit_tally DROP COLUMN sent; ALTER TABLE audit_tally DROP COLUMN received")
        .unwrap();
    file.execute("INSERT INTO audit_tally VALUES ('echo', 'main', 'recipient', 'juliet@example.org', 1, 1, 1)", [])
        .unwrap();
    make_tables(&file).unwrap();
    make_tables(&file).unwrap();
    let request = |traffic| Tally {
        kind: TallyKind::Request,
        what: "GET https://example.org 2xx".to_owned(),
        first: 1,
        last: 2,
        count: 1,
        traffic: Some(traffic),
    };
    let tallies = vec![request(Traffic { sent: 1, received: 20 }), request(Traffic { sent: 0, received: u64::MAX })];
    tallies::count(&Edit::on(&file), 1, &Activity { tallies, ..activity("requests", 2, &[]) }).unwrap();
    tallies::count(&Edit::on(&file), 1, &activity("sent", 1, &[("juliet@example.org", 3)])).unwrap();
    let (_, kept) = tallies::read(&file, Some("echo"), None, None).unwrap();
    let all: Vec<_> = kept.iter().map(|tally| (tally.kind.as_str(), tally.count, tally.traffic.is_some())).collect();
    assert_eq!(all, [("recipient", 3, false), ("request", 2, true)]);
    let most = u64::try_from(i64::MAX).unwrap();
    assert_eq!(kept[1].traffic, Some(Traffic { sent: 1, received: most }), "more is not counted");
}

/// As on a full disk. There are more than are written at a time.
#[tokio::test]
async fn entries_that_nobody_waits_for_are_written_later_if_their_write_fails() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let audit = store.audit();
    let kept = async || {
        let query = AuditQuery { most: 1_000, ..AuditQuery::default() };
        audit.entries(query).await.unwrap().into_iter().map(|entry| entry.what).collect::<Vec<_>>()
    };
    let numbers = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    audit.refuse_writes(true).await.unwrap();
    for number in 0..AT_ONCE + 44 {
        audit.put(entry(&number.to_string()));
    }
    // A job that is ordered meanwhile is done before the second answer.
    assert_eq!((kept().await.len(), kept().await.len()), (0, 0));
    audit.refuse_writes(false).await.unwrap();
    audit.retry();
    kept().await;
    assert_eq!(kept().await, numbers(AT_ONCE + 44));
    audit.refuse_writes(true).await.unwrap();
    audit.put(entry(&(AT_ONCE + 44).to_string()));
    kept().await;
    audit.refuse_writes(false).await.unwrap();
    audit.put(entry(&(AT_ONCE + 45).to_string()));
    kept().await;
    assert_eq!(kept().await, numbers(AT_ONCE + 46), "the next entry also brings the earlier one");
    store.close().await;
}
