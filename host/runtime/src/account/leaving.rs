//! Leaving the stream: with a clean close, or so that another process can resume the session. Also the events for
//! outgoing stanzas.

use parlor_session::event::{Event, Payload};
use parlor_session::{Effect, Session};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{Outgoing, PresenceOut, PresenceOutKind};
use parlor_xmpp::Link;

use super::logins::Logins;
use super::{Connection, Shared, Worker};

/// The reason for closing a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// A plugin or the host disconnects; the session may continue later.
    Disconnect,
    /// The session is over.
    LogOut,
    /// The host shuts down; another process may resume the session.
    Stop,
}

impl Worker {
    /// Closes the stream, if there is one.
    pub(super) async fn close(&mut self, farewell: Farewell) {
        self.quiet.set(None, self.now());
        if self.link.is_some() {
            self.send_what_is_in_question();
        }
        let link = self.link.take();
        let ends = link.is_some();
        if let Some(mut link) = link {
            let may_be_gone_on_with = self.may_be_gone_on_with(farewell, &link);
            // If the link has no room, the server reads nothing, and the end of the stream has to convey it.
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
            Farewell::LogOut => self.session.logged_out(self.shared.clock.now(), &mut self.effects),
            Farewell::Disconnect | Farewell::Stop if ends => {
                self.session.closed(self.shared.clock.now(), &mut self.effects);
            }
            Farewell::Disconnect | Farewell::Stop => {}
        }
        self.answer_logins(Logins::ended, &Err(CallError::Stopped));
    }

    /// Returns whether the server keeps unacknowledged stanzas.
    pub(super) fn is_kept_for_later(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_managed)
    }

    /// Returns whether the session can be left for the next process (setting `keepalive`). Contacts see the account go.
    /// The server takes the stream for lost and keeps the session for a while.
    fn may_be_gone_on_with(&self, farewell: Farewell, link: &Link) -> bool {
        farewell == Farewell::Stop
            && self.shared.settings().keepalive
            && self.shared.snapshot().connected
            && self.outbox.is_empty()
            && link.has_room()
            && link.can_be_left()
    }
}

/// Reports an outgoing stanza to the plugins that listen. Costs almost nothing if none does.
pub(super) fn tell_leaving(shared: &Shared, session: &mut Session, outgoing: Outgoing) -> Outgoing {
    let router = &shared.router;
    // A message that is sent again was reported when it was first sent.
    let is_new = !matches!(outgoing, Outgoing::Again(_));
    let hears_stanzas = router.hears("send");
    let hears_messages = is_new && (router.hears("messageSend") || router.hears("messageAdded"));
    if !hears_stanzas && !hears_messages {
        return outgoing;
    }
    let now = shared.clock.now();
    let of = match &outgoing {
        Outgoing::Private(_, by) => Some(*by),
        _ => None,
    };
    let stanza = RawStanza::of(outgoing);
    if hears_stanzas {
        let event = Event { name: "send".into(), at: now, payload: Payload::Stanza(stanza.to_shown_xml()) };
        match of {
            Some(instance) => shared.route_to(instance, event),
            None => shared.route(event),
        }
    }
    if hears_messages
        && let Ok(own) = shared.snapshot().jid.try_as_full()
        && let Some(message) = stanza.leaving(own, now)
    {
        let mut effects = Vec::new();
        session.leaving(message, now, &mut effects);
        for effect in effects {
            if let Effect::Fire(event) = effect {
                shared.route(event);
            }
        }
    }
    match of {
        Some(instance) => Outgoing::Private(stanza, instance),
        None => Outgoing::Raw(stanza),
    }
}
