//! An account's log in `JetStream`: feeds `parlor_cluster::Writer`.
//!
//! All records of an account lie on one subject. Each is written with the revision of the one before, so the server
//! refuses those of an earlier holder as soon as a later one has written its fence.

use std::ops::Range;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parlor_cluster::{Appended, Content, LastRecord, Revision, Step, Token, Writer};
use tokio::time::{sleep, timeout};

use crate::answer::{Last, Stored};
use crate::connect::{AskError, Link};
use crate::delivery;
use crate::error::{LogError, PutError};
use crate::fields::TextFields;
use crate::names::Cluster;
use crate::queue::asked;
use crate::record::{self, Kind, MOST_IN_A_CHANGE, MOST_IN_A_RECORD, Position, Record, RecordError};
use crate::seal::{KeyId, Seal, key_of};

/// After this time without an answer, the last record is read to see what became of a write.
const ANSWER: Duration = Duration::from_secs(1);
/// How long after an old answer the next one is asked for, and how long after a write that was not made the next one is tried.
const PAUSE: Duration = Duration::from_millis(20);
/// How often this time doubles while there is no answer at all.
const DOUBLINGS: u32 = 4;
/// After so many answers without a record that was acknowledged, it is gone. A server that has just become the leader
/// may answer so for a moment.
const MOST_OLD_ANSWERS: u32 = 100;
/// How long reading may wait for the next record.
const DELIVERY: Duration = Duration::from_secs(10);

/// The log of an account, as one holder writes it.
///
/// If a call is given up before it returns, the log has ended, since a change may be written or not.
#[derive(Debug)]
pub struct AccountLog {
    link: Link,
    stream: String,
    subject: String,
    seal: Seal,
    writer: Writer,
    position: Position,
    /// The number of the first record that the log had when it was opened; 0 if that is not known.
    first: u64,
    /// How many old answers came one after the other.
    old_answers: u32,
    /// How many reads had no answer since the last that had one.
    failures: u32,
    /// Whether nothing of the log is needed any more, so that its last record need not be readable.
    replaces_all: bool,
}

impl AccountLog {
    /// Opens an account's log with the token of its claim. On return, the fence is written: no earlier holder can
    /// write. Nothing is written if this node does not have the keys of the first and the last record.
    pub async fn open(link: &Link, cluster: &Cluster, account: &str, token: Token) -> Result<Self, LogError> {
        let mut log = Self::new(link, cluster, account, token);
        log.look_at_the_first().await?;
        log.settle(Kind::Fence, Bytes::new()).await?;
        Ok(log)
    }

    /// Opens an account's log whose records are all to be replaced. As [`Self::open`], but no record needs to be readable.
    pub(crate) async fn open_to_replace(
        link: &Link,
        cluster: &Cluster,
        account: &str,
        token: Token,
    ) -> Result<Self, LogError> {
        let mut log = Self { replaces_all: true, ..Self::new(link, cluster, account, token) };
        log.settle(Kind::Fence, Bytes::new()).await?;
        Ok(log)
    }

    fn new(link: &Link, cluster: &Cluster, account: &str, token: Token) -> Self {
        let (stream, subject) = cluster.log(account);
        Self {
            link: link.clone(),
            stream,
            subject,
            seal: cluster.seal(account),
            writer: Writer::new(token),
            position: Position { revision: 0, number: 0 },
            first: 0,
            old_answers: 0,
            failures: 0,
            replaces_all: false,
        }
    }

    /// Opens an account's log to read it up to the record that is the last one now; `None` if there is none. The node that holds the
    /// account continues, and nothing can be written here.
    pub(crate) async fn looking(link: &Link, cluster: &Cluster, account: &str) -> Result<Option<Self>, LogError> {
        let (stream, subject) = cluster.log(account);
        let Some(LastRecord { revision, token, number }) = last_of(link, &stream, &subject).await? else {
            return Ok(None);
        };
        let position = Position { revision, number };
        Ok(Some(Self { position, ..Self::new(link, cluster, account, token) }))
    }

