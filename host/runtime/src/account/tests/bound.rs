//! Log-ins with channel binding, and the log-ins that follow them.

use std::collections::BTreeSet;

use parlor_store::PinKeeper;
use parlor_xmpp::Carrier;
use xmpp_parsers::sasl_cb::Type;

use super::*;

#[tokio::test]
async fn an_account_that_was_bound_once_does_not_log_in_unbound_after_a_restart() {
    let store = Store::in_memory();
    let start = |peer: &Peer| {
        let name = "main".parse().unwrap();
        let settings = Settings::default();
        let (link, encryption) = (peer.settings(), parlor_config::Encryption::OFF);
        let (web, otr_people) = (Arc::default(), parlor_config::OtrPeople::default());
        let config =
            AccountConfig { name, group: None, link, owners: Vec::new(), web, encryption, otr_people, settings };
        Account::start(config, store.clone(), Place::here())
    };
    let mechanisms = &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
    let honest = Peer::start(Manners { mechanisms, binds: Some(Type::TlsExporter), ..Manners::default() }).await;
    let account = start(&honest);
    account.shared().connect().await;
    let session = soon("the log-in", honest.accept()).await.unwrap();
    until_it_is(&account, |connection| matches!(connection, Connection::Connected(_))).await;
    drop(session);
    soon("the end of the account", account.stop()).await;
    let mut keeper = PinKeeper::new(store.clone(), &jid::BareJid::new("bot@localhost").unwrap());
    keeper.load().await;
    assert_eq!(keeper.pins().known(), BTreeSet::from([Carrier::Tcp]));
    // The same account, and an attacker who removes channel binding from the server's offer.
    let stripping = Peer::start(Manners::default()).await;
    let account = start(&stripping);
    account.shared().connect().await;
    assert!(soon("the log-in", stripping.accept()).await.is_none());
    until_it_is(
        &account,
        |connection| matches!(connection, Connection::Failed(why) if why.contains("cannot be bound")),
    )
    .await;
    soon("the end of the account", account.stop()).await;
}
