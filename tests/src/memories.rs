//! Searches the linear memories of a process's plugins from outside, for plugins in any language.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result};

/// The least size of the inaccessible region before each linear memory: the guard of the one before.
const BEFORE: u64 = 32 << 20;
/// The least size of the inaccessible region behind it: the rest of the 32-bit address space. No other mapping of a
/// process lies between two such regions.
const BEHIND: u64 = 1 << 30;
/// The largest possible size of a linear memory.
const LARGEST: u64 = 4 << 30;
/// The number of bytes that are read at once.
const PART: u64 = 1 << 20;

/// Returns those of the words that lie in a linear memory of any plugin of this process. The process must be this one
/// or a child of it.
pub fn found<W: AsRef<[u8]> + Copy>(process: u32, words: &[W]) -> Result<Vec<W>> {
    let each = found_in_each(process, words)?;
    let lies_somewhere = |number: &usize| each.iter().any(|memory| memory[*number]);
    Ok((0..words.len()).filter(lies_somewhere).map(|number| words[number]).collect())
}

/// Returns for each linear memory of this process which of the words lie in it.
pub fn found_in_each<W: AsRef<[u8]>>(process: u32, words: &[W]) -> Result<Vec<Vec<bool>>> {
    let file = |name: &str| format!("/proc/{process}/{name}");
    let maps = fs::read_to_string(file("maps")).with_context(|| format!("cannot read {}", file("maps")))?;
    let memory = File::open(file("mem")).with_context(|| format!("cannot read {}", file("mem")))?;
    // A word may begin in one part and end in the next.
    let more = words.iter().map(|word| word.as_ref().len() as u64).max().unwrap_or(0);
    let mut each = Vec::new();
    let mut bytes = Vec::new();
    for place in linear(&maps) {
        let mut is_found = vec![false; words.len()];
        for from in place.clone().step_by(usize::try_from(PART)?) {
            bytes.resize(usize::try_from((place.end - from).min(PART + more))?, 0);
            // A plugin that ended meanwhile holds nothing.
            if memory.read_exact_at(&mut bytes, from).is_err() {
                break;
            }
            look(&bytes, words, &mut is_found);
        }
        each.push(is_found);
    }
    Ok(each)
}

/// Notes which of the words lie in these bytes. It scans the bytes once, however many words there are, and rejects
/// nearly every position by its first byte.
fn look<W: AsRef<[u8]>>(bytes: &[u8], words: &[W], is_found: &mut [bool]) {
    let mut begins_one = [false; 256];
    for first in words.iter().filter_map(|word| word.as_ref().first()) {
        begins_one[usize::from(*first)] = true;
    }
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| begins_one[usize::from(**byte)]) {
        for (is_found, word) in is_found.iter_mut().zip(words) {
            let word = word.as_ref();
            *is_found = *is_found || !word.is_empty() && bytes[at..].starts_with(word);
        }
    }
}

/// Finds the linear memories among all mappings of a process.
fn linear(maps: &str) -> Vec<Range<u64>> {
    let pieces: Vec<_> = maps.lines().filter_map(piece).collect();
    let places = pieces.windows(3).filter_map(|three| {
        let [(before, "---p"), (open, "rw-p"), (behind, "---p")] = three else { return None };
        let is_one = before.end == open.start
            && open.end == behind.start
            && before.end - before.start >= BEFORE
            && behind.end - behind.start >= BEHIND
            && open.end - open.start <= LARGEST;
        is_one.then(|| open.clone())
    });
    places.collect()
}

/// Parses a line of the map: the range and the permissions of an anonymous mapping.
fn piece(line: &str) -> Option<(Range<u64>, &str)> {
    let mut words = line.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let may = words.next()?;
    // The name of a mapped file follows its offset, device and inode.
    let is_of_a_file = words.nth(3).is_some();
    let place = u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?;
    (!is_of_a_file).then_some((place, may))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mappings that Linux showed for a host with one plugin: the tables, a guard, the memory, the other memories, and
    /// a thread's heap.
    #[test]
    fn a_linear_memory_is_told_from_what_else_is_mapped() {
        let maps = "\
            5581a0000000-5581a0021000 rw-p 00000000 00:00 0                          [heap]\n\
            6f24d0ec0000-6f4a16000000 rw-p 00000000 00:00 0 \n\
            6f4a16000000-6f4a18000000 ---p 00000000 00:00 0 \n\
            6f4a18000000-6f4a18120000 rw-p 00000000 00:00 0 \n\
            6f4a18120000-7f0958000000 ---p 00000000 00:00 0 \n\
            7f0958000000-7f0958021000 rw-p 00000000 00:00 0 \n\
            7f0958021000-7f095c000000 ---p 00000000 00:00 0 \n\
            7f095d000000-7f095d200000 r-xp 00001000 fd:01 4711                       /usr/bin/parlor\n";
        let mut found = linear(maps).into_iter();
        assert_eq!((found.next(), found.next()), (Some(0x6f4a_1800_0000..0x6f4a_1812_0000), None));
    }

    #[test]
    fn a_word_is_found_wherever_it_lies() {
        let found = |bytes: &str| {
            let mut found = [false; 3];
            look(bytes.as_bytes(), &["word", "", "two"], &mut found);
            found
        };
        for bytes in ["word", "a word", "wordy", "wowoword"] {
            assert_eq!(found(bytes), [true, false, false], "{bytes}");
        }
        assert_eq!(found("two words"), [true, false, true]);
        assert_eq!((found("a wor"), found("")), ([false; 3], [false; 3]));
    }

    #[test]
    fn a_process_without_plugins_holds_nothing_in_them() {
        assert!(found(std::process::id(), &["no plugin was told this"]).unwrap().is_empty());
    }
}
