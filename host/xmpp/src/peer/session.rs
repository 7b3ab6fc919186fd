//! A client that is logged in at the scripted server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jid::FullJid;
use minidom::Element;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use xmpp_parsers::ns;
use xmpp_parsers::sm::{A, Nonza as Sm, R};
use xmpp_parsers::stanza::Stanza;

use crate::mock_server::answers::{Request, disco};
use crate::mock_server::tap::Tap;
use crate::mock_server::{Gone, Heard, Transport, Wire};

/// A client that is logged in.
pub struct Session<Io = TlsStream<TcpStream>> {
    pub(super) wire: Wire<Io>,
    pub(super) tap: Tap,
    pub(super) handled: Arc<AtomicU32>,
    pub jid: Option<FullJid>,
    pub resumed: bool,
    /// How many stanzas of the resumed session the client had handled.
    pub taken_in: u32,
}

impl<Io: Transport> Session<Io> {
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.wire.hear().await.ok()
    }

    pub(super) async fn manage(&mut self, nonza: Sm) {
        self.wire.manage(&nonza).await.unwrap();
    }

    pub(super) async fn send_stanza(&mut self, stanza: Stanza) {
        self.wire.say_stanza(&stanza).await.unwrap();
    }

    /// Tells the client how many of its stanzas were handled.
    async fn acknowledge(&mut self) {
        let h = self.handled.load(Ordering::SeqCst);
        self.manage(Sm::Ack(A { h })).await;
    }

    /// Answers the client's requests until it sends its presence: service discovery with these features of each entity,
    /// all others with an empty result.
    pub async fn settle(&mut self, features: &[(&str, &str)]) {
        let roster =
            format!("<query xmlns='{}'><item jid='friend@localhost' subscription='both'/></query>", ns::ROSTER);
        let roster: Element = roster.parse().unwrap();
        loop {
            let request = match Request::of(self.hear().await.expect("the client is there")) {
                Ok(request) => request,
                Err(Stanza::Presence(_)) => return,
                Err(_) => continue,
            };
            let payload = if request.is_disco() {
                let of = |entity: &str| request.to.as_ref().is_some_and(|to| to.as_str() == entity);
                Some(disco(features.iter().filter(|(entity, _)| of(entity)).map(|(_, var)| *var)))
            } else {
                request.is_roster().then(|| roster.clone())
            };
            self.send_stanza(request.result(payload)).await;
        }
    }

    /// Sends a stanza that is given as XML.
    pub async fn say(&mut self, xml: &str) {
        let element: Element = xml.parse().unwrap();
        self.send_stanza(Stanza::try_from(element).unwrap()).await;
    }

    /// Sends these bytes.
    pub async fn say_raw(&mut self, bytes: &str) {
        self.tap.say(bytes.as_bytes());
        // A client that ends the stream may be gone before all is sent.
        let _ = self.wire.flush().await;
    }

    /// Returns the next stanza, and acknowledges what is handled. Returns `None` if the client has closed the stream.
    pub async fn hear(&mut self) -> Option<Stanza> {
        loop {
            match self.next().await? {
                Heard::Stanza(stanza) => {
                    self.handled.fetch_add(1, Ordering::SeqCst);
                    return Some(stanza);
                }
                Heard::Sm(Sm::Req(_)) => self.acknowledge().await,
                Heard::Sm(_) => {}
                Heard::Other(element) if element.has_ns(ns::CSI) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Asks the client how many stanzas it has handled, and returns its answer. Other elements are ignored.
    pub async fn ask_what_was_taken_in(&mut self) -> u32 {
        self.manage(Sm::Req(R)).await;
        loop {
            match self.next().await.expect("the client is there") {
                Heard::Sm(Sm::Ack(A { h })) => return h,
                Heard::Sm(Sm::Req(_)) => self.acknowledge().await,
                Heard::Stanza(_) => {
                    self.handled.fetch_add(1, Ordering::SeqCst);
                }
                Heard::Other(element) if element.has_ns(ns::CSI) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Waits until the client has sent this text, and removes it.
    pub async fn hear_text(&mut self, text: &str) {
        loop {
            if self.tap.take_up_to(text) {
                return;
            }
            tokio::select! {
                () = self.tap.more() => {}
                heard = self.wire.hear() => match heard {
                    Ok(Heard::Stanza(_)) => {
                        self.handled.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(_) => {}
                    Err(gone) => panic!("{text} was not said: {gone}"),
                }
            }
        }
    }

    /// Returns the next stanza as XML, with its id.
    pub async fn hear_xml(&mut self) -> (String, String) {
        let stanza = self.hear().await.expect("the client stays");
        let id = match &stanza {
            Stanza::Iq(iq) => iq.id().to_owned(),
            Stanza::Message(_) | Stanza::Presence(_) => String::new(),
        };
        (String::from(&parlor_stanza::encode::element(&stanza)), id)
    }

    /// Answers the client's requests after the log-in until it sends its presence, with this content in the answer
    /// about the roster. Returns the request for the roster.
    pub async fn settle_roster(&mut self, roster: &str) -> String {
        let mut asked = String::new();
        loop {
            let stanza = self.hear().await.expect("the client stays");
            let xml = String::from(&parlor_stanza::encode::element(&stanza));
            let request = match Request::of(stanza) {
                Ok(request) => request,
                Err(Stanza::Presence(_)) => return asked,
                Err(_) => continue,
            };
            if request.is_roster() {
                let id = &request.id;
                self.say(&format!("<iq xmlns='jabber:client' type='result' id='{id}'>{roster}</iq>")).await;
                asked = xml;
            } else if request.is_disco() && request.to.is_some() {
                // The client requests the roster after this answer.
                self.send_stanza(request.result(Some(disco([])))).await;
            }
        }
    }

    /// Returns whether the client has sent this text since it was last waited for.
    pub fn has_said(&self, text: &str) -> bool {
        self.tap.has(text)
    }

    /// Returns the condition of the error with which the client ends the stream.
    pub async fn hear_error(&mut self) -> String {
        loop {
            if let Heard::Error(condition) = self.next().await.expect("the client says why") {
                return condition;
            }
        }
    }

    /// Waits until the client asks for a sign of life, answers, and returns the kind of request.
    pub async fn hear_request(&mut self) -> &'static str {
        match self.next().await.expect("the client is there") {
            Heard::Sm(Sm::Req(_)) => {
                self.acknowledge().await;
                "r"
            }
            Heard::Stanza(stanza) => match Request::of(stanza) {
                Ok(request) if request.is_ping() => {
                    self.send_stanza(request.result(None)).await;
                    "ping"
                }
                other => panic!("unexpected: {other:?}"),
            },
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// Same as [`Session::hear_request`], without an answer.
    pub async fn hear_request_only(&mut self) {
        self.next().await.expect("the client is there");
    }

    /// Returns the text of the next message.
    pub async fn hear_body(&mut self) -> String {
        match self.hear().await {
            Some(Stanza::Message(message)) => message.bodies.into_values().next().unwrap(),
            other => panic!("expected a message, found {other:?}"),
        }
    }

    /// Returns the texts of all messages up to this one; other stanzas are ignored.
    pub async fn bodies_until(&mut self, last: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while bodies.last().is_none_or(|body| body != last) {
            if let Stanza::Message(message) = self.hear().await.unwrap() {
                bodies.extend(message.bodies.into_values());
            }
        }
        bodies
    }

    /// Closes the stream like a server that shuts down.
    pub async fn goodbye(mut self) {
        let _ = self.wire.close().await;
    }

    /// Waits until the client closes its stream. Returns false if it only drops the connection.
    pub async fn hear_goodbye(&mut self) -> bool {
        loop {
            match self.wire.hear().await {
                Ok(_) => {}
                Err(Gone::Closed) => return true,
                Err(Gone::Broken(_)) => return false,
            }
        }
    }
}
