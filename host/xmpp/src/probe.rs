//! Opens one connection to inspect a server: the result of the log-in, the server's features, and its clock. Also
//! registers accounts in-band if the server permits it (XEP-0077).
//!
//! The connection is closed at once, and never becomes the session of a running account.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::SinkExt;
use jid::{FullJid, Jid};
use jiff::Timestamp;
use minidom::Element;
use parlor_base::escape::printable;
use parlor_config::LinkSettings;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::xmlstream::{XmppStream, XmppStreamElement};
use xmpp_parsers::disco::DiscoInfoQuery;
use xmpp_parsers::ibr::LegacyQuery;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_features::StreamFeatures;
use xmpp_parsers::time::TimeQuery;

use super::bind::{Begun, Heard, hear, say};
use super::bosh::Tokens;
use super::connect::{Attempts, Established, Transport, log_in, open};
use super::error::{ConnectError, LOG_IN_LIMIT};
use super::failure::features_failure;
use super::intake::Ending;
use super::password::Password;
use super::pins::Pins;
use super::reach::Finder;
use crate::dialer::Dialer;

/// The time limit for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The maximum number of stanzas before an answer.
const MOST_BEFORE: usize = 256;
/// The number of random bytes in a generated password: 128 bits.
const RANDOM: usize = 16;

/// The result of inspecting a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The JID that the log-in was bound to.
    pub jid: FullJid,
    /// The features that matter to plugins, present or not.
    pub features: Vec<Feature>,
    /// How far the server's clock is ahead of this machine's, in seconds; `None` if the server does not say.
    pub clock: Option<i64>,
}

/// A feature that a server may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// The name of the feature.
    pub name: &'static str,
    /// The consequence of its absence.
    pub without: &'static str,
    /// Whether the server has the feature.
    pub present: bool,
}

/// An error from registering an account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The server cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server does not register accounts in-band.
    #[error("{0} lets nobody register this way; ask who runs it for an account")]
    NotOffered(String),
    /// The server wants more than a name and a password.
    #[error(
        "{domain} wants more than a name and a password ({asked}); register there as it says, and run this again without --register"
    )]
    WantsMore {
        /// The account's domain.
        domain: String,
        /// The fields that the server asks for.
        asked: String,
    },
    /// The server refused the registration.
    #[error("{domain} made no account: {}", if *taken { "the name is taken".to_owned() } else { condition.clone() })]
    Refused {
        /// The account's domain.
        domain: String,
        /// The condition (RFC 6120, section 8.3.3).
        condition: String,
        /// Whether the name is taken.
        taken: bool,
    },
    /// The request was sent, but the server did not confirm it.
    #[error("{domain} may have made the account, and did not say so ({cause})")]
    Unanswered {
        /// The account's domain.
        domain: String,
        /// The error instead of an answer.
        cause: ConnectError,
    },
}

/// Logs in alongside other sessions of the account, inspects the server, and disconnects. `pins` tell where earlier
/// log-ins of the account were bound.
pub async fn probe(settings: &LinkSettings, pins: Pins) -> Result<Probe, ConnectError> {
    let wanted = settings.jid.to_bare().with_resource_str(&format!("parlor-look-{:08x}", rand::random::<u32>()));
    let wanted = wanted.map_err(|_| ConnectError::NoUser { jid: settings.jid.clone() })?;
    let opened =
        log_in(settings, None, &wanted, None, None, &Tokens::default(), &Attempts::begun(pins, &Dialer::Network))
            .await?;
    // These settings are those of a client.
    let Established::Client(stream) = opened.stream else { return Err(ConnectError::HungUp) };
    let mut stream = *stream;
    let (jid, managed) = match opened.begun {
        Begun::Anew { jid, managed, .. } => (jid, managed.is_some()),
        Begun::Resumed { .. } => (wanted.clone(), true),
    };
    let server = Jid::from(jid.to_bare().domain().to_owned());
    let info = |to: Jid| Iq::from_get(String::new(), DiscoInfoQuery { node: None }).with_to(to);
    let of_server = ask(&mut stream, info(server.clone())).await?.map_or_else(|_| BTreeSet::new(), features);
    let of_account = ask(&mut stream, info(jid.to_bare().into())).await?.map_or_else(|_| BTreeSet::new(), features);
    let time = ask(&mut stream, Iq::from_get(String::new(), TimeQuery).with_to(server)).await?;
    let clock = time.ok().flatten().and_then(|time| {
        let at: Timestamp = time.get_child("utc", ns::TIME)?.text().parse().ok()?;
        Some(at.as_second() - Timestamp::now().as_second())
    });
    // The end of the stream need not be answered.
    let _ = tokio::time::timeout(ANSWER, SinkExt::<&XmppStreamElement>::close(&mut stream)).await;
    let server_has = |feature: &str| of_server.contains(feature);
    let account_has = |feature: &str| of_account.contains(feature);
    let feature = |name, without, present| Feature { name, without, present };
    let features = vec![
        feature("archive (XEP-0313)", "plugins cannot read what was said before", account_has(ns::MAM)),
        feature("carbons (XEP-0280)", "what other clients of the account send is not seen", server_has(ns::CARBONS)),
        feature("blocking (XEP-0191)", "nobody can be blocked", server_has(ns::BLOCKING)),
        feature("bookmarks (XEP-0402)", "rooms are joined from `auto_join_rooms` alone", account_has(BOOKMARKS)),
        feature("personal eventing (XEP-0163)", "there are no avatars and no bookmarks", account_has(PEP)),
        feature("stream management (XEP-0198)", "messages can be lost when the connection is cut", managed),
        feature("roster versions (RFC 6121)", "the whole roster comes at each log-in", opened.offers.roster_versions),
        feature("client state (XEP-0352)", "presence that nobody looks at is sent, too", opened.hears_state),
    ];
    Ok(Probe { jid, features, clock })
}

