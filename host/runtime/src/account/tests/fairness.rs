//! Calls of plugins whose guests do not run must not delay others. A guest that computes polls none of its calls, so
//! the calls here are polled once and then left alone.

use std::pin::Pin;
use std::task::{Context, Waker};

use parlor_base::held::Held;
use parlor_session::permissions::Granted;
use parlor_session::{Answer, AnyCommand};

use super::*;

/// Number of plugins that do all they can to be in the way.
const CROWD: usize = 8;

type Call<R> = Pin<Box<dyn Future<Output = Result<R, CallError>> + Send>>;

/// Begins more calls for each of many plugins than may wait, and returns them.
fn asleep<R>(call: impl Fn(InstanceId) -> Call<R>) -> Vec<Call<R>> {
    let plugins: Vec<_> = (0..CROWD).map(|_| InstanceId::next()).collect();
    let all = plugins.iter().flat_map(|by| (0..COMMANDS + 20).map(move |_| *by));
    all.map(|by| {
        let mut call = call(by);
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        call
    })
    .collect()
}

fn emit(shared: &Arc<Shared>, by: InstanceId) -> Call<()> {
    let shared = Arc::clone(shared);
    let command = Emit { by, name: "done".into(), payload: Payload::None };
    Box::pin(async move { shared.ask(Asker::Plugin(by), &Granted::HOST, command).await })
}

fn say(shared: &Arc<Shared>, by: InstanceId, body: &str) -> Call<()> {
    let xml = format!("<message to='friend@localhost'><body>{body}</body></message>");
    let stanza = RawStanza::parse(&xml, &shared.snapshot().jid).unwrap();
    let shared = Arc::clone(shared);
    Box::pin(async move { shared.ask(Asker::Plugin(by), &Granted::HOST, SendRaw { by, stanza }).await })
}

#[tokio::test]
async fn calls_of_plugins_that_do_not_run_hold_up_nobody() {
    let peer = Peer::start(Manners::default()).await;
    let account = account(&peer);
    let shared = account.shared();
    let _asleep = asleep(|by| emit(shared, by));
    for _ in 0..3 {
        assert_eq!(soon("the neighbour's event", emit(shared, InstanceId::next())).await, Ok(()));
    }
    soon("the end of the account", account.stop()).await;
}

/// Otherwise a plugin could move its computing to the account's task, which also serves the connection.
#[tokio::test]
async fn the_time_that_a_call_takes_here_is_charged_to_its_plugin() {
    let peer = Peer::start(Manners::default()).await;
    let account = account(&peer);
    let held = Held::up_to(1 << 20);
    let by = InstanceId::next();
    let (answer, arrives) = Answer::channel();
    let command = AnyCommand::with(Emit { by, name: "done".into(), payload: Payload::None }, answer);
    let call = account.shared().ask_holding(Asker::Plugin(by), &Granted::HOST, command, arrives, held.hold(16));
    soon("the event", call).await.unwrap();
    soon("the end of the account", account.stop()).await;
    assert!(held.charges().waiting() > Duration::ZERO);
}

/// When messages wait for the link, each plugin's next message goes before any plugin's second one.
#[tokio::test]
async fn a_message_waits_for_one_of_each_other_plugin_when_the_link_has_room_again() {
    let peer = Peer::start(Manners::default()).await;
    let account = stuck(&peer).await;
    let shared = account.shared();
    let _asleep = asleep(|by| say(shared, by, "crowd"));
    let neighbour = InstanceId::next();
    let (first, second) = (say(shared, neighbour, "first"), say(shared, neighbour, "second"));
    let calls = tokio::spawn(futures_util::future::join(first, second));
    soon("both calls", async {
        while shared.asked.waiting(&Asker::Plugin(neighbour)) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut session = soon("the connection", peer.accept()).await.unwrap();
    let bodies = soon("the neighbour's messages", session.bodies_until("second")).await;
    let place = |body: &str| bodies.iter().filter(|other| *other != "early").position(|other| other == body).unwrap();
    assert_eq!(place("first"), CROWD, "{bodies:?}");
    assert_eq!(place("second"), 2 * CROWD + 1, "{bodies:?}");
    assert_eq!(soon("the answers", calls).await.unwrap(), (Ok(()), Ok(())));
    soon("the end of the account", account.stop()).await;
}

/// They take the same path as the host's orders that end a plugin, or the host.
#[tokio::test]
async fn orders_of_plugins_that_do_not_run_hold_up_no_order_of_the_host() {
    let peer = Peer::start(Manners::default()).await;
    let account = account(&peer);
    let shared = account.shared();
    let _asleep = asleep(|by| {
        let shared = Arc::clone(shared);
        Box::pin(async move { shared.log_in(Asker::Plugin(by), &Granted::HOST, None).await })
    });
    soon("the end of an instance", shared.forget(InstanceId::next())).await;
    assert_eq!(soon("the neighbour's event", emit(shared, InstanceId::next())).await, Ok(()));
    soon("the end of the account", account.stop()).await;
}

/// Otherwise its waiting requests would register something after everything that it had was removed.
#[tokio::test]
async fn what_a_plugin_asked_for_goes_with_it() {
    let peer = Peer::start(Manners::default()).await;
    let account = account(&peer);
    let shared = account.shared();
    let add = |by| {
        let names = vec!["mine".into()];
        shared.ask(Asker::Plugin(by), &Granted::HOST, RegisterPromises { by, names, most: 16 })
    };
    let (gone, other) = (InstanceId::next(), InstanceId::next());
    let mut asked = Box::pin(add(gone));
    assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    soon("the end of an instance", shared.forget(gone)).await;
    assert_eq!(soon("an answer", asked).await, Err(CallError::Stopped));
    assert_eq!(soon("a promise", add(other)).await, Ok(1), "its name is free");
    soon("the end of the account", account.stop()).await;
}
