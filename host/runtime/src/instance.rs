//! One plugin on one account while it runs: one Store, one task, one mailbox.
//!
//! [`Instance`] is the part that the host's calls use. [`Context`] is the data inside of its Store. Dropping the future
//! of [`run`] ends the instance, and nothing else holds a part of it.

mod denied;
mod detail;
mod handed;
mod lasting;
mod mail;
mod open;
mod settings;
mod usage;

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::future::FutureExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use parlor_base::harmless::harmless;
use parlor_base::held::Held;
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::log_level::ChosenLevel;
use parlor_base::rate::Bucket;
use parlor_plugins::admission::Admitted;
use parlor_plugins::limits::Limits;
use parlor_plugins::manifest::Manifest;
use parlor_session::command_names::ChosenNames;
use parlor_session::router::{Mail, Mailbox};
use parlor_stanza::types::Message;
use rand::RngExt as _;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::Span;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime::{PoolConcurrencyLimitError, Store};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use self::detail::detail;
use self::handed::Handed;
use self::lasting::Buckets;
use self::mail::{SlowHandler, Spare, fire_timers, handle, next_due, next_mail, waiting_mail};
use crate::account;
use crate::api::log::Printed;
use crate::books::Books;
use crate::ceiling::{Ceiling, Exceeded, Taken};
use crate::clocks::{Monotonic, Wall};
use crate::engine::{Compiled, Engine};
use crate::record::Record;
use crate::settings::OwnSettings;
use crate::timers::Timers;
use crate::watchdog::{self, Allowance, Overrun};

pub(super) use self::lasting::Lasting;
pub(super) use self::open::Waits;
pub use self::open::{OpenArchiveQuery, OpenCall, OpenQuestion, Rooms};
pub use self::usage::{LimitUse, Usage};

/// The maximum length of a guest's own text in a status, in bytes.
const LONGEST_REASON: usize = 300;

/// A running plugin as the host's calls see it.
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The owner's id for the plugin.
    pub plugin: PluginId,
    /// The account that it runs for.
    pub account: Arc<account::Shared>,
    /// The queue of its events, with its grants.
    pub mailbox: Arc<Mailbox>,
    /// The resources that it may use.
    pub limits: Limits,
    /// Its own settings.
    pub settings: Arc<OwnSettings>,
    /// The minimum level of its log lines.
    pub log: Arc<ChosenLevel>,
    /// The owner's names for its commands.
    pub command_names: Arc<ChosenNames>,
    /// The CPU time that it used.
    pub cpu: Arc<watchdog::Account>,
    /// The number of events that it has handled.
    pub handled: AtomicU64,
    /// The number of calls that were denied.
    pub denials: AtomicU64,
    /// The plugin's record, which includes earlier instances.
    pub record: Arc<Record>,
    /// The author's manifest.
    manifest: Arc<Manifest>,
    /// The number of stanzas that it sent.
    pub sent: AtomicU64,
    /// The engine resources that it holds.
    taken: Arc<Taken>,
    /// Whether its language raises an error when memory runs out.
    raises: bool,
    /// The time when it started.
    since: Timestamp,
    /// The same time on the monotonic clock.
    began: Instant,
    /// The bytes that the host holds for its calls.
    held: Arc<Held>,
    /// The limit on messages and other stanzas that it sends.
    pub outgoing: Bucket,
    /// The limit on the bytes of these.
    pub outgoing_bytes: Bucket,
    /// The limit on events that it emits.
    pub emitted: Bucket,
    /// The limit on other calls that the account's task carries out.
    pub orders: Bucket,
    /// The limit on bytes that it reads from its storage and writes to it.
    pub stored: Bucket,
    /// The limit on lines that it logs, and that the host logs because of its actions.
    log_lines: Bucket,
    /// The number of lines that were dropped since one was last written.
    log_dropped: AtomicU64,
    /// The spans of handlers that have not returned, while tracing is on.
    traced: Mutex<Vec<Span>>,
    /// The number of calls that have not returned.
    open_calls: AtomicUsize,
    /// The number of archive queries, and streams of them, that have not ended.
    archive_queries: AtomicUsize,
    /// The number of requests to others that were not answered.
    questions: AtomicUsize,
    /// The times when requests were given up that may still be answered.
    given_up: Mutex<VecDeque<Instant>>,
    /// The rooms that the plugin has opened.
    rooms: Arc<Rooms>,
    /// The number of promises that it owns.
    promises: AtomicUsize,
    /// Its chat commands, and whether each can be called without the plugin's id.
    commands: Mutex<BTreeMap<String, bool>>,
    /// The time when each handler began that has not returned.
    handlers: Mutex<Vec<Instant>>,
    /// The events of handlers that were dropped before they returned.
    cut_off: Mutex<Vec<Handed>>,
    /// The messages with the commands that those handlers carried out.
    unanswered: Mutex<Vec<Arc<Message>>>,
    /// Whether only handlers of it run: it has started, and is not stopping yet.
    only_handles: AtomicBool,
    /// The calls that wait for others, whose time does not count against the plugin.
    waits: watch::Sender<Waits>,
    timers: Mutex<Timers>,
    timers_changed: Notify,
    /// Its progress in archives, if it catches up.
    pub(super) books: Books,
    /// Notified when it has taken an event out of its mailbox.
    pub(super) took: Notify,
}

