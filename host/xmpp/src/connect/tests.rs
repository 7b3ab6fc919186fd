//! Tests of servers that are reached over each transport, or over none, and of the errors that are reported.

use minidom::Element;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;
use crate::peer::{Manners, Peer};

fn refused() -> ConnectError {
    ConnectError::Refused { address: "[::1]:5222".to_owned() }
}

#[tokio::test]
async fn the_web_is_tried_only_where_nobody_was_there_and_the_owner_left_it_open() {
    let named = Peer::start(Manners::default()).await.settings();
    let free = LinkSettings { server: None, ..named.clone() };
    let place = named.server.clone();
    assert!(may_go_over_the_web(&free, None, &refused()));
    assert!(!may_go_over_the_web(&free, place.as_ref(), &refused()), "a server sent us there");
    assert!(!may_go_over_the_web(&named, None, &refused()), "the owner named it");
    let tcp = LinkSettings { transport: TransportChoice::Tcp, ..free.clone() };
    assert!(!may_go_over_the_web(&tcp, None, &refused()));
    assert!(!may_go_over_the_web(&free, None, &ConnectError::HungUp), "somebody was there");
}

/// A server whose port speaks TLS from the first byte sends nothing to a plain stream.
#[tokio::test]
async fn a_server_that_the_owner_named_and_that_offers_no_starttls_may_want_tls_at_once() {
    let peer = Peer::start(Manners::default()).await.settings();
    let named = LinkSettings { tls: None, ..peer.clone() };
    let place = named.server.as_ref().map(ToString::to_string).unwrap();
    for error in [ConnectError::HungUp, ConnectError::NotXmpp { cause: "no XML".to_owned() }] {
        let said = of_named(error.clone(), &named, "localhost");
        assert!(said.to_string().contains("set tls = \"direct\" (`parlor init"), "{said}");
        assert!(said.to_string().starts_with(&place), "{said}");
        assert!(!said.is_final(), "it may be about to start");
        // If DNS announces the TLS mode, the mode is not what is wrong.
        assert_eq!(of_named(error.clone(), &LinkSettings { server: None, ..named.clone() }, "localhost"), error);
        let written = LinkSettings { tls: Some(TlsMode::StartTls), ..named.clone() };
        let nowhere = LinkSettings { server: None, ..written.clone() };
        for (settings, place) in [(&written, &*place), (&nowhere, "localhost")] {
            let said = of_named(error.clone(), settings, "localhost").to_string();
            assert!(said.contains("set tls = \"direct\" in place of \"starttls\""), "{said}");
            assert!(said.starts_with(&format!("{place} closed the connection")), "{said}");
        }
    }
    assert_eq!(of_named(refused(), &named, "localhost"), refused());
}

/// A STARTTLS port answers the first bytes of TLS with a stream error, and an HTTP port with an HTTP error.
#[tokio::test]
async fn a_port_that_speaks_no_tls_is_said_to_speak_none() {
    let peer = Peer::start(Manners { tls: TlsMode::Direct, ..Manners::default() }).await;
    for said in
        ["<?xml version='1.0'?><stream:stream><stream:error/></stream:stream>", "HTTP/1.1 400 Bad Request\r\n\r\n"]
    {
        let (settings, ending) = (peer.settings(), Ending::default());
        let (finder, tokens) = (Finder::default(), Tokens::default());
        let opening = open(&settings, None, "localhost", &ending, &tokens, &finder);
        let answering = async {
            let mut socket = peer.accept_socket().await;
            socket.write_all(said.as_bytes()).await.unwrap();
            socket
        };
        let (opened, _socket) = tokio::join!(opening, answering);
        let error = opened.err().unwrap();
        assert_eq!(error, ConnectError::NotTls { domain: "localhost".to_owned() });
        let words = error.to_string();
        assert!(words.contains("check the port of `server`") && words.contains("tls = \"starttls\""), "{words}");
        assert!(!error.is_final(), "it may be about to change");
        // The same applies to a web address, which has no such setting.
        let url = peer.over_websocket().websocket.unwrap();
        let opening = open_websocket(&settings, &url, "localhost", &ending);
        let (opened, _socket) = tokio::join!(opening, async {
            let mut socket = peer.accept_socket().await;
            socket.write_all(said.as_bytes()).await.unwrap();
            socket
        });
        let words = opened.err().unwrap().to_string();
        assert!(words.contains("(its port does not speak TLS); check websocket_url"), "{words}");
    }
}

