//! The archive: members with names and sizes, in the format of tar (POSIX ustar), so that `tar` can list it.
//!
//! The reader takes only what the writer makes. It gives no path to the file system: callers look names up.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom, Write};

/// The size of a block. A member takes one for its head, and whole ones for its bytes.
const BLOCK: usize = 512;
/// The longest name of a member.
const LONGEST_NAME: usize = 100;
/// The most members.
const MOST: usize = 100_000;
/// The places of the fields of a head.
const MODE: usize = 100;
const SIZE: std::ops::Range<usize> = 124..136;
const TIME: usize = 136;
const SUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..265;
/// A plain file.
const PLAIN: u8 = b'0';
const USTAR: &[u8; 8] = b"ustar\x0000";
/// The first byte of a size that is binary, as those from 8 GiB on are.
const BINARY: u8 = 0x80;
/// The first size that does not fit into octal digits.
const LARGE: u64 = 1 << 33;

/// A member's place in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// The place of its first byte.
    at: u64,
    /// The number of its bytes.
    pub(super) size: u64,
}

/// Appends a member of `size` bytes.
pub(super) fn append(to: &mut impl Write, name: &str, size: u64, from: &mut impl Read) -> io::Result<()> {
    to.write_all(&head(name, size))?;
    if io::copy(&mut from.take(size), to)? != size {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "it became shorter meanwhile"));
    }
    let last = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    to.write_all(&[0; BLOCK][..(BLOCK - last) % BLOCK])
}

/// Ends the archive.
pub(super) fn finish(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&[0; 2 * BLOCK])
}

fn head(name: &str, size: u64) -> [u8; BLOCK] {
    debug_assert!(name.len() <= LONGEST_NAME, "{name}");
    let mut head = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    // Mode, user and group.
    put(MODE, b"0000600\x000000000\x000000000\x00");
    if size < LARGE {
        put(SIZE.start, format!("{size:011o}\0").as_bytes());
    } else {
        put(SIZE.start, &[BINARY]);
        put(SIZE.end - 8, &size.to_be_bytes());
    }
    put(TIME, b"00000000000\x00");
    put(KIND, &[PLAIN]);
    put(MAGIC.start, USTAR);
    let sum = format!("{:06o}\0 ", sum(&head));
    head[SUM].copy_from_slice(sum.as_bytes());
    head
}

/// Adds up the bytes of a header, in which the checksum field counts as spaces.
fn sum(head: &[u8; BLOCK]) -> u32 {
    let bytes = head.iter().enumerate().map(|(at, byte)| if SUM.contains(&at) { b' ' } else { *byte });
    bytes.map(u32::from).sum()
}

/// Finds the members. An archive that ends too early, or has anything that [`append`] does not write, is an error of
/// the kind `InvalidData` or `UnexpectedEof`.
pub(super) fn index(file: &mut File) -> io::Result<BTreeMap<String, Member>> {
    let length = file.metadata()?.len();
    let (mut found, mut at) = (BTreeMap::new(), 0);
    loop {
        let mut block = [0; BLOCK];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut block)?;
        if block == [0; BLOCK] {
            return Ok(found);
        }
        let (name, size) = read_head(&block)?;
        at += BLOCK as u64;
        let end = at.checked_add(size).and_then(|end| end.checked_next_multiple_of(BLOCK as u64));
        let end = end.filter(|end| *end <= length).ok_or_else(|| wrong("a part of it is missing"))?;
        if found.len() >= MOST || found.insert(name, Member { at, size }).is_some() {
            return Err(wrong("it has too many parts, or one of them twice"));
        }
        at = end;
    }
}

/// Returns the bytes of a member, to be read.
pub(super) fn read(file: &mut File, member: Member) -> io::Result<io::Take<&mut File>> {
    file.seek(SeekFrom::Start(member.at))?;
    Ok(file.take(member.size))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn read_head(head: &[u8; BLOCK]) -> io::Result<(String, u64)> {
    let said = std::str::from_utf8(&head[SUM.start..SUM.start + 6]).ok();
    let is_whole = said.and_then(|said| u32::from_str_radix(said, 8).ok()) == Some(sum(head));
    if !is_whole || head[MAGIC] != USTAR[..] || head[KIND] != PLAIN {
        return Err(wrong("the head of a part cannot be read"));
    }
    let name = head[..LONGEST_NAME].split(|byte| *byte == 0).next().unwrap_or_default();
    let name = std::str::from_utf8(name).map_err(|_| wrong("the name of a part is no text"))?;
    let digits = &head[SIZE];
    let size = if digits[0] == BINARY {
        digits.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
    } else {
        std::str::from_utf8(&digits[..11]).ok().and_then(|digits| u64::from_str_radix(digits, 8).ok())
    };
    Ok((name.to_owned(), size.ok_or_else(|| wrong("the size of a part cannot be read"))?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut to = Vec::new();
        for (name, bytes) in members {
            append(&mut to, name, bytes.len() as u64, &mut &**bytes).unwrap();
        }
        finish(&mut to).unwrap();
        to
    }

    #[test]
    fn members_are_found_again() {
        let long = [7; BLOCK + 1];
        let mut file =
            stored(&archive(&[("a", &b"one"[..]), ("b/c", &[][..]), ("d", &long[..]), ("e", &long[..BLOCK])]));
        let found = index(&mut file).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b/c", "d", "e"]);
        for (name, bytes) in [("a", &b"one"[..]), ("b/c", &[][..]), ("d", &long[..]), ("e", &long[..BLOCK])] {
            let mut read_again = Vec::new();
            read(&mut file, found[name]).unwrap().read_to_end(&mut read_again).unwrap();
            assert_eq!(read_again, bytes, "{name}");
        }
        let large = head("x", LARGE + 5);
        assert_eq!(read_head(&large).unwrap(), ("x".to_owned(), LARGE + 5));
    }

    #[test]
    fn an_archive_that_is_cut_short_or_has_a_name_twice_is_refused() {
        let whole = archive(&[("a", &[1; 600][..]), ("b", &b"x"[..])]);
        for length in (0..whole.len() - 2 * BLOCK).step_by(100) {
            assert!(index(&mut stored(&whole[..length])).is_err(), "{length}");
        }
        assert!(index(&mut stored(&archive(&[("a", &b"x"[..]), ("a", &b"y"[..])]))).is_err());
        let mut link = head("a", 0);
        link[KIND] = b'2';
        assert!(index(&mut stored(&[&link[..], &[0; BLOCK]].concat())).is_err());
        // A member that became shorter while it was copied.
        assert!(append(&mut Vec::new(), "a", 4, &mut &b"abc"[..]).is_err());
    }

    proptest! {
        #[test]
        fn reading_ends_for_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..3 * BLOCK), size in any::<u64>()) {
            let _ = index(&mut stored(&bytes));
            let _ = index(&mut stored(&[&head("a", size)[..], &bytes].concat()));
        }
    }
}
