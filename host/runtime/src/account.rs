//! One account: a task that owns its link and its session, and passes events to the router.
//!
//! [`Shared`] is the handle for everyone else: plugins read the snapshot without going through the task, and send it
//! commands.

mod alarm;
pub mod alerting;
pub mod alerts;
pub(crate) mod announcers;
pub(crate) mod answerers;
mod arrived;
mod bound;
pub(crate) mod callees;
pub mod clients;
mod connecting;
mod connection;
mod effects;
pub mod encryption;
pub mod foreign;
mod forms;
mod held_back;
pub mod hooks;
mod inputs;
mod keepers;
mod keeps_awake;
mod leaving;
mod logins;
mod missed;
mod on_disk;
mod order;
mod outbox;
mod owners;
mod panicked;
pub(crate) mod parking;
mod published;
mod questions;
pub mod resting;
mod rewriting;
pub mod room_news;
mod room_passwords;
mod running;
mod screened;
mod screening;
mod sending;
mod shared;
mod told;
pub mod web;
mod worker;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parlor_base::clock::{Clock, ClockJumpDetector};
use parlor_base::fair;
use parlor_base::id::InstanceId;
use parlor_base::rng::RandomSource;
use parlor_config::AccountConfig;
use parlor_session::router::{Names, Router};
use parlor_session::{Session, on_component, set_encryption, set_host_clients, set_name, set_otr_people};
use parlor_store::{Audit, Store};
use parlor_xmpp::{Dialer, Tokens};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};

use self::alarm::Alarm;
use self::alerts::Alerts;
use self::clients::ClientsOfHost;
use self::held_back::HeldBack;
use self::hooks::Hooks;
use self::keepers::Keepers;
use self::logins::Logins;
use self::order::Order;
use self::outbox::Outbox;
use self::published::{Published, Watched};
use self::screening::Screening;
use self::worker::Worker;
use crate::may_act::MayAct;
use crate::record::Records;
use crate::threads::Place;

pub use connection::{Connection, ConnectionHistory, Credentials};
pub use keeps_awake::{KeepsAwake, PluginNeeds};
pub use shared::{Shared, history};

/// Maximum number of commands of one plugin that may wait for the account's task, or for the link if they send
/// something. Further commands of the same plugin wait to be queued.
const COMMANDS: usize = 256;

/// Maximum number of the host's orders that may wait for the account's task.
const ORDERS: usize = 64;

/// The sender of a request to the account's task. Senders are served in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The host itself.
    Host,
    /// A plugin. Its calls do not delay those of other senders.
    Plugin(InstanceId),
}

/// The stores of an account, and its permission to act.
#[derive(Debug, Clone)]
pub struct Backing {
    /// Its store. In a cluster, each account has its own.
    pub store: Store,
    /// The audit of the host.
    pub audit: Audit,
    /// The permission to act.
    pub may_act: MayAct,
}

impl From<Store> for Backing {
    /// Returns that of an account without a cluster: it shares the store with the audit, and always may act.
    fn from(store: Store) -> Self {
        Self { audit: store.audit(), store, may_act: MayAct::default() }
    }
}

/// Ends the task of an account when it is dropped, without a word to the server. A task that has ended is not affected.
#[derive(Debug)]
pub struct KillOnDrop(AbortHandle);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An account and its task.
pub struct Account {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Account {
    /// Starts the task in this place. It logs in when it gets an order to.
    pub fn start(config: AccountConfig, store: Store, place: Place) -> Self {
        Self::start_with(config, store, place, Dialer::Network, Clock::Machine)
    }

