//! Opens the stream of a component (XEP-0114): from nothing to a stream on which stanzas pass.
//!
//! There is no SASL and no binding. The server names its stream, and the component shows by a hash of that name and of the
//! secret that it has the secret. Nothing protects what follows, so a connection without TLS must not leave the machine.

use std::future::poll_fn;

use jid::FullJid;
use parlor_base::escape::printable;
use parlor_config::{LinkSettings, TlsMode};
use parlor_stanza::stream::{Read, StreamReader, declares, header_attribute};
use parlor_stanza::types::Offers;
use ring::digest::{Context as Hash, SHA1_FOR_LEGACY_USE_ONLY};
use tokio::io::AsyncWriteExt as _;
use tokio_xmpp::xmlstream::XmppStreamElement;
use xmpp_parsers::ns;

use super::bind::Begun;
use super::component_error::ComponentError;
use super::connect::{Established, Opened, Transport, buffered, told};
use super::error::{ConnectError, LOG_IN_LIMIT};
use super::failure::{io_failure, stream_failure};
use super::intake::{Ending, Found, Intake};
use super::keepalive::timeouts;
use super::password::Password;
use super::reach::{ascii, reach};
use super::tls::secure;

/// The header behind which the server's answer is read.
const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>";

/// Connects to the server of a component, and shows that it has the secret. The stream is for all addresses of the domain of
/// `wanted`.
pub(super) async fn open(settings: &LinkSettings, wanted: &FullJid) -> Result<Opened, ConnectError> {
    let domain = wanted.domain().as_str();
    // It is read for each connection, and wiped at the end.
    let secret = Password::read(&settings.password).await?;
    let ending = Ending::default();
    let entering = tokio::time::timeout(LOG_IN_LIMIT, enter(settings, &secret, domain, &ending)).await;
    let entered = entering.map_err(|_| ConnectError::TimedOut { domain: domain.to_owned() })?;
    let io = entered.map_err(|error| of_component(told(error, &ending, domain), domain))?;
    let begun = Begun::Anew { jid: wanted.clone(), managed: None, handled: None, early: Vec::new() };
    Ok(Opened { stream: Established::Component(io), begun, offers: Offers::default(), hears_state: false, ending })
}

async fn enter(
    settings: &LinkSettings,
    secret: &Password,
    domain: &str,
    ending: &Ending,
) -> Result<Transport, ConnectError> {
    let mut io = reach_server(settings, domain, ending).await?;
    // Without a version: a server that is told one might send features, which a component cannot choose from.
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' to='{}'>",
        ns::COMPONENT,
        ns::STREAM,
        attribute(domain)
    );
    write(&mut io, &header).await?;
    while io.header().is_empty() {
        more(&mut io).await?;
    }
    if !declares(io.header(), ns::COMPONENT) {
        return Err(no_components(domain, "its stream is for others"));
    }
    let Some(id) = header_attribute(io.header(), "id").filter(|id| !id.is_empty()) else {
        return Err(no_components(domain, "its stream has no id"));
    };
    write(&mut io, &format!("<handshake>{}</handshake>", proof(&id, secret))).await?;
    let unexpected = |cause: &str| ConnectError::NotXmpp { cause: printable(cause) };
    let mut reader = StreamReader::behind(HEADER.as_bytes()).ok_or_else(|| unexpected("its stream cannot be read"))?;
    loop {
        let element = more(&mut io).await?;
        match reader.read::<XmppStreamElement>(&mut element.as_slice()) {
            Ok(Read::Element(Ok(XmppStreamElement::ComponentHandshake(_)))) => return Ok(io),
            Ok(Read::Element(Ok(XmppStreamElement::StreamError(error)))) => {
                return Err(stream_failure(&error.0, domain));
            }
            Ok(Read::Element(Ok(_)) | Read::Foreign) => return Err(unexpected("no answer to the handshake")),
            Ok(Read::Element(Err(error))) => return Err(unexpected(&error.to_string())),
            Ok(Read::Footer) => return Err(ConnectError::HungUp),
            Ok(Read::Nothing) => {}
            Err(error) => return Err(io_failure(&error)),
        }
    }
}

