//! The handle through which plugins and the host use an account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::{ArcSwap, Guard};
use futures_util::TryFutureExt as _;
use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_base::clock::Clock;
use parlor_base::escape::escape_untrusted;
use parlor_base::fair;
use parlor_base::held::Holding;
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::rng::RandomSource;
use parlor_config::{AccountName, Settings, Web};
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::permissions::Granted;
use parlor_session::router::{Delivery, KnowsRooms, Mailbox, Names, Router};
use parlor_session::{Answer, AnyCommand, Command, OwnArchive, Snapshot, WaitUntil};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{AdHocRequest, MessageKind};
use parlor_store::{Audit, PluginData};
use parlor_xmpp::{Tokens, is_made_up};
use tokio::sync::{mpsc, oneshot, watch};

use super::Asker;
use super::alerts::RoomAlerts;
use super::announcers::Announcers;
use super::answerers::Answerers;
use super::callees::Callees;
use super::clients::{Client, ClientsOfHost, HostClients};
use super::connection::{Connection, ConnectionHistory, Credentials};
use super::hooks::Hooks;
use super::order::{Asked, Order};
use super::told::Told;
use super::web::WebScript;
use crate::may_act::MayAct;
use crate::record::Records;
use crate::threads::Place;

/// The part of an account that plugins and the host hold.
#[derive(Debug)]
pub struct Shared {
    /// The account's name in the configuration.
    pub name: AccountName,
    /// The account's bare JID.
    pub own: BareJid,
    /// The clients by which the host is logged in to its accounts.
    pub clients: ClientsOfHost,
    /// When its task was started. Earlier lines of the log with its name may be about another account that had it before.
    pub since: Timestamp,
    /// The place of its task and its plugins.
    pub(crate) place: Place,
    /// The subscriptions of its plugins.
    pub router: Router,
    /// The clock of the account.
    pub clock: Clock,
    /// The source of its plugins' random numbers.
    pub rng: RandomSource,
    pub(super) data: PluginData,
    pub(super) snapshot: ArcSwap<Snapshot>,
    pub(super) settings: ArcSwap<Settings>,
    /// The section `[web]` of the configuration.
    pub(crate) web: ArcSwap<Web>,
    /// The script that answers requests over the web in a test.
    pub web_script: WebScript,
    /// The names of events that plugins declare and listen to.
    pub names: Names,
    /// The plugins that answer requests (IQs) of others.
    pub(crate) answerers: Answerers,
    /// The plugins that answer requests of other plugins.
    pub(crate) callees: Arc<Callees>,
    /// The plugins that see what others send and get.
    pub(crate) hooks: Hooks,
    /// The nodes of accounts that plugins subscribe to.
    pub(crate) announcers: Announcers,
    /// The audit of changes.
    pub audit: Audit,
    /// Whether it may act: asked before each act that others can see.
    pub(crate) may_act: MayAct,
    /// The numbers and news about its keys of encryption.
    pub(crate) encryption: Told,
    /// The alerts about its rooms that the host has not taken yet.
    pub room_alerts: RoomAlerts,
    /// The records of its plugins since the host started.
    pub records: Records,
    /// Settings under `[settings]` that plugins keep secret, with those plugins.
    pub(super) secrets: ArcSwap<BTreeMap<String, BTreeSet<PluginId>>>,
    /// The tokens of its BOSH session, while it has one.
    pub(super) tokens: Tokens,
    /// Requests to the account's task, served in turn.
    pub(super) asked: fair::Sender<Asker, Asked>,
    pub(super) orders: mpsc::Sender<Box<Order>>,
    /// The commands of owners, until a task takes the receiver.
    pub(super) owner_requests: Mutex<Option<mpsc::Receiver<Box<AdHocRequest>>>>,
    pub(super) connection: watch::Receiver<Connection>,
    /// Since when the connection is in its state, and its last error.
    pub(super) history: Arc<Mutex<ConnectionHistory>>,
    pub(super) archive: watch::Receiver<Option<OwnArchive>>,
    pub(super) rooms_told: watch::Receiver<u64>,
}

impl Client for Shared {
    fn is_at(&self, client: &Jid) -> bool {
        // What it sent before the host was restarted, or over a former connection, may only come now.
        self.snapshot().jid == *client || client.resource().is_some_and(|resource| is_made_up(resource.as_str()))
    }
}

impl Shared {
    /// Adds it to the accounts of its host, before its first log-in. From now on, each of them knows by which client the host is logged
    /// in to the others.
    pub fn join(self: &Arc<Self>, host: &HostClients) {
        let account: Weak<Self> = Arc::downgrade(self);
        self.clients.join(host, account);
    }

    /// Returns the current snapshot. A short read without a lock.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Returns the storage of its plugins on this machine.
    pub fn data(&self) -> &PluginData {
        &self.data
    }

    /// Returns the host's settings for this account.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Returns the tokens of its BOSH session, if it has one.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Returns whether a plugin keeps a setting of this name secret.
    pub fn is_secret(&self, key: &str) -> bool {
        self.secrets.load().contains_key(key)
    }

