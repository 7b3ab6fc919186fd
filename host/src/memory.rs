//! The memory of this process: how much of it is in RAM, and returning unused memory to the system.

use std::ops::Range;
use std::time::Duration;

/// Interval for checking the memory.
const LOOK: Duration = Duration::from_secs(5);
/// Change, in bytes, that justifies an immediate walk through the heap.
const CHANGE: u64 = 8 << 20;
/// Number of checks after which the heap is walked through without such a change: memory freed below a block in use changes
/// nothing outside.
const LOOKS: u32 = 12;
/// Number of checks after which the heap of a busy host is walked through.
const LOOKS_IF_BUSY: u32 = 120;
/// CPU time between two checks from which a host is busy: a fiftieth of a core.
const BUSY: Duration = Duration::from_millis(100);

/// Returns the size of a page, which is the unit of `/proc/self/statm`.
fn page() -> u64 {
    rustix::param::page_size() as u64
}

/// Returns the resident memory of this process, in bytes; 0 if the system does not report it.
pub fn resident() -> u64 {
    measured().map_or(0, |[all, _]| all)
}

/// Returns the part of it that is no file's, in bytes: what the process allocated.
fn allocated() -> u64 {
    measured().map_or(0, |[all, of_files]| all.saturating_sub(of_files))
}

/// Returns the resident memory of this process and the part of it that belongs to files, in bytes.
fn measured() -> Option<[u64; 2]> {
    let line = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut bytes = line.split(' ').skip(1).map_while(|pages| Some(pages.parse::<u64>().ok()? * page()));
    Some([bytes.next()?, bytes.next()?])
}

/// Returns memory to the system, for as long as the process runs: that of the start, then what bursts leave behind.
///
/// glibc returns memory only from the end of a heap: one byte in use there keeps everything that was freed before it. A
/// process that is never restarted would stay as big as it was in its worst minute.
pub async fn give_back() {
    tokio::time::sleep(LOOK).await;
    let mut looks = tokio::time::interval(LOOK);
    let (mut heap, mut spent) = (Heap::at(allocated()), spent_time());
    loop {
        looks.tick().await;
        let before = allocated();
        let since = std::mem::replace(&mut spent, spent_time());
        if heap.is_worth_a_walk(before, spent.saturating_sub(since) >= BUSY) {
            // Both take locks for some milliseconds. The start of a host with many accounts lasts through several walks.
            let _ = tokio::task::spawn_blocking(|| {
                trim();
                drop_program();
            })
            .await;
            heap.was_walked(before, allocated());
        }
    }
}

/// Returns the CPU time that all threads of the process have used.
fn spent_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// When the heap was walked through, and its sizes in bytes then.
struct Heap {
    /// Checks since the last walk.
    since: u32,
    /// The size before the last walk.
    before: u64,
    /// The size after it.
    after: u64,
}

impl Heap {
    /// The first check comes as if a minute had passed, for the memory of the start.
    fn at(size: u64) -> Self {
        Self { since: LOOKS, before: size, after: size }
    }

    /// Returns whether the heap has changed enough, or its last walk was long enough ago.
    ///
    /// A walk stops all allocations for up to tens of milliseconds. A busy host would take at once again what it gave back, so it waits
    /// until it is quiet, for ten minutes at most.
    fn is_worth_a_walk(&mut self, size: u64, is_busy: bool) -> bool {
        self.since += 1;
        if is_busy {
            return self.since >= LOOKS_IF_BUSY;
        }
        let (most, least) = (self.before.max(self.after) + CHANGE, self.after.saturating_sub(CHANGE));
        self.since >= LOOKS || size >= most || size < least
    }

    fn was_walked(&mut self, before: u64, after: u64) {
        *self = Self { since: 0, before, after };
    }
}

/// Returns the memory to the system that is not in use now.
pub(crate) async fn give_back_now() {
    // Trimming takes locks of the heap, and on a big one some milliseconds. A failure changes nothing.
    let _ = tokio::task::spawn_blocking(trim).await;
}

/// Removes the pages of the program's file from this process, so that only those come back that it still uses.
///
/// The start runs code and reads data that are not needed again, and with each page the kernel maps those around it: 30 MiB in
/// all. They stay in the page cache, so one that is used again costs a page fault and no disk access.
#[expect(unsafe_code, reason = "the standard library does not advise the kernel on memory")]
fn drop_program() {
    for segment in read_only_segments() {
        // SAFETY: the pages belong to a mapping of a file that was never writable, so the kernel reads the same bytes again
        // when they are used. Threads that run code there wait for that. A failure changes nothing.
        unsafe { libc::madvise(segment.start as *mut libc::c_void, segment.len(), libc::MADV_DONTNEED) };
    }
}

