//! The format of a record: the executed statements of one change, by number, with their parameters.
//!
//! ```text
//! record    = format (u16), number of writes (u32), writes
//! write     = statement (u16), number of parameters (u8), parameters
//! parameter = 0 (null) | 1, i64 | 2, length (u32), UTF-8 | 3, length (u32), bytes
//!           | 4 (same as the parameter at this place in the write before)
//! ```
//!
//! Numbers are big-endian. Most writes of one change have the same account and plugin, which are therefore written once.
//! The bounds are checked by writer and reader alike: what is written can be read.

use std::mem;
use std::ops::Range;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// The highest format of records that this parlor writes and reads. Each new statement makes a new format.
pub const FORMAT: u16 = 5;
/// The last statement of each format, beginning with the first one. A record has the lowest format that has all its statements, so that
/// a node with an earlier parlor goes on reading what does not need a later one.
const LAST_STATEMENTS: [u16; FORMAT as usize] = [63, 72, 73, 74, 76];
/// The maximum length of a record, in bytes.
pub(super) const LONGEST: usize = 16 << 20;
/// The maximum number of writes in a record. A roster of 50,000 contacts fits.
pub(super) const MOST_WRITES: u32 = 1 << 17;
/// The maximum number of parameters of a statement.
pub(super) const MOST_PARAMETERS: usize = 32;
/// The maximum length of all parameters together, in bytes, where those that repeat others count in full. Otherwise a small
/// record could write gigabytes.
const LONGEST_VALUES: usize = 64 << 20;
/// The length of the format and the number of writes.
const HEADER: usize = 6;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BLOB: u8 = 3;
const SAME: u8 = 4;

/// The reason that a record cannot be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The format is not known here.
    #[error("the record has format {0}, and this parlor reads {FORMAT}: update parlor on this machine")]
    Format(u16),
    /// The statement is not known here.
    #[error("the record has statement {0}, which this parlor does not know: update parlor on this machine")]
    Statement(u16),
    /// The statement takes another number of parameters.
    #[error("the record has {found} parameters for statement {statement}: it was not written by parlor")]
    Parameters {
        /// The number of the statement.
        statement: u16,
        /// The number of parameters in the record.
        found: usize,
    },
    /// The record ends early.
    #[error("the record ends in the middle: it was cut off")]
    Cut,
    /// Bytes follow the last write.
    #[error("the record goes on after its last write: it was not written by parlor")]
    Rest,
    /// A parameter has a kind that is not part of the format.
    #[error("the record has a parameter of kind {0}: it was not written by parlor")]
    Kind(u8),
    /// A text is not UTF-8.
    #[error("the record has a text that is not UTF-8: it was not written by parlor")]
    Text,
    /// The record, or what it writes, is too long.
    #[error("the record has more than {LONGEST} bytes, {MOST_WRITES} writes or {LONGEST_VALUES} bytes of parameters")]
    TooLong,
    /// Rows were changed without being recorded.
    #[error("rows were changed that the record does not have: report this as a bug of parlor")]
    Unrecorded,
}

impl From<RecordError> for rusqlite::Error {
    fn from(error: RecordError) -> Self {
        Self::ToSqlConversionFailure(error.into())
    }
}

/// The record of one change, to be appended to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Vec<u8>);

impl Record {
    /// Returns its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The record of the change that is being made.
#[derive(Debug, Default)]
pub(super) struct Recording {
    bytes: Vec<u8>,
    writes: u32,
    /// The length of all parameters.
    values: usize,
    /// The places in `bytes` of the parameters of the last write.
    last: Vec<Range<usize>>,
    /// The same for the write that is being added.
    next: Vec<Range<usize>>,
}

/// A place in a recording, to which it can be cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    length: usize,
    writes: u32,
    values: usize,
}

impl Recording {
    /// Begins with nothing recorded.
    pub(super) fn clear(&mut self) {
        self.cut(Mark { length: 0, writes: 0, values: 0 });
    }

    /// Returns the place up to which it is recorded.
    pub(super) fn mark(&self) -> Mark {
        Mark { length: self.bytes.len(), writes: self.writes, values: self.values }
    }

