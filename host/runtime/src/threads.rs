//! The threads on which accounts and their plugins run.
//!
//! An account stays on one thread, together with its plugins: a message, its handler, the calls of the handler and the
//! answer need no other thread, and no thread is woken up to look for work that it does not find. Accounts are spread
//! over the threads. Guests that compute leave the thread of their account, see [`watchdog`](crate::watchdog).

use std::io;
use std::num::NonZero;
use std::sync::Arc;

use parlor_xmpp::LogInTurns;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

/// How many tasks a thread polls before it checks timers, sockets and new tasks.
///
/// A guest may use its whole slice of a millisecond in each poll, so tokio's default of 61 could delay a timer by 61
/// ms. Checking after each poll costs a system call each: at a hundred messages in flight, a third of the host's CPU
/// time.
const TURNS: u32 = 8;
/// How many plugins start on a thread at a time.
const STARTS: usize = 4;

/// The threads for accounts, and the state that accounts share. The threads end when this is dropped.
#[derive(Debug)]
pub struct Threads {
    threads: Vec<Thread>,
    log_ins: LogInTurns,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    /// Cloned for each account on it.
    accounts: Arc<()>,
    starts: Arc<Semaphore>,
    /// Ends the thread when it is dropped.
    _until: oneshot::Sender<()>,
}

/// The place of an account: its thread, and the state that it shares with other accounts.
#[derive(Debug)]
pub struct Place {
    pub(crate) runtime: Handle,
    /// The order of log-ins of all accounts of the process.
    pub(crate) log_ins: LogInTurns,
    /// The turns of plugins to start on its thread.
    pub(crate) starts: Arc<Semaphore>,
    /// Counts the account on its thread; `None` on the runtime of the caller.
    counted: Option<Arc<()>>,
}

impl Threads {
    /// Starts as many threads as the machine has cores.
    pub fn of_this_machine() -> io::Result<Self> {
        Self::start(std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
    }

    /// Starts this many threads.
    pub fn start(count: NonZero<usize>) -> io::Result<Self> {
        let threads = (0..count.get()).map(Thread::start).collect::<io::Result<_>>()?;
        Ok(Self { threads, log_ins: LogInTurns::default() })
    }

    /// Starts no thread: accounts run on the runtime that starts them, and guests that compute stay there until they have
    /// used up their share.
    pub fn of_the_caller() -> Self {
        Self { threads: Vec::new(), log_ins: LogInTurns::default() }
    }

    /// Returns a place on the thread with the fewest accounts. Must be called within a runtime.
    pub fn place(&self) -> Place {
        let log_ins = self.log_ins.clone();
        match self.threads.iter().min_by_key(|thread| Arc::strong_count(&thread.accounts)) {
            None => Place { log_ins, ..Place::here() },
            Some(emptiest) => Place {
                runtime: emptiest.runtime.clone(),
                log_ins,
                starts: Arc::clone(&emptiest.starts),
                counted: Some(Arc::clone(&emptiest.accounts)),
            },
        }
    }

    /// Returns the number of tasks on all threads.
    pub fn tasks(&self) -> usize {
        self.threads.iter().map(|thread| thread.runtime.metrics().num_alive_tasks()).sum()
    }
}

impl Thread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .thread_name("parlor-blocking")
            .enable_all()
            .event_interval(TURNS)
            .global_queue_interval(TURNS)
            .build()?;
        let handle = runtime.handle().clone();
        let (until, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name(format!("parlor-{number}")).spawn(move || {
            // Nothing is ever sent: the other end is dropped.
            let _ = runtime.block_on(ended);
            // A hanging name look-up must not delay the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, accounts: Arc::default(), starts: Arc::new(Semaphore::new(STARTS)), _until: until })
    }
}

impl Place {
    /// Returns the runtime that calls this, with nothing shared. Must be called within one.
    pub fn here() -> Self {
        let starts = Arc::new(Semaphore::new(STARTS));
        Self { runtime: Handle::current(), log_ins: LogInTurns::default(), starts, counted: None }
    }

    /// Returns whether it is on a thread for accounts, and not the runtime of the caller.
    pub(crate) fn is_own(&self) -> bool {
        self.counted.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accounts_are_spread_over_the_threads_and_stay_where_they_are() {
        let threads = Threads::start(NonZero::new(2).unwrap()).unwrap();
        let thread_of = async |place: &Place| {
            let (once, twice) = place
                .runtime
                .spawn(async {
                    let once = std::thread::current().id();
                    tokio::task::yield_now().await;
                    tokio::spawn(async move { (once, std::thread::current().id()) }).await.unwrap()
                })
                .await
                .unwrap();
            assert_eq!(once, twice);
            once
        };
        let (one, other, third) = (threads.place(), threads.place(), threads.place());
        assert_ne!(thread_of(&one).await, thread_of(&other).await);
        drop((one, third));
        let next = threads.place();
        assert_ne!(thread_of(&next).await, thread_of(&other).await, "the emptier thread");
    }

    #[tokio::test]
    async fn without_threads_accounts_run_where_they_are_started() {
        let place = Threads::of_the_caller().place();
        let thread = place.runtime.spawn(async { std::thread::current().id() }).await.unwrap();
        assert_eq!(thread, std::thread::current().id());
    }

    #[tokio::test]
    async fn a_thread_ends_with_what_it_was_started_for() {
        let threads = Threads::start(NonZero::<usize>::MIN).unwrap();
        let (sender, dropped) = oneshot::channel::<()>();
        threads.place().runtime.spawn(async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        });
        drop(threads);
        assert!(dropped.await.is_err(), "its tasks are dropped");
    }
}
