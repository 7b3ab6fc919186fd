//! Leaving the stream: with a clean close, or so that another process can resume the session.

use parlor_stanza::error::CallError;
use parlor_stanza::types::{Outgoing, PresenceOut, PresenceOutKind};
use parlor_xmpp::Link;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::logins::Logins;
use super::on_disk;
use super::sending::{flush_confirmed, tell_leaving};
use super::worker::Worker;

/// The reason for closing a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// A plugin or the host disconnects; the session may continue later.
    Disconnect,
    /// The session is over.
    LogOut,
    /// The host shuts down; another process may resume the session.
    Stop,
}

impl Worker {
    /// Closes the stream, since the account ends.
    pub(super) async fn end(&mut self, done: oneshot::Sender<()>) {
        self.close(CloseReason::Stop).await;
        self.apply();
        // The receiver may have been dropped. The account ends anyway.
        let _ = done.send(());
    }

    /// Closes the stream, if there is one.
    pub(super) async fn close(&mut self, reason: CloseReason) {
        self.quiet.set(None, self.now());
        on_disk::settle(self).await;
        flush_confirmed(self).await;
        if self.link.is_some() {
            self.send_what_is_in_question();
        }
        let link = self.link.take();
        let ends = link.is_some();
        if let Some(mut link) = link {
            let may_be_gone_on_with = self.may_be_gone_on_with(reason, &link);
            // In a cluster, the account goes on elsewhere at once. Without presence, a server keeps messages for later instead of for
            // the session: Prosody delivers those at the next log-in, long after they were found in the archive.
            let stays = may_be_gone_on_with && self.shared.may_act.is_of_a_cluster();
            // If the link has no space, the server is not reading, so the end of the stream must convey the departure.
            if self.shared.snapshot().connected && link.has_room() && !stays {
                let presence = PresenceOut { kind: PresenceOutKind::Unavailable, ..PresenceOut::default() };
                link.send(tell_leaving(&self.shared, &mut self.session, Outgoing::Presence(presence)));
            }
            if !may_be_gone_on_with {
                link.close().await;
            } else if let Some(left) = link.leave().await {
                self.keepers.sessions.keep(left);
            }
            self.published.connection(Connection::Offline);
        }
        match reason {
            CloseReason::LogOut => self.session.logged_out(self.shared.clock.now(), &mut self.effects),
            CloseReason::Disconnect | CloseReason::Stop if ends => {
                self.session.closed(self.shared.clock.now(), &mut self.effects);
            }
            CloseReason::Disconnect | CloseReason::Stop => {}
        }
        self.answer_logins(Logins::ended, &Err(CallError::Stopped));
    }

    /// Returns whether the server keeps unacknowledged stanzas.
    pub(super) fn is_kept_for_later(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_managed)
    }

    /// Returns whether the session can be left for the next process (setting `keepalive`). Contacts see the account go.
    /// The server takes the stream for lost and keeps the session for a while.
    fn may_be_gone_on_with(&self, reason: CloseReason, link: &Link) -> bool {
        reason == CloseReason::Stop
            && self.shared.settings().keepalive
            && self.shared.snapshot().connected
            && self.outbox.is_empty()
            && link.has_room()
            && link.can_be_left()
    }
}