    /// Returns where the last record is that this holder wrote.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Appends a change. On return it is in the log, and stays there. The position is that of its last part.
    pub async fn append(&mut self, mut change: Bytes) -> Result<Position, LogError> {
        if change.len() > MOST_IN_A_CHANGE {
            return Err(LogError::TooLarge { size: change.len() });
        }
        // If this call fails or is given up, the log has ended, so nothing can be taken for the end of the change.
        while change.len() > MOST_IN_A_RECORD {
            let part = change.split_to(MOST_IN_A_RECORD);
            self.write(Kind::Part, part).await?;
        }
        self.write(Kind::Change, change).await
    }

    /// Appends a record of this kind.
    pub(crate) async fn write(&mut self, kind: Kind, body: Bytes) -> Result<Position, LogError> {
        if body.len() > MOST_IN_A_RECORD {
            return Err(LogError::TooLarge { size: body.len() });
        }
        if self.writer.begin().is_none() {
            return Err(if self.writer.step() == Step::Fenced { LogError::Fenced } else { LogError::Ended });
        }
        self.settle(kind, body).await
    }

    /// Returns how many records the log has; 0 if that is not known.
    pub(crate) fn length(&self) -> u64 {
        if self.first == 0 { 0 } else { (self.position.number + 1).saturating_sub(self.first) }
    }

