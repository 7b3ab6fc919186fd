//! Accounts that are addresses of a component (XEP-0114): one stream for all of them, on a server of their own.

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::server::{ROOMS, XmppServer};
use serde_json::{Value, json};
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use crate::test_host::{FULL, Plan, SOON, TestHost, granted, software};

/// Starts a host with so many addresses of a component, and logs a friend in to the same server. The server comes first, so it is
/// dropped last.
async fn bots(count: usize) -> (XmppServer, Client, TestHost) {
    let server = software().start_with_component().await.unwrap();
    let plan = Plan::on_component(&server, count).set("allow_non_roster_messaging", true);
    let host = plan.caller(FULL, granted).start().await;
    let account = server.add_account("friend").unwrap();
    let mut friend = Client::login(&server.connector().unwrap(), &account, "suite").await.unwrap();
    friend.available().await.unwrap();
    (server, friend, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_of_a_component_hears_its_messages_and_answers_in_its_own_name() {
    let (_server, mut friend, host) = bots(2).await;
    for at in [0, 1] {
        let own = host.accounts[at].1.jid.clone();
        let heard = host.listen_on(at, FULL, json!({ "name": "message" })).await;
        friend.chat(own.clone(), &format!("to {at}")).await.unwrap();
        assert_eq!(host.heard_on(at, FULL, heard).await["payload"]["message"]["body"], format!("to {at}"));
        let answer = json!({ "jid": friend.jid().to_string(), "body": format!("from {at}") });
        host.call_on(at, FULL, "chats.send", answer).await.ok();
        friend.wait_body(&own, &format!("from {at}"), SOON).await.unwrap();
        // It is reached by the address that people know, without a client to look for.
        friend.ping(own, SOON).await.unwrap();
        let other = host.heard_so_far_on(at, FULL, heard).await;
        assert!(other.is_empty(), "{other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_component_enters_rooms_and_leaves_them_when_it_goes() {
    let (_server, mut friend, host) = bots(1).await;
    let room: BareJid = format!("house@{ROOMS}").parse().unwrap();
    friend.join(&room, "Juliet", SOON).await.unwrap();
    friend.unlock(&room, SOON).await.unwrap();
    let opened = host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    assert_eq!(opened["joined"], true, "{opened}");
    let heard = host.listen(FULL, "message").await;
    friend.say(&room, "hello").await.unwrap();
    assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "hello");
    host.call(FULL, "connection.disconnect", Value::Null).await.ok();
    // No server tells the room in its place.
    let goes = |stanza: &Stanza| match stanza {
        Stanza::Presence(presence) => {
            let nick = presence.from.as_ref()?.resource()?.as_str();
            (nick == "Romeo" && presence.type_ == Type::Unavailable).then_some(())
        }
        _ => None,
    };
    friend.wait_for("Romeo leaves", SOON, goes).await.unwrap();
}

/// Each of these is kept by the server of an ordinary account.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_would_keep_is_unsupported_for_an_address_of_a_component() {
    let (_server, friend, host) = bots(1).await;
    let jid = friend.jid().to_bare().to_string();
    let room = format!("house@{ROOMS}");
    for (call, args) in [
        ("contacts.add", json!({ "jid": jid })),
        ("contacts.accept", json!({ "jid": jid })),
        ("rooms.set-bookmark", json!({ "jid": room, "autojoin": false })),
        ("rooms.remove-bookmark", json!({ "jid": room })),
        ("vcard.set", json!({ "fn": "Bot" })),
        ("archive.query", json!({})),
    ] {
        host.call(FULL, call, args).await.fails("unsupported");
    }
    host.call(FULL, "api.wait-until", json!({ "promise": "rosterContactsFetched" })).await.fails("unsupported");
}
