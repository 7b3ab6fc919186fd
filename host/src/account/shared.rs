//! What plugins and the host hold of an account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};
use jid::{BareJid, Jid};
use tokio::sync::{mpsc, oneshot, watch};

use super::logins::Credentials;
use super::{Asked, Asker, Order};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::{AccountName, Settings};
use crate::error::CallError;
use crate::event::{Event, EventName, Payload};
use crate::fair;
use crate::harmless::harmless;
use crate::plugins::{Holding, InstanceId, PluginId, Records};
use crate::router::{Course, Mailbox, Names, Router};
use crate::session::{Answer, Command, OwnArchive, Snapshot};
use crate::stanza::{AdHocRequest, MessageKind};
use crate::store::PluginData;
use crate::xmpp::Tokens;

/// What plugins and the host hold of an account.
#[derive(Debug)]
pub struct Shared {
    /// Its name in the configuration.
    pub name: AccountName,
    /// Its bare JID.
    pub own: BareJid,
    /// Who listens to what.
    pub router: Router,
    /// What time it is.
    pub clock: Clock,
    /// Where its plugins have their random numbers from.
    pub chance: Chance,
    pub(super) data: PluginData,
    pub(super) snapshot: ArcSwap<Snapshot>,
    pub(super) settings: ArcSwap<Settings>,
    /// Which names of events are known.
    pub names: Names,
    /// The records of its plugins since the host started.
    pub records: Records,
    /// Settings under `[settings]` that plugins keep secret, with those plugins.
    pub(super) secrets: ArcSwap<BTreeMap<String, BTreeSet<PluginId>>>,
    /// Those of its BOSH session, while it has one.
    pub(super) tokens: Tokens,
    /// What plugins ask of the account's task, served in turn.
    pub(super) asked: fair::Sender<Asker, Asked>,
    pub(super) orders: mpsc::Sender<Order>,
    /// Commands of owners, until somebody hears them.
    pub(super) owner_requests: Mutex<Option<mpsc::Receiver<AdHocRequest>>>,
    pub(super) connection: watch::Receiver<Connection>,
    pub(super) archive: watch::Receiver<Option<OwnArchive>>,
    pub(super) rooms_told: watch::Receiver<u64>,
}

/// How an account stands with its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// It was not asked to log in, or has logged out.
    Offline,
    /// It tries for the first time.
    Connecting,
    /// It is bound to this full JID.
    Connected(Jid),
    /// It was cut, or could not be reached, and is tried again.
    Retrying(String),
    /// It was cut, and is not tried again since the owner wants none after a cut (the setting `auto_reconnect`): to try again
    /// would help.
    Left(String),
    /// It will not be tried again, and to try would not help.
    Failed(String),
}

impl Connection {
    /// Why it is over until somebody asks for another.
    pub fn over(&self) -> Option<&str> {
        match self {
            Self::Left(why) | Self::Failed(why) => Some(why),
            Self::Offline | Self::Connecting | Self::Connected(_) | Self::Retrying(_) => None,
        }
    }
}

impl Shared {
    /// What is known now. A short read without a lock.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// What its plugins keep on this machine.
    pub fn data(&self) -> &PluginData {
        &self.data
    }

    /// The host's settings for this account.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// The tokens of its BOSH session, if it has one.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Whether a plugin keeps a setting of this name secret.
    pub fn is_secret(&self, key: &str) -> bool {
        self.secrets.load().contains_key(key)
    }

