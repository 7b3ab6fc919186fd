//! Changes as the records of a log have them: most are one record, and long ones are split.

use parlor_cluster::Token;

use crate::record::{Kind, MOST_IN_A_CHANGE, Record, RecordError};

/// Puts the parts of changes together, as records are read in their order.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The parts of a change that has not ended, and the holder that wrote them.
    open: Option<(Token, Vec<u8>)>,
}

impl Changes {
    /// Takes in the next record. Returns the change that ends with it.
    pub(crate) fn take(&mut self, record: &Record) -> Result<Option<Vec<u8>>, RecordError> {
        match record.kind {
            // The holder that wrote the parts ended before their change did. It told nobody that the change was made.
            Kind::Fence | Kind::Snapshot | Kind::Anew => {
                self.open = None;
                return Ok(None);
            }
            Kind::Part | Kind::Change => {}
        }
        let (token, mut bytes) = self.open.take().unwrap_or((record.token, Vec::new()));
        if token != record.token || bytes.len() + record.body.len() > MOST_IN_A_CHANGE {
            return Err(RecordError::Parts);
        }
        bytes.extend_from_slice(&record.body);
        if record.kind == Kind::Change {
            return Ok(Some(bytes));
        }
        self.open = Some((token, bytes));
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::MOST_IN_A_RECORD;
    use crate::seal::KeyRing;

    fn record(token: u64, kind: Kind, body: &[u8]) -> Record {
        let ((key, _), body) = (KeyRing::generate(), Bytes::copy_from_slice(body));
        Record { revision: 1, token: Token(token), number: 1, kind, key, body }
    }

    #[test]
    fn parts_are_one_change_and_those_without_an_end_are_none() {
        let mut changes = Changes::default();
        let mut take = |token, kind, body: &[u8]| changes.take(&record(token, kind, body)).unwrap();
        assert_eq!(take(1, Kind::Fence, b""), None);
        assert_eq!(take(1, Kind::Change, b"one").as_deref(), Some(&b"one"[..]));
        assert_eq!(take(1, Kind::Part, b"a"), None);
        assert_eq!(take(1, Kind::Part, b"b"), None);
        assert_eq!(take(1, Kind::Change, b"c").as_deref(), Some(&b"abc"[..]));
        assert_eq!(take(1, Kind::Part, b"lost"), None);
        assert_eq!(take(2, Kind::Fence, b""), None);
        assert_eq!(take(2, Kind::Change, b"two").as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn parts_of_different_holders_or_without_end_are_an_error() {
        let mut changes = Changes::default();
        changes.take(&record(1, Kind::Part, b"a")).unwrap();
        assert_eq!(changes.take(&record(2, Kind::Change, b"b")), Err(RecordError::Parts));
        let (mut changes, long) = (Changes::default(), vec![0; MOST_IN_A_RECORD]);
        let taken = (0..=MOST_IN_A_CHANGE / MOST_IN_A_RECORD).map(|_| changes.take(&record(1, Kind::Part, &long)));
        assert_eq!(taken.last(), Some(Err(RecordError::Parts)));
    }
}
