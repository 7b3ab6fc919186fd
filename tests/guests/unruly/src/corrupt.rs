//! Attacks that no compiler allows by accident: arguments that are invalid values, memory that is not its own, and an
//! allocator that does not return.
#![expect(unsafe_code, reason = "a hostile plugin keeps to no rule; what it breaks is inside its own memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parlor_sdk::bindings::parlor::plugin::promises as raw;
use parlor_sdk::log::{Level, write};
use parlor_sdk::prelude::*;

/// An allocation size that only the host requests, for a text of this length.
const TRIGGER: usize = 77_777;
/// How much memory is marked and searched, in MiB. A plugin that exceeds its limit is ended.
const MIBS: usize = 32;
/// The size of a page of linear memory.
const PAGE: usize = 64 << 10;

static ARMED: AtomicBool = AtomicBool::new(false);

/// The system's allocator, until it is armed. Then it does not return when the host allocates a text.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: all calls go to the system's allocator, and a call that never returns breaks no promise.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        while layout.size() == TRIGGER && ARMED.load(Relaxed) {
            black_box(());
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; every block is the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Makes the allocator hang at the next text of [`TRIGGER`] bytes.
pub(crate) fn arm() {
    ARMED.store(true, Relaxed);
}

/// Fills 16 MiB again and again.
pub(crate) fn fill() -> ! {
    let mut memory = vec![1_u8; 16 << 20];
    for value in (0..=u8::MAX).cycle() {
        memory.fill(value);
        black_box(&memory);
    }
    unreachable!("a cycle has no end")
}

/// Passes a text that is not UTF-8.
pub(crate) fn bad_utf8() -> String {
    // SAFETY: none: that is the attack.
    write(Level::Info, unsafe { std::str::from_utf8_unchecked(black_box(b"cut \xf0\x9f\x98 and \xff\xfe\xc0\x80")) });
    "wrote it".to_owned()
}

/// Passes a text that begins within the memory and claims to be 1 GiB long.
pub(crate) fn gigabyte() -> String {
    let text = black_box(String::from("short"));
    // SAFETY: none: that is the attack.
    let long = unsafe { std::slice::from_raw_parts(text.as_ptr(), 1 << 30) };
    // SAFETY: none: that is the attack.
    write(Level::Info, unsafe { std::str::from_utf8_unchecked(long) });
    "wrote it".to_owned()
}

/// Passes a text that begins outside of the memory.
pub(crate) fn out_of_range() -> String {
    // SAFETY: none: that is the attack.
    let nowhere = unsafe { std::slice::from_raw_parts(black_box(0x7fff_0000_usize) as *const u8, 16) };
    // SAFETY: none: that is the attack.
    write(Level::Info, unsafe { std::str::from_utf8_unchecked(nowhere) });
    "wrote it".to_owned()
}

/// Passes a list of this many texts that are all the same 64 KiB of memory. It is small here, and large where each text
/// is copied.
pub(crate) async fn aliased(times: usize) -> Result<String> {
    let mut text = "x".repeat(PAGE);
    let room = text.capacity();
    // SAFETY: none: they share one block, so none of them may ever be dropped. The call does not return.
    let alias = || unsafe { String::from_raw_parts(text.as_mut_ptr(), PAGE, room) };
    let names: Vec<String> = std::iter::repeat_with(alias).take(times).collect();
    let answer = raw::add_all(names).await;
    ARMED.store(false, Relaxed);
    Err(Error::other(format_args!("the list was taken: {answer:?}")))
}

/// Passes a list at a misaligned address.
#[cfg(target_arch = "wasm32")]
pub(crate) fn misaligned() -> Result<String> {
    #[link(wasm_import_module = "parlor:plugin/promises@0.1.0")]
    unsafe extern "C" {
        #[link_name = "[async-lower]add-all"]
        fn add_all(list: *mut u8, length: usize, result: *mut u8) -> i32;
    }
    let mut block = [0_u8; 64];
    let mut result = [0_u8; 64];
    // SAFETY: none: that is the attack.
    let state = unsafe { add_all(block.as_mut_ptr().wrapping_add(1), 1, result.as_mut_ptr()) };
    Err(Error::other(format_args!("the list was taken: {state}")))
}

/// On other targets this call does not exist.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn misaligned() -> Result<String> {
    Err(Error::other("only a component can do it"))
}

/// Marks all the memory that it gets, for the next plugin in the slot.
pub(crate) fn mark(text: &str) -> String {
    let mut marked = 0;
    for pages in std::iter::from_fn(|| grow(16)).take(MIBS) {
        for chunk in pages.chunks_exact_mut(text.len()) {
            chunk.copy_from_slice(text.as_bytes());
        }
        marked += pages.len();
    }
    format!("marked {} MiB", marked >> 20)
}

/// Looks for another plugin's mark in fresh memory.
pub(crate) fn search() -> String {
    let (mut seen, mut found) = (0, 0);
    for pages in std::iter::from_fn(|| grow(16)).take(MIBS) {
        seen += pages.len();
        found += pages.iter().filter(|byte| **byte != 0).count();
    }
    format!("found {found} bytes of somebody else in {} MiB", seen >> 20)
}

/// Returns fresh pages, as the host gives them.
#[cfg(target_arch = "wasm32")]
fn grow(pages: usize) -> Option<&'static mut [u8]> {
    let before = core::arch::wasm32::memory_grow::<0>(pages);
    if before == usize::MAX {
        return None;
    }
    // SAFETY: the pages are new, and the allocator does not know them.
    Some(unsafe { std::slice::from_raw_parts_mut((before * PAGE) as *mut u8, pages * PAGE) })
}

/// On other targets such pages do not exist.
#[cfg(not(target_arch = "wasm32"))]
fn grow(_pages: usize) -> Option<&'static mut [u8]> {
    None
}