impl Instance {
    /// Creates an instance. Also returns the end of its mailbox that [`run`] reads.
    pub(super) fn new(
        admitted: &Admitted,
        settings: Arc<OwnSettings>,
        log: Arc<ChosenLevel>,
        command_names: Arc<ChosenNames>,
        account: Arc<account::Shared>,
        lasting: Lasting,
        books: Books,
    ) -> (Arc<Self>, mpsc::Receiver<Box<Mail>>) {
        let id = InstanceId::next();
        let limits = admitted.limits.clone();
        let Lasting { record, rooms, failed, buckets } = lasting;
        let Buckets { outgoing, outgoing_bytes, emitted, orders, stored, log_lines } = buckets;
        let (capacity, grants) = (limits.mailbox as usize, Arc::new(admitted.grants.clone()));
        let (mailbox, receiver) = match books.rooms() {
            Some(rooms) => Mailbox::catching_up(id, capacity, grants, rooms.clone()),
            None => Mailbox::new(id, capacity, grants),
        };
        mailbox.disregard(account.records.own_contacts(&admitted.id));
        let cpu = Arc::<watchdog::Account>::default();
        // A plugin that may use a whole core all the time is not throttled at its start either.
        if failed.load(Relaxed) && limits.cpu_share < 1.0 {
            cpu.begin_in_yard();
        }
        let instance = Self {
            id,
            plugin: admitted.id.clone(),
            mailbox,
            settings,
            log,
            command_names,
            held: Held::up_to(limits.host_memory.as_usize(), cpu.charges()),
            cpu,
            handled: AtomicU64::new(0),
            denials: AtomicU64::new(0),
            record,
            manifest: Arc::clone(&admitted.manifest),
            sent: AtomicU64::new(0),
            taken: Arc::default(),
            raises: admitted.raises,
            since: account.clock.now(),
            began: Instant::now(),
            emitted,
            outgoing,
            outgoing_bytes,
            orders,
            stored,
            log_lines,
            log_dropped: AtomicU64::new(0),
            traced: Mutex::default(),
            open_calls: AtomicUsize::new(0),
            archive_queries: AtomicUsize::new(0),
            questions: AtomicUsize::new(0),
            given_up: Mutex::default(),
            rooms,
            promises: AtomicUsize::new(0),
            commands: Mutex::default(),
            handlers: Mutex::default(),
            cut_off: Mutex::default(),
            unanswered: Mutex::default(),
            only_handles: AtomicBool::new(false),
            waits: watch::Sender::default(),
            timers: Mutex::default(),
            timers_changed: Notify::new(),
            account,
            books,
            took: Notify::new(),
            limits,
        };
        (Arc::new(instance), receiver)
    }

