//! Faults between a plugin and others: it is removed from a room, a room is destroyed, a message bounces. Also the
//! answers that people give to requests.

use jid::{BareJid, FullJid, Jid};
use minidom::Element;

use super::impossible::Impossible;
use super::words::sent_back;
use super::{MockServer, Server};

impl MockServer {
    /// Kicks or bans the account from a room.
    pub fn put_us_out(&self, by: &FullJid, bans: bool, reason: Option<&str>) -> Result<(), Impossible> {
        let mut server = self.server();
        let own = server.own.clone();
        let told = server.rooms.put_us_out(by, bans, reason, &own)?;
        server.bring(told);
        Ok(())
    }

    /// Destroys a room, which removes all its occupants.
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

    /// Returns an error for the account's last message to somebody that begins like this.
    pub fn bounce(&self, who: &FullJid, begins: &str, condition: &str) -> Result<(), Impossible> {
        let mut server = self.server();
        let own = server.own.clone();
        let id = server.told.own_id(&Jid::from(who.to_bare()), &own, begins)?.to_owned();
        let returned = sent_back(&who.to_bare(), &own, Some(&id), condition);
        server.bring(returned);
        Ok(())
    }

    /// Sets the answer of somebody to requests of this kind.
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
    /// Returns the answer of somebody to this request.
    pub(super) fn answer_of(&self, to: Option<&Jid>, asked: &Element) -> Option<Element> {
        let key = (to?.to_bare(), asked.name().to_owned(), asked.ns());
        self.answers.get(&key).cloned()
    }
}
