//! Requests of a client, and minimal answers to them.

use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use parlor_stanza::encode::name;
use xmpp_parsers::bind::{BindQuery, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

/// An IQ request from the client.
#[derive(Debug, Clone)]
pub struct Request {
    /// The id of the request.
    pub id: String,
    /// The address that was asked; `None` is the account.
    pub to: Option<Jid>,
    /// The payload of the request.
    pub payload: Element,
}

impl Request {
    /// Returns the request, or any other stanza as it is.
    #[expect(clippy::result_large_err, reason = "the stanza is handed on")]
    pub fn of(stanza: Stanza) -> Result<Self, Stanza> {
        match stanza {
            Stanza::Iq(Iq::Get { to, id, payload, .. } | Iq::Set { to, id, payload, .. }) => {
                Ok(Self { id, to, payload })
            }
            other => Err(other),
        }
    }

    /// Returns whether it asks for the identity and features of an entity (XEP-0030).
    pub fn is_disco(&self) -> bool {
        self.payload.is("query", ns::DISCO_INFO)
    }

    /// Returns whether it is about the roster.
    pub fn is_roster(&self) -> bool {
        self.payload.is("query", ns::ROSTER)
    }

    /// Returns whether it is a ping (XEP-0199).
    pub fn is_ping(&self) -> bool {
        self.payload.is("ping", ns::PING)
    }

    /// Returns the answer with this payload.
    pub fn result(&self, payload: Option<Element>) -> Stanza {
        Iq::Result { from: self.to.clone(), to: None, id: self.id.clone(), payload }.into()
    }

    /// Returns the refusal of an unknown request.
    pub fn refused(&self) -> Stanza {
        let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::ServiceUnavailable, "en", "");
        Iq::Error { from: self.to.clone(), to: None, id: self.id.clone(), payload: None, error }.into()
    }

    /// Returns the full JID that a request for a resource wants, with the answer; `None` if it is another request. If
    /// the client names no resource, it gets this one.
    pub fn bind(&self, account: &BareJid, usual: &str) -> Option<(FullJid, Stanza)> {
        let wanted = BindQuery::try_from(self.payload.clone()).ok()?.resource;
        let jid = account.with_resource_str(wanted.as_deref().unwrap_or(usual)).ok()?;
        let answer = self.result(Some(BindResponse { jid: jid.clone() }.into()));
        Some((jid, answer))
    }
}

/// Returns a description of an entity that has these features, and no identity.
pub fn disco<'a>(features: impl IntoIterator<Item = &'a str>) -> Element {
    let feature = |var| Element::builder("feature", ns::DISCO_INFO).attr(name("var"), var).build();
    Element::builder("query", ns::DISCO_INFO).append_all(features.into_iter().map(feature)).build()
}
