//! Sends stanzas: to the link as far as it has room, and to the plugins that listen.

use std::time::Duration;

use jiff::Timestamp;
use parlor_session::event::{Event, Payload};
use parlor_session::{Effect, Sent, Session};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{DeviceTrust, Draft, Encryption, Outgoing, Sealed, SealedContent};
use parlor_xmpp::Link;
use tokio::time::timeout;

use super::shared::Shared;
use super::worker::Worker;

/// How long the end of a stream waits for an answer of the cluster. It is as long as a node has for stopping its accounts.
const CONFIRMING: Duration = Duration::from_millis(500);

impl Worker {
    pub(super) fn put_out(&mut self, outgoing: Outgoing, sent: Option<Sent>) {
        let put = if self.link.is_some() { self.outbox.put(outgoing, sent) } else { Err(sent) };
        if let Err(Some(sent)) = put {
            sent.failed(CallError::Offline);
        }
    }

    /// Passes as many stanzas to the link as it has room for. It never waits: an account that waits would notice no
    /// failure.
    pub(super) fn flush(&mut self) {
        if self.link.is_none() {
            for (_, sent) in self.outbox.take() {
                if let Some(sent) = sent {
                    sent.failed(CallError::Offline);
                }
            }
            return;
        }
        // In a cluster, another node may have the account by now. This one is about to end.
        let may_send = !self.outbox.is_empty() && self.shared.may_act.now();
        if may_send && !waits_for_cluster(self) {
            pass_on(self);
        }
    }

    /// Returns whether plugins may send more.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.is_empty() && self.link.as_ref().is_none_or(Link::has_room)
    }
}

/// Passes on what waited for an answer of the cluster, once it has come.
pub(super) fn has_answered(worker: &mut Worker, may_act: bool) {
    worker.confirming = None;
    if may_act {
        pass_on(worker);
    }
}

/// Does the same as [`Worker::flush`] before the stream is closed: there is no later time. A node that is cut off gives up
/// after a moment, and leaves its stanzas to the next one.
pub(super) async fn flush_confirmed(worker: &mut Worker) {
    worker.flush();
    if let Some(confirming) = &mut worker.confirming {
        let may_act = timeout(CONFIRMING, confirming).await.unwrap_or(false);
        has_answered(worker, may_act);
    }
}

/// Returns whether stanzas have to wait until the cluster has answered, since a node that is cut off could not note what
/// it has sent. Asks it if so.
fn waits_for_cluster(worker: &mut Worker) -> bool {
    let may_act = &worker.shared.may_act;
    if may_act.is_fresh() {
        worker.confirming = None;
    } else if worker.confirming.is_none() {
        worker.confirming = may_act.confirmed();
    }
    worker.confirming.is_some()
}

fn pass_on(worker: &mut Worker) {
    let Some(link) = &mut worker.link else { return };
    while link.has_room()
        && let Some((outgoing, sent)) = worker.outbox.0.pop_front()
    {
        let outgoing = tell_leaving(&worker.shared, &mut worker.session, outgoing);
        link.send(outgoing);
        if let Some(sent) = sent {
            sent.queued();
        }
    }
}

/// Reports an outgoing stanza to the plugins that listen, unless it is secret. Costs almost nothing if none listens.
pub(super) fn tell_leaving(shared: &Shared, session: &mut Session, outgoing: Outgoing) -> Outgoing {
    let router = &shared.router;
    if outgoing.is_secret() {
        return outgoing;
    }
    // A message that is sent again was reported when it was first sent.
    let is_new = !matches!(outgoing, Outgoing::Again(_));
    let hears_stanzas = router.hears("send");
    let hears_messages = is_new && (router.hears("messageSend") || router.hears("messageAdded"));
    if !hears_stanzas && !hears_messages {
        return outgoing;
    }
    let now = shared.clock.now();
    let outgoing = match outgoing {
        Outgoing::Sealed(sealed) => return tell_sealed(shared, session, sealed, (hears_stanzas, hears_messages)),
        other => other,
    };
    let of = match &outgoing {
        Outgoing::Private(_, by) => Some(*by),
        _ => None,
    };
    let stanza = RawStanza::of(outgoing);
    if hears_stanzas {
        let event = sent(&stanza, now);
        match of {
            Some(instance) => _ = shared.route_to(&[instance], event),
            None => shared.route(event, None),
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
                shared.route(event, None);
            }
        }
    }
    match of {
        Some(instance) => Outgoing::Private(stanza, instance),
        None => Outgoing::Raw(stanza),
    }
}

/// Returns the event for a stanza that is sent.
fn sent(stanza: &RawStanza, at: Timestamp) -> Event {
    Event { name: "send".into(), at, payload: Payload::Stanza { xml: stanza.to_shown_xml(), to: stanza.to() } }
}

/// Reports an encrypted message: as a stanza as it is sent, and as a message as it was before it was encrypted.
fn tell_sealed(
    shared: &Shared,
    session: &mut Session,
    sealed: Box<Sealed>,
    (hears_stanzas, hears_messages): (bool, bool),
) -> Outgoing {
    let now = shared.clock.now();
    if hears_stanzas {
        let stanza = RawStanza::of(Outgoing::Sealed(sealed.clone()));
        shared.route(sent(&stanza, now), None);
    }
    if hears_messages
        && let Some(draft) = sealed.says.as_ref()
        && let Ok(own) = shared.snapshot().jid.try_as_full()
    {
        let Sealed { to, kind, id, to_occupant, .. } = &*sealed;
        let (to, id, draft) = (to.clone(), id.clone(), Draft::clone(draft));
        let plain = Outgoing::Message { to, kind: *kind, id, draft, to_occupant: *to_occupant };
        if let Some(mut message) = RawStanza::of(plain).leaving(own, now) {
            message.encryption = Some(match sealed.content {
                SealedContent::Omemo(_) => Encryption::Omemo,
                SealedContent::Otr(_) => Encryption::Otr,
            });
            message.device_trust = Some(DeviceTrust::Trusted);
            let mut effects = Vec::new();
            session.leaving(message, now, &mut effects);
            for effect in effects {
                if let Effect::Fire(event) = effect {
                    shared.route(event, None);
                }
            }
        }
    }
    Outgoing::Sealed(sealed)
}
