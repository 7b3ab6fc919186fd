//! An ordinary client, independent of the host's own. It logs in, sends messages, joins rooms, and waits for the
//! expected stanzas.
//!
//! It neither reconnects nor resumes, so an error on its stream is an error of the test. It answers every IQ request
//! with `service-unavailable`, as RFC 6120 demands.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use jid::{BareJid, FullJid, Jid};
use sasl::common::Credentials;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_xmpp::Stanza;
use tokio_xmpp::connect::ServerConnector as _;
use tokio_xmpp::xmlstream::{ReadError, StreamHeader, Timeouts, XmppStream, XmppStreamElement};
use xmpp_parsers::bind::{BindQuery, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message, MessageType};
use xmpp_parsers::minidom::Element;
use xmpp_parsers::muc::Muc;
use xmpp_parsers::muc::muc::History;
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type as PresenceType};
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

use crate::connector::{Connector, Transport};
use crate::prosody::Account;

/// The timeout of a log-in.
const LOGIN: Duration = Duration::from_secs(20);
/// A silent server is not a fault here. Each test sets its own timeouts.
const PATIENT: Timeouts = Timeouts { read_timeout: Duration::from_hours(1), response_timeout: Duration::from_hours(1) };
/// The most stanzas that are kept. More are an error, since no test expects as many.
const KEPT: usize = 100_000;

/// A logged-in client.
pub struct Client {
    /// Boxed, since it is large and lives in futures that move.
    stream: Box<XmppStream<Transport>>,
    jid: FullJid,
    /// Everything received since the log-in, for checks at the end.
    received: Vec<Stanza>,
    /// The indexes of the received stanzas that no call has waited for yet.
    unclaimed: VecDeque<usize>,
    sent: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("jid", &self.jid).field("received", &self.received.len()).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects, logs in by SCRAM, and binds the resource. No presence is sent yet.
    pub async fn login(connector: &Connector, account: &Account, resource: &str) -> Result<Self> {
        timeout(LOGIN, Self::login_unbounded(connector, account, resource))
            .await
            .with_context(|| format!("no log-in within {LOGIN:?}"))
            .flatten()
            .with_context(|| format!("cannot log in as {}", account.jid))
    }

    async fn login_unbounded(connector: &Connector, account: &Account, resource: &str) -> Result<Self> {
        let jid = Jid::from(account.jid.clone());
        let (stream, binding) = connector.connect(&jid, ns::JABBER_CLIENT, PATIENT).await?;
        let (features, stream) = stream.recv_features().await?;
        let node = account.jid.node().context("an account's address has a name before the @")?;
        let credentials = Credentials::default()
            .with_username(node.as_str())
            .with_password(account.password.clone())
            .with_channel_binding(binding);
        let mut mechanisms = features.sasl_mechanisms;
        mechanisms.remove("PLAIN");
        let stream = tokio_xmpp::client_login(stream, mechanisms, credentials).await?;
        let header = StreamHeader { to: Some(jid.domain().as_str().into()), from: None, id: None };
        let (_, stream) = stream.send_header(header).await?.recv_features().await?;
        // Replaced by the server's answer before it is used.
        let jid = account.jid.with_resource_str(resource).context("a bad resource")?;
        let mut client =
            Self { stream: Box::new(stream), jid, received: Vec::new(), unclaimed: VecDeque::new(), sent: 0 };
        let bind = BindQuery::new(Some(resource.to_owned()));
        client.send(Iq::from_set("bind", bind)).await?;
        client.jid = client
            .wait_for("the answer to bind", LOGIN, |stanza| match stanza {
                Stanza::Iq(Iq::Result { payload: Some(payload), .. }) => BindResponse::try_from(payload.clone()).ok(),
                _ => None,
            })
            .await?
            .jid;
        Ok(client)
    }

    /// Returns the bound address.
    pub fn jid(&self) -> &FullJid {
        &self.jid
    }

