//! Stanzas that were lost with a stream and may have arrived all the same: the server accepted them, and its
//! acknowledgement was lost with the stream. Only the archive can tell, in which the server stores the messages that it
//! accepted (XEP-0313).
//!
//! Messages that were written are held back until the archive has answered, and with them younger ones to people. The
//! account's archive has no messages to rooms. If the archive does not answer, everything is sent again: a message that
//! arrives twice is better than one that never arrives.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid};
use jiff::Timestamp;
use parlor_session::permissions::Granted;
use parlor_session::{Effect, Pager, QueryArchive};
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{ArchiveQuery, Cursor, Message, Offers};
use tokio::time::{Instant, sleep, timeout_at};

use super::logins::Logins;
use super::{Asker, Connection, Shared, Worker};

/// A log-in that is not logged yet.
pub(super) struct Connected {
    jid: FullJid,
    /// How many stanzas of the previous stream are sent again, and for how many of these it is unknown whether they
    /// arrived.
    again: usize,
    unsure: usize,
    /// The server resumed the session that a previous process left.
    taken_up: bool,
}

impl Connected {
    pub(super) fn new(jid: &FullJid, taken_up: bool, again: usize, unsure: usize) -> Self {
        Self { jid: jid.clone(), again, unsure, taken_up }
    }
}

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
        self.unsaid = Some(Connected::new(&jid, taken_up, again.len(), doubtful));
        self.connection.send_replace(Connection::Connected(jid.clone().into()));
        // Stanzas that wait here are younger than those that the link had taken. Replies and requests for the
        // old stream have lost their meaning.
        let waiting = self.outbox.take();
        let (own, since) = (jid.clone(), self.session.stream_since());
        self.session.bound(jid, offers, now, &mut self.effects);
        self.shared.router.stream_begins(self.session.stream());
        if taken_up {
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
}

/// Number of messages in one query.
const PAGE: u32 = 50;
/// Maximum number of messages that are searched. The archive also has later messages, such as those that a server
/// stored for a session that no longer responded. But all of them arrive over the same connection, before anything new,
/// and a connection that broke a moment ago may be slow.
const MOST: u32 = 1_000;
/// Time limit for all queries together.
const PATIENCE: Duration = Duration::from_secs(30);
/// Delay between the answer and a second query for the messages that were missing. A busy server may still be
/// processing the lost stream while it answers on the next one: ejabberd 23.01 does.
const ONCE_MORE: Duration = Duration::from_secs(1);
/// Maximum number of stanzas that are held back. If there are more, none is held back.
const MOST_HELD: usize = 1_024;

/// A message's recipient, id and body. The body is part of it because plugins may use the same id twice.
type Mark = (BareJid, String, Option<String>);

/// How often each message occurs.
type Marks = HashMap<Mark, usize>;

/// Stanzas that wait for the archive's answer.
pub(super) struct InQuestion {
    stanzas: Vec<Held>,
    /// Messages before this time are not searched.
    since: Timestamp,
    /// None: there is no stream to query on.
    asking: Option<Pin<Box<dyn Future<Output = Marks> + Send>>>,
}

struct Held {
    stanza: RawStanza,
    /// How the archive would show it. None: it was not written.
    mark: Option<Mark>,
    /// When it was put here.
    since: Instant,
}

impl InQuestion {
    fn new(since: Timestamp) -> Self {
        Self { stanzas: Vec::new(), since, asking: None }
    }

    fn hold(&mut self, stanza: RawStanza, mark: Option<Mark>) {
        self.stanzas.push(Held { stanza, mark, since: Instant::now() });
    }

    /// Takes out the stanzas that have waited for longer than this.
    fn take_older(&mut self, age: Duration) -> Vec<RawStanza> {
        let old = self.stanzas.extract_if(.., |held| held.since.elapsed() > age);
        old.map(|held| held.stanza).collect()
    }

