//! The server's side of one connection: log-in, bind or resumption, and then stanzas, according to the connection's
//! fate.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt as _};
use minidom::Element;
use tokio::io::{BufStream, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_xmpp::xmlstream::{
    AcceptedStream, FallibleStreamElement, ReadError, StreamHeader, Timeouts, XmppStream, XmppStreamElement,
    accept_stream,
};
use xmpp_parsers::bind::{BindFeature, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::sasl::{DefinedCondition, Failure, Nonza as Sasl, Success};
use xmpp_parsers::sm::{A, Enabled, Failed, Nonza as Sm, R, Resumed, StreamId, StreamManagement};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_error::StreamError;
use xmpp_parsers::stream_features::StreamFeatures;

use super::books::account;
use super::{Fate, Fault, Memory, Network, Order, Welcome};

type Stream = XmppStream<BufStream<DuplexStream>>;
type Orders = mpsc::UnboundedReceiver<Order>;

/// Timeouts of a server that waits practically for ever for a silent client.
const PATIENT: Timeouts =
    Timeouts { read_timeout: Duration::from_hours(24), response_timeout: Duration::from_hours(24) };

impl Network {
    pub(super) async fn serve(&self, number: u32, io: DuplexStream, fate: Fate, mut orders: Orders) {
        // `None` means that one end has closed the connection, which is a normal end.
        let _ = self.speak(number, io, fate, &mut orders).await;
        self.books(|books| books.ended(number));
        self.tell(format_args!("connection {number}: over"));
    }

    async fn speak(&self, number: u32, io: DuplexStream, fate: Fate, orders: &mut Orders) -> Option<()> {
        if fate.welcome == Welcome::Mute {
            let _io = io;
            return std::future::pending().await;
        }
        let accepted = accept_stream(BufStream::new(io), ns::JABBER_CLIENT, PATIENT).await.ok()?;
        let features = StreamFeatures { sasl_mechanisms: ["PLAIN".to_owned()].into(), ..StreamFeatures::default() };
        let mut stream = begin(accepted, &features).await?;
        let XmppStreamElement::Sasl(Sasl::Auth(_)) = next(&mut stream).await? else { return None };
        match fate.welcome {
            Welcome::Good | Welcome::Mute => {}
            Welcome::Refused => return refuse(stream, DefinedCondition::TemporaryAuthFailure).await,
            Welcome::Denied => {
                self.books(|books| books.denied += 1);
                return refuse(stream, DefinedCondition::NotAuthorized).await;
            }
            Welcome::Ended(condition) => return end(stream, condition).await,
            Welcome::HungUp => return None,
        }
        let success = XmppStreamElement::Sasl(Sasl::Success(Success { data: Vec::new() }));
        let accepted = stream.accept_reset(&success).await.ok()?;
        let features = StreamFeatures {
            bind: Some(BindFeature { required: true }),
            stream_management: Some(StreamManagement { optional: false }),
            ..StreamFeatures::default()
        };
        let mut stream = begin(accepted, &features).await?;
        let takes_in = self.establish(number, &mut stream, fate).await?;
        self.converse(number, &mut stream, takes_in, fate.slowness, orders).await
    }

    /// Serves the client up to a bound or resumed session. Returns false if nothing is handled on this connection.
    async fn establish(&self, number: u32, stream: &mut Stream, fate: Fate) -> Option<bool> {
        loop {
            let answer = match next(stream).await? {
                XmppStreamElement::SM(Sm::Resume(resume)) => {
                    let id = resume.previd.0.clone();
                    if let Memory::Counted | Memory::Forgotten = fate.memory {
                        self.books(|books| books.forget(&id, fate.memory == Memory::Counted));
                    }
                    match self.books(|books| books.resume(&id, resume.h, number)) {
                        Ok(taken) => {
                            let more = if fate.memory == Memory::Miscounted { 1000 } else { 0 };
                            say(stream, Sm::Resumed(Resumed { h: taken + more, previd: resume.previd })).await?;
                            return Some(fate.memory != Memory::Deaf);
                        }
                        Err(h) => Sm::Failed(Failed { h, error: None }),
                    }
                }
                XmppStreamElement::Stanza(Stanza::Iq(Iq::Set { id, .. })) => {
                    self.books(super::Books::bind);
                    let bound: Stanza = Iq::from_result(id, Some(BindResponse { jid: account() })).into();
                    stream.send(&XmppStreamElement::Stanza(bound)).await.ok()?;
                    continue;
                }
                XmppStreamElement::SM(Sm::Enable(_)) => {
                    let id = Some(StreamId(self.books(|books| books.enable(number))));
                    say(stream, Sm::Enabled(Enabled { id, location: None, max: None, resume: true })).await?;
                    return Some(true);
                }
                _ => return None,
            };
            say(stream, answer).await?;
        }
    }

    async fn converse(
        &self,
        number: u32,
        stream: &mut Stream,
        takes_in: bool,
        slowness: Duration,
        orders: &mut Orders,
    ) -> Option<()> {
        let mut owed: Option<Instant> = None;
        let mut order = Order::Look;
        // The connection that had the session before must give it up.
        self.wake();
        loop {
            if !self.books(|books| books.is_on(number)) {
                return None;
            }
            match order {
                Order::Suffer { connection, fault: Fault::Ended(condition) } if connection == number => {
                    if let "not-authorized" | "conflict" = condition {
                        self.books(|books| books.denied += 1);
                    }
                    return finish(stream, condition).await;
                }
                Order::Suffer { connection, fault: Fault::Closed } if connection == number => {
                    return stream.shutdown().await.ok();
                }
                Order::Suffer { .. } | Order::Look => {}
            }
            let due = self.books(super::Books::due);
            if !due.is_empty() {
                for xml in due {
                    let element: Element = xml.parse().expect("the server writes XML");
                    let stanza = Stanza::try_from(element).expect("the server writes stanzas");
                    stream.send(&XmppStreamElement::Stanza(stanza)).await.ok()?;
                }
                say(stream, Sm::Req(R)).await?;
                continue;
            }
            let late = async {
                match owed {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                came = orders.recv() => order = came?,
                element = next(stream) => match element? {
                    XmppStreamElement::Stanza(stanza) if takes_in => self.hear(stanza),
                    XmppStreamElement::SM(Sm::Req(_)) if takes_in => {
                        owed.get_or_insert_with(|| Instant::now() + slowness);
                    }
                    XmppStreamElement::SM(Sm::Ack(A { h })) if takes_in => self.books(|books| books.acknowledge(h)),
                    XmppStreamElement::Stanza(_) | XmppStreamElement::SM(_) => {}
                    other => {
                        self.books(|books| books.wrong.push(format!("the server is told {other:?}")));
                        return None;
                    }
                },
                () = late => {
                    owed = None;
                    let h = self.books(super::Books::say_taken);
                    say(stream, Sm::Ack(A { h })).await?;
                }
            }
        }
    }

    /// Handles a stanza and answers a request: with a minimal answer that lets the client continue, or not at all.
    fn hear(&self, stanza: Stanza) {
        match stanza {
            Stanza::Message(message) => {
                let body = message.bodies.into_values().next();
                if let Some(body) = &body {
                    self.tell(format_args!("took {body}"));
                }
                self.books(|books| books.take(body));
            }
            Stanza::Presence(presence) => self.books(|books| {
                books.take(None);
                if presence.to.is_none() {
                    books.available();
                }
            }),
            Stanza::Iq(Iq::Get { to, id, payload, .. } | Iq::Set { to, id, payload, .. }) => {
                let payload = match payload.name() {
                    // This request is never answered.
                    "mute" => return self.books(|books| books.take(None)),
                    "query" if payload.has_ns(ns::DISCO_INFO) => {
                        format!("<query xmlns='{}'><feature var='urn:xmpp:sid:0'/></query>", ns::DISCO_INFO)
                    }
                    "query" if payload.has_ns(ns::ROSTER) => format!("<query xmlns='{}'/>", ns::ROSTER),
                    _ => String::new(),
                };
                let from = to.map(|to| format!("from='{to}'")).unwrap_or_default();
                let answer = format!("<iq xmlns='jabber:client' {from} type='result' id='{id}'>{payload}</iq>");
                self.books(|books| {
                    books.take(None);
                    books.answer(answer);
                });
            }
            Stanza::Iq(_) => self.books(|books| books.take(None)),
        }
    }
}

async fn begin(accepted: AcceptedStream<BufStream<DuplexStream>>, features: &StreamFeatures) -> Option<Stream> {
    let header = StreamHeader { from: Some(Cow::Borrowed("localhost")), to: None, id: Some(Cow::Borrowed("peer")) };
    accepted.send_header(header).await.ok()?.send_features(features).await.ok()
}

/// Returns the next element; `None` at the end.
async fn next(stream: &mut Stream) -> Option<XmppStreamElement> {
    loop {
        match stream.next().await?.and_then(FallibleStreamElement::into_read_error) {
            Ok(element) => return Some(element),
            Err(ReadError::SoftTimeout) => {}
            Err(ReadError::StreamFooterReceived) => {
                let _ = stream.shutdown().await;
                return None;
            }
            Err(_) => return None,
        }
    }
}

async fn say(stream: &mut Stream, word: Sm) -> Option<()> {
    stream.send(&XmppStreamElement::SM(word)).await.ok()
}

async fn refuse(mut stream: Stream, defined_condition: DefinedCondition) -> Option<()> {
    let failure = Failure { defined_condition, texts: BTreeMap::new() };
    stream.send(&XmppStreamElement::Sasl(Sasl::Failure(failure))).await.ok()
}

async fn end(mut stream: Stream, condition: &str) -> Option<()> {
    finish(&mut stream, condition).await
}

/// Ends the stream with this condition.
async fn finish(stream: &mut Stream, condition: &str) -> Option<()> {
    let element: Element = format!(
        // Only one condition has content.
        "<error xmlns='{}'><{condition} xmlns='{}'>{}</{condition}></error>",
        ns::STREAM,
        ns::XMPP_STREAMS,
        if condition == "see-other-host" { "elsewhere.example" } else { "" }
    )
    .parse()
    .expect("it is XML");
    let error = StreamError::try_from(element).expect("it is a stream error");
    SinkExt::<&StreamError>::send(stream, &error).await.ok()?;
    stream.shutdown().await.ok()
}
