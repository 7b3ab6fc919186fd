//! Accounts that go into the cluster and out of it, also when the command is killed between any two steps.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jid::BareJid;
use parlor_base::clock::Clock;
use parlor_cluster::{Claim, Cpu, Key, Session, SessionId, SessionState, Timing, Token, Value};
use parlor_session::{KeyChange, Secret};
use parlor_stanza::types::OmemoForm;
use parlor_store::{
    AccountFile, Accounts, Changed, DataFile, EncryptionKeeper, NewSchedule, Owner, Stage, Step as Change, Store,
    StoredTiming, StoredValue,
};
use tempfile::TempDir;

use super::proxy::Proxy;
use super::server::{KEY, LATER_KEY, Server, cluster, settings, with_keys};
use super::soon;
use crate::answer::{ANSWER, Last};
use crate::record::headers;
use crate::state::Decoded;
use crate::{
    AccountHost, Added, Away, AwayRow, Cluster, Export, ExportLook, Import, Kind, Link, LogError, Look, Looker,
    MoveError, Mover, NodeSettings, Permit, Record, Remover, Runner, State, StateError, Stores, Trouble, agree_on_keys,
    encrypt_remains_anew, examine, read_log,
};

fn bot() -> BareJid {
    "bot@example.org".parse().unwrap()
}

fn owner() -> Owner {
    Owner { account: bot(), plugin: "echo".parse().unwrap() }
}

/// A host that is stopped.
struct House {
    data: TempDir,
    mover: Mover,
}

impl House {
    async fn new(server: &Server) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mover = Mover::open(&settings(server.port()), &cluster(), Timing::default(), data.path()).await.unwrap();
        Self { data, mover }
    }

    /// Lets the host keep something of the account.
    async fn filled(server: &Server) -> Self {
        let house = Self::new(server).await;
        let store = Store::open(house.data.path()).unwrap();
        fill(&store).await;
        store.close().await;
        house
    }

    fn file(&self) -> DataFile {
        DataFile::create(self.data.path()).unwrap()
    }

    /// Imports the account, and ends after so many steps.
    async fn import(&self, steps: usize) -> Result<Import, MoveError> {
        soon(self.mover.import(&mut self.file(), &bot(), false, &mut after(steps))).await
    }

    async fn export(&self, steps: usize) -> Result<Export, MoveError> {
        soon(self.mover.export(&mut self.file(), &bot(), false, &mut after(steps))).await
    }

    /// Checks that the host has all of the account, and may run it.
    async fn has_all(&self) {
        assert!(self.may_run(), "{:?}", self.file().marks());
        let store = Store::open(self.data.path()).unwrap();
        has_all(&store).await;
        store.close().await;
    }

    fn may_run(&self) -> bool {
        self.file().mark(&bot()).unwrap().is_none_or(|mark| mark.stage.may_run())
    }

    fn stage(&self) -> Option<Stage> {
        self.file().mark(&bot()).unwrap().map(|mark| mark.stage)
    }

    fn rows(&self) -> u64 {
        self.file().rows_of(&bot()).unwrap()
    }
}

const ALL: usize = usize::MAX;

