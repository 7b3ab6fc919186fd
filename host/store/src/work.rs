//! The queue of the store's threads. Each caller has its own lane, and lanes are served in turn. However much a plugin
//! writes, it delays the next write of another plugin by one batch at most.
//!
//! Pending writes of plugins are made durable together, so that many writers share one flush of the disk. The size of a
//! batch is bounded in number and bytes, since all others wait for it meanwhile.

use std::path::Path;
use std::sync::Arc;

use parlor_base::fair;
use parlor_base::held::Holding;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::change::{Changed, Owner, Step, Write, Written};
use super::edit::{Edit, Failure, StoreFile};
use super::health::{self, Health};
use super::webhooks::acceptance::{Acceptance, Accepted, WebhookRequest};
use super::{JOBS, StoreError};

/// The maximum pending reads, and the maximum pending writes, of one plugin on one account. Further calls wait for a
/// free place.
pub(super) const WAITING: usize = 256;
/// The number of changed keys and stored requests at which a batch takes no further write.
pub(super) const BATCH: usize = 64;
/// The size in bytes at which a batch takes no further write.
pub(super) const BATCH_BYTES: usize = 256 << 10;
/// The bytes of a write that one turn of its lane covers.
const TURN: usize = 16 << 10;

/// A job for the thread. It gets the file and reports whether the file turned out to be broken.
pub(super) type Job = Box<dyn FnOnce(&mut StoreFile) -> Health + Send>;

/// The receiver of the result of a job.
pub(super) type Arrives<R> = oneshot::Receiver<Result<R, Failure>>;

/// Returns a job that answers with its result. The caller may have ended by then. The job is done anyway. With a log, a job
/// makes one change at most.
pub(super) fn answered<R: Send + 'static>(
    job: impl FnOnce(&mut StoreFile) -> Result<R, Failure> + Send + 'static,
) -> (Job, Arrives<R>) {
    let (answer, arrives) = oneshot::channel();
    let job: Job = Box::new(move |file| {
        let result = job(file);
        file.conclude(result, move |result| {
            let health = health::of(&result);
            let _ = answer.send(result);
            health
        })
    });
    (job, arrives)
}

/// Returns a job that reads.
pub(super) fn reading<R: Send + 'static>(
    read: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
) -> (Job, Arrives<R>) {
    answered(move |file| Ok(read(file.readable()?)?))
}

/// Returns a job that makes a change: whole, or not at all.
pub(super) fn changing<R: Send + 'static>(
    change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R> + Send + 'static,
) -> (Job, Arrives<R>) {
    answered(move |file| file.change(change))
}

/// Waits for the result of a job, or of a write, on the file at this path, once it is queued.
pub(super) async fn result_of<R>(
    is_put: Result<(), fair::Closed>,
    arrives: Arrives<R>,
    path: &Path,
) -> Result<R, StoreError> {
    is_put.map_err(|fair::Closed| StoreError::Ended)?;
    let result = arrives.await.map_err(|_| StoreError::Ended)?;
    result.map_err(|failure| match failure {
        Failure::File(cause) => StoreError::File { path: path.to_owned(), cause },
        Failure::Log(error) => StoreError::Log(error),
    })
}

/// The lane of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// The host itself.
    Host,
    /// A plugin, through its calls.
    Plugin(Arc<Owner>),
    /// The host on behalf of a plugin, for its positions in archives, its webhooks and its schedules. Pending calls of the plugin do not delay these.
    Progress(Arc<Owner>),
}

impl Lane {
    /// Returns the maximum number of pending entries in the lane.
    pub(super) fn bound(&self) -> usize {
        match self {
            Self::Host | Self::Progress(_) => JOBS,
            Self::Plugin(_) => WAITING,
        }
    }
}

/// A task that waits for the writer thread.
pub(super) enum Task {
    /// A job that is done separately.
    Job(Job),
    /// A write for a plugin, which may join a batch.
    Write(PendingWrite),
}

impl Task {
    /// Returns the task as a queue item, with the number of turns that it takes.
    pub(super) fn item(self) -> fair::Item<Self> {
        let turns = match &self {
            Self::Job(_) => 1,
            Self::Write(write) => write.steps() + write.bytes() / TURN,
        };
        fair::Item { value: self, turns: turns.try_into().unwrap_or(u32::MAX), gated: false }
    }
}

impl From<Job> for Task {
    fn from(job: Job) -> Self {
        Self::Job(job)
    }
}

/// A write that waits to be made.
#[derive(Debug)]
pub(super) struct PendingWrite {
    /// The plugin that it is for.
    pub(super) owner: Arc<Owner>,
    pub(super) change: Change,
    /// When the call was made, in milliseconds since the Unix epoch.
    pub(super) now: i64,
    /// Counts the write against what the host may hold for the plugin, until the write is done.
    #[expect(dead_code, reason = "it is dropped")]
    pub(super) held: Option<Holding>,
}

