//! A new session with the server: announces it, and sends again the stanzas that were lost with the previous one.

use jid::FullJid;
use jiff::Timestamp;
use parlor_session::{Effect, moved};
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::Offers;

use super::arrived::{InQuestion, MOST_HELD, Marks, mark};
use super::connection::Connection;
use super::logins::Logins;
use super::worker::{Connected, Worker};

impl Worker {
    /// A session began that is new to this process. These stanzas of the old one were not acknowledged, the first of them
    /// perhaps handled.
    pub(super) fn bound(
        &mut self,
        jid: FullJid,
        offers: Offers,
        taken_up: bool,
        (again, doubtful): (Vec<RawStanza>, usize),
        now: Timestamp,
    ) {
        self.unsaid = Some(Connected { jid: jid.clone(), again: again.len(), unsure: doubtful, taken_up });
        self.published.connection(Connection::Connected(jid.clone().into()));
        // Stanzas that wait here are younger than those that the link had taken. Replies and requests for the
        // old stream have lost their meaning.
        let waiting = self.outbox.take();
        let (own, since) = (jid.clone(), self.session.stream_since());
        self.shared.records.logged_in(now);
        self.session.bound(jid, offers, now, &mut self.effects);
        if taken_up && self.shared.may_act.is_of_a_cluster() {
            moved(&mut self.session, now, &mut self.effects);
        } else if taken_up {
            self.session.taken_up(now, &mut self.effects);
        }
        self.send_again(again, doubtful, &own, since);
        self.effects.extend(waiting.into_iter().filter_map(|(outgoing, sent)| match sent {
            Some(sent) => Some(Effect::SendFor(outgoing, sent)),
            None if outgoing.outlives_its_stream() => Some(Effect::Send(outgoing)),
            None => None,
        }));
        self.answer_logins(Logins::succeeded, &Ok(()));
        // From here on, a failure of the account is the host's concern and not that plugin's.
        self.logins.of_a_plugin = false;
        self.note_activity();
    }

    /// Logs that the account is connected as soon as its presence is sent. A server stores messages that arrive before
    /// that for later. It may stamp them with the second that began before the log-in, so that they would pass for
    /// history. Waiting ensures that a message written in response to this log line gets an answer.
    pub(super) fn say_connected(&mut self) {
        if !self.session.is_announced() {
            return;
        }
        let Some(Connected { jid, again, unsure, taken_up }) = self.unsaid.take() else { return };
        let (account, session) = (&self.shared.name, if taken_up { "continued" } else { "new" });
        tracing::info!(%account, %jid, session, "account connected");
        if again > 0 {
            tracing::info!(%account, stanzas = again, unsure, "sending again what the stream before did not confirm");
        }
    }

    /// Sends the stanzas again that the previous stream lost, after a log-in. The first `doubtful` ones are sent once
    /// it is known that they have not arrived.
    pub(super) fn send_again(&mut self, again: Vec<RawStanza>, doubtful: usize, own: &FullJid, since: Timestamp) {
        let now = self.now();
        let mark = |stanza: &RawStanza| stanza.leaving(own, now).and_then(|message| mark(&message));
        let mut in_question = self.still_in_question(own).unwrap_or_else(|| InQuestion::new(since));
        in_question.since = in_question.since.min(since);
        let mut at_once = Vec::new();
        for (place, stanza) in again.into_iter().enumerate() {
            if stanza.is_said_to_a_person() {
                let mark = if place < doubtful { mark(&stanza) } else { None };
                in_question.hold(stanza, mark);
            } else {
                at_once.push(stanza);
            }
        }
        let held = &in_question.stanzas;
        let is_known = held.iter().all(|held| held.mark.is_none());
        if is_known || held.len() > MOST_HELD || !self.session.has_archive() {
            at_once.extend(in_question.without(Marks::new()));
        } else {
            in_question.ask(&self.shared);
            self.in_question = Some(in_question);
        }
        self.session.send_again(at_once, now, &mut self.effects);
    }

    /// Takes the stanzas that already waited before this log-in. Stanzas that waited for too long are returned as
    /// errors.
    fn still_in_question(&mut self, own: &FullJid) -> Option<InQuestion> {
        let mut in_question = self.in_question.take()?;
        let old = in_question.take_older(self.settings.keep_unsent);
        if !old.is_empty() {
            tracing::warn!(
                account = %self.shared.name, messages = old.len(),
                "messages are not sent, since they have waited for longer than keep_unsent of the account says"
            );
        }
        let now = self.now();
        for returned in old.iter().filter_map(|stanza| stanza.returned(own, now)) {
            self.session.incoming(returned, now, &mut self.effects);
        }
        (!in_question.stanzas.is_empty()).then_some(in_question)
    }

    /// Handles the archive's answer.
    pub(super) fn has_arrived(&mut self, found: Marks) {
        let Some(mut in_question) = self.in_question.take() else { return };
        if !self.shared.snapshot().connected {
            // The next stream asks again.
            in_question.asking = None;
            self.in_question = Some(in_question);
            return;
        }
        let all = in_question.stanzas.len();
        let stanzas = in_question.without(found);
        if stanzas.len() < all {
            tracing::info!(
                account = %self.shared.name, messages = all - stanzas.len(),
                "messages that the lost stream took with it have arrived, and are not sent again"
            );
        }
        self.session.send_again(stanzas, self.now(), &mut self.effects);
    }

    /// Asks the archive again after the stream was resumed.
    pub(super) fn ask_archive_again(&mut self) {
        if let Some(in_question) = &mut self.in_question {
            in_question.ask(&self.shared);
        }
    }

    /// Sends everything that waits for the archive, because its answer will not be awaited any longer.
    pub(super) fn send_what_is_in_question(&mut self) {
        if let Some(in_question) = self.in_question.take() {
            self.session.send_again(in_question.without(Marks::new()), self.now(), &mut self.effects);
            self.apply();
        }
    }
}
