//! The records of an account's log: a token and a number in headers, and a change as the body.

use std::fmt;

use async_nats::HeaderMap;
use bytes::Bytes;
use parlor_cluster::{LastRecord, Revision, Token};

use crate::fields::Fields;

/// The format of records that this version writes, and the only one that it reads.
const FORMAT: &str = "1";

/// The maximum size of a record's body. With its headers, it fits into a mebibyte.
pub const MOST_IN_A_RECORD: usize = 896 * 1024;

/// The maximum size of a change. One that does not fit into a record is split.
pub const MOST_IN_A_CHANGE: usize = 16 * 1024 * 1024;

/// The maximum size of a snapshot, which takes the place of records.
pub const MOST_IN_A_SNAPSHOT: usize = parlor_store::LARGEST_SNAPSHOT;

/// The largest token or number that is believed: they only count up from 0.
const HIGHEST: u64 = 1 << 53;

/// The maximum length of a foreign text that an error shows.
const SHOWN: usize = 64;

const FORMAT_FIELD: &str = "Parlor-Format";
const TOKEN_FIELD: &str = "Parlor-Token";
const NUMBER_FIELD: &str = "Parlor-Number";
const KIND_FIELD: &str = "Parlor-Kind";

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first record of a holder. It has no body.
    Fence,
    /// The beginning of a change that does not fit into one record. A change without its last part was never made.
    Part,
    /// A change, or the last part of one.
    Change,
    /// A snapshot was stored; the body names it.
    Snapshot,
    /// The account begins anew here, whatever the records before it say: with the snapshot that the body names, or with nothing.
    Anew,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Fence, Self::Part, Self::Change, Self::Snapshot, Self::Anew];

    fn as_str(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Part => "part",
            Self::Change => "change",
            Self::Snapshot => "snapshot",
            Self::Anew => "anew",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record of an account's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the stream.
    pub revision: Revision,
    /// The token of the holder that wrote it.
    pub token: Token,
    /// One more than the number of the record before it.
    pub number: u64,
    /// The kind of the record.
    pub kind: Kind,
    /// The change.
    pub body: Bytes,
}

/// The reason why a message in a log is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A header is missing.
    #[error("it has no header {0}, so another program wrote it")]
    Missing(&'static str),
    /// A header has a value that parlor does not write.
    #[error("its header {header} is {value:?}, so another program wrote it")]
    Wrong {
        /// The name of the header.
        header: &'static str,
        /// The beginning of its value.
        value: String,
    },
    /// It has another format.
    #[error("it has the format {0:?}, and this version of parlor reads format 1; a newer version wrote it")]
    Format(String),
    /// It is larger than any that parlor writes.
    #[error("it is larger than {MOST_IN_A_RECORD} bytes, so another program wrote it")]
    TooLarge,
    /// It is the last of parts that are larger together than any change.
    #[error("the parts of its change are larger together than {MOST_IN_A_CHANGE} bytes, so another program wrote them")]
    Parts,
    /// The server's answer holds no message.
    #[error("the server's answer cannot be read")]
    Answer,
}

/// Returns the headers of a record.
pub(crate) fn headers(token: Token, number: u64, kind: Kind) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(FORMAT_FIELD, FORMAT);
    headers.insert(TOKEN_FIELD, token.0.to_string());
    headers.insert(NUMBER_FIELD, number.to_string());
    headers.insert(KIND_FIELD, kind.as_str());
    headers
}

/// Returns a record without its content.
pub(crate) fn head(revision: Revision, fields: &impl Fields) -> Result<(LastRecord, Kind), RecordError> {
    let format = fields.field(FORMAT_FIELD).ok_or(RecordError::Missing(FORMAT_FIELD))?;
    if format != FORMAT {
        return Err(RecordError::Format(shown(format)));
    }
    let token = Token(count(fields, TOKEN_FIELD)?);
    let number = count(fields, NUMBER_FIELD)?;
    let kind = fields.field(KIND_FIELD).ok_or(RecordError::Missing(KIND_FIELD))?;
    let found = Kind::ALL.into_iter().find(|one| one.as_str() == kind);
    let kind = found.ok_or_else(|| RecordError::Wrong { header: KIND_FIELD, value: shown(kind) })?;
    Ok((LastRecord { revision, token, number }, kind))
}

/// Returns a record.
pub(crate) fn record(revision: Revision, fields: &impl Fields, body: Bytes) -> Result<Record, RecordError> {
    if body.len() > MOST_IN_A_RECORD {
        return Err(RecordError::TooLarge);
    }
    let (LastRecord { token, number, .. }, kind) = head(revision, fields)?;
    Ok(Record { revision, token, number, kind, body })
}

fn count(fields: &impl Fields, header: &'static str) -> Result<u64, RecordError> {
    let value = fields.field(header).ok_or(RecordError::Missing(header))?;
    let wrong = || RecordError::Wrong { header, value: shown(value) };
    let is_plain = value.bytes().all(|one| one.is_ascii_digit());
    value.parse().ok().filter(|count| is_plain && *count <= HIGHEST).ok_or_else(wrong)
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::TextFields;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for kind in Kind::ALL {
            let headers = headers(Token(7), 9, kind);
            let read = record(3, &headers, Bytes::from_static(b"change")).unwrap();
            let body = Bytes::from_static(b"change");
            assert_eq!(read, Record { revision: 3, token: Token(7), number: 9, kind, body });
        }
    }

    #[test]
    fn what_another_program_wrote_is_no_record() {
        let of = |text: &str| head(1, &TextFields(text)).unwrap_err();
        let wrong = |header, value: &str| RecordError::Wrong { header, value: value.to_owned() };
        assert_eq!(of(""), RecordError::Missing(FORMAT_FIELD));
        assert_eq!(of("NATS/1.0\r\nParlor-Format: 2\r\n"), RecordError::Format("2".to_owned()));
        let begin = "NATS/1.0\r\nParlor-Format: 1\r\n";
        assert_eq!(of(begin), RecordError::Missing(TOKEN_FIELD));
        for value in ["", "-1", "+1", "1.5", "18446744073709551615", "99999999999999999999"] {
            assert_eq!(of(&format!("{begin}Parlor-Token: {value}\r\n")), wrong(TOKEN_FIELD, value));
        }
        let begin = format!("{begin}Parlor-Token: 1\r\nParlor-Number: 1\r\n");
        assert_eq!(of(&begin), RecordError::Missing(KIND_FIELD));
        assert_eq!(of(&format!("{begin}Parlor-Kind: other\r\n")), wrong(KIND_FIELD, "other"));
        let large = Bytes::from(vec![0; MOST_IN_A_RECORD + 1]);
        assert_eq!(record(1, &headers(Token(1), 1, Kind::Change), large), Err(RecordError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_headers_are_a_record_or_an_error(value in ".*", token in ".*", number in ".*", kind in ".*") {
            let text = format!("NATS/1.0\r\nParlor-Format: {value}\r\nParlor-Token: {token}\r\nParlor-Number: {number}\r\nParlor-Kind: {kind}");
            if let Ok((last, _)) = head(1, &TextFields(&text)) {
                prop_assert!(last.token.0 <= HIGHEST && last.number <= HIGHEST);
            }
        }
    }
}
