//! The server's side of one connection: log-in, bind or resumption, and then stanzas, according to the connection's
//! fate.

use std::time::Duration;

use minidom::Element;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_xmpp::xmlstream::Timeouts;
use xmpp_parsers::bind::BindFeature;
use xmpp_parsers::ns;
use xmpp_parsers::sasl::{DefinedCondition, Success};
use xmpp_parsers::sm::{A, Enabled, Failed, Nonza as Sm, R, Resume, Resumed, StreamId, StreamManagement};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_features::StreamFeatures;

use super::observed::account;
use super::{Fate, Fault, Memory, Network, Order, Welcome};
use crate::mock_server::answers::{Request, disco};
use crate::mock_server::tap::Tap;
use crate::mock_server::{Gone, Heard, Opening};

type Wire = crate::mock_server::Wire<DuplexStream>;
type Orders = mpsc::UnboundedReceiver<Order>;

/// Timeouts of a server that waits practically for ever for a silent client.
const PATIENT: Timeouts =
    Timeouts { read_timeout: Duration::from_hours(24), response_timeout: Duration::from_hours(24) };

impl Network {
    pub(super) async fn serve(&self, number: u32, io: DuplexStream, fate: Fate, mut orders: Orders) {
        // `None` means that one end has closed the connection, which is a normal end.
        let _ = self.speak(number, io, fate, &mut orders).await;
        self.observed(|observed| observed.ended(number));
        self.tell(format_args!("connection {number}: over"));
    }

    async fn speak(&self, number: u32, io: DuplexStream, fate: Fate, orders: &mut Orders) -> Option<()> {
        if fate.welcome == Welcome::Mute {
            let _io = io;
            return std::future::pending().await;
        }
        let opening = Opening::accept(io, Tap::default(), PATIENT).await.ok()?;
        let features = StreamFeatures { sasl_mechanisms: ["PLAIN".to_owned()].into(), ..StreamFeatures::default() };
        let mut wire = opening.offer(&features).await.ok()?;
        let Heard::Sasl { .. } = next(&mut wire).await? else { return None };
        match fate.welcome {
            Welcome::Good | Welcome::Mute => {}
            Welcome::Refused => return wire.refuse(DefinedCondition::TemporaryAuthFailure).await.ok(),
            Welcome::Denied => {
                self.observed(|observed| observed.denied += 1);
                return wire.refuse(DefinedCondition::NotAuthorized).await.ok();
            }
            Welcome::Ended(condition) => return wire.end(condition).await.ok(),
            Welcome::HungUp => return None,
        }
        let opening = wire.succeed(&Success { data: Vec::new() }.into()).await.ok()?;
        let features = StreamFeatures {
            bind: Some(BindFeature { required: true }),
            stream_management: Some(StreamManagement { optional: false }),
            ..StreamFeatures::default()
        };
        let mut wire = opening.offer(&features).await.ok()?;
        let takes_in = self.establish(number, &mut wire, fate).await?;
        self.converse(number, &mut wire, takes_in, fate.slowness, orders).await
    }

    /// Serves the client up to a bound or resumed session. Returns false if nothing is handled on this connection.
    async fn establish(&self, number: u32, wire: &mut Wire, fate: Fate) -> Option<bool> {
        loop {
            let answer = match next(wire).await? {
                Heard::Sm(Sm::Resume(resume)) => match self.resume(number, &resume, fate.memory) {
                    Ok(h) => {
                        say(wire, Sm::Resumed(Resumed { h, previd: resume.previd })).await?;
                        return Some(fate.memory != Memory::Deaf);
                    }
                    Err(h) => Sm::Failed(Failed { h, error: None }),
                },
                Heard::Stanza(stanza) => {
                    let (_, bound) = Request::of(stanza).ok()?.bind(&account().to_bare(), "here")?;
                    self.observed(super::Observed::bind);
                    wire.say_stanza(&bound).await.ok()?;
                    continue;
                }
                Heard::Sm(Sm::Enable(_)) => {
                    let id = Some(StreamId(self.observed(|observed| observed.enable(number))));
                    say(wire, Sm::Enabled(Enabled { id, location: None, max: None, resume: true })).await?;
                    return Some(true);
                }
                _ => return None,
            };
            say(wire, answer).await?;
        }
    }