/// Returns the addresses of the whole pages of the program's file that are mapped without write access from the beginning: its code
/// and its constants. Data with relocations is in a writable segment, also if it was protected later.
#[expect(unsafe_code, reason = "only the dynamic linker knows where the program is")]
fn read_only_segments() -> Vec<Range<usize>> {
    extern "C" fn collect(object: *mut libc::dl_phdr_info, _: usize, found: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the linker passes a valid object, whose headers live as long as it is loaded, and the vector of the caller below.
        let (object, found) = unsafe { (&*object, &mut *found.cast::<Vec<Range<usize>>>()) };
        // SAFETY: as above.
        let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
        for header in headers {
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
                found.extend(whole_pages(object.dlpi_addr, header.p_vaddr, header.p_memsz));
            }
        }
        // The first object is the program itself.
        1
    }
    let mut found = Vec::new();
    // SAFETY: the function has the type that the linker calls, and does not unwind. The pointer is to a local variable of the type
    // that the function casts it to.
    unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut found).cast()) };
    found
}

/// Returns the pages that a segment fills. Another segment may share its first and its last one.
fn whole_pages(base: u64, address: u64, len: u64) -> Option<Range<usize>> {
    let begin = base.checked_add(address)?;
    let end = begin.checked_add(len)? / page() * page();
    let begin = begin.checked_next_multiple_of(page())?;
    (begin < end).then_some(usize::try_from(begin).ok()?..usize::try_from(end).ok()?)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of these bytes are in this process's page tables.
    fn mapped(segment: &Range<usize>) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let has_begin = |line: &str| {
            let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
            let address = |text| usize::from_str_radix(text, 16).ok();
            Some((address(begin)?..address(end)?).contains(&segment.start))
        };
        let mut lines = maps.lines().skip_while(|line| has_begin(line) != Some(true));
        let resident = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    #[test]
    #[expect(unsafe_code, reason = "reads the program's own pages")]
    fn pages_that_only_the_start_used_leave_the_process_and_return_unchanged() {
        let segments = read_only_segments();
        let code = segments.iter().max_by_key(|segment| segment.len()).unwrap();
        let sum = || {
            let pages = code.clone().step_by(rustix::param::page_size());
            // SAFETY: these addresses are mapped for as long as the process runs, readable, and never written.
            pages.fold(0_u64, |sum, page| sum.rotate_left(5) ^ unsafe { (page as *const u64).read_volatile() })
        };
        let before = sum();
        let used = mapped(code);
        drop_program();
        // Other tests use some of them meanwhile.
        assert!(mapped(code) < used);
        assert_eq!(sum(), before);
    }

    #[test]
    fn memory_that_a_host_takes_again_is_given_back_once_a_minute() {
        const MIB: u64 = 1 << 20;
        let mut heap = Heap::at(20 * MIB);
        assert!(heap.is_worth_a_walk(20 * MIB, false), "the memory of the start");
        heap.was_walked(20 * MIB, 10 * MIB);
        // It comes back as soon as there is work.
        for look in 1..LOOKS {
            assert!(!heap.is_worth_a_walk(20 * MIB, false), "look {look}");
        }
        assert!(heap.is_worth_a_walk(20 * MIB, false), "a minute has passed");
        heap.was_walked(20 * MIB, 10 * MIB);
        assert!(heap.is_worth_a_walk(28 * MIB, false), "more than ever");
        heap.was_walked(28 * MIB, 27 * MIB);
        assert!(!heap.is_worth_a_walk(20 * MIB, false));
        assert!(heap.is_worth_a_walk(18 * MIB, false), "a burst is over");
    }

    #[test]
    fn a_busy_host_gives_memory_back_when_it_is_quiet_or_ten_minutes_have_passed() {
        const MIB: u64 = 1 << 20;
        let mut heap = Heap::at(20 * MIB);
        heap.was_walked(20 * MIB, 10 * MIB);
        assert!(!heap.is_worth_a_walk(90 * MIB, true));
        assert!(heap.is_worth_a_walk(90 * MIB, false), "quiet again");
        heap.was_walked(90 * MIB, 80 * MIB);
        let looks = (1..=200).find(|_| heap.is_worth_a_walk(90 * MIB, true));
        assert_eq!(looks.map(|looks| looks * LOOK), Some(Duration::from_mins(10)));
    }

    #[test]
    fn work_counts_as_used_time() {
        let before = spent_time();
        while spent_time() < before + Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        assert!(spent_time().saturating_sub(before) < Duration::from_mins(1));
    }

    #[test]
    fn only_whole_pages_are_dropped() {
        let page = page();
        let pages =
            |first: u64, end: u64| Some(usize::try_from(first * page).unwrap()..usize::try_from(end * page).unwrap());
        assert_eq!(whole_pages(16 * page, page / 2, 3 * page), pages(17, 19));
        assert_eq!(whole_pages(16 * page, 0, 2 * page), pages(16, 18));
        assert_eq!(whole_pages(16 * page, page / 2, page), None);
        assert_eq!(whole_pages(u64::MAX, 1, 1), None);
    }
}