    /// Sends a stanza, and returns when it is written.
    pub async fn send(&mut self, stanza: impl Into<Stanza>) -> Result<()> {
        let element = XmppStreamElement::Stanza(stanza.into());
        self.stream.send(&element).await.context("the stream to the server broke")
    }

    /// Writes text as it is, for streams that no library would write. Consumes the client, which could not continue.
    pub async fn write_raw(self, xml: &str) -> Result<Transport> {
        let mut stream = (*self.stream).into_inner();
        stream.write_all(xml.as_bytes()).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// Sends initial presence, so that messages to the bare address arrive here.
    pub async fn available(&mut self) -> Result<()> {
        self.send(Presence::available()).await
    }

    /// Subscribes to a contact's presence, and grants them a subscription to this one's.
    pub async fn befriend(&mut self, whom: &BareJid) -> Result<()> {
        self.send(Presence::subscribed().with_to(whom.clone())).await?;
        self.send(Presence::subscribe().with_to(whom.clone())).await
    }

    /// Sends a chat message and returns its id.
    pub async fn chat(&mut self, to: impl Into<Jid>, body: &str) -> Result<String> {
        self.message(to.into(), MessageType::Chat, body).await
    }

    /// Sends a message to a room and returns its id.
    pub async fn say(&mut self, room: &BareJid, body: &str) -> Result<String> {
        self.message(room.clone().into(), MessageType::Groupchat, body).await
    }

    /// Sends a message with the file at this address outside of XMPP (XEP-0066), as clients do.
    pub async fn share(&mut self, to: &BareJid, url: &str) -> Result<()> {
        let mut message = Message::chat(Some(to.clone().into())).with_body(Lang::default(), url.to_owned());
        let address = Element::builder("url", ns::OOB).append(url).build();
        message.payloads.push(Element::builder("x", ns::OOB).append(address).build());
        self.send(message).await
    }

    async fn message(&mut self, to: Jid, kind: MessageType, body: &str) -> Result<String> {
        self.sent += 1;
        let id = format!("{}-{}", self.jid.resource(), self.sent);
        let mut message = Message::new_with_type(kind, to).with_body(Lang::default(), body.to_owned());
        message.id = Some(xmpp_parsers::message::Id(id.clone()));
        self.send(message).await?;
        Ok(id)
    }

    /// Enters a room without its history, and returns once the room confirms it.
    pub async fn join(&mut self, room: &BareJid, nick: &str, limit: Duration) -> Result<()> {
        let occupant = room.with_resource_str(nick).context("a bad nickname")?;
        let muc = Muc::new().with_history(History::new().with_maxstanzas(0));
        self.send(Presence::available().with_to(occupant.clone()).with_payload(muc)).await?;
        let occupant = Jid::from(occupant);
        let error = self
            .wait_for(&format!("entering {room}"), limit, |stanza| match stanza {
                Stanza::Presence(presence) if presence.from.as_ref() == Some(&occupant) => match presence.type_ {
                    PresenceType::None => Some(None),
                    PresenceType::Error => Some(Some(format!("{:?}", presence.payloads))),
                    _ => None,
                },
                _ => None,
            })
            .await?;
        if let Some(error) = error {
            bail!("{room} refused {nick}: {error}");
        }
        Ok(())
    }

    /// Unlocks the client's own new room (XEP-0045, section 10.1.2).
    pub async fn unlock(&mut self, room: &BareJid, limit: Duration) -> Result<()> {
        let form = Element::builder("x", ns::DATA_FORMS).attr("type".try_into()?, "submit").build();
        let query = Element::builder("query", "http://jabber.org/protocol/muc#owner").append(form).build();
        self.ask(Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload: query }, limit)
            .await?;
        Ok(())
    }

