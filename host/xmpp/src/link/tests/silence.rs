//! Tests of a server that is slow during the log-in: too slow, or just fast enough.

use std::pin::pin;

use super::*;
use crate::peer::Step;

/// Creates a link that is about to reach this step.
pub(super) async fn beginning(peer: &Peer, step: Step) -> Link {
    if step != Step::Resume {
        return Link::start(peer.settings());
    }
    let (mut link, session) = pair(peer).await;
    drop(session);
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Suspended { .. }), "{event:?}");
    link
}

/// Returns the link's event if the server is silent at this step, or answers after this delay.
async fn thinking(step: Step, late: Option<Duration>) -> LinkEvent {
    let peer = Peer::start(Manners { thinks: Some(step), ..Manners::default() }).await;
    let mut link = beginning(&peer, step).await;
    let mut serving = pin!(peer.accept());
    let mut session = None;
    // Data on the sockets is read before the clock stops.
    tokio::select! {
        event = next(&mut link) => panic!("{step:?}: {event:?}"),
        _ = &mut serving => panic!("{step:?}: the server did not think"),
        () = peer.thinks() => tokio::time::pause(),
    }
    if let Some(late) = late {
        tokio::time::advance(late).await;
        peer.go_on();
        tokio::time::resume();
    }
    let event = loop {
        tokio::select! {
            event = next(&mut link) => break event,
            served = &mut serving, if session.is_none() => session = Some(served),
        }
    };
    if late.is_none() {
        tokio::time::resume();
    }
    drop(link);
    no_task_is_left().await;
    event
}

#[tokio::test]
async fn a_server_that_does_not_go_on_is_left_at_whatever_step() {
    for step in Step::ALL {
        match thinking(step, None).await {
            // Nothing came from its port.
            LinkEvent::Retrying { why: ConnectError::Silent { .. }, .. } if step == Step::Header => {}
            LinkEvent::Retrying { why: ConnectError::TimedOut { domain }, .. } if step != Step::Header => {
                assert_eq!(domain, "localhost");
            }
            event => panic!("{step:?}: {event:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_may_take_its_time_at_whatever_step() {
    for step in Step::ALL {
        let event = thinking(step, Some(Duration::from_secs(20))).await;
        let goes_on = match step {
            Step::Resume => matches!(event, LinkEvent::Resumed { .. }),
            _ => matches!(event, LinkEvent::Bound { .. }),
        };
        assert!(goes_on, "{step:?}: {event:?}");
    }
}

/// A server that is asked out of turn, as after a sleep of the machine, gets no more time than after a silence.
#[tokio::test]
async fn who_is_asked_and_says_nothing_is_left_also_where_nothing_is_acknowledged() {
    for resumption in [true, false] {
        let peer = Peer::start(Manners { resumption, ..Manners::default() }).await;
        let settings = LinkSettings { ping_interval: Duration::from_hours(3), ..peer.settings() };
        let mut link = Link::start(settings);
        let (event, mut session) = tokio::join!(next(&mut link), peer.accept());
        assert!(matches!(event, LinkEvent::Bound { .. }), "{event:?}");
        let session = session.as_mut().unwrap();
        link.ask();
        beside(&mut link, session.hear_request()).await;
        // Runs until the answer is read.
        assert!(tokio::time::timeout(Duration::from_millis(200), link.next()).await.is_err());
        tokio::time::pause();
        assert!(tokio::time::timeout(2 * RESPONSE_LIMIT, link.next()).await.is_err(), "{resumption}: it had answered");
        link.ask();
        let began = Instant::now();
        let event = link.next().await;
        let silence = began.elapsed();
        tokio::time::resume();
        assert!(matches!(event, LinkEvent::Suspended { why: Lost::TimedOut }), "{resumption}: {event:?}");
        assert!(silence < RESPONSE_LIMIT + Duration::from_secs(2), "{resumption}: {silence:?}");
    }
}

/// An acknowledgement cannot overtake the stanza.
#[tokio::test]
async fn a_large_stanza_on_a_slow_line_is_no_silence() {
    let peer = peer().await;
    let (mut link, mut session) = pair(&peer).await;
    link.send(message("unheard"));
    beside(&mut link, session.hear_request_only()).await;
    tokio::time::pause();
    session.say_raw("<message from='a@b/c'><body>").await;
    for _ in 0..5 {
        session.say_raw("and so on ").await;
        let event = tokio::time::timeout(Duration::from_secs(20), link.next()).await;
        assert!(event.is_err(), "{event:?}");
    }
    session.say_raw("to its end</body></message>").await;
    let Incoming::Message(message) = incoming(&mut link).await else { panic!("a message was sent") };
    tokio::time::resume();
    assert!(message.body.is_some_and(|body| body.ends_with("and so on to its end")));
}

#[tokio::test]
async fn a_stanza_that_does_not_end_is_not_waited_for_for_ever() {
    for resumption in [true, false] {
        let peer = Peer::start(Manners { resumption, ..Manners::default() }).await;
        let (mut link, mut session) = pair(&peer).await;
        beside(&mut link, session.say_raw("<message from='a@b/c'><body>")).await;
        tokio::time::pause();
        let began = Instant::now();
        let event = loop {
            session.say_raw("and so on ").await;
            if let Ok(event) = tokio::time::timeout(Duration::from_secs(20), link.next()).await {
                break event;
            }
        };
        tokio::time::resume();
        assert!(matches!(event, LinkEvent::Suspended { why: Lost::Deaf }), "{resumption}: {event:?}");
        let longest = peer.settings().ping_interval + ACK_LIMIT + Duration::from_secs(2);
        assert!(began.elapsed() <= longest, "{resumption}: {:?}", began.elapsed());
        // Otherwise the server would begin it again on each connection.
        let (event, mut session) = again(&mut link, &peer).await;
        if resumption {
            assert!(matches!(event, LinkEvent::Resumed { .. }), "{event:?}");
            assert_eq!(beside(&mut link, session.ask_what_was_taken_in()).await, 1);
        }
    }
}

/// An element that is repeated too late has no effect.
#[tokio::test]
async fn what_a_server_says_twice_is_not_gone_by() {
    let said = [
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<enabled xmlns='urn:xmpp:sm:3' id='two' resume='true'/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='0' previd='one'/>",
    ];
    for twice in said {
        let peer = peer().await;
        let (mut link, mut session) = pair(&peer).await;
        session.say_raw(twice).await;
        let event = link.next().await;
        assert!(matches!(event, LinkEvent::Suspended { why: Lost::Unreadable }), "{twice}: {event:?}");
        let (event, _session) = again(&mut link, &peer).await;
        assert!(matches!(event, LinkEvent::Bound { .. }), "{twice}: {event:?}");
    }
}
