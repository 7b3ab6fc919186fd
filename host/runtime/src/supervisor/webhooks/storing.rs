//! The store of requests, for senders that wait for it.
//!
//! In a cluster, a change waits for the log of the account, however long NATS takes. A sender waits for a bounded time. The
//! change has a task of its own, which goes on after that.

use std::sync::Arc;
use std::time::Duration;

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_store::{Acceptance, Accepted, RequestState, StoreError, WebhookRequest, Webhooks};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a sender waits for an answer of the cluster. A node that gets none for so long has lost its lease, or NATS takes no
/// change of the account.
pub(super) const CONFIRMED: Duration = Duration::from_secs(5);

/// The bytes that a request takes beside what its sender wrote. Of small requests, as many find a place as the host has connections.
const BESIDE: usize = 16 << 10;

/// The reason why a change is not known to be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmade {
    /// It was not made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It may be made later.
    #[error("the store has not made the change within {} s", CONFIRMED.as_secs())]
    Late,
}

/// Returns a place for a request that waits for the store; `None` if too many wait.
pub(super) fn place(unstored: &Arc<Semaphore>, request: &WebhookRequest) -> Option<OwnedSemaphorePermit> {
    let bytes = u32::try_from(request.bytes().saturating_add(BESIDE)).unwrap_or(u32::MAX);
    Arc::clone(unstored).try_acquire_many_owned(bytes).ok()
}

/// Makes a change in a task of its own, and waits for it.
pub(super) async fn in_time<T: Send + 'static>(
    runtime: &Handle,
    change: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, Unmade> {
    match timeout(CONFIRMED, runtime.spawn(change)).await {
        Ok(Ok(made)) => Ok(made?),
        // Without the thread of the account, nobody knows.
        Ok(Err(_)) | Err(_) => Err(Unmade::Late),
    }
}

/// A request of the mode `answer`, on its way through the store.
#[derive(Debug, Clone)]
pub(super) struct Passing {
    /// The thread of the account.
    pub(super) runtime: Handle,
    pub(super) stored: Webhooks,
    /// Has a permit for each byte that may still wait for the store.
    pub(super) unstored: Arc<Semaphore>,
    /// The name of the webhook.
    pub(super) webhook: String,
    /// The digest of its signature, if that may come only once.
    pub(super) once: Option<[u8; 32]>,
    /// The plugin and its account, for the log.
    pub(super) plugin: PluginId,
    pub(super) account: AccountName,
}

impl Passing {
    /// Stores the request before it is passed on: the same signature must not pass twice, also not after a restart. If that takes
    /// too long, or its sender is gone by then, it is taken back, so that the sender can send it again.
    pub(super) async fn accept(&self, request: WebhookRequest, acceptance: Acceptance) -> Result<Accepted, Unmade> {
        let Some(place) = place(&self.unstored, &request) else { return Ok(Accepted::Full) };
        let (told, mut arrives) = oneshot::channel();
        let own = self.clone();
        self.runtime.spawn(async move {
            let _place = place;
            let accepted = own.stored.accept(request, acceptance).await;
            if let Err(Ok(Accepted::As(id))) = told.send(accepted) {
                own.forget(id).await;
            }
        });
        let accepted = if let Ok(in_time) = timeout(CONFIRMED, &mut arrives).await {
            in_time.ok()
        } else {
            // It may have come at this moment. From now on, the task takes it back.
            arrives.close();
            arrives.try_recv().ok()
        };
        Ok(accepted.ok_or(Unmade::Late)??)
    }

    /// Notes that the request was answered with this status.
    pub(super) async fn note(&self, id: i64, status: u16) -> Result<(), Unmade> {
        let stored = self.stored.clone();
        in_time(&self.runtime, async move { stored.note(id, 1, RequestState::Answered(status)).await }).await
    }

    /// Takes the request back, so that its sender can send it again. The returned task does that, whether anybody waits for it or not.
    pub(super) fn take_back(&self, id: i64) -> JoinHandle<()> {
        self.runtime.spawn(self.clone().forget(id))
    }

