//! The echo bot without a plugin host, on the host's own connector, for `cargo xtask bench` to compare with the plugin.
//!
//! It only answers each chat message with its body, and every IQ request as RFC 6120 demands.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser as _;
use parlor_config::{ChannelBinding, Endpoint, LinkSettings, PasswordSource, TlsMode, TransportChoice, Way};
use parlor_stanza::types::{Draft, Incoming, Message, MessageKind, Outgoing, PresenceOut, Query, Reply};
use parlor_tests::echo_bot::Arguments;
use parlor_xmpp::{Link, LinkEvent};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it talks to the program that started it")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut link = Link::start(LinkSettings {
        jid: arguments.jid,
        way: Way::Password,
        password: PasswordSource::File(arguments.password_file),
        server: Some(Endpoint { host: "127.0.0.1".to_owned(), port: Some(arguments.port) }),
        tls: Some(TlsMode::Direct),
        ca_file: Some(arguments.ca_file),
        allow_plain: arguments.allow_plain,
        channel_binding: ChannelBinding::Auto,
        transport: TransportChoice::Tcp,
        websocket: None,
        keep_unsent: Duration::from_hours(1),
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_mins(3),
    });
    let mut sent = 0_u64;
    loop {
        match link.next().await {
            LinkEvent::Bound { .. } => {
                link.send(Outgoing::Presence(PresenceOut::default()));
                println!("connected");
            }
            LinkEvent::Stanza(Incoming::Message(message)) => {
                if let Some(answer) = echo(*message, &mut sent) {
                    link.send(answer);
                }
            }
            LinkEvent::Stanza(Incoming::Request(request)) => {
                let reply = match request.query {
                    Query::Ping => Reply::Done,
                    _ => Reply::Refuse { kind: "cancel", condition: "service-unavailable" },
                };
                link.send(Outgoing::Reply { to: request.from, id: request.id, reply });
            }
            LinkEvent::Failed(error) => bail!("{error}"),
            LinkEvent::Closed => bail!("the stream is closed"),
            LinkEvent::Stanza(_)
            | LinkEvent::Suspended { .. }
            | LinkEvent::Trying
            | LinkEvent::Resumed { .. }
            | LinkEvent::Retrying { .. } => {}
        }
    }
}

fn echo(message: Message, sent: &mut u64) -> Option<Outgoing> {
    if message.kind != MessageKind::Chat || message.own || message.delayed {
        return None;
    }
    let body = message.body?;
    *sent += 1;
    let draft = Draft { body: Some(body), ..Draft::default() };
    let (kind, id) = (MessageKind::Chat, format!("echo-{sent}"));
    Some(Outgoing::Message { to: message.from, kind, id, draft, to_occupant: false })
}
