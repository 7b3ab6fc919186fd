//! Faults between a plugin and others: it is removed from a room, a room is destroyed, a message bounces.

use jid::{BareJid, FullJid, Jid};

use super::MockServer;
use super::impossible::Impossible;
use super::words::sent_back;

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
}
