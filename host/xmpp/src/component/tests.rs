//! Tests of a component with a server that follows a script.

use std::future::poll_fn;
use std::task::Waker;

use parlor_config::{ChannelBinding, Endpoint, PasswordSource, TransportChoice, Way};
use parlor_stanza::addressed::set_sender;
use parlor_stanza::encode::Written;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::testing::jid;
use parlor_stanza::types::{Ask, Draft, Incoming, MessageKind, PresenceOut, Query, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod sleepers;

const DOMAIN: &str = "bots.house";
const STREAMS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// Waits for something that is immediate on an idle machine.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it comes soon")
}

/// A server without TLS, with one component.
struct Server {
    listener: TcpListener,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "test\n").unwrap();
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), folder }
    }

    fn settings(&self) -> LinkSettings {
        LinkSettings {
            jid: jid(DOMAIN),
            way: Way::Component("bots".parse().unwrap()),
            password: PasswordSource::File(self.folder.path().join("secret")),
            server: Some(Endpoint {
                host: "127.0.0.1".to_owned(),
                port: Some(self.listener.local_addr().unwrap().port()),
            }),
            transport: TransportChoice::Tcp,
            tls: None,
            ca_file: None,
            allow_plain: false,
            channel_binding: ChannelBinding::Never,
            websocket: None,
            keep_unsent: Duration::from_hours(1),
            bosh: None,
            prebind: None,
            ping_interval: Duration::from_mins(1),
        }
    }

    /// Accepts a connection and reads the header of its stream.
    async fn accept(&self) -> Stream {
        let (tcp, _) = self.listener.accept().await.unwrap();
        let mut stream = Stream { tcp, read: String::new() };
        let header = stream.until("to='bots.house'>").await;
        assert!(header.contains(" xmlns='jabber:component:accept'"), "{header}");
        assert_eq!(header.matches("version").count(), 1, "only the declaration has one: {header}");
        stream
    }

    /// Accepts a connection, and the secret on it.
    async fn serve(&self) -> Stream {
        let mut stream = self.accept().await;
        stream.begin().await;
        let proof = stream.until("</handshake>").await;
        assert_eq!(proof, "<handshake>aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e</handshake>");
        stream.say("<handshake/>").await;
        stream
    }

    /// Starts a component, and logs these addresses in.
    async fn component<const COUNT: usize>(
        &self,
        names: [&str; COUNT],
    ) -> (Component, [Arc<dyn LocalServer>; COUNT], Stream) {
        let component = Component::start(self.settings());
        let addresses = names.map(|name| self.address(&component, name));
        let stream = soon(self.serve()).await;
        for address in &addresses {
            assert!(matches!(next(address).await, LinkEvent::Bound { .. }));
        }
        (component, addresses, stream)
    }

    fn address(&self, component: &Component, name: &str) -> Arc<dyn LocalServer> {
        let own = jid(&format!("{name}@{DOMAIN}"));
        let address = component.address(own.to_bare());
        address.open(&LinkSettings { jid: own, ..self.settings() });
        address
    }
}

/// The server's end of a stream.
struct Stream {
    tcp: TcpStream,
    read: String,
}

impl Stream {
    /// Reads up to the end of this text.
    async fn until(&mut self, end: &str) -> String {
        let read = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                if let Some(at) = self.read.find(end) {
                    let rest = self.read.split_off(at + end.len());
                    return std::mem::replace(&mut self.read, rest);
                }
                let mut bytes = [0; 1_024];
                let length = self.tcp.read(&mut bytes).await.unwrap();
                assert!(length > 0, "the stream ended before {end:?}: {:?}", self.read);
                self.read.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            }
        })
        .await;
        read.unwrap_or_else(|_| panic!("{end:?} did not come: {:?}", self.read))
    }

    async fn say(&mut self, text: &str) {
        self.tcp.write_all(text.as_bytes()).await.unwrap();
    }

    async fn begin(&mut self) {
        self.say(
            "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns='jabber:component:accept' from='bots.house' id='3BF96D32'>",
        )
        .await;
    }

    /// Ends the stream with this error.
    async fn fail(&mut self, condition: &str) {
        let error = format!("<{condition} xmlns='{STREAMS}'/><text xmlns='{STREAMS}'>so it goes</text>");
        self.say(&format!("<stream:error>{error}</stream:error></stream:stream>")).await;
    }
}

async fn next(address: &Arc<dyn LocalServer>) -> LinkEvent {
    soon(poll_fn(|cx| address.poll(cx))).await
}

/// Returns the body of the next message.
async fn body(address: &Arc<dyn LocalServer>) -> String {
    match next(address).await {
        LinkEvent::Stanza(Incoming::Message(message)) => message.body.unwrap(),
        other => panic!("a message was sent, not {other:?}"),
    }
}

