//! Tests of replay: a copy that gets the records is equal to the file after each of them, whatever calls made them.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures_util::future::join_all;
use jid::{BareJid, FullJid};
use jiff::Timestamp;
use parlor_base::clock::Clock;
use parlor_session::position::{Archive, Position};
use parlor_session::router::OwnersPart;
use parlor_session::{Contact, KeepRoster, KeyChange, KeyKind, KnownKey, MessageKey, Secret, Way};
use parlor_stanza::types::{DeviceTrust, OmemoForm, RosterItem};
use parlor_xmpp::{Carrier, Left};
use proptest::prelude::*;
use rusqlite::params;
use rusqlite::types::Value;

use super::*;
use crate::edit::StoreFile;
use crate::log::tests::KeptLog;
use crate::record::{FORMAT, MOST_PARAMETERS, Recording};
use crate::*;

/// Refuses some writes in the middle of changes, after others were made.
const REFUSES: &str = "
CREATE TRIGGER refuses_data BEFORE INSERT ON plugin_data_size WHEN NEW.bytes % 4 = 2
BEGIN SELECT RAISE(ABORT, 'refused'); END;
CREATE TRIGGER refuses_requests BEFORE INSERT ON webhook_size WHEN NEW.bytes % 4 = 1
BEGIN SELECT RAISE(ABORT, 'refused'); END;
CREATE TRIGGER refuses_schedules BEFORE INSERT ON schedule WHEN NEW.catch_up = 3
BEGIN SELECT RAISE(ABORT, 'refused'); END;
CREATE TRIGGER refuses_rosters BEFORE INSERT ON roster_version WHEN NEW.version = 'v3'
BEGIN SELECT RAISE(ABORT, 'refused'); END;
CREATE TRIGGER refuses_sessions BEFORE INSERT ON omemo_session WHEN NEW.device = 3
BEGIN SELECT RAISE(ABORT, 'refused'); END;
CREATE TRIGGER refuses_tallies BEFORE INSERT ON audit_tally WHEN NEW.count = 3
BEGIN SELECT RAISE(ABORT, 'refused'); END;
";

/// Fills what is bounded only by large numbers.
const FILL: &str = "
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4098)
INSERT INTO room_position SELECT 'bot@example.org', 'a', 'r' || i || '@rooms.example.org', NULL, i, '[]' FROM n;
INSERT INTO audit_entry (at, kind, who, way, what, share, bytes) VALUES (1, 'run', 'host', 'x', 'y', '', 170);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
INSERT INTO audit_entry (at, kind, plugin, who, way, what, share, bytes)
SELECT 4102444800000, 'run', 'a', 'host', 'x', 'y', 'plugin a', 170 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
INSERT INTO audit_tally SELECT 'a', 'main', 'recipient', 'r' || i, 4102444800000, 4102444800000, 1, NULL, NULL FROM n;
INSERT INTO audit_count VALUES ('a', 'main', 'sent', 7, 1);
";

fn bot() -> BareJid {
    "bot@example.org".parse().unwrap()
}

fn person(number: u8) -> BareJid {
    format!("p{number}@example.org").parse().unwrap()
}

fn owner(number: u8) -> Owner {
    Owner { account: bot(), plugin: ["a", "b"][usize::from(number % 2)].parse().unwrap() }
}

/// A call of the store: which one, and two numbers that choose its arguments.
type Call = (u8, u8, i64);

/// The number of different calls.
const CALLS: u8 = 31;

/// A store with a log, and a copy that gets the records.
struct Pair {
    log: KeptLog,
    store: Store,
    copy: Connection,
    data: PluginData,
    roster: RosterKeeper,
    pins: PinKeeper,
    keys: EncryptionKeeper,
    /// The numbers of the statements that records had.
    seen: BTreeSet<u16>,
}

impl Pair {
    async fn new(prepared: &'static str) -> Self {
        let log = KeptLog::default();
        let mut original = StoreFile::new(file::logged_in_memory(), log.clone());
        let copy = file::logged_in_memory();
        for file in [original.unrecorded(), &copy] {
            file.execute_batch(prepared).unwrap();
        }
        let store = accounts::on_runtime(original);
        store.audit.trust_clock();
        let mut pins = PinKeeper::new(store.clone(), &bot());
        pins.load().await;
        Self {
            log,
            copy,
            data: store.data(Clock::Machine),
            roster: RosterKeeper::new(store.clone(), &bot()),
            pins,
            keys: EncryptionKeeper::new(store.clone(), &bot()),
            seen: BTreeSet::new(),
            store,
        }
    }