    /// Returns whether there is a change or a snapshot that an earlier key encrypts.
    pub(crate) async fn has_earlier_keys(&self) -> Result<bool, LogError> {
        let (mut reader, first) = (self.reader(0).await?, self.seal.keys().first());
        while let Some(record) = reader.next().await? {
            if record.key != first && record.kind != Kind::Fence {
                reader.close().await;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns a reader of the records of the log in their order, from the first one after this revision to the last one that
    /// this holder wrote.
    pub(crate) async fn reader(&self, after: Revision) -> Result<LogReader, LogError> {
        let (link, stream, subject) = (self.link.clone(), self.stream.clone(), self.subject.clone());
        LogReader::begin(link, stream, subject, self.seal.clone(), after..self.position.revision).await
    }

    /// Reads the records of the log in their order, from the first one after this revision to the last one that this
    /// holder wrote.
    pub async fn read(&self, after: Revision, each: impl FnMut(Record)) -> Result<(), LogError> {
        self.reader(after).await?.each(each).await
    }

    /// Does what the writer says until the record is written.
    async fn settle(&mut self, kind: Kind, body: Bytes) -> Result<Position, LogError> {
        let (mut before, mut attempts) = (None, 0);
        loop {
            match self.writer.step() {
                Step::Ready => return Ok(self.position),
                Step::Fenced => return Err(LogError::Fenced),
                Step::Read => self.look(kind, &body).await?,
                Step::Append { expected, token, number, content } => {
                    if before == Some(expected) {
                        // A server that refuses a write for the moment may go on to answer reads at once. One that lost a race
                        // against another holder is tried at once: that holder makes no pauses.
                        sleep(PAUSE * 2_u32.pow(DOUBLINGS.min(attempts))).await;
                        attempts += 1;
                    }
                    before = Some(expected);
                    let (kind, body) = match content {
                        Content::Fence => (Kind::Fence, Bytes::new()),
                        Content::Change => (kind, body.clone()),
                    };
                    let mut headers = record::headers(token, number, kind);
                    record::name_key(&mut headers, self.seal.keys().first());
                    let sealed = self.seal.record(token, number, kind, &body);
                    let body = sealed.ok_or(LogError::TooLarge { size: body.len() })?.into();
                    let subject = self.subject.clone();
                    let put = self.link.put(&self.stream, subject, expected, headers, body, ANSWER);
                    let outcome = match put.await {
                        Ok(revision) => {
                            self.position = Position { revision, number };
                            Appended::Written(revision)
                        }
                        Err(PutError::Refused) => Appended::Refused,
                        Err(PutError::Unknown) => Appended::Unknown,
                        Err(error) => return Err(LogError::Put(error)),
                    };
                    self.writer.appended(number, outcome);
                }
            }
        }
    }

    /// Reads the first record, before anything is written. An answer that does not come says nothing.
    async fn look_at_the_first(&mut self) -> Result<(), LogError> {
        let first = self.link.first(&self.stream, &self.subject, ANSWER).await;
        let Ok(Last::Stored(first)) = first else { return Ok(()) };
        let found = record::record(&self.seal, first.revision, &TextFields(&first.headers), &first.body);
        self.first = found.map_err(|cause| self.foreign(first.revision, cause))?.number;
        Ok(())
    }

    /// Reads the last record, to see whether it is the one of this kind and body that is being written.
    async fn look(&mut self, kind: Kind, body: &Bytes) -> Result<(), LogError> {
        let answer = self.link.last(&self.stream, &self.subject, ANSWER).await;
        if let Err(AskError::Lost | AskError::TooLarge) = answer {
            // All accounts wait like this while there is no connection.
            sleep(PAUSE * 2_u32.pow(self.failures.min(DOUBLINGS))).await;
            self.failures += 1;
            return Ok(());
        }
        let mut last = None;
        if let Some(stored) = stored(&self.subject, answer)? {
            let (found, damage) = judge(&self.seal, &stored);
            if let Some(cause) = damage.filter(|_| !self.replaces_all) {
                return Err(self.foreign(stored.revision, cause));
            }
            if self.is_of_another(&stored, kind, body) {
                return Err(LogError::Fenced);
            }
            last = Some(found);
        }
        self.tell(last).await?;
        self.failures = 0;
        Ok(())
    }

    /// Returns whether a record lies in the place of the one that is being written. After NATS has lost claims, its writer may have the same
    /// token, so that token and number alone do not show whose it is. A fence follows whatever is there.
    fn is_of_another(&self, stored: &Stored, kind: Kind, body: &Bytes) -> bool {
        let is_later = kind != Kind::Fence && stored.revision > self.position.revision;
        let found =
            is_later.then(|| record::record(&self.seal, stored.revision, &TextFields(&stored.headers), &stored.body));
        found.is_some_and(|found| found.is_ok_and(|found| found.kind != kind || found.body != *body))
    }

    async fn tell(&mut self, last: Option<LastRecord>) -> Result<(), LogError> {
        self.writer.last(last);
        match (self.writer.step(), last) {
            // The record that was written is the last one.
            (Step::Ready, Some(last)) => self.position = Position { revision: last.revision, number: last.number },
            (Step::Read, _) if self.old_answers == MOST_OLD_ANSWERS => {
                return Err(LogError::Lost { subject: self.subject.clone(), revision: self.position.revision });
            }
            (Step::Read, _) => {
                self.old_answers += 1;
                sleep(PAUSE).await;
                return Ok(());
            }
            _ => {}
        }
        self.old_answers = 0;
        Ok(())
    }

    fn foreign(&self, revision: Revision, cause: RecordError) -> LogError {
        LogError::of_record(&self.subject, revision, cause)
    }
}

impl LogError {
    /// Returns the error of a message of a log that is no record.
    pub(crate) fn of_record(subject: &str, revision: Revision, cause: RecordError) -> Self {
        let subject = subject.to_owned();
        match cause {
            RecordError::Key(key) => Self::Key { subject, revision, key },
            RecordError::Changed => Self::Changed { subject, revision },
            cause => Self::Foreign { subject, revision, cause },
        }
    }
}

/// Reads the records of an account's log in their order, from the first one to the last one that is there at the begin.
pub async fn read_log(link: &Link, cluster: &Cluster, account: &str, each: impl FnMut(Record)) -> Result<(), LogError> {
    let (stream, subject) = cluster.log(account);
    let Some(last) = last_of(link, &stream, &subject).await? else { return Ok(()) };
    LogReader::open(link, cluster, account, 0..last.revision).await?.each(each).await
}

/// Returns the last record of a log, without its content.
async fn last_of(link: &Link, stream: &str, subject: &str) -> Result<Option<LastRecord>, LogError> {
    let Some(stored) = stored(subject, link.last(stream, subject, ANSWER).await)? else { return Ok(None) };
    let head = record::head(stored.revision, &TextFields(&stored.headers));
    Ok(Some(head.map_err(|cause| LogError::of_record(subject, stored.revision, cause))?.0))
}

/// Returns the token of the last record of a log. It is 0 if the record cannot be read.
pub(crate) async fn last_token(link: &Link, cluster: &Cluster, account: &str) -> Result<Option<Token>, LogError> {
    let (stream, subject) = cluster.log(account);
    let stored = stored(&subject, link.last(&stream, &subject, ANSWER).await)?;
    Ok(stored.map(|stored| judge(&cluster.seal(account), &stored).0.token))
}

/// Returns why the first or the last record of a log cannot be read; `None` if both can be read or there is none.
pub(crate) async fn damage(link: &Link, cluster: &Cluster, account: &str) -> Result<Option<LogError>, LogError> {
    let ((stream, subject), seal) = (cluster.log(account), cluster.seal(account));
    for answer in [link.first(&stream, &subject, ANSWER).await, link.last(&stream, &subject, ANSWER).await] {
        if let Some(stored) = stored(&subject, answer)?
            && let (_, Some(cause)) = judge(&seal, &stored)
        {
            return Ok(Some(LogError::of_record(&subject, stored.revision, cause)));
        }
    }
    Ok(None)
}

/// Returns the key that encrypts the first record of a log; `None` if there is no record, or none of parlor.
pub(crate) async fn first_key(link: &Link, cluster: &Cluster, account: &str) -> Result<Option<KeyId>, LogError> {
    let (stream, subject) = cluster.log(account);
    let stored = stored(&subject, link.first(&stream, &subject, ANSWER).await)?;
    Ok(stored.and_then(|stored| key_of(&stored.body)))
}

/// Returns the place of a record, and why it cannot be read, if so.
///
/// Its headers count only if it can be read: anybody may have written them. Otherwise its number is its revision, since each record took
/// one, so that no file of a node goes on from a higher one.
fn judge(seal: &Seal, stored: &Stored) -> (LastRecord, Option<RecordError>) {
    let revision = stored.revision;
    match record::record(seal, revision, &TextFields(&stored.headers), &stored.body) {
        Ok(Record { token, number, .. }) => (LastRecord { revision, token, number }, None),
        Err(cause) => (LastRecord { revision, token: Token(0), number: revision }, Some(cause)),
    }
}

/// Returns the message that an answer holds, if there is one.
fn stored(subject: &str, answer: Result<Last, AskError>) -> Result<Option<Stored>, LogError> {
    let foreign = |revision, cause| LogError::of_record(subject, revision, cause);
    match answer {
        Ok(Last::None) => Ok(None),
        Ok(Last::Stored(stored)) => Ok(Some(stored)),
        Ok(Last::TooLarge) => Err(foreign(0, RecordError::TooLarge)),
        Ok(Last::Strange) => Err(foreign(0, RecordError::Answer)),
        Ok(Last::Failed(error)) => Err(LogError::Put(error)),
        Err(AskError::Unfit(error)) => Err(LogError::Put(PutError::Unfit(error))),
        Err(AskError::Lost | AskError::TooLarge) => {
            Err(LogError::Silent { subject: subject.to_owned(), cause: "there is no answer".to_owned() })
        }
    }
}

/// Removes the records of an account before this revision.
pub(crate) async fn forget_before(
    link: &Link,
    cluster: &Cluster,
    account: &str,
    revision: Revision,
) -> Result<(), LogError> {
    let (stream, subject) = cluster.log(account);
    let purged = link.purge(stream, &subject, revision).await;
    purged.map_err(|cause| LogError::Silent { subject, cause })
}

/// Reads a part of a log.
pub(crate) struct LogReader {
    link: Link,
    stream: String,
    subject: String,
    seal: Seal,
    /// After the start, up to the end, at which there is a record.
    range: Range<Revision>,
    /// The consumer that delivers the records, with its name; `None` if there are none to read.
    delivery: Option<(String, Box<Ordered>)>,
    last: Option<LastRecord>,
}

impl LogReader {
    /// Begins to read the records of an account after the start of a range of revisions up to its end, at which there is a record.
    pub(crate) async fn open(
        link: &Link,
        cluster: &Cluster,
        account: &str,
        range: Range<Revision>,
    ) -> Result<Self, LogError> {
        let (stream, subject) = cluster.log(account);
        Self::begin(link.clone(), stream, subject, cluster.seal(account), range).await
    }

    async fn begin(
        link: Link,
        stream: String,
        subject: String,
        seal: Seal,
        range: Range<Revision>,
    ) -> Result<Self, LogError> {
        let delivery =
            if range.is_empty() { None } else { Some(deliver(&link, &stream, &subject, range.start).await?) };
        Ok(Self { link, stream, subject, seal, range, delivery, last: None })
    }

    /// Returns the next record; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Record>, LogError> {
        if self.last.is_some_and(|last| last.revision >= self.range.end) {
            self.close().await;
        }
        let Some((_, messages)) = &mut self.delivery else { return Ok(None) };
        let subject = &self.subject;
        loop {
            let record = next(messages, subject, &self.seal).await?;
            let Record { revision, token, number, .. } = record;
            if revision <= self.range.start {
                // After a reconnection, the library begins again at the first one if it had none.
                continue;
            }
            if let Some(LastRecord { number: before, token: earlier, .. }) = self.last {
                if number != before + 1 {
                    return Err(LogError::Gap { subject: subject.clone(), expected: before + 1, found: number });
                }
                if token < earlier {
                    let cause = RecordError::Wrong { header: "Parlor-Token", value: token.0.to_string() };
                    return Err(LogError::Foreign { subject: subject.clone(), revision, cause });
                }
            }
            self.last = Some(LastRecord { revision, token, number });
            return Ok(Some(record));
        }
    }

    async fn each(mut self, mut each: impl FnMut(Record)) -> Result<(), LogError> {
        while let Some(record) = self.next().await? {
            each(record);
        }
        Ok(())
    }

    /// Ends the delivery. If it is not removed now, the server removes it after a while.
    pub(crate) async fn close(&mut self) {
        if let Some((name, messages)) = self.delivery.take() {
            drop(messages);
            _ = asked(self.link.jetstream.delete_consumer_from_stream(&name, &self.stream)).await;
        }
    }
}

/// Lets the server deliver the records after a revision. Returns the name of the delivery as well.
async fn deliver(
    link: &Link,
    stream: &str,
    subject: &str,
    after: Revision,
) -> Result<(String, Box<Ordered>), LogError> {
    let config = OrderedConfig {
        filter_subject: subject.to_owned(),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
        ..OrderedConfig::default()
    };
    match delivery::begin(link, stream, config).await {
        Ok((name, messages)) => Ok((name, Box::new(messages))),
        Err(cause) => Err(LogError::Silent { subject: subject.to_owned(), cause }),
    }
}

async fn next(messages: &mut Ordered, subject: &str, seal: &Seal) -> Result<Record, LogError> {
    let silent = |cause: &str| LogError::Silent { subject: subject.to_owned(), cause: cause.to_owned() };
    let arrived = timeout(DELIVERY, messages.next()).await.map_err(|_| silent("nothing arrives"))?;
    let message = arrived.ok_or_else(|| silent("the delivery ended"))?.map_err(|error| silent(&error.to_string()))?;
    let revision = message.info().map_err(|error| silent(&error.to_string()))?.stream_sequence;
    let record = record::record(seal, revision, &message.headers, &message.payload);
    record.map_err(|cause| LogError::of_record(subject, revision, cause))
}
