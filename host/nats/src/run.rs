//! Runs the accounts of a node: does what its driver orders, with the stores of accounts and whoever runs them.
//!
//! Each account has a task, from the order to start it to its end. The driver never waits for one.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use jid::BareJid;
use parlor_cluster::Token;
use parlor_store::Store;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::connect::Settings;
use crate::drive::{Driver, NodeSettings, Order};
use crate::error::{CopyError, LogError, StartError, StateError, TakeOverError};
use crate::health::NodeHealth;
use crate::names::Cluster;
use crate::permit::Permit;
use crate::stores::{Held, Stores};
use crate::teller::Teller;

/// How long an account that could not be taken over, or whose log has ended, stays where it is. Otherwise it would come back at once.
const PAUSE: Duration = Duration::from_secs(1);
/// How often this time doubles while only the owner can help, such as with a key.
const DOUBLINGS: u32 = 6;

/// Runs accounts. Its calls come from many tasks, and those that are not `async` must not wait.
pub trait AccountHost: Send + Sync + 'static {
    /// An account that runs. Dropping it ends the account at once, with all handles on its store.
    type Running: Send + 'static;

    /// Starts an account. The permit must be asked before each act that others can see, and be
    /// [confirmed](Permit::confirmed) before each piece of work of which the account notes in its store that it is done.
    fn start(&self, account: &BareJid, store: Store, permit: Permit) -> Self::Running;

    /// Stops an account, so that it can go on elsewhere. On return, there is no handle on its store. If the future is dropped,
    /// the account must end at once.
    fn stop(&self, running: Self::Running) -> impl Future<Output = ()> + Send;

    /// Tells the owner of something that went wrong. The node goes on.
    fn report(&self, trouble: Trouble);
}

/// Something that went wrong, for the owner.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The state of the cluster is not what it should be.
    #[error(transparent)]
    State(StateError),
    /// The account has no address.
    #[error("the cluster names an account {0:?}, which is no address; remove it from the cluster")]
    Address(Arc<str>),
    /// An account could not be taken over. It is given away again.
    #[error("{account} cannot be started on this node: {cause}")]
    TakeOver {
        /// The account.
        account: BareJid,
        /// The reason.
        cause: TakeOverError,
    },
    /// The log of an account ended, and with it the account. It is given away.
    #[error("{account} ended on this node: {cause}")]
    Log {
        /// The account.
        account: BareJid,
        /// The reason.
        cause: LogError,
    },
    /// The configuration of the node lacks the account, so other nodes have it.
    #[error(
        "the configuration of this node lacks an account of the cluster, which only other nodes can run: write the same accounts on all nodes, or remove it with `parlor cluster remove`"
    )]
    Lacks(Arc<str>),
    /// The account ended by a panic. It is given away.
    #[error("{0} ended on this node by a defect of parlor: report it with the panic that the log of the host shows")]
    Defect(Arc<str>),
    /// The last snapshot of an account was not made. The account is whole without it.
    #[error("the snapshot of {account} was not made when it stopped: {cause}")]
    Copy {
        /// The account.
        account: BareJid,
        /// The reason.
        cause: CopyError,
    },
}

/// A node that runs its accounts. Dropping it ends the node and its accounts at once.
#[derive(Debug)]
pub struct Runner {
    driver: Driver,
    /// Closes when all accounts have ended.
    ended: watch::Receiver<()>,
}

/// The state that an account should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Run,
    Stop,
    Kill,
}

impl Runner {
    /// Connects, and begins to take accounts. Their tasks run on the present runtime.
    pub async fn start<H: AccountHost>(
        settings: Settings,
        cluster: Cluster,
        node: NodeSettings,
        stores: Stores,
        host: Arc<H>,
    ) -> Result<Self, StartError> {
        let (sender, orders) = mpsc::unbounded_channel();
        let pass_on = move |order| _ = sender.send(order);
        let driver = Driver::start(settings, cluster, node, pass_on).await?;
        let (end, ended) = watch::channel(());
        tokio::spawn(carry_out(orders, driver.teller(), stores, host, end));
        Ok(Self { driver, ended })
    }

    /// Returns what tells the node which accounts the configuration has.
    pub fn teller(&self) -> Teller {
        self.driver.teller()
    }

