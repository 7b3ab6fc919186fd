//! One plugin on one account while it runs: one Store, one task, one mailbox.
//!
//! [`Instance`] is what the host's calls see of it; [`Context`] is what lives inside its Store. Dropping the future of
//! [`run`] ends it, and nothing else holds a piece of it.

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
pub(super) use self::lasting::Lasting;
use self::mail::{SlowHandler, Spare, fire_timers, handle, next_due, next_mail, waiting_mail};
pub(super) use self::open::Waits;
pub(crate) use self::open::{OpenArchiveQuery, OpenCall, OpenQuestion, Rooms};
pub use self::usage::{LimitUse, Usage};
use super::admission::Admitted;
use super::books::Books;
use super::ceiling::{Ceiling, Exceeded, Taken};
use super::clocks::{Monotonic, Wall};
use super::engine::{Compiled, Engine};
use super::held::Held;
use super::id::PluginId;
use super::limits::Limits;
use super::log_level::ChosenLevel;
use super::manifest::Manifest;
use super::rate::Bucket;
use super::record::Record;
use super::settings::OwnSettings;
use super::timers::Timers;
use super::watchdog::{self, Allowance, Overrun};
use super::{ChosenNames, InstanceId};
use crate::account;
use crate::api::log::Printed;
use crate::harmless::harmless;
use crate::router::{Mail, Mailbox};
use crate::stanza::Message;

/// How much of a guest's own words a status shows, in bytes.
const LONGEST_REASON: usize = 300;

/// What the host's calls see of a running plugin.
pub struct Instance {
    /// Its number.
    pub id: InstanceId,
    /// The owner's name for the plugin.
    pub plugin: PluginId,
    /// The account that it runs for.
    pub account: Arc<account::Shared>,
    /// Where events for it go, and what it may see and do.
    pub mailbox: Arc<Mailbox>,
    /// What it may use.
    pub limits: Limits,
    /// Its own settings.
    pub settings: Arc<OwnSettings>,
    /// How much of what it says is wanted.
    pub(crate) log: Arc<ChosenLevel>,
    /// The owner's names for its commands.
    pub(crate) command_names: Arc<ChosenNames>,
    /// The CPU time it used.
    pub cpu: Arc<watchdog::Account>,
    /// How many events it has handled.
    pub handled: AtomicU64,
    /// How many calls were denied.
    pub denials: AtomicU64,
    /// The plugin's record, which earlier instances began.
    pub(crate) record: Arc<Record>,
    /// What its author declares.
    manifest: Arc<Manifest>,
    /// How many stanzas it sent.
    pub sent: AtomicU64,
    /// What it holds of the engine.
    taken: Arc<Taken>,
    /// Its language raises an error of its own where there is no more memory.
    raises: bool,
    /// When it started.
    since: Timestamp,
    /// The same by the clock that nobody sets.
    began: Instant,
    /// Bytes that the host holds for its calls.
    held: Arc<Held>,
    /// Messages and other stanzas that it sends.
    pub outgoing: Bucket,
    /// The bytes of these.
    pub outgoing_bytes: Bucket,
    /// Events that it emits.
    pub emitted: Bucket,
    /// Other calls that the account's task carries out.
    pub orders: Bucket,
    /// Bytes that it reads from its storage and writes to it.
    pub stored: Bucket,
    /// Lines that it logs, and that the host logs because of what it does.
    log_lines: Bucket,
    /// Lines that were dropped since one was last written.
    log_dropped: AtomicU64,
    /// The spans of handlers that have not returned, while anybody wants them.
    traced: Mutex<Vec<Span>>,
    /// Calls that have not returned.
    open_calls: AtomicUsize,
    /// Queries of archives and streams of them that have not ended.
    archive_queries: AtomicUsize,
    /// Questions to others that were not answered.
    questions: AtomicUsize,
    /// When questions were given up that may still be answered.
    given_up: Mutex<VecDeque<Instant>>,
    /// Rooms that the plugin has opened.
    rooms: Arc<Rooms>,
    /// Promises that it owns.
    promises: AtomicUsize,
    /// Commands that people may say to it, and whether each goes by its name alone.
    commands: Mutex<BTreeMap<String, bool>>,
    /// When each handler began that has not returned.
    handlers: Mutex<Vec<Instant>>,
    /// What was handed to those that never will.
    cut_off: Mutex<Vec<Handed>>,
    /// The messages with commands that those had.
    unanswered: Mutex<Vec<Arc<Message>>>,
    /// Whether nothing of it runs but handlers: it has started, and does not stop yet.
    only_handles: AtomicBool,
    /// Calls that wait for others: their time is not held against the plugin.
    waits: watch::Sender<Waits>,
    timers: Mutex<Timers>,
    timers_changed: Notify,
    /// Up to where in archives it has come, if it catches up.
    pub(super) books: Books,
    /// It took something out of its mailbox.
    pub(super) took: Notify,
}