    async fn forget(self, id: i64) {
        let Self { runtime: _, unstored: _, stored, webhook, once, plugin, account } = self;
        if let Err(error) = stored.take_back(id, webhook.clone(), once).await {
            tracing::warn!(%plugin, %account, webhook, id, %error, "a request that was not answered cannot be taken back: if its signature may come only once, it is refused when its sender retries");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use parlor_base::clock::Clock;
    use parlor_store::{Accounts, Log, LogError, LogPosition, Owner, Receipt, Record, Store};
    use tempfile::TempDir;

    use super::*;
    use crate::webhooks::MOST_UNSTORED;

    /// The answer of an account's log to a record.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(in super::super) enum Says {
        /// It has the record.
        #[default]
        Written,
        /// Nothing yet, as if NATS hung.
        Nothing,
        /// Another node has the account.
        Fenced,
    }

    /// A log that says what it is told to.
    #[derive(Debug, Clone, Default)]
    struct ScriptedLog(Arc<Mutex<Script>>);

    #[derive(Debug, Default)]
    struct Script {
        says: Says,
        /// The number of the last record.
        last: u64,
        waiting: Vec<oneshot::Sender<Result<LogPosition, LogError>>>,
    }

    impl Script {
        fn answer(&mut self) {
            if self.says == Says::Nothing {
                return;
            }
            for told in std::mem::take(&mut self.waiting) {
                self.last += 1;
                let position = LogPosition { token: 1, number: self.last, revision: self.last };
                // The store may have given up.
                _ = told.send(if self.says == Says::Written { Ok(position) } else { Err(LogError::Fenced) });
            }
        }
    }

    impl Log for ScriptedLog {
        fn publish(&mut self, _: Record) -> Receipt {
            let (told, receipt) = oneshot::channel();
            let mut script = self.0.lock().unwrap();
            script.waiting.push(told);
            script.answer();
            receipt
        }
    }

    /// The store of an account of a cluster, and a request on its way through it.
    pub(in super::super) struct Stage {
        pub(in super::super) passing: Passing,
        log: ScriptedLog,
        store: Store,
        folder: TempDir,
    }

    impl Stage {
        pub(in super::super) async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (accounts, log) = (Accounts::start(folder.path()).unwrap(), ScriptedLog::default());
            let account: jid::BareJid = "bot@example.org".parse().unwrap();
            let store = accounts.open(&account).await.unwrap().start(log.clone());
            let plugin: PluginId = "echo".parse().unwrap();
            let passing = Passing {
                runtime: Handle::current(),
                stored: store.data(Clock::Machine).webhooks(Owner { account, plugin: plugin.clone() }),
                unstored: Arc::new(Semaphore::new(MOST_UNSTORED)),
                webhook: "github".to_owned(),
                once: Some([7; 32]),
                plugin,
                account: "main".parse().unwrap(),
            };
            Self { passing, log, store, folder }
        }

        /// Ends the store, and returns the request with the folder of the store.
        pub(in super::super) async fn end_the_store(self) -> (Passing, TempDir) {
            self.store.close().await;
            (self.passing, self.folder)
        }

        /// Sets what the log says to the records that wait, and to later ones.
        pub(in super::super) fn log_says(&self, says: Says) {
            let mut script = self.log.0.lock().unwrap();
            script.says = says;
            script.answer();
        }

        async fn accept(&self) -> Result<Accepted, Unmade> {
            self.passing.accept(request(), acceptance(false)).await
        }

        /// Stores the request, as if it came for the first time.
        pub(in super::super) async fn accepted(&self) -> i64 {
            let Ok(Accepted::As(id)) = self.accept().await else { panic!("it came before") };
            id
        }

        /// Sends the request again until it is accepted.
        pub(in super::super) async fn accepted_again(&self) {
            let again = async {
                while !matches!(self.accept().await.unwrap(), Accepted::As(_)) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_mins(1), again).await.expect("it was not taken back");
        }
    }