    /// Returns whether another line about this plugin may be logged, so that no plugin fills the disk. A refused line
    /// is counted, and the count is logged before the next line.
    pub fn may_log(&self) -> bool {
        if self.log_lines.take(1.0).is_err() {
            self.log_dropped.fetch_add(1, Relaxed);
            return false;
        }
        let dropped = self.log_dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(
                target: "plugin", plugin = %self.plugin, account = %self.account.name, dropped, "log lines dropped"
            );
        }
        true
    }

    /// Locks its timers, which is only done briefly and never by the connection.
    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes its timers.
    pub fn with_timers<R>(&self, change: impl FnOnce(&mut Timers) -> R) -> R {
        let result = change(&mut self.timers());
        self.timers_changed.notify_one();
        result
    }
}

/// The data inside of an instance's Store.
pub struct Context {
    /// The instance that it belongs to.
    pub instance: Arc<Instance>,
    ceiling: Ceiling,
    table: ResourceTable,
    /// A WASI without environment, files or sockets. Printed text goes into the log.
    wasi: WasiCtx,
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Gives the groupings access to their data in a Store.
pub struct Grouping;

impl HasData for Grouping {
    type Data<'a> = &'a mut Context;
}

/// The way in which an instance ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was asked to stop, and did.
    Stopped,
    /// Its `initialize` returned an error, with this text.
    Declined(String),
    /// The engine's pool is used up by others, which is not the plugin's fault.
    NoRoom {
        /// The reason, in one sentence.
        why: String,
        /// wasmtime's description of the error.
        detail: String,
    },
    /// It trapped, or hit a limit.
    Failed {
        /// The reason, in one sentence.
        why: String,
        /// wasmtime's description of the error, with the guest's backtrace.
        detail: String,
    },
}

/// The mode in which an instance is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    /// At once: waiting handlers are dropped.
    Now,
    /// Another instance replaces it. Running handlers finish first, so that no message is left half-answered.
    Handover,
    /// The host shuts down and delivers nothing more. Events in the mailbox are handled first, for at most the limit
    /// `stop`. Then the plugin's `stop` has as much time.
    House,
}

/// Events that one instance leaves to another, in order.
pub(super) type Backlog = Vec<Box<Mail>>;

/// Everything that an instance needs to run.
pub(super) struct Start {
    /// The instance.
    pub instance: Arc<Instance>,
    /// Its code.
    pub compiled: Arc<Compiled>,
    /// The engine that compiled it.
    pub engine: Arc<Engine>,
    /// The receiving end of its mailbox.
    pub mailbox: mpsc::Receiver<Box<Mail>>,
    /// Notified when `initialize` has returned.
    pub initialized: oneshot::Sender<()>,
    /// Asks it to stop.
    pub stop: oneshot::Receiver<Parting>,
    /// The events that the replaced instance has not handled, which come before all others; `None` if it replaces none.
    pub backlog: Option<oneshot::Receiver<Backlog>>,
    /// Receives the events that it has not handled, as soon as it is asked to stop.
    pub rest: oneshot::Sender<Backlog>,
}

/// Runs an instance from its first call to its last.
pub(super) async fn run(start: Start) -> Ended {
    let (instance, places) = (Arc::clone(&start.instance), start.engine.places());
    match live(start).await {
        Ok(ended) => ended,
        Err(error) if is_full(&error) => Ended::NoRoom { why: no_room(places), detail: detail(&error) },
        Err(error) => {
            let error = Exceeded::named(error, &instance.limits);
            // A slow handler is already named in the error.
            let at_what = if error.is::<SlowHandler>() { String::new() } else { instance.at_what() };
            let detail = detail(&error);
            let why = if detail::is_full_stack(&detail) {
                FULL_STACK.to_owned()
            } else if instance.taken.is_full.load(Relaxed) && (error.is::<wasmtime::Trap>() || error.is::<I32Exit>()) {
                // It was refused more memory, and could not go on without.
                Exceeded::Memory(instance.limits.memory).to_string()
            } else {
                reason(&error)
            };
            instance.answer_cut_off().await;
            Ended::Failed { why: why + &at_what, detail }
        }
    }
}

