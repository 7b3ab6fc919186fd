//! The only folder that names `tokio_xmpp`: from sockets to [`Incoming`](crate::stanza::Incoming), and back.

use std::sync::Arc;

use jid::Jid;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;
use xmpp_parsers::stanza::Stanza;

use crate::error::CallError;

/// A whole stanza, opaque to everything above this folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RawStanza(Arc<Stanza>);

impl RawStanza {
    /// From XML.
    pub fn parse(xml: &str, _own: &Jid) -> Result<Self, CallError> {
        let invalid = |_| CallError::invalid("stanza", "is none");
        let element: minidom::Element = xml.parse().map_err(|_| CallError::invalid("stanza", "is no XML"))?;
        Ok(Self(Arc::new(match element.name() {
            "iq" => Stanza::Iq(Iq::try_from(element).map_err(invalid)?),
            "presence" => Stanza::Presence(Presence::try_from(element).map_err(invalid)?),
            _ => Stanza::Message(Message::try_from(element).map_err(invalid)?),
        })))
    }

    /// As XML.
    pub fn to_xml(&self) -> String {
        let element: minidom::Element = match &*self.0 {
            Stanza::Iq(iq) => iq.clone().into(),
            Stanza::Message(message) => message.clone().into(),
            Stanza::Presence(presence) => presence.clone().into(),
        };
        String::from(&element)
    }

    /// To whom.
    pub fn to(&self) -> Option<Jid> {
        match &*self.0 {
            Stanza::Iq(iq) => iq.to().cloned(),
            Stanza::Message(message) => message.to.clone(),
            Stanza::Presence(presence) => presence.to.clone(),
        }
    }

    /// Whether it is an IQ get or set.
    pub fn is_request(&self) -> bool {
        matches!(&*self.0, Stanza::Iq(Iq::Get { .. } | Iq::Set { .. }))
    }

    /// The same with this id.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        let mut stanza = match Arc::try_unwrap(self.0) {
            Ok(stanza) => stanza,
            Err(shared) => match &*shared {
                Stanza::Iq(iq) => Stanza::Iq(iq.clone()),
                Stanza::Message(message) => Stanza::Message(message.clone()),
                Stanza::Presence(presence) => Stanza::Presence(presence.clone()),
            },
        };
        match &mut stanza {
            Stanza::Iq(iq) => id.clone_into(iq.id_mut()),
            Stanza::Message(message) => message.id = Some(xmpp_parsers::message::Id(id.to_owned())),
            Stanza::Presence(presence) => presence.id = Some(id.to_owned()),
        }
        Self(Arc::new(stanza))
    }
}
