//! The memory of this process: how much of it is in RAM, and returning unused memory to the system.

use std::time::Duration;

/// Interval for checking the memory.
const LOOK: Duration = Duration::from_secs(5);
/// Change, in bytes, that justifies an immediate walk through the heap.
const CHANGE: u64 = 8 << 20;
/// Number of checks after which the heap is walked through in any case: memory freed below a block in use changes
/// nothing outside.
const LOOKS: u32 = 12;

/// Returns the resident memory of this process, in bytes; 0 if the system does not report it.
pub fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages = pages.ok().and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    // The unit of that file, on every Linux that wasmtime runs on.
    pages.unwrap_or(0) * 4096
}

/// Returns the memory that a burst has left behind to the system, for as long as the process runs.
///
/// glibc returns memory only from the end of a heap: one byte in use there keeps everything that was freed before it. A
/// process that is never restarted would stay as big as it was in its worst minute.
pub async fn give_back() {
    let mut looks = tokio::time::interval(LOOK);
    let (mut kept, mut since) = (resident(), 0);
    loop {
        looks.tick().await;
        since += 1;
        if since < LOOKS && resident().abs_diff(kept) < CHANGE {
            continue;
        }
        // Trimming takes locks of the heap, and on a big one some milliseconds. A failure changes nothing.
        let _ = tokio::task::spawn_blocking(trim).await;
        (kept, since) = (resident(), 0);
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the allocator's own housekeeping has no safe interface")]
fn trim() {
    // SAFETY: it takes a plain number, may be called at any time from any thread, and frees nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing: other allocators return memory on their own.
#[cfg(not(target_env = "gnu"))]
fn trim() {}
