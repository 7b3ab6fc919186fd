mod contacts;

use super::*;
use crate::event::Payload;
use crate::xmpp::RawStanza;
use crate::xmpp::peer::{Manners, Memory, Peer, Session as PeerSession};

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
    connected_with(peer, Settings::default()).await
}

async fn connected_with(peer: &Peer, settings: Settings) -> (Account, PeerSession) {
    let config = AccountConfig { name: "main".parse().unwrap(), link: peer.settings(), settings };
    let account = Account::start(config, Store::in_memory());
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
        while account.shared().sending.available_permits() == SENDING {
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

/// What needs nothing of the link does not wait for it, however many others do.
/// Rows 8, 13-16.
#[tokio::test]
async fn a_full_link_holds_up_nobody_who_sends_nothing() {
    let peer = Peer::start(Manners::default()).await;
    let account = stuck(&peer).await;
    let shared = account.shared();
    let calls: Vec<_> = (0..SENDING + 3)
        .map(|_| {
            let shared = Arc::clone(shared);
            tokio::spawn(async move { send(&shared, "late").await })
        })
        .collect();
    soon("the commands", async {
        while shared.sending.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let by = InstanceId::next();
    for round in 0..3 {
        let names = vec![format!("promise{round}").into()];
        let added = shared.ask(|answer| Command::AddPromises { by, names, most: 16, answer });
        assert_eq!(soon("a promise", added).await, Ok(()));
        let emitted = shared.ask(|answer| Command::Emit { by, name: "done".into(), payload: Payload::None, answer });
        assert_eq!(soon("an event", emitted).await, Ok(()));
    }
    assert!(calls.iter().all(|call| !call.is_finished()));
    soon("the end of the account", account.stop()).await;
    for call in calls {
        assert_eq!(soon("an answer", call).await.unwrap(), Err(CallError::Stopped));
    }
}

/// A message that was taken in is sent once, whether its session lives on or not, and its plugin is not told otherwise.
/// Rows 9, 34.
#[tokio::test]
async fn what_was_taken_in_is_sent_once_on_whatever_stream_follows() {
    for memory in [Memory::Good, Memory::Count] {
        let peer = Peer::start(Manners { memory, ..Manners::default() }).await;
        let (account, mut session) = connected(&peer).await;
        let shared = account.shared();
        assert_eq!(send(shared, "before").await, Ok(()));
        soon("a message", session.bodies_until("before")).await;
        drop(session);
        until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
        for body in ["one", "two", "three"] {
            assert_eq!(soon("room", send(shared, body)).await, Ok(()));
        }
        let mut session = soon("the connection", peer.accept()).await.unwrap();
        assert_eq!(session.resumed, memory == Memory::Good);
        let bodies = soon("the last message", session.bodies_until("three")).await;
        assert_eq!(bodies, ["one", "two", "three"]);
        assert_eq!(soon("another", send(shared, "after")).await, Ok(()));
        assert_eq!(soon("the last message", session.bodies_until("after")).await, ["after"]);
        soon("the end of the account", account.stop()).await;
    }
}

/// What only the lost session could have answered ends with a typed error, and is not asked again.
/// Rows 11.
#[tokio::test]
async fn a_question_that_was_cut_ends_and_is_not_asked_again() {
    let peer = Peer::start(Manners { memory: Memory::None, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    let shared = Arc::clone(account.shared());
    let xml = "<iq to='friend@localhost/x' type='get' id='q'><query xmlns='urn:example:question'/></iq>";
    let question = tokio::spawn(async move {
        let iq = RawStanza::parse_request(xml, &shared.snapshot().jid).unwrap();
        shared.ask(|answer| Command::SendIq { iq, answer }).await.map(|answer| answer.to_xml())
    });
    soon("the question", session.hear_text("urn:example:question")).await;
    drop(session);
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    assert_eq!(soon("an answer", question).await.unwrap(), Err(CallError::Offline));
    assert_eq!(soon("room", send(account.shared(), "last")).await, Ok(()));
    soon("the last message", session.bodies_until("last")).await;
    assert!(!session.has_said("urn:example:question"), "it was asked again");
    soon("the end of the account", account.stop()).await;
}

/// Settings `auto_reconnect`.
#[tokio::test]
async fn an_account_that_is_not_to_come_back_stays_away() {
    let peer = Peer::start(Manners::default()).await;
    let settings = Settings::default().with("auto_reconnect", false.into()).unwrap();
    let (account, session) = connected_with(&peer, settings).await;
    drop(session);
    until_it_is(&account, |connection| matches!(connection, Connection::Failed(_))).await;
    assert_eq!(send(account.shared(), "late").await, Err(CallError::Offline));
    soon("the end of the account", account.stop()).await;
}

/// Settings `csi_waiting_time`.
#[tokio::test]
async fn an_account_in_which_nothing_happens_says_so_and_says_when_something_does() {
    let peer = Peer::start(Manners { client_state: true, ..Manners::default() }).await;
    let settings = Settings::default().with("csi_waiting_time", 1.into()).unwrap();
    let (account, mut session) = connected_with(&peer, settings).await;
    soon("the silence", session.hear_text("<inactive xmlns='urn:xmpp:csi:0'")).await;
    assert_eq!(soon("room", send(account.shared(), "hi")).await, Ok(()));
    soon("the word", session.hear_text("<active xmlns='urn:xmpp:csi:0'")).await;
    soon("the end of the account", account.stop()).await;
}
