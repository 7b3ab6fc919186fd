//! The addresses of stanzas, for a stream that serves many accounts (XEP-0114): whom one is for, the error with which one
//! goes back, and the sender that is written into all that leave.

use jid::Jid;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Id, Message, MessageType};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

use crate::decode::Arrived;
use crate::raw::stanza_weight;
use crate::types::MessageKind;

/// The memory of a stanza in addition to its text, in bytes.
const RECORD: usize = 1 << 10;

impl Arrived {
    /// Returns the sender.
    pub fn sender(&self) -> Option<&Jid> {
        match self {
            Self::Plain(message) => message.sender(),
            Self::Read(stanza) => match &**stanza {
                Stanza::Message(message) => message.from.as_ref(),
                Stanza::Presence(presence) => presence.from.as_ref(),
                Stanza::Iq(iq) => iq.from(),
            },
        }
    }

    /// Returns the recipient.
    pub fn recipient(&self) -> Option<&Jid> {
        match self {
            Self::Plain(message) => message.recipient(),
            Self::Read(stanza) => match &**stanza {
                Stanza::Message(message) => message.to.as_ref(),
                Stanza::Presence(presence) => presence.to.as_ref(),
                Stanza::Iq(iq) => iq.to(),
            },
        }
    }

    /// Returns the approximate memory of the stanza, in bytes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Plain(message) => RECORD + message.length(),
            Self::Read(stanza) => RECORD + stanza_weight(stanza),
        }
    }

    /// Returns whether it is a text that somebody writes to somebody: no answer, error or notice, such as that somebody types or
    /// has read something, and nothing of a room.
    pub fn is_personal_message(&self) -> bool {
        match self {
            Self::Plain(message) => {
                matches!(message.kind(), MessageKind::Chat | MessageKind::Normal) && message.has_body()
            }
            Self::Read(stanza) => match &**stanza {
                Stanza::Message(message) => {
                    matches!(message.type_, MessageType::Chat | MessageType::Normal) && !message.bodies.is_empty()
                }
                Stanza::Presence(_) | Stanza::Iq(_) => false,
            },
        }
    }

    /// Returns the error with which it goes back to its sender. `None`: nobody waits for an answer to it, or it is an answer
    /// itself.
    pub fn refused(&self, kind: ErrorType, condition: DefinedCondition, text: &str) -> Option<Stanza> {
        let (from, to) = (self.recipient()?.clone(), self.sender()?.clone());
        let error = StanzaError::new(kind, condition, "en", text);
        let id = match self {
            Self::Plain(message) => {
                matches!(message.kind(), MessageKind::Chat | MessageKind::Normal).then(|| message.id())?
            }
            Self::Read(stanza) => match &**stanza {
                Stanza::Message(message) if matches!(message.type_, MessageType::Chat | MessageType::Normal) => {
                    message.id.as_ref().map(|id| id.0.as_str())
                }
                Stanza::Iq(Iq::Get { id, .. } | Iq::Set { id, .. }) => {
                    let (from, to, id) = (Some(from), Some(to), id.clone());
                    return Some(Stanza::Iq(Iq::Error { from, to, id, error, payload: None }));
                }
                Stanza::Message(_) | Stanza::Presence(_) | Stanza::Iq(_) => return None,
            },
        };
        let mut back = Message::new_with_type(MessageType::Error, to);
        back.from = Some(from);
        back.id = id.map(|id| Id(id.to_owned()));
        back.payloads.push(error.into());
        Some(Stanza::Message(back))
    }
}