/// Breaks off after so many steps.
fn after(mut steps: usize) -> impl FnMut(crate::Step) -> ControlFlow<()> {
    move |_| {
        steps = steps.saturating_sub(1);
        if steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

async fn put(store: &Store, key: &str, value: &str) {
    let steps = vec![Change::Set { key: key.to_owned(), value: value.as_bytes().to_vec(), expires: None }];
    let made = store.data(Clock::Machine).change(owner(), 1 << 20, steps, None).await.unwrap();
    assert!(matches!(made, Changed::Made(_)));
}

async fn get(store: &Store, key: &str) -> Option<String> {
    let value = store.data(Clock::Machine).get(owner(), key.to_owned()).await.unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

async fn fill(store: &Store) {
    put(store, "greeting", "hello").await;
    let daily = NewSchedule { name: "daily".to_owned(), timing: StoredTiming::Every(60_000), catch_up: 1 };
    store.data(Clock::Machine).schedules(owner()).set(daily, 5, 9).await.unwrap().unwrap();
    let mut keeper = EncryptionKeeper::new(store.clone(), &bot());
    let state = Some(Secret::new(b"ratchet".to_vec()));
    let jid: BareJid = "juliet@example.org".parse().unwrap();
    keeper.keep(vec![
        KeyChange::Device(Secret::new(b"identity".to_vec())),
        KeyChange::Session { jid, device: 7, form: OmemoForm::Current, state },
    ]);
    assert!(keeper.written().await.is_kept);
}

async fn has_all(store: &Store) {
    assert_eq!(get(store, "greeting").await.as_deref(), Some("hello"));
    let schedules = store.data(Clock::Machine).schedules(owner()).all().await.unwrap();
    assert_eq!(schedules.iter().map(|one| (one.name.as_str(), one.id)).collect::<Vec<_>>(), [("daily", 1)]);
    let keys = EncryptionKeeper::new(store.clone(), &bot()).load().await.unwrap();
    assert_eq!(keys.device.as_deref(), Some(&b"identity"[..]));
    assert_eq!(keys.sessions.len(), 1);
}

/// The stores of a node, with a folder of its own.
async fn node(server: &Server) -> (Stores, TempDir) {
    let data = tempfile::tempdir().unwrap();
    let accounts = Accounts::start(data.path()).unwrap();
    (Stores::open(&server.link().await, &cluster(), accounts).await.unwrap(), data)
}

async fn state(link: &Link) -> State {
    State::open(link, &cluster(), Timing::default()).await.unwrap()
}

/// Does what a node does at its start.
async fn add(link: &Link) -> Added {
    soon(state(link).await.add(bot().as_str(), 1)).await.unwrap()
}

async fn looker(server: &Server, cluster: &Cluster) -> Looker {
    Looker::open(&settings(server.port()), cluster, Timing::default()).await.unwrap()
}

async fn remover(server: &Server) -> Remover {
    Remover::open(&settings(server.port()), &cluster(), Timing::default()).await.unwrap()
}

async fn records(link: &Link) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    soon(read_log(link, &cluster(), bot().as_str(), |record| records.push(record))).await.unwrap();
    records
}

async fn kinds(link: &Link) -> Vec<Kind> {
    records(link).await.iter().map(|record| record.kind).collect()
}

/// Returns how many snapshots there are, of any account.
async fn snapshots(link: &Link) -> usize {
    let objects = link.jetstream.get_object_store("PARLOR_c_SNAPSHOTS").await.unwrap();
    let objects: Vec<_> = objects.list().await.unwrap().collect().await;
    objects.into_iter().filter(|object| !object.as_ref().unwrap().deleted).count()
}

#[tokio::test]
async fn an_account_goes_in_and_out_with_all_that_it_kept() {
    let server = Server::start();
    let (one, two) = (House::filled(&server).await, House::new(&server).await);
    let link = server.link().await;
    let rows = one.rows();
    let looker = looker(&server, &cluster()).await;
    assert_eq!(looker.look(&one.file(), &bot(), false).await.unwrap(), Look::Move { rows, replaces: false });
    assert_eq!(one.import(ALL).await.unwrap(), Import::Moved { rows: Some(rows) });
    assert_eq!((one.rows(), one.stage()), (0, Some(Stage::Left)));
    assert_eq!(one.import(ALL).await.unwrap(), Import::Already);
    assert_eq!(add(&link).await, Added::Present);
    // Two nodes have it, one after the other, and the first one once more, with its file of before.
    let (first, _folder) = node(&server).await;
    let (second, _other) = node(&server).await;
    for (token, stores) in [(10, &first), (11, &second), (12, &first)] {
        let held = soon(stores.take_over(&bot(), Token(token))).await.unwrap();
        has_all(held.store()).await;
        put(held.store(), "count", &token.to_string()).await;
        soon(held.close()).await.unwrap();
    }
    // As a claim that was given up.
    let (standing, revision) = state(&link).await.standing(bot().as_str()).await.unwrap();
    assert_eq!(standing.next_token(), Token(2));
    assert_eq!(state(&link).await.away(bot().as_str()).await.unwrap(), None);
    state(&link).await.put_free(bot().as_str(), Token(12), 1, revision).await.unwrap();

    assert_eq!(two.export(ALL).await.unwrap(), Export::Moved { rows: Some(rows + 1) });
    two.has_all().await;
    assert_eq!(two.stage(), None);
    let store = Store::open(two.data.path()).unwrap();
    assert_eq!(get(&store, "count").await.as_deref(), Some("12"));
    store.close().await;
    assert_eq!((kinds(&link).await, snapshots(&link).await), (vec![Kind::Anew], 0), "nothing is left of it");
    assert_eq!(add(&link).await, Added::Away(Away::Exported), "no node runs it by its file");
    assert_eq!(state(&link).await.away(bot().as_str()).await.unwrap(), Some(Away::Exported));
    assert!(matches!(one.import(ALL).await, Err(MoveError::Gone { .. })));
    assert!(!one.may_run(), "it is at the other host");
    let third = House::new(&server).await;
    assert_eq!(third.import(ALL).await.unwrap(), Import::Nothing, "a host that has nothing of it does not take it");

    // And once more: the numbers of the log go on, so that the files on nodes count as old.
    assert_eq!(two.import(ALL).await.unwrap(), Import::Moved { rows: Some(rows + 1) });
    for (token, stores) in [(30, &second), (31, &first)] {
        let held = soon(stores.take_over(&bot(), Token(token))).await.unwrap();
        has_all(held.store()).await;
        assert_eq!(get(held.store(), "count").await.as_deref(), Some("12"));
        soon(held.close()).await.unwrap();
    }
}

/// Its connection stays open, and no answer comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_ends_if_nats_hangs_and_goes_on_when_it_is_run_again() {
    let server = Server::start();
    let proxy = Proxy::before(server.port()).await;
    let House { data, mover: _ } = House::filled(&server).await;
    let mover = Mover::open(&settings(proxy.port()), &cluster(), Timing::default(), data.path()).await.unwrap();
    let house = House { data, mover };
    let rows = house.rows();
    let mut hangs = |step: crate::Step| {
        if step == crate::Step::Reserved {
            proxy.set_deaf(true);
        }
        ControlFlow::Continue(())
    };
    let error = soon(house.mover.import(&mut house.file(), &bot(), false, &mut hangs)).await.unwrap_err();
    assert!(matches!(error, MoveError::Log(LogError::Silent { .. })), "{error}");
    proxy.set_deaf(false);
    // Once it is connected again.
    let done = soon(async {
        loop {
            if let Ok(done) = Box::pin(house.import(ALL)).await {
                break done;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(done.await, Import::Moved { rows: Some(rows) });
    assert_eq!((house.rows(), house.stage()), (0, Some(Stage::Left)));
}

/// The records before it are still there, and the file of a node goes on from them.
#[tokio::test]
async fn an_account_begins_anew_also_on_a_node_whose_file_leads_there() {
    let server = Server::start();
    let (house, (stores, _folder)) = (House::filled(&server).await, node(&server).await);
    let held = soon(stores.take_over(&bot(), Token(1))).await.unwrap();
    for key in ["greeting", "old"] {
        put(held.store(), key, "of before").await;
    }
    held.kill();
    let mut named = |step| if step == crate::Step::Named { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    soon(house.mover.import(&mut house.file(), &bot(), true, &mut named)).await.unwrap_err();
    let (other, _elsewhere) = node(&server).await;
    let link = server.link().await;
    assert!(kinds(&link).await.len() > 4, "nothing is removed yet");
    // No node would be given it. Those that had it must not go on from what they have.
    for (token, stores) in [(50, &stores), (51, &other), (52, &stores)] {
        let held = soon(stores.take_over(&bot(), Token(token))).await.unwrap();
        has_all(held.store()).await;
        assert_eq!(get(held.store(), "old").await, None);
        held.kill();
    }
}

/// As `parlor backup` and `parlor plugin data` do it.
#[tokio::test]
async fn an_account_is_read_while_a_node_has_it() {
    let server = Server::start();
    let house = House::filled(&server).await;
    let ((stores, _folder), (reading, _other)) = (node(&server).await, node(&server).await);
    assert!(soon(reading.fetch(&bot())).await.unwrap().is_none(), "it is not there yet");
    house.import(ALL).await.unwrap();
    let held = soon(stores.take_over(&bot(), Token(10))).await.unwrap();
    for count in ["1", "2"] {
        put(held.store(), "count", count).await;
        let file = AccountFile::of(soon(reading.fetch(&bot())).await.unwrap().unwrap(), &bot()).unwrap();
        let mut found = Vec::new();
        let each = |one: StoredValue| {
            found.push((one.key, String::from_utf8(one.value).unwrap()));
            Ok::<_, std::convert::Infallible>(())
        };
        file.each(&owner().plugin, each).unwrap().unwrap();
        let expected = [("count", count), ("greeting", "hello")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
    }
    // The node was not disturbed.
    put(held.store(), "count", "3").await;
    soon(held.close()).await.unwrap();
}

/// After each step, the account is whole at one side, and runs at one side at most. The next attempt goes on.
#[tokio::test]
async fn an_import_that_is_killed_after_any_step_goes_on() {
    for steps in 1.. {
        let server = Server::start();
        let (house, link) = (House::filled(&server).await, server.link().await);
        let rows = house.rows();
        let killed = house.import(steps).await;
        let is_over = killed.is_ok();
        assert!(is_over || matches!(killed, Err(MoveError::Interrupted)), "{killed:?}");
        if !is_over {
            assert!(!house.may_run(), "{steps}");
            match house.stage() {
                Some(Stage::Leaving) => assert_eq!(house.rows(), rows),
                Some(Stage::Left) => assert_eq!(house.rows(), 0),
                other => panic!("{other:?} after {steps} steps"),
            }
            // A node that starts with the account in its file.
            if steps > 1 {
                let expected = if house.stage() == Some(Stage::Left) && added_by_then(&link).await {
                    Added::Present
                } else {
                    Added::Away(Away::Importing)
                };
                assert_eq!(add(&link).await, expected, "{steps}");
            }
            let again = house.import(ALL).await.unwrap();
            assert!(matches!(again, Import::Moved { .. } | Import::Already), "{again:?}");
        }
        assert_eq!((house.rows(), house.stage()), (0, Some(Stage::Left)));
        assert_eq!(add(&link).await, Added::Present);
        assert_eq!((kinds(&link).await, snapshots(&link).await), (vec![Kind::Anew], 1), "{steps}");
        let (stores, _folder) = node(&server).await;
        let held = soon(stores.take_over(&bot(), Token(100))).await.unwrap();
        has_all(held.store()).await;
        soon(held.close()).await.unwrap();
        if is_over {
            assert!(steps > 7, "it has {steps} steps");
            return;
        }
    }
}

/// Returns whether nodes may run the account.
async fn added_by_then(link: &Link) -> bool {
    let (standing, _) = state(link).await.standing(bot().as_str()).await.unwrap();
    matches!(standing, crate::away::Standing::Claimed(_))
}

#[tokio::test]
async fn an_export_that_is_killed_after_any_step_goes_on() {
    for steps in 1.. {
        let server = Server::start();
        let (house, link) = (House::filled(&server).await, server.link().await);
        let rows = house.rows();
        house.import(ALL).await.unwrap();
        let killed = house.export(steps).await;
        let is_over = killed.is_ok();
        assert!(is_over || matches!(killed, Err(MoveError::Interrupted)), "{killed:?}");
        if !is_over {
            // It is whole here, or the cluster has it.
            if house.may_run() {
                house.has_all().await;
            } else {
                assert_eq!(house.rows(), 0);
            }
            if steps > 1 {
                let added = add(&link).await;
                assert!(matches!(added, Added::Away(Away::Exporting | Away::Exported)), "{added:?} after {steps}");
            }
            // The host may have run meanwhile, if it may.
            let is_changed = house.may_run();
            if is_changed {
                let store = Store::open(house.data.path()).unwrap();
                put(&store, "later", "v").await;
                store.close().await;
            }
            if house.stage().is_some() {
                house.export(ALL).await.unwrap();
            }
            assert_eq!(house.rows(), rows + u64::from(is_changed), "after {steps} steps: nothing is lost or doubled");
        }
        house.has_all().await;
        assert_eq!(house.stage(), None);
        assert_eq!((kinds(&link).await, snapshots(&link).await), (vec![Kind::Anew], 0), "{steps}");
        assert_eq!(add(&link).await, Added::Away(Away::Exported));
        let is_gone = house.data.path().join("accounts").read_dir().unwrap().next().is_none();
        assert!(is_gone, "its file of the cluster is removed");
        if is_over {
            assert!(steps > 8, "it has {steps} steps");
            return;
        }
    }
}

/// NATS may have no room, or the account may be too large for it.
#[tokio::test]
async fn an_import_that_cannot_go_on_is_taken_back() {
    for steps in 1.. {
        let server = Server::start();
        let (house, link) = (House::filled(&server).await, server.link().await);
        house.import(steps).await.unwrap_err();
        if house.stage() != Some(Stage::Leaving) {
            assert!(steps > 5, "after {steps} steps");
            return;
        }
        assert_eq!(house.export(ALL).await.unwrap(), Export::Kept);
        house.has_all().await;
        assert_eq!((house.stage(), snapshots(&link).await), (None, 0));
        assert!(kinds(&link).await.iter().all(|kind| *kind == Kind::Anew));
        assert!(matches!(house.import(ALL).await.unwrap(), Import::Moved { rows: Some(_) }));
    }
}

#[tokio::test]
async fn data_of_the_other_side_is_replaced_only_on_demand() {
    let server = Server::start();
    let (house, link) = (House::filled(&server).await, server.link().await);
    let state = state(&link).await;
    // A node has begun with nothing, before anybody thought of an import.
    assert_eq!(add(&link).await, Added::New);
    let (stores, _folder) = node(&server).await;
    let held = soon(stores.take_over(&bot(), Token(1))).await.unwrap();
    put(held.store(), "greeting", "new").await;
    soon(held.close()).await.unwrap();
    let refused = house.import(ALL).await.unwrap_err();
    assert!(matches!(refused, MoveError::Has { .. }) && refused.to_string().contains("--replace"), "{refused}");
    house.has_all().await;
    assert_eq!(house.stage(), None);
    // A node that was killed has it.
    let (id, node_key) = (SessionId { process: 7, number: 1 }, Key::Account(bot().as_str().into()));
    let session =
        |beat| Session { node: "one".into(), capacity: 1, beat, state: SessionState::Open, cpu: Cpu::default() };
    let mut beat = state.put(&Key::Session(id), &Value::Session(session(1)), 0, ANSWER).await.unwrap();
    let (_, revision) = state.standing(bot().as_str()).await.unwrap();
    let claim = Claim { session: Some(id), token: Token(1), weight: 1, lacking: Vec::new() };
    state.put(&node_key, &Value::Claim(claim), revision, ANSWER).await.unwrap();
    let (mut file, mut never, jid) = (house.file(), after(ALL), bot());
    let looking = house.mover.import(&mut file, &jid, true, &mut never);
    let renewing = async {
        for number in 2.. {
            beat = state.put(&Key::Session(id), &Value::Session(session(number)), beat, ANSWER).await.unwrap();
        }
    };
    let refused = tokio::select! {
        refused = soon(looking) => refused.unwrap_err(),
        () = renewing => unreachable!("it renews without end"),
    };
    assert!(matches!(&refused, MoveError::Held { node, .. } if node == "one"), "{refused}");
    drop(file);
    house.has_all().await;
    // Now nobody renews its session.
    let done = soon(house.mover.import(&mut house.file(), &bot(), true, &mut after(ALL))).await.unwrap();
    assert!(matches!(done, Import::Moved { .. }));
    let held = soon(stores.take_over(&bot(), Token(50))).await.unwrap();
    has_all(held.store()).await;
    soon(held.close()).await.unwrap();
    assert_eq!(snapshots(&link).await, 1);
    // The other way: this host has something again.
    let store = Store::open(house.data.path()).unwrap();
    put(&store, "greeting", "own").await;
    store.close().await;
    let refused = house.export(ALL).await.unwrap_err();
    assert!(matches!(refused, MoveError::HasHere { .. }) && refused.to_string().contains("--replace"), "{refused}");
    soon(house.mover.export(&mut house.file(), &bot(), true, &mut after(ALL))).await.unwrap();
    house.has_all().await;
    let unknown = house.export(ALL).await.unwrap_err();
    assert!(matches!(unknown, MoveError::Unknown { .. }), "{unknown}");
}

#[tokio::test]
async fn a_look_at_an_export_says_what_the_export_does() {
    let server = Server::start();
    let house = House::filled(&server).await;
    let looker = looker(&server, &cluster()).await;
    let look =
        async |house: &House, is_replacing| soon(looker.look_at_export(&house.file(), &bot(), is_replacing)).await;
    let unknown = look(&house, false).await.unwrap_err();
    assert!(matches!(unknown, MoveError::Unknown { .. }), "{unknown}");
    house.import(3).await.unwrap_err();
    assert_eq!(look(&house, false).await.unwrap(), ExportLook::Keep);
    house.import(ALL).await.unwrap();
    assert_eq!(look(&house, false).await.unwrap(), ExportLook::Move { replaces: false });
    assert_eq!((house.rows(), house.stage()), (0, Some(Stage::Left)), "nothing has changed");
    let other = House::filled(&server).await;
    let refused = look(&other, false).await.unwrap_err();
    assert!(matches!(refused, MoveError::HasHere { .. }), "{refused}");
    assert_eq!(look(&other, true).await.unwrap(), ExportLook::Move { replaces: true });
    house.export(2).await.unwrap_err();
    assert_eq!(look(&house, false).await.unwrap(), ExportLook::Move { replaces: false });
    house.export(ALL).await.unwrap();
    house.has_all().await;
}

/// Two commands at the same time, on two hosts with the same files.
#[tokio::test]
async fn of_two_imports_one_is_refused() {
    let server = Server::start();
    let (one, two) = (House::filled(&server).await, House::filled(&server).await);
    one.import(3).await.unwrap_err();
    let refused = two.import(ALL).await.unwrap_err();
    assert!(matches!(refused, MoveError::Has { .. }), "{refused}");
    assert_eq!(two.stage(), None);
    let refused = two.export(ALL).await.unwrap_err();
    assert!(matches!(refused, MoveError::Busy { why: Away::Importing, .. }), "{refused}");
    one.import(ALL).await.unwrap();
    two.has_all().await;
}

/// Runs accounts, and does nothing with them.
struct Idle;

impl AccountHost for Idle {
    type Running = Store;

    fn start(&self, _: &BareJid, store: Store, _: Permit) -> Store {
        store
    }

    async fn stop(&self, _: Store) {}

    fn report(&self, _: Trouble) {}
}

#[tokio::test]
async fn an_account_is_removed_from_all_nodes_and_may_begin_anew() {
    let server = Server::start();
    let (house, link) = (House::filled(&server).await, server.link().await);
    house.import(ALL).await.unwrap();
    let ((stores, folder), state) = (node(&server).await, state(&link).await);
    let own = NodeSettings { name: "one".to_owned(), capacity: 1, timing: Timing::default() };
    let runner = soon(Runner::start(settings(server.port()), cluster(), own, stores, Arc::new(Idle))).await.unwrap();
    // The node claims it seconds after its start. A question of so many may have no answer in time.
    let at_node =
        async { while state.overview().await.map_or(true, |all| all.accounts.iter().all(|one| one.node.is_none())) {} };
    soon(at_node).await;
    let files = || folder.path().join("accounts").read_dir().unwrap().count();
    soon(async {
        while files() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let remover = remover(&server).await;
    let removal = soon(remover.look(&bot())).await.unwrap();
    assert_eq!((removal.node.as_deref(), removal.damage, removal.snapshots), (Some("one"), None, 1));
    // It is killed in the middle, and run again.
    soon(remover.remove(&bot(), &mut after(2))).await.unwrap_err();
    assert_eq!(add(&link).await, Added::Away(Away::Removing));
    soon(remover.remove(&bot(), &mut after(ALL))).await.unwrap();
    assert!(state.overview().await.unwrap().accounts.is_empty());
    soon(async {
        while files() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((kinds(&link).await, snapshots(&link).await), (vec![Kind::Anew], 0));
    let unknown = soon(remover.remove(&bot(), &mut after(ALL))).await.unwrap_err();
    assert!(matches!(unknown, MoveError::Unknown { .. }), "{unknown}");
    soon(runner.leave()).await;

    assert_eq!(add(&link).await, Added::New);
    let ((first, _one), (second, _two)) = (node(&server).await, node(&server).await);
    for (token, stores) in [(100, &first), (101, &second), (102, &first)] {
        let held = soon(stores.take_over(&bot(), Token(token))).await.unwrap();
        assert_eq!(get(held.store(), "greeting").await, None, "it begins with nothing");
        if token > 100 {
            put(held.store(), "count", "1").await;
        }
        soon(held.close()).await.unwrap();
    }
}

/// Writes behind the last record of a log, as somebody does who can write to NATS.
async fn write(link: &Link, headers: HeaderMap, body: Vec<u8>) {
    let (stream, subject) = cluster().log(bot().as_str());
    let expected = match link.last(&stream, &subject, ANSWER).await.unwrap() {
        Last::Stored(stored) => stored.revision,
        _ => 0,
    };
    link.put(&stream, subject, expected, headers, Bytes::from(body), ANSWER).await.unwrap();
}

/// The owner is told that it cannot be read, and its numbers go on, so that no file of a node leads there.
#[tokio::test]
async fn an_account_that_cannot_be_read_is_removed_and_replaced() {
    let most = 1 << 53;
    let cases = [
        ("not encrypted", headers(Token(1), 3, Kind::Change), b"{}".to_vec()),
        ("the highest token and number", headers(Token(most), most, Kind::Change), vec![1; 80]),
        ("without headers", HeaderMap::new(), b"text".to_vec()),
        ("almost a mebibyte", HeaderMap::new(), vec![0; 1_040_000]),
    ];
    for (what, headers, body) in cases {
        let server = Server::start();
        let (house, link) = (House::filled(&server).await, server.link().await);
        house.import(ALL).await.unwrap();
        let (remover, before) = (remover(&server).await, records(&link).await[0].number);
        write(&link, headers.clone(), body.clone()).await;
        let (stores, _folder) = node(&server).await;
        assert!(soon(stores.take_over(&bot(), Token(20))).await.is_err(), "{what}");
        let damage = soon(remover.look(&bot())).await.unwrap().damage.unwrap();
        assert!(damage.contains("parlor.c.log."), "{what}: {damage}");
        soon(remover.remove(&bot(), &mut after(ALL))).await.unwrap();
        let left = records(&link).await;
        assert_eq!((left.len(), left[0].kind, snapshots(&link).await), (1, Kind::Anew, 0), "{what}");
        assert!(left[0].number > before + 1, "{what}: {left:?}");
        // And once more: now a host puts its own in the place of it.
        assert_eq!(add(&link).await, Added::New);
        write(&link, headers, body).await;
        let other = House::filled(&server).await;
        assert!(looker(&server, &cluster()).await.damage(&bot()).await.unwrap().is_some(), "{what}");
        let refused = other.import(ALL).await.unwrap_err();
        assert!(matches!(refused, MoveError::Has { .. }), "{what}: {refused}");
        soon(other.mover.import(&mut other.file(), &bot(), true, &mut after(ALL))).await.unwrap();
        assert_eq!(looker(&server, &cluster()).await.damage(&bot()).await.unwrap(), None);
        let held = soon(stores.take_over(&bot(), Token(50))).await.unwrap();
        has_all(held.store()).await;
        soon(held.close()).await.unwrap();
    }
}

#[tokio::test]
async fn an_account_whose_place_in_the_state_cannot_be_read_is_removed_and_replaced() {
    let server = Server::start();
    let (house, link) = (House::filled(&server).await, server.link().await);
    house.import(ALL).await.unwrap();
    let (remover, state) = (remover(&server).await, state(&link).await);
    let damaged = || state.overwrite(cluster().subject(&Key::Account(bot().as_str().into())), "{}".to_owned());
    damaged().await.unwrap();
    assert!(soon(remover.look(&bot())).await.unwrap().damage.unwrap().contains("cannot be read"));
    soon(remover.remove(&bot(), &mut after(ALL))).await.unwrap();
    assert_eq!((add(&link).await, kinds(&link).await), (Added::New, vec![Kind::Anew]));
    damaged().await.unwrap();
    let other = House::filled(&server).await;
    assert!(matches!(other.import(ALL).await, Err(MoveError::State(_))));
    soon(other.mover.import(&mut other.file(), &bot(), true, &mut after(ALL))).await.unwrap();
    assert_eq!(add(&link).await, Added::Present);
}

/// It was damaged, or another program wrote it. No node may be there that would end the session.
#[tokio::test]
async fn an_account_of_a_session_that_cannot_be_read_is_replaced_once_nobody_renews_it() {
    let server = Server::start();
    let (house, link) = (House::filled(&server).await, server.link().await);
    let (rows, looker) = (house.rows(), looker(&server, &cluster()).await);
    let (state, id) = (state(&link).await, SessionId { process: 7, number: 1 });
    let claim = Claim { session: Some(id), token: Token(1), weight: 1, lacking: Vec::new() };
    state.put(&Key::Account(bot().as_str().into()), &Value::Claim(claim), 0, ANSWER).await.unwrap();
    let subject = cluster().subject(&Key::Session(id));
    state.overwrite(subject.clone(), "damaged".to_owned()).await.unwrap();
    // As a newer version may do it.
    let renewing = async {
        for _ in 0_u64.. {
            state.overwrite(subject.clone(), "{\"format\":2}".to_owned()).await.unwrap();
        }
    };
    let (mut file, mut never, jid) = (house.file(), after(ALL), bot());
    let refused = tokio::select! {
        refused = soon(house.mover.import(&mut file, &jid, true, &mut never)) => refused.unwrap_err(),
        () = renewing => unreachable!("it renews without end"),
    };
    assert!(matches!(&refused, MoveError::State(StateError::Unreadable { .. })), "{refused}");
    drop(file);
    house.has_all().await;
    // Now nobody renews it.
    assert_eq!(soon(looker.look(&house.file(), &bot(), true)).await.unwrap(), Look::Move { rows, replaces: true });
    let done = soon(house.mover.import(&mut house.file(), &bot(), true, &mut after(ALL))).await.unwrap();
    assert_eq!(done, Import::Moved { rows: Some(rows) });
    let record = state.stored(&subject).await.unwrap().unwrap();
    let ended = state.decode(&subject, record.revision, &record.body).unwrap();
    let is_over = |value: &Value| matches!(value, Value::Session(session) if session.state == SessionState::Over);
    assert!(matches!(&ended, Decoded::Record(_, value) if is_over(value)), "{ended:?}");
    let (stores, _folder) = node(&server).await;
    let held = soon(stores.take_over(&bot(), Token(50))).await.unwrap();
    has_all(held.store()).await;
    soon(held.close()).await.unwrap();
}

/// The first node that starts with the new key does it.
#[tokio::test]
async fn what_is_left_of_an_account_that_is_gone_does_not_need_the_earlier_key() {
    for is_removed in [false, true] {
        let server = Server::start();
        let (house, link) = (House::filled(&server).await, server.link().await);
        house.import(ALL).await.unwrap();
        house.export(ALL).await.unwrap();
        if is_removed {
            soon(remover(&server).await.remove(&bot(), &mut after(ALL))).await.unwrap();
        }
        let away = |why| vec![AwayRow { account: bot().to_string(), why }];
        let expected = away(if is_removed { Away::Removed } else { Away::Exported });
        let before = records(&link).await[0].number;
        let [both, turned, new] = [with_keys(&[KEY, LATER_KEY]), with_keys(&[LATER_KEY, KEY]), with_keys(&[LATER_KEY])];
        let count = || async {
            let seen = soon(examine(&link, &turned)).await.unwrap();
            (seen.records.unwrap().into_iter().collect::<Vec<_>>(), seen.overview.unwrap().away)
        };
        for cluster in [&both, &turned, &turned] {
            agree_on_keys(&link, cluster).await.unwrap();
            let state = State::open(&link, cluster, Timing::default()).await.unwrap();
            soon(encrypt_remains_anew(&state)).await.unwrap();
            assert_eq!(count().await, (vec![(cluster.keys().first(), 1)], expected.clone()));
        }
        let mut left = Vec::new();
        soon(read_log(&link, &new, bot().as_str(), |record| left.push(record))).await.unwrap();
        assert_eq!((left.len(), left[0].kind, left[0].number), (1, Kind::Anew, before + 2), "once");
        // Nodes and hosts that have the new key alone go on with it.
        let House { data, mover } = house;
        drop(mover);
        let mover = Mover::open(&settings(server.port()), &new, Timing::default(), data.path()).await.unwrap();
        let house = House { data, mover };
        assert!(matches!(house.import(ALL).await.unwrap(), Import::Moved { rows: Some(_) }));
        let data = tempfile::tempdir().unwrap();
        let stores = Stores::open(&link, &new, Accounts::start(data.path()).unwrap()).await.unwrap();
        let held = soon(stores.take_over(&bot(), Token(50))).await.unwrap();
        has_all(held.store()).await;
        soon(held.close()).await.unwrap();
    }
}

/// Otherwise no command would bring it back.
#[tokio::test]
async fn an_account_that_was_exported_with_nothing_is_imported_also_after_a_kill() {
    for steps in 1.. {
        let server = Server::start();
        let (house, link) = (House::new(&server).await, server.link().await);
        assert_eq!(house.import(ALL).await.unwrap(), Import::Nothing);
        assert_eq!(add(&link).await, Added::New);
        assert_eq!(house.export(ALL).await.unwrap(), Export::Moved { rows: Some(0) });
        assert_eq!(add(&link).await, Added::Away(Away::Exported));
        let killed = house.import(steps).await;
        let is_over = killed.is_ok();
        assert!(is_over || matches!(killed, Err(MoveError::Interrupted)), "{killed:?}");
        if !is_over {
            assert!(!house.may_run(), "{steps}");
            house.import(ALL).await.unwrap();
        }
        assert_eq!((add(&link).await, house.stage()), (Added::Present, Some(Stage::Left)), "{steps}");
        let (stores, _folder) = node(&server).await;
        for (token, expected) in [(50, None), (51, Some("v"))] {
            let held = soon(stores.take_over(&bot(), Token(token))).await.unwrap();
            assert_eq!(get(held.store(), "k").await.as_deref(), expected);
            put(held.store(), "k", "v").await;
            soon(held.close()).await.unwrap();
        }
        if is_over {
            assert!(steps > 7, "it has {steps} steps");
            return;
        }
    }
}

/// As `parlor cluster import --dry-run` does it.
#[tokio::test]
async fn looking_at_what_an_import_does_writes_nothing_to_nats() {
    let server = Server::start();
    let (data, link) = (tempfile::tempdir().unwrap(), server.link().await);
    let store = Store::open(data.path()).unwrap();
    fill(&store).await;
    store.close().await;
    let file = DataFile::create(data.path()).unwrap();
    let rows = file.rows_of(&bot()).unwrap();
    let looks = looker(&server, &cluster()).await;
    assert_eq!(soon(looks.look(&file, &bot(), false)).await.unwrap(), Look::Move { rows, replaces: false });
    assert_eq!(looks.damage(&bot()).await.unwrap(), None);
    let streams: Vec<String> = link.jetstream.stream_names().try_collect().await.unwrap();
    assert_eq!(streams, Vec::<String>::new());
    // A node was killed with the account, and nobody has noticed.
    let _prepared = House::new(&server).await;
    let (state, id) = (state(&link).await, SessionId { process: 7, number: 1 });
    let session = Session { node: "one".into(), capacity: 1, beat: 1, state: SessionState::Open, cpu: Cpu::default() };
    state.put(&Key::Session(id), &Value::Session(session), 0, ANSWER).await.unwrap();
    let claim = Claim { session: Some(id), token: Token(1), weight: 1, lacking: Vec::new() };
    state.put(&Key::Account(bot().as_str().into()), &Value::Claim(claim), 0, ANSWER).await.unwrap();
    let written = async || {
        let mut stream = link.jetstream.get_stream(cluster().state_stream()).await.unwrap();
        stream.info().await.unwrap().state.last_sequence
    };
    let before = written().await;
    let turned = looker(&server, &with_keys(&[LATER_KEY, KEY])).await;
    assert_eq!(soon(turned.look(&file, &bot(), true)).await.unwrap(), Look::Move { rows, replaces: true });
    assert_eq!(written().await, before);
}

/// Such as one that is larger than any snapshot.
#[tokio::test]
async fn an_account_that_cannot_be_copied_is_refused_before_the_cluster_hears_of_it() {
    let server = Server::start();
    let (house, link) = (House::filled(&server).await, server.link().await);
    let folder = house.data.path().join("accounts");
    std::fs::remove_dir_all(&folder).unwrap();
    let refused = house.import(ALL).await.unwrap_err();
    assert!(matches!(refused, MoveError::Data(_)), "{refused}");
    house.has_all().await;
    assert_eq!(house.stage(), None);
    let (standing, revision) = state(&link).await.standing(bot().as_str()).await.unwrap();
    assert_eq!((standing, revision), (crate::away::Standing::Unknown, 0));
    std::fs::create_dir(&folder).unwrap();
    assert!(matches!(house.import(ALL).await.unwrap(), Import::Moved { .. }));
}

#[tokio::test]
async fn a_move_that_was_interrupted_is_seen_until_it_is_done() {
    let server = Server::start();
    let (house, state) = (House::filled(&server).await, state(&server.link().await).await);
    let away = async || state.overview().await.unwrap().away;
    house.import(2).await.unwrap_err();
    assert_eq!(away().await, [AwayRow { account: bot().to_string(), why: Away::Importing }]);
    house.import(ALL).await.unwrap();
    assert_eq!(away().await, []);
    house.export(2).await.unwrap_err();
    assert_eq!(away().await, [AwayRow { account: bot().to_string(), why: Away::Exporting }]);
}