/// The feature that announces bookmarks in the place where clients look for them.
const BOOKMARKS: &str = "urn:xmpp:bookmarks:1#compat";
/// The identity of an account with personal eventing.
const PEP: &str = "pubsub/pep";

/// Returns the features in an answer, and its identities as `category/type`.
fn features(info: Option<Element>) -> BTreeSet<String> {
    let Some(info) = info else { return BTreeSet::new() };
    let one = |child: &Element| match child.name() {
        "feature" => child.attr("var").map(str::to_owned),
        "identity" => Some(format!("{}/{}", child.attr("category")?, child.attr("type")?)),
        _ => None,
    };
    info.children().filter_map(one).collect()
}

/// Registers the account of these settings, with the password that they name.
pub async fn register(settings: &LinkSettings) -> Result<(), RegisterError> {
    let jid = &settings.jid;
    let Some(user) = jid.node() else { return Err(ConnectError::NoUser { jid: jid.clone() }.into()) };
    let domain = jid.domain().as_str();
    let password = Password::read(&settings.password).await.map_err(ConnectError::from)?;
    let (ending, tokens, finder) = (Ending::default(), Tokens::default(), Finder::default());
    let opening = async {
        let pending = open(settings, None, domain, &ending, &tokens, &finder).await?.pending;
        let features: Result<(StreamFeatures, XmppStream<Transport>), _> = pending.recv_features().await;
        features.map_err(|error| features_failure(error, domain))
    };
    let opened = tokio::time::timeout(LOG_IN_LIMIT, opening).await.map_err(|_| finder.late(domain))?;
    let (_features, mut stream) = opened?;
    let server = Jid::from(jid.domain().to_owned());
    // Some servers support registration without announcing it, so the answer to the request decides.
    let payload = Element::bare("query", ns::REGISTER);
    let request = Iq::Get { from: None, to: Some(server.clone()), id: String::new(), payload };
    let asked = ask(&mut stream, request).await?;
    let Ok(Some(form)) = asked else { return Err(RegisterError::NotOffered(domain.to_owned())) };
    let further: Vec<_> = form.children().map(Element::name).filter(|name| !KNOWN.contains(name)).collect();
    if !further.is_empty() || !form.has_child("username", ns::REGISTER) {
        return Err(RegisterError::WantsMore { domain: domain.to_owned(), asked: printable(&further.join(", ")) });
    }
    let query = LegacyQuery {
        username: Some(user.to_string()),
        password: Some(password.expose().to_owned()),
        ..LegacyQuery::default()
    };
    let made = ask(&mut stream, Iq::from_set(String::new(), query).with_to(server)).await;
    let made = made.map_err(|cause| RegisterError::Unanswered { domain: domain.to_owned(), cause })?;
    let _ = tokio::time::timeout(ANSWER, SinkExt::<&XmppStreamElement>::close(&mut stream)).await;
    made.map(drop).map_err(|condition| RegisterError::Refused {
        domain: domain.to_owned(),
        taken: condition == "conflict",
        condition,
    })
}

/// The fields of a form that needs only a name and a password; `x` repeats them (XEP-0077, section 4).
const KNOWN: [&str; 5] = ["instructions", "username", "password", "registered", "x"];

/// Generates a password that cannot be guessed.
pub fn random_password() -> String {
    hex::encode(rand::random::<[u8; RANDOM]>())
}

/// Sends a request, and returns the payload of the answer or the condition of the error. Other stanzas are ignored
/// meanwhile.
async fn ask<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    mut iq: Iq,
) -> Result<Result<Option<Element>, String>, ConnectError> {
    let asked = format!("look-{:016x}", rand::random::<u64>());
    iq.id_mut().clone_from(&asked);
    let to = iq.to().map(|to| to.domain().to_owned());
    say(stream, XmppStreamElement::Stanza(Stanza::Iq(iq))).await?;
    let late = || ConnectError::TimedOut { domain: to.as_ref().map(ToString::to_string).unwrap_or_default() };
    let answer = async {
        for _ in 0..MOST_BEFORE {
            let Heard::Element(element) = hear(stream, "").await? else { continue };
            match *element {
                XmppStreamElement::Stanza(Stanza::Iq(Iq::Result { id, payload, .. })) if id == asked => {
                    return Ok(Ok(payload));
                }
                XmppStreamElement::Stanza(Stanza::Iq(Iq::Error { id, error, .. })) if id == asked => {
                    return Ok(Err(Element::from(error.defined_condition).name().to_owned()));
                }
                _ => {}
            }
        }
        Err(ConnectError::NotXmpp { cause: "it does not answer what it is asked".to_owned() })
    };
    tokio::time::timeout(ANSWER, answer).await.map_err(|_| late())?
}
