//! What goes wrong between a plugin and others: it is put out of a room, a room is gone, a message comes back. And what people
//! answer when they are asked.

use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use xmpp_parsers::ns;

use super::words::sent_back;
use super::{Impossible, Server, Within};

impl Within {
    /// Somebody puts the account out of a room.
    pub fn put_us_out(&self, by: &FullJid, bans: bool, reason: Option<&str>) -> Result<(), Impossible> {
        let mut server = self.server();
        let own = server.own.clone();
        let told = server.rooms.put_us_out(by, bans, reason, &own)?;
        server.bring(told);
        Ok(())
    }

    /// A room is gone, and with it everybody who is in it.
    pub fn destroy_room(&self, room: &BareJid, reason: Option<&str>) -> Result<(), Impossible> {
        let mut server = self.server();
        let own = server.own.clone();
        let told = server.rooms.destroy(room, reason, &own)?;
        server.expected.remove(room);
        if let Some(told) = told {
            server.bring(told);
        }
        Ok(())
    }

    /// The last message of the account to somebody that begins so comes back with an error.
    pub fn bounce(&self, who: &FullJid, begins: &str, condition: &str) -> Result<(), Impossible> {
        let mut server = self.server();
        let own = server.own.clone();
        let id = server.told.own_id(&Jid::from(who.to_bare()), &own, begins)?.to_owned();
        let returned = sent_back(&who.to_bare(), &own, Some(&id), condition);
        server.bring(returned);
        Ok(())
    }

    /// Somebody answers questions of this kind in this way from now on.
    pub fn answer_for(&self, who: &BareJid, xml: &str) -> Result<(), Impossible> {
        let answer: Element = xml
            .parse()
            .map_err(|error| Impossible(format!("that is no answer to an IQ, which is one element: {error}")))?;
        let key = (who.clone(), answer.name().to_owned(), answer.ns());
        self.server().answers.insert(key, answer);
        Ok(())
    }
}

impl Server {
    /// What somebody answers who is asked this.
    pub(super) fn answer_of(&self, to: Option<&Jid>, asked: &Element) -> Option<Element> {
        let key = (to?.to_bare(), asked.name().to_owned(), asked.ns());
        self.answers.get(&key).cloned()
    }
}

/// Puts more into the extension of a presence by which a room says what somebody is.
pub(super) fn with_more(mut presence: Element, into_item: Vec<Element>, more: Vec<Element>) -> Element {
    if let Some(x) = presence.get_child_mut("x", ns::MUC_USER) {
        if let Some(item) = x.get_child_mut("item", ns::MUC_USER) {
            for part in into_item {
                item.append_child(part);
            }
        }
        for part in more {
            x.append_child(part);
        }
    }
    presence
}