/// The port may be another service's, which waits for its client.
#[tokio::test]
async fn a_port_that_accepts_a_connection_and_says_nothing_is_named_with_the_usual_ports() {
    for tls in [TlsMode::StartTls, TlsMode::Direct] {
        let peer = Peer::start(Manners { tls, ..Manners::default() }).await;
        let (settings, tokens, attempts) = (peer.settings(), Tokens::default(), Attempts::default());
        let wanted = settings.jid.clone().try_into_full().unwrap();
        let logging_in = Box::pin(log_in(&settings, None, &wanted, None, None, &tokens, &attempts));
        let silent = async {
            let socket = peer.accept_socket().await;
            // Nobody waits for half a minute here.
            tokio::time::pause();
            socket
        };
        let (opened, _socket) = tokio::join!(logging_in, silent);
        tokio::time::resume();
        let error = opened.err().unwrap();
        assert_eq!(error, ConnectError::Silent { place: peer.place() });
        let words = error.to_string();
        assert!(words.contains("5222 is usual for STARTTLS, and 5223 for direct TLS"), "{words}");
        assert!(!error.is_final() && error.is_no_answer(), "it may be about to start");
    }
}

/// Returns the result of a connection that TCP refuses while the domain's web server answers like this.
async fn over_the_web(peer: &Peer, web: impl Future<Output = ()>) -> Result<Reached, ConnectError> {
    let (ending, tokens) = (Ending::default(), Tokens::default());
    // The certificate is for this name.
    let server = peer.settings().server.map(|place| Endpoint { host: "localhost".to_owned(), ..place });
    let settings = LinkSettings { server, ..peer.settings() };
    let going = go_over_the_web(&settings, "localhost", &ending, &tokens, refused());
    let both = Box::pin(async move { tokio::join!(going, web).0 });
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("it comes to an end")
}

