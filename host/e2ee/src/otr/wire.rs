//! The data types of binary messages: integers, data with a length, and numbers of any size ("MPI").

/// Reads from the front of bytes. Every method returns `None` if the bytes end early or are not written as the protocol says.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| *byte)
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(super) fn int(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// Reads a length of four bytes, and as many bytes.
    pub(super) fn data(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.int()?).ok()?;
        self.take(length)
    }

    /// Reads a number. A leading zero is refused: a number has one form, because fingerprints and hashes are of its bytes.
    pub(super) fn mpi(&mut self) -> Option<&'a [u8]> {
        let bytes = self.data()?;
        (bytes.first() != Some(&0)).then_some(bytes)
    }

    /// Returns `None` unless everything was read.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// Returns what has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// Writes data with its length in front. Everything that is written is shorter than 4 GiB.
pub(super) fn put_data(out: &mut Vec<u8>, data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
}

/// Writes a number without leading zeros.
pub(super) fn put_mpi(out: &mut Vec<u8>, big_endian: &[u8]) {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    put_data(out, &big_endian[zeros..]);
}

#[cfg(test)]
mod tests {
    use super::{Reader, put_data, put_mpi};

    #[test]
    fn numbers_have_one_form() {
        let mut out = Vec::new();
        put_mpi(&mut out, &[0, 0, 7, 0]);
        assert_eq!(out, [0, 0, 0, 2, 7, 0]);
        assert_eq!(Reader::new(&out).mpi(), Some(&[7, 0][..]));
        assert_eq!(Reader::new(&[0, 0, 0, 2, 0, 7]).mpi(), None);
        let mut zero = Vec::new();
        put_mpi(&mut zero, &[0, 0]);
        assert_eq!(zero, [0; 4]);
    }

    #[test]
    fn a_field_that_ends_early_is_refused() {
        let mut out = Vec::new();
        put_data(&mut out, b"abc");
        for length in 0..out.len() {
            assert_eq!(Reader::new(&out[..length]).data(), None);
        }
        let mut reader = Reader::new(&out);
        assert_eq!(reader.data(), Some(&b"abc"[..]));
        assert_eq!(reader.end(), Some(()));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).data(), None);
    }
}