    /// Makes a call, and compares after each record.
    async fn make(&mut self, (which, one, number): Call) {
        match which {
            0..=4 => self.write(which, one, number).await,
            5..=11 => self.receive(which, one, number).await,
            12..=17 => self.schedule(which, one, number).await,
            18..=22 => self.proceed(which, one, number).await,
            23..=26 => self.note(which, one, number).await,
            27..=29 => self.audit(which, one, number).await,
            // Not plugin a, which has more rooms than are kept.
            _ => self.data.forget(owner(1)).await.unwrap(),
        }
        let original = self.store.run(|file| Ok(dump(file))).await.unwrap();
        let records = self.log.take();
        for (position, record) in &records {
            let statements = |statement, _: &[ValueRef<'_>]| {
                self.seen.insert(statement);
                Ok::<_, RecordError>(())
            };
            each(record.as_bytes(), statements).unwrap();
            replay_at(&mut self.copy, *position, record.as_bytes()).unwrap().unwrap();
        }
        assert_eq!(dump(&self.copy), original, "after {} records of {which}, {one}, {number}", records.len());
    }

    async fn write(&self, which: u8, one: u8, number: i64) {
        let set = |key: u8, number: i64, hours: i64| Write {
            key: format!("k{key}"),
            value: Some(vec![key; usize::try_from(number.max(0)).unwrap()]),
            expires: (hours != 0).then(|| Timestamp::now().as_millisecond() + hours * 3_600_000),
            only: Only::Always,
        };
        let quota = 1_500;
        match which {
            0 => drop(self.data.write(owner(one), quota, set(one, number, i64::from(one % 3) - 1)).await),
            1 => {
                let only = if one == 0 { Only::Always } else { Only::If(Some(vec![one; 3])) };
                let write = Write { value: None, only, ..set(one, 0, 0) };
                drop(self.data.write(owner(one), quota, write).await);
            }
            2 => {
                // They wait together, so that they are made together: the parts that fail as well.
                let (release, held) = std::sync::mpsc::channel::<()>();
                assert!(self.store.put(move |_| {
                    let _ = held.recv();
                    Ok(())
                }));
                let all = (0..7_u8).map(|key| {
                    let write = set(key, number + i64::from(key), i64::from(key % 3) - 1);
                    self.data.write(owner(key), quota, write)
                });
                let mut all = pin!(join_all(all));
                let _ = all.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                drop(release);
                drop(all.await);
            }
            3 => {
                let steps = [
                    Step::Add(Addition { key: format!("n{one}"), amount: number, expires: None }),
                    Step::Set { key: "k1".to_owned(), value: vec![7; usize::from(one)], expires: Some(number) },
                    Step::Delete(format!("k{one}")),
                ];
                drop(self.data.change(owner(one), quota, steps[..2 + usize::from(one % 2)].to_vec(), None).await);
            }
            _ => {
                // The sum is over the quota, so that what has expired goes first.
                for (key, hours) in [(1, -1), (2, -1), (3, 1)] {
                    drop(self.data.write(owner(one), quota, set(key, 400 + number % 50, hours)).await);
                }
                drop(self.data.write(owner(one), quota, set(4, 700, 0)).await);
            }
        }
    }

    async fn receive(&self, which: u8, one: u8, number: i64) {
        let webhooks = self.data.webhooks(owner(one));
        let last = webhooks.last(20).await.unwrap();
        let id = last.get(usize::try_from(number).unwrap() % 7).map_or(number, |request| request.id);
        let names = || vec!["w0".to_owned(), "w1".to_owned()];
        let request = WebhookRequest {
            webhook: format!("w{one}"),
            sender: "192.0.2.1".to_owned(),
            method: "POST".to_owned(),
            query: (one == 1).then(|| "a=b".to_owned()),
            path: (one == 2).then(|| "garden".to_owned()),
            headers: vec![("x".to_owned(), "y".to_owned())],
            body: vec![one; usize::try_from(number.max(0)).unwrap()],
        };
        let signature = Some([one; 32]);
        let acceptance = Acceptance { waits: true, once: None, most: 9, most_bytes: 2_000 };
        match which {
            5 => {
                let tokens = names().into_iter().map(|name| (name, number.to_string())).collect();
                drop(webhooks.tokens(tokens, one == 1).await);
            }
            6 => drop(webhooks.accept(request, acceptance).await),
            7 => drop(webhooks.accept(request, Acceptance { waits: false, once: signature, ..acceptance }).await),
            8 => {
                let states = [RequestState::Waits, RequestState::Told, RequestState::Answered(200)];
                drop(webhooks.note(id, 1, states[usize::from(one)]).await);
            }
            9 => drop(webhooks.take_back(id, format!("w{one}"), signature).await),
            10 => drop(webhooks.give_up_others(names()[..1].to_vec()).await),
            _ => drop(webhooks.replay(id, names()).await),
        }
    }

