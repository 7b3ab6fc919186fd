//! Messages made from forms: converts a form that a person filled in to the message that they would have written.

use jid::{FullJid, Jid};
use jiff::Timestamp;
use xmpp_parsers::message::{Lang, Message as WireMessage, MessageType};

use super::read_message;
use crate::text::clean;
use crate::types::Message;

/// Returns a message with this text, as if this client had sent it in a chat to the account that is bound as `own`.
pub fn filled_in(from: FullJid, text: String, own: &FullJid, now: Timestamp) -> Message {
    let mut message = WireMessage::new_with_type(MessageType::Chat, Jid::from(own.clone()));
    message.from = Some(Jid::from(from));
    message.bodies.extend(Some((Lang::new(), clean(text))));
    read_message(message, None, None, own, now)
}