/// A change that is on disk before its result is reported.
#[derive(Debug)]
pub(super) enum Change {
    /// Of the plugin's data, by its own call.
    Data { quota: u64, write: Write, answer: Answer<Written> },
    /// Several of the plugin's data together, by its own call.
    Several { quota: u64, steps: Vec<Step>, answer: Answer<Changed> },
    /// A request to a webhook of the plugin.
    Request { request: Box<WebhookRequest>, acceptance: Acceptance, answer: Answer<Accepted> },
}

/// Receives the outcome of a change.
pub(super) type Answer<R> = oneshot::Sender<Result<R, Failure>>;

impl PendingWrite {
    fn bytes(&self) -> usize {
        match &self.change {
            Change::Data { write, .. } => write.key.len() + write.value.as_ref().map_or(0, Vec::len),
            Change::Several { steps, .. } => steps.iter().map(Step::bytes).sum(),
            Change::Request { request, .. } => request.body.len(),
        }
    }

    /// Returns how many entries it looks at and changes, 1 at least.
    fn steps(&self) -> usize {
        match &self.change {
            Change::Several { steps, .. } => steps.len().max(1),
            Change::Data { .. } | Change::Request { .. } => 1,
        }
    }
}

/// The queue of the writer thread.
pub(super) type Tasks = fair::Sender<Lane, Task>;
pub(super) type WeakTasks = fair::WeakSender<Lane, Task>;

/// The next piece of work for the thread.
pub(super) enum Work {
    /// A single job.
    Job(Job),
    /// Writes that are made durable together.
    Writes(Vec<PendingWrite>),
}

/// The receiving end of the writer's queue. It is dropped with the thread, so that waiting callers get the end.
pub(super) struct Inbox {
    tasks: fair::Receiver<Lane, Task>,
    /// A job whose turn came while writes were collected.
    next: Option<Job>,
}

impl Inbox {
    /// Creates an empty inbox and its queue.
    pub(super) fn new() -> (Tasks, Self) {
        let (sender, tasks) = fair::queue(Lane::bound);
        (sender, Self { tasks, next: None })
    }

    /// Waits for work. Returns `None` when all senders are gone.
    pub(super) fn wait(&mut self) -> Option<Work> {
        if let Some(job) = self.next.take() {
            return Some(Work::Job(job));
        }
        let (_, first) = self.tasks.recv_blocking()?;
        Some(self.beginning_with(first))
    }

    /// Same as [`wait`](Self::wait), on a runtime.
    pub(super) async fn next(&mut self) -> Option<Work> {
        if let Some(job) = self.next.take() {
            return Some(Work::Job(job));
        }
        let (_, first) = self.tasks.recv(true).await?;
        Some(self.beginning_with(first))
    }

    fn beginning_with(&mut self, first: Task) -> Work {
        let first = match first {
            Task::Job(job) => return Work::Job(job),
            Task::Write(write) => write,
        };
        let (mut bytes, mut steps) = (first.bytes(), first.steps());
        let mut writes = vec![first];
        while steps < BATCH
            && bytes < BATCH_BYTES
            && let Some((_, task)) = self.tasks.try_take(true)
        {
            match task {
                Task::Write(write) => {
                    bytes += write.bytes();
                    steps += write.steps();
                    writes.push(write);
                }
                Task::Job(job) => {
                    self.next = Some(job);
                    break;
                }
            }
        }
        Work::Writes(writes)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use parlor_base::clock::Clock;
    use parlor_base::held::Held;

    use super::*;
    use crate::{Only, PluginData, Store, StoreError};

    const MIB: u64 = 1 << 20;
    /// The number of plugins that fill the queue.
    const CROWD: usize = 8;

    type Call<R> = Pin<Box<dyn Future<Output = Result<R, StoreError>> + Send>>;

    fn owner(plugin: &str) -> Owner {
        Owner { account: "bot@example.org".parse().unwrap(), plugin: plugin.parse().unwrap() }
    }

    fn write(data: &PluginData, plugin: &str, key: &str, bytes: usize) -> Call<Written> {
        let write = Write { key: key.to_owned(), value: Some(vec![0; bytes]), expires: None, only: Only::Always };
        let (data, owner) = (data.clone(), owner(plugin));
        Box::pin(async move { data.write(owner, MIB, write).await })
    }

    fn get(data: &PluginData, plugin: &str) -> Call<Option<Vec<u8>>> {
        let (data, owner) = (data.clone(), owner(plugin));
        Box::pin(async move { data.get(owner, "k".to_owned()).await })
    }

    /// Starts more calls for each plugin of the crowd than may wait, and returns them unpolled, as when their guests
    /// compute.
    fn asleep<R>(call: impl Fn(&str) -> Call<R>) -> Vec<Call<R>> {
        let all = (0..CROWD).flat_map(|number| (0..WAITING + 20).map(move |_| format!("crowd-{number}")));
        all.map(|plugin| {
            let mut call = call(&plugin);
            // A call that completes at the first poll does not wait.
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            call
        })
        .collect()
    }

    /// Blocks a thread of the store until the returned sender is dropped.
    fn hold(store: &Store) -> std::sync::mpsc::Sender<()> {
        let (release, held) = std::sync::mpsc::channel::<()>();
        assert!(store.put(move |_| {
            let _ = held.recv();
            Ok(())
        }));
        release
    }

    async fn soon<R>(what: impl Future<Output = R>) -> R {
        tokio::time::timeout(std::time::Duration::from_secs(30), what)
            .await
            .expect("it waits for guests that do not run")
    }

    #[tokio::test]
    async fn writes_of_plugins_that_do_not_run_hold_up_nobody() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        let release = hold(&store);
        let _asleep = asleep(|plugin| write(&data, plugin, "k", 1));
        drop(release);
        for _ in 0..3 {
            assert!(soon(write(&data, "neighbour", "k", 1)).await.is_ok());
        }
        assert!(soon(data.positions(owner("crowd-0")).rooms()).await.is_ok(), "nor what the host does for them");
        assert!(soon(store.run(|_| Ok(()))).await.is_ok());
    }

