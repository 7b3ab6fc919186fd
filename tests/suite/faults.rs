//! Connections that break under traffic: nothing is lost, and nothing is duplicated.

use std::time::Duration;

use parlor_tests::client::Client;
use parlor_tests::endurance::{Plan, run};
use parlor_tests::faults::{Fault, Faults, Way};
use parlor_tests::host::{Home, Server};
use parlor_tests::plugins;
use parlor_tests::policy::Policy;
use parlor_tests::server::Software;
use parlor_tests::transport::Transport;

use crate::test_host::prosody;

/// A BOSH session outlives its connections. On all other transports sessions are resumed. Settings `auto_reconnect`,
/// `bosh_service_url`, `websocket_url`.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_lose_nothing_and_double_nothing() {
    for transport in Transport::ALL {
        let server = Software::Prosody;
        let plan = Plan { cuts: 4, accounts: 2, server, transport, warm_up: 10, silence: false, seed: 7 };
        let report = run(plan, |_| ()).await.unwrap();
        assert!(report.is_good(), "{transport:?}: {report}");
        assert_eq!(report.resumed > 0, transport != Transport::Bosh, "{transport:?}: {report:?}");
    }
}

/// Stanzas that the server kept for a session arrive all at once, right behind its `<resumed/>`.
#[tokio::test(flavor = "multi_thread")]
async fn what_waited_behind_a_cut_comes_when_it_is_over() {
    const WAITING: usize = 200;
    const SOON: Duration = Duration::from_mins(1);
    let prosody = prosody().await;
    let bot = prosody.fresh_account("bot").unwrap();
    let faults = Faults::before(prosody.ports().direct).await.unwrap();
    let mut home = Home::new().unwrap();
    home.add_account("bot", &bot, Server::Direct(faults.port(), prosody.certificate())).unwrap();
    let echo = home.install("echo", &plugins::built("echo").unwrap()).unwrap();
    let echo = echo
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .grant("rooms.send", &["*"])
        .limit("messages_per_second", 10_000);
    home.set_policy(&Policy::default().with("echo", echo)).unwrap();
    let mut host = home.start().unwrap();
    host.wait("account connected", &[], SOON).await.unwrap();
    let juliet = prosody.fresh_account("juliet").unwrap();
    let mut juliet = Client::login(&prosody.connector().unwrap(), &juliet, "balcony").await.unwrap();
    juliet.available().await.unwrap();
    juliet.chat(bot.jid.clone(), "first").await.unwrap();
    juliet.wait_body(&bot.jid, "first", SOON).await.unwrap();
    // No connection gets through.
    faults.set(Way { limit: Some((1, Fault::Reset)), ..Way::default() });
    faults.strike(Fault::Reset);
    for number in 0..WAITING {
        juliet.chat(bot.jid.clone(), &format!("message {number}")).await.unwrap();
    }
    juliet.catch_up(SOON).await.unwrap();
    // Then one gets through, but not for long: some of the messages arrive and are answered.
    let before = faults.accepted();
    faults.set(Way { limit: Some((40_000, Fault::Reset)), ..Way::default() });
    while faults.accepted() < before + 3 {
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
    faults.set(Way::default());
    for number in 0..WAITING {
        juliet.wait_body(&bot.jid, &format!("message {number}"), SOON).await.unwrap();
    }
    assert!(host.lines("connection resumed", &[]).len() > 1);
    assert!(host.stop(SOON).await.unwrap().success());
}
