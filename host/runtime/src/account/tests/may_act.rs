//! An account of a cluster that another node may have by now.

use std::sync::atomic::AtomicU32;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use xmpp_parsers::stanza::Stanza;

use super::*;
use crate::may_act::Permission;

/// Maximum number of refusals in a test. A task that turns without end asks more often in a moment.
const REFUSALS: u32 = 1_000;

/// Returns an account with this permission that has sent its first message, and the peer's end.
async fn connected_by(peer: &Peer, may_act: MayAct) -> (Account, PeerSession) {
    let store = Store::in_memory();
    let backing = Backing { audit: store.audit(), store, may_act };
    let config = config(peer.settings(), Settings::default());
    let account = Account::start_with(config, backing, Place::here(), Dialer::Network, Clock::Machine);
    account.shared().connect().await;
    let mut session = soon("the log-in", peer.accept()).await.unwrap();
    until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
    send(account.shared(), "first").await.unwrap();
    soon("a message", session.bodies_until("first")).await;
    (account, session)
}

/// Ends an account, and returns how many messages the peer gets meanwhile.
async fn messages_at_the_end(account: Account, mut session: PeerSession) -> usize {
    let heard = async move {
        let mut messages = 0;
        while let Some(stanza) = session.hear().await {
            messages += usize::from(matches!(stanza, Stanza::Message(_)));
        }
        messages
    };
    let ((), messages) = soon("the end of the account", async { tokio::join!(account.stop(), heard) }).await;
    messages
}

/// Its messages wait, and go with it: the node that has the account sends what is to be sent. Its task waits meanwhile.
#[tokio::test]
async fn nothing_is_sent_once_the_account_may_not_act() {
    let peer = Peer::start(Manners::default()).await;
    let (may, refused) = (Arc::new(AtomicBool::new(true)), Arc::<Notify>::default());
    let asked = (Arc::clone(&may), Arc::clone(&refused), AtomicU32::new(0));
    let may_act = MayAct::asking(move || {
        let (may, refused, refusals) = &asked;
        let may = may.load(Ordering::Relaxed);
        if !may {
            refused.notify_one();
            assert!(refusals.fetch_add(1, Ordering::Relaxed) < REFUSALS, "it asks without end");
        }
        may
    });
    let (account, session) = connected_by(&peer, may_act).await;
    may.store(false, Ordering::Relaxed);
    let shared = Arc::clone(account.shared());
    let call = tokio::spawn(async move { send(&shared, "second").await });
    soon("the question", refused.notified()).await;
    assert_eq!(Box::pin(messages_at_the_end(account, session)).await, 0);
    assert!(soon("an answer", call).await.unwrap().is_err());
}

/// A machine that was suspended finds its connection broken. Another node has logged in meanwhile, and a log-in here would end its session.
#[tokio::test]
async fn an_account_that_may_not_act_does_not_log_in_again() {
    let peer = Peer::start(Manners::default()).await;
    let may = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&may);
    let (account, session) = connected_by(&peer, MayAct::asking(move || asked.load(Ordering::Relaxed))).await;
    may.store(false, Ordering::Relaxed);
    drop(session);
    until_it_is(&account, |connection| !matches!(connection, Connection::Connected(_))).await;
    let connection = account.shared().connection();
    assert!(matches!(*connection.borrow(), Connection::Offline), "it logs in again");
    soon("the end of the account", account.stop()).await;
}

/// A cluster that may be silent for a while.
struct Cluster {
    is_silent: Arc<AtomicBool>,
    asked: Arc<Notify>,
    questions: AtomicU32,
    answers: watch::Receiver<bool>,
}

impl Permission for Cluster {
    fn now(&self) -> bool {
        true
    }

    fn is_fresh(&self) -> bool {
        assert!(self.questions.fetch_add(1, Ordering::Relaxed) < REFUSALS, "it asks without end");
        !self.is_silent.load(Ordering::Relaxed)
    }

    fn confirmed(&self) -> BoxFuture<'static, bool> {
        self.asked.notify_one();
        let mut answers = self.answers.clone();
        Box::pin(async move { answers.wait_for(|answers| *answers).await.is_ok() })
    }
}

/// A node that is cut off has its lease for a while, but could not note what it has sent. If no answer comes, the message is left to the
/// next node. The task waits meanwhile.
#[tokio::test]
async fn a_message_waits_until_the_cluster_answers() {
    for comes in [true, false] {
        let peer = Peer::start(Manners::default()).await;
        let (is_silent, asked) = (Arc::<AtomicBool>::default(), Arc::<Notify>::default());
        let (answer, answers) = watch::channel(false);
        let questions = AtomicU32::new(0);
        let cluster = Cluster { is_silent: Arc::clone(&is_silent), asked: Arc::clone(&asked), questions, answers };
        let (account, mut session) = connected_by(&peer, MayAct::given_by(cluster)).await;
        is_silent.store(true, Ordering::Relaxed);
        let shared = Arc::clone(account.shared());
        let call = tokio::spawn(async move { send(&shared, "second").await });
        soon("the question", asked.notified()).await;
        if comes {
            answer.send(true).unwrap();
            soon("the message that waited", session.bodies_until("second")).await;
            assert_eq!(soon("an answer", call).await.unwrap(), Ok(()));
            continue;
        }
        assert_eq!(Box::pin(messages_at_the_end(account, session)).await, 0);
        assert!(soon("an answer", call).await.unwrap().is_err());
        drop(answer);
    }
}