    /// Makes the client's own new room one of members who see each other's addresses.
    pub async fn for_members(&mut self, room: &BareJid, members: &[BareJid], limit: Duration) -> Result<()> {
        let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
        let fields = [
            field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
            field("muc#roomconfig_membersonly", "1"),
            field("muc#roomconfig_whois", "anyone"),
        ];
        let form = format!("<x xmlns='jabber:x:data' type='submit'>{}</x>", fields.concat());
        let config = format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>");
        // Prosody reads the first item of a request only.
        let list = members.iter().map(|jid| {
            let item = format!("<item affiliation='member' jid='{jid}'/>");
            format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>")
        });
        for payload in std::iter::once(config).chain(list) {
            let payload: Element = payload.parse()?;
            self.ask(Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload }, limit).await?;
        }
        Ok(())
    }

    /// Leaves a room.
    pub async fn leave(&mut self, room: &BareJid, nick: &str) -> Result<()> {
        let occupant = room.with_resource_str(nick).context("a bad nickname")?;
        self.send(Presence::unavailable().with_to(occupant)).await
    }

    /// Sends an IQ under a unique id, and waits for the result.
    pub async fn ask(&mut self, mut request: Iq, limit: Duration) -> Result<Option<Element>> {
        self.sent += 1;
        let wanted = format!("ask-{}", self.sent);
        request.id_mut().clone_from(&wanted);
        self.send(request).await?;
        self.wait_for("the answer to an IQ", limit, |stanza| match stanza {
            Stanza::Iq(Iq::Result { id, payload, .. }) if *id == wanted => Some(Ok(payload.clone())),
            Stanza::Iq(Iq::Error { id, error, .. }) if *id == wanted => {
                let more = error.other.as_ref().map(|other| format!(" {}", other.name())).unwrap_or_default();
                Some(Err(anyhow::anyhow!("the answer is an error: {:?}{more}", error.defined_condition)))
            }
            _ => None,
        })
        .await?
    }

    /// Waits for the first unclaimed stanza for which `pick` returns a value. Other stanzas are kept for later calls.
    pub async fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut pick: impl FnMut(&Stanza) -> Option<T>,
    ) -> Result<T> {
        for (place, index) in self.unclaimed.iter().enumerate() {
            if let Some(found) = pick(&self.received[*index]) {
                self.unclaimed.remove(place);
                return Ok(found);
            }
        }
        let deadline = Instant::now() + limit;
        loop {
            let Ok(read) = timeout_at(deadline, self.read()).await else {
                bail!("{} did not see within {limit:?}: {what}\n{}", self.jid, self.tail());
            };
            read.with_context(|| format!("{} waits for {what}", self.jid))?;
            let newest = self.received.last().expect("one was just read");
            if let Some(found) = pick(newest) {
                self.unclaimed.pop_back();
                return Ok(found);
            }
        }
    }

    /// Returns the next stanza if one comes within the limit, beginning with unclaimed ones.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<&Stanza>> {
        let index = match self.unclaimed.pop_front() {
            Some(index) => index,
            None => match timeout(limit, self.read()).await {
                Ok(read) => {
                    read?;
                    self.unclaimed.pop_back().expect("one was just read")
                }
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(&self.received[index]))
    }

    /// Waits for a message with this body from this bare address or its occupants.
    pub async fn wait_body(&mut self, from: &BareJid, body: &str, limit: Duration) -> Result<()> {
        self.wait_text(&format!("a message from {from}: {body}"), from, limit, |text| (text == body).then_some(()))
            .await
    }

    /// Waits for a message from this bare address or its occupants for whose body `pick` returns a value.
    pub async fn wait_text<T>(
        &mut self,
        what: &str,
        from: &BareJid,
        limit: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        self.wait_for(what, limit, |stanza| match stanza {
            Stanza::Message(message) if message.from.as_ref().is_some_and(|jid| jid.to_bare() == *from) => {
                pick(body(message)?)
            }
            _ => None,
        })
        .await
    }

    /// Waits until the server answers a ping, so that everything it sent before has been received.
    pub async fn catch_up(&mut self, limit: Duration) -> Result<()> {
        let server = BareJid::from_parts(None, self.jid.domain());
        self.ping(server, limit).await
    }

    /// Waits until an entity answers a ping (XEP-0199), so that it has received everything sent before.
    pub async fn ping(&mut self, whom: impl Into<Jid>, limit: Duration) -> Result<()> {
        let ping = Element::builder("ping", ns::PING).build();
        let request = Iq::Get { from: None, to: Some(whom.into()), id: String::new(), payload: ping };
        self.ask(request, limit).await.map(drop)
    }

    /// Returns all stanzas received since the log-in.
    pub fn received(&self) -> &[Stanza] {
        &self.received
    }

    /// Forgets all received stanzas, for tests that receive very many.
    pub fn forget(&mut self) {
        self.received.clear();
        self.unclaimed.clear();
    }

    /// Returns all stanzas received since the log-in as XML, for checks that a text appears nowhere.
    pub fn received_xml(&self) -> Vec<String> {
        self.received.iter().map(|stanza| String::from(&Element::from(stanza))).collect()
    }

    /// Sends unavailable presence and closes the stream.
    pub async fn close(mut self) -> Result<()> {
        self.send(Presence::unavailable()).await?;
        // The server may close first; either way it is closed.
        let _ = timeout(Duration::from_secs(2), self.stream.shutdown()).await;
        Ok(())
    }

    /// Reads one stanza. It is cancel-safe: data that was read stays in the stream's buffer.
    async fn read(&mut self) -> Result<()> {
        loop {
            let element = match self.stream.next().await {
                Some(Ok(element)) => element.into_read_error(),
                Some(Err(error)) => Err(error),
                None => bail!("the server closed the stream"),
            };
            match element {
                Ok(XmppStreamElement::Stanza(stanza)) => {
                    ensure!(self.received.len() < KEPT, "more than {KEPT} stanzas came");
                    self.refuse(&stanza).await?;
                    self.unclaimed.push_back(self.received.len());
                    self.received.push(stanza);
                    return Ok(());
                }
                Ok(XmppStreamElement::StreamError(error)) => bail!("the server ended the stream: {error}"),
                Ok(_) | Err(ReadError::SoftTimeout) => {}
                Err(ReadError::HardError(error)) => return Err(error).context("the stream broke"),
                Err(ReadError::ParseError(error)) => bail!("the server sent what cannot be read: {error}"),
                Err(ReadError::StreamFooterReceived) => bail!("the server closed the stream"),
            }
        }
    }

    /// Answers an IQ request with an error, so that no other entity waits for ever.
    async fn refuse(&mut self, stanza: &Stanza) -> Result<()> {
        let Stanza::Iq(Iq::Get { from, id, .. } | Iq::Set { from, id, .. }) = stanza else {
            return Ok(());
        };
        let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::ServiceUnavailable, "en", "");
        self.send(Iq::Error { from: None, to: from.clone(), id: id.clone(), payload: None, error }).await
    }

    fn tail(&self) -> String {
        let xml = self.received_xml();
        let shown = xml[xml.len().saturating_sub(8)..].iter().map(|stanza| format!("\n    {stanza}"));
        format!("the last of {} stanzas that came:{}", xml.len(), shown.collect::<String>())
    }
}

/// Returns the text of a message.
pub fn body(message: &Message) -> Option<&str> {
    message.get_best_body(vec![]).map(|(_, body)| body.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prosody::Prosody;

    #[tokio::test]
    async fn a_server_that_has_nothing_to_say_is_waited_for() {
        let prosody = Prosody::start().await.unwrap();
        let account = prosody.fresh_account("juliet").unwrap();
        let mut client = Client::login(&prosody.connector().unwrap(), &account, "balcony").await.unwrap();
        tokio::time::pause();
        assert!(client.next(Duration::from_mins(5)).await.unwrap().is_none());
        tokio::time::resume();
        client.catch_up(LOGIN).await.unwrap();
    }
}
