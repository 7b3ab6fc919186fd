//! A component of a server (XEP-0114): one stream for all addresses of a domain. Each address is an account, for which this
//! takes the place of a server.
//!
//! The task here owns the stream, and connects once the first address wants to. [`Exchange`] holds what passes between the
//! stream and the addresses.

mod answers;
mod exchange;
mod guests;
mod last;
mod people;
mod rules;
mod seat;
mod sleepers;
mod state;

use std::future::pending;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jid::BareJid;
use parlor_config::{LinkSettings, NewAddresses, OwnAddresses};
use parlor_stanza::decode::Arrived;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::types::Outgoing;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use self::exchange::Exchange;
use super::component_error::ComponentError;
use super::error::ConnectError;
use super::event::LinkEvent;
use super::keepalive::FOR_EVER;
use super::link::Link;
use super::local::LocalServer;

/// The resource of an address whose account names none. It is always the same one, so that others can go on writing to it.
const RESOURCE: &str = "parlor";
/// The minimum time between two streams, if the first one ended for good.
const INTERVAL: Duration = Duration::from_secs(2);
/// The maximum number of orders that wait for the task.
const ORDERS: usize = 4;

/// A component of a server, with the task that owns its stream. The task ends when this is dropped.
#[derive(Debug)]
pub struct Component {
    exchange: Arc<Exchange>,
    orders: mpsc::Sender<Order>,
}

/// The state of the stream of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentState {
    /// Nothing has wanted a stream yet.
    Idle,
    /// The host connects.
    Connecting,
    /// The addresses can send and receive.
    Connected,
    /// The host could not connect, and tries it again.
    Retrying(ConnectError),
    /// The host could not connect, and does not try it again by itself.
    Failed(ConnectError),
}

#[derive(Debug)]
enum Order {
    Follow(Box<LinkSettings>),
    Stop(oneshot::Sender<()>),
}

impl Component {
    /// Starts the task. The settings are those of the component: its `jid` is the domain. Must be called within a runtime.
    pub fn start(settings: LinkSettings) -> Self {
        let exchange = Arc::new(Exchange::new(settings.jid.to_bare()));
        let (orders, ordered) = mpsc::channel(ORDERS);
        let worker =
            Worker { exchange: Arc::clone(&exchange), settings, orders: ordered, link: None, began: None, cut: None };
        tokio::spawn(worker.run());
        Self { exchange, orders }
    }

    /// Returns the replacement for a server, for an address of the domain.
    pub fn address(&self, jid: BareJid) -> Arc<dyn LocalServer> {
        Arc::new(Address { jid, exchange: Arc::clone(&self.exchange) })
    }

    /// Returns the state of the stream.
    pub fn state(&self) -> ComponentState {
        self.exchange.stream_state()
    }

    /// Returns how many received stanzas were refused, since they named no sender, or no recipient in the domain.
    pub fn refused(&self) -> u64 {
        self.exchange.refused()
    }

    /// Sets which addresses without an account are to become accounts when somebody writes to them; `None`: none are. Nobody
    /// causes it from an address of the host's `own`. `arrivals` is notified when there is such an address. If the stream has
    /// failed for good, it is tried again.
    pub fn admit(&self, rule: Option<NewAddresses>, own: &Arc<OwnAddresses>, arrivals: &Arc<Notify>) {
        self.exchange.admit(rule, own, arrivals);
    }

    /// Returns the addresses that are to become accounts, each once. Messages to them wait until their accounts log in, or until
    /// [`turn_away`](Self::turn_away).
    pub fn newcomers(&self) -> Vec<BareJid> {
        self.exchange.with_guests(guests::Guests::news)
    }

    /// Lets an address be among the [`newcomers`](Self::newcomers) again, if messages to it still wait.
    pub fn put_off(&self, address: &BareJid) {
        self.exchange.with_guests(|guests| guests.put_off(address));
    }

    /// Gives messages to an address that becomes no account back to their senders.
    pub fn turn_away(&self, address: &BareJid) {
        self.exchange.turn_away(address, guests::nobody);
    }

    /// Turns those away that have waited for a minute. Returns whether others still wait.
    pub fn turn_away_overdue(&self) -> bool {
        for address in self.exchange.with_guests(|guests| guests.overdue()) {
            self.exchange.turn_away(&address, guests::later);
        }
        !self.exchange.with_guests(|guests| guests.is_empty())
    }

    /// Sets what is notified when an address that sleeps is to be woken.
    pub fn rouse(&self, notify: &Arc<Notify>) {
        self.exchange.with_sleepers(|sleepers| sleepers.rouse(notify));
    }