async fn live(start: Start) -> wasmtime::Result<Ended> {
    let Start { instance, compiled, engine, mailbox, initialized, stop, mut backlog, rest } = start;
    let mut store = store(&engine, &instance);
    let plugin = compiled.pre.instantiate_async(&mut store).await?;
    instance.taken.count(compiled.pre.instance_pre().component());
    let guest = plugin.parlor_plugin_guest();
    store
        .run_concurrent(async |accessor| {
            let (mut mailbox, mut stop) = (mailbox, stop);
            let mut initialize = pin!(guest.call_initialize(accessor).fuse());
            let mut initialized = Some(initialized);
            let mut handlers = FuturesUnordered::new();
            // Events that come before the mailbox: those left by a replaced instance, and one that is held back while
            // the plugin is told of lost events before it.
            let mut ahead = VecDeque::new();
            let mut timer = pin!(tokio::time::sleep_until(Instant::now()));
            let mut due = None;
            let (most, spare) = (instance.limits.handlers as usize, Spare::default());
            let parting = loop {
                tokio::select! {
                    biased;
                    result = &mut initialize => {
                        if let Err(words) = result? {
                            return Ok(Ended::Declined(harmless(&words, LONGEST_REASON)));
                        }
                        instance.only_handles.store(true, Relaxed);
                        if let Some(initialized) = initialized.take() {
                            // The supervisor may have given up meanwhile, and then stops this instance.
                            let _ = initialized.send(());
                        }
                    }
                    Some(result) = handlers.next(), if !handlers.is_empty() => {
                        let result: wasmtime::Result<_> = result;
                        instance.books.returned(result?).await;
                        instance.handled.fetch_add(1, Relaxed);
                    }
                    // If the sender is dropped, the instance is to end.
                    parting = &mut stop => break parting.unwrap_or(Parting::Now),
                    () = &mut timer, if due.is_some() && spare.is_there(handlers.len(), most) => {
                        if let Some(mail) = fire_timers(&instance, spare.is_needed(handlers.len(), most)) {
                            let place = Some(spare.take());
                            handlers.extend(handle(&instance, guest, accessor, mail, place, &mut ahead).await);
                        }
                        due = next_due(&instance, timer.as_mut());
                    }
                    () = instance.timers_changed.notified() => due = next_due(&instance, timer.as_mut()),
                    mail = next_mail(&mut ahead, &mut backlog, &mut mailbox), if !spare.is_needed(handlers.len(), most) => {
                        let Some(mail) = mail else { break Parting::Now };
                        handlers.extend(handle(&instance, guest, accessor, mail, None, &mut ahead).await);
                    }
                }
            };
            if parting == Parting::House {
                let handled = async {
                    loop {
                        while handlers.len() < most
                            && let Some(mail) = waiting_mail(&mut ahead, &mut mailbox)
                        {
                            handlers.extend(handle(&instance, guest, accessor, mail, None, &mut ahead).await);
                        }
                        let Some(result) = handlers.next().await else { return Ok::<_, wasmtime::Error>(()) };
                        let result: wasmtime::Result<_> = result;
                        instance.books.returned(result?).await;
                        instance.handled.fetch_add(1, Relaxed);
                    }
                };
                // Remaining events are lost, except that a plugin that catches up gets the messages again.
                if let Ok(result) = tokio::time::timeout(instance.limits.stop, handled).await {
                    result?;
                }
            }
            // Running handlers may finish during `stop`; the supervisor's timeout limits both.
            mailbox.close();
            let mut left = Vec::from(ahead);
            while let Ok(mail) = mailbox.try_recv() {
                left.push(mail);
            }
            if parting == Parting::House && !left.is_empty() {
                tracing::warn!(
                    plugin = %instance.plugin, account = %instance.account.name, left = left.len(),
                    "plugin did not come to handle all that it was told"
                );
            }
            // The receiver may be gone.
            let _ = rest.send(left);
            if parting == Parting::Handover {
                while let Some(result) = handlers.next().await {
                    instance.books.returned(result?).await;
                    instance.handled.fetch_add(1, Relaxed);
                }
            }
            instance.only_handles.store(false, Relaxed);
            let mut goodbye = pin!(guest.call_stop(accessor).fuse());
            loop {
                tokio::select! {
                    biased;
                    result = &mut goodbye => {
                        result?;
                        return Ok(Ended::Stopped);
                    }
                    Some(result) = handlers.next(), if !handlers.is_empty() => instance.books.returned(result?).await,
                }
            }
        })
        .await
        .flatten()
}

