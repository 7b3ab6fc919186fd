//! The records of an account's log: a token and a number in headers, and an encrypted change as the body.

use std::fmt;

use async_nats::HeaderMap;
use bytes::Bytes;
use parlor_cluster::{LastRecord, Revision, Token};

use crate::fields::Fields;
use crate::seal::{self, KeyId, OVERHEAD, OpenError, Seal};

/// The format of records that this version writes, and the only one that it reads.
const FORMAT: &str = "2";

/// The maximum size of a record's body. Encrypted and with its headers, it fits into a mebibyte.
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
/// The id of the key. It is for those who count; the sealed body itself says by which key it is opened.
const KEY_FIELD: &str = "Parlor-Key";

/// The place of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its place in the stream.
    pub revision: Revision,
    /// Its number in the log.
    pub number: u64,
}

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

    pub(crate) fn as_str(self) -> &'static str {
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
    /// The key that it was encrypted with.
    pub key: KeyId,
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
    #[error("it has the format {0:?}, and this version of parlor reads format {FORMAT}; another version wrote it")]
    Format(String),
    /// It is larger than any that parlor writes.
    #[error("it is larger than {MOST_IN_A_RECORD} bytes, so another program wrote it")]
    TooLarge,
    /// It is encrypted with a key that this node does not have.
    #[error("it is encrypted with the key {0}, which this node does not have")]
    Key(KeyId),
    /// It does not decrypt.
    #[error("it does not decrypt, so it was changed, or put there by another program")]
    Changed,
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

/// Adds the id of the key that encrypts the record.
pub(crate) fn name_key(headers: &mut HeaderMap, key: KeyId) {
    headers.insert(KEY_FIELD, key.to_string());
}

/// Returns the id of the key, as the headers name it.
pub(crate) fn named_key(fields: &impl Fields) -> Option<KeyId> {
    KeyId::parse(fields.field(KEY_FIELD)?)
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

/// Decrypts and returns a record of the account of this seal.
pub(crate) fn record(
    seal: &Seal,
    revision: Revision,
    fields: &impl Fields,
    sealed: &[u8],
) -> Result<Record, RecordError> {
    if sealed.len() > MOST_IN_A_RECORD + OVERHEAD {
        return Err(RecordError::TooLarge);
    }
    let (LastRecord { token, number, .. }, kind) = head(revision, fields)?;
    let key = seal::key_of(sealed).ok_or(RecordError::Changed)?;
    let body = seal.open_record(token, number, kind, sealed.to_vec())?;
    Ok(Record { revision, token, number, kind, key, body: body.into() })
}

impl From<OpenError> for RecordError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Key(id) => Self::Key(id),
            OpenError::Changed => Self::Changed,
        }
    }
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
    use crate::seal::KeyRing;

    fn seal() -> Seal {
        let (_, line) = KeyRing::generate();
        Seal::new(&KeyRing::parse(&line).unwrap(), &"c".into(), "bot@example.org")
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let seal = seal();
        for kind in Kind::ALL {
            let headers = headers(Token(7), 9, kind);
            let sealed = seal.record(Token(7), 9, kind, b"change").unwrap();
            let read = record(&seal, 3, &headers, &sealed).unwrap();
            let (key, body) = (seal::key_of(&sealed).unwrap(), Bytes::from_static(b"change"));
            assert_eq!(read, Record { revision: 3, token: Token(7), number: 9, kind, key, body });
        }
    }

    /// Otherwise its headers could be written anew by whoever can write to NATS.
    #[test]
    fn a_record_with_the_headers_of_another_is_refused() {
        let seal = seal();
        let sealed = seal.record(Token(7), 9, Kind::Change, b"change").unwrap();
        for (token, number, kind) in [(8, 9, Kind::Change), (7, 8, Kind::Change), (7, 9, Kind::Part)] {
            let read = record(&seal, 3, &headers(Token(token), number, kind), &sealed);
            assert_eq!(read, Err(RecordError::Changed), "{token} {number} {kind}");
        }
        let plain = record(&seal, 3, &headers(Token(7), 9, Kind::Change), b"change");
        assert_eq!(plain, Err(RecordError::Changed), "one that is not encrypted");
    }

    #[test]
    fn a_record_of_another_program_is_refused() {
        let of = |text: &str| head(1, &TextFields(text)).unwrap_err();
        let wrong = |header, value: &str| RecordError::Wrong { header, value: value.to_owned() };
        assert_eq!(of(""), RecordError::Missing(FORMAT_FIELD));
        assert_eq!(of("NATS/1.0\r\nParlor-Format: 1\r\n"), RecordError::Format("1".to_owned()));
        let begin = "NATS/1.0\r\nParlor-Format: 2\r\n";
        assert_eq!(of(begin), RecordError::Missing(TOKEN_FIELD));
        for value in ["", "-1", "+1", "1.5", "18446744073709551615", "99999999999999999999"] {
            assert_eq!(of(&format!("{begin}Parlor-Token: {value}\r\n")), wrong(TOKEN_FIELD, value));
        }
        let begin = format!("{begin}Parlor-Token: 1\r\nParlor-Number: 1\r\n");
        assert_eq!(of(&begin), RecordError::Missing(KIND_FIELD));
        assert_eq!(of(&format!("{begin}Parlor-Kind: other\r\n")), wrong(KIND_FIELD, "other"));
        let large = vec![0; MOST_IN_A_RECORD + OVERHEAD + 1];
        assert_eq!(record(&seal(), 1, &headers(Token(1), 1, Kind::Change), &large), Err(RecordError::TooLarge));
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