    fn request() -> WebhookRequest {
        WebhookRequest {
            webhook: "github".to_owned(),
            sender: "192.0.2.1".to_owned(),
            method: "POST".to_owned(),
            query: None,
            path: None,
            headers: Vec::new(),
            body: b"{}".to_vec(),
        }
    }

    fn acceptance(waits: bool) -> Acceptance {
        Acceptance { waits, once: Some([7; 32]), most: 100, most_bytes: 1 << 30 }
    }

    /// Waits for at most a minute, of which nothing passes: nothing answers meanwhile.
    pub(in super::super) async fn within_a_minute<T>(what: impl Future<Output = T>) -> T {
        tokio::time::pause();
        let ended = timeout(Duration::from_mins(1), what).await;
        tokio::time::resume();
        ended.expect("it waits until NATS answers")
    }

    /// NATS may take the request later. Its sender was asked to retry, and comes with the same signature.
    #[tokio::test]
    async fn a_request_that_is_stored_too_late_for_its_sender_is_taken_back() {
        let stage = Stage::new().await;
        for is_gone in [false, true] {
            stage.log_says(Says::Nothing);
            if is_gone {
                let mut accepting = Box::pin(stage.accept());
                assert!((&mut accepting).now_or_never().is_none());
            } else {
                let late = within_a_minute(stage.accept()).await;
                assert!(matches!(late, Err(Unmade::Late)), "{late:?}");
            }
            stage.log_says(Says::Written);
            stage.accepted_again().await;
            // For the next round.
            let stored = &stage.passing.stored;
            let id = stored.last(1).await.unwrap()[0].id;
            stage.passing.take_back(id).await.unwrap();
        }
        // An account that is gone cannot take it.
        stage.log_says(Says::Fenced);
        let refused = stage.accept().await;
        assert!(matches!(refused, Err(Unmade::Store(StoreError::Log(LogError::Fenced)))), "{refused:?}");
    }

    /// Their senders go away, and others come.
    #[tokio::test]
    async fn requests_that_wait_for_the_log_take_a_bounded_space() {
        let stage = Stage::new().await;
        stage.log_says(Says::Nothing);
        let mut refused = 0;
        for _ in 0..MOST_UNSTORED >> 20 {
            let large = WebhookRequest { body: vec![0; 1 << 20], ..request() };
            match within_a_minute(stage.passing.accept(large, acceptance(false))).await {
                Err(Unmade::Late) => {}
                Ok(Accepted::Full) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(refused, 1, "each takes some bytes more than its body");
        stage.log_says(Says::Written);
        stage.accepted_again().await;
    }

    #[test]
    fn a_request_takes_a_place_for_all_that_its_sender_wrote() {
        let unstored = Arc::new(Semaphore::new(1 << 20));
        let count = |request: &WebhookRequest| {
            let places: Vec<_> = std::iter::from_fn(|| place(&unstored, request)).collect();
            places.len()
        };
        assert!(count(&request()) > 50);
        let long = || "x".repeat(40_000);
        let (query, path) = (Some(long()), Some(long()));
        let large = WebhookRequest { query, path, headers: vec![("x-long".to_owned(), long())], ..request() };
        assert!(count(&large) <= (1 << 20) / 120_000);
    }

    /// The plugin gets it, since the sender may not retry.
    #[tokio::test]
    async fn a_request_for_the_queue_is_stored_although_its_sender_does_not_wait_for_that() {
        let stage = Stage::new().await;
        stage.log_says(Says::Nothing);
        let stored = stage.passing.stored.clone();
        let accepting = async move { stored.accept(request(), acceptance(true)).await };
        let late = within_a_minute(in_time(&stage.passing.runtime, accepting)).await;
        assert!(matches!(late, Err(Unmade::Late)), "{late:?}");
        stage.log_says(Says::Written);
        let arrives = async {
            while stage.passing.stored.waiting().await.unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_mins(1), arrives).await.expect("it is lost");
    }
}