    async fn schedule(&self, which: u8, one: u8, number: i64) {
        let schedules = self.data.schedules(owner(one));
        let (name, id) = (format!("s{}", number % 3), number % 7);
        let timing = match one {
            0 => StoredTiming::Every(60_000),
            1 => StoredTiming::At(number),
            _ => StoredTiming::Cron { expression: "* * * * *".to_owned(), zone: "UTC".to_owned() },
        };
        let catch_up = u32::try_from(number.rem_euclid(4)).unwrap();
        match which {
            12 => drop(schedules.set(NewSchedule { name, timing, catch_up }, number, 2).await),
            13 => drop(schedules.cancel(name).await),
            14 => drop(schedules.begin(id, number, 2).await),
            15 => drop(schedules.leave_out(id, number, 3, one == 2).await),
            16 => {
                let over = |is_last| DueOutcome::Over { failed: number % 2 == 0, is_last };
                let outcome = [DueOutcome::Again(4), over(false), over(true)][usize::from(one)];
                drop(schedules.note(id, outcome).await);
            }
            _ => drop(schedules.pause(name, one == 1, number).await),
        }
    }

    async fn proceed(&mut self, which: u8, one: u8, number: i64) {
        let positions = self.data.positions(owner(one));
        let archive = if number % 2 == 0 { Archive::Own } else { Archive::Room(person(one)) };
        let keeper = positions.of(archive);
        match which {
            18 => {
                let up_to = Position { id: Some(number.to_string()), at: Timestamp::from_millisecond(number).unwrap() };
                keeper.keep(Handled { up_to, beyond: vec![one.to_string()] });
                keeper.load().await.unwrap();
            }
            19 => {
                keeper.forget();
                keeper.load().await.unwrap();
            }
            20 => drop(positions.rooms().await.unwrap()),
            21 => {
                let session = SessionKeeper::new(self.store.clone(), &bot());
                if number % 2 == 0 {
                    drop(session.take().await);
                } else {
                    let jid = FullJid::new("bot@example.org/bot").unwrap();
                    session.keep(Left { jid, id: number.to_string(), heard: 1, acknowledged: 2, location: None });
                }
            }
            _ => {
                let item = RosterItem {
                    jid: person(one),
                    name: Some(number.to_string()),
                    subscription: "both".to_owned(),
                    ask: false,
                    groups: vec!["g".to_owned()],
                };
                let (jid, contact) = (item.jid.clone(), Arc::new(Contact::new(item)));
                let version = format!("v{}", number % 5);
                self.roster.keep(match number % 7 {
                    0..=2 => KeepRoster::Changed { version: Some(version), contact },
                    3 => KeepRoster::Removed { version: None, jid },
                    4 => KeepRoster::Nothing,
                    _ => {
                        KeepRoster::Whole { version, contacts: BTreeMap::from([(jid, contact)]).into_iter().collect() }
                    }
                });
            }
        }
    }

    async fn note(&mut self, which: u8, one: u8, number: i64) {
        match which {
            23 => {
                self.pins.pins().set(Carrier::ALL.into_iter().take(usize::from(one)).collect());
                self.pins.keep();
            }
            24 => {
                let added = self.store.added_contacts(&bot());
                let groups = vec![number.to_string()];
                let part = OwnersPart { is_listed: number % 2 == 0, is_seen: number % 3 == 0, groups };
                drop(added.keep(&owner(one).plugin, &person(one), &part).await);
            }
            25 => {
                let plugin = owner(one).plugin;
                self.store.added_contacts(&bot()).forget((one > 0).then_some(&plugin), &person(one));
            }
            _ => {
                let from = usize::from(one) * 4;
                let changes = keys(u32::from(one) + 1, number).into_iter().skip(from).take(5).collect();
                self.keys.keep(changes);
                let _ = self.keys.written().await;
            }
        }
    }