fn message(body: &str) -> Outgoing {
    Outgoing::Message {
        to: jid("friend@house/phone"),
        kind: MessageKind::Chat,
        id: "m".to_owned(),
        draft: Draft { body: Some(body.to_owned()), ..Draft::default() },
        to_occupant: false,
    }
}

/// Returns the first event if the server answers the handshake in this way.
async fn outcome(answer: impl AsyncFn(&mut Stream)) -> LinkEvent {
    let server = Server::start().await;
    let component = Component::start(server.settings());
    let address = server.address(&component, "echo");
    let mut stream = soon(server.accept()).await;
    answer(&mut stream).await;
    let event = next(&address).await;
    component.stop().await;
    event
}

#[tokio::test]
async fn each_address_gets_what_is_for_it_and_sends_in_its_own_name() {
    let server = Server::start().await;
    let (component, [echo, clock], mut stream) = server.component(["echo", "clock"]).await;
    for (to, text) in [("clock", "one"), ("echo", "two"), ("clock", "three")] {
        stream.say(&format!("<message from='a@b/c' to='{to}@bots.house'><body>{text}</body></message>")).await;
    }
    assert_eq!([body(&echo).await, body(&clock).await, body(&clock).await], ["two", "one", "three"]);
    assert!(echo.has_room());
    echo.hear(message("four"));
    let sent = stream.until("</message>").await;
    assert!(sent.contains(" from='echo@bots.house/parlor'") && sent.contains(" to='friend@house/phone'"), "{sent}");
    let raw = RawStanza::parse("<message to='friend@house'><body>five</body></message>", &jid("clock@bots.house"));
    clock.hear(Outgoing::Raw(raw.unwrap()));
    let sent = stream.until("</message>").await;
    assert!(sent.contains(" from='clock@bots.house/parlor'") && sent.contains("five"), "{sent}");
    let closed = async {
        let ended = stream.until("</stream:stream>").await;
        drop(stream);
        ended
    };
    let (ended, ()) = tokio::join!(closed, component.stop());
    assert_eq!(ended, "</stream:stream>");
}

#[tokio::test]
async fn a_stanza_for_an_address_outside_of_the_domain_is_refused_and_counted() {
    let server = Server::start().await;
    let (component, [echo], mut stream) = server.component(["echo"]).await;
    for odd in [
        "<message from='a@b/c' to='echo@house'><body>foreign</body></message>",
        "<message from='a@b/c' to='echo@bots.house.example'><body>foreign</body></message>",
        "<message from='a@b/c'><body>for nobody</body></message>",
        "<message to='echo@bots.house'><body>of nobody</body></message>",
    ] {
        stream.say(odd).await;
    }
    stream.say("<message from='a@b/c' to='echo@bots.house'><body>right</body></message>").await;
    assert_eq!(body(&echo).await, "right");
    assert_eq!(component.refused(), 4);
}