impl Instance {
    /// A new one, and the end of its mailbox that [`run`] reads.
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
        // Who may have a whole core for as long as they like takes it from nobody.
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
            held: Held::up_to(limits.host_memory.as_usize(), Arc::clone(&cpu)),
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

    /// Whether one more line about it may go into the log, so that no plugin fills the disk. A line that may not is
    /// counted, and the count is logged before the next one.
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

    /// Its timers. Held only for a moment, and never by the connection.
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

/// What lives inside an instance's Store.
pub(crate) struct Context {
    pub(crate) instance: Arc<Instance>,
    ceiling: Ceiling,
    table: ResourceTable,
    /// No environment, files or sockets; what is printed goes into the log.
    wasi: WasiCtx,
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// How the groupings reach their data in a Store.
pub(crate) struct Grouping;

impl HasData for Grouping {
    type Data<'a> = &'a mut Context;
}

/// How an instance's life came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was asked to stop, and did.
    Stopped,
    /// Its `initialize` said no, in its own words.
    Declined(String),
    /// Others have all that the engine's pool has. That is no fault of its own.
    NoRoom {
        /// One sentence.
        why: String,
        /// wasmtime's account of it.
        detail: String,
    },
    /// It trapped, or hit a limit.
    Failed {
        /// One sentence.
        why: String,
        /// wasmtime's account of it, with the guest's backtrace.
        detail: String,
    },
}

/// How an instance ends that is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    /// At once: handlers that wait are cut off.
    Now,
    /// Another one takes its place: handlers in flight come to their end first, so that nobody's message is left half-answered.
    Handover,
    /// The house stops, and tells nobody anything more: what waits in the mailbox is handled first, for as long as the limit
    /// `stop` says, and then its `stop` has as long.
    House,
}

/// Mail that one instance leaves to another, in its order.
pub(super) type Backlog = Vec<Box<Mail>>;

/// What an instance needs to run.
pub(super) struct Start {
    /// Its handle.
    pub instance: Arc<Instance>,
    /// Its code.
    pub compiled: Arc<Compiled>,
    /// The engine that compiled it.
    pub engine: Arc<Engine>,
    /// Its end of the mailbox.
    pub mailbox: mpsc::Receiver<Box<Mail>>,
    /// Told when `initialize` has returned.
    pub initialized: oneshot::Sender<()>,
    /// Asks it to stop.
    pub stop: oneshot::Receiver<Parting>,
    /// For one that takes another one's place: what that one has not handled, which comes before all other mail.
    pub backlog: Option<oneshot::Receiver<Backlog>>,
    /// Where what it has not handled goes as soon as it is asked to stop.
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
            // That one says itself which handler it was.
            let at_what = if error.is::<SlowHandler>() { String::new() } else { instance.at_what() };
            let detail = detail(&error);
            let why = if detail::is_full_stack(&detail) {
                FULL_STACK.to_owned()
            } else if instance.taken.is_full.load(Relaxed) && (error.is::<wasmtime::Trap>() || error.is::<I32Exit>()) {
                // It was told so, and could not go on without.
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
            // What comes before the mailbox: mail that another one left, and what comes after events that were lost, while
            // the plugin is told of the loss.
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
                            // Whoever started us may have given up meanwhile, and then stops us.
                            let _ = initialized.send(());
                        }
                    }
                    Some(result) = handlers.next(), if !handlers.is_empty() => {
                        let result: wasmtime::Result<_> = result;
                        instance.books.returned(result?).await;
                        instance.handled.fetch_add(1, Relaxed);
                    }
                    // Whoever lets go of it wants it to end.
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
                // What is left after that goes with the plugin, but for what one that catches up is told again.
                if let Ok(result) = tokio::time::timeout(instance.limits.stop, handled).await {
                    result?;
                }
            }
            // Handlers in flight may finish while it says good-bye; the supervisor's dead-line bounds both.
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
            // Nobody may want it.
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
        // What it asks for at once is made in the host's memory first, and a socket that connects to nobody is still a file
        // of the host's.
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

/// What an instance of these limits may compute.
pub(super) fn allowance(limits: &Limits) -> Allowance {
    Allowance { share: limits.cpu_share, burst: limits.cpu_burst, slice: limits.cpu_slice }
}

/// Whether there was nothing left of what all plugins share.
fn is_full(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>()
}

/// The same in one sentence for the owner.
fn no_room(places: u32) -> String {
    format!(
        "the host has room for {places} plugins, counted on each account by itself, and all of it is taken: run some \
         accounts in another parlor"
    )
}

/// Why a plugin ends whose calls go too deep.
const FULL_STACK: &str = "it used up its stack";

/// One sentence for the owner.
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
    // The status is not named: the adapter makes one of all that mean a failure.
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
    // Where it happened, which comes before, is for the detail.
    harmless(&error.root_cause().to_string(), LONGEST_REASON)
}

#[cfg(test)]
pub(crate) mod tests;