    /// Drops what was recorded after this place.
    pub(super) fn cut(&mut self, Mark { length, writes, values }: Mark) {
        self.bytes.truncate(length);
        (self.writes, self.values) = (writes, values);
        // They may have been cut off.
        self.last.clear();
    }

    /// Adds an executed write. If it does not fit, nothing is added.
    pub(super) fn add(&mut self, statement: u16, parameters: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let before = self.mark();
        let added = self.try_add(statement, parameters);
        if added.is_err() {
            self.cut(before);
        }
        added
    }

    fn try_add(&mut self, statement: u16, parameters: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let found = parameters.len();
        let count = u8::try_from(found).ok().filter(|_| found <= MOST_PARAMETERS);
        let count = count.ok_or(RecordError::Parameters { statement, found })?;
        if self.bytes.is_empty() {
            self.bytes.extend([0; HEADER]);
        }
        // If a write is cut off again, the record may have a higher format than it needs.
        let format = format_of(statement).to_be_bytes();
        if self.bytes[..2] < format[..] {
            self.bytes[..2].copy_from_slice(&format);
        }
        self.bytes.extend(statement.to_be_bytes());
        self.bytes.push(count);
        self.next.clear();
        for (index, parameter) in parameters.iter().enumerate() {
            let at = self.bytes.len();
            put(&mut self.bytes, &parameter.to_sql()?)?;
            let mut place = at..self.bytes.len();
            self.values += place.len();
            if let Some(before) = self.last.get(index).cloned()
                && place.len() > 1
                && self.bytes[before.clone()] == self.bytes[place.clone()]
            {
                self.bytes.truncate(at);
                self.bytes.push(SAME);
                place = before;
            }
            self.next.push(place);
        }
        mem::swap(&mut self.last, &mut self.next);
        self.writes += 1;
        if self.bytes.len() > LONGEST || self.values > LONGEST_VALUES || self.writes > MOST_WRITES {
            return Err(RecordError::TooLong.into());
        }
        Ok(())
    }

    /// Returns the record, and begins the next one. Returns `None` if nothing was recorded.
    pub(super) fn take(&mut self) -> Option<Record> {
        let mut bytes = mem::take(&mut self.bytes);
        let writes = self.writes;
        self.clear();
        if writes == 0 {
            return None;
        }
        bytes[2..HEADER].copy_from_slice(&writes.to_be_bytes());
        Some(Record(bytes))
    }
}

/// Returns the lowest format that has a statement. A number that none has is for tests.
fn format_of(statement: u16) -> u16 {
    (1..).zip(LAST_STATEMENTS).find(|(_, last)| statement <= *last).map_or(FORMAT, |(format, _)| format)
}

fn put(bytes: &mut Vec<u8>, value: &ToSqlOutput<'_>) -> rusqlite::Result<()> {
    let value = match value {
        ToSqlOutput::Borrowed(value) => *value,
        ToSqlOutput::Owned(value) => ValueRef::from(value),
        _ => return Err(unsupported()),
    };
    let mut long = |kind: u8, value: &[u8]| -> rusqlite::Result<()> {
        let length = u32::try_from(value.len()).map_err(|_| RecordError::TooLong)?;
        bytes.push(kind);
        bytes.extend(length.to_be_bytes());
        bytes.extend(value);
        Ok(())
    };
    match value {
        ValueRef::Text(value) => return long(TEXT, value),
        ValueRef::Blob(value) => return long(BLOB, value),
        ValueRef::Null => bytes.push(NULL),
        ValueRef::Integer(value) => {
            bytes.push(INTEGER);
            bytes.extend(value.to_be_bytes());
        }
        // No column has such a value.
        ValueRef::Real(_) => return Err(unsupported()),
    }
    Ok(())
}

fn unsupported() -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure("a parameter has a type that no record has".into())
}

