mod contacts;

use super::*;
use crate::xmpp::RawStanza;
use crate::xmpp::peer::{Manners, Peer, Session as PeerSession};

const DEADLINE: Duration = Duration::from_secs(20);

/// What the test waits for comes in time.
async fn soon<R>(what: &str, waiting: impl Future<Output = R>) -> R {
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// An account that could connect to the peer.
fn account(peer: &Peer) -> Account {
    let config = AccountConfig { name: "main".parse().unwrap(), link: peer.settings(), settings: Settings::default() };
    Account::start(config, Store::in_memory())
}

/// An account that is connected to the peer, and the peer's end.
async fn connected(peer: &Peer) -> (Account, PeerSession) {
    let account = account(peer);
    account.shared().connect().await;
    let session = soon("the log-in", peer.accept()).await.unwrap();
    until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
    (account, session)
}

async fn until_it_is(account: &Account, state: fn(&Connection) -> bool) {
    soon("a state", account.shared().connection().wait_for(state)).await.unwrap();
}

async fn send(shared: &Shared, body: &str) -> Result<(), CallError> {
    let xml = format!("<message to='friend@localhost'><body>{body}</body></message>");
    let stanza = RawStanza::parse(&xml, &shared.snapshot().jid).unwrap();
    shared.ask(|answer| Command::SendRaw { stanza, answer }).await
}

/// An account whose server has gone away, and whose link has no room: what a plugin sends waits.
async fn stuck(peer: &Peer) -> Account {
    /// How much a link takes in.
    const LINK: usize = 64;
    let (account, session) = connected(peer).await;
    drop(session);
    until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
    for _ in 0..LINK {
        soon("room in the link", send(account.shared(), "early")).await.unwrap();
    }
    account
}

/// A plugin's call that waits for room in the link.
async fn waiting_call(account: &Account) -> JoinHandle<Result<(), CallError>> {
    let shared = Arc::clone(account.shared());
    let call = tokio::spawn(async move { send(&shared, "late").await });
    soon("the command", async {
        while account.shared().commands.capacity() == COMMANDS {
            tokio::task::yield_now().await;
        }
    })
    .await;
    call
}

#[tokio::test]
async fn a_server_that_takes_nothing_in_holds_up_no_order() {
    let peer = Peer::start(Manners::default()).await;
    let account = stuck(&peer).await;
    let call = waiting_call(&account).await;
    soon("the end of an instance", account.shared().forget(InstanceId::next())).await;
    assert!(!call.is_finished());
    soon("the end of the account", account.stop()).await;
    assert_eq!(soon("an answer", call).await.unwrap(), Err(CallError::Stopped));
}

#[tokio::test]
async fn what_a_plugin_wanted_to_send_goes_with_it() {
    let peer = Peer::start(Manners::default()).await;
    let account = stuck(&peer).await;
    waiting_call(&account).await.abort();
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    soon("room in the link", send(account.shared(), "last")).await.unwrap();
    let bodies = soon("the last message", session.bodies_until("last")).await;
    assert!(bodies.contains(&"early".to_owned()) && !bodies.contains(&"late".to_owned()), "{bodies:?}");
    soon("the end of the account", account.stop()).await;
}