    /// Lets these addresses sleep, whose accounts do not run. Stanzas for them wait until their accounts log in, or until
    /// [`remove_sleeper`](Self::remove_sleeper).
    pub fn add_sleepers(&self, addresses: impl IntoIterator<Item = BareJid>) {
        self.exchange.add_sleepers(addresses.into_iter());
    }

    /// Returns whether an address is connected, no stanza came for it or left for so long, and it is available to nobody.
    pub fn is_quiet(&self, address: &BareJid, quiet: Duration) -> bool {
        self.exchange.is_quiet(address, quiet)
    }

    /// Lets an address fall asleep whose account runs, if it is connected, and no stanza came for it or left for so long. Stanzas
    /// for it wait from then on. Returns whether it is so: the account can end then.
    pub fn fall_asleep(&self, address: &BareJid, quiet: Duration) -> bool {
        self.exchange.fall_asleep(address, quiet)
    }

    /// Lets an address be awake after all whose account has not ended. It gets the stanzas that came since.
    pub fn stay_awake(&self, address: &BareJid) {
        self.exchange.stay_awake(address);
    }

    /// Lets an address sleep no longer that becomes no account again. Stanzas for it go back to their senders.
    pub fn remove_sleeper(&self, address: &BareJid) {
        let remove = |sleepers: &mut sleepers::Sleepers| {
            sleepers.remove(address);
            sleepers.leave(address)
        };
        self.exchange.give_up(remove, guests::nobody);
    }

    /// Returns the next of these addresses that stanzas wait for, the oldest first, each once.
    pub fn next_roused(&self, most: usize) -> Vec<BareJid> {
        self.exchange.with_sleepers(|sleepers| sleepers.next_roused(most))
    }

    /// Lets an address be among the [`next_roused`](Self::next_roused) again, if stanzas still wait for it.
    pub fn rouse_again(&self, address: BareJid) {
        self.exchange.with_sleepers(|sleepers| sleepers.rouse_again(address));
    }

    /// Gives stanzas back that have waited for a minute for an address to wake. Returns whether others still wait.
    pub fn give_up_overdue(&self) -> bool {
        self.exchange.give_up(sleepers::Sleepers::overdue, guests::later);
        self.exchange.with_sleepers(|sleepers| sleepers.have_waiting())
    }

    /// Applies new settings of the same domain. A stream that led elsewhere is replaced.
    pub async fn follow(&self, settings: LinkSettings) {
        // The task only ends with this.
        let _ = self.orders.send(Order::Follow(Box::new(settings))).await;
    }

    /// Sends what waits, closes the stream, and ends the task.
    pub async fn stop(&self) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send(Order::Stop(done)).await.is_ok() {
            let _ = is_done.await;
        }
    }
}

/// An address of a component. It takes the place of its server.
#[derive(Debug)]
struct Address {
    jid: BareJid,
    exchange: Arc<Exchange>,
}

impl LocalServer for Address {
    fn open(&self, settings: &LinkSettings) {
        let own = settings
            .jid
            .clone()
            .try_into_full()
            .unwrap_or_else(|bare| bare.with_resource_str(RESOURCE).expect("a short ASCII word is a resource"));
        self.exchange.open(&self.jid, own);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        self.exchange.poll(&self.jid, cx)
    }

    fn has_room(&self) -> bool {
        self.exchange.has_room(&self.jid)
    }

    fn hear(&self, outgoing: Outgoing) {
        self.exchange.hear(&self.jid, outgoing);
    }

    fn close(&self) {
        self.exchange.close(&self.jid);
    }

    fn gone(&self) {
        self.exchange.close(&self.jid);
    }
}