/// Passes each write of a record to `with`: the number of the statement, and its parameters. Stops at the first error.
pub(super) fn each<'r, E: From<RecordError>>(
    record: &'r [u8],
    mut with: impl FnMut(u16, &[ValueRef<'r>]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = Rest(record);
    let format = u16::from_be_bytes(rest.array()?);
    if !(1..=FORMAT).contains(&format) {
        return Err(RecordError::Format(format).into());
    }
    let writes = u32::from_be_bytes(rest.array()?);
    if record.len() > LONGEST || writes > MOST_WRITES {
        return Err(RecordError::TooLong.into());
    }
    let (mut values, mut lengths, mut total) = (Vec::<ValueRef<'r>>::new(), Vec::<usize>::new(), 0);
    for _ in 0..writes {
        let statement = u16::from_be_bytes(rest.array()?);
        let found = usize::from(u8::from_be_bytes(rest.array()?));
        if found > MOST_PARAMETERS {
            return Err(RecordError::Parameters { statement, found }.into());
        }
        for index in 0..found {
            let before = rest.0.len();
            let parameter = rest.parameter()?;
            let length = match parameter {
                Some(_) => before - rest.0.len(),
                None => *lengths.get(index).ok_or(RecordError::Kind(SAME))?,
            };
            total += length;
            if total > LONGEST_VALUES {
                return Err(RecordError::TooLong.into());
            }
            match (parameter, values.get_mut(index)) {
                (Some(value), Some(last)) => {
                    *last = value;
                    lengths[index] = length;
                }
                (Some(value), None) => {
                    values.push(value);
                    lengths.push(length);
                }
                (None, _) => {}
            }
        }
        values.truncate(found);
        lengths.truncate(found);
        with(statement, &values)?;
    }
    if rest.0.is_empty() { Ok(()) } else { Err(RecordError::Rest.into()) }
}

/// The part of a record that was not read yet.
struct Rest<'r>(&'r [u8]);

impl<'r> Rest<'r> {
    fn bytes(&mut self, length: usize) -> Result<&'r [u8], RecordError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(RecordError::Cut)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(RecordError::Cut)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn long(&mut self) -> Result<&'r [u8], RecordError> {
        let length = usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| RecordError::TooLong)?;
        self.bytes(length)
    }

    /// Reads a parameter. Returns `None` if it is that of the write before.
    fn parameter(&mut self) -> Result<Option<ValueRef<'r>>, RecordError> {
        let kind = u8::from_be_bytes(self.array()?);
        Ok(Some(match kind {
            NULL => ValueRef::Null,
            INTEGER => ValueRef::Integer(i64::from_be_bytes(self.array()?)),
            TEXT => {
                let text = self.long()?;
                std::str::from_utf8(text).map_err(|_| RecordError::Text)?;
                ValueRef::Text(text)
            }
            BLOB => ValueRef::Blob(self.long()?),
            SAME => return Ok(None),
            kind => return Err(RecordError::Kind(kind)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;

    type Writes = Vec<(u16, Vec<rusqlite::types::Value>)>;

    fn writes(record: &[u8]) -> Result<Writes, RecordError> {
        let mut all = Vec::new();
        each(record, |statement, values| {
            all.push((
                statement,
                values.iter().map(|value| rusqlite::types::Value::try_from(*value).unwrap()).collect(),
            ));
            Ok::<_, RecordError>(())
        })?;
        Ok(all)
    }

    fn text(text: &str) -> rusqlite::types::Value {
        text.to_owned().into()
    }

    #[test]
    fn what_is_recorded_is_read_and_repeated_parameters_take_a_byte() {
        let mut recording = Recording::default();
        let long = "x".repeat(1_000);
        recording.add(1, params![long, 7, None::<i64>]).unwrap();
        recording.add(2, params![long, 8, [1_u8, 2]]).unwrap();
        recording.add(3, params![]).unwrap();
        recording.add(1, params![long]).unwrap();
        let record = recording.take().unwrap().into_bytes();
        assert!(record.len() < 2_100, "{}", record.len());
        let expected: Writes = vec![
            (1, vec![text(&long), 7.into(), rusqlite::types::Value::Null]),
            (2, vec![text(&long), 8.into(), vec![1, 2].into()]),
            (3, vec![]),
            (1, vec![text(&long)]),
        ];
        assert_eq!(writes(&record), Ok(expected));
        assert_eq!(recording.take(), None, "it begins anew");
    }

    #[test]
    fn writes_after_a_mark_that_is_cut_are_not_in_the_record() {
        let mut recording = Recording::default();
        recording.add(1, params!["a"]).unwrap();
        let mark = recording.mark();
        recording.add(2, params!["long enough to be repeated"]).unwrap();
        recording.cut(mark);
        recording.add(3, params!["long enough to be repeated"]).unwrap();
        let record = recording.take().unwrap();
        let expected = vec![(1, vec![text("a")]), (3, vec![text("long enough to be repeated")])];
        assert_eq!(writes(record.as_bytes()), Ok(expected));
    }

    #[test]
    fn parameters_that_no_reader_accepts_are_not_recorded() {
        let mut recording = Recording::default();
        recording.add(1, params!["a"]).unwrap();
        let long = vec![0_u8; LONGEST];
        for refused in [recording.add(1, params![long]), recording.add(1, params![0.5])] {
            refused.unwrap_err();
        }
        recording.add(2, params!["b"]).unwrap();
        let record = recording.take().unwrap();
        assert_eq!(writes(record.as_bytes()), Ok(vec![(1, vec![text("a")]), (2, vec![text("b")])]));
    }

    /// A node with an earlier parlor reads the records that do not need a later one.
    #[test]
    fn a_record_has_the_lowest_format_that_has_its_statements() {
        let mut recording = Recording::default();
        for (statements, format) in
            [(&[1, 63][..], 1_u16), (&[64][..], 2), (&[72, 1][..], 2), (&[2][..], 1), (&[1, 73][..], 3), (&[74][..], 4)]
        {
            for statement in statements {
                recording.add(*statement, params!["a"]).unwrap();
            }
            let record = recording.take().unwrap();
            assert_eq!(record.as_bytes()[..2], format.to_be_bytes(), "{statements:?}");
            assert_eq!(writes(record.as_bytes()).map(|writes| writes.len()), Ok(statements.len()));
        }
    }

    /// A few bytes must not write gigabytes.
    #[test]
    fn repeated_parameters_count_in_full() {
        let mut record = FORMAT.to_be_bytes().to_vec();
        record.extend(100_u32.to_be_bytes());
        record.extend([0, 1, 1, BLOB]);
        record.extend((1_u32 << 20).to_be_bytes());
        record.extend(vec![0; 1 << 20]);
        for _ in 1..100 {
            record.extend([0, 1, 1, SAME]);
        }
        assert_eq!(writes(&record), Err(RecordError::TooLong));
        record[2..HEADER].copy_from_slice(&60_u32.to_be_bytes());
        record.truncate(record.len() - 40 * 4);
        assert_eq!(writes(&record).map(|writes| writes.len()), Ok(60));
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_with_the_reason() {
        let record = |writes: u32, rest: &[u8]| [&FORMAT.to_be_bytes(), &writes.to_be_bytes()[..], rest].concat();
        let cases = [
            (vec![], RecordError::Cut),
            (vec![0, 9], RecordError::Format(9)),
            (record(1, &[]), RecordError::Cut),
            (record(0, &[0]), RecordError::Rest),
            (record(u32::MAX, &[]), RecordError::TooLong),
            (record(1, &[0, 5, 33]), RecordError::Parameters { statement: 5, found: 33 }),
            (record(1, &[0, 5, 1, 9]), RecordError::Kind(9)),
            (record(1, &[0, 5, 1, SAME]), RecordError::Kind(SAME)),
            (record(1, &[0, 5, 1, TEXT, 0, 0, 0, 1, 0xff]), RecordError::Text),
            (record(1, &[0, 5, 1, BLOB, 0xff, 0xff, 0xff, 0xff, 0]), RecordError::Cut),
            (record(1, &[0, 5, 1, INTEGER, 0]), RecordError::Cut),
            (vec![0; LONGEST + 1], RecordError::Format(0)),
            (record(1, &vec![0; LONGEST]), RecordError::TooLong),
        ];
        for (record, expected) in cases {
            assert_eq!(writes(&record), Err(expected), "{:?}", &record[..record.len().min(20)]);
        }
    }
}
