//! Searches the whole memory of the plugin, including parts that it never allocated.
#![expect(unsafe_code, reason = "it reads memory that no value of its own is in")]

use std::hint::black_box;

/// The mask that is applied to each byte of a word.
const MASK: u8 = 0x5a;
/// The size of a page of linear memory.
const PAGE: usize = 64 << 10;

/// Returns the indexes of those masked words that lie anywhere in linear memory.
pub(crate) fn found(masked: &[Vec<u8>]) -> Vec<usize> {
    // Each position is read once, however many words there are.
    let mut begin_with = vec![Vec::new(); 256];
    for (number, word) in masked.iter().enumerate() {
        if let Some(first) = word.first() {
            begin_with[usize::from(first ^ MASK)].push(number);
        }
    }
    let size = size();
    let mut found = vec![false; masked.len()];
    for at in 1..size {
        for &number in &begin_with[usize::from(peek(at))] {
            let word = &masked[number];
            let is_here = || word.iter().enumerate().all(|(step, byte)| byte ^ MASK == peek(at + step));
            found[number] |= at + word.len() <= size && is_here();
        }
    }
    (0..masked.len()).filter(|&number| found[number]).collect()
}

/// Returns the size of linear memory in bytes. On other targets it is zero, so that nothing is searched.
fn size() -> usize {
    #[cfg(target_arch = "wasm32")]
    let pages = core::arch::wasm32::memory_size(0);
    #[cfg(not(target_arch = "wasm32"))]
    let pages = 0;
    pages * PAGE
}

fn peek(at: usize) -> u8 {
    // SAFETY: `found` stays below the size of linear memory, all of which may be read, and zero is left out.
    unsafe { black_box(at as *const u8).read_volatile() }
}