    fn ask(&mut self, shared: &Arc<Shared>) {
        let mut sought = Marks::new();
        for mark in self.stanzas.iter().filter_map(|held| held.mark.clone()) {
            *sought.entry(mark).or_default() += 1;
        }
        self.asking = Some(Box::pin(in_archive(Arc::clone(shared), sought, self.since)));
    }

    /// Returns all stanzas except those that the archive has.
    fn without(self, mut found: Marks) -> Vec<RawStanza> {
        let mut is_there = |held: &Held| {
            let count = held.mark.as_ref().and_then(|mark| found.get_mut(mark)).filter(|count| **count > 0);
            count.map(|count| *count -= 1).is_some()
        };
        self.stanzas.into_iter().filter(|held| !is_there(held)).map(|held| held.stanza).collect()
    }
}

/// Waits for the archive's answer, or forever if nothing waits for one.
pub(super) async fn told(in_question: &mut Option<InQuestion>) -> Marks {
    match in_question.as_mut().and_then(|in_question| in_question.asking.as_mut()) {
        Some(asking) => asking.await,
        None => pending().await,
    }
}

impl Worker {
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

    /// Takes the stanzas that already waited before this log-in. Those that waited for too long come back as errors.
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

/// Returns how the account's archive would show a message. None: it has no id.
fn mark(message: &Message) -> Option<Mark> {
    Some((message.to.to_bare(), message.id.clone()?, message.body.clone()))
}

/// Returns which of these messages the account has sent since then, according to its archive, as far as it answers in
/// time.
async fn in_archive(shared: Arc<Shared>, sought: Marks, since: Timestamp) -> Marks {
    let deadline = Instant::now() + PATIENCE;
    match look(&shared, sought.clone(), since, deadline).await {
        Ok(found) if found != sought => {
            sleep(ONCE_MORE).await;
            look(&shared, sought, since, deadline).await.unwrap_or(found)
        }
        Ok(found) | Err(found) => found,
    }
}

/// Searches the archive once. An error holds the messages that were found up to then.
async fn look(shared: &Shared, mut sought: Marks, since: Timestamp, deadline: Instant) -> Result<Marks, Marks> {
    let newest = ArchiveQuery { start: Some(since), cursor: Cursor::Before(String::new()), ..ArchiveQuery::default() };
    let (mut pager, mut found) = (Pager::new(newest, PAGE, Some(MOST)), Marks::new());
    while !sought.is_empty()
        && let Some(next) = pager.next_page()
    {
        let asked = shared.ask(Asker::Host, &Granted::HOST, QueryArchive { by: None, query: next });
        let error = match timeout_at(deadline, asked).await {
            Ok(Ok(page)) => {
                let error = pager.took(&page).err();
                let own = page.messages.iter().map(|archived| &archived.message).filter(|message| message.own);
                for mark in own.filter_map(|message| mark(message)) {
                    if let Some(count) = sought.get_mut(&mark) {
                        *count -= 1;
                        if *count == 0 {
                            sought.remove(&mark);
                        }
                        *found.entry(mark).or_default() += 1;
                    }
                }
                error.map(|error| error.to_string())
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it has not answered within {} s", PATIENCE.as_secs())),
        };
        if let Some(error) = error {
            tracing::info!(
                account = %shared.name, error,
                "the archive does not say of all messages of the lost stream whether they have arrived"
            );
            return Err(found);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_dropped_for_its_own_age_alone() {
        let mut in_question = InQuestion::new(Timestamp::UNIX_EPOCH);
        for id in ["old", "young"] {
            let xml = format!("<message to='friend@localhost' id='{id}'><body>hi</body></message>");
            in_question.hold(RawStanza::parse(&xml, &"bot@localhost".parse().unwrap()).unwrap(), None);
            tokio::time::advance(Duration::from_secs(40)).await;
        }
        assert_eq!(in_question.take_older(Duration::from_mins(1)).len(), 1);
        assert_eq!(in_question.stanzas.iter().map(|held| held.stanza.id()).collect::<Vec<_>>(), [Some("young")]);
    }
}
