//! Tests of an instance without a guest: its limits, and the lanes of its calls.

use std::time::Duration;

use parlor_base::clock::Clock;
use parlor_base::id::Digest;
use parlor_base::permission::Permission;
use parlor_base::rate::Bucket;
use parlor_config::{AccountConfig, ChannelBinding, LinkSettings, PasswordSource, Settings, TransportChoice, Way};
use parlor_plugins::component::Needs;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::{RoomSettings, SettingValues};
use parlor_session::command_names::CommandNames;
use parlor_session::permissions::Grants;
use parlor_stanza::error::CallError;
use parlor_xmpp::Dialer;

use super::*;
use crate::account::Asker;
use crate::may_act::MayAct;
use crate::threads::Place;

const MANIFEST: &str =
    "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says what it hears\"\n";

/// Returns an instance of an account that is never connected, with the grants of this TOML. Needs a runtime.
pub(crate) fn instance(grants: &str, limits: Limits) -> (Arc<Instance>, MailReceiver) {
    let lasting = Arc::new(Lasting::new(&Arc::new(limits.clone()), Arc::default()));
    after(lasting, grants, limits)
}

/// Returns an instance without grants of a plugin whose manifest ends in these lines.
pub(crate) fn asking_for(lines: &str) -> (Arc<Instance>, MailReceiver) {
    let account = account::Account::start(account_config(), parlor_store::Store::in_memory(), Place::here());
    let admitted = admitted("echo", &format!("{MANIFEST}{lines}"), Grants::default(), Limits::default());
    let lasting = Arc::new(Lasting::new(&admitted.limits, Arc::default()));
    of_account(account.shared(), &admitted, lasting)
}

/// Returns an instance without grants of a plugin that handles the events of each conversation in order.
pub(crate) fn in_order(limits: Limits) -> (Arc<Instance>, MailReceiver) {
    let account = account::Account::start(account_config(), parlor_store::Store::in_memory(), Place::here());
    let admitted = admitted("echo", &format!("{MANIFEST}in_order = true\n"), Grants::default(), limits);
    let lasting = Arc::new(Lasting::new(&admitted.limits, Arc::default()));
    of_account(account.shared(), &admitted, lasting)
}

/// Returns the configuration of an account that cannot connect.
pub(crate) fn account_config() -> AccountConfig {
    AccountConfig {
        name: "main".parse().unwrap(),
        group: None,
        link: LinkSettings {
            jid: "bot@example.org/bot".parse().unwrap(),
            way: Way::Password,
            password: PasswordSource::Environment("NONE".to_owned()),
            server: None,
            tls: None,
            ca_file: None,
            allow_plain: false,
            channel_binding: ChannelBinding::Auto,
            transport: TransportChoice::Auto,
            websocket: None,
            keep_unsent: Duration::from_hours(1),
            bosh: None,
            prebind: None,
            ping_interval: Duration::from_mins(3),
        },
        owners: Vec::new(),
        web: Arc::default(),
        encryption: parlor_config::Encryption::OFF,
        otr_people: parlor_config::OtrPeople::default(),
        settings: Settings::default(),
    }
}

/// Returns a plugin of this manifest that may run.
pub(crate) fn admitted(id: &str, manifest: &str, grants: Grants, limits: Limits) -> Admitted {
    Admitted {
        id: id.parse().unwrap(),
        digest: Digest::of(b""),
        manifest: Arc::new(Manifest::parse(manifest).unwrap()),
        grants: Arc::new(grants),
        limits: Arc::new(limits),
        settings: SettingValues::default(),
        settings_in: RoomSettings::default(),
        needs: Needs::default(),
        raises: false,
        log: None,
        commands: CommandNames::default(),
        warnings: Vec::new(),
    }
}

/// Does the same for one that follows other instances, which left this.
fn after(lasting: Arc<Lasting>, grants: &str, limits: Limits) -> (Arc<Instance>, MailReceiver) {
    let account = account::Account::start(account_config(), parlor_store::Store::in_memory(), Place::here());
    let admitted = admitted("echo", MANIFEST, Grants::from_table(&grants.parse().unwrap()).unwrap(), limits);
    of_account(account.shared(), &admitted, lasting)
}

/// Returns an instance without grants of an account of a cluster, which may act or not.
pub(crate) fn that_may_act(may: bool) -> (Arc<Instance>, MailReceiver) {
    of_a_cluster(MayAct::asking(move || may))
}

/// Does the same with this permission to act.
pub(crate) fn of_a_cluster(may_act: MayAct) -> (Arc<Instance>, MailReceiver) {
    let store = parlor_store::Store::in_memory();
    let backing = account::Backing { audit: store.audit(), store, may_act };
    let (config, place) = (account_config(), Place::here());
    let account = account::Account::start_with(config, backing, place, Dialer::Network, Clock::Machine);
    on_account(account.shared(), "echo")
}