/// Connects to the server that the owner named: within TLS, or on this machine.
async fn reach_server(settings: &LinkSettings, domain: &str, ending: &Ending) -> Result<Transport, ConnectError> {
    let named = settings.server.as_ref();
    let host = ascii(named.map_or(domain, |server| server.host.as_str()))?;
    let (tcp, _) = reach(&host, Some(TlsMode::Direct), named).await?;
    let times = timeouts(settings);
    if settings.tls == Some(TlsMode::Direct) {
        // The certificate must be for the host that the owner named: a component's domain often has none.
        let secured = secure(tcp, &host, None, settings).await.map_err(|error| match error {
            ConnectError::NotTls { .. } => no_components(domain, "it does not speak TLS"),
            error => error,
        })?;
        let io: Transport = Box::new(Intake::new(Box::new(buffered(secured.stream)), ending.clone(), times));
        return Ok(io);
    }
    let address = tcp.peer_addr().map_err(|error| io_failure(&error))?;
    if !address.ip().to_canonical().is_loopback() {
        return Err(ComponentError::Unencrypted { address: address.to_string() }.into());
    }
    let io: Transport = Box::new(Intake::new(Box::new(buffered(tcp)), ending.clone(), times));
    Ok(io)
}

async fn write(io: &mut Transport, text: &str) -> Result<(), ConnectError> {
    let written = async {
        io.write_all(text.as_bytes()).await?;
        io.flush().await
    };
    written.await.map_err(|error| io_failure(&error))
}

/// Returns the next element, or white space between elements.
async fn more(io: &mut Transport) -> Result<Vec<u8>, ConnectError> {
    let found = poll_fn(|cx| io.poll_element(cx, |_| None::<()>)).await.map_err(|error| io_failure(&error))?;
    match found {
        Found::Bytes => Ok(io.bytes().to_vec()),
        Found::Plain(()) => Ok(Vec::new()),
        Found::End => Err(ConnectError::HungUp),
    }
}

/// Returns the hash by which the component shows that it has the secret (XEP-0114, section 3).
fn proof(id: &str, secret: &Password) -> String {
    let mut hash = Hash::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(id.as_bytes());
    hash.update(secret.expose().as_bytes());
    hex::encode(hash.finish())
}

/// Writes a text as the value of an attribute.
pub(super) fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;")
}

fn no_components(domain: &str, cause: &'static str) -> ConnectError {
    ComponentError::NoComponents { domain: domain.to_owned(), cause }.into()
}

/// Returns what a stream error during the handshake means for a component.
fn of_component(error: ConnectError, domain: &str) -> ConnectError {
    let ConnectError::Stream { condition, text } = error else { return error };
    let owned = || domain.to_owned();
    match condition.as_str() {
        "not-authorized" => ComponentError::SecretRefused { domain: owned(), text }.into(),
        "conflict" => ComponentError::Taken { domain: owned(), text }.into(),
        "invalid-namespace" => no_components(domain, "it refuses their namespace"),
        _ => ConnectError::Stream { condition, text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of XEP-0114, section 3.
    #[test]
    fn the_proof_is_that_of_the_specification() {
        let secret = Password::of("test".to_owned());
        assert_eq!(proof("3BF96D32", &secret), "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e");
    }

    #[test]
    fn what_a_server_says_of_a_component_says_what_to_do() {
        let error = |condition: &str| {
            of_component(ConnectError::Stream { condition: condition.to_owned(), text: None }, "bots.house")
        };
        let (refused, taken) = (error("not-authorized"), error("conflict"));
        assert!(refused.is_verdict() && refused.is_final() && !taken.is_final());
        assert!(
            refused.to_string().contains("refused the secret of the component bots.house; it must be"),
            "{refused}"
        );
        assert!(taken.to_string().contains("another program is connected as the component bots.house; end"), "{taken}");
        assert!(error("invalid-namespace").to_string().contains("mostly 5347"));
        assert!(!error("system-shutdown").is_final());
    }

    #[test]
    fn a_value_stays_within_its_attribute() {
        assert_eq!(attribute("a'b<c&d"), "a&apos;b&lt;c&amp;d");
    }
}
