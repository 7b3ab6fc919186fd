//! The content of a decrypted message: text, and behind it records with a type and a length.

use zeroize::Zeroizing;

/// The kinds of records that mean something here. Other types are skipped: padding, the extra key, later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Disconnected,
    Smp1,
    Smp2,
    Smp3,
    Smp4,
    SmpAbort,
    /// The first message of a comparison, with a question.
    Smp1Q,
}

impl Kind {
    const ALL: [(Self, u16); 7] = [
        (Self::Disconnected, 1),
        (Self::Smp1, 2),
        (Self::Smp2, 3),
        (Self::Smp3, 4),
        (Self::Smp4, 5),
        (Self::SmpAbort, 6),
        (Self::Smp1Q, 7),
    ];

    fn number(self) -> u16 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, number)| *number)
    }

    fn of(number: u16) -> Option<Self> {
        Self::ALL.iter().find(|(_, of)| *of == number).map(|(kind, _)| *kind)
    }
}

/// Writes a message without text, and one record.
pub(super) fn write(kind: Kind, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(vec![0]);
    out.extend_from_slice(&kind.number().to_be_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value);
    out
}

/// Splits a decrypted message into its text and its records. A record that is cut off ends the records.
pub(super) fn read(plain: &[u8]) -> (&[u8], Vec<(Kind, &[u8])>) {
    let end = plain.iter().position(|byte| *byte == 0);
    let Some((text, rest)) = end.and_then(|end| Some((&plain[..end], plain.get(end + 1..)?))) else {
        return (plain, Vec::new());
    };
    let mut records = Vec::new();
    let mut reader = super::wire::Reader::new(rest);
    while let Some((number, length)) = reader.short().zip(reader.short()) {
        let Some(value) = reader.take(usize::from(length)) else { break };
        records.extend(Kind::of(number).map(|kind| (kind, value)));
    }
    (text, records)
}

#[cfg(test)]
mod tests {
    use super::{Kind, read, write};

    #[test]
    fn text_and_records_are_split() {
        assert_eq!(read(b"hello"), (&b"hello"[..], vec![]));
        assert_eq!(read(b""), (&b""[..], vec![]));
        assert_eq!(read(b"hello\0"), (&b"hello"[..], vec![]));
        let with = b"hello\0\0\0\0\x02..\0\x01\0\0\0\x09\0\x01x\0\x06\0\x01y";
        assert_eq!(read(with), (&b"hello"[..], vec![(Kind::Disconnected, &b""[..]), (Kind::SmpAbort, b"y")]));
        assert_eq!(read(b"\0\0\x02\0\x05abc"), (&b""[..], vec![]));
        // The extra symmetric key.
        assert_eq!(read(b"hello\0\0\x08\0\x04\0\0\0\x01"), (&b"hello"[..], vec![]));
        for (kind, _) in Kind::ALL {
            assert_eq!(read(&write(kind, b"value")), (&b""[..], vec![(kind, &b"value"[..])]));
        }
    }
}