    /// Starts the task with a dialer that reaches the server, and with a clock.
    pub fn start_with(
        config: AccountConfig,
        backing: impl Into<Backing>,
        place: Place,
        dialer: Dialer,
        clock: Clock,
    ) -> Self {
        let Backing { store, audit, may_act } = backing.into();
        let (asked, asked_receiver) = fair::queue(|_| COMMANDS);
        let (orders, order_receiver) = mpsc::channel(ORDERS);
        let (published, Watched { connection, history, archive, rooms_told }) =
            Published::new(audit.clone(), config.name.clone(), clock);
        let clients = ClientsOfHost::new(config.link.jid.to_bare());
        let mut session = session_of(&config, &clients);
        session.set_owners(config.owners);
        let mut effects = Vec::new();
        set_otr_people(&mut session, config.otr_people);
        set_encryption(&mut session, config.encryption, clock.now(), &mut effects);
        let (requests, owner_requests) = mpsc::channel(owners::REQUESTS);
        let shared = Arc::new(Shared {
            place,
            name: config.name.clone(),
            own: config.link.jid.to_bare(),
            clients,
            since: Timestamp::now(),
            router: Router::default(),
            clock,
            rng: RandomSource::beside(clock),
            data: store.data(clock),
            snapshot: ArcSwap::from_pointee(session.snapshot()),
            settings: ArcSwap::from_pointee(config.settings.clone()),
            names: Names::default(),
            answerers: answerers::Answerers::default(),
            callees: Arc::default(),
            hooks: Hooks::default(),
            announcers: announcers::Announcers::default(),
            audit,
            may_act,
            encryption: told::Told::default(),
            room_alerts: alerts::RoomAlerts::default(),
            records: Records::new(store.added_contacts(&config.link.jid.to_bare())),
            secrets: ArcSwap::default(),
            web: ArcSwap::new(config.web),
            web_script: web::WebScript::default(),
            tokens: Tokens::default(),
            asked,
            orders,
            owner_requests: Mutex::new(Some(owner_requests)),
            connection,
            history,
            archive,
            rooms_told,
        });
        // Boxed: its future would have room for the task's state twice, as what it gets and as what it works on.
        let worker = Box::new(Worker {
            shared: Arc::clone(&shared),
            watch: ClockJumpDetector::of(clock),
            settings: config.link,
            written: config.settings,
            keepers: Keepers::new(store, &shared.own),
            session,
            dialer,
            link: None,
            unsaid: None,
            logins: Logins::default(),
            published,
            asked: asked_receiver,
            orders: order_receiver,
            owner_requests: requests,
            outbox: Outbox::default(),
            confirming: None,
            held_back: HeldBack::default(),
            screening: Screening::default(),
            in_question: None,
            room_passwords: room_passwords::Reading::default(),
            is_draining: false,
            quiet: Alarm::new(),
            alerts: Alerts::default(),
            effects,
        });
        Self { task: shared.place.runtime.spawn(worker.run_whatever_happens()), shared }
    }

    /// Returns the handle that plugins and the host use.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Stops delivering messages, requests and subscription stanzas, and stops acknowledging (XEP-0198). The server
    /// then keeps them for the next process, or for other clients. Everything that was acknowledged is in the mailboxes
    /// when this returns. Plugins may still send and ask. Without stream management the stanzas would be lost, so they
    /// are delivered until the end.
    pub async fn drain(&self) {
        self.shared.tell(|done| Order::Drain { done }).await;
    }

    /// Returns what ends the task at once when it is dropped: another node may have the account, and has its session.
    pub fn kill_on_drop(&self) -> KillOnDrop {
        KillOnDrop(self.task.abort_handle())
    }

    /// Closes the stream cleanly and ends the task.
    pub async fn stop(self) {
        self.shared.tell(|done| Order::Stop { done }).await;
        if let Err(error) = self.task.await {
            tracing::error!(account = %self.shared.name, %error, "the task of an account failed");
        }
    }
}

/// Creates the session of an account that has not connected yet.
fn session_of(config: &AccountConfig, clients: &ClientsOfHost) -> Session {
    let mut session = Session::new(config.link.jid.clone(), config.settings.clone());
    set_name(&mut session, config.name.clone());
    set_host_clients(&mut session, clients.question());
    if config.link.component().is_some() {
        on_component(&mut session);
    }
    session
}

#[cfg(test)]
mod tests;
