//! The memory of this process: how much of it is in RAM, and giving back what is not needed any more.

use std::time::Duration;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// By how much it has to have changed to be worth a walk through the heap at once. In bytes.
const CHANGE: u64 = 8 << 20;
/// After how many looks it is walked through in any case: what was freed below something in use changes nothing outside.
const LOOKS: u32 = 12;

/// The memory of this process that is in RAM, in bytes; 0 where the system does not say.
pub(crate) fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages = pages.ok().and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    // The unit of that file, on every Linux that wasmtime runs on.
    pages.unwrap_or(0) * 4096
}

/// Gives back, for as long as the process lives, what a flood has left behind.
///
/// glibc returns memory only from the end of a heap: one byte in use there keeps all that was freed before it. A process
/// that is never restarted would stay as big as it was in its worst minute.
pub(crate) async fn give_back() {
    let mut looks = tokio::time::interval(LOOK);
    let (mut kept, mut since) = (resident(), 0);
    loop {
        looks.tick().await;
        since += 1;
        if since < LOOKS && resident().abs_diff(kept) < CHANGE {
            continue;
        }
        // It takes locks of the heap, and on a big one some milliseconds. Where it fails, nothing is worse than before.
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

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn trim() {}