    async fn audit(&self, which: u8, one: u8, number: i64) {
        let audit = self.store.audit();
        audit.keep(Retention { days: 9, bytes: [1 << 20, 1 << 20, 1_000][usize::from(one)] });
        let by = By::host("test");
        let share = [Share::Decisions, Share::Plugin, Share::Plugin][usize::from(one)];
        let what = "x".repeat(usize::try_from(number.max(0)).unwrap());
        let plugin = Some("a".to_owned());
        let said = if one == 1 { vec!["it may say x".to_owned()] } else { Vec::new() };
        let entry = NewAuditEntry { plugin, said, share, ..NewAuditEntry::new(AuditKind::Run, &by, &what) };
        match which {
            27 if one == 2 => audit.put(entry),
            27 => audit.add(vec![entry.clone(), entry]).await.unwrap(),
            28 => {
                let row = |mark: String| PolicyRow { plugin: "a".to_owned(), field: "f".to_owned(), mark, shown: None };
                let was = audit.policy().await.unwrap().pop().map(|row| row.mark);
                let change = PolicyChange { row: row(number.to_string()), is_gone: one == 2, was, entry: Some(entry) };
                audit.record(vec![change]).await.unwrap();
            }
            _ => {
                let count = u64::from(one) + 1;
                let traffic = (one == 1).then_some(Traffic { sent: 1, received: 2 });
                let tally = Tally { kind: TallyKind::Recipient, what, first: number, last: number, count, traffic };
                let (plugin, account) = ("a".to_owned(), "main".to_owned());
                let counts = vec![("sent".to_owned(), 3)];
                let all = vec![Activity { plugin, account, counts, tallies: vec![tally] }];
                drop(audit.count(Arc::new(all)).await);
            }
        }
    }
}

fn keys(device: u32, number: i64) -> Vec<KeyChange> {
    let secret = || Secret::new(number.to_be_bytes().to_vec());
    let (jid, form) = (person(1), OmemoForm::Current);
    let at = Timestamp::from_millisecond(number).unwrap();
    let known = KnownKey {
        jid: jid.clone(),
        kind: KeyKind::Omemo { device },
        fingerprint: number.to_string(),
        label: None,
        trust: DeviceTrust::Blind,
        first_seen: at,
        last_seen: at,
        is_listed: false,
    };
    let archived = |number: i64| (number % 4).to_string();
    let key = MessageKey { archived: archived(number), jid: jid.clone(), device, form, key: secret(), at };
    let session = |device, state| KeyChange::Session { jid: jid.clone(), device, form, state };
    vec![
        KeyChange::Device(secret()),
        KeyChange::Otr(Some(secret())),
        session(1, Some(secret())),
        session(device, Some(secret())),
        KeyChange::Key(known.clone()),
        KeyChange::MessageKey(key),
        KeyChange::Way(jid.clone(), Some(Way::Otr)),
        session(1, None),
        session(2, Some(secret())),
        KeyChange::Otr(None),
        KeyChange::NoKey(known),
        KeyChange::Way(jid.clone(), None),
        KeyChange::NoMessageKeys(vec![archived(number + 1), archived(number + 2)]),
    ]
}

/// Returns all rows of all tables, with their row numbers.
fn dump(file: &Connection) -> BTreeMap<String, Vec<Vec<Value>>> {
    let mut tables = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    tables
        .map(|table| {
            let table = table.unwrap();
            let numbered = file.prepare(&format!("SELECT rowid, * FROM \"{table}\" ORDER BY rowid"));
            let mut select = numbered.unwrap_or_else(|_| file.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap());
            let columns = select.column_count();
            let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
            let rows = select.query_map([], row).unwrap().map(Result::unwrap).collect();
            (table, rows)
        })
        .collect()
}

/// Applies a record, as the first one of the log.
fn replay(file: &mut Connection, record: &[u8]) -> rusqlite::Result<Result<(), RecordError>> {
    replay_at(file, LogPosition { token: 1, number: 1, revision: 1 }, record)
}

