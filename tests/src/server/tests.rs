//! Both servers start, serve clients, and leave nothing behind.

use std::path::Path;

use super::*;
use crate::client::Client;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn clients_talk_over_prosody_and_it_leaves_nothing_behind() {
    clients_talk(Software::Prosody).await;
}

/// Runs only where ejabberd is installed; `cargo xtask test` and `cargo xtask api` install it.
#[tokio::test]
async fn clients_talk_over_ejabberd_and_it_leaves_nothing_behind() {
    if Ejabberd::is_installed() {
        clients_talk(Software::Ejabberd).await;
    }
}

async fn clients_talk(software: Software) {
    let server = software.start().await.unwrap();
    let connector = server.connector().unwrap();
    let juliet = server.add_account("juliet").unwrap();
    let romeo = server.fresh_account("romeo").unwrap();
    let mut at_juliet = Client::login(&connector, &juliet, "balcony").await.unwrap();
    let mut at_romeo = Client::login(&connector, &romeo, "garden").await.unwrap();
    at_juliet.available().await.unwrap();
    at_romeo.available().await.unwrap();
    at_juliet.catch_up(SOON).await.unwrap();

    at_romeo.chat(juliet.jid.clone(), "but soft").await.unwrap();
    at_juliet.wait_body(&romeo.jid, "but soft", SOON).await.unwrap();

    let room = server.fresh_room();
    at_juliet.join(&room, "juliet", SOON).await.unwrap();
    at_juliet.unlock(&room, SOON).await.unwrap();
    at_romeo.join(&room, "romeo", SOON).await.unwrap();
    at_romeo.say(&room, "what light").await.unwrap();
    at_juliet.wait_body(&room, "what light", SOON).await.unwrap();
    at_romeo.leave(&room, "romeo").await.unwrap();
    assert!(at_juliet.received_xml().iter().all(|xml| !xml.contains(&juliet.password)));
    at_romeo.close().await.unwrap();
    at_juliet.close().await.unwrap();

    let (id, folder, port) = (server.id(), server.folder.path().to_owned(), server.ports().starttls);
    let helpers: Vec<u32> = crate::process::children(id);
    drop(server);
    assert!(!crate::process::exists(id));
    // Its own child processes notice that it has ended.
    let deadline = Instant::now() + SOON;
    while let Some(helper) = helpers.iter().find(|id| crate::process::exists(**id)) {
        assert!(Instant::now() < deadline, "{helper} outlived {software}");
        tokio::task::yield_now().await;
    }
    assert!(!Path::new(&folder).exists());
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_not_a_wait() {
    let server = Prosody::start().await.unwrap();
    let mut account = server.add_account("juliet").unwrap();
    account.password.push('x');
    let error = Client::login(&server.connector().unwrap(), &account, "balcony").await.unwrap_err();
    assert!(format!("{error:#}").contains("NotAuthorized"), "{error:#}");
}