/// The task's own state.
struct Worker {
    exchange: Arc<Exchange>,
    settings: LinkSettings,
    orders: mpsc::Receiver<Order>,
    /// None: no address has wanted a stream yet, or the last one ended for good.
    link: Option<Link>,
    /// When the last link began.
    began: Option<Instant>,
    /// When the stream was lost; `None` while there is one.
    cut: Option<Instant>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let waits = self.fill();
            tokio::select! {
                // The order follows from the input, not from chance. Rare branches come first.
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::Follow(settings)) => self.follow(*settings),
                    Some(Order::Stop(done)) => {
                        self.end().await;
                        let _ = done.send(());
                        return;
                    }
                    None => return self.end().await,
                },
                () = self.exchange.wanted(), if self.link.is_none() => self.connect(),
                event = next(&mut self.link, waits) => {
                    if let Some(event) = event {
                        self.on_link(event);
                    }
                }
                () = self.exchange.more(), if !waits => {}
            }
        }
    }

    /// Hands stanzas of the addresses to the stream, one address after the other, while it has room. Returns whether some
    /// still wait for room.
    fn fill(&mut self) -> bool {
        let Some(link) = self.link.as_mut().filter(|_| self.exchange.is_live()) else { return false };
        while link.has_room() {
            let Some(stanza) = self.exchange.next() else { return false };
            link.send_written(stanza);
        }
        self.exchange.has_more()
    }

    fn connect(&mut self) {
        let after = self.began.map_or(Duration::ZERO, |began| INTERVAL.saturating_sub(began.elapsed()));
        self.began = Some(Instant::now());
        self.exchange.begun();
        let exchange = Arc::clone(&self.exchange);
        let post = Arc::new(move |arrived: Arrived| exchange.deliver(arrived));
        self.link = Some(Link::of_many(kept_by_the_link(&self.settings), after, post));
    }

    /// Applies new settings. After a failure for good, they are tried at once.
    fn follow(&mut self, settings: LinkSettings) {
        let before = std::mem::replace(&mut self.settings, settings);
        match &mut self.link {
            Some(link) => link.follow(kept_by_the_link(&self.settings), &kept_by_the_link(&before)),
            None if self.exchange.is_wanted() => self.connect(),
            None => {}
        }
    }

    fn on_link(&mut self, event: LinkEvent) {
        let component = self.settings.jid.as_str();
        match event {
            LinkEvent::Bound { again, .. } => {
                tracing::info!(%component, "component connected");
                let is_late = self.cut.take().is_some_and(|cut| cut.elapsed() > self.settings.keep_unsent);
                self.exchange.bound(is_late);
                for stanza in again {
                    if !(is_late && self.exchange.give_back(stanza.stanza()))
                        && let Some(link) = &mut self.link
                    {
                        link.send(Outgoing::Again(stanza));
                    }
                }
            }
            LinkEvent::Suspended { why } => {
                tracing::warn!(%component, reason = %why, "the connection of a component was lost, reconnecting");
                self.cut = Some(Instant::now());
                self.exchange.suspended(&why);
            }
            LinkEvent::Trying => self.exchange.trying(),
            LinkEvent::Retrying { after, why } => {
                tracing::warn!(%component, reason = %why, after_ms = after.as_millis(), "a component cannot connect, trying again");
                self.exchange.retrying(after, &why);
            }
            LinkEvent::Failed(why) => {
                let why = of_component(why, component);
                let accounts = self.exchange.accounts();
                tracing::error!(%component, accounts, reason = %why, "component failed");
                self.link = None;
                self.exchange.failed(&why);
            }
            LinkEvent::Closed => {
                tracing::error!(
                    %component,
                    "the connection task of a component has ended: a bug in the host; please report it, with the panic in the log; connecting again"
                );
                self.link = None;
                if self.exchange.is_live() {
                    self.cut = Some(Instant::now());
                }
                self.exchange.closed(&Lost::Bug);
                if self.exchange.is_wanted() {
                    self.connect();
                }
            }
            // There is no session that a server could resume, and stanzas do not come as events.
            LinkEvent::Resumed { .. } | LinkEvent::Stanza(_) => {}
        }
    }

    async fn end(&mut self) {
        // Nobody makes accounts any more.
        self.exchange.with_guests(guests::Guests::close);
        self.exchange.give_up(sleepers::Sleepers::close, guests::later);
        let Some(mut link) = self.link.take() else { return };
        if self.exchange.is_live() {
            while let Some(stanza) = self.exchange.next() {
                link.send_written(stanza);
            }
        }
        link.close().await;
    }
}

/// Returns the next event of the link. If something `waits` for room in it, returns `None` as soon as there is room.
async fn next(link: &mut Option<Link>, waits: bool) -> Option<LinkEvent> {
    match link {
        None => pending().await,
        Some(link) if waits => link.next_or_room().await,
        Some(link) => Some(link.next().await),
    }
}

/// Returns what a failure on a live stream means for a component.
fn of_component(why: ConnectError, domain: &str) -> ConnectError {
    let domain = domain.to_owned();
    match why {
        ConnectError::Conflict { .. } => ComponentError::Taken { domain, text: None }.into(),
        ConnectError::Revoked { text, .. } => ComponentError::SecretRefused { domain, text }.into(),
        why => why,
    }
}

/// Returns the settings of the link. It returns all messages that a lost stream had taken, and the task decides which of them
/// are too old.
fn kept_by_the_link(settings: &LinkSettings) -> LinkSettings {
    LinkSettings { keep_unsent: FOR_EVER, ..settings.clone() }
}

#[cfg(test)]
mod tests;
