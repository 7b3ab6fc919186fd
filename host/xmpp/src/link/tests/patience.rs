//! Tests of how long unsent stanzas are kept after connection loss (`keep_unsent`).

use super::*;

async fn impatient(memory: Memory) -> (Peer, Link, Session) {
    let peer = Peer::start(Manners { memory, ..Manners::default() }).await;
    let mut link = Link::start(LinkSettings { keep_unsent: Duration::ZERO, ..peer.settings() });
    let (event, session) = tokio::join!(link.next(), peer.accept());
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
    (peer, link, session.unwrap())
}

/// The plugin that sent the message gets the error, as for any message that could not be delivered.
fn is_returned(event: LinkEvent) {
    let LinkEvent::Stanza(Incoming::Message(message)) = event else { panic!("{event:?}") };
    assert_eq!((message.kind, message.body.as_deref()), (MessageKind::Error, Some("too old")));
    assert_eq!(message.error.unwrap().condition, "remote-server-timeout");
}

#[tokio::test]
async fn after_a_cut_that_was_too_long_messages_are_not_sent_and_all_else_is() {
    let (peer, mut link, session) = impatient(Memory::Good).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    link.send(message("too old"));
    let (event, mut session) = again(&mut link, &peer).await;
    assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
    is_returned(link.next().await);
    link.send(message("new"));
    assert_eq!(beside(&mut link, session.bodies_until("new")).await, ["new"]);

    let (peer, mut link, session) = impatient(Memory::None).await;
    drop(session);
    assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
    link.send(message("too old"));
    let (event, _session) = again(&mut link, &peer).await;
    let LinkEvent::Bound { again, .. } = event else { panic!("{event:?}") };
    assert_eq!(bodies(&again), [""; 0]);
    is_returned(link.next().await);
}
