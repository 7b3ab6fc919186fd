//! Tests of invalid answers of a server during the log-in.

use std::pin::pin;

use super::connector::MOST_ASKED;
use super::silence::beginning;
use super::*;
use crate::peer::Step;

/// Accepts all connections while it is polled.
async fn served(peer: &Peer) {
    loop {
        let _session = peer.accept().await;
    }
}

/// Returns the link's event if the server sends this at that step.
async fn answered(step: Step, said: &str) -> LinkEvent {
    let peer = Peer::start(Manners { says: Some((step, said.to_owned())), ..Manners::default() }).await;
    let mut link = beginning(&peer, step).await;
    let event = tokio::select! {
        event = next(&mut link) => event,
        () = served(&peer) => unreachable!("serving does not end"),
    };
    drop(link);
    no_task_is_left().await;
    event
}

#[tokio::test]
async fn an_answer_that_is_none_is_named_and_the_log_in_tried_again() {
    let early = "<message xmlns='jabber:client' from='a@b/c'><body>hi</body></message>".repeat(300);
    let bound = |jid: &str| {
        let bind = format!("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{jid}</bind>");
        format!("<iq xmlns='jabber:client' type='result' id='$ID'>{bind}</iq>")
    };
    let enabled = "<enabled xmlns='urn:xmpp:sm:3' id='two' resume='true'/>";
    let resumed = "<resumed xmlns='urn:xmpp:sm:3' h='0' previd='another'/>";
    for (step, said, expected) in [
        (Step::LastHeader, "", "it offers no resource binding"),
        (Step::Bind, "<iq xmlns='jabber:client' type='result' id='$ID'/>", "names no full JID"),
        (Step::Bind, &bound(""), "names no full JID"),
        (Step::Bind, &bound("<jid>bot@localhost</jid>"), "names no full JID"),
        (Step::Bind, &bound("<jid>@@</jid>"), "names no full JID"),
        (Step::Bind, enabled, "no answer to the bind"),
        (Step::Bind, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "no answer to the bind"),
        (Step::Enable, resumed, "<enable/> was answered with resumed"),
        (Step::Enable, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "no answer about stream management"),
        (Step::Enable, &early, "no answer about stream management"),
    ] {
        match answered(step, said).await {
            LinkEvent::Retrying { why: ConnectError::NotXmpp { cause }, .. } => {
                assert!(cause.contains(expected), "{step:?}: {cause}");
            }
            event => panic!("{step:?} {expected}: {event:?}"),
        }
    }
}

/// The first condition is RFC 3920's name for one that was renamed since.
#[tokio::test]
async fn a_stream_that_ends_by_words_that_nobody_knows_is_no_nonsense() {
    for (said, expected) in [("xml-not-well-formed", "not-well-formed"), ("too-much-poetry", "too-much-poetry")] {
        let why = format!("<{said} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        match answered(Step::Bind, &format!("<stream:error>{why}</stream:error></stream:stream>")).await {
            LinkEvent::Retrying { why: ConnectError::Stream { condition, text: None }, .. } => {
                assert_eq!(condition, expected);
            }
            event => panic!("{said}: {event:?}"),
        }
    }
}

/// The server may never give a valid answer about that session.
#[tokio::test]
async fn a_session_about_which_a_server_talks_nonsense_is_not_asked_for_again() {
    for said in [
        "<enabled xmlns='urn:xmpp:sm:3' id='two' resume='true'/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='0' previd='another'/>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    ] {
        let event = answered(Step::Resume, said).await;
        assert!(matches!(event, LinkEvent::Bound { .. }), "{said}: {event:?}");
    }
}

/// If the server disconnects at each request for a session, the session is given up after some attempts, and the
/// account reconnects.
#[tokio::test]
async fn a_server_that_goes_whenever_it_is_asked_for_a_session_is_asked_for_it_no_more() {
    for said in [
        "</stream:stream>",
        "<stream:error><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
    ] {
        let peer = Peer::start(Manners { says: Some((Step::Resume, said.to_owned())), ..Manners::default() }).await;
        let mut link = beginning(&peer, Step::Resume).await;
        let mut tries = 0;
        let mut serving = pin!(served(&peer));
        let event = loop {
            tokio::select! {
                event = next(&mut link) => match event {
                    LinkEvent::Retrying { .. } => {
                        tries += 1;
                        // New settings skip the backoff, which this test cannot wait for.
                        link.follow(LinkSettings { keep_unsent: Duration::from_secs(tries), ..peer.settings() }, &peer.settings());
                    }
                    event => break event,
                },
                () = &mut serving => unreachable!("serving does not end"),
            }
        };
        assert!(matches!(event, LinkEvent::Bound { taken_up: false, .. }), "{event:?}");
        assert_eq!(tries, u64::from(MOST_ASKED));
    }
}

