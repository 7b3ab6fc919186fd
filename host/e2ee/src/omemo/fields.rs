//! The format of states: a sequence of fields, with numbers in big endian, and a count before each list.

use zeroize::Zeroizing;

use super::error::StateError;
use super::secret::Secret;

/// Writes a state: its bytes so far, and how many they may become.
pub(super) struct Writer(Zeroizing<Vec<u8>>, usize);

impl Writer {
    /// Begins with the version. The capacity is reserved at once: growing the vector would leave secrets in freed
    /// memory. All of it is wiped in the end, so it should be little more than what is written.
    pub(super) fn new(version: u8, room: usize) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        bytes.push(version);
        Self(bytes, room)
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.u8(value.into());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    pub(super) fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).expect("each count is bounded by `limits`"));
    }

    pub(super) fn finish(self) -> Secret {
        debug_assert!(self.0.len() <= self.1, "a state is longer than was reserved");
        self.0.into()
    }
}

/// Reads a state.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads the version and refuses any other than this one.
    pub(super) fn new(bytes: &'a [u8], version: u8, longest: usize) -> Result<Self, StateError> {
        if bytes.len() > longest {
            return Err(StateError::Damaged("it is too long"));
        }
        let mut reader = Self(bytes);
        match reader.u8()? {
            is if is == version => Ok(reader),
            other => Err(StateError::UnknownVersion(other)),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(StateError::Damaged("it is cut"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn key(&mut self) -> Result<Zeroizing<[u8; 32]>, StateError> {
        self.array().map(Zeroizing::new)
    }

    pub(super) fn u8(&mut self) -> Result<u8, StateError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Result<bool, StateError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StateError::Damaged("a flag is neither 0 nor 1")),
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32, StateError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, StateError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn count(&mut self, most: usize) -> Result<usize, StateError> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if count > most { Err(StateError::Damaged("there is too much of something")) } else { Ok(count) }
    }

    /// Returns whether all bytes were read.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// There must be no bytes after the end.
    pub(super) fn finish(self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::Damaged("something stands behind its end")) }
    }
}
