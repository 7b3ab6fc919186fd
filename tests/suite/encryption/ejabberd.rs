//! The same on ejabberd, whichever server the suite runs on: chats by both namespaces of OMEMO, a room of members, and OTR.

use parlor_tests::ejabberd::Ejabberd;
use parlor_tests::server::{Software, XmppServer};
use tokio::sync::OnceCell;

use super::{omemo, otr, rooms};
use crate::test_host::{prosody, software};

/// Returns the suite's ejabberd; none where it is not installed. A server that does not start is not tried again.
async fn server() -> Option<&'static XmppServer> {
    static SERVER: OnceCell<Result<XmppServer, String>> = OnceCell::const_new();
    if software() == Software::Ejabberd {
        return Some(prosody().await);
    }
    if !Ejabberd::is_installed() {
        return None;
    }
    let start = async || Software::Ejabberd.start().await.map_err(|error| format!("{error:#}"));
    Some(SERVER.get_or_init(start).await.as_ref().unwrap_or_else(|error| panic!("{error}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_encrypted_there() {
    if let Some(server) = server().await {
        omemo::go_both_ways(server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_members_is_encrypted_there() {
    if let Some(server) = server().await {
        rooms::talk(server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_off_the_record_there() {
    if let Some(server) = server().await {
        otr::begins_and_ends(server).await;
    }
}
