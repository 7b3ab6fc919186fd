//! The log of an account's changes. In a cluster, a change is made only after its record is in the log, so that another node
//! can go on from there. Without a cluster there is none.

use std::fmt;

use tokio::sync::oneshot;

use super::record::Record;

/// Tells whether a record is in the log.
pub type Receipt = oneshot::Receiver<Result<(), LogError>>;

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
        let _ = told.send(Ok(()));
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
        records: Vec<Record>,
        answer: Answer,
    }

    /// How the log answers.
    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) enum Answer {
        /// The record is kept.
        #[default]
        Kept,
        /// It is not.
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

        /// Removes and returns all records.
        pub(crate) fn take(&self) -> Vec<Record> {
            std::mem::take(&mut self.kept().records)
        }
    }

    impl Log for KeptLog {
        fn publish(&mut self, record: Record) -> Receipt {
            let mut kept = self.kept();
            let (told, receipt) = oneshot::channel();
            match kept.answer {
                Answer::Kept => {
                    kept.records.push(record);
                    told.send(Ok(())).unwrap();
                }
                Answer::Refused(error) => told.send(Err(error)).unwrap(),
                Answer::Lost => kept.records.push(record),
            }
            receipt
        }
    }

    #[test]
    fn no_log_wants_no_records() {
        assert!(!NoLog.wants_records() && KeptLog::default().wants_records());
    }
}
