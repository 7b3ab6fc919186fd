//! How an account leaves its stream: with a good-bye, or for another process to go on with the session.

use jiff::Timestamp;

use super::logins::Logins;
use super::{Connection, Worker, tell_leaving};
use crate::error::CallError;
use crate::stanza::{Outgoing, PresenceOut, PresenceOutKind};
use crate::xmpp::Link;

/// Why a stream is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The session may go on later.
    Disconnect,
    /// It is over.
    LogOut,
    /// The house stops; another process may go on with it.
    Stop,
}

impl Worker {
    /// Leaves, if there is a stream.
    pub(super) async fn close(&mut self, farewell: Farewell) {
        self.quiet_at = None;
        let link = self.link.take();
        let ends = link.is_some();
        if let Some(mut link) = link {
            let may_be_gone_on_with = self.may_be_gone_on_with(farewell, &link);
            // Where there is no room the server takes nothing in, and the end of the stream has to say it.
            if self.shared.snapshot().connected && link.has_room() {
                let presence = PresenceOut { kind: PresenceOutKind::Unavailable, ..PresenceOut::default() };
                link.send(tell_leaving(&self.shared, &mut self.session, Outgoing::Presence(presence)));
            }
            if !may_be_gone_on_with {
                link.close().await;
            } else if let Some(left) = link.leave().await {
                self.sessions.keep(left);
            }
            self.connection.send_replace(Connection::Offline);
        }
        match farewell {
            Farewell::LogOut => self.session.logged_out(Timestamp::now(), &mut self.effects),
            Farewell::Disconnect | Farewell::Stop if ends => self.session.closed(Timestamp::now(), &mut self.effects),
            Farewell::Disconnect | Farewell::Stop => {}
        }
        self.answer_logins(Logins::ended, &Err(CallError::Stopped));
    }

    /// The setting `keepalive`: people see the account go, and the server, which takes the stream for cut, keeps the session
    /// for a while.
    fn may_be_gone_on_with(&self, farewell: Farewell, link: &Link) -> bool {
        farewell == Farewell::Stop
            && self.shared.settings().keepalive
            && self.shared.snapshot().connected
            && self.outbox.is_empty()
            && link.has_room()
            && link.can_be_left()
    }
}
