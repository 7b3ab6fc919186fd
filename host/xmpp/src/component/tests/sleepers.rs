//! Tests of addresses that sleep.

use super::super::people::MOST_WOKEN_BY_A_PERSON;
use super::super::sleepers::{MOST, MOST_BYTES, MOST_OF_ONE, PART_OF_A_DOMAIN, PART_OF_A_PERSON};
use super::*;

/// The maximum number of addresses that wait because of one person, and because of a domain.
const MOST_OF_A_PERSON: usize = MOST / PART_OF_A_PERSON;
const MOST_OF_A_DOMAIN: usize = MOST / PART_OF_A_DOMAIN;

/// How long an address is quiet before it may fall asleep.
const QUIET: Duration = Duration::from_mins(5);

/// Returns what passes between a stream and an address that has been quiet for long enough, and the address.
async fn quiet() -> (Exchange, BareJid) {
    let (exchange, echo) = exchange();
    assert!(matches!(come(&exchange, &echo), LinkEvent::Bound { .. }));
    tokio::time::advance(QUIET).await;
    (exchange, echo)
}

fn own() -> jid::FullJid {
    "echo@bots.house/parlor".parse().unwrap()
}

/// Returns the bodies of the messages that have come for an address since its stream began.
fn bodies(exchange: &Exchange, address: &BareJid) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Poll::Ready(event) = exchange.poll(address, &mut Context::from_waker(Waker::noop())) {
        match event {
            LinkEvent::Stanza(Incoming::Message(message)) => bodies.push(message.body.unwrap()),
            LinkEvent::Bound { .. } | LinkEvent::Suspended { .. } => {}
            other => panic!("no message, but {other:?}"),
        }
    }
    bodies
}

