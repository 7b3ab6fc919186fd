//! Messages that the server archived, and those that rooms archived (XEP-0313). Needs `archive.read`.
//!
//! A page at a time, forwards or backwards:
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! use parlor_sdk::archive::Options;
//!
//! # async fn example() -> Result<()> {
//! let newest = archive::query(Options::with("juliet@example.org").newest().max(10)).await?;
//! for archived in &newest.messages {
//!     info!("{}: {}", archived.message.from, archived.message.body.as_deref().unwrap_or_default());
//! }
//! let older = archive::query(newest.rsm.previous(10)).await?;
//! # drop(older);
//! # Ok(()) }
//! ```
//!
//! Or all of it, however much that is; the host asks for the next page as this one is read:
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! use parlor_sdk::archive::Options;
//!
//! # async fn example() -> Result<()> {
//! let mut messages = archive::query_all(Options::with("hall@rooms.example.org").start("2026-01-01T00:00:00Z")).await?;
//! while let Some(archived) = messages.next().await? {
//!     info!("{} said {:?}", archived.message.from, archived.message.body);
//! }
//! # Ok(()) }
//! ```

use std::time::SystemTime;

use jiff::Timestamp;

use crate::bindings::parlor::plugin::archive;
use crate::bindings::parlor::plugin::types as wit;
use crate::error::Result;
use crate::failure::{located, of_call};

pub use archive::{ArchivedMessage, Options, Page};

/// How many messages are taken over from the host at once.
const BATCH: usize = 50;

/// Queries messages, oldest first: one page with [`Options::max`], otherwise every match, up to a limit of the host.
#[track_caller]
pub fn query(options: Options) -> impl Future<Output = Result<Page>> {
    located(async move { archive::query(options).await.map_err(of_call("archive.query", "")) })
}

/// Asks for all messages, oldest first, as a stream. [`Options::max`] bounds how many come in all.
#[track_caller]
pub fn query_all(options: Options) -> impl Future<Output = Result<Messages>> {
    located(async move {
        let (stream, end) = archive::query_all(options).await.map_err(of_call("archive.query-all", ""))?;
        Ok(Messages { stream: Some(stream), end: Some(end), ready: Vec::new().into_iter() })
    })
}

/// Messages as they come. Dropping it ends the query.
#[derive(Debug)]
pub struct Messages {
    /// None once nothing more comes.
    stream: Option<wit_bindgen::StreamReader<ArchivedMessage>>,
    /// None once it was returned.
    end: Option<wit_bindgen::FutureReader<std::result::Result<(), wit::Error>>>,
    ready: std::vec::IntoIter<ArchivedMessage>,
}

impl Messages {
    /// The next message; none: that was all. An error ends the stream, after every message that was received before it.
    ///
    /// Read it to the end: messages that are in transit when the future is dropped are lost.
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "it waits, as `next` of a stream does")]
    pub fn next(&mut self) -> impl Future<Output = Result<Option<ArchivedMessage>>> {
        located(async move {
            loop {
                if let Some(message) = self.ready.next() {
                    return Ok(Some(message));
                }
                let Some(stream) = &mut self.stream else {
                    return match self.end.take() {
                        Some(end) => end.await.map(|()| None).map_err(of_call("archive.query-all", "")),
                        None => Ok(None),
                    };
                };
                let (result, batch) = stream.read(Vec::with_capacity(BATCH)).await;
                self.ready = batch.into_iter();
                if result == wit_bindgen::StreamResult::Dropped {
                    self.stream = None;
                }
            }
        })
    }
}

/// A point in time: text as ISO 8601 has it, [`jiff::Timestamp`], or [`SystemTime`].
pub trait Time {
    /// As ISO 8601 writes it.
    fn to_iso_8601(self) -> String;
}

impl Time for &str {
    fn to_iso_8601(self) -> String {
        self.to_owned()
    }
}

impl Time for String {
    fn to_iso_8601(self) -> String {
        self
    }
}

impl Time for Timestamp {
    fn to_iso_8601(self) -> String {
        self.to_string()
    }
}

impl Time for SystemTime {
    fn to_iso_8601(self) -> String {
        // Thousands of years away; the host refuses such a time by its name.
        Timestamp::try_from(self).map_or_else(|error| error.to_string(), |time| time.to_string())
    }
}

impl Options {
    /// Everything in the archive of this account.
    pub fn all() -> Self {
        Self::default()
    }

    /// Asks for the messages with this person, or in this room.
    pub fn with(jid: impl AsRef<str>) -> Self {
        Self { with: Some(jid.as_ref().to_owned()), ..Self::default() }
    }

    /// Nothing older.
    #[must_use]
    pub fn start(self, time: impl Time) -> Self {
        Self { start: Some(time.to_iso_8601()), ..self }
    }

    /// Nothing newer.
    #[must_use]
    pub fn end(self, time: impl Time) -> Self {
        Self { end: Some(time.to_iso_8601()), ..self }
    }

    /// One page with at most this number of messages.
    #[must_use]
    pub fn max(self, max: u32) -> Self {
        Self { max: Some(max), ..self }
    }

    /// Backwards, from the newest message on.
    #[must_use]
    pub fn newest(self) -> Self {
        self.before("")
    }

    /// Backwards, from before the message with this archive id on.
    #[must_use]
    pub fn before(self, id: impl Into<String>) -> Self {
        Self { before: Some(id.into()), after: None, ..self }
    }

    /// Forwards, from after the message with this archive id on.
    #[must_use]
    pub fn after(self, id: impl Into<String>) -> Self {
        Self { after: Some(id.into()), before: None, ..self }
    }

    /// From the message of this number on, from 0. Few servers can.
    #[must_use]
    pub fn index(self, index: u32) -> Self {
        Self { index: Some(index), ..self }
    }

    /// With the whole stanza in [`Message::xml`](crate::types::Message). Needs `stanza.read`.
    #[must_use]
    pub fn with_xml(self) -> Self {
        Self { xml: true, ..self }
    }

    /// The query for the next page, after a page's [`rsm`](Page::rsm). It keeps the address and the times.
    #[must_use]
    pub fn next(&self, max: u32) -> Self {
        archive::next(self, max)
    }

    /// Returns the query for the page before it.
    #[must_use]
    pub fn previous(&self, max: u32) -> Self {
        archive::previous(self, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_language_are_written_as_the_contract_wants_them() {
        let time = Timestamp::new(1_275_868_800, 0).unwrap();
        assert_eq!(Options::all().start(time).start.as_deref(), Some("2010-06-07T00:00:00Z"));
        assert_eq!(Options::all().end(SystemTime::from(time)).end.as_deref(), Some("2010-06-07T00:00:00Z"));
    }

    #[test]
    fn a_query_pages_one_way() {
        let options = Options::with("juliet@example.org").after("1").newest();
        assert_eq!((options.before.as_deref(), options.after), (Some(""), None));
    }
}