/// A second answer would be that the session is unknown. Prosody 0.12 ends the stream together with the session if more
/// stanzas waited for it than it keeps.
#[tokio::test]
async fn what_a_session_that_is_over_had_taken_in_is_not_sent_again_if_the_log_in_does_not_come_to_its_end() {
    let over = "<failed xmlns='urn:xmpp:sm:3' h='2' previd='one'/>";
    // ejabberd says why, too.
    let explained = "<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                     <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>It timed out</text></failed>";
    let full = "<a xmlns='urn:xmpp:sm:3' h='2'/><stream:error>\
                <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    for (over, rest, expected) in [(over, full, 0), (over, "", 1), (explained, "", 1)] {
        let said = format!("{over}{rest}</stream:stream>");
        let peer = Peer::start(Manners { says: Some((Step::Resume, said)), ..Manners::default() }).await;
        let (mut link, mut session) = pair(&peer).await;
        for body in ["one", "two", "three"] {
            link.send(message(body));
        }
        // The messages are received but not acknowledged: the request follows them.
        assert_eq!(beside(&mut link, session.bodies_until("three")).await, ["one", "two", "three"]);
        drop(session);
        assert!(matches!(link.next().await, LinkEvent::Suspended { .. }));
        let mut failures = 0;
        let mut serving = pin!(served(&peer));
        let event = loop {
            tokio::select! {
                event = next(&mut link) => match event {
                    LinkEvent::Retrying { why, .. } => {
                        assert!(failures < expected && !matches!(why, ConnectError::NotXmpp { .. }), "{rest}: {why}");
                        failures += 1;
                    }
                    event => break event,
                },
                () = &mut serving => unreachable!("serving does not end"),
            }
        };
        let LinkEvent::Bound { again, .. } = event else { panic!("{rest}: {event:?}") };
        assert_eq!(bodies(&again), ["three"], "{rest}");
        assert_eq!(failures, expected, "{rest}");
    }
}

#[tokio::test]
async fn who_is_refused_hears_the_servers_own_words() {
    let text = "<text>Confirm the address first</text>";
    let said = format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/>{text}</failure>");
    let event = answered(Step::Success, &said).await;
    let LinkEvent::Failed(why @ ConnectError::AccountDisabled { .. }) = event else { panic!("{event:?}") };
    assert!(why.to_string().contains("(Confirm the address first)"), "{why}");
}

#[tokio::test]
async fn who_is_not_bound_is_told_why() {
    let refused = "<iq xmlns='jabber:client' type='error' id='$ID'><error type='cancel'>\
                   <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                   <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>It is taken</text></error></iq>";
    let event = answered(Step::Bind, refused).await;
    let LinkEvent::Retrying { why: why @ ConnectError::NotBound { .. }, .. } = event else { panic!("{event:?}") };
    let why = why.to_string();
    assert!(why.starts_with("the server did not let bot@localhost/here in: conflict (It is taken); "), "{why}");
    assert!(why.ends_with("give this account a resource of its own"), "{why}");
}

#[tokio::test]
async fn a_server_that_manages_no_streams_after_all_is_gone_on_with() {
    let refused =
        "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    let event = answered(Step::Enable, refused).await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
}

#[tokio::test]
async fn a_server_that_keeps_a_session_for_ever_is_gone_on_with() {
    let event = answered(Step::Enable, "<enabled xmlns='urn:xmpp:sm:3' id='two' resume='true' max='inf'/>").await;
    assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
}

/// Until then `MongooseIM` handles nothing else, and ends the stream after five seconds.
#[tokio::test]
async fn a_session_is_begun_where_the_server_waits_for_that() {
    for resumption in [true, false] {
        for (offer, begins) in
            [(Some(""), true), (Some("<optional xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"), false)]
        {
            let peer = Peer::start(Manners { session: offer, resumption, ..Manners::default() }).await;
            let (_link, session) = pair(&peer).await;
            assert_eq!(session.has_said("urn:ietf:params:xml:ns:xmpp-session"), begins, "{offer:?}");
        }
    }
}