    #[tokio::test]
    async fn reads_of_plugins_that_do_not_run_hold_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        for store in [Store::open(folder.path()).unwrap(), Store::in_memory()] {
            let data = store.data(Clock::Machine);
            let _asleep = asleep(|plugin| get(&data, plugin));
            for _ in 0..3 {
                assert_eq!(soon(get(&data, "neighbour")).await.unwrap(), None);
            }
            assert!(soon(data.sizes()).await.is_ok());
        }
    }

    /// Otherwise a guest that starts calls and drops them could make the host hold any number of values.
    #[tokio::test]
    async fn a_write_counts_until_it_is_done_whether_its_call_waits_or_not() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        let (release, held) = (hold(&store), Held::up_to(100));
        let write = Write { key: "k".to_owned(), value: Some(vec![0; 60]), expires: None, only: Only::Always };
        let mut call = Box::pin(data.write_held(owner("a"), MIB, write, held.hold(60)));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(call);
        assert!(held.hold(60).is_none());
        drop(release);
        assert!(soon(store.run(|_| Ok(()))).await.is_ok());
        assert!(held.hold(60).is_some());
        // A value that was read counts as well, until it is fetched. A value above the limit is not returned.
        let read = soon(data.get_held(owner("a"), "k".to_owned(), Arc::clone(&held))).await.unwrap();
        let more = soon(data.get_held(owner("a"), "k".to_owned(), Arc::clone(&held))).await.unwrap();
        assert!(matches!(&read, Some((value, Some(_))) if value.len() == 60));
        assert!(matches!(&more, Some((value, None)) if value.is_empty()));
    }

    fn pending(plugin: &str, bytes: usize) -> PendingWrite {
        let write = Write { key: "k".to_owned(), value: Some(vec![0; bytes]), expires: None, only: Only::Always };
        let (answer, _) = oneshot::channel();
        let change = Change::Data { quota: MIB, write, answer };
        PendingWrite { owner: Arc::new(owner(plugin)), change, now: 0, held: None }
    }

    fn put(tasks: &Tasks, write: PendingWrite) {
        assert!(tasks.try_put(&Lane::Plugin(Arc::clone(&write.owner)), Task::Write(write).item()));
    }

    /// Takes batches up to that with the neighbour's write. Returns the number of batches and their writes and bytes.
    fn before_the_neighbour(inbox: &mut Inbox) -> (usize, usize, usize) {
        let (mut batches, mut writes, mut bytes) = (0, 0, 0);
        while let Some(Work::Writes(batch)) = inbox.wait() {
            batches += 1;
            writes += batch.len();
            bytes += batch.iter().map(PendingWrite::bytes).sum::<usize>();
            assert!(batch.len() <= BATCH);
            if batch.iter().any(|write| write.owner.plugin.as_str() == "neighbour") {
                return (batches, writes, bytes);
            }
        }
        panic!("the neighbour's write is lost");
    }

    /// This holds regardless of the number and size of the other writes.
    #[test]
    fn a_write_waits_for_no_more_than_one_batch() {
        for (each, bytes) in [(WAITING, 1), (20, 256 << 10)] {
            let (tasks, mut inbox) = Inbox::new();
            for number in 0..CROWD {
                for _ in 0..each {
                    put(&tasks, pending(&format!("crowd-{number}"), bytes));
                }
            }
            put(&tasks, pending("neighbour", 10));
            let (batches, writes, total) = before_the_neighbour(&mut inbox);
            assert_eq!(batches, 1, "{writes} writes with {total} bytes");
            assert!(total <= 2 * BATCH_BYTES, "{total}");
        }
    }

    #[test]
    fn a_job_comes_in_its_turn_between_writes() {
        let (tasks, mut inbox) = Inbox::new();
        put(&tasks, pending("a", 1));
        put(&tasks, pending("a", 1));
        assert!(tasks.try_put(&Lane::Host, Task::Job(Box::new(|_| Health::Fine))));
        put(&tasks, pending("a", 1));
        let kinds = std::iter::from_fn(|| inbox.wait()).take(3).map(|work| match work {
            Work::Job(_) => 0,
            Work::Writes(writes) => writes.len(),
        });
        assert_eq!(kinds.collect::<Vec<_>>(), [1, 0, 2]);
    }
}