#[tokio::test]
async fn a_message_to_an_absent_address_goes_back() {
    let server = Server::start().await;
    let (_component, [echo], mut stream) = server.component(["echo"]).await;
    stream.say("<message from='a@b/c' to='nobody@bots.house' id='1' type='chat'><body>x</body></message>").await;
    let back = stream.until("</message>").await;
    assert!(back.contains(" to='a@b/c'") && back.contains(" from='nobody@bots.house'"), "{back}");
    assert!(back.contains("service-unavailable"), "{back}");
    stream
        .say("<iq from='a@b/c' to='echo@bots.house/other' id='2' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await;
    assert!(stream.until("</iq>").await.contains("service-unavailable"));
    stream.say("<presence from='a@b/c' to='nobody@bots.house'/>").await;
    stream.say("<presence from='a@b' to='echo@bots.house' type='subscribe'/>").await;
    let refusal = stream.until(">").await;
    assert!(refusal.starts_with("<presence") && refusal.contains("'unsubscribed'"), "{refusal}");
    assert!(refusal.contains(" to='a@b'") && refusal.contains(" from='echo@bots.house'"), "{refusal}");
    drop(echo);
}

/// People leave out what is before the `@`, and clients add a domain as they add a gateway.
#[tokio::test]
async fn whoever_writes_to_the_domain_hears_that_nobody_is_there() {
    let server = Server::start().await;
    let (_component, [_echo], mut stream) = server.component(["echo"]).await;
    let written = "<body>x</body></message>";
    for (message, id) in [(written, "1"), ("<body>x</body><x xmlns='urn:x'/></message>", "2")] {
        stream.say(&format!("<message from='a@b/c' to='bots.house' id='{id}' type='chat'>{message}")).await;
        let back = stream.until("</message>").await;
        assert!(back.contains("service-unavailable") && back.contains(&format!("'{id}'")), "{back}");
        assert!(back.contains(" to='a@b/c'") && back.contains(" from='bots.house'"), "{back}");
    }
    // Nobody waits for an answer to these.
    for silent in ["<presence from='a@b/c' to='bots.house'/>", "<presence from='a@b' to='bots.house' type='probe'/>"] {
        stream.say(silent).await;
    }
    stream.say(&format!("<message from='a@b/c' to='bots.house' type='error'>{written}")).await;
    stream.say("<presence from='a@b' to='bots.house' type='subscribe'/>").await;
    let refusal = stream.until(">").await;
    assert!(refusal.starts_with("<presence") && refusal.contains("'unsubscribed'"), "{refusal}");
    assert!(refusal.contains(" to='a@b'") && refusal.contains(" from='bots.house'"), "{refusal}");
}

/// Clients ask the address that they know, and take no answer from another one.
#[tokio::test]
async fn a_request_to_the_bare_address_is_answered_by_it() {
    let server = Server::start().await;
    let (_component, [echo], mut stream) = server.component(["echo"]).await;
    for (to, id) in [("echo@bots.house", "1"), ("echo@bots.house/parlor", "2")] {
        stream.say(&format!("<iq from='a@b/c' to='{to}' id='{id}' type='get'><x xmlns='urn:x'/></iq>")).await;
        let LinkEvent::Stanza(Incoming::Request(request)) = next(&echo).await else { panic!("a request was sent") };
        assert!(matches!(request.query, Query::Foreign { .. }));
        echo.hear(Outgoing::Reply { to: request.from, id: request.id, reply: Reply::Done });
        let answer = stream.until("</iq>").await;
        assert!(answer.contains(&format!(" from='{to}'")) && answer.contains(" to='a@b/c'"), "{answer}");
    }
}

#[tokio::test]
async fn what_only_a_server_does_is_answered_without_one() {
    let server = Server::start().await;
    let (_component, [echo], mut stream) = server.component(["echo"]).await;
    let asks = [(None, Ask::Roster { version: None }), (Some("echo@bots.house"), Ask::ArchivePreferences)];
    for (to, ask) in asks {
        echo.hear(Outgoing::Ask { to: to.map(jid), id: "1".to_owned(), ask });
        let LinkEvent::Stanza(Incoming::Answer(answer)) = next(&echo).await else { panic!("there is an answer") };
        assert_eq!(answer.outcome.unwrap_err().condition, "service-unavailable");
    }
    for to in ["bots.house", "echo@bots.house"] {
        echo.hear(Outgoing::Ask { to: Some(jid(to)), id: "1".to_owned(), ask: Ask::DiscoInfo { node: None } });
        let LinkEvent::Stanza(Incoming::Answer(answer)) = next(&echo).await else { panic!("there is an answer") };
        assert!(answer.outcome.is_ok(), "{to}");
    }
    // The presence for everybody goes to nobody, and the domain answers others itself.
    echo.hear(Outgoing::Presence(PresenceOut::default()));
    stream.say("<iq from='a@b/c' to='bots.house' id='7' type='get'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    let answer = stream.until("</iq>").await;
    assert!(answer.starts_with("<iq") && answer.contains("'result'") && answer.contains("'7'"), "{answer}");
}

/// XEP-0030, sections 3 and 4.
#[tokio::test]
async fn whoever_looks_into_the_domain_finds_no_items_and_no_nodes() {
    let server = Server::start().await;
    let (_component, [_echo], mut stream) = server.component(["echo"]).await;
    for (kind, node, expected) in [
        ("info", "", "<identity"),
        ("info", "node=''", "<identity"),
        ("info", "node='other'", "item-not-found"),
        ("items", "", "'result'"),
        ("items", "node=''", "'result'"),
        ("items", "node='other'", "item-not-found"),
    ] {
        let query = format!("<query xmlns='http://jabber.org/protocol/disco#{kind}' {node}/>");
        stream.say(&format!("<iq from='a@b/c' to='bots.house' id='8' type='get'>{query}</iq>")).await;
        let answer = stream.until("</iq>").await;
        assert!(answer.contains(expected) && answer.contains(" to='a@b/c'"), "{kind} {node}: {answer}");
    }
}

#[tokio::test]
async fn whoever_an_address_appeared_to_is_told_when_it_goes() {
    let server = Server::start().await;
    let (_component, [echo], mut stream) = server.component(["echo"]).await;
    let to = || Some(jid("room@muc.house/echo"));
    echo.hear(Outgoing::Presence(PresenceOut { to: to(), ..PresenceOut::default() }));
    assert!(stream.until("room@muc.house/echo").await.contains("<presence"));
    echo.close();
    let gone = stream.until("room@muc.house/echo").await;
    let rest = stream.until(">").await;
    assert!(format!("{gone}{rest}").contains("'unavailable'"), "{gone}{rest}");
    assert!(matches!(next(&echo).await, LinkEvent::Closed));
}

#[tokio::test]
async fn a_wrong_secret_is_final_and_says_what_to_do() {
    let event = outcome(async |stream| {
        stream.begin().await;
        stream.until("</handshake>").await;
        stream.fail("not-authorized").await;
    })
    .await;
    let LinkEvent::Failed(ConnectError::Component(error)) = event else { panic!("{event:?}") };
    assert!(
        matches!(&error, ComponentError::SecretRefused { text: Some(text), .. } if text == "so it goes"),
        "{error}"
    );
}

/// While none of its addresses is an account, nobody else can say why nothing comes.
#[tokio::test]
async fn a_component_says_why_it_has_no_stream_until_it_is_tried_anew() {
    let server = Server::start().await;
    let component = Component::start(server.settings());
    assert_eq!(component.state(), ComponentState::Idle);
    let address = server.address(&component, "echo");
    let mut stream = soon(server.accept()).await;
    stream.begin().await;
    stream.until("</handshake>").await;
    assert_eq!(component.state(), ComponentState::Connecting);
    stream.fail("not-authorized").await;
    assert!(matches!(next(&address).await, LinkEvent::Failed(_)));
    let state = component.state();
    assert!(matches!(&state, ComponentState::Failed(ConnectError::Component(_))), "{state:?}");
    component.follow(server.settings()).await;
    let mut stream = soon(server.accept()).await;
    stream.begin().await;
    assert_eq!(component.state(), ComponentState::Connecting);
    component.stop().await;
}

#[tokio::test]
async fn a_component_that_is_taken_is_tried_again() {
    let event = outcome(async |stream| {
        stream.begin().await;
        stream.until("</handshake>").await;
        stream.fail("conflict").await;
    })
    .await;
    let LinkEvent::Retrying { why: ConnectError::Component(error), .. } = event else { panic!("{event:?}") };
    assert!(matches!(error, ComponentError::Taken { .. }), "{error}");
}

#[tokio::test]
async fn a_domain_that_the_server_does_not_know_is_named() {
    let event = outcome(async |stream| {
        stream.begin().await;
        stream.fail("host-unknown").await;
    })
    .await;
    let LinkEvent::Failed(ConnectError::HostUnknown { domain }) = event else { panic!("{event:?}") };
    assert_eq!(domain, DOMAIN);
}

#[tokio::test]
async fn the_port_for_clients_is_told_from_that_for_components() {
    for header in
        ["<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'>", "<html>"]
    {
        let event = outcome(async |stream| stream.say(header).await).await;
        let LinkEvent::Failed(ConnectError::Component(error)) = event else { panic!("{event:?}") };
        assert!(matches!(error, ComponentError::NoComponents { .. }), "{error}");
    }
}

#[tokio::test]
async fn garbage_is_no_handshake() {
    for garbage in
        ["<!-- -->", "<handshake", "<features xmlns='http://etherx.jabber.org/streams'/>", "</stream:stream>"]
    {
        let event = outcome(async |stream| {
            stream.begin().await;
            stream.until("</handshake>").await;
            stream.say(garbage).await;
            stream.tcp.shutdown().await.unwrap();
        })
        .await;
        let LinkEvent::Retrying { why, .. } = event else { panic!("{garbage}: {event:?}") };
        assert!(matches!(why, ConnectError::NotXmpp { .. } | ConnectError::HungUp), "{garbage}: {why}");
    }
}

#[tokio::test]
async fn garbage_on_a_live_stream_ends_it_and_no_account() {
    let server = Server::start().await;
    let (_component, [echo], mut stream) = server.component(["echo"]).await;
    stream.say("<!-- no comment belongs here -->").await;
    let LinkEvent::Suspended { why } = next(&echo).await else { panic!("the stream is over") };
    assert_eq!(why, Lost::Unreadable);
    // Messages that were sent meanwhile go out on the next stream, presence does not.
    echo.hear(Outgoing::Presence(PresenceOut { to: Some(jid("room@muc.house/echo")), ..PresenceOut::default() }));
    echo.hear(message("meanwhile"));
    let mut stream = soon(server.serve()).await;
    let sent = stream.until("</message>").await;
    assert!(sent.contains("meanwhile") && sent.contains(" from='echo@bots.house/parlor'"), "{sent}");
    assert!(!sent.contains("<presence"), "{sent}");
    loop {
        match next(&echo).await {
            LinkEvent::Trying => {}
            LinkEvent::Bound { .. } => break,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_asked_by_a_request_that_comes_back() {
    let server = Server::start().await;
    let component = Component::start(LinkSettings { ping_interval: Duration::from_secs(1), ..server.settings() });
    let echo = server.address(&component, "echo");
    let mut stream = soon(server.serve()).await;
    assert!(matches!(next(&echo).await, LinkEvent::Bound { .. }));
    let ping = stream.until("</iq>").await;
    assert!(ping.contains(" from='bots.house' to='bots.house'") && ping.contains("urn:xmpp:ping"), "{ping}");
    stream.say(&ping).await;
    stream.say("<message from='a@b/c' to='echo@bots.house'><body>still there</body></message>").await;
    assert_eq!(body(&echo).await, "still there");
}

#[tokio::test]
async fn more_than_an_address_takes_goes_back_and_others_are_not_held_up() {
    let server = Server::start().await;
    let (_component, [_echo, clock], mut stream) = server.component(["echo", "clock"]).await;
    for number in 0..=seat::MOST_WAITING {
        let to = "to='echo@bots.house' type='chat'";
        stream.say(&format!("<message from='a@b/c' {to} id='{number}'><body>x</body></message>")).await;
    }
    let back = stream.until("</message>").await;
    assert!(back.contains("resource-constraint") && back.contains(&format!("id='{}'", seat::MOST_WAITING)), "{back}");
    stream.say("<message from='a@b/c' to='clock@bots.house'><body>tick</body></message>").await;
    assert_eq!(body(&clock).await, "tick");
}

#[test]
fn an_address_is_available_to_so_many_at_most() {
    let mut seat = seat::Seat::new("echo@bots.house/parlor".parse().unwrap());
    for number in 0..seat::MOST_TOLD {
        assert!(seat.appears_to(&jid(&format!("{number}@muc.house/echo"))));
    }
    assert!(!seat.appears_to(&jid("one@muc.house/more")) && seat.appears_to(&jid("0@muc.house/echo")));
    assert_eq!([seat.is_to_say_full(), seat.is_to_say_full()], [true, false], "the log says it once");
    seat.leaves(&jid("0@muc.house/echo"));
    assert!(seat.appears_to(&jid("one@muc.house/more")));
}

/// Returns what passes between a stream that has begun and an address, and the address.
fn exchange() -> (Exchange, BareJid) {
    let exchange = Exchange::new(jid(DOMAIN).to_bare());
    let echo = jid("echo@bots.house/parlor");
    exchange.open(&echo.to_bare(), echo.clone().try_into_full().unwrap());
    exchange.bound(false);
    (exchange, echo.to_bare())
}

/// Returns a stanza of somebody else, as it arrives.
fn arriving(from: &str, xml: &str) -> Arrived {
    let named =
        if xml.contains("jabber:client") { xml.to_owned() } else { xml.replacen(' ', " xmlns='jabber:client' ", 1) };
    let mut stanza = xmpp_parsers::stanza::Stanza::try_from(named.parse::<minidom::Element>().unwrap()).unwrap();
    set_sender(&mut stanza, jid(from));
    Arrived::Read(Box::new(stanza))
}

/// Returns the next stanza for the stream.
fn sent(exchange: &Exchange) -> Option<String> {
    exchange.next().map(|stanza| stanza.text().to_owned())
}

#[test]
fn the_last_messages_of_an_address_that_is_gone_outlive_the_stream() {
    let presence = || PresenceOut { to: Some(jid("room@muc.house/echo")), ..PresenceOut::default() };
    for is_cut_before in [false, true] {
        let (exchange, echo) = exchange();
        if is_cut_before {
            exchange.suspended(&Lost::Closed);
        }
        exchange.hear(&echo, Outgoing::Presence(presence()));
        exchange.hear(&echo, message("last words"));
        exchange.close(&echo);
        if !is_cut_before {
            exchange.suspended(&Lost::Closed);
        }
        assert!(exchange.has_more());
        exchange.bound(false);
        let sent = [sent(&exchange).unwrap_or_default(), sent(&exchange).unwrap_or_default()];
        assert!(sent[0].contains("last words") && sent[0].contains(" from='echo@bots.house/parlor'"), "{sent:?}");
        assert_eq!(sent[1], "", "presence is of no use on another stream");
    }
}

/// The server may be down for days.
#[test]
fn addresses_that_come_and_go_while_there_is_no_stream_leave_no_place_in_the_order() {
    let (exchange, echo) = exchange();
    exchange.suspended(&Lost::Closed);
    for _ in 0..3 {
        let to = Some(jid("room@muc.house/echo"));
        exchange.hear(&echo, Outgoing::Presence(PresenceOut { to, ..PresenceOut::default() }));
        exchange.close(&echo);
        exchange.open(&echo, "echo@bots.house/parlor".parse().unwrap());
    }
    assert!(!exchange.has_more());
    // Messages that wait for the stream are sent on it.
    exchange.hear(&echo, message("later"));
    exchange.bound(false);
    assert!(sent(&exchange).is_some_and(|sent| sent.contains("later")));
}

#[test]
fn the_last_messages_of_an_address_are_not_sent_after_a_long_cut() {
    let (exchange, echo) = exchange();
    exchange.hear(&echo, message("last words"));
    exchange.close(&echo);
    exchange.suspended(&Lost::Closed);
    exchange.bound(true);
    assert_eq!(sent(&exchange), None);
}

#[test]
fn so_many_bytes_of_addresses_that_are_gone_wait_at_most() {
    let one = || {
        let stanza = Written::of(message(&"x".repeat(1 << 10))).unwrap();
        seat::Unsent { stanza, outlives: true }
    };
    let fits = last::MOST_BYTES / one().stanza.weight();
    let mut last = last::Last::default();
    assert_eq!(last.put((0..fits).map(|_| one())), 0);
    assert_eq!(last.put((0..3).map(|_| one())), 3);
    assert!(last.take().is_some());
    assert_eq!((last.put([one()]), last.put([one()])), (0, 1));
    assert_eq!((last.begin(false), last.begin(true), last.take().is_none()), (0, fits, true));
}

#[test]
fn answers_to_strangers_do_not_hold_up_the_addresses() {
    let (exchange, echo) = exchange();
    for number in 0..state::MOST_OWN {
        let xml = "<message to='nobody@bots.house' type='chat'><body>x</body></message>";
        exchange.deliver(arriving(&format!("a@b/{number}"), xml));
    }
    for number in 0..3 {
        exchange.hear(&echo, message(&format!("of echo {number}")));
    }
    let sent: Vec<_> = std::iter::from_fn(|| sent(&exchange)).collect();
    assert_eq!(sent.len(), state::MOST_OWN + 3);
    for number in 0..3 {
        let place = sent.iter().position(|one| one.contains(&format!("of echo {number}"))).unwrap();
        assert!(place < 2 * (number + 1), "{number}: {place}");
    }
}

#[test]
fn requests_of_one_stranger_do_not_displace_those_of_others() {
    let mut seat = seat::Seat::new("echo@bots.house/parlor".parse().unwrap());
    seat.asked(jid("honest@b/c"), "1".to_owned());
    for number in 0..100 {
        seat.asked(jid(&format!("a@b/{number}")), number.to_string());
    }
    assert!(seat.was_asked(Some(&jid("honest@b/c")), "1"));
    let known = (0..100).filter(|number| seat.was_asked(Some(&jid(&format!("a@b/{number}"))), &number.to_string()));
    assert_eq!(known.collect::<Vec<_>>(), (92..100).collect::<Vec<_>>(), "the newest ones");
    let long = "x".repeat(1 << 20);
    seat.asked(jid("a@b/c"), long.clone());
    assert!(!seat.was_asked(Some(&jid("a@b/c")), &long));
}

#[test]
fn a_request_that_is_refused_is_not_noted() {
    let (exchange, echo) = exchange();
    let answer = |id: &str| {
        let (to, id) = (jid("a@b/c"), id.to_owned());
        exchange.hear(&echo, Outgoing::Reply { to: Some(to), id, reply: Reply::Done });
        std::iter::from_fn(|| sent(&exchange)).filter(|one| one.contains("'result'")).last().unwrap_or_default()
    };
    let asks = |id: &str| format!("<iq to='echo@bots.house' id='{id}' type='get'><x xmlns='urn:x'/></iq>");
    exchange.deliver(arriving("a@b/c", &asks("taken")));
    for _ in 1..seat::MOST_WAITING {
        exchange.deliver(arriving("a@b/c", "<message to='echo@bots.house'><body>x</body></message>"));
    }
    exchange.deliver(arriving("a@b/c", &asks("refused")));
    let (taken, refused) = (answer("taken"), answer("refused"));
    assert!(taken.contains(" from='echo@bots.house'"), "{taken}");
    assert!(refused.contains(" from='echo@bots.house/parlor'"), "{refused}");
}

#[tokio::test]
async fn a_link_that_ends_without_a_reason_is_replaced() {
    let server = Server::start().await;
    let exchange = Arc::new(Exchange::new(jid(DOMAIN).to_bare()));
    let own = jid("echo@bots.house");
    let echo: Arc<dyn LocalServer> = Arc::new(Address { jid: own.to_bare(), exchange: Arc::clone(&exchange) });
    let settings = LinkSettings { jid: own, ..server.settings() };
    let (_orders, orders) = mpsc::channel(ORDERS);
    let of_worker = Arc::clone(&exchange);
    let mut worker =
        Worker { exchange: of_worker, settings: server.settings(), orders, link: None, began: None, cut: None };
    echo.open(&settings);
    soon(exchange.wanted()).await;
    worker.connect();
    exchange.bound(false);
    assert!(matches!(next(&echo).await, LinkEvent::Bound { .. }));
    worker.on_link(LinkEvent::Closed);
    assert!(matches!(next(&echo).await, LinkEvent::Suspended { why: Lost::Bug }));
    assert!(worker.link.is_some() && worker.cut.is_some());
    // Nobody wants one now, and somebody does later.
    echo.close();
    worker.on_link(LinkEvent::Closed);
    assert!(worker.link.is_none());
    echo.open(&settings);
    soon(exchange.wanted()).await;
}

/// Lets addresses with such names become accounts.
fn rule(pattern: &str) -> NewAddresses {
    NewAddresses { patterns: vec![pattern.parse().unwrap()], from: Vec::new(), group: None, limit: 1_000 }
}

/// Returns a message of a stranger to an address of the component.
fn written_to(name: &str, body: &str) -> Arrived {
    written_by("a", name, body)
}

/// Same, of a stranger with this name, on a server with that.
fn written_by(person: &str, name: &str, body: &str) -> Arrived {
    let xml = format!("<message to='{name}@bots.house' type='chat' id='1'><body>{body}</body></message>");
    arriving(&format!("{person}@{person}.example/c"), &xml)
}

/// Returns the errors with which messages go back.
fn returning(exchange: &Exchange) -> Vec<String> {
    std::iter::from_fn(|| sent(exchange)).collect()
}

/// Returns the next event for an address, which is there already.
fn come(exchange: &Exchange, address: &BareJid) -> LinkEvent {
    match exchange.poll(address, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => event,
        Poll::Pending => panic!("nothing has come for {address}"),
    }
}

#[test]
fn messages_to_an_address_that_becomes_an_account_wait_for_it() {
    for is_cut in [false, true] {
        let (exchange, _) = exchange();
        exchange.admit(Some(rule("shop-*")), &Arc::default(), &Arc::default());
        for body in ["first", "second"] {
            exchange.deliver(written_to("shop-1", body));
        }
        assert_eq!(sent(&exchange), None, "nothing goes back");
        exchange.deliver(written_to("other", "x"));
        assert!(sent(&exchange).unwrap().contains("service-unavailable"));
        for xml in [
            "<iq to='shop-2@bots.house' id='i' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<message to='shop-2@bots.house' type='groupchat'><body>x</body></message>",
            "<presence to='shop-2@bots.house'/>",
        ] {
            exchange.deliver(arriving("a@b/c", xml));
        }
        let address = jid("shop-1@bots.house").to_bare();
        assert_eq!(exchange.with_guests(guests::Guests::news), std::slice::from_ref(&address));
        assert!(exchange.with_guests(guests::Guests::news).is_empty(), "each once");
        let own = jid("shop-1@bots.house/parlor").try_into_full().unwrap();
        if is_cut {
            exchange.suspended(&Lost::Closed);
            exchange.open(&address, own);
            exchange.bound(false);
        } else {
            exchange.open(&address, own);
        }
        assert!(matches!(come(&exchange, &address), LinkEvent::Bound { .. }));
        for body in ["first", "second"] {
            let LinkEvent::Stanza(Incoming::Message(message)) = come(&exchange, &address) else { panic!("{body}") };
            assert_eq!(message.body.as_deref(), Some(body));
        }
    }
}

#[test]
fn so_many_messages_wait_for_accounts_at_most_and_the_others_go_back() {
    let (exchange, _) = exchange();
    exchange.admit(Some(rule("*")), &Arc::default(), &Arc::default());
    let back = || returning(&exchange).len();
    for number in 0..guests::MOST + 3 {
        let name = format!("a{number}");
        exchange.deliver(written_by(&name, &name, "x"));
    }
    let all = returning(&exchange);
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|one| one.contains("resource-constraint")), "they may come later: {all:?}");
    for _ in 0..guests::MOST_OF_ONE {
        exchange.deliver(written_to("a0", "x"));
    }
    assert_eq!(back(), 1);
    exchange.turn_away(&jid("a0@bots.house").to_bare(), guests::nobody);
    assert_eq!(back(), guests::MOST_OF_ONE);
    let long = "x".repeat(100 << 10);
    for number in 0..200 {
        exchange.deliver(written_to(&format!("a{}", 1 + number % 100), &long));
    }
    assert!(back() > 115, "they would take 20 MiB, even with one for each address");
    exchange.admit(None, &Arc::default(), &Arc::default());
    exchange.deliver(written_to("late", "x"));
    assert_eq!(back(), 1, "none becomes an account any more");
}

#[tokio::test(start_paused = true)]
async fn one_person_makes_so_many_addresses_wait_in_an_hour_at_most() {
    let (exchange, _) = exchange();
    exchange.admit(Some(rule("*")), &Arc::default(), &Arc::default());
    let write = |person: &str, number: usize| {
        exchange.deliver(written_by(person, &format!("{person}{number}"), "x"));
        sent(&exchange).is_none()
    };
    let taken = (0..100).filter(|&number| write("mallory", number)).count();
    assert_eq!(taken, people::MOST_OF_A_PERSON);
    assert!(write("alice", 0) && write("mallory", 0), "others, and addresses that wait already");
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(write("mallory", 100));
}

#[tokio::test(start_paused = true)]
async fn the_people_of_one_domain_make_a_part_of_the_limit_wait_in_an_hour_at_most() {
    let (exchange, _) = exchange();
    let write = |number: usize| {
        let xml = format!("<message to='a{number}@bots.house' type='chat'><body>x</body></message>");
        exchange.deliver(arriving(&format!("u{number}@evil.example/c"), &xml));
        sent(&exchange).is_none()
    };
    exchange.admit(Some(rule("*")), &Arc::default(), &Arc::default());
    assert_eq!((0..200).filter(|&number| write(number)).count(), 125);
    let named = NewAddresses { from: vec![jid("evil.example").to_bare()], ..rule("*") };
    exchange.admit(Some(named), &Arc::default(), &Arc::default());
    assert!(write(200), "the owner named the domain");
}

#[test]
fn all_that_waited_for_an_account_reaches_it() {
    let (exchange, _) = exchange();
    exchange.admit(Some(rule("*")), &Arc::default(), &Arc::default());
    let long = "x".repeat(200 << 10);
    for _ in 0..guests::MOST_OF_ONE {
        exchange.deliver(written_to("new", &long));
    }
    let back = returning(&exchange).len();
    let address = jid("new@bots.house").to_bare();
    exchange.open(&address, jid("new@bots.house/parlor").try_into_full().unwrap());
    assert!(matches!(come(&exchange, &address), LinkEvent::Bound { .. }));
    let mut cx = Context::from_waker(Waker::noop());
    let got = std::iter::from_fn(|| match exchange.poll(&address, &mut cx) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    });
    assert_eq!(got.count() + back, guests::MOST_OF_ONE, "each is there, or has gone back");
}

#[test]
fn messages_go_back_however_many_there_are_and_after_a_cut() {
    let (exchange, _) = exchange();
    exchange.admit(Some(rule("*")), &Arc::default(), &Arc::default());
    let names: Vec<_> = (0..state::MOST_OWN).map(|number| format!("a{number}")).collect();
    for name in names.iter().flat_map(|name| [name, name]) {
        exchange.deliver(written_by(name, name, "x"));
    }
    exchange.suspended(&Lost::Closed);
    for name in &names {
        exchange.turn_away(&jid(&format!("{name}@bots.house")).to_bare(), guests::nobody);
    }
    exchange.bound(false);
    assert_eq!(returning(&exchange).len(), 2 * state::MOST_OWN);
}

#[test]
fn messages_go_back_also_while_strangers_ask_without_end() {
    let (exchange, _) = exchange();
    exchange.admit(Some(rule("new")), &Arc::default(), &Arc::default());
    let ask = || exchange.deliver(written_to("nobody", "x"));
    for _ in 0..state::MOST_OWN {
        ask();
    }
    exchange.deliver(written_to("new", "x"));
    exchange.turn_away(&jid("new@bots.house").to_bare(), guests::later);
    let mut texts = std::iter::from_fn(|| {
        ask();
        sent(&exchange)
    });
    assert!(texts.by_ref().take(4).any(|text| text.contains("resource-constraint")));
}

#[tokio::test]
async fn messages_that_wait_for_an_account_go_back_when_the_component_stops() {
    let (server, arrivals) = (Server::start().await, Arc::new(Notify::new()));
    let component = Component::start(server.settings());
    component.admit(Some(rule("*")), &Arc::default(), &arrivals);
    let mut stream = soon(server.serve()).await;
    stream.say("<message from='a@b/c' to='new@bots.house' type='chat'><body>hello</body></message>").await;
    soon(arrivals.notified()).await;
    let closed = async {
        let back = stream.until("</message>").await;
        stream.say("</stream:stream>").await;
        back
    };
    let (back, ()) = tokio::join!(closed, soon(component.stop()));
    assert!(back.contains("resource-constraint") && back.contains("a@b/c"), "{back}");
}

#[tokio::test]
async fn a_component_is_connected_for_addresses_that_may_become_accounts() {
    let (server, arrivals) = (Server::start().await, Arc::new(Notify::new()));
    let component = Component::start(server.settings());
    component.admit(Some(rule("*")), &Arc::default(), &arrivals);
    let mut stream = soon(server.serve()).await;
    stream.say("<message from='a@b/c' to='new@bots.house' type='chat'><body>hello</body></message>").await;
    soon(arrivals.notified()).await;
    assert_eq!(component.newcomers(), [jid("new@bots.house").to_bare()]);
    assert!(component.newcomers().is_empty());
    component.put_off(&jid("new@bots.house").to_bare());
    assert_eq!(component.newcomers(), [jid("new@bots.house").to_bare()], "the host could do nothing yet");
    assert!(component.turn_away_overdue(), "it waits");
    let new = server.address(&component, "new");
    assert!(matches!(next(&new).await, LinkEvent::Bound { .. }));
    assert_eq!(body(&new).await, "hello");
    assert!(!component.turn_away_overdue());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_an_account_in_vain_goes_back_after_a_minute() {
    let exchange = Arc::new(exchange().0);
    let (orders, _ordered) = mpsc::channel(ORDERS);
    let component = Component { exchange: Arc::clone(&exchange), orders };
    component.admit(Some(rule("*")), &Arc::default(), &Arc::default());
    exchange.deliver(written_to("new", "x"));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(component.turn_away_overdue() && sent(&exchange).is_none());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!component.turn_away_overdue());
    assert!(sent(&exchange).unwrap().contains("resource-constraint"));
}