fn roused(exchange: &Exchange) -> Vec<BareJid> {
    exchange.with_sleepers(|sleepers| sleepers.next_roused(usize::MAX))
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_an_address_falls_asleep_waits_for_the_next_account_in_its_order() {
    for is_cut in [false, true] {
        let (exchange, echo) = quiet().await;
        assert!(exchange.fall_asleep(&echo, QUIET));
        exchange.deliver(written_to("echo", "one"));
        // Its account still runs, and ends.
        assert_eq!(bodies(&exchange, &echo), [""; 0]);
        if is_cut {
            // Stanzas on another stream are not for it either.
            exchange.suspended(&Lost::Closed);
            exchange.bound(false);
            assert_eq!(bodies(&exchange, &echo), [""; 0]);
        }
        exchange.deliver(written_to("echo", "two"));
        exchange.close(&echo);
        exchange.deliver(written_to("echo", "three"));
        assert_eq!(roused(&exchange), std::slice::from_ref(&echo));
        assert!(roused(&exchange).is_empty(), "each once");
        exchange.open(&echo, own());
        exchange.deliver(written_to("echo", "four"));
        assert_eq!(bodies(&exchange, &echo), ["one", "two", "three", "four"]);
        assert_eq!(returning(&exchange), [""; 0], "nothing goes back");
        assert!(!exchange.with_sleepers(|sleepers| sleepers.have_waiting()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_stays_awake_gets_what_came_meanwhile_in_its_order() {
    let (exchange, echo) = quiet().await;
    assert!(exchange.fall_asleep(&echo, QUIET));
    exchange.deliver(written_to("echo", "one"));
    exchange.deliver(written_to("echo", "two"));
    exchange.stay_awake(&echo);
    exchange.deliver(written_to("echo", "three"));
    assert_eq!(bodies(&exchange, &echo), ["one", "two", "three"]);
    assert!(roused(&exchange).is_empty(), "nobody is to be woken");
}

#[tokio::test(start_paused = true)]
async fn the_host_hears_again_of_an_address_that_it_did_not_wake_as_long_as_something_waits() {
    let (exchange, echo) = quiet().await;
    exchange.close(&echo);
    exchange.add_sleepers(std::iter::once(echo.clone()));
    let again = || {
        exchange.with_sleepers(|sleepers| sleepers.rouse_again(echo.clone()));
        roused(&exchange)
    };
    exchange.deliver(written_to("echo", "one"));
    assert_eq!(roused(&exchange), std::slice::from_ref(&echo));
    assert_eq!(again(), std::slice::from_ref(&echo));
    tokio::time::advance(Duration::from_mins(1)).await;
    exchange.give_up(super::super::sleepers::Sleepers::overdue, guests::later);
    assert!(again().is_empty(), "the message has gone back");
}

#[tokio::test(start_paused = true)]
async fn an_address_falls_asleep_only_after_it_was_quiet() {
    let (exchange, echo) = quiet().await;
    // It has come a moment ago, and its account may be at work on it.
    exchange.deliver(written_to("echo", "one"));
    assert_eq!(bodies(&exchange, &echo), ["one"]);
    tokio::time::advance(QUIET / 2).await;
    assert!(!exchange.fall_asleep(&echo, QUIET));
    tokio::time::advance(QUIET / 2).await;
    // Work that has waited so long is still to be done.
    exchange.hear(&echo, message("an answer"));
    tokio::time::advance(QUIET).await;
    assert!(!exchange.fall_asleep(&echo, QUIET), "it was not sent");
    assert!(sent(&exchange).is_some());
    exchange.suspended(&Lost::Closed);
    assert!(!exchange.fall_asleep(&echo, QUIET), "there is no stream");
    exchange.bound(false);
    assert!(!exchange.fall_asleep(&echo, QUIET), "the account has not heard of the stream");
    assert_eq!(bodies(&exchange, &echo), [""; 0]);
    let room = || PresenceOut { to: Some(jid("room@muc.house/echo")), ..PresenceOut::default() };
    exchange.hear(&echo, Outgoing::Presence(room()));
    assert!(sent(&exchange).is_some());
    tokio::time::advance(QUIET).await;
    assert!(!exchange.fall_asleep(&echo, QUIET), "it is in a room");
    assert!(!exchange.fall_asleep(&jid("other@bots.house").to_bare(), Duration::ZERO), "it has no account");
    assert!(sent(&exchange).is_none());
}

/// The room has no such occupant, so the address has nothing to stay awake for.
#[tokio::test(start_paused = true)]
async fn an_address_that_a_room_refused_or_put_out_falls_asleep() {
    for kind in ["error", "unavailable"] {
        let (exchange, echo) = quiet().await;
        let enters = PresenceOut { to: Some(jid("room@muc.house/echo")), ..PresenceOut::default() };
        exchange.hear(&echo, Outgoing::Presence(enters));
        assert!(sent(&exchange).is_some());
        let says = |from: &str| {
            arriving(from, &format!("<presence xmlns='jabber:client' type='{kind}' to='echo@bots.house/parlor'/>"))
        };
        let hears = || {
            let event = exchange.poll(&echo, &mut Context::from_waker(Waker::noop()));
            assert!(matches!(event, Poll::Ready(LinkEvent::Stanza(_))));
        };
        exchange.deliver(says("room@muc.house/romeo"));
        hears();
        tokio::time::advance(QUIET).await;
        assert!(!exchange.fall_asleep(&echo, QUIET), "another occupant has left");
        exchange.deliver(says("room@muc.house/echo"));
        hears();
        tokio::time::advance(QUIET).await;
        assert!(exchange.fall_asleep(&echo, QUIET), "{kind}");
    }
}

/// It was never quiet again: it seemed to be available to the nickname that it had asked for.
#[tokio::test(start_paused = true)]
async fn an_address_that_is_out_of_a_room_falls_asleep_whatever_the_room_calls_it() {
    for (asked, kind, from, says, falls_asleep) in [
        ("echo", "unavailable", "room@muc.house/Echo", "<status code='110'/>", true),
        ("echo", "unavailable", "room@muc.house", "", true),
        ("echo other", "unavailable", "room@muc.house", "", true),
        ("echo", "error", "room@muc.house", "", true),
        // The room has refused the other nickname, or given it.
        ("echo other", "error", "room@muc.house", "", false),
        ("echo other", "unavailable", "room@muc.house/echo", "<status code='303'/><status code='110'/>", false),
        ("echo", "unavailable", "room@muc.house/romeo", "<status code='307'/>", false),
        ("echo", "unavailable", "hall@muc.house", "", false),
    ] {
        let (exchange, echo) = quiet().await;
        for nick in asked.split(' ') {
            let enters = PresenceOut { to: Some(jid(&format!("room@muc.house/{nick}"))), ..PresenceOut::default() };
            exchange.hear(&echo, Outgoing::Presence(enters));
            assert!(sent(&exchange).is_some());
        }
        let what = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{says}</x>");
        let to = "to='echo@bots.house/parlor'";
        let presence = format!("<presence xmlns='jabber:client' type='{kind}' {to}>{what}</presence>");
        exchange.deliver(arriving(from, &presence));
        let event = exchange.poll(&echo, &mut Context::from_waker(Waker::noop()));
        assert!(matches!(event, Poll::Ready(LinkEvent::Stanza(_))));
        tokio::time::advance(QUIET).await;
        assert_eq!(exchange.fall_asleep(&echo, QUIET), falls_asleep, "{asked} {kind} {from}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_stanza_wakes_an_address_but_one_that_comes_too_late_or_is_about_subscriptions() {
    const ERROR: &str = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for (xml, wakes) in [
        ("<message to='echo@bots.house' type='groupchat'><body>x</body></message>", true),
        ("<iq to='echo@bots.house' id='i' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", true),
        ("<presence to='echo@bots.house'/>", true),
        ("<presence to='echo@bots.house' type='probe'/>", false),
        ("<presence to='echo@bots.house/parlor' type='unavailable'/>", false),
        ("<presence to='echo@bots.house' type='subscribe'/>", false),
        ("<iq to='echo@bots.house/parlor' id='i' type='result'/>", false),
        ("<iq to='echo@bots.house/parlor' id='i' type='error'>ERROR</iq>", false),
        ("<presence to='echo@bots.house/parlor' type='error'>ERROR</presence>", false),
    ] {
        let (exchange, echo) = quiet().await;
        exchange.close(&echo);
        exchange.add_sleepers(std::iter::once(echo.clone()));
        exchange.deliver(arriving("a@b/c", &xml.replace("ERROR", ERROR)));
        assert_eq!(!roused(&exchange).is_empty(), wakes, "{xml}");
        let back = returning(&exchange);
        assert_eq!(back.len(), usize::from(xml.contains("'subscribe'")), "{xml}: {back:?}");
        assert!(back.iter().all(|one| one.contains("unsubscribed")), "{back:?}");
    }
}

/// Otherwise it would take somebody for there who has gone meanwhile.
#[tokio::test(start_paused = true)]
async fn an_address_that_is_to_wake_hears_who_comes_and_goes() {
    let (exchange, echo) = quiet().await;
    exchange.close(&echo);
    exchange.add_sleepers(std::iter::once(echo.clone()));
    for kind in ["", " type='unavailable'"] {
        exchange.deliver(arriving("a@b/c", &format!("<presence to='echo@bots.house/parlor'{kind}/>")));
    }
    exchange.open(&echo, own());
    let mut heard = 0;
    while let Poll::Ready(event) = exchange.poll(&echo, &mut Context::from_waker(Waker::noop())) {
        heard += usize::from(matches!(event, LinkEvent::Stanza(Incoming::Presence(_))));
    }
    assert_eq!(heard, 2);
}

/// Its account, which still runs, may wait for the answer.
#[tokio::test(start_paused = true)]
async fn an_address_that_stays_awake_gets_an_answer_that_came_meanwhile() {
    let (exchange, echo) = quiet().await;
    assert!(exchange.fall_asleep(&echo, QUIET));
    exchange.deliver(arriving("a@b/c", "<iq to='echo@bots.house/parlor' id='i' type='result'/>"));
    exchange.stay_awake(&echo);
    assert!(matches!(come(&exchange, &echo), LinkEvent::Stanza(Incoming::Answer(answer)) if answer.id == "i"));
}

/// A request that waited is answered by the address that it was for.
#[tokio::test(start_paused = true)]
async fn a_request_that_wakes_an_address_is_answered_by_it() {
    let (exchange, echo) = quiet().await;
    exchange.close(&echo);
    exchange.add_sleepers(std::iter::once(echo.clone()));
    exchange.deliver(arriving("a@b/c", "<iq to='echo@bots.house' id='q' type='get'><x xmlns='urn:x'/></iq>"));
    exchange.deliver(arriving("a@b/c", "<iq to='echo@bots.house/other' id='r' type='get'><x xmlns='urn:x'/></iq>"));
    exchange.open(&echo, own());
    let back = returning(&exchange);
    assert!(back.len() == 1 && back[0].contains("'r'") && back[0].contains("service-unavailable"), "{back:?}");
    exchange.hear(&echo, Outgoing::Reply { to: Some(jid("a@b/c")), id: "q".to_owned(), reply: Reply::Done });
    let answer = sent(&exchange).unwrap();
    assert!(answer.contains(" from='echo@bots.house'") && answer.contains("'q'"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn so_much_waits_for_addresses_that_sleep_at_most_and_the_rest_goes_back() {
    let (exchange, _) = quiet().await;
    let name = |number: usize| format!("a{number}");
    let address = |number: usize| jid(&format!("{}@bots.house", name(number))).to_bare();
    exchange.add_sleepers((0..MOST + 2).map(address));
    for number in 0..MOST + 2 {
        exchange.deliver(written_by(&name(number), &name(number), "x"));
    }
    assert_eq!(returning(&exchange).len(), 2);
    for _ in 0..MOST_OF_ONE {
        exchange.deliver(written_to("a0", "x"));
    }
    let back = returning(&exchange);
    assert!(back.len() == 1 && back[0].contains("resource-constraint"), "{back:?}");
    // The host wakes some at a time, the oldest first.
    let some = exchange.with_sleepers(|sleepers| sleepers.next_roused(2));
    assert_eq!(some, [address(0), address(1)]);
    assert_eq!(roused(&exchange).len(), MOST - 2);
    tokio::time::advance(Duration::from_mins(1)).await;
    exchange.give_up(super::super::sleepers::Sleepers::overdue, guests::later);
    assert_eq!(returning(&exchange).len(), MOST + MOST_OF_ONE - 1);
    exchange.deliver(written_to("a0", "x"));
    assert_eq!(roused(&exchange), [address(0)], "it still sleeps");
}

/// Otherwise one could keep all others from waking an address.
#[tokio::test(start_paused = true)]
async fn a_person_and_the_people_of_a_domain_leave_room_for_others() {
    let (exchange, _) = quiet().await;
    let address = |number: usize| jid(&format!("a{number}@bots.house")).to_bare();
    exchange.add_sleepers((0..MOST).map(address));
    let waits = |number: usize, from: &str| {
        let xml = format!("<message to='a{number}@bots.house' type='chat' id='1'><body>x</body></message>");
        exchange.deliver(arriving(from, &xml));
        returning(&exchange).is_empty()
    };
    assert!((0..MOST_OF_A_PERSON).all(|number| waits(number, "a@one.example/c")));
    assert!(!waits(MOST_OF_A_PERSON, "a@one.example/other"), "it is the same person");
    assert!(waits(0, "a@one.example/c"), "the address is to wake anyway");
    let of_the_domain = |number: usize| format!("p{number}@below-{number}.one.example/c");
    assert!((MOST_OF_A_PERSON..MOST_OF_A_DOMAIN).all(|number| waits(number, &of_the_domain(number))));
    assert!(!waits(MOST_OF_A_DOMAIN, &of_the_domain(MOST_OF_A_DOMAIN)), "it is the same domain");
    assert!(waits(MOST_OF_A_DOMAIN, "a@two.example/c"), "another one has room");
    assert_eq!(exchange.with_sleepers(|sleepers| sleepers.leave(&address(0))).len(), 2);
    assert!(waits(0, "a@one.example/c"), "one that woke has made room");
}

/// Otherwise one who sends large stanzas could do the same.
#[tokio::test(start_paused = true)]
async fn large_stanzas_of_a_person_and_of_a_domain_leave_room_for_others() {
    let (exchange, _) = quiet().await;
    let address = |number: usize| jid(&format!("a{number}@bots.house")).to_bare();
    exchange.add_sleepers((0..100).map(address));
    let large = "x".repeat(200 << 10);
    let waits = |number: usize, from: &str, body: &str| {
        let xml = format!("<message to='a{number}@bots.house' type='chat' id='1'><body>{body}</body></message>");
        exchange.deliver(arriving(from, &xml));
        returning(&exchange).is_empty()
    };
    let of_one = (0..100).take_while(|&number| waits(number, "a@one.example/c", &large)).count();
    assert!((1..=MOST_BYTES / PART_OF_A_PERSON / large.len()).contains(&of_one), "{of_one}");
    assert!(!waits(0, "a@one.example/other", &large), "it is the same person");
    assert!(waits(99, "a@one.example/c", "x"), "a short one has room");
    let of_the_domain = |number: usize| format!("p{number}@below-{number}.one.example/c");
    let of_all = (of_one..98).take_while(|&number| waits(number, &of_the_domain(number), &large)).count() + of_one;
    assert!((of_one + 1..=MOST_BYTES / PART_OF_A_DOMAIN / large.len()).contains(&of_all), "{of_all}");
    assert!(waits(98, "a@two.example/c", &large), "another domain has room");
    assert_eq!(exchange.with_sleepers(|sleepers| sleepers.leave(&address(0))).len(), 1);
    assert!(waits(0, "a@one.example/c", &large), "one that woke has made room");
}

/// An account for each address that somebody once wrote to would run, as if none could sleep.
#[tokio::test(start_paused = true)]
async fn a_person_wakes_so_many_addresses_in_an_hour() {
    let (exchange, echo) = quiet().await;
    exchange.close(&echo);
    let wakes = || {
        exchange.add_sleepers(std::iter::once(echo.clone()));
        exchange.deliver(written_to("echo", "x"));
        let is_woken = roused(&exchange) == std::slice::from_ref(&echo);
        exchange.with_sleepers(|sleepers| sleepers.leave(&echo));
        is_woken
    };
    assert!((0..MOST_WOKEN_BY_A_PERSON).all(|_| wakes()));
    assert!(!wakes());
    assert!(returning(&exchange)[0].contains("resource-constraint"));
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(wakes());
}

/// The account was removed from the configuration.
#[tokio::test]
async fn an_address_that_becomes_no_account_again_is_nobody() {
    let server = Server::start().await;
    let component = Component::start(server.settings());
    let rouses = Arc::new(Notify::new());
    component.rouse(&rouses);
    let echo = jid("echo@bots.house").to_bare();
    component.add_sleepers([echo.clone()]);
    let mut stream = soon(server.serve()).await;
    let says = "<message from='a@b/c' to='echo@bots.house' type='chat'><body>x</body></message>";
    stream.say(says).await;
    soon(rouses.notified()).await;
    assert_eq!(component.next_roused(9), std::slice::from_ref(&echo));
    component.remove_sleeper(&echo);
    assert!(stream.until("</message>").await.contains("service-unavailable"));
    assert!(!component.give_up_overdue());
    stream.say(says).await;
    assert!(stream.until("</message>").await.contains("service-unavailable"));
}