    /// Hides these settings of a plugin under `[settings]` from all readers, from now on and for as long as the plugin
    /// keeps them secret.
    pub fn keep_secret<'a>(&self, plugin: &PluginId, keys: impl Iterator<Item = &'a str>) {
        let before = self.secrets.load();
        let is_new = |key: &str| before.get(key).is_none_or(|plugins| !plugins.contains(plugin));
        let keys: Vec<&str> = keys.filter(|key| is_new(key)).collect();
        let settings = self.settings();
        // Warned about once for each setting, however many plugins keep it secret.
        for key in keys.iter().filter(|key| !before.contains_key(**key) && settings.given(key).is_some()) {
            tracing::warn!(
                account = %self.name, %plugin, setting = key,
                "a secret under [settings], where plugins see what they claim, is not given to anybody: \
                 set it with `parlor plugin config`"
            );
        }
        if !keys.is_empty() {
            self.secrets.rcu(|known| {
                let mut known = BTreeMap::clone(known);
                for key in &keys {
                    known.entry((*key).to_owned()).or_default().insert(plugin.clone());
                }
                known
            });
        }
    }

    /// Makes settings readable again that no plugin keeps secret any longer.
    pub fn forget_secrets(&self, is_kept: impl Fn(&PluginId, &str) -> bool) {
        self.secrets.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.retain(|key, plugins| {
                plugins.retain(|plugin| is_kept(plugin, key));
                !plugins.is_empty()
            });
            known
        });
    }

    /// Warns about names of events that no plugin declared, after every plugin had its turn. Later names are warned
    /// about at once.
    pub fn warn_of_unknown_names(&self) {
        for (name, plugin) in self.names.open() {
            self.warn_of(&name, &plugin);
        }
    }

    /// Notes that a plugin listens to this name. Returns whether to warn about it, because no plugin declares it.
    pub(crate) fn heard_of(&self, name: &EventName, plugin: &PluginId) -> bool {
        self.names.asked_for(name, plugin, self.clock.now())
    }

    /// Warns about such a name.
    pub(crate) fn warn_of(&self, name: &str, plugin: &PluginId) {
        let nearest = self.names.nearest(name);
        let event = escape_untrusted(name, 128);
        tracing::warn!(account = %self.name, %plugin, event, nearest, "nobody declares the event that a plugin listens to");
    }

    /// Returns a receiver for the state of the connection.
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// Returns a receiver for whether the account has an archive that may be queried. None: not known yet.
    pub fn own_archive(&self) -> watch::Receiver<Option<OwnArchive>> {
        self.archive.clone()
    }

    /// Returns a counter that changes when a room that the account is in has reported whether it has an archive. The
    /// snapshot has what it reported.
    pub fn rooms_told(&self) -> watch::Receiver<u64> {
        self.rooms_told.clone()
    }

    /// Sends the session a command and waits for the answer. A command waits for those of the same sender, and for its
    /// turn among all senders. A command that sends something also waits until the link has space; other commands
    /// overtake it meanwhile.
    pub async fn ask<C: Command>(&self, by: Asker, granted: &Granted, command: C) -> Result<C::Answer, CallError> {
        let (answer, arrives) = Answer::channel();
        self.ask_holding(by, granted, AnyCommand::with(command, answer), arrives, None).await
    }

    /// Does the same as [`ask`](Self::ask) with a command whose answer arrives there, and keeps `holding` for as long as
    /// the command waits.
    pub(crate) async fn ask_holding<R>(
        &self,
        by: Asker,
        _: &Granted,
        command: AnyCommand,
        arrives: oneshot::Receiver<Result<R, CallError>>,
        holding: Option<Holding>,
    ) -> Result<R, CallError> {
        /// Bytes of memory that a command may take for each of its sender's turns that it uses.
        const TURN: usize = 16 << 10;
        let gated = command.sends();
        let turns = u32::try_from(1 + command.weight() / TURN).unwrap_or(u32::MAX);
        self.put(by, fair::Item { value: Asked::Command(command, holding), turns, gated }).await?;
        arrives.await.unwrap_or(Err(CallError::Stopped))
    }

    fn put(&self, by: Asker, asked: fair::Item<Asked>) -> impl Future<Output = Result<(), CallError>> {
        // Not an async function: each future would have room for the command once more.
        self.asked.put(by, asked).map_err(|fair::Closed| CallError::Stopped)
    }

    /// Waits for one of the host's promises, on behalf of no plugin.
    pub async fn until(&self, promise: &str) -> Result<Payload, CallError> {
        let (by, name) = (InstanceId::next(), promise.into());
        self.ask(Asker::Host, &Granted::HOST, WaitUntil { by, name }).await
    }

    /// Closes the stream cleanly. The account connects again only when a log-in is requested.
    ///
    /// ```
    /// # use parlor_runtime::account::{Asker, Shared};
    /// # use parlor_session::permissions::Granted;
    /// async fn hang_up(account: &Shared, granted: &Granted) {
    ///     let _ = account.disconnect(Asker::Host, granted).await;
    /// }
    /// ```
    ///
    /// Without the proof that the call is allowed, it does not compile:
    ///
    /// ```compile_fail
    /// # use parlor_runtime::account::{Asker, Shared};
    /// async fn hang_up(account: &Shared) {
    ///     let _ = account.disconnect(Asker::Host).await;
    /// }
    /// ```
    pub async fn disconnect(&self, by: Asker, _: &Granted) -> Result<(), CallError> {
        self.order_and_wait(by, Order::Disconnect).await
    }

    /// Logs in with the configured password or another one, and waits for the outcome. It waits until every plugin had
    /// its chance to listen, and for the minimum time since the last attempt.
    pub async fn log_in(&self, by: Asker, _: &Granted, credentials: Option<Credentials>) -> Result<(), CallError> {
        self.order_and_wait(by, |answer| Order::LogIn(credentials, answer)).await
    }

    /// Disconnects, and forgets everything that belonged to the session.
    pub async fn log_out(&self, by: Asker, _: &Granted) -> Result<(), CallError> {
        self.order_and_wait(by, Order::LogOut).await
    }

    /// Removes everything that was registered for an instance.
    pub async fn forget(&self, instance: InstanceId) {
        self.router.forget(instance);
        self.callees.forget(instance);
        self.hooks.forget(instance);
        self.announcers.forget(instance);
        self.tell(|done| Order::Forget { instance, done }).await;
    }

    /// Lets an instance register the same as another one, which it is to replace.
    pub async fn successor(&self, new: InstanceId, of: InstanceId) {
        self.tell(|done| Order::Successor { new, of, done }).await;
    }

    /// Replaces one instance by another between two events, so that exactly one of them gets each event.
    pub async fn swap(&self, old: Option<Arc<Mailbox>>, new: Arc<Mailbox>) {
        self.tell(|done| Order::Swap { old, new, done }).await;
    }

    /// Reports that every plugin had its chance to listen.
    pub async fn plugins_initialized(&self) {
        self.tell(|done| Order::PluginsInitialized { done }).await;
    }

    /// Logs in.
    pub async fn connect(&self) {
        // An account that has stopped needs no connection.
        let _ = self.order(Order::Connect).await;
    }

    /// Publishes a snapshot, as if the session had reached that state.
    #[cfg(test)]
    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Gives an order that plugins may give, in the sender's turn, and waits for the answer.
    async fn order_and_wait(&self, by: Asker, order: impl FnOnce(Answer<()>) -> Order) -> Result<(), CallError> {
        let (answer, arrives) = Answer::channel();
        self.put(by, Asked::Order(Box::new(order(answer))).into()).await?;
        arrives.await.unwrap_or(Err(CallError::Stopped))
    }

    /// Routes an event to the plugins that listen and may see it, but not to the instance that has it already.
    pub(super) fn route(&self, event: Event, has_it: Option<InstanceId>) {
        let snapshot = self.snapshot.load();
        let delivery = delivery(&self.router, &event, &snapshot);
        let is_contact = |jid: &BareJid| snapshot.is_contact(jid);
        match has_it {
            None => self.router.route(event, delivery, &is_contact),
            Some(instance) => self.router.route_except(instance, event, delivery, &is_contact),
        }
    }

    /// Routes an event to these instances alone. Returns whether any has got it.
    pub(super) fn route_to(&self, instances: &[InstanceId], event: Event) -> bool {
        let snapshot = self.snapshot.load();
        let delivery = delivery(&self.router, &event, &snapshot);
        self.router.route_among(instances, event, delivery, &|jid| snapshot.is_contact(jid))
    }

    /// Gives an order of the host. Never called in a plugin's own task: all orders wait in one channel.
    pub(super) async fn order(&self, order: Order) -> Result<(), CallError> {
        self.orders.send(Box::new(order)).await.map_err(|_| CallError::Stopped)
    }

    /// Gives an order and waits until it is done.
    pub(super) async fn tell(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, was_done) = oneshot::channel();
        if self.order(order(done)).await.is_ok() {
            // An account that ends meanwhile has done it, too.
            let _ = was_done.await;
        }
    }
}

/// Returns how an event that happens now is delivered. In a room the delivery has the number of the visit. Messages of a room
/// that is not entered yet count for the coming visit: they must not pass for everything that was missed before.
fn delivery(router: &Router, event: &Event, snapshot: &Snapshot) -> Delivery {
    let entered = match &event.payload {
        Payload::Message(message) if message.kind == MessageKind::Groupchat => {
            snapshot.rooms.get(&message.chat).map(|room| room.entered + u64::from(!room.joined))
        }
        _ => None,
    };
    entered.map_or_else(|| router.live(), Delivery::Live)
}

/// Returns the history of an account's connection.
pub fn history(account: &Shared) -> ConnectionHistory {
    account.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl KnowsRooms for Shared {
    fn is_room(&self, jid: &BareJid) -> bool {
        let snapshot = self.snapshot();
        let has_bookmark = || snapshot.bookmarks.as_ref().is_ok_and(|all| all.contains_key(jid));
        snapshot.rooms.contains_key(jid) || has_bookmark() || snapshot.known.is_at_rooms(jid, self.clock.now())
    }
}