fn block_on<R>(future: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// A copy that gets the records is equal to the original after each call, also if parts of changes fail.
    #[test]
    fn a_copy_is_equal_after_each_call(
        calls in prop::collection::vec((0..CALLS, 0..3_u8, 0..400_i64), 1..40)
    ) {
        block_on(async {
            let mut pair = Pair::new(REFUSES).await;
            for call in calls {
                pair.make(call).await;
            }
        });
    }

    /// A record of a log that is broken or hostile changes nothing, or is another record.
    #[test]
    fn a_changed_record_is_refused_or_applied_whole(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), length in any::<prop::sample::Index>()
    ) {
        let record = some_record();
        let mut changed = record.clone();
        changed[at.index(record.len())] = byte;
        for hostile in [&changed[..], &record[..length.index(record.len())]] {
            let mut file = file::logged_in_memory();
            let before = dump(&file);
            if !matches!(replay(&mut file, hostile), Ok(Ok(()))) {
                assert_eq!(dump(&file), before, "{hostile:?}");
            }
        }
    }
}

/// Returns a record with several statements.
fn some_record() -> Vec<u8> {
    let mut recording = Recording::default();
    recording.add(data::PUT.number, params!["bot@example.org", "echo", "k", b"value", None::<i64>]).unwrap();
    recording.add(data::PUT.number, params!["bot@example.org", "echo", "other", b"value", 7]).unwrap();
    recording.add(data::DELETE.number, params!["bot@example.org", "echo", "k"]).unwrap();
    recording.take().unwrap().into_bytes()
}

/// Statements that are no longer executed. They stay for the records that have them.
const FORMER: [u16; 4] = [4, 20, 42, 52];

/// Also those calls that random ones reach too rarely, until all statements were in records.
#[test]
fn all_statements_are_recorded_and_replayed() {
    block_on(async {
        let mut pair = Pair::new(FILL).await;
        let mut left: BTreeSet<_> = ALL.iter().copied().flatten().map(|statement| statement.number).collect();
        left.retain(|number| !FORMER.contains(number));
        for round in 0..10 {
            for (which, one) in (0..CALLS).rev().flat_map(|which| (0..3).map(move |one| (which, one))) {
                pair.make((which, one, round * 3 + i64::from(one))).await;
            }
            left.retain(|number| !pair.seen.contains(number));
            if left.is_empty() {
                return;
            }
        }
        panic!("no record has the statements {left:?}");
    });
}

/// A record means the same for ever. If this fails because statements were added, the format needs a higher number. If one
/// was changed, give the new text a number of its own, and leave the old one.
#[test]
fn the_statements_of_a_format_never_change() {
    let file = file::in_memory();
    let (mut mark, mut count) = (0xcbf2_9ce4_8422_2325_u64, 0);
    let mut all: Vec<_> = ALL.iter().copied().flatten().collect();
    all.sort_by_key(|statement| statement.number);
    for statement in all {
        count += 1;
        assert_eq!(statement.number, count, "{}", statement.text);
        let prepared = file.prepare(statement.text).unwrap();
        assert!(!prepared.readonly() && prepared.parameter_count() <= MOST_PARAMETERS, "{}", statement.text);
        for byte in statement.text.split_whitespace().flat_map(str::bytes) {
            mark = (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!((FORMAT, count, mark), (5, 76, 0xa081_24f5_0c8f_728f), "{mark:#x}");
}

#[test]
fn a_record_of_a_newer_parlor_is_refused_and_changes_nothing() {
    let mut file = file::logged_in_memory();
    let before = dump(&file);
    let mut recording = Recording::default();
    recording.add(data::PUT.number, params!["bot@example.org", "echo", "k", b"value", None::<i64>]).unwrap();
    recording.add(9_999, params![]).unwrap();
    let newer = recording.take().unwrap();
    assert_eq!(replay(&mut file, newer.as_bytes()), Ok(Err(RecordError::Statement(9_999))));
    recording.add(data::PUT.number, params!["bot@example.org", "echo", "k", b"value", None::<i64>]).unwrap();
    recording.add(data::DELETE.number, params!["bot@example.org"]).unwrap();
    let other = recording.take().unwrap();
    let expected = RecordError::Parameters { statement: data::DELETE.number, found: 1 };
    assert_eq!(replay(&mut file, other.as_bytes()), Ok(Err(expected)));
    recording.add(data::PUT.number, params!["bot@example.org", "echo", "k", b"value", None::<i64>]).unwrap();
    recording.add(data::PUT.number, params![None::<i64>, "echo", "k", b"value", None::<i64>]).unwrap();
    let broken = recording.take().unwrap();
    replay(&mut file, broken.as_bytes()).unwrap_err();
    assert_eq!(dump(&file), before);
}