/// Writes the sender into a stanza that leaves, whatever is there.
pub fn set_sender(stanza: &mut Stanza, sender: Jid) {
    match stanza {
        Stanza::Message(message) => message.from = Some(sender),
        Stanza::Presence(presence) => presence.from = Some(sender),
        Stanza::Iq(iq) => *iq.from_mut() = Some(sender),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Addresses, PlainMessage};
    use crate::plain::PlainElement;
    use crate::raw::{read_again, to_text};

    fn arrived(xml: &str) -> Arrived {
        Arrived::Read(Box::new(read_again(xml, None).unwrap()))
    }

    fn refused(xml: &str) -> Option<String> {
        let back = arrived(xml).refused(ErrorType::Cancel, DefinedCondition::ServiceUnavailable, "nobody");
        back.map(|stanza| to_text(&stanza))
    }

    #[test]
    fn only_stanzas_whose_sender_waits_for_an_answer_go_back() {
        for asks in [
            "<message from='a@b/c' to='d@e' id='1' type='chat'><body>x</body></message>",
            "<message from='a@b/c' to='d@e' id='1'/>",
            "<iq from='a@b/c' to='d@e' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq from='a@b/c' to='d@e' id='1' type='set'><x xmlns='urn:x'/></iq>",
        ] {
            let back = refused(asks).unwrap();
            for part in ["to=\"a@b/c\"", "from=\"d@e\"", "id=\"1\"", "type=\"error\"", "<service-unavailable"] {
                assert!(back.replace('\'', "\"").contains(part), "{part}: {back}");
            }
        }
        for other in [
            "<message from='a@b/c' to='d@e' id='1' type='groupchat'/>",
            "<message from='a@b/c' to='d@e' id='1' type='error'/>",
            "<message from='a@b/c' to='d@e' id='1' type='headline'/>",
            "<presence from='a@b/c' to='d@e'/>",
            "<iq from='a@b/c' to='d@e' id='1' type='result'/>",
            "<message from='a@b/c' id='1'/>",
            "<message to='a@b/c' id='1'/>",
        ] {
            assert_eq!(refused(other), None, "{other}");
        }
    }

    #[test]
    fn what_somebody_writes_is_a_text_that_is_no_answer() {
        for (xml, is_one) in [
            ("<message from='a@b/c' to='d@e' type='chat'><body>x</body></message>", true),
            ("<message from='a@b/c' to='d@e'><body>x</body></message>", true),
            ("<message from='a@b/c' to='d@e' type='groupchat'><body>x</body></message>", false),
            ("<message from='a@b/c' to='d@e' type='headline'><body>x</body></message>", false),
            ("<message from='a@b/c' to='d@e' type='error'><body>x</body></message>", false),
            ("<message from='a@b/c' to='d@e' type='chat'><active xmlns='urn:x'/></message>", false),
            ("<message from='a@b/c' to='d@e' id='1'><received xmlns='urn:xmpp:receipts' id='0'/></message>", false),
            ("<message from='a@b/c' to='d@e'><y xmlns='urn:x'><body>x</body></y></message>", false),
            ("<presence from='a@b/c' to='d@e' type='subscribe'/>", false),
            ("<iq from='a@b/c' to='d@e' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", false),
        ] {
            assert_eq!(arrived(xml).is_personal_message(), is_one, "{xml}");
            let element = PlainElement::read(xml.as_bytes());
            let plain = element.and_then(|read| PlainMessage::of(read, None, &mut Addresses::default()));
            assert!(plain.is_some() || !xml.contains("<message") || xml.contains("'error'"), "{xml}");
            let is_plain_one = plain.map(Arrived::Plain).is_some_and(|message| message.is_personal_message());
            assert_eq!(is_plain_one, is_one, "{xml}");
        }
    }

    #[test]
    fn whoever_a_stanza_claims_to_be_from_its_sender_is_written() {
        for xml in ["<message from='a@b' to='c@d'/>", "<presence to='c@d'/>", "<iq type='result' id='1' to='c@d'/>"] {
            let mut stanza = read_again(xml, None).unwrap();
            set_sender(&mut stanza, "e@f/g".parse().unwrap());
            let arrived = Arrived::Read(Box::new(stanza));
            assert_eq!(arrived.sender().unwrap().as_str(), "e@f/g");
            assert_eq!(arrived.recipient().unwrap().as_str(), "c@d");
            assert!(arrived.weight() >= RECORD);
        }
    }
}
