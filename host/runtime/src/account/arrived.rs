//! Stanzas that were lost with a stream but may have arrived: the server accepted them, and its acknowledgement was
//! lost with the stream. Only the archive can tell, in which the server stores the messages that it accepted
//! (XEP-0313).
//!
//! Messages that were written are held back until the archive has answered, and with them younger ones to people. The
//! account's archive has no messages to rooms. If the archive does not answer, everything is sent again: a message that
//! arrives twice is better than one that never arrives.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use jiff::Timestamp;
use parlor_session::permissions::Granted;
use parlor_session::{Pager, QueryArchive};
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{ArchiveQuery, Cursor, Message};
use tokio::time::{Instant, sleep, timeout_at};

use super::Asker;
use super::shared::Shared;

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
pub(super) const MOST_HELD: usize = 1_024;

/// A message's recipient, id and body. The body is part of it because plugins may use the same id twice.
type Mark = (BareJid, String, Option<String>);

/// How often each message occurs.
pub(super) type Marks = HashMap<Mark, usize>;

/// Stanzas that wait for the archive's answer.
pub(super) struct InQuestion {
    pub(super) stanzas: Vec<Held>,
    /// Messages before this time are not searched.
    pub(super) since: Timestamp,
    /// The query that is running. None: no stream is available for it.
    pub(super) asking: Option<Pin<Box<dyn Future<Output = Marks> + Send>>>,
}

pub(super) struct Held {
    stanza: RawStanza,
    /// How the archive would show it. None: it was not written.
    pub(super) mark: Option<Mark>,
    /// When it was put here.
    since: Instant,
}

impl InQuestion {
    pub(super) fn new(since: Timestamp) -> Self {
        Self { stanzas: Vec::new(), since, asking: None }
    }

    pub(super) fn hold(&mut self, stanza: RawStanza, mark: Option<Mark>) {
        self.stanzas.push(Held { stanza, mark, since: Instant::now() });
    }

    /// Takes out the stanzas that have waited for longer than this.
    pub(super) fn take_older(&mut self, age: Duration) -> Vec<RawStanza> {
        let old = self.stanzas.extract_if(.., |held| held.since.elapsed() > age);
        old.map(|held| held.stanza).collect()
    }

    pub(super) fn ask(&mut self, shared: &Arc<Shared>) {
        let mut sought = Marks::new();
        for mark in self.stanzas.iter().filter_map(|held| held.mark.clone()) {
            *sought.entry(mark).or_default() += 1;
        }
        self.asking = Some(Box::pin(in_archive(Arc::clone(shared), sought, self.since)));
    }

    /// Returns all stanzas except those that the archive has.
    pub(super) fn without(self, mut found: Marks) -> Vec<RawStanza> {
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

/// Returns how the account's archive would show a message. None: it has no id.
pub(super) fn mark(message: &Message) -> Option<Mark> {
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
                    find(mark, &mut sought, &mut found);
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

/// Moves one message from those that are sought to those that were found, if it is sought.
fn find(mark: Mark, sought: &mut Marks, found: &mut Marks) {
    let Some(count) = sought.get_mut(&mark) else { return };
    *count -= 1;
    if *count == 0 {
        sought.remove(&mark);
    }
    *found.entry(mark).or_default() += 1;
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