    /// Waits until the node has ended without being told to, for example since the cluster has other times. All its accounts have ended
    /// then.
    pub fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended.clone();
        // Nothing is ever sent there.
        async move { while ended.changed().await.is_ok() {} }
    }

    /// Returns what the node says of itself and its cluster.
    pub fn health(&self) -> watch::Receiver<NodeHealth> {
        self.driver.health()
    }

    /// Stops all accounts, gives them away, and ends the node.
    pub async fn leave(mut self) {
        self.driver.leave();
        self.driver.ended().await;
        // Nothing is ever sent there.
        while self.ended.changed().await.is_ok() {}
    }
}

/// Passes the orders to the tasks of accounts, until the driver has ended.
async fn carry_out<H: AccountHost>(
    mut orders: mpsc::UnboundedReceiver<Order>,
    teller: Teller,
    stores: Stores,
    host: Arc<H>,
    end: watch::Sender<()>,
) {
    let (mut wishes, failures) = (Wishes::default(), Arc::<Failures>::default());
    while let Some(order) = orders.recv().await {
        let (account, token, wish) = match order {
            Order::Start { account, token, permit } => {
                let orders = wishes.begin(&account, token);
                let (host, failures) = (Arc::clone(&host), Arc::clone(&failures));
                let task = Task { account, token, host, teller: teller.clone(), failures };
                tokio::spawn(task.run(stores.clone(), permit, orders, end.clone()));
                continue;
            }
            Order::Stop { account, token, by: _ } => (account, token, Wish::Stop),
            Order::Kill { account, token } => (account, token, Wish::Kill),
            Order::Forget(account) => {
                tokio::spawn(forget(account, stores.clone()));
                continue;
            }
            Order::Report(error) => {
                host.report(Trouble::State(error));
                continue;
            }
            Order::Lacks(account) => {
                host.report(Trouble::Lacks(account));
                continue;
            }
        };
        if !wishes.tell(&account, token, wish) && wish == Wish::Stop {
            // It had ended by itself.
            teller.stopped(&account, token);
        }
    }
    // The node has ended. A task whose sender is gone kills its account.
}

/// Removes the file of an account that is not in the cluster any more, once it is closed: it has keys of encryption.
async fn forget(account: Arc<str>, stores: Stores) {
    let Ok(jid) = account.parse::<BareJid>() else { return };
    if let Err(error) = stores.forget(&jid).await {
        tracing::warn!(%account, %error, "the file of an account that is not in the cluster any more was not removed; remove it");
    }
}

/// The accounts that have a task, and what is wished of each.
#[derive(Debug, Default)]
struct Wishes(HashMap<Arc<str>, (Token, watch::Sender<Wish>)>);

impl Wishes {
    /// Notes an account that starts. A task that has it with an earlier token kills it.
    fn begin(&mut self, account: &Arc<str>, token: Token) -> watch::Receiver<Wish> {
        let Self(all) = self;
        if all.len() == all.capacity() {
            // Before it grows: those that have ended.
            all.retain(|_, (_, wish)| !wish.is_closed());
        }
        let (wish, wished) = watch::channel(Wish::Run);
        all.insert(Arc::clone(account), (token, wish));
        wished
    }

    /// Passes on a wish. Returns false if the task of the account has ended.
    fn tell(&self, account: &str, token: Token, wish: Wish) -> bool {
        match self.0.get(account) {
            Some((held, sender)) if *held == token => sender.send(wish).is_ok(),
            // It has been started once more since then.
            Some(_) => true,
            None => false,
        }
    }
}

/// The accounts that only the owner can help, with how often each could not be taken over since it was. Held for moments only.
#[derive(Debug, Default)]
struct Failures(Mutex<HashMap<Arc<str>, u32>>);

