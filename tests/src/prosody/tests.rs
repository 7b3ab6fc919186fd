use std::path::Path;

use super::*;
use crate::client::Client;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn lua_strings_cannot_break_out() {
    assert_eq!(lua("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
}

#[tokio::test]
async fn clients_talk_over_it_and_it_leaves_nothing_behind() {
    let prosody = Prosody::start().await.unwrap();
    let connector = prosody.connector().unwrap();
    let juliet = prosody.add_account("juliet").unwrap();
    let romeo = prosody.fresh_account("romeo").unwrap();
    let mut at_juliet = Client::login(&connector, &juliet, "balcony").await.unwrap();
    let mut at_romeo = Client::login(&connector, &romeo, "garden").await.unwrap();
    at_juliet.available().await.unwrap();
    at_romeo.available().await.unwrap();
    at_juliet.catch_up(SOON).await.unwrap();

    at_romeo.chat(juliet.jid.clone(), "but soft").await.unwrap();
    at_juliet.wait_body(&romeo.jid, "but soft", SOON).await.unwrap();

    let room = prosody.fresh_room();
    at_juliet.join(&room, "juliet", SOON).await.unwrap();
    at_juliet.unlock(&room, SOON).await.unwrap();
    at_romeo.join(&room, "romeo", SOON).await.unwrap();
    at_romeo.say(&room, "what light").await.unwrap();
    at_juliet.wait_body(&room, "what light", SOON).await.unwrap();
    at_romeo.leave(&room, "romeo").await.unwrap();
    assert!(at_juliet.received_xml().iter().all(|xml| !xml.contains(&juliet.password)));
    at_romeo.close().await.unwrap();
    at_juliet.close().await.unwrap();

    let (id, folder, port) = (prosody.id(), prosody.folder.path().to_owned(), prosody.ports().starttls);
    drop(prosody);
    assert!(!crate::process::exists(id));
    assert!(!Path::new(&folder).exists());
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_not_a_wait() {
    let prosody = Prosody::start().await.unwrap();
    let mut account = prosody.add_account("juliet").unwrap();
    account.password.push('x');
    let error = Client::login(&prosody.connector().unwrap(), &account, "balcony").await.unwrap_err();
    assert!(format!("{error:#}").contains("NotAuthorized"), "{error:#}");
}
