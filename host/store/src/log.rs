//! The log of an account's changes. In a cluster, a change is made only after its record is in the log, so that another node
//! can go on from there. Without a cluster there is none.

use std::fmt;

use tokio::sync::oneshot;

use super::record::Record;

/// Tells whether a record is in the log, and at which place.
pub type Receipt = oneshot::Receiver<Result<LogPosition, LogError>>;

/// The place of a record in the log of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogPosition {
    /// The token of the holder that wrote it.
    pub token: u64,
    /// Its number in the log of the account; 0 if there is none.
    pub number: u64,
    /// Its place among the records of all accounts.
    pub revision: u64,
}

impl LogPosition {
    /// Returns whether a record at this place follows one at that place.
    pub fn follows(self, before: Self) -> bool {
        self.number > before.number && self.revision > before.revision && self.token >= before.token
    }
}

/// The reason that a record is not in the log, or may not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Another node has taken over the account.
    #[error("another node has taken over the account; this one makes no further change")]
    Fenced,
    /// The log has ended, and whether it has the record is not known. The file may lack it from then on.
    #[error("the log of the account has ended; start the account again, so that it goes on from there")]
    Ended,
}

/// Receives the records of changes, in their order.
pub trait Log: fmt::Debug + Send + 'static {
    /// Appends a record. The change is made when the receipt says that the log has it; until then nothing else changes the
    /// file. After any other answer, the file makes no further change.
    fn publish(&mut self, record: Record) -> Receipt;

    /// Returns whether it wants records at all. If not, changes are not recorded, and cost nothing more.
    fn wants_records(&self) -> bool {
        true
    }
}

/// No log: the file alone has the changes.
#[derive(Debug, Clone, Copy)]
pub struct NoLog;

impl Log for NoLog {
    fn publish(&mut self, _: Record) -> Receipt {
        let (told, receipt) = oneshot::channel();
        // The receipt is still here.
        let _ = told.send(Ok(LogPosition::default()));
        receipt
    }

    fn wants_records(&self) -> bool {
        false
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex, MutexGuard};

    use super::*;

    /// A log that keeps records in memory, and answers as it is told.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct KeptLog(Arc<Mutex<Kept>>);

    #[derive(Debug, Default)]
    struct Kept {
        records: Vec<KeptRecord>,
        /// The number of the last record.
        last: u64,
        answer: Answer,
        /// The answers that are to come.
        delayed: Vec<(LogPosition, oneshot::Sender<Result<LogPosition, LogError>>)>,
    }

    /// A record with its place.
    pub(crate) type KeptRecord = (LogPosition, Record);

    /// How the log answers.
    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) enum Answer {
        /// The record is kept.
        #[default]
        Kept,
        /// It is kept, and the answer comes later.
        Delayed,
        /// It is not kept.
        Refused(LogError),
        /// It is kept, and the answer is lost.
        Lost,
    }

    impl KeptLog {
        fn kept(&self) -> MutexGuard<'_, Kept> {
            self.0.lock().unwrap()
        }

        /// Sets how it answers from now on.
        pub(crate) fn answers(&self, answer: Answer) {
            self.kept().answer = answer;
        }

        /// Returns how many answers are to come.
        pub(crate) fn delayed(&self) -> usize {
            self.kept().delayed.len()
        }

        /// Sends the answers that are to come. Those who waited for them may have ended.
        pub(crate) fn catch_up(&self) {
            for (position, told) in std::mem::take(&mut self.kept().delayed) {
                let _ = told.send(Ok(position));
            }
        }

        /// Returns all records.
        pub(crate) fn records(&self) -> Vec<KeptRecord> {
            self.kept().records.clone()
        }

        /// Removes and returns all records.
        pub(crate) fn take(&self) -> Vec<KeptRecord> {
            std::mem::take(&mut self.kept().records)
        }
    }

    impl Log for KeptLog {
        fn publish(&mut self, record: Record) -> Receipt {
            let mut kept = self.kept();
            let (told, receipt) = oneshot::channel();
            let answer = kept.answer;
            if let Answer::Refused(error) = answer {
                told.send(Err(error)).unwrap();
                return receipt;
            }
            kept.last += 1;
            // As if other accounts wrote in between.
            let position = LogPosition { token: 1, number: kept.last, revision: kept.last * 3 };
            kept.records.push((position, record));
            match answer {
                Answer::Kept => told.send(Ok(position)).unwrap(),
                Answer::Delayed => kept.delayed.push((position, told)),
                Answer::Refused(_) | Answer::Lost => {}
            }
            receipt
        }
    }

    #[test]
    fn no_log_wants_no_records() {
        assert!(!NoLog.wants_records() && KeptLog::default().wants_records());
    }

    #[test]
    fn a_place_follows_another_if_all_of_it_goes_on() {
        let at = |token, number, revision| LogPosition { token, number, revision };
        let before = at(3, 7, 20);
        assert!(
            at(3, 8, 21).follows(before) && at(4, 30, 90).follows(before) && before.follows(LogPosition::default())
        );
        for other in [before, at(3, 7, 21), at(3, 8, 20), at(2, 8, 21), LogPosition::default()] {
            assert!(!other.follows(before), "{other:?}");
        }
    }
}
