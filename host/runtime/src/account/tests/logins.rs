//! Log-ins that the server does not answer.

use parlor_session::Answer;
use parlor_session::permissions::Granted;
use parlor_xmpp::peer::Step;

use super::*;
use crate::account::logins::Logins;

/// Rows 54, 55. Each caller gets an answer in time, and the attempt leaves no state for the next one.
#[tokio::test]
async fn a_log_in_that_is_not_answered_fails_in_its_time_and_the_next_one_works() {
    let peer = Peer::start(Manners { thinks: Some(Step::Success), ..Manners::default() }).await;
    let account = account(&peer);
    account.shared().plugins_initialized().await;
    let log_in = || {
        let shared = Arc::clone(account.shared());
        tokio::spawn(async move { shared.log_in(Asker::Host, &Granted::HOST, None).await })
    };
    let (one, other) = (log_in(), log_in());
    let mut serving = Box::pin(peer.accept());
    tokio::select! {
        _ = &mut serving => panic!("the server did not think"),
        () = peer.thinks() => tokio::time::pause(),
    }
    assert_eq!(one.await.unwrap(), Err(CallError::TimedOut));
    assert_eq!(other.await.unwrap(), Err(CallError::TimedOut));
    tokio::time::resume();
    drop(serving);
    until_it_is(&account, |connection| matches!(connection, Connection::Retrying(_))).await;
    let again = log_in();
    // This time the server does not pause.
    peer.go_on();
    let _session = soon("the log-in", peer.accept()).await.unwrap();
    assert_eq!(soon("an answer", again).await.unwrap(), Ok(()));
    soon("the end of the account", account.stop()).await;
}

/// A plugin is responsible for the log-in that it requested, not for a failure weeks later.
#[tokio::test]
async fn a_session_that_a_plugin_began_and_that_is_ended_for_good_is_a_failure_of_the_account() {
    let peer = Peer::start(Manners::default()).await;
    let account = account(&peer);
    account.shared().plugins_initialized().await;
    let shared = Arc::clone(account.shared());
    let login = tokio::spawn(async move { shared.log_in(Asker::Host, &Granted::HOST, None).await });
    let mut session = soon("the log-in", peer.accept()).await.unwrap();
    assert_eq!(soon("an answer", login).await.unwrap(), Ok(()));
    let revoked = "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>";
    session.say_raw(&format!("<stream:error>{revoked}</stream:error></stream:stream>")).await;
    until_it_is(&account, |connection| matches!(connection, Connection::Failed(_))).await;
    soon("the end of the account", account.stop()).await;
}

/// Otherwise a plugin that has ended would log in, in place of the owner.
#[test]
fn who_asked_for_a_log_in_before_the_host_opened_and_has_ended_asks_for_none() {
    let mut logins = Logins::default();
    let ((gone, _), (stays, _receiver)) = (Answer::channel(), Answer::channel());
    logins.wait_for_plugins(None, gone);
    logins.wait_for_plugins(None, stays);
    let early = logins.begin_early();
    assert_eq!(early.len(), 1);
    assert!(!early[0].1.is_abandoned());
}
