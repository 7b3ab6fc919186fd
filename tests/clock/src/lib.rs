//! A clock on the wall that a test can set, for one process: preloaded, it takes the place of the C library's
//! `clock_gettime`. The file that `PARLOR_CLOCK` names holds how many seconds it is wrong by, eight bytes in the machine's order.
//!
//! Clocks that nobody can set are left alone.
#![expect(unsafe_code, reason = "it takes the place of a function of the C library")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Not opened yet.
const UNKNOWN: c_int = -2;

static FILE: AtomicI32 = AtomicI32::new(UNKNOWN);

/// The C library's function of this name, but for the clock on the wall.
///
/// # Safety
///
/// As for that one: the pointer is to where a time can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    // SAFETY: the system call of this name, with the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) {
        // SAFETY: the system call has just written there.
        unsafe { (*time).tv_sec += wrong_by() };
    }
    if result == 0 { 0 } else { -1 }
}

fn wrong_by() -> i64 {
    let mut file = FILE.load(Relaxed);
    if file == UNKNOWN {
        // SAFETY: the name is a text of the C library's, or null; a name that nobody has opens nothing.
        file = unsafe {
            let name = libc::getenv(c"PARLOR_CLOCK".as_ptr());
            if name.is_null() { -1 } else { libc::open(name, libc::O_RDONLY | libc::O_CLOEXEC) }
        };
        FILE.store(file, Relaxed);
    }
    let mut seconds = [0; 8];
    // SAFETY: it writes eight bytes at most, into a local variable of eight bytes.
    let read = unsafe { libc::pread(file, seconds.as_mut_ptr().cast(), seconds.len(), 0) };
    if read == 8 { i64::from_ne_bytes(seconds) } else { 0 }
}