fn store(engine: &Engine, instance: &Arc<Instance>) -> Store<Context> {
    let (limits, chance) = (&instance.limits, &instance.account.chance);
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.handles as usize);
    let context = Context {
        instance: Arc::clone(instance),
        ceiling: Ceiling::new(limits, instance.raises, Arc::clone(&instance.taken)),
        table,
        // Random bytes are first produced in the host's memory, so their number is limited. Sockets are denied, since
        // even an unconnected one takes a file descriptor of the host.
        wasi: WasiCtx::builder()
            .secure_random(chance.generator())
            .insecure_random(chance.generator())
            .insecure_random_seed(chance.generator().random())
            .max_random_size(limits.hostcall_bytes.as_usize() as u64)
            .allow_tcp(false)
            .allow_udp(false)
            .monotonic_clock(Monotonic::start())
            .wall_clock(Wall(instance.account.clock))
            .stdout(Printed::output(instance))
            .stderr(Printed::error(instance))
            .build(),
    };
    let mut store = Store::new(engine.wasmtime(), context);
    store.limiter(|context| &mut context.ceiling);
    store.set_hostcall_fuel(limits.hostcall_bytes.as_usize());
    store.set_max_component_handles(limits.handles as usize);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(limits.handles as usize);
    }
    let (cpu, allowance) = (Arc::clone(&instance.cpu), allowance(limits));
    store.epoch_deadline_callback(move |_| watchdog::on_epoch(&cpu, allowance).map_err(wasmtime::Error::new));
    store.set_epoch_deadline(1);
    store
}

/// Returns the CPU time that an instance with these limits may use.
pub(super) fn allowance(limits: &Limits) -> Allowance {
    Allowance { share: limits.cpu_share, burst: limits.cpu_burst, slice: limits.cpu_slice }
}

/// Returns whether the shared pool was used up.
fn is_full(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>()
}

/// Returns the same as a sentence for the owner.
fn no_room(places: u32) -> String {
    format!(
        "the host has room for {places} plugins, counted on each account by itself, and all of it is taken: run some \
         accounts in another parlor"
    )
}

/// The reason for a plugin whose calls nest too deep.
const FULL_STACK: &str = "it used up its stack";

/// Returns the reason as a sentence for the owner.
fn reason(error: &wasmtime::Error) -> String {
    if let Some(overrun) = error.downcast_ref::<Overrun>() {
        return overrun.to_string();
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return exceeded.to_string();
    }
    if let Some(slow) = error.downcast_ref::<SlowHandler>() {
        return slow.to_string();
    }
    // The exit status is not shown: the adapter maps all failures to the same one.
    if error.is::<I32Exit>() {
        return "it called exit".to_owned();
    }
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        return match trap {
            wasmtime::Trap::StackOverflow => FULL_STACK.into(),
            wasmtime::Trap::UnreachableCodeReached => "it panicked or aborted".into(),
            trap => format!("it trapped: {trap}"),
        };
    }
    // The outer context says where it happened, which belongs to the detail.
    harmless(&error.root_cause().to_string(), LONGEST_REASON)
}

#[cfg(test)]
pub mod tests;