    /// Resumes a session as far as the server remembers it. Returns the count that it reports; an error has the count
    /// of a session that cannot be resumed.
    fn resume(&self, number: u32, resume: &Resume, memory: Memory) -> Result<u32, Option<u32>> {
        let id = &resume.previd.0;
        if let Memory::Counted | Memory::Forgotten = memory {
            self.observed(|observed| observed.forget(id, memory == Memory::Counted));
        }
        let more = if memory == Memory::Miscounted { 1000 } else { 0 };
        self.observed(|observed| observed.resume(id, resume.h, number)).map(|taken| taken + more)
    }

    async fn converse(
        &self,
        number: u32,
        wire: &mut Wire,
        takes_in: bool,
        slowness: Duration,
        orders: &mut Orders,
    ) -> Option<()> {
        let mut owed: Option<Instant> = None;
        let mut order = Order::Look;
        // The connection that had the session before must give it up.
        self.wake();
        loop {
            if !self.observed(|observed| observed.is_on(number)) {
                return None;
            }
            match order {
                Order::Suffer { connection, fault: Fault::Ended(condition) } if connection == number => {
                    if let "not-authorized" | "conflict" = condition {
                        self.observed(|observed| observed.denied += 1);
                    }
                    return wire.end(condition).await.ok();
                }
                Order::Suffer { connection, fault: Fault::Closed } if connection == number => {
                    return wire.close().await.ok();
                }
                Order::Suffer { .. } | Order::Look => {}
            }
            let due = self.observed(super::Observed::due);
            if !due.is_empty() {
                for xml in due {
                    let element: Element = xml.parse().expect("the server writes XML");
                    let stanza = Stanza::try_from(element).expect("the server writes stanzas");
                    wire.say_stanza(&stanza).await.ok()?;
                }
                say(wire, Sm::Req(R)).await?;
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
                element = next(wire) => match element? {
                    Heard::Stanza(stanza) if takes_in => self.hear(stanza),
                    Heard::Sm(Sm::Req(_)) if takes_in => {
                        owed.get_or_insert_with(|| Instant::now() + slowness);
                    }
                    Heard::Sm(Sm::Ack(A { h })) if takes_in => self.observed(|observed| observed.acknowledge(h)),
                    Heard::Stanza(_) | Heard::Sm(_) => {}
                    other => {
                        self.observed(|observed| observed.wrong.push(format!("the server is told {other:?}")));
                        return None;
                    }
                },
                () = late => {
                    owed = None;
                    let h = self.observed(super::Observed::say_taken);
                    say(wire, Sm::Ack(A { h })).await?;
                }
            }
        }
    }

    /// Handles a stanza and answers a request: with a minimal answer that lets the client continue, or not at all.
    fn hear(&self, stanza: Stanza) {
        let request = match Request::of(stanza) {
            Ok(request) => request,
            Err(Stanza::Message(message)) => {
                let body = message.bodies.into_values().next();
                if let Some(body) = &body {
                    self.tell(format_args!("took {body}"));
                }
                return self.observed(|observed| observed.take(body));
            }
            Err(Stanza::Presence(presence)) => {
                return self.observed(|observed| {
                    observed.take(None);
                    if presence.to.is_none() {
                        observed.available();
                    }
                });
            }
            Err(Stanza::Iq(_)) => return self.observed(|observed| observed.take(None)),
        };
        let payload = match request.payload.name() {
            // This request is never answered.
            "mute" => return self.observed(|observed| observed.take(None)),
            _ if request.is_disco() => Some(disco(["urn:xmpp:sid:0"])),
            _ if request.is_roster() => Some(Element::bare("query", ns::ROSTER)),
            _ => None,
        };
        let answer = Element::from(request.result(payload));
        self.observed(|observed| {
            observed.take(None);
            observed.answer(String::from(&answer));
        });
    }
}

/// Returns the next element; `None` at the end.
async fn next(wire: &mut Wire) -> Option<Heard> {
    match wire.hear().await {
        Ok(heard) => Some(heard),
        Err(Gone::Closed) => {
            let _ = wire.close().await;
            None
        }
        Err(Gone::Broken(_)) => None,
    }
}

async fn say(wire: &mut Wire, word: Sm) -> Option<()> {
    wire.manage(&word).await.ok()
}