/// Returns an instance without grants of another plugin of an account.
pub(crate) fn on_account(account: &Arc<account::Shared>, id: &str) -> (Arc<Instance>, MailReceiver) {
    let lasting = Arc::new(Lasting::new(&Arc::new(Limits::default()), Arc::default()));
    of_account(account, &admitted(id, MANIFEST, Grants::default(), Limits::default()), lasting)
}

fn of_account(
    account: &Arc<account::Shared>,
    admitted: &Admitted,
    lasting: Arc<Lasting>,
) -> (Arc<Instance>, MailReceiver) {
    let settings = Arc::new(OwnSettings::new(
        Arc::clone(&admitted.manifest),
        admitted.settings.0.clone(),
        RoomSettings::default(),
    ));
    Instance::new(admitted, settings, Arc::clone(account), lasting, crate::supervisor::progress(admitted, account))
}

#[tokio::test]
async fn what_a_plugin_makes_the_host_log_is_counted_as_its_own_lines() {
    let (instance, _mailbox) = instance("", Limits { log_lines_per_second: 3, ..Limits::default() });
    for _ in 0..100 {
        instance.deny(Permission::ContactsRead, None);
    }
    assert_eq!(instance.counters.denials.load(Relaxed), 100);
    // The bucket fills while the loop runs; a slow machine gives it a few more.
    assert!(
        instance.counters.log_dropped.load(Relaxed) > 50,
        "{} lines were dropped",
        instance.counters.log_dropped.load(Relaxed)
    );
}

/// A plugin may fail five times in a row, and any number of times if it runs for a minute each time.
#[tokio::test(start_paused = true)]
async fn who_comes_after_one_that_failed_may_do_no_more_at_once_than_that_one_could() {
    let limits = Limits { messages_per_second: 10, messages_burst: 5, ..Limits::default() };
    let lasting = Arc::new(Lasting::new(&Arc::new(limits.clone()), Arc::default()));
    let buckets = |instance: &Instance| {
        let budgets = &instance.lasting.budgets;
        [budgets.outgoing(), budgets.emitted(), budgets.orders(), budgets.stored(), &budgets.log_lines()]
            .map(Bucket::clone)
    };
    let (first, _mailbox) = after(Arc::clone(&lasting), "", limits.clone());
    for bucket in buckets(&first) {
        bucket.owe(5.0);
    }
    drop(first);
    let (next, _mailbox) = after(lasting, "", limits);
    for bucket in buckets(&next) {
        assert!(bucket.used() > 4.0, "{bucket:?}");
    }
    assert!(next.lasting.budgets.outgoing().take(1.0).is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(next.lasting.budgets.outgoing().take(5.0).is_ok() && next.lasting.budgets.outgoing().take(1.0).is_err());
}

/// An update is such a replacement, regardless of its limits.
#[tokio::test(start_paused = true)]
async fn who_takes_the_place_of_another_one_has_no_burst_anew() {
    let limits = Limits { messages_per_second: 10, messages_burst: 5, ..Limits::default() };
    let wider = Limits { messages_burst: 8, ..limits.clone() };
    let lasting = Arc::new(Lasting::new(&Arc::new(limits.clone()), Arc::default()));
    let (old, _mailbox) = after(Arc::clone(&lasting), "", limits);
    assert!(old.lasting.budgets.outgoing().take(5.0).is_ok());
    let (new, _mailbox) = after(Arc::new(lasting.passed_on(&Arc::new(wider.clone()))), "", wider);
    assert!(new.lasting.budgets.outgoing().take(1.0).is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(
        new.lasting.budgets.outgoing().take(8.0).is_ok() && old.lasting.budgets.outgoing().take(1.0).is_err(),
        "both are one plugin"
    );
}

/// A room is entered even if the caller that opens it no longer waits for it.
#[tokio::test(start_paused = true)]
async fn a_room_whose_opening_was_given_up_counts_for_a_while() {
    let (instance, _mailbox) = instance("", Limits { rooms: 1, ..Limits::default() });
    let room = |name: &str| format!("{name}@muc.example.org").parse().unwrap();
    instance.open_room(&room("a")).unwrap().ended(false);
    drop(instance.open_room(&room("b")).unwrap());
    assert!(matches!(instance.open_room(&room("c")).map(drop), Err(CallError::OverLimit(_))));
    tokio::time::advance(Duration::from_mins(2)).await;
    assert!(instance.open_room(&room("c")).is_ok());
}

/// In one lane for all, each free place would go to the call that waits for it first, whether its guest runs or not.
#[tokio::test]
async fn the_calls_of_each_instance_wait_in_a_lane_of_their_own() {
    let (one, _mailbox) = instance("", Limits::default());
    let (other, _mailbox) = instance("", Limits::default());
    assert_eq!((one.asker(), other.asker()), (Asker::Plugin(one.id), Asker::Plugin(other.id)));
    assert_ne!(one.asker(), other.asker());
}
