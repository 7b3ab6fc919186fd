//! The echo bot on the XML stream of tokio-xmpp, for `cargo xtask bench` to compare with.
//!
//! It does as little as a bot can: it answers each chat message with its body. It is not on the library's client, which
//! waits until each stanza is written, and stands still with a hundred messages in flight.

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser as _;
use futures_util::{SinkExt as _, StreamExt as _};
use parlor_tests::echo_bot::Arguments;
use sasl::common::Credentials;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::connect::{DirectTlsServerConnector, DnsConfig, ServerConnector as _};
use tokio_xmpp::xmlstream::{FallibleStreamElement, StreamHeader, Timeouts, XmppStream, XmppStreamElement};
use tokio_xmpp::{Stanza, client_login};
use xmpp_parsers::bind::BindQuery;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::Presence;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it talks to the program that started it")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = DirectTlsServerConnector::from(DnsConfig::Addr { addr: format!("127.0.0.1:{}", arguments.port) });
    let (stream, _) = server.connect(&arguments.jid, ns::JABBER_CLIENT, Timeouts::default()).await?;
    let (features, stream) = stream.recv_features().await?;
    let credentials = Credentials::default()
        .with_username(arguments.jid.node().context("an account has a name before the @")?.as_str())
        .with_password(std::fs::read_to_string(&arguments.password_file)?.trim());
    let mut mechanisms = features.sasl_mechanisms;
    if !arguments.allow_plain {
        mechanisms.remove("PLAIN");
    }
    let stream = client_login(stream, mechanisms, credentials).await?;
    let header = StreamHeader { to: Some(arguments.jid.domain().as_str().into()), from: None, id: None };
    let (_, mut stream) = stream.send_header(header).await?.recv_features().await?;
    say(&mut stream, Iq::from_set("bind", BindQuery::new(None)).into()).await?;
    let bound = next(&mut stream).await?;
    ensure!(matches!(bound, Stanza::Iq(Iq::Result { .. })), "the server does not bind a resource: {bound:?}");
    say(&mut stream, Presence::available().into()).await?;
    println!("connected");
    loop {
        if let Stanza::Message(message) = next(&mut stream).await?
            && message.type_ == MessageType::Chat
            && let (Some(from), Some((lang, body))) = (message.from, message.bodies.into_iter().next())
        {
            say(&mut stream, Message::chat(from).with_body(lang, body).into()).await?;
        }
    }
}

/// Returns the next stanza.
async fn next<Io: AsyncBufRead + AsyncWrite + Unpin>(stream: &mut XmppStream<Io>) -> Result<Stanza> {
    loop {
        match stream.next().await {
            Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::Stanza(stanza)))) => return Ok(stanza),
            Some(Ok(_)) => {}
            Some(Err(error)) => bail!("{error}"),
            None => bail!("the stream is closed"),
        }
    }
}

/// Writes a stanza.
async fn say<Io: AsyncBufRead + AsyncWrite + Unpin>(stream: &mut XmppStream<Io>, stanza: Stanza) -> Result<()> {
    Ok(stream.send(&stanza).await?)
}