impl Failures {
    /// Notes a failure. Returns how long the account stays here before it is given away.
    fn add(&self, account: &Arc<str>, cause: &TakeOverError) -> Duration {
        if !cause.needs_owner() {
            return PAUSE;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(Arc::clone(account)).or_default();
        let pause = PAUSE * 2_u32.pow(*count);
        *count = DOUBLINGS.min(*count + 1);
        pause
    }

    /// Notes that the account was taken over.
    fn clear(&self, account: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

/// The task of an account.
struct Task<H> {
    account: Arc<str>,
    token: Token,
    host: Arc<H>,
    teller: Teller,
    failures: Arc<Failures>,
}

impl<H: AccountHost> Task<H> {
    /// Runs the account from its start to its end. `_end` is dropped then.
    async fn run(self, stores: Stores, permit: Permit, mut wished: watch::Receiver<Wish>, _end: watch::Sender<()>) {
        let course = AssertUnwindSafe(self.take_and_run(&stores, permit, &mut wished));
        if course.catch_unwind().await.is_err() {
            // All of the account was dropped.
            self.host.report(Trouble::Defect(Arc::clone(&self.account)));
            self.give_back(PAUSE, &mut wished).await;
        }
    }

    async fn take_and_run(&self, stores: &Stores, permit: Permit, wished: &mut watch::Receiver<Wish>) {
        let Self { account, token, host, teller, failures } = self;
        let Ok(jid) = account.parse::<BareJid>() else {
            host.report(Trouble::Address(Arc::clone(account)));
            self.give_back(PAUSE, wished).await;
            return;
        };
        let taken = tokio::select! {
            biased;
            wish = other_than(wished, Wish::Run) => Err(wish),
            taken = stores.take_over(&jid, *token) => Ok(taken),
        };
        let held = match taken {
            Ok(Ok(held)) => held,
            Ok(Err(cause)) => {
                let pause = failures.add(account, &cause);
                host.report(Trouble::TakeOver { account: jid, cause });
                self.give_back(pause, wished).await;
                return;
            }
            Err(wish) => {
                if wish == Wish::Stop {
                    teller.stopped(account, *token);
                }
                return;
            }
        };
        failures.clear(account);
        let over = held.store().over();
        let permit = permit.with_pulse(stores.pulse.clone()).with_log(held.unnoted());
        let running = host.start(&jid, held.store().clone(), permit);
        let wish = tokio::select! {
            biased;
            wish = other_than(wished, Wish::Run) => wish,
            _ = over => {
                drop(running);
                let cause = held.cause().unwrap_or(LogError::Ended);
                held.kill();
                host.report(Trouble::Log { account: jid, cause });
                self.give_back(PAUSE, wished).await;
                return;
            }
        };
        if wish == Wish::Kill {
            drop(running);
            held.kill();
            return;
        }
        tokio::select! {
            biased;
            _ = other_than(wished, Wish::Stop) => {}
            () = self.stop(&jid, running, held) => teller.stopped(account, *token),
        }
    }

    async fn stop(&self, jid: &BareJid, running: H::Running, held: Held) {
        self.host.stop(running).await;
        let account = jid.clone();
        match held.close().await {
            Ok(()) => {}
            Err(CopyError::Ended(cause)) => self.host.report(Trouble::Log { account, cause }),
            Err(cause) => self.host.report(Trouble::Copy { account, cause }),
        }
    }

    /// Gives the account away after this time, or at once if the node says so, unless the node ends it before.
    async fn give_back(&self, pause: Duration, wished: &mut watch::Receiver<Wish>) {
        tokio::select! {
            biased;
            wish = other_than(wished, Wish::Run) => if wish == Wish::Kill { return },
            () = sleep(pause) => {}
        }
        self.teller.stopped(&self.account, self.token);
    }
}

/// Waits until another wish than this one is there. If nobody can wish any more, the account is to be killed.
async fn other_than(wished: &mut watch::Receiver<Wish>, present: Wish) -> Wish {
    match wished.wait_for(|wish| *wish != present).await {
        Ok(wish) => *wish,
        Err(_) => Wish::Kill,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::KeyRing;

    /// Each attempt may write a fence.
    #[test]
    fn an_account_that_only_its_owner_can_help_is_tried_more_and_more_rarely() {
        let (failures, account) = (Failures::default(), Arc::<str>::from("bot@example.org"));
        let (subject, (key, _)) = ("s".to_owned(), KeyRing::generate());
        let of_keys = TakeOverError::Log(LogError::Key { subject, revision: 1, key });
        let pauses = || (0..8).map(|_| failures.add(&account, &of_keys).as_secs()).collect::<Vec<_>>();
        assert_eq!(pauses(), [1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(failures.add(&account, &TakeOverError::Log(LogError::Ended)), PAUSE);
        failures.clear(&account);
        assert_eq!(pauses()[0], 1);
    }

    #[test]
    fn a_wish_is_told_unless_the_task_has_ended() {
        let (mut wishes, account) = (Wishes::default(), Arc::<str>::from("bot@example.org"));
        assert!(!wishes.tell(&account, Token(1), Wish::Stop), "there was none, or it is forgotten");
        let first = wishes.begin(&account, Token(1));
        assert!(wishes.tell(&account, Token(1), Wish::Stop) && *first.borrow() == Wish::Stop);
        let second = wishes.begin(&account, Token(2));
        assert!(first.has_changed().is_err(), "what has it with an earlier token ends");
        assert!(wishes.tell(&account, Token(1), Wish::Stop) && *second.borrow() == Wish::Run);
        drop(second);
        assert!(!wishes.tell(&account, Token(2), Wish::Stop));
    }
}