    /// Nobody reads these settings of a plugin under `[settings]`, from now on and for as long as it keeps them.
    pub(crate) fn keep_secret<'a>(&self, plugin: &PluginId, keys: impl Iterator<Item = &'a str>) {
        let before = self.secrets.load();
        let is_new = |key: &str| before.get(key).is_none_or(|plugins| !plugins.contains(plugin));
        let keys: Vec<&str> = keys.filter(|key| is_new(key)).collect();
        let settings = self.settings();
        // Said once of each, however many keep it.
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

    /// What those who kept it secret keep so no more is a setting like any other.
    pub(crate) fn forget_secrets(&self, is_kept: impl Fn(&PluginId, &str) -> bool) {
        self.secrets.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.retain(|key, plugins| {
                plugins.retain(|plugin| is_kept(plugin, key));
                !plugins.is_empty()
            });
            known
        });
    }

    /// Every plugin had its turn: names that nobody declared are warned about, and further ones at once.
    pub(crate) fn warn_of_unknown_names(&self) {
        for (name, plugin) in self.names.open() {
            self.warn_of(&name, &plugin);
        }
    }

    /// A plugin listens to this name. Whether it is one to be warned of: nobody declares it.
    pub(crate) fn heard_of(&self, name: &EventName, plugin: &PluginId) -> bool {
        self.names.asked_for(name, plugin)
    }

    /// Warns of such a name.
    pub(crate) fn warn_of(&self, name: &str, plugin: &PluginId) {
        let nearest = self.names.nearest(name);
        let event = harmless(name, 128);
        tracing::warn!(account = %self.name, %plugin, event, nearest, "nobody declares the event that a plugin listens to");
    }

    /// How it stands with its server, now and from now on.
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// Whether the account has an archive that may be asked, now and from now on; none while nobody knows.
    pub(crate) fn own_archive(&self) -> watch::Receiver<Option<OwnArchive>> {
        self.archive.clone()
    }

    /// Changes when a room that the account is in has said whether it has an archive; the snapshot has what it said.
    pub(crate) fn rooms_told(&self) -> watch::Receiver<u64> {
        self.rooms_told.clone()
    }

    /// Asks the session for something and waits for the answer. A command waits for those of the same asker, and for its turn among
    /// all askers. One that sends something also waits until the link has room; other commands pass it meanwhile.
    pub async fn ask<R>(&self, by: Asker, command: impl FnOnce(Answer<R>) -> Command) -> Result<R, CallError> {
        self.ask_holding(by, command, |_| Ok(None)).await
    }

    /// The same. What `hold` gives is kept for as long as the command waits.
    pub(crate) async fn ask_holding<R>(
        &self,
        by: Asker,
        command: impl FnOnce(Answer<R>) -> Command,
        hold: impl FnOnce(&Command) -> Result<Option<Holding>, CallError>,
    ) -> Result<R, CallError> {
        /// How many bytes of memory a command may take for each turn that it takes of its asker's.
        const TURN: usize = 16 << 10;
        let (answer, arrives) = Answer::channel();
        let command = command(answer);
        let (gated, holding) = (command.sends(), hold(&command)?);
        let turns = u32::try_from(1 + command.weight() / TURN).unwrap_or(u32::MAX);
        self.put(by, fair::Item { value: Asked::Command(command, holding), turns, gated }).await?;
        arrives.await.unwrap_or(Err(CallError::Stopped))
    }

    async fn put(&self, by: Asker, asked: fair::Item<Asked>) -> Result<(), CallError> {
        self.asked.put(by, asked).await.map_err(|fair::Closed| CallError::Stopped)
    }

    /// Waits for a promise of the host's in nobody's name.
    pub async fn until(&self, promise: &str) -> Result<Payload, CallError> {
        let (by, name) = (InstanceId::next(), promise.into());
        self.ask(Asker::Host, |answer| Command::WaitUntil { by, name, answer }).await
    }

    /// Ends the stream cleanly; it is not connected again until somebody logs in.
    pub async fn disconnect(&self, by: Asker) -> Result<(), CallError> {
        self.order_and_wait(by, Order::Disconnect).await
    }

    /// Logs in, with the configured password or another one, and waits until that is done. Not before every plugin had its
    /// chance to listen, and never sooner than a while after the last attempt.
    pub async fn log_in(&self, by: Asker, credentials: Option<Credentials>) -> Result<(), CallError> {
        self.order_and_wait(by, |answer| Order::LogIn(credentials, answer)).await
    }

    /// Disconnects, and forgets what belonged to the session.
    pub async fn log_out(&self, by: Asker) -> Result<(), CallError> {
        self.order_and_wait(by, Order::LogOut).await
    }

    /// Takes away everything that was registered under an instance.
    pub async fn forget(&self, instance: InstanceId) {
        self.router.forget(instance);
        self.tell(|done| Order::Forget { instance, done }).await;
    }

    /// Lets an instance register what another one has registered, whose place it is to take.
    pub(crate) async fn heir(&self, new: InstanceId, of: InstanceId) {
        self.tell(|done| Order::Heir { new, of, done }).await;
    }

    /// Puts one instance in the place of another: between two events, so that each event is heard by just one of them.
    pub(crate) async fn swap(&self, old: Option<Arc<Mailbox>>, new: Arc<Mailbox>) {
        self.tell(|done| Order::Swap { old, new, done }).await;
    }

    /// Says that every plugin was given its chance to listen.
    pub(crate) async fn plugins_initialized(&self) {
        self.tell(|done| Order::PluginsInitialized { done }).await;
    }

    /// Logs in.
    pub(crate) async fn connect(&self) {
        // An account that has stopped needs no connection.
        let _ = self.order(Order::Connect).await;
    }

    /// As if the session had got so far.
    #[cfg(test)]
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Gives an order that a plugin may give, in its turn, and waits for the answer.
    async fn order_and_wait(&self, by: Asker, order: impl FnOnce(Answer<()>) -> Order) -> Result<(), CallError> {
        let (answer, arrives) = Answer::channel();
        self.put(by, Asked::Order(order(answer)).into()).await?;
        arrives.await.unwrap_or(Err(CallError::Stopped))
    }

    /// Gives an event to whoever listens and may see it.
    pub(super) fn route(&self, event: Event) {
        let snapshot = self.snapshot.load();
        let course = self.course(&event, &snapshot);
        self.router.route(event, course, &|jid| snapshot.is_contact(jid));
    }

    /// How an event comes that happens now: in a room, since it was entered, or since it is entered anew. What a room says to who is
    /// not in it yet is of the time that is to come: it must not pass for all that was missed before.
    fn course(&self, event: &Event, snapshot: &Snapshot) -> Course {
        let entered = match &event.payload {
            Payload::Message(message) if message.kind == MessageKind::Groupchat => {
                snapshot.rooms.get(&message.chat).map(|room| room.entered + u64::from(!room.joined))
            }
            _ => None,
        };
        entered.map_or_else(|| self.router.live(), Course::Live)
    }

    /// The same, but to this one instance alone.
    pub(super) fn route_to(&self, instance: InstanceId, event: Event) {
        let snapshot = self.snapshot.load();
        self.router.route_to(instance, event, &|jid| snapshot.is_contact(jid));
    }

    /// Gives a message of the archive to an instance that missed it. Whether it is told.
    pub(super) fn route_missed(&self, to: &Mailbox, event: Event) -> bool {
        let snapshot = self.snapshot.load();
        self.router.route_missed(to.instance(), event, &|jid| snapshot.is_contact(jid))
    }

    /// Gives an order of the host's. Never called in a plugin's own task: all orders wait in one channel.
    pub(super) async fn order(&self, order: Order) -> Result<(), CallError> {
        self.orders.send(order).await.map_err(|_| CallError::Stopped)
    }

    /// Asks for something that has no answer but that it was done.
    pub(super) async fn tell(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, was_done) = oneshot::channel();
        if self.order(order(done)).await.is_ok() {
            // An account that ends meanwhile has done it, too.
            let _ = was_done.await;
        }
    }
}
