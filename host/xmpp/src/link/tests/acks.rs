//! When a link acknowledges, and when it asks for acknowledgements (XEP-0198, section 4).

use super::*;
use crate::link::acks::ASK_EVERY;

const FROM_A_FRIEND: &str = "<message xmlns='jabber:client' from='friend@localhost/x'><body>hi</body></message>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// The request and its answer would be two packets more for each message.
#[tokio::test]
async fn an_acknowledgement_goes_out_behind_the_answer_to_the_message() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say(FROM_A_FRIEND).await;
    session.say_raw(REQUEST).await;
    session.say(FROM_A_FRIEND).await;
    for _ in 0..2 {
        assert!(matches!(incoming(&mut link).await, Incoming::Message(_)));
    }
    link.send(message("the answer"));
    beside(&mut link, session.hear_text("the answer")).await;
    beside(&mut link, session.hear_text("<a xmlns='urn:xmpp:sm:3' h='2'")).await;
}

#[tokio::test]
async fn an_acknowledgement_goes_out_soon_where_nothing_is_answered() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    session.say(FROM_A_FRIEND).await;
    assert!(matches!(incoming(&mut link).await, Incoming::Message(_)));
    assert_eq!(beside(&mut link, session.ask_what_was_taken_in()).await, 1);
}

#[tokio::test]
async fn a_server_is_asked_after_some_stanzas_or_a_moment() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    (0..=ASK_EVERY).for_each(|number| link.send(message(&format!("number {number}."))));
    // The request comes behind all that was waiting, and the answer to it settles them.
    beside(&mut link, session.hear_text(&format!("number {ASK_EVERY}."))).await;
    beside(&mut link, session.hear_text("<r xmlns='urn:xmpp:sm:3'")).await;
    let all = u32::try_from(ASK_EVERY).unwrap() + 1;
    session.say_raw(&format!("<a xmlns='urn:xmpp:sm:3' h='{all}'/>")).await;
    link.send(message("one more."));
    beside(&mut link, session.hear_text("one more.")).await;
    beside(&mut link, session.hear_text("<r xmlns='urn:xmpp:sm:3'")).await;
}
