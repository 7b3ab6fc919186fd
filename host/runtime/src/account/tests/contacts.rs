//! Roster and log-in with a peer that sends forged stanzas.

use futures_util::FutureExt;
use jid::BareJid;
use jiff::SignedDuration;
use parlor_session::permissions::Granted;
use parlor_session::{ChangeContact, ContactChange, Emit};
use parlor_xmpp::Supplied;

use super::*;

const ROSTER: &str = "<query xmlns='jabber:iq:roster' ver='v1'><item jid='romeo@far' subscription='both'/></query>";

async fn known(account: &Account) -> Vec<String> {
    soon("the roster", account.shared().until("rosterContactsFetched")).await.unwrap();
    account.shared().snapshot().contacts.iter().flat_map(|contacts| contacts.keys()).map(ToString::to_string).collect()
}

/// Returns the stanzas before the answer to a ping: by then, everything that the peer sent before has been handled.
async fn seen(session: &mut PeerSession) -> Vec<String> {
    session.say("<iq xmlns='jabber:client' type='get' id='seen'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    let mut heard = Vec::new();
    loop {
        let (xml, id) = soon("an answer", session.hear_xml()).await;
        if id == "seen" {
            return heard;
        }
        heard.push(xml);
    }
}

/// Rules roster-push.
#[tokio::test]
async fn a_roster_changes_by_the_word_of_the_own_account_alone() {
    let peer = Peer::start(Manners::default()).await;
    let (account, mut session) = connected(&peer).await;
    soon("the presence", session.settle_roster(ROSTER)).await;
    assert_eq!(known(&account).await, ["romeo@far"]);
    // The bookmarks are requested next.
    seen(&mut session).await;
    let push = |from: &str, items: &str| {
        format!(
            "<iq xmlns='jabber:client' type='set' id='push' {from}><query xmlns='jabber:iq:roster'>{items}</query></iq>"
        )
    };
    let evil = "<item jid='evil@far' subscription='both'/>";
    for from in ["from='evil@far'", "from='localhost'", "from='bot@localhost/other'", "from='bot@localhost.far'"] {
        session.say(&push(from, evil)).await;
        session.say(&push(from, "<item jid='romeo@far' subscription='remove'/>")).await;
    }
    // From the account itself, so an answer is required, but it is not a roster push.
    for items in ["", "<item/>", "<item jid='a@far'/><item jid='evil@far'/>"] {
        session.say(&push("", items)).await;
    }
    let heard = seen(&mut session).await;
    let (forged, odd) = heard.split_at(8);
    // A push from an unauthorised sender is answered like any unknown request.
    assert!(forged.iter().all(|xml| xml.contains("service-unavailable")), "{heard:?}");
    assert!(odd.len() == 3 && odd.iter().all(|xml| xml.contains("bad-request")), "{heard:?}");
    assert_eq!(known(&account).await, ["romeo@far"]);
    for from in ["", "from='bot@localhost'"] {
        session.say(&push(from, "<item jid='nurse@far' subscription='to'/>")).await;
        assert!(seen(&mut session).await[0].contains("result"));
        assert_eq!(known(&account).await, ["nurse@far", "romeo@far"]);
        session.say(&push(from, "<item jid='nurse@far' subscription='remove'/>")).await;
        seen(&mut session).await;
        assert_eq!(known(&account).await, ["romeo@far"]);
    }
    soon("the end of the account", account.stop()).await;
}

/// Rules iq-reply.
#[tokio::test]
async fn nobody_else_answers_for_the_roster() {
    let peer = Peer::start(Manners::default()).await;
    let (account, mut session) = connected(&peer).await;
    soon("the presence", session.settle_roster(ROSTER)).await;
    known(&account).await;
    seen(&mut session).await;
    let shared = Arc::clone(account.shared());
    let adding = tokio::spawn(async move {
        let (jid, change) = ("nurse@far".parse().unwrap(), ContactChange::Add { fullname: None });
        shared.ask(Asker::Host, &Granted::HOST, ChangeContact { jid, change }).await
    });
    let (asked, id) = soon("the roster set", session.hear_xml()).await;
    assert!(asked.contains("nurse@far") && !asked.contains("subscription") && !asked.contains("to="), "{asked}");
    for from in ["evil@far", "nurse@far", "bot@localhost/other"] {
        session.say(&format!("<iq xmlns='jabber:client' type='result' id='{id}' from='{from}'/>")).await;
    }
    assert!(seen(&mut session).await.is_empty(), "nobody is asked for a subscription yet");
    assert!(!adding.is_finished());
    session.say(&format!("<iq xmlns='jabber:client' type='result' id='{id}'/>")).await;
    assert!(soon("the request", session.hear_xml()).await.0.contains("subscribe"));
    assert_eq!(soon("the answer", adding).await.unwrap(), Ok(()));
    assert_eq!(known(&account).await, ["nurse@far", "romeo@far"]);
    soon("the end of the account", account.stop()).await;
}

/// Rows 17.
#[tokio::test]
async fn a_server_with_versions_is_asked_for_what_has_changed() {
    let peer = Peer::start(Manners { roster_versions: true, resumption: false, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    let asked = soon("the presence", session.settle_roster(ROSTER)).await;
    assert!(asked.contains("ver=\"\"") || asked.contains("ver=''"), "{asked}");
    assert_eq!(known(&account).await, ["romeo@far"]);
    drop(session);
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    let asked = soon("the presence", session.settle_roster("")).await;
    assert!(asked.contains("v1"), "{asked}");
    assert_eq!(known(&account).await, ["romeo@far"]);
    soon("the end of the account", account.stop()).await;
}

/// Ten thousand contacts, all of them online: other requests are served meanwhile, and after a lost connection only
/// changes are sent and reported.
/// Rows 17, 62-64.
#[tokio::test]
async fn ten_thousand_contacts_hold_up_nobody() {
    const MANY: usize = 10_000;
    let peer = Peer::start(Manners { roster_versions: true, memory: Memory::None, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    let items: Vec<_> = (0..MANY).map(|n| format!("<item jid='c{n}@far' subscription='both'/>")).collect();
    let items = items.concat();
    let roster = format!("<query xmlns='jabber:iq:roster' ver='v1'>{items}</query>");
    soon("the presence", session.settle_roster(&roster)).await;
    assert_eq!(known(&account).await.len(), MANY);
    let shared = Arc::clone(account.shared());
    let online = |jid: &str| {
        let contacts = shared.snapshot().contacts.clone().unwrap();
        contacts[&BareJid::new(jid).unwrap()].chat_status() == "online"
    };
    let come = async |session: &mut PeerSession| {
        for n in 0..MANY {
            session.say(&format!("<presence xmlns='jabber:client' from='c{n}@far/x'/>")).await;
        }
    };
    let others = async {
        let (by, mut answered) = (InstanceId::next(), 0);
        while !online(&format!("c{}@far", MANY - 1)) {
            let call =
                shared.ask(Asker::Host, &Granted::HOST, Emit { by, name: "done".into(), payload: Payload::None });
            assert_eq!(soon("an answer", call).await, Ok(()));
            answered += 1;
        }
        answered
    };
    let ((), answered) = tokio::join!(come(&mut session), others);
    assert!(answered > 10, "only {answered} calls were answered meanwhile");
    assert!((0..MANY).all(|n| online(&format!("c{n}@far"))));

    let mut changes = Ear::open(&account, &["contactPresenceChanged", "contactRemoved"]);
    drop(session);
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    let asked = soon("the presence", session.settle_roster("")).await;
    assert!(asked.contains("'v1'") || asked.contains("\"v1\""), "{asked}");
    come(&mut session).await;
    seen(&mut session).await;
    assert!(changes.0.try_recv().is_err(), "nothing became different");
    assert!((0..MANY).all(|n| online(&format!("c{n}@far"))));
    soon("the end of the account", account.stop()).await;
}

fn credentials(password: &str) -> Credentials {
    Credentials { jid: "bot@localhost/mine".parse().unwrap(), password: Supplied::new(password.to_owned()) }
}

/// Rows 54, 55.
#[tokio::test]
async fn a_log_in_of_a_plugin_that_fails_is_that_plugins_alone() {
    let peer = Peer::start(Manners { password: "mine", ..Manners::default() }).await;
    let account = account(&peer);
    account.shared().plugins_initialized().await;
    let shared = Arc::clone(account.shared());
    let first = tokio::spawn(async move { shared.log_in(Asker::Host, &Granted::HOST, None).await });
    assert!(soon("a client", peer.accept()).await.is_none(), "the configured password is another");
    let refused = soon("an answer", first).await.unwrap();
    assert!(matches!(refused, Err(CallError::Stanza(error)) if error.condition == "not-authorized"));
    until_it_is(&account, |connection| *connection == Connection::Offline).await;

    let shared = Arc::clone(account.shared());
    let second =
        tokio::spawn(async move { shared.log_in(Asker::Host, &Granted::HOST, Some(credentials("mine"))).await });
    let mut session = soon("the log-in", peer.accept()).await.unwrap();
    assert_eq!(soon("an answer", second).await.unwrap(), Ok(()));
    assert_eq!(account.shared().snapshot().jid.as_str(), "bot@localhost/mine");
    soon("the presence", session.settle_roster(ROSTER)).await;
    let twice =
        soon("an answer", account.shared().log_in(Asker::Host, &Granted::HOST, Some(credentials("mine")))).await;
    assert!(matches!(twice, Err(CallError::Other(_))));
    assert_eq!(soon("an answer", account.shared().log_in(Asker::Host, &Granted::HOST, None)).await, Ok(()));

    let shared = Arc::clone(account.shared());
    let out = tokio::spawn(async move { shared.log_out(Asker::Host, &Granted::HOST).await });
    while soon("the good-bye", session.hear()).await.is_some() {}
    drop(session);
    soon("the log-out", out).await.unwrap().unwrap();
    assert_eq!(*account.shared().connection().borrow(), Connection::Offline);
    assert!(account.shared().snapshot().contacts.is_none());
    soon("the end of the account", account.stop()).await;
}

/// Rows 55.
/// No plugin misses an event of a session that another one begins while some still start.
#[tokio::test]
async fn a_log_in_waits_until_every_plugin_can_listen() {
    let peer = Peer::start(Manners::default()).await;
    let account = account(&peer);
    let shared = Arc::clone(account.shared());
    let early = shared.log_in(Asker::Host, &Granted::HOST, None);
    tokio::pin!(early);
    // The first poll queues the order; the second order is done after it.
    assert!(early.as_mut().now_or_never().is_none());
    soon("an order", account.shared().forget(InstanceId::next())).await;
    assert_eq!(*account.shared().connection().borrow(), Connection::Offline);
    account.shared().plugins_initialized().await;
    let _session = soon("the log-in", peer.accept()).await.unwrap();
    assert_eq!(soon("an answer", early).await, Ok(()));
}

/// Rules priority.
#[tokio::test]
async fn the_client_of_the_highest_priority_speaks_for_a_contact() {
    let peer = Peer::start(Manners::default()).await;
    let (account, mut session) = connected(&peer).await;
    soon("the presence", session.settle_roster(ROSTER)).await;
    known(&account).await;
    let status = || {
        let contacts = account.shared().snapshot().contacts.clone().unwrap();
        let romeo = contacts.get(&"romeo@far".parse::<BareJid>().unwrap()).unwrap();
        romeo.resources.first().map(|first| (first.name.clone(), first.status.clone().unwrap_or_default()))
    };
    let speaks = |who: &str, what: &str| Some((who.to_owned(), what.to_owned()));
    for (from, priority, says, expected) in [
        ("romeo@far/a", 1, "one", speaks("a", "one")),
        ("romeo@far/b", 5, "two", speaks("b", "two")),
        ("romeo@far/a", 4, "three", speaks("b", "two")),
        // Others cannot set his presence, with any priority.
        ("evil@far/a", 127, "forged", speaks("b", "two")),
        ("romeo@far.evil/a", 127, "forged", speaks("b", "two")),
        ("romeo@far/c", 5, "four", speaks("c", "four")),
        ("romeo@far/d", -1, "five", speaks("c", "four")),
    ] {
        let presence = format!(
            "<presence xmlns='jabber:client' from='{from}'><status>{says}</status><priority>{priority}</priority></presence>"
        );
        session.say(&presence).await;
        seen(&mut session).await;
        assert_eq!(status(), expected, "{presence}");
    }
    soon("the end of the account", account.stop()).await;
}

/// The host notes what plugins make of contacts. The server's word decides what becomes of the notes.
#[tokio::test]
async fn the_servers_word_of_a_contact_reaches_the_notes_of_plugins() {
    let peer = Peer::start(Manners { resumption: false, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    soon("the presence", session.settle_roster(ROSTER)).await;
    known(&account).await;
    seen(&mut session).await;
    let shared = Arc::clone(account.shared());
    let (echo, romeo) = ("echo".parse().unwrap(), BareJid::new("romeo@far").unwrap());
    let own = shared.records.own_contacts(&echo);
    let push = |item: &str| {
        let query = format!("<query xmlns='jabber:iq:roster'><item jid='romeo@far' {item}/></query>");
        format!("<iq xmlns='jabber:client' type='set' id='push'>{query}</iq>")
    };
    let before = shared.clock.now() - SignedDuration::from_hours(2);
    let note = async || {
        let snapshot = Arc::clone(&shared.snapshot());
        assert!(shared.records.changes_contact(&echo, &romeo, &snapshot, before).await);
    };
    // The plugin asked for a change two hours ago, and the account logged in then.
    shared.records.logged_in(before);
    note().await;
    session.say(&push("subscription='both' ask='subscribe'")).await;
    seen(&mut session).await;
    assert_eq!(own.count(), 1);
    session.say(&push("subscription='both' name='Romeo'")).await;
    seen(&mut session).await;
    assert_eq!(own.count(), 0, "the owner edited it");

    // After a new log-in, the change may be from before.
    note().await;
    drop(session);
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    soon("the presence", session.settle_roster(ROSTER)).await;
    known(&account).await;
    seen(&mut session).await;
    session.say(&push("subscription='from' name='R.'")).await;
    seen(&mut session).await;
    assert_eq!((own.count(), own.has(&romeo), own.is_owners(&romeo, |part| part.is_seen)), (1, false, false));
    session.say(&push("subscription='remove'")).await;
    seen(&mut session).await;
    assert_eq!((own.count(), own.has(&romeo)), (1, true), "the plugin may have asked to have it again");
    soon("the end of the account", account.stop()).await;
}

/// As from a server without versions.
#[tokio::test]
async fn a_whole_roster_reaches_the_notes_of_plugins() {
    let peer = Peer::start(Manners { resumption: false, ..Manners::default() }).await;
    let (account, mut session) = connected(&peer).await;
    soon("the presence", session.settle_roster(ROSTER)).await;
    known(&account).await;
    let shared = Arc::clone(account.shared());
    let (echo, romeo) = ("echo".parse().unwrap(), BareJid::new("romeo@far").unwrap());
    let snapshot = Arc::clone(&shared.snapshot());
    assert!(shared.records.changes_contact(&echo, &romeo, &snapshot, shared.clock.now()).await);
    drop(session);
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    soon("the presence", session.settle_roster("<query xmlns='jabber:iq:roster'/>")).await;
    seen(&mut session).await;
    assert!(shared.records.own_contacts(&echo).has(&romeo));
    soon("the end of the account", account.stop()).await;
}