/// XEP-0156.
#[tokio::test]
async fn who_cannot_be_reached_by_tcp_is_reached_where_its_domain_says() {
    const BOSH: &str = "urn:xmpp:alt-connections:xbosh";
    const CREATED: &str = "<body xmlns='http://jabber.org/protocol/httpbind' sid='some' wait='60' requests='2' hold='1' \
                           xmlns:stream='http://etherx.jabber.org/streams'><stream:features/></body>";
    let peer = Peer::start(Manners::default()).await;
    let port = peer.settings().server.unwrap().port.unwrap();
    let place = format!("https://localhost:{port}/http-bind");
    let web = async {
        let said = format!(r#"{{"links": [{{"rel": "{BOSH}", "href": "{place}"}}]}}"#);
        let asked = peer.answer_web("200 OK", &said).await;
        assert!(asked.starts_with("GET /.well-known/host-meta.json HTTP/1.1\r\n"), "{asked}");
        let mut page = peer.accept_page().await;
        let asked = page.hear().await.unwrap();
        assert!(asked.contains("to='localhost'"), "{asked}");
        page.say("200 OK", CREATED).await;
    };
    let reached = over_the_web(&peer, web).await;
    assert!(reached.is_ok_and(|reached| !reached.can_resume), "that is BOSH");
}

#[tokio::test]
async fn a_portal_in_place_of_the_domain_is_no_server_and_what_is_said_is_what_was_wrong_with_tcp() {
    let peer = Peer::start(Manners::default()).await;
    let portal = async {
        for asked in ["host-meta.json", "host-meta"] {
            let head = peer.answer_web("200 OK", "<html>Please log in to the network</html>").await;
            assert!(head.starts_with(&format!("GET /.well-known/{asked} ")), "{head}");
        }
    };
    assert_eq!(over_the_web(&peer, portal).await.err(), Some(refused()));
    // This portal redirects all requests to its own page.
    let portal = async {
        for _ in 0..2 {
            peer.answer_web("302 Found\r\nlocation: http://portal.example/", "").await;
        }
    };
    assert_eq!(over_the_web(&peer, portal).await.err(), Some(refused()));
    assert!(!refused().is_final(), "it is tried again");
}

/// Opens an idle stream over WebSocket, and returns it with the server's end.
async fn over_websocket(
    peer: &Peer,
    settings: &LinkSettings,
    ending: &Ending,
) -> (XmppStream<Transport>, WebSocketStream<TlsStream<TcpStream>>) {
    const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>";
    const FEATURES: &str = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>";
    let serve = async {
        let mut socket = peer.accept_websocket().await;
        for said in [OPEN, FEATURES] {
            socket.send(Message::text(said)).await.unwrap();
        }
        socket
    };
    let tokens = Tokens::default();
    let opening = async {
        let reached = open(settings, None, "localhost", ending, &tokens, &Finder::default()).await?;
        let (_, stream): (StreamFeatures, _) = reached.pending.recv_features().await.map_err(|_| refused())?;
        Ok::<_, ConnectError>(stream)
    };
    let (stream, socket) = tokio::join!(Box::pin(opening), serve);
    (stream.unwrap(), socket)
}

/// Settings `ping_interval`: proxies close an idle WebSocket, often after a minute.
#[tokio::test]
async fn over_a_websocket_silence_is_never_long() {
    let peer = Peer::start(Manners::default()).await;
    for (interval, expected) in [(180, 45), (30, 30), (0, 3600)] {
        let settings = LinkSettings { ping_interval: Duration::from_secs(interval), ..peer.over_websocket() };
        let (mut stream, _socket) = over_websocket(&peer, &settings, &Ending::default()).await;
        tokio::time::pause();
        let began = Instant::now();
        let heard = tokio::time::timeout(Duration::from_hours(1), stream.next()).await;
        let silence = began.elapsed();
        tokio::time::resume();
        assert!(matches!(heard, Ok(Some(Err(ReadError::SoftTimeout))) | Err(_)), "{heard:?}");
        assert!(silence.abs_diff(Duration::from_secs(expected)) < Duration::from_secs(1), "{interval}: {silence:?}");
    }
}

/// RFC 7395, section 3.3.3; RFC 6120, section 4.8.3. The sender of a request chooses the id, and servers end the stream
/// over a stanza without a namespace.
#[tokio::test]
async fn over_a_websocket_a_stanza_is_one_whatever_somebody_wrote_into_it() {
    let peer = Peer::start(Manners::default()).await;
    let (mut stream, mut socket) = over_websocket(&peer, &peer.over_websocket(), &Ending::default()).await;
    let answer = "<iq xmlns='jabber:client' type='result' id=' xmlns=' to='mallory@evil/ xmlns=x'/>";
    stream.send(&answer.parse::<Element>().unwrap()).await.unwrap();
    let mut heard = Vec::new();
    // The stream opening comes first.
    while heard.len() < 2 {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            heard.push(text.as_str().to_owned());
        }
    }
    let framed: Element = heard[1].parse().unwrap();
    assert!(framed.is("iq", ns::JABBER_CLIENT) && framed.attr("id") == Some(" xmlns="), "{}", heard[1]);
}

#[tokio::test]
async fn a_piece_of_a_message_over_a_websocket_is_no_silence() {
    let peer = Peer::start(Manners::default()).await;
    let (settings, ending) = (peer.over_websocket(), Ending::default());
    let (mut stream, mut socket) = over_websocket(&peer, &settings, &ending).await;
    tokio::time::pause();
    // The header of a frame of forty bytes, and some of its bytes.
    for piece in [&b"\x81\x28<message>"[..], b"<body>"] {
        tokio::time::advance(Duration::from_secs(10)).await;
        let began = Instant::now();
        socket.get_mut().write_all(piece).await.unwrap();
        socket.get_mut().flush().await.unwrap();
        let whole = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
        assert!(whole.is_err() && ending.heard() >= began, "{whole:?}");
    }
    tokio::time::resume();
}

#[tokio::test]
async fn a_websocket_that_is_closed_says_why_the_stream_is_over() {
    let peer = Peer::start(Manners::default()).await;
    let (settings, ending) = (peer.over_websocket(), Ending::default());
    // The reason is from another address that was tried.
    ending.note(Lost::Unknown);
    let (mut stream, mut socket) = over_websocket(&peer, &settings, &ending).await;
    let close = CloseFrame { code: CloseCode::Policy, reason: "too much".into() };
    let closed = socket.send(Message::Close(Some(close))).await;
    assert!(closed.is_ok() && !matches!(stream.next().await, Some(Ok(_))));
    let why = ending.reason().unwrap();
    assert!(why.to_string().contains("1008 too much") && why.may_resume(), "{why}");
}
